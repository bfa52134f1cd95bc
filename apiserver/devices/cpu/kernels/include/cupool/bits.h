// Bit counting, bit casts, conversions with CUDA's saturation, 24-bit and high products, cached loads.
#pragma once

inline int __popc(unsigned int x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned int)x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned int __brev(unsigned int x) {
  x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
  x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
  x = (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4;
  return __builtin_bswap32(x);
}
inline unsigned long long __brevll(unsigned long long x) {
  return (unsigned long long)__brev((unsigned int)x) << 32 | __brev((unsigned int)(x >> 32));
}
inline unsigned int __byte_perm(unsigned int a, unsigned int b, unsigned int selector) {
  unsigned long long both = (unsigned long long)b << 32 | a;
  unsigned int result = 0;
  for (int i = 0; i < 4; i++) result |= (unsigned int)(both >> (selector >> 4 * i & 7) * 8 & 0xff) << 8 * i;
  return result;
}
inline unsigned int __funnelshift_l(unsigned int low, unsigned int high, unsigned int n) {
  return (unsigned int)(((unsigned long long)high << 32 | low) << (n & 31) >> 32);
}
inline unsigned int __funnelshift_r(unsigned int low, unsigned int high, unsigned int n) {
  return (unsigned int)(((unsigned long long)high << 32 | low) >> (n & 31));
}
inline int mul24(int a, int b) { return (int)((unsigned int)(a << 8 >> 8) * (unsigned int)(b << 8 >> 8)); }
inline int __mul24(int a, int b) { return mul24(a, b); }
inline unsigned int umul24(unsigned int a, unsigned int b) { return (a & 0xffffffu) * (b & 0xffffffu); }
inline unsigned int __umul24(unsigned int a, unsigned int b) { return umul24(a, b); }
inline int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
inline unsigned int __umulhi(unsigned int a, unsigned int b) { return (unsigned int)((unsigned long long)a * b >> 32); }
inline int mulhi(int a, int b) { return __mulhi(a, b); }
inline unsigned int umulhi(unsigned int a, unsigned int b) { return __umulhi(a, b); }
inline long long __mul64hi(long long a, long long b) { return (long long)((__int128)a * b >> 64); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline int __hadd(int a, int b) { return (int)(((long long)a + b) >> 1); }
inline int __rhadd(int a, int b) { return (int)(((long long)a + b + 1) >> 1); }
inline unsigned int __uhadd(unsigned int a, unsigned int b) { return (unsigned int)(((unsigned long long)a + b) >> 1); }
inline unsigned int __sad(int a, int b, unsigned int c) { return c + (unsigned int)(a > b ? (long long)a - b : (long long)b - a); }
inline unsigned int __usad(unsigned int a, unsigned int b, unsigned int c) { return c + (a > b ? a - b : b - a); }

inline int __dp4a(int a, int b, int c) {
  for (int i = 0; i < 32; i += 8) c += (signed char)(a >> i) * (signed char)(b >> i);
  return c;
}
inline unsigned int __dp4a(unsigned int a, unsigned int b, unsigned int c) {
  for (int i = 0; i < 32; i += 8) c += (a >> i & 0xff) * (b >> i & 0xff);
  return c;
}

// Four bytes or two halves of a word at once.
namespace cupool {
inline int part(bool is_signed, int width, unsigned int bits) {
  const unsigned int all = (1u << width) - 1;
  bits &= all;
  return is_signed && bits >> (width - 1) ? (int)bits - (int)(all + 1) : (int)bits;
}
}  // namespace cupool
#define CUPOOL_PARTS(name, width, is_signed, expr)                                                             \
  inline unsigned int name(unsigned int x, unsigned int y) {                                                   \
    unsigned int result = 0;                                                                                   \
    for (int i = 0; i < 32; i += width) {                                                                      \
      const int a = cupool::part(is_signed, width, x >> i), b = cupool::part(is_signed, width, y >> i);        \
      result |= ((unsigned int)(expr) & ((1u << width) - 1)) << i;                                             \
    }                                                                                                          \
    return result;                                                                                             \
  }
#define CUPOOL_BOTH(name, is_signed, expr) \
  CUPOOL_PARTS(name##4, 8, is_signed, expr) CUPOOL_PARTS(name##2, 16, is_signed, expr)
CUPOOL_BOTH(__vadd, false, a + b)
CUPOOL_BOTH(__vsub, false, a - b)
CUPOOL_BOTH(__vabsdiffu, false, a > b ? a - b : b - a)
CUPOOL_BOTH(__vabsdiffs, true, a > b ? a - b : b - a)
CUPOOL_BOTH(__vavgu, false, (a + b + 1) >> 1)
CUPOOL_BOTH(__vmaxu, false, a > b ? a : b)
CUPOOL_BOTH(__vminu, false, a < b ? a : b)
CUPOOL_BOTH(__vmaxs, true, a > b ? a : b)
CUPOOL_BOTH(__vmins, true, a < b ? a : b)
CUPOOL_BOTH(__vcmpeq, false, a == b ? -1 : 0)
CUPOOL_BOTH(__vcmpne, false, a != b ? -1 : 0)
CUPOOL_BOTH(__vcmpgtu, false, a > b ? -1 : 0)
CUPOOL_BOTH(__vcmpgts, true, a > b ? -1 : 0)
CUPOOL_BOTH(__vcmpltu, false, a < b ? -1 : 0)
#undef CUPOOL_BOTH
#undef CUPOOL_PARTS

inline int __float_as_int(float x) { return cupool::bit_cast<int>(x); }
inline unsigned int __float_as_uint(float x) { return cupool::bit_cast<unsigned int>(x); }
inline float __int_as_float(int x) { return cupool::bit_cast<float>(x); }
inline float __uint_as_float(unsigned int x) { return cupool::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return cupool::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return cupool::bit_cast<double>(x); }
inline int __double2hiint(double x) { return (int)(cupool::bit_cast<long long>(x) >> 32); }
inline int __double2loint(double x) { return (int)cupool::bit_cast<long long>(x); }
inline double __hiloint2double(int high, int low) {
  return cupool::bit_cast<double>((unsigned long long)(unsigned int)high << 32 | (unsigned int)low);
}

namespace cupool {
// CUDA's conversions saturate, and turn NaN into 0 (32-bit) or the smallest value (64-bit).
template <class I, class F>
inline I saturated(F x) {
  if (x != x) return sizeof(I) == 8 ? (I)((I)1 << 63) : (I)0;
  if ((double)x <= (double)std::numeric_limits<I>::min()) return std::numeric_limits<I>::min();
  if ((double)x >= (double)std::numeric_limits<I>::max()) return std::numeric_limits<I>::max();
  return (I)x;
}
}  // namespace cupool
#define CUPOOL_CONVERT(from, F, to, I)                                                   \
  inline I __##from##2##to##_rn(F x) { return cupool::saturated<I>(std::rint(x)); }      \
  inline I __##from##2##to##_rz(F x) { return cupool::saturated<I>(std::trunc(x)); }     \
  inline I __##from##2##to##_rd(F x) { return cupool::saturated<I>(std::floor(x)); }     \
  inline I __##from##2##to##_ru(F x) { return cupool::saturated<I>(std::ceil(x)); }
CUPOOL_CONVERT(float, float, int, int)
CUPOOL_CONVERT(float, float, uint, unsigned int)
CUPOOL_CONVERT(float, float, ll, long long)
CUPOOL_CONVERT(float, float, ull, unsigned long long)
CUPOOL_CONVERT(double, double, int, int)
CUPOOL_CONVERT(double, double, uint, unsigned int)
CUPOOL_CONVERT(double, double, ll, long long)
CUPOOL_CONVERT(double, double, ull, unsigned long long)
#undef CUPOOL_CONVERT
inline float __int2float_rn(int x) { return (float)x; }
inline float __uint2float_rn(unsigned int x) { return (float)x; }
inline float __ll2float_rn(long long x) { return (float)x; }
inline float __ull2float_rn(unsigned long long x) { return (float)x; }
inline double __int2double_rn(int x) { return (double)x; }
inline double __uint2double_rn(unsigned int x) { return (double)x; }
inline double __ll2double_rn(long long x) { return (double)x; }
inline double __ull2double_rn(unsigned long long x) { return (double)x; }
inline float __double2float_rn(double x) { return (float)x; }

template <class T> inline T __ldg(const T* p) { return *p; }
template <class T> inline T __ldca(const T* p) { return *p; }
template <class T> inline T __ldcg(const T* p) { return *p; }
template <class T> inline T __ldcs(const T* p) { return *p; }
template <class T> inline T __ldcv(const T* p) { return *(const volatile T*)p; }
template <class T> inline void __stcs(T* p, T v) { *p = v; }
template <class T> inline void __stcg(T* p, T v) { *p = v; }
template <class T> inline void __stwb(T* p, T v) { *p = v; }
