"""Pages of fresh memory, asked for ahead of whoever fills it.

The system clears a page when it is first touched. That takes longer than copying bytes to it, and whoever copies waits meanwhile; a
second thread that asks for the pages ahead of the copy does it on another core.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import queue
import threading
from typing import Any

import numpy as np

from .limits import MIB

#: Less than this together is not worth a thread.
SMALLEST_BYTES = 32 * MIB
#: What is asked for at a time: so long the address space cannot change, and `stop` waits. The thread is as eager as others
#: for the same reason: one that waits for a processor in the middle of a step holds up the whole process.
_STEP_BYTES = 8 * MIB
# From Linux's mman.h, since 5.14; mmap has no name for it.
_MADV_POPULATE_WRITE = 23

Bytes = np.ndarray[Any, Any]


class Ahead:
    """A thread that touches the pages of arrays, in the order in which they are added, until `stop`. Changes no byte.

    Where the system cannot (an older kernel, no core for it), nothing happens, and pages come as they are touched.

    Args:
        busy: threads that are as busy as this one meanwhile, each of which needs a core.
    """

    def __init__(self, busy: int = 1) -> None:
        self._arrays: queue.SimpleQueue[tuple[Bytes, int] | None] = queue.SimpleQueue()
        self._is_wanted = len(os.sched_getaffinity(0)) > busy if hasattr(os, "sched_getaffinity") else False
        self._thread: threading.Thread | None = None
        self._waiting = 0

    def add(self, array: Bytes, start: int = 0) -> None:
        """A contiguous array, whose memory is about to be filled. It is held until its pages are there.

        Args:
            start: the byte to begin at. Whoever fills the array begins at once: two that ask for the same page clear it twice.
        """
        if not self._is_wanted:
            return
        self._arrays.put((array, start))
        self._waiting += array.nbytes
        if self._thread is None and self._waiting >= SMALLEST_BYTES:
            self._thread = threading.Thread(target=self._run, name="cupool-pages", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        populate = ctypes.CDLL(None, use_errno=True).madvise
        while self._is_wanted and (wanted := self._arrays.get()) is not None:
            array, start = wanted
            first = array.ctypes.data
            low, high = (
                -(-(first + start) // mmap.PAGESIZE) * mmap.PAGESIZE,
                (first + array.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE,
            )
            for at in range(low, high, _STEP_BYTES):
                size = ctypes.c_size_t(min(_STEP_BYTES, high - at))
                # Lets other threads run. Refused by an older kernel, and where memory is short: whoever copies meets that itself.
                if not self._is_wanted or populate(ctypes.c_void_p(at), size, _MADV_POPULATE_WRITE):
                    self._is_wanted = False
                    return
            del array, wanted  # or it would live until the next one comes

    def stop(self) -> None:
        """The memory is filled, or not needed. Waits for the step that is being made."""
        self._is_wanted = False
        self._arrays.put(None)
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        while not self._arrays.empty():
            self._arrays.get_nowait()
