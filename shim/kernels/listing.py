"""The CUDA C++ of elementwise and reduction kernels for people to read: `cached_code`. A server makes its own from the same parts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import cpp
from .parameters import ParameterInfo


def _type(dtype: np.dtype[Any]) -> str:
    try:
        return cpp.c_type(dtype)
    except ValueError:
        return f"char[{dtype.itemsize}]"


def _declared(params: Sequence[ParameterInfo], kinds: Sequence[Any]) -> str:
    items = []
    for p, (dtype, ndim) in zip(params, kinds, strict=True):
        kind = _type(dtype) if ndim is None else f"CArray<{_type(dtype)}, {ndim}>"
        name = p.name if p.raw or ndim is None else f"_raw_{p.name}"
        items.append(f"{'const ' if p.is_const else ''}{kind} {name}")
    return ", ".join(items)


def _elements(params: Sequence[ParameterInfo], kinds: Sequence[Any], index: str) -> str:
    lines = []
    for p, (dtype, ndim) in zip(params, kinds, strict=True):
        if ndim is not None and not p.raw:
            lines.append(f"    {'const ' if p.is_const else ''}{_type(dtype)} &{p.name} = _raw_{p.name}[{index}];\n")
    return "".join(lines)


def _typedefs(types: dict[str, np.dtype[Any]]) -> str:
    return "".join(f"typedef {_type(dtype)} {name};\n" for name, dtype in sorted(types.items()))


def elementwise(kernel: Any, kinds: Sequence[Any], types: dict[str, np.dtype[Any]]) -> str:
    """An ElementwiseKernel for parameters of these (dtype, dimensions or None) and type parameters."""
    return (
        f'{_typedefs(types)}{kernel.preamble}\nextern "C" __global__ '
        f"void {kernel.name}({_declared(kernel.params, kinds)}, CIndexer<1> _ind) {{\n"
        f"  {kernel.kwargs.get('loop_prep', '')};\n  CUPY_FOR(i, _ind.size()) {{\n    _ind.set(i);\n"
        f"{_elements(kernel.params, kinds, '_ind.get()')}    {kernel.operation};\n  }}\n  {kernel.kwargs.get('after_loop', '')};\n}}\n"
    )


def reduction(kernel: Any, kinds: Sequence[Any], types: dict[str, np.dtype[Any]]) -> str:
    """A ReductionKernel, likewise."""
    ins, outs = kernel.in_params, kernel.out_params
    return (
        f"{_typedefs(types)}{kernel.preamble}\n#define REDUCE(a, b) ({kernel.reduce_expr})\n#define POST_MAP(a) ({kernel.post_map_expr})\n"
        f"typedef {kernel.reduce_type} _type_reduce;\n"
        f'extern "C" __global__ void {kernel.name}({_declared((*ins, *outs), kinds)}, CIndexer<1> _in_ind, CIndexer<1> _out_ind) {{\n'
        f"  _type_reduce _s = _type_reduce({kernel.identity});\n  for each element of an output {{\n"
        f"{_elements(ins, kinds[: len(ins)], '_in_ind.get()')}    _type_reduce _a = static_cast<_type_reduce>({kernel.map_expr});\n"
        f"    _s = REDUCE(_s, _a);\n  }}\n{_elements(outs, kinds[len(ins) :], '_out_ind.get()')}    POST_MAP(_s);\n}}\n"
    )


class Codes:
    """`cached_code` and `cached_codes` of a kernel class: a source per combination of types that it was called with."""

    @property
    def _cached_codes(self) -> dict[Any, str]:
        raise NotImplementedError

    @property
    def cached_codes(self) -> dict[Any, str]:
        """Types of the arguments -> CUDA C++, for each combination that was called. For people: a server makes its own."""
        codes = self._cached_codes
        if not codes:
            warnings.warn(
                "No codes are cached because compilation is deferred until the first function call.", stacklevel=2
            )
        return codes

    @property
    def cached_code(self) -> str:
        """The CUDA C++ of the first combination that was called."""
        codes = self.cached_codes
        if len(codes) > 1:
            warnings.warn(
                "The input types of the kernel could not be inferred. Please use `.cached_codes` instead.", stacklevel=2
            )
        return next(iter(codes.values()))
