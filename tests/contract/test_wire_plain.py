"""Messages in plain Python against protobuf's: the same bytes for the same fields, the same fields and refusals for the same bytes."""

from __future__ import annotations

import importlib.util
import random
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import DecodeError

from cupool.contract import messages, values
from cupool.contract._schema import SCHEMA
from cupool.contract.errors import ProtocolError
from cupool.v1 import pool_pb2, session_pb2, value_pb2

THEIRS = {
    name: getattr(module, name)
    for module in (value_pb2, session_pb2, pool_pb2)
    for name in SCHEMA
    if hasattr(module, name)
}


@cache
def fuzz_module() -> Any:
    found = importlib.util.spec_from_file_location("fuzz_wire", Path(__file__).with_name("fuzz_wire.py"))
    assert found is not None and found.loader is not None
    module = sys.modules["fuzz_wire"] = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def copied(message: Any) -> Any:
    """The same in plain Python, made field by field."""
    fields: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.message_type is None:
            fields[field.name] = list(value) if field.is_repeated else value
        elif field.message_type.GetOptions().map_entry:
            fields[field.name] = dict(value)
        else:
            fields[field.name] = [copied(each) for each in value] if field.is_repeated else copied(value)
    return getattr(messages, message.DESCRIPTOR.name)(**fields)


def same(ours: Any, theirs: Any) -> None:
    """Field by field, those that are not there too."""
    for field in theirs.DESCRIPTOR.fields:
        mine, other = getattr(ours, field.name), getattr(theirs, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            assert dict(mine) == dict(other)
        elif field.is_repeated:
            assert len(mine) == len(other)
            for a, b in zip(mine, other, strict=True):
                assert a == b if field.message_type is None else same(a, b) is None
        elif field.message_type is not None:
            assert ours.HasField(field.name) == theirs.HasField(field.name), field.full_name
            if theirs.HasField(field.name):
                same(mine, other)
        else:
            assert repr(mine) == repr(other), field.full_name
            if field.containing_oneof is not None:
                assert ours.HasField(field.name) == theirs.HasField(field.name)
    for group in theirs.DESCRIPTOR.oneofs:
        assert ours.WhichOneof(group.name) == theirs.WhichOneof(group.name)


def test_every_message_has_its_fields() -> None:
    assert THEIRS.keys() == SCHEMA.keys()


@pytest.mark.parametrize("name", SCHEMA)
def test_the_same_bytes_both_ways(name: str) -> None:
    source, module = random.Random(name), fuzz_module()
    for _ in range(40):
        theirs = module.random_message(source, THEIRS[name]())
        data = theirs.SerializeToString(deterministic=True)
        read = getattr(messages, name).FromString(data)
        assert read.SerializeToString() == data
        same(read, theirs)
        assert copied(theirs).SerializeToString() == data


@pytest.mark.parametrize("name", ["ServerFrame", "Form", "Value", "Lease", "Result"])
def test_damaged_bytes_are_read_or_refused_alike(name: str) -> None:
    source, module = random.Random(f"damaged {name}"), fuzz_module()
    refused = read = 0
    for _ in range(600):
        data = bytearray(module.random_message(source, THEIRS[name]()).SerializeToString())
        for _ in range(source.randint(1, 3)):
            if data:
                at = source.randrange(len(data))
                data[at : at + source.choice((0, 1, 1, 1, 4))] = source.randbytes(source.choice((0, 1, 1, 2)))
        try:
            theirs = THEIRS[name].FromString(bytes(data))
        except DecodeError:
            with pytest.raises(ProtocolError):
                everything(getattr(messages, name).FromString(bytes(data)))
            refused += 1
            continue
        try:
            ours = everything(getattr(messages, name).FromString(bytes(data)))
        except ProtocolError as error:
            # Groups, which nobody writes, protobuf skips. So it does with a map's entry of other fields.
            assert "type that is not used" in str(error) or "map's entry" in str(error), data
            continue
        theirs.DiscardUnknownFields()
        assert ours.SerializeToString() == theirs.SerializeToString(deterministic=True)
        read += 1
    assert refused > 50 and read > 50


def everything(message: Any) -> Any:
    """The message, when what is read later has been read, too."""
    if type(message).__name__ == "ServerFrame" and message.hello.HasField("device"):
        assert message.hello.device is not None
    return message


def test_depth_is_bounded() -> None:
    data = b""
    for _ in range(60):
        data = wrapped(data)
    with pytest.raises(ProtocolError, match="deep"):
        messages.Value.FromString(data)
    with pytest.raises(DecodeError):
        value_pb2.Value.FromString(data)


def wrapped(data: bytes) -> bytes:
    """A list with this value in it."""
    for tag in (b"\x0a", b"\x5a"):
        size, head = len(data), bytearray(tag)
        while size > 0x7F:
            head.append(size & 0x7F | 0x80)
            size >>= 7
        data = bytes([*head, size]) + data
    return data


def test_values_are_written_alike_by_both() -> None:
    source, module = random.Random(8), fuzz_module()
    written = 0
    for _ in range(1500):
        try:
            content = values.decode(module.random_message(source, value_pb2.Value()))
        except ProtocolError:
            continue
        theirs = values.encode(content)
        ours = values.encode(content, kinds=messages)
        assert ours.SerializeToString() == theirs.SerializeToString()
        assert repr(values.decode(ours)) == repr(content)
        written += 1
    assert written > 250


def test_what_is_not_a_field_is_an_error() -> None:
    with pytest.raises(ValueError, match="no field 'sequence'"):
        messages.Batch(sequence=1)
    with pytest.raises(AttributeError, match="no field 'sequence'"):
        messages.Batch().sequence  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        messages.Nothing  # noqa: B018
