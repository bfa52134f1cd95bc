"""Serves `/metrics` for Prometheus and `/healthz` for probes, on a port or unix socket of its own.

Off unless configured. Boundary: HTTP, addresses, who may read. What is shown is `metrics.py`'s. On this host (127.0.0.1, a unix socket)
anybody who can connect may read; elsewhere it listens only with TLS and asks for a token.

A scrape is a thread; there are at most `MAX_SCRAPES`, each for at most `LIMIT_S`, so that a client that says nothing holds nothing.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import ssl
import stat
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from .config import is_local
from .metrics import PoolCollector, Source

_log = logging.getLogger(__name__)

MAX_SCRAPES = 8
LIMIT_S = 10.0


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
    allow_reuse_address = True
    request_queue_size = MAX_SCRAPES

    def __init__(
        self,
        address: Any,
        family: socket.AddressFamily,
        registry: CollectorRegistry,
        allows: Callable[[str], bool] | None,
        is_serving: Callable[[], bool],
        tls: ssl.SSLContext | None,
    ) -> None:
        self.address_family = family
        self.registry = registry
        self.allows = allows
        self.is_serving = is_serving
        self._tls = tls
        self._places = threading.BoundedSemaphore(MAX_SCRAPES)
        super().__init__(address, _Handler)

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
        try:
            if self._tls is not None:
                request.settimeout(LIMIT_S)
                request = self._tls.wrap_socket(request, server_side=True)
            super().process_request_thread(request, client_address)
        except OSError as error:  # ssl.SSLError is one: the peer speaks no TLS, or is gone
            _log.debug("event=metrics-connection-failed reason=%r", str(error))
            self.shutdown_request(request)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("event=metrics-connection-failed", exc_info=True)


class MetricsServer:
    """Listens from construction on, until `close`.

    Attributes:
        address: where, with the port that was given for port 0: "127.0.0.1:9464" or "unix:/path".
    """

    def __init__(
        self,
        address: str,
        source: Source,
        *,
        is_serving: Callable[[], bool] = lambda: True,
        allows: Callable[[str], bool] | None = None,
        tls: ssl.SSLContext | None = None,
        is_insecure: bool = False,
    ) -> None:
        """
        Args:
            address: "host:port" or "unix:/path".
            source: gives what is shown, at each scrape.
            is_serving: what `/healthz` tells.
            allows: whether a token may read; None: no token is asked for.
            is_insecure: listen where others can reach it without TLS or token all the same.

        Raises:
            ValueError: the address makes no sense, or others could read there without TLS and a token.
            OSError: it cannot listen there.
        """
        if not is_local(address) and (tls is None or allows is None) and not is_insecure:
            raise ValueError(
                f"/metrics does not listen at {address} without TLS and tokens: other machines could read it. Listen at 127.0.0.1 or a "
                "unix socket, or give the pool certificates and credentials."
            )
        registry = CollectorRegistry(auto_describe=False)
        registry.register(PoolCollector(source))
        self._path: Path | None = None
        family: socket.AddressFamily
        if address.startswith("unix:"):
            self._path = Path(address.removeprefix("unix:"))
            _remove_stale(self._path)
            target: Any = str(self._path)
            family = socket.AF_UNIX
        else:
            target, family = _host_and_port(address)
        try:
            self._server = _Server(target, family, registry, allows, is_serving, tls)
        except OSError as error:
            raise OSError(f"/metrics cannot listen at {address}: {error.strerror or error}.") from error
        if self._path is not None:
            self._path.chmod(0o660)  # the owner's and the group's
        self.address = address
        if self._path is None and address.endswith(":0"):
            self.address = f"{address.rpartition(':')[0]}:{self._server.server_address[1]}"
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
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _host_and_port(address: str) -> tuple[tuple[str, int], socket.AddressFamily]:
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(
            f"{address!r} is no address for /metrics. Write 127.0.0.1:9464 or unix:/run/cupool/metrics.sock."
        )
    host = host.strip("[]")
    return (host, int(port)), socket.AF_INET6 if ":" in host else socket.AF_INET


def _remove_stale(path: Path) -> None:
    """Take away a socket that nobody listens at: of a controller that was killed."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ValueError(f"{path} is there and is no socket. Name another path for /metrics.")
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
