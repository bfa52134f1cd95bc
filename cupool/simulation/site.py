"""The controller as a process: started over its directory, killed, started again. What is in it is the pool's own code.

Clients' calls are connections: ("acquire", request, tenant), ("fate", session, token, tenant), ("release", session, token, tenant) come,
("lease", Lease), ("refused", code, sentence, retry in ms), a SessionStatus go.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from cupool.balancer import migration
from cupool.pool.config import PoolConfig
from cupool.pool.controller import Controller, Waiting
from cupool.pool.operations import Operations
from cupool.pool.refusals import Code, Refused
from cupool.v1 import pool_pb2

from .clock import Clock, Timer
from .directory import Kept, VirtualDirectory
from .engine import VirtualEngine
from .network import End

#: How often the controller looks at the time.
TICK_S = 0.25
#: Seconds since 1970 at the beginning of every simulation.
EPOCH_S = 1_700_000_000.0


class Site:
    """Where the controller runs.

    Attributes:
        kept: its disk.
        controller: None while it is down.
    """

    def __init__(self, clock: Clock, rng: random.Random, config: PoolConfig) -> None:
        self.clock = clock
        self.config = config
        self.kept = Kept()
        self.controller: Controller | None = None
        self.operations: Operations | None = None
        self.restarts = 0
        self.is_touched = False  #: the books may have changed since somebody looked
        self._rng = rng
        self._directory: VirtualDirectory | None = None
        self._engine = VirtualEngine(self._touch)
        self._open: dict[int, End] = {}
        self._tick: Timer | None = None
        #: Called with each new controller.
        self.on_start: Callable[[Controller], object] = lambda controller: None

    def start(self) -> None:
        self._directory = VirtualDirectory(self.clock, self.kept)
        self._engine = VirtualEngine(self._touch)
        self.controller = Controller(
            self.config,
            self._engine,
            self._directory,
            self.clock,
            wall=lambda: EPOCH_S + self.clock.now,
            ids=lambda size: f"{self._rng.getrandbits(8 * size):0{2 * size}x}",
            machine=migration.react,
        )
        self.operations = Operations(self.controller, lambda *_: None)
        self.controller.open()
        self.on_start(self.controller)
        self._tick = self.clock.after(TICK_S, self._look)

    def _touch(self) -> None:
        self.is_touched = True

    def kill(self) -> None:
        """The process dies: what it had in memory is gone, connections break."""
        if self.controller is None:
            return
        assert self._directory is not None
        self._directory.kill()
        self._engine.close()
        self.controller = self.operations = None
        if self._tick is not None:
            self._tick.cancel()
        ends, self._open = list(self._open.values()), {}
        for end in ends:
            end.on_closed = lambda: None
            end.close()
        self.restarts += 1
        self.kept.restarts += 1

    def _look(self) -> None:
        self._tick = self.clock.after(TICK_S, self._look)
        if self.controller is not None:
            self.is_touched = True
            self.controller.tick()

    # ---- agents

    def accept_agent(self, end: End) -> bool:
        if self.controller is None:
            return False
        self._open[end.number] = end
        return self._engine.accept(end)

    # ---- clients

    def accept_client(self, end: End) -> bool:
        if self.controller is None:
            return False
        self._open[end.number] = end
        end.on_message = lambda message: self._call(end, message)
        end.on_closed = lambda: self._gone(end)
        return True

    def _gone(self, end: End) -> None:
        self._open.pop(end.number, None)

    def _call(self, end: End, message: Any) -> None:
        controller = self.controller
        if controller is None:
            return
        self.is_touched = True
        try:
            CALLS[message[0]](self, controller, end, *message[1:])
        except Refused as refused:
            end.send(("refused", refused.code.name, str(refused), refused.retry_ms))

    def _acquire(self, controller: Controller, end: End, request: pool_pb2.AcquireRequest, tenant: str) -> None:
        answer = controller.acquire(request, tenant)
        if not isinstance(answer, Waiting):
            end.send(("lease", answer))
            return
        timer = self.clock.after(request.deadline_ms / 1000, self._expire, controller, answer)

        def gone() -> None:
            self._gone(end)
            if self.controller is controller and not answer.future.done():
                timer.cancel()
                self.is_touched = True
                controller.cancel(answer)

        def answered(future: Future[pool_pb2.Lease]) -> None:
            timer.cancel()
            error = future.exception()
            if error is None:
                end.send(("lease", future.result()))
            elif isinstance(error, Refused):
                end.send(("refused", error.code.name, str(error), error.retry_ms))
            else:
                raise error

        end.on_closed = gone
        answer.future.add_done_callback(answered)

    def _expire(self, controller: Controller, waiting: Waiting) -> None:
        if self.controller is controller:
            self.is_touched = True
            controller.expire(waiting)

    def _fate(self, controller: Controller, end: End, session: str, token: str, tenant: str) -> None:
        try:
            status, stop = controller.watch(session, token, lambda status: None, tenant)
        except Refused as refused:
            if refused.code is not Code.NOT_FOUND:
                raise
            status = pool_pb2.SessionStatus(state=pool_pb2.SESSION_STATE_LOST, replayable=True)
            status.reason = "The pool does not know the session any more."
        else:
            stop()
        end.send(status)

    def _release(self, controller: Controller, end: End, session: str, token: str, tenant: str) -> None:
        try:
            controller.release(session, token, "", tenant)
        finally:
            end.send(("released",))


#: Kind of a client's call -> what answers it.
CALLS: dict[str, Callable[..., None]] = {"acquire": Site._acquire, "fate": Site._fate, "release": Site._release}
