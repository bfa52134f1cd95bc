"""Random programs of commands for two sessions of a GPU that is memory of this process, one that runs chains as kernels and one that does
not: everything that a client could see is compared, and memory that is written too early or by two is a wrong number.

A program is made as those of `fusion_programs.py` are, with loops in it, for a chain is compiled when it comes again.
"""

from __future__ import annotations

import sys
from typing import Any

import fakecupy
import fusion_programs
import numpy as np
from cupool.apiserver.executor import Executor
from fusion_programs import LIMIT, Program, Side, _fits
from wire import H, R, Writer

from cupool.contract.codec import real_bits
from cupool.contract.limits import Limits

#: Of arrays of the program: what joins is of this size and more.
LEAST_ELEMENTS = 256
UNARY = ("negative", "square", "sqrt", "floor", "isnan", "logical_not", "invert", "exp")
BINARY = (
    "add",
    "subtract",
    "multiply",
    "true_divide",
    "greater",
    "less_equal",
    "equal",
    "logical_and",
    "bitwise_and",
    "maximum",
)
#: What the rounds of loops do: names of operations, a number added, or the last result halved where it lies.
LOOPED = (
    "add",
    "subtract",
    "multiply",
    "true_divide",
    "negative",
    "square",
    "sqrt",
    "scalar",
    "scalar",
    "into",
    "into",
)
DTYPES = ("f8", "f8", "f4", "f4", "i8", "i4", "u1", "?", "f2")


def small_sizes(patch: Any) -> None:
    """Chains of small arrays join; what is compared counts every NaN as the same."""
    for name in ("operations", "window"):
        patch.setattr(sys.modules[f"cupool.apiserver.devices.cuda.chains.{name}"], "MIN_ELEMENTS", LEAST_ELEMENTS)
    patch.setattr(sys.modules["cupool.apiserver.devices.cuda.chains"], "_is_same", is_same)


def bits(host: Any) -> bytes:
    """An array's bytes, every NaN the same: which of two NaNs this machine's additions hand on depends on the order of operands, which a
    compiler may change."""
    return np.where(host != host, np.nan, host).tobytes() if host.dtype.kind == "f" else host.tobytes()


def is_same(a: Any, b: Any) -> bool:
    """In the place of the device's own comparison."""
    return bits(a.get()) == bits(b.get())


class CudaSide(Side):
    """One executor over a GPU."""

    def __init__(self, cuda: Any, fuses: bool, limit_bytes: int = LIMIT) -> None:
        device = cuda.CudaDevice(0, limit_bytes, fuses=fuses)
        if fuses:
            device._kernels._waits = True
        self.executor = Executor(device, limit_bytes, Limits(), reuses=False)
        self.writer = Writer()
        self.told: list[Any] = []

    def seen(self, array: Any) -> tuple[Any, ...]:
        host = array.get()
        return host.dtype.str, host.shape, array.strides, bits(host)


class ChainProgram(Program):
    """One random program, and the two sessions that it is run in."""

    def check_on(self, cuda: Any) -> Any:
        """Run it in random batches in both, and compare all. Returns the `Chains` of the one that has them.

        Raises:
            AssertionError: something differs; the seed is in it.
        """
        (told, theirs, _), (answers, ours, joined) = self._run(cuda, False), self._run(cuda, True)
        assert sorted(told) == sorted(answers), f"answers differ, seed {self.seed}"
        for handle in {*ours[0], *theirs[0]}:
            mine, other = ours[0].get(handle), theirs[0].get(handle)
            assert mine == other, (
                f"handle {handle} differs, seed {self.seed}: {mine and mine[:3]} {other and other[:3]}"
            )
        assert list(ours[0]) == list(theirs[0]), f"the table has another order, seed {self.seed}"
        assert ours[1:] == theirs[1:], f"the account differs, seed {self.seed}: {ours[1:]} {theirs[1:]}"
        return joined

    def _run(self, cuda: Any, fuses: bool) -> tuple[Any, Any, Any]:
        """Answers, the state at the end, and the `Chains`, in random batches on GPUs of its own."""
        fakecupy.again()
        side, known, rest = CudaSide(cuda, fuses), set[int](), list(self.commands)
        while rest:
            n = self.random.choice((len(rest), self.random.randint(1, len(rest))))
            side.run(rest[:n], known)
            rest = rest[n:]
        state, chains = side.state(), side.executor.fusion
        side.executor.close()
        return side.told, state, chains

    def _do(self, which: Any, *words: Any) -> None:
        """As ever; but what failed is freed, in most programs: while there is a failure commands are walked one by one."""
        super()._do(which, *words)
        handles = self.plain.executor.handles
        if handles.faults and self.seed % 4:
            for handle in list(handles.table):
                try:
                    handles.get(handle)
                except Exception:
                    super()._do(None, handle)

    def _into(self) -> None:
        if not self.seed % 4 or all(a.dtype.kind == "f" for a in self.table.values()):
            super()._into()

    def loop(self) -> None:
        """What a loop of a program does: the same commands over the same and over new arrays, whose results it drops or keeps."""
        whole = [
            h
            for h, a in self.table.items()
            if a.size >= LEAST_ELEMENTS and a.flags.c_contiguous and a.dtype.kind in "fi"
        ]
        if not whole:
            return
        first = self.random.choice(whole)
        shape = self.table[first].shape
        alike = [h for h, a in self.table.items() if _fits(a.shape, shape) and a.dtype.kind in "fi"]
        plan = [
            (self.random.choice(LOOPED), self.random.choice(alike), self.random.randint(0, k))
            for k in range(self.random.randint(2, 9))
        ]
        self._of_step: dict[Any, Any] = {}
        keeps = self.random.random() < 0.3
        for _ in range(self.random.randint(6, 30)):
            made = [first]
            for k, (name, other, back) in enumerate(plan):
                self._looped(k, name, made, made[-1 - min(back, len(made) - 1)], other)
            for k, handle in enumerate(made[1:]):
                if k + 2 < len(made) or not keeps:
                    self._do(None, handle)

    def _step(self, key: Any, op: str, args: list[Any], results: list[Any], **named: Any) -> Any:
        """The form of a step, in each round the same one."""
        if key not in self._of_step:
            self._of_step[key] = self._form(op, args, results, **named)
        return self._of_step[key]

    def _looped(self, k: int, name: str, made: list[int], a: int, other: int) -> None:
        table, last = self.table, made[-1]
        shape = table[made[0]].shape
        if name == "into":
            if table[last].shape == table[a].shape and last != made[0]:
                self._do(self._step(k, "multiply", [H, R], [], out=H), a, real_bits(0.5), last)
            return
        op, slots, words, operands = name, [H, H], [a, other], [table[a], table[other]]
        if name == "scalar":
            op, slots, words, operands = "add", [H, R], [a, real_bits(2.5)], [table[a], 2.5]
        elif name in ("negative", "square", "sqrt"):
            slots, words, operands = [H], [a], [table[a]]
        result = self._expected(op, operands)
        if result is None or tuple(result.shape) != shape:
            return
        self._do(self._step(k, op, slots, [result]), self._new(), *words)
        if self._handle not in self.table:
            return
        made.append(self._handle)
        if name == "subtract":
            made_by = self.table[made[-1]]
            mask = self._expected("greater", [made_by, table[a]])
            chosen = self._expected("where", [np.ones(shape, bool), made_by, made_by])
            if mask is None or chosen is None or tuple(mask.shape) != shape:
                return
            which, value = self._new(), made[-1]
            self._do(self._step((k, 1), "greater", [H, H], [mask]), which, value, a)
            self._do(self._step((k, 2), "where", [H], [chosen], x=H, y=H), self._new(), which, value, value)
            made += [which, self._handle]


def make(seed: int) -> ChainProgram:
    """A program, with loops."""
    before = fusion_programs.UNARY, fusion_programs.BINARY, fusion_programs.DTYPES, fusion_programs.CHAINED
    fusion_programs.UNARY, fusion_programs.BINARY, fusion_programs.DTYPES, fusion_programs.CHAINED = (  # type: ignore[assignment]
        UNARY, BINARY, DTYPES, DTYPES[:4]
    )  # fmt: skip
    try:
        with np.errstate(all="ignore"):
            program = ChainProgram(seed)
            program.make()
            for _ in range(4):
                program.loop()
                for _ in range(3):
                    program.step()
            return program
    finally:
        fusion_programs.UNARY, fusion_programs.BINARY, fusion_programs.DTYPES, fusion_programs.CHAINED = before  # type: ignore[assignment]


__all__ = ["LEAST_ELEMENTS", "ChainProgram", "CudaSide", "make", "small_sizes"]
