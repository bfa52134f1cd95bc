"""The last lines of a log, and those that follow: of this process from memory, of others from files where they can be reached."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from cupool.contract import redaction

#: Lines of this process that are kept.
KEPT = 2000
#: How much of a file's end is read for its last lines.
_TAIL_BYTES = 1 << 20
_LOOK_S = 0.25
_BEHIND = 1000


class LogRing(logging.Handler):
    """Keeps this process's last records. They become lines, without secrets, when somebody reads them."""

    def __init__(self) -> None:
        super().__init__()
        self._records: deque[logging.LogRecord] = deque(maxlen=KEPT)
        self._guard = threading.Lock()
        self._listeners: list[Callable[[str], object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        with self._guard:
            self._records.append(record)
            listeners = list(self._listeners)
        if listeners:
            line = self._line(record)
            for listener in listeners:
                listener(line)

    def _line(self, record: logging.LogRecord) -> str:
        return redaction.redact(self.format(record))

    def tail(self, lines: int, wanted: Callable[[str], bool]) -> list[str]:
        """The last `lines` that are wanted."""
        with self._guard:
            records = list(self._records)
        found: list[str] = []
        for record in reversed(records):
            line = self._line(record)
            if wanted(line):
                found.append(line)
                if len(found) == lines:
                    break
        return found[::-1]

    def listen(self, listener: Callable[[str], object]) -> Callable[[], None]:
        with self._guard:
            self._listeners.append(listener)

        def stop() -> None:
            with self._guard:
                self._listeners.remove(listener)

        return stop

    async def lines(self, count: int, follow: bool, wanted: Callable[[str], bool]) -> AsyncGenerator[str, None]:
        """The last `count` lines that are wanted; with `follow` those that come, until the caller stops."""
        loop = asyncio.get_running_loop()
        coming: asyncio.Queue[str] = asyncio.Queue(_BEHIND)

        def put(line: str) -> None:
            if not coming.full():  # a reader so slow misses lines; the log does not wait for it
                coming.put_nowait(line)

        stop = self.listen(lambda line: loop.call_soon_threadsafe(put, line)) if follow else None
        try:
            for line in self.tail(count, wanted):
                yield line
            while stop is not None:
                line = await coming.get()
                if wanted(line):
                    yield line
        finally:
            if stop is not None:
                stop()


async def file_lines(path: Path, count: int, follow: bool, wanted: Callable[[str], bool]) -> AsyncGenerator[str, None]:
    """The same of a file. Raises OSError when it cannot be read."""
    with open(path, "rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _TAIL_BYTES))
        rest = file.read()
        *lines, rest = rest.split(b"\n")
        texts = [redaction.redact(line.decode("utf-8", "replace")) for line in lines]
        for line in [t for t in texts if wanted(t)][-count:]:
            yield line
        while follow:
            more = file.read(_TAIL_BYTES)
            if not more:
                await asyncio.sleep(_LOOK_S)
                continue
            *lines, rest = (rest + more).split(b"\n")
            for text in (redaction.redact(line.decode("utf-8", "replace")) for line in lines):
                if wanted(text):
                    yield text


def find_file(folders: list[Path], source: str) -> Path | None:
    """The log file of a node or a server that lies in one of the pool's folders."""
    if "/" in source or source.startswith("."):
        return None
    for folder in folders:
        for name in (
            f"{source}.log",
            f"logs/{source}.log",
            f"agent/logs/{source}.log",
            f"{source}/log",
            f"servers/{source}/log",
        ):
            if (folder / name).is_file():
                return folder / name
    return None
