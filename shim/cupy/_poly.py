"""Polynomials as arrays of coefficients, highest power first, and `poly1d`. Composed of other functions."""

from __future__ import annotations

import functools
import numbers
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .._generated import functions, linalg
from ..convert import array, asarray
from ..dispatch import ndarray
from .polynomial import polynomial, polyutils


class poly1d:
    """A polynomial in one variable. Looking at its coefficients drops leading zeros, which takes the numbers themselves (a wait).

    Args:
        c_or_r: coefficients, highest power first, on the host or the device; or a `poly1d` of CuPy or NumPy.
        r: `c_or_r` are the roots instead.
        variable: the letter of its text; "x" by default.
    """

    __module__ = "cupy"
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, c_or_r: Any, r: bool = False, variable: str | None = None) -> None:
        self._is_trimmed = isinstance(c_or_r, (np.poly1d, poly1d))
        if self._is_trimmed:
            self._coeffs: Any = asarray(c_or_r.coeffs)
            self._variable = c_or_r.variable if variable is None else variable
            return
        coefficients = functions.atleast_1d(_on_device(poly(c_or_r) if r else c_or_r))
        if coefficients.ndim > 1:
            raise ValueError("Polynomial must be 1d only.")
        self._coeffs = coefficients
        self._variable = "x" if variable is None else variable

    # -- what it is -----------------------------------------------------------------------------------------------------

    @property
    def coeffs(self) -> Any:
        """Coefficients without leading zeros."""
        if not self._is_trimmed:
            self._coeffs = _trimmed(self._coeffs)
            self._is_trimmed = True
        return self._coeffs

    @coeffs.setter
    def coeffs(self, value: Any) -> None:
        # `p.coeffs += 1` assigns what it took.
        if value is not self._coeffs:
            raise AttributeError("Cannot set attribute")

    @property
    def c(self) -> Any:
        """As `coeffs`."""
        return self.coeffs

    @property
    def coef(self) -> Any:
        """As `coeffs`."""
        return self.coeffs

    @property
    def coefficients(self) -> Any:
        """As `coeffs`."""
        return self.coeffs

    @property
    def variable(self) -> str:
        """The letter of its text."""
        return self._variable

    @property
    def order(self) -> int:
        """The highest power."""
        return int(self.coeffs.size) - 1

    @property
    def o(self) -> int:
        """As `order`."""
        return self.order

    @property
    def roots(self) -> Any:
        """As `cupy.roots` of the coefficients."""
        return roots(self._coeffs)

    @property
    def r(self) -> Any:
        """As `roots`."""
        return self.roots

    def __len__(self) -> int:
        return self.order

    def __iter__(self) -> Iterator[Any]:
        return iter(self.coeffs)

    def __getitem__(self, val: int) -> Any:
        """The coefficient of a power."""
        return self._coeffs[-val - 1] if 0 <= val < self._coeffs.size else 0

    def __setitem__(self, key: int, val: Any) -> None:
        if key < 0:
            raise ValueError("Negative powers are not supported.")
        missing = key + 1 - self._coeffs.size
        if missing > 0:
            self._coeffs = functions.pad(self._coeffs, (missing, 0))
        self._coeffs[-key - 1] = val

    def __call__(self, val: Any) -> Any:
        return polyval(self.coeffs, val)

    # -- arithmetic ------------------------------------------------------------------------------------------------------

    def __neg__(self) -> poly1d:
        return poly1d(-self.coeffs)

    def __pos__(self) -> poly1d:
        return self

    def __add__(self, other: Any) -> Any:
        return polyadd(self, other)

    def __radd__(self, other: Any) -> Any:
        return polyadd(_left(other, "addition"), self)

    def __sub__(self, other: Any) -> Any:
        return polysub(self, other)

    def __rsub__(self, other: Any) -> Any:
        return polysub(_left(other, "subtraction"), self)

    def __mul__(self, other: Any) -> Any:
        return poly1d(self.coeffs * other) if np.isscalar(other) else polymul(self, other)

    def __rmul__(self, other: Any) -> Any:
        other = _left(other, "multiplication")
        return polymul(self._coeffs.dtype.type(other) if np.isscalar(other) else other, self)

    def __truediv__(self, other: Any) -> Any:
        if np.isscalar(other):
            return poly1d(self.coeffs / other)
        raise NotImplementedError("Only division by a scalar is supported.")

    def __pow__(self, val: Any, modulo: Any = None) -> poly1d:
        power: Any = val
        if not np.isscalar(val) or int(power) != val or power < 0:
            raise ValueError("Power to non-negative integers only.")
        if not isinstance(val, numbers.Integral):
            raise TypeError(f"{type(val).__name__!r} object cannot be interpreted as an integer")
        base = self.coeffs
        if base.dtype.kind in "cf" or base.dtype == np.uint64:
            wide = np.dtype(np.complex128 if base.dtype.kind == "c" else np.float64)
        else:
            wide = np.promote_types(base.dtype, np.int64)
        return poly1d(_power(base.astype(wide, copy=False), int(val)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, poly1d):
            raise NotImplementedError("A poly1d is compared with a poly1d only.")
        if self.coeffs.shape != other.coeffs.shape:
            return False
        return bool((self.coeffs == other.coeffs).all())

    def __ne__(self, other: object) -> bool:
        return not self.__eq__(other)

    def integ(self, m: int = 1, k: Any = 0) -> Any:
        """Not implemented by CuPy."""
        raise NotImplementedError("cupy.poly1d has no integ. Use `.get()` and NumPy's.")

    def deriv(self, m: int = 1) -> Any:
        """Not implemented by CuPy."""
        raise NotImplementedError("cupy.poly1d has no deriv. Use `.get()` and NumPy's.")

    # -- to and from the host ----------------------------------------------------------------------------------------------

    def get(self, stream: Any = None) -> np.poly1d:
        """As `numpy.poly1d`. Waits."""
        return np.poly1d(self.coeffs.get(stream=stream), variable=self.variable)

    def set(self, polyin: np.poly1d, stream: Any = None) -> None:
        """Take the coefficients of a `numpy.poly1d` of the same order."""
        if not isinstance(polyin, np.poly1d):
            raise TypeError("Only numpy.poly1d can be set to cupy.poly1d")
        self._variable = polyin.variable
        self.coeffs.set(polyin.coeffs, stream)

    def __cupy_get_ndarray__(self) -> Any:
        return self.coeffs

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly."
        )

    def __repr__(self) -> str:
        return repr(self.get())

    def __str__(self) -> str:
        return str(self.get())


def _on_device(value: Any) -> Any:
    return value if isinstance(value, ndarray) else asarray(value)


def _left(other: Any, what: str) -> Any:
    """The left operand of a reflected operator: CuPy refuses scalars of NumPy there."""
    if isinstance(other, np.generic):
        raise TypeError(f"Numpy scalar and poly1d {what} is not supported")
    return other


def _trimmed(p: Any) -> Any:
    kept = functions.trim_zeros(p, "f")
    return kept if kept.size else functions.zeros(1, p.dtype)


def _power(base: Any, n: int) -> Any:
    """`base` as a polynomial to the n-th power, by squaring."""
    result: Any = None
    while n:
        if n & 1:
            result = base if result is None else functions.convolve(result, base)
        n >>= 1
        if n:
            base = functions.convolve(base, base)
    return 1 if result is None else result


# -- functions ---------------------------------------------------------------------------------------------------------------


def _coefficients(p: Any) -> Any:
    """One-dimensional coefficients of a polynomial given as a poly1d, an array or a scalar."""
    if isinstance(p, poly1d):
        return p._coeffs
    if np.isscalar(p):
        return array([p])
    if not isinstance(p, ndarray):
        raise TypeError("Unsupported type")
    if p.ndim > 1:
        raise ValueError("Multidimensional inputs are not supported")
    return functions.atleast_1d(p)


def _of_polynomials(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Call with coefficients; the result is a poly1d when an argument was."""

    @functools.wraps(function)
    def call(a1: Any, a2: Any) -> Any:
        result = function(_coefficients(a1), _coefficients(a2))
        return poly1d(result) if isinstance(a1, poly1d) or isinstance(a2, poly1d) else result

    return call


def _padded(p: Any, length: int) -> Any:
    return functions.pad(p, (length - p.size, 0)) if p.size < length else p


@_of_polynomials
def polyadd(a1: Any, a2: Any) -> Any:
    """As `cupy.polyadd`."""
    length = max(a1.size, a2.size)
    return _padded(a1, length) + _padded(a2, length)


@_of_polynomials
def polysub(a1: Any, a2: Any) -> Any:
    """As `cupy.polysub`."""
    length = max(a1.size, a2.size)
    return _padded(a1, length) - _padded(a2, length)


@_of_polynomials
def polymul(a1: Any, a2: Any) -> Any:
    """As `cupy.polymul`: leading zeros are dropped, which takes the numbers themselves (a wait)."""
    return functions.convolve(_trimmed(a1), _trimmed(a2))


def polyval(p: Any, x: Any) -> Any:
    """As `cupy.polyval`, by Horner's scheme."""
    if isinstance(p, poly1d):
        p = p.coeffs
    if not isinstance(p, ndarray) or p.ndim == 0:
        raise TypeError("p must be 1d ndarray or poly1d object")
    if p.ndim > 1:
        raise ValueError("p must be 1d array")
    if isinstance(x, poly1d):
        result = poly1d(functions.zeros(1, np.result_type(x.coeffs.dtype, 1)))
        for coefficient in p:
            result = result * x + coefficient
        return result
    x = asarray(x)
    dtype = np.result_type(p.dtype, x.dtype)
    value = functions.zeros(x.shape, dtype)
    for i in range(p.size):
        value = (value * x + p[i]).astype(dtype, copy=False)
    return value


def poly(seq_of_zeros: Any) -> Any:
    """As `cupy.poly`: the coefficients of the polynomial with these roots, or of a symmetric matrix's characteristic one.

    Looks at a matrix's numbers (a wait): a general one is refused, as CuPy does.
    """
    x = seq_of_zeros
    if x.ndim == 2 and x.shape[0] == x.shape[1] != 0:
        if not functions.array_equal(x, x.conj().T):
            raise NotImplementedError("Only complex Hermitian and real symmetric 2d arrays are supported currently")
        x = linalg.eigvalsh(x)
    elif x.ndim == 1:
        x = x.astype(np.mintypecode(x.dtype.char), copy=False)
    else:
        raise ValueError("Input must be 1d or non-empty square 2d array.")
    if x.size == 0:
        return 1.0
    result = functions.ones(1, x.dtype)
    for i in range(x.size):
        # times (t - x[i])
        result = functions.pad(result, (0, 1)) - functions.pad(result * x[i], (1, 0))
    return result


def roots(p: Any) -> Any:
    """As `cupy.roots`: of polynomials whose companion matrix is symmetric or Hermitian. Waits, as CuPy does."""
    if isinstance(p, poly1d):
        p = p.coeffs
    if p.dtype.kind == "b":
        raise NotImplementedError("boolean inputs are not supported")
    if p.ndim == 0:
        raise TypeError("0-dimensional input is not allowed")
    if p.size < 2:
        return functions.zeros(0)
    [p] = polyutils.as_series([p[::-1]])
    if p.size < 2:
        return functions.zeros(0)
    if p.size == 2:
        root = (-p[0] / p[1])[None]
        return root.real.astype(np.float64) if bool(p[0] == 0) else root
    matrix = polynomial.polycompanion(p)
    if not functions.array_equal(matrix, matrix.conj().T):
        raise NotImplementedError("Only complex Hermitian and real symmetric 2d arrays are supported currently")
    return linalg.eigvalsh(matrix).astype(p.dtype)


# -- fits ------------------------------------------------------------------------------------------------------------------------


def _double(a: Any) -> Any:
    return a.astype(np.complex128 if a.dtype.kind == "c" else np.float64, copy=False)


def _check_fit(x: Any, y: Any, deg: int, w: Any) -> None:
    if deg < 0:
        raise ValueError("expected deg >= 0")
    if x.ndim != 1:
        raise TypeError("expected 1D vector for x")
    if x.size == 0:
        raise TypeError("expected non-empty vector for x")
    if y.ndim not in (1, 2):
        raise TypeError("expected 1D or 2D array for y")
    if x.size != y.shape[0]:
        raise TypeError("expected x and y to have same length")
    if w is not None and w.ndim != 1:
        raise TypeError("expected a 1-d array for weights")
    if w is not None and w.size != x.size:
        raise TypeError("expected w and y to have the same length")


def polyfit(
    x: Any, y: Any, deg: int, rcond: float | None = None, full: bool = False, w: Any = None, cov: bool | str = False
) -> Any:
    """As `cupy.polyfit`: least squares over scaled powers of `x`. Waits for the rank, to warn when it is too small."""
    if x.dtype == np.float16 and y.dtype.kind == "b":
        raise NotImplementedError("float16 x and bool y are not currently supported")
    if y.dtype == np.float16:
        raise TypeError("float16 y are not supported")
    deg = int(deg)
    _check_fit(x, y, deg, w)
    x, y = _double(x), _double(y)
    powers = functions.vander(x, deg + 1)
    if w is not None:
        w = _double(w)
        powers *= w[:, None]
        y = y.copy()
        y *= w[:, None] if y.ndim == 2 else w
    if rcond is None:
        rcond = x.size * float(np.finfo(x.dtype).eps)
    scale = functions.sqrt(functions.square(powers).sum(axis=0))
    powers = powers / scale
    c, residuals, rank, s = linalg.lstsq(powers, y, rcond)
    c = c / (scale[:, None] if y.ndim == 2 else scale)
    if full:
        return c, abs(residuals) if residuals.dtype.kind == "c" else residuals, rank, s, rcond
    if int(rank) != deg + 1:
        warnings.warn("Polyfit may be poorly conditioned", np.exceptions.RankWarning, stacklevel=2)
    if not cov:
        return c
    base = linalg.inv(functions.dot(powers.T, powers)) / functions.outer(scale, scale)
    if cov == "unscaled":
        return c, base[..., None] if y.ndim == 2 else base
    if x.size <= deg + 1:
        raise ValueError("the number of data points must exceed order to scale the covariance matrix")
    factor = residuals / (x.size - deg - 1)
    return c, (base[..., None] if y.ndim == 2 else base) * factor
