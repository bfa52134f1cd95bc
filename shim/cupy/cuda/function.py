"""`cupy.cuda.function`: modules from images (`compiler.compile_using_nvrtc`, cubin or PTX files) and their functions.

An image is bytes read on this machine; the server loads it. What is not in it is an error at the call, which waits.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from cupool.contract.errors import Unsupported
from cupool.contract.ops import row as _row

from ... import dispatch, streams
from ...kernels import _remote
from ...kernels.raw import argument, launch_sizes
from ...objects import RemoteObject

_LAUNCH = _row("@launch")


class CPointer:
    """A kernel argument by its address in this process.

    Attributes:
        ptr: the address.
    """

    ptr: int = 0

    def __init__(self, p: int = 0) -> None:
        self.ptr = p


class _Scalar(CPointer):
    def __init__(self, value: Any) -> None:
        self.val = value
        super().__init__(value.__array_interface__["data"][0])


class CIntptr(_Scalar):
    """A signed 64-bit argument."""

    def __init__(self, v: int) -> None:
        super().__init__(np.array(v, np.int64))


class CUIntMax(_Scalar):
    """An unsigned 64-bit argument."""

    def __init__(self, v: int) -> None:
        super().__init__(np.array(v, np.uint64))


class CNumpyArray(_Scalar):
    """A NumPy array of size one as an argument, by value."""


def _argument(value: Any) -> Any:
    return argument(value.val if isinstance(value, _Scalar) else value)


class Module:
    """A loaded module.

    Attributes:
        ptr: a number that identifies it; 0 until something is loaded.
        mapping: names of instantiated templates.
    """

    __module__ = "cupy.cuda.function"
    mapping: dict[str, str] | None = None

    def __init__(self) -> None:
        self._remote: RemoteObject | None = None

    @property
    def ptr(self) -> int:
        """A number that identifies it; 0 until something is loaded."""
        return 0 if self._remote is None else self._remote.handle

    def load_file(self, filename: Any) -> None:
        """Load an image from a file on this machine."""
        with open(os.fsdecode(filename), "rb") as file:
            self.load(file.read())

    def load(self, cubin: bytes) -> None:
        """Load an image."""
        self._remote = _remote.made("@kernel_binary", (bytes(cubin),), bytes(cubin))

    def _loaded(self) -> RemoteObject:
        if self._remote is None:
            raise ValueError("nothing is loaded into this module")
        return self._remote

    def get_function(self, name: str | bytes) -> Function:
        """A kernel of the module. Waits; raises CUDADriverError when there is none of this name."""
        return Function(self, name.decode() if isinstance(name, bytes) else name)

    def get_global_var(self, name: str | bytes) -> int:
        """The address of a variable of the module. Waits."""
        name = name.decode() if isinstance(name, bytes) else name
        return int(dispatch.call(_row("@kernel_global"), (self._loaded(), name))[0])

    def _set_mapping(self, mapping: dict[str, str] | None) -> None:
        self.mapping = mapping


class Function:
    """A kernel of a module.

    Attributes:
        module: the module.
        ptr: a number that identifies it.
    """

    __module__ = "cupy.cuda.function"
    module: Any = None

    def __init__(self, module: Module, funcname: str) -> None:
        self.module = module
        self._remote = dispatch.construct(_row("@kernel_function"), (module._loaded(), funcname))
        dispatch.call(_row("@kernel_compile"), (self._remote, False))

    @property
    def ptr(self) -> int:
        """A number that identifies it."""
        return self._remote.handle

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: Any, shared_mem: int = 0, stream: Any = None,
        enable_cooperative_groups: bool = False,
    ) -> None:  # fmt: skip
        """Launch it; arguments as `cupy.RawKernel` takes them."""
        if enable_cooperative_groups:
            raise Unsupported(
                "Function(..., enable_cooperative_groups=True) is not supported.",
                "Use RawKernel(enable_cooperative_groups=True).",
            )
        packed = tuple(_argument(a) for a in args)
        with streams.using(stream):
            dispatch.call(_LAUNCH, (self._remote, *launch_sizes(grid, block), packed, int(shared_mem)))

    def linear_launch(
        self, size: int, args: Any, shared_mem: int = 0, block_max_size: int = 128, stream: Any = None,
        enable_cooperative_groups: bool = False,
    ) -> None:  # fmt: skip
        """Launch it with `size` threads along x, in blocks of at most `block_max_size`."""
        grid = min(0x7FFFFFFF, -(-size // block_max_size))
        self((grid,), (min(block_max_size, size),), args, shared_mem, stream, enable_cooperative_groups)


class LinkState:
    """Linking device code is the server's compiler's business."""

    def __init__(self) -> None:
        raise Unsupported(
            "LinkState is not supported: device code is linked on the server, by its compiler.",
            "Compile one source with NVRTC.",
        )


__all__ = ["CIntptr", "CNumpyArray", "CPointer", "CUIntMax", "Function", "LinkState", "Module"]
