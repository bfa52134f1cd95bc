"""Makes a session again out of its document and its buffers. Everything is checked: a document is not believed to be consistent.

The reverse of `capture.py`, part by part. The executor and session are fresh ones, that nobody has used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError

from cupool.contract.errors import CupoolError, ProtocolError, error_from_wire
from cupool.contract.spec import Spec
from cupool.contract.values import decode
from cupool.v1 import session_pb2

from ..captures import OWN_HANDLES, Graph, Node, Recorder
from ..faults import StoredError
from ..forms import ARRAY as RESULT_ARRAY
from ..forms import SLOT_HANDLE, SLOT_VALUE, Form, spec_from_wire
from ..handles import Buffer
from ..rawmemory import MemPool, RawFree
from .capture import ARRAY, ERROR, OBJECT
from .checks import DocumentError, columns, inconsistent

_SIGN = 1 << 63
#: Buffer id -> the root array that `Device.place` gave.
Roots = dict[int, Any]


def check_origin(message: Any, device: Any, table_digest: bytes, session: str) -> None:
    """Raises DocumentError when a document cannot be restored here."""
    origin, info = message.origin, device.describe()
    why = device.fixed()
    if why:
        raise DocumentError(why)
    if origin.kind != info.kind:
        raise DocumentError(f"The document is of a {origin.kind[:20]!r} device, this server has a {info.kind!r} one.")
    if origin.fingerprint != info.fingerprint:
        raise DocumentError(
            f"The document was written where numbers come out differently: its fingerprint is {origin.fingerprint[:200]!r}, this "
            f"server's {info.fingerprint!r}."
        )
    if origin.op_table_digest != table_digest:
        raise DocumentError(
            "The document was written by a server with another op table; restore it with the same cupool."
        )
    if origin.session != session:
        raise DocumentError(f"The document is of session {origin.session[:80]!r}, not of {session!r}.")


def restore(message: Any, roots: Roots, session: Any) -> None:
    """Fill a fresh session.

    Args:
        message: a `SessionDocument`, its origin checked.
        roots: takes out what is used.

    Raises:
        DocumentError: it cannot be restored; the session is unusable then.
    """
    try:
        _Reader(message, roots, session).read()
    except DocumentError:
        raise
    except (
        ProtocolError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        OverflowError,
        AttributeError,
        DecodeError,
        RecursionError,
    ) as error:
        raise inconsistent(f"{type(error).__name__}: {str(error)[:300]}") from error
    except (CupoolError, MemoryError, OSError, RuntimeError) as error:
        raise DocumentError(f"The session cannot be restored here: {str(error)[:300]}") from error


class _Reader:
    """One document being restored."""

    def __init__(self, message: Any, roots: Roots, session: Any) -> None:
        self._message = message
        self._roots = roots
        self._session = session
        self._executor = session.executor
        self._device = session.executor.device
        self._handles = session.executor.handles
        self._errors: list[StoredError] = []
        self._specs: list[Spec] = []
        self._shaped: dict[int, int] = {}  # buffer -> number of the layout that its root has
        self._pools: list[MemPool] = []
        self._objects: list[Any] = []
        self._recorders: list[Recorder] = []
        self._with_record: dict[int, Any] = {}

    def read(self) -> None:
        message, executor = self._message, self._executor
        self._errors = [StoredError.restored(wire) for wire in message.errors]
        self._specs = [
            spec_from_wire(session_pb2.ResultSpec(dtype=m.dtype, shape=m.shape, strides=m.strides))
            for m in message.layouts
        ]
        if any(spec.dtype.hasobject for spec in self._specs):
            raise inconsistent("an array of Python objects")
        self._account()
        self._buffers()
        self._device.read_state(message)
        self._define_forms()
        self._mempools()
        self._objects_in()
        self._table()
        self._records()
        self._captures()
        self._transfers()
        link = message.link
        executor.executed_seq, executor.executed_commands = link.executed_seq, link.executed_commands
        executor.failed_commands = link.failed_commands
        if max(link.executed_seq, link.executed_commands, link.failed_commands) >= _SIGN:
            raise inconsistent("a number of commands that nobody can have sent")
        self._session.read_state(link)
        if message.place >= 1 << 16:
            raise inconsistent("a stream that cannot be")
        executor._place = message.place
        if self._device.select is not None:
            executor._select(0, message.place)

    # -- small things -------------------------------------------------------------------------------------------------

    def _account(self) -> None:
        account, found = self._executor.accounting, self._message.account
        if found.used + found.raw > account.lease_limit:
            raise DocumentError(
                f"The session holds {found.used + found.raw} bytes; it may hold {account.lease_limit} here."
            )
        account.restore(found.used, found.peak, found.total, found.raw, found.asked_limit)
        account.modules, account.kernel_s = found.modules, found.kernel_s

    def _error(self, number: int) -> StoredError | None:
        return self._errors[number - 1] if number else None

    def _define_forms(self) -> None:
        forms = [session_pb2.Form.FromString(data) for data in self._message.forms]
        if len({form.id for form in forms}) != len(forms):
            raise inconsistent("two forms of one number")
        self._executor.define(forms, False)

    # -- memory -------------------------------------------------------------------------------------------------------

    def _buffers(self) -> None:
        found = self._message.buffers
        columns("buffers", found.id, found.nbytes, found.address, found.layout)
        device, roots, specs = self._device, self._roots, self._specs
        kept: Roots = {}
        for number, nbytes, address, layout in zip(found.id, found.nbytes, found.address, found.layout, strict=True):
            root = roots.pop(number, None)
            if root is None:
                raise inconsistent(f"buffer {number} is named, and did not come")
            if root.nbytes != nbytes or device.arena_address(root) != address:
                raise inconsistent(
                    f"buffer {number} has {root.nbytes} bytes, the document says {nbytes}, or lies elsewhere"
                )
            device.landed(root)
            if layout and device.shaped(root, specs[layout - 1]):
                self._shaped[number] = layout
            kept[number] = root
        self._verify(kept)
        roots.clear()  # what is not named goes
        roots.update(kept)

    def _verify(self, roots: Roots) -> None:
        """What is here is what was there. Raises DocumentError."""
        if not self._device.verifies:
            return
        found = self._message.buffers
        columns("digests", found.id, found.digest)
        for number, digest in zip(found.id, found.digest, strict=True):
            if self._device.digest(roots[number]) != digest:
                raise DocumentError(f"Buffer {number} does not hold here what it held where it came from.")

    def _mempools(self) -> None:
        raw, message = self._executor.raw_memory, self._message
        pools: dict[int, MemPool] = {}
        for found in message.mempools:
            pool = MemPool(
                found.used, found.used_high, found.reserved, found.reserved_high, found.threshold, found.number == 0
            )
            if found.number and pools.setdefault(found.number, pool) is not pool:
                raise inconsistent("two memory pools of one number")
            self._pools.append(pool)
        if not set(raw.pools) <= set(pools) or len(message.mempool_flags) != 3:
            raise inconsistent("the default memory pool is missing")
        raw.pools, raw.last = pools, message.last_mempool
        raw.flags = dict(zip((1, 2, 3), message.mempool_flags, strict=True))

    # -- objects ------------------------------------------------------------------------------------------------------

    def _objects_in(self) -> None:
        for number, recorder in enumerate(self._message.recorders, 1):
            self._recorders.append(self._recorder(number, recorder))
        graphs = 0
        for found in self._message.objects:
            if found.kind == "graph":
                self._objects.append(Graph(self._recorders[_place(found.recorder, len(self._recorders))]))
                graphs += 1
            else:
                self._objects.append(self._device.object_of(found.kind, decode(found.state), self._object_at))

    def _object_at(self, number: int) -> Any:
        return self._objects[_place(number, len(self._objects))]

    def _recorder(self, number: int, found: Any) -> Recorder:
        made = Recorder(self._executor, self._executor.captures.numbers)
        columns(f"recorder {number}", found.client, found.own)
        made.owned = [handle + OWN_HANDLES for handle in found.owned]
        made.own = dict(zip(found.client, (handle + OWN_HANDLES for handle in found.own), strict=True))
        forms: dict[bytes, Form] = {}
        for node in found.nodes:
            form = forms.get(node.form)
            if form is None:
                form = forms[node.form] = self._executor.compile_form(session_pb2.Form.FromString(node.form))
            made.nodes.append(_node(form, node))
        return made

    # -- the handle table ---------------------------------------------------------------------------------------------

    def _table(self) -> None:
        found, handles, device, roots, specs, shaped = (
            self._message.table, self._handles, self._device, self._roots, self._specs, self._shaped,
        )  # fmt: skip
        columns("handles", found.handle, found.kind, found.number, found.buffer, found.offset)
        if len(found.handle) > handles.limit:
            raise DocumentError(f"The session has {len(found.handle)} handles; it may have {handles.limit} here.")
        table = handles.table
        alone: dict[int, int] = {}
        records = self._with_record = {record.buffer: record for record in self._message.buffers.records}
        if len(records) != len(self._message.buffers.records):
            raise inconsistent("two records of one buffer")
        self._members: dict[int, list[int]] = {number: [] for number in records}
        for handle, kind, number, buffer, offset in zip(
            found.handle, found.kind, found.number, found.buffer, found.offset, strict=True
        ):
            if handle in table or not handle:
                raise inconsistent(f"handle {handle} is in it twice, or is none")
            if kind == ARRAY:
                root, layout = roots[buffer], number
                if not offset and shaped.get(buffer) == layout:
                    table[handle] = root
                else:
                    table[handle] = device.array_over(root, offset, specs[_place(layout, len(specs))])
                if buffer in records:
                    self._members[buffer].append(handle)
                elif alone.setdefault(buffer, handle) != handle:
                    raise inconsistent(f"buffer {buffer} has several handles and no record")
                elif table[handle] is not root:
                    # Its root could not be made what it was; a record says the same.
                    made = handles.buffers[id(root)] = Buffer(root, root.nbytes)
                    made.handles.add(handle)
            elif kind == OBJECT:
                table[handle] = self._object_at(number)
            elif kind == ERROR:
                table[handle] = self._errors[_place(number, len(self._errors))]
                handles.faults += 1
            else:
                raise inconsistent(f"handle {handle} is of no kind")

    def _records(self) -> None:
        handles, raw = self._handles, self._executor.raw_memory
        for number, found in self._with_record.items():
            root, members = self._roots[number], self._members[number]
            if not members:
                raise inconsistent(f"buffer {number} has a record and no handle")
            buffer = handles.buffers[id(root)] = Buffer(root, found.charged)
            buffer.handles.update(members)
            if found.error:
                buffer.error = self._errors[_place(found.error, len(self._errors))]
                handles.faults += 1
            if found.source:
                if found.source > 3 or (found.source == 3) != bool(found.mempool):
                    raise inconsistent("raw memory of no source")
                pool = self._pools[found.mempool - 1] if found.mempool else None
                buffer.on_free = RawFree(raw, found.source, found.raw_bytes, pool)

    # -- captures and transfers ---------------------------------------------------------------------------------------

    def _captures(self) -> None:
        captures, message, table = self._executor.captures, self._message, self._handles.table
        if message.next_own_handle >= _SIGN:
            raise inconsistent("the number of a graph's handle")
        captures.numbers.next = message.next_own_handle + OWN_HANDLES
        for recorder in self._recorders:
            named = {*recorder.owned, *recorder.own.values()}
            for node in recorder.nodes:
                named.update(node.targets, node.written)
                named.update(node.words[slot.offset] for slot in node.form.slots if slot.kind == SLOT_HANDLE)
            if not all(OWN_HANDLES <= handle < captures.numbers.next and handle in table for handle in named):
                raise inconsistent("a recorded command names a handle that is not there")
        for found in message.open_captures:
            recorder = self._recorders[_place(found.recorder, len(self._recorders))]
            if captures.recorders.setdefault(found.capture, recorder) is not recorder:
                raise inconsistent("two captures of one number")
            captures.by_stream.update(dict.fromkeys(found.streams, recorder))

    def _transfers(self) -> None:
        transfers, found, device = self._executor.transfers, self._message.transfers, self._device
        for one in found.inbound:
            root = self._roots[one.buffer] if one.buffer else None
            error = error_from_wire(self._message.errors[_place(one.error, len(self._errors))]) if one.error else None
            if (
                (root is None) == (error is None)
                or one.received > one.total
                or (root is not None and root.nbytes < one.total)
            ):
                raise inconsistent(f"transfer {one.transfer}")
            transfers.restore_inbound(
                one.transfer, one.total, None if root is None else device.staged(root), one.received, error
            )
        for one in found.finished:
            transfers.restore_finished(one.transfer, one.total, one.received)
        for one in found.outbound:
            if one.error:
                transfers.fail(
                    one.transfer, error_from_wire(self._message.errors[_place(one.error, len(self._errors))])
                )
                continue
            data = memoryview(b"")
            if one.nbytes:
                root = self._roots[one.buffer]
                if one.offset + one.nbytes > root.nbytes:
                    raise inconsistent(f"export {one.transfer} does not lie in its buffer")
                if one.charged:
                    device.staged(root)
                data = device.bytes_of(root)[one.offset : one.offset + one.nbytes].data
            transfers.restore_outbound(one.transfer, data, one.pinned, one.charged)


def _place(number: int, count: int) -> int:
    """Of a number that counts from 1. Raises DocumentError."""
    if not 1 <= number <= count:
        raise inconsistent(f"number {number} of {count}")
    return number - 1


def _node(form: Form, found: Any) -> Node:
    """A recorded command."""
    if len(found.words) != form.width:
        raise inconsistent("a recorded command of another length")
    handles = {slot.offset for slot in form.slots if slot.kind == SLOT_HANDLE}
    words = [word if offset in handles or word < _SIGN else word - (1 << 64) for offset, word in enumerate(found.words)]
    values = list(found.values)
    if any(slot.kind == SLOT_VALUE and not 0 <= words[slot.offset] < len(values) for slot in form.slots):
        raise inconsistent("a recorded command names a value that is not there")
    if len(found.targets) != len(form.results) or any(plan.kind != RESULT_ARRAY for plan in form.results):
        raise inconsistent("a recorded command with other results")
    targets, written = ([handle + OWN_HANDLES for handle in one] for one in (found.targets, found.written))
    return Node(form, words, values, targets, written)


Opener = Callable[[Any], Any]
__all__ = ["Opener", "Roots", "check_origin", "restore"]
