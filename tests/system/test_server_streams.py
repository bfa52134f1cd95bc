"""The ways of answering an Attach: on grpcio's core, and by its send callback and its generator, which are what it falls back to."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import numpy as np
import pytest
from cupool.apiserver import core_stream
from cupool.apiserver.attach_calls import ATTACH
from cupool.apiserver.config import Assignment, parse
from cupool.apiserver.devices.cpu.device import CpuDevice
from cupool.apiserver.service import ApiServer
from wire import REPLY, Attached, H, R, V, Writer, form, hello, spec, value

from cupool.contract import codec
from cupool.contract.statusfile import StatusWriter
from cupool.contract.values import decode
from cupool.v1 import session_pb2 as pb

SESSION = Assignment("session", hashlib.sha256(b"token").digest(), 1, 1 << 30, 30.0)
FORMS = (form(1, "@array", [V], [spec((4,))]), form(2, "add", [H, H], [spec((4,))]), form(3, "@fetch", [H], [REPLY]))


class Calls:
    """Counts how grpcio calls the handler."""

    def __init__(self, server: ApiServer, non_blocking: bool) -> None:
        self.server = server
        self.experimental_non_blocking = non_blocking
        self.arguments: list[int] = []

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.arguments.append(len(arguments) + len(named))
        return self.server.attaching.attach(*arguments, **named)


@contextlib.contextmanager
def serving(non_blocking: bool | None, *options: str) -> Iterator[tuple[str, Calls]]:
    """`non_blocking` None: on the core."""
    api = ApiServer(parse(["--no-stdin", "--memory-limit", "1GiB", *options]), CpuDevice(0, 1 << 30), StatusWriter())
    api.assign(SESSION)
    calls = Calls(api, bool(non_blocking))
    pool = futures.ThreadPoolExecutor(8)
    server = grpc.server(pool)
    core = core_stream.usable(server)
    assert core is not None, "adapt core_stream.py to this grpcio; servers use its public API meanwhile"
    door = core_stream.Door(core, server, ATTACH, pool, api.attaching.attach_on_core) if non_blocking is None else None
    method = grpc.stream_stream_rpc_method_handler(calls)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("cupool.v1.SessionService", {"Attach": method}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    if door is not None:
        door.open()
    try:
        yield f"127.0.0.1:{port}", calls
    finally:
        api.stop("the test is over")
        api.close()
        server.stop(0.5).wait()
        pool.shutdown()


@pytest.mark.parametrize(
    ("non_blocking", "arguments"), [(None, 0), (True, 3), (False, 2)], ids=["core", "callback", "generator"]
)
def test_all_ways_give_the_same(non_blocking: bool | None, arguments: int) -> None:
    writer = Writer()
    data = value(np.arange(4.0).tobytes())
    with serving(non_blocking) as (endpoint, calls):
        with Attached(endpoint, first=hello()) as stream:
            assert not stream.next().hello.resumed
            stream.send(writer.batch([1, 1, data, 2, 2, 1, 1, 3, 3, 2], 3, *FORMS))
            frames = stream.until(1)
            assert decode(frames[0].results[0].value).tolist() == [0, 2, 4, 6]
            with Attached(endpoint, first=hello(b"m" * 16, b"n" * 16)) as newer:
                told = newer.next().hello
                assert told.resumed and (told.executed_seq, told.ordinal) == (1, 1)
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
        assert set(calls.arguments) == ({arguments} if arguments else set())


@pytest.mark.parametrize("non_blocking", [None, True], ids=["core", "callback"])
def test_the_frames_of_a_bundle_are_taken_in_order(non_blocking: bool | None) -> None:
    writer = Writer()
    data = value(np.arange(4.0).tobytes())
    batches = [writer.batch([1, 1, data], 1, *FORMS), writer.batch([2, 2, 1, 1], 1), writer.batch([3, 3, 2], 1)]
    frames = [pb.ClientFrame(batch=batch).SerializeToString() for batch in batches]
    with serving(non_blocking) as (endpoint, _):
        with Attached(endpoint, first=hello()) as stream:
            assert "bundles" in stream.next().hello.features
            stream.send(codec.bundle_frame(frames[:2]))
            stream.until(2)
            stream.send(codec.bundle_frame(frames[1:]))  # the first of them again, as after a cut
            assert decode(stream.until(3)[-1].results[0].value).tolist() == [0, 2, 4, 6]
            stream.send(codec.bundle_frame([codec.bundle_frame(frames)]))
            assert stream.refusal() == (grpc.StatusCode.INVALID_ARGUMENT, "A bundle within a bundle.")
        with Attached(endpoint, first=hello(b"l" * 16, b"n" * 16, received=1)) as stream:
            stream.next()
            stream.send(codec.bundle_frame([pb.ClientFrame(goodbye=pb.Goodbye()).SerializeToString(), b"never read"]))
            assert stream.refusal()[0] is grpc.StatusCode.OK


def test_an_acknowledgement_stands_for_those_before_it_and_is_not_held_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(core_stream, "ACK_EVERY_S", 3600.0)
    # A busy machine takes longer than its 2 ms for the fifty.
    monkeypatch.setattr(core_stream, "ACK_IN_MESSAGE_S", 3600.0)
    writer = Writer()
    with serving(None) as (endpoint, _), Attached(endpoint, first=hello()) as stream:
        stream.next()
        stream.send(
            codec.bundle_frame([pb.ClientFrame(batch=writer.batch([0, 1], 1)).SerializeToString() for _ in range(50)])
        )
        told = [frame.executed_seq for frame in stream.until(50)]
        # On a quiet machine [50], or [1, 50] where it is up for an hour; the clock that looks after held ones tells some on a busy one.
        assert told == sorted(set(told)) and told[-1] == 50 and len(told) < 50
        stream.send(writer.batch([0, 1], 1))
        assert stream.next().executed_seq == 51


#: Elements of a first operation that is kept for those behind it, see `apiserver/together.py`.
LARGE = 1 << 19
LARGE_FORMS = (
    form(1, "arange", [V], [spec((LARGE,))], dtype=np.dtype("f8")),
    form(2, "multiply", [H, R], [spec((LARGE,))]),
    form(3, "sum", [H], [spec(())]),
    form(4, "@fetch", [H], [REPLY]),
)


@pytest.mark.parametrize("non_blocking", [None, True, False], ids=["core", "callback", "generator"])
def test_a_first_operation_waits_for_what_joins_it(non_blocking: bool | None) -> None:
    writer = Writer()
    with (
        serving(non_blocking, "--fusion-wait", "1000000") as (endpoint, calls),
        Attached(endpoint, first=hello()) as stream,
    ):
        stream.next()
        stream.send(writer.batch([1, 1, value(LARGE)], 1, *LARGE_FORMS))
        stream.until(1)
        stream.send(writer.batch([2, 2, 1, codec.real_bits(0.25)], 1))
        stream.send(writer.batch([3, 3, 2, 0, 2, 4, 4, 3], 3))
        answer = [result for frame in stream.until(3) for result in frame.results]
        assert decode(answer[0].value) == (np.arange(float(LARGE)) * 0.25).sum()
        session = calls.server.session
        assert session is not None and session.together.joined == (non_blocking is None)
        # One that nothing joins runs, with the goodbye behind it if not before.
        stream.send(writer.batch([2, 5, 1, codec.real_bits(3.0)], 1))
        stream.send(pb.ClientFrame(goodbye=pb.Goodbye()))
        assert stream.refusal()[0] is grpc.StatusCode.OK
        assert session.executor.executed_seq == 4


def test_a_client_that_goes_while_its_operation_is_kept_leaves_a_session_that_goes_on() -> None:
    writer = Writer()
    with serving(None, "--fusion-wait", "1000000") as (endpoint, _):
        with Attached(endpoint, first=hello()) as stream:
            stream.next()
            stream.send(writer.batch([1, 1, value(LARGE)], 1, *LARGE_FORMS))
            stream.until(1)
            first = writer.batch([2, 2, 1, codec.real_bits(0.25)], 1)
            stream.send(first)
        second = writer.batch([3, 3, 2, 4, 4, 3], 2)
        with Attached(endpoint, first=hello(b"m" * 16, b"n" * 16)) as stream:
            assert stream.next().hello.executed_seq in (1, 2)
            stream.send(first)
            stream.send(second)
            answer = [result for frame in stream.until(3) for result in frame.results]
            assert decode(answer[0].value) == (np.arange(float(LARGE)) * 0.25).sum()


class _Busy:
    """A handler that executes until it is told to go on."""

    def __init__(self) -> None:
        self.calls: list[core_stream.CoreCall] = []
        self.has_come, self.may_go, self.is_gone, self.is_done = (threading.Event() for _ in range(4))
        self.frames: list[bytes] = []

    def __call__(self, call: core_stream.CoreCall) -> None:
        try:
            assert call.add_callback(self.is_gone.set)
            self.calls.append(call)
            self.has_come.set()
            assert self.may_go.wait(60)
            self.frames += call
        except grpc.RpcError:
            self.frames.append(b"gone")
        finally:
            call.close("OK", "")
            self.is_done.set()


@contextlib.contextmanager
def busy() -> Iterator[tuple[str, core_stream.Door, _Busy]]:
    handler, pool = _Busy(), futures.ThreadPoolExecutor(4)
    server = grpc.server(pool)
    door = core_stream.Door(core_stream.usable(server), server, ATTACH, pool, handler)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    door.open()
    try:
        yield f"127.0.0.1:{port}", door, handler
    finally:
        handler.may_go.set()
        server.stop(0.5).wait()
        pool.shutdown()


def test_a_client_that_goes_while_its_batch_runs_is_noticed_by_the_clock() -> None:
    with busy() as (endpoint, door, handler):
        with Attached(endpoint, first=hello()) as stream:
            assert handler.has_come.wait(60)
            door.look()
            assert not handler.is_gone.is_set()
            stream.call.cancel()
        while not handler.is_gone.wait(0.01):
            door.look()
        assert not handler.calls[0].is_active()
        handler.may_go.set()
        assert handler.is_done.wait(60)
        assert handler.frames[-1] == b"gone"
        assert not handler.calls[0].send(b"too late")


def test_frames_of_many_threads_arrive_whole_and_in_the_order_of_each() -> None:
    with busy() as (endpoint, _, handler), Attached(endpoint, first=hello()) as stream:
        assert handler.has_come.wait(60)
        call = handler.calls[0]

        def tell(first: int) -> None:
            for k in range(first, first + 200):
                assert call.send(pb.ServerFrame(executed_seq=k).SerializeToString())

        threads = [threading.Thread(target=tell, args=(1000 * k,)) for k in range(1, 5)]
        for k, thread in enumerate(threads):
            thread.start()
            if k == 1:
                handler.may_go.set()  # from now on the handler waits for events, too
        came = [stream.next().executed_seq for _ in range(800)]
        for thread in threads:
            thread.join()
        assert [sorted(n for n in came if n // 1000 == k) for k in range(1, 5)] == [
            [n for n in came if n // 1000 == k] for k in range(1, 5)
        ]
        assert len(set(came)) == 800


def test_a_client_that_takes_nothing_stops_whoever_sends_until_the_stream_is_closed() -> None:
    with busy() as (endpoint, _, handler), Attached(endpoint, first=hello()):
        assert handler.has_come.wait(60)
        call = handler.calls[0]
        told: list[bool] = []

        def flood() -> None:
            frame = pb.ServerFrame(going_away=pb.GoingAway(reason="x" * 65536)).SerializeToString()
            while call.send(frame):
                told.append(True)

        sender = threading.Thread(target=flood)
        sender.start()
        before = -1
        while len(told) != before:  # until no more goes
            before = len(told)
            sender.join(0.3)
        assert sender.is_alive()
        call.close("ABORTED", "A newer stream took over.")
        sender.join(60)
        assert not sender.is_alive()
        assert before < 200  # what the network and the client's core hold, not what there is to send


def test_a_core_that_is_not_as_known_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(core_stream.Door):
        def open(self) -> None:
            raise TypeError("request_registered_call() takes another argument")

    monkeypatch.setattr(core_stream, "Door", Other)
    api = ApiServer(parse(["--no-stdin", "--memory-limit", "1GiB"]), CpuDevice(0, 1 << 30), StatusWriter())
    api.assign(SESSION)
    server, endpoint = api.serve()
    try:
        with Attached(endpoint, first=hello()) as stream:
            assert not stream.next().hello.resumed
    finally:
        api.stop("the test is over")
        api.close()
        server.stop(0.5).wait()
        assert api.listener.calls is not None
        api.listener.calls.shutdown()
