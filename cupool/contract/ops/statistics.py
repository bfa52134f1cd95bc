"""Rows: means, order statistics, histograms, correlation."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupool.contract.ops._row import op
from cupool.contract.ops._sample_arrays import arr, call, fails, idx, pos
from cupool.contract.ops.rules import reductions as rules
from cupool.contract.ops.rules import sorting, statistics

AxisError = np.exceptions.AxisError


def _means() -> Any:
    for dtype in "?bBhHiIlLefdFD":
        yield call(arr(2, 3, dtype=dtype))
        yield call(arr(2, 3, 2, dtype=dtype), axis=(0, 2))
    yield call(arr(2, 3), axis=1, keepdims=True)
    yield call(arr(2, 3, dtype="i4"), axis=1, dtype="f4")
    yield call(arr(3, 2).T, axis=0)
    yield call(arr(2, 3), axis=0, out=np.zeros(3))


def _float_means() -> Any:
    for dtype in "efdFD":
        yield call(arr(2, 3, dtype=dtype))
    yield call(arr(2, 3, dtype="i4"), axis=0)


def _orders() -> Any:
    for dtype in "bBhilefd":
        yield call(arr(2, 3, dtype=dtype))
        yield call(arr(2, 3, dtype=dtype), axis=1)
    yield call(arr(2, 3, 4), axis=(0, 2), keepdims=True)


def _bad() -> Any:
    return [fails(AxisError, arr(2, 3), axis=2)]


_MEAN = "(a, axis=None, dtype=None, out=None, keepdims=False)"
_VAR = "(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False)"
_MEDIAN = "(a, axis=None, out=None, overwrite_input=False, keepdims=False)"
_QUANTILE = "(a, q, axis=None, out=None, overwrite_input=False, method='linear', keepdims=False, *, interpolation=None)"

op("mean", _MEAN, rules.mean, writes=("out",), samples=_means, errors=_bad)
op("nanmean", _MEAN, rules.nanmean, writes=("out",), samples=_float_means, errors=_bad)
op("var", _VAR, rules.var, writes=("out",), varying=("ddof",), samples=_means, errors=_bad)
op("std", _VAR, rules.std, writes=("out",), varying=("ddof",), samples=_means, errors=_bad)
op("nanvar", _VAR, rules.nanvar, writes=("out",), varying=("ddof",), samples=_float_means, errors=_bad)
op("nanstd", _VAR, rules.nanstd, writes=("out",), varying=("ddof",), samples=_float_means, errors=_bad)
op("average", "(a, axis=None, weights=None, returned=False, *, keepdims=False)", rules.average, arrays=("a", "weights"),
   samples=lambda: [call(arr(2, 3)), call(arr(2, 3, dtype="i4"), axis=0, weights=pos(2)),
                    call(arr(2, 3), weights=pos(2, 3)),
                    call(arr(2, 3), axis=1, weights=pos(3, dtype="f4"), returned=True),
                    call(arr(3, dtype="f4"), returned=True)],
   errors=lambda: [fails(TypeError, arr(2, 3), weights=arr(3)), fails(ValueError, arr(2, 3), axis=1, weights=arr(2))],
   note="weights that sum to zero raise ZeroDivisionError when the result is waited for")  # fmt: skip
op("median", _MEDIAN, rules.median, writes=("out",), samples=_orders, errors=_bad)
op("nanmedian", _MEDIAN, rules.nanmedian, writes=("out",), samples=_orders, errors=_bad)
for _name, _half in (("percentile", 50.0), ("quantile", 0.5)):
    op(_name, _QUANTILE, rules.quantile(_name), writes=("out",), arrays=("a", "q"),
       samples=lambda h=_half: [
           call(arr(2, 5), h), call(arr(2, 5), np.array([h, h / 2]), axis=1), call(arr(5, dtype="f4"), h),
           call(arr(5, dtype="i4"), [h]),
           call(arr(2, 5), h, axis=(0, 1), keepdims=True), call(arr(2, 5), h, axis=0, method="lower"),
           call(arr(5), h, method="weibull"),
           call(arr(5, dtype="i4"), h, method="nearest"),
       ],
       errors=lambda: [fails(ValueError, arr(3), -1.0), fails(ValueError, arr(3), 0.5, method="averaged_inverted_cdf"),
                       fails(AxisError, arr(3), 0.5, axis=1)])  # fmt: skip

op("histogram", "(x, bins=10, range=None, density=False, weights=None)", statistics.histogram,
   arrays=("x", "bins", "weights"),
   samples=lambda: [call(arr(20)), call(arr(20, dtype="i4"), bins=4),
                    call(arr(20, dtype="f4"), bins=3, range=(1, 9), density=True),
                    call(arr(4, 5), bins=arr(4)), call(arr(6), weights=pos(6)),
                    call(arr(6), weights=arr(6, dtype="i4"))],
   errors=lambda: [fails(ValueError, arr(5), bins=0), fails(NotImplementedError, arr(3, dtype="D")),
                   fails(ValueError, arr(5), range=(2, 1)), fails(ValueError, arr(5), weights=arr(4))])  # fmt: skip
op("histogram2d", "(x, y, bins=10, range=None, weights=None, density=None)", statistics.histogram2d,
   arrays=("x", "y", "bins", "weights"),
   samples=lambda: [call(arr(9), arr(9)), call(arr(9), arr(9), bins=3), call(arr(9), arr(9), bins=(2, 3), density=True),
                    call(arr(9), arr(9), bins=arr(4)), call(arr(9, dtype="f4"), arr(9, dtype="f4"), weights=pos(9))],
   errors=lambda: [fails(ValueError, arr(3), arr(3), bins=[1, 2, 3]),
                   fails(ValueError, arr(3), arr(3), bins=0)])  # fmt: skip
op("histogramdd", "(sample, bins=10, range=None, weights=None, density=False)", statistics.histogramdd,
   arrays=("sample", "bins", "weights"),
   samples=lambda: [call(arr(9, 2)), call(arr(5)), call([arr(4), arr(4)], bins=[arr(3), 2]),
                    call(arr(9, 2), density=True)],
   errors=lambda: [fails(ValueError, arr(4, 2), bins=[1, 2, 3])],
   note="the edges come as a list, made by the client")  # fmt: skip
op("bincount", "(x, weights=None, minlength=None)", statistics.bincount, arrays=("x", "weights"),
   samples=lambda: [call(idx(1, 2, 2, 5)), call(idx(1, 0), minlength=4), call(idx(0, 1, 1), weights=pos(3)),
                    call(arr(0, dtype="i8"))],
   errors=lambda: [fails(ValueError, arr(2, 2, dtype="i4")), fails(TypeError, arr(3)),
                   fails(ValueError, idx(1), minlength=-1)])  # fmt: skip
op("digitize", "(x, bins, right=False)", sorting.digitize, arrays=("x", "bins"),
   samples=lambda: [call(arr(5), arr(3)), call(arr(2, 3, dtype="i4"), arr(4), right=True),
                    call(arr(3), arr(4)[::-1].copy())],
   errors=lambda: [fails(TypeError, arr(3, dtype="D"), arr(3)), fails(ValueError, arr(3), arr(2, 2))])  # fmt: skip
op("cov", "(a, y=None, rowvar=True, bias=False, ddof=None, fweights=None, aweights=None, *, dtype=None)", statistics.cov,
   arrays=("a", "y", "fweights", "aweights"),
   samples=lambda: [call(pos(2, 5)), call(pos(5)), call(pos(2, 5, dtype="f4"), rowvar=False), call(pos(5), pos(5)),
                    call(pos(2, 5), bias=True), call(pos(2, 5), fweights=idx(1, 2, 3, 1, 1)),
                    call(pos(2, 5), aweights=pos(5), ddof=0)],
   errors=lambda: [fails(ValueError, arr(2, 2, 2)), fails(ValueError, arr(2), ddof=0.5),
                   fails(TypeError, arr(2, 3), fweights=arr(3))])  # fmt: skip
op("corrcoef", "(a, y=None, rowvar=True, bias=None, ddof=None, *, dtype=None)", statistics.corrcoef, arrays=("a", "y"),
   samples=lambda: [call(pos(2, 5)), call(pos(5), pos(5) ** 2), call(pos(3, 5), rowvar=False)])  # fmt: skip
op("correlate", "(a, v, mode='valid')", statistics.convolved("correlate"), arrays=("a", "v"),
   samples=lambda: [call(arr(5), arr(3)), call(arr(5, dtype="f4"), arr(3, dtype="f4"), mode="full"),
                    call(arr(5, dtype="i4"), arr(2, dtype="i4"), "same")],
   errors=lambda: [fails(ValueError, arr(0), arr(2)), fails(ValueError, arr(2, 2), arr(2)),
                   fails(ValueError, arr(3), arr(2), mode="x")])  # fmt: skip
op("convolve", "(a, v, mode='full')", statistics.convolved("convolve"), arrays=("a", "v"),
   samples=lambda: [call(arr(5), arr(3)), call(arr(3, dtype="D"), arr(5), "same"),
                    call(arr(5, dtype="i4"), arr(2, dtype="i2"), "valid")],
   errors=lambda: [fails(ValueError, arr(0), arr(2)), fails(ValueError, arr(3), arr(2), "x")])  # fmt: skip
op("interp", "(x, xp, fp, left=None, right=None, period=None)", statistics.interp, arrays=("x", "xp", "fp"),
   varying=("left", "right"),
   samples=lambda: [call(arr(5), arr(3), arr(3)), call(arr(5, dtype="f4"), arr(3, dtype="f4"), arr(3, dtype="D")),
                    call(arr(5), arr(3), arr(3), left=-1.0, right=9.0), call(arr(5), arr(3), arr(3), period=4.0)],
   errors=lambda: [fails(ValueError, arr(2), arr(2, 2), arr(4)),
                   fails(ValueError, arr(2), arr(2), arr(3))])  # fmt: skip
