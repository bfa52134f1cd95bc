"""Every row's samples: the rule against the CPU device's implementation, and the errors that must come before anything is sent."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cupool.apiserver.devices.cpu import ops

from cupool.contract.ops import NDIM, TABLE, UNKNOWN, Row, Same, Vector, call_arguments, parameters
from cupool.contract.ops._sample_arrays import Remote
from cupool.contract.spec import Spec, spec_like

#: Public functions, and the commands that stand for methods of `cupyx`'s objects and say by samples what they promise.
ROWS = [
    row
    for row in TABLE.values()
    if not row.unsupported
    and callable(row.infer)
    and (row.name[:1] != "@" or (row.name.startswith("@cupyx.") and row.samples is not None))
]
#: Commands of `cupyx` whose results only the data tells.
UNTOLD = [
    row for row in TABLE.values() if row.infer is None and row.samples is not None and row.name.startswith("@cupyx.")
]
SAMPLED = [row for row in ROWS if row.samples is not None]


def as_specs(value: Any) -> Any:
    """Arrays replaced by their specs, recursively."""
    if isinstance(value, np.ndarray):
        return spec_like(value)
    if isinstance(value, tuple | list):
        return type(value)(as_specs(v) for v in value)
    if isinstance(value, dict):
        return {k: as_specs(v) for k, v in value.items()}
    if isinstance(value, slice):
        return slice(as_specs(value.start), as_specs(value.stop), as_specs(value.step))
    return value


def bound(row: Row, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """One value per parameter, as a generated function passes them."""
    given = parameters(row.sig)
    values: list[Any] = []
    rest = list(args)
    kwargs = dict(kwargs)
    for p in given:
        if p.kind == "args":
            values.append(tuple(rest))
            rest = []
        elif p.kind == "kwargs":
            values.append(kwargs)
            kwargs = {}
        elif p.kind == "positional" and rest:
            values.append(rest.pop(0))
        elif p.name in kwargs:
            values.append(kwargs.pop(p.name))
        else:
            values.append(p.default)
    assert not rest and not kwargs, (row.name, rest, kwargs)
    return tuple(values)


def rule_of(row: Row, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    positional, keywords = call_arguments(row, tuple(as_specs(v) for v in bound(row, args, kwargs)))
    return row.infer(*positional, **keywords)


def made(value: Any) -> Any:
    """A sample's remote object, constructed on the device."""
    if isinstance(value, Remote):
        return ops.resolve(value.row)(*(made(a) for a in value.args), **value.kwargs)
    return value


def run(row: Row, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    positional, keywords = call_arguments(row, tuple(made(a) for a in bound(row, args, kwargs)))
    with np.errstate(all="ignore"):
        return ops.resolve(row.impl)(*positional, **keywords)


def check(row: Row, promised: Any, actual: Any) -> None:
    if isinstance(promised, list | tuple):
        assert isinstance(actual, list | tuple) and len(actual) == len(promised), (row.name, promised, actual)
        for p, a in zip(promised, actual, strict=True):
            check(row, p, a)
        return
    if isinstance(promised, str):
        assert promised == UNKNOWN
        count = row.outs
        if count == NDIM:
            assert isinstance(actual, tuple) and all(isinstance(a, np.ndarray) for a in actual)
        elif count == 1:
            assert isinstance(actual, np.ndarray), (row.name, type(actual))
        return
    if promised is None or isinstance(promised, Same):
        return
    if isinstance(promised, Vector):
        assert isinstance(actual, np.ndarray), (row.name, type(actual))
        assert (actual.ndim, actual.dtype) == (1, promised.dtype), row.name
        return
    assert isinstance(promised, Spec)
    assert isinstance(actual, np.ndarray), (row.name, type(actual))
    assert (actual.shape, actual.dtype) == (promised.shape, promised.dtype), row.name


def samples(row: Row) -> Iterator[Any]:
    assert row.samples is not None
    return iter(row.samples())


@pytest.mark.parametrize("row", SAMPLED, ids=lambda row: row.name)
def test_rule_promises_what_the_device_gives(row: Row) -> None:
    for args, kwargs in samples(row):
        args, kwargs = copy.deepcopy((args, kwargs))
        promised = rule_of(row, args, kwargs)
        try:
            check(row, promised, run(row, args, kwargs))
        except Exception as error:
            error.add_note(f"{row.name}: args {args!r}, kwargs {kwargs!r}, promised {promised!r}")
            raise


@pytest.mark.parametrize("row", UNTOLD, ids=lambda row: row.name)
def test_results_are_as_many_as_the_row_says(row: Row) -> None:
    for args, kwargs in samples(row):
        actual = run(row, *copy.deepcopy((args, kwargs)))
        if row.host:
            assert not isinstance(actual, np.ndarray)
            continue
        actual = actual if isinstance(actual, tuple) else (actual,)
        assert len(actual) == row.outs and all(isinstance(a, np.ndarray) for a in actual), (row.name, args, actual)


@pytest.mark.parametrize("row", [r for r in ROWS if r.errors is not None], ids=lambda row: row.name)
def test_rule_raises_before_anything_is_sent(row: Row) -> None:
    assert row.errors is not None
    for args, kwargs, error in row.errors():
        with pytest.raises(error):
            try:
                rule_of(row, args, kwargs)
            except Exception as raised:
                assert not isinstance(raised, AssertionError), raised
                raise
            pytest.fail(f"{row.name}{args!r} {kwargs!r} was accepted")


def test_most_rows_have_samples() -> None:
    public = [row for row in ROWS if row.name[0] != "@"]
    without = [row.name for row in public if row.samples is None and row.family not in ("ufunc",) and not row.server]
    assert not without, f"rows without samples: {without}"
