"""The kernel engine through ctypes alone: the header's thread model, functions and types, and what the compiler says."""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cupool.apiserver.devices.cpu.kernels import eviction
from cupool.apiserver.devices.cpu.kernels.compiler import Compiler, translate_options
from cupool.apiserver.devices.cpu.kernels.engine import KernelEngine
from cupool.apiserver.devices.cpu.kernels.source import POISON, RefusedSource

from cupool.contract.errors import CompileException, CUDADriverError, CUDARuntimeError, OpMissing

Launch = Callable[..., None]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> KernelEngine:
    # CUPOOL_TEST_KERNEL_CACHE keeps the compiled kernels of one run for the next.
    given = os.environ.get("CUPOOL_TEST_KERNEL_CACHE")
    made = KernelEngine(Compiler(Path(given) if given else tmp_path_factory.mktemp("kernels")))
    if made.probe():
        pytest.skip(made.probe())
    return made


def as_bytes(value: Any) -> bytes:
    if isinstance(value, np.ndarray):
        return int(value.ctypes.data).to_bytes(8, "little")
    return bytes(value.tobytes())


def run(
    engine: KernelEngine,
    source: str,
    grid: Any,
    block: Any,
    args: Any,
    shared: int = 0,
    name: str = "k",
    **options: Any,
) -> None:
    engine.module(source, **options).function(name).launch(grid, block, [as_bytes(a) for a in args], shared)


def test_grid_and_block_indices(engine: KernelEngine) -> None:
    source = """
    extern "C" __global__ void __launch_bounds__(64) k(unsigned *out) {
      unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
      unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
      out[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 1000 + thread;
    }"""
    out = np.zeros(2 * 3 * 2 * 24, np.uint32)
    run(engine, source, (2, 3, 2), (4, 3, 2), [out])
    assert out.tolist() == [b * 1000 + t for b in range(12) for t in range(24)]


def test_barriers_shuffles_votes(engine: KernelEngine) -> None:
    source = """
    extern "C" __global__ void k(const float *x, float *sums, int *votes, int n) {
      extern __shared__ __align__(16) float scratch[];
      __shared__ float warps[32];
      int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
      scratch[t] = i < n ? x[i] : 0.0f;
      __syncthreads();
      float v = scratch[blockDim.x - 1 - t];
      for (int d = 16; d > 0; d /= 2) v += __shfl_down_sync(0xffffffff, v, d);
      if (t % 32 == 0) warps[t / 32] = v;
      int odd = __syncthreads_count(t & 1);
      if (t == 0) {
        float total = 0;
        for (unsigned w = 0; w < blockDim.x / 32; w++) total += warps[w];
        sums[blockIdx.x] = total;
        votes[0] = odd;
      }
      unsigned ballot = __ballot_sync(0xffffffff, t % 3 == 0);
      int up = __shfl_up_sync(0xffffffff, t, 1), flip = __shfl_xor_sync(0xffffffff, t, 3, 8), from = __shfl_sync(0xffffffff, t, 5, 16);
      if (t == 40) {
        votes[1] = (int)ballot; votes[2] = up; votes[3] = flip; votes[4] = from;
      }
      if (t < 8) {
        unsigned active = __activemask();
        if (t == 0) votes[5] = (int)active;
      }
      votes[6] = __all_sync(0xffffffff, 1) && !__any_sync(0xffffffff, 0) && __syncthreads_and(1) && !__syncthreads_or(0);
      unsigned same = __match_any_sync(0xffffffff, t / 4);
      if (t == 41) votes[7] = (int)same;
      if (t == 0) votes[8] = __popc(same);
      int added = __reduce_add_sync(0xffffffff, 1);
      if (t == 33) votes[9] = added;
    }"""
    x = np.arange(200, dtype=np.float32)
    sums, votes = np.zeros(4, np.float32), np.zeros(10, np.int32)
    run(engine, source, (4,), (64,), [x, sums, votes, np.int32(200)], shared=64 * 4)
    assert sums.tolist() == [x[b * 64 : b * 64 + 64].sum() for b in range(4)]
    ballot = sum(1 << lane for lane in range(32) if (32 + lane) % 3 == 0)
    assert votes.tolist() == [32, np.uint32(ballot).view(np.int32), 39, 43, 37, 0xFF, 1, 0xF << 8, 4, 32]


def test_threads_that_return_early_do_not_hold_a_barrier(engine: KernelEngine) -> None:
    source = """
    extern "C" __global__ void k(int *out, int n) {
      int i = threadIdx.x;
      if (i >= n) return;
      atomicAdd(&out[0], 1);
      __syncthreads();
      out[1 + i] = out[0];
    }"""
    out = np.zeros(65, np.int32)
    run(engine, source, (1,), (64,), [out, np.int32(10)])
    assert out.tolist() == [10] * 11 + [0] * 54


@pytest.mark.parametrize(
    "body",
    [
        "if (threadIdx.x < 16) __shfl_sync(0xffffffff, 1, 0); else __syncthreads();",
        "if (threadIdx.x != 3) __syncwarp(); else __syncthreads();",
    ],
)
def test_barrier_divergence_is_an_error(engine: KernelEngine, body: str) -> None:
    with pytest.raises(CUDARuntimeError, match="barrier divergence in block 0,0,0") as caught:
        run(engine, f'extern "C" __global__ void k() {{ {body} }}', (1,), (32,), [])
    assert caught.value.status == 719
    # The engine goes on.
    test_threads_that_return_early_do_not_hold_a_barrier(engine)


def test_trap_and_assert(engine: KernelEngine) -> None:
    source = """extern "C" __global__ void k(int n) { if (n) __syncthreads(); assert(threadIdx.x < 5); if (n > 1) __trap(); }"""
    for n in (0, 1):
        with pytest.raises(CUDARuntimeError, match=r"assert failed: threadIdx.x < 5.*thread 5,0,0"):
            run(engine, source, (1,), (32,), [np.int32(n)])
    run(engine, source, (1,), (4,), [np.int32(1)])


def test_atomics(engine: KernelEngine) -> None:
    source = """
    template <class T> __device__ void all(T *p) {
      atomicAdd(p, (T)3); atomicAdd(p + 1, (T)1); atomicMin(p + 2, (T)threadIdx.x); atomicMax(p + 3, (T)threadIdx.x);
      atomicExch(p + 4, (T)7);
    }
    extern "C" __global__ void k(int *i, unsigned long long *u, float *f, double *d, unsigned *w, float16 *h) {
      all(i); all(u); all(f); all(d);
      atomicInc(w, 5); atomicDec(w + 1, 3); atomicCAS(w + 2, threadIdx.x, threadIdx.x + 1); atomicOr(w + 3, 1u << threadIdx.x);
      atomicAnd(w + 4, ~1u); atomicXor(w + 5, 1u); atomicSub(w + 6, 1u); atomicAdd(h, float16(0.5f));
    }"""
    arrays = [np.array([0, 0, 99, 0, 0], t) for t in (np.int32, np.uint64, np.float32, np.float64)]
    words, half = np.array([0, 0, 0, 0, 15, 0, 40], np.uint32), np.zeros(1, np.float16)
    run(engine, source, (1,), (10,), [*arrays, words, half])
    for a in arrays:
        assert a.tolist() == [30, 10, 0, 9, 7]
    assert words.tolist() == [4, 2, 10, 1023, 14, 0, 30]
    assert half[0] == 5


def test_math(engine: KernelEngine) -> None:
    special = pytest.importorskip("scipy.special")
    calls = {
        "rsqrt(x)": lambda x: 1 / np.sqrt(x), "rcbrt(x)": lambda x: 1 / np.cbrt(x), "sinpi(x * 4)": lambda x: np.sin(np.pi * x * 4),
        "cospi(x * 4)": lambda x: np.cos(np.pi * x * 4), "normcdf(x)": special.ndtr, "normcdfinv(x)": special.ndtri,
        "erfcinv(x)": special.erfcinv, "erfinv(x)": special.erfinv, "erfinv(x * 0.01)": lambda x: special.erfinv(x * 0.01),
        "erfcx(x * 40)": lambda x: special.erfcx(x * 40), "cyl_bessel_i0(x * 50)": lambda x: special.i0(x * 50),
        "cyl_bessel_i1(x * 20)": lambda x: special.i1(x * 20), "exp10(x)": lambda x: 10**x, "max(x, 0.5)": lambda x: np.maximum(x, 0.5),
        "min(1, x)": lambda x: np.minimum(1, x), "fma(x, x, 1.0)": lambda x: x * x + 1, "pow(x, 3)": lambda x: x**3,
        "tgamma(x)": special.gamma, "lgamma(x)": special.gammaln, "fabs(x) + abs(-x)": lambda x: 2 * x,
        "hypot(x, 1.0)": lambda x: np.hypot(x, 1),
        "rhypot(x, 1.0)": lambda x: 1 / np.hypot(x, 1), "norm3d(x, x, 1.0)": lambda x: np.sqrt(2 * x * x + 1), "expm1(x)": np.expm1,
    }  # fmt: skip
    lines = "\n".join(f"o[{i} * n + t] = {call};" for i, call in enumerate(calls))
    single = "\n".join(
        f"g[{i} * n + t] = [](float x) {{ return (double)({call}); }}(y);" for i, call in enumerate(calls)
    )
    source = f"""extern "C" __global__ void k(const double *a, double *o, double *g, int n) {{
      int t = threadIdx.x; double x = a[t]; float y = (float)x;
      {lines}
      {single}
    }}"""
    x = np.linspace(0.001, 0.999, 97)
    out, single_out = (np.zeros((len(calls), x.size)) for _ in range(2))
    run(engine, source, (1,), (97,), [x, out, single_out, np.int32(97)])
    for i, (call, expected) in enumerate(calls.items()):
        np.testing.assert_allclose(out[i], expected(x), rtol=2e-13, atol=2e-15, err_msg=call)
        np.testing.assert_allclose(
            single_out[i], expected(x.astype(np.float32).astype(float)), rtol=3e-5, atol=1e-6, err_msg=f"float {call}"
        )


def test_float16_rounds_as_numpy(engine: KernelEngine) -> None:
    source = """
    extern "C" __global__ void k(const float16 *in, float *wide, const float *x, float16 *narrow, const double *d, float16 *once, int n) {
      for (int i = 0; i < 65536; i++) wide[i] = in[i];
      for (int i = 0; i < n; i++) { narrow[i] = float16(x[i]); once[i] = float16(d[i]); }
    }"""
    bits = np.arange(65536, dtype=np.uint16).view(np.float16)
    wide = np.zeros(65536, np.float32)
    rng = np.random.default_rng(1)
    x = np.concatenate(
        [
            rng.normal(size=5000) * 10.0 ** rng.integers(-9, 6, 5000),
            [0, -0.0, 65504, 65519.9, 65520, 1e9, np.inf, -np.inf, 6e-8, 2.9e-8],
        ]
    )
    ties = np.nextafter(
        (bits[1000:30000:7].astype(float) + bits[1001:30001:7].astype(float)) / 2, [[-1e9], [1e9]]
    ).ravel()
    d = np.concatenate([x, ties])
    x32 = d.astype(np.float32)
    narrow, once = np.zeros(d.size, np.float16), np.zeros(d.size, np.float16)
    run(engine, source, (1,), (1,), [bits, wide, x32, narrow, d, once, np.int32(d.size)])
    np.testing.assert_array_equal(wide, bits.astype(np.float32))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(narrow.view(np.uint16), x32.astype(np.float16).view(np.uint16))
        np.testing.assert_array_equal(once.view(np.uint16), d.astype(np.float16).view(np.uint16))


def test_bits_complex_vectors(engine: KernelEngine) -> None:
    source = """
    #include <cupy/complex.cuh>
    #include "cuda_fp16.h"
    __device__ double3 operator+(const double3 &a, double3 b) { return make_double3(a.x + b.x, a.y + b.y, a.z + b.z); }
    extern "C" __global__ void k(long long *o, complex<float> *z, thrust::complex<double> *w, double3 d, double3 *e, int *sizes) {
      o[0] = __popc(0xf0f0); o[1] = __clz(1); o[2] = __ffs(8); o[3] = __brev(1u); o[4] = __umul24(0x1ffffffu, 2u);
      o[5] = __mulhi(1 << 30, 8);
      o[6] = __float2int_rn(2.5f); o[7] = __double2uint_rz(-3.0); o[8] = __float_as_int(1.0f);
      o[9] = __byte_perm(0x03020100, 0x07060504, 0x7531);
      o[10] = __funnelshift_l(0x80000000u, 1u, 1); o[11] = __ldg(&o[0]); o[12] = (long long)__umul64hi(1ull << 63, 4);
      o[13] = min(3, 4u) + max(2ll, 1); o[14] = __half2int_rn(__hadd(__float2half(1.5f), __float2half(2.0f)));
      z[0] = complex<float>(1, 2) * complex<float>(3, -1) / 2.0f; z[1] = exp(complex<float>(0, 1));
      z[2] = z[0]; z[2] += 1; z[2] *= complex<float>(0, 1);
      w[0] = sqrt(thrust::complex<double>(-4, 0)); w[1] = conj(w[0]) + 1.0; w[2] = thrust::complex<double>(abs(complex<float>(3, 4)), 0);
      e[0] = d + make_double3(1, 2, 3);
      sizes[0] = sizeof(float3); sizes[1] = alignof(float4); sizes[2] = alignof(double2); sizes[3] = sizeof(uchar4);
      sizes[4] = alignof(short4);
    }"""
    o, z, w, e, sizes = (
        np.zeros(15, np.int64),
        np.zeros(3, np.complex64),
        np.zeros(3, np.complex128),
        np.zeros(3),
        np.zeros(5, np.int32),
    )
    run(engine, source, (1,), (1,), [o, z, w, np.array((1.0, 2.0, 3.0), "f8,f8,f8")[()], e, sizes])
    assert o.tolist() == [8, 31, 4, 1 << 31, 0xFFFFFE << 1 | 2, 2, 2, 0, 0x3F800000, 0x07050301, 3, 8, 2, 5, 4]
    np.testing.assert_allclose(z, [(5 + 5j) / 2, np.exp(1j), ((5 + 5j) / 2 + 1) * 1j], rtol=1e-6)
    np.testing.assert_allclose(w, [2j, 1 - 2j, 5])
    assert e.tolist() == [2, 4, 6]
    assert sizes.tolist() == [12, 16, 16, 4, 8]


def test_templates_macros_and_globals(engine: KernelEngine) -> None:
    source = """
    #define KERNEL(name, op) extern "C" __global__ void name(int *x) { x[threadIdx.x] op; }
    KERNEL(inc, += step)
    #undef KERNEL
    """
    source = (
        "__constant__ int step = 2;\n__device__ float table[5];\n"
        + source.replace("    #", "#")
        + """
    template <typename T, int n> __global__ void scale(T *x) { x[threadIdx.x] *= n; }
    namespace inner { __global__ void hidden(int *x) { x[0] = -1; } }
    extern "C" { __global__ void div(int *x) { x[0] = 9; } }
    #if 0
    extern "C" __global__ void absent(int *x) {}
    #endif
    """
    )
    module = engine.module(source, expressions=("scale<float, 3>", "scale<int,5>", "inner::hidden"))
    assert set(module.kernels) == {"inc", "div", "scale<float, 3>", "scale<int,5>", "inner::hidden"}
    f, i = np.ones(4, np.float32), np.ones(4, np.int32)
    module.function("scale<float, 3>").launch((1,), (4,), [as_bytes(f)])
    module.function("scale<int,5>").launch((1,), (4,), [as_bytes(i)])
    module.function("inc").launch((1,), (2,), [as_bytes(i)])
    assert (f.tolist(), i.tolist()) == ([3] * 4, [7, 7, 5, 5])
    address, nbytes = module.address_of("step")
    assert nbytes == 4
    ctypes.c_int.from_address(address).value = 10
    module.function("inc").launch((1,), (1,), [as_bytes(i)])
    module.function("div").launch((1,), (1,), [as_bytes(f)])
    assert i[0] == 17
    assert module.address_of("table")[1] == 20
    for missing in ("absent", "scale"):
        with pytest.raises(CUDADriverError, match="named symbol not found"):
            module.function(missing)
    with pytest.raises(CUDADriverError, match="named symbol not found"):
        module.address_of("nothing")


def test_a_source_may_declare_fixed_width_types(engine: KernelEngine) -> None:
    source = """typedef unsigned int uint32_t; typedef unsigned long long uint64_t;
    extern "C" __global__ void k(uint64_t *x) { x[0] = (uint64_t)1 << 40; int16_t y = -1; x[1] = (uint32_t)y; }"""
    x = np.zeros(2, np.uint64)
    run(engine, source, (1,), (1,), [x])
    assert x.tolist() == [1 << 40, 0xFFFFFFFF]


def test_compile_errors_name_the_users_line_and_no_path(engine: KernelEngine) -> None:
    source = '// one\nextern "C" __global__\nvoid k(int *x) {\n  x[0] = undefined_name;\n}\n'
    with pytest.raises(CompileException) as caught:
        engine.module(source, ("-DA=1",), name="mine.cu")
    text = str(caught.value)
    assert "mine.cu:4:10: error:" in text and "undefined_name" in text
    assert str(engine.compiler._cache) not in text and "/usr/" not in text and "site-packages" not in text
    assert caught.value.source == source
    assert caught.value.options == ("-DA=1",)
    assert caught.value.backend == "nvrtc"
    with pytest.raises(CompileException, match=r"mine\.cu:4"):
        engine.module(
            'extern "C" __global__ void f() {}\n/* a\nb */ extern __shared__ int s[];\nint y = 3 +;\n', name="mine.cu"
        )


@pytest.mark.parametrize(
    "line",
    ['#include "/etc/passwd"', "#include </etc/passwd>", '#include "../secret.h"', "#define F </etc/passwd>\n#include F",
     "# include /**/ F",
     "#inc\\\nlude </etc/passwd>", '#if __has_include("/etc/shadow")\n#endif', '#import "/etc/passwd"', "#include <unistd.h>"],
)  # fmt: skip
def test_includes_of_host_files_are_refused(engine: KernelEngine, line: str) -> None:
    with pytest.raises(CompileException, match="not available") as caught:
        engine.module(line + '\nextern "C" __global__ void k() {}')
    assert "root:" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        '%:include "/etc/passwd"', 'const char *a = R"a("/*)a";\n#include "/etc/passwd"\n/* */', '#pragma GCC dependency "/etc/nothing"',
        '#define CAT(a, b) a##b\n%:include CAT(<, /etc/passwd>)', '_Pragma("GCC dependency \\"/etc/nothing\\"")',
        '%:include "/etc/nothing"',
        '%:include "../../../../../../etc/passwd"',
    ],
)  # fmt: skip
def test_what_the_compiler_opened_decides_and_not_how_it_was_spelled(engine: KernelEngine, text: str) -> None:
    with pytest.raises(CompileException) as caught:
        engine.module(text + '\nextern "C" __global__ void k() {}')
    assert "root:" not in str(caught.value) and "No such file" not in str(caught.value)


@pytest.mark.parametrize("line", ['#line 1 "/etc/passwd"', '# 1 "/etc/passwd"', '#define X 1 "/etc/passwd"\n#line X'])
def test_messages_show_lines_of_the_source_alone(engine: KernelEngine, line: str) -> None:
    with pytest.raises(CompileException, match="expected primary-expression") as caught:
        engine.module(f'{line}\nint x = ;\nextern "C" __global__ void k() {{}}')
    assert "root:" not in str(caught.value)


def test_assembler_messages_are_not_passed_on(engine: KernelEngine) -> None:
    text = '__device__ int lane() { int r; asm("mov.u32 %0, %%laneid;" : "=r"(r)); return r; }'
    with pytest.raises(CompileException, match="no PTX instructions") as caught:
        engine.module(text + '\nextern "C" __global__ void k(int *x) { x[0] = 1; }')
    assert "laneid" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        'asm(".include \\"/etc/passwd\\"");',
        'asm(".inc" "bin \\"/etc/passwd\\"");',
        'asm(".INCBIN \\"/etc/passwd\\"");',
        'asm("\\056incbin \\"/etc/passwd\\"");',
        '__asm__(R"(.incbin "/etc/passwd")");',
        '#define C(a, b) a##b\nC(as, m)("." "in" "cbin \\"/etc/passwd\\"");',
        'asm(".macro m a b\\n.\\\\a\\\\b \\"/etc/passwd\\"\\n.endm\\nm inc bin");',
        'asm(".irp x, incbin\\n.\\\\x \\"/etc/passwd\\"\\n.endr");',
        'asm(".rept 1\\n.incbin \\"/etc/passwd\\"\\n.endr");',
        '__device__ int y __attribute__((section(".data\\n.incbin \\"/etc/passwd\\"\\n#"))) = 1;',
        'extern "C" int renamed __asm__("a\\n.incbin \\"/etc/passwd\\"\\n");\n__device__ int z() { return renamed; }',
    ],
)
def test_the_assembler_reads_no_file(engine: KernelEngine, text: str) -> None:
    source = text + '\nextern "C" __global__ void k(int *x) { x[0] = 1; }'
    with pytest.raises(CompileException, match="not available") as caught:
        engine.module(source)
    assert "root:" not in str(caught.value)


@pytest.mark.parametrize(
    "has",
    ["C(__has_, include)", "C2(X, include)", "C(C(__h, as_inc), lude)", "C(__has_inc, lude_next)", "__has\\\n_include"],
)
def test_whether_a_file_exists_is_not_told(engine: KernelEngine, has: str) -> None:
    """The same refusal for a file that is there and one that is not, however the question is spelled."""

    def answer(name: str) -> str:
        source = (
            f'#define C(a, b) a##b\n#define C2(a, b) C(a, b)\n#define X __has_\n%:define H {has}\n#if H("{name}")\n'
            'extern "C" __global__ void k() {}\n#else\nextern "C" __global__ void missing() {}\n#endif'
        )
        with pytest.raises(CompileException) as caught:
            engine.module(source)
        return str(caught.value)

    assert answer("/etc/passwd") == answer("/etc/PASSWD").replace("PASSWD", "passwd")


def test_a_compilation_has_limits(engine: KernelEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    from cupool.apiserver.devices.cpu.kernels import compiler

    endless = "template <int n> struct S { S<n + 1> s; }; S<0> s;\n"
    with pytest.raises(CompileException, match="template instantiation depth") as caught:
        engine.module(endless + 'extern "C" __global__ void k() {}')
    assert len(str(caught.value)) < 100_000
    monkeypatch.setattr(compiler, "TIMEOUT_S", 0.05)
    with pytest.raises(CompileException, match="took longer than 0 s"):
        engine.module('extern "C" __global__ void slow() {}')
    monkeypatch.setattr(compiler, "TIMEOUT_S", 60.0)
    monkeypatch.setattr(compiler, "MEMORY_KIB", 20_000)
    with pytest.raises(CompileException):
        engine.module('extern "C" __global__ void hungry() {}')


def test_warnings_are_told_when_asked_for(engine: KernelEngine) -> None:
    said = engine.warnings('extern "C" __global__ void k() {\n  int unused;\n}', (), {})
    assert "kernel.cu:2:7: warning: unused variable" in said and "    2 |   int unused;" in said and "/" not in said
    assert engine.warnings('extern "C" __global__ void k() {}', (), {}) == ""


def test_kernels_print(engine: KernelEngine) -> None:
    source = """extern "C" __global__ void k(int n) { if (threadIdx.x < n) printf("%d of %s: %.2f\\n", (int)threadIdx.x, "k", 0.5); }
    extern "C" __global__ void flood() { for (int i = 0; i < 100; i++) printf("%0999d\\n", i); }"""
    module = engine.module(source)
    module.function("k").launch((1,), (4,), [as_bytes(np.int32(2))])
    module.function("k").launch((1,), (4,), [as_bytes(np.int32(1))])
    assert engine.take_printed() == "0 of k: 0.50\n1 of k: 0.50\n0 of k: 0.50\n"
    assert engine.take_printed() == ""
    module.function("flood").launch((20,), (1,), [])
    text = engine.take_printed()
    assert len(text) == 1048 * 1000 and text.endswith("47\n")  # whole lines, up to the room there is
    module.function("k").launch((1,), (1,), [as_bytes(np.int32(1))])
    assert engine.take_printed() == "0 of k: 0.50\n"


def test_headers_sent_along(engine: KernelEngine) -> None:
    headers = {
        "mine/a.h": '#pragma once\n#include "b.h"\n__device__ int twice(int x) { return B * x; }',
        "mine/b.h": "#define B 2",
    }
    x = np.array([21], np.int32)
    run(
        engine,
        '#include "mine/a.h"\nextern "C" __global__ void k(int *x) { x[0] = twice(x[0]); }',
        (1,),
        (1,),
        [x],
        headers=headers,
    )
    assert x[0] == 42


def test_options() -> None:
    assert translate_options(("--std=c++11", "-DX=1", "-D", "Y", "--use_fast_math", "-arch=sm_80", "--define-macro=Z=2", "-lineinfo")) == (
        "17", ("-DX=1", "-DY", "-DZ=2"),
    )  # fmt: skip
    assert translate_options(("-std=c++20",))[0] == "20"
    for bad in ("-I/etc", "--include-path=/", "-include/etc/passwd", "-o/tmp/x", "-fplugin=/tmp/x.so", "-B/tmp", "@/etc/passwd",
                "-D=1", "-wrapper",
                "-std=c++98"):  # fmt: skip
        with pytest.raises(RefusedSource):
            translate_options((bad,))


def test_impossible_launches(engine: KernelEngine) -> None:
    function = engine.module('extern "C" __global__ void k(int *x) {}').function("k")
    for grid, block, shared in (
        ((1,), (2048,), 0),
        ((1,), (32, 64), 0),
        ((1, 70000), (1,), 0),
        ((1,), (1, 1, 65), 0),
        ((1,), (1,), 1 << 20),
    ):
        with pytest.raises(CUDADriverError, match="CUDA_ERROR_INVALID_VALUE"):
            function.launch(grid, block, [bytes(8)], shared)
    with pytest.raises(ValueError, match="takes 1 arguments, 0 were given"):
        function.launch((1,), (1,), [])


def test_cache_is_used_and_private(engine: KernelEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = 'extern "C" __global__ void cached_kernel(int *x) { x[0] = 5; }'
    first = KernelEngine(Compiler(tmp_path / "cache"))
    first.module(source)
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
    assert [p.suffix for p in (tmp_path / "cache").iterdir() if p.is_file()] == [".so"]
    second = Compiler(tmp_path / "cache")
    monkeypatch.setattr(second, "_run", lambda *a, **k: pytest.fail("compiled again"))
    x = np.zeros(1, np.int32)
    run(KernelEngine(second), source, (1,), (1,), [x], name="cached_kernel")
    assert x[0] == 5


def test_nothing_is_taken_from_a_cache_that_others_may_write_to(tmp_path: Path) -> None:
    """Whoever may write there may put a link to another file of this user in the place of a kernel."""
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    compiler = Compiler(cache)
    target = compiler._target(POISON + "int a;", "17", (), {})
    target.write_bytes(b"")
    assert compiler.cached("int a;", (), {}) == target
    cache.chmod(0o777)
    assert compiler.cached("int a;", (), {}) is None


def test_a_header_in_place_of_options_is_another_entry(tmp_path: Path) -> None:
    """The cache is of all tenants: nobody may have put there, without them, what another one compiles with his options."""
    compiler = Compiler(tmp_path)
    with_options = compiler._target("int a;", "17", ("-DTILE=16", "-DFAST=1"), {})
    with_header = compiler._target("int a;", "17", (), {"-DTILE=16": "-DFAST=1"})
    assert len({with_options, with_header, compiler._target("int a;", "17", (), {})}) == 3


def test_the_cache_forgets_what_was_not_used_for_longest(tmp_path: Path) -> None:
    now = 1_000_000_000.0
    for i in range(10):
        path = tmp_path / f"{i}.so"
        path.write_bytes(bytes(1000))
        os.utime(path, (now - 1000 * (10 - i),) * 2)
    left_behind, in_use = tmp_path / "build-x", tmp_path / "header-17-now"
    for folder, age in ((left_behind, 8 * 86_400), (in_use, 60)):
        folder.mkdir()
        (folder / "kernel.cc").write_text("int x;")
        os.utime(folder, (now - age,) * 2)
    assert eviction.evict(tmp_path, 20_000, now) == 1 and not left_behind.exists() and in_use.exists()
    assert eviction.evict(tmp_path, 8000, now) == 4
    assert sorted(p.name for p in tmp_path.glob("*.so")) == [f"{i}.so" for i in range(4, 10)]
    eviction.touch(tmp_path / "4.so")
    for path in tmp_path.glob("[5-9].so"):
        os.utime(path, (now, now))
    assert eviction.evict(tmp_path, 100, now) == 0, "all are in use"
    Compiler(tmp_path / "new").compile("int x;", (), {}, source="", name="x")
    assert len(list((tmp_path / "new").glob("*.so"))) == 1


def test_no_compiler_names_the_package(tmp_path: Path) -> None:
    engine = KernelEngine(Compiler(tmp_path, command="no-such-compiler"))
    assert "apt-get install g++" in engine.probe()
    with pytest.raises(OpMissing, match=r"apt-get install g\+\+"):
        engine.module('extern "C" __global__ void k() {}')


@pytest.mark.parametrize("options", [(), ("-DCUPOOL_UCONTEXT",)], ids=["own switch", "ucontext"])
def test_many_blocks_reuse_their_fibers(engine: KernelEngine, options: tuple[str, ...]) -> None:
    source = """extern "C" __global__ void k(long long *out) {
      __shared__ long long s[1024];
      s[threadIdx.x] = threadIdx.x;
      for (int d = blockDim.x / 2; d > 0; d /= 2) { __syncthreads(); if (threadIdx.x < d) s[threadIdx.x] += s[threadIdx.x + d]; }
      if (threadIdx.x == 0) out[blockIdx.x] = s[0] + blockIdx.x;
    }"""
    out = np.zeros(50, np.int64)
    module = engine.module(source, options).function("k")
    for _ in range(2):
        module.launch((50,), (1024,), [as_bytes(out)])
    assert out.tolist() == [1024 * 1023 // 2 + b for b in range(50)]
    assert math.isfinite(out[0])


def test_standard_headers(engine: KernelEngine) -> None:
    source = """
    #include <algorithm>
    #include <functional>
    #include <cstdint>
    #include <cstdio>
    #include <cassert>
    #include <stdlib.h>
    #include <cuda/std/type_traits>
    #include <cupy/cuda_workaround.h>
    #include <cooperative_groups.h>
    namespace cg = cooperative_groups;
    extern "C" __global__ void k(int *x, std::uint32_t n) {
      cg::thread_block block = cg::this_thread_block();
      auto tile = cg::tiled_partition<8>(block);
      static_assert(cuda::std::is_same<int, int>::value, "");
      static_assert(std::is_same<std::tuple_element<1, std::tuple<int, float>>::type, float>::value, "");
      x[block.thread_rank()] = tile.shfl(std::max((int)threadIdx.x, 3), 7) + (int)tile.ballot(threadIdx.x % 2);
      block.sync();
      assert(n == 16);
      if (n != 16) printf("never %d\\n", n);
    }"""
    x = np.zeros(16, np.int32)
    run(engine, source, (1,), (16,), [x, np.uint32(16)])
    assert x.tolist() == [7 + 0xAA] * 8 + [15 + 0xAA] * 8


def test_headers_that_kernels_of_others_name(engine: KernelEngine) -> None:
    source = """
    #include <cub/cub.cuh>
    #include <cuda/atomic>
    #include <cuda/std/atomic>
    #include <nvfunctional>
    #include <sm_60_atomic_functions.h>
    #include <stdbool.h>
    #include <thrust/pair.h>
    #include <thrust/swap.h>
    #include <thrust/tuple.h>
    typedef cuda::atomic<int, cuda::thread_scope_device> counter;
    static_assert(sizeof(counter) == sizeof(int), "arrays of them are arrays of numbers");
    extern "C" __global__ void k(const int *x, int *out, counter *counters) {
      __shared__ typename cub::BlockReduce<int, 64>::TempStorage temp;
      int sum = cub::BlockReduce<int, 64>(temp).Sum(x[threadIdx.x]);
      if (threadIdx.x == 0) out[0] = sum;
      cuda::atomic_ref<int, cuda::thread_scope_device> most(out[1]);
      most.fetch_max(x[threadIdx.x], cuda::memory_order_relaxed);
      cuda::atomic_ref<int> added(out[2]);
      int held = added.load(cuda::std::memory_order_relaxed);
      while (!added.compare_exchange_weak(held, held + x[threadIdx.x])) {}
      counters[threadIdx.x % 2].fetch_add(1);
      ++counters[2];
      auto pair = thrust::make_pair(3, 4.5f);
      auto three = thrust::make_tuple(1, 2, 3);
      int a = pair.first, b = thrust::get<2>(three) + 1;
      thrust::swap(a, b);
      nvstd::function<int(int)> twice = [=](int v) { return 2 * v + a; };
      bool last = threadIdx.x == 63;
      if (last) out[3] = twice(b) + counters[1];
    }"""
    x, out, counters = np.arange(64, dtype=np.int32), np.zeros(4, np.int32), np.zeros(3, np.int32)
    run(engine, source, (1,), (64,), [x, out, counters])
    assert out.tolist() == [2016, 63, 2016, 2 * 3 + 4 + 32]
    assert counters.tolist() == [32, 32, 64]


def test_groups_of_a_warp_under_their_usual_types(engine: KernelEngine) -> None:
    source = """
    #include <cooperative_groups.h>
    #include <cooperative_groups/reduce.h>
    #include <cooperative_groups/scan.h>
    namespace cg = cooperative_groups;
    __device__ int total(cg::thread_group g, int *room, int v) {
      for (int i = g.size() / 2; i > 0; i /= 2) {
        room[g.thread_rank()] = v; g.sync();
        if (g.thread_rank() < i) v += room[g.thread_rank() + i];
        g.sync();
      }
      return v;
    }
    extern "C" __global__ void k(const int *x, int *sums, int *ranks, int *out, unsigned *words) {
      __shared__ int room[64];
      cg::thread_block block = cg::this_thread_block();
      cg::thread_block_tile<32> warp = cg::tiled_partition<32>(block);  // a tile of any parent
      auto part = cg::tiled_partition<8>(warp);
      const int t = block.thread_rank();
      const int all = total(block, room, x[t]);
      const int eight = total(cg::tiled_partition(block, 8), room + t / 8 * 8, x[t]);
      if (t == 0) out[0] = all;
      if (t % 8 == 0) sums[t / 8] = eight;
      if (t == 0) out[1] = warp.meta_group_size();
      if (t == 63) { out[2] = warp.meta_group_rank(); out[3] = part.meta_group_rank(); out[4] = part.meta_group_size(); }
      const int most = cg::reduce(warp, x[t], cg::greater<int>()), before = cg::exclusive_scan(part, x[t]);
      const int upto = cg::inclusive_scan(part, x[t], cg::plus<int>());
      if (t == 40) { out[5] = most; out[6] = before; out[7] = upto; }
      ranks[t] = -1;
      if (x[t] % 3 == 0) {
        auto near = cg::coalesced_threads();
        ranks[t] = near.thread_rank() * 1000 + near.size() * 10 + (near.shfl(t, near.size() - 1) == near.shfl_down(t, 0));
        if (t == 0) out[8] = cg::reduce(near, x[t], cg::plus<int>());
        else cg::reduce(near, x[t], cg::plus<int>());
      }
      auto half = cg::binary_partition(warp, t % 2);
      if (t == 1) out[9] = half.size() * 100 + half.thread_rank();
      auto same = cg::labeled_partition(warp, t / 5);
      if (t == 7) out[10] = same.size() * 100 + same.thread_rank();
      words[0] = __dp4a(0x01ff0203, 0x02020202, 1); words[1] = __dp4a(0x01ff0203u, 0x02020202u, 1u);
      words[2] = __vadd4(0x01ff0304u, 0x01010101u); words[3] = __vmaxs2(0xffff0001u, 0x00017fffu);
      words[4] = __vabsdiffu4(0x10203040u, 0x20102050u);
      words[5] = __vcmpeq4(0x01020304u, 0x01000300u);
    }"""
    x = np.arange(64, dtype=np.int32)
    sums, ranks, out, words = (
        np.zeros(8, np.int32),
        np.zeros(64, np.int32),
        np.zeros(11, np.int32),
        np.zeros(6, np.uint32),
    )
    run(engine, source, (1,), (64,), [x, sums, ranks, out, words])
    assert sums.tolist() == x.reshape(8, 8).sum(1).tolist()
    threes = [i for i in range(64) if i % 3 == 0]
    first, second = [i for i in threes if i < 32], [i for i in threes if i >= 32]
    expected = np.full(64, -1)
    for group in (first, second):
        expected[group] = [rank * 1000 + len(group) * 10 + (i == group[-1]) for rank, i in enumerate(group)]
    assert ranks.tolist() == expected.tolist()
    assert out.tolist() == [2016, 2, 1, 3, 4, 63, 0, 40, sum(first), 1600, 502]
    assert words.tolist() == [11, 523, 0x02000405, 0x00017FFF, 0x10101010, 0xFF00FF00]


CUB = """
#include <cub/block/block_exchange.cuh>
#include <cub/block/block_load.cuh>
#include <cub/block/block_reduce.cuh>
#include <cub/block/block_scan.cuh>
#include <cub/block/block_shuffle.cuh>
#include <cub/block/block_store.cuh>
#include <cub/warp/warp_reduce.cuh>
#include <cub/warp/warp_scan.cuh>
struct Larger { __device__ int operator()(int a, int b) const { return a > b ? a : b; } };
extern "C" __global__ void k(const int *x, int *out, int *few, int valid) {
  using Load = cub::BlockLoad<int, 96, 4, cub::BLOCK_LOAD_STRIPED>;
  using Exchange = cub::BlockExchange<int, 96, 4>;
  using Reduce = cub::BlockReduce<int, 96>;
  using Scan = cub::BlockScan<int, 96, cub::BLOCK_SCAN_WARP_SCANS>;
  using Shuffle = cub::BlockShuffle<int, 96>;
  using Store = cub::BlockStore<int, 96, 4>;
  __shared__ union {
    typename Load::TempStorage load; typename Exchange::TempStorage exchange; typename Reduce::TempStorage reduce;
    typename Scan::TempStorage scan; typename Shuffle::TempStorage shuffle; typename Store::TempStorage store;
    typename cub::WarpReduce<int>::TempStorage warp[3]; typename cub::WarpScan<int, 8>::TempStorage small[12];
  } temp;
  const int t = threadIdx.x;
  int items[4], next[4], all, one, first;
  Load(temp.load).Load(x, items, valid, -7);  __syncthreads();
  Exchange(temp.exchange).StripedToBlocked(items);  __syncthreads();
  int sum = Reduce(temp.reduce).Sum(items);  __syncthreads();
  int some = Reduce(temp.reduce).Reduce(items[0], Larger(), 40);  __syncthreads();
  Shuffle(temp.shuffle).Down(items, next, first);  __syncthreads();
  Shuffle(temp.shuffle).Rotate(t, one, 95);  __syncthreads();
  int warp = cub::WarpReduce<int>(temp.warp[t / 32]).Reduce(items[1], Larger());  __syncthreads();
  int eight;
  cub::WarpScan<int, 8>(temp.small[t / 8]).ExclusiveSum(1, eight);  __syncthreads();
  Scan(temp.scan).ExclusiveSum(items, items, all);
  if (t == 0) { few[0] = sum; few[1] = some; }
  if (t == 50) { few[2] = next[0]; few[3] = next[3]; few[4] = first; few[5] = one; few[6] = all; few[7] = eight; }
  if (t == 32) few[8] = warp;
  Store(temp.store).Store(out, items, valid);
}"""


def test_cubs_collectives(engine: KernelEngine) -> None:
    x = np.random.default_rng(4).integers(0, 1000, 384).astype(np.int32)
    valid = 380
    held = np.where(np.arange(384) < valid, x, np.int32(-7))
    out, few = np.zeros(384, np.int32), np.zeros(9, np.int32)
    run(engine, CUB, (1,), (96,), [x, out, few, np.int32(valid)])
    scanned = np.concatenate(([0], np.cumsum(held)[:-1]))
    np.testing.assert_array_equal(out[:valid], scanned[:valid])
    assert not out[valid:].any()
    rows = held.reshape(96, 4)
    assert few.tolist() == [
        held.sum(), rows[:40, 0].max(), rows[50, 1], rows[51, 0], held[0], (50 + 95) % 96, held.sum(), 50 % 8, rows[32:64, 1].max()
    ]  # fmt: skip


def test_cub_adds_as_warps_do(engine: KernelEngine) -> None:
    source = """
    #include <cub/block/block_reduce.cuh>
    extern "C" __global__ void k(const float *x, float *out) {
      __shared__ typename cub::BlockReduce<float, 64>::TempStorage temp;
      float sum = cub::BlockReduce<float, 64>(temp).Sum(x[threadIdx.x]);
      if (threadIdx.x == 0) *out = sum;
    }"""
    x, out = np.random.default_rng(2).random(64, dtype=np.float32), np.zeros(1, np.float32)
    run(engine, source, (1,), (64,), [x, out])
    warps = []
    for warp in x.reshape(2, 32):
        values = warp.copy()
        for step in (1, 2, 4, 8, 16):
            values[: 32 - step] = values[: 32 - step] + values[step:]
        warps.append(values[0])
    assert out[0] == np.float32(warps[0] + warps[1])


def test_a_grid_that_waits_for_all_its_blocks(engine: KernelEngine) -> None:
    source = """
    #include <cooperative_groups.h>
    #include <cooperative_groups/memcpy_async.h>
    namespace cg = cooperative_groups;
    extern "C" __global__ void k(const int *x, int *sums, int *out, int n) {
      __shared__ int part[64];
      extern __shared__ int copy[];
      cg::grid_group grid = cg::this_grid();
      cg::thread_block block = cg::this_thread_block();
      int b = grid.block_rank();
      cg::memcpy_async(block, copy, x + b * blockDim.x, sizeof(int) * blockDim.x);
      cg::wait(block);
      part[threadIdx.x] = copy[threadIdx.x];
      grid.sync();  // shared memory survives it
      for (int d = blockDim.x / 2; d; d /= 2) {
        block.sync();
        if (threadIdx.x < d) part[threadIdx.x] += part[threadIdx.x + d];
      }
      if (threadIdx.x == 0) sums[b] = part[0];
      cg::sync(grid);
      if (grid.thread_rank() == grid.size() - 1) {
        out[0] = 0;
        for (int b = 0; b < grid.num_blocks(); b++) out[0] += sums[b];
        out[1] = grid.is_valid();
      }
    }
    extern "C" __global__ void stuck() {
      if (blockIdx.x == 1 && threadIdx.x == 0) __syncwarp(3); else cg::this_grid().sync();
    }"""
    x, sums, out = np.arange(640, dtype=np.int32), np.zeros(10, np.int32), np.zeros(2, np.int32)
    module = engine.module(source)
    function = module.function("k")
    args = [as_bytes(a) for a in (x, sums, out, np.int32(640))]
    function.launch((5, 2), (64,), args, 64 * 4, cooperative=True)
    assert out.tolist() == [640 * 639 // 2, 1] and sums[0] == 64 * 63 // 2
    with pytest.raises(CUDARuntimeError, match="enable_cooperative_groups=True"):
        function.launch((5, 2), (64,), args, 64 * 4)
    with pytest.raises(CUDADriverError, match="COOPERATIVE_LAUNCH_TOO_LARGE"):
        function.launch((1000,), (64,), args, 64 * 4, cooperative=True)
    with pytest.raises(CUDARuntimeError, match=r"barrier divergence in block 1,0,0.*wait for the grid"):
        module.function("stuck").launch((3,), (32,), [], cooperative=True)
