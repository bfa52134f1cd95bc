"""Linear systems: transfer functions, zeros and poles, state spaces; continuous and discrete.

A system holds remote arrays; its conversions are ops on them.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ....array import ndarray
from .._commands import cp
from ._design import normalize, ss2zpk, tf2ss, tf2zpk, zpk2ss
from ._simulation import (
    bode,
    cont2discrete,
    dbode,
    dfreqresp,
    dimpulse,
    dlsim,
    dstep,
    freqresp,
    impulse,
    lsim,
    step,
)

_MODULE = "cupyx.scipy.signal"


def abcd_normalize(A: Any = None, B: Any = None, C: Any = None, D: Any = None) -> tuple[Any, Any, Any, Any]:
    """The matrices of a state space, those that are left out or empty as zeros of the shape that the others tell."""
    a, b, c, d = (None if m is None else cp.atleast_2d(m) for m in (A, B, C, D))

    def first(*candidates: tuple[Any, int]) -> Any:
        return next((m.shape[i] for m, i in candidates if m is not None), None)

    states, inputs, outputs = first((a, 0), (b, 0), (c, 1)), first((b, 1), (d, 1)), first((c, 0), (d, 0))
    if states is None or inputs is None or outputs is None:
        raise ValueError("Not enough information on the system.")

    def restored(m: Any, shape: tuple[int, int]) -> Any:
        if m is None or m.shape == (0, 0):
            return cp.zeros(shape)
        if m.shape != shape:
            raise ValueError("The input arrays have incompatible shapes.")
        return m

    return (
        restored(a, (states, states)),
        restored(b, (states, inputs)),
        restored(c, (outputs, states)),
        restored(d, (outputs, inputs)),
    )


class LinearTimeInvariant:
    """Base of all systems. Use `lti` or `dlti`.

    Attributes:
        inputs, outputs: how many.
        dt: sampling time of a discrete system; None for a continuous one.
    """

    __module__ = _MODULE

    def __new__(cls, *system: Any, **kwargs: Any) -> Any:
        if cls is LinearTimeInvariant:
            raise NotImplementedError(
                "The LinearTimeInvariant class is not meant to be used directly, use `lti` or `dlti` instead."
            )
        return super().__new__(cls)

    def __init__(self) -> None:
        self.inputs: Any = None
        self.outputs: Any = None
        self._dt: Any = None

    @property
    def dt(self) -> Any:
        """Sampling time; None for a continuous system."""
        return self._dt

    @property
    def _dt_dict(self) -> dict[str, Any]:
        return {} if self.dt is None else {"dt": self.dt}

    @property
    def zeros(self) -> Any:
        """Zeros of the system."""
        return self.to_zpk().zeros

    @property
    def poles(self) -> Any:
        """Poles of the system."""
        return self.to_zpk().poles

    def to_tf(self) -> Any:
        """The system as a TransferFunction."""
        raise NotImplementedError

    def to_zpk(self) -> Any:
        """The system as a ZerosPolesGain."""
        raise NotImplementedError

    def to_ss(self) -> Any:
        """The system as a StateSpace."""
        raise NotImplementedError

    def _as_ss(self) -> Any:
        return self if isinstance(self, StateSpace) else self.to_ss()

    def _as_zpk(self) -> Any:
        return self if isinstance(self, ZerosPolesGain) else self.to_zpk()

    def _as_tf(self) -> Any:
        return self if isinstance(self, TransferFunction) else self.to_tf()


class lti(LinearTimeInvariant):
    """As `cupyx.scipy.signal.lti`: a continuous system of 2 (transfer function), 3 (zeros, poles, gain) or 4 (state space) arrays."""

    __module__ = _MODULE

    def __new__(cls, *system: Any) -> Any:
        if cls is not lti:
            return super().__new__(cls)
        kinds = {2: TransferFunctionContinuous, 3: ZerosPolesGainContinuous, 4: StateSpaceContinuous}
        kind = kinds.get(len(system))
        if kind is None:
            raise ValueError("`system` needs to be an instance of `lti` or have 2, 3 or 4 arguments.")
        return kind.__new__(kind, *system)

    def __init__(self, *system: Any) -> None:
        super().__init__(*system)

    def impulse(self, X0: Any = None, T: Any = None, N: Any = None) -> Any:
        """The impulse response."""
        return impulse(self, X0=X0, T=T, N=N)

    def step(self, X0: Any = None, T: Any = None, N: Any = None) -> Any:
        """The step response."""
        return step(self, X0=X0, T=T, N=N)

    def output(self, U: Any, T: Any, X0: Any = None) -> Any:
        """The response to the input `U` at times `T`."""
        return lsim(self, U, T, X0=X0)

    def bode(self, w: Any = None, n: Any = 100) -> Any:
        """Frequencies, magnitudes in dB and phases in degrees."""
        return bode(self, w=w, n=n)

    def freqresp(self, w: Any = None, n: Any = 10000) -> Any:
        """The frequency response."""
        return freqresp(self, w=w, n=n)

    def to_discrete(self, dt: Any, method: Any = "zoh", alpha: Any = None) -> Any:
        """The system sampled with the time step `dt`."""
        raise NotImplementedError("to_discrete is not implemented for this system class.")


class dlti(LinearTimeInvariant):
    """As `cupyx.scipy.signal.dlti`: a discrete system of 2, 3 or 4 arrays; `dt` True where the time step is not given."""

    __module__ = _MODULE

    def __new__(cls, *system: Any, **kwargs: Any) -> Any:
        if cls is not dlti:
            return super().__new__(cls)
        kinds = {2: TransferFunctionDiscrete, 3: ZerosPolesGainDiscrete, 4: StateSpaceDiscrete}
        kind = kinds.get(len(system))
        if kind is None:
            raise ValueError("`system` needs to be an instance of `dlti` or have 2, 3 or 4 arguments.")
        return kind.__new__(kind, *system, **kwargs)

    def __init__(self, *system: Any, **kwargs: Any) -> None:
        dt = kwargs.pop("dt", True)
        super().__init__(*system, **kwargs)
        self.dt = dt

    @property
    def dt(self) -> Any:
        """Sampling time."""
        return self._dt

    @dt.setter
    def dt(self, dt: Any) -> None:
        self._dt = dt

    def impulse(self, x0: Any = None, t: Any = None, n: Any = None) -> Any:
        """The impulse response."""
        return dimpulse(self, x0=x0, t=t, n=n)

    def step(self, x0: Any = None, t: Any = None, n: Any = None) -> Any:
        """The step response."""
        return dstep(self, x0=x0, t=t, n=n)

    def output(self, u: Any, t: Any, x0: Any = None) -> Any:
        """The response to the input `u` at times `t`."""
        return dlsim(self, u, t, x0=x0)

    def bode(self, w: Any = None, n: Any = 100) -> Any:
        """Frequencies, magnitudes in dB and phases in degrees."""
        return dbode(self, w=w, n=n)

    def freqresp(self, w: Any = None, n: Any = 10000, whole: Any = False) -> Any:
        """The frequency response."""
        return dfreqresp(self, w=w, n=n, whole=whole)


def _made(cls: type, base: type, continuous: type, discrete: type, system: Any, kwargs: Any) -> Any:
    """What `__new__` of one of the three forms gives; None where the class itself is to be made."""
    if cls is not base:
        return None
    kind: Any = continuous if kwargs.get("dt") is None else discrete
    return kind.__new__(kind, *system, **kwargs)


class TransferFunction(LinearTimeInvariant):
    """As `cupyx.scipy.signal.TransferFunction`. Attributes `num`, `den`: coefficients, highest power first."""

    __module__ = _MODULE

    def __new__(cls, *system: Any, **kwargs: Any) -> Any:
        if len(system) == 1 and isinstance(system[0], LinearTimeInvariant):
            return system[0].to_tf()
        made = _made(cls, TransferFunction, TransferFunctionContinuous, TransferFunctionDiscrete, system, kwargs)
        return super().__new__(cls) if made is None else made

    def __init__(self, *system: Any, **kwargs: Any) -> None:
        if isinstance(system[0], LinearTimeInvariant):
            return
        super().__init__(**kwargs)
        self.num, self.den = normalize(*system)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(\n{self.num!r},\n{self.den!r},\ndt: {self.dt!r}\n)"

    @property
    def num(self) -> Any:
        """Coefficients of the numerator."""
        return self._num

    @num.setter
    def num(self, num: Any) -> None:
        self._num = cp.atleast_1d(num)
        self.outputs, self.inputs = self._num.shape if self._num.ndim > 1 else (1, 1)

    @property
    def den(self) -> Any:
        """Coefficients of the denominator."""
        return self._den

    @den.setter
    def den(self, den: Any) -> None:
        self._den = cp.atleast_1d(den)

    @staticmethod
    def _z_to_zinv(num: Any, den: Any) -> tuple[Any, Any]:
        """Coefficients in powers of z as those in powers of 1/z."""
        missing = len(num) - len(den)
        if missing > 0:
            den = cp.hstack((cp.zeros(missing), cp.atleast_1d(den)))
        elif missing < 0:
            num = cp.hstack((cp.zeros(-missing), cp.atleast_1d(num)))
        return num, den

    @staticmethod
    def _zinv_to_z(num: Any, den: Any) -> tuple[Any, Any]:
        """Coefficients in powers of 1/z as those in powers of z."""
        missing = len(num) - len(den)
        if missing > 0:
            den = cp.hstack((cp.atleast_1d(den), cp.zeros(missing)))
        elif missing < 0:
            num = cp.hstack((cp.atleast_1d(num), cp.zeros(-missing)))
        return num, den

    def to_tf(self) -> Any:
        """A copy."""
        return copy.deepcopy(self)

    def to_zpk(self) -> Any:
        """The system as a ZerosPolesGain."""
        return ZerosPolesGain(*tf2zpk(self.num, self.den), **self._dt_dict)

    def to_ss(self) -> Any:
        """The system as a StateSpace."""
        return StateSpace(*tf2ss(self.num, self.den), **self._dt_dict)


class TransferFunctionContinuous(TransferFunction, lti):
    """A continuous transfer function."""

    __module__ = _MODULE

    def to_discrete(self, dt: Any, method: Any = "zoh", alpha: Any = None) -> Any:
        """The system sampled with the time step `dt`."""
        return TransferFunction(*cont2discrete((self.num, self.den), dt, method=method, alpha=alpha)[:-1], dt=dt)


class TransferFunctionDiscrete(TransferFunction, dlti):
    """A discrete transfer function."""

    __module__ = _MODULE


class ZerosPolesGain(LinearTimeInvariant):
    """As `cupyx.scipy.signal.ZerosPolesGain`."""

    __module__ = _MODULE

    def __new__(cls, *system: Any, **kwargs: Any) -> Any:
        if len(system) == 1 and isinstance(system[0], LinearTimeInvariant):
            return system[0].to_zpk()
        made = _made(cls, ZerosPolesGain, ZerosPolesGainContinuous, ZerosPolesGainDiscrete, system, kwargs)
        return super().__new__(cls) if made is None else made

    def __init__(self, *system: Any, **kwargs: Any) -> None:
        if isinstance(system[0], LinearTimeInvariant):
            return
        super().__init__(**kwargs)
        self.zeros, self.poles, self.gain = system

    def __repr__(self) -> str:
        return f"{type(self).__name__}(\n{self.zeros!r},\n{self.poles!r},\n{self.gain!r},\ndt: {self.dt!r}\n)"

    @property
    def zeros(self) -> Any:
        """Zeros of the system."""
        return self._zeros

    @zeros.setter
    def zeros(self, zeros: Any) -> None:
        self._zeros = cp.atleast_1d(zeros)
        self.outputs, self.inputs = self._zeros.shape if self._zeros.ndim > 1 else (1, 1)

    @property
    def poles(self) -> Any:
        """Poles of the system."""
        return self._poles

    @poles.setter
    def poles(self, poles: Any) -> None:
        self._poles = cp.atleast_1d(poles)

    @property
    def gain(self) -> Any:
        """Gain of the system."""
        return self._gain

    @gain.setter
    def gain(self, gain: Any) -> None:
        self._gain = gain

    def to_tf(self) -> Any:
        """The system as a TransferFunction."""
        from . import zpk2tf

        return TransferFunction(*zpk2tf(self.zeros, self.poles, self.gain), **self._dt_dict)

    def to_zpk(self) -> Any:
        """A copy."""
        return copy.deepcopy(self)

    def to_ss(self) -> Any:
        """The system as a StateSpace."""
        return StateSpace(*zpk2ss(self.zeros, self.poles, self.gain), **self._dt_dict)


class ZerosPolesGainContinuous(ZerosPolesGain, lti):
    """Zeros, poles and gain of a continuous system."""

    __module__ = _MODULE

    def to_discrete(self, dt: Any, method: Any = "zoh", alpha: Any = None) -> Any:
        """The system sampled with the time step `dt`."""
        system = (self.zeros, self.poles, self.gain)
        return ZerosPolesGain(*cont2discrete(system, dt, method=method, alpha=alpha)[:-1], dt=dt)


class ZerosPolesGainDiscrete(ZerosPolesGain, dlti):
    """Zeros, poles and gain of a discrete system."""

    __module__ = _MODULE


class StateSpace(LinearTimeInvariant):
    """As `cupyx.scipy.signal.StateSpace`. Attributes `A`, `B`, `C`, `D`: the matrices. Systems add, multiply and scale."""

    __module__ = _MODULE
    __array_priority__ = 100.0
    __array_ufunc__ = None

    def __new__(cls, *system: Any, **kwargs: Any) -> Any:
        if len(system) == 1 and isinstance(system[0], LinearTimeInvariant):
            return system[0].to_ss()
        made = _made(cls, StateSpace, StateSpaceContinuous, StateSpaceDiscrete, system, kwargs)
        return super().__new__(cls) if made is None else made

    def __init__(self, *system: Any, **kwargs: Any) -> None:
        if isinstance(system[0], LinearTimeInvariant):
            return
        super().__init__(**kwargs)
        self.A, self.B, self.C, self.D = abcd_normalize(*system)

    def __repr__(self) -> str:
        matrices = "".join(f"{m!r},\n" for m in (self.A, self.B, self.C, self.D))
        return f"{type(self).__name__}(\n{matrices}dt: {self.dt!r}\n)"

    # -- arithmetic ----------------------------------------------------------------------------------------------------

    def _of(self, a: Any, b: Any, c: Any, d: Any) -> StateSpace:
        """A system of the same kind, its matrices of one dtype."""
        dtype = np.result_type(*(m.dtype for m in (a, b, c, d)))
        return StateSpace(*(cp.asarray(m, dtype=dtype) for m in (a, b, c, d)), **self._dt_dict)

    @staticmethod
    def _is_operand(other: Any) -> bool:
        return isinstance(other, StateSpace | ndarray | float | complex | np.number | int)

    def __mul__(self, other: Any) -> Any:
        if not self._is_operand(other):
            return NotImplemented
        if not isinstance(other, StateSpace):
            return self._of(self.A, _times(self.B, other), self.C, _times(self.D, other))
        if type(other) is not type(self):
            return NotImplemented
        if self.dt != other.dt:
            raise TypeError("Cannot multiply systems with different `dt`.")
        below = cp.zeros((other.A.shape[0], self.A.shape[0]))
        a = cp.vstack((cp.hstack((self.A, self.B @ other.C)), cp.hstack((below, other.A))))
        return self._of(
            a,
            cp.vstack((self.B @ other.D, other.B)),
            cp.hstack((self.C, self.D @ other.C)),
            self.D @ other.D,
        )

    def __rmul__(self, other: Any) -> Any:
        if not self._is_operand(other) or isinstance(other, StateSpace):
            return NotImplemented
        return self._of(self.A, self.B, _times(other, self.C), _times(other, self.D))

    def __neg__(self) -> Any:
        return StateSpace(self.A, self.B, -self.C, -self.D, **self._dt_dict)

    def __add__(self, other: Any) -> Any:
        if not self._is_operand(other):
            return NotImplemented
        if not isinstance(other, StateSpace):
            other = cp.atleast_2d(other)
            if self.D.shape != other.shape:
                raise ValueError(f"Cannot add systems with incompatible dimensions ({self.D.shape} and {other.shape})")
            return self._of(self.A, self.B, self.C, self.D + other)
        if type(other) is not type(self):
            raise TypeError(f"Cannot add {type(self)} and {type(other)}")
        if self.dt != other.dt:
            raise TypeError("Cannot add systems with different `dt`.")
        n, m = self.A.shape[0], other.A.shape[0]
        a = cp.vstack((cp.hstack((self.A, cp.zeros((n, m)))), cp.hstack((cp.zeros((m, n)), other.A))))
        return self._of(a, cp.vstack((self.B, other.B)), cp.hstack((self.C, other.C)), self.D + other.D)

    def __sub__(self, other: Any) -> Any:
        return self.__add__(-other) if self._is_operand(other) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        return self.__add__(other) if self._is_operand(other) else NotImplemented

    def __rsub__(self, other: Any) -> Any:
        return (-self).__add__(other) if self._is_operand(other) else NotImplemented

    def __truediv__(self, other: Any) -> Any:
        if not self._is_operand(other) or isinstance(other, StateSpace):
            return NotImplemented
        if isinstance(other, ndarray) and other.ndim > 0:
            raise ValueError("Cannot divide StateSpace by non-scalar numpy arrays")
        return self.__mul__(1 / other)

    # -- matrices ------------------------------------------------------------------------------------------------------

    @property
    def A(self) -> Any:
        """State matrix (n, n)."""
        return self._A

    @A.setter
    def A(self, A: Any) -> None:
        self._A = cp.atleast_2d(A)

    @property
    def B(self) -> Any:
        """Input matrix (n, inputs)."""
        return self._B

    @B.setter
    def B(self, B: Any) -> None:
        self._B = cp.atleast_2d(B)
        self.inputs = self._B.shape[-1]

    @property
    def C(self) -> Any:
        """Output matrix (outputs, n)."""
        return self._C

    @C.setter
    def C(self, C: Any) -> None:
        self._C = cp.atleast_2d(C)
        self.outputs = self._C.shape[0]

    @property
    def D(self) -> Any:
        """Feedthrough matrix (outputs, inputs)."""
        return self._D

    @D.setter
    def D(self, D: Any) -> None:
        self._D = cp.atleast_2d(D)

    def to_tf(self, **kwargs: Any) -> Any:
        """The system as a TransferFunction, of the input `input`."""
        from . import ss2tf

        return TransferFunction(*ss2tf(self.A, self.B, self.C, self.D, **kwargs), **self._dt_dict)

    def to_zpk(self, **kwargs: Any) -> Any:
        """The system as a ZerosPolesGain, of the input `input`."""
        return ZerosPolesGain(*ss2zpk(self.A, self.B, self.C, self.D, **kwargs), **self._dt_dict)

    def to_ss(self) -> Any:
        """A copy."""
        return copy.deepcopy(self)


def _times(a: Any, b: Any) -> Any:
    """`a @ b`, where one of them may be a number."""
    return a * b if any(np.ndim(v) == 0 for v in (a, b)) else a @ b


class StateSpaceContinuous(StateSpace, lti):
    """The state space of a continuous system."""

    __module__ = _MODULE

    def to_discrete(self, dt: Any, method: Any = "zoh", alpha: Any = None) -> Any:
        """The system sampled with the time step `dt`."""
        system = (self.A, self.B, self.C, self.D)
        return StateSpace(*cont2discrete(system, dt, method=method, alpha=alpha)[:-1], dt=dt)


class StateSpaceDiscrete(StateSpace, dlti):
    """The state space of a discrete system."""

    __module__ = _MODULE
