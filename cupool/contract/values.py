"""Python values <-> `cupool.v1.Value`: literals of forms, side-table entries, host results. No pickle, no eval.

Boundary: knows NumPy and nothing of remote arrays; a caller that has some passes a `leaf` function that turns them into a
`HandleRef` or a `SlotRef`.

`kinds` says what messages are made of: `contract/messages.py`, or None for protobuf's classes, which are loaded then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cupool.contract.errors import ProtocolError

#: As `cupool.v1.Slot` numbers them.
SLOT_HANDLE, SLOT_INTEGER, SLOT_REAL, SLOT_VALUE = 1, 2, 3, 4

#: Deeper nesting is refused. Protobuf's own bound is 100 messages.
MAX_DEPTH = 32


class HandleRef:
    """A remote array or object inside a value."""

    __slots__ = ("handle",)

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def __eq__(self, other: object) -> bool:
        return type(other) is HandleRef and other.handle == self.handle

    def __hash__(self) -> int:
        return hash((HandleRef, self.handle))

    def __repr__(self) -> str:
        return f"HandleRef({self.handle})"


class SlotRef:
    """A hole in a form, filled by a word of each command."""

    __slots__ = ("kind",)

    def __init__(self, kind: int) -> None:
        self.kind = kind

    def __eq__(self, other: object) -> bool:
        return type(other) is SlotRef and other.kind == self.kind

    def __hash__(self) -> int:
        return hash((SlotRef, self.kind))

    def __repr__(self) -> str:
        return f"SlotRef({self.kind})"


_value_pb2: Any = None


def _protobuf() -> Any:
    global _value_pb2
    if _value_pb2 is None:
        from cupool.v1 import value_pb2

        _value_pb2 = value_pb2
    return _value_pb2


def encode(value: Any, leaf: Callable[[Any], Any] | None = None, depth: int = 0, kinds: Any = None) -> Any:
    """As a `cupool.v1.Value`.

    Args:
        value: None, bool, int, float, complex, str, bytes, tuple, list, dict with str keys, slice, Ellipsis, a numpy dtype,
            dtype class, scalar or array, HandleRef, SlotRef.
        leaf: called on anything else; returns a value of the kinds above.

    Raises:
        TypeError: a value of another kind.
    """
    if depth > MAX_DEPTH:
        raise TypeError(f"value nested deeper than {MAX_DEPTH}")
    pb = kinds or _protobuf()
    encoder = _ENCODERS.get(type(value))
    if encoder is not None:
        return encoder(value, leaf, depth, pb)
    if isinstance(value, np.dtype):
        return pb.Value(dtype=dtype_to_wire(value, 0, pb))
    if isinstance(value, type) and issubclass(value, np.generic):
        return pb.Value(dtype=dtype_to_wire(np.dtype(value), 0, pb))
    if isinstance(value, np.generic):
        return pb.Value(array=array_to_wire(np.asarray(value), True, pb))
    if isinstance(value, np.ndarray):
        return pb.Value(array=array_to_wire(value, False, pb))
    if leaf is not None:
        return encode(leaf(value), None, depth + 1, pb)
    base: Any
    for base in (bool, int, float, complex, str, bytes, tuple, list):
        if isinstance(value, base):
            return _ENCODERS[base](base(value), leaf, depth, pb)
    raise TypeError(f"a value of type {type(value).__name__} cannot be sent to the server")


def _encode_int(value: int, leaf: Any, depth: int, pb: Any) -> Any:
    if -(1 << 63) <= value < (1 << 63):
        return pb.Value(integer=value)
    if value.bit_length() > 511:
        raise OverflowError("Python integer beyond 512 bits cannot be sent to the server")
    return pb.Value(big_integer=value.to_bytes(64, "little", signed=True))


def _encode_sequence(value: Any, leaf: Any, depth: int, pb: Any) -> Any:
    return pb.Sequence(items=[encode(item, leaf, depth + 1, pb) for item in value])


def _encode_slice(value: slice, leaf: Any, depth: int, pb: Any) -> Any:
    start, stop, step = (encode(v, leaf, depth + 1, pb) for v in (value.start, value.stop, value.step))
    return pb.Value(slice=pb.SliceValue(start=start, stop=stop, step=step))


_ENCODERS: dict[type, Callable[[Any, Any, int, Any], Any]] = {
    type(None): lambda v, leaf, d, pb: pb.Value(none=pb.Unit()),
    bool: lambda v, leaf, d, pb: pb.Value(boolean=v),
    int: _encode_int,
    float: lambda v, leaf, d, pb: pb.Value(real=v),
    complex: lambda v, leaf, d, pb: pb.Value(complex=pb.Complex(real=v.real, imag=v.imag)),
    str: lambda v, leaf, d, pb: pb.Value(text=v),
    bytes: lambda v, leaf, d, pb: pb.Value(blob=v),
    bytearray: lambda v, leaf, d, pb: pb.Value(blob=bytes(v)),
    memoryview: lambda v, leaf, d, pb: pb.Value(blob=bytes(v)),
    tuple: lambda v, leaf, d, pb: pb.Value(tuple=_encode_sequence(v, leaf, d, pb)),
    list: lambda v, leaf, d, pb: pb.Value(list=_encode_sequence(v, leaf, d, pb)),
    dict: lambda v, leaf, d, pb: pb.Value(mapping=pb.Mapping(items=named(v, leaf, d + 1, pb))),
    slice: _encode_slice,
    type(Ellipsis): lambda v, leaf, d, pb: pb.Value(ellipsis=pb.Unit()),
    HandleRef: lambda v, leaf, d, pb: pb.Value(handle=v.handle),
    SlotRef: lambda v, leaf, d, pb: pb.Value(slot=v.kind),
}


def named(
    values: Mapping[str, Any], leaf: Callable[[Any], Any] | None = None, depth: int = 0, kinds: Any = None
) -> list[Any]:
    """A mapping as a list of `cupool.v1.NamedValue`."""
    pb = kinds or _protobuf()
    return [pb.NamedValue(name=name, value=encode(value, leaf, depth, pb)) for name, value in values.items()]


def from_named(items: Any) -> dict[str, Any]:
    """The mapping that a list of `cupool.v1.NamedValue` holds."""
    return {item.name: decode(item.value) for item in items}


def decode(message: Any, leaf: Callable[[HandleRef | SlotRef], Any] | None = None, depth: int = 0) -> Any:
    """The Python value of a `cupool.v1.Value`.

    Args:
        message: the Value.
        leaf: turns HandleRef and SlotRef leaves into something else; None keeps them.

    Raises:
        ProtocolError: empty, too deep, or inconsistent (an array whose bytes do not fit its shape).
    """
    if depth > MAX_DEPTH:
        raise ProtocolError(f"Value nested deeper than {MAX_DEPTH}.")
    kind = message.WhichOneof("kind")
    if kind is None:
        raise ProtocolError("Value with no kind set.")
    return _DECODERS[kind](getattr(message, kind), leaf, depth)


def _items(message: Any, leaf: Any, depth: int) -> list[Any]:
    return [decode(item, leaf, depth + 1) for item in message.items]


def _leaf(ref: HandleRef | SlotRef, leaf: Any) -> Any:
    return ref if leaf is None else leaf(ref)


def _decode_big(data: bytes) -> int:
    if len(data) > 64:
        raise ProtocolError("Value.big_integer longer than 64 bytes.")
    return int.from_bytes(data, "little", signed=True)


_DECODERS: dict[str, Callable[[Any, Any, int], Any]] = {
    "none": lambda m, leaf, d: None,
    "boolean": lambda m, leaf, d: m,
    "integer": lambda m, leaf, d: m,
    "big_integer": lambda m, leaf, d: _decode_big(m),
    "real": lambda m, leaf, d: m,
    "complex": lambda m, leaf, d: complex(m.real, m.imag),
    "text": lambda m, leaf, d: m,
    "blob": lambda m, leaf, d: m,
    "array": lambda m, leaf, d: array_from_wire(m),
    "tuple": lambda m, leaf, d: tuple(_items(m, leaf, d)),
    "list": lambda m, leaf, d: _items(m, leaf, d),
    "mapping": lambda m, leaf, d: {item.name: decode(item.value, leaf, d + 1) for item in m.items},
    "slice": lambda m, leaf, d: slice(*(decode(v, leaf, d + 1) for v in (m.start, m.stop, m.step))),
    "ellipsis": lambda m, leaf, d: Ellipsis,
    "dtype": lambda m, leaf, d: dtype_from_wire(m),
    "handle": lambda m, leaf, d: _leaf(HandleRef(m), leaf),
    "slot": lambda m, leaf, d: _leaf(SlotRef(m), leaf),
}


#: A dtype's bounds on the wire.
MAX_DTYPE_DEPTH, MAX_DTYPE_FIELDS, MAX_ITEMSIZE = 8, 4096, 1 << 20


def dtype_to_wire(dtype: np.dtype[Any], depth: int = 0, kinds: Any = None) -> Any:
    """As a `cupool.v1.Dtype`.

    Raises:
        ValueError: what `dtype_from_wire` would refuse.
    """
    if dtype.hasobject or dtype.kind not in _PLAIN_KINDS:
        raise ValueError(f"Unsupported dtype {dtype}")
    if depth > MAX_DTYPE_DEPTH or len(dtype.names or ()) > MAX_DTYPE_FIELDS or dtype.itemsize > MAX_ITEMSIZE:
        raise ValueError(
            f"A dtype of {dtype.itemsize} bytes and {len(dtype.names or ())} fields is too large: at most {MAX_ITEMSIZE} bytes, "
            f"{MAX_DTYPE_FIELDS} fields and {MAX_DTYPE_DEPTH} levels of nesting travel to a server. Use several arrays."
        )
    pb = kinds or _protobuf()
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return pb.Dtype(
            code="",
            subshape=shape,
            fields=[pb.DtypeField(dtype=dtype_to_wire(base, depth + 1, pb))],
            itemsize=dtype.itemsize,
        )
    if dtype.fields:
        layout: Any = dtype.fields
        fields = [
            pb.DtypeField(name=name, dtype=dtype_to_wire(layout[name][0], depth + 1, pb), offset=layout[name][1])
            for name in dtype.names or ()
        ]
        return pb.Dtype(code="", fields=fields, itemsize=dtype.itemsize)
    if dtype.kind == "V" and dtype.type is not np.void:  # ml_dtypes: bfloat16 and its kin
        return pb.Dtype(code=dtype.name)
    return pb.Dtype(code=dtype.str)


_PLAIN_KINDS = frozenset("biufcVSUmM")
_dtypes: dict[str, np.dtype[Any]] = {}


def dtype_from_wire(message: Any, depth: int = 0) -> np.dtype[Any]:
    """The dtype of a `cupool.v1.Dtype`. Object dtypes and unknown codes are refused with ProtocolError."""
    code = message.code
    known = _dtypes.get(code)
    if known is not None and not message.fields:
        return known
    if (
        depth > MAX_DTYPE_DEPTH
        or len(code) > 16
        or len(message.fields) > MAX_DTYPE_FIELDS
        or message.itemsize > MAX_ITEMSIZE
    ):
        raise ProtocolError("Dtype out of bounds.")
    try:
        if message.subshape:
            return np.dtype((dtype_from_wire(message.fields[0].dtype, depth + 1), tuple(message.subshape)))
        if message.fields:
            return np.dtype(
                {
                    "names": [f.name for f in message.fields],
                    "formats": [dtype_from_wire(f.dtype, depth + 1) for f in message.fields],
                    "offsets": [f.offset for f in message.fields],
                    "itemsize": message.itemsize,
                }
            )
        dtype: np.dtype[Any]
        if code[:1] in "<>|=" and code:
            dtype = np.dtype(code)
        else:
            import ml_dtypes  # optional: only there when the program uses these types

            dtype = np.dtype(getattr(ml_dtypes, code))
    except ProtocolError:
        raise
    except Exception as error:
        raise ProtocolError(f"Dtype {code!r} is not known: {error}") from None
    if dtype.kind not in _PLAIN_KINDS or dtype.hasobject:
        raise ProtocolError(f"Dtype {code!r} is not allowed on the wire.")
    if len(_dtypes) < 1024:
        _dtypes[code] = dtype
    return dtype


def array_to_wire(array: np.ndarray[Any, Any], scalar: bool = False, kinds: Any = None) -> Any:
    """As a `cupool.v1.ArrayValue`. Raises TypeError for object arrays."""
    if array.dtype.hasobject:
        raise TypeError("arrays of Python objects cannot be sent to the server")
    pb = kinds or _protobuf()
    return pb.ArrayValue(
        dtype=dtype_to_wire(array.dtype, 0, pb), shape=array.shape, data=array.tobytes(), scalar=scalar
    )


def array_from_wire(message: Any) -> Any:
    """A writable numpy array, or a numpy scalar when `scalar` is set. The bytes must fit the shape exactly."""
    dtype = dtype_from_wire(message.dtype)
    shape = tuple(message.shape)
    size = 0 if 0 in shape else dtype.itemsize
    for n in shape:
        size *= n
        if size > len(message.data):
            break
    if size != len(message.data) or len(shape) > 64 or max(shape, default=0) >= 1 << 62:
        raise ProtocolError(f"ArrayValue of shape {shape} and {dtype} needs {size} bytes, has {len(message.data)}.")
    try:
        array: Any = (
            np.frombuffer(bytearray(message.data), dtype).reshape(shape) if message.data else np.empty(shape, dtype)
        )
    except ValueError as error:
        raise ProtocolError(f"ArrayValue of shape {shape} and {dtype} cannot be: {error}.") from None
    return array[()] if message.scalar else array
