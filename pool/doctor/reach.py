"""Checks of a program's way to its pool: proxies, address, TLS, credential, and a session. Base install only."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import Verdict, failed, ok, skipped, warning
from .program import run_python

_UNREACHABLE, _NOT_AUTHORISED, _TIMED_OUT = 3, 4, 7
_CONNECT_S = 3.0
_SESSION_S = 60.0
#: What a program on a pool does: the time to its first result, of a round trip, and for 16 MiB each way.
_PROGRAM = """
import json, sys, time
t0 = time.perf_counter()
import cupy as cp, numpy as np
t1 = time.perf_counter()
if float(cp.arange(8).sum()) != 28.0: sys.exit("a wrong number came back")
t2 = time.perf_counter()
trips = []
for _ in range(30):
    a = time.perf_counter(); float(cp.ones(1)[0]); trips.append(time.perf_counter() - a)
data = np.ones(1 << 21)
a = time.perf_counter(); x = cp.asarray(data); float(x[0]); b = time.perf_counter(); back = x.get(); c = time.perf_counter()
if not (back == data).all(): sys.exit("wrong data came back")
print(json.dumps({"import": t1 - t0, "first": t2 - t1, "trip": sorted(trips)[15], "up": data.nbytes / (b - a), "down": data.nbytes / (c - b)}))
"""


def _addr() -> str:
    return os.environ.get("CUPOOL_ADDR", "")


def _split(addr: str) -> tuple[str, int]:
    """Host and port of "host:port". Raises ValueError."""
    host, _, port = addr.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{addr!r} is no address")
    return host.strip("[]"), int(port)


def proxy() -> Iterator[Verdict]:
    """grpc takes these variables for itself."""
    given = {
        n: v
        for n in ("grpc_proxy", "https_proxy", "http_proxy")
        for v in (os.environ.get(n) or os.environ.get(n.upper()),)
        if v
    }
    addr = _addr()
    if not given or not addr or addr.startswith(("unix:", "unix-abstract:")):
        yield ok(
            "proxy",
            "no proxy is between this program and the pool"
            if not given
            else f"{', '.join(given)} is set, and the pool is a socket of this host",
        )
        return
    host = addr.rpartition(":")[0].strip("[]")
    names = ("no_grpc_proxy", "no_proxy", "NO_PROXY")
    text = next((os.environ[n] for n in names if os.environ.get(n)), "")
    excluded = [e.strip().lstrip(".") for e in text.split(",")]
    if any(e and (e == "*" or host == e or host.endswith(f".{e}")) for e in excluded):
        yield ok("proxy", f"{', '.join(given)} is set, and no_proxy leaves {host} out")
    else:
        yield warning(
            "proxy",
            f"{', '.join(given)} is set: grpc goes through it to {host}",
            f"Set no_proxy={host}, where the proxy shall not be used.",
        )


def address() -> Iterator[Verdict]:
    addr = _addr()
    if not addr:
        yield skipped("address", "CUPOOL_ADDR is not set: a program starts a pool of its own on this machine")
        return
    if addr.startswith("unix:"):
        yield _socket_file(addr.removeprefix("unix:"))
        return
    try:
        host, port = _split(addr)
    except ValueError as error:
        yield failed("address", f"CUPOOL_ADDR: {error}", "Write host:port or unix:/path.", 2)
        return
    try:
        found = sorted({str(i[4][0]) for i in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except OSError as error:
        yield failed(
            "address",
            f"{host} has no address: {error.strerror}",
            "Check the name in CUPOOL_ADDR, and this host's DNS.",
            _UNREACHABLE,
        )
        return
    began = time.perf_counter()
    try:
        socket.create_connection((host, port), _CONNECT_S).close()
    except OSError as error:
        why = "no answer" if isinstance(error, TimeoutError) else error.strerror
        yield failed(
            "address",
            f"{host} is {', '.join(found)}; port {port}: {why}",
            "Is the pool running there, and does a firewall let you through?",
            _UNREACHABLE,
        )
        return
    yield ok(
        "address",
        f"{host} is {', '.join(found)}; port {port} answers after {(time.perf_counter() - began) * 1000:.1f} ms",
    )


def _socket_file(path: str) -> Verdict:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_CONNECT_S)
        try:
            probe.connect(path)
        except OSError as error:
            why = {2: "there is no such socket", 111: "no process listens there", 13: "this user may not go there"}.get(
                error.errno or 0, str(error)
            )
            code = _NOT_AUTHORISED if error.errno == 13 else _UNREACHABLE
            return failed(
                "address", f"unix:{path}: {why}", "`cupool up` starts a pool on this host; check CUPOOL_ADDR.", code
            )
    return ok("address", f"unix:{path} answers")


def tls() -> Iterator[Verdict]:
    addr, ca = _addr(), os.environ.get("CUPOOL_CA", "")
    if not addr or addr.startswith(("unix:", "unix-abstract:")):
        yield skipped("tls", "the pool is on this machine: nobody is on the way")
        return
    try:
        host, port = _split(addr)
    except ValueError:
        return  # `address` says so
    if not ca:
        if _speaks_tls(host, port):
            yield failed(
                "tls",
                "the pool speaks TLS, and CUPOOL_CA is not set",
                "Set CUPOOL_CA to the pool's trust.pem; its operator has it.",
                _NOT_AUTHORISED,
            )
        elif host in ("localhost", "::1") or host.startswith("127."):
            yield skipped("tls", "the pool is on this machine: nobody is on the way")
        else:
            yield warning(
                "tls",
                f"nothing encrypts what goes to {host}: whoever is on the way reads and changes it",
                "Ask the pool's operator for TLS.",
            )
        return
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        yield failed("tls", f"CUPOOL_CA={ca} cannot be read: {error}", "Set it to the pool's trust.pem.", 2)
        return
    context.set_alpn_protocols(["h2"])
    cert, key = os.environ.get("CUPOOL_CERT", ""), os.environ.get("CUPOOL_KEY", "")
    try:
        if cert:
            context.load_cert_chain(cert, key or None)
        with (
            socket.create_connection((host, port), _CONNECT_S) as raw,
            context.wrap_socket(raw, server_hostname=host) as channel,
        ):
            shown: Any = channel.getpeercert() or {}
            version = channel.version()
    except ssl.SSLCertVerificationError as error:
        yield failed(
            "tls",
            f"the certificate of {addr} is not accepted: {error.verify_message}",
            _certificate_cure(error.verify_message),
            _NOT_AUTHORISED,
        )
        return
    except (OSError, ssl.SSLError) as error:
        yield failed(
            "tls",
            f"no TLS with {addr}: {error}",
            "Does the pool speak TLS? Check CUPOOL_CA, CUPOOL_CERT and CUPOOL_KEY.",
            _UNREACHABLE,
        )
        return
    left_days = (ssl.cert_time_to_seconds(shown["notAfter"]) - time.time()) / 86400 if "notAfter" in shown else 0.0
    seen = (
        f"{version}; the certificate of {host} is valid for {left_days:.0f} days more; this clock lies within its time"
    )
    if left_days < 14:
        yield warning("tls", seen, "The pool's operator should renew it: `cupool certs issue server`.")
    else:
        yield ok("tls", seen)


def _certificate_cure(message: str) -> str:
    if "not yet valid" in message:
        return "This host's clock is behind, or the pool's was ahead: set the clock (NTP)."
    if "expired" in message:
        return "The pool's operator renews it: `cupool certs issue server`. If it is valid there, this host's clock is ahead."
    if "match" in message:
        return "Use a name that is in the certificate in CUPOOL_ADDR, or have one issued with this name."
    return "CUPOOL_CA is another pool's, or too old: get trust.pem again."


def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with socket.create_connection((host, port), _CONNECT_S) as raw, context.wrap_socket(raw, server_hostname=host):
            return True
    except (OSError, ssl.SSLError):
        return False


def token() -> Iterator[Verdict]:
    addr = _addr()
    if not addr:
        yield skipped("token", "CUPOOL_ADDR is not set")
        return
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    import grpc

    from cupool.v1 import pool_pb2, pool_pb2_grpc

    shown = os.environ.get("CUPOOL_TOKEN", "")
    try:
        channel = _channel(grpc, addr)
    except OSError as error:
        yield failed(
            "token", f"a file of TLS cannot be read: {error}", "Check CUPOOL_CA, CUPOOL_CERT and CUPOOL_KEY.", 2
        )
        return
    with channel:
        stub = pool_pb2_grpc.PoolServiceStub(channel)
        credential = (("authorization", f"Bearer {shown}"),) if shown else ()
        try:
            mine = stub.ListSessions(pool_pb2.ListSessionsRequest(), timeout=5, metadata=credential).sessions
        except grpc.RpcError as error:
            yield _refused(error.code().name, error.details() or "", addr, bool(shown))
            return
    seen = f"the pool accepts {'CUPOOL_TOKEN' if shown else 'programs without a token'}"
    yield ok("token", f"{seen}; {len(mine)} sessions of this tenant are open")


def _channel(grpc: Any, addr: str) -> Any:
    ca = os.environ.get("CUPOOL_CA", "")
    if not ca or addr.startswith(("unix:", "unix-abstract:")):
        return grpc.insecure_channel(addr)
    files = [
        Path(os.environ[n]).read_bytes() if os.environ.get(n) else None
        for n in ("CUPOOL_CA", "CUPOOL_KEY", "CUPOOL_CERT")
    ]
    return grpc.secure_channel(addr, grpc.ssl_channel_credentials(*files))


def _refused(code: str, details: str, addr: str, is_shown: bool) -> Verdict:
    details = details.replace("\n", " ")
    if code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        cure = (
            "Set CUPOOL_TOKEN to a client's token of this pool: `cupool token create --tenant NAME`, by its operator."
        )
        return failed("token", details if is_shown else f"CUPOOL_TOKEN is not set: {details}", cure, _NOT_AUTHORISED)
    if code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
        tail = details.rpartition("last error: ")[2]
        return failed(
            "token", f"the pool at {addr} cannot be asked: {tail}", "See `address` and `tls` above.", _UNREACHABLE
        )
    if code == "UNIMPLEMENTED":
        return failed(
            "token",
            f"what answers at {addr} is no pool, or a much older one: {details}",
            "Check CUPOOL_ADDR; upgrade the older side.",
        )
    return failed("token", f"the pool at {addr} answered {code}: {details}", "Ask its operator: `cupool logs`.")


def session() -> Iterator[Verdict]:
    """A program's whole way: a lease, the protocol's version, the first result, a round trip, bandwidth."""
    if not _addr():
        yield skipped(
            "session", "CUPOOL_ADDR is not set; `cupool run program.py` shows whether a pool of its own works"
        )
        return
    from cupool.v1 import session_pb2  # noqa: F401

    try:
        done = run_python(
            "import sys; sys.argv = ['cupool', 'run', '-c', sys.argv[1]]; from cupool.__main__ import main; sys.exit(main())",
            _SESSION_S,
            _PROGRAM,
        )
    except subprocess.TimeoutExpired:
        yield failed(
            "session",
            f"no result within {_SESSION_S:g} s",
            "`cupool status`, by the pool's operator, shows whether servers are warm.",
            _TIMED_OUT,
        )
        return
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        yield failed(
            "session", last[:400], "The line says what to do; `cupool logs` has the pool's side.", _session_code(last)
        )
        return
    seen = json.loads(done.stdout.splitlines()[-1])
    yield ok(
        "session",
        f"first result after {seen['first'] * 1000:.0f} ms; a round trip takes {seen['trip'] * 1000:.2f} ms; "
        f"{seen['up'] / (1 << 30):.2f} GiB/s up, {seen['down'] / (1 << 30):.2f} GiB/s down; client and server speak the same protocol",
    )


def _session_code(text: str) -> int:
    name = text.partition(":")[0].rpartition(".")[2]
    return {"PoolUnreachable": _UNREACHABLE, "LeaseRefused": 8, "SessionLost": 1}.get(name, 1)
