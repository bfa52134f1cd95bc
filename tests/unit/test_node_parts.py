"""The agent's parts that need no processes: back-off, health of devices, measures with an NVML that is played, the outbox, the loop."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cupool.pool import states
from cupool.pool.config import DeviceConfig
from cupool.pool.node import backoff, health, measure
from cupool.pool.node.backoff import Backoff
from cupool.pool.node.health import Health
from cupool.pool.node.loop import Loop
from cupool.pool.node.measure import Measures
from cupool.pool.node.nvml import Sampler
from cupool.pool.node.outbox import Outbox
from cupool.pool.node.server import Server
from fakenvml import FakeGpu, FakeNvml

from cupool.contract import statusfile
from cupool.v1 import agent_pb2, server_pb2

CUDA, CPU = DeviceConfig("cuda", 0, 80 << 30), DeviceConfig("cpu", 0, 1 << 30)


# ---- back-off


def test_a_device_that_fails_is_tried_less_and_less_often_and_then_not_for_a_while() -> None:
    found = Backoff()
    assert found.wait_s(0) == 0
    waits = []
    for k in range(backoff.PATIENCE - 1):
        found.failed(100.0 * k, "no driver")
        waits.append(found.wait_s(100.0 * k))
    assert waits == [0.25, 0.5, 1, 2, 4] and not found.is_stopped
    assert found.wait_s(1e6) == 0
    found.failed(1000, "no driver")
    assert found.is_stopped and found.wait_s(1010) == backoff.PAUSE_S - 10
    assert found.sentence("cuda:0", 1010) == (
        "Servers on cuda:0 failed 6 times in a row, so none is started for 50 s. The last time: no driver"
    )
    assert found.wait_s(2000) == 0  # one is tried
    found.succeeded()
    assert not found.is_stopped and found.wait_s(2000) == 0


# ---- health


@pytest.mark.parametrize("xid", sorted(health.APPLICATION_XIDS))
def test_errors_of_programs_leave_the_device_in_service(xid: int) -> None:
    found = Health()
    assert not found.error(xid, 0) and not found.is_cordoned
    assert "program's fault" in found.trail[-1][1] and found.errors[-1].xid == xid


def test_a_hardware_error_cordons_the_device_until_a_test_passes() -> None:
    found = Health()
    assert found.error(48, 100) and found.is_cordoned and "double bit" in found.reason
    assert found.test_at == 105
    found.tested("a word was wrong", 105)
    assert found.test_at == 115 and "Tested 1 times without success: a word was wrong" in found.reason
    found.tested("a word was wrong", 115)
    assert found.test_at == 135 and "Tested 2 times" in found.reason and "Tested 1" not in found.reason
    found.tested("", 135)
    assert not found.is_cordoned and found.test_at == float("inf")
    assert [t for t, _ in found.trail] == [100, 105, 115, 135] and "in service again" in found.trail[-1][1]


def test_a_device_that_fails_again_and_again_stays_out_of_service() -> None:
    found, now = Health(), 0.0
    for _ in range(health.RETURNS_A_DAY):
        found.error(79, now)
        assert found.test_at < float("inf")
        found.tested("", now + 10)
        now += 100
    found.error(79, now)
    assert found.is_cordoned and found.test_at == float("inf") and "until a person" in found.reason
    other = Health()
    for _ in range(2 * health.RETURNS_A_DAY):
        other.error(79, now)
        other.tested("", now + 10)
        now += health.DAY_S / 2
        assert not other.is_cordoned or other.test_at == float("inf")


def test_the_list_of_programs_errors_can_be_another() -> None:
    found = Health(frozenset({48}))
    assert not found.error(48, 0) and found.error(13, 0)


# ---- measures


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(measure.time, "monotonic", lambda: self.now)


def server(
    tmp_path: Path, name: str, device: DeviceConfig, pid: int = 0, session: str = "", **numbers: float
) -> Server:
    made = Server(name, device, tmp_path / name, tmp_path / f"{name}.log", states.WARM, pid=pid, endpoint="unix:/x")
    for descriptor in made.prepare():
        os.close(descriptor)
    if session:
        made.assignment = server_pb2.AssignRequest(session=session, limit_bytes=1 << 20)
        made.state = states.LEASED
    if numbers:
        writer = statusfile.StatusWriter(made.status_path)
        writer.batch_ended(1.0, numbers["kernel_s"], int(numbers["used"]), int(numbers["used"]), 1, 1, 0)
        writer.close()
    return made


@pytest.fixture
def sampled() -> Any:
    """Makes measures of one GPU with a sampler that samples only when it is told."""
    made: list[Sampler] = []

    def make(nvml: FakeNvml, test: Any = None) -> tuple[Measures, Sampler]:
        sampler = Sampler([0], nvml)
        made.append(sampler)
        return Measures([CUDA], sampler, test), sampler

    yield make
    for sampler in made:
        sampler.close()


def test_a_cpu_device_is_accounted_by_its_servers_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, measures = Clock(monkeypatch), Measures([CPU])
    busy = server(tmp_path, "a", CPU, session="s", kernel_s=0.5, used=4096)
    idle = server(tmp_path, "b", CPU)
    clock.now += 1
    assert measures.take([busy, idle]) == []
    (status,) = measures.devices()
    assert (status.sessions, status.warm, status.used_bytes, status.leased_bytes) == (1, 1, 4096, 1 << 20)
    assert status.utilization == pytest.approx(0.25)  # half busy, smoothed over two seconds
    clock.now += 10
    measures.take([busy, idle])
    assert measures.devices()[0].utilization == 0
    use = measures.host()
    assert 0 < use.memory_free_bytes <= use.memory_bytes and 0 <= use.cpu_load <= 1
    busy.close(), idle.close()


def test_a_gpus_figures_are_the_drivers_and_what_it_does_not_know_is_zero(sampled: Any) -> None:
    gpu = FakeGpu(throttle=0x24, unknown={"memory_v2", "ecc"})
    measures, _ = sampled(FakeNvml(gpu))
    measures.take([])
    (status,) = measures.devices()
    assert (status.name, status.uuid, status.observed_bytes) == ("Fake GPU", "GPU-0", 1 << 30)
    assert (status.power_w, status.power_limit_w, status.temperature_c) == (250, 700, 65)
    assert status.throttle == "power cap, temperature" and status.ecc_uncorrected == 0


def test_memory_of_nobody_is_told_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampled: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gpu = FakeGpu(processes={4242: 1 << 30, 77: 2 << 30})
    clock = Clock(monkeypatch)
    measures, sampler = sampled(FakeNvml(gpu))
    ours = server(tmp_path, "a", CUDA, pid=4242)
    caplog.set_level(logging.WARNING)

    def unowned(after_s: float) -> int:
        clock.now += after_s
        sampler.sample()
        measures.take([ours])
        return int(measures.devices()[0].unowned_bytes)

    assert unowned(0) == 0 and unowned(4.9) == 0
    assert unowned(0.2) == 2 << 30 and measures.host().unowned_bytes == 2 << 30
    assert "77" in caplog.text
    gpu.processes = {4242: 1 << 30, 78: 2 << 30}  # another one: its time starts now
    assert unowned(1) == 0 and unowned(5) == 2 << 30
    gpu.processes = {4242: 1 << 30}
    assert unowned(0.1) == 0
    # Our own server has ended, and its memory stays.
    measures.server_ended(ours)
    ours.pid = 4243
    gpu.processes = {4242: 1 << 30, 4243: 1}
    assert unowned(0.1) == 0 and unowned(6) == 0
    assert unowned(5) == 1 << 30 and "a server that has ended" in caplog.text
    # In a container nobody can be told from anybody.
    gpu.processes = {9: 1 << 30}
    assert unowned(1) == 0 and unowned(60) == 0
    ours.close()


def test_xids_end_a_session_or_cordon_the_device_and_it_comes_back_by_a_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampled: Any
) -> None:
    clock, tests = Clock(monkeypatch), []

    def test(device: DeviceConfig, done: Callable[[str], None]) -> None:
        tests.append((device.id, done))

    nvml = FakeNvml(FakeGpu())
    measures, sampler = sampled(nvml, test)
    one, two = server(tmp_path, "a", CUDA, session="s"), server(tmp_path, "b", CUDA, session="t")

    def reports(xid: int, *servers: Server) -> list[tuple[str, str]]:
        """The GPU reports an error while these servers run; what must end."""
        nvml.xids.put((0, xid))
        while not sampler.xids:  # its thread has not heard it yet
            time.sleep(0.01)
        return list(measures.take(servers))

    ((device, why),) = reports(31, one)
    assert device == "cuda:0" and "XID 31" in why and not measures.devices()[0].cordoned
    # With two sessions nobody knows whose fault it was; the one whose it was ends by its broken context.
    assert reports(13, one, two) == []
    assert reports(95, one, two) == []
    (status,) = measures.devices()
    assert status.cordoned and "uncontained" in status.reason and [e.xid for e in status.errors] == [31, 13, 95]
    assert [e.is_hardware for e in status.errors] == [False, False, True] and not tests
    clock.now += health.TEST_AFTER_S
    measures.take([])
    measures.take([])
    assert [d for d, _ in tests] == ["cuda:0"]  # one at a time
    tests[0][1]("a small product has a wrong result")
    assert "a small product" in measures.devices()[0].reason
    clock.now += 2 * health.TEST_AFTER_S
    measures.take([])
    tests[1][1]("")
    assert not measures.devices()[0].cordoned and measures.devices()[0].reason == ""
    one.close(), two.close()


def test_without_a_driver_it_is_said_once() -> None:
    with pytest.raises(OSError, match="GPUs are not measured: Driver Not Loaded"):
        Sampler([0], FakeNvml(has_driver=False))
    with pytest.raises(OSError, match="Invalid Argument"):
        Sampler([3], FakeNvml(FakeGpu()))
    sampler = Sampler([0], nvml := FakeNvml(FakeGpu(unknown={"events"})))
    assert sampler.samples[0].name == "Fake GPU"
    sampler.close()
    assert not nvml.is_open


# ---- outbox


def test_ends_are_kept_until_acknowledged_also_in_the_file(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "ends")
    first, second = (outbox.add(agent_pb2.SessionEnd(session=s)).ordinal for s in "ab")
    assert second > first
    outbox.received(first)
    assert [f.ended[0].session for f in outbox] == ["b"]
    outbox.close()
    with open(tmp_path / "ends", "ab") as file:
        file.write(b"\x7f\x01")  # its writer died while it wrote
    again = Outbox(tmp_path / "ends")
    assert [f.ended[0].session for f in again] == ["a", "b"]  # told twice rather than never
    third = again.add(agent_pb2.SessionEnd(session="c")).ordinal
    assert third > second
    again.close()
    again = Outbox(tmp_path / "ends")
    assert [f.ended[0].session for f in again] == ["a", "b", "c"]
    again.received(third)
    assert not len(again) and (tmp_path / "ends").stat().st_size == 0
    again.close()
    (tmp_path / "ends").write_bytes(b"\xff" * 20)
    damaged = Outbox(tmp_path / "ends")
    assert not len(damaged)
    damaged.close()


def test_a_full_disk_loses_no_end_and_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written in part, or not at all: it is told, and in the file when there is room again."""
    path, write = tmp_path / "ends", os.write
    outbox = Outbox(path)
    outbox.add(agent_pb2.SessionEnd(session="a"))
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    assert outbox.add(agent_pb2.SessionEnd(session="b")).ended[0].session == "b"

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    outbox.add(agent_pb2.SessionEnd(session="c"))
    assert [f.ended[0].session for f in outbox] == ["a", "b", "c"]
    again = Outbox(path)  # the agent is killed, and starts again while the disk is full
    assert [f.ended[0].session for f in again] == ["a"]
    again.close()
    monkeypatch.setattr(os, "write", write)
    outbox.add(agent_pb2.SessionEnd(session="d"))
    outbox.close()
    again = Outbox(path)
    assert [f.ended[0].session for f in again] == ["a", "b", "c", "d"]
    again.close()


# ---- loop


def test_the_loop_keeps_order_and_survives_what_its_work_raises(caplog: pytest.LogCaptureFixture) -> None:
    loop, seen = Loop(), []
    read, write = os.pipe()

    def timed() -> None:
        seen.append("timer")
        os.write(write, b"x")

    loop.later(0.01, lambda: seen.append("cancelled")).cancel()

    def readable() -> None:
        seen.append(os.read(read, 1))
        loop.later(0, loop.stop)

    loop.watch(read, readable)
    loop.post(lambda: seen.append(1))
    loop.post(lambda: 1 / 0)
    thread = threading.Thread(target=lambda: loop.post(lambda: (seen.append(2), loop.later(0.01, timed))))
    thread.start()
    loop.run()
    thread.join()
    assert seen == [1, 2, "timer", b"x"] and "agent-failed" in caplog.text
    loop.unwatch(read)
    loop.unwatch(read)
    loop.close()
    os.close(read), os.close(write)
