"""What a process does slowly the first time, done before a client waits for it: a call over its own listener, its device's description,
a session of nobody's.

Boundary: changes nothing. The call names no session and is refused, as anybody's would be; the session is on a device that is thrown away.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np

from cupool.contract.codec import batch_frame, encode_batch, pack_words
from cupool.contract.limits import MIB, OUR_LIMITS
from cupool.contract.values import SLOT_HANDLE, SlotRef, dtype_to_wire, encode
from cupool.v1 import session_pb2

from .attach_calls import ATTACH
from .config import Assignment
from .devices.base import Device
from .executor import Executor
from .session import Session

log = logging.getLogger(__name__)

#: A listener that does not answer itself by then is not waited for; its first client finds out.
LIMIT_S = 2.0


def rehearse(device: Device, endpoint: str) -> None:
    """Have `device` described (the CPU device asks a compiler for its version), and an Attach refused at `endpoint`.

    The first call of a grpc server costs a few milliseconds more than the others: its threads start, its code is read.
    """
    device.describe()
    hello = session_pb2.ClientFrame(hello=session_pb2.ClientHello(versions=[1], nonce_next=bytes(16)))
    with grpc.insecure_channel(endpoint, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        call = channel.stream_stream(ATTACH)(iter([hello.SerializeToString()]), timeout=LIMIT_S)
        with contextlib.suppress(grpc.RpcError):
            for _ in call:
                log.warning("event=rehearsal-answered")


class _Nobody:
    """A stream that takes every frame, and its end."""

    def send(self, frame: bytes) -> bool:
        return True

    def close(self, status: str, sentence: str) -> None:
        pass


def rehearse_session(
    device: Device, impls: dict[str, Callable[..., Any]], digests: tuple[bytes, dict[str, bytes]], about: Any
) -> None:
    """A whole session on `device`, which is not used any more: a client attaches, makes an array and fetches it.

    A forked process copies each page of the interpreter's that it writes to, and counting a reference is a write: the first session of a
    server took a millisecond to define its first form, the next one a tenth of that.

    Args:
        impls: what `resolve_table` gave.
        digests: as `contract_digests` gave them.
        about: the `cupool.v1.DeviceInfo` that the hello tells.
    """
    executor = Executor(device, MIB, OUR_LIMITS, impls=impls)
    session = Session(
        Assignment("rehearsal", b"", 1, MIB),
        executor,
        OUR_LIMITS,
        digests,
        lambda: {"device": about},
        lambda reason: None,
    )
    stream = _Nobody()
    hello = session_pb2.ClientHello(versions=[1], epoch=1, nonce_next=bytes(16), op_table_digest=digests[0])
    session.attach(stream, hello)
    made = np.arange(3)
    spec = session_pb2.ResultSpec(dtype=dtype_to_wire(made.dtype), shape=made.shape, strides=made.strides)
    reply = session_pb2.ResultSpec(reply=True)
    forms = (
        session_pb2.Form(id=1, op="arange", args=[encode(made.size)], results=[spec]),
        session_pb2.Form(id=2, op="@fetch", args=[encode(SlotRef(SLOT_HANDLE))], results=[reply]),
    )
    for seq, (form, items) in enumerate(zip(forms, ([1, 1], [2, 2, 1]), strict=True), 1):
        words, values = pack_words(items)
        batch = encode_batch(seq, seq - 1, 1, [form.SerializeToString()], words, values, 0)
        session.receive(stream, batch_frame(batch))
    session.close()
    if executor.failed_commands or executor.executed_commands != len(forms):
        raise RuntimeError("A session that this server tried by itself failed.")
