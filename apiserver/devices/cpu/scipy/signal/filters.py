"""Linear filters.

Note [Filter states]. CuPy's states are not SciPy's: along the filtered axis they hold the last inputs, then the last outputs, oldest
first (a direct form I), where SciPy holds the delays of a transposed direct form II. `_delays` turns the former into the latter.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._common import internal, sp_signal, table, widened


def _work_dtype(dtype: Any) -> Any:
    """What SciPy's loops compute in for a result of `dtype`."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def _delays(b: Any, a: Any, inputs: Any, outputs: Any) -> Any:
    """SciPy's state on the last axis, from the previous inputs and outputs, oldest first. `a[0]` is 1."""
    n = max(len(b), len(a)) - 1
    b, a = (np.concatenate([c, np.zeros(n + 1 - len(c), c.dtype)]) for c in (b, a))
    lead = np.broadcast_shapes(inputs.shape[:-1], outputs.shape[:-1])
    state = np.zeros((*lead, n), np.result_type(b, a, inputs, outputs))
    newest_in, newest_out = inputs[..., ::-1], outputs[..., ::-1]
    for k in range(n):
        for coefficients, history, sign in ((b, newest_in, 1), (a, newest_out, -1)):
            count = min(n - k, history.shape[-1])
            if count:
                state[..., k] += sign * (history[..., :count] @ coefficients[k + 1 : k + 1 + count])
    return state


def filtered(b: Any, a: Any, x: Any, inputs: Any, outputs: Any, dtype: Any) -> Any:
    """Filter along the last axis, from a state or from rest (None)."""
    work = _work_dtype(dtype)
    b, a, x = (np.asarray(v).astype(work) for v in (b, a, x))
    if inputs is None:
        return sp_signal.lfilter(b, a, x).astype(dtype, copy=False)
    state = _delays(b, a, inputs.astype(work), outputs.astype(work))
    state = np.broadcast_to(state, (*x.shape[:-1], state.shape[-1])).astype(work)
    if not state.shape[-1]:
        return (x * b[0]).astype(dtype, copy=False)
    return sp_signal.lfilter(b, a, x, zi=state)[0].astype(dtype, copy=False)


def _last(history: Any, x: Any, n: int) -> Any:
    """The last `n` samples of `history` followed by `x`, on the last axis."""
    if x.shape[-1] >= n:
        return x[..., x.shape[-1] - n :]
    history = np.broadcast_to(history, (*x.shape[:-1], history.shape[-1]))
    both = np.concatenate([history, x], -1)
    return both[..., both.shape[-1] - n :]


def lfilter(b: Any, a: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    b, a, x = np.atleast_1d(b), np.atleast_1d(a), np.asarray(x)
    scaled = b / a[0]
    dtype = np.result_type(x, scaled)
    if a.size > 1:
        dtype = np.result_type(dtype, a)
    normal = np.concatenate([np.ones(1), a[1:] / a[0]])
    along = np.moveaxis(x, axis, -1)
    if zi is None:
        return np.ascontiguousarray(np.moveaxis(filtered(scaled, normal, along, None, None, dtype), -1, axis))
    zi = np.atleast_1d(zi)
    state = np.moveaxis(zi, axis, -1) if zi.ndim == x.ndim else zi
    taps, order = len(b) - 1, a.size - 1
    inputs, outputs = state[..., :taps], state[..., state.shape[-1] - order :]
    y = filtered(scaled, normal, along, inputs, outputs, dtype)
    after = np.empty(state.shape, dtype)
    after[..., :taps] = _last(inputs, along, taps)
    after[..., state.shape[-1] - order :] = _last(outputs, y, order)
    if zi.ndim == x.ndim:
        after = np.moveaxis(after, -1, axis)
    return np.ascontiguousarray(np.moveaxis(y, -1, axis)), np.ascontiguousarray(after)


def lfiltic(b: Any, a: Any, y: Any, x: Any = None) -> Any:
    """The state after these outputs and inputs, newest first."""
    parts = []
    for history, coefficients in ((x, b), (y, a)):
        n = np.size(coefficients) - 1
        if history is not None and n > 0:
            history = np.concatenate([history, np.zeros(max(n - len(history), 0))])
            parts.append(history[:n][::-1])
    return np.concatenate([*parts, np.empty(0)])


def _gain(b: Any, a: Any) -> Any:
    """What the filter makes of a constant 1, in the end."""
    gain = np.sum(b) / np.asarray(np.sum(a), np.result_type(a, np.float64))
    return np.nan_to_num(gain, nan=0.0, posinf=np.inf, neginf=-np.inf)


def lfilter_zi(b: Any, a: Any) -> Any:
    """The state in which a constant 1 has always been the input."""
    b, a = np.atleast_1d(b), np.atleast_1d(a)
    if a.size == 1:
        return np.ones(b.size - 1)
    return np.concatenate([np.ones(b.size - 1), np.full(a.size - 1, _gain(b, a))])


def detrend(data: Any, axis: int = -1, type: str = "linear", bp: Any = 0, overwrite_data: bool = False) -> Any:
    data = np.asarray(data)
    if type in ("constant", "c"):
        return data - np.mean(data, axis, keepdims=True)
    if np.any(np.asarray(bp) > data.shape[axis]):
        raise ValueError("Breakpoints must be less than length of data along given axis.")
    return np.ascontiguousarray(sp_signal.detrend(data, axis, "linear", bp))


def _signed(a: Any) -> Any:
    return a.astype(a.dtype.char.lower()) if a.dtype.kind == "u" else a


def filtfilt(
    b: Any,
    a: Any,
    x: Any,
    axis: int = -1,
    padtype: Any = "odd",
    padlen: Any = None,
    method: str = "pad",
    irlen: Any = None,
) -> Any:
    b, a, x = np.atleast_1d(b), np.atleast_1d(a), np.asarray(x)
    dtype = np.result_type(x, b / a[0])
    if a.size > 1:
        dtype = np.result_type(dtype, _signed(a))
    work = _work_dtype(dtype)
    made = sp_signal.filtfilt(
        b.astype(work), _signed(a).astype(work), x.astype(work), axis, padtype, padlen, method, irlen
    )
    return np.ascontiguousarray(made).astype(dtype, copy=False)


def _sections(sos: Any) -> Any:
    sos = np.atleast_2d(sos)
    if sos.ndim != 2:
        raise ValueError("sos array must be 2D")
    if sos.shape[1] != 6:
        raise ValueError("sos array must be shape (n_sections, 6)")
    return sos


def sosfilt(sos: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    sos = _sections(sos)
    dtype = np.result_type(x, sos)
    along = np.moveaxis(np.asarray(x), axis, -1)
    states = None if zi is None else np.moveaxis(np.asarray(zi), axis + 1 if axis >= 0 else axis, -1)
    after = None if states is None else np.empty(states.shape, dtype)
    for i, section in enumerate(sos):
        if states is None or after is None:
            along = filtered(section[:3], section[3:], along, None, None, dtype)
            continue
        inputs, outputs = states[i, ..., :2], states[i, ..., 2:]
        y = filtered(section[:3], section[3:], along, inputs, outputs, dtype)
        after[i, ..., :2], after[i, ..., 2:] = _last(inputs, along, 2), _last(outputs, y, 2)
        along = y
    y = np.ascontiguousarray(np.moveaxis(along, -1, axis))
    if after is None:
        return y.astype(dtype, copy=False)
    return y, np.ascontiguousarray(np.moveaxis(after, -1, axis + 1 if axis >= 0 else axis))


def sosfilt_zi(sos: Any) -> Any:
    """Per section: its input at rest twice, its output twice, for a constant 1 into the first section."""
    sos = _sections(sos)
    states = np.empty((len(sos), 4), sos.dtype)
    level = np.ones((), sos.dtype)
    for state, section in zip(states, sos, strict=True):
        state[:2] = level
        level = level * _gain(section[:3], section[3:])
        state[2:] = level
    return states


def sosfiltfilt(sos: Any, x: Any, axis: int = -1, padtype: Any = "odd", padlen: Any = None) -> Any:
    sos = _sections(sos)
    dtype = np.result_type(x, sos)
    if not (np.abs(sos[:, 3] - 1.0) <= 1e-15).all():
        raise ValueError("sos[:, 3] should be all ones")
    work = _work_dtype(dtype)
    made = sp_signal.sosfiltfilt(sos.astype(work), np.asarray(x).astype(work), axis, padtype, padlen)
    return np.ascontiguousarray(made).astype(dtype, copy=False)


def deconvolve(signal: Any, divisor: Any) -> Any:
    num, den = np.atleast_1d(signal), np.atleast_1d(divisor)
    if len(den) > len(num):
        return np.empty(0), num
    impulse = np.zeros(len(num) - len(den) + 1)
    impulse[0] = 1
    quotient = lfilter(num, den, impulse).astype(np.result_type(impulse, num, den), copy=False)
    return quotient, num - np.convolve(den, quotient)


def hilbert(x: Any, N: Any = None, axis: int = -1) -> Any:
    return np.ascontiguousarray(sp_signal.hilbert(widened(x), N, axis))


def hilbert2(x: Any, N: Any = None) -> Any:
    return np.ascontiguousarray(sp_signal.hilbert2(widened(np.atleast_2d(x)), tuple(N) if np.iterable(N) else N))


OPS = {
    **table(
        lfilter=lfilter, lfiltic=lfiltic, lfilter_zi=lfilter_zi, detrend=detrend, filtfilt=filtfilt, sosfilt=sosfilt,
        sosfilt_zi=sosfilt_zi, sosfiltfilt=sosfiltfilt, hilbert=hilbert, hilbert2=hilbert2,
    ),
    **internal(deconvolve=deconvolve),
}  # fmt: skip
