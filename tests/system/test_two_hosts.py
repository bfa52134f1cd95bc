"""A pool over two hosts: controller and client on one, devices on the other, TLS between them. Hosts are network namespaces.

Skipped where this user may not make them.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cupool.pool.security import certs

NAMES = tuple(f"cupool-{os.getpid()}-{side}" for side in "ab")
ADDRESSES = ("10.93.7.1", "10.93.7.2")
PATIENCE_S = 60.0


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def why_not() -> str:
    """Why there can be no namespaces; empty when there can."""
    try:
        ip("netns", "add", NAMES[0])
        ip("netns", "del", NAMES[0])
    except (OSError, subprocess.CalledProcessError) as error:
        return f"this user may not make network namespaces: {error}"
    return ""


REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)


@dataclass
class Hosts:
    """Two hosts with a wire between them, a certificate authority, and tokens."""

    folder: Path

    def start(self, side: int, *words: str, **environment: str) -> subprocess.Popen[str]:
        """A process on a host; its standard output is read by the test."""
        return subprocess.Popen(
            ["ip", "netns", "exec", NAMES[side], sys.executable, "-P", "-m", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment},
        )  # fmt: skip

    def wire(self, is_up: bool) -> None:
        ip("-n", NAMES[1], "link", "set", "wire-b", "up" if is_up else "down")


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    for name in NAMES:
        ip("netns", "add", name)
    try:
        ip("-n", NAMES[0], "link", "add", "wire-a", "type", "veth", "peer", "name", "wire-b", "netns", NAMES[1])
        for name, wire, address in zip(NAMES, ("wire-a", "wire-b"), ADDRESSES, strict=True):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", wire)
            ip("-n", name, "link", "set", wire, "up")
            ip("-n", name, "link", "set", "lo", "up")
        certs.init(tmp_path / "certs")
        certs.issue_server(tmp_path / "certs", [ADDRESSES[0]])
        certs.issue_node(tmp_path / "certs", "far")
        for name in ("client", "admin", "agent"):
            (tmp_path / f"{name}.token").write_text(f"secret-of-the-{name}\n")
        yield Hosts(tmp_path)
    finally:
        for name in NAMES:
            ip("netns", "del", name)


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    said: dict[str, Any] = json.loads(process.stdout.readline() or "{}")
    assert said and "error" not in said, said
    return said


@contextlib.contextmanager
def ended(*processes: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            try:
                process.wait(30)
            finally:
                process.kill()
                assert process.stdout is not None
                process.stdout.close()


def controller(hosts: Hosts, agents: str = f"{ADDRESSES[0]}:0") -> tuple[subprocess.Popen[str], dict[str, Any]]:
    folder = hosts.folder
    process = hosts.start(
        0, "cupool.pool", "controller", "--folder", str(folder / "pool"), "--listen", f"{ADDRESSES[0]}:0", "--agent-listen", agents,
        "--tls-cert", str(folder / "certs" / "server.pem"), "--tls-key", str(folder / "certs" / "server.key"),
        "--token-file", str(folder / "client.token"), "--admin-token-file", str(folder / "admin.token"),
        "--agent-token-file", str(folder / "agent.token"), "--max-sessions", "4", "--log-level", "warning",
    )  # fmt: skip
    return process, ready(process)


def agent(hosts: Hosts, address: str, trust: Path | None = None) -> subprocess.Popen[str]:
    folder = hosts.folder
    process = hosts.start(
        1, "cupool.pool", "agent", "--controller", address, "--listen", f"{ADDRESSES[1]}:0", "--node", "far",
        "--folder", str(folder / "far"), "--devices", "cpu:1:1GiB", "--token-file", str(folder / "agent.token"),
        "--tls-ca", str(trust or folder / "certs" / "trust.pem"),
        "--tls-cert", str(folder / "certs" / "node-far.pem"), "--tls-key", str(folder / "certs" / "node-far.key"),
    )  # fmt: skip
    ready(process)
    return process


def program(hosts: Hosts, addr: str, code: str, **environment: str) -> subprocess.Popen[str]:
    settings = {
        "CUPOOL_ADDR": addr,
        "CUPOOL_TOKEN": "secret-of-the-client",
        "CUPOOL_CA": str(hosts.folder / "certs" / "trust.pem"),
        "CUPOOL_DEADLINE_S": str(PATIENCE_S),
        **environment,
    }
    return hosts.start(0, "cupool", "run", "-c", code, **settings)


def until_it_connects_anew(process: subprocess.Popen[str]) -> None:
    """Wait until a process of this host has given a connection up: it tries another. Raises AssertionError."""
    deadline, syn_sent = time.monotonic() + PATIENCE_S, "02"
    while True:
        for table in ("tcp", "tcp6"):  # gRPC's sockets are of both worlds
            lines = Path(f"/proc/{process.pid}/net/{table}").read_text().splitlines()[1:]
            if any(line.split()[3] == syn_sent for line in lines):
                return
        assert time.monotonic() < deadline, f"no new connection was tried in {PATIENCE_S:g} s"
        time.sleep(0.02)


LONG = """
import cupy, time
total = cupy.zeros(4)
for k in range(250):
    total += k
    if k % 10 == 0:
        if k == 0:
            float(total[0])
            print("runs", flush=True)
        assert float(total[3]) == k * (k + 1) / 2, k
    time.sleep(0.02)
print(float(total.sum()), flush=True)
"""


def test_a_program_on_one_host_computes_on_the_other_and_the_wire_may_break(hosts: Hosts) -> None:
    first, said = controller(hosts)
    far = agent(hosts, said["agent"])
    with ended(first, far):
        running = program(hosts, said["addr"], LONG)
        with ended(running):
            assert running.stdout is not None
            assert running.stdout.readline() == "runs\n"
            hosts.wire(False)
            until_it_connects_anew(running)
            hosts.wire(True)
            assert running.stdout.readline() == f"{4 * 249 * 250 / 2}\n"
        # The agent has come back by itself: it still gets orders.
        again = program(hosts, said["addr"], "import cupy; print(int(cupy.arange(5).sum()))")
        with ended(again):
            assert again.stdout is not None and again.stdout.readline() == "10\n"


def test_a_controller_that_comes_back_finds_its_far_agent_and_the_session_never_noticed(hosts: Hosts) -> None:
    first, said = controller(hosts)
    far = agent(hosts, said["agent"])
    running = program(hosts, said["addr"], LONG)
    with ended(far, running):
        assert running.stdout is not None
        with ended(first):
            assert running.stdout.readline() == "runs\n"
            first.kill()
            first.wait()
        second, said = controller(hosts, said["agent"])
        with ended(second):
            again = program(hosts, said["addr"], "import cupy; print(int(cupy.arange(5).sum()))")
            with ended(again):
                assert again.stdout is not None and again.stdout.readline() == "10\n"
            assert running.stdout.readline() == f"{4 * 249 * 250 / 2}\n"


def test_an_agent_that_trusts_another_authority_does_not_join(hosts: Hosts) -> None:
    certs.init(hosts.folder / "others")
    first, said = controller(hosts)
    far = agent(hosts, said["agent"], hosts.folder / "others" / "trust.pem")
    with ended(first, far):
        refused = program(hosts, said["addr"], "import cupy; cupy.arange(5).sum()", CUPOOL_DEADLINE_S="1")
        assert refused.wait(PATIENCE_S) != 0
        assert refused.stdout is not None
        refused.stdout.close()
