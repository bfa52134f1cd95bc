"""What cuRAND's device generators give, by NVIDIA's own headers: `curand.json`, and how it was made.

    python tests/support/curand.py CUDA_INCLUDE CURAND_INCLUDE

compiles `PROGRAM` for the host with the headers of an installed CUDA toolkit (13.0) and cuRAND (10.4), whose code is the same for host
and device but for the functions that `docs/kernels.md` names, runs it, and writes the file.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).with_suffix(".json")
GENERATORS = ("XORWOW", "Philox4_32_10", "MRG32k3a")
SEEDS = (42, 0x123456789ABCDEF0)
SUBSEQUENCES = (0, 5, 1_000_003, 0x0003_FFFF_FFFF_FFFF)
OFFSETS = (0, 7, 0x8000_0000_0000_0001)
#: Integers, floats, doubles that one call of `draw` writes.
INTEGERS, FLOATS, DOUBLES = 32, 24, 24

#: Templates of one state type; both compilers read them.
PROGRAM = """
template <class S>
inline __device__ void draw_all(unsigned long long seed, unsigned long long subsequence, unsigned long long offset, S *s, unsigned *u,
                                float *f, double *d) {
  curand_init(seed, subsequence, offset, s);
  for (int i = 0; i < 6; i++) *u++ = curand(s);
  for (int i = 0; i < 3; i++) *f++ = curand_uniform(s);
  for (int i = 0; i < 3; i++) *d++ = curand_uniform_double(s);
  for (int i = 0; i < 3; i++) *f++ = curand_normal(s);
  for (int i = 0; i < 3; i++) *d++ = curand_normal_double(s);
  for (int i = 0; i < 3; i++) *f++ = curand_log_normal(s, 0.5f, 0.25f);
  for (int i = 0; i < 3; i++) *d++ = curand_log_normal_double(s, 0.5, 0.25);
  float2 p = curand_normal2(s);
  *f++ = p.x; *f++ = p.y;
  p = curand_log_normal2(s, -0.5f, 2.0f);
  *f++ = p.x; *f++ = p.y;
  double2 q = curand_normal2_double(s);
  *d++ = q.x; *d++ = q.y;
  q = curand_log_normal2_double(s, -0.5, 2.0);
  *d++ = q.x; *d++ = q.y;
  for (int i = 0; i < 3; i++) *u++ = curand_poisson(s, 0.25 + 20 * i);
  for (int i = 0; i < 3; i++) *u++ = curand_poisson(s, 4321.5);
  *u++ = curand(s);
  skipahead(1000003, s);
  *u++ = curand(s);
  skipahead_sequence(3, s);
  *u++ = curand(s);
}
inline __device__ void four(curandStatePhilox4_32_10_t *s, unsigned *u, float *f, double *d) {
  const float4 a = curand_uniform4(s), b = curand_normal4(s);
  const double2 c = curand_uniform2_double(s);
  *f++ = a.x; *f++ = a.y; *f++ = a.z; *f++ = a.w; *f++ = b.x; *f++ = b.y; *f++ = b.z; *f++ = b.w;
  *d++ = c.x; *d++ = c.y;
  for (int i = 0; i < 4; i++) {
    const uint4 x = curand4(s);
    *u++ = x.x; *u++ = x.y; *u++ = x.z; *u++ = x.w ^ curand(s);
  }
  const uint4 k = curand_poisson4(s, 7.0);
  *u++ = k.x ^ k.y << 8 ^ k.z << 16 ^ k.w << 24;
}
inline __device__ void draw(int which, unsigned long long seed, unsigned long long subsequence, unsigned long long offset, unsigned *u,
                            float *f, double *d) {
  if (which == 0) { curandStateXORWOW_t s; draw_all(seed, subsequence, offset, &s, u, f, d); }
  if (which == 1) { curandStatePhilox4_32_10_t s; draw_all(seed, subsequence, offset, &s, u, f, d); four(&s, u + 15, f + 13, d + 13); }
  if (which == 2) { curandStateMRG32k3a_t s; draw_all(seed, subsequence, offset, &s, u, f, d); }
}
"""

_HOST = (
    """
#include <cstdio>
#include <cstring>
#include <cmath>
#include <cuda_runtime.h>
#undef __device__
#define __device__
#undef __constant__
#define __constant__
#define QUALIFIERS static inline
#include <curand_kernel.h>
"""
    + PROGRAM
    + f"""
int main() {{
  int which;
  unsigned long long a, b, c;
  while (scanf("%d %llu %llu %llu", &which, &a, &b, &c) == 4) {{
    unsigned u[{INTEGERS}] = {{}};
    float f[{FLOATS}] = {{}};
    double d[{DOUBLES}] = {{}};
    draw(which, a, b, c, u, f, d);
    for (unsigned x : u) printf("%u ", x);
    for (float x : f) {{ unsigned w; memcpy(&w, &x, 4); printf("%u ", w); }}
    for (double x : d) {{ unsigned long long w; memcpy(&w, &x, 8); printf("%llu ", w); }}
    printf("\\n");
  }}
}}
"""
)


def cases() -> list[tuple[int, int, int, int]]:
    """(generator, seed, subsequence, offset) of every row of the file."""
    places = [(0, 0, 0), *itertools.product(SEEDS, SUBSEQUENCES, OFFSETS)]
    return [(which, *place) for which in range(len(GENERATORS)) for place in places]


def golden() -> list[list[int]]:
    """Per case: the integers, and the bits of floats and of doubles."""
    rows: list[list[int]] = json.loads(GOLDEN.read_text())
    return rows


def xorwow_jumps() -> list[int]:
    """x^(2^k) modulo the characteristic polynomial of XORWOW's five words, for k from 0 to 130; bit i: the coefficient of x^i."""
    word = 0xFFFFFFFF
    v, bits = [1, 2, 3, 4, 5], []
    for _ in range(400):
        t = v[0] ^ v[0] >> 2
        v = [*v[1:], (v[4] ^ v[4] << 4 ^ t ^ t << 1) & word]
        bits.append(v[4] & 1)
    characteristic = _recurrence(bits)
    powers = [2]
    while len(powers) < 131:
        square = sum(1 << 2 * i for i in range(powers[-1].bit_length()) if powers[-1] >> i & 1)
        while square.bit_length() > 160:
            square ^= characteristic << (square.bit_length() - 161)
        powers.append(square)
    return powers


def _recurrence(bits: list[int]) -> int:
    """Of a sequence of bits, by Berlekamp and Massey; of degree 160."""
    shortest, before, length, shift = 1, 1, 0, 1
    for n in range(len(bits)):
        wrong = sum((shortest >> i & 1) & bits[n - i] for i in range(length + 1)) & 1
        if not wrong:
            shift += 1
            continue
        kept = shortest
        shortest ^= before << shift
        if 2 * length <= n:
            length, before, shift = n + 1 - length, kept, 1
        else:
            shift += 1
    assert length == 160
    return sum(1 << (160 - i) for i in range(161) if shortest >> i & 1)


def main(cuda: str, curand: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "draw.cc"), Path(folder, "draw")
        source.write_text(_HOST)
        subprocess.run(
            ["g++", "-w", "-std=c++17", "-O1", "-ffp-contract=off", "-I", curand, "-I", cuda, "-o", program, source],
            check=True,
        )
        asked = "\n".join(" ".join(map(str, case)) for case in cases())
        done: Any = subprocess.run([program], input=asked, capture_output=True, text=True, check=True)
    lines = [json.dumps(list(map(int, line.split())), separators=(",", ":")) for line in done.stdout.splitlines()]
    GOLDEN.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
