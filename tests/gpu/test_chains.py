"""Chains as one kernel on a real GPU leave what their commands leave one by one, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib, sys
import numpy as np
from cupool.shim import cupy as cp, session
from cupool.shim.cupyx.scipy import special

n = 1 << 20
rng = np.random.default_rng(int(sys.argv[1]))
seen = []
for dtype in (np.float64, np.float32):
    a, b = (cp.asarray(rng.uniform(-3, 3, n).astype(dtype)) for _ in range(2))
    whole = cp.asarray(rng.integers(-100, 100, n).astype(np.int32))
    rows, plane = cp.asarray(rng.uniform(1, 2, (1024, 1)).astype(dtype)), cp.asarray(rng.uniform(-2, 2, (1024, 1024)).astype(dtype))
    for k in range(30):
        c = (a * b + 1) * (a - 2.5) / (b * b + 0.5)
        d = cp.sqrt(cp.abs(c)) + cp.exp(-a) * cp.sin(b)
        e = cp.where(d > c, d * 0.5, c + 1)
        f = cp.tanh(e) + special.erf(a) * cp.maximum(c, d)
        g = (plane - rows) / rows * 2 + plane[::-1] * 3
        h = plane.T * 2 - plane + 1
        i = (whole * 3 + 7).astype(dtype) * a
        a *= 0.99
        a += 0.01
        # Chains are compiled meanwhile: what comes later is of kernels.
        seen += [c, d, e, f, g, h, i, a.copy()] if k % 10 == 9 else [f.sum(), (g + h).sum(), i.sum()]
data = hashlib.blake2b(digest_size=16)
for one in seen:
    data.update(one.get().tobytes())
assert session.device().kind == "cuda"
print(data.hexdigest())
"""


def run(fusion: str, seed: int) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(seed)], capture_output=True, text=True, timeout=70,
        env={**os.environ, "CUPOOL_DEVICE": "cuda", "CUPOOL_CUDA_FUSION": fusion},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip(), done.stderr


@pytest.mark.parametrize("seed", range(2))
def test_programs_leave_the_same_with_chains_and_one_by_one(seed: int) -> None:
    with_chains, said = run("on", seed)
    assert with_chains == run("off", seed)[0]
    assert "chain-refused" not in said, said


def test_chains_are_compiled_proven_and_used() -> None:
    """By the executor alone, which can be asked."""
    code = """
import sys
sys.path[:0] = ["tests/support"]
import numpy as np
from cupool.apiserver.devices.cuda.device import CudaDevice
from cupool.apiserver.executor import Executor
from cupool.contract.limits import DEFAULT_LIMITS
from wire import H, V, Writer, form, spec, value
n = 1 << 20
device = CudaDevice(0, 1 << 30, fuses=True)
device.enter()
device.warm()
device._kernels._waits = True
executor, writer = Executor(device, 1 << 30, DEFAULT_LIMITS), Writer()
one = spec((n,))
x, y = np.linspace(-1, 1, n), np.linspace(1, 2, n)
forms = [form(1, "@array", [V], [one]), form(2, "add", [H, H], [one]), form(3, "multiply", [H, H], [one])]
executor.run(writer.batch([1, 1, value(x.tobytes()), 1, 2, value(y.tobytes())], 2, *forms))
for k in range(10, 60, 10):
    executor.run(writer.batch([3, k, 1, 2, 2, k + 1, k, 1, 0, k, 3, k + 2, k + 1, 2, 0, k + 1], 5))
    assert (executor.handles.table[k + 2].get() == (x * y + x) * y).all(), k
chains = executor.fusion
print(chains.windows, chains.joined, chains.tried, chains.kernels.refused)
assert (chains.windows, chains.joined, chains.tried, chains.kernels.refused) == (3, 15, 1, 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=70)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]


def test_no_operation_of_chains_is_changed_by_the_compilers_option() -> None:
    """With the compiler that this machine has. See Note [Same instructions]."""
    from cupool.apiserver.devices.cuda.chains.operations import SAME

    some = ",".join(sorted(SAME)[::4])
    done = subprocess.run(
        [sys.executable, "tools/chain_operations.py", "--only", some], capture_output=True, text=True, timeout=70
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
