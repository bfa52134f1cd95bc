"""AdminService without a pool: fixed data, roles, drains that tests steer. For the command line's tests."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc

from cupool.v1 import admin_pb2, admin_pb2_grpc, pool_pb2, server_pb2

TOKENS = {
    "viewer": "cupool_viewer_v1_secret",
    "operator": "cupool_operator_o1_secret",
    "admin": "cupool_admin_a1_secret",
}
_RANK = {"viewer": 1, "operator": 2, "admin": 3}
_READING = {
    "GetPool",
    "ListNodes",
    "ListDevices",
    "ListTenants",
    "ListServers",
    "ListAllSessions",
    "WatchEvents",
    "GetLog",
    "GetBalance",
    "ListMoves",
}
_ADMIN = {"CreateToken", "ListTokens", "RevokeToken", "SetBalance", "Shutdown"}

GIB = 1 << 30


def a_pool() -> admin_pb2.PoolStatus:
    return admin_pb2.PoolStatus(
        version="0.1.0", pool="pool-5d1c", uptime_s=7260.5, nodes=2, devices=3, cordoned=1, servers=5, warm=2, sessions=3, parked=1,
        queued=2, leases_given=1234, leases_refused=7, sessions_lost=1, reclaimed_bytes=5 * GIB, warnings=["gpu-b/cuda:1 has ECC errors"],
        queue_oldest_s=1.25, restarts=1, refusals=[admin_pb2.RefusalCount(reason="quota", count=7)],
        lease_latency=admin_pb2.LatencyHistogram(bounds_s=[0.001, 0.01, 0.1], counts=[900, 330, 4, 0], sum_s=3.5),
    )  # fmt: skip


def some_nodes() -> list[admin_pb2.NodeStatus]:
    return [
        admin_pb2.NodeStatus(
            node="gpu-a", host="a.example", version="0.1.0", connected=True, seen_s=0.1, devices=["gpu-a/cuda:0"], servers=3, sessions=2,
            cpu_load=0.25, memory_bytes=64 * GIB, memory_free_bytes=48 * GIB,
        ),
        admin_pb2.NodeStatus(
            node="gpu-b", host="b.example", version="0.1.0", connected=False, seen_s=42, devices=["gpu-b/cuda:0", "gpu-b/cuda:1"], servers=2,
            sessions=1, memory_bytes=64 * GIB, memory_free_bytes=1 * GIB, reason="Its agent has not been heard of for 42 s.",
        ),
    ]  # fmt: skip


def some_devices() -> list[admin_pb2.DeviceStatus]:
    return [
        admin_pb2.DeviceStatus(
            device="gpu-a/cuda:0", node="gpu-a", kind="cuda", name="H200", uuid="GPU-aaaa", total_bytes=100 * GIB, leased_bytes=60 * GIB,
            used_bytes=20 * GIB, observed_bytes=21 * GIB, unowned_bytes=GIB, sessions=2, warm=1, utilization=0.5, power_w=350,
            power_limit_w=700, temperature_c=55,
        ),
        admin_pb2.DeviceStatus(device="gpu-b/cuda:0", node="gpu-b", kind="cuda", name="H200", uuid="GPU-bbbb", total_bytes=100 * GIB, sessions=1, warm=1),
        admin_pb2.DeviceStatus(
            device="gpu-b/cuda:1", node="gpu-b", kind="cuda", name="H200", uuid="GPU-cccc", total_bytes=100 * GIB, cordoned=True,
            reason="Hardware error (XID 48); by the pool.", ecc_uncorrected=2, throttle="thermal",
            errors=[admin_pb2.DeviceError(xid=48, age_s=3600, meaning="double-bit ECC error", is_hardware=True)],
        ),
    ]  # fmt: skip


def some_sessions() -> list[pool_pb2.SessionStatus]:
    S = pool_pb2.SessionStatus
    return [
        S(session="session-3f01", state=pool_pb2.SESSION_STATE_ATTACHED, server="server-01", device="gpu-a/cuda:0", epoch=1, function="thumbnails",
          memory_bytes=40 * GIB, age_s=75.5, tenant="images", node="gpu-a", used_bytes=15 * GIB, peak_bytes=16 * GIB, kernel_s=12.5, idle_s=0.01,
          executed_commands=123456, running_op="matmul", request_id="r-1", client_pid=4242),
        S(session="session-3f77", state=pool_pb2.SESSION_STATE_LEASED, server="server-02", device="gpu-a/cuda:0", epoch=1, function="resize",
          memory_bytes=20 * GIB, age_s=1.5, tenant="images", node="gpu-a", priority=2),
        S(session="session-9a00", state=pool_pb2.SESSION_STATE_PARKED, server="server-04", device="gpu-b/cuda:0", epoch=1, function="train\x1b[31m",
          memory_bytes=5 * GIB, age_s=90000, tenant="research", node="gpu-b", used_bytes=5 * GIB, kernel_s=7200, idle_s=45),
    ]  # fmt: skip


def some_servers() -> list[server_pb2.ServerStatus]:
    S = server_pb2.ServerStatus
    return [
        S(server="server-01", state=server_pb2.SERVER_STATE_LEASED, session="session-3f01", used_bytes=15 * GIB, peak_bytes=16 * GIB, handles=12,
          executed_seq=99, executed_commands=123456, kernel_s=12.5, attached=True, running_op="matmul", pid=4711, device_id="gpu-a/cuda:0",
          node="gpu-a"),
        S(server="server-03", state=server_pb2.SERVER_STATE_WARM, pid=4713, device_id="gpu-b/cuda:1", node="gpu-b"),
    ]  # fmt: skip


def some_tenants() -> list[admin_pb2.TenantStatus]:
    Q = admin_pb2.SetQuotaRequest
    return [
        admin_pb2.TenantStatus(tenant="images", quota=Q(tenant="images", sessions=8, memory_bytes=80 * GIB, queue_places=16, weight=2), sessions=2,
                               memory_bytes=60 * GIB, used_bytes=15 * GIB, kernel_s=100, queued=2, leases_given=1000, leases_refused=7),
        admin_pb2.TenantStatus(tenant="research", quota=Q(tenant="research", queue_places=256, weight=1, allow_offload=True, kernel_s=36000,
                               lifetime_s=86400, opens_per_s=5), sessions=1, memory_bytes=5 * GIB, used_bytes=5 * GIB, kernel_s=7200, leases_given=234),
    ]  # fmt: skip


def a_balance() -> admin_pb2.GetBalanceReply:
    moves = [
        admin_pb2.BalanceMove(
            session="session-3f01", source="gpu-a/cuda:0", destination="gpu-b/cuda:0", gain_s=12.5, cost_s=0.75,
            reason="gpu-a/cuda:0 is shared by 2 sessions.",
        )
    ]  # fmt: skip
    why = [
        admin_pb2.SessionReason(
            session="session-3f77", reason="It stays: it loses too little to others: 0.020 s a second."
        )
    ]
    failed = [admin_pb2.SessionReason(session="session-3f01", reason="The link is slow.")]
    B = admin_pb2.BalanceDecision
    return admin_pb2.GetBalanceReply(
        policy="cost-aware", is_running=True, balancer="balancer-01", seen_s=0.125, snapshots=400, moves_decided=1, moves_failed=1,
        decisions=[
            B(at_s=100.0, policy="cost-aware", moves=moves, took_ms=0.5, sessions=why, balancer="balancer-01"),
            B(at_s=102.0, policy="cost-aware", reasons=["a move would not pay (2)"], took_ms=0.25, sessions=why, failed=failed),
        ],
    )  # fmt: skip


_MOVED = {"done": True, "copied_bytes": 3 * GIB, "pause_ms": 41.5, "age_s": 2.5, "ended_s": 60, "epoch": 2}


def a_move(phase: str, **fields: object) -> admin_pb2.MoveProgress:
    return admin_pb2.MoveProgress(
        phase=phase, move="move-1", session="session-3f01", source="gpu-a/cuda:0", destination="gpu-b/cuda:0", total_bytes=3 * GIB, rounds=2,
        reason="new fan", by="operator", engine="copy", **fields,
    )  # fmt: skip


def some_moves() -> list[admin_pb2.MoveProgress]:
    return [
        admin_pb2.MoveProgress(
            phase="copying", move="move-7", session="session-3f77", source="gpu-a/cuda:0", destination="gpu-b/cuda:0", total_bytes=8 * GIB,
            copied_bytes=2 * GIB, rounds=1, dirty_bytes=GIB, age_s=1.5, by="balancer", engine="copy", epoch=1, reason="gpu-a/cuda:0 is busy",
        )
    ]  # fmt: skip


class FakeAdmin(admin_pb2_grpc.AdminServiceServicer):
    """Answers with the data above; `said` has every changing request. A drain waits for `drained` where that is set."""

    def __init__(self) -> None:
        self.said: list[object] = []
        self.sessions = some_sessions()
        self.devices = some_devices()
        self.tenants = {t.tenant: t for t in some_tenants()}
        self.saved = [
            admin_pb2.SavedSession(checkpoint="broken", nbytes=10, age_s=60, reason="broken.json, which says whose it is, is not there."),
            admin_pb2.SavedSession(
                checkpoint="nightly", session="session-3f01", tenant="images", function="thumbnails", kind="cuda", nbytes=2 * GIB,
                memory_bytes=40 * GIB, age_s=3 * 3600,
            ),
        ]  # fmt: skip
        self.tokens = [
            admin_pb2.TokenStatus(
                id="t01", role="admin", created=1_700_000_000, note="made with the pool", last_used=1_700_000_500
            ),
            admin_pb2.TokenStatus(
                id="t02", role="client", tenant="images", created=1_700_000_100, expires=1_800_000_000
            ),
            admin_pb2.TokenStatus(
                id="t03", role="client", tenant="images", created=1_700_000_200, revoked=1_700_000_300
            ),
        ]
        self.drain_steps = [(2, []), (1, ["session-3f77"]), (0, [])]
        self.is_drain_done = True
        self.move_steps = [
            a_move("copying", copied_bytes=GIB),
            a_move("released", copied_bytes=3 * GIB),
            a_move("done", **_MOVED),
        ]
        self.drain_goes_on: threading.Event | None = None
        self.drain_began = threading.Event()
        self.refuse: tuple[grpc.StatusCode, str] | None = None
        self.pool = a_pool()
        self.balance = a_balance()
        self.stopped = threading.Event()

    # ---- who may

    def _check(self, method: str, context: grpc.ServicerContext) -> None:
        if self.refuse is not None:
            context.abort(*self.refuse)
        shown = str(dict(context.invocation_metadata()).get("authorization", "")).removeprefix("Bearer ")
        role = next((r for r, t in TOKENS.items() if t == shown), None)
        if role is None:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "The pool does not know this credential.")
        needs = "viewer" if method in _READING else "admin" if method in _ADMIN else "operator"
        if _RANK[str(role)] < _RANK[needs]:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{method} needs the role {needs}; this token has {role}.")

    # ---- reading

    def GetPool(self, request, context):
        self._check("GetPool", context)
        return self.pool

    def ListNodes(self, request, context):
        self._check("ListNodes", context)
        return admin_pb2.ListNodesReply(nodes=some_nodes())

    def ListDevices(self, request, context):
        self._check("ListDevices", context)
        return admin_pb2.ListDevicesReply(devices=self.devices)

    def ListServers(self, request, context):
        self._check("ListServers", context)
        return admin_pb2.ListServersReply(servers=some_servers())

    def ListSavedSessions(self, request, context):
        self._check("ListSavedSessions", context)
        return admin_pb2.ListSavedSessionsReply(saved=self.saved)

    def ListTenants(self, request, context):
        self._check("ListTenants", context)
        return admin_pb2.ListTenantsReply(tenants=self.tenants.values())

    def ListAllSessions(self, request, context):
        self._check("ListAllSessions", context)
        return pool_pb2.ListSessionsReply(sessions=[s for s in self.sessions if request.tenant in ("", s.tenant)])

    def ListTokens(self, request, context):
        self._check("ListTokens", context)
        return admin_pb2.ListTokensReply(tokens=self.tokens)

    def WatchEvents(self, request, context):
        self._check("WatchEvents", context)
        yield admin_pb2.Event(
            time=1_700_000_000.5,
            kind="session-ended",
            subject="session-3f01",
            tenant="images",
            text="Released by its client.",
        )

    def GetLog(self, request, context):
        self._check("GetLog", context)
        for i in range(0 if request.session == "nobody" else 3):
            yield admin_pb2.LogLine(
                source=request.source or "controller", line=f"line {i} of {request.lines} {request.session}".strip()
            )

    def GetBalance(self, request, context):
        self._check("GetBalance", context)
        return self.balance

    # ---- changing

    def SetBalance(self, request, context):
        self._check("SetBalance", context)
        self.said.append(request)
        self.balance.policy = request.policy or self.balance.policy
        self.balance.dry_run = request.dry_run
        return admin_pb2.SetBalanceReply()

    def KillSession(self, request, context):
        self._check("KillSession", context)
        self.said.append(request)
        if all(s.session != request.session for s in self.sessions):
            context.abort(grpc.StatusCode.NOT_FOUND, f"There is no session {request.session!r}.")
        self.sessions = [s for s in self.sessions if s.session != request.session]
        return admin_pb2.KillSessionReply(session=request.session)

    def Cordon(self, request, context):
        self._check("Cordon", context)
        self.said.append(request)
        return admin_pb2.CordonReply(device=request.device)

    def Uncordon(self, request, context):
        self._check("Uncordon", context)
        self.said.append(request)
        return admin_pb2.UncordonReply(device=request.device)

    def Drain(self, request, context):
        self._check("Drain", context)
        self.said.append(request)
        for index, (remaining, moved) in enumerate(self.drain_steps):
            is_last = index == len(self.drain_steps) - 1
            yield admin_pb2.DrainProgress(
                remaining_sessions=remaining, moved=moved, done=is_last and self.is_drain_done
            )
            if self.drain_goes_on is not None and not is_last:
                self.drain_began.set()
                self.drain_goes_on.wait(30)

    def MoveSession(self, request, context):
        self._check("MoveSession", context)
        self.said.append(request)
        yield from self.move_steps

    def ListMoves(self, request, context):
        self._check("ListMoves", context)
        return admin_pb2.ListMovesReply(moves=[*some_moves(), *(self.move_steps[-1:] if request.recent else [])])

    def CancelMove(self, request, context):
        self._check("CancelMove", context)
        self.said.append(request)
        return admin_pb2.CancelMoveReply(move="move-1", session=request.session)

    def SetQuota(self, request, context):
        self._check("SetQuota", context)
        self.said.append(request)
        row = self.tenants.setdefault(request.tenant, admin_pb2.TenantStatus(tenant=request.tenant))
        for name in request.fields:
            setattr(row.quota, name, getattr(request, name))
        return admin_pb2.SetQuotaReply(tenant=row)

    def CreateToken(self, request, context):
        self._check("CreateToken", context)
        self.said.append(request)
        status = admin_pb2.TokenStatus(
            id="t04", role=request.role, tenant=request.tenant, created=1_700_000_400, note=request.note
        )
        if request.valid_s:
            status.expires = status.created + request.valid_s
        self.tokens.append(status)
        return admin_pb2.CreateTokenReply(token=f"cupool_{request.role}_t04_freshsecret", status=status)

    def RevokeToken(self, request, context):
        self._check("RevokeToken", context)
        self.said.append(request)
        return admin_pb2.RevokeTokenReply()

    def Shutdown(self, request, context):
        self._check("Shutdown", context)
        self.said.append(request)
        self.stopped.set()
        return admin_pb2.ShutdownReply(sessions_ended=3)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[FakeAdmin, str]]:
    """A fake that listens on a socket in `folder`, and its address."""
    executor = futures.ThreadPoolExecutor(8)
    server = grpc.server(executor)
    fake = FakeAdmin()
    admin_pb2_grpc.add_AdminServiceServicer_to_server(fake, server)
    addr = f"unix:{folder / 'admin.sock'}"
    server.add_insecure_port(addr)
    server.start()
    try:
        yield fake, addr
    finally:
        server.stop(0).wait()
        executor.shutdown(wait=True)
