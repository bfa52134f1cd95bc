"""Cosine and sine transforms, of the types two and three."""

from __future__ import annotations

from typing import Any

from ...._generated import cupyx_scipy_fft as _plain


def dct(x: Any, type: int = 2, n: Any = None, axis: int = -1, norm: Any = None, overwrite_x: bool = False) -> Any:
    """As `cupyx.scipy.fft.dct`."""
    return _plain.dct(x, type, n, axis, norm)


def dctn(x: Any, type: int = 2, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False) -> Any:
    """As `cupyx.scipy.fft.dctn`."""
    return _plain.dctn(x, type, s, axes, norm)


def idct(x: Any, type: int = 2, n: Any = None, axis: int = -1, norm: Any = None, overwrite_x: bool = False) -> Any:
    """As `cupyx.scipy.fft.idct`."""
    return _plain.idct(x, type, n, axis, norm)


def idctn(x: Any, type: int = 2, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False) -> Any:
    """As `cupyx.scipy.fft.idctn`."""
    return _plain.idctn(x, type, s, axes, norm)


def dst(x: Any, type: int = 2, n: Any = None, axis: int = -1, norm: Any = None, overwrite_x: bool = False) -> Any:
    """As `cupyx.scipy.fft.dst`."""
    return _plain.dst(x, type, n, axis, norm)


def dstn(x: Any, type: int = 2, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False) -> Any:
    """As `cupyx.scipy.fft.dstn`."""
    return _plain.dstn(x, type, s, axes, norm)


def idst(x: Any, type: int = 2, n: Any = None, axis: int = -1, norm: Any = None, overwrite_x: bool = False) -> Any:
    """As `cupyx.scipy.fft.idst`."""
    return _plain.idst(x, type, n, axis, norm)


def idstn(x: Any, type: int = 2, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False) -> Any:
    """As `cupyx.scipy.fft.idstn`."""
    return _plain.idstn(x, type, s, axes, norm)


__all__ = ["dct", "dctn", "dst", "dstn", "idct", "idctn", "idst", "idstn"]
