"""What a move's source and its destination do next: pure machines. Events go in, instructions come out; drivers do the rest.

Note [Who owns it]. The source owns the session in every state up to SENT, and again in KEPT and TAKEN_BACK; nobody owns it in
RELEASED until the destination is OWNER. RELEASED is entered by one event (`Ready`) in one state (SENT), so a deadline, a broken link or a
cancellation that comes before it keeps the session at the source, and what comes after it changes nothing. The destination becomes OWNER
only by the word of a client that comes at its epoch: no client can have that epoch unless the source has released, or its death is
proven.

Boundary: no clocks, no threads, no bytes. Times are seconds, sizes bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

# -- the source -------------------------------------------------------------------------------------------------------------

#: State -> what it means.
SOURCE_STATES = {
    "EXPECTING": "The order has come; the destination has not. Commands run.",
    "COPYING": "Rounds go to the destination. Commands run.",
    "STOPPING": "The rest is small: the next batch boundary without an open capture is waited for. Commands run.",
    "STOPPED": "No batch runs; the rest and the document are being sent.",
    "SENT": "No batch runs; the destination restores and checks.",
    "RELEASED": "The destination has everything; this server never executes again at its epoch.",
    "KEPT": "There is no move; this server goes on as if nothing had been.",
    "TAKEN_BACK": "The destination is proven dead and nobody came to it; this server goes on at a higher epoch.",
}
SOURCE_TRANSITIONS = frozenset(
    {
        ("EXPECTING", "COPYING"),
        ("EXPECTING", "STOPPING"),
        ("EXPECTING", "KEPT"),
        ("COPYING", "COPYING"),
        ("COPYING", "STOPPING"),
        ("COPYING", "KEPT"),
        ("STOPPING", "STOPPED"),
        ("STOPPING", "KEPT"),
        ("STOPPED", "SENT"),
        ("STOPPED", "KEPT"),
        ("SENT", "RELEASED"),
        ("SENT", "KEPT"),
        ("RELEASED", "TAKEN_BACK"),
    }
)

#: Rounds at most, before the stop.
MAX_ROUNDS = 10
#: The stop begins when the rest goes in so long, by the rate that was measured.
SMALL_REST_S = 0.02
#: A round that leaves more than this part of what the round before it left has not helped.
SHRINKS = 0.8


# Events.
@dataclass(frozen=True, slots=True)
class Came:
    """The destination is there. `misfit`: why it cannot be one, a clause; empty: it can."""

    misfit: str = ""


@dataclass(frozen=True, slots=True)
class Copied:
    """A round has arrived: so many bytes in so many seconds; so many have been written meanwhile."""

    nbytes: int
    seconds: float
    dirty_bytes: int


@dataclass(frozen=True, slots=True)
class Boundary:
    """No batch runs and no capture is open; so many bytes are left to send."""

    rest_bytes: int


@dataclass(frozen=True, slots=True)
class Sent:
    """The rest and the document are on their way."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The destination has restored and checked everything."""


@dataclass(frozen=True, slots=True)
class Lost:
    """There can be no move: the destination refused, the link broke, a time was up, somebody cancelled, the session ended."""

    reason: str


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The controller's order, after the release."""

    epoch: int


# Instructions.
@dataclass(frozen=True, slots=True)
class Copy:
    """Send what the last look found, and look again: round `number`."""

    number: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Wait for a batch boundary without an open capture, and stay there."""


@dataclass(frozen=True, slots=True)
class SendRest:
    """Send what is left, and the document."""


@dataclass(frozen=True, slots=True)
class Release:
    """Never execute again at this epoch; tell controller, destination and client."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Go on as if nothing had been; tell controller and destination why."""

    reason: str


@dataclass(frozen=True, slots=True)
class GoOn:
    """Go on at this epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """The order cannot be followed; nothing changes."""

    reason: str


class Source:
    """The source of one move.

    Args:
        max_pause_s: the longest stop that may be.
        is_cold: stop first and copy then.
    """

    def __init__(self, max_pause_s: float, is_cold: bool = False) -> None:
        self.state = "EXPECTING"
        self.rounds = 0
        self.reason = ""
        self._max_pause_s = max_pause_s
        self._is_cold = is_cold
        #: bytes a second, of all rounds
        self.rate = 0.0
        self._sent = 0
        self._took_s = 0.0
        self._dirty: list[int] = []

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be done, but for an order to take the session back."""
        return self.state in ("RELEASED", "KEPT", "TAKEN_BACK")

    def on(self, event: Any) -> list[Any]:
        """The instructions that an event leads to, in order."""
        return self._HANDLERS[type(event)](self, event)

    def _to(self, state: str) -> None:
        if (self.state, state) not in SOURCE_TRANSITIONS:
            raise AssertionError(f"a move's source cannot go from {self.state} to {state}")
        self.state = state

    def _came(self, event: Came) -> list[Any]:
        if self.state != "EXPECTING":
            return []
        if event.misfit:
            return self._keep(event.misfit)
        if self._is_cold:
            self._to("STOPPING")
            return [Stop()]
        self._to("COPYING")
        self.rounds = 1
        return [Copy(1)]

    def _copied(self, event: Copied) -> list[Any]:
        if self.state != "COPYING":
            return []
        self._sent += event.nbytes
        self._took_s += event.seconds
        self.rate = self._sent / self._took_s if self._took_s > 0 else 0.0
        rest_s = self._seconds_for(event.dirty_bytes)
        self._dirty.append(event.dirty_bytes)
        if rest_s <= SMALL_REST_S or self.rounds >= MAX_ROUNDS or self._has_settled(rest_s):
            if rest_s > self._max_pause_s:
                return self._keep(self._hopeless(event.dirty_bytes, event.seconds))
            self._to("STOPPING")
            return [Stop()]
        self._to("COPYING")
        self.rounds += 1
        return [Copy(self.rounds)]

    def _seconds_for(self, nbytes: int) -> float:
        return nbytes / self.rate if self.rate > 0 else 0.0

    def _has_settled(self, rest_s: float) -> bool:
        """Whether more rounds would not make the rest smaller: the last two did not. A long rest gets them all: the program may pause."""
        last = self._dirty[-3:]
        return rest_s <= self._max_pause_s / 2 and len(last) == 3 and last[2] > SHRINKS * last[1] > SHRINKS**2 * last[0]

    def _hopeless(self, rest: int, seconds: float) -> str:
        return (
            f"the session writes faster than it can be copied: {rest / 1e6:.0f} MB were written during the last round "
            f"({seconds:.1f} s), the link takes {self.rate / 1e6:.0f} MB/s, so it would stand still for "
            f"{self._seconds_for(rest):.1f} s, and {self._max_pause_s:g} s are allowed"
        )

    def _boundary(self, event: Boundary) -> list[Any]:
        if self.state != "STOPPING":
            return []
        if not self._is_cold and self._seconds_for(event.rest_bytes) > self._max_pause_s:
            return self._keep(
                f"{event.rest_bytes / 1e6:.0f} MB are left to copy at {self.rate / 1e6:.0f} MB/s, "
                f"longer than the {self._max_pause_s:g} s that it may stand still"
            )
        self._to("STOPPED")
        return [SendRest()]

    def _was_sent(self, event: Sent) -> list[Any]:
        if self.state == "STOPPED":
            self._to("SENT")
        return []

    def _ready(self, event: Ready) -> list[Any]:
        if self.state != "SENT":
            return [] if self.is_over else self._keep("the destination said that it was ready before it had everything")
        self._to("RELEASED")
        return [Release()]

    def _lost(self, event: Lost) -> list[Any]:
        return [] if self.is_over else self._keep(event.reason)

    def _keep(self, reason: str) -> list[Any]:
        self._to("KEPT")
        self.reason = reason
        return [Keep(reason)]

    def _taken_back(self, event: TakenBack) -> list[Any]:
        if self.state != "RELEASED":
            return [Refuse(f"the session is not given away here (it is {self.state})")]
        self._to("TAKEN_BACK")
        return [GoOn(event.epoch)]

    _HANDLERS: ClassVar[dict[type, Callable[[Source, Any], list[Any]]]] = {
        Came: _came,
        Copied: _copied,
        Boundary: _boundary,
        Sent: _was_sent,
        Ready: _ready,
        Lost: _lost,
        TakenBack: _taken_back,
    }


# -- the destination --------------------------------------------------------------------------------------------------------

DESTINATION_STATES = {
    "CONNECTING": "Reserved for the session; the source has not answered yet.",
    "COPYING": "Buffers come. Nobody may attach.",
    "RESTORING": "Everything is here and is being put together and checked.",
    "READY": "It is whole. Whether the source has released it is not known yet.",
    "ACTIVE": "The source has released it; the client has not come.",
    "OWNER": "A client has come at this server's epoch: the session is here.",
    "ENDED": "There is no move; the process ends.",
}
DESTINATION_TRANSITIONS = frozenset(
    {
        ("CONNECTING", "COPYING"),
        ("CONNECTING", "ENDED"),
        ("COPYING", "RESTORING"),
        ("COPYING", "ENDED"),
        ("RESTORING", "READY"),
        ("RESTORING", "ENDED"),
        ("READY", "ACTIVE"),
        ("READY", "OWNER"),
        ("READY", "ENDED"),
        ("ACTIVE", "OWNER"),
        ("ACTIVE", "ENDED"),
    }
)


# Events.
@dataclass(frozen=True, slots=True)
class Planned:
    """The source has answered with its plan."""


@dataclass(frozen=True, slots=True)
class Complete:
    """The document's last piece has come."""


@dataclass(frozen=True, slots=True)
class Restored:
    """It is put together and checked."""


@dataclass(frozen=True, slots=True)
class Released:
    """The source, or the controller, says that it is this server's."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A client comes at this server's epoch."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The stream to the source ended; the source may have released or not."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """It cannot be: the source goes on, something does not fit, somebody cancelled."""

    reason: str


@dataclass(frozen=True, slots=True)
class Expired:
    """Nobody came within the time that a session is kept without a client."""

    reason: str


# Instructions.
@dataclass(frozen=True, slots=True)
class Restore:
    """Put the session together."""


@dataclass(frozen=True, slots=True)
class SayReady:
    """Open the door and tell source and controller."""


@dataclass(frozen=True, slots=True)
class Own:
    """Tell the controller that a client is about to be answered."""


@dataclass(frozen=True, slots=True)
class End:
    """Tell source and controller why, and end the process."""

    reason: str


class Destination:
    """The destination of one move."""

    def __init__(self) -> None:
        self.state = "CONNECTING"
        self.reason = ""

    @property
    def is_open(self) -> bool:
        """Whether a client may come."""
        return self.state in ("READY", "ACTIVE", "OWNER")

    def on(self, event: Any) -> list[Any]:
        """The instructions that an event leads to, in order."""
        return self._HANDLERS[type(event)](self, event)

    def _to(self, state: str) -> None:
        if (self.state, state) not in DESTINATION_TRANSITIONS:
            raise AssertionError(f"a move's destination cannot go from {self.state} to {state}")
        self.state = state

    def _planned(self, event: Planned) -> list[Any]:
        if self.state == "CONNECTING":
            self._to("COPYING")
        return []

    def _complete(self, event: Complete) -> list[Any]:
        if self.state != "COPYING":
            return []
        self._to("RESTORING")
        return [Restore()]

    def _restored(self, event: Restored) -> list[Any]:
        if self.state != "RESTORING":
            return []
        self._to("READY")
        return [SayReady()]

    def _released(self, event: Released) -> list[Any]:
        if self.state == "READY":
            self._to("ACTIVE")
        return []

    def _claimed(self, event: Claimed) -> list[Any]:
        if self.state not in ("READY", "ACTIVE"):
            return []
        self._to("OWNER")
        return [Own()]

    def _broken(self, event: Broken) -> list[Any]:
        # READY: the source may have released just before; whoever knows will say so, or come.
        return [] if self.is_open or self.state == "ENDED" else self._end(event.reason)

    def _refused(self, event: Refused) -> list[Any]:
        # ACTIVE: the source never executes again, so this may be all that there is of the session.
        return [] if self.state in ("ACTIVE", "OWNER", "ENDED") else self._end(event.reason)

    def _expired(self, event: Expired) -> list[Any]:
        return [] if self.state in ("OWNER", "ENDED") else self._end(event.reason)

    def _end(self, reason: str) -> list[Any]:
        self._to("ENDED")
        self.reason = reason
        return [End(reason)]

    _HANDLERS: ClassVar[dict[type, Callable[[Destination, Any], list[Any]]]] = {
        Planned: _planned,
        Complete: _complete,
        Restored: _restored,
        Released: _released,
        Claimed: _claimed,
        Broken: _broken,
        Refused: _refused,
        Expired: _expired,
    }


# -- whether they fit -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """What a server is, as far as a session that comes to it must know."""

    fingerprint: str
    arena_base: int
    arena_bytes: int
    op_table_digest: bytes
    document_version: int
    free_bytes: int


def misfit(source: Place, destination: Place, needed_bytes: int) -> str:
    """Why a session of `source` cannot go on at `destination`, a clause; empty: it can."""
    if destination.fingerprint != source.fingerprint:
        return f"the destination's numbers could differ: it is {destination.fingerprint!r}, the source {source.fingerprint!r}"
    if destination.op_table_digest != source.op_table_digest:
        return "the destination has another op table: both need the same release of cupool"
    if destination.document_version < source.document_version:
        return (
            f"the destination reads documents up to version {destination.document_version}, "
            f"the source writes {source.document_version}"
        )
    if destination.arena_base != source.arena_base:
        return (
            f"the destination's arena begins at {destination.arena_base:#x}, the source's at {source.arena_base:#x}, "
            "so addresses would not stay valid"
        )
    if destination.arena_bytes < source.arena_bytes:
        return f"the destination's arena has {destination.arena_bytes} bytes, the source's {source.arena_bytes}"
    if needed_bytes > destination.free_bytes:
        return f"the session holds {needed_bytes} bytes, and the destination has {destination.free_bytes} free"
    return ""
