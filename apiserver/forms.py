"""From a `Form` message to something that runs: checked once, when it is defined, so that commands need no checks.

A compiled form knows how many words its commands have, what each word is, and the specs its results must have. Argument trees
become small functions that read the words; constants are decoded here, once.

Boundary: knows words, values and specs. What is done with the arguments is the executor's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cupool.contract.errors import ProtocolError
from cupool.contract.limits import MAX_WORDS
from cupool.contract.ops import Row
from cupool.contract.ops._row import REQUIRED, parameters
from cupool.contract.spec import MAX_NDIM, Spec, spec_of
from cupool.contract.values import (
    MAX_DEPTH,
    SLOT_HANDLE,
    SLOT_INTEGER,
    SLOT_REAL,
    SLOT_VALUE,
    HandleRef,
    decode,
    dtype_from_wire,
)

from .faults import overwrites

#: What a result is.
ARRAY, REPLY, UNKNOWN, OBJECT = range(4)
#: Ops that run a program's own code: what they run is written to the status file, and they have a time limit.
KERNELS = frozenset({"@launch", "@call_elementwise", "@call_reduction"})

#: Reads one argument: (words, index of the command's header) -> value.
Reader = Callable[[list[int], int], Any]


@dataclass(slots=True)
class Constant:
    """An argument, or a part of one, that is the same in every command."""

    value: Any


@dataclass(frozen=True, slots=True)
class ResultPlan:
    """What one result must be. `spec` is None unless `kind` is ARRAY."""

    kind: int
    spec: Spec | None = None


@dataclass(slots=True)
class SlotPlan:
    """One slot.

    Attributes:
        kind: SLOT_HANDLE, ...
        offset: its word, counted from the header.
        parameter: the op's parameter it belongs to ("" when the row does not tell).
        bare: the slot is the whole argument, not a part of a sequence or mapping.
        written: the op changes it in place.
    """

    kind: int
    offset: int
    parameter: str
    bare: bool
    written: bool


@dataclass(slots=True)
class Form:
    """A compiled form.

    Attributes:
        width: words of a command, header included.
        charge: bytes to charge before a command runs, already rounded; -1: the step keeps the account itself.
        step: runs one command: (words, index of the header).
    """

    id: int
    row: Row
    message: bytes
    results: tuple[ResultPlan, ...]
    slots: list[SlotPlan]
    args: list[Reader | Constant]
    kwargs: dict[str, Reader | Constant]
    width: int
    charge: int = -1
    step: Callable[[list[int], int], None] | None = None
    #: a step that may write over an operand whose free stands right behind the command, see lastuse.py
    over: Callable[[list[int], int], None] | None = None
    #: of a step that does nothing beside: what it calls
    call: Reader | None = None
    #: of a form whose results are all new arrays of known spec: the device's implementation
    impl: Callable[..., Any] | None = None
    #: how a window of fusion/ takes it, a `fusion.kinds.Join`; None: it runs by itself
    join: Any = None
    #: the step without marks, while a tracker has put its own in its place
    untracked: Callable[[list[int], int], None] | None = None
    #: offsets of the slots that are written, see Row.writes
    written: list[SlotPlan] = field(default_factory=list)
    #: the written ones are overwritten whatever they held, see `faults.overwrites`
    fresh: bool = False
    #: operands are handed over even when poisoned: the op only looks at where they lie
    raw: bool = False
    #: when it fails, what it has written until then is what a program may go on with: nothing is poisoned
    settled: bool = False

    @property
    def shape_key(self) -> tuple[int, ...]:
        """The kinds of the slots when every argument is a bare slot and there are no keywords; else ()."""
        if self.kwargs or not self.slots or len(self.slots) != len(self.args) or not all(s.bare for s in self.slots):
            return ()
        return tuple(s.kind for s in self.slots)


def compile_form(message: Any, row: Row, leaves: dict[int, Callable[[SlotPlan], Reader]]) -> Form:
    """Check a `cupool.v1.Form` and compile it, all but its step.

    Args:
        leaves: slot kind -> maker of the function that reads such a slot.

    Raises:
        ProtocolError: anything in it that cannot be.
    """
    if not 1 <= message.id < 1 << 24:
        raise ProtocolError(f"Form {message.id}: ids are in 1 .. 2^24-1.")
    results = tuple(_result(message.id, r) for r in message.results)
    tree = _Tree(message.id, 1 + len(results), leaves, row.writes)
    names = _positional(row, len(message.args))
    args = [tree.build(value, name) for value, name in zip(message.args, names, strict=True)]
    kwargs: dict[str, Reader | Constant] = {}
    for item in message.kwargs:
        if item.name in kwargs or not item.name.isidentifier():
            raise ProtocolError(f"Form {message.id}: keyword {item.name[:40]!r} is repeated or not a name.")
        kwargs[item.name] = tree.build(item.value, item.name)
    width = tree.next
    if width > MAX_WORDS:
        raise ProtocolError(f"Form {message.id}: {width} words a command, at most {MAX_WORDS}.")
    written = [s for s in tree.slots if s.written]
    constants = tuple(item.value if isinstance(item, Constant) else None for item in args)
    fresh = overwrites(row.name, constants, {k: v.value if isinstance(v, Constant) else v for k, v in kwargs.items()})
    return Form(message.id, row, message.SerializeToString(deterministic=True), results, tree.slots, args, kwargs, width,
                written=written, fresh=bool(written) and fresh)  # fmt: skip


def _positional(row: Row, count: int) -> list[str]:
    """The parameters that `count` positional arguments of a form belong to: those without default, then `*args`; where there is no `*args`
    those with a default, which a client that keeps to the convention names: what is written must be known of every client's forms."""
    names: list[str] = []
    optional: list[str] = []
    rest = ""
    for parameter in parameters(row.sig):
        if parameter.kind == "positional":
            (names if parameter.default is REQUIRED else optional).append(parameter.name)
        elif parameter.kind == "args":
            rest = parameter.name
    return [*names, *([rest] * count if rest else [*optional, *[""] * count])][:count]


class _Tree:
    """Builds the readers of one form, handing out word offsets depth first."""

    def __init__(
        self, form: int, first: int, leaves: dict[int, Callable[[SlotPlan], Reader]], writes: tuple[str, ...]
    ) -> None:
        self._writes = writes
        self.form = form
        self.next = first
        self.slots: list[SlotPlan] = []
        self._leaves = leaves

    def build(self, message: Any, parameter: str, depth: int = 0) -> Reader | Constant:
        if depth > MAX_DEPTH:
            raise ProtocolError(f"Form {self.form}: arguments nested deeper than {MAX_DEPTH}.")
        kind = message.WhichOneof("kind")
        if kind == "slot":
            return self._slot(message.slot, parameter, depth == 0)
        if kind in ("tuple", "list"):
            items = [self.build(item, parameter, depth + 1) for item in getattr(message, kind).items]
            return _sequence(items, tuple if kind == "tuple" else list)
        if kind == "mapping":
            pairs = {item.name: self.build(item.value, parameter, depth + 1) for item in message.mapping.items}
            return _mapping(pairs)
        if kind == "slice":
            parts = [self.build(getattr(message.slice, n), parameter, depth + 1) for n in ("start", "stop", "step")]
            return _sequence(parts, lambda values: slice(*values))
        if kind == "handle":
            raise ProtocolError(f"Form {self.form}: a handle is not a literal; use SLOT_HANDLE.")
        return Constant(decode(message, None, depth))

    def _slot(self, kind: int, parameter: str, bare: bool) -> Reader:
        maker = self._leaves.get(kind)
        if maker is None:
            raise ProtocolError(f"Form {self.form}: slot kind {kind} is not known.")
        plan = SlotPlan(kind, self.next, parameter, bare, parameter == "out" or parameter in self._writes)
        self.slots.append(plan)
        self.next += 1
        if self.next > MAX_WORDS:
            raise ProtocolError(f"Form {self.form}: more than {MAX_WORDS} words a command.")
        return maker(plan)


def _sequence(items: list[Reader | Constant], make: Callable[[list[Any]], Any]) -> Reader | Constant:
    if all(isinstance(item, Constant) for item in items):
        return Constant(make([item.value for item in items if isinstance(item, Constant)]))
    readers = [reader(item) for item in items]
    return lambda words, i: make([read(words, i) for read in readers])


def _mapping(pairs: dict[str, Reader | Constant]) -> Reader | Constant:
    if all(isinstance(item, Constant) for item in pairs.values()):
        return Constant({name: item.value for name, item in pairs.items() if isinstance(item, Constant)})
    readers = [(name, reader(item)) for name, item in pairs.items()]
    return lambda words, i: {name: read(words, i) for name, read in readers}


def reader(item: Reader | Constant) -> Reader:
    """A function for either."""
    if isinstance(item, Constant):
        value = item.value
        return lambda words, i: value
    return item


def _result(form: int, message: Any) -> ResultPlan:
    flags = (message.reply, message.unknown, message.object)
    if sum(flags) > 1:
        raise ProtocolError(f"Form {form}: a result is one of reply, unknown and object.")
    for flag, kind in zip(flags, (REPLY, UNKNOWN, OBJECT), strict=True):
        if flag:
            return ResultPlan(kind)
    return ResultPlan(ARRAY, spec_from_wire(message))


def spec_from_wire(message: Any) -> Spec:
    """The spec of a `cupool.v1.ResultSpec`. Raises ProtocolError when no array could have it."""
    if not message.HasField("dtype"):
        raise ProtocolError("ResultSpec without dtype.")
    dtype = dtype_from_wire(message.dtype)
    shape, strides = tuple(message.shape), tuple(message.strides)
    if len(shape) > MAX_NDIM or len(shape) != len(strides):
        raise ProtocolError(f"ResultSpec of {len(shape)} dimensions and {len(strides)} strides.")
    try:
        return spec_of(shape, dtype, strides)
    except ValueError as error:
        raise ProtocolError(f"ResultSpec that no array has: {error}") from None


def handles_in(values: Any, index: int) -> list[int]:
    """Every handle inside one side-table value."""
    found: list[int] = []
    if 0 <= index < len(values):
        decode(values[index], lambda ref: found.append(ref.handle) if isinstance(ref, HandleRef) else None)
    return found


__all__ = ["ARRAY", "KERNELS", "OBJECT", "REPLY", "SLOT_HANDLE", "SLOT_INTEGER", "SLOT_REAL", "SLOT_VALUE", "UNKNOWN", "Constant", "Form",
           "Reader", "ResultPlan", "SlotPlan", "compile_form", "handles_in", "reader", "spec_from_wire"]  # fmt: skip
