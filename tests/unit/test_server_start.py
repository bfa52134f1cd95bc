"""What stops a server at its start, and what it says."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cupool.apiserver.config import parse
from cupool.apiserver.devices.cpu.device import CpuDevice
from cupool.apiserver.implementations import resolve_table

from cupool.contract.ops import TABLE, Row


def test_every_remote_row_has_an_implementation() -> None:
    impls = resolve_table(CpuDevice())
    assert len(impls) > 400


def test_a_bad_row_stops_the_server_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLE, "no.such.thing", Row("no.such.thing", "(a)", None))
    with pytest.raises(LookupError, match=r"no implementation of 1 ops of the table: no\.such\.thing"):
        resolve_table(CpuDevice())


@pytest.mark.parametrize(
    "arguments", [["--device", "tpu:0"], ["--memory-limit", "much"], ["--assign", "only-a-session"]]
)
def test_a_command_line_that_cannot_be(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(arguments)
    assert "error:" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_one_line() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "cupool.apiserver", "--device", "cuda:0"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if run.returncode == 0:
        pytest.skip("this machine has a GPU")
    assert run.returncode == 1
    assert run.stderr.startswith("cupool.apiserver: cannot start:")
