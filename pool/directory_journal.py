"""Leases that are not in the directory's file yet: a line each in a file beside it, written before the lease is given.

A line is in the kernel's hands when `add` returns, so a controller that is killed forgets no lease that it gave, and its answer waits for
no disk: what reaches the disk is the batch that follows (`directory_sqlite`). A machine that loses its power may lose the last lines;
then the hosts tell of those sessions.

Note [Two files]: while a batch is written, new lines go to the other file; the batch's own is emptied when it is committed. Lines carry a
running number, since after a kill both files may have some.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import zlib
from pathlib import Path
from typing import Any

from .directory import LeaseRecord

_FIELDS = tuple(f.name for f in dataclasses.fields(LeaseRecord))


class LeaseJournal:
    """Not locked: its directory does that."""

    def __init__(self, path: Path) -> None:
        """`path`: of the directory's file. Nothing is opened before something is written."""
        self._paths = [path.with_name(f"{path.name}.leases-{n}") for n in (0, 1)]
        self._fds = [-1, -1]
        self._sizes = [0, 0]  #: bytes of whole lines
        self._current = 0
        self._number = 0

    def load(self) -> dict[str, LeaseRecord | None]:
        """What a controller before this one had not written elsewhere, by session; None: it gave that one back. A line that is cut off
        or damaged ends its file: it was never answered for, or the machine lost its power.

        Raises:
            OSError: a file is there and cannot be read.
        """
        lines: list[tuple[int, str, LeaseRecord | None]] = []
        for n, path in enumerate(self._paths):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            for line in data.split(b"\n")[:-1]:
                found = _parsed(line)
                if found is None:
                    break
                lines.append(found)
                self._sizes[n] += len(line) + 1
        lines.sort(key=lambda line: line[0])
        self._number = lines[-1][0] if lines else 0
        return {session: record for _, session, record in lines}

    def add(self, session: str, record: LeaseRecord | None) -> None:
        """Write down a lease, or (None) that it is given back.

        Raises:
            OSError: it cannot be written. What was there stays.
        """
        self._number += 1
        fields: dict[str, Any] = {"n": self._number, "session": session}
        if record is not None:
            fields |= {name: getattr(record, name) for name in _FIELDS}
            fields["token_sha256"] = record.token_sha256.hex()
        text = json.dumps(fields, separators=(",", ":")).encode()
        line = b"%08x %b\n" % (zlib.crc32(text), text)
        n = self._current
        if self._fds[n] < 0:
            fd = os.open(self._paths[n], os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                # What a lost power left behind the whole lines could be whole again behind a new one of the same length.
                os.ftruncate(fd, self._sizes[n])
            except OSError:
                os.close(fd)
                raise
            self._fds[n] = fd
        # At the end of the whole lines: what a full disk left of one is overwritten.
        if os.pwrite(self._fds[n], line, self._sizes[n]) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._paths[n]))
        self._sizes[n] += len(line)

    def turn(self) -> None:
        """A batch begins, with all that was added until now. See Note [Two files]."""
        if not self._sizes[1 - self._current]:
            self._current = 1 - self._current

    def committed(self) -> None:
        """The batch that began with the last `turn` is on disk.

        Raises:
            OSError: its lines cannot be let go.
        """
        n = 1 - self._current
        if self._sizes[n]:
            os.truncate(self._paths[n], 0)
            self._sizes[n] = 0

    def close(self) -> None:
        """Let go of the files; those that hold nothing are removed."""
        for n, fd in enumerate(self._fds):
            if fd >= 0:
                os.close(fd)
                self._fds[n] = -1
            if not self._sizes[n]:
                with contextlib.suppress(OSError):  # an empty file says nothing
                    os.unlink(self._paths[n])


def _parsed(line: bytes) -> tuple[int, str, LeaseRecord | None] | None:
    """Its number, session and lease; None: it is no whole line of ours."""
    crc, _, text = line.partition(b" ")
    if crc != b"%08x" % zlib.crc32(text):
        return None
    fields = json.loads(text)
    number, session = fields.pop("n"), fields["session"]
    if len(fields) == 1:
        return number, session, None
    fields["token_sha256"] = bytes.fromhex(fields["token_sha256"])
    # A newer cupool may have written more.
    return number, session, LeaseRecord(**{name: value for name, value in fields.items() if name in _FIELDS})
