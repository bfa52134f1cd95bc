"""A session's first batches behind the client's hello, and the channel to a pool that is kept for the next session."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cupool.apiserver.config import Assignment, parse
from cupool.apiserver.devices.cpu.device import CpuDevice
from cupool.apiserver.service import ApiServer
from cupool.shim import forms, lease, link_thread, open_session, session
from cupool.shim import link as links
from cupool.shim.config import Config
from cupool.shim.core_stream import CoreTransport
from cupool.shim.lease import PoolClient, drop_kept
from cupool.shim.transport import NO_TLS

from benchmarks.moving import wait_until
from cupool.contract.errors import LeaseRefused, SessionLost, VersionMismatch
from cupool.contract.limits import DEFAULT_LIMITS, Limits
from cupool.contract.ops import DIGEST
from cupool.contract.statusfile import StatusWriter
from cupool.v1 import session_pb2

from .servers import FixedPool, Server, add, array, fetch
from .test_lease_patience import FULL, Script, served


class Recording(CoreTransport):
    """Writes down what goes out and comes in, in order.

    Args:
        cuts: the first stream is cut at its first batch.
        holds: no frame is taken before a batch went out, whoever reads it.
    """

    def __init__(self, cuts: bool = False, holds: bool = False) -> None:
        super().__init__()
        self.seen: list[str] = []
        self._cuts = cuts
        self._has_sent = threading.Event()
        if not holds:
            self._has_sent.set()

    def attach(self, endpoint: str, metadata: Any, on_frame: Callable[[bytes], None], tls_name: str = "") -> Any:
        def received(data: bytes) -> None:
            assert self._has_sent.wait(20)
            self.seen.append("hello in" if session_pb2.ServerFrame.FromString(data).HasField("hello") else "in")
            on_frame(data)

        stream = super().attach(endpoint, metadata, received, tls_name)
        put = stream.put

        def sent(data: bytes) -> None:
            kind = session_pb2.ClientFrame.FromString(data).WhichOneof("kind")
            self.seen.append(f"{kind} out")
            put(data)
            if kind == "batch":
                self._has_sent.set()
            if kind == "batch" and self._cuts:
                self._cuts = False
                stream.cancel()

        stream.put = sent  # type: ignore[method-assign]
        return stream


@pytest.fixture(scope="module")
def _release() -> Iterator[None]:
    yield
    drop_kept()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def open_at(server: Server, digest: bytes, transport: Any = None, token: str = "t", **settings: Any) -> FixedPool:
    pool = FixedPool(server.endpoint)
    pool.lease = pool.lease._replace(op_table_digest=digest, token=token)
    session.open_at(pool, Config(**settings), transport)
    return pool


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    session._close("the test ended", 1.0)


def total() -> Any:
    a = array([1.0, 2.0])
    return fetch(add(a, a, (2,)))


def test_the_first_batch_follows_the_hello_without_waiting(server: Server) -> None:
    transport = Recording(holds=True)
    open_at(server, DIGEST, transport)
    np.testing.assert_array_equal(total(), [2.0, 4.0])
    assert transport.seen[:3] == ["hello out", "batch out", "hello in"]
    assert transport.seen.count("batch out") == 1  # all of it in one, and the hello has nothing sent again
    assert session.device().kind == "cpu"
    np.testing.assert_array_equal(total(), [2.0, 4.0])


@pytest.mark.parametrize(("digest", "early"), [(b"", True), (b"another", True), (DIGEST, False)])
def test_it_waits_where_the_pool_says_another_table_or_nothing_or_it_is_told_to(
    server: Server, digest: bytes, early: bool
) -> None:
    transport = Recording()
    open_at(server, digest, transport, early=early)
    np.testing.assert_array_equal(total(), [2.0, 4.0])
    assert transport.seen[:3] == ["hello out", "hello in", "batch out"]


def test_what_needs_the_hello_waits_for_it(server: Server) -> None:
    open_at(server, DIGEST)
    assert session.device().kind == "cpu" and session.limits().frame_bytes
    session._close("the test goes on", 1.0)


def test_checkpoints_that_the_server_does_not_keep_are_refused_before_anything_is_sent(server: Server) -> None:
    transport = Recording()
    with pytest.raises(LeaseRefused):
        open_at(server, DIGEST, transport, durability="node")
    assert "batch out" not in transport.seen


def test_a_server_of_another_table_than_its_pool_said_is_one_clear_error(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_session, "_digest", lambda: b"another")
    open_at(server, b"another")
    with pytest.raises(VersionMismatch, match="another op table than its pool said"):
        total()


def test_a_stream_that_breaks_before_the_hello_costs_nothing(server: Server) -> None:
    transport = Recording(cuts=True)
    open_at(server, DIGEST, transport)
    np.testing.assert_array_equal(total(), [2.0, 4.0])
    assert transport.seen.count("hello out") == 2


def test_a_refused_session_says_so_at_the_first_wait_and_is_given_back(server: Server) -> None:
    pool = open_at(server, DIGEST, token="stolen")
    with pytest.raises(LeaseRefused, match="credential"):
        total()
    assert pool.released and not session.is_open()


def test_a_session_that_sent_nothing_ends_well(server: Server) -> None:
    pool = open_at(server, DIGEST)
    session._close("nothing to do", 1.0)
    assert pool.released == ["nothing to do"]


def sockets() -> set[str]:
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
    return {link for link in found if link.startswith(("socket:", "pipe:"))}


@pytest.mark.parametrize("kind", ["light", "core"])
def test_a_session_that_ends_before_it_has_threads_gives_everything_back(server: Server, kind: str) -> None:
    before = sockets()
    open_at(server, DIGEST, open_session.TRANSPORTS[kind](NO_TLS))
    link = session.current().link
    session._close("nothing to do", 1.0)
    assert link._thread.ended.is_set() and link._stream is None
    assert kind == "core" or sockets() == before


def test_a_child_forked_before_the_session_has_threads_has_none_of_its_sockets(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_thread, "SOON_S", 5.0)
    before = sockets()
    open_at(server, DIGEST, open_session.TRANSPORTS["light"](NO_TLS))
    a = array([1.0, 2.0])
    pid = os.fork()
    if not pid:
        os._exit(len(sockets() - before))
    assert os.waitpid(pid, 0)[1] == 0
    np.testing.assert_array_equal(fetch(a), [1.0, 2.0])


#: A program that ends at once, where the interpreter starts no thread any more (from Python 3.12 on).
SHORT = """
import atexit, sys, threading, _thread
from cupool.shim import cupy as cp, link_thread, session
from cupool.shim.config import Config
from cupool.contract.ops import DIGEST
from tests.system.servers import FixedPool
link_thread.SOON_S = 1.0
pool = FixedPool(sys.argv[1])
pool.lease = pool.lease._replace(op_table_digest=DIGEST)
session.EXIT_DRAIN_S = 300.0
session.open_at(pool, Config(transport=sys.argv[2]))
a = cp.arange(5) + 1
def refuse(*_):
    raise RuntimeError("can't create new thread at interpreter shutdown")
def end():
    threading._start_new_thread = _thread.start_new_thread = refuse
atexit.register(end)
"""


@pytest.mark.parametrize("kind", ["light", "core"])
def test_a_program_that_ends_before_its_session_has_threads_ends_well(server: Server, kind: str) -> None:
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH", ""), str(Path(__file__).resolve().parents[2]))))
    done = subprocess.run(
        [sys.executable, "-P", "-c", SHORT, server.endpoint, kind],
        env=dict(os.environ) | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class Peers(Script):
    """Notes the connection that each Acquire came by."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(*answers)
        self.peers: list[str] = []

    def Acquire(self, request: Any, context: Any) -> Any:
        self.peers.append(context.peer())
        return super().Acquire(request, context)


def acquire(address: str, **options: Any) -> None:
    pool = PoolClient(address, **options)
    try:
        pool.acquire(Config(deadline_s=0))
    finally:
        pool.close()


def test_the_next_session_finds_the_channel_to_its_pool_open(monkeypatch: pytest.MonkeyPatch, _release: None) -> None:
    script = Peers(*[None] * 5, FULL)
    with served(script) as address:
        acquire(address)
        acquire(address)
        assert script.peers[0] == script.peers[1]
        real = lease.time.time
        monkeypatch.setattr(lease.time, "time", lambda: real() + lease.KEEP_S)  # the process was frozen meanwhile
        acquire(address)
        monkeypatch.undo()
        drop_kept()
        acquire(address)
        acquire(address, is_patient=False)  # a program's own pool ends with it: nothing of it is kept or taken
        with pytest.raises(LeaseRefused):
            acquire(address)
        assert len(set(script.peers[1:])) == 4 and script.peers[5] == script.peers[3]
        drop_kept()
        assert not lease._kept


#: A server's that is less than any client is used to. A frame takes about 400 commands of an addition.
SMALL = Limits(
    frame_bytes=16 << 10, batch_commands=300, inflight_bytes=64 << 10, inflight_commands=900, forms=40, inline_bytes=2048,
    chunk_bytes=16 << 10,
)  # fmt: skip


@pytest.fixture
def small_server() -> Iterator[Server]:
    """A server of this process whose session has these limits, as the controller's `AssignRequest.limits` may give it."""
    forms.reset()  # those of other tests' programs would be defined to it too, and some are larger than it takes
    api = ApiServer(parse(["--no-stdin", "--memory-limit", "1GiB"]), CpuDevice(0, 1 << 30), StatusWriter())
    api.assign(Assignment("s", hashlib.sha256(b"t").digest(), 1, 1 << 30, 30.0), SMALL)
    listener, endpoint = api.serve()
    server = Server.__new__(Server)
    server.endpoint = endpoint
    yield server
    session._close("the test ended", 1.0)
    forms.take_limit(DEFAULT_LIMITS.forms)
    api.stop("the test is over")
    api.close()
    listener.stop(0.5).wait()
    assert api.listener.calls is not None
    api.listener.calls.shutdown()


@pytest.mark.parametrize("early", [True, False])
def test_a_server_that_takes_less_is_told_in_pieces(
    small_server: Server, early: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool says the table alone, so what goes early is cut by the usual limits."""
    monkeypatch.setattr(link_thread, "SOON_S", 60.0)  # nobody reads the hello before the first wait
    open_at(small_server, DIGEST, early=early)
    a = array([1.0, 2.0])
    large = [array(np.full(250, k)) for k in range(12)]  # 24 KB of values
    sums = [a]
    for _ in range(1500):
        sums.append(add(sums[-1], a, (2,)))
    if early:
        assert session.current().outbox.limits == DEFAULT_LIMITS and session.current().outbox.seq == 0
        session.current().link._thread.hurry.set()
    np.testing.assert_array_equal(fetch(sums[-1]), [1501.0, 3002.0])
    current = session.current()
    assert current.outbox.limits == SMALL and session.device().kind == "cpu"
    assert current.link.reconnects == 0 and current.link.recoveries == 0
    assert [fetch(k)[0] for k in large] == list(range(12))
    # And what comes later: many commands, many forms, values, and arrays beside the stream.
    for k in range(3, 90):
        x = array(np.full(k, 2.0))
        np.testing.assert_array_equal(fetch(add(x, x, (k,))), np.full(k, 4.0))
    assert current.inline_bytes <= 1024
    for _ in range(1500):
        sums.append(add(sums[-1], a, (2,)))
    np.testing.assert_array_equal(fetch(sums[-1]), [3001.0, 6002.0])


def test_a_call_that_a_server_never_takes_is_one_clear_error(small_server: Server) -> None:
    open_at(small_server, DIGEST)
    array(np.zeros(4000))
    with pytest.raises(SessionLost, match=r"One call takes 32,... bytes; the server takes 15,360 in a frame"):
        total()


def test_a_session_that_ends_while_its_threads_start(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_go_on = threading.Event(), threading.Event()
    start = threading.Thread.start

    def slow(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == "cupool-link":
            begun.set()
            assert may_go_on.wait(20)  # the ticker is not started yet, and the session is closed

    monkeypatch.setattr(threading.Thread, "start", slow)
    pool = open_at(server, DIGEST)
    assert begun.wait(20)
    closing = threading.Thread(target=session._close, args=("early", 1.0))
    start(closing)
    may_go_on.set()
    closing.join(20)
    assert pool.released == ["early"] and not session.is_open()


def test_a_hello_that_is_read_before_the_session_has_threads_counts(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the stream is taken for one that was never answered, and replaced after five seconds."""
    may_go_on = threading.Event()
    start = threading.Thread.start

    def late(thread: threading.Thread) -> None:
        if thread.name == "cupool-link":
            assert may_go_on.wait(20)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", late)
    open_at(server, DIGEST)
    np.testing.assert_array_equal(total(), [2.0, 4.0])  # read by this thread
    link = session.current().link
    first = link._stream
    may_go_on.set()
    wait_until(lambda: link._first is None and link._thread.is_alive())
    assert link.server_hello is not None
    link.look(link._started_s + 2 * links.HELLO_S)
    np.testing.assert_array_equal(total(), [2.0, 4.0])
    assert link._stream is first and link.reconnects == 0
