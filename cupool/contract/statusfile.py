"""The small file in which a server says what it is doing, and its agent reads what killed it.

Layout (little-endian), 512 bytes, mapped by both sides; the writer changes the text before the length, so that a reader never
sees text it must not:

    0   magic   b"cupoolS1"
    8   u64     sequence number of the batch being executed, 0 when idle
    16  u64     nanoseconds on CLOCK_MONOTONIC when `running` was set, 0 when nothing runs
    24  u32     length of `running`
    28  u32     length of `reason`
    32  128 B   `running`: the op or kernel being executed, UTF-8
    160 352 B   `reason`: why the server ends or ended, UTF-8, one sentence; set before it ends by itself

Boundary: no component, no grpc. The server creates nothing: the agent makes the file and hands over its path.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"cupoolS1"
SIZE_BYTES = 512
_RUNNING_AT, _RUNNING_MAX = 32, 128
_REASON_AT, _REASON_MAX = 160, 352
_HEAD = struct.Struct("<8sQQII")
_U64 = struct.Struct("<Q")
_U32 = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Status:
    """What the file says. `running_s` is how long the op has been running, None when nothing runs."""

    seq: int
    running: str
    running_s: float | None
    reason: str


def create(path: str | os.PathLike[str]) -> None:
    """Make an empty status file that only this user can read."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, MAGIC + bytes(SIZE_BYTES - len(MAGIC)))
    finally:
        os.close(fd)


def read(path: str | os.PathLike[str]) -> Status | None:
    """The status, or None when there is no such file or it is not one."""
    try:
        data = Path(path).read_bytes()
    except OSError:
        return None
    if len(data) < SIZE_BYTES or data[:8] != MAGIC:
        return None
    _, seq, since_ns, running_len, reason_len = _HEAD.unpack_from(data)
    running = data[_RUNNING_AT : _RUNNING_AT + min(running_len, _RUNNING_MAX)].decode("utf-8", "replace")
    reason = data[_REASON_AT : _REASON_AT + min(reason_len, _REASON_MAX)].decode("utf-8", "replace")
    running_s = (time.monotonic_ns() - since_ns) / 1e9 if since_ns else None
    return Status(seq, running, running_s, reason)


class StatusWriter:
    """The server's side. With no path it writes into private memory: callers need no case for it."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        if path is None:
            self._map = mmap.mmap(-1, SIZE_BYTES)
            self._map[:8] = MAGIC
            return
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), SIZE_BYTES)
        if self._map[:8] != MAGIC:
            raise ValueError(
                f"{os.fspath(path)} is not a status file. Make it with cupool.contract.statusfile.create()."
            )

    def batch(self, seq: int) -> None:
        """A batch starts (or, with 0, has ended)."""
        _U64.pack_into(self._map, 8, seq)

    def running(self, name: str) -> None:
        """An op or a kernel starts; "" when it has ended."""
        text = name.encode()[:_RUNNING_MAX]
        _U32.pack_into(self._map, 24, 0)
        self._map[_RUNNING_AT : _RUNNING_AT + len(text)] = text
        _U64.pack_into(self._map, 16, time.monotonic_ns() if text else 0)
        _U32.pack_into(self._map, 24, len(text))

    def reason(self, sentence: str) -> None:
        """Why the server ends. The last one stays."""
        text = sentence.encode()[:_REASON_MAX]
        _U32.pack_into(self._map, 28, 0)
        self._map[_REASON_AT : _REASON_AT + len(text)] = text
        _U32.pack_into(self._map, 28, len(text))

    def current(self) -> str:
        """What runs now."""
        length = min(_U32.unpack_from(self._map, 24)[0], _RUNNING_MAX)
        return bytes(self._map[_RUNNING_AT : _RUNNING_AT + length]).decode("utf-8", "replace")

    def running_s(self) -> float | None:
        """How long it has been running, None when nothing does."""
        since_ns = _U64.unpack_from(self._map, 16)[0]
        return (time.monotonic_ns() - since_ns) / 1e9 if since_ns else None

    def close(self) -> None:
        self._map.close()
