"""The other ends of baselines, each a process: `python -m benchmarks.peers NAME`. Prints its port, ends with its standard input.

    tcp-echo            64-byte ping-pong over a raw socket
    tcp-bulk            raw socket: 8 bytes n, then n bytes in (n > 0) or out (n < 0); what bulk transfers are compared with
    tcp-commands        frames of packed commands, decoded as the server does; what pipelined commands are compared with
    grpc-echo           bare stock grpcio bidirectional stream, bytes in and out; what a wait is compared with
    relay PORT RTT_MS   TCP relay to 127.0.0.1:PORT that adds half of RTT_MS each way
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


def _serve(handler: Handler) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)

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
    handler = grpc.stream_stream_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {"Stream": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)


def _relay(port: str, rtt_ms: str) -> None:
    delay_s = float(rtt_ms) / 2000

    def pump(source: socket.socket, target: socket.socket) -> None:
        pending: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

        def deliver() -> None:
            while True:
                due, data = pending.get()
                wait = due - time.perf_counter()
                if wait > 0:
                    time.sleep(wait)
                try:
                    if not data:
                        target.shutdown(socket.SHUT_WR)
                        return
                    target.sendall(data)
                except OSError:
                    return

        threading.Thread(target=deliver, daemon=True).start()
        while True:
            try:
                data = source.recv(1 << 18)
            except OSError:
                data = b""
            pending.put((time.perf_counter() + delay_s, data))
            if not data:
                return

    def handle(sock: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", int(port))) as target:
            target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=pump, args=(target, sock), daemon=True)
            back.start()
            pump(sock, target)
            back.join()

    _serve(handle)


PEERS: dict[str, Callable[..., None]] = {
    "tcp-echo": lambda: _serve(_echo),
    "tcp-bulk": lambda: _serve(_bulk),
    "tcp-commands": lambda: _serve(_commands),
    "grpc-echo": _grpc_echo,
    "relay": _relay,
}

if __name__ == "__main__":
    PEERS[sys.argv[1]](*sys.argv[2:])
    sys.stdin.read()  # until whoever started us goes, however it goes
    sys.stdout.flush()
    os._exit(0)
