"""The benchmark suite's own shape: rows and curves import, goals point at rows that exist, the page is made of what is committed."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import __main__ as suite
from benchmarks import curves, harness, pools, rows
from benchmarks.goals import GOALS, WHOLE_ROWS, limit_of
from benchmarks.harness import Missing
from benchmarks.rows import gpu
from tools import figures, performance

ROOT = Path(__file__).resolve().parents[2]
MODULES = [*((rows, name) for name in suite.names(rows)), *((curves, name) for name in suite.names(curves))]


@pytest.mark.parametrize(("package", "name"), MODULES)
def test_every_row_and_curve_has_its_parts(package, name):
    module = importlib.import_module(f"{package.__name__}.{name}")
    assert suite.find(name) is module
    assert module.ROW and module.TITLE and callable(module.run)


def test_goals_point_at_rows_that_exist():
    there = {importlib.import_module(f"{package.__name__}.{name}").ROW for package, name in MODULES}
    for goal in GOALS:
        if goal.source == "prove":
            assert (ROOT / "benchmarks" / "prove" / f"{goal.row}.py").exists()
        else:
            assert goal.row in there, goal
    assert {"PEERS", "HANDLES"} <= set(WHOLE_ROWS) & there
    found = limit_of("S1a", "c = a + b, its free included")
    assert found is not None and found.limit == 1.5 and limit_of("S1a", "something else") is None


def test_what_needs_a_gpu_says_so_where_there_is_none(monkeypatch):
    monkeypatch.setattr(gpu, "has_local_cupy", lambda: False)
    results = gpu.run(True)
    assert results and all(isinstance(r, Missing) and "make gpu" in r.note for r in results)
    wanted = {(g.row, g.what) for g in GOALS if g.source == "gpu" and g.row == "GPU"}
    assert wanted == {("GPU", r.what) for r in results}


def test_the_gpu_tests_can_be_collected_without_a_gpu():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests/gpu"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert re.search(r"\d+ tests? collected", done.stdout)


def test_the_page_names_every_goal_and_nothing_that_no_file_has():
    page = performance.page(with_plots=False)
    for goal in GOALS:
        assert f"| {goal.goal} | {goal.words} |" in page
    bench = json.loads((ROOT / "benchmarks" / "results" / "bench.json").read_text(encoding="utf-8"))
    for row in bench["rows"]:
        assert f"**{row['row']}**" in page
    for name in re.findall(r"!\[.*\]\((plots/.*\.png)\)", page):
        path = ROOT / "docs" / name
        assert path.exists() and path.stat().st_size < 200_000, name


def test_the_readme_wants_what_the_goals_want():
    result = {"kind": "ratio", "what": "c = a + b, its free included", "ratio": 1.6, "goal": 3.0, "met": True}
    assert figures._line("S1a", "words", result, "≤") == "| words | 1.6x | ≤ 1.5 (missed) |\n"


@pytest.mark.parametrize(
    "command", [["tools/prove.py", "cycles"], ["-m", "benchmarks", "s7"]], ids=["a campaign", "a row"]
)
def test_what_is_told_to_end_takes_its_pool_down(command, tmp_path):
    mark = f"{harness.RUN_VARIABLE}={tmp_path.name}"

    def ours():
        found = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found

    environment = os.environ | {harness.RUN_VARIABLE: tmp_path.name, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("cupool-prove-*/pool.json")):
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.02)
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert not ours()
    assert not list(tmp_path.glob("cupool-prove-*"))


def test_what_others_have_in_shared_memory_is_not_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(pools, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(pools, "SETTLE_S", 0.05)
    for name in ("before", "held", "left"):
        (tmp_path / f"cupool-{name}").mkdir()
        (tmp_path / f"cupool-{name}" / "lock").touch()
    with open(tmp_path / "cupool-held" / "lock", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        left = pools.leftovers(tmp_path / "folder", set(harness.marked_processes()), {tmp_path / "cupool-before"})
    assert left == [str(tmp_path / "cupool-left")]
