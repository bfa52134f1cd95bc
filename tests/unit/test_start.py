"""What a program that starts must not wait for, and the records that are made for that."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from cupool.contract.limits import Limits
from cupool.contract.records import Record, as_dict

#: What importing the shim may load beyond numpy and itself, all of it small.
STANDARD = ["_queue", "_socket", "atexit", "cupool", "gc", "mmap", "select", "threading"]
#: Each module costs 0.1 to 0.2 ms to find and to read.
MOST_MODULES = 72

IMPORT = """
import sys, gc
import numpy
before = set(sys.modules)
{collects}
{program}
assert gc.isenabled() == {is_on}
print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize("program", ["from cupool import cupy", "import cupool\ncupool.install()\nimport cupy"])
@pytest.mark.parametrize(("collects", "is_on"), [("", True), ("gc.disable()", False)])
def test_importing_the_shim_loads_little(program: str, collects: str, is_on: bool) -> None:
    source = IMPORT.format(program=program, collects=collects, is_on=is_on)
    done = subprocess.run([sys.executable, "-P", "-c", source], capture_output=True, text=True, check=True)
    names = done.stdout.split()
    ours = [name for name in names if name.startswith("cupool.")]
    if "install" not in program:  # the finder and what it needs
        assert set(names) - set(ours) <= set(STANDARD), "beyond what is small"
        assert len(ours) <= MOST_MODULES
    assert not [
        name
        for name in names
        if name.split(".")[0] in ("dataclasses", "google", "grpc", "ml_dtypes", "ssl", "subprocess")
    ]
    assert not [name for name in ours if name.startswith("cupool.v1")]


class Point(Record):
    x: int
    y: int = 2
    label: str = ""


STAR = """
import sys
import cupool
cupool.install()
from cupy import *
import cupy
assert "cupool.shim.cupy.testing._array" not in sys.modules
testing.assert_allclose([1.0], [1.0])
assert "cupool.shim.cupy.testing._array" in sys.modules
import cupy.testing
assert cupy.testing is testing
"""


def test_a_star_import_brings_testing_which_is_loaded_when_it_is_used() -> None:
    """As CuPy's own; SciPy's tests and whoever else goes through array_api_compat have it from there."""
    subprocess.run([sys.executable, "-P", "-c", STAR], check=True)


def test_records_are_as_frozen_data_classes() -> None:
    point = Point(1, label="a")
    assert (point.x, point.y, point.label) == (1, 2, "a")
    assert (
        point == Point(1, 2, "a")
        and hash(point) == hash(Point(1, 2, "a"))
        and point != Point(1)
        and point != (1, 2, "a")
    )
    assert repr(point) == "Point(x=1, y=2, label='a')"
    assert point.replaced(y=3) == Point(1, 3, "a") and as_dict(Point(5)) == {"x": 5, "y": 2, "label": ""}
    assert pickle.loads(pickle.dumps(Limits(forms=7))) == Limits(forms=7)
    for wrong in (lambda: Point(), lambda: Point(1, 2, "a", 4), lambda: Point(1, x=1), lambda: Point(1, z=1)):
        with pytest.raises(TypeError, match="Point"):
            wrong()
    with pytest.raises(AttributeError, match="cannot assign to field 'x'"):
        point.x = 5  # type: ignore[misc]
    with pytest.raises(AttributeError, match="cannot delete field 'x'"):
        del point.x
