"""Where the time of a small operation goes, at the client and at the server: `c = a + b` on eight doubles in a chain, the old `c` freed.

    python -m benchmarks.anatomy [--json FILE]

Each part is run alone in this process, on what the part before it gives; the least of several turns, nanoseconds an operation. What is not
here is what lies between: the kernel's copies, wake-ups, and threads that wait for the interpreter; the rows S1b and S2b have all of it.
"""

from __future__ import annotations

import argparse
import json
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cupool.apiserver.devices.cpu.device import CpuDevice
from cupool.apiserver.executor import Executor
from cupool.apiserver.frames import fingerprint
from cupool.shim import forms as shim_forms
from cupool.shim.outbox import Arity, Loops

from benchmarks.harness import machine, versions
from benchmarks.tracking import H, form
from cupool.contract import codec, loops
from cupool.contract.limits import DEFAULT_LIMITS
from cupool.v1 import session_pb2 as pb

#: Operations of a batch: what a program's gate holds.
OPS = 2048
TURNS = 25


def least(work: Callable[[], Any], turns: int = TURNS) -> float:
    """Nanoseconds an operation."""
    times = []
    for _ in range(turns):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times) / OPS * 1e9


def chain(first: int) -> list[int]:
    """The words of a batch: add, free, multiply, free."""
    words: list[int] = []
    for k in range(first, first + OPS, 2):
        words += (2, k + 1, k, 5, 0, k, 3, k + 2, k + 1, 5, 0, k + 1)
    return words


class Server:
    """An executor that is given the same chain, going on, again and again."""

    def __init__(self, has_plans: bool, has_loops: bool) -> None:
        self.executor = Executor(CpuDevice(0, 1 << 30), 1 << 30, DEFAULT_LIMITS, has_plans=has_plans)
        self._has_loops = has_loops
        self._next = 100
        self._run(
            [1, 5, 1, 100],
            2,
            form(1, "ones", [(8,)], (8,)),
            form(2, "add", [H, H], (8,)),
            form(3, "multiply", [H, H], (8,)),
        )

    def _frame(self, words: list[int], count: int, *new: Any) -> bytes:
        packed, found = codec.pack_words(words)[0], None
        if self._has_loops and len(words) > 100:
            found = loops.find(words, packed, 0)
            assert found is not None
            packed = loops.shortened(packed, found)
        executor = self.executor
        return codec.batch_frame(codec.encode_batch(
            executor.executed_seq + 1, executor.executed_commands, count, [one.SerializeToString() for one in new], packed, [], 0,
            [loops.encode(found.at, found.rounds, found.steps)] if found else [],
        ))  # fmt: skip

    def _run(self, words: list[int], count: int, *new: Any) -> None:
        self.executor.run(pb.ClientFrame.FromString(self._frame(words, count, *new)).batch)

    def turn(self) -> tuple[float, float, float]:
        """Nanoseconds an operation: parse, hash, execute."""
        frame = self._frame(chain(self._next), 2 * OPS)
        self._next += OPS
        begun = time.perf_counter()
        message = pb.ClientFrame.FromString(frame)
        parsed = time.perf_counter()
        fingerprint(frame)
        hashed = time.perf_counter()
        self.executor.run(message.batch)
        done = time.perf_counter()
        return tuple(t / OPS * 1e9 for t in (parsed - begun, hashed - parsed, done - hashed))  # type: ignore[return-value]


def server_parts() -> dict[str, float]:
    found: dict[str, float] = {}
    for name, has_plans, has_loops in (("walked", False, False), ("by plan", True, True)):
        server = Server(has_plans, has_loops)
        turns = [server.turn() for _ in range(TURNS)]
        for k, part in enumerate(("parse", "hash", "execute")):
            found[f"server, {name}: {part}"] = min(turn[k] for turn in turns)
        server.executor.close()
    return found


def numpy_loop() -> float:
    x = y = np.ones(8)

    def run() -> None:
        c = x
        for _ in range(OPS // 2):
            c = c + y
            c = c * y

    return least(run)


def client_parts() -> dict[str, float]:
    """The flush's parts on a batch of the chain. The op path itself is row S1a."""
    words = chain(100)
    n = len(words)
    shim_forms.arity.update({2: 4, 3: 4})
    arity = Arity(-1)
    arity.words.update({0: 2, 2: 4, 3: 4})
    arity.longest = 4
    packed = struct.pack(f"<{n}q", *words)
    found = loops.find(words, packed, 0)
    assert found is not None
    lists = [[k + 1 for k in words] for _ in range(TURNS)]
    return {
        "client: copy of the pending list": least(lambda: words[:]),
        "client: pack": least(lambda: struct.pack(f"<{n}q", *words)),
        "client, without loops: walk": least(lambda: arity.walk(words, n)),
        "client, without loops: frame": least(lambda: codec.plain_batch_frame(9, 9, 9, packed, 9)),
        "client, loops: find (known round)": least(lambda: loops.find(words, packed, 0, found.width)),
        "client, loops: pack, find, walk of a round, shorten": least(lambda: Loops().pack(words, arity)),
        "client: the list's front is deleted": least(lambda: lists.pop().clear()),
    }


def measure() -> dict[str, float]:
    return {"NumPy's own loop": numpy_loop(), **client_parts(), **server_parts()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.anatomy", description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = {name: round(value, 1) for name, value in measure().items()}
    for name, value in found.items():
        print(f"{name:<60} {value:>8.1f} ns an operation")
    if arguments.json:
        record = {
            "command": "python -m benchmarks.anatomy",
            "machine": machine(),
            "versions": versions(),
            "ns_per_operation": found,
        }
        arguments.json.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
