"""How a server gets its process: forked by the zygote where it can be, else a cold one; and the words of its command line.

Boundary: processes and pipes. When a server is started, and what follows from a failure, is decided in `host`.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable

from cupool.v1 import agent_pb2

from ..config import PoolConfig
from .checkpoints import Checkpoints
from .server import Server

#: The server's ends of its pipes: of orders, of reports, of its log.
Ends = tuple[int, int, int]
#: Asks for a server's process, given its command line and its ends of the pipes; calls back with its pid, or None: start it cold. False:
#: it was not asked for.
Forker = Callable[[list[str], Ends, Callable[[int | None], None]], bool]


class Starting:
    """Starts servers' processes.

    Attributes:
        settings: for servers that start from now on.
        fork: a zygote's; None: every server is started cold.
        extra_arguments: more words of a server's command line, by its id: certificates.
    """

    def __init__(self, config: PoolConfig, checkpoints: Checkpoints) -> None:
        self.settings = agent_pb2.PoolSettings(
            kernel_limit_ms=config.kernel_limit_ms,
            start_limit_ms=int(config.start_limit_s * 1000),
            log_level=config.log_level,
            allow_faults=config.allow_faults,
        )
        self.fork: Forker | None = None
        self.extra_arguments: Callable[[str], list[str]] = lambda server: []
        self._config = config
        self._checkpoints = checkpoints

    @property
    def limit_s(self) -> float:
        """How long a server may take to be ready."""
        return self.settings.start_limit_ms / 1000 or self._config.start_limit_s

    def start(
        self,
        server: Server,
        is_wanted: Callable[[], bool],
        started: Callable[[bool], None],
        failed: Callable[[OSError], None],
    ) -> None:
        """Give the server a process, now or a little later.

        Args:
            is_wanted: asked when the zygote has answered: it may have been told to end meanwhile, and then its process is killed.
            started: it has one; whether that is a cold one.
            failed: it cannot be made.
        """
        try:
            ends = server.prepare()
        except OSError as error:
            failed(error)
            return
        try:
            arguments = self._arguments(server)
        except OSError as error:
            _close(ends)
            failed(error)
            return

        def launched(pid: int | None) -> None:
            """The zygote has forked the server, or has not: then it starts cold."""
            try:
                if not is_wanted():
                    if pid is not None:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                    return
                if pid is None:
                    server.start_cold(self._config.launch_wrapper, arguments, ends, self._is_confined)
                else:
                    server.started(pid)
            except OSError as error:
                failed(error)
                return
            finally:
                _close(ends)
            started(pid is None)

        if self.fork is None or self._config.launch_wrapper or not self.fork(arguments, ends, launched):
            launched(None)

    @property
    def _is_confined(self) -> bool:
        """An embedded pool's programs are its user's own: there is nobody to protect."""
        return self._config.sandbox != "off" and not self._config.embedded

    def _arguments(self, server: Server) -> list[str]:
        """Words of the server's command line. Raises OSError."""
        listen, settings = self._config.listen, self.settings
        is_unix = listen.startswith("unix:") or not listen
        listen = f"unix:{server.folder / 'session.sock'}" if is_unix else f"{listen.rpartition(':')[0]}:0"
        words = ["--orders", "--server-id", server.id, "--device", server.device.id, "--listen", listen]
        words += ["--status-file", str(server.status_path), "--log-level", settings.log_level or self._config.log_level]
        words += ["--log-format", self._config.log_format]
        if server.device.memory_bytes:
            words += ["--memory-limit", str(server.device.memory_bytes)]
        if settings.kernel_limit_ms:
            words += ["--kernel-limit", str(settings.kernel_limit_ms / 1000)]
        if self._config.insecure:
            words += ["--insecure"]
        if self._is_confined:
            words += ["--sandbox", self._config.sandbox]
        if settings.allow_faults and self._config.allow_faults:
            words += ["--allow-faults"]
        words += self._checkpoints.arguments(server.id)
        more = self.extra_arguments(server.id)
        server.speaks_tls = "--tls-cert" in more and not is_unix
        return words + more


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
