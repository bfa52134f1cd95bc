// cuRAND's device interface for the generators XORWOW, Philox4x32-10 and MRG32k3a. What curand_init makes of seed, subsequence and
// offset, and hence every integer and every uniform number, is what it is on a GPU, bit for bit. Normal, log-normal and Poisson numbers
// are drawn from the same integers by the same formulas; the host's logarithms, sines and exponentials may differ in last digits.
// Not here: the quasi-random generators, MTGP32, and tables of distributions (curand_discrete). A use of theirs is an error that names it.
#pragma once
#include <cupool/xorwow.h>

struct curandStateXORWOW {
  unsigned int d, v[5];
  int boxmuller_flag, boxmuller_flag_double;
  float boxmuller_extra;
  double boxmuller_extra_double;
};
struct curandStatePhilox4_32_10 {
  uint4 ctr, output;
  uint2 key;
  unsigned int STATE;
  int boxmuller_flag, boxmuller_flag_double;
  float boxmuller_extra;
  double boxmuller_extra_double;
};
struct curandStateMRG32k3a {
  unsigned int s1[3], s2[3];
  int boxmuller_flag, boxmuller_flag_double;
  float boxmuller_extra;
  double boxmuller_extra_double;
};
typedef curandStateXORWOW curandStateXORWOW_t;
typedef curandStateXORWOW curandState_t;
typedef curandStateXORWOW curandState;
typedef curandStatePhilox4_32_10 curandStatePhilox4_32_10_t;
typedef curandStateMRG32k3a curandStateMRG32k3a_t;

#define CUPOOL_UNAVAILABLE(name)                                                                                     \
  typedef struct CupoolNoGenerator name __attribute__((                                                                \
      unavailable("it is not on the CPU device, which has cuRAND's XORWOW, Philox4_32_10 and MRG32k3a")));             \
  typedef struct CupoolNoGenerator name##_t __attribute__((                                                            \
      unavailable("it is not on the CPU device, which has cuRAND's XORWOW, Philox4_32_10 and MRG32k3a")))
CUPOOL_UNAVAILABLE(curandStateSobol32);
CUPOOL_UNAVAILABLE(curandStateScrambledSobol32);
CUPOOL_UNAVAILABLE(curandStateSobol64);
CUPOOL_UNAVAILABLE(curandStateScrambledSobol64);
CUPOOL_UNAVAILABLE(curandStateMtgp32);
CUPOOL_UNAVAILABLE(curandDiscreteDistribution);
#undef CUPOOL_UNAVAILABLE

namespace cupool {
template <class S>
inline void forget_normals(S* s) {
  s->boxmuller_flag = s->boxmuller_flag_double = 0;
  s->boxmuller_extra = 0;
  s->boxmuller_extra_double = 0;
}

// -- XORWOW -----------------------------------------------------------------------------------------------------------

inline void xorwow_step(unsigned int* v) {
  const unsigned int t = v[0] ^ v[0] >> 2;
  v[0] = v[1];
  v[1] = v[2];
  v[2] = v[3];
  v[3] = v[4];
  v[4] = v[4] ^ v[4] << 4 ^ t ^ t << 1;
}

// n * 2^log2 steps.
inline void xorwow_jump(unsigned int* v, unsigned long long n, int log2) {
  for (; n; n >>= 1, log2++) {
    if (!(n & 1)) continue;
    unsigned int sum[5] = {0, 0, 0, 0, 0};
    for (int i = 0; i < 160; i++) {
      if (xorwow_jumps[log2][i / 32] >> i % 32 & 1)
        for (int k = 0; k < 5; k++) sum[k] ^= v[k];
      xorwow_step(v);
    }
    for (int k = 0; k < 5; k++) v[k] = sum[k];
  }
}

// -- Philox -----------------------------------------------------------------------------------------------------------

inline uint4 philox(uint4 c, uint2 k) {
  for (int round = 0; round < 10; round++, k.x += 0x9e3779b9u, k.y += 0xbb67ae85u) {
    const unsigned long long a = 0xd2511f53ull * c.x, b = 0xcd9e8d57ull * c.z;
    c = make_uint4((unsigned int)(b >> 32) ^ c.y ^ k.x, (unsigned int)b, (unsigned int)(a >> 32) ^ c.w ^ k.y, (unsigned int)a);
  }
  return c;
}

inline void philox_next(curandStatePhilox4_32_10* s) {
  if (!++s->ctr.x && !++s->ctr.y && !++s->ctr.z) ++s->ctr.w;
  s->output = philox(s->ctr, s->key);
}

// -- MRG32k3a ---------------------------------------------------------------------------------------------------------

constexpr unsigned long long mrg_m1 = 4294967087ull, mrg_m2 = 4294944443ull;

struct MrgMatrix {
  unsigned int at[3][3];
};
// Row k: the matrix of 2^(k + first) steps.
struct MrgPowers {
  MrgMatrix rows[64];
};

constexpr MrgMatrix mrg_square(const MrgMatrix& a, unsigned long long m) {
  MrgMatrix r = {};
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) {
      unsigned long long sum = 0;
      for (int k = 0; k < 3; k++) sum = (sum + (unsigned long long)a.at[i][k] * a.at[k][j] % m) % m;
      r.at[i][j] = (unsigned int)sum;
    }
  return r;
}

constexpr MrgPowers mrg_powers(MrgMatrix a, unsigned long long m, int first) {
  MrgPowers p = {};
  for (int k = 0; k < first; k++) a = mrg_square(a, m);
  for (int k = 0; k < 64; k++, a = mrg_square(a, m)) p.rows[k] = a;
  return p;
}

constexpr MrgMatrix mrg_a1 = {{{0, 1, 0}, {0, 0, 1}, {(unsigned int)(mrg_m1 - 810728), 1403580, 0}}};
constexpr MrgMatrix mrg_a2 = {{{0, 1, 0}, {0, 0, 1}, {(unsigned int)(mrg_m2 - 1370589), 0, 527612}}};

template <int first>
inline void mrg_jump(curandStateMRG32k3a* s, unsigned long long n) {
  static constexpr MrgPowers one = mrg_powers(mrg_a1, mrg_m1, first), two = mrg_powers(mrg_a2, mrg_m2, first);
  const auto multiply = [](const MrgMatrix& a, unsigned int* v, unsigned long long m) {
    unsigned long long sum[3] = {0, 0, 0};
    for (int i = 0; i < 3; i++)
      for (int k = 0; k < 3; k++) sum[i] = (sum[i] + (unsigned long long)a.at[i][k] * v[k] % m) % m;
    for (int i = 0; i < 3; i++) v[i] = (unsigned int)sum[i];
  };
  for (int k = 0; n; n >>= 1, k++) {
    if (!(n & 1)) continue;
    multiply(one.rows[k], s->s1, mrg_m1);
    multiply(two.rows[k], s->s2, mrg_m2);
  }
}

// 1 .. m1
inline double mrg_next(curandStateMRG32k3a* s) {
  const unsigned long long p1 = (1403580ull * s->s1[1] + 810728ull * (mrg_m1 - s->s1[0])) % mrg_m1;
  const unsigned long long p2 = (527612ull * s->s2[2] + 1370589ull * (mrg_m2 - s->s2[0])) % mrg_m2;
  s->s1[0] = s->s1[1], s->s1[1] = s->s1[2], s->s1[2] = (unsigned int)p1;
  s->s2[0] = s->s2[1], s->s2[1] = s->s2[2], s->s2[2] = (unsigned int)p2;
  return (double)(p1 > p2 ? p1 - p2 : p1 + mrg_m1 - p2);
}
}  // namespace cupool

// -- seeding and skipping ---------------------------------------------------------------------------------------------

inline void skipahead(unsigned long long n, curandStateXORWOW* s) {
  cupool::xorwow_jump(s->v, n, 0);
  s->d += 362437u * (unsigned int)n;
}
inline void skipahead_sequence(unsigned long long n, curandStateXORWOW* s) { cupool::xorwow_jump(s->v, n, 67); }
inline void curand_init(unsigned long long seed, unsigned long long subsequence, unsigned long long offset, curandStateXORWOW* s) {
  const unsigned int a = 1099087573u * ((unsigned int)seed ^ 0xaad26b49u);
  const unsigned int b = 2591861531u * ((unsigned int)(seed >> 32) ^ 0xf7dcefddu);
  s->d = 6615241u + a + b;
  s->v[0] = 123456789u + a;
  s->v[1] = 362436069u ^ a;
  s->v[2] = 521288629u + b;
  s->v[3] = 88675123u ^ b;
  s->v[4] = 5783321u + a;
  skipahead_sequence(subsequence, s);
  skipahead(offset, s);
  cupool::forget_normals(s);
}

inline void skipahead(unsigned long long n, curandStatePhilox4_32_10* s) {
  s->STATE += (unsigned int)(n & 3);
  n = (n >> 2) + (s->STATE >> 2);
  s->STATE &= 3;
  const unsigned int low = (unsigned int)n;
  unsigned int high = (unsigned int)(n >> 32);
  s->ctr.x += low;
  high += s->ctr.x < low;
  s->ctr.y += high;
  if (s->ctr.y < high && !++s->ctr.z) ++s->ctr.w;
  s->output = cupool::philox(s->ctr, s->key);
}
inline void skipahead_sequence(unsigned long long n, curandStatePhilox4_32_10* s) {
  s->ctr.z += (unsigned int)n;
  s->ctr.w += (unsigned int)(n >> 32) + (s->ctr.z < (unsigned int)n);
  s->output = cupool::philox(s->ctr, s->key);
}
inline void curand_init(unsigned long long seed, unsigned long long subsequence, unsigned long long offset, curandStatePhilox4_32_10* s) {
  s->ctr = make_uint4(0, 0, 0, 0);
  s->key = make_uint2((unsigned int)seed, (unsigned int)(seed >> 32));
  s->STATE = 0;
  skipahead_sequence(subsequence, s);
  skipahead(offset, s);
  cupool::forget_normals(s);
}

inline void skipahead(unsigned long long n, curandStateMRG32k3a* s) { cupool::mrg_jump<0>(s, n); }
inline void skipahead_subsequence(unsigned long long n, curandStateMRG32k3a* s) {
  if (n >> 51) cupool::trap("an MRG32k3a sequence has 2^51 subsequences, and one beyond them was asked for", "curand_kernel.h", 0);
  cupool::mrg_jump<76>(s, n);
}
inline void skipahead_sequence(unsigned long long n, curandStateMRG32k3a* s) { cupool::mrg_jump<127>(s, n); }
inline void curand_init(unsigned long long seed, unsigned long long subsequence, unsigned long long offset, curandStateMRG32k3a* s) {
  for (int i = 0; i < 3; i++) {
    const unsigned long long odd = (unsigned int)(seed >> 32) ^ 0xaaaaaaaau, even = (unsigned int)seed ^ 0x55555555u;
    s->s1[i] = seed ? (unsigned int)((i == 1 ? odd : even) * 12345 % cupool::mrg_m1) : 12345;
    s->s2[i] = seed ? (unsigned int)((i == 1 ? even : odd) * 12345 % cupool::mrg_m2) : 12345;
  }
  skipahead_subsequence(subsequence, s);
  skipahead(offset, s);
  cupool::forget_normals(s);
}

// -- integers ---------------------------------------------------------------------------------------------------------

inline unsigned int curand(curandStateXORWOW* s) {
  cupool::xorwow_step(s->v);
  return s->v[4] + (s->d += 362437u);
}
inline unsigned int curand(curandStatePhilox4_32_10* s) {
  const unsigned int at = s->STATE, r = at == 0 ? s->output.x : at == 1 ? s->output.y : at == 2 ? s->output.z : s->output.w;
  s->STATE = (at + 1) & 3;
  if (!s->STATE) cupool::philox_next(s);
  return r;
}
inline uint4 curand4(curandStatePhilox4_32_10* s) {
  const uint4 a = s->output;
  cupool::philox_next(s);
  const uint4 b = s->output;
  switch (s->STATE) {
    case 1: return make_uint4(a.y, a.z, a.w, b.x);
    case 2: return make_uint4(a.z, a.w, b.x, b.y);
    case 3: return make_uint4(a.w, b.x, b.y, b.z);
    default: return a;
  }
}
inline unsigned int curand(curandStateMRG32k3a* s) {
  const double x = cupool::mrg_next(s) * 1.000000048662;
  return x >= 4294967295. ? 0xffffffffu : (unsigned int)x;
}

// -- numbers ----------------------------------------------------------------------------------------------------------

namespace cupool {
constexpr int NORMAL = 1, LOG_NORMAL = 2;

// (0, 1]
inline float unit(unsigned int x) { return x * 0x1p-32f + 0x1p-33f; }
inline double unit(unsigned int x, unsigned int y) {
  return (x ^ (unsigned long long)y << 21) * 0x1p-53 + 0x1p-54;
}

inline float2 normals(float u, float angle) {
  const float r = ::sqrtf(-2.0f * ::logf(u));
  return make_float2(r * ::sinf(angle), r * ::cosf(angle));
}
inline float2 normals(unsigned int x, unsigned int y) {
  constexpr float turn = 0x1p-32f * 6.2831855f;
  return normals(unit(x), y * turn + turn / 2);
}
// angle: in half turns
inline double2 normals_double(double u, double angle) {
  const double r = ::sqrt(-2.0 * ::log(u));
  return make_double2(r * ::sin(angle * 3.1415926535897932), r * ::cos(angle * 3.1415926535897932));
}
inline double2 normals_double(uint4 x) { return normals_double(unit(x.x, x.y), 2 * unit(x.z, x.w)); }

template <class S>
inline float2 normals(S* s) {
  const unsigned int x = curand(s);
  return normals(x, curand(s));
}
inline float2 normals(curandStateMRG32k3a* s) {
  const float x = (float)(mrg_next(s) * 2.3283065498378288e-10);
  return normals(x, (float)(mrg_next(s) * 2.3283065498378288e-10) * 6.2831855f);
}
inline double2 normals_double(curandStateXORWOW* s) {
  uint4 x;
  x.x = curand(s);
  x.y = curand(s);
  x.z = curand(s);
  x.w = curand(s);
  return normals_double(x);
}
inline double2 normals_double(curandStatePhilox4_32_10* s) { return normals_double(curand4(s)); }
inline double2 normals_double(curandStateMRG32k3a* s) {
  const double x = mrg_next(s) * 2.3283065498378288e-10;
  return normals_double(x, mrg_next(s) * 2.3283065498378288e-10 * 2.0);
}

// The second of a pair is kept in the state for the next call of the same kind.
template <class S, class Map>
inline float one_of_two(S* s, int kind, Map map) {
  if (s->boxmuller_flag == kind) {
    s->boxmuller_flag = 0;
    return s->boxmuller_extra;
  }
  const float2 v = normals(s);
  s->boxmuller_extra = map(v.y);
  s->boxmuller_flag = kind;
  return map(v.x);
}
template <class S, class Map>
inline double one_of_two_double(S* s, int kind, Map map) {
  if (s->boxmuller_flag_double == kind) {
    s->boxmuller_flag_double = 0;
    return s->boxmuller_extra_double;
  }
  const double2 v = normals_double(s);
  s->boxmuller_extra_double = map(v.y);
  s->boxmuller_flag_double = kind;
  return map(v.x);
}

template <class S>
inline float uniform(S* s) { return unit(curand(s)); }
inline float uniform(curandStateMRG32k3a* s) { return (float)(mrg_next(s) * 2.3283065498378288e-10); }

template <class S>
inline unsigned int poisson_small(S* s, float lambda) {
  unsigned int k = 0;
  for (float p = ::expf(lambda) * uniform(s); p > 1.0f; p *= uniform(s)) k++;
  return k;
}
// Between, cuRAND rejects by approximations of the GPU's own: other machines draw other numbers.
inline void check_poisson(double lambda) {
  if (!(lambda < 64) && !(lambda > 4000))
    trap("curand_poisson with a mean of 64 to 4000 is not on the CPU device: a GPU draws it by instructions that only it has", "curand_kernel.h", 0);
}
inline unsigned int poisson_large(double lambda, double normal) { return (unsigned int)(::sqrt(lambda) * normal + lambda + 0.5); }
}  // namespace cupool

template <class S>
inline float curand_uniform(S* s) { return cupool::uniform(s); }
inline double curand_uniform_double(curandStateXORWOW* s) {
  const unsigned int x = curand(s);
  return cupool::unit(x, curand(s));
}
inline double curand_uniform_double(curandStatePhilox4_32_10* s) { return curand(s) * 0x1p-32 + 0x1p-32; }
inline double curand_uniform_double(curandStateMRG32k3a* s) { return cupool::mrg_next(s) * 2.3283065498378288e-10; }

template <class S>
inline float curand_normal(S* s) {
  return cupool::one_of_two(s, cupool::NORMAL, [](float x) { return x; });
}
template <class S>
inline double curand_normal_double(S* s) {
  return cupool::one_of_two_double(s, cupool::NORMAL, [](double x) { return x; });
}
template <class S>
inline float curand_log_normal(S* s, float mean, float stddev) {
  return cupool::one_of_two(s, cupool::LOG_NORMAL, [=](float x) { return ::expf(mean + stddev * x); });
}
template <class S>
inline double curand_log_normal_double(S* s, double mean, double stddev) {
  return cupool::one_of_two_double(s, cupool::LOG_NORMAL, [=](double x) { return ::exp(mean + stddev * x); });
}
template <class S>
inline float2 curand_normal2(S* s) { return cupool::normals(s); }
template <class S>
inline double2 curand_normal2_double(S* s) { return cupool::normals_double(s); }
template <class S>
inline float2 curand_log_normal2(S* s, float mean, float stddev) {
  const float2 v = cupool::normals(s);
  return make_float2(::expf(mean + stddev * v.x), ::expf(mean + stddev * v.y));
}
template <class S>
inline double2 curand_log_normal2_double(S* s, double mean, double stddev) {
  const double2 v = cupool::normals_double(s);
  return make_double2(::exp(mean + stddev * v.x), ::exp(mean + stddev * v.y));
}
template <class S>
inline unsigned int curand_poisson(S* s, double lambda) {
  cupool::check_poisson(lambda);
  if (lambda < 64) return cupool::poisson_small(s, (float)lambda);
  return cupool::poisson_large(lambda, curand_normal_double(s));
}

// Four at a time: Philox alone.
inline float4 curand_uniform4(curandStatePhilox4_32_10* s) {
  const uint4 x = curand4(s);
  return make_float4(cupool::unit(x.x), cupool::unit(x.y), cupool::unit(x.z), cupool::unit(x.w));
}
inline double2 curand_uniform2_double(curandStatePhilox4_32_10* s) {
  const uint4 x = curand4(s);
  return make_double2(cupool::unit(x.x, x.y), cupool::unit(x.z, x.w));
}
inline double4 curand_uniform4_double(curandStatePhilox4_32_10* s) {
  const double2 a = curand_uniform2_double(s), b = curand_uniform2_double(s);
  return make_double4(a.x, a.y, b.x, b.y);
}
inline float4 curand_normal4(curandStatePhilox4_32_10* s) {
  const uint4 x = curand4(s);
  const float2 a = cupool::normals(x.x, x.y), b = cupool::normals(x.z, x.w);
  return make_float4(a.x, a.y, b.x, b.y);
}
inline double4 curand_normal4_double(curandStatePhilox4_32_10* s) {
  const double2 a = cupool::normals_double(s), b = cupool::normals_double(s);
  return make_double4(a.x, a.y, b.x, b.y);
}
inline float4 curand_log_normal4(curandStatePhilox4_32_10* s, float mean, float stddev) {
  const float4 v = curand_normal4(s);
  const auto map = [=](float x) { return ::expf(mean + stddev * x); };
  return make_float4(map(v.x), map(v.y), map(v.z), map(v.w));
}
inline double4 curand_log_normal4_double(curandStatePhilox4_32_10* s, double mean, double stddev) {
  const double4 v = curand_normal4_double(s);
  const auto map = [=](double x) { return ::exp(mean + stddev * x); };
  return make_double4(map(v.x), map(v.y), map(v.z), map(v.w));
}
inline uint4 curand_poisson4(curandStatePhilox4_32_10* s, double lambda) {
  cupool::check_poisson(lambda);
  uint4 k;
  if (lambda < 64) {
    k.x = cupool::poisson_small(s, (float)lambda);
    k.y = cupool::poisson_small(s, (float)lambda);
    k.z = cupool::poisson_small(s, (float)lambda);
    k.w = cupool::poisson_small(s, (float)lambda);
  } else {
    const double4 v = curand_normal4_double(s);
    k = make_uint4(cupool::poisson_large(lambda, v.x), cupool::poisson_large(lambda, v.y), cupool::poisson_large(lambda, v.z),
                   cupool::poisson_large(lambda, v.w));
  }
  return k;
}
