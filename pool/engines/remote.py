"""The engine of a pool: reaches agents over the streams that they open (agent.proto).

Everything runs in the event loop of `services.Serving`, but for orders and acknowledgements, which any thread may give. What is told to an
agent while a frame of it is on its way goes into the next one: many leases at once are one message. Orders that were under way when a
stream broke are not kept: the agent's next hello says what it has, and the controller tells it what it missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from cupool.v1 import agent_pb2, agent_pb2_grpc, server_pb2

from ..access import Access, refusals
from ..engine import Listener
from ..refusals import Code, Refused
from ..security.tokens import AGENT

_log = logging.getLogger(__name__)

_LONGEST_NODE = 64
#: How long an agent may take to begin its answer to a ReadLog.
_LOG_ANSWER_S = 10.0
#: Messages of lines that whoever reads a log may be behind; then it misses some.
_LOG_BEHIND = 1000


class RemoteEngine:
    """The nodes whose agents are connected. `servicer` is given to a gRPC server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: dict[str, _Stream] = {}
        self._settings = agent_pb2.PoolSettings()
        self.listener: Listener | None = None

    def open(self, listener: Listener) -> None:
        self.listener = listener

    def close(self) -> None:
        self.listener = None
        with self._lock:
            streams = list(self._streams.values())
        for stream in streams:
            stream.end("The controller ends.")

    def nodes(self) -> list[str]:
        with self._lock:
            return list(self._streams)

    def start(self, node: str, server: str, device: str) -> None:
        self._stream(node).start(agent_pb2.StartServer(server=server, device=device))

    def order(
        self, node: str, server: str, command: server_pb2.ServerCommand, client_pid: int = 0, client_host: str = ""
    ) -> None:
        order = agent_pb2.ServerOrder(server=server, command=command, client_pid=client_pid, client_host=client_host)
        self._stream(node).order(order)

    def settings(self, settings: agent_pb2.PoolSettings) -> None:
        with self._lock:
            self._settings = settings
            streams = list(self._streams.values())
        for stream in streams:
            stream.settings(settings)

    async def log(self, node: str, request: agent_pb2.ReadLog) -> AsyncGenerator[str, None]:
        """Lines of a log of another host, through its agent; call in the loop.

        Args:
            request: what is wanted; its id is chosen here.

        Raises:
            LookupError: the node cannot be reached, or cannot read it. The text says why.
        """
        stream = self._stream(node)
        # At random: an answer that comes late, on another stream, is nobody's.
        asked = agent_pb2.ReadLog()
        asked.CopyFrom(request)
        asked.id = secrets.randbits(63)
        answers: asyncio.Queue[agent_pb2.LogLines] = asyncio.Queue(_LOG_BEHIND)
        stream.logs[asked.id] = answers
        limit_s: float | None = _LOG_ANSWER_S
        try:
            stream.read_log(asked)
            while True:
                try:
                    answer = await asyncio.wait_for(answers.get(), limit_s)
                except TimeoutError:
                    raise LookupError(
                        f"The agent of {node} did not answer within {limit_s:g} s. It may be of an older version."
                    ) from None
                limit_s = None
                for line in answer.lines:
                    yield line
                if answer.error:
                    raise LookupError(answer.error)
                if answer.last:
                    return
        finally:
            del stream.logs[asked.id]
            stream.read_log(agent_pb2.ReadLog(id=asked.id, stop=True))

    def _stream(self, node: str) -> _Stream:
        with self._lock:
            stream = self._streams.get(node)
        if stream is None:
            raise LookupError(f"The node {node} is not connected.")
        return stream

    # ---- for AgentServicer, in the loop

    def joined(self, node: str, stream: _Stream) -> None:
        """A stream has said its hello. A second one of the same node ends the first."""
        with self._lock:
            old = self._streams.get(node)
            self._streams[node] = stream
            stream.settings(self._settings)
        if old is not None:
            old.end("The node has opened another stream.")

    def left(self, node: str, stream: _Stream) -> None:
        with self._lock:
            if self._streams.get(node) is not stream:
                return  # there is a newer one
            del self._streams[node]
        if self.listener is not None:
            self.listener.node_gone(node, stream.over or "its stream broke")


class _Stream:
    """What is to be sent to one agent. Made in the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._frame = agent_pb2.ControllerFrame()
        self._seq = 0
        self._is_woken = False
        self._ready = asyncio.Event()
        self.over = ""  #: why it ends
        #: Ordinals of frames that must not get lost, in their order -> whether all of it is in the directory.
        self._told: dict[int, bool] = {}
        #: Who waits for lines of this host's logs, by the id of the ReadLog. The loop's.
        self.logs: dict[int, asyncio.Queue[agent_pb2.LogLines]] = {}

    def read_log(self, request: agent_pb2.ReadLog) -> None:
        with self._lock:
            self._frame.logs.append(request)
            self._wake()

    def log_lines(self, lines: agent_pb2.LogLines) -> None:
        """In the loop: an answer."""
        answers = self.logs.get(lines.id)
        if answers is None:
            return
        if answers.full() and lines.last:
            answers.get_nowait()
        if not answers.full():
            answers.put_nowait(lines)

    def logs_end(self, reason: str) -> None:
        """In the loop: no more answers come."""
        for id_ in list(self.logs):
            self.log_lines(agent_pb2.LogLines(id=id_, last=True, error=reason))

    def start(self, start: agent_pb2.StartServer) -> None:
        with self._lock:
            self._frame.start.append(start)
            self._wake()

    def order(self, order: agent_pb2.ServerOrder) -> None:
        with self._lock:
            self._frame.orders.append(order)
            self._wake()

    def settings(self, settings: agent_pb2.PoolSettings) -> None:
        with self._lock:
            self._frame.settings.CopyFrom(settings)
            self._wake()

    def told(self, ordinal: int) -> None:
        """A frame has come that its agent keeps until it is `received`."""
        with self._lock:
            self._told[ordinal] = False

    def received(self, ordinal: int) -> None:
        """All of the frame is in the directory. Its agent forgets all up to the ordinal that it is told, so one whose end waits for what
        becomes of a move holds those behind it."""
        with self._lock:
            self._told[ordinal] = True
            last = 0
            while self._told and self._told[first := next(iter(self._told))]:
                del self._told[first]
                last = first
            if last:
                self._frame.received = max(self._frame.received, last)
                self._wake()

    def end(self, reason: str) -> None:
        with self._lock:
            self.over = self.over or reason
            self._wake()

    def _wake(self) -> None:
        if self._is_woken:
            return
        self._is_woken = True
        if threading.get_ident() == self._thread:
            self._ready.set()  # most orders are given in the loop: waking it would be a system call and a turn of it for nothing
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads
            self._loop.call_soon_threadsafe(self._ready.set)

    async def frames(self) -> AsyncIterator[agent_pb2.ControllerFrame]:
        """What there is to send, each time there is something, until the end."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            with self._lock:
                self._is_woken = False
                frame, self._frame = self._frame, agent_pb2.ControllerFrame()
                if frame.start or frame.orders:
                    self._seq += 1
                    frame.seq = self._seq
            if self.over:
                return
            yield frame


class AgentServicer(agent_pb2_grpc.AgentServiceServicer):
    """AgentService. Boundary: streams and credentials; what is told goes to the engine's listener."""

    def __init__(self, engine: RemoteEngine, access: Access) -> None:
        self._engine = engine
        self._access = access

    async def Connect(
        self, requests: AsyncIterator[agent_pb2.AgentFrame], context: Any
    ) -> AsyncIterator[agent_pb2.ControllerFrame]:
        async with refusals(context):
            self._access.check(context, AGENT)
            first = await anext(aiter(requests), None)
            if first is None:
                return
            node = first.hello.node
            if not node or len(node) > _LONGEST_NODE or not node.isprintable() or "/" in node:
                raise Refused(
                    Code.INVALID_ARGUMENT, "The first frame of an agent's stream is a hello that names its node.", ""
                )
            listener = self._engine.listener
            if listener is None:
                raise Refused(Code.UNAVAILABLE, "The controller is ending.")
            stream = _Stream(asyncio.get_running_loop())
            self._engine.joined(node, stream)
            reader = asyncio.create_task(self._read(requests, node, stream, listener))
            try:
                listener.node_here(first.hello)
                async for frame in stream.frames():
                    yield frame
            finally:
                reader.cancel()
                stream.logs_end(f"The connection to the host's agent ended: {stream.over or 'its stream broke'}")
                self._engine.left(node, stream)

    async def _read(
        self, requests: AsyncIterator[agent_pb2.AgentFrame], node: str, stream: _Stream, listener: Listener
    ) -> None:
        reason = "The agent has ended."
        try:
            async for frame in requests:
                if stream.over:
                    return
                self._tell(frame, node, stream, listener)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever breaks one stream must not leave it open without a reader
            _log.exception("event=agent-stream-failed node=%s", node)
            reason = f"The controller could not follow the agent's stream ({type(error).__name__}); its log says more."
        stream.end(reason)

    def _tell(self, frame: agent_pb2.AgentFrame, node: str, stream: _Stream, listener: Listener) -> None:
        for lines in frame.logs:
            stream.log_lines(lines)
        for news in frame.servers:
            listener.server_news(node, news)
        if frame.ended or frame.moves:
            left = len(frame.ended) + len(frame.moves)
            if frame.ordinal:
                stream.told(frame.ordinal)

            def kept() -> None:
                nonlocal left
                left -= 1
                if left == 0 and frame.ordinal:
                    stream.received(frame.ordinal)

            for move in frame.moves:
                listener.move_news(node, move, kept)
            for end in frame.ended:
                listener.session_ended(node, end, kept)
        for report in frame.checkpoints:
            listener.checkpointed(node, report)
        if frame.use:
            listener.server_use(node, frame.use)
        if frame.devices or frame.HasField("host"):
            listener.device_news(node, frame.devices, frame.host if frame.HasField("host") else None)
