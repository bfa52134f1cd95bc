"""Binary and grey morphology."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.ndimage

from ._common import Array, axes_of, deliver, result_dtype
from .filters import extremum

#: Not typed: its stubs know literal modes and dtypes only.
nd: Any = scipy.ndimage

_BOOL = np.dtype(np.bool_)


# -- binary ---------------------------------------------------------------------------------------------------------------------


def _element(structure: Any, n: int) -> Any:
    """A structuring element: a number or a sequence of them is the shape of a full one."""
    if isinstance(structure, int):
        structure = (structure,) * n
    if isinstance(structure, (tuple, list)):
        return np.ones([int(m) for m in structure], np.bool_)
    return structure if structure is None else np.asarray(structure, np.bool_)


def _origins(origin: Any) -> Any:
    return list(origin) if np.iterable(origin) else int(origin)


def _bools(a: Any) -> Any:
    return None if a is None else np.asarray(a) != 0


def _binary(function: Callable[..., Any]) -> Callable[..., Array]:
    def run(
        input: Array, structure: Any = None, iterations: int = 1, mask: Any = None, output: Any = None, border_value: Any = 0,
        origin: Any = 0, brute_force: bool = False, axes: Any = None,
    ) -> Array:  # fmt: skip
        axes = axes_of(axes, input.ndim)
        shape = _element(structure, len(axes))
        if input.ndim == 0:
            found: Any = (input != 0) if shape is None or shape.all() else (input == 0)
        else:
            if iterations != 1 and not brute_force and _holds_centre(shape, origin):
                raise NotImplementedError("only brute_force iteration has been implemented")
            found = function(
                _bools(input), shape, iterations=iterations, mask=_bools(mask), border_value=int(border_value), origin=_origins(origin),
                brute_force=True, axes=axes,
            )  # fmt: skip
        return deliver(found, output, _BOOL)

    return run


def _holds_centre(shape: Any, origin: Any) -> bool:
    if shape is None:
        return True
    origins = origin if np.iterable(origin) else (origin,) * shape.ndim
    return bool(shape[tuple(n // 2 + o for n, o in zip(shape.shape, origins, strict=True))])


def binary_propagation(
    input: Array, structure: Any = None, mask: Any = None, output: Any = None, border_value: Any = 0, origin: Any = 0, axes: Any = None
) -> Array:  # fmt: skip
    return FUNCTIONS["binary_dilation"](  # type: ignore[no-any-return]
        input, structure, -1, mask, output, border_value, origin, True, axes
    )


def binary_hit_or_miss(
    input: Array, structure1: Any = None, structure2: Any = None, output: Any = None, origin1: Any = 0, origin2: Any = None,
    axes: Any = None,
) -> Array:  # fmt: skip
    axes = axes_of(axes, input.ndim)
    found = nd.binary_hit_or_miss(
        _bools(input), _element(structure1, len(axes)), _element(structure2, len(axes)), origin1=_origins(origin1),
        origin2=None if origin2 is None else _origins(origin2), axes=axes,
    )  # fmt: skip
    return deliver(found, output, _BOOL)


def binary_fill_holes(
    input: Array, structure: Any = None, output: Any = None, origin: Any = 0, axes: Any = None
) -> Array:
    axes = axes_of(axes, input.ndim)
    found = nd.binary_fill_holes(_bools(input), _element(structure, len(axes)), origin=_origins(origin), axes=axes)
    return deliver(found, output, _BOOL)


# -- grey -------------------------------------------------------------------------------------------------------------------------


def _erosion(input: Array, size: Any, footprint: Any, structure: Any, output: Any, *options: Any) -> Array:
    return extremum(nd.grey_erosion, input, size, footprint, structure, output, *options)


def _dilation(input: Array, size: Any, footprint: Any, structure: Any, output: Any, *options: Any) -> Array:
    return extremum(nd.grey_dilation, input, size, footprint, structure, output, *options)


def _subtracted(a: Array, b: Array, dtype: np.dtype[Any]) -> Array:
    found: Array = a ^ b if a.dtype == b.dtype == np.bool_ else np.subtract(a, b)
    return found.astype(dtype, copy=False)


#: (input, the function's window: size, footprint, structure; dtype or array of the result, options) -> result.
_Grey = Callable[[Array, tuple[Any, Any, Any], Any, tuple[Any, ...]], Array]


def _opening(a: Array, w: tuple[Any, Any, Any], output: Any, options: tuple[Any, ...]) -> Array:
    return _dilation(_erosion(a, *w, None, *options), *w, output, *options)


def _closing(a: Array, w: tuple[Any, Any, Any], output: Any, options: tuple[Any, ...]) -> Array:
    return _erosion(_dilation(a, *w, None, *options), *w, output, *options)


def _gradient(a: Array, w: tuple[Any, Any, Any], output: Any, options: tuple[Any, ...]) -> Array:
    target = output if isinstance(output, np.ndarray) else None
    dtype = result_dtype(target, a)
    found = np.subtract(_dilation(a, *w, None, *options), _erosion(a, *w, dtype, *options)).astype(dtype, copy=False)
    return deliver(found, target, dtype)


def _laplace(a: Array, w: tuple[Any, Any, Any], output: Any, options: tuple[Any, ...]) -> Array:
    target = output if isinstance(output, np.ndarray) else None
    dtype = result_dtype(target, a)
    found = np.add(_dilation(a, *w, None, *options), _erosion(a, *w, dtype, *options)).astype(dtype, copy=False)
    for _ in range(2):
        found = np.subtract(found, a).astype(dtype, copy=False)
    return deliver(found, target, dtype)


def _white_tophat(a: Array, w: tuple[Any, Any, Any], output: Any, options: tuple[Any, ...]) -> Array:
    dtype = result_dtype(output, a)
    return deliver(_subtracted(a, _opening(a, w, dtype, options), dtype), output, dtype)


def _black_tophat(a: Array, w: tuple[Any, Any, Any], output: Any, options: tuple[Any, ...]) -> Array:
    dtype = result_dtype(output, a)
    return deliver(_subtracted(_closing(a, w, dtype, options), a, dtype), output, dtype)


def _grey(function: _Grey) -> Callable[..., Array]:
    def run(
        input: Array, size: Any = None, footprint: Any = None, structure: Any = None, output: Any = None, mode: Any = "reflect",
        cval: Any = 0.0, origin: Any = 0, axes: Any = None,
    ) -> Array:  # fmt: skip
        return function(input, (size, footprint, structure), output, (mode, cval, origin, axes))

    return run


def iterate_structure(structure: Array, iterations: int, origin: Any = None) -> Array:
    if iterations < 2:
        return structure.copy()
    return np.asarray(nd.iterate_structure(structure, iterations))


#: Name -> function.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "binary_erosion": _binary(nd.binary_erosion),
    "binary_dilation": _binary(nd.binary_dilation),
    "binary_opening": _binary(nd.binary_opening),
    "binary_closing": _binary(nd.binary_closing),
    "binary_propagation": binary_propagation,
    "binary_hit_or_miss": binary_hit_or_miss,
    "binary_fill_holes": binary_fill_holes,
    "grey_erosion": _grey(lambda a, w, output, options: _erosion(a, *w, output, *options)),
    "grey_dilation": _grey(lambda a, w, output, options: _dilation(a, *w, output, *options)),
    "grey_opening": _grey(_opening),
    "grey_closing": _grey(_closing),
    "morphological_gradient": _grey(_gradient),
    "morphological_laplace": _grey(_laplace),
    "white_tophat": _grey(_white_tophat),
    "black_tophat": _grey(_black_tophat),
    "generate_binary_structure": lambda rank, connectivity: np.asarray(
        nd.generate_binary_structure(rank, connectivity)
    ),
    "iterate_structure": iterate_structure,
}
