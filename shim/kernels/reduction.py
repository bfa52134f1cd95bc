"""ReductionKernel: types, shapes and outputs are decided here, the loops run on the server."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from cupool.contract.ops import row

from .. import dispatch, streams
from . import listing, output, parameters
from .parameters import ParameterInfo, as_parameter, is_array
from .typed import TypedKernel

_CALL = row("@call_reduction")


class ReductionKernel(TypedKernel):
    """A kernel that maps elements, reduces them along axes and maps the results, as `cupy.ReductionKernel`."""

    __module__ = "cupy"
    _constructor = "@kernel_reduction"

    def __init__(self, in_params: str, out_params: str, map_expr: str, reduce_expr: str, post_map_expr: str, identity: Any,
                 name: str = "reduce_kernel", reduce_type: str | None = None, reduce_dims: bool = True, preamble: str = "",
                 options: tuple[str, ...] = ()) -> None:  # fmt: skip
        self.name = self.__name__ = parameters.check_name(name)
        self.in_params: tuple[ParameterInfo, ...] = parameters.parse(in_params, True)
        self.out_params: tuple[ParameterInfo, ...] = parameters.parse(out_params, False)
        self.nin, self.nout = len(self.in_params), len(self.out_params)
        self.nargs = self.nin + self.nout
        self.params = self.in_params + self.out_params
        self.identity = "" if identity is None else str(identity)
        self.map_expr, self.reduce_expr, self.post_map_expr = map_expr, reduce_expr, post_map_expr
        self.reduce_dims, self.preamble, self.options = bool(reduce_dims), preamble, tuple(options)
        first = self.out_params[0]
        self.reduce_type = reduce_type or (first.ctype if first.dtype is None else C_TYPES[first.dtype.char])
        self._source = (
            in_params, out_params, map_expr, reduce_expr, post_map_expr, self.identity, name, self.reduce_type, self.reduce_dims, preamble,
            self.options,
        )  # fmt: skip
        self._prints = output.may_print(map_expr, reduce_expr, post_map_expr, preamble)
        self._kernel, self._types = None, {}
        self._given_type = reduce_type

    def __call__(
        self, *args: Any, out: Any = None, axis: Any = None, keepdims: bool = False, stream: Any = None, **kwargs: Any
    ) -> Any:
        """Run the kernel; returns the first output.

        Args:
            args: inputs, or inputs and outputs.
            out: the output, when `args` has none.
            axis: the reduced axes; None: all.
            keepdims: reduced axes stay, with length one.
        """
        if kwargs:
            raise TypeError(f"Wrong arguments {kwargs}")
        if len(args) not in (self.nin, self.nargs):
            raise TypeError(f"Wrong number of arguments for {self.name}")
        outs = list(args[self.nin :])
        if out is not None:
            if self.nout != 1:
                raise NotImplementedError("")
            if outs:
                raise ValueError("cannot specify 'out' as both a positional and keyword argument")
            outs = [out]
        ins = [parameters.operand(a) for a in args[: self.nin]]
        outs = [parameters.operand(a) for a in outs]
        in_shape = parameters.broadcast(self.in_params, ins, False)
        in_types, out_types, types = self._decide(ins, outs)
        reduced, kept = _axes(axis, len(in_shape))
        shape = (
            tuple(1 if d in reduced else n for d, n in enumerate(in_shape))
            if keepdims
            else tuple(in_shape[d] for d in kept)
        )
        parameters.check_outputs(self.out_params, outs, shape, False)
        if 0 not in shape and 0 in in_shape and self.identity == "":
            raise ValueError(f"zero-size array to reduction operation {self.name} which has no identity")
        if any(p.raw for p in self.in_params) and (*reduced, *kept) != tuple(range(len(in_shape))):
            raise NotImplementedError("Illegal conditions")
        values = tuple(a if is_array(a) else as_parameter(a, t) for a, t in zip(ins, in_types, strict=True))
        given = tuple(outs) if outs else None
        call = (self._remote(), values, types, reduced, bool(keepdims), shape, out_types, given)
        with streams.using(stream):
            results = dispatch.call(_CALL, call)
        if self._prints:
            output.expect()
        return (given if given is not None else results)[0]

    def _listing(self, kinds: Any, types: Any) -> str:
        return listing.reduction(self, kinds, types)

    def __reduce__(self) -> Any:
        in_params, out_params, map_expr, reduce_expr, post_map_expr = self._source[:5]
        identity: Any = self.identity or None
        return ReductionKernel, (
            in_params, out_params, map_expr, reduce_expr, post_map_expr, identity, self.name, self._given_type, self.reduce_dims,
            self.preamble, self.options,
        )  # fmt: skip


C_TYPES = {
    "?": "bool", "b": "signed char", "B": "unsigned char", "h": "short", "H": "unsigned short", "i": "int", "I": "unsigned int",
    "l": "long long", "L": "unsigned long long", "q": "long long", "Q": "unsigned long long", "e": "float16", "f": "float",
    "d": "double", "F": "thrust::complex<float>", "D": "thrust::complex<double>",
}  # fmt: skip


def _axes(axis: Any, ndim: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(reduced axes, the others), ascending. Raises AxisError, and ValueError for an axis given twice."""
    if axis is None:
        return tuple(range(ndim)), ()
    given = tuple(axis) if isinstance(axis, (tuple, list, np.ndarray)) else (axis,)
    reduced = tuple(sorted(normalize_axis_index(d, ndim) for d in given))
    kept = tuple(d for d in range(ndim) if d not in reduced)
    if len(reduced) + len(kept) != ndim:
        raise ValueError("duplicate value in 'axis'")
    return reduced, kept
