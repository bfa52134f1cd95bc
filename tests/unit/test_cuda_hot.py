"""Kernels that a GPU's server loads before it is leased, over a CuPy that is played."""

from __future__ import annotations

from typing import Any

import fakecupy
import pytest


@pytest.fixture
def hot(monkeypatch: pytest.MonkeyPatch) -> Any:
    fakecupy.install(monkeypatch)
    from cupool.apiserver.devices.cuda import hot

    return hot


def test_all_are_called_where_there_is_time(hot: Any) -> None:
    every = len(list(hot.calls()))
    assert every > 100 and hot.load(60) == every


def test_what_does_not_fit_into_the_time_is_left(hot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(1000))  # a second each time that somebody looks
    monkeypatch.setattr(hot.time, "monotonic", lambda: float(next(now)))
    assert hot.load(3.5) == 3


@pytest.mark.parametrize(("name", "loaded"), [("add", 1), ("ones", 0)])
def test_one_that_fails_ends_it_and_nothing_else(
    hot: Any, name: str, loaded: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any) -> Any:
        raise RuntimeError("nvrtc is not there")

    monkeypatch.setattr(hot.cupy, name, fails)
    caplog.set_level("WARNING")  # whatever level another test has set
    assert hot.load() == loaded
    assert "nvrtc is not there" in caplog.text
