"""The agent's end of the zygote: asks `python -m cupool.apiserver.zygote` to fork servers.

The zygote dies with the agent. When it dies alone it is started again, and servers start cold until it is ready.
"""

from __future__ import annotations

import array
import json
import logging
import os
import select
import socket
import subprocess
import sys
from collections.abc import Sequence

from .environment import environment
from .loop import Loop

_log = logging.getLogger(__name__)

#: How long a fork may take; the loop waits for it.
FORK_LIMIT_S = 2.0
#: A zygote that ended is started again after this.
AGAIN_S = 5.0
LARGEST_BYTES = 64 << 10


class ZygoteFailed(Exception):
    """It does not fork."""


class Zygote:
    """One zygote process for all devices of the host."""

    def __init__(self, kinds: Sequence[str], loop: Loop, own_children: set[int]) -> None:
        """Start it. Call from the thread that lives as long as the agent. Raises OSError."""
        self._kinds = list(kinds)
        self._loop = loop
        self._own_children = own_children
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._pidfd = -1
        self._is_ready = False
        self._is_closing = False
        self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            words = [sys.executable, "-P", "-m", "cupool.pool.child", str(os.getpid()), "cupool.apiserver.zygote"]
            words += ["--socket", str(theirs.fileno()), "--kinds", ",".join(self._kinds)]
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, env=environment(), pass_fds=[theirs.fileno()], process_group=0
            )
        self._own_children.add(self._process.pid)
        self._socket, self._pidfd = ours, os.pidfd_open(self._process.pid)
        ours.settimeout(FORK_LIMIT_S)
        self._loop.watch(ours.fileno(), self._heard)
        self._loop.watch(self._pidfd, self._ended)

    @property
    def is_ready(self) -> bool:
        return self._is_ready

    def fork(self, arguments: list[str], ends: tuple[int, int, int]) -> int | None:
        """Have a server forked; returns its pid, or None: start it cold.

        Args:
            ends: descriptors of its orders, its reports, its standard error.
        """
        if not self._is_ready or self._socket is None:
            return None
        data = json.dumps(arguments).encode()
        try:
            self._socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", ends))])
            answer = json.loads(self._socket.recv(LARGEST_BYTES) or b"{}")
            return int(answer["pid"])
        except (OSError, ValueError, KeyError) as error:
            _log.warning("event=not-forked reason=%r", str(error))
            self._is_ready = False
            if self._process is not None:
                self._process.kill()  # whatever it is doing: what it answers from now on would be the answer to something else
            return None

    def _heard(self) -> None:
        """It says that it is ready, or the socket is closed."""
        assert self._socket is not None
        if not select.select([self._socket], [], [], 0)[0]:
            return
        try:
            data = self._socket.recv(LARGEST_BYTES)
        except OSError:
            data = b""
        self._loop.unwatch(self._socket.fileno())  # from now on it speaks when it is asked
        self._is_ready = bool(data)

    def _ended(self) -> None:
        assert self._process is not None
        code = self._process.wait()
        self._forget()
        if not self._is_closing:
            _log.warning("event=zygote-ended status=%d", code)
            self._loop.later(AGAIN_S, self._again)

    def _again(self) -> None:
        if self._is_closing:
            return
        try:
            self._start()
        except OSError as error:
            _log.warning("event=no-zygote reason=%r", str(error))
            self._loop.later(AGAIN_S, self._again)

    def _forget(self) -> None:
        self._is_ready = False
        if self._socket is not None:
            self._loop.unwatch(self._socket.fileno())
            self._loop.unwatch(self._pidfd)
            self._socket.close()
            os.close(self._pidfd)
            self._socket, self._pidfd = None, -1
        if self._process is not None:
            self._own_children.discard(self._process.pid)

    def close(self) -> None:
        self._is_closing = True
        if self._process is not None and self._socket is not None:
            self._process.kill()
            self._process.wait()
        self._forget()
