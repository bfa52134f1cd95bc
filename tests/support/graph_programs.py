"""Random loops that can be captured, for the CUDA device over a GPU that is memory of the process: written out, and by graphs."""

from __future__ import annotations

import random
from typing import Any

import fakecupy
import numpy as np
from cupool.apiserver.executor import Executor
from wire import H, I, V, Writer, form, spec, value

from cupool.contract import codec, loops
from cupool.contract.codec import STREAM_SHIFT
from cupool.contract.limits import DEFAULT_LIMITS
from cupool.v1 import session_pb2 as pb

LIMIT = 32 << 20


class ClosedLoops:
    """Random loops that look nothing up and store nothing: what comes of a round goes in it or in the next."""

    def __init__(self, seed: int) -> None:
        rng = self._random = random.Random(seed)
        self._dtype = np.dtype(rng.choice(("f8", "f4", "c16", "i8")))
        self._spec = spec((3,), self._dtype.str)
        ops = ["add", "subtract", "multiply", *(["maximum", "true_divide"] if self._dtype.kind == "f" else [])]
        self._forms = [form(1, "@array", [V], [self._spec]), form(2, "@stream_create", [I, False, 0], [])]
        self._forms += [form(10 + k, op, [H, H], [self._spec]) for k, op in enumerate(ops)]
        self._forms += [form(20 + k, op, [H, H], [], out=H) for k, op in enumerate(ops[:3])]
        self._forms += [form(30, "negative", [H], [self._spec])]
        self._ops = len(ops)
        self.loops = [self._loop() for _ in range(rng.choice((2, 3, 5)))]
        if rng.random() < 0.7:
            self.loops *= 2

    def _loop(self) -> Any:
        rng, size = self._random, self._random.choice((1, 1, 2, 3, 4))
        carried = [j for j in range(size) if rng.random() < 0.6]
        body = []  # (form, result or -1, operands): 0 .. 2 fixed, 100 + j of this round, 200 + j of the one before
        for j in range(size):
            there = [0, 1, 2, *(100 + k for k in range(j)), *(200 + k for k in carried)]
            if rng.random() < 0.25:
                body.append((20 + rng.randrange(3), -1, [rng.choice(there), rng.choice(there), rng.choice(there)]))
            number = rng.choice((30, *(10 + k for k in range(self._ops))))
            body.append((number, j, [rng.choice(there) for _ in range(1 if number == 30 else 2)]))
        return size, carried, body, rng.choice((3, 8, 20, 27)), rng.choice((0, 0, 7))

    def run(self, device: Any, as_loops: bool) -> Any:
        """What is left after each loop."""
        executor, writer = Executor(device, LIMIT, DEFAULT_LIMITS, has_plans=as_loops), Writer()
        words: list[Any] = [2, 7]
        for handle in (1, 2, 3):
            words += [1, handle, value(self._data(handle))]
        executor.run(writer.batch(words, 4, *self._forms))
        following, seen = 100, []
        for size, carried, body, rounds, stream in self.loops:
            low = following + size
            for j in carried:
                executor.run(writer.batch([1, following + j, value(self._data(following + j))], 1))
            words, steps = [], []
            for number, result, operands in body:
                words.append(number | stream << STREAM_SHIFT)
                steps.append(0)
                if result >= 0:
                    words.append(low + result)
                    steps.append(size)
                for operand in operands:
                    words.append(
                        operand + 1 if operand < 100 else low + operand % 100 - (size if operand >= 200 else 0)
                    )
                    steps.append(0 if operand < 100 else size)
            for j in range(size):
                words += [0, low + j - (size if j in carried else 0)]
                steps += [0, size]
            count = rounds * (len(body) + size)
            whole = (np.array(words) + np.arange(rounds)[:, None] * np.array(steps)).ravel().tolist()
            data = codec.encode_batch(
                executor.executed_seq + 1, executor.executed_commands, count, [],
                codec.pack_words(words if as_loops else whole)[0], [], 0,
                [loops.encode(0, rounds, codec.pack_words(steps)[0])] if as_loops else [],
            )  # fmt: skip
            outcome = executor.run(pb.Batch.FromString(data))
            assert not outcome.failures
            writer.seq, writer.position = executor.executed_seq, executor.executed_commands
            table, account = executor.handles.table, executor.accounting
            seen.append(
                ({h: a.get().tobytes() for h, a in sorted(table.items())}, account.used, account.peak, account.total)
            )
            executor.run(writer.batch([w for j in carried for w in (0, low + (rounds - 1) * size + j)], len(carried)))
            following = low + (rounds + 1) * size
        executor.close()
        return seen

    def _data(self, handle: int) -> bytes:
        return np.random.default_rng(handle).integers(-3, 4, 3).astype(self._dtype).tobytes()


def check(cuda: Any, seed: int) -> Any:
    """Run a program both ways. Returns the graphs' statistics; raises AssertionError where they leave something else.

    Args:
        cuda: what `fakecupy.install` gave.
    """
    program = ClosedLoops(seed)
    fakecupy.again()
    plain = program.run(cuda.CudaDevice(0, LIMIT, 0, False, False), False)
    fakecupy.again()
    device = cuda.CudaDevice(0, LIMIT, 0, False, True)
    if program.run(device, True) != plain:
        raise AssertionError(f"program {seed} leaves something else by graphs")
    return device.graphs.statistics()


__all__ = ["ClosedLoops", "check"]
