"""Ufuncs on NumPy, with CuPy's loops.

NumPy chooses a loop of its own for most calls, and that gives the same numbers as CuPy's when the result's dtype is the same. Where it is
not, or where NumPy has no loop or another meaning, the operands are converted to CuPy's loop first.

    direct       call NumPy as the arguments are
    by loop      convert operands to the loop's inputs, call, convert the result to the loop's output
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops._loops import KERNELS
from cupool.contract.ops.rules.elementwise import Loop, Operand, find_loop, operand_type, typed_loop
from cupool.contract.ops.ufuncs import UFUNCS

from .casting import assign, cast

Array = np.ndarray[Any, Any]

_MAX_PLANS = 4096
_RECORDS = {"equal": operator.eq, "not_equal": operator.ne}


def _operand(value: Any) -> Operand:
    return (value.dtype, None) if isinstance(value, np.ndarray) else operand_type(value)


# -- functions that NumPy lacks or means otherwise: they get operands already in the loop's dtypes ---------------------------


def _power(a: Array, b: Array) -> Array:
    if a.dtype.kind == "b":
        return np.where(b & ~a, False, True).astype(np.int8)
    if a.dtype.kind == "i" and (b < 0).any():
        result = np.power(a, np.where(b < 0, 0, b))
        # Integers to negative powers: CuPy gives what is left of the fraction.
        odd = (b & 1).astype(np.bool_)
        inverse = np.where(a == 1, 1, np.where(a == -1, np.where(odd, -1, 1), 0)).astype(a.dtype)
        return np.where(b < 0, inverse, result)
    if a.dtype.kind == "c":
        return np.where(b == 0, a.dtype.type(1), np.power(a, b))
    return np.power(a, b)


def _reciprocal(a: Array) -> Array:
    if a.dtype.kind in "iu":
        safe = np.where(a == 0, 1, a)
        return np.where(
            a == 0, 0, np.where(safe == 1, 1, np.where(safe == -1, -1, 0) if a.dtype.kind == "i" else 0)
        ).astype(a.dtype)
    return np.reciprocal(a)


def _rounding(function: Callable[..., Any]) -> Callable[..., Any]:
    def rounded(a: Array) -> Array:
        return a.copy() if a.dtype.kind in "biu" else function(a)

    return rounded


def _sinc(a: Array) -> Array:
    if a.dtype.kind == "c":
        scaled = a.dtype.type(np.pi) * a
        return np.where(np.abs(a) > 1e-9, np.sin(scaled) / np.where(scaled == 0, 1, scaled), 1).astype(a.dtype)
    return np.sinc(a).astype(a.dtype)


#: Public name -> function of operands in the loop's dtypes; never called directly with mixed ones.
_SPECIAL: dict[str, Callable[..., Any]] = {
    "ceil": _rounding(np.ceil),
    "cupyx.rsqrt": lambda a: (1 / np.sqrt(a)).astype(a.dtype),
    "fix": _rounding(np.trunc),
    "floor": _rounding(np.floor),
    "i0": lambda a: np.i0(a.astype(np.float64)).reshape(a.shape).astype(a.dtype),
    "power": _power,
    "reciprocal": _reciprocal,
    "sinc": _sinc,
    "trunc": _rounding(np.trunc),
}


class Ufunc:
    """The implementation of one ufunc; plans by operand types."""

    __slots__ = ("_direct", "_nin", "_nout", "_plans", "_special", "name")

    def __init__(self, name: str, special: Callable[..., Any] | None = None) -> None:
        """`special`: what computes it on operands in the loop's dtypes; None: `_SPECIAL`'s, or NumPy's ufunc of this name."""
        self.name = name
        self._nin, self._nout = KERNELS[name][:2]
        self._special = special or _SPECIAL.get(name)
        self._direct: Any = getattr(np, name) if self._special is None else None
        self._plans: dict[Any, Loop | None] = {}

    def __call__(
        self,
        *operands: Any,
        out: Any = None,
        where: Any = True,
        dtype: Any = None,
        casting: str = "same_kind",
        **unused: Any,
    ) -> Any:
        if dtype is None and self._direct is not None and where is True and casting == "same_kind":
            key = tuple([x.dtype if isinstance(x, np.ndarray) else type(x) for x in operands])
            if int in key:
                key = (*key, *(x.bit_length() for x in operands if type(x) is int))
            loop = self._plans[key] if key in self._plans else self._plan(key, operands)
            if loop is None:
                return self._run_direct(operands, out)
        else:
            loop = self._loop(operands, dtype)
        return self._by_loop(loop, operands, out, where)

    def direct_for(self, operands: tuple[Any, ...]) -> Any:
        """As in `_quick`."""
        if self._direct is None or self._nout != 1:
            return None
        return self._direct if self._agrees(self._loop(operands, None), operands) else None

    def _run_direct(self, operands: tuple[Any, ...], out: Any) -> Any:
        if out is None:
            result = self._direct(*operands)
            if self._nout == 1:
                return result if isinstance(result, np.ndarray) else np.asarray(result)
            return tuple([np.asarray(r) for r in result])
        outs = out if isinstance(out, tuple) else (out,)
        if all(o is not None for o in outs) and not _lossy(operands, outs):
            self._direct(*operands, out=outs)
            return outs[0] if self._nout == 1 else outs
        return self._write(self._run_direct(operands, None), out, True)

    def _plan(self, key: Any, operands: tuple[Any, ...]) -> Loop | None:
        loop = self._loop(operands, None)
        if len(self._plans) >= _MAX_PLANS:
            self._plans.clear()
        self._plans[key] = None if self._agrees(loop, operands) else loop
        return self._plans[key]

    def _agrees(self, loop: Loop, operands: tuple[Any, ...]) -> bool:
        types = [x.dtype if isinstance(x, np.ndarray) else type(x) if type(x) in (int, float, complex) else np.asarray(x).dtype
                 for x in operands]  # fmt: skip
        if np.dtype(np.bool_) in types and any(type(x) is int and x.bit_length() > 63 for x in operands):
            return False  # NumPy compares booleans as int64 with Python integers
        try:
            resolved = self._direct.resolve_dtypes((*types, *(None,) * self._nout))
        except TypeError:
            return False
        return bool(tuple(resolved[len(types) :]) == loop.outputs)

    def _loop(self, operands: tuple[Any, ...], dtype: Any) -> Loop:
        if len(operands) != self._nin:
            raise TypeError(
                f"Wrong number of arguments for 'cupy_{self.name}'. It must be {self._nin} (outputs are the keyword out), "
                f"but given {len(operands)}."
            )
        types = tuple(_operand(x) for x in operands)
        loop = find_loop(self.name, types) if dtype is None else typed_loop(self.name, np.dtype(dtype))
        if loop is None:
            raise TypeError(f"Wrong type ({dtype or tuple(d for d, _ in types)}) of arguments for cupy_{self.name}")
        if loop.error:
            raise TypeError(loop.error)
        return loop

    def _by_loop(self, loop: Loop, operands: tuple[Any, ...], out: Any, where: Any) -> Any:
        converted = [converted_to(x, d) for x, d in zip(operands, loop.inputs, strict=True)]
        if converted[0].dtype.type is np.void and self.name in _RECORDS:
            # NumPy's ufuncs do not compare records, its operators do.
            result: Any = _RECORDS[self.name](*converted)
        else:
            result = (self._special or self._direct)(*converted)
        results = result if isinstance(result, tuple) else (result,)
        made = tuple(cast(np.asarray(r), d, copy=False) for r, d in zip(results, loop.outputs, strict=True))
        return self._write(made[0] if self._nout == 1 else made, out, where)

    def _write(self, result: Any, out: Any, where: Any) -> Any:
        results = result if isinstance(result, tuple) else (result,)
        outs = (None,) * len(results) if out is None else out if isinstance(out, tuple) else (out,)
        mask = where if where is True else np.asarray(where, np.bool_)
        written = []
        for value, target in zip(results, outs, strict=True):
            if target is None:
                if mask is True:
                    written.append(value)
                    continue
                # Elements not chosen are undefined in CuPy; here they are zero rather than another array's leftovers.
                target = np.zeros(np.broadcast_shapes(value.shape, mask.shape), value.dtype)
            assign(target, value, mask)
            written.append(target)
        return written[0] if self._nout == 1 else tuple(written)


def converted_to(value: Any, dtype: np.dtype[Any]) -> Array:
    """An operand as a loop for `dtype` takes it. Raises OverflowError: a Python integer that does not fit."""
    if dtype.kind == "V":
        return np.asarray(value)
    if isinstance(value, np.ndarray):
        return cast(value, dtype, copy=False)
    if type(value) is int and dtype.kind in "iu":
        return np.asarray(dtype.type(value))  # raises OverflowError
    return cast(np.asarray(value), dtype, copy=False)


def _lossy(operands: tuple[Any, ...], outs: tuple[Any, ...]) -> bool:
    """Whether NumPy might convert a result from floating point to an integer, which it does otherwise than a GPU."""
    return any(o.dtype.kind in "iu" for o in outs) and any(
        isinstance(x, float | complex | np.inexact) or (isinstance(x, np.ndarray) and x.dtype.kind in "fc")
        for x in operands
    )


#: Special only for integers and booleans.
_FLOATS_AS_NUMPY = frozenset({"ceil", "floor", "power", "reciprocal", "trunc"})


def _quick_on_floats(function: Any, general: Ufunc) -> Callable[..., Any]:
    ndarray, asarray = np.ndarray, np.asarray

    def run(*operands: Any, **options: Any) -> Any:
        if not options:
            for x in operands:
                if (x.dtype.kind != "f") if type(x) is ndarray else (type(x) is not float and type(x) is not int):
                    break
            else:
                result = function(*operands)
                return result if type(result) is ndarray else asarray(result)
        return general(*operands, **options)

    def direct_for(operands: tuple[Any, ...]) -> Any:
        """As in `_quick`."""
        kinds = {x.dtype.kind if type(x) is ndarray else "f" if type(x) is float else "" for x in operands}
        return function if kinds == {"f"} else None

    run.direct_for = direct_for  # type: ignore[attr-defined]
    return run


def _quick(name: str) -> Callable[..., Any]:
    """The whole of most calls: no options, NumPy's own choice of loop.

    The client has checked the operands against CuPy's loops, and where both accept they give the same dtypes
    (tests/contract/test_table_ufuncs.py holds that against every combination), so nothing is looked up first.
    """
    general = Ufunc(name)
    if name in _FLOATS_AS_NUMPY:
        return _quick_on_floats(getattr(np, name), general)
    if name in _SPECIAL or name.startswith("logical_"):  # NumPy takes complex numbers there, CuPy does not
        return general
    function, nout = getattr(np, name), KERNELS[name][1]
    ndarray, asarray = np.ndarray, np.asarray

    def run(*operands: Any, **options: Any) -> Any:
        try:
            if not options:
                result = function(*operands)
                if type(result) is ndarray:
                    return result
                return asarray(result) if nout == 1 else tuple([asarray(r) for r in result])
            out = options.get("out")
            if len(options) == 1 and type(out) is ndarray and out.dtype.kind in "fcb":
                return function(*operands, out=out)
        except (TypeError, OverflowError):
            # NumPy has no such loop, or not for an integer of this size: CuPy's are next, and they say so if they have none either.
            pass
        return general(*operands, **options)

    def direct_for(operands: tuple[Any, ...]) -> Any:
        """The ufunc that may be called in place of `run` for operands of these types: NumPy has the loop. None: it may not."""
        types = [x.dtype if isinstance(x, np.ndarray) else type(x) for x in operands]
        try:
            function.resolve_dtypes((*types, *(None,) * nout))
        except (TypeError, ValueError):
            return None
        return function if nout == 1 else None

    run.direct_for = direct_for  # type: ignore[attr-defined]
    return run


OPS: dict[str, Callable[..., Any]] = {name: _quick(name) for name in UFUNCS}
