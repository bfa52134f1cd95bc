"""Which files pyright reads again when one changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tools import pyright_changed as part

TREE = {
    "a/__init__.py": "from . import facade\n",
    "a/facade.py": "import a.deep.leaf\n",
    "a/deep/__init__.py": "",
    "a/deep/leaf.py": "from ..other import name\n",
    "a/other.py": "name: int = 1\n",
    "a/user.py": "def f() -> None:\n    from .deep import leaf\n",
    "a/whole.py": "from .deep.leaf import *\n",
    "a/alone.py": "import os\n",
    "a/typed.py": "from a.stubbed import x\n",
    "a/stubbed.py": "",
    "a/stubbed.pyi": "x: int\n",
}


def states(tree: dict[str, str]) -> dict[str, str]:
    hashes = {file: hashlib.sha256(text.encode()).hexdigest() for file, text in tree.items()}
    return part.states(hashes, {file: part.imported(text, file) for file, text in tree.items()})


def changed(**to: str | None) -> set[str]:
    """Files to check after these have another text, or (None) are gone; `__` in a name is `/`."""
    after = dict(TREE)
    for name, text in to.items():
        path = f"a/{name.replace('__', '/')}" + ("" if name.endswith("pyi") else ".py")
        path = path.replace("_pyi", ".pyi")
        if text is None:
            del after[path]
        else:
            after[path] = text
    before = states(TREE)
    return {file for file, state in states(after).items() if before.get(file) != state}


def test_nothing_changed() -> None:
    assert not changed()


def test_whoever_imports_it_at_any_distance() -> None:
    assert changed(other="name: str = ''\n") == {
        f"a/{name}.py" for name in ("other", "deep/leaf", "user", "whole", "facade", "__init__")
    }


def test_what_only_uses_a_package_on_the_way_to_a_module_does_not_read_it() -> None:
    assert changed(facade="x = 1\n") == {"a/facade.py", "a/__init__.py"}


def test_a_file_of_its_own() -> None:
    assert changed(alone="import sys\n") == {"a/alone.py"}


def test_a_stub() -> None:
    assert changed(stubbed_pyi="x: str\n") == {"a/stubbed.pyi", "a/typed.py"}


def test_new_and_gone() -> None:
    assert changed(other__name="") >= {"a/other/name.py", "a/deep/leaf.py", "a/user.py"}
    assert changed(other=None) >= {"a/deep/leaf.py", "a/user.py", "a/whole.py"}


def test_every_source_is_found() -> None:
    if part.TREE.exists():
        found = part.sources(part.TREE, [])
        assert "cupool/shim/array.py" in found and "cupool/contract/values.py" in found
        assert all(path.is_file() for path in found.values())


def test_settings_and_packages_count() -> None:
    assert part.circumstances({"a": 1}) == part.circumstances({"a": 1}) != part.circumstances({"a": 2})


def test_excluded_names() -> None:
    assert part._matches(Path("x/build/cupool/v1/a_pb2.pyi"), ["**/v1/*_pb2*"])
    assert part._matches(Path("x/cupool/dropin"), ["**/dropin"])
    assert not part._matches(Path("x/cupool/v1/__init__.py"), ["**/v1/*_pb2*", "**/dropin"])
