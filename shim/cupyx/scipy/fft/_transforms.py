"""Fourier transforms, with plans as arguments. They are `cupy.fft`'s, but an inverse real transform of float16 stays float32."""

from __future__ import annotations

from numbers import Number
from typing import Any

import numpy as np

from ...._generated import fft as _plain
from ....array import ndarray
from ....cupy.fft import _transform


def _sequence(x: Any) -> Any:
    return (x,) if isinstance(x, Number) else x


def _wide(x: Any) -> Any:
    """float16 as float32: then the result is not cast back."""
    return x.astype(np.float32) if isinstance(x, ndarray) and x.dtype == np.float16 else x


def _swapped(norm: Any) -> Any:
    """The normalisation of the opposite direction. Raises ValueError."""
    if norm is None:
        return "forward"
    if norm not in ("backward", "ortho", "forward"):
        raise ValueError(f'Invalid norm value {norm}; should be "backward", "ortho", or "forward".')
    return {"backward": "forward", "forward": "backward"}.get(norm, norm)


def _no_plan(name: str, plan: Any) -> None:
    if plan is not None:
        raise NotImplementedError(f"{name} plan is currently not yet supported")


def fft(x: Any, n: Any = None, axis: int = -1, norm: Any = None, overwrite_x: bool = False, *, plan: Any = None) -> Any:
    """As `cupyx.scipy.fft.fft`."""
    return _transform.line(_plain.fft, "C2C", x, n, axis, norm, plan, overwrite_x)


def ifft(
    x: Any, n: Any = None, axis: int = -1, norm: Any = None, overwrite_x: bool = False, *, plan: Any = None
) -> Any:
    """As `cupyx.scipy.fft.ifft`."""
    return _transform.line(_plain.ifft, "C2C", x, n, axis, norm, plan, overwrite_x)


def rfft(
    x: Any, n: Any = None, axis: int = -1, norm: Any = None, overwrite_x: bool = False, *, plan: Any = None
) -> Any:
    """As `cupyx.scipy.fft.rfft`."""
    return _transform.line(_plain.rfft, "R2C", x, n, axis, norm, plan)


def irfft(
    x: Any, n: Any = None, axis: int = -1, norm: Any = None, overwrite_x: bool = False, *, plan: Any = None
) -> Any:
    """As `cupyx.scipy.fft.irfft`."""
    return _transform.line(_plain.irfft, "C2R", _wide(x), n, axis, norm, plan)


def fftn(
    x: Any, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False, *, plan: Any = None
) -> Any:
    """As `cupyx.scipy.fft.fftn`."""
    return _transform.several(_plain.fftn, "C2C", x, _sequence(s), _sequence(axes), norm, plan, overwrite=overwrite_x)


def fft2(
    x: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, overwrite_x: bool = False, *, plan: Any = None
) -> Any:
    """As `cupyx.scipy.fft.fft2`."""
    return fftn(x, s, axes, norm, overwrite_x, plan=plan)


def ifftn(
    x: Any, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False, *, plan: Any = None
) -> Any:
    """As `cupyx.scipy.fft.ifftn`."""
    return _transform.several(_plain.ifftn, "C2C", x, _sequence(s), _sequence(axes), norm, plan, overwrite=overwrite_x)


def ifft2(
    x: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, overwrite_x: bool = False, *, plan: Any = None
) -> Any:
    """As `cupyx.scipy.fft.ifft2`."""
    return ifftn(x, s, axes, norm, overwrite_x, plan=plan)


def rfftn(
    x: Any, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False, *, plan: Any = None
) -> Any:
    """As `cupyx.scipy.fft.rfftn`."""
    return _transform.several(_plain.rfftn, "R2C", x, _sequence(s), _sequence(axes), norm, plan)


def rfft2(
    x: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, overwrite_x: bool = False, *, plan: Any = None
) -> Any:
    """As `cupyx.scipy.fft.rfft2`."""
    return rfftn(x, s, axes, norm, overwrite_x, plan=plan)


def irfftn(
    x: Any, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False, *, plan: Any = None
) -> Any:
    """As `cupyx.scipy.fft.irfftn`."""
    return _transform.several(_plain.irfftn, "C2R", _wide(x), _sequence(s), _sequence(axes), norm, plan)


def irfft2(
    x: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, overwrite_x: bool = False, *, plan: Any = None
) -> Any:
    """As `cupyx.scipy.fft.irfft2`."""
    return irfftn(x, s, axes, norm, overwrite_x, plan=plan)


def hfft(
    x: Any, n: Any = None, axis: int = -1, norm: Any = None, overwrite_x: bool = False, *, plan: Any = None
) -> Any:
    """As `cupyx.scipy.fft.hfft`."""
    _no_plan("hfft", plan)
    return irfft(x.conj(), n, axis, _swapped(norm))


def ihfft(
    x: Any, n: Any = None, axis: int = -1, norm: Any = None, overwrite_x: bool = False, *, plan: Any = None
) -> Any:
    """As `cupyx.scipy.fft.ihfft`."""
    _no_plan("ihfft", plan)
    return rfft(x, n, axis, _swapped(norm)).conj()


def hfft2(
    x: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, overwrite_x: bool = False, *, plan: Any = None
) -> Any:
    """As `cupyx.scipy.fft.hfft2`."""
    _no_plan("hfft2", plan)
    return irfft2(x.conj(), s, axes, _swapped(norm))


def ihfft2(
    x: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, overwrite_x: bool = False, *, plan: Any = None
) -> Any:
    """As `cupyx.scipy.fft.ihfft2`."""
    _no_plan("ihfft2", plan)
    return rfft2(x, s, axes, _swapped(norm)).conj()


def hfftn(
    x: Any, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False, *, plan: Any = None
) -> Any:
    """As `cupyx.scipy.fft.hfftn`."""
    _no_plan("hfftn", plan)
    return irfftn(x.conj(), s, axes, _swapped(norm))


def ihfftn(
    x: Any, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False, *, plan: Any = None
) -> Any:
    """As `cupyx.scipy.fft.ihfftn`."""
    _no_plan("ihfftn", plan)
    return rfftn(x, s, axes, _swapped(norm)).conj()


__all__ = [
    "fft",
    "fft2",
    "fftn",
    "hfft",
    "hfft2",
    "hfftn",
    "ifft",
    "ifft2",
    "ifftn",
    "ihfft",
    "ihfft2",
    "ihfftn",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftn",
]
