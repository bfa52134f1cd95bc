"""Filters by the program's own functions and kernels.

A kernel gets its values from an array of windows, one row per result, which stays on the device; a wait happens only to count the
elements of a footprint that lies there, as in CuPy.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops.rules._arrays import as_spec
from cupool.contract.ops.scipy import _rules_ndimage as rules

from .... import cupy
from ....array import ndarray
from ....kernels.elementwise import ElementwiseKernel
from ....kernels.raw import RawKernel
from ....kernels.reduction import ReductionKernel

#: Boundary mode -> `cupy.pad`'s.
_PADS = {
    "reflect": "symmetric", "grid-mirror": "symmetric", "grid-reflect": "symmetric", "mirror": "reflect", "nearest": "edge",
    "wrap": "wrap", "grid-wrap": "wrap", "constant": "constant",
}  # fmt: skip


def _new_output(output: Any, like: Any) -> Any:
    """The array that an `output=` argument asks for. Raises RuntimeError for one of another shape."""
    if isinstance(output, ndarray):
        if output.shape != like.shape:
            raise RuntimeError("output shape not correct")
        return output
    return cupy.empty(like.shape, dtype=like.dtype if output is None else output)


# -- derivatives by the program's function ------------------------------------------------------------------------------------------


def generic_laplace(
    input: Any, derivative2: Callable[..., Any], output: Any = None, mode: Any = "reflect", cval: Any = 0.0, extra_arguments: Any = (),
    extra_keywords: Any = None, *, axes: Any = None,
) -> Any:  # fmt: skip
    """As `cupyx.scipy.ndimage.generic_laplace`."""
    options = extra_keywords or {}
    axes = rules.chosen_axes(axes, input.ndim)
    output = _new_output(output, input)
    if not axes:
        output[...] = input
        return output
    modes = rules.each(mode, len(axes), "mode", rules.checked_mode)
    derivative2(input, axes[0], output, modes[0], cval, *extra_arguments, **options)
    if len(axes) > 1:
        term = cupy.empty(input.shape, output.dtype)
        for axis, each_mode in zip(axes[1:], modes[1:], strict=True):
            derivative2(input, axis, term, each_mode, cval, *extra_arguments, **options)
            output += term
    return output


def generic_gradient_magnitude(
    input: Any, derivative: Callable[..., Any], output: Any = None, mode: Any = "reflect", cval: Any = 0.0, extra_arguments: Any = (),
    extra_keywords: Any = None, *, axes: Any = None,
) -> Any:  # fmt: skip
    """As `cupyx.scipy.ndimage.generic_gradient_magnitude`."""
    options = extra_keywords or {}
    axes = rules.chosen_axes(axes, input.ndim)
    modes = rules.each(mode, len(axes), "mode", rules.checked_mode)
    output = _new_output(output, input)
    if input.ndim == 0:
        output[...] = input
        return output
    derivative(input, axes[0], output, modes[0], cval, *extra_arguments, **options)
    output *= output
    if len(axes) > 1:
        term = cupy.empty(input.shape, output.dtype)
        for axis, each_mode in zip(axes[1:], modes[1:], strict=True):
            derivative(input, axis, term, each_mode, cval, *extra_arguments, **options)
            term *= term
            output += term
    return cupy.sqrt(output, out=output, casting="unsafe")


# -- windows by a kernel ----------------------------------------------------------------------------------------------------------------


def _footprint(size: Any, footprint: Any, n: int) -> np.ndarray[Any, Any]:
    """The footprint on the host."""
    if footprint is None:
        if size is None:
            raise RuntimeError("no footprint or filter size provided")
        return np.ones(rules.each(size, n, "size", int), np.bool_)
    known = np.asarray(footprint.get() if isinstance(footprint, ndarray) else footprint, np.bool_)
    if not known.any():
        raise ValueError("all-zero footprint is not supported")
    return known


def _padded(a: Any, axis: int, before: int, after: int, mode: str, cval: float) -> Any:
    around = [(0, 0)] * a.ndim
    around[axis] = (before, after)
    options: Any = {"constant_values": cval} if mode == "constant" else {}
    return cupy.pad(a, around, mode=_PADS[mode], **options)


def _windows(
    a: Any, footprint: np.ndarray[Any, Any], axes: tuple[int, ...], mode: Any, cval: float, origin: Any
) -> Any:
    """What lies under the footprint around each element, as an array of shape (elements, size of the footprint)."""
    order = np.argsort(axes)
    footprint = footprint.transpose(order)
    modes = rules.each(mode, len(axes), "mode", rules.checked_mode)
    origins = rules.each(origin, len(axes), "origin", int)
    around = a
    for i, n in zip(order, footprint.shape, strict=True):
        before = n // 2 + origins[i]
        if n > 1:
            around = _padded(around, axes[i], before, n - 1 - before, modes[i], cval)
    views = cupy.lib.stride_tricks.sliding_window_view(around, footprint.shape, tuple(int(axes[i]) for i in order))
    flat = views.reshape(a.size, footprint.size)
    return flat if footprint.all() else flat[:, np.flatnonzero(footprint)]


def generic_filter(
    input: Any, function: Any, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    origin: Any = 0, *, axes: Any = None,
) -> Any:  # fmt: skip
    """As `cupyx.scipy.ndimage.generic_filter`: `function` is a RawKernel `(double* values, int n, double* result)` or a ReductionKernel."""
    axes = rules.chosen_axes(axes, input.ndim)
    shape = _footprint(size, footprint, len(axes))
    rules.window(_spec_of(input), as_spec(shape), mode, origin, "footprint", axes)
    made = _of_raw if isinstance(function, RawKernel) else _of_reduction if _is_reduction(function) else None
    if made is None:
        raise TypeError("bad function type")
    if shape.size == 0:
        return cupy.zeros_like(input)
    output = _new_output(output, input)
    windows = _windows(input, shape, axes, mode, float(cval), origin)
    output[...] = made(function, windows, output.dtype).reshape(input.shape).astype(output.dtype, copy=False)  # pyright: ignore
    return output


def _spec_of(a: Any) -> Any:
    """The spec of an array, for rules. Raises TypeError for host data."""
    if not isinstance(a, ndarray):
        raise TypeError(f"input must be a cupy.ndarray, not {type(a).__name__}")
    return a._spec if a._spec is not None else a._resolve()


def _is_reduction(function: Any) -> bool:
    if isinstance(function, ReductionKernel):
        if function.nin != 1 or function.nout != 1:
            raise TypeError("ReductionKernel must have 1 input and output")
        return True
    if isinstance(function, ElementwiseKernel):
        raise TypeError("only ReductionKernel allowed (not ElementwiseKernel)")
    return False


def _as_device_code(kernel: RawKernel) -> str:
    assert kernel.code is not None
    return f"namespace raw_kernel {{\n{kernel.code.replace('__global__', '__device__')}\n}}"


def _of_raw(function: RawKernel, windows: Any, dtype: np.dtype[Any]) -> Any:
    kernel = ElementwiseKernel(
        "raw float64 values, int32 n", "float64 result",
        f"double one; raw_kernel::{function.name}((double*)&values[i * (ptrdiff_t)n], n, &one); result = one",
        f"generic_filter_{function.name}", preamble=_as_device_code(function), options=function.options,
    )  # fmt: skip
    values = cupy.ascontiguousarray(windows, dtype=np.float64)
    return kernel(values, windows.shape[1], cupy.empty(windows.shape[0], np.float64))


def _c_type(dtype: np.dtype[Any]) -> str:
    from ....kernels.reduction import C_TYPES

    return C_TYPES[dtype.char]


_REDUCTION = """
namespace reduction_kernel {{
{types}
{preamble}
struct _Values {{
  const {x_type}* first; ptrdiff_t n;
  __device__ const {x_type}& operator[](ptrdiff_t i) const {{ return first[i]; }}
  __device__ ptrdiff_t size() const {{ return n; }}
}};
struct _Index {{
  ptrdiff_t n, at[1];
  __device__ ptrdiff_t size() const {{ return n; }}
  __device__ const ptrdiff_t* get() const {{ return at; }}
}};
__device__ void {name}(const {x_type}* first, ptrdiff_t n, {y_type}& {y}) {{
  _Values _raw_{x} = {{first, n}};
  _Index _in_ind = {{n, {{0}}}}, _out_ind = {{1, {{0}}}};
  (void)_raw_{x}; (void)_in_ind; (void)_out_ind;
#define REDUCE(a, b) ({reduce_expr})
#define POST_MAP(a) ({post_map_expr})
  typedef {reduce_type} _type_reduce;
  _type_reduce _s = _type_reduce({identity});
  for (ptrdiff_t _j = 0; _j < n; ++_j) {{
    _in_ind.at[0] = _j;
    const {x_type}& {x} = first[_j];
    _type_reduce _a = static_cast<_type_reduce>({map_expr});
    _s = REDUCE(_s, _a);
  }}
  POST_MAP(_s);
#undef REDUCE
#undef POST_MAP
}}
}}
"""


def _of_reduction(function: ReductionKernel, windows: Any, dtype: np.dtype[Any]) -> Any:
    """Each window through the reduction kernel's expressions, in one elementwise kernel: `_in_ind` and `_raw_x` mean the window."""
    x, y = function.in_params[0], function.out_params[0]
    x_dtype = windows.dtype if x.dtype is None else x.dtype
    y_dtype = (x_dtype if y.ctype == x.ctype else dtype) if y.dtype is None else y.dtype
    types = {p.ctype: t for p, t in ((y, y_dtype), (x, x_dtype)) if p.dtype is None}
    code = _REDUCTION.format(
        types="\n".join(f"typedef {_c_type(t)} {letter};" for letter, t in types.items()), preamble=function.preamble, name=function.name,
        x=x.name, y=y.name, x_type=_c_type(x_dtype), y_type=_c_type(y_dtype), reduce_expr=function.reduce_expr,
        post_map_expr=function.post_map_expr, reduce_type=function.reduce_type, identity=function.identity, map_expr=function.map_expr,
    )  # fmt: skip
    kernel = ElementwiseKernel(
        f"raw {x_dtype.name} values, int64 n", f"{y_dtype.name} result",
        f"{_c_type(y_dtype)} one; reduction_kernel::{function.name}(&values[i * (ptrdiff_t)n], n, one); result = one",
        f"generic_filter_{function.name}", preamble=code, options=function.options,
    )  # fmt: skip
    values = cupy.ascontiguousarray(windows, dtype=x_dtype)
    return kernel(values, windows.shape[1], cupy.empty(windows.shape[0], y_dtype))


def generic_filter1d(
    input: Any, function: Any, filter_size: Any, axis: Any = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    origin: Any = 0,
) -> Any:  # fmt: skip
    """As `cupyx.scipy.ndimage.generic_filter1d`: `function` is a RawKernel `(double* in, ptrdiff_t n_in, double* out, ptrdiff_t n_out)`."""
    if input.dtype.kind == "c":
        raise TypeError("Complex type not supported")
    if not isinstance(function, RawKernel):
        raise TypeError("bad function type")
    if filter_size < 1:
        raise RuntimeError("invalid filter size")
    axis = np.lib.array_utils.normalize_axis_index(operator.index(axis), input.ndim)
    origin = rules.check_origin(origin, filter_size)
    rules.checked_mode(mode)
    output = _new_output(output, input)
    before = filter_size // 2 + origin
    around = _padded(input, axis, before, filter_size - 1 - before, mode, float(cval))
    lines = cupy.ascontiguousarray(cupy.moveaxis(around, axis, -1), dtype=np.float64)
    length, longer = input.shape[axis], lines.shape[-1]
    kernel = ElementwiseKernel(
        "raw float64 lines, int64 longer, int64 length", "raw float64 result",
        f"raw_kernel::{function.name}((double*)&lines[i * (ptrdiff_t)longer], (ptrdiff_t)longer, "
        "(double*)&result[i * (ptrdiff_t)length], (ptrdiff_t)length)",
        f"generic_filter1d_{function.name}", preamble=_as_device_code(function), options=function.options,
    )  # fmt: skip
    results = cupy.empty((*lines.shape[:-1], length), np.float64)
    kernel(lines, longer, length, results, size=input.size // max(length, 1))
    output[...] = cupy.moveaxis(results, -1, axis).astype(output.dtype, copy=False)
    return output


__all__ = [
    "generic_filter",
    "generic_filter1d",
    "generic_gradient_magnitude",
    "generic_laplace",
]
