"""Splines of equally spaced samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.ndimage

from ._common import plain, sp_signal, table


def sepfir2d(input: Any, hrow: Any, hcol: Any) -> Any:
    dtype = input.dtype
    if dtype.kind == "c":
        dtype = np.dtype(np.complex64 if dtype.char == "F" else np.complex128)
    else:
        dtype = np.dtype(np.float32 if dtype.char == "f" or dtype.itemsize <= 2 else np.float64)
    made = input.astype(dtype)
    for axis, taps in ((0, hcol), (1, hrow)):
        # The mirror repeats the edge's sample, as CuPy's does.
        made = _convolved(made, taps.astype(dtype), axis)
    return made


def _convolved(a: Any, taps: Any, axis: int) -> Any:
    if a.dtype.kind != "c":
        return scipy.ndimage.convolve1d(a, taps, axis, mode="reflect")
    real, imaginary = taps.real, taps.imag
    parts = [scipy.ndimage.convolve1d(p, t, axis, mode="reflect") for p in (a.real, a.imag) for t in (real, imaginary)]
    return ((parts[0] - parts[3]) + 1j * (parts[1] + parts[2])).astype(a.dtype)


def _evaluated(function: Any) -> Any:
    def run(cj: Any, newx: Any, dx: float = 1.0, x0: Any = 0) -> Any:
        return function(cj, np.atleast_1d(newx), dx, x0).reshape(np.shape(newx))

    return run


def cspline1d_eval(cj: Any, newx: Any, dx: float = 1.0, x0: Any = 0) -> Any:
    return _evaluated(sp_signal.cspline1d_eval)(cj, newx, dx, x0).astype(cj.dtype, copy=False)


def qspline1d_eval(cj: Any, newx: Any, dx: float = 1.0, x0: Any = 0) -> Any:
    dtype = (np.asarray(newx)[..., None] / np.int8(1)).dtype
    return _evaluated(sp_signal.qspline1d_eval)(cj, newx, dx, x0).astype(dtype, copy=False)


def spline_filter(Iin: Any, lmbda: float = 5.0) -> Any:
    """Smoothing by the coefficients of a cubic spline, evaluated at the samples."""
    if Iin.dtype.kind == "c":
        parts = [spline_filter(np.ascontiguousarray(p, np.float32), lmbda) for p in (Iin.real, Iin.imag)]
        return (parts[0] + 1j * parts[1]).astype(Iin.dtype)
    return sp_signal.spline_filter(Iin, lmbda).astype(Iin.dtype, copy=False)


OPS = table(
    sepfir2d=sepfir2d,
    cspline1d=plain(sp_signal.cspline1d),
    qspline1d=plain(sp_signal.qspline1d),
    cspline1d_eval=cspline1d_eval,
    qspline1d_eval=qspline1d_eval,
    cspline2d=plain(sp_signal.cspline2d),
    qspline2d=plain(sp_signal.qspline2d),
    spline_filter=spline_filter,
    gauss_spline=plain(sp_signal.gauss_spline),
    symiirorder1=plain(sp_signal.symiirorder1),
    symiirorder2=plain(sp_signal.symiirorder2),
)
