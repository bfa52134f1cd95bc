"""`cupyx.jit.rawkernel`: translated at the first call with given types, and launched as a RawKernel."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.errors import Unsupported

from ... import dispatch
from ..listing import Codes
from ..raw import RawKernel
from .scope import Program
from .translate import add_function
from .types import VOID, Array, CType, Scalar, of_scalar

#: What a translated source is compiled with.
OPTIONS = ("-DCUPY_JIT_MODE", "--std=c++17")


def translate(function: Callable[..., Any], attributes: tuple[str, ...], mode: str, types: tuple[CType, ...],
              result: CType | None) -> tuple[str, str, CType, bool]:  # fmt: skip
    """Translate a function and all that it calls.

    Returns:
        its name in the source, the source, the type of its result, and whether its grid waits for all its blocks.
    """
    program = Program(mode)
    name, kind = add_function(function, attributes, types, result, program)
    return name, program.text(), kind, program.is_cooperative


class JitKernel(Codes):
    """A Python function as a kernel, or as a function that kernels call.

    Attributes:
        function: the Python function.
        is_device: whether kernels call it.
    """

    __module__ = "cupyx.jit"

    def __init__(self, function: Callable[..., Any], mode: str, is_device: bool) -> None:
        self.function = function
        self.is_device = is_device
        self._mode = mode
        self._sources: dict[tuple[CType, ...], str] = {}
        self._kernels: dict[tuple[CType, ...], RawKernel] = {}
        functools.update_wrapper(self, function)

    def __call__(self, grid: Any, block: Any, args: tuple[Any, ...], shared_mem: int = 0, stream: Any = None) -> None:
        """Launch the kernel.

        Args:
            grid, block: sizes, as of a RawKernel.
            args: arrays and numbers; their types decide how the function is translated.
            shared_mem: bytes of dynamic shared memory.

        Raises:
            TypeError: an argument of another type.
            what the translation raises: see the guide of `cupyx.jit` for what a kernel may say.
        """
        types = tuple(_type_of(a, self._mode) for a in args)
        kernel = self._kernels.get(types)
        if kernel is None:
            kernel = self._kernels[types] = self._translated(types)
        values = tuple(_as_passed(a, t) if isinstance(t, Scalar) else a for a, t in zip(args, types, strict=True))
        kernel(grid, block, values, shared_mem=shared_mem, stream=stream)

    def _translated(self, types: tuple[CType, ...]) -> RawKernel:
        name, text, _, is_cooperative = translate(self.function, ('extern "C"', "__global__"), self._mode, types, VOID)
        self._sources[types] = text
        return RawKernel(text, name, OPTIONS, enable_cooperative_groups=is_cooperative)

    def __getitem__(self, grid_and_block: Any) -> Callable[..., None]:
        """`kernel[grid, block](*args)`."""
        grid, block = (n if isinstance(n, tuple) else (n, 1, 1) for n in grid_and_block)
        return lambda *args, **kwargs: self(grid, block, args, **kwargs)

    @property
    def _cached_codes(self) -> dict[Any, str]:
        return dict(self._sources)

    def get_lto_ir(self, args: tuple[Any, ...]) -> bytes:
        """Not supported: see the message."""
        raise Unsupported(
            "get_lto_ir is not supported: link-time IR is for a linker in this process, and kernels are compiled on the server.",
            "`cached_code` gives the CUDA C++ source.",
        )


def _type_of(value: Any, mode: str) -> CType:
    if isinstance(value, dispatch.ndarray):
        spec = value._resolve()
        return Array(spec.dtype, len(spec.shape), spec.c_contiguous)
    if isinstance(value, (bool, int, float, complex, np.bool_, np.number)):
        return of_scalar(mode, value)
    raise TypeError(f"{type(value)} is not supported for RawKernel")


def _as_passed(value: Any, kind: Scalar) -> Any:
    return np.float32(value) if kind.spelling == "float" else kind.dtype.type(value)


def rawkernel(*, mode: str = "cuda", device: bool = False) -> Callable[[Callable[..., Any]], JitKernel]:
    """Decorator: compile a Python function to a kernel.

    Args:
        mode: 'cuda': types follow C's habits; 'numpy': NumPy's.
        device: make it a function that kernels call.
    """
    if mode not in ("cuda", "numpy"):
        raise ValueError(f"mode must be 'cuda' or 'numpy', not {mode!r}")
    return lambda function: JitKernel(function, mode, device)
