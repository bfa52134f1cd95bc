"""Warnings that CuPy gives and that follow from shapes and dtypes, and parameters of the host that it refuses by their values: both at
the call, before anything is sent.

Boundary: data of the device is not looked at for a warning's sake, because that would wait.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

#: From a notice to the program's line: the notice, `dispatch.call`, the generated function.
_STACK = 4


def _on_device(value: Any) -> bool:
    from . import dispatch

    return isinstance(value, dispatch.ndarray)


def _is_complex(value: Any) -> bool:
    return _on_device(value) and value.dtype.kind == "c"


def _joined(args: tuple[Any, ...]) -> None:
    """concatenate, stack, vstack, hstack with `dtype`: the imaginary parts are lost."""
    arrays, dtype, casting = args[0], args[-2], args[-1]
    if dtype is None or casting != "unsafe" or np.dtype(dtype).kind in "bc" or not isinstance(arrays, (list, tuple)):
        return
    if any(map(_is_complex, arrays)):
        _warn_of_imaginary_parts()


def _cov(args: tuple[Any, ...]) -> None:
    """cov without weights: as many observations as degrees of freedom are taken away."""
    a, _, rowvar, bias, ddof, fweights, aweights, _ = args
    if not _on_device(a) or a.ndim > 2 or fweights is not None or aweights is not None:
        return
    columns = a.shape[0] if not rowvar and a.ndim == 2 else a.shape[-1] if a.ndim else 1
    if columns - (ddof if ddof is not None else 0 if bias else 1) <= 0:
        warnings.warn("Degrees of freedom <= 0 for slice", RuntimeWarning, stacklevel=_STACK)


def _warn_of_imaginary_parts() -> None:
    text = "Casting complex values to real discards the imaginary part"
    warnings.warn(text, np.exceptions.ComplexWarning, stacklevel=_STACK + 1)


def _assigned(args: tuple[Any, ...]) -> None:
    """`a[key] = value` and `copyto(a, value)`: the imaginary parts are lost."""
    target, value = args[0], args[2]
    if _is_complex(value) and target.dtype.kind in "iuf":
        _warn_of_imaginary_parts()


def _copied(args: tuple[Any, ...]) -> None:
    target, value, casting = args[:3]
    if casting == "unsafe" and _is_complex(value) and _on_device(target) and target.dtype.kind in "iuf":
        _warn_of_imaginary_parts()


def _reduced(args: tuple[Any, ...]) -> bool:
    """sum, prod, mean with a real `dtype`: the imaginary parts are lost. True: so it is at every call of this kind."""
    dtype = args[2]
    if dtype is None or not _is_complex(args[0]) or np.dtype(dtype).kind != "f":
        return False
    _warn_of_imaginary_parts()
    return True


def _filtfilt(args: tuple[Any, ...]) -> None:
    """Gustafsson's method keeps what it observes of the filter in real arrays."""
    b, a, method, irlen = args[0], args[1], args[6], args[7]
    if method != "gust" or not (_on_device(a) and _on_device(b)) or max(a.size, b.size) < 2:
        return
    if _is_complex(a) or (irlen is not None and _is_complex(b)):
        _warn_of_imaginary_parts()


#: Distribution of RandomState -> (parameter, its place among the arguments, what is refused, and how the error says it).
_REFUSED: dict[str, tuple[tuple[str, int, Callable[[Any], Any], str], ...]] = {
    "exponential": (("scale", 1, lambda v: v < 0, "scale < 0"),),
    "logseries": (("p", 1, lambda v: v <= 0, "p <= 0.0"), ("p", 1, lambda v: v >= 1, "p >= 1.0")),
    "negative_binomial": (
        ("n", 1, lambda v: v <= 0, "n <= 0"), ("p", 2, lambda v: v < 0, "p < 0"), ("p", 2, lambda v: v > 1, "p > 1"),
    ),
    "noncentral_chisquare": (("df", 1, lambda v: v <= 0, "df <= 0"), ("nonc", 2, lambda v: v < 0, "nonc < 0")),
    "noncentral_f": (
        ("dfnum", 1, lambda v: v <= 0, "dfnum <= 0"), ("dfden", 2, lambda v: v <= 0, "dfden <= 0"),
        ("nonc", 3, lambda v: v < 0, "nonc < 0"),
    ),
    "power": (("a", 1, lambda v: v < 0, "a < 0"),),
    "rayleigh": (("scale", 1, lambda v: v < 0, "scale < 0"),),
    "weibull": (("a", 1, lambda v: v < 0, "a < 0"),),
    "zipf": (("a", 1, lambda v: v <= 1, "'a' must be a valid float > 1.0"),),
}  # fmt: skip

#: Distribution of RandomState -> parameters at which CuPy looks before it draws: of the host here, of the device there.
PARAMETERS_LOOKED_AT: dict[str, tuple[str, ...]] = {
    **{name: tuple(dict.fromkeys(check[0] for check in checks)) for name, checks in _REFUSED.items()},
    "triangular": ("left", "mode", "right"),
}


def _refusing(checks: tuple[tuple[str, int, Callable[[Any], Any], str], ...]) -> Callable[[tuple[Any, ...]], None]:
    def look(args: tuple[Any, ...]) -> None:
        for _, place, is_refused, text in checks:
            value = args[place]
            if isinstance(value, (int, float, np.generic, np.ndarray)) and np.any(is_refused(value)):
                raise ValueError(text)

    return look


def _triangular(args: tuple[Any, ...]) -> None:
    left, mode, right = args[1:4]
    if any(_on_device(value) for value in (left, mode, right)):
        return
    for is_refused, text in (
        (left > mode, "left > mode"),
        (mode > right, "mode > right"),
        (left == right, "left == right"),
    ):
        if np.any(is_refused):
            raise ValueError(text)


#: Function -> what looks at its arguments, one per parameter of the row. What gives True wants to look at each call of the kind.
NOTICES: dict[str, Callable[[tuple[Any, ...]], bool | None]] = {
    **dict.fromkeys(("concatenate", "stack", "vstack", "hstack"), _joined),
    "cov": _cov,
    "copyto": _copied,
    **dict.fromkeys(("sum", "prod", "mean"), _reduced),
    "ndarray.__setitem__": _assigned,
    "cupyx.scipy.signal.filtfilt": _filtfilt,
    **{f"random.RandomState.{name}": _refusing(checks) for name, checks in _REFUSED.items()},
    "random.RandomState.triangular": _triangular,
}
