"""Small host arrays for the samples of rows, and the two-letter helpers that keep a sample on one line."""

from __future__ import annotations

from typing import Any

import numpy as np


def call(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """One sample: the arguments of a call that must work."""
    return args, kwargs


def fails(
    error: type[BaseException], *args: Any, **kwargs: Any
) -> tuple[tuple[Any, ...], dict[str, Any], type[BaseException]]:
    """One error sample: the arguments of a call that must raise `error` before anything is sent."""
    return args, kwargs, error


def arr(*shape: int, dtype: Any = "f8", order: str = "C") -> Any:
    """An array of this shape holding 0, 1, 2, … (small enough for every dtype)."""
    size = int(np.prod(shape, dtype=np.int64))
    values = np.arange(size) % 100
    return np.asarray(values.reshape(shape).astype(dtype), order="F" if order == "F" else "C")


def pos(*shape: int, dtype: Any = "f8") -> Any:
    """An array of this shape with values in 1 … 2, no two equal."""
    size = max(int(np.prod(shape, dtype=np.int64)), 1)
    return (1 + arr(*shape, dtype="f8") / size).astype(dtype)


def mask(*shape: int) -> Any:
    """A boolean array, about half of it True."""
    return arr(*shape) % 2 == 0


def spd(n: int, dtype: Any = "f8", batch: tuple[int, ...] = ()) -> Any:
    """A symmetric (Hermitian) positive definite matrix, or a batch of them."""
    a = np.sin(np.arange(int(np.prod(batch, dtype=np.int64)) * n * n, dtype="f8") + 1).reshape(*batch, n, n)
    return (a @ np.swapaxes(a, -1, -2) + n * np.eye(n)).astype(dtype)


def idx(*values: int, dtype: Any = "i8") -> Any:
    """An index array."""
    return np.array(values, dtype)


class Remote:
    """In a sample: a remote object, made by calling a constructor's row."""

    def __init__(self, row: str, *args: Any, **kwargs: Any) -> None:
        self.row = row
        self.args = args
        self.kwargs = kwargs

    def __repr__(self) -> str:
        return f"Remote({self.row!r}, {self.args})"
