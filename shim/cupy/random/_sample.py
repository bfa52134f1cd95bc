"""Samples of `cupy.random`: numbers, choices and orders, drawn from the global RandomState of the current device."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import _distributions
from ._generator import get_random_state


def random_sample(size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.random_sample`."""
    return get_random_state().random_sample(size, dtype)


random = ranf = sample = random_sample


def rand(*size: int, **kwarg: Any) -> Any:
    """As `cupy.random.rand`."""
    return random_sample(size=size, dtype=_only_dtype("rand", kwarg))


def randn(*size: int, **kwarg: Any) -> Any:
    """As `cupy.random.randn`."""
    return _distributions.normal(size=size, dtype=_only_dtype("randn", kwarg))


def _only_dtype(name: str, keywords: dict[str, Any]) -> Any:
    dtype = keywords.pop("dtype", float)
    if keywords:
        raise TypeError(f"{name}() got unexpected keyword arguments {', '.join(keywords)}")
    return dtype


def randint(low: Any, high: Any = None, size: Any = None, dtype: Any = "l") -> Any:
    """As `cupy.random.randint`."""
    return get_random_state().randint(low, high, size, dtype)


def random_integers(low: Any, high: Any = None, size: Any = None) -> Any:
    """As `cupy.random.random_integers`: the upper bound is included."""
    if high is None:
        low, high = 1, low
    return randint(low, high + 1, size)


def choice(a: Any, size: Any = None, replace: bool = True, p: Any = None) -> Any:
    """As `cupy.random.choice`."""
    return get_random_state().choice(a, size, replace, p)


def shuffle(a: Any) -> None:
    """As `cupy.random.shuffle`: along the first axis, in place."""
    get_random_state().shuffle(a)


def permutation(a: Any) -> Any:
    """As `cupy.random.permutation`."""
    return get_random_state().permutation(a)


def multinomial(n: int, pvals: Any, size: Any = None) -> Any:
    """As `cupy.random.multinomial`: counts of `n` choices, by adding ones at the outcomes."""
    from ..._generated import functions

    shape = () if size is None else (size,) if isinstance(size, int) else tuple(size)
    trials, outcomes = math.prod(shape), len(pvals)
    counts = functions.zeros(trials * outcomes, dtype="l")
    if trials * outcomes and n:
        drawn = choice(outcomes, size=(trials, n), p=pvals)
        drawn += functions.arange(trials, dtype="l")[:, None] * outcomes
        functions.add.at(counts, drawn.ravel(), 1)
    return counts.reshape((*shape, outcomes))


def bytes(length: int) -> Any:
    """As `cupy.random.bytes`: NumPy's, on the client, as in CuPy."""
    return np.random.bytes(length)
