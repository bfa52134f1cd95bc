"""The small file in which a server says what it is doing and what its session uses. Its agent reads there, too, what killed it.

Layout (little-endian), 640 bytes, mapped by the server; the writer changes a text before its length, so that a reader never
sees text it must not. Numbers are of the moment when the last batch ended; they are written one after the other, so a reader may see
some of one batch and some of the next:

    0   magic   b"cupoolS2"
    8   u64     sequence number of the batch being executed, 0 when idle
    16  f64     seconds on CLOCK_MONOTONIC when that batch started, or when the last one ended
    24  f64     seconds executed by the session
    32  u64     bytes held          40  u64  most bytes held
    48  u64     handles             56  u64  commands executed          64  u64  of which failed
    72  u64     1 while a client is attached
    80  u64     nanoseconds on CLOCK_MONOTONIC when `running` was set, 0 when nothing runs
    88  u32     length of `running`
    92  u32     length of `reason`
    96  128 B   `running`: the op or kernel being executed, UTF-8
    224 352 B   `reason`: why the server ends or ended, UTF-8, one sentence; set before it ends by itself

The code of a tenant may write anything here, and cut the file off: a reader maps nothing, and takes numbers only within bounds.

Boundary: no component, no grpc. The server creates nothing: the agent makes the file and hands over its path.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from dataclasses import dataclass

#: Exit status of a server that a kernel ran out of time in.
KERNEL_TIMEOUT_STATUS = 70

MAGIC = b"cupoolS2"
SIZE_BYTES = 640
#: What is read of a count of bytes or of seconds, at most: sums of many must still be numbers that a message holds.
_MOST, _MOST_S = 1 << 56, 1e12
_ATTACHED_AT, _SINCE_AT, _RUNNING_LEN_AT, _REASON_LEN_AT = 72, 80, 88, 92
_RUNNING_AT, _RUNNING_MAX = 96, 128
_REASON_AT, _REASON_MAX = 224, 352
_HEAD = struct.Struct("<8sQddQQQQQQQII")
_BEGIN = struct.Struct("<Qd")
_END = struct.Struct("<QddQQQQQ")
_U64 = struct.Struct("<Q")
_U32 = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Status:
    """What the file says.

    Attributes:
        seq: the batch being executed, 0 when idle.
        running: the op or kernel being executed.
        running_s: how long it has been running, None when nothing runs.
        reason: why the server ends.
        kernel_s: seconds executed by the session, the batch that runs now included.
        idle_s: seconds since the last batch ended, 0 while one runs.
        used_bytes, peak_bytes, handles, commands, failed: of the session, when its last batch ended.
        is_attached: whether a client is.
    """

    seq: int
    running: str
    running_s: float | None
    reason: str
    kernel_s: float = 0.0
    idle_s: float = 0.0
    used_bytes: int = 0
    peak_bytes: int = 0
    handles: int = 0
    commands: int = 0
    failed: int = 0
    is_attached: bool = False


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
        with open(path, "rb") as file:
            data = file.read(SIZE_BYTES)
    except OSError:
        return None
    return parse(data)


def parse(data: bytes) -> Status | None:
    """The status of a file's contents; None when it is not a status file's."""
    if len(data) < SIZE_BYTES or data[:8] != MAGIC:
        return None
    (_, seq, batch_at, kernel_s, used, peak, handles, commands, failed, attached, since_ns, running_len, reason_len) = (
        _HEAD.unpack_from(data)
    )
    running = data[_RUNNING_AT : _RUNNING_AT + min(running_len, _RUNNING_MAX)].decode("utf-8", "replace")
    reason = data[_REASON_AT : _REASON_AT + min(reason_len, _REASON_MAX)].decode("utf-8", "replace")
    now = time.monotonic()
    past_s = now - batch_at if 0 < batch_at <= now else 0.0  # nor where it is no number
    kernel_s = kernel_s if 0 <= kernel_s < _MOST_S else 0.0
    used, peak, handles, commands, failed = (min(n, _MOST) for n in (used, peak, handles, commands, failed))
    return Status(
        seq,
        running,
        max(now - since_ns / 1e9, 0.0) if since_ns else None,
        reason,
        kernel_s + (past_s if seq else 0.0),
        0.0 if seq else past_s,
        used,
        peak,
        handles,
        commands,
        failed,
        bool(attached),
    )


class StatusReader:
    """The agent's side: the file opened once, read often, and after the server's death. Not mapped: who reads behind the end of a file that
    was cut off is killed."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises OSError, ValueError: no such file, or too short a one."""
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if os.fstat(self._fd).st_size < SIZE_BYTES:
            self.close()
            raise ValueError(f"{os.fspath(path)} is not a status file: it is too short.")

    def read(self) -> Status | None:
        """What the file says now; None: it is none any more."""
        return parse(os.pread(self._fd, SIZE_BYTES, 0))

    def close(self) -> None:
        os.close(self._fd)


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

    def batch_begins(self, seq: int, now: float) -> None:
        """A batch starts. `now`: seconds on CLOCK_MONOTONIC."""
        _BEGIN.pack_into(self._map, 8, seq, now)

    def batch_ended(
        self, now: float, kernel_s: float, used_bytes: int, peak_bytes: int, handles: int, commands: int, failed: int
    ) -> None:
        """The batch has ended, with the session's numbers."""
        _END.pack_into(self._map, 8, 0, now, kernel_s, used_bytes, peak_bytes, handles, commands, failed)

    def batch_s(self) -> float:
        """How long the batch has been running that runs now; 0 when none does."""
        seq, since = _BEGIN.unpack_from(self._map, 8)
        return max(time.monotonic() - since, 0.0) if seq else 0.0

    def attached(self, is_attached: bool) -> None:
        """A client has come, or is gone."""
        _U64.pack_into(self._map, _ATTACHED_AT, int(is_attached))

    def running(self, name: str) -> None:
        """An op or a kernel starts; "" when it has ended."""
        text = name.encode()[:_RUNNING_MAX]
        _U32.pack_into(self._map, _RUNNING_LEN_AT, 0)
        self._map[_RUNNING_AT : _RUNNING_AT + len(text)] = text
        _U64.pack_into(self._map, _SINCE_AT, time.monotonic_ns() if text else 0)
        _U32.pack_into(self._map, _RUNNING_LEN_AT, len(text))

    def reason(self, sentence: str) -> None:
        """Why the server ends. The last one stays."""
        text = sentence.encode()[:_REASON_MAX]
        _U32.pack_into(self._map, _REASON_LEN_AT, 0)
        self._map[_REASON_AT : _REASON_AT + len(text)] = text
        _U32.pack_into(self._map, _REASON_LEN_AT, len(text))

    def current(self) -> str:
        """What runs now."""
        length = min(_U32.unpack_from(self._map, _RUNNING_LEN_AT)[0], _RUNNING_MAX)
        return bytes(self._map[_RUNNING_AT : _RUNNING_AT + length]).decode("utf-8", "replace")

    def running_s(self) -> float | None:
        """How long it has been running, None when nothing does."""
        since_ns = _U64.unpack_from(self._map, _SINCE_AT)[0]
        return (time.monotonic_ns() - since_ns) / 1e9 if since_ns else None

    def close(self) -> None:
        self._map.close()
