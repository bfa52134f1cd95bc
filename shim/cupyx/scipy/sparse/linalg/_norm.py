"""Norms of sparse matrices."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .._base import issparse
from .._ops import cp


def _frobenius(x: Any) -> Any:
    squares = abs(x).power(2) if x.dtype.kind == "c" else x.power(2)
    return cp.sqrt(squares.sum())


def norm(x: Any, ord: Any = None, axis: Any = None) -> Any:
    """The norm of a sparse matrix, or of its rows or columns.

    Args:
        x: a sparse matrix.
        ord: None, "fro", 1, -1, inf, -inf for the matrix; 0, inf, -inf or any power for rows and columns.
        axis: None, both axes as a tuple, or the one along which vectors lie.

    Raises:
        TypeError: `x` is not sparse, or the axis is no integer.
        ValueError: there is no such axis or order.
        NotImplementedError: orders 2 and -2 of a matrix.
    """
    if not issparse(x):
        raise TypeError("input is not sparse. use cupy.linalg.norm")
    if axis is None and ord in (None, "fro", "f"):
        return _frobenius(x)
    x = x.tocsr()
    axes = (0, 1) if axis is None else _axes(axis)
    if len(axes) > 2:
        raise ValueError("Improper number of dimensions to norm.")
    if not all(-2 <= a < 2 for a in axes):
        raise ValueError(f"Invalid axis {axes!r} for an array with shape {x.shape!r}")
    if len(axes) == 1:
        return _vector_norm(x, ord, axes[0])
    if axes[0] % 2 == axes[1] % 2:  # pyright: ignore
        raise ValueError("Duplicate axes given.")
    return _matrix_norm(x, ord, *axes)


def _axes(axis: Any) -> tuple[int, ...]:
    if isinstance(axis, tuple):
        return axis
    message = "'axis' must be None, an integer or a tuple of integers"
    try:
        value = int(axis)
    except (TypeError, ValueError):
        raise TypeError(message) from None
    if value != axis:
        raise TypeError(message)
    return (value,)


def _matrix_norm(x: Any, ord: Any, row_axis: int, col_axis: int) -> Any:
    if ord in (2, -2):
        raise NotImplementedError
    if ord in (None, "f", "fro"):
        return _frobenius(x)
    axis, extreme = {
        1: (row_axis, "max"),
        np.inf: (col_axis, "max"),
        -1: (row_axis, "min"),
        -np.inf: (col_axis, "min"),
    }.get(ord, (0, ""))
    if not extreme:
        raise ValueError("Invalid norm order for matrices.")
    return getattr(abs(x).sum(axis=axis), extreme)()


def _vector_norm(x: Any, ord: Any, axis: int) -> Any:
    if ord in (np.inf, -np.inf):
        return getattr(abs(x), "max" if ord > 0 else "min")(axis=axis).toarray().ravel()
    if ord == 0:
        return (x != 0).astype(np.float32).sum(axis=axis).ravel().astype(np.int_)
    if ord == 1:
        return abs(x).sum(axis=axis).ravel()
    if ord in (2, None):
        return cp.sqrt(abs(x).power(2).sum(axis=axis)).ravel()
    try:
        operator.add(ord, 1)
    except TypeError:
        raise ValueError("Invalid norm order for vectors.") from None
    return cp.power(abs(x).power(ord).sum(axis=axis), 1 / ord).ravel()
