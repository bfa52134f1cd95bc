"""Both ways of answering an Attach: grpcio's send callback, and the generator it falls back to."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import numpy as np
import pytest
from cupool.apiserver.config import Assignment, parse
from cupool.apiserver.devices.cpu.device import CpuDevice
from cupool.apiserver.service import ApiServer
from wire import REPLY, Attached, H, V, Writer, form, hello, spec, value

from cupool.contract.statusfile import StatusWriter
from cupool.contract.values import decode
from cupool.v1 import session_pb2 as pb

SESSION = Assignment("session", hashlib.sha256(b"token").digest(), 1, 1 << 30, 30.0)
FORMS = (form(1, "@array", [V], [spec((4,))]), form(2, "add", [H, H], [spec((4,))]), form(3, "@fetch", [H], [REPLY]))


class Calls:
    """Counts how grpcio calls the handler."""

    def __init__(self, server: ApiServer, non_blocking: bool) -> None:
        self._server = server
        self.experimental_non_blocking = non_blocking
        self.arguments: list[int] = []

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.arguments.append(len(arguments) + len(named))
        return self._server.attach(*arguments, **named)


@contextlib.contextmanager
def serving(non_blocking: bool) -> Iterator[tuple[str, Calls]]:
    api = ApiServer(parse(["--no-stdin", "--memory-limit", "1GiB"]), CpuDevice(0, 1 << 30), StatusWriter())
    api.assign(SESSION)
    calls = Calls(api, non_blocking)
    pool = futures.ThreadPoolExecutor(8)
    server = grpc.server(pool)
    method = grpc.stream_stream_rpc_method_handler(calls)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("cupool.v1.SessionService", {"Attach": method}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", calls
    finally:
        api.stop("the test is over")
        api.close()
        server.stop(0.5).wait()
        pool.shutdown()


@pytest.mark.parametrize(("non_blocking", "arguments"), [(True, 3), (False, 2)], ids=["callback", "generator"])
def test_both_ways_give_the_same(non_blocking: bool, arguments: int) -> None:
    writer = Writer()
    data = value(np.arange(4.0).tobytes())
    with serving(non_blocking) as (endpoint, calls):
        with Attached(endpoint, first=hello()) as stream:
            assert not stream.next().hello.resumed
            stream.send(writer.batch([1, 1, data, 2, 2, 1, 1, 3, 3, 2], 3, *FORMS))
            frames = stream.until(1)
            assert decode(frames[0].results[0].value).tolist() == [0, 2, 4, 6]
            with Attached(endpoint, first=hello(b"m" * 16, b"n" * 16)) as newer:
                assert newer.next().hello.resumed
                assert newer.next().results[0].id == 3
                assert stream.refusal()[0] is grpc.StatusCode.ABORTED
                newer.send(b"\xff")
                assert newer.refusal()[0] is grpc.StatusCode.INVALID_ARGUMENT
        with Attached(endpoint, token="wrong", first=hello()) as stream:
            assert stream.refusal()[0] is grpc.StatusCode.UNAUTHENTICATED
        with Attached(endpoint, first=hello(b"l" * 16, b"m" * 16, received=1)) as stream:
            stream.next()
            stream.send(pb.ClientFrame(goodbye=pb.Goodbye()))
            assert stream.refusal()[0] is grpc.StatusCode.OK
        assert set(calls.arguments) == {arguments}
