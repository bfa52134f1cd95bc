"""The controller's side of balancing: what its snapshot says, who may act on it, decisions that are kept, and the choice of a policy."""

from __future__ import annotations

import dataclasses

import pytest
from cupool.balancer import messages
from cupool.pool import moving
from cupool.pool.balancing import ALIVE_S, KEPT, Balancing, Share
from cupool.pool.config import PoolConfig, Quota
from cupool.pool.controller import Controller
from cupool.pool.directory import Directory
from cupool.pool.directory_sqlite import SqliteDirectory
from cupool.pool.refusals import Refused
from fakehost import FakeHost

from cupool.v1 import admin_pb2, pool_pb2, server_pb2

CONFIG = PoolConfig(max_sessions=4, warm=2, quota=Quota(), balance="cost-aware")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclasses.dataclass
class Pool:
    clock: Clock
    host: FakeHost
    controller: Controller
    balancing: Balancing
    audited: list

    def acquire(self, **fields: object) -> pool_pb2.Lease:
        lease = self.controller.acquire(pool_pb2.AcquireRequest(**fields), "default")
        self.host.deliver()
        return lease


def begin(config: PoolConfig = CONFIG, directory: Directory | None = None) -> Pool:
    clock, host, audited = Clock(), FakeHost(), []
    controller = Controller(config, host, directory or Directory(), clock)
    controller.open()
    host.connect()
    host.deliver()
    return Pool(clock, host, controller, Balancing(controller, lambda *words: audited.append(words)), audited)


def refused(call) -> Refused:
    with pytest.raises(Refused) as info:
        call()
    return info.value


def test_a_snapshot_says_what_the_books_say_and_the_balancer_can_read_it():
    pool = begin()
    first, second = pool.acquire(memory_bytes=30), pool.acquire(memory_bytes=20)
    pool.host.attach(first.server)
    pool.clock.now += 5
    snapshot = messages.snapshot_of(pool.balancing.snapshot(""))
    assert (snapshot.policy, snapshot.dry_run, snapshot.at_s) == ("cost-aware", False, 1005.0)
    devices = {d.id: d for d in snapshot.devices}
    assert sum(d.promised_bytes for d in devices.values()) == 50 and sum(d.sessions for d in devices.values()) == 2
    assert all(
        d.memory_bytes == 100 and d.max_sessions == 4 and d.is_connected and d.node == "node-1"
        for d in devices.values()
    )
    sessions = {s.id: s for s in snapshot.sessions}
    one, other = sessions[first.session], sessions[second.session]
    assert one.attached and not one.fixed and one.age_s == 5 and one.last_move_s < 0 and one.device in devices
    assert not other.attached and other.fixed == "no client has come to it yet"


def test_who_waits_for_room_is_told_and_who_waits_for_a_quota_is_not():
    pool = begin()
    for _ in range(4):
        pool.acquire(memory_bytes=50)
    wish = pool_pb2.AcquireRequest(memory_bytes=50, deadline_ms=60_000, priority=3)
    pool.controller.acquire(wish, "default")
    pool.clock.now += 2
    (waiting,) = pool.balancing.snapshot("").waiting
    assert (waiting.tenant, waiting.memory_bytes, waiting.waited_s, waiting.priority) == ("default", 50, 2.0, 3)
    with pool.controller.lock:
        tenant = pool.controller.tenant("default")
        tenant.quota = dataclasses.replace(tenant.quota, sessions=4)
    assert not pool.balancing.snapshot("").waiting


def test_cordons_drains_and_failures_are_told():
    pool = begin()
    with pool.controller.lock:
        one, other = pool.controller.books.devices.values()
        one.cordoned, one.is_draining = "fans", True
        other.measured.cordoned = True
    told = {d.device: d for d in pool.balancing.snapshot("").devices}
    assert told[one.key].cordoned and told[one.key].draining and not told[one.key].failed
    assert told[other.key].failed and not told[other.key].draining
    pool.host.disconnect()
    assert not any(d.is_connected for d in pool.balancing.snapshot("").devices)


def test_a_sessions_share_is_that_of_the_last_samples():
    share = Share()
    assert share.take(0.0, 0.0) == 0.0
    assert share.take(0.25, 0.25) == 1.0
    assert [share.take(0.25, 0.25 * n) for n in range(2, 8)][-1] == 0.0
    assert share.take(1.0, 2.0) == pytest.approx(0.75 / 1.25)
    assert share.take(0.1, 2.25) == 0.0, "another server counts from the beginning"
    assert Share().take(5.0, 0.0) == 0.0


def test_shares_come_from_what_sessions_executed():
    pool = begin()
    lease = pool.acquire()
    pool.host.attach(lease.server)
    for _ in range(8):
        pool.balancing.snapshot("b")
        pool.clock.now += 0.25
        pool.host.work(lease.server, 0.1, 7)
    (session,) = pool.balancing.snapshot("b").sessions
    assert session.utilisation == pytest.approx(0.4) and session.used_bytes == 7


def test_a_copy_tells_of_the_link_and_of_what_its_session_writes():
    report = server_pb2.MoveReport(total_bytes=100 << 20, copied_bytes=150 << 20, dirty_bytes=10 << 20, rounds=3)
    assert moving.link_bytes_a_s(report, 0.5) == 300 << 20
    assert moving.dirty_bytes_a_s(report, 0.5) == 120 << 20
    small = server_pb2.MoveReport(total_bytes=1 << 20, copied_bytes=1 << 20, rounds=2)
    assert moving.link_bytes_a_s(small, 0.5) == 0.0 == moving.dirty_bytes_a_s(small, 0.5)
    assert moving.link_bytes_a_s(report, 0.0) == 0.0
    pool = begin()
    lease = pool.acquire()
    pool.controller.books.sessions[lease.session].dirty_bytes_a_s = 5.0
    assert pool.balancing.snapshot("").sessions[0].dirty_bytes_a_s == 5.0


def test_one_balancer_acts_until_it_is_silent():
    pool = begin()
    pool.balancing.snapshot("one")
    pool.clock.now += ALIVE_S - 0.1
    assert "Another balancer, one, acts" in str(refused(lambda: pool.balancing.snapshot("two")))
    pool.balancing.snapshot("")  # who looks acts not
    assert pool.balancing.shown(0).is_running
    pool.clock.now += 0.2
    pool.balancing.snapshot("two")
    shown = pool.balancing.shown(0)
    assert (shown.balancer, shown.is_running, shown.snapshots) == ("two", True, 2)
    assert refused(lambda: pool.balancing.snapshot("one"))


def test_decisions_are_kept_told_and_audited():
    pool = begin()
    events: list[admin_pb2.Event] = []
    pool.controller.events.listen(events.append)
    move = admin_pb2.BalanceMove(session="s", source="a", destination="b", reason="It pays.", gain_s=3.0, cost_s=1.0)
    decision = admin_pb2.BalanceDecision
    for at in range(5):
        pool.balancing.report("balancer 01", decision(at_s=at, policy="pack", moves=[move] * (at == 1)))
    assert [(d.at_s, len(d.moves)) for d in pool.balancing.shown(0).decisions] == [(1, 1), (4, 0)]
    for at in (5, 6):  # a dry run comes to the same again
        pool.balancing.report("balancer 01", decision(at_s=at, policy="pack", dry_run=True, moves=[move]))
    assert [e.text for e in events] == [
        "pack moves it from a to b: It pays. Saves 3.00 s, costs 1.00 s.",
        "pack would move it from a to b: It pays. Saves 3.00 s, costs 1.00 s.",
    ]
    assert [words[:3] for words in pool.audited] == [("balancer 01", "session-balanced", "s")]
    assert pool.balancing.shown(1).moves_decided == 1
    for at in range(KEPT + 5):
        pool.balancing.report("balancer 01", decision(at_s=at, moves=[move]))
    assert [d.at_s for d in pool.balancing.shown(2).decisions] == [KEPT + 3, KEPT + 4]
    assert len(pool.balancing.shown(1000).decisions) == KEPT


def test_what_was_chosen_outlives_the_controller_until_it_is_started_otherwise(tmp_path):
    directory = SqliteDirectory(tmp_path / "d.sqlite")
    pool = begin(directory=directory)
    pool.balancing.choose("admin 01", admin_pb2.SetBalanceRequest(policy="pack"))
    pool.balancing.choose("admin 01", admin_pb2.SetBalanceRequest(dry_run=True))
    assert [words[1] for words in pool.audited] == ["balance-set"] * 2
    directory.close()
    directory = SqliteDirectory(tmp_path / "d.sqlite")
    again = begin(directory=directory)
    assert (again.balancing.policy, again.balancing.dry_run) == ("pack", True)
    assert begin(dataclasses.replace(CONFIG, balance="spread"), directory).balancing.policy == "spread"
    directory.close()


def test_a_choice_that_is_none_is_refused():
    pool = begin()
    assert "There is no policy 'best'" in str(
        refused(lambda: pool.balancing.choose("a", admin_pb2.SetBalanceRequest(policy="best")))
    )
    none = begin(dataclasses.replace(CONFIG, balance="none"))
    choice = admin_pb2.SetBalanceRequest(policy="pack")
    assert "has no balancer: pack would move nothing" in str(refused(lambda: none.balancing.choose("a", choice)))
    none.balancing.choose("a", admin_pb2.SetBalanceRequest(policy="none", dry_run=True))
    none.balancing.snapshot("by hand")  # one was started beside the pool
    none.balancing.choose("a", choice)
    assert none.balancing.policy == "pack"
    assert "Nothing was chosen" in str(refused(lambda: pool.balancing.choose("a", admin_pb2.SetBalanceRequest())))
    assert pool.balancing.policy == "cost-aware"
