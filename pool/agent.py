"""Starts, watches and ends the server processes of this host, in one thread: the loop that `run` is.

Every process is watched by its pidfd, so a death is known at once. Other threads only `post` work. The loop must run in the
process's main thread: servers are tied to the thread that started them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from . import states
from .config import DeviceConfig, PoolConfig
from .server_process import ServerProcess

_log = logging.getLogger(__name__)

#: How long a server that was told to end may take before it is killed.
END_GRACE_S = 2.0


class Listener(Protocol):
    """Who is told what happens to servers; called from the loop."""

    def server_ready(self, server: ServerProcess) -> None: ...

    def server_dead(self, server: ServerProcess, returncode: int) -> None: ...

    def client_dead(self, session: str) -> None: ...


class Agent:
    """The servers of one host."""

    def __init__(self, config: PoolConfig, folder: Path) -> None:
        self._config = config
        self._folder = folder
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._drain_wake)
        self._posted: deque[Callable[[], None]] = deque()
        self._count = 0
        self._stopping = threading.Event()
        #: Living servers by id.
        self._servers: dict[str, ServerProcess] = {}
        self._pidfds: dict[str, int] = {}
        #: pidfds of clients, by session.
        self._clients: dict[str, int] = {}
        self.listener: Listener | None = None

    # ---- from any thread

    def post(self, work: Callable[[], None]) -> None:
        """Have the loop call `work` soon."""
        self._posted.append(work)
        try:
            os.write(self._wake_write, b"x")
        except BlockingIOError:
            pass  # the pipe is full of wake-ups already
        except OSError:
            if not self._stopping.is_set():
                raise

    def stop(self) -> None:
        """Have `run` return; `close` then ends what still runs. Safe in a signal handler."""
        self._stopping.set()
        self.post(lambda: None)

    def new_server(self, device: DeviceConfig, name: str = "") -> ServerProcess:
        """The record of a server that `start` will start."""
        self._count += 1
        name = name or f"server-{self._count}"
        return ServerProcess(id=name, device=device, folder=self._folder / name)

    # ---- from the loop

    def start(self, server: ServerProcess) -> None:
        """Start the server's process; its readiness or death is told to the listener."""
        server.started_at = time.monotonic()
        try:
            server.start(self._config)
        except OSError as error:
            server.wish = f"Its process could not be made: {error}."
            self.post(lambda: self._told(server))
            return
        assert server.process is not None and server.process.stdout is not None
        pidfd = os.pidfd_open(server.process.pid)
        self._servers[server.id], self._pidfds[server.id] = server, pidfd
        self._selector.register(pidfd, selectors.EVENT_READ, lambda: self._reap(server))
        self._selector.register(server.process.stdout, selectors.EVENT_READ, lambda: self._read(server))
        _log.info("%s started on %s, process %d", server.id, server.device.id, server.process.pid)

    def _told(self, server: ServerProcess) -> None:
        assert self.listener is not None
        self.listener.server_dead(server, 1)

    def end(self, server: ServerProcess, reason: str) -> None:
        """Tell the server to end; killed if it has not within the grace time."""
        if server.id not in self._servers or server.kill_at:
            return
        server.wish = reason
        server.kill_at = time.monotonic() + END_GRACE_S
        server.signal(signal.SIGTERM)

    def watch_client(self, session: str, pid: int) -> None:
        """Tell the listener when process `pid` of this host ends. At once if it is gone already."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            assert self.listener is not None
            self.listener.client_dead(session)
            return
        self._clients[session] = pidfd
        self._selector.register(pidfd, selectors.EVENT_READ, lambda: self._client_ended(session))

    def forget_client(self, session: str) -> None:
        pidfd = self._clients.pop(session, None)
        if pidfd is not None:
            self._selector.unregister(pidfd)
            os.close(pidfd)

    def watch_end_of(self, descriptor: int) -> None:
        """Stop when `descriptor` reads as ended: the pipe, or the pidfd, of the program that this pool is for."""

        def ended() -> None:
            self._selector.unregister(descriptor)
            self._stopping.set()

        def readable() -> None:
            try:
                if os.read(descriptor, 4096):
                    return  # nothing is expected here, and nothing is understood
            except OSError:
                pass  # a pidfd cannot be read: it being ready is the news
            ended()

        self._selector.register(descriptor, selectors.EVENT_READ, readable)

    def run(self) -> None:
        """Serve events until `stop`."""
        while not self._stopping.is_set():
            for key, _ in self._selector.select(self._next_deadline_s()):
                key.data()
            while self._posted:
                self._posted.popleft()()
            self._check_deadlines()

    def close(self, grace_s: float) -> None:
        """End every server, killing those that are not gone within `grace_s`; then close what this side holds."""
        self._stopping.set()
        if grace_s > 0:
            for server in self._servers.values():
                server.signal(signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        for server in list(self._servers.values()):
            assert server.process is not None
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(max(0.0, deadline - time.monotonic()))
            self._kill_group(server)
            server.process.wait()
            self._forget(server)
        for session in list(self._clients):
            self.forget_client(session)
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        self._wake_write = -1

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # somebody read it before us
            os.read(self._wake_read, 65536)

    def _read(self, server: ServerProcess) -> None:
        assert self.listener is not None and server.process is not None and server.process.stdout is not None
        for line in server.read_output():
            if not line:
                self._selector.unregister(server.process.stdout)
                return
            if server.endpoint:
                continue
            try:
                server.endpoint = str(json.loads(line)["endpoint"])
            except (ValueError, KeyError, TypeError):
                _log.debug("%s said: %r", server.id, line[:200])
                continue
            self.listener.server_ready(server)

    def _reap(self, server: ServerProcess) -> None:
        assert self.listener is not None and server.process is not None
        returncode = server.process.wait()
        self._kill_group(server)
        self._forget(server)
        _log.info("%s ended with %d", server.id, returncode)
        self.listener.server_dead(server, returncode)
        shutil.rmtree(server.folder, ignore_errors=True)

    def _kill_group(self, server: ServerProcess) -> None:
        """Kill the server and the compilers that it started: they share its process group."""
        assert server.process is not None
        with contextlib.suppress(ProcessLookupError):  # nobody is left
            os.killpg(server.process.pid, signal.SIGKILL)

    def _forget(self, server: ServerProcess) -> None:
        assert server.process is not None
        pidfd = self._pidfds.pop(server.id)
        self._selector.unregister(pidfd)
        os.close(pidfd)
        if server.process.stdout is not None and server.process.stdout in [
            k.fileobj for k in self._selector.get_map().values()
        ]:
            self._selector.unregister(server.process.stdout)
        del self._servers[server.id]
        server.close()

    def _client_ended(self, session: str) -> None:
        assert self.listener is not None
        self.forget_client(session)
        self.listener.client_dead(session)

    def _deadline(self, server: ServerProcess) -> float:
        if server.kill_at:
            return server.kill_at
        return server.started_at + self._config.start_limit_s if server.state == states.STARTING else float("inf")

    def _next_deadline_s(self) -> float | None:
        first = min((self._deadline(s) for s in self._servers.values()), default=float("inf"))
        return None if first == float("inf") else max(0.0, first - time.monotonic())

    def _check_deadlines(self) -> None:
        now = time.monotonic()
        for server in list(self._servers.values()):
            if self._deadline(server) <= now:
                if not server.kill_at:
                    server.wish = f"It was not ready within {self._config.start_limit_s:g} s."
                server.kill_at = float("inf")
                server.kill()
