"""What happens to sessions around processes: exits of every kind, forks, multiprocessing, frozen and thawed programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import netns
from tools.prove import campaign

from .faultproxy import FaultProxy
from .servers import Server

PRELUDE = """
import os, sys, threading
sys.path.insert(0, {root!r})
from tests.system.servers import *
s = session.open_at(FixedPool({endpoint!r}), Config())
"""
ROOT = str(Path(__file__).resolve().parents[2])


def run(body: str, endpoint: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    code = PRELUDE.format(root=ROOT, endpoint=endpoint) + body
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout_s, check=False)


@pytest.fixture
def server() -> Any:
    server = Server()
    yield server
    server.close()


def test_what_nobody_looked_at_is_printed_at_exit(server: Server) -> None:
    done = run(
        "a = array([1, 2]); b = array([1, 2, 3])\nsend('add', [HANDLE, HANDLE], (a, b), promise((2,)))\n",
        server.endpoint,
    )
    assert done.returncode == 0
    assert "never looked at" in done.stderr
    assert "'add'" in done.stderr and "ValueError" in done.stderr


def test_fork_child_has_a_session_of_its_own_and_the_parent_goes_on() -> None:
    """Through the embedded pool, which gives the child another server."""
    body = """
import os, signal, sys
sys.path.insert(0, ROOT)
from tests.system.servers import *
from cupool.contract.errors import ForeignArray
x = array([1.0, 2.0])
assert fetch(x).sum() == 3
pending = [array([float(k)]) for k in range(50)]
pid = os.fork()
if pid == 0:
    signal.alarm(30)
    status = 1
    try:
        try:
            session.check_handle(x)
        except ForeignArray as error:
            assert "fork" in str(error)
        else:
            raise AssertionError("not foreign")
        free(x)
        y = array([5.0])
        assert y != x and fetch(add(y, y, (1,)))[0] == 10
        session.close()
        status = 0
    finally:
        os._exit(status)
assert fetch(pending[49])[0] == 49
assert os.waitpid(pid, 0)[1] == 0
assert fetch(add(x, x, (2,))).sum() == 6
print("fine")
""".replace("ROOT", repr(ROOT))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CUPOOL_ADDR")}
    done = subprocess.run(
        [sys.executable, "-c", body], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert done.stdout == "fine\n", done.stderr


def test_multiprocessing_by_fork(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        f"""
import multiprocessing, sys
sys.path.insert(0, {ROOT!r})
from tests.system.servers import *

def work(k):
    a = array([float(k)])
    return float(fetch(add(a, a, (1,)))[0])

if __name__ == "__main__":
    assert work(1) == 2
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(sorted(pool.map(work, range(6))))
    assert work(4) == 8
"""
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=90, check=False)
    assert done.stdout == "[0.0, 2.0, 4.0, 6.0, 8.0, 10.0]\n", done.stderr


def test_a_frozen_program_thaws(server: Server) -> None:
    """Its connection is forgotten meanwhile, as NAT and load balancers forget those of frozen functions: nobody tells it."""
    with FaultProxy(server.endpoint) as proxy:
        code = PRELUDE.format(root=ROOT, endpoint=proxy.endpoint) + (
            "x = array([1.0]); fetch(x); print('ready', flush=True); sys.stdin.readline()\n"
            "assert fetch(add(x, x, (1,)))[0] == 2; print(session.statistics().reconnects, flush=True)\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGSTOP)
        connections = proxy.connections
        proxy.blackhole_now()
        process.send_signal(signal.SIGCONT)
        out, _ = process.communicate("go\n", timeout=30)
        assert int(out) >= 1
        assert proxy.connections > connections


def test_exits_do_not_hang() -> None:
    result = campaign("exits", full=False)
    assert result["complete"] and not result["failed"]


@pytest.mark.timeout(200)  # six programs, each of which imports what it needs
def test_cuts_do_not_change_a_result() -> None:
    result = campaign("cuts", full=False)
    assert result["complete"] and not result["failed"]


def test_a_soak_leaves_nothing() -> None:
    """In a process of its own: the campaign's session is the process's."""
    words = [sys.executable, str(Path(ROOT) / "tools" / "prove.py"), "soak", "--sample"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["complete"] and not result["failed"]
    assert result["summary"]["commands"] >= 20_000 and result["summary"]["device_bytes_left"] == [0]


def test_a_program_goes_on_after_it_was_told_that_its_session_is_lost() -> None:
    """A warm function whose kernel killed the server: that invocation fails, the next ones work, also those that draw numbers."""
    program = """
import cupy as cp
add = cp.RawKernel('extern "C" __global__ void add(double* x) { x[threadIdx.x] += 1; }', "add")
divide = cp.ElementwiseKernel("int32 x", "int32 z", "z = 1 / x", "divide")
def handler():
    x = cp.arange(3.0)
    add((1,), (3,), (x,))
    return float(x.sum()) + 0 * float(cp.random.rand(2).sum())
old = cp.random.RandomState(1)
print(handler())
for _ in range(2):
    try:
        divide(cp.zeros(3, "i4")).get()
    except Exception as error:
        print(type(error).__name__, "divide" in str(error))
    print(handler(), handler())
try:
    old.rand(2).get()
except Exception as error:
    print(type(error).__name__, "gone" in str(error))
"""
    run = subprocess.run(
        [sys.executable, "-m", "cupool", "run", "-c", program], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split("\n")[:-1] == [
        "6.0", "SessionLost True", "6.0 6.0", "SessionLost True", "6.0 6.0", "ForeignArray True",
    ]  # fmt: skip


def test_a_frozen_program_whose_flow_is_forgotten_sees_no_error() -> None:
    """The router between two hosts forgets; a sample of the campaign, small calls and bulk transfers."""
    why = netns.missing()
    if why:
        pytest.skip(why)
    result = campaign("thaws", full=False)
    assert result["complete"] and not result["failed"], result["failed"]
    assert result["summary"]["freezes"] == 3
