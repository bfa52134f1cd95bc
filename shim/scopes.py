"""`cupool.session()`: what a request asks of the session that it opens, and when that ends.

Boundary: knows what blocks there are around the caller, and nothing of leases. The process's session is `session.py`'s.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from cupool.contract.records import NamedTuple
from cupool.contract.sizes import parse_size

from .config import Config

#: How long a block that ends well may wait for what it has in flight.
DRAIN_S = 10.0


class Scope(NamedTuple):
    """A block's wishes. `ends_s`: on the monotonic clock, when its time is over; None: it has no deadline."""

    ends_s: float | None
    keep: bool
    function: str
    memory_bytes: int
    lifetime_s: int


_scope: ContextVar[Scope | None] = ContextVar("cupool_scope", default=None)


def is_inside() -> bool:
    """Whether the caller is in a block whose session ends with it."""
    scope = _scope.get()
    return scope is not None and not scope.keep


def settings(base: Config) -> Config:
    """The configuration of a session that is opened here and now."""
    scope = _scope.get()
    if scope is None:
        return base
    deadline_s = (
        base.deadline_s if scope.ends_s is None else min(base.deadline_s, max(scope.ends_s - time.monotonic(), 0.0))
    )
    return base.replaced(
        deadline_s=deadline_s,
        function=scope.function or base.function,
        memory_bytes=scope.memory_bytes or base.memory_bytes,
        lifetime_s=scope.lifetime_s or base.lifetime_s,
    )


@contextmanager
def session(
    *,
    deadline_s: float | None = None,
    keep: bool = False,
    function: str = "",
    memory: int | str = 0,
    lifetime_s: float | None = None,
) -> Iterator[None]:
    """A block with a session of its own, which is opened at the first need and ends with the block: arrays made in it are gone then.

        with cupool.session(deadline_s=context.get_remaining_time_in_millis() / 1000):
            ...

    A process has one session at a time: blocks that overlap, in threads, share it, and it ends with the last. A session that was open
    before stays open.

    Args:
        deadline_s: how much time the block has, in seconds: getting a session takes no longer. None: what CUPOOL_DEADLINE_S says.
        keep: the session stays open after the block, for the next ones of this process.
        function: who asks, for people and for warm kernels. "": what CUPOOL_FUNCTION says.
        memory: device memory wanted, as bytes or "4GiB". 0: what CUPOOL_MEMORY says.
        lifetime_s: the pool ends the session so many seconds after it is opened, whatever becomes of this process. None: as the tenant may.

    Raises (where the session is opened, not here):
        LeaseRefused: the pool gave no session in time.
        PoolUnreachable: no pool answered in time.
    """
    for name, value in (("deadline_s", deadline_s), ("lifetime_s", lifetime_s)):
        if value is not None and not value >= 0:
            raise ValueError(f"{name}={value!r} is not a number of seconds.")
    scope = Scope(
        None if deadline_s is None else time.monotonic() + deadline_s,
        keep,
        function,
        memory if isinstance(memory, int) else parse_size(memory),
        0 if lifetime_s is None else max(math.ceil(lifetime_s), 1),
    )
    token = _scope.set(scope)
    if keep:
        try:
            yield
        finally:
            _scope.reset(token)
        return
    from . import session as process  # loads numpy; a block without arrays has no use for it

    process.enter_scope()
    drain_s = 0.0  # what a failed block has in flight is of no use to anyone
    try:
        yield
        drain_s = DRAIN_S if scope.ends_s is None else min(DRAIN_S, max(scope.ends_s - time.monotonic(), 0.0))
    finally:
        _scope.reset(token)
        process.leave_scope(drain_s)
