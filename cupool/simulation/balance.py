"""The balancer's process, beside the controller: it asks for a snapshot, decides, and asks for moves. What it decides with is the
balancer's own (`policy`, `monitor`), what it asks is the pool's (`balancing`, `move_operations`); `balancer/driver.py` does the same with
gRPC.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from cupool.balancer import messages, policy
from cupool.balancer.monitor import INTERVAL_S, Monitor
from cupool.balancer.policy import Memory
from cupool.balancer.tuning import Tuning
from cupool.pool.balancing import Balancing
from cupool.pool.controller import Controller
from cupool.pool.move_operations import MoveOperations
from cupool.pool.move_placing import Ongoing
from cupool.pool.refusals import Refused
from cupool.v1 import admin_pb2

from .invariants import Violation

if TYPE_CHECKING:
    from .world import World


class Balancer:
    """One balancer. `took_ms`: what decisions took, on the real clock; it decides nothing."""

    def __init__(self, world: World, tuning: Tuning) -> None:
        self._world = world
        self._tuning = tuning
        self._monitor = Monitor()
        self._memory = Memory()
        self._controller: Controller | None = None
        self._balancing: Balancing | None = None
        self._asked: dict[str, Ongoing] = {}
        self._last_end: dict[str, float] = {}  #: of a session: when its last move by this balancer was done
        self.took_ms: list[float] = []
        self.decisions = 0
        world.clock.after(INTERVAL_S, self._once)

    def _once(self) -> None:
        world = self._world
        world.clock.after(INTERVAL_S, self._once)
        site = world.site
        if site.controller is None:
            self._asked.clear()  # their calls broke; the moves go on
            return
        if site.controller is not self._controller:
            self._controller = site.controller
            self._balancing = Balancing(site.controller, lambda *_: None)
            self._asked.clear()
        assert self._balancing is not None
        snapshot = self._monitor.take(messages.snapshot_of(self._balancing.snapshot("simulated")))
        self._take_ends(snapshot.at_s)
        if self._asked:
            sessions = tuple(
                replace(
                    s,
                    moving=True,
                    destination=s.destination or self._asked[s.id].destination_device or self._asked[s.id].wanted,
                )
                if s.id in self._asked
                else s
                for s in snapshot.sessions
            )
            snapshot = replace(snapshot, sessions=sessions)
        began = time.perf_counter()
        decision = policy.decide(snapshot, self._memory, self._tuning)
        self.took_ms.append((time.perf_counter() - began) * 1000)
        self.decisions += 1
        self._memory = decision.memory
        for move in decision.moves:
            self._ask(move)

    def _ask(self, move: policy.Move) -> None:
        world, site = self._world, self._world.site
        assert site.controller is not None and site.operations is not None
        source = site.controller.books.devices.get(move.source)
        must_leave = source is not None and (source.is_draining or bool(source.failure))
        rested = world.clock.now - self._last_end.get(move.session, float("-inf"))
        if not must_leave and rested < self._tuning.cooldown_s:
            text = f"{move.session} is moved again {rested:.2f} s after its last move: {move.reason}"
            raise Violation("no-flapping", world.clock.now, text)
        request = admin_pb2.MoveSessionRequest(
            session=move.session, device=move.destination, reason=move.reason, by="balancer",
            max_pause_ms=int(self._tuning.longest_pause_s * 1000),
        )  # fmt: skip
        site.is_touched = True
        moves = MoveOperations(site.controller, site.operations, lambda *_: None)
        try:
            self._asked[move.session] = moves.move("balancer", request)
        except Refused as refused:
            world.say("move-refused", move.session, refused.code.name)
            self._memory = self._memory.noted(move.session, world.clock.now, failed=True)

    def _take_ends(self, at_s: float) -> None:
        for session, one in list(self._asked.items()):
            if one.move.is_over:
                del self._asked[session]
                is_done = one.move.step.value == "done"
                if is_done:
                    self._last_end[session] = one.ended_at
                self._memory = self._memory.noted(session, at_s, failed=not is_done)
