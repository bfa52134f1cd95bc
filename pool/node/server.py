"""One API server as its agent sees it: a process, the pipes of orders and reports, and the file in which it says what it does.

Boundary: talks to one process; what follows from what it says is decided in `host`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cupool.contract import statusfile
from cupool.contract.framing import Unpacker, delimited
from cupool.v1 import server_pb2

from .. import states
from ..config import DeviceConfig
from .environment import environment

#: How much of a server's log is read for the sentence about its death.
_LOG_TAIL_BYTES = 4096
#: Room of the pipe of orders: a server that leaves so much unread does not follow orders any more.
_PIPE_BYTES = 64 << 10
_READ_BYTES = 64 << 10


class NotFollowing(Exception):
    """The server does not take orders: its pipe is full or closed.

    Attributes:
        is_closed: it reads no more: its process has ended, or is about to.
    """

    is_closed = False


@dataclass(slots=True)
class Server:
    """A server from its start to its death.

    Attributes:
        id: the pool's name for it.
        folder: its own; holds control socket, status file and log.
        state: of `states.SERVER_STATES`, as the agent knows it.
        pid, pidfd: of its process; 0 and -1 before it has one.
        endpoint: where clients attach; "" until it is warm.
        speaks_tls: whether that endpoint speaks TLS.
        op_table_digest: of its op table, for clients; empty: it did not tell.
        assignment: its session; None where it has none.
        pending: sessions that were assigned while another one was here that may still be taken back, in order.
        attached_before: a client has been attached.
        wish: why the pool ended it; "" when it did not.
        said: why it ends, by its own report.
        is_expired: it ends because no client came, or came back, in time.
        move_out: id of the last move for which it was ordered to let its session be pulled.
        move: the last that it said of its session's move; None: there was none.
        fixed: why its session cannot be moved, as it said; "": nothing holds it.
        has_released: its session is another server's now.
        is_copy: its session is another server's still: it is on its way here.
        reports_left, reported_at: how many reports it may make now, as of then; see `host`.
        is_client_gone: it was ended because its client's process ended.
        log_path: where its standard error goes.
    """

    id: str
    device: DeviceConfig
    folder: Path
    log_path: Path
    state: int = states.STARTING
    pid: int = 0
    pidfd: int = -1
    endpoint: str = ""
    speaks_tls: bool = False
    fingerprint: str = ""
    op_table_digest: bytes = b""
    assignment: server_pb2.AssignRequest | None = None
    pending: dict[str, Any] = field(default_factory=dict)
    attached_before: bool = False
    assigned_at: float = 0.0
    client_pid: int = 0
    client_pidfd: int = -1
    wish: str = ""
    said: str = ""
    is_client_gone: bool = False
    reports_left: float = 0.0
    reported_at: float = float("-inf")
    is_expired: bool = False
    is_ending: bool = False
    move_out: str = ""
    fixed: str = ""
    move: server_pb2.MoveReport | None = None
    has_released: bool = False
    is_copy: bool = False
    #: what was last told of its numbers
    told: Any = None
    #: seconds executed when devices were last measured
    measured_s: float = 0.0
    timers: list[Any] = field(default_factory=list)
    commands: int = -1
    reports: int = -1
    _status: statusfile.StatusReader | None = None
    _unpacker: Unpacker = field(default_factory=Unpacker)
    _popen: subprocess.Popen[bytes] | None = None

    @property
    def status_path(self) -> Path:
        return self.folder / "status"

    @property
    def control(self) -> str:
        return f"unix:{self.folder / 'control.sock'}"

    @property
    def session(self) -> str:
        return self.assignment.session if self.assignment is not None else ""

    def knows(self, move: str) -> bool:
        """Whether it was ordered to take part in this move."""
        return move == self.move_out or (self.assignment is not None and move == self.assignment.incoming.move)

    def prepare(self) -> tuple[int, int, int]:
        """Make its folder, status file and pipes. Returns the server's ends: of orders, of reports, of its log; the caller closes them
        when the process has them. Raises OSError."""
        self.folder.mkdir(mode=0o700)
        statusfile.create(self.status_path)
        self._status = statusfile.StatusReader(self.status_path)
        log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        commands, self.commands = os.pipe2(os.O_CLOEXEC)
        self.reports, reports = os.pipe2(os.O_CLOEXEC)
        for descriptor in (self.commands, self.reports):
            os.set_blocking(descriptor, False)
        with contextlib.suppress(OSError):  # the usual size will do
            fcntl.fcntl(self.commands, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        return commands, reports, log

    def started(self, pid: int) -> None:
        """The process is there. It is this process's child, or will be in a moment."""
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)

    def start_cold(
        self, wrapper: Sequence[str], arguments: Sequence[str], ends: tuple[int, int, int], is_confined: bool
    ) -> None:
        """Start a process of its own. Call from the thread that lives as long as the pool: the child dies with that thread.

        Raises:
            OSError: it cannot be made.
        """
        commands, reports, log = ends
        program = "cupool.apiserver.sandboxed" if is_confined else "cupool.apiserver"
        module = [sys.executable, "-P", "-m", "cupool.pool.child", str(os.getpid()), program]
        self._popen = subprocess.Popen(
            [*wrapper, *module, *arguments],
            stdin=commands,
            stdout=reports,
            stderr=log,
            env=environment(),
            process_group=0,
        )
        self.started(self._popen.pid)

    def order(self, **command: Any) -> None:
        """Send a `ServerCommand`. Raises NotFollowing."""
        data = delimited(server_pb2.ServerCommand(**command).SerializeToString())
        try:
            # What fits into a pipe's page is written whole or not at all; a larger message does not exist.
            done = os.write(self.commands, data)
        except OSError as error:
            failed = NotFollowing(f"{type(error).__name__}")
            failed.is_closed = isinstance(error, BrokenPipeError)
            raise failed from error
        if done != len(data):
            raise NotFollowing("its pipe of orders is full")

    def read_reports(self) -> list[Any] | None:
        """`ServerReport`s that have come; None at the end of its reports.

        Raises:
            ProtocolError, DecodeError: what came is something else.
        """
        try:
            data = os.read(self.reports, _READ_BYTES)
        except BlockingIOError:
            return []
        if not data:
            return None
        return [server_pb2.ServerReport.FromString(m) for m in self._unpacker.feed(data)]

    def status(self) -> statusfile.Status | None:
        """What its status file says."""
        return self._status.read() if self._status is not None else None

    def usage(self) -> Any:
        """A `SessionUsage` from its status file."""
        status = self.status()
        if status is None:
            return server_pb2.SessionUsage()
        return server_pb2.SessionUsage(
            used_bytes=status.used_bytes,
            peak_bytes=status.peak_bytes,
            handles=status.handles,
            kernel_s=status.kernel_s,
            executed_commands=status.commands,
            failed_commands=status.failed,
            idle_s=status.idle_s,
            attached=status.is_attached,
            running_op=status.running,
        )

    def log_tail(self) -> str:
        try:
            with open(self.log_path, "rb") as file:
                file.seek(max(os.fstat(file.fileno()).st_size - _LOG_TAIL_BYTES, 0))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def kill(self) -> None:
        """Kill the server and the compilers that it started: they share its process group. Nothing when it is gone."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            # It may not have made its group yet.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def reap(self) -> int:
        """Its exit status, as `subprocess.Popen.returncode`; call when the pidfd says that it has ended, or to wait for it."""
        if self._popen is not None:
            return self._popen.wait()
        try:
            found = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        except ChildProcessError:
            return -int(signal.SIGKILL)  # it was never ours: it ended before it was handed over
        assert found is not None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def close(self) -> None:
        """Give back what this side holds, after the process is gone."""
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()
        for descriptor in (self.commands, self.reports, self.pidfd, self.client_pidfd):
            if descriptor >= 0:
                os.close(descriptor)
        self.commands = self.reports = self.pidfd = self.client_pidfd = -1
        if self._status is not None:
            self._status.close()
            self._status = None
        shutil.rmtree(self.folder, ignore_errors=True)
