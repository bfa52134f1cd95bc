"""Kernels through the whole chain: programs as a user writes them, with an embedded pool of real processes."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernel_programs import run

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="kernels of the CPU device need g++")


@contextlib.contextmanager
def pool(*arguments: str) -> Iterator[dict[str, str]]:
    """A pool of CPU servers; yields what a client needs in its environment."""
    command = [sys.executable, "-P", "-m", "cupool.embedded", "--devices", "cpu:1", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        yield {"CUPOOL_ADDR": ready["addr"], "CUPOOL_TOKEN": ready["token"]}
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def test_pointers_stored_in_device_memory_are_followed(tmp_path: Path) -> None:
    run(tmp_path, r'''
    module = cp.RawModule(code=r"""
    struct Node { long long value; Node *next; };
    extern "C" __global__ void build(Node *nodes, Node **head, int n) {
      int i = threadIdx.x;
      nodes[i].value = i * i;
      nodes[i].next = i + 1 < n ? &nodes[(i + 1)] : nullptr;
      if (i == 0) *head = nodes;
    }
    extern "C" __global__ void follow(Node **head, long long *out) {
      long long sum = 0;
      for (Node *p = *head; p; p = p->next) sum = sum * 3 + p->value;
      *out = sum;
    }
    extern "C" __global__ void gather(const unsigned long long *where, const long long *lengths, double *out) {
      const double *row = (const double *)where[threadIdx.x];
      out[threadIdx.x] = 0;
      for (long long i = 0; i < lengths[threadIdx.x]; i++) out[threadIdx.x] += row[i];
    }
    """)
    nodes, head, out = cp.empty((20, 2), np.int64), cp.zeros(1, np.uint64), cp.zeros(1, np.int64)
    module.get_function("build")((1,), (20,), (nodes, head, 20))
    other = [cp.arange(1000) for _ in range(50)]  # memory comes and goes in between
    del other
    module.get_function("follow")((1,), (1,), (head, out))
    expected = 0
    for i in range(20):
        expected = expected * 3 + i * i
    assert int(out[0]) == expected
    assert int(head[0]) == nodes.data.ptr
    # An address as an integer argument, and as a MemoryPointer.
    out[...] = 0
    module.get_function("follow")((1,), (1,), (head.data.ptr, out.data))
    assert int(out[0]) == expected
    # Addresses that the program wrote into an array; views made before the address was asked for stay aliases.
    rows = [cp.arange(n, dtype=np.float64) for n in (3, 5, 700)]
    views = [row[1:] for row in rows]
    table = cp.array([row.data.ptr for row in rows], np.uint64)
    for view in views:
        view += 1
    sums = cp.zeros(3)
    module.get_function("gather")((1,), (3,), (table, cp.array([3, 5, 700]), sums))
    assert sums.tolist() == [float(row.sum()) for row in rows] == [n * (n - 1) / 2 + n - 1 for n in (3, 5, 700)]
    assert views[2].data.ptr == rows[2].data.ptr + 8
    # An array over an address.
    memory = cp.cuda.UnownedMemory(rows[1].data.ptr, rows[1].nbytes, rows[1])
    again = cp.ndarray((2,), np.float64, cp.cuda.MemoryPointer(memory, 16))
    again[...] = 50
    assert rows[1].tolist() == [0, 2, 50, 50, 5]
    ''')  # fmt: skip


def test_raw_kernels(tmp_path: Path) -> None:
    include = tmp_path / "include"
    include.mkdir()
    (include / "scale.h").write_text('#include "factor.h"\n__device__ float scaled(float x) { return FACTOR * x; }\n')
    (include / "factor.h").write_text("#define FACTOR 3\n")
    run(tmp_path, f"include = {str(include)!r}\n" + textwrap.dedent(r'''
    import pickle
    kernel = cp.RawKernel(r"""
    #include "scale.h"
    struct Pair { float a; int b; };
    extern "C" __global__ void mix(const float *x, float *y, int n, float f, double d, bool flag, Pair pair,
                                   const int *none, long long big) {
      extern __shared__ float s[];
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      s[threadIdx.x] = i < n ? scaled(x[i]) : 0;
      __syncthreads();
      if (i < n) y[i] = s[threadIdx.x ^ 1] * f + (float)d + flag + pair.a * pair.b + (none == nullptr) + (float)(big >> 40);
    }""", "mix", options=("-I" + include, "--std=c++14"))
    x, y = cp.arange(10, dtype=np.float32), cp.zeros(10, np.float32)
    pair = np.array([(0.5, 4)], np.dtype([("a", "f4"), ("b", "i4")]))
    args = (x, y, 10, np.float32(2), 0.25, True, pair, None, 1 << 41)
    swapped = np.arange(10) ^ 1
    for each in (kernel, pickle.loads(pickle.dumps(kernel))):
        y[...] = 0
        each((2,), (6,), args, shared_mem=6 * 4)
        blocks = np.arange(10) // 6 * 6
        expected = 3 * (blocks + ((np.arange(10) - blocks) ^ 1)) * 2.0 + 0.25 + 1 + 2 + 1 + 2
        inside = expected.copy()
        inside[[i for i in range(10) if blocks[i] + ((i - blocks[i]) ^ 1) >= 10]] = 6.25
        assert y.get().tolist() == inside.tolist(), (y, inside)
    assert kernel.attributes["max_threads_per_block"] == kernel.max_threads_per_block == 1024
    kernel.max_dynamic_shared_size_bytes = 65536
    assert kernel.max_dynamic_shared_size_bytes == 65536
    kernel((1,), (4,), args, shared_mem=60000)
    cp.cuda.Device().synchronize()

    module = cp.RawModule(code=r"""
    __constant__ float table[3] = {1, 2, 3};
    template <typename T> __global__ void add(T *x) { x[threadIdx.x] += (T)table[threadIdx.x]; }
    """, name_expressions=["add<float>", "add<int>"])
    i = cp.zeros(3, np.int32)
    module.get_function("add<int>")((1,), (3,), (i,))
    table = cp.ndarray((3,), np.float32, module.get_global("table"))
    assert table.tolist() == [1, 2, 3]
    table *= 10
    module.get_function("add<int>")((1,), (3,), (i,))
    assert i.tolist() == [11, 22, 33]

    @cp.fuse(kernel_name="square")
    def squared(a, b):
        return (a - b) ** 2
    assert squared(x, 1.5).tolist() == [float((v - 1.5) ** 2) for v in range(10)]
    '''))  # fmt: skip


def test_arguments_may_lie_in_one_buffer(tmp_path: Path) -> None:
    """A buffer that no kernel has seen yet is given twice, whole or in parts, to each kind of kernel."""
    run(tmp_path, r'''
    from cupyx import jit

    source = r"""extern "C" __global__ void twice(const double *x, double *y, int n) {
      int i = threadIdx.x;
      if (i < n) y[i] = x[i] * 2;
    }"""
    twice = cp.RawKernel(source, "twice")
    for _ in range(2):
        a = cp.arange(4.0)
        twice((1,), (4,), (a, a, 4))
        assert a.get().tolist() == [0, 2, 4, 6]
    a = cp.arange(8.0)
    first, second = a[:4], a[4:]
    twice((1,), (4,), (first, second, 4))
    assert a.get().tolist() == [0, 1, 2, 3, 0, 2, 4, 6] and second.get().tolist() == [0, 2, 4, 6]
    second += 1  # the views, the whole array and the kernels still mean one buffer
    twice((1,), (4,), (a[4:], a, 4))
    assert a.get().tolist() == [2, 6, 10, 14, 1, 3, 5, 7]

    a, b = cp.arange(4.0), cp.zeros(4)
    pairs = cp.RawKernel(source.replace("twice", "pairs"), "pairs")
    pairs((1,), (4,), args=(a, b, 4))
    pairs((1,), (4,), args=(b, a, 4))
    assert a.get().tolist() == [0, 4, 8, 12] and b.get().tolist() == [0, 2, 4, 6]

    @jit.rawkernel()
    def shifted(x, y):
        i = jit.threadIdx.x
        y[i] = x[i] + 10

    a = cp.arange(6.0)
    shifted[1, 3](a[:3], a[3:])
    assert a.get().tolist() == [0, 1, 2, 10, 11, 12]
    a = cp.arange(3.0)
    shifted[1, 3](a, a)
    assert a.get().tolist() == [10, 11, 12]

    a = cp.arange(4.0)
    assert cp.ElementwiseKernel("raw T x", "T y", "y = x[i] * 2", "in_place")(a, a) is a
    assert a.get().tolist() == [0, 2, 4, 6]
    a = cp.arange(4.0)
    cp.ElementwiseKernel("T x", "raw T y", "y[i] = x * 2", "raw_out")(a, a)
    assert a.get().tolist() == [0, 2, 4, 6]
    a = cp.arange(6.0)
    cp.ElementwiseKernel("raw T x, T z", "T y", "y = x[i] * 2 + z", "strided")(a[::2], a[::2], a[1::2])
    assert a.get().tolist() == [0, 0, 2, 6, 4, 12]
    a = cp.arange(4.0)
    cp.ReductionKernel("T x, raw T w", "T y", "x * w[0]", "a + b", "y = a", "0", "weighted")(a, a[1:], a[3:].reshape(()))
    assert a.get().tolist() == [0, 1, 2, 6]
    ''')  # fmt: skip


def test_errors(tmp_path: Path) -> None:
    run(tmp_path, r'''
    import io

    def error_of(call):
        try:
            call()
        except Exception as error:
            return error
        raise AssertionError("no error")

    def launched(source, args, grid=(1,), block=(1,), name="k"):
        def call():
            cp.RawKernel(source, name)(grid, block, args)
            cp.cuda.Stream.null.synchronize()
        return error_of(call)

    x = cp.zeros(4, np.float32)
    error = launched('\nextern "C" __global__ void k(int *x) {\n  x[0] = nothing;\n}', (x,))
    assert isinstance(error, cp.cuda.compiler.CompileException), error
    assert ":3:10: error:" in str(error) and "nothing" in str(error) and "/" not in str(error).replace("//", "")
    assert any("program.py" in note for note in error.__notes__), error.__notes__
    # A part of a generated kernel: the line that the user wrote, not that of what is around it.
    bad = cp.ElementwiseKernel("float32 x", "float32 y", "y = x * nothing", "bad")
    error_of_part = str(error_of(lambda: bad(cp.zeros(4, np.float32)).get()))
    assert "bad:1:9: error:" in error_of_part and "1 | y = x * nothing;" in error_of_part, error_of_part
    bad = cp.ReductionKernel("T x", "T y", "x * nothing", "a + b", "y = a", "0", "bad")
    assert "1 | x * nothing\n" in str(error_of(lambda: bad(cp.zeros(4, np.float32)).get()))
    text = io.StringIO()
    error.dump(text)
    assert "nothing;" in text.getvalue()

    source = 'extern "C" __global__ void k(float *x, float f, int n) { if (n > 5) __syncthreads(); x[0] = f; }'
    assert "real number of 4 bytes" in str(launched(source, (cp.zeros(4), 1.5, 1)))
    assert "does not fit" in str(launched(source, (cp.zeros(4), np.float32(1), 1 << 40)))
    assert "takes 3 arguments, 2 were given" in str(launched(source, (cp.zeros(4), np.float32(1))))
    error = launched('extern "C" __global__ void k() { if (threadIdx.x) __syncthreads(); else __syncwarp(); }', (), block=(32,))
    assert isinstance(error, cp.cuda.runtime.CUDARuntimeError) and error.status == 719 and "barrier divergence" in str(error)
    assert "named symbol not found" in str(launched(source, (), name="other"))
    # Known without asking, so raised at the call.
    kernel = cp.RawKernel(source, "k")
    assert isinstance(error_of(lambda: kernel((1,), (2048,), ())), cp.cuda.driver.CUDADriverError)
    for grid in ([1], (1.5,), ("1",), (None,)):
        assert isinstance(error_of(lambda: kernel(grid, (1,), ())), TypeError)
    assert isinstance(error_of(lambda: kernel((), (1,), ())), IndexError)
    for grid in ((1 << 31,), (1 << 70,), (1, 1 << 16), (1, 1, 1 << 16)):
        assert isinstance(error_of(lambda: kernel(grid, (1,), ())), cp.cuda.driver.CUDADriverError)
    one = cp.zeros(2, np.int32)
    for grid in ((0,), (-1, 0, 0), (1, 1, 1, 1)):  # as CuPy, which takes 1 for less
        cp.RawKernel('extern "C" __global__ void k(int *x) { atomicAdd(x, 1); }', "k")(grid, (0,), (one,))
    assert one.tolist() == [3, 0]
    assert "size one" in str(error_of(lambda: kernel((1,), (1,), (np.zeros(3), 1, 1))))
    assert isinstance(error_of(lambda: kernel((1,), (1,), ("text",))), TypeError)
    assert isinstance(error_of(lambda: cp.RawModule()), TypeError)
    # CuPy compiles in get_function, so its errors come there.
    module = cp.RawModule(code=source)
    assert isinstance(error_of(lambda: module.get_function("other")), cp.cuda.driver.CUDADriverError)
    error = error_of(lambda: cp.RawModule(code="#error not today").get_function("k"))
    assert isinstance(error, cp.cuda.compiler.CompileException) and "not today" in str(error)
    error = error_of(lambda: cp.RawModule(path="nowhere.cubin").get_function("k"))
    assert isinstance(error, cp.cuda.driver.CUDADriverError) and "CUDA_ERROR_FILE_NOT_FOUND" in str(error)
    log = io.StringIO()
    cp.RawKernel('extern "C" __global__ void k() { int unused; }', "k").compile(log_stream=log)
    assert "warning: unused variable" in log.getvalue()
    # What a failed kernel may have written gives its error to whoever asks; the session goes on.
    assert cp.arange(3).sum() == 3
    assert x.tolist() == [0, 0, 0, 0]  # one that does not compile has written nothing
    ''')  # fmt: skip


def test_a_kernel_that_does_not_compile_has_written_nothing(tmp_path: Path) -> None:
    """Nor has any line between the launch and the error: in CuPy the launch itself raises."""
    run(tmp_path, r'''
    CompileException = cp.cuda.compiler.CompileException
    bad_source = 'extern "C" __global__ void k(float *x) { x[0] = nothing; }'
    raw = cp.RawKernel(bad_source, "k")
    lost = cp.RawKernel('extern "C" __global__ void k(float *x) { x[0] = 7; }', "other")
    element = cp.ElementwiseKernel("float32 x", "float32 y", "y = x * nothing", "element")
    reduction = cp.ReductionKernel("float32 x", "float32 y", "x * nothing", "a + b", "y = a", "0", "reduction")
    source = cp.arange(4, dtype=np.float32)

    def fall_back(launch, x, error=CompileException, waits=cp.cuda.Device().synchronize):
        views, z = x[::2], cp.full(1, 5, np.float32)
        made = None
        try:
            launch(x)
            x += 1
            views *= 3
            z += x[:1]
            made = x * 2
            waits()
        except error as raised:
            assert any("program.py" in note for note in raised.__notes__), raised.__notes__
        else:
            raise AssertionError("no error")
        assert z.tolist() == [5], z
        try:
            made.get()
        except error:
            pass
        else:
            raise AssertionError("it was made of what no kernel has written")
        return x.get() if x.size > 4 else x.tolist()

    x = cp.arange(4, dtype=np.float32) + 1
    launch = lambda x: raw((1,), (1,), (x,))
    assert fall_back(launch, x) == [1, 2, 3, 4]
    assert fall_back(launch, x, waits=x.get) == [1, 2, 3, 4]  # again, when the kernel is known to fail
    assert fall_back(lambda x: lost((1,), (1,), (x,)), x, cp.cuda.driver.CUDADriverError) == [1, 2, 3, 4]
    assert fall_back(lambda x: element(source, x), x, waits=lambda: float(x[1])) == [1, 2, 3, 4]
    one = cp.full((), 9, np.float32)
    try:
        reduction(source, one)
        float(one)
    except CompileException:
        assert float(one) == 9
    else:
        raise AssertionError("no error")
    large = cp.zeros(1 << 20, np.float32)  # whose bytes travel beside the stream
    assert set(fall_back(launch, large, waits=large.get).flatten()) == {0}

    # A kernel that ran and failed is another matter: nobody knows what it has written.
    late = cp.RawKernel('extern "C" __global__ void k(float *x) { x[0] = 5; if (threadIdx.x) __syncthreads(); else __syncwarp(); }', "k")
    late((1,), (32,), (x,))
    raw((1,), (1,), (x,))
    for wait in (cp.cuda.Device().synchronize, x.get):
        try:
            wait()
        except cp.cuda.runtime.CUDARuntimeError:
            pass
        else:
            raise AssertionError("no error")
    x[...] = 2
    assert x.tolist() == [2, 2, 2, 2]
    ''')  # fmt: skip


def test_elementwise_and_reduction_kernels(tmp_path: Path) -> None:
    run(tmp_path, r'''
    import pickle
    a, b = cp.arange(12, dtype=np.float32).reshape(3, 4), cp.arange(4, dtype=np.float32)
    add = cp.ElementwiseKernel("T x, T y", "T z", "z = x + y * 2", "add")
    assert (add(a, b) == a + b * 2).all() and add(a, b).dtype == np.float32
    assert (add(a.T, b[:3]) == a.T + b[:3] * 2).all()
    assert (add(a, 3) == a + 6).all()
    out = cp.zeros((3, 8), np.float32)[:, ::2]
    assert add(a, b, out) is out and (out == a + b * 2).all()
    assert (pickle.loads(pickle.dumps(add))(a, b) == a + b * 2).all()
    two = cp.ElementwiseKernel("T x, float64 y", "T p, bool q", "p = x * T(y); q = x > y", "two")
    p, q = two(a, cp.full((3, 4), 2.0))
    assert (p == a * 2).all() and (q == (a > 2)).all() and q.dtype == bool
    reverse = cp.ElementwiseKernel("T x, raw T y", "T z", "z = x - y[_ind.size() - 1 - i]", "reverse", return_tuple=True)
    (r,) = reverse(b, b)
    assert r.tolist() == [-3, -1, 1, 3]
    own = cp.ElementwiseKernel("T x", "T y", "y = x + i; i -= 3; i *= 2", "own")  # as a thread of a GPU may
    assert own(b).tolist() == [0, 2, 4, 6] and own(a.T).tolist() == (a.T + cp.arange(12).reshape(4, 3)).tolist()
    fill = cp.ElementwiseKernel("float64 v", "raw float64 y", "y[2 * i] = v + i", "fill", no_return=True)
    y = cp.zeros(8)
    assert fill(0.5, y, size=4) is None and y.tolist() == [0.5, 0, 1.5, 0, 2.5, 0, 3.5, 0]
    index = cp.ElementwiseKernel("raw T x", "int64 y", "const ptrdiff_t *j = _ind.get(); y = j[0] * 100 + j[1] + x.shape()[0] + x.size()",
                                 "index", reduce_dims=False)
    assert index(a, cp.zeros((3, 4), np.int64)).tolist() == [[i * 100 + j + 15 for j in range(4)] for i in range(3)]
    named = cp.ElementwiseKernel("T x, int32 n, int32 size", "T y", "if (i >= n) { y = 0; continue; } y = x * n + size", "named")
    assert named(a[:, ::2], 4, 1).tolist() == [[1, 9], [17, 25], [0, 0]]
    grid = cp.ElementwiseKernel("T x", "int32 y", "y = blockDim.x * 100 + threadIdx.x", "grid")
    assert grid(cp.arange(5), block_size=2).tolist() == [200, 201, 200, 201, 200]
    assert grid(cp.arange(6).reshape(2, 3).T, block_size=4).tolist() == [[400, 401], [402, 403], [400, 401]]
    half = cp.ElementwiseKernel("T x", "T y", "y = x * x + T(1)", "half")
    h = cp.arange(5).astype(np.float16)
    assert half(h).dtype == np.float16 and half(h).tolist() == [1, 2, 5, 10, 17]
    z = cp.array([1 + 2j, 3 - 1j], np.complex64)
    norm = cp.ElementwiseKernel("complex64 z", "float32 n", "n = norm(z) + abs(conj(z) * z)", "norm")
    assert np.allclose(norm(z).get(), [10, 20])
    loop = cp.ElementwiseKernel("T x", "T y", "sum += x; y = sum", "scan", loop_prep="T sum = 0", after_loop="sum = 0",
                                preamble="#define UNUSED 1")
    assert loop(b).tolist() == [0, 1, 2, 3]  # each element has a thread, and each thread a sum of its own
    early = cp.ElementwiseKernel("T x", "T y", "y = 0; if (x > 1) return; for (int k = 0; ; k++) if (k == 3) break; y = x + 5", "early")
    assert early(b).tolist() == [5, 6, 0, 0]  # a return ends its thread alone
    pair = np.dtype([("a", "i4"), ("b", "f8"), ("c", "i2", (2,))], align=True)
    records = cp.array(np.array([(1, 2.5, (3, 4)), (5, 6.5, (7, 8))], pair))
    split = cp.ElementwiseKernel("T r", "float64 s", "static_assert(T::field_count == 3, \"fields\"); s = r.at<0>() + r.at<1>()", "split")
    assert split(records).tolist() == [3.5, 11.5]
    assert len(early.cached_codes) == 1 and "y = x + 5" in early.cached_code and "typedef float T;" in early.cached_code

    l2 = cp.ReductionKernel("T x", "T y", "x * x", "a + b", "y = sqrt(a)", "0", "l2")
    for axis in (None, 0, 1, (0, 1), -1):
        for keepdims in (False, True):
            expected = np.sqrt((a.get() ** 2).sum(axis=axis, keepdims=keepdims))
            got = l2(a, axis=axis, keepdims=keepdims)
            assert got.shape == expected.shape and got.dtype == np.float32
            assert np.allclose(got.get(), expected, rtol=1e-6)
    out = cp.zeros(4, np.float32)
    assert l2(a, axis=0, out=out) is out and np.allclose(out.get(), np.sqrt((a.get() ** 2).sum(axis=0)))
    t = cp.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1)
    assert np.allclose(l2(t, axis=1).get(), np.sqrt((t.get() ** 2).sum(axis=1)))
    masked = cp.ReductionKernel("T x, S m", "T y", "m ? x : 0", "a + b", "y = a", "0", "masked")
    assert masked(a, a > 3, axis=1).tolist() == [0, 22, 38]
    big = cp.ReductionKernel("T x", "float64 y", "x", "max(a, b)", "y = a", "-1e9", "big", reduce_type="double")
    assert float(big(cp.array([3, 9, 2]))) == 9
    ones = cp.ones(20_000_000, np.float32)  # one running float would stop at 16 777 216
    plain = cp.ReductionKernel("T x", "T y", "x", "a + b", "y = a", "0", "plain")
    assert float(plain(ones)) == 20_000_000

    def error_of(call, *args, **kwargs):
        try:
            call(*args, **kwargs)
        except Exception as error:
            return error
        raise AssertionError("no error")

    assert "Type is mismatched" in str(error_of(add, a, b.astype(np.float64)))
    assert "could not be broadcast" in str(error_of(add, a, cp.zeros(5, np.float32)))
    assert "Wrong number of arguments" in str(error_of(add, a))
    assert "Loop size is undecided" in str(error_of(fill, 0.5, y))
    assert "Out shape is mismatched" in str(error_of(add, a, b, cp.zeros((1, 4), np.float32)))
    assert isinstance(error_of(add, a, [1, 2]), TypeError) and isinstance(error_of(add, a, np.ones(4)), TypeError)
    assert isinstance(error_of(l2, a, axis=2), np.exceptions.AxisError)
    assert isinstance(error_of(cp.ElementwiseKernel, "T i", "T y", "y = i"), ValueError)
    assert isinstance(error_of(cp.ElementwiseKernel, "T x", "T y", "y = x", "bad name"), ValueError)
    ''')  # fmt: skip


def test_a_fault_ends_the_session_with_the_kernels_name(tmp_path: Path) -> None:
    program = r'''
    kernel = cp.RawKernel('extern "C" __global__ void wild(int *x, long long i) { BODY; }', "wild")
    x = cp.zeros(1, np.int32)
    try:
        kernel((1,), (1,), (x, 1 << 34))
        x.get()
    except Exception as error:
        print(type(error).__name__, error)
    '''  # fmt: skip
    faults = {"x[i] = 1": "SIGSEGV", "x[0] = (int)i / x[0]": "SIGFPE"}
    with pool() as address:
        for body, signal in faults.items():
            text = run(tmp_path, program.replace("BODY", body), **address)
            assert text.startswith("SessionLost") and signal in text and "'wild'" in text, text
        assert run(tmp_path, "print(int(cp.arange(4).sum()))", **address) == "6\n"


def test_an_endless_kernel_ends_at_its_limit(tmp_path: Path) -> None:
    with pool("--kernel-limit-ms", "600") as address:
        text = run(tmp_path, r'''
        kernel = cp.RawKernel('extern "C" __global__ void spin(volatile int *x) { while (!x[0]) {} }', "spin")
        x = cp.zeros(1, np.int32)
        try:
            kernel((1,), (1,), (x,))
            x.get()
        except Exception as error:
            print(type(error).__name__, error)
        ''', **address)  # fmt: skip
    assert text.startswith("SessionLost") and "'spin'" in text and "0.6 s" in text, text


def test_no_compiler(tmp_path: Path) -> None:
    text = run(tmp_path, r'''
    assert (cp.arange(3) + 1).tolist() == [1, 2, 3]
    for kernel in (lambda: cp.RawKernel('extern "C" __global__ void k() {}', "k")((1,), (1,), ()),
                   lambda: cp.ElementwiseKernel("T x", "T y", "y = x")(cp.arange(3))):
        try:
            kernel()
            cp.cuda.Stream.null.synchronize()
        except NotImplementedError as error:
            print(error)
    ''', PATH=str(tmp_path), CUPOOL_CACHE_DIR=str(tmp_path / "cache"))  # fmt: skip
    assert text.count("apt-get install g++") == 2, text


def test_what_kernels_print_is_shown_here(tmp_path: Path) -> None:
    text = run(tmp_path, r'''
    from cupyx import jit

    kernel = cp.RawKernel('extern "C" __global__ void k(int n) { printf("%d: thread %u\\n", n, threadIdx.x); }', "k")
    kernel((1,), (2,), (7,))
    print("before the wait")
    cp.cuda.Stream.null.synchronize()

    @jit.rawkernel()
    def say(x):
        print("x is", x, 2.5)
    say[1, 1](3)
    assert int(cp.arange(3).sum()) == 3
    cp.ElementwiseKernel("int32 x", "int32 y", 'y = x; printf("%d;", x)', "speak")(cp.arange(3, dtype=np.int32))
    print("the end")
    kernel((1,), (1,), (8,))
    ''')  # fmt: skip
    assert text == "before the wait\n7: thread 0\n7: thread 1\nx is 3 2.5\nthe end\n0;1;2;8: thread 0\n"


def test_an_error_of_a_kernel_says_which_and_nothing_of_ours(tmp_path: Path) -> None:
    text = run(tmp_path, r'''
    kernel = cp.RawKernel('extern "C" __global__ void broken(float* x) { x[threadIdx.x] = 0; __trap(); }', "broken")
    x = cp.ones(4, cp.float32)
    try:
        kernel((1,), (4,), (x,))
        x.get()
    except Exception as error:
        print(error, *error.__notes__)
    ''')  # fmt: skip
    assert "__trap() was called" in text and "kernel 'broken' called at" in text and "@" not in text, text
