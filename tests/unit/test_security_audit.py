"""The audit log shows every change that is made to it, and what happens when it cannot be written."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import threading

import pytest
from cupool.pool.security import audit, tokens
from cupool.pool.security.audit import AuditLog, AuditUnavailable, Head, verify


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log" / "audit.jsonl"


def written(path, count=20, **options):
    log = AuditLog(path, **options)
    for i in range(count):
        log.record(audit.OPEN, who="3f2a", tenant="acme", session=f"session-{i}", epoch=1, decision=audit.ALLOW)
    log.close()
    return log.head()


def lines(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_every_line_has_every_field_and_its_type(path):
    log = AuditLog(path)
    for kind in sorted(audit.KINDS - {audit.FILE, audit.GAP}):
        log.record(
            kind, who="a", tenant="t", subject="cpu:0", session="s", epoch=3, decision=audit.DENY, reason="a sentence"
        )
    log.close()
    types = {"seq": int, "time": float, "epoch": int}
    for number, line in enumerate(lines(path), 1):
        assert tuple(line) == audit.FIELDS and line["seq"] == number
        assert all(isinstance(line[name], types.get(name, str)) for name in audit.FIELDS)
        assert line["kind"] in audit.KINDS and line["decision"] in ("", "allow", "deny")
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(ValueError, match="no field"):
        log.record(audit.OPEN, token="x")
    with pytest.raises(ValueError, match="no kind"):
        log.record("party")
    log.close()


def test_it_goes_on_where_it_was(path):
    first = written(path, 3)
    log = AuditLog(path)
    assert log.head() == first
    log.record(audit.POOL)
    log.close()
    assert verify(path, log.head()).is_whole and verify(path).lines == 5


def test_no_change_stays_unseen(path):
    """Any byte changed, any line removed, doubled, moved or cut off."""
    head = written(path)
    good = path.read_bytes()
    assert verify(path, head).is_whole
    rows = good.splitlines(keepends=True)
    chosen = random.Random(7)
    changed = []
    for _ in range(300):
        at = chosen.randrange(len(good))
        changed.append(good[:at] + bytes([good[at] ^ (1 << chosen.randrange(7))]) + good[at + 1 :])
    for i in range(len(rows)):
        changed.append(b"".join(rows[:i] + rows[i + 1 :]))
        changed.append(b"".join(rows[: i + 1] + rows[i:]))
        changed.append(b"".join(rows[:i]))
        if i:
            changed.append(b"".join([*rows[: i - 1], rows[i], rows[i - 1], *rows[i + 1 :]]))
    for data in changed:
        path.write_bytes(data)
        assert not verify(path, head).is_whole, data


def test_a_forged_end_is_seen_by_its_head(path):
    head = written(path)
    row = lines(path)[-1]
    row["reason"] = "forged"
    row["hash"] = audit._hash(row)
    rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(rows[:-1]) + json.dumps(row, separators=(",", ":")).encode() + b"\n")
    assert verify(path).is_whole, "a chain alone cannot see who knows how it is made"
    assert "another line" in verify(path, head).problem


def test_files_are_put_aside_and_the_chain_goes_through_them(path):
    head = written(path, 200, max_bytes=4096, keep=100)
    files = audit.rotated(path)
    assert len(files) > 5 and verify(path, head) == audit.Verified(200 + len(files) + 1, "", head)
    oldest, middle = sorted(files)[0], sorted(files)[2]
    oldest.unlink()
    assert verify(path, head).is_whole, "what is gone by age is no damage"
    middle.unlink()
    assert "missing" in verify(path, head).problem


def test_old_files_go(path):
    head = written(path, 200, max_bytes=4096, keep=3)
    assert len(audit.rotated(path)) == 3 and verify(path, head).is_whole


def test_secrets_and_long_texts_do_not_get_in(path):
    token, _ = tokens.create("admin")
    log = AuditLog(path)
    log.record(audit.ADMIN, who="x", subject=token, reason=f"Bearer {token} " + "long " * 1000 + "\n{}\"'\x00\ud800")
    log.close()
    text = path.read_text()
    assert token[-20:] not in text and max(map(len, text.splitlines())) < 2000
    assert verify(path).is_whole


def test_threads_share_it(path):
    log = AuditLog(path)
    threads = [threading.Thread(target=lambda: [log.record(audit.OPEN, who="t") for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert verify(path, log.head()).lines == 801


def _in_little_room(path, result):
    """What a full disk does, without one: a file may not grow beyond a limit."""
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    log = AuditLog(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
    refused = 0
    for i in range(20):
        try:
            log.record(audit.OPEN, session=f"session-{i}")
        except AuditUnavailable:
            refused += 1
    noted = [log.note(audit.END, session="s") for _ in range(3)]
    problem = log.problem
    size = os.stat(path).st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    log.record(audit.OPEN, session="again")
    log.close()
    result.put((refused, noted, problem, size, log.problem, log.head().seq, log.head().hash))


def test_a_full_disk_refuses_what_must_be_written_and_tells_what_was_lost(path):
    context = multiprocessing.get_context("fork")
    result = context.SimpleQueue()
    process = context.Process(target=_in_little_room, args=(path, result))
    process.start()
    refused, noted, problem, size, after, seq, found = result.get()
    process.join()
    result.close()
    assert 10 < refused < 20 and noted == [False] * 3 and problem and size <= 2000 and not after
    checked = verify(path, Head(seq, found))
    assert checked.is_whole, checked.problem
    *_, gap, last = lines(path)
    assert (
        gap["kind"] == "gap" and gap["reason"].startswith("3 lines could not be written") and last["session"] == "again"
    )


def test_half_a_line_of_a_crash_is_taken_away_and_told(path):
    written(path, 3)
    with open(path, "ab") as file:
        file.write(b'{"seq":5,"ti')
    log = AuditLog(path)
    log.record(audit.POOL)
    log.close()
    assert verify(path, log.head()).is_whole and lines(path)[-2]["kind"] == "gap"


def test_a_file_that_is_no_log_is_left_alone(path):
    path.parent.mkdir()
    path.write_text("something else\n")
    with pytest.raises(AuditUnavailable, match="Move it aside"):
        AuditLog(path)
    assert path.read_text() == "something else\n"
    with pytest.raises(AuditUnavailable, match="cannot be opened"):
        AuditLog(path.parent)
