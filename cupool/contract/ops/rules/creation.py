"""New arrays: of a given shape, like another array, ranges, matrices, copies."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from cupool.contract.ops._row import UNKNOWN, Same
from cupool.contract.ops.rules.common import (
    FLOAT64,
    INT64,
    as_dtype,
    as_shape,
    broadcast,
    check_dtype,
    dtype_of,
    layout,
    normalize_axis,
    order_char,
    promote,
    require_array,
    rule,
    strides_like,
)
from cupool.contract.ops.rules.elementwise import apply, choose
from cupool.contract.spec import Spec, spec_of

Scalar = (bool, int, float, complex, np.generic)


def _new(shape: Any, dtype: Any, order: Any) -> Spec:
    char = "C" if order is None else order_char(order, "CF")
    return spec_of(as_shape(shape), as_dtype(dtype), order=char)


@rule("created")
def created(shape: Any, dtype: Any = float, order: Any = "C") -> Any:
    """empty, zeros, ones."""
    return _new(shape, dtype, order)


@rule("full")
def full(shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C") -> Any:
    """The dtype follows the value unless given."""
    if dtype is None:
        dtype = fill_value.dtype if isinstance(fill_value, Spec) else np.asarray(fill_value).dtype
    spec = _new(shape, dtype, order)
    _check_fill(fill_value, spec)
    return spec


def _check_fill(value: Any, spec: Spec) -> None:
    shape = value.shape if isinstance(value, Spec) else np.shape(value)
    if not shape:
        return
    if not isinstance(value, Spec | np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if len(shape) > spec.ndim and any(n != 1 for n in shape[: len(shape) - spec.ndim]):
        raise ValueError(f"could not broadcast input array from shape {shape} into shape {spec.shape}")
    tail = shape[max(len(shape) - spec.ndim, 0) :]
    if any(n not in (1, m) for n, m in zip(reversed(tail), reversed(spec.shape), strict=False)):
        raise ValueError(f"could not broadcast input array from shape {shape} into shape {spec.shape}")


def _like(a: Any, dtype: Any, order: Any, subok: Any, shape: Any) -> Spec:
    if subok is not None:
        raise TypeError("subok is not supported yet")
    a = require_array(a)
    dtype = a.dtype if dtype is None else as_dtype(dtype)
    if not isinstance(order, str):
        raise TypeError("order must be one of 'C', 'F', 'K' and 'A'")
    char = order.upper()
    if char not in ("C", "F", "K", "A"):
        raise ValueError(f"order not understood: {char}")
    # As CuPy: an empty `shape` means the array's own.
    target = as_shape(shape) if shape else a.shape
    if shape is not None and char == "K" and len(as_shape(shape)) != a.ndim:
        return spec_of(target, dtype)
    if char == "A":
        char = "F" if a.f_contiguous and not a.c_contiguous else "C"
    if char == "K":
        if not (a.c_contiguous or a.f_contiguous):
            return spec_of(target, dtype, strides_like(a, dtype.itemsize, target))
        char = "C" if a.c_contiguous else "F"
    return spec_of(target, dtype, order=char)


@rule("like")
def like(a: Any, dtype: Any = None, order: Any = "K", subok: Any = None, shape: Any = None) -> Any:
    """empty_like, zeros_like, ones_like."""
    return _like(a, dtype, order, subok, shape)


@rule("full_like")
def full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: Any = "K", subok: Any = None, shape: Any = None
) -> Any:
    """As `like`, filled."""
    spec = _like(a, dtype, order, subok, shape)
    _check_fill(fill_value, spec)
    return spec


# -- ranges ---------------------------------------------------------------------------------------------------------


@rule("arange")
def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Any:
    """Half-open range; int64 unless a limit is a float."""
    if dtype is None:
        dtype = FLOAT64 if any(isinstance(v, float | np.floating) for v in (start, stop, step)) else INT64
    dtype = as_dtype(dtype)
    if stop is None:
        start, stop = 0, start
    if step is None:
        step = 1
    if any(isinstance(v, Spec) for v in (start, stop, step)):
        return UNKNOWN
    size = max(math.ceil((stop - start) / step), 0)
    if size and dtype.kind == "b" and size > 2:
        raise TypeError("arange() is only supported for booleans when the result has at most length 2.")
    if size and dtype.kind not in "biufcV":
        raise TypeError(f"Wrong type ({dtype}) of arguments for cupy_arange")
    return spec_of((size,), dtype)


def _points(num: Any) -> int:
    points: int = operator.index(num)
    if points < 0:
        raise ValueError("linspace with num<0 is not supported")
    return points


def _linspace(start: Any, stop: Any, num: Any, dtype: Any, axis: Any) -> Spec:
    num = _points(num)
    parts: list[Any] = [float(num)]
    shapes = []
    for limit in (start, stop):
        if isinstance(limit, Scalar):
            parts.append(limit)
            continue
        spec = limit if isinstance(limit, Spec) else spec_of(np.shape(limit), np.asarray(limit).dtype)
        parts.append(spec if spec.dtype.kind == "f" else spec_of((), promote(spec, 1.0)))
        shapes.append(spec)
    wanted = promote(*parts)
    if wanted.kind == "c" and not shapes:
        raise TypeError("Cannot compute a linspace of complex scalars")
    dtype = wanted if dtype is None else as_dtype(dtype)
    if not shapes:
        return spec_of((num,), dtype)
    delta = broadcast(*shapes)
    if axis == 0:
        return spec_of((num, *delta), dtype)
    axis = normalize_axis(axis, len(delta) + 1)
    # CuPy moves the axis and casts with order 'K': the new axis stays outermost in memory.
    packed = spec_of((num, *delta), dtype)
    order = list(range(1, packed.ndim))
    order.insert(axis, 0)
    moved = spec_of(tuple(packed.shape[i] for i in order), dtype, tuple(packed.strides[i] for i in order))
    return layout(moved, "K", dtype)


@rule("linspace")
def linspace(
    start: Any, stop: Any, num: Any = 50, endpoint: Any = True, retstep: Any = False, dtype: Any = None, axis: Any = 0
) -> Any:
    """Evenly spaced. With `retstep` and scalar limits CuPy's second result is a Python float; see the client's function."""
    spec = _linspace(start, stop, num, dtype, axis)
    if not retstep:
        return spec
    shapes = [x for x in (start, stop) if isinstance(x, Spec)]
    return spec, spec_of(broadcast(*shapes), promote(*(x if x.dtype.kind in "fc" else FLOAT64 for x in shapes)))


@rule("logspace")
def logspace(
    start: Any, stop: Any, num: Any = 50, endpoint: Any = True, base: Any = 10.0, dtype: Any = None, axis: Any = 0
) -> Any:
    """Powers of `base`, evenly spaced exponents."""
    y = _linspace(start, stop, num, None, axis)
    result = apply("power", (base, y))
    return result if dtype is None else layout(result, "K", as_dtype(dtype))


@rule("meshgrid")
def meshgrid(*xi: Any, **kwargs: Any) -> Any:
    """Coordinate matrices. Copies; without `copy` the client makes views."""
    options = dict(kwargs)
    indexing = options.pop("indexing", "xy")
    options.pop("copy", True)
    sparse = bool(options.pop("sparse", False))
    if options:
        raise TypeError(f"meshgrid() got an unexpected keyword argument '{next(iter(options))}'")
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    for x in xi:
        if require_array(x, "xi").ndim != 1:
            raise ValueError("input has to be 1d")
    sizes = [x.size for x in xi]
    order = list(range(len(xi)))
    if indexing == "xy" and len(xi) > 1:
        order[0], order[1] = 1, 0
    results = []
    for i, x in enumerate(xi):
        if len(xi) == 1:
            return (x,)
        shape = [1] * len(xi) if sparse else [sizes[j] for j in order]
        shape[order.index(i)] = sizes[i]
        results.append(spec_of(tuple(shape), x.dtype))
    return tuple(results)


# -- matrices -------------------------------------------------------------------------------------------------------


@rule("eye")
def eye(N: Any, M: Any = None, k: Any = 0, dtype: Any = float, order: Any = "C") -> Any:
    """Ones on a diagonal."""
    return _new((N, N if M is None else M), dtype, order)


@rule("identity")
def identity(n: Any, dtype: Any = float) -> Any:
    """The identity matrix."""
    return _new((n, n), dtype, "C")


@rule("tri")
def tri(N: Any, M: Any = None, k: Any = 0, dtype: Any = float) -> Any:
    """Ones at and below a diagonal."""
    return _new((N, N if M is None else M), dtype, "C")


@rule("triangle")
def triangle(m: Any, k: Any = 0) -> Any:
    """tril, triu: as `where(mask, m, 0)`."""
    m = require_array(m, "m")
    if m.ndim == 0:
        raise TypeError("tri() missing 1 required positional argument: 'N'")
    shape = m.shape if m.ndim > 1 else (m.shape[0], m.shape[0])
    return apply("@where", (spec_of(shape, np.bool_), m, m.dtype.type(0)))


@rule("diag")
def diag(v: Any, k: Any = 0) -> Any:
    """A matrix with this diagonal, or a copy of a matrix's diagonal."""
    v = require_array(v, "v")
    k = operator.index(k)
    if v.ndim == 1:
        n = v.size + abs(k)
        return spec_of((n, n), v.dtype)
    if v.ndim == 2:
        rows, columns = v.shape
        n = min(rows, columns - k) if k >= 0 else min(rows + k, columns)
        return spec_of((max(n, 0),), v.dtype)
    raise ValueError("Input must be 1- or 2-d.")


@rule("diagflat")
def diagflat(v: Any, k: Any = 0) -> Any:
    """A matrix with the flat input as diagonal."""
    size = v.size if isinstance(v, Spec) else int(np.size(v))
    n = size + abs(operator.index(k))
    return spec_of((n, n), dtype_of(v) if isinstance(v, (Spec, *Scalar)) else np.asarray(v).dtype)


@rule("vander")
def vander(x: Any, N: Any = None, increasing: Any = False) -> Any:
    """Powers of a vector in columns."""
    x = require_array(x, "x")
    if x.ndim != 1:
        raise ValueError("x must be a one-dimensional array or sequence.")
    n = x.size if N is None else operator.index(N)
    return spec_of((x.size, n), np.promote_types(x.dtype, INT64))


def window(name: str) -> Any:
    """bartlett, blackman, hamming, hanning: of `M` points, float64."""

    @rule(f"window:{name}")
    def infer(M: Any) -> Any:
        return spec_of((max(operator.index(M), 0),), FLOAT64)

    return infer


@rule("kaiser")
def kaiser(M: Any, beta: Any) -> Any:
    """The Kaiser window of `M` points."""
    return spec_of((max(operator.index(M), 0),), FLOAT64)


# -- copies ---------------------------------------------------------------------------------------------------------


@rule("copy")
def copy(a: Any, order: Any = "K") -> Any:
    """A copy; layout by `order`."""
    a = require_array(a)
    return layout(a, order_char(order), a.dtype)


@rule("method_copy")
def method_copy(self: Any, order: Any = "C") -> Any:
    """`ndarray.copy`."""
    return layout(self, order_char(order), self.dtype)


@rule("astype")
def astype(self: Any, dtype: Any, order: Any = "K", casting: Any = None, subok: Any = None, copy: Any = True) -> Any:
    """`ndarray.astype`. Without need for a copy it is the array itself."""
    if casting is not None:
        raise TypeError("casting is not supported yet")
    if subok is not None:
        raise TypeError("subok is not supported yet")
    char = order_char(order)
    dtype = check_dtype(np.dtype(dtype))
    if dtype == self.dtype and not copy:
        same = {"K": True, "A": self.c_contiguous or self.f_contiguous, "C": self.c_contiguous, "F": self.f_contiguous}
        if same[char]:
            return Same("self")
    return layout(self, char, dtype)


@rule("astype_function")
def astype_function(x: Any, dtype: Any, *, copy: Any = True) -> Any:
    """`cupy.astype`."""
    if not isinstance(x, Spec):
        raise TypeError(f"Input should be a CuPy array. It is a {type(x)} instead.")
    result = astype(x, dtype, copy=copy)
    return Same("x") if isinstance(result, Same) else result


@rule("byteswap")
def byteswap(self: Any, inplace: Any = False) -> Any:
    """Bytes of each element reversed."""
    if self.dtype.names is not None:
        raise TypeError("byteswap is not supported for structured dtypes")
    if self.dtype.itemsize not in (1, 2, 4, 8) and self.dtype.kind != "c":
        raise TypeError(f"byteswap not supported for dtype with itemsize {self.dtype.itemsize}")
    return Same("self") if inplace else spec_of(self.shape, self.dtype)


@rule("clip")
def clip(a: Any, a_min: Any, a_max: Any, out: Any = None) -> Any:
    """Between two limits, either of which may be None. Complex numbers have none."""
    a = require_array(a)
    low, high = a_min, a_max
    kind = a.dtype.kind
    if low is None and kind in "fiu":
        low = a.dtype.type("-inf") if kind == "f" else a.dtype.type(np.iinfo(a.dtype).min)
    if high is None and kind in "fiu":
        high = a.dtype.type("inf") if kind == "f" else a.dtype.type(np.iinfo(a.dtype).max)
    if low is None or high is None:
        raise TypeError(f"Unsupported type {type(None)}")
    return apply("@clip", (a, low, high), out=out)


@rule("round")
def rounded(a: Any, decimals: Any = 0, out: Any = None) -> Any:
    """To a number of decimals."""
    a = require_array(a)
    return apply("@round", (a, operator.index(decimals)), out=out)


@rule("angle")
def angle(z: Any, deg: Any = False) -> Any:
    """The argument of complex numbers, 0 or pi of real ones."""
    return apply("@angle", (z,))


@rule("nan_to_num")
def nan_to_num(x: Any, copy: Any = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """NaN and infinities replaced; without `copy` in place."""
    shape = x.shape if isinstance(x, Spec) else ()
    if np.broadcast_shapes(shape, *(getattr(v, "shape", ()) for v in (nan, posinf, neginf))) != shape:
        raise ValueError(f"the replacements do not broadcast to the shape {shape} of x")
    if not isinstance(x, Spec):
        return spec_of((), choose("@nan_to_num", (x, x, x, x)).outputs[0])
    choose("@nan_to_num", (x, *(spec_of((), np.dtype(x.dtype.char.lower()) if x.dtype.kind == "c" else x.dtype),) * 3))
    return layout(x, "K", x.dtype) if copy else Same("x")


@rule("unwrap")
def unwrap(p: Any, discont: Any = None, axis: Any = -1, *, period: Any = 6.283185307179586) -> Any:
    """Phase without jumps."""
    p = require_array(p, "p")
    axis = normalize_axis(axis, p.ndim)
    from cupool.contract.ops.rules.reductions import diff

    dtype = np.result_type(diff(p, axis=axis).dtype, period)
    return layout(p, "K", dtype)


@rule("is_complex")
def is_complex(x: Any) -> Any:
    """iscomplex, isreal."""
    return spec_of(x.shape if isinstance(x, Spec) else np.shape(x), np.bool_)


@rule("real_if_close")
def real_if_close(a: Any, tol: Any = 100) -> Any:
    """The real part when all imaginary parts are negligible: the data tells."""
    a = require_array(a)
    return UNKNOWN if a.dtype.kind == "c" else Same("a")
