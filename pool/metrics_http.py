"""Serves `/metrics` for Prometheus and `/healthz` for probes, on a port or unix socket of its own.

Off unless configured. Boundary: HTTP and who may read. What is shown is `metrics.py`'s, and whether the address is one to listen at is
`listening.check`'s. On this host (127.0.0.1, a unix socket) anybody who can connect may read; others show a token of the role viewer.

A scrape is a thread; there are at most `MAX_SCRAPES`, each for at most `WHOLE_S`, so that a client that says nothing holds nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from cupool.contract.listening import Door, Tls, is_local

from .metrics import PoolCollector, Source
from .security.listen import bind_socket

_log = logging.getLogger(__name__)

MAX_SCRAPES = 8
#: Between two pieces of a request or answer, and for all of it: who sends a byte now and then holds a place no longer than that.
LIMIT_S = 10.0
WHOLE_S = 30.0


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = LIMIT_S
    server_version = "cupool"
    sys_version = ""
    protocol_version = "HTTP/1.0"  # one request a connection: none stays open

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/healthz":
            is_well = self.server.is_serving()
            self._answer(200 if is_well else 503, "text/plain", b"serving\n" if is_well else b"not serving\n")
        elif path != "/metrics":
            self._answer(404, "text/plain", b"There is /metrics and /healthz.\n")
        elif not self._may_read():
            self._answer(
                401,
                "text/plain",
                b"Send `Authorization: Bearer TOKEN`, a token of the role viewer: cupool token create viewer.\n",
            )
        else:
            self._metrics()

    def _may_read(self) -> bool:
        allows = self.server.allows
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return allows is None or (scheme.lower() == "bearer" and allows(token.strip()))

    def _metrics(self) -> None:
        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        try:
            text = encode(self.server.registry)
        except Exception:
            # Whatever failed, Prometheus must see a failed scrape and the pool must go on.
            _log.exception("event=metrics-failed")
            self._answer(500, "text/plain", b"The pool could not tell; its log says why.\n")
            return
        self._answer(200, content_type, text)

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug("event=metrics-request %s", format % args)

    def address_string(self) -> str:
        return self.client_address[0] if isinstance(self.client_address, tuple) else "unix"


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True

    def __init__(
        self,
        listening: socket.socket,
        registry: CollectorRegistry,
        allows: Callable[[str], bool] | None,
        is_serving: Callable[[], bool],
        tls: Tls | None,
    ) -> None:
        self.registry = registry
        self.allows = allows
        self.is_serving = is_serving
        self._tls = tls
        self._places = threading.BoundedSemaphore(MAX_SCRAPES)
        super().__init__(listening.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        spoken = [request]
        late = threading.Timer(WHOLE_S, lambda: _cut(spoken[-1]))
        late.daemon = True
        late.start()
        try:
            if self._tls is not None:
                request.settimeout(LIMIT_S)
                request = _context(self._tls).wrap_socket(request, server_side=True, do_handshake_on_connect=False)
                spoken.append(request)
                request.do_handshake()
            super().process_request_thread(request, client_address)
        except OSError as error:  # ssl.SSLError is one: the peer speaks no TLS, or is gone
            _log.debug("event=metrics-connection-failed reason=%r", str(error))
            self.shutdown_request(request)
        finally:
            late.cancel()
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("event=metrics-connection-failed", exc_info=True)


def _cut(request: socket.socket) -> None:
    """End a connection that takes too long: whoever reads or writes it sees its end."""
    with contextlib.suppress(OSError):  # it is over
        socket.socket.shutdown(request, socket.SHUT_RDWR)


def _context(tls: Tls) -> ssl.SSLContext:
    """Read for each connection: a scrape is rare, and a certificate that was changed is taken."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert, tls.key)
    if tls.client_ca is not None:
        context.load_verify_locations(tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class MetricsServer:
    """Listens from construction on, until `close`.

    Attributes:
        address: where, with the port that was given for port 0: "127.0.0.1:9464" or "unix:/path".
    """

    def __init__(
        self,
        door: Door,
        source: Source,
        *,
        is_serving: Callable[[], bool] = lambda: True,
        allows: Callable[[str], bool] | None = None,
    ) -> None:
        """
        Args:
            door: where; `listening.check` has found that it may be opened.
            source: gives what is shown, at each scrape.
            is_serving: what `/healthz` tells.
            allows: whether a token may read, asked where others than this host can come; None: nobody is asked for one.

        Raises:
            OSError: it cannot listen there.
        """
        registry = CollectorRegistry(auto_describe=False)
        registry.register(PoolCollector(source))
        listening = bind_socket(door)
        self._path = door.address.removeprefix("unix:") if door.address.startswith("unix:") else ""
        self.address = door.address
        if not self._path and door.address.endswith(":0"):
            self.address = f"{door.address.rpartition(':')[0]}:{listening.getsockname()[1]}"
        asks = None if is_local(door.address) else allows
        self._server = _Server(listening, registry, asks, is_serving, None if self._path else door.tls)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, name="metrics", daemon=True
        )
        self._thread.start()
        _log.info("event=metrics-listen address=%s", self.address)

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(1.0)
        if self._path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
