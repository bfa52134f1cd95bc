"""Labels, statistics over labelled regions, distances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.ndimage

from cupool.contract.ops.scipy._rules_ndimage_more import index_dtype, spacing
from cupool.contract.spec import spec_of

from ...casting import cast
from ._common import Array, wide

#: Not typed: its stubs know literal modes and dtypes only.
nd: Any = scipy.ndimage


def label(input: Array, structure: Any = None, output: Any = None) -> Any:
    """Labels in the order of their first elements; only the half of `structure` that comes before its centre counts.

    Raises:
        ValueError: more objects than the output's dtype can number.
    """
    target = output if isinstance(output, np.ndarray) else None
    dtype = np.dtype(np.int32) if output is None else target.dtype if target is not None else np.dtype(output)
    if input.ndim == 0:
        labels, count = (input != 0).astype(np.int64), int(input != 0)
    elif input.size == 0:
        labels, count = np.zeros(input.shape, np.int64), 0
    else:
        given = nd.generate_binary_structure(input.ndim, 1) if structure is None else np.asarray(structure, np.bool_)
        before = given.ravel().copy()
        before[before.size // 2 :] = False
        symmetric = before | before[::-1]
        symmetric[symmetric.size // 2] = True
        labels, count = nd.label(input != 0, symmetric.reshape(given.shape), np.int64)
    if dtype.kind in "iu" and count > np.iinfo(dtype).max:
        raise ValueError("insufficient bit-depth in output type")
    if target is None:
        return labels.astype(dtype), np.asarray(count)
    target[...] = labels.astype(dtype)
    return np.asarray(count)


def find_objects(input: Array, max_label: int = 0) -> list[Any]:
    """Slices around each label's elements. Raises TypeError for what is no integer."""
    if input.dtype.kind not in "bui":
        raise TypeError(f"Input dtype {input.dtype.name} cannot be interpreted as an integer")
    found = nd.find_objects(input.astype(np.int64), max(int(max_label), 0))
    return [None if f is None else tuple(slice(int(s.start), int(s.stop)) for s in f) for f in found]


def _statistic(function: Callable[..., Any], sums: bool) -> Callable[..., Array]:
    def run(input: Array, labels: Any = None, index: Any = None) -> Array:
        if sums and labels is None:
            return np.asarray(input.sum())
        if sums and not isinstance(index, np.ndarray):
            values, groups = np.broadcast_arrays(input, labels)
            return np.asarray(values[groups != 0 if index is None else groups == index].sum())
        if sums and index.size == 0:
            return np.zeros(0, np.int64)
        a = input
        if labels is not None:
            a, groups = np.broadcast_arrays(input, labels)
            if isinstance(index, np.ndarray):
                result = np.asarray(function(a.astype(np.float64), groups, index), np.float64)
                return result.reshape(index.shape)
            a = a[groups > 0 if index is None else groups == index]
        # One group is summed in its own dtype, several in float64.
        return np.asarray(function(a), np.float64)

    return run


def _selection(function: Callable[..., Any]) -> Callable[..., Array]:
    def run(input: Array, labels: Any = None, index: Any = None) -> Array:
        dtype = np.dtype(np.float64) if function is nd.median and input.dtype.kind in "iub" else input.dtype
        a = wide(input)
        if labels is None:
            return cast(np.asarray(function(a)), dtype)
        a, groups = np.broadcast_arrays(a, labels)
        if index is None or np.isscalar(index):
            a = a[groups > 0 if index is None else groups == index]
            return cast(np.asarray(function(a)), dtype)
        return cast(np.asarray(function(a, groups, np.asarray(index))).reshape(np.shape(index)), dtype)

    return run


def _position(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(input: Array, labels: Any = None, index: Any = None) -> Any:
        index = index if index is None or np.isscalar(index) else np.asarray(index)
        found = function(wide(input), labels, index)
        if isinstance(found, list):
            return [tuple(np.int64(i) for i in place) for place in found]
        return tuple(np.int64(i) for i in found)

    return run


def distance_transform_edt(
    image: Array, sampling: Any = None, return_distances: bool = True, return_indices: bool = False, distances: Any = None,
    indices: Any = None, block_params: Any = None, float64_distances: bool = True,
) -> Any:  # fmt: skip
    """New arrays; `distances` and `indices` are filled by the client, `block_params` tune CuPy's kernels."""
    step = spacing(sampling, image.ndim)
    near = np.asarray(nd.distance_transform_edt(image != 0, step, return_distances=False, return_indices=True))
    found: list[Array] = []
    if return_distances:
        away = near - np.indices(image.shape)
        squares = sum((d * s) ** 2.0 for d, s in zip(away, step or (1.0,) * image.ndim, strict=True))
        found.append(np.sqrt(squares).astype(np.float64 if float64_distances else np.float32))
    if return_indices:
        found.append(near.astype(index_dtype(spec_of(image.shape, image.dtype))))
    return found[0] if len(found) == 1 else tuple(found)


#: Name -> function.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "label": label,
    "find_objects": find_objects,
    "sum": _statistic(nd.sum_labels, True),
    "sum_labels": _statistic(nd.sum_labels, True),
    "mean": _statistic(nd.mean, False),
    "variance": _statistic(nd.variance, False),
    "standard_deviation": _statistic(nd.standard_deviation, False),
    "minimum": _selection(nd.minimum),
    "maximum": _selection(nd.maximum),
    "median": _selection(nd.median),
    "minimum_position": _position(nd.minimum_position),
    "maximum_position": _position(nd.maximum_position),
    "distance_transform_edt": distance_transform_edt,
}
