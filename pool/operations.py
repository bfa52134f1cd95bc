"""What operators see and do: the pool's books as messages, cordons, drains, quotas, tokens. Takes the controller's lock; nothing waits.

Ids may be given as unique prefixes. What changes something is told to the audit log, with who did it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from cupool import __version__
from cupool.v1 import admin_pb2, pool_pb2, server_pb2

from . import states
from .balancing import Balancing
from .config import Quota
from .controller import Controller
from .directory import Cordon
from .leases import Device, Node, Server
from .refusals import Code, Refused
from .security import tokens
from .tenants import Tenant

#: Names of SetQuotaRequest's fields that are a Quota's, in their order.
QUOTA_FIELDS = tuple(f.name for f in dataclasses.fields(Quota))
#: (who, what was done, to what, why)
Audit = Callable[[str, str, str, str], None]


def by_prefix(prefix: str, ids: Iterable[str], what: str) -> str:
    """The one id that begins with `prefix`.

    Raises:
        Refused: NOT_FOUND: there is none; INVALID_ARGUMENT: there are more, or it is empty.
    """
    if not prefix:
        raise Refused(Code.INVALID_ARGUMENT, f"No {what} was named.", "Name one, or the beginning of its id.")
    found = [i for i in ids if i.startswith(prefix)]
    if prefix in found:
        return prefix
    if not found:
        raise Refused(Code.NOT_FOUND, f"There is no {what} {prefix!r}.", f"Look at the list of {what}s.")
    if len(found) > 1:
        some = ", ".join(sorted(found)[:4]) + (", ..." if len(found) > 4 else "")
        raise Refused(
            Code.INVALID_ARGUMENT, f"{prefix!r} begins {len(found)} {what}s: {some}.", "Write more of the id."
        )
    return found[0]


class Operations:
    """The operator's side of a controller."""

    def __init__(self, controller: Controller, audit: Audit, warnings: Iterable[str] = ()) -> None:
        self._controller = controller
        self._audit = audit
        self.warnings = list(warnings)
        self.balancing = Balancing(controller, audit)

    # ---- seeing

    def pool(self) -> admin_pb2.PoolStatus:
        c = self._controller
        with c.lock:
            books, now = c.books, c.clock()
            oldest = c.queue.oldest_s()
            status = admin_pb2.PoolStatus(
                version=__version__,
                pool=c.directory.pool,
                uptime_s=now - c.started_at,
                nodes=len(books.nodes),
                devices=len(books.devices),
                cordoned=sum(d.cordoned is not None or d.measured.cordoned for d in books.devices.values()),
                servers=len(books.servers),
                warm=sum(len(d.warm) for d in books.devices.values() if d.node.is_connected),
                sessions=len(books.sessions),
                parked=sum(s.state == states.SESSION_PARKED for s in books.sessions.values()),
                queued=len(c.queue),
                sessions_lost=c.sessions_lost,
                reclaimed_bytes=c.reclaimed_bytes,
                insecure=c.config.insecure,
                draining=bool(c.closing),
                queue_oldest_s=now - oldest if oldest is not None else 0.0,
                restarts=c.directory.restarts,
                warnings=self.warnings,
                moving=len(c.moves),
            )
            c.move_meter.fill(status)
            failures = [f"{d.key}: {d.failure}" for d in books.devices.values() if d.failure]
            away = [f"{n.id}: {n.reason}" for n in books.nodes.values() if not n.is_connected]
            directory = [c.directory.failure] if c.directory.failure else []
            nobody = [_NO_HOST] if not books.nodes else []
            closed = _closed_to_all(list(books.devices.values()))
            status.warnings.extend([*directory, *nobody, *closed, *failures, *away])
        c.meter.fill(status)
        return status

    def nodes(self) -> list[admin_pb2.NodeStatus]:
        c = self._controller
        with c.lock:
            return [self._node(n) for n in c.books.nodes.values()]

    def _node(self, node: Node) -> admin_pb2.NodeStatus:
        c = self._controller
        devices = list(node.devices.values())
        return admin_pb2.NodeStatus(
            node=node.id,
            host=node.host,
            version=node.version,
            connected=node.is_connected,
            seen_s=max(0.0, c.clock() - node.seen_at),
            devices=[c.device_name(d) for d in devices],
            servers=sum(len(by) for d in devices for by in d.servers.values()),
            sessions=sum(1 for s in c.books.sessions.values() if s.device.node is node),
            cpu_load=node.use.cpu_load,
            checkpoint_bytes=node.use.checkpoint_bytes,
            checkpoint_limit_bytes=node.use.checkpoint_limit_bytes,
            checkpoints_waiting=node.use.checkpoints_waiting,
            memory_bytes=node.use.memory_bytes,
            memory_free_bytes=node.use.memory_free_bytes,
            reason=node.reason,
        )

    def devices(self) -> list[admin_pb2.DeviceStatus]:
        c = self._controller
        with c.lock:
            return [self._device(d) for d in c.books.devices.values()]

    def _device(self, device: Device) -> admin_pb2.DeviceStatus:
        """What the node measured, and what the books know."""
        sessions = list(self._controller.books.on_device(device))
        status = admin_pb2.DeviceStatus()
        status.CopyFrom(device.measured)
        status.device, status.node, status.kind = self._controller.device_name(device), device.node.id, device.kind
        status.name, status.uuid, status.total_bytes = device.label, device.uuid, device.total_bytes
        status.leased_bytes = sum(s.memory_bytes for s in sessions)
        status.used_bytes = sum(s.usage.used_bytes for s in sessions)
        status.sessions, status.warm = len(sessions), len(device.warm)
        # Cordoned by an operator, or by its node, which found it broken.
        status.cordoned, status.draining = device.cordoned is not None or device.measured.cordoned, device.is_draining
        status.reason = device.cordoned or device.measured.reason or device.failure
        return status

    def servers(self) -> list[server_pb2.ServerStatus]:
        c = self._controller
        with c.lock:
            return [self._server(s) for s in c.books.servers.values()]

    def _server(self, server: Server) -> server_pb2.ServerStatus:
        session, device = server.session, server.device
        usage = session.usage if session is not None else server_pb2.SessionUsage()
        status = server_pb2.ServerStatus(
            server=server.id,
            state=server.state,  # type: ignore[arg-type]
            session=session.id if session is not None else "",
            used_bytes=usage.used_bytes,
            peak_bytes=usage.peak_bytes,
            handles=usage.handles,
            executed_commands=usage.executed_commands,
            failed_commands=usage.failed_commands,
            kernel_s=usage.kernel_s,
            idle_s=usage.idle_s,
            attached=session is not None and session.state == states.SESSION_ATTACHED,
            running_op=usage.running_op,
            pid=server.pid,
            device_id=self._controller.device_name(device),
            node=device.node.id,
        )
        status.device.kind, status.device.name = device.kind, device.label
        status.device.total_bytes, status.device.fingerprint = device.total_bytes, server.fingerprint
        return status

    def tenants(self) -> list[admin_pb2.TenantStatus]:
        c = self._controller
        with c.lock:
            return [self._tenant(t) for t in c.books.tenants.values()]

    def _tenant(self, tenant: Tenant) -> admin_pb2.TenantStatus:
        quota = {name: getattr(tenant.quota, name) for name in QUOTA_FIELDS}
        return admin_pb2.TenantStatus(
            tenant=tenant.name,
            quota=admin_pb2.SetQuotaRequest(tenant=tenant.name, **quota),
            sessions=tenant.sessions,
            memory_bytes=tenant.leased_bytes,
            used_bytes=tenant.used_bytes,
            kernel_s=tenant.kernel_s,
            queued=self._controller.queue.of(tenant.name),
            leases_given=tenant.leases_given,
            leases_refused=tenant.leases_refused,
        )

    def sessions(self, tenant: str) -> list[pool_pb2.SessionStatus]:
        """Raises Refused: there is no such tenant."""
        if tenant:
            with self._controller.lock:
                tenant = by_prefix(tenant, self._controller.books.tenants, "tenant")
        return self._controller.sessions(tenant)

    # ---- doing

    def kill(self, who: str, prefix: str, reason: str) -> str:
        """End a session now; returns its id."""
        c = self._controller
        with c.lock:
            session = c.books.sessions[by_prefix(prefix, c.books.sessions, "session")]
            text = f"Ended by an operator{': ' + reason if reason else ''}. Start the program again for a new session."
            c.end(session, text)
            if not session.device.node.is_connected and not session.is_over:
                c.lose(session, text)  # nobody is there who could say that it is over
        self._audit(who, "session-killed", session.id, reason)
        return session.id

    def find_device(self, prefix: str) -> Device:
        """With the controller's lock held. Raises Refused."""
        books = self._controller.books
        exact = [d for d in books.devices.values() if prefix in (d.key, d.name)]
        found = exact or [
            d for d in books.devices.values() if prefix and prefix in (d.key[: len(prefix)], d.name[: len(prefix)])
        ]
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            some = ", ".join(sorted(d.key for d in found)[:4])
            raise Refused(Code.INVALID_ARGUMENT, f"{prefix!r} may be several devices: {some}.", "Write more of the id.")
        return books.devices[by_prefix(prefix, books.devices, "device")]

    def cordon(self, who: str, prefix: str, reason: str) -> str:
        with self._controller.lock:
            device = self.find_device(prefix)
            self._cordon(device, f"{reason or 'no reason given'} ({who})", device.is_draining)
            name = self._controller.device_name(device)
        self._audit(who, "device-cordoned", device.key, reason)
        return name

    def _cordon(self, device: Device, reason: str, is_draining: bool, deadline: float = 0.0) -> None:
        c = self._controller
        cordon = Cordon(device.key, reason, c.wall(), is_draining, deadline)
        device.cordoned, device.is_draining = reason, is_draining
        c.cordons[device.key] = cordon
        c.directory.set_cordon(cordon)
        c.events.emit("device-cordoned", device.key, reason)

    def uncordon(self, who: str, prefix: str) -> str:
        c = self._controller
        with c.lock:
            device = self.find_device(prefix)
            device.cordoned, device.is_draining = None, False
            c.cordons.pop(device.key, None)
            c.directory.remove_cordon(device.key)
            c.events.emit("device-uncordoned", device.key, "It takes sessions again.")
            name = c.device_name(device)
        self._audit(who, "device-uncordoned", device.key, "")
        c.tick()
        return name

    def drain(self, who: str, prefix: str, reason: str, deadline_ms: int) -> str:
        """Cordon a device and empty it: its sessions are moved away, or waited for where they cannot be. The pool goes on by itself.

        Returns:
            The device's key.
        """
        if not reason.strip():
            raise Refused(Code.INVALID_ARGUMENT, "A drain needs a reason.", "Say why: people will ask.")
        with self._controller.lock:
            device = self.find_device(prefix)
            deadline = self._controller.wall() + deadline_ms / 1000 if deadline_ms else 0.0
            device.moved_away.clear()
            self._cordon(device, f"{reason} ({who})", True, deadline)
        self._audit(who, "device-draining", device.key, reason)
        self._controller.tick()
        return device.key

    def set_quota(self, who: str, request: admin_pb2.SetQuotaRequest) -> admin_pb2.TenantStatus:
        c = self._controller
        unknown = sorted(set(request.fields) - set(QUOTA_FIELDS))
        if unknown:
            raise Refused(
                Code.INVALID_ARGUMENT, f"A quota has no {unknown[0]!r}.", f"Fields are: {', '.join(QUOTA_FIELDS)}."
            )
        name = _tenant_name(request.tenant)
        fields = {f: getattr(request, f) for f in (request.fields or QUOTA_FIELDS)}
        wrong = next((f for f, v in fields.items() if isinstance(v, float) and not 0 <= v < float("inf")), "")
        if wrong:
            raise Refused(
                Code.INVALID_ARGUMENT, f"{wrong} is {fields[wrong]}.", "Write 0 for no limit, or a positive number."
            )
        if fields.get("require_cert") and not (c.config.cert_listen or c.config.tls_client_auth):
            raise Refused(
                Code.FAILED_PRECONDITION,
                "This pool asks nobody for a client certificate, so this tenant could not come any more.",
                "Start it with --cert-listen HOST:PORT (and --tls-cert, --tls-key, --tls-ca) first.",
            )
        if "weight" in fields:
            fields["weight"] = fields["weight"] or 1.0
        with c.lock:
            tenant = c.tenant(name)
            tenant.quota = dataclasses.replace(tenant.quota, **fields)
            c.keep_tenant(tenant)
            status = self._tenant(tenant)
        self._audit(who, "quota-set", name, ", ".join(f"{k}={v}" for k, v in fields.items()))
        c.tick()
        return status

    # ---- tokens

    def create_token(self, who: str, request: admin_pb2.CreateTokenRequest) -> tuple[str, admin_pb2.TokenStatus]:
        try:
            token, record = tokens.create(request.role, request.tenant, request.valid_s, request.note)
        except ValueError as error:
            raise Refused(Code.INVALID_ARGUMENT, str(error)) from None
        c = self._controller
        with c.lock:
            if c.directory.failure:
                raise Refused(Code.UNAVAILABLE, f"The token cannot be kept: {c.directory.failure}", word="unavailable")
            if record.tenant and record.tenant not in c.books.tenants:
                c.keep_tenant(c.tenant(record.tenant))
            c.directory.set_token(record)
        self._audit(who, "token-created", record.id, f"role={record.role} tenant={record.tenant}")
        return token, _token_status(record)

    def tokens(self) -> list[admin_pb2.TokenStatus]:
        with self._controller.lock:
            return [_token_status(r) for r in self._controller.directory.tokens()]

    def revoke_token(self, who: str, prefix: str, reason: str) -> str:
        c = self._controller
        with c.lock:
            record = c.directory.token(by_prefix(prefix, [r.id for r in c.directory.tokens()], "token"))
            assert record is not None
            c.directory.set_token(tokens.revoke(record, reason))
        self._audit(who, "token-revoked", record.id, reason)
        return record.id

    # ---- the end

    def begin_shutdown(self, who: str, reason: str) -> None:
        """No new leases from now on."""
        self._audit(who, "shutdown", self._controller.directory.pool, reason)
        self._controller.close(f"The pool is ending{': ' + reason if reason else ''}.")

    def living(self) -> int:
        with self._controller.lock:
            return len(self._controller.books.sessions)

    def end_sessions(self, reason: str) -> int:
        """End all that live; returns how many."""
        c = self._controller
        with c.lock:
            sessions = list(c.books.sessions.values())
            for session in sessions:
                c.end(session, reason)
        return len(sessions)


#: A warning: of a host whose agent has never come the controller knows nothing.
_NO_HOST = (
    "No host has connected to this pool yet. Its agent's own log (`logs/` in its folder) says what keeps it away."
)


def _closed_to_all(devices: list[Device]) -> list[str]:
    """A warning where no device takes a session, and somebody's cordon is among the reasons. The other reasons are warnings themselves."""
    cordoned = [d for d in devices if d.cordoned is not None or d.measured.cordoned]
    if not cordoned or any(d not in cordoned and not d.failure and d.node.is_connected for d in devices):
        return []
    rest = f", and the other {len(devices) - len(cordoned)} cannot" if len(cordoned) < len(devices) else ""
    return [
        f"No device takes new sessions: {len(cordoned)} of {len(devices)} are cordoned{rest}. "
        "`cupool gpus` says why, `cupool uncordon` opens them."
    ]


def _tenant_name(name: str) -> str:
    try:
        return tokens.check_tenant(name)
    except ValueError as error:
        raise Refused(Code.INVALID_ARGUMENT, str(error)) from None


def _token_status(record: tokens.TokenRecord) -> admin_pb2.TokenStatus:
    return admin_pb2.TokenStatus(
        id=record.id, role=record.role, tenant=record.tenant, created=record.created, expires=record.expires,
        revoked=record.revoked, note=record.note, last_used=record.last_used,
    )  # fmt: skip
