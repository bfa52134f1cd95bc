"""The handle table: handle -> array, remote object or stored error; and which arrays share a buffer.

Most arrays are alone in their buffer and cost one dict entry. A buffer gets a `Buffer` record only when a second array looks
into it (a view, an alias, a result whose memory belongs to a hidden array) or when it is poisoned.

Note [Buffers]: the *root* of an array is the last array on its `.base` chain, and stands for the memory. An array that is its own
root and has no record is charged `nbytes`; a record is charged once, until its last handle is freed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from typing import Any

from cupool.contract import ids
from cupool.contract.errors import ForeignArray, ProtocolError, is_before_launch

from .accounting import BLOCK_BYTES, Accounting
from .faults import Propagated, StoredError


def is_disjoint(table: Mapping[int, Any], handles: range) -> bool:
    """Whether no key of a table is in the range, by the smaller of both: a range of a client's may be of any length."""
    if len(handles) > len(table):
        return not any(map(handles.__contains__, table))
    return table.keys().isdisjoint(handles)


class Buffer:
    """One piece of memory that several handles see."""

    __slots__ = ("charged", "error", "handles", "on_free", "root")

    def __init__(self, root: Any, charged: int) -> None:
        self.root = root
        #: bytes it is charged, before rounding
        self.charged = charged
        #: every handle whose array lies in it
        self.handles: set[int] = set()
        #: the poison, if any
        self.error: StoredError | None = None
        #: called when the last handle is gone
        self.on_free: Callable[[], None] | None = None


class Handles:
    """The table of one session. Single-threaded."""

    def __init__(self, accounting: Accounting, array_type: type[Any], limit: int) -> None:
        self.table: dict[int, Any] = {}
        self.buffers: dict[int, Buffer] = {}
        self.accounting = accounting
        self.array_type = array_type
        self.limit = limit
        #: how many stored errors and poisoned buffers there are; while it is 0 nothing needs checking
        self.faults = 0
        #: the handles that the command being executed names, for `rebind`
        self.named: Iterable[int] = ()
        #: where `rebind` adds the handles that it has put onto other memory; None while nobody asks, see tracking.py
        self.moved: set[int] | None = None

    # -- looking up ---------------------------------------------------------------------------------------------------

    def get(self, handle: int) -> Any:
        """The array or object. Raises Propagated for a stored error or poison, and what `unknown` gives."""
        try:
            value = self.table[handle]
        except KeyError:
            raise self.unknown(handle) from None
        if self.faults:
            error = self.error_of(value)
            if error is not None:
                raise Propagated(error)
        return value

    def raw(self, handle: int) -> Any:
        """As `get`, but a poisoned array is handed out: for what is about to be overwritten."""
        try:
            value = self.table[handle]
        except KeyError:
            raise self.unknown(handle) from None
        if type(value) is StoredError:
            raise Propagated(value)
        return value

    def error_of(self, value: Any) -> StoredError | None:
        """The error that stands in place of a value, or poisons its buffer."""
        if type(value) is StoredError:
            return value
        if isinstance(value, self.array_type):
            buffer = self.buffers.get(id(self.root_of(value)))
            return buffer.error if buffer is not None else None
        return None

    def unknown(self, handle: int) -> Exception:
        """The error for a handle that is not in the table."""
        own = next(iter(self.table), None)
        if own is not None and ids.range_of(own) != ids.range_of(handle):
            return ForeignArray(
                "This array belongs to another session: to the parent process of a fork, or to a session that is closed.",
                "Create it in this process, or bring it over with cupy.asnumpy before the fork.",
            )
        return ForeignArray(f"Handle {handle} is not known to this session.", "It was freed, or never made.")

    def root_of(self, array: Any) -> Any:
        """Note [Buffers]."""
        base = array.base
        while isinstance(base, self.array_type):
            array = base
            base = array.base
        return array

    # -- storing ------------------------------------------------------------------------------------------------------

    def refuse_known(self, handle: int) -> None:
        """Raises ProtocolError when the handle is taken or cannot be one."""
        if handle in self.table:
            raise ProtocolError(f"Handle {handle} is already in use; handles are never minted twice.")
        if handle <= 0:
            raise ProtocolError(f"Handle {handle} is out of range; handles are in 1 .. 2^63-1.")
        if len(self.table) >= self.limit:
            raise ProtocolError(f"More than {self.limit} live handles.", "Free some, or ask for a higher limit.")

    def refuse_any_known(self, handles: list[int]) -> None:
        """As `refuse_known`, for the results of one command."""
        for handle in handles:
            self.refuse_known(handle)
        if len(set(handles)) != len(handles):
            raise ProtocolError("A command's results have the same handle.")

    def put_object(self, handle: int, value: Any) -> None:
        self.refuse_known(handle)
        self.table[handle] = value

    def put_error(self, handle: int, stored: StoredError) -> None:
        if handle in self.table or handle <= 0:
            return
        self.table[handle] = stored
        self.faults += 1

    def put_own(self, handle: int, array: Any) -> None:
        """Store an array that is alone in its buffer and already charged."""
        self.refuse_known(handle)
        self.table[handle] = array

    def put_admitted(self, handle: int, array: Any) -> None:
        """Store a new array that is charged: its own root, or the only array over a hidden one."""
        if array.base is None:
            self.put_own(handle, array)
        else:
            self.put_shared(handle, array, charge=False)

    def put_shared(self, handle: int, array: Any, charge: bool) -> None:
        """Store an array that lies in a buffer with a record, or whose root no handle sees.

        Args:
            charge: charge the root when it gets its record now; False when the caller has charged it.
        """
        self.refuse_known(handle)
        root = self.root_of(array)
        buffer = self.buffers.get(id(root))
        if buffer is None:
            if charge:
                self.accounting.charge(root.nbytes)
            buffer = self.buffers[id(root)] = Buffer(root, root.nbytes if charge else array.nbytes)
        buffer.handles.add(handle)
        self.table[handle] = array

    def put_root(self, handle: int, root: Any, charged: int, on_free: Callable[[], None] | None = None) -> None:
        """Store memory that is a root itself and was charged by the caller: `charged` bytes as an array's, the rest by `on_free`."""
        self.refuse_known(handle)
        buffer = self.buffers[id(root)] = Buffer(root, charged)
        buffer.handles.add(handle)
        buffer.on_free = on_free
        self.table[handle] = root

    def record(self, handle: int, array: Any) -> Buffer:
        """The record of the buffer in which the array under `handle` lies, made if needed."""
        root = self.root_of(array)
        buffer = self.buffers.get(id(root))
        if buffer is None:
            buffer = self.buffers[id(root)] = Buffer(root, root.nbytes)
            buffer.handles.add(handle)
        return buffer

    def put_view(self, handle: int, array: Any, owner: int) -> None:
        """Store a view of the array under the handle `owner`."""
        if handle in self.table or handle <= 0 or len(self.table) >= self.limit:
            self.refuse_known(handle)
        source = self.table[owner]
        root = source if source.base is None else self.root_of(source)
        buffer = self.buffers.get(id(root))
        if buffer is None:
            buffer = self.record(owner, source)
        buffer.handles.add(handle)
        self.table[handle] = array

    # -- freeing ------------------------------------------------------------------------------------------------------

    def free(self, handle: int) -> None:
        """Forget a handle; an unknown one is no error."""
        value = self.table.pop(handle, None)
        if value is not None:
            self.dropped(handle, value)

    def free_plain(self, handles: range) -> bool:
        """Forget handles of arrays that are alone in their memory, and unknown ones; False, and nothing is done, where one is another."""
        table, buffers = self.table, self.buffers
        if is_disjoint(table, handles):
            return True
        values = [value for value in map(table.get, handles) if value is not None]
        if set(map(type, values)) != {self.array_type}:
            return False
        if buffers and (any([v.base is not None for v in values]) or not buffers.keys().isdisjoint(map(id, values))):
            return False
        freed = sum([(value.nbytes + BLOCK_BYTES - 1) & -BLOCK_BYTES for value in values])
        deque(map(table.pop, handles, repeat(None)), maxlen=0)
        self.accounting.used -= freed
        return True

    def dropped(self, handle: int, value: Any) -> None:
        """`value` was taken out of the table: settle its account."""
        if type(value) is StoredError:
            self.faults -= 1
            return
        if not isinstance(value, self.array_type):
            on_dropped = getattr(value, "on_dropped", None)
            if on_dropped is not None:
                on_dropped()
            return
        root = self.root_of(value)
        buffer = self.buffers.get(id(root))
        if buffer is None:
            self.accounting.refund(value.nbytes)
            return
        buffer.handles.discard(handle)
        if not buffer.handles:
            del self.buffers[id(root)]
            self.accounting.refund(buffer.charged)
            if buffer.error is not None:
                self.faults -= 1
            if buffer.on_free is not None:
                buffer.on_free()

    def clear(self) -> None:
        """Free everything."""
        for handle in list(self.table):
            self.free(handle)

    # -- poison -------------------------------------------------------------------------------------------------------

    def poison(self, handle: int, stored: StoredError) -> list[int]:
        """Poison the buffer of the array under `handle`; returns every handle that sees it. The first poison stays."""
        value = self.table.get(handle)
        if value is None or not isinstance(value, self.array_type):
            return []
        buffer = self.record(handle, value)
        if buffer.error is None:
            buffer.error = stored
            self.faults += 1
        return sorted(buffer.handles)

    def cleanse(self, array: Any) -> None:
        """All of `array` was overwritten: when it is all of its buffer, the poison is gone. Objects, which are written too, have none."""
        if not isinstance(array, self.array_type):
            return
        root = self.root_of(array)
        buffer = self.buffers.get(id(root))
        if buffer is None or buffer.error is None or array.nbytes != root.nbytes:
            return
        if array is root or array.flags.c_contiguous or array.flags.f_contiguous:
            buffer.error = None
            self.faults -= 1

    def lift(self) -> None:
        """The poison of what failed before it ran is gone. See Note [Before the launch] in `faults.py`."""
        for buffer in self.buffers.values():
            if buffer.error is not None and is_before_launch(buffer.error.error):
                buffer.error = None
                self.faults -= 1

    # -- moving a buffer ----------------------------------------------------------------------------------------------

    def rebind(self, old: Any, rebuild: Callable[[Any], Any], on_free: Callable[[], None] | None = None) -> None:
        """Put every alias of a buffer onto other memory. The contents are the caller's to copy, before.

        Args:
            old: the root of the buffer, as `root_of` gives it.
            rebuild: array over the old buffer -> the same array (shape, dtype, strides, offset) over the new one. All that
                it returns must have one root.
            on_free: called when the last handle of the new buffer is gone.

        An array alone in its buffer is found among the handles of the command being executed, and else by a search of the table.
        """
        buffer = self.buffers.pop(id(old), None)
        if buffer is None:
            handle = self._owner_of(old)
            buffer = Buffer(old, old.nbytes)
            if handle is not None:
                buffer.handles.add(handle)
        for handle in buffer.handles:
            self.table[handle] = rebuild(self.table[handle])
        if not buffer.handles:
            return
        if self.moved is not None:
            self.moved.update(buffer.handles)
        root = self.root_of(self.table[next(iter(buffer.handles))])
        buffer.root = root
        buffer.on_free = on_free
        self.buffers[id(root)] = buffer

    def _owner_of(self, root: Any) -> int | None:
        for handle in self.named:
            if self._is_over(self.table.get(handle), root):
                return handle
        for handle, value in self.table.items():
            if self._is_over(value, root):
                return handle
        return None

    def _is_over(self, value: Any, root: Any) -> bool:
        """Whether a value is the root, or an array over it: one whose strides are not those that its memory was made with."""
        return value is root or (isinstance(value, self.array_type) and self.root_of(value) is root)
