"""The figures of README.md, from the files under `benchmarks/results/`: `python tools/figures.py` writes them between its two marks."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.goals import limit_of  # noqa: E402 - the repository's root is no installed package

README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
START, END = "<!-- figures -->\n", "<!-- end of figures -->"

#: (row, what the result is about, how the README says it, "≤" or "≥").
ROWS = (
    ("S1a", "c = a + b, its free included", "caller's time of `c = a + b`, sends apart / NumPy's own add of 8 elements", "≤"),
    ("S1b", "c = a + b, its free and its share of sending included", "the same with sending", "≤"),
    ("S2b", "a + b, a * b in a chain, 8 elements", "small operations end to end, pipelined / the same loop in NumPy", "≤"),
    ("S6a", "float(a), one core", "one wait / ping-pong of a bare grpcio stream, one core", "≤"),
    ("S6a", "float(a), two cores", "the same on two cores", "≤"),
    ("S6b", "command sent while the caller runs pure Python", "delay of a command while the caller computes / idle round trip", "≤"),
    ("S4", "k-means at 0.2 ms", "k-means at 0.2 ms distance / (local time + needed waits × round trip + 3 round trips)", "≤"),
    ("S4", "k-means at 30 ms", "the same at 30 ms", "≤"),
    ("S5a", "up, 256 MiB", "shared-memory ring, 256 MiB up / memcpy", "≥"),
    ("S5a", "down to a fresh array, 256 MiB", "ring, 256 MiB down to a fresh array / memcpy", "≥"),
    ("S5b", "up, 256 MiB", "gRPC chunks, 256 MiB up / raw TCP", "≥"),
    ("S5b", "down to a warm array, 256 MiB", "gRPC chunks, 256 MiB down / raw TCP", "≥"),
    ("S7", "unix socket: p50", "a session of a warm pool: lease, attach and first result, p50, ms", "≤"),
    ("S8", "process start → first result / `import numpy` alone", "start of a process to its first result / `import numpy` alone", "≤"),
    ("S9", "16 MiB: the client's longest pause", "a live move of a session of 16 MiB: the program's longest pause, ms", "≤"),
    ("S9", "4 GiB: the client's longest pause", "the same of 4 GiB, ms", "≤"),
    ("S9", "4 GiB: bytes of a whole move, order to release / memcpy", "bytes of that move / memcpy into warm memory", "≥"),
    ("S13", "import of the shim beyond numpy and grpc", "`import cupy` beyond numpy's and grpc's own import, ms", "≤"),
    ("S13", "import cupy and cupyx.scipy.sparse, beyond numpy and grpc", "`import cupy, cupyx.scipy.sparse` beyond the same, ms", "≤"),
    ("S13", "memory after import, above NumPy", "memory after import above NumPy, MB", "≤"),
    ("S13", "memory of a live handle", "client memory of a live array, bytes", "≤"),
    ("S13", "wire bytes of a small op, its free included", "wire bytes of a small operation and its free", "≤"),
)  # fmt: skip


def load(name: str) -> dict[str, Any] | None:
    path = RESULTS / name
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def bench() -> list[str]:
    record = load("bench.json")
    if record is None:
        return []
    results = {(row["row"], r["what"]): r for row in record["rows"] for r in row["results"] if r["kind"] != "missing"}
    lines = [
        "Medians of one `make bench` on two shared cores without a GPU (`benchmarks/results/bench.json` has the spread, versions and "
        "machine); ratios are side by side in one\nrun. Every row, curves of how cost grows, and what needs a GPU: "
        "[docs/performance.md](docs/performance.md).\n\n",
        "| measure | seen | wanted here |\n|---|---:|---:|\n",
    ]
    for row, what, words, sign in ROWS:
        result = results.get((row, what))
        if result is not None:
            lines.append(_line(row, words, result, sign))
    lines += peers(results)
    families: dict[str, float] = {}
    for (row, what), result in results.items():
        if row == "FAMILIES" and what.endswith(": geometric mean"):
            families[what.partition(":")[0]] = result["ratio"]
    if families:
        said = ", ".join(f"{name} {ratio:.2g}x" for name, ratio in families.items())
        lines.append(
            f"\nCaller's time of small operations, sends apart, against NumPy's or SciPy's own (geometric mean of each family): {said}.\n"
        )
    return lines


def _line(row: str, words: str, result: dict[str, Any], sign: str) -> str:
    is_ratio = result["kind"] == "ratio"
    value = result["ratio"] if is_ratio else result["value"]
    aim = limit_of(row, result["what"])
    if aim is not None:  # a row may ask for less than the goals do
        is_met = value >= aim.limit if aim.at_least else value <= aim.limit
        result = {**result, "goal": aim.limit, "met": is_met}
    seen = f"{value:.4g}" if not is_ratio else f"{value:.3g}x"
    wanted = "" if result["goal"] is None else f"{sign} {result['goal']:g}" + ("" if result["met"] else " (missed)")
    return f"| {words} | {seen} | {wanted} |\n"


def peers(results: dict[tuple[str, str], dict[str, Any]]) -> list[str]:
    """How many of the figures of each peer cupool is ahead in, and where it is not."""
    said = []
    for name in ("RPyC", "Ray"):
        found = {what: r for (row, what), r in results.items() if row == "PEERS" and what.startswith(f"{name}: ")}
        if not found:
            continue
        behind = [what.partition(": ")[2] for what, r in found.items() if not r["met"]]
        said.append(
            f"{len(found) - len(behind)} of {len(found)} against {name}"
            + (f" (behind: {'; '.join(behind)})" if behind else "")
        )
    return [f"\nThe same programs in the same run, figures ahead of peers: {', '.join(said)}.\n"] if said else []


def campaigns() -> list[str]:
    lines = []
    for name, words in (
        (
            "cuts",
            "the k-means example with its connection cut at {cuts} points: the same picture each time, {reconnects} reconnects, "
            "{failed} failures",
        ),
        (
            "kills",
            "{runs} runs of the examples and of one that does ten times what the redo window holds, {kills} servers killed at random "
            "moments: {replay_same} printed what undisturbed ones print, {replay_lost} exceeded the window and were one SessionLost, "
            "{none_lost} of those with CUPOOL_DURABILITY=none were; {failed} did anything else",
        ),
        ("exits", "{passed} interpreters that end with a session open: {failed} hang"),
        (
            "fuzz",
            "{frames:,} hostile frames: {executed:,} executed, {refused:,} refused, none crashed the server; at most {peak_mib} MiB",
        ),
        ("guesses", "{handles_guesses:,} guessed handles and {sessions_guesses:,} guessed sessions and tokens: {hits} hits"),
        (
            "soak",
            "{commands:,} commands through one session: resident memory of client and server changes by {client_grows_mib:+} and "
            "{behind_grows_mib:+} MiB from the second third to the last, the device's is back to the byte after each of {passed} cases",
        ),
        (
            "controller_kills",
            "{kills} kills of the controller at random moments under load: {sessions_lost} running sessions lost; books, quotas and "
            "the directory agree after each; leases again after {until_leases_are_given_again_s[p50]:.1f} s p50; {failed} failed",
        ),
        (
            "move_faults",
            "{faults} moves with source, destination or a connection killed, cut or failed at a step, and {moves_under_load} moves of "
            "programs under load: the same numbers each time, one owner left; {failed} failed",
        ),
        (
            "upgrade",
            "{rounds} rolling upgrades of three hosts and the controller under load, {sessions:,} sessions of programs: "
            "{errors} errors",
        ),
        (
            "overload",
            "ten times what the pool can serve for a minute: admitted p99 {0-60[admitted_p99_over_unloaded]:.1f} times the unloaded one, "
            "refusals {0-60[refused_p99_ms]:.1f} ms p99, memory bounded",
        ),
        (
            "dead_clients",
            "memory of a killed client back after {killed[p99_s]:.2f} s p99 of {killed[clients]}, a hung one noticed after "
            "{hung[p99_s]:.1f} s",
        ),
        (
            "cycles",
            "{unattached[cycles]:,} leases without attach at {unattached[per_s]:.0f} a second, {attached[cycles]:,} attached at "
            "{attached[per_s]:.0f}: memory flat",
        ),
        (
            "thaws",
            "{freezes} functions frozen for 1-30 s whose network flow was forgotten: first call after {first_call_p50_s:.2f} s p50, "
            "{first_call_p99_s:.2f} s p99; {failed} errors",
        ),
    ):  # fmt: skip
        record = load(f"prove-{name}.json")
        if record is not None and record["complete"]:
            figures = {"passed": record["passed"], "failed": len(record["failed"]), **record["summary"]}
            lines.append(f"- `make prove PART={name}`: {words.format(**figures)}.\n")
    record = load("prove-huge.json")
    if record is not None:
        said = "; ".join(
            f"{case.partition('-')[0]}: {f['client_beside_mib']} and {f['server_beside_mib']} MiB"
            for case, f in record["summary"].items()
        )
        lines.append(
            f"- `make prove PART=huge`: an array of 4 GiB up and down needs, beside itself, at the client and the server: {said}.\n"
        )
    return lines


def suites() -> list[str]:
    lines = []
    for path in sorted(RESULTS.glob("cupy-suite-*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        row = record["folders"]["total"]
        passed = row.get("passed", 0) + row.get("xpassed", 0)
        ran = passed + row.get("failed", 0) + row.get("xfailed", 0)
        lines.append(
            f"- `{record['command']}`: {passed:,} of {ran:,} of CuPy {record['cupy']}'s own tests pass ({100 * passed / ran:.2f} %), "
            f"in {record['seconds'] / 60:.1f} minutes on {record['machine']['cpus']} cores.\n"
        )
    return lines


def main() -> int:
    text = README.read_text(encoding="utf-8")
    block = "".join([*bench(), "\n", *suites(), *campaigns(), "\nNo figure for a GPU exists yet.\n"])
    pattern = re.compile(re.escape(START) + ".*?" + re.escape(END), re.DOTALL)
    if not pattern.search(text):
        print(f"README.md has no {START.strip()} … {END}", file=sys.stderr)
        return 1
    README.write_text(pattern.sub(lambda _: START + block + END, text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
