"""What linear systems do: responses in time and frequency, sampling, pole placement. Each simulation is one op on the device."""

from __future__ import annotations

import warnings
from typing import Any

from ...._generated import cupyx_scipy_signal as _generated
from .._commands import command, cp

_cont2discrete = command("@cupyx.scipy.signal.cont2discrete")
_place_poles = command("@cupyx.scipy.signal.place_poles")
_lsim = command("@cupyx.scipy.signal.lsim")
_dlsim = command("@cupyx.scipy.signal.dlsim")
_RESPONSES = {name: command(f"@cupyx.scipy.signal.{name}") for name in ("impulse", "step", "dimpulse", "dstep")}


def _continuous(system: Any, what: str) -> Any:
    from ._systems import dlti, lti

    if isinstance(system, dlti):
        raise AttributeError(f"{what} can only be used with continuous-time systems.")
    return system if isinstance(system, lti) else lti(*system)


def _discrete(system: Any, what: str, kind: str = "discrete-time dlti systems") -> Any:
    from ._systems import dlti, lti

    if isinstance(system, lti):
        raise AttributeError(f"{what} can only be used with {kind}.")
    return system if isinstance(system, dlti) else dlti(*system[:-1], dt=system[-1])


def _matrices(system: Any) -> tuple[Any, Any, Any, Any]:
    space = system._as_ss()
    return space.A, space.B, space.C, space.D


# -- in time -----------------------------------------------------------------------------------------------------------


def lsim(system: Any, U: Any, T: Any, X0: Any = None, interp: Any = True) -> Any:
    """As `cupyx.scipy.signal.lsim`: times, outputs and states of a continuous system."""
    matrices = _matrices(_continuous(system, "lsim"))
    T = cp.atleast_1d(T)
    if T.ndim != 1:
        raise ValueError("T must be a rank-1 array.")
    return (T, *_lsim(*matrices, U, T, X0, interp))


def impulse(system: Any, X0: Any = None, T: Any = None, N: Any = None) -> Any:
    """As `cupyx.scipy.signal.impulse`."""
    return _RESPONSES["impulse"](*_matrices(_continuous(system, "impulse")), X0, T, N)


def step(system: Any, X0: Any = None, T: Any = None, N: Any = None) -> Any:
    """As `cupyx.scipy.signal.step`."""
    return _RESPONSES["step"](*_matrices(_continuous(system, "step")), X0, T, N)


def dlsim(system: Any, u: Any, t: Any = None, x0: Any = None) -> Any:
    """As `cupyx.scipy.signal.dlsim`: times, outputs, and the states of a system given as a state space."""
    from ._systems import StateSpace

    system = _discrete(system, "dlsim")
    found = _dlsim(*_matrices(system), system.dt, u, t, x0)
    return found if isinstance(system, StateSpace) else found[:2]


def _per_input(name: str, system: Any, x0: Any, t: Any, n: Any) -> Any:
    system = _discrete(system, name)
    times, *outputs = _RESPONSES[name](*_matrices(system), system.dt, x0, t, n)
    return times, tuple(outputs)


def dimpulse(system: Any, x0: Any = None, t: Any = None, n: Any = None) -> Any:
    """As `cupyx.scipy.signal.dimpulse`: times, and a tuple of the outputs for each input."""
    return _per_input("dimpulse", system, x0, t, n)


def dstep(system: Any, x0: Any = None, t: Any = None, n: Any = None) -> Any:
    """As `cupyx.scipy.signal.dstep`: times, and a tuple of the outputs for each input."""
    return _per_input("dstep", system, x0, t, n)


# -- in frequency ------------------------------------------------------------------------------------------------------


def _check_single(system: Any, what: str) -> None:
    if system.inputs != 1 or system.outputs != 1:
        raise ValueError(f"{what} requires a SISO (single input, single output) system.")


def freqresp(system: Any, w: Any = None, n: Any = 10000) -> Any:
    """As `cupyx.scipy.signal.freqresp`."""
    from ._systems import StateSpace, TransferFunction

    system = _continuous(system, "freqresp")
    if isinstance(system, StateSpace):
        system = system._as_zpk()
    _check_single(system, "freqresp()")
    points = n if w is None else w
    if isinstance(system, TransferFunction):
        return _generated.freqs(system.num.ravel(), system.den, worN=points)
    return _generated.freqs_zpk(system.zeros, system.poles, system.gain, worN=points)


def bode(system: Any, w: Any = None, n: Any = 100) -> Any:
    """As `cupyx.scipy.signal.bode`."""
    w, y = freqresp(system, w=w, n=n)
    phase = cp.unwrap(cp.arctan2(y.imag, y.real)) * 180.0 / cp.pi
    return w, 20.0 * cp.log10(abs(y)), phase


def dfreqresp(system: Any, w: Any = None, n: Any = 10000, whole: Any = False) -> Any:
    """As `cupyx.scipy.signal.dfreqresp`."""
    from ._systems import StateSpace, TransferFunction, ZerosPolesGain

    system = _discrete(system, "dfreqresp", "discrete-time systems")
    if isinstance(system, StateSpace):
        system = system._as_tf()
    if not isinstance(system, TransferFunction | ZerosPolesGain):
        raise ValueError("Unknown system type")
    _check_single(system, "dfreqresp")
    points = n if w is None else w
    if isinstance(system, ZerosPolesGain):
        return _generated.freqz_zpk(system.zeros, system.poles, system.gain, worN=points, whole=whole)
    num, den = TransferFunction._z_to_zinv(system.num.ravel(), system.den)
    return _generated.freqz(num, den, worN=points, whole=whole)


def dbode(system: Any, w: Any = None, n: Any = 100) -> Any:
    """As `cupyx.scipy.signal.dbode`."""
    system = _discrete(system, "dfreqresp", "discrete-time systems")
    w, y = dfreqresp(system, w=w, n=n)
    return w / system.dt, 20.0 * cp.log10(abs(y)), cp.rad2deg(cp.unwrap(cp.angle(y)))


# -- sampling, pole placement --------------------------------------------------------------------------------------------


def cont2discrete(system: Any, dt: Any, method: Any = "zoh", alpha: Any = None) -> Any:
    """As `cupyx.scipy.signal.cont2discrete`: the arrays of the sampled system, and `dt`."""
    return (*_cont2discrete(tuple(system), dt, method, alpha), dt)


class Bunch:
    """Results by name."""

    __module__ = "cupyx.scipy.signal"

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def place_poles(A: Any, B: Any, poles: Any, method: Any = "YT", rtol: Any = 1e-3, maxiter: Any = 30) -> Bunch:
    """As `cupyx.scipy.signal.place_poles`. Waits for its result: it may not have converged."""
    gain, computed, requested, x, reached, rounds = _place_poles(A, B, poles, method, rtol, maxiter)
    tolerance, count = float(reached), float(rounds)
    if count >= maxiter and tolerance >= rtol > 0:
        warnings.warn(
            "Convergence was not reached after maxiter iterations.\n"
            f"You asked for a tolerance of {rtol}, we got {tolerance}.",
            stacklevel=2,
        )
    return Bunch(
        gain_matrix=gain, computed_poles=computed, requested_poles=requested, X=x, rtol=tolerance,
        nb_iter=count if count != count else int(count),
    )  # fmt: skip
