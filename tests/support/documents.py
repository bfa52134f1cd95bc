"""Sessions over executors of this process, written down and made again: without a server."""

from __future__ import annotations

from typing import Any

from cupool.apiserver.config import Assignment
from cupool.apiserver.devices.cpu.device import CpuDevice
from cupool.apiserver.document import Incoming, capture
from cupool.apiserver.executor import Executor
from cupool.apiserver.session import Session
from executing import MIB

from cupool.contract.limits import DEFAULT_LIMITS

DIGEST = b"the table's"
LIMIT = 64 * MIB


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
    device = device or CpuDevice(0, LIMIT)

    def open_session(assignment: Any) -> Session:
        return Session(
            assignment, Executor(device, limit, DEFAULT_LIMITS), DEFAULT_LIMITS, (DIGEST, {}), dict, lambda reason: None
        )

    return Incoming(device, DIGEST, limit, open_session)


def restored(document: bytes, buffers: list[tuple[Any, bytes]], epoch: int = 2) -> Session:
    """The session again, on another device."""
    coming = incoming()
    for piece, data in buffers:
        coming.begin(piece)[:] = memoryview(data)
    session: Session = coming.finish(document, Assignment("s", b"", epoch, LIMIT))
    return session
