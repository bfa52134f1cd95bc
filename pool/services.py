"""The pool over gRPC: PoolService for clients, AdminService for operators, each behind its own credential and socket."""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Iterator
from concurrent import futures
from typing import Any, NoReturn

import grpc

from cupool.v1 import admin_pb2, admin_pb2_grpc, pool_pb2, pool_pb2_grpc

from .config import PoolConfig
from .controller import RETRY_MS, Controller, Refused

_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    # A client's channel is idle between its lease and its end, and pings all the while.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
]
#: Watching clients hold a thread each.
_THREADS = 64


def _check_credential(context: grpc.ServicerContext, token: str) -> None:
    """Abort with UNAUTHENTICATED unless the call carries `token`."""
    shown = dict(context.invocation_metadata()).get("authorization", "")
    shown_text = shown if isinstance(shown, str) else ""
    if token and not hmac.compare_digest(shown_text.encode(), f"Bearer {token}".encode()):
        context.abort(
            grpc.StatusCode.UNAUTHENTICATED,
            "The pool does not know this credential. Set CUPOOL_TOKEN to the token that its operator gave you.",
        )


def _abort(context: grpc.ServicerContext, error: Refused) -> NoReturn:
    if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        context.set_trailing_metadata((("cupool-retry-after-ms", str(RETRY_MS)),))
    context.abort(error.code, str(error))
    raise AssertionError("abort returns nothing")


@contextlib.contextmanager
def _refusals(context: grpc.ServicerContext) -> Iterator[None]:
    try:
        yield
    except Refused as error:
        _abort(context, error)


class PoolServicer(pool_pb2_grpc.PoolServiceServicer):
    """What clients call."""

    def __init__(self, controller: Controller, token: str) -> None:
        self._controller = controller
        self._token = token

    def Acquire(self, request: pool_pb2.AcquireRequest, context: grpc.ServicerContext) -> pool_pb2.Lease:
        _check_credential(context, self._token)
        with _refusals(context):
            return self._controller.acquire(request, context.is_active)

    def Renew(self, request: pool_pb2.RenewRequest, context: grpc.ServicerContext) -> pool_pb2.Lease:
        _check_credential(context, self._token)
        with _refusals(context):
            return self._controller.renew(request.session, request.session_token)

    def Release(self, request: pool_pb2.ReleaseRequest, context: grpc.ServicerContext) -> pool_pb2.ReleaseReply:
        _check_credential(context, self._token)
        with _refusals(context):
            self._controller.release(request.session, request.session_token, request.reason)
        return pool_pb2.ReleaseReply()

    def ListSessions(self, request: Any, context: grpc.ServicerContext) -> pool_pb2.ListSessionsReply:
        _check_credential(context, self._token)
        return pool_pb2.ListSessionsReply(sessions=self._controller.sessions())

    def WatchSession(
        self, request: pool_pb2.WatchSessionRequest, context: grpc.ServicerContext
    ) -> Iterator[pool_pb2.SessionStatus]:
        _check_credential(context, self._token)
        with _refusals(context):
            yield from self._controller.watch(request.session, request.session_token, context.is_active)


class AdminServicer(admin_pb2_grpc.AdminServiceServicer):
    """What operators call. Moves, drains and quotas come with the balancer and say so until then."""

    def __init__(self, controller: Controller, token: str) -> None:
        self._controller = controller
        self._token = token

    def ListServers(self, request: Any, context: grpc.ServicerContext) -> admin_pb2.ListServersReply:
        _check_credential(context, self._token)
        return self._controller.list_servers()

    def ListAllSessions(self, request: Any, context: grpc.ServicerContext) -> pool_pb2.ListSessionsReply:
        _check_credential(context, self._token)
        return pool_pb2.ListSessionsReply(sessions=self._controller.sessions())

    def KillSession(
        self, request: admin_pb2.KillSessionRequest, context: grpc.ServicerContext
    ) -> admin_pb2.KillSessionReply:
        _check_credential(context, self._token)
        with _refusals(context):
            self._controller.kill(request.session, request.reason)
        return admin_pb2.KillSessionReply()

    def Cordon(self, request: Any, context: grpc.ServicerContext) -> NoReturn:
        self._not_there(context, "Cordoning a device")

    def Uncordon(self, request: Any, context: grpc.ServicerContext) -> NoReturn:
        self._not_there(context, "Cordoning a device")

    def Drain(self, request: Any, context: grpc.ServicerContext) -> NoReturn:
        self._not_there(context, "Draining a device")

    def MoveSession(self, request: Any, context: grpc.ServicerContext) -> NoReturn:
        self._not_there(context, "Moving a session")

    def SetQuota(self, request: Any, context: grpc.ServicerContext) -> NoReturn:
        self._not_there(context, "Setting a quota")

    def _not_there(self, context: grpc.ServicerContext, what: str) -> NoReturn:
        _check_credential(context, self._token)
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{what} is not there yet in this version of cupool.")
        raise AssertionError("abort returns nothing")


def _bind(server: grpc.Server, address: str) -> str:
    """Listen; returns the address with the port that was given for port 0."""
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"The pool cannot listen at {address}: {error}. Is something else there?") from error
    return f"{address.rpartition(':')[0]}:{port}" if address.endswith(":0") else address


class Serving:
    """Both services, listening."""

    def __init__(self, controller: Controller, config: PoolConfig) -> None:
        self._executor = futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="pool")
        self._pool = grpc.server(self._executor, options=_OPTIONS)
        self._admin = grpc.server(self._executor, options=_OPTIONS)
        pool_pb2_grpc.add_PoolServiceServicer_to_server(PoolServicer(controller, config.token), self._pool)
        admin_pb2_grpc.add_AdminServiceServicer_to_server(AdminServicer(controller, config.admin_token), self._admin)
        _add_health_and_reflection(self._pool)
        self.address = _bind(self._pool, config.listen)
        self.admin_address = _bind(self._admin, config.admin_listen)

    def start(self) -> None:
        self._pool.start()
        self._admin.start()

    def stop(self, grace_s: float) -> None:
        for event in [self._pool.stop(grace_s), self._admin.stop(grace_s)]:
            event.wait()
        self._executor.shutdown(wait=True, cancel_futures=True)


def _add_health_and_reflection(server: grpc.Server) -> None:
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection

    name = pool_pb2.DESCRIPTOR.services_by_name["PoolService"].full_name
    servicer = health.HealthServicer()
    servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    reflection.enable_server_reflection((name, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
