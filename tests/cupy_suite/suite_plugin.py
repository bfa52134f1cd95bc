"""The pytest plugin that runs upstream's tests through the shim: `pytest -p suite_plugin`, started by `tools/cupy_suite.py`.

It reads CUPY_SUITE_* variables, puts the shim in CuPy's place, loads upstream's `cupy.testing` from the checkout, chooses tests, and
writes one JSON line per event to a log that survives the process.
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import importlib.util
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import suite_data
import suite_stubs

UPSTREAM = Path(os.environ["CUPY_SUITE_CHECKOUT"])
LOG = Path(os.environ["CUPY_SUITE_LOG"])
#: "2/3": the third of three shards.
SHARD, SHARDS = map(int, os.environ.get("CUPY_SUITE_SHARD", "0/1").split("/"))
FRACTION = float(os.environ.get("CUPY_SUITE_FRACTION", "1"))
#: The part of all test functions that is run, chosen by hash.
FUNCTIONS = float(os.environ.get("CUPY_SUITE_FUNCTIONS", "1"))
#: A file of test ids: only these.
ONLY = os.environ.get("CUPY_SUITE_ONLY", "")
#: Run with the CuPy that is installed instead of the shim: which tests pass for real.
IS_ORACLE = os.environ.get("CUPY_SUITE_ORACLE", "") == "1"
#: Run with our own `cupy.testing`: what programs' tests would do.
HAS_OWN_TESTING = os.environ.get("CUPY_SUITE_OWN_TESTING", "") == "1"
SALT = "cupool"


def _load_testing() -> None:
    """Upstream's `cupy.testing` on top of the shim's names."""
    import cupy

    folder = UPSTREAM / "cupy" / "testing"
    spec = importlib.util.spec_from_file_location(
        "cupy.testing", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Under both names: importing what is below an alias imports the real parent.
    sys.modules["cupy.testing"] = sys.modules["cupool.shim.cupy.testing"] = module
    cupy.testing = module
    spec.loader.exec_module(module)


def _prepare() -> None:
    if IS_ORACLE:
        return
    from cupool.shim import finder

    import cupool

    cupool.install()
    importlib.import_module("cupy")
    # Programs that tests start import the shim too.
    os.environ["PYTHONPATH"] = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(finder.DROPIN)])
    suite_stubs.install(UPSTREAM)
    if not HAS_OWN_TESTING:
        _load_testing()


_prepare()


# -- the log -------------------------------------------------------------------------------------------------------------


class _Log:
    def __init__(self) -> None:
        self._file = LOG.open("a", encoding="utf-8", buffering=1)

    def write(self, **record: Any) -> None:
        self._file.write(json.dumps(record) + "\n")


_log = _Log()


def _already_run() -> set[str]:
    """Tests of this shard that an earlier process has run or died in."""
    if not LOG.exists():
        return set()
    return {r["start"] for line in LOG.read_text(encoding="utf-8").splitlines() if "start" in (r := json.loads(line))}


# -- which tests -----------------------------------------------------------------------------------------------------------


def _group(test: str) -> str:
    return test.partition("[")[0]


def _rank(test: str) -> str:
    return hashlib.sha1((SALT + test).encode()).hexdigest()


def _part(test: str) -> float:
    """A number from 0 to 1 that belongs to a test function."""
    return int(_rank(f"part of {_group(test)}")[:8], 16) / (1 << 32)


def _sampled(items: list[Any]) -> list[Any]:
    """A fraction of each test function's parameter sets, at least one: stable whatever else is collected."""
    groups = defaultdict(list)
    for item in items:
        groups[_group(item.nodeid)].append(item)
    kept = set()
    for group in groups.values():
        group.sort(key=lambda item: _rank(item.nodeid))
        kept.update(id(item) for item in group[: max(1, int(len(group) * FRACTION))])
    return [item for item in items if id(item) in kept]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files that are left out whole are not even imported; each counts once."""
    try:
        test = collection_path.relative_to(Path.cwd() / "tests").as_posix()
    except ValueError:
        return None
    reason = _excluded_files.get(f"{test}::*")
    if reason is None:
        return None
    wanted = [Path(arg.partition("::")[0]).resolve() for arg in config.args]
    is_wanted = any(path == collection_path or path in collection_path.parents for path in wanted)
    if is_wanted and int(_rank(test)[:8], 16) % SHARDS == SHARD:
        _log.write(start=test)
        _log.write(test=test, outcome="excluded", text=reason)
    return True


_excluded = suite_data.read(suite_data.EXCLUDED)
_excluded_files = {t: g.reason for g in _excluded.groups for t in g.tests if t.endswith(".py::*") and t.count("*") == 1}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if ONLY:
        only = set(Path(ONLY).read_text(encoding="utf-8").split("\n"))
        items[:] = [item for item in items if suite_data.test_id(item.nodeid) in only]
    if FUNCTIONS < 1:
        items[:] = [item for item in items if _part(item.nodeid) < FUNCTIONS]
    if FRACTION < 1:
        items[:] = _sampled(items)
    if SHARDS > 1:
        items[:] = [item for item in items if int(_rank(item.nodeid)[:8], 16) % SHARDS == SHARD]
    kept, done = [], _already_run()
    for item in items:
        test = suite_data.test_id(item.nodeid)
        reason = _excluded.reason(test)
        if test in done:
            continue
        if reason is None:
            kept.append(item)
        else:
            _log.write(start=test)
            _log.write(test=test, outcome="excluded", text=reason)
    items[:] = kept
    _log.write(collected=len(items))


def pytest_runtestloop() -> None:
    """Open the session first: opening one calls the clock, which some tests replace by a list of times."""
    if not IS_ORACLE:
        from cupool.shim import session

        session.current()


# -- what became of them ---------------------------------------------------------------------------------------------------


def _drain() -> None:
    """Whatever the test queued has run: an error that nobody looked at is this test's, not the next one's."""
    if IS_ORACLE:
        return
    session = sys.modules.get("cupool.shim.session")
    if session is not None and session.is_open():
        session.wait_all()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    try:
        yield
    except BaseException:
        try:
            _drain()
        except Exception as error:  # the test failed already: the first error is the one to read
            item.add_report_section("call", "left behind", repr(error))
        raise
    _drain()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logstart(nodeid: str, location: Any) -> None:
    _log.write(start=suite_data.test_id(nodeid))


def _last_line(report: Any) -> str:
    crash = getattr(getattr(report, "longrepr", None), "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr)
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return ""
    if crash is None:
        return lines[-1][:300]
    # Upstream's decorators say which side raised first and what it raised last.
    return lines[0][:300] if len(lines) == 1 else f"{lines[0][:200]} | {lines[-1][:300]}"


def _outcome(report: Any) -> str:
    """The row of the table that a failed or skipped phase counts for."""
    if report.outcome == "failed":
        return "private" if suite_stubs.died_in_private(str(report.longrepr)) else "failed"
    if report.outcome == "skipped":
        return "upstream-xfail" if hasattr(report, "wasxfail") else "skipped"
    return "passed"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when != "call" and report.outcome == "passed":
        return
    outcome = _outcome(report)
    record: dict[str, Any] = {
        "test": suite_data.test_id(report.nodeid),
        "outcome": outcome,
        "s": round(report.duration, 3),
    }
    if outcome in ("failed", "private"):
        record["text"] = _last_line(report)
    _log.write(**record)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.outcome == "failed":
        outcome = _outcome(report)
        test = suite_data.test_id(report.nodeid)
        _log.write(start=test)
        _log.write(test=test, outcome=outcome, text=_last_line(report), collecting=True)


_count = 0


def pytest_runtest_teardown(item: pytest.Item) -> None:
    # Tracebacks of failed tests hold arrays in cycles; the device's memory is bounded.
    global _count
    _count += 1
    if _count % 500 == 0:
        gc.collect()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    _log.write(finished=int(exitstatus), at=time.time())
