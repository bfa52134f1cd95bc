"""An Attach stream, and single calls, on a socket of our own: docs/decisions/022.

grpcio takes as long to load as numpy does, and a thread of its own for each wait: what a session needs of HTTP/2 is in `http2.py`. Who
finds that a server, or what stands before it, says something that is not read there goes on with grpcio.

Boundary: sockets, TLS, who sends and who reads. The interface is `transport.Stream`'s.

The thread that has something to send hands it to the socket, as far as that takes it; the rest goes with the next `push`: the reader's,
which the pipe wakes for it, or the ticker's. The thread that has the turn (`turns.py`) waits for the socket.
"""

from __future__ import annotations

import _socket
import os
import select
import sys
import time
from _socket import AF_UNIX, IPPROTO_TCP, SHUT_RDWR, SOCK_STREAM, TCP_NODELAY, getaddrinfo, socket
from collections.abc import Callable
from contextlib import suppress
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any

from cupool.contract.errors import CupoolError

from .http2 import Call, Unread
from .transport import ATTACH, MESSAGE_BYTES, NO_TLS, Trust, is_unix
from .turns import CANCELLED, TORN, Disconnected, Turns, unreadable

if TYPE_CHECKING:
    from .transport import Stream

#: A connection that is not made in this time is grpcio's affair, which waits as long as the caller does.
CONNECT_S = 0.5
#: As the channels' keepalive.
KEEPALIVE_S = 10.0
KEEPALIVE_ANSWER_S = 3.0
#: How long a sender that was interrupted between two lines may keep a stream from being closed. None waits for the socket.
CLOSE_S = 0.2
#: What is asked of the socket at once: little, until more is there.
_RECEIVE_BYTES = 16 << 10
_RECEIVE_MOST = 256 << 10
#: Pieces given to the socket at once.
_PIECES = 256
#: A program may have SIGPIPE end it, as grpcio also allows for. Not on every system.
_QUIETLY = getattr(_socket, "MSG_NOSIGNAL", 0)
#: grpcio goes through these where they are set.
_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")


class Unfit(Exception):
    """Nothing was sent that a server could have acted on: grpcio is to do it."""


def is_loaded() -> bool:
    """Whether this process has loaded grpcio."""
    return "grpc" in sys.modules


def _connected(endpoint: str, timeout_s: float) -> Any:
    if endpoint.startswith("unix:"):
        places: list[Any] = [(AF_UNIX, SOCK_STREAM, 0, "", endpoint[5:])]
    else:
        host, _, port = endpoint.rpartition(":")
        if not host or not port.isdecimal() or "/" in host or any(map(os.environ.get, _PROXIES)):
            raise Unfit(f"{endpoint} is for grpcio to reach")
        places = getaddrinfo(host.strip("[]"), int(port), 0, SOCK_STREAM)
    for family, kind, protocol, _, address in places:
        made = socket(family, kind, protocol)
        try:
            made.settimeout(timeout_s)
            made.connect(address)
            if family != AF_UNIX:
                made.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        except BaseException as error:
            made.close()
            if not isinstance(error, OSError):
                raise
        else:
            return made
    raise Unfit(f"{endpoint} cannot be reached")


class Wire:
    """A connected socket, within TLS where `trust` has an authority."""

    def __init__(self, endpoint: str, trust: Trust, tls_name: str, timeout_s: float = CONNECT_S) -> None:
        """Raises Unfit: there is no connection, or not one as it should be."""
        self._tls: Any = None
        self._lock = Lock()
        #: Around what other threads do with descriptors, which are another's once they are closed. A signal handler may come in between.
        self._open = RLock()
        self._is_closed = False
        self._ask_bytes = _RECEIVE_BYTES
        is_secure = bool(trust.ca) and not is_unix(endpoint)
        self.scheme = "https" if is_secure else "http"
        self.authority = tls_name or ("localhost" if is_unix(endpoint) else endpoint)
        try:
            self._socket = _connected(endpoint, timeout_s)
        except (OSError, ValueError) as error:
            raise Unfit(f"{endpoint}: {error}") from None
        try:
            if is_secure:
                self._shake_hands(trust, tls_name or endpoint.rpartition(":")[0].strip("[]"))
            self._socket.setblocking(False)
            self._wake, self._ring = os.pipe()
        except BaseException as error:
            self._socket.close()
            if isinstance(error, (OSError, ValueError)):
                raise Unfit(f"{endpoint}: {error}") from None
            raise
        os.set_blocking(self._ring, False)
        os.set_blocking(self._wake, False)
        self._polls = []
        for wanted in (select.POLLIN, select.POLLIN | select.POLLOUT):
            poll = select.poll()
            poll.register(self._socket.fileno(), wanted)
            poll.register(self._wake, select.POLLIN)
            self._polls.append(poll)

    def _shake_hands(self, trust: Trust, name: str) -> None:
        import ssl

        context = ssl.create_default_context(cafile=trust.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2"])
        if trust.cert:
            context.load_cert_chain(trust.cert, trust.key)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        self._wants = ssl.SSLWantReadError
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                self._socket.sendall(self._out.read(), _QUIETLY)
                data = self._socket.recv(_RECEIVE_BYTES)
                if not data:
                    raise OSError("the connection ended within the handshake") from None
                self._in.write(data)
            else:
                break
        if tls.selected_alpn_protocol() != "h2":
            raise Unfit("the server speaks no HTTP/2")
        self._socket.sendall(self._out.read(), _QUIETLY)
        self._tls = tls

    def sealed(self, parts: list[bytes | memoryview]) -> list[bytes | memoryview]:
        """As it goes over the socket, with what TLS has to say by itself."""
        if self._tls is None:
            return parts
        with self._lock:
            for part in parts:
                if part:
                    self._tls.write(part)
            return [self._out.read()] if self._out.pending else []

    def send(self, parts: list[bytes | memoryview]) -> list[bytes | memoryview]:
        """What the socket did not take of it. Raises OSError."""
        while parts:
            some = parts[:_PIECES]
            try:
                sent = int(self._socket.sendmsg(some, (), _QUIETLY))
            except BlockingIOError:
                return parts
            for k, part in enumerate(some):
                if sent < len(part):
                    return [memoryview(part)[sent:], *parts[k + 1 :]]
                sent -= len(part)
            parts = parts[_PIECES:]
        return parts

    def wait(self, has_left: bool, timeout_s: float | None = None) -> None:
        """Until there is something to receive, room for what is left to send, or somebody has woken us."""
        for fd, _ in self._polls[has_left].poll(None if timeout_s is None else timeout_s * 1000):
            if fd == self._wake:
                # A reader that was given up may come late: by then the number is another's.
                with self._open, suppress(BlockingIOError):
                    if not self._is_closed:
                        os.read(fd, 4096)

    def receive(self) -> bytes | None:
        """What has come; None: nothing; empty: the connection has ended. Raises OSError."""
        try:
            data = bytes(self._socket.recv(self._ask_bytes))
        except BlockingIOError:
            return None
        is_more = len(data) == self._ask_bytes
        self._ask_bytes = min(self._ask_bytes * 4, _RECEIVE_MOST) if is_more else _RECEIVE_BYTES
        if self._tls is None or not data:
            return data
        parts = []
        with self._lock:
            self._in.write(data)
            try:
                while part := self._tls.read(_RECEIVE_BYTES):
                    parts.append(part)
            except self._wants:
                return b"".join(parts) or None
        return b"".join(parts)  # where nothing came before TLS's own end, the connection's

    def wake(self) -> None:
        """End a `wait`, of any thread."""
        with self._open, suppress(BlockingIOError):
            if not self._is_closed:
                os.write(self._ring, b"\0")

    def shut(self) -> None:
        """End the connection; `close` gives it back."""
        with self._open:
            if not self._is_closed:
                with suppress(OSError):
                    self._socket.shutdown(SHUT_RDWR)
                self.wake()

    def close(self) -> None:
        """Give the descriptors back. Whoever is late with one finds that."""
        with self._open:
            if not self._is_closed:
                self._is_closed = True
                self._socket.close()
                os.close(self._wake)
                os.close(self._ring)


class LightStream(Turns):
    """One call on a connection of its own: an Attach stream, or a single call's two messages."""

    def __init__(self, wire: Wire, call: Call, on_frame: Callable[[bytes], None]) -> None:
        super().__init__()
        self._wire = wire
        self._call = call
        self._on_frame = on_frame
        self.put: Callable[[bytes], Any] = call.put
        self._sending = Lock()
        #: What the socket has not taken yet.
        self._left: list[bytes | memoryview] = []
        self.heard_s = time.monotonic()
        self._asked_s = 0.0
        #: the server, or what stands before it, said something that is not read here
        self.is_unread = False
        self.push()

    # -- out ------------------------------------------------------------------------------------------------------------

    def push(self) -> None:
        # A failed `acquire` is no loss: whoever holds it looks again when it has let go.
        while (self._call.is_ready or self._left) and not self._is_over and self._sending.acquire(blocking=False):
            try:
                if not self._left:
                    self._call.may_bundle = self.may_bundle
                    self._left = self._wire.sealed(self._call.take())
                self._left = self._wire.send(self._left)
                if self._left:
                    self._wire.wake()  # whoever reads waits for room, too
                    return
            except OSError:
                # The connection has ended, or ends here, since what it took of this is not known. The reader sees it.
                self._wire.shut()
                return
            except BaseException:
                # Whether the socket has it is not known. A new stream starts from what is known.
                self._tear()
                raise
            finally:
                self._sending.release()
        self._keep_alive()

    def ping(self) -> None:
        self._call.ping()
        self.push()

    def _keep_alive(self) -> None:
        now = time.monotonic()
        if now - self.heard_s < KEEPALIVE_S:
            self._asked_s = 0.0
        elif not self._asked_s:
            self._asked_s = now
            self.ping()
        elif now - self._asked_s > KEEPALIVE_ANSWER_S:
            self._end = self._end or Disconnected("UNAVAILABLE", "The server does not answer.")
            self.cancel()

    # -- in -------------------------------------------------------------------------------------------------------------

    def _next(self) -> Disconnected | None:
        return self.step(None)

    def step(self, timeout_s: float | None) -> Disconnected | None:
        """`_next`, or nothing in that time."""
        if self._is_torn:
            return self._end or TORN
        if self._end is not None or self._is_over:
            return self._end or CANCELLED
        self._wire.wait(bool(self._left), timeout_s)
        try:
            data = self._wire.receive()
        except OSError as error:
            return self._over(Disconnected("UNAVAILABLE", f"The connection broke: {error.strerror or error}"))
        if data is None:
            self.push()
            return self._end
        if not data:
            return self._over(Disconnected("UNAVAILABLE", "The connection ended."))
        self.heard_s = time.monotonic()
        try:
            messages = self._call.feed(data)
        except Unread as error:
            self.is_unread = True
            return self._over(Disconnected("UNAVAILABLE", f"What came is not understood: {error}."))
        self.push()
        for message in messages:
            if self._is_over:
                break
            try:
                self._on_frame(message)
            except CupoolError as error:
                return self._over(unreadable(error))
        if self._call.end is not None:
            return self._over(Disconnected(*self._call.end))
        return self._end

    # -- the end --------------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        self._call.put(None)
        self.push()

    def cancel(self) -> None:
        self._is_over = True
        self._wire.shut()
        self.ring()

    def close(self) -> None:
        # `read` has returned: nobody waits for the socket. Who is just sending has a descriptor that would be another's in a moment.
        self.cancel()
        self._sending.acquire(timeout=0.0 if self._is_torn else CLOSE_S)
        self._wire.close()


class OneCall:
    """A call with one message each way, on a connection of its own: on its way when it is made, and read when it is waited for."""

    def __init__(
        self,
        endpoint: str,
        trust: Trust,
        method: str,
        request: bytes,
        metadata: tuple[tuple[str, str], ...],
        timeout_s: float,
    ) -> None:
        """Raises Unfit: grpcio is to make it: there is no connection."""
        self._give_up_s = time.monotonic() + timeout_s
        self._replies: list[bytes] = []
        self._wire = wire = Wire(endpoint, trust, "", min(CONNECT_S, timeout_s))
        try:
            call = Call(wire.scheme, wire.authority, method, metadata, MESSAGE_BYTES, timeout_s)
            self._stream = LightStream(wire, call, self._replies.append)
            self._stream.put(request)
            self._stream.finish()
        except BaseException as error:
            wire.close()
            if isinstance(error, Unread):
                raise Unfit(str(error)) from None
            raise

    def wait(self) -> bytes:
        """The answer; the connection is given back.

        Raises:
            Unfit: grpcio is to make it: the connection broke, or what came is not understood.
            Disconnected: the server's refusal.
        """
        try:
            end = None
            while end is None:
                left_s = self._give_up_s - time.monotonic()
                end = self._stream.step(max(min(left_s, KEEPALIVE_ANSWER_S / 2), 0.0))  # no ticker looks after it
                if end is None and left_s <= 0:
                    raise Disconnected("DEADLINE_EXCEEDED", "Deadline Exceeded")
        finally:
            self._stream.close()
        if end.code == "OK" and len(self._replies) == 1:
            return self._replies[0]
        if end.code in ("OK", "UNAVAILABLE"):
            raise Unfit(end.details)
        raise end

    def forget(self) -> None:
        """Give back what a forked child has of it; the parent's goes on."""
        self._wire.close()


def call_once(
    endpoint: str, trust: Trust, method: str, request: bytes, metadata: tuple[tuple[str, str], ...], timeout_s: float
) -> bytes:
    """The answer of a OneCall. Raises as making and waiting for one do."""
    return OneCall(endpoint, trust, method, request, metadata, timeout_s).wait()


class LightTransport:
    """Our own streams, and grpcio's core in their place where they do not fit."""

    def __init__(self, trust: Trust = NO_TLS, is_always: bool = False) -> None:
        """`is_always`: also where the last one met something that is not read here."""
        self._trust = trust
        self._is_always = is_always
        self._core: Any = None
        self._last: LightStream | None = None

    def attach(
        self,
        endpoint: str,
        metadata: tuple[tuple[str, str], ...],
        on_frame: Callable[[bytes], None],
        tls_name: str = "",
    ) -> Stream:
        if self._is_always or self._last is None or not self._last.is_unread:
            try:
                wire = Wire(endpoint, self._trust, tls_name)
                try:
                    call = Call(wire.scheme, wire.authority, ATTACH, metadata, MESSAGE_BYTES)
                    self._last = LightStream(wire, call, on_frame)
                except BaseException:
                    wire.close()
                    raise
            except (Unfit, Unread):
                pass
            else:
                return self._last
        if self._core is None:
            from .core_stream import CoreTransport

            self._core = CoreTransport(self._trust)
        stream: Stream = self._core.attach(endpoint, metadata, on_frame, tls_name)
        return stream
