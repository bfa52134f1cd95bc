"""The directory on disk: what a controller that starts again finds, and what it does when it cannot write."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import sqlite3
import threading
import time

import pytest
from cupool.pool import directory_sqlite
from cupool.pool.config import Quota
from cupool.pool.directory import Cordon, DirectoryError, EndRecord, LeaseRecord, MoveRecord, TenantRecord
from cupool.pool.directory_journal import LeaseJournal
from cupool.pool.directory_sqlite import SCHEMA, SqliteDirectory
from cupool.pool.security import tokens


@pytest.fixture
def path(tmp_path):
    return tmp_path / "directory.sqlite"


def lease(session="session-1", **fields):
    return LeaseRecord(session, "acme", "node-1", "server-1", "cpu:0", b"x" * 32, "thumbs", 1 << 20, 3, 1.5, **fields)


def end(session="session-1", kernel_s=2.0, tenant="acme"):
    return EndRecord(
        session, tenant, "node-1", "cpu:0", "thumbs", b"x" * 32, "Released.", False, True, kernel_s, 5, 2.5
    )


def reopened(directory, path):
    assert directory.flush()
    directory.close()
    return SqliteDirectory(path)


def test_everything_is_there_after_a_restart(path):
    directory = SqliteDirectory(path)
    pool, restarts = directory.pool, directory.restarts
    _, record = tokens.create("client", "acme", 60, "for tests")
    quota = Quota(sessions=3, memory_bytes=1 << 40, kernel_s=1.5, weight=2.0, allow_offload=True)
    directory.set_tenant(TenantRecord("acme", quota, leases_given=7, leases_refused=2))
    directory.set_token(record)
    directory.set_cordon(Cordon("node-1/cpu:0", "new fan", 4.0, True, 9.0))
    directory.add_lease(lease(request_id="r", client_pid=4, lifetime_s=60))
    directory = reopened(directory, path)
    try:
        assert (directory.pool, directory.restarts) == (pool, restarts + 1)
        assert directory.tenants() == [TenantRecord("acme", quota, 0.0, 7, 2)]
        assert directory.tokens() == [record]
        assert directory.cordons() == [Cordon("node-1/cpu:0", "new fan", 4.0, True, 9.0)]
        assert list(directory.leases()) == [lease(request_id="r", client_pid=4, lifetime_s=60)]
        assert os.stat(path).st_mode & 0o077 == 0
    finally:
        directory.close()


def test_an_end_that_is_told_twice_counts_once(path):
    directory = SqliteDirectory(path)
    directory.add_lease(lease())
    kept = threading.Semaphore(0)
    directory.add_end(end(), kept.release)
    assert kept.acquire(timeout=10)
    directory = reopened(directory, path)
    directory.add_end(end(), kept.release)
    directory.add_end(end("session-2", 0.5), kept.release)
    assert kept.acquire(timeout=10) and kept.acquire(timeout=10)
    assert directory.end("session-1") == end() and directory.end("session-3") is None
    directory = reopened(directory, path)
    try:
        assert [t.kernel_s for t in directory.tenants()] == [2.5]
        assert not list(directory.leases())
    finally:
        directory.close()


def test_a_lease_that_ends_at_once_is_never_written(path):
    directory = SqliteDirectory(path)
    for i in range(500):
        directory.add_lease(lease(f"session-{i}"))
        directory.remove_lease(f"session-{i}")
    directory = reopened(directory, path)
    try:
        assert not list(directory.leases())
    finally:
        directory.close()


def test_a_newer_directory_is_refused_and_left_alone(path):
    SqliteDirectory(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(DirectoryError, match="newer cupool"):
        SqliteDirectory(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database at all" * 100, None])
def test_another_file_is_refused(path, content):
    if content is None:
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE other (x)")
        db.close()
    else:
        path.write_bytes(content)
    with pytest.raises(DirectoryError, match="no directory of a pool"):
        SqliteDirectory(path)


def test_one_controller_at_a_time(path):
    directory = SqliteDirectory(path)
    try:
        with pytest.raises(DirectoryError, match="Another controller"):
            SqliteDirectory(path)
    finally:
        directory.close()
    SqliteDirectory(path).close()


def test_nowhere_to_be(tmp_path):
    with pytest.raises(DirectoryError, match="cannot be made"):
        SqliteDirectory(tmp_path / "missing" / "directory.sqlite")


def test_what_cannot_be_written_is_kept_and_written_later(path, monkeypatch):
    """As a full disk or a folder that became read-only shows itself: every statement of the writer fails."""
    from cupool.pool import directory_sqlite

    directory = SqliteDirectory(path)
    real, failing = directory_sqlite._write, threading.Event()
    tried = threading.Semaphore(0)

    def write(db, batch):
        if failing.is_set():
            tried.release()
            raise sqlite3.OperationalError("database or disk is full")
        real(db, batch)

    monkeypatch.setattr(directory_sqlite, "_write", write)
    monkeypatch.setattr(directory_sqlite, "_AGAIN_S", 0.05)
    try:
        failing.set()
        kept = threading.Semaphore(0)
        directory.add_lease(lease())
        directory.add_end(end(), kept.release)
        assert tried.acquire(timeout=10) and tried.acquire(timeout=10)  # the second try begins after the first was told
        assert "disk is full" in directory.failure and "Free space" in directory.failure
        assert not kept.acquire(blocking=False), "an end is kept when it is written, not before"
        failing.clear()
        assert kept.acquire(timeout=10)
        assert directory.failure == "" and directory.end("session-1") == end()
    finally:
        directory.close()


def test_a_read_only_directory_is_read(path, monkeypatch):
    from cupool.pool import directory_sqlite

    directory = SqliteDirectory(path)
    directory.set_tenant(TenantRecord("acme", Quota(sessions=1)))
    directory.add_end(end())
    assert directory.flush()
    directory.close()

    def read_only(_):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(directory_sqlite, "_connect", read_only)
    directory = SqliteDirectory(path)
    try:
        assert "readonly" in directory.failure
        assert directory.tenants() == [dataclasses.replace(TenantRecord("acme", Quota(sessions=1)), kernel_s=2.0)]
    finally:
        directory.close()


def test_a_written_lease_that_is_removed_is_soon_gone_though_nothing_else_is_written(path):
    directory = SqliteDirectory(path)
    try:
        directory.add_lease(lease())
        assert directory.flush()
        directory.remove_lease("session-1")
        deadline = time.monotonic() + 10
        with contextlib.closing(sqlite3.connect(path, timeout=5)) as db:
            while db.execute("SELECT count(*) FROM leases").fetchone()[0]:
                assert time.monotonic() < deadline, "the next controller would count it as a lost session"
                threading.Event().wait(0.02)
    finally:
        directory.close()


def a_move(**fields: object) -> MoveRecord:
    return MoveRecord(**{
        "move": "move-1", "session": "s", "epoch": 1, "source": "server-1", "source_node": "n", "destination": "server-2",
        "destination_node": "n", "step": "copying", "is_ready": False, "source_is_dead": False, "destination_is_dead": False,
        "engine": "copy",
        "why": "fan", "by": "operator", "max_pause_ms": 2000,
        "timeout_ms": 10000, "is_cold": False, "asked": 5.0,
    } | fields)  # fmt: skip


def test_an_older_directory_gets_what_it_lacks(tmp_path):
    path = tmp_path / "directory.sqlite"
    first = SqliteDirectory(path)
    first.add_lease(lease("s"))
    first.close()
    with contextlib.closing(sqlite3.connect(path)) as db:  # as version 1 had it
        db.executescript(
            "ALTER TABLE leases DROP COLUMN epoch; ALTER TABLE leases DROP COLUMN moves; DROP TABLE moves; PRAGMA user_version = 1;"
        )
    second = SqliteDirectory(path)
    assert second.lease("s") == lease("s") and second.lease("s").epoch == 1 and not second.moves()
    second.set_move(a_move(is_ready=True))
    second.close()
    third = SqliteDirectory(path)
    assert third.moves() == [a_move(is_ready=True)] and third.restarts == 2
    third.remove_move("move-1")
    fourth = reopened(third, path)
    assert not fourth.moves()
    fourth.close()


def test_a_lease_switches_only_from_where_it_was(tmp_path):
    directory = SqliteDirectory(tmp_path / "directory.sqlite")
    here = lease("s")
    directory.add_lease(here)
    there = dataclasses.replace(here, server="server-2", epoch=2, moves=1)
    assert not directory.switch_lease(there, "server-9", 1) and not directory.switch_lease(there, here.server, 7)
    assert directory.lease("s") == here
    assert directory.switch_lease(there, here.server, 1) and directory.lease("s") == there
    assert directory.switch_lease(there, here.server, 1), "told again"
    assert not directory.switch_lease(dataclasses.replace(here, epoch=3), here.server, 1)
    assert not directory.switch_lease(dataclasses.replace(here, session="none"), here.server, 1)
    directory.close()
    again = SqliteDirectory(tmp_path / "directory.sqlite")
    assert again.lease("s") == there
    again.close()


# ---- what a killed controller had given last


@pytest.fixture
def killed(path, tmp_path, monkeypatch):
    """Makes a directory that writes nothing yet, and gives (it, what a controller finds that starts again after a kill)."""
    monkeypatch.setattr(directory_sqlite, "_GATHER_S", 600.0)
    directory = SqliteDirectory(path)
    opened = []

    def again(one=directory):
        folder = tmp_path / f"again-{len(opened)}"
        shutil.copytree(one._path.parent, folder, ignore=lambda _, names: [n for n in names if n.startswith("again")])
        opened.append(SqliteDirectory(folder / path.name))
        return opened[-1]

    yield directory, again
    for one in [*opened, directory]:
        one.close()


def test_a_lease_that_was_given_just_before_a_kill_is_there(killed):
    directory, again = killed
    directory.add_lease(lease(request_id="r"))
    directory.add_lease(lease("session-2"))
    directory.remove_lease("session-2")
    directory.add_lease(lease("session-3"))
    assert directory.switch_lease(lease("session-3", epoch=2), "server-1", 1)
    found = again()
    assert set(found.leases()) == {lease(request_id="r"), lease("session-3", epoch=2)}
    assert found.flush() and set(again(found).leases()) == set(found.leases())


def test_what_a_batch_holds_is_not_read_twice(killed):
    directory, again = killed
    directory.add_lease(lease())
    directory.add_lease(lease("session-2"))
    assert directory.flush()  # the batch is written: what follows goes to the other file
    directory.add_end(end())
    directory.remove_lease("session-2")
    directory.add_lease(lease("session-3"))
    found = again()
    assert {r.session for r in found.leases()} == {"session-1", "session-3"}  # of an end its host tells again
    found.add_end(end())
    assert found.flush() and {r.session for r in again(found).leases()} == {"session-3"}


def test_a_line_that_was_cut_off_is_no_lease(killed):
    directory, again = killed
    directory.add_lease(lease())
    directory.add_lease(lease("session-2"))
    (file,) = (f for f in directory._path.parent.glob("*.leases-*") if f.stat().st_size)
    os.truncate(file, file.stat().st_size - 3)
    assert [r.session for r in again().leases()] == ["session-1"]


def test_a_lease_that_cannot_be_noted_stops_leases_until_it_can(path):
    directory = SqliteDirectory(path)
    try:
        for n in (0, 1):
            path.with_name(f"{path.name}.leases-{n}").mkdir()
        directory.add_lease(lease())
        assert "cannot be written" in directory.failure
        for n in (0, 1):
            path.with_name(f"{path.name}.leases-{n}").rmdir()
        assert directory.flush()
        directory.add_lease(lease("session-2"))
        assert directory.flush() and not directory.failure
    finally:
        directory.close()


def test_what_was_behind_a_damaged_line_does_not_come_back(path):
    """A machine that lost its power may have written a file's pages in any order. A new line as long as the damaged one ends where an
    old whole one begins."""
    journal = LeaseJournal(path)
    for session in ("session-1", "session-2", "session-3"):
        journal.add(session, lease(session))
    journal.close()
    (file,) = (f for f in path.parent.glob("*.leases-*") if f.stat().st_size)
    data = file.read_bytes()
    file.write_bytes(data.replace(b'"session-2"', b'"session-9"'))
    again = LeaseJournal(path)
    assert set(again.load()) == {"session-1"}
    again.add("session-4", lease("session-4"))
    again.close()
    assert set(LeaseJournal(path).load()) == {"session-1", "session-4"}


def test_who_cannot_hear_that_something_is_kept_does_not_end_the_writing(path):
    """An admin's call whose loop is closed by then."""
    directory = SqliteDirectory(path)
    try:

        def told():
            raise RuntimeError("Event loop is closed")

        directory.when_kept(told)
        directory.set_choice("policy", "pack")
        assert directory.flush()
    finally:
        directory.close()
    again = SqliteDirectory(path)
    assert again.choice("policy") == "pack"
    again.close()


@pytest.mark.parametrize("field", [{"peak_bytes": 1 << 64}, {"reason": "\ud800"}])
def test_a_row_that_cannot_be_written_keeps_no_other_from_it(path, field):
    directory = SqliteDirectory(path)
    try:
        directory.add_end(dataclasses.replace(end(), **field))
        directory.set_choice("policy", "pack")
        assert directory.flush() and not directory.failure
    finally:
        directory.close()
    again = SqliteDirectory(path)
    assert again.choice("policy") == "pack"
    again.close()
