"""A client in plain protobuf and gRPC for tests: builds forms and batches by hand, talks to a server process over raw frames.

No part of the shim: what a test sends is exactly what it says.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from cupool.contract import codec
from cupool.contract.values import (
    SLOT_HANDLE,
    SLOT_INTEGER,
    SLOT_REAL,
    SLOT_VALUE,
    SlotRef,
    dtype_to_wire,
    encode,
    named,
)
from cupool.v1 import session_pb2 as pb

H, I, R, V = SlotRef(SLOT_HANDLE), SlotRef(SLOT_INTEGER), SlotRef(SLOT_REAL), SlotRef(SLOT_VALUE)  # noqa: E741
REPLY = pb.ResultSpec(reply=True)
UNKNOWN = pb.ResultSpec(unknown=True)
OBJECT = pb.ResultSpec(object=True)
#: Seconds that a test waits for an answer before it fails.
PATIENCE_S = 20


def spec(shape: tuple[int, ...], dtype: Any = "<f8", strides: tuple[int, ...] | None = None) -> Any:
    """A ResultSpec; C order when no strides are given."""
    array = np.empty(shape, dtype)
    return pb.ResultSpec(
        dtype=dtype_to_wire(array.dtype), shape=shape, strides=array.strides if strides is None else strides
    )


def form(number: int, op: str, args: list[Any], results: list[Any], **kwargs: Any) -> Any:
    """A Form; `args` and `kwargs` hold values and the slots H, I, R, V."""
    return pb.Form(id=number, op=op, args=[encode(a) for a in args], kwargs=named(kwargs), results=results)


def value(content: Any) -> bytes:
    """A side-table entry, for the item list of a batch."""
    return encode(content).SerializeToString()


@dataclass
class Writer:
    """Numbers batches as a client does."""

    seq: int = 0
    position: int = 0
    received: int = 0

    def batch(self, items: list[Any], count: int, *forms: Any) -> Any:
        """The next Batch: `items` as `codec.pack_words` takes them, `count` commands."""
        self.seq += 1
        words, values = codec.pack_words(items)
        data = codec.encode_batch(
            self.seq, self.position, count, [f.SerializeToString() for f in forms], words, values, self.received
        )
        self.position += count
        return pb.Batch.FromString(data)


def hello(nonce: bytes = b"n" * 16, previous: bytes = b"", **fields: Any) -> Any:
    """A ClientHello frame with sensible fields."""
    fields = {"versions": [1], "epoch": 1, **fields}
    return pb.ClientFrame(hello=pb.ClientHello(nonce_previous=previous, nonce_next=nonce, **fields))


class Attached:
    """One Attach stream. `send` frames, `next` ServerFrames."""

    def __init__(self, endpoint: str, token: str = "token", session: str = "session", first: Any = None) -> None:
        self.channel = grpc.insecure_channel(endpoint, options=[
            ("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1),
        ])  # fmt: skip
        self._out: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        method = self.channel.stream_stream("/cupool.v1.SessionService/Attach")
        metadata = (("authorization", f"Bearer {token}"), ("cupool-session", session))
        self.call = method(iter(self._out.get, None), metadata=metadata, timeout=60)
        if first is not None:
            self.send(first)

    def send(self, frame: Any) -> None:
        """A ClientFrame, a Batch or raw bytes."""
        if isinstance(frame, pb.Batch):
            frame = pb.ClientFrame(batch=frame)
        self._out.put(frame if isinstance(frame, bytes) else frame.SerializeToString())

    def next(self) -> Any:
        return pb.ServerFrame.FromString(next(self.call))

    def until(self, seq: int) -> list[Any]:
        """Frames up to the one that acknowledges `seq`."""
        frames = [self.next()]
        while frames[-1].executed_seq < seq:
            frames.append(self.next())
        return frames

    def refusal(self) -> tuple[grpc.StatusCode, str]:
        """Read to the end of the stream: its status."""
        try:
            for _ in self.call:
                pass
        except grpc.RpcError as error:
            return error.code(), error.details()
        return grpc.StatusCode.OK, ""

    def close(self) -> None:
        self._out.put(None)
        self.call.cancel()
        self.channel.close()

    def __enter__(self) -> Attached:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class Server:
    """A server process. Its standard input is the pipe that keeps it alive."""

    process: subprocess.Popen[str]
    endpoint: str

    def attach(self, **kwargs: Any) -> Attached:
        return Attached(self.endpoint, **{"first": hello(), **kwargs})

    def wait(self) -> int:
        return self.process.wait(PATIENCE_S)


@contextlib.contextmanager
def server(*arguments: str, assign: str = "session:token", env: dict[str, str] | None = None) -> Iterator[Server]:
    """Start `python -m cupool.apiserver` with a session."""
    command = [sys.executable, "-m", "cupool.apiserver", "--device", "cpu:0", *arguments]
    if assign:
        command += ["--assign", assign]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline() or "{}")
        assert ready.get("ready"), "the server did not start"
        yield Server(process, ready["endpoint"])
    finally:
        process.stdin.close()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
