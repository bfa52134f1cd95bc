"""`cupy.cuda.memory_hook`: callbacks around what pools of this process take, give out and take back.

While a hook is active in a thread, the arrays that the thread makes come from a pool here, so that hooks see them too.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable
from typing import Any, Self


class _Hooks(threading.local):
    def __init__(self) -> None:
        self.by_name: collections.OrderedDict[str, MemoryHook] = collections.OrderedDict()


_hooks = _Hooks()
#: Called with True when a hook was added in a thread, with False when one was removed.
on_change: list[Callable[[bool], None]] = []


def get_memory_hooks() -> collections.OrderedDict[str, MemoryHook]:
    """This thread's hooks by name."""
    return _hooks.by_name


def active() -> list[MemoryHook]:
    """This thread's hooks."""
    return list(_hooks.by_name.values())


class MemoryHook:
    """Base of hooks: derive, and use with `with`. Each method is called with keywords; by default they do nothing.

    Attributes:
        name: no two hooks of a name are active in one thread.
    """

    __module__ = "cupy.cuda.memory_hook"
    name = "MemoryHook"

    def __enter__(self) -> Self:
        if self.name in _hooks.by_name:
            raise KeyError(f"memory hook {self.name} already exists")
        from . import memory  # noqa: F401 - which listens to `on_change`

        _hooks.by_name[self.name] = self
        for callback in on_change:
            callback(True)
        return self

    def __exit__(self, *exc: object) -> None:
        del _hooks.by_name[self.name]
        for callback in on_change:
            callback(False)

    def alloc_preprocess(self, **kwargs: Any) -> None:
        """Before a pool takes a block from the device: `device_id`, `mem_size` (rounded bytes)."""

    def alloc_postprocess(self, **kwargs: Any) -> None:
        """After that: also `mem_ptr`, 0 where it failed."""

    def malloc_preprocess(self, **kwargs: Any) -> None:
        """Before memory is taken from a pool: `device_id`, `size` (bytes asked for), `mem_size`."""

    def malloc_postprocess(self, **kwargs: Any) -> None:
        """After that: also `mem_ptr` and `pmem_id` (of the memory object), 0 where it failed."""

    def free_preprocess(self, **kwargs: Any) -> None:
        """Before memory goes back to its pool: `device_id`, `mem_size`, `mem_ptr`, `pmem_id`."""

    def free_postprocess(self, **kwargs: Any) -> None:
        """After that."""


__all__ = ["MemoryHook", "get_memory_hooks"]
