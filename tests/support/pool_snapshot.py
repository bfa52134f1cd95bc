"""A pool as its admin service may tell of it, with something in every field that metrics show."""

from __future__ import annotations

from cupool.pool.meters import LeaseMeter, MoveMeter
from cupool.pool.metrics import Snapshot

from cupool.v1 import admin_pb2, pool_pb2, server_pb2

GIB = 1 << 30


def snapshot(tenants: int = 3) -> Snapshot:
    meter = LeaseMeter()
    for took_s in (0.0005, 0.003, 0.003, 0.4, 70.0):
        meter.given(took_s)
    for reason in ("capacity", "capacity", "quota-sessions", "a word that nobody knows"):
        meter.refused(reason)
    pool = admin_pb2.PoolStatus(
        version="1.2.3", pool="pool-1", uptime_s=60, nodes=2, devices=2, cordoned=1, servers=4, warm=2, sessions=2, parked=1,
        queued=3, sessions_lost=1, reclaimed_bytes=5 * GIB, insecure=True, warnings=["It listens without TLS."], draining=False,
        queue_oldest_s=2.5, restarts=1, moving=1,
    )  # fmt: skip
    meter.fill(pool)
    moves = MoveMeter()
    for outcome, pause_s in (("done", 0.03), ("done", 0.3), ("given-up", 0.0)):
        moves.ended(outcome, pause_s, GIB)
    moves.fill(pool)
    return Snapshot(
        pool=pool,
        nodes=[
            admin_pb2.NodeStatus(
                node="n1", host="a", connected=True, seen_s=0.1, cpu_load=0.5, memory_bytes=8 * GIB, memory_free_bytes=GIB
            ),
            admin_pb2.NodeStatus(node="n2", host="b", connected=False, seen_s=90, reason="Its agent does not answer."),
        ],
        devices=[
            admin_pb2.DeviceStatus(
                device="n1/cuda:0", node="n1", kind="cuda", name="A GPU", uuid="GPU-1", total_bytes=80 * GIB, leased_bytes=40 * GIB,
                used_bytes=10 * GIB, observed_bytes=12 * GIB, unowned_bytes=GIB, sessions=2, warm=1, utilization=0.75, power_w=300,
                power_limit_w=700, temperature_c=60, cordoned=True, reason="XID 79", ecc_uncorrected=2, throttle="heat",
                errors=[
                    admin_pb2.DeviceError(xid=79, age_s=1, is_hardware=True),
                    admin_pb2.DeviceError(xid=31, age_s=5),
                    admin_pb2.DeviceError(xid=31, age_s=9),
                ],
            ),
            admin_pb2.DeviceStatus(device="n1/cpu:0", node="n1", kind="cpu", total_bytes=GIB, warm=1),
        ],
        tenants=[
            admin_pb2.TenantStatus(
                tenant=f"tenant-{i}", sessions=1 + (i == 0), memory_bytes=2 * GIB, used_bytes=GIB, kernel_s=7.5, queued=1,
                leases_given=4, leases_refused=2,
                quota=admin_pb2.SetQuotaRequest(sessions=2, memory_bytes=4 * GIB, queue_places=8, kernel_s=100) if i == 0 else None,
            )
            for i in range(tenants)
        ],
        servers=[
            server_pb2.ServerStatus(server=f"s{i}", state=state)
            for i, state in enumerate(
                (server_pb2.SERVER_STATE_WARM, server_pb2.SERVER_STATE_WARM, server_pb2.SERVER_STATE_LEASED, server_pb2.SERVER_STATE_PARKED)
            )
        ],
        sessions=[
            pool_pb2.SessionStatus(session="session-a", state=pool_pb2.SESSION_STATE_ATTACHED, tenant="tenant-0", function="secret-name"),
            pool_pb2.SessionStatus(session="session-b", state=pool_pb2.SESSION_STATE_PARKED, tenant="tenant-1"),
        ],
        balance=admin_pb2.GetBalanceReply(policy="pack", dry_run=True, is_running=True, snapshots=9, moves_decided=4, moves_failed=1),
    )  # fmt: skip
