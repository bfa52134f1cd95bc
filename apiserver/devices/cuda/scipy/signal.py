"""Internal ops of `cupyx.scipy.signal`: what the client takes apart (dicts, systems, warnings) is put together again for CuPy."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np
from cupyx.scipy import signal

from cupool.contract.ops.scipy._rules_signal_waves import peak_properties


def deconvolve(num: Any, den: Any) -> Any:
    quotient, remainder = signal.deconvolve(num, den)
    return cupy.asarray(quotient, None if len(quotient) else np.float64), remainder


def argrelextrema(data: Any, comparator: str, axis: int = 0, order: int = 1, mode: str = "clip") -> Any:
    return signal.argrelextrema(data, getattr(cupy, comparator), axis, order, mode)


def find_peaks(x: Any, **conditions: Any) -> Any:
    """The peaks, then the properties named by `peak_properties` in its order."""
    peaks, properties = signal.find_peaks(x, **conditions)
    return (peaks, *(properties[name] for name in peak_properties(conditions)))


def flagged(name: str, args: Any, options: Any) -> Any:
    """The results of the named function, then whether it warned."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = getattr(signal, name)(*args, **options)
    flag = cupy.asarray(any(issubclass(w.category, UserWarning | RuntimeWarning) for w in caught), np.int8)
    return (*(found if isinstance(found, tuple) else (found,)), flag)


def cont2discrete(system: Any, dt: Any, method: str = "zoh", alpha: Any = None) -> Any:
    """The arrays of the discrete system, without `dt`."""
    return signal.cont2discrete(tuple(system), dt, method, alpha)[:-1]


def place_poles(A: Any, B: Any, poles: Any, method: str = "YT", rtol: float = 1e-3, maxiter: int = 30) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the client sees from the last two that it did not converge, and warns
        found = signal.place_poles(A, B, poles, method, rtol, maxiter)
    return (found.gain_matrix, found.computed_poles, found.requested_poles, found.X, found.rtol, found.nb_iter)


def lsim(A: Any, B: Any, C: Any, D: Any, U: Any, T: Any, X0: Any = None, interp: bool = True) -> Any:
    """Outputs and states."""
    return signal.lsim(signal.StateSpace(A, B, C, D), U, T, X0, interp)[1:]


def _response(name: str) -> Callable[..., Any]:
    def run(A: Any, B: Any, C: Any, D: Any, X0: Any = None, T: Any = None, N: Any = None) -> Any:
        return getattr(signal, name)(signal.StateSpace(A, B, C, D), X0, T, N)

    return run


def dlsim(A: Any, B: Any, C: Any, D: Any, dt: Any, u: Any, t: Any = None, x0: Any = None) -> Any:
    return signal.dlsim(signal.StateSpace(A, B, C, D, dt=dt), u, t, x0)


def _discrete_response(name: str) -> Callable[..., Any]:
    def run(A: Any, B: Any, C: Any, D: Any, dt: Any, x0: Any = None, t: Any = None, n: Any = None) -> Any:
        times, outputs = getattr(signal, name)(signal.StateSpace(A, B, C, D, dt=dt), x0, t, n)
        return (times, *outputs)

    return run


OPS: dict[str, Callable[..., Any]] = {
    f"@cupyx.scipy.signal.{name}": function
    for name, function in {
        "deconvolve": deconvolve, "gausspulse": signal.gausspulse, "argrelextrema": argrelextrema, "find_peaks": find_peaks,
        "flagged": flagged, "cont2discrete": cont2discrete, "place_poles": place_poles, "lsim": lsim, "impulse": _response("impulse"),
        "step": _response("step"), "dlsim": dlsim, "dimpulse": _discrete_response("dimpulse"), "dstep": _discrete_response("dstep"),
    }.items()
}  # fmt: skip
