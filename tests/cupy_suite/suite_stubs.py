"""Importable stand-ins for modules of CuPy that the shim does not have, so that a missing one costs the tests that use it and not the
whole file. What a stand-in gives raises NotImplementedError when it is called.

Boundary: private modules and names are marked with PRIVATE in the message, and the plugin books tests that die there as "private".
"""

from __future__ import annotations

import importlib
import importlib.util
import re
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
    "cupyx.profiler": ("_time",),
    "cupyx.tools": ("install_library",),
    "cupyx.distributed": ("_store",),
    "cupy._indexing": ("generate",),
    "cupy.cuda": ("_compiler_cache", "_cupy"),
    # Places that tests patch around what they are about: the compiler's cache and switches.
    "cupy.cuda.compiler": ("_kernel_cache_backend", "_empty_file_preprocess_cache", "_get_bool_env_variable"),
    "cupy_backends.cuda": ("stream",),
    "cupy.linalg": ("_util",),
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


#: Private attributes of CuPy's public objects that tests look at.
PRIVATE_ATTRIBUTES = ("_c_contiguous", "_cached_codes", "_f_contiguous", "_kernel_cache", "_interval", "_loops", "_ops")

_NO_ATTRIBUTE = re.compile(r"module '([\w.]+)' has no attribute '(\w+)'")
_NO_NAME = re.compile(r"cannot import name '(\w+)' from '([\w.]+)'")
_NO_MEMBER = re.compile(rf"object has no attribute '({'|'.join(PRIVATE_ATTRIBUTES)})'")


def _public(name: str) -> str:
    return name.removeprefix("cupool.shim.")


def is_private(name: str) -> bool:
    name = _public(name)
    return name.startswith("cupy_backends") or any(part.startswith("_") for part in name.split("."))


def died_in_private(text: str) -> bool:
    """Whether the text of a failure is about something private that the shim does not have."""
    if PRIVATE in text or "PrivateStandIn" in text or _NO_MEMBER.search(text):
        return True
    missing = [f"{m[1]}.{m[2]}" for m in _NO_ATTRIBUTE.finditer(text)] + [
        f"{m[2]}.{m[1]}" for m in _NO_NAME.finditer(text)
    ]
    return any(is_private(name) for name in missing if _public(name).startswith("cupy"))


class _Raises:
    """What a stand-in gives for a name: may be passed around and looked at, not called."""

    def __init__(self, full: str) -> None:
        self._full = full
        self.__name__ = full.rpartition(".")[2]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError((PRIVATE if is_private(self._full) else MISSING) + self._full)

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        return (type(self.__name__, (), {"__init__": lambda *args, **kwargs: self()}),)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return raising(f"{self._full}.{name}")


class PrivateStandIn(_Raises):
    """A private name: its class shows in the messages of what fails on it."""


class MissingStandIn(_Raises):
    """A public name."""


def raising(full: str) -> _Raises:
    return (PrivateStandIn if is_private(full) else MissingStandIn)(full)


class StandIn(ModuleType):
    """A module that the shim does not have."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        full = f"{_public(self.__name__)}.{name}"
        if _exists_upstream(full):
            return importlib.import_module(full)
        value: Any = raising(full)
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
        name = _public(fullname)
        if name.partition(".")[0] not in ("cupy", "cupyx", "cupy_backends"):
            return None
        if not is_private(name) and not _exists_upstream(name):
            return None  # CuPy has none either: the import must fail
        return ModuleSpec(fullname, _Loader(), is_package=True)  # type: ignore[arg-type]


class _Loader:
    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        return StandIn(spec.name)

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        fill = _BODIES.get(_public(module.__name__))
        if fill is not None:
            fill(module)


# -- private names with real bodies: upstream's own testing package needs them -----------------------------------------------


def _accelerator(module: Any) -> None:
    held: dict[str, list[Any]] = {"routine": [], "reduction": []}
    for kind in held:
        setattr(module, f"get_{kind}_accelerators", lambda kind=kind: list(held[kind]))
        setattr(module, f"set_{kind}_accelerators", lambda new, kind=kind: held.__setitem__(kind, list(new)))
        setattr(module, f"_get_{kind}_accelerators", lambda kind=kind: list(held[kind]))
        setattr(module, f"_set_{kind}_accelerators", lambda new, kind=kind: held.__setitem__(kind, list(new)))


def _gufuncs(module: Any) -> None:
    from cupyx import _gufunc

    module._GUFunc = _gufunc.GeneralizedUFunc
    module._parse_gufunc_signature = _gufunc._parse_gufunc_signature


def _install_library(module: Any) -> None:
    module.library_records = {"nccl": [], "cutensor": []}


def _compiler_cache(module: Any) -> None:
    class DiskKernelCacheBackend:
        """To be patched in; not to be used."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            pass

        def __getattr__(self, name: str) -> Any:
            raise NotImplementedError(f"{PRIVATE}cupy.cuda._compiler_cache.DiskKernelCacheBackend.{name}")

    module.DiskKernelCacheBackend = DiskKernelCacheBackend


def _random_module(module: Any) -> None:
    """Upstream keeps the public functions of `cupy.random` in private modules."""
    import cupy.random

    for name in cupy.random.__all__:
        setattr(module, name, getattr(cupy.random, name))


def _backends_stream(module: Any) -> None:
    module.get_default_stream_ptr = lambda: 1  # the legacy default stream


_BODIES: dict[str, Callable[[Any], None]] = {
    "cupyx.tools.install_library": _install_library,
    "cupy._core._gufuncs": _gufuncs,
    "cupy.cuda._compiler_cache": _compiler_cache,
    "cupy.random._permutations": _random_module,
    "cupy_backends.cuda.stream": _backends_stream,
    "cupy._core._accelerator": _accelerator,
}


class _Limit:
    """`cupy.cublas`'s limit up to which solve uses a batched routine of cuBLAS: here only kept."""

    value = 2048

    def get(self) -> int:
        return self.value

    def set(self, limit: int) -> None:
        self.value = limit


_limit = _Limit()


def _get_size(size: Any) -> tuple[int, ...]:
    """`cupy._core.get_size`, by which tests say what shape they expect."""
    return () if size is None else (size,) if isinstance(size, int) else tuple(size)


#: What tests ask of thin wrappers of CUDA's libraries, to know what to skip: nothing is skipped.
_ANSWERS: dict[str, dict[str, Any]] = {
    "cupyx.cusolver": {"check_availability": lambda name: True},
    "cupyx.cusparse": {"check_availability": lambda name: True},
    "cupy.cuda.compiler": {"_run_cc": lambda *args: "release 12.9"},
    # The second and third are called while a file is imported, for some of its tests.
    "cupy._core": {"get_size": _get_size}
    | {
        name: lambda *args, name=name, **kwargs: raising(f"cupy._core.{name}")
        for name in ("create_reduction_func", "create_ufunc")
    },
    "cupy.cublas": {"get_batched_gesv_limit": _limit.get, "set_batched_gesv_limit": _limit.set},
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
            is_module = _exists_upstream(full) and hasattr(owner, "__path__")
            value = importlib.import_module(full) if is_module else raising(full)
            setattr(owner, name, value)
    for module, answers in _ANSWERS.items():
        try:
            owner = importlib.import_module(module)
        except ImportError:
            continue
        for name, answer in answers.items():
            has_code = hasattr(owner, "__file__") and _has(owner, name)
            if not isinstance(owner, StandIn) and not has_code:
                setattr(owner, name, answer)
    cuda: Any = importlib.import_module("cupy.cuda")
    if cuda.get_nvcc_path() is None:
        # A file of upstream asks for its version while it is imported.
        cuda.get_nvcc_path = lambda: "nvcc"


def _has(owner: ModuleType, name: str) -> bool:
    return getattr(owner, name, None) is not None
