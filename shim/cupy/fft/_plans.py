"""The plans that CuPy makes for a transform: which, with what keys, and whether a given one fits. Pure; knows shapes and dtypes.

The server plans for itself. Programs see plans all the same: they make some ahead (`get_fft_plan`), pass them or enter them, and look
into the cache; so a plan that does not fit is refused here, and the cache fills as CuPy's does.

    line   one plan per axis, `Plan1d`
    nd     one `PlanNd` for neighbouring axes, up to three, the first or the last among them
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cupool.contract.spec import Spec

C2C, R2C, C2R, Z2Z, D2Z, Z2D = 0x29, 0x2A, 0x2C, 0x69, 0x6A, 0x6C
_TYPES = {
    ("C2C", False): C2C, ("R2C", False): R2C, ("C2R", False): C2R, ("C2C", True): Z2Z, ("R2C", True): D2Z, ("C2R", True): Z2D,
}  # fmt: skip

Shape = tuple[int, ...]
Sizes = Sequence[int | None] | None


def fft_type(dtype: np.dtype[Any], value_type: str) -> int:
    """cuFFT's number of the kind of transform that an array of `dtype` gets."""
    return _TYPES[value_type, dtype.char not in "efF"]


def cooked(shape: Shape, s: Sizes, axes: Sequence[int], value_type: str) -> Shape:
    """The shape after cutting and padding to the sizes `s`; an inverse real transform's last axis is the halved one."""
    if s is None:
        return shape
    result = list(shape)
    for i, (n, axis) in enumerate(zip(s, axes, strict=True)):
        if n is not None:
            result[axis] = n // 2 + 1 if value_type == "C2R" and i == len(axes) - 1 else n
    return tuple(result)


def out_size(shape: Shape, s: Sizes, last: int, value_type: str) -> int | None:
    """The length of a real transform's last axis in the result; `shape` is that of its input."""
    if value_type == "R2C":
        return shape[last] // 2 + 1
    if value_type == "C2C":
        return None
    given = None if s is None else s[-1]
    return 2 * (shape[last] - 1) if given is None else given


def chosen(ndim: int, s: Sizes, axes: Sequence[int] | None, value_type: str) -> tuple[Shape, Shape]:
    """(axes as given, axes as a plan of several dimensions takes them: ascending, the halved one last)."""
    if axes is None:
        found = tuple(range(ndim - (ndim if s is None else len(s)), ndim))
        return found, found
    given = tuple(axes)
    if not given:
        return (), ()
    if min(given) < -ndim or max(given) > ndim - 1:
        raise ValueError("The specified axes exceed the array dimensions.")
    if value_type == "C2C":
        return given, tuple(sorted(axis % ndim for axis in given))
    return given, (*sorted(axis % ndim for axis in given[:-1]), given[-1] % ndim)


def is_nd_possible(axes: Shape, ndim: int) -> bool:
    """Whether one plan can transform these axes."""
    neighbours = all(b - a == 1 for a, b in itertools.pairwise(axes))
    return 0 < len(axes) <= 3 and (0 in axes or ndim - 1 in axes) and neighbours


def is_nd(a: Spec, s: Sizes, axes: Sequence[int] | None, value_type: str, nd_planning: bool) -> bool:
    """Whether CuPy transforms these axes by one plan."""
    if a.ndim == 1 or not nd_planning or (a.f_contiguous and value_type != "C2C"):
        return False
    _, ordered = chosen(a.ndim, s, axes, value_type)
    return len(ordered) > 1 and is_nd_possible(ordered, a.ndim)


class Line(NamedTuple):
    """One batch of transforms along an axis: what a `Plan1d` is made of."""

    size: int
    fft_type: int
    batch: int


def lines(a: Spec, s: Sizes, axes: Sequence[int] | None, value_type: str) -> list[Line]:
    """The transforms along one axis after the other, in the order in which they run."""
    if axes is None:
        axes = range(-(a.ndim if s is None else len(s)), 0)
    shape = list(cooked(a.shape, s, axes, value_type))
    found = []

    def add(axis: int, kind: str, size: int) -> None:
        n = shape[axis]
        if n > 0:
            found.append(Line(size, fft_type(a.dtype, kind), math.prod(shape) // n))

    if value_type == "C2C":
        for axis in axes:
            add(axis, "C2C", shape[axis])
        return found
    last = axes[-1]
    if value_type == "R2C":
        add(last, "R2C", shape[last])
        shape[last] = shape[last] // 2 + 1
    for axis in axes[:-1]:
        add(axis, "C2C", shape[axis])
    if value_type == "C2R":
        add(last, "C2R", out_size(tuple(shape), s, last, "C2R") or 0)
    return found


def nd_key(shape: Shape, kind: int, axes: Sequence[int] | None, order: str, size: int | None) -> tuple[Any, ...]:
    """What a `PlanNd` is made of, and its key in the cache.

    Args:
        shape: of the array, cut and padded.
        kind: number of the kind of transform.
        axes: transformed axes; None is all.
        order: 'C' or 'F', how the array lies in memory.
        size: length of a real transform's last axis in the result.

    Raises:
        ValueError: the axes are not neighbours at one end, or more than three; an unknown order.
    """
    ndim = len(shape)
    value_type = "C2C" if kind in (C2C, Z2Z) else "C2R" if kind in (C2R, Z2D) else "R2C"
    ordered = tuple(range(ndim)) if axes is None else chosen(ndim, None, axes, value_type)[1]
    if not is_nd_possible(ordered, ndim):
        raise ValueError(
            "An n-dimensional cuFFT plan could not be created. The axes must be contiguous and non-repeating. Between one and three "
            "axes can be transformed and either the first or last axis must be included in axes."
        )
    if order not in ("C", "F"):
        raise ValueError("order must be 'C' or 'F'")
    inner = tuple(shape[axis] for axis in (ordered if order == "C" else ordered[::-1]))
    outer = inner if value_type == "C2C" or size is None else (*inner[:-1], size)
    plan = outer if value_type == "C2R" else inner
    if ordered == tuple(range(ndim)):
        batch = in_dist = out_dist = stride = 1
    else:
        first = 0 not in ordered
        batch = math.prod(shape[: min(ordered)] if first else shape[len(ordered) :])
        # The transforms lie one after the other, or side by side.
        apart = (order == "C") == first
        in_dist, out_dist, stride = (math.prod(inner), math.prod(outer), 1) if apart else (1, 1, batch)
    if any(n < 1 for n in plan):
        raise ValueError("Invalid number of FFT data points specified.")
    return (plan, inner, stride, in_dist, outer, stride, out_dist, kind, batch, order, ordered[-1], size)


def order_of(a: Spec) -> str:
    """How an array lies in memory when it is transformed: what is contiguous both ways is C, what is not at all is copied so."""
    return "F" if a.f_contiguous and not a.c_contiguous else "C"


def check_line(plan: Any, line: Line) -> None:
    """Raises ValueError when a `Plan1d` is for other transforms."""
    if line.fft_type != plan.fft_type:
        raise ValueError("cuFFT plan dtype mismatch.")
    if line.size != plan.nx:
        raise ValueError("Target array size does not match the plan.", line.size, plan.nx)
    if line.batch != plan.batch:
        raise ValueError("Batch size does not match the plan.")


def check_nd(plan: Any, a: Spec, s: Sizes, axes: Sequence[int] | None, value_type: str) -> None:
    """Raises ValueError when a `PlanNd` is for other transforms, or for an array that lies otherwise in memory."""
    given, ordered = chosen(a.ndim, s, axes, value_type)
    shape = cooked(a.shape, s, given, value_type)
    order = order_of(a)
    if order != plan.order:
        raise ValueError(f"array orders mismatch (plan: {plan.order}, input: {order})")
    size = out_size(shape, s, ordered[-1], value_type)
    expected = [shape[axis] for axis in (ordered if order == "C" else ordered[::-1])]
    if value_type == "C2R" and order == "C":
        expected[-1] = size or 0
    if tuple(expected) != plan.shape:
        raise ValueError(
            f"The cuFFT plan and a.shape do not match: plan.shape = {plan.shape}, expected_shape={tuple(expected)}, a.shape = {shape}"
        )
    if fft_type(a.dtype, value_type) != plan.fft_type:
        raise ValueError("cuFFT plan dtype mismatch.")
    if value_type != "C2C":
        if ordered[-1] != plan.last_axis:
            raise ValueError("The last axis for R2C/C2R mismatch")
        if size != plan.last_size:
            raise ValueError("The size along the last R2C/C2R axis mismatch")
