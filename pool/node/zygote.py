"""The agent's end of the zygote, or an embedded pool's: asks `python -m cupool.apiserver.zygote` to fork servers.

The zygote dies with the agent. When it dies alone it is started again, and servers start cold until it is ready.
"""

from __future__ import annotations

import array
import ctypes
import json
import logging
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .environment import environment
from .loop import Loop, Timer

if TYPE_CHECKING:
    from ..config import PoolConfig
    from .host import Host

_log = logging.getLogger(__name__)

_PR_SET_CHILD_SUBREAPER = 36
#: How long a fork may take.
FORK_LIMIT_S = 10.0
#: How long a zygote's own start may take, where a server waits for it.
START_LIMIT_S = 60.0
#: A zygote that ended is started again after this.
AGAIN_S = 5.0
LARGEST_BYTES = 64 << 10
#: How much of a forked server's command line `ps` shows; a page is what the kernel reads at once.
TITLE_BYTES = 2000


class Zygote:
    """One zygote process for all devices of the host."""

    def __init__(self, kinds: Sequence[str], loop: Loop, own_children: set[int], waits: bool = False) -> None:
        """Start it. Call from the thread that lives as long as the agent. Raises OSError.

        Args:
            waits: servers wait for its first start instead of starting cold beside it.
        """
        self._kinds = list(kinds)
        self._waits = waits
        self._loop = loop
        self._own_children = own_children
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._pidfd = -1
        #: who asked for a server, oldest first
        self._asked: deque[tuple[Callable[[int | None], None], Timer]] = deque()
        self._is_ready = False
        self._is_closing = False
        self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            words = [sys.executable, "-P", "-m", "cupool.pool.child", str(os.getpid()), "cupool.apiserver.zygote"]
            words += ["--socket", str(theirs.fileno()), "--kinds", ",".join(self._kinds), "--room", "." * TITLE_BYTES]
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, env=environment(), pass_fds=[theirs.fileno()], process_group=0
            )
        self._own_children.add(self._process.pid)
        self._socket, self._pidfd = ours, os.pidfd_open(self._process.pid)
        ours.setblocking(False)
        self._loop.watch(ours.fileno(), self._heard)
        self._loop.watch(self._pidfd, self._ended)

    @property
    def is_ready(self) -> bool:
        return self._is_ready

    def fork(self, arguments: list[str], ends: tuple[int, int, int], done: Callable[[int | None], None]) -> bool:
        """Ask for a server; `done` is called by the loop with its pid, or None: start it cold. False: nothing was asked for.

        Args:
            ends: descriptors of its orders, its reports, its standard error; the caller's still.
        """
        if self._socket is None or not (self._is_ready or self._waits):
            return False
        try:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", ends))]
            self._socket.sendmsg([json.dumps(arguments).encode()], rights)
        except OSError as error:  # BlockingIOError too: it has more to do than its socket holds
            _log.warning("event=not-forked reason=%r", str(error))
            return False
        limit_s = FORK_LIMIT_S if self._is_ready else START_LIMIT_S
        self._asked.append((done, self._loop.later(limit_s, lambda: self._too_slow(limit_s))))
        return True

    def _heard(self) -> None:
        """It is ready, or has forked, or is gone."""
        assert self._socket is not None
        try:
            data = self._socket.recv(LARGEST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.unwatch(self._socket.fileno())  # its pidfd tells the rest
            self._is_ready = False
            return
        answer = json.loads(data)
        if "pid" in answer and self._asked:
            done, timer = self._asked.popleft()
            timer.cancel()
            done(int(answer["pid"]))
        else:
            self._is_ready = True

    def _too_slow(self, limit_s: float) -> None:
        """What it answers from now on would be taken for the answer to something else."""
        _log.warning("event=not-forked reason='no answer within %g s'", limit_s)
        self._is_ready = False
        if self._process is not None:
            self._process.kill()

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
        self._is_ready = self._waits = False
        if self._socket is not None:
            self._loop.unwatch(self._socket.fileno())
            self._loop.unwatch(self._pidfd)
            self._socket.close()
            os.close(self._pidfd)
            self._socket, self._pidfd = None, -1
        if self._process is not None:
            self._own_children.discard(self._process.pid)
        asked, self._asked = self._asked, deque()
        for done, timer in asked:
            timer.cancel()
            done(None)

    def close(self) -> None:
        self._is_closing = True
        if self._process is not None and self._socket is not None:
            self._process.kill()
            self._process.wait()
        self._forget()


def fork_servers(config: PoolConfig, loop: Loop, host: Host, waits: bool = False) -> Zygote | None:
    """Have servers of `host` forked where they can be; else they start cold. This process must adopt orphans. `waits`: see Zygote."""
    if config.launch_wrapper:
        return None
    try:
        zygote = Zygote(sorted({d.kind for d in config.devices}), loop, host.own_children, waits)
    except OSError as error:
        _log.warning("event=no-zygote reason=%r", str(error))
        return None
    host.starting.fork = zygote.fork
    return zygote


def adopt_orphans() -> None:
    """Processes whose parents end below us become our children: servers that a zygote forked, and compilers of servers that died."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        error = ctypes.get_errno()
        raise OSError(error, f"servers cannot be adopted: prctl: {os.strerror(error)}")
