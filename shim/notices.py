"""Warnings that CuPy gives and that follow from shapes and dtypes: given at the call, before anything is sent.

Boundary: what depends on the data is not looked at for a warning's sake, because that would wait.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from . import dispatch

#: From a notice to the program's line: the notice, `dispatch.call`, the generated function.
_STACK = 4


def _is_complex(value: Any) -> bool:
    return isinstance(value, dispatch.ndarray) and value.dtype.kind == "c"


def _joined(args: tuple[Any, ...]) -> None:
    """concatenate, stack, vstack, hstack with `dtype`: the imaginary parts are lost."""
    arrays, dtype, casting = args[0], args[-2], args[-1]
    if dtype is None or casting != "unsafe" or np.dtype(dtype).kind in "bc" or not isinstance(arrays, (list, tuple)):
        return
    if any(map(_is_complex, arrays)):
        text = "Casting complex values to real discards the imaginary part"
        warnings.warn(text, np.exceptions.ComplexWarning, stacklevel=_STACK)


def _cov(args: tuple[Any, ...]) -> None:
    """cov without weights: as many observations as degrees of freedom are taken away."""
    a, _, rowvar, bias, ddof, fweights, aweights, _ = args
    if not isinstance(a, dispatch.ndarray) or a.ndim > 2 or fweights is not None or aweights is not None:
        return
    columns = a.shape[0] if not rowvar and a.ndim == 2 else a.shape[-1] if a.ndim else 1
    if columns - (ddof if ddof is not None else 0 if bias else 1) <= 0:
        warnings.warn("Degrees of freedom <= 0 for slice", RuntimeWarning, stacklevel=_STACK)


#: Function -> what looks at its arguments, one per parameter of the row.
NOTICES: dict[str, Callable[[tuple[Any, ...]], None]] = {
    **dict.fromkeys(("concatenate", "stack", "vstack", "hstack"), _joined),
    "cov": _cov,
}
