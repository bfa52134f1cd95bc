"""Operators of `ndarray`: the hot methods of `operators.py` over the ufuncs, and what CuPy does with foreign operands.

Cases of `a op b`, `a` an array:
  - b an array or a scalar: the ufunc.
  - b says `__array_ufunc__ = None`, or has a higher `__array_priority__` and no `__array_ufunc__`: b's own operator.
  - anything else: NumPy's ufunc, which asks b (NEP 13) and at last refuses; host arrays are refused by ours.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from . import dispatch, operators
from ._generated import functions
from .ufunc import is_scalar, ufunc

_ABSENT = object()


def defers_to(x: Any, y: Any) -> bool:
    """Whether `x op y` is y's business (NEP 13, and `__array_priority__` as scipy.sparse uses it)."""
    y_ufunc = getattr(y, "__array_ufunc__", _ABSENT)
    if y_ufunc is not _ABSENT:
        return y_ufunc is None
    return bool(getattr(x, "__array_priority__", 0) < getattr(y, "__array_priority__", 0))


def _is_operand(value: Any) -> bool:
    return isinstance(value, dispatch.ndarray) or is_scalar(value)


def _binary(name: str, function: ufunc) -> Callable[[Any, Any], Any]:
    numpy_function = getattr(np, function._row.name)

    def slow(self: Any, other: Any, table: Any) -> Any:
        if _is_operand(other):
            return function._slow_binary(self, other, table)
        if defers_to(self, other):
            return NotImplemented
        return numpy_function(self, other)

    return operators.binary(name, slow)


def _reversed(name: str, function: ufunc) -> Callable[[Any, Any], Any]:
    return operators.reflected(name, function.slow_swapped)


def _compare(name: str, function: ufunc) -> Callable[[Any, Any], Any]:
    numpy_function = getattr(np, function._row.name)

    def slow(self: Any, other: Any, table: Any) -> Any:
        if _is_operand(other):
            return function._slow_binary(self, other, table)
        if defers_to(self, other):
            return NotImplemented
        if isinstance(other, np.ndarray) and other.ndim == 0:
            return function(self, other.item())
        # An object with the default comparison equals no element of any array.
        kind: Any = type(other)
        default_eq = kind.__eq__ is object.__eq__
        if name == "__eq__" and (other is None or default_eq):
            return functions.zeros(self.shape, np.bool_)
        if name == "__ne__" and (other is None or (default_eq and kind.__ne__ is object.__ne__)):
            return functions.ones(self.shape, np.bool_)
        return numpy_function(self, other)

    return operators.binary(name, slow)


def _inplace(name: str, function: ufunc) -> Callable[[Any, Any], Any]:
    return operators.inplace(name, function.slow_inplace)


def _unary(name: str, function: ufunc) -> Callable[[Any], Any]:
    return operators.unary(name, function._slow_unary)


def _divmod(self: Any, other: Any) -> Any:
    if _is_operand(other):
        return functions.divmod(self, other)
    return NotImplemented if defers_to(self, other) else np.divmod(self, other)


def _rdivmod(self: Any, other: Any) -> Any:
    return functions.divmod(other, self)


def _matmul(self: Any, other: Any) -> Any:
    if isinstance(other, dispatch.ndarray):
        return functions.matmul(self, other)
    return NotImplemented if defers_to(self, other) else np.matmul(self, other)


def _rmatmul(self: Any, other: Any) -> Any:
    return functions.matmul(other, self)


_plain_power = _binary("__pow__", functions.power)


def _power(self: Any, other: Any, modulo: Any = None) -> Any:
    """`**` takes the shortcuts that CuPy takes: their last bits and dtypes are part of its behaviour."""
    kind = type(other)
    if kind is int:
        if other == 2:
            if self.dtype.kind in "ifc":
                return functions.square(self)
            return functions.square(self, dtype=np.result_type(self.dtype, other))
    elif kind is float and other in (0.5, 2.0, -1.0):
        function = functions.sqrt if other == 0.5 else functions.square if other == 2.0 else functions.reciprocal
        if self.dtype.kind in "fc":
            return function(self)
        return function(self, dtype=np.result_type(self.dtype, other))
    return _plain_power(self, other)


def _positive(self: Any) -> Any:
    if self.dtype == np.bool_:
        warnings.warn(
            "Applying '+' to a non-numerical array is ill-defined. Returning a copy, but in the future this will error.",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.copy()
    return functions.positive(self)


class Operators:
    """The operators of `ndarray`."""

    __slots__ = ()

    __add__ = _binary("__add__", functions.add)
    __radd__ = _reversed("__radd__", functions.add)
    __iadd__ = _inplace("__iadd__", functions.add)
    __sub__ = _binary("__sub__", functions.subtract)
    __rsub__ = _reversed("__rsub__", functions.subtract)
    __isub__ = _inplace("__isub__", functions.subtract)
    __mul__ = _binary("__mul__", functions.multiply)
    __rmul__ = _reversed("__rmul__", functions.multiply)
    __imul__ = _inplace("__imul__", functions.multiply)
    __truediv__ = _binary("__truediv__", functions.true_divide)
    __rtruediv__ = _reversed("__rtruediv__", functions.true_divide)
    __itruediv__ = _inplace("__itruediv__", functions.true_divide)
    __floordiv__ = _binary("__floordiv__", functions.floor_divide)
    __rfloordiv__ = _reversed("__rfloordiv__", functions.floor_divide)
    __ifloordiv__ = _inplace("__ifloordiv__", functions.floor_divide)
    __mod__ = _binary("__mod__", functions.remainder)
    __rmod__ = _reversed("__rmod__", functions.remainder)
    __imod__ = _inplace("__imod__", functions.remainder)
    __pow__ = _power
    __rpow__ = _reversed("__rpow__", functions.power)
    __ipow__ = _inplace("__ipow__", functions.power)
    __lshift__ = _binary("__lshift__", functions.left_shift)
    __rlshift__ = _reversed("__rlshift__", functions.left_shift)
    __ilshift__ = _inplace("__ilshift__", functions.left_shift)
    __rshift__ = _binary("__rshift__", functions.right_shift)
    __rrshift__ = _reversed("__rrshift__", functions.right_shift)
    __irshift__ = _inplace("__irshift__", functions.right_shift)
    __and__ = _binary("__and__", functions.bitwise_and)
    __rand__ = _reversed("__rand__", functions.bitwise_and)
    __iand__ = _inplace("__iand__", functions.bitwise_and)
    __or__ = _binary("__or__", functions.bitwise_or)
    __ror__ = _reversed("__ror__", functions.bitwise_or)
    __ior__ = _inplace("__ior__", functions.bitwise_or)
    __xor__ = _binary("__xor__", functions.bitwise_xor)
    __rxor__ = _reversed("__rxor__", functions.bitwise_xor)
    __ixor__ = _inplace("__ixor__", functions.bitwise_xor)
    __divmod__ = _divmod
    __rdivmod__ = _rdivmod
    __matmul__ = _matmul
    __rmatmul__ = _rmatmul

    __lt__ = _compare("__lt__", functions.less)
    __le__ = _compare("__le__", functions.less_equal)
    __gt__ = _compare("__gt__", functions.greater)
    __ge__ = _compare("__ge__", functions.greater_equal)
    __eq__ = _compare("__eq__", functions.equal)
    __ne__ = _compare("__ne__", functions.not_equal)
    __hash__ = None  # type: ignore[assignment]

    __neg__ = _unary("__neg__", functions.negative)
    __pos__ = _positive
    __abs__ = _unary("__abs__", functions.absolute)
    __invert__ = _unary("__invert__", functions.invert)
