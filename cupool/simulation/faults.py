"""What breaks, and when: at times, and at steps of moves. All of it by seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from cupool.pool.move_operations import MoveOperations
from cupool.pool.refusals import Refused
from cupool.v1 import admin_pb2

from .client import MAX_FUTILE, Client
from .scenario import Fault

if TYPE_CHECKING:
    from .moving import MovingServer
    from .world import World

Sides = tuple["MovingServer | None", "MovingServer | None"]
#: How long a controller is down at least.
DOWN_S = 0.3


class Faults:
    """The faults of one run."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng
        self._stepped = [f for f in world.scenario.faults if f.at_step]
        self._is_over = False
        self._reached: dict[str, int] = {}
        self.happened: list[str] = []

    def begin(self, warm_up_s: float) -> None:
        for fault in self._world.scenario.faults:
            if fault.at_s >= 0.0:
                self._world.clock.at(warm_up_s + fault.at_s, self._happen, fault)
        if self._world.scenario.random_moves:
            self._world.clock.at(warm_up_s, self._move)

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

    # ---- at a step of a move

    def step(self, name: str, server: MovingServer) -> None:
        """A move's server has come to a step."""
        if not self._stepped or self._is_over:
            return
        count = self._reached[name] = self._reached.get(name, 0) + 1
        for fault in [f for f in self._stepped if f.at_step == name and f.nth == count]:
            self._stepped.remove(fault)
            move = self._moves_of(server)
            self.say(fault, f"{name} {STEPPED[fault.kind](self, fault, move)}")

    def _moves_of(self, server: MovingServer) -> tuple[MovingServer | None, MovingServer | None]:
        """Source and destination of the server's move, those that live."""
        move = ""
        if server.destination is not None:
            move = server.destination.arrival.move
        if server.source is not None and (not move or not server.source.machine.is_over):
            move = server.source.order.move
        source = destination = None
        for other in self._world.servers.values():
            if other.source is not None and other.source.order.move == move:
                source = other
            if other.destination is not None and other.destination.arrival.move == move:
                destination = other
        return source, destination

    def _kill_source(self, fault: Fault, move: Sides) -> str:
        if move[0] is not None:
            move[0].die(-9)
        return move[0].id if move[0] is not None else "nobody"

    def _kill_destination(self, fault: Fault, move: Sides) -> str:
        if move[1] is not None:
            move[1].die(-9)
        return move[1].id if move[1] is not None else "nobody"

    def _cut_client(self, fault: Fault, move: Sides) -> str:
        for server in move:
            if server is not None and server.stream is not None:
                self._world.network.cut(server.stream)
        return "both"

    def _cut_pull(self, fault: Fault, move: Sides) -> str:
        if move[0] is not None and move[0].source is not None and move[0].source.stream is not None:
            self._world.network.cut(move[0].source.stream)
        return "it"

    def _part_servers(self, fault: Fault, move: Sides) -> str:
        nodes = sorted({s.node for s in move if s is not None})
        if len(nodes) == 2:
            self._world.network.part(nodes[0], nodes[1], fault.for_s)
        return f"{' '.join(nodes)} for {fault.for_s:g} s"

    def _part_source(self, fault: Fault, move: Sides) -> str:
        return self._part_from_controller(fault, move[0])

    def _part_destination(self, fault: Fault, move: Sides) -> str:
        return self._part_from_controller(fault, move[1])

    def _part_from_controller(self, fault: Fault, server: MovingServer | None) -> str:
        if server is None:
            return "nobody"
        self._world.network.part(server.node, "controller", fault.for_s)
        return f"{server.node} for {fault.for_s:g} s"

    def _part_client(self, fault: Fault, move: Sides) -> str:
        for server in move:
            if server is not None and server.stream is not None:
                self._world.network.part(server.node, server.stream.there, fault.for_s)
        return f"for {fault.for_s:g} s"

    def _stall(self, fault: Fault, move: Sides) -> str:
        if move[1] is not None and move[1].destination is not None:
            move[1].destination.is_stalled = True
        return move[1].id if move[1] is not None else "nobody"

    def _cancel(self, fault: Fault, move: Sides) -> str:
        controller = self._world.site.controller
        source = move[0]
        if controller is None or source is None or source.assignment is None:
            return "nobody"
        self._world.clock.after(0.0, self._cancel_now, source.assignment.session)
        return source.assignment.session

    def _cancel_now(self, session: str) -> None:
        site = self._world.site
        if site.controller is not None and site.operations is not None:
            site.is_touched = True
            try:
                MoveOperations(site.controller, site.operations, lambda *_: None).cancel("simulation", session)
            except Refused as refused:
                self._world.say("cancel-refused", session, refused.code.name)

    # ---- moves that an operator asks for

    def _move(self) -> None:
        if self._is_over:
            return
        self._world.clock.after(self._rng.expovariate(self._world.scenario.random_moves), self._move)
        site = self._world.site
        if site.controller is None or site.operations is None or not site.controller.books.sessions:
            return
        session = self._rng.choice(list(site.controller.books.sessions))
        device = self._rng.choice(["", *site.controller.books.devices])
        request = admin_pb2.MoveSessionRequest(
            session=session, device=device, reason="a simulated wish", is_cold=self._rng.random() < 0.1,
            max_pause_ms=self._rng.choice((0, 100)), timeout_ms=self._rng.choice((0, 1000)),
        )  # fmt: skip
        site.is_touched = True
        try:
            MoveOperations(site.controller, site.operations, lambda *_: None).move("simulation", request)
        except Refused as refused:
            self._world.say("move-refused", session, refused.code.name)
        else:
            self._world.say("move-asked", session, device)

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


#: Kind of a fault at a step of a move -> what makes it happen.
STEPPED: dict[str, Callable[[Faults, Fault, Sides], str]] = {
    "kill-source": Faults._kill_source,
    "kill-destination": Faults._kill_destination,
    "kill-controller": lambda faults, fault, move: faults.kill_controller(fault),
    "cut-client": Faults._cut_client,
    "cut-pull": Faults._cut_pull,
    "part-servers": Faults._part_servers,
    "part-source": Faults._part_source,
    "part-destination": Faults._part_destination,
    "part-client": Faults._part_client,
    "stall": Faults._stall,
    "cancel": Faults._cancel,
}
#: Kind of a fault at a time -> what makes it happen; it returns whom it met.
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
