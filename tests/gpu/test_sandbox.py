"""A confined server on a GPU: CuPy's libraries load, kernels compile and run, and native code still gets nowhere."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cupool.apiserver import sandbox

from cupool.contract import statusfile

PROGRAM = """
import sys
from cupool.shim import cupy as cp, session
from cupool.shim.config import Config
from cupool.shim.lease import Lease

class Pool:
    def acquire(self, config, base=None): return Lease("s", "t", sys.argv[1], 1, "", "")
    def release(self, lease, reason, timeout_s=2.0): pass
    def fate(self, lease, timeout_s=1.0): return None
    def close(self): pass

session.open_at(Pool(), Config())
a = cp.arange(1 << 20, dtype=cp.float32)
assert float(a.sum()) > 0
assert cp.linalg.svd(cp.random.rand(64, 64))[1].shape == (64,)
assert cp.fft.fft(a[:1024]).shape == (1024,)
assert float((a[:1000].reshape(10, 100) @ a[:1000].reshape(100, 10)).sum()) > 0
k = cp.RawKernel('extern "C" __global__ void k(float* x) { x[threadIdx.x] *= 2; }', "k")
k((1,), (32,), (a,))
assert float(a[3]) == 6
f = cp.ElementwiseKernel("float32 x", "float32 y", "y = x + 40", "fresh_kernel")
assert float(f(a)[1]) == 42
print("done")
"""


@pytest.mark.skipif(bool(sandbox.missing_parts()), reason="this kernel offers no whole sandbox")
def test_a_confined_server_computes_on_the_gpu(tmp_path: Path) -> None:
    statusfile.create(tmp_path / "status")
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(
            [sys.executable, "-P", "-m", "cupool.apiserver.sandboxed", "--sandbox", "required", "--device", "cuda:0", "--assign", "s:t",
             "--status-file", str(tmp_path / "status"), "--listen", f"unix:{tmp_path}/s"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ))  # fmt: skip
        stack.callback(process.kill)
        assert process.stdout is not None
        said = json.loads(process.stdout.readline() or b"{}")
        assert said.get("ready"), "the server did not start; its stderr says why"
        done = subprocess.run(
            [sys.executable, "-P", "-c", PROGRAM, said["endpoint"]], capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0 and "done" in done.stdout, done.stderr
