"""What a session's client is promised, written and read again."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
from cupool.apiserver.config import Assignment
from cupool.apiserver.hashes import Hashes
from cupool.apiserver.session import KEPT_HASHES, Session, fingerprint

from cupool.contract.limits import DEFAULT_LIMITS
from cupool.v1 import document_pb2


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


def test_hashes_are_those_of_the_last_batches() -> None:
    rng, most = np.random.default_rng(5), 7
    for _ in range(200):
        hashes, known = Hashes(most), dict[int, bytes]()
        seq = int(rng.integers(1, 30))
        for _ in range(int(rng.integers(0, 40))):
            if rng.random() < 0.05:
                seq += int(rng.integers(1, 5))  # another session's was restored
                known.clear()
            known[seq] = rng.bytes(16)
            hashes.add(seq, known[seq])
            seq += 1
        kept = dict(list(known.items())[-most:])
        assert {k: hashes.get(k) for k in range(80) if hashes.get(k) is not None} == kept
        assert (len(hashes), hashes.first, hashes.joined()) == (
            len(kept),
            min(kept, default=0),
            b"".join(kept.values()),
        )
        again = Hashes(int(rng.integers(1, 10)))
        again.restore(hashes.first, hashes.joined())
        assert again.joined() == hashes.joined()[-16 * len(again) or 1 << 20 :]
        assert len(again) == min(len(hashes), again._most)
