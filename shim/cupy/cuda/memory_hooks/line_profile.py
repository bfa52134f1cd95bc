"""A hook that counts memory by the program's lines."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

from ..memory_hook import MemoryHook

#: Frames below this folder are cupool's own and are not shown.
_OURS = str(Path(__file__).resolve().parents[3])


class _Line:
    """One line of the program as it was reached, with what it and its callees used and took; bytes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.used_bytes = 0
        self.acquired_bytes = 0
        self.callees: dict[str, _Line] = {}

    def write(self, file: Any, depth: int) -> None:
        sizes = f"({_readable(self.used_bytes)}, {_readable(self.acquired_bytes)})"
        file.write(f"{'  ' * depth}{self.name} {sizes}\n")
        for callee in self.callees.values():
            callee.write(file, depth + 1)


def _readable(size: float) -> str:
    for unit in ("", "K", "M", "G", "T", "P", "E"):
        if size < 1024:
            return f"{size:3.2f}{unit}B"
        size /= 1024
    return f"{size:.2f}ZB"


class LineProfileHook(MemoryHook):
    """Counts, for each line on the stack, the bytes it used from pools and those that pools took from the device for it.

    Args:
        max_depth: how many levels to keep, the root included; 0: all.
    """

    __module__ = "cupy.cuda.memory_hooks.line_profile"
    name = "LineProfileHook"

    def __init__(self, max_depth: int = 0) -> None:
        self._max_depth = max_depth
        self._root = _Line("_root")

    def malloc_preprocess(self, **kwargs: Any) -> None:
        self._count(kwargs["mem_size"], 0)

    def alloc_preprocess(self, **kwargs: Any) -> None:
        self._count(0, kwargs["mem_size"])

    def _count(self, used: int, acquired: int) -> None:
        line, depth = self._root, 1
        line.used_bytes += used
        line.acquired_bytes += acquired
        for frame in traceback.extract_stack():
            if str(Path(frame.filename).resolve()).startswith(_OURS):
                continue
            depth += 1
            if 0 < self._max_depth < depth:
                break
            name = f"{frame.filename}:{frame.lineno}:{frame.name}"
            line = line.callees.setdefault(name, _Line(name))
            line.used_bytes += used
            line.acquired_bytes += acquired

    def print_report(self, file: Any = sys.stdout) -> None:
        """Write the lines as a tree: name, bytes used, bytes taken from the device."""
        self._root.write(file, 0)
        file.flush()
