"""Waveforms and pseudo-random sequences."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._common import arrays, internal, plain, sp_signal, table


def gausspulse(
    t: Any, fc: Any = 1000, bw: Any = 0.5, bwr: Any = -6, tpr: Any = -60, retquad: bool = False, retenv: bool = False
) -> Any:
    made = sp_signal.gausspulse(t, fc, bw, bwr, tpr, retquad, retenv)
    dtype = np.asarray(t).dtype
    if isinstance(made, tuple):
        return tuple(np.asarray(each).astype(dtype, copy=False) for each in made)
    return np.asarray(made).astype(dtype, copy=False)


def chirp(t: Any, f0: Any, t1: Any, f1: Any, method: str = "linear", phi: Any = 0, vertex_zero: bool = True) -> Any:
    t = np.asarray(t)
    if t.dtype.kind in "iu":
        t = t.astype(np.float64)
    dtype = np.result_type(t, *(v.dtype for v in (f0, t1, f1, phi) if isinstance(v, np.ndarray)))
    return np.asarray(sp_signal.chirp(t, f0, t1, f1, method, phi, vertex_zero)).astype(dtype, copy=False)


def sweep_poly(t: Any, poly: Any, phi: Any = 0) -> Any:
    return np.asarray(sp_signal.sweep_poly(t, np.asarray(poly), phi))


def unit_impulse(shape: Any, idx: Any = None, dtype: Any = float) -> Any:
    return sp_signal.unit_impulse(shape, idx, dtype)


def max_len_seq(nbits: int, state: Any = None, length: Any = None, taps: Any = None) -> Any:
    sequence, after = sp_signal.max_len_seq(nbits, state, length, None if taps is None else np.asarray(taps))
    return arrays((sequence.astype(np.int8), after.astype(np.int8)))


OPS = {
    **table(
        sawtooth=plain(sp_signal.sawtooth),
        square=plain(sp_signal.square),
        chirp=chirp,
        sweep_poly=sweep_poly,
        unit_impulse=unit_impulse,
        max_len_seq=max_len_seq,
    ),
    **internal(gausspulse=gausspulse),
}
