"""Measurements that return more than an array: tuples, lists, dicts, numbers; and those with the program's own function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .... import cupy
from ...._generated import cupyx_scipy_ndimage as plain
from ....array import ndarray
from ....convert import asarray


def label(input: Any, structure: Any = None, output: Any = None) -> Any:
    """As `cupyx.scipy.ndimage.label`; waits for the number of objects, which is a Python int."""
    if not isinstance(input, ndarray):
        raise TypeError("input must be cupy.ndarray")
    found = plain.label(input, structure, output)
    if isinstance(output, ndarray):
        return int(found)
    labels, count = found
    return labels, int(count)


def extrema(input: Any, labels: Any = None, index: Any = None) -> tuple[Any, Any, Any, Any]:
    """As `cupyx.scipy.ndimage.extrema`: values on the device, positions on the host."""
    return (
        plain.minimum(input, labels, index),
        plain.maximum(input, labels, index),
        plain.minimum_position(input, labels, index),
        plain.maximum_position(input, labels, index),
    )


def center_of_mass(input: Any, labels: Any = None, index: Any = None) -> Any:
    """As `cupyx.scipy.ndimage.center_of_mass`: a tuple of 0-d arrays, or a list of arrays, one per label."""
    weight = plain.sum(input, labels, index)
    centres = []
    for axis, n in enumerate(input.shape):
        places = cupy.arange(n, dtype=np.float64).reshape([n if i == axis else 1 for i in range(input.ndim)])
        centres.append(plain.sum(input * places, labels, index) / weight)
    if centres[0].ndim == 0:
        return tuple(centres)
    return list(cupy.stack(centres, axis=-1))


def labeled_comprehension(
    input: Any, labels: Any, index: Any, func: Callable[..., Any], out_dtype: Any, default: Any, pass_positions: bool = False
) -> Any:  # fmt: skip
    """As `cupyx.scipy.ndimage.labeled_comprehension`; waits to learn where each label's elements are."""
    as_scalar = np.isscalar(index)
    input = asarray(input)
    columns = [input, cupy.arange(input.size).reshape(input.shape)] if pass_positions else [input]
    if labels is None:
        if index is not None:
            raise ValueError("index without defined labels")
        return func(*[column.ravel() for column in columns])
    try:
        *columns, labels = cupy.broadcast_arrays(*columns, labels)
    except ValueError:
        raise ValueError("input and labels must have the same shape (excepting dimensions with width 1)") from None
    if index is None:
        return func(*[column[labels > 0] for column in columns])
    wanted = np.atleast_1d(index.get() if isinstance(index, ndarray) else np.asarray(index))
    known = wanted.astype(labels.dtype)
    if (known.astype(wanted.dtype) != wanted).any():
        raise ValueError(
            f"Cannot convert index values from <{wanted.dtype}> to <{labels.dtype}> (labels.dtype) without loss of precision"
        )
    groups = labels.ravel().get()
    order = np.argsort(groups, kind="stable")
    firsts, lasts = (np.searchsorted(groups[order], known, side=side) for side in ("left", "right"))
    order = asarray(order)
    sorted_columns = [column.ravel()[order] for column in columns]
    values: list[Any] = []
    for first, last in zip(firsts.ravel().tolist(), lasts.ravel().tolist(), strict=True):
        values.append(None if first == last else func(*[column[first:last] for column in sorted_columns]))
    if out_dtype is object:
        found: Any = [default if value is None else value for value in values]
        return found[0] if as_scalar else found
    output = cupy.empty(wanted.shape, out_dtype)
    if default is None and output.dtype.kind in "fc":
        default = np.nan
    output[...] = default
    places = output.reshape(-1)
    for i, value in enumerate(values):
        if value is not None:
            places[i] = value
    return output[0] if as_scalar else output


def histogram(input: Any, min: Any, max: Any, bins: int, labels: Any = None, index: Any = None) -> Any:
    """As `cupyx.scipy.ndimage.histogram`."""
    edges = cupy.linspace(min, max, bins + 1)
    return labeled_comprehension(input, labels, index, lambda values: cupy.histogram(values, edges)[0], object, None)


def value_indices(
    arr: Any, *, ignore_value: Any = None, adaptive_index_dtype: bool = False
) -> dict[int, tuple[Any, ...]]:
    """As `cupyx.scipy.ndimage.value_indices`; waits for how often each value occurs."""
    if arr.dtype.kind not in "iu":
        raise ValueError("Parameter 'arr' must be an integer array")
    flat = arr.reshape(-1)
    counts = cupy.bincount(flat)
    order = cupy.argsort(flat, axis=None)
    if adaptive_index_dtype:
        order = order.astype(np.min_scalar_type(-(int(arr.size) + 1)), copy=False)
    places = cupy.unravel_index(order, arr.shape)
    if adaptive_index_dtype:
        small = np.min_scalar_type(-(max(arr.shape) + 1))
        places = tuple(place.astype(small, copy=False) for place in places)
    found, offset = {}, 0
    for value, count in enumerate(counts.get().tolist()):
        if count and value != ignore_value:
            found[value] = tuple(place[offset : offset + count] for place in places)
        offset += count
    return found


def distance_transform_edt(
    image: Any, sampling: Any = None, return_distances: bool = True, return_indices: bool = False, distances: Any = None,
    indices: Any = None, *, block_params: Any = None, float64_distances: bool = True,
) -> Any:  # fmt: skip
    """As `cupyx.scipy.ndimage.distance_transform_edt`; given arrays are filled."""
    wrong = []
    if not return_distances and not return_indices:
        wrong.append("at least one of return_distances/return_indices must be True")
    for given, wanted, name in ((distances, return_distances, "distances"), (indices, return_indices, "indices")):
        if given is not None and not wanted:
            wrong.append(f"return_{name} must be True if {name} is supplied")
    if wrong:
        raise RuntimeError(", ".join(wrong))
    found = plain.distance_transform_edt(
        image, sampling, return_distances, return_indices, float64_distances=float64_distances, block_params=block_params
    )  # fmt: skip
    results = list(found) if isinstance(found, tuple) else [found]
    for i, given in enumerate(
        [g for g, wanted in ((distances, return_distances), (indices, return_indices)) if wanted]
    ):
        if given is not None:
            results[i] = _filled(given, results[i], is_index=i > 0 or not return_distances)
    return results[0] if len(results) == 1 else tuple(results)


def _filled(given: Any, values: Any, is_index: bool) -> Any:
    """The caller's array with the values in it. Raises RuntimeError when they would not fit."""
    name = "indices" if is_index else "distances"
    if given.shape != values.shape:
        raise RuntimeError(f"{name} array has wrong shape")
    if is_index:
        if given.dtype.kind not in "iu":
            raise RuntimeError("indices array must have an integer dtype")
        if given.dtype.itemsize < values.dtype.itemsize:
            raise RuntimeError(f"indices dtype must have itemsize > {values.dtype.itemsize}")
    elif given.dtype != values.dtype:
        raise RuntimeError(f"distances array must have dtype: {values.dtype}")
    given[...] = values
    return given


__all__ = [
    "center_of_mass",
    "distance_transform_edt",
    "extrema",
    "histogram",
    "label",
    "labeled_comprehension",
    "value_indices",
]
