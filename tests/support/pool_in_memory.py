"""A controller over a host in memory: see `fakehost.py`."""

from __future__ import annotations

import dataclasses

import pytest
from cupool.pool import states
from cupool.pool.config import PoolConfig, Quota
from cupool.pool.controller import Controller, Waiting
from cupool.pool.directory import Directory, EndRecord, TenantRecord
from cupool.pool.leases import Device
from cupool.pool.operations import Operations
from cupool.pool.refusals import Refused
from fakehost import FakeHost

from cupool.contract.moves import Machine
from cupool.v1 import admin_pb2, pool_pb2

CONFIG = PoolConfig(max_sessions=4, warm=2, lease_s=60, park_grace_ms=10_000, quota=Quota())


class Kept(Directory):
    """What `SqliteDirectory` keeps, without a file: ends of sessions, each counted once."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: dict[str, EndRecord] = {}

    def add_end(self, record, kept=None):
        if record.session not in self.ends:
            self.ends[record.session] = record
            tenant = self._tenants.get(record.tenant) or TenantRecord(record.tenant)
            super().set_tenant(dataclasses.replace(tenant, kernel_s=tenant.kernel_s + record.kernel_s))
        super().add_end(record, kept)

    def end(self, session):
        return self.ends.get(session)

    def set_tenant(self, record):
        before = self._tenants.get(record.name) or TenantRecord(record.name)
        super().set_tenant(dataclasses.replace(record, kernel_s=before.kernel_s))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Pool:
    """A controller, its host, and what operators do."""

    def __init__(self, config: PoolConfig = CONFIG, machine: Machine | None = None, **host: object) -> None:
        self.clock, self.host, self.directory, self.machine = Clock(), FakeHost(**host), Kept(), machine
        self.begin(config)
        self.host.connect()
        self.host.deliver()

    def begin(self, config: PoolConfig) -> None:
        self.controller = Controller(config, self.host, self.directory, self.clock, machine=self.machine)
        self.operations = Operations(self.controller, lambda *_: None)
        self.controller.open()

    def acquire(self, tenant: str = "default", deadline_ms: int = 0, **fields: object) -> pool_pb2.Lease | Waiting:
        return self.controller.acquire(pool_pb2.AcquireRequest(deadline_ms=deadline_ms, **fields), tenant)

    def refused(self, *arguments: object, **fields: object) -> Refused:
        with pytest.raises(Refused) as info:
            self.acquire(*arguments, **fields)
        return info.value

    def release(self, lease: pool_pb2.Lease) -> None:
        self.controller.release(lease.session, lease.session_token, "", lease.tenant)

    def state(self, lease: pool_pb2.Lease) -> int:
        return self.controller.books.find(lease.session).state

    def device(self, name: str) -> Device:
        return self.controller.books.devices[f"{self.host.node}/{name}"]

    def other_libraries(self) -> None:
        """Servers of cpu:1 have other libraries than the rest."""
        for server in self.device("cpu:1").warm.values():
            server.fingerprint = "cpu numpy-1"
        for server in self.controller.books.servers.values():
            server.fingerprint = server.fingerprint.replace("fake", "cpu numpy-2")

    def quota(self, tenant: str = "default", **fields: object) -> None:
        request = admin_pb2.SetQuotaRequest(tenant=tenant, fields=list(fields), **fields)
        self.operations.set_quota("test", request)

    def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.controller.tick()
        self.host.deliver()
        check(self)


def check(pool: Pool) -> None:
    """The books count to what is in them, and to no more than there is."""
    books = pool.controller.books
    for device in books.devices.values():
        servers = [s for by in device.servers.values() for s in by.values()]
        assert all(s.state == state for state, by in device.servers.items() for s in by.values())
        holding = [s.session for s in servers if s.session is not None]
        assert device.holding == len(holding) <= device.max_sessions
        assert device.promised_bytes == sum(s.memory_bytes for s in holding) <= device.total_bytes
    assert sum(len(by) for d in books.devices.values() for by in d.servers.values()) == len(books.servers)
    for tenant in books.tenants.values():
        mine = [s for s in books.sessions.values() if s.tenant is tenant]
        assert tenant.sessions == len(mine)
        assert tenant.leased_bytes == sum(s.memory_bytes for s in mine)
        assert tenant.used_bytes == sum(s.usage.used_bytes for s in mine)
        assert tenant.live_kernel_s == pytest.approx(sum(s.usage.kernel_s for s in mine))
    assert all(not s.is_over and s.server.session is s for s in books.sessions.values() if not s.missing_since)
    moving = {s.id for s in books.sessions.values() if s.move}
    assert moving == {o.move.session for o in pool.controller.moves.values() if o.session is not None}
    assert all(s.is_over and not s.watchers for s in books.ended.values())
    assert set(books.unattached) == {s.id for s in books.sessions.values() if s.state == states.SESSION_LEASED}
    assert {lease.session for lease in pool.directory.leases()} >= set(books.sessions)


def restart(pool: Pool) -> None:
    """The controller is killed: its memory and orders on their way are gone; the directory is there, and the host lives."""
    pool.host.orders.clear()
    pool.host.is_here = False
    pool.begin(pool.controller.config)
    pool.host.connect()
    pool.host.deliver()
