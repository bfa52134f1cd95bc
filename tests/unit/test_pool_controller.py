"""The controller over a host in memory: leases and their ends, and its books after anything that may happen, in any order."""

from __future__ import annotations

import asyncio
import dataclasses
import gc

import pytest
from cupool.pool import states
from cupool.pool.controller import NODE_LOST_S, RETURN_S, SILENT_S, Controller, Waiting
from cupool.pool.directory import Directory
from cupool.pool.move_operations import MoveOperations
from cupool.pool.operations import Operations
from cupool.pool.pool_service import PoolServicer
from cupool.pool.refusals import Code, Refused
from fakehost import FakeHost
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pool_in_memory import CONFIG, Pool, check, restart

from cupool.v1 import pool_pb2

# ---- leases


def test_a_lease_that_is_given_back_leaves_its_server_warm():
    pool = Pool()
    lease = pool.acquire(memory_bytes=30, function="thumbs")
    assert lease.device.startswith("cpu:") and lease.tenant == "default" and lease.node == "node-1"
    pool.release(lease)
    assert pool.state(lease) == states.SESSION_ENDING, "its memory is the server's to free"
    pool.host.deliver()
    assert pool.state(lease) == states.SESSION_ENDED
    assert pool.host.servers[lease.server].state == states.WARM
    check(pool)


def test_a_lease_whose_answer_went_with_its_controller_does_not_fill_the_quota():
    """Its client asks the next one, with the same id. Somebody else who asks waits for the quota, as ever."""
    pool = Pool()
    pool.quota(sessions=1)
    unheard = pool.acquire(request_id="request-1")
    pool.host.deliver()
    restart(pool)
    assert pool.refused(request_id="request-2").word == "quota-sessions"
    assert pool.refused(request_id="request-1", client_pid=8).word == "quota-sessions"
    again = pool.acquire(request_id="request-1", deadline_ms=1000)
    pool.host.deliver()
    assert again.future.result(0).session != unheard.session
    assert pool.state(unheard) == states.SESSION_ENDED
    # One that this controller gave is its client's own, whatever it calls its requests.
    assert pool.refused(request_id="request-1").word == "quota-sessions"
    check(pool)


def test_a_lease_whose_client_came_first_ends_with_its_server():
    pool = Pool()
    lease = pool.acquire()
    pool.host.deliver()
    pool.release(lease)  # the order is on its way, and meets a client that has attached
    pool.host.attach(lease.server)
    assert pool.controller.books.servers[lease.server].state == states.ENDING
    pool.host.deliver()
    assert pool.state(lease) == states.SESSION_ENDED and lease.server not in pool.host.servers
    check(pool)


def test_a_server_that_does_not_give_back_is_ended():
    pool = Pool()
    lease = pool.acquire()
    pool.host.deliver()
    pool.release(lease)
    pool.host.orders.clear()
    pool.later(RETURN_S + 0.1)
    assert lease.server not in pool.host.servers and pool.state(lease) == states.SESSION_ENDED


def test_a_lease_that_nobody_uses_expires_and_a_renewed_one_does_not():
    pool = Pool()
    lost, kept = pool.acquire(), pool.acquire()
    pool.host.deliver()
    pool.later(50)
    pool.controller.renew(kept.session, kept.session_token)
    pool.later(20)
    assert pool.state(lost) == states.SESSION_ENDED and pool.state(kept) == states.SESSION_LEASED
    assert "60 s" in pool.controller.books.find(lost.session).reason


def test_a_session_follows_its_client():
    pool = Pool()
    lease = pool.acquire()
    pool.host.deliver()
    seen = []
    status, stop = pool.controller.watch(lease.session, lease.session_token, lambda s: seen.append(s.state))
    assert status.state == states.SESSION_LEASED
    pool.host.attach(lease.server)
    pool.host.park(lease.server)
    pool.host.attach(lease.server)
    pool.host.die(lease.server, "It crashed.", -11)
    assert seen == [states.SESSION_ATTACHED, states.SESSION_PARKED, states.SESSION_ATTACHED, states.SESSION_LOST]
    stop()
    late, _ = pool.controller.watch(lease.session, lease.session_token, seen.append)
    assert late.reason == "It crashed."
    pool.later(1000)
    assert pool.state(lease) == states.SESSION_LOST


def test_best_fit_leaves_room_for_large_wishes():
    pool = Pool()
    first, second = pool.acquire(memory_bytes=60), pool.acquire(memory_bytes=30)
    assert first.device == second.device
    assert pool.acquire(memory_bytes=100).device != first.device


def test_a_large_wish_is_not_overtaken_for_ever():
    pool = Pool(devices={"cpu:0": 100})
    small = [pool.acquire(memory_bytes=40) for _ in range(2)]
    pool.host.deliver()
    large = pool.acquire(memory_bytes=100, deadline_ms=60_000)
    assert isinstance(large, Waiting)
    pool.release(small[0])
    pool.host.deliver()
    assert isinstance(pool.acquire(memory_bytes=40), pool_pb2.Lease), "at first, what fits goes on"
    pool.later(3)
    pool.release(small[1])
    pool.later(0.1)
    assert pool.refused(memory_bytes=10).word == "capacity", "then the device is kept for who waits"


@pytest.mark.parametrize(
    ("quota", "wish", "word", "code"),
    [
        ({"sessions": 1}, {}, "quota-sessions", Code.RESOURCE_EXHAUSTED),
        ({"memory_bytes": 40}, {"memory_bytes": 30}, "quota-memory", Code.RESOURCE_EXHAUSTED),
        ({"memory_bytes": 40}, {"memory_bytes": 41}, "quota-memory", Code.FAILED_PRECONDITION),
        ({"opens_per_s": 1.0}, {}, "quota-opens", Code.RESOURCE_EXHAUSTED),
    ],
)
def test_a_quota_is_told_by_its_name(quota, wish, word, code):
    pool = Pool()
    pool.quota(**quota)
    pool.acquire(memory_bytes=25)
    refused = pool.refused(**wish)
    assert (refused.word, refused.code) == (word, code)
    assert (refused.retry_ms > 0) == (code is Code.RESOURCE_EXHAUSTED)
    check(pool)


def test_kernel_seconds_end_sessions_and_stay_counted_after_a_restart():
    pool = Pool()
    pool.quota(kernel_s=2.0)
    lease = pool.acquire()
    pool.host.deliver()
    pool.host.attach(lease.server)
    pool.host.work(lease.server, 1.5, 10)
    assert pool.state(lease) == states.SESSION_ATTACHED
    pool.host.work(lease.server, 1.0, 10)
    pool.host.deliver()
    assert (
        pool.state(lease) == states.SESSION_ENDED and "kernel time" in pool.controller.books.find(lease.session).reason
    )
    assert pool.refused().word == "quota-kernel"
    assert pool.controller.books.tenants["default"].kernel_s == pytest.approx(2.5)


def test_who_waits_is_served_when_something_is_free_and_refused_at_the_deadline():
    pool = Pool(dataclasses.replace(CONFIG, max_sessions=1), devices={"cpu:0": 100})
    lease = pool.acquire()
    first, second = pool.acquire(deadline_ms=1000), pool.acquire(deadline_ms=1000)
    pool.release(lease)
    pool.host.deliver()
    assert first.future.result(0).session and not second.future.done()
    pool.later(2)
    assert second.future.exception(0).code is Code.DEADLINE_EXCEEDED
    pool.controller.expire(second)  # the timer that comes late
    assert not len(pool.controller.queue)


def test_a_client_that_went_away_keeps_neither_place_nor_lease():
    pool = Pool(dataclasses.replace(CONFIG, max_sessions=1), devices={"cpu:0": 100})
    lease = pool.acquire()
    gone, served = pool.acquire(deadline_ms=9000), pool.acquire(deadline_ms=9000)
    pool.controller.cancel(gone)
    pool.release(lease)
    pool.host.deliver()
    pool.controller.cancel(served)  # it had been answered when its client went
    pool.host.deliver()
    assert not pool.controller.books.sessions and not len(pool.controller.queue)
    check(pool)


def test_a_place_that_cannot_be_reached_in_time_is_refused_at_once():
    pool = Pool(dataclasses.replace(CONFIG, max_sessions=1), devices={"cpu:0": 100})
    for _ in range(10):  # one session ends each second
        lease = pool.acquire()
        pool.later(1)
        pool.release(lease)
        pool.host.deliver()
    pool.acquire()
    waiting = [pool.acquire(deadline_ms=30_000) for _ in range(5)]
    assert all(isinstance(w, Waiting) for w in waiting)
    refused = pool.refused(deadline_ms=1000)
    assert refused.word == "queue" and refused.retry_ms >= 1000


def test_a_device_whose_servers_cannot_start_is_told_and_left_alone_for_longer_each_time():
    pool = Pool(dataclasses.replace(CONFIG, embedded=True, warm=1), fails_to_start=True, devices={"cpu:0": 100})
    waiting = pool.acquire(deadline_ms=9000)  # one failure: tried again as soon as somebody asks
    pool.host.deliver()
    assert str(waiting.future.exception(0)) == "It could not start."
    assert pool.refused(deadline_ms=9000).code is Code.UNAVAILABLE, "two: not again at once"
    pool.clock.now += 1.5
    waiting = pool.acquire(deadline_ms=9000)
    pool.host.deliver()
    assert waiting.future.exception(0).code is Code.UNAVAILABLE
    pool.clock.now += 1.5
    pool.refused(deadline_ms=9000)
    pool.host.fails_to_start = False
    pool.clock.now += 1.5
    waiting = pool.acquire(deadline_ms=9000)
    pool.host.deliver()
    assert waiting.future.result(0).session


def test_the_pool_gives_no_leases_while_it_cannot_write_them_down():
    class Full(Directory):
        failure = "its directory cannot be written (disk full)."

    pool = Pool()
    lease = pool.acquire()
    pool.controller.directory = Full()
    refused = pool.refused()
    assert refused.word == "unavailable" and "disk full" in str(refused)
    assert pool.state(lease) == states.SESSION_LEASED


# ---- operators


def test_a_drain_waits_and_then_ends_what_is_left():
    pool = Pool()
    first, second = pool.acquire(memory_bytes=60), pool.acquire(memory_bytes=60)
    pool.host.deliver()
    for lease in (first, second):
        pool.host.attach(lease.server)
    key = pool.operations.drain("test", first.device, "new fan", 0)
    moves = MoveOperations(pool.controller, pool.operations, lambda *_: None)
    progress, _ = moves.drained(key, 0)
    assert (progress.remaining_sessions, progress.done) == (1, False)
    assert [(w.session, w.reason) for w in progress.waiting] == [(first.session, "This pool does not move sessions.")]
    assert pool.acquire(memory_bytes=30).device == second.device
    pool.later(1000)
    assert pool.state(first) == states.SESSION_ATTACHED, "without a deadline nothing is ended"
    pool.host.die(first.server)
    pool.later(1)
    assert moves.drained(key, 0)[0].done
    (status,) = [d for d in pool.operations.devices() if d.device == first.device]
    assert status.cordoned and not status.draining and "new fan (test)" in status.reason
    pool.operations.uncordon("test", first.device)
    assert pool.acquire(memory_bytes=100).device == first.device


def test_ids_by_prefix():
    pool = Pool()
    lease = pool.acquire()
    pool.host.deliver()
    assert pool.operations.kill("test", lease.session[:16], "why not") == lease.session
    for prefix, code in (("session-nothing", Code.NOT_FOUND), ("", Code.INVALID_ARGUMENT)):
        with pytest.raises(Refused) as info:
            pool.operations.kill("test", prefix, "")
        assert info.value.code is code
    with pytest.raises(Refused) as info:
        pool.operations.cordon("test", "cpu", "")
    assert info.value.code is Code.INVALID_ARGUMENT
    assert pool.operations.cordon("test", "node-1/cpu:1", "") == "cpu:1"


# ---- a controller that starts again, a node that comes and goes


def test_a_restarted_controller_knows_every_session_and_count():
    pool = Pool()
    leases = [pool.acquire("acme", function="f", memory_bytes=20), pool.acquire("other")]
    pool.host.deliver()
    pool.host.attach(leases[0].server)
    pool.host.work(leases[0].server, 3.0, 7)
    before = pool.operations.tenants()
    restart(pool)
    after = {t.tenant: t for t in pool.operations.tenants()}
    for tenant in before:
        now = after[tenant.tenant]
        assert (now.sessions, now.memory_bytes, now.kernel_s) == (tenant.sessions, tenant.memory_bytes, tenant.kernel_s)
    (status,) = pool.controller.sessions("acme")
    assert (status.state, status.function) == (states.SESSION_ATTACHED, "f")
    pool.release(leases[0])
    pool.host.deliver()
    check(pool)


def test_what_ended_while_no_controller_ran_is_counted_once():
    pool = Pool()
    pool.quota("acme", kernel_s=100)
    lease = pool.acquire("acme")
    pool.host.deliver()
    pool.host.attach(lease.server)
    pool.host.is_here = False
    pool.host.work(lease.server, 3.0, 7)
    pool.host.die(lease.server, "goodbye")
    restart(pool)
    assert pool.controller.books.tenants["acme"].kernel_s == 3.0 and not pool.host.outbox
    check(pool)


def test_an_assignment_that_got_lost_is_sent_again():
    pool = Pool()
    lease = pool.acquire()
    pool.host.disconnect()  # the order was on its way
    pool.host.connect()
    pool.host.deliver()
    assert pool.host.servers[lease.server].assignment.session == lease.session
    check(pool)


def test_a_release_that_got_lost_is_made_good():
    pool = Pool()
    lease = pool.acquire()
    pool.host.deliver()
    pool.host.disconnect()
    pool.release(lease)
    pool.host.connect()
    pool.host.deliver()
    assert pool.state(lease) == states.SESSION_ENDED
    check(pool)


def test_sessions_of_a_host_that_came_back_without_them_are_lost():
    pool = Pool()
    lease = pool.acquire()
    pool.host.deliver()
    pool.host.attach(lease.server)
    pool.host.disconnect()
    assert pool.state(lease) == states.SESSION_ATTACHED, "it may well go on"
    pool.host.servers.clear()
    pool.host.connect()
    assert pool.state(lease) == states.SESSION_ATTACHED, "its end may be told yet"
    pool.later(3)
    assert pool.state(lease) == states.SESSION_LOST
    check(pool)


def test_sessions_of_a_host_that_never_comes_back_are_lost():
    pool = Pool()
    lease = pool.acquire()
    pool.host.deliver()
    pool.host.attach(lease.server)
    pool.host.disconnect()
    refused = pool.refused()
    assert refused.code is Code.UNAVAILABLE and "No host" in str(refused)
    pool.later(NODE_LOST_S + 1)
    assert pool.state(lease) == states.SESSION_LOST
    check(pool)


def test_a_burst_leaves_no_more_than_the_reserve():
    pool = Pool(dataclasses.replace(CONFIG, warm=1))
    waiting = [pool.acquire(deadline_ms=1000) for _ in range(8)]
    pool.host.deliver()
    for lease in [w if isinstance(w, pool_pb2.Lease) else w.future.result(0) for w in waiting]:
        pool.release(lease)
    pool.later(1)
    assert len(pool.host.servers) > 2
    for _ in range(10):
        pool.later(31)
    assert len(pool.host.servers) == 2
    check(pool)


def test_an_end_that_is_told_after_its_host_came_back_frees_the_device():
    pool = Pool(dataclasses.replace(CONFIG, max_sessions=1, warm=1), devices={"cpu:0": 100})
    lease = pool.acquire()
    pool.host.deliver()
    pool.host.disconnect()
    pool.host.die(lease.server, "It died.")
    pool.host.connect()
    pool.later(1)
    assert pool.acquire().session != lease.session
    check(pool)


class Anything(RuleBasedStateMachine):
    """Whatever happens, the books count, no quota is exceeded, and in the end host and books agree."""

    @initialize(
        most=st.integers(1, 4), warm=st.integers(0, 2), sessions=st.integers(0, 3), memory=st.sampled_from([0, 50, 120])
    )
    def begin(self, most, warm, sessions, memory):
        self.pool = Pool(dataclasses.replace(CONFIG, max_sessions=most, warm=warm))
        self.pool.quota("a", sessions=sessions, memory_bytes=memory)
        self.quota = (sessions, memory)
        self.leases: list[pool_pb2.Lease] = []
        self.waiting: list[Waiting] = []
        self.kernel_s = 0.0

    def _collect(self):
        for waiting in [w for w in self.waiting if w.future.done()]:
            self.waiting.remove(waiting)
            if waiting.future.exception() is None:
                self.leases.append(waiting.future.result())

    @rule(
        tenant=st.sampled_from("ab"),
        memory=st.sampled_from([0, 10, 60, 100]),
        waits=st.booleans(),
        priority=st.integers(-1, 1),
    )
    def acquire(self, tenant, memory, waits, priority):
        try:
            got = self.pool.acquire(tenant, 5000 if waits else 0, memory_bytes=memory, priority=priority)
        except Refused:
            return
        (self.waiting if isinstance(got, Waiting) else self.leases).append(got)

    @rule(count=st.integers(1, 3))
    def deliver(self, count):
        self.pool.host.deliver(count)

    @rule(seconds=st.sampled_from([0.25, 3.0, 30.0]))
    def time(self, seconds):
        self.pool.clock.now += seconds
        self.pool.controller.tick()

    def _assigned(self, attached=None):
        found = [s for s in self.pool.host.servers.values() if s.assignment is not None]
        return [s.id for s in found if attached is None or s.attached is attached]

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def release(self, data):
        lease = data.draw(st.sampled_from(self.leases))
        self.pool.release(lease)

    @precondition(lambda self: self.pool.host.is_here and self._assigned(False))
    @rule(data=st.data())
    def attach(self, data):
        self.pool.host.attach(data.draw(st.sampled_from(self._assigned(False))))

    @precondition(lambda self: self.pool.host.is_here and self._assigned(True))
    @rule(data=st.data(), parks=st.booleans())
    def use(self, data, parks):
        server = data.draw(st.sampled_from(self._assigned(True)))
        if parks:
            self.pool.host.park(server)
        else:
            self.pool.host.work(server, 1.0, 5)
            self.kernel_s += 1.0

    @precondition(lambda self: self.pool.host.servers)
    @rule(data=st.data(), status=st.sampled_from([0, -11]))
    def die(self, data, status):
        self.pool.host.die(data.draw(st.sampled_from(list(self.pool.host.servers))), "It died.", status)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def go_away(self, data):
        waiting = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(waiting)
        self.pool.controller.cancel(waiting)

    @rule()
    def toggle_node(self):
        if self.pool.host.is_here:
            self.pool.host.disconnect()
        else:
            self.pool.host.connect()

    @rule(device=st.sampled_from(["cpu:0", "cpu:1"]), closes=st.booleans())
    def cordon(self, device, closes):
        if closes:
            self.pool.operations.cordon("test", device, "why not")
        else:
            self.pool.operations.uncordon("test", device)

    @rule()
    def kill_controller(self):
        self.waiting.clear()
        restart(self.pool)

    @invariant()
    def books_count(self):
        if not hasattr(self, "pool"):
            return
        self._collect()
        check(self.pool)
        sessions, memory = self.quota
        mine = self.pool.controller.books.tenants.get("a")
        if mine is not None:
            assert not sessions or mine.sessions <= sessions
            assert not memory or mine.leased_bytes <= memory
        total = sum(t.kernel_s for t in self.pool.controller.books.tenants.values())
        assert total <= self.kernel_s + 1e-9, "nothing is counted twice"

    def teardown(self):
        if not hasattr(self, "pool"):
            return
        pool = self.pool
        if not pool.host.is_here:
            pool.host.connect()
        for _ in range(3):
            pool.host.deliver()
            pool.later(3)
        had = {s.assignment.session for s in pool.host.servers.values() if s.assignment is not None}
        assert set(pool.controller.books.sessions) == had, "host and books agree"
        assert {lease.session for lease in pool.directory.leases()} == had, "and the directory with them"
        for session in list(pool.controller.books.sessions):
            pool.operations.kill("test", session, "")
        pool.later(1)
        assert not pool.controller.books.sessions and not pool.host.outbox
        assert all(d.promised_bytes == d.holding == 0 for d in pool.controller.books.devices.values())
        total = sum(t.kernel_s for t in pool.controller.books.tenants.values())
        assert total == pytest.approx(self.kernel_s), "nothing that was used is forgotten"


Anything.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, report_multiple_bugs=False
)
TestAnything = Anything.TestCase


# ---- found by the simulation


def test_a_hello_is_taken_whole_before_anybody_is_served():
    pool = Pool(dataclasses.replace(CONFIG, max_sessions=1), devices={"cpu:0": 100})
    pool.later(1.0)
    spare, leased = pool.host.servers.values()
    pool.host.servers = {spare.id: spare, leased.id: leased}  # the hello names the warm one first
    lease = pool.acquire()
    if lease.server == spare.id:
        pool.host.servers = {leased.id: leased, spare.id: spare}
    pool.host.deliver()
    pool.host.attach(lease.server)
    pool.host.disconnect()
    pool.begin(dataclasses.replace(CONFIG, max_sessions=1))
    waiting = pool.acquire(deadline_ms=10_000)
    pool.host.connect()
    check(pool)
    assert not waiting.future.done(), "the device has its one session"


def test_leases_of_the_controller_before_count_before_their_hosts_have_come():
    pool = Pool()
    pool.quota("red", sessions=1)
    lease = pool.acquire("red")
    pool.host.deliver()
    pool.host.attach(lease.server)
    pool.host.disconnect()
    pool.begin(CONFIG)
    other = FakeHost(node="node-2")
    other.listener = pool.controller
    pool.controller.engine = other
    other.connect()
    other.deliver()
    assert pool.refused("red").word == "quota-sessions"
    pool.controller.engine = pool.host
    pool.host.connect()
    assert pool.refused("red").word == "quota-sessions"
    pool.release(lease)
    pool.host.deliver()
    tenant = pool.controller.books.tenants["red"]
    assert (tenant.sessions, tenant.awaited_sessions, tenant.awaited_bytes) == (0, 0, 0)


def test_leases_of_hosts_that_never_come_again_are_over_one_day():
    pool = Pool()
    lease = pool.acquire("red")
    pool.host.deliver()
    pool.host.attach(lease.server)
    pool.host.disconnect()
    pool.begin(CONFIG)
    assert pool.controller.tenant("red").awaited_sessions == 1
    pool.clock.now += NODE_LOST_S + 1
    pool.controller.tick()
    assert pool.controller.tenant("red").awaited_sessions == 0
    assert pool.directory.end(lease.session).lost and not list(pool.directory.leases())


def test_a_node_that_has_fallen_silent_gets_no_new_sessions():
    pool = Pool()
    pool.controller.device_news("node-1", [], None)
    pool.clock.now += SILENT_S + 0.1
    pool.controller.tick()
    assert pool.refused().word == "capacity"
    pool.controller.device_news("node-1", [], None)
    pool.controller.tick()
    pool.acquire()


def test_a_lease_does_not_run_out_while_its_host_cannot_tell_that_a_client_has_come():
    pool = Pool()
    lease = pool.acquire()
    pool.host.deliver()
    pool.host.disconnect()
    pool.host.attach(lease.server)
    pool.later(CONFIG.lease_s + 1)
    pool.host.connect()
    pool.host.deliver()
    assert pool.state(lease) == states.SESSION_ATTACHED and lease.server in pool.host.servers
    check(pool)


def test_operators_are_warned_when_no_host_has_come_and_what_is_away_is_not_warm():
    pool = Pool()
    assert pool.operations.pool().warm > 0 and not pool.operations.pool().warnings
    pool.host.disconnect()
    status = pool.operations.pool()
    assert status.servers > 0 and status.warm == 0 and len(status.warnings) == 1
    empty = Controller(CONFIG, FakeHost())
    empty.open()
    (said,) = Operations(empty, lambda *_: None).pool().warnings
    assert said.startswith("No host has connected to this pool yet.")


def test_operators_are_warned_when_every_device_is_closed():
    pool = Pool()
    warnings = lambda: list(pool.operations.pool().warnings)  # noqa: E731
    pool.operations.cordon("x", "cpu:0", "new fan")
    assert warnings() == []
    pool.operations.cordon("x", "cpu:1", "new fan")
    (said,) = warnings()
    assert said.startswith("No device takes new sessions: 2 of 2 are cordoned.") and "uncordon" in said
    assert "No device of this pool takes new sessions: all 2 are cordoned." in str(pool.refused())
    pool.operations.uncordon("x", "cpu:1")
    assert warnings() == []
    pool.device("cpu:1").failure = "No driver."
    assert "1 of 2 are cordoned, and the other 1 cannot" in warnings()[0] and warnings()[1].endswith("No driver.")
    pool.operations.uncordon("x", "cpu:0")
    pool.device("cpu:1").failure = "No driver."
    told = {d.device: d for d in pool.operations.devices()}
    assert [told[f"cpu:{k}"].reason for k in range(2)] == ["", "No driver."] and not told["cpu:1"].cordoned


def test_an_acquire_whose_client_goes_away_is_no_forgotten_error():
    pool = Pool()
    for _ in range(2):
        pool.acquire(memory_bytes=100)
    waiting = [pool.controller.acquire(pool_pb2.AcquireRequest(memory_bytes=100, deadline_ms=60_000))]
    service = PoolServicer(pool.controller, None, None)

    async def given_up() -> list[object]:
        said: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, what: said.append(what))
        task = loop.create_task(service._waited(waiting.pop()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()
        return said

    assert asyncio.run(given_up()) == [] and not len(pool.controller.queue)
