"""The same programs through cupool, NumPy in one process, cupool with a wait after every call, and the peers that are installed.

Peers live in an interpreter of their own, `.venv-peers` (`make peers`): they bring more than all of cupool. Each is used as its users do,
over loopback: RPyC's classic mode with the server's own numpy module, Ray with a task for each operation.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.harness import ROOT, Missing, Ratio, Result, environment
from benchmarks.rows._product import pool

ROW = "PEERS"
TITLE = "cupool / others, the same programs in one run; RPyC and Ray as their users call NumPy remotely"
TIMEOUT_S = 400
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
SYSTEMS = ROOT / "benchmarks" / "systems"
#: What a client may take for all of its programs, seconds.
LIMIT_S = 150.0

#: Key of a figure -> (what it is, unit, more is better).
FIGURES = {
    "small_op_us": ("c = c + b of 8 elements, results there", "us", False),
    "wait_us": ("a sum made and fetched", "us", False),
    "up_gbs": ("8 MiB up", "GB/s", True),
    "down_gbs": ("8 MiB down", "GB/s", True),
    "black_scholes_s": ("Black-Scholes, 10^6 options", "s", False),
    "k_means_s": ("k-means, 20 steps with a look each", "s", False),
    "connect_ms": ("connect, session, first result; the system's import included", "ms", False),
    "start_ms": ("process start to first result", "ms", False),
    "client_mb": ("memory of the client above NumPy's, first result there", "MB", False),
}
#: Where another may be ahead, and why.
WHY = {
    ("ray", "down_gbs"): "Ray maps its object store read-only: nothing is copied, and nothing may be written",
    ("rpyc", "client_mb"): "RPyC is Python over a socket; cupool has grpcio, for TLS, flow control and other languages",
    ("rpyc", "start_ms"): "RPyC is Python over a socket: there is no grpcio to import, and its server is not leased",
    (
        "rpyc",
        "connect_ms",
    ): "RPyC's client is a socket and a thread; cupool's session is leased, then attached over HTTP/2",
    (
        "rpyc",
        "wait_us",
    ): "RPyC's call is one write and one read of a socket by one thread; gRPC frames and polls beneath it",
    (
        "ray",
        "up_gbs",
    ): "Ray's client writes into the node's shared memory; cupool's ring is read by the server, which copies it out",
}
NAMES = {"numpy": "NumPy in one process", "sync": "cupool, a wait after every call", "rpyc": "RPyC", "ray": "Ray"}
PEERS = ("rpyc", "ray")


@contextmanager
def served(name: str) -> Iterator[str]:
    """The address of a peer's server, which ends with the block."""
    process = subprocess.Popen(
        [str(PEERS_PYTHON), str(SYSTEMS / "serve.py"), name],
        cwd=ROOT, env=peer_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError(f"{NAMES[name]}'s server did not start; see its error above")
        yield address
    finally:
        process.stdin.close()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def peer_environment() -> dict[str, str]:
    """Without this repository's code on the path, and without reports to anybody."""
    kept = {k: v for k, v in environment().items() if k not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    # Ray's own default has a token for its cluster, which server and client must know.
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "benchmark" * 4}
    return {**kept, **token, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def figures(name: str, address: str, env: dict[str, str]) -> dict[str, float]:
    """One run of the programs. Raises RuntimeError when it fails."""
    python = str(PEERS_PYTHON) if name in PEERS else sys.executable
    system = "cupool" if name == "sync" else name
    done = subprocess.run(
        [python, str(SYSTEMS / "program.py"), system, str(time.monotonic_ns()), address],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the programs failed through {name}: {done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def installed() -> list[str]:
    """Of the peers, those that are here."""
    if not PEERS_PYTHON.exists():
        return []
    code = "import importlib.util as u; print(*(n for n in ('rpyc', 'ray') if u.find_spec(n)))"
    return subprocess.run([str(PEERS_PYTHON), "-c", code], capture_output=True, text=True).stdout.split()


def run(quick: bool) -> list[Result]:
    peers = installed()
    with ExitStack() as stack:
        address, token = stack.enter_context(pool("cpu:1:4GiB"))
        ours = {**environment(), "CUPOOL_ADDR": address, "CUPOOL_TOKEN": token}
        runs: dict[str, tuple[str, dict[str, str]]] = {
            "cupool": ("", ours),
            "sync": ("", {**ours, "CUPOOL_SYNC": "1"}),
            "numpy": ("", environment()),
        }
        runs |= {name: (stack.enter_context(served(name)), peer_environment()) for name in peers}
        seen: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
        for round_ in range(1 if quick else 3):
            for name, (where, env) in runs.items():
                found = figures(name, where, env)
                if round_ or quick:  # the first fills caches
                    seen[name].append(found)
    results: list[Result] = []
    for name in NAMES:
        if name not in seen:
            results.append(Missing(f"against {NAMES[name]}", "not installed here: `make peers`"))
            continue
        for key, (what, unit, more) in FIGURES.items():
            if name == "numpy" and key in ("connect_ms", "start_ms", "client_mb", "up_gbs", "down_gbs"):
                continue  # other rows have those
            mine, theirs = ([f[key] for f in seen[n]] for n in ("cupool", name))
            if any(value <= 0 for value in theirs):
                continue
            ratio = Ratio(f"{NAMES[name]}: {what}", mine, theirs, unit, 1.0 if name in PEERS else None, more)
            why = WHY.get((name, key), "") if ratio.is_met is False else ""
            results.append(Ratio(ratio.what, mine, theirs, unit, ratio.goal, more, why))
    return results
