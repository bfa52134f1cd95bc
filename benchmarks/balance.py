"""`python -m benchmarks.balance [--policies …] [--count N] [--seed N] [--model]`: queueing under a load, by balancing policy.

Real: a pool of four hosts on this machine, each with one CPU device, and the jobs of a load shape as programs of their own. A CPU device
has no time of its own to share, so each job's work is a kernel that holds its device's lock (a file's) for 50 ms at a time: sessions of a
device take turns, as on a GPU. Memory is a hundredth of the shape's; time is the shape's.

Model: the same jobs and the same policy over four processors that are shared as `balancer/costs.py` assumes, in steps of 50 ms; no pool.

Simulation: the same jobs and memory through `cupool simulate`'s pool: the controller's own code, devices shared equally.

Queueing of a job: from when it asks for its lease until it ends, less how long one of its function runs alone on such a pool, which is
measured first (in the others: work by demand). All go, with mean and p95, and the simulation's mean by the real one, into
`benchmarks/results/balance-<shape>.json`; a policy that was run before keeps its figures until it is run again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cupool.balancer import policy, workload
from cupool.balancer.monitor import INTERVAL_S, Monitor
from cupool.balancer.snapshot import NEVER, Device, Session, Snapshot, Waiting
from cupool.balancer.workload import Job

from benchmarks.__main__ import RESULTS
from benchmarks.harness import ROOT, environment, machine, mark_run
from benchmarks.pools import cupool
from cupool import simulate
from cupool.simulation.scenario import Scenario

DEVICES, SESSIONS = 4, 4
SCALE = 0.01  #: of memory
QUANTUM_S = 0.05
#: Between the start of a job's process and its moment: it has imported everything by then.
AHEAD_S = 4.0
LINK_BYTES_A_S = 1e9
#: Courses of the simulation: jobs and their times are the same, what else is random is not.
RUNS = 5
HOLD = r"""
extern "C" int open(const char*, int, ...);
extern "C" int flock(int, int);
extern "C" int close(int);
extern "C" int usleep(unsigned);
extern "C" char* getenv(const char*) noexcept;
extern "C" __global__ void hold(float* held, int us) {
    int lock = open(getenv("BENCH_DEVICE"), 02 | 0100, 0600);
    if (lock < 0) { held[0] = -1; return; }
    flock(lock, 2);
    usleep(us);
    flock(lock, 8);
    close(lock);
    held[0] += 1;
}
"""


# ---- one job, in a process of its own


def job_main(text: str) -> int:
    """Run a job at its moment; prints when it asked and ended (CLOCK_MONOTONIC), and how often its kernel ran."""
    said = json.loads(text)
    import cupool as facade

    facade.install()
    import cupy  # type: ignore[import-not-found]

    kernel = cupy.RawKernel(HOLD, "hold")
    time.sleep(max(0.0, said["at"] - time.monotonic()))
    asked = time.monotonic()
    held = cupy.zeros(max(1, said["used_bytes"] // 4), dtype=cupy.float32)
    steps = max(1, round(said["work_s"] / QUANTUM_S))
    pause_s = QUANTUM_S * (1.0 / said["demand"] - 1.0)
    for _ in range(steps):
        kernel((1,), (1,), (held, cupy.int32(QUANTUM_S * 1e6)))
        cupy.cuda.get_current_stream().synchronize()
        time.sleep(pause_s)
    ran = int(held[0])
    print(json.dumps({"asked": asked, "ended": time.monotonic(), "ran": ran, "steps": steps}), flush=True)
    return 0 if ran == steps else 1


# ---- the pool


@contextlib.contextmanager
def hosts(name: str) -> Iterator[dict[str, Any]]:
    """`cupool up` with one device, and three more hosts that join it; each host's servers know their device's lock."""
    with tempfile.TemporaryDirectory(prefix="cupool-balance-") as base:
        folder = Path(base)
        size = f"{int(workload.DGSF_DEVICE_BYTES * SCALE)}"
        (folder / "cupool.toml").write_text('[security]\nsandbox = "off"\n')  # the lock is a file outside of it
        device = ["--devices", f"cpu:1:{size}", "--config", str(folder / "cupool.toml")]
        before = dict(os.environ)
        try:
            os.environ["BENCH_DEVICE"] = str(folder / "device-0")
            cupool("up", "--folder", str(folder / "pool"), *device, "--max-sessions", str(SESSIONS), "--balance", name)
            said = json.loads((folder / "pool" / "pool.json").read_text())
            for n in range(1, DEVICES):
                os.environ["BENCH_DEVICE"] = str(folder / f"device-{n}")
                words = ["--token-file", str(folder / "pool" / "agent-token"), "--folder", str(folder / f"host-{n}")]
                cupool("join", said["agent_addr"], *words, *device)
            yield said
        finally:
            for n in range(1, DEVICES):
                with contextlib.suppress(RuntimeError):
                    cupool("down", "--now", "--folder", str(folder / f"host-{n}"))
            cupool("down", "--now", "--folder", str(folder / "pool"))
            os.environ.clear()
            os.environ.update(before)


def alone() -> dict[str, float]:
    """How long each function runs with a device of its own, by its name: as many at once as there are devices."""
    jobs = [
        replace(f, id=f"{f.name}-alone", at_s=20.0 * (n // DEVICES), memory_bytes=workload.DGSF_DEVICE_BYTES)
        for n, f in enumerate(workload.DGSF_FUNCTIONS)
    ]
    return {job.name: round(took_s, 3) for job, took_s in zip(jobs, run(jobs, "none")[0], strict=True)}


def real(jobs: Sequence[Job], name: str, alone_s: dict[str, float]) -> dict[str, float]:
    """The figures of a policy with real processes. Raises RuntimeError: a job failed."""
    took, moves = run(jobs, name)
    return figures([t - alone_s[job.name] for job, t in zip(jobs, took, strict=True)]) | moves


def run(jobs: Sequence[Job], name: str) -> tuple[list[float], dict[str, float]]:
    """How long each job took, in seconds, and how many moves ended how. Raises RuntimeError: a job failed."""
    with hosts(name) as pool:
        env = environment() | {
            "CUPOOL_ADDR": pool["addr"],
            "CUPOOL_TOKEN": Path(pool["token_file"]).read_text().strip(),
            "CUPOOL_DEADLINE_S": "600",
        }
        began = time.monotonic() + AHEAD_S
        running: list[tuple[Job, subprocess.Popen[str]]] = []
        for job in jobs:
            time.sleep(max(0.0, began + job.at_s - AHEAD_S - time.monotonic()))
            text = {
                "at": began + job.at_s,
                "work_s": job.work_s,
                "demand": job.demand,
                "used_bytes": int(job.used_bytes * SCALE),
            }
            words = [sys.executable, "-m", "benchmarks.balance", "--job", json.dumps(text)]
            own = env | {"CUPOOL_MEMORY": str(int(job.memory_bytes * SCALE))}
            running.append((job, subprocess.Popen(words, cwd=ROOT, env=own, stdout=subprocess.PIPE, text=True)))
        took = []
        for job, process in running:
            out, _ = process.communicate(timeout=600)
            if process.returncode:
                raise RuntimeError(f"the job {job.id} failed under {name}: {out!r}")
            told = json.loads(out.splitlines()[-1])
            took.append(told["ended"] - told["asked"])
        counts = json.loads(cupool("status", "--json", "--folder", str(Path(pool["token_file"]).parent)))["pool"].get(
            "moves", []
        )
        moves = {c["outcome"]: c["count"] for c in counts}
    return took, {f"moves_{k.replace('-', '_')}": float(v) for k, v in moves.items()}


def figures(queued: Sequence[float]) -> dict[str, float]:
    ordered = sorted(max(0.0, q) for q in queued)
    return {
        "jobs": len(ordered),
        "mean_s": round(statistics.mean(ordered), 3),
        "p95_s": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 3),
    }


# ---- the model


class _Running:
    def __init__(self, job: Job, device: int, now: float) -> None:
        self.job, self.device, self.began = job, device, now
        self.left_s, self.got, self.paused_s = job.work_s, 0.0, 0.0
        self.to, self.copy_s, self.moves, self.moved_at = -1, 0.0, 0, 0.0


def shared(demands: Sequence[float]) -> list[float]:
    """What each of those that want one device for these shares of the time, at random moments, gets of it."""
    got = []
    for mine, own in enumerate(demands):
        others = [1.0]  # the probability that so many others want it too
        for n, wanted in enumerate(demands):
            if n != mine:
                others = [
                    (others[k] if k < len(others) else 0.0) * (1.0 - wanted) + (others[k - 1] * wanted if k else 0.0)
                    for k in range(len(others) + 1)
                ]
        got.append(own * sum(p / (k + 1) for k, p in enumerate(others)))
    return got


def model(jobs: Sequence[Job], name: str) -> dict[str, float]:
    """The figures of a policy, computed."""
    monitor, memory = Monitor(), policy.Memory()
    waiting: list[Job] = []
    running: dict[str, _Running] = {}
    queued: list[float] = []
    coming = sorted(jobs, key=lambda j: (j.at_s, j.id))
    step, moves = 0, 0
    while coming or waiting or running:
        now = step * QUANTUM_S
        while coming and coming[0].at_s <= now:
            waiting.append(coming.pop(0))
        for job in list(waiting):
            device = _place(job, running)
            if device >= 0:
                waiting.remove(job)
                running[job.id] = _Running(job, device, now)
        for device in range(DEVICES):
            here = [r for r in running.values() if r.device == device and r.paused_s <= 0.0]
            for one, got in zip(here, shared([r.job.demand for r in here]), strict=True):
                one.got = got
                one.left_s -= got * QUANTUM_S
        for id, one in list(running.items()):
            if one.paused_s > 0.0:
                one.got, one.paused_s = 0.0, one.paused_s - QUANTUM_S
            one.copy_s -= QUANTUM_S
            if one.to >= 0 and one.copy_s <= 0.0:
                one.device, one.to, one.paused_s = one.to, -1, policy.Tuning().pause_s
                one.moves, one.moved_at, moves = one.moves + 1, now, moves + 1
            if one.left_s <= 0.0:
                queued.append(now + QUANTUM_S - one.job.at_s - one.job.alone_s)
                del running[id]
        if step % round(INTERVAL_S / QUANTUM_S) == 0:
            decision = policy.decide(monitor.take(_snapshot(now, running, waiting, name)), memory)
            memory = decision.memory
            for move in decision.moves:
                one = running[move.session]
                one.to, one.copy_s = int(move.destination), one.job.used_bytes * SCALE / LINK_BYTES_A_S
        step += 1
    return figures(queued) | {"moves": float(moves)}


def _on(running: dict[str, _Running], device: int) -> list[_Running]:
    return [r for r in running.values() if device in (r.device, r.to)]


def _place(job: Job, running: dict[str, _Running]) -> int:
    """Where the pool would put it (`pool/placement.py`): best fit by memory, then by load; -1: nowhere."""
    fitting = []
    for device in range(DEVICES):
        here = _on(running, device)
        left = workload.DGSF_DEVICE_BYTES - sum(r.job.memory_bytes for r in here)
        if len(here) < SESSIONS and left >= job.memory_bytes:
            fitting.append((left, sum(r.got for r in here), len(here), device))
    return min(fitting)[3] if fitting else -1


def _snapshot(now: float, running: dict[str, _Running], waiting: Sequence[Job], name: str) -> Snapshot:
    devices = []
    for n in range(DEVICES):
        here = _on(running, n)
        devices.append(
            Device(
                str(n),
                memory_bytes=workload.DGSF_DEVICE_BYTES,
                promised_bytes=sum(r.job.memory_bytes for r in here),
                utilisation=min(1.0, sum(r.got for r in running.values() if r.device == n)),
                sessions=len(here),
                max_sessions=SESSIONS,
                link_bytes_a_s=LINK_BYTES_A_S,
                node=f"host-{n}",
            )
        )
    sessions = [
        Session(
            id,
            str(r.device),
            memory_bytes=r.job.memory_bytes,
            used_bytes=int(r.job.used_bytes * SCALE),
            utilisation=r.got,
            age_s=now - r.began,
            last_move_s=now - r.moved_at if r.moves else NEVER,
            moves=r.moves,
            moving=r.to >= 0,
            destination=str(r.to) if r.to >= 0 else "",
        )
        for id, r in running.items()
    ]
    wishes = [Waiting(memory_bytes=j.memory_bytes, waited_s=now - j.at_s) for j in waiting]
    return Snapshot(now, tuple(devices), tuple(sessions), tuple(wishes), name)


# ---- the simulation


def simulated(jobs: Sequence[Job], name: str) -> dict[str, float]:
    """The figures of a policy in the simulated pool, over `RUNS` courses of the same jobs."""
    small = [
        replace(j, memory_bytes=int(j.memory_bytes * SCALE), used_bytes=int(j.used_bytes * SCALE), dirty_bytes_a_s=0.0)
        for j in sorted(jobs, key=lambda j: j.at_s)
    ]
    queued: list[float] = []
    moves = 0
    for seed in range(RUNS):
        scenario = Scenario(
            seed=seed, hosts=DEVICES, memory_bytes=int(workload.DGSF_DEVICE_BYTES * SCALE), max_sessions=SESSIONS, policy=name,
            balance_s=INTERVAL_S, step_s=QUANTUM_S, most_steps=1_000_000, link_bytes_a_s=LINK_BYTES_A_S, jobs=tuple(small),
        )  # fmt: skip
        found, violation, world = simulate.run(scenario)
        if found is None or found.done != len(small):
            raise RuntimeError(f"the simulation of {name}, seed {seed}, did not come to its end: {violation or found}")
        queued += [c.over_s - c.asked_s - c.program.job.alone_s for c in world.clients]
        moves += found.moves
    return figures(queued) | {"jobs": len(small), "moves": moves / RUNS}


# ---- the command line


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.balance", description=__doc__)
    parser.add_argument("--policies", default="none,dgsf,cost-aware", help="by commas")
    parser.add_argument("--shape", default="dgsf-high", choices=list(workload.SHAPES))
    parser.add_argument("--count", type=int, default=60, help="jobs, about")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", action="store_true", help="model and simulation alone")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        return job_main(options.job)
    mark_run()
    jobs = workload.SHAPES[options.shape](options.seed, options.count)
    path = RESULTS / f"balance-{options.shape}.json"
    document = json.loads(path.read_text()) if path.exists() else {}
    same = {"shape": options.shape, "count": options.count, "seed": options.seed, "devices": DEVICES}
    if any(document.get(k) != v for k, v in same.items()):
        document = {**same, "policies": {}}
    document["machine"] = machine()
    for name in options.policies.split(","):
        row = document["policies"].setdefault(name, {})
        row["model"] = model(jobs, name)
        print(f"{name:<12}model {row['model']}", flush=True)
        row["simulation"] = simulated(jobs, name)
        print(f"{name:<12}simul {row['simulation']}", flush=True)
        if not options.model:
            if "alone_s" not in document:
                document["alone_s"] = alone()
            row["real"] = real(jobs, name, document["alone_s"])
            print(f"{name:<12}real  {row['real']}", flush=True)
        if "real" in row:
            row["simulation_by_real"] = round(row["simulation"]["mean_s"] / max(row["real"]["mean_s"], 1e-9), 3)
        path.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
