"""The source of one move: copies while batches run, stops at a batch boundary, releases. Decisions are `roles.Source`'s.

Threads: the move's own (everything but what follows), a reader of the destination's words, grpc's generator of frames out, and the lane's
connection, which only lends its socket and ring. The order of what each round says and what its bytes are is the stream's and the lane's;
see `MoveRound` in move.proto.

Boundary: what a session is made of is `document`'s and `tracking`'s; orders and reports are `moves.py`'s.
"""

from __future__ import annotations

import hashlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from google.protobuf.message import DecodeError

from cupool.contract import hosts
from cupool.contract.lane import END, FILLED, FREED, LaneBroken, Message, Ring, Wire
from cupool.contract.limits import MIB
from cupool.contract.malloc import tune_allocator
from cupool.v1 import move_pb2, server_pb2, session_pb2

from . import roles, steps, stream
from .content import DOCUMENT_VERSION, Copying, DocumentError, fixed

if TYPE_CHECKING:
    from ..service import ApiServer

log = logging.getLogger(__name__)

REPORT = server_pb2.MoveReport
#: How often the copy's progress is told.
TELL_S = 0.25
#: How long a move that is over may take to clear up.
CLEARING_S = 2.0
#: How often a wait on the lane looks whether the move is over.
WIRE_S = 0.05
#: Frames that wait to be sent at most, of about a chunk each.
WAITING_FRAMES = 4
CHUNK_BYTES = MIB
#: Buffers that one MoveRound names at most.
ROUND_BUFFERS = 50_000
#: Where the order does not say: the longest stop, and how long the destination may take to come, or the copy may stand still.
MAX_PAUSE_S = 2.0
TIMEOUT_S = 30.0
#: Between two looks whether an open capture has ended.
CAPTURE_S = 0.002


class _Interrupted(Exception):
    """Something has come that ends the move; it is the next event."""


class SourceMove:
    """One move away from this server.

    Attributes:
        order: the `cupool.v1.MoveOut`.
    """

    def __init__(self, server: ApiServer, order: Any, report: Callable[[Any], None]) -> None:
        assert server.session is not None
        self.order = order
        self._server = server
        self._session = server.session
        self._report = report
        self._max_pause_s = order.max_pause_ms / 1000 or MAX_PAUSE_S
        self._timeout_s = order.timeout_ms / 1000 or TIMEOUT_S
        self._machine = roles.Source(self._max_pause_s, order.is_cold)
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._acks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._out: queue.Queue[bytes | None] = queue.Queue(WAITING_FRAMES)
        self._deadline = time.monotonic() + self._timeout_s
        self._late = f"the destination did not come within {self._timeout_s:g} s"
        self._abort = threading.Event()
        self._has_stream = False
        self._lane: tuple[Wire, Ring] | None = None
        self._lane_there = threading.Event()
        self._over = threading.Event()
        self._copying: Copying | None = None
        self._hello: Any = None
        self._is_planned = self._is_stopped = False
        self._stopped_at = 0.0
        self._pause_s = 0.0
        self._wants_copies = False
        self._turn = 0
        self._total = self._copied = self._dirty = 0
        self._told_at = 0.0
        self._thread = threading.Thread(target=self._run, name="cupool-move-out", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def state(self) -> str:
        return self._machine.state

    @property
    def is_over(self) -> bool:
        """Whether another move may begin. One that has told how it ended, and clears up, is waited for: the next order may come at once."""
        return self._over.wait(CLEARING_S if self._machine.is_over else 0.0)

    # -- from other threads ---------------------------------------------------------------------------------------------

    def cancel(self, reason: str) -> None:
        """No move, if it is not too late."""
        self._post(roles.Lost(reason))

    def take_back(self, epoch: int) -> None:
        """The controller's order, after the release. Raises ValueError when that cannot be."""
        self._over.wait(self._timeout_s)
        for instruction in self._machine.on(roles.TakenBack(epoch)):
            if isinstance(instruction, roles.Refuse):
                raise ValueError(f"Move {self.order.move} cannot be taken back: {instruction.reason}.")
            log.info("event=session-taken-back session=%s move=%s epoch=%d", self.order.session, self.order.move, epoch)
            self._session.go_on(epoch)
            self._tell(REPORT.TAKEN_BACK)

    def lend_lane(self, wire: Wire, ring: Ring) -> None:
        """The destination has connected to the lane: in the connection's thread, until the move is over."""
        if self._lane is None:
            self._lane = wire, ring
            self._lane_there.set()
            self._over.wait()

    def pull(self, controls: Iterator[bytes], context: Any) -> Iterator[bytes]:
        """MoveService.Pull, once authenticated: serialised MoveControls in, MoveFrames out. Raises ValueError for a second one."""
        if self._has_stream or self._machine.state != "EXPECTING":
            raise ValueError(f"Move {self.order.move} has its destination, or is over.")
        self._has_stream = True
        if not context.add_callback(lambda: self._post(roles.Lost("the destination broke off"))):
            self._post(roles.Lost("the destination broke off"))
        threading.Thread(target=self._read, args=(controls,), name="cupool-move-read", daemon=True).start()
        while (frame := self._out.get()) is not None:
            yield frame

    def _post(self, event: Any) -> None:
        if isinstance(event, roles.Lost):
            self._abort.set()
        self._events.put(event)

    def _read(self, controls: Iterator[bytes]) -> None:
        """The destination's words."""
        try:
            for data in controls:
                control = move_pb2.MoveControl.FromString(data)
                kind = control.WhichOneof("kind")
                if kind == "hello":
                    self._hello = control.hello
                    self._post(roles.Came(self._misfit(control.hello)))
                elif kind == "ack":
                    self._acks.put(control.ack)
                elif kind == "ready":
                    self._reach("source.ready")
                    self._post(roles.Ready())
                elif kind == "failed":
                    self._post(roles.Lost(f"the destination cannot take it: {control.failed.reason[:500]}"))
        except DecodeError:
            self._post(roles.Lost("the destination sent what is no MoveControl"))
        except Exception as error:  # grpc raises several kinds for a call that is over
            self._post(roles.Lost("the destination broke off"))
            log.debug("event=move-stream-over reason=%r", str(error))
        else:
            self._post(roles.Lost("the destination broke off"))

    def _misfit(self, hello: Any) -> str:
        """Why this destination is none, a clause."""
        if hello.move != self.order.move or hello.epoch != self.order.epoch:
            return f"the destination came for move {hello.move!r} at epoch {hello.epoch}; this is {self.order.move!r} at {self.order.epoch}"
        info = self._server.device.describe()
        digest = self._server.digest
        here = roles.Place(info.fingerprint, info.arena_base, info.arena_bytes, digest, DOCUMENT_VERSION, 0)
        there = roles.Place(
            hello.fingerprint,
            hello.arena_base,
            hello.arena_bytes,
            hello.op_table_digest,
            hello.document_version,
            hello.free_bytes,
        )
        account = self._session.executor.accounting
        return roles.misfit(here, there, account.used + account.raw) or self._fixed()

    def _fixed(self) -> str:
        """Why the session cannot be moved to anywhere; the pool is told, too."""
        reason = fixed(self._session)
        self._server.fixity.found(reason)
        return reason

    # -- the move's thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        tune_allocator()
        try:
            self._reach("source.ordered")
            while not self._machine.is_over:
                for instruction in self._machine.on(self._next()):
                    self._do(instruction)
        except Exception as error:
            # A bug, or a test's wish: the session must not stand still of it.
            log.exception("event=move-failed move=%s", self.order.move)
            for instruction in self._machine.on(roles.Lost(f"the source failed: {error}")):
                self._do(instruction)
        finally:
            self._over.set()
            if self._lane is not None:
                self._lane[0].close()
            self._put_last(None)

    def _next(self) -> Any:
        try:
            return self._events.get(timeout=max(self._deadline - time.monotonic(), 0.0))
        except queue.Empty:
            return roles.Lost(self._late)

    def _do(self, instruction: Any) -> None:
        try:
            self._ACTS[type(instruction)](self, instruction)
        except _Interrupted:
            pass  # the event that did it comes next
        except LaneBroken as broken:
            self._post(roles.Lost(f"the lane to the destination broke: {broken}"))
        except DocumentError as error:
            self._post(roles.Lost(str(error).rstrip(".")))
        except steps.StepFailed as failed:
            self._post(roles.Lost(str(failed)))

    def _reach(self, step: str) -> None:
        steps.reach(self._server.config.move_faults, step)

    def _check(self) -> None:
        """Raises _Interrupted when there is something that ends the move, or its time is up."""
        if self._abort.is_set():
            raise _Interrupted
        if time.monotonic() > self._deadline:
            self._post(roles.Lost(self._late))
            raise _Interrupted

    def _extend(self, seconds: float, late: str) -> None:
        self._deadline, self._late = time.monotonic() + seconds, late

    # -- rounds ---------------------------------------------------------------------------------------------------------

    def _copy(self, instruction: roles.Copy) -> None:
        if instruction.number == 1:
            self._reach("source.came")
            self._still_copying()
            self._look(is_first=True)
            self._plan()
        started = time.monotonic()
        nbytes = self._send_round(instruction.number)
        self._await_round(instruction.number)
        took_s = time.monotonic() - started
        self._reach("source.copied")
        self._look()
        self._post(roles.Copied(nbytes, took_s, self._dirty))

    def _still_copying(self) -> None:
        self._extend(self._timeout_s, f"the copy made no progress for {self._timeout_s:g} s")

    def _look(self, is_first: bool = False) -> None:
        """What has changed, as of a batch boundary."""
        if not self._session.reach_boundary(self._is_interrupted):
            self._interrupt()
        try:
            if is_first:
                self._copying = Copying(self._session)
            assert self._copying is not None
            self._dirty = self._copying.look()
        finally:
            self._session.leave_boundary()

    def _is_interrupted(self) -> bool:
        return self._abort.is_set() or time.monotonic() > self._deadline

    def _interrupt(self) -> None:
        """A boundary was not reached: say why. Raises _Interrupted."""
        if self._session.over:
            self._post(roles.Lost(f"the session is over: {self._session.over}"))
            raise _Interrupted
        self._late = f"a command ran longer than {self._timeout_s:g} s, and a move waits for the end of its batch"
        self._check()
        raise _Interrupted

    def _plan(self) -> None:
        """Tell the destination what comes, and agree on the way of the bytes."""
        assert self._copying is not None
        lane = self._server.lane_for_moves if self._hello.boot_id and self._hello.boot_id == hosts.host_id() else ""
        plan = move_pb2.MovePlan(lane=lane, total_bytes=self._copying.total_bytes, document_version=DOCUMENT_VERSION)
        self._put(move_pb2.MoveFrame(plan=plan).SerializeToString())
        self._is_planned = True
        if not self._ack().lane:
            self._lane = None
        elif not self._lane_there.wait(self._timeout_s):
            raise LaneBroken("the destination said that it was connected and is not")
        if self._lane is not None:
            self._lane[0].sock.settimeout(WIRE_S)
            self._lane[0].patience = self._check
        self._tell(REPORT.COPYING)  # a copy may be too short to be told of while it is made
        self._told_at = time.monotonic()
        self._reach("source.planned")

    def _ack(self) -> Any:
        while True:
            try:
                return self._acks.get(timeout=0.05)
            except queue.Empty:
                self._check()

    def _await_round(self, number: int) -> None:
        while self._ack().round != number:
            pass

    def _send_round(self, number: int) -> int:
        """Send what the last look found; returns the bytes sent."""
        copying = self._copying
        assert copying is not None
        self._total = copying.total_bytes
        for new, gone in copying.announcements(ROUND_BUFFERS):
            buffers = [move_pb2.MoveBuffer(buffer=p.buffer, nbytes=p.nbytes, address=p.address) for p in new]
            self._say_round(number, buffers=buffers, gone=gone)
        self._say_round(number, dirty_bytes=self._dirty, is_announced=True)
        nbytes = 0
        self._wants_copies = copying.wants_copies
        room = self._lane[1].slot_bytes if self._lane is not None else CHUNK_BYTES
        free = len(self._lane[1]) if self._lane is not None else 0
        for chunk in stream.chunks(copying.parts(), room):
            self._check()
            if self._lane is None:
                self._send_frame(chunk)
            else:
                free = self._send_slot(chunk, free)
            nbytes += sum(data.shape[0] for _, _, data in chunk)
            self._copied += sum(data.shape[0] for _, _, data in chunk)
            if not self._is_stopped:
                self._still_copying()
                self._reach("source.copying")
                self._progress()
        if self._lane is not None:
            self._finish_slots(free)
        self._say_round(number, is_sent=True)
        copying.was_sent()
        return nbytes

    def _send_frame(self, chunk: list[stream.Part]) -> None:
        frame = stream.frame(chunk)
        if self._wants_copies:
            for part in stream.parts_of_frame(frame):
                self._copying.sent(*part)  # type: ignore[union-attr]
        self._put(frame)

    def _note_copies(self, count: int, slot: stream.Bytes) -> None:
        for part in stream.parts(count, slot):
            self._copying.sent(*part)  # type: ignore[union-attr]

    def _send_slot(self, chunk: list[stream.Part], free: int) -> int:
        """Copy a chunk into the next slot, when there is one; returns how many are free then."""
        assert self._lane is not None
        wire, ring = self._lane
        while not free:
            free += self._freed()
        slot = self._turn % len(ring)
        length = stream.fill(ring.slots[slot], chunk)
        if self._wants_copies:
            self._note_copies(len(chunk), ring.slots[slot][:length])
        wire.send(Message(FILLED, slot, offset=len(chunk), length=length))
        self._turn += 1
        return free - 1

    def _freed(self) -> int:
        assert self._lane is not None
        message = self._lane[0].receive()
        if message.kind != FREED:
            raise LaneBroken(f"unexpected {message}")
        return 1

    def _finish_slots(self, free: int) -> None:
        assert self._lane is not None
        wire, ring = self._lane
        wire.send(Message(END))
        while free < len(ring):
            free += self._freed()

    def _say_round(self, number: int, **fields: Any) -> None:
        self._put(move_pb2.MoveFrame(round=move_pb2.MoveRound(round=number, **fields)).SerializeToString())

    def _put(self, frame: bytes) -> None:
        """Hand a frame to grpc, which takes it as fast as the link does."""
        while True:
            try:
                self._out.put(frame, timeout=0.05)
                return
            except queue.Full:
                self._check()

    def _put_last(self, frame: bytes | None) -> None:
        """As `_put`, after the move's end: for whoever still listens."""
        try:
            self._out.put(frame, timeout=1.0)
        except queue.Full:
            while not self._out.empty():
                self._out.get_nowait()
            self._out.put(frame)

    # -- the stop -------------------------------------------------------------------------------------------------------

    def _stop(self, instruction: roles.Stop) -> None:
        self._still_copying()
        self._reach("source.stopping")
        session = self._session
        hint = session_pb2.Moved(
            prepare=True, endpoint=self.order.endpoint, epoch=self.order.epoch, tls_name=self.order.tls_name
        )
        hint.executed_seq = session.executor.executed_seq
        session.tell(session_pb2.ServerFrame(moved=hint))
        while True:
            if not session.reach_boundary(self._is_interrupted):
                self._interrupt()
            if not session.executor.captures.by_stream:
                break
            session.leave_boundary()
            self._late = f"a stream capture has been open for {self._timeout_s:g} s"
            self._check()
            self._abort.wait(CAPTURE_S)
        self._is_stopped = True
        self._stopped_at = time.monotonic()
        self._extend(self._max_pause_s, f"the session would have stood still for more than {self._max_pause_s:g} s")
        session.stop()
        if self._copying is None:
            self._extend(3600.0, "an hour has passed")  # a cold move takes as long as it takes
            self._copying = Copying(session)
        self._dirty = self._copying.look()
        self._reach("source.stopped")
        self._tell(REPORT.STOPPED)
        self._post(roles.Boundary(self._dirty))

    def _send_rest(self, instruction: roles.SendRest) -> None:
        copying, session = self._copying, self._session
        assert copying is not None
        if not self._is_planned:
            self._plan()
        if reason := self._fixed():
            raise DocumentError(reason)
        stopped = move_pb2.MoveStop(executed_seq=session.executor.executed_seq)
        self._put(move_pb2.MoveFrame(stop=stopped).SerializeToString())
        self._send_round(self._machine.rounds + 1)
        self._reach("source.rest")
        data = copying.capture()
        digest = hashlib.blake2b(data, digest_size=32).digest()
        for at in range(0, len(data), CHUNK_BYTES):
            last = at + CHUNK_BYTES >= len(data)
            piece = move_pb2.MoveDocument(data=data[at : at + CHUNK_BYTES], last=last, hash=digest if last else b"")
            self._put(move_pb2.MoveFrame(document=piece).SerializeToString())
        self._reach("source.sent")
        # At once: the destination's answer must not find us before it.
        self._machine.on(roles.Sent())

    # -- the end --------------------------------------------------------------------------------------------------------

    def _release(self, instruction: roles.Release) -> None:
        session, order = self._session, self.order
        executed = session.executor.executed_seq
        moved = session_pb2.Moved(
            endpoint=order.endpoint, epoch=order.epoch, executed_seq=executed, tls_name=order.tls_name
        )
        try:
            client = session.depart(moved)
            log.info("event=session-released session=%s move=%s to=%s", order.session, order.move, order.destination)
            self._reach("source.released")
            self._tell(REPORT.RELEASED)
            self._reach("source.reported")
            self._put_last(
                move_pb2.MoveFrame(released=move_pb2.MoveReleased(executed_seq=executed)).SerializeToString()
            )
            self._reach("source.told")
            if client is not None:
                client.send(session_pb2.ServerFrame(executed_seq=executed, moved=moved).SerializeToString())
                client.close("FAILED_PRECONDITION", session.elsewhere().sentence)
            self._reach("source.done")
        finally:
            self._leave()

    def _keep(self, instruction: roles.Keep) -> None:
        # Told first: from the next batch on, a destination that believes itself ready is behind.
        self._tell(REPORT.FAILED, instruction.reason)
        if self._is_stopped:
            self._session.go_on()
        self._leave()
        failed = move_pb2.MoveFailed(reason=instruction.reason)
        if self._has_stream:
            self._put_last(move_pb2.MoveFrame(failed=failed).SerializeToString())
        log.info(
            "event=session-kept session=%s move=%s reason=%r", self.order.session, self.order.move, instruction.reason
        )

    def _leave(self) -> None:
        """Batches run again; of a released session they are refused."""
        copying, self._copying = self._copying, None
        if copying is not None:
            copying.stop()
        if self._is_stopped:
            self._is_stopped = False
            self._pause_s = time.monotonic() - self._stopped_at
            self._session.leave_boundary()

    # -- reports --------------------------------------------------------------------------------------------------------

    def _progress(self) -> None:
        now = time.monotonic()
        if now - self._told_at > TELL_S:
            self._told_at = now
            self._tell(REPORT.COPYING)

    def _tell(self, phase: Any, reason: str = "") -> None:
        order, session = self.order, self._session
        pause_s = time.monotonic() - self._stopped_at if self._is_stopped else self._pause_s
        self._report(
            REPORT(
                session=order.session, move=order.move, phase=phase, reason=reason, total_bytes=self._total,
                copied_bytes=self._copied, dirty_bytes=self._dirty, rounds=self._machine.rounds, pause_ms=pause_s * 1000,
                epoch=session.epoch, executed_seq=session.executor.executed_seq, is_source=True,
            )
        )  # fmt: skip

    _ACTS: ClassVar[dict[type, Callable[[SourceMove, Any], None]]] = {
        roles.Copy: _copy,
        roles.Stop: _stop,
        roles.SendRest: _send_rest,
        roles.Release: _release,
        roles.Keep: _keep,
    }
