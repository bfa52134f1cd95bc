"""CuPy's own tests, from a checkout, through the shim: `make cupy-suite CUPY=<checkout> [FOLDERS="math core"] [DEVICE=cpu]`.

    python tools/cupy_suite.py --cupy ../cupy                        the folders that need no GPU
    python tools/cupy_suite.py --cupy ../cupy core fft cupyx/scipy/ndimage
    python tools/cupy_suite.py --cupy ../cupy cupy_tests/math_tests/test_rounding.py -k around --show
    python tools/cupy_suite.py --cupy ../cupy all --subsample 1      all of upstream's tests, thinned by upstream's own sampler

Upstream's tests are copied to `build/cupy-suite`; nothing of them is committed. Each shard is a pytest process with an embedded pool
of its own; one that dies is started again after the test it died in. Which tests are left out or fail, and why: `tests/cupy_suite/*.toml`.

The exit status is 0 when every failure was expected, every expected failure failed, and something ran.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "cupy-suite"
RESULTS = ROOT / "benchmarks" / "results"
SUITE = ROOT / "tests" / "cupy_suite"
sys.path[:0] = [str(SUITE), str(ROOT / "tools")]

import suite_data  # noqa: E402
from link_tree import make as link_tree  # noqa: E402

#: The tag whose tests the data files are about.
TAG = "v14.2.0"
TEST_TIMEOUT_S = 60
#: A shard that says nothing for so long is ended and started again after the test it hangs in.
SILENCE_S = 150
#: Collecting says nothing either: all of upstream's files take half a minute on a quiet machine.
COLLECTING_S = 900
#: What a row of the table counts. "private": died in a stand-in for one of CuPy's private modules.
OUTCOMES = ("passed", "failed", "xfailed", "xpassed", "private", "skipped", "upstream-xfail", "excluded")
INI = f"""[pytest]
markers =
    slow
    multi_gpu
    parallel_threads
    iterations
    thread_unsafe
xfail_strict = false
filterwarnings =
    ignore
    error::numpy.exceptions.ComplexWarning
    error::numpy.exceptions.VisibleDeprecationWarning
timeout = {TEST_TIMEOUT_S}
timeout_method = signal
"""


# -- upstream's files ------------------------------------------------------------------------------------------------------


def checkout(given: str) -> Path:
    """The checkout of CuPy: --cupy, CUPY_CHECKOUT, or ../cupy beside the repository. Exits with a sentence when there is none."""
    path = Path(given or os.environ.get("CUPY_CHECKOUT") or ROOT.parent / "cupy").resolve()
    if not (path / "tests" / "cupy_tests").is_dir():
        sys.exit(
            f"{path} is no checkout of CuPy. Make one with `git clone --depth 1 -b {TAG} https://github.com/cupy/cupy` and name it: "
            "make cupy-suite CUPY=<checkout>"
        )
    return path


def prepare(upstream: Path) -> None:
    """Copy upstream's tests below WORK, once per checkout, and write the ini file."""
    stamp = WORK / "copied-from"
    if not stamp.exists() or stamp.read_text() != str(upstream):
        WORK.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(WORK / "tests", ignore_errors=True)
        for name in ("cupy_tests", "cupyx_tests"):
            shutil.copytree(upstream / "tests" / name, WORK / "tests" / name)
        shutil.copy(upstream / "tests" / "conftest.py", WORK / "tests")
        stamp.write_text(str(upstream))
    (WORK / "suite.ini").write_text(INI)


def targets(names: list[str]) -> list[str]:
    """What to hand to pytest: folders of the table by name ("math", "cupyx/scipy/ndimage"), groups, paths and node ids."""
    found: list[str] = []
    for name in names or ["core15"]:
        if name == "core15":
            found += [f"tests/cupy_tests/{folder}_tests" for folder in suite_data.CORE15]
        elif name == "all":
            found += ["tests/cupy_tests", "tests/cupyx_tests"]
        else:
            found.append(_target(name))
    return found


def _target(name: str) -> str:
    path = name.partition("::")[0]
    if (WORK / "tests" / path).exists():
        return f"tests/{name}"
    parts = name.split("/")
    if parts[0] not in ("cupy", "cupyx"):
        parts.insert(0, "cupy")
    folder = "/".join([f"{parts[0]}_tests", *(f"{part}_tests" for part in parts[1:])])
    if not (WORK / "tests" / folder).is_dir():
        sys.exit(f"No folder or file {name!r} among CuPy's tests.")
    return f"tests/{folder}"


# -- one shard -------------------------------------------------------------------------------------------------------------


@dataclass
class Shard:
    """A part of the tests and the process that runs it now."""

    number: int
    log: Path
    command: list[str]
    env: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    said_at: float = 0.0
    size: int = 0
    is_over: bool = False
    output: Path = field(default_factory=Path)

    def start(self) -> None:
        self.starts += 1
        self.said_at = time.monotonic()
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, cwd=WORK, env=self.env, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )

    def look(self) -> None:
        """Start it again where it died, end it where it hangs."""
        assert self.process is not None
        size = self.log.stat().st_size if self.log.exists() else 0
        if size != self.size:
            self.size, self.said_at = size, time.monotonic()
        if self.process.poll() is None:
            silent_s = time.monotonic() - self.said_at
            if silent_s > COLLECTING_S or (silent_s > SILENCE_S and self.has_collected()):
                self.process.kill()
                self.process.wait()
            else:
                return
        events = self.events()
        if any("finished" in e for e in events):
            self.is_over = True
        elif not any("start" in e for e in events) or self.starts > 50:
            tail = self.output.read_text(errors="replace")[-3000:]
            raise SystemExit(f"Shard {self.number} ended with status {self.process.returncode} and no result:\n{tail}")
        else:
            self._book_death(events)
            self.start()

    def _book_death(self, events: list[dict[str, Any]]) -> None:
        started = [e["start"] for e in events if "start" in e]
        ended = {e["test"] for e in events if "test" in e}
        with self.log.open("a") as log:
            for test in started[-1:]:
                if test not in ended:
                    record = {"test": test, "outcome": "failed", "text": "the test process ended or hung in this test"}
                    log.write("\n" + json.dumps(record) + "\n")

    def has_collected(self) -> bool:
        """Whether the process that runs now is past collecting."""
        collected = sum("collected" in e for e in self.events())
        return collected >= self.starts

    def events(self) -> list[dict[str, Any]]:
        if not self.log.exists():
            return []
        return [e for line in self.log.read_text().splitlines() if (e := _parsed(line))]

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def _parsed(line: str) -> dict[str, Any]:
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}  # the line that a killed process was writing
    return event


def run(options: argparse.Namespace, upstream: Path) -> dict[str, dict[str, Any]]:
    """Run the shards; returns the last event of each test."""
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=WORK))
    shards = [_shard(n, options, upstream, folder) for n in range(options.jobs)]
    try:
        for shard in shards:
            shard.start()
        while not all(shard.is_over for shard in shards):
            time.sleep(0.2)
            for shard in shards:
                if not shard.is_over:
                    shard.look()
    finally:
        for shard in shards:
            shard.stop()
    if options.verbose:
        for shard in shards:
            print(shard.output.read_text(errors="replace"))
    results: dict[str, dict[str, Any]] = {}
    for shard in shards:
        for event in shard.events():
            if "test" in event:
                before = results.get(event["test"])
                # A test that passed and whose teardown failed has failed.
                if before is None or before["outcome"] in ("passed", "skipped"):
                    results[event["test"]] = event
    shutil.rmtree(folder)
    return results


def _shard(number: int, options: argparse.Namespace, upstream: Path, folder: Path) -> Shard:
    log = folder / f"shard-{number}.jsonl"
    env = {k: v for k, v in os.environ.items() if k not in ("PYTEST_ADDOPTS", "CUPOOL_ADDR", "CUPOOL_TOKEN")}
    env |= {
        "CUPY_SUITE_CHECKOUT": str(upstream),
        "CUPY_SUITE_LOG": str(log),
        "CUPY_SUITE_SHARD": f"{number}/{options.jobs}",
        "CUPY_SUITE_FRACTION": str(options.fraction),
        "CUPY_SUITE_FUNCTIONS": str(options.functions),
        "CUPY_SUITE_ONLY": str(Path(options.only).resolve()) if options.only else "",
        "CUPY_SUITE_ORACLE": "1" if options.oracle else "",
        "CUPY_SUITE_OWN_TESTING": "1" if options.own_testing else "",
        "CUPOOL_DEVICE": options.device,
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    # The drop-in is for the programs that tests start.
    code = [] if options.oracle else [str(link_tree()), str(ROOT / "cupool" / "dropin")]
    env["PYTHONPATH"] = os.pathsep.join([*code, str(SUITE)])
    if options.subsample is not None:
        env |= {"CUPY_TEST_RANDOM_SUBSAMPLE": "1", "_CUPY_TEST_SUBSAMPLE_SEED": str(options.subsample)}
    command = [
        sys.executable, "-m", "pytest", "-c", "suite.ini", "--rootdir", ".", "-p", "suite_plugin", "-p", "no:cacheprovider",
        "-p", "no:xdist", "-q", "--continue-on-collection-errors", f"--tb={'short' if options.verbose else 'line'}",
        "-m", "not slow and not multi_gpu", *(["-k", options.k] if options.k else []), *targets(options.tests),
    ]  # fmt: skip
    return Shard(number, log, command, env, output=folder / f"shard-{number}.txt")


# -- the table -------------------------------------------------------------------------------------------------------------


def judged(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Failures that were expected become "xfailed", passes that were not "xpassed"."""
    expected = suite_data.read(suite_data.EXPECTED_FAILURES)
    for test, event in results.items():
        if event["outcome"] in ("passed", "failed") and expected.reason(test) is not None:
            event["outcome"] = "xfailed" if event["outcome"] == "failed" else "xpassed"
    return results


def table(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Folder -> outcome -> count, and the row "total"."""
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    for test, event in results.items():
        rows[suite_data.folder_of(test)][event["outcome"]] += 1
        rows["total"][event["outcome"]] += 1
    order = sorted(rows, key=lambda folder: (folder == "total", folder))
    return {folder: {o: rows[folder][o] for o in OUTCOMES if rows[folder][o]} for folder in order}


def rate(row: dict[str, int]) -> float:
    """Passes among the tests that ran and did not die in a private stand-in, in percent."""
    passed = row.get("passed", 0) + row.get("xpassed", 0)
    ran = passed + row.get("failed", 0) + row.get("xfailed", 0)
    return 100.0 * passed / ran if ran else 100.0


def text(rows: dict[str, dict[str, int]]) -> str:
    columns = [o for o in OUTCOMES if any(o in row for row in rows.values())]
    width = max([len(folder) for folder in rows] + [6])
    lines = ["  ".join([f"{'folder':{width}}", *(f"{c:>9}" for c in columns), f"{'rate %':>7}"])]
    for folder, row in rows.items():
        lines.append(
            "  ".join(
                [f"{folder:{width}}", *(f"{row.get(c, 0):>{max(9, len(c))}}" for c in columns), f"{rate(row):7.2f}"]
            )
        )
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 30)
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": memory,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _show(results: dict[str, dict[str, Any]], wanted: tuple[str, ...]) -> None:
    for test in sorted(results):
        event = results[test]
        if event["outcome"] in wanted:
            print(f"{event['outcome'].upper()} {test}\n    {event.get('text', '')}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "tests", nargs="*", help="folders, files or node ids of upstream's tests; core15 (default); all"
    )
    parser.add_argument("--cupy", default="", help=f"checkout of CuPy at {TAG}; default: CUPY_CHECKOUT, else ../cupy")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--jobs", type=int, default=2, help="shards, each a process; default 2")
    parser.add_argument("-k", default="", help="as pytest's")
    parser.add_argument("--subsample", type=int, metavar="SEED", help="upstream's own sampler, with this seed")
    parser.add_argument(
        "--fraction", type=float, default=1.0, help="part of each test function's parameter sets, by hash"
    )
    parser.add_argument("--functions", type=float, default=1.0, help="part of the test functions, by hash")
    parser.add_argument("--only", default="", metavar="FILE", help="only the test ids in this file, one a line")
    parser.add_argument("--own-testing", action="store_true", help="our own cupy.testing instead of upstream's")
    parser.add_argument("--oracle", action="store_true", help="the CuPy that is installed instead of the shim")
    parser.add_argument("--save", default="", metavar="NAME", help="write benchmarks/results/cupy-suite-NAME.json")
    parser.add_argument(
        "--add", action="store_true", help="--save keeps the rows of folders that this run does not have"
    )
    parser.add_argument("--dump", default="", metavar="FILE", help="write the outcome of each test, as JSON")
    parser.add_argument("--show", action="store_true", help="print each failure with its first line")
    parser.add_argument("--verbose", action="store_true", help="print pytest's own output, tracebacks included")
    return parser.parse_args()


def main() -> int:
    # `timeout` ends a run with this signal: its shards are ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = _options()
    upstream = checkout(options.cupy)
    prepare(upstream)
    started = time.monotonic()
    results = judged(run(options, upstream))
    seconds = round(time.monotonic() - started, 1)
    rows = table(results)
    _show(results, ("failed", "xpassed", "private") if options.show else ("xpassed",))
    print(text(rows))
    print(f"{seconds} s")
    if options.dump:
        Path(options.dump).write_text(json.dumps(results, indent=1) + "\n")
    if options.save:
        save(RESULTS / f"cupy-suite-{options.save}.json", rows, seconds, options.add)
    total = rows.get("total", {})
    is_strict = options.subsample is None  # a sample of dtypes may leave out the one that fails
    return 1 if total.get("failed") or (is_strict and total.get("xpassed")) or not total else 0


def save(path: Path, rows: dict[str, dict[str, int]], seconds: float, is_part: bool) -> None:
    """Write the record that the coverage page shows. A part's rows take their folders' places in the record that is there."""
    record = {
        "command": " ".join(["python tools/cupy_suite.py", *_said(sys.argv[1:])]),
        "cupy": TAG,
        "machine": machine(),
        "seconds": seconds,
        "folders": rows,
    }
    if is_part and path.exists():
        before = json.loads(path.read_text())
        commands = [*before["command"].split(" && "), record["command"]]
        record["command"] = " && ".join(dict.fromkeys(commands))
        record["seconds"] = round(before["seconds"] + seconds, 1)
        record["folders"] = added(before["folders"], rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")


def added(before: dict[str, dict[str, int]], rows: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """Two tables as one; a folder of both has the later row. The last row is the total."""
    folders = {**before, **rows}
    folders.pop("total", None)
    total: Counter[str] = Counter()
    for row in folders.values():
        total.update(row)
    made = {folder: folders[folder] for folder in sorted(folders)}
    return {**made, "total": {o: total[o] for o in OUTCOMES if total[o]}}


def _said(words: list[str]) -> list[str]:
    """The command line without paths of this machine."""
    kept, skip = [], False
    for word in words:
        if skip or word.startswith(("--cupy=", "--dump=")):
            skip = False
        elif word in ("--cupy", "--dump"):
            skip = True
        else:
            kept.append(word)
    return kept


if __name__ == "__main__":
    sys.exit(main())
