"""Samples of the campaigns that need a pool as an operator starts it: they run, and what they judge by counts holds."""

from __future__ import annotations

import pytest

from tools.prove import campaign


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", ["cycles", "moves", "overload", "tenants", "upgrade"])
def test_sample(part: str) -> None:
    record = campaign(part, full=False)
    assert record["complete"] and not record["failed"], record["failed"]
    assert record["passed"] == record["cases"] >= 1 and record["summary"]
