"""Which doors are opened, and what is said of those that are not; certificates that follow their files."""

from __future__ import annotations

import itertools
import os
import socket
import stat
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from cupool.pool.config import PoolConfig
from cupool.pool.security import certs, listen
from cupool.pool.security.listen import Door, ListenRefused, Tls
from cupool.pool.services import cert_door

from cupool.contract.listening import TlsFiles, host_of
from cupool.contract.tlsnames import server_name

LOCAL = ("127.0.0.1:0", "127.9.9.9:7070", "[::1]:0", "localhost:1", "unix:/run/x.sock", "unix-abstract:x")
OTHERS = (
    "0.0.0.0:0",
    "[::]:0",
    "10.0.0.7:7070",
    "pool.example:7070",
    "127.0.0.1.evil.example:1",
    "localhost.evil:1",
    "[::ffff:10.0.0.1]:1",
)
NO_ADDRESS = (
    "", ":7070", "7070", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "::1:7070", "unix:", "ipv4:0.0.0.0:1",
    "ipv4:127.0.0.1:1,0.0.0.0:2", "127.0.0.1:1,0.0.0.0:2", "dns:///localhost:1", "[127.0.0.1]:1", "127.0.0.1:٣",
)  # fmt: skip


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    certs.init(folder)
    return folder


def tls_of(issued: certs.Issued) -> Tls:
    return Tls(issued.cert, issued.key)


@pytest.mark.parametrize(
    ("address", "has_tls", "has_credentials"), list(itertools.product(LOCAL + OTHERS, (False, True), (False, True)))
)
def test_the_matrix_of_bind_tls_and_credentials(authority, address, has_tls, has_credentials):
    tls = tls_of(certs.issue_server(authority, ["127.0.0.1"])) if has_tls else None
    door = Door("clients", address, tls, has_credentials)
    if address in LOCAL or (has_tls and has_credentials):
        verdict = listen.check([door])
        assert not verdict.insecure and bool(verdict.warnings) == (address in LOCAL and not has_credentials)
        assert not listen.check([door], insecure=True).insecure
        return
    with pytest.raises(ListenRefused) as info:
        listen.check([door])
    text = str(info.value)
    assert address in text and "run code" in text and "--insecure" in text and "127.0.0.1 or a unix socket" in text
    assert ("without TLS" in text) == (not has_tls) and ("cupool certs" in text) == (not has_tls)
    assert ("credentials" in text) == (not has_credentials)
    verdict = listen.check([door], insecure=True)
    assert verdict.insecure and "INSECURE" in verdict.warnings[0] and address in verdict.warnings[0]


@pytest.mark.parametrize("address", NO_ADDRESS)
def test_what_is_no_address_is_refused_also_with_insecure(address):
    with pytest.raises(ListenRefused, match=r"is no address|names no socket"):
        listen.check([Door("clients", address)], insecure=True)


def test_one_bad_door_refuses_all():
    with pytest.raises(ListenRefused, match="operators"):
        listen.check([Door("clients", "127.0.0.1:0"), Door("operators", "0.0.0.0:0")])


def test_metrics_may_be_read_from_elsewhere_with_a_warning():
    verdict = listen.check([Door("metrics", "0.0.0.0:9400", has_credentials=False, reads_only=True)])
    assert not verdict.insecure and "only tells" in verdict.warnings[0]


def test_host_of():
    assert host_of("[::1]:7") == "::1" and host_of("a.b:7") == "a.b" and host_of("unix:/x") == ""


@pytest.mark.parametrize(
    ("spoil", "says"),
    [("no key", "cannot be read"), ("open key", "chmod 600"), ("other key", "cannot be used together"),
     ("no cert", "cannot be used together"), ("locked key", "password")],
)  # fmt: skip
def test_certificates_that_cannot_be_used_are_named_before_anything_starts(tmp_path, authority, spoil, says):
    issued = certs.issue_server(authority, ["localhost"], f"spoilt-{spoil.replace(' ', '-')}")
    other = certs.issue_server(authority, ["localhost"], "other")
    if spoil == "no key":
        issued.key.unlink()
    elif spoil == "open key":
        issued.key.chmod(0o644)
    elif spoil == "other key":
        issued.key.write_bytes(other.key.read_bytes())
    elif spoil == "no cert":
        issued.cert.write_text("not a certificate")
    else:
        from cryptography.hazmat.primitives import serialization as s

        key = s.load_pem_private_key(issued.key.read_bytes(), None)
        issued.key.write_bytes(
            key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"x"))
        )
    with pytest.raises(ListenRefused, match=says):
        listen.check([Door("clients", "0.0.0.0:0", tls_of(issued))])


# ---- certificates


def test_private_keys_are_their_owners_alone(authority):
    old = os.umask(0)
    try:
        issued = [
            certs.issue_server(authority, ["localhost"], "umask"),
            certs.issue_client(authority, "acme"),
            certs.issue_node(authority, "n1"),
        ]
    finally:
        os.umask(old)
    for path in [authority / certs.CA_KEY, *(i.key for i in issued)]:
        assert path.stat().st_mode & 0o777 == 0o600, path
    assert not [p for p in authority.iterdir() if p.name.startswith(".")], "no half-written file is left"


def test_an_authority_is_not_overwritten(authority):
    before = (authority / certs.CA_KEY).read_bytes()
    with pytest.raises(certs.CertsError, match="already"):
        certs.init(authority)
    assert (authority / certs.CA_KEY).read_bytes() == before


def test_what_cannot_be_issued_says_why(tmp_path, authority):
    for call, says in (
        (lambda: certs.issue_server(tmp_path, ["localhost"]), "cupool certs init"),
        (lambda: certs.issue_server(authority, []), "at least one"),
        (lambda: certs.issue_server(authority, ["a b"]), "no host name"),
        (lambda: certs.issue_server(authority, ["localhost"], "../x"), "no name for a file"),
        (lambda: certs.issue_server(authority, ["localhost"], days=0), "at least 1"),
        (lambda: certs.issue_client(authority, "a/b"), "tenant's name"),
    ):
        with pytest.raises(certs.CertsError, match=says):
            call()


def test_inspect_tells_what_doctor_needs(authority):
    status = certs.inspect(certs.issue_server(authority, ["localhost", "10.0.0.7"], "inspected").cert)
    assert status.names == ("localhost", "10.0.0.7") and not status.is_authority and not status.is_due
    assert 364 * 86400 < status.left_s < 366 * 86400
    assert certs.inspect(certs.issue_server(authority, ["x"], "brief", days=1).cert).left_s < 86401
    assert certs.inspect(authority / certs.CA_CERT).is_authority


# ---- over real connections


class Echo:
    """A gRPC server at one door, and clients of it."""

    def __init__(self, door: Door) -> None:
        self.server = grpc.server(futures.ThreadPoolExecutor(2))
        handler = grpc.method_handlers_generic_handler(
            "t", {"echo": grpc.unary_unary_rpc_method_handler(lambda r, c: r + b"".join(c.auth_context().get("x509_common_name", []))),
                  "stream": grpc.stream_stream_rpc_method_handler(lambda frames, c: frames)},
        )  # fmt: skip
        self.server.add_generic_rpc_handlers((handler,))
        self.address = listen.bind(self.server, door)
        self.server.start()

    def __enter__(self) -> Echo:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop(0).wait()

    def channel(self, trust: bytes, name: str = "", pair: certs.Issued | None = None) -> grpc.Channel:
        options = [("grpc.use_local_subchannel_pool", 1)] + ([("grpc.ssl_target_name_override", name)] if name else [])
        mine = (pair.key.read_bytes(), pair.cert.read_bytes()) if pair else (None, None)
        return grpc.secure_channel(self.address, grpc.ssl_channel_credentials(trust, *mine), options)

    def call(self, *args: object) -> bytes:
        with self.channel(*args) as channel:
            return channel.unary_unary("/t/echo")(b"hi", timeout=10)

    def refuses(self, *args: object) -> bool:
        try:
            self.call(*args)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE, error
            return True
        return False


def test_a_certificate_is_for_its_host(tmp_path):
    certs.init(tmp_path)
    trust = (tmp_path / certs.TRUST).read_bytes()
    with Echo(Door("clients", "127.0.0.1:0", tls_of(certs.issue_server(tmp_path, ["127.0.0.1"])))) as echo:
        assert echo.call(trust) == b"hi"
        other = tmp_path / "other"
        certs.init(other)
        assert echo.refuses((other / certs.TRUST).read_bytes()), "another authority's certificates are not trusted"
    with Echo(Door("clients", "127.0.0.1:0", tls_of(certs.issue_server(tmp_path, ["pool.example"])))) as echo:
        assert echo.refuses(trust) and echo.call(trust, "pool.example") == b"hi"


def test_a_server_of_a_node_has_a_name_of_its_own(tmp_path):
    certs.init(tmp_path)
    trust = (tmp_path / certs.TRUST).read_bytes()
    node = certs.issue_node(tmp_path, "node-a")
    authority = certs.NodeAuthority(node.cert, node.key)
    with Echo(Door("session", "127.0.0.1:0", tls_of(authority.issue("server-1", "node-a", tmp_path / "s1")))) as echo:
        assert echo.call(trust, server_name("server-1", "node-a")) == b"hi"
        assert echo.refuses(trust, server_name("server-2", "node-a")), (
            "a server's key is worth nothing to another server"
        )
        assert echo.refuses(trust)
    # An agent cannot sign for what is not on its node: neither another node's servers nor the pool itself.
    with Echo(Door("session", "127.0.0.1:0", tls_of(authority.issue("server-1", "node-b", tmp_path / "s2")))) as echo:
        assert echo.refuses(trust, server_name("server-1", "node-b"))


def test_names_of_any_ids():
    assert server_name("server-12", "n") == "server-12.n.servers.cupool.internal"
    for odd in ("Server_1", "a.b", "", "x" * 64, "-a"):
        label = server_name(odd, "n").partition(".")[0]
        assert label.startswith("x-") and len(label) <= 63


def test_client_certificates_are_asked_for_and_named(tmp_path):
    certs.init(tmp_path)
    trust, issued = (tmp_path / certs.TRUST).read_bytes(), certs.issue_server(tmp_path, ["127.0.0.1"])
    mine = certs.issue_client(tmp_path, "acme")
    with Echo(Door("clients", "127.0.0.1:0", Tls(issued.cert, issued.key, tmp_path / certs.TRUST))) as echo:
        assert echo.call(trust, "", mine) == b"hiacme"
        assert echo.refuses(trust), "no certificate, no connection"
        certs.init(tmp_path / "foreign")
        assert echo.refuses(trust, "", certs.issue_client(tmp_path / "foreign", "acme"))


def test_rotation_with_overlap_drops_no_stream(tmp_path):
    certs.init(tmp_path)
    old_trust = (tmp_path / certs.TRUST).read_bytes()
    issued = certs.issue_server(tmp_path, ["127.0.0.1"])
    with Echo(Door("clients", "127.0.0.1:0", tls_of(issued))) as echo, echo.channel(old_trust) as channel:
        sending: list[bytes] = [b"1"]
        import queue

        frames: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        frames.put(sending[0])
        stream = channel.stream_stream("/t/stream")(iter(frames.get, None), timeout=30)
        assert next(stream) == b"1"
        certs.rotate(tmp_path)
        with pytest.raises(certs.CertsError, match="Finish"):
            certs.rotate(tmp_path)
        both = (tmp_path / certs.TRUST).read_bytes()
        assert echo.call(both) == b"hi" and echo.call(old_trust) == b"hi", "the listener still has the old certificate"
        certs.issue_server(tmp_path, ["127.0.0.1"])
        assert echo.call(both) == b"hi"
        assert echo.refuses(old_trust), "the listener took the new certificate by itself"
        frames.put(b"2")
        assert next(stream) == b"2", "a stream of before goes on"
        certs.finish_rotation(tmp_path)
        assert echo.call((tmp_path / certs.TRUST).read_bytes()) == b"hi"
        assert not (tmp_path / "ca-old.key").exists()
        frames.put(None)
        assert list(stream) == []


def test_files_are_read_when_they_change(authority):
    issued = certs.issue_server(authority, ["localhost"], "changing")
    files = TlsFiles(tls_of(issued))
    files.read()
    assert files.changed() is None
    certs.issue_server(authority, ["localhost"], "changing")
    key, cert, _ = files.changed()
    assert (key, cert) == (issued.key.read_bytes(), issued.cert.read_bytes()) and files.changed() is None
    # A rotation that is half written is not taken.
    issued.key.write_bytes(certs.issue_server(authority, ["localhost"], "another").key.read_bytes())
    assert files.changed() is None


def test_unix_sockets_are_ones_own_and_are_not_stolen(tmp_path):
    door = Door("clients", f"unix:{tmp_path}/s")
    with Echo(door):
        assert (tmp_path / "s").stat().st_mode & 0o077 == 0
        for again in (lambda: Echo(door), lambda: listen.bind_socket(door)):
            with pytest.raises(OSError, match="something listens there already"):
                again()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/dead")
    with Echo(Door("clients", f"unix:{tmp_path}/dead")) as echo, grpc.insecure_channel(echo.address) as channel:
        assert channel.unary_unary("/t/echo")(b"hi", timeout=10) == b"hi"


def test_sockets_for_others_than_grpc(tmp_path):
    for address in ("127.0.0.1:0", f"unix:{tmp_path}/m"):
        with listen.bind_socket(Door("metrics", address)) as found:
            assert found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    with listen.bind_socket(Door("metrics", "127.0.0.1:0")) as found:
        port = found.getsockname()[1]
        with pytest.raises(OSError, match="Is something else there"):
            listen.bind_socket(Door("metrics", f"127.0.0.1:{port}"))


def test_taken_ports_are_told(tmp_path):
    with Echo(Door("clients", "127.0.0.1:0")) as echo, pytest.raises(OSError, match="cannot listen at"):
        server = grpc.server(futures.ThreadPoolExecutor(1), options=[("grpc.so_reuseport", 0)])
        listen.bind(server, Door("clients", echo.address))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, r"no --tls-cert .*no --tls-key .*no --tls-ca"),
        ({"tls_cert": "c", "tls_key": "k"}, r"no --tls-ca"),
        ({"tls_cert": "c", "tls_key": "k", "tls_ca": "a", "cert_listen": "unix:/x"}, "unix socket"),
    ],
)
def test_a_door_for_certificates_needs_some(fields, says):
    with pytest.raises(ListenRefused, match=says):
        cert_door(PoolConfig(**{"cert_listen": "127.0.0.1:7443", **fields}))
    door = cert_door(PoolConfig(cert_listen="127.0.0.1:7443", tls_cert="c", tls_key="k", tls_ca="a"))
    assert door.tls is not None and str(door.tls.client_ca) == "a" and door.has_credentials


def test_an_authority_made_first_of_all_lies_where_nobody_else_enters(tmp_path: Path) -> None:
    """Before the pool has its folder, which holds credentials."""
    certs.init(tmp_path / "state" / "cupool" / "certs")
    for folder in ("state", "state/cupool", "state/cupool/certs"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700, folder
