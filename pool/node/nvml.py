"""What the driver says about GPUs, asked by a thread of its own: a call may take long. pynvml is imported when there is a GPU to ask about.

Boundary: samples and events of GPUs by index. What they mean is `measure`'s and `health`'s.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

_log = logging.getLogger(__name__)

INTERVAL_MS = 250

#: NVML's bit -> why clocks are reduced. Idle is no reason.
THROTTLES: tuple[tuple[int, str], ...] = (
    (0x0000000000000002, "application clocks"),
    (0x0000000000000004, "power cap"),
    (0x0000000000000008, "hardware slowdown"),
    (0x0000000000000010, "sync boost"),
    (0x0000000000000020, "temperature"),
    (0x0000000000000040, "hardware temperature"),
    (0x0000000000000080, "power brake"),
    (0x0000000000000100, "display clocks"),
)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One sample of a GPU. Unknown figures are 0.

    Attributes:
        processes: pid -> bytes, of compute and graphics processes.
    """

    name: str = ""
    uuid: str = ""
    total_bytes: int = 0
    used_bytes: int = 0
    processes: dict[int, int] = field(default_factory=dict)
    utilization: float = 0.0
    power_w: float = 0.0
    power_limit_w: float = 0.0
    temperature_c: float = 0.0
    throttle: str = ""
    ecc_uncorrected: int = 0


class Sampler:
    """Samples GPUs and waits for their errors until it is closed."""

    def __init__(self, indexes: Iterable[int], nvml: Any = None) -> None:
        """
        Args:
            nvml: pynvml, or what stands for it.

        Raises:
            OSError: there is no driver, or no such GPU, or the extra `server` lacks nvidia-ml-py.
        """
        if nvml is None:
            try:
                import pynvml
            except ModuleNotFoundError as error:
                raise OSError(f"GPUs are not measured: {error}. Install the extra `server`.") from error
            nvml = pynvml
        self._nvml = nvml
        try:
            nvml.nvmlInit()
            self._handles = {index: nvml.nvmlDeviceGetHandleByIndex(index) for index in indexes}
        except nvml.NVMLError as error:
            raise OSError(f"GPUs are not measured: {error}.") from error
        #: index -> latest sample; replaced as a whole
        self.samples: dict[int, Gpu] = {}
        #: (index, xid), oldest first; whoever reads takes them out
        self.xids: deque[tuple[int, int]] = deque(maxlen=1024)
        self._events = self._register()
        self.sample()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cupool-nvml", daemon=True)
        self._thread.start()

    def _register(self) -> Any:
        """An event set for XIDs; None where the driver has none."""
        nvml = self._nvml
        try:
            events = nvml.nvmlEventSetCreate()
            for handle in self._handles.values():
                nvml.nvmlDeviceRegisterEvents(handle, nvml.nvmlEventTypeXidCriticalError, events)
        except nvml.NVMLError as error:
            _log.warning("event=no-xids reason=%r", str(error))
            return None
        return events

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wait_events()
            self.sample()

    def _wait_events(self) -> None:
        nvml = self._nvml
        if self._events is None:
            self._stopping.wait(INTERVAL_MS / 1000)
            return
        try:
            data = nvml.nvmlEventSetWait_v2(self._events, INTERVAL_MS)
        except nvml.NVMLError_Timeout:
            return
        except nvml.NVMLError as error:
            _log.debug("event=nvml-wait-failed reason=%r", str(error))
            self._stopping.wait(INTERVAL_MS / 1000)
            return
        with contextlib.suppress(nvml.NVMLError):
            found = nvml.nvmlDeviceGetIndex(data.device)
            self.xids.append((found, int(data.eventData)))

    def sample(self) -> None:
        """Ask once."""
        self.samples = {index: self._of(index, handle) for index, handle in self._handles.items()}

    def _of(self, index: int, handle: Any) -> Gpu:
        nvml, before = self._nvml, self.samples.get(index)

        def ask(call: Callable[[], Any], unknown: Any) -> Any:
            try:
                return call()
            except nvml.NVMLError:
                return unknown  # this GPU or driver does not tell

        def memory() -> Any:
            try:
                return nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)  # without what the driver keeps
            except (nvml.NVMLError, TypeError, AttributeError):
                return nvml.nvmlDeviceGetMemoryInfo(handle)

        held = ask(memory, None)
        processes: dict[int, int] = {}
        for listing in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
            for process in ask(lambda listing=listing: listing(handle), []):  # type: ignore[misc]
                processes[process.pid] = max(processes.get(process.pid, 0), process.usedGpuMemory or 0)
        reasons = ask(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle), 0)
        uncorrected, volatile = nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
        return Gpu(
            name=before.name if before else _text(ask(lambda: nvml.nvmlDeviceGetName(handle), "")),
            uuid=before.uuid if before else _text(ask(lambda: nvml.nvmlDeviceGetUUID(handle), "")),
            total_bytes=held.total if held is not None else 0,
            used_bytes=held.used if held is not None else 0,
            processes=processes,
            utilization=ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu, 0) / 100,
            power_w=ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle), 0) / 1000,
            power_limit_w=ask(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle), 0) / 1000,
            temperature_c=float(ask(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU), 0)),
            throttle=", ".join(name for bit, name in THROTTLES if reasons & bit),
            ecc_uncorrected=ask(lambda: nvml.nvmlDeviceGetTotalEccErrors(handle, uncorrected, volatile), 0),
        )

    def close(self) -> None:
        self._stopping.set()
        self._thread.join(5.0)
        with contextlib.suppress(self._nvml.NVMLError):
            if self._events is not None:
                self._nvml.nvmlEventSetFree(self._events)
            self._nvml.nvmlShutdown()


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
