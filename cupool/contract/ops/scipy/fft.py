"""Rows: `cupyx.scipy.fft`: cosine, sine and Hankel transforms. Fourier transforms are the rows of `cupy.fft`."""

from __future__ import annotations

import numbers
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops._row import CLIENT, op
from cupool.contract.ops._sample_arrays import arr, call, fails, pos
from cupool.contract.ops.rules._arrays import packed
from cupool.contract.ops.rules.common import AxisError, rule
from cupool.contract.ops.rules.fft import real_dtype
from cupool.contract.spec import Spec

_PREFIX = "cupyx.scipy.fft."
_NORMS = (None, "backward", "ortho", "forward")


def _checked(x: Any, type: Any, norm: Any) -> Spec:
    if not isinstance(x, Spec):
        raise TypeError(f"x must be a cupy.ndarray, not {x.__class__.__name__}")
    if type in (1, 4):
        raise NotImplementedError("Only DCT-II, DCT-III, DST-II and DST-III have been implemented.")
    if type not in (2, 3):
        raise ValueError("invalid DCT or DST type")
    if norm not in _NORMS:
        raise ValueError(f'Invalid norm value "{norm}", should be "backward", "ortho" or "forward"')
    return x


def _dtype(x: Spec) -> np.dtype[Any]:
    return x.dtype if x.dtype.kind == "c" else real_dtype(x.dtype)


@rule("fft_dct")
def _one(x: Any, type: Any = 2, n: Any = None, axis: Any = -1, norm: Any = None, overwrite_x: Any = False) -> Spec:
    x = _checked(x, type, norm)
    if not -x.ndim <= axis < x.ndim:
        raise AxisError("axis out of range")
    shape = list(x.shape)
    if n is not None:
        shape[axis] = operator.index(n)
    if shape[axis] < 1:
        raise ValueError(f"invalid number of data points ({shape[axis]}) specified")
    return packed(shape, _dtype(x))


def _integers(value: Any, name: str) -> list[int]:
    items: Any = (value,) if isinstance(value, numbers.Number) else value
    try:
        return [operator.index(item) for item in items]
    except TypeError:
        raise ValueError(f"{name} must be a scalar or iterable of integers") from None


@rule("fft_dctn")
def _several(
    x: Any, type: Any = 2, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: Any = False
) -> Spec:
    x = _checked(x, type, norm)
    if axes is not None:
        axes = [axis + x.ndim if axis < 0 else axis for axis in _integers(axes, "axes")]
        if any(not 0 <= axis < x.ndim for axis in axes):
            raise ValueError("axes exceeds dimensionality of input")
        if len(set(axes)) != len(axes):
            raise ValueError("all axes must be unique")
    if s is None:
        axes = list(range(x.ndim)) if axes is None else axes
        sizes = [x.shape[axis] for axis in axes]
    else:
        sizes = _integers(s, "shape")
        if axes is None:
            if len(sizes) > x.ndim:
                raise ValueError("shape requires more axes than are present")
            axes = list(range(x.ndim - len(sizes), x.ndim))
        elif axes and len(axes) != len(sizes):
            raise ValueError("when given, axes and shape arguments have to be of the same length")
        sizes = [x.shape[axis] if n == -1 else n for n, axis in zip(sizes, axes, strict=False)]
    if any(n < 1 for n in sizes):
        raise ValueError(f"invalid number of data points ({sizes}) specified")
    shape = list(x.shape)
    for n, axis in zip(sizes, axes, strict=True):
        shape[axis] = n
    return packed(shape, _dtype(x))


@rule("fft_fht")
def _fht(a: Any, dln: Any, mu: Any, offset: Any = 0.0, bias: Any = 0.0) -> Spec:
    if not isinstance(a, Spec):
        raise TypeError(f"a must be a cupy.ndarray, not {a.__class__.__name__}")
    if a.ndim == 0:
        raise IndexError("tuple index out of range")
    if a.shape[-1] < 1:
        raise ValueError(f"Invalid number of FFT data points ({a.shape[-1]}) specified.")
    return packed(a.shape, np.float64 if bias != 0 else real_dtype(a.dtype))


def _transformed() -> list[Any]:
    return [
        call(pos(3, 6)), call(pos(4, dtype="f4"), 3), call(pos(3, 6), 2, 4, 0, "ortho"), call(arr(3, 5, dtype="i4"), n=7),
        call(pos(5, dtype="c8")), call(pos(6, dtype="f2"), norm="forward"), call(pos(5), 3, norm="ortho"),
    ]  # fmt: skip


def _several_transformed() -> list[Any]:
    return [
        call(pos(3, 6)), call(pos(3, 4, dtype="f4"), 3, axes=(1,)), call(pos(3, 6), 2, (4, 5), norm="ortho"), call(pos(2, 3), s=7, axes=0),
        call(pos(2, 3, dtype="c16"), 3), call(pos(2, 3, dtype="i2"), axes=()),
    ]  # fmt: skip


for _name in ("dct", "idct", "dst", "idst"):
    op(
        _PREFIX + _name, "(x, type=2, n=None, axis=-1, norm=None, overwrite_x=False)", _one, samples=_transformed,
        errors=lambda: [
            fails(NotImplementedError, pos(4), 1), fails(ValueError, pos(4), 5), fails(ValueError, pos(4), n=0),
            fails(AxisError, pos(4), axis=1), fails(ValueError, pos(4), 3, norm="x"),
        ],
    )  # fmt: skip
    op(
        f"{_PREFIX}{_name}n", "(x, type=2, s=None, axes=None, norm=None, overwrite_x=False)", _several, samples=_several_transformed,
        errors=lambda: [
            fails(NotImplementedError, pos(4), 4), fails(ValueError, pos(4), axes=(1,)), fails(ValueError, pos(2, 3), axes=(0, 0)),
            fails(ValueError, pos(2, 3), s=(1, 2, 3)), fails(ValueError, pos(2, 3), s=(0, 1)), fails(ValueError, pos(2, 3), s=1.5),
        ],
    )  # fmt: skip
for _name, _parameter in {"fht": "a", "ifht": "A"}.items():
    _rule: Callable[..., Any] = _fht
    op(
        _PREFIX + _name, f"({_parameter}, dln, mu, offset=0.0, bias=0.0)", _rule, arrays=(_parameter, "dln"),
        varying=("dln", "mu", "offset"),
        samples=lambda: [
            call(pos(8), 0.1, 0.5), call(pos(2, 7, dtype="f4"), 0.2, 0.3, 0.1), call(pos(6, dtype="f4"), 0.1, 0.5, bias=0.3),
            call(pos(5), np.array(0.1), -0.2),
        ],
        errors=lambda: [fails(TypeError, [1.0, 2.0], 0.1, 0.5), fails(ValueError, pos(0), 0.1, 0.5)],
    )  # fmt: skip

_N, _S = "n=None, axis=-1", "s=None, axes={}"
for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    for _suffix, _middle in (("", _N), ("2", _S.format("(-2, -1)")), ("n", _S.format(None))):
        op(f"{_PREFIX}{_name}{_suffix}", f"(x, {_middle}, norm=None, overwrite_x=False, *, plan=None)", CLIENT)
