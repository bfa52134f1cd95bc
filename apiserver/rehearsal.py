"""What a process does slowly the first time, done before a client waits for it: a call over its own listener, its device's description.

Boundary: changes nothing. The call names no session and is refused, as anybody's would be.
"""

from __future__ import annotations

import contextlib
import logging

import grpc

from cupool.v1 import session_pb2

from .devices.base import Device

log = logging.getLogger(__name__)

#: A listener that does not answer itself by then is not waited for; its first client finds out.
LIMIT_S = 2.0
_ATTACH = "/cupool.v1.SessionService/Attach"


def rehearse(device: Device, endpoint: str) -> None:
    """Have `device` described (the CPU device asks a compiler for its version), and an Attach refused at `endpoint`.

    The first call of a grpc server costs a few milliseconds more than the others: its threads start, its code is read.
    """
    device.describe()
    hello = session_pb2.ClientFrame(hello=session_pb2.ClientHello(versions=[1], nonce_next=bytes(16)))
    with grpc.insecure_channel(endpoint, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        call = channel.stream_stream(_ATTACH)(iter([hello.SerializeToString()]), timeout=LIMIT_S)
        with contextlib.suppress(grpc.RpcError):
            for _ in call:
                log.warning("event=rehearsal-answered")
