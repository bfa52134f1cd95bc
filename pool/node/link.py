"""The stream to the controller: says all that is here when it opens, tells what changes while it is open, follows orders. It is opened
again and again, for ever; servers and sessions never notice.

Threads: the loop's makes frames and follows orders; one of our own opens the stream and reads; gRPC's takes what is to be sent from a
queue.
"""

from __future__ import annotations

import logging
import queue
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

import cupool
from cupool.v1 import admin_pb2, agent_pb2, agent_pb2_grpc, server_pb2

from ..config import PoolConfig
from .host import Host
from .logreader import LogReader
from .outbox import Outbox

_log = logging.getLogger(__name__)

#: Waits between attempts, doubled from the first to the last, each shortened by chance.
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 1.0
#: Numbers are not told while so many frames wait to be sent: the next ones say the same.
MANY_FRAMES = 256
_OPTIONS = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]


class Link:
    """A `Sink` that tells the controller."""

    def __init__(self, config: PoolConfig, node: str, host: Host, outbox: Outbox, logs: LogReader) -> None:
        self._config = config
        self._logs = logs
        logs.send = lambda lines: host.loop.post(lambda: self._log_lines(lines))
        self._node = node
        self._host = host
        self._outbox = outbox
        self._stopping = threading.Event()
        #: what is to be sent on the stream that is open; None while none is. The loop's.
        self._queue: queue.SimpleQueue[agent_pb2.AgentFrame | None] | None = None
        self._news = agent_pb2.AgentFrame()
        self._call: Any = None
        self._command_seq = 0
        self._is_connected = False
        self._channel = self._open_channel()
        self._thread = threading.Thread(target=self._run, name="cupool-link", daemon=True)
        host.telling.sink = self

    def start(self) -> None:
        self._thread.start()

    @property
    def is_connected(self) -> bool:
        return self._is_connected

    def close(self) -> None:
        """Send what is to be sent, for a moment, and close the stream."""
        self._stopping.set()
        self._flush()
        if self._queue is not None:
            self._queue.put(None)
        self._thread.join(1.0)
        self._channel.close()
        self._thread.join()
        self._logs.close()
        self._outbox.close()

    # ---- Sink, in the loop

    def server_news(self, news: agent_pb2.ServerNews) -> None:
        # What one turn of the loop brings is one frame.
        if self._queue is not None:
            if not self._news.servers:
                self._host.loop.post(self._flush)
            self._news.servers.append(news)

    def session_ended(self, end: agent_pb2.SessionEnd) -> None:
        self._send(self._outbox.add(end))

    def move_news(self, news: agent_pb2.MoveNews, must_arrive: bool) -> None:
        if must_arrive:
            self._send(self._outbox.add(move=news))
        elif self._queue is not None and self._queue.qsize() < MANY_FRAMES:
            self._send(agent_pb2.AgentFrame(moves=[news]))

    def checkpointed(self, report: server_pb2.CheckpointReport) -> None:
        self._send(agent_pb2.AgentFrame(checkpoints=[report]))

    def server_use(self, use: list[agent_pb2.ServerUse]) -> None:
        if self._queue is not None and self._queue.qsize() < MANY_FRAMES:
            self._send(agent_pb2.AgentFrame(use=use))

    def device_news(self, devices: list[admin_pb2.DeviceStatus], host: agent_pb2.HostUse) -> None:
        if self._queue is not None and self._queue.qsize() < MANY_FRAMES:
            self._send(agent_pb2.AgentFrame(devices=devices, host=host))

    def _log_lines(self, lines: agent_pb2.LogLines) -> None:
        # A reader so slow misses lines; that they are over it hears.
        if lines.last or (self._queue is not None and self._queue.qsize() < MANY_FRAMES):
            self._send(agent_pb2.AgentFrame(logs=[lines]))

    def _flush(self) -> None:
        """News that wait go before whatever comes after them."""
        if self._news.servers:
            news, self._news = self._news, agent_pb2.AgentFrame()
            if self._queue is not None:
                self._queue.put(news)

    def _send(self, frame: agent_pb2.AgentFrame) -> None:
        self._flush()
        if self._queue is not None:
            self._queue.put(frame)

    # ---- the stream

    def _run(self) -> None:
        stub = agent_pb2_grpc.AgentServiceStub(self._channel)
        wait_s, last = FIRST_WAIT_S, ""
        while not self._stopping.is_set():
            outgoing: queue.SimpleQueue[agent_pb2.AgentFrame | None] = queue.SimpleQueue()
            self._host.loop.post(lambda q=outgoing: self._greet(q))  # type: ignore[misc]
            heard, why = False, "the controller ended the stream"
            try:
                self._call = stub.Connect(_frames(outgoing), metadata=self._metadata())
                for frame in self._call:
                    if not heard:
                        heard, wait_s, last, self._is_connected = True, FIRST_WAIT_S, "", True
                        _log.info("event=connected controller=%s node=%s", self._config.controller, self._node)
                    self._host.loop.post(lambda f=frame: self._obey(f))  # type: ignore[misc]
            except grpc.RpcError as error:
                why = f"{error.code().name}: {error.details()}"
            finally:
                outgoing.put(None)
                self._is_connected = False
                self._host.loop.post(lambda q=outgoing: self._lost(q))  # type: ignore[misc]
            if self._stopping.is_set():
                return
            if why != last:  # said once, however often it is tried
                _log.warning(
                    "event=not-connected controller=%s node=%s reason=%r", self._config.controller, self._node, why
                )
                last = why
            self._stopping.wait(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    def _greet(self, outgoing: queue.SimpleQueue[agent_pb2.AgentFrame | None]) -> None:
        """In the loop: everything that is here, then every end that is not acknowledged, then what changes from now on."""
        hello = self._host.hello()
        hello.node, hello.host, hello.version = self._node, socket.gethostname(), cupool.__version__
        hello.command_seq = self._command_seq
        self._news.Clear()  # the hello says it
        outgoing.put(agent_pb2.AgentFrame(hello=hello))
        for frame in self._outbox:
            outgoing.put(frame)
        self._queue = outgoing

    def _lost(self, outgoing: queue.SimpleQueue[agent_pb2.AgentFrame | None]) -> None:
        if self._queue is outgoing:
            self._queue = None
            self._logs.stop_all()

    def _obey(self, frame: agent_pb2.ControllerFrame) -> None:
        """In the loop. Settings first: they are of the servers that the same frame starts."""
        if frame.HasField("settings"):
            self._host.settings(frame.settings)
        if frame.received:
            self._outbox.received(frame.received)
        for start in frame.start:
            self._host.start(start)
        for order in frame.orders:
            self._host.order(order)
        for request in frame.logs:
            self._logs.ask(request)
        if frame.seq:
            self._command_seq = frame.seq

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        token = self._config.agent_token
        return (("authorization", f"Bearer {token}"),) if token else ()

    def _open_channel(self) -> grpc.Channel:
        config = self._config
        if not config.tls_ca or config.controller.startswith("unix:"):
            return grpc.insecure_channel(config.controller, options=_OPTIONS)
        credentials = grpc.ssl_channel_credentials(Path(config.tls_ca).read_bytes())
        return grpc.secure_channel(config.controller, credentials, options=_OPTIONS)


def _frames(outgoing: queue.SimpleQueue[agent_pb2.AgentFrame | None]) -> Iterator[agent_pb2.AgentFrame]:
    return iter(outgoing.get, None)
