"""Health and reflection of a pool's listeners, asked by gRPC's own clients: who probes needs no file and no credential."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from cupool.v1 import admin_pb2, admin_pb2_grpc

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
POOL, ADMIN = "cupool.v1.PoolService", "cupool.v1.AdminService"


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A controller without agents: its process, and what it said."""
    token = tmp_path / "admin"
    token.write_text("the operator of this test")
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "cupool.pool", "controller", "--admin-token-file", str(token)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        process.stdout.close()


def ask(channel: grpc.Channel, service: str) -> Any:
    return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=60).status


def test_each_listener_says_that_it_serves_and_what(controller: Any) -> None:
    _, said = controller
    for address, service in ((said["addr"], POOL), (said["admin"], ADMIN)):
        with grpc.insecure_channel(address) as channel:
            assert ask(channel, "") == ask(channel, service) == SERVING
            with pytest.raises(grpc.RpcError) as refused:
                ask(channel, "cupool.v1.Nothing")
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND
            database = ProtoReflectionDescriptorDatabase(channel)
            assert set(database.get_services()) == {
                service,
                "grpc.health.v1.Health",
                "grpc.reflection.v1alpha.ServerReflection",
            }
            file = database.FindFileContainingSymbol(service)
            (found,) = [s for s in file.service if s.name == service.rpartition(".")[2]]
            assert len(found.method) >= 5


def test_a_pool_that_ends_is_not_serving_before_it_is_gone(controller: Any) -> None:
    process, said = controller
    seen: list[Any] = []
    told, ended = threading.Event(), threading.Event()

    def watch(channel: grpc.Channel) -> None:
        try:
            for answer in health_pb2_grpc.HealthStub(channel).Watch(
                health_pb2.HealthCheckRequest(service=POOL), timeout=60
            ):
                seen.append(answer.status)
                told.set()
        except grpc.RpcError:
            pass  # the listener is closed
        ended.set()

    with grpc.insecure_channel(said["addr"]) as clients, grpc.insecure_channel(said["admin"]) as operators:
        thread = threading.Thread(target=watch, args=(clients,))
        thread.start()
        assert told.wait(20)
        metadata = (("authorization", "Bearer the operator of this test"),)
        request = admin_pb2.ShutdownRequest(reason="the test", deadline_ms=100)
        admin_pb2_grpc.AdminServiceStub(operators).Shutdown(request, metadata=metadata, timeout=30)
        assert ended.wait(30)
        thread.join()
        assert process.wait(30) == 0
    assert seen == [SERVING, NOT_SERVING]
