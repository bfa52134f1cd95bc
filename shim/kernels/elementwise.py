"""ElementwiseKernel: types, shapes and outputs are decided here, the loop runs on the server."""

from __future__ import annotations

from typing import Any

from cupool.contract.ops import row

from .. import dispatch, streams
from . import listing, output, parameters
from .parameters import ParameterInfo, as_parameter, is_array
from .typed import TypedKernel

_CALL = row("@call_elementwise")
_KEYWORDS = ("loop_prep", "after_loop", "options")


class ElementwiseKernel(TypedKernel):
    """A kernel that runs a piece of CUDA C++ for each element, as `cupy.ElementwiseKernel`."""

    __module__ = "cupy"
    _constructor = "@kernel_elementwise"

    def __init__(self, in_params: str, out_params: str, operation: str, name: str = "kernel", reduce_dims: bool = True,
                 preamble: str = "", no_return: bool = False, return_tuple: bool = False, **kwargs: Any) -> None:  # fmt: skip
        self.name = self.__name__ = parameters.check_name(name)
        self.in_params: tuple[ParameterInfo, ...] = parameters.parse(in_params, True)
        self.out_params: tuple[ParameterInfo, ...] = parameters.parse(out_params, False)
        self.nin, self.nout = len(self.in_params), len(self.out_params)
        self.nargs = self.nin + self.nout
        self.params = self.in_params + self.out_params
        self.operation, self.preamble = operation, preamble
        self.reduce_dims, self.no_return, self.return_tuple = bool(reduce_dims), bool(no_return), bool(return_tuple)
        for keyword in kwargs:
            if keyword not in _KEYWORDS:
                raise TypeError(f"ElementwiseKernel got an unexpected keyword argument {keyword!r}")
        self.kwargs = kwargs
        if any(p.name == "i" for p in self.params):
            raise ValueError("Can not use 'i' as a parameter name")
        self._source = (
            in_params, out_params, operation, name, self.reduce_dims, preamble, kwargs.get("loop_prep", ""), kwargs.get("after_loop", ""),
            tuple(kwargs.get("options", ())),
        )  # fmt: skip
        self._prints = output.may_print(operation, preamble, kwargs.get("loop_prep"), kwargs.get("after_loop"))
        self._kernel, self._types = None, {}

    def __call__(self, *args: Any, size: int = -1, stream: Any = None, block_size: int = 128, **kwargs: Any) -> Any:
        """Run the kernel.

        Args:
            args: inputs, or inputs and outputs.
            size: the range of `i`, when all arrays are raw.
            block_size: threads per block, for code that looks at its block.

        Returns:
            the output, a tuple of outputs, or None, as declared.
        """
        if kwargs:
            raise TypeError(f"Wrong arguments {kwargs}")
        if block_size <= 0:
            raise ValueError("block_size must be greater than zero")
        if len(args) not in (self.nin, self.nargs):
            raise TypeError(
                f"Wrong number of arguments for {self.name!r}. It must be either {self.nin} or {self.nargs} (with outputs), "
                f"but given {len(args)}."
            )
        for arg in args:
            override = getattr(arg, "__cupy_override_elementwise_kernel__", None)
            if override is not None:
                return override(self, *args, **kwargs)
        operands = [parameters.operand(a) for a in args]
        shape = parameters.broadcast(self.params, operands, size != -1)
        ins, outs = operands[: self.nin], operands[self.nin :]
        in_types, out_types, types = self._decide(ins, outs)
        if size != -1:
            shape = (int(size),)
        parameters.check_outputs(self.out_params, outs, shape, size != -1)
        values = tuple(a if is_array(a) else as_parameter(a, t) for a, t in zip(ins, in_types, strict=True))
        given = tuple(outs) if outs or not self.nout else None
        call = (
            self._remote(),
            values,
            types,
            shape,
            out_types,
            None if size == -1 else int(size),
            int(block_size),
            given,
        )
        with streams.using(stream):
            results = dispatch.call(_CALL, call)
        if self._prints:
            output.expect()
        if self.no_return:
            return None
        results = given if given is not None else results
        return results[0] if self.nout == 1 and not self.return_tuple else results

    def _listing(self, kinds: Any, types: Any) -> str:
        return listing.elementwise(self, kinds, types)

    def __reduce__(self) -> Any:
        in_params, out_params, operation, name, reduce_dims, preamble = self._source[:6]
        return _rebuild, (
            (in_params, out_params, operation, name, reduce_dims, preamble, self.no_return, self.return_tuple), self.kwargs,
        )  # fmt: skip


def _rebuild(args: tuple[Any, ...], kwargs: dict[str, Any]) -> ElementwiseKernel:
    return ElementwiseKernel(*args, **kwargs)
