"""What a round of a loop does: where each operand comes from, and when each result goes. Pure: words, steps and forms.

Cases of an operand, by its word in the first round and the step from round to round:

- it is a result of this round (`Local`), or of the round before (`Carried`);
- it is the same in every round (`Fixed`): looked up once;
- it is another handle in every round, made before the loop (`Each`): looked up each time;
- it is a number that is the same in every round.

A view is known like a result, and must be freed in its own round, before what it looks into is: so it needs no record.

Cases of a free: a result of this round or of the round before. Everything else is walked (`analyse` gives None), and so is any command
that is more than one call which gives one new small array or writes into its `out=`.

Note [Handles of a loop]
    Results of all rounds are one window of handles, `stride` a round, and every other handle lies outside of it. So which handles are equal
    in all rounds follows from the first one, and no handle that is looked up can be a result whose storing is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cupool.contract.codec import FORM_MASK

from .. import captures
from ..forms import ARRAY, SLOT_HANDLE, SLOT_INTEGER, SLOT_REAL, Constant, Form

#: Commands of a round, at most.
MAX_COMMANDS = 256
#: Results up to this size: of larger ones the work itself is what takes time, and it is the executor's to divide.
MAX_RESULT_BYTES = 32 << 10
LAST = (1 << 63) - 1
_REPEATABLE = frozenset({"exact", "same-fingerprint"})


# No tuples: those are equal whatever class they are of, and bodies are told apart by their sources.


@dataclass(frozen=True, slots=True)
class Local:
    """The result of command `of` in this round."""

    of: int


@dataclass(frozen=True, slots=True)
class Carried:
    """The result of command `of` in the round before."""

    of: int


@dataclass(frozen=True, slots=True)
class Fixed:
    """The `number`-th of the arrays that stay the same."""

    number: int


@dataclass(frozen=True, slots=True)
class Each:
    """The `number`-th of the arrays that are other ones in each round."""

    number: int


@dataclass(frozen=True, slots=True)
class Number:
    """A number that stays the same: its word, and whether that is the bits of a double."""

    word: int
    is_real: bool


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant of the form: the argument at this place."""

    place: int


Source = Local | Carried | Fixed | Each | Number | Literal


@dataclass(slots=True)
class Call:
    """A command that is one call.

    Attributes:
        at: its word in the round.
        args: where its positional arguments come from.
        out: where what it writes into comes from; None: it gives a new array.
    """

    at: int
    form: Form
    args: tuple[Source, ...]
    out: Source | None


@dataclass(slots=True)
class View:
    """A command that makes a view of `owner`, its first element `offset` bytes from that one's in the first round, `step` more in each."""

    at: int
    form: Form
    owner: Source
    offset: int
    step: int


@dataclass(frozen=True, slots=True)
class Free:
    """A command that frees a result: of this round, or of the round before."""

    at: int
    of: Local | Carried


@dataclass(slots=True)
class Body:
    """A round.

    Attributes:
        commands: in order.
        stride: by how much a result's handle rises from round to round.
        low: the lowest handle of a result in the first round.
        handles: command -> its result's handle in the first round, views too.
        fixed: handles of `Fixed`.
        each: (handle in the first round, step) of `Each`.
        freed: command -> how its result goes: command that frees it, and whether that is in the round after.
        carried: commands whose results the next round needs or frees.
    """

    commands: list[Call | View | Free]
    stride: int = 0
    low: int = 0
    handles: dict[int, int] = field(default_factory=dict)
    fixed: list[int] = field(default_factory=list)
    each: list[tuple[int, int]] = field(default_factory=list)
    freed: dict[int, tuple[int, bool]] = field(default_factory=dict)
    carried: list[int] = field(default_factory=list)

    @property
    def key(self) -> tuple[Any, ...]:
        """The same for bodies that do the same with arrays of the same specs."""
        return tuple([_key(command) for command in self.commands])

    def charges(self) -> tuple[int, list[int]]:
        """(bytes by which a round raises what is charged, the same before each of its commands)."""
        used, before = 0, []
        for command in self.commands:
            before.append(used)
            if isinstance(command, Free):
                freed = self.commands[command.of.of]
                used -= freed.form.charge if isinstance(freed, Call) else 0
            elif isinstance(command, Call):
                used += command.form.charge
        return used, before


def _key(command: Call | View | Free) -> Any:
    if isinstance(command, Call):
        return command.form.id, command.args, command.out
    if isinstance(command, View):
        return command.form.id, command.owner, command.offset, command.step
    return command.of


def analyse(words: Sequence[int], steps: Sequence[int], rounds: int, forms: Mapping[int, Form]) -> Body | None:
    """The body of a loop, or None where it must be walked.

    Args:
        words: of the first round.
        steps: what each of them is more in the next round.
    """
    split = _split(words, steps, forms)
    if split is None:
        return None
    results = [i for i, form in split if form is not None and form.results]
    maker = _Maker(words, steps, rounds)
    if results and not maker.take_window([i + 1 for i in results]):
        return None
    for number, (i, form) in enumerate(split):
        if not (maker.free(number, i) if form is None else maker.call(number, i, form)):
            return None
    return maker.body if maker.is_sound() else None


def _split(
    words: Sequence[int], steps: Sequence[int], forms: Mapping[int, Form]
) -> list[tuple[int, Form | None]] | None:
    """(word, form) of each command; None for the form of a free."""
    split: list[tuple[int, Form | None]] = []
    i = 0
    while i < len(words):
        header = words[i]
        if steps[i] or header < 0 or len(split) >= MAX_COMMANDS:
            return None
        if not header:
            split.append((i, None))
            i += 2
            continue
        form = forms.get(header & FORM_MASK)
        if form is None or not (is_view(form) or is_simple(form)):
            return None
        split.append((i, form))
        i += form.width
    return split if i == len(words) else None


def is_view(form: Form) -> bool:
    """Whether a command of it makes a view whose offset is a word."""
    return form.row.impl == "@view" and [slot.kind for slot in form.slots] == [SLOT_HANDLE, SLOT_INTEGER]


def is_simple(form: Form) -> bool:
    """Whether a command of it is one call that gives one new small array, or writes into its `out=` and gives none."""
    row = form.row
    if form.impl is None or form.charge < 0 or row.uses or row.repeat not in _REPEATABLE or row.params[:1] == ("self",):
        return False
    if row.impl in captures.OPS or form.settled or form.raw or not all(slot.bare for slot in form.slots):
        return False
    if any(slot.kind not in (SLOT_HANDLE, SLOT_INTEGER, SLOT_REAL) for slot in form.slots):
        return False
    named = [name for name, item in form.kwargs.items() if not isinstance(item, Constant)]
    if not form.results:
        written = [slot.parameter for slot in form.written]
        return named == ["out"] == written and form.untracked is None
    return (
        len(form.results) == 1
        and form.results[0].kind == ARRAY
        and form.charge <= MAX_RESULT_BYTES
        and not (named or form.written)
    )


class _Maker:
    """Fills a body in, command by command."""

    def __init__(self, words: Sequence[int], steps: Sequence[int], rounds: int) -> None:
        self._words, self._steps, self._rounds = words, steps, rounds
        self.body = Body([])
        self._of: dict[int, int] = {}
        self._columns: dict[tuple[int, int], int] = {}
        self._fixed: dict[int, int] = {}
        self._high = 0

    def take_window(self, columns: list[int]) -> bool:
        """See Note [Handles of a loop]."""
        words, steps, body = self._words, self._steps, self.body
        firsts = [words[j] for j in columns]
        stride, low = steps[columns[0]], min(firsts)
        if stride <= 0 or any(steps[j] != stride for j in columns) or len(set(firsts)) != len(firsts):
            return False
        body.stride, body.low = stride, low
        self._high = low + self._rounds * stride
        self._of = {handle: -1 for handle in firsts}  # which command makes it, once that has come
        return low > 0 and max(firsts) - low < stride and self._high <= LAST

    def _source(self, j: int) -> Source | None:
        """Where the handle in word j comes from."""
        handle, step, body = self._words[j], self._steps[j], self.body
        if self._of and step == body.stride:
            of = self._of.get(handle)
            if of is not None:
                return Local(of) if of >= 0 else None
            if handle + step in self._of:
                return Carried(handle + step)  # by its handle until the whole round has been seen
        last = handle + (self._rounds - 1) * step
        low, high = min(handle, last), max(handle, last)
        if low <= 0 or high > LAST or (self._of and low < self._high and high >= body.low):
            return None
        if not step:
            return Fixed(self._fixed.setdefault(handle, len(self._fixed)))
        return Each(self._columns.setdefault((handle, step), len(self._columns)))

    def call(self, number: int, i: int, form: Form) -> bool:
        """Add a call; False where the loop must be walked."""
        words, steps, body = self._words, self._steps, self.body
        if is_view(form):
            return self.view(number, i, form)
        found: list[Source] = []
        for slot in form.slots:
            j = i + slot.offset
            is_number = slot.kind != SLOT_HANDLE
            if is_number and steps[j]:
                return False
            source = Number(words[j], slot.kind == SLOT_REAL) if is_number else self._source(j)
            if source is None:
                return False
            found.append(source)
        out = found.pop() if not form.results else None
        rest = iter(found)
        args = tuple([Literal(k) if isinstance(a, Constant) else next(rest) for k, a in enumerate(form.args)])
        body.commands.append(Call(i, form, args, out))
        if form.results:
            self._of[words[i + 1]] = number
            body.handles[number] = words[i + 1]
        return True

    def view(self, number: int, i: int, form: Form) -> bool:
        """Add a view; False where the loop must be walked."""
        at, offset = (i + slot.offset for slot in form.slots)
        owner = self._source(at)
        if owner is None:
            return False
        self.body.commands.append(View(i, form, owner, self._words[offset], self._steps[offset]))
        self._of[self._words[i + 1]] = number
        self.body.handles[number] = self._words[i + 1]
        return True

    def free(self, number: int, i: int) -> bool:
        """Add a free; False where the loop must be walked."""
        source = self._source(i + 1)
        if not isinstance(source, Local | Carried):
            return False
        self.body.commands.append(Free(i, source))
        return True

    def is_sound(self) -> bool:
        """Every result goes at most once, and nothing uses it afterwards. Names what is carried by its command."""
        body = self.body
        body.fixed, body.each = list(self._fixed), list(self._columns)
        carried: set[int] = set()

        def settled(source: Any) -> Any:
            if isinstance(source, Carried):
                of = self._of[source.of]
                carried.add(of)
                return Carried(of)
            return source

        for number, command in enumerate(body.commands):
            if isinstance(command, View):
                command.owner = settled(command.owner)
                if self._is_gone(command.owner):
                    return False
            elif isinstance(command, Call):
                command.args = tuple([settled(source) for source in command.args])
                command.out = settled(command.out)
                if any(self._is_gone(source) for source in (*command.args, command.out)):
                    return False
            else:
                of: Any = settled(command.of)
                if of.of in body.freed:
                    return False
                body.commands[number] = Free(command.at, of)
                body.freed[of.of] = (number, isinstance(of, Carried))
                if any(
                    isinstance(c, View) and c.owner == of and k not in body.freed for k, c in enumerate(body.commands)
                ):
                    return False  # a view lives on
        body.carried = sorted(carried)
        views = [k for k, command in enumerate(body.commands) if isinstance(command, View)]
        if any(k not in body.freed or body.freed[k][1] for k in views):
            return False
        return not any(of in carried and not body.freed[of][1] for of in body.freed)

    def _is_gone(self, source: Any) -> bool:
        """Whether it was freed before: in this round, or as what this round had of the last one."""
        freed = self.body.freed.get(source.of) if isinstance(source, Local | Carried) else None
        return freed is not None and freed[1] == isinstance(source, Carried)


__all__ = ["MAX_COMMANDS", "MAX_RESULT_BYTES", "Body", "Call", "Carried", "Each", "Fixed", "Free", "Literal", "Local", "Number",
           "Source", "View", "analyse", "is_simple"]  # fmt: skip
