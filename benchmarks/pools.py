"""Pools as an operator starts them (`cupool up`, `cupool down`), for campaigns; and what such a pool leaves behind, which is nothing."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from benchmarks.harness import ROOT, environment, marked_processes
from cupool.v1 import admin_pb2, admin_pb2_grpc, pool_pb2, pool_pb2_grpc, server_pb2

READY_S = 60.0
#: Where agents keep checkpoints of their sessions.
SHARED_MEMORY = Path("/dev/shm")
#: How long a folder may be there without its owner's lock: it is being made, or removed.
SETTLE_S = 1.0


@dataclass(slots=True)
class Pool:
    """A running pool and its two services."""

    folder: Path
    addr: str
    token: str
    admin_addr: str
    admin_token: str
    #: By role: "controller", "agent", …
    pids: dict[str, int] = field(default_factory=dict)
    _channels: dict[str, grpc.Channel] = field(default_factory=dict)

    def _channel(self, address: str) -> grpc.Channel:
        if address not in self._channels:
            self._channels[address] = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        return self._channels[address]

    def call(self, method: str, request: Any, token: str = "", timeout_s: float = 60.0) -> Any:
        """Call PoolService."""
        stub: Any = pool_pb2_grpc.PoolServiceStub(self._channel(self.addr))
        metadata = (("authorization", f"Bearer {token or self.token}"),)
        return getattr(stub, method)(request, timeout=timeout_s, metadata=metadata)

    def admin(self, method: str, request: Any) -> Any:
        """Call AdminService."""
        stub: Any = admin_pb2_grpc.AdminServiceStub(self._channel(self.admin_addr))
        metadata = (("authorization", f"Bearer {self.admin_token}"),)
        return getattr(stub, method)(request, timeout=30, metadata=metadata)

    def move(self, session: str, device: str = "", on_progress: Any = None, **limits: Any) -> admin_pb2.MoveProgress:
        """Move a session; the last that the pool says of it. Raises grpc.RpcError: it was refused, or the controller ended."""
        stub: Any = admin_pb2_grpc.AdminServiceStub(self._channel(self.admin_addr))
        request = admin_pb2.MoveSessionRequest(session=session, device=device, **limits)
        last = admin_pb2.MoveProgress()
        for last in stub.MoveSession(request, timeout=60, metadata=(("authorization", f"Bearer {self.admin_token}"),)):
            if on_progress is not None:
                on_progress(last)
        return last

    def tenant(self, name: str, **quota: Any) -> str:
        """A client's token of a tenant, with this quota."""
        self.admin("SetQuota", admin_pb2.SetQuotaRequest(tenant=name, fields=list(quota), **quota))
        reply = self.admin("CreateToken", admin_pb2.CreateTokenRequest(role="client", tenant=name))
        return str(reply.token)

    def wait_warm(self, count: int) -> None:
        """Wait until so many servers are warm, and none starts."""
        deadline = time.monotonic() + READY_S
        while True:
            states = [s.state for s in self.admin("ListServers", admin_pb2.ListServersRequest()).servers]
            if states.count(server_pb2.SERVER_STATE_WARM) >= count and server_pb2.SERVER_STATE_STARTING not in states:
                return
            if time.monotonic() > deadline:
                names = [server_pb2.ServerState.Name(s) for s in states]
                raise RuntimeError(f"{count} servers were not warm after {READY_S:g} s: {names}")
            time.sleep(0.02)

    def wait_no_session(self, token: str = "") -> None:
        """Wait until the tenant has no session: what is released counts until its server has given it back."""
        deadline = time.monotonic() + READY_S
        while left := self.call("ListSessions", pool_pb2.ListSessionsRequest(), token).sessions:
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(left)} sessions were left after {READY_S:g} s: {left[0]}")
            time.sleep(0.02)

    def resident_bytes(self) -> dict[str, int]:
        """Memory of each of the pool's own processes, by role."""
        return {role: resident_bytes(pid) for role, pid in self.pids.items()}

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()


def resident_bytes(pid: int) -> int:
    """RSS of a process."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cupool(*words: str, timeout_s: float = 120.0) -> str:
    """Run `cupool WORDS`; returns what it printed. Raises RuntimeError with its own words when it fails."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cupool", *words],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=timeout_s,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"cupool {words[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


@contextlib.contextmanager
def up(*options: str) -> Iterator[Pool]:
    """`cupool up OPTIONS` in a folder of its own, and `cupool down` at the end, after which nothing may be left."""
    with tempfile.TemporaryDirectory(prefix="cupool-prove-") as name:
        folder = Path(name)
        before, memory = set(marked_processes()), set(SHARED_MEMORY.glob("cupool*"))
        try:
            cupool("up", "--folder", name, *options)
        except BaseException:  # told to end, perhaps: it may have come to something
            with contextlib.suppress(RuntimeError):
                cupool("down", "--folder", name)
            for pid in set(marked_processes()) - before:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise
        said = json.loads((folder / "pool.json").read_text())
        pool = Pool(
            folder, said["addr"], Path(said["token_file"]).read_text().strip(), said["admin_addr"],
            Path(said["admin_token_file"]).read_text().strip(),
            {role: said[f"{role}_pid"] for role in ("controller", "agent") if said.get(f"{role}_pid")},
        )  # fmt: skip
        try:
            yield pool
        finally:
            pool.close()
            cupool("down", "--folder", name)
        left = leftovers(folder, before, memory)
        if left:
            raise AssertionError("left behind after down:\n  " + "\n  ".join(left))


def leftovers(folder: Path, processes: Set[int] = frozenset(), memory: Set[Path] = frozenset()) -> list[str]:
    """What a pool that is down has left: processes of ours, sockets, shared memory, its record.

    Args:
        processes, memory: what was there before it: another's.
    """
    found = [f"process {pid}" for pid in marked_processes() if pid not in processes]
    found += [f"socket {path}" for path in folder.rglob("*") if path.is_socket()]
    found += [str(path) for path in folder.glob("pool.json")]
    found += [str(path) for path in SHARED_MEMORY.glob("cupool*") if path not in memory and not _is_others(path)]
    return found


def _is_others(path: Path) -> bool:
    """Whether the folder is of another pool on this machine: held, or in its first or last moment, without its lock."""
    deadline = time.monotonic() + SETTLE_S
    while not _is_held(path):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _is_held(path: Path) -> bool:
    """Whether a living process has the folder: another pool's on this machine. What is left behind has a lock that nobody holds."""
    try:
        with open(path / "lock", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return not path.exists()
    return False
