"""CUDA calls on a GPU: the tests of the whole stack that do not depend on how a device counts its memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "system"
KINDS = "copies or capture or graph or blas or plans or image or dlpack or pointers or streams or hooks or allocator"


def test_calls_run_on_the_gpu() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(TESTS / "test_cuda_calls.py"), "-k", KINDS],
        env={**os.environ, "CUPOOL_DEVICE": "cuda"},
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
