"""The cache of plans: per thread, least recently used first out. It holds what CuPy's would; nothing on the server depends on it."""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any


class _Node:
    """A cached plan.

    Attributes:
        key: what it was made of.
        plan: the plan.
        memsize: bytes of its work area.
        gpus: None: one device.
    """

    __slots__ = ("gpus", "key", "memsize", "plan")

    def __init__(self, key: tuple[Any, ...], plan: Any) -> None:
        self.key, self.plan = key, plan
        area = plan.work_area
        self.memsize = 0 if area is None else int(area.mem.size)
        self.gpus = plan.gpus

    def __repr__(self) -> str:
        return f"key: {self.key}, plan type: {type(self.plan).__name__}, memory usage: {self.memsize}"


class PlanCache:
    """A cache of FFT plans, as `cupy.fft._cache.PlanCache`.

    Args:
        size: most plans; -1: no limit, 0: no caching.
        memsize: most bytes of work areas; -1: no limit, 0: no caching.
        dev: the device.
    """

    def __init__(self, size: int = 16, memsize: int = -1, dev: int = -1) -> None:
        self._validate(size, memsize)
        self._size, self._memsize = size, memsize
        self._dev = max(dev, 0)
        self.clear()

    @staticmethod
    def _validate(size: int, memsize: int) -> None:
        if size < -1 or memsize < -1:
            raise ValueError("invalid input")

    def is_enabled(self) -> bool:
        """Whether it keeps anything."""
        return self._size != 0 and self._memsize != 0

    def __getitem__(self, key: tuple[Any, ...]) -> Any:
        if not self.is_enabled():
            return None
        node = self._nodes.get(key)
        if node is None:
            self._misses += 1
            raise KeyError(f"plan not found for key: {key}")
        self._nodes.move_to_end(key)
        self._hits += 1
        return node.plan

    def __setitem__(self, key: tuple[Any, ...], plan: Any) -> None:
        if not self.is_enabled():
            return
        node = _Node(key, plan)
        if node.memsize > self._memsize > 0:
            raise RuntimeError("the plan memsize is too large")
        self._nodes.pop(key, None)
        self._shrink(
            self._size - 1 if self._size != -1 else -1, self._memsize - node.memsize if self._memsize != -1 else -1
        )
        self._nodes[key] = node

    def __delitem__(self, key: tuple[Any, ...]) -> None:
        if not self.is_enabled():
            return
        if self._nodes.pop(key, None) is None:
            self._misses += 1
            raise KeyError(f"plan not found for key: {key}")
        self._hits += 1

    def __iter__(self) -> Iterator[tuple[tuple[Any, ...], _Node]]:
        """(key, node), most recently used first; looking does not use them. Goes on from where the last one is by then."""
        order = list(self._nodes)
        place = len(order)
        while place > 0:
            key = order[place - 1]
            yield key, self._nodes[key]
            order = list(self._nodes)
            place = order.index(key) if key in self._nodes else 0

    def __repr__(self) -> str:
        def limit(n: int) -> str:
            return "(unlimited)" if n == -1 else str(n)

        lines = [
            f"------------------- cuFFT plan cache (device {self._dev}) -------------------",
            f"cache enabled? {self.is_enabled()}",
            f"current / max size   : {self.get_curr_size()} / {limit(self._size)} (counts)",
            f"current / max memsize: {self.get_curr_memsize()} / {limit(self._memsize)} (bytes)",
            f"hits / misses: {self._hits} / {self._misses} (counts)",
            "",
            "cached plans (most recently used first):",
            *(repr(node) for _, node in self),
        ]
        return "\n".join(lines) + "\n"

    def _shrink(self, size: int, memsize: int) -> None:
        while self._nodes and (
            (size != -1 and len(self._nodes) > size) or (memsize != -1 and self.get_curr_memsize() > memsize)
        ):
            self._nodes.popitem(last=False)

    def set_size(self, size: int) -> None:
        """Most plans; the oldest beyond it go."""
        self._validate(size, self._memsize)
        self._shrink(size, self._memsize)
        self._size = size

    def get_size(self) -> int:
        """Most plans."""
        return self._size

    def get_curr_size(self) -> int:
        """Plans in it."""
        return len(self._nodes)

    def set_memsize(self, memsize: int) -> None:
        """Most bytes of work areas; the oldest plans beyond it go."""
        self._validate(self._size, memsize)
        self._shrink(self._size, memsize)
        self._memsize = memsize

    def get_memsize(self) -> int:
        """Most bytes of work areas."""
        return self._memsize

    def get_curr_memsize(self) -> int:
        """Bytes of work areas in it."""
        return sum(node.memsize for node in self._nodes.values())

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        """The plan of a key, which counts as using it; else `default`."""
        try:
            plan = self[key]
        except KeyError:
            return default
        return default if plan is None else plan

    def clear(self) -> None:
        """Forget every plan and the counts."""
        self._nodes: OrderedDict[tuple[Any, ...], _Node] = OrderedDict()
        self._hits = self._misses = 0

    def show_info(self) -> None:
        """Print what is in it."""
        print(self)


class _Caches(threading.local):
    cache: PlanCache | None = None


_caches = _Caches()


def _experimental(name: str) -> None:
    warnings.warn(f"{name} is experimental. The interface can change in the future.", FutureWarning, stacklevel=3)


def get_plan_cache() -> PlanCache:
    """This thread's cache."""
    cache = _caches.cache
    if cache is None:
        cache = _caches.cache = PlanCache(dev=0)
    return cache


def get_plan_cache_size() -> int:
    """Most plans in this thread's cache."""
    _experimental("cupy.fft.cache.get_plan_cache_size")
    return get_plan_cache().get_size()


def set_plan_cache_size(size: int) -> None:
    """Set the most plans in this thread's cache."""
    _experimental("cupy.fft.cache.set_plan_cache_size")
    get_plan_cache().set_size(size)


def get_plan_cache_max_memsize() -> int:
    """Most bytes of work areas in this thread's cache."""
    _experimental("cupy.fft.cache.get_plan_cache_max_memsize")
    return get_plan_cache().get_memsize()


def set_plan_cache_max_memsize(size: int) -> None:
    """Set the most bytes of work areas in this thread's cache."""
    _experimental("cupy.fft.cache.set_plan_cache_max_memsize")
    get_plan_cache().set_memsize(size)


def clear_plan_cache() -> None:
    """Forget this thread's plans."""
    _experimental("cupy.fft.cache.clear_plan_cache")
    get_plan_cache().clear()


def show_plan_cache_info() -> None:
    """Print what is in this thread's cache."""
    print("=============== cuFFT plan cache info (all devices) ===============")
    cache = _caches.cache
    if cache is None:
        print("------------------- cuFFT plan cache (device 0) -------------------")
        print("(uninitialized)\n")
    else:
        cache.show_info()
