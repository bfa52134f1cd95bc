"""Async stays async: what waits is listed in `tools/data/waits.json`, and the list does not grow by accident."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from cupool.shim import session

ROOT = Path(__file__).resolve().parents[2]


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("waits_tool", ROOT / "tools" / "waits.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    session.current()
    yield
    session.close()


@pytest.mark.slow
@pytest.mark.keeps("what kernels and large arrays start")
def test_what_waits_is_what_is_listed() -> None:
    listed = json.loads((ROOT / "tools" / "data" / "waits.json").read_text(encoding="utf-8"))
    measured = tool().measure()
    more = {name: how for name, how in measured.items() if listed.get(name) not in (how, "always")}
    assert not more, (
        f"these calls wait and did not; where CuPy must look at data too, run `python tools/waits.py --write`: {more}"
    )
    gone = {name: how for name, how in listed.items() if measured.get(name) != how}
    assert not gone, f"these wait less than listed; run `python tools/waits.py --write`: {gone}"


def test_most_of_what_waits_is_the_programs_own_look() -> None:
    """Arithmetic, indexing, reductions, linear algebra and random numbers never wait for what their arguments hold."""
    listed = json.loads((ROOT / "tools" / "data" / "waits.json").read_text(encoding="utf-8"))
    for family in ("linalg.", "fft.", "random.Generator.", "ufunc."):
        assert not [name for name in listed if name.startswith(family)]
    for name in (
        "add",
        "sum",
        "sort",
        "unique",
        "nonzero",
        "ndarray.__getitem__",
        "ndarray.__setitem__",
        "einsum",
        "random.rand",
        "where",
    ):
        assert name not in listed
