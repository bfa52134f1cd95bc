"""Rules of the kernel ops and of arrays by address. The client has decided shapes and dtypes before: see `shim/kernels`."""

from __future__ import annotations

from typing import Any

from cupool.contract.spec import Spec, spec_of

from .common import rule


@rule("nothing")
def nothing(*args: Any) -> None:
    """No result."""


@rule("kernel_outputs")
def kernel_outputs(
    kernel: Any, args: Any, types: Any, shape: Any, outs: Any, size: Any, block_size: Any, out: Any = None
) -> tuple[Spec, ...]:
    """Outputs of an elementwise kernel: packed arrays of one shape."""
    return tuple(spec_of(tuple(shape), dtype) for dtype in outs)


@rule("kernel_reduced")
def kernel_reduced(
    kernel: Any, args: Any, types: Any, axis: Any, keepdims: Any, shape: Any, outs: Any, out: Any = None
) -> tuple[Spec, ...]:
    """Outputs of a reduction kernel: packed arrays of one shape."""
    return tuple(spec_of(tuple(shape), dtype) for dtype in outs)


@rule("from_pointer")
def from_pointer(address: int, dtype: Any, shape: Any, strides: Any) -> Spec:
    """The array that the caller describes."""
    return spec_of(tuple(shape), dtype, tuple(strides))
