"""The client's session against a real API server: asking, errors, cuts, silence, threads."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cupool.shim import link, session

from benchmarks.moving import wait_until
from cupool.contract.errors import CupoolError, PoolUnreachable, SessionLost

from .faultproxy import DOWN, UP, FaultProxy
from .servers import HANDLE, Server, add, array, fetch, free, opened, promise, send


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def program(steps: int = 120, fetch_every: int = 15) -> list[float]:
    """A chain of additions with some fetches; the sums it saw."""
    seen = []
    x = array(np.arange(8.0))
    one = array(np.ones(8))
    for k in range(steps):
        y = add(x, one, (8,))
        free(x)
        x = y
        if k % fetch_every == fetch_every - 1:
            seen.append(float(np.sum(fetch(x))))
    free(x)
    free(one)
    return seen


EXPECTED = [28.0 + 8 * k for k in range(15, 121, 15)]


def test_ask_and_statistics(server: Server) -> None:
    # Statistics are the process's: other tests of this worker may have waited before.
    before = session.statistics()
    earlier = dict(before.waits_by_site)
    with opened(server.endpoint) as s:
        assert program() == EXPECTED
        counted = session.statistics()
        assert s.waits == 8
        assert counted.waits - before.waits == 8
        new = {site: n - earlier.get(site, 0) for site, n in counted.waits_by_site.items() if n > earlier.get(site, 0)}
        assert all("servers.py:" in site for site in new)
        assert sum(new.values()) == 8
        assert counted.commands > 240
        assert counted.batches < counted.commands
        assert session.device().kind == "cpu"
    assert not session.is_open()


def test_an_error_comes_at_the_next_wait_with_the_users_line(server: Server) -> None:
    with opened(server.endpoint):
        a, b = array(np.ones(3)), array(np.ones(4))
        good = array(np.ones(2))
        bad = send("add", [HANDLE, HANDLE], (a, b), promise((3,)))
        with pytest.raises(ValueError) as error:
            fetch(good)
        assert any("'add'" in note and "servers.py:" in note for note in error.value.__notes__)
        np.testing.assert_array_equal(fetch(good), np.ones(2))
        with pytest.raises(ValueError):
            fetch(bad)
        np.testing.assert_array_equal(fetch(good), np.ones(2))


def test_the_awaited_values_own_error_reports_the_deferred_one(server: Server) -> None:
    with opened(server.endpoint):
        a, b = array(np.ones(3)), array(np.ones(4))
        bad = send("add", [HANDLE, HANDLE], (a, b), promise((3,)))
        with pytest.raises(ValueError) as error:
            fetch(bad)
        assert any("'add'" in note for note in error.value.__notes__)
        session.wait_all()  # nothing is left to report


def test_errors_belong_to_the_thread_that_issued(server: Server) -> None:
    with opened(server.endpoint):
        a, b = array(np.ones(3)), array(np.ones(4))
        raised: list[Any] = []
        issued, checked = threading.Event(), threading.Event()

        def other() -> None:
            send("add", [HANDLE, HANDLE], (a, b), promise((3,)))
            issued.set()
            checked.wait(60)
            try:
                session.wait_all()
            except ValueError as error:
                raised.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        issued.wait(60)
        session.wait_all()
        session.wait_all()
        checked.set()
        thread.join()
        assert len(raised) == 1


def test_threads_share_a_session(server: Server) -> None:
    with opened(server.endpoint):
        results: list[Any] = []
        threads = [threading.Thread(target=lambda: results.append(program(60, 15))) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert results == [EXPECTED[:4]] * 4


def test_nothing_stays_unsent_while_the_program_is_quiet(server: Server) -> None:
    with opened(server.endpoint) as s:
        a = array(np.ones(3))
        fetch(a)
        before = s.inbox.executed_seq
        free(a)
        deadline = time.monotonic() + 60
        while s.inbox.executed_seq == before:
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.mark.parametrize("direction", [UP, DOWN])
@pytest.mark.parametrize("kind", ["cut", "half-close", "corrupt"])
def test_a_fault_at_many_places(direction: str, kind: str) -> None:
    """Same numbers whatever byte it strikes. A damaged byte may also be refused, with an error of ours; never a wrong number."""
    for at in (3, 200, 700, 2500):
        server = Server()
        try:
            with FaultProxy(server.endpoint) as proxy:
                proxy.strike(kind, direction, at)
                try:
                    with opened(proxy.endpoint, reconnect_s=20.0):
                        assert program() == EXPECTED
                except CupoolError:
                    assert kind == "corrupt"
        finally:
            server.close()


def test_cuts_again_and_again(server: Server) -> None:
    with FaultProxy(server.endpoint) as proxy, opened(proxy.endpoint) as s:
        for at in range(1500, 20_000, 1500):
            proxy.strike("cut", UP, at)
            proxy.strike("cut", DOWN, at + 700)
        for _ in range(6):
            assert program() == EXPECTED
        assert s.link.reconnects == len(proxy.struck) > 4
        assert not s.outbox.window


def test_a_silent_link_is_replaced(server: Server) -> None:
    with FaultProxy(server.endpoint) as proxy, opened(proxy.endpoint) as s:
        assert program() == EXPECTED
        proxy.blackhole_now()
        started = time.monotonic()
        assert program() == EXPECTED
        assert time.monotonic() - started < 12  # gRPC's keepalive alone would take longer
        assert s.link.reconnects == 1


def test_a_server_that_only_its_connection_speaks_for_is_replaced_in_the_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands before a server may answer pings for one that is gone: they are taken for a sign of life for `BUSY_S` and no longer."""
    monkeypatch.setattr(link, "BUSY_S", 1.5)
    with FaultProxy(server.endpoint) as proxy, opened(proxy.endpoint) as s:
        assert program() == EXPECTED
        stream = s.link._stream
        assert stream is not None
        pinged: list[float] = []

        def ping() -> None:
            pinged.append(time.monotonic())
            stream.heard_s = time.monotonic() + 1e-3

        monkeypatch.setattr(stream, "ping", ping)
        proxy.blackhole_now()
        monkeypatch.setattr(s.link, "_is_waiting", lambda: True)  # for what does not come
        wait_until(lambda: s.link.reconnects == 1)
        monkeypatch.undo()
        assert len(pinged) == 2  # with the probe, and once more a second later
        assert program() == EXPECTED


def test_a_busy_server_is_not_lost(server: Server) -> None:
    """The server's process is stopped for a while: silent, then there again."""
    with opened(server.endpoint) as s:
        assert program() == EXPECTED
        server.process.send_signal(signal.SIGSTOP)
        threading.Timer(3.5, server.process.send_signal, [signal.SIGCONT]).start()
        assert program() == EXPECTED
        assert s.outbox.lost is None


def test_a_dead_server_is_one_clear_error(server: Server) -> None:
    with opened(server.endpoint, reconnect_s=1.0) as s:
        a = array(np.ones(3))
        fetch(a)
        s._pool.reason = "kernel 'loop' ran into a division trap"
        server.process.kill()
        with pytest.raises(SessionLost, match="division trap"):
            for _ in range(10_000):
                fetch(a)


def test_what_a_server_says_whose_agent_is_gone_is_the_pools_to_judge(server: Server) -> None:
    """The server's own sentence would be the end of a session that another server could go on with."""
    with opened(server.endpoint) as s:
        x = array([1.0, 2.0])
        fetch(x)
        asked: list[int] = []

        def fate(lease: Any, timeout_s: float = 1.0) -> str | None:
            asked.append(1)  # at first the pool has not noticed yet
            return "its agent has ended" if len(asked) > 1 else None

        s._pool.fate = fate
        s.link._fate = fate
        assert server.process.stdin is not None
        server.process.stdin.close()
        with pytest.raises(SessionLost, match="its agent has ended"):
            while True:
                fetch(x)


def test_a_server_that_stays_away_is_given_up(server: Server) -> None:
    with FaultProxy(server.endpoint) as proxy, opened(proxy.endpoint, reconnect_s=0.7):
        a = array(np.ones(3))
        fetch(a)
        proxy.refuses = True
        proxy.cut_now()
        with pytest.raises(SessionLost, match="CUPOOL_RECONNECT_S"):
            fetch(a)


def test_no_pool_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    from cupool.shim.config import Config

    with pytest.raises(PoolUnreachable, match="CUPOOL_ADDR"):
        session._open(lambda: session.Session(Config(addr="127.0.0.1:9", deadline_s=2.0)))
    assert not session.is_open()


@pytest.mark.parametrize("how", ["pause", "close"])
def test_a_stream_that_is_being_made_while_the_session_pauses_or_ends_is_given_up_at_once(
    server: Server, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Who pauses looks for a stream before there is one, and would wait until its time is over, with a connection up behind its back."""
    with opened(server.endpoint, early=False) as now:
        link = now.link
        assert fetch(array([1.0])).tolist() == [1.0]
        made, goes = threading.Event(), threading.Event()
        greet = link._greet

        def slowly() -> Any:
            made.set()
            assert goes.wait(20)
            return greet()

        monkeypatch.setattr(link, "_greet", slowly)
        link.renew()
        assert made.wait(20)
        renew = link.renew
        # What looks for a stream finds none; the new one is made right behind that look.
        monkeypatch.setattr(link, "renew", lambda: (renew(), goes.set()))
        if how == "pause":
            link.pause(20.0)
            assert link._paused.is_set() and link._stream is None
            monkeypatch.undo()
            link.resume()
            assert fetch(array([2.0])).tolist() == [2.0]
        else:
            ended, waits = link._thread.ended.wait, []

            def wait(timeout_s: float) -> bool:
                goes.set()
                waits.append(ended(timeout_s))
                return waits[-1]

            monkeypatch.setattr(link._thread.ended, "wait", wait)
            monkeypatch.setattr(link, "look", lambda now: None)  # it would give the stream up after some seconds
            link.close("the test ends", 20.0)
            assert waits == [True] and link._stream is None
