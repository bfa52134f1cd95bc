"""`cupy._core.create_reduction_func`: a reduction with a loop per type, each a ReductionKernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dispatch
from ..convert import as_device
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
