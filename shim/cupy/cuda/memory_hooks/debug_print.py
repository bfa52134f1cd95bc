"""A hook that prints a line of JSON for each block taken, and each piece given out and taken back."""

from __future__ import annotations

import sys
from typing import Any

from ..memory_hook import MemoryHook


class DebugPrintHook(MemoryHook):
    """Prints what is done, after it was done.

    Args:
        file: where to write.
        flush: flush after each line.
    """

    __module__ = "cupy.cuda.memory_hooks.debug_print"
    name = "DebugPrintHook"

    def __init__(self, file: Any = sys.stdout, flush: bool = True) -> None:
        self.file = file
        self.flush = flush

    def _line(self, hook: str, facts: dict[str, Any], names: tuple[str, ...]) -> None:
        items = [f'"hook":"{hook}"']
        for name in names:
            value = facts[name]
            items.append(f'"{name}":"{value:#x}"' if name == "pmem_id" else f'"{name}":{value}')
        self.file.write("{" + ",".join(items) + "}\n")
        if self.flush:
            self.file.flush()

    def alloc_postprocess(self, **kwargs: Any) -> None:
        self._line("alloc", kwargs, ("device_id", "mem_size", "mem_ptr"))

    def malloc_postprocess(self, **kwargs: Any) -> None:
        self._line("malloc", kwargs, ("device_id", "size", "mem_size", "mem_ptr", "pmem_id"))

    def free_postprocess(self, **kwargs: Any) -> None:
        self._line("free", kwargs, ("device_id", "mem_size", "mem_ptr", "pmem_id"))
