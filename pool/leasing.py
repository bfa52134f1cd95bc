"""Who gets a session, and where: Acquire from its arrival to its answer. See `core.py` for the lock.

Cases: it could never be given; over a quota that time does not mend; there is room: given at once; it would not wait: refused; it
waits: given in fair order, or refused at its deadline, or given up when its client goes away.
"""

from __future__ import annotations

import hashlib
import logging

from cupool.v1 import pool_pb2

from . import checkpoints, placement, states, tenants
from .config import DEFAULT_TENANT
from .core import Core, Waiting, lease_record
from .leases import Device, Session
from .placement import DeviceView, Wish
from .queue import Outcome, Place, QueueFull
from .refusals import Code, Refused
from .tenants import Tenant

_log = logging.getLogger(__name__)


class Leasing(Core):
    """Core, and what gives leases."""

    # ---- what clients ask

    def acquire(self, request: pool_pb2.AcquireRequest, tenant: str = DEFAULT_TENANT) -> pool_pb2.Lease | Waiting:
        """A session on a warm server, or a place in the queue: call `expire` at its deadline, `cancel` when its client goes away.

        Raises:
            Refused: over quota, no capacity, a device that cannot start, or the pool ends.
        """
        with self.lock:
            mine = self.tenant(tenant)
            now = self.clock()
            try:
                wish = checkpoints.wish_of(request, tenant, self.books, self.directory)
                waiting = Waiting(mine, request, wish, now, now + request.deadline_ms / 1000)
                self._enter(waiting, now)
            except Refused as refused:
                self._count_refusal(mine, refused)
                raise
            return waiting.future.result() if waiting.future.done() else waiting

    def expire(self, waiting: Waiting) -> None:
        """The deadline has come; nothing when it was answered."""
        with self.lock:
            if waiting.place is not None and self.queue.remove(waiting.place):
                self._refuse(waiting, self._no_capacity(waiting))

    def cancel(self, waiting: Waiting) -> None:
        """Its client went away: give up its place, or the session that it got meanwhile."""
        with self.lock:
            if waiting.place is not None and self.queue.remove(waiting.place):
                self._refuse(waiting, Refused(Code.CANCELLED, "The client went away.", word="cancelled"))
                return
            lease = None if waiting.future.exception() else waiting.future.result()
        if lease is not None:
            self.unwanted(lease)

    def unwanted(self, lease: pool_pb2.Lease) -> None:
        """A lease that its client never saw."""
        with self.lock:
            session = self.books.sessions.get(lease.session)
            if session is not None:
                self.end(session, "Its client went away before it was told of its lease.")

    def close(self, reason: str = "The pool is ending.") -> None:
        """No more leases; whoever waits is told."""
        with self.lock:
            self.closing = self.closing or reason
            for place in list(self.queue):
                self.queue.remove(place)
                self._refuse(place.item, self._ending())

    # ---- decisions; with the lock held

    def _enter(self, waiting: Waiting, now: float) -> None:
        """Give the lease at once, or take a place in the queue. Raises Refused."""
        if self.closing:
            raise self._ending()
        if self.directory.failure:
            raise self._not_written()
        mine, request = waiting.tenant, waiting.request
        self._check_possible(waiting)
        tenants.check_possible(mine, request.memory_bytes)
        tenants.check_kernel(mine)
        tenants.take_open(mine, now)
        self._end_unheard(mine, request)
        if not len(self.queue):
            if self._attempt(waiting, self.views(), now, set()) is Outcome.SERVED:
                return
        elif request.deadline_ms == 0 and not self._has_warm():
            raise self._no_capacity(waiting)
        try:
            waiting.place = self.queue.push(mine.name, request.priority, waiting, now, mine.quota.queue_places or 0)
        except QueueFull as full:
            raise self._no_place(waiting, full) from None
        self._retry_failed(now)
        self._serve(now)
        self._fill(now)
        if waiting.future.done():
            return
        try:
            self._check_worth(waiting, now)
        except Refused:
            self.queue.remove(waiting.place)
            raise

    def _end_unheard(self, mine: Tenant, request: pool_pb2.AcquireRequest) -> None:
        """End a lease whose client asks again for it: a controller before this one gave it, and its answer was lost with that one.
        Until it expired it would count against the tenant's quota, which it may fill."""
        if not request.request_id:
            return
        for session in [s for s in self.books.unattached.values() if s.is_adopted and s.tenant is mine]:
            if (session.request_id, session.client_pid) == (request.request_id[:64], request.client_pid):
                self.end(session, "Its client did not hear of it, and asked again.")

    def _check_worth(self, waiting: Waiting, now: float) -> None:
        """Whether waiting is of use. Raises Refused."""
        self._check_failed(waiting.wish)
        if waiting.request.deadline_ms == 0:
            raise self._no_capacity(waiting)
        assert waiting.place is not None
        expected_s = self._freed.wait_s(self.queue.ahead(waiting.place, self.held) + 1, now)
        if expected_s is not None and expected_s > 2 * waiting.request.deadline_ms / 1000:
            refused = self._no_capacity(waiting)
            refused.word = "queue"
            raise refused

    def _has_warm(self) -> bool:
        return any(d.warm for d in self.books.devices.values())

    def _serve(self, now: float) -> None:
        """Give what is free to those who wait, in fair order."""
        if not len(self.queue) or not self._has_warm():
            return
        kept: set[str] = set()
        state = {"views": self.views()}
        failed: list[Wish] = []

        def attempt(place: Place[Waiting]) -> Outcome:
            waiting = place.item
            if any(f.kind == waiting.wish.kind and 0 < f.memory_bytes <= waiting.wish.memory_bytes for f in failed):
                return Outcome.PASSED
            outcome = self._attempt(waiting, state["views"], now, kept)
            if outcome is Outcome.SERVED:
                state["views"] = self.views()
                failed.clear()
                kept.clear()
            elif outcome is Outcome.PASSED:
                failed.append(waiting.wish)
                if not kept and now - place.entered_s > placement.HOLD_S:
                    kept.add(placement.keep_for(state["views"], waiting.wish))
            return outcome

        self.queue.serve(self.held, self.weight, attempt)

    def _attempt(self, waiting: Waiting, views: list[DeviceView], now: float, kept: set[str]) -> Outcome:
        mine = waiting.tenant
        if tenants.over_quota(mine, 0) is not None:
            return Outcome.TENANT_PASSED
        view = placement.choose(views, waiting.wish, kept)
        if view is None:
            return Outcome.PASSED
        memory = placement.wanted_bytes(view, waiting.wish)
        if tenants.over_quota(mine, memory) is not None:
            return Outcome.PASSED
        return self._give(waiting, self.books.devices[view.id], memory, now)

    def _give(self, waiting: Waiting, device: Device, memory: int, now: float) -> Outcome:
        request, mine = waiting.request, waiting.tenant
        server = next(iter(device.warm.values()))
        token = self.ids(32)
        session = Session(
            id=f"session-{self.ids(8)}",
            tenant=mine,
            token_sha256=hashlib.sha256(token.encode()).digest(),
            server=server,
            function=request.function,
            memory_bytes=memory,
            given_at=now,
            expires_at=now + self.config.lease_s,
            priority=request.priority,
            lifetime_s=min((s for s in (request.lifetime_s, mine.quota.lifetime_s) if s), default=0),
            request_id=request.request_id[:64],
            client_pid=request.client_pid,
            client_host=request.host_id,
            incoming=checkpoints.incoming_of(request),
        )
        # Before anybody knows of it: a controller that starts again must count it, and find it.
        self.directory.add_lease(lease_record(session, self.wall()))
        if self.directory.failure:
            self.directory.remove_lease(session.id)
            return Outcome.PASSED
        try:
            self._assign(session, server)
        except LookupError as error:
            self.directory.remove_lease(session.id)
            # Its engine has not told us yet that it is gone.
            device.node.is_connected, device.node.reason = False, str(error)
            return Outcome.PASSED
        self.books.set_server(server, states.LEASED)
        self.books.add_session(session)
        mine.leases_given += 1
        device.failures, device.failure = 0, ""
        self.meter.given(self.clock() - waiting.arrived_at)
        where = f"On {server.id}, {device.key}."
        self.events.emit("session-leased", session.id, where, mine.name, session.request_id)
        waiting.future.set_result(self._lease(session, token))
        return Outcome.SERVED

    # ---- refusals; with the lock held

    def _refuse(self, waiting: Waiting, refused: Refused) -> None:
        self._count_refusal(waiting.tenant, refused)
        waiting.future.set_exception(refused)

    def _count_refusal(self, mine: Tenant, refused: Refused) -> None:
        mine.leases_refused += 1
        self.meter.refused(refused.word)

    def _ending(self) -> Refused:
        return Refused(Code.UNAVAILABLE, self.closing, "Start it again.", word="ending")

    def _check_possible(self, waiting: Waiting) -> None:
        devices, wish = self.books.devices.values(), waiting.wish
        kinds = sorted({d.kind for d in devices})
        if wish.kind and kinds and wish.kind not in kinds:
            raise Refused(
                Code.FAILED_PRECONDITION,
                f"This pool has no {wish.kind!r} device, only {', '.join(kinds)}.",
                "Unset CUPOOL_DEVICE, or ask another pool.",
                word="impossible",
            )
        memories = [d.total_bytes for d in devices if not wish.kind or d.kind == wish.kind]
        if wish.memory_bytes and memories and all(0 < m < wish.memory_bytes for m in memories):
            raise Refused(
                Code.FAILED_PRECONDITION,
                f"No device of this pool has {wish.memory_bytes:,} bytes; the largest has {max(memories):,}.",
                "Ask for less: CUPOOL_MEMORY.",
                word="impossible",
            )

    def _check_failed(self, wish: Wish) -> None:
        """With nothing coming and every device that could serve failed, waiting is of no use. Raises Refused."""
        able = [
            d for d in self.books.devices.values() if d.node.is_connected and (not wish.kind or d.kind == wish.kind)
        ]
        if able and all(d.failure and not d.warm and not d.servers[states.STARTING] and not d.holding for d in able):
            raise Refused(Code.UNAVAILABLE, able[0].failure, word="unavailable")

    def _not_written(self) -> Refused:
        return Refused(
            Code.UNAVAILABLE,
            f"The pool gives no leases now: {self.directory.failure}",
            "Ask the pool's operator; sessions that run go on.",
            word="unavailable",
        )

    def _no_capacity(self, waiting: Waiting) -> Refused:
        if self.directory.failure:
            return self._not_written()
        memory = waiting.wish.memory_bytes
        over = tenants.over_quota(waiting.tenant, memory)
        deadline_s = waiting.request.deadline_ms / 1000
        if over is not None:
            if not deadline_s:
                return over
            return Refused(Code.DEADLINE_EXCEEDED, f"{over} It waited {deadline_s:g} s.", word=over.word)
        devices = [d for d in self.books.devices.values() if d.node.is_connected]
        if not devices:
            text = "No host of this pool is connected now."
        elif all(d.cordoned is not None or d.measured.cordoned for d in devices):
            text = f"No device of this pool takes new sessions: all {len(devices)} are cordoned."
        else:
            taken, most = sum(d.holding for d in devices), sum(d.max_sessions for d in devices)
            text = f"The pool has no free device: {taken} of {most} are taken."
            starting = sum(len(d.servers[states.STARTING]) for d in devices)
            if taken < most and starting:
                text = f"The pool has no warm server yet: {starting} are starting, {taken} of {most} places are taken."
        now = self.clock()
        if deadline_s and now >= waiting.deadline_at:
            return Refused(
                Code.DEADLINE_EXCEEDED,
                f"{text} Nothing became free in {deadline_s:g} s.",
                "Try again later, wait longer (CUPOOL_DEADLINE_S), or add devices to the pool.",
                word="deadline",
            )
        return Refused(
            Code.RESOURCE_EXHAUSTED if devices else Code.UNAVAILABLE,
            text,
            "Try again later, or wait in line: CUPOOL_DEADLINE_S.",
            word="capacity" if devices else "unavailable",
            retry_ms=self._freed.retry_ms(len(self.queue) + 1, now),
        )

    def _no_place(self, waiting: Waiting, full: QueueFull) -> Refused:
        if waiting.request.deadline_ms == 0:
            return self._no_capacity(waiting)
        whose = f"of the tenant {waiting.tenant.name!r} " if full.of_tenant else ""
        return Refused(
            Code.RESOURCE_EXHAUSTED,
            f"The pool has no free device, and all {full.limit} places {whose}in its queue are taken.",
            "Try again later.",
            word="queue",
            retry_ms=self._freed.retry_ms(len(self.queue) + 1, self.clock()),
        )
