"""`cupyx.GeneralizedUFunc`: a function of the program's, on sub-arrays of its arguments, with NumPy's rules for generalised ufuncs.

The function runs in the client and queues commands, as everywhere else; nothing here waits. Three steps: which loop (dtypes), which axes
(shapes), and then the function, once for all or once per sub-array.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from cupool.contract.ops.rules.common import check_cast

from .._generated.functions import broadcast_to as _broadcast_to
from .._generated.functions import empty as _empty
from ..array import ndarray as _ndarray
from ..convert import asarray as _asarray

#: A core dimension of an operand: name, whether it may be left out, whether it may be 1 instead.
Dimension = tuple[str, bool, bool]

_DIMENSION = r"\w+(?:\?|\|1)?"
_ARGUMENT = rf"\((?:{_DIMENSION}(?:,{_DIMENSION})*,?)?\)"
_SIGNATURE = re.compile(rf"(?:{_ARGUMENT}(?:,{_ARGUMENT})*,?)?->{_ARGUMENT}(?:,{_ARGUMENT})*")
#: Length of a dimension that is left out.
_ABSENT = -1


def _parse_gufunc_signature(signature: Any) -> tuple[list[tuple[Dimension, ...]], list[tuple[Dimension, ...]], int]:
    """Core dimensions of the inputs and of the outputs of "(i,j),(j,k)->(i,k)", and how many different ones there are.

    Raises:
        TypeError: it is no string.
        ValueError: it is not a signature.
    """
    if not isinstance(signature, str):
        raise TypeError("Signature is not a string")
    if not signature:
        raise ValueError("Signature cannot be empty")
    text = signature.replace(" ", "")
    if not _SIGNATURE.fullmatch(text):
        raise ValueError(f"Not a valid gufunc signature: {text}")
    inputs, outputs = ([_dimensions(one) for one in side[1:-1].split("),(")] for side in text.split("->"))
    if any(broadcasts for one in outputs for _, _, broadcasts in one):
        raise ValueError("Output name cannot indicate |1.")
    return inputs, outputs, len({name for one in (*inputs, *outputs) for name, _, _ in one})


def _dimensions(text: str) -> tuple[Dimension, ...]:
    names = [name for name in text.strip("()").split(",") if name]
    return tuple((n.removesuffix("?").removesuffix("|1"), n.endswith("?"), n.endswith("|1")) for n in names)


class _Loop(NamedTuple):
    """A function for operands of these dtypes."""

    inputs: tuple[np.dtype[Any], ...]
    outputs: tuple[np.dtype[Any], ...]
    function: Callable[..., Any]

    @property
    def text(self) -> str:
        return f"{''.join(d.char for d in self.inputs)}->{''.join(d.char for d in self.outputs)}"


class GeneralizedUFunc:
    """A generalised ufunc around `func`.

    Args:
        func: called with arrays that have the core dimensions only (a dimension left out is 1), returns an array or a tuple of them.
        signature: the core dimensions, "(i,j),(j,k)->(i,k)"; `i?` may be left out, `i|1` may be 1.
        name: its name; `func`'s by default.
        doc: its docstring; `func`'s by default.
        supports_batched: `func` takes the loop dimensions in front of the core ones, and is called once.
        supports_out: `func` takes `out=`.
        signatures: "ii->i", or ("ii->i", function) for another function for these dtypes.
        try_fastcall_func: called first with the arguments of the call; its result is the call's unless it is NotImplemented.

    Raises:
        TypeError, ValueError: `signature` or one of `signatures` is not one.
    """

    def __init__(
        self, func: Callable[..., Any], signature: str, *, name: str | None = None, doc: str | None = None,
        supports_batched: bool = False, supports_out: bool = False, signatures: Any = None, try_fastcall_func: Any = None,
    ) -> None:  # fmt: skip
        self._func = func
        self._signature = signature
        self.__name__ = name if name is not None else func.__name__
        self.__doc__ = doc if doc is not None else func.__doc__
        self._supports_batched = supports_batched
        self._supports_out = supports_out
        self._try_fastcall_func = try_fastcall_func
        self._inputs, self._outputs, self._core_count = _parse_gufunc_signature(signature)
        self._nin, self._nout = len(self._inputs), len(self._outputs)
        self._loops = [self._loop(item) for item in signatures or ()]

    def _loop(self, item: Any) -> _Loop:
        text, function = item if isinstance(item, tuple) else (item, self._func)
        sides = text.replace(" ", "").split("->")
        if len(sides) != 2 or (len(sides[0]), len(sides[1])) != (self._nin, self._nout):
            raise ValueError(f"signature {text} for dtypes is invalid: {self._signature} has other numbers of operands")
        inputs, outputs = (tuple(np.dtype(c) for c in side) for side in sides)
        return _Loop(inputs, outputs, function)

    # -- dtypes -----------------------------------------------------------------------------------------------------------------

    def _choose(self, args: list[Any], dtype: Any, casting: Any, signature: Any) -> tuple[list[Any], Any, Any]:
        """The operands converted to the loop's dtypes, the result's dtype, the function."""
        if self._nout != 1:
            raise NotImplementedError("Multiple output gufuncs not supported")
        if signature is not None:
            loop: _Loop | None = self._by_signature(signature)
        elif dtype is not None:
            if isinstance(dtype, tuple):
                raise RuntimeError("dtype with tuple is not yet supported")
            loop = next((one for one in self._loops if all(d == dtype for d in one.outputs)), None)
        else:
            loop = next((one for one in self._loops if self._accepts(one, args, casting)), None)
        if loop is None:
            return args, np.dtype(dtype) if dtype is not None else np.result_type(*(a.dtype for a in args)), self._func
        for i, (arg, wanted) in enumerate(zip(args, loop.inputs, strict=True)):
            check_cast(arg.dtype, wanted, casting, f"ufunc {self.__name__} input {i}")
        converted = [arg.astype(wanted, copy=False) for arg, wanted in zip(args, loop.inputs, strict=True)]
        return converted, loop.outputs[0], loop.function

    @staticmethod
    def _accepts(loop: _Loop, args: list[Any], casting: Any) -> bool:
        return all(np.can_cast(a.dtype, wanted, casting) for a, wanted in zip(args, loop.inputs, strict=True))

    def _by_signature(self, signature: Any) -> _Loop:
        if isinstance(signature, tuple):
            if len(signature) == 1:
                raise TypeError(
                    "The use of a length 1 tuple for the ufunc `signature` is not allowed. Use `dtype` or fill the tuple with `None`s."
                )
            if len(signature) != self._nin + self._nout:
                raise TypeError(f"A type-tuple must be specified of length 1 or 3 for ufunc {self.__name__}")
            chars = [np.dtype(t).char for t in signature]
            signature = f"{''.join(chars[: self._nin])}->{''.join(chars[self._nin :])}"
        if isinstance(signature, str):
            for loop in self._loops:
                if signature == loop.text or (len(signature) == 1 and all(d.char == signature for d in loop.outputs)):
                    return loop
        raise TypeError(f"No loop matching the specified signature and casting was found for ufunc {self.__name__}")

    # -- axes and shapes -----------------------------------------------------------------------------------------------------------

    def _axes(self, axes: Any, axis: Any, keepdims: Any) -> tuple[list[Any], int]:
        """Per operand its core axes, or None for the last ones; and how many axes the result keeps as 1."""
        if axes is not None and axis is not None:
            raise ValueError("Only one of `axis` or `axes` keyword arguments should be given")
        if axes and not isinstance(axes, list):
            raise ValueError("`axes` has to be of type list")
        kept = 0
        if keepdims:
            counts = {len(dims) for dims in self._inputs}
            if len(counts) > 1:
                raise ValueError("`keepdims` requires all inputs to have the same number of core dimensions")
            if any(self._outputs):
                raise ValueError("`keepdims` can only be used for scalar outputs")
            kept = counts.pop()
        if axis is not None:
            if not isinstance(axis, int):
                raise ValueError("`axis` argument has to be an integer value")
            if self._core_count != 1:
                raise ValueError(
                    "`axis` can be used only, if there is a single shared core dimension, but "
                    f"{self._core_count} are present in the signature {self._signature}"
                )
            chosen = [(axis,) if dims else () for dims in (*self._inputs, *self._outputs)]
            return [*chosen[: self._nin], *([(axis,)] * self._nout if kept else chosen[self._nin :])], kept
        if axes is None:
            return [None] * (self._nin + self._nout), kept
        given = [(a,) if isinstance(a, int) else a for a in axes]
        if len(given) == self._nin:
            if any(self._outputs):
                raise ValueError("`axes` entries for outputs can only be omitted if none of them has core axes.")
            given += [None] * self._nout
        if len(given) != self._nin + self._nout:
            raise ValueError(
                "The number of `axes` entries is not equal to the number of input and output arguments. "
                "Outputs may only be omitted if they are all scalar."
            )
        return given, kept

    @staticmethod
    def _order(i: int, axes: Any, ndim: int, count: int) -> tuple[int, ...] | None:
        """The order of axes that puts the core ones last; None when they are."""
        if axes is None:
            if ndim < count:
                raise ValueError(f"Argument {i} has too few dimensions.")
            return None
        if len(axes) != count:
            raise np.exceptions.AxisError(
                f"Number of axes passed for argument {i} does not match the number of core dimensions."
            )
        core = tuple(np.lib.array_utils.normalize_axis_tuple(axes, ndim))
        order = (*(d for d in range(ndim) if d not in core), *core)
        return None if order == tuple(range(ndim)) else order

    def _learn(self, i: int, lengths: dict[str, int], dimension: Dimension, length: int) -> None:
        """Note the length of a core dimension. Raises ValueError where another operand has another one."""
        name, _, broadcasts = dimension
        if broadcasts and length == 1:
            return
        known = lengths.setdefault(name, length)
        if known == length:
            return
        if _ABSENT in (known, length):
            raise ValueError("An optional core-dimension must be skipped in all or no inputs.")
        raise ValueError(
            f"Input operand {i} has mismatch in its core dimension {name} with signature {self._signature} "
            f"({known} != {length})."
        )

    def _input(self, i: int, arg: Any, axes: Any, lengths: dict[str, int]) -> tuple[Any, tuple[int, ...]]:
        """An input with its core axes last, those left out as 1, and the shape of its loop."""
        dims = self._inputs[i]
        needed = sum(not optional for _, optional, _ in dims)
        count = max(needed, min(arg.ndim, len(dims)))
        order = self._order(i, axes, arg.ndim, count)
        if order is not None:
            arg = arg.transpose(order)
        loop, core = arg.shape[: arg.ndim - count], list(arg.shape[arg.ndim - count :])
        skip, left_out = len(dims) - count, []
        for place, dimension in enumerate(dims):
            if dimension[1] and skip:
                skip -= 1
                left_out.append(place)
                self._learn(i, lengths, dimension, _ABSENT)
            else:
                self._learn(i, lengths, dimension, core.pop(0))
        for place in left_out:
            index = (slice(None),) * (len(loop) + place)
            arg = arg[(*index, None)]
        return arg, loop

    def _output(
        self, i: int, out: Any, axes: Any, lengths: dict[str, int], loop: tuple[int, ...], kept: int, dtype: Any, order: str, casting: Any
    ) -> tuple[Any, Any]:  # fmt: skip
        """(the array to return, its view with the loop first and then all core dimensions)."""
        dims = self._outputs[i]
        core = [1] * kept if kept else [n for d in dims if (n := lengths.get(d[0], 1)) != _ABSENT]
        shape = (*loop, *core)
        turn = self._order(self._nin + i, axes, len(shape), len(core))
        back = None if turn is None else tuple(int(p) for p in np.argsort(turn))
        expected = shape if back is None else tuple(shape[p] for p in back)
        if out is None:
            out = _empty(expected, dtype, order)
        else:
            if out.shape != expected:
                raise ValueError(f"Output operand {i} has invalid shape {out.shape} expected {expected}")
            check_cast(dtype, out.dtype, casting, "out dtype")
        view = out if turn is None else out.transpose(turn)
        if kept:
            return out, view[(..., *(0,) * kept)]
        for place, dimension in enumerate(dims):
            if lengths.get(dimension[0]) == _ABSENT:
                index = (slice(None),) * (len(loop) + place)
                view = view[(*index, None)]
        return out, view

    # -- the call --------------------------------------------------------------------------------------------------------------------

    def __call__(
        self, *args: Any, axes: Any = None, axis: Any = None, keepdims: Any = False, casting: Any = "same_kind", dtype: Any = None,
        signature: Any = None, order: str = "K", out: Any = None,
    ) -> Any:  # fmt: skip
        """Apply it, with the arguments of NumPy's generalised ufuncs. Returns an array, or a tuple of them."""
        if self._try_fastcall_func is not None:
            result = self._try_fastcall_func(
                *args, out=out, axes=axes, axis=axis, keepdims=keepdims, casting=casting, dtype=dtype, signature=signature, order=order
            )  # fmt: skip
            if result is not NotImplemented:
                return result
        if len(args) != self._nin:
            raise ValueError(f"According to `signature`, `func` requires {self._nin} arguments, but {len(args)} given")
        operands = [a if isinstance(a, _ndarray) else _asarray(a) for a in args]
        operands, result_dtype, function = self._choose(operands, dtype, casting, signature)
        outs = self._given(out)
        layout = _layout(operands, order)
        chosen, kept = self._axes(axes, axis, keepdims)
        lengths: dict[str, int] = {}
        prepared = [self._input(i, a, chosen[i], lengths) for i, a in enumerate(operands)]
        loop = np.broadcast_shapes(*(shape for _, shape in prepared))
        inputs = [_broadcast(a, shape, loop) for a, shape in prepared]
        results = [
            self._output(i, o, chosen[self._nin + i], lengths, loop, kept, result_dtype, layout, casting)
            for i, o in enumerate(outs)
        ]
        self._apply(function, loop, inputs, [view for _, view in results])
        return results[0][0] if len(results) == 1 else tuple(whole for whole, _ in results)

    def _given(self, out: Any) -> list[Any]:
        if out is None:
            return [None] * self._nout
        if not isinstance(out, tuple):
            if not isinstance(out, _ndarray):
                raise TypeError("`out` must be a tuple or `cupy.ndarray`")
            return [out]
        if not all(o is None or isinstance(o, _ndarray) for o in out):
            raise TypeError("`out` tuple must contain `cupy.ndarray` or None")
        return list(out)

    def _apply(self, function: Any, loop: tuple[int, ...], inputs: list[Any], outs: list[Any]) -> None:
        if not self._supports_batched and loop:
            for i in range(loop[0]):
                self._apply(function, loop[1:], [a[i] for a in inputs], [o[i] for o in outs])
            return
        if self._supports_out:
            function(*inputs, out=outs[0] if len(outs) == 1 else tuple(outs))
            return
        results = function(*inputs)
        for target, result in zip(outs, results if isinstance(results, tuple) else (results,), strict=True):
            target[...] = result

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} {self.__name__!r} {self._signature}>"


def _broadcast(a: Any, mine: tuple[int, ...], loop: tuple[int, ...]) -> Any:
    return a if mine == loop else _broadcast_to(a, (*loop, *a.shape[len(mine) :]))


def _layout(args: Sequence[Any], order: str) -> str:
    char = order.upper()
    if char in ("C", "K"):
        return "C"
    if char == "A":
        return "F" if all(a.flags.f_contiguous and not a.flags.c_contiguous for a in args) else "C"
    if char != "F":
        raise RuntimeError(f"Unknown order {order}")
    return char
