"""Sessions over executors of this process, written down and made again: without a server."""

from __future__ import annotations

from typing import Any

from cupool.apiserver.config import Assignment
from cupool.apiserver.devices.cpu.arena import Arena
from cupool.apiserver.devices.cpu.device import CpuDevice
from cupool.apiserver.devices.cpu.kernels import Engine
from cupool.apiserver.document import Incoming, capture
from cupool.apiserver.document.checks import digest
from cupool.apiserver.executor import Executor
from cupool.apiserver.session import Session
from cupool.apiserver.tracking import PIECE_BYTES
from executing import MIB

from cupool.contract.limits import DEFAULT_LIMITS

DIGEST = b"the table's"
LIMIT = 64 * MIB


def sealed_bytes(data: bytes) -> bytes:
    """A document's bytes with their hash."""
    return digest(data) + data


def session_over(executor: Any, epoch: int = 1) -> Session:
    """A session of nobody's."""
    assignment = Assignment("s", b"", epoch, LIMIT)
    return Session(assignment, executor, DEFAULT_LIMITS, (DIGEST, {}), dict, lambda reason: None)


def written(session: Any) -> tuple[bytes, list[tuple[Any, bytes]]]:
    """(document, buffers) of a session, in one look."""
    tracker = session.executor.tracking()
    tracker.start()
    pieces = tracker.look().new
    buffers = [(piece, bytes(piece.memory())) for piece in pieces]
    document = capture(session, tracker)
    tracker.stop()
    return document, buffers


def incoming(device: Any = None, limit: int = LIMIT) -> Incoming:
    device = device or small_device()

    def open_session(assignment: Any) -> Session:
        return Session(
            assignment, Executor(device, limit, DEFAULT_LIMITS), DEFAULT_LIMITS, (DIGEST, {}), dict, lambda reason: None
        )

    return Incoming(device, DIGEST, limit, open_session)


def small_device() -> CpuDevice:
    """A device of which a process can have hundreds: their arenas are address space."""
    device = CpuDevice(0, LIMIT)
    device._engine = Engine(device, arena=Arena(None, 1 << 28))
    return device


def restored(document: bytes, buffers: list[tuple[Any, bytes]], epoch: int = 2) -> Session:
    """The session again, on another device."""
    coming = incoming()
    for piece, data in buffers:
        coming.begin(piece)[:] = memoryview(data)
    session: Session = coming.finish(document, Assignment("s", b"", epoch, LIMIT))
    return session


class Mirror:
    """What a mover would have: copies of what looks report, and of nothing else."""

    def __init__(self) -> None:
        self._copies: dict[int, tuple[Any, bytearray]] = {}
        self.reported = 0

    def follow(self, tracker: Any) -> None:
        """Look, and copy what is reported."""
        look = tracker.look()
        self.reported += look.dirty_bytes
        for buffer in look.gone:
            self._copies.pop(buffer, None)
        for piece in look.new:
            memory = piece.memory()
            if memory is not None:
                self._copies[piece.buffer] = (piece, bytearray(memory[:]))
                piece.copied(0, memory[:])
        for buffer, offset, nbytes in look.written:
            piece, copied = self._copies[buffer]
            memory = piece.memory()
            if memory is not None:
                copied[offset : offset + nbytes] = bytes(memory[offset : offset + nbytes])
                if offset % PIECE_BYTES == 0:
                    piece.copied(offset, memory[offset : offset + nbytes])

    @property
    def ids(self) -> set[int]:
        """Of the buffers that there are."""
        return set(self._copies)

    def check(self, after: str = "") -> None:
        """Every copy is what the buffer holds."""
        for piece, copied in self._copies.values():
            memory = piece.memory()
            assert memory is None or bytes(memory[:]) == bytes(copied), (
                f"buffer {piece.buffer} at {piece.address:#x} {after}"
            )

    def buffers(self) -> list[tuple[int, int, int, bytes]]:
        return [(p.buffer, p.nbytes, p.address, bytes(copied)) for p, copied in self._copies.values()]
