"""CUDA's driver as it is called: structures as `cuda.h` has them, what is undone when a call fails, and what failures are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cupool.apiserver.devices.cuda.arena import DriverMapper
from cupool.apiserver.devices.cuda.driver import _CALLS, AccessDesc, AllocationProp, Driver, Location


class Function:
    """A call of a library: takes its types, and notes that it was called."""

    def __init__(self, name: str, called: list[tuple[str, tuple[Any, ...]]], act: Callable[..., int]) -> None:
        self._name, self._called, self._act = name, called, act
        self.argtypes: Any = ()
        self.restype: Any = None

    def __call__(self, *arguments: Any) -> int:
        assert len(arguments) == len(self.argtypes), self._name
        for argument, of_type in zip(arguments, self.argtypes, strict=True):
            of_type.from_param(argument)  # raises what ctypes would
        seen = tuple(getattr(a, "_obj", a) for a in arguments)
        self._called.append((self._name, seen))
        return self._act(*seen)


class Library:
    """A driver of 64 KiB granules; `fails` names calls and their errors."""

    def __init__(self, **fails: int) -> None:
        self.called: list[tuple[str, tuple[Any, ...]]] = []
        for name in _CALLS:
            act = getattr(self, f"_{name}", lambda *_: 0)
            setattr(self, name, Function(name, self.called, lambda *a, n=name, f=act: fails.get(n, 0) or f(*a)))

    def _cuMemGetAllocationGranularity(self, found: Any, prop: Any, flags: int) -> int:
        found.value = 1 << 16
        return 0

    def _cuMemAddressReserve(self, found: Any, size: int, align: int, hint: int, flags: int) -> int:
        found.value = hint or 1 << 40
        return 0

    def _cuMemCreate(self, handle: Any, size: int, prop: Any, flags: int) -> int:
        handle.value = 77
        return 0

    def _cuGraphGetNodes(self, graph: int, nodes: Any, count: Any) -> int:
        if nodes is None:
            count.value = 3
        else:
            nodes[0], nodes[1], nodes[2] = 101, 102, 103
        return 0

    def _cuGraphNodeGetType(self, node: int, kind: Any) -> int:
        kind.value = {101: 0, 102: 2, 103: 1}[node]
        return 0

    def _cuGetErrorName(self, error: int, text: Any) -> int:
        text.value = b"CUDA_ERROR_OF_THE_TEST"
        return 0

    def names(self) -> list[str]:
        return [name for name, _ in self.called]


def test_structures_lie_as_cuda_h_has_them() -> None:
    """The bytes are those of `cuda.bindings` 13: a pinned allocation on device 5, and access to it."""
    prop = AllocationProp(type=1, location=Location(1, 5))
    assert bytes(prop) == bytes.fromhex("01000000 00000000 01000000 05000000" + "00" * 16)
    assert bytes(AccessDesc(Location(1, 5), 3)) == bytes.fromhex("01000000 05000000 03000000")


def test_memory_is_mapped_and_may_be_used() -> None:
    library = Library()
    mapper = DriverMapper(5, Driver(library))
    assert (mapper.granule, mapper.reserve(1 << 20, 1 << 41)) == (1 << 16, 1 << 41)
    mapper.map(1 << 41, 1 << 16)
    assert library.names() == [
        "cuMemGetAllocationGranularity", "cuMemAddressReserve", "cuMemCreate", "cuMemMap", "cuMemSetAccess", "cuMemRelease",
    ]  # fmt: skip
    mapper.clear([(1 << 41, 1 << 16)])
    assert library.names()[-2:] == ["cuMemsetD8_v2", "cuCtxSynchronize"]


@pytest.mark.parametrize(
    ("fails", "undone"),
    [("cuMemSetAccess", ["cuMemUnmap", "cuMemRelease"]), ("cuMemMap", ["cuMemMap", "cuMemRelease"])],
)
def test_a_mapping_that_fails_half_way_is_undone(fails: str, undone: list[str]) -> None:
    library = Library(**{fails: 1})
    with pytest.raises(RuntimeError, match=f"{fails} failed: CUDA_ERROR_OF_THE_TEST"):
        Driver(library).map(0, 1 << 41, 1 << 16)
    assert [name for name in library.names() if name != "cuGetErrorName"][-2:] == undone


def test_no_memory_is_a_memory_error() -> None:
    with pytest.raises(MemoryError, match="cuMemCreate"):
        Driver(Library(cuMemCreate=2)).map(0, 1 << 41, 1 << 16)


def test_nodes_of_a_graph_are_told_by_kind() -> None:
    assert Driver(Library()).node_types(1 << 45) == [0, 2, 1]


def test_a_driver_without_a_call_says_so() -> None:
    library = Library()
    del library.cuMemCreate  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="no cuMemCreate; it is older"):
        Driver(library)
