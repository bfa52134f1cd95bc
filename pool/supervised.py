"""A process that the supervisor keeps running: its start, what it says when it is ready, its end, and the pause before its next start."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

#: Between the end of a process and its next start, doubled each time.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
#: A process that ran so long has a fresh start.
STEADY_S = 30.0


@dataclasses.dataclass
class Child:
    """A process that is kept running."""

    name: str
    command: list[str]
    log: Path | None  #: None: our own standard error
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    pidfd: int = -1
    began: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    starts_at: float = 0.0  #: when it is started again; 0: it runs, or is not wanted
    said: dict[str, Any] = dataclasses.field(default_factory=dict)  #: its line, when it is ready
    _output: bytes = b""

    def start(self) -> None:
        self.starts_at, self.said, self._output, self.began = 0.0, {}, b"", time.monotonic()
        with contextlib.ExitStack() as stack:
            errors: Any = None
            if self.log is not None:
                self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                errors = stack.enter_context(
                    open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab")
                )
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self.environment,
                start_new_session=True,
            )
        self.pidfd = os.pidfd_open(self.process.pid)

    @property
    def pid(self) -> int:
        return self.process.pid if self.process is not None else 0

    @property
    def output(self) -> int:
        """Descriptor of its standard output until that ends; -1 then."""
        stdout = self.process.stdout if self.process is not None else None
        return stdout.fileno() if stdout is not None and not stdout.closed else -1

    def read(self) -> None:
        """Take what it wrote; its first JSON line is `said`."""
        assert self.process is not None and self.process.stdout is not None
        data = os.read(self.output, 65536)
        if not data:
            self.process.stdout.close()
            return
        self._output = (self._output + data)[-65536:]
        for line in self._output.split(b"\n")[:-1]:
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                if isinstance(record, dict) and not self.said:
                    self.said = record

    def reap(self) -> int:
        """After its end: its exit status; negative: the signal."""
        assert self.process is not None
        status = self.process.wait()
        while self.output >= 0 and select.select([self.output], [], [], 0)[0]:
            self.read()  # its last words
        if self.output >= 0 and self.process.stdout is not None:
            self.process.stdout.close()
        os.close(self.pidfd)
        self.process, self.pidfd = None, -1
        return status

    @property
    def has_ended(self) -> bool:
        """Whether its process is to be reaped."""
        return bool(select.select([self.pidfd], [], [], 0)[0])

    def drain(self, timeout_s: float) -> None:
        """Wait for its end, or for what it says: a full pipe would keep it from ending."""
        fds = [self.pidfd, *([self.output] if self.output >= 0 else [])]
        if self.output in select.select(fds, [], [], timeout_s)[0]:
            self.read()

    def last_words(self) -> str:
        """The last line of its log, for an error; empty: there is none."""
        if self.log is None:
            return ""
        try:
            with open(self.log, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
                lines = file.read().decode("utf-8", "replace").split("\n")
        except OSError:
            return ""
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f": {last[:300].rstrip('.')}" if last else ""

    def signal(self, number: int) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)

    def again(self) -> None:
        """It ended without being told to: start it after a pause."""
        if time.monotonic() - self.began > STEADY_S:
            self.pause_s = FIRST_PAUSE_S
        self.starts_at = time.monotonic() + self.pause_s
        self.pause_s = min(2 * self.pause_s, LONGEST_PAUSE_S)


def status_text(status: int) -> str:
    """An exit status, negative for a signal, in words."""
    if status >= 0:
        return f"status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"
