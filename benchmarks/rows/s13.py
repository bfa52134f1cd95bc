"""S13: what the client takes: memory, bytes on the wire, import time; and whether interpreters exit."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.harness import ROOT, Value, environment, script

ROW = "S13"
TITLE = "the client: memory, bytes a handle, bytes a small op, import, exits that hang"

_RSS = """
import os
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
"""
MEMORY = (
    _RSS
    + """
import numpy
before = rss()
from cupool import cupy
print((rss() - before) / 1e6)
"""
)
OPEN = (
    _RSS
    + """
import numpy
before = rss()
from cupool import cupy
cupy.arange(8.0).get()
print((rss() - before) / 1e6)
"""
)
HANDLES = (
    _RSS
    + """
import gc
from cupool import cupy as cp
from cupool.shim import session
a = cp.arange(8.0)
kept = [a + a for _ in range(1000)]
session.wait_all()
gc.collect()
before = rss()
more = [a + a for _ in range(100_000)]
session.wait_all()
print((rss() - before) / len(more))
"""
)
WIRE = """
from cupool import cupy as cp
from cupool.shim import session
a, b = cp.arange(8.0), cp.arange(8.0)
c = a + b
session.wait_all()
before = session.statistics()
for _ in range(50_000):
    c = a + b
session.wait_all()
after = session.statistics()
print((after.bytes_up - before.bytes_up) / 50_000)
"""
IMPORT = """
import time
import numpy, grpc
start = time.perf_counter()
from cupool import cupy
print((time.perf_counter() - start) * 1000)
import os, stat
sockets = []
for fd in range(3, 256):
    try:
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            sockets.append(fd)
    except OSError:
        pass  # not open
assert not sockets, "importing the shim opened a socket"
"""
IMPORT_SPARSE = """
import time
import numpy, grpc
start = time.perf_counter()
import cupool
cupool.install()
import cupy
import cupyx.scipy.sparse
print((time.perf_counter() - start) * 1000)
"""
#: What the first command of a program pays for the op table, once.
TABLE = """
import time
from cupool import cupy
start = time.perf_counter()
from cupool.contract.ops import row
row("add")
print((time.perf_counter() - start) * 1000)
"""
#: A program that ends as most do: without closing anything, with live arrays and work in flight.
EXIT = """
from cupool import cupy as cp
a = cp.arange(1000.0)
b = [a + i for i in range(300)]
print(float(a.sum()))
c = [a * i for i in range(300)]
"""
EXIT_LIMIT_S = 20.0


def exit_hangs() -> bool:
    """Run one interpreter to its end; True when it does not end."""
    process = subprocess.Popen(
        [sys.executable, "-c", EXIT],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, err = process.communicate(timeout=EXIT_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    if process.returncode or "499500.0" not in out:
        raise RuntimeError(f"the program failed with status {process.returncode}: {err}")
    return False


def numbers(source: str, times: int) -> list[float]:
    return [float(script(source).split()[0]) for _ in range(times)]


def run(quick: bool) -> list[Value]:
    few = 2 if quick else 5
    exits = int(os.environ.get("CUPOOL_BENCH_EXITS", 4 if quick else 20))
    hangs = sum(exit_hangs() for _ in range(exits))
    return [
        Value("memory after import, above NumPy", numbers(MEMORY, few), "MB", 60),
        Value("memory with a session open, above NumPy", numbers(OPEN, few), "MB", 60),
        Value("memory of a live handle", numbers(HANDLES, few), "bytes", 300),
        Value("wire bytes of a small op, its free included", numbers(WIRE, few), "bytes", 48),
        Value("import of the shim beyond numpy and grpc", numbers(IMPORT, 4 if quick else 11)[1:], "ms", 50),
        Value(
            "import cupy and cupyx.scipy.sparse, beyond numpy and grpc",
            numbers(IMPORT_SPARSE, 4 if quick else 11)[1:],
            "ms",
            60,
        ),
        Value("op table, made at the first command", numbers(TABLE, few), "ms"),
        Value(f"interpreter exits that hang, of {exits}", [hangs], "exits", 0, note="500 by `make prove PART=exits`"),
    ]
