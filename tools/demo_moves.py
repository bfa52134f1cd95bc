"""The second part of `make demo`: a session that moves to another device while it runs, and one whose server is killed.

Both scripts are unmodified examples, and neither knows. What they print, and the picture, are compared byte for byte with what the same
script gives undisturbed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

from cupool.v1 import admin_pb2, admin_pb2_grpc, pool_pb2

MOVED = "colour_quantisation"
KILLED = "neural_network"
#: Lines that the script has printed when it is disturbed. The first prints nothing before its end: as soon as its session is there.
UNDER_WAY = {MOVED: 0, KILLED: 2}
LIMIT_S = 120


class Disturbed(Exception):
    """The program noticed: the text says how."""


class Admin:
    """The operator's side of the demo's pool."""

    def __init__(self, said: dict[str, str]) -> None:
        self._channel = grpc.insecure_channel(said["admin"])
        self._stub = admin_pb2_grpc.AdminServiceStub(self._channel)
        self._metadata = (("authorization", f"Bearer {said['admin_token']}"),)

    def close(self) -> None:
        self._channel.close()

    def sessions(self) -> list[Any]:
        reply = self._stub.ListAllSessions(admin_pb2.ListAllSessionsRequest(), timeout=30, metadata=self._metadata)
        return [s for s in reply.sessions if s.state == pool_pb2.SESSION_STATE_ATTACHED]

    def devices(self) -> list[str]:
        reply = self._stub.ListDevices(admin_pb2.ListDevicesRequest(), timeout=30, metadata=self._metadata)
        return [d.device for d in reply.devices]

    def pid_of(self, server: str) -> int:
        reply = self._stub.ListServers(admin_pb2.ListServersRequest(), timeout=30, metadata=self._metadata)
        return next(int(s.pid) for s in reply.servers if s.server == server)

    def move(self, session: str, device: str) -> Any:
        """Ask for a move; the last progress.

        Raises:
            Disturbed: the move was given up.
        """
        request = admin_pb2.MoveSessionRequest(session=session, device=device, reason="the demo moves it")
        last = None
        for last in self._stub.MoveSession(request, timeout=LIMIT_S, metadata=self._metadata):
            pass
        if last is None or last.error:
            raise Disturbed(f"the move of {session} was given up: {last.error if last is not None else 'no answer'}")
        return last


def top(said: dict[str, str]) -> str:
    """What `cupool top` shows of the pool now."""
    environment = dict(
        os.environ, CUPOOL_ADMIN_ADDR=said["admin"], CUPOOL_ADMIN_TOKEN=said["admin_token"], COLUMNS="110"
    )
    command = [sys.executable, "-m", "cupool", "top", "--once"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout


def under_way(admin: Admin, process: subprocess.Popen[str]) -> Any:
    """The running session."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        for session in admin.sessions():
            return session
        if process.poll() is not None:
            raise Disturbed("it ended before it could be disturbed")
        time.sleep(0.005)
    raise Disturbed(f"it had no session within {LIMIT_S} s")


@contextlib.contextmanager
def running(script: Path, out: Path, said: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    environment = dict(os.environ, CUPOOL_ADDR=said["addr"], CUPOOL_TOKEN=said["token"], PYTHONUNBUFFERED="1")
    with subprocess.Popen(
        [sys.executable, "-m", "cupool", "run", str(script), *_arguments(script, out)], env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        killer = threading.Timer(LIMIT_S, process.kill)
        killer.start()
        try:
            yield process
        finally:
            killer.cancel()
            if process.poll() is None:
                process.kill()


def _arguments(script: Path, out: Path) -> list[str]:
    return ["--out", str(out)] if "--out" in script.read_text() else []


def disturbed(script: Path, out: Path, said: dict[str, str], disturb: Callable[[Any, Admin], str]) -> str:
    """Run the script twice, the second time disturbed in the middle; say what was done.

    Raises:
        Disturbed: it failed, or gave something else than undisturbed.
    """
    seen: list[tuple[str, bytes]] = []
    what = ""
    admin = Admin(said)
    try:
        for turn in range(2):
            out.unlink(missing_ok=True)
            with running(script, out, said) as process:
                output = ""
                if turn:
                    assert process.stdout is not None
                    for _ in range(UNDER_WAY[script.stem]):
                        output += process.stdout.readline()
                    what = disturb(under_way(admin, process), admin)
                output += process.communicate()[0]
            if process.returncode:
                raise Disturbed(f"exit status {process.returncode}\n{output}")
            seen.append((output, out.read_bytes() if out.exists() else b""))
    finally:
        admin.close()
    if seen[0] != seen[1]:
        raise Disturbed(f"it gave something else than undisturbed:\n{seen[0][0]}\n{seen[1][0]}")
    return what


def move(session: Any, admin: Admin) -> str:
    """Move a session to the other device."""
    target = next(d for d in admin.devices() if d != session.device)
    last = admin.move(session.session, target)
    return (
        f"moved from {session.device} to {target} while it ran: {last.copied_bytes:,} bytes in {last.rounds} rounds, the program paused "
        f"for {last.pause_ms:.0f} ms"
    )


def kill(session: Any, admin: Admin) -> str:
    """Kill a session's server."""
    os.kill(admin.pid_of(session.server), signal.SIGKILL)
    return f"its server on {session.device} was killed in the middle, and another one went on"


def play(examples: Path, out: Path, said: dict[str, str]) -> list[str]:
    """Both; what to tell of them. Raises Disturbed."""
    lines = []
    for name, disturb in ((MOVED, move), (KILLED, kill)):
        shown: list[str] = []

        def seen(session: Any, admin: Admin, disturb: Any = disturb, shown: list[str] = shown) -> str:
            done = str(disturb(session, admin))
            shown.append(top(said))
            return done

        what = disturbed(examples / f"{name}.py", out / f"{name}.disturbed.png", said, seen)
        lines.append(f"{name}: {what}; every byte of its results is that of an undisturbed run")
        lines.append("\n".join(f"    {line}" for line in shown[0].rstrip().splitlines()) + "\n")
    return lines
