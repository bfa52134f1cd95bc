"""Writes a session down. At a batch boundary, after a look of the tracker, with nothing executed in between.

The reverse of each part is in `restore.py`, in the same order.
"""

from __future__ import annotations

from typing import Any

from cupool.contract.errors import error_to_wire
from cupool.contract.values import dtype_to_wire, encode
from cupool.v1 import document_pb2 as pb

from ..captures import OWN_HANDLES, Graph, Recorder
from ..faults import StoredError
from ..rawmemory import RawFree
from ..tracking import Tracker, without_collection
from ..transfers import Outbound, root_of
from .checks import VERSION, VERSION_NAME, DocumentError, sealed

ARRAY, OBJECT, ERROR = range(3)
_WORD = (1 << 64) - 1


def fixed(session: Any) -> str:
    """Why the session cannot be moved or saved, one sentence; empty when it can. Cheap: asked before anything is copied."""
    executor = session.executor
    if executor.offload is not None and executor.offload.has_functions:
        return (
            "The session has run functions of the program in its server's process (cupool.offload): what they keep there cannot be "
            "taken along."
        )
    return str(executor.device.fixed())


def capture(session: Any, tracker: Tracker) -> bytes:
    """The session's document, see `checks.sealed`.

    Args:
        tracker: has looked, and no command has run since.

    Raises:
        DocumentError: something in it cannot be written down.
    """
    why = fixed(session)
    if why:
        raise DocumentError(why)
    try:
        with without_collection():
            return sealed(_Writer(session, tracker).document())
    except LookupError as error:
        raise DocumentError(f"The session cannot be written down: {error}.") from error


class _Writer:
    """One document being written."""

    def __init__(self, session: Any, tracker: Tracker) -> None:
        self._session = session
        self._executor = session.executor
        self._tracker = tracker
        self._device = session.executor.device
        self._message = pb.SessionDocument(version=VERSION, version_name=VERSION_NAME)
        #: each is numbered from 1 in the document; by identity, so that what was one thing is one again
        self._layouts: dict[Any, int] = {}
        self._errors: dict[int, int] = {}
        self._objects: dict[int, int] = {}
        self._recorders: dict[int, int] = {}
        self._pools: dict[int, int] = {}
        self._buffers: dict[int, tuple[Any, int, int]] = {}  # id -> its root, size, address in the arena
        self._kept: list[Any] = []  # what an id() above stands for stays alive

    def document(self) -> Any:
        message = self._message
        self._origin()
        self._link()
        self._account()
        self._table()
        self._records()
        self._transfers()
        self._captures()
        self._pools_out()
        message.forms.extend(form.message for form in self._executor.all_forms())
        message.place = self._executor._place
        self._buffers_out()
        self._device.write_state(message, {address for _, _, address in self._buffers.values()})
        return message

    # -- small things -------------------------------------------------------------------------------------------------

    def _origin(self) -> None:
        origin, device = self._message.origin, self._device
        info = device.describe()
        origin.kind, origin.fingerprint = info.kind, info.fingerprint
        origin.op_table_digest = self._session.table_digest
        origin.session = self._session.assignment.session

    def _link(self) -> None:
        link, executor = self._message.link, self._executor
        self._session.write_state(link)
        link.executed_seq, link.executed_commands = executor.executed_seq, executor.executed_commands
        link.failed_commands = executor.failed_commands

    def _account(self) -> None:
        account, found = self._executor.accounting, self._message.account
        found.used, found.peak, found.total, found.raw = account.used, account.peak, account.total, account.raw
        found.asked_limit, found.modules, found.kernel_s = account.asked_limit, account.modules, account.kernel_s

    def _layout(self, array: Any) -> int:
        key = (array.dtype, array.shape, array.strides)
        found = self._layouts.get(key)
        if found is None:
            if array.dtype.hasobject:
                raise DocumentError("The session has an array of Python objects, which no document can hold.")
            found = self._layouts[key] = len(self._layouts) + 1
            self._message.layouts.add(dtype=dtype_to_wire(array.dtype), shape=array.shape, strides=array.strides)
        return found

    def _error(self, stored: StoredError | BaseException | None) -> int:
        if stored is None:
            return 0
        found = self._errors.get(id(stored))
        if found is None:
            found = self._errors[id(stored)] = len(self._errors) + 1
            self._kept.append(stored)
            wire = stored.wire() if isinstance(stored, StoredError) else error_to_wire(stored)
            self._message.errors.add().CopyFrom(wire)
        return found

    # -- the handle table ---------------------------------------------------------------------------------------------

    def _table(self) -> None:
        handles, device, tracker = self._executor.handles, self._device, self._tracker
        table, array_type, root_of_array = handles.table, handles.array_type, handles.root_of
        buffers, layouts, make_layout, known_of = self._buffers, self._layouts, self._layout, tracker.known
        kinds: list[int] = []
        numbers: list[int] = []
        ids: list[int] = []
        offsets: list[int] = []
        for value in table.values():
            if isinstance(value, array_type):
                kinds.append(ARRAY)
                numbers.append(layouts.get((value.dtype, value.shape, value.strides)) or make_layout(value))
                if value.base is None:
                    root, offset = value, 0
                else:
                    root = root_of_array(value)
                    offset = device.offset_in(value, root)
                known = known_of(root)
                buffer = known.buffer
                if buffer not in buffers:
                    buffers[buffer] = (root, known.nbytes, known.address)
                ids.append(buffer)
                offsets.append(offset)
                continue
            if type(value) is StoredError:
                kinds.append(ERROR)
                numbers.append(self._error(value))
            else:
                kinds.append(OBJECT)
                numbers.append(self._object(value))
            ids.append(0)
            offsets.append(0)
        found = self._message.table
        found.handle.extend(table)
        found.kind.extend(kinds)
        found.number.extend(numbers)
        found.buffer.extend(ids)
        found.offset.extend(offsets)

    def _object(self, value: Any) -> int:
        found = self._objects.get(id(value))
        if found is None:
            if isinstance(value, Graph):
                made = pb.DocumentObject(kind="graph", recorder=self._recorder(value.recorder))
            else:
                try:
                    kind, state = self._device.object_state(value, self._object)
                except TypeError as error:
                    raise DocumentError(f"The session has an object that no document can hold: {error}.") from None
                made = pb.DocumentObject(kind=kind, state=encode(state))
            self._message.objects.append(made)
            found = self._objects[id(value)] = len(self._message.objects)
            self._kept.append(value)
        return found

    def _buffer(self, root: Any) -> int:
        known = self._tracker.known(root)
        self._buffers[known.buffer] = (root, known.nbytes, known.address)
        return known.buffer

    def _records(self) -> None:
        records = self._message.buffers.records
        for buffer in self._executor.handles.buffers.values():
            number = self._buffer(buffer.root)
            made = records.add(buffer=number, charged=buffer.charged, error=self._error(buffer.error))
            free = buffer.on_free
            if free is None:
                continue
            if not isinstance(free, RawFree):
                raise DocumentError("The session has memory of a kind that no document can hold.")
            made.source, made.raw_bytes = free.source, free.nbytes
            if free.pool is not None:
                made.mempool = self._pool(free.pool)

    def _buffers_out(self) -> None:
        found, layout = self._message.buffers, self._layout
        rows = self._buffers.values()
        found.id.extend(self._buffers)
        found.nbytes.extend([nbytes for _, nbytes, _ in rows])
        found.address.extend([address for _, _, address in rows])
        found.layout.extend([0 if address else layout(root) for root, _, address in rows])
        if self._device.verifies:
            found.digest.extend([self._device.digest(root) for root, _, _ in rows])

    # -- raw memory ---------------------------------------------------------------------------------------------------

    def _pool(self, pool: Any) -> int:
        found = self._pools.get(id(pool))
        if found is None:
            found = self._pools[id(pool)] = len(self._pools) + 1
            self._message.mempools.add(
                number=self._executor.raw_memory.number_of(pool), used=pool.used, used_high=pool.used_high, reserved=pool.reserved,
                reserved_high=pool.reserved_high, threshold=pool.threshold,
            )  # fmt: skip
        return found

    def _pools_out(self) -> None:
        raw = self._executor.raw_memory
        for pool in raw.pools.values():
            self._pool(pool)
        self._message.last_mempool = raw.last
        self._message.mempool_flags.extend(raw.flags[n] for n in sorted(raw.flags))

    # -- transfers ----------------------------------------------------------------------------------------------------

    def _transfers(self) -> None:
        found = self._message.transfers
        inbound, finished, outbound = self._executor.transfers.snapshot()
        for one in inbound:
            if one.staging is not None and not self._tracker.has_seen(one.transfer):
                continue  # begun since the look, by another thread: its client begins it again
            made = found.inbound.add(transfer=one.transfer, total=one.total, error=self._error(one.error))
            if one.staging is not None:
                root = root_of(one.staging)
                made.buffer, made.received = self._buffer(root), self._tracker.received(one.transfer)
        for one in finished:
            found.finished.add(transfer=one.transfer, total=one.total, received=one.received)
        for transfer, out in outbound.items():
            export = found.outbound.add(transfer=transfer)
            if not isinstance(out, Outbound):
                export.error = self._error(out)
                continue
            export.nbytes, export.pinned, export.charged = len(out), out.pinned, out.is_charged
            if len(out):
                root = root_of(out.data)
                export.buffer = self._buffer(root)
                export.offset = self._device.offset_of_bytes(out.data, root)

    # -- captures and graphs ------------------------------------------------------------------------------------------

    def _captures(self) -> None:
        captures = self._executor.captures
        for number, recorder in captures.recorders.items():
            made = self._message.open_captures.add(capture=number, recorder=self._recorder(recorder))
            made.streams.extend(stream for stream, one in captures.by_stream.items() if one is recorder)
        self._message.next_own_handle = captures.numbers.next - OWN_HANDLES

    def _recorder(self, recorder: Recorder) -> int:
        found = self._recorders.get(id(recorder))
        if found is None:
            found = self._recorders[id(recorder)] = len(self._recorders) + 1
            self._kept.append(recorder)
            made = self._message.recorders.add()
            made.owned.extend(handle - OWN_HANDLES for handle in recorder.owned)
            made.client.extend(recorder.own)
            made.own.extend(handle - OWN_HANDLES for handle in recorder.own.values())
            for node in recorder.nodes:
                results = range(1, 1 + len(node.form.results))
                words = [0 if k in results else word & _WORD for k, word in enumerate(node.words)]
                one = made.nodes.add(form=node.form.message, words=words)
                one.values.extend(node.values)
                one.targets.extend(handle - OWN_HANDLES for handle in node.targets)
                one.written.extend(handle - OWN_HANDLES for handle in node.written)
        return found


__all__ = ["ARRAY", "ERROR", "OBJECT", "capture", "fixed"]
