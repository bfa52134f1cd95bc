"""`cupyx.time`: where `cupyx.profiler.benchmark` used to be."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from .profiler._time import _PerfCaseResult, benchmark
from .profiler._time import _repeat as _repeat


def repeat(
    func: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: dict[str, Any] = {}, n_repeat: int = 10000, *,  # noqa: B006
    name: str | None = None, n_warmup: int = 10, max_duration: float = math.inf, devices: tuple[int, ...] | None = None,
) -> _PerfCaseResult:  # fmt: skip
    """As `cupyx.profiler.benchmark`, deprecated."""
    warnings.warn(
        "cupyx.time.repeat has been moved to cupyx.profiler.benchmark since CuPy v10. "
        "Access through cupyx.time is deprecated and will be removed in the future.",
        stacklevel=2,
    )
    return benchmark(
        func, args, kwargs, n_repeat, name=name, n_warmup=n_warmup, max_duration=max_duration, devices=devices
    )
