"""The balancer at work: asks for snapshots, decides, asks for moves, tells what it decided. Everything that waits is here.

What it decides is `policy`'s, over what `monitor` has made steady. The controller may go and come, and may be another: all that counts is
in its snapshots; what is kept here between two of them is smoothing, the policy's `Memory`, and the moves that are being asked for.

Boundary: gRPC through a stub that is passed in, a clock that is passed in, no process matters.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from cupool.v1 import admin_pb2

from . import messages, policy
from .monitor import INTERVAL_S, Monitor
from .policy import Decision, Memory, Move
from .snapshot import Snapshot
from .tuning import Tuning

_log = logging.getLogger(__name__)

#: How long the controller may take to answer. A snapshot of a large pool is megabytes.
CALL_S = 5.0
#: Between attempts while the controller does not answer, or another balancer acts: doubled, up to the second.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 2.0
#: A decision like the one before is told again after this, so that `cupool balance explain` is never older.
TELL_S = 5.0
#: Of so many sessions a decision says why each stays: the busiest.
EXPLAINED = 200


class Driver:
    """Decides for one pool until it is told to end.

    Args:
        stub: of AdminService.
        token: a credential of the role balancer; "": none is shown.
        id: this balancer's own, made when its process started.
        clock: seconds, never back.
        dry_run: moves nothing, whatever the pool says.
    """

    def __init__(
        self,
        stub: Any,
        token: str,
        id: str,
        clock: Callable[[], float],
        interval_s: float = INTERVAL_S,
        dry_run: bool = False,
        tuning: Tuning | None = None,
    ) -> None:
        self._stub = stub
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._id = id
        self._clock = clock
        self._interval_s = interval_s
        self._dry_run = dry_run
        self._tuning = tuning or Tuning()
        self._monitor = Monitor()
        self._memory = Memory()
        self._lock = threading.Lock()
        #: Moves that are being asked for, by session, and the ends of others: session -> why it failed, "" when it did not.
        self._asked: dict[str, Move] = {}
        self._ended: dict[str, str] = {}
        self._failed: dict[str, str] = {}  #: not told yet
        self._told: tuple[object, ...] = ()
        self._told_at = float("-inf")
        self._wake = threading.Event()
        self._is_ending = False
        self._said = ""
        self._pool = ThreadPoolExecutor(self._tuning.most_moves, "cupool-move")

    def run(self) -> None:
        """Until `end`."""
        pause_s = FIRST_PAUSE_S
        due = self._clock()
        while not self._is_ending:
            try:
                self.once()
                pause_s, due = FIRST_PAUSE_S, max(due + self._interval_s, self._clock())
                self._say("")
            except grpc.RpcError as error:
                self._say(f"{error.code().name}: {error.details()}")
                due, pause_s = self._clock() + pause_s, min(2 * pause_s, LONGEST_PAUSE_S)
            except ValueError as error:
                # A snapshot that makes no sense: the next one may. Nothing is moved on it.
                self._say(f"the snapshot was not used: {error}")
                due, pause_s = self._clock() + pause_s, min(2 * pause_s, LONGEST_PAUSE_S)
            self._wake.wait(max(0.0, due - self._clock()))
            self._wake.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def end(self) -> None:
        """End `run`; any thread. Moves that were asked for go on: they are the controller's."""
        self._is_ending = True
        self._wake.set()

    def now(self) -> None:
        """Have it decide now; any thread."""
        self._wake.set()

    def _say(self, what: str) -> None:
        """A trouble in the log, once while it lasts."""
        if what != self._said:
            self._said = what
            if what:
                _log.warning("event=no-snapshot reason=%r", what)
            else:
                _log.info("event=snapshots-again")

    # ---- one round

    def once(self) -> Decision:
        """Ask, decide, act, tell.

        Raises:
            grpc.RpcError: the controller did not answer.
            ValueError: its snapshot makes no sense.
        """
        request = admin_pb2.GetSnapshotRequest(balancer=self._id)
        answer = self._stub.GetSnapshot(request, timeout=CALL_S, metadata=self._metadata)
        snapshot = self._monitor.take(messages.snapshot_of(answer))
        if self._dry_run:
            snapshot = dataclasses.replace(snapshot, dry_run=True)
        self._take_ends(snapshot.at_s)
        snapshot = self._with_asked(snapshot)
        began = self._clock()
        decision = policy.decide(snapshot, self._memory, self._tuning)
        took_ms = (self._clock() - began) * 1000
        if not snapshot.dry_run:
            for move in decision.moves:
                self._ask(move)
        before, self._memory = self._memory, decision.memory
        self._tell(snapshot, decision, took_ms, before)
        return decision

    def _take_ends(self, at_s: float) -> None:
        with self._lock:
            ended, self._ended = self._ended, {}
        for session, why in ended.items():
            self._memory = self._memory.noted(session, at_s, failed=bool(why))
            if why:
                self._failed[session] = why

    def _with_asked(self, snapshot: Snapshot) -> Snapshot:
        """What this process has asked for counts, though the controller's snapshot may not show it yet."""
        with self._lock:
            asked = dict(self._asked)
        if not asked:
            return snapshot
        sessions = tuple(
            dataclasses.replace(s, moving=True, destination=s.destination or asked[s.id].destination)
            if s.id in asked
            else s
            for s in snapshot.sessions
        )
        return dataclasses.replace(snapshot, sessions=sessions)

    def _ask(self, move: Move) -> None:
        with self._lock:
            self._asked[move.session] = move
        self._pool.submit(self._follow, move)

    def _follow(self, move: Move) -> None:
        """Ask for a move and wait for its end. In a thread of its own."""
        why = "the balancer could not ask for it"
        try:
            why = _outcome(self._stub.MoveSession(self._request(move), metadata=self._metadata))
        except grpc.RpcError as error:
            why = f"{error.code().name}: {error.details()}"
        finally:
            (_log.info if why else _log.debug)(
                "event=move-ended session=%s destination=%s reason=%r", move.session, move.destination, why
            )
            with self._lock:
                del self._asked[move.session]
                self._ended[move.session] = why

    def _request(self, move: Move) -> admin_pb2.MoveSessionRequest:
        return admin_pb2.MoveSessionRequest(
            session=move.session,
            device=move.destination,
            reason=move.reason,
            by="balancer",
            max_pause_ms=int(self._tuning.longest_pause_s * 1000),
        )

    def _tell(self, snapshot: Snapshot, decision: Decision, took_ms: float, before: Memory) -> None:
        """Tell the controller, unless it would hear what it has heard."""
        # What changes from one moment to the next is no news: how often a reason came up, what exactly a move saves.
        moves = tuple((m.session, m.source, m.destination) for m in decision.moves)
        reasons = frozenset(r.partition(" (")[0] for r in decision.reasons)
        told = moves, reasons, decision.policy, decision.dry_run, tuple(self._failed)
        if told == self._told and self._clock() - self._told_at < TELL_S:
            return
        busiest = sorted(snapshot.sessions, key=lambda s: (-s.utilisation, s.id))[:EXPLAINED]
        why = policy.explain_all(snapshot, [s.id for s in busiest], decision, before, self._tuning)
        message = messages.decision_message(decision, took_ms, why)
        message.balancer = self._id
        message.failed.extend(admin_pb2.SessionReason(session=s, reason=r) for s, r in self._failed.items())
        self._stub.ReportDecision(message, timeout=CALL_S, metadata=self._metadata)
        self._told, self._told_at = told, self._clock()
        self._failed.clear()


def _outcome(progress: Iterator[admin_pb2.MoveProgress]) -> str:
    """Why a move failed; "": it did not."""
    last = admin_pb2.MoveProgress()
    for last in progress:
        pass
    return "" if last.done and not last.error else last.error or "nobody said how it ended"
