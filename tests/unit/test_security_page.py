"""docs/security.md says what is so: its first words, the files it names, the roles, the settings."""

from __future__ import annotations

import re
from pathlib import Path

from cupool.pool import settings
from cupool.pool.security import certs, tokens

ROOT = Path(settings.__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text()


def test_the_stance_comes_first():
    first = PAGE.split("\n\n")[1]
    assert first.startswith(
        "**Whoever may open a session may run code on that device, and in that sandboxed process.**"
    )


def test_the_tests_that_it_names_are_there():
    named = set(re.findall(r"(?:tests/(?:unit|system)/)?(test_\w+\.py)", PAGE))
    here = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert named <= here, named - here
    for path in set(re.findall(r"`((?:tests|apiserver|cupool|pool|docs)/[\w./]+\.\w+)`", PAGE)):
        assert (ROOT / path).exists(), path


def test_campaigns_settings_and_roles_that_it_names_are_there():
    for part in re.findall(r"make prove PART=(\w+)", PAGE):
        assert (ROOT / "benchmarks" / "prove" / f"{part}.py").exists(), part
    text = (ROOT / "pool" / "settings.py").read_text()
    for key in set(re.findall(r"`(security\.\w+)`", PAGE)):
        assert f'"{key}"' in text, key
    for option in ("--listen", "--tls-cert", "--tls-key", "--tls-ca", "--tls-client-auth", "--anonymous", "--insecure"):
        assert option in PAGE and f'"{option}"' in text, option
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert rows == list(tokens.ROLES)
    assert (certs.AUTHORITY_DAYS, certs.LEAF_DAYS, certs.SERVER_DAYS) == (3650, 365, 7), (
        "the page says ten years, a year, a week"
    )
