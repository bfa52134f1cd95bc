"""Which loops have a plan, and running them.

The first round is always walked: it checks every command as any other, and leaves the arrays whose specs the plan is made for. The plan
runs the rest; where it stops (an error, an array of another spec) what it kept to itself is put into the table, the books are brought
to that command, and the walk takes over there, so that a failure is found and told as without a plan.

What is checked before a plan runs, once for all rounds: nothing needs care (`Executor.needs_care`); no handle of the loop's results is in
use; the most memory that it will hold at once is allowed; what is fixed or carried is plain arrays of the specs that the plan is for.

Boundary: one executor's, single-threaded as it is.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from cupool.contract.loops import Part

from ..forms import Constant
from ..handles import is_disjoint
from .analysis import LAST, Body, Call, Carried, Each, Fixed, Free, Local, Number, View, analyse
from .source import How, Written, number_of, write

if TYPE_CHECKING:
    from ..executor import Executor

#: Plans that are kept; each takes some kilobytes.
MAX_PLANS = 128
#: Rounds from which a loop that was not met before is worth a plan at once: making one takes as long as walking some hundred commands.
MANY_COMMANDS = 1000
#: Loops met once that are remembered.
MAX_MET = 1024
_MIN_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Statistics:
    """
    Attributes:
        loops: loops that came.
        planned: of them, those that a plan ran.
        stopped: of those, the ones that a walk had to finish.
        commands: run by plans.
        plans: kept now.
    """

    loops: int
    planned: int
    stopped: int
    commands: int
    plans: int


class _Plan(NamedTuple):
    """
    Attributes:
        rise: bytes by which a round raises what is charged.
        charged: the same before each of its commands.
    """

    written: Written
    rise: int
    charged: list[int]

    def most(self, rounds: int, commands: int) -> int:
        """The most bytes that are charged at once, above what was before, in so many rounds and commands of another."""
        most = 0
        if rounds:
            most = max(*self.charged, self.rise) + max(0, self.rise) * (rounds - 1)
        return max(most, self.rise * rounds + max(self.charged[: commands + 1]))


class _State(NamedTuple):
    """What a plan begins with, after the first round."""

    fixed: list[Any]
    carried: list[Any]
    each: list[Any]

    def key(self) -> tuple[Any, ...]:
        return tuple([(a.dtype, a.shape, a.strides) for part in self for a in part])


class Plans:
    """The plans of one executor."""

    def __init__(self, executor: Executor, is_on: bool = True) -> None:
        self.is_on = is_on
        self._executor = executor
        self._plans: OrderedDict[tuple[Any, ...], _Plan | None] = OrderedDict()
        #: hashes of keys: a key of a long body takes a hundred kilobytes
        self._met: OrderedDict[int, None] = OrderedDict()
        self._loops = self._planned = self._stopped = self._commands = 0

    def statistics(self) -> Statistics:
        return Statistics(self._loops, self._planned, self._stopped, self._commands, len(self._plans))

    def forget(self) -> None:
        """Forms were forgotten, or have other steps."""
        self._plans.clear()
        self._met.clear()

    def run(self, part: Part, position: int) -> int:
        """Execute a loop; returns the number of its commands."""
        self._loops += 1
        executor = self._executor
        steps = part.steps
        assert steps is not None
        if not self.is_on or part.rounds < _MIN_ROUNDS or executor.needs_care(len(part.words) * part.rounds):
            return executor.run_words(part.written_out(), position)
        words, rises = part.words.tolist(), steps.tolist()
        if not any(words[::2]) and self._free(words, rises, part.rounds):
            return len(words) // 2 * part.rounds
        body = analyse(words, rises, part.rounds, executor.forms)
        if body is None or not executor.is_one_place(words[c.at] for c in body.commands if not isinstance(c, Free)):
            return executor.run_words(part.written_out(), position)
        done = executor.run_words(part.words, position)
        state = self._state(body, part.rounds)
        plan = self._plan_for(body, state, part.rounds) if state is not None else None
        if plan is None or state is None or not executor.accounting.has_room(plan.most(part.rounds - 1, 0)):
            return done + executor.run_words(part.written_out()[len(part.words) :], position + done)
        return self._run(plan, body, state, part, position)

    def _free(self, words: list[int], rises: list[int], rounds: int) -> bool:
        """Execute a loop of nothing but frees; False where it must be walked, then also if some were freed: a second free is none."""
        executor = self._executor
        inbound, outbound = executor.transfers.tables
        if len(words) % 2 or any(rises[::2]) or not all(rises[1::2]):
            return False
        for handle, rise in zip(words[1::2], rises[1::2], strict=True):
            freed = range(handle, handle + rise * rounds, rise)
            if not -LAST <= freed[-1] <= LAST:
                return False
            if not (is_disjoint(inbound, freed) and is_disjoint(outbound, freed)):
                return False
            if not executor.handles.free_plain(freed):
                return False
        self._planned += 1
        self._commands += len(words) // 2 * rounds
        return True

    # -- before ---------------------------------------------------------------------------------------------------------

    def _state(self, body: Body, rounds: int) -> _State | None:
        """What there is after the first round; None where a plan cannot begin with it."""
        executor = self._executor
        handles = executor.handles
        table, buffers, kind = handles.table, handles.buffers, handles.array_type
        if executor.needs_care(0):
            return None  # something failed
        get = table.get
        state = _State(
            [get(handle) for handle in body.fixed],
            [get(body.handles[i]) for i in body.carried],
            [get(handle + step) for handle, step in body.each],
        )
        if not all([type(value) is kind for part in state for value in part]):
            return None
        goes = [
            (body.handles[i], value) for i, value in zip(body.carried, state.carried, strict=True) if i in body.freed
        ]
        if not all([value.base is None and _is_alone(buffers.get(id(value)), handle) for handle, value in goes]):
            return None
        return state if _is_free(table, body, rounds) else None

    def _plan_for(self, body: Body, state: _State, rounds: int) -> _Plan | None:
        key = (body.key, state.key())
        if key in self._plans:
            self._plans.move_to_end(key)
            return self._plans[key]
        met = hash(key)
        if rounds * len(body.commands) < MANY_COMMANDS and met not in self._met:
            self._met[met] = None
            if len(self._met) > MAX_MET:
                self._met.popitem(last=False)
            return None
        self._met.pop(met, None)
        hows = self._hows(body, state)
        plan = None
        if hows is not None:
            specs = [(a.dtype, a.shape, a.strides) for a in state.each]
            plan = _Plan(
                write(body, hows, specs, self._executor.handles.array_type, self._executor.device.view), *body.charges()
            )
        self._plans[key] = plan
        if len(self._plans) > MAX_PLANS:
            self._plans.popitem(last=False)
        return plan

    def _hows(self, body: Body, state: _State) -> dict[int, How] | None:
        """How each call is made. Makes each that gives an array once, to see what that is; None where it is not what the form promises."""
        hows: dict[int, How] = {}
        given: dict[int, Any] = {}
        by_command = dict(zip(body.carried, state.carried, strict=True))
        for number, command in enumerate(body.commands):
            if isinstance(command, Free):
                continue
            operands: list[Any] = []
            for place, source in enumerate((command.owner,) if isinstance(command, View) else command.args):
                if isinstance(source, Local):
                    operands.append(given[source.of])
                elif isinstance(source, Carried):
                    operands.append(by_command[source.of])
                elif isinstance(source, Fixed):
                    operands.append(state.fixed[source.number])
                elif isinstance(source, Each):
                    operands.append(state.each[source.number])
                elif isinstance(source, Number):
                    operands.append(number_of(source))
                else:
                    constant = command.form.args[place]
                    assert isinstance(constant, Constant)
                    operands.append(constant.value)
            if isinstance(command, View):
                looks = command.form.results[0].spec
                assert looks is not None
                try:
                    given[number] = self._executor.device.view(operands[0], command.offset + command.step, looks)
                except Exception:  # an offset beyond 64 bits is an OverflowError
                    return None  # it lies outside, as the walk says
                continue
            how = hows[number] = self._how(command, tuple(operands))
            if command.out is None:
                try:
                    result = how.function(*operands, **dict(how.kwargs))
                except Exception:
                    return None  # the walk says what that is
                spec = command.form.results[0].spec
                assert spec is not None
                is_promised = type(result) is self._executor.handles.array_type and (
                    (result.dtype, result.shape, result.strides) == (spec.dtype, spec.shape, spec.strides)
                )
                if not is_promised:
                    return None
                given[number] = result
        return hows

    def _how(self, command: Call, operands: tuple[Any, ...]) -> How:
        impl = command.form.impl
        assert impl is not None
        kwargs = tuple([(k, v.value) for k, v in command.form.kwargs.items() if isinstance(v, Constant)])
        spec = command.form.results[0].spec if command.form.results else None
        choose = getattr(impl, "direct_for", None)
        # A ufunc gives scalars for 0-d operands; its wrapper does not.
        if choose is not None and not kwargs and spec is not None and spec.shape:
            direct = choose(operands)
            if direct is not None:
                return How(direct, (), True)
        return How(impl, kwargs, False)

    # -- running --------------------------------------------------------------------------------------------------------

    def _run(self, plan: _Plan, body: Body, state: _State, part: Part, position: int) -> int:
        """All rounds but the first, which is done. Returns the commands of all."""
        executor, written, rounds = self._executor, plan.written, part.rounds
        handles, account = executor.handles, executor.accounting
        table, count, stride = handles.table, len(body.commands), body.stride
        for i in body.carried:
            if i in body.freed:
                handles.buffers.pop(id(table.pop(body.handles[i])), None)
        columns = [_handles(handle, step, rounds) for handle, step in body.each]
        columns += [_handles(body.handles[i], stride, rounds) for i in written.stored]
        self._planned += 1
        first, carried, graphs = 1, state.carried, executor.device.graphs
        if graphs is not None and written.is_closed:
            ran, carried = graphs.run(written, handles.buffers, state.fixed, carried, rounds - 1)
            first += ran
        done, line, names = written.run(first, rounds, table, handles.buffers, state.fixed, carried, columns)
        stopped_at = written.commands[line] if line else 0
        most = plan.most(done - 1, stopped_at)
        if account.used + most > account.ceiling:
            account.reached(most)
        account.used += plan.rise * (done - 1) + (plan.charged[stopped_at] if line else 0)
        table |= _left(body, done, stopped_at, names)
        for handle, view, owner in _left_views(body, done, stopped_at, names):
            handles.put_view(handle, view, owner)
        self._commands += (done - 1) * count + stopped_at
        if not line:
            return rounds * count
        self._stopped += 1
        del names
        so_far = done * count + stopped_at
        rest = part.written_out()[done * len(part.words) + body.commands[stopped_at].at :]
        return so_far + executor.run_words(rest, position + so_far)


def _is_free(table: dict[int, Any], body: Body, rounds: int) -> bool:
    """Whether no handle that the results of all rounds but the first lie between is in use."""
    window = range(body.low + body.stride, body.low + rounds * body.stride)
    return is_disjoint(table, window)


def _handles(first: int, step: int, rounds: int) -> Any:
    """The handles of a word in all rounds but the first."""
    return range(first + step, first + rounds * step, step)


def _is_alone(buffer: Any, handle: int) -> bool:
    """Whether nothing is known of an array's buffer but that it is under this handle: its record may go."""
    return buffer is None or (buffer.handles == {handle} and buffer.error is None and buffer.on_free is None)


def _left(body: Body, done: int, stopped_at: int, names: dict[str, Any]) -> dict[int, Any]:
    """Handle -> array of what a plan kept to itself and nobody has freed, when `done` rounds and `stopped_at` commands are over; rising."""
    left: list[tuple[int, Any]] = []
    for i, handle in body.handles.items():
        if i not in body.freed or isinstance(body.commands[i], View):
            continue  # stored as it came, or a view
        by, is_later = body.freed[i]
        if is_later and by >= stopped_at:
            left.append((handle + (done - 1) * body.stride, names[f"p{i}"]))
        if i < stopped_at and (is_later or by >= stopped_at):
            left.append((handle + done * body.stride, names[f"v{i}"]))
    return dict(sorted(left, key=lambda pair: pair[0]))


def _left_views(body: Body, done: int, stopped_at: int, names: dict[str, Any]) -> list[tuple[int, Any, int]]:
    """(handle, view, handle of what it looks into) of the views that are there then."""
    left: list[tuple[int, Any, int]] = []
    for i, command in enumerate(body.commands[:stopped_at]):
        if not isinstance(command, View) or body.freed[i][0] < stopped_at:
            continue
        source = command.owner
        if isinstance(source, Local | Carried):
            owner = body.handles[source.of] + (done - isinstance(source, Carried)) * body.stride
        elif isinstance(source, Fixed):
            owner = body.fixed[source.number]
        else:
            assert isinstance(source, Each)
            owner = body.each[source.number][0] + done * body.each[source.number][1]
        left.append((body.handles[i] + done * body.stride, names[f"v{i}"], owner))
    return left


__all__ = ["MAX_PLANS", "Plans", "Statistics"]
