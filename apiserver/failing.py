"""What a command's failure leaves: an error under the handles that it promised, poison where it was to write, answers, and word of it.

Boundary: the part of the executor that runs when a command has not.
"""

from __future__ import annotations

from typing import Any

from cupool.contract.codec import FORM_MASK, TAG_SHIFT
from cupool.contract.errors import OutOfMemoryError, ProtocolError
from cupool.contract.limits import Limits
from cupool.v1 import session_pb2

from .accounting import Accounting
from .devices.base import Device
from .faults import Propagated, StoredError
from .forms import KERNELS, REPLY, SLOT_HANDLE, SLOT_VALUE, UNKNOWN, Form, handles_in
from .handles import Handles

#: Characters of a kernel's name that are told.
LONGEST_NAME = 200


class Failing:
    """Of an executor, which has these; `failed_commands` counts all of its failures, the others are of the running batch."""

    accounting: Accounting
    device: Device
    #: why the session cannot go on, one sentence; what fails after it is the same failure
    fault: str
    handles: Handles
    limits: Limits
    failed_commands: int
    values: Any
    _forms: dict[int, Form]
    _told_bytes: int
    _results: list[bytes]
    _failures: list[Any]

    def _failed(self, words: list[int], i: int, position: int, error: BaseException) -> int:
        """Book the failure of the command at `i`: store, poison, tell. Returns the command's width.

        Raises:
            ProtocolError: the command is malformed, not failed.
        """
        header = words[i]
        form = self._forms.get(header & FORM_MASK) if header > 0 else None
        if header == 0:
            if i + 2 > len(words):
                raise ProtocolError("The last command of a batch is cut off.")
            raise error
        if form is None:
            raise ProtocolError(
                f"Form {header & FORM_MASK} is not defined." if header > 0 else "A command's header is negative."
            )
        if i + form.width > len(words):
            raise ProtocolError(f"The last command of a batch is cut off: {form.row.name} has {form.width} words.")
        for handle in words[i + 1 : i + 1 + len(form.results)]:
            if handle <= 0:
                raise ProtocolError(f"Handle {handle} is out of range; handles are in 1 .. 2^63-1.")
        if isinstance(error, ProtocolError):
            raise error
        error = self._cause(form, words, i, error)
        self.fault = self.fault or self.device.fault_of(error)
        propagated = isinstance(error, Propagated)
        stored = error.stored if isinstance(error, Propagated) else StoredError(_as_user_error(error, self.accounting))
        touched = [] if form.settled else self._poison_written(form, words, i, stored)
        if touched and touched[0] <= 0:
            # Results are stored without a look at their handles' sign: here it would show first.
            raise ProtocolError(f"Handle {touched[0]} is out of range; handles are in 1 .. 2^63-1.")
        answered = self._store_error(form, words, i, stored, touched)
        if not propagated:
            self.failed_commands += 1
            if not answered:
                self._tell(header, form, touched, stored, position, self._kernel_of(form, words, i))
        return form.width

    def _kernel_of(self, form: Form, words: list[int], i: int) -> str:
        """The name of the program's own kernel that the command runs; empty: it runs none, or it is not known."""
        if form.row.name not in KERNELS:
            return ""
        slot = next((slot for slot in form.slots if slot.kind == SLOT_HANDLE), None)
        kernel = self.handles.table.get(words[i + slot.offset]) if slot is not None else None
        return str(getattr(kernel, "name", ""))[:LONGEST_NAME]

    def _tell(
        self, header: int, form: Form, touched: list[int], stored: StoredError, position: int, kernel: str
    ) -> None:
        """Add a Failure to what this batch answers. When there are very many the rest is left out: they only tell early."""
        failure = session_pb2.Failure(
            tag=header >> TAG_SHIFT,
            op=form.row.name,
            handles=touched,
            error=stored.wire(),
            position=position,
            kernel=kernel,
        )
        self._told_bytes += failure.ByteSize()
        if self._told_bytes < self.limits.inflight_bytes // 4:
            self._failures.append(failure)

    def _cause(self, form: Form, words: list[int], i: int, error: BaseException) -> BaseException:
        """What really went wrong: an unknown handle or a stored error among the operands shows first as something else."""
        for slot in form.slots:
            if slot.kind == SLOT_HANDLE:
                handle = words[i + slot.offset]
                value = self.handles.table.get(handle)
                if value is None:
                    return self.handles.unknown(handle)
                if type(value) is StoredError:
                    return Propagated(value)
        return error

    def _poison_written(self, form: Form, words: list[int], i: int, stored: StoredError) -> list[int]:
        touched: set[int] = set()
        for slot in form.written:
            if slot.kind == SLOT_HANDLE:
                touched.update(self.handles.poison(words[i + slot.offset], stored))
            elif slot.kind == SLOT_VALUE:
                for handle in handles_in(self.values, words[i + slot.offset]):
                    touched.update(self.handles.poison(handle, stored))
        return sorted(touched)

    def _store_error(self, form: Form, words: list[int], i: int, stored: StoredError, touched: list[int]) -> bool:
        """Put the error under the promised handles (added to `touched`); answer replies with it. Returns whether a reply told it."""
        told = False
        for k, plan in enumerate(form.results):
            handle = words[i + 1 + k]
            if plan.kind in (REPLY, UNKNOWN):
                self._results.append(session_pb2.Result(id=handle, error=stored.wire()).SerializeToString())
                told |= plan.kind == REPLY
            if plan.kind != REPLY:
                self._remove_result(handle)
                self.handles.put_error(handle, stored)
                touched.append(handle)
        return told

    def _remove_result(self, handle: int) -> None:
        """A command with several results failed after it had stored some: they go."""
        if handle in self.handles.table:
            self.handles.free(handle)


def _as_user_error(error: BaseException, accounting: Accounting) -> BaseException:
    """NumPy's MemoryError (a temporary did not fit) as CuPy's."""
    if isinstance(error, MemoryError) and not isinstance(error, OutOfMemoryError):
        return OutOfMemoryError(0, accounting.used, accounting.limit)
    return error
