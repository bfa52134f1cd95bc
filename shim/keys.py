"""Keys of calls: what of an argument decides a plan, and the words of its slots.

A walker takes (argument, slots), returns the key of the argument and appends the words of its slots.

Boundary: nothing is sent here, but a host array that is too large for a batch is uploaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops._row import UNKNOWN
from cupool.contract.values import HandleRef

from . import session
from .objects import RemoteObject
from .operators import double_bits
from .wire import value_bytes

#: Longer sequences of arrays travel as one side-table value, so that each length does not need a form of many slots.
LONG_SEQUENCE = 64
#: Host arrays up to this size travel in the batch, wherever the server is. Half the protocol's default, to leave room in a frame.
INLINE_BYTES = 32 * 1024
#: Host arrays up to this size are compared by content; plans of calls with larger ones are not kept.
KEYED_BYTES = 512

# Set by `array.py`, which imports what imports this.
ndarray: Any = None


#: Key of an argument that is its parameter's default: it is left out of the form.
DEFAULT = ("default",)
#: Part of the key of a call that is not worth keeping: its plan is made anew each time.
NO_KEY = object()


def _walk_array(a: Any, slots: list[Any]) -> Any:
    slots.append(a._handle)
    spec = a._spec
    return spec if spec is not None else a._probe or UNKNOWN


def _walk_same(value: Any, slots: list[Any]) -> Any:
    return value


def _walk_typed(value: Any, slots: list[Any]) -> Any:
    return type(value), value


def _walk_float(value: float, slots: list[Any]) -> Any:
    return float, value.hex()


def _walk_complex(value: complex, slots: list[Any]) -> Any:
    return complex, value.real.hex(), value.imag.hex()


def _walk_sequence(items: Any, slots: list[Any]) -> Any:
    if len(items) > LONG_SEQUENCE and all(isinstance(item, ndarray) for item in items):
        slots.append(_long_sequence(items))
        return (type(items), "long", *(a._spec if a._spec is not None else UNKNOWN for a in items))
    return (type(items), *(WALK.get(type(item), walk_other)(item, slots) for item in items))


def _long_sequence(items: Any) -> bytes:
    refs = [HandleRef(a._handle) for a in items]
    return value_bytes(type(items)(refs))


def _walk_varying_sequence(items: Any, slots: list[Any]) -> Any:
    if len(items) > LONG_SEQUENCE and all(isinstance(item, ndarray) for item in items):
        return _walk_sequence(items, slots)
    return (type(items), *(WALK_VARYING.get(type(item), walk_other)(item, slots) for item in items))


def _walk_dict(items: dict[str, Any], slots: list[Any]) -> Any:
    return (dict, *((name, WALK.get(type(item), walk_other)(item, slots)) for name, item in items.items()))


def _walk_slice(value: slice, slots: list[Any]) -> Any:
    return (slice, *(WALK.get(type(v), walk_other)(v, slots) for v in (value.start, value.stop, value.step)))


def _walk_host_array(value: Any, slots: list[Any]) -> Any:
    if value.dtype.hasobject:
        return NO_KEY
    slots.append(_host_word(value))
    if value.nbytes > KEYED_BYTES:
        return NO_KEY
    return np.ndarray, value.dtype, value.shape, value.tobytes()


def _host_word(value: Any) -> bytes:
    """The side-table value of a host array; one that is too large for a batch is uploaded first."""
    if value.nbytes > INLINE_BYTES:
        from . import convert

        return value_bytes(HandleRef(convert.upload(value)._handle))
    return value_bytes(value)


def _walk_host_scalar(value: Any, slots: list[Any]) -> Any:
    return type(value), value.dtype, value.tobytes()


def walk_other(value: Any, slots: list[Any]) -> Any:
    if isinstance(value, ndarray):
        return _walk_array(value, slots)
    if isinstance(value, RemoteObject):
        session.check_handle(value.handle)
        slots.append(value.handle)
        return type(value)
    if isinstance(value, np.ndarray):
        return _walk_host_array(value, slots)
    if isinstance(value, np.generic):
        return _walk_host_scalar(value, slots)
    if isinstance(value, (np.dtype, type)):
        return value
    walk: Any
    for base, walk in (
        (bool, _walk_typed),
        (int, _walk_same),
        (float, _walk_float),
        (str, _walk_same),
        (tuple, _walk_sequence),
    ):
        if isinstance(value, base):
            return type(value), walk(value, slots)
    return NO_KEY


WALK: dict[type, Callable[[Any, list[Any]], Any]] = {
    type(None): _walk_same,
    bool: _walk_typed,
    int: _walk_same,
    str: _walk_same,
    bytes: _walk_same,
    float: _walk_float,
    complex: _walk_complex,
    tuple: _walk_sequence,
    list: _walk_sequence,
    dict: _walk_dict,
    slice: _walk_slice,
    type(Ellipsis): _walk_same,
    type: _walk_same,
    np.ndarray: _walk_host_array,
}


def _walk_varying_int(value: int, slots: list[Any]) -> Any:
    # Rules look at a varying integer's sign and size at most (does it fit the loop?).
    # -128 fits where 128 does not: a negative number is as long as its complement.
    bits = (~value if value < 0 else value).bit_length()
    if bits > 63:
        slots.append(value_bytes(value))
        return int, value < 0, bits, value
    slots.append(value)
    return int, value < 0, (bits > 7) + (bits > 8) + (bits > 15) + (bits > 16) + (bits > 31) + (bits > 32)


def _walk_varying_float(value: float, slots: list[Any]) -> Any:
    slots.append(double_bits(value))
    return float


def _walk_varying_value(value: Any, slots: list[Any]) -> Any:
    slots.append(value_bytes(value))
    return type(value)


def _walk_varying_scalar(value: Any, slots: list[Any]) -> Any:
    slots.append(value_bytes(value))
    # Small ints of NumPy types are strong, so their value does not matter to a rule.
    return type(value), value.dtype


WALK_VARYING: dict[type, Callable[[Any, list[Any]], Any]] = {
    **WALK,
    int: _walk_varying_int,
    float: _walk_varying_float,
    complex: _walk_varying_value,
    bool: _walk_varying_value,
    list: _walk_varying_sequence,
    tuple: _walk_varying_sequence,
}


def register_array_class(cls: type) -> None:
    """The array class, plain or a subclass, gets walkers of its own. NumPy's scalar types too, once."""
    WALK[cls] = WALK_VARYING[cls] = _walk_array


for _scalar in {np.void, *(np.dtype(c).type for c in "?bBhHiIlLqQefdFD")}:
    WALK[_scalar] = _walk_host_scalar
    WALK_VARYING[_scalar] = _walk_varying_scalar
