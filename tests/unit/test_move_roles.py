"""The machines of a move's source and destination: every path, at most one owner, whatever comes in whichever order."""

from __future__ import annotations

import random
from typing import Any

import pytest
from cupool.apiserver.moving import roles
from cupool.apiserver.moving.roles import (
    DESTINATION_STATES,
    DESTINATION_TRANSITIONS,
    MAX_ROUNDS,
    SOURCE_STATES,
    SOURCE_TRANSITIONS,
    Boundary,
    Came,
    Copied,
    Copy,
    Destination,
    End,
    GoOn,
    Keep,
    Lost,
    Own,
    Place,
    Ready,
    Refuse,
    Release,
    Restore,
    SayReady,
    SendRest,
    Sent,
    Source,
    Stop,
    TakenBack,
    misfit,
)

MB = 1_000_000


def test_states_and_transitions_name_each_other() -> None:
    for states, transitions in (
        (SOURCE_STATES, SOURCE_TRANSITIONS),
        (DESTINATION_STATES, DESTINATION_TRANSITIONS),
    ):
        assert {s for pair in transitions for s in pair} == set(states)
        assert all(sentence.endswith(".") for sentence in states.values())


def test_a_whole_move() -> None:
    source = Source(2.0)
    assert source.on(Came()) == [Copy(1)]
    assert source.on(Copied(100 * MB, 0.1, 50 * MB)) == [Copy(2)]
    assert source.on(Copied(50 * MB, 0.05, 1 * MB)) == [Stop()]
    assert source.on(Boundary(1 * MB)) == [SendRest()]
    assert source.on(Sent()) == []
    assert source.on(Ready()) == [Release()]
    assert source.state == "RELEASED"
    for late in (Lost("late"), Ready(), Came(), Copied(1, 1.0, 1), Boundary(1)):
        assert source.on(late) == [] and source.state == "RELEASED"
    assert source.on(TakenBack(7)) == [GoOn(7)]
    assert isinstance(source.on(TakenBack(8))[0], Refuse)


def test_a_cold_move_stops_first() -> None:
    source = Source(2.0, is_cold=True)
    assert source.on(Came()) == [Stop()]
    assert source.on(Boundary(10**12)) == [SendRest()]


def test_a_session_that_does_not_fit_stays() -> None:
    source = Source(2.0)
    assert source.on(Came("no")) == [Keep("no")]
    assert source.on(Ready()) == []


def test_at_most_ten_rounds() -> None:
    source, rounds = Source(2.0), 0
    instructions = source.on(Came())
    while instructions[0] != Stop():
        rounds += 1
        assert isinstance(instructions[0], Copy) and rounds <= MAX_ROUNDS
        # It shrinks all the time, and never enough.
        instructions = source.on(Copied(100 * MB, 0.1, int(1000 * MB * 0.7**rounds)))
    assert rounds == MAX_ROUNDS


def test_rounds_end_when_they_do_not_help() -> None:
    source = Source(2.0)
    source.on(Came())
    for _ in range(2):
        assert isinstance(source.on(Copied(100 * MB, 0.1, 100 * MB))[0], Copy)
    assert source.on(Copied(100 * MB, 0.1, 100 * MB)) == [Stop()]


def test_a_copy_that_cannot_win_is_given_up_with_the_figures() -> None:
    source = Source(0.5)
    instructions = source.on(Came())
    while isinstance(instructions[0], Copy):
        instructions = source.on(Copied(1000 * MB, 1.0, 1000 * MB))
    assert isinstance(instructions[0], Keep)
    assert "1000 MB/s" in instructions[0].reason and "1.0 s" in instructions[0].reason
    late = Source(0.5)
    late.on(Came())
    late.on(Copied(1000 * MB, 1.0, 1 * MB))
    kept = late.on(Boundary(900 * MB))
    assert isinstance(kept[0], Keep) and "900 MB" in kept[0].reason


@pytest.mark.parametrize("after", range(6))
def test_whatever_fails_before_the_release_keeps_the_session(after: int) -> None:
    steps = [Came(), Copied(100 * MB, 0.1, 50 * MB), Copied(50 * MB, 0.1, 0), Boundary(0), Sent()]
    source = Source(2.0)
    for step in steps[:after]:
        source.on(step)
    assert source.on(Lost("the link broke")) == [Keep("the link broke")]
    assert source.state == "KEPT" and source.reason == "the link broke"
    assert source.on(Ready()) == []


def test_a_destination_that_is_ready_too_early_is_no_destination() -> None:
    source = Source(2.0)
    source.on(Came())
    assert isinstance(source.on(Ready())[0], Keep)


def test_a_destination_takes_over() -> None:
    destination = Destination()
    assert destination.on(roles.Planned()) == []
    assert destination.on(roles.Complete()) == [Restore()]
    assert not destination.is_open
    assert destination.on(roles.Restored()) == [SayReady()]
    assert destination.is_open
    assert destination.on(roles.Released()) == []
    assert destination.on(roles.Broken("over")) == []
    assert destination.on(roles.Claimed()) == [Own()]
    assert destination.on(roles.Claimed()) == []
    assert destination.on(roles.Expired("late")) == []


@pytest.mark.parametrize("steps", range(3))
def test_a_destination_that_is_not_ready_ends_with_its_stream(steps: int) -> None:
    destination = Destination()
    for step in (roles.Planned(), roles.Complete())[:steps]:
        destination.on(step)
    assert destination.on(roles.Broken("cut")) == [End("cut")]
    assert destination.on(roles.Restored()) == []


def test_a_ready_destination_waits_for_a_word() -> None:
    def ready() -> Destination:
        destination = Destination()
        for step in (roles.Planned(), roles.Complete(), roles.Restored()):
            destination.on(step)
        return destination

    destination = ready()
    assert destination.on(roles.Broken("cut")) == []
    assert destination.on(roles.Claimed()) == [Own()]
    assert ready().on(roles.Refused("the source goes on")) == [End("the source goes on")]
    assert ready().on(roles.Expired("nobody came")) == [End("nobody came")]
    active = ready()
    active.on(roles.Released())
    assert active.on(roles.Refused("cancelled")) == []  # it may be all that there is
    assert active.on(roles.Expired("nobody came")) == [End("nobody came")]


def test_never_two_owners_in_any_order() -> None:
    """Both machines under random events, joined as the wire joins them; a client comes to the destination only after a release."""
    for seed in range(3000):
        rng = random.Random(seed)
        source, destination = Source(2.0), Destination()
        wire: list[Any] = []  # to the destination, in order
        is_cut = False
        for _ in range(60):
            kind = rng.randrange(10)
            told: list[Any] = []
            if kind == 0:
                told = source.on(Came("no" if rng.random() < 0.02 else ""))
            elif kind == 1:
                told = source.on(Copied(MB, 0.01, rng.choice((0, MB))))
            elif kind == 2:
                told = source.on(Boundary(0))
            elif kind == 3 and source.state == "STOPPED":
                told = source.on(Sent())
                wire += [roles.Planned(), roles.Complete(), roles.Restored()]
            elif kind == 4 and rng.random() < 0.1:
                told = source.on(Lost("somebody"))
            elif kind == 5 and destination.state == "READY" and not is_cut:
                told = source.on(Ready())
            elif kind == 6 and rng.random() < 0.1 and not is_cut:
                is_cut = True
                told = source.on(Lost("cut"))
                destination.on(roles.Broken("cut"))
            elif kind == 7 and source.state == "RELEASED":
                destination.on(roles.Claimed())
            elif kind == 8 and wire and not is_cut:
                destination.on(wire.pop(0))
            elif kind == 9 and rng.random() < 0.1:
                destination.on(roles.Expired("late"))
            for instruction in told:
                if isinstance(instruction, Release):
                    wire.append(roles.Released())
                elif isinstance(instruction, Keep):
                    wire.append(roles.Refused("it goes on"))
            is_sources = source.state not in ("RELEASED",)
            assert not (is_sources and destination.state in ("ACTIVE", "OWNER"))


def test_what_does_not_fit_is_named() -> None:
    here = Place("cpu numpy 2.1", 1 << 44, 1 << 40, b"d", 1, 100)
    assert misfit(here, here, 100) == ""
    cases = {
        "numbers could differ": Place("cpu numpy 2.2", 1 << 44, 1 << 40, b"d", 1, 100),
        "op table": Place("cpu numpy 2.1", 1 << 44, 1 << 40, b"e", 1, 100),
        "documents": Place("cpu numpy 2.1", 1 << 44, 1 << 40, b"d", 0, 100),
        "begins at": Place("cpu numpy 2.1", 1 << 45, 1 << 40, b"d", 1, 100),
        "arena has": Place("cpu numpy 2.1", 1 << 44, 1 << 30, b"d", 1, 100),
        "free": Place("cpu numpy 2.1", 1 << 44, 1 << 40, b"d", 1, 99),
    }
    for text, there in cases.items():
        assert text in misfit(here, there, 100)
