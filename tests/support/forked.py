"""Servers of tests, forked from one process that has imported what a server imports: nearly all of a server's own start.

`launch` gives what subprocess.Popen would. Between a test's process and the servers is one that adopts them, so that they are nobody's
orphans, and that tells how they ended: `python forked.py`. With another environment than it was started in, a server starts by itself.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import json
import os
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
from typing import Any, BinaryIO

_LARGEST = 64 << 10
_SUBREAPER = 36
_PATIENCE_S = 60.0


class Forked:
    """A forked server, with what tests use of subprocess.Popen."""

    def __init__(self, pid: int, stdin: int, stdout: int, ended: int) -> None:
        self.pid = pid
        self.stdin: BinaryIO = os.fdopen(stdin, "wb", 0)
        self.stdout: BinaryIO = os.fdopen(stdout, "rb")
        self.returncode: int | None = None
        self._ended = ended
        self._lock = threading.Lock()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        with self._lock:
            if self.returncode is None:
                if not select.select([self._ended], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired("a forked server", timeout or 0)
                said = os.read(self._ended, 4)
                os.close(self._ended)
                self.returncode = struct.unpack("=i", said)[0] if said else -int(signal.SIGKILL)
            return self.returncode


class Nursery:
    """The process between."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
            )
        self._channel.settimeout(_PATIENCE_S)
        self._channel.recv(
            _LARGEST
        )  # all its processes are there: what a test leaves behind is told by what there was before
        self._environment = _environment()
        self._lock = threading.Lock()

    def fork(self, words: list[str]) -> Forked | None:
        """None: it must start by itself."""
        if _environment() != self._environment:
            return None
        ends = [os.pipe() for _ in range(3)]  # its standard input, its standard output, how it ended
        theirs = [ends[0][0], ends[1][1], 2, ends[2][1]]
        try:
            with self._lock:
                self._channel.sendmsg(
                    [json.dumps(words).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", theirs))]
                )
                answer = json.loads(self._channel.recv(_LARGEST))
        finally:
            for descriptor in (theirs[0], theirs[1], theirs[3]):
                os.close(descriptor)
        return Forked(answer["pid"], ends[0][1], ends[1][0], ends[2][0])

    def close(self) -> None:
        self._channel.close()
        self._process.wait()


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}


nursery: Nursery | None = None


def launch(program: str, words: list[str]) -> Any:
    """`python -P -m PROGRAM WORDS`, its standard streams but the last one pipes."""
    found = nursery.fork(words) if nursery is not None and program == "cupool.apiserver" else None
    if found is not None:
        return found
    command = [sys.executable, "-P", "-m", program, *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


# ---- the process between


def _serve(channel: socket.socket) -> None:
    if ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0):
        raise OSError("servers cannot be adopted")
    zygote, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        words = [sys.executable, "-P", "-m", "cupool.pool.child", str(os.getpid()), "cupool.apiserver.zygote"]
        words += ["--socket", str(theirs.fileno()), "--kinds", "cpu", "--room", "." * 2000]
        subprocess.Popen(words, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
    channel.send(zygote.recv(_LARGEST))  # it is ready
    ready = selectors.DefaultSelector()
    ready.register(channel, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            if key.fileobj is not channel:
                pid, ended = key.data
                ready.unregister(key.fd)
                os.close(key.fd)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                os.write(ended, struct.pack("=i", status))
                os.close(ended)
                continue
            data, ancillary, _, _ = channel.recvmsg(_LARGEST, socket.CMSG_SPACE(4 * 4))
            if not data:
                return  # the servers and the zygote die with this process
            ends = array.array("i", b"".join(content for _, _, content in ancillary))
            zygote.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, ends[:3])])
            pid = json.loads(zygote.recv(_LARGEST))["pid"]
            for descriptor in ends[:3]:
                os.close(descriptor)
            ready.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, ends[3]))
            channel.send(json.dumps({"pid": pid}).encode())


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
