"""A server is killed under a session that outgrew its window: it goes on from its last checkpoint, whenever the kill came."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: `kill()` ends the server of the session that is open, and no other process; `undisturbed(f)` is what f gives in NumPy.
KILL = """
import contextlib, os, signal, threading, time
import numpy as np
import psutil
import cupy as cp
import cupyx
from cupool.shim import embedded, session

def kill():
    server = session.current().link.lease.server
    for child in psutil.Process(embedded.start()._process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if server in child.cmdline():
                os.kill(child.pid, signal.SIGKILL)
                return
    raise AssertionError("its server is not there")

def redo():
    return session.current().outbox.redo

def until(is_so):
    limit = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < limit
        time.sleep(0.001)
"""
#: Ten windows of 64 KiB and more each; `kill` at two moments of them. Each prints what it has.
PROGRAMS = {
    "in place, with waits": """
x = np.arange(2000.0); y = cp.asarray(x)
for k in range(6000):
    y *= 0.999; y[k % 100 :: 7] += k; x *= 0.999; x[k % 100 :: 7] += k
    if k % 50 == 0: assert y[3] == x[3]
    if k in (2000, 4500): kill()
assert np.array_equal(x, y.get())
""",
    "uploads and drawn numbers": """
draw = np.random.default_rng(0); cp.random.seed(3); total = cp.zeros(3000); want = np.zeros(3000)
for k in range(60):
    a = draw.random(3000); total += cp.asarray(a); want += a; a[:] = 0
    r = cp.random.rand(3000); total += r; want += r.get()
    if k in (20, 41): kill()
assert np.allclose(want, total.get(), rtol=1e-12)
""",
    "views, shapes that data decide, errors": """
x = np.arange(500.0); y = cp.asarray(x); v = y[::2]; told = 0
for k in range(4000):
    v += 1; x[::2] += 1
    if k % 500 == 0:
        assert np.array_equal(cp.nonzero(y % 3 == 0)[0].get(), np.nonzero(x % 3 == 0)[0])
        try:
            with cupyx.errstate(linalg="raise"): cp.linalg.inv(cp.zeros((2, 2)))
        except np.linalg.LinAlgError: told += 1
    if k in (900, 2900): kill()
assert np.array_equal(x, y.get()) and told == 8
""",
    "a raw kernel over a pointer": """
k = cp.RawKernel('extern "C" __global__ void f(double** p) { p[0][threadIdx.x] += 1; }', 'f')
x = cp.zeros(4); p = cp.array([x.data.ptr], 'u8')
for n in range(1500):
    k((1,), (4,), (p,))
    if n in (500, 1100): kill()
    if n % 100 == 0: assert (x.get() == n + 1).all()
assert (x.get() == 1500).all()
""",
}


#: Loops are written out (CUPOOL_LOOPS): told as loops they hardly fill a window.
def run(body: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cupool", "run", "-c", KILL + body],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
        env={**os.environ, "CUPOOL_DEADLINE_S": "60", "CUPOOL_LOOPS": "0", **environment},
    )  # fmt: skip


@pytest.mark.parametrize("durability", ["node", "file"])
@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_ten_windows_and_two_kills(name: str, durability: str, tmp_path: Path) -> None:
    done = run(
        PROGRAMS[name] + "assert redo().checkpoints >= 3, redo().checkpoints\nprint(session.statistics().recoveries)\n",
        CUPOOL_REDO="32KiB", CUPOOL_DURABILITY=durability, CUPOOL_CHECKPOINTS_FOLDER=str(tmp_path),
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")
    if durability == "file":
        assert not list((tmp_path / "running").iterdir()), "the session has ended by wish"


@pytest.mark.parametrize("lane", ["1", "0"])
def test_by_default_a_small_session_is_kept_in_its_client(lane: str) -> None:
    """Its checkpoint comes through the lane where there is one, and needs no grpcio, which takes as long to load as numpy and 25 MiB."""
    done = run(
        "import sys\n"
        "x = cp.zeros(1000)\n"
        "for k in range(60):\n"
        "    for _ in range(1000): x += 1\n"
        "    assert x[0] == 1000 * (k + 1)\n"
        "    until(lambda: redo().wish is None)\n"  # by default nobody waits for a checkpoint: on a busy machine the window fills first
        "    if k == 20: print(redo().checkpoints > 0, 'grpc' in sys.modules)\n"
        "    if k in (20, 45): kill()\n"
        "print(session.statistics().recoveries, redo().base.where, redo().base.data.nbytes < 1e6)\n",
        CUPOOL_REDO="1MiB",
        CUPOOL_LANE=lane,
    )
    told = f"True {lane == '0'}\n2 client True\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, told, "")


MOMENTS = {
    "when the wish is sent": (
        "wished = redo().wished\n"
        "def killing():\n    mark = wished()\n    if mark.checkpoint == 3: kill()\n    return mark\n"
        "redo().wished = killing\n"
    ),
    "while it is being written": (
        "wished = redo().wished\n"
        "def killing():\n    mark = wished()\n    if mark.checkpoint == 3: threading.Timer(0.03, kill).start()\n    return mark\n"
        "redo().wished = killing\n"
    ),
    "when it is whole and its client does not know": (
        "answered = session.current().inbox.checkpointed\n"
        "def killing(told):\n    kill() if told.id == 3 else answered(told)\n"
        "session.current().inbox.checkpointed = killing\n"
    ),
    "when its client knows": (
        "answered = session.current().inbox.checkpointed\n"
        "def killing(told):\n    answered(told)\n    if told.id == 3: kill()\n"
        "session.current().inbox.checkpointed = killing\n"
    ),
}


@pytest.mark.parametrize("lane", ["1", "0"])
def test_what_went_up_behind_a_checkpoint_goes_up_again_behind_it(lane: str) -> None:
    """Where the server that takes over gets its checkpoint late: an upload that came before would begin an empty session there."""
    done = run(
        "from cupool.shim import bulk_again\n"
        "restore = bulk_again.restore\n"
        "bulk_again.restore = lambda *call: time.sleep(0.3) or restore(*call)\n"
        "x, n = cp.zeros(1000), 0\n"
        "while not redo().checkpoints:\n"
        "    x += 1; n += 1\n"
        "    if n % 100 == 0: float(x[0])\n"
        "a = np.arange(6_000.0); y = cp.asarray(a)\n"
        "assert float(y.sum()) == a.sum()\n"
        "kill()\n"
        "x += 1; z = cp.asarray(a + 1)\n"
        "assert np.array_equal(y.get(), a) and np.array_equal(z.get(), a + 1) and (x.get() == n + 1).all()\n"
        "print(session.statistics().recoveries, redo().where)\n",
        CUPOOL_REDO="1MiB", CUPOOL_LANE=lane,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "1 client\n"), done.stderr


@pytest.mark.parametrize("moment", sorted(MOMENTS))
def test_a_kill_at_each_step_of_a_checkpoint(moment: str) -> None:
    done = run(
        "x = cp.zeros(1_000_000); n = 0; x.get()\n" + MOMENTS[moment] + "while redo().checkpoints < 4:\n"
        "    for _ in range(100): x += 1\n"
        "    n += 100; x[:1].get()\n"
        "print((x == n).all(), session.statistics().recoveries)\n",
        CUPOOL_REDO="16KiB", CUPOOL_DURABILITY="node",
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "True 1\n", "")


def test_an_upload_larger_than_the_window_is_waited_for() -> None:
    done = run(
        "a = np.random.default_rng(1).random(2_000_000)\n"
        "for k in range(3):\n"
        "    x = cp.asarray(a + k); kill()\n    assert np.array_equal(x.get(), a + k)\n"
        "print(session.statistics().recoveries, redo().checkpoints >= 3)\n",
        CUPOOL_REDO="1MiB", CUPOOL_DURABILITY="node",
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 True\n", "")


DAMAGE = {
    "changed": "for f in files('*.data'):\n if b := bytearray(f.read_bytes()): b[-1] ^= 1; f.write_bytes(b)",
    "truncated": "for f in files('*.index'): f.write_bytes(f.read_bytes()[:-7])",
    "gone": "for f in files('*.index'): f.unlink()",
}


@pytest.mark.parametrize("damage", sorted(DAMAGE))
def test_a_damaged_checkpoint_is_a_lost_session_that_says_so(damage: str, tmp_path: Path) -> None:
    done = run(
        "import pathlib\nfiles = lambda kind: pathlib.Path(os.environ['CUPOOL_CHECKPOINTS_FOLDER']).glob('running/*/' + kind)\n"
        "x = cp.zeros(1000)\nfor k in range(2000): x += 1\n"
        "x.get(); until(lambda: redo().base is not None and redo().wish is None)\n"
        f"kill()\n{DAMAGE[damage]}\nx.get()\n",
        CUPOOL_REDO="16KiB", CUPOOL_DURABILITY="file", CUPOOL_CHECKPOINTS_FOLDER=str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    words = {"changed": "damaged", "truncated": "truncated", "gone": "not there any more"}
    assert "SessionLost" in last and "checkpoint cannot be restored" in last and words[damage] in last, done.stderr


def test_a_pool_without_a_folder_says_so_when_the_session_is_opened() -> None:
    done = run("cp.arange(3)\n", CUPOOL_DURABILITY="file", CUPOOL_CHECKPOINTS_FOLDER="")
    assert done.returncode == 1
    assert "LeaseRefused" in done.stderr and "durability='file'" in done.stderr


def test_what_cannot_be_kept_goes_on_as_a_replay_and_says_so_once() -> None:
    done = run(
        "import cupool\n"
        "@cupool.offload\ndef f(n): return n + 1\n"
        "x = cp.zeros(10); assert f(1) == 2\n"
        "for k in range(4000): x += 1\n"
        "print(x[0])\n",
        CUPOOL_REDO="16KiB", CUPOOL_DURABILITY="node",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "4000.0\n"), done.stderr
