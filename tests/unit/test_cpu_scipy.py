"""The CPU device's `cupyx.scipy`: what is resolved late is there."""

from __future__ import annotations

import pytest
from cupool.apiserver.devices.cpu import ops
from cupool.apiserver.devices.cpu.scipy import Deferred

from cupool.contract.ops import TABLE

ROWS = sorted(
    row.impl
    for row in TABLE.values()
    if row.is_remote and isinstance(ops.OPS.get(row.impl) or ops.scipy.resolve(row.impl), Deferred)
)


@pytest.mark.parametrize("impl", ROWS)
def test_every_op_that_is_resolved_late_is_there(impl: str) -> None:
    found = ops.resolve(impl)
    assert isinstance(found, Deferred)
    assert callable(found.resolve())


def test_an_op_that_no_module_has_is_a_key_error() -> None:
    found = ops.resolve("cupyx.scipy.special.no_such_function")
    assert isinstance(found, Deferred)
    with pytest.raises(KeyError):
        found.resolve()
