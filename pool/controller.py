"""The controller, whole: who gets a session, where, and what became of each.

It decides over its books (`leases.py`) and tells the engine; one lock, no I/O under it, nothing waits. Callers are the services
(`acquire`, `release`, ...), the engine (see `following.py`) and a clock (`tick`, four times a second). What operators ask is in
`operations.py`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass

from cupool.v1 import pool_pb2

from . import plan, states
from .config import DEFAULT_TENANT
from .core import Waiting
from .directory import Cordon, EndRecord
from .following import Following
from .leases import Session
from .refusals import Code, Refused

_log = logging.getLogger(__name__)

#: How long a server may take to give a session back until it is told to end.
RETURN_S = 10.0
#: How long the end of a session may take to be told after its node came back without it.
MISSING_S = 2.0
#: Sessions of a node that was away for so long are lost.
NODE_LOST_S = 600.0
#: A node that tells numbers four times a second and has told nothing for so long may be out of reach: a broken connection shows only
#: after 13 s, and leases on its servers would reach nobody until then.
SILENT_S = 3.0
#: A warm server beyond the reserve ends when it has been warm for so long.
SPARE_S = 30.0
#: How often the counts of tenants are written down.
KEEP_S = 5.0
#: How much longer than its server the controller waits until it ends a session that is parked or old.
SLACK_S = 5.0


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the pool did so far, and holds now."""

    nodes: int
    servers: int
    warm: int
    sessions: int
    queued: int
    leases_given: int
    sessions_lost: int


class Controller(Following):
    """The pool's decisions."""

    # ---- what clients ask of sessions that there are

    def open(self) -> None:
        """Begin: nodes may come."""
        self.begin_moves()
        self.engine.open(self)

    def renew(self, session_id: str, token: str, tenant: str = DEFAULT_TENANT) -> pool_pb2.Lease:
        """The lease again. Raises Refused when the session is over or the token is another's."""
        with self.lock:
            session = self._session_of(session_id, token, tenant)
            if session.is_over or session.state == states.SESSION_ENDING:
                raise Refused(Code.NOT_FOUND, f"The session is over. {session.reason}".strip(), "Acquire a new one.")
            self.books.renew(session, self.clock() + self.config.lease_s)
            return self._lease(session, "")

    def release(self, session_id: str, token: str, reason: str, tenant: str = DEFAULT_TENANT) -> None:
        """End a session. One that is unknown or over is no error."""
        with self.lock:
            if session_id in self.books.sessions:
                self.end(self._session_of(session_id, token, tenant), reason or "Released by its client.")

    def sessions(self, tenant: str = "") -> list[pool_pb2.SessionStatus]:
        """Every session that is not over, of a tenant or of all."""
        with self.lock:
            return [self.status(s) for s in self.books.sessions.values() if not tenant or s.tenant.name == tenant]

    def watch(
        self,
        session_id: str,
        token: str,
        tell: Callable[[pool_pb2.SessionStatus], object],
        tenant: str = DEFAULT_TENANT,
    ) -> tuple[pool_pb2.SessionStatus, Callable[[], None]]:
        """The session's state now, and what ends the watch; `tell` is called at each change, from any thread, and does not wait.

        Raises:
            Refused: no such session, or the token is another's.
        """
        with self.lock:
            if self.books.find(session_id) is None:
                return self._ended_status(session_id, token, tenant), lambda: None
            session = self._session_of(session_id, token, tenant)
            if not session.is_over:
                session.watchers.append(tell)

            def stop() -> None:
                with self.lock:
                    if tell in session.watchers:
                        session.watchers.remove(tell)

            return self.own_status(session), stop

    def requires_cert(self, tenant: str) -> bool:
        """Whether a tenant must show a client certificate. Takes no lock."""
        known = self.books.tenants.get(tenant)
        return (self.config.quota if known is None else known.quota).require_cert

    def statistics(self) -> Statistics:
        with self.lock:
            return Statistics(
                nodes=sum(n.is_connected for n in self.books.nodes.values()),
                servers=len(self.books.servers),
                warm=sum(len(d.warm) for d in self.books.devices.values()),
                sessions=len(self.books.sessions),
                queued=len(self.queue),
                leases_given=sum(t.leases_given for t in self.books.tenants.values()),
                sessions_lost=self.sessions_lost,
            )

    # ---- what time brings

    def tick(self) -> None:
        """Leases, drains and waits that are over; servers that are lacking. Call about four times a second."""
        with self.lock:
            now = self.clock()
            for node in self.books.nodes.values():
                node.is_silent = node.tells_numbers and now - node.seen_at > SILENT_S
            for place in [p for p in self.queue if p.item.deadline_at <= now]:
                self.queue.remove(place)
                self._refuse(place.item, self._no_capacity(place.item))
            while self.books.unattached:
                session = next(iter(self.books.unattached.values()))
                if session.expires_at > now:
                    break
                if not session.device.node.is_connected or session.device.node.is_silent:
                    # A client may have come: its host cannot tell.
                    self.books.renew(session, now + self.config.lease_s)
                    continue
                session.replayable = True
                self.end(session, f"Nobody attached to it within {self.config.lease_s} s.")
            for session in list(self.books.sessions.values()):
                self._check_age(session, now)
            for server in [s for s in self.books.servers.values() if s.returns_since > float("-inf")]:
                if now - server.returns_since > RETURN_S:
                    self._order_end(server, "It did not give its session back in time.")
            if self._awaited and now - self.started_at > NODE_LOST_S:  # their hosts never came
                for session_id in list(self._awaited):
                    self._unclaimed.setdefault(session_id, self.started_at)
            self._check_moves(now, MISSING_S)
            # What was moving may be at its other server, whose host has longer to come.
            patience = {s: NODE_LOST_S if s in self.moves else MISSING_S for s in self._unclaimed}
            for lost in [s for s, since in self._unclaimed.items() if now - since > patience[s]]:
                del self._unclaimed[lost]
                if lost in self.moves and self.moves[lost].session is None:
                    self._forget_move(self.moves[lost])
                self._unclaimed_end(lost)
            for cordon in [c for c in self.cordons.values() if c.is_draining]:
                self._drain(cordon, now)
            self._serve(now)
            self._fill(now)
            self._trim(now)
            if now - self._kept_at > KEEP_S:
                self._kept_at = now
                for mine in self.books.tenants.values():
                    if self._counts.get(mine.name) != (counts := (mine.leases_given, mine.leases_refused)):
                        self._counts[mine.name] = counts
                        self.keep_tenant(mine)

    def _trim(self, now: float) -> None:
        """End warm servers that a burst left behind, one on each device at a time."""
        supplies = [d.supply(now) for d in self.books.devices.values() if d.node.is_connected]
        for key in plan.surplus(supplies, warm=self.config.warm):
            oldest = next(iter(self.books.devices[key].warm.values()))
            if not self.config.embedded and now - oldest.warm_since > SPARE_S:
                self.books.set_server(oldest, states.ENDING)
                self._order_end(oldest, "The pool has more warm servers than it keeps.")

    def _drain(self, cordon: Cordon, now: float) -> None:
        """A device that is being emptied: it is empty, or its sessions' time is over, or they are moved away."""
        device = self.books.devices.get(cordon.device)
        if device is None:
            return  # its node is away
        sessions = list(self.books.on_device(device))
        if sessions and cordon.deadline and self.wall() >= cordon.deadline:
            for session in sessions:
                self.end(session, f"Its device is drained: {cordon.reason}. Start the program again for a new session.")
        elif sessions or any(
            s.session is not None and s.id in self._sides for s in device.servers[states.LEASED].values()
        ):
            self._move_away(device, cordon.reason, now)
        else:
            device.is_draining = False
            self.cordons[device.key] = done = dataclasses.replace(cordon, is_draining=False)
            self.directory.set_cordon(done)
            self.events.emit("device-drained", device.key, "No session is left on it.")

    def _unclaimed_end(self, session_id: str) -> None:
        """A lease of a controller before this one, of which no server knows and whose end nobody told."""
        lease = self.directory.lease(session_id)
        self._told_of(session_id)
        self._end_strays(session_id)
        if lease is None or session_id in self.books.sessions:
            return
        self.sessions_lost += 1
        self.directory.add_end(
            EndRecord(
                session=session_id,
                tenant=lease.tenant,
                node=lease.node,
                device=lease.device,
                function=lease.function,
                token_sha256=lease.token_sha256,
                reason="The pool was started again before its server had the session. Acquire a new one.",
                lost=True,
                replayable=True,
                kernel_s=0.0,
                peak_bytes=0,
                ended=self.wall(),
            )
        )

    def _check_age(self, session: Session, now: float) -> None:
        """What the session's server and node should have done, where they did not."""
        quota = session.tenant.quota
        grace_s = (quota.park_grace_ms or self.config.park_grace_ms) / 1000
        node = session.device.node
        if session.missing_since and session.id not in self.moves and now - session.missing_since > MISSING_S:
            self._lose(session, "Its host came back without it: its server is gone.", now)
        elif not node.is_connected and now - node.seen_at > NODE_LOST_S:
            self._lose(session, f"Its host could not be reached for {NODE_LOST_S:g} s.", now)
        elif session.parked_since and session.id not in self.moves and now - session.parked_since > grace_s + SLACK_S:
            self.end(session, f"No client for {grace_s:g} s.")
        elif session.lifetime_s and now - session.given_at > session.lifetime_s + SLACK_S:
            self.end(session, f"Its lifetime of {session.lifetime_s} s is over.")

    # ---- with the lock held

    def _session_of(self, session_id: str, token: str, tenant: str) -> Session:
        session = self.books.find(session_id)
        if session is None or session.tenant.name != tenant or not _is_token(token, session.token_sha256):
            raise _no_session(session_id)
        return session

    def _ended_status(self, session_id: str, token: str, tenant: str) -> pool_pb2.SessionStatus:
        """Of a session that only the directory remembers. Raises Refused."""
        end = self.directory.end(session_id)
        if end is None or end.tenant != tenant or not _is_token(token, end.token_sha256):
            raise _no_session(session_id)
        return pool_pb2.SessionStatus(
            session=session_id,
            state=states.SESSION_LOST if end.lost else states.SESSION_ENDED,
            device=end.device,
            reason=end.reason,
            function=end.function,
            tenant=end.tenant,
            node=end.node,
            kernel_s=end.kernel_s,
            peak_bytes=end.peak_bytes,
            replayable=end.replayable,
        )


def _is_token(token: str, sha256: bytes) -> bool:
    return hmac.compare_digest(hashlib.sha256(token.encode()).digest(), sha256)


def _no_session(session_id: str) -> Refused:
    return Refused(Code.NOT_FOUND, f"There is no session {session_id!r} with this token.", "Acquire a new one.")


__all__ = ["Controller", "Statistics", "Waiting"]
