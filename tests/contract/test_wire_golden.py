"""Golden bytes: every message of every protocol version, field by field, as it was first written.

A golden entry never changes; what a version once wrote must be read for as long as the version is supported. To add a message or a
protocol version: `python tests/contract/test_wire_golden.py` appends samples for messages that have none to
`golden_v<number>.json`; look at the diff, it may only add lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from cupool.contract import codec
from cupool.contract.limits import DEFAULT_LIMITS
from cupool.contract.values import SLOT_HANDLE, SlotRef, dtype_to_wire, encode
from cupool.contract.versions import VERSIONS
from cupool.v1 import admin_pb2, agent_pb2, document_pb2, move_pb2, pool_pb2, server_pb2, session_pb2, value_pb2

FILES = (admin_pb2, agent_pb2, document_pb2, move_pb2, pool_pb2, server_pb2, session_pb2, value_pb2)
HERE = Path(__file__).parent
_TEXT = {FieldDescriptor.TYPE_STRING: "text", FieldDescriptor.TYPE_BYTES: b"\x00\xff bytes"}
_DEPTH = 3
#: The batch of the example in session.proto.
WORKED_EXAMPLE = (
    "080118032220080112036164641a038801011a038801012a0d22050a033c66382a01033201082213080212064066657463681a03880101"
    "2a0208012a4801000000000000000300000000000000010000000000000002000000000000000200000000000000040000000000000003"
    "0000000000000000000000000000000100000000000000"
)


def descriptors() -> dict[str, Descriptor]:
    """Every message of the protocol by name."""
    found = {}
    for file in FILES:
        for name, descriptor in file.DESCRIPTOR.message_types_by_name.items():
            found[name] = descriptor
    return found


def _scalar(field: FieldDescriptor) -> Any:
    if field.type in _TEXT:
        return _TEXT[field.type]
    if field.type == FieldDescriptor.TYPE_BOOL:
        return True
    if field.type == FieldDescriptor.TYPE_ENUM:
        return field.enum_type.values[-1].number
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return -1.5
    sign = (
        -1 if field.type in (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_SINT64, FieldDescriptor.TYPE_INT32) else 1
    )
    wide = field.type in (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_SINT64, FieldDescriptor.TYPE_UINT64)
    return sign * (((1 << 40) if wide else (1 << 20)) + field.number)


def fill(message: Any, skip: frozenset[str] = frozenset(), depth: int = 0) -> Any:
    """Set every field that is not in `skip`; of a oneof the first. Nested messages to a small depth."""
    seen = set()
    for field in message.DESCRIPTOR.fields:
        group = field.containing_oneof.name if field.containing_oneof else ""
        if field.name in skip or (group and group in seen):
            continue
        if field.message_type and depth >= _DEPTH:
            continue
        seen.add(group)
        _fill_field(message, field, depth)
    return message


def _fill_field(message: Any, field: FieldDescriptor, depth: int) -> None:
    target = getattr(message, field.name)
    if field.message_type and field.message_type.GetOptions().map_entry:
        target["key"] = b"value"
    elif field.message_type and field.is_repeated:
        fill(target.add(), depth=depth + 1)
    elif field.message_type:
        target.SetInParent()
        fill(target, depth=depth + 1)
    elif field.is_repeated:
        target.append(_scalar(field))
    else:
        setattr(message, field.name, _scalar(field))


def samples(descriptor: Descriptor) -> Iterator[tuple[str, Any]]:
    """(name, message): one with everything set, and one for each choice of a oneof."""
    cls = GetMessageClass(descriptor)
    choices = [f.name for o in descriptor.oneofs for f in o.fields]
    if not choices:
        yield descriptor.name, fill(cls())
    for choice in choices:
        yield f"{descriptor.name}.{choice}", fill(cls(), frozenset(choices) - {choice})


def golden(version: int) -> dict[str, dict[str, str]]:
    path = HERE / f"golden_v{version}.json"
    found: dict[str, dict[str, str]] = json.loads(path.read_text()) if path.exists() else {}
    return found


ENTRIES = [(v.number, name) for v in VERSIONS for name in golden(v.number)]


@pytest.mark.parametrize(("version", "name"), ENTRIES, ids=[f"v{v}-{n}" for v, n in ENTRIES])
def test_golden_bytes_are_read_and_written_as_ever(version: int, name: str) -> None:
    entry = golden(version)[name]
    cls = GetMessageClass(descriptors()[name.partition(".")[0]])
    data = bytes.fromhex(entry["bytes"])
    message = cls.FromString(data)
    assert message == text_format.Parse(entry["text"], cls())
    assert message.SerializeToString(deterministic=True) == data


@pytest.mark.parametrize("version", [v.number for v in VERSIONS])
def test_every_message_is_recorded(version: int) -> None:
    recorded = {name.partition(".")[0] for name in golden(version)}
    missing = set(descriptors()) - recorded
    assert not missing, "record them: python tests/contract/test_wire_golden.py"


def test_the_worked_example_of_the_protocol_description() -> None:
    words = [codec.header(1), 3, 1, 2, codec.header(2), 4, 3, 0, 1]
    data, values = codec.pack_words(words)
    assert words == [1, 3, 1, 2, 2, 4, 3, 0, 1] and values == []
    slot = encode(SlotRef(SLOT_HANDLE))
    add = session_pb2.Form(id=1, op="add", args=[slot, slot], results=[
        session_pb2.ResultSpec(dtype=dtype_to_wire(np.dtype("<f8")), shape=[3], strides=[8])
    ])  # fmt: skip
    fetch = session_pb2.Form(id=2, op="@fetch", args=[slot], results=[session_pb2.ResultSpec(reply=True)])
    batch = session_pb2.Batch(seq=1, count=3, forms=[add, fetch], commands=data)
    assert batch.SerializeToString().hex() == WORKED_EXAMPLE
    assert (
        codec.encode_batch(1, 0, 3, [add.SerializeToString(), fetch.SerializeToString()], data, [], 0)
        == batch.SerializeToString()
    )
    assert codec.read_words(batch, DEFAULT_LIMITS) == words


@pytest.mark.parametrize("seq", [1, 127, 128, 1 << 40])
@pytest.mark.parametrize("position", [0, 1, 1 << 50])
@pytest.mark.parametrize("received", [0, 300])
def test_batches_written_by_hand_are_what_protobuf_writes(seq: int, position: int, received: int) -> None:
    value = encode("text").SerializeToString()
    commands, values = codec.pack_words([5, 1.5, value, -1, True, (1 << 62)])
    batch = session_pb2.Batch(seq=seq, position=position, count=2, commands=commands, received=received)
    batch.values.add().ParseFromString(value)
    data = codec.encode_batch(seq, position, 2, [], commands, values, received)
    assert data == batch.SerializeToString()
    assert codec.batch_frame(data) == session_pb2.ClientFrame(batch=batch).SerializeToString()


def test_header_fields() -> None:
    word = codec.header(codec.FORM_MASK, codec.DEVICE_MASK, codec.STREAM_MASK, codec.TAG_MASK)
    assert word == (1 << 63) - 1
    assert codec.real_of(codec.real_bits(-0.1)) == -0.1


def main() -> None:
    """Append samples of messages that have none."""
    for version in VERSIONS:
        entries = golden(version.number)
        known = {name.partition(".")[0] for name in entries}
        for name, descriptor in sorted(descriptors().items()):
            if name in known:
                continue
            for sample, message in samples(descriptor):
                text = text_format.MessageToString(message, as_one_line=True)
                entries[sample] = {"text": text, "bytes": message.SerializeToString(deterministic=True).hex()}
        path = HERE / f"golden_v{version.number}.json"
        path.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in entries.items()) + "\n}\n")


if __name__ == "__main__":
    main()
