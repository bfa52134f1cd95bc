"""A TCP proxy that harms what passes through it: delay, slow down, cut after N bytes in a direction, half-close, blackhole, corrupt.

    with FaultProxy("unix:/tmp/server.sock") as proxy:
        connect to proxy.endpoint
        proxy.cut_after(up=1234)

Bytes are counted over all connections of the proxy. A fault strikes once, at the exact byte; later connections pass.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

UP, DOWN = "up", "down"
KINDS = ("cut", "half-close", "blackhole", "corrupt")


@dataclass(slots=True)
class Fault:
    """What to do when byte number `at` of `direction` would pass: see KINDS."""

    kind: str
    direction: str
    at: int


@dataclass(slots=True)
class _Pair:
    client: socket.socket
    server: socket.socket
    #: Bytes read and not yet written, per direction, each piece with the time at which it may go.
    held: dict[str, deque[tuple[float, bytes]]] = field(default_factory=lambda: {UP: deque(), DOWN: deque()})
    is_blackhole: bool = False


class FaultProxy:
    """One listening port in front of one server."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.endpoint = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.passed = {UP: 0, DOWN: 0}
        self.connections = 0
        self.struck: list[Fault] = []
        self.delay_s = 0.0
        #: What passes in a second in each direction, over all connections; 0: all that comes.
        self.bytes_a_s = 0.0
        self._free_at = {UP: 0.0, DOWN: 0.0}
        #: New connections are closed at once while set.
        self.refuses = False
        self._faults: list[Fault] = []
        self._pairs: list[_Pair] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="faultproxy", daemon=True)
        self._thread.start()

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(self, *_: Any) -> None:
        self._stopping = True
        self._wake.send(b"x")
        self._thread.join()
        for pair in list(self._pairs):
            self._drop(pair)
        for item in (self._listener, self._wake, self._woken, self._selector):
            item.close()

    def strike(self, kind: str, direction: str, at: int) -> None:
        """Do `kind` when byte `at` (from the proxy's start) of `direction` would pass."""
        assert kind in KINDS
        self._faults.append(Fault(kind, direction, at))

    def cut_now(self) -> None:
        """Cut all connections."""
        for pair in list(self._pairs):
            with contextlib.suppress(OSError):
                pair.client.shutdown(socket.SHUT_RDWR)

    def blackhole_now(self) -> None:
        """The connections that are open now pass nothing more, and stay open."""
        for pair in self._pairs:
            pair.is_blackhole = True

    # -- the thread -----------------------------------------------------------------------------------------------------
    def _run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select(self._pause()):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._woken:
                    self._woken.recv(64)
                elif key.data in self._pairs:
                    self._move(key.data, key.fileobj)
            for pair in list(self._pairs):
                self._send_due(pair)

    def _pause(self) -> float | None:
        due = [held[0][0] for pair in self._pairs for held in pair.held.values() if held]
        return max(min(due) - time.monotonic(), 0.0) if due else None

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if self.refuses:
            client.close()
            return
        try:
            server = self._connect()
        except OSError:
            client.close()
            return
        self.connections += 1
        pair = _Pair(client, server)
        self._pairs.append(pair)
        for end in (client, server):
            self._selector.register(end, selectors.EVENT_READ, pair)

    def _connect(self) -> socket.socket:
        if self._target.startswith("unix:"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target.removeprefix("unix:").removeprefix("//"))
            return server
        host, _, port = self._target.rpartition(":")
        server = socket.create_connection((host, int(port)))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return server

    def _move(self, pair: _Pair, source: Any) -> None:
        direction = UP if source is pair.client else DOWN
        try:
            data = source.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._drop(pair)
            return
        if pair.is_blackhole:
            return
        data, fault = self._apply(direction, data)
        if data:
            self._hold(pair, direction, data)
        if fault is not None:
            self._send_due(pair, everything=True)
            self._harm(pair, fault)

    def _hold(self, pair: _Pair, direction: str, data: bytes) -> None:
        now, rate = time.monotonic(), self.bytes_a_s
        if not rate:
            pair.held[direction].append((now + self.delay_s, data))
            return
        for at in range(0, len(data), 4096):  # in small pieces, or a slow link would be a delay
            piece = data[at : at + 4096]
            self._free_at[direction] = max(now, self._free_at[direction]) + len(piece) / rate
            pair.held[direction].append((self._free_at[direction] + self.delay_s, piece))

    def _apply(self, direction: str, data: bytes) -> tuple[bytes, Fault | None]:
        start = self.passed[direction]
        for fault in self._faults:
            if fault.direction == direction and start <= fault.at < start + len(data):
                self._faults.remove(fault)
                self.struck.append(fault)
                offset = fault.at - start
                if fault.kind == "corrupt":
                    data = data[:offset] + bytes([data[offset] ^ 0xFF]) + data[offset + 1 :]
                    break
                self.passed[direction] += offset
                return data[:offset], fault
        self.passed[direction] += len(data)
        return data, None

    def _harm(self, pair: _Pair, fault: Fault) -> None:
        if fault.kind == "cut":
            self._drop(pair)
        elif fault.kind == "blackhole":
            pair.is_blackhole = True
        elif fault.kind == "half-close" and pair in self._pairs:
            end = pair.server if fault.direction == UP else pair.client
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_WR)

    def _send_due(self, pair: _Pair, everything: bool = False) -> None:
        now = time.monotonic()
        for direction, held in pair.held.items():
            end = pair.server if direction == UP else pair.client
            while held and pair in self._pairs and (everything or held[0][0] <= now):
                _, data = held.popleft()
                try:
                    end.sendall(data)
                except OSError:
                    self._drop(pair)

    def _drop(self, pair: _Pair) -> None:
        if pair in self._pairs:
            self._pairs.remove(pair)
            for end in (pair.client, pair.server):
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(end)
                end.close()
