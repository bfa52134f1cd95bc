"""What CuPy decides of an elementwise or reduction kernel's call before it launches: parameters, types, shapes. Pure.

Boundary: knows specs of arrays and nothing of handles.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import dispatch
from ..convert import as_device

_SUPPORTED_KINDS = "biufc"
_NAME = re.compile("^[a-zA-Z_][a-zA-Z_0-9]*$")


def check_name(name: str) -> str:
    """A kernel's name. Raises ValueError when C++ would not take it."""
    if _NAME.match(name) is None:
        raise ValueError(f'Invalid kernel name: "{name}"')
    return name


@dataclass(frozen=True, slots=True)
class ParameterInfo:
    """One declared parameter.

    Attributes:
        name: its name in the code.
        dtype: its type, or None when it has a type parameter.
        ctype: the letter of the type parameter, or the C type.
        raw: the code indexes it.
        is_const: it is an input.
    """

    name: str
    dtype: np.dtype[Any] | None
    ctype: str
    raw: bool
    is_const: bool


def _parse_one(text: str, is_const: bool) -> ParameterInfo:
    words = text.split()
    if len(words) < 2:
        raise Exception(f"Syntax error: {text}")
    kind, name = words[-2:]
    dtype, ctype = None, kind
    if len(kind) > 1:
        dtype = np.dtype(kind)
        if dtype.kind not in _SUPPORTED_KINDS:
            raise ValueError(f"Unsupported dtype {dtype}")
        ctype = dtype.name
    raw = False
    for word in words[:-2]:
        if word == "raw":
            raw = True
        elif word == "_non_const":
            is_const = False
        else:
            raise Exception(f'Unknown keyword "{word}"')
    return ParameterInfo(name, dtype, ctype, raw, is_const)


@functools.lru_cache(maxsize=1024)
def parse(text: str, is_const: bool) -> tuple[ParameterInfo, ...]:
    """Parameters of a declaration: "T x, raw float32 y"."""
    return tuple(_parse_one(part, is_const) for part in text.strip().split(",")) if text else ()


Types = tuple[tuple[np.dtype[Any], ...], tuple[np.dtype[Any], ...], dict[str, np.dtype[Any]]]


def decide_types(in_params: Sequence[ParameterInfo], out_params: Sequence[ParameterInfo], in_dtypes: Sequence[Any],
                 out_dtypes: Sequence[Any]) -> Types:  # fmt: skip
    """Types of all parameters, from those of the arrays (None for a scalar): outputs decide first, then inputs, in order.

    Returns:
        types of the inputs, of the outputs, and type parameter -> type.

    Raises:
        TypeError: an array's type is not the declared one, or not that of another array of the same type parameter.
    """
    known: dict[str, np.dtype[Any]] = {}
    if out_dtypes:
        if any(dtype is None for dtype in out_dtypes):
            raise TypeError("Output arguments must be cupy.ndarray")
        for p, dtype in zip(out_params, out_dtypes, strict=True):
            _unify(p, dtype, known)
    for p, dtype in zip(in_params, in_dtypes, strict=True):
        if dtype is not None:
            _unify(p, dtype, known)
    return (
        tuple(known[p.ctype] if p.dtype is None else p.dtype for p in in_params),
        tuple(known[p.ctype] if p.dtype is None else p.dtype for p in out_params),
        known,
    )


def _unify(p: ParameterInfo, dtype: np.dtype[Any], known: dict[str, np.dtype[Any]]) -> None:
    if p.dtype is not None:
        if dtype != p.dtype:
            raise TypeError(f"Type is mismatched. {p.name} {dtype.type} {p.dtype.type}")
    elif known.setdefault(p.ctype, dtype) != dtype:
        raise TypeError(f"Type is mismatched. {p.name} {dtype.type} {known[p.ctype].type} {p.ctype}")


def operand(value: Any) -> Any:
    """An argument: an array of ours, or a scalar. Raises TypeError for anything else."""
    if isinstance(value, (dispatch.ndarray, bool, int, float, complex, np.generic)):
        return value
    device = as_device(value)
    if device is not None:
        return device
    raise TypeError(f"Unsupported type {type(value)}")


def is_array(value: Any) -> bool:
    """Whether an operand is an array."""
    return isinstance(value, dispatch.ndarray)


def broadcast(params: Sequence[ParameterInfo], args: Sequence[Any], use_size: bool) -> tuple[int, ...]:
    """The shape that the arrays that are not raw have together.

    Raises:
        ValueError: they do not fit; or `size` is given with such arrays, or neither.
    """
    shapes = [a.shape for p, a in zip(params, args, strict=False) if not p.raw and is_array(a)]
    if use_size:
        if shapes:
            raise ValueError("Specified 'size' can be used only if all of the ndarray are 'raw'.")
        return ()
    if not shapes:
        raise ValueError("Loop size is undecided.")
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        texts = " ".join(
            str(a.shape) if is_array(a) and not p.raw else "()" for p, a in zip(params, args, strict=False)
        )
        raise ValueError(f"operands could not be broadcast together with shapes {texts}") from None


def check_outputs(params: Sequence[ParameterInfo], outs: Sequence[Any], shape: tuple[int, ...], has_size: bool) -> None:
    """Given outputs are arrays of the right shape; outputs to be made have a size."""
    if not outs:
        if any(p.raw for p in params) and not has_size:
            raise ValueError("Output array size is Undecided")
        return
    for p, out in zip(params, outs, strict=True):
        if not is_array(out):
            raise TypeError("Output arguments type must be cupy.ndarray")
        if not p.raw and out.shape != shape:
            raise ValueError("Out shape is mismatched")


def as_parameter(value: Any, dtype: np.dtype[Any]) -> Any:
    """A scalar as the type of its parameter. Raises OverflowError for a Python integer that does not fit."""
    if isinstance(value, float) and dtype.char == "d" and type(value) is float:
        return value  # travels in a slot
    scalar = np.empty((), dtype)
    scalar[()] = value
    return scalar[()]
