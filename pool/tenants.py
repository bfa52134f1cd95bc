"""What each tenant has and may have. Pure: the time is an argument, nothing is read or written.

Cases of an Acquire, in this order:
    it could never be given       refused, for good
    too many opens a second       refused, with the time until the next one
    kernel seconds used up        refused, until an operator gives more
    too many sessions or bytes    waits, where the caller would wait, until the tenant's own sessions end; else refused
"""

from __future__ import annotations

from dataclasses import dataclass

from .config import Quota
from .refusals import Code, Refused

#: Retry time of a tenant that has all it may have: its own sessions decide, the pool cannot know.
_OWN_SESSIONS_MS = 500


@dataclass(slots=True)
class Tenant:
    """One tenant's quota and what counts against it."""

    name: str
    quota: Quota
    sessions: int = 0  #: that are not over
    leased_bytes: int = 0  #: promised to them
    #: The same of sessions that a controller before this one gave, of which no host has told yet.
    awaited_sessions: int = 0
    awaited_bytes: int = 0
    used_bytes: int = 0  #: held by them, as their servers said last
    live_kernel_s: float = 0.0  #: executed by them
    ended_kernel_s: float = 0.0  #: executed by sessions that are over, since the directory was made
    leases_given: int = 0
    leases_refused: int = 0
    opens_left: float = 1.0  #: the token bucket of `opens_per_s`
    opens_at_s: float = float("-inf")  #: when it was filled up last

    @property
    def kernel_s(self) -> float:
        return self.ended_kernel_s + self.live_kernel_s

    @property
    def kernel_left_s(self) -> float:
        """0 where there is no limit; never 0 where there is one and something is left."""
        return max(0.0, self.quota.kernel_s - self.kernel_s) if self.quota.kernel_s else 0.0


def check_possible(tenant: Tenant, memory_bytes: int) -> None:
    """Raises Refused when the tenant's quota never allows a lease of this size."""
    limit = tenant.quota.memory_bytes
    if limit and memory_bytes > limit:
        raise Refused(
            Code.FAILED_PRECONDITION,
            f"The tenant {tenant.name!r} may lease {limit:,} bytes in all, and this asks for {memory_bytes:,}.",
            "Ask for less: CUPOOL_MEMORY; or ask the pool's operator for more.",
            word="quota-memory",
        )


def check_kernel(tenant: Tenant) -> None:
    """Raises Refused when the tenant has no kernel seconds left."""
    if tenant.quota.kernel_s and tenant.kernel_s >= tenant.quota.kernel_s:
        raise Refused(
            Code.RESOURCE_EXHAUSTED,
            f"The tenant {tenant.name!r} has used its {tenant.quota.kernel_s:g} seconds of kernel time.",
            "Ask the pool's operator for more.",
            word="quota-kernel",
        )


def take_open(tenant: Tenant, now_s: float) -> None:
    """Count one lease against `opens_per_s`. Raises Refused when that is too many; nothing is counted then."""
    rate = tenant.quota.opens_per_s
    if not rate:
        return
    most = max(1.0, rate)
    left = most if tenant.opens_at_s == float("-inf") else tenant.opens_left + (now_s - tenant.opens_at_s) * rate
    tenant.opens_left, tenant.opens_at_s = min(most, left), now_s
    if tenant.opens_left < 1.0 - 1e-9:
        raise Refused(
            Code.RESOURCE_EXHAUSTED,
            f"The tenant {tenant.name!r} may open {rate:g} sessions a second.",
            "Keep a session for several calls, or try again later.",
            word="quota-opens",
            retry_ms=max(1, int((1.0 - tenant.opens_left) / rate * 1000) + 1),
        )
    tenant.opens_left -= 1.0


def over_quota(tenant: Tenant, memory_bytes: int) -> Refused | None:
    """Why one more session of this size must wait for the tenant's own sessions to end; None: it need not."""
    quota = tenant.quota
    sessions = tenant.sessions + tenant.awaited_sessions
    leased_bytes = tenant.leased_bytes + tenant.awaited_bytes
    if quota.sessions and sessions >= quota.sessions:
        return Refused(
            Code.RESOURCE_EXHAUSTED,
            f"The tenant {tenant.name!r} has {sessions} of its {quota.sessions} sessions.",
            "End one of them, wait in line (CUPOOL_DEADLINE_S), or ask the pool's operator for more.",
            word="quota-sessions",
            retry_ms=_OWN_SESSIONS_MS,
        )
    if quota.memory_bytes and leased_bytes + memory_bytes > quota.memory_bytes:
        return Refused(
            Code.RESOURCE_EXHAUSTED,
            f"The tenant {tenant.name!r} has leased {leased_bytes:,} of its {quota.memory_bytes:,} bytes; "
            f"this asks for {memory_bytes:,} more.",
            "Ask for less (CUPOOL_MEMORY), end a session, wait in line (CUPOOL_DEADLINE_S), or ask the pool's operator for more.",
            word="quota-memory",
            retry_ms=_OWN_SESSIONS_MS,
        )
    return None
