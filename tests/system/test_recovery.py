"""A server is killed under a program: the program goes on, with what it had, inside the same call; or it is told why it cannot."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from cupool.v1 import admin_pb2, admin_pb2_grpc
from tools.prove import campaign

ROOT = Path(__file__).resolve().parents[2]
#: `kill()` ends the server of the session that is open, and no other process.
KILL = """
import os, signal
import numpy as np
import psutil
import cupy as cp
from cupool.shim import embedded, session

def kill():
    server = session.current().link.lease.server
    for child in psutil.Process(embedded.start()._process.pid).children(recursive=True):
        if server in child.cmdline():
            os.kill(child.pid, signal.SIGKILL)
            return
    raise AssertionError("its server is not there")
"""


def run(body: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cupool", "run", "-c", KILL + body],
        capture_output=True, text=True, timeout=120, check=False, cwd=ROOT, env={**os.environ, **environment},
    )  # fmt: skip


ASKS_TWICE = "import cupy as cp\nx = cp.arange(3)\nprint(x.get(), flush=True)\ninput()\nx.get()"


@pytest.fixture
def pool_of() -> Iterator[Callable[..., dict[str, str]]]:
    """Starts a pool with these arguments; returns its ready line."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str) -> dict[str, str]:
            words = [sys.executable, "-P", "-m", "cupool.pool", *arguments]
            process = stack.enter_context(
                subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            stack.callback(process.terminate)
            assert process.stdout is not None
            said: dict[str, str] = json.loads(process.stdout.readline())
            return said

        yield start


KINDS = {
    "numbers drawn without a seed": "x = cp.random.rand(5); look = lambda: x.get()",
    "a generator without a seed": "x = cp.random.default_rng().standard_normal(5); look = lambda: x.get()",
    "an upload through the lane": "x = cp.asarray(np.random.default_rng(0).random((10, 100_000))); look = lambda: x.get()",
    "in place": "x = cp.arange(5.0); x *= 3; x[2:] += 1; look = lambda: x.get()",
    "a shape that the data decides": "x = cp.arange(9) % 3; look = lambda: cp.nonzero(x)[0].get()",
    "an error that was told": (
        "x = cp.arange(3.0)\n"
        "try: cp.linalg.inv(cp.zeros((2, 2))).get()\n"
        "except np.linalg.LinAlgError: pass\n"
        "look = lambda: x.get()"
    ),
    "an address in device memory": (
        "x = cp.zeros(4); p = cp.array([x.data.ptr], 'u8')\n"
        "k = cp.RawKernel('extern \"C\" __global__ void f(double** p) { p[0][threadIdx.x] += 1; }', 'f')\n"
        "k((1,), (4,), (p,)); look = lambda: (k((1,), (4,), (p,)), x.get() - x.get()[0], p.get())[1:]"
    ),
    "loops, and a clock among them": (
        "a, b, x, y = cp.cuda.Event(), cp.cuda.Event(), cp.arange(5.0), cp.ones(5)\n"
        "for _ in range(3000): x = x + y; x *= 0.5\n"
        "a.record(); b.record(); b.synchronize(); cp.cuda.get_elapsed_time(a, b)\n"
        "for _ in range(3000): x = x + y; y[1:3] += x[1:3]\n"
        "look = lambda: (x.get(), y.get())"
    ),
    "a clock": (
        "a, b, x = cp.cuda.Event(), cp.cuda.Event(), cp.arange(3)\n"
        "a.record(); b.record(); b.synchronize(); cp.cuda.get_elapsed_time(a, b); look = lambda: x.get()"
    ),
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_a_session_had_is_there_again(kind: str) -> None:
    if "RawKernel" in KINDS[kind]:
        pytest.importorskip("cupool.apiserver")
    done = run(
        f"{KINDS[kind]}\nbefore = look()\n"
        "for _ in range(2):\n    kill()\n    after = look()\n    assert all(map(np.array_equal, before, after)), (before, after)\n"
        "print(session.statistics().recoveries)\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")


def test_what_is_on_its_way_when_the_server_dies_arrives_once() -> None:
    done = run(
        "x = cp.zeros(4)\n"
        "for k in range(20_000):\n"
        "    x += 1\n"
        "    if k == 10_000: kill()\n"
        "print(x.get(), session.statistics().recoveries)\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[20000. 20000. 20000. 20000.] 1\n", "")


def test_a_connection_that_breaks_within_a_replay_changes_nothing() -> None:
    """The new server has executed everything again, and its client has received nothing of that when the frames come once more."""
    done = run(
        "from cupool.contract.errors import ProtocolError\n"
        "x, asked = cp.arange(4.0), 0\n"
        "for _ in range(30): asked += float(x.sum()); x += 1\n"
        "inbox, taken = session.current().inbox, []\n"
        "take = inbox._take\n"
        "def damaged(frame):\n"
        "    if frame.ordinal and inbox.received == 0 and len(taken) < 2:\n"
        "        taken.append(frame.ordinal)\n"
        "        raise ProtocolError('a frame that was damaged on the way')\n"
        "    take(frame)\n"
        "inbox._take = damaged\n"
        "kill()\n"
        "print(asked, x.get(), taken, session.statistics().recoveries)\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1920.0 [30. 31. 32. 33.] [1, 1] 1\n", "")


def test_a_long_replay_says_what_it_has_received() -> None:
    """The server keeps what it has sent until it is told; batches that come again do not say it."""
    done = run(
        "from cupool.shim import link as links\n"
        "from cupool.v1 import session_pb2\n"
        "links.CREDIT_BYTES = 1 << 16\n"
        "x = cp.arange(1000.0)\n"
        "for _ in range(60): x += 1; x.get()\n"
        "link = session.current().link\n"
        "said, send = [], link._send_now\n"
        "def seen(stream, frame):\n"
        "    said.append(session_pb2.ClientFrame.FromString(frame).credit.received)\n"
        "    send(stream, frame)\n"
        "link._send_now = seen\n"
        "kill()\n"
        "x.get()\n"
        "said = [n for n in said if n]\n"
        "print(len(said) >= 4, said == sorted(set(said)), session.statistics().recoveries)\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True True 1\n", "")


def test_a_program_that_comes_back_after_its_grace_has_its_session_again(
    pool_of: Callable[..., dict[str, str]],
) -> None:
    """Its link is dropped until the pool has ended the session, as a freeze does it."""
    said = pool_of("--devices", "cpu:1:1GiB", "--park-grace-ms", "300")
    done = run(
        "x = cp.arange(4.0) + 1; before = x.get()\n"
        "link = session.current().link; link.pause(5)\n"
        "import time; limit = time.monotonic() + 60\n"
        "while link._fate(link.lease) is None and time.monotonic() < limit: pass\n"
        "link.resume()\n"
        "print(np.array_equal(before, x.get()), session.statistics().recoveries)\n",
        CUPOOL_ADDR=said["addr"], CUPOOL_TOKEN=said["token"],
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "True 1\n", "")


def test_what_an_operator_ends_does_not_come_back(pool_of: Callable[..., dict[str, str]]) -> None:
    said = pool_of("--devices", "cpu:1:1GiB")
    with grpc.insecure_channel(said["admin"]) as channel:
        admin = admin_pb2_grpc.AdminServiceStub(channel)
        rights = (("authorization", f"Bearer {said['admin_token']}"),)
        program = subprocess.Popen(
            [sys.executable, "-m", "cupool", "run", "-c", ASKS_TWICE],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "CUPOOL_ADDR": said["addr"], "CUPOOL_TOKEN": said["token"]},
        )  # fmt: skip
        assert program.stdout is not None
        assert program.stdout.readline() == "[0 1 2]\n"
        everything = admin_pb2.ListAllSessionsRequest()
        (found,) = admin.ListAllSessions(everything, metadata=rights).sessions
        admin.KillSession(admin_pb2.KillSessionRequest(session=found.session, reason="maintenance"), metadata=rights)
        deadline = time.monotonic() + 30
        while admin.ListAllSessions(everything, metadata=rights).sessions:
            assert time.monotonic() < deadline
        _, told = program.communicate("\n", timeout=60)
    assert program.returncode == 1 and "SessionLost" in told and "maintenance" in told


def test_without_durability_the_session_is_lost_and_the_next_call_has_another() -> None:
    done = run(
        "x = cp.arange(3); x.get(); kill()\n"
        "try: x.get()\n"
        "except Exception as error: print(type(error).__name__, 'SIGKILL' in str(error), \"durability='none'\" in str(error))\n"
        "print(cp.arange(3).sum())\n",
        CUPOOL_DURABILITY="none",
    )
    assert (done.returncode, done.stdout) == (0, "SessionLost True True\n3\n"), done.stderr


def test_an_upload_that_goes_up_again_is_taken_up_again_when_its_call_breaks() -> None:
    done = run(
        "import threading\n"
        "from cupool.shim import bulk_calls\n"
        "from cupool.shim.core_call import CallFailed\n"
        "host = np.random.default_rng(0).random(90_000)\n"
        "x = cp.asarray(host); x.get()\n"
        "chunks, broken = bulk_calls.PutCall._chunks, []\n"
        "def breaks(put, start):\n"
        "    if threading.current_thread() is not threading.main_thread() and not broken:\n"
        "        broken.append(1)\n"
        "        raise CallFailed('UNAVAILABLE', 'cut')\n"
        "    yield from chunks(put, start)\n"
        "bulk_calls.PutCall._chunks = breaks\n"
        "kill()\n"
        "print(np.array_equal(x.get(), host), session.statistics().recoveries, broken)\n",
        CUPOOL_LANE="0",
    )
    assert (done.returncode, done.stdout) == (0, "True 1 [1]\n"), done.stderr


def test_a_loss_that_a_thread_of_the_shim_meets_is_still_the_programs_to_be_told() -> None:
    done = run(
        "import threading\n"
        "x = cp.arange(3.0)\n"
        "session.lose('nobody needs it')\n"
        "def look():\n"
        "    session.is_background()\n"
        "    try: session.current()\n"
        "    except Exception as error: print(type(error).__name__, flush=True)\n"
        "thread = threading.Thread(target=look); thread.start(); thread.join()\n"
        "x + 1\n"
    )
    assert done.returncode == 1 and done.stdout == "SessionLost\n"
    assert "SessionLost: The session is given up: nobody needs it." in done.stderr


def test_what_does_not_fit_into_the_window_is_said() -> None:
    done = run("x = cp.asarray(np.zeros(9_000_000)); x.sum().get(); kill()\nx.get()\n")
    assert done.returncode == 1
    assert "SessionLost" in done.stderr and "more than the 64 MiB" in done.stderr


def test_what_contradicts_the_past_ends_the_session() -> None:
    """A replay that gave other numbers is made by changing what was delivered."""
    done = run(
        "x = cp.arange(3); x.get()\n"
        "delivered = session.current().outbox.redo.delivered\n"
        "delivered.update({number: 1 for number in delivered}); kill()\n"
        "x.get()\n"
    )
    assert done.returncode == 1
    assert "SessionLost" in done.stderr and "did not give what it had given before" in done.stderr


def test_a_server_that_dies_again_and_again_at_the_same_place_is_given_up() -> None:
    """SIGKILL is nobody's own fault; but a command that always ends with it would be replayed for ever."""
    done = run(
        "x = cp.arange(3.0)\n"
        "k = cp.RawKernel('extern \"C\" int raise(int);\\nextern \"C\" __global__ void f(double* x) { raise(9); }', 'f')\n"
        "k((1,), (1,), (x,))\nx.get()\n"
    )
    assert done.returncode == 1
    assert "SessionLost" in done.stderr, done.stderr


def test_an_unknown_durability_is_refused() -> None:
    done = run("cp.arange(3)\n", CUPOOL_DURABILITY="forever")
    assert done.returncode == 2 and "'replay', 'node', 'file', 'none'" in done.stderr


def test_servers_killed_under_examples_change_no_result() -> None:
    """The seeded sample; `make prove PART=kills` runs all."""
    record = campaign("kills", full=False)
    assert record["complete"] and not record["failed"]
