"""What many rules need: specs of array-like arguments, axes, broadcast shapes, promotion, `out=` checks.

Boundary: pure; knows shapes and dtypes, never data. A shadow is only ever *viewed*, never read or copied.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from cupool.contract.spec import Spec, spec_like, spec_of

__all__ = [
    "as_spec", "broadcast", "check_out", "dtype_of", "is_scalar", "is_sequence", "packed", "prod", "promote", "reshaped_view",
    "shape_of", "to_axis", "to_shape",
]  # fmt: skip

to_axis = normalize_axis_index


def is_scalar(value: Any) -> bool:
    """A Python or NumPy scalar, not a Spec and not an array."""
    return isinstance(value, (bool, int, float, complex, np.generic))


def is_sequence(value: Any) -> bool:
    """A list or tuple."""
    return isinstance(value, (list, tuple))


def rows_of(a: Spec) -> list[Spec]:
    """The specs of what a loop over an array meets.

    Raises:
        TypeError: an array without dimensions.
    """
    if a.ndim == 0:
        raise TypeError("iteration over a 0-d array")
    return [spec_like(a.shadow[i]) for i in range(a.shape[0])]


def as_spec(value: Any) -> Spec:
    """The spec of an array-like argument: a Spec itself, or what CuPy would make of a host array, scalar or (nested) sequence.

    Raises:
        ValueError: host data of a dtype that CuPy does not have.
    """
    if isinstance(value, Spec):
        return value
    if is_sequence(value) and any(isinstance(item, Spec) for item in value):
        items = [as_spec(item) for item in value]
        if len({item.shape for item in items}) > 1:
            raise ValueError(
                "setting an array element with a sequence. The requested array has an inhomogeneous shape."
            )
        return spec_of((len(items), *items[0].shape), promote(*items))
    array = np.asarray(value)
    if array.dtype.kind not in "biufcV":
        raise ValueError(f"Unsupported dtype {array.dtype}")
    return spec_of(array.shape, array.dtype)


def dtype_of(value: Any) -> Any:
    """What `numpy.result_type` must see: the dtype of an array, a Python scalar as it is (weak)."""
    if isinstance(value, Spec):
        return value.dtype
    return value if is_scalar(value) else as_spec(value).dtype


def promote(*values: Any) -> np.dtype[Any]:
    """NEP 50 promotion of arrays and scalars."""
    return np.result_type(*(dtype_of(value) for value in values))


def shape_of(value: Any) -> tuple[int, ...]:
    """Shape of an array-like argument; () for scalars."""
    return () if is_scalar(value) else as_spec(value).shape


def prod(numbers: Iterable[int]) -> int:
    """The product, as a Python int."""
    result = 1
    for n in numbers:
        result *= n
    return result


def packed(shape: Sequence[int], dtype: Any, order: str = "C") -> Spec:
    """The spec of a new array."""
    return spec_of(tuple(int(n) for n in shape), np.dtype(dtype), order=order)


def to_shape(shape: Any) -> tuple[int, ...]:
    """A shape argument as a tuple of ints. None is ()."""
    if shape is None:
        return ()
    if isinstance(shape, Spec):
        raise TypeError("a shape must be given as Python integers, not as a device array")
    result = tuple(operator.index(n) for n in (shape if np.iterable(shape) else (shape,)))
    if any(n < 0 for n in result):
        raise ValueError("negative dimensions are not allowed")
    return result


def broadcast(*values: Any) -> tuple[int, ...]:
    """The broadcast shape of array-like arguments or of shapes given as tuples.

    Raises:
        ValueError: CuPy's text.
    """
    shapes = [shape_of(value) for value in values]
    ndim = max((len(shape) for shape in shapes), default=0)
    result = []
    for i in range(-ndim, 0):
        lengths = {shape[i] for shape in shapes if len(shape) >= -i}
        lengths.discard(1)
        if len(lengths) > 1:
            texts = " ".join(str(shape) for shape in shapes)
            raise ValueError(f"operands could not be broadcast together with shapes {texts}")
        result.append(lengths.pop() if lengths else 1)
    return tuple(result)


def check_out(out: Any, shape: tuple[int, ...], dtype: Any = None, casting: Any = "same_kind") -> Spec:
    """Check an `out=` argument and return its spec: the call's result is the given array."""
    if not isinstance(out, Spec):
        raise TypeError(f"Argument 'out' has incorrect type (expected cupy.ndarray, got {type(out).__name__})")
    if out.shape != tuple(shape):
        raise ValueError(f"Output shape mismatch: expected {tuple(shape)}, got {out.shape}")
    if dtype is not None and not np.can_cast(dtype, out.dtype, casting):
        raise TypeError(f"output (typecode {out.dtype.char!r}) could not be coerced from dtype {np.dtype(dtype)}")
    return out


def reshaped_view(
    shadow: np.ndarray[Any, Any], shape: tuple[int, ...], order: str = "C"
) -> np.ndarray[Any, Any] | None:
    """The reshaped view of a shadow, or None where a reshape would have to copy (which must never touch a shadow)."""
    try:
        return shadow.reshape(shape, order=order, copy=False)  # type: ignore[call-overload,no-any-return]
    except ValueError:
        if prod(shape) != shadow.size:
            raise
        return None
