"""Opens the pool's ports, and is the only place that does: what `check` refuses is not opened.

    verdict = listen.check(doors, insecure)        # before anything starts; raises ListenRefused
    address = listen.bind(server, door)            # a gRPC server listens
    socket  = listen.bind_socket(door)             # something else (metrics) listens

Certificates are read again when their files change: new connections get the new one, streams go on.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Any

import grpc

from cupool.contract.listening import Door, ListenRefused, Tls, TlsFiles, Verdict, check, host_of, is_local

__all__ = ["Door", "ListenRefused", "Tls", "Verdict", "bind", "bind_socket", "check", "is_local", "server_credentials"]


def server_credentials(tls: Tls) -> Any:
    """grpc.ServerCredentials that follow the files.

    Raises:
        ListenRefused: they cannot be used now.
    """
    files = TlsFiles(tls)
    first = files.read()

    def configuration(key: bytes, cert: bytes, client_ca: bytes | None) -> Any:
        return grpc.ssl_server_certificate_configuration([(key, cert)], client_ca)

    def changed() -> Any:
        now = files.changed()
        return None if now is None else configuration(*now)

    return grpc.dynamic_ssl_server_credentials(
        configuration(*first), changed, require_client_authentication=tls.client_ca is not None
    )


def bind(server: grpc.Server | grpc.aio.Server, door: Door) -> str:
    """Have `server` listen at `door`; call before it starts. Returns the address, with the port that was given for port 0.

    Does not judge: `check` has.

    Raises:
        OSError: the address is taken or cannot be had.
        ListenRefused: its certificate cannot be used.
    """
    path = _free_socket_path(door.address)
    try:
        if door.tls is not None and host_of(door.address):
            port = server.add_secure_port(door.address, server_credentials(door.tls))
        else:
            port = server.add_insecure_port(door.address)
    except RuntimeError as error:
        raise OSError(
            f"The pool cannot listen at {door.address} ({door.name}): {_why_not(door)}. Is something else there?"
        ) from error
    if path:
        os.chmod(path, 0o600)
    return f"{door.address.rpartition(':')[0]}:{port}" if door.address.endswith(":0") else door.address


def bind_socket(door: Door) -> socket.socket:
    """A listening socket at `door`, for what does not speak gRPC. TLS is the caller's.

    Raises:
        OSError: the address is taken or cannot be had.
    """
    path = _free_socket_path(door.address)
    host = host_of(door.address)
    family = socket.AF_UNIX if not host else socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        if host:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((host, int(door.address.rpartition(":")[2])))
        else:
            found.bind(path or "\0" + door.address.partition(":")[2])
            if path:
                os.chmod(path, 0o600)
        found.listen(128)
    except OSError as error:
        found.close()
        raise OSError(
            f"The pool cannot listen at {door.address} ({door.name}): {error}. Is something else there?"
        ) from error
    return found


def _why_not(door: Door) -> str:
    """Why gRPC could not listen at `door`: it does not say, the system does."""
    try:
        bind_socket(door).close()
    except OSError as error:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        return cause.strerror or str(cause)
    return "it was taken a moment ago"


def _free_socket_path(address: str) -> str:
    """The path of a unix socket that nobody listens at; "" for other addresses. What a dead listener left is removed.

    Raises:
        OSError: somebody listens there.
    """
    if not address.startswith("unix:"):
        return ""
    path = address.removeprefix("unix:")
    path = "/" + path.lstrip("/") if path.startswith("//") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except (FileNotFoundError, NotADirectoryError):
            return path
        except ConnectionRefusedError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return path
        except OSError as error:
            raise OSError(f"The pool cannot listen at {address}: {error}.") from error
    raise OSError(f"The pool cannot listen at {address}: something listens there already. Is a pool running?")
