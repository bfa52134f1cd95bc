"""Every op that a CUDA server must run exists in the real CuPy. Needs the package, not a GPU."""

from __future__ import annotations

import importlib
import inspect

import pytest

from cupool.contract.ops import TABLE

pytest.importorskip("cupy_backends", reason="the real CuPy is not installed here")

#: Ops of ours that the executor runs itself, on any device.
EXECUTOR = {
    "@alias", "@array", "@barrier", "@export", "@fault", "@fetch", "@forms_reset", "@free_blocks", "@lift", "@memory", "@set_limit",
    "@spec", "@upload", "@view",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:cupyx.jit.rawkernel is experimental:FutureWarning")
def test_every_row_resolves() -> None:
    names = importlib.import_module("cupool.apiserver.devices.cuda.names")
    absent = []
    for row in TABLE.values():
        if row.is_remote and (row.impl.startswith("@cupyx.") or not row.impl.startswith("@")):
            try:
                assert callable(names.resolve(row.impl))
            except KeyError:
                absent.append(row.impl)
    assert not absent


def test_every_command_of_ours_is_somebodys() -> None:
    kernels = importlib.import_module("cupool.apiserver.devices.cuda.kernels")
    streams = importlib.import_module("cupool.apiserver.devices.cuda.streams")
    from cupool.apiserver import captures
    from cupool.apiserver.internal import INTERNAL

    own = set(kernels.OPS) | {"@pointer", "@from_pointer"} | set(INTERNAL) | set(captures.OPS)
    text = inspect.getsource(streams.Streams.ops)
    ours = {
        row.name
        for row in TABLE.values()
        if row.name.startswith("@") and row.is_remote and not row.name.startswith("@cupyx.")
    }
    assert {name for name in ours if name not in own and f'"{name}"' not in text} <= EXECUTOR


def test_kernel_attributes_exist() -> None:
    import cupy

    kernels = importlib.import_module("cupool.apiserver.devices.cuda.kernels")
    assert all(hasattr(cupy.RawKernel, name) for name in kernels._ATTRIBUTES)


def test_kernels_take_what_the_table_says() -> None:
    """The parameters of each kernel function are those of its row, in its order."""
    kernels = importlib.import_module("cupool.apiserver.devices.cuda.kernels")
    for name, function in kernels.OPS.items():
        if name == "@kernel_binary":
            continue
        given = tuple(inspect.signature(function).parameters)
        assert given == TABLE[name].params, name
