"""New arrays, ranges, matrices, copies and functions of one array, on NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops.rules import creation as rules
from cupool.contract.spec import spec_like

from .casting import assign, cast
from .ops_ufuncs import OPS as UFUNCS

Array = np.ndarray[Any, Any]
#: NumPy, for calls whose arguments only the command knows: its overloads want them literal.
xp: Any = np


def _filled(shape: Any, value: Any, dtype: Any, order: str) -> Any:
    result = xp.empty(shape, dtype, order=order)
    if isinstance(value, np.ndarray) and value.ndim > result.ndim:
        value = value.reshape(value.shape[value.ndim - result.ndim :])
    assign(result, value)
    return result


def full(shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C") -> Any:
    return _filled(shape, fill_value, np.asarray(fill_value).dtype if dtype is None else dtype, order)


def _like(value: Any) -> Callable[..., Any]:
    def run(a: Array, dtype: Any = None, order: Any = "K", subok: Any = None, shape: Any = None) -> Any:
        result = xp.empty_like(a, dtype, order, False, shape or None)
        if value is not None:
            result.fill(value)
        return result

    return run


def full_like(
    a: Array, fill_value: Any, dtype: Any = None, order: Any = "K", subok: Any = None, shape: Any = None
) -> Any:
    result = _like(None)(a, dtype, order, None, shape)
    assign(result, fill_value)
    return result


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Any:
    start, stop, step = (v.item() if isinstance(v, np.ndarray) else v for v in (start, stop, step))
    if dtype is None:
        dtype = np.float64 if any(isinstance(v, float | np.floating) for v in (start, stop, step)) else np.int64
    dtype = np.dtype(dtype)
    if stop is None:
        start, stop = 0, start
    step = 1 if step is None else step
    size = max(math.ceil((stop - start) / step), 0)
    if dtype.kind == "b":
        return np.array([start, start - step][:size], np.bool_)
    # As CuPy: start + i * step in the result's dtype (float16 in float32, as its kernels compute).
    work = np.dtype(np.float32) if dtype.char == "e" else dtype
    first, delta = work.type(dtype.type(start)), work.type(dtype.type(step))
    return (first + np.arange(size).astype(work) * delta).astype(dtype)


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: Any = True, retstep: Any = False, dtype: Any = None, axis: int = 0
) -> Any:
    spec = rules.linspace(
        *(spec_like(x) if isinstance(x, np.ndarray) else x for x in (start, stop)), num, endpoint, False, dtype, axis
    )
    if any(np.ndim(x) or isinstance(x, np.ndarray) for x in (start, stop)):
        # Limits that are arrays: NumPy's computation, in the limits' precision; CuPy does the same.
        start, stop = (x if isinstance(x, np.ndarray | np.generic) else np.asarray(x) for x in (start, stop))
        result, step = np.linspace(start, stop, num, endpoint=bool(endpoint), retstep=True, axis=0)
        if spec.dtype.kind in "iu":
            result = np.floor(result)
        result = cast(np.moveaxis(result, 0, axis), spec.dtype)
        return (result, np.asarray(step)) if retstep else result
    work = np.result_type(*(x.dtype if isinstance(x, np.ndarray) else x for x in (start, stop)), float(num))
    # A scalar has a dtype of its own only as a NumPy scalar.
    work = work if work.kind == "f" else np.dtype(np.float64)
    first, last = np.asarray(start, np.float64), np.asarray(stop, np.float64)
    div = num - 1 if endpoint else num
    step = (last - first) / div if div > 0 else np.full(np.broadcast(first, last).shape, np.nan)
    result = np.linspace(first, last, num, endpoint=bool(endpoint), axis=0).astype(work)
    if spec.dtype.kind in "iu":
        result = np.floor(result)
    result = cast(np.moveaxis(result, 0, axis), spec.dtype)
    return (result, np.asarray(step)) if retstep else result


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: Any = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Any:
    result = UFUNCS["power"](base, linspace(start, stop, num, endpoint, axis=axis))
    return result if dtype is None else cast(result, dtype)


def meshgrid(*xi: Array, indexing: str = "xy", copy: Any = True, sparse: Any = False) -> tuple[Array, ...]:
    return tuple(xp.meshgrid(*xi, indexing=indexing, copy=True, sparse=bool(sparse)))


def diag(v: Array, k: int = 0) -> Any:
    return np.diag(v, k).copy()


def vander(x: Array, N: Any = None, increasing: Any = False) -> Any:
    n = x.size if N is None else N
    result = UFUNCS["power"](x.reshape(-1, 1), np.arange(n))
    result = result.astype(np.promote_types(x.dtype, np.int64), copy=False)
    return result if increasing else result[:, ::-1].copy()


def _window(function: Callable[..., Any]) -> Callable[..., Array]:
    return lambda M, *args: np.asarray(function(max(int(M), 0), *args), np.float64)


def _triangle(function: Callable[..., Any]) -> Callable[..., Array]:
    return lambda m, k=0: np.ascontiguousarray(function(m, k))


def astype(self: Array, dtype: Any, order: Any = "K", casting: Any = None, subok: Any = None, copy: Any = True) -> Any:
    return cast(self, dtype, order=order or "K")


def byteswap(self: Array, inplace: Any = False) -> Any:
    return self.byteswap(bool(inplace))


def clip(a: Array, a_min: Any, a_max: Any, out: Any = None) -> Any:
    if out is None and a.dtype.kind == "f" and all(type(x) in (float, int) and x == x for x in (a_min, a_max)):
        return np.asarray(np.clip(a, float(a_min), float(a_max)))
    spec = rules.clip(*(spec_like(x) if isinstance(x, np.ndarray) else x for x in (a, a_min, a_max)))
    low, high = (None if x is None else cast(np.asarray(x), spec.dtype, copy=False) for x in (a_min, a_max))
    result = cast(a, spec.dtype, copy=False)
    # As CuPy: the upper limit wins where the limits cross.
    if low is not None:
        result = np.where(result < low, low, result)
    if high is not None:
        result = np.where(result > high, high, result)
    if low is not None and high is not None:
        result = np.where(low > high, high, result)
    result = np.asarray(result, spec.dtype)
    if result is a:
        result = a.copy()
    if out is None:
        return np.broadcast_to(result, spec.shape).copy() if result.shape != spec.shape else result
    assign(out, result)
    return out


def around(a: Array, decimals: int = 0, out: Any = None) -> Any:
    if a.dtype.kind == "b":
        result = a.astype(np.float16)
    elif a.dtype.kind in "iu":
        result = _round_integers(a, -decimals) if decimals < 0 else a.copy()
    else:
        result = np.asarray(np.round(a, decimals))
    if out is None:
        return result
    assign(out, result)
    return out


def _round_integers(a: Array, places: int) -> Any:
    """To a multiple of 10**places, exactly, halves to even."""
    info = np.iinfo(a.dtype)
    if places > len(str(info.max)):
        return np.zeros_like(a)
    unit = 10**places
    whole = a.astype(object)
    floor = whole // unit
    rest = whole - floor * unit
    up = (rest * 2 > unit) | ((rest * 2 == unit) & (floor % 2 == 1))
    return np.asarray((floor + up) * unit & ((1 << info.bits) - 1), object).astype(f"u{a.itemsize}").view(a.dtype)


def angle(z: Any, deg: Any = False) -> Any:
    z = np.asarray(z)
    spec = rules.angle(spec_like(z))
    result = np.angle(z if z.dtype.kind == "c" else z.astype(np.float64), bool(deg))
    return np.asarray(result).astype(spec.dtype)


def nan_to_num(x: Any, copy: Any = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    if not isinstance(x, np.ndarray):
        return np.asarray(np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf))
    result = x if not copy else x.copy(order="K")
    if x.dtype.kind not in "fc":
        return result
    return np.nan_to_num(result, copy=False, nan=nan, posinf=posinf, neginf=neginf)


def unwrap(p: Array, discont: Any = None, axis: int = -1, *, period: Any = 6.283185307179586) -> Any:
    return np.unwrap(p, discont, axis, period=period)


def iscomplex(x: Any) -> Any:
    return np.asarray(np.iscomplex(x))


def isreal(x: Any) -> Any:
    return np.asarray(np.isreal(x))


def real_if_close(a: Array, tol: Any = 100) -> Any:
    return np.asarray(np.real_if_close(a, tol)).copy()


OPS: dict[str, Callable[..., Any]] = {
    # Zeroed: memory that another array has left behind must not be seen.
    "empty": lambda shape, dtype=float, order="C": xp.zeros(shape, dtype, order or "C"),
    "zeros": lambda shape, dtype=float, order="C": xp.zeros(shape, dtype, order or "C"),
    "ones": lambda shape, dtype=float, order="C": xp.ones(shape, dtype, order or "C"),
    "empty_like": lambda prototype, **options: _like(0)(prototype, **options),
    "zeros_like": _like(0),
    "ones_like": _like(1),
    "full": full,
    "full_like": full_like,
    "arange": arange,
    "linspace": linspace,
    "logspace": logspace,
    "meshgrid": meshgrid,
    "eye": lambda N, M=None, k=0, dtype=float, order="C": xp.eye(N, M, k, dtype, order),
    "identity": lambda n, dtype=float: np.identity(n, dtype),
    "tri": lambda N, M=None, k=0, dtype=float: np.tri(N, M, k, dtype),
    "tril": _triangle(np.tril),
    "triu": _triangle(np.triu),
    "diag": diag,
    "diagflat": lambda v, k=0: np.diagflat(v, k),
    "vander": vander,
    "bartlett": _window(np.bartlett),
    "blackman": _window(np.blackman),
    "hamming": _window(np.hamming),
    "hanning": _window(np.hanning),
    "kaiser": _window(np.kaiser),
    "copy": lambda a, order="K": a.copy(order),
    "ndarray.copy": lambda self, order="C": self.copy(order),
    "ndarray.astype": astype,
    "astype": lambda x, dtype, *, copy=True: cast(x, dtype),
    "ndarray.byteswap": byteswap,
    "clip": clip,
    "around": around,
    "angle": angle,
    "nan_to_num": nan_to_num,
    "unwrap": unwrap,
    "iscomplex": iscomplex,
    "isreal": isreal,
    "real_if_close": real_if_close,
}
