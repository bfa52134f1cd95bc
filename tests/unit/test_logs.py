"""Log lines: one form, one line a record, nothing that a value can forge, no secrets."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from cupool.contract import logs

SECRET = "cupool_client_ab12cd34_" + "S" * 32


def written(form: str, message: str, *values: Any, error: BaseException | None = None) -> str:
    """What a logger writes."""
    stream = io.StringIO()
    logger = logging.Logger("cupool.pool.test")
    logger.addHandler(logs.handler("controller", form, stream))
    logger.info(message, *values, exc_info=error)
    return stream.getvalue()


def test_a_line_of_text() -> None:
    line = written("text", "event=lease session=%s tenant=%s text=%r", "session-1", "acme", "all is well")
    stamp, rest = line.split(" ", 1)
    assert stamp.endswith("Z") and "T" in stamp
    assert rest == "info source=controller event=lease session=session-1 tenant=acme text='all is well'\n"


def test_the_same_line_in_json_has_the_same_fields() -> None:
    values = ("session-1", 3, 1.5, "a 'quoted' \"text\" with = and \\ and ü")
    line = json.loads(written("json", "event=lease session=%s count=%d took_ms=%s text=%r", *values))
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info", "source": "controller", "event": "lease",
        "session": "session-1", "count": 3, "took_ms": 1.5, "text": values[3],
    }  # fmt: skip


def test_messages_of_libraries_are_an_event_too() -> None:
    assert "event=message logger=cupool.pool.test text='Retrying after 3 s'" in written(
        "text", "Retrying after %d s", 3
    )
    line = json.loads(written("json", "Retrying after %d s", 3))
    assert (line["event"], line["text"], line["logger"]) == ("message", "Retrying after 3 s", "cupool.pool.test")


@pytest.mark.parametrize("form", logs.FORMATS)
@pytest.mark.parametrize("break_", ["\n", "\r\n", "\x0b", "\x85", "\u2028", "\x00"])
def test_a_value_cannot_begin_a_line(form: str, break_: str) -> None:
    forged = f"x{break_}2026-01-01T00:00:00.000Z info source=controller event=lease session=forged"
    for message in ("event=lease function=%s", "a library says %s"):
        line = written(form, message, forged)
        assert len(line.splitlines()) == 1
        if form == "json":
            assert json.loads(line)["source"] == "controller"


def test_a_value_by_repr_cannot_forge_a_field() -> None:
    line = json.loads(written("json", "event=lease session=%s function=%r", "session-1", "x' session=session-2 '"))
    assert line["session"] == "session-1" and line["function"] == "x' session=session-2 '"


def test_a_field_cannot_take_the_place_of_who_writes() -> None:
    assert json.loads(written("json", "event=lease source=%s level=%s", "agent", "debug"))["source"] == "controller"


@pytest.mark.parametrize("form", logs.FORMATS)
def test_secrets_are_taken_out_of_messages_and_tracebacks(form: str) -> None:
    try:
        raise RuntimeError(f"cannot use {SECRET}")
    except RuntimeError as error:
        line = written(form, "event=failed token=%s", SECRET, error=error)
    assert "S" * 8 not in line and "RuntimeError" in line and "failed" in line


def test_numbers_that_json_has_not_stay_text() -> None:
    line = json.loads(written("json", "event=x a=%s b=%s", float("nan"), float("inf")))
    assert (line["a"], line["b"]) == ("nan", "inf")


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="text or json"):
        logs.Lines("controller", "xml")


def test_configure_is_for_the_whole_process() -> None:
    program = (
        "import logging; from cupool.contract import logs; logs.configure('agent', 'warning', 'json');"
        "logging.getLogger('a').info('event=no'); logging.getLogger('b').warning('event=yes session=s')"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "" and [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["yes"]
