"""The controller's directory, with what a kill of the controller loses: what was written less than `GATHER_S` ago, but leases, which
are in the journal at once: as with the one on disk."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

from cupool.pool.directory import Cordon, Directory, EndRecord, LeaseRecord, MoveRecord, TenantRecord
from cupool.pool.security.tokens import TokenRecord

from .clock import Clock

#: How long what is to be written is gathered.
GATHER_S = 0.05


class Kept(Directory):
    """What is on disk. Counts each end once."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = "pool-simulated"
        self.ends: dict[str, EndRecord] = {}

    def add_end(self, record: EndRecord, kept: Callable[[], None] | None = None) -> None:
        super().add_end(record)
        if record.session not in self.ends:
            self.ends[record.session] = record
            before = self._tenants.get(record.tenant) or TenantRecord(record.tenant)
            self._tenants[record.tenant] = dataclasses.replace(before, kernel_s=before.kernel_s + record.kernel_s)

    def end(self, session: str) -> EndRecord | None:
        return self.ends.get(session)

    def set_tenant(self, record: TenantRecord) -> None:
        # What ended sessions used is counted from their ends alone.
        before = self._tenants.get(record.name) or TenantRecord(record.name)
        super().set_tenant(dataclasses.replace(record, kernel_s=before.kernel_s))


class VirtualDirectory(Kept):
    """What a controller reads and writes. `kept` is the disk, which outlives it."""

    def __init__(self, clock: Clock, kept: Kept) -> None:
        super().__init__()
        state = copy.copy(vars(kept))
        vars(self).update({name: copy.copy(value) for name, value in state.items()})
        self._clock = clock
        self._kept = kept
        self._queue: list[tuple[str, tuple[Any, ...], Callable[[], object] | None]] = []
        self._is_gathering = False
        self._is_killed = False

    def kill(self) -> None:
        """What is queued is lost."""
        self._is_killed = True
        self._queue.clear()

    def _later(self, method: str, *arguments: Any, kept: Callable[[], object] | None = None) -> None:
        self._queue.append((method, arguments, kept))
        if not self._is_gathering:
            self._is_gathering = True
            self._clock.after(GATHER_S, self._write)

    def _write(self) -> None:
        self._is_gathering = False
        queue, self._queue = self._queue, []
        if self._is_killed:
            return
        for method, arguments, _ in queue:
            getattr(self._kept, method)(*arguments)
        for _, _, kept in queue:
            if kept is not None:
                kept()

    def when_kept(self, call: Callable[[], object]) -> None:
        self._later("lease", "", kept=call)

    def set_tenant(self, record: TenantRecord) -> None:
        super().set_tenant(record)
        self._later("set_tenant", record)

    def set_token(self, record: TokenRecord) -> None:
        super().set_token(record)
        self._later("set_token", record)

    def set_cordon(self, cordon: Cordon) -> None:
        super().set_cordon(cordon)
        self._later("set_cordon", cordon)

    def remove_cordon(self, device: str) -> None:
        super().remove_cordon(device)
        self._later("remove_cordon", device)

    def add_lease(self, record: LeaseRecord) -> None:
        super().add_lease(record)
        self._kept.add_lease(record)

    def remove_lease(self, session: str) -> None:
        super().remove_lease(session)
        self._kept.remove_lease(session)

    def set_move(self, record: MoveRecord) -> None:
        super().set_move(record)
        self._later("set_move", record)

    def remove_move(self, move: str) -> None:
        super().remove_move(move)
        self._later("remove_move", move)

    def add_end(self, record: EndRecord, kept: Callable[[], None] | None = None) -> None:
        super().add_end(record)
        self._later("add_end", record, kept=kept)
