"""The lane: a ring of slots in shared memory that carries bulk bytes between a client and a server on one host.

Shared by both ends, which never import each other: the hello, the messages, the segment and its checks.

A connection carries one direction, so that uploads never queue behind downloads; a client that does both opens two. It starts with

    client   HELLO, then `extra` bytes: session id, a zero byte, session token (of a MOVE: the move's)
    server   WELCOME (slot = slots, length = bytes of a slot) with the segment's descriptor as ancillary data; or REFUSED and a text

The segment is a memfd that the server makes, fills to its size and seals against shrinking and growing: neither end can make the
other fault on it, and it has no name that a killed process could leave behind. Then messages of a fixed size:

    up      client  BEGIN (length = total, offset = 1 asks for RESUME, extra = sequence number, as PutChunk.after_seq)
            server  RESUME (offset = bytes received so far)
            client  FILLED (slot, offset, length)               the slots in turn: 0, 1, ..., slots - 1, 0, ...
            server  FREED (slot); after the last byte it means: received in full
            server  FAILED, then `extra` bytes: a serialised `cupool.v1.Error`
    down    client  READ (offset to start at, length = total that it expects)
            server  FILLED (slot, offset, length); FAILED as above
            client  FREED (slot)
    move    the client is a move's destination, and this server its source; in the slot lies what `MoveBytes` in move.proto says
            server  FILLED (slot, offset = pieces, length)
            server  END                                         of a round
            client  FREED (slot)

Each end trusts nothing that the other says: a slot out of turn, a length beyond a slot, an offset that is not the next one end
the connection. The transfer then goes on over gRPC from the byte where it stopped.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from cupool.contract.limits import MIB

HELLO, WELCOME, REFUSED, BEGIN, RESUME, FILLED, FREED, FAILED, READ, END = range(1, 11)

#: Directions, in HELLO.slot.
UP, DOWN, MOVE = 1, 2, 3

#: First word of a HELLO, in `transfer`: "cupoollane" cut to eight bytes, and the layout's number in `offset`.
MAGIC = int.from_bytes(b"cupoolln", "little")
LAYOUT = 1

#: Few large slots: each costs two messages, and together they should stay in the processors' caches. Measured: 4 x 2 MiB moves 5 %
#: more than 8 x 1 MiB, 16 x 256 KiB 15 % less, 32 x 1 MiB 8 % less.
SLOTS = 4
SLOT_BYTES = 2 * MIB
#: Of a move: more, because neither end is waited for by a program, and each sleeps and wakes beside everything else that runs.
MOVE_SLOTS = 8
#: What a client accepts from a server, so that a hostile one cannot make it map the whole memory.
MAX_SEGMENT_BYTES = 256 * MIB
#: Longest session id and token, or error, behind a message.
MAX_EXTRA_BYTES = 64 << 10

_MESSAGE = struct.Struct("<IIQQQQ")
MESSAGE_BYTES = _MESSAGE.size


class LaneBroken(Exception):
    """The other end closed the lane or broke its rules. The transfer goes on over gRPC."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a lane. What each field means depends on `kind`: see the module's text."""

    kind: int
    slot: int = 0
    transfer: int = 0
    offset: int = 0
    length: int = 0
    extra: int = 0

    def pack(self) -> bytes:
        return _MESSAGE.pack(self.kind, self.slot, self.transfer, self.offset, self.length, self.extra)

    @classmethod
    def unpack(cls, data: bytes) -> Message:
        return cls(*_MESSAGE.unpack(data))


class Wire:
    """A connected unix socket that speaks messages. Not for several threads at once.

    Attributes:
        patience: called whenever nothing came for a second; raises to give up.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.patience: Any = None
        self._pending = bytearray()
        sock.settimeout(1.0)

    def send(self, message: Message, tail: bytes = b"") -> None:
        self._send(message.pack() + tail)

    def _send(self, data: bytes) -> None:
        # A message is 40 bytes and at most a ring's worth is under way, so a full socket buffer means a peer that stopped reading.
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view, socket.MSG_NOSIGNAL) :]
            except TimeoutError:
                self._idle()
            except OSError as error:
                raise LaneBroken(f"sending failed: {error}") from error

    def receive(self) -> Message:
        """The next message. Raises LaneBroken at the end of the connection."""
        return Message.unpack(self.receive_exactly(MESSAGE_BYTES))

    def receive_exactly(self, size: int) -> bytes:
        while len(self._pending) < size:
            try:
                data = self.sock.recv(max(4096, size - len(self._pending)))
            except TimeoutError:
                self._idle()
                continue
            except OSError as error:
                raise LaneBroken(f"receiving failed: {error}") from error
            if not data:
                raise LaneBroken("the other end closed the lane")
            self._pending += data
        taken = bytes(self._pending[:size])
        del self._pending[:size]
        return taken

    def receive_tail(self, message: Message) -> bytes:
        """The `extra` bytes that follow a FAILED or REFUSED."""
        if message.extra > MAX_EXTRA_BYTES:
            raise LaneBroken(f"a text of {message.extra} bytes")
        return self.receive_exactly(message.extra)

    def _idle(self) -> None:
        if self.patience is not None:
            self.patience()

    def close(self) -> None:
        self.sock.close()


class Ring:
    """The mapped segment and whose turn it is. `slots[i]` is a uint8 array over slot i, of shape (slot_bytes,)."""

    def __init__(self, fd: int, slots: int, slot_bytes: int) -> None:
        self.slot_bytes = slot_bytes
        self._map = mmap.mmap(fd, slots * slot_bytes)
        whole = np.frombuffer(self._map, np.uint8)
        self.slots = [whole[i * slot_bytes : (i + 1) * slot_bytes] for i in range(slots)]

    def __len__(self) -> int:
        return len(self.slots)

    def close(self) -> None:
        """Unmap. Views that somebody still holds keep the mapping alive until they die."""
        self.slots = []
        try:
            self._map.close()
        except BufferError:  # a view lives on, in a traceback for instance: the mapping goes with it
            del self._map


def create_segment(slots: int = SLOTS, slot_bytes: int = SLOT_BYTES) -> int:
    """A sealed memfd of `slots * slot_bytes` bytes. The caller owns the descriptor.

    Raises:
        OSError: no space, not allowed, or a system without memfd.
    """
    if not hasattr(os, "memfd_create"):
        raise OSError("this system has no memfd_create")
    fd = os.memfd_create("cupool-lane", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        # Allocated now, so that a full memory is an error here and not a SIGBUS at the first touch.
        os.posix_fallocate(fd, 0, slots * slot_bytes)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    except BaseException:
        os.close(fd)
        raise
    return fd


def open_segment(fd: int, slots: int, slot_bytes: int) -> Ring:
    """Map a segment that the other end sent. Raises LaneBroken when it is not what the other end said, or not sealed."""
    size = slots * slot_bytes
    if not (0 < slots <= 1024 and 0 < size <= MAX_SEGMENT_BYTES):
        raise LaneBroken(f"a segment of {slots} slots of {slot_bytes} bytes is out of bounds")
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        actual = os.fstat(fd).st_size
    except OSError as error:
        raise LaneBroken(f"the segment is not a memfd: {error}") from error
    if actual != size or not seals & fcntl.F_SEAL_SHRINK:
        raise LaneBroken(f"the segment has {actual} bytes of {size}, seals {seals:#x}")
    return Ring(fd, slots, slot_bytes)


def address(text: str) -> str:
    """The socket address of `ServerHello.lane`: a path, or "@name" for one in the abstract namespace."""
    return "\0" + text[1:] if text.startswith("@") else text
