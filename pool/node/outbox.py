"""Ends of sessions, and turns of moves, that the controller has not said it has: kept in memory and in a file of the agent's folder, so
that no count of a quota and no change of a session's owner is lost when either of the two dies.

A full disk stops nothing: what could not be written is kept in memory, told as ever, and written before what comes next."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError

from cupool.contract.errors import ProtocolError
from cupool.contract.framing import Unpacker, delimited
from cupool.v1 import agent_pb2

_log = logging.getLogger(__name__)


class Outbox:
    """Frames that must not get lost, by ordinal. Ordinals rise across restarts: they begin with the clock."""

    def __init__(self, path: Path | None) -> None:
        """
        Args:
            path: the file; None: memory alone.

        Raises:
            OSError: the file cannot be had.
        """
        self._frames: dict[int, agent_pb2.AgentFrame] = {}
        self._fd = -1
        self._size = 0  #: of whole messages in the file
        self._unwritten: list[int] = []  #: ordinals that the file does not have
        if path is not None:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._read()
        self._ordinal = max([time.time_ns() // 1000, *self._frames])

    def _read(self) -> None:
        with open(os.dup(self._fd), "rb") as file:
            data = file.read()
        # What cannot be read cannot be told: of another version, damaged, or cut off because its writer died. What is whole stays as it
        # is: were it written anew, a full disk would lose it.
        with contextlib.suppress(ProtocolError, DecodeError):
            for message in Unpacker().feed(data):
                frame = agent_pb2.AgentFrame.FromString(message)
                self._frames[frame.ordinal] = frame
                self._size += len(delimited(message))
        os.ftruncate(self._fd, self._size)

    def add(
        self, end: agent_pb2.SessionEnd | None = None, move: agent_pb2.MoveNews | None = None
    ) -> agent_pb2.AgentFrame:
        """Keep an end, or a move's turn; returns the frame that tells it."""
        self._ordinal += 1
        frame = agent_pb2.AgentFrame(
            ordinal=self._ordinal, ended=[end] if end is not None else [], moves=[move] if move is not None else []
        )
        self._frames[self._ordinal] = frame
        if self._fd >= 0:
            self._unwritten.append(self._ordinal)
            self._write()
        return frame

    def _write(self) -> None:
        """Write what the file lacks, as far as that can be done."""
        while self._unwritten:
            data = delimited(self._frames[self._unwritten[0]].SerializeToString())
            try:
                if os.write(self._fd, data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError as error:
                _log.error("event=outbox-not-written frames=%d reason=%r", len(self._unwritten), str(error))
                with contextlib.suppress(OSError):  # a part of a message would hide all behind it
                    os.ftruncate(self._fd, self._size)
                return
            self._size += len(data)
            del self._unwritten[0]

    def received(self, ordinal: int) -> None:
        """The controller has all up to `ordinal`."""
        gone = [o for o in self._frames if o <= ordinal]
        for o in gone:
            del self._frames[o]
        self._unwritten = [o for o in self._unwritten if o > ordinal]
        if gone and not self._frames and self._fd >= 0:
            os.ftruncate(self._fd, 0)
            self._size = 0

    def __iter__(self) -> Iterator[agent_pb2.AgentFrame]:
        """What is kept, oldest first."""
        return iter(list(self._frames.values()))

    def __len__(self) -> int:
        return len(self._frames)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
