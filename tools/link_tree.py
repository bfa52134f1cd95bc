"""Make `build/typing/cupool/`: the import package as a tree of links.

The repository keeps each component at its top (`shim/`, `pool/`, ...) and setuptools maps them below `cupool`. Type checkers
cannot see such a mapping, and a machine without a network cannot install it; both read this tree. As PYTHONPATH it runs the code:

    python3 tools/link_tree.py && PYTHONPATH=build/typing python3 -m cupool version

Running it again adds what is new and drops what is gone. Several may run at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPONENTS = ("shim", "apiserver", "pool", "balancer")


def wanted() -> dict[str, Path]:
    """Name in the tree -> where it leads."""
    links = {p.name: p for p in (ROOT / "cupool").iterdir() if p.name != "__pycache__"}
    links.update({name: ROOT / name for name in COMPONENTS if (ROOT / name).is_dir()})
    return links


def make(tree: Path = ROOT / "build" / "typing") -> Path:
    """Bring the tree up to date and return it (the directory to put on PYTHONPATH)."""
    package = tree / "cupool"
    package.mkdir(parents=True, exist_ok=True)
    links = wanted()
    for old in package.iterdir():
        if old.is_symlink() and old.name not in links:
            old.unlink(missing_ok=True)
    for name, target in links.items():
        link = package / name
        text = os.path.relpath(target, package)
        if link.is_symlink() and os.readlink(link) == text:
            continue
        # Renamed into place, so that a program that imports at this moment sees the old link or the new one.
        fresh = package / f".{name}.{os.getpid()}"
        fresh.symlink_to(text)
        fresh.replace(link)
    return tree


if __name__ == "__main__":
    print(make(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "build" / "typing"))
