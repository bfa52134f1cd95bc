"""RawKernel and RawModule. A launch is one command; nothing is compiled, and nothing waited for, before the server runs it.

So a source that does not compile is a deferred error: it comes at the next wait, with the line of the launch. `compile()` and
`RawModule.get_function` wait, since CuPy compiles there.
"""

from __future__ import annotations

import operator
import os
import pickle
from typing import Any

import numpy as np

from cupool.contract.errors import CUDADriverError, Unsupported
from cupool.contract.ops import row

from .. import dispatch, streams
from ..objects import RemoteObject
from . import _remote, output
from .includes import gather
from .mdspan import mdspan

_LAUNCH = row("@launch")
_MAX_GRID = (2**31 - 1, 65535, 65535)
_MAX_BLOCK = (1024, 1024, 64)
_MAX_THREADS = 1024
#: What CuPy's unpickling compares.
_RAW_VERSION = 2
_ATTRIBUTES = (
    "max_threads_per_block", "shared_size_bytes", "const_size_bytes", "local_size_bytes", "num_regs", "ptx_version", "binary_version",
    "cache_mode_ca", "max_dynamic_shared_size_bytes", "preferred_shared_memory_carveout",
)  # fmt: skip


def _require(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"Argument '{name}' has incorrect type (expected {kind.__name__}, got {type(value).__name__})")
    return value


def _warn_jitify(jitify: Any) -> None:
    if jitify is not None:
        import warnings

        warnings.warn("The `jitify` option is deprecated; it has no effect here.", DeprecationWarning, stacklevel=3)


def _read(path: str) -> bytes:
    """The bytes of a compiled module on this machine. Raises CUDADriverError when there is no such file, as CUDA does."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise CUDADriverError(301, f"CUDA_ERROR_FILE_NOT_FOUND: file not found: {path!r}: {error.strerror}") from None


def _module(code: str | None, path: str | None, options: tuple[str, ...], backend: str, translate: bool, cooperative: bool,
            expressions: tuple[str, ...] | None) -> RemoteObject:  # fmt: skip
    if code is None:
        assert path is not None
        image = _read(path)
        return _remote.made("@kernel_binary", (image,), image)
    kept, headers = gather(code, options)
    args = (code, kept, backend, bool(translate), bool(cooperative), None, expressions, headers)
    return _remote.made("@kernel_raw", args, (*args[:7], tuple(sorted(headers.items()))))


def _compile(remote: RemoteObject, log_stream: Any) -> frozenset[str] | None:
    """Compile now. Returns the names of the module's kernels, None where the device does not list them."""
    answer = dispatch.call(row("@kernel_compile"), (remote, log_stream is not None))
    if log_stream is not None:
        log_stream.write(answer["log"])
    kernels = answer["kernels"]
    return None if kernels is None else frozenset(kernels)


class RawKernel:
    """A kernel in CUDA C++, as `cupy.RawKernel`."""

    __module__ = "cupy"

    def __init__(self, code: str, name: str, options: tuple[str, ...] = (), backend: str = "nvrtc", *, translate_cucomplex: bool = False,
                 enable_cooperative_groups: bool = False, jitify: Any = None) -> None:  # fmt: skip
        self.code: str | None = _require(code, str, "code")
        self.name = self.__name__ = _require(name, str, "name")
        self.options: tuple[str, ...] = _require(options, tuple, "options")
        self.backend: str = _require(backend, str, "backend")
        self.translate_cucomplex = bool(translate_cucomplex)
        self.enable_cooperative_groups = bool(enable_cooperative_groups)
        self.jitify = jitify
        _warn_jitify(jitify)
        self.file_path: str | None = None
        self.name_expressions: tuple[str, ...] | None = None
        self._prepare()

    def _prepare(self) -> None:
        self._function: RemoteObject | None = None
        self._set: dict[str, int] = {}
        self._prints = output.may_print(self.code)

    def _remote(self) -> RemoteObject:
        function = self._function
        if function is None or not _remote.is_alive(function):
            module = _module(
                self.code, self.file_path, self.options, self.backend, self.translate_cucomplex, self.enable_cooperative_groups,
                self.name_expressions,
            )  # fmt: skip
            function = self._function = dispatch.construct(row("@kernel_function"), (module, self.name))
            for name, value in self._set.items():
                dispatch.call(row("@kernel_set_attribute"), (function, name, value))
        return function

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: Any, *, shared_mem: int = 0, stream: Any = None
    ) -> None:
        """Launch the kernel.

        Args:
            grid: blocks along x, y, z.
            block: threads of a block along x, y, z.
            args: arrays (their first element's address), None (a null pointer), numbers (with the width of their NumPy type; Python
                numbers 64 bits), NumPy arrays of size one (by value).
            shared_mem: bytes of dynamic shared memory.
        """
        sizes = launch_sizes(grid, block)
        if shared_mem < 0:
            raise OverflowError("can't convert negative value to size_t")
        packed = tuple([a if type(a) is dispatch.ndarray else argument(a) for a in args])
        call = (self._remote(), *sizes, packed, int(shared_mem))
        if stream is None:
            dispatch.call(_LAUNCH, call)
        else:
            with streams.using(stream):
                dispatch.call(_LAUNCH, call)
        if self._prints:
            output.expect()

    @property
    def kernel(self) -> RawKernel:
        """The launchable function: here the kernel itself."""
        return self

    def compile(self, log_stream: Any = None) -> None:
        """Compile now, and write what the compiler has to say to `log_stream`. Waits; raises CompileException."""
        _compile(self._remote(), log_stream)

    # -- attributes -------------------------------------------------------------------------------------------------------

    @property
    def attributes(self) -> dict[str, int]:
        """What the compiled kernel needs and is limited to; -1 where the device does not tell. Waits."""
        answer = dispatch.call(row("@kernel_attributes"), (self._remote(),))
        return {name: int(answer[name]) for name in _ATTRIBUTES}

    def _set_attribute(self, name: str, value: Any) -> None:
        dispatch.call(row("@kernel_set_attribute"), (self._remote(), name, int(value)))
        self._set[name] = int(value)

    max_threads_per_block = property(lambda self: self.attributes["max_threads_per_block"])
    shared_size_bytes = property(lambda self: self.attributes["shared_size_bytes"])
    const_size_bytes = property(lambda self: self.attributes["const_size_bytes"])
    local_size_bytes = property(lambda self: self.attributes["local_size_bytes"])
    num_regs = property(lambda self: self.attributes["num_regs"])
    ptx_version = property(lambda self: self.attributes["ptx_version"])
    binary_version = property(lambda self: self.attributes["binary_version"])
    cache_mode_ca = property(lambda self: self.attributes["cache_mode_ca"])
    max_dynamic_shared_size_bytes = property(
        lambda self: self.attributes["max_dynamic_shared_size_bytes"],
        lambda self, value: self._set_attribute("max_dynamic_shared_size_bytes", value),
    )
    preferred_shared_memory_carveout = property(
        lambda self: self.attributes["preferred_shared_memory_carveout"],
        lambda self, value: self._set_attribute("preferred_shared_memory_carveout", value),
    )

    # -- pickling ---------------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        names = ("code", "name", "options", "backend", "translate_cucomplex", "file_path", "name_expressions", "enable_cooperative_groups",
                 "jitify")  # fmt: skip
        return {**{name: getattr(self, name) for name in names}, "raw_ver": _RAW_VERSION}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state.get("raw_ver") != _RAW_VERSION:
            raise pickle.UnpicklingError(
                "The pickled RawKernel comes from another version. Make the kernel again from its source."
            )
        for name, value in state.items():
            if name != "raw_ver":
                setattr(self, name, value)
        self.__name__ = self.name
        self._prepare()


def launch_sizes(grid: Any, block: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Three sizes each. Raises TypeError, IndexError and CUDADriverError as CuPy's launch does, which takes 1 for less than 1."""
    _require(grid, tuple, "grid")
    _require(block, tuple, "block")
    if not grid or not block:
        raise IndexError(
            f"a launch needs the sizes of its grid and its blocks along x at least: grid {grid}, block {block}"
        )
    grid = tuple([max(1, operator.index(n)) for n in (*grid, 1, 1)[:3]])
    block = tuple([max(1, operator.index(n)) for n in (*block, 1, 1)[:3]])
    too_large = any(n > most for n, most in zip((*grid, *block), (*_MAX_GRID, *_MAX_BLOCK), strict=True))
    if too_large or block[0] * block[1] * block[2] > _MAX_THREADS:
        raise CUDADriverError(1, "CUDA_ERROR_INVALID_VALUE: invalid argument")
    return grid, block


def argument(value: Any) -> Any:
    """A launch argument as it travels: an array, None, or a number. Raises TypeError for what no kernel takes."""
    if value is None or isinstance(value, (dispatch.ndarray, bool, float, complex, np.generic)):
        return value
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 64:
            raise OverflowError("Python int too large to convert to a kernel argument")
        return value
    if isinstance(value, np.ndarray):
        if value.size == 1:
            return value.reshape(())[()]
        raise TypeError(
            f"You are trying to pass a numpy.ndarray of shape {value.shape} as a kernel parameter. Only numpy.ndarrays of size one can be "
            "passed by value. If you meant to pass a pointer to __global__ memory, you need to pass a cupy.ndarray instead."
        )
    convert = getattr(value, "__cupy_get_ndarray__", None)
    if convert is not None:
        return convert()
    if isinstance(value, mdspan):
        return value.as_argument()
    if hasattr(value, "ptr") and hasattr(value, "mem"):  # a MemoryPointer
        return np.uint64(value.ptr)
    if hasattr(value, "__cuda_array_interface__"):
        return np.uint64(value.__cuda_array_interface__["data"][0])
    raise TypeError(f"Unsupported type {type(value)}")


class RawModule:
    """A module in CUDA C++, or a compiled one, as `cupy.RawModule`."""

    __module__ = "cupy"

    def __init__(self, *, code: str | None = None, path: str | os.PathLike[str] | None = None, options: tuple[str, ...] = (),
                 backend: str = "nvrtc", translate_cucomplex: bool = False, enable_cooperative_groups: bool = False,
                 name_expressions: Any = None, jitify: Any = None) -> None:  # fmt: skip
        if (code is None) == (path is None):
            raise TypeError("Exactly one of `code` and `path` keyword arguments must be given.")
        if name_expressions is not None:
            if code is None:
                raise ValueError("need CUDA C++ code for the requested kernels")
            if backend != "nvrtc":
                raise ValueError("only nvrtc supports retrieving the mangled names for the given name expressions")
        if jitify and code is None:
            raise ValueError("Jitify does not support precompiled objects")
        if jitify and backend != "nvrtc":
            raise ValueError("Jitify only supports NVRTC")
        _warn_jitify(jitify)
        self.name_expressions: tuple[str, ...] | None = None if name_expressions is None else tuple(name_expressions)
        self.code = None if code is None else _require(code, str, "code")
        self.file_path = None if path is None else os.fspath(path)
        self.enable_cooperative_groups = bool(enable_cooperative_groups)
        self.jitify = jitify
        self.options: tuple[str, ...] = _require(options, tuple, "options") if code is not None else ()
        self.backend = backend if code is not None else "nvcc"
        self.translate_cucomplex = bool(translate_cucomplex) and code is not None
        #: The remote module whose kernels are known, and their names; None where the device does not list them.
        self._checked: RemoteObject | None = None
        self._kernels: frozenset[str] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_checked": None, "_kernels": None}

    def _remote(self) -> RemoteObject:
        return _module(self.code, self.file_path, self.options, self.backend, self.translate_cucomplex, self.enable_cooperative_groups,
                       self.name_expressions)  # fmt: skip

    @property
    def module(self) -> RawModule:
        """The loaded module: here the module itself."""
        return self

    def compile(self, log_stream: Any = None) -> None:
        """Compile now, and write what the compiler has to say to `log_stream`. Waits; raises CompileException."""
        _compile(self._remote(), log_stream)

    def get_function(self, name: str) -> RawKernel:
        """The kernel of this name, or of one of the name expressions.

        Waits for the first one of a module, which is compiled here as CuPy compiles it here.

        Raises:
            CompileException: the source does not compile.
            CUDADriverError: the module has no such kernel.
        """
        module = self._remote()
        if module is not self._checked:
            self._kernels = _compile(module, None)
            self._checked = module
        kernel: RawKernel = RawKernel.__new__(RawKernel)
        kernel.__setstate__({
            "code": self.code, "name": _require(name, str, "name"), "options": self.options, "backend": self.backend,
            "translate_cucomplex": self.translate_cucomplex, "file_path": self.file_path, "name_expressions": self.name_expressions,
            "enable_cooperative_groups": self.enable_cooperative_groups, "jitify": self.jitify, "raw_ver": _RAW_VERSION,
        })  # fmt: skip
        if self._kernels is None:
            kernel.compile()
        elif name not in self._kernels:
            raise CUDADriverError(500, f"CUDA_ERROR_NOT_FOUND: named symbol not found: {name!r}")
        return kernel

    def get_global(self, name: str) -> Any:
        """A pointer to the `__device__` or `__constant__` variable of this name. Waits."""
        from ..cupy.cuda.memory import MemoryPointer, UnownedMemory

        module = self._remote()
        address, nbytes = dispatch.call(row("@kernel_global"), (module, _require(name, str, "name")))
        if not nbytes:
            raise Unsupported(f"The size of the global {name!r} is not known.", "Declare it with a size.")
        return MemoryPointer(UnownedMemory(int(address), int(nbytes), module), 0)


__all__ = ["RawKernel", "RawModule", "argument"]
