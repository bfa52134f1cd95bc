"""A pool of separate processes, a controller and an agent: credentials, tenants, drains, logs, restarts, the end."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from fakecontroller import wait_until

from benchmarks.relay import Relay
from cupool.v1 import admin_pb2, admin_pb2_grpc, pool_pb2, pool_pb2_grpc, server_pb2
from tools.prove import campaign

TOKENS = {
    "token": "the-client-token-of-tests",
    "admin-token": "the-admin-token-of-tests",
    "agent-token": "the-agent-token-of-tests",
}


@dataclass
class Pool:
    """A controller and an agent, as their own processes."""

    folder: Path
    stack: contextlib.ExitStack
    said: dict[str, str] = field(default_factory=dict)
    controller: subprocess.Popen[str] | None = None
    agent: subprocess.Popen[str] | None = None

    def start_controller(self, *options: str) -> None:
        words = [
            "controller",
            "--folder",
            str(self.folder / "pool"),
            "--warm",
            "1",
            "--max-sessions",
            "3",
            "--log-level",
            "info",
        ]
        for flag, name in (("listen", "pool.sock"), ("admin-listen", "admin.sock"), ("agent-listen", "agents.sock")):
            words += [f"--{flag}", f"unix:{self.folder / name}"]
        for flag in TOKENS:
            words += [f"--{flag}-file", str(self.folder / flag)]
        self.controller, self.said = self._start([*words, *options])

    def start_agent(self, devices: str = "cpu:2:96MiB") -> None:
        words = [
            "agent",
            "--folder",
            str(self.folder / "agent"),
            "--controller",
            self.said["agent"],
            "--devices",
            devices,
            "--log-level",
            "info",
        ]
        self.agent, _ = self._start([*words, "--token-file", str(self.folder / "agent-token")])

    def _start(self, words: list[str]) -> tuple[subprocess.Popen[str], dict[str, str]]:
        with open(self.folder / f"{words[0]}.err", "a") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "cupool.pool", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.stack.callback(stop, process)
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert "error" not in said, said
        return process, said

    def channel(self, name: str) -> grpc.Channel:
        return grpc.insecure_channel(self.said[name], options=[("grpc.use_local_subchannel_pool", 1)])

    def call(self, method: str, request: object, token: str = TOKENS["token"]):
        with self.channel("addr") as channel:
            stub = pool_pb2_grpc.PoolServiceStub(channel)
            reply = getattr(stub, method)(request, timeout=30, metadata=(("authorization", f"Bearer {token}"),))
            return list(reply) if isinstance(reply, grpc.Call) else reply

    def admin(self, method: str, request: object, token: str = TOKENS["admin-token"]):
        """Streams are given whole."""
        with self.channel("admin") as channel:
            stub = admin_pb2_grpc.AdminServiceStub(channel)
            reply = getattr(stub, method)(request, timeout=60, metadata=(("authorization", f"Bearer {token}"),))
            return list(reply) if isinstance(reply, grpc.Call) else reply

    def acquire(self, token: str = TOKENS["token"], deadline_ms: int = 30_000, **fields: object) -> pool_pb2.Lease:
        return self.call("Acquire", pool_pb2.AcquireRequest(deadline_ms=deadline_ms, **fields), token)

    def release(self, lease: pool_pb2.Lease, token: str = TOKENS["token"]) -> None:
        self.call("Release", pool_pb2.ReleaseRequest(session=lease.session, session_token=lease.session_token), token)

    def token(self, role: str = "client", tenant: str = "") -> str:
        return self.admin("CreateToken", admin_pb2.CreateTokenRequest(role=role, tenant=tenant)).token

    def sessions(self) -> dict[str, pool_pb2.SessionStatus]:
        return {s.session: s for s in self.admin("ListAllSessions", admin_pb2.ListAllSessionsRequest()).sessions}


def stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(30)
    assert process.stdout is not None
    process.stdout.close()


@pytest.fixture
def pool(tmp_path_factory) -> Iterator[Pool]:
    with contextlib.ExitStack() as stack:
        # Sockets have short paths.
        import tempfile

        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cupool-t-")))
        for name, token in TOKENS.items():
            (folder / name).write_text(token)
        pool = Pool(folder, stack)
        pool.start_controller()
        pool.start_agent()
        yield pool


def refused(call) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as info:
        call()
    return info.value


def test_roles_tenants_and_tokens(pool):
    """Who may do what; what a tenant sees; a quota; a revoked token; nothing of it in logs."""
    viewer, operator = pool.token("viewer"), pool.token("operator")
    acme, other = pool.token(tenant="acme"), pool.token(tenant="other")
    quota = admin_pb2.SetQuotaRequest(tenant="acme", sessions=1, fields=["sessions"])
    assert refused(lambda: pool.admin("SetQuota", quota, viewer)).code() is grpc.StatusCode.PERMISSION_DENIED
    assert pool.admin("SetQuota", quota, operator).tenant.quota.sessions == 1
    locked_out = admin_pb2.SetQuotaRequest(tenant="acme", require_cert=True, fields=["require_cert"])
    no_door = refused(lambda: pool.admin("SetQuota", locked_out, operator))
    assert no_door.code() is grpc.StatusCode.FAILED_PRECONDITION and "--cert-listen" in no_door.details()
    assert (
        refused(lambda: pool.admin("ListTokens", admin_pb2.ListTokensRequest(), operator)).code()
        is grpc.StatusCode.PERMISSION_DENIED
    )
    lease = pool.acquire(acme, memory_bytes=1 << 20, function="thumbs")
    assert lease.tenant == "acme" and lease.endpoint.startswith("unix:")
    full = refused(lambda: pool.acquire(acme, 0))
    assert full.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and "1 of its 1 sessions" in full.details()
    assert int(dict(full.trailing_metadata())["cupool-retry-after-ms"]) > 0
    assert not pool.call("ListSessions", pool_pb2.ListSessionsRequest(), other).sessions, (
        "another tenant's are not seen"
    )
    assert [s.function for s in pool.call("ListSessions", pool_pb2.ListSessionsRequest(), acme).sessions] == ["thumbs"]
    stolen = pool_pb2.RenewRequest(session=lease.session, session_token=lease.session_token)
    assert refused(lambda: pool.call("Renew", stolen, other)).code() is grpc.StatusCode.NOT_FOUND
    (mine,) = [t for t in pool.admin("ListTokens", admin_pb2.ListTokensRequest()).tokens if t.tenant == "acme"]
    pool.admin("RevokeToken", admin_pb2.RevokeTokenRequest(id=mine.id[:8], reason="lost laptop"))
    gone = refused(lambda: pool.acquire(acme, 0))
    assert gone.code() is grpc.StatusCode.UNAUTHENTICATED and "revoked" in gone.details()
    status = pool.admin("GetPool", admin_pb2.GetPoolRequest(), viewer)
    assert (status.nodes, status.devices, status.sessions) == (1, 2, 1) and status.leases_given == 1
    assert {r.reason: r.count for r in status.refusals} == {"quota-sessions": 1, "credential": 1}
    written = (pool.folder / "controller.err").read_text() + (pool.folder / "pool" / "audit.log").read_text()
    assert "thumbs" in written
    for secret in (viewer, operator, acme, other, lease.session_token, *TOKENS.values()):
        assert secret not in written


def test_devices_nodes_servers_events_and_logs(pool):
    lease = pool.acquire()
    (node,) = pool.admin("ListNodes", admin_pb2.ListNodesRequest()).nodes
    assert node.connected and node.devices == ["cpu:0", "cpu:1"] and node.sessions == 1
    device = next(
        d for d in pool.admin("ListDevices", admin_pb2.ListDevicesRequest()).devices if d.device == lease.device
    )
    assert (device.sessions, device.leased_bytes, device.total_bytes) == (1, 32 << 20, 96 << 20)
    servers = {s.server: s for s in pool.admin("ListServers", admin_pb2.ListServersRequest()).servers}
    assert servers[lease.server].state == server_pb2.SERVER_STATE_LEASED
    with pool.channel("admin") as channel:
        metadata = (("authorization", f"Bearer {TOKENS['admin-token']}"),)
        events = admin_pb2_grpc.AdminServiceStub(channel).WatchEvents(admin_pb2.WatchEventsRequest(), metadata=metadata)
        events.initial_metadata()  # from now on they are told
        pool.admin("KillSession", admin_pb2.KillSessionRequest(session=lease.session[:14], reason="maintenance"))
        event = next(e for e in events if e.kind == "session-ended")
        assert event.subject == lease.session and "maintenance" in event.text
        events.cancel()
    lines = pool.admin("GetLog", admin_pb2.GetLogRequest(lines=5, session=lease.session))
    assert lines and all(lease.session in line.line for line in lines)
    assert (
        refused(lambda: pool.admin("GetLog", admin_pb2.GetLogRequest(source="nobody"))).code()
        is grpc.StatusCode.NOT_FOUND
    )
    assert (
        refused(lambda: pool.admin("MoveSession", admin_pb2.MoveSessionRequest(session=lease.session))).code()
        is grpc.StatusCode.NOT_FOUND
    )


def test_logs_of_another_host_come_through_its_agent(pool):
    """The agent's folder is not the controller's: what it wrote is asked of it."""
    lease = pool.acquire()
    log = pool.folder / "agent" / "logs" / f"{lease.server}.log"
    with open(log, "a") as file:
        file.write("of nobody\n" + "".join(f"line {k} of {lease.session}\n" for k in range(700)))
    said = pool.admin("GetLog", admin_pb2.GetLogRequest(source=lease.server[:-2], lines=600, session=lease.session))
    assert [line.line for line in said] == [f"line {k} of {lease.session}" for k in range(100, 700)]
    assert {line.source for line in said} == {lease.server}
    metadata = (("authorization", f"Bearer {TOKENS['admin-token']}"),)
    with pool.channel("admin") as channel:
        request = admin_pb2.GetLogRequest(source=lease.server, lines=1, follow=True)
        following = admin_pb2_grpc.AdminServiceStub(channel).GetLog(request, metadata=metadata, timeout=60)
        assert next(following).line == f"line 699 of {lease.session}"
        secret = pool.token()
        with open(log, "a") as file:
            file.write(f"new, with {secret} in it\n")
        new = next(following).line
        assert new.startswith("new, with ") and "redacted" in new and secret not in new
        following.cancel()
        # The host's agent itself, from memory; and a host that goes away while its log is followed.
        following = admin_pb2_grpc.AdminServiceStub(channel).GetLog(
            admin_pb2.GetLogRequest(source=lease.node, follow=True), metadata=metadata, timeout=60
        )
        assert "event=" in next(following).line
        pool.agent.terminate()
        error = refused(lambda: list(following))
        assert error.code() is grpc.StatusCode.NOT_FOUND and "agent" in error.details()
        away = refused(lambda: pool.admin("GetLog", admin_pb2.GetLogRequest(source=lease.node)))
        assert away.code() is grpc.StatusCode.NOT_FOUND and f"{lease.node} is not connected" in away.details()


class Forgetful(Relay):
    """The first lease that it passes on is one that no server ever had, and of which the pool knows nothing: as after a kill of the
    controller between its answer and its order."""

    given = 0

    def leased(self, lease: pool_pb2.Lease) -> None:
        self.given += 1
        if self.given == 1:
            lease.session, lease.session_token = "session-lost", "token-lost"


def test_a_lease_that_went_with_its_controller_is_taken_again_and_nobody_notices(pool):
    program = (
        "from cupool import cupy as cp; from cupool.shim import session; "
        "print(int(cp.arange(10).sum()), session.statistics().recoveries)"
    )
    relay = Forgetful(pool.said["addr"])
    try:
        env = {**os.environ, "CUPOOL_ADDR": relay.addr, "CUPOOL_TOKEN": TOKENS["token"], "CUPOOL_DEADLINE_S": "30"}
        done = subprocess.run(
            [sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=100, env=env
        )
    finally:
        relay.close()
    assert (done.returncode, done.stdout, done.stderr) == (0, "45 1\n", ""), done
    assert relay.given == 2


def test_a_drain_goes_on_when_its_caller_goes_away_and_over_a_restart(pool):
    lease = pool.acquire()
    assert (
        refused(lambda: pool.admin("Drain", admin_pb2.DrainRequest(device=lease.device))).code()
        is grpc.StatusCode.INVALID_ARGUMENT
    )
    with pool.channel("admin") as channel:
        metadata = (("authorization", f"Bearer {TOKENS['admin-token']}"),)
        request = admin_pb2.DrainRequest(device=lease.device, reason="new fan")
        progress = admin_pb2_grpc.AdminServiceStub(channel).Drain(request, metadata=metadata)
        assert next(progress).remaining_sessions == 1
        progress.cancel()
    pool.controller.kill()
    pool.controller.wait()
    pool.start_controller()

    def device() -> admin_pb2.DeviceStatus:
        found = [
            d for d in pool.admin("ListDevices", admin_pb2.ListDevicesRequest()).devices if d.device == lease.device
        ]
        return found[0] if found else admin_pb2.DeviceStatus()

    wait_until(lambda: device().sessions == 1, "the agent is back")
    assert device().cordoned and device().draining and "new fan" in device().reason
    assert pool.acquire().device != lease.device
    pool.release(lease)
    wait_until(lambda: not device().draining, "the drain is done")
    assert device().cordoned
    pool.admin("Uncordon", admin_pb2.UncordonRequest(device=lease.device))
    assert not device().cordoned


def test_a_node_that_goes_takes_its_sessions_and_a_new_one_serves(pool):
    lease = pool.acquire()
    pool.agent.kill()
    pool.agent.wait()
    wait_until(lambda: pool.admin("GetPool", admin_pb2.GetPoolRequest()).warnings, "the node is missed")
    pool.start_agent()
    wait_until(lambda: lease.session not in pool.sessions(), "its session is known to be lost")
    (state,) = pool.call(
        "WatchSession", pool_pb2.WatchSessionRequest(session=lease.session, session_token=lease.session_token)
    )
    assert state.state == pool_pb2.SESSION_STATE_LOST and "host" in state.reason
    assert pool.acquire().session


def test_shutdown_waits_ends_sessions_and_is_status_0(pool):
    lease = pool.acquire()
    reply = pool.admin("Shutdown", admin_pb2.ShutdownRequest(reason="moving house", deadline_ms=200))
    assert reply.sessions_ended == 1
    assert pool.controller.wait(20) == 0
    assert "moving house" in (pool.folder / "pool" / "audit.log").read_text()
    assert lease.session


def test_a_newer_directory_is_refused_with_its_reason(tmp_path):
    import sqlite3

    (tmp_path / "pool").mkdir()
    with contextlib.closing(sqlite3.connect(tmp_path / "pool" / "directory.sqlite")) as db:
        db.execute("PRAGMA user_version = 99")
    words = [sys.executable, "-P", "-m", "cupool.pool", "controller", "--folder", str(tmp_path / "pool")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert (
        done.returncode == 2 and "newer cupool" in json.loads(done.stdout)["error"] and "Traceback" not in done.stderr
    )


def test_doors_that_others_reach_are_refused(tmp_path):
    words = [
        sys.executable,
        "-P",
        "-m",
        "cupool.pool",
        "controller",
        "--folder",
        str(tmp_path / "p"),
        "--listen",
        "0.0.0.0:0",
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "without TLS" in json.loads(done.stdout)["error"]


@pytest.mark.timeout(300)
def test_kills_of_the_controller_lose_nothing():
    """The first of the campaign `make prove PART=controller_kills`."""
    result = campaign("controller_kills", full=False)
    assert not result["failed"] and result["complete"], result
