"""The CUDA device alone: arrays, views, transfers, streams, kernels, the arena."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from cupool.contract.errors import CUDARuntimeError
from cupool.contract.ops import TABLE
from cupool.contract.spec import spec_of

MIB = 1 << 20


def on_device(device: Any, host: np.ndarray) -> Any:
    return device.from_bytes(spec_of(host.shape, host.dtype), host.tobytes())


def test_it_describes_itself(device: Any) -> None:
    info = device.describe()
    assert info.kind == "cuda"
    assert info.total_bytes > 1 << 30
    assert {item.name for item in info.properties} >= {"name", "totalGlobalMem", "multiProcessorCount"}


@pytest.mark.parametrize("size", [1, 5 * MIB + 3, 70 * MIB])
def test_bytes_up_and_down(device: Any, size: int) -> None:
    data = np.random.default_rng(size).integers(0, 255, size, np.uint8)
    staging = device.staging(size)
    for at in range(0, size, MIB):
        staging.write(at, data[at : at + MIB])
    array = device.upload(spec_of((size,), np.uint8), staging)
    assert np.array_equal(np.frombuffer(device.download(array), np.uint8), data)


def test_views_know_their_root_and_their_bounds(device: Any) -> None:
    host = np.arange(24.0).reshape(4, 6)
    a = on_device(device, host)
    v = device.view(a, 8, spec_of((2, 3), np.float64, (96, 16)))
    assert np.array_equal(v.get(), host[0::2, 1::2])
    assert device.buffer_of(v) is device.buffer_of(v[1:]) is a
    with pytest.raises(ValueError, match="does not lie"):
        device.view(a, 8, spec_of((24,), np.float64))
    backwards = device.view(a, 40, spec_of((6,), np.float64, (-8,)))
    assert np.array_equal(backwards.get(), host[0][::-1])
    v[...] = -1
    assert a.get()[0, 1] == -1
    assert device.as_array(v + v).base is None


def test_conform_gives_the_strides_that_were_promised(device: Any) -> None:
    a = on_device(device, np.arange(6.0).reshape(2, 3))
    made = device.conform(a, spec_of((2, 3), np.float64, order="F"))
    assert made.strides == (8, 16)
    assert np.array_equal(made.get(), a.get())


def test_memory_lies_in_the_arena(device: Any) -> None:
    info = device.describe()
    if not info.arena_bytes:
        pytest.skip("this driver has no virtual memory management; the server's log says why")
    a = on_device(device, np.ones(1000))
    assert info.arena_base <= a.data.ptr < info.arena_base + info.arena_bytes


def test_the_limit_is_out_of_memory(device: Any) -> None:
    import cupy

    with pytest.raises(cupy.cuda.memory.OutOfMemoryError):
        cupy.empty(3 << 30, cupy.uint8)


def test_streams_and_events(device: Any) -> None:
    create, record, elapsed = (device.resolve(name) for name in ("@stream_create", "@event_record", "@event_elapsed"))
    create(5, True, 0)
    device.select(0, 5)
    start, end = (device.resolve("@event_create")(0) for _ in range(2))
    record(start)
    on_device(device, np.ones(MIB)).sum()
    record(end)
    device.resolve("@event_wait")(end)
    assert elapsed(start, end) > 0
    device.select(0, 0)
    device.resolve("@stream_destroy")(5)
    with pytest.raises(CUDARuntimeError):
        device.select(0, 5)
    with pytest.raises(CUDARuntimeError):
        device.select(1, 0)


FOLLOW = """
struct Node { double value; Node *next; };
extern "C" __global__ void link(Node *nodes, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) { nodes[i].value = i; nodes[i].next = i + 1 < n ? nodes + i + 1 : nullptr; }
}
extern "C" __global__ void walk(const Node *head, double *sum) {
    double total = 0;
    for (const Node *node = head; node; node = node->next) total += node->value;
    *sum = total;
}
"""


def test_a_kernel_follows_pointers_that_another_stored(device: Any) -> None:
    module = device.resolve("@kernel_raw")(FOLLOW, (), "nvrtc", False, False, False, None, None)
    link, walk = (device.resolve("@kernel_function")(module, name) for name in ("link", "walk"))
    nodes = on_device(device, np.zeros(200))
    total = on_device(device, np.zeros(1))
    launch = device.resolve("@launch")
    launch(link, (1,), (128,), (nodes, np.int32(100)), 0)
    launch(walk, (1,), (1,), (nodes, total), 0)
    assert float(total[0]) == 4950
    pointer = device.resolve("@pointer")(nodes)
    if device.describe().arena_bytes:
        again = device.resolve("@from_pointer")(pointer, np.dtype(np.float64), (200,), (8,))
        assert np.array_equal(again.get(), nodes.get())
        with pytest.raises(CUDARuntimeError):
            device.resolve("@from_pointer")(pointer, np.dtype(np.float64), (1 << 40,), (8,))


def test_elementwise_and_reduction_kernels(device: Any) -> None:
    a = on_device(device, np.arange(10.0))
    square = device.resolve("@kernel_elementwise")("T x", "T y", "y = x * x", "square", True, "", "", "", ())
    got = device.resolve("@call_elementwise")(square, (a,), {}, (10,), (np.dtype(np.float64),), None, 128)
    assert np.array_equal(got.get(), np.arange(10.0) ** 2)
    norm = device.resolve("@kernel_reduction")(
        "T x", "T y", "x * x", "a + b", "y = sqrt(a)", "0", "norm", None, True, "", ()
    )
    got = device.resolve("@call_reduction")(norm, (a,), {}, None, False, (), (np.dtype(np.float64),))
    assert float(got) == pytest.approx(float(np.linalg.norm(np.arange(10.0))))


def samples() -> list[Any]:
    """Every sample call of every row that NumPy has too."""
    found = []
    for row in TABLE.values():
        reference: Any = np
        for part in row.impl.split("."):
            reference = getattr(reference, part, None)
        if row.samples is not None and row.is_remote and callable(reference) and "rng" not in row.uses:
            found += [pytest.param(row, reference, *call, id=f"{row.name}-{i}") for i, call in enumerate(row.samples())]
    return found


@pytest.mark.parametrize(("row", "reference", "args", "kwargs"), samples())
def test_samples_agree_with_numpy(device: Any, row: Any, reference: Any, args: Any, kwargs: Any) -> None:
    import cupy

    def move(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return cupy.asarray(value)
        return type(value)(move(v) for v in value) if isinstance(value, (list, tuple)) else value

    got = device.resolve(row.impl)(*[move(a) for a in args], **{k: move(v) for k, v in kwargs.items()})
    with np.errstate(all="ignore"):
        expected = reference(*args, **kwargs)
    for ours, theirs in zip(*(r if isinstance(r, (tuple, list)) else (r,) for r in (got, expected)), strict=True):
        if theirs is None or not isinstance(ours, cupy.ndarray):
            continue
        assert ours.shape == np.shape(theirs)
        np.testing.assert_allclose(ours.get(), theirs, rtol=1e-4, atol=1e-5)


def test_a_sessions_memory_is_zeros_after_its_end() -> None:
    """A canary in live, freed and unmapped memory of one device object; what its arena holds after `close` is read by address."""
    code = """
import cupy, numpy as np
from cupool.apiserver.accounting import Accounting
from cupool.apiserver.devices.cuda.device import CudaDevice
from cupool.apiserver.handles import Handles
from cupool.contract.spec import spec_of
device = CudaDevice(0, 2 << 30)
account = Accounting(2 << 30)
device.open(account, Handles(account, device.array_type, 1000))
live = device.empty(spec_of((1 << 24,), np.dtype("u8"))); live[...] = 0xDEADBEEFCAFEF00D
gone = device.empty(spec_of((1 << 20,), np.dtype("u8"))); gone[...] = 0xDEADBEEFCAFEF00D
del gone
device.close()
left = int((live == 0xDEADBEEFCAFEF00D).sum()) + int(live.any())
free, total = cupy.cuda.runtime.memGetInfo()
# All that is free now, a gigabyte at a time at most: nobody finds the canary there.
held, found = [], 0
for _ in range(4):
    p = cupy.cuda.runtime.malloc(1 << 30); held.append(p)
    memory = cupy.ndarray((1 << 27,), "u8", cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(p, 1 << 30, None), 0))
    found += int((memory == 0xDEADBEEFCAFEF00D).sum())
print(left, found)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert run.stdout.split() == ["0", "0"], run.stderr[-2000:]
