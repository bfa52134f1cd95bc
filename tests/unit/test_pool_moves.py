"""The controller moves sessions, over a host in memory: every step, every end of one of the two servers, restarts, drains, refusals."""

from __future__ import annotations

import dataclasses

import pytest
from cupool.balancer.migration import KEEP_SOURCE_S, react
from cupool.pool import states
from cupool.pool.move_operations import MoveOperations
from cupool.pool.refusals import Code, Refused
from fakehost import FakeHost
from pool_in_memory import CONFIG, Pool, check, restart

from cupool.contract.moves import Step
from cupool.v1 import admin_pb2, server_pb2


class Moves(Pool):
    """A pool with one session on cpu:0 whose client is attached."""

    def __init__(self, config=CONFIG, **host):
        super().__init__(config, machine=react, **host)
        self.audited: list[tuple[str, ...]] = []
        self.lease = self.attached(memory_bytes=60)
        self.source = self.lease.server

    @property
    def moves(self):
        return MoveOperations(self.controller, self.operations, lambda *line: self.audited.append(line))

    def attached(self, **fields):
        lease = self.acquire(**fields)
        self.host.deliver()
        self.host.attach(lease.server)
        return lease

    def another_host(self):
        other, own = FakeHost(node="node-2"), self.controller.engine
        other.listener, self.controller.engine = self.controller, other
        other.connect()
        other.deliver()
        self.controller.engine = own

    def only_another_host(self):
        self.another_host()
        self.operations.cordon("x", "node-1/cpu:1", "new fan")

    @property
    def session(self):
        return self.controller.books.find(self.lease.session)

    def move(self, device="", **fields):
        return self.moves.move(
            "test", admin_pb2.MoveSessionRequest(session=self.lease.session, device=device, **fields)
        )

    def begun(self, **fields):
        """A move whose servers have their orders."""
        self.one = self.move(**fields)
        self.host.deliver()
        self.destination = self.one.destination_id
        return self.one

    def ready(self):
        self.begun()
        self.host.tells(self.destination, "READY", copied_bytes=1000, total_bytes=1000)
        return self.one

    def released(self):
        self.ready()
        self.host.tells(self.source, "RELEASED", pause_ms=5, copied_bytes=1000)
        return self.one

    def done(self):
        self.released()
        self.host.tells(self.destination, "OWNER")
        self.host.attach(self.destination)
        self.host.deliver()
        return self.one

    def is_at(self, server, epoch):
        """Books, directory and the client's answer agree."""
        lease, session = self.directory.lease(self.lease.session), self.session
        status, stop = self.controller.watch(self.lease.session, self.lease.session_token, lambda _: None)
        stop()
        assert (status.server, status.epoch, status.endpoint) == (server, epoch, f"unix:/{server}")
        assert (lease.server, lease.epoch, lease.moves) == (server, epoch, session.moves)
        assert session.server.id == server
        check(self)
        return True

    def is_whole(self):
        """No move is left anywhere."""
        assert not self.controller.moves and not self.directory.moves() and not self.controller._sides
        assert not self.host.outbox and not self.session.move
        check(self)
        return True


# ---- as it should go


def test_a_move_from_beginning_to_end():
    pool = Moves()
    began = pool.controller.books.devices["node-1/cpu:1"].holding
    one = pool.begun(reason="because")
    source, destination = pool.host.servers[pool.source], pool.host.servers[pool.destination]
    assert destination.device == "cpu:1" and pool.controller.books.devices["node-1/cpu:1"].holding == began + 1
    incoming = destination.assignment.incoming
    assert (incoming.endpoint, incoming.engine) == (f"unix:/{pool.source}", "copy") and incoming.token
    assert destination.assignment.epoch == 2 and pool.is_at(pool.source, 1)
    tenant = pool.controller.books.tenants["default"]
    assert (tenant.sessions, tenant.leased_bytes) == (1, 60), "once for its tenant"
    assert pool.controller.sessions()[0].move == one.move.id
    pool.host.tells(pool.source, "COPYING", total_bytes=1000, copied_bytes=500, rounds=1)
    (seen,) = pool.moves.moves(False)
    assert (seen.phase, seen.copied_bytes, seen.total_bytes, seen.reason, seen.by) == (
        "copying",
        500,
        1000,
        "because",
        "operator",
    )
    assert (seen.source, seen.destination) == ("cpu:0", "cpu:1")
    pool.host.tells(pool.destination, "READY")
    assert one.move.step is Step.READY and pool.is_at(pool.source, 1)
    pool.host.tells(pool.source, "RELEASED", pause_ms=12, copied_bytes=1000)
    assert pool.is_at(pool.destination, 2) and not pool.moves.progress(one).done
    pool.host.tells(pool.destination, "OWNER")
    assert pool.moves.progress(one).done and pool.moves.progress(one).pause_ms == 12
    pool.host.attach(pool.destination)
    pool.host.deliver()
    assert pool.source not in pool.host.servers and pool.is_at(pool.destination, 2) and pool.is_whole()
    assert pool.state(pool.lease) == states.SESSION_ATTACHED and pool.session.moves == 1
    status = pool.operations.pool()
    assert [(m.outcome, m.count) for m in status.moves] == [("done", 1)] and status.moved_bytes == 1000
    assert sum(status.move_pause.counts) == 1
    assert source.id != destination.id and [a[1] for a in pool.audited] == ["move-asked"]


def test_a_session_moves_as_often_as_it_is_asked_to():
    pool = Moves()
    pool.done()
    pool.source = pool.destination
    pool.begun(device="cpu:0")
    assert pool.host.servers[pool.destination].assignment.epoch == 3
    pool.host.tells(pool.source, "RELEASED")  # told before the destination's READY
    pool.host.tells(pool.destination, "OWNER")
    pool.host.tells(pool.destination, "READY")
    pool.host.deliver()
    assert pool.is_at(pool.destination, 3) and pool.is_whole()
    pool.controller.release(pool.lease.session, pool.lease.session_token, "")
    pool.host.deliver()
    assert pool.state(pool.lease) == states.SESSION_ENDED
    check(pool)


def test_kernel_seconds_are_counted_once():
    pool = Moves()
    pool.host.work(pool.source, 3.0, 10)
    pool.begun()
    pool.host.work(pool.destination, 3.0, 10)  # it has brought them along
    assert pool.controller.books.tenants["default"].kernel_s == 3.0
    pool.host.tells(pool.destination, "OWNER")
    pool.host.work(pool.destination, 1.0, 10)
    assert pool.controller.books.tenants["default"].kernel_s == 4.0
    pool.host.deliver()
    pool.host.die(pool.destination)
    assert pool.controller.books.tenants["default"].kernel_s == 4.0
    check(pool)


def test_with_no_warm_server_one_is_started():
    pool = Moves(dataclasses.replace(CONFIG, warm=1))
    waiting = pool.acquire(memory_bytes=100)  # takes the one that is warm there
    assert waiting.device == "cpu:1"
    pool.release(waiting)
    device = pool.controller.books.devices["node-1/cpu:1"]
    for server in list(device.warm):
        pool.host.die(server)
    pool.host.orders.clear()
    pool.clock.now += 20
    pool.controller.tick()
    pool.host.deliver()
    one = pool.begun()
    pool.host.deliver()
    assert one.move.step is Step.COPYING and pool.is_at(pool.source, 1)


def test_a_parked_session_has_moved_when_its_source_has_released_it():
    pool = Moves()
    pool.host.park(pool.source)
    one = pool.released()
    assert pool.moves.progress(one).done and pool.is_at(pool.destination, 2)
    pool.later(KEEP_SOURCE_S + 0.1)
    assert pool.source not in pool.host.servers and pool.is_whole()
    assert pool.state(pool.lease) != states.SESSION_LOST


# ---- either of the two dies, at every step


def test_a_destination_that_dies_before_the_release_changes_nothing():
    for step in ("begun", "ready"):
        pool = Moves()
        one = getattr(pool, step)()
        pool.host.die(pool.destination, "It crashed.", -11)
        pool.host.deliver()
        assert one.move.step is Step.GIVEN_UP and "crashed" in pool.moves.progress(one).error
        assert pool.is_at(pool.source, 1) and pool.is_whole() and pool.state(pool.lease) == states.SESSION_ATTACHED


def test_a_destination_that_dies_after_the_release_gives_the_session_back():
    pool = Moves()
    one = pool.released()
    pool.host.die(pool.destination, "It crashed.", -11)
    assert one.move.step is Step.RETURNING and pool.is_at(pool.source, 3)
    pool.host.deliver()
    assert pool.host.obeyed[-1] == (pool.source, "take_back") and one.move.step is Step.GIVEN_UP
    assert pool.is_at(pool.source, 3) and pool.is_whole()
    pool.host.die(pool.source, "It crashed too.", -11)
    assert pool.state(pool.lease) == states.SESSION_LOST


def test_a_session_that_neither_server_could_give_to_its_client_is_lost_and_can_be_done_again():
    """The source released it while its client could not come to the destination, and each of the two ended for want of a client."""
    pool = Moves()
    one = pool.ready()
    pool.host.die(pool.destination, "The server ended: no client for 6 s.", 0)
    pool.host.orders.clear()  # the source's host cannot be reached
    assert one.move.step is Step.CANCELLING
    source = pool.host.servers[pool.source]
    source.state = states.ENDING
    pool.host.tells(pool.source, "RELEASED")
    assert one.move.step is Step.RETURNING
    pool.host.connect()
    pool.host.die(pool.source, "The server ended: no client for 6 s.", 0)
    pool.host.deliver()
    assert pool.state(pool.lease) == states.SESSION_LOST and pool.session.replayable and pool.is_whole()
    assert "no client for 6 s" in pool.session.reason


def test_a_destination_that_dies_with_its_client_is_lost_as_any_server_is():
    pool = Moves()
    pool.done()
    pool.host.die(pool.destination, "It crashed.", -11)
    assert pool.state(pool.lease) == states.SESSION_LOST and pool.is_whole()


def test_a_source_that_dies_early_is_lost_as_any_server_is():
    pool = Moves()
    one = pool.begun()
    pool.host.die(pool.source, "It crashed.", -11)
    assert one.move.step is Step.ORPHANED and pool.state(pool.lease) == states.SESSION_ATTACHED
    pool.host.tells(pool.destination, "FAILED", "The stream ended.")
    pool.host.deliver()
    assert pool.state(pool.lease) == states.SESSION_LOST and pool.session.reason == "It crashed." and pool.is_whole()
    assert pool.destination not in pool.host.servers


def test_an_orphan_does_not_wait_for_ever():
    pool = Moves()
    pool.begun()
    pool.host.die(pool.source, "It crashed.", -11)
    pool.later(6)
    assert pool.state(pool.lease) == states.SESSION_LOST and pool.is_whole()


def test_a_source_that_dies_when_the_destination_is_ready_loses_nothing():
    pool = Moves()
    one = pool.ready()
    pool.host.die(pool.source, "It crashed.", -11)
    assert one.move.step is Step.RELEASED and pool.is_at(pool.destination, 2)
    pool.host.tells(pool.destination, "OWNER")
    pool.host.attach(pool.destination)
    assert pool.is_whole() and pool.state(pool.lease) == states.SESSION_ATTACHED


def test_a_source_that_dies_after_the_release_is_not_missed():
    pool = Moves()
    pool.released()
    pool.host.die(pool.source, "It crashed.", -11)
    assert pool.state(pool.lease) == states.SESSION_ATTACHED and pool.is_at(pool.destination, 2)
    pool.host.die(pool.destination, "It crashed too.", -11)
    assert pool.state(pool.lease) == states.SESSION_LOST and pool.is_whole()


def test_a_client_that_says_goodbye_ends_both():
    for step in ("begun", "ready"):
        pool = Moves()
        one = getattr(pool, step)()
        pool.host.die(pool.source, "goodbye")
        pool.host.deliver()
        assert one.move.step is Step.ENDED and pool.state(pool.lease) == states.SESSION_ENDED
        assert pool.destination not in pool.host.servers and pool.is_whole()


def test_a_session_that_is_ended_ends_at_both():
    for step in ("begun", "ready", "released"):
        pool = Moves()
        getattr(pool, step)()
        pool.operations.kill("test", pool.lease.session, "")
        pool.host.deliver()
        assert pool.state(pool.lease) == states.SESSION_ENDED and pool.is_whole()
        assert not {pool.source, pool.destination} & set(pool.host.servers)


# ---- given up


def test_a_source_that_gives_up_keeps_the_session():
    pool = Moves()
    one = pool.begun()
    pool.host.tells(pool.source, "FAILED", "the session writes faster than it can be copied")
    pool.host.deliver()
    assert "faster" in pool.moves.progress(one).error and pool.is_at(pool.source, 1) and pool.is_whole()
    assert pool.destination not in pool.host.servers


def test_a_move_can_be_cancelled_until_the_release():
    for step in ("begun", "ready"):
        pool = Moves()
        one = getattr(pool, step)()
        assert pool.moves.cancel("test", pool.lease.session[:14]).move == one.move.id
        assert one.move.step is Step.CANCELLING
        pool.host.deliver()
        assert one.move.step is Step.GIVEN_UP and "cancelled" in one.move.reason and pool.is_at(pool.source, 1)
    pool = Moves()
    pool.released()
    with pytest.raises(Refused, match="too late"):
        pool.moves.cancel("test", pool.lease.session)
    with pytest.raises(Refused, match="not moving") as info:
        Moves().moves.cancel("test", "session-")
    assert info.value.code is Code.NOT_FOUND


def test_a_cancellation_that_crosses_the_release_is_too_late():
    pool = Moves()
    one = pool.ready()
    pool.moves.cancel("test", pool.lease.session)
    pool.host.tells(pool.source, "RELEASED")
    pool.host.deliver()
    assert one.move.step is Step.RELEASED and pool.is_at(pool.destination, 2)


def test_a_move_without_progress_is_given_up():
    pool = Moves()
    one = pool.begun(timeout_ms=1000)
    pool.later(3)
    assert one.move.step is Step.COPYING
    pool.later(4)
    assert one.move.step is Step.GIVEN_UP and "no progress" in one.move.reason and pool.is_at(pool.source, 1)


@pytest.mark.parametrize(
    ("prepare", "request_", "code", "says"),
    [
        (None, {"device": "cpu:0"}, Code.INVALID_ARGUMENT, "already"),
        (None, {"device": "cpu:7"}, Code.NOT_FOUND, "cpu:7"),
        (None, {"device": "cpu"}, Code.INVALID_ARGUMENT, "several"),
        (None, {"engine": "magic"}, Code.INVALID_ARGUMENT, "copy, peer"),
        (lambda p: p.another_host(), {"engine": "peer", "device": "node-2/cpu:0"}, Code.FAILED_PRECONDITION, "moves within one"),
        (lambda p: p.only_another_host(), {"engine": "peer"}, Code.RESOURCE_EXHAUSTED, "No other device of its host"),
        (None, {"session": "session-nobody"}, Code.NOT_FOUND, "session-nobody"),
        (lambda p: p.operations.cordon("x", "cpu:1", "new fan"), {"device": "cpu:1"}, Code.FAILED_PRECONDITION, "new fan"),
        (lambda p: p.operations.cordon("x", "cpu:1", "new fan"), {}, Code.RESOURCE_EXHAUSTED, "No other device"),
        (lambda p: p.acquire(memory_bytes=90), {"device": "cpu:1"}, Code.RESOURCE_EXHAUSTED, "full"),
        (lambda p: setattr(p.device("cpu:1"), "total_bytes", 50), {"device": "cpu:1"}, Code.FAILED_PRECONDITION, "50 bytes"),
        (lambda p: setattr(p.device("cpu:1"), "kind", "cuda"), {"device": "cpu:1"}, Code.FAILED_PRECONDITION, "same kind"),
        (lambda p: setattr(p.device("cpu:1"), "failure", "No driver."), {"device": "cpu:1"}, Code.FAILED_PRECONDITION, "No driver"),
        (lambda p: p.other_libraries(), {"device": "cpu:1"}, Code.FAILED_PRECONDITION, "numpy-1 there"),
        (lambda p: p.begun(), {"device": "cpu:1"}, Code.FAILED_PRECONDITION, "moving already"),
        (lambda p: p.operations.kill("x", p.lease.session, ""), {}, Code.FAILED_PRECONDITION, "ending"),
        (lambda p: p.controller.close(), {}, Code.FAILED_PRECONDITION, "ending"),
        (lambda p: p.host.disconnect(), {}, Code.FAILED_PRECONDITION, "cannot be reached"),
        (lambda p: setattr(p.controller, "machine", None), {}, Code.UNIMPLEMENTED, "cupool.controller"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_the_session_goes_on(prepare, request_, code, says):
    pool = Moves()
    if prepare is not None:
        prepare(pool)
    before = (pool.session.server.id, dict(pool.controller.moves))
    with pytest.raises(Refused) as info:
        pool.moves.move("test", admin_pb2.MoveSessionRequest(**{"session": pool.lease.session} | request_))
    assert info.value.code is code and says in f"{info.value.what} {info.value.cure}"
    assert (pool.session.server.id, dict(pool.controller.moves)) == before
    check(pool)


def test_nobody_moves_a_session_to_which_nobody_has_come():
    pool = Moves()
    lease = pool.acquire(memory_bytes=10)
    with pytest.raises(Refused, match="No client has come"):
        pool.moves.move("test", admin_pb2.MoveSessionRequest(session=lease.session))


def test_a_session_that_cannot_go_on_while_it_waits_says_why():
    pool = Moves(dataclasses.replace(CONFIG, warm=1))
    device = pool.device("cpu:1")
    for server in list(device.warm):
        pool.host.die(server)
    pool.host.orders.clear()
    one = pool.move("cpu:1")
    assert one.move.step is Step.WAITING
    pool.operations.cordon("test", "cpu:1", "new fan")
    assert one.move.step is Step.WAITING
    pool.later(0.25)
    assert one.move.step is Step.GIVEN_UP and "new fan" in one.move.reason and pool.is_whole()


# ---- hosts and controllers come and go


def test_what_was_ordered_while_a_host_was_away_is_given_up():
    pool = Moves()
    one = pool.move()
    pool.host.disconnect()  # the orders were on their way
    pool.host.connect()
    pool.host.deliver()
    assert one.move.step is Step.GIVEN_UP and pool.is_at(pool.source, 1) and pool.is_whole()
    pool.later(1)
    assert one.destination_id not in pool.host.servers


def test_a_host_that_was_away_tells_what_happened_meanwhile():
    pool = Moves()
    one = pool.begun()
    pool.host.disconnect()
    pool.host.tells(pool.destination, "READY")
    pool.host.tells(pool.source, "RELEASED")
    pool.host.tells(pool.destination, "OWNER")
    pool.host.servers[pool.destination].attached = pool.host.servers[pool.destination].attached_before = True
    assert pool.is_at(pool.source, 1), "nothing is concluded from silence"
    pool.later(100)
    assert one.move.step is Step.CANCELLING
    pool.host.connect()
    pool.host.deliver()
    assert one.move.step is Step.DONE and pool.is_at(pool.destination, 2) and pool.is_whole()
    assert pool.source not in pool.host.servers and pool.state(pool.lease) == states.SESSION_ATTACHED


def test_a_destination_that_died_while_its_host_was_away_gives_the_session_back():
    pool = Moves()
    one = pool.released()
    pool.host.disconnect()
    pool.host.die(pool.destination, "It crashed.", -11)
    pool.host.connect()
    assert one.move.step is Step.RELEASED, "a client's coming may be told yet"
    pool.later(3)
    pool.host.deliver()
    assert one.move.step is Step.GIVEN_UP and pool.is_at(pool.source, 3) and pool.is_whole()


@pytest.mark.parametrize("step", ["begun", "ready", "released", "done"])
@pytest.mark.parametrize("then", ["goes on", "source died", "destination died", "both died"])
def test_a_controller_that_starts_again_goes_on_with_the_move(step, then):
    pool = Moves()
    getattr(pool, step)()
    source, destination = pool.source, pool.destination
    pool.host.is_here = False
    if then in ("source died", "both died") and step != "done":
        pool.host.die(source, "It crashed.", -11)
    if then in ("destination died", "both died"):
        pool.host.die(destination, "It crashed.", -11)
    restart(pool)
    pool.host.deliver()
    pool.later(3)
    pool.host.deliver()
    if then == "goes on" and step in ("begun", "ready"):
        assert pool.is_at(source, 1) and pool.session.move
        pool.host.tells(destination, "READY")
        pool.host.tells(source, "RELEASED")
    if then == "goes on" or (then == "source died" and step != "begun"):
        assert pool.is_at(destination, 2)
        if step != "done":
            pool.host.tells(destination, "OWNER")
            pool.host.attach(destination)
            pool.host.deliver()
        assert pool.is_at(destination, 2) and pool.is_whole() and source not in pool.host.servers
    elif then == "destination died" and step != "done":
        assert pool.is_at(source, 3 if step == "released" else 1) and pool.is_whole()
    else:
        pool.later(6)
        found = pool.controller.books.find(pool.lease.session)
        end = pool.directory.end(pool.lease.session)
        assert end is not None and end.lost and (found is None or found.is_over)
        assert not pool.controller.moves and not pool.directory.moves()
        assert not {source, destination} & set(pool.host.servers)
    check(pool)


@pytest.mark.parametrize("when", ["before its host is back", "while its other server is missed"])
def test_a_session_that_ends_before_a_new_controller_has_it_in_its_books_is_over(when):
    """The directory is older than the move: it has the session at the source still, and that is gone."""
    pool = Moves()
    pool.begun()
    record, lease = pool.directory.moves(), pool.directory.lease(pool.lease.session)
    pool.host.tells(pool.destination, "READY")
    pool.host.tells(pool.source, "RELEASED")
    pool.host.tells(pool.destination, "OWNER")
    pool.host.attach(pool.destination)
    pool.host.deliver()
    pool.host.outbox.clear()
    pool.directory.add_lease(lease)
    pool.directory.set_move(record[0])
    if when == "before its host is back":
        pool.host.is_here = False
        pool.host.work(pool.destination, 2.0, 5)
        pool.host.die(pool.destination, "goodbye")
        restart(pool)
    else:
        restart(pool)
        assert not pool.controller.books.sessions, "it is the missed server's, by all that is known"
        pool.host.work(pool.destination, 2.0, 5)
        pool.host.die(pool.destination, "goodbye")
    pool.later(3)
    pool.later(3)
    end = pool.directory.end(pool.lease.session)
    assert (end.lost, end.reason, end.kernel_s) == (False, "goodbye", 2.0)
    assert not pool.controller.books.sessions and not pool.controller.moves and not list(pool.directory.leases())
    assert not pool.host.outbox
    check(pool)


@pytest.mark.parametrize("step", ["released", "done"])
@pytest.mark.parametrize("order", [1, -1])
def test_a_client_that_came_while_no_controller_ran_is_attached(step, order):
    """Whichever of the two servers the hello names first. A session that seems unattached would be ended."""
    pool = Moves()
    pool.ready()
    pool.host.is_here = False
    pool.host.tells(pool.source, "RELEASED")
    if step == "done":
        pool.host.tells(pool.destination, "OWNER")
        pool.host.attach(pool.destination)
    pool.host.servers = dict(list(pool.host.servers.items())[::order])
    restart(pool)
    assert pool.state(pool.lease) == states.SESSION_ATTACHED and not pool.controller.books.unattached
    assert pool.is_at(pool.destination, 2)
    pool.later(CONFIG.lease_s + 1)
    assert pool.state(pool.lease) == states.SESSION_ATTACHED


def test_a_directory_that_is_older_than_the_move_is_made_good():
    pool = Moves()
    pool.begun()
    record, lease = pool.directory.moves(), pool.directory.lease(pool.lease.session)
    pool.host.tells(pool.destination, "READY")
    pool.host.tells(pool.source, "RELEASED")
    pool.host.tells(pool.destination, "OWNER")
    pool.host.attach(pool.destination)
    pool.host.deliver()
    pool.directory.add_lease(lease)
    pool.directory.set_move(record[0])
    restart(pool)
    pool.later(3)
    assert (
        pool.is_at(pool.destination, 2)
        and pool.state(pool.lease) == states.SESSION_ATTACHED
        and not pool.controller.moves
    )


def test_a_controller_without_a_directory_finds_who_has_the_session():
    for order in (1, -1):
        pool = Moves()
        pool.ready()
        pool.host.tells(pool.source, "RELEASED")
        pool.host.tells(pool.destination, "OWNER")
        pool.host.orders.clear()
        pool.host.servers = dict(list(pool.host.servers.items())[::order])
        pool.directory = type(pool.directory)()
        pool.host.outbox.clear()
        restart(pool)
        pool.host.deliver()
        assert pool.is_at(pool.destination, 2) and pool.source not in pool.host.servers


# ---- drains


def test_a_drain_moves_sessions_away_one_at_a_time_between_two_devices():
    pool = Moves(devices={"cpu:0": 300, "cpu:1": 100, "cpu:2": 100})
    more = [pool.attached(memory_bytes=60), pool.attached(memory_bytes=30)]
    leases = {lease.session: lease for lease in (pool.lease, *more) if lease.device == pool.lease.device}
    key = pool.operations.drain("test", pool.lease.device, "new fan", 0)
    moved = []
    for _ in range(10):
        pool.host.deliver()
        pairs = [(o.source_device, o.destination_device) for o in pool.controller.moves.values()]
        assert len(pairs) == len(set(pairs))
        for one in list(pool.controller.moves.values()):
            assert one.by == "drain"
            pool.host.tells(one.destination_id, "READY")
            pool.host.tells(one.source_id, "RELEASED")
            pool.host.tells(one.destination_id, "OWNER")
            pool.host.attach(one.destination_id)
        pool.later(0.25)
        progress, told = pool.moves.drained(key, len(moved))
        moved += progress.moved
        assert told == len(moved)
    assert progress.done and not progress.remaining_sessions and sorted(moved) == sorted(leases)
    assert all(pool.state(lease) == states.SESSION_ATTACHED for lease in leases.values())


def test_a_drain_waits_for_what_cannot_be_moved_and_says_why():
    pool = Moves()
    key = pool.operations.drain("test", "cpu:0", "new fan", 0)
    pool.host.deliver()
    (one,) = pool.controller.moves.values()
    pool.host.tells(one.source_id, "FAILED", "functions run in its process")
    pool.later(1)
    assert not pool.controller.moves, "not again at once"
    progress, _ = pool.moves.drained(key, 0)
    (waiting,) = progress.waiting
    assert (progress.remaining_sessions, waiting.session) == (1, pool.lease.session) and "functions" in waiting.reason
    pool.later(5)
    assert pool.controller.moves, "but later"
    assert pool.state(pool.lease) == states.SESSION_ATTACHED


def test_what_a_server_says_of_its_session_saves_a_drain_the_attempt():
    pool = Moves()
    why = "The session has run functions in its server's process."
    pool.host.fix(pool.source, why)
    with pytest.raises(Refused, match="has run functions") as refused:
        pool.move()
    assert refused.value.code is Code.FAILED_PRECONDITION and "cupool kill" in refused.value.cure
    key = pool.operations.drain("test", "cpu:0", "new fan", 0)
    pool.later(30)
    assert not pool.controller.moves and not pool.controller.moved, "nothing was tried"
    progress, _ = pool.moves.drained(key, 0)
    assert [(w.session, w.reason) for w in progress.waiting] == [(pool.lease.session, why)]
    assert pool.controller.status(pool.session).fixed == why
    restart(pool)  # a controller that starts again hears it from the host
    assert pool.session.fixed == why
    pool.host.fix(pool.source, "")
    pool.later(0.25)
    assert pool.controller.moves, "at once"


def test_a_copy_that_comes_to_a_device_keeps_its_drain_going():
    pool = Moves()
    pool.begun()
    key = pool.operations.drain("test", "cpu:1", "new fan", 0)
    assert not pool.moves.drained(key, 0)[0].done
    pool.host.tells(pool.destination, "READY")
    pool.host.tells(pool.source, "RELEASED")
    pool.host.tells(pool.destination, "OWNER")
    pool.host.attach(pool.destination)
    pool.later(0.25)  # what the session left is free
    pool.later(0.25)
    assert [o.source_device for o in pool.controller.moves.values()] == ["node-1/cpu:1"]


def test_reports_of_a_move_that_is_over_change_nothing():
    pool = Moves()
    pool.done()
    pool.controller.move_news(
        "node-1", _news(pool.destination, pool.lease.session, pool.one.move.id, "FAILED"), lambda: None
    )
    pool.controller.move_news("node-1", _news("server-none", "session-none", "move-none", "RELEASED"), lambda: None)
    assert pool.is_at(pool.destination, 2) and pool.is_whole()


def _news(server, session, move, phase):
    from cupool.v1 import agent_pb2

    return agent_pb2.MoveNews(server=server, report=server_pb2.MoveReport(session=session, move=move, phase=phase))
