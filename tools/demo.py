"""`make demo`: every example, unmodified, through an embedded pool, and what each of them cost.

The first run of an example goes through the shim (`cupool run`), the second is the same script with --numpy in a plain Python process;
raw-kernel examples have no second one. Times are of whole processes, start to end. Exit status 1 if an example fails.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import demo_moves
import grpc

from cupool.stats import size_text
from cupool.v1 import admin_pb2, admin_pb2_grpc, server_pb2

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
LIMIT_S = 300


@dataclass(frozen=True, slots=True)
class Row:
    """One example's run. `numpy_s` is None where there is no NumPy version."""

    name: str
    statistics: dict[str, Any]
    seconds: float
    numpy_s: float | None


class Pool:
    """An embedded pool that all examples use, one after the other; each gets a fresh warm server."""

    def __init__(self, process: subprocess.Popen[str], said: dict[str, str]) -> None:
        self.process = process
        self.said = said

    def device(self) -> str:
        """Wait until a server is warm, so that its start disturbs no measurement; tell the device's name."""
        with grpc.insecure_channel(self.said["admin"]) as channel:
            stub = admin_pb2_grpc.AdminServiceStub(channel)
            metadata = (("authorization", f"Bearer {self.said['admin_token']}"),)
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                servers = stub.ListServers(admin_pb2.ListServersRequest(), timeout=30, metadata=metadata).servers
                warm = [s for s in servers if s.state == server_pb2.SERVER_STATE_WARM]
                if warm and len(servers) == len(warm):
                    return " ".join(word for word in (warm[0].device.kind, warm[0].device.name) if word)
                time.sleep(0.05)
        raise SystemExit("demo: no server became warm within 60 s; see the messages above")


@contextlib.contextmanager
def embedded_pool(devices: str = "") -> Iterator[Pool]:
    """A pool for the time of the block; `devices` as for `--devices`, "": what there is."""
    command = [sys.executable, "-P", "-m", "cupool.embedded", *(["--devices", devices] if devices else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        if "error" in said:
            raise SystemExit(f"demo: {said['error']} {said['cure']}")
        yield Pool(process, said)


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    """Run to its end; seconds and output. Exits with everything it printed when it fails."""
    begin = time.perf_counter()
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, cwd=ROOT, check=False
    )
    seconds = time.perf_counter() - begin
    if done.returncode or "checked against NumPy" not in done.stdout:
        raise ExampleFailed(f"{' '.join(command)}\nexit status {done.returncode}\n{done.stdout}{done.stderr}")
    return seconds, done.stdout


class ExampleFailed(Exception):
    """An example ended with an error or without its check; the text is all it printed."""


def run_example(path: Path, pool: Pool, out: Path) -> Row:
    """The example through the shim, and on NumPy where it can."""
    to_pool = dict(os.environ, CUPOOL_ADDR=pool.said["addr"], CUPOOL_TOKEN=pool.said["token"])
    extra = ["--out", str(out / "china_quantised.png")] if "--out" in path.read_text() else []
    pool.device()
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "stats.json"
        command = [sys.executable, "-m", "cupool", "run", "--stats-json", str(record), str(path), *extra]
        seconds, output = timed(command, to_pool)
        statistics = json.loads(record.read_text())
    print(f"{path.stem}\n  " + "\n  ".join(output.strip().splitlines()), flush=True)
    if "--numpy" not in path.read_text():
        return Row(path.stem, statistics, seconds, None)
    pool.device()
    extra = [word.replace("quantised", "quantised_numpy") for word in extra]
    numpy_s, _ = timed([sys.executable, str(path), "--numpy", *extra], dict(os.environ))
    return Row(path.stem, statistics, seconds, numpy_s)


def table(rows: list[Row]) -> str:
    """One line per example."""
    head = ["example", "commands", "waits", "up", "down", "time", "NumPy"]
    lines = [head]
    for row in rows:
        s = row.statistics
        numpy_text = f"{row.numpy_s:.2f} s" if row.numpy_s is not None else "–"
        sizes = [size_text(s["bytes_up"]), size_text(s["bytes_down"])]
        lines.append([row.name, f"{s['commands']:,}", f"{s['waits']:,}", *sizes, f"{row.seconds:.2f} s", numpy_text])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("examples", nargs="*", help="names of examples; default: all")
    parser.add_argument("--out", type=Path, default=ROOT / "out", help="where the picture goes")
    options = parser.parse_args()
    paths = [EXAMPLES / f"{name}.py" for name in options.examples] or sorted(EXAMPLES.glob("*.py"))
    options.out.mkdir(parents=True, exist_ok=True)
    rows, failed = [], []
    with embedded_pool() as pool:
        print(f"An embedded pool on this machine, device {pool.device()}\n")
        for path in paths:
            try:
                rows.append(run_example(path, pool, options.out))
            except ExampleFailed as error:
                failed.append(path.stem)
                print(f"FAILED {error}", file=sys.stderr)
    print(f"\n{table(rows)}\n")
    print(
        "time: the unmodified script through the pool; NumPy: the same script with --numpy in one process. Both are whole processes."
    )
    picture = options.out / "china_quantised.png"
    if picture.exists():
        print(f"The quantised photograph: {picture}")
    if not options.examples:
        with embedded_pool("cpu:2") as pool:
            pool.device()
            print("\nThe same programs, disturbed, on two devices:\n")
            try:
                print("\n".join(demo_moves.play(EXAMPLES, options.out, pool.said)))
            except demo_moves.Disturbed as error:
                failed.append("disturbed")
                print(f"FAILED {error}", file=sys.stderr)
    if failed:
        print(f"FAILED: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
