"""Who is served next: a weighted fair queue between tenants, bounded. Pure: it knows neither sessions nor devices.

The tenant that holds least for its weight goes first; among equals, the one that was given least for its weight since it began to wait.
Within a tenant the higher priority goes first, then who came first. A place that cannot be served now is passed over, not lost.
"""

from __future__ import annotations

import bisect
import enum
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


class QueueFull(Exception):
    """No place is left. `of_tenant`: among the tenant's own; else in the whole queue."""

    def __init__(self, of_tenant: bool, limit: int) -> None:
        super().__init__(f"{limit} places are taken")
        self.of_tenant = of_tenant
        self.limit = limit


@dataclass(slots=True, eq=False)
class Place(Generic[T]):
    """One who waits."""

    tenant: str
    priority: int
    item: T
    entered_s: float
    ticket: int = 0

    @property
    def order(self) -> tuple[int, int]:
        return (-self.priority, self.ticket)


class Outcome(enum.Enum):
    """What became of an attempt to serve a place."""

    SERVED = 1
    PASSED = 2  #: it cannot be served now; others of its tenant perhaps
    TENANT_PASSED = 3  #: nobody of its tenant can


def _order(place: Place[T]) -> tuple[int, int]:
    return place.order


class FairQueue(Generic[T]):
    """The places of all tenants.

    Args:
        limit: how many may wait at once, of all tenants together.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._places: dict[str, list[Place[T]]] = {}
        self._count = 0
        self._tickets = itertools.count(1)
        #: What each waiting tenant was given, by its weight, on one scale for all: a tenant that comes begins where the others are.
        self._given: dict[str, float] = {}

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Place[T]]:
        return itertools.chain.from_iterable(list(self._places.values()))

    def of(self, tenant: str) -> int:
        """How many places the tenant has taken."""
        return len(self._places.get(tenant, ()))

    def push(self, tenant: str, priority: int, item: T, now_s: float, limit: int) -> Place[T]:
        """A new place; `limit` is the tenant's.

        Raises:
            QueueFull: there is none.
        """
        if self.of(tenant) >= limit:
            raise QueueFull(True, limit)
        if self._count >= self._limit:
            raise QueueFull(False, self._limit)
        place = Place(tenant, priority, item, now_s, next(self._tickets))
        if tenant not in self._places:
            self._places[tenant] = []
            self._given[tenant] = min(self._given.values(), default=0.0)
        bisect.insort(self._places[tenant], place, key=_order)
        self._count += 1
        return place

    def remove(self, place: Place[T]) -> bool:
        """Give up a place; False when it has been given up or served already."""
        places = self._places.get(place.tenant, [])
        at = bisect.bisect_left(places, place.order, key=_order)
        if at == len(places) or places[at] is not place:
            return False
        del places[at]
        self._count -= 1
        if not places:
            del self._places[place.tenant], self._given[place.tenant]
        return True

    def oldest_s(self) -> float | None:
        """When the place that waits longest was taken; None when nobody waits."""
        return min((place.entered_s for place in self), default=None)

    def ahead(self, place: Place[T], held: Callable[[str], float]) -> int:
        """How many places would be served before this one if all could be: an estimate, fair shares kept in mind."""
        own = bisect.bisect_left(self._places[place.tenant], place.order, key=_order)
        mine = held(place.tenant) + own
        return own + sum(
            min(len(places), max(0, int(mine - held(tenant)) + 1))
            for tenant, places in self._places.items()
            if tenant != place.tenant
        )

    def serve(
        self, held: Callable[[str], float], weight: Callable[[str], float], attempt: Callable[[Place[T]], Outcome]
    ) -> int:
        """Offer each place, in fair order, until none can be served. Returns how many were.

        Args:
            held: what a tenant holds now, by its weight; asked again after each that was served.
            weight: of a tenant, positive.
            attempt: serves a place, or says why not. Called at most once for each place between two that were served.
        """
        served = 0
        while self._serve_one(held, weight, attempt):
            served += 1
        return served

    def _serve_one(
        self, held: Callable[[str], float], weight: Callable[[str], float], attempt: Callable[[Place[T]], Outcome]
    ) -> bool:
        tenants = sorted(self._places, key=lambda t: (held(t), self._given[t], self._places[t][0].ticket))
        for tenant in tenants:
            for place in list(self._places[tenant]):
                outcome = attempt(place)
                if outcome is Outcome.SERVED:
                    self._given[tenant] += 1.0 / weight(tenant)
                    self.remove(place)
                    return True
                if outcome is Outcome.TENANT_PASSED:
                    break
        return False
