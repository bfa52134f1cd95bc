"""The client's end of the shared-memory lane; layout and rules: `cupool/contract/lane.py`.

Boundary: sockets, the segment and copying. `bulk.py` decides what goes here and what goes on over gRPC when the lane breaks.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.errors import error_from_wire
from cupool.contract.lane import (
    BEGIN,
    DOWN,
    FAILED,
    FILLED,
    FREED,
    HELLO,
    LAYOUT,
    MAGIC,
    MESSAGE_BYTES,
    READ,
    REFUSED,
    UP,
    WELCOME,
    LaneBroken,
    Message,
    Ring,
    Wire,
    address,
    open_segment,
)
from cupool.v1 import session_pb2

log = logging.getLogger(__name__)

#: A transfer is cut into at least this many pieces, where it is not tiny, so that both ends copy at the same time.
_PIECES = 8
_SMALLEST_PIECE = 128 << 10

#: (offset, size) -> those bytes as a uint8 array, which is read at once.
Reader = Callable[[int, int], Any]


class TransferFailed(Exception):
    """The server says why there will be no bytes; `error` is the exception it means."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class Connection:
    """One direction of the lane. Not for several threads at once.

    Args:
        where: `ServerHello.lane`.
        direction: UP or DOWN.
        session, token: say who we are.
        patience: called about once a second while nothing comes; raises to give up.

    Raises:
        LaneBroken: nothing listens there, it is another host's, or it refuses.
    """

    def __init__(self, where: str, direction: int, session: str, token: str, patience: Callable[[], None]) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._wire = Wire(sock)
            self._wire.patience = patience
            try:
                sock.connect(address(where))
            except OSError as error:
                raise LaneBroken(f"cannot connect to {where}: {error}") from error
            who = f"{session}\0{token}".encode()
            self._wire.send(Message(HELLO, direction, MAGIC, LAYOUT, extra=len(who)), who)
            self._ring = self._welcome(sock)
        except BaseException:
            sock.close()
            raise
        self._turn = 0

    def _welcome(self, sock: socket.socket) -> Ring:
        waited = 0
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(sock, MESSAGE_BYTES, 1)
                break
            except TimeoutError:
                waited += 1
                if waited >= 5:
                    raise LaneBroken("no welcome within 5 s") from None
            except OSError as error:
                raise LaneBroken(f"no welcome: {error}") from error
        try:
            if len(data) != MESSAGE_BYTES:
                raise LaneBroken("the server closed the lane without a welcome")
            welcome = Message.unpack(data)
            if welcome.kind == REFUSED:
                raise LaneBroken("refused: " + self._wire.receive_tail(welcome).decode("utf-8", "replace"))
            if welcome.kind != WELCOME or not fds:
                raise LaneBroken(f"message {welcome.kind} with {len(fds)} descriptors where a welcome was due")
            return open_segment(fds[0], welcome.slot, welcome.length)
        finally:
            for fd in fds:
                os.close(fd)

    def put(self, transfer: int, total: int, read: Reader, after_seq: int) -> None:
        """Send a whole transfer; returns when the server has all of it.

        Raises:
            LaneBroken: how much arrived is for the server to say (a Put resumes).
            TransferFailed: the server cannot take it.
        """
        wire, ring, turn = self._wire, self._ring, self._turn
        wire.send(Message(BEGIN, transfer=transfer, length=total, extra=after_seq))
        piece = min(ring.slot_bytes, max(_SMALLEST_PIECE, total // _PIECES))
        at, free, oldest = 0, len(ring), turn
        try:
            while at < total or free < len(ring):
                if at < total and free:
                    size = min(piece, total - at)
                    ring.slots[turn][:size] = read(at, size)
                    wire.send(Message(FILLED, turn, transfer, at, size))
                    at += size
                    free -= 1
                    turn = (turn + 1) % len(ring)
                    continue
                freed = self._receive(transfer)
                if freed.kind != FREED or freed.slot != oldest:
                    raise LaneBroken(f"unexpected {freed}")
                free += 1
                oldest = (oldest + 1) % len(ring)
        except LaneBroken:
            self._explain(transfer)
            raise
        self._turn = turn

    def get(self, transfer: int, target: np.ndarray[Any, Any], progress: Callable[[int], None]) -> None:
        """Receive a whole transfer into `target` (uint8, contiguous).

        Args:
            progress: told how many bytes have arrived, after each piece: what a Get need not fetch again.

        Raises:
            LaneBroken, TransferFailed: as `put`.
        """
        wire, ring, turn = self._wire, self._ring, self._turn
        total = target.shape[0]
        wire.send(Message(READ, transfer=transfer, length=total))
        at = 0
        while at < total:
            filled = self._receive(transfer)
            size = filled.length
            if (
                filled.kind != FILLED or filled.slot != turn or filled.transfer != transfer or filled.offset != at
                or not 0 < size <= ring.slot_bytes or size > total - at
            ):  # fmt: skip
                raise LaneBroken(f"unexpected {filled}")
            target[at : at + size] = ring.slots[turn][:size]
            wire.send(Message(FREED, turn, transfer))
            at += size
            progress(at)
            turn = (turn + 1) % len(ring)
        self._turn = turn

    def _receive(self, transfer: int) -> Message:
        message = self._wire.receive()
        if message.kind == FAILED and message.transfer == transfer:
            error = session_pb2.Error.FromString(self._wire.receive_tail(message))
            raise TransferFailed(error_from_wire(error))
        return message

    def _explain(self, transfer: int) -> None:
        """The server may have said why before it stopped reading: prefer that to a broken pipe."""
        try:
            while True:
                self._receive(transfer)
        except LaneBroken:
            return

    def close(self) -> None:
        self._wire.close()
        self._ring.close()


class Lane:
    """The lane to one server, at most a connection for each direction, opened when first needed.

    After a failure it stays off for this server: one line in the log, and everything goes over gRPC.
    """

    def __init__(self, where: str, session: str, token: str, patience: Callable[[], None]) -> None:
        self.where = where
        self._who = (session, token)
        self._patience = patience
        self._connections: dict[int, Connection] = {}
        self.is_usable = bool(where) and hasattr(socket, "recv_fds")
        self._broken = ""

    def put(self, transfer: int, total: int, read: Reader, after_seq: int) -> None:
        """As `Connection.put`. One caller at a time."""
        self._with(UP, lambda c: c.put(transfer, total, read, after_seq))

    def get(self, transfer: int, target: np.ndarray[Any, Any], progress: Callable[[int], None]) -> None:
        """As `Connection.get`. One caller at a time."""
        self._with(DOWN, lambda c: c.get(transfer, target, progress))

    def _with(self, direction: int, work: Callable[[Connection], None]) -> None:
        try:
            connection = self._connections.get(direction)
            if connection is None:
                connection = self._connections[direction] = Connection(
                    self.where, direction, *self._who, self._patience
                )
            work(connection)
        except LaneBroken as broken:
            self.is_usable = False
            self._broken = str(broken)
            self._drop(direction)
            raise
        except BaseException:
            # Interrupted or refused in the middle: slots of this transfer are on their way. The next transfer starts afresh.
            self._drop(direction)
            raise

    def tell(self) -> None:
        """One line that the lane is off, from whoever finds its server alive: a lane that ends with its server is no news."""
        if self._broken:
            log.warning("The shared-memory lane is off, bulk bytes go over gRPC: %s", self._broken)
            self._broken = ""

    def _drop(self, direction: int) -> None:
        connection = self._connections.pop(direction, None)
        if connection is not None:
            connection.close()

    def close(self) -> None:
        self.is_usable = False
        for direction in (UP, DOWN):
            self._drop(direction)
