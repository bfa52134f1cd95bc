"""Secrets do not leave in text: finds tokens in logs, errors, command lines and environments, and takes them out.

Two kinds are found: tokens of the pool's own form, wherever they stand, and whatever stands where a credential does (after `Bearer`, after
`session_token:`, in CUPOOL_TOKEN=). Other secrets (the text of a token file) are told with `add`. Patterns are compiled at the first
use: a start pays nothing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

#: What stands in the place of a secret.
HIDDEN = "[redacted]"
#: Every token begins so: cupool_<role>_<id>_<secret>; a session's is cupool_session_<secret>.
PREFIX = "cupool_"
#: Environment variables whose values are secret.
SECRET_VARIABLES = frozenset({"CUPOOL_TOKEN", "CUPOOL_ADMIN_TOKEN", "CUPOOL_AGENT_TOKEN", "CUPOOL_KEY"})
#: Shorter texts are no secrets: hiding "a" would hide everything.
_SHORTEST = 8

#: Every pattern needs one of these: most lines have none, and cost no more than looking for them.
_SIGNS = ("cupool_", "bearer", "token", "secret", "private key-----")

_added: set[str] = set()


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    return (
        # A role, perhaps an id, and at least 16 characters of base64url. Half a token, cut by a log's line, is one too.
        (
            re.compile(r"(cupool_(?:client|viewer|operator|admin|agent|balancer)_[0-9a-z]{4,}_)[A-Za-z0-9_-]{8,}"),
            rf"\1{HIDDEN}",
        ),
        (re.compile(r"(cupool_session_)[A-Za-z0-9_-]{8,}"), rf"\1{HIDDEN}"),
        (re.compile(r"(?i)\b(bearer\s+)(?!cupool_)[^\s'\",;)\]}]+"), rf"\1{HIDDEN}"),
        # A field of a message, a key of a JSON text, a variable: `session_token: "x"`, `"token": "x"`, `CUPOOL_TOKEN=x`.
        (
            re.compile(r"""(?i)((?:token|secret)["']?\s*[:=]\s*["']?)(?!cupool_|\[redacted)[A-Za-z0-9_\-+/=.]{16,}"""),
            rf"\1{HIDDEN}",
        ),
        # An option of a command line.
        (re.compile(r"(--(?:[a-z-]+-)?token[\s=])(?!cupool_|\[redacted)[A-Za-z0-9_\-+/=.]{16,}"), rf"\1{HIDDEN}"),
        (
            re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
            HIDDEN,
        ),
    )


def add(secret: str) -> None:
    """Hide this text too, from now on: a credential that has no form of ours."""
    if len(secret) >= _SHORTEST:
        _added.add(secret)


def redact(text: str) -> str:
    """`text` without secrets."""
    for secret in tuple(_added):
        if secret in text:
            text = text.replace(secret, HIDDEN)
    folded = text.casefold()
    if not any(sign in folded for sign in _SIGNS):
        return text
    for pattern, instead in _patterns():
        text = pattern.sub(instead, text)
    return text


def redact_arguments(arguments: Sequence[str]) -> list[str]:
    """A command line without secrets: `--assign SESSION:TOKEN` and what follows an option that takes a token go whole."""
    result, hide_next = [], False
    for word in arguments:
        option, equals, _ = word.partition("=")
        if hide_next:
            result.append(HIDDEN)
            hide_next = False
        elif _takes_secret(option) and equals:
            result.append(f"{option}={HIDDEN}")
        else:
            hide_next = _takes_secret(option)
            result.append(redact(word))
    return result


def _takes_secret(option: str) -> bool:
    return option == "--assign" or (option.startswith("-") and option.endswith("token"))


def redact_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without secrets; names stay."""
    return {
        name: HIDDEN if name in SECRET_VARIABLES or name.endswith(("TOKEN", "SECRET", "PASSWORD")) else redact(value)
        for name, value in environment.items()
    }


class RedactingFormatter(logging.Formatter):
    """Formats with another formatter, then takes secrets out: of the message, its arguments and the traceback alike."""

    def __init__(self, inner: logging.Formatter | None = None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return redact(self._inner.format(record))


def install(handlers: Iterable[logging.Handler] | None = None) -> None:
    """Take secrets out of all that these handlers write; without an argument, those of the root logger. Twice is once."""
    for handler in logging.getLogger().handlers if handlers is None else handlers:
        if not isinstance(handler.formatter, RedactingFormatter):
            handler.setFormatter(RedactingFormatter(handler.formatter))
