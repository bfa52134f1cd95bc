"""A server and its face for the client: SessionService. Its orders come by `control.py`.

Boundary: metadata, statuses, threads, the one session's life. What a frame means is `session.py`'s.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from queue import SimpleQueue
from typing import Any

import grpc

from cupool.contract.limits import BULK_OPTIONS, OUR_LIMITS, Limits
from cupool.contract.ops import row_hashes, table_digest
from cupool.contract.statusfile import StatusWriter
from cupool.v1 import server_pb2

from . import confine, core_stream
from .bulk_calls import GET, PUT, BulkCalls
from .checkpoints.keeper import Keeper, Place
from .checkpoints.restoring import Restoring
from .config import Assignment, Config
from .devices.base import Device
from .doors import server_credentials
from .executor import Executor, resolve_table
from .lane import LaneServer
from .moving.fixity import Fixity
from .moving.moves import Moves
from .rehearsal import rehearse_session
from .session import Refused, Session, parse_frame
from .streams import CallbackStream, QueueStream

log = logging.getLogger(__name__)

#: One way of answering an Attach call.
AttachStream = CallbackStream | QueueStream | core_stream.CoreCall
ATTACH = "/cupool.v1.SessionService/Attach"
#: Calls at once: the attached stream, streams that wind down, bulk transfers.
MAX_CALLS = 24
#: A lease reaches its client while the order to this server is on its way: so long a call waits for its session to be assigned.
EARLY_S = 2.0
#: Calls that wait so at once; they hold a thread each.
MAX_EARLY = 8
#: How often an assigned session's clocks are looked at.
TICK_S = 0.25

CHANGE = server_pb2.SessionChange


def server_options(limits: Limits) -> list[tuple[str, Any]]:
    """Channel arguments of the data listener, the settings measured for long-lived streams."""
    # A frame may be as large as the limit says, a chunk a little larger than its data.
    largest = max(limits.frame_bytes, limits.chunk_bytes * 4) + (1 << 16)
    return [
        ("grpc.keepalive_time_ms", 5_000),  # a client that hangs is noticed after this and the timeout
        ("grpc.keepalive_timeout_ms", 3_000),
        ("grpc.http2.ping_timeout_ms", 3_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.max_receive_message_length", largest),
        ("grpc.max_send_message_length", largest),
        ("grpc.max_metadata_size", 16 << 10),
        ("grpc.so_reuseport", 0),
        *BULK_OPTIONS,
    ]


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


#: How long what a client need not wait for waits for its first answer: see `ApiServer._soon`.
CALM_S = 0.02
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
        #: who is told that the session changed
        self.report: Callable[[Any], None] = lambda change: None
        self.report_checkpoint: Callable[[Any], None] = lambda report: None
        self._lane: LaneServer | None = None
        self._doors: list[core_stream.Door] = []
        #: the threads that calls run in, once it serves
        self.calls: futures.ThreadPoolExecutor | None = None
        self._impls = resolve_table(device)
        self._digests = contract_digests()
        self.bulk = BulkCalls(self.authenticate)
        self.moves = Moves(self)
        self.fixity = Fixity(self)
        #: guards `assignment`, `session` and what follows, up to their being opened
        self._changed = threading.Condition()
        self._assigned_limits = self.limits
        self._assigned_at = 0.0
        self._early = 0
        self._telling = threading.Lock()
        #: See `_soon`; None: the end. The thread is there once the server serves.
        self._later: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._later_thread: threading.Thread | None = None
        #: nobody waits for an answer that the threads of this process could delay
        self._calm = threading.Event()
        #: there may be a session whose clocks are to be looked at, or a reason to end
        self._awake = threading.Event()
        self._told = CHANGE.KIND_UNSPECIFIED
        self._is_assignment_untold = False
        self._is_expired = False
        self.restoring = Restoring(self)

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
                self._tell_assigned()  # in the order in which they came
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
            self._calm.clear()
            self._soon(self._awake.set)
            self._is_assignment_untold = True
            self._soon(self._tell_assigned)
            if assignment.arrival is not None:
                self._tell_assigned()
                self.moves.begin_arrival(assignment)
            elif assignment.checkpoint:
                self._tell_assigned()
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
            self._tell(CHANGE.UNASSIGNED)
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
        )
        executor.allow_offload = assignment.allow_offload
        session = Session(
            assignment, executor, limits, self._digests, self._hello_fields, self.stop, self._presence_changed
        )
        self._lane = self._lane or LaneServer()
        self._lane.open(
            executor.transfers, lambda name, token: name == assignment.session and _is_token(assignment, token)
        )
        self._lane.mover = self.moves.lane
        places = {where: Place(folder, where == "file") for where, folder in self.config.checkpoints.items()}
        session.keeper = Keeper(session, places, functools.partial(self._tell_checkpoint, assignment.session))
        confine.seal()  # all that it listens at is there
        return session

    def limit_of(self, assignment: Assignment) -> int:
        """Bytes that the session may hold here."""
        return min(assignment.limit_bytes or self.config.memory_bytes, self.config.memory_bytes)

    def _watch(self, assignment: Assignment) -> None:
        if assignment.kernel_limit_s > 0:
            self._soon(Watchdog(self.status, assignment.kernel_limit_s).start)

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

    def _tell_checkpoint(self, session: str, where: str, nbytes: int, executed_seq: int, error: str) -> None:
        self.report_checkpoint(
            server_pb2.CheckpointReport(
                session=session, path=where, nbytes=nbytes, executed_seq=executed_seq, error=error
            )
        )

    def save(self, order: Any) -> None:
        """Write what the session is now to a file, in a thread; what becomes of it is reported. `order`: a `cupool.v1.Checkpoint`."""
        session = self.session
        if session is None or session.keeper is None or order.session != session.assignment.session:
            report = server_pb2.CheckpointReport(session=order.session, checkpoint=order.checkpoint)
            report.error = "The session has not begun, or is somewhere else."
            self.report_checkpoint(report)
            return
        arguments = (order, self.report_checkpoint)
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

    # -- what is told -----------------------------------------------------------------------------------------------------

    def _tell_assigned(self) -> None:
        with self._telling:
            self._say_assigned()

    def _say_assigned(self) -> None:
        """Tell that the session was taken, where that has not been told yet: before all that is told of it. With `_telling` held."""
        assignment = self.assignment
        if self._is_assignment_untold and assignment is not None:
            self._is_assignment_untold, self._told = False, CHANGE.ASSIGNED
            self.report(CHANGE(session=assignment.session, kind=CHANGE.ASSIGNED, usage=self.usage()))

    def _tell(self, kind: Any, reason: str = "") -> None:
        """Tell of the session what has changed."""
        assignment = self.assignment
        if assignment is not None:
            with self._telling:
                self._say_assigned()
                session = self.session
                if (
                    kind == CHANGE.ENDED
                    and self._told == CHANGE.ASSIGNED
                    and session is not None
                    and session.attached_before
                ):
                    # Its client was too quick for it to be told.
                    self.report(CHANGE(session=assignment.session, kind=CHANGE.ATTACHED, usage=self.usage()))
                self._told = kind
                change = CHANGE(session=assignment.session, kind=kind, reason=reason, usage=self.usage())
                change.expired = kind == CHANGE.ENDED and self._is_expired
                self.report(change)

    def _presence_changed(self) -> None:
        """A client has come or is gone."""
        self._soon(self._tell_presence)

    def _soon(self, work: Callable[[], None]) -> None:
        """What a client that comes need not wait for: done when its first batch is answered, or it has sent none for CALM_S. Until then
        another thread of this process would take the interpreter from the one that answers."""
        if self._later_thread is not None:
            self._later.put(work)
        else:
            work()

    def _work_later(self) -> None:
        while (work := self._later.get()) is not None:
            self._calm.wait(CALM_S)
            self._calm.set()
            try:
                work()
            except Exception:  # what comes after it is still to be done
                log.exception("event=later-failed")

    def _tell_presence(self) -> None:
        """Tell whether a client is here. Changes may be told in another order than they came: only what is so now is told."""
        session = self.session
        if session is None or session.over:
            return
        with self._telling:
            kind = CHANGE.ATTACHED if session.is_attached else CHANGE.PARKED
            self.status.attached(session.is_attached)
            self._say_assigned()
            if kind != self._told and self._told != CHANGE.ENDED:
                self._told = kind
                assigned = session.assignment
                log.info(
                    "event=session-%s session=%s tenant=%s request=%r",
                    CHANGE.Kind.Name(kind).lower(), assigned.session, assigned.tenant, assigned.request_id,
                )  # fmt: skip
                self.report(CHANGE(session=session.assignment.session, kind=kind, usage=self.usage()))

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
        self._tell(CHANGE.ENDED, reason)
        self._end_told.set()

    def wait_done(self) -> str:
        """Wait until there is a reason to end, and give it; ends a session whose time is up."""
        while not self.done.is_set():
            if self.assignment is None:
                self._awake.wait()
            self._awake.clear()
            if not self.done.wait(TICK_S):
                for door in self._doors:
                    door.look()
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
            self._is_expired = True
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
        if self._later_thread is not None:
            self._later.put(None)
            self._later_thread.join(END_TOLD_S)

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

    # -- SessionService ---------------------------------------------------------------------------------------------------

    def attach(self, frames: Iterator[bytes], context: Any, send: Callable[[bytes | None], None] | None = None) -> Any:
        """SessionService.Attach. With `send` it answers from the threads that have something to say, else through a generator."""
        if send is not None:
            self._serve(frames, context, CallbackStream(context, send))
            return None
        stream = QueueStream(context)
        threading.Thread(target=self._serve, args=(frames, context, stream), name="cupool-attach", daemon=True).start()
        return stream.frames()

    #: Asks grpcio for the send callback; a grpcio that does not know it calls with two arguments.
    attach.experimental_non_blocking = True  # type: ignore[attr-defined]

    def _serve_core(self, call: core_stream.CoreCall) -> None:
        self._serve(call, call, call)

    def _serve(self, frames: Iterator[bytes], context: Any, stream: AttachStream) -> None:
        session: Session | None = None
        status, sentence = "OK", ""
        try:
            session = self.authenticate(context)
            # The reading thread may be busy for long when the connection breaks: parking begins then, not when it looks again.
            lost = functools.partial(session.detached, stream)
            if not context.add_callback(lost):
                lost()
            self._read(session, frames, stream)
        except Refused as refusal:
            status, sentence = refusal.status, refusal.sentence
            # One that names no session is our own rehearsal, or a stranger.
            is_named = any(key == "cupool-session" for key, _ in context.invocation_metadata())
            level = logging.INFO if is_named else logging.DEBUG
            log.log(level, "event=stream-refused status=%s sentence=%r", status, sentence)
        except grpc.RpcError:
            log.debug("event=stream-lost")  # the connection broke: the session is parked
        except Exception:
            log.exception("event=stream-failed")
            status, sentence = "INTERNAL", "The server failed. Its log has the traceback."
            if session is not None:
                session.end("the server failed; its log has the traceback")
        finally:
            if session is not None:
                session.detached(stream)
            stream.close(status, sentence)

    def _read(self, session: Session, frames: Iterator[bytes], stream: AttachStream) -> None:
        """Read a stream to its end."""
        first = next(frames, None)
        if first is None:
            return
        hello = parse_frame(first, session.limits)
        if hello.WhichOneof("kind") != "hello":
            raise Refused("INVALID_ARGUMENT", "The first frame of a stream is a hello.")
        with stream.order:
            session.attach(stream, hello.hello)
        receive = session.receive
        early = next(frames, None)
        if early is None or not receive(stream, early):
            return
        self._calm.set()
        for data in frames:
            if not receive(stream, data):
                return

    def handlers(self) -> grpc.GenericRpcHandler:
        """SessionService with raw bytes on both sides: frames are checked before they are parsed."""
        return grpc.method_handlers_generic_handler("cupool.v1.SessionService", {
            "Attach": grpc.stream_stream_rpc_method_handler(self.attach),
            "Put": grpc.stream_stream_rpc_method_handler(self.bulk.put),
            "Get": grpc.unary_stream_rpc_method_handler(self.bulk.get),
            "Restore": grpc.stream_unary_rpc_method_handler(self.restoring.restore),
        })  # fmt: skip

    def move_handlers(self) -> grpc.GenericRpcHandler:
        """MoveService, raw bytes as above."""
        pull = grpc.stream_stream_rpc_method_handler(self.moves.pull)
        return grpc.method_handlers_generic_handler("cupool.v1.MoveService", {"Pull": pull})

    def serve(self) -> tuple[grpc.Server, str]:
        """Start the data listener; returns it and the endpoint."""
        server, port = self._listen(self.config.transport == "core")
        self._later_thread = threading.Thread(target=self._work_later, name="cupool-later", daemon=True)
        self._later_thread.start()
        self._lane = LaneServer()
        if self.config.listen.startswith("unix:"):
            return server, self.config.listen
        return server, f"{self.config.listen.rpartition(':')[0]}:{port}"

    def _listen(self, wants_core: bool) -> tuple[grpc.Server, int]:
        pool = self.calls = futures.ThreadPoolExecutor(MAX_CALLS, "cupool-call")
        server = grpc.server(pool, options=server_options(self.limits))
        server.add_generic_rpc_handlers((self.handlers(), self.move_handlers()))
        listen, tls = self.config.listen, self.config.tls
        # A unix socket is this machine's own: its traffic is not on a wire.
        if tls is None or listen.startswith(("unix:", "unix-abstract:")):
            port = server.add_insecure_port(listen)
        else:
            port = server.add_secure_port(listen, server_credentials(tls))
        core = core_stream.usable(server) if wants_core else None
        if core is None:
            if wants_core:
                log.warning(
                    "event=core-unknown text='Streams go through the public API of this grpcio, which is slower.'"
                )
            server.start()
            return server, port
        try:
            self._doors = [
                core_stream.Door(core, server, method, pool, serve, ahead)
                for method, serve, ahead in (
                    (ATTACH, self._serve_core, False),
                    (PUT, self.bulk.put_on_core, True),
                    (GET, self.bulk.get_on_core, False),
                )
            ]
            server.start()
            for door in self._doors:
                door.open()
        except (AttributeError, TypeError, ValueError) as error:
            log.warning("event=core-refused reason=%r", str(error))
            self._doors = []
            server.stop(None).wait()
            pool.shutdown(wait=False)
            return self._listen(False)
        return server, port


def _is_token(assignment: Assignment, token: str) -> bool:
    """Whether `token` is the session's; in constant time."""
    return hmac.compare_digest(hashlib.sha256(token.encode()).digest(), assignment.token_sha256)


class Watchdog(threading.Thread):
    """Ends the process when one kernel runs for too long: a kernel cannot be stopped in any other way."""

    def __init__(self, status: StatusWriter, limit_s: float) -> None:
        super().__init__(name="cupool-watchdog", daemon=True)
        self._status = status
        self._limit_s = limit_s

    def run(self) -> None:
        wait = threading.Event()
        while not wait.wait(min(self._limit_s / 4, 0.25)):
            running_s = self._status.running_s()
            if running_s is not None and running_s > self._limit_s:
                end_process(
                    self._status,
                    f"kernel {self._status.current()!r} ran longer than {self._limit_s:g} s and was terminated",
                )


def end_process(status: StatusWriter, reason: str) -> None:
    """End now, with the reason for the agent."""
    status.reason(reason)
    log.error("event=server-ends reason=%r", reason)
    os._exit(KERNEL_TIMEOUT_STATUS)


#: Exit status of a server that a kernel ran out of time in.
KERNEL_TIMEOUT_STATUS = 70
