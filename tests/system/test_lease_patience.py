"""How a client comes to a session: refusals that pass, pools that are away for a moment, deadlines; requests, forks and clones."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from cupool.shim import cupy as cp
from cupool.shim import forms, scopes, session
from cupool.shim.config import Config
from cupool.shim.lease import PoolClient

import cupool
from cupool.contract import values
from cupool.contract.errors import ForeignArray, LeaseRefused, PoolUnreachable, SessionCloned
from cupool.v1 import pool_pb2, pool_pb2_grpc, session_pb2

from .servers import FixedPool, Server, add, array, fetch

ROOT = str(Path(__file__).resolve().parents[2])


class Script(pool_pb2_grpc.PoolServiceServicer):
    """A pool that answers as it is told, one answer an Acquire: a status with its trailer, or a lease."""

    def __init__(self, *answers: tuple[grpc.StatusCode, str, int | None] | None) -> None:
        self.answers = list(answers)
        self.requests: list[Any] = []

    def Acquire(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if answer is None:
            return pool_pb2.Lease(session="s", session_token="t", endpoint="127.0.0.1:1", epoch=1)
        code, text, hint_ms = answer
        if hint_ms is not None:
            context.set_trailing_metadata((("cupool-retry-after-ms", str(hint_ms)),))
        context.abort(code, text)
        raise AssertionError("abort raises")


@contextmanager
def served(script: Script, address: str = "127.0.0.1:0") -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    pool_pb2_grpc.add_PoolServiceServicer_to_server(script, server)
    port = server.add_insecure_port(address)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@contextmanager
def client(address: str, **options: Any) -> Iterator[PoolClient]:
    found = PoolClient(address, **options)
    try:
        yield found
    finally:
        found.close()


FULL = (grpc.StatusCode.RESOURCE_EXHAUSTED, "All devices are full.", 20)


def test_a_refusal_with_a_time_is_asked_again_then() -> None:
    script = Script(FULL, FULL, None)
    with served(script) as address, client(address) as pool:
        assert pool.acquire(Config(deadline_s=20, lifetime_s=7)).session == "s"
    assert not script.answers
    left = [request.deadline_ms for request in script.requests]
    assert left == sorted(left, reverse=True) and left[0] <= 20_000 and script.requests[0].lifetime_s == 7


@pytest.mark.parametrize(
    ("answer", "deadline_s"),
    [
        (FULL, 0.0),
        ((grpc.StatusCode.RESOURCE_EXHAUSTED, "All devices are full.", 60_000), 5.0),
        ((grpc.StatusCode.RESOURCE_EXHAUSTED, "More than a device has.", None), 5.0),
        ((grpc.StatusCode.PERMISSION_DENIED, "Not yours.", 20), 5.0),
    ],
    ids=["no time", "later than the deadline", "never", "not allowed"],
)
def test_other_refusals_are_final(answer: Any, deadline_s: float) -> None:
    script = Script(answer)
    with served(script) as address, client(address) as pool, pytest.raises(LeaseRefused):
        pool.acquire(Config(deadline_s=deadline_s))
    assert not script.answers


def test_a_pool_that_is_away_for_a_moment_is_no_error() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    script = Script((grpc.StatusCode.UNAVAILABLE, "The controller is starting.", None), None)
    tried = threading.Event()
    leases = []

    def ask() -> None:
        with client(address) as pool:
            once = pool._acquire_once

            def counted(*args: Any) -> Any:
                tried.set()
                return once(*args)

            pool._acquire_once = counted  # type: ignore[method-assign]
            leases.append(pool.acquire(Config(deadline_s=60)))

    thread = threading.Thread(target=ask)
    thread.start()
    assert tried.wait(30)
    with served(script, address):
        thread.join(60)
    assert [lease.session for lease in leases] == ["s"]


def test_a_pool_that_stays_away_and_a_name_that_is_none() -> None:
    with client("127.0.0.1:9") as pool, pytest.raises(PoolUnreachable, match=r"tried for 0.2 s \(CUPOOL_DEADLINE_S\)"):
        pool.acquire(Config(deadline_s=0.2))
    started = time.monotonic()
    with client("no-such-host.invalid:1") as pool, pytest.raises(PoolUnreachable):
        pool.acquire(Config(deadline_s=600))
    assert time.monotonic() - started < 300  # it does not wait for a name to appear
    with client("127.0.0.1:9", is_patient=False) as pool, pytest.raises(PoolUnreachable):
        pool.acquire(Config(deadline_s=600))


# -- requests -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FixedPool]]:
    """Every session gets a server of its own; the pools that leased them, in order."""
    used: list[FixedPool] = []
    servers: list[Server] = []

    def make(settings: Config) -> FixedPool:
        servers.append(Server())
        used.append(FixedPool(servers[-1].endpoint))
        used[-1].wished = settings  # type: ignore[attr-defined]
        return used[-1]

    monkeypatch.setattr(session, "_pool_client", make)
    yield used
    session._close("the test ended", 1.0)
    for server in servers:
        server.close()


def test_a_session_for_a_request(pools: list[FixedPool]) -> None:
    with cupool.session(deadline_s=5, function="thumbnails", memory="64MiB", lifetime_s=30):
        assert not pools  # opened at the first need
        a = cp.arange(3.0)
        assert float(a.sum()) == 3
        wished = pools[0].wished  # type: ignore[attr-defined]
        assert wished.function == "thumbnails" and wished.memory_bytes == 64 << 20 and wished.lifetime_s == 30
        assert 0 < wished.deadline_s <= 5
    assert not session.is_open() and len(pools[0].released) == 1
    with pytest.raises(ForeignArray):
        a.get()
    with cupool.session():
        assert float(cp.ones(2).sum()) == 2
    assert len(pools) == 2


def test_a_failed_request_ends_its_session_too(pools: list[FixedPool]) -> None:
    with pytest.raises(ZeroDivisionError), cupool.session():
        cp.zeros(3)
        raise ZeroDivisionError
    assert not session.is_open() and pools[0].released


def test_a_kept_session_serves_one_invocation_after_the_other(pools: list[FixedPool]) -> None:
    for k in range(3):
        with cupool.session(deadline_s=5, keep=True):
            assert float(cp.full(2, k).sum()) == 2 * k
    assert len(pools) == 1 and session.is_open()
    # A block inside of an open session leaves it open.
    with cupool.session():
        cp.zeros(1).get()
    assert session.is_open()


def test_requests_that_overlap_share_and_the_last_ends_it(pools: list[FixedPool]) -> None:
    gate = threading.Barrier(4, timeout=60)
    totals = []

    def request(k: int) -> None:
        with cupool.session():
            x = cp.full(3, k)
            gate.wait()
            totals.append(float(x.sum()))

    threads = [threading.Thread(target=request, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(totals) == [0, 3, 6, 9]
    assert len(pools) == 1 and not session.is_open()


def test_a_block_needs_a_number_of_seconds() -> None:
    with pytest.raises(ValueError, match="deadline_s"), cupool.session(deadline_s=-1):
        pass
    with pytest.raises(ValueError, match="lifetime_s"), cupool.session(lifetime_s=float("nan")):
        pass
    assert scopes.settings(Config(deadline_s=3)).deadline_s == 3


# -- copies ---------------------------------------------------------------------------------------------------------------

CLONE = """
import os, sys
sys.path.append({root!r})
from tests.system.servers import *
from cupool.shim.link import Link
made = Link.__init__
def resumed(self, *args):
    made(self, *args)
    self._nonces = (bytes.fromhex({before!r}), os.urandom(16))
Link.__init__ = resumed
first, other = FixedPool({endpoint!r}), FixedPool({other!r})
class Pool(FixedPool):
    leases = [first.lease, other.lease]
    def acquire(self, config, base=None):
        return self.leases.pop(0)
pool = Pool("")
session.open_at(pool, Config())
print(fetch(array([5.0]))[0], session._process.session.link.lease.endpoint == {other!r}, pool.released)
session.close()
"""


def test_two_processes_from_one_state_never_share_a_session() -> None:
    """The first to come back has the session. The second, which knows the same lease and the same nonce, gets one of its own."""
    server, other = Server(), Server()
    try:
        link = session.open_at(FixedPool(server.endpoint), Config()).link
        x = array([1.0, 2.0])
        assert fetch(x).sum() == 3
        before = link._nonces[0].hex()
        link.renew()  # the first comes back: the nonce changes
        y = add(x, x, (2,))
        assert fetch(y).sum() == 6
        code = CLONE.format(root=ROOT, before=before, endpoint=server.endpoint, other=other.endpoint)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        # It does not release what is the first one's.
        assert done.stdout == "5.0 True []\n", done.stderr
        assert fetch(add(y, x, (2,))).sum() == 9  # the first noticed nothing
    finally:
        session._close("the test ended", 1.0)
        server.close()
        other.close()


def come_back_second() -> None:
    """Make the session's process a clone whose other copy has come back before: the nonce that we know is an old one."""
    link = session.current().link
    link._nonces = (os.urandom(16), os.urandom(16))
    link.renew()


def test_a_clone_makes_its_session_again_elsewhere(pools: list[FixedPool], monkeypatch: pytest.MonkeyPatch) -> None:
    """While all that it did can be done again: its arrays are there, and no call of its fails."""
    a = cp.arange(3.0)
    b = a * 2
    assert float(b.sum()) == 6
    second = Server()
    try:
        monkeypatch.setattr(pools[0], "lease", FixedPool(second.endpoint).lease)
        come_back_second()
        np.testing.assert_array_equal((a + b).get(), [0, 3, 6])
        assert session.current().link.recoveries == 1 and not pools[0].released
        session._close("the test ended", 1.0)
    finally:
        second.close()


def test_what_an_earlier_session_called_ends_no_later_ones_window(pools: list[FixedPool]) -> None:
    kind = values.encode("nothing")
    forms.form("of this test", lambda number: session_pb2.Form(id=number, op="@fault", args=[kind]))
    assert float(cp.ones(3).sum()) == 3
    assert "called @fault" in session.current().outbox.redo.why
    session._close("the test ended", 1.0)
    assert float(cp.ones(3).sum()) == 3
    assert session.current().outbox.redo.is_whole and len(pools) == 2


def test_a_clone_that_cannot_goes_on_with_a_new_session(
    pools: list[FixedPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was idle: its arrays are gone, and say so; what it makes from then on works, and no call of its fails."""
    monkeypatch.setattr(session, "config", lambda: Config(durability="none"))
    a = cp.arange(3.0)
    assert float(a.sum()) == 3
    opened = session.current()
    lost = threading.Event()
    opened.link._on_lost = lambda error: lost.set()
    come_back_second()
    assert lost.wait(30)
    assert isinstance(opened.outbox.lost, SessionCloned)
    assert float(cp.ones(4).sum()) == 4
    assert len(pools) == 2
    with pytest.raises(ForeignArray):
        a.get()


def test_a_fork_has_a_session_of_its_own(pools: list[FixedPool]) -> None:
    """Through an embedded pool; see test_session_processes for the parent's side."""
    program = """
import os, cupy as cp
import cupool
x = cp.arange(4.0)
print(float(x.sum()), flush=True)
pid = os.fork()
if pid == 0:
    try:
        x.get()
    except cupool.ForeignArray:
        with cupool.session():
            print(float(cp.ones(5).sum()), flush=True)
        os._exit(0)
    os._exit(1)
assert os.waitpid(pid, 0)[1] == 0
print(float((x * 2).sum()))
"""
    done = subprocess.run(
        [sys.executable, "-m", "cupool", "run", "-c", program], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.stdout == "6.0\n5.0\n12.0\n", done.stderr


def test_a_snapshot_holds_no_session(pools: list[FixedPool], monkeypatch: pytest.MonkeyPatch) -> None:
    hooks: list[Callable[[], None]] = []
    module = type(sys)("snapshot_restore_py")
    module.register_before_snapshot = hooks.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", module)
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    monkeypatch.setattr(session, "_has_snapshot", False)
    np.testing.assert_array_equal(cp.arange(3).get(), [0, 1, 2])
    (before_snapshot,) = hooks
    before_snapshot()
    assert not session.is_open() and pools[0].released
    assert int(cp.arange(3).sum()) == 3  # after the restore
    assert len(pools) == 2 and len(hooks) == 1
