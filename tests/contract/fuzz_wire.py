"""Fuzz target: hostile frames against a session with a real executor, in this process. Seeded, so that a run can be repeated.

    python tests/contract/fuzz_wire.py --runs 1000000 --seed 1

Every frame is a valid one, mutated: bits, lengths, words, splices, random messages. It must be executed or refused with a status;
nothing else may be raised, the account stays within its limit, and tables stay within their bounds.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from cupool.apiserver.__main__ import limit_memory
from cupool.apiserver.accounting import rounded
from cupool.apiserver.config import Assignment
from cupool.apiserver.devices.cpu.device import CpuDevice
from cupool.apiserver.executor import Executor, resolve_table
from cupool.apiserver.plans import plans
from cupool.apiserver.session import Refused, Session, parse_frame
from wire import OBJECT, REPLY, UNKNOWN, H, I, R, V, form, hello, spec, value

from cupool.contract import codec
from cupool.contract.limits import Limits
from cupool.v1 import session_pb2 as pb

MEMORY = 4 << 20
LIMITS = Limits(frame_bytes=1 << 20, batch_commands=512, forms=256, handles=1000)
STATUSES = {"INVALID_ARGUMENT", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "NOT_FOUND", "ABORTED"}
SHAPES: tuple[tuple[int, ...], ...] = ((), (4,), (2, 3), (0,), (1, 1, 2), (100,))
#: What forms are made of. Kernels are left out: their sources are programs, which may do anything.
OPS = ("add", "add", "@array", "@array", "@view", "ndarray.fill", "multiply", "sqrt", "sum", "matmul", "nonzero",
       "ndarray.__getitem__", "ndarray.__setitem__", "ndarray.fill", "concatenate", "sort", "where", "reshape", "zeros", "full",
       "arange", "eye", "@array", "@view", "@alias", "@fetch", "@spec", "@barrier", "@memory", "@set_limit", "@free_blocks",
       "@forms_reset", "@event_create", "@event_record", "@event_elapsed", "no.such.op", "")  # fmt: skip
#: Ops with the arguments that they are meant to have.
USUAL: dict[str, list[Any]] = {
    "@array": [V], "@view": [H, I], "add": [H, H], "ndarray.fill": [H, 1.0], "ndarray.__setitem__": [H, ..., H], "@fetch": [H],
}  # fmt: skip
#: Numbers at which something may turn.
EDGES = (0, 1, 2, 3, 7, -1, 1 << 31, (1 << 40) + 1, (1 << 62), (1 << 63) - 1, -(1 << 63), 255, 4096)


def random_message(source: random.Random, message: Any, depth: int = 0) -> Any:
    """Set fields of a message at random, nested ones too: always a valid message, hardly ever a sensible one."""
    fields = [f for f in message.DESCRIPTOR.fields if f.containing_oneof is None and source.random() < 0.6]
    fields += [source.choice(group.fields) for group in message.DESCRIPTOR.oneofs]
    for field in fields:
        if depth > 4 and field.message_type:
            continue
        target = getattr(message, field.name)
        if field.message_type and field.message_type.GetOptions().map_entry:
            target[source.choice(("a", "b"))] = source.randbytes(3)
        elif field.message_type:
            for _ in range(source.choice((1, 1, 3)) if field.is_repeated else 1):
                random_message(source, target.add() if field.is_repeated else target, depth + 1)
            if not field.is_repeated:
                target.SetInParent()
        elif field.is_repeated:
            target.extend(_random_scalar(source, field) for _ in range(source.randrange(4)))
        else:
            setattr(message, field.name, _random_scalar(source, field))
    return message


def _random_scalar(source: random.Random, field: Any) -> Any:
    kinds = FieldDescriptor
    if field.type == kinds.TYPE_STRING:
        return source.choice(("", "add", "@array", "<f8", "|b1", "|O", "text", "axis", "x" * 300))
    if field.type == kinds.TYPE_BYTES:
        return source.randbytes(source.choice((0, 1, 8, 16, 64)))
    if field.type == kinds.TYPE_BOOL:
        return source.random() < 0.5
    if field.type in (kinds.TYPE_DOUBLE, kinds.TYPE_FLOAT):
        return source.choice((0.0, -1.5, float("inf"), float("nan")))
    if field.type == kinds.TYPE_ENUM:
        return source.choice(field.enum_type.values).number
    bits = 32 if field.type in (kinds.TYPE_UINT32, kinds.TYPE_INT32) else 64
    signed = field.type in (kinds.TYPE_INT64, kinds.TYPE_SINT64, kinds.TYPE_INT32)
    number = source.choice(EDGES) & ((1 << bits) - 1)
    return number - (1 << bits) if signed and number >> (bits - 1) else number


class Sink:
    """A stream that only counts."""

    def __init__(self) -> None:
        self.frames = 0

    def send(self, frame: bytes) -> bool:
        self.frames += 1
        return True

    def close(self, status: str, sentence: str) -> None:
        assert status in STATUSES | {"OK"} and sentence


class Fuzzer:
    """One seeded run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._impls = resolve_table(CpuDevice(0, MEMORY))
        self.refused = self.executed = self.sessions = self.planned = 0
        self.corpus: list[bytes] = []
        self.renew()

    def renew(self) -> None:
        """A fresh session, attached."""
        self.executor = Executor(CpuDevice(0, MEMORY), MEMORY, LIMITS, impls=self._impls)
        assignment = Assignment("s", b"", 1, MEMORY)
        self.session = Session(assignment, self.executor, LIMITS, (b"", {}), dict, lambda reason: None)
        self.stream = Sink()
        self.session.attach(self.stream, hello().hello)
        self.handles = [1]
        self.next_form = 0
        self.sessions += 1

    # -- making frames --------------------------------------------------------------------------------------------------

    def frame(self) -> bytes:
        kind = self.random.random()
        if kind < 0.05:
            return self.mutated(hello().SerializeToString())
        if kind < 0.08:
            return pb.ClientFrame(probe=pb.Probe(id=self.number())).SerializeToString()
        if kind < 0.1:
            return pb.ClientFrame(
                credit=pb.Credit(received=self.random.choice((0, 1, self.session._ordinal)))
            ).SerializeToString()
        if kind < 0.15:
            return random_message(self.random, pb.ClientFrame()).SerializeToString()
        made = self.whole_loop() if kind < 0.22 else self.batch()
        data = pb.ClientFrame(batch=made).SerializeToString()
        if self.random.random() < 0.2:
            data = self.mutated(data)
        if len(self.corpus) < 64:
            self.corpus.append(data)
        elif self.random.random() < 0.1:
            self.corpus[self.random.randrange(64)] = data
        return data

    def number(self) -> int:
        return abs(self.random.choice(EDGES)) & ((1 << 63) - 1)

    def word(self) -> int:
        pick = self.random.random()
        if pick < 0.6:
            return self.random.choice(self.handles)
        if pick < 0.8:
            return self.random.randrange(2000)
        return self.random.choice(EDGES)

    def batch(self) -> Any:
        forms = [self.form() for _ in range(self.random.choice((0, 0, 1, 3)))]
        items: list[Any] = []
        count = self.random.randrange(6)
        known = [f for f in self.executor._forms.values()]
        for _ in range(count):
            if known and self.random.random() < 0.85:
                chosen = self.random.choice(known)
                items.append(chosen.id)
                for _ in chosen.results:
                    handle = self.random.randrange(1, 1 << 40)
                    self.handles = [*self.handles[-20:], handle]
                    items.append(handle)
                for slot in chosen.slots:
                    items.append(self.value() if slot.kind == 4 else self.word())
            elif forms and self.random.random() < 0.03:
                made = self.random.choice(forms)
                items.append(made.id)
                items += [self.word() for _ in range(self.random.randrange(6))]
            else:
                items += [0, self.word()]
        words, values = codec.pack_words(items)
        executor = self.executor
        batch = pb.Batch(
            seq=executor.executed_seq + 1, position=executor.executed_commands, count=count, forms=forms, commands=words,
            received=self.session._ordinal if self.random.random() < 0.5 else 0,
        )  # fmt: skip
        for data in values:
            batch.values.add().ParseFromString(data)
        if words and self.random.random() < 0.2:
            self.loop(batch)
        return batch

    def loop(self, batch: Any) -> None:
        """Make some words of a batch, hardly ever whole commands, a loop; mostly one that could be."""
        n, source = len(batch.commands) // 8, self.random
        at = source.choice((0, 0, source.randrange(n)))
        width = source.choice((n - at, source.randrange(1, n - at + 1)))
        rounds = source.choice((1, 2, 4, 50, 1 << 40))
        steps = [source.choice((0, 0, 1, 2, -1, *EDGES)) for _ in range(width)]
        batch.loops.add(at=at, rounds=rounds, steps=codec.pack_words(steps)[0])
        if source.random() < 0.7:
            batch.count *= rounds if rounds < 100 else 1

    def whole_loop(self) -> Any:
        """A batch of two arrays and a loop of whole commands, which may have a plan: with numbers at which something may turn."""
        source, executor = self.random, self.executor
        first = source.randrange(1, 1 << 40)
        words, values = codec.pack_words([301, first, value(bytes(32)), 301, first + 1, value(bytes(32))])
        size, rounds = source.choice((1, 2, 3)), source.choice((3, 4, 50))
        stride = source.choice((size, size + 1, source.choice(EDGES)))
        low = first + 2 + source.choice((0, size))
        known = [(first, 0), (first + 1, 0), (first + 1, 0), (low - stride, stride)]
        known += [(self.word(), source.choice(EDGES))] * (source.random() < 0.2)
        body: list[int] = []
        steps: list[int] = []
        commands = 0
        for result in range(low, low + size):
            operand, other = source.choice(known), source.choice(known)
            kind = source.randrange(4)
            if kind == 0:
                body += [302, result, operand[0], source.choice((0, 0, 8, 24, self.word()))]
                steps += [0, stride, operand[1], source.choice((0, 0, 0, 8, source.choice(EDGES)))]
            elif kind == 1:
                body += [304, operand[0], other[0], operand[0]]
                steps += [0, operand[1], other[1], operand[1]]
            else:
                body += [303, result, operand[0], other[0]]
                steps += [0, stride, operand[1], other[1]]
            known += [(result, stride)] * (kind != 1)
            commands += 1
            if source.random() < 0.6:
                body += [0, source.choice((result, result, result - stride))]
                steps += [0, stride]
                commands += 1
        body, steps = ([(word + (1 << 63)) % (1 << 64) - (1 << 63) for word in some] for some in (body, steps))
        self.handles = [*self.handles[-20:], first, low]
        one, four = spec((1,)), spec((4,))
        batch = pb.Batch(
            seq=executor.executed_seq + 1, position=executor.executed_commands, count=2 + rounds * commands,
            forms=[form(301, "@array", [V], [four]), form(302, "@view", [H, I], [one]), form(303, "add", [H, H], [four]),
                   form(304, "add", [H, H], [], out=H)],
            commands=words + codec.pack_words(body)[0],
            loops=[pb.Loop(at=6, rounds=rounds, steps=codec.pack_words(steps)[0])],
        )  # fmt: skip
        for data in values:
            batch.values.add().ParseFromString(data)
        return batch

    def value(self) -> bytes:
        choice = self.random.randrange(6)
        if choice == 0:
            return value(bytes(self.random.randrange(64)))
        if choice == 1:
            return value(np.arange(self.random.randrange(8)))
        if choice == 2:
            return value([1, (2.5, None), {"a": "b"}, slice(1, None), ...])
        if choice == 3:
            return value(
                np.zeros(self.random.choice(SHAPES), self.random.choice(("<f8", "|b1", "<i4", "<c16"))).tobytes()
            )
        return value(self.random.choice((1, -1.5, "text", True, 1 << 200, 2 + 1j, None)))

    def form(self) -> Any:
        slots = (H, H, H, I, R, V, 0, 1.5, None, "text", ..., (H, H), slice(None, H))
        self.next_form = self.next_form % 300 + 1
        number = self.next_form if self.random.random() < 0.95 else self.random.randrange(1, 300)
        op = self.random.choice(OPS)
        if op in USUAL and self.random.random() < 0.8:
            shape, dtype = self.random.choice(SHAPES), self.random.choice(("<f8", "<i8", "|b1"))
            results = [spec(shape, dtype)] if op[0] in "@a" else [REPLY] if op == "@fetch" else []
            return form(number, op, USUAL[op], results)
        args = [self.random.choice(slots) for _ in range(self.random.randrange(4))]
        kinds = (REPLY, UNKNOWN, OBJECT, spec(self.random.choice(SHAPES), self.random.choice(("<f8", "<i8", "|b1"))))
        results = [self.random.choice(kinds) for _ in range(self.random.choice((0, 1, 1, 1, 2)))]
        kwargs = self.random.choice(({}, {}, {"axis": 0}, {"out": H}, {"dtype": np.dtype("<f4")}, {"nonsense": I}))
        return form(number, op, args, results, **kwargs)

    def mutated(self, data: bytes) -> bytes:
        edited = bytearray(data)
        for _ in range(self.random.choice((1, 1, 2, 8))):
            at = self.random.randrange(len(edited)) if edited else 0
            kind = self.random.randrange(6)
            if not edited or kind == 0:
                edited[at:at] = self.random.randbytes(self.random.choice((1, 4, 8)))
            elif kind == 1:
                edited[at] ^= 1 << self.random.randrange(8)
            elif kind == 2:
                del edited[at : at + self.random.choice((1, 8, 100))]
            elif kind == 3:
                edited[at : at + 8] = (self.random.choice(EDGES) & ((1 << 64) - 1)).to_bytes(8, "little")
            elif kind == 4 and self.corpus:
                edited[at:] = self.random.choice(self.corpus)[at:]
            else:
                edited[at:at] = edited[at : at + self.random.choice((2, 16))]
        return bytes(edited[: 2 << 20])

    # -- running --------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One frame."""
        data = self.frame()
        try:
            if self.random.random() < 0.02:
                first = parse_frame(data, LIMITS)
                if first.WhichOneof("kind") == "hello":
                    self.session.attach(self.stream, first.hello)
            else:
                self.session.receive(self.stream, data)
            self.executed += 1
        except Refused as refusal:
            assert refusal.status in STATUSES and refusal.sentence, refusal
            self.refused += 1
        self.check()
        if self.session.over or self.random.random() < 0.001:
            self.session.end("next")
            self.session.close()
            self.planned += self.executor.plans.statistics().planned
            assert self.executor.accounting.used == 0, (
                f"{self.executor.accounting.used} bytes are charged and nothing is held"
            )
            self.renew()

    def check(self) -> None:
        executor = self.executor
        assert 0 <= executor.accounting.used <= MEMORY, executor.accounting.used
        assert executor.accounting.used == charged(executor), (executor.accounting.used, charged(executor))
        assert len(executor._forms) <= LIMITS.forms
        assert len(executor.handles.table) <= LIMITS.handles + LIMITS.batch_commands
        assert executor.handles.faults >= 0


def charged(executor: Executor) -> int:
    """What the account should be: every buffer once."""
    handles = executor.handles
    total = sum(rounded(buffer.charged) for buffer in handles.buffers.values())
    for value_ in handles.table.values():
        if isinstance(value_, np.ndarray) and id(handles.root_of(value_)) not in handles.buffers:
            assert value_.base is None
            total += rounded(value_.nbytes)
    return total


def run(runs: int, seed: int, seconds: float | None = None) -> Fuzzer:
    """Run; raises what should not have been raised, with the seed and the run in a note."""
    limit_memory(MEMORY)  # as the server process does: what a hostile form makes NumPy allocate fails
    fuzzer = Fuzzer(seed)
    started = time.monotonic()
    eager, plans.MANY_COMMANDS = plans.MANY_COMMANDS, 0
    try:
        for k in range(runs):
            try:
                fuzzer.step()
            except BaseException as error:
                error.add_note(f"fuzz_wire: seed {seed}, run {k}")
                raise
            if seconds is not None and time.monotonic() - started > seconds:
                break
    finally:
        plans.MANY_COMMANDS = eager
    return fuzzer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started = time.monotonic()
    fuzzer = run(arguments.runs, arguments.seed)
    took = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{arguments.runs} frames in {took:.0f} s: {fuzzer.executed} executed, {fuzzer.refused} refused, {fuzzer.sessions} sessions, "
          f"{fuzzer.planned} loops by plans, "
          f"peak {peak} MiB")  # fmt: skip


if __name__ == "__main__":
    main()
