"""`cupool simulate`: a whole pool on a virtual clock. The controller's, the balancer's and the move's own code over hosts in memory.

Three uses: compare policies under a load shape; run random pools with faults and see that what must be true stays so; run one of those
again, to the letter.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import multiprocessing
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from cupool.balancer import workload
from cupool.contract.sizes import parse_size

from .simulation import plot
from .simulation.figures import Figures
from .simulation.invariants import Violation
from .simulation.scenario import Scenario, random_scenario
from .simulation.world import POLICIES, World

SCHEMA = "cupool.simulate/1"
#: Columns of the table: field, title, form.
_COLUMNS = (
    ("queue_mean_s", "queue mean", "{:.2f} s"),
    ("queue_p95_s", "p95", "{:.2f} s"),
    ("slowdown_mean", "slowdown", "{:.2f}"),
    ("slowdown_p95", "p95", "{:.2f}"),
    ("total_mean_s", "in all", "{:.1f} s"),
    ("makespan_s", "until", "{:.0f} s"),
    ("utilisation", "busy", "{:.0%}"),
    ("moves", "moves", "{}"),
    ("pause_p95_ms", "pause p95", "{:.0f} ms"),
    ("refused", "refused", "{}"),
    ("lost", "lost", "{}"),
)
#: Seeds that one worker runs before it says so.
_CHUNK = 20


def run(scenario: Scenario, keeps_log: bool = False) -> tuple[Figures | None, Violation | None, World]:
    """One run: its figures, or what was not true."""
    world = World(scenario, keeps_log)
    try:
        return world.run(), None, world
    except Violation as violation:
        return None, violation, world


def replay_command(seed: int) -> str:
    return f"cupool simulate --replay {seed}"


def main(arguments: list[str]) -> int:
    """Entry point. 0: done; 1: something that must be true was not; 2: the command line is wrong."""
    options = _parser().parse_args(arguments)
    logging.disable(logging.CRITICAL)  # what the pool logs is of no moment that anybody lives in
    try:
        if options.replay is not None:
            return _replay(options)
        if options.random:
            return _random(options)
        return _compare(options)
    except ValueError as error:
        print(f"cupool simulate: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"cupool simulate: {error.filename or 'a file'} cannot be written: {error.strerror}.", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cupool simulate", description="A whole pool on a virtual clock.")
    parser.add_argument("--hosts", type=_count, default=4, help="hosts (4)")
    parser.add_argument("--devices", type=_count, default=1, help="devices of each (1)")
    parser.add_argument("--memory", default="15000MB", help="of a device (15000MB)")
    parser.add_argument("--sessions", type=_count, default=4, help="on a device at once (4)")
    parser.add_argument("--warm", type=_count, default=1, help="warm servers kept on a device (1)")
    parser.add_argument(
        "--shape", default="dgsf-high", help=f"load shape: {', '.join(workload.SHAPES)}; several by commas"
    )
    parser.add_argument("--count", type=_count, default=60, help="programs (60)")
    parser.add_argument("--load", type=float, default=1.0, help="2: twice as many in the same time")
    parser.add_argument("--policy", default="none,dgsf,cost-aware", help=f"{', '.join(POLICIES)}; several by commas")
    parser.add_argument(
        "--start", type=float, default=0.15, metavar="S", help="until a server is warm; 0: as Huawei's cold starts"
    )
    parser.add_argument("--link", default="2GB", help="bytes a second of a copy between hosts (2GB)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=_count, default=1, help="so many seeds of each, averaged")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plot", metavar="FILE.svg", help="the course of it, the policies over one another")
    parser.add_argument("--events", metavar="FILE", help="all that happened, a line each")
    parser.add_argument(
        "--random", type=_count, default=0, metavar="N", help="N random pools with random faults, from --seed on"
    )
    parser.add_argument("--workers", type=_count, default=1, help="processes for --random (1)")
    parser.add_argument("--replay", type=int, metavar="SEED", help="one of those, to the letter")
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return int(text)


# ---- policies under a load


def _compare(options: argparse.Namespace) -> int:
    if options.plot and not options.plot.endswith(".svg"):
        raise ValueError(f"a plot is an SVG file: --plot {Path(options.plot).stem}.svg")
    rows: list[dict[str, Any]] = []
    for shape in options.shape.split(","):
        series: dict[str, Any] = {}
        for policy in options.policy.split(","):
            runs = []
            for seed in range(options.seed, options.seed + options.seeds):
                scenario = _scenario(options, shape, policy, seed)
                found, violation, world = run(scenario, bool(options.events))
                _write_events(options, world)
                if found is None:
                    print(f"cupool simulate: {violation}", file=sys.stderr)
                    return 1
                runs.append(found)
            series[policy] = runs[0].series
            rows.append({"shape": shape, "policy": policy, **mean(runs)})
        if options.plot:
            title = f"{shape}, {options.count} programs, {options.hosts * options.devices} devices, seed {options.seed}"
            name = options.plot if "," not in options.shape else f"{options.plot[:-4]}-{shape}.svg"
            Path(name).write_text(plot.svg(title, series))
    if options.json:
        print(json.dumps({"schema": SCHEMA, "runs": rows}, indent=1))
    else:
        print(table(rows))
    return 0


def _scenario(options: argparse.Namespace, shape: str, policy: str, seed: int) -> Scenario:
    if shape not in workload.SHAPES:
        raise ValueError(f"there is no load shape {shape!r}; there are {', '.join(workload.SHAPES)}")
    if policy not in POLICIES:
        raise ValueError(f"there is no policy {policy!r}; there are {', '.join(POLICIES)}")
    if not options.load > 0 or options.start < 0:
        raise ValueError("--load is positive, --start is not negative")
    memory, link = parse_size(options.memory), parse_size(options.link)
    if not memory or not link:
        raise ValueError("--memory and --link are positive")
    return Scenario(
        seed=seed,
        hosts=options.hosts,
        devices=options.devices,
        memory_bytes=memory,
        max_sessions=options.sessions,
        warm=options.warm,
        shape=shape,
        count=options.count,
        load=options.load,
        policy=policy,
        start_s=options.start,
        link_bytes_a_s=float(link),
    )


def mean(runs: list[Figures]) -> dict[str, Any]:
    """Each figure's mean over runs."""
    records = [r.record() for r in runs]
    found = {k: sum(r[k] for r in records) / len(records) for k in records[0]}
    return {k: round(v, 4) if isinstance(records[0][k], float) or len(runs) > 1 else int(v) for k, v in found.items()}


def table(rows: list[dict[str, Any]]) -> str:
    """Figures for people."""
    lines = [["shape", "policy", "jobs", *(title for _, title, _ in _COLUMNS)]]
    for row in rows:
        lines.append(
            [row["shape"], row["policy"], f"{row['jobs']:g}", *(form.format(row[key]) for key, _, form in _COLUMNS)]
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


# ---- random pools with faults


def _random(options: argparse.Namespace) -> int:
    started = time.perf_counter()
    counts = {"seeds": 0, "events": 0, "moves": 0, "recoveries": 0, "faults": 0}
    broken: list[tuple[int, str]] = []
    for seeds, found, failures in _chunks(options.seed, options.random, options.workers):
        counts["seeds"] += seeds
        for key, value in found.items():
            counts[key] += value
        for seed, sentence in failures:
            broken.append((seed, sentence))
            print(f"{sentence}\n  again: {replay_command(seed)}", file=sys.stderr)
    took_s = time.perf_counter() - started
    record = {**counts, "violations": len(broken), "took_s": round(took_s, 1)}
    if options.json:
        print(json.dumps({"schema": SCHEMA, **record, "failed": dict(broken)}, indent=1))
    else:
        figures = ", ".join(f"{value} {key.replace('_', ' ')}" for key, value in record.items() if key != "took_s")
        print(f"{figures}; it took {record['took_s']} s")
    return 1 if broken else 0


Chunk = tuple[int, dict[str, int], list[tuple[int, str]]]


def _chunks(first: int, count: int, workers: int) -> Iterator[Chunk]:
    parts = [(at, min(_CHUNK, first + count - at)) for at in range(first, first + count, _CHUNK)]
    if workers == 1:
        yield from (campaign(*part) for part in parts)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(_campaign, parts)


def _campaign(part: tuple[int, int]) -> Chunk:
    logging.disable(logging.CRITICAL)
    return campaign(*part)


def campaign(first: int, count: int) -> Chunk:
    """Random pools of consecutive seeds: how many, what happened in them, and what was not true, by seed."""
    counts = {"events": 0, "moves": 0, "recoveries": 0, "faults": 0}
    failures = []
    for seed in range(first, first + count):
        try:
            found, violation, world = run(random_scenario(seed))
        except Exception as error:  # a state that may not be, of the code that is simulated: as bad as a violation
            failures.append((seed, f"seed {seed}: {type(error).__name__}: {error}"))
            continue
        counts["events"] += world.clock.events
        counts["moves"] += world.moves_done
        counts["faults"] += len(world.faults.happened)
        counts["recoveries"] += sum(c.recoveries for c in world.clients)
        if violation is not None or found is None:
            failures.append((seed, f"seed {seed}: {violation}"))
    return count, counts, failures


def _replay(options: argparse.Namespace) -> int:
    scenario = random_scenario(options.replay)
    try:
        found, violation, world = run(scenario, True)
    except Exception:
        world = World(replace(scenario), True)
        try:
            world.run()
        finally:
            _write_events(options, world)
        raise
    _write_events(options, world)
    assert world.log is not None
    print(f"seed {options.replay}: {len(world.log)} lines, blake2b {digest(world.log)}")
    for line in world.faults.happened:
        print(f"  {line}")
    if violation is not None:
        if not options.events:
            print("\n".join(world.log[-30:]))
        print(violation, file=sys.stderr)
        return 1
    assert found is not None
    print(
        f"nothing was wrong: {found.done} of {found.jobs} programs ended well, {found.moves} moves, {found.recoveries} recoveries"
    )
    return 0


def digest(log: list[str]) -> str:
    """Of all that happened: two runs of one seed have the same."""
    return hashlib.blake2b("\n".join(log).encode(), digest_size=16).hexdigest()


def _write_events(options: argparse.Namespace, world: World) -> None:
    if options.events and world.log is not None:
        Path(options.events).write_text("\n".join(world.log) + "\n")
