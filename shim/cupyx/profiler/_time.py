"""`cupyx.profiler.benchmark`: what each call of a function costs the caller, and how long it takes on the device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import cupy as _cupy


class _PerfCaseResult:
    """The times of one function.

    Args:
        name: the function's name.
        ts: seconds, (1 + devices, calls): the caller's first, then each device's.
        devices: numbers of the devices.
    """

    __module__ = "cupyx.profiler._time"

    def __init__(self, name: str, ts: Any, devices: tuple[int, ...]) -> None:
        assert ts.ndim == 2
        assert ts.shape[0] == len(devices) + 1
        assert ts.shape[1] > 0
        self.name = name
        self._ts = ts
        self._devices = devices

    @property
    def cpu_times(self) -> np.ndarray[Any, Any]:
        """Seconds that each call took the caller, (calls,)."""
        times: np.ndarray[Any, Any] = self._ts[0]
        return times

    @property
    def gpu_times(self) -> np.ndarray[Any, Any]:
        """Seconds between events before and after each call, (devices, calls)."""
        times: np.ndarray[Any, Any] = self._ts[1:]
        return times

    @staticmethod
    def _to_str_per_item(device_name: str, t: np.ndarray[Any, Any]) -> str:
        us = t * 1e6
        text = f"    {device_name}: {us.mean():9.03f} us"
        if t.size > 1:
            text += f"   +/- {us.std():6.03f} (min: {us.min():9.03f} / max: {us.max():9.03f}) us"
        return text

    def to_str(self, show_gpu: bool = False) -> str:
        """One line for people."""
        parts = [self._to_str_per_item("CPU", self._ts[0])]
        if show_gpu:
            parts += [self._to_str_per_item(f"GPU-{d}", self._ts[1 + i]) for i, d in enumerate(self._devices)]
        return f"{self.name:<20s}:{' '.join(parts)}"

    def __repr__(self) -> str:
        return self.to_str(show_gpu=True)

    __str__ = __repr__


_EXPECTED: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("func", callable, "`func` should be a callable object."),
    ("args", lambda v: isinstance(v, tuple), "`args` should be of tuple type."),
    ("kwargs", lambda v: isinstance(v, dict), "`kwargs` should be of dict type."),
    ("n_repeat", lambda v: isinstance(v, int), "`n_repeat` should be an integer."),
    ("name", lambda v: isinstance(v, str), "`name` should be a string."),
    ("n_warmup", lambda v: isinstance(v, int), "`n_warmup` should be an integer."),
    ("max_duration", lambda v: bool(np.isreal(v)), "`max_duration` should be given in seconds"),
    ("devices", lambda v: isinstance(v, tuple), "`devices` should be of tuple type"),
)


def benchmark(
    func: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: dict[str, Any] = {}, n_repeat: int = 10000, *,  # noqa: B006
    name: str | None = None, n_warmup: int = 10, max_duration: float = math.inf, devices: tuple[int, ...] | None = None,
) -> _PerfCaseResult:  # fmt: skip
    """Time a function.

    Args:
        func: the function.
        args: its positional arguments.
        kwargs: its keyword arguments.
        n_repeat: calls that are timed.
        name: what the result calls it; the function's own name by default.
        n_warmup: calls before them.
        max_duration: seconds after which no further call is made.
        devices: numbers of the devices; the current one by default.

    Raises:
        ValueError: an argument of another type.
    """
    given: dict[str, Any] = {
        "func": func, "args": args, "kwargs": kwargs, "n_repeat": n_repeat, "n_warmup": n_warmup, "max_duration": max_duration,
        "name": func.__name__ if name is None else name,
        "devices": (_cupy.cuda.get_device_id(),) if devices is None else devices,
    }  # fmt: skip
    for parameter, is_right, text in _EXPECTED:
        if not is_right(given[parameter]):
            raise ValueError(text)
    return _repeat(**given)


def _repeat(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], n_repeat: int, name: str, n_warmup: int,
    max_duration: float, devices: tuple[int, ...],
) -> _PerfCaseResult:  # fmt: skip
    pairs = []
    for device in devices:
        with _cupy.cuda.Device(device):
            pairs.append((_cupy.cuda.Event(), _cupy.cuda.Event()))
    for _ in range(n_warmup):
        func(*args, **kwargs)
    for before, _ in pairs:
        before.record()
        before.synchronize()
    cpu: list[float] = []
    gpu: list[list[float]] = [[] for _ in pairs]
    spent = 0.0
    for _ in range(n_repeat):
        for before, _ in pairs:
            before.record()
        start = time.perf_counter()
        func(*args, **kwargs)
        cpu.append(time.perf_counter() - start)
        for _, after in pairs:
            after.record()
        for times, (before, after) in zip(gpu, pairs, strict=True):
            after.synchronize()
            times.append(_cupy.cuda.get_elapsed_time(before, after) * 1e-3)
        spent += time.perf_counter() - start
        if spent > max_duration:
            break
    return _PerfCaseResult(name, np.asarray([cpu, *gpu], dtype=np.float64), devices)
