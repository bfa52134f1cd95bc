"""A fixed sample of CuPy's own tests: some of the test functions, chosen by the hash of their names, with one parameter set each.

Needs a checkout of CuPy: CUPY_CHECKOUT, or ../cupy beside the repository. `make cupy-suite` runs more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: What the sample is taken from, and how much of it.
FOLDERS = ("core15", "core", "fft", "random", "cupyx/scipy")
FUNCTIONS = 0.04
TIMEOUT_S = 600


def _checkout() -> Path:
    given = os.environ.get("CUPY_CHECKOUT")
    return Path(given) if given else ROOT.parent / "cupy"


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT_S)
def test_a_sample_of_cupys_own_tests() -> None:
    checkout = _checkout()
    if not (checkout / "tests" / "cupy_tests").is_dir():
        pytest.skip(f"no checkout of CuPy at {checkout}: set CUPY_CHECKOUT")
    done = subprocess.run(
        [
            sys.executable, str(ROOT / "tools" / "cupy_suite.py"), "--cupy", str(checkout), "--functions", str(FUNCTIONS),
            "--fraction", "0.000001", "--show", *FOLDERS,
        ],
        capture_output=True, text=True, check=False, timeout=TIMEOUT_S - 10,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
