"""Functions of sparse matrices."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any


def by_squaring(A: Any, power: Any, identity: Callable[[], Any]) -> Any:
    """`A` to a power; `identity()` is the zeroth.

    Raises:
        TypeError: `A` is not square.
        ValueError: the power is no integer, or negative.
    """
    if A.shape[0] != A.shape[1]:
        raise TypeError("sparse matrix is not square")
    try:
        power = operator.index(power)
    except TypeError:
        raise ValueError("exponent must be an integer") from None
    if power < 0:
        raise ValueError("exponent must be >= 0")
    if power == 0:
        return identity()
    made, square = None, A
    while True:
        power, odd = divmod(power, 2)
        if odd:
            made = square if made is None else made @ square
        if not power:
            return made.copy() if made is A else made  # pyright: ignore
        square = square @ square


def matrix_power(A: Any, power: Any) -> Any:
    """`A` to a power that is an integer, not negative; the zeroth is a sparse array."""
    from .._construct import eye_array

    return by_squaring(A, power, lambda: eye_array(A.shape[0], dtype=A.dtype))
