"""S3: whole programs of large arrays, the same source on the CPU device through cupool and on NumPy in one process.

Elementwise programs are what fusion is for; a product and a Fourier transform are bound by libraries that both ends call, and show
that nothing is lost. Each program ends with a number that the host looks at.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import Ratio, Result, alternate, timed
from benchmarks.rows._product import close, open_session, settle

ROW = "S3"
TITLE = "programs of large arrays, wall / the same source on NumPy in one process"

#: Goals: elementwise programs of 10^6 elements and more; programs bound by a library.
ELEMENTWISE, LIBRARY = 0.5, 1.1


def black_scholes(xp: Any, n: int) -> Callable[[], float]:
    """Prices of n European options, a polynomial for the normal distribution (as in CuPy's own finance example)."""
    grid = xp.arange(n, dtype=xp.float64) / n
    spot, strike, years = 5 + 25 * grid, 1 + 99 * grid[::-1].copy(), 0.25 + 9.75 * grid
    rate, sigma = 0.02, 0.3

    def below(d: Any) -> Any:
        k = 1 / (1 + 0.2316419 * xp.abs(d))
        poly = k * (0.31938153 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429))))
        tail = 0.39894228040143267794 * xp.exp(-0.5 * d * d) * poly
        return xp.where(d > 0, 1 - tail, tail)

    def run() -> float:
        root = xp.sqrt(years)
        d1 = (xp.log(spot / strike) + (rate + 0.5 * sigma * sigma) * years) / (sigma * root)
        d2 = d1 - sigma * root
        discounted = strike * xp.exp(-rate * years)
        call = spot * below(d1) - discounted * below(d2)
        put = discounted * below(-d2) - spot * below(-d1)
        return float((call + put).sum())

    return run


def monte_carlo_pi(xp: Any, n: int) -> Callable[[], float]:
    def run() -> float:
        x, y = xp.random.random(n), xp.random.random(n)
        return float((x * x + y * y <= 1).sum()) * 4 / n

    return run


def monte_carlo_option(xp: Any, n: int) -> Callable[[], float]:
    """A call's price from n paths of eight steps, random numbers made beforehand."""
    noise = [xp.random.standard_normal(n) for _ in range(2)]

    def run() -> float:
        price = xp.full(n, 100.0)
        for step in range(8):
            price = price * xp.exp(0.0002 + 0.02 * noise[step % 2])
        return float(xp.maximum(price - 100, 0).mean())

    return run


def stencil(xp: Any, n: int) -> Callable[[], float]:
    """Ten steps of heat on a rod."""
    start = xp.arange(n, dtype=xp.float64) % 97

    def run() -> float:
        u = start.copy()
        for _ in range(10):
            u[1:-1] = u[1:-1] + 0.1 * (u[2:] - 2 * u[1:-1] + u[:-2])
        return float(u.sum())

    return run


def stencil_plane(xp: Any, n: int) -> Callable[[], float]:
    """Ten steps of heat on a square plate."""
    side = int(n**0.5)
    start = (xp.arange(side * side, dtype=xp.float64) % 89).reshape(side, side)

    def run() -> float:
        u = start.copy()
        for _ in range(10):
            u[1:-1, 1:-1] = 0.25 * (u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2])
        return float(u.sum())

    return run


def logistic_map(xp: Any, n: int) -> Callable[[], float]:
    start = (xp.arange(n, dtype=xp.float64) + 1) / (n + 2)

    def run() -> float:
        x = start
        for _ in range(20):
            x = 3.7 * x * (1 - x)
        return float(x.sum())

    return run


def softmax(xp: Any, n: int) -> Callable[[], float]:
    rows = xp.sin(xp.arange(n, dtype=xp.float64)).reshape(-1, 1000)

    def run() -> float:
        e = xp.exp(rows - rows.max(axis=1, keepdims=True))
        return float((e / e.sum(axis=1, keepdims=True)).max())

    return run


def product(xp: Any, n: int) -> Callable[[], float]:
    side = int(n**0.5)
    a = (xp.arange(side * side, dtype=xp.float64) % 13).reshape(side, side)

    def run() -> float:
        return float((a @ a)[0, 0])

    return run


def fourier(xp: Any, n: int) -> Callable[[], float]:
    a = xp.arange(n, dtype=xp.float64) % 17

    def run() -> float:
        return float(xp.abs(xp.fft.ifft(xp.fft.fft(a))).max())

    return run


#: (name, program, goal)
PROGRAMS: tuple[tuple[str, Callable[[Any, int], Callable[[], float]], float], ...] = (
    ("Black-Scholes", black_scholes, ELEMENTWISE),
    ("Monte-Carlo pi", monte_carlo_pi, ELEMENTWISE),
    ("Monte-Carlo option", monte_carlo_option, ELEMENTWISE),
    ("stencil on a line", stencil, ELEMENTWISE),
    ("stencil on a plane", stencil_plane, ELEMENTWISE),
    ("logistic map", logistic_map, ELEMENTWISE),
    ("softmax", softmax, ELEMENTWISE),
    ("matrix product", product, LIBRARY),
    ("Fourier transform", fourier, LIBRARY),
)

#: Others take more than a row may: three minutes.
ELEMENTS = 10**6


#: (what it is called, the servers' settings): as it comes, in the interpreter, command by command.
MODES: tuple[tuple[str, dict[str, str]], ...] = (
    ("", {}),
    ("fusion without the driver", {"CUPOOL_FUSION_THREADS": "1"}),
    ("fusion off", {"CUPOOL_FUSION": "off"}),
)


def run(quick: bool) -> list[Result]:
    """Each program beside NumPy, in each mode."""
    results: list[Result] = []
    for mode, settings in MODES:
        os.environ.update(settings)
        cp = open_session()
        try:
            for name, program, goal in PROGRAMS:
                if goal == ELEMENTWISE or "driver" not in mode:
                    results.append(_ratio(cp, name, program, ELEMENTS, None if mode else goal, mode, quick))
        finally:
            close()
            for setting in settings:
                del os.environ[setting]
    return results


def _ratio(cp: Any, name: str, program: Any, n: int, goal: float | None, mode: str, quick: bool) -> Ratio:
    ours, local = program(cp, n), program(np, n)

    def sample(run: Callable[[], float]) -> float:
        settle()
        return timed(run) * 1e3

    samples = alternate(3 if quick else 5, lambda: sample(ours), lambda: sample(local))
    what = f"{name}, {mode}" if mode else name
    return Ratio(f"{what}, {n:.0e} elements", *samples, unit="ms", goal=goal)
