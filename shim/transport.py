"""How frames travel: a small interface, and grpcio's public API behind it.

Boundary: knows endpoints, metadata and bytes; nothing of sessions. grpc is imported at the first use, not at import.

Frames out go through a `SimpleQueue`, whose `put` is a C function (see Note [Flush]). Frames in are handed over by the deserialiser,
which grpcio runs in the thread that takes messages from its core: a waiting caller is woken from there, one thread hop earlier
than if a reader thread passed the message on.

Note [Who reads]
    grpcio hands over one message per `next`, so somebody must ask. A program that asks again and again reads for itself (`help`):
    then no other thread wakes and competes for the interpreter. Otherwise the link's thread reads (`read`). `_turn` is held by
    whoever is in `next`. After a frame that somebody waited for, the link's thread parks for PARK_S; `ring` ends that early. A caller
    that leaves while others expect something rings. An interrupted `next` cannot be taken up again: the stream is cancelled and the
    link makes another.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from _thread import get_ident
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Protocol

ATTACH = "/cupool.v1.SessionService/Attach"
#: Above the largest frame or bulk chunk that either side sends.
MESSAGE_BYTES = 16 << 20
#: How long the link's thread leaves the reading to callers that may ask again.
PARK_S = 0.005

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Without it a hung peer is noticed after 65 s.
    ("grpc.http2.ping_timeout_ms", 3_000),
    # A new channel must be a new connection: the old one may be what is broken.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


class Disconnected(Exception):
    """A stream ended. `code` is the gRPC status's name ("UNAVAILABLE"; "OK" when the server ended it), `details` its text."""

    def __init__(self, code: str, details: str, metadata: dict[str, str] | None = None) -> None:
        super().__init__(f"{code}: {details}")
        self.code = code
        self.details = details
        self.metadata = metadata or {}


class Stream(Protocol):
    """One Attach stream."""

    #: Send one serialised ClientFrame. Never blocks; a C function.
    put: Callable[[bytes], Any]

    def read(self, may_park: Callable[[], bool]) -> Disconnected:
        """Run until the stream ends, handing each frame to the callback; returns why it ended. While `may_park` (nothing is expected)
        it leaves the reading to `help` for a moment."""
        ...

    def help(self, is_done: Callable[[], bool]) -> bool:
        """Read one frame in the calling thread, unless it is done when its turn to read comes; False at once when another thread reads,
        or when the stream has ended."""
        ...

    def ring(self) -> None:
        """Something is expected: have `read` read."""

    def finish(self) -> None:
        """No more frames from here: half-close."""

    def cancel(self) -> None:
        """End the stream at once, from any thread."""

    def close(self) -> None:
        """Give everything back. After `read` has returned."""


class Transport(Protocol):
    """Opens streams."""

    def attach(self, endpoint: str, metadata: tuple[tuple[str, str], ...], on_frame: Callable[[bytes], None]) -> Stream:
        """A new stream on a new connection."""
        ...


def import_grpc() -> Any:
    """The grpc module. grpcio reads at import whether the process may fork: without this a child's first call hangs for ever."""
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "1")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    import grpc

    return grpc


def has_fork_support() -> bool:
    """Whether grpcio works in a child of this process; not when the program imported grpc before cupool and without asking for it."""
    cygrpc = sys.modules.get("grpc._cython.cygrpc")
    return cygrpc is None or bool(getattr(cygrpc, "_GRPC_ENABLE_FORK_SUPPORT", True))


def open_channel(endpoint: str, ca: str = "") -> Any:
    """A grpc.Channel over a connection of its own. `ca`: PEM file of the authority; empty: no TLS."""
    grpc = import_grpc()
    if not ca:
        return grpc.insecure_channel(endpoint, options=CHANNEL_OPTIONS)
    with open(ca, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    return grpc.secure_channel(endpoint, credentials, options=CHANNEL_OPTIONS)


def disconnected(error: Any) -> Disconnected:
    """What a grpc.RpcError says."""
    trailers = {k: v for k, v in (error.trailing_metadata() or ()) if isinstance(v, str)}
    return Disconnected(error.code().name, error.details() or "", trailers)


class GrpcStream:
    """One Attach stream through grpcio's public API."""

    def __init__(self, channel: Any, metadata: tuple[tuple[str, str], ...], on_frame: Callable[[bytes], None]) -> None:
        self._grpc = import_grpc()
        self._channel = channel
        self._on_frame = on_frame
        self._failure: BaseException | None = None
        self._turn = threading.Lock()
        self._bell = threading.Lock()
        self._bell.acquire()
        self._helper = self._helped = 0
        self._is_over = False
        # None ends it.
        queue: SimpleQueue[Any] = SimpleQueue()
        self.put: Callable[[bytes], Any] = queue.put
        self._queue = queue
        method = channel.stream_stream(ATTACH, request_serializer=None, response_deserializer=self._receive)
        self._call: Any = method(iter(queue.get, None), metadata=metadata)

    def _receive(self, data: bytes) -> bool:
        try:
            self._on_frame(data)
        except BaseException as error:
            self._failure = error
            raise
        return True

    def read(self, may_park: Callable[[], bool]) -> Disconnected:
        try:
            while True:
                if may_park():
                    self._park(may_park)
                has_turn = self._take_turn()
                try:
                    next(self._call)
                finally:
                    if has_turn:
                        self._turn.release()
        except StopIteration:
            return Disconnected("OK", "")
        except self._grpc.RpcError as error:
            if self._failure is not None:
                return Disconnected("DATA_LOSS", f"A frame could not be read: {self._failure}")
            return disconnected(error)

    def _park(self, may_park: Callable[[], bool]) -> None:
        while may_park() and not self._is_over:
            helped = self._helped
            if not self._bell.acquire(timeout=PARK_S) and helped == self._helped:
                return  # nobody asked for a while: back to reading

    def _take_turn(self) -> bool:
        while not self._turn.acquire(timeout=0.05):
            if self._is_over:
                return False  # the holder finds that out too
        return True

    def help(self, is_done: Callable[[], bool]) -> bool:
        if self._is_over:
            return False
        if not self._turn.acquire(blocking=False):
            if self._helper == get_ident():
                # A signal handler waits above a `next` of its own thread: only another stream can bring its answer.
                self.cancel()
            return False
        try:
            if is_done():
                # Its frame came before its turn did: nobody might ever send another.
                return True
            self._helper = get_ident()
            next(self._call)
        except (StopIteration, self._grpc.RpcError):
            return False
        except BaseException:
            self.cancel()
            raise
        finally:
            self._helper = 0
            self._helped += 1
            self._turn.release()
        return True

    def ring(self) -> None:
        # A caller that reads right now rings itself when it leaves.
        if not self._helper and self._bell.locked():
            with contextlib.suppress(RuntimeError):  # another thread rang
                self._bell.release()

    def finish(self) -> None:
        self._queue.put(None)

    def cancel(self) -> None:
        self._is_over = True
        call = self._call
        if call is not None:
            call.cancel()
        self.ring()

    def close(self) -> None:
        # In this order, and dropped: a live stream object at interpreter exit hangs one exit in fifty.
        self.finish()
        self.cancel()
        self._call = None
        self._channel.close()


class GrpcTransport:
    """grpcio's public API."""

    def __init__(self, ca: str = "") -> None:
        self._ca = ca

    def attach(self, endpoint: str, metadata: tuple[tuple[str, str], ...], on_frame: Callable[[bytes], None]) -> Stream:
        return GrpcStream(open_channel(endpoint, self._ca), metadata, on_frame)
