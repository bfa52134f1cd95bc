"""What a window's commands do to handles and to the account, kept until they have run: with that, nothing of a window shows before.

The account is charged and refunded as if each command had run in its turn, so that a command finds room where it would have found it. The
table is changed at the end, in the order of the commands.

Boundary: handles and the account; what is computed is the device's windows'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from cupool.contract.codec import FORM_MASK
from cupool.contract.errors import OutOfMemoryError

from ..accounting import rounded
from ..forms import SLOT_HANDLE, SLOT_INTEGER
from ..places import place_of

if TYPE_CHECKING:
    from ..executor import Executor
    from .kinds import Join

#: Commands after which a window is given up in which no two have joined.
PATIENCE = 16
#: What is done at the end, for each command in its turn: the table gets a result; a handle is freed; a form's own step runs; memory that
#: was there is written.
PUT, FREE, STEP, MARK = range(4)


class Made(Protocol):
    """A value of a window, as far as the books know it.

    Attributes:
        array: its memory; None while it has none.
        nbytes: of its elements.
        is_view: it looks into the memory of another.
        is_forced: it has memory from the start, because something looks into it.
        is_dead: its handle is freed, or stands for another value.
    """

    array: Any
    nbytes: int
    is_view: bool
    is_forced: bool
    is_dead: bool


class Books:
    """Of one window."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._table = executor.handles.table
        self._buffers = executor.handles.buffers
        self._root_of = executor.device.buffer_of
        self._array_type = executor.device.array_type
        self._account = executor.accounting
        self._before = self._account.used, self._account.peak, self._account.total
        #: handle -> a value made here, or a view
        self._made: dict[int, Any] = {}
        #: handle -> an array that was there before
        self._found: dict[int, Any] = {}
        self._gone: set[int] = set()
        #: id of a root that several look into -> the handles of those, what it is charged
        self._holders: dict[int, tuple[set[int], int]] = {}
        #: bytes refunded here, which the frees themselves will refund when the window has run
        self._promised = 0
        self._actions: list[tuple[int, int, Any]] = []
        #: handle -> what the table gets
        self._final: dict[int, Made] = {}
        #: bytes of arrays that were freed here and are operands
        self._held = 0
        #: how many commands there were when the first one came again, each time: a loop's rounds, for its line is in its header
        self.rounds: list[int] = []
        #: whether anything is gained over running each command by itself
        self.is_worth = False

    def look(self, words: list[int], i: int, most: int) -> tuple[int, int, int]:
        """Collect commands, `most` at most. Returns the index behind them, how many they are, and the index of the last one."""
        executor = self._executor
        forms, n, count, last, first, rounds = executor.forms, len(words), 0, i, words[i], self.rounds
        # Where order is total, places do not matter.
        place = place_of(words[i]) if executor.device.select is not None else None
        while i < n and count < most and (count < PATIENCE or self.is_worth):
            header = words[i]
            if not header:
                if i + 2 > n:
                    break
                if not self.free(words[i + 1]):
                    break
                last, i = i, i + 2
            else:
                if header == first and count:
                    rounds.append(count)
                form = forms.get(header & FORM_MASK)
                join = form.join if form is not None and header > 0 else None
                if join is None or (place is not None and place_of(header) != place):
                    break
                if i + join.width > n or not join.take(self, words, i):
                    break
                last, i = i, i + join.width
            count += 1
        return i, count, last

    def value(self, handle: int) -> Any:
        """What is under a handle at this point; None: nothing that can be in a chain."""
        found = self._made.get(handle) or self._found.get(handle)
        if found is None and handle not in self._gone:
            array = self._table.get(handle)
            found = self._admit(array) if isinstance(array, self._array_type) else None
            if found is not None:
                self._found[handle] = found
        return found

    def _admit(self, array: Any) -> Any:
        """The value of an array that was there before; None: it cannot be in a chain."""
        raise NotImplementedError

    def _operands_of(self, join: Join, words: list[int], i: int) -> tuple[list[Any], tuple[Any, ...]] | None:
        """The values and numbers of a command, and the key of their types; None: one cannot be in a chain."""
        values: list[Any] = []
        key: list[Any] = []
        for kind, at in join.operands:
            if kind == SLOT_HANDLE:
                value = self.value(words[i + at])
                if value is None:
                    return None
                values.append(value)
                key.append(value.dtype)
            elif kind == SLOT_INTEGER:
                values.append(words[i + at])
                key.append(words[i + at])
            else:
                values.append(float(self._executor.reals[i + at]))
                key.append(float)
        return values, tuple(key)

    def _is_free(self, handle: int) -> bool:
        return handle > 0 and handle not in self._table and handle not in self._made and handle not in self._gone

    def _charge(self, size: int) -> bool:
        """Charge a result; False where there is no room for it: the command runs by itself, and says so."""
        account = self._account
        if account.used + size > account.ceiling:
            try:
                account.grow(size)
            except OutOfMemoryError:
                return False
        account.used += size
        return True

    def free(self, handle: int) -> bool:
        """A free; False: of something that only its own free can tell the account of."""
        value = self._made.get(handle)
        if value is not None:
            del self._made[handle]
            self._gone.add(handle)
            if value.is_view or value.is_forced:
                self._final[handle] = value
                self._leave(value.array, handle)
            else:
                self._account.used -= rounded(value.nbytes)
                value.is_dead = True
            return True
        array = self._table.get(handle) if handle not in self._gone else None
        if array is None:
            self._actions.append((FREE, handle, None))
        elif isinstance(array, self._array_type):
            self._leave(array, handle)
        else:
            return False
        self._gone.add(handle)
        found = self._found.pop(handle, None)
        if found is not None:
            self._dies(handle, found)
        return True

    def _dies(self, handle: int, found: Any) -> None:
        """An operand that was there before is freed."""

    def _leave(self, array: Any, handle: int) -> None:
        """A handle of memory that was there before, or that something looks into, is freed: refund it with its last handle."""
        root = self._root_of(array)
        known = self._holders.get(id(root))
        if known is None and id(root) in self._buffers:
            known = self._holder(root, handle)
        if known is None:
            charged = array.nbytes  # nobody else looks into it
        else:
            known[0].discard(handle)
            charged = 0 if known[0] else known[1]
        size = rounded(charged)
        self._account.used -= size
        self._promised += size
        self._held += charged
        self._actions.append((FREE, handle, None))

    def _holder(self, root: Any, handle: int) -> tuple[set[int], int]:
        """The handles that look into a buffer at this point, and what it is charged."""
        found = self._holders.get(id(root))
        if found is None:
            buffer = self._buffers.get(id(root))
            found = ({handle}, root.nbytes) if buffer is None else (set(buffer.handles), buffer.charged)
            self._holders[id(root)] = found
        return found

    def undo(self) -> None:
        """Nothing of it shall run: each command then charges what it makes."""
        self._account.rewind(*self._before)

    def commit(self, words: list[int]) -> None:
        """The table as the commands leave it."""
        executor, table = self._executor, self._table
        tracker = executor.tracker if executor.tracker is not None and executor.tracker.is_on else None
        self._final.update(self._made)
        self._account.used += self._promised
        for action, what, form in self._actions:
            if action == PUT:
                value = self._final.get(what)
                if value is not None:
                    table[what] = value.array
            elif action == STEP:
                form.step(words, what)
            elif action == FREE:
                gone = table.pop(what, None)
                if gone is None:
                    executor.transfers.drop(what)
                else:
                    executor.handles.dropped(what, gone)
            elif tracker is not None:
                tracker.mark(what)


__all__ = ["FREE", "MARK", "PATIENCE", "PUT", "STEP", "Books", "Made"]
