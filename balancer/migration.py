"""The controller's machine of one live move: events in, instructions out. Pure: no I/O, no clock but the time that is passed in.

Note [One owner]: the session is the source's until the source has released it or is proven dead; a commit follows only on that. It is the
source's again only when the destination is proven dead and no client has come to it. Whoever is out of reach may still own it: then
nothing is decided. See docs/decisions/012 for the whole protocol, `cupool/contract/moves.py` for the words.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from cupool.contract.moves import Event, Happening, Instruction, Move, Step

#: How long a released session's source is kept when no client comes to the destination.
KEEP_SOURCE_S = 30.0
#: How long a destination may take to say whether it has all of a session whose source died.
ORPHAN_S = 5.0

#: Steps that may follow each other. A change that is not here is a bug and raises.
CHANGES: frozenset[tuple[Step, Step]] = frozenset(
    {
        (Step.WAITING, Step.COPYING),
        (Step.WAITING, Step.GIVEN_UP),  # no server, no room, cancelled, too late
        (Step.WAITING, Step.LOST),  # the source died, as any server may
        (Step.WAITING, Step.ENDED),
        (Step.COPYING, Step.READY),
        (Step.COPYING, Step.CANCELLING),  # cancelled, too late, or the destination failed
        (Step.COPYING, Step.RELEASED),  # the release was told before the destination's word that it is ready
        (Step.COPYING, Step.DONE),  # a client has come: that proves the release
        (Step.COPYING, Step.GIVEN_UP),
        (Step.COPYING, Step.ORPHANED),
        (Step.COPYING, Step.ENDED),
        (Step.READY, Step.CANCELLING),
        (Step.READY, Step.RELEASED),  # released, or the source is proven dead
        (Step.READY, Step.DONE),
        (Step.READY, Step.GIVEN_UP),
        (Step.READY, Step.ENDED),
        (Step.CANCELLING, Step.RELEASED),  # it had been released before
        (Step.CANCELLING, Step.RETURNING),  # the same, and the destination is dead
        (Step.CANCELLING, Step.DONE),
        (Step.CANCELLING, Step.GIVEN_UP),
        (Step.CANCELLING, Step.ORPHANED),
        (Step.CANCELLING, Step.LOST),
        (Step.CANCELLING, Step.ENDED),
        (Step.ORPHANED, Step.RELEASED),
        (Step.ORPHANED, Step.DONE),
        (Step.ORPHANED, Step.LOST),
        (Step.ORPHANED, Step.ENDED),
        (Step.RELEASED, Step.DONE),
        (Step.RELEASED, Step.RETURNING),
        (Step.RELEASED, Step.LOST),
        (Step.RELEASED, Step.ENDED),
        (Step.RETURNING, Step.GIVEN_UP),
        (Step.RETURNING, Step.LOST),
        (Step.RETURNING, Step.ENDED),
    }
)

Outcome = tuple[Move, tuple[Instruction, ...]]
_Rule = Callable[[Move, Event, float], Outcome]
_H, _I, _S = Happening, Instruction, Step


def begin(move: str, session: str, epoch: int, timeout_s: float, now: float) -> Move:
    """A move that was asked for; a destination is to be found."""
    return Move(move, session, epoch, timeout_s, changed_at=now, step_at=now)


def react(move: Move, event: Event, now: float) -> Outcome:
    """What the move becomes, and what is to be done. An event that comes late, or again, changes nothing.

    Raises:
        RuntimeError: a rule of this module made a change that may not be.
    """
    rule = None if move.is_over else _RULES.get((move.step, event.what), _ANYWHERE.get(event.what))
    if rule is None:
        return move, ()
    after, instructions = rule(move, event, now)
    if event.what is not _H.TIME:
        after = dataclasses.replace(after, changed_at=now)
    if after.step is not move.step:
        if (move.step, after.step) not in CHANGES:
            raise RuntimeError(f"a move cannot go from {move.step.name} to {after.step.name}")
        after = dataclasses.replace(after, step_at=now)
    return after, instructions


# ---- rules, by what they do


def _to(step: Step, *instructions: Instruction) -> _Rule:
    def rule(move: Move, event: Event, now: float) -> Outcome:
        return dataclasses.replace(move, step=step, reason=event.reason or move.reason), instructions

    return rule


def _stay(*instructions: Instruction) -> _Rule:
    return lambda move, event, now: (move, instructions)


def _ready(move: Move, event: Event, now: float) -> Outcome:
    return dataclasses.replace(move, step=_S.READY if move.step is _S.COPYING else move.step, is_ready=True), ()


def _no_destination(move: Move, event: Event, now: float) -> Outcome:
    """It is dead, or said that it ends. The source may have released already: it is asked."""
    reason = event.reason or "Its destination ended."
    return dataclasses.replace(move, step=_S.CANCELLING, destination_is_dead=True, reason=reason), (_I.CANCEL_SOURCE,)


def _also_no_destination(move: Move, event: Event, now: float) -> Outcome:
    return dataclasses.replace(move, destination_is_dead=True), ()


def _no_source(move: Move, event: Event, now: float) -> Outcome:
    """The source died before it was known to have released: whoever is ready goes on, and nobody else is left."""
    move = dataclasses.replace(move, source_is_dead=True, reason=event.reason or move.reason)
    if move.destination_is_dead:
        return dataclasses.replace(move, step=_S.LOST), (_I.LOSE,)
    if move.is_ready:
        return dataclasses.replace(move, step=_S.RELEASED), (_I.COMMIT,)
    return dataclasses.replace(move, step=_S.ORPHANED), ()


def _released_while_cancelling(move: Move, event: Event, now: float) -> Outcome:
    if move.destination_is_dead:
        return dataclasses.replace(move, step=_S.RETURNING), (_I.RETURN, _I.TAKE_BACK)
    return dataclasses.replace(move, step=_S.RELEASED, reason=""), (_I.COMMIT,)


def _destination_died_after_release(move: Move, event: Event, now: float) -> Outcome:
    move = dataclasses.replace(move, destination_is_dead=True, reason=event.reason or "Its destination ended.")
    if move.source_is_dead:
        return dataclasses.replace(move, step=_S.LOST), (_I.LOSE,)
    return dataclasses.replace(move, step=_S.RETURNING), (_I.RETURN, _I.TAKE_BACK)


def _source_died_after_release(move: Move, event: Event, now: float) -> Outcome:
    return dataclasses.replace(move, source_is_dead=True), ()


def _too_late(step: Step, *instructions: Instruction) -> _Rule:
    """Given up when nothing was heard for too long."""

    def rule(move: Move, event: Event, now: float) -> Outcome:
        if now - move.changed_at < move.timeout_s:
            return move, ()
        return dataclasses.replace(
            move, step=step, reason=f"It made no progress for {move.timeout_s:g} s."
        ), instructions

    return rule


def _orphan_time(move: Move, event: Event, now: float) -> Outcome:
    if now - move.step_at < ORPHAN_S:
        return move, ()
    return dataclasses.replace(move, step=_S.LOST), (_I.FREE_DESTINATION, _I.LOSE)


def _kept_for_long(move: Move, event: Event, now: float) -> Outcome:
    if now - move.step_at < KEEP_SOURCE_S:
        return move, ()
    return dataclasses.replace(move, step=_S.DONE), (_I.DROP_SOURCE,)


#: What holds at every step that is not over, unless `_RULES` says otherwise.
_ANYWHERE: dict[Happening, _Rule] = {_H.PROGRESS: _stay()}

_COPY: dict[Happening, _Rule] = {
    _H.READY: _ready,
    _H.RELEASED: _to(_S.RELEASED, _I.COMMIT),
    _H.OWNER: _to(_S.DONE, _I.COMMIT, _I.DROP_SOURCE),
    _H.SOURCE_FAILED: _to(_S.GIVEN_UP, _I.FREE_DESTINATION),
    _H.DESTINATION_FAILED: _no_destination,
    _H.DESTINATION_DEAD: _no_destination,
    _H.SOURCE_DEAD: _no_source,
    _H.SESSION_ENDED: _to(_S.ENDED, _I.FREE_DESTINATION),
    _H.CANCELLED: _to(_S.CANCELLING, _I.CANCEL_SOURCE),
    _H.TIME: _too_late(_S.CANCELLING, _I.CANCEL_SOURCE),
}

_BY_STEP: dict[Step, dict[Happening, _Rule]] = {
    _S.WAITING: {
        _H.WARM: _to(_S.COPYING, _I.RESERVE),
        _H.NO_SERVER: _to(_S.GIVEN_UP),
        _H.CANCELLED: _to(_S.GIVEN_UP),
        _H.TIME: _too_late(_S.GIVEN_UP),
        _H.SOURCE_DEAD: _to(_S.LOST, _I.LOSE),
        _H.SESSION_ENDED: _to(_S.ENDED),
    },
    _S.COPYING: _COPY,
    _S.READY: _COPY,
    _S.CANCELLING: {
        _H.READY: _ready,
        _H.RELEASED: _released_while_cancelling,
        _H.OWNER: _to(_S.DONE, _I.COMMIT, _I.DROP_SOURCE),
        _H.SOURCE_FAILED: _to(_S.GIVEN_UP, _I.FREE_DESTINATION),
        _H.DESTINATION_FAILED: _also_no_destination,
        _H.DESTINATION_DEAD: _also_no_destination,
        _H.SOURCE_DEAD: _no_source,
        _H.SOURCE_HERE: _stay(_I.CANCEL_SOURCE),
        _H.SESSION_ENDED: _to(_S.ENDED, _I.FREE_DESTINATION),
    },
    _S.ORPHANED: {
        _H.READY: _to(_S.RELEASED, _I.COMMIT),
        _H.RELEASED: _to(_S.RELEASED, _I.COMMIT),
        _H.OWNER: _to(_S.DONE, _I.COMMIT, _I.DROP_SOURCE),
        _H.DESTINATION_FAILED: _to(_S.LOST, _I.FREE_DESTINATION, _I.LOSE),
        _H.DESTINATION_DEAD: _to(_S.LOST, _I.LOSE),
        _H.SESSION_ENDED: _to(_S.ENDED, _I.FREE_DESTINATION),
        _H.TIME: _orphan_time,
    },
    _S.RELEASED: {
        _H.OWNER: _to(_S.DONE, _I.DROP_SOURCE),
        _H.DESTINATION_DEAD: _destination_died_after_release,
        _H.SOURCE_DEAD: _source_died_after_release,
        _H.SESSION_ENDED: _to(_S.ENDED, _I.DROP_SOURCE),
        _H.TIME: _kept_for_long,
    },
    _S.RETURNING: {
        _H.TAKEN_BACK: _to(_S.GIVEN_UP),
        _H.SOURCE_DEAD: _to(_S.LOST, _I.LOSE),
        _H.SOURCE_HERE: _stay(_I.TAKE_BACK),
        _H.SESSION_ENDED: _to(_S.ENDED),
    },
}

_RULES: dict[tuple[Step, Happening], _Rule] = {
    (step, what): rule for step, rules in _BY_STEP.items() for what, rule in rules.items()
}
