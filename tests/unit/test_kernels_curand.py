"""`#include <curand_kernel.h>` on the CPU device gives what NVIDIA's own headers give."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import curand
import numpy as np
import pytest
from cupool.apiserver.devices.cpu.kernels.compiler import INCLUDE, Compiler
from cupool.apiserver.devices.cpu.kernels.engine import KernelEngine

from cupool.contract.errors import CompileException, CUDARuntimeError

SIZES = f"#define U {curand.INTEGERS}\n#define F {curand.FLOATS}\n#define D {curand.DOUBLES}\n"
SOURCE = (
    "#include <curand_kernel.h>\n"
    + SIZES
    + curand.PROGRAM
    + """
extern "C" __global__ void draw_each(const unsigned long long *cases, unsigned *u, float *f, double *d) {
  const unsigned long long *c = cases + 4 * threadIdx.x;
  draw((int)c[0], c[1], c[2], c[3], u + U * threadIdx.x, f + F * threadIdx.x, d + D * threadIdx.x);
}
extern "C" __global__ void sizes(int *out) {
  out[0] = sizeof(curandState); out[1] = sizeof(curandStatePhilox4_32_10_t); out[2] = sizeof(curandStateMRG32k3a_t);
  out[3] = alignof(curandStatePhilox4_32_10_t); out[4] = sizeof(curandStateXORWOW_t) == sizeof(curandState_t);
}
extern "C" __global__ void poisson(double mean, unsigned *out) {
  curandState s;
  curand_init(1, threadIdx.x, 0, &s);
  out[threadIdx.x] = curand_poisson(&s, mean);
}
extern "C" __global__ void far(unsigned *out) {
  curandStateMRG32k3a s;
  curand_init(1, 1ull << 51, 0, &s);
  *out = curand(&s);
}
"""
)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    engine = KernelEngine(Compiler(tmp_path_factory.mktemp("kernels")))
    if engine.probe():
        pytest.skip(engine.probe())
    module = engine.module(SOURCE)

    def launch(name: str, threads: int, *args: Any) -> None:
        packed = [
            int(a.ctypes.data).to_bytes(8, "little") if isinstance(a, np.ndarray) else bytes(a.tobytes()) for a in args
        ]
        module.function(name).launch((1,), (threads,), packed, 0)

    launch.engine = engine  # type: ignore[attr-defined]
    yield launch


def test_every_number_is_what_nvidias_headers_give(kernels: Any) -> None:
    cases = np.array(curand.cases(), np.uint64)
    n = len(cases)
    u, f, d = (
        np.zeros((n, curand.INTEGERS), np.uint32),
        np.zeros((n, curand.FLOATS), np.float32),
        np.zeros((n, curand.DOUBLES)),
    )
    kernels("draw_each", n, cases, u, f, d)
    rows = curand.golden()
    ends = curand.INTEGERS, curand.INTEGERS + curand.FLOATS
    expected_u = np.array([row[: ends[0]] for row in rows], np.uint32)
    expected_f = np.array([row[ends[0] : ends[1]] for row in rows], np.uint32).view(np.float32)
    expected_d = np.array([row[ends[1] :] for row in rows], np.uint64).view(np.float64)
    np.testing.assert_array_equal(u, expected_u)
    for got, expected in ((f[:, :3], expected_f[:, :3]), (d[:, :3], expected_d[:, :3])):
        np.testing.assert_array_equal(got.view(np.uint8), np.ascontiguousarray(expected).view(np.uint8))
    # Another C library's logarithms and sines may end in other digits.
    np.testing.assert_allclose(f, expected_f, rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(d, expected_d, rtol=1e-14, atol=1e-15)


def test_philox_is_random123s() -> None:
    """Its published first vector: counter and key of zeros."""
    row = next(r for case, r in zip(curand.cases(), curand.golden(), strict=True) if case == (1, 0, 0, 0))
    assert row[:4] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


def test_the_jumps_of_xorwow_are_powers_of_its_step() -> None:
    text = (INCLUDE / "cupool" / "xorwow.h").read_text().partition("= {")[2]
    words = [int(word, 16) for word in re.findall(r"0x[0-9a-f]{8}", text)]
    rows = [sum(word << 32 * i for i, word in enumerate(words[k : k + 5])) for k in range(0, len(words), 5)]
    assert rows == curand.xorwow_jumps()


def test_states_have_the_size_that_they_have_on_a_gpu(kernels: Any) -> None:
    out = np.zeros(5, np.int32)
    kernels("sizes", 1, out)
    assert out.tolist() == [48, 64, 48, 16, 1]


def test_the_headers_of_a_toolkit_on_the_programs_machine_are_not_read(kernels: Any) -> None:
    """They lie along its -I, and are for another compiler."""
    source = '#include <curand_kernel.h>\n#include "mine.h"\nextern "C" __global__ void k(int *x) { *x = MINE; }'
    headers = {
        "curand_kernel.h": "#error theirs\n#include <nv/target>\n",
        "nv/target": "#error theirs too\n",
        "mine.h": "#include <curand_kernel.h>\n#include <deep/more.h>\n",
        "deep/more.h": "#define MINE 5\n",
    }
    out = np.zeros(1, np.int32)
    function = kernels.engine.module(source, headers=headers).function("k")
    function.launch((1,), (1,), [int(out.ctypes.data).to_bytes(8, "little")], 0)
    assert out[0] == 5


def test_what_cannot_be_the_same_is_refused_by_name(kernels: Any, tmp_path: Path) -> None:
    out = np.zeros(4, np.uint32)
    for mean in (0.0, 63.9, 4000.1):
        kernels("poisson", 4, np.float64(mean), out)
    for mean in (64.0, 500.0, 4000.0, np.nan):
        with pytest.raises(CUDARuntimeError, match="a mean of 64 to 4000 is not on the CPU device"):
            kernels("poisson", 4, np.float64(mean), out)
    with pytest.raises(CUDARuntimeError, match=r"2\^51 subsequences"):
        kernels("far", 1, out)
    source = '#include <curand_kernel.h>\nextern "C" __global__ void k(curandStateSobol32_t *s) {}'
    with pytest.raises(CompileException, match=r"curandStateSobol32_t.*is unavailable: it is not on the CPU device"):
        kernels.engine.module(source).function("k")
