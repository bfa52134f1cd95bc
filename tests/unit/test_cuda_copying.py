"""Sessions of a GPU are written down and made again on another one: the device's own code, over GPUs that are memory of this process."""

from __future__ import annotations

import gc
import random
import sys
from typing import Any

import documents
import fakecupy
import numpy as np
import pytest
from cupool.apiserver.config import Assignment
from cupool.apiserver.document import DocumentError, capture, fixed
from cupool.apiserver.executor import Executor
from gpu_programs import FOLLOW, GpuProgram, run
from wire import OBJECT, REPLY, H, I, spec

from cupool.contract.errors import CUDARuntimeError
from cupool.contract.limits import DEFAULT_LIMITS
from cupool.contract.values import decode
from cupool.v1 import move_pb2, session_pb2

LIMIT = 32 << 20


def follow(gpu: Any, table: int, n: int) -> None:
    for pointer in gpu.at(table, 8 * n).view(np.int64).tolist():
        gpu.at(pointer, 8).view(np.float64)[0] += 1.5


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(fakecupy.KERNELS, "follow", follow)
    monkeypatch.setitem(
        fakecupy.KERNELS,
        "fill",
        lambda gpu, table, a, b: gpu.at(table, 16).view(np.int64).__setitem__(slice(2), (a, b)),
    )
    return fakecupy.install(monkeypatch)


def begin(cuda: Any, number: int = 0, moves: bool = True) -> Any:
    """A session on a GPU, that nobody has attached to."""
    device = cuda.CudaDevice(number, LIMIT, 0, moves)
    device.enter()
    return documents.session_over(Executor(device, LIMIT, DEFAULT_LIMITS))


def carried(session: Any, cuda: Any, mirror: documents.Mirror, spoil: Any = None) -> Any:
    """The session on the other GPU, of what looks have reported and of nothing else."""
    tracker = session.executor.tracking()
    mirror.follow(tracker)
    document, buffers = capture(session, tracker), mirror.buffers()
    tracker.stop()
    if spoil is not None:
        buffers = spoil(buffers)
    device = cuda.CudaDevice(1, LIMIT, 0, True)
    coming = documents.incoming(device, LIMIT)
    for buffer, nbytes, address, data in buffers:
        memory = coming.begin(move_pb2.MoveBuffer(buffer=buffer, nbytes=nbytes, address=address))
        memory[:] = np.frombuffer(data, np.uint8)
    device.enter()
    made = coming.finish(document, Assignment("s", b"", 2, LIMIT))
    return made


@pytest.mark.parametrize("seed", range(5))
def test_a_program_goes_on_on_the_other_gpu_as_if_nothing_had_been(cuda: Any, seed: int) -> None:
    rng = random.Random(seed)
    program = GpuProgram(seed, 16)
    cut = rng.randint(1, len(program.batches) - 1)
    whole = run(begin(cuda), program.batches)
    cuda = fakecupy_again()
    session, mirror = begin(cuda), documents.Mirror()
    first = run(session, program.batches[: cut // 2])
    session.executor.tracking().start()
    first += run(session, program.batches[cut // 2 : cut], lambda: mirror.follow(session.executor.tracker))
    rest = run(carried(session, cuda, mirror), program.batches[cut:])
    assert first + rest == whole


def fakecupy_again() -> Any:
    fakecupy.again()
    return sys.modules["cupool.apiserver.devices.cuda.device"]


class Steps(GpuProgram):
    """A program that is written step by step, and asks a session for what it needs to know."""

    def __init__(self) -> None:
        super().__init__(1, 0)

    def do(self, session: Any) -> list[Any]:
        """Run what was added; returns the results' values."""
        self.flush()
        batches, self.batches = self.batches, []
        (outcome,) = run(session, batches)
        assert not outcome[1]
        return [decode(session_pb2.Result.FromString(r).value) for r in outcome[0]]

    def array(self, data: Any) -> int:
        return self._data(np.asarray(data))

    def function(self, source: str, name: str) -> int:
        module, made = self.handle(), self.handle()
        self.op("@kernel_raw", [source, (), "nvrtc", False, False, None, None, ()], [OBJECT], [module])
        self.op("@kernel_function", [H, name], [OBJECT], [made, module])
        return made


def test_what_a_kernel_writes_where_no_argument_says_so_is_copied(cuda: Any) -> None:
    """And what it has not written yet when the session is looked at: a launch returns before it is done."""
    session, steps, mirror = begin(cuda), Steps(), documents.Mirror()
    x, y = steps.array([1.0, 2.0]), steps.array([3.0, 4.0])
    steps.do(session)
    table = steps.array([session.executor.handles.table[h].data.ptr for h in (x, y)])
    kernel = steps.function(FOLLOW, "follow")
    steps.do(session)
    session.executor.tracking().start()
    mirror.follow(session.executor.tracker)
    launch = ("@launch", [H, (1,), (1,), (H, 2), 0], [], [kernel, table])
    steps.op(*launch)
    steps.do(session)
    assert fakecupy.GPUS[0].issued, "the kernel has run already: this shows nothing"
    before = mirror.reported
    there = carried(session, cuda, mirror)
    assert 0 < mirror.reported - before <= 32, "two buffers have changed, and no others"
    steps.op(*launch)
    steps.look_at(x)
    steps.look_at(y)
    assert [a.tolist() for a in steps.do(there)] == [[4.0, 2.0], [6.0, 4.0]]


def test_a_copy_that_went_wrong_is_refused(cuda: Any) -> None:
    session, steps, mirror = begin(cuda), Steps(), documents.Mirror()
    steps.array(np.arange(70_000.0))
    steps.do(session)
    session.executor.tracking().start()

    def spoil(buffers: Any) -> Any:
        ((buffer, nbytes, address, data),) = buffers
        return [(buffer, nbytes, address, data[:300_000] + bytes([data[300_000] ^ 1]) + data[300_001:])]

    with pytest.raises(DocumentError, match="does not hold here"):
        carried(session, cuda, mirror, spoil)


def test_streams_events_and_a_generated_kernel_come_along(cuda: Any) -> None:
    session, steps, mirror = begin(cuda), Steps(), documents.Mirror()
    first, second = steps.handle(), steps.handle()
    for event in (first, second):
        steps.op("@event_create", [0], [OBJECT], [event])
    steps.op("@stream_create", [I, True, -1], [], [3])
    steps.op("@event_record", [H], [], [first])
    kernel, x = steps.handle(), steps.array([1.0, 2.0])
    parts = ["float64 x", "float64 y", "y = x * 2", "twice", True, "", "", "", ()]
    steps.op("@kernel_elementwise", parts, [OBJECT], [kernel])
    steps.do(session)
    session.executor.tracking().start()
    there = carried(session, cuda, mirror)
    stream = there.executor.device._streams.get(3)
    assert stream.non_blocking and stream.priority == -1
    steps._stream = 3
    steps.op("@event_record", [H], [], [second])
    steps.op("@event_elapsed", [H, H], [REPLY], [steps.handle(), first, second])
    steps.op("@event_elapsed", [H, H], [REPLY], [steps.handle(), second, first])
    made = steps.handle()
    steps.op("@call_elementwise", [H, (H,), {}, (2,), (np.dtype("f8"),), None, 128], [spec((2,))], [made, kernel, x])
    steps.look_at(made)
    forth, back, doubled = steps.do(there)
    assert forth > 0 and back == -forth and doubled.tolist() == [2.0, 4.0]


def test_an_upload_goes_on_where_it_was(cuda: Any) -> None:
    session, steps, mirror = begin(cuda), Steps(), documents.Mirror()
    data = np.random.default_rng(3).integers(0, 255, 800_000, np.uint8)
    transfers = session.executor.transfers
    put, ticket = transfers.begin(77, data.nbytes, 0, lambda: False)
    put.write(ticket, 0, data[:300_000])
    steps.array([1.0])
    steps.do(session)
    session.executor.tracking().start()
    mirror.follow(session.executor.tracker)
    put.write(ticket, 300_000, data[300_000:500_000])
    there = carried(session, cuda, mirror)
    put, ticket = there.executor.transfers.begin(77, data.nbytes, 0, lambda: False)
    assert put.received == 500_000
    put.write(ticket, 500_000, data[500_000:])
    handle = steps.handle()
    steps.op("@upload", [I], [spec((100_000,))], [handle, 77])
    steps.look_at(handle)
    (found,) = steps.do(there)
    assert found.tobytes() == data.tobytes()


def test_memory_that_came_along_counts_and_goes_back_to_the_arena(cuda: Any) -> None:
    session, steps, mirror = begin(cuda), Steps(), documents.Mirror()
    x = steps.array(np.zeros(1 << 17))
    steps.do(session)
    session.executor.tracking().start()
    there = carried(session, cuda, mirror)
    device = there.executor.device
    assert device.memory().used >= 1 << 20 and device._pool.get_limit() == LIMIT - (1 << 20)
    steps._items += [0, x]
    steps._count += 1
    steps.do(there)
    gc.collect()  # whoever made the session is garbage with cycles, and had it
    assert device.memory().used < 1 << 19 and device._pool.get_limit() == LIMIT
    assert not device._arena._space.used


COUNT = """
__device__ double total; __constant__ double step[2];
extern "C" __global__ void count(double *out) { total += step[1] + 1; out[0] = total; }
"""


def count(gpu: Any, total: int, step: int, out: int) -> None:
    kept = gpu.at(total, 8).view(np.float64)
    kept += gpu.at(step, 16).view(np.float64)[1] + 1
    gpu.at(out, 8).view(np.float64)[0] = kept[0]


def test_variables_of_a_source_are_carried(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fakecupy.KERNELS, "count", count)
    session, steps, mirror = begin(cuda), Steps(), documents.Mirror()
    kernel, out = steps.function(COUNT, "count"), steps.array([0.0, 0.0])
    launch = ("@launch", [H, (1,), (1,), (H,), 0], [], [kernel, out])
    for _ in range(3):
        steps.op(*launch)
    steps.do(session)
    assert fixed(session) == ""
    session.executor.tracking().start()
    mirror.follow(session.executor.tracker)
    there = carried(session, cuda, mirror)
    steps.op(*launch)
    steps.look_at(out)
    assert steps.do(there)[0].tolist() == [4.0, 0.0]


def test_a_variable_whose_address_the_program_has_holds_the_session(cuda: Any) -> None:
    session, steps = begin(cuda), Steps()
    kernel = steps.function(COUNT, "count")
    steps.do(session)
    module, device = session.executor.handles.table[kernel].module, session.executor.device
    address, nbytes = device.resolve("@kernel_global")(module, "step")
    assert nbytes == 16
    made = device.resolve("@from_pointer")(address, np.dtype("f8"), (2,), (8,))
    made.set(np.array([5.0, 6.0]))
    assert device.resolve("@from_pointer")(address + 8, np.dtype("f8"), (1,), (8,)).get().tolist() == [6.0]
    with pytest.raises(CUDARuntimeError, match="not device memory of this session"):
        device.resolve("@from_pointer")(address + 8, np.dtype("f8"), (2,), (8,))
    del made
    assert "the variable step, whose address the program has" in fixed(session)


CARRIED = {
    "__device__ int k; __global__ void f() { k = 1; }": {"k"},
    "__constant__ float c[2][3]; __device__ unsigned long long n = 7; __global__ void f(float* x) { x[0] = c[1][2]; atomicAdd(&n, 1ull); }":
        {"c", "n"},
    "__device__ float *p; __global__ void f(float* x) { p = x; x[1] = p[0]; }": {"p"},
    "__device__ int k; __global__ void f(int** x) { x[0] = &k; }": set(),
    "__device__ int t[3]; __global__ void f(int** x) { x[0] = t; }": set(),
    "__constant__ float c[2][3]; __global__ void f(const float** x) { x[0] = c[1]; }": set(),
    "__device__ int k;\n#define ADDRESS &k\n__global__ void f(int** x) { x[0] = ADDRESS; }": set(),
    "__device__ int k; __global__ void f() { asm(\"st.global\"); }": set(),
    "struct R { int& r; }; __device__ int k; __global__ void f() { R a{k}; }": set(),
    "namespace n { __device__ int k; }": set(),
    "__device__ int k; __global__ void f(int** x) { int& r = k; x[0] = &r; }": set(),
    "__device__ void keep(int& a, int** x); __device__ int k; __global__ void f(int** x) { keep(k, x); }": set(),
    "__device__ int k; __global__ void f(int* x) { if (x[0] && x[1]) x[2] &= k; }": {"k"},
    "#include <x.h>\n__device__ int k; extern \"C\" __device__ int m; __global__ void f() { k = m; }": {"k", "m"},
    "template<typename T> __device__ int k;": set(),
    "static __device__ int k;": set(),
    "__device__ int a, b;": set(),
    "__device__ Thing k;": set(),
}  # fmt: skip


@pytest.mark.parametrize(("text", "names"), CARRIED.items())
def test_variables_are_carried_where_nobody_can_have_their_address(cuda: Any, text: str, names: set[str]) -> None:
    from cupool.apiserver.devices.cuda.kernels import Source

    made = Source(None, (), code=text)
    assert set(made.variables) == names
    assert bool(made.held_by) == (not names)


def test_what_holds_a_session_is_said(cuda: Any) -> None:
    assert "cuda-moves" in fixed(begin(cuda, moves=False))
    session, steps = begin(cuda), Steps()
    assert fixed(session) == ""
    held = steps.function("static __device__ double kept[4];" + FOLLOW, "follow")
    steps.do(session)
    assert "variables of its own" in fixed(session)
    steps._items += [0, held, 0, held - 1]
    steps._count += 2
    x = steps.array([1.0, 2.0])
    steps.do(session)
    assert fixed(session) == ""
    address = session.executor.handles.table[x].data.ptr
    view = steps.handle()
    steps.op("@from_pointer", [I, np.dtype("f8"), (2,), (8,)], [spec((2,))], [view, address])
    steps.do(session)
    assert "raw addresses" in fixed(session)


def test_a_generator_that_has_drawn_too_much_stays(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from cupool.apiserver.devices.cuda import draws

    monkeypatch.setattr(draws, "MAX_BYTES", 100)
    session, steps, mirror = begin(cuda), Steps(), documents.Mirror()
    state = steps.handle()
    steps.op("random.RandomState", [3], [OBJECT], [state])
    for _ in range(20):
        steps.op("random.RandomState.randint", [H, 0, 50], [spec((3,), "<i8")], [steps.handle(), state], size=3)
    steps.do(session)
    session.executor.tracking().start()
    with pytest.raises(DocumentError, match="drawn too much"):
        carried(session, cuda, mirror)


def test_a_fingerprint_is_the_same_on_both_sides_and_tells_changes(cuda: Any) -> None:
    session, steps = begin(cuda), Steps()
    data = np.random.default_rng(1).random(100_001)
    x = steps.array(data)
    steps.do(session)
    device, root = session.executor.device, session.executor.handles.table[x]
    there = device.hashes(device.bytes_of(root))
    assert there == device.hashes(data.view(np.uint8)) and len(there) == 4
    changed = data.copy()
    changed[[5, 6]] = changed[[6, 5]]
    now = device.hashes(changed.view(np.uint8))
    assert now[0] != there[0] and now[1:] == there[1:]


HELD = {
    "": [
        'extern "C" __global__ void f(double* x) { x[0] += 1; }',
        "__device__ double g(double a) { return a; } __global__ void f(double* x) { x[0] = g(x[0]); }",
        "template<typename T> __device__ __forceinline__ T sq(T a) { return a * a; }\n"
        'extern "C" __global__ void __launch_bounds__(128) f(double* x) { __shared__ double s[128]; x[0] = sq<double>(x[0]); }',
        '// __constant__ int a;\n__global__ void f() { printf("new malloc"); }',
        "struct A { double x; __device__ A operator+(const A& o) const { A r; r.x = x + o.x; return r; } };",
    ],
    "variables": [
        "__device__ int k; __global__ void f() {}", "static __device__ int t[3];", "__constant__ float c[2];", "__managed__ int m;",
        "__device__ double kept[4] = {0};", "__global__ void f() { static int n; n++; }", "#define V __device__ int\nV q;",
        ".version 8.0\n.target sm_90\n.visible .global .align 8 .b8 kept[32];\n",
    ],
    "address": ["__device__ double g(double a) { return a; } __global__ void f(F* x) { x[0] = g; }"],
    "virtual": ["struct A { virtual void f(); };"],
    "heap": ["__global__ void f(void** p) { p[0] = malloc(8); }", "__global__ void f(int** p) { p[0] = new int; }"],
}  # fmt: skip


@pytest.mark.parametrize(("why", "text"), [(why, text) for why, texts in HELD.items() for text in texts])
def test_code_that_keeps_something_outside_of_the_arena_is_known(cuda: Any, why: str, text: str) -> None:
    from cupool.apiserver.devices.cuda.sources import held_by

    found = held_by([text])
    assert why in found and bool(found) == bool(why)
