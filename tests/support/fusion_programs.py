"""Random programs of commands for two executors, one that fuses and one that does not: everything that a client could see is compared.

A program is made while the executor that does not fuse runs it, one command a batch; the other then gets the same commands in few batches.
Arrays are small and blocks smaller, so that a program has many blocks; `real_sizes` leaves both as they are in service.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cupool.apiserver import lastuse
from cupool.apiserver.devices.cpu.device import CpuDevice
from cupool.apiserver.executor import Executor
from cupool.apiserver.fusion import driver, kinds, lowering, programs, proof, segments, waves
from wire import REPLY, H, I, R, V, Writer, form, spec, value

from cupool.contract.codec import real_bits
from cupool.contract.limits import Limits
from cupool.contract.ops import TABLE
from cupool.contract.spec import spec_like
from cupool.v1 import session_pb2

UNARY = (
    "negative", "absolute", "square", "sqrt", "exp", "log", "sin", "cos", "tanh", "log1p", "expm1", "floor", "rint", "isnan", "isfinite",
    "logical_not", "signbit", "reciprocal", "sign", "arctan", "invert",
)  # fmt: skip
BINARY = (
    "add", "subtract", "multiply", "true_divide", "maximum", "minimum", "fmax", "greater", "less_equal", "equal", "not_equal",
    "logical_and", "logical_or", "arctan2", "power", "remainder", "floor_divide", "bitwise_and", "bitwise_xor", "hypot", "copysign",
)  # fmt: skip
REDUCTIONS = ("sum", "mean", "max", "min", "any", "all", "prod", "var", "std", "argmax")
DTYPES = ("f8", "f8", "f8", "f4", "f4", "i8", "i4", "u1", "?", "f2", "c16")
#: Of programs that are to have long chains.
CHAINED = ("f8", "f8", "f8", "f4", "?")
#: Where arrays are small: the least size that is joined, and bytes of a block.
SMALL_ELEMENTS, SMALL_BLOCK = 256, 1024
#: And the least size of a command that is a chain by itself, where there is a driver.
SMALL_SHARED = 2000
LIMIT = 1 << 30
#: Of the driver, where it is there; 1: the interpreter runs everything.
THREADS = 3


@contextmanager
def small_sizes() -> Iterator[None]:
    """Chains of small arrays join, in small blocks."""
    before = kinds.MIN_ELEMENTS, segments.BLOCK_BYTES
    work, lowering.WORK_OF_A_THREAD = lowering.WORK_OF_A_THREAD, 1
    alone, driver.WORTH_ALONE = driver.WORTH_ALONE, SMALL_SHARED
    block, driver.BLOCK_BYTES = driver.BLOCK_BYTES, SMALL_BLOCK
    cheap, driver.THREADS_OF_CHEAP = driver.THREADS_OF_CHEAP, 2
    least, lastuse.LEAST_BYTES = lastuse.LEAST_BYTES, SMALL_ELEMENTS
    trial, lastuse.WORTH_A_TRIAL = lastuse.WORTH_A_TRIAL, 0
    stages, waves.STAGES_A_THREAD = waves.STAGES_A_THREAD, 0
    longer, waves.LONGER = waves.LONGER, 0
    modules = [
        m for m in (kinds, segments, programs, _window()) if hasattr(m, "MIN_ELEMENTS") or hasattr(m, "BLOCK_BYTES")
    ]
    try:
        for module in modules:
            if hasattr(module, "MIN_ELEMENTS"):
                module.MIN_ELEMENTS = SMALL_ELEMENTS  # type: ignore[attr-defined]
            if hasattr(module, "BLOCK_BYTES"):
                module.BLOCK_BYTES = SMALL_BLOCK  # type: ignore[attr-defined]
        yield
    finally:
        lowering.WORK_OF_A_THREAD, driver.WORTH_ALONE, driver.BLOCK_BYTES = work, alone, block
        waves.STAGES_A_THREAD, waves.LONGER = stages, longer
        driver.THREADS_OF_CHEAP, lastuse.LEAST_BYTES, lastuse.WORTH_A_TRIAL = cheap, least, trial
        for module in modules:
            if hasattr(module, "MIN_ELEMENTS"):
                module.MIN_ELEMENTS = before[0]  # type: ignore[attr-defined]
            if hasattr(module, "BLOCK_BYTES"):
                module.BLOCK_BYTES = before[1]  # type: ignore[attr-defined]


def _window() -> Any:
    from cupool.apiserver.fusion import window

    return window


class Side:
    """One executor and what it answered."""

    def __init__(
        self, fuses: bool, limit_bytes: int = LIMIT, threads: int = THREADS, reuses: bool = True, waves: bool = True
    ) -> None:
        self.executor = Executor(
            CpuDevice(0, limit_bytes),
            limit_bytes,
            Limits(),
            fuses=fuses,
            fusion_threads=threads,
            reuses=reuses,
            waves=waves,
        )
        self.writer = Writer()
        self.told: list[Any] = []

    def run(self, commands: list[tuple[Any, ...]], known: set[int]) -> None:
        """Commands of (form or None for a free, words...), as one batch."""
        items: list[Any] = []
        new = []
        for which, *words in commands:
            if which is None:
                items += [0, *words]
                continue
            if which.id not in known:
                known.add(which.id)
                new.append(which)
            items += [which.id | 5 << 40, *words]
        outcome = self.executor.run(self.writer.batch(items, len(commands), *new))
        for data in outcome.results:
            result = session_pb2.Result.FromString(data)
            if result.HasField("error"):
                result.error.detail = ""  # where in the server: of no meaning to a program
            self.told.append(result.SerializeToString(deterministic=True))
        for failure in outcome.failures:
            failure.error.detail = ""
            self.told.append(failure.SerializeToString(deterministic=True))

    def seen(self, array: Any) -> tuple[Any, ...]:
        """What is compared of an array."""
        return array.dtype.str, array.shape, array.strides, array.tobytes()

    def state(self) -> Any:
        """What the session holds, byte for byte."""
        account = self.executor.accounting
        table = {
            handle: self.seen(array) if isinstance(array, self.executor.device.array_type) else _told(array)
            for handle, array in self.executor.handles.table.items()
        }
        return (
            table,
            account.used,
            account.peak,
            account.total,
            self.executor.failed_commands,
            self.executor.executed_commands,
        )


@dataclass
class Program:
    """One random program over a fresh pair of tables."""

    seed: int
    real_sizes: bool = False
    limit_bytes: int = LIMIT
    threads: int = THREADS
    commands: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.numbers = np.random.default_rng(self.seed)
        self.plain = Side(False, self.limit_bytes, reuses=False)
        self.fused = Side(True, self.limit_bytes, self.threads)
        #: joins nothing, and writes over operands that die
        self.walked = Side(False, self.limit_bytes)
        self._known: set[int] = set()
        self._forms = 0
        self._handle = 0
        self._reply = 1 << 40

    # -- making -------------------------------------------------------------------------------------------------------

    def _form(self, op: str, args: list[Any], results: list[Any], **kwargs: Any) -> Any:
        self._forms += 1
        return form(self._forms, op, args, results, **kwargs)

    def _do(self, which: Any, *words: Any) -> None:
        self.commands.append((which, *words))
        self.plain.run([self.commands[-1]], self._known)

    def _new(self) -> int:
        self._handle += 1
        return self._handle

    @property
    def table(self) -> dict[int, Any]:
        return {h: a for h, a in self.plain.executor.handles.table.items() if isinstance(a, np.ndarray)}

    def _any(self) -> tuple[int, Any]:
        """A handle and its array; recent ones more often."""
        items = list(self.table.items())
        return self.random.choice(items[-4:] if self.random.random() < 0.7 else items)

    def _alike(self, array: Any) -> tuple[int, Any]:
        """Another of the same shape, or one that broadcasts to it, if there is one."""
        items = [(h, a) for h, a in self.table.items() if a.shape == array.shape]
        if self.random.random() < 0.2:
            items = [(h, a) for h, a in self.table.items() if _fits(a.shape, array.shape)]
        return self.random.choice(items[-4:])

    def array(self, shape: tuple[int, ...], dtype: Any) -> None:
        """An upload of random values, corners among them."""
        kind = np.dtype(dtype)
        size = int(np.prod(shape))
        if kind.kind == "c":
            data = proof.values(self.numbers, np.dtype("f8"), 2 * size).view("c16")
        else:
            data = proof.values(self.numbers, kind, size)
        data = data.reshape(shape)
        if kind.kind == "f" and self.random.random() < 0.5:
            data = np.abs(data) if self.random.random() < 0.5 else self.numbers.uniform(-3, 3, shape).astype(kind)
        made = self._form("@array", [V], [spec(shape, kind)])
        self._do(made, self._new(), value(data.tobytes()))

    def _scalar(self) -> tuple[Any, int]:
        if self.random.random() < 0.5:
            return I, self.random.choice((0, 1, 2, 3, -1, -7, 255, 300, 1 << 40))
        return R, real_bits(self.random.choice((0.5, -0.0, 2.0, -3.25, 1e300, float("inf"), float("nan"))))

    def _expected(self, op: str, operands: list[Any], **options: Any) -> Any:
        """ResultSpec by the row's rule; None where it refuses."""
        specs = [spec_like(x) if isinstance(x, np.ndarray) else x for x in operands]
        try:
            found = TABLE[op].infer(*specs, **options)  # type: ignore[operator]
        except (TypeError, ValueError, IndexError, NotImplementedError, OverflowError):
            return None
        found = found[0] if isinstance(found, tuple) else found
        return spec(found.shape, found.dtype, found.strides)

    def step(self) -> None:
        """One more command, of a random kind; none where it makes no sense."""
        chosen = self.random.choices(
            (self._unary, self._binary, self._scalar_op, self._into, self._where, self._astype, self._view, self._assign, self._reduce,
             self._free, self._fetch, self._wrong, self._copy, self._rebind, self._by_rows, self._clip),
            (12, 20, 12, 8, 4, 4, 6, 6, 8, 16, 2, 1, 3, 12, 5, 3) if self.seed % 2
            else (16, 24, 12, 5, 4, 2, 3, 3, 4, 20, 0.5, 0.2, 1, 10, 4, 3),
        )[0]  # fmt: skip
        chosen()

    def _unary(self) -> None:
        handle, a = self._any()
        op = self.random.choice(UNARY if self.seed % 2 else UNARY[:16])
        result = self._expected(op, [a])
        if result is not None:
            self._do(self._form(op, [H], [result]), self._new(), handle)

    def _copy(self) -> None:
        handle, a = self._any()
        op = self.random.choice(("copy", "ndarray.copy"))
        result = self._expected(op, [a])
        if result is not None:
            self._do(self._form(op, [H], [result]), self._new(), handle)

    def _binary(self) -> None:
        handle, a = self._any()
        other, b = self._alike(a)
        op = self.random.choice(BINARY if self.seed % 2 else BINARY[:12])
        result = self._expected(op, [a, b])
        if result is not None:
            self._do(self._form(op, [H, H], [result]), self._new(), handle, other)

    def _scalar_op(self) -> None:
        handle, a = self._any()
        op = self.random.choice(BINARY)
        slot, word = self._scalar()
        number = word if slot is I else 0.5
        if self.random.random() < 0.7:
            result = self._expected(op, [a, number])
            if result is not None:
                self._do(self._form(op, [H, slot], [result]), self._new(), handle, word)
            return
        result = self._expected(op, [number, a])
        if result is not None:
            self._do(self._form(op, [slot, H], [result]), self._new(), word, handle)

    def _into(self) -> None:
        target, out = self._any()
        if not out.flags.writeable:
            return
        handle, a = (target, out) if self.random.random() < 0.6 else self._alike(out)
        if np.broadcast_shapes(a.shape, out.shape) != out.shape:
            return
        op = self.random.choice(
            ("add", "subtract", "multiply", "true_divide", "maximum", "exp", "sqrt", "negative", "greater")
        )
        if op in ("exp", "sqrt", "negative"):
            self._do(self._form(op, [H], [], out=H), handle, target)
        elif self.random.random() < 0.5:
            slot, word = self._scalar()
            self._do(self._form(op, [H, slot], [], out=H), handle, word, target)
        else:
            other, _ = self._alike(out)
            self._do(self._form(op, [H, H], [], out=H), handle, other, target)

    def _where(self) -> None:
        handle, a = self._any()
        masks = [(h, m) for h, m in self.table.items() if m.dtype == bool and m.shape == a.shape]
        if not masks:
            return
        mask, m = self.random.choice(masks)
        if self.random.random() < 0.3:
            result = self._expected("where", [m, a, 0.5])
            if result is not None:
                self._do(self._form("where", [H], [result], x=H, y=R), self._new(), mask, handle, real_bits(0.5))
            return
        other, b = self._alike(a)
        result = self._expected("where", [m, a, b])
        if result is not None:
            self._do(self._form("where", [H], [result], x=H, y=H), self._new(), mask, handle, other)

    def _astype(self) -> None:
        handle, a = self._any()
        dtype = np.dtype(self.random.choice(DTYPES))
        if dtype.kind != "c" and a.dtype.kind != "c":
            result = self._expected("ndarray.astype", [a, dtype])
            if result is not None:
                self._do(self._form("ndarray.astype", [H, dtype], [result]), self._new(), handle)

    def _key(self, n: int) -> slice:
        low, high = sorted(self.random.sample(range(n + 1), 2)) if n > 1 else (0, n)
        if self.random.random() < 0.8:
            low, high = self.random.choice(((0, n - 1), (1, n), (1, n - 1), (0, n), (2, n)))
        return slice(low, max(high, low), self.random.choice((1, 1, 1, 1, 2)))

    def _view(self) -> None:
        handle, a = self._any()
        if a.ndim == 0 or 0 in a.shape:
            return
        kind = self.random.random()
        if kind < 0.15:
            v = a[::-1]
        elif kind < 0.3 and a.ndim > 1:
            v = a.T
        elif kind < 0.4 and a.ndim > 1:
            v = a[0]
        else:
            v = a[tuple(self._key(n) for n in a.shape)]
        offset = v.__array_interface__["data"][0] - a.__array_interface__["data"][0] if v.size else 0
        self._do(self._form("@view", [H, I], [spec(v.shape, v.dtype, v.strides)]), self._new(), handle, offset)

    def _assign(self) -> None:
        target, a = self._any()
        if a.ndim == 0 or not a.flags.writeable:
            return
        key = tuple(self._key(n) for n in a.shape)
        view = a[key]
        like = [h for h, b in self.table.items() if b.shape == view.shape]
        if like:
            which = self._form("ndarray.__setitem__", [H, key, H], [])
            self._do(which, target, self.random.choice(like[-4:]))
        else:
            self._do(self._form("ndarray.__setitem__", [H, key, 0.5], []), target)

    def _reduce(self) -> None:
        handle, a = self._any()
        op = self.random.choice(REDUCTIONS)
        options: dict[str, Any] = {}
        if a.ndim and self.random.random() < 0.5:
            options["axis"] = self.random.choice((-1, a.ndim - 1, 0))
            if self.random.random() < 0.5:
                options["keepdims"] = True
        result = self._expected(op, [a], **options)
        if result is not None:
            self._do(self._form(op, [H], [result], **options), self._new(), handle)

    def _clip(self) -> None:
        handle, a = self._any()
        limits = [self._scalar() for _ in range(2)]
        result = self._expected("clip", [a, *(word if slot is I else 0.5 for slot, word in limits)])
        if result is not None:
            slots, words = zip(*limits, strict=True)
            self._do(self._form("clip", [H, *slots], [result]), self._new(), handle, *words)

    def _by_rows(self) -> None:
        """`f(x, x.mean(axis=-1, keepdims=True))`."""
        handle, a = self._any()
        op = self.random.choice(("mean", "mean", "sum", "max", "min", "var", "std"))
        rows = self._expected(op, [a], axis=-1, keepdims=True) if a.ndim > 1 else None
        if rows is None:
            return
        over = self._new()
        self._do(self._form(op, [H], [rows], axis=-1, keepdims=True), over, handle)
        if over not in self.table:
            return
        op = self.random.choice(("subtract", "true_divide", "multiply", "greater"))
        result = self._expected(op, [a, self.table[over]])
        if result is not None:
            self._do(self._form(op, [H, H], [result]), self._new(), handle, over)

    def _free(self) -> None:
        if len(self.table) > 3:
            items = list(self.table)
            handle = self.random.choice(items) if self.random.random() < 0.4 else items[-self.random.randint(1, 3)]
            self._do(None, handle)

    def _rebind(self) -> None:
        """`x = f(x, ...)`: an operand dies right behind the command, or one of several that die there."""
        if len(self.table) < 5:
            return
        before = len(self.commands)
        self.random.choice((self._unary, self._binary, self._binary, self._scalar_op))()
        made = self.commands[before:]
        if not made or made[0][0] is None:
            return
        named = [word for word in made[0][2:] if word in self.table]
        dying = self.random.sample(named, self.random.randint(0, len(named))) if named else []
        if self.random.random() < 0.2:
            dying.insert(0, self.random.choice(list(self.table)))
        for handle in dict.fromkeys(dying):
            if handle in self.table and handle != made[0][1]:
                self._do(None, handle)

    def _fetch(self) -> None:
        self._reply += 1
        self._do(self._form("@fetch", [H], [REPLY]), self._reply, self._any()[0])

    def _wrong(self) -> None:
        """Commands that fail: a freed operand, a result that is promised otherwise, a handle that is in use."""
        handle, a = self._any()
        kind = self.random.random()
        if kind < 0.5:
            result = spec((*a.shape, 7), "f8")
            self._do(self._form("add", [H, H], [result]), self._new(), handle, handle)
        else:
            self._do(self._form("exp", [H], [spec(a.shape, "f8")]), self._new(), self._handle + 1000)

    # -- running ------------------------------------------------------------------------------------------------------

    def make(self) -> None:
        """Make the program, and run it command by command."""
        shapes: list[tuple[int, ...]] = [
            (self.random.choice((300, 511, 1000, 1024, 2000, 4099)),),
            (40, 50),
            (7, 13, 11),
        ]
        if self.real_sizes:
            shapes = [(self.random.choice((100_000, 131_072, 200_003)),), (103, 1000), (500, 257)]
        shape = self.random.choice(shapes)
        for _ in range(3):
            self.array(shape, self.random.choice(DTYPES if self.seed % 2 else CHAINED))
        if len(shape) > 1:
            self.array(shape[-1:], self.random.choice(DTYPES))
            self.array((*shape[:-1], 1), "f8")
        for _ in range(self.random.randint(8, 40)):
            self.step()

    def check(self) -> int:
        """Run it where commands are joined, in random batches, and compare all. Returns how many were.

        Raises:
            AssertionError: something differs; the seed is in it.
        """
        for side in (self.fused, self.walked):
            self._check(side)
        fusion = self.fused.executor.fusion
        assert fusion is not None
        return fusion.joined

    def _check(self, side: Side) -> None:
        known: set[int] = set()
        rest = list(self.commands)
        while rest:
            n = self.random.choice((len(rest), len(rest), self.random.randint(1, len(rest))))
            side.run(rest[:n], known)
            rest = rest[n:]
        assert _positions(side.told) == _positions(self.plain.told), f"answers differ, seed {self.seed}"
        ours, theirs = side.state(), self.plain.state()
        for handle in {*ours[0], *theirs[0]}:
            mine, other = ours[0].get(handle), theirs[0].get(handle)
            assert mine == other, (
                f"handle {handle} differs, seed {self.seed}: {mine and mine[:3]} {other and other[:3]}"
            )
        assert list(ours[0]) == list(theirs[0]), f"the table has another order, seed {self.seed}"
        assert ours[1:] == theirs[1:], f"the account differs, seed {self.seed}: {ours[1:]} {theirs[1:]}"


def _told(stored: Any) -> str:
    error = stored.wire()
    return f"{error.type}: {error.message}"


def _positions(told: list[Any]) -> list[Any]:
    return sorted(told)


def _fits(shape: tuple[int, ...], into: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, into) == into
    except ValueError:
        return False


@dataclass
class Done:
    """What programs came to: commands that joined, segments that were run where there is a driver, those that the driver ran."""

    joined: int = 0
    segments: int = 0
    lowered: int = 0
    #: results that were written over operands, in chains and one by one
    over: int = 0
    over_alone: int = 0


def check(seed: int, real_sizes: bool = False, threads: int = THREADS) -> Done:
    """Make, run and compare one program, by the driver where the machine has a compiler."""
    np.seterr(all="ignore")
    if threads != 1:
        driver.prepare(waits=True)
    program = Program(seed, real_sizes, threads=threads)
    trial, lastuse.WORTH_A_TRIAL = lastuse.WORTH_A_TRIAL, 0
    try:
        program.make()
        joined = program.check()
        fusion = program.fused.executor.fusion
        assert fusion is not None
        over = (program.fused.executor.last_uses, program.walked.executor.last_uses)
        return Done(joined, fusion.segments, fusion.lowered, *over)
    finally:
        lastuse.WORTH_A_TRIAL = trial
        for side in (program.plain, program.fused, program.walked):
            side.executor.close()


__all__ = ["Done", "Program", "check", "small_sizes"]
