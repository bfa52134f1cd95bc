"""`cupool run` with arrays: an embedded pool comes with the program and goes with it, statistics tell what it cost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cupool.shim import finder

ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("CUPOOL_") or k == "CUPOOL_TEST_RUN"}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cupool", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        env=ENVIRONMENT | environment,
    )


def ok(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


PROGRAM = """
import cupy as cp
total = cp.arange(10)
for _ in range(50):
    total = total + 1
print(int(total.sum()))
print(cp.asnumpy(total)[:3])
"""


def test_statistics_name_the_lines_that_waited(tmp_path):
    program, record = tmp_path / "program.py", tmp_path / "stats.json"
    program.write_text(PROGRAM)
    done = run("run", "--stats", "--stats-json", str(record), str(program))
    assert ok(done) == "545\n[50 51 52]\n"
    statistics = json.loads(record.read_text())
    assert (
        statistics["waits"] == 2 and statistics["commands"] >= 100
    )  # 50 additions and the frees of what they replaced
    assert statistics["waits_by_site"] == {f"{program}:6": 1, f"{program}:7": 1}
    assert "2 waits" in done.stderr and f"{program}:6" in done.stderr
    assert statistics["bytes_up"] > 0 and statistics["bytes_down"] > 0


def test_the_first_server_of_ones_own_pool_is_waited_for(tmp_path):
    """However short a program waits for a place: the server that starts is its own."""
    program = "import cupy as cp\nprint(int(cp.arange(5).sum()))\n"
    assert ok(run("run", "-c", program, CUPOOL_DEADLINE_S="0.01")) == "10\n"


def test_every_way_to_the_shim_runs_the_same_program(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    outputs = {
        "python -m cupool": ok(run(str(program))),
        "drop-in": subprocess.run(
            [sys.executable, str(program)], capture_output=True, text=True, env=ENVIRONMENT | {"PYTHONPATH": str(finder.DROPIN)}
        ).stdout,
        "install": subprocess.run(
            [sys.executable, "-c", "import cupool; cupool.install()\n" + PROGRAM], capture_output=True, text=True, env=ENVIRONMENT
        ).stdout,
        "facade": subprocess.run(
            [sys.executable, "-c", PROGRAM.replace("import cupy as cp", "from cupool import cupy as cp")],
            capture_output=True, text=True, env=ENVIRONMENT,
        ).stdout,
    }  # fmt: skip
    assert set(outputs.values()) == {"545\n[50 51 52]\n"}, outputs


def test_workers_of_multiprocessing_compute_too(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import multiprocessing as mp\n"
        "import cupy as cp\n"
        "def work(n):\n"
        "    return int(cp.arange(n).sum())\n"
        "if __name__ == '__main__':\n"
        "    with mp.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(work, [3, 4]))\n"
        "        pool.close()\n"
        "        pool.join()\n"
        "    print(work(5))\n"
    )
    assert ok(run("run", str(program))) == "[3, 6]\n10\n"


def test_connect_says_where(tmp_path):
    code = (
        "import cupool, os\n"
        "try:\n"
        "    cupool.connect('unix:/nowhere/pool.sock')\n"
        "except cupool.PoolUnreachable as error:\n"
        "    print('unreachable:', error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=ENVIRONMENT | {"CUPOOL_RECONNECT_S": "1", "CUPOOL_DEADLINE_S": "0.5"},
        timeout=60,
    )
    assert "unreachable:" in done.stdout and "/nowhere/pool.sock" in done.stdout and "CUPOOL_ADDR" in done.stdout, (
        done.stderr
    )


def test_without_the_extra_the_embedded_pool_names_it(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'grpc_health':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    done = run("run", "-c", "import cupy; cupy.zeros(3).get()", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1 and "cupool[server]" in done.stderr and "grpc_health" in done.stderr
    assert "CUPOOL_ADDR" in done.stderr and done.stderr.startswith("Traceback")


def marked_processes(mark: str) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            is_ours = folder.name.isdigit() and mark.encode() in (folder / "environ").read_bytes()
            if is_ours and (folder / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                found.append(int(folder.name))
    return found


@pytest.mark.parametrize(
    ("ending", "number"),
    [
        ("signal.pause()", signal.SIGKILL),
        ("signal.pause()", signal.SIGTERM),
        ("os._exit(5)", None),
        ("1 / 0", None),
        ("sys.exit(4)", None),
    ],
    ids=["SIGKILL", "SIGTERM", "_exit", "error", "exit"],
)
def test_nothing_is_left_however_the_program_ends(tmp_path, ending, number):
    program = tmp_path / "program.py"
    program.write_text(
        "import os, signal, sys\nimport cupy as cp\nheld = cp.arange(1000) * 2\nprint(int(held.sum()), flush=True)\n"
        + ending
        + "\n"
    )
    mark = f"CUPOOL_TEST_MARK={tmp_path}"
    process = subprocess.Popen(
        [sys.executable, "-m", "cupool", "run", str(program)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=ENVIRONMENT | dict([mark.split("=", 1)]) | {"TMPDIR": str(tmp_path), "XDG_RUNTIME_DIR": ""},
    )  # fmt: skip
    with process:
        assert process.stdout.readline() == "999000\n"
        assert len(marked_processes(mark)) >= (3 if number else 0), "program, pool and server"
        if number is not None:
            process.send_signal(number)
        process.wait(timeout=30)
    deadline = time.monotonic() + 60
    while left := marked_processes(mark) or [p for p in Path("/tmp").glob("cupool-*") if str(tmp_path) in str(p)]:
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(0.02)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith("cupool-")], "the pool's folder is gone"


def test_a_killed_server_is_one_clear_error(tmp_path):
    done = run(
        "run",
        "-c",
        "import cupy as cp\n"
        "x = cp.zeros(4, dtype=cp.float32)\n"
        "code = 'extern \"C\" __global__ void boom(float* x) { x[1000000000000LL] = 1; }'\n"
        "cp.RawKernel(code, 'boom')((1,), (1,), (x,))\n"
        "x.get()\n",
    )
    assert done.returncode == 1
    assert (
        "SessionLost" in done.stderr
        and "SIGSEGV while it ran the kernel 'boom'" in done.stderr
        and "bounds" in done.stderr
    )
