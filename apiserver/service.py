"""The gRPC face of a server: SessionService for the client, ServerService for the agent.

Boundary: metadata, statuses, threads. What a frame means is `session.py`'s.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc

from cupool.contract.limits import DEFAULT_LIMITS, Limits
from cupool.contract.ops import row_hashes, table_digest
from cupool.contract.statusfile import StatusWriter
from cupool.v1 import server_pb2, server_pb2_grpc

from . import bulk
from .config import Assignment, Config
from .devices.base import Device
from .executor import Executor, resolve_table
from .lane import LaneServer
from .session import Refused, Session, parse_frame
from .streams import CallbackStream, QueueStream

log = logging.getLogger(__name__)

#: Calls at once: the attached stream, streams that wind down, bulk transfers.
MAX_CALLS = 24


def server_options(limits: Limits) -> list[tuple[str, Any]]:
    """Channel arguments of the data listener, the settings measured for long-lived streams."""
    # A frame may be as large as the limit says, a chunk a little larger than its data.
    largest = max(limits.frame_bytes, limits.chunk_bytes * 4) + (1 << 16)
    return [
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 3_000),
        ("grpc.http2.ping_timeout_ms", 3_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.max_receive_message_length", largest),
        ("grpc.max_send_message_length", largest),
        ("grpc.max_metadata_size", 16 << 10),
        ("grpc.so_reuseport", 0),
    ]


class ApiServer:
    """One device, one session, in this process. `done` is set when the process should end; `reason` says why."""

    def __init__(self, config: Config, device: Device, status: StatusWriter) -> None:
        self.config = config
        self.device = device
        self.status = status
        self.limits = DEFAULT_LIMITS
        self.done = threading.Event()
        self.reason = ""
        self.session: Session | None = None
        self._lane: LaneServer | None = None
        self._impls = resolve_table(device)
        self._digests = (table_digest(), row_hashes())
        self._assigning = threading.Lock()
        self._started = time.monotonic()

    # -- the session of this server's life --------------------------------------------------------------------------------

    def assign(self, assignment: Assignment, limits: Limits | None = None) -> None:
        """Take the one session.

        Raises:
            Refused: there is one already.
        """
        with self._assigning:
            if self.session is not None:
                if self.session.assignment == assignment:
                    return  # the agent did not see our answer
                raise Refused(
                    "FAILED_PRECONDITION",
                    "This server has, or had, its session. A server serves one session in its life.",
                )
            limit = min(assignment.limit_bytes or self.config.memory_bytes, self.config.memory_bytes)
            limits = limits or self.limits
            executor = Executor(self.device, limit, limits, self.status, self.config.allow_faults, self._impls)
            session = Session(assignment, executor, limits, self._digests, self._hello_fields, self.stop)
            self._lane = LaneServer(
                executor.transfers, lambda name, token: name == assignment.session and _is_token(session, token)
            )
            self.limits = limits
            if assignment.kernel_limit_s > 0:
                Watchdog(self.status, assignment.kernel_limit_s).start()
            self.session = session

    def _hello_fields(self) -> dict[str, Any]:
        info = self.device.describe()
        assert self.session is not None
        info.limit_bytes = self.session.executor.accounting.lease_limit
        return {
            "server": self.config.server,
            "device": info,
            "lane": self._lane.where if self._lane is not None else "",
        }

    def stop(self, reason: str) -> None:
        """The process should end. The first reason stays."""
        if not self.done.is_set():
            self.reason = reason
            self.status.reason(reason)
            self.done.set()

    def wait_done(self) -> str:
        """Wait until there is a reason to end, and give it; ends a session that is parked for too long."""
        while not self.done.wait(0.25):
            session = self.session
            if session is not None and not session.over:
                parked = session.parked_s()
                if parked is not None and parked > session.assignment.park_grace_s:
                    session.end(f"no client for {session.assignment.park_grace_s:g} s")
        return self.reason

    def close(self) -> None:
        """Free everything."""
        session = self.session
        if session is not None:
            if not session.over:
                session.end(self.reason)
            session.close()
        if self._lane is not None:
            self._lane.close()

    # -- who may ----------------------------------------------------------------------------------------------------------

    def authenticate(self, context: Any) -> Session:
        """The session that a call's metadata names and proves.

        Raises:
            Refused: NOT_FOUND, UNAUTHENTICATED.
        """
        metadata = {key: value for key, value in context.invocation_metadata()}
        name, authorization = metadata.get("cupool-session", ""), metadata.get("authorization", "")
        session = self.session
        if session is None or name != session.assignment.session:
            raise Refused("NOT_FOUND", "This server has no such session. Acquire one from the pool.")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not _is_token(session, token):
            raise Refused(
                "UNAUTHENTICATED",
                "The session token is missing or wrong. Send `authorization: Bearer <session token>`.",
            )
        if session.over:
            raise Refused("NOT_FOUND", f"The session is over: {session.over}")
        return session

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

    def _serve(self, frames: Iterator[bytes], context: Any, stream: CallbackStream | QueueStream) -> None:
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
            log.info("event=stream-refused status=%s sentence=%r", status, sentence)
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

    def _read(self, session: Session, frames: Iterator[bytes], stream: CallbackStream | QueueStream) -> None:
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
        for data in frames:
            if not receive(stream, data):
                return

    def put(self, frames: Iterator[bytes], context: Any) -> Iterator[bytes]:
        """SessionService.Put."""
        session = self._authenticated(context)
        return bulk.put(session.executor.transfers, session.epoch, frames, context)

    def get(self, request: bytes, context: Any) -> Iterator[bytes]:
        """SessionService.Get."""
        session = self._authenticated(context)
        return bulk.get(session.executor.transfers, session.epoch, request, context, session.limits.chunk_bytes)

    def _authenticated(self, context: Any) -> Session:
        try:
            return self.authenticate(context)
        except Refused as refusal:
            context.abort(grpc.StatusCode[refusal.status], refusal.sentence)
            raise

    def handlers(self) -> grpc.GenericRpcHandler:
        """SessionService with raw bytes on both sides: frames are checked before they are parsed."""
        return grpc.method_handlers_generic_handler("cupool.v1.SessionService", {
            "Attach": grpc.stream_stream_rpc_method_handler(self.attach),
            "Put": grpc.stream_stream_rpc_method_handler(self.put),
            "Get": grpc.unary_stream_rpc_method_handler(self.get),
        })  # fmt: skip

    def serve(self) -> tuple[grpc.Server, str]:
        """Start the data listener; returns it and the endpoint."""
        server = grpc.server(futures.ThreadPoolExecutor(MAX_CALLS, "cupool-call"), options=server_options(self.limits))
        server.add_generic_rpc_handlers((self.handlers(),))
        port = server.add_insecure_port(self.config.listen)
        server.start()
        if self.config.listen.startswith("unix:"):
            return server, self.config.listen
        return server, f"{self.config.listen.rpartition(':')[0]}:{port}"


def _is_token(session: Session, token: str) -> bool:
    """Whether `token` is the session's; in constant time."""
    return hmac.compare_digest(hashlib.sha256(token.encode()).digest(), session.assignment.token_sha256)


class ControlService(server_pb2_grpc.ServerServiceServicer):
    """ServerService, for the agent."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    def Assign(self, request: Any, context: Any) -> Any:
        if not request.session or len(request.token_sha256) != 32:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Assign needs a session and the SHA-256 of its token.")
        config = self._server.config
        assignment = Assignment(
            request.session, request.token_sha256, request.epoch, request.limit_bytes, (request.park_grace_ms or 30_000) / 1000,
            request.kernel_limit_ms / 1000 or config.kernel_limit_s,
        )  # fmt: skip
        try:
            self._server.assign(assignment, Limits.from_wire(request.limits))
        except Refused as refusal:
            context.abort(grpc.StatusCode[refusal.status], refusal.sentence)
        return server_pb2.AssignReply()

    def GetStatus(self, request: Any, context: Any) -> Any:
        return status_of(self._server)

    def End(self, request: Any, context: Any) -> Any:
        reason = request.reason or "the pool ended it"
        session = self._server.session
        if session is not None:
            session.going_away(reason, 0)
            session.end(reason)
        self._server.stop(reason)
        return server_pb2.EndReply()


def status_of(server: ApiServer) -> Any:
    """A `cupool.v1.ServerStatus`."""
    session = server.session
    status = server_pb2.ServerStatus(
        server=server.config.server, device=server.device.describe(), running_op=server.status.current()
    )
    if session is None:
        status.state = server_pb2.SERVER_STATE_ENDING if server.done.is_set() else server_pb2.SERVER_STATE_WARM
        return status
    usage, executor, parked = session.executor.usage(), session.executor, session.parked_s()
    status.session = session.assignment.session
    status.used_bytes, status.peak_bytes, status.handles = usage.used_bytes, usage.peak_bytes, usage.handles
    status.executed_seq, status.executed_commands = executor.executed_seq, executor.executed_commands
    status.failed_commands, status.kernel_s = executor.failed_commands, usage.kernel_s
    status.attached, status.idle_s = session.is_attached, time.monotonic() - session.last_frame_at
    if session.over or server.done.is_set():
        status.state = server_pb2.SERVER_STATE_ENDING
    else:
        status.state = (
            server_pb2.SERVER_STATE_PARKED
            if parked is not None and session.attached_before
            else server_pb2.SERVER_STATE_LEASED
        )
    return status


def serve_control(server: ApiServer, address: str) -> grpc.Server:
    """Start the agent's listener."""
    control = grpc.server(futures.ThreadPoolExecutor(4, "cupool-control"), options=[("grpc.so_reuseport", 0)])
    server_pb2_grpc.add_ServerServiceServicer_to_server(ControlService(server), control)
    control.add_insecure_port(address)
    control.start()
    return control


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
