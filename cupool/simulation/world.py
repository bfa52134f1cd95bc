"""All of it together: a controller's site, hosts, clients, a network between them, faults, and what must stay true."""

from __future__ import annotations

import random
from collections.abc import Callable

from cupool.balancer import workload
from cupool.balancer.tuning import Tuning
from cupool.contract import balance
from cupool.contract.moves import Step
from cupool.pool.controller import Controller
from cupool.pool.directory import TenantRecord

from . import figures, invariants
from .agent import Agent, VirtualDevice
from .balance import Balancer
from .client import Client, program
from .clock import Clock
from .faults import Faults
from .invariants import Owners, Violation
from .moving import MovingServer
from .network import End, Network
from .processor import Processor
from .scenario import Scenario
from .server import Server
from .site import Site

#: How often a run's state is noted for the plot, and the books are looked at where not every event is.
SAMPLE_S = 1.0
#: Balancing policies that can be simulated.
POLICIES = tuple(balance.POLICIES)
#: How often it is looked whether all has come to rest.
REST_S = 4.0


class World:
    """One run of a scenario.

    Attributes:
        log: what happened, a line each; None: it is not kept.
    """

    def __init__(self, scenario: Scenario, keeps_log: bool = False) -> None:
        self.scenario = scenario
        self.clock = Clock()
        self.rng = self._random("world")
        self.network = Network(self.clock, self._random("network"), scenario.latency_s)
        self.owners = Owners()
        self.site = Site(self.clock, self._random("controller"), scenario.config())
        for tenant, quota in scenario.quotas.items():
            self.site.kept.set_tenant(TenantRecord(tenant, quota))
        self.agents = {f"node-{n}": self._host(f"node-{n}") for n in range(scenario.hosts)}
        self.clients: list[Client] = []
        self.running = 0
        self.to_come = 0
        self.servers: dict[str, MovingServer] = {}  #: that live
        self.deaths: dict[str, int] = {}  #: servers that were killed, by the session that they had
        self.pauses_s: list[float] = []
        self.moves_done = self.moves_failed = 0
        self.link_bytes_a_s = scenario.link_bytes_a_s
        self.balancer: Balancer | None = None
        self.site.on_start = self._follow_moves
        self.log: list[str] | None = [] if keeps_log else None
        self.series: list[dict[str, float]] = []
        self.faults = Faults(self, self._random("faults"))

    def _random(self, what: str) -> random.Random:
        return random.Random(f"{self.scenario.seed}:{what}")

    def _host(self, node: str) -> Agent:
        devices = [
            VirtualDevice(f"cpu:{i}", "cpu", self.scenario.memory_bytes, Processor(self.clock))
            for i in range(self.scenario.devices)
        ]
        return Agent(self, node, devices)

    def say(self, what: str, *about: object) -> None:
        if self.log is not None:
            self.log.append(f"{self.clock.now:.6f} {what} {' '.join(map(str, about))}")

    # ---- what hosts and servers need

    def controller(self, end: End) -> bool:
        return self.site.accept_agent(end)

    def start_s(self) -> float:
        median = self.scenario.start_s
        return median * self.rng.lognormvariate(0.0, 0.3) if median else workload.huawei_start_s(self.rng)

    def new_server(self, name: str, node: str, device: str, processor: Processor, agent: Agent) -> Server:
        def exited(server: Server, status: int) -> None:
            self.servers.pop(server.id, None)
            self.say("server-ended", server.id, status)
            agent.exited(server, status)

        server = self.servers[name] = MovingServer(self, name, node, device, processor, agent.reported, exited)
        self.say("server-started", name, node, device)
        return server

    def owns(self, server: Server, session: str) -> None:
        self.say("owns", server.id, session, server.epoch)
        self.owners.owns(self.clock.now, session, server.id, server.epoch)

    def step(self, name: str, server: MovingServer) -> None:
        self.say("step", name, server.id)
        self.faults.step(name, server)

    def paused(self, seconds: float) -> None:
        self.pauses_s.append(seconds)

    def _follow_moves(self, controller: Controller) -> None:
        ended = controller.move_meter.ended

        def count(outcome: str, pause_s: float, nbytes: int) -> None:
            self.say("move", outcome)
            if outcome == Step.DONE.value:
                self.moves_done += 1
            elif outcome == Step.GIVEN_UP.value:
                self.moves_failed += 1
            ended(outcome, pause_s, nbytes)

        controller.move_meter.ended = count  # type: ignore[method-assign]

    def disowns(self, server: Server, session: str) -> None:
        self.say("disowns", server.id, session)
        self.owners.disowns(session, server.id)

    def executed(self, server: Server) -> None:
        content = server.content
        assert content is not None
        self.say("executed", server.id, content.executed_seq)

    # ---- what clients need

    def pool(self, end: End) -> bool:
        return self.site.accept_client(end)

    def server_at(self, endpoint: str) -> tuple[str, Callable[[End], bool]]:
        node, _, name = endpoint.partition(":")

        def accept(end: End) -> bool:
            server = self.servers.get(name)
            return server is not None and server.accept(end)

        return node, accept

    def delivered(self, client: Client, epoch: int, seq: int, value: int, expected: int) -> None:
        self.say("result", client.place, epoch, seq, value)
        if value != expected:
            text = f"{client.place} got {value} of batch {seq} from {client.endpoint}, and not {expected}"
            raise Violation("one-epoch", self.clock.now, text)

    def over(self, client: Client) -> None:
        self.running -= 1
        self.say("over", client.place, client.outcome, client.reason)

    # ---- a run

    def _arrive(self, client: Client) -> None:
        self.to_come -= 1
        self.running += 1
        self.say("asks", client.place)
        client.start()

    def _begin(self) -> None:
        scenario, rng = self.scenario, self._random("programs")
        self.site.start()
        for agent in self.agents.values():
            self.clock.after(self.rng.uniform(0.0, 0.01), agent.start)
        jobs = scenario.load_jobs()
        warm_up_s = 2.0 if scenario.start_s else 10.0
        for number, job in enumerate(jobs):
            plan = program(
                f"client-{number}", job, rng, scenario.step_s, scenario.most_steps, patience_s=scenario.patience_s
            )
            client = Client(self, plan)
            self.clients.append(client)
            self.clock.at(warm_up_s + job.at_s, self._arrive, client)
        self.to_come = len(jobs)
        self.faults.begin(warm_up_s)
        self.clock.after(SAMPLE_S, self._sample)
        if scenario.policy != "none":
            self.balancer = Balancer(self, Tuning())
        if scenario.is_thorough:
            self.clock.after_each = self._check

    def _check(self) -> None:
        site, controller = self.site, self.site.controller
        if site.is_touched and controller is not None:
            site.is_touched = False
            invariants.quotas(self.clock.now, controller, self.agents.values())

    def _sample(self) -> None:
        self.clock.after(SAMPLE_S, self._sample)
        self._check()
        controller = self.site.controller
        if controller is not None:
            invariants.moves_end(self.clock.now, controller)
        devices = [d for agent in self.agents.values() for d in agent.devices.values()]
        if len(devices) <= 512:
            self.series.append(
                {
                    "at_s": self.clock.now,
                    "queued": float(len(controller.queue)) if controller is not None else 0.0,
                    "sessions": float(len(controller.books.sessions)) if controller is not None else 0.0,
                    "utilisation": sum(d.utilisation for d in devices) / len(devices),
                    "moves": float(self.moves_done),
                }
            )

    @property
    def is_over(self) -> bool:
        return not self.running and not self.to_come

    def run(self) -> figures.Figures:
        """From the beginning until every program has ended, and nothing is left of any.

        Raises:
            Violation: something that must be true is not.
        """
        scenario = self.scenario
        self._begin()
        self.clock.run(scenario.until_s, lambda: self.is_over)
        if not self.is_over:
            stuck = [c.place for c in self.clients if not c.outcome]
            raise Violation("nothing-lost", self.clock.now, f"these have not ended: {', '.join(stuck[:8])}")
        for client in self.clients:
            self._check_end(client)
        busy_s = 0.0
        for agent in self.agents.values():
            for device in agent.devices.values():
                device.processor.settle()
                busy_s += device.processor.busy_s
        took_ms = self.balancer.took_ms if self.balancer is not None else []
        found = figures.of(
            self.clients, busy_s, scenario.hosts * scenario.devices, self.pauses_s, moves=self.moves_done,
            moves_failed=self.moves_failed,
            decision_p50_ms=figures.part(took_ms, 0.5),
            decision_max_ms=max(took_ms, default=0.0), events=self.clock.events, series=self.series,
        )  # fmt: skip
        self._settle()
        return found

    def _check_end(self, client: Client) -> None:
        """`nothing-lost`: of one program."""
        if client.outcome in ("done", "killed"):
            return
        excused = client.outcome == "lost" and self.faults.excuses(client)
        if not excused:
            raise Violation("nothing-lost", self.clock.now, f"{client.place} is {client.outcome}: {client.reason}")

    def _settle(self) -> None:
        """Faults are over, and everything comes to rest: by then the books agree, and nothing is left."""
        scenario = self.scenario
        self.faults.end()
        most_s = self.clock.now + 3 * (scenario.park_grace_s + scenario.lease_s) + 60.0
        while True:
            self.clock.run(self.clock.now + REST_S)
            try:
                self._check_rest()
            except Violation:
                if self.clock.now > most_s:
                    raise
            else:
                return

    def _check_rest(self) -> None:
        controller = self.site.controller
        if controller is None:
            raise Violation("nothing-left", self.clock.now, "the controller is down")
        self.site.is_touched = True
        self._check()
        invariants.books_agree(self.clock.now, controller, self.agents.values())
        invariants.nothing_left(self.clock.now, controller, self.agents.values(), self.servers.values())
