"""The controller's machine of a move: every row of its table, and what may happen to source, destination, client and links."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter, deque

import pytest
from cupool.balancer import migration
from cupool.balancer.migration import CHANGES, KEEP_SOURCE_S, ORPHAN_S, begin, react

from cupool.contract.moves import FINAL, STEPS, Event, Happening, Instruction, Move, Step

H, I, S = Happening, Instruction, Step  # noqa: E741
EPOCH, TIMEOUT_S = 3, 10.0


def at(step: Step, **fields: object) -> Move:
    return dataclasses.replace(begin("move-1", "session-1", EPOCH, TIMEOUT_S, 0.0), step=step, **fields)


@pytest.mark.parametrize(
    ("move", "what", "now", "step", "instructions"),
    [
        (at(S.WAITING), H.WARM, 0, S.COPYING, [I.RESERVE]),
        (at(S.WAITING), H.NO_SERVER, 0, S.GIVEN_UP, []),
        (at(S.WAITING), H.CANCELLED, 0, S.GIVEN_UP, []),
        (at(S.WAITING), H.TIME, 9, S.WAITING, []),
        (at(S.WAITING), H.TIME, 10, S.GIVEN_UP, []),
        (at(S.WAITING), H.SOURCE_DEAD, 0, S.LOST, [I.LOSE]),
        (at(S.WAITING), H.SESSION_ENDED, 0, S.ENDED, []),
        (at(S.COPYING), H.PROGRESS, 0, S.COPYING, []),
        (at(S.COPYING), H.READY, 0, S.READY, []),
        (at(S.COPYING), H.RELEASED, 0, S.RELEASED, [I.COMMIT]),
        (at(S.COPYING), H.OWNER, 0, S.DONE, [I.COMMIT, I.DROP_SOURCE]),
        (at(S.COPYING), H.SOURCE_FAILED, 0, S.GIVEN_UP, [I.FREE_DESTINATION]),
        (at(S.COPYING), H.DESTINATION_FAILED, 0, S.CANCELLING, [I.CANCEL_SOURCE]),
        (at(S.COPYING), H.DESTINATION_DEAD, 0, S.CANCELLING, [I.CANCEL_SOURCE]),
        (at(S.COPYING), H.SOURCE_DEAD, 0, S.ORPHANED, []),
        (at(S.COPYING), H.SESSION_ENDED, 0, S.ENDED, [I.FREE_DESTINATION]),
        (at(S.COPYING), H.CANCELLED, 0, S.CANCELLING, [I.CANCEL_SOURCE]),
        (at(S.COPYING), H.TIME, 9, S.COPYING, []),
        (at(S.COPYING), H.TIME, 10, S.CANCELLING, [I.CANCEL_SOURCE]),
        (at(S.READY, is_ready=True), H.RELEASED, 0, S.RELEASED, [I.COMMIT]),
        (at(S.READY, is_ready=True), H.OWNER, 0, S.DONE, [I.COMMIT, I.DROP_SOURCE]),
        (at(S.READY, is_ready=True), H.SOURCE_FAILED, 0, S.GIVEN_UP, [I.FREE_DESTINATION]),
        (at(S.READY, is_ready=True), H.SOURCE_DEAD, 0, S.RELEASED, [I.COMMIT]),
        (at(S.READY, is_ready=True), H.DESTINATION_DEAD, 0, S.CANCELLING, [I.CANCEL_SOURCE]),
        (at(S.READY, is_ready=True), H.CANCELLED, 0, S.CANCELLING, [I.CANCEL_SOURCE]),
        (at(S.READY, is_ready=True), H.SESSION_ENDED, 0, S.ENDED, [I.FREE_DESTINATION]),
        (at(S.CANCELLING), H.SOURCE_FAILED, 0, S.GIVEN_UP, [I.FREE_DESTINATION]),
        (at(S.CANCELLING), H.RELEASED, 0, S.RELEASED, [I.COMMIT]),
        (at(S.CANCELLING, destination_is_dead=True), H.RELEASED, 0, S.RETURNING, [I.RETURN, I.TAKE_BACK]),
        (at(S.CANCELLING), H.OWNER, 0, S.DONE, [I.COMMIT, I.DROP_SOURCE]),
        (at(S.CANCELLING), H.SOURCE_DEAD, 0, S.ORPHANED, []),
        (at(S.CANCELLING, is_ready=True), H.SOURCE_DEAD, 0, S.RELEASED, [I.COMMIT]),
        (at(S.CANCELLING, destination_is_dead=True), H.SOURCE_DEAD, 0, S.LOST, [I.LOSE]),
        (at(S.CANCELLING), H.SOURCE_HERE, 0, S.CANCELLING, [I.CANCEL_SOURCE]),
        (
            at(S.CANCELLING),
            H.TIME,
            1000,
            S.CANCELLING,
            [],
        ),  # the source may have released: no time proves that it has not
        (at(S.CANCELLING), H.SESSION_ENDED, 0, S.ENDED, [I.FREE_DESTINATION]),
        (at(S.ORPHANED), H.READY, 0, S.RELEASED, [I.COMMIT]),
        (at(S.ORPHANED), H.RELEASED, 0, S.RELEASED, [I.COMMIT]),
        (at(S.ORPHANED), H.OWNER, 0, S.DONE, [I.COMMIT, I.DROP_SOURCE]),
        (at(S.ORPHANED), H.DESTINATION_FAILED, 0, S.LOST, [I.FREE_DESTINATION, I.LOSE]),
        (at(S.ORPHANED), H.DESTINATION_DEAD, 0, S.LOST, [I.LOSE]),
        (at(S.ORPHANED), H.TIME, ORPHAN_S - 1, S.ORPHANED, []),
        (at(S.ORPHANED), H.TIME, ORPHAN_S, S.LOST, [I.FREE_DESTINATION, I.LOSE]),
        (at(S.ORPHANED), H.SESSION_ENDED, 0, S.ENDED, [I.FREE_DESTINATION]),
        (at(S.RELEASED), H.OWNER, 0, S.DONE, [I.DROP_SOURCE]),
        (at(S.RELEASED), H.DESTINATION_FAILED, 0, S.RELEASED, []),  # no proof, no return
        (at(S.RELEASED), H.DESTINATION_DEAD, 0, S.RETURNING, [I.RETURN, I.TAKE_BACK]),
        (at(S.RELEASED, source_is_dead=True), H.DESTINATION_DEAD, 0, S.LOST, [I.LOSE]),
        (at(S.RELEASED), H.CANCELLED, 0, S.RELEASED, []),  # too late
        (at(S.RELEASED), H.TIME, KEEP_SOURCE_S - 1, S.RELEASED, []),
        (at(S.RELEASED), H.TIME, KEEP_SOURCE_S, S.DONE, [I.DROP_SOURCE]),
        (at(S.RELEASED), H.SESSION_ENDED, 0, S.ENDED, [I.DROP_SOURCE]),
        (at(S.RETURNING), H.TAKEN_BACK, 0, S.GIVEN_UP, []),
        (at(S.RETURNING), H.SOURCE_DEAD, 0, S.LOST, [I.LOSE]),
        (at(S.RETURNING), H.SOURCE_HERE, 0, S.RETURNING, [I.TAKE_BACK]),
        (at(S.RETURNING), H.SESSION_ENDED, 0, S.ENDED, []),
        *((at(step), what, 1000, step, []) for step in sorted(FINAL, key=lambda step: step.name) for what in H),
    ],
    ids=lambda v: v.step.name if isinstance(v, Move) else getattr(v, "name", None),
)
def test_a_row_of_the_table(move, what, now, step, instructions):
    after, done = react(move, Event(what, "Why not."), now)
    assert (after.step, list(done)) == (step, instructions)


def test_every_change_of_the_table_can_happen_and_no_other():
    moves = [
        at(step, is_ready=ready, source_is_dead=source, destination_is_dead=destination)
        for step in Step for ready in (False, True) for source in (False, True) for destination in (False, True)
        if not destination or step not in (S.WAITING, S.COPYING, S.READY)  # without a destination it is cancelled at once
        if ready or step is not S.READY
    ]  # fmt: skip
    seen = {(m.step, react(m, Event(what), 1000)[0].step) for m in moves for what in H}
    assert {(a, b) for a, b in seen if a is not b} == CHANGES
    assert set(STEPS) == set(Step) and not {a for a, _ in CHANGES} & FINAL
    assert {a for a, _ in CHANGES} == set(Step) - FINAL, "every step that is not over has an end"


def test_a_change_that_is_not_in_the_table_is_a_bug(monkeypatch):
    monkeypatch.setattr(migration, "CHANGES", frozenset())
    with pytest.raises(RuntimeError, match="WAITING to COPYING"):
        react(at(S.WAITING), Event(H.WARM), 0)


def test_time_without_news_counts_and_news_begin_it_again():
    move = at(S.COPYING)
    move, _ = react(move, Event(H.PROGRESS), 9.0)
    assert react(move, Event(H.TIME), 18.0)[0].step is S.COPYING
    assert react(move, Event(H.TIME), 19.0)[0].step is S.CANCELLING


@dataclasses.dataclass
class Side:
    """A server and its host's link to the controller. What it tells waits while the link is down; orders to it are lost then."""

    is_alive: bool = True
    is_linked: bool = True
    orders: deque = dataclasses.field(default_factory=deque)
    told: deque = dataclasses.field(default_factory=deque)


class World:
    """The machine between a source, a destination and a client that do what docs/decisions/012 says. Everything may break at any time."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.now = 0.0
        self.move = begin("move-1", "session-1", EPOCH, TIMEOUT_S, self.now)
        self.source, self.destination = Side(), Side(is_alive=False)
        self.owned = {"source": EPOCH, "destination": 0}  #: at which epoch each would execute; 0: not at all
        self.pulling = self.released = self.gave_up = False  # the source
        self.incoming = self.has_all = False  # the destination
        self.directory = ("source", EPOCH)
        self.client_epoch = EPOCH
        self.is_lost = self.is_ended = False
        self.deaths: set[str] = set()

    # ---- the controller

    def hear(self, what: Happening) -> None:
        before = self.move
        self.move, instructions = react(self.move, Event(what, "x"), self.now)
        for instruction in instructions:
            getattr(self, f"do_{instruction.name.lower()}")(before)

    def order(self, side: Side, order: str) -> None:
        if side.is_linked:
            side.orders.append(order)

    def do_reserve(self, before):
        self.destination.is_alive = True
        self.order(self.destination, "incoming")
        self.order(self.source, "move-out")

    def do_cancel_source(self, before):
        self.order(self.source, "cancel")

    def do_commit(self, before):
        assert self.released or not self.source.is_alive, "no commit without release or proof of death"
        assert self.has_all
        assert self.directory == ("source", EPOCH)
        self.directory = ("destination", EPOCH + 1)

    def do_return(self, before):
        assert self.owned["destination"] == 0, "no return from a destination that has answered a client"
        assert not (self.destination.is_alive and self.has_all and self.incoming), "nor from one that still may"
        self.directory = ("source", EPOCH + 2)

    def do_take_back(self, before):
        self.order(self.source, "take-back")

    def do_free_destination(self, before):
        self.order(self.destination, "end")

    def do_drop_source(self, before):
        self.order(self.source, "end")

    def do_lose(self, before):
        self.is_lost = True

    # ---- what may happen

    def a_server_is_warm(self):
        self.hear(H.WARM)

    def time(self, seconds):
        self.now += seconds
        self.hear(H.TIME)

    def cancelled(self):
        self.hear(H.CANCELLED)

    def source_obeys(self):
        order = self.source.orders.popleft()
        if not self.source.is_alive:
            return
        if order == "move-out" and not self.gave_up:
            self.pulling = True
        elif order == "cancel" and not self.released:
            self._source_gives_up()
        elif order == "take-back" and self.released:
            self.owned["source"], self.released = EPOCH + 2, False
            self.source.told.append(H.TAKEN_BACK)
        elif order == "end":
            self.die("source", is_wish=True)

    def _source_gives_up(self):
        self.pulling, self.gave_up = False, True
        self.source.told.append(H.SOURCE_FAILED)

    def destination_obeys(self):
        order = self.destination.orders.popleft()
        if self.destination.is_alive and order == "incoming":
            self.incoming = True
        elif self.destination.is_alive and order == "end":
            self.die("destination", is_wish=True)

    def copied(self):
        self.has_all = True
        self.destination.told += [H.PROGRESS, H.READY]

    def source_releases(self):
        self.released, self.pulling, self.owned["source"] = True, False, 0
        self.source.told.append(H.RELEASED)

    def the_pull_breaks(self):
        """Before the release: the source goes on, the destination ends or waits, as it was ready or not."""
        self._source_gives_up()
        if self.destination.is_alive and self.incoming and not self.has_all:
            self.incoming = False
            self.destination.told.append(H.DESTINATION_FAILED)
            self.die("destination", is_wish=True)

    def client_comes(self, through_pool):
        """With what MOVED said, or what the pool says. It never goes back to a lower epoch."""
        if through_pool:
            _where, epoch = self.directory
        elif self.released and self.source.is_alive:
            epoch = EPOCH + 1
        else:
            return
        if epoch < self.client_epoch or epoch != EPOCH + 1:
            return
        self.client_epoch = epoch
        if self.destination.is_alive and self.incoming and self.has_all and not self.owned["destination"]:
            self.destination.told.append(H.OWNER)
            self.owned["destination"] = EPOCH + 1

    def source_dies(self):
        self.die("source")

    def destination_dies(self):
        self.die("destination")

    def die(self, name, is_wish=False):
        side = getattr(self, name)
        side.is_alive, self.owned[name] = False, 0
        if not is_wish:
            self.deaths.add(name)
        side.told.append(H.SOURCE_DEAD if name == "source" else H.DESTINATION_DEAD)

    def link_breaks(self, source):
        side = self.source if source else self.destination
        side.is_linked = False
        side.orders.clear()

    def link_is_back(self, source):
        side = self.source if source else self.destination
        if side.is_linked:
            return
        side.is_linked = True
        if self.move.is_over and (self.is_lost or self.directory[0] != ("source" if source else "destination")):
            side.orders.append("end")  # as the controller does with any server whose session is elsewhere, or over
        elif source and side.is_alive:
            self.hear(H.SOURCE_HERE)
            if self.move.step in (S.COPYING, S.READY) and not (self.pulling or self.gave_up or self.released):
                self.hear(H.CANCELLED)  # its order was lost
        elif not source and side.is_alive and not self.incoming and self.move.step is not S.WAITING:
            self.hear(H.DESTINATION_FAILED)  # the same: it is warm still
            side.is_alive = False

    def source_is_heard(self):
        self.hear(self.source.told.popleft())

    def destination_is_heard(self):
        self.hear(self.destination.told.popleft())

    def source_is_heard_twice(self):
        """What must not get lost is told again when nobody said that it had come."""
        if self.source.is_linked and self.source.told[0] is not H.SOURCE_DEAD:
            self.hear(self.source.told[0])

    def _both(self):
        return self.source.is_alive and self.destination.is_alive

    # ---- what must hold

    def never_two_owners(self):
        assert sum(1 for epoch in self.owned.values() if epoch) <= 1, self.owned

    def finish(self):
        for is_source in (True, False):
            self.link_breaks(is_source)
        for _ in range(20):
            self.link_is_back(True)
            self.link_is_back(False)
            for side, obey in ((self.source, self.source_obeys), (self.destination, self.destination_obeys)):
                while side.orders or side.told:
                    while side.told:
                        self.hear(side.told.popleft())
                    if side.orders:
                        obey()
            self.time(40.0)
            if self.move.step is S.WAITING:
                self.hear(H.NO_SERVER)
        assert self.move.is_over, self.move
        self.never_two_owners()
        where, _ = self.directory
        if self.move.step is S.LOST:
            assert self.is_lost and not any(self.owned.values()) and "source" in self.deaths
        elif where == "source":
            assert self.owned["source"] or "source" in self.deaths, "it goes on there"
        else:
            assert self.destination.is_alive or "destination" in self.deaths, "it executes, or waits for its client"
        other = self.destination if where == "source" else self.source
        assert not other.is_alive or not (self.incoming and other is self.destination), (
            "copies that nobody has are freed"
        )

    # ---- a walk

    def choices(self):
        """What may happen now, each with how often it is chosen among the others."""
        source, destination, both = self.source, self.destination, self._both()
        yield 4 * (self.move.step is S.WAITING), self.a_server_is_warm
        yield 0.3, lambda: self.time(self.random.choice([0.25, 3.0, 12.0, 40.0]))
        yield 0.3, self.cancelled
        yield 4 * bool(source.orders), self.source_obeys
        yield 4 * bool(destination.orders), self.destination_obeys
        yield 4 * (self.pulling and self.incoming and not self.has_all and both), self.copied
        yield 4 * (self.pulling and self.has_all and not self.released and both), self.source_releases
        yield 0.3 * (self.pulling and source.is_alive), self.the_pull_breaks
        yield 1, lambda: self.client_comes(self.random.random() < 0.5)
        yield 0.2 * source.is_alive, self.source_dies
        yield 0.2 * destination.is_alive, self.destination_dies
        yield 0.3, lambda: self.link_breaks(self.random.random() < 0.5)
        yield 1, lambda: self.link_is_back(self.random.random() < 0.5)
        yield 3 * (source.is_linked and bool(source.told)), self.source_is_heard
        yield 3 * (destination.is_linked and bool(destination.told)), self.destination_is_heard
        yield 0.5 * bool(source.told), self.source_is_heard_twice

    def walk(self, steps: int) -> Step:
        for _ in range(steps):
            weights, actions = zip(*self.choices(), strict=True)
            self.random.choices(actions, weights)[0]()
            self.never_two_owners()
        self.finish()
        return self.move.step


def test_never_two_owners_and_always_an_end():
    """One seed is one walk: `World(seed).walk(40)` is it again."""
    ends = Counter(World(seed).walk(40) for seed in range(1000))
    assert set(ends) == FINAL - {S.ENDED} and min(ends.values()) > 5, "walks that go everywhere"
