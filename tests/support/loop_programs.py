"""Random loops for an executor: the same commands written out, as loops without plans, and as loops with plans must leave the same.

A program is one loop over arrays that exist before it: operands from this round, the round before, arrays that stay and arrays that
are others in each round; frees in the same round, in the next, or never; numbers; results into `out=`; views and replies, which no
plan takes; and what goes wrong in the middle: an array of another shape, none at all, a stored error, a form that promises
another dtype or other strides, too little memory, an old handle in the way of a result.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cupool.apiserver.devices.cpu.device import CpuDevice
from cupool.apiserver.executor import BrokenOff, Executor
from cupool.apiserver.faults import StoredError
from cupool.apiserver.implementations import resolve_table
from wire import H, I, R, V, Writer, form, value

from cupool.contract import codec, loops
from cupool.contract.limits import DEFAULT_LIMITS
from cupool.contract.ops import TABLE
from cupool.contract.spec import Spec, spec_of
from cupool.contract.values import dtype_to_wire
from cupool.v1 import session_pb2 as pb

MIB = 1 << 20
DTYPES = [np.dtype(t) for t in ("f8", "f4", "i4", "i8", "?", "c16", "u1", "f8", "f8")]
SHAPES: list[tuple[int, ...]] = [(4,), (4,), (2, 4), (1,), (), (0,), (4, 4), (1, 4), (4, 1), (600,)]
BINARY = (
    "add",
    "multiply",
    "subtract",
    "maximum",
    "minimum",
    "equal",
    "true_divide",
    "power",
    "hypot",
    "left_shift",
    "floor_divide",
)
UNARY = (
    "sqrt",
    "negative",
    "exp",
    "sum",
    "cumsum",
    "sin",
    "conjugate",
    "sort",
    "ndarray.copy",
    "transpose",
    "argmax",
    "ravel",
    "square",
)

_impls: dict[str, Callable[..., Any]] = {}


@dataclass
class _Array:
    """What the generator knows of an operand: its word in the first round, the step, and its spec."""

    handle: int
    step: int
    spec: Spec
    freed: bool = False
    is_view: bool = False


@dataclass
class LoopProgram:
    """One program. `setup` are commands that make what there is before; `words` and `steps` one round; `forms` all forms."""

    seed: int
    limit_bytes: int = 64 * MIB
    setup: list[Any] = field(default_factory=list)
    setup_count: int = 0
    forms: list[Any] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    count: int = 0
    rounds: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._next = 100
        self._array_forms: dict[tuple[Any, ...], int] = {}
        self._results: list[_Array] = []
        self._previous: list[_Array] = []
        self._make()

    # -- making ---------------------------------------------------------------------------------------------------------

    def _form(self, op: str, args: list[Any], results: list[Any], **kwargs: Any) -> int:
        number = len(self.forms) + 1
        self.forms.append(form(number, op, args, results, **kwargs))
        return number

    def _mint(self) -> int:
        self._next += 1
        return self._next

    def _given(self, handle: int, spec: Spec) -> None:
        """Make an array before the loop."""
        key = (spec.shape, spec.dtype)
        if key not in self._array_forms:
            self._array_forms[key] = self._form("@array", [V], [_wire(spec)])
        data = np.random.default_rng(handle).integers(0, 5, spec.shape).astype(spec.dtype)
        self.setup += [self._array_forms[key], handle, value(data.tobytes())]
        self.setup_count += 1

    def _make(self) -> None:
        rng = self._random
        self.rounds = rng.choice((2, 3, 4, 7, 20, 60))
        size = rng.choice((1, 1, 2, 3, 5, 8))
        shapes = rng.sample(SHAPES, 2)
        dtypes = rng.sample(DTYPES, 2)
        self._fixed = [self._existing(0, shapes, dtypes) for _ in range(rng.randint(1, 3))]
        self._each = [self._existing(rng.choice((1, 1, 2, -1)), shapes, dtypes) for _ in range(rng.randint(0, 2))]
        self._stride = size + rng.choice((0, 0, 1))
        self._low = self._next + 2 * self._stride + 1
        # A result of the round before, in the first round, is an array that was there.
        self._carried = {}
        commands: list[tuple[list[int], list[int]]] = []
        for k in range(size):
            commands.append(self._command(k, shapes, dtypes))
            if rng.random() < 0.6:
                freed = self._free()
                if freed is not None:
                    commands.append(freed)
        for made in self._results:
            if made.is_view and not made.freed and rng.random() < 0.9:  # as a program's temporary
                at = next(k for k, (words, _) in enumerate(commands) if words[0] and words[1:2] == [made.handle])
                freeing = [k for k, (words, _) in enumerate(commands) if not words[0] and k > at]
                made.freed = True
                commands.insert(rng.choice([len(commands), *freeing[:1]]), ([0, made.handle], [0, self._stride]))
        for words, steps in commands:
            self.words += words
            self.steps += steps
        self.count = len(commands)
        if rng.random() < 0.08:
            self.limit_bytes = 512 * (len(self._fixed) + rng.randint(4, 40))
        if rng.random() < 0.05 and self._results:
            self._given(self._low + self._stride * rng.randint(1, self.rounds), self._fixed[0].spec)  # in the way

    def _existing(self, step: int, shapes: Any, dtypes: Any) -> _Array:
        rng = self._random
        spec = spec_of(rng.choice(shapes), rng.choice(dtypes), None)
        first = self._mint()
        if not step:
            self._given(first, spec)
            return _Array(first, 0, spec)
        handles = [first + k * abs(step) for k in range(self.rounds)]
        self._next = handles[-1]
        odd = rng.randrange(self.rounds) if rng.random() < 0.25 else -1
        for k, handle in enumerate(handles):
            if k == odd and rng.random() < 0.4:
                continue  # it is not there
            other = spec if k != odd else spec_of(rng.choice(SHAPES), rng.choice(DTYPES), None)
            self._given(handle, other)
        return _Array(first if step > 0 else handles[-1], step, spec)

    def _operand(self) -> _Array:
        rng = self._random
        pick = rng.random()
        live = [a for a in self._results if not a.freed]
        if pick < 0.35 and live:
            return rng.choice(live)
        if pick < 0.6 and self._results:
            at = rng.randrange(len(self._results))
            return self._last_round(at)
        if pick < 0.75 and self._each:
            return rng.choice(self._each)
        return rng.choice(self._fixed)

    def _last_round(self, at: int) -> _Array:
        """The same result, one round before (rarely two)."""
        made, back = self._results[at], 1 if self._random.random() < 0.95 else 2
        handle = made.handle - back * self._stride
        for k in range(1, back + 1):
            before = made.handle - k * self._stride
            if before not in self._carried:
                self._carried[before] = True
                self._given(before, made.spec)
        return _Array(handle, self._stride, made.spec)

    def _free(self) -> tuple[list[int], list[int]] | None:
        rng = self._random
        if not self._results:
            return None
        at = rng.randrange(len(self._results))
        if rng.random() < 0.5:
            self._results[at].freed = True
            return [0, self._results[at].handle], [0, self._stride]
        if rng.random() < 0.05:
            array = rng.choice([*self._fixed, *self._each])
            return [0, array.handle], [0, array.step]
        array = self._last_round(at)
        return [0, array.handle], [0, array.step]

    def _command(self, k: int, shapes: Any, dtypes: Any) -> tuple[list[int], list[int]]:
        rng = self._random
        handle = self._low + k
        for _ in range(20):
            made = self._attempt(handle, rng.random())
            if made is not None:
                return made
        spec = spec_of((4,), np.dtype("f8"), None)
        self._results.append(_Array(handle, self._stride, spec))
        return [self._form("ones", [(4,)], [_wire(spec)]), handle], [0, self._stride]

    def _attempt(self, handle: int, pick: float) -> tuple[list[int], list[int]] | None:
        rng = self._random
        a = self._operand()
        if pick < 0.5:
            b = self._operand()
            return self._called(
                rng.choice(BINARY), [H, H], [a.spec, b.spec], [a.handle, b.handle], [a.step, b.step], handle
            )
        if pick < 0.68:
            op, is_real = rng.choice(BINARY), rng.random() < 0.5
            number: Any = rng.choice((0.5, 2.0, -1.5, 0.0)) if is_real else rng.choice((0, 1, 2, -3))
            word, step = codec.real_bits(number) if is_real else number, 0 if rng.random() < 0.9 else 1
            slots, specs = [H, R if is_real else I], [a.spec, number]
            words, steps = [a.handle, word], [a.step, step]
            if rng.random() < 0.3:
                slots, specs, words, steps = slots[::-1], specs[::-1], words[::-1], steps[::-1]
            return self._called(op, slots, specs, words, steps, handle)
        if pick < 0.8:
            op = rng.choice(UNARY)
            kwargs = {"axis": -1} if op in ("sum", "argmax") and a.spec.ndim and rng.random() < 0.5 else {}
            return self._called(op, [H], [a.spec], [a.handle], [a.step], handle, **kwargs)
        if pick < 0.88:
            b, op = self._operand(), rng.choice(BINARY[:5])
            found = _inferred(op, [a.spec, b.spec], {})
            if found is None or found.shape != a.spec.shape or found.dtype != a.spec.dtype:
                return None
            number = self._form(op, [H, H], [], out=H)
            return [number, a.handle, b.handle, a.handle], [0, a.step, b.step, a.step]
        if pick < 0.985 and a.spec.ndim and a.spec.shape[0] > 1:
            spec = spec_of((a.spec.shape[0] - 1, *a.spec.shape[1:]), a.spec.dtype, a.spec.strides)
            self._results.append(_Array(handle, self._stride, spec, is_view=True))
            number, moving = self._form("@view", [H, I], [_wire(spec)]), rng.choice((0, 0, 0, a.spec.itemsize))
            return [number, handle, a.handle, rng.choice((0, a.spec.strides[0]))], [0, self._stride, a.step, moving]
        if pick < 0.99:
            return [self._form("@fetch", [H], [pb.ResultSpec(reply=True)]), handle, a.handle], [0, self._stride, a.step]
        return None

    def _called(self, op: str, slots: Any, specs: Any, words: Any, steps: Any, handle: int, **kwargs: Any) -> Any:
        rng = self._random
        spec = _inferred(op, specs, kwargs)
        if spec is None:
            return None
        promised = spec
        if rng.random() < 0.03:
            promised = spec_of(spec.shape, rng.choice(DTYPES), None)  # perhaps another one than comes
        elif rng.random() < 0.05 and spec.ndim > 1:
            strides = np.empty(spec.shape, spec.dtype, order="F").strides
            promised = spec_of(spec.shape, spec.dtype, strides)
        number = self._form(op, slots, [_wire(promised)], **kwargs)
        self._results.append(_Array(handle, self._stride, promised))
        return [number, handle, *words], [0, self._stride, *steps]

    # -- running --------------------------------------------------------------------------------------------------------

    def run(self, how: str, device: Any = None) -> tuple[Any, Any]:
        """Everything that can be seen afterwards, and the plans' statistics.

        Args:
            how: "plain", "loops" (without plans) or "plans".
            device: a fresh one; None: of the CPU.
        """
        if not _impls:
            _impls.update(resolve_table(CpuDevice(0, MIB)))
        executor = Executor(
            device or CpuDevice(0, self.limit_bytes), self.limit_bytes, DEFAULT_LIMITS, impls=None if device else _impls,
            has_plans=how == "plans",
        )  # fmt: skip
        writer, seen = Writer(), []
        seen.append(_told(executor.run(writer.batch(self.setup, self.setup_count, *self.forms))))
        rounds = np.asarray(self.words, np.int64) + np.arange(2 * self.rounds)[:, None] * np.asarray(
            self.steps, np.int64
        )
        # In two batches: the second one meets the plan that the first one made, and handles that the first one left.
        for part in (rounds[: self.rounds], rounds[self.rounds :]):
            try:
                seen.append(_told(executor.run(self._batch(writer, executor, part, how))))
            except BrokenOff as error:  # a handle in the way of a result
                seen.append(str(error))
                break
        state = _state(executor)
        statistics = executor.plans.statistics()
        executor.close()
        return (seen, state), statistics

    def _batch(self, writer: Writer, executor: Executor, part: Any, how: str) -> Any:
        count, n = self.count * len(part), len(part)
        packed, looped = part.ravel().astype("<i8").tobytes(), []
        if how != "plain" and n > 1:
            steps = np.asarray(self.steps, "<i8").tobytes()
            looped = [loops.encode(0, n, steps)]
            packed = loops.shortened(packed, loops.Found(0, len(self.words), n, steps))
        data = codec.encode_batch(
            executor.executed_seq + 1, executor.executed_commands, count, [], packed, [], 0, looped
        )
        return pb.Batch.FromString(data)


def _wire(spec: Spec) -> Any:
    return pb.ResultSpec(dtype=dtype_to_wire(spec.dtype), shape=spec.shape, strides=spec.strides)


def _inferred(op: str, operands: list[Any], kwargs: dict[str, Any]) -> Spec | None:
    """What the op's rule says; None where it refuses, or cannot tell."""
    rule = TABLE[op].infer
    try:
        found = rule(*operands, **kwargs) if callable(rule) else None
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, NotImplementedError, ArithmeticError):
        return None
    return found if isinstance(found, Spec) else None


def _told(outcome: Any) -> tuple[Any, Any]:
    results = [pb.Result.FromString(result) for result in outcome.results]
    for message in (*(result for result in results if result.WhichOneof("kind") == "error"), *outcome.failures):
        message.error.detail = ""  # lines of the server's own code: those of a step that has run before are others
    return [r.SerializeToString() for r in results], [failure.SerializeToString() for failure in outcome.failures]


def _state(executor: Executor) -> Any:
    """Every handle's array, the books, and the counts."""
    handles, account = executor.handles, executor.accounting
    values = {}
    for handle, item in sorted(handles.table.items()):
        if isinstance(item, StoredError):
            wire = item.wire()
            values[handle] = ("error", wire.type, wire.message)
        elif isinstance(item, executor.device.array_type):
            values[handle] = (str(item.dtype), item.shape, item.strides, item.tobytes())
        else:
            values[handle] = type(item).__name__
    # A record of an array that is alone in its buffer says nothing.
    buffers = sorted(
        (sorted(b.handles), b.charged, b.error is not None)
        for b in handles.buffers.values()
        if len(b.handles) > 1 or b.error is not None or b.root is not handles.table[next(iter(b.handles))]
    )
    books = (
        account.used,
        account.peak,
        account.total,
        handles.faults,
        executor.executed_commands,
        executor.failed_commands,
    )
    return values, buffers, books


class ManyLoops:
    """Many short loops of one session over the same two forms and arrays of one spec: they differ only in where operands come from."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def run(self, has_plans: bool) -> tuple[Any, Any]:
        """As `LoopProgram.run`."""
        rng = random.Random(self._seed)
        executor = Executor(CpuDevice(0, 64 * MIB), 64 * MIB, DEFAULT_LIMITS, impls=_impls, has_plans=has_plans)
        writer, spec = Writer(), spec_of((4,), np.dtype("f8"), None)
        made = [
            form(1, "@array", [V], [_wire(spec)]),
            form(2, "subtract", [H, H], [_wire(spec)]),
            form(3, "add", [H, H], [_wire(spec)]),
        ]
        setup: list[Any] = []
        for handle in (1, 2, 3):
            setup += [1, handle, value(np.random.default_rng(handle).random(4).tobytes())]
        executor.run(writer.batch(setup, 3, *made))
        following = 100
        for _ in range(8):
            size, rounds = rng.choice((1, 1, 2)), rng.choice((3, 4, 9))
            low = following + size
            words: list[int] = []
            for k in range(size):  # what the first round finds of the round before
                executor.run(writer.batch([1, following + k, value(np.full(4, k + 0.5).tobytes())], 1))
            for k in range(size):
                sources = [1, 2, 3, *(low + j for j in range(k)), *(low + j - size for j in range(size))]
                words += [rng.choice((2, 3)), low + k, rng.choice(sources), rng.choice(sources)]
            freed = [handle for j in range(size) for handle in (rng.choice((low + j, low + j - size, 0)),) if handle]
            words += [word for handle in freed for word in (0, handle)]
            steps = [0 if w < following else size for w in words]
            packed = codec.pack_words(words)[0]
            count = rounds * (size + len(freed))
            looped = [loops.encode(0, rounds, codec.pack_words(steps)[0])]
            data = codec.encode_batch(
                executor.executed_seq + 1, executor.executed_commands, count, [], packed, [], 0, looped
            )
            executor.run(pb.Batch.FromString(data))
            writer.seq, writer.position = executor.executed_seq, executor.executed_commands
            following = low + (rounds + 1) * size
        state, statistics = _state(executor), executor.plans.statistics()
        executor.close()
        return state, statistics


def check(seed: int) -> Any:
    """Run a program in the three ways, and many loops of one session with and without plans.

    Returns the plans' statistics; raises AssertionError where they differ.
    """
    program = LoopProgram(seed)
    plain, _ = program.run("plain")
    looped, _ = program.run("loops")
    planned, statistics = program.run("plans")
    for name, other in (("loops", looped), ("plans", planned)):
        if repr(other) != repr(plain):
            raise AssertionError(f"program {seed} by {name} leaves something else:\n{plain}\n{other}")
    many = ManyLoops(seed)
    if repr(many.run(True)[0]) != repr(many.run(False)[0]):
        raise AssertionError(f"many loops {seed}: with plans something else is left")
    return statistics


__all__ = ["LoopProgram", "ManyLoops", "check"]
