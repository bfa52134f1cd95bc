"""`decide(snapshot, memory) -> Decision`: which sessions move where. Pure and deterministic: no clock, no randomness, no I/O; the order of
the snapshot's lists does not matter, ties go by id. The balancer's process and the simulation run this very function.

What always holds, whatever the policy (`board` keeps it): never to a device that is cordoned, drained, failed, away, hot or of another
fingerprint; never above its memory or sessions; one move at a time for a device and for a session, those under way counted; a session
rests after a move, longer after each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cupool.contract.balance import POLICIES

from . import rules
from .board import Board, Memory, Move
from .snapshot import Session, Snapshot
from .tuning import Tuning

__all__ = ["POLICIES", "Decision", "Memory", "Move", "Tuning", "decide", "explain", "explain_all"]

_TUNING = Tuning()


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided on one snapshot.

    Attributes:
        moves: in the order in which they were chosen.
        reasons: why nothing more is moved, the most frequent first, each with how often.
        memory: to be passed to the next decision.
    """

    at_s: float
    policy: str
    dry_run: bool
    moves: tuple[Move, ...]
    reasons: tuple[str, ...]
    memory: Memory


def decide(snapshot: Snapshot, memory: Memory | None = None, tuning: Tuning = _TUNING) -> Decision:
    """Decide.

    Args:
        memory: of the decision before; None: there was none.

    Raises:
        ValueError: the snapshot names a policy that does not exist.
    """
    memory = memory or Memory()
    rule = _rule(snapshot.policy)
    if rule is None:
        return Decision(snapshot.at_s, snapshot.policy, snapshot.dry_run, (), ("the policy is none",), memory)
    board = Board(snapshot, memory, tuning)
    rules.evacuate(board)
    rule(board)
    reasons = sorted(board.refused.items(), key=lambda item: (-item[1], item[0]))
    return Decision(
        snapshot.at_s,
        snapshot.policy,
        snapshot.dry_run,
        tuple(board.chosen),
        tuple(f"{why} ({count})" if count > 1 else why for why, count in reasons),
        Memory(snapshot.at_s if board.chosen else memory.moved_at_s, _kept(memory, snapshot), board.looked),
    )


def _rule(policy: str) -> rules.Rule | None:
    if policy not in rules.RULES:
        raise ValueError(f"there is no balancing policy {policy!r}; there are {', '.join(POLICIES)}")
    return rules.RULES[policy]


def _kept(memory: Memory, snapshot: Snapshot) -> dict[str, tuple[float, int]]:
    """Failures of sessions that are still there."""
    if not memory.failures:
        return {}
    there = {s.id for s in snapshot.sessions}
    return {session: failed for session, failed in memory.failures.items() if session in there}


def explain(snapshot: Snapshot, session: str, memory: Memory | None = None, tuning: Tuning = _TUNING) -> str:
    """Why the session stays, or where it would go: a sentence, for people.

    Raises:
        KeyError: the snapshot has no such session.
    """
    return explain_all(snapshot, [session], decide(snapshot, memory, tuning), memory, tuning)[session]


def explain_all(
    snapshot: Snapshot,
    sessions: Iterable[str],
    decision: Decision,
    memory: Memory | None = None,
    tuning: Tuning = _TUNING,
) -> dict[str, str]:
    """`explain` of several, by session.

    Args:
        decision, memory: what was decided on the snapshot, and with which memory.
    """
    there = {s.id: s for s in snapshot.sessions}
    goes = {m.session: f"It goes to {m.destination}. {m.reason}" for m in decision.moves}
    board = Board(snapshot, memory or Memory(), tuning)
    return {id: goes.get(id) or _why_stays(board, there[id]) for id in sessions}


def _why_stays(board: Board, session: Session) -> str:
    snapshot = board.snapshot
    if snapshot.policy == "none":
        return "It stays: the policy is none."
    source = board.devices.get(session.device)
    if source is None:
        return f"It stays: its device {session.device} is not in the pool's books."
    if not source.is_connected:
        return f"It stays: the agent of {source.id} is away, nothing can be copied from there."
    if why := board.why_fixed(session, rest=not (source.draining or source.failed)):
        return f"It stays: {why}."
    if source.id in board.busy:
        return f"It stays for now: another move goes to or from {source.id}."
    if board.first_fit(session, source) is None:
        others = sorted((d for d in snapshot.devices if d.id != source.id), key=lambda d: d.id)
        closed = [f"{d.id}: {board.why_not_to(session, source, d)}" for d in others[:4]]
        more = f"; and {len(others) - 4} more" if len(others) > 4 else ""
        return f"It stays: no device can take it. {'; '.join(closed) or 'There is no other'}{more}."
    if snapshot.policy != "cost-aware":
        return f"It stays: what the policy {snapshot.policy} does concerns others now. {POLICIES[snapshot.policy]}"
    wants, idle = rules.wants_of(board, source)
    wanted = next(w for s, w in wants if s.id == session.id)
    found = rules.relief(board, session, source, wanted, idle, words=True)
    if isinstance(found, str):
        return f"It stays: {found}."
    return f"It stays for now: another session of {source.id}, or of a device that is more contended, goes first."
