"""A server that takes its orders from a pipe: its session comes, goes, ends in every way that is not its client's, and it reports."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from wire import REPLY, Attached, H, V, Writer, form, hello, spec, value

from cupool.contract.framing import Unpacker, delimited
from cupool.v1 import server_pb2 as pb

Change = pb.SessionChange


class Piped:
    """`python -m cupool.apiserver --orders`, and what it reports."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cupool.apiserver", "--orders", "--listen", "127.0.0.1:0", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdin is not None and self.process.stdout is not None
        self._unpacker = Unpacker()
        self._waiting: list[bytes] = []
        self.ready = self.report().ready

    def report(self) -> Any:
        assert self.process.stdout is not None
        while not self._waiting:
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise EOFError("the server has ended")
            self._waiting += self._unpacker.feed(data)
        return pb.ServerReport.FromString(self._waiting.pop(0))

    def change(self, kind: Any) -> Any:
        """The next report, which must be of this kind."""
        change = self.report().session
        assert change.kind == kind, change
        return change

    def order(self, **command: Any) -> None:
        assert self.process.stdin is not None
        os.write(self.process.stdin.fileno(), delimited(pb.ServerCommand(**command).SerializeToString()))

    def assign(self, session: str = "s", token: bytes = b"token", **fields: Any) -> None:
        fields = {"epoch": 1, "limit_bytes": 1 << 20, "park_grace_ms": 30_000, **fields}
        self.order(assign=pb.AssignRequest(session=session, token_sha256=hashlib.sha256(token).digest(), **fields))

    def attach(self, session: str = "s", token: str = "token", nonce: bytes = b"n" * 16) -> Attached:
        return Attached(self.ready.endpoint, session=session, token=token, first=hello(nonce))

    def end(self) -> Any:
        """The last report, of the session's end; the process ends well."""
        change = self.change(Change.ENDED)
        with pytest.raises(EOFError):
            self.report()
        assert self.process.wait(60) == 0
        return change


@contextlib.contextmanager
def piped(*options: str) -> Iterator[Piped]:
    server = Piped(*options)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        assert server.process.stdin is not None and server.process.stdout is not None
        server.process.stdin.close()
        server.process.stdout.close()


FORMS = (form(1, "@array", [V], [spec((4,))]), form(3, "@fetch", [H], [REPLY]))


def test_a_session_is_given_and_taken_back_until_a_client_comes() -> None:
    with piped() as server:
        assert server.ready.pid == server.process.pid and server.ready.fingerprint
        for k in range(50):
            server.assign(f"s{k}")
            server.order(unassign=pb.UnassignRequest(session=f"s{k}"))
        for k in range(50):
            assert server.change(Change.ASSIGNED).session == f"s{k}"
            assert server.change(Change.UNASSIGNED).session == f"s{k}"
        server.assign("last")
        server.change(Change.ASSIGNED)
        with server.attach("last") as stream:
            stream.next()
            assert server.change(Change.ATTACHED).usage.attached
            server.order(unassign=pb.UnassignRequest(session="last"))
            refused = server.report().unassign_refused
            assert refused.session == "last" and "End it" in refused.reason
            writer = Writer()
            stream.send(writer.batch([1, 1, value(np.arange(4.0).tobytes()), 3, 3, 1], 2, *FORMS))
            stream.until(1)
        assert server.change(Change.PARKED).usage.used_bytes == 512
        server.order(end=pb.EndRequest(reason="the test is over"))
        end = server.end()
        assert end.reason == "the test is over" and end.usage.executed_commands == 2 and end.usage.peak_bytes == 512


def test_a_client_that_is_faster_than_its_session_waits_for_it() -> None:
    with piped() as server, server.attach("early") as stream:
        late = threading.Timer(0.3, server.assign, ("early",))
        late.start()
        assert stream.next().HasField("hello")
        late.join()
        with server.attach("other") as stranger:
            assert stranger.refusal()[0] is grpc.StatusCode.NOT_FOUND


def test_a_client_whose_session_never_comes_is_refused() -> None:
    with piped() as server:
        with server.attach("never") as stream:
            assert stream.refusal()[0] is grpc.StatusCode.NOT_FOUND
        server.assign("s")
        with server.attach(token="wrong") as stream:
            assert stream.refusal()[0] is grpc.StatusCode.UNAUTHENTICATED
        # Nobody with the token has come: the session can still be taken back.
        server.order(unassign=pb.UnassignRequest(session="s"))
        server.change(Change.ASSIGNED)
        server.change(Change.UNASSIGNED)


def test_a_second_session_is_refused_and_the_first_goes_on() -> None:
    with piped() as server:
        server.assign("s")
        server.assign("t")
        server.change(Change.ASSIGNED)
        refused = server.change(Change.ENDED)
        assert refused.session == "t" and "one session" in refused.reason
        with server.attach() as stream:
            assert stream.next().HasField("hello")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"park_grace_ms": 300}, "no client for 0.3 s"), ({"lifetime_s": 1}, "lifetime of 1 s")],
    ids=["grace", "lifetime"],
)
def test_a_session_that_nobody_attaches_to_ends_by_its_clocks(fields: dict[str, int], reason: str) -> None:
    with piped() as server:
        server.assign(**fields)
        server.change(Change.ASSIGNED)
        assert reason in server.end().reason


def test_the_lifetime_and_the_kernel_quota_end_an_attached_session_and_its_client_knows_why() -> None:
    for fields, words in (({"lifetime_s": 1}, "lifetime"), ({"kernel_quota_s": 1e-9}, "quota of kernel seconds")):
        with piped() as server:
            server.assign(**fields)
            with server.attach() as stream:
                stream.next()
                stream.send(Writer().batch([1, 1, value(np.arange(4.0).tobytes()), 3, 3, 1], 2, *FORMS))
                frames = stream.until(1)
                assert frames[0].results[0].id == 3
                while not (frame := stream.next()).HasField("going_away"):
                    pass
                assert words in frame.going_away.reason
            server.change(Change.ASSIGNED)
            server.change(Change.ATTACHED)
            assert words in server.end().reason


def test_a_batch_that_runs_longer_than_the_kernel_quota_is_not_waited_for() -> None:
    with piped("--allow-faults") as server:
        server.assign(kernel_quota_s=0.3)
        with server.attach() as stream:
            stream.next()
            stream.send(Writer().batch([9, 1], 1, form(9, "@fault", ["hang"], [REPLY])))
            server.change(Change.ASSIGNED)
            server.change(Change.ATTACHED)
            end = server.change(Change.ENDED)
            assert "quota of kernel seconds" in end.reason and end.usage.kernel_s >= 0.3
            assert server.process.wait(60) == 0


def test_the_limit_holds_to_the_byte() -> None:
    with piped() as server:
        server.assign(limit_bytes=4096)
        with server.attach() as stream:
            stream.next()
            writer = Writer()
            full = form(5, "@array", [V], [spec((512,))])
            stream.send(writer.batch([5, 1, value(bytes(4096)), 1, 2, value(bytes(32))], 2, full, FORMS[0]))
            frame = stream.next()
            while not frame.failures:
                frame = stream.next()
            assert list(frame.failures[0].handles) == [2]
            stream.send(writer.batch([0, 1, 1, 4, value(bytes(32)), 3, 5, 4], 3, FORMS[1]))
            while not (frame := stream.next()).results:
                pass
            assert frame.results[0].id == 5 and not frame.results[0].HasField("error")


def test_what_libraries_print_does_not_reach_the_reports_and_the_end_of_the_pipe_ends_the_server() -> None:
    with piped() as server:
        server.assign()
        server.change(Change.ASSIGNED)
        assert server.process.stdin is not None
        server.process.stdin.close()
        assert server.end().reason == "the agent is gone"


@pytest.mark.parametrize("data", [b"\xff" * 8, delimited(b"\xff\xff\xff")], ids=["length", "message"])
def test_orders_that_cannot_be_read_end_the_server(data: bytes) -> None:
    with piped() as server:
        server.assign()
        server.change(Change.ASSIGNED)
        assert server.process.stdin is not None
        os.write(server.process.stdin.fileno(), data)
        assert "cannot be read" in server.end().reason
