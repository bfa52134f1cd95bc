"""Ends of sessions, and turns of moves, that the controller has not said it has: kept in memory and in a file of the agent's folder, so
that no count of a quota and no change of a session's owner is lost when either of the two dies."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError

from cupool.contract.errors import ProtocolError
from cupool.contract.framing import Unpacker, delimited
from cupool.v1 import agent_pb2


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
        if path is not None:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._read()
        self._ordinal = max([time.time_ns() // 1000, *self._frames])

    def _read(self) -> None:
        with open(os.dup(self._fd), "rb") as file:
            data = file.read()
        with contextlib.suppress(
            ProtocolError, DecodeError
        ):  # of another version, or damaged: what cannot be read cannot be told
            for message in Unpacker().feed(data):
                frame = agent_pb2.AgentFrame.FromString(message)
                self._frames[frame.ordinal] = frame
        # The last message may be cut off, because its writer died.
        os.ftruncate(self._fd, 0)
        for frame in self._frames.values():
            os.write(self._fd, delimited(frame.SerializeToString()))

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
            os.write(self._fd, delimited(frame.SerializeToString()))
        return frame

    def received(self, ordinal: int) -> None:
        """The controller has all up to `ordinal`."""
        gone = [o for o in self._frames if o <= ordinal]
        for o in gone:
            del self._frames[o]
        if gone and not self._frames and self._fd >= 0:
            os.ftruncate(self._fd, 0)

    def __iter__(self) -> Iterator[agent_pb2.AgentFrame]:
        """What is kept, oldest first."""
        return iter(list(self._frames.values()))

    def __len__(self) -> int:
        return len(self._frames)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
