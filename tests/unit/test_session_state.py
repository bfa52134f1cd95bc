"""What a session's client is promised, written and read again."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from cupool.apiserver.config import Assignment
from cupool.apiserver.session import KEPT_HASHES, Session, fingerprint

from cupool.contract.limits import DEFAULT_LIMITS
from cupool.v1 import document_pb2


def made(executed: int) -> Session:
    executor: Any = SimpleNamespace(executed_seq=executed)
    return Session(Assignment("s", b"", 1), executor, DEFAULT_LIMITS, (b"", {}), dict, lambda reason: None)


def test_a_long_session_is_read_as_fast_as_a_short_one() -> None:
    """As many hashes as are kept: reading them must not take longer for each one that there is."""
    before = made(KEPT_HASHES + 5)
    before._seen.update((k, fingerprint(b"%d" % k)) for k in range(6, KEPT_HASHES + 6))
    link = document_pb2.DocumentLink()
    before.write_state(link)
    after = made(KEPT_HASHES + 5)
    started = time.process_time()
    after.read_state(link)
    assert time.process_time() - started < 2.0  # a second's hundredth part here; half a minute when each looks at all
    assert after._seen == before._seen and next(iter(after._seen)) == 6
