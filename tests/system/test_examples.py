"""Every example, unmodified, through the shim: its own check holds, and it waits as often as its data flow needs and no more."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


@dataclass(frozen=True)
class Needs:
    """What an example's data flow needs.

    Attributes:
        waits: a number, or a pattern of its output whose group says how often it looked, and how many waits come beside.
        why: which data it asks for.
    """

    waits: int
    why: str
    per: str = ""


#: Example -> its waits. Raise one only with a reason in `why`.
NEEDS = {
    "black_scholes": Needs(2, "the sample of prices, and the largest gap of the put-call parity"),
    "colour_quantisation": Needs(
        1, "each convergence check, and the finished picture", r"after (\d+) convergence checks"
    ),
    "conjugate_gradient": Needs(1, "each convergence check, and the solution", r"(\d+) checks"),
    "gaussian_mixture": Needs(1, "each look at the likelihood, and the fitted parameters", r"(\d+) checks"),
    "monte_carlo": Needs(1, "the four numbers"),
    "neural_network": Needs(5, "four looks at the loss, and weights with scores"),
    "stencil": Needs(1, "the plate at the end"),
    "streams_and_events": Needs(3, "the last event, the time between two events, the result"),
    "tiled_matmul": Needs(1, "the product"),
}


def test_every_example_is_pinned():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(NEEDS)


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_example_never_mentions_cupool(name):
    assert "cupool" not in (EXAMPLES / f"{name}.py").read_text()


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_example(name, tmp_path):
    """Run as a user runs it, with an embedded pool of its own."""
    record = tmp_path / "stats.json"
    path = EXAMPLES / f"{name}.py"
    extra = ["--out", str(tmp_path / "picture.png")] if "--out" in path.read_text() else []
    done = subprocess.run(
        [sys.executable, "-m", "cupool", "run", "--stats-json", str(record), str(path), *extra],
        capture_output=True, text=True, timeout=110, cwd=tmp_path, env={k: v for k, v in os.environ.items() if k != "CUPOOL_ADDR"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "checked against NumPy" in done.stdout and done.stderr == ""
    statistics, needs = json.loads(record.read_text()), NEEDS[name]
    looks = 0
    if needs.per:
        found = re.search(needs.per, done.stdout)
        assert found, done.stdout
        looks = int(found.group(1))
    sites = "\n".join(f"{count} at {site}" for site, count in statistics["waits_by_site"].items())
    assert statistics["waits"] == needs.waits + looks, f"it needs {needs.why}; it waited at\n{sites}"
    assert statistics["reconnects"] == 0
    if extra:
        from PIL import Image

        with Image.open(extra[1]) as picture:
            assert picture.size == (640, 427) and len(picture.getcolors(100)) == 16


@pytest.mark.parametrize("name", sorted(n for n in NEEDS if "--numpy" in (EXAMPLES / f"{n}.py").read_text()))
def test_example_on_numpy(name, tmp_path):
    """The same script on NumPy, in a process that cannot import cupy."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), "--numpy"],
        capture_output=True,
        text=True,
        timeout=110,
        cwd=tmp_path,
    )
    assert done.returncode == 0 and "checked against NumPy" in done.stdout, done.stdout + done.stderr
