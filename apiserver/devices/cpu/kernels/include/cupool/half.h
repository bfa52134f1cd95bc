// 16-bit floats. CuPy's float16 and bfloat16 become float as soon as they are computed with; CUDA's __half and __nv_bfloat16 have
// operators of their own, which round after each one.
#pragma once

namespace cupool {
template <class To, class From>
inline To bit_cast(const From& from) {
  static_assert(sizeof(To) == sizeof(From), "bit_cast of different sizes");
  To to;
  __builtin_memcpy(&to, &from, sizeof(to));
  return to;
}

// Round to nearest even in integer arithmetic: the same on every host, with or without _Float16.
inline unsigned short float_to_half_bits(float value) {
  unsigned int f = bit_cast<unsigned int>(value);
  unsigned int sign = (f >> 16) & 0x8000u;
  f &= 0x7fffffffu;
  if (f >= 0x7f800000u) return (unsigned short)(sign | 0x7c00u | (f > 0x7f800000u ? 0x200u | ((f >> 13) & 0x3ffu) : 0));
  if (f >= 0x477ff000u) return (unsigned short)(sign | 0x7c00u);
  if (f < 0x38800000u) {  // subnormal or zero: let float addition round
    float magic = bit_cast<float>(f) + 0.5f;
    return (unsigned short)(sign | (bit_cast<unsigned int>(magic) - 0x3f000000u));
  }
  unsigned int odd = (f >> 13) & 1u;
  f += 0xc8000fffu + odd;
  return (unsigned short)(sign | (f >> 13));
}

// Directly from double, so that a value is rounded once: round to odd in float first.
inline float double_to_float_odd(double value) {
  float f = (float)value;
  if ((double)f == value || f != f) return f;
  unsigned int bits = bit_cast<unsigned int>(f);
  if ((bits & 1u) == 0) {
    bool up = ((double)f > value) != (value < 0);
    bits += up ? -1 : 1;
  }
  return bit_cast<float>(bits);
}

inline float half_bits_to_float(unsigned short h) {
  unsigned int sign = (h & 0x8000u) << 16, rest = h & 0x7fffu;
  if (rest >= 0x7c00u) return bit_cast<float>(sign | 0x7f800000u | ((rest & 0x3ffu) << 13));
  if (rest < 0x400u) {
    float f = (float)rest * 5.9604644775390625e-08f;
    return sign ? -f : f;
  }
  return bit_cast<float>(sign | ((rest << 13) + 0x38000000u));
}

inline unsigned short float_to_bfloat_bits(float value) {
  unsigned int f = bit_cast<unsigned int>(value);
  if ((f & 0x7fffffffu) > 0x7f800000u) return (unsigned short)((f >> 16) | 0x40u);
  return (unsigned short)((f + 0x7fffu + ((f >> 16) & 1u)) >> 16);
}

inline float bfloat_bits_to_float(unsigned short b) { return bit_cast<float>((unsigned int)b << 16); }
}  // namespace cupool

struct __half_raw { unsigned short x; };

#define CUPOOL_SHORT_FLOAT(name, encode, decode, nan_bits, exponent_mask)                                            \
  class name {                                                                                                       \
    unsigned short bits_;                                                                                            \
                                                                                                                     \
   public:                                                                                                           \
    name() = default;                                                                                                \
    name(float v) : bits_(cupool::encode(v)) {}                                                                      \
    explicit name(double v) : bits_(cupool::encode(cupool::double_to_float_odd(v))) {}                               \
    template <class I, class = typename std::enable_if<std::is_integral<I>::value>::type>                            \
    explicit name(I v) : bits_(cupool::encode(cupool::double_to_float_odd((double)v))) {}                            \
    explicit name(__half_raw v) : bits_(v.x) {}                                                                      \
    operator float() const { return cupool::decode(bits_); }                                                         \
    explicit operator __half_raw() const { return __half_raw{bits_}; }                                                        \
    template <class U>                                                                                               \
    name& operator=(const U& v) { return *this = static_cast<name>(v); }                                             \
    name& operator=(const name&) = default;                                                                          \
    name(const name&) = default;                                                                                     \
    static const unsigned short nan = nan_bits;                                                                      \
    unsigned short to_bits() const { return bits_; }                                                                 \
    static name from_bits(unsigned short v) { name r; r.bits_ = v; return r; }                                       \
    int iszero() const { return (bits_ & 0x7fffu) == 0; }                                                            \
    int isnan() const { return (bits_ & 0x7fffu) > exponent_mask; }                                                  \
    int isinf() const { return (bits_ & 0x7fffu) == exponent_mask; }                                                 \
    int isfinite() const { return (bits_ & exponent_mask) != exponent_mask; }                                        \
    int signbit() const { return (bits_ & 0x8000u) != 0; }                                                           \
    template <class U> name& operator+=(const U& v) { return *this = name(float(*this) + float(v)); }                \
    template <class U> name& operator-=(const U& v) { return *this = name(float(*this) - float(v)); }                \
    template <class U> name& operator*=(const U& v) { return *this = name(float(*this) * float(v)); }                \
    template <class U> name& operator/=(const U& v) { return *this = name(float(*this) / float(v)); }                \
    name operator-() const { return from_bits(bits_ ^ 0x8000u); }                                                    \
  };                                                                                                                 \
  inline name copysign(name x, name y) {                                                                             \
    return name::from_bits((x.to_bits() & 0x7fffu) | (y.to_bits() & 0x8000u));                                       \
  }                                                                                                                  \
  inline name nextafter(name x, name y) {                                                                            \
    unsigned short a = x.to_bits();                                                                                  \
    if (x.isnan() || y.isnan()) return name::from_bits(name::nan);                                                   \
    if (float(x) == float(y)) return y;                                                                              \
    if (x.iszero()) return name::from_bits((y.to_bits() & 0x8000u) + 1);                                             \
    return name::from_bits((float(x) < float(y)) == (float(x) > 0) ? a + 1 : a - 1);                                 \
  }                                                                                                                  \
  inline name min(name x, name y) { return float(y) < float(x) ? y : x; }                                            \
  inline name max(name x, name y) { return float(x) < float(y) ? y : x; }                                            \
  inline name fmin(name x, name y) { return x.isnan() ? y : y.isnan() ? x : min(x, y); }                             \
  inline name fmax(name x, name y) { return x.isnan() ? y : y.isnan() ? x : max(x, y); }                             \
  inline int iszero(name x) { return x.iszero(); }                                                                   \
  inline int isnan(name x) { return x.isnan(); }                                                                     \
  inline int isinf(name x) { return x.isinf(); }                                                                     \
  inline int isfinite(name x) { return x.isfinite(); }                                                               \
  inline int signbit(name x) { return x.signbit(); }

CUPOOL_SHORT_FLOAT(float16, float_to_half_bits, half_bits_to_float, 0x7e00u, 0x7c00u)
CUPOOL_SHORT_FLOAT(__half, float_to_half_bits, half_bits_to_float, 0x7e00u, 0x7c00u)
CUPOOL_SHORT_FLOAT(bfloat16, float_to_bfloat_bits, bfloat_bits_to_float, 0x7fc0u, 0x7f80u)
CUPOOL_SHORT_FLOAT(__nv_bfloat16, float_to_bfloat_bits, bfloat_bits_to_float, 0x7fc0u, 0x7f80u)
#undef CUPOOL_SHORT_FLOAT

#define CUPOOL_HALF_OPS(name)                                                                             \
  inline name operator+(name a, name b) { return name(float(a) + float(b)); }                             \
  inline name operator-(name a, name b) { return name(float(a) - float(b)); }                             \
  inline name operator*(name a, name b) { return name(float(a) * float(b)); }                             \
  inline name operator/(name a, name b) { return name(float(a) / float(b)); }                             \
  inline bool operator<(name a, name b) { return float(a) < float(b); }                                   \
  inline bool operator>(name a, name b) { return float(a) > float(b); }                                   \
  inline bool operator<=(name a, name b) { return float(a) <= float(b); }                                 \
  inline bool operator>=(name a, name b) { return float(a) >= float(b); }                                 \
  inline bool operator==(name a, name b) { return float(a) == float(b); }                                 \
  inline bool operator!=(name a, name b) { return float(a) != float(b); }                                 \
  inline name __hadd(name a, name b) { return a + b; }                                                    \
  inline name __hsub(name a, name b) { return a - b; }                                                    \
  inline name __hmul(name a, name b) { return a * b; }                                                    \
  inline name __hdiv(name a, name b) { return a / b; }                                                    \
  inline name __hneg(name a) { return -a; }                                                               \
  inline name __habs(name a) { return name::from_bits(a.to_bits() & 0x7fffu); }                           \
  inline name __hmin(name a, name b) { return fmin(a, b); }                                               \
  inline name __hmax(name a, name b) { return fmax(a, b); }                                               \
  inline name __hfma(name a, name b, name c) { return name((double)float(a) * float(b) + (double)float(c)); } \
  inline bool __heq(name a, name b) { return a == b; }                                                    \
  inline bool __hne(name a, name b) { return a != b; }                                                    \
  inline bool __hlt(name a, name b) { return a < b; }                                                     \
  inline bool __hle(name a, name b) { return a <= b; }                                                    \
  inline bool __hgt(name a, name b) { return a > b; }                                                     \
  inline bool __hge(name a, name b) { return a >= b; }                                                    \
  inline bool __hisnan(name a) { return a.isnan(); }                                                      \
  inline int __hisinf(name a) { return a.isinf() ? (a.signbit() ? -1 : 1) : 0; }                          \
  inline name hsqrt(name a) { return name(sqrtf(float(a))); }                                             \
  inline name hrsqrt(name a) { return name(1.0f / sqrtf(float(a))); }                                     \
  inline name hexp(name a) { return name(expf(float(a))); }                                               \
  inline name hlog(name a) { return name(logf(float(a))); }                                               \
  inline name hsin(name a) { return name(sinf(float(a))); }                                               \
  inline name hcos(name a) { return name(cosf(float(a))); }                                               \
  inline name hfloor(name a) { return name(floorf(float(a))); }                                           \
  inline name hceil(name a) { return name(ceilf(float(a))); }                                             \
  inline name htrunc(name a) { return name(truncf(float(a))); }                                           \
  inline name hrint(name a) { return name(rintf(float(a))); }                                             \
  inline name hrcp(name a) { return name(1.0f / float(a)); }
CUPOOL_HALF_OPS(__half)
CUPOOL_HALF_OPS(__nv_bfloat16)
#undef CUPOOL_HALF_OPS

struct __attribute__((aligned(4))) __half2 { __half x, y; };
struct __attribute__((aligned(4))) __nv_bfloat162 { __nv_bfloat16 x, y; };

inline __half __float2half(float v) { return __half(v); }
inline __half __float2half_rn(float v) { return __half(v); }
inline __half __double2half(double v) { return __half(v); }
inline float __half2float(__half v) { return float(v); }
inline __half __int2half_rn(int v) { return __half(v); }
inline int __half2int_rn(__half v) { return (int)rintf(float(v)); }
inline int __half2int_rz(__half v) { return (int)truncf(float(v)); }
inline __half __ushort_as_half(unsigned short v) { return __half::from_bits(v); }
inline unsigned short __half_as_ushort(__half v) { return v.to_bits(); }
inline __half __short_as_half(short v) { return __half::from_bits((unsigned short)v); }
inline short __half_as_short(__half v) { return (short)v.to_bits(); }
inline __nv_bfloat16 __float2bfloat16(float v) { return __nv_bfloat16(v); }
inline __nv_bfloat16 __float2bfloat16_rn(float v) { return __nv_bfloat16(v); }
inline float __bfloat162float(__nv_bfloat16 v) { return float(v); }
inline __half2 __halves2half2(__half a, __half b) { return __half2{a, b}; }
inline __half2 make_half2(__half a, __half b) { return __half2{a, b}; }
inline __half2 __half2half2(__half a) { return __half2{a, a}; }
inline __half2 __float2half2_rn(float a) { return __half2{__half(a), __half(a)}; }
inline __half2 __floats2half2_rn(float a, float b) { return __half2{__half(a), __half(b)}; }
inline __half __low2half(__half2 a) { return a.x; }
inline __half __high2half(__half2 a) { return a.y; }
inline float __low2float(__half2 a) { return float(a.x); }
inline float __high2float(__half2 a) { return float(a.y); }
inline float2 __half22float2(__half2 a) { return float2{float(a.x), float(a.y)}; }
inline __half2 __hadd2(__half2 a, __half2 b) { return __half2{a.x + b.x, a.y + b.y}; }
inline __half2 __hsub2(__half2 a, __half2 b) { return __half2{a.x - b.x, a.y - b.y}; }
inline __half2 __hmul2(__half2 a, __half2 b) { return __half2{a.x * b.x, a.y * b.y}; }
inline __half2 __hfma2(__half2 a, __half2 b, __half2 c) { return __half2{__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)}; }
