"""What must be true, each with a name. A violation ends the run: it says which, when, and of whom.

one-owner      of a session, at most one server would execute its next batch
rising-epoch   a session's epoch rises, in its servers and for its client
one-epoch      no result reaches a program that was not the one it was to have: of another epoch, twice, or of a lost, doubled or
               reordered batch
quotas         tenants, devices and servers hold no more than they may, to the byte, and the books count what is in them
nothing-lost   a program ends with its work done, unless its own copy was all that could have brought it back
books-agree    when nothing happens any more, the books say what the hosts say
moves-end      a move that is being given up is not for longer than it takes its source to say so
no-flapping    no session is moved by the balancer more often than its cooldown allows
nothing-left   when all programs have ended nobody holds anything, and the warm reserve is full
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cupool.contract.moves import Step
from cupool.pool import states
from cupool.pool.controller import Controller

if TYPE_CHECKING:
    from .agent import Agent
    from .server import Server


class Violation(AssertionError):
    """Something that must be true is not."""

    def __init__(self, name: str, at_s: float, text: str) -> None:
        super().__init__(f"{name} at {at_s:.6f} s: {text}")
        self.name = name
        self.at_s = at_s
        self.text = text


class Owners:
    """Who would execute what: `one-owner` and `rising-epoch`."""

    def __init__(self) -> None:
        self._owners: dict[str, dict[str, int]] = {}
        self._epochs: dict[str, int] = {}
        self.most_at_once = 0

    def owns(self, now: float, session: str, server: str, epoch: int) -> None:
        owners = self._owners.setdefault(session, {})
        others = [name for name in owners if name != server]
        if others:
            raise Violation("one-owner", now, f"{session} would be executed by {server} and by {', '.join(others)}")
        if epoch < self._epochs.get(session, 0) or (not owners and epoch == self._epochs.get(session)):
            before = self._epochs[session]
            raise Violation("rising-epoch", now, f"{session} is at epoch {epoch} on {server}; it was at {before}")
        owners[server] = epoch
        self._epochs[session] = epoch

    def disowns(self, session: str, server: str) -> None:
        owners = self._owners.get(session)
        if owners is not None:
            owners.pop(server, None)


#: A source that can be reached has said by then that it goes on.
CANCELLED_S = 60.0


def moves_end(now: float, controller: Controller) -> None:
    """`moves-end`."""
    for one in controller.moves.values():
        source = one.source
        is_here = source is not None and source.device.node.is_connected
        if one.move.step is Step.CANCELLING and is_here and now - one.move.step_at > CANCELLED_S:
            text = (
                f"the move {one.move.id} of {one.move.session} has been cancelling for {now - one.move.step_at:.1f} s"
            )
            raise Violation("moves-end", now, text)


def quotas(now: float, controller: Controller, agents: Iterable[Agent]) -> None:
    """`quotas`: the books count to what is in them, and nobody has more than he may."""
    books = controller.books

    def wrong(text: str) -> Violation:
        return Violation("quotas", now, text)

    for device in books.devices.values():
        holding = memory = 0
        for by in device.servers.values():
            for server in by.values():
                if server.session is not None:
                    holding += 1
                    memory += server.session.memory_bytes
        if device.holding != holding or device.promised_bytes != memory:
            raise wrong(
                f"{device.key} counts {device.holding} sessions and {device.promised_bytes} bytes, there are {holding} and {memory}"
            )
        if holding > device.max_sessions or memory > device.total_bytes:
            raise wrong(f"{device.key} has promised {holding} sessions and {memory} bytes")
    held: dict[str, list[int]] = {}
    for session in books.sessions.values():
        counts = held.setdefault(session.tenant.name, [0, 0])
        counts[0] += 1
        counts[1] += session.memory_bytes
    for tenant in books.tenants.values():
        sessions, leased = held.get(tenant.name, (0, 0))
        if (tenant.sessions, tenant.leased_bytes) != (sessions, leased):
            raise wrong(
                f"{tenant.name} counts {tenant.sessions} sessions, {tenant.leased_bytes} bytes; it has {sessions}, {leased}"
            )
        quota = tenant.quota
        if (quota.sessions and sessions > quota.sessions) or (quota.memory_bytes and leased > quota.memory_bytes):
            raise wrong(f"{tenant.name} has {sessions} sessions and {leased} bytes, more than its quota")
    for agent in agents:
        for one in agent.devices.values():
            used = sum(
                known.process.content.used_bytes
                for known in agent.servers.values()
                if known.process.device == one.name and known.process.content is not None
            )
            if used > one.memory_bytes:
                raise wrong(f"sessions on {agent.node}/{one.name} use {used} bytes of {one.memory_bytes}")


def books_agree(now: float, controller: Controller, agents: Iterable[Agent]) -> None:
    """`books-agree`: servers and sessions, as the controller and the hosts have them."""
    books = controller.books
    told = {server.id: (server.device.node.id, server.state) for server in books.servers.values()}
    there = {known.process.id: (agent.node, known.state) for agent in agents for known in agent.servers.values()}
    if told != there:
        differ = {k: (told.get(k), there.get(k)) for k in sorted({*told, *there}) if told.get(k) != there.get(k)}
        raise Violation("books-agree", now, f"servers differ, by the books and on the hosts: {differ}")
    ours = {s.id: (s.server.id, s.epoch) for s in books.sessions.values()}
    theirs = {
        known.assignment.session: (known.process.id, known.process.epoch)
        for agent in agents
        for known in agent.servers.values()
        if known.assignment is not None
    }
    if ours != theirs:
        raise Violation("books-agree", now, f"sessions by the books {ours}, on the hosts {theirs}")


def nothing_left(now: float, controller: Controller, agents: Iterable[Agent], servers: Iterable[Server]) -> None:
    """`nothing-left`: no session, no promise, no place in the queue, no process that nobody knows."""
    books = controller.books

    def wrong(text: str) -> Violation:
        return Violation("nothing-left", now, text)

    if books.sessions or len(controller.queue):
        raise wrong(f"sessions {sorted(books.sessions)}, {len(controller.queue)} in the queue")
    leases = [lease.session for lease in controller.directory.leases()]
    if leases:
        raise wrong(f"the directory has leases of sessions that are over: {leases}")
    if controller.moves or controller.directory.moves():
        raise wrong(f"moves of {sorted(controller.moves)}, in the directory {controller.directory.moves()}")
    for tenant in books.tenants.values():
        if tenant.sessions or tenant.leased_bytes or tenant.used_bytes or tenant.live_kernel_s:
            raise wrong(f"{tenant.name} still holds {tenant}")
    for device in books.devices.values():
        if device.holding or device.promised_bytes:
            raise wrong(f"{device.key} has promised {device.promised_bytes} bytes to nobody")
        others = [s.id for s in books.servers.values() if s.device is device and s.state != states.WARM]
        if others:
            raise wrong(f"servers of {device.key} that are not warm: {others}")
    known = {process.process.id for agent in agents for process in agent.servers.values()}
    for server in servers:
        if server.is_alive and server.id not in known:
            raise wrong(f"the process {server.id} on {server.node} lives, and its agent does not know it")
        if server.is_alive and server.content is not None:
            raise wrong(f"{server.id} on {server.node} still has a session")
