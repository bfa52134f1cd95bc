"""What is measured on a GPU: local CuPy, and the same through cupool on the same GPU.

Local CuPy and the shim cannot share a process (both are `cupy`), so each runs in an interpreter of its own, alternating. With
CUPOOL_GPU_DRY=1 the CPU device and NumPy take their places: that shows that everything runs, and the figures mean nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator

from cupool.pool.cli import coldstart

from benchmarks.harness import Ratio, Result, Value, alternate, environment, script

IS_DRY = os.environ.get("CUPOOL_GPU_DRY") == "1"
DEVICE = "cpu" if IS_DRY else "cuda"
LAUNCH, LOOP = "S1b: caller's time per small op / local launch", "S2: launch-bound loop, wall"

#: A server's first start compiles what it warms up with.
_ENV = {"CUPOOL_DEVICE": DEVICE, "CUPOOL_DEADLINE_S": "60"}
_OURS = "from cupool import cupy as cp\nfrom cupool.shim import session\n" + (
    "cp.zeros(1)\n" if IS_DRY else "assert session.device().kind == 'cuda', 'no GPU'\n"
)
_LOCAL = (
    "import types\nimport numpy as np\ncp = types.SimpleNamespace(**{n: getattr(np, n) for n in dir(np) if n[0] != '_'})\n"
    "cp.cuda = types.SimpleNamespace(Device=lambda: types.SimpleNamespace(synchronize=lambda: None))\n"
    if IS_DRY
    else "import cupy as cp\n"
)
#: Prints, for each repeat, microseconds an operation until all are issued, and until all are done.
_TIMED = """
import time
def wait():
    cp.cuda.Device().synchronize()
run(100)
wait()
for _ in range({repeats}):
    start = time.perf_counter()
    run({rounds})
    issued = time.perf_counter()
    wait()
    print((issued - start) * 1e6 / {ops}, (time.perf_counter() - start) * 1e6 / {ops})
"""
_SMALL = """
a, b = cp.arange(8.0), cp.ones(8)
def run(rounds):
    for _ in range(rounds):
        c = a + b
"""
#: A step of something: five operations on what the last step left.
_STEPS = """
x, v, k = cp.linspace(0.0, 1.0, 4096), cp.zeros(4096), cp.full(4096, 0.01)
def run(rounds):
    global x, v
    for _ in range(rounds):
        f = cp.sin(x) * k
        v = v - f
        x = x + v * k
"""
_ARRAYS = """
import sys, time, json
sys.path.insert(0, {root!r})
from benchmarks.rows.s3 import PROGRAMS
xp, found = cp, {{}}
for name, program, goal in PROGRAMS:
    try:
        run = program(xp, {elements})
        run()
        times = []
        for _ in range({repeats}):
            cp.cuda.Device().synchronize()
            start = time.perf_counter()
            value = run()
            times.append((time.perf_counter() - start) * 1e3)
        found[name] = [sorted(times)[len(times) // 2], value]
    except Exception as error:
        found[name] = ["failed", f"{{type(error).__name__}}: {{error}}"[:300]]
print(json.dumps(found))
"""


def _times(prefix: str, source: str, calls: int, **settings: str) -> list[list[float]]:
    """[issued, done] of each repeat in one process, microseconds an operation."""
    rounds = (1_000 if IS_DRY else 20_000) // calls
    timed = _TIMED.format(rounds=rounds, ops=rounds * calls, repeats=3)
    text = script(prefix + source + timed, env={**_ENV, **settings}, timeout_s=70)
    return [[float(word) for word in line.split()] for line in text.splitlines()[-3:]]


#: How ours runs the loops: its name, its settings.
_WAYS: tuple[tuple[str, dict[str, str]], ...] = (
    ("", {}), (", captured graphs", {"CUPOOL_CUDA_GRAPHS": "on"}), (", command by command", {"CUPOOL_PLANS": "0"}),
)  # fmt: skip


def loops(quick: bool) -> Iterator[Result]:
    """S1b and S2: as it comes, with captured graphs, and without plans."""
    for name, source, calls in (("c = a + b", _SMALL, 1), ("five operations on what the last round left", _STEPS, 5)):
        found: dict[str, list[list[float]]] = {}
        for _ in range(1 if quick else 2):
            for way, settings in _WAYS:
                found.setdefault(way, []).extend(_times(_OURS, source, calls, **settings))
            found.setdefault("local", []).extend(_times(_LOCAL, source, calls))
        local = found.pop("local")
        if source is _SMALL:
            issued = [row[0] for row in found[""]], [row[0] for row in local]
            yield Ratio(LAUNCH, *issued, unit="us", goal=0.2)
        for way, rows in found.items():
            goal = None if "command" in way else 1.0
            what = LOOP if source is _SMALL and not way else f"{LOOP}, {name}{way}"
            yield Ratio(what, [row[1] for row in rows], [row[1] for row in local], unit="us an op", goal=goal)


#: Programs of S3 that are chains of elementwise operations.
CHAINED = ("Black-Scholes", "Monte-Carlo option", "logistic map")


def arrays(quick: bool) -> Iterator[Result]:
    """S3: programs of large arrays, with chains as one kernel and without; ours gives the same number as local CuPy."""
    from benchmarks.harness import ROOT

    repeats, elements = (3, 10**4) if IS_DRY else (3 if quick else 7, 10**7)
    source = _ARRAYS.format(root=str(ROOT), elements=elements, repeats=repeats)
    runs = [(_OURS, _ENV), (_OURS, _ENV | {"CUPOOL_CUDA_FUSION": "on"}), (_LOCAL, _ENV)]
    ours, chains, local = (
        json.loads(script(prefix + source, env=env, timeout_s=80).splitlines()[-1]) for prefix, env in runs
    )
    for way, found in (("", ours), (", by chains", chains)):
        for name, (took, value) in found.items():
            base, expected = local[name]
            if isinstance(took, str) or isinstance(base, str):
                yield Value(f"S3: {name}{way}", [0.0], "failed", note=f"{value} / {expected}")
                continue
            is_same = value == expected or "Monte-Carlo" in name
            note = "" if is_same else f"OTHER NUMBERS: {value!r}, local {expected!r}"
            goal = 0.5 if way and name in CHAINED else None
            yield Ratio(f"S3: {name}, {elements:.0e} elements{way}", [took], [base], unit="ms", goal=goal, note=note)


def start(quick: bool) -> Iterator[Result]:
    """S8: from the start of a process to its first result, of a warm pool and of local CuPy."""
    from benchmarks import pools
    from benchmarks.rows.s8 import IMPORTS

    devices = "cpu:1:1GiB" if IS_DRY else "cuda:1"
    with pools.up("--devices", devices, "--max-sessions", "8", "--warm", "2") as pool:
        env = environment() | {"CUPOOL_ADDR": pool.addr, "CUPOOL_TOKEN": pool.token, "CUPOOL_DEADLINE_S": "60"}

        def whole() -> float:
            pool.wait_warm(2)
            return coldstart.wall_ms(coldstart.WHOLE, env)

        def imported() -> float:
            """What is left of it where a platform has done the imports ahead."""
            pool.wait_warm(2)
            last, took = 0.0, 0.0
            for name, at in coldstart.moments(coldstart.PARTS, env):
                took += 0.0 if name in IMPORTS else at - last
                last = at
            return took

        local_source = coldstart.NUMPY if IS_DRY else coldstart.LOCAL
        ours, rest, local = alternate(2 if quick else 4, whole, imported, lambda: coldstart.wall_ms(local_source, env))
    yield Ratio("local CuPy / cupool, from process start", local, ours, "ms", 15.0, more_is_better=True)
    yield Ratio("local CuPy / cupool with imports done", local, rest, "ms", 40.0, more_is_better=True)


def move(quick: bool) -> Iterator[Result]:
    """S9: a session of random data goes to another server on the same GPU while its program runs."""
    from cupool.shim import cupy as cp

    from benchmarks.moving import world
    from benchmarks.rows.s9 import Program, move_once
    from cupool.contract.limits import GIB, MIB

    options = () if IS_DRY else ("--device", "cuda:0", "--cuda-moves", "on")
    for name, size in (("16 MiB", 16 * MIB), ("1 GiB", 16 * MIB if IS_DRY else GIB)):
        with world("--memory-limit", str(size + 2 * GIB), *options, spare=0) as (there, _):
            kept = [cp.random.default_rng(k).random(2 * MIB) for k in range(size // (16 * MIB))]
            sums = [float(one.sum()) for one in kept]
            program = Program()
            pauses, rates = [], []
            for _ in range(2 if quick else 3):
                pause_ms, took_s, report = move_once(there, program, False, size)
                pauses.append(pause_ms)
                rates.append(report.copied_bytes / took_s / 1e9)
            program.close()
            assert [float(one.sum()) for one in kept] == sums, "other numbers after the moves"
        yield Value(f"S9: {name}, the client's longest pause", pauses, "ms", 50.0)
        yield Value(f"S9: {name}, bytes of a whole move", rates, "GB/s")


def describe(quick: bool) -> Iterator[Result]:
    """What there is: the GPU, its driver, a kernel that compiles, the arena's granules."""
    if IS_DRY:
        yield Value("compute capability", [0.0], "")
        return
    import cupy
    from cupool.apiserver.devices.cuda.driver import Driver

    properties = cupy.cuda.runtime.getDeviceProperties(0)
    said = f"{properties['name'].decode()}, driver {cupy.cuda.runtime.driverGetVersion()}, CuPy {cupy.__version__}"
    yield Value("compute capability", [properties["major"] + properties["minor"] / 10], "", note=said)
    cupy.cuda.Device(0).use()
    free, total = cupy.cuda.Device(0).mem_info
    yield Value("memory free", [free / 2**30], "GiB", note=f"of {total / 2**30:.1f}")
    double = cupy.ElementwiseKernel("float64 x", "float64 y", "y = 2 * x", "cupool_describe")
    assert float(double(cupy.arange(4.0)).sum()) == 12.0
    yield Value("bytes of a mapping", [Driver().granularity(0) / 2**20], "MiB")


#: Name of a part -> the row of the suite that its figures belong to.
ROWS = {"loops": "GPU", "arrays": "S3", "start": "S8", "move": "S9"}
#: Name of a part -> what it measures, one by one: what a part that is stopped had measured is kept.
MEASURED: dict[str, Callable[[bool], Iterator[Result]]] = {
    "machine": describe,
    "loops": loops,
    "arrays": arrays,
    "start": start,
    "move": move,
}
