"""Stand-ins for the arguments of a fused function.

A TracedArray has the spec of its array and no handle. Whatever would put a handle into a command raises TracedOperand, which
`dispatch.call` hands to the trace: it writes the call down, and the rule says what comes out. What does not go through `dispatch.call` is
either done here (casts, indexing) or cannot be fused.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from cupool.contract.ops._row import Row
from cupool.contract.spec import Spec, spec_of

from ... import array as arrays
from ... import dispatch
from ...dispatch import TracedOperand
from ...objects import RemoteObject
from .program import Program, Ref, Step

_new: Any = object.__new__
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), np.generic, np.dtype, type)


class Unfusible(BaseException):
    """The function does what cannot be written down. Not an Exception: the function must not catch it."""


class Trace:
    """The steps so far.

    Attributes:
        looks_at_shape: the function asked for a shape: what is written down is for arrays of these shapes.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.specs: dict[int, Spec] = {}
        self.samples: dict[int, Any] = {}
        self.looks_at_shape = False
        self._count = 0

    def argument(self, value: Any) -> Any:
        """The stand-in for an argument."""
        if isinstance(value, dispatch.ndarray):
            return self._array(value._resolve())
        if value is None:
            self._count += 1
            return None
        return self._scalar(value)

    def finished(self, returned: Any) -> Program:
        """What was written down. Raises Unfusible when the function returns something that is not of the trace."""
        tree = self._tree(returned, True)
        return Program(tuple(self.steps), tree, self.specs, self.samples, self._count)

    # -- values ----------------------------------------------------------------------------------------------------------------

    def _array(self, spec: Spec) -> TracedArray:
        made: TracedArray = _new(TracedArray)
        made._trace, made._number = self, self._count
        made._spec = arrays.twin(spec)
        self.specs[self._count] = spec
        self._count += 1
        return made

    def _scalar(self, sample: Any) -> TracedScalar:
        made = TracedScalar(self, self._count, sample)
        self.samples[self._count] = sample
        self._count += 1
        return made

    def _tree(self, value: Any, may_vary: bool) -> Any:
        """A tree of arguments with Refs in place of stand-ins. Raises Unfusible for what is from elsewhere."""
        if isinstance(value, TracedArray):
            if value._trace is not self:
                raise Unfusible
            return Ref(value._number)
        if isinstance(value, TracedScalar):
            if not may_vary or value.trace is not self:
                raise Unfusible
            return Ref(value.number)
        if isinstance(value, (dispatch.ndarray, np.ndarray, RemoteObject)):
            raise Unfusible
        kind = type(value)
        if kind is tuple or kind is list:
            return kind(self._tree(item, may_vary) for item in value)
        if kind is dict:
            return {name: self._tree(item, may_vary) for name, item in value.items()}
        if kind is slice:
            for part in (value.start, value.stop, value.step):
                if isinstance(part, TracedScalar):
                    raise Unfusible
            return value
        if isinstance(value, _PLAIN) or getattr(type(value), "__module__", "") == "numpy":
            return value
        raise Unfusible

    # -- calls -----------------------------------------------------------------------------------------------------------------

    def record(self, row: Row, args: tuple[Any, ...]) -> Any:
        """A call of a row. Returns its results. Raises what the call would raise, or Unfusible."""
        op = dispatch.op_of(row)
        row = op.row
        if row.host or row.object or row.infer is None or op.looks is not None or set(row.uses) - {"stream"}:
            raise Unfusible
        tree = tuple(self._tree(a, varies) for a, varies in zip(args, op.varying, strict=True))
        results, is_tuple, out = dispatch.foresee(row, [_sampled(a) for a in args])
        if out is not None:
            target = args[row.params.index(out)]
            written = target if isinstance(target, tuple) else (target,)
            if out in row.writes:
                numbers = tuple(w._number for w in written if isinstance(w, TracedArray))
                self.steps.append(Step(row, None, tree, (), numbers))
            return target[0] if isinstance(target, tuple) and not is_tuple else target
        made = []
        for result in results:
            if not isinstance(result, Spec):
                raise Unfusible
            made.append(self._array(result))
        numbers = tuple(a._number for a in made)
        written = tuple(
            a._number for a, p in zip(args, row.params, strict=True) if p in row.writes and isinstance(a, TracedArray)
        )
        self.steps.append(Step(row, None, tree, numbers, written, is_tuple=is_tuple))
        return tuple(made) if is_tuple else made[0] if made else None

    def call(
        self, function: Callable[..., Any], args: tuple[Any, ...], spec: Spec | None, written: tuple[int, ...] = ()
    ) -> Any:
        """A call of a function of arrays; `spec` of its result, None: it has none."""
        tree = tuple(self._tree(a, False) for a in args)
        made = None if spec is None else self._array(spec)
        self.steps.append(Step(None, function, tree, () if made is None else (made._number,), written))
        return made

    def compute(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """A call of a function of numbers, on this machine."""
        tree = tuple(self._tree(a, True) for a in args)
        sample = function(*(_sampled(a) for a in args))
        if not isinstance(sample, (bool, int, float, complex, np.generic)):
            raise Unfusible
        made = self._scalar(sample)
        self.steps.append(Step(None, function, tree, (made.number,), is_host=True))
        return made


def _sampled(value: Any) -> Any:
    """The value with samples in place of scalars that vary."""
    if isinstance(value, TracedScalar):
        return value.sample
    if isinstance(value, (tuple, list)):
        return type(value)(_sampled(item) for item in value)
    return value


# -- arrays --------------------------------------------------------------------------------------------------------------------


def _astype(a: Any, dtype: Any, order: str, copy: bool) -> Any:
    return a.astype(dtype, order=order, copy=copy)


def _assign(a: Any, key: Any, value: Any) -> None:
    a[key] = value


class TracedArray(arrays.ndarray):
    """An array inside a function that is being traced."""

    _trace: Trace
    _number: int

    def __del__(self, extend: Any = None) -> None:
        """There is no handle to free."""

    @property
    def _handle(self) -> NoReturn:  # type: ignore[override]
        raise TracedOperand(self._trace)

    def __cupy_override_elementwise_kernel__(self, kernel: Any, *args: Any, **kwargs: Any) -> Any:
        return _ufunc(self._trace, kernel, args, kwargs)

    def _looked(self) -> Spec:
        self._trace.looks_at_shape = True
        assert self._spec is not None
        return self._spec

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape; what is traced is then for arrays of this shape alone."""
        return self._looked().shape

    @shape.setter
    def shape(self, value: Any) -> None:
        raise Unfusible

    @property
    def strides(self) -> tuple[int, ...]:
        """The strides, likewise."""
        return self._looked().strides

    @property
    def size(self) -> int:
        """The number of elements, likewise."""
        return self._looked().size

    @property
    def nbytes(self) -> int:
        """The bytes of the elements, likewise."""
        return self._looked().nbytes

    def __len__(self) -> int:
        self._looked()
        return super().__len__()

    def __iter__(self) -> Iterator[Any]:
        self._looked()
        return super().__iter__()

    def astype(self, dtype: Any, order: Any = "K", casting: Any = None, subok: Any = None, copy: bool = True) -> Any:
        """A cast."""
        if casting is not None or subok is not None:
            raise TypeError("casting and subok are not supported yet")
        spec = self._spec
        assert spec is not None
        wanted = np.dtype(dtype)
        if not copy and wanted == spec.dtype and order in ("K", "A"):
            return self
        return self._trace.call(_astype, (self, wanted, order, copy), spec_of(spec.shape, wanted))

    def copy(self, order: Any = "C") -> Any:
        """A copy."""
        assert self._spec is not None
        return self.astype(self._spec.dtype, order)

    def __getitem__(self, key: Any) -> Any:
        spec = self._spec
        assert spec is not None
        for part in key if isinstance(key, tuple) else (key,):
            if not isinstance(part, (int, np.integer, slice, type(None), type(Ellipsis))) or isinstance(part, bool):
                raise Unfusible
        try:
            view = spec.shadow[key]
        except IndexError as error:
            raise IndexError(str(error)) from None
        if not isinstance(view, np.ndarray):
            view = spec.shadow[(*(key if isinstance(key, tuple) else (key,)), ...)]
        return self._trace.call(operator.getitem, (self, key), spec_of(view.shape, view.dtype, view.strides))

    def __setitem__(self, key: Any, value: Any) -> None:
        for part in key if isinstance(key, tuple) else (key,):
            if not isinstance(part, (int, np.integer, slice, type(Ellipsis))) or isinstance(part, bool):
                raise Unfusible
        trace = self._trace
        if isinstance(value, TracedScalar):
            raise Unfusible
        if isinstance(value, TracedArray):
            target = self[key]
            trace.steps.pop()
            np.broadcast_shapes(trace.specs[value._number].shape, trace.specs[target._number].shape)
        trace.call(_assign, (self, key, value), None, (self._number,))

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "Cannot convert a variable of a fused function to a Python scalar: its value is not known when it is compiled."
        )

    __int__ = __float__ = __complex__ = __index__ = __bool__


def _ufunc(trace: Trace, kernel: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of a ufunc on stand-ins, with its arguments sorted into the row's parameters."""
    row = getattr(kernel, "_row", None)
    if row is None:
        raise Unfusible
    given = dict(kwargs)
    out, where = given.pop("out", None), given.pop("where", True)
    dtype, casting = given.pop("dtype", None), given.pop("casting", "same_kind")
    if given:
        raise TypeError(f"Wrong arguments {given}")
    if not kernel.nin <= len(args) <= kernel.nargs:
        raise TypeError(f"Wrong number of arguments for {kernel.name!r}.")
    operands, outs = args[: kernel.nin], args[kernel.nin :]
    for value in operands:
        if not isinstance(value, (TracedArray, TracedScalar, bool, int, float, complex, np.generic)):
            if isinstance(value, (dispatch.ndarray, np.ndarray)):
                raise Unfusible
            raise TypeError(f"Unsupported type {type(value)}")
    if outs:
        if out is not None:
            raise ValueError("Cannot specify 'out' as both a positional and keyword argument")
        out = outs[0] if kernel.nout == 1 else tuple(outs)
    for value in out if isinstance(out, tuple) else (out,):
        if value is not None and not isinstance(value, TracedArray):
            raise TypeError("Output arguments type must be cupy.ndarray")
    if isinstance(out, tuple) and len(out) == 1:
        out = out[0]
    arrays_given = (*operands, *(out if isinstance(out, tuple) else (out,)))
    if not any(isinstance(v, TracedArray) for v in arrays_given):
        return trace.compute(getattr(np, row.name), operands) if dtype is None and where is True else _raise()
    return trace.record(row, (*operands, out, where, None if dtype is None else np.dtype(dtype), casting))


def _raise() -> NoReturn:
    raise Unfusible


# -- scalars -------------------------------------------------------------------------------------------------------------------


class TracedScalar:
    """A number inside a function that is being traced: its type is known, its value varies from call to call."""

    __array_priority__ = 200

    def __init__(self, trace: Trace, number: int, sample: Any) -> None:
        self.trace = trace
        self.number = number
        self.sample = sample

    def __cupy_override_elementwise_kernel__(self, kernel: Any, *args: Any, **kwargs: Any) -> Any:
        return _ufunc(self.trace, kernel, args, kwargs)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            raise Unfusible
        if any(isinstance(x, TracedArray) for x in inputs):
            from ..._generated import functions

            return getattr(functions, ufunc.__name__)(*inputs)
        return self.trace.compute(ufunc, inputs)

    @property
    def dtype(self) -> Any:
        """Of a NumPy scalar."""
        if not isinstance(self.sample, np.generic):
            raise AttributeError(f"{type(self.sample).__name__!r} object has no attribute 'dtype'")
        return self.sample.dtype

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise Unfusible

    def __bool__(self) -> NoReturn:
        raise Unfusible

    __int__ = __float__ = __complex__ = __index__ = __hash__ = __bool__


def _scalar_operator(name: str, function: Callable[..., Any], is_swapped: bool) -> Callable[..., Any]:
    ufunc = _UFUNC_OF[name]

    def method(self: TracedScalar, other: Any) -> Any:
        pair = (other, self) if is_swapped else (self, other)
        if isinstance(other, TracedArray):
            from ..._generated import functions

            return getattr(functions, ufunc)(*pair)
        if not isinstance(other, (TracedScalar, bool, int, float, complex, np.generic)):
            return NotImplemented
        return self.trace.compute(function, pair)

    return method


_UFUNC_OF = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide", "mod": "remainder",
    "pow": "power", "lshift": "left_shift", "rshift": "right_shift", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}  # fmt: skip
for _name in _UFUNC_OF:
    _function = getattr(operator, f"__{_name}__")
    setattr(TracedScalar, f"__{_name}__", _scalar_operator(_name, _function, False))
    if _name not in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(TracedScalar, f"__r{_name}__", _scalar_operator(_name, _function, True))
for _name in ("neg", "pos", "abs", "invert"):
    _function = getattr(operator, f"__{_name}__")
    setattr(TracedScalar, f"__{_name}__", lambda self, _function=_function: self.trace.compute(_function, (self,)))
