"""TLS from a client to a server on what could be another host: the whole shim over a certificate of the pool's own authority."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
import pytest
from cupool.pool.security import certs
from cupool.shim import lease as leases
from cupool.shim import session
from cupool.shim.config import Config
from cupool.shim.lease import Lease, PoolClient
from cupool.shim.light_stream import LightStream
from cupool.shim.transport import Trust

from cupool.contract.errors import CupoolError, LeaseRefused, PoolUnreachable
from cupool.contract.tlsnames import server_name
from cupool.v1 import pool_pb2

from .servers import FixedPool, Server, array, fetch


@pytest.fixture
def made(tmp_path: Path) -> Path:
    certs.init(tmp_path)
    node = certs.issue_node(tmp_path, "node-1")
    certs.NodeAuthority(node.cert, node.key).issue("server-1", "node-1", tmp_path / "server")
    return tmp_path


def tls_options(folder: Path) -> list[str]:
    return ["--tls-cert", str(folder / "server" / "tls.pem"), "--tls-key", str(folder / "server" / "tls.key")]


def pool_of(server: Server, name: str) -> FixedPool:
    pool = FixedPool(server.endpoint)
    pool.lease = Lease("s", "t", server.endpoint, 1, "server-1", "", name)
    return pool


@pytest.mark.parametrize("transport", ["core", "grpc", "light"])
def test_arrays_travel_over_tls_and_big_ones_too(made: Path, transport: str) -> None:
    with_tls = Server(*tls_options(made))
    try:
        settings = Config(ca=str(made / certs.TRUST), transport=transport)
        session.open_at(pool_of(with_tls, server_name("server-1", "node-1")), settings)
        try:
            assert list(fetch(array([1.0, 2.0]))) == [1, 2]
            assert isinstance(session.current().link._stream, LightStream) == (transport == "light")
            from cupool.shim import cupy as cp

            big = np.arange(1 << 19, dtype=np.float64)
            assert np.array_equal(cp.asnumpy(cp.asarray(big) + 1), big + 1)
        finally:
            session._close("the test ended", 1.0)
    finally:
        with_tls.close()


def test_a_server_of_another_name_or_authority_is_not_believed(made: Path) -> None:
    certs.init(made / "other")
    server = Server(*tls_options(made))
    try:
        for trust, name in (
            (made, server_name("server-2", "node-1")),
            (made, ""),
            (made / "other", server_name("server-1", "node-1")),
        ):
            settings = Config(ca=str(trust / certs.TRUST), reconnect_s=1.0)
            with pytest.raises(CupoolError):
                session.open_at(pool_of(server, name), settings)
        with pytest.raises(CupoolError):
            session.open_at(pool_of(server, ""), Config(reconnect_s=1.0))
    finally:
        server.close()


def test_a_pool_with_tls_says_what_a_client_lacks(tmp_path: Path) -> None:
    certs.init(tmp_path)
    issued = certs.issue_server(tmp_path, ["pool.example"])
    server = grpc.server(futures.ThreadPoolExecutor(1))
    pair = [(issued.key.read_bytes(), issued.cert.read_bytes())]
    address = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', grpc.ssl_server_credentials(pair))}"
    server.start()
    try:
        with pytest.raises(PoolUnreachable, match="CUPOOL_CA"):
            PoolClient(address).acquire(Config(deadline_s=0.2))
        started = time.monotonic()
        with pytest.raises(PoolUnreachable, match="made out to"):
            PoolClient(address, trust=Trust(ca=str(tmp_path / certs.TRUST))).acquire(Config(deadline_s=600))
        assert time.monotonic() - started < 300  # no waiting mends a name
    finally:
        server.stop(None).wait()


def refusal_of(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cupool.apiserver", "--assign", "s:t", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 2 and not done.stdout, "it started"
    return done.stderr


def test_a_server_does_not_listen_for_others_without_tls(made: Path) -> None:
    for address in ("0.0.0.0:0", "[::]:0", "ipv4:0.0.0.0:0"):
        text = refusal_of("--listen", address)
        assert address in text and ("--insecure" in text or "no address" in text)
    assert "go together" in refusal_of("--tls-cert", str(made / "server" / "tls.pem"))
    assert "cannot be read" in refusal_of("--listen", "0.0.0.0:0", "--tls-cert", "/nowhere", "--tls-key", "/nowhere")
    assert "unix:/path" in refusal_of("--control", "0.0.0.0:0")


@pytest.mark.parametrize("how", ["tls", "insecure"])
def test_a_server_listens_for_others_with_tls_or_when_told(made: Path, how: str) -> None:
    options = tls_options(made) if how == "tls" else ["--insecure"]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "cupool.apiserver", "--assign", "s:t", "--listen", "0.0.0.0:0", *options],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdin is not None and process.stderr is not None
    assert json.loads(process.stdout.readline())["ready"]
    process.stdin.close()
    with process.stdout, process.stderr:
        said = process.stderr.read()
    assert process.wait(20) == 0
    assert ("INSECURE" in said) == (how == "insecure")


class Answers:
    """A PoolService stub that gives one lease and remembers what was given back."""

    def __init__(self, **lease: object) -> None:
        self.lease = pool_pb2.Lease(session="s", session_token="t", epoch=1, server="server-1", node="node-1", **lease)
        self.released: list[str] = []

    def Acquire(self, request: object, **_: object) -> pool_pb2.Lease:
        return self.lease

    def Release(self, request: pool_pb2.ReleaseRequest, **_: object) -> pool_pb2.ReleaseReply:
        self.released.append(request.reason)
        return pool_pb2.ReleaseReply()


@pytest.mark.parametrize(
    ("endpoint", "tls", "ca", "says"),
    [("10.0.0.7:1", False, True, "without TLS"), ("10.0.0.7:1", True, False, "CUPOOL_CA"), ("10.0.0.7:1", True, True, ""),
     ("127.0.0.1:1", False, True, ""), ("unix:/run/s", False, True, ""), ("10.0.0.7:1", False, False, "")],
)  # fmt: skip
def test_nobody_takes_tls_away(
    made: Path, endpoint: str, tls: bool, ca: bool, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = leases.PoolClient("127.0.0.1:1", "", Trust(str(made / certs.TRUST)) if ca else Trust())
    answers = Answers(endpoint=endpoint, tls=tls)
    monkeypatch.setattr(leases.PoolClient, "_stub", answers)
    try:
        if says:
            with pytest.raises(LeaseRefused, match=says):
                client.acquire(Config())
            assert answers.released, "what cannot be used is given back"
        else:
            lease = client.acquire(Config())
            assert lease.tls_name == (server_name("server-1", "node-1") if tls else "") and not answers.released
    finally:
        client.close()


def test_files_that_cannot_be_read_are_named() -> None:
    with pytest.raises(PoolUnreachable, match=r"CUPOOL_CA: /nowhere cannot be read"):
        leases.PoolClient("127.0.0.1:1", "", Trust("/nowhere")).acquire(Config(deadline_s=1.0))


@pytest.mark.parametrize("transport", ["core", "light"])
def test_files_that_hold_something_else_are_named_at_once(made: Path, tmp_path: Path, transport: str) -> None:
    """With the long deadline that it is not to wait for, and whatever is or is not at the address."""
    other = tmp_path / "token"
    other.write_text("not a certificate\n")
    trust = str(made / certs.TRUST)
    for wrong, says in (
        (Trust(str(other)), "CUPOOL_CA: .* holds no certificate"),
        (Trust(trust, str(other)), "CUPOOL_CERT: .* holds no certificate"),
        (Trust(trust, trust, trust), "CUPOOL_KEY: .* holds no private key"),
    ):
        with pytest.raises(PoolUnreachable, match=says):
            leases.PoolClient("127.0.0.1:1", "", wrong, transport=transport).acquire(Config(deadline_s=3600.0))


def test_a_rotated_certificate_drops_no_stream(made: Path) -> None:
    """New connections get the new certificate; the stream of before goes on."""
    server = Server(*tls_options(made))
    try:
        name = server_name("server-1", "node-1")
        session.open_at(pool_of(server, name), Config(ca=str(made / certs.TRUST)))
        try:
            assert list(fetch(array([1.0]))) == [1]
            before = (made / "server" / "tls.pem").read_bytes()
            node = certs.NodeAuthority(made / "node-node-1.pem", made / "node-node-1.key")
            node.issue("server-1", "node-1", made / "server")
            after = (made / "server" / "tls.pem").read_bytes()
            assert before != after
            assert shown_by(server.endpoint, made / certs.TRUST, name) == first_certificate(after)
            assert list(fetch(array([2.0]))) == [2]
            assert session.current().link.reconnects == 0
        finally:
            session._close("the test ended", 1.0)
    finally:
        server.close()


def shown_by(endpoint: str, trust: Path, name: str) -> bytes:
    import socket
    import ssl

    host, _, port = endpoint.rpartition(":")
    context = ssl.create_default_context(cafile=str(trust))
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, int(port))) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        found = secure.getpeercert(True)
        assert found is not None
        return found


def first_certificate(pem: bytes) -> bytes:
    import ssl

    text = pem.decode()
    end = "-----END CERTIFICATE-----"
    return ssl.PEM_cert_to_DER_cert(text[: text.index(end) + len(end)])


def test_client_certificates_reach_the_pool(made: Path) -> None:
    """A pool that asks for client certificates sees the shim's."""
    from concurrent import futures

    from cupool.pool.security import listen

    issued, client = certs.issue_server(made, ["127.0.0.1"]), certs.issue_client(made, "acme")
    names: list[bytes] = []

    def acquire(request: bytes, context: grpc.ServicerContext) -> bytes:
        names.extend(context.auth_context()["x509_common_name"])
        return pool_pb2.Lease(session="s", endpoint="unix:/x").SerializeToString()

    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "cupool.v1.PoolService", {"Acquire": grpc.unary_unary_rpc_method_handler(acquire)}
            ),
        )
    )
    address = listen.bind(
        server, listen.Door("clients", "127.0.0.1:0", listen.Tls(issued.cert, issued.key, made / certs.TRUST))
    )
    server.start()
    try:
        ca = str(made / certs.TRUST)
        pool = leases.PoolClient(address, "", Trust(ca, str(client.cert), str(client.key)))
        assert pool.acquire(Config()).session == "s" and names == [b"acme"]
        pool.close()
        without = leases.PoolClient(address, "", Trust(ca))
        with pytest.raises(PoolUnreachable):
            without.acquire(Config(deadline_s=0.0))
        without.close()
    finally:
        server.stop(0).wait()
