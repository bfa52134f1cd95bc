"""Logs of this host, read for operators elsewhere: the controller asks over the agent's stream (`ReadLog`), the lines go back on it.

Boundary: reads files of this host's servers and the agent's own last lines; whoever asks was checked by the controller. All reading is in
one thread with an event loop, begun with the first request: the agent's own loop never waits for a disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from cupool.v1 import agent_pb2

from ..logs import LogRing, file_lines, find_file

#: Logs that are read at once.
MOST = 16
#: Lines in one message: some ten kilobytes.
_CHUNK = 200


class LogReader:
    """Carries out the controller's `ReadLog`s.

    Attributes:
        send: takes an answer to the controller; called from a thread of ours, must not wait.
    """

    def __init__(self, node: str, folder: Path, ring: LogRing) -> None:
        """
        Args:
            folder: of the servers' logs.
            ring: the last lines of this process.
        """
        self.send: Callable[[agent_pb2.LogLines], None] = lambda lines: None
        self._node = node
        self._folder = folder
        self._ring = ring
        self._reads: dict[int, asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    # ---- from the agent's loop

    def ask(self, request: agent_pb2.ReadLog) -> None:
        """Begin to read, or stop."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="cupool-logs", daemon=True)
            self._thread.start()
        self._loop.call_soon_threadsafe(self._ask, request)

    def stop_all(self) -> None:
        """Nobody reads any more: the stream is gone."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop_all)

    def close(self) -> None:
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = None

    # ---- in the thread

    def _stop_all(self) -> None:
        for task in self._reads.values():
            task.cancel()

    async def _end(self) -> None:
        reads = list(self._reads.values())
        self._stop_all()
        await asyncio.gather(*reads, return_exceptions=True)

    def _ask(self, request: agent_pb2.ReadLog) -> None:
        if request.stop:
            task = self._reads.get(request.id)
            if task is not None:
                task.cancel()
        elif len(self._reads) >= MOST:
            error = f"The agent of {self._node} reads {MOST} logs already. End one of the commands that follow a log."
            self.send(agent_pb2.LogLines(id=request.id, last=True, error=error))
        else:
            task = self._reads[request.id] = asyncio.get_running_loop().create_task(self._read(request))
            task.add_done_callback(lambda _: self._reads.pop(request.id, None))

    async def _read(self, request: agent_pb2.ReadLog) -> None:
        waiting: list[str] = []
        loop = asyncio.get_running_loop()
        flushing: list[asyncio.Handle] = []

        def flush() -> None:
            flushing.clear()
            chunks = [waiting[i : i + _CHUNK] for i in range(0, len(waiting), _CHUNK)]
            waiting.clear()
            for chunk in chunks or [[]]:
                self.send(agent_pb2.LogLines(id=request.id, lines=chunk))

        # Also where there is no line: whoever asked hears that it is read.
        flushing.append(loop.call_soon(flush))
        try:
            async with contextlib.aclosing(self._lines(request)) as lines:
                async for line in lines:
                    waiting.append(line)
                    if not flushing:
                        flushing.append(loop.call_soon(flush))  # with all that comes in this turn
            error = ""
        except LookupError as missing:
            error = str(missing.args[0])
        except OSError as failure:
            error = f"The log of {request.source!r} cannot be read on {self._node}: {failure.strerror}."
        finally:
            for handle in flushing:
                handle.cancel()
        flush()
        self.send(agent_pb2.LogLines(id=request.id, last=True, error=error))

    async def _lines(self, request: agent_pb2.ReadLog) -> AsyncGenerator[str, None]:
        """Raises LookupError, OSError."""

        def wanted(line: str) -> bool:
            return request.session in line

        count = max(1, request.lines)
        if request.source == self._node:
            lines = self._ring.lines(count, request.follow, wanted)
        else:
            path = find_file([self._folder], request.source)
            if path is None:
                raise LookupError(
                    f"{request.source!r} wrote no log on {self._node}, or it is gone: the latest are kept. "
                    f"What the agent itself said of it: cupool logs {self._node}."
                )
            lines = file_lines(path, count, request.follow, wanted)
        async with contextlib.aclosing(lines):
            async for line in lines:
                yield line
