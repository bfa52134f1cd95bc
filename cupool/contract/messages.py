"""Messages of `proto/` in plain Python: the same fields and the same bytes as protobuf's classes, for a client that is just starting.

Loading protobuf takes as long as the rest of the client. So what a program says and hears until its first results is written and read
here, from tables that `tools/generate.py` makes of the same descriptors (`_schema.py`); `tests/contract/test_wire_plain.py` compares
bytes and refusals with protobuf's for random messages of every kind. Servers, and clients from some frames on, use protobuf, which is
faster.

Boundary: syntax. A field that is not known is skipped. Of protobuf's interface there is what the client uses: fields by name, `HasField`,
`WhichOneof`, `SerializeToString`, `FromString`. A field of several values that is not set is an empty tuple; one message within another is
put there by the constructor, not changed in place.
"""

from __future__ import annotations

import struct
from operator import index
from typing import Any, ClassVar

from cupool.contract._schema import SCHEMA
from cupool.contract.codec import varint
from cupool.contract.errors import ProtocolError

#: Deeper nesting is refused, as protobuf does.
MAX_DEPTH = 100
_MASK = (1 << 64) - 1
_DOUBLE = struct.Struct("<d")
_ZERO = bytes(8)
#: Read when they are looked at: long, and most programs never do.
_LATER = frozenset({"DeviceInfo"})
#: Before the name of a field that has not been read.
_UNREAD = "unread "
#: Type -> wire type; what is not here is a message.
_WIRE = {
    "uint": 0,
    "uint32": 0,
    "int": 0,
    "int32": 0,
    "sint": 0,
    "bool": 0,
    "enum": 0,
    "double": 1,
    "string": 2,
    "bytes": 2,
}
_DEFAULTS: dict[str, Any] = {"bool": False, "double": 0.0, "string": "", "bytes": b""}


class _Field:
    __slots__ = ("group", "is_map", "is_repeated", "kind", "name", "number", "tag", "wire")

    def __init__(self, text: str) -> None:
        """`text`: as `_schema.py` says."""
        number, self.name, kind, *group = text.split(" ")
        self.number = int(number)
        self.is_map, self.is_repeated = kind[0] == "%", kind[0] in "*%"
        self.kind = kind.lstrip("*%")
        self.group = group[0] if group else ""
        self.wire = 2 if self.is_map else _WIRE.get(self.kind, 2)
        is_packed = self.is_repeated and self.wire != 2
        self.tag = varint(self.number << 3 | (2 if is_packed else self.wire))


class Message:
    """Base of all; see the module's first lines."""

    _fields: ClassVar[dict[str, _Field]] = {}
    _numbers: ClassVar[dict[int, _Field]] = {}

    def __init__(self, **values: Any) -> None:
        """Raises ValueError for a field that is not one of the message's."""
        for name, value in values.items():
            field = self._fields.get(name)
            if field is None:
                raise ValueError(f"{type(self).__name__} has no field {name!r}")
            if value is not None:
                self._set(field, dict(value) if field.is_map else list(value) if field.is_repeated else value)

    def _set(self, field: _Field, value: Any) -> None:
        known = self.__dict__
        if field.group:
            for other in self._fields.values():
                if other.group == field.group:
                    known.pop(other.name, None)
        known[field.name] = value

    def __getattr__(self, name: str) -> Any:
        field = self._fields.get(name)
        if field is None:
            raise AttributeError(f"{type(self).__name__} has no field {name!r}")
        if field.is_map:
            return {}
        if field.is_repeated:
            return ()
        unread = self.__dict__.get(_UNREAD + name)
        if unread is None:
            return _class(field.kind)()
        value = self.__dict__[name] = _class(field.kind).FromString(unread)
        return value

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.SerializeToString() == self.SerializeToString()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.__dict__.items())})"

    def HasField(self, name: str) -> bool:
        """Whether a message, or an alternative, is there."""
        return name in self.__dict__ or _UNREAD + name in self.__dict__

    def WhichOneof(self, group: str) -> str | None:
        """Which alternative is there."""
        for name in self.__dict__:
            if self._fields[name].group == group:
                return name
        return None

    def SerializeToString(self, deterministic: bool = True) -> bytes:
        """The bytes, as protobuf writes them."""
        parts: list[bytes] = []
        known = self.__dict__
        for name, field in self._fields.items():
            if name in known:
                _write(parts, field, known[name])
            elif _UNREAD + name in known:
                parts += (field.tag, _scalar("bytes", known[_UNREAD + name]))
        return b"".join(parts)

    @classmethod
    def FromString(cls, data: bytes) -> Any:
        """Raises ProtocolError: that is none of these."""
        return _read(cls(), data, 0, len(data), 0)


# -- writing ----------------------------------------------------------------------------------------------------------
def _scalar(kind: str, value: Any) -> bytes:
    if kind == "string":
        data: bytes = value.encode()
        return varint(len(data)) + data
    if kind == "bytes":
        return varint(len(value)) + bytes(value)
    if kind == "double":
        return _DOUBLE.pack(value)
    number = index(value)
    if kind == "sint":
        number = number << 1 ^ number >> 63
    return varint(number & _MASK)


def _write(parts: list[bytes], field: _Field, value: Any) -> None:
    kind, tag = field.kind, field.tag
    if field.is_map:
        for key in sorted(value):
            entry = b"".join((b"\x0a", _scalar("string", key), b"\x12", _scalar(kind, value[key])))
            parts += (tag, varint(len(entry)), entry)
    elif kind not in _WIRE:
        for each in value if field.is_repeated else (value,):
            data = each.SerializeToString()
            parts += (tag, varint(len(data)), data)
    elif not field.is_repeated:
        data = _scalar(kind, value)
        if field.group or data != (_ZERO if kind == "double" else b"\0"):
            parts += (tag, data)
    elif field.wire == 2:
        for each in value:
            parts += (tag, _scalar(kind, each))
    elif value:
        data = b"".join([_scalar(kind, each) for each in value])
        parts += (tag, varint(len(data)), data)


# -- reading ----------------------------------------------------------------------------------------------------------
def _number(data: bytes, at: int, end: int) -> tuple[int, int]:
    """(a varint, where it ends)"""
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK, at
        shift += 7
    raise ProtocolError("Message: a number is cut off or too long.")


def _from_varint(kind: str, value: int) -> Any:
    if kind == "uint":
        return value
    if kind == "bool":
        return value != 0
    if kind == "sint":
        return value >> 1 ^ -(value & 1)
    if kind == "int":
        return value - (1 << 64) if value >> 63 else value
    value &= 0xFFFF_FFFF
    return value - (1 << 32) if kind != "uint32" and value >> 31 else value


def _from_bytes(kind: str, data: bytes) -> Any:
    if kind == "bytes":
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ProtocolError("Message: text that is not UTF-8.") from None


def _read(message: Any, data: bytes, at: int, end: int, depth: int) -> Any:
    """Fill a message from `data[at:end]`."""
    if depth > MAX_DEPTH:
        raise ProtocolError("Message: nested too deep.")
    numbers, known = message._numbers, message.__dict__
    while at < end:
        key = data[at]
        at += 1
        if key > 0x7F:
            key, at = _number(data, at - 1, end)
            if key >> 32:
                raise ProtocolError("Message: a field's number is out of range.")
        wire = key & 7
        field = numbers.get(key >> 3)
        value: Any
        if wire == 0:
            value, at = _number(data, at, end)
        elif wire == 2:
            size, at = _number(data, at, end)
            if size > end - at:
                raise ProtocolError("Message: cut off.")
            at += size
            value = None
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            if size > end - at:
                raise ProtocolError("Message: cut off.")
            at += size
            value = _DOUBLE.unpack_from(data, at - 8)[0] if wire == 1 else None
        else:
            raise ProtocolError("Message: a field of a type that is not used.")
        if field is None:
            if not key >> 3:
                raise ProtocolError("Message: a field's number is out of range.")
            continue
        kind = field.kind
        if wire != field.wire:
            if field.is_repeated and wire == 2:
                known.setdefault(field.name, []).extend(_packed(field, data, at - size, at))
            continue  # another type: not known here
        if wire == 0:
            value = _from_varint(kind, value)
        elif wire == 2:
            if field.is_map:
                entry_key, entry_value = _entry(kind, data, at - size, at)
                known.setdefault(field.name, {})[entry_key] = entry_value
                continue
            if kind in _WIRE:
                value = _from_bytes(kind, data[at - size : at])
            elif field.is_repeated:
                value = _read(_class(kind)(), data, at - size, at, depth + 1)
            elif kind in _LATER:
                unread = _UNREAD + field.name
                known[unread] = known.get(unread, b"") + data[at - size : at]  # said in two parts, they are one
                continue
            else:
                # Said in two parts, they are one.
                before = known.get(field.name)
                value = _read(_class(kind)() if before is None else before, data, at - size, at, depth + 1)
        if field.is_repeated:
            known.setdefault(field.name, []).append(value)
        elif field.group:
            message._set(field, value)
        else:
            known[field.name] = value
    return message


def _packed(field: _Field, data: bytes, at: int, end: int) -> list[Any]:
    values = []
    while at < end:
        value, at = _number(data, at, end)
        values.append(_from_varint(field.kind, value))
    return values


def _entry(kind: str, data: bytes, at: int, end: int) -> tuple[str, Any]:
    """Of a map with texts for keys."""
    found: dict[int, bytes] = {}
    while at < end:
        key, at = _number(data, at, end)
        size, at = _number(data, at, end)
        if key not in (0x0A, 0x12) or size > end - at:
            raise ProtocolError("Message: a map's entry is malformed.")
        found[key] = data[at : at + size]
        at += size
    return _from_bytes("string", found.get(0x0A, b"")), _from_bytes(kind, found.get(0x12, b""))


# -- classes ----------------------------------------------------------------------------------------------------------
_classes: dict[str, type[Message]] = {}


def _class(name: str) -> type[Message]:
    found = _classes.get(name)
    if found is None:
        fields = [_Field(text) for text in filter(None, SCHEMA[name].split("|"))]
        members: dict[str, Any] = {
            "_fields": {field.name: field for field in fields},
            "_numbers": {field.number: field for field in fields},
            **{f.name: _DEFAULTS.get(f.kind, 0) for f in fields if not f.is_repeated and f.kind in _WIRE},
        }
        found = _classes[name] = type(name, (Message,), members)
    return found


def __getattr__(name: str) -> Any:
    if name in SCHEMA:
        return _class(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
