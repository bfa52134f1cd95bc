"""The chirp z-transform as an object that remembers its parameters."""

from __future__ import annotations

import cmath
from typing import Any

import numpy as np

from cupool.contract.ops.scipy._rules_signal_waves import transform_size

from ...._generated import cupyx_scipy_signal as _generated
from ....array import ndarray
from ....convert import asarray


class CZT:
    """As `cupyx.scipy.signal.CZT`: the transform of `n` samples into `m` points of a spiral `a * w ** -k`.

    Attributes:
        n, m: samples in, points out.
        w, a: ratio between points and starting point.
    """

    __module__ = "cupyx.scipy.signal"

    def __init__(self, n: Any, m: Any = None, w: Any = None, a: Any = 1 + 0j) -> None:
        self.m = transform_size(n, m)
        self.n = n
        self._given = w
        self.w = cmath.exp(-2j * cmath.pi / self.m) if w is None else w
        self.a = 1.0 * a

    def __call__(self, x: Any, *, axis: Any = -1) -> Any:
        """Transform along `axis`, which must have `n` samples."""
        x = asarray(x)
        if x.shape[axis] != self.n:
            raise ValueError(f"CZT defined for length {self.n}, not {x.shape[axis]}")
        return self._transform(x, axis)

    def _transform(self, x: Any, axis: Any) -> Any:
        return _generated.czt(x, self.m, self._given, self.a, axis=axis)

    def points(self) -> Any:
        """The points of the z-plane at which the transform is taken."""
        return _generated.czt_points(self.m, self.w, self.a)


class ZoomFFT(CZT):
    """As `cupyx.scipy.signal.ZoomFFT`: `m` equally spaced frequencies in a band.

    Attributes:
        f1, f2, fs: ends of the band and sampling frequency.
    """

    __module__ = "cupyx.scipy.signal"

    def __init__(self, n: Any, fn: Any, m: Any = None, *, fs: Any = 2, endpoint: Any = False) -> None:
        m = transform_size(n, m)
        band = [float(f) for f in np.ravel(fn.get() if isinstance(fn, ndarray) else fn)]
        if len(band) not in (1, 2):
            raise ValueError("fn must be a scalar or 2-length sequence")
        self.f1, self.f2 = (0.0, band[0]) if len(band) == 1 else band
        self.fs = fs
        scale = (self.f2 - self.f1) * m / (fs * (m - 1)) if endpoint else (self.f2 - self.f1) / fs
        super().__init__(n, m, cmath.exp(-2j * cmath.pi / m * scale), cmath.exp(2j * cmath.pi * self.f1 / fs))
        self._endpoint = endpoint

    def _transform(self, x: Any, axis: Any) -> Any:
        band = (self.f1, self.f2)
        return _generated.zoom_fft(x, band, self.m, fs=self.fs, endpoint=self._endpoint, axis=axis)
