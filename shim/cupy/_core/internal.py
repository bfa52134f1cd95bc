"""`cupy._core.internal`: what upstream's own testing package and programs take from it."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


def prod(args: Iterable[int]) -> int:
    """Product of integers."""
    return math.prod(args)


prod_sequence = prod


def is_in(args: Sequence[int], x: int) -> bool:
    """Whether `x` is one of `args`."""
    return x in args


def clp2(x: int) -> int:
    """The smallest power of two that is not below `x`; 0 for 0."""
    return 1 << (x - 1).bit_length() if x > 0 else 0


def _check_not_bool(x: Any) -> None:
    if isinstance(x, (bool, np.bool_)) or (isinstance(x, np.ndarray) and x.shape == () and x.dtype == np.bool_):
        raise TypeError("an integer is required")


def get_size(size: Any) -> tuple[Any, ...]:
    """A size as a tuple; whether its items are integers is not looked at. Raises TypeError for None and for booleans."""
    if size is None:
        raise TypeError("Use () not None as shape arguments")
    items = tuple(size) if isinstance(size, Iterable) and getattr(size, "ndim", None) != 0 else (size,)
    for item in items:
        _check_not_bool(item)
    return items


def get_c_contiguity(shape: Sequence[int], strides: Sequence[int], itemsize: int) -> bool:
    """Whether elements lie behind each other in C's order. Strides are bytes."""
    expected = itemsize
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n == 0:
            return True
        if n != 1:
            if stride != expected:
                return False
            expected *= n
    return True


def _normalize_axis_index(axis: int, ndim: int) -> int:
    """An axis from 0 on. Raises AxisError when there is none."""
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim)
    return axis + ndim if axis < 0 else axis


def _normalize_axis_indices(axes: Any, ndim: int, sort_axes: bool = True) -> tuple[int, ...]:
    """Axes from 0 on, all of them for None. Raises AxisError, or ValueError when one is there twice."""
    if axes is None:
        return tuple(range(ndim))
    given = [_normalize_axis_index(a, ndim) for a in (axes if isinstance(axes, tuple) else (axes,))]
    if len(set(given)) != len(given):
        raise ValueError("duplicate value in 'axis'")
    return tuple(sorted(given) if sort_axes else given)


def _broadcast_shapes(shapes: Iterable[Sequence[int]]) -> tuple[int, ...]:
    """Raises ValueError when they do not go together."""
    return np.broadcast_shapes(*(tuple(s) for s in shapes))


def vector_equal(x: Sequence[int], y: Sequence[int]) -> bool:
    """Whether two sequences of integers are the same."""
    return tuple(x) == tuple(y)


def infer_unknown_dimension(shape: Sequence[int], size: int) -> list[int]:
    """`shape` with the length that was left out (negative). Raises ValueError when `size` elements cannot have it."""
    found = [int(n) for n in shape]
    unknown = [i for i, n in enumerate(found) if n < 0]
    known = math.prod(n for n in found if n >= 0)
    if not unknown and known == size:
        return found
    if len(unknown) > 1:
        raise ValueError("can only specify one unknown dimension")
    if not unknown or known == 0 or size % known:
        raise ValueError(f"cannot reshape array of size {size} into shape {tuple(shape)}")
    found[unknown[0]] = size // known
    return found


def complete_slice(slc: slice, dim: int) -> slice:
    """A slice's start, stop and step as integers within an axis of length `dim`; from an end downwards to -1.

    Raises:
        TypeError: a part that is no integer.
        ValueError: a step of zero.
    """
    parts: dict[str, int | None] = {}
    for name in ("step", "start", "stop"):
        given = getattr(slc, name)
        try:
            parts[name] = None if given is None else operator.index(given)
        except TypeError:
            raise TypeError(f"slice.{name} must be int or None or have __index__ method: {slc}") from None
    if parts["step"] == 0:
        raise ValueError("Slice step must be nonzero.")
    start, stop, step = slice(parts["start"], parts["stop"], parts["step"]).indices(dim)
    return slice(start, max(start, stop) if step > 0 else min(start, stop), step)
