"""A pool of real processes: leases, ends of every kind, and the reasons that clients are told."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from cupool.pool import rundir

from cupool.v1 import admin_pb2, admin_pb2_grpc, pool_pb2, pool_pb2_grpc, server_pb2

#: One program's own pool, as the shim starts it.
EMBEDDED = "cupool.embedded"
LEASED, ENDED, LOST = pool_pb2.SESSION_STATE_LEASED, pool_pb2.SESSION_STATE_ENDED, pool_pb2.SESSION_STATE_LOST


@dataclass
class Pool:
    """A running pool and its two services."""

    process: subprocess.Popen[str]
    ready: dict[str, str]
    channel: grpc.Channel
    admin_channel: grpc.Channel

    def call(self, method: str, request: object, token: str | None = None, timeout: float = 30):
        stub = pool_pb2_grpc.PoolServiceStub(self.channel)
        token = self.ready["token"] if token is None else token
        return getattr(stub, method)(request, timeout=timeout, metadata=(("authorization", f"Bearer {token}"),))

    def admin(self, method: str, request: object, token: str | None = None):
        stub = admin_pb2_grpc.AdminServiceStub(self.admin_channel)
        token = self.ready["admin_token"] if token is None else token
        return getattr(stub, method)(request, timeout=30, metadata=(("authorization", f"Bearer {token}"),))

    def acquire(self, deadline_ms: int = 20_000, **fields: object) -> pool_pb2.Lease:
        return self.call("Acquire", pool_pb2.AcquireRequest(deadline_ms=deadline_ms, **fields))

    def watch(self, lease: pool_pb2.Lease):
        return self.call(
            "WatchSession", pool_pb2.WatchSessionRequest(session=lease.session, session_token=lease.session_token)
        )

    def release(self, lease: pool_pb2.Lease) -> None:
        self.call("Release", pool_pb2.ReleaseRequest(session=lease.session, session_token=lease.session_token))

    def server_pids(self) -> list[int]:
        return servers_of(self.process.pid)

    def folder(self) -> Path:
        return Path(self.ready["admin"].removeprefix("unix:")).parent


def children_of(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(p) for t in Path(f"/proc/{pid}/task").iterdir() for p in (t / "children").read_text().split()]
    return []


def servers_of(pool_pid: int) -> list[int]:
    """Without the zygote that they are forked from, and what forks one."""
    return [pid for pid in children_of(pool_pid) if b"--server-id" in command_of(pid)]


def command_of(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = 15) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(0.01)


def command(*arguments: str, module: str = "cupool.pool") -> list[str]:
    return [sys.executable, "-P", "-m", module, *arguments]


@contextlib.contextmanager
def running(*arguments: str, module: str = "cupool.pool") -> Iterator[Pool]:
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(
                command(*arguments, module=module), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        )
        stack.callback(process.terminate)
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert "addr" in ready, ready
        channels = [stack.enter_context(grpc.insecure_channel(ready[name])) for name in ("addr", "admin")]
        yield Pool(process, ready, *channels)


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Pool]]:
    with contextlib.ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(running(*arguments, **options))


@pytest.fixture
def pool(start) -> Pool:
    return start("--devices", "cpu:1", module=EMBEDDED)


def refused(call: Callable[[], object]) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as info:
        call()
    return info.value


def test_lease_and_release(pool):
    lease = pool.acquire(function="test")
    assert lease.session and lease.session_token and lease.endpoint.startswith("unix:/") and lease.epoch == 1
    (listed,) = pool.call("ListSessions", pool_pb2.ListSessionsRequest()).sessions
    assert (listed.session, listed.state, listed.device, listed.function) == (lease.session, LEASED, "cpu:0", "test")
    first = pool.server_pids()
    assert len(first) == 1, "an embedded pool starts no second server while its only session lives"
    renewed = pool.call("Renew", pool_pb2.RenewRequest(session=lease.session, session_token=lease.session_token))
    assert renewed.endpoint == lease.endpoint and not renewed.session_token
    states = pool.watch(lease)
    assert next(states).state == LEASED
    pool.release(lease)
    pool.release(lease)  # twice is safe
    assert [s.state for s in states][-1] == ENDED
    again = pool.acquire()
    assert again.server == lease.server and again.session != lease.session, "nobody attached: its server is warm again"
    assert pool.server_pids() == first


def test_nobody_without_the_token(pool):
    request = pool_pb2.AcquireRequest()
    assert refused(lambda: pool.call("Acquire", request, token="wrong")).code() is grpc.StatusCode.UNAUTHENTICATED
    assert "CUPOOL_TOKEN" in refused(lambda: pool.call("Acquire", request, token="")).details()
    as_client = pool.ready["token"]
    error = refused(lambda: pool.admin("ListServers", admin_pb2.ListServersRequest(), token=as_client))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED, "a client's credential opens no operator's door"
    lease = pool.acquire()
    for method, message in (("Release", pool_pb2.ReleaseRequest), ("Renew", pool_pb2.RenewRequest)):
        error = refused(lambda m=method, r=message: pool.call(m, r(session=lease.session, session_token="guess")))
        assert error.code() is grpc.StatusCode.NOT_FOUND
    assert len(pool.call("ListSessions", pool_pb2.ListSessionsRequest()).sessions) == 1


def test_full_pool_refuses_queues_and_serves_the_next(start):
    pool = start("--listen", "127.0.0.1:0", "--devices", "cpu:1:1GiB")
    lease = pool.acquire()
    assert lease.endpoint.startswith("127.0.0.1:")
    at_once = refused(lambda: pool.acquire(deadline_ms=0))
    assert at_once.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and "1 of 1" in at_once.details()
    assert int(dict(at_once.trailing_metadata())["cupool-retry-after-ms"]) > 0
    late = refused(lambda: pool.acquire(deadline_ms=300))
    assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED and "CUPOOL_DEADLINE_S" in late.details()
    stub = pool_pb2_grpc.PoolServiceStub(pool.channel)
    queued = stub.Acquire.future(
        pool_pb2.AcquireRequest(deadline_ms=20_000), metadata=(("authorization", f"Bearer {pool.ready['token']}"),)
    )
    pool.release(lease)
    assert queued.result(timeout=30).session != lease.session


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"device_kind": "cuda"}, "no 'cuda' device, only cpu"),
        ({"memory_bytes": 1 << 40}, "the largest has 1,073,741,824"),
    ],
)
def test_impossible_wishes_are_refused_at_once(start, fields, says):
    pool = start("--listen", "127.0.0.1:0", "--devices", "cpu:1:1GiB")
    error = refused(lambda: pool.acquire(**fields))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION and says in error.details()


@pytest.mark.parametrize(("request_id", "says"), [("x" * 65, "this one has 65"), ("two\nlines", "this one has others")])
def test_a_request_id_that_logs_cannot_hold_is_refused(pool, request_id, says):
    error = refused(lambda: pool.acquire(request_id=request_id))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT and says in error.details()
    assert pool.acquire(request_id="x" * 64).session


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGFPE])
def test_a_dead_server_is_told_with_its_reason(pool, number):
    lease = pool.acquire()
    states = pool.watch(lease)
    assert next(states).state == LEASED
    os.kill(pool.server_pids()[0], number)
    (last,) = list(states)
    assert last.state == LOST and last.reason.startswith(f"The server was ended by {number.name}. ")
    again = pool.acquire()
    assert again.session != lease.session
    late = [s.reason for s in pool.watch(lease)]
    assert late == [last.reason], "a client that asks late is told the same"


def test_operator_sees_and_kills(pool):
    lease = pool.acquire()
    (server,) = pool.admin("ListServers", admin_pb2.ListServersRequest()).servers
    assert (
        server.session == lease.session
        and server.state == server_pb2.SERVER_STATE_LEASED
        and server.device.kind == "cpu"
    )
    states = pool.watch(lease)
    assert next(states).state == LEASED
    assert len(pool.admin("ListAllSessions", admin_pb2.ListAllSessionsRequest()).sessions) == 1
    pool.admin("KillSession", admin_pb2.KillSessionRequest(session=lease.session, reason="maintenance"))
    last = list(states)[-1]
    assert last.state == ENDED and "operator: maintenance" in last.reason
    error = refused(lambda: pool.admin("KillSession", admin_pb2.KillSessionRequest(session=lease.session)))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    error = refused(lambda: list(pool.admin("MoveSession", admin_pb2.MoveSessionRequest(session=lease.session))))
    assert error.code() is grpc.StatusCode.NOT_FOUND and lease.session in error.details()


def test_session_ends_with_its_clients_process(pool):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as client:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        lease = pool.acquire(client_pid=client.pid, host_id=boot)
        states = pool.watch(lease)
        assert next(states).state == LEASED
        client.kill()
    last = list(states)[-1]
    assert last.state == ENDED and last.reason == "Its client's process ended."


def test_a_device_that_cannot_start_is_told(start):
    pool = start("--devices", "cuda@63:1:1GiB", module=EMBEDDED)
    error = refused(lambda: pool.acquire())
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details().startswith("A server could not start. The server ended with exit status 1")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--listen", "0.0.0.0:0"], "other machines could reach it"), (["--devices", "gpu:1"], "no device"),
     (["--token-file", "/nowhere"], "/nowhere"), (["--listen", "unix:/nowhere/pool.sock"], "cannot listen")],
)  # fmt: skip
def test_refuses_to_start_with_a_reason(arguments, says):
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and says in json.loads(done.stdout)["error"]


# ---- gone when the program ends, however it ends


def everything_of(pool_pid: int) -> list[int]:
    return [pool_pid, *children_of(pool_pid)]


def test_end_of_input_ends_everything(pool):
    pool.acquire()
    pids, folder = everything_of(pool.process.pid), pool.folder()
    assert len(pids) == 3 and folder.is_dir()
    pool.process.stdin.close()
    assert pool.process.wait(timeout=60) == 0
    assert not any(map(is_alive, pids)) and not folder.exists()


PROGRAM = """
import subprocess, sys
pool = subprocess.Popen([sys.executable, "-P", "-m", "cupool.embedded", "--devices", "cpu:1"],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
print(pool.pid, pool.stdout.readline().strip(), flush=True)
{body}
"""


@pytest.mark.parametrize(
    ("body", "number"),
    [("import signal; signal.pause()", signal.SIGKILL), ("import signal; signal.pause()", signal.SIGTERM),
     ("import signal; signal.pause()", signal.SIGINT), ("import os; input(); os._exit(3)", None), ("input(); 1/0", None),
     ("import os, signal\nif os.fork() == 0: signal.pause()\nsignal.pause()", signal.SIGKILL)],
    ids=["SIGKILL", "SIGTERM", "SIGINT", "_exit", "error", "SIGKILL with a forked child"],
)  # fmt: skip
def test_pool_is_gone_with_its_program(body, number):
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        pid_text, _, line = program.stdout.readline().partition(" ")
        pool_pid, folder = int(pid_text), Path(json.loads(line)["admin"].removeprefix("unix:")).parent
        wait_until(lambda: servers_of(pool_pid), "the first server starts")
        pids = everything_of(pool_pid)
        if number is None:
            program.stdin.write("\n")
            program.stdin.flush()
        else:
            program.send_signal(number)
        program.wait(timeout=60)
        wait_until(lambda: not any(map(is_alive, pids)), "pool and server end")
        wait_until(lambda: not folder.exists(), "the folder is removed")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.wait()
        program.stdin.close()
        program.stdout.close()


def test_a_killed_pool_takes_its_servers_along_and_the_next_one_sweeps(start):
    pool = start("--devices", "cpu:1", module=EMBEDDED)
    pool.acquire()
    pids, folder = everything_of(pool.process.pid), pool.folder()
    pool.process.kill()
    pool.process.wait()
    wait_until(lambda: not any(map(is_alive, pids)), "the server ends with its pool")
    assert folder.is_dir()
    rundir.sweep(folder.parent)
    assert not folder.exists()


@pytest.mark.parametrize("is_cold", [False, True])
def test_servers_are_forked_or_start_cold_and_say_who_they_are(start, is_cold):
    pool = start("--devices", "cpu:1", *["--cold"][:is_cold])
    lease = pool.acquire()
    (command,) = [command_of(p) for p in pool.server_pids() if lease.server.encode() in command_of(p)]
    assert (b"cupool.pool.child" in command) == is_cold
    zygotes = [p for p in children_of(pool.process.pid) if b"cupool.apiserver.zygote" in command_of(p)]
    assert len(zygotes) == (not is_cold)


def test_servers_start_cold_where_there_is_no_zygote_any_more(start):
    pool = start("--devices", "cpu:1", module=EMBEDDED)
    lease = pool.acquire()
    (zygote,) = [p for p in children_of(pool.process.pid) if b"cupool.apiserver.zygote" in command_of(p)]
    os.kill(zygote, signal.SIGKILL)
    wait_until(lambda: zygote not in children_of(pool.process.pid), "the zygote is gone")
    (first,) = pool.server_pids()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: first not in children_of(pool.process.pid), "the server is gone")
    again = pool.acquire()
    assert again.server != lease.server


def test_sweep_leaves_living_pools_alone(pool):
    rundir.sweep(pool.folder().parent)
    assert pool.folder().is_dir()


def test_interrupt_ends_a_standalone_pool(start):
    pool = start("--listen", "127.0.0.1:0", "--devices", "cpu:2:1GiB")
    pool.acquire()
    pids, folder = everything_of(pool.process.pid), pool.folder()
    pool.process.send_signal(signal.SIGINT)
    assert pool.process.wait(timeout=60) == 0
    assert not any(map(is_alive, pids)) and not folder.exists()
