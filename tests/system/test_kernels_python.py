"""Kernels written in Python (`cupyx.jit`, `cupy.vectorize`) through the whole chain, with an embedded pool of real processes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from kernel_programs import run

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="kernels of the CPU device need g++")


def test_rawkernel(tmp_path: Path) -> None:
    run(tmp_path, r'''
    from cupyx import jit

    @jit.rawkernel()
    def saxpy(a, x, y, out):
        start, step = jit.grid(1), jit.gridsize(1)
        for i in range(start, len(x), step):
            out[i] = a * x[i] + y[i]

    for dtype in (np.float32, np.float64, np.int32, np.complex64, np.float16):
        x, y = cp.arange(1000).astype(dtype), cp.ones(1000, dtype)
        out = cp.zeros_like(x)
        saxpy[8, 32](dtype(3), x, y, out)
        assert np.array_equal(out.get(), (3 * np.arange(1000) + 1).astype(dtype)), dtype
    assert len(saxpy.cached_codes) == 5

    @jit.rawkernel()
    def rows(a, out):
        y = jit.blockIdx.x
        smem = jit.shared_memory(cp.float64, 64)
        t = jit.threadIdx.x
        smem[t] = a[y, t] if t < a.shape[1] else 0.0
        jit.syncthreads()
        d = 32
        while d > 0:
            if t < d:
                smem[t] += smem[t + d]
            jit.syncthreads()
            d //= 2
        if t == 0:
            out[y] = smem[0]

    a = cp.arange(12 * 50, dtype=float).reshape(12, 50)[:, ::-1]
    out = cp.zeros(12)
    rows((12,), (64,), (a, out))
    assert np.allclose(out.get(), a.get().sum(1))

    @jit.rawkernel(device=True)
    def mandelbrot(c, limit):
        z = c
        for i in range(limit):
            if z.real * z.real + z.imag * z.imag > 4:
                return i
            z = z * z + c
        return limit

    @jit.rawkernel()
    def picture(x0, step, out, counts):
        i, j = jit.grid(2)
        if i < out.shape[0] and j < out.shape[1]:
            n = mandelbrot(cp.complex128(x0) + cp.complex128(1j) * (j * step - 1) + i * step, 50)
            out[i, j] = n
            jit.atomic_add(counts, n, 1)

    out, counts = cp.zeros((40, 30), np.int32), cp.zeros(51, np.int32)
    picture((5, 4), (8, 8), (-2.0, 0.05, out, counts))
    def reference(c):
        z = c
        for i in range(50):
            if abs(z) > 2:
                return i
            z = z * z + c
        return 50
    x0, step = np.float32(-2.0), np.float32(0.05)
    expected = np.array([[reference(complex(x0) + 1j * float(j * step - 1) + float(i * step)) for j in range(30)] for i in range(40)])
    assert np.mean(out.get() != expected) < 0.01
    assert counts.get().tolist() == np.bincount(out.get().ravel(), minlength=51).tolist()

    @jit.rawkernel()
    def warp(x):
        lane = jit.laneid()
        v = x[jit.grid(1)]
        for d in (1,):
            pass
    try:
        warp[1, 32](x)
    except NotImplementedError as e:
        assert "range iterator" in str(e) and "> " in str(e)
    else:
        raise AssertionError

    @jit.rawkernel()
    def scan(x):
        v = x[jit.grid(1)]
        d = 1
        while d < 32:
            up = jit.shfl_up_sync(0xffffffff, v, d)
            if jit.laneid() >= d:
                v += up
            d *= 2
        x[jit.grid(1)] = v

    x = cp.ones(64, np.int32)
    scan[2, 32](x)
    assert x.get().tolist() == [*range(1, 33)] * 2

    @jit.rawkernel()
    def halves(g):
        b = jit.cg.this_thread_block()
        if b.thread_rank() < b.size() // 2:
            g[b.thread_rank()] = b.group_index().x
        b.sync()

    g = cp.full(8, -1)
    halves[1, 8](g)
    assert g.get().tolist() == [0] * 4 + [-1] * 4
    ''')  # fmt: skip


def test_reductions_of_a_warp_and_of_a_block(tmp_path: Path) -> None:
    run(tmp_path, r'''
    from cupyx import jit

    def made(dtype):
        @jit.rawkernel()
        def reduce(x, y):
            Warp = jit.cub.WarpReduce[dtype]
            Block = jit.cub.BlockReduce[dtype, 96]
            warps = jit.shared_memory(dtype=Warp.TempStorage, size=3)
            block = jit.shared_memory(dtype=Block.TempStorage, size=1)
            i, j = jit.blockIdx.x, jit.threadIdx.x
            w = j // 32
            in_warp = Warp(warps[w])
            w = 0
            least = in_warp.Reduce(x[i, j], jit.cub.Min())
            total = Block(block[0]).Sum(x[i, j])
            jit.syncthreads()
            most = Block(block[0]).Reduce(x[i, j], jit.cub.Max())
            if j % 32 == 0:
                y[i, j // 32] = least
            if j == 0:
                y[i, 3] = total
                y[i, 4] = most
        return reduce

    x = (np.arange(4 * 96).reshape(4, 96) * 37 % 101).astype("i8") % 11
    for dtype in (np.int8, np.uint64, np.float16, np.float32, np.complex64):
        given, y = x.astype(dtype), cp.zeros((4, 5), dtype)
        made(dtype)[4, 96](cp.array(given), y)
        assert np.array_equal(y.get()[:, :3], given.reshape(4, 3, 32).min(2)), dtype
        assert np.array_equal(y.get()[:, 3], x.sum(1).astype(dtype)) and np.array_equal(y.get()[:, 4], given.max(1)), dtype
    ''')  # fmt: skip


def test_vectorize(tmp_path: Path) -> None:
    run(tmp_path, r'''
    @cp.vectorize
    def collatz(n):
        """Steps to one."""
        steps = 0
        while n != 1:
            if n % 2 == 0:
                n //= 2
            else:
                n = 3 * n + 1
            steps += 1
        return steps

    assert collatz.__doc__ == "Steps to one."
    a = cp.arange(1, 28)
    assert int(collatz(a)[26]) == 111 and collatz(a.reshape(3, 9)).shape == (3, 9)

    both = cp.vectorize(lambda x, y: (x + y, x / y))
    total, ratio = both(cp.arange(3), cp.array([[1], [2]]))
    assert total.get().tolist() == [[1, 2, 3], [2, 3, 4]] and ratio.dtype == np.float64

    relu = cp.vectorize(lambda x: x if x > 0 else 0)
    for dtype in (np.float16, np.float32, np.int8):
        out = relu(cp.array([-1, 2, -3], dtype))
        assert out.dtype == dtype and out.get().tolist() == [0, 2, 0]

    import math
    wave = cp.vectorize(lambda x: math.sin(x) + np.sqrt(abs(x)))
    x = np.linspace(-3, 3, 7)
    assert np.allclose(wave(cp.array(x)).get(), np.sin(x) + np.sqrt(np.abs(x)), rtol=1e-15)
    for bad in (lambda: cp.vectorize(len, otypes="d")(cp.ones(1)), lambda: cp.vectorize(len, signature="()->()")):
        try:
            bad()
        except NotImplementedError:
            pass
        else:
            raise AssertionError
    ''')  # fmt: skip
