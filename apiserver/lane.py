"""The server's end of the shared-memory lane; layout and rules: `cupool/contract/lane.py`.

Boundary: threads, sockets and the segment. What is on its way is `transfers.py`'s, which takes bytes from here as from a Put.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cupool.contract.errors import ProtocolError, error_to_wire
from cupool.contract.lane import (
    BEGIN,
    DOWN,
    FAILED,
    FILLED,
    FREED,
    HELLO,
    LAYOUT,
    MAGIC,
    MAX_EXTRA_BYTES,
    MOVE,
    MOVE_SLOTS,
    READ,
    REFUSED,
    RESUME,
    SLOT_BYTES,
    SLOTS,
    UP,
    WELCOME,
    LaneBroken,
    Message,
    Ring,
    Wire,
    address,
    create_segment,
)
from cupool.contract.malloc import tune_allocator

from .transfers import ExportFailed, TransferEnded, Transfers

log = logging.getLogger(__name__)

#: Connections at once: one for each direction, those of a client that reconnects, and guests that have not said who they are.
MAX_CONNECTIONS = 16
#: A connection that has not said who it is within this time is closed.
HELLO_DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True)
class LaneStatistics:
    """Counts since the start."""

    connections: int
    refused: int
    up_bytes: int
    down_bytes: int


class LaneServer:
    """Listens for the session's client on this host; until the session is open it refuses everybody.

    Args:
        where: "@name" in the abstract namespace, or a path in a private directory. None: a random abstract name, which leaves
            nothing behind however the process ends.

    Attributes:
        where: for `ServerHello.lane`; empty when the lane could not be made.
    """

    def __init__(self, where: str | None = None) -> None:
        #: The session's; None until it is open.
        self._transfers: Transfers | None = None
        self._authorize: Callable[[str, str], bool] = lambda session, token: False
        #: (session id, move token) -> what sends a move's bytes to the destination that has just connected; None: there is no such move
        self.mover: Callable[[str, str], Callable[[Wire, Ring], None] | None] = lambda session, token: None
        self._closed = False
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._accepted = self._refused = self._up = self._down = 0
        self._listener: socket.socket | None = None
        self.where = self._listen(where or f"@cupool-lane-{os.urandom(16).hex()}")

    def open(self, transfers: Transfers, authorize: Callable[[str, str], bool]) -> None:
        """There is a session now.

        Args:
            transfers: the session's.
            authorize: (session id, session token) -> whether they are this session's. Called before anything is allocated.
        """
        self._transfers, self._authorize = transfers, authorize

    def _listen(self, where: str) -> str:
        try:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(address(where))
            self._listener.listen(MAX_CONNECTIONS)
        except (OSError, AttributeError) as error:
            log.warning("No shared-memory lane, bulk bytes go over gRPC: cannot listen at %s: %s", where, error)
            if self._listener is not None:
                self._listener.close()
                self._listener = None
            return ""
        self._start(self._accept, "cupool-lane")
        return where

    def close(self) -> None:
        """End all connections and threads."""
        with self._lock:
            self._closed = True
            sockets = list(self._connections)
            threads = list(self._threads)
        if self._listener is not None:
            sockets.append(self._listener)
        for sock in sockets:
            with contextlib.suppress(OSError):  # not connected any more
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join()
        if self._listener is not None:
            self._listener.close()
            if self.where and not self.where.startswith("@"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.where)

    def statistics(self) -> LaneStatistics:
        return LaneStatistics(self._accepted, self._refused, self._up, self._down)

    # -- connections --------------------------------------------------------------------------------------------------
    def _start(self, target: Callable[..., None], name: str, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name=name, daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def _accept(self) -> None:
        assert self._listener is not None
        while not self._closed:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                if self._closed:
                    return
                time.sleep(0.1)  # out of descriptors: others may close theirs
                continue
            with self._lock:
                full = self._closed or len(self._connections) >= MAX_CONNECTIONS
                if not full:
                    self._connections.add(sock)
            if full:
                self._refused += 1
                sock.close()
                continue
            self._start(self._connection, "cupool-lane-connection", sock)

    def _connection(self, sock: socket.socket) -> None:
        wire = Wire(sock)
        try:
            self._serve(wire)
        except LaneBroken as broken:
            log.debug("lane connection ended: %s", broken)
        except ProtocolError as error:
            log.warning("lane connection refused: %s", str(error))  # not the object: it holds the ring
        except TransferEnded as ended:
            log.debug("lane connection ended: %s", ended)
        finally:
            wire.close()
            with self._lock:
                self._connections.discard(sock)
                self._threads.discard(threading.current_thread())

    def _serve(self, wire: Wire) -> None:
        direction, move = self._greet(wire)
        tune_allocator()
        try:
            slots, slot_bytes = (SLOTS, SLOT_BYTES) if move is None else (MOVE_SLOTS, SLOT_BYTES)
            fd = create_segment(slots, slot_bytes)
        except OSError as error:
            log.warning("No shared-memory lane, bulk bytes go over gRPC: no segment: %s", error)
            self._refuse(wire, f"no segment: {error}")
            return
        try:
            ring = Ring(fd, slots, slot_bytes)
            welcome = Message(WELCOME, slot=slots, length=slot_bytes)
            try:
                socket.send_fds(wire.sock, [welcome.pack()], [fd])
            except OSError as error:
                raise LaneBroken(f"sending the segment failed: {error}") from error
        finally:
            os.close(fd)
        self._accepted += 1
        try:
            if move is not None:
                move(wire, ring)
                return
            turn = 0
            while True:
                turn = (self._upload if direction == UP else self._download)(wire, ring, turn)
        finally:
            ring.close()

    def _greet(self, wire: Wire) -> tuple[int, Callable[[Wire, Ring], None] | None]:
        """Read the hello and check who it is; returns the direction, and of a move what sends its bytes."""
        deadline = time.monotonic() + HELLO_DEADLINE_S

        def patience() -> None:
            if self._closed or time.monotonic() > deadline:
                raise LaneBroken("no hello")

        wire.patience = patience
        hello = wire.receive()
        if hello.kind != HELLO or hello.transfer != MAGIC or hello.slot not in (UP, DOWN, MOVE):
            raise LaneBroken("not a hello")
        if hello.extra > MAX_EXTRA_BYTES:
            raise LaneBroken("a hello out of bounds")
        session, _, token = wire.receive_exactly(hello.extra).decode("utf-8", "replace").partition("\0")
        move = self.mover(session, token) if hello.slot == MOVE else None
        if not (move or (hello.slot != MOVE and self._authorize(session, token))):
            self._refuse(wire, "session or token not known here")
            raise LaneBroken("refused")
        if hello.offset != LAYOUT:
            self._refuse(wire, f"layout {hello.offset}, this server has {LAYOUT}")
            raise LaneBroken("another layout")
        wire.patience = self._patience
        return hello.slot, move

    def _refuse(self, wire: Wire, why: str) -> None:
        self._refused += 1
        text = why.encode()[:MAX_EXTRA_BYTES]
        wire.send(Message(REFUSED, extra=len(text)), text)

    def _patience(self) -> None:
        if self._closed:
            raise LaneBroken("this server closes the lane")

    def _stop(self, wire: Wire) -> Callable[[], bool]:
        """Whether a wait in `transfers` has lost its client."""

        poll = select.poll()
        poll.register(wire.sock, select.POLLIN)

        def stop() -> bool:
            if self._closed:
                return True
            if not poll.poll(0):
                return False
            try:
                return not wire.sock.recv(1, socket.MSG_PEEK)
            except OSError:
                return True

        return stop

    # -- the two directions -------------------------------------------------------------------------------------------
    def _upload(self, wire: Wire, ring: Ring, turn: int) -> int:
        """Receive one transfer. Returns whose turn it is then."""
        begin = wire.receive()
        assert self._transfers is not None
        if begin.kind != BEGIN:
            raise LaneBroken(f"message {begin.kind} where a transfer begins")
        try:
            inbound, ticket = self._transfers.begin(begin.transfer, begin.length, begin.extra, self._stop(wire))
        except (MemoryError, RuntimeError, ValueError) as error:
            self._fail(wire, begin.transfer, error)
        if begin.offset:
            wire.send(Message(RESUME, transfer=begin.transfer, offset=inbound.received))
        while inbound.received < inbound.total:
            filled = wire.receive()
            if (
                filled.kind != FILLED
                or filled.slot != turn
                or filled.transfer != begin.transfer
                or filled.length > ring.slot_bytes
            ):
                raise LaneBroken(f"unexpected {filled}")
            inbound.write(ticket, filled.offset, ring.slots[turn][: filled.length])
            self._up += filled.length
            wire.send(Message(FREED, slot=turn, transfer=begin.transfer))
            turn = (turn + 1) % len(ring)
        return turn

    def _download(self, wire: Wire, ring: Ring, turn: int) -> int:
        """Send one transfer. Returns whose turn it is then."""
        read = wire.receive()
        assert self._transfers is not None
        if read.kind != READ:
            raise LaneBroken(f"message {read.kind} where a transfer begins")
        try:
            out = self._transfers.outbound(read.transfer, self._stop(wire))
            total = len(out)
            if read.length != total or read.offset > total:
                raise ProtocolError(
                    f"transfer {read.transfer} has {total} bytes, asked for {read.length} from {read.offset}"
                )
        except ExportFailed as failed:
            self._fail(wire, read.transfer, failed.error)
        except ProtocolError as error:
            self._fail(wire, read.transfer, error)
        at, free, oldest = read.offset, len(ring), turn
        while at < total or free < len(ring):
            if at < total and free:
                size = min(ring.slot_bytes, total - at)
                with out.lock:
                    ring.slots[turn][:size] = np.frombuffer(out.data, np.uint8, size, at)
                self._down += size
                wire.send(Message(FILLED, turn, read.transfer, at, size))
                at += size
                free -= 1
                turn = (turn + 1) % len(ring)
                continue
            freed = wire.receive()
            if freed.kind != FREED or freed.slot != oldest or free == len(ring):
                raise LaneBroken(f"unexpected {freed}")
            free += 1
            oldest = (oldest + 1) % len(ring)
        return turn

    def _fail(self, wire: Wire, transfer: int, error: BaseException) -> None:
        """Tell why there will be no bytes, and wait until the client hangs up: slots may be on their way already."""
        text = error_to_wire(error).SerializeToString()[:MAX_EXTRA_BYTES]
        wire.send(Message(FAILED, transfer=transfer, extra=len(text)), text)
        while True:
            wire.receive()
