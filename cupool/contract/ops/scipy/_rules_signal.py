"""Rules of `cupyx.scipy.signal`: convolution, filters, resampling, waveforms.

What only the data (or a long computation) tells is UNKNOWN; errors of shapes, dtypes and host parameters are raised here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops.rules._arrays import as_spec, packed, promote, to_axis
from cupool.contract.ops.rules.common import normalize_axis, rule
from cupool.contract.ops.rules.fft import complex_dtype, real_dtype
from cupool.contract.spec import Spec

F32, F64, C128 = np.dtype("f4"), np.dtype("f8"), np.dtype("c16")
MODES = ("valid", "same", "full")


def with_axis(shape: tuple[int, ...], axis: int, n: int) -> tuple[int, ...]:
    """`shape` with length `n` along `axis`."""
    made = list(shape)
    made[axis] = n
    return tuple(made)


def at_least_1d(value: Any) -> Spec:
    """The spec of `cupy.atleast_1d(value)`."""
    spec = as_spec(value)
    return packed((1,), spec.dtype) if spec.ndim == 0 else spec


def divided(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of `a / b`."""
    return np.true_divide(np.ones(1, a), np.ones(1, b)).dtype


# -- convolution -------------------------------------------------------------------------------------------------------


def must_swap(mode: str, one: tuple[int, ...], two: tuple[int, ...], axes: Any = None) -> bool:
    """Whether "valid" takes the operands the other way round. Raises ValueError when neither fits into the other."""
    if mode != "valid" or not one:
        return False
    axes = range(len(one)) if axes is None else axes
    smaller, larger = any(one[i] < two[i] for i in axes), any(one[i] > two[i] for i in axes)
    if smaller and larger:
        raise ValueError('For "valid" mode, one must be at least as large as the other in every dimension')
    return smaller


def _operands(in1: Any, in2: Any, mode: Any) -> Any:
    """(spec, spec), or the result of a convolution that needs no computing."""
    for value in (in1, in2):
        if not isinstance(value, Spec):
            if hasattr(value, "ndim"):
                raise TypeError(f"Unsupported type {type(value)}")
            raise AttributeError(f"{type(value).__name__!r} object has no attribute 'ndim'")
    if in1.ndim == in2.ndim == 0:
        return packed((), promote(in1, in2))
    if in1.ndim != in2.ndim:
        raise ValueError("in1 and in2 should have the same dimensionality")
    if in1.size == 0 or in2.size == 0:
        return packed((0,), in1.dtype)
    if mode not in MODES:
        raise ValueError('acceptable modes are "valid", "same", or "full"')
    return in1, in2


def _convolved_shape(one: tuple[int, ...], two: tuple[int, ...], mode: str) -> tuple[int, ...]:
    if mode == "full":
        return tuple(x + y - 1 for x, y in zip(one, two, strict=True))
    if mode == "same":
        return one
    if must_swap(mode, one, two):
        one, two = two, one
    return tuple(x - y + 1 for x, y in zip(one, two, strict=True))


@rule("signal.convolve")
def convolve(in1: Any, in2: Any, mode: Any = "full", method: Any = "auto") -> Spec:
    checked = _operands(in1, in2, mode)
    if isinstance(checked, Spec):
        return checked
    if method not in ("auto", "direct", "fft"):
        raise ValueError('acceptable methods are "auto", "direct", or "fft"')
    if method == "auto" and in1.ndim != 1:
        raise NotImplementedError("Only 1d inputs are supported currently")
    if method == "direct":
        _refuse_direct(in1)
    return packed(_convolved_shape(in1.shape, in2.shape, mode), promote(in1, in2))


def _refuse_direct(in1: Spec) -> None:
    if in1.ndim != 1 and (in1.dtype.kind == "b" or in1.dtype.char == "e"):
        raise ValueError("unsupported type in SciPy")


_BOUNDARIES = ("fill", "pad", "wrap", "circular", "symm", "symmetric")


def convolve2d(what: str) -> Callable[..., Spec]:
    """convolve2d and correlate2d."""

    @rule(f"signal.{what}")
    def infer(in1: Any, in2: Any, mode: Any = "full", boundary: Any = "fill", fillvalue: Any = 0) -> Spec:
        if not in1.ndim == in2.ndim == 2:
            raise ValueError(f"{what} inputs must both be 2-D arrays")
        if boundary not in _BOUNDARIES:
            raise ValueError(
                'Acceptable boundary flags are "fill" (or "pad"), "circular" (or "wrap"), and "symmetric" (or "symm").'
            )
        checked = _operands(in1, in2, mode)
        if isinstance(checked, Spec):
            return checked
        _refuse_direct(in1)
        return packed(_convolved_shape(in1.shape, in2.shape, mode), promote(in1, in2))

    return infer


@rule("signal.fftconvolve")
def fftconvolve(in1: Any, in2: Any, mode: Any = "full", axes: Any = None) -> Spec:
    checked = _operands(in1, in2, mode)
    if isinstance(checked, Spec):
        return checked
    one, two = in1.shape, in2.shape
    chosen = _conv_axes(in1, axes)
    chosen = [axis for axis in chosen if one[axis] != 1 and two[axis] != 1]
    for axis, (x, y) in enumerate(zip(one, two, strict=True)):
        if axis not in chosen and x != y and 1 not in (x, y):
            raise ValueError(f"incompatible shapes for in1 and in2: {one} and {two}")
    if must_swap(mode, one, two, chosen):
        one, two = two, one
    full = [x + y - 1 if axis in chosen else max(x, y) for axis, (x, y) in enumerate(zip(one, two, strict=True))]
    if mode == "same":
        full = list(one)
    elif mode == "valid":
        full = [one[a] - two[a] + 1 if a in chosen else n for a, n in enumerate(full)]
    if not chosen:
        return packed(full, promote(in1, in2))
    if in1.dtype.kind == "c" or in2.dtype.kind == "c":
        return packed(full, np.result_type(complex_dtype(in1.dtype), complex_dtype(in2.dtype)))
    return packed(full, np.result_type(real_dtype(in1.dtype), real_dtype(in2.dtype)))


def _conv_axes(x: Spec, axes: Any) -> list[int]:
    given = (
        range(x.ndim)
        if axes is None
        else (axes,)
        if isinstance(axes, int | np.integer)
        else [operator.index(a) for a in axes]
    )
    found = [normalize_axis(a, x.ndim) for a in given]
    if len(set(found)) != len(found):
        raise ValueError("all axes must be unique")
    if not found:
        raise ValueError("when provided, axes cannot be empty")
    if any(x.shape[axis] < 1 for axis in found):
        raise ValueError("invalid number of data points specified")
    return found


@rule("signal.correlation_lags")
def correlation_lags(in1_len: Any, in2_len: Any, mode: Any = "full") -> Spec:
    n, m = operator.index(in1_len), operator.index(in2_len)
    if mode not in MODES:
        raise ValueError(f"Mode {mode} is invalid: it must be 'full', 'same' or 'valid'")
    length = {"full": n + m - 1, "same": n, "valid": abs(n - m) + 1}[mode]
    return packed((max(length, 0),), np.int64)


# -- rank filters ------------------------------------------------------------------------------------------------------


def sizes(value: Any, ndim: int, name: str) -> list[int]:
    """One integer per axis, of a number or a sequence. Raises RuntimeError for another count."""
    if isinstance(value, Spec):
        raise TypeError(f"{name} must be given as Python integers, not as a device array")
    if not np.iterable(value):
        return [int(value)] * ndim
    made = [int(n) for n in value]
    if len(made) != ndim:
        raise RuntimeError(f"{name} must have length equal to input rank")
    return made


@rule("signal.wiener")
def wiener(im: Any, mysize: Any = None, noise: Any = None) -> Spec:
    sizes(3 if mysize is None else mysize, im.ndim, "mysize")
    return packed(im.shape, C128 if im.dtype.kind == "c" else F64)


@rule("signal.order_filter")
def order_filter(a: Any, domain: Any, rank: Any) -> Spec:
    if a.dtype.kind in "bc" or a.dtype == np.float16:
        raise ValueError("data type not supported")
    if any(n % 2 != 1 for n in domain.shape):
        raise ValueError("Each dimension of domain argument  should have an odd number of elements.")
    return packed(a.shape, a.dtype)


def _median(a: Spec, kernel_size: Any, ndim: int | None) -> Spec:
    if a.dtype.char == "e":
        raise ValueError("float16 type not supported")
    if a.dtype.kind == "b":
        raise ValueError("bool type not supported")
    if ndim is not None and a.ndim != ndim:
        raise ValueError("input must be 2d")
    if any(n % 2 != 1 for n in sizes(3 if kernel_size is None else kernel_size, a.ndim, "kernel_size")):
        raise ValueError("Each element of kernel_size should be odd")
    if a.dtype.kind == "c":
        raise ValueError("complex types not supported")
    return packed(a.shape, a.dtype)


@rule("signal.medfilt")
def medfilt(volume: Any, kernel_size: Any = None) -> Spec:
    return _median(volume, kernel_size, None)


@rule("signal.medfilt2d")
def medfilt2d(input: Any, kernel_size: Any = 3) -> Spec:
    return _median(input, kernel_size, 2)


# -- linear filters ----------------------------------------------------------------------------------------------------


def _filtered_dtype(b: Spec, a: Spec, x: Spec) -> np.dtype[Any]:
    dtype = np.result_type(x.dtype, divided(b.dtype, a.dtype))
    return np.result_type(dtype, a.dtype) if a.size > 1 else dtype


@rule("signal.lfilter")
def lfilter(b: Any, a: Any, x: Any, axis: Any = -1, zi: Any = None) -> Any:
    b, a, x = at_least_1d(b), at_least_1d(a), as_spec(x)
    normalize_axis(axis, x.ndim)
    y = packed(x.shape, _filtered_dtype(b, a, x))
    if zi is None:
        return y
    state = at_least_1d(zi)
    needed = b.size + a.size - 2
    if state.ndim and state.shape[axis if state.ndim == x.ndim else -1] != needed:
        raise ValueError(f"zi must hold {needed} values along the axis: previous inputs, then previous outputs")
    return y, packed(state.shape, y.dtype)


@rule("signal.firfilter")
def firfilter(b: Any, x: Any, axis: Any = -1, zi: Any = None) -> Any:
    return lfilter(b, packed((1,), F64), x, axis, zi)


@rule("signal.lfiltic")
def lfiltic(b: Any, a: Any, y: Any, x: Any = None) -> Any:
    if y is None and x is None:
        return None
    length, dtype = 0, F64
    for history, coefficients in ((y, a), (x, b)):
        n = at_least_1d(coefficients).size - 1
        if history is not None and n > 0:
            length += n
            dtype = np.result_type(dtype, as_spec(history).dtype)
    return packed((length,), dtype)


@rule("signal.lfilter_zi")
def lfilter_zi(b: Any, a: Any) -> Spec:
    b, a = at_least_1d(b), at_least_1d(a)
    is_complex = a.size > 1 and "c" in (b.dtype.kind, a.dtype.kind)
    return packed((b.size + a.size - 2,), C128 if is_complex else F64)


@rule("signal.detrend")
def detrend(data: Any, axis: Any = -1, type: Any = "linear", bp: Any = 0, overwrite_data: Any = False) -> Spec:
    if type not in ("linear", "l", "constant", "c"):
        raise ValueError("Trend type must be 'linear' or 'constant'.")
    data = as_spec(data)
    if type in ("constant", "c"):
        if axis is not None:
            normalize_axis(axis, data.ndim)
        return packed(data.shape, F64 if data.dtype.kind in "biu" else data.dtype)
    axis = normalize_axis(axis, data.ndim)
    if not isinstance(bp, Spec) and np.any(np.asarray(bp) > data.shape[axis]):
        raise ValueError("Breakpoints must be less than length of data along given axis.")
    return packed(data.shape, data.dtype if data.dtype.char in "dfDF" else F64)


def check_padding(padtype: Any, padlen: Any, x: Spec, axis: Any, ntaps: int | None) -> None:
    """Raises ValueError as the forward-backward filters do. `ntaps` None: only the data tells the default length."""
    if padtype not in ("even", "odd", "constant", None):
        raise ValueError(
            f"Unknown value '{padtype}' given to padtype.  padtype must be 'even', 'odd', 'constant', or None."
        )
    if padtype is None:
        padlen = 0
    if padlen is None and ntaps is None:
        return
    edge = (ntaps or 0) * 3 if padlen is None else padlen
    if x.shape[axis] <= edge:
        raise ValueError(f"The length of the input vector x must be greater than padlen, which is {edge}.")


@rule("signal.filtfilt")
def filtfilt(
    b: Any,
    a: Any,
    x: Any,
    axis: Any = -1,
    padtype: Any = "odd",
    padlen: Any = None,
    method: Any = "pad",
    irlen: Any = None,
) -> Spec:
    b, a, x = at_least_1d(b), at_least_1d(a), as_spec(x)
    if method not in ("pad", "gust"):
        raise ValueError("method must be 'pad' or 'gust'.")
    normalize_axis(axis, x.ndim)
    if method == "pad":
        check_padding(padtype, padlen, x, axis, max(a.size, b.size))
    return packed(x.shape, _filtered_dtype(b, a, x))


@rule("signal.firfilter2")
def firfilter2(
    b: Any, x: Any, axis: Any = -1, padtype: Any = "odd", padlen: Any = None, method: Any = "pad", irlen: Any = None
) -> Spec:
    b, x = at_least_1d(b), as_spec(x)
    if method not in ("pad", "gust"):
        raise ValueError("method must be 'pad' or 'gust'.")
    if method == "gust":
        raise NotImplementedError("gust method not supported yet")
    normalize_axis(axis, x.ndim)
    check_padding(padtype, padlen, x, axis, b.size)
    return packed(x.shape, _filtered_dtype(b, packed((1,), F64), x))


@rule("signal.firfilter_zi")
def firfilter_zi(b: Any) -> Spec:
    b = at_least_1d(b)
    return packed((b.size - 1,), np.result_type(b.dtype, F32))


def check_sos(sos: Any) -> Any:
    """Sections of six coefficients. Raises ValueError."""
    sos = as_spec(sos)
    if sos.ndim < 2:
        sos = packed((1, *(sos.shape or (1,))), sos.dtype)
    if sos.ndim != 2:
        raise ValueError("sos array must be 2D")
    if sos.shape[1] != 6:
        raise ValueError("sos array must be shape (n_sections, 6)")
    return sos


@rule("signal.sosfilt")
def sosfilt(sos: Any, x: Any, axis: Any = -1, zi: Any = None) -> Any:
    sos, x = check_sos(sos), as_spec(x)
    axis = normalize_axis(axis, x.ndim)
    y = packed(x.shape, promote(x, sos))
    if zi is None:
        return y
    state = as_spec(zi)
    needed = (sos.shape[0], *with_axis(x.shape, axis, 4))
    if state.shape != needed:
        raise ValueError(f"Invalid zi shape. With axis={axis!r}, an input with shape {x.shape!r} and {sos.shape[0]} sections "
                         f"zi must have shape {needed!r}, got {state.shape!r}.")  # fmt: skip
    return y, packed(needed, y.dtype)


@rule("signal.sosfilt_zi")
def sosfilt_zi(sos: Any) -> Spec:
    sos = check_sos(sos)
    return packed((sos.shape[0], 4), sos.dtype)


@rule("signal.sosfiltfilt")
def sosfiltfilt(sos: Any, x: Any, axis: Any = -1, padtype: Any = "odd", padlen: Any = None) -> Spec:
    sos, x = check_sos(sos), as_spec(x)
    if x.ndim == 0:
        raise ValueError("x must be at least 1-D")
    normalize_axis(axis, x.ndim)
    check_padding(padtype, padlen, x, axis, None)
    return packed(x.shape, promote(x, sos))


@rule("signal.deconvolve")
def deconvolve(signal: Any, divisor: Any) -> Any:
    num, den = at_least_1d(signal), at_least_1d(divisor)
    if num.ndim > 1:
        raise ValueError("signal must be 1-D.")
    if den.ndim > 1:
        raise ValueError("divisor must be 1-D.")
    if den.size > num.size:
        return packed((0,), F64), packed(num.shape, num.dtype)
    dtype = np.result_type(F64, num.dtype, den.dtype)
    return packed((num.size - den.size + 1,), dtype), packed(num.shape, dtype)


def _refuse_complex(x: Spec) -> None:
    if x.dtype.kind == "c":
        raise ValueError("x must be real.")


@rule("signal.hilbert")
def hilbert(x: Any, N: Any = None, axis: Any = -1) -> Spec:
    _refuse_complex(x)
    axis = to_axis(operator.index(axis), x.ndim)
    n = x.shape[axis] if N is None else N
    if n <= 0:
        raise ValueError("N must be positive.")
    return packed(with_axis(x.shape, axis, operator.index(n)), complex_dtype(x.dtype))


@rule("signal.hilbert2")
def hilbert2(x: Any, N: Any = None) -> Spec:
    if x.ndim > 2:
        raise ValueError("x must be 2-D.")
    _refuse_complex(x)
    shape = (1,) * (2 - x.ndim) + x.shape
    if N is None:
        N = shape
    elif isinstance(N, int):
        if N <= 0:
            raise ValueError("N must be positive.")
        N = (N, N)
    elif len(N) != 2 or N[0] <= 0 or N[1] <= 0:
        raise ValueError("When given as a tuple, N must hold exactly two positive integers")
    return packed(N, complex_dtype(x.dtype))
