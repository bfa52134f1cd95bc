"""Chains whose old value dies at each step, with and without results over operands (docs/decisions/027), beside NumPy.

    python -m benchmarks.lastuse [--json FILE]

`x = sqrt(x * 0.5 + b)` in a loop, an operation and its free a batch, as a program sends them that is not ahead of the server; the executor
alone, in this process, the modes in turns. Microseconds an operation, medians; and the most memory that the process had, above what it
had before, MiB.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from cupool.apiserver.devices.cpu.device import CpuDevice
from cupool.apiserver.executor import Executor
from cupool.apiserver.fusion import driver

from benchmarks.harness import machine, versions
from cupool.contract.codec import real_bits
from cupool.contract.limits import DEFAULT_LIMITS, GIB
from cupool.contract.malloc import tune_allocator
from cupool.contract.values import SLOT_HANDLE, SLOT_REAL, SlotRef, dtype_to_wire, encode
from cupool.v1 import session_pb2 as pb

ELEMENTS = (10**5, 10**6, 10**7)
ROUNDS, TURNS = 4, 9
MODES: dict[str, dict[str, bool]] = {
    "one by one": {"fuses": False, "reuses": False},
    "one by one, over operands": {"fuses": False, "reuses": True},
    "in chains": {"fuses": True, "reuses": False},
    "in chains, over operands": {"fuses": True, "reuses": True},
}
#: Of each operation's results, before anything is measured.
_WARM_BYTES = 16 << 20
_MULTIPLY, _ADD, _SQRT = 1, 2, 3
H, R = SlotRef(SLOT_HANDLE), SlotRef(SLOT_REAL)


class Server:
    """An executor with `b` under handle 1."""

    def __init__(self, size: int, fuses: bool, reuses: bool) -> None:
        self.executor = Executor(CpuDevice(0, 8 * GIB), 8 * GIB, DEFAULT_LIMITS, fuses=fuses, reuses=reuses)
        result = pb.ResultSpec(dtype=dtype_to_wire(np.dtype("f8")), shape=(size,), strides=(8,))
        self._forms = [
            pb.Form(id=number, op=op, args=[encode(a) for a in args], results=[result])
            for number, op, args in ((_MULTIPLY, "multiply", (H, R)), (_ADD, "add", (H, H)), (_SQRT, "sqrt", (H,)))
        ]
        self._seq, self._handle = 0, 10
        self.executor.handles.table[1] = np.ones(size)
        self.executor.accounting.charge(8 * size)

    def run(self, *words: int, count: int) -> None:
        self._seq += 1
        batch = pb.Batch(seq=self._seq, count=count, forms=self._forms if self._seq == 1 else [])
        batch.commands = np.array(words, "<i8").tobytes()
        self.executor.run(batch)

    def chain(self) -> float:
        """Seconds an operation."""
        x = self._handle
        self.run(_ADD, x, 1, 1, count=1)
        half = real_bits(0.5)
        start = time.perf_counter()
        for _ in range(ROUNDS):
            self.run(_MULTIPLY, x + 1, x, half, 0, x, count=2)
            self.run(_ADD, x + 2, x + 1, 1, 0, x + 1, count=2)
            self.run(_SQRT, x + 3, x + 2, 0, x + 2, count=2)
            x += 3
        took = time.perf_counter() - start
        self.run(0, x, count=1)
        self._handle = x + 1
        return took / ROUNDS / 3


def local(size: int) -> float:
    """NumPy's own, seconds an operation."""
    b = np.ones(size)
    x = b + b
    start = time.perf_counter()
    for _ in range(ROUNDS):
        x = x * 0.5
        x = x + b
        x = np.sqrt(x)
    return (time.perf_counter() - start) / ROUNDS / 3


def peak_mib(work: Any) -> float:
    """The most memory of the process while `work` runs, above what it had before, MiB; 0 where the system does not tell."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        work()
        return (_status("VmHWM") - before) / 1024
    except OSError:
        return 0.0


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def measure(size: int) -> dict[str, dict[str, float]]:
    servers = {name: Server(size, **mode) for name, mode in MODES.items()}
    times: dict[str, list[float]] = {"NumPy": [], **{name: [] for name in servers}}
    peaks = {}
    for server in servers.values():
        for _ in range(_WARM_BYTES // (8 * size * ROUNDS) + 1):
            server.chain()  # loops are tried over operands when they have been met for a while
    for turn in range(TURNS):
        times["NumPy"].append(local(size))
        for name, server in servers.items():
            if turn == TURNS - 1:
                peaks[name] = peak_mib(server.chain)
            else:
                times[name].append(server.chain())
    for server in servers.values():
        server.executor.close()
    return {
        name: {"us": round(median(of) * 1e6, 1), **({"peak_mib": round(peaks[name], 1)} if name in peaks else {})}
        for name, of in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lastuse", description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    np.seterr(all="ignore")
    tune_allocator()
    driver.prepare(waits=True)
    found = {}
    for size in ELEMENTS:
        found[f"{size:.0e}"] = measure(size)
        for name, of in found[f"{size:.0e}"].items():
            print(f"{size:8.0e} {name:<28} {of['us']:>10.1f} us  {of.get('peak_mib', ''):>8}", file=sys.stderr)
    record = {
        "command": "python -m benchmarks.lastuse",
        "machine": machine(),
        "versions": versions(),
        "an_operation_by_elements": found,
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
