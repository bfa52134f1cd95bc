"""What is on its way: bytes of Puts until "@upload" takes them, bytes of "@export" until the client frees them.

State of the session, not of a connection: a cut Put or Get goes on where it stopped. Called from the threads of bulk calls and of the
lane, and from the executor; one lock, never held while bytes are copied.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.errors import ProtocolError

from .devices.base import Device

#: Puts that have begun and were not taken, at most. A client of ours has few; more is a client that forgets its ids.
MAX_OPEN = 1024
#: Ids of finished Puts that are remembered, so that a repeat after a lost acknowledgement is answered and not stored.
MAX_REMEMBERED = 1024
#: How often a wait looks whether its caller is still there, seconds.
_LOOK_S = 0.2


class TransferEnded(Exception):
    """The session ended, the transfer was freed, or a newer call took it over."""


class _Gate:
    """Whether bytes count: see Note [Stopped] in boundaries.py. `moved`: the session is elsewhere, a sentence."""

    __slots__ = ("is_stopped", "moved")

    def __init__(self) -> None:
        self.is_stopped = False
        self.moved = ""

    def pass_(self, changed: threading.Condition) -> None:
        """Wait until it is known where the session goes on. With `changed` held. Raises TransferEnded when that is elsewhere."""
        while self.is_stopped:
            changed.wait(_LOOK_S)
        if self.moved:
            raise TransferEnded(self.moved)


class Inbound:
    """One Put.

    Attributes:
        transfer, total: its id and size in bytes.
        staging: the device's staging memory as it gave it; None once finished.
        received: bytes received, contiguous from 0. Written by the holder of the current ticket alone.
        ticket: number of the call that may write; a newer call takes over.
        error: why there will be no bytes (out of memory), else None.
    """

    __slots__ = ("_changed", "_gate", "_store", "error", "received", "staging", "ticket", "total", "transfer")

    def __init__(
        self, transfer: int, total: int, staging: Any, changed: threading.Condition, gate: _Gate | None = None
    ) -> None:
        self.transfer = transfer
        self.total = total
        self.staging = staging
        self.received = 0
        self.ticket = 1
        self.error: BaseException | None = None
        #: (offset, bytes) -> stores them; None once everything is there
        self._store: Callable[[int, np.ndarray[Any, Any]], None] | None = None if staging is None else _storing(staging)
        self._changed = changed
        self._gate = gate or _Gate()

    def restore(self, received: int) -> None:
        """So much had come."""
        self.received = received
        if received == self.total:
            self._store = None

    def write(self, ticket: int, offset: int, data: np.ndarray[Any, Any]) -> None:
        """Store `data` (uint8) at `offset`, which must be what was received so far.

        Raises:
            ProtocolError: another offset, or beyond the end.
            TransferEnded: a newer call writes this transfer.
        """
        size = data.shape[0]
        store = self._store
        if ticket != self.ticket or store is None:
            raise TransferEnded(f"Transfer {self.transfer} was taken over or has ended.")
        if offset != self.received or size > self.total - offset:
            raise ProtocolError(
                f"Transfer {self.transfer}: {size} bytes at {offset}, expected at {self.received} of {self.total} in all."
            )
        store(offset, data)
        with self._changed:
            # Under the lock: a call that was taken over while it copied must not move the mark that the newer one reads.
            self._gate.pass_(self._changed)
            if ticket != self.ticket:
                raise TransferEnded(f"Transfer {self.transfer} was taken over.")
            self.received = offset + size
            if self.received == self.total:
                self._store = None
                self._changed.notify_all()


class ExportFailed(Exception):
    """There will be no bytes, because "@export" failed; `error` is why."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


def root_of(data: Any) -> Any:
    """The array whose memory a memoryview, or a device's staging, shows."""
    own = getattr(data, "root", None)
    if own is not None:
        return own
    owner: Any = memoryview(data).obj
    while isinstance(getattr(owner, "base", None), np.ndarray):
        owner = owner.base
    return owner


def _storing(staging: Any) -> Callable[[int, np.ndarray[Any, Any]], None]:
    """How bytes get into staging memory: by its own `write` where it is not host memory."""
    own: Callable[[int, np.ndarray[Any, Any]], None] | None = getattr(staging, "write", None)
    if own is not None:
        return own
    target = np.frombuffer(staging, np.uint8)

    def store(offset: int, data: np.ndarray[Any, Any]) -> None:
        target[offset : offset + data.shape[0]] = data

    return store


class Outbound:
    """One export. Read `data` under `lock`: a command that is about to write to a pinned array puts a copy in its place.

    Attributes:
        data: the bytes, C order.
        pinned: whether `data` is the array's own memory.
        is_charged: `data` is a copy that counts as staged.
    """

    __slots__ = ("data", "is_charged", "lock", "pinned")

    def __init__(self, data: memoryview, pinned: bool) -> None:
        self.is_charged = not pinned and isinstance(data.obj, np.ndarray)
        if data.nbytes and not isinstance(data.obj, np.ndarray):
            data = np.frombuffer(data, np.uint8).data  # whoever copies the session knows buffers by their arrays
        self.data = data.cast("B") if data.nbytes else memoryview(b"")
        self.pinned = pinned
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.data)


class Transfers:
    """All transfers of one session.

    Args:
        device: gives staging memory, from any thread.
        executed_seq: the last batch executed.
    """

    def __init__(self, device: Device, executed_seq: Callable[[], int]) -> None:
        self._device = device
        self._executed_seq = executed_seq
        self._changed = threading.Condition()
        self._inbound: dict[int, Inbound] = {}
        self._finished: OrderedDict[int, Inbound] = OrderedDict()
        self._outbound: dict[int, Outbound | BaseException] = {}
        #: what `drop` looks in, for who would call it often and mostly in vain; the same two dicts for ever
        self.tables = (self._inbound, self._outbound)
        #: how many exports lie in arrays that commands may write; the executor looks before each write while it is not 0
        self.pinned = 0
        self._closed = False
        self._gate = _Gate()

    # -- moves --------------------------------------------------------------------------------------------------------
    def stop(self) -> None:
        """No byte counts any more until it is known where the session goes on: see Note [Stopped] in boundaries.py."""
        with self._changed:
            self._gate.is_stopped = True

    def go_on(self) -> None:
        """Here."""
        with self._changed:
            self._gate.is_stopped, self._gate.moved = False, ""
            self._changed.notify_all()

    def depart(self, moved: str) -> None:
        """Elsewhere: every wait ends, with this sentence."""
        with self._changed:
            self._gate.is_stopped, self._gate.moved = False, moved
            self._changed.notify_all()

    # -- Puts ---------------------------------------------------------------------------------------------------------
    def begin(self, transfer: int, total: int, after_seq: int, stop: Callable[[], bool]) -> tuple[Inbound, int]:
        """The Put of this id, new or to be resumed, and the ticket to write it with; takes it over from an older call.

        Raises:
            ProtocolError: an id or size that cannot be, or another size than before.
            OutOfMemoryError: also stored, for the "@upload" that names it.
        """
        if not 0 < transfer < 1 << 63 or not 0 < total < 1 << 62:
            raise ProtocolError(f"Put: transfer {transfer} of {total} bytes is out of bounds.")
        with self._changed:
            self._gate.pass_(self._changed)
            self._check_open()
            known = self._inbound.get(transfer) or self._finished.get(transfer)
            if known is not None:
                if known.total != total:
                    raise ProtocolError(f"Put: transfer {transfer} has {known.total} bytes, now {total}.")
                if known.error is not None:
                    raise known.error
                known.ticket += 1
                return known, known.ticket
            if len(self._inbound) >= MAX_OPEN:
                raise ProtocolError(
                    f"Put: {MAX_OPEN} transfers have begun and none was named; free what is not needed."
                )
        staging, error = self._staging(total, after_seq, stop)
        with self._changed:
            self._gate.pass_(self._changed)
            self._check_open()
            # Two calls may have come this far. What the first one was told stays: "@upload" may have told it on.
            inbound = self._inbound.get(transfer) or self._finished.get(transfer)
            if inbound is None:
                inbound = self._inbound[transfer] = Inbound(transfer, total, staging, self._changed, self._gate)
                inbound.error = error
                self._changed.notify_all()
            elif inbound.total != total:
                raise ProtocolError(f"Put: transfer {transfer} has {inbound.total} bytes, now {total}.")
            inbound.ticket += 1  # the later one writes
            if inbound.error is not None:
                raise inbound.error
            return inbound, inbound.ticket

    def _staging(self, total: int, after_seq: int, stop: Callable[[], bool]) -> tuple[Any, BaseException | None]:
        """Staging memory, or the error. Short memory is decided only when the client's frees before it have run."""
        while True:
            late = self._executed_seq() >= after_seq
            try:
                return self._device.staging(total), None
            except MemoryError as error:
                if late:
                    return None, error
            if stop() or self._closed:
                raise TransferEnded("The caller went away.")
            time.sleep(0.002)  # rare: memory is short and frees are still in flight

    def take(self, transfer: int, nbytes: int, stop: Callable[[], bool]) -> Any:
        """For "@upload": the staging memory with all bytes of the transfer; waits for them. Once.

        Raises:
            ProtocolError: the transfer has another size.
            OutOfMemoryError: as the Put was told.
        """
        with self._changed:
            while True:
                inbound = self._inbound.get(transfer)
                if inbound is not None:
                    if inbound.error is not None:
                        raise inbound.error
                    if inbound.total != nbytes:
                        raise ProtocolError(f"Transfer {transfer} has {inbound.total} bytes, the array needs {nbytes}.")
                    if inbound.received == inbound.total:
                        break
                elif transfer in self._finished:
                    raise ProtocolError(f"Transfer {transfer} was used already.")
                self._wait(stop)
            del self._inbound[transfer]
            staging, inbound.staging = inbound.staging, None
            self._finished[transfer] = inbound
            if len(self._finished) > MAX_REMEMBERED:
                self._finished.popitem(last=False)
            return staging

    # -- Gets ---------------------------------------------------------------------------------------------------------
    def export(self, transfer: int, data: memoryview, pinned: bool = False) -> None:
        """For "@export", and for checkpoints, which come from a thread of their own: these bytes are ready for Get. They stay
        unchanged while they are referenced, or, when `pinned`, until `unpin`. Waits while the session is stopped: what a move's
        last look has not seen cannot be in its document. Raises TransferEnded when the session is elsewhere."""
        with self._changed:
            self._gate.pass_(self._changed)
            if len(self._outbound) >= MAX_OPEN:
                raise ProtocolError(f"{MAX_OPEN} exports are held; free the transfer ids that are done.")
            self._outbound[transfer] = Outbound(data, pinned)
            self.pinned += pinned
            self._changed.notify_all()

    def fail(self, transfer: int, error: BaseException) -> None:
        """The "@export" of this transfer failed: a Get that waits for it ends."""
        with self._changed:
            if len(self._outbound) >= MAX_OPEN:
                raise ProtocolError(f"{MAX_OPEN} exports are held; free the transfer ids that are done.")
            self._outbound[transfer] = error
            self._changed.notify_all()

    def unpin(self) -> None:
        """For the executor, before a command writes: pinned exports get copies. Waits for pieces that are being read."""
        with self._changed:
            pinned = [out for out in self._outbound.values() if isinstance(out, Outbound) and out.pinned]
        for out in pinned:
            try:
                copied = memoryview(self._device.staging(len(out)))
                is_charged = True
            except MemoryError:
                # Beyond the limit for a moment, rather than failing who only writes.
                copied, is_charged = np.empty(len(out), np.uint8).data, False
            with out.lock:
                copied[: len(out)] = out.data
                out.data, out.pinned, out.is_charged = copied[: len(out)], False, is_charged
        # Only now: where the machine had no memory for a copy, the command has failed, and the next one that writes asks again.
        with self._changed:
            self.pinned = sum(isinstance(out, Outbound) and out.pinned for out in self._outbound.values())

    def outbound(self, transfer: int, stop: Callable[[], bool]) -> Outbound:
        """The bytes of an export; waits for it. Raises ExportFailed when the command failed, TransferEnded when nobody waits any more."""
        with self._changed:
            while transfer not in self._outbound:
                self._wait(stop)
            data = self._outbound[transfer]
        if isinstance(data, BaseException):
            raise ExportFailed(data)
        return data

    # -- for whoever copies the session -----------------------------------------------------------------------------------

    def memory(self) -> tuple[list[tuple[int, Any, int]], list[Any]]:
        """(transfer, root array of its memory, bytes received) of each Put that has some, and the root arrays of exports."""
        with self._changed:
            inbound = [
                (i.transfer, root_of(i.staging), i.received) for i in self._inbound.values() if i.staging is not None
            ]
            outbound = [root_of(out.data) for out in self._outbound.values() if isinstance(out, Outbound) and len(out)]
        return inbound, outbound

    def snapshot(self) -> tuple[list[Inbound], list[Inbound], dict[int, Outbound | BaseException]]:
        """Puts that have begun, Puts that are finished, exports."""
        with self._changed:
            return list(self._inbound.values()), list(self._finished.values()), dict(self._outbound)

    def restore_inbound(
        self, transfer: int, total: int, staging: Any, received: int, error: BaseException | None
    ) -> None:
        """A Put that had begun elsewhere."""
        inbound = Inbound(transfer, total, staging, self._changed, self._gate)
        inbound.error = error
        inbound.restore(received)
        self._inbound[transfer] = inbound

    def restore_finished(self, transfer: int, total: int, received: int) -> None:
        """A Put whose bytes were taken."""
        inbound = Inbound(transfer, total, None, self._changed, self._gate)
        inbound.received = received
        self._finished[transfer] = inbound

    def restore_outbound(self, transfer: int, data: memoryview, pinned: bool, is_charged: bool) -> None:
        """An export."""
        out = self._outbound[transfer] = Outbound(data, pinned)
        out.is_charged = is_charged
        self.pinned += pinned

    # -- both ---------------------------------------------------------------------------------------------------------
    def drop(self, transfer: int) -> None:
        """The client freed this id: whatever is held under it goes."""
        if not (self._inbound or self._outbound):
            return
        with self._changed:
            out = self._outbound.pop(transfer, None)
            self.pinned -= isinstance(out, Outbound) and out.pinned
            inbound = self._inbound.pop(transfer, None)
            if inbound is not None:
                inbound.ticket += 1
            self._changed.notify_all()

    def close(self) -> None:
        """End every wait and drop everything."""
        with self._changed:
            self._closed = True
            self._gate.is_stopped = False
            for inbound in self._inbound.values():
                inbound.ticket += 1
            self._inbound.clear()
            self._finished.clear()
            self._outbound.clear()
            self.pinned = 0
            self._changed.notify_all()

    @property
    def pinned_bytes(self) -> int:
        """Bytes of arrays that exports read in place."""
        if not self.pinned:
            return 0
        with self._changed:
            return sum(len(out) for out in self._outbound.values() if isinstance(out, Outbound) and out.pinned)

    def _wait(self, stop: Callable[[], bool]) -> None:
        self._check_open()
        if stop():
            raise TransferEnded("The caller went away.")
        self._changed.wait(_LOOK_S)

    def _check_open(self) -> None:
        if self._closed:
            raise TransferEnded("The session has ended.")
        if self._gate.moved:
            raise TransferEnded(self._gate.moved)
