"""What a session's client is promised, written and read again."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cupool.apiserver import hashes as module
from cupool.apiserver.config import Assignment
from cupool.apiserver.frames import fingerprint
from cupool.apiserver.hashes import KEPT_ANYWAY, Hashes
from cupool.apiserver.session import KEPT_HASHES, Session

from cupool.contract.limits import DEFAULT_LIMITS
from cupool.v1 import document_pb2, session_pb2


def made(executed: int) -> Session:
    executor: Any = SimpleNamespace(executed_seq=executed)
    return Session(Assignment("s", b"", 1), executor, DEFAULT_LIMITS, (b"", {}), dict, lambda reason: None)


def test_a_long_session_is_read_as_fast_as_a_short_one() -> None:
    """As many hashes as are kept: reading them must not take longer for each one that there is."""
    before = made(KEPT_HASHES + 5)
    for k in range(1, KEPT_HASHES + 6):
        before._seen.add(k, fingerprint(b"%d" % k))
    link = document_pb2.DocumentLink()
    before.write_state(link)
    after = made(KEPT_HASHES + 5)
    started = time.process_time()
    after.read_state(link)
    assert time.process_time() - started < 2.0  # a second's hundredth part here; half a minute when each looks at all
    assert after._seen.first == before._seen.first == 6 and len(after._seen) == KEPT_HASHES
    assert [after._seen.get(k) for k in (5, 6, KEPT_HASHES + 5, KEPT_HASHES + 6)] == [
        None,
        fingerprint(b"6"),
        fingerprint(b"%d" % (KEPT_HASHES + 5)),
        None,
    ]


@pytest.mark.parametrize("room", [2, 4096])
def test_hashes_are_those_of_the_last_batches(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    monkeypatch.setattr(module, "_FIRST_ROOM", room)
    monkeypatch.setattr(module, "KEPT_ANYWAY", 3)
    rng, most = np.random.default_rng(5), 27
    for _ in range(200):
        hashes, known = Hashes(most), dict[int, bytes]()
        seq = int(rng.integers(1, 30))
        for _ in range(int(rng.integers(0, 90))):
            if rng.random() < 0.02:
                seq += int(rng.integers(1, 5))  # another session's was restored
                known.clear()
            known[seq] = rng.bytes(16)
            hashes.add(seq, known[seq])
            known = dict(list(known.items())[-most:])
            if rng.random() < 0.1:
                told = seq - int(rng.integers(0, 9))
                hashes.told(told)
                known = {k: v for k, v in known.items() if k > told or k > seq - 3}
            seq += 1
        assert {k: hashes.get(k) for k in range(400) if hashes.get(k) is not None} == known
        assert (len(hashes), hashes.first) == (len(known), min(known, default=0))
        assert hashes.joined() == b"".join(known.values())
        again = Hashes(int(rng.integers(1, 40)))
        again.restore(hashes.first, hashes.joined())
        assert len(again) == min(len(hashes), again._most)
        assert again.joined() == hashes.joined()[len(hashes.joined()) - 16 * len(again) :]


def test_hashes_of_what_a_client_knows_to_be_executed_are_few() -> None:
    session = made(0)
    for k in range(1, 5000):
        session.executor.executed_seq = k
        session._seen.add(k, fingerprint(b"%d" % k))
        session._send_kept([b""], [], 0)
        session._credit(k - 1)
    assert len(session._seen) == KEPT_ANYWAY
    link = document_pb2.DocumentLink()
    session.write_state(link)
    assert len(link.seen) == 16 * KEPT_ANYWAY


class Told:
    """A stream, and what was sent by it."""

    def __init__(self) -> None:
        self.frames: list[Any] = []

    def send(self, data: bytes) -> None:
        self.frames.append(session_pb2.ServerFrame.FromString(data))

    def close(self, code: str, details: str) -> None:
        pass


def hello_of(session: Session, previous: bytes, following: bytes, received: int = 0) -> Any:
    stream = Told()
    session.attach(
        stream,  # type: ignore[arg-type]
        session_pb2.ClientHello(
            versions=[1], epoch=1, nonce_previous=previous, nonce_next=following, op_table_digest=b"", received=received
        ),
    )
    return stream.frames[0].hello


def test_a_hello_tells_of_no_batch_whose_answers_are_not_kept_yet() -> None:
    """A client that comes between takes its number for the end of what is to come."""
    session = made(4)
    executor: Any = session.executor
    executor.executed_commands, executor.fault, executor.accounting = 9, "", SimpleNamespace(kernel_s=0.0)
    hellos: list[Any] = []

    def run(batch: Any) -> Any:
        executor.executed_seq, executor.executed_commands = 5, 12
        hellos.append(hello_of(session, b"", b"a" * 16))
        return SimpleNamespace(results=[b"", b""], failures=[])

    executor.run = run
    session._run(SimpleNamespace(seq=5), b"hash")
    hellos.append(hello_of(session, b"a" * 16, b"b" * 16))
    assert [(h.executed_seq, h.executed_position, h.ordinal) for h in hellos] == [(4, 9, 0), (5, 12, 1)]
