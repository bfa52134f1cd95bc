"""/metrics: what it says of a pool, that its size is bounded, and who may read it where."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from cupool.pool import metrics, metrics_http
from cupool.pool.meters import BOUNDS_S, REASONS, LeaseMeter
from cupool.pool.metrics_http import MAX_SCRAPES, MetricsServer
from cupool.pool.security import certs
from pool_snapshot import GIB, snapshot
from prometheus_client.parser import text_string_to_metric_families

from cupool.contract.listening import Door, Tls
from cupool.v1 import admin_pb2, admin_pb2_grpc, pool_pb2


def scrape(address: str, path: str = "/metrics", **headers: str) -> tuple[int, str]:
    """Status and text that an HTTP client gets."""
    if address.startswith("unix:"):
        connection = http.client.HTTPConnection("localhost", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(address.removeprefix("unix:"))
    else:
        connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture
def serve() -> Any:
    opened: list[MetricsServer] = []

    def make(
        address: str = "127.0.0.1:0",
        source: Callable[[], metrics.Snapshot] = snapshot,
        tls: Tls | None = None,
        **more: Any,
    ) -> MetricsServer:
        opened.append(MetricsServer(Door("metrics", address, tls, reads_only=True), source, **more))
        return opened[-1]

    yield make
    for server in opened:
        server.close()


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 counts as an address that other machines can reach."""
    monkeypatch.setattr(metrics_http, "is_local", lambda address: False)


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, name: str, **labels: str) -> float:
    return samples(text)[name, frozenset(labels.items())]


def test_the_text_says_what_the_pool_says(serve: Any) -> None:
    status, text = scrape(serve().address)
    assert status == 200
    assert value(text, "cupool_sessions", state="attached") == 1
    assert value(text, "cupool_sessions", state="parked") == 1
    assert value(text, "cupool_sessions", state="leased") == 0
    assert value(text, "cupool_servers", state="warm") == 2
    assert value(text, "cupool_queue_length") == 3 and value(text, "cupool_queue_oldest_seconds") == 2.5
    assert value(text, "cupool_leases_given_total") == 5
    assert value(text, "cupool_leases_refused_total", reason="capacity") == 2
    assert value(text, "cupool_leases_refused_total", reason="other") == 1
    assert value(text, "cupool_leases_refused_total", reason="quota-memory") == 0
    assert value(text, "cupool_pool_insecure") == 1 and value(text, "cupool_controller_restarts_total") == 1
    assert value(text, "cupool_reclaimed_bytes_total") == 5 * GIB and value(text, "cupool_sessions_lost_total") == 1
    gpu = {"device": "n1/cuda:0", "node": "n1", "kind": "cuda"}
    assert value(text, "cupool_device_memory_unowned_bytes", **gpu) == GIB
    assert value(text, "cupool_device_recent_errors", xid="31", hardware="0", **gpu) == 2
    assert value(text, "cupool_device_recent_errors", xid="79", hardware="1", **gpu) == 1
    assert value(text, "cupool_device_ecc_uncorrected_total", **gpu) == 2
    assert value(text, "cupool_tenant_sessions", tenant="tenant-0") == 2
    assert value(text, "cupool_tenant_sessions_quota", tenant="tenant-0") == 2
    assert value(text, "cupool_node_connected", node="n2", host="b") == 0


def test_what_a_device_does_not_tell_is_absent(serve: Any) -> None:
    found = samples(scrape(serve().address)[1])
    powers = [labels for name, labels in found if name == "cupool_device_power_watts"]
    assert len(powers) == 1 and ("kind", "cuda") in powers[0]
    quotas = [labels for name, labels in found if name == "cupool_tenant_sessions_quota"]
    assert quotas == [frozenset({("tenant", "tenant-0")})], "no limit is no sample, and not a limit of 0"


def test_the_histogram_counts_each_lease_once(serve: Any) -> None:
    text = scrape(serve().address)[1]
    assert value(text, "cupool_lease_seconds_bucket", le="0.001") == 1
    assert value(text, "cupool_lease_seconds_bucket", le="0.005") == 3
    assert value(text, "cupool_lease_seconds_bucket", le="60.0") == 4
    assert value(text, "cupool_lease_seconds_bucket", le="+Inf") == 5 == value(text, "cupool_lease_seconds_count")
    assert value(text, "cupool_lease_seconds_sum") == pytest.approx(70.4065)


def test_a_lease_at_a_bound_is_below_it() -> None:
    meter, status = LeaseMeter(), admin_pb2.PoolStatus()
    for bound in BOUNDS_S:
        meter.given(bound)
    meter.fill(status)
    assert list(status.lease_latency.counts) == [1] * len(BOUNDS_S) + [0]
    assert status.leases_given == len(BOUNDS_S) and status.leases_refused == 0 and not status.refusals


def test_its_size_is_bounded_by_hardware_and_not_by_clients() -> None:
    few, many = snapshot(tenants=metrics.MAX_TENANTS), snapshot(tenants=5 * metrics.MAX_TENANTS)
    count = {len(list(family.samples)) for family in metrics.families(few)}
    assert max(count) <= metrics.MAX_TENANTS
    sizes = [sum(len(f.samples) for f in metrics.families(s)) for s in (few, many)]
    kinds = len([f for f in metrics.families(many) if any(s.labels.get("tenant") == metrics.OTHERS for s in f.samples)])
    assert sizes[1] == sizes[0] + kinds
    sessions = {
        s.labels["tenant"]: s.value
        for f in metrics.families(many)
        if f.name == "cupool_tenant_sessions"
        for s in f.samples
    }
    assert sessions[metrics.OTHERS] == 4 * metrics.MAX_TENANTS
    labels = {k for f in metrics.families(many) for s in f.samples for k in s.labels}
    assert not labels & {"session", "function", "token", "server", "request_id"}
    assert "secret-name" not in str(list(metrics.families(many)))


def test_every_name_is_ours_and_said_once() -> None:
    names = [family.name for family in metrics.families(snapshot())]
    assert len(names) == len(set(names)) and all(name.startswith("cupool_") for name in names)
    assert all(family.documentation.endswith(".") for family in metrics.families(snapshot()))


def test_reasons_are_words() -> None:
    assert len(set(REASONS)) == len(REASONS) and all(r.replace("-", "").isalpha() and r.islower() for r in REASONS)


def test_healthz_follows_the_pool_and_other_paths_are_told(serve: Any) -> None:
    state = [True]
    server = serve(is_serving=lambda: state[0])
    assert scrape(server.address, "/healthz") == (200, "serving\n")
    state[0] = False
    assert scrape(server.address, "/healthz")[0] == 503
    assert scrape(server.address, "/")[0] == 404


def test_a_source_that_fails_is_a_failed_scrape_and_the_next_works(
    serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answers = iter([RuntimeError("books are closed"), snapshot()])

    def source() -> metrics.Snapshot:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    server = serve(source=source)
    with caplog.at_level("INFO"):  # whatever level another test has set
        assert scrape(server.address)[0] == 500
    assert "event=metrics-failed" in caplog.text
    assert scrape(server.address)[0] == 200


def test_a_unix_socket_is_the_owners_and_taken_over_from_the_dead(serve: Any, tmp_path: Path) -> None:
    path = tmp_path / "metrics.sock"
    with socket.socket(socket.AF_UNIX) as dead:  # bound, never listened at again
        dead.bind(str(path))
    server = serve(f"unix:{path}", allows=lambda token: False)
    assert path.stat().st_mode & 0o777 == 0o600
    assert scrape(server.address)[0] == 200, "who can open the socket needs no token"
    with pytest.raises(OSError, match="something listens there already"):
        serve(f"unix:{path}")
    server.close()
    assert not path.exists()


def test_on_this_host_no_token_is_asked_for(serve: Any) -> None:
    assert scrape(serve(allows=lambda token: False).address)[0] == 200


@pytest.mark.usefixtures("elsewhere")
def test_others_show_a_token(serve: Any) -> None:
    server = serve(allows=lambda token: token == "right")
    assert scrape(server.address)[0] == 401
    assert scrape(server.address, Authorization="Bearer wrong")[0] == 401
    assert scrape(server.address, Authorization="Basic right")[0] == 401
    status, text = scrape(server.address, Authorization="Bearer right")
    assert status == 200 and "right" not in text
    assert scrape(server.address, "/healthz")[0] == 200


def test_with_tls_it_speaks_nothing_else(serve: Any, tmp_path: Path) -> None:
    authority = certs.init(tmp_path)
    made = certs.issue_server(tmp_path, ["localhost", "127.0.0.1"])
    server = serve(tls=Tls(made.cert, made.key))
    with pytest.raises((http.client.HTTPException, OSError)):
        scrape(server.address)
    host, port = server.address.split(":")
    context = ssl.create_default_context(cafile=str(authority.cert))
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=10)
    connection.request("GET", "/metrics")
    assert connection.getresponse().status == 200
    connection.close()


def test_silent_clients_hold_a_bounded_number_of_threads(serve: Any) -> None:
    server = serve()
    host, port = server.address.split(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(MAX_SCRAPES)]
    try:
        for connection in silent:
            connection.sendall(b"GET /met")
        with socket.create_connection((host, int(port)), timeout=10) as one_more:
            assert one_more.recv(1) == b"", "it is closed, not served"
    finally:
        for connection in silent:
            connection.close()


class _Admin(admin_pb2_grpc.AdminServiceServicer):
    """An admin service that tells of `snapshot()`, to those with the token."""

    def __init__(self) -> None:
        self.snapshot = snapshot()

    def _check(self, context: grpc.ServicerContext) -> None:
        assert ("authorization", "Bearer t") in tuple(context.invocation_metadata())

    def GetPool(self, request: Any, context: Any) -> Any:
        self._check(context)
        return self.snapshot.pool

    def ListNodes(self, request: Any, context: Any) -> Any:
        return admin_pb2.ListNodesReply(nodes=self.snapshot.nodes)

    def ListDevices(self, request: Any, context: Any) -> Any:
        return admin_pb2.ListDevicesReply(devices=self.snapshot.devices)

    def ListTenants(self, request: Any, context: Any) -> Any:
        return admin_pb2.ListTenantsReply(tenants=self.snapshot.tenants)

    def ListServers(self, request: Any, context: Any) -> Any:
        return admin_pb2.ListServersReply(servers=self.snapshot.servers)

    def ListAllSessions(self, request: Any, context: Any) -> Any:
        return pool_pb2.ListSessionsReply(sessions=self.snapshot.sessions)

    def GetBalance(self, request: Any, context: Any) -> Any:
        return self.snapshot.balance


def test_a_client_that_sends_a_byte_now_and_then_is_cut_off(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_http, "WHOLE_S", 0.2)
    server = serve()
    host, _, port = server.address.rpartition(":")
    with socket.create_connection((host, int(port)), 60) as slow:
        slow.settimeout(0.02)
        for _ in range(3000):  # a minute of it: without an end it would be served for as long as it sends
            try:
                slow.send(b"G")
                if not slow.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            pytest.fail("it still holds its place")


def test_a_snapshot_through_the_admin_service_shows_the_same() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    admin_pb2_grpc.add_AdminServiceServicer_to_server(_Admin(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            found = metrics.from_admin(channel, "t")()
            with pytest.raises(grpc.RpcError):
                metrics.from_admin(channel, "wrong")()
    finally:
        server.stop(0).wait()
    assert [list(f.samples) for f in metrics.families(found)] == [list(f.samples) for f in metrics.families(snapshot())]
