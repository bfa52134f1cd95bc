"""`cupy._core.create_reduction_func` and `create_ufunc`: a loop per type, each a kernel of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dispatch
from ..convert import array as to_device
from ..convert import as_device
from . import cpp
from .elementwise import ElementwiseKernel
from .reduction import ReductionKernel


class SimpleReductionFunction:
    """A reduction that picks its loop by the type of its operand.

    Args:
        name: for people.
        ops: loops as text ("f->f"), or pairs of text and expressions of their own.
        routine: (map, reduce, post map, type) expressions over `in0`, `a`, `b`, `out0`, for the loops without their own.
        identity: of the reduction; None: it has none.
        preamble: C++ in front of the kernels.
    """

    def __init__(self, name: str, ops: Any, routine: Any, identity: Any, preamble: str) -> None:
        self.name = self.__name__ = name
        self.identity = identity
        self._preamble = preamble
        self._loops: list[tuple[np.dtype[Any], np.dtype[Any], tuple[Any, ...]]] = []
        for op in ops:
            text, own = (op, routine) if isinstance(op, str) else op
            source, _, target = text.partition("->")
            parts = tuple(o if o is not None else r for o, r in zip(own, routine or (None,) * 4, strict=True))
            self._loops.append((np.dtype(source), np.dtype(target), parts))
        self._kernels: dict[int, ReductionKernel] = {}

    def __call__(self, a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        """Reduce `a` along `axis`."""
        array = a if isinstance(a, dispatch.ndarray) else None if isinstance(a, np.ndarray) else as_device(a)
        if array is None:
            raise TypeError(f"Argument 'a' has incorrect type (expected cupy.ndarray, got {type(a).__name__})")
        kernel, source = self._choose(array.dtype, None if dtype is None else np.dtype(dtype))
        return kernel(array if array.dtype == source else array.astype(source), axis=axis, out=out, keepdims=keepdims)

    def _choose(self, given: np.dtype[Any], dtype: np.dtype[Any] | None) -> tuple[ReductionKernel, np.dtype[Any]]:
        for i, (source, target, parts) in enumerate(self._loops):
            if (dtype == target) if dtype is not None else np.can_cast(given, source):
                if i not in self._kernels:
                    mapped, joined, post, kind = parts
                    self._kernels[i] = ReductionKernel(
                        f"{source.name} in0", f"{target.name} out0", mapped, joined, post, self.identity, self.name, kind,
                        preamble=self._preamble,
                    )  # fmt: skip
                return self._kernels[i], source
        raise TypeError(f"{self.name}: no loop for {given} with dtype={dtype}")

    @property
    def _cached_codes(self) -> dict[Any, str]:
        return {(i, key): code for i, kernel in self._kernels.items() for key, code in kernel.cached_codes.items()}


def create_reduction_func(name: str, ops: Any, routine: Any = None, identity: Any = None, preamble: str = "",
                          sort_reduce_axis: bool = True) -> SimpleReductionFunction:  # fmt: skip
    """Make a reduction; see SimpleReductionFunction. `sort_reduce_axis` changes nothing here."""
    return SimpleReductionFunction(name, ops, routine, identity, preamble)


class SimpleUfunc:
    """An elementwise function that picks its loop by the types of its operands, each loop an ElementwiseKernel.

    Args:
        name: for people.
        ops: loops as text ("dd->d"), or pairs of text and an expression of their own.
        routine: expression over `in0`, …, `out0`, …, for the loops without their own.
        preamble: C++ in front of the kernels.
        doc: its docstring.
        loop_prep: C++ in front of each thread's loop.
    """

    def __init__(self, name: str, ops: Any, routine: Any, preamble: str, doc: str, loop_prep: str) -> None:
        self.name = self.__name__ = name
        self.__doc__ = doc
        self._preamble, self._loop_prep = preamble, loop_prep
        self._loops: list[tuple[tuple[np.dtype[Any], ...], tuple[np.dtype[Any], ...], str]] = []
        for op in ops:
            text, own = (op, routine) if isinstance(op, str) else op
            source, _, target = text.partition("->")
            self._loops.append((tuple(map(np.dtype, source)), tuple(map(np.dtype, target)), own))
        self.nin, self.nout = len(self._loops[0][0]), len(self._loops[0][1])
        self.nargs = self.nin + self.nout
        self._kernels: dict[int, ElementwiseKernel] = {}

    @property
    def types(self) -> list[str]:
        """Its loops as text."""
        return [f"{''.join(d.char for d in s)}->{''.join(d.char for d in t)}" for s, t, _ in self._loops]

    def __repr__(self) -> str:
        return f"<ufunc '{self.name}'>"

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, casting: str = "same_kind") -> Any:
        """Apply it to its operands, which are broadcast.

        Raises:
            TypeError: a wrong number of operands, a NumPy array among them, or no loop for their types.
            ValueError: `out` twice, or shapes that do not go together.
        """
        if len(args) not in (self.nin, self.nargs):
            raise TypeError(f"Wrong number of arguments for {self.name}: {self.nin} operands, got {len(args)}")
        operands, outs = args[: self.nin], list(args[self.nin :])
        if out is not None:
            if outs:
                raise ValueError("Cannot specify 'out' as both a positional and keyword argument")
            outs = list(out) if isinstance(out, tuple) else [out]
        if any(isinstance(a, np.ndarray) and a.ndim for a in operands):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        if not any(hasattr(a, "dtype") for a in operands):
            operands = tuple(to_device(a) for a in operands)
        index = self._choose(operands, None if dtype is None else np.dtype(dtype))
        sources, targets, _ = self._loops[index]
        given = [_as_loop_takes(a, source) for a, source in zip(operands, sources, strict=True)]
        if not any(isinstance(a, dispatch.ndarray) for a in given):
            given[0] = to_device(given[0])
        kernel = self._kernel(index)
        if not outs:
            return kernel(*given)
        if all(o.dtype == target for o, target in zip(outs, targets, strict=True)):
            kernel(*given, *outs)
        else:
            for o, target in zip(outs, targets, strict=True):
                if not np.can_cast(target, o.dtype, casting):  # type: ignore[arg-type]
                    raise TypeError(
                        f"output (typecode '{target.char}') could not be coerced to provided output parameter "
                        f"(typecode '{o.dtype.char}') according to the casting rule \"{casting}\""
                    )
            results = kernel(*given)
            for o, result in zip(outs, results if self.nout > 1 else (results,), strict=True):
                o[...] = result
        return tuple(outs) if self.nout > 1 else outs[0]

    def _choose(self, operands: tuple[Any, ...], dtype: np.dtype[Any] | None) -> int:
        """The first loop that its operands can be cast to; Python's scalars only say their kind."""
        for i, (sources, targets, _) in enumerate(self._loops):
            if dtype is not None:
                if targets[0] == dtype:
                    return i
            elif all(_can_take(a, source) for a, source in zip(operands, sources, strict=True)):
                return i
        kinds = ", ".join(str(getattr(a, "dtype", type(a).__name__)) for a in operands)
        raise TypeError(f"Wrong type ({kinds}) of arguments for {self.name}")

    def _kernel(self, index: int) -> ElementwiseKernel:
        if index not in self._kernels:
            sources, targets, routine = self._loops[index]
            params = ", ".join(f"{d.name} in{k}" for k, d in enumerate(sources))
            results = ", ".join(f"{d.name} out{k}" for k, d in enumerate(targets))
            types = [f"typedef {cpp.c_type(d)} in{k}_type;\n" for k, d in enumerate(sources)]
            types += [f"typedef {cpp.c_type(d)} out{k}_type;\n" for k, d in enumerate(targets)]
            self._kernels[index] = ElementwiseKernel(
                params, results, routine, self.name, preamble="".join(types) + self._preamble, loop_prep=self._loop_prep
            )
        return self._kernels[index]


def _can_take(operand: Any, source: np.dtype[Any]) -> bool:
    if isinstance(operand, (bool, int, float, complex)) and not isinstance(operand, np.generic):
        return np.result_type(operand, source) == source
    return bool(np.can_cast(operand.dtype, source))


def _as_loop_takes(operand: Any, source: np.dtype[Any]) -> Any:
    if isinstance(operand, dispatch.ndarray):
        return operand if operand.dtype == source else operand.astype(source)
    return source.type(operand)


def create_ufunc(name: str, ops: Any, routine: Any = None, preamble: str = "", doc: str = "", default_casting: Any = None,
                 loop_prep: str = "", out_ops: Any = None, cutensor_op: Any = None, scatter_op: Any = None,
                 promote_types: Any = None) -> SimpleUfunc:  # fmt: skip
    """Make an elementwise function; see SimpleUfunc. What chooses between libraries changes nothing here."""
    return SimpleUfunc(name, ops, routine, preamble, doc, loop_prep)
