"""What the functions share: dtypes that SciPy lacks, boundary modes per axis, and where a result goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...casting import assign, cast

Array = np.ndarray[Any, Any]

#: Boundary mode -> `numpy.pad`'s.
_PADS: dict[str, Any] = {
    "reflect": "symmetric", "grid-mirror": "symmetric", "grid-reflect": "symmetric", "mirror": "reflect", "nearest": "edge",
    "wrap": "wrap", "grid-wrap": "wrap", "constant": "constant",
}  # fmt: skip


def wide(a: Array) -> Array:
    """`a` in a dtype that SciPy has: float16 becomes float32."""
    return a.astype(np.float32) if a.dtype == np.float16 else a


def result_dtype(output: Any, a: Array, is_complex: bool = False) -> np.dtype[Any]:
    """The dtype that an `output=` argument asks for. `is_complex`: the values are complex, so a real dtype is promoted."""
    dtype = a.dtype if output is None else output.dtype if isinstance(output, np.ndarray) else np.dtype(output)
    return np.promote_types(dtype, np.complex64) if is_complex and dtype.kind != "c" else dtype


def deliver(result: Any, output: Any, dtype: np.dtype[Any]) -> Array:
    """Put a result where it belongs: into an `output` array, or into a new one of `dtype`."""
    result = np.asarray(result)
    if isinstance(output, np.ndarray):
        assign(output, result)
        return output
    return cast(result, dtype, order="C", copy=False)


def computed(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What SciPy is to write for a result of `dtype`: half precision has more, and a boolean is whether a number is zero."""
    if dtype == np.bool_:
        return np.dtype(np.float64)
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def each(value: Any, n: int) -> list[Any]:
    """One value per axis, from one for all or a sequence."""
    if isinstance(value, str) or not np.iterable(value):
        return [value] * n
    return list(value)


def axes_of(axes: Any, ndim: int) -> tuple[int, ...]:
    """Non-negative axes; None is all."""
    if axes is None:
        return tuple(range(ndim))
    return tuple(int(axis) % ndim for axis in (axes if np.iterable(axes) else (axes,)))


def spread(values: Sequence[Any], axes: tuple[int, ...], ndim: int, rest: Any) -> list[Any]:
    """Values per chosen axis as values per axis."""
    found = [rest] * ndim
    for value, axis in zip(values, axes, strict=True):
        found[axis] = value
    return found


def with_modes(
    run: Callable[[Array, str], Array], a: Array, widths: Sequence[int], modes: Sequence[str], cval: Any
) -> Array:
    """Run a filter with a boundary mode of its own per axis: around each axis as much as the filter reaches is added first.

    Args:
        run: (array, mode) -> the filtered array.
        a: the input.
        widths: of the filter along each axis.
        modes: per axis.
        cval: for the mode "constant".
    """
    modes = ["reflect" if mode == "grid-reflect" else mode for mode in modes]
    wanted = {mode for mode, width in zip(modes, widths, strict=True) if width > 1}
    if len(wanted) <= 1:
        return run(a, wanted.pop() if wanted else "reflect")
    inner = []
    for axis, (width, mode) in enumerate(zip(widths, modes, strict=True)):
        if width <= 1:
            inner.append(slice(None))
            continue
        around = [(0, 0)] * a.ndim
        around[axis] = (width, width)
        options: Any = {"constant_values": cval} if mode == "constant" else {}
        a = np.pad(a, around, mode=_PADS[mode], **options)
        inner.append(slice(width, -width))
    return run(a, "constant")[tuple(inner)]
