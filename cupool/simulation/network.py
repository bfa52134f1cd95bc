"""Connections between places. A place is a name: "controller", a node, a client.

Cases of a message: it arrives after the delay, in order; the connection was closed or cut meanwhile: it is lost; the two places are
parted: it arrives when they are not any more, unless the silence was found before (`SILENCE_S`), and then it is lost with its connection.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from .clock import Clock

#: How long two places are parted until connections between them are given up: keepalive 10 s, no answer for 3 s.
SILENCE_S = 13.0
#: How long an attempt to connect takes that does not arrive.
CALL_S = 2.0

Pair = tuple[str, str]


def pair(a: str, b: str) -> Pair:
    return (a, b) if a < b else (b, a)


class End:
    """One side of a connection. `on_message` and `on_closed` are whoever's it is."""

    __slots__ = ("_held", "_net", "here", "is_open", "last_s", "number", "on_closed", "on_message", "peer", "there")

    def __init__(self, net: Network, here: str, there: str, number: int) -> None:
        self._net = net
        self.here = here
        self.there = there
        self.number = number
        self.peer: End = self
        self.is_open = True
        self.on_message: Callable[[Any], object] = _nobody
        self.on_closed: Callable[[], object] = _nobody_closed
        self.last_s = 0.0
        self._held: list[Any] = []

    def send(self, message: Any, extra_s: float = 0.0) -> None:
        """Nothing if this side is closed. `extra_s`: how much longer it takes than a small message."""
        if self.is_open:
            net = self._net
            self.last_s = max(self.last_s, net.clock.now + net.delay_s(self.here, self.there) + extra_s)
            net.clock.at(self.last_s, self._arrive, message)

    def close(self) -> None:
        """This side hears nothing any more; the other side is told."""
        if self.is_open:
            self.is_open = False
            self._net.closed(self)

    def _arrive(self, message: Any) -> None:
        if not self.peer.is_open:
            return
        if self._held or self._net.is_parted(self.here, self.there):
            self._held.append(message)
        else:
            self.peer.on_message(message)

    def let_go(self) -> None:
        """The two places are parted no more: what was held arrives, before anything that was sent later."""
        held, self._held = self._held, []
        for message in held:
            self._arrive(message)

    def broken(self) -> None:
        """The connection is gone, and this side finds it."""
        if self.is_open:
            self.is_open = False
            self._net.forget(self)
            self.on_closed()


class Network:
    """All of them.

    Args:
        latency_s: one way, between two places; each pair has its own, up to half more.
    """

    def __init__(self, clock: Clock, rng: random.Random, latency_s: float) -> None:
        self.clock = clock
        self._rng = rng
        self._latency_s = latency_s
        self._delays: dict[Pair, float] = {}
        self._parted: dict[Pair, int] = {}
        self._slowed: dict[Pair, float] = {}
        self._open: dict[Pair, dict[int, End]] = {}
        self._count = 0

    def delay_s(self, a: str, b: str) -> float:
        key = pair(a, b)
        found = self._delays.get(key)
        if found is None:
            found = self._delays[key] = self._latency_s * self._rng.uniform(1.0, 1.5)
        return found + self._slowed.get(key, 0.0) if self._slowed else found

    # ---- connections

    def connect(self, here: str, there: str, accept: Callable[[End], bool]) -> End:
        """A connection. `accept` is called with the other side's end, there; False: nobody listens, and it is closed."""
        self._count += 1
        near, far = End(self, here, there, 2 * self._count), End(self, there, here, 2 * self._count + 1)
        near.peer, far.peer = far, near
        ends = self._open.setdefault(pair(here, there), {})
        ends[near.number], ends[far.number] = near, far
        self.clock.after(self.delay_s(here, there), self._accept, far, accept)
        return near

    def _accept(self, far: End, accept: Callable[[End], bool]) -> None:
        if not far.is_open:
            return
        if self.is_parted(far.here, far.there):
            self.clock.after(CALL_S, far.peer.broken)
            far.is_open = False
            self.forget(far)
        elif not accept(far):
            far.close()

    def closed(self, end: End) -> None:
        """One side has closed."""
        self.forget(end)
        wait_s = SILENCE_S if self.is_parted(end.here, end.there) else self.delay_s(end.here, end.there)
        # What was sent before arrives before.
        self.clock.at(max(self.clock.now + wait_s, end.last_s), end.peer.broken)

    def forget(self, end: End) -> None:
        ends = self._open.get(pair(end.here, end.there))
        if ends is not None:
            ends.pop(end.number, None)
            if not ends:
                del self._open[pair(end.here, end.there)]

    def ends(self) -> list[End]:
        """Open ends, in the order of their making."""
        return [end for ends in self._open.values() for end in ends.values()]

    def cut(self, end: End) -> None:
        """The connection is gone, for both sides, with what is on its way."""
        peer = end.peer
        end.broken()
        peer.broken()

    # ---- parting

    def is_parted(self, a: str, b: str) -> bool:
        return bool(self._parted) and pair(a, b) in self._parted

    def part(self, a: str, b: str, for_s: float) -> None:
        """Nothing arrives between two places for a time."""
        key = pair(a, b)
        self._parted[key] = self._parted.get(key, 0) + 1
        for end in list(self._open.get(key, {}).values()):
            self.clock.after(SILENCE_S, self._silent, end, self.clock.now)
        self.clock.after(for_s, self._join, key)

    def _silent(self, end: End, since_s: float) -> None:
        if self.is_parted(end.here, end.there):
            end.broken()

    def _join(self, key: Pair) -> None:
        self._parted[key] -= 1
        if not self._parted[key]:
            del self._parted[key]
            for end in list(self._open.get(key, {}).values()):
                end.let_go()

    def slow(self, a: str, b: str, by_s: float, for_s: float) -> None:
        """Everything between two places takes longer for a time."""
        key = pair(a, b)
        self._slowed[key] = self._slowed.get(key, 0.0) + by_s
        self.clock.after(for_s, self._fast, key, by_s)

    def _fast(self, key: Pair, by_s: float) -> None:
        self._slowed[key] -= by_s
        if self._slowed[key] < 1e-9:
            del self._slowed[key]


def _nobody(message: Any) -> None:
    """Nobody listens yet."""


def _nobody_closed() -> None:
    """Nobody listens yet."""
