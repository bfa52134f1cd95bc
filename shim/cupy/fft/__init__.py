"""`cupy.fft`."""

from __future__ import annotations

from typing import Any

from ..._generated import fft as _plain
from ..._generated.fft import fftfreq as fftfreq
from ..._generated.fft import fftshift as fftshift
from ..._generated.fft import ifftshift as ifftshift
from ..._generated.fft import rfftfreq as rfftfreq
from . import _transform
from . import config as config


def fft(a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    """As `cupy.fft.fft`."""
    return _transform.line(_plain.fft, "C2C", a, n, axis, norm)


def ifft(a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    """As `cupy.fft.ifft`."""
    return _transform.line(_plain.ifft, "C2C", a, n, axis, norm)


def rfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    """As `cupy.fft.rfft`."""
    return _transform.line(_plain.rfft, "R2C", a, n, axis, norm)


def irfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    """As `cupy.fft.irfft`."""
    return _transform.line(_plain.irfft, "C2R", a, n, axis, norm)


def hfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    """As `cupy.fft.hfft`."""
    return _transform.line(_plain.hfft, "C2R", a, n, axis, norm)


def ihfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    """As `cupy.fft.ihfft`."""
    return _transform.line(_plain.ihfft, "R2C", a, n, axis, norm)


def fft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None) -> Any:
    """As `cupy.fft.fft2`."""
    return _transform.several(_plain.fft2, "C2C", a, s, axes, norm)


def ifft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None) -> Any:
    """As `cupy.fft.ifft2`."""
    return _transform.several(_plain.ifft2, "C2C", a, s, axes, norm)


def rfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None) -> Any:
    """As `cupy.fft.rfft2`."""
    return _transform.several(_plain.rfft2, "R2C", a, s, axes, norm)


def irfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None) -> Any:
    """As `cupy.fft.irfft2`."""
    return _transform.several(_plain.irfft2, "C2R", a, s, axes, norm)


def fftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    """As `cupy.fft.fftn`."""
    return _transform.several(_plain.fftn, "C2C", a, s, axes, norm)


def ifftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    """As `cupy.fft.ifftn`."""
    return _transform.several(_plain.ifftn, "C2C", a, s, axes, norm)


def rfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    """As `cupy.fft.rfftn`."""
    return _transform.several(_plain.rfftn, "R2C", a, s, axes, norm)


def irfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> Any:
    """As `cupy.fft.irfftn`."""
    return _transform.several(_plain.irfftn, "C2R", a, s, axes, norm)


__all__ = [
    "config", "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "irfft", "irfft2",
    "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("fft", name)
