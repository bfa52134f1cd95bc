"""NumPy's own inner loops by their addresses, as NumPy gives them to compilers (`ufunc._get_strided_loop`, under a versioned name).

A loop that needs the interpreter, or a NumPy that gives no loops or gives them otherwise, is said by None: its operations run in the
interpreter. A loop is C code without state: any thread may call it, with memory of its own.

Boundary: knows ufuncs and dtypes, nothing of programs.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np

#: What the layout of `_Info` goes by. NumPy changes this name with it.
_NAME = b"numpy_1.24_ufunc_call_info"


class _Info(ctypes.Structure):
    _fields_ = (
        ("loop", ctypes.c_void_p),
        ("context", ctypes.c_void_p),
        ("auxiliary", ctypes.c_void_p),
        ("needs_interpreter", ctypes.c_byte),
        ("no_errors", ctypes.c_byte),
    )


class Loop(NamedTuple):
    """int (*function)(context, char **data, intptr_t *n, intptr_t *strides, auxiliary)."""

    function: int
    context: int
    auxiliary: int


_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = ctypes.c_int, (ctypes.py_object, ctypes.c_char_p)

#: (ufunc, dtypes, strides) -> the loop, and what owns its context
_found: dict[Any, tuple[Loop | None, Any]] = {}


def loop_of(ufunc: np.ufunc, dtypes: tuple[np.dtype[Any], ...], strides: tuple[int, ...]) -> Loop | None:
    """The loop over operands and results of exactly these dtypes; None: there is none that can be called from outside.

    Args:
        strides: bytes between elements of each. Loops of numbers take any; NumPy is told those that are 0 or packed.
    """
    known = tuple(s if s in (0, d.itemsize) else None for s, d in zip(strides, dtypes, strict=True))
    key = (ufunc, dtypes, known)
    try:
        return _found[key][0]
    except KeyError:
        found = _found[key] = _ask(ufunc, dtypes, known)
        return found[0]


def _ask(
    ufunc: np.ufunc, dtypes: tuple[np.dtype[Any], ...], strides: tuple[int | None, ...]
) -> tuple[Loop | None, Any]:
    resolve = getattr(ufunc, "_resolve_dtypes_and_context", None)
    get = getattr(ufunc, "_get_strided_loop", None)
    if resolve is None or get is None:
        return None, None
    try:
        resolved, capsule = resolve(dtypes)
        if tuple(resolved) != dtypes or not _is_valid(capsule, _NAME):
            return None, None
        get(capsule, fixed_strides=strides)
    except TypeError:
        return None, None  # no such loop, or NumPy asks for other arguments
    info = _Info.from_address(_pointer(capsule, _NAME))
    if info.needs_interpreter or not info.loop:
        return None, None
    return Loop(info.loop, info.context or 0, info.auxiliary or 0), capsule


__all__ = ["Loop", "loop_of"]
