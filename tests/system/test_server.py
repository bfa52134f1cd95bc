"""A server process and a client of raw frames: attach, refusals, duplicates, gaps, resume, parking, the end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from wire import REPLY, H, I, Server, V, Writer, form, hello, server, spec, value

from cupool.contract import statusfile
from cupool.contract.ops import row_hashes, table_digest
from cupool.contract.values import decode
from cupool.v1 import server_pb2, server_pb2_grpc
from cupool.v1 import session_pb2 as pb

Code = grpc.StatusCode
DATA = np.arange(4.0)
FORMS = (form(1, "@array", [V], [spec((4,))]), form(2, "add", [H, H], [spec((4,))]), form(3, "@fetch", [H], [REPLY]))


def first_batch(writer: Writer) -> Any:
    """Two arrays, their sum (handle 3), a fetch (reply 4)."""
    data = value(DATA.tobytes())
    return writer.batch([1, 1, data, 1, 2, data, 2, 3, 1, 2, 3, 4, 3], 4, *FORMS)


def fetched(frames: list[Any], reply: int) -> list[float]:
    for frame in frames:
        for result in frame.results:
            if result.id == reply:
                return list(decode(result.value))
    raise AssertionError(f"no reply {reply} in {frames}")


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    """A server for tests that leave its session as it was: refused before anything runs."""
    with server("--park-grace", "100") as process:
        yield process


@pytest.mark.keeps("the module's server")
class TestRefusals:
    """Refused streams leave the session alone."""

    @pytest.mark.parametrize(
        ("token", "session", "code"),
        [
            ("wrong", "session", Code.UNAUTHENTICATED),
            ("", "session", Code.UNAUTHENTICATED),
            ("token", "other", Code.NOT_FOUND),
        ],
    )
    def test_credentials(self, shared: Server, token: str, session: str, code: grpc.StatusCode) -> None:
        with shared.attach(token=token, session=session) as stream:
            assert stream.refusal()[0] is code

    @pytest.mark.parametrize(
        ("first", "code", "sentence"),
        [
            (hello(versions=[99]), Code.FAILED_PRECONDITION, "The server is older"),
            (hello(versions=[]), Code.FAILED_PRECONDITION, "no protocol version"),
            (hello(epoch=2), Code.FAILED_PRECONDITION, "epoch 1"),
            (hello(epoch=0), Code.FAILED_PRECONDITION, "epoch 1"),
            (hello(nonce=b"short"), Code.INVALID_ARGUMENT, "nonce_next"),
            (hello(previous=b"x" * 16), Code.FAILED_PRECONDITION, "stale"),
            (hello(received=5), Code.INVALID_ARGUMENT, "received frame 5"),
            (pb.ClientFrame(batch=pb.Batch(seq=1)), Code.INVALID_ARGUMENT, "first frame"),
            (pb.ClientFrame(), Code.INVALID_ARGUMENT, "first frame"),
            (b"\xff\xff\xff", Code.INVALID_ARGUMENT, "not a ClientFrame"),
        ],
    )
    def test_hellos(self, shared: Server, first: Any, code: grpc.StatusCode, sentence: str) -> None:
        with shared.attach(first=first) as stream:
            found, details = stream.refusal()
        assert found is code
        assert sentence in details


def test_a_session_from_hello_to_goodbye() -> None:
    with server() as process, process.attach(first=hello(op_table_digest=table_digest())) as stream:
        greeting = stream.next().hello
        assert greeting.version == 1 and greeting.epoch == 1 and not greeting.resumed and not greeting.row_hashes
        assert greeting.device.kind == "cpu" and greeting.device.limit_bytes == 2 << 30
        assert greeting.limits.frame_bytes == 4 << 20
        stream.send(first_batch(Writer()))
        frames = stream.until(1)
        assert fetched(frames, 4) == [0, 2, 4, 6]
        assert frames[0].ordinal == 1
        stream.send(pb.ClientFrame(probe=pb.Probe(id=77)))
        assert stream.next().probe.id == 77
        stream.send(pb.ClientFrame(goodbye=pb.Goodbye(reason="done")))
        assert stream.refusal()[0] is Code.OK
        assert process.wait() == 0


def test_a_different_table_is_answered_with_row_hashes() -> None:
    with server() as process, process.attach(first=hello(op_table_digest=b"other")) as stream:
        greeting = stream.next().hello
        assert greeting.op_table_digest == table_digest()
        assert dict(greeting.row_hashes) == row_hashes()


def test_resume_sends_again_what_was_not_received() -> None:
    with server() as process:
        writer = Writer()
        first = first_batch(writer)
        with process.attach() as stream:
            stream.next()
            stream.send(first)
            stream.until(1)
        with process.attach(first=hello(b"m" * 16, b"n" * 16)) as stream:
            greeting = stream.next().hello
            assert greeting.resumed and greeting.executed_seq == 1 and greeting.executed_position == 4
            assert fetched([stream.next()], 4) == [0, 2, 4, 6]
            stream.send(first)  # a duplicate, unchanged: acknowledged and not run again
            assert stream.next().executed_seq == 1
            writer.received = 1
            stream.send(writer.batch([3, 5, 3], 1))
            assert fetched(stream.until(2), 5) == [0, 2, 4, 6]
        with process.attach(first=hello(b"l" * 16, b"m" * 16, received=1)) as stream:
            stream.next()
            frame = stream.next()
            assert frame.ordinal == 2 and frame.results[0].id == 5


def test_nonces_swap_and_a_clone_is_refused() -> None:
    with server() as process:
        with process.attach(first=hello(b"a" * 16)) as stream:
            stream.next()
        with process.attach(first=hello(b"a" * 16)) as stream:  # its hello was processed and the answer lost
            stream.next()
        with process.attach(first=hello(b"b" * 16, b"a" * 16)) as stream:
            stream.next()
        with process.attach(first=hello(b"c" * 16, b"a" * 16)) as stream:  # a clone from before
            assert stream.refusal()[0] is Code.FAILED_PRECONDITION
        with process.attach(first=hello(b"d" * 16, b"b" * 16)) as stream:
            assert stream.next().hello.resumed


def test_a_new_stream_fences_the_old_one() -> None:
    with server() as process, process.attach() as old:
        old.next()
        writer = Writer()
        old.send(first_batch(writer))
        old.until(1)
        with process.attach(first=hello(b"m" * 16, b"n" * 16, received=1)) as new:
            assert new.next().hello.executed_seq == 1
            assert old.refusal()[0] is Code.ABORTED
            new.send(writer.batch([3, 5, 3], 1))
            assert fetched(new.until(2), 5) == [0, 2, 4, 6]


@pytest.mark.parametrize(
    ("change", "code", "sentence"),
    [
        ({"seq": 3}, Code.FAILED_PRECONDITION, "gap"),
        ({"position": 5}, Code.FAILED_PRECONDITION, "begins at command 5"),
        ({"position": 3}, Code.FAILED_PRECONDITION, "begins at command 3"),
        ({"seq": 1, "position": 0}, Code.FAILED_PRECONDITION, "other contents"),
        ({"received": 9}, Code.INVALID_ARGUMENT, "received frame 9"),
    ],
)
def test_batches_out_of_place_are_refused_and_the_session_goes_on(
    change: dict[str, int], code: grpc.StatusCode, sentence: str
) -> None:
    with server() as process:
        writer = Writer()
        with process.attach() as stream:
            stream.next()
            stream.send(first_batch(writer))
            stream.until(1)
            good = writer.batch([3, 5, 3], 1)
            bad = pb.Batch()
            bad.CopyFrom(good)
            for name, number in change.items():
                setattr(bad, name, number)
            stream.send(bad)
            found, details = stream.refusal()
            assert found is code and sentence in details
        with process.attach(first=hello(b"m" * 16, b"n" * 16, received=1)) as stream:
            assert stream.next().hello.executed_seq == 1
            stream.send(good)
            assert fetched(stream.until(2), 5) == [0, 2, 4, 6]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x12\xff\xff\xff\xff\x0f", Code.INVALID_ARGUMENT),
        (b"\x12\x05\x08", Code.INVALID_ARGUMENT),
        (pb.ClientFrame(), Code.INVALID_ARGUMENT),
        (hello(), Code.INVALID_ARGUMENT),
        (pb.ClientFrame(batch=pb.Batch(seq=1, count=1 << 40)), Code.INVALID_ARGUMENT),
        (pb.ClientFrame(batch=pb.Batch(seq=1, count=1, commands=b"123")), Code.INVALID_ARGUMENT),
        (pb.ClientFrame(batch=pb.Batch(seq=1, forms=[pb.Form(id=1, op="no.such.op")])), Code.INVALID_ARGUMENT),
        (b"\x12" + b"\x80\x80\xc0\x02" + bytes(5 << 20), Code.RESOURCE_EXHAUSTED),
        (pb.ClientFrame(credit=pb.Credit(received=7)), Code.INVALID_ARGUMENT),
    ],
    ids=["length", "truncated", "empty", "second-hello", "count", "bytes", "unknown-op", "oversize", "credit"],
)
def test_malformed_frames_end_the_stream_and_nothing_else(frame: Any, code: grpc.StatusCode) -> None:
    with server() as process:
        with process.attach() as stream:
            stream.next()
            stream.send(frame)
            assert stream.refusal()[0] is code
        assert process.process.poll() is None or process.process.returncode == 0


def test_a_batch_that_breaks_the_protocol_ends_the_session_cleanly() -> None:
    with server() as process:
        writer = Writer()
        with process.attach() as stream:
            stream.next()
            stream.send(writer.batch([0, 5, 999, 1], 2))
            code, details = stream.refusal()
            assert code is Code.INVALID_ARGUMENT and "The session is over" in details
        assert process.wait() == 0


def test_a_lost_client_parks_the_session_and_then_ends_it() -> None:
    with server("--park-grace", "0.5") as process:
        with process.attach() as stream:
            stream.next()
        assert process.wait() == 0


def test_a_client_lost_while_its_command_waits_is_parked_all_the_same() -> None:
    with server("--park-grace", "0.5") as process:
        with process.attach() as stream:
            stream.next()
            stream.send(Writer().batch([1, 5, 77], 1, form(1, "@upload", [I], [spec((4,))])))  # no Put ever comes
            stream.send(pb.ClientFrame(probe=pb.Probe(id=1)))
        assert process.wait() == 0


def test_the_server_ends_with_its_agent() -> None:
    with server() as process:
        assert process.process.stdin is not None
        process.process.stdin.close()
        assert process.wait() == 0


def test_an_unassigned_server_has_no_session(tmp_path: Path) -> None:
    control = f"unix:{tmp_path}/control.sock"
    with server("--control", control, assign="") as process, grpc.insecure_channel(control) as channel:
        stub = server_pb2_grpc.ServerServiceStub(channel)
        with process.attach() as stream:
            assert stream.refusal()[0] is Code.NOT_FOUND
        assert stub.GetStatus(server_pb2.GetStatusRequest()).state == server_pb2.SERVER_STATE_WARM
        import hashlib

        request = server_pb2.AssignRequest(
            session="session",
            token_sha256=hashlib.sha256(b"token").digest(),
            epoch=4,
            limit_bytes=1 << 20,
            park_grace_ms=10_000,
        )
        stub.Assign(request)
        stub.Assign(request)  # the agent asks again: the same answer
        with pytest.raises(grpc.RpcError) as refused:
            stub.Assign(server_pb2.AssignRequest(session="other", token_sha256=bytes(32), epoch=1))
        assert refused.value.code() is Code.FAILED_PRECONDITION  # type: ignore[attr-defined]
        assert stub.GetStatus(server_pb2.GetStatusRequest()).state == server_pb2.SERVER_STATE_LEASED
        with process.attach(first=hello(epoch=4)) as stream:
            assert stream.next().hello.device.limit_bytes == 1 << 20
            stream.send(first_batch(Writer()))
            stream.until(1)
            status = stub.GetStatus(server_pb2.GetStatusRequest())
            assert (
                status.attached
                and status.handles == 3
                and status.used_bytes == 3 * 512
                and status.executed_commands == 4
            )
            stub.End(server_pb2.EndRequest(reason="drained"))
            going = stream.next().going_away
            assert going.reason == "drained"
        assert process.wait() == 0


def test_a_killed_server_leaves_word_of_what_it_did(tmp_path: Path) -> None:
    path = tmp_path / "status"
    statusfile.create(path)
    with server("--allow-faults", "--status-file", str(path)) as process:
        with process.attach() as stream:
            stream.next()
            stream.send(Writer().batch([9, 1], 1, form(9, "@fault", ["segv"], [REPLY])))
            assert stream.refusal()[0] is Code.UNAVAILABLE
        assert process.wait() == -signal.SIGSEGV
    left = statusfile.read(path)
    assert left is not None and left.seq == 1 and left.running == "@fault segv"


def test_a_reason_is_left_for_the_agent(tmp_path: Path) -> None:
    path = tmp_path / "status"
    statusfile.create(path)
    with server("--status-file", str(path), "--park-grace", "0.3") as process:
        process.wait()
    left = statusfile.read(path)
    assert left is not None and left.reason == "no client for 0.3 s" and left.seq == 0


def test_the_watchdog_ends_what_runs_for_too_long(tmp_path: Path) -> None:
    path = tmp_path / "status"
    statusfile.create(path)
    with server("--allow-faults", "--kernel-limit", "0.4", "--status-file", str(path)) as process:
        with process.attach() as stream:
            stream.next()
            stream.send(Writer().batch([9, 1], 1, form(9, "@fault", ["hang"], [REPLY])))
            stream.refusal()
        assert process.wait() == 70
    left = statusfile.read(path)
    assert left is not None and "ran longer than 0.4 s" in left.reason


def test_a_client_that_does_not_read_is_fenced_by_the_next(tmp_path: Path) -> None:
    """The old stream's thread hangs in sending; the new one takes over all the same."""
    with server() as process, process.attach() as old:
        old.next()
        writer = Writer()
        old.send(first_batch(writer))
        big = form(5, "@array", [V], [spec((7000,))])
        old.send(writer.batch([5, 10, value(bytes(56_000))], 1, big))
        for k in range(300):
            old.send(writer.batch([3, 100 + k, 10], 1))
        # Nothing of this is read. Results are kept for the next stream.
        with process.attach(first=hello(b"m" * 16, b"n" * 16)) as new:
            executed = new.next().hello.executed_seq
            assert executed <= 302
            new.send(pb.ClientFrame(probe=pb.Probe(id=1)))
            while not (frame := new.next()).HasField("probe"):
                assert frame.ordinal
            assert frame.probe.id == 1


def test_memory_stays_bounded_when_a_client_never_says_what_it_received() -> None:
    with server(env={"CUPOOL_TEST": "1"}) as process, process.attach() as stream:
        stream.next()
        writer = Writer()
        stream.send(writer.batch([5, 10, value(bytes(56_000))], 1, form(5, "@array", [V], [spec((7000,))]), FORMS[2]))
        done = threading.Event()

        def read() -> None:
            stream.refusal()
            done.set()

        reader = threading.Thread(target=read)
        reader.start()
        for k in range(0, 5200, 52):
            if done.is_set():
                break
            stream.send(writer.batch([w for j in range(52) for w in (3, 1000 + k + j, 10)], 52))
        reader.join(30)
        assert done.is_set()
        assert stream.call.code() is Code.RESOURCE_EXHAUSTED


def test_streams_and_sessions_leave_no_threads_behind() -> None:
    with server() as process:
        pid = process.process.pid
        nonce = b""
        for k in range(5):
            with process.attach(first=hello(bytes([k + 1]) * 16, nonce)) as stream:
                stream.next()
            nonce = bytes([k + 1]) * 16
        before = len(os.listdir(f"/proc/{pid}/task"))
        for k in range(30):
            with process.attach(first=hello(bytes([k + 50]) * 16, nonce)) as stream:
                stream.next()
            nonce = bytes([k + 50]) * 16
        deadline = time.monotonic() + 60
        while len(os.listdir(f"/proc/{pid}/task")) > before + 24 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(os.listdir(f"/proc/{pid}/task")) <= before + 24
