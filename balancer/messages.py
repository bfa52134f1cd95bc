"""Snapshots and decisions from and to their wire messages (`admin.proto`).

What is wrong on the wire becomes ValueError, never a wrong value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from cupool.v1 import admin_pb2

from .policy import Decision
from .snapshot import Device, Session, Snapshot, Waiting


def snapshot_of(message: admin_pb2.Snapshot) -> Snapshot:
    """A snapshot from its message.

    Raises:
        ValueError: a number that is none, or an id twice.
    """
    devices = tuple(
        Device(
            id=d.device,
            kind=d.kind,
            fingerprint=d.fingerprint,
            memory_bytes=d.memory_bytes,
            promised_bytes=d.promised_bytes,
            utilisation=_share(d.utilisation),
            sessions=d.sessions,
            max_sessions=d.max_sessions,
            warm=d.warm,
            cordoned=d.cordoned,
            draining=d.draining,
            failed=d.failed,
            is_connected=d.is_connected,
            power_w=_number(d.power_w),
            power_limit_w=_number(d.power_limit_w),
            link_bytes_a_s=_number(d.link_bytes_a_s),
            node=d.node,
        )
        for d in message.devices
    )
    sessions = tuple(
        Session(
            id=s.session,
            device=s.device,
            tenant=s.tenant,
            priority=s.priority,
            memory_bytes=s.memory_bytes,
            used_bytes=s.used_bytes,
            utilisation=_share(s.utilisation),
            dirty_bytes_a_s=_number(s.dirty_bytes_a_s),
            age_s=_number(s.age_s),
            last_move_s=s.last_move_s,
            moves=s.moves,
            moving=s.moving,
            attached=s.attached,
            fixed=s.fixed,
            destination=s.destination,
        )
        for s in message.sessions
    )
    for what, ids in (("device", [d.id for d in devices]), ("session", [s.id for s in sessions])):
        if len(set(ids)) != len(ids):
            raise ValueError(f"a snapshot with one {what} twice")
    waiting = tuple(
        Waiting(
            tenant=w.tenant,
            memory_bytes=w.memory_bytes,
            kind=w.kind,
            waited_s=_number(w.waited_s),
            priority=w.priority,
        )
        for w in message.waiting
    )
    return Snapshot(_number(message.at_s), devices, sessions, waiting, message.policy, message.dry_run)


def snapshot_message(snapshot: Snapshot) -> admin_pb2.Snapshot:
    """The message of a snapshot."""
    return admin_pb2.Snapshot(
        at_s=snapshot.at_s,
        devices=[
            admin_pb2.SnapshotDevice(
                device=d.id,
                kind=d.kind,
                fingerprint=d.fingerprint,
                memory_bytes=d.memory_bytes,
                promised_bytes=d.promised_bytes,
                utilisation=d.utilisation,
                sessions=d.sessions,
                max_sessions=d.max_sessions,
                warm=d.warm,
                cordoned=d.cordoned,
                draining=d.draining,
                failed=d.failed,
                is_connected=d.is_connected,
                power_w=d.power_w,
                power_limit_w=d.power_limit_w,
                link_bytes_a_s=d.link_bytes_a_s,
                node=d.node,
            )
            for d in snapshot.devices
        ],
        sessions=[
            admin_pb2.SnapshotSession(
                session=s.id,
                device=s.device,
                tenant=s.tenant,
                priority=s.priority,
                memory_bytes=s.memory_bytes,
                used_bytes=s.used_bytes,
                utilisation=s.utilisation,
                dirty_bytes_a_s=s.dirty_bytes_a_s,
                age_s=s.age_s,
                last_move_s=s.last_move_s,
                moves=s.moves,
                moving=s.moving,
                attached=s.attached,
                fixed=s.fixed,
                destination=s.destination,
            )
            for s in snapshot.sessions
        ],
        waiting=[
            admin_pb2.SnapshotWaiting(
                tenant=w.tenant,
                memory_bytes=w.memory_bytes,
                kind=w.kind,
                waited_s=w.waited_s,
                priority=w.priority,
            )
            for w in snapshot.waiting
        ],
        policy=snapshot.policy,
        dry_run=snapshot.dry_run,
    )


def decision_message(
    decision: Decision, took_ms: float = 0.0, sessions: Mapping[str, str] | None = None
) -> admin_pb2.BalanceDecision:
    """The message of a decision.

    Args:
        sessions: why each of some sessions stays or goes.
    """
    return admin_pb2.BalanceDecision(
        at_s=decision.at_s,
        policy=decision.policy,
        dry_run=decision.dry_run,
        moves=[
            admin_pb2.BalanceMove(
                session=m.session,
                source=m.source,
                destination=m.destination,
                reason=m.reason,
                gain_s=m.gain_s,
                cost_s=m.cost_s,
            )
            for m in decision.moves
        ],
        reasons=decision.reasons,
        took_ms=took_ms,
        sessions=[admin_pb2.SessionReason(session=s, reason=r) for s, r in (sessions or {}).items()],
    )


def _number(value: float) -> float:
    if not math.isfinite(value) or value < 0.0:
        raise ValueError(f"a snapshot with the number {value}")
    return value


def _share(value: float) -> float:
    """A utilisation. A little above 1 is a clock's jitter, and counts as 1."""
    return min(1.0, _number(value))
