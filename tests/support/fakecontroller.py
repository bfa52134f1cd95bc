"""A controller for tests of the agent: accepts its stream, gives the orders that a test wants, and remembers what it is told."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc

from cupool.v1 import agent_pb2, agent_pb2_grpc, server_pb2

WARM, LEASED, PARKED = server_pb2.SERVER_STATE_WARM, server_pb2.SERVER_STATE_LEASED, server_pb2.SERVER_STATE_PARKED
DEAD = server_pb2.SERVER_STATE_DEAD
PATIENCE_S = 60.0


class FakeController(agent_pb2_grpc.AgentServiceServicer):
    """Listens at `address`; restarts at the same one after `stop`.

    Attributes:
        hellos: of every stream.
        servers: latest news of each server.
        ended: session -> its end; acknowledged unless `is_deaf`.
    """

    def __init__(self, address: str, token: str = "") -> None:
        self.address, self.token = address, token
        self.hellos: list[Any] = []
        self.servers: dict[str, Any] = {}
        self.ended: dict[str, Any] = {}
        self.ends_heard = 0
        self.use: dict[str, Any] = {}
        self.devices: dict[str, Any] = {}
        self.host: Any = None
        self.is_deaf = False
        self._changed = threading.Condition()
        self._out: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._seq = 0
        self._server: grpc.Server | None = None
        self.start()

    def start(self) -> None:
        self._server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        agent_pb2_grpc.add_AgentServiceServicer_to_server(self, self._server)
        assert self._server.add_insecure_port(self.address) or self.address.startswith("unix:")
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._out.put(None)
            self._server.stop(0).wait()
            self._server = None

    # ---- the service

    def Connect(self, frames: Iterator[Any], context: Any) -> Iterator[Any]:
        shown = dict(context.invocation_metadata()).get("authorization", "")
        if self.token and shown != f"Bearer {self.token}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no such token")
        out: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._out, self._seq = out, 0
        threading.Thread(target=self._hear, args=(frames, out), daemon=True).start()
        yield agent_pb2.ControllerFrame(settings=agent_pb2.PoolSettings(
            pool="p", kernel_limit_ms=60_000, start_limit_ms=60_000, log_level="info", allow_faults=True,
        ))  # fmt: skip
        while (frame := out.get()) is not None:
            yield frame

    def _hear(self, frames: Iterator[Any], out: queue.SimpleQueue[Any]) -> None:
        with contextlib.suppress(grpc.RpcError):
            for frame in frames:
                with self._changed:
                    self._take(frame, out)
                    self._changed.notify_all()
        out.put(None)

    def _take(self, frame: Any, out: queue.SimpleQueue[Any]) -> None:
        if frame.HasField("hello"):
            self.hellos.append(frame.hello)
            self.servers = {news.server: news for news in frame.hello.servers}
        self.servers.update((news.server, news) for news in frame.servers)
        for end in frame.ended:
            self.ended[end.session] = end
            self.ends_heard += 1
            if not self.is_deaf:
                out.put(agent_pb2.ControllerFrame(received=frame.ordinal))
        self.use.update((use.server, use.usage) for use in frame.use)
        self.devices.update((device.device, device) for device in frame.devices)
        if frame.HasField("host"):
            self.host = frame.host

    # ---- for tests

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until `condition` is true; returns what it gives."""
        with self._changed:
            found = self._changed.wait_for(condition, PATIENCE_S)
        assert found, f"not within {PATIENCE_S} s: {what}; servers: {self.servers}"
        return found

    def send(self, **fields: Any) -> None:
        self._seq += 1
        self._out.put(agent_pb2.ControllerFrame(seq=self._seq, **fields))

    def start_server(self, server: str, device: str = "cpu:0") -> None:
        self.send(start=[agent_pb2.StartServer(server=server, device=device)])

    def warm(self, server: str, device: str = "cpu:0") -> Any:
        """Start a server; its news once it is warm."""
        self.start_server(server, device)
        return self.state(server, WARM)

    def state(self, server: str, state: int) -> Any:
        """Wait until the server is in this state; its news."""
        return self.wait(
            lambda: (n := self.servers.get(server)) is not None and n.state == state and n, f"{server} in {state}"
        )

    def assign(
        self, server: str, session: str, token: str = "token", client_pid: int = 0, client_host: str = "", **fields: Any
    ) -> None:
        fields = {"epoch": 1, "limit_bytes": 1 << 24, "park_grace_ms": 60_000, "tenant": "t", **fields}
        request = server_pb2.AssignRequest(
            session=session, token_sha256=hashlib.sha256(token.encode()).digest(), **fields
        )
        self.order(server, client_pid, client_host, assign=request)

    def order(self, server: str, client_pid: int = 0, client_host: str = "", **command: Any) -> None:
        order = agent_pb2.ServerOrder(server=server, client_pid=client_pid, client_host=client_host)
        order.command.CopyFrom(server_pb2.ServerCommand(**command))
        self.send(orders=[order])

    def end_of(self, session: str) -> Any:
        """Wait for the session's end."""
        return self.wait(lambda: self.ended.get(session), f"the end of {session}")


class AgentProcess:
    """`python -m cupool.pool agent`."""

    def __init__(self, controller: str, folder: Path, *options: str, env: dict[str, str] | None = None) -> None:
        words = [
            sys.executable,
            "-P",
            "-m",
            "cupool.pool",
            "agent",
            "--controller",
            controller,
            "--folder",
            str(folder),
        ]
        self.process = subprocess.Popen(
            [*words, "--devices", "cpu:2:1GiB", "--allow-faults", *options],
            stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.ready = json.loads(self.process.stdout.readline() or "{}")

    def children(self) -> list[int]:
        found = []
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += [int(p) for p in (task / "children").read_text().split()]
        return found

    def close(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
            assert self.process.stdout is not None
            self.process.stdout.close()


@contextlib.contextmanager
def agent(
    tmp_path: Path, *options: str, env: dict[str, str] | None = None
) -> Iterator[tuple[FakeController, AgentProcess]]:
    """A controller and an agent that is connected to it."""
    controller = FakeController(f"unix:{tmp_path}/c.sock")
    process = AgentProcess(controller.address, tmp_path / "agent", *options, env=env)
    try:
        controller.wait(lambda: controller.hellos, "the agent's hello")
        yield controller, process
    finally:
        code = process.close()
        controller.stop()
        assert code == 0


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.01)
