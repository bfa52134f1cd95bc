"""The runner of CuPy's own tests: its data files, its table."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


data = _load("suite_data", ROOT / "tests" / "cupy_suite" / "suite_data.py")
stubs = _load("suite_stubs", ROOT / "tests" / "cupy_suite" / "suite_stubs.py")


def test_every_group_has_a_reason_and_each_test_is_in_one_file_once() -> None:
    seen: dict[str, str] = {}
    for path in (data.EXCLUDED, data.EXPECTED_FAILURES):
        for group in data.read(path).groups:
            assert len(group.reason) > 10
            for test in group.tests:
                assert test not in seen, f"{test} is in {seen[test]} and in {path.name}"
                seen[test] = path.name


def test_patterns_take_brackets_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "groups.toml"
    path.write_text('[[group]]\nreason = "a reason"\ntests = ["f.py::T::test[a*]", "g.py::*", "h.py::T::test[x]"]\n')
    groups = data.read(path)
    assert groups.reason("f.py::T::test[abc]") == groups.reason("g.py::anything") == "a reason"
    assert groups.reason("h.py::T::test[x]") == "a reason"
    assert groups.reason("f.py::T::testa") is None and groups.reason("h.py::T::testx") is None


def test_a_group_without_a_reason_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "groups.toml"
    path.write_text('[[group]]\nreason = " "\ntests = ["f.py::*"]\n')
    with pytest.raises(ValueError, match="needs a reason"):
        data.read(path)


def test_folders() -> None:
    assert data.folder_of("cupy_tests/math_tests/test_misc.py::T::t[a/b]") == "cupy_tests/math"
    assert data.folder_of("cupyx_tests/scipy_tests/ndimage_tests/test_f.py::t") == "cupyx_tests/scipy/ndimage"
    assert data.folder_of("cupy_tests/test_init.py::t") == "cupy_tests/(top)"


def test_only_what_is_private_counts_as_private() -> None:
    assert stubs.died_in_private("NotImplementedError: private stand-in: cupy._core.core.scan")
    assert stubs.died_in_private("AttributeError: module 'cupool.shim.cupy.cuda.compiler' has no attribute '_run'")
    assert stubs.died_in_private("ImportError: cannot import name '_x' from 'cupool.shim.cupy.cuda'")
    assert not stubs.died_in_private("AttributeError: module 'cupool.shim.cupy' has no attribute 'poly'")
    assert not stubs.died_in_private("AttributeError: 'list' object has no attribute '_resolve'")
    assert not stubs.died_in_private("NotImplementedError: missing module: cupyx.tools")


def test_parts_of_the_suite_add_up_to_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = _load("cupy_suite", ROOT / "tools" / "cupy_suite.py")
    path = tmp_path / "record.json"
    first = {"a/x": {"passed": 3, "failed": 1}, "a/y": {"passed": 2}, "total": {"passed": 5, "failed": 1}}
    again = {"a/x": {"passed": 4}, "b": {"skipped": 1}, "total": {"passed": 4, "skipped": 1}}
    for words, rows, is_part in (("x y", first, True), ("x b", again, True), ("x b", again, True)):
        monkeypatch.setattr(sys, "argv", ["cupy_suite.py", "--cupy", "elsewhere", *words.split()])
        runner.save(path, rows, 10.0, is_part)
    record = json.loads(path.read_text())
    assert record["folders"] == {
        "a/x": {"passed": 4},
        "a/y": {"passed": 2},
        "b": {"skipped": 1},
        "total": {"passed": 6, "skipped": 1},
    }
    assert record["command"] == "python tools/cupy_suite.py x y && python tools/cupy_suite.py x b"
    assert record["seconds"] == 30.0
    runner.save(path, again, 10.0, False)
    assert json.loads(path.read_text())["folders"] == again
