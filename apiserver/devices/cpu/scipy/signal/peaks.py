"""Peaks and relative extrema."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupool.contract.ops.scipy._rules_signal_waves import peak_properties

from ._common import internal, sp_signal, table

#: Properties that CuPy keeps in the signal's dtype, where SciPy converts everything to float64.
_OF_SIGNAL = frozenset({"peak_heights", "left_thresholds", "right_thresholds", "prominences"})


def argrelextrema(data: Any, comparator: str, axis: int = 0, order: int = 1, mode: str = "clip") -> Any:
    return sp_signal.argrelextrema(np.asarray(data), getattr(np, comparator), axis, order, mode)


def argrelmin(data: Any, axis: int = 0, order: int = 1, mode: str = "clip") -> Any:
    return argrelextrema(data, "less", axis, order, mode)


def argrelmax(data: Any, axis: int = 0, order: int = 1, mode: str = "clip") -> Any:
    return argrelextrema(data, "greater", axis, order, mode)


def _indices(peaks: Any) -> Any:
    return np.asarray(peaks).astype(np.int64)


def peak_prominences(x: Any, peaks: Any, wlen: Any = None) -> Any:
    x = np.asarray(x)
    heights, left, right = sp_signal.peak_prominences(x, _indices(peaks), wlen)
    return heights.astype(x.dtype), left, right


def peak_widths(x: Any, peaks: Any, rel_height: float = 0.5, prominence_data: Any = None, wlen: Any = None) -> Any:
    if prominence_data is not None:
        prominence_data = tuple(np.asarray(part) for part in prominence_data)
        prominence_data = (prominence_data[0].astype(np.float64), *map(_indices, prominence_data[1:]))
    return sp_signal.peak_widths(np.asarray(x), _indices(peaks), rel_height, prominence_data, wlen)


def find_peaks(x: Any, **conditions: Any) -> Any:
    """The peaks, then the properties named by `peak_properties` in its order."""
    x = np.asarray(x)
    peaks, properties = sp_signal.find_peaks(x, **conditions)
    values = [properties[name] for name in peak_properties(conditions)]
    names = peak_properties(conditions)
    return (peaks, *(v.astype(x.dtype) if n in _OF_SIGNAL else v for n, v in zip(names, values, strict=True)))


OPS = {
    **table(argrelmin=argrelmin, argrelmax=argrelmax, peak_prominences=peak_prominences, peak_widths=peak_widths),
    **internal(argrelextrema=argrelextrema, find_peaks=find_peaks),
}
