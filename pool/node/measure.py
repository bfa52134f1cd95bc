"""What the devices and the host are doing: by the books of servers' status files, and for GPUs by what the driver says beside them.

Memory that the driver sees and no server of ours holds is *unowned*: of a process that nobody here started, told after `FOREIGN_S`, or of
a server that has ended and whose memory did not come back, told after `LEAK_S`.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cupool.v1 import admin_pb2, agent_pb2

from .. import states
from ..config import DeviceConfig
from .health import APPLICATION_XIDS, Health, meaning
from .nvml import Gpu, Sampler
from .server import Server

_log = logging.getLogger(__name__)

FOREIGN_S = 5.0
LEAK_S = 10.0
#: Utilisation is smoothed over about this long.
SMOOTH_S = 2.0

#: Tests a device in a fresh process; calls back, in the loop, with why it failed or "".
Tester = Callable[[DeviceConfig, Callable[[str], None]], None]


@dataclass(slots=True)
class _Device:
    config: DeviceConfig
    health: Health = field(default_factory=Health)
    utilization: float = 0.0
    sessions: int = 0
    warm: int = 0
    leased_bytes: int = 0
    used_bytes: int = 0
    is_testing: bool = False
    #: pid -> when it was first seen to hold memory that is not a server's
    strangers: dict[int, float] = field(default_factory=dict)
    unowned_bytes: int = 0


class Measures:
    """Of all devices of this host. Called from the loop."""

    def __init__(
        self,
        devices: Iterable[DeviceConfig],
        sampler: Sampler | None = None,
        test: Tester | None = None,
        application_xids: Iterable[int] = (),
    ) -> None:
        """
        Args:
            sampler: of the GPUs among the devices; this object's from now on.
            application_xids: errors that are programs' fault; none: the usual ones.
        """
        xids = frozenset(application_xids) or APPLICATION_XIDS
        self._devices = {d.id: _Device(d, Health(xids)) for d in devices}
        self._sampler = sampler
        self._test = test
        self._last = time.monotonic()
        #: pids of servers that have ended: their memory must come back
        self._ended: dict[int, float] = {}
        self._cpu_times: tuple[float, float] = (0.0, 0.0)

    def health(self, device: str) -> Health:
        return self._devices[device].health

    def identity(self, device: DeviceConfig) -> tuple[str, str]:
        """Name and UUID."""
        gpu = self._gpu(device)
        if gpu is not None:
            return gpu.name, gpu.uuid
        return (f"{os.cpu_count()} processors", "") if device.kind == "cpu" else ("", "")

    def server_ended(self, server: Server) -> None:
        """Its memory should come back now."""
        if server.device.kind != "cpu" and server.pid:
            self._ended[server.pid] = time.monotonic()

    def take(self, servers: Sequence[Server]) -> list[tuple[str, str]]:
        """Measure. Returns devices on which the sessions must end now, each with why."""
        now = time.monotonic()
        past_s, self._last = max(now - self._last, 1e-3), now
        for device in self._devices.values():
            self._account([s for s in servers if s.device.id == device.config.id], device, past_s)
            gpu = self._gpu(device.config)
            if gpu is not None:
                self._compare(device, gpu, servers, now)
        ends = list(self._errors(now))
        for device in self._devices.values():
            self._test_if_due(device, now)
        self._ended = {pid: at for pid, at in self._ended.items() if now - at < 600}
        return ends

    def _account(self, servers: Sequence[Server], device: _Device, past_s: float) -> None:
        executed = 0.0
        device.sessions = device.warm = device.leased_bytes = device.used_bytes = 0
        for server in servers:
            device.warm += server.state == states.WARM
            if server.assignment is None:
                continue
            device.sessions += 1
            device.leased_bytes += server.assignment.limit_bytes or server.device.memory_bytes
            status = server.status()
            if status is not None:
                device.used_bytes += status.used_bytes
                executed += max(status.kernel_s - server.measured_s, 0.0)
                server.measured_s = status.kernel_s
        gpu = self._gpu(device.config)
        now_used = gpu.utilization if gpu is not None else min(executed / past_s, 1.0)
        part = min(past_s / SMOOTH_S, 1.0)
        device.utilization += (now_used - device.utilization) * part

    def _gpu(self, device: DeviceConfig) -> Gpu | None:
        return self._sampler.samples.get(device.index) if self._sampler is not None and device.kind == "cuda" else None

    # ---- memory that nobody owns

    def _compare(self, device: _Device, gpu: Gpu, servers: Sequence[Server], now: float) -> None:
        own = {s.pid for s in servers if s.device.kind == "cuda"}
        warm = [s for s in servers if s.device.id == device.config.id and s.endpoint]
        if warm and gpu.processes and not own & gpu.processes.keys():
            # In a container the driver names processes as the host knows them: nobody can be told from anybody.
            device.strangers.clear()
            device.unowned_bytes = 0
            return
        strangers = {pid: size for pid, size in gpu.processes.items() if pid not in own and size}
        device.strangers = {pid: device.strangers.get(pid, now) for pid in strangers}
        unowned = 0
        for pid, size in strangers.items():
            if now - device.strangers[pid] >= (LEAK_S if pid in self._ended else FOREIGN_S):
                unowned += size
        if bool(unowned) != bool(device.unowned_bytes):
            whose = ", ".join(f"{pid}{' (a server that has ended)' if pid in self._ended else ''}" for pid in strangers)
            _log.warning("event=unowned-memory device=%s bytes=%d processes=%r", device.config.id, unowned, whose)
        device.unowned_bytes = unowned

    # ---- errors

    def _errors(self, now: float) -> Iterable[tuple[str, str]]:
        while self._sampler is not None and self._sampler.xids:
            index, xid = self._sampler.xids.popleft()
            device = self._devices.get(f"cuda:{index}")
            if device is None:
                continue
            is_hardware = device.health.error(xid, now)
            _log.warning(
                "event=xid device=%s xid=%d hardware=%s meaning=%r", device.config.id, xid, is_hardware, meaning(xid)
            )
            # The driver does not say whose fault it was. Where only one session is there it was that one's; else the one whose fault it was
            # finds its context broken, and ends by itself.
            if not is_hardware and device.sessions == 1:
                yield (
                    device.config.id,
                    f"The GPU reported XID {xid}: {meaning(xid)}. The session's program is at fault.",
                )

    def _test_if_due(self, device: _Device, now: float) -> None:
        if self._test is None or device.is_testing or now < device.health.test_at:
            return
        device.is_testing = True

        def done(why: str) -> None:
            device.is_testing = False
            device.health.tested(why, time.monotonic())
            _log.warning("event=device-tested device=%s passed=%s reason=%r", device.config.id, not why, why)

        self._test(device.config, done)

    # ---- told

    def devices(self) -> list[admin_pb2.DeviceStatus]:
        """As last measured."""
        return [self._status(device) for device in self._devices.values()]

    def _status(self, device: _Device) -> admin_pb2.DeviceStatus:
        config, now, gpu = device.config, time.monotonic(), self._gpu(device.config)
        name, uuid = self.identity(config)
        status = admin_pb2.DeviceStatus(
            device=config.id,
            kind=config.kind,
            name=name,
            uuid=uuid,
            total_bytes=config.memory_bytes,
            leased_bytes=device.leased_bytes,
            used_bytes=device.used_bytes,
            observed_bytes=gpu.used_bytes if gpu is not None else 0,
            unowned_bytes=device.unowned_bytes,
            sessions=device.sessions,
            warm=device.warm,
            utilization=device.utilization,
            cordoned=device.health.is_cordoned,
            reason=device.health.reason,
        )
        if gpu is not None:
            status.power_w, status.power_limit_w, status.temperature_c = (
                gpu.power_w,
                gpu.power_limit_w,
                gpu.temperature_c,
            )
            status.throttle, status.ecc_uncorrected = gpu.throttle, gpu.ecc_uncorrected
        for error in device.health.errors:
            status.errors.add(
                xid=error.xid, age_s=now - error.at, meaning=meaning(error.xid), is_hardware=error.is_hardware
            )
        return status

    def host(self) -> agent_pb2.HostUse:
        """Load and memory of the host."""
        use = agent_pb2.HostUse(
            cpu_load=self._cpu_load(), unowned_bytes=sum(d.unowned_bytes for d in self._devices.values())
        )
        try:
            with open("/proc/meminfo", "rb") as file:
                lines = dict(line.split(b":", 1) for line in file)
            use.memory_bytes = int(lines[b"MemTotal"].split()[0]) * 1024
            use.memory_free_bytes = int(lines[b"MemAvailable"].split()[0]) * 1024
        except (OSError, KeyError, ValueError) as error:
            _log.debug("event=no-meminfo reason=%r", str(error))
        return use

    def _cpu_load(self) -> float:
        """Busy part of all processors since the last call."""
        try:
            with open("/proc/stat", "rb") as file:
                times: list[Any] = [float(t) for t in file.readline().split()[1:9]]
        except (OSError, ValueError):
            return 0.0
        total, idle = sum(times), times[3] + times[4]
        (last_total, last_idle), self._cpu_times = self._cpu_times, (total, idle)
        return min(max(1 - (idle - last_idle) / (total - last_total), 0.0), 1.0) if total > last_total else 0.0

    def close(self) -> None:
        if self._sampler is not None:
            self._sampler.close()
