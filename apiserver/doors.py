"""The certificate of the data listener, followed while the server runs."""

from __future__ import annotations

from typing import Any

import grpc

from cupool.contract.listening import Tls, TlsFiles


def server_credentials(tls: Tls) -> Any:
    """grpc.ServerCredentials that follow the files: a new certificate is for new connections, streams go on."""
    files = TlsFiles(tls)
    key, cert, _ = files.read()

    def configuration(key: bytes, cert: bytes) -> Any:
        return grpc.ssl_server_certificate_configuration([(key, cert)])

    def changed() -> Any:
        now = files.changed()
        return None if now is None else configuration(now[0], now[1])

    return grpc.dynamic_ssl_server_credentials(configuration(key, cert), changed)
