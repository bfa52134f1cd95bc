"""The integrator's proof: a short program in plain gRPC stubs, against a real pool."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "integrator" / "add.py"

#: Runs the program and then says which modules of ours it has loaded.
RUN = """
import runpy, sys
sys.argv[0] = sys.argv.pop(1)
runpy.run_path(sys.argv[0], run_name="__main__")
print(sorted(name for name in sys.modules if name.split(".")[0] == "cupool"))
"""


@pytest.fixture
def pool() -> Iterator[dict[str, str]]:
    """A pool with a CPU device, for this test alone."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "cupool.embedded", "--devices", "cpu:1:256MiB"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        said = json.loads(process.stdout.readline())
        assert "addr" in said, said
        yield said
    finally:
        process.stdin.close()
        process.stdout.close()
        assert process.wait(60) is not None


def test_plain_stubs_are_enough(pool: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", RUN, str(PROGRAM), pool["addr"], pool["token"]],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answer, modules = done.stdout.splitlines()
    assert answer.startswith("[11.0, 22.0, 33.0, 44.0] from ")
    loaded = set(ast.literal_eval(modules))
    assert not {name for name in loaded if name != "cupool" and not name.startswith("cupool.v1")}, loaded


def test_it_says_what_it_needs() -> None:
    done = subprocess.run([sys.executable, "-P", str(PROGRAM)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "usage: add.py ADDRESS TOKEN\n")


def test_it_is_short_and_imports_stubs_alone() -> None:
    text = PROGRAM.read_text()
    assert len(text.splitlines()) <= 100
    imported = {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    assert {module for module in imported if module and module.startswith("cupool")} <= {
        "cupool.v1",
        "cupool.v1.value_pb2",
    }
