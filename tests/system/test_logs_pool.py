"""One session's id is in the lines of the shim, the controller, the agent and its server; before it there is the request's. And /metrics of
a pool that works says what happened."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pool_snapshot import snapshot

#: A program with a session that it keeps until it is told to end.
PROGRAM = """
import sys
from cupool import cupy as cp
print(float(cp.arange(5.0).sum()), flush=True)
sys.stdin.readline()
"""


def cupool(*words: str) -> str:
    done = subprocess.run([sys.executable, "-P", "-m", "cupool", *words], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A pool of one device with logs as JSON and /metrics: its pool.json, and its folder."""
    folder = tmp_path / "pool"
    words = (
        "--devices",
        "cpu:1:64MiB",
        "--log-level",
        "info",
        "--log-format",
        "json",
        "--metrics-listen",
        "127.0.0.1:0",
    )
    cupool("up", "--folder", str(folder), *words)
    try:
        yield json.loads((folder / "pool.json").read_text()) | {"folder": folder}
    finally:
        cupool("down", "--folder", str(folder))


@contextlib.contextmanager
def client(pool: dict[str, Any], **variables: str) -> Iterator[subprocess.Popen[str]]:
    """The program, once it has its result."""
    token = Path(pool["token_file"]).read_text().strip()
    env = os.environ | {"CUPOOL_ADDR": pool["addr"], "CUPOOL_TOKEN": token, "CUPOOL_DEADLINE_S": "60"} | variables
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", PROGRAM], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "10.0\n"
    try:
        yield process
    finally:
        if process.poll() is None:
            process.communicate("\n", timeout=60)


def lines_of(file: Path) -> list[dict[str, Any]]:
    """A log in JSON; what is not ours (a traceback of Python's own) is not."""
    return [json.loads(line) for line in file.read_text().splitlines() if line.startswith("{")]


def until(find: Callable[[], Any]) -> Any:
    """What `find` gives once it is something."""
    deadline = time.monotonic() + 60
    while not (found := find()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_one_id_follows_a_session_through_all_four(pool: dict[str, Any]) -> None:
    with client(
        pool, CUPOOL_LOG="info", CUPOOL_LOG_FORMAT="json", CUPOOL_FUNCTION="a 'name' with session=forged"
    ) as process:
        logs = pool["folder"] / "logs"
        in_server = until(lambda: _of(pool, "session-attached"))
        _, shim_text = process.communicate("\n", timeout=60)
    shim = [json.loads(line) for line in shim_text.splitlines()]
    assert [line["event"] for line in shim] == ["session-asked", "session-leased", "session-attached", "session-closed"]
    request, session = shim[0]["request"], shim[1]["session"]
    assert {line["session"] for line in shim[1:]} == {session} and shim[1]["request"] == request
    assert shim[0]["function"] == "a 'name' with session=forged"

    controller = [line for line in lines_of(logs / "controller.log") if line.get("session") == session]
    assert {"session-leased"} <= {line["event"] for line in controller}
    assert controller[0]["request"] == request and controller[0]["tenant"] == "default"
    (agents_log,) = [
        file for file in logs.glob("*.log") if file.stem not in ("balancer", "controller", "supervisor")
    ]  # by its node
    agent = [line for line in lines_of(agents_log) if line.get("session") == session]
    assert {line["source"] for line in agent} == {"agent"}
    assert {"session-ordered", "session-attached"} <= {line["event"] for line in agent}
    assert agent[0]["request"] == request
    (line,) = [line for line in in_server if line.get("session") == session]
    assert line["request"] == request and line["source"] == shim[1]["server"]
    token = Path(pool["token_file"]).read_text().strip()
    for file in [*logs.rglob("*"), *(pool["folder"] / "agent").rglob("*.log")]:
        if file.is_file():
            assert token.rpartition("_")[2] not in file.read_text(), file


def _of(pool: dict[str, Any], event: str) -> list[dict[str, Any]]:
    """Lines of servers' logs with this event."""
    found = []
    for file in (pool["folder"] / "agent").rglob("server*.log"):
        with contextlib.suppress(FileNotFoundError):  # its server has ended
            found += [line for line in lines_of(file) if line.get("event") == event]
    return found


def test_without_it_the_shim_says_nothing(pool: dict[str, Any]) -> None:
    with client(pool) as process:
        _, errors = process.communicate("\n", timeout=60)
    assert errors == ""


def scrape(pool: dict[str, Any]) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    from prometheus_client.parser import text_string_to_metric_families

    connection = http.client.HTTPConnection(pool["metrics_addr"], timeout=20)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200
    found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def test_metrics_of_a_pool_that_works(pool: dict[str, Any]) -> None:
    """Names are those that dashboard and alerts are tested with; numbers are of what happened."""
    from cupool.pool import metrics

    with client(pool):
        attached = frozenset({("state", "attached")})
        seen = until(lambda: (now := scrape(pool))["cupool_sessions"][attached] == 1 and now)
        none: frozenset[tuple[str, str]] = frozenset()
        assert seen["cupool_leases_given_total"][none] == 1 == seen["cupool_lease_seconds_count"][none]
        assert seen["cupool_tenant_sessions"] == {frozenset({("tenant", "default")}): 1}
        assert sum(seen["cupool_device_sessions"].values()) == 1
        assert 0 < sum(seen["cupool_device_memory_leased_bytes"].values()) <= 64 << 20
        assert sum(seen["cupool_node_connected"].values()) == 1
    known = {family.name for family in metrics.families(snapshot())}
    shown = {
        name.removesuffix("_total").removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in seen
    }
    assert shown <= known | {f"{name}_info" for name in known}
    until(lambda: scrape(pool)["cupool_sessions"][attached] == 0)
