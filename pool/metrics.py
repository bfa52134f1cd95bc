"""What `/metrics` shows, from what the admin service's messages say: a pure function from a snapshot of the pool to metric families.

Boundary: knows the messages of `admin.proto` and no controller; `metrics_http.py` serves what is made here. Names of metrics are a contract
with dashboards and alert rules: `deploy/` is tested against them.

Cardinality is bounded whatever clients do: no metric is labelled with a session, a function or a token. Devices and nodes are as many as
there are; tenants beyond `MAX_TENANTS` are added up as one; reasons of refusals are the list of `meters.REASONS`.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from cupool.v1 import admin_pb2, admin_pb2_grpc, pool_pb2, server_pb2

from .meters import REASONS

if TYPE_CHECKING:
    from .operations import Operations

#: Tenants with metrics of their own: those with most sessions, then most leases. The rest are one, `OTHERS`.
MAX_TENANTS = 200
OTHERS = "(others)"
_DEVICE = ("device", "node", "kind")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The pool at one moment, as the admin service tells it."""

    pool: admin_pb2.PoolStatus
    nodes: Sequence[admin_pb2.NodeStatus] = field(default_factory=tuple)
    devices: Sequence[admin_pb2.DeviceStatus] = field(default_factory=tuple)
    tenants: Sequence[admin_pb2.TenantStatus] = field(default_factory=tuple)
    servers: Sequence[server_pb2.ServerStatus] = field(default_factory=tuple)
    sessions: Sequence[pool_pb2.SessionStatus] = field(default_factory=tuple)
    balance: admin_pb2.GetBalanceReply = field(default_factory=admin_pb2.GetBalanceReply)


Source = Callable[[], Snapshot]


def from_admin(channel: Any, token: str, timeout_s: float = 5.0) -> Source:
    """Snapshots through AdminService on `channel`, with a token of the role viewer. Taking one may raise grpc.RpcError."""
    stub: Any = admin_pb2_grpc.AdminServiceStub(channel)
    metadata = (("authorization", f"Bearer {token}"),)

    def ask(method: str, request: Any) -> Any:
        return getattr(stub, method)(request, timeout=timeout_s, metadata=metadata)

    return lambda: Snapshot(
        pool=ask("GetPool", admin_pb2.GetPoolRequest()),
        nodes=ask("ListNodes", admin_pb2.ListNodesRequest()).nodes,
        devices=ask("ListDevices", admin_pb2.ListDevicesRequest()).devices,
        tenants=ask("ListTenants", admin_pb2.ListTenantsRequest()).tenants,
        servers=ask("ListServers", admin_pb2.ListServersRequest()).servers,
        sessions=ask("ListAllSessions", admin_pb2.ListAllSessionsRequest()).sessions,
        balance=ask("GetBalance", admin_pb2.GetBalanceRequest(last=1)),
    )


def from_operations(operations: Operations) -> Source:
    """Snapshots of the controller of this process."""
    return lambda: Snapshot(
        pool=operations.pool(),
        nodes=operations.nodes(),
        devices=operations.devices(),
        tenants=operations.tenants(),
        servers=operations.servers(),
        sessions=operations.sessions(""),
        balance=operations.balancing.shown(1),
    )


class PoolCollector:
    """A collector of prometheus_client."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        yield from families(self._source())


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Every metric of the pool."""
    for part in (_pool, _queue_and_leases, _nodes, _servers_and_sessions, _devices, _tenants, _moves, _balance):
        yield from part(snapshot)


# -- the parts --------------------------------------------------------------------------------------------------------
def _pool(snapshot: Snapshot) -> Iterator[Metric]:
    pool = snapshot.pool
    yield InfoMetricFamily(
        "cupool_build",
        "Versions of the pool.",
        value={"version": pool.version, "python": platform.python_version(), "pool": pool.pool},
    )
    yield _gauge("cupool_pool_uptime_seconds", "Since the controller started.", pool.uptime_s)
    yield _gauge(
        "cupool_pool_insecure", "1: runs without TLS or without credentials where others can reach it.", pool.insecure
    )
    yield _gauge("cupool_pool_draining", "1: gives no new leases, because it is ending.", pool.draining)
    yield _gauge("cupool_pool_warnings", "Warnings that `cupool status` shows.", len(pool.warnings))
    yield _counter(
        "cupool_controller_restarts",
        "Starts of the controller after the first, by the pool's directory.",
        pool.restarts,
    )
    yield _counter(
        "cupool_sessions_lost", "Sessions that ended by a fault and not by wish, since the start.", pool.sessions_lost
    )
    yield _counter(
        "cupool_reclaimed_bytes",
        "Device memory taken back from sessions whose client was gone, since the start.",
        pool.reclaimed_bytes,
    )


def _queue_and_leases(snapshot: Snapshot) -> Iterator[Metric]:
    pool = snapshot.pool
    yield _gauge("cupool_queue_length", "Acquires that wait for a server.", pool.queued)
    yield _gauge("cupool_queue_oldest_seconds", "Age of the Acquire that has waited longest.", pool.queue_oldest_s)
    yield _counter("cupool_leases_given", "Leases given since the start.", pool.leases_given)
    refused = CounterMetricFamily(
        "cupool_leases_refused", "Leases refused since the start, by reason.", labels=["reason"]
    )
    counts = dict.fromkeys(REASONS, 0) | {r.reason: r.count for r in pool.refusals if r.reason in REASONS}
    for reason, count in counts.items():
        refused.add_metric([reason], count)
    yield refused
    yield from _histogram(
        "cupool_lease_seconds", "From Acquire to its lease, the wait in the queue included.", pool.lease_latency
    )


def _histogram(name: str, text: str, told: admin_pb2.LatencyHistogram) -> Iterator[Metric]:
    if len(told.counts) == len(told.bounds_s) + 1:
        total, buckets = 0, []
        for bound, count in zip([*map(str, told.bounds_s), "+Inf"], told.counts, strict=True):
            total += count
            buckets.append((bound, total))
        yield HistogramMetricFamily(name, text, buckets, told.sum_s)


#: How a move may have ended.
_OUTCOMES = ("done", "given-up", "lost", "ended")


def _moves(snapshot: Snapshot) -> Iterator[Metric]:
    pool = snapshot.pool
    yield _gauge("cupool_moves_under_way", "Sessions that are moving to another device.", pool.moving)
    ended = CounterMetricFamily(
        "cupool_moves", "Moves that have ended since the start, by outcome.", labels=["outcome"]
    )
    counts = dict.fromkeys(_OUTCOMES, 0) | {m.outcome: m.count for m in pool.moves if m.outcome in _OUTCOMES}
    for outcome, count in counts.items():
        ended.add_metric([outcome], count)
    yield ended
    yield _counter("cupool_moved_bytes", "Copied by moves that were made, since the start.", pool.moved_bytes)
    yield from _histogram(
        "cupool_move_pause_seconds",
        "How long sessions that moved stood still: from the last batch to the release.",
        pool.move_pause,
    )


def _balance(snapshot: Snapshot) -> Iterator[Metric]:
    told = snapshot.balance
    yield _gauge(
        "cupool_balancer_running", "1: a balancer has asked for a snapshot in the last seconds.", told.is_running
    )
    yield _gauge("cupool_balancer_dry_run", "1: it decides and moves nothing.", told.dry_run)
    yield _counter("cupool_balancer_snapshots", "Snapshots that a balancer asked for.", told.snapshots)
    yield _counter("cupool_balancer_moves_decided", "Moves that a balancer chose.", told.moves_decided)
    yield _counter(
        "cupool_balancer_moves_failed", "Moves that it asked for and that were refused or given up.", told.moves_failed
    )


def _nodes(snapshot: Snapshot) -> Iterator[Metric]:
    nodes = snapshot.nodes
    labels = ("node", "host")
    rows: list[tuple[str, str, Callable[[Any], float]]] = [
        ("connected", "1: the host's agent is connected.", lambda n: n.connected),
        ("seen_seconds", "Since the last report of its agent.", lambda n: n.seen_s),
        ("cpu_load_ratio", "Of the host's processors, 0 to 1.", lambda n: n.cpu_load),
        ("memory_bytes", "Memory of the host.", lambda n: n.memory_bytes),
        ("memory_free_bytes", "Memory of the host that is free.", lambda n: n.memory_free_bytes),
        (
            "checkpoint_bytes",
            "That checkpoints of its sessions hold, in memory and in files.",
            lambda n: n.checkpoint_bytes,
        ),
        ("checkpoint_limit_bytes", "What checkpoints may hold on the host.", lambda n: n.checkpoint_limit_bytes),
        (
            "checkpoints_waiting",
            "Of sessions whose server was lost, kept for their clients.",
            lambda n: n.checkpoints_waiting,
        ),
    ]
    for name, text, value in rows:
        family = GaugeMetricFamily(f"cupool_node_{name}", text, labels=labels)
        for node in nodes:
            family.add_metric([node.node, node.host], value(node))
        yield family


def _servers_and_sessions(snapshot: Snapshot) -> Iterator[Metric]:
    # Every state each time, so that a state that empties is seen as zero.
    yield _by_state(
        "cupool_servers", "Server processes by state.", server_pb2.ServerState, (s.state for s in snapshot.servers)
    )
    yield _by_state(
        "cupool_sessions", "Sessions by state.", pool_pb2.SessionState, (s.state for s in snapshot.sessions)
    )
    yield _gauge("cupool_warm_servers", "Servers that wait for a session.", snapshot.pool.warm)


def _by_state(name: str, text: str, enum: Any, states: Iterable[int]) -> Metric:
    counts = Counter(states)
    family = GaugeMetricFamily(name, text, labels=["state"])
    for value in enum.DESCRIPTOR.values:
        if value.number:
            family.add_metric([value.name.partition("_STATE_")[2].lower()], counts[value.number])
    return family


#: (name, text, value; None where the device does not tell)
_DEVICE_GAUGES: list[tuple[str, str, Callable[[admin_pb2.DeviceStatus], float | None]]] = [
    ("memory_total_bytes", "What sessions may hold together.", lambda d: d.total_bytes),
    ("memory_leased_bytes", "Promised to sessions.", lambda d: d.leased_bytes),
    ("memory_used_bytes", "Held by sessions, by the pool's books.", lambda d: d.used_bytes),
    ("memory_observed_bytes", "In use as the driver sees it.", lambda d: d.observed_bytes or None),
    ("memory_unowned_bytes", "In use, and nobody's by the books.", lambda d: d.unowned_bytes),
    ("sessions", "Sessions on it.", lambda d: d.sessions),
    ("warm_servers", "Servers on it that wait for a session.", lambda d: d.warm),
    ("utilization_ratio", "How busy it is, 0 to 1, smoothed.", lambda d: d.utilization),
    ("power_watts", "What it draws.", lambda d: d.power_w or None),
    ("power_limit_watts", "What it may draw.", lambda d: d.power_limit_w or None),
    ("temperature_celsius", "Its temperature.", lambda d: d.temperature_c or None),
    ("throttled", "1: its clocks are reduced.", lambda d: bool(d.throttle)),
    ("cordoned", "1: takes no new sessions.", lambda d: d.cordoned),
    ("draining", "1: is being emptied.", lambda d: d.draining),
]


def _devices(snapshot: Snapshot) -> Iterator[Metric]:
    devices = snapshot.devices
    info = InfoMetricFamily("cupool_device", "What a device is.", labels=_DEVICE)
    for device in devices:
        info.add_metric(_device(device), {"name": device.name, "uuid": device.uuid})
    yield info
    for name, text, value in _DEVICE_GAUGES:
        family = GaugeMetricFamily(f"cupool_device_{name}", text, labels=_DEVICE)
        for device in devices:
            number = value(device)
            if number is not None:
                family.add_metric(_device(device), number)
        yield family
    ecc = CounterMetricFamily(
        "cupool_device_ecc_uncorrected", "Memory errors that could not be corrected.", labels=_DEVICE
    )
    errors = GaugeMetricFamily(
        "cupool_device_recent_errors",
        "Errors among the device's latest, by XID; hardware=1: the device's own fault.",
        labels=[*_DEVICE, "xid", "hardware"],
    )
    for device in devices:
        ecc.add_metric(_device(device), device.ecc_uncorrected)
        for (xid, hardware), count in Counter((e.xid, e.is_hardware) for e in device.errors).items():
            errors.add_metric([*_device(device), str(xid), str(int(hardware))], count)
    yield ecc
    yield errors


def _device(device: admin_pb2.DeviceStatus) -> list[str]:
    return [device.device, device.node, device.kind]


#: (name, whether it only grows, text, value)
_TENANT: list[tuple[str, bool, str, Callable[[admin_pb2.TenantStatus], float]]] = [
    ("sessions", False, "Sessions of the tenant.", lambda t: t.sessions),
    ("memory_leased_bytes", False, "Device memory leased to it.", lambda t: t.memory_bytes),
    ("memory_used_bytes", False, "Device memory that its sessions hold.", lambda t: t.used_bytes),
    ("queue_length", False, "Its Acquires that wait.", lambda t: t.queued),
    ("kernel_seconds", True, "What its sessions have executed since the directory was made.", lambda t: t.kernel_s),
    ("leases_given", True, "Leases given to it.", lambda t: t.leases_given),
    ("leases_refused", True, "Leases refused to it.", lambda t: t.leases_refused),
]
#: Without a limit there is no sample, and an expression that divides by it gives nothing.
_QUOTAS: list[tuple[str, str, Callable[[admin_pb2.SetQuotaRequest], float]]] = [
    ("sessions_quota", "Most sessions at once.", lambda q: q.sessions),
    ("memory_quota_bytes", "Most device memory leased at once.", lambda q: q.memory_bytes),
    ("kernel_quota_seconds", "Most that it may execute in all.", lambda q: q.kernel_s),
    ("opens_quota_per_second", "Most leases a second.", lambda q: q.opens_per_s),
    ("queue_quota_places", "Most Acquires that may wait.", lambda q: q.queue_places),
]


def _tenants(snapshot: Snapshot) -> Iterator[Metric]:
    tenants = sorted(snapshot.tenants, key=lambda t: (-t.sessions, -t.leases_given, t.tenant))
    own, rest = tenants[:MAX_TENANTS], tenants[MAX_TENANTS:]
    for name, grows, text, value in _TENANT:
        make = CounterMetricFamily if grows else GaugeMetricFamily
        family = make(f"cupool_tenant_{name}", text, labels=["tenant"])
        for tenant in own:
            family.add_metric([tenant.tenant], value(tenant))
        if rest:
            family.add_metric([OTHERS], sum(map(value, rest)))
        yield family
    for name, text, limit in _QUOTAS:
        family = GaugeMetricFamily(f"cupool_tenant_{name}", text, labels=["tenant"])
        for tenant in own:
            if limit(tenant.quota):
                family.add_metric([tenant.tenant], limit(tenant.quota))
        yield family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=float(value))
