"""Every row's samples through the whole stack: shim, wire, executor, CPU device; against the device's implementation called directly."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from cupool.apiserver.devices.cpu import ops
from cupool.shim import cupy as cp
from cupool.shim import cupyx
from live import device as device

from cupool.contract.ops import CLIENT, LOCAL, TABLE, Row, call_arguments, parameters
from cupool.contract.ops._sample_arrays import Remote

#: Not a public function of a module: methods, and internal rows.
ROWS = [
    row
    for row in TABLE.values()
    if row.samples is not None
    and not row.unsupported
    and row.infer not in (LOCAL, CLIENT)
    and not row.name.startswith(("@", "ndarray.", "ufunc.", "random."))
    and not (row.object or row.name.rpartition(".")[0].rpartition(".")[2][:1].isupper())  # classes and their methods
]
#: The numbers are not defined.
UNDEFINED = {"empty", "empty_like"}


def on_device(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        made = cp.asarray(value)
        if made.strides != value.strides and value.flags.f_contiguous:
            made = cp.asfortranarray(made)
        return made
    if isinstance(value, tuple | list):
        return type(value)(on_device(v) for v in value)
    return value


def on_host(value: Any) -> Any:
    if isinstance(value, cp.ndarray):
        return value.get()
    if isinstance(value, tuple | list):
        return [on_host(v) for v in value]
    return value


def bound(row: Row, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    rest, kwargs = list(args), dict(kwargs)
    values: list[Any] = []
    for p in parameters(row.sig):
        if p.kind == "args":
            values.append(tuple(rest))
            rest = []
        elif p.kind == "kwargs":
            values.append(kwargs)
        elif p.kind == "positional" and rest:
            values.append(rest.pop(0))
        else:
            values.append(kwargs.get(p.name, p.default))
    return tuple(values)


def public(name: str) -> Any:
    target: Any = cp
    if name.startswith("cupyx."):
        target, name = cupyx, name.removeprefix("cupyx.")
    for part in name.split("."):
        target = getattr(target, part)
    return target


def compare(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, tuple | list) and not isinstance(ours, np.ndarray):
        flat: list[Any] = []
        for item in ours:
            flat.extend(item if isinstance(item, list) else [item])
        assert len(flat) == len(theirs)
        for a, b in zip(flat, theirs, strict=True):
            compare(a, b)
        return
    if type(ours) in (int, float, complex):  # what CuPy gives as a number of the host
        assert ours == theirs
        return
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.filterwarnings("ignore")
def test_samples_through_the_stack(row: Row) -> None:
    assert row.samples is not None
    for args, kwargs in row.samples():
        if any(isinstance(v, Remote) for v in (*args, *kwargs.values())):
            continue
        for_us, for_them = copy.deepcopy((args, kwargs)), copy.deepcopy((args, kwargs))
        try:
            result = public(row.name)(*on_device(for_us[0]), **{k: on_device(v) for k, v in for_us[1].items()})
            ours = on_host(result)
            positional, keywords = call_arguments(row, bound(row, *for_them))
            with np.errstate(all="ignore"):
                theirs = ops.resolve(row.impl)(*positional, **keywords)
            if row.name in UNDEFINED or theirs is None:
                continue
            if row.host and isinstance(theirs, tuple | list):
                assert result == theirs
                continue
            compare(ours, theirs)
        except Exception as error:
            error.add_note(f"{row.name}: args {args!r}, kwargs {kwargs!r}")
            raise


def test_a_plan_is_not_kept_for_another_shape() -> None:
    for data in ([[1, 0], [2, 3]], [[0, 0], [0, 1]], [[1, 1], [1, 1]]):
        rows = cp.nonzero(cp.asarray(data))
        np.testing.assert_array_equal(cp.stack(list(rows)).get(), np.stack(np.nonzero(np.asarray(data))))
