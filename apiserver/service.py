"""A server: one device, and the life of its one session, from its assignment to its end. Its orders come by `control.py`.

Boundary: whose session it is, who may use it, when it is over. Calls come by `listener.py`; what a frame means is `session.py`'s.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import logging
import threading
import time
from collections.abc import Iterable
from typing import Any

import grpc

from cupool.contract.limits import OUR_LIMITS, Limits
from cupool.contract.ops import row_hashes, table_digest
from cupool.contract.statusfile import StatusWriter
from cupool.v1 import server_pb2

from . import confine
from .attach_calls import AttachCalls
from .bulk_calls import BulkCalls
from .checkpoints.keeper import Keeper, Place
from .checkpoints.restoring import Restoring
from .config import Assignment, Config
from .devices.base import Device
from .executor import Executor
from .frames import Refused
from .implementations import resolve_table
from .lane import LaneServer
from .later import Later
from .listener import Listener
from .moving.fixity import Fixity
from .moving.moves import Moves
from .rehearsal import rehearse_session
from .session import Session
from .telling import Telling
from .watchdog import Watchdog

log = logging.getLogger(__name__)

#: A lease reaches its client while the order to this server is on its way: so long a call waits for its session to be assigned.
EARLY_S = 2.0
#: Calls that wait so at once; they hold a thread each.
MAX_EARLY = 8
#: How often an assigned session's clocks are looked at.
TICK_S = 0.25


@functools.cache
def contract_digests() -> tuple[bytes, dict[str, bytes]]:
    """The op table's digest, and the hash of each row."""
    return table_digest(), row_hashes()


def prepare(kinds: Iterable[str]) -> None:
    """Do once what every server's start would do: for a process that forks servers. Touches no device."""
    contract_digests()
    if "cpu" in kinds:
        from .devices.cpu.device import CpuDevice

        device = CpuDevice()
        device.warm()
        resolve_table(device)
        device.describe()
        device.close()


#: How long an agent that does not read may hold up a server that ends.
END_TOLD_S = 1.0


class ApiServer:
    """One device, one session, in this process. `done` is set when the process should end; `reason` says why.

    Note [Assigned, opened]: an assigned session costs nothing until its client comes, so that it can be taken back and the server is as
    it was. The first call with the session's token opens it: from then on the process belongs to that session.
    """

    def __init__(self, config: Config, device: Device, status: StatusWriter) -> None:
        self.config = config
        self.device = device
        self.status = status
        self.limits = OUR_LIMITS
        self.done = threading.Event()
        self._end_told = threading.Event()
        self.reason = ""
        #: the session that is assigned; None before, and after it was taken back
        self.assignment: Assignment | None = None
        #: the same, opened
        self.session: Session | None = None
        self.telling = Telling(self)
        self._lane: LaneServer | None = None
        self._impls = resolve_table(device)
        self._digests = contract_digests()
        self.moves = Moves(self)
        self.fixity = Fixity(self)
        self.restoring = Restoring(self)
        self._later = Later()
        self.attaching = AttachCalls(self.authenticate, self._later.calm)
        self.listener = Listener(
            config,
            self.limits,
            self.attaching,
            BulkCalls(self.authenticate),
            self.restoring.restore,
            self.moves.pull,
        )
        #: guards `assignment`, `session` and what follows, up to their being opened
        self._changed = threading.Condition()
        self._assigned_limits = self.limits
        self._assigned_at = 0.0
        self._early = 0
        #: there may be a session whose clocks are to be looked at, or a reason to end
        self._awake = threading.Event()

    # -- the session of this server's life --------------------------------------------------------------------------------

    def assign(self, assignment: Assignment, limits: Limits | None = None) -> None:
        """Take the one session.

        Raises:
            Refused: there is one already, or the server ends.
        """
        with self._changed:
            if self.assignment == assignment:
                return  # the agent did not see our answer
            if self._is_here_now(assignment):
                return
            if self.assignment is not None:
                self.telling.assigned()  # in the order in which they came
                raise Refused(
                    "FAILED_PRECONDITION",
                    "This server has, or had, its session. A server serves one session in its life.",
                )
            if self.done.is_set():
                raise Refused("FAILED_PRECONDITION", f"This server ends: {self.reason}")
            self.assignment = assignment
            self._assigned_limits = limits or OUR_LIMITS
            self._assigned_at = time.monotonic()
            self._changed.notify_all()
            self._later.calm.clear()
            self._later.do(self._awake.set)
            self.telling.will_tell_assigned()
            self._later.do(self.telling.assigned)
            if assignment.arrival is not None:
                self.telling.assigned()
                self.moves.begin_arrival(assignment)
            elif assignment.checkpoint:
                self.telling.assigned()
                self.restoring.begin(assignment)

    def _is_here_now(self, assignment: Assignment) -> bool:
        """Whether this is the controller's word that a session which came here by a move is this server's. With `_changed` held."""
        known, destination = self.assignment, self.moves.destination
        if known is None or destination is None or assignment.arrival is not None:
            return False
        if (known.session, known.epoch) != (assignment.session, assignment.epoch):
            return False
        destination.released()
        return True

    def unassign(self, session: str) -> None:
        """Take the session back: the server is warm again. One that is not here is no error.

        Raises:
            Refused: a client has come; the session can only be ended.
        """
        with self._changed:
            if self.assignment is None or self.assignment.session != session:
                return
            if self.moves.destination is not None:
                raise Refused(
                    "FAILED_PRECONDITION", "The session comes here by a move. Cancel the move, or end the session."
                )
            if self.session is not None or self.restoring.is_on:
                raise Refused(
                    "FAILED_PRECONDITION",
                    "A client has attached to the session, so this server cannot be given to another one. End it instead.",
                )
            self.telling.unassigned()
            self.assignment = None

    def _opened(self, assignment: Assignment) -> Session:
        """The session, made for its first client. With `_changed` held."""
        session = self.open_for(assignment)
        self.limits = session.limits
        self._watch(assignment)
        self.session = session
        return session

    def open_for(self, assignment: Assignment) -> Session:
        """A fresh session on the device, to which nobody can attach yet. From here on the process is the session's: it is sealed."""
        limits = self._assigned_limits
        executor = Executor(
            self.device,
            self.limit_of(assignment),
            limits,
            self.status,
            self.config.allow_faults,
            self._impls,
            self.config.plans,
            self.config.fuses,
            self.config.fusion_threads,
            self.config.reuses,
            self.config.waves,
        )
        executor.allow_offload = assignment.allow_offload
        session = Session(
            assignment, executor, limits, self._digests, self._hello_fields, self.stop, self._presence_changed,
            self.config.fusion_wait_s,
        )  # fmt: skip
        self._lane = self._lane or LaneServer()
        self._lane.open(
            executor.transfers, lambda name, token: name == assignment.session and _is_token(assignment, token)
        )
        self._lane.mover = self.moves.lane
        places = {where: Place(folder, where == "file") for where, folder in self.config.checkpoints.items()}
        session.keeper = Keeper(session, places, functools.partial(self.telling.checkpoint, assignment.session))
        confine.seal()  # all that it listens at is there
        return session

    def limit_of(self, assignment: Assignment) -> int:
        """Bytes that the session may hold here."""
        return min(assignment.limit_bytes or self.config.memory_bytes, self.config.memory_bytes)

    def _watch(self, assignment: Assignment) -> None:
        if assignment.kernel_limit_s > 0:
            self._later.do(Watchdog(self.status, assignment.kernel_limit_s).start)

    def admit(self, session: Session) -> None:
        """A session that came from another server is whole: its client may come.

        Raises:
            ValueError: it was ended meanwhile.
        """
        with self._changed:
            if self.done.is_set():
                raise ValueError(f"this server ends: {self.reason}")
            self.limits = session.limits
            self._watch(session.assignment)
            session.last_frame_at = time.monotonic()
            self.session = session

    @property
    def digest(self) -> bytes:
        """The op table's."""
        return self._digests[0]

    @property
    def lane_for_moves(self) -> str:
        """Where a move's destination on this host may connect for its bytes; empty: nowhere."""
        return self._lane.where if self._lane is not None else ""

    # -- checkpoints ------------------------------------------------------------------------------------------------------

    def save(self, order: Any) -> None:
        """Write what the session is now to a file, in a thread; what becomes of it is reported. `order`: a `cupool.v1.Checkpoint`."""
        session = self.session
        if session is None or session.keeper is None or order.session != session.assignment.session:
            report = server_pb2.CheckpointReport(session=order.session, checkpoint=order.checkpoint)
            report.error = "The session has not begun, or is somewhere else."
            self.telling.report_checkpoint(report)
            return
        arguments = (order, self.telling.report_checkpoint)
        threading.Thread(target=session.keeper.save, args=arguments, name="cupool-save", daemon=True).start()

    def _hello_fields(self) -> dict[str, Any]:
        info = self.device.describe()
        assert self.session is not None
        info.limit_bytes = self.session.executor.accounting.lease_limit
        return {
            "server": self.config.server,
            "device": info,
            "lane": self._lane.where if self._lane is not None else "",
            "checkpoints": self.session.keeper.wheres if self.session.keeper is not None else [],
        }

    # -- what it uses -----------------------------------------------------------------------------------------------------

    def _presence_changed(self) -> None:
        """A client has come or is gone."""
        self._later.do(self.telling.presence)

    def usage(self) -> Any:
        """A `cupool.v1.SessionUsage` of now."""
        session = self.session
        usage = server_pb2.SessionUsage(running_op=self.status.current())
        if session is not None:
            account, executor = session.executor.usage(), session.executor
            usage.used_bytes, usage.peak_bytes, usage.handles = account.used_bytes, account.peak_bytes, account.handles
            usage.kernel_s = account.kernel_s + self.status.batch_s()
            usage.executed_commands, usage.failed_commands = executor.executed_commands, executor.failed_commands
            usage.idle_s, usage.attached = time.monotonic() - session.last_frame_at, session.is_attached
        return usage

    # -- the end ----------------------------------------------------------------------------------------------------------

    def end(self, reason: str) -> None:
        """End the session, if there is one, and the process. The client is told."""
        session = self.session
        if session is not None:
            session.end(reason, farewell=True)
        self.stop(reason)

    def stop(self, reason: str) -> None:
        """The process should end. The first reason stays."""
        with self._changed:
            if self.done.is_set():
                return
            self.reason = reason
            self.status.reason(reason)
            self.done.set()
            self._awake.set()
            self._changed.notify_all()
        self.telling.ended(reason)
        self._end_told.set()

    def wait_done(self) -> str:
        """Wait until there is a reason to end, and give it; ends a session whose time is up."""
        while not self.done.is_set():
            if self.assignment is None:
                self._awake.wait()
            self._awake.clear()
            if not self.done.wait(TICK_S):
                self.listener.look()
                self._look_at_clocks()
        self._end_told.wait(END_TOLD_S)  # whoever set `done` may not have come to it yet, and the process ends soon
        return self.reason

    def _look_at_clocks(self) -> None:
        """Cases: no client for too long, attached before or not; the session's lifetime; its kernel seconds while a batch runs."""
        assignment, session, now = self.assignment, self.session, time.monotonic()
        self.moves.look(now)
        self.fixity.look(now)
        if session is None and self.moves.destination is not None:
            return  # on its way here
        if assignment is None or (session is not None and session.over):
            return
        parked = now - self._assigned_at if session is None else session.parked_s()
        if parked is not None and parked > assignment.park_grace_s:
            self.telling.is_expired = True
            self.end(f"no client for {assignment.park_grace_s:g} s")
        elif assignment.lifetime_s and now - self._assigned_at > assignment.lifetime_s:
            self.end(f"the session's lifetime of {assignment.lifetime_s:g} s is over")
        elif (
            session is not None
            and assignment.kernel_quota_s
            and session.executor.accounting.kernel_s + self.status.batch_s() > assignment.kernel_quota_s
        ):
            session.out_of_quota()

    def close(self) -> None:
        """Free everything."""
        session = self.session
        if session is not None:
            if not session.over:
                session.end(self.reason)
            session.close()
        if self._lane is not None:
            self._lane.close()
        self._later.close()

    def rehearse(self) -> None:
        """Before a client comes: what its session will do, on a device that is thrown away."""
        spare = self.device.spare()
        if spare is not None:
            rehearse_session(spare, self._impls, self._digests, self.device.describe())

    # -- who may ----------------------------------------------------------------------------------------------------------

    def authenticate(self, context: Any) -> Session:
        """The session that a call's metadata names and proves, opened.

        Raises:
            Refused: NOT_FOUND, UNAUTHENTICATED.
        """
        assignment = self.authenticated_assignment(context)
        session = self.session
        if session is None and self.moves.destination is not None:
            raise Refused("UNAVAILABLE", "The session is on its way to this server, and not all of it is here yet.")
        if session is None:
            self.restoring.wait()
            with self._changed:
                if self.assignment is not assignment or self.done.is_set():
                    raise Refused("NOT_FOUND", f"The session is over: {self.reason or 'its lease was given back'}")
                session = self.session or self._opened(assignment)
        if session.over:
            raise Refused("NOT_FOUND", f"The session is over: {session.over}")
        return session

    def authenticated_assignment(self, context: Any) -> Assignment:
        """The same, not opened."""
        metadata = {key: value for key, value in context.invocation_metadata()}
        name, authorization = metadata.get("cupool-session", ""), metadata.get("authorization", "")
        assignment = self._assignment_of(name)
        if assignment is None:
            raise Refused("NOT_FOUND", "This server has no such session. Acquire one from the pool.")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not _is_token(assignment, token):
            raise Refused(
                "UNAUTHENTICATED",
                "The session token is missing or wrong. Send `authorization: Bearer <session token>`.",
            )
        return assignment

    def _assignment_of(self, name: str) -> Assignment | None:
        """The session of this name. Waits a little for one that is not here: its client may be faster than its assignment."""

        def is_here() -> bool:
            return self.assignment is not None and self.assignment.session == name

        if not is_here():
            with self._changed:
                if self.session is not None or self._early >= MAX_EARLY or not name:
                    return None
                self._early += 1
                try:
                    self._changed.wait_for(lambda: is_here() or self.done.is_set(), EARLY_S)
                finally:
                    self._early -= 1
        return self.assignment if is_here() else None

    # -- its listener -----------------------------------------------------------------------------------------------------

    def serve(self) -> tuple[grpc.Server, str]:
        """Start the data listener; returns it and the endpoint."""
        server, endpoint = self.listener.open()
        self._later.start()
        self._lane = LaneServer()
        return server, endpoint


def _is_token(assignment: Assignment, token: str) -> bool:
    """Whether `token` is the session's; in constant time."""
    return hmac.compare_digest(hashlib.sha256(token.encode()).digest(), assignment.token_sha256)
