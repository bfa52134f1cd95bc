"""How a server is told what to do: by orders on its standard input, or by calls of ServerService for people and tools.

Boundary: messages, pipes, the control socket. What an order means is `service.ApiServer`'s.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from concurrent import futures
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from cupool.contract.errors import AGENT_GONE, ProtocolError
from cupool.contract.framing import Unpacker, delimited, write_all
from cupool.contract.limits import OUR_LIMITS, Limits
from cupool.v1 import server_pb2, server_pb2_grpc

from .config import Arrival, Assignment, Config
from .frames import Refused
from .service import ApiServer

log = logging.getLogger(__name__)

#: How long a session is kept without a client where the order does not say.
PARK_GRACE_S = 30.0


def assignment_of(request: Any, config: Config) -> Assignment:
    """What an AssignRequest says.

    Raises:
        Refused: it lacks what no session can be without.
    """
    if not request.session or len(request.token_sha256) != 32:
        raise Refused("INVALID_ARGUMENT", "Assign needs a session and the SHA-256 of its token.")
    return Assignment(
        session=request.session,
        token_sha256=request.token_sha256,
        epoch=request.epoch,
        limit_bytes=request.limit_bytes,
        park_grace_s=request.park_grace_ms / 1000 or PARK_GRACE_S,
        kernel_limit_s=request.kernel_limit_ms / 1000 or config.kernel_limit_s,
        tenant=request.tenant,
        request_id=request.request_id,
        kernel_quota_s=request.kernel_quota_s,
        lifetime_s=float(request.lifetime_s),
        allow_offload=request.allow_offload,
        arrival=_arrival_of(request.incoming) if request.incoming.move else None,
        checkpoint=request.incoming.checkpoint,
        checkpoint_of=request.incoming.session,
    )


def _arrival_of(incoming: Any) -> Arrival:
    if incoming.checkpoint or not (incoming.move and incoming.endpoint and incoming.token):
        raise Refused("INVALID_ARGUMENT", "An incoming session needs a move, its source's endpoint and a token.")
    return Arrival(incoming.move, incoming.endpoint, incoming.token, incoming.tls_name, incoming.limit_bytes_a_s)


class Orders:
    """The pipes to the agent: `ServerCommand`s come in, `ServerReport`s go out. The end of the input means that the agent is gone."""

    def __init__(self, server: ApiServer, commands: int, reports: int) -> None:
        """
        Args:
            commands, reports: descriptors; this object's from now on.
        """
        self._server = server
        self._commands = commands
        self._reports = reports
        self._writing = threading.Lock()
        server.telling.report = lambda change: self._send(session=change)
        server.moves.report = lambda report: self._send(move=report)
        server.fixity.report = lambda report: self._send(fixed=report)
        server.telling.report_checkpoint = lambda report: self._send(checkpoint=report)

    def start(self, endpoint: str) -> None:
        """Tell that the server is warm, and follow orders from now on."""
        ready = server_pb2.ServerReady(endpoint=endpoint, pid=os.getpid())
        ready.fingerprint, ready.op_table_digest = self._server.device.describe().fingerprint, self._server.digest
        self._send(ready=ready)
        threading.Thread(target=self._follow, name="cupool-orders", daemon=True).start()

    def _send(self, **report: Any) -> None:
        data = delimited(server_pb2.ServerReport(**report).SerializeToString())
        with self._writing, contextlib.suppress(BrokenPipeError):  # the agent is gone: the input says so too
            write_all(self._reports, data)

    def _follow(self) -> None:
        unpacker = Unpacker()
        try:
            while data := os.read(self._commands, 65536):
                for message in unpacker.feed(data):
                    self._obey(server_pb2.ServerCommand.FromString(message))
        except (ProtocolError, DecodeError) as error:
            log.error("event=bad-order reason=%r", str(error))
            self._server.end("its agent sent orders that cannot be read")
            return
        self._server.end(AGENT_GONE)

    def _obey(self, command: Any) -> None:
        kind, server = command.WhichOneof("kind"), self._server
        if kind == "assign":
            request = command.assign
            try:
                server.assign(assignment_of(request, server.config), Limits.from_wire(request.limits, OUR_LIMITS))
            except Refused as refusal:
                log.error("event=assign-refused session=%s reason=%r", request.session, refusal.sentence)
                change = server_pb2.SessionChange(session=request.session, reason=refusal.sentence)
                change.kind = server_pb2.SessionChange.ENDED
                self._send(session=change)
        elif kind == "unassign":
            try:
                server.unassign(command.unassign.session)
            except Refused as refusal:
                refused = server_pb2.UnassignRefused(session=command.unassign.session, reason=refusal.sentence)
                self._send(unassign_refused=refused)
        elif kind == "checkpoint":
            server.save(command.checkpoint)
        elif kind == "end":
            server.end(command.end.reason or "the pool ended it")
        elif kind == "move_out":
            server.moves.order_out(command.move_out)
        elif kind == "cancel_move":
            server.moves.cancel(command.cancel_move)
        elif kind == "take_back":
            server.moves.take_back(command.take_back)
        else:
            log.warning("event=unknown-order")  # of a newer agent


class ControlService(server_pb2_grpc.ServerServiceServicer):
    """ServerService, for people and tools."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    def Assign(self, request: Any, context: Any) -> Any:
        try:
            self._server.assign(
                assignment_of(request, self._server.config), Limits.from_wire(request.limits, OUR_LIMITS)
            )
        except Refused as refusal:
            context.abort(grpc.StatusCode[refusal.status], refusal.sentence)
        return server_pb2.AssignReply()

    def Unassign(self, request: Any, context: Any) -> Any:
        try:
            self._server.unassign(request.session)
        except Refused as refusal:
            context.abort(grpc.StatusCode[refusal.status], refusal.sentence)
        return server_pb2.UnassignReply()

    def GetStatus(self, request: Any, context: Any) -> Any:
        return status_of(self._server)

    def End(self, request: Any, context: Any) -> Any:
        self._server.end(request.reason or "the pool ended it")
        return server_pb2.EndReply()


def status_of(server: ApiServer) -> Any:
    """A `cupool.v1.ServerStatus`."""
    session, assignment = server.session, server.assignment
    status = server_pb2.ServerStatus(
        server=server.config.server, device=server.device.describe(), running_op=server.status.current()
    )
    if assignment is not None:
        status.session = assignment.session
    if session is not None:
        usage, executor = session.executor.usage(), session.executor
        status.used_bytes, status.peak_bytes, status.handles = usage.used_bytes, usage.peak_bytes, usage.handles
        status.executed_seq, status.executed_commands = executor.executed_seq, executor.executed_commands
        status.failed_commands, status.kernel_s = executor.failed_commands, usage.kernel_s
        status.attached, status.idle_s = session.is_attached, time.monotonic() - session.last_frame_at
    status.state = _state(server)
    return status


def _state(server: ApiServer) -> Any:
    session = server.session
    if server.done.is_set() or (session is not None and session.over):
        return server_pb2.SERVER_STATE_ENDING
    if server.assignment is None:
        return server_pb2.SERVER_STATE_WARM
    if session is not None and session.attached_before and not session.is_attached:
        return server_pb2.SERVER_STATE_PARKED
    return server_pb2.SERVER_STATE_LEASED


def serve_control(server: ApiServer, address: str) -> grpc.Server:
    """Start the control socket's listener."""
    control = grpc.server(futures.ThreadPoolExecutor(4, "cupool-control"), options=[("grpc.so_reuseport", 0)])
    server_pb2_grpc.add_ServerServiceServicer_to_server(ControlService(server), control)
    control.add_insecure_port(address)
    control.start()
    return control
