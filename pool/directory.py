"""What the pool remembers: tenants and their quotas, tokens, cordons, leases, and what ended sessions used.

`Directory` keeps it in memory, which is all that an embedded pool needs, and is what the controller reads; `directory_sqlite` writes
it down as well. A hint and a set of counts: the truth about a session is in its server.
"""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .config import Quota
from .security.tokens import TokenRecord


class DirectoryError(Exception):
    """The directory cannot be used. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """One session that is not over, for a controller that starts again. Of it the server knows what matters; this is the rest."""

    session: str
    tenant: str
    node: str
    server: str
    device: str  #: the node's own name of it
    token_sha256: bytes
    function: str
    memory_bytes: int
    priority: int
    given: float  #: seconds since 1970
    request_id: str = ""
    client_pid: int = 0
    lifetime_s: int = 0
    epoch: int = 1
    moves: int = 0


@dataclass(frozen=True, slots=True)
class MoveRecord:
    """One move that is under way, for a controller that starts again. `step` and the three after it are of `contract.moves.Move`."""

    move: str
    session: str
    epoch: int
    source: str  #: server
    source_node: str
    destination: str
    destination_node: str
    step: str
    is_ready: bool
    source_is_dead: bool
    destination_is_dead: bool
    engine: str
    why: str  #: it was asked for
    by: str
    max_pause_ms: int
    timeout_ms: int
    is_cold: bool
    asked: float  #: seconds since 1970


@dataclass(frozen=True, slots=True)
class EndRecord:
    """One session that is over."""

    session: str
    tenant: str
    node: str
    device: str
    function: str
    token_sha256: bytes
    reason: str
    lost: bool
    replayable: bool  #: as SessionStatus says
    kernel_s: float
    peak_bytes: int
    ended: float  #: seconds since 1970


@dataclass(frozen=True, slots=True)
class Cordon:
    """A device that takes no new sessions."""

    device: str  #: its key in the pool
    reason: str
    at: float  #: seconds since 1970
    is_draining: bool = False
    deadline: float = 0.0  #: seconds since 1970, when sessions that are still there are ended; 0: never


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """A tenant as the directory has it. `quota` None: the pool's default."""

    name: str
    quota: Quota | None = None
    kernel_s: float = 0.0
    leases_given: int = 0
    leases_refused: int = 0


class Directory:
    """Kept in memory. Reads are of the caller's thread; writes are called with the controller's lock held and do not wait."""

    def __init__(self) -> None:
        self.pool = f"pool-{secrets.token_hex(6)}"
        self.restarts = 0
        self._tenants: dict[str, TenantRecord] = {}
        self._tokens: dict[str, TokenRecord] = {}
        self._cordons: dict[str, Cordon] = {}
        self._leases: dict[str, LeaseRecord] = {}
        self._choices: dict[str, str] = {}
        self._moves: dict[str, MoveRecord] = {}

    @property
    def failure(self) -> str:
        """Why nothing can be written now, one sentence; "" while it can."""
        return ""

    def when_kept(self, call: Callable[[], object]) -> None:
        """Have `call` called, from any thread, when all that was written until now is kept."""
        call()

    def close(self) -> None:
        """Write what is left, and let go."""

    # ---- what operators chose

    def choice(self, name: str) -> str:
        """What was chosen while the pool ran; "": nothing was."""
        return self._choices.get(name, "")

    def set_choice(self, name: str, value: str) -> None:
        self._choices[name] = value

    # ---- tenants

    def tenants(self) -> list[TenantRecord]:
        return list(self._tenants.values())

    def set_tenant(self, record: TenantRecord) -> None:
        self._tenants[record.name] = record

    # ---- tokens

    def token(self, token_id: str) -> TokenRecord | None:
        return self._tokens.get(token_id)

    def tokens(self) -> list[TokenRecord]:
        return list(self._tokens.values())

    def set_token(self, record: TokenRecord) -> None:
        self._tokens[record.id] = record

    def used_token(self, token_id: str, now: float) -> None:
        """Remember when a token was used, to about a minute."""
        record = self._tokens.get(token_id)
        if record is not None and now - record.last_used > 60:
            self.set_token(dataclasses.replace(record, last_used=now))

    # ---- cordons

    def cordons(self) -> list[Cordon]:
        return list(self._cordons.values())

    def set_cordon(self, cordon: Cordon) -> None:
        self._cordons[cordon.device] = cordon

    def remove_cordon(self, device: str) -> None:
        self._cordons.pop(device, None)

    # ---- leases

    def lease(self, session: str) -> LeaseRecord | None:
        return self._leases.get(session)

    def leases(self) -> Iterator[LeaseRecord]:
        return iter(list(self._leases.values()))

    def add_lease(self, record: LeaseRecord) -> None:
        self._leases[record.session] = record

    def remove_lease(self, session: str) -> None:
        self._leases.pop(session, None)

    def switch_lease(self, record: LeaseRecord, server: str, epoch: int) -> bool:
        """The session is at another server, or at another epoch: `record` says where. False, and nothing is changed, where it was not at
        `server` and `epoch` until now."""
        now = self._leases.get(record.session)
        if now is None or (now.server, now.epoch) not in ((server, epoch), (record.server, record.epoch)):
            return False
        self.add_lease(record)
        return True

    # ---- moves

    def moves(self) -> list[MoveRecord]:
        return list(self._moves.values())

    def set_move(self, record: MoveRecord) -> None:
        self._moves[record.move] = record

    def remove_move(self, move: str) -> None:
        self._moves.pop(move, None)

    # ---- ends

    def add_end(self, record: EndRecord, kept: Callable[[], None] | None = None) -> None:
        """Remember the end of a session, count what it used, and forget its lease. `kept` is called when that is
        written, from any thread; a session that had been remembered is not counted twice."""
        self._leases.pop(record.session, None)
        if kept is not None:
            kept()

    def end(self, session: str) -> EndRecord | None:
        """The end of a session, where it is still remembered."""
        return None


def now() -> float:
    return time.time()
