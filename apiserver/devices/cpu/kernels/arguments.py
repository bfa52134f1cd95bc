"""From the arguments of a launch to the bytes that a kernel's parameters get. Pure.

CUDA copies as many bytes as the parameter has, whatever was given. Here what would come out as garbage is an error: a real number
of another width, a number for another kind of parameter, an integer that does not fit. An integer of another width is taken by value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .engine import Parameter

_KINDS = {"p": "a pointer", "i": "an integer", "f": "a real number", "s": "a struct"}


def pack(parameter: Parameter, value: Any, index: int) -> bytes:
    """The bytes of a scalar argument (None: a null pointer). Raises TypeError, OverflowError or ValueError."""
    if value is None:
        if parameter.kind != "p":
            raise _wrong(parameter, index, "None")
        return bytes(parameter.nbytes)
    scalar = as_scalar(value)
    dtype = scalar.dtype
    if parameter.kind in "ip":
        if dtype.kind not in "biu":
            raise _wrong(parameter, index, str(dtype))
        return _integer(parameter, int(scalar), index)
    if parameter.kind == "f":
        if dtype.kind != "f" or dtype.itemsize != parameter.nbytes:
            raise _wrong(parameter, index, str(dtype))
        return bytes(scalar.tobytes())
    data = bytes(scalar.tobytes())
    missing = parameter.nbytes - len(data)
    if (missing > 0 and (dtype.kind != "V" or missing >= parameter.alignment)) or (missing < 0 and dtype.kind != "V"):
        raise _wrong(parameter, index, f"{dtype} ({len(data)} bytes)")
    return data + bytes(max(missing, 0))


def as_scalar(value: Any) -> Any:
    """A NumPy scalar of the width that CuPy gives a Python number."""
    if isinstance(value, np.generic):
        return value
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.uint64(value) if value >= 1 << 63 else np.int64(value)
    if isinstance(value, float):
        return np.float64(value)
    if isinstance(value, complex):
        return np.complex128(value)
    raise TypeError(f"Unsupported type {type(value)}")


def _integer(parameter: Parameter, value: int, index: int) -> bytes:
    bits = 8 * parameter.nbytes
    if not -(1 << (bits - 1)) <= value < 1 << bits:
        raise OverflowError(f"argument {index}: {value} does not fit into a parameter of {parameter.nbytes} bytes")
    return (value & ((1 << bits) - 1)).to_bytes(parameter.nbytes, "little")


def _wrong(parameter: Parameter, index: int, given: str) -> TypeError:
    return TypeError(
        f"argument {index} is {given}; the kernel's parameter is {_KINDS[parameter.kind]} of {parameter.nbytes} bytes. "
        "Pass a value of that type, such as numpy.float32(x)."
    )
