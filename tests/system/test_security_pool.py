"""A whole pool with TLS on every door, as an operator starts it: who gets in with which credential, and that none is ever written down."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cupool.pool.security import audit, certs

from cupool.contract.tlsnames import server_name
from cupool.v1 import admin_pb2, admin_pb2_grpc, agent_pb2, agent_pb2_grpc, pool_pb2, pool_pb2_grpc

Code = grpc.StatusCode
pytestmark = [pytest.mark.keeps("the module's pool"), pytest.mark.timeout(300)]


def cupool(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "cupool", *words],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **variables},
    )


@dataclass
class Pool:
    folder: Path
    said: dict[str, Any]
    #: Every credential that anybody had.
    secrets: list[str]
    _channels: dict[str, grpc.Channel]

    @property
    def trust(self) -> bytes:
        return (self.folder / "certs" / certs.TRUST).read_bytes()

    def channel(self, where: str, name: str = "") -> grpc.Channel:
        address = self.said.get(where, where)
        if address not in self._channels:
            options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
            options += [("grpc.ssl_target_name_override", name)] if name else []
            self._channels[address] = grpc.secure_channel(address, grpc.ssl_channel_credentials(self.trust), options)
        return self._channels[address]

    def credential(self, role: str) -> str:
        file = {"client": "token", "admin": "admin-token", "agent": "agent-token"}[role]
        return (self.folder / file).read_text().strip()

    def call(self, method: str, request: Any, token: str | None = None) -> Any:
        token = self.credential("client") if token is None else token
        stub = pool_pb2_grpc.PoolServiceStub(self.channel("addr"))
        return getattr(stub, method)(request, timeout=30, metadata=(("authorization", f"Bearer {token}"),))

    def admin(self, method: str, request: Any, token: str | None = None) -> Any:
        token = self.credential("admin") if token is None else token
        stub = admin_pb2_grpc.AdminServiceStub(self.channel("admin_addr"))
        return getattr(stub, method)(request, timeout=30, metadata=(("authorization", f"Bearer {token}"),))

    def token(self, **fields: Any) -> tuple[str, str]:
        made = self.admin("CreateToken", admin_pb2.CreateTokenRequest(**fields))
        self.secrets.append(made.token)
        return made.token, made.status.id

    def acquire(self, token: str | None = None) -> pool_pb2.Lease:
        lease = self.call(
            "Acquire", pool_pb2.AcquireRequest(deadline_ms=25_000, memory_bytes=1 << 20, function="test"), token
        )
        self.secrets.append(lease.session_token)
        return lease

    def attach(
        self, lease: pool_pb2.Lease, token: str, session: str = "", epoch: int = 0
    ) -> tuple[grpc.StatusCode, str]:
        """Status and words of an Attach that says goodbye as soon as it is greeted."""
        from cupool.v1 import session_pb2 as pb

        frames = [pb.ClientFrame(hello=pb.ClientHello(versions=[1], epoch=epoch or lease.epoch, nonce_next=b"n" * 16))]
        call = self.channel(lease.endpoint, server_name(lease.server, lease.node)).stream_stream("/cupool.v1.SessionService/Attach")(
            iter(f.SerializeToString() for f in frames), timeout=30,
            metadata=(("authorization", f"Bearer {token}"), ("cupool-session", session or lease.session)),
        )  # fmt: skip
        try:
            for frame in call:
                assert pb.ServerFrame.FromString(frame).HasField("hello")
                return Code.OK, ""
        except grpc.RpcError as error:
            return error.code(), error.details() or ""
        finally:
            call.cancel()
        return Code.OK, ""


def folder_of_up(folder: Path) -> None:
    certs.init(folder / "certs")
    certs.issue_server(folder / "certs", ["127.0.0.1"])
    certs.issue_node(folder / "certs", "node-test", "node")
    (folder / "agent").mkdir()
    (folder / "agent" / "node").write_text("node-test")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    folder = tmp_path_factory.mktemp("pool")
    folder_of_up(folder)
    made = folder / "certs"
    done = cupool(
        "up", "--folder", str(folder), "--devices", "cpu:1:512MiB", "--warm", "1", "--max-sessions", "8", "--log-level", "debug",
        "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--agent-listen", "127.0.0.1:0",
        "--tls-cert", str(made / "server.pem"), "--tls-key", str(made / "server.key"), "--tls-ca", str(made / certs.TRUST),
        "--node-cert", str(made / "node.pem"), "--node-key", str(made / "node.key"), "--cert-listen", "127.0.0.1:0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = Pool(folder, json.loads((folder / "pool.json").read_text()), [], {})
    found.secrets += [found.credential(role) for role in ("client", "admin", "agent")]
    yield found
    for channel in found._channels.values():
        channel.close()
    done = cupool("down", "--folder", str(folder))
    assert done.returncode == 0, done.stderr


def refused(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as info:
        call()
    return info.value.code(), info.value.details() or ""


def test_an_unchanged_program_computes_over_tls(pool: Pool) -> None:
    program = (
        "from cupool.shim import cupy as cp; x = cp.arange(1 << 18) * 2; print(int(x.sum()), int(cp.asnumpy(x)[-1]))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=90,
        env={**os.environ, "CUPOOL_ADDR": pool.said["addr"], "CUPOOL_TOKEN": pool.credential("client"),
             "CUPOOL_CA": str(pool.folder / "certs" / certs.TRUST)},
    )  # fmt: skip
    assert done.stdout == f"{((1 << 18) - 1) * (1 << 18)} {2 * ((1 << 18) - 1)}\n", done.stderr


def test_servers_speak_tls_under_their_own_names(pool: Pool) -> None:
    lease = pool.acquire()
    assert lease.tls and lease.endpoint.startswith("127.0.0.1:") and lease.node == "node-test"
    assert pool.attach(lease, lease.session_token)[0] is Code.OK
    with grpc.insecure_channel(lease.endpoint) as plain, pytest.raises(grpc.RpcError) as info:
        plain.unary_unary("/cupool.v1.SessionService/Get")(b"", timeout=60)
    assert info.value.code() is Code.UNAVAILABLE, "nothing is spoken in the clear"
    pool.call("Release", pool_pb2.ReleaseRequest(session=lease.session, session_token=lease.session_token))


def test_its_servers_are_confined_and_sealed_when_their_session_opens(pool: Pool) -> None:
    def filters(pid: int) -> tuple[int, int]:
        """(whether it can gain no privileges, how many system call filters it has)"""
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return int(status["NoNewPrivs"]), int(status["Seccomp_filters"])

    lease = pool.acquire()
    try:
        (pid,) = [p for p in servers_of(pool) if lease.endpoint in listening(p)]
        assert filters(pid) == (1, 1)
        assert pool.attach(lease, lease.session_token)[0] is Code.OK
        assert filters(pid) == (1, 2)
    finally:
        pool.call("Release", pool_pb2.ReleaseRequest(session=lease.session, session_token=lease.session_token))


def servers_of(pool: Pool) -> list[int]:
    """Processes that the agent started and adopted."""
    tasks = Path(f"/proc/{pool.said['agent_pid']}/task")
    return [int(p) for t in tasks.iterdir() for p in (t / "children").read_text().split()]


def listening(pid: int) -> set[str]:
    """Addresses of IPv4 where a process listens; none of one that has ended."""
    inodes, lines = set(), []
    with contextlib.suppress(OSError):
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            inodes.add(os.readlink(fd).removeprefix("socket:[").removesuffix("]"))
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            lines += Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
    found = set()
    for words in map(str.split, lines):
        if words[9] in inodes and words[3] == "0A":
            found.add(f"127.0.0.1:{int(words[1].rpartition(':')[2], 16)}")
    return found


def test_no_credential_no_service(pool: Pool) -> None:
    for token in ("", "wrong", "cupool_client_000000000000_" + "A" * 43, pool.credential("client") + "x"):
        for method, request in (
            ("Acquire", pool_pb2.AcquireRequest()), ("ListSessions", pool_pb2.ListSessionsRequest()), ("Renew", pool_pb2.RenewRequest()),
            ("Release", pool_pb2.ReleaseRequest()),
        ):  # fmt: skip
            assert refused(lambda m=method, r=request, t=token: pool.call(m, r, t))[0] is Code.UNAUTHENTICATED
        for name in admin_pb2.DESCRIPTOR.services_by_name["AdminService"].methods_by_name:
            assert refused(lambda n=name, t=token: admin_call(pool, n, t))[0] is Code.UNAUTHENTICATED, name
        assert refused(lambda t=token: next(connect(pool, t)))[0] is Code.UNAUTHENTICATED


def admin_call(pool: Pool, name: str, token: str) -> Any:
    method = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].methods_by_name[name]
    request = getattr(admin_pb2, method.input_type.name)()
    answer = pool.admin(name, request, token)
    return next(answer) if hasattr(answer, "cancel") and hasattr(answer, "__next__") else answer


def connect(pool: Pool, token: str) -> Any:
    stub = agent_pb2_grpc.AgentServiceStub(pool.channel("agent_addr"))
    frames = iter([agent_pb2.AgentFrame(hello=agent_pb2.AgentHello(node="impostor"))])
    return stub.Connect(frames, timeout=60, metadata=(("authorization", f"Bearer {token}"),))


def test_a_role_opens_its_own_doors_alone(pool: Pool) -> None:
    viewer, operator = pool.token(role="viewer")[0], pool.token(role="operator")[0]
    client, agent, admin = pool.credential("client"), pool.credential("agent"), pool.credential("admin")
    for token in (viewer, operator, admin, agent):
        code, text = refused(lambda t=token: pool.acquire(t))
        assert code is Code.PERMISSION_DENIED and token not in text
    for token in (viewer, operator, admin, client):
        assert refused(lambda t=token: next(connect(pool, t)))[0] is Code.PERMISSION_DENIED
    for token in (client, agent):
        assert (
            refused(lambda t=token: pool.admin("GetPool", admin_pb2.GetPoolRequest(), t))[0] is Code.PERMISSION_DENIED
        )
    assert pool.admin("GetPool", admin_pb2.GetPoolRequest(), viewer).pool
    changes = {
        "KillSession": admin_pb2.KillSessionRequest(session="none"), "Cordon": admin_pb2.CordonRequest(device="none"),
        "SetQuota": admin_pb2.SetQuotaRequest(tenant="acme", fields=["sessions"]),
    }  # fmt: skip
    for name, request in changes.items():
        assert refused(lambda n=name, r=request: pool.admin(n, r, viewer))[0] is Code.PERMISSION_DENIED, name
    for name, request in (
        ("CreateToken", admin_pb2.CreateTokenRequest(role="admin")), ("Shutdown", admin_pb2.ShutdownRequest()),
        ("RevokeToken", admin_pb2.RevokeTokenRequest(id="0")),
    ):  # fmt: skip
        assert refused(lambda n=name, r=request: pool.admin(n, r, operator))[0] is Code.PERMISSION_DENIED, name


def test_expired_and_revoked_tokens(pool: Pool) -> None:
    brief, _ = pool.token(role="client", tenant="acme", valid_s=1)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            pool.call("ListSessions", pool_pb2.ListSessionsRequest(), brief)
        except grpc.RpcError as error:
            assert error.code() is Code.UNAUTHENTICATED and "expired" in (error.details() or "")
            break
        time.sleep(0.05)
    else:
        pytest.fail("it never expired")
    token, token_id = pool.token(role="client", tenant="acme")
    pool.call("ListSessions", pool_pb2.ListSessionsRequest(), token)
    pool.admin("RevokeToken", admin_pb2.RevokeTokenRequest(id=token_id, reason="left"))
    code, text = refused(lambda: pool.acquire(token))
    assert code is Code.UNAUTHENTICATED and "revoked" in text
    listed = pool.admin("ListTokens", admin_pb2.ListTokensRequest())
    assert next(t for t in listed.tokens if t.id == token_id).revoked > 0
    assert not [secret for secret in pool.secrets if secret in str(listed)]


def test_a_tenant_that_shows_certificates_and_others_that_do_not(pool: Pool) -> None:
    """One tenant's tokens open nothing without its certificate; others come as before, with or without one of theirs."""
    made = pool.folder / "certs"
    for tenant in ("vault", "globex"):
        certs.issue_client(made, tenant, tenant)
    vault, plain = pool.token(role="client", tenant="vault")[0], pool.token(role="client", tenant="plain")[0]
    request, lists = pool_pb2.AcquireRequest(deadline_ms=30_000), pool_pb2.ListSessionsRequest()
    pool.call("ListSessions", lists, vault)
    done = cupool("quota", "set", "vault", "--require-cert", "--folder", str(pool.folder))
    assert done.returncode == 0 and "yes" in done.stdout, done.stderr

    def over(shown: str, method: str, token: str, request: Any = lists) -> Any:
        files = [(made / f"{shown}.{kind}").read_bytes() for kind in ("key", "pem")] if shown else [None, None]
        credentials = grpc.ssl_channel_credentials(pool.trust, *files)
        with grpc.secure_channel(
            pool.said["cert_addr"], credentials, [("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            stub = getattr(pool_pb2_grpc.PoolServiceStub(channel), method)
            reply = stub(request, timeout=30, metadata=(("authorization", f"Bearer {token}"),))
            return next(reply) if method == "WatchSession" else reply

    # Without a certificate: every call, at the door where nobody is asked for one. With another's; and with none where one is asked for.
    lease = over("vault", "Acquire", vault, request)
    both = {"session": lease.session, "session_token": lease.session_token}
    for method, message in (
        ("Acquire", request),
        ("Renew", pool_pb2.RenewRequest(**both)),
        ("Release", pool_pb2.ReleaseRequest(**both)),
        ("ListSessions", lists),
    ):
        code, text = refused(lambda m=method, r=message: pool.call(m, r, vault))
        assert code is Code.PERMISSION_DENIED and "CUPOOL_CERT" in text and pool.said["cert_addr"] in text, text
    code, text = refused(lambda: over("globex", "ListSessions", vault))
    assert code is Code.PERMISSION_DENIED and "different tenants" in text
    assert refused(lambda: over("", "ListSessions", vault))[0] is Code.UNAVAILABLE
    assert [s.session for s in over("vault", "ListSessions", vault).sessions] == [lease.session]
    over("vault", "Release", vault, pool_pb2.ReleaseRequest(**both))
    # Whoever need not show one goes on as before.
    assert not pool.call("ListSessions", lists, plain).sessions
    program = "from cupool.shim import cupy as cp; print(int(cp.arange(10).sum()))"
    env = {**os.environ, "CUPOOL_CA": str(made / certs.TRUST), "CUPOOL_DEADLINE_S": "60", "CUPOOL_TOKEN": vault}
    shown = {
        "CUPOOL_ADDR": pool.said["cert_addr"],
        "CUPOOL_CERT": str(made / "vault.pem"),
        "CUPOOL_KEY": str(made / "vault.key"),
    }
    for more, prints in ((shown, "45"), ({"CUPOOL_ADDR": pool.said["addr"]}, "")):
        ran = subprocess.run(
            [sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=90, env=env | more
        )
        assert ran.stdout.strip() == prints, ran.stderr
    assert "CUPOOL_CERT" in ran.stderr and vault not in ran.stderr


def test_another_tenant_gets_nowhere_even_with_a_stolen_session_token(pool: Pool) -> None:
    acme, globex = pool.token(role="client", tenant="acme")[0], pool.token(role="client", tenant="globex")[0]
    lease = pool.acquire(acme)
    try:
        assert [s.session for s in pool.call("ListSessions", pool_pb2.ListSessionsRequest(), acme).sessions] == [
            lease.session
        ]
        assert not pool.call("ListSessions", pool_pb2.ListSessionsRequest(), globex).sessions
        both = {"session": lease.session, "session_token": lease.session_token}
        assert refused(lambda: pool.call("Renew", pool_pb2.RenewRequest(**both), globex))[0] is Code.NOT_FOUND
        assert refused(lambda: pool.call("Release", pool_pb2.ReleaseRequest(**both), globex))[0] is Code.NOT_FOUND
        assert (
            refused(lambda: next(pool.call("WatchSession", pool_pb2.WatchSessionRequest(**both), globex)))[0]
            is Code.NOT_FOUND
        )
        pool.call("Renew", pool_pb2.RenewRequest(**both), acme)
    finally:
        pool.call("Release", pool_pb2.ReleaseRequest(session=lease.session, session_token=lease.session_token), acme)


def test_session_tokens_are_bound_to_session_server_and_epoch(pool: Pool) -> None:
    mine, other = pool.acquire(), pool.acquire()
    try:
        assert mine.session_token != other.session_token and mine.endpoint != other.endpoint
        assert pool.attach(mine, other.session_token)[0] is Code.UNAUTHENTICATED, "another session's token"
        assert pool.attach(mine, other.session_token, session=other.session)[0] is Code.NOT_FOUND, "at another server"
        assert pool.attach(mine, pool.credential("client"))[0] is Code.UNAUTHENTICATED, (
            "a tenant's credential is no session's"
        )
        for epoch in (mine.epoch + 1, mine.epoch + 100):
            code, text = pool.attach(mine, mine.session_token, epoch=epoch)
            assert code is Code.FAILED_PRECONDITION and "epoch" in text
        stolen = pool_pb2.RenewRequest(session=mine.session, session_token=other.session_token)
        assert refused(lambda: pool.call("Renew", stolen))[0] is Code.NOT_FOUND
        assert pool.attach(mine, mine.session_token)[0] is Code.OK
    finally:
        for lease in (mine, other):
            pool.call("Release", pool_pb2.ReleaseRequest(session=lease.session, session_token=lease.session_token))
    deadline = time.monotonic() + 20
    # CANCELLED is what a call gets that a server cuts in the moment it ends: no answer yet to what is asked here.
    while (found := pool.attach(mine, mine.session_token)[0]) in (Code.OK, Code.CANCELLED):
        assert time.monotonic() < deadline, "a replayed token of a session that is over still opens it"
        time.sleep(0.02)
    assert found in (Code.NOT_FOUND, Code.UNAVAILABLE), "the session, or its server, is gone"
    replayed = pool_pb2.RenewRequest(session=mine.session, session_token=mine.session_token)
    assert refused(lambda: pool.call("Renew", replayed))[0] is Code.NOT_FOUND


# ---- what is hostile


class Marker:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.close, (os.open(os.devnull, os.O_RDONLY),)) if not self.path else (open, (str(self.path), "w"))


def hostile(message: Any, payload: bytes, text: str, depth: int = 0) -> Any:
    """`message` with the payload in every field of bytes or text, in every message within."""
    for field in message.DESCRIPTOR.fields:
        repeated = field.is_repeated
        if field.message_type is not None:
            if field.message_type.GetOptions().map_entry or depth > 4:
                continue
            hostile(
                getattr(message, field.name).add() if repeated else getattr(message, field.name),
                payload,
                text,
                depth + 1,
            )
            if not repeated:
                getattr(message, field.name).SetInParent()
        elif field.type in (field.TYPE_BYTES, field.TYPE_STRING):
            value = payload if field.type == field.TYPE_BYTES else text
            if repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
    return message


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_in_every_field_runs_nothing(pool: Pool, tmp_path: Path, protocol: int) -> None:
    """Controller and agent, with credentials that open every door: no call brings a pickle to life."""
    marker = tmp_path / "ran"
    payload = pickle.dumps(Marker(marker), protocol)
    text = pickle.dumps(Marker(marker), 0).decode("latin-1")
    pickle.loads(payload).close()
    assert marker.exists(), "the payload works where somebody unpickles it"
    marker.unlink()
    client = pool.credential("client")
    bearers = (client, f"{client} {text!r}")
    for name, method in pool_pb2.DESCRIPTOR.services_by_name["PoolService"].methods_by_name.items():
        request = hostile(getattr(pool_pb2, method.input_type.name)(), payload, text)
        for bearer in bearers:
            outcome(
                lambda n=name, r=request, b=bearer: pool.call(
                    n, r, b.encode("ascii", "ignore").decode().replace("\n", " ")
                ),
                method,
            )
    for name, method in admin_pb2.DESCRIPTOR.services_by_name["AdminService"].methods_by_name.items():
        if name == "Shutdown":
            continue  # would end the pool, whatever it carries
        request = hostile(getattr(admin_pb2, method.input_type.name)(), payload, text)
        outcome(lambda n=name, r=request: pool.admin(n, r), method)
    frames = [hostile(agent_pb2.AgentFrame(), payload, text)]
    stub = agent_pb2_grpc.AgentServiceStub(pool.channel("agent_addr"))
    call = stub.Connect(iter(frames), timeout=3, metadata=(("authorization", f"Bearer {pool.credential('agent')}"),))
    outcome(lambda: next(call), None)
    call.cancel()
    assert not marker.exists(), "a pickle was brought to life"
    assert pool.admin("GetPool", admin_pb2.GetPoolRequest()).nodes >= 1, "the pool serves on"


def outcome(call: Callable[[], Any], method: Any) -> None:
    """Whatever it answers: an answer, the first of a stream, or a status."""
    try:
        answer = call()
        if method is not None and method.server_streaming:
            timer = threading.Timer(1.0, answer.cancel)
            timer.start()
            try:
                next(answer, None)
            finally:
                timer.cancel()
                timer.join()
                answer.cancel()
    except grpc.RpcError as error:
        assert error.code() is not Code.UNAVAILABLE, f"the service is gone: {error.details()}"


def test_bombs_are_refused(pool: Pool) -> None:
    """64 MiB of zeros in 64 KiB of gzip, and as they are: refused by size, before anything is made of them."""
    request = pool_pb2.AcquireRequest(function="\0" * (64 << 20))
    call = pool.channel("addr").unary_unary("/cupool.v1.PoolService/Acquire")
    metadata = (("authorization", f"Bearer {pool.credential('client')}"),)
    data = request.SerializeToString()
    for compression in (grpc.Compression.Gzip, grpc.Compression.NoCompression):
        code, _ = refused(lambda c=compression: call(data, timeout=30, metadata=metadata, compression=c))
        assert code is Code.RESOURCE_EXHAUSTED
    controller = pool.said["controller_pid"]
    with open(f"/proc/{controller}/status") as file:
        peak_kib = int(next(line for line in file if line.startswith("VmHWM")).split()[1])
    assert peak_kib < 400 << 10, f"the controller's memory reached {peak_kib >> 10} MiB"


def test_the_audit_log_tells_all_of_it_and_is_whole(pool: Pool) -> None:
    path = pool.folder / "audit.log"
    checked = audit.verify(path)
    assert checked.is_whole, checked.problem
    lines = [json.loads(line) for _, _, line in audit.lines_of(path)]
    seen = {(line["kind"], line["decision"]) for line in lines}
    assert {("open", "allow"), ("token", "allow"), ("token", "deny")} <= seen, seen
    opened = next(line for line in lines if line["kind"] == "open")
    assert opened["session"].startswith("session-") and opened["epoch"] >= 1 and opened["tenant"] and opened["who"]
    assert any(line["kind"] == "end" for line in lines)


def test_no_credential_was_ever_written_down(pool: Pool) -> None:
    """Everything that a pool at debug level wrote, and the command lines and environments of its processes. Last: after all the others."""
    own = {"token", "admin-token", "agent-token", "balancer-token", "controller.record", "agent.record"}
    texts = {p: p.read_bytes() for p in pool.folder.rglob("*") if p.is_file() and p.name not in own}
    run = Path(pool.said["run_folder"])
    texts |= {p: p.read_bytes() for p in run.rglob("*") if p.is_file() and p.name not in own}
    for role in ("supervisor", "controller", "agent"):
        process = Path(f"/proc/{pool.said[f'{role}_pid']}")
        texts |= {process / name: (process / name).read_bytes() for name in ("cmdline", "environ")}
        for task in (process / "task").iterdir():
            for child in (task / "children").read_text().split():
                for name in ("cmdline", "environ"):
                    path = Path("/proc") / child / name
                    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                        texts[path] = path.read_bytes()
    for name in ("status", "ps", "token list", "config show", "doctor"):
        done = (
            cupool(*name.split(), "--folder", str(pool.folder)) if name != "config show" else cupool("config", "show")
        )
        texts[Path(name)] = (done.stdout + done.stderr).encode()
    assert any(p.name == "controller.log" and b" debug " in t for p, t in texts.items()), (
        "the pool logged at debug level"
    )
    found = [
        f"{path}: {secret[:24]}..."
        for path, text in texts.items()
        for secret in pool.secrets
        if secret[-32:].encode() in text
    ]
    assert not found, found
    for path in pool.folder.rglob("*"):
        if path.is_file() and any(secret.encode() in path.read_bytes() for secret in pool.secrets):
            assert path.stat().st_mode & 0o077 == 0, f"{path} holds a credential and is not its owner's alone"


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("credentials", [False, True])
@pytest.mark.parametrize("insecure", [False, True])
@pytest.mark.parametrize("address", ["127.0.0.1:0", "0.0.0.0:0"])
def test_the_matrix_of_bind_tls_and_credentials(
    tmp_path: Path, address: str, tls: bool, credentials: bool, insecure: bool
) -> None:
    """A controller, the process: it listens, or says what it lacks and has started nothing."""
    folder_of_up(tmp_path)
    words = ["--listen", address, "--folder", str(tmp_path)]
    words += (
        ["--tls-cert", str(tmp_path / "certs/server.pem"), "--tls-key", str(tmp_path / "certs/server.key")]
        if tls
        else []
    )
    words += ([] if credentials else ["--anonymous"]) + (["--insecure"] if insecure else [])
    (tmp_path / "admin").write_text("the operator's credential of this test")
    words += ["--admin-token-file", str(tmp_path / "admin")]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "cupool.pool", "controller", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        said = json.loads(process.stdout.readline())
        is_safe = address.startswith("127.") or (tls and credentials)
        if not is_safe and not insecure:
            assert "addr" not in said and address in said["error"] and ("TLS" in said["error"]) == (not tls)
            assert ("credentials" in said["error"]) == (not credentials)
            assert process.wait(20) == 2 and not (tmp_path / "directory.sqlite").exists()
            return
        assert said["addr"]
        with (
            grpc.insecure_channel(said["admin"])
            if not tls or said["admin"].startswith("unix:")
            else grpc.secure_channel(
                said["admin"], grpc.ssl_channel_credentials((tmp_path / "certs" / certs.TRUST).read_bytes())
            ) as channel
        ):
            status = admin_pb2_grpc.AdminServiceStub(channel).GetPool(
                admin_pb2.GetPoolRequest(),
                timeout=20,
                metadata=(("authorization", "Bearer the operator's credential of this test"),),
            )
        assert status.insecure == (not is_safe)
        assert any("INSECURE" in w for w in status.warnings) == (not is_safe)
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=30)
    assert ("INSECURE" in errors) == (not is_safe), errors
