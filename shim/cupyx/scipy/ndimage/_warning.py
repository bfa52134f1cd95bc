"""Functions of the table that say something on the way (at every call, which a rule, asked once, cannot), or return otherwise."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ...._generated import cupyx_scipy_ndimage as plain
from ....array import ndarray


def _correlating(function: Callable[..., Any]) -> Callable[..., Any]:
    """Warns when a real dtype is asked for and the values are complex."""
    at = 3 if function.__name__.endswith("1d") else 2

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        output = args[at] if len(args) > at else kwargs.get("output")
        if isinstance(output, (type, np.dtype)) and np.dtype(output).kind != "c":
            operands = (*args[:2], kwargs.get("input"), kwargs.get("weights"))
            if any(getattr(x, "dtype", None) is not None and x.dtype.kind == "c" for x in operands):  # pyright: ignore
                warnings.warn("promoting specified output dtype to complex", stacklevel=2)
        return function(*args, **kwargs)

    return run


def _windowed(function: Callable[..., Any], size_at: int = 1) -> Callable[..., Any]:
    """Warns when a size is given that does not matter. `size_at`: position of `size`; the footprint and the structure follow it."""
    has_structure = size_at == 1 and not function.__name__.endswith("_filter")

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        size = args[size_at] if len(args) > size_at else kwargs.get("size")
        if size is not None:
            footprint = args[size_at + 1] if len(args) > size_at + 1 else kwargs.get("footprint")
            structure = None
            if has_structure:
                structure = args[size_at + 2] if len(args) > size_at + 2 else kwargs.get("structure")
            if footprint is not None or structure is not None:
                why = "structure" if footprint is None else "footprint"
                warnings.warn(f"ignoring size because {why} is set", UserWarning, stacklevel=2)
        return function(*args, **kwargs)

    return run


correlate = _correlating(plain.correlate)
convolve = _correlating(plain.convolve)
correlate1d = _correlating(plain.correlate1d)
convolve1d = _correlating(plain.convolve1d)
minimum_filter = _windowed(plain.minimum_filter)
maximum_filter = _windowed(plain.maximum_filter)
median_filter = _windowed(plain.median_filter)
rank_filter = _windowed(plain.rank_filter, 2)
percentile_filter = _windowed(plain.percentile_filter, 2)
grey_erosion = _windowed(plain.grey_erosion)
grey_dilation = _windowed(plain.grey_dilation)
grey_opening = _windowed(plain.grey_opening)
grey_closing = _windowed(plain.grey_closing)
morphological_gradient = _windowed(plain.morphological_gradient)
morphological_laplace = _windowed(plain.morphological_laplace)
white_tophat = _windowed(plain.white_tophat)
black_tophat = _windowed(plain.black_tophat)


@functools.wraps(plain.zoom)
def zoom(
    input: Any, zoom: Any, output: Any = None, order: Any = 3, mode: str = "constant", cval: Any = 0.0, prefilter: bool = True, *,
    grid_mode: bool = False,
) -> Any:  # fmt: skip
    better = {"constant": "grid-constant", "wrap": "grid-wrap"}.get(mode)
    if grid_mode and better is not None:
        warnings.warn(
            f"It is recommended to use mode = {better} instead of {mode} when grid_mode is True.", stacklevel=2
        )
    return plain.zoom(input, zoom, output, order, mode, cval, prefilter, grid_mode=grid_mode)


def iterate_structure(structure: Any, iterations: int, origin: Any = None) -> Any:
    """As `cupyx.scipy.ndimage.iterate_structure`; with an origin it is a tuple of the structure and the new origin."""
    result = plain.iterate_structure(structure, iterations)
    if origin is None or iterations < 2:
        return result
    origins = [int(o) for o in origin] if np.iterable(origin) else [int(origin)] * structure.ndim
    if len(origins) != structure.ndim:
        raise RuntimeError("origin must have length equal to input rank")
    return result, [iterations * o for o in origins]


def binary_hit_or_miss(
    input: Any, structure1: Any = None, structure2: Any = None, output: Any = None, origin1: Any = 0, origin2: Any = None, *,
    axes: Any = None,
) -> Any:  # fmt: skip
    """As `cupyx.scipy.ndimage.binary_hit_or_miss`, which returns None when it writes to an array."""
    result = plain.binary_hit_or_miss(input, structure1, structure2, output, origin1, origin2, axes=axes)
    return None if isinstance(output, ndarray) else result


def binary_fill_holes(
    input: Any, structure: Any = None, output: Any = None, origin: Any = 0, *, axes: Any = None
) -> Any:
    """As `cupyx.scipy.ndimage.binary_fill_holes`, which returns None when it iterates into an array."""
    result = plain.binary_fill_holes(input, structure, output, origin, axes=axes)
    moved = any(origin) if np.iterable(origin) else origin != 0
    all_axes = axes is None or tuple(axes if np.iterable(axes) else (axes,)) == tuple(range(input.ndim))
    if moved and all_axes:
        warnings.warn(
            "It is recommended to keep the default origin=0 so that a faster non-iterative algorithm can be used.",
            stacklevel=2,
        )
    return None if isinstance(output, ndarray) and (moved or not all_axes) else result


__all__ = [
    "binary_fill_holes",
    "binary_hit_or_miss",
    "black_tophat",
    "convolve",
    "convolve1d",
    "correlate",
    "correlate1d",
    "grey_closing",
    "grey_dilation",
    "grey_erosion",
    "grey_opening",
    "iterate_structure",
    "maximum_filter",
    "median_filter",
    "minimum_filter",
    "morphological_gradient",
    "morphological_laplace",
    "percentile_filter",
    "rank_filter",
    "white_tophat",
    "zoom",
]
