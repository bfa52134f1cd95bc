"""What a session holds itself to: its own limits and those that the client stated."""

from __future__ import annotations

import pytest
import wire
from cupool.apiserver.config import Assignment
from cupool.apiserver.devices.cpu.device import CpuDevice
from cupool.apiserver.executor import Executor
from cupool.apiserver.session import Session

from cupool.contract.limits import DEFAULT_LIMITS, KIB, MIB, OUR_LIMITS
from cupool.v1 import session_pb2


class Stream:
    """Takes every frame, and its end."""

    def send(self, frame: bytes) -> bool:
        return True

    def close(self, status: str, sentence: str) -> None:
        pass


@pytest.mark.parametrize(
    ("stated", "expected"),
    [(0, DEFAULT_LIMITS.chunk_bytes), (64 * KIB, 64 * KIB), (1 << 40, OUR_LIMITS.chunk_bytes)],
    ids=["nothing", "less", "more"],
)
def test_a_get_sends_no_more_at_once_than_both_can_take(stated: int, expected: int) -> None:
    executor = Executor(CpuDevice(0, MIB), MIB, OUR_LIMITS)
    session = Session(Assignment("s", b"", 1, MIB), executor, OUR_LIMITS, (b"digest", {}), dict, lambda reason: None)
    session.attach(Stream(), wire.hello(limits=session_pb2.Limits(chunk_bytes=stated)).hello)
    assert session.chunk_bytes == expected
    session.close()


def test_the_defaults_are_those_of_the_protocol() -> None:
    """What a side that states nothing can take: session.proto says it, so it never changes."""
    assert DEFAULT_LIMITS.chunk_bytes == MIB
