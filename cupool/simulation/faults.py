"""What breaks, and when: at times, and at steps of moves. All of it by seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from cupool.pool.refusals import Refused

from .client import MAX_FUTILE, Client
from .scenario import Fault

if TYPE_CHECKING:
    from .world import World

#: How long a controller is down at least.
DOWN_S = 0.3


class Faults:
    """The faults of one run."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng
        self._stepped = [f for f in world.scenario.faults if f.at_step]
        self._is_over = False
        self.happened: list[str] = []
        self._sessions_killed: dict[str, int] = {}

    def begin(self, warm_up_s: float) -> None:
        for fault in self._world.scenario.faults:
            if fault.at_s >= 0.0:
                self._world.clock.at(warm_up_s + fault.at_s, self._happen, fault)

    def end(self) -> None:
        """Nothing breaks any more, and what was taken out of service by hand is back in."""
        self._is_over = True
        operations = self._world.site.operations
        if operations is not None:
            for cordon in list(operations._controller.cordons.values()):
                operations.uncordon("simulation", cordon.device)

    def excuses(self, client: Client) -> bool:
        """Whether a program may have lost its session: its servers were killed again and again before it got on."""
        return client.recoveries >= MAX_FUTILE

    def _happen(self, fault: Fault) -> None:
        if not self._is_over:
            self.say(fault, KINDS[fault.kind](self, fault))

    def say(self, fault: Fault, whom: str) -> None:
        self.happened.append(f"{self._world.clock.now:.3f} {fault.kind} {whom}")
        self._world.say("fault", fault.kind, whom)

    # ---- at a time

    def _kill_server(self, fault: Fault) -> str:
        servers = [s for s in self._world.servers.values() if s.is_alive]
        if not servers:
            return "nobody"
        server = self._rng.choice(servers)
        server.die(-9)
        return server.id

    def _kill_agent(self, fault: Fault) -> str:
        agent = self._rng.choice(list(self._world.agents.values()))
        agent.kill()
        return agent.node

    def kill_controller(self, fault: Fault) -> str:
        site = self._world.site
        if site.controller is None:
            return "it is down"
        site.kill()
        self._world.clock.after(max(DOWN_S, fault.for_s / 2), site.start)
        return f"for {fault.for_s:g} s"

    def _kill_client(self, fault: Fault) -> str:
        clients = [c for c in self._world.clients if not c.outcome and c.asked_s]
        if not clients:
            return "nobody"
        client = self._rng.choice(clients)
        client.kill()
        return client.place

    def _cut(self, fault: Fault) -> str:
        ends = self._world.network.ends()
        if not ends:
            return "nothing"
        end = self._rng.choice(ends)
        self._world.network.cut(end)
        return f"{end.here} {end.there}"

    def _pair(self) -> tuple[str, str]:
        """Two places that have something to do with each other."""
        nodes = list(self._world.agents)
        clients = [c.place for c in self._world.clients if not c.outcome]
        one = self._rng.choice(nodes)
        others = ["controller", *(n for n in nodes if n != one), *clients]
        return one, self._rng.choice(others)

    def _part(self, fault: Fault) -> str:
        a, b = self._pair()
        self._world.network.part(a, b, fault.for_s)
        return f"{a} {b} for {fault.for_s:g} s"

    def _slow(self, fault: Fault) -> str:
        a, b = self._pair()
        self._world.network.slow(a, b, self._rng.choice((0.05, 0.5)), fault.for_s)
        return f"{a} {b} for {fault.for_s:g} s"

    def _device(self) -> str:
        controller = self._world.site.controller
        keys = list(controller.books.devices) if controller is not None else []
        return self._rng.choice(keys) if keys else ""

    def _cordon(self, fault: Fault) -> str:
        operations, device = self._world.site.operations, self._device()
        if operations is None or not device:
            return "nothing"
        operations.cordon("simulation", device, "a simulated cordon")
        self._world.clock.after(fault.for_s, self._uncordon, device)
        return device

    def _drain(self, fault: Fault) -> str:
        operations, device = self._world.site.operations, self._device()
        if operations is None or not device:
            return "nothing"
        operations.drain("simulation", device, "a simulated drain", 0)
        self._world.clock.after(fault.for_s, self._uncordon, device)
        return device

    def _uncordon(self, device: str) -> None:
        operations = self._world.site.operations
        if operations is None:
            self._world.clock.after(1.0, self._uncordon, device)
            return
        try:
            operations.uncordon("simulation", device)
        except Refused:
            self._world.clock.after(1.0, self._uncordon, device)  # the device's node is away


#: Kind of a fault -> what makes it happen; it returns whom it met.
KINDS: dict[str, Callable[[Faults, Fault], str]] = {
    "kill-server": Faults._kill_server,
    "kill-agent": Faults._kill_agent,
    "kill-controller": Faults.kill_controller,
    "kill-client": Faults._kill_client,
    "cut": Faults._cut,
    "part": Faults._part,
    "slow": Faults._slow,
    "cordon": Faults._cordon,
    "drain": Faults._drain,
}
