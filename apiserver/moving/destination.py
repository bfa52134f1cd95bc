"""The destination of one move: pulls the session from its source, restores it, opens the door. Decisions are `roles.Destination`'s.

It connects while the process is not sealed yet (no code of a tenant has run in it); everything that could run some comes after the
seal. One thread does all; the lane is read between the frame that announces a round and the one that ends it.

Boundary: what a session is made of is `document`'s; orders and reports are `moves.py`'s; how a session gets its doors is `service.py`'s.
"""

from __future__ import annotations

import hashlib
import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import grpc
from google.protobuf.message import DecodeError

from cupool.contract import hosts
from cupool.contract.errors import CupoolError
from cupool.contract.lane import (
    END,
    FILLED,
    FREED,
    HELLO,
    LAYOUT,
    MAGIC,
    MESSAGE_BYTES,
    MOVE,
    WELCOME,
    LaneBroken,
    Message,
    Ring,
    Wire,
    address,
    open_segment,
)
from cupool.contract.limits import MIB
from cupool.contract.malloc import tune_allocator
from cupool.contract.prefault import Ahead
from cupool.v1 import move_pb2, server_pb2

from ..config import Assignment
from ..document import DocumentError, Incoming
from ..document.checks import VERSION as DOCUMENT_VERSION
from . import roles, steps, stream

if TYPE_CHECKING:
    from ..service import ApiServer

log = logging.getLogger(__name__)

REPORT = server_pb2.MoveReport
PULL = "/cupool.v1.MoveService/Pull"
#: A source that says nothing for so long is given up.
SILENT_S = 30.0
#: So long it may take until it answers at all; its own order may be on the way.
CONNECT_S = 10.0
#: Documents larger than this are refused before they are held.
MAX_DOCUMENT_BYTES = 1 << 30
TELL_S = 0.25
#: How often a wait on the lane looks whether the move is over.
WIRE_S = 0.05
#: Pages of buffers from here on are asked for ahead of their bytes; smaller ones lie close together.
FRESH_BYTES = MIB
#: Who works while a session comes: who copies here, who copies there, and the program, which must not wait for a core behind them.
BUSY = 3
#: How long a destination that refuses waits for the source to have heard it.
PART_S = 2.0
#: What makes a destination say no.
_REFUSALS = (
    DocumentError, CupoolError, MemoryError, steps.StepFailed, ValueError, LookupError, OSError, DecodeError
)  # fmt: skip
_OPTIONS = (
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    # An attempt to connect that goes nowhere is not waited for 20 s, which is what is usual.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.max_receive_message_length", 16 << 20),
)


class DestinationMove:
    """One session that comes to this server."""

    def __init__(self, server: ApiServer, assignment: Assignment, report: Callable[[Any], None]) -> None:
        assert assignment.arrival is not None
        self.arrival = assignment.arrival
        self._server = server
        self._assignment = assignment
        self._report = report
        self._machine = roles.Destination()
        self._lock = threading.Lock()
        self._words: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._incoming: Incoming | None = None
        self._targets: dict[int, stream.Bytes] = {}
        self._pages = Ahead(BUSY)
        self._lane: tuple[Wire, Ring] | None = None
        self._document = bytearray()
        self._call: Any = None
        self._heard_at = time.monotonic()
        self._told_at = 0.0
        self._total = self._copied = self._round = self._executed = 0
        self._paced_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="cupool-move-in", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether a client may come."""
        return self._machine.is_open

    @property
    def state(self) -> str:
        return self._machine.state

    # -- from other threads ---------------------------------------------------------------------------------------------

    def cancel(self, reason: str) -> None:
        """The controller's word. A session that is ready is its source's to cancel, while there is a link to it."""
        if not self.is_open:
            self._on(roles.Refused(reason))
            self._hang_up()
        elif self._call is None:
            self._on(roles.Refused(reason))

    def released(self) -> None:
        """The controller's word that the session is this server's."""
        self._on(roles.Released())

    def claimed(self) -> None:
        """A client is about to be answered."""
        self._reach("destination.claimed")
        log.info("event=session-claimed session=%s move=%s", self._assignment.session, self.arrival.move)
        self._on(roles.Claimed())
        self._reach("destination.owned")

    def look(self, now: float) -> None:
        """Called every now and then: a source that says nothing is given up."""
        silent_s, state = now - self._heard_at, self._machine.state
        if state == "CONNECTING" and silent_s > CONNECT_S:
            self._on(roles.Broken(f"no answer of the source at {self.arrival.endpoint} within {CONNECT_S:g} s"))
            self._hang_up()
        elif state == "COPYING" and silent_s > SILENT_S:
            self._on(roles.Broken(f"the source has said nothing for {SILENT_S:g} s"))
            self._hang_up()

    def _hang_up(self) -> None:
        call, lane = self._call, self._lane
        if call is not None:
            call.cancel()
        if lane is not None:
            try:
                lane[0].sock.shutdown(socket.SHUT_RDWR)
            except OSError as error:
                log.debug("event=lane-over reason=%r", str(error))

    # -- the move's thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        tune_allocator()
        try:
            self._reach("destination.ordered")
            self._pull()
        except grpc.RpcError as error:
            self._on(roles.Broken(f"the link to the source is lost: {error.details() or error.code().name}"))
        except LaneBroken as broken:
            self._on(roles.Broken(f"the lane to the source broke: {broken}"))
        except _REFUSALS as error:
            self._on(roles.Refused(str(error).rstrip(".") or type(error).__name__))
        except Exception as error:
            log.exception("event=move-failed move=%s", self.arrival.move)
            self._on(roles.Refused(f"the destination failed: {error}"))
        finally:
            self._words.put(None)
            self._pages.stop()
            self._call = None
            if self._lane is not None:
                self._lane[0].close()
                self._lane[1].close()

    def _on(self, event: Any) -> None:
        with self._lock:
            for instruction in self._machine.on(event):
                self._ACTS[type(instruction)](self, instruction)

    def _reach(self, step: str) -> None:
        steps.reach(self._server.config.move_faults, step)

    def _pull(self) -> None:
        arrival = self.arrival
        with self._channel() as channel:
            metadata = (
                ("authorization", f"Bearer {arrival.token}"),
                ("cupool-session", self._assignment.session),
                ("cupool-move", arrival.move),
            )
            self._say(hello=self._hello())
            words = iter(self._words.get, None)
            self._call = channel.stream_stream(PULL, None, None)(words, metadata=metadata, wait_for_ready=True)
            self._reach("destination.connected")
            try:
                for frame in self._call:
                    self._heard_at = time.monotonic()
                    if stream.has_bytes(frame):
                        self._store(stream.parts_of_frame(frame))
                    elif self._take(move_pb2.MoveFrame.FromString(frame)):
                        break
            except _REFUSALS as error:
                log.warning("event=move-refused move=%s reason=%r", self.arrival.move, str(error))
                self._part(str(error).rstrip(".") or type(error).__name__)
            finally:
                self._words.put(None)
        if not self.is_open and self._machine.state != "ENDED":
            self._on(roles.Broken("the source ended the copy"))

    def _part(self, reason: str) -> None:
        """Tell the source that it cannot be, and leave when it has answered."""
        self._say(failed=move_pb2.MoveFailed(reason=reason))
        self._words.put(None)
        if self._lane is not None:
            self._lane[0].close()
        patience = threading.Timer(PART_S, self._call.cancel)
        patience.start()
        try:
            for _ in self._call:
                pass
        except grpc.RpcError as error:
            log.debug("event=move-stream-over reason=%r", str(error))
        finally:
            patience.cancel()
        self._on(roles.Refused(reason))

    def _channel(self) -> Any:
        arrival = self.arrival
        if not arrival.tls_name or arrival.endpoint.startswith(("unix:", "unix-abstract:")):
            return grpc.insecure_channel(arrival.endpoint, _OPTIONS)
        authority = self._server.config.authority
        if not authority:
            raise ValueError(
                "the source speaks TLS, and this server has no authority to check its certificate by (--tls-ca)"
            )
        options = (*_OPTIONS, ("grpc.ssl_target_name_override", arrival.tls_name))
        return grpc.secure_channel(arrival.endpoint, grpc.ssl_channel_credentials(authority), options)

    def _hello(self) -> Any:
        server, assignment = self._server, self._assignment
        info = server.device.describe()
        server.device.fixed()  # brings in now what restoring needs, and not during the stop
        limit = server.limit_of(assignment)
        self._incoming = Incoming(server.device, server.digest, limit, server.open_for)
        return move_pb2.MoveHello(
            move=self.arrival.move, epoch=assignment.epoch, fingerprint=info.fingerprint, arena_base=info.arena_base,
            arena_bytes=info.arena_bytes, op_table_digest=server.digest, boot_id=hosts.host_id(),
            document_version=DOCUMENT_VERSION, free_bytes=limit,
        )  # fmt: skip

    def _say(self, **control: Any) -> None:
        self._words.put(move_pb2.MoveControl(**control).SerializeToString())

    # -- frames ---------------------------------------------------------------------------------------------------------

    def _take(self, frame: Any) -> bool:
        """One frame; whether it is the last."""
        kind = frame.WhichOneof("kind")
        handler = self._FRAMES.get(kind)
        if handler is None:
            raise ValueError(f"a MoveFrame of kind {kind}")
        return bool(handler(self, getattr(frame, kind)))

    def _planned(self, plan: Any) -> None:
        self._on(roles.Planned())
        if plan.document_version > DOCUMENT_VERSION:
            raise ValueError(
                f"the source writes documents of version {plan.document_version}, newer than this server reads"
            )
        self._total = plan.total_bytes
        if plan.lane:
            try:
                self._reach("destination.lane")
                self._lane = self._connect_lane(plan.lane)
            except (LaneBroken, OSError, steps.StepFailed) as error:
                log.info("event=move-without-lane move=%s reason=%r", self.arrival.move, str(error))
        self._say(ack=move_pb2.MoveAck(lane=self._lane is not None))
        self._reach("destination.planned")

    def _connect_lane(self, where: str) -> tuple[Wire, Ring]:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            wire = Wire(sock)
            sock.connect(address(where))
            who = f"{self._assignment.session}\0{self.arrival.token}".encode()
            wire.send(Message(HELLO, MOVE, MAGIC, LAYOUT, extra=len(who)), who)
            data, descriptors, _, _ = socket.recv_fds(sock, MESSAGE_BYTES, 1)
            try:
                welcome = Message.unpack(data) if len(data) == MESSAGE_BYTES else None
                if welcome is None or welcome.kind != WELCOME or not descriptors:
                    raise LaneBroken("no welcome")
                ring = open_segment(descriptors[0], welcome.slot, welcome.length)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
        except BaseException:
            sock.close()
            raise
        sock.settimeout(WIRE_S)
        wire.patience = self._patience
        return wire, ring

    def _patience(self) -> None:
        if self._machine.state == "ENDED" or time.monotonic() - self._heard_at > SILENT_S:
            raise LaneBroken("the source says nothing")

    def _round_frame(self, round_: Any) -> None:
        incoming = self._incoming
        assert incoming is not None
        self._round = round_.round
        for buffer in round_.gone:
            self._targets.pop(buffer, None)
            incoming.drop(buffer)
        for buffer in round_.buffers:
            target = self._targets[buffer.buffer] = incoming.begin(buffer)
            if target.shape[0] >= FRESH_BYTES and not buffer.address:
                self._pages.add(target)
        if round_.is_announced and self._lane is not None:
            self._read_lane()
        if round_.is_sent:
            self._say(ack=move_pb2.MoveAck(round=round_.round, received_bytes=self._copied))

    def _read_lane(self) -> None:
        assert self._lane is not None
        wire, ring = self._lane
        while True:
            message = wire.receive()
            self._heard_at = time.monotonic()
            if message.kind == END:
                return
            if message.kind != FILLED or message.slot >= len(ring) or message.length > ring.slot_bytes:
                raise LaneBroken(f"unexpected {message}")
            self._store(stream.parts(message.offset, ring.slots[message.slot][: message.length]))
            wire.send(Message(FREED, message.slot))

    def _store(self, parts: Iterator[stream.Part]) -> None:
        targets, nbytes = self._targets, 0
        for buffer, offset, data in parts:
            target = targets.get(buffer)
            size = data.shape[0]
            if target is None or offset + size > target.shape[0]:
                raise ValueError(f"the source sent {size} bytes at {offset} of buffer {buffer}, which has not so many")
            target[offset : offset + size] = data
            nbytes += size
        self._copied += nbytes
        self._reach("destination.copying")
        now = time.monotonic()
        if now - self._told_at > TELL_S:
            self._told_at = now
            self._tell(REPORT.COPYING)
        if self.arrival.limit_bytes_a_s:
            self._pace(nbytes)

    def _pace(self, nbytes: int) -> None:
        """No faster than the order allows."""
        self._paced_at = max(self._paced_at, time.monotonic() - 0.05) + nbytes / self.arrival.limit_bytes_a_s
        delay = self._paced_at - time.monotonic()
        if delay > 0:
            self._server.done.wait(delay)

    def _stopped(self, stop: Any) -> None:
        self._executed = stop.executed_seq
        self._pages.stop()
        self._reach("destination.stopped")

    def _document_piece(self, piece: Any) -> None:
        if len(self._document) + len(piece.data) > MAX_DOCUMENT_BYTES:
            raise ValueError(f"the document has more than {MAX_DOCUMENT_BYTES} bytes")
        self._document += piece.data
        if piece.last:
            if hashlib.blake2b(self._document, digest_size=32).digest() != piece.hash:
                raise ValueError("the document was damaged on its way: its hash is another")
            self._on(roles.Complete())

    def _was_released(self, released: Any) -> bool:
        self._reach("destination.released")
        self._on(roles.Released())
        return True

    def _failed(self, failed: Any) -> bool:
        self._on(roles.Refused(f"the source goes on: {failed.reason[:500]}"))
        return True

    _FRAMES: ClassVar[dict[str, Callable[[DestinationMove, Any], Any]]] = {
        "plan": _planned,
        "round": _round_frame,
        "stop": _stopped,
        "document": _document_piece,
        "released": _was_released,
        "failed": _failed,
    }

    # -- instructions ---------------------------------------------------------------------------------------------------

    def _restore(self, instruction: roles.Restore) -> None:
        self._reach("destination.restoring")
        incoming = self._incoming
        assert incoming is not None
        self._targets = {}
        session = incoming.finish(bytes(self._document), self._assignment)
        self._document = bytearray()
        session.on_arrival = self.claimed
        self._session = session
        self._reach("destination.ready")
        # In `_on`, which holds the lock: the machine answers in the same breath.
        for told in self._machine.on(roles.Restored()):
            self._ACTS[type(told)](self, told)

    def _say_ready(self, instruction: roles.SayReady) -> None:
        self._server.admit(self._session)
        self._say(ready=move_pb2.MoveReady())
        self._tell(REPORT.READY)
        self._reach("destination.said")

    def _own(self, instruction: roles.Own) -> None:
        self._tell(REPORT.OWNER)

    def _end(self, instruction: roles.End) -> None:
        self._tell(REPORT.FAILED, instruction.reason)
        self._server.stop(f"the move to this server failed: {instruction.reason}")

    def _tell(self, phase: Any, reason: str = "") -> None:
        self._report(
            REPORT(
                session=self._assignment.session, move=self.arrival.move, phase=phase, reason=reason,
                total_bytes=self._total, copied_bytes=self._copied, rounds=self._round, epoch=self._assignment.epoch,
                executed_seq=self._executed, is_source=False,
            )
        )  # fmt: skip

    _ACTS: ClassVar[dict[type, Callable[[DestinationMove, Any], None]]] = {
        roles.Restore: _restore,
        roles.SayReady: _say_ready,
        roles.Own: _own,
        roles.End: _end,
    }
