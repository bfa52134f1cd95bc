"""Linear systems in state-space form."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._common import arrays, internal, sp_signal


def _scalar(value: Any) -> Any:
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def cont2discrete(system: Any, dt: Any, method: str = "zoh", alpha: Any = None) -> Any:
    """The arrays of the discrete system, without `dt`."""
    return arrays(sp_signal.cont2discrete(tuple(system), _scalar(dt), method, alpha)[:-1])


def place_poles(A: Any, B: Any, poles: Any, method: str = "YT", rtol: float = 1e-3, maxiter: int = 30) -> Any:
    found = sp_signal.place_poles(A, B, np.asarray(poles), method, rtol, maxiter)
    return arrays((found.gain_matrix, found.computed_poles, found.requested_poles, found.X, found.rtol, found.nb_iter))


def lsim(A: Any, B: Any, C: Any, D: Any, U: Any, T: Any, X0: Any = None, interp: bool = True) -> Any:
    """Outputs and states."""
    return arrays(sp_signal.lsim((A, B, C, D), 0.0 if U is None else U, T, X0, interp)[1:])


def impulse(A: Any, B: Any, C: Any, D: Any, X0: Any = None, T: Any = None, N: Any = None) -> Any:
    return arrays(sp_signal.impulse((A, B, C, D), X0, T, N))


def step(A: Any, B: Any, C: Any, D: Any, X0: Any = None, T: Any = None, N: Any = None) -> Any:
    return arrays(sp_signal.step((A, B, C, D), X0, T, N))


def dlsim(A: Any, B: Any, C: Any, D: Any, dt: Any, u: Any, t: Any = None, x0: Any = None) -> Any:
    return arrays(sp_signal.dlsim(sp_signal.StateSpace(A, B, C, D, dt=_scalar(dt)), u, t, x0))


def _flat(found: Any) -> Any:
    times, outputs = found
    return arrays((times, *outputs))


def dimpulse(A: Any, B: Any, C: Any, D: Any, dt: Any, x0: Any = None, t: Any = None, n: Any = None) -> Any:
    """Times, then the outputs for each input."""
    return _flat(sp_signal.dimpulse((A, B, C, D, _scalar(dt)), x0, t, n))


def dstep(A: Any, B: Any, C: Any, D: Any, dt: Any, x0: Any = None, t: Any = None, n: Any = None) -> Any:
    """Times, then the outputs for each input."""
    return _flat(sp_signal.dstep((A, B, C, D, _scalar(dt)), x0, t, n))


OPS = internal(
    cont2discrete=cont2discrete, place_poles=place_poles, lsim=lsim, impulse=impulse, step=step, dlsim=dlsim, dimpulse=dimpulse,
    dstep=dstep,
)  # fmt: skip
