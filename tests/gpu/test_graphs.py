"""Loops by captured graphs on a real GPU leave what they leave command by command, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
from cupool.shim import cupy as cp, session
import hashlib
a, b = cp.linspace(0.0, 1.0, 1000), cp.full(1000, 0.999)
x = cp.arange(1000, dtype=cp.float32)
seen = []
for rounds in (400, 3000, 3000, 777):
    c = a
    for _ in range(rounds):
        c = c * b + a
    for _ in range(rounds):
        x *= 0.5
        x += 1
    for _ in range(rounds):
        d = cp.sin(c) * a
        e = d - c
        c = cp.maximum(e, d)
    seen += [c.get(), x.get()]
with cp.cuda.Stream(non_blocking=True) as stream:
    c = a + 0
    for _ in range(3000):
        c = c * b + a
    stream.synchronize()
    seen.append(c.get())
assert session.device().kind == "cuda"
print(hashlib.blake2b(b"".join(one.tobytes() for one in seen), digest_size=8).hexdigest())
"""


def run(graphs: str, plans: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=110,
        env={**os.environ, "CUPOOL_DEVICE": "cuda", "CUPOOL_CUDA_GRAPHS": graphs, "CUPOOL_PLANS": plans},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip(), done.stderr


def test_loops_leave_the_same_by_graphs_by_plans_and_one_by_one() -> None:
    by_graphs, said = run("on", "1")
    assert by_graphs == run("off", "1")[0] == run("off", "0")[0]
    assert "graph-refused" not in said, said


def test_a_loop_is_captured_and_launched() -> None:
    """By the device alone, which can be asked what it has captured."""
    code = """
import cupy
from cupool.apiserver.devices.cuda.device import CudaDevice
from cupool.apiserver.devices.cuda import graphs
from cupool.apiserver.plans.source import Written
device = CudaDevice(0, 1 << 30, 0, False, True)
device.enter()
device.warm()
graphs.AFTER_COMMANDS = 0
names = {"add": cupy.add, "multiply": cupy.multiply}
exec('''
def run(start, rounds, table, buffers, fixed, carried, iterators):
  p0, = carried
  c0, = fixed
  k = start
  for k in range(start, rounds):
    v1 = multiply(p0, c0)
    v0 = add(v1, c0)
    p0 = v0
  return rounds, 0, locals()
''', names)
plan = Written(names["run"], {}, [], [0], (cupy.multiply, cupy.add), True)
b, c = cupy.full(100, 0.5), cupy.arange(100.0)
expected = c
for _ in range(600):
    expected = cupy.add(cupy.multiply(expected, b), b)
left, rounds = [c], 600
while rounds:
    ran, left = device.graphs.run(plan, {}, [b], left, rounds)
    rounds -= ran
    if rounds < 64:
        left = [names["run"](0, rounds, {}, {}, [b], left, [])[2]["p0"]]
        break
assert (left[0].get() == expected.get()).all()
print(device.graphs.statistics())
assert device.graphs.statistics().launches >= 9, device.graphs.statistics()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
