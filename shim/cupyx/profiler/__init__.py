"""`cupyx.profiler`: timing of the program's functions."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from ... import cupy as _cupy


class _PerfCaseResult:
    """Times in seconds: `cpu_times` (n_repeat,), `gpu_times` (devices, n_repeat)."""

    def __init__(self, name: str, ts: Any, devices: tuple[int, ...]) -> None:
        self.name = name
        self._ts = ts
        self._devices = devices

    @property
    def cpu_times(self) -> np.ndarray[Any, Any]:
        """Seconds that each call took the caller."""
        times: np.ndarray[Any, Any] = self._ts[0]
        return times

    @property
    def gpu_times(self) -> np.ndarray[Any, Any]:
        """Seconds between events before and after each call."""
        times: np.ndarray[Any, Any] = self._ts[1:]
        return times

    @staticmethod
    def _line(label: str, t: np.ndarray[Any, Any]) -> str:
        us = t * 1e6
        text = f"    {label}: {us.mean():9.03f} us"
        if t.size > 1:
            text += f"   +/- {us.std():6.03f} (min: {us.min():9.03f} / max: {us.max():9.03f}) us"
        return text

    def to_str(self, show_gpu: bool = False) -> str:
        """One line for people."""
        parts = [self._line("CPU", self._ts[0])]
        if show_gpu:
            parts += [self._line(f"GPU-{d}", self._ts[1 + i]) for i, d in enumerate(self._devices)]
        return f"{self.name:<20s}:{' '.join(parts)}"

    def __repr__(self) -> str:
        return self.to_str(show_gpu=True)

    __str__ = __repr__


def benchmark(
    func: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None, n_repeat: int = 10000, *,
    name: str | None = None, n_warmup: int = 10, max_duration: float = math.inf, devices: tuple[int, ...] | None = None,
) -> _PerfCaseResult:  # fmt: skip
    """Time a function: what each call costs the caller, and what it takes on the device."""
    if not callable(func):
        raise ValueError("`func` should be a callable object.")
    if not isinstance(args, tuple):
        raise ValueError("`args` should be of tuple type.")
    if kwargs is not None and not isinstance(kwargs, dict):
        raise ValueError("`kwargs` should be of dict type.")
    if not isinstance(n_repeat, int):
        raise ValueError("`n_repeat` should be an integer.")
    if devices is not None and not isinstance(devices, tuple):
        raise ValueError("`devices` should be of tuple type")
    keywords = kwargs or {}
    where = (0,) if devices is None else devices
    before, after = _cupy.cuda.Event(), _cupy.cuda.Event()
    for _ in range(n_warmup):
        func(*args, **keywords)
    before.record()
    before.synchronize()
    cpu, gpu, spent = [], [], 0.0
    for _ in range(n_repeat):
        before.record()
        start = time.perf_counter()
        func(*args, **keywords)
        cpu.append(time.perf_counter() - start)
        after.record()
        after.synchronize()
        gpu.append(_cupy.cuda.get_elapsed_time(before, after) * 1e-3)
        spent += time.perf_counter() - start
        if spent > max_duration:
            break
    label = name if name is not None else getattr(func, "__name__", repr(func))
    return _PerfCaseResult(label, np.asarray([cpu, *([gpu] * len(where))], dtype=np.float64), where)


class time_range:
    """Marks for profilers, which attach to the server's process: here it only synchronizes where asked to."""

    def __init__(
        self, message: str | None = None, color_id: Any = None, argb_color: Any = None, sync: bool = False
    ) -> None:
        if color_id is not None and argb_color is not None:
            raise ValueError("Only either color_id or argb_color can be specified")
        self.message = message
        self.sync = sync

    def __enter__(self) -> Self:
        if self.message is None:
            raise ValueError("when used as a context manager, the message argument cannot be None")
        self._wait()
        return self

    def __exit__(self, *exc: object) -> None:
        self._wait()

    def _wait(self) -> None:
        if self.sync:
            _cupy.cuda.runtime.deviceSynchronize()

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def inner(*args: Any, **kwargs: Any) -> Any:
            with time_range(self.message or func.__name__, sync=self.sync):
                return func(*args, **kwargs)

        return inner


@contextmanager
def profile() -> Iterator[None]:
    """Nothing: profilers attach to the server's process."""
    yield


__all__ = ["benchmark", "profile", "time_range"]
