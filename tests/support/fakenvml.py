"""What stands for pynvml in tests: GPUs as records, errors when a test says so."""

from __future__ import annotations

import queue
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


class NVMLError(Exception):
    pass


class NVMLError_Timeout(NVMLError):
    pass


@dataclass
class FakeGpu:
    index: int = 0
    total: int = 80 << 30
    used: int = 1 << 30
    processes: dict[int, int] = field(default_factory=dict)
    utilization: int = 50
    throttle: int = 0
    #: calls that this GPU does not know
    unknown: set[str] = field(default_factory=set)


class FakeNvml:
    """`import pynvml`, as far as the agent uses it."""

    NVMLError, NVMLError_Timeout = NVMLError, NVMLError_Timeout
    nvmlEventTypeXidCriticalError, nvmlMemory_v2 = 8, 0x2000028
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC, NVML_TEMPERATURE_GPU = 1, 0, 0

    def __init__(self, *gpus: FakeGpu, has_driver: bool = True) -> None:
        self.gpus = list(gpus)
        self.has_driver = has_driver
        self.is_open = False
        self.xids: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()

    def nvmlInit(self) -> None:
        if not self.has_driver:
            raise NVMLError("Driver Not Loaded")
        self.is_open = True

    def nvmlShutdown(self) -> None:
        self.is_open = False

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:
        if index >= len(self.gpus):
            raise NVMLError("Invalid Argument")
        return self.gpus[index]

    def nvmlDeviceGetIndex(self, gpu: FakeGpu) -> int:
        return gpu.index

    def nvmlEventSetCreate(self) -> object:
        return object()

    def nvmlEventSetFree(self, events: object) -> None:
        pass

    def nvmlDeviceRegisterEvents(self, gpu: FakeGpu, kinds: int, events: object) -> None:
        _know(gpu, "events")

    def nvmlEventSetWait_v2(self, events: object, timeout_ms: int) -> Any:
        try:
            index, xid = self.xids.get(timeout=timeout_ms / 1000)
        except queue.Empty:
            raise NVMLError_Timeout from None
        return SimpleNamespace(device=self.gpus[index], eventData=xid)

    def nvmlDeviceGetMemoryInfo(self, gpu: FakeGpu, version: int = 0) -> Any:
        if version:
            _know(gpu, "memory_v2")
        return SimpleNamespace(total=gpu.total, used=gpu.used)

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: FakeGpu) -> list[Any]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in gpu.processes.items()]

    def nvmlDeviceGetGraphicsRunningProcesses(self, gpu: FakeGpu) -> list[Any]:
        raise NVMLError("Not Supported")

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, gpu: FakeGpu) -> int:
        return gpu.throttle

    def nvmlDeviceGetName(self, gpu: FakeGpu) -> bytes:
        return b"Fake GPU"

    def nvmlDeviceGetUUID(self, gpu: FakeGpu) -> str:
        return f"GPU-{gpu.index}"

    def nvmlDeviceGetUtilizationRates(self, gpu: FakeGpu) -> Any:
        _know(gpu, "utilization")
        return SimpleNamespace(gpu=gpu.utilization)

    def nvmlDeviceGetPowerUsage(self, gpu: FakeGpu) -> int:
        return 250_000

    def nvmlDeviceGetEnforcedPowerLimit(self, gpu: FakeGpu) -> int:
        return 700_000

    def nvmlDeviceGetTemperature(self, gpu: FakeGpu, sensor: int) -> int:
        return 65

    def nvmlDeviceGetTotalEccErrors(self, gpu: FakeGpu, kind: int, counter: int) -> int:
        _know(gpu, "ecc")
        return 2


def _know(gpu: FakeGpu, what: str) -> None:
    if what in gpu.unknown:
        raise NVMLError("Not Supported")
