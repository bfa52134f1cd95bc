"""`cupy.linalg`. Under `cupyx.errstate(linalg="raise")` functions that fail on singular input wait for their result and look at it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from numpy.linalg import LinAlgError as LinAlgError

from ..._generated import functions as _functions
from ..._generated import linalg as _linalg
from ..._generated.linalg import *  # noqa: F403

_SINGULAR = {
    "cholesky": "The matrix is not positive definite.",
    "inv": "Singular matrix",
    "pinv": "SVD did not converge",
    "solve": "Singular matrix",
    "svd": "SVD did not converge",
    "tensorinv": "Singular matrix",
    "tensorsolve": "Singular matrix",
}


def checked(function: Callable[..., Any], message: str) -> Callable[..., Any]:
    """`function`; under `errstate(linalg="raise")` it waits, and raises LinAlgError for a result (or first result) that is not finite."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        from ...cupyx import _config

        result = function(*args, **kwargs)
        if _config.linalg == "raise":
            first = result[0] if isinstance(result, tuple) else result
            if function is _linalg.solve and not first.size:
                # No right side to show it: the matrix itself is looked at.
                first = _linalg.inv(args[0] if args else kwargs["a"])
            if not bool(_functions.isfinite(first).all()):
                raise LinAlgError(message)
        return result

    return call


for _name, _message in _SINGULAR.items():
    if hasattr(_linalg, _name):
        globals()[_name] = checked(getattr(_linalg, _name), _message)


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("linalg", name)
