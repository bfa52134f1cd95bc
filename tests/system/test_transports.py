"""All ways for frames to travel, what a client makes of another version of the server, and exceptions in the middle of a wait."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from cupool.shim import bulk, core_stream, light_stream, open_session, session
from cupool.shim import cupy as cp
from cupool.shim.config import Config
from cupool.shim.core_stream import CoreStream, CoreTransport
from cupool.shim.lease import PoolClient
from cupool.shim.light_stream import LightStream, LightTransport
from cupool.shim.transport import NO_TLS, GrpcStream
from cupool.shim.turns import Disconnected, Turns

from cupool.contract.errors import OpMissing, PoolUnreachable, VersionMismatch
from cupool.contract.limits import DEFAULT_LIMITS
from cupool.contract.ops import DIGEST, row_hashes
from cupool.v1 import session_pb2

from .servers import FixedPool, Server, opened

ROOT = Path(__file__).resolve().parents[2]
KINDS = {"core": CoreStream, "grpc": GrpcStream, "light": LightStream}


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def program(rounds: int) -> float:
    """Waits, calls that nobody waits for, and frees."""
    total = cp.zeros(5)
    for k in range(rounds):
        total = total + cp.arange(5.0) * k
        if k % 7 == 0:
            float(total.sum())
    return float(total.sum())


EXPECTED = {60: float((np.arange(5.0) * sum(range(60))).sum())}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_program_runs_over_each(server: Server, kind: str) -> None:
    with opened(server.endpoint, transport=kind) as opened_session:
        assert type(opened_session.link._stream) is KINDS[kind]
        threads: list[float] = []
        others = [threading.Thread(target=lambda: threads.append(program(60))) for _ in range(3)]
        for other in others:
            other.start()
        assert program(60) == EXPECTED[60]
        for other in others:
            other.join()
        assert threads == [EXPECTED[60]] * 3
        x = np.arange(1_000_000.0)
        assert np.array_equal(cp.asarray(x).get(), x)


#: A program that has not loaded grpcio: it stays so until bulk bytes want it, over a connection that breaks, too.
WITHOUT_GRPCIO = """
import sys, time
import numpy as np
from cupool.shim import cupy as cp, session
from cupool.shim.config import Config
from tests.system.servers import FixedPool
found = session.open_at(FixedPool(sys.argv[1]), Config())
names = []
for _ in range(3):
    assert float(cp.arange(8).sum()) == 28.0
    names.append(type(found.link._stream).__name__)
    assert "grpc" not in sys.modules
    before = found.link.reconnects
    found.link.renew()
    while found.link.reconnects == before:
        time.sleep(0.001)
assert names == ["LightStream"] * 3, names
import grpc
assert float(cp.arange(9).sum()) == 36.0
x = np.arange(1_000_000.0)
assert (cp.asarray(x).get() == x).all()
"""


def test_a_program_that_has_not_loaded_grpcio_does_without(server: Server) -> None:
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH", ""), str(ROOT))))
    done = subprocess.run(
        [sys.executable, "-P", "-c", WITHOUT_GRPCIO, server.endpoint],
        env=dict(os.environ) | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr, done.stderr


#: A program that asks little, as a function does that is called once: what it never needs, it never loads.
FIRST_RESULT = """
import sys
import numpy
from cupool.shim import cupy as cp, session
from cupool.shim.config import Config
from cupool.shim.lease import Lease
class Pool:
    def acquire(self, config, base=None): return Lease("s", "t", sys.argv[1], 1, "", "")
    def release(self, lease, reason, timeout_s=2.0): pass
    def fate(self, lease, timeout_s=1.0): return None
    def close(self): pass
session.open_at(Pool(), Config())
assert float(cp.arange(8).sum()) == 28.0
x = cp.asarray(numpy.arange(12.0).reshape(3, 4))
assert (x.T @ x).get().shape == (4, 4) and int((x > 5).sum()) == 6 and cp.where(x > 5)[0].shape == (6,)
unwanted = ("google.protobuf", "cupool.v1.session_pb2", "grpc", "ml_dtypes", "dataclasses", "subprocess", "ssl", "logging")
loaded = [name for name in unwanted if name in sys.modules]
assert not loaded, loaded
from cupool.shim import wire
for n in range(wire.FRAMES):
    assert float(x[0].sum() + n) == 6.0 + n
assert "google.protobuf" in sys.modules and wire.kinds().Form.__module__ == "cupool.v1.session_pb2"
assert cp.linalg.norm(x, axis=1).get().shape == (3,)
try:
    cp.asarray([1, 2]).reshape(3)
except ValueError:
    print("done")
"""


def test_a_first_result_needs_neither_protobuf_nor_grpcio(server: Server) -> None:
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH", ""), str(ROOT))))
    done = subprocess.run(
        [sys.executable, "-P", "-c", FIRST_RESULT, server.endpoint],
        env=dict(os.environ) | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\0\0\4\1\4\0\0\0\1\0\x81\xff\1"])
def test_what_our_sockets_do_not_read_grpcio_does(server: Server, answer: bytes) -> None:
    """Who answers in what is not read here is asked by grpcio, whose words the program gets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = f"127.0.0.1:{listener.getsockname()[1]}"

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted, _ = listener.accept()
                    with accepted:
                        accepted.recv(1 << 16)
                        accepted.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with pytest.raises(light_stream.Unfit):
                light_stream.call_once(here, NO_TLS, "/cupool.v1.PoolService/Acquire", b"", (), 5.0)
            client = PoolClient(here, transport="light")
            with pytest.raises(PoolUnreachable, match=f"the pool at {here}"):
                client.acquire(Config(deadline_s=0.3))
            client.close()
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
    with pytest.raises(light_stream.Unfit):
        light_stream.call_once(here, NO_TLS, "/cupool.v1.PoolService/Acquire", b"", (), 5.0)


def test_our_sockets_are_used_beside_grpcio_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has loaded grpcio. What it means that a proxy is set is grpcio's to say, for streams and calls."""
    assert light_stream.is_loaded() and Config().transport == "auto"
    with opened(server.endpoint) as opened_session:
        assert type(opened_session.link._stream) is LightStream
        assert program(60) == EXPECTED[60]
    near, far = (PoolClient(f"{host}:7077", transport="auto") for host in ("127.0.0.1", "192.0.2.1"))
    assert near._is_light and not far._is_light  # a far pool's channel is kept for the process's next session
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:1")
    again = Server()
    try:
        with opened(again.endpoint) as opened_session:
            assert type(opened_session.link._stream) is CoreStream
            assert program(60) == EXPECTED[60]
    finally:
        again.close()


def test_a_grpcio_whose_core_is_another_is_used_by_its_public_api(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_stream, "_NEEDED", (*core_stream._NEEDED, "AnOperationThatIsNotThere"))
    assert core_stream.usable() is None
    with opened(server.endpoint, transport="core") as opened_session:
        assert type(opened_session.link._stream) is GrpcStream
        assert program(60) == EXPECTED[60]


def test_the_core_of_this_grpcio_is_as_known() -> None:
    """Should it change: adapt `core_stream.py`; programs use the public API meanwhile."""
    assert core_stream.usable() is not None


class Interrupted(Exception):
    pass


# A handler that raises within a destructor: Python drops the exception, and the free with it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_exceptions_at_any_moment_of_a_wait_lose_nothing(server: Server, kind: str) -> None:
    """A timer's handler raises again and again while the program waits and sends; what it does not interrupt is right, to the end."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    interrupted = done = 0
    with opened(server.endpoint, transport=kind):
        assert program(60) == EXPECTED[60]
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            deadline = time.monotonic() + 60
            for k in range(400):
                assert time.monotonic() < deadline
                try:
                    # From before the first command to beyond the answer.
                    signal.setitimer(signal.ITIMER_REAL, 1e-5 + (k % 40) * 2.5e-5)
                    value = float((cp.arange(4.0) + k).sum())
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except Interrupted:
                    interrupted += 1
                    continue
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                assert value == 6 + 4 * k
                done += 1
        except Interrupted:  # between the statement and the line that stops the timer
            interrupted += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert interrupted
        assert program(60) == EXPECTED[60]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_exceptions_at_any_moment_of_a_bulk_transfer_lose_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same while large arrays go up and down between hosts: what is not interrupted is right, and the session ends as ever."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    monkeypatch.setenv("CUPOOL_LANE", "0")
    interrupted = done = 0
    with opened(server.endpoint):
        x = np.arange(1_500_000.0)
        started = time.monotonic()
        assert np.array_equal(cp.asarray(x).get(), x)
        longest_s = time.monotonic() - started
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            for k in range(30):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 1e-4 + longest_s * (k % 10) / 7)
                    # Down from the server, and up by this thread: more than may wait behind the caller's back.
                    with monkeypatch.context() as patch:
                        patch.setattr(bulk, "RETAINED_BYTES", 0)
                        there = cp.asarray(x + k)
                        back = there.get()
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except Interrupted:
                    interrupted += 1
                    if k % 10 == 9:
                        longest_s *= 2  # the machine has become slower
                    continue
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                assert np.array_equal(back, x + k)
                done += 1
        except Interrupted:  # between the statement and the line that stops the timer
            interrupted += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert interrupted and done
        assert np.array_equal(cp.asarray(x).get(), x)


# -- a server of another release ------------------------------------------------------------------------------------------


class Scripted(Turns):
    """A stream whose server answers the hello as a script says, and nothing else."""

    def __init__(self, answer: Callable[[Any], Any], on_frame: Callable[[bytes], None]) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.put: Callable[[bytes], Any] = self.sent.append
        self._answer: Callable[[Any], Any] | None = answer
        self._on_frame = on_frame
        self._ended = threading.Event()

    def push(self) -> None:
        pass

    def _next(self) -> Disconnected | None:
        if self._answer is None or not self.sent:
            return Disconnected("CANCELLED", "") if self._ended.wait(0.01) else None
        answer, self._answer = self._answer, None
        made = answer(session_pb2.ClientFrame.FromString(self.sent[0]).hello)
        if isinstance(made, Disconnected):
            return made
        self._on_frame(session_pb2.ServerFrame(hello=made).SerializeToString())
        return None

    def finish(self) -> None:
        self._ended.set()

    def cancel(self) -> None:
        self._is_over = True
        self._ended.set()

    def close(self) -> None:
        self._ended.set()


class ScriptedTransport:
    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self._answer = answer

    def attach(self, endpoint: str, metadata: Any, on_frame: Callable[[bytes], None], tls_name: str = "") -> Any:
        return Scripted(self._answer, on_frame)


def hello(**fields: Any) -> Any:
    """A server's hello; what is not given is as this release says it."""
    return session_pb2.ServerHello(
        **{"version": 1, "server": "srv-1", "epoch": 1, "op_table_digest": DIGEST, "limits": DEFAULT_LIMITS.to_wire(), **fields}
    )  # fmt: skip


def open_scripted(answer: Callable[[Any], Any]) -> session.Session:
    return session.open_at(FixedPool("nowhere"), Config(reconnect_s=2.0), ScriptedTransport(answer))


def test_a_server_that_refuses_every_version_is_a_version_mismatch() -> None:
    sentence = "No common protocol version: the client is older (it speaks 1, this server speaks 7)."
    with pytest.raises(VersionMismatch, match="the client is older") as caught:
        open_scripted(lambda asked: Disconnected("FAILED_PRECONDITION", sentence))
    assert "same minor release" in str(caught.value)


def test_a_server_that_chooses_a_version_which_was_not_offered_is_a_version_mismatch() -> None:
    with pytest.raises(VersionMismatch, match="99"):
        open_scripted(lambda asked: hello(version=99))


def test_rows_that_differ_or_are_missing_fail_when_called_and_only_then() -> None:
    theirs = row_hashes()
    assert len(theirs) > 400
    del theirs["cumsum"]
    theirs["sort"] = bytes(8)
    asked = []

    def answer(message: Any) -> Any:
        asked.append(message.op_table_digest)
        return hello(op_table_digest=bytes(32), row_hashes=theirs)

    opened_session = open_scripted(answer)
    try:
        assert asked == [DIGEST]
        a = cp.zeros(3)
        assert (a + 1).shape == (3,)
        with pytest.raises(VersionMismatch, match="another definition of 'sort'") as differs:
            cp.sort(a)
        assert "same release" in str(differs.value)
        with pytest.raises(OpMissing, match="has no op 'cumsum'") as missing:
            cp.cumsum(a)
        assert "Upgrade cupool on the server" in str(missing.value)
        assert cp.cumprod(a).shape == (3,)
        assert type(opened_session.link._stream) is Scripted
    finally:
        session._close("the test ended", 0.0)
    # The next session's server has them again.
    real = Server()
    try:
        with opened(real.endpoint):
            assert cp.sort(cp.asarray([2.0, 1.0])).tolist() == [1.0, 2.0]
            assert cp.cumsum(cp.ones(2)).tolist() == [1.0, 2.0]
    finally:
        real.close()


def test_the_transport_of_a_configuration() -> None:
    assert isinstance(open_session.TRANSPORTS[Config().transport](NO_TLS), LightTransport)
    assert isinstance(open_session.TRANSPORTS["core"](NO_TLS), CoreTransport)
