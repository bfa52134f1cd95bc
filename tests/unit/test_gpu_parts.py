"""`make gpu` keeps going: a part that fails, hangs or finds no time is a record, and the others run; without a GPU."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import parts, rows

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {
    "good": "import json; print('GPU-PART', json.dumps([{'what': 'x', 'value': 1.5, 'unit': 'ms'}]))",
    "bad": "raise SystemExit('a NameError, say')",
    "slow": "import time; print('GPU-PART []', flush=True); time.sleep(60)",
}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(
        gpu, "PARTS", tuple((parts.Part(name, "", 2.0 if name == "slow" else 30.0),) for name in PROGRAMS)
    )
    monkeypatch.setattr(gpu, "command", lambda part: [sys.executable, "-c", PROGRAMS[part.name]])
    monkeypatch.setattr(gpu, "_LEAST_S", 1.0)
    return tmp_path / "gpu.json"


def run(monkeypatch: pytest.MonkeyPatch, out: Path, *words: str) -> tuple[int, dict[str, Any]]:
    monkeypatch.setattr(sys, "argv", ["gpu", "--out", str(out), *words])
    status = gpu.main()
    return status, {record["part"]: record for record in json.loads(out.read_text())["parts"]}


def test_each_part_is_a_record_whatever_became_of_it(
    played: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found = run(monkeypatch, played)
    assert status == 1
    assert {name: record["outcome"] for name, record in found.items()} == {
        "good": "passed",
        "bad": "failed",
        "slow": "stopped",
    }
    assert found["good"]["results"] == [{"what": "x", "value": 1.5, "unit": "ms"}]
    assert "a NameError" in found["bad"]["tail"]
    assert found["slow"]["results"] == [], "what was measured before the stop is kept"
    assert "bad" in capsys.readouterr().out


def test_parts_for_which_no_time_is_left_are_told(played: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, found = run(monkeypatch, played, "--budget-s", "0.5")
    assert status == 0
    assert {record["outcome"] for record in found.values()} == {"not run"}


def test_what_pytest_says_is_counted() -> None:
    text = "F.s\n1 failed, 7 passed, 2 skipped, 5 deselected in 3.21s (0:00:03)\n"
    assert gpu.counts(text) == {"failed": 1, "passed": 7, "skipped": 2, "deselected": 5}
    assert gpu.counts("nothing") == {}


def test_every_part_is_there_and_its_limits_fit() -> None:
    every = [part for group in parts.PARTS for part in group]
    assert len({part.name for part in every}) == len(every)
    for part in every:
        if part.tests:
            assert (ROOT / part.tests[0]).exists()
        else:
            assert part.name in rows.MEASURED
    # What a part of a group takes at most, one group after the other, without the last one, is within what a call may take.
    assert sum(max(part.limit_s for part in group) for group in parts.PARTS[:-1]) <= parts.BUDGET_S


def test_stand_ins_have_what_the_pool_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    for name in [
        name for name in sys.modules if name.startswith(("grpc_health", "grpc_reflection", "cupool.pool.health"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(gpu.STANDINS))
    from cupool.pool.health import Health

    from cupool.v1 import pool_pb2

    health = Health(None, pool_pb2.DESCRIPTOR.services_by_name["PoolService"])  # type: ignore[arg-type]
    asyncio.run(health.tell(True))
    asyncio.run(health.end())
    for name in [
        name for name in sys.modules if name.startswith(("grpc_health", "grpc_reflection", "cupool.pool.health"))
    ]:
        monkeypatch.delitem(sys.modules, name)
