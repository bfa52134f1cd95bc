"""The CPU device's ops: name -> callable. One table per family; what no table has is NumPy's function of that name.

Impls take arrays and host values and return arrays, never NumPy scalars. The device runs with `np.seterr(all="ignore")`: CuPy has no
floating-point warnings.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from . import scipy

#: Modules with a table `OPS`, and maybe `MISSING` (name -> reason).
FAMILIES = (
    "ops_ufuncs", "ops_reductions", "ops_creation", "ops_sorting", "ops_logic", "ops_manipulation", "ops_indexing", "ops_linalg",
    "ops_fft", "ops_random", "ops_misc",
)  # fmt: skip


def _load() -> tuple[dict[str, Callable[..., Any]], dict[str, str]]:
    table: dict[str, Callable[..., Any]] = {}
    missing: dict[str, str] = {}
    for family in FAMILIES:
        try:
            module = importlib.import_module(f"{__package__}.{family}")
        except ModuleNotFoundError as error:
            if error.name != f"{__package__}.{family}":
                raise
            continue
        table.update(module.OPS)
        missing.update(getattr(module, "MISSING", {}))
    return table, missing


OPS, MISSING = _load()


@functools.cache
def resolve(impl: str) -> Callable[..., Any]:
    """The implementation of `row.impl`. Raises KeyError."""
    known = OPS.get(impl) or scipy.resolve(impl)
    if known is not None:
        return known
    target: Any = np
    for part in impl.split("."):
        target = getattr(target, part, None)
        if target is None or part.startswith("_"):
            raise KeyError(impl)
    if not callable(target):
        raise KeyError(impl)
    return _arrays_only(target)


def _arrays_only(function: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's scalars become 0-d arrays, as CuPy's results are."""

    def run(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if isinstance(result, tuple | list):
            return tuple(np.asarray(r) for r in result)
        return np.asarray(result) if isinstance(result, np.generic) else result

    return run
