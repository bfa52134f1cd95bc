"""Runs batches: one flat walk over the words, in the thread that read them.

Cases, for each command: a free; a form whose results are known arrays (charged before it runs, then one call of its step); a form
whose step keeps the account itself (views, replies, unknown results, objects). While no fault exists operands are taken from the table
unchecked; with one, every command runs its careful step, which looks at each operand.

Boundary: knows forms, handles and the device; sequence numbers, frames and connections are `session.py`'s.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Mapping, Set
from threading import get_ident
from typing import Any, NamedTuple

import numpy as np

from cupool.contract import loops
from cupool.contract.codec import (
    DEVICE_MASK,
    DEVICE_SHIFT,
    FORM_MASK,
    STREAM_SHIFT,
    command_bytes,
)
from cupool.contract.errors import OpMissing, ProtocolError
from cupool.contract.limits import Limits
from cupool.contract.ops import TABLE
from cupool.contract.statusfile import StatusWriter
from cupool.contract.values import HandleRef, decode

from . import captures
from .accounting import Accounting, Usage
from .devices.base import Device
from .failing import Failing
from .forms import (
    SLOT_HANDLE,
    SLOT_INTEGER,
    SLOT_REAL,
    SLOT_VALUE,
    Form,
    Reader,
    SlotPlan,
    compile_form,
)
from .fusion import FUSED
from .handles import Handles
from .implementations import resolve_table
from .places import PLACED_MASK, Fast, Places, place_of
from .plans import Plans
from .rawmemory import RawMemory
from .steps import Stepper
from .tracking import Tracker
from .transfers import Transfers


class Outcome(NamedTuple):
    """What a batch leaves to tell, in order: serialised `cupool.v1.Result`s, and `cupool.v1.Failure` messages."""

    results: list[bytes]
    failures: list[Any]


_NO_FORMS: frozenset[int] = frozenset()


class BrokenOff(ProtocolError):
    """A batch turned out to be malformed in the middle."""


class Executor(Failing):
    """Executes the commands of one session on one device. Single-threaded."""

    def __init__(self, device: Device, limit_bytes: int, limits: Limits, status: StatusWriter | None = None,
                 allow_faults: bool = False, impls: dict[str, Callable[..., Any]] | None = None,
                 has_plans: bool = True, fuses: bool = True, fusion_threads: int = 0, reuses: bool = True,
                 waves: bool = True) -> None:  # fmt: skip
        """
        Args:
            impls: what `resolve_table` gave, when the caller has it already.
            has_plans: loops run by plans, see plans/.
            fuses: chains of elementwise commands run in blocks, see fusion/; where the device can.
            fusion_threads: that they run on, see `Device.chains`.
            waves: chains' segments run together where they follow one another, see fusion/waves.py.
            reuses: results are written over operands that die right behind, see lastuse.py; where the device can.
        """
        self.device = device
        self.limits = limits
        self.status = status or StatusWriter()
        self.allow_faults = allow_faults
        #: whether functions of the client's may run in this process, see offload.py
        self.allow_offload = False
        #: such functions, once there is one
        self.offload: Any = None
        #: an executor of what such a function does, see `inner`
        self.is_inner = False
        self.accounting = Accounting(limit_bytes)
        self.handles = Handles(self.accounting, device.array_type, limits.handles)
        self.raw_memory = RawMemory(device, self.accounting, self.handles)
        self.captures = captures.Captures(self)
        self.executed_seq = 0
        self.executed_commands = 0
        self.failed_commands = 0
        #: why the session cannot go on, one sentence; what fails after it is the same failure
        self.fault = ""
        self.transfers = Transfers(device, lambda: self.executed_seq)
        #: asked by waits inside a command: whether to give up
        self.stop: Callable[[], bool] = lambda: False
        device.open(self.accounting, self.handles)
        self._impls = resolve_table(device) if impls is None else impls
        self._missing = device.missing()
        #: form id -> (words, bytes to charge or -1, step); what the loop reads
        self._fast: dict[int, Fast] = {}
        self._ordered = device.select is not None
        self._place = 0
        self.steps_at = Places(self._fast)
        #: `_fast`, or where streams are selected the current one's part of it; see Note [Places]
        self._here: Mapping[int, Fast] = self.steps_at[0] if self._ordered else self._fast
        self._careful: dict[int, Callable[[list[int], int], None]] = {}
        self._forms: dict[int, Form] = {}
        self._resetters: set[int] = set()
        #: bytes of replies and failures of the running batch
        self._told_bytes = 0
        self.values: Any = ()
        self.reals: Any = None
        self._results: list[bytes] = []
        self._failures: list[Any] = []
        #: what the device runs chains by; None: each command runs by itself
        self.fusion: Any = device.chains(self, fusion_threads, waves) if fuses else None
        #: results that were written over operands
        self.last_uses = 0
        self.reuses = reuses and device.reuses
        self.stepper = Stepper(self)
        self.plans = Plans(self, has_plans)
        self.batch_forms: Set[int] = _NO_FORMS
        self._thread = 0
        #: what has changed, for whoever copies the session; None until it is first needed
        self.tracker: Tracker | None = None
        #: buffer ids up to this were given where the session was before
        self.given_ids = 0

    def inner(self) -> Executor:
        """An executor of other forms and other sequence numbers over the same handles, account and device: for the commands of a function
        that runs inside a command of this one."""
        made = copy.copy(self)
        made.is_inner, made.allow_offload = True, False
        made.executed_seq = made.executed_commands = made.failed_commands = 0
        made._fast, made._careful, made._forms, made._resetters = {}, {}, {}, set()
        made.steps_at = Places(made._fast)
        made._here = made.steps_at[made._place] if made._ordered else made._fast
        made._results, made._failures, made._told_bytes = [], [], 0
        made.values, made.reals, made.batch_forms, made._thread = (), None, _NO_FORMS, 0
        made.captures = captures.Captures(made, self.captures)
        made.fusion = self.fusion.inner(made) if self.fusion is not None else None
        made.stepper = Stepper(made)
        made.plans = Plans(made, self.plans.is_on)
        return made

    # -- what steps read ------------------------------------------------------------------------------------------------

    def leaves(self) -> dict[int, Callable[[SlotPlan], Reader]]:
        """Slot kind -> maker of the function that reads such a slot of a command."""
        return {
            SLOT_HANDLE: self._handle_reader,
            SLOT_INTEGER: lambda plan: _word_reader(plan.offset),
            SLOT_REAL: lambda plan: self._real_reader(plan.offset),
            SLOT_VALUE: lambda plan: self._value_reader(plan.offset),
        }

    def _handle_reader(self, plan: SlotPlan) -> Reader:
        # What is written may be poisoned: the careful step has looked at it where that matters.
        get, offset = (self.handles.raw if plan.written else self.handles.get), plan.offset
        return lambda words, i: get(words[i + offset])

    def _real_reader(self, offset: int) -> Reader:
        return lambda words, i: self.reals[i + offset]

    def _value_reader(self, offset: int) -> Reader:
        return lambda words, i: decode(self.value(words[i + offset]), self._leaf)

    def value(self, index: int) -> Any:
        """The side table's entry, a `cupool.v1.Value`."""
        if not 0 <= index < len(self.values):
            raise ProtocolError(f"Value {index} of a batch with {len(self.values)}.")
        return self.values[index]

    def _leaf(self, ref: Any) -> Any:
        if isinstance(ref, HandleRef):
            return self.handles.get(ref.handle)
        raise ProtocolError("A slot inside a batch's values; slots belong in forms.")

    def reply(self, result: bytes) -> None:
        """Add a serialised `cupool.v1.Result` to what this batch answers.

        Raises:
            ProtocolError: a batch that asks for more at once than may be in flight.
        """
        self._told_bytes += len(result)
        if self._told_bytes > self.limits.inflight_bytes:
            raise ProtocolError(
                f"One batch asks for more than {self.limits.inflight_bytes} bytes of replies.", "Wait between."
            )
        self._results.append(result)

    @property
    def stream(self) -> int:
        """The stream number of the command being executed."""
        return self._place >> (STREAM_SHIFT - DEVICE_SHIFT)

    def impl(self, row: Any) -> Callable[..., Any]:
        """The device's implementation, or one that raises why there is none."""
        found = self._impls.get(row.impl) or captures.implementation(self.captures, row.impl)
        if found is not None:
            return found
        reason = self._missing.get(row.impl, "this device has no implementation of it")

        def missing(*args: Any, **kwargs: Any) -> Any:
            raise OpMissing(f"{row.name} is not available on this server: {reason}.")

        return missing

    # -- forms ----------------------------------------------------------------------------------------------------------

    def define(self, messages: Any, resetting: bool) -> None:
        """Define the forms of a batch, all or none.

        Args:
            resetting: the batch begins by forgetting all forms, so its numbers may be ones in use until now.

        Raises:
            ProtocolError: one cannot be, or was defined with other contents.
        """
        known = {} if resetting else self._forms
        made: dict[int, Form] = {}
        for message in messages:
            before = made.get(message.id) or known.get(message.id)
            if before is None:
                made[message.id] = self.compile_form(message)
            elif before.message != message.SerializeToString(deterministic=True):
                raise ProtocolError(f"Form {message.id} is defined already, with other contents.")
        if len(known) + len(made) > self.limits.forms:
            raise ProtocolError(f"More than {self.limits.forms} forms; reset them with @forms_reset.")
        if resetting:
            self.reset_forms(self._resetters)
        for form in made.values():
            assert form.step is not None
            self._forms[form.id] = form
            self._set_fast(form)
            if form.row.name == "@forms_reset":
                self._resetters.add(form.id)
        if self.tracker is not None and self.tracker.is_on:
            for form in made.values():
                self.tracker.equip(form)

    def compile_form(self, message: Any) -> Form:
        """A form that is not defined: with its step. Raises ProtocolError."""
        row = TABLE.get(message.op)
        if row is None or not row.is_remote:
            raise ProtocolError(f"Form {message.id}: this server has no op {message.op[:80]!r}.")
        form = compile_form(message, row, self.leaves())
        self.stepper.equip(form)
        return form

    def tracking(self) -> Tracker:
        """The session's tracker, made when it is first asked for."""
        if self.tracker is None:
            self.tracker = Tracker(self, self.given_ids + 1)
        return self.tracker

    def all_forms(self) -> list[Form]:
        """Every form that is defined."""
        return list(self._forms.values())

    @property
    def forms(self) -> Mapping[int, Form]:
        """By number."""
        return self._forms

    def replace_step(self, form: Form) -> None:
        """`form.step` is another one."""
        if self._forms.get(form.id) is form:
            self._set_fast(form)

    def _set_fast(self, form: Form) -> None:
        assert form.step is not None
        self._fast[form.id] = (
            form.width,
            FUSED if form.join is not None and form.join.starts else form.charge,
            form.over or form.step,
        )
        self.steps_at.forget(form.id)

    def reset_forms(self, keep: Set[int]) -> None:
        """Forget every form but those in `keep`."""
        self.plans.forget()
        self._resetters &= keep
        for form in [f for f in self._forms if f not in keep]:
            del self._forms[form]
            del self._fast[form]
            self.steps_at.forget(form)

    # -- batches --------------------------------------------------------------------------------------------------------

    def run(self, batch: Any) -> Outcome:
        """Execute a parsed `cupool.v1.Batch`.

        Raises:
            BrokenOff: the batch is malformed, and a part of it may have been executed: the session is over.
            ProtocolError: the batch is malformed and nothing of it was executed.
        """
        if self._thread != get_ident():
            self._thread = get_ident()
            self.device.enter()
        data = memoryview(command_bytes(batch, self.limits))
        words = data.cast("q").tolist()
        parts = loops.parts(batch, self.limits) if batch.loops else None
        new = batch.forms
        if new or (self._resetters and words):
            self.define(new, bool(words) and self._starts_with_reset(new, words))
        self._results, self._failures = [], []
        self._told_bytes = 0
        self.batch_forms = {form.id for form in new} if new else _NO_FORMS
        self.values = batch.values
        self.reals = data.cast("d")
        seq = batch.seq
        started = time.monotonic()
        if not self.is_inner:
            self.status.batch_begins(seq, started)
        done = 0
        try:
            done = self._walk(words, batch.position) if parts is None else self._run_parts(parts, batch.position)
            if done != batch.count:
                raise ProtocolError(f"Batch {seq} announced {batch.count} commands and holds {done}.")
        except ProtocolError as error:
            raise BrokenOff(str(error)) from None
        finally:
            account, now = self.accounting, time.monotonic()
            self.executed_commands += done
            if not self.is_inner:
                account.kernel_s += now - started
                self.status.batch_ended(
                    now,
                    account.kernel_s,
                    account.used + account.raw,
                    account.peak,
                    len(self.handles.table),
                    self.executed_commands,
                    self.failed_commands,
                )
            self.values, self.reals = (), None
        self.executed_seq = seq
        return Outcome(self._results, self._failures)

    def _run_parts(self, parts: list[loops.Part], position: int) -> int:
        """Execute a batch with loops; returns the number of commands."""
        count = 0
        for part in parts:
            if part.steps is None:
                count += self.run_words(part.words, position + count)
            else:
                count += self.plans.run(part, position + count)
        return count

    def run_words(self, words: loops.Words, position: int) -> int:
        """Execute packed commands of the running batch; returns their number.

        Args:
            position: of the first command in the session.
        """
        packed = np.ascontiguousarray(words).data.cast("B")
        self.reals = packed.cast("d")
        return self._walk(packed.cast("q").tolist(), position)

    def _starts_with_reset(self, forms: Any, words: list[int]) -> bool:
        """Whether a batch that defines `forms` begins by forgetting all others."""
        first = words[0] & FORM_MASK
        new = [f.op for f in forms if f.id == first]
        return new == ["@forms_reset"] or (not new and first in self._resetters)

    def _walk(self, words: list[int], position: int) -> int:
        """Execute all words; returns the number of commands. Failures are booked, and the walk goes on behind them."""
        i = count = 0
        while True:
            walk = self._walk_careful if self.needs_care(len(words)) else self._walk_fast
            i, count, error = walk(words, i, count)
            if error is not None and type(error) is KeyError and self._is_elsewhere(words[i]):
                try:
                    self._select(words[i], place_of(words[i]))
                    continue
                except Exception as refused:
                    error = refused
            if error is not None:
                i += self._failed(words, i, position + count, error)
                count += 1
            elif i >= len(words):
                return count

    def needs_care(self, words: int) -> bool:
        """Whether commands must be looked at one by one: a fault, an export read in place, a capture, a nearly full table."""
        handles = self.handles
        return bool(
            handles.faults
            or self.transfers.pinned
            or self.captures.by_stream
            or len(handles.table) + words > handles.limit
        )

    def _walk_fast(self, words: list[int], i: int, count: int) -> tuple[int, int, BaseException | None]:
        """Until the end, a failure (then `i` is the failed command) or the first fault.

        The charge is kept in a local while plain commands run, and is None while a step keeps the account itself.
        """
        handles, accounting, transfers = self.handles, self.accounting, self.transfers
        capturing = self.captures.by_stream
        pop, buffers, dropped, drop = handles.table.pop, handles.buffers, handles.dropped, transfers.drop
        inbound, outbound = transfers.tables
        fast, array_type, n, fusion = self._here, self.device.array_type, len(words), self.fusion
        mask = PLACED_MASK if self._ordered else FORM_MASK
        used: int | None = accounting.used
        ceiling = accounting.ceiling
        try:
            while i < n:
                header = words[i]
                if header:
                    width, charge, step = fast[header & mask]
                    if charge >= 0:
                        if used + charge > ceiling:  # type: ignore[operator]
                            accounting.used = used  # type: ignore[assignment]
                            accounting.grow(charge)
                            ceiling = accounting.ceiling
                        step(words, i)
                        used += charge  # type: ignore[operator]
                    else:
                        accounting.used, used = used, None  # type: ignore[assignment]
                        if charge == FUSED:
                            i, done = fusion.take(words, i)
                            i, count = i - width, count + done - 1
                        else:
                            step(words, i)
                        used, ceiling = accounting.used, accounting.ceiling
                        if handles.faults or transfers.pinned or capturing:
                            return i + width, count + 1, None
                    i += width
                    count += 1
                    continue
                # Frees come in a row where a program drops many things at once.
                while not header:
                    handle = words[i + 1]
                    value = pop(handle, None)
                    if value is None:
                        if inbound or outbound:
                            drop(handle)
                    elif type(value) is array_type and (
                        not buffers or (value.base is None and id(value) not in buffers)
                    ):
                        used -= (value.nbytes + 511) & -512
                    else:
                        accounting.used, used = used, None  # type: ignore[assignment]
                        dropped(handle, value)
                        used = accounting.used
                    i += 2
                    count += 1
                    header = words[i] if i < n else 1
        except Exception as error:
            return i, count, error
        finally:
            if used is not None:
                accounting.used = used
        return i, count, None

    def _walk_careful(self, words: list[int], i: int, count: int) -> tuple[int, int, BaseException | None]:
        """As `_walk_fast`, with every operand looked at, and the stream selected; until there is no fault any more."""
        handles, forms, n = self.handles, self._forms, len(words)
        try:
            while i < n:
                header = words[i]
                if not header:
                    if words[i + 1] in handles.table:
                        handles.free(words[i + 1])
                    else:
                        self.transfers.drop(words[i + 1])
                    i += 2
                else:
                    form = forms[header & FORM_MASK]
                    if len(handles.table) >= handles.limit and form.results:
                        handles.refuse_known(words[i + 1])
                    place = place_of(header)
                    if place != self._place or header < 0:
                        self._select(header, place)
                    recorder = self.captures.by_stream.get(self.stream) if self.captures.by_stream else None
                    if recorder is not None and recorder.takes(form):
                        recorder.record(form, words, i)
                    else:
                        self.stepper.careful(form, words, i)
                    i += form.width
                count += 1
                if not self.needs_care(n):
                    return i, count, None
        except Exception as error:
            return i, count, error
        return i, count, None

    def _select(self, header: int, place: int) -> None:
        if header < 0:
            raise ProtocolError("A command's header is negative.")
        if self.device.select is not None:
            # One that there is not leaves the one before, and each command for it fails.
            self.device.select(place & DEVICE_MASK, place >> (STREAM_SHIFT - DEVICE_SHIFT))
            self._here = self.steps_at[place]
        self._place = place

    def _is_elsewhere(self, header: int) -> bool:
        """Whether a command is for another place than the current one. See Note [Places]."""
        return self._ordered and header > 0 and place_of(header) != self._place

    def is_one_place(self, headers: Iterable[int]) -> bool:
        """Whether commands of these headers run where the first of them does, as far as this device tells places apart."""
        return not self._ordered or len({place_of(header) for header in headers}) <= 1

    # -- end ------------------------------------------------------------------------------------------------------------

    def usage(self) -> Usage:
        """The session's account."""
        account = self.accounting
        return Usage(
            account.used + account.raw,
            account.peak,
            account.limit,
            len(self.handles.table),
            account.modules,
            account.kernel_s,
        )

    def close(self) -> None:
        """Free all that the session holds."""
        self.transfers.close()
        if self.tracker is not None:
            self.tracker.stop()
        self.handles.clear()
        self._forms.clear()
        self._fast.clear()
        self.device.close()


def _word_reader(offset: int) -> Reader:
    return lambda words, i: words[i + offset]


__all__ = ["BrokenOff", "Executor", "Outcome"]
