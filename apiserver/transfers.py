"""Bulk transfers between the bulk RPCs (or the lane) and the executor: who waits for whom, and who owns the bytes.

Incoming: Put (or the lane) asks for a transfer's staging memory, fills it from offset 0 on and calls `advance`; the op `@upload`
waits until it is complete and takes the memory, which on the CPU device becomes the array itself. Outgoing: `@export` leaves the
bytes under the transfer id; Get waits for them. A transfer lives until the client frees its id, as it frees a handle.

All methods may be called from any thread. Memory is charged by `device.staging` before it is allocated.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from cupool.contract.errors import ProtocolError, SessionLost


class Incoming:
    """One Put under way."""

    __slots__ = ("received", "staging", "taken", "total", "view")

    def __init__(self, total: int, staging: Any, view: memoryview) -> None:
        self.total = total
        #: what the device made, handed to `Device.upload`
        self.staging = staging
        #: writable bytes of it
        self.view = view
        #: contiguous bytes from 0
        self.received = 0
        #: the op has it: no more chunks
        self.taken = False


class Transfers:
    """The transfers of one session."""

    def __init__(self, staging: Callable[[int], Any], discard: Callable[[int], None]) -> None:
        """
        Args:
            staging: nbytes -> charged writable host memory; raises OutOfMemoryError.
            discard: nbytes of staging memory that was never used are given back to the account.
        """
        self._staging = staging
        self._discard = discard
        self._changed = threading.Condition()
        self._incoming: dict[int, Incoming] = {}
        self._outgoing: dict[int, memoryview] = {}
        self._finished: set[int] = set()
        self._failed: dict[int, BaseException] = {}
        self._ended = ""

    # -- Put ----------------------------------------------------------------------------------------------------------

    def incoming(self, transfer: int, total: int) -> Incoming:
        """The transfer's staging memory; made on the first call, the same one afterwards.

        Raises:
            OutOfMemoryError: it does not fit in the session's limit.
            ProtocolError: another total than before.
            SessionLost: the session ended.
        """
        with self._changed:
            self._check()
            known = self._incoming.get(transfer)
            if known is not None:
                if known.total != total:
                    raise ProtocolError(f"Transfer {transfer} was announced with {known.total} bytes, now with {total}.")
                return known
            if transfer in self._finished:
                done = Incoming(total, None, memoryview(b""))
                done.received, done.taken = total, True
                return done
        staging = self._staging(total)
        view = memoryview(staging).cast("B")[:total]
        with self._changed:
            return self._incoming.setdefault(transfer, Incoming(total, staging, view))

    def advance(self, transfer: int, received: int) -> None:
        """`received` contiguous bytes are in place."""
        with self._changed:
            known = self._incoming.get(transfer)
            if known is not None and received > known.received:
                known.received = received
                if received >= known.total:
                    self._changed.notify_all()

    def fail(self, transfer: int, error: BaseException) -> None:
        """The transfer cannot complete (out of memory, for one): `@upload` raises this."""
        with self._changed:
            self._failed[transfer] = error
            self._changed.notify_all()

    def wait_incoming(self, transfer: int) -> Incoming:
        """Wait until the transfer is complete and take it; for `@upload`.

        Raises:
            SessionLost: the session ended while waiting. Or the transfer's own error.
        """
        with self._changed:
            while True:
                self._check()
                if transfer in self._failed:
                    raise self._failed.pop(transfer)
                known = self._incoming.get(transfer)
                if known is not None and known.received >= known.total:
                    del self._incoming[transfer]
                    known.taken = True
                    self._finished.add(transfer)
                    return known
                if transfer in self._finished:
                    raise ProtocolError(f"Transfer {transfer} was used already.")
                self._changed.wait()

    # -- Get ----------------------------------------------------------------------------------------------------------

    def export(self, transfer: int, data: memoryview) -> None:
        """The bytes are ready for Get; they stay unchanged until the id is freed."""
        with self._changed:
            self._check()
            self._outgoing[transfer] = data
            self._changed.notify_all()

    def fail_export(self, transfer: int, error: BaseException) -> None:
        """There will be no bytes: a Get that waits raises this."""
        self.fail(transfer, error)

    def wait_outgoing(self, transfer: int, timeout_s: float | None = None) -> memoryview | None:
        """The bytes under a transfer id, as soon as they are there; None when `timeout_s` has passed. Raises the export's error."""
        with self._changed:
            while transfer not in self._outgoing:
                self._check()
                if transfer in self._failed:
                    raise self._failed[transfer]
                if not self._changed.wait(timeout_s):
                    return None
            return self._outgoing[transfer]

    # -- both ---------------------------------------------------------------------------------------------------------

    def free(self, transfer: int) -> None:
        """The client has freed this id. Unknown ids are no error."""
        if not (self._incoming or self._outgoing or self._finished or self._failed):
            return
        with self._changed:
            self._outgoing.pop(transfer, None)
            self._finished.discard(transfer)
            self._failed.pop(transfer, None)
            dropped = self._incoming.pop(transfer, None)
        if dropped is not None and not dropped.taken:
            self._discard(dropped.total)

    def exported_bytes(self) -> int:
        """Bytes that wait for Get."""
        with self._changed:
            return sum(data.nbytes for data in self._outgoing.values())

    def end(self, reason: str) -> None:
        """The session is over: everyone who waits gets SessionLost, and all memory is let go."""
        with self._changed:
            self._ended = reason or "The session ended."
            self._incoming.clear()
            self._outgoing.clear()
            self._changed.notify_all()

    def _check(self) -> None:
        if self._ended:
            raise SessionLost(self._ended)
