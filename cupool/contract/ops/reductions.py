"""Rows: sums, extrema, truth, scans, differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupool.contract.ops._row import op
from cupool.contract.ops._sample_arrays import arr, call, fails, mask
from cupool.contract.ops.rules import reductions as rules

AxisError = np.exceptions.AxisError

SUM = "(a, axis=None, dtype=None, out=None, keepdims=False)"
MAX = "(a, axis=None, out=None, keepdims=False)"
ARGMAX = "(a, axis=None, dtype=None, out=None, keepdims=False)"
SCAN = "(a, axis=None, dtype=None, out=None)"


def _axes(dtypes: str = "?bBhHiIlLefdFD", **options: object) -> Any:
    """Samples over axes, keepdims, layouts and dtypes."""

    def samples() -> Any:
        for dtype in dtypes:
            yield call(arr(2, 3, dtype=dtype), **options)
            yield call(arr(2, 3, 2, dtype=dtype), axis=1, **options)
        yield call(arr(2, 3, 2), axis=(0, -1), keepdims=True, **options)
        yield call(arr(3, 2).T, axis=0, **options)
        yield call(arr(2, 3, order="F"), axis=(), **options) if "argmax" not in options else call(arr(2))
        yield call(arr(), **options)

    return samples


def _one_axis(dtypes: str = "?BhHiIlLefdFD") -> Any:
    def samples() -> Any:
        for dtype in dtypes:
            yield call(arr(2, 3, dtype=dtype))
            yield call(arr(2, 3, dtype=dtype), axis=-1)
        yield call(arr(2, 3), axis=0, keepdims=True)

    return samples


def _bad_axis() -> Any:
    return [
        fails(AxisError, arr(2, 3), axis=2),
        fails(AxisError, arr(2, 3), axis=(0, -3)),
        fails(TypeError, arr(2), axis="0"),
    ]


def _bad_axis_or_twice() -> Any:
    return [*_bad_axis(), fails(ValueError, arr(2, 3), axis=(0, 0)),
            fails(ValueError, arr(2, 3), axis=0, out=arr(2))]  # fmt: skip


def _empty_too() -> Any:
    return [*_bad_axis_or_twice(), fails(ValueError, arr(0)), fails(ValueError, arr(0, 3), axis=0)]


def _with_dtype() -> Any:
    yield from _axes()()
    for dtype in "ilfdD":
        yield call(arr(2, 3, dtype="i4"), axis=1, dtype=dtype)
    yield call(arr(2, 3), axis=0, out=np.zeros(3))
    yield call(arr(2, 3), axis=0, out=np.zeros(3, "f4"))
    yield call(arr(0, 3), axis=0)


for _name in ("sum", "prod", "nansum", "nanprod"):
    op(_name, SUM, rules.summed(_name), writes=("out",), samples=_with_dtype, errors=_bad_axis_or_twice)
op("product", SUM, rules.summed("prod"), writes=("out",), server="prod", note="deprecated in CuPy")

for _name in ("max", "min", "nanmax", "nanmin"):
    op(_name, MAX, rules.extremum(_name), writes=("out",), samples=_axes(), errors=_empty_too)
op("amax", MAX, rules.extremum("max"), writes=("out",), server="max")
op("amin", MAX, rules.extremum("min"), writes=("out",), server="min")
op("ptp", MAX, rules.ptp, writes=("out",), samples=_axes("bBhHiIlLefdFD"),
   errors=lambda: [fails(TypeError, mask(3)), fails(AxisError, arr(2), axis=1)])  # fmt: skip

for _name in ("argmax", "argmin", "nanargmax", "nanargmin"):
    op(_name, ARGMAX, rules.arg_extremum(_name), writes=("out",), samples=_one_axis(),
       errors=lambda: [fails(AxisError, arr(2, 3), axis=2), fails(TypeError, arr(2, 3), axis=(0, 1)),
                       fails(ValueError, arr(0))])  # fmt: skip

for _name in ("all", "any"):
    op(_name, MAX, rules.truth(_name), writes=("out",), samples=_axes(), errors=_bad_axis_or_twice)
op("alltrue", MAX, rules.truth("all"), writes=("out",), server="all", note="deprecated in CuPy")
op("sometrue", MAX, rules.truth("any"), writes=("out",), server="any", note="deprecated in CuPy")
op("count_nonzero", "(a, axis=None)", rules.counted,
   samples=lambda: [call(arr(2, 3, dtype=d)) for d in "?bBhHiIlLefdFD"] + [call(arr(2, 3), axis=0),
                    call(arr(2, 3), axis=(0, 1))],
   errors=lambda: [fails(AxisError, arr(2), axis=1)])  # fmt: skip


def _scans() -> Any:
    for dtype in "?bBhHiIlLefdFD":
        yield call(arr(2, 3, dtype=dtype))
        yield call(arr(2, 3, dtype=dtype), axis=0)
    yield call(arr(3, 2).T, axis=-1)
    yield call(arr(2, 3, dtype="i4"), axis=0, dtype="f4")
    yield call(arr(6), out=np.zeros(6))
    yield call(arr(0))


for _name in ("cumsum", "cumprod", "nancumsum", "nancumprod"):
    op(_name, SCAN, rules.scanned, writes=("out",), samples=_scans,
       errors=lambda: [fails(AxisError, arr(2), axis=1), fails(ValueError, arr(2), out=arr(3))])  # fmt: skip
op("cumproduct", SCAN, rules.scanned, writes=("out",), server="cumprod", note="deprecated in CuPy")
for _name in ("cumulative_sum", "cumulative_prod"):
    op(_name, "(x, /, *, axis=None, dtype=None, out=None, include_initial=False)", rules.cumulative, writes=("out",),
       samples=lambda: [call(arr(3)), call(arr(2, 3, dtype="i4"), axis=1),
                        call(arr(2, 3), axis=0, include_initial=True), call(arr())],
       errors=lambda: [fails(ValueError, arr(2, 3)), fails(AxisError, arr(2), axis=1)])  # fmt: skip

op("diff", "(a, n=1, axis=-1, prepend=None, append=None)", rules.diff, arrays=("a", "prepend", "append"),
   samples=lambda: [call(arr(5)), call(arr(2, 5, dtype="i4"), n=2), call(arr(3, 2), axis=0), call(mask(4)),
                    call(arr(2, 3), prepend=0, append=arr(2, 2)), call(arr(1))],
   errors=lambda: [fails(ValueError, arr(3), n=-1), fails(AxisError, arr(3), axis=1)])  # fmt: skip
op("ediff1d", "(arr, to_end=None, to_begin=None)", rules.ediff1d, arrays=("arr", "to_end", "to_begin"),
   samples=lambda: [call(arr(5)), call(arr(2, 2, dtype="i4"), to_begin=arr(2, dtype="i4")),
                    call(arr(3), to_end=arr(1, dtype="f4"))],
   errors=lambda: [fails(TypeError, arr(3), to_end=1),
                   fails(TypeError, arr(3, dtype="i4"), to_end=arr(1))])  # fmt: skip
op("gradient", "(f, *varargs, axis=None, edge_order=1)", rules.gradient, arrays=("f", "varargs"), varying=("varargs",),
   samples=lambda: [call(arr(5)), call(arr(3, 4, dtype="f4")), call(arr(5, dtype="i4"), 2.0),
                    call(arr(3, 4), axis=0, edge_order=2),
                    call(arr(3, 4), 1.0, arr(4) ** 2), call(arr(4, 3).T)],
   errors=lambda: [fails(ValueError, arr(1)), fails(TypeError, arr(3, 3), 1.0, 1.0, 1.0),
                   fails(ValueError, arr(3), edge_order=3)])  # fmt: skip
op("trapezoid", "(y, x=None, dx=1.0, axis=-1)", rules.trapezoid, arrays=("y", "x", "dx"), varying=("dx",),
   samples=lambda: [call(arr(5)), call(arr(2, 3, dtype="f4"), axis=0), call(arr(4, dtype="i4"), arr(4)),
                    call(arr(2, 3), dx=0.5)],
   errors=lambda: [fails(AxisError, arr(2), axis=1)])  # fmt: skip
op(
    "trapz",
    "(y, x=None, dx=1.0, axis=-1)",
    rules.trapezoid,
    arrays=("y", "x", "dx"),
    varying=("dx",),
    server="trapezoid",
)
