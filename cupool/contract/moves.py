"""The words of a live move: its steps, what happens to it, and what is to be done then. See docs/decisions/012.

The machine over these words is `balancer/migration.py`; the pool's controller drives one for each move, and so does the simulation.
Boundary: words only; nothing is decided here.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


class Step(enum.Enum):
    """How far a move is, as the controller knows it. Its value is the word that people see."""

    WAITING = "waiting"
    COPYING = "copying"
    READY = "ready"
    CANCELLING = "cancelling"
    ORPHANED = "orphaned"
    RELEASED = "released"
    RETURNING = "returning"
    DONE = "done"
    GIVEN_UP = "given-up"
    LOST = "lost"
    ENDED = "ended"


STEPS: dict[Step, str] = {
    Step.WAITING: "No server of the destination is warm yet, or another move is under way between the two devices.",
    Step.COPYING: "Source and destination have their orders; the session runs at the source.",
    Step.READY: "The destination has all of the session, and waits for the source to release it.",
    Step.CANCELLING: "The source was told to give the move up, and has not said yet whether it goes on or had released the session before.",
    Step.ORPHANED: "The source is dead, and the destination has not said whether it has all of the session.",
    Step.RELEASED: "The session is the destination's; no client has come to it yet, and the source is kept.",
    Step.RETURNING: "The destination died before any client came to it; the source was told to take the session back.",
    Step.DONE: "The session has moved, and the source is not needed any more.",
    Step.GIVEN_UP: "The session goes on at the source.",
    Step.LOST: "The session is lost: no server is left that could go on with it.",
    Step.ENDED: "The session ended meanwhile.",
}

#: Steps after which nothing follows.
FINAL: frozenset[Step] = frozenset({Step.DONE, Step.GIVEN_UP, Step.LOST, Step.ENDED})


class Happening(enum.Enum):
    """What the controller hears. A server or node that is merely out of reach is no event: nothing may be concluded from it."""

    WARM = "a warm server of the destination is there"
    NO_SERVER = "the destination cannot have a server, or has no room"
    PROGRESS = "one of the two servers told how far it is"
    READY = "the destination has all of it"
    RELEASED = "the source has released the session: it never executes again at its epoch"
    SOURCE_FAILED = "the source gives the move up, and goes on with the session"
    DESTINATION_FAILED = "the destination cannot take the session, and ends"
    TAKEN_BACK = "the source goes on with the session, at the newest epoch"
    OWNER = "the destination is about to answer a client"
    SOURCE_DEAD = "the source's process is proven to have ended"
    DESTINATION_DEAD = "the destination's process is proven to have ended"
    SOURCE_HERE = "the source's host is back: orders to it may have been lost"
    SESSION_ENDED = "the session is over, or is being ended, by wish"
    CANCELLED = "somebody wants the move given up"
    TIME = "time went by"


class Instruction(enum.Enum):
    """What the driver does, in this order where there are several."""

    RESERVE = "assign the session to the destination as incoming, and have the source let it be pulled"
    CANCEL_SOURCE = "order the source to give the move up"
    COMMIT = "the session is the destination's, at the move's epoch + 1: directory and books, by compare-and-swap"
    RETURN = "the session is the source's again, at the move's epoch + 2: directory and books, by compare-and-swap"
    TAKE_BACK = "order the source to take it back, at the move's epoch + 2"
    FREE_DESTINATION = "end the destination's server"
    DROP_SOURCE = "end the source's server"
    LOSE = "the session is lost"


class Event(NamedTuple):
    """
    Attributes:
        reason: one sentence, for people; of a failure, an end or a cancellation.
    """

    what: Happening
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """One move. Times in seconds on the controller's clock.

    Attributes:
        epoch: of the session at the source, when the move began.
        timeout_s: without any progress for so long before the release, the move is given up.
        changed_at: when something was heard of it.
        step_at: when it came to its step.
        is_ready: the destination has said that it has all of it.
        source_is_dead, destination_is_dead: proven; or, of a destination before the release, it said that it ends.
        reason: why it ended as it did, or is being given up.
    """

    id: str
    session: str
    epoch: int
    timeout_s: float
    changed_at: float
    step_at: float
    step: Step = Step.WAITING
    is_ready: bool = False
    source_is_dead: bool = False
    destination_is_dead: bool = False
    reason: str = ""

    @property
    def is_over(self) -> bool:
        return self.step in FINAL

    @property
    def has_committed(self) -> bool:
        """Whether the session is the destination's."""
        return self.step in (Step.RELEASED, Step.DONE)


#: The machine: what a move becomes when something happens, at a time, and what is to be done.
Machine = Callable[[Move, Event, float], tuple[Move, tuple[Instruction, ...]]]
