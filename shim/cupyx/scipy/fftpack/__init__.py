"""`cupyx.scipy.fftpack`: as `cupyx.scipy.fft`, without normalisation, and real transforms packed into real arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .... import cupy
from ...._generated import fft as _plain
from ....cupy.fft import _transform
from ....cupy.fft._transform import get_fft_plan as get_fft_plan


def fft(x: Any, n: Any = None, axis: int = -1, overwrite_x: bool = False, plan: Any = None) -> Any:
    """As `cupyx.scipy.fftpack.fft`."""
    return _transform.line(_plain.fft, "C2C", x, n, axis, None, plan, overwrite_x)


def ifft(x: Any, n: Any = None, axis: int = -1, overwrite_x: bool = False, plan: Any = None) -> Any:
    """As `cupyx.scipy.fftpack.ifft`."""
    return _transform.line(_plain.ifft, "C2C", x, n, axis, None, plan, overwrite_x)


def fftn(x: Any, shape: Any = None, axes: Any = None, overwrite_x: bool = False, plan: Any = None) -> Any:
    """As `cupyx.scipy.fftpack.fftn`."""
    return _transform.several(_plain.fftn, "C2C", x, shape, axes, None, plan, True, overwrite_x)


def ifftn(x: Any, shape: Any = None, axes: Any = None, overwrite_x: bool = False, plan: Any = None) -> Any:
    """As `cupyx.scipy.fftpack.ifftn`."""
    return _transform.several(_plain.ifftn, "C2C", x, shape, axes, None, plan, True, overwrite_x)


def fft2(x: Any, shape: Any = None, axes: Any = (-2, -1), overwrite_x: bool = False, plan: Any = None) -> Any:
    """As `cupyx.scipy.fftpack.fft2`."""
    return fftn(x, shape, axes, overwrite_x, plan)


def ifft2(x: Any, shape: Any = None, axes: Any = (-2, -1), overwrite_x: bool = False, plan: Any = None) -> Any:
    """As `cupyx.scipy.fftpack.ifft2`."""
    return ifftn(x, shape, axes, overwrite_x, plan)


def _along(ndim: int, axis: int, *places: slice) -> list[tuple[slice, ...]]:
    """Index tuples that are `places` along one axis."""
    return [tuple(place if i == axis % ndim else slice(None) for i in range(ndim)) for place in places]


def rfft(x: Any, n: Any = None, axis: int = -1, overwrite_x: bool = False, plan: Any = None) -> Any:
    """As `cupyx.scipy.fftpack.rfft`: [y0, Re y1, Im y1, Re y2, …]."""
    points = x.shape[axis] if n is None else n
    found = _transform.line(_plain.rfft, "R2C", x, points, axis, None, plan)
    shape = [*x.shape]
    shape[axis] = points
    result = cupy.empty(shape, found.real.dtype)
    zeroth, real, imaginary = _along(x.ndim, axis, slice(1), slice(1, None, 2), slice(2, None, 2))
    first, rest, paired = _along(x.ndim, axis, slice(1), slice(1, None), slice(1, points - found.shape[axis] + 1))
    result[zeroth] = found[first].real
    result[real] = found[rest].real
    result[imaginary] = found[paired].imag
    return result


def irfft(x: Any, n: Any = None, axis: int = -1, overwrite_x: bool = False) -> Any:
    """As `cupyx.scipy.fftpack.irfft`: the inverse of `rfft`."""
    points = x.shape[axis] if n is None else n
    given = min(points, x.shape[axis])
    shape = [*x.shape]
    shape[axis] = points // 2 + 1
    is_single = x.dtype in (np.float16, np.float32)
    half = cupy.zeros(shape, np.complex64 if is_single else np.complex128)
    zeroth, real, imaginary = _along(x.ndim, axis, slice(1), slice(1, given // 2 + 1), slice(1, (given + 1) // 2))
    from_zeroth, from_real, from_imaginary = _along(x.ndim, axis, slice(1), slice(1, given, 2), slice(2, given, 2))
    half.real[zeroth] = x[from_zeroth]
    half.real[real] = x[from_real]
    half.imag[imaginary] = x[from_imaginary]
    return _transform.line(_plain.irfft, "C2R", half, points, axis, None)


def __getattr__(name: str) -> Any:
    from ....cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.scipy.fftpack", name)
