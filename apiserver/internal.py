"""The ops that the executor runs itself: data in and out, views, the session's memory. Their names start with "@".

`INTERNAL` maps a name to a maker: (executor, form) -> step. All other "@" ops are the device's (`Device.resolve`).
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cupool.contract.errors import ContractViolation, OutOfMemoryError, ProtocolError
from cupool.contract.spec import Spec, spec_like
from cupool.v1 import session_pb2

from . import offload
from .accounting import rounded
from .forms import ARRAY, OBJECT, REPLY, SLOT_HANDLE, SLOT_INTEGER, Constant, Form, reader

if TYPE_CHECKING:
    from .executor import Executor

Step = Callable[[list[int], int], None]


def _array_spec(form: Form) -> Spec:
    if len(form.results) != 1 or form.results[0].kind != ARRAY or form.results[0].spec is None:
        raise ProtocolError(f"Form {form.id}: {form.row.name} has one array result.")
    return form.results[0].spec


def _has_reply(form: Form) -> None:
    if len(form.results) != 1 or form.results[0].kind != REPLY:
        raise ProtocolError(f"Form {form.id}: {form.row.name} has one reply.")


def _word(form: Form, index: int, *kinds: int) -> Callable[[list[int], int], int]:
    """Reads argument `index` as a number: a slot of one of `kinds`, or a literal."""
    if index < len(form.args) and isinstance(form.args[index], Constant):
        value = getattr(form.args[index], "value", None)
        if type(value) is int:
            return lambda words, i: value
    bare = [s for s in form.slots if s.bare]
    if len(bare) == len(form.slots) and index < len(form.args):
        position = sum(1 for a in form.args[:index] if not isinstance(a, Constant))
        if position < len(bare) and bare[position].kind in kinds:
            offset = bare[position].offset
            return lambda words, i: words[i + offset]
    raise ProtocolError(f"Form {form.id}: argument {index} of {form.row.name} must be a number.")


def _operand(form: Form, index: int = 0) -> int:
    """The word offset of the handle argument `index`."""
    offset = [s.offset for s in form.slots if s.kind == SLOT_HANDLE and s.bare]
    if index >= len(offset):
        raise ProtocolError(f"Form {form.id}: {form.row.name} takes a handle.")
    return offset[index]


# -- bringing data in and out ---------------------------------------------------------------------------------------------


def _array(executor: Executor, form: Form) -> Step:
    spec = _array_spec(form)
    if len(form.args) != 1:
        raise ProtocolError(f"Form {form.id}: @array takes its data.")
    read, handles, device = reader(form.args[0]), executor.handles, executor.device
    form.charge = rounded(spec.nbytes)

    def step(words: list[int], i: int) -> None:
        data = read(words, i)
        if not isinstance(data, bytes):
            data = getattr(data, "tobytes", lambda: b"")()
        if len(data) != spec.nbytes:
            raise ProtocolError(f"@array of {spec.nbytes} bytes with {len(data)} bytes of data.")
        # Strides may be such that its memory is another array's.
        handles.put_admitted(words[i + 1], device.from_bytes(spec, data))

    return step


def _upload(executor: Executor, form: Form) -> Step:
    spec = _array_spec(form)
    transfer_of = _word(form, 0, SLOT_INTEGER, SLOT_HANDLE)
    form.raw = True  # the slot is a transfer's id, not an array's

    def step(words: list[int], i: int) -> None:
        handles, transfer = executor.handles, transfer_of(words, i)
        handles.refuse_known(words[i + 1])
        staging = executor.transfers.take(transfer, spec.nbytes, executor.stop)
        array = executor.device.upload(spec, staging)
        if array.base is None:
            handles.accounting.charge(array.nbytes)
            handles.put_own(words[i + 1], array)
        else:
            handles.put_shared(words[i + 1], array, charge=True)

    return step


def _fetch(executor: Executor, form: Form) -> Step:
    _has_reply(form)
    at, handles = _operand(form), executor.handles

    def step(words: list[int], i: int) -> None:
        executor.stepper.answer(words[i + 1], handles.get(words[i + at]))

    return step


def _export(executor: Executor, form: Form) -> Step:
    _has_reply(form)
    at = _operand(form)
    transfer_of = _word(form, 1, SLOT_INTEGER, SLOT_HANDLE)
    form.raw = True

    def step(words: list[int], i: int) -> None:
        transfer = transfer_of(words, i)
        try:
            array = executor.handles.get(words[i + at])
            # A pinned array is not charged again, so no more may hang on exports than the session may hold.
            room = executor.accounting.limit - executor.transfers.pinned_bytes
            data = executor.device.pin(array) if array.nbytes <= room else None
            executor.transfers.export(
                transfer, executor.device.download(array) if data is None else data, data is not None
            )
        except Exception as error:
            executor.transfers.fail(transfer, (getattr(error, "stored", None) and error.stored.error) or error)  # type: ignore[attr-defined]
            raise
        executor.stepper.answer(words[i + 1], array.nbytes)

    return step


def _spec(executor: Executor, form: Form) -> Step:
    _has_reply(form)
    at, handles = _operand(form), executor.handles

    def step(words: list[int], i: int) -> None:
        array = handles.get(words[i + at])
        executor.stepper.answer(words[i + 1], (array.dtype, tuple(array.shape), tuple(array.strides)))

    return step


def _barrier(executor: Executor, form: Form) -> Step:
    _has_reply(form)

    def step(words: list[int], i: int) -> None:
        executor.device.synchronize()
        executor.stepper.answer(words[i + 1], None)

    return step


# -- views ----------------------------------------------------------------------------------------------------------------


def _view(executor: Executor, form: Form) -> Step:
    spec, at = _array_spec(form), _operand(form)
    offset_of = _word(form, 1, SLOT_INTEGER)
    form.raw = True  # a view shares its buffer's poison, so it may be made of a poisoned array
    handles, view = executor.handles, executor.device.view
    raw, put_view = handles.raw, handles.put_view

    def step(words: list[int], i: int) -> None:
        owner = words[i + at]
        put_view(words[i + 1], view(raw(owner), offset_of(words, i), spec), owner)

    return step


def _alias(executor: Executor, form: Form) -> Step:
    at, handles = _operand(form), executor.handles
    form.raw = True
    if len(form.results) != 1 or form.results[0].kind == REPLY:
        raise ProtocolError(f"Form {form.id}: @alias has one result.")
    spec = form.results[0].spec

    def step(words: list[int], i: int) -> None:
        value = handles.raw(words[i + at])
        if not isinstance(value, handles.array_type):
            handles.put_object(words[i + 1], value)
            return
        if spec is not None and spec is not spec_like(value):
            raise ContractViolation(
                f"@alias of {value.dtype} {value.shape}, the client expected {spec.dtype} {spec.shape}."
            )
        handles.put_view(words[i + 1], value, words[i + at])
        if spec is None:
            from .steps import spec_to_wire

            executor.reply(session_pb2.Result(id=words[i + 1], spec=spec_to_wire(value)).SerializeToString())

    return step


# -- the session ----------------------------------------------------------------------------------------------------------


def _forms_reset(executor: Executor, form: Form) -> Step:
    return lambda words, i: executor.reset_forms(executor.batch_forms | {form.id})


def _memory(executor: Executor, form: Form) -> Step:
    _has_reply(form)
    return lambda words, i: executor.stepper.answer(words[i + 1], asdict(executor.device.memory()))


def _free_blocks(executor: Executor, form: Form) -> Step:
    def step(words: list[int], i: int) -> None:
        executor.accounting.free_blocks()
        executor.device.free_blocks()

    return step


def _lift(executor: Executor, form: Form) -> Step:
    return lambda words, i: executor.handles.lift()


def _set_limit(executor: Executor, form: Form) -> Step:
    if len(form.args) + len(form.kwargs) > 2:
        raise ProtocolError(f"Form {form.id}: @set_limit takes size and fraction.")
    args = [reader(a) for a in form.args]
    kwargs = {name: reader(a) for name, a in form.kwargs.items()}

    def step(words: list[int], i: int) -> None:
        values: dict[str, Any] = dict(zip(("size", "fraction"), (read(words, i) for read in args), strict=False))
        values.update({name: read(words, i) for name, read in kwargs.items()})
        executor.accounting.set_limit(values.get("size"), values.get("fraction"))

    return step


def _malloc(executor: Executor, form: Form) -> Step:
    if [plan.kind for plan in form.results] not in ([OBJECT], [OBJECT, REPLY]):
        raise ProtocolError(f"Form {form.id}: @malloc has an object, and may have a reply.")
    is_asked = len(form.results) == 2
    nbytes_of, source_of = _word(form, 0, SLOT_INTEGER), _word(form, 1, SLOT_INTEGER)

    def step(words: list[int], i: int) -> None:
        handle = words[i + 1]
        executor.handles.refuse_known(handle)
        address = executor.raw_memory.allocate(handle, nbytes_of(words, i), source_of(words, i))
        if is_asked:
            executor.stepper.answer(words[i + 2], address)

    return step


def _mempool(executor: Executor, form: Form) -> Step:
    _has_reply(form)
    if len(form.args) != 4 or form.kwargs:
        raise ProtocolError(f"Form {form.id}: @mempool takes what, pool, attribute and value.")
    args = [reader(a) for a in form.args]

    def step(words: list[int], i: int) -> None:
        what, pool, attribute, value = (read(words, i) for read in args)
        if not isinstance(what, str) or not all(type(n) is int for n in (pool, attribute, value)):
            raise TypeError("@mempool takes a word and three integers")
        executor.stepper.answer(words[i + 1], executor.raw_memory.mempool(what, pool, attribute, value))

    return step


def _raise(error: Exception) -> None:
    raise error


#: What `@fault` can do, for tests.
FAULTS: dict[str, Callable[[], Any]] = {
    "error": lambda: _raise(RuntimeError("a fault was asked for")),
    "memory": lambda: _raise(OutOfMemoryError(1 << 40, 0, 1 << 30)),
    "segv": lambda: ctypes.string_at(8),
    "fpe": lambda: os.kill(os.getpid(), signal.SIGFPE),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(3),
    "hang": lambda: signal.pause() if hasattr(signal, "pause") else None,
}


def _fault(executor: Executor, form: Form) -> Step:
    if len(form.args) != 1:
        raise ProtocolError(f"Form {form.id}: @fault takes its kind.")
    read = reader(form.args[0])

    def step(words: list[int], i: int) -> None:
        kind = read(words, i)
        if not executor.allow_faults:
            raise PermissionError("This server runs no faults. Start it with --allow-faults; that is for tests only.")
        if kind not in FAULTS:
            raise ValueError(f"No fault {kind!r}; there are: {', '.join(FAULTS)}.")
        executor.status.running(f"@fault {kind}")
        try:
            FAULTS[kind]()
        finally:
            executor.status.running("")

    return step


INTERNAL: dict[str, Callable[[Executor, Form], Step]] = {
    "@alias": _alias,
    "@array": _array,
    "@barrier": _barrier,
    "@export": _export,
    "@fault": _fault,
    "@fetch": _fetch,
    "@forms_reset": _forms_reset,
    "@free_blocks": _free_blocks,
    "@lift": _lift,
    "@malloc": _malloc,
    "@memory": _memory,
    "@mempool": _mempool,
    "@set_limit": _set_limit,
    "@spec": _spec,
    "@upload": _upload,
    "@view": _view,
    **offload.OPS,
}
