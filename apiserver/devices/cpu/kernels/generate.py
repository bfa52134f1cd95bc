"""Sources of elementwise and reduction kernels: what the program wrote, inside loops over an index.

The names that a program's fragments may use are CuPy's: the parameters, `i`, `_ind`, `CIndexer`, `CArray`, the type parameters;
in reductions `a`, `b`, `_in_ind`, `_out_ind`, `_type_reduce`, `_J`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Fragments that look at their place in the grid run as the grid that CuPy would launch, others as one thread's loop.
GRID_NAMES = re.compile(
    r"\b(threadIdx|blockIdx|blockDim|gridDim|__shared__|__sync\w+|__shfl\w*|__ballot\w*|__activemask)\b"
)
#: Statements that end a thread.
ENDS = re.compile(r"\b(return|break|goto)\b")
#: Lanes that a reduction is spread over, as in CuPy's kernels: this decides the order of floating-point sums.
REDUCE_BLOCK = 512

#: What the function is called; the kernel's own name is for people, and may be that of something else.
ENTRY = "cupool_generated"
_PROLOGUE = '#include "cupy/complex.cuh"\n#include "cupy/float16.cuh"\n'

_CTYPES = {
    "?": "bool", "b": "signed char", "B": "unsigned char", "h": "short", "H": "unsigned short", "i": "int", "I": "unsigned int",
    "l": "long long", "L": "unsigned long long", "q": "long long", "Q": "unsigned long long", "e": "float16", "f": "float",
    "d": "double", "F": "thrust::complex<float>", "D": "thrust::complex<double>",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parameter:
    """One declared parameter: `ctype` is a C type, or the letter of a type parameter."""

    name: str
    ctype: str
    dtype: np.dtype[Any] | None
    raw: bool
    const: bool


@dataclass(frozen=True, slots=True)
class Argument:
    """What one parameter is in a call; with `ndim` None it is a scalar. Decides, with the types, which code is generated."""

    dtype: np.dtype[Any]
    ndim: int | None
    contiguous: bool = True


def c_type(dtype: np.dtype[Any]) -> str:
    """The C++ type of a dtype. Raises ValueError for one that kernels have no type for."""
    if dtype.name == "bfloat16":
        return "bfloat16"
    if dtype.fields:
        fields = "".join(
            f", cupool::Field<{dtype.fields[n][1]}, {_field_type(dtype.fields[n][0])}>"  # pyright: ignore
            for n in dtype.names or ()
        )
        return f"cupool::Record<{dtype.itemsize}, {max(dtype.alignment, 1)}{fields}>"
    if dtype.kind == "V" and dtype.subdtype is None and dtype.itemsize:
        return f"cupool::Bytes<{dtype.itemsize}, {max(dtype.alignment, 1)}>"
    try:
        return _CTYPES[dtype.char]
    except KeyError:
        raise ValueError(f"Unsupported dtype {dtype}") from None


def _field_type(dtype: np.dtype[Any]) -> str:
    """The C++ type of a field; of arrays in records the bytes alone."""
    return f"cupool::Bytes<{dtype.itemsize}, 1>" if dtype.subdtype is not None else c_type(dtype)


def parse_parameters(text: str, const: bool) -> tuple[Parameter, ...]:
    """The declared parameters, "raw T x, float32 y". The client has checked them; errors are CuPy's all the same."""
    result = []
    for item in text.strip().split(",") if text.strip() else ():
        words = item.split()
        if len(words) < 2:
            raise ValueError(f"Syntax error: {item}")
        kind, name = words[-2:]
        dtype = None if len(kind) == 1 else np.dtype(kind)
        flags = set(words[:-2])
        result.append(
            Parameter(
                name,
                kind if dtype is None else c_type(dtype),
                dtype,
                "raw" in flags,
                const and "_non_const" not in flags,
            )
        )
    return tuple(result)


def _typedefs(types: dict[str, Any]) -> str:
    return "".join(f"typedef {c_type(np.dtype(dtype))} {name};\n" for name, dtype in sorted(types.items()))


def _declaration(parameter: Parameter, argument: Argument) -> str:
    if argument.ndim is None:
        return f"const {parameter.ctype if parameter.const else c_type(argument.dtype)} {parameter.name}"
    kind = f"CArray<{c_type(argument.dtype)}, {argument.ndim}, {str(argument.contiguous).lower()}>"
    return (
        f"{'const ' if parameter.const else ''}{kind} {parameter.name if parameter.raw else '_raw_' + parameter.name}"
    )


def _reference(parameter: Parameter, index: str) -> str:
    return f"{'const ' if parameter.const else ''}{parameter.ctype} &{parameter.name} = _raw_{parameter.name}[{index}];"


def elementwise(parameters: Sequence[Parameter], arguments: Sequence[Argument], types: dict[str, Any], ndim: int, *, name: str,
                operation: str, preamble: str, loop_prep: str, after_loop: str, in_grid: bool = False) -> str:  # fmt: skip
    """The source of an elementwise kernel; the last parameter of the function is `CIndexer<ndim> _ind`.

    Args:
        in_grid: the code looks at its place in the grid, so the elements are spread over it; else one thread runs through them.
    """
    pairs = list(zip(parameters, arguments, strict=True))
    declared = ", ".join([*(_declaration(p, a) for p, a in pairs), f"CIndexer<{ndim}> _ind"])
    plain = [(p, a) for p, a in pairs if a.ndim is not None and not p.raw]
    index = "_ind.get()"
    # The code may change its `i`, of which a thread of a GPU has one of its own.
    loop = "for (ptrdiff_t _at = (_ind.set(0), 0); _at < _ind.size(); ++_at, _ind.advance())"
    own = "ptrdiff_t i = _at;"
    if in_grid:
        own = ""
        loop = "CUPY_FOR(i, _ind.size()) if (_ind.set(i), true)"
    elif ndim <= 1 and all(a.contiguous for _, a in plain) and "_ind" not in operation:
        # The shape of a loop that the compiler makes vectors of.
        index = "i"
        loop = "const ptrdiff_t _n = _ind.size();\n  for (ptrdiff_t _at = 0; _at < _n; ++_at)"
        if len(plain) == len(pairs) - sum(a.ndim is None for _, a in pairs) and not re.search(
            r"\batomic|&\s*\w", operation + preamble
        ):
            # No element depends on another: they would be threads.
            loop = loop.replace("\n", "\n#pragma GCC ivdep\n")
    references = "\n    ".join(_reference(p, index) for p, _ in plain)
    return f"""#line 1 "{name} (prologue)"
{_PROLOGUE}{_typedefs(types)}#line 1 "{name} (preamble)"
{preamble}
#line 1 "{name} (generated)"
extern "C" __global__ void {ENTRY}({declared}) {{
#line 1 "{name} (loop_prep)"
{loop_prep};
#line 5 "{name} (generated)"
  {loop} {{
    {own} {references}
#line 1 "{name}"
{operation};
#line 9 "{name} (generated)"
  }}
#line 1 "{name} (after_loop)"
{after_loop};
}}
"""


def reduction(parameters: Sequence[Parameter], arguments: Sequence[Argument], types: dict[str, Any], nin: int, ndims: tuple[int, int], *,
              name: str, map_expr: str, reduce_expr: str, post_map_expr: str, identity: str, reduce_type: str, preamble: str,
              head: int, lanes: int) -> str:  # fmt: skip
    """The source of a reduction kernel; the last parameters of the function are `CIndexer _in_ind`, `CIndexer _out_ind`.

    Args:
        head: how many of the first dimensions of the inputs are reduced; the others are those of the outputs.
        lanes: partial results kept per output: element j goes to lane j % lanes, and lanes are joined by halves.
    """
    pairs = list(zip(parameters, arguments, strict=True))
    declared = ", ".join(
        [*(_declaration(p, a) for p, a in pairs), f"CIndexer<{ndims[0]}> _in_ind", f"CIndexer<{ndims[1]}> _out_ind"]
    )
    inputs = "\n        ".join(
        _reference(p, "_in_ind.get()") for p, a in pairs[:nin] if a.ndim is not None and not p.raw
    )
    outputs = "\n      ".join(
        _reference(p, "_out_ind.get()") for p, a in pairs[nin:] if a.ndim is not None and not p.raw
    )
    reduce_expr, post_map_expr = " ".join(reduce_expr.split("\n")), " ".join(post_map_expr.split("\n"))
    return f"""#line 1 "{name} (prologue)"
{_PROLOGUE}typedef long long IndexT;
{_typedefs(types)}#line 1 "{name} (preamble)"
{preamble}
#line 1 "{name} (reduce)"
#define REDUCE(a, b) ({reduce_expr})
#define POST_MAP(a) ({post_map_expr})
typedef {reduce_type} _type_reduce;
extern "C" __global__ void {ENTRY}({declared}) {{
  const int _lanes = {lanes};
  alignas(_type_reduce) char _room[_lanes * sizeof(_type_reduce)];
  _type_reduce *_lane = reinterpret_cast<_type_reduce *>(_room);
  const ptrdiff_t _outs = _out_ind.size(), _count = _outs ? _in_ind.size() / _outs : 0;
  for (ptrdiff_t _i = 0; _i < _outs; _i++) {{
    _in_ind.begin({head}, _i);
    for (int _l = 0; _l < _lanes; _l++) new (&_lane[_l]) _type_reduce({identity});
    for (IndexT _J = 0; _J < _count; _J++, _in_ind.advance_head({head})) {{
      const ptrdiff_t _j = _i + _J * _outs;
      (void)_j;
      {{
        {inputs}
        _type_reduce _a = static_cast<_type_reduce>(
#line 1 "{name} (map)"
{map_expr}
#line 24 "{name} (reduce)"
        );
        _type_reduce &_s = _lane[_J % _lanes];
        _s = REDUCE(_s, _a);
      }}
    }}
    for (int _half = _lanes / 2; _half > 0; _half /= 2)
      for (int _l = 0; _l < _half; _l++) {{
        _type_reduce _a = _lane[_l], _b = _lane[_l + _half];
        _lane[_l] = REDUCE(_a, _b);
      }}
    _out_ind.set(_i);
    {{
      {outputs}
      _type_reduce _s = _lane[0];
      POST_MAP(_s);
    }}
  }}
}}
"""


def reduction_lanes(in_size: int, out_size: int, contiguous: int) -> int:
    """How many threads CuPy's kernel gives to one output; the order of a floating-point sum follows from it."""
    per_output = max(1, in_size // max(out_size, 1))
    stride = max(min(contiguous, 32), REDUCE_BLOCK // per_output)
    block_stride = 1
    while block_stride < stride // 2 + 1:
        block_stride *= 2
    return max(1, REDUCE_BLOCK // block_stride)
