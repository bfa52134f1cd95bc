"""For tests of moves: servers that take their orders from pipes, and what an agent and a controller would order."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from cupool.shim import session
from cupool.shim.config import Config
from cupool.shim.lease import Fate, Lease, Place

from cupool.contract.framing import Unpacker, delimited
from cupool.v1 import server_pb2 as pb

Phase = pb.MoveReport
TOKEN = "t"


def _start(program: str, words: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", program, *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


#: Starts a server's process: the module, and the words behind it. Tests have theirs forked.
launch: Callable[[str, list[str]], subprocess.Popen[bytes]] = _start


class MoveServer:
    """`python -m cupool.apiserver --orders`; its reports are read by a thread and kept."""

    def __init__(self, *options: str) -> None:
        # Confinement begins before libraries start threads.
        program = "cupool.apiserver.sandboxed" if "--sandbox" in options else "cupool.apiserver"
        self.process = launch(program, ["--orders", "--listen", "127.0.0.1:0", *options])
        self.reports: list[Any] = []
        self.has_ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """Where it listens; waits for it to be ready."""
        found: str = self.wait(lambda r: r.HasField("ready"), 60).ready.endpoint
        return found

    def _read(self) -> None:
        assert self.process.stdout is not None
        unpacker = Unpacker()
        while data := os.read(self.process.stdout.fileno(), 65536):
            with self._changed:
                self.reports += [pb.ServerReport.FromString(m) for m in unpacker.feed(data)]
                self._changed.notify_all()
        with self._changed:
            self.has_ended = True
            self._changed.notify_all()

    def wait(self, is_it: Callable[[Any], bool], timeout_s: float = 30.0) -> Any:
        """The first report that is it."""
        with self._changed:
            self._changed.wait_for(lambda: self.has_ended or any(map(is_it, self.reports)), timeout_s)
            found = [r for r in self.reports if is_it(r)]
            if not found:
                raise AssertionError(
                    f"no such report; {'it has ended' if self.has_ended else 'late'}: {self.reports[-3:]}"
                )
            return found[0]

    def wait_phase(self, move: str, *phases: Any, timeout_s: float = 30.0) -> Any:
        """The `MoveReport` of this move in one of these phases."""
        return self.wait(
            lambda r: r.HasField("move") and r.move.move == move and r.move.phase in phases, timeout_s
        ).move

    def phases(self, move: str) -> list[Any]:
        with self._changed:
            return [r.move.phase for r in self.reports if r.HasField("move") and r.move.move == move]

    def wait_end(self, timeout_s: float = 30.0) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.has_ended, timeout_s), "it has not ended"

    def order(self, **command: Any) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            os.write(self.process.stdin.fileno(), delimited(pb.ServerCommand(**command).SerializeToString()))

    def assign(self, epoch: int = 1, **fields: Any) -> None:
        fields = {"session": "s", "park_grace_ms": 30_000, **fields}
        digest = hashlib.sha256(TOKEN.encode()).digest()
        self.order(assign=pb.AssignRequest(token_sha256=digest, epoch=epoch, **fields))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            if pipe is self.process.stdout:
                self._thread.join()
            pipe.close()


class MovingPool:
    """A pool of one session that tells where it is: what WatchSession says is `place`."""

    def __init__(self, endpoint: str) -> None:
        self.lease = Lease("s", TOKEN, endpoint, 1, "", "")
        self.place: Place | None = None
        self.lost: Fate | None = None

    def acquire(self, config: Config, base: Any = None) -> Lease:
        return self.lease

    def release(self, lease: Lease, reason: str, timeout_s: float = 2.0) -> None:
        pass

    def fate(self, lease: Lease, timeout_s: float = 1.0) -> Fate | Place | None:
        if self.lost is not None:
            return self.lost
        place = self.place
        return place if place is not None and place.epoch > lease.epoch else None

    def close(self) -> None:
        pass


class World:
    """Servers, a session that began at the first of them, and moves of it.

    Attributes:
        here: the server that has the session.
        epoch: the session's.
    """

    def __init__(
        self, *options: str, spare: int = 2, first: tuple[str, ...] = (), assign: dict[str, Any] | None = None
    ) -> None:
        """`options`: of every server; `first`: of the first one; `assign`: of the session there."""
        self._stack = contextlib.ExitStack()
        self._numbers = itertools.count(1)
        self.options = options
        #: started ahead, because a start takes long where much else runs
        self._spare = [self._start() for _ in range(spare)]
        self.here = self._start(*first)
        self.here.assign(**(assign or {}))
        self.epoch = 1
        self.pool = MovingPool(self.here.endpoint)

    def server(self, *options: str) -> MoveServer:
        return self._spare.pop() if self._spare and not options else self._start(*options)

    def ahead(self) -> None:
        """Start one that `server` will give."""
        self._spare.append(self._start())

    def _start(self, *options: str) -> MoveServer:
        made = MoveServer(*self.options, *options)
        self._stack.callback(made.close)
        return made

    def begin(self, to: MoveServer, endpoint: str = "", incoming: Any = None, assign: Any = None, **out: Any) -> str:
        """Order a move to a server; returns its id. `endpoint`: of the source, as the destination is told."""
        move, token = f"m{next(self._numbers)}", secrets.token_hex(8)
        come = pb.Incoming(move=move, endpoint=endpoint or self.here.endpoint, token=token, **(incoming or {}))
        to.assign(self.epoch + 1, incoming=come, **(assign or {}))
        go = {
            "session": "s", "move": move, "token_sha256": hashlib.sha256(token.encode()).digest(), "endpoint": to.endpoint,
            "epoch": self.epoch + 1, "destination": "the other", "timeout_ms": 20_000, **out,
        }  # fmt: skip
        self.here.order(move_out=pb.MoveOut(**go))
        return move

    def finish(self, move: str, to: MoveServer, timeout_s: float = 60.0) -> Any:
        """Wait for the release, and do what a controller does then; returns the source's report."""
        report = self.here.wait_phase(move, Phase.RELEASED, Phase.FAILED, timeout_s=timeout_s)
        assert report.phase == Phase.RELEASED, f"{report.reason}; the destination says {to.reports[-3:]}"
        old, self.here = self.here, to
        self.epoch += 1
        self.pool.place = Place(to.endpoint, self.epoch)
        self.old = old
        return report

    def settle(self, move: str) -> None:
        """The client has come: the source is ended."""
        self.here.wait_phase(move, Phase.OWNER)
        self.old.order(end=pb.EndRequest(reason="moved"))
        self.old.wait_end()

    def move(self, **out: Any) -> Any:
        """A whole move to a fresh server; the client must be using the session, or it is not waited for."""
        to = self.server()
        move = self.begin(to, **out)
        return self.finish(move, to)

    def close(self) -> None:
        self._stack.close()


@contextlib.contextmanager
def world(
    *options: str, spare: int = 2, first: tuple[str, ...] = (), assign: dict[str, Any] | None = None, **settings: Any
) -> Iterator[tuple[World, session.Session]]:
    """A world and this process's session in it."""
    made = World(*options, spare=spare, first=first, assign=assign)
    try:
        opened = session.open_at(made.pool, Config(**settings))
        try:
            yield made, opened
        finally:
            session._close("the test ended", 2.0)
    finally:
        made.close()


def wait_until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait for something that nobody reports."""
    deadline = time.monotonic() + timeout_s
    event = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "late"
        event.wait(0.002)
