"""What it costs to be movable: commands with the tracker on and off, looks, and documents.

    python -m benchmarks.tracking [--json FILE]

Times are of the executing thread's CPU, the least of several turns that take turns with each other. Rows:

- a loop of small operations that write to nothing that exists, and one of in-place operations on one array: off, on, and the difference;
- a look, and a document, of 100 … 100 000 handles;
- a look at an arena of 1 GiB of which a kernel has written one page in 1 000: by pages, and by hashes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from cupool.apiserver.config import Assignment
from cupool.apiserver.devices.cpu.device import CpuDevice
from cupool.apiserver.document import Incoming, capture
from cupool.apiserver.executor import Executor
from cupool.apiserver.pages import Pages
from cupool.apiserver.session import Session

from benchmarks.harness import machine
from cupool.contract import codec
from cupool.contract.limits import DEFAULT_LIMITS, GIB
from cupool.contract.values import SLOT_HANDLE, SLOT_INTEGER, SlotRef, dtype_to_wire, encode, named
from cupool.v1 import session_pb2 as pb

COMMANDS = 2000
H, I = SlotRef(SLOT_HANDLE), SlotRef(SLOT_INTEGER)  # noqa: E741


def form(number: int, op: str, args: list[Any], shape: tuple[int, ...] | None = None, **kwargs: Any) -> Any:
    """A form of one float64 array, of none, or of an object."""
    results = []
    if shape is not None:
        array = np.empty(shape)
        results = [pb.ResultSpec(dtype=dtype_to_wire(array.dtype), shape=shape, strides=array.strides)]
    return pb.Form(id=number, op=op, args=[encode(a) for a in args], kwargs=named(kwargs), results=results)


class Bench:
    """One session in this process."""

    def __init__(self, limit_bytes: int = 4 * GIB) -> None:
        self.device = CpuDevice(0, limit_bytes)
        self.executor = Executor(self.device, limit_bytes, DEFAULT_LIMITS)
        self.session = Session(
            Assignment("s", b""), self.executor, DEFAULT_LIMITS, (b"", {}), dict, lambda reason: None
        )
        self._next = 10

    def batch(self, words: list[int], count: int, *forms: Any) -> Any:
        executor = self.executor
        data = codec.encode_batch(executor.executed_seq + 1, executor.executed_commands, count,
                                  [one.SerializeToString() for one in forms], codec.pack_words(words)[0], [], 0)  # fmt: skip
        return pb.Batch.FromString(data)

    def run(self, words: list[int], count: int, *forms: Any) -> float:
        """CPU seconds of the executing thread."""
        batch = self.batch(words, count, *forms)
        begun = time.thread_time()
        self.executor.run(batch)
        return time.thread_time() - begun

    def close(self) -> None:
        self.executor.close()


def commands(turns: int) -> dict[str, dict[str, float]]:
    """Nanoseconds a command."""
    bench = Bench()
    small = form(1, "add", [H, H], (64,))
    in_place = form(2, "add", [H, H], None, out=H)
    made = form(3, "ones", [(64,)], (64,))
    bench.run([made.id, 1, small.id, 2, 1, 1, in_place.id, 1, 1, 1, 0, 2], 4, made, small, in_place)
    loops = {
        "small operations": [word for k in range(COMMANDS // 2) for word in (small.id, 100 + k, 1, 1, 0, 100 + k)],
        "in place": [word for _ in range(COMMANDS) for word in (in_place.id, 1, 1, 1)],
    }
    found: dict[str, dict[str, float]] = {}
    tracker = bench.executor.tracking()
    for name, words in loops.items():
        best = {"off": float("inf"), "on": float("inf")}
        for turn in range(2 * turns):
            state = ("off", "on")[turn % 2]
            if state == "on":
                tracker.start()
                tracker.look()
            for _ in range(5):
                best[state] = min(best[state], bench.run(words, COMMANDS) / COMMANDS * 1e9)
            tracker.stop()
        found[name] = {**best, "more_percent": (best["on"] / best["off"] - 1) * 100}
    bench.close()
    return found


def handles(counts: tuple[int, ...], turns: int) -> dict[str, dict[str, float]]:
    """Milliseconds of looks and documents of so many handles, a third of them views."""
    found = {}
    for count in counts:
        bench = Bench()
        made, view = form(1, "ones", [(16,)], (16,)), form(2, "@view", [H, I], (8,))
        words: list[int] = []
        for k in range(count // 3 + 1):
            words += [made.id, 3 * k + 1, made.id, 3 * k + 2, view.id, 3 * k + 3, 3 * k + 2, 16]
        for at in range(0, len(words), 8 * 5000):
            part = words[at : at + 8 * 5000]
            bench.run(part, len(part) // 8 * 3, *((made, view) if not at else ()))
        tracker = bench.executor.tracking()
        row: dict[str, float] = {}
        for _ in range(turns):
            tracker.start()
            _keep(row, "first_look_ms", tracker.look)
            _keep(row, "later_look_ms", tracker.look)
            document = _keep(row, "capture_ms", partial(capture, bench.session, tracker))
            row["document_bytes_a_handle"] = len(document) / len(bench.executor.handles.table)
        tracker.start()
        pieces = tracker.look().new
        document = capture(bench.session, tracker)
        device = CpuDevice(1, 4 * GIB)
        coming = Incoming(device, b"", 4 * GIB, lambda assignment: Bench().session)
        for piece in pieces:
            coming.begin(piece)[:] = piece.memory()
        _keep(row, "restore_ms", partial(coming.finish, document, Assignment("s", b"", 2)))
        found[str(count)] = row
        bench.close()
    return found


def _keep(row: dict[str, float], name: str, call: Callable[[], Any]) -> Any:
    begun = time.thread_time()
    result = call()
    row[name] = min(row.get(name, float("inf")), (time.thread_time() - begun) * 1e3)
    return result


def arena(nbytes: int = GIB) -> dict[str, Any]:
    """Milliseconds of a look at an arena of `nbytes`, one page in 1 000 written."""
    found: dict[str, Any] = {"arena_bytes": nbytes}
    bench = Bench()
    block = 64 << 20
    malloc = pb.Form(id=1, op="@malloc", args=[encode(I), encode(0)], results=[pb.ResultSpec(object=True)])
    bench.run([word for k in range(nbytes // block) for word in (malloc.id, k + 1, block)], nbytes // block, malloc)
    memory = bench.device.arena.memory_at(bench.device.arena.base, nbytes)
    memory[:] = 1
    tracker = bench.executor.tracking()
    over = Pages.over
    for way in ("pages", "hashes"):
        if way == "hashes":
            Pages.over = classmethod(lambda cls, base, size: None)  # type: ignore[method-assign,assignment]
        tracker.start()
        if tracker.wants_hashes != (way == "hashes"):
            found[way] = "not on this machine"
            continue
        row: dict[str, float] = {}
        pieces = tracker.look().new
        for piece in pieces:
            piece.copied(0, piece.memory())
        tracker._kernel_ran = True
        _keep(row, "first_look_ms", tracker.look)
        begun = time.thread_time()
        memory[:: 4096 * 1000] = 2 if way == "pages" else 3
        row["write_us_a_page"] = (time.thread_time() - begun) * 1e6 / (nbytes // 4096 // 1000)
        tracker._kernel_ran = True
        begun = time.thread_time()
        look = tracker.look()
        row["look_ms"] = (time.thread_time() - begun) * 1e3
        row["reported_mib"] = look.dirty_bytes / (1 << 20)
        row["in_use_mib"] = nbytes / (1 << 20)
        found[way] = row
    Pages.over = over  # type: ignore[method-assign]
    del memory
    bench.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    found = {
        "command": "python -m benchmarks.tracking",
        "machine": machine(),
        "commands_ns": commands(options.turns),
        "handles": handles((100, 1_000, 10_000, 100_000), 3),
        "arena": arena(),
    }
    text = json.dumps(found, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
