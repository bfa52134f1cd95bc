"""How frames travel: a small interface, and grpcio's public API behind it. `core_stream.py` is the faster way.

Boundary: knows endpoints, metadata and bytes; nothing of sessions. grpc is imported at the first use, not at import.

Frames out go through a `SimpleQueue`, whose `put` is a C function (see Note [Flush]). Frames in are handed over by the deserialiser,
which grpcio runs in the thread that takes messages from its core: a waiting caller is woken from there, one thread hop earlier
than if a reader thread passed the message on.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from _queue import SimpleQueue
from _thread import get_ident
from collections.abc import Callable
from threading import main_thread
from typing import TYPE_CHECKING, Any

from cupool.contract.errors import PoolUnreachable
from cupool.contract.limits import BULK_OPTIONS
from cupool.contract.records import NamedTuple

from .turns import Disconnected, Turns, unreadable

if TYPE_CHECKING:
    from typing import Protocol

ATTACH = "/cupool.v1.SessionService/Attach"
#: Above the largest frame or bulk chunk that either side sends.
MESSAGE_BYTES = 16 << 20

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
    *BULK_OPTIONS,
)


if TYPE_CHECKING:
    # At run time nobody asks for them, and protocols take a while to be made.

    class Stream(Protocol):
        """One Attach stream."""

        #: Queue one serialised ClientFrame. Never blocks; a C function. `push` follows.
        put: Callable[[bytes], Any]
        #: Whether the server takes several frames in one message. Set with its hello.
        may_bundle: bool
        #: When anything came last, by the monotonic clock; 0 where that is not known.
        heard_s: float

        def push(self) -> None:
            """Send what is queued. Never blocks. The ticker does so too, for a caller that an exception kept from it."""

        def ping(self) -> None:
            """As `push`, and have the other end's transport answer, which it does whatever its program does, where it can be asked to."""

        def read(self, may_park: Callable[[], bool]) -> Disconnected:
            """Run until the stream ends, handing each frame to the callback; returns why it ended. While `may_park` (nothing is expected)
            it leaves the reading to `help` for a moment."""
            ...

        def help(self, is_done: Callable[[], bool]) -> bool:
            """Read frames in the calling thread until it is done; False at once when another thread reads, or when the stream has ended."""
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

        def attach(
            self,
            endpoint: str,
            metadata: tuple[tuple[str, str], ...],
            on_frame: Callable[[bytes], None],
            tls_name: str = "",
        ) -> Stream:
            """A new stream on a new connection. `tls_name`: as `open_channel` has it."""
            ...


def import_grpc() -> Any:
    """The grpc module. grpcio reads at import whether the process may fork: without this a child's first call hangs for ever."""
    if "grpc" not in sys.modules:
        os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "1")
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        # Signal handlers run in the main thread. One that raises in the middle of this import leaves halves of grpcio behind, which
        # the next import would mix with new ones.
        importer = threading.Thread(target=importlib.import_module, args=("grpc",), name="cupool-grpc", daemon=True)
        importer.start()
        importer.join()
    import grpc

    return grpc


def has_fork_support() -> bool:
    """Whether grpcio works in a child of this process; not when the program imported grpc before cupool and without asking for it."""
    cygrpc = sys.modules.get("grpc._cython.cygrpc")
    return cygrpc is None or bool(getattr(cygrpc, "_GRPC_ENABLE_FORK_SUPPORT", True))


class Trust(NamedTuple):
    """Whom a channel believes, and what it shows. PEM files.

    Attributes:
        ca: of the authority; empty: no TLS.
        cert, key: of the client's own certificate; empty: none is shown.
    """

    ca: str = ""
    cert: str = ""
    key: str = ""


NO_TLS = Trust()


def is_unix(endpoint: str) -> bool:
    """Whether it is a unix socket, which is this machine's own: nobody is on the way. A host's name may begin in the same way."""
    return endpoint.startswith(("unix:", "unix-abstract:"))


#: Endpoints of this host begin so.
_NEAR = ("unix:", "127.", "localhost:", "[::1]:")


def is_near(endpoint: str) -> bool:
    """Whether it is this host's by its name: a connection costs no round trip, and there will be a lane for bulk bytes."""
    return endpoint.startswith(_NEAR)


def open_channel(
    endpoint: str, trust: Trust = NO_TLS, tls_name: str = "", more: tuple[tuple[str, int], ...] = ()
) -> Any:
    """A grpc.Channel over a connection of its own.

    Args:
        tls_name: the name that the other side's certificate must have; empty: the endpoint's host.
        more: channel options beside `CHANNEL_OPTIONS`.

    Raises:
        PoolUnreachable: a file of `trust` cannot be read, or holds no certificate or key.
    """
    grpc = import_grpc()
    if not trust.ca or is_unix(endpoint):
        return grpc.insecure_channel(endpoint, options=CHANNEL_OPTIONS + more)
    files = [
        _read(name, path)
        for name, path in (("CUPOOL_CA", trust.ca), ("CUPOOL_KEY", trust.key), ("CUPOOL_CERT", trust.cert))
    ]
    name: tuple[tuple[str, str], ...] = (("grpc.ssl_target_name_override", tls_name),) if tls_name else ()
    return grpc.secure_channel(endpoint, grpc.ssl_channel_credentials(*files), options=CHANNEL_OPTIONS + more + name)


def connect_ahead(channel: Any) -> None:
    """Have a channel connect before its first call. By grpcio's core, where that is as known: the public way keeps a thread polling."""
    check = getattr(getattr(channel, "_channel", None), "check_connectivity_state", None)
    if check is not None:
        check(True)


_WHICH_FILE = "Name the file that the pool's operator gave you."


def _read(variable: str, path: str) -> bytes | None:
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise PoolUnreachable(f"{variable}: {path} cannot be read: {error.strerror}.", _WHICH_FILE) from None
    # gRPC would say of another file, after a connection, that the other side's certificate is wrong.
    word = "private key" if variable == "CUPOOL_KEY" else "certificate"
    if f"{word.upper()}-----".encode() not in data:
        raise PoolUnreachable(f"{variable}: {path} holds no {word} in PEM.", _WHICH_FILE)
    return data


def disconnected(error: Any) -> Disconnected:
    """What a grpc.RpcError says."""
    trailers = {k: v for k, v in (error.trailing_metadata() or ()) if isinstance(v, str)}
    return Disconnected(error.code().name, error.details() or "", trailers)


class GrpcStream(Turns):
    """One Attach stream through grpcio's public API."""

    def __init__(self, channel: Any, metadata: tuple[tuple[str, str], ...], on_frame: Callable[[bytes], None]) -> None:
        super().__init__()
        self._grpc = import_grpc()
        self._channel = channel
        self._on_frame = on_frame
        self._failure: BaseException | None = None
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

    def push(self) -> None:
        """Nothing to do: grpcio's thread takes frames from the queue."""

    def _may_help(self) -> bool:
        # Signal handlers run in the main thread. One that raises inside grpcio's own Python code may leave its locks locked.
        return get_ident() != main_thread().ident

    def _next(self) -> Disconnected | None:
        try:
            next(self._call)
        except StopIteration:
            return Disconnected("OK", "")
        except self._grpc.RpcError as error:
            if self._failure is not None:
                return unreadable(self._failure)
            return disconnected(error)
        return None

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

    def __init__(self, trust: Trust = NO_TLS) -> None:
        self._trust = trust

    def attach(
        self,
        endpoint: str,
        metadata: tuple[tuple[str, str], ...],
        on_frame: Callable[[bytes], None],
        tls_name: str = "",
    ) -> Stream:
        return GrpcStream(open_channel(endpoint, self._trust, tls_name), metadata, on_frame)
