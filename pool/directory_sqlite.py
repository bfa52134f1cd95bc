"""The directory on disk: SQLite in WAL mode, one writer thread, one process.

What is to be written is queued by whoever calls and written in batches; a lease that ended before its batch is never written at all. Until
its batch is, a lease is in a journal beside the file (`directory_journal`), so a killed controller forgets none that it gave. When writing
fails (a full disk, a folder that became read-only) everything queued is kept and tried again each second; `failure` then says why, and the
controller gives no leases. What was committed survives a kill of the process and of the machine.

A file of a newer version is refused and left as it is; an older one gets what it lacks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import json
import logging
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .config import Quota
from .directory import Cordon, Directory, DirectoryError, EndRecord, LeaseRecord, MoveRecord, TenantRecord
from .directory_journal import LeaseJournal
from .security.tokens import TokenRecord

_log = logging.getLogger(__name__)

#: Of the tables. A file that says more is of a newer cupool.
SCHEMA = 2
#: How many ended sessions are remembered one by one; what they used stays counted for ever.
KEPT_ENDS = 100_000
_PRUNE_EACH = 1000
_AGAIN_S = 1.0
#: Before the names of what operators chose, among the keys of `meta`.
_CHOICE = "choice:"
#: How long leases and ends are gathered until they are written.
_GATHER_S = 0.05
#: A statement that can never be written, whatever is tried: a number or text that SQLite does not hold. Another host's word may be one.
_NEVER = (
    OverflowError,
    UnicodeError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
)

_MOVES = """
CREATE TABLE moves (move TEXT PRIMARY KEY, session TEXT NOT NULL, epoch INTEGER NOT NULL, source TEXT NOT NULL, source_node TEXT NOT NULL,
    destination TEXT NOT NULL, destination_node TEXT NOT NULL, step TEXT NOT NULL, is_ready INTEGER NOT NULL,
    source_is_dead INTEGER NOT NULL, destination_is_dead INTEGER NOT NULL, engine TEXT NOT NULL, why TEXT NOT NULL, by TEXT NOT NULL,
    max_pause_ms INTEGER NOT NULL, timeout_ms INTEGER NOT NULL, is_cold INTEGER NOT NULL, asked REAL NOT NULL);
"""
_TABLES = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE tenants (name TEXT PRIMARY KEY, quota TEXT, kernel_s REAL NOT NULL DEFAULT 0,
    leases_given INTEGER NOT NULL DEFAULT 0,
    leases_refused INTEGER NOT NULL DEFAULT 0);
CREATE TABLE tokens (id TEXT PRIMARY KEY, role TEXT NOT NULL, tenant TEXT NOT NULL, sha256 BLOB NOT NULL,
    created REAL NOT NULL, expires REAL NOT NULL, revoked REAL NOT NULL, note TEXT NOT NULL,
    last_used REAL NOT NULL, revoked_reason TEXT NOT NULL);
CREATE TABLE cordons (device TEXT PRIMARY KEY, reason TEXT NOT NULL, at REAL NOT NULL, is_draining INTEGER NOT NULL,
    deadline REAL NOT NULL);
CREATE TABLE leases (session TEXT PRIMARY KEY, tenant TEXT NOT NULL, node TEXT NOT NULL, server TEXT NOT NULL, device TEXT NOT NULL,
    token_sha256 BLOB NOT NULL, function TEXT NOT NULL, memory_bytes INTEGER NOT NULL, priority INTEGER NOT NULL, given REAL NOT NULL,
    request_id TEXT NOT NULL, client_pid INTEGER NOT NULL, lifetime_s INTEGER NOT NULL, epoch INTEGER NOT NULL DEFAULT 1,
    moves INTEGER NOT NULL DEFAULT 0);
CREATE TABLE ends (session TEXT PRIMARY KEY, tenant TEXT NOT NULL, node TEXT NOT NULL, device TEXT NOT NULL, function TEXT NOT NULL,
    token_sha256 BLOB NOT NULL, reason TEXT NOT NULL, lost INTEGER NOT NULL, replayable INTEGER NOT NULL, kernel_s REAL NOT NULL,
    peak_bytes INTEGER NOT NULL,
    ended REAL NOT NULL);
{_MOVES}
PRAGMA user_version = {SCHEMA};
"""
#: What a file of each older version lacks, to be of the next.
_UPGRADES = {
    1: f"""
ALTER TABLE leases ADD COLUMN epoch INTEGER NOT NULL DEFAULT 1;
ALTER TABLE leases ADD COLUMN moves INTEGER NOT NULL DEFAULT 0;
{_MOVES}
PRAGMA user_version = 2;
""",
}

_MOVE_FLAGS = ("is_ready", "source_is_dead", "destination_is_dead", "is_cold")

Params = Sequence[Any]


def _insert(table: str, record: Any, verb: str = "INSERT OR REPLACE") -> tuple[str, Params]:
    """A dataclass as a row of its table."""
    names = [f.name for f in dataclasses.fields(record)]
    marks = ",".join("?" * len(names))
    return f"{verb} INTO {table} ({','.join(names)}) VALUES ({marks})", [getattr(record, n) for n in names]


class SqliteDirectory(Directory):
    """The directory in a file. Its folder belongs to one controller at a time."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            DirectoryError: another controller has it, it is of a newer version, or it is not ours.
        """
        super().__init__()
        self._path = path
        self._failure = ""
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._urgent = threading.Event()  #: somebody waits for what is queued
        self._closing = False
        #: Statements, each with what to call when it is committed.
        self._queue: deque[tuple[str, Params, Callable[[], object] | None]] = deque()
        #: Leases to write, or (None) to remove, by session.
        self._lease_queue: dict[str, LeaseRecord | None] = {}
        self._written: set[str] = set()
        self._ends_pending: dict[str, EndRecord] = {}
        self._ends_written = 0
        self._journal = LeaseJournal(path)
        self._guard = _lock_folder(path)
        try:
            self._open()
        except BaseException:
            if self._guard >= 0:
                os.close(self._guard)
            raise
        self._reader: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._write_all, name="cupool-directory", daemon=True)
        self._thread.start()

    # ---- opening

    def _open(self) -> None:
        try:
            db = _connect(self._path)
            try:
                _prepare(db, self.pool)
                self._load(db)
            finally:
                db.close()
            return
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and self._path.exists():
                self._failure = self._sentence(error)
            else:
                text = f"The directory cannot be made at {self._path}: {error}."
                if self._path.exists():
                    text = (
                        f"{self._path} is no directory of a pool, or is damaged: {error}. Move it away for a new one."
                    )
                raise DirectoryError(text) from error
        _log.error("event=directory-not-writable reason=%r", self._failure)
        try:
            # What can be read is used: the sessions that run count, whether or not this can be written.
            db = sqlite3.connect(f"file:{self._path}?mode=ro&immutable=1", uri=True)
            with contextlib.closing(db):
                self._load(db)
        except sqlite3.DatabaseError as error:
            raise DirectoryError(f"The directory at {self._path} can be neither written nor read: {error}.") from error

    def _load(self, db: sqlite3.Connection) -> None:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            raise DirectoryError(
                f"{self._path} is of a newer cupool (form {version}; this one knows {SCHEMA}). It was left as it is. "
                "Use that cupool, or another folder."
            )
        meta = dict(db.execute("SELECT key, value FROM meta"))
        self.pool, self.restarts = meta.get("pool", self.pool), max(0, int(meta.get("starts", "1")) - 1)
        self._choices = {k.removeprefix(_CHOICE): v for k, v in meta.items() if k.startswith(_CHOICE)}
        for row in db.execute("SELECT name, quota, kernel_s, leases_given, leases_refused FROM tenants"):
            quota = Quota(**json.loads(row[1])) if row[1] else None
            super().set_tenant(TenantRecord(row[0], quota, *row[2:]))
        for record in _records(db, "tokens", TokenRecord):
            super().set_token(record)
        for record in _records(db, "cordons", Cordon):
            super().set_cordon(dataclasses.replace(record, is_draining=bool(record.is_draining)))
        old = () if version >= 2 else ("epoch", "moves")
        for record in _records(db, "leases", LeaseRecord, without=old):
            super().add_lease(record)
            self._written.add(record.session)
        self._load_journal(db)
        if version < SCHEMA:
            return  # it can only be read: it could not be upgraded
        for record in _records(db, "moves", MoveRecord):
            flags = {n: bool(getattr(record, n)) for n in _MOVE_FLAGS}
            super().set_move(dataclasses.replace(record, **flags))

    def _load_journal(self, db: sqlite3.Connection) -> None:
        """Leases that a killed controller gave last: they are written now."""
        try:
            lines = self._journal.load()
        except OSError as error:
            raise DirectoryError(f"{error.filename} cannot be read: {error.strerror}. Make it readable.") from error
        for session, record in lines.items():
            if record is None:
                super().remove_lease(session)
            elif db.execute("SELECT 1 FROM ends WHERE session = ?", (session,)).fetchone() is None:
                super().add_lease(record)
            else:
                continue
            self._lease_queue[session] = record
            self._work.set()

    # ---- Directory

    @property
    def failure(self) -> str:
        return self._failure

    def set_tenant(self, record: TenantRecord) -> None:
        super().set_tenant(record)
        quota = json.dumps(dataclasses.asdict(record.quota)) if record.quota is not None else None
        # What it used is counted by the ends of its sessions, and only there: each of them counts once.
        self._put(
            "INSERT INTO tenants (name, quota, leases_given, leases_refused) VALUES (?,?,?,?) ON CONFLICT (name) DO UPDATE SET "
            "quota = excluded.quota, leases_given = excluded.leases_given, leases_refused = excluded.leases_refused",
            (record.name, quota, record.leases_given, record.leases_refused),
        )

    def set_token(self, record: TokenRecord) -> None:
        super().set_token(record)
        self._put(*_insert("tokens", record))

    def set_choice(self, name: str, value: str) -> None:
        super().set_choice(name, value)
        self._put("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_CHOICE + name, value))

    def set_cordon(self, cordon: Cordon) -> None:
        super().set_cordon(cordon)
        self._put(*_insert("cordons", cordon))

    def remove_cordon(self, device: str) -> None:
        super().remove_cordon(device)
        self._put("DELETE FROM cordons WHERE device = ?", (device,))

    def add_lease(self, record: LeaseRecord) -> None:
        super().add_lease(record)
        with self._lock:
            self._lease_queue[record.session] = record
            self._note(record.session, record)
        self._work.set()

    def set_move(self, record: MoveRecord) -> None:
        super().set_move(record)
        self._put(*_insert("moves", record))

    def remove_move(self, move: str) -> None:
        super().remove_move(move)
        self._put("DELETE FROM moves WHERE move = ?", (move,))

    def remove_lease(self, session: str) -> None:
        super().remove_lease(session)
        self._forget_lease(session)
        with self._lock:
            self._note(session, None)

    def _note(self, session: str, record: LeaseRecord | None) -> None:
        """Into the journal, with the lock held. Where that cannot be done no lease is given, as when the file cannot be written."""
        try:
            self._journal.add(session, record)
        except OSError as error:
            self._say_failed(error)

    def _forget_lease(self, session: str) -> None:
        with self._lock:
            if session in self._written:
                self._lease_queue[session] = None
                # Soon, whether or not anything else is written: to a controller that starts again it would be a lost session.
                self._work.set()
            else:
                self._lease_queue.pop(session, None)

    def add_end(self, record: EndRecord, kept: Callable[[], None] | None = None) -> None:
        super().remove_lease(record.session)
        self._forget_lease(record.session)
        statement, params = _insert("ends", record, "INSERT OR IGNORE")
        with self._lock:
            self._ends_pending[record.session] = record
            self._queue.append((statement, params, None))
            # changes() is 0 where this end had been told before: then nothing is counted.
            self._queue.append(
                (
                    "INSERT INTO tenants (name, kernel_s) SELECT ?, ? WHERE changes() > 0 "
                    "ON CONFLICT (name) DO UPDATE SET kernel_s = kernel_s + excluded.kernel_s",
                    (record.tenant, record.kernel_s),
                    lambda: self._end_written(record.session, kept),
                )
            )
        self._work.set()

    def _end_written(self, session: str, kept: Callable[[], None] | None) -> None:
        with self._lock:
            self._ends_pending.pop(session, None)
        self._ends_written += 1
        if kept is not None:
            kept()

    def end(self, session: str) -> EndRecord | None:
        with self._lock:
            pending = self._ends_pending.get(session)
            if pending is not None:
                return pending
            if self._reader is None:
                try:
                    self._reader = sqlite3.connect(self._path, check_same_thread=False, timeout=1.0)
                except sqlite3.Error as error:
                    _log.warning("event=directory-not-readable reason=%r", str(error))
                    return None
            try:
                found = next(iter(_records(self._reader, "ends", EndRecord, "WHERE session = ?", (session,))), None)
            except sqlite3.Error as error:
                _log.warning("event=directory-not-readable reason=%r", str(error))
                return None
        return (
            dataclasses.replace(found, lost=bool(found.lost), replayable=bool(found.replayable))
            if found is not None
            else None
        )

    def when_kept(self, call: Callable[[], object]) -> None:
        self._put("SELECT 1", (), call)

    def flush(self, limit_s: float = 5.0) -> bool:
        """Wait until all that was queued is written; False: it is not, within the time."""
        done = threading.Event()
        self.when_kept(done.set)
        return done.wait(limit_s)

    def close(self) -> None:
        """Write what is left, where that can be done, and let go."""
        with self._lock:
            self._closing = True
        self._urgent.set()
        self._work.set()
        self._thread.join()
        if self._reader is not None:
            self._reader.close()
        self._journal.close()
        if self._guard >= 0:
            os.close(self._guard)

    # ---- the writer

    def _put(self, statement: str, params: Params, done: Callable[[], object] | None = None) -> None:
        with self._lock:
            self._queue.append((statement, params, done))
        self._urgent.set()
        self._work.set()

    def _take(self) -> list[tuple[str, Params, Callable[[], object] | None]]:
        """What is to be written now. Leases first: an end that follows removes its own."""
        with self._lock:
            leases, self._lease_queue = self._lease_queue, {}
            rows = list(self._queue)
            self._queue.clear()
            batch: list[tuple[str, Params, Callable[[], object] | None]] = []
            for session, lease in leases.items():
                if lease is None:
                    self._written.discard(session)
                    batch.append(("DELETE FROM leases WHERE session = ?", (session,), None))
                else:
                    self._written.add(session)
                    batch.append((*_insert("leases", lease), None))
            self._journal.turn()
        return batch + rows

    def _write_all(self) -> None:
        db: sqlite3.Connection | None = None
        batch: list[tuple[str, Params, Callable[[], object] | None]] = []
        try:
            while True:
                self._work.wait()
                # Most leases are over before they need to be written; those that stay, and ends, are written many at once.
                self._urgent.wait(_GATHER_S)
                self._urgent.clear()
                self._work.clear()
                closing = self._closing
                batch += self._take()
                if not batch and closing:
                    return
                try:
                    if db is None:
                        db = _connect(self._path)
                    _write(db, batch)
                    self._prune(db)
                    with self._lock:
                        self._journal.committed()
                except (sqlite3.Error, OSError) as error:
                    self._failed(db, error)
                    db = None
                    if closing:
                        _log.error("event=directory-lost rows=%d reason=%r", len(batch), self._failure)
                        return
                    self._again.wait(_AGAIN_S)
                    self._work.set()
                    continue
                if self._failure:
                    _log.warning("event=directory-written-again")
                    self._failure = ""
                done, batch = batch, []
                for _, _, call in done:
                    if call is not None:
                        _tell(call)
                if closing:  # once more, at once: what was queued meanwhile
                    self._urgent.set()
                    self._work.set()
        finally:
            if db is not None:
                db.close()

    #: Never set: a wait that nobody ends.
    _again = threading.Event()

    def _say_failed(self, error: Exception) -> None:
        if not self._failure:
            _log.error("event=directory-not-written reason=%r", str(error))
        self._failure = self._sentence(error)

    def _failed(self, db: sqlite3.Connection | None, error: Exception) -> None:
        self._say_failed(error)
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                db.rollback()
            db.close()

    def _prune(self, db: sqlite3.Connection) -> None:
        if self._ends_written >= _PRUNE_EACH:
            self._ends_written = 0
            db.execute("DELETE FROM ends WHERE rowid <= (SELECT max(rowid) FROM ends) - ?", (KEPT_ENDS,))

    def _sentence(self, error: Exception) -> str:
        return f"its directory {self._path} cannot be written ({error}). Free space there, or make it writable."


def _tell(call: Callable[[], object]) -> None:
    """Say that something is kept. Whoever cannot hear it costs the others nothing: this thread writes for all."""
    try:
        call()
    except Exception:
        _log.exception("event=directory-not-told")


def _lock_folder(path: Path) -> int:
    """A lock that goes with this process; -1 in a folder where none can be made."""
    try:
        fd = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES, errno.ENOSPC) and path.exists():
            return -1
        raise DirectoryError(f"The directory cannot be made at {path}: {error.strerror}.") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise DirectoryError(f"Another controller uses {path}. End it first, or use another folder.") from None
    return fd


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=2.0, isolation_level=None)
    try:
        os.chmod(path, 0o600)  # hashes of tokens are in it
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
    except OSError as error:
        db.close()
        raise sqlite3.OperationalError(str(error)) from error
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, pool: str) -> None:
    """Make the tables in a new file; count a start. A newer file is left alone."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA:
        return
    if version == 0:
        if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise sqlite3.DatabaseError("it holds something else")
        db.executescript(f"BEGIN; {_TABLES} COMMIT;")
        db.execute("INSERT INTO meta VALUES ('pool', ?), ('starts', '0')", (pool,))
    for old in range(version or SCHEMA, SCHEMA):
        db.executescript(f"BEGIN; {_UPGRADES[old]} COMMIT;")
    db.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'starts'")


def _write(db: sqlite3.Connection, batch: Sequence[tuple[str, Params, Callable[[], object] | None]]) -> None:
    """All of it or nothing, but for what can never be written: that would keep all that follows from being so."""
    db.execute("BEGIN IMMEDIATE")
    try:
        for statement, params, _ in batch:
            try:
                db.execute(statement, params)
            except _NEVER as error:
                _log.error("event=row-not-written statement=%.60r reason=%r", statement, str(error))
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _records(
    db: sqlite3.Connection,
    table: str,
    cls: type[Any],
    where: str = "",
    params: Params = (),
    without: Sequence[str] = (),
) -> list[Any]:
    """`without`: columns that an older file does not have."""
    names = [f.name for f in dataclasses.fields(cls) if f.name not in without]
    rows = db.execute(f"SELECT {','.join(names)} FROM {table} {where}", params)
    return [cls(**dict(zip(names, row, strict=True))) for row in rows]
