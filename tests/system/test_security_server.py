"""What is hostile, at a server: pickles wherever bytes go, bombs, guesses. The server is not confined here: it could be seen to fall."""

from __future__ import annotations

import contextlib
import os
import pickle
from pathlib import Path
from typing import Any

import grpc
import guessing
import pytest
from wire import REPLY, Server, V, Writer, form, hello, server, value

from cupool.contract.errors import CupoolError
from cupool.contract.values import decode
from cupool.v1 import session_pb2 as pb
from cupool.v1 import value_pb2

Code = grpc.StatusCode


class Marker:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    path = tmp_path / "ran"
    pickle.loads(pickle.dumps(Marker(path))).close()
    assert path.exists(), "the payload works where somebody unpickles it"
    path.unlink()
    return path


def payloads(marker: Path) -> list[bytes]:
    return [pickle.dumps(Marker(marker), protocol) for protocol in (0, 2, 4, 5)]


def fill(message: Any, payload: bytes, depth: int = 0) -> Any:
    """`message` with the payload in every field of bytes or text, in every message within; of a oneof, the last that holds bytes."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type is not None:
            if depth < 3:
                target = getattr(message, field.name)
                fill(target.add() if field.is_repeated else target, payload, depth + 1)
                if not field.is_repeated:
                    target.SetInParent()
        elif field.type in (field.TYPE_BYTES, field.TYPE_STRING):
            content: Any = payload if field.type == field.TYPE_BYTES else payload.decode("latin-1")
            if field.is_repeated:
                getattr(message, field.name).append(content)
            else:
                setattr(message, field.name, content)
    return message


def hostile_frames(payload: bytes) -> list[bytes]:
    """A ClientFrame of every kind, filled; and bytes that are the payload alone."""
    frames = [payload]
    for field in pb.ClientFrame.DESCRIPTOR.oneofs_by_name["kind"].fields:
        frame = pb.ClientFrame()
        fill(getattr(frame, field.name), payload)
        getattr(frame, field.name).SetInParent()
        frames.append(frame.SerializeToString())
    return frames


def hostile_values(payload: bytes) -> list[Any]:
    """A Value of every kind that can hold the payload; arrays that claim to be objects among them."""
    text = payload.decode("latin-1")
    objects = [
        value_pb2.Value(
            array=value_pb2.ArrayValue(dtype=value_pb2.Dtype(code=code), shape=shape, data=payload, scalar=scalar)
        )
        for code in ("|O", "O", "|O8", "object", "|V8", f"|S{len(payload)}", f"|V{len(payload)}", text)
        for shape, scalar in (((1,), False), ((), True), ((len(payload),), False))
    ]
    fields = value_pb2.Dtype(
        code="|V8", itemsize=8, fields=[value_pb2.DtypeField(name=text, dtype=value_pb2.Dtype(code="|O"))]
    )
    return [
        *objects, value_pb2.Value(blob=payload), value_pb2.Value(text=text), value_pb2.Value(big_integer=payload[:64]),
        value_pb2.Value(dtype=fields), value_pb2.Value(dtype=value_pb2.Dtype(code=text)),
        value_pb2.Value(array=value_pb2.ArrayValue(dtype=fields, shape=[1], data=payload)),
        value_pb2.Value(list=value_pb2.Sequence(items=[value_pb2.Value(blob=payload)])),
        value_pb2.Value(mapping=value_pb2.Mapping(items=[value_pb2.NamedValue(name=text, value=value_pb2.Value(blob=payload))])),
    ]  # fmt: skip


def serves(process: Server) -> bool:
    """The session is there, and computes."""
    return process.process.poll() is None


def test_a_pickle_in_every_frame_runs_nothing(marker: Path) -> None:
    for payload in payloads(marker):
        with server() as process:
            for i, frame in enumerate(hostile_frames(payload)):
                with process.attach(first=frame) as stream:  # instead of a hello
                    assert stream.refusal()[0] is not Code.UNAVAILABLE
                with process.attach(first=hello(bytes([i]) * 16)) as stream:  # after one
                    stream.send(frame)
                    stream.send(pb.ClientFrame(goodbye=pb.Goodbye()) if i < 0 else frame)
                    stream._out.put(None)
                    assert stream.refusal()[0] is not Code.UNAVAILABLE
                if not serves(process):
                    break  # a goodbye ends the session, whatever it says
    assert not marker.exists()


class Patient:
    """Sends hostile commands one by one; one that breaks the protocol ends its session and server, and the next has fresh ones."""

    def __init__(self, *options: str) -> None:
        self._options = ("--park-grace", "300", *options)
        self._stack = contextlib.ExitStack()
        self._stream: Any = None
        self.answered = self.broken = 0

    def __enter__(self) -> Patient:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def send(self, name: str, args: list[Any], words: list[Any]) -> bool:
        """One command with a reply; False when it broke the protocol."""
        if self._stream is None:
            self.process = self._stack.enter_context(server(*self._options))
            self._stream = self._stack.enter_context(self.process.attach())
            self._stream.next()
            self._writer, self._number = Writer(), 0
        self._number += 1
        batch = self._writer.batch([self._number, self._number, *words], 1, form(self._number, name, args, [REPLY]))
        try:
            self._stream.send(batch)
            self._stream.until(self._writer.seq)
        except grpc.RpcError as error:
            assert error.code() is Code.INVALID_ARGUMENT, f"{name}: {error.code()} {error.details()}"
            self.broken += 1
            self._stack.close()
            self._stream = None
            return False
        self.answered += 1
        return True


def test_a_pickle_in_every_value_of_commands_runs_nothing(marker: Path) -> None:
    """Whatever reads as a value goes to ops that make arrays of bytes; what does not ends the session that sent it."""
    names = ["asarray", "array", "add", "frombuffer"]
    readable, unreadable = [], []
    for payload in payloads(marker):
        for content in hostile_values(payload):
            try:
                decode(content)
                readable.append(content)
            except (ValueError, TypeError, CupoolError):
                unreadable.append(content)
    assert len(readable) > 20 and len(unreadable) > 20 and not marker.exists()
    with Patient() as session:
        for name in names:
            for content in readable[:: len(readable) // 20]:
                if not session.send(name, [V], [content.SerializeToString()]):
                    break  # the form of this op takes no such slot
        assert not session.send("add", [V, V], [unreadable[0].SerializeToString()] * 2)
        assert session.answered > 20
    assert not marker.exists()


def test_an_offloaded_function_is_not_looked_at_without_permission(marker: Path) -> None:
    """The one place that reads pickles, for a tenant that may not: every command of it, with every payload."""
    with Patient() as session:
        for payload in payloads(marker):
            session.send("@offload_function", [V, V, V], [value(payload)] * 3)
            assert session.answered + session.broken > 0
    assert not marker.exists()


def test_a_pickle_in_bulk_transfers_runs_nothing(marker: Path) -> None:
    metadata = (("authorization", "Bearer token"), ("cupool-session", "session"))
    with server() as process, process.attach() as stream:
        stream.next()
        with grpc.insecure_channel(process.endpoint) as channel:
            for payload in payloads(marker):
                chunk, asked = fill(pb.PutChunk(), payload), fill(pb.GetRequest(), payload)
                for data in (payload, chunk.SerializeToString(), asked.SerializeToString()):
                    for call in (
                        channel.stream_stream("/cupool.v1.SessionService/Put")(
                            iter([data]), timeout=20, metadata=metadata
                        ),
                        channel.unary_stream("/cupool.v1.SessionService/Get")(data, timeout=20, metadata=metadata),
                    ):
                        try:
                            list(call)
                        except grpc.RpcError as error:
                            assert error.code() is not Code.UNAVAILABLE, error.details()
                for key in ("authorization", "cupool-session"):
                    words = dict(metadata) | {
                        key: payload.decode("latin-1").encode("ascii", "ignore").decode().replace("\n", " ")
                    }
                    with pytest.raises(grpc.RpcError):
                        list(
                            channel.unary_stream("/cupool.v1.SessionService/Get")(
                                b"", timeout=20, metadata=tuple(words.items())
                            )
                        )
        assert serves(process)
    assert not marker.exists()


def peak_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        return int(next(line for line in file if line.startswith("VmHWM")).split()[1]) << 10


@pytest.mark.parametrize(
    "compression", [grpc.Compression.Gzip, grpc.Compression.Deflate, grpc.Compression.NoCompression]
)
def test_a_bomb_of_a_thousand_to_one_is_refused(compression: grpc.Compression) -> None:
    """256 MiB of zeros, compressed to a thousandth: refused by its size, and never there in full."""
    bomb = bytes(256 << 20)
    metadata = (("authorization", "Bearer token"), ("cupool-session", "session"))
    with server() as process:
        before = peak_bytes(process.process.pid)
        with grpc.insecure_channel(process.endpoint, options=[("grpc.max_send_message_length", -1)]) as channel:
            for call in (
                channel.stream_stream("/cupool.v1.SessionService/Attach")(
                    iter([bomb]), timeout=60, metadata=metadata, compression=compression
                ),
                channel.unary_stream("/cupool.v1.SessionService/Get")(
                    bomb, timeout=60, metadata=metadata, compression=compression
                ),
            ):
                with pytest.raises(grpc.RpcError) as info:
                    list(call)
                assert info.value.code() is Code.RESOURCE_EXHAUSTED, info.value.details()
        grown = peak_bytes(process.process.pid) - before
        assert grown < 96 << 20, f"the server grew by {grown >> 20} MiB"
        with process.attach() as stream:
            assert stream.next().hello.version == 1, "it serves on"


def test_sizes_that_are_claimed_and_not_there_are_refused() -> None:
    """A few bytes that say to be an exabyte: nothing is made of that size."""
    claims = [((1 << 60,), "<f8"), ((1 << 62, 1 << 62), "<f8"), (((1 << 64) - 1,), "|u1"), ((2,) * 63, "<f8")]
    before = peak_bytes(os.getpid())
    for shape, code in claims:
        array = value_pb2.ArrayValue(dtype=value_pb2.Dtype(code=code), shape=shape, data=b"12345678")
        with pytest.raises((ValueError, CupoolError)):
            decode(value_pb2.Value(array=array))
        with pytest.raises((ValueError, CupoolError)):
            decode(value_pb2.Value(list=value_pb2.Sequence(items=[value_pb2.Value(array=array)] * 3)))
    assert peak_bytes(os.getpid()) - before < 64 << 20
    with Patient("--memory-limit", "256MiB") as session:
        assert not session.send("add", [V, V], [value_pb2.Value(array=array).SerializeToString()] * 2)


def test_guessed_handles_hit_nothing() -> None:
    with server() as process:
        assert guessing.guess_handles(process, 3000, 11) == {"guesses": 3000, "hits": 0}


def test_guessed_sessions_hit_nothing() -> None:
    with server() as process, process.attach() as stream:
        stream.next()
        done = guessing.guess_sessions(process.endpoint, 600, 12)
        assert done["hits"] == 0 and done["NOT_FOUND"] > 100 and done["UNAUTHENTICATED"] > 100


def test_a_servers_command_line_and_environment_hold_no_token() -> None:
    """By an agent it is told the hash of a token alone; by hand, `--assign` is for tests, and says so."""
    import hashlib

    from cupool.v1 import server_pb2

    token = "cupool_session_" + "x" * 43
    request = server_pb2.AssignRequest(session="s", token_sha256=hashlib.sha256(token.encode()).digest())
    assert token.encode() not in request.SerializeToString()
    assert os.environ.get("CUPOOL_TOKEN") is None
