"""`python program.py SYSTEM STARTED_NS [ADDRESS]`: some small programs through one system; prints figures as JSON.

SYSTEM is numpy (in this process), cupool, rpyc or ray. STARTED_NS is the monotonic clock just before this process was made.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import numpy as np


def resident_mb() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Local:
    """NumPy in this process."""

    small_ops, waits = 5_000, 1_000

    def __init__(self, address: str) -> None:
        self.xp: Any = np

    def up(self, data: np.ndarray) -> Any:
        return data.copy()

    def down(self, array: Any) -> np.ndarray:
        return np.array(array)

    def settle(self, last: Any) -> None:
        """Everything up to `last` is done."""


class Cupool(Local):
    """The shim; the pool is in the environment."""

    small_ops, waits = 5_000, 200

    def __init__(self, address: str) -> None:
        from cupool import cupy

        self.xp = cupy
        cupy.arange(1).get()

    def up(self, data: np.ndarray) -> Any:
        return self.xp.asarray(data)

    def down(self, array: Any) -> np.ndarray:
        return array.get()

    def settle(self, last: Any) -> None:
        self.xp.cuda.Device().synchronize()


class Rpyc(Local):
    """The server's own numpy module, by reference: each operation is a call."""

    small_ops, waits = 500, 200

    def __init__(self, address: str) -> None:
        import rpyc

        host, _, port = address.partition(":")
        self.connection = rpyc.classic.connect(host, int(port))
        self.xp = self.connection.modules.numpy

    def up(self, data: np.ndarray) -> Any:
        from rpyc.utils.classic import deliver

        return deliver(self.connection, data)

    def down(self, array: Any) -> np.ndarray:
        from rpyc.utils.classic import obtain

        return obtain(array)


class Ray(Local):
    """A task for each operation, over references: results stay in the object store until somebody gets them."""

    small_ops, waits = 100, 50

    def __init__(self, address: str) -> None:
        import ray

        ray.init(address=address, log_to_driver=False, logging_level="error")

        @ray.remote
        def function(name: str, *args: Any, **kwargs: Any) -> Any:
            return getattr(np, name)(*args, **kwargs)

        @ray.remote
        def method(name: str, array: Any, *args: Any, **kwargs: Any) -> Any:
            return getattr(array, name)(*args, **kwargs)

        class Array:
            def __init__(self, ref: Any) -> None:
                self.ref = ref

            def __getattr__(self, name: str) -> Any:
                if name.startswith("__"):
                    raise AttributeError(name)
                return lambda *args, **kwargs: Array(method.remote(name, self.ref, *map(plain, args), **kwargs))

            def __float__(self) -> float:
                return float(ray.get(self.ref))

        def plain(value: Any) -> Any:
            return value.ref if isinstance(value, Array) else value

        def operator(name: str) -> Any:
            return lambda self, *others: Array(method.remote(name, self.ref, *map(plain, others)))

        for name in (
            "add",
            "radd",
            "sub",
            "rsub",
            "mul",
            "rmul",
            "truediv",
            "rtruediv",
            "pow",
            "neg",
            "abs",
            "gt",
            "eq",
            "getitem",
        ):
            setattr(Array, f"__{name}__", operator(f"__{name}__"))

        class Module:
            def __getattr__(self, name: str) -> Any:
                return lambda *args, **kwargs: Array(function.remote(name, *map(plain, args), **kwargs))

        self.ray, self.array, self.xp = ray, Array, Module()

    def up(self, data: np.ndarray) -> Any:
        return self.array(self.ray.put(data))

    def down(self, array: Any) -> np.ndarray:
        return self.ray.get(array.ref)

    def settle(self, last: Any) -> None:
        self.ray.wait([last.ref], fetch_local=False)


SYSTEMS: dict[str, type[Local]] = {"numpy": Local, "cupool": Cupool, "rpyc": Rpyc, "ray": Ray}


def black_scholes(xp: Any, spot: Any, strike: Any, years: Any) -> Any:
    """The mean call price, by elementwise operations."""

    def cdf(x: Any) -> Any:
        k = 1 / (1 + abs(x) * 0.2316419)
        poly = k * (k * (k * (k * (k * 1.330274429 + -1.821255978) + 1.781477937) + -0.356563782) + 0.319381530)
        tail = xp.exp(x * x * -0.5) * 0.3989422804014327 * poly
        return xp.where(x > 0, 1 - tail, tail)

    spread = xp.sqrt(years) * 0.3
    d1 = (xp.log(spot / strike) + years * 0.065) / spread
    return (spot * cdf(d1) - strike * xp.exp(years * -0.02) * cdf(d1 - spread)).mean()


def k_means(xp: Any, points: Any, centres: Any, steps: int) -> float:
    """The last movement; one look a step."""
    for _ in range(steps):
        apart = points[:, None, :] - centres[None, :, :]
        labels = (apart * apart).sum(axis=2).argmin(axis=1)
        member = labels[:, None] == xp.arange(8)[None, :]
        sums = (member[:, :, None] * points[:, None, :]).sum(axis=0)
        moved = sums / xp.maximum(member.sum(axis=0), 1)[:, None]
        shift = float(abs(moved - centres).max())
        centres = moved
    return shift


def median(samples: list[float]) -> float:
    return float(np.median(samples))


def seconds(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    name, started_ns = sys.argv[1], int(sys.argv[2])
    before_mb = resident_mb()
    begun = time.perf_counter()
    system = SYSTEMS[name](sys.argv[3] if len(sys.argv) > 3 else "")
    xp = system.xp
    assert float(xp.arange(8).sum()) == 28.0
    found = {
        "start_ms": (time.monotonic_ns() - started_ns) / 1e6,
        "connect_ms": (time.perf_counter() - begun) * 1e3,
        "client_mb": resident_mb() - before_mb,
    }
    a, b = system.up(np.arange(8.0)), system.up(np.ones(8))

    def small(count: int) -> None:
        c = a
        for _ in range(count):
            c = c + b
        system.settle(c)
        assert float(c.sum()) == 28.0 + 8 * count

    small(50)
    found["small_op_us"] = median([seconds(lambda: small(system.small_ops)) / system.small_ops * 1e6 for _ in range(3)])
    found["wait_us"] = median([seconds(lambda: float(a.sum())) * 1e6 for _ in range(system.waits)])
    data = np.random.default_rng(1).normal(size=1 << 20)  # 8 MiB
    held = [system.up(data)]

    def up() -> None:
        held[0] = system.up(data)
        system.settle(held[0])

    found["up_gbs"] = data.nbytes / median([seconds(up) for _ in range(3)]) / 1e9
    found["down_gbs"] = data.nbytes / median([seconds(lambda: system.down(held[0])) for _ in range(3)]) / 1e9
    assert system.down(held.pop())[-1] == data[-1]
    rng = np.random.default_rng(7)
    market = [system.up(rng.uniform(low, high, 1_000_000)) for low, high in ((5, 30), (1, 100), (0.25, 10))]
    found["black_scholes_s"] = median([seconds(lambda: float(black_scholes(xp, *market))) for _ in range(3)])
    points = system.up(rng.normal(size=(2000, 3)))
    centres = points[:8]
    found["k_means_s"] = median([seconds(lambda: k_means(xp, points, centres, 20)) for _ in range(2)])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
