"""Raw TCP as a baseline: ping-pong, bulk in and out, frames of packed commands."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from benchmarks.peers import receive_exactly, receive_into


@contextmanager
def connection(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


def ping_s(sock: socket.socket, trips: int) -> float:
    """Median seconds of a 64-byte round trip."""
    message = bytes(64)
    times = []
    for _ in range(trips):
        start = time.perf_counter()
        sock.sendall(message)
        receive_exactly(sock, 64)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def up_s(sock: socket.socket, data: memoryview) -> float:
    """Seconds to send `data` into a warm buffer of the peer, its receipt included."""
    start = time.perf_counter()
    sock.sendall(struct.pack("<q", len(data)))
    sock.sendall(data)
    receive_exactly(sock, 1)
    return time.perf_counter() - start


def down_s(sock: socket.socket, target: memoryview) -> float:
    """Seconds to receive into the warm `target`."""
    start = time.perf_counter()
    sock.sendall(struct.pack("<q", -len(target)))
    receive_into(sock, target)
    return time.perf_counter() - start


def commands_s(sock: socket.socket, batch: list[int], batches: int) -> float:
    """Seconds to pack, frame and send `batch` (words) so many times, all decoded by the peer."""
    start = time.perf_counter()
    for _ in range(batches):
        data = struct.pack(f"<{len(batch)}q", *batch)
        sock.sendall(struct.pack("<q", len(data)) + data)
    sock.sendall(struct.pack("<q", 0))
    receive_exactly(sock, 1)
    return time.perf_counter() - start
