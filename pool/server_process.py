"""One API server as its agent sees it: a process, the sockets it listens on, and the file in which it says what it does.

The program `python -m cupool.apiserver` prints one JSON line on its standard output when it is warm; before that it answers nothing.
Its control socket (ServerService) lies in a folder that only this user can enter. Boundary: talks to one process; decides nothing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cupool.contract import redaction, statusfile
from cupool.v1 import server_pb2

from . import states
from .config import DeviceConfig, PoolConfig

#: How much of a server's log is read for the sentence about its death.
_LOG_TAIL_BYTES = 4096
#: How long a call to a server's control socket may take.
_CONTROL_LIMIT_S = 10.0


def environment() -> dict[str, str]:
    """What a server inherits: no pool address, no credential, and no drop-in that would turn its own CuPy into the shim."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if k not in ("CUPOOL_ADDR", "CUPOOL_PREOPEN", "CUPOOL_SYNC") and k not in redaction.SECRET_VARIABLES
    }
    dropin = Path(__file__).resolve().parent.parent / "cupool" / "dropin"
    paths = [p for p in kept.get("PYTHONPATH", "").split(os.pathsep) if p and not _is_dropin(p, dropin)]
    kept.pop("PYTHONPATH", None)
    if paths:
        kept["PYTHONPATH"] = os.pathsep.join(paths)
    return kept


def _is_dropin(path: str, dropin: Path) -> bool:
    real = Path(path).resolve()
    return real == dropin or (
        real.name == "dropin" and (real / "cupy" / "__init__.py").is_file() and real.parent.name == "cupool"
    )


@dataclass(slots=True)
class ServerProcess:
    """One server from its start to its death.

    Attributes:
        id: the pool's name for it.
        device: the device it was started on.
        folder: its own; holds control socket, status file and log.
        state: a state of `states.SERVER_STATES`; changed by the controller alone.
        process: the child, None before `start`.
        endpoint: where clients attach; "" until it is warm.
        session: the session it serves or served; "".
        wish: why the pool ended it; "" when it did not.
    """

    id: str
    device: DeviceConfig
    folder: Path
    state: int = states.STARTING
    process: subprocess.Popen[bytes] | None = None
    endpoint: str = ""
    session: str = ""
    wish: str = ""
    started_at: float = 0.0
    kill_at: float = 0.0
    _output: bytes = b""
    _channel: Any = field(default=None, repr=False)

    @property
    def status_path(self) -> Path:
        return self.folder / "status"

    @property
    def control(self) -> str:
        return f"unix:{self.folder / 'control.sock'}"

    def command(self, config: PoolConfig) -> list[str]:
        """The command line of the server."""
        listen = (
            f"unix:{self.folder / 'session.sock'}"
            if config.listen.startswith("unix:") or not config.listen
            else "127.0.0.1:0"
        )
        words = [sys.executable, "-P", "-m", "cupool.pool.child", str(os.getpid()), "cupool.apiserver"]
        words += ["--server-id", self.id, "--device", self.device.id, "--listen", listen]
        words += ["--control", self.control, "--status-file", str(self.status_path), "--log-level", config.log_level]
        words += ["--log-format", config.log_format]
        if self.device.memory_bytes:
            words += ["--memory-limit", str(self.device.memory_bytes)]
        if config.kernel_limit_ms:
            words += ["--kernel-limit", str(config.kernel_limit_ms / 1000)]
        if config.allow_faults:
            words += ["--allow-faults"]
        return words

    def start(self, config: PoolConfig) -> None:
        """Start the process. Call from the thread that lives as long as the pool: the child dies with that thread."""
        self.folder.mkdir(mode=0o700)
        statusfile.create(self.status_path)
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                self.command(config),
                stdin=subprocess.PIPE,  # its end tells the server that the pool is gone
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(),
                process_group=0,
            )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)

    def read_output(self) -> list[bytes]:
        """Complete lines that the server printed since the last call; [b""] once at the end of its output."""
        assert self.process is not None and self.process.stdout is not None
        data = self.process.stdout.read(65536)
        if data is None:
            return []
        if not data:
            return [b""]
        *lines, self._output = (self._output + data).split(b"\n")
        self._output = self._output[-65536:]
        return [line for line in lines if line]

    def signal(self, number: int) -> None:
        """Send a signal to the server and to the compilers it started; nothing when it is gone."""
        if self.process is None or self.process.returncode is not None:
            return
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def stub(self) -> Any:
        """ServerService of this server."""
        # Imported here: the first server starts before this process has loaded grpc.
        import grpc

        from cupool.v1 import server_pb2_grpc

        if self._channel is None:
            self._channel = grpc.insecure_channel(self.control, options=[("grpc.use_local_subchannel_pool", 1)])
        return server_pb2_grpc.ServerServiceStub(self._channel)

    def assign(self, request: server_pb2.AssignRequest) -> None:
        """Give the server its session. Raises grpc.RpcError."""
        self.stub().Assign(request, timeout=_CONTROL_LIMIT_S, wait_for_ready=True)

    def ask_status(self) -> server_pb2.ServerStatus | None:
        """What the server says about itself; None when it does not answer."""
        import grpc

        try:
            return self.stub().GetStatus(server_pb2.GetStatusRequest(), timeout=1.0)  # type: ignore[no-any-return]
        except grpc.RpcError:
            return None

    def status_file(self) -> statusfile.Status | None:
        return statusfile.read(self.status_path)

    def log_tail(self) -> str:
        try:
            data = (self.folder / "log").read_bytes()
        except OSError:
            return ""
        return data[-_LOG_TAIL_BYTES:].decode("utf-8", "replace")

    def close(self) -> None:
        """Give back what this side holds, after the process is gone."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self.process is not None:
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()
