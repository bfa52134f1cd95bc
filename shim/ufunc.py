"""`cupy.ufunc`: callable rows of the ufunc family, with CuPy's attributes and methods.

Boundary: the rule of the row chooses the loop and refuses; here arguments are sorted into the row's parameters, and hot tables
are filled (Note [Hot tables]).
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from . import dispatch, operators, session
from .pending import COMMANDS, GATE, extend

#: Types that an operand may have, besides arrays.
SCALAR_TYPES = frozenset({bool, int, float, complex, *(np.dtype(c).type for c in "?bBhHiIlLqQefdFD")})


def is_scalar(value: Any) -> bool:
    """Whether a value is a number that an operand may be: Python's, NumPy's, or a bfloat16 of ml_dtypes."""
    return type(value) in SCALAR_TYPES or (isinstance(value, np.generic) and value.dtype.name == "bfloat16")


_SCATTER = {
    "add": "add", "subtract": "sub", "maximum": "max", "minimum": "min", "bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor",
}  # fmt: skip
_REDUCTIONS = {"add": "sum", "multiply": "prod"}
_SCANS = {"add": "cumsum", "multiply": "cumprod"}


class ufunc:
    """An elementwise function. One instance per row, made by the generated module: `add = ufunc(_add, 2, 1, "??->? bb->b …")`.

    Its name is CuPy's own, given where that is not `cupy_` and the public name.
    """

    __module__ = "cupy"

    def __init__(self, row: Any, nin: int, nout: int, types: str, name: str = "") -> None:
        self._row = row
        self._op: Any = None
        self.name = self.__name__ = name or f"cupy_{row.name.rpartition('.')[2]}"
        self.nin = nin
        self.nout = nout
        self.nargs = nin + nout
        self._loops = types
        self.__doc__ = f"As `cupy.{row.name}`."
        self._unary: Any = operators.unary(row.name, self._slow_unary) if nin == 1 and nout == 1 else None
        self._outs = operators.new_table() if nout == 1 and nin <= 2 else {}
        self._binary: Any = operators.binary(row.name, self._slow_binary) if nin == 2 and nout == 1 else None

    def __repr__(self) -> str:
        return f"<ufunc '{self.name}'>"

    def __reduce__(self) -> Any:
        return _by_name, (self._row.name,)

    @property
    def types(self) -> list[str]:
        """The loops, as CuPy lists them."""
        return self._loops.split()

    # -- calls ------------------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            if self._unary is not None:
                if len(args) == 1 and type(args[0]) is dispatch.ndarray:
                    return self._unary(args[0])
            elif self._binary is not None and len(args) == 2 and type(args[0]) is dispatch.ndarray:
                return self._binary(args[0], args[1])
        elif (
            len(kwargs) == 1
            and len(args) == self.nin
            and type(kwargs.get("out")) is dispatch.ndarray
            and self.nout == 1
        ):
            return self._into(args, kwargs["out"])
        return self._general(args, kwargs)

    def _into(self, args: tuple[Any, ...], out: Any) -> Any:
        """The call with `out=` and nothing else. See Note [Hot tables]; the right operand's place has the output's spec too."""
        left = args[0]
        right = args[1] if len(args) == 2 else None
        kind = type(right)
        try:
            if type(left) is not dispatch.ndarray or len(args) > 2:
                return self._general(args, {"out": out})
            if right is None:
                words: tuple[int, ...] = (self._outs[left._spec][None, out._spec], left._handle, out._handle)
            elif kind is dispatch.ndarray:
                words = (self._outs[left._spec][right._spec, out._spec], left._handle, right._handle, out._handle)
            elif kind is float:
                words = (
                    self._outs[left._spec][float, out._spec],
                    left._handle,
                    operators.double_bits(right),
                    out._handle,
                )
            else:
                return self._general(args, {"out": out})
        except KeyError:
            return self._fill_into(args, out)
        extend(words)
        if len(COMMANDS) > GATE.words:
            session.flush()
        return out

    def _fill_into(self, args: tuple[Any, ...], out: Any) -> Any:
        """As `_general`, and remember the form where Note [Hot tables] allows it."""
        result = self._general(args, {"out": out})
        specs = [a._spec for a in (*args, out) if type(a) is dispatch.ndarray]
        if None not in specs and out._spec.nbytes < operators.TAGGED_BYTES:
            plan, slots = self._plan((*args, out, True, None, "same_kind"))
            if len(slots) == len(args) + 1 and all(type(slot) is int for slot in slots):
                right = None if len(args) == 1 else float if type(args[1]) is float else args[1]._spec
                operators.remember(self._outs, args[0]._spec, (right, out._spec), plan.head)
        return result

    def _general(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for arg in args:
            override = getattr(arg, "__cupy_override_elementwise_kernel__", None)
            if override is not None:
                return override(self, *args, **kwargs)
        out = kwargs.pop("out", None)
        where = kwargs.pop("where", kwargs.pop("_where", True))
        dtype = kwargs.pop("dtype", None)
        casting = kwargs.pop("casting", "same_kind")
        if kwargs:
            raise TypeError(f"Wrong arguments {kwargs}")
        if not self.nin <= len(args) <= self.nargs:
            raise TypeError(
                f"Wrong number of arguments for {self.name!r}. It must be either {self.nin} or {self.nargs} (with outputs), "
                f"but given {len(args)}."
            )
        operands = tuple(map(_operand, args[: self.nin]))
        outs = args[self.nin :]
        if out is not None:
            if outs:
                raise ValueError("Cannot specify 'out' as both a positional and keyword argument")
            outs = self._out_tuple(out)
        outs = tuple(o if o is None else _output(o) for o in outs)
        if dtype is not None:
            dtype = np.dtype(dtype)
        if where is not True:
            where = _operand(where)
        return self._issue(operands, outs, where, dtype, casting)

    def _out_tuple(self, out: Any) -> tuple[Any, ...]:
        if isinstance(out, tuple):
            if len(out) != self.nout:
                raise ValueError("The 'out' tuple must have exactly one entry per ufunc output")
            return out
        if self.nout != 1:
            raise ValueError("'out' must be a tuple of arrays")
        return (out,)

    def _issue(self, operands: tuple[Any, ...], outs: tuple[Any, ...], where: Any, dtype: Any, casting: str) -> Any:
        given = [o for o in outs if o is not None]
        if given and len(given) < self.nout:
            # CuPy computes into the given ones and makes the others; the row takes all or none.
            results = self._issue(operands, (), where, dtype, casting)
            padded = outs + (None,) * (self.nout - len(outs))
            for target, result in zip(padded, results, strict=True):
                if target is not None:
                    target[...] = result
            return tuple(r if t is None else t for t, r in zip(padded, results, strict=True))
        out = None if not given else given[0] if self.nout == 1 else tuple(given)
        if given and casting == "unsafe":
            self._tell_of_lost_parts(operands, given, where, dtype)
        result = dispatch.call(self._row, (*operands, out, where, dtype, casting))
        if out is not None:
            return out
        for operand in operands:
            if isinstance(operand, dispatch.ndarray) and type(operand) is not dispatch.ndarray:
                return _as_class_of(operand, result)
        return result

    def _tell_of_lost_parts(self, operands: tuple[Any, ...], outs: list[Any], where: Any, dtype: Any) -> None:
        """Warn, as CuPy, where a complex result goes into a real array."""
        if all(o.dtype.kind in "bc" for o in outs):
            return
        made = self._row.infer(*map(_layout, operands), where=_layout(where), dtype=dtype, casting="unsafe")
        for spec, out in zip(made if isinstance(made, tuple) else (made,), outs, strict=True):
            if spec.dtype.kind == "c" and out.dtype.kind not in "bc":
                text = "Casting complex values to real discards the imaginary part"
                warnings.warn(text, np.exceptions.ComplexWarning, stacklevel=5)

    # -- filling hot tables -------------------------------------------------------------------------------------------------

    def _plan(self, args: tuple[Any, ...]) -> tuple[Any, list[Any]]:
        op = self._op
        if op is None:
            op = self._op = dispatch.op_of(self._row)
        return dispatch.prepare(op, args)

    def _slow_unary(self, x: Any, table: Any) -> Any:
        if type(x) is not dispatch.ndarray:
            return self._general((x,), {})
        plan, slots = self._plan((x, None, True, None, "same_kind"))
        spec = plan.single
        if spec is None:
            return dispatch.finish(plan, self._row, (x, None, True, None, "same_kind"), slots)
        if spec.nbytes < operators.TAGGED_BYTES:
            operators.remember(table, x._spec, operators.ALONE, (plan.head, spec))
        return dispatch.finish_single(plan, slots)

    def _slow_binary(self, left: Any, right: Any, table: Any, swapped: bool = False) -> Any:
        kind = type(right)
        if type(left) is not dispatch.ndarray or (
            kind is not dispatch.ndarray and kind is not float and kind is not int
        ):
            return self._general((right, left) if swapped else (left, right), {})
        operands = (right, left) if swapped else (left, right)
        args = (*operands, None, True, None, "same_kind")
        plan, slots = self._plan(args)
        spec = plan.single
        if spec is None:
            return dispatch.finish(plan, self._row, args, slots)
        if spec.nbytes < operators.TAGGED_BYTES:
            if kind is not int:
                operators.remember(table, left._spec, float if kind is float else right._spec, (plan.head, spec))
            elif type(slots[0]) is int and type(slots[1]) is int:
                low, high = operators.int_bounds(left._spec.dtype)
                if low <= right <= high:
                    operators.remember(table, left._spec, int, (plan.head, spec, low, high))
        return dispatch.finish_single(plan, slots)

    def slow_swapped(self, left: Any, right: Any, table: Any) -> Any:
        """As `_slow_binary`, for reversed operators."""
        return self._slow_binary(left, right, table, True)

    def slow_inplace(self, target: Any, other: Any, table: Any) -> Any:
        """`target op= other`."""
        kind = type(other)
        if type(target) is not dispatch.ndarray or (
            kind is not dispatch.ndarray and kind is not float and kind is not int
        ):
            return self._general((target, other), {"out": target})
        args = (target, other, target, True, None, "same_kind")
        plan, slots = self._plan(args)
        spec = target._spec
        if spec is not None and spec.nbytes < operators.TAGGED_BYTES and len(slots) == 3:
            if kind is dispatch.ndarray and other._spec is not None:
                operators.remember(table, spec, other._spec, plan.head)
            elif kind is float:
                operators.remember(table, spec, float, plan.head)
            elif kind is int and type(slots[1]) is int:
                low, high = operators.int_bounds(spec.dtype)
                if low <= other <= high:
                    operators.remember(table, spec, int, (plan.head, low, high))
        extend((plan.head | dispatch.header_bits(), *slots))
        if len(COMMANDS) > GATE.words:
            session.flush()
        session_sync()
        return target

    # -- methods ------------------------------------------------------------------------------------------------------------

    def outer(self, A: Any, B: Any, **kwargs: Any) -> Any:  # NumPy's names
        """The function of all pairs of elements."""
        from .convert import array

        a, b = array(A), array(B)
        return self(a.reshape(a.shape + (1,) * b.ndim), b.reshape((1,) * a.ndim + b.shape), **kwargs)

    def at(self, a: Any, indices: Any, b: Any = None) -> None:
        """In place on the elements that `indices` names, each as often as it is named."""
        name = _SCATTER.get(self._row.name)
        if name is None:
            raise NotImplementedError(f"`{self.name}.at` is not supported yet")
        from .indexing import scatter

        scatter(a, indices, b, self._row.name)

    def reduce(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        """Reduce along axes."""
        return self._method(_REDUCTIONS, "reduce", array)(axis, dtype, out, keepdims)

    def accumulate(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        """Accumulate along an axis."""
        return self._method(_SCANS, "accumulate", array)(axis, dtype, out)

    def reduceat(self, array: Any, indices: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        """Reduce slices of an axis."""
        if self._row.name != "add":
            raise NotImplementedError(f"`{self.name}.reduceat` is not supported yet")
        from .indexing import add_reduceat

        return add_reduceat(array, indices, axis, dtype, out)

    def _method(self, names: dict[str, str], what: str, array: Any) -> Any:
        name = names.get(self._row.name)
        if name is None:
            raise NotImplementedError(f"`{self.name}.{what}` is not supported yet")
        return getattr(array, name)


def session_sync() -> None:
    """CUPOOL_SYNC=1: wait for the command just queued."""
    if dispatch.is_sync():
        session.after_call()


def _layout(value: Any) -> Any:
    """What a rule looks at in place of an array."""
    return value._resolve() if isinstance(value, dispatch.ndarray) else value


def _by_name(name: str) -> Any:
    """Unpickling. The generated modules are flat: `cupyx.scipy.special` is `cupyx_scipy_special`."""
    import importlib

    path, _, attribute = name.rpartition(".")
    return getattr(
        importlib.import_module(f"{__package__}._generated.{path.replace('.', '_') or 'functions'}"), attribute
    )


def _operand(value: Any) -> Any:
    """An input as the row takes it. Host arrays and sequences are refused: nothing is copied to the device unasked."""
    if isinstance(value, dispatch.ndarray) or is_scalar(value):
        return value
    convert = getattr(value, "__cupy_get_ndarray__", None)
    if convert is not None:
        return convert()
    if isinstance(value, (bool, int, float, complex, np.generic)) and not isinstance(value, (np.str_, np.bytes_)):
        return value
    if hasattr(value, "__cuda_array_interface__"):
        from .convert import asarray

        return asarray(value)
    raise TypeError(f"Unsupported type {type(value)}")


def _output(value: Any) -> Any:
    if not isinstance(value, dispatch.ndarray):
        raise TypeError("Output arguments type must be cupy.ndarray")
    return value


def _as_class_of(template: Any, result: Any) -> Any:
    from .array import cast_class

    if isinstance(result, tuple):
        return tuple(cast_class(r, type(template), template) for r in result)
    return cast_class(result, type(template), template)
