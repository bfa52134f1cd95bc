"""The other ends of baselines, each a process: `python -m benchmarks.peers NAME`. Prints its port, ends with its standard input.

tcp-echo            64-byte ping-pong over a raw socket
tcp-bulk            raw socket: 8 bytes n, then n bytes in (n > 0) or out (n < 0); what bulk transfers are compared with
tcp-commands        frames of packed commands, decoded as the server does; what pipelined commands are compared with
grpc-echo           bare stock grpcio: a bidirectional stream, and a unary call, bytes in and out; what a wait and a lease are compared with
relay TARGET RTT_MS TCP relay to a port of 127.0.0.1, or to unix:/path, that adds half of RTT_MS each way
far-pool TARGET RTT_MS TOKEN  PoolService of the pool at TARGET, it and the API servers that it leases behind relays
"""

from __future__ import annotations

import os
import queue
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Handler = Callable[[socket.socket], None]


def receive_exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def receive_into(sock: socket.socket, view: memoryview) -> None:
    """Fill `view` from the socket."""
    while view:
        size = sock.recv_into(view)
        if not size:
            raise EOFError
        view = view[size:]


def _serve(handler: Handler, announce: bool = True) -> int:
    listener = socket.create_server(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    if announce:
        print(port, flush=True)

    def connection(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            handler(sock)
        except (EOFError, OSError):
            pass  # the other end is done
        finally:
            sock.close()

    def accept() -> None:
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=connection, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return port


def _echo(sock: socket.socket) -> None:
    while True:
        sock.sendall(receive_exactly(sock, 64))


def _bulk(sock: socket.socket) -> None:
    buffer = np.zeros(1 << 20, np.uint8)
    view = memoryview(buffer)
    while True:
        (size,) = struct.unpack("<q", receive_exactly(sock, 8))
        if size > 0:
            if size > len(view):
                buffer = np.zeros(size, np.uint8)
                view = memoryview(buffer)
            receive_into(sock, view[:size])
            sock.sendall(b"k")
        else:
            if -size > len(view):
                buffer = np.zeros(-size, np.uint8)
                view = memoryview(buffer)
            sock.sendall(view[:-size])


def _commands(sock: socket.socket) -> None:
    while True:
        (size,) = struct.unpack("<q", receive_exactly(sock, 8))
        if size:
            data = bytearray(size)
            receive_into(sock, memoryview(data))
            list(memoryview(data).cast("q"))
        else:
            sock.sendall(b"k")


def _grpc_echo() -> None:
    from concurrent import futures

    import grpc

    def echo(frames: Iterator[bytes], context: Any) -> Iterator[bytes]:
        yield from frames

    server = grpc.server(futures.ThreadPoolExecutor(2))
    methods = {
        "Stream": grpc.stream_stream_rpc_method_handler(echo),
        "Call": grpc.unary_unary_rpc_method_handler(lambda request, context: request),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    KEEP.append(server)
    print(port, flush=True)


def _connect(target: str) -> socket.socket:
    if target.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(target.removeprefix("unix:"))
        return sock
    sock = socket.create_connection(("127.0.0.1", int(target.rpartition(":")[2])))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _pump(source: socket.socket, sink: socket.socket, delay_s: float) -> None:
    """Bytes from one to the other, each `delay_s` after it came."""
    pending: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def deliver() -> None:
        while True:
            due, data = pending.get()
            wait = due - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            try:
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)
            except OSError:
                return

    threading.Thread(target=deliver, daemon=True).start()
    data = b"-"
    while data:
        try:
            data = source.recv(1 << 18)
        except OSError:
            data = b""
        pending.put((time.perf_counter() + delay_s, data))


def _relaying(target: str, rtt_ms: str) -> Handler:
    delay_s = float(rtt_ms) / 2000

    def handle(sock: socket.socket) -> None:
        with _connect(target) as other:
            back = threading.Thread(target=_pump, args=(other, sock, delay_s), daemon=True)
            back.start()
            _pump(sock, other, delay_s)
            back.join()

    return handle


def _far_pool(target: str, rtt_ms: str, token: str) -> None:
    from concurrent import futures

    import grpc

    from cupool.v1 import pool_pb2

    channel = grpc.insecure_channel(target if target.startswith("unix:") else f"127.0.0.1:{target}")
    metadata = (("authorization", f"Bearer {token}"),)
    relays: dict[str, int] = {}

    def forward(method: str, is_lease: bool) -> Any:
        call = channel.unary_unary(f"/cupool.v1.PoolService/{method}")

        def handle(request: bytes, context: Any) -> bytes:
            reply: bytes = call(request, metadata=metadata)
            if not is_lease:
                return reply
            lease = pool_pb2.Lease.FromString(reply)
            if lease.endpoint not in relays:
                relays[lease.endpoint] = _serve(_relaying(lease.endpoint, rtt_ms), announce=False)
            lease.endpoint = f"127.0.0.1:{relays[lease.endpoint]}"
            return lease.SerializeToString()

        return grpc.unary_unary_rpc_method_handler(handle)

    server = grpc.server(futures.ThreadPoolExecutor(4))
    methods = {
        name: forward(name, is_lease) for name, is_lease in (("Acquire", True), ("Renew", True), ("Release", False))
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("cupool.v1.PoolService", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    KEEP.append(server)
    _serve(_relaying(str(port), rtt_ms))


#: What must not be collected while this process serves.
KEEP: list[Any] = []

PEERS: dict[str, Callable[..., None]] = {
    "tcp-echo": lambda: _serve(_echo) and None,
    "tcp-bulk": lambda: _serve(_bulk) and None,
    "tcp-commands": lambda: _serve(_commands) and None,
    "grpc-echo": _grpc_echo,
    "relay": lambda target, rtt_ms: _serve(_relaying(target, rtt_ms)) and None,
    "far-pool": _far_pool,
}

if __name__ == "__main__":
    PEERS[sys.argv[1]](*sys.argv[2:])
    sys.stdin.read()  # until whoever started us goes, however it goes
    sys.stdout.flush()
    os._exit(0)
