"""CUDA calls from Python, through the whole stack: memory by address, pools and allocators whose numbers add up, hooks, streams and
events by number, captures, compiled images, libraries by pointer."""

from __future__ import annotations

import ctypes
import gc
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cupool.shim import cupy as cp
from cupool.shim import cupyx, session
from cupool.shim.cupy.cuda import compiler, cublas, cufft, curand, driver, memory, memory_hooks, nvrtc, runtime

from cupool.contract.errors import (
    CompileException,
    CUDADriverError,
    CUDARuntimeError,
    CupoolError,
    OutOfMemoryError,
    Unsupported,
)

UNIT = 512


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    session.current()
    cp.array(np.zeros(100_000)).get()
    # Starts the thread that runs host functions, so that no single test seems to leak it.
    cp.cuda.Stream.null.launch_host_func(lambda _: None, None)
    cp.cuda.Stream.null.synchronize()
    yield
    session.close()


@pytest.fixture
def pool() -> Iterator[memory.MemoryPool]:
    """A pool that arrays come from."""
    made = cp.cuda.MemoryPool()
    with cp.cuda.using_allocator(made.malloc):
        yield made


# -- memory by address -------------------------------------------------------------------------------------------------------


def test_copies_between_host_and_device_addresses() -> None:
    host, back = np.arange(16, dtype=np.uint8), np.zeros(16, np.uint8)
    a, b = runtime.malloc(16), runtime.malloc(16)
    runtime.memcpy(a, host.ctypes.data, 16, runtime.memcpyHostToDevice)
    runtime.memcpy(b, a, 16, runtime.memcpyDefault)
    runtime.memset(b + 4, 255, 4)
    runtime.memcpyAsync(back.ctypes.data, b, 16, runtime.memcpyDefault, 0)
    assert back.tolist() == [0, 1, 2, 3, 255, 255, 255, 255, *range(8, 16)]
    runtime.memcpy2D(b, 4, a, 8, 2, 2, runtime.memcpyDeviceToDevice)
    runtime.memcpy(back.ctypes.data, b, 6, runtime.memcpyDeviceToHost)
    assert back[:6].tolist() == [0, 1, 2, 3, 8, 9]
    runtime.free(a)
    runtime.free(b)
    with pytest.raises(CUDARuntimeError, match="cudaErrorInvalidValue"):
        runtime.free(a)


@pytest.mark.parametrize(
    "call",
    [
        lambda: runtime.memcpy(1, 2, 3, 9),
        lambda: runtime.memcpy2D(0, 4, 0, 4, 8, 2, runtime.memcpyDeviceToDevice),
        lambda: runtime.setDevice(1),
        lambda: runtime.deviceGetLimit(99),
        lambda: runtime.streamSynchronize(12345),
        lambda: runtime.eventRecord(1, 0),
        lambda: runtime.memPoolDestroy(3),
        lambda: runtime.freeHost(1),
    ],
)
def test_calls_that_cannot_be_raise_what_cuda_says(call: Any) -> None:
    with pytest.raises(CUDARuntimeError, match="cudaError"):
        call()


def test_addresses_say_what_they_are_of() -> None:
    a = cp.arange(4)
    managed, pinned = runtime.mallocManaged(16), runtime.hostAlloc(16, 0)
    kinds = [runtime.pointerGetMemoryType(p) for p in (a.data.ptr, managed + 3, pinned, 64)]
    assert kinds == [
        runtime.memoryTypeDevice, runtime.memoryTypeManaged, runtime.memoryTypeHost, runtime.memoryTypeUnregistered,
    ]  # fmt: skip
    assert runtime.pointerGetAttributes(a.data.ptr).devicePointer == a.data.ptr
    runtime.free(managed)
    runtime.freeHost(pinned)


def test_memory_of_another_library_is_refused_and_not_followed() -> None:
    elsewhere = np.arange(4.0)
    with pytest.raises(CupoolError, match="not in the memory of this session's device"):
        cp.ndarray((4,), float, cp.cuda.MemoryPointer(cp.cuda.UnownedMemory(elsewhere.ctypes.data, 32, elsewhere), 0))
    gone = runtime.malloc(64)
    runtime.free(gone)
    session.wait_all()
    with pytest.raises(CUDARuntimeError, match="cudaErrorIllegalAddress"):
        cp.ndarray((64,), "u1", cp.cuda.MemoryPointer(cp.cuda.UnownedMemory(gone + (1 << 30), 64, None), 0)).get()


def test_arrays_over_memory_have_no_base_and_know_what_they_share() -> None:
    a = cp.arange(8)
    b = cp.ndarray((4,), a.dtype, a.data + 16)
    assert b.base is None and b.flags.owndata
    assert cp.may_share_memory(a, b) and not cp.may_share_memory(a[:2], b)
    by_address = cp.ndarray((2,), a.dtype, cp.cuda.MemoryPointer(cp.cuda.UnownedMemory(a.data.ptr, 64, a), 0))
    assert cp.may_share_memory(by_address, a[:1]) and not cp.may_share_memory(by_address, b)
    b[0] = 99
    assert a.tolist() == [0, 1, 99, 3, 4, 5, 6, 7]
    assert a.data.mem is a.data.mem and a.data.mem.size == UNIT


def test_pointers_move_bytes_both_ways() -> None:
    there = memory.alloc(8)
    number, back = ctypes.c_uint32(0x01020304), ctypes.c_uint32()
    (there + 4).copy_from(ctypes.cast(ctypes.byref(number), ctypes.c_void_p), 4)
    there.copy_from_device(there + 4, 4)
    there.copy_to_host(ctypes.cast(ctypes.byref(back), ctypes.c_void_p), 4)
    assert back.value == number.value
    with pytest.raises(ValueError, match="null"):
        there.copy_from_host(0, 4)


# -- pools and allocators ----------------------------------------------------------------------------------------------------


def test_numbers_of_the_default_pool_add_up() -> None:
    pool = cp.get_default_memory_pool()
    gc.collect()
    pool.free_all_blocks()
    before = pool.used_bytes()
    a = cp.ones(1000)
    taken = pool.malloc(700)
    assert pool.used_bytes() - before == 8192 + 1024
    assert pool.used_bytes() + pool.free_bytes() == pool.total_bytes()
    del taken
    assert (pool.used_bytes() - before, pool.free_bytes()) == (8192, 1024)
    del a
    assert pool.used_bytes() == before
    assert pool.total_bytes() - pool.free_bytes() == before
    pool.free_all_blocks()
    assert pool.total_bytes() == before and pool.n_free_blocks() == 0


def test_raw_memory_counts_against_the_device_and_no_pool() -> None:
    pool = cp.get_default_memory_pool()
    pool.free_all_blocks()
    used, (free, total) = pool.used_bytes(), cp.cuda.Device().mem_info
    with cp.cuda.using_allocator(None):
        a = cp.zeros(1 << 17)
    pool.free_all_blocks()  # the server made it there before it was moved
    assert pool.used_bytes() == used
    assert cp.cuda.Device().mem_info == (free - (1 << 20), total)
    assert isinstance(a.data.mem, memory.Memory)
    assert a.sum() == 0


def test_arrays_come_from_the_current_allocator(pool: memory.MemoryPool) -> None:
    a = cp.zeros(128, np.int64)
    b = (a + 1).reshape(2, 64)
    c = cp.asfortranarray(b)
    assert [x.data.mem.size for x in (a, b, c)] == [1024] * 3
    assert pool.used_bytes() == 3 * 1024
    assert c.get().tolist() == np.ones((2, 64)).tolist() and c.flags.f_contiguous
    assert b[1].data.ptr == b.data.ptr + 512
    found = cp.nonzero(b)[0]  # its size is the data's to tell
    assert pool.used_bytes() == 4 * 1024
    assert found.size == 128
    del a, b, c, found
    gc.collect()
    assert (pool.used_bytes(), pool.free_bytes(), pool.total_bytes()) == (0, pool.total_bytes(), pool.free_bytes())
    pool.free_all_blocks()
    assert pool.total_bytes() == 0


def test_a_pool_raises_at_the_call_when_its_limit_is_reached(pool: memory.MemoryPool) -> None:
    pool.set_limit(size=4 * UNIT)
    a = cp.zeros(3 * UNIT, np.uint8)
    with pytest.raises(
        OutOfMemoryError, match=r"allocating 1,024 bytes \(allocated so far: 1,536 bytes, limit set to: 2,048"
    ):
        cp.zeros(2 * UNIT, np.uint8)
    del a
    assert cp.zeros(4 * UNIT, np.uint8).nbytes == 4 * UNIT  # what was free was given back


def test_allocators_are_per_thread(pool: memory.MemoryPool) -> None:
    found: list[Any] = []

    def work() -> None:
        found.append(cp.cuda.get_allocator() == pool.malloc)
        found.append(cp.zeros(10).data.mem)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0] is False
    assert pool.used_bytes() == 0
    with pytest.raises(ValueError, match="inside `using_allocator`"):
        cp.cuda.set_allocator(None)


def test_an_allocator_of_functions_is_called_for_arrays() -> None:
    calls: list[tuple[str, int]] = []

    def take(size: int, device: int) -> int:
        calls.append(("malloc", size))
        return int(runtime.malloc(size))

    def give(address: int, device: int) -> None:
        calls.append(("free", address))
        runtime.free(address)

    with cp.cuda.using_allocator(memory.PythonFunctionAllocator(take, give).malloc):
        a = cp.arange(10, dtype=np.int32)
        assert a.tolist() == list(range(10))
        address = a.data.ptr
        del a
    assert calls == [("malloc", 40), ("free", address)]


def test_hooks_see_what_arrays_take_and_give_back() -> None:
    file = io.StringIO()
    with memory_hooks.DebugPrintHook(file=file):
        a = cp.ones(3)
        ptr, piece = a.data.ptr, id(a.data.mem)
        del a
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [line["hook"] for line in lines if line["hook"] != "alloc"] == ["malloc", "free"]
    assert {line["mem_ptr"] for line in lines} == {ptr} and lines[-1]["pmem_id"] == hex(piece)
    lines_hook = memory_hooks.LineProfileHook()
    with lines_hook:
        cp.ones(1000)
    report = io.StringIO()
    lines_hook.print_report(report)
    assert "_root (8.00KB" in report.getvalue()
    assert "test_hooks_see" in report.getvalue() and "shim/" not in report.getvalue()


def test_the_device_has_pools_of_its_own() -> None:
    pool = cp.cuda.MemoryAsyncPool()
    pool.free_all_blocks()
    base = pool.total_bytes()
    a, b = pool.malloc(100), pool.malloc(1000)
    assert pool.used_bytes() == 512 + 1024
    assert pool.total_bytes() == pool.used_bytes() + pool.free_bytes() > base
    del a, b
    pool.free_all_blocks()
    assert (pool.used_bytes(), pool.total_bytes()) == (0, 0)
    assert pool.get_limit() == 2**64 - 1
    made = runtime.memPoolCreate(runtime.MemPoolProps(1, 0, 1, 0))
    there = runtime.mallocFromPoolAsync(64, made, 0)
    assert runtime.memPoolGetAttribute(made, runtime.cudaMemPoolAttrUsedMemCurrent) == UNIT
    runtime.freeAsync(there, 0)
    runtime.memPoolDestroy(made)


def test_pinned_memory_is_a_buffer_and_is_reused() -> None:
    pool = cp.cuda.PinnedMemoryPool()
    a = pool.malloc(1000)
    np.frombuffer(a, np.uint8)[:] = 7
    address = a.ptr
    assert bytes(np.frombuffer(a + 1000, np.uint8)) == b"\x07" * 24
    assert cp.cuda.pinned_memory.is_memory_pinned(address)
    del a
    gc.collect()
    assert pool.n_free_blocks() == 1
    assert pool.malloc(600).ptr == address


def test_memory_of_pools_outlives_the_garbage_it_was_in(pool: memory.MemoryPool) -> None:
    host = cp.cuda.PinnedMemoryPool()

    class Cycle:
        def __init__(self) -> None:
            self.me, self.kept = self, [cp.ones(1000), cp.ones(1000)[10:], host.malloc(1000)]

    for k in range(3):
        made = Cycle()
        del made
        gc.collect()
        a, b = cp.full(1000, k), cp.arange(1000)
        assert a.tolist() == [k] * 1000 and (a + b).sum().item() == 499500 + 1000 * k
        again = host.malloc(1000)
        assert again.ptr
        np.frombuffer(again, np.uint8)[:] = k
    assert pool.n_free_blocks() > 0


# -- streams and captures ----------------------------------------------------------------------------------------------------


def test_streams_and_events_by_number() -> None:
    stream = runtime.streamCreateWithFlags(runtime.streamNonBlocking)
    start, end = runtime.eventCreate(), runtime.eventCreate()
    runtime.eventRecord(start, stream)
    with cp.cuda.Stream.from_external(_Foreign(stream)) as same:
        a = cp.arange(1000).sum()
        assert cp.cuda.get_current_stream() == same
    runtime.eventRecord(end, stream)
    runtime.streamWaitEvent(0, end)
    runtime.eventSynchronize(end)
    assert runtime.eventElapsedTime(start, end) >= 0
    assert (runtime.streamGetFlags(stream), runtime.streamQuery(stream)) == (runtime.streamNonBlocking, 0)
    assert int(a) == 499500
    runtime.streamDestroy(stream)
    runtime.eventDestroy(start)
    runtime.eventDestroy(end)
    with pytest.raises(CUDARuntimeError, match="cudaErrorInvalidResourceHandle"):
        cp.cuda.Stream.from_external(_Foreign(0x7FFF))


class _Foreign:
    def __init__(self, ptr: int) -> None:
        self._ptr = ptr

    def __cuda_stream__(self) -> tuple[int, int]:
        return (0, self._ptr)


def test_the_current_stream_is_each_threads_own() -> None:
    stream = cp.cuda.Stream()
    seen: list[Any] = []
    with stream:
        thread = threading.Thread(target=lambda: seen.append(cp.cuda.get_current_stream()))
        thread.start()
        thread.join()
        assert cp.cuda.get_current_stream() is stream
    assert seen == [cp.cuda.Stream.null]


def test_a_synchronised_stream_has_run_its_host_functions() -> None:
    out: list[int] = []
    stream = cp.cuda.Stream()
    for i in range(20):
        stream.launch_host_func(out.append, i)
    stream.synchronize()
    assert out == list(range(20))


def test_a_capture_records_and_each_launch_runs_it() -> None:
    stream, counter = cp.cuda.Stream(non_blocking=True), []
    a = cp.arange(4.0)
    with stream:
        stream.begin_capture()
        b = a * 2 + 1
        b[0] = 100
        stream.launch_host_func(counter.append, 1)
        graph = stream.end_capture()
    assert not counter
    before = session.statistics().waits_by_site
    graph.launch(stream)
    # Of this test's lines: the thread that runs host functions waits too.
    here = {place: n for place, n in session.statistics().waits_by_site.items() if __file__ in place}
    assert here == {place: n for place, n in before.items() if __file__ in place}
    assert b.tolist() == [100.0, 3.0, 5.0, 7.0]
    a += 10
    graph.launch()
    assert b.tolist() == [100.0, 23.0, 25.0, 27.0]
    cp.cuda.Device().synchronize()
    assert counter == [1, 1]
    del a  # the graph keeps what it needs
    graph.launch()
    assert b.tolist() == [100.0, 23.0, 25.0, 27.0]


def test_a_kernel_in_a_graph_sees_memory_that_moved_and_raw_pointers() -> None:
    kernel = cp.RawKernel(
        'extern "C" __global__ void f(double* x, int n) { for (int i = 0; i < n; ++i) x[i] += 1; }', "f"
    )
    stream = cp.cuda.Stream(non_blocking=True)
    a = cp.zeros(3)
    kernel((1,), (1,), (a, np.int32(3)))  # compiled before
    with stream:
        stream.begin_capture()
        kernel((1,), (1,), (a, np.int32(3)))
        graph = stream.end_capture()
    assert a.data.ptr
    graph.launch()
    graph.launch()
    assert a.tolist() == [3.0] * 3


@pytest.mark.parametrize(
    ("use", "error", "text"),
    [
        (lambda a, s: a.get(), RuntimeError, "is capturing"),
        (lambda a, s: bool(a.sum() > 0), RuntimeError, "is capturing"),
        (lambda a, s: cp.nonzero(a), RuntimeError, "is capturing"),
        (lambda a, s: cp.matmul(a, a), NotImplementedError, "cuBLAS"),
        (lambda a, s: cp.random.random(3), NotImplementedError, "cuRAND"),
        (lambda a, s: cupyx.scipy.sparse.csr_matrix(cp.eye(3)), NotImplementedError, "cuSPARSE"),
        (lambda a, s: s.synchronize(), CUDARuntimeError, "cudaErrorStreamCaptureUnsupported"),
    ],
)
def test_what_cannot_be_captured_says_so_and_the_stream_goes_on(use: Any, error: type[Exception], text: str) -> None:
    stream = cp.cuda.Stream(non_blocking=True)
    a = cp.arange(3.0)
    with stream:
        stream.begin_capture()
        with pytest.raises(error, match=text):
            use(a, stream)
        if error is CUDARuntimeError:
            with pytest.raises(CUDARuntimeError, match="cudaErrorStreamCaptureInvalidated"):
                stream.end_capture()
        else:
            stream.end_capture()
        assert not stream.is_capturing()
        assert (a + 1).tolist() == [1.0, 2.0, 3.0]


# -- compiling and libraries -------------------------------------------------------------------------------------------------

SOURCE = 'extern "C" __global__ void fill(float* x, float v) { x[threadIdx.x] = v; } __device__ int answer = 42;'


def test_a_compiled_image_is_loaded_and_launched() -> None:
    image, names = compiler.compile_using_nvrtc(SOURCE)
    assert names is None
    module = cp.cuda.Module()
    module.load(image)
    a = cp.zeros(4, np.float32)
    module.get_function("fill")((1,), (4,), (a, np.float32(2.5)))
    assert a.tolist() == [2.5] * 4
    with pytest.raises(CUDADriverError, match="CUDA_ERROR_NOT_FOUND"):
        module.get_function("empty")
    number = np.zeros(1, np.int32)
    runtime.memcpy(number.ctypes.data, module.get_global_var("answer"), 4, runtime.memcpyDefault)
    assert number[0] == 42


def test_nvrtc_by_number_gives_the_compilers_words() -> None:
    program = nvrtc.createProgram("__global__ void broken( {", "mine.cu", (), ())
    with pytest.raises(nvrtc.NVRTCError, match="COMPILATION"):
        nvrtc.compileProgram(program, ())
    assert "mine.cu" in nvrtc.getProgramLog(program)
    nvrtc.destroyProgram(program)
    program = nvrtc.createProgram("template<class T> __global__ void g(T* x) { *x = 3; }", "t.cu", (), ())
    nvrtc.addNameExpression(program, "g<int>")
    nvrtc.compileProgram(program, ("-arch=compute_90", "-DNAME=1"))
    module = driver.moduleLoadData(nvrtc.getPTX(program))
    driver.moduleGetFunction(module, nvrtc.getLoweredName(program, "g<int>"))
    driver.moduleUnload(module)


def test_an_architecture_that_no_compiler_knows_is_refused() -> None:
    with pytest.raises(CompileException, match="gpu-architecture"):
        compiler.compile_using_nvrtc(SOURCE, arch="83")


@pytest.mark.parametrize("dtype", ["f", "d", "F", "D"])
def test_blas_by_device_addresses(dtype: str) -> None:
    letter = {"f": "s", "d": "d", "F": "c", "D": "z"}[dtype]
    rng = np.random.default_rng(0)
    a, b, c = (_random(rng, shape, dtype) for shape in ((3, 4), (4, 5), (3, 5)))
    da, db, dc = (cp.asfortranarray(cp.asarray(x)) for x in (a, b, c))
    alpha, beta = np.array(2, dtype), np.array(0.5, dtype)
    handle = cp.cuda.get_cublas_handle()
    gemm = getattr(cublas, f"{letter}gemm")
    gemm(handle, 0, 0, 3, 5, 4, alpha.ctypes.data, da.data.ptr, 3, db.data.ptr, 4, beta.ctypes.data, dc.data.ptr, 3)
    np.testing.assert_allclose(dc.get(), 2 * a @ b + 0.5 * c, rtol=1e-5)
    norm = np.zeros(1, dtype.lower())
    name = {"s": "snrm2", "d": "dnrm2", "c": "scnrm2", "z": "dznrm2"}[letter]
    getattr(cublas, name)(handle, 12, da.data.ptr, 1, norm.ctypes.data)
    np.testing.assert_allclose(norm[0], np.linalg.norm(a), rtol=1e-5)
    with pytest.raises(cublas.CUBLASError, match="CUBLAS_STATUS_INVALID_VALUE"):
        gemm(handle, 0, 0, 3, 5, 4, alpha.ctypes.data, da.data.ptr, 2, db.data.ptr, 4, beta.ctypes.data, dc.data.ptr, 3)


def _random(rng: Any, shape: tuple[int, ...], dtype: str) -> Any:
    real = rng.standard_normal(shape)
    return (real + 1j * rng.standard_normal(shape) if dtype in "FD" else real).astype(dtype)


def test_plans_transform_memory_and_scale_nothing() -> None:
    a = cp.asarray(_random(np.random.default_rng(1), (3, 8), "D"))
    out = cp.empty_like(a)
    plan = cufft.Plan1d(8, cufft.CUFFT_Z2Z, 3)
    with plan:
        assert cufft.get_current_plan() is plan
    assert cufft.get_current_plan() is None
    plan.fft(a, out, cufft.CUFFT_FORWARD)
    np.testing.assert_allclose(out.get(), np.fft.fft(a.get()))
    plan.fft(out, out, cufft.CUFFT_INVERSE)
    np.testing.assert_allclose(out.get(), a.get() * 8)
    with pytest.raises(cufft.CuFFTError, match="CUFFT_INVALID_SIZE"):
        cufft.Plan1d(0, cufft.CUFFT_Z2Z, 1)


def test_generators_write_to_addresses() -> None:
    generator = curand.createGenerator(curand.CURAND_RNG_PSEUDO_DEFAULT)
    a = cp.zeros(1000)
    curand.setPseudoRandomGeneratorSeed(generator, 5)
    curand.generateNormalDouble(generator, a.data.ptr, 1000, 10.0, 1.0)
    assert abs(float(a.mean()) - 10) < 0.3
    with pytest.raises(ValueError, match="even number"):
        curand.generateNormalDouble(generator, a.data.ptr, 3, 0.0, 1.0)
    curand.destroyGenerator(generator)


@pytest.mark.parametrize(
    "call",
    [
        lambda: driver.launchKernel(1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0),
        lambda: driver.ctxCreate(0),
        lambda: runtime.ipcGetMemHandle(1),
        lambda: cp.cuda.texture.TextureObject(None, None),
        lambda: cp.cuda.cusolver.sgebrd(1, 2),
        lambda: cp.cuda.nccl.NcclCommunicator(1, b"", 0),
    ],
)
def test_what_has_no_meaning_remotely_says_why(call: Any) -> None:
    with pytest.raises(Unsupported, match=r"is not supported: \w+"):
        call()


# -- DLPack and the array interface ------------------------------------------------------------------------------------------


def test_dlpack_within_the_session_shares_memory_and_needs_no_wait() -> None:
    a = cp.arange(6.0).reshape(2, 3)
    waits = session.statistics().waits
    capsule = a.__dlpack__(max_version=(1, 0))
    b = cp.from_dlpack(capsule)
    c = cp.from_dlpack(a.T)
    assert session.statistics().waits == waits
    b[0, 0] = 7
    assert a[0, 0] == 7 and c.shape == (3, 2)
    with pytest.raises(ValueError, match="consumed multiple times"):
        cp.from_dlpack(capsule)


def test_dlpack_of_device_memory_is_refused_by_others_and_not_followed() -> None:
    a = cp.arange(3)
    with pytest.raises((BufferError, RuntimeError)):
        np.from_dlpack(_Capsule(a.__dlpack__()))
    assert np.from_dlpack(a, device="cpu").tolist() == [0, 1, 2]


class _Capsule:
    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def test_array_interfaces_name_the_current_stream() -> None:
    a = cp.arange(3)
    assert a.__cuda_array_interface__["stream"] == 1
    with cp.cuda.Stream() as stream:
        described = a.__cuda_array_interface__
        assert described["stream"] == stream.ptr
    b = cp.asarray(type("Other", (), {"__cuda_array_interface__": described})())
    b += 1
    assert a.tolist() == [1, 2, 3]


def test_the_environment_limits_the_pool_of_each_session() -> None:
    code = "import cupy as cp; p = cp.get_default_memory_pool(); print(p.get_limit()); cp.zeros(1 << 18).sum().get()"
    code = f"import cupool; cupool.install(); {code}"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "CUPY_GPU_MEMORY_LIMIT": "1048576"}, capture_output=True, text=True, timeout=60
    )  # fmt: skip
    assert done.stdout.strip() == "1048576"
    assert "Out of memory allocating 2,097,152 bytes" in done.stderr


def test_a_stream_dropped_while_it_captured_leaves_nothing_behind() -> None:
    stream = cp.cuda.Stream(non_blocking=True)
    stream.begin_capture()
    del stream
    gc.collect()
    for _ in range(3):
        with cp.cuda.Stream() as other:
            assert not other.is_capturing()
            assert (cp.arange(3) + 1).tolist() == [1, 2, 3]


def test_an_array_is_not_made_over_host_memory() -> None:
    with pytest.raises(TypeError, match="memptr"):
        cp.ndarray((3,), "u1", cp.cuda.alloc_pinned_memory(3))


@pytest.mark.parametrize("shape", [(3, 1), (1, 3), (1, 1, 3), (3, 1, 1)])
def test_arrays_with_strides_of_their_own_have_memory_of_their_own(shape: tuple[int, ...]) -> None:
    host = np.arange(3.0).reshape(shape)
    a, b = cp.asarray(host, order="F"), cp.asarray(host + 10, order="F")
    assert a.data.ptr != b.data.ptr
    fill = cp.RawKernel('extern "C" __global__ void fill(double *x) { x[threadIdx.x] = -1; }', "fill")
    fill((1,), (2,), (b,))
    assert a.ravel().tolist() == [0, 1, 2] and b.ravel().tolist() == [-1, -1, 12]
