"""`cupool bench`: how fast this pool gives leases, beside a bare call to it, and what a program's first result takes, also by parts."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from . import place, show
from .coldstart import environment_for, measure
from .exits import CliError, Exit
from .link import failure, import_grpc, open_channel, pool_folder, read_secret
from .show import Column, Document

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA = "cupool.bench/1"
COLUMNS = (
    Column("what", "what"),
    Column("p50_ms", "p50 ms", lambda v: f"{v:.2f}", right=True),
    Column("p99_ms", "p99 ms", lambda v: f"{v:.2f}", right=True),
    Column("count", "count", show.number, drop=1, right=True),
)
PART_COLUMNS = (
    Column("what", "part"),
    Column("p50_ms", "p50 ms", lambda v: f"{v:.2f}", right=True),
    Column("least_ms", "least", lambda v: f"{v:.2f}", drop=2, right=True),
    Column("most_ms", "most", lambda v: f"{v:.2f}", drop=2, right=True),
    Column("share", "share", show.percent, drop=1, right=True),
)
WHOLE_COLUMNS = (Column("what", "from process start"), *PART_COLUMNS[1:4])
_PROGRAM = "import cupy as cp; assert float(cp.arange(8).sum()) == 28.0"


_ADDR = click.option(
    "--addr", default="", help="the pool: host:port or unix:/path  [CUPOOL_ADDR, else the pool of this host]"
)
_TOKEN = click.option(
    "--token-file", metavar="FILE", default="", help="file with a client's token  [CUPOOL_TOKEN holds one]"
)
_CA = click.option("--ca", metavar="FILE", default="", help="PEM file of the pool's authority, for TLS  [CUPOOL_CA]")
_FOLDER = click.option(
    "--folder", metavar="DIR", default="", help="folder of the pool of this host  [CUPOOL_POOL_FOLDER]"
)
_JSON = click.option("--json", "as_json", is_flag=True, help="print JSON, with the version of its schema in it")


@click.group(invoke_without_command=True)
@click.option("--cycles", type=click.IntRange(1, 1_000_000), default=200, help="leases taken and given back; 200")
@click.option("--programs", type=click.IntRange(0, 1000), default=3, help="whole programs run; 3")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 3600),
    default=20.0,
    metavar="SECONDS",
    help="how long a lease may queue; 20",
)
@_ADDR
@_TOKEN
@_CA
@_FOLDER
@_JSON
@click.pass_context
def bench(
    context: click.Context,
    cycles: int,
    programs: int,
    wait_s: float,
    addr: str,
    token_file: str,
    ca: str,
    folder: str,
    as_json: bool,
) -> int:
    """Measure leases: a bare call, Acquire, Release, and programs from start to end. Or, by name, what is below.

    It takes leases like any program, one at a time; a pool in use is slowed a little.
    """
    if context.invoked_subcommand is not None:
        return 0
    addr, token, ca = _target(addr, token_file, ca, folder)
    rows = _leases(addr, token, ca, cycles, wait_s)
    if programs:
        rows.append(_programs(addr, token, ca, programs))
    document: Document = {"schema": SCHEMA, "addr": addr, "rows": rows}
    return show.emit(lambda: document, render, as_json, None)


@bench.command()
@click.option("--rounds", type=click.IntRange(1, 1000), default=10, help="how often each program is run; 10")
@_ADDR
@_TOKEN
@_CA
@_FOLDER
@_JSON
def coldstart(rounds: int, addr: str, token_file: str, ca: str, folder: str, as_json: bool) -> int:
    """Each millisecond from the start of a process to its first result, beside `import numpy` alone, and local CuPy where it is."""
    addr, token, ca = _target(addr, token_file, ca, folder)
    document = measure(environment_for(addr, token, ca), rounds)
    return show.emit(lambda: {**document, "addr": addr}, render_coldstart, as_json, None)


def render_coldstart(doc: Document, width: int) -> list[RenderableType]:
    return [
        show.table(PART_COLUMNS, doc["parts"], width),
        show.table(WHOLE_COLUMNS, doc["wholes"], width),
        f"first result / `import numpy` alone: {doc['over_numpy']:.3f}",
    ]


def render(doc: Document, width: int) -> list[RenderableType]:
    return [show.table(COLUMNS, doc["rows"], width)]


def _target(addr: str, token_file: str, ca: str, folder: str) -> tuple[str, str, str]:
    token = read_secret(token_file) if token_file else os.environ.get("CUPOOL_TOKEN", "")
    ca = ca or os.environ.get("CUPOOL_CA", "")
    addr = addr or ("" if folder else os.environ.get("CUPOOL_ADDR", ""))
    if addr:
        return addr, token, ca
    where = pool_folder(folder)
    running = place.read(where)
    if running is None or not running.addr:
        raise CliError(
            Exit.UNREACHABLE,
            f"No pool runs on this host in {where}, and CUPOOL_ADDR is not set.",
            "`cupool up` starts one.",
        )
    return running.addr, token or (read_secret(running.token_file) if running.token_file else ""), ca or running.ca_file


def _leases(addr: str, token: str, ca: str, cycles: int, wait_s: float) -> list[Document]:
    from cupool.v1 import pool_pb2, pool_pb2_grpc

    grpc = import_grpc()
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    taken: dict[str, list[float]] = {"a bare call": [], "acquire": [], "release": []}

    def timed(name: str, method: Callable[..., Any], request: Any) -> Any:
        began = time.perf_counter()
        reply = method(request, timeout=wait_s + 10, metadata=metadata)
        taken[name].append(time.perf_counter() - began)
        return reply

    has_answered = False
    with open_channel(addr, ca) as channel, show.Progress() as progress:
        stub = pool_pb2_grpc.PoolServiceStub(channel)
        started = time.monotonic()
        try:
            for index in range(cycles):
                timed("a bare call", stub.ListSessions, pool_pb2.ListSessionsRequest())
                has_answered = True
                lease = timed(
                    "acquire",
                    stub.Acquire,
                    pool_pb2.AcquireRequest(function="cupool bench", deadline_ms=round(wait_s * 1000)),
                )
                timed(
                    "release",
                    stub.Release,
                    pool_pb2.ReleaseRequest(session=lease.session, session_token=lease.session_token),
                )
                if not index % 50:
                    progress(f"{index} of {cycles} leases", time.monotonic() - started)
        except grpc.RpcError as error:
            raise failure(error, addr, has_answered) from None
    return [_row(name, seconds) for name, seconds in taken.items()]


def _programs(addr: str, token: str, ca: str, count: int) -> Document:
    environment = os.environ | {"CUPOOL_ADDR": addr, "CUPOOL_TOKEN": token, "CUPOOL_CA": ca}
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-P", "-m", "cupool", "run", "-c", _PROGRAM],
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise CliError(Exit.FAILURE, f"A program on the pool failed: {last}", "`cupool doctor` looks for why.")
        seconds.append(time.perf_counter() - began)
    return _row("a whole program", seconds)


def _row(what: str, seconds: list[float]) -> Document:
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, math.ceil(0.99 * len(ordered)) - 1)]
    return {
        "what": what,
        "p50_ms": round(statistics.median(ordered) * 1000, 4),
        "p99_ms": round(p99 * 1000, 4),
        "count": len(ordered),
    }
