"""Leases: from a pool address to a session on a server, and back.

Boundary: PoolService's calls and the mapping of refusals. The embedded pool's process is `embedded.py`'s.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from cupool.contract import hosts, messages
from cupool.contract.errors import (
    CupoolError,
    LeaseRefused,
    PoolUnreachable,
    ProtocolError,
    SessionLost,
    VersionMismatch,
)
from cupool.contract.records import NamedTuple

from . import trace
from .config import Config
from .light_stream import OneCall, Unfit, is_loaded
from .transport import NO_TLS, Trust, disconnected, import_grpc, is_near, open_channel
from .turns import Disconnected

if TYPE_CHECKING:
    from .redo import Base

_AGAIN = "Run the program again; its arrays are gone."
_QUEUE = "Try again later, or set CUPOOL_DEADLINE_S to queue for longer, or ask the pool's operator for more servers."
_AWAY = "Check CUPOOL_ADDR and that the pool runs; unset it for a pool of this process's own."
#: What grpcio says of an end that speaks TLS to one that does not, or whose certificate does not fit -> what to do.
_TLS = {
    "verification check failed": "CUPOOL_ADDR must be a name that the pool's certificate is made out to, and CUPOOL_CA of its authority.",
    "CERTIFICATE_VERIFY_FAILED": "Set CUPOOL_CA to the trust.pem that the pool's operator gave you.",
    "WRONG_VERSION_NUMBER": "The pool speaks no TLS at this address: check CUPOOL_ADDR, or unset CUPOOL_CA.",
}

#: gRPC status -> (exception, what happened, cure). The one place where statuses become exceptions.
STATUS: dict[str, tuple[type[CupoolError], str, str]] = {
    "ABORTED": (SessionLost, "Another client took the session over", "Do not share a session between processes."),
    "ALREADY_EXISTS": (LeaseRefused, "The pool refused the lease", "Ask the pool's operator."),
    "DATA_LOSS": (
        ProtocolError,
        "What the server sent could not be read",
        "Check that the address is a cupool pool's, and the versions.",
    ),
    "DEADLINE_EXCEEDED": (LeaseRefused, "No server became free in time", _QUEUE),
    "FAILED_PRECONDITION": (SessionLost, "The server refused the session", _AGAIN),
    "INVALID_ARGUMENT": (
        ProtocolError,
        "The server could not read a frame",
        "This is a bug of cupool: please report it.",
    ),
    "NOT_FOUND": (SessionLost, "The server does not know the session", _AGAIN),
    "PERMISSION_DENIED": (
        LeaseRefused,
        "The pool does not allow it",
        "Check CUPOOL_TOKEN, or ask the pool's operator.",
    ),
    "RESOURCE_EXHAUSTED": (LeaseRefused, "The pool has no server free for this", _QUEUE),
    "UNAUTHENTICATED": (
        LeaseRefused,
        "The pool does not accept the credential",
        "Set CUPOOL_TOKEN to a token of this pool.",
    ),
    "UNAVAILABLE": (PoolUnreachable, "No answer", _AWAY),
    "UNIMPLEMENTED": (VersionMismatch, "The server does not know this call", "Upgrade cupool on the older side."),
}


def status_error(code: str, details: str, at: str, is_pool: bool = False) -> CupoolError:
    """The exception for a gRPC status. `at` says who answered, or did not: "the pool at 10.0.0.1:7077". `is_pool`: nothing that ran
    is lost, a lease was refused."""
    if is_pool and code == "FAILED_PRECONDITION":
        return LeaseRefused(f"The pool refused the lease ({at}): {details.strip().rstrip('.')}.")
    cls, what, cure = STATUS.get(code, (SessionLost, f"The call failed with {code}", "Run the program again."))
    if is_pool and ". " in details.strip():
        cure = ""  # the pool's own sentence ends with one
    if code == "FAILED_PRECONDITION" and "version" in details.lower():
        cls, cure = VersionMismatch, "Use the same minor release of cupool on both sides."
    if cls is PoolUnreachable:
        cure = next((found for said, found in _TLS.items() if said.lower() in details.lower()), cure)
    return cls(f"{what} ({at}): {details.strip().rstrip('.') or code}.", cure)


class Lease(NamedTuple):
    """What Acquire gave."""

    session: str
    token: str
    endpoint: str
    epoch: int
    server: str
    device: str
    #: The name that the server's certificate must have; empty: its endpoint speaks no TLS.
    tls_name: str = ""
    #: Of the server's op table, by the pool's word; empty: it did not say.
    op_table_digest: bytes = b""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Of every call to the server."""
        return (("authorization", f"Bearer {self.token}"), ("cupool-session", self.session))


class Fate(str):
    """Why a session is gone, for people. `is_server_lost`: by a fault that is not its own, so it may be made again elsewhere."""

    is_server_lost: bool

    def __new__(cls, text: str, is_server_lost: bool) -> Fate:
        fate = super().__new__(cls, text)
        fate.is_server_lost = is_server_lost
        return fate


class Place(NamedTuple):
    """Where a session is that has moved. `token`: the session's there; empty: as before."""

    endpoint: str
    epoch: int
    tls_name: str = ""
    server: str = ""
    token: str = ""


def _tls_name(server: str, node: str) -> str:
    from cupool.contract.tlsnames import server_name  # a client without TLS has no use for it

    return server_name(server, node)


def _is_local(endpoint: str) -> bool:
    from cupool.contract.listening import is_local

    return is_local(endpoint)


#: How long to wait for a pool that does not answer, before the first and before the later attempts.
AWAY_S = 0.05
MAX_AWAY_S = 1.0
#: What no waiting mends, in grpc's words: names that are none, certificates that do not fit.
_HOPELESS = (
    "DNS resolution failed",
    "errors resolving",
    "lookup failed",
    "CERTIFICATE_VERIFY_FAILED",
    "verification check failed",
    "Peer name",
    "Ssl handshake failed",
    "SSL_ERROR",
)


class _Again(Exception):
    """A refusal that another attempt may turn: `after_s` is when, by the pool's word; 0: the pool did not answer."""

    def __init__(self, error: CupoolError, after_s: float) -> None:
        super().__init__(str(error))
        self.error = error
        self.after_s = after_s


#: How long the channel to a pool is kept for this process's next session, after the last call. Its connection closes by itself then.
KEEP_S = 5.0
_OPTIONS = (("grpc.client_idle_timeout_ms", int(KEEP_S * 1000)),)


def _is_fresh(at_s: float, wall_s: float) -> bool:
    """Both clocks: either may stand still while a process is frozen, and its connection be forgotten."""
    return 0 <= time.monotonic() - at_s < KEEP_S and 0 <= time.time() - wall_s < KEEP_S


class _Kept(NamedTuple):
    """A channel that nobody uses now."""

    key: tuple[str, Trust]
    channel: Any
    stub: Any
    at_s: float
    wall_s: float

    def is_fresh(self) -> bool:
        return _is_fresh(self.at_s, self.wall_s)


class _Begun(NamedTuple):
    """An Acquire that is on its way: `request` names it. A session that nobody attaches to is not kept long."""

    call: OneCall
    request: str
    at_s: float
    wall_s: float

    def is_fresh(self) -> bool:
        return _is_fresh(self.at_s, self.wall_s)


#: One at most: a process has one session at a time.
_kept: list[_Kept] = []


def _take(key: tuple[str, Trust]) -> _Kept | None:
    """The channel to this pool that is kept."""
    try:
        kept = _kept.pop()
    except IndexError:
        return None
    if kept.key == key and kept.is_fresh():
        return kept
    kept.channel.close()
    return None


def drop_kept() -> None:
    """Close the channel that is kept: the process ends, is about to be copied, or to fork."""
    while _kept:
        _kept.pop().channel.close()


def forget_kept() -> list[Any]:
    """In a forked child: what was kept is the parent's. Returns it, so that no destructor of it runs here."""
    kept, _kept[:] = list(_kept), []
    return kept


class PoolClient:
    """PoolService at one address."""

    def __init__(
        self, addr: str, token: str = "", trust: Trust = NO_TLS, is_patient: bool = True, transport: str = "core"
    ) -> None:
        """`is_patient`: a pool that does not answer may come back; not one that is this program's own. `transport`: as Config has it."""
        self.addr = addr
        self._is_patient = is_patient
        self._trust = trust
        # A channel that is kept saves the next session of a far pool the round trips of its connection; near, our own sockets take less.
        self._is_light = transport == "light" or (transport == "auto" and (is_near(addr) or not is_loaded()))
        self._is_sound = True
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        #: An Acquire that is on its way, the name of the request, and when it was sent, by the monotonic clock.
        self._begun: _Begun | None = None
        #: What is kept of an earlier session, or None until a call needs it.
        self._kept = _take((addr, trust)) if is_patient else None

    @property
    def _stub(self) -> Any:
        if self._kept is None:
            channel = open_channel(self.addr, self._trust, more=_OPTIONS)
            from cupool.v1 import pool_pb2_grpc  # imports grpc

            stub: Any = pool_pb2_grpc.PoolServiceStub(channel)
            self._kept = _Kept((self.addr, self._trust), channel, stub, 0.0, 0.0)
        return self._kept.stub

    def begin(self, config: Config) -> None:
        """Ask for a session, and do not wait: `acquire` with the same configuration does. Nothing where that has to be grpcio's."""
        if self._is_light and self._begun is None:
            name = trace.new_request()
            trace.say("session-asked", request=name, pool=self.addr, function=config.function)
            request = self._request(config, config.deadline_s, name)
            try:
                call = self._light_call("Acquire", request.SerializeToString(), config.deadline_s + 10)
            except Unfit:
                self._is_light = False
            else:
                self._begun = _Begun(call, name, time.monotonic(), time.time())

    def abandon(self) -> None:
        """Give up what was begun, and the session that it brings."""
        begun, self._begun = self._begun, None
        if begun is not None:
            try:
                reply = messages.Lease.FromString(begun.call.wait())
            except (Unfit, ProtocolError, Disconnected):
                return  # there is none; or the pool frees what nobody attaches to
            self.release(self._lease(reply), "the client asked for it, and did not need it")
        self.close()

    def forget(self) -> None:
        """In a forked child: what was begun is the parent's."""
        begun, self._begun = self._begun, None
        if begun is not None:
            begun.call.forget()

    def acquire(self, config: Config, base: Base | None = None) -> Lease:
        """A session; with `base` one that goes on from that checkpoint, where the pool has it.

        Within `config.deadline_s` it asks again when the pool says when to, and waits for a pool that is away for a moment.

        Raises:
            PoolUnreachable: no pool answered in time.
            LeaseRefused: the pool gave none in time, or never will.
        """
        give_up_s = time.monotonic() + config.deadline_s
        attempt = 0
        if self._begun is not None and not self._begun.is_fresh():
            self.abandon()
        if self._begun is not None:
            request, give_up_s = self._begun.request, self._begun.at_s + config.deadline_s
        else:
            request = trace.new_request()
            trace.say("session-asked", request=request, pool=self.addr, function=config.function)
        while True:
            left_s = max(give_up_s - time.monotonic(), 0.0)
            try:
                reply = self._acquire_once(config, left_s, request, base)
                break
            except _Again as again:
                pause_s = again.after_s or min(AWAY_S * 2**attempt, MAX_AWAY_S)
                left_s = give_up_s - time.monotonic()
                if not self._is_patient or pause_s > left_s:
                    raise self._given_up(again.error, config.deadline_s if self._is_patient else 0.0) from None
                attempt += 1
                import random

                # Apart from each other: many functions may have been refused at the same moment.
                time.sleep(min(pause_s * random.uniform(1.0, 1.3), left_s))
        lease = self._lease(reply)
        trace.say("session-leased", session=lease.session, request=request, server=lease.server, device=lease.device)
        self._check_tls(lease)
        return lease

    def _given_up(self, error: CupoolError, asked_for_s: float) -> CupoolError:
        """`error`, with how long the pool was asked in vain, in seconds: whoever waited wants to know why."""
        if not isinstance(error, PoolUnreachable):
            return error
        what, cure = error.what, error.cure
        if asked_for_s:
            what = f"{what} It was tried for {asked_for_s:g} s (CUPOOL_DEADLINE_S)."
        if "Socket closed" in what and not self._trust.ca:
            cure = f"{cure} A pool with TLS closes connections without: then set CUPOOL_CA to its trust.pem."
        return PoolUnreachable(what, cure)

    @staticmethod
    def _lease(reply: Any) -> Lease:
        return Lease(
            reply.session, reply.session_token, reply.endpoint, reply.epoch, reply.server, reply.device,
            _tls_name(reply.server, reply.node) if reply.tls else "", reply.op_table_digest,
        )  # fmt: skip

    def _acquire_once(self, config: Config, left_s: float, request_id: str, base: Base | None = None) -> Any:
        """One Acquire, which may queue for `left_s`. Raises _Again where another one may do better."""
        request = self._request(config, left_s, request_id, base)
        return self._call("Acquire", messages.Lease, request, left_s + 10, _Again)

    @staticmethod
    def _request(config: Config, left_s: float, request_id: str, base: Base | None = None) -> Any:
        restore = None
        if base is not None and base.data is None:
            restore = messages.RestoreFrom(
                session=base.session,
                session_token=base.token,
                server=base.server,
                where=base.where,
                checkpoint=base.checkpoint,
            )
        return messages.AcquireRequest(
            function=config.function,
            memory_bytes=config.memory_bytes,
            deadline_ms=int(left_s * 1000),
            device_kind=config.device_kind,
            client_pid=os.getpid() if sys.platform == "linux" else 0,
            host_id=hosts.host_id(),
            lifetime_s=config.lifetime_s,
            request_id=request_id,
            restore=restore,
        )

    def _check_tls(self, lease: Lease) -> None:
        """Nobody on the way may take TLS away: with an authority configured, a server that others can reach must speak it."""
        if lease.tls_name and not self._trust.ca:
            self.release(lease, "the client has no authority to check the server's certificate by")
            raise LeaseRefused(
                f"The pool at {self.addr} gave a server that speaks TLS, and nothing to check its certificate by is configured.",
                "Set CUPOOL_CA to the trust.pem that the pool's operator gave you.",
            )
        if self._trust.ca and not lease.tls_name and not _is_local(lease.endpoint):
            self.release(lease, "the server speaks no TLS, and the client asks for it")
            raise LeaseRefused(
                f"The pool at {self.addr} gave a server without TLS at {lease.endpoint}, and CUPOOL_CA asks for TLS.",
                "Ask the pool's operator to give its agents certificates (cupool certs issue --node), or unset CUPOOL_CA.",
            )

    def release(self, lease: Lease, reason: str, timeout_s: float = 2.0) -> None:
        """End the session. A pool that does not answer is no error: it frees what nobody renews."""
        request = messages.ReleaseRequest(session=lease.session, session_token=lease.token, reason=reason)
        try:
            self._call("Release", messages.ReleaseReply, request, timeout_s)
        except CupoolError:
            return

    def fate(self, lease: Lease, timeout_s: float = 1.0) -> Fate | Place | None:
        """Why the session is gone, or where it has moved, by WatchSession; None while neither, or when the pool does not say."""
        grpc = import_grpc()
        from cupool.v1 import pool_pb2

        request = pool_pb2.WatchSessionRequest(session=lease.session, session_token=lease.token)
        call = self._stub.WatchSession(request, timeout=timeout_s, metadata=self._metadata)
        try:
            for status in call:
                if status.state in (pool_pb2.SESSION_STATE_ENDED, pool_pb2.SESSION_STATE_LOST):
                    return Fate(str(status.reason) or "The pool ended the session.", status.replayable)
                if status.endpoint and status.epoch > lease.epoch:
                    tls_name = _tls_name(status.server, status.node) if status.tls else ""
                    return Place(status.endpoint, status.epoch, tls_name, status.server)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return Fate("The pool does not know the session any more.", True)
        finally:
            call.cancel()
        return None

    def _call(self, name: str, reply: Any, request: Any, timeout_s: float, again: type[_Again] | None = None) -> Any:
        try:
            return self._called(name, reply, request, timeout_s)
        except Disconnected as refused:
            end = refused
        self._is_sound = self._is_sound and end.code == "RESOURCE_EXHAUSTED"
        hint = end.metadata.get("cupool-retry-after-ms")
        details = end.details
        if hint and hint.isdigit():
            details = f"{details.rstrip('. ')}; a place may be free in {int(hint) / 1000:g} s"
        refusal = status_error(end.code, details, f"the pool at {self.addr}", is_pool=True)
        if again is not None and end.code == "RESOURCE_EXHAUSTED" and hint and hint.isdigit():
            raise again(refusal, max(int(hint) / 1000, 0.001))
        if again is not None and end.code == "UNAVAILABLE" and not any(text in details for text in _HOPELESS):
            raise again(refusal, 0.0)
        raise refusal

    def _called(self, name: str, reply: Any, request: Any, timeout_s: float) -> Any:
        """One call. Raises Disconnected."""
        asked = request.SerializeToString()
        if self._is_light:
            begun, self._begun = self._begun, None
            try:
                call = begun.call if begun is not None else self._light_call(name, asked, timeout_s)
                return reply.FromString(call.wait())
            except (Unfit, ProtocolError):
                self._is_light = False
        grpc = import_grpc()
        from cupool.v1 import pool_pb2

        theirs = getattr(pool_pb2, type(request).__name__).FromString(asked)
        try:
            return getattr(self._stub, name)(theirs, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise disconnected(error) from None

    def _light_call(self, name: str, request: bytes, timeout_s: float) -> OneCall:
        """Raises Unfit."""
        method = f"/cupool.v1.PoolService/{name}"
        return OneCall(self.addr, self._trust, method, request, self._metadata, timeout_s)

    def close(self) -> None:
        """Let go of the channel: it is kept for the next session, where the pool has answered on it and may be there then."""
        kept, self._kept = self._kept, None
        if kept is None:
            return
        if self._is_sound and self._is_patient and not _kept:
            _kept.append(_Kept(kept.key, kept.channel, kept.stub, time.monotonic(), time.time()))
        else:
            kept.channel.close()
