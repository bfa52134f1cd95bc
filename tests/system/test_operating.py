"""The operator's command line with a real pool: up, what is in between, down; nothing is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cupool.pool import belongings
from cupool.pool.cli import app, place
from cupool.pool.security import certs

from cupool.v1 import pool_pb2, pool_pb2_grpc

#: A program that holds its session until its input ends, and says a number of it at each line.
PROGRAM = """
import sys
import cupy as cp
x = cp.arange(10)
print(int(x.sum()), flush=True)
for line in sys.stdin:
    x += 1
    print(int(x.sum()), flush=True)
"""

pytestmark = pytest.mark.timeout(180)


def shared_memory() -> set[str]:
    """What lies there but what other tests have meanwhile: folders that their pools' agents keep checkpoints in (that such a folder goes
    with its agent is tested where agents are), and semaphores of multiprocessing, which no pool uses."""
    others = (f"cupool-{os.getuid()}-", "sem.mp-")
    return {name for name in os.listdir("/dev/shm") if not name.startswith(others)}


class Place:
    """A home of its own for a pool, and what runs there."""

    def __init__(self, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.base = base
        self.folder = base / "state" / "cupool"
        self.capsys = capsys
        self.programs: list[subprocess.Popen[str]] = []

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """A command in this process: (exit code, standard output, standard error)."""
        code = app.main(list(arguments))
        out, err = self.capsys.readouterr()
        return code, out, err

    def json(self, *arguments: str) -> Any:
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    def up(self, *arguments: str) -> dict[str, Any]:
        code, out, err = self.run("up", "--devices", "cpu:2:256MiB", "--json", *arguments)
        assert code == 0, err
        return json.loads(out)

    def environment(self) -> dict[str, str]:
        running = place.read(self.folder)
        found = {
            "CUPOOL_ADDR": running.addr,
            "CUPOOL_DEADLINE_S": "60",
            "CUPOOL_TOKEN": Path(running.token_file).read_text().strip(),
            "CUPOOL_CA": running.ca_file,
        }
        return {k: v for k, v in os.environ.items() if k != "CUPOOL_ADDR"} | {k: v for k, v in found.items() if v}

    def program(self, **variables: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "cupool", "run", "-c", PROGRAM]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment() | variables,
        )
        self.programs.append(process)
        first = process.stdout.readline()
        assert first == "45\n", process.stderr.read()
        return process

    def acquire(self, token: str = "", **fields: Any) -> pool_pb2.Lease:
        env = self.environment()
        with grpc.insecure_channel(env["CUPOOL_ADDR"]) as channel:
            credential = (("authorization", f"Bearer {token or env['CUPOOL_TOKEN']}"),)
            return pool_pb2_grpc.PoolServiceStub(channel).Acquire(
                pool_pb2.AcquireRequest(**fields), timeout=30, metadata=credential
            )


def say(process: subprocess.Popen[str]) -> int:
    process.stdin.write("\n")
    process.stdin.flush()
    return int(process.stdout.readline())


def until(condition: Callable[[], Any]) -> Any:
    """Wait for what another process does; the test's time limit ends it."""
    while not (found := condition()):
        time.sleep(0.02)
    return found


@pytest.fixture
def at(monkeypatch, capsys) -> Iterator[Place]:
    for name in [n for n in os.environ if n.startswith("CUPOOL_") and n != "CUPOOL_TEST_RUN"]:
        monkeypatch.delenv(name)
    segments = shared_memory()
    with tempfile.TemporaryDirectory(prefix="op-") as made:
        base = Path(made)
        (base / "run").mkdir(mode=0o700)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(base / "run"))
        monkeypatch.setenv("XDG_STATE_HOME", str(base / "state"))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(base / "config"))
        monkeypatch.setenv("HOME", made)
        monkeypatch.setenv("TMPDIR", str(base / "run"))
        found = Place(base, capsys)
        yield found
        for process in found.programs:
            for pipe in (process.stdin, process.stdout, process.stderr):
                pipe.close()
            process.wait(30)
        for folder in (found.folder, base / "state" / "cupool-joined"):
            if (folder / place.NAME).exists():
                app.main(["down", "--now", "--folder", str(folder)])
        assert shared_memory() <= segments, "shared memory was left"


def test_up_use_down_nothing_left(at):
    said = at.up("--warm", "2")
    running = place.read(at.folder)
    assert said["schema"] == "cupool.up/1" and said["addr"] == running.addr
    status = at.json("status")["pool"]
    assert (status["devices"], status["warm"], status["nodes"]) == (2, 4, 1)
    program = at.program(CUPOOL_FUNCTION="counting")
    (session,) = at.json("ps")["sessions"]
    assert (session["state"], session["tenant"], session["function"]) == ("attached", "default", "counting")
    assert session["device"] in [d["device"] for d in at.json("gpus")["devices"]]
    assert any(s["session"] == session["session"] for s in at.json("servers")["servers"])
    assert at.json("quota", "show")["tenants"][0]["sessions"] == 1
    assert at.run("up", "--devices", "cpu:1:1GiB")[0] == 1
    # The program hears why its session ended.
    program.stdin.write("\n")
    program.stdin.flush()
    code, out, err = at.run("kill", session["session"][:-2], "--yes", "--reason", "it counts too far")
    assert (code, out) == (0, session["session"] + "\n"), err
    with contextlib.suppress(BrokenPipeError):
        while program.stdout.readline():
            program.stdin.write("\n")
            program.stdin.flush()
    err = program.stderr.read()
    assert program.wait(60) and "it counts too far" in err
    code, _, err = at.run("down", "--now")
    assert code == 0, err
    assert belongings.marked(running.mark) == []
    assert list((at.base / "run").iterdir()) == []
    assert not {"pool.json", "token", "admin-token", "agent-token"} & set(os.listdir(at.folder))
    assert at.run("status")[0] == 3 and at.run("down")[0] == 3
    assert at.run("down", "--purge", "--yes")[0] == 0 and not at.folder.exists()


def test_a_controller_that_dies_is_started_again_and_sessions_go_on(at):
    at.up()
    program = at.program()
    before = place.read(at.folder)
    os.kill(before.controller_pid, signal.SIGKILL)
    assert say(program) == 55
    until(lambda: place.read(at.folder).controller_pid != before.controller_pid)
    until(lambda: at.run("status")[0] == 0)
    until(lambda: at.json("status")["pool"]["sessions"] == 1)
    assert say(program) == 65
    assert at.json("status")["pool"]["restarts"] >= 1
    # Ended in order: the program is told, and the pool waits for it until the deadline.
    code, _, err = at.run("down", "--deadline", "0.5s")
    assert code == 0 and "1 sessions were ended" in err
    assert belongings.marked(before.mark) == []


def test_roles_and_quotas(at, monkeypatch):
    at.up()
    lease = at.acquire()
    for role, allowed in {"viewer": {"ps"}, "operator": {"ps", "kill"}, "admin": {"ps", "kill", "token"}}.items():
        file = at.base / role
        assert at.run("token", "create", "--role", role, "--out", str(file))[0] == 0
        for command, arguments in {"ps": [], "kill": ["none", "--yes"], "token": ["list"]}.items():
            code = at.run(command, *arguments, "--token-file", str(file))[0]
            wanted = (6 if command == "kill" else 0) if command in allowed else 4
            # A viewer that kills: what does not exist is found first, so a real one.
            if command == "kill" and command not in allowed:
                code = at.run("kill", lease.session, "--yes", "--token-file", str(file))[0]
            assert code == wanted, (role, command)
    code, token, _ = at.run("token", "create", "--tenant", "images")
    assert code == 0
    code, _out, err = at.run("quota", "set", "images", "--sessions", "1")
    assert code == 0, err
    at.acquire(token.strip())
    with pytest.raises(grpc.RpcError) as refused:
        at.acquire(token.strip())
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    monkeypatch.setenv("CUPOOL_TOKEN", token.strip())
    code, _, err = at.run("bench", "--cycles", "1", "--programs", "0", "--wait", "0", "--folder", str(at.folder))
    assert code == 8, err
    # Revoked: nobody gets in with it any more.
    id_of = token.split("_")[2]
    assert at.run("token", "revoke", id_of[:6])[0] == 0
    with pytest.raises(grpc.RpcError) as refused:
        at.acquire(token.strip())
    assert refused.value.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
    monkeypatch.delenv("CUPOOL_TOKEN")
    assert "images" in at.run("quota", "show")[1]
    assert at.run("logs", "-n", "5")[0] == 0


def test_cold_start_by_parts(at):
    at.up()
    found = at.json("bench", "coldstart", "--rounds", "1")
    parts = {row["what"]: row["p50_ms"] for row in found["parts"]}
    assert {"import numpy", "the lease", "attaching", "its result"} <= set(parts) and min(parts.values()) > 0
    wholes = {row["what"]: row["p50_ms"] for row in found["wholes"]}
    assert found["over_numpy"] == pytest.approx(
        wholes["process start → first result"] / wholes["`import numpy` alone"], rel=0.01
    )


def test_cordon_and_drain(at):
    at.up()
    program = at.program()
    device = at.json("ps")["sessions"][0]["device"]
    other = next(d["device"] for d in at.json("gpus")["devices"] if d["device"] != device)
    assert at.run("cordon", other, "--reason", "dust")[0] == 0
    rows = {d["device"]: d for d in at.json("gpus")["devices"]}
    assert rows[other]["cordoned"] and "dust" in rows[other]["reason"]
    # A drain is interrupted, and goes on: when the program ends, which has nowhere to go, the device is empty and still cordoned.
    command = [sys.executable, "-P", "-m", "cupool", "drain", device, "--reason", "upgrade"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as drain:
        until(lambda: "1 sessions left" in drain.stderr.readline())
        drain.send_signal(signal.SIGINT)
        _, err = drain.communicate(timeout=30)
    assert drain.returncode == 130 and "goes on draining" in err
    assert {d["device"]: d for d in at.json("gpus")["devices"]}[device]["draining"]
    assert say(program) == 55
    program.communicate(timeout=60)
    code, out, err = at.run("drain", device, "--reason", "upgrade")
    assert (code, out) == (0, f"{device}\n"), err
    assert at.run("uncordon", other)[0] == 0 == at.run("uncordon", device)[0]
    assert not {d["device"]: d for d in at.json("gpus")["devices"]}[device]["cordoned"]


def test_foreground_tells_systemd_and_ends_by_sigterm(at, monkeypatch):
    where = str(at.base / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(where)
        systemd.settimeout(60)
        command = [sys.executable, "-P", "-m", "cupool", "up", "--foreground", "--devices", "cpu:1:256MiB"]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"NOTIFY_SOCKET": where},
        ) as pool:
            try:
                assert b"READY=1" in systemd.recv(4096)
                assert pool.stdout.readline() == f"export CUPOOL_ADDR={place.read(at.folder).addr}\n"
                mark = place.read(at.folder).mark
                at.program().communicate(timeout=60)
                assert at.run("doctor", "--only", "pool")[0] == 0
            finally:
                pool.terminate()
                pool.communicate(timeout=60)
            assert systemd.recv(4096) == b"STOPPING=1"
    assert pool.returncode == 0
    assert belongings.marked(mark) == []


def test_a_bind_that_others_reach_is_refused(at):
    code, out, err = at.run("up", "--devices", "cpu:1:256MiB", "--listen", "0.0.0.0:0", "--anonymous")
    assert code == 1 and out == "" and "TLS" in err and len(err.splitlines()) <= 3
    assert "\n  try: Either make certificates" in err
    assert not (at.folder / place.NAME).exists()
    code, _, err = at.run("up", "--devices", "cuda@63")
    assert code == 2 and "no GPU 63" in err


def test_join(at):
    """A second host: here another agent on the same one, with a folder of its own."""
    said = at.up()
    file = at.base / "agent-token"
    assert at.run("token", "create", "--role", "agent", "--out", str(file))[0] == 0
    code, out, err = at.run(
        "join", said["agent_addr"], "--token-file", str(file), "--devices", "cpu:1:256MiB", "--node", "second"
    )
    assert (code, out) == (0, "second\n"), err
    until(lambda: {n["node"] for n in at.json("nodes")["nodes"] if n["connected"]} >= {"second"})
    assert len(at.json("gpus")["devices"]) == 3
    joined = at.base / "state" / "cupool-joined"
    mark = place.read(joined).mark
    assert at.run("down", "--folder", str(joined))[0] == 0
    assert belongings.marked(mark) == []
    until(lambda: [n["connected"] for n in at.json("nodes")["nodes"] if n["node"] == "second"] in ([False], []))


def test_tls(at):
    """Certificates of the pool's own, from `certs init` to a program's result."""
    for arguments in (["certs", "init"], ["certs", "issue", "server", "--host", "localhost"]):
        code, _, err = at.run(*arguments)
        assert code == 0, err
    certs = at.folder / "certs"
    files = [
        "--tls-cert",
        str(certs / "server.pem"),
        "--tls-key",
        str(certs / "server.key"),
        "--tls-ca",
        str(certs / "trust.pem"),
    ]
    said = at.up("--listen", "localhost:0", "--warm", "1", *files)
    assert said["ca_file"] == str(certs / "trust.pem")
    at.program().communicate(timeout=60)
    assert [c["state"] for c in at.json("certs", "list")["certificates"]] == ["valid"] * len(list(certs.glob("*.pem")))
    assert at.run("down", "--now")[0] == 0


def test_doctor(at, monkeypatch):
    """On a pool's host, with a program's variables: nothing is broken. And each way in which it can be."""
    at.up("--warm", "1")
    env = at.environment()
    for name in ("CUPOOL_ADDR", "CUPOOL_TOKEN"):
        monkeypatch.setenv(name, env[name])
    found = at.json("doctor")
    seen = {c["check"]: c for c in found["checks"]}
    assert found["worst"] in ("ok", "warning"), found
    for check in ("address", "token", "session", "processes", "pool", "disk"):
        assert seen[check]["verdict"] == "ok", seen[check]
    assert "GiB/s up" in seen["session"]["evidence"]
    monkeypatch.setenv("CUPOOL_TOKEN", "cupool_client_0123456789ab_" + "x" * 43)
    code, out, _ = at.run("doctor", "--json", "--only", "token", "--only", "session")
    assert code == 4 and [c["verdict"] for c in json.loads(out)["checks"]] == ["failed", "failed"]
    assert "x" * 43 not in out
    os.kill(place.read(at.folder).supervisor_pid, signal.SIGKILL)
    assert at.run("doctor", "--only", "pool")[0] == 0  # a warning
    assert at.run("doctor", "--only", "pool", "--strict")[0] == 1
    assert any("supervisor is gone" in w for w in at.json("status")["pool"]["warnings"])
    assert at.run("down", "--now")[0] == 0
    monkeypatch.setenv("CUPOOL_TOKEN", env["CUPOOL_TOKEN"])
    code, out, _ = at.run("doctor", "--json", "--only", "address", "--only", "token")
    assert code == 3 and "no such socket" in out


def test_a_program_goes_on_when_all_of_its_pool_was_killed_and_is_there_again(at):
    before = at.up("--warm", "1")
    program, running = at.program(CUPOOL_RECONNECT_S="100"), place.read(at.folder)
    secret = Path(running.token_file).read_text()
    os.kill(running.supervisor_pid, signal.SIGKILL)
    while left := belongings.marked(running.mark):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert at.up("--warm", "1")["addr"] == before["addr"]
    assert Path(running.token_file).read_text() == secret
    assert say(program) == 55 and say(program) == 65
    program.stdin.close()
    assert program.wait(60) == 0
    assert at.run("down", "--now")[0] == 0
    at.up("--warm", "1")
    assert Path(running.token_file).read_text() != secret, "a pool that was taken down leaves no credential"


def test_up_says_what_keeps_its_own_agent_away(at):
    made = at.folder / "certs"
    certs.init(made)
    certs.issue_server(made, ["localhost"])
    words = ["--listen", "localhost:0", "--agent-listen", "127.0.0.1:0", "--tls-cert", str(made / "server.pem")]
    words += ["--tls-key", str(made / "server.key"), "--tls-ca", str(made / certs.TRUST)]
    code, _, err = at.run("up", "--devices", "cpu:1:256MiB", *words)
    assert code == 1 and "its own agent cannot connect" in err and "--agent-listen" in err, err
    assert any("No host has connected" in w for w in at.json("status")["pool"]["warnings"])
    assert at.run("down", "--now")[0] == 0
    for name in ("server.pem", "server.key"):
        (made / name).unlink()
    certs.issue_server(made, ["localhost", "127.0.0.1"])
    code, _, err = at.run("up", "--devices", "cpu:1:256MiB", *words)
    assert code == 0, f"what the log says of the start before is not this one's: {err}"
    assert at.run("down", "--now")[0] == 0


def test_sigterm_lets_sessions_end_first(at):
    """As systemd stops it: no new leases, and a program that is there finishes its work."""
    at.up("--warm", "1", "--stop-grace", "60s")
    program = at.program()
    running = place.read(at.folder)
    os.kill(running.supervisor_pid, signal.SIGTERM)
    until(lambda: at.json("status")["pool"]["draining"])
    with pytest.raises(grpc.RpcError):
        at.acquire()
    assert say(program) == 55
    _, err = program.communicate(timeout=60)
    assert program.returncode == 0, err
    until(lambda: not (at.folder / place.NAME).exists())
    until(lambda: belongings.marked(running.mark) == [])
