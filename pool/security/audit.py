"""The audit log: who did what, when, and what was decided. Append-only JSON lines, each with the hash of the one before.

    audit.record(OPEN, who=..., decision="allow", ...)      must be written before it is done; raises AuditUnavailable when it cannot be
    audit.note(DRAIN, ...)                                  has happened anyway; counted and told later when it cannot be written
    verify(path)                                            whether anything was changed, removed or put in between

A line's hash covers the line and the hash before it, through files: a rotated file's successor begins with the last hash of it.
Lines cut off at the end leave no trace in the file itself, so `head()` is kept elsewhere too (the directory) and given to `verify`.
No token, no array data: only ids.

Boundary: one writer process. Every write is one `write` to a file opened for appending; a line that the disk had no room for is taken
back whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cupool.contract.redaction import redact

_log = logging.getLogger(__name__)

# What a line is about.
OPEN = "open"  # a lease was asked for
END = "end"  # a session is over
KILL = "kill"
QUOTA = "quota"  # one was set, or hit
TOKEN = "token"  # made, revoked, or refused
CORDON = "cordon"
DRAIN = "drain"
MOVE = "move"
ADMIN = "admin"  # other calls of operators, and refused ones
POOL = "pool"  # start, end, how it listens
GAP = "gap"  # lines that could not be written
FILE = "file"  # the first line of every file
KINDS = frozenset({OPEN, END, KILL, QUOTA, TOKEN, CORDON, DRAIN, MOVE, ADMIN, POOL, GAP, FILE})

ALLOW, DENY = "allow", "deny"

#: Fields of a line, in their order; the last is the hash of all before it.
FIELDS = ("seq", "time", "kind", "who", "tenant", "subject", "session", "epoch", "decision", "reason", "prev", "hash")
SCHEMA = 1
FIRST = "0" * 64
_LONGEST_TEXT = 500
#: Rotated files kept beside the current one.
KEEP = 16


class AuditUnavailable(Exception):
    """The line cannot be written, so what it is about must not be done. The text says why."""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a log: how many lines it has had, and the hash of the last."""

    seq: int = 0
    hash: str = FIRST


@dataclass(frozen=True, slots=True)
class Verified:
    """
    Attributes:
        lines: how many were read and are as they were written.
        problem: "" when all is well; else the first thing that is not, with file and line.
        head: of what was read.
    """

    lines: int
    problem: str
    head: Head

    @property
    def is_whole(self) -> bool:
        return not self.problem


class AuditLog:
    """The log at `path`; earlier files lie beside it as <name>.<first seq of it>.

    Args:
        max_bytes: a file that has reached this is put aside.
        keep: how many of those stay.

    Raises:
        AuditUnavailable: the file cannot be opened, or its end cannot be read.
    """

    def __init__(self, path: Path, max_bytes: int = 64 << 20, keep: int = KEEP) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._lock = threading.Lock()
        self._fd = -1
        self._size = 0
        #: Lines that were lost since the last that was written, and why the first of them was.
        self._lost = 0
        self._lost_why = ""
        self._failing = ""
        self._head = Head()
        self._open()

    # ---- writing

    def record(self, kind: str, **fields: Any) -> None:
        """Write a line. See `note` for the fields.

        Raises:
            AuditUnavailable: it could not be written; nothing of it is in the file.
        """
        with self._lock:
            problem = self._append(kind, fields)
        if problem:
            raise AuditUnavailable(
                f"The audit log cannot be written: {problem}. What must be written down is not done until it can be."
            )

    def note(self, kind: str, **fields: Any) -> bool:
        """Write a line about what has happened already; False, and a gap that is told later, when it could not be written.

        Args:
            who: the id of a token, "client", "controller", "agent": never the token.
            tenant, subject, session: ids.
            epoch: of the session.
            decision: "allow", "deny" or "".
            reason: a sentence.
        """
        with self._lock:
            problem = self._append(kind, fields)
            if problem:
                self._lost += 1
                self._lost_why = self._lost_why or problem
        return not problem

    def head(self) -> Head:
        with self._lock:
            return self._head

    @property
    def problem(self) -> str:
        """Why the last line could not be written; "" when it could. For `doctor`, metrics and refusals."""
        return self._failing

    def sync(self) -> None:
        """Have what was written on the disk. After calls of operators; leases do not wait for it."""
        with self._lock, contextlib.suppress(OSError):
            os.fsync(self._fd)

    def close(self) -> None:
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    # ---- parts, under the lock

    def _append(self, kind: str, fields: dict[str, Any]) -> str:
        """Write one line, after one about a gap where there is one. Returns why it could not be."""
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is no kind of the audit log")
        if self._size >= self._max_bytes:
            self._rotate()
        data, head = b"", self._head
        if self._lost:
            gap, head = _line(
                head, GAP, {"who": "controller", "reason": f"{self._lost} lines could not be written: {self._lost_why}"}
            )
            data += gap
        line, head = _line(head, kind, fields)
        data += line
        problem = self._write(data)
        if problem != self._failing:
            _log.log(
                logging.ERROR if problem else logging.WARNING, "event=audit-log problem=%r", problem or "written again"
            )
            self._failing = problem
        if not problem:
            self._head, self._lost, self._lost_why = head, 0, ""
        return problem

    def _write(self, data: bytes) -> str:
        if self._fd < 0:
            return "it is closed"
        try:
            written = os.write(self._fd, data)
            if written == len(data):
                self._size += written
                return ""
            problem = "the disk is full"
        except OSError as error:
            problem = error.strerror or str(error)
        # A part of a line would break the chain for whoever reads it: take it back.
        try:
            os.ftruncate(self._fd, self._size)
        except OSError as error:
            return f"{problem}; and a part of a line stays: {error.strerror}"
        return problem

    def _open(self) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._size = os.fstat(self._fd).st_size
            self._head = self._read_head()
            if not self._size and (problem := self._begin()):
                raise AuditUnavailable(f"The audit log {self._path} cannot be written: {problem}.")
        except OSError as error:
            self.close()
            raise AuditUnavailable(
                f"The audit log {self._path} cannot be opened: {error.strerror}. Check the folder and its rights."
            ) from None
        except AuditUnavailable:
            self.close()
            raise

    def _read_head(self) -> Head:
        """The end of the file, after taking away what a crash in the middle of a write left behind its last newline."""
        if not self._size:
            return self._head_before()
        start = max(0, self._size - 65536)
        tail = os.pread(self._fd, self._size - start, start)
        whole = tail.rfind(b"\n") + 1
        if whole != len(tail):
            os.ftruncate(self._fd, start + whole)
            self._size = start + whole
            self._lost, self._lost_why = 1, "the process ended in the middle of a line"
        lines = tail[:whole].splitlines()
        if not lines:
            return self._head_before()
        try:
            last = json.loads(lines[-1])
            return Head(int(last["seq"]), str(last["hash"]))
        except (ValueError, KeyError, TypeError):
            raise AuditUnavailable(
                f"The audit log {self._path} does not end with a line of it. Move it aside; a new one says so in its first line."
            ) from None

    def _head_before(self) -> Head:
        """The head that the newest file put aside ends with: a crash between putting it aside and beginning the next."""
        older = sorted(rotated(self._path), key=_first_seq)
        if not older:
            return Head()
        last = older[-1].read_bytes().rstrip(b"\n").rpartition(b"\n")[2]
        try:
            found = json.loads(last)
            return Head(int(found["seq"]), str(found["hash"]))
        except (ValueError, KeyError, TypeError):
            return Head()

    def _begin(self) -> str:
        line, head = _line(self._head, FILE, {"who": "controller", "reason": f"cupool audit log, schema {SCHEMA}"})
        problem = self._write(line)
        if not problem:
            self._head = head
        return problem

    def _rotate(self) -> None:
        """Put the file aside and begin the next. When that cannot be, the file grows on."""
        try:
            with open(self._path, "rb") as file:
                first = json.loads(file.readline())["seq"]
            os.fsync(self._fd)
            aside = self._path.with_name(f"{self._path.name}.{first:012d}")
            os.rename(self._path, aside)
            fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.error("event=audit-log problem=%r", f"cannot begin a new file: {error}")
            return
        os.close(self._fd)
        self._fd, self._size = fd, 0
        self._begin()
        for old in sorted(rotated(self._path), key=_first_seq)[: -self._keep]:
            with contextlib.suppress(OSError):
                old.unlink()


def _line(head: Head, kind: str, fields: dict[str, Any]) -> tuple[bytes, Head]:
    unknown = fields.keys() - {"who", "tenant", "subject", "session", "epoch", "decision", "reason"}
    if unknown:
        raise ValueError(f"an audit line has no field {', '.join(sorted(unknown))}")
    line = {
        "seq": head.seq + 1,
        "time": round(time.time(), 3),
        "kind": kind,
        "who": _text(fields.get("who", "")),
        "tenant": _text(fields.get("tenant", "")),
        "subject": _text(fields.get("subject", "")),
        "session": _text(fields.get("session", "")),
        "epoch": int(fields.get("epoch", 0)),
        "decision": _text(fields.get("decision", "")),
        "reason": _text(fields.get("reason", "")),
        "prev": head.hash,
    }
    found = _hash(line)
    line["hash"] = found
    return json.dumps(line, separators=(",", ":")).encode() + b"\n", Head(head.seq + 1, found)


def _text(value: object) -> str:
    """What clients say, made harmless: no secrets, no end."""
    text = str(value)
    return redact(text[: 4 * _LONGEST_TEXT])[:_LONGEST_TEXT] if text else ""


def _hash(line: dict[str, Any]) -> str:
    """Of a line without its hash, in the canonical form of its fields."""
    return hashlib.sha256(
        json.dumps([line.get(name) for name in FIELDS[:-1]], separators=(",", ":")).encode()
    ).hexdigest()


# ---- reading


def rotated(path: Path) -> list[Path]:
    """Files of this log that were put aside."""
    return [p for p in path.parent.glob(f"{path.name}.*") if p.suffix[1:].isdigit()]


def _first_seq(path: Path) -> int:
    return int(path.suffix[1:])


def lines_of(path: Path) -> Iterator[tuple[Path, int, bytes]]:
    """(file, number, line) of the whole log, oldest first."""
    for file in [*sorted(rotated(path), key=_first_seq), path]:
        with open(file, "rb") as reader:
            for number, line in enumerate(reader, 1):
                yield file, number, line


def verify(path: Path, head: Head | None = None) -> Verified:
    """Whether the log is as it was written.

    Args:
        head: what `AuditLog.head` said at some time, kept elsewhere: the log must have had that line. None: what was cut off at the end,
            and what was put aside and removed by age, cannot be told.

    Raises:
        OSError: a file cannot be read.
    """
    found, count, is_first = Head(), 0, True
    met = head is None or head.seq == 0
    for file, number, data in lines_of(path):
        at = f"{file.name} line {number}"
        try:
            line = json.loads(data)
        except ValueError:
            line = None
        if not isinstance(line, dict) or tuple(line) != FIELDS or not data.endswith(b"\n"):
            return Verified(count, f"{at}: it is no line of an audit log", found)
        if line["hash"] != _hash(line):
            return Verified(count, f"{at}: it was changed after it was written", found)
        # What is older than the oldest file that was kept is gone by age.
        if not is_first and (line["prev"] != found.hash or line["seq"] != found.seq + 1):
            return Verified(count, f"{at}: lines before it are missing or were put in another order", found)
        if is_first and line["seq"] == 1 and line["prev"] != FIRST:
            return Verified(count, f"{at}: it is not the beginning that it says", found)
        if number == 1 and line["kind"] != FILE:
            return Verified(count, f"{at}: the beginning of the file is missing", found)
        is_first = False
        found, count = Head(line["seq"], line["hash"]), count + 1
        if head is not None and found.seq == head.seq:
            if found != head:
                return Verified(count, f"{at}: it is another line than was written there", found)
            met = True
    if not met:
        assert head is not None
        return Verified(count, f"the log ends at line {found.seq}, but had {head.seq}: its end was cut off", found)
    return Verified(count, "", found)
