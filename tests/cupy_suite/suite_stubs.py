"""Importable stand-ins for modules of CuPy that the shim does not have, so that a missing one costs the tests that use it and not the
whole file. What a stand-in gives raises NotImplementedError when it is called.

Boundary: private modules and names are marked with PRIVATE in the message, and the plugin books tests that die there as "private".
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

PRIVATE = "private stand-in: "
MISSING = "missing module: "

#: Private names that tests import from modules which the shim has: without these the import fails for the whole file.
PRIVATE_NAMES = {
    "cupyx.cusparse": ("_indptr_to_coo", "_get_csr2csc_cudaDataType"),
    "cupyx.scipy.sparse": ("_construct", "_util", "_base", "_index", "_sputils"),
    "cupyx.scipy.sparse.linalg": ("_interface",),
    "cupyx.scipy.ndimage": ("_util",),
    "cupyx.scipy.stats": ("_distributions",),
    "cupyx.profiler": ("_time", "load_ipython_extension"),
    "cupyx.tools": ("install_library",),
    "cupy": (
        "_core",
        "_util",
        "_indexing",
        "_manipulation",
        "_environment",
        "_statistics",
        "_math",
        "_creation",
        "_sorting",
    ),
}


def is_private(name: str) -> bool:
    return name.startswith("cupy_backends") or any(part.startswith("_") for part in name.split("."))


class _Raises:
    """What a stand-in gives for a name: may be passed around and looked at, not called."""

    def __init__(self, full: str) -> None:
        self._full = full
        self.__name__ = full.rpartition(".")[2]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError((PRIVATE if is_private(self._full) else MISSING) + self._full)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Raises(f"{self._full}.{name}")


class StandIn(ModuleType):
    """A module that the shim does not have."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        full = f"{self.__name__}.{name}"
        if _exists_upstream(full):
            return importlib.import_module(full)
        value: Any = _Raises(full)
        if name.endswith(("Warning", "Error", "Exception")):
            # pytest resolves the class of a filter and gives up when it is none.
            base = Warning if name.endswith("Warning") else Exception
            value = type(name, (base,), {"__module__": self.__name__})
        setattr(self, name, value)
        return value


_upstream: Path | None = None


def _exists_upstream(full: str) -> bool:
    if _upstream is None:
        return False
    path = _upstream / Path(*full.split("."))
    return path.is_dir() or any(path.with_suffix(s).exists() for s in (".py", ".pyx", ".pxd"))


class _Finder:
    """Last on `sys.meta_path`: whatever the shim has, it serves."""

    @staticmethod
    def find_spec(fullname: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in ("cupy", "cupyx", "cupy_backends"):
            return None
        if not is_private(fullname) and not _exists_upstream(fullname):
            return None  # CuPy has none either: the import must fail
        return ModuleSpec(fullname, _Loader(), is_package=True)  # type: ignore[arg-type]


class _Loader:
    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        return StandIn(spec.name)

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        fill = _BODIES.get(module.__name__)
        if fill is not None:
            fill(module)


# -- private names with real bodies: upstream's own testing package needs them -----------------------------------------------


def _internal(module: Any) -> None:
    def prod(args: Any) -> int:
        result = 1
        for arg in args:
            result *= arg
        return result

    module.prod = prod


def _util(module: Any) -> None:
    module.PerformanceWarning = type("PerformanceWarning", (Warning,), {"__module__": "cupy._util"})


def _accelerator(module: Any) -> None:
    held: dict[str, list[Any]] = {"routine": [], "reduction": []}
    for kind in held:
        setattr(module, f"get_{kind}_accelerators", lambda kind=kind: list(held[kind]))
        setattr(module, f"set_{kind}_accelerators", lambda new, kind=kind: held.__setitem__(kind, list(new)))
        setattr(module, f"_get_{kind}_accelerators", lambda kind=kind: list(held[kind]))
        setattr(module, f"_set_{kind}_accelerators", lambda new, kind=kind: held.__setitem__(kind, list(new)))


_BODIES: dict[str, Callable[[Any], None]] = {
    "cupy._core.internal": _internal,
    "cupy._util": _util,
    "cupy._core._accelerator": _accelerator,
}


def install(upstream: Path) -> None:
    """Serve stand-ins from now on. `upstream`: the checkout, asked for which names are modules."""
    global _upstream
    _upstream = upstream
    sys.meta_path.append(_Finder)  # type: ignore[arg-type]
    for module, names in PRIVATE_NAMES.items():
        try:
            owner = importlib.import_module(module)
        except ImportError:
            continue
        if isinstance(owner, StandIn):
            continue
        for name in names:
            if _has(owner, name):
                continue
            full = f"{module}.{name}"
            value = importlib.import_module(full) if _exists_upstream(full) else _Raises(full)
            setattr(owner, name, value)


def _has(owner: ModuleType, name: str) -> bool:
    try:
        return getattr(owner, name, None) is not None
    except Exception:
        return False
