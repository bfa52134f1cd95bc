"""What each row says that it writes, against what its implementation on the CPU device really does to its samples.

Moves, checkpoints and replays trust these declarations: a write that is not declared would be lost with no error.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cupool.apiserver.devices.cpu import ops

from cupool.contract.ops import CLIENT, LOCAL, TABLE, Row, call_arguments, parameters
from cupool.contract.ops._sample_arrays import Remote

ROWS = [
    row
    for row in TABLE.values()
    if row.samples is not None and not row.unsupported and row.infer not in (LOCAL, CLIENT) and not row.object
]


def bound(row: Row, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Parameter name -> value of a sample's call."""
    rest, kwargs = list(args), dict(kwargs)
    values: dict[str, Any] = {}
    for p in parameters(row.sig):
        if p.kind == "args":
            values[p.name] = tuple(rest)
            rest = []
        elif p.kind == "kwargs":
            values[p.name] = kwargs
        elif p.kind == "positional" and rest:
            values[p.name] = rest.pop(0)
        else:
            values[p.name] = kwargs.get(p.name, p.default)
    return values


def arrays(value: Any) -> Iterator[np.ndarray[Any, Any]]:
    """Every array in a value."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from arrays(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from arrays(item)


def contents(value: Any) -> list[bytes]:
    return [a.tobytes() for a in arrays(value)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.filterwarnings("ignore")
def test_a_row_writes_what_it_says_and_nothing_else(row: Row) -> None:
    implementation = ops.resolve(row.impl)
    assert row.samples is not None
    written: set[str] = set()
    ran = False
    for args, kwargs in row.samples():
        if any(isinstance(v, Remote) for v in (*args, *kwargs.values())):
            continue
        given = bound(row, *copy.deepcopy((args, kwargs)))
        before = {name: contents(value) for name, value in given.items()}
        positional, keywords = call_arguments(row, tuple(given.values()))
        with np.errstate(all="ignore"):
            implementation(*positional, **keywords)
        changed = {name for name, value in given.items() if contents(value) != before[name]}
        assert changed <= {*row.writes, "out"}, f"{args!r} {kwargs!r}"
        written |= changed
        ran = True
        written |= {name for name in row.writes if given[name] is None}  # an output that is not asked for
    if not ran:
        pytest.skip("its samples need remote objects")
    assert set(row.writes) <= written, "a declared write that no sample shows"
