"""Whole programs on a GPU through an embedded pool: the examples, as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PROGRAM = """
import cupool
cupool.install()
import cupy as cp
assert cp.cuda.runtime.getDeviceProperties(0)["name"] != b"", "no name"
from cupool.shim import session
assert session.device().kind == "cuda", session.device().kind
a = cp.arange(1_000_000, dtype=cp.float32)
assert float((a * 2).sum()) == float(a.sum()) * 2
print("done")
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "CUPOOL_DEVICE": "cuda"},
        capture_output=True,
        text=True,
        timeout=110,
    )


def test_a_program_gets_the_gpu() -> None:
    done = run("-c", PROGRAM)
    assert done.returncode == 0, done.stderr
    assert "done" in done.stdout


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_examples_run_on_the_gpu(example: str) -> None:
    done = run("-m", "cupool", "run", str(EXAMPLES / example))
    assert done.returncode == 0, done.stdout + done.stderr
