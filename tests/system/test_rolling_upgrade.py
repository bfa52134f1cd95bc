"""An upgrade of a pool's hosts while clients work: each is drained, replaced by the next release and taken into service again. No client
sees an error, whichever release it is of.

The next release is this one with another version and another definition of one op, `sort`: what a minor release may change.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from cupool.v1 import admin_pb2, admin_pb2_grpc

NEXT = """
import cupool
from cupool.contract import ops
cupool.__version__ = "99.1.0"
ops.TABLE["sort"] = ops.TABLE["sort"].replaced(repeat="recorded")
ops.DIGEST = ops.table_digest()
"""
#: Sessions one after the other until told to end; prints how many, and what went wrong.
CLIENT = """
import json, select, sys, time
import cupy
from cupool.shim import session
from cupool.contract.errors import CupoolError
done, errors, refused = 0, [], set()
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        a = cupy.arange(1000.0)
        for _ in range(5):
            a += 1
        assert float(a.sum()) == 504500.0
        try:
            cupy.sort(a)
            refused.add("")
        except CupoolError as error:
            refused.add(type(error).__name__)
        session.close()
        done += 1
        if done == 1:
            print("works", flush=True)
    except Exception as error:
        errors.append(f"{type(error).__name__}: {error}")
    time.sleep(0.02)
print(json.dumps({"done": done, "errors": errors, "refused": sorted(refused)}), flush=True)
"""


def environment(release: Path | None) -> dict[str, str]:
    paths = [str(release)] if release else []
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}


def start(*words: str, release: Path | None = None, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**environment(release), **variables},
    )  # fmt: skip


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.readline() or "{}")
    assert found and "error" not in found, found
    return found


class Pool:
    """A controller, and agents by node."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[str]] = {}
        tokens = [word for n in ("", "admin-", "agent-") for word in (f"--{n}token-file", str(folder / f"{n}token"))]
        for name in ("token", "admin-token", "agent-token"):
            (folder / name).write_text(f"the-{name}\n")
        self.controller = start("cupool.pool", "controller", "--max-sessions", "4", *tokens)
        self.at = said(self.controller)
        self.channel = grpc.insecure_channel(self.at["admin"])

    def admin(self, method: str, request: Any) -> Any:
        stub: Any = admin_pb2_grpc.AdminServiceStub(self.channel)
        return getattr(stub, method)(request, timeout=120, metadata=(("authorization", "Bearer the-admin-token"),))

    def join(self, node: str, release: Path | None) -> None:
        words = ["cupool.pool", "agent", "--controller", self.at["agent"], "--node", node, "--devices", "cpu:1:1GiB"]
        words += ["--folder", str(self.folder / node), "--token-file", str(self.folder / "agent-token")]
        self.processes[node] = start(*words, release=release)
        said(self.processes[node])
        self.wait(lambda: node in self.versions(), f"{node} has not come")

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < deadline, what
            time.sleep(0.05)

    def device(self, node: str) -> Any:
        (found,) = [d for d in self.admin("ListDevices", admin_pb2.ListDevicesRequest()).devices if d.node == node]
        return found

    def leave(self, node: str) -> None:
        """Drain, and end the agent once nothing is left on it."""
        *_, last = self.admin("Drain", admin_pb2.DrainRequest(device=self.device(node).device, reason="upgrade"))
        assert last.done and not last.remaining_sessions
        self.end(self.processes.pop(node))

    def back(self, node: str, release: Path | None) -> None:
        """The node again, of this release, in service."""
        self.join(node, release)
        self.admin("Uncordon", admin_pb2.UncordonRequest(device=self.device(node).device))
        self.wait(lambda: self.device(node).warm > 0, f"{node} has no warm server")

    def versions(self) -> dict[str, str]:
        return {n.node: n.version for n in self.admin("ListNodes", admin_pb2.ListNodesRequest()).nodes if n.connected}

    def end(self, process: subprocess.Popen[str]) -> None:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()

    def close(self) -> None:
        self.channel.close()
        for process in [*self.processes.values(), self.controller]:
            self.end(process)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    made = Pool(tmp_path)
    with contextlib.closing(made):
        yield made


@pytest.mark.timeout(600)
def test_hosts_are_upgraded_one_by_one_under_load_without_an_error(pool: Pool, tmp_path: Path) -> None:
    release = tmp_path / "next"
    release.mkdir()
    (release / "sitecustomize.py").write_text(NEXT)
    pool.join("one", None)
    pool.join("two", None)
    settings = {"CUPOOL_ADDR": pool.at["addr"], "CUPOOL_TOKEN": "the-token", "CUPOOL_DEADLINE_S": "120"}
    clients = [start("cupool", "run", "-c", CLIENT, release=r, **settings) for r in (None, release)]
    try:
        for client in clients:
            assert client.stdout is not None
            assert [client.stdout.readline(), client.stdout.readline()] == ["ready\n", "works\n"]
        for node in ("one", "two"):
            pool.leave(node)
            pool.back(node, release)
        versions = pool.versions()
        assert versions == {"one": "99.1.0", "two": "99.1.0"}
        found = []
        for client in clients:
            assert client.stdin is not None
            client.stdin.write("end\n")
            client.stdin.flush()
            found.append(said(client))
    finally:
        for client in clients:
            pool.end(client)
    # While the hosts were of both releases, `sort` was refused where the two ends differ, and there alone.
    old, new = found
    assert not old["errors"] and not new["errors"], found
    assert old["done"] > 2 and new["done"] > 2
    assert "VersionMismatch" in old["refused"] and "VersionMismatch" in new["refused"] and "" in old["refused"]
