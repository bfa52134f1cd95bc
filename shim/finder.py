"""`import cupy` becomes the shim: a finder on `sys.meta_path` whose loader hands out the real module `cupool.shim.cupy`.

Each module exists once. `sys.modules["cupy.linalg"]` and `sys.modules["cupool.shim.cupy.linalg"]` are the same object, so
classes, caches and identities agree whichever name a program uses. Boundary: opens nothing and imports neither numpy nor grpc;
the shim itself is imported when the program imports it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from . import naming
from .loading import load

#: Public top-level names -> where the shim keeps them.
ALIASES = {name: f"{__package__}.{name}" for name in ("cupy", "cupyx", "cupy_backends")}

#: The folder that does the same by PYTHONPATH.
DROPIN = Path(importlib.import_module("cupool").__file__ or "").resolve().parent / "dropin"

_install_lock = threading.Lock()


def real_name(name: str) -> str | None:
    """`cupy.linalg` -> `cupool.shim.cupy.linalg`; None for a name that is not an alias."""
    top, dot, rest = name.partition(".")
    return ALIASES[top] + dot + rest if top in ALIASES else None


class AliasLoader(Loader):
    """Loads an alias by importing the real module and returning it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = load(self._name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just written the alias's spec into the module. It keeps the one it was loaded by: relative
        # imports compare __spec__.parent with __package__.
        module.__spec__ = self._spec


class AliasSpec(ModuleSpec):
    """The spec of an alias. Between being written into the module and being taken out again it names the real parent."""

    real_parent = ""

    @property
    def parent(self) -> str:
        return self.real_parent


class AliasFinder(MetaPathFinder):
    """Finds `cupy`, `cupyx` and what is below them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        name = real_name(fullname)
        if name is None:
            return None
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            return None  # no such parent here: leave the name to other finders, and to Python's own error
        if found is None:
            return None
        is_package = found.submodule_search_locations is not None
        spec = AliasSpec(fullname, AliasLoader(name), origin=found.origin, is_package=is_package)
        spec.real_parent = found.parent or ""
        return spec


_FINDER = AliasFinder()


def _is_dropin(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and DROPIN in Path(file).resolve().parents


def install() -> None:
    """Put the finder first on `sys.meta_path`. Idempotent.

    Raises:
        CupoolError: a `cupy` that is not the shim is already imported: arrays of two kinds would meet.
    """
    with _install_lock:
        replace = []
        for name in ALIASES:
            module = sys.modules.get(name)
            if module is None or module is sys.modules.get(ALIASES[name]):
                continue
            if not _is_dropin(module):
                from cupool.contract.errors import CupoolError

                raise CupoolError(
                    f"The real {name} ({getattr(module, '__file__', 'no file')}) is already imported, so cupool cannot take its "
                    "place: arrays of two kinds would meet.",
                    "Call cupool.install() before the first `import cupy`, or start the program with `cupool run`.",
                )
            replace.append(name)
        if _FINDER not in sys.meta_path:
            sys.meta_path.insert(0, _FINDER)
            naming.rename_modules(True)
    for name in replace:
        # We run inside the drop-in's own `import cupy`: the import system returns what stands in sys.modules afterwards.
        sys.modules[name] = load(ALIASES[name])


def uninstall() -> None:
    """Undo `install`, for tests. Modules that were imported stay the shim's where a program holds them."""
    with _install_lock:
        if _FINDER in sys.meta_path:
            sys.meta_path.remove(_FINDER)
            naming.rename_modules(False)
        for name in [n for n in list(sys.modules) if real_name(n)]:
            del sys.modules[name]
