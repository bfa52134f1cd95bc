"""How large a function's package is: the base install of cupool with all that it needs, unzipped, as a Lambda layer holds it.

    python tools/layer.py

Measures what is installed here, distribution by distribution, without Python's caches; cupool itself by its source. Nothing is downloaded.
Limits of platforms that unpack a package: AWS Lambda 250 MB with all layers, Cloud Run functions (1st gen) 500 MB.
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAMBDA_BYTES = 250 * 1000 * 1000
MB = 1000 * 1000


def requirements(name: str) -> list[str]:
    """What an installed distribution needs without extras, on this Python."""
    found = []
    for text in metadata.requires(name) or ():
        requirement, _, marker = text.partition(";")
        if "extra" in marker or ("python_version" in marker and not _holds(marker)):
            continue
        found.append(_name(requirement))
    return found


def _name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
    assert match is not None, requirement
    return match[0]


def _holds(marker: str) -> bool:
    from packaging.markers import Marker

    return Marker(marker).evaluate()


def installed_bytes(name: str) -> int:
    """Bytes of a distribution's files, without compiled Python."""
    files = metadata.files(name) or ()
    return sum(
        Path(str(f.locate())).stat().st_size for f in files if f.suffix != ".pyc" and Path(str(f.locate())).is_file()
    )


def own_bytes() -> int:
    """Bytes of cupool's wheel, unzipped: every package, also those that a client does not import."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = set(settings["package-dir"].values())
    skipped = {"__pycache__"}
    return sum(
        path.stat().st_size
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not skipped & set(path.parts)
    )


def layer() -> dict[str, int]:
    """Distribution -> bytes, for everything that the base install brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    sizes = {"cupool": own_bytes()}
    waiting = [_name(text) for text in project["dependencies"]]
    while waiting:
        name = waiting.pop()
        if name not in sizes:
            sizes[name] = installed_bytes(name)
            waiting += requirements(name)
    return sizes


def main() -> int:
    sizes = layer()
    print("a function's package, unzipped (MB)")
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{size / MB:>8.1f}  {name}")
    total = sum(sizes.values())
    print(f"{total / MB:>8.1f}  in all, of {LAMBDA_BYTES / MB:.0f} that AWS Lambda unpacks")
    return 0 if total <= LAMBDA_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
