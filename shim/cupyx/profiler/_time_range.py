"""`cupyx.profiler.time_range`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Self

from ...cupy import cuda as _cuda


class time_range:
    """Marks what happens in a `with` block, or in a function that it decorates, for a profiler (NVTX).

    Args:
        message: what the mark says; a decorated function's name by default.
        color_id: number of a colour.
        argb_color: a colour, 0xAARRGGBB.
        sync: wait for the device before and after.

    Raises:
        RuntimeError: there is no NVTX.
        ValueError: both colours are given, or a `with` block has no message.
    """

    def __init__(
        self, message: str | None = None, color_id: int | None = None, argb_color: int | None = None, sync: bool = False
    ) -> None:
        if not _cuda.nvtx.available:
            raise RuntimeError("nvtx is not installed")
        if color_id is not None and argb_color is not None:
            raise ValueError("Only either color_id or argb_color can be specified")
        self.message = message
        self.color_id = -1 if color_id is None else color_id
        self.argb_color = argb_color
        self.sync = sync

    def __enter__(self) -> Self:
        if self.message is None:
            raise ValueError("when used as a context manager, the message argument cannot be None")
        self._wait()
        if self.argb_color is not None:
            _cuda.nvtx.RangePushC(self.message, self.argb_color)
        else:
            _cuda.nvtx.RangePush(self.message, self.color_id)
        return self

    def __exit__(self, *exc: object) -> None:
        self._wait()
        _cuda.nvtx.RangePop()

    def _wait(self) -> None:
        if self.sync:
            _cuda.runtime.deviceSynchronize()

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def inner(*args: Any, **kwargs: Any) -> Any:
            if self.message is None:
                self.message = func.__name__
            with self:
                return func(*args, **kwargs)

        return inner
