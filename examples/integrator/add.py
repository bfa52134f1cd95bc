"""A complete cupool client in plain gRPC: two arrays, their sum, fetched. Generated stubs and grpcio, nothing else of cupool.

    python examples/integrator/add.py ADDRESS TOKEN

Everything that it relies on is written in proto/cupool/v1; docs/integrators.md walks through it.
"""

from __future__ import annotations

import queue
import struct
import sys
from collections.abc import Iterator

import grpc

from cupool.v1 import pool_pb2, pool_pb2_grpc, session_pb2, session_pb2_grpc
from cupool.v1.value_pb2 import SLOT_HANDLE, SLOT_VALUE, Dtype, Value

# Forms: what kinds of calls this program makes. Their results' specs are this program's promise, which the server checks.
VECTOR = session_pb2.ResultSpec(dtype=Dtype(code="<f8"), shape=[4], strides=[8])
REPLY = session_pb2.ResultSpec(reply=True)
HANDLE = Value(slot=SLOT_HANDLE)
ARRAY = session_pb2.Form(id=1, op="@array", args=[Value(slot=SLOT_VALUE)], results=[VECTOR])
ADD = session_pb2.Form(id=2, op="add", args=[HANDLE, HANDLE], results=[VECTOR])
FETCH = session_pb2.Form(id=3, op="@fetch", args=[HANDLE], results=[REPLY])
FREE = 0

# Handles and reply ids: one counter, never reused.
A, B, C, ANSWER = 1, 2, 3, 4


class Session:
    """One Attach stream: frames out through a queue, frames in by iteration."""

    def __init__(self, lease: pool_pb2.Lease) -> None:
        self._out: queue.SimpleQueue[session_pb2.ClientFrame | None] = queue.SimpleQueue()
        self._channel = grpc.insecure_channel(lease.endpoint)
        metadata = (("authorization", f"Bearer {lease.session_token}"), ("cupool-session", lease.session))
        nonce = b"\1" * 16  # random in earnest: it tells clones of a process apart
        self.send(hello=session_pb2.ClientHello(versions=[1], client="add.py", epoch=lease.epoch, nonce_next=nonce))
        stub = session_pb2_grpc.SessionServiceStub(self._channel)
        self._in = stub.Attach(iter(self._out.get, None), metadata=metadata)
        self.device = next(self._in).hello.device.name

    def send(self, **kind: object) -> None:
        """Send one ClientFrame."""
        self._out.put(session_pb2.ClientFrame(**kind))

    def frames(self) -> Iterator[session_pb2.ServerFrame]:
        """ServerFrames as they come; a failure of any command ends the program."""
        for frame in self._in:
            for failure in frame.failures:
                raise SystemExit(f"{failure.op} failed: {failure.error.type}: {failure.error.message}")
            yield frame

    def close(self) -> None:
        self.send(goodbye=session_pb2.Goodbye(reason="done"))
        self._out.put(None)
        self._in.cancel()
        self._channel.close()


def batch() -> session_pb2.Batch:
    """All commands of this program in one batch: header, result ids, slots; 64-bit integers. The device and stream in the header are 0."""
    commands = [
        (1, A, 0),  # A = array(values[0])
        (1, B, 1),  # B = array(values[1])
        (2, C, A, B),  # C = add(A, B)
        (3, ANSWER, C),  # reply with C's elements
        (FREE, A),
        (FREE, B),
        (FREE, C),
    ]
    words = [word for command in commands for word in command]
    values = [Value(blob=struct.pack("<4d", *data)) for data in ((1, 2, 3, 4), (10, 20, 30, 40))]
    packed, forms = struct.pack(f"<{len(words)}q", *words), [ARRAY, ADD, FETCH]
    return session_pb2.Batch(seq=1, count=len(commands), forms=forms, commands=packed, values=values)


def main(address: str, token: str) -> None:
    with grpc.insecure_channel(address) as channel:
        pool = pool_pb2_grpc.PoolServiceStub(channel)
        credential = (("authorization", f"Bearer {token}"),)
        lease = pool.Acquire(pool_pb2.AcquireRequest(function="integrator", deadline_ms=10_000), metadata=credential)
        session = Session(lease)
        session.send(batch=batch())
        result = next(result for frame in session.frames() for result in frame.results if result.id == ANSWER)
        if result.HasField("error"):
            raise SystemExit(f"{result.error.type}: {result.error.message}")
        print(list(struct.unpack("<4d", result.value.array.data)), "from", session.device)
        session.close()
        done = pool_pb2.ReleaseRequest(session=lease.session, session_token=lease.session_token, reason="done")
        pool.Release(done, metadata=credential)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: add.py ADDRESS TOKEN")
    main(*sys.argv[1:])
