// CUDA's math functions that C does not have, and the overloads that CUDA has in the global namespace.
#pragma once

#ifndef M_PI
#define M_PI 3.14159265358979323846
#endif
#define CUDART_PI 3.1415926535897931e+0
#define CUDART_PI_F 3.141592654f
#define CUDART_INF __builtin_inf()
#define CUDART_INF_F __builtin_inff()
#define CUDART_NAN __builtin_nan("")
#define CUDART_NAN_F __builtin_nanf("")
#define CUDART_MAX_NORMAL_F 3.402823466e38f
#define CUDART_ZERO_F 0.0f
#define CUDART_ONE_F 1.0f
#define CUDART_ZERO 0.0
#define CUDART_ONE 1.0
#define CUDART_SQRT_TWO 1.4142135623730951e+0
#define CUDART_SQRT_TWO_F 1.414213562f

// min and max: CUDA's pairs of types; a mixed pair goes to the usual common type, as CUDA's own overloads do.
#define CUPOOL_MINMAX(T)                                   \
  inline T min(T a, T b) { return b < a ? b : a; }         \
  inline T max(T a, T b) { return a < b ? b : a; }
CUPOOL_MINMAX(int)
CUPOOL_MINMAX(unsigned int)
CUPOOL_MINMAX(long)
CUPOOL_MINMAX(unsigned long)
CUPOOL_MINMAX(long long)
CUPOOL_MINMAX(unsigned long long)
#undef CUPOOL_MINMAX
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
template <class A, class B,
          class = typename std::enable_if<std::is_arithmetic<A>::value && std::is_arithmetic<B>::value && !std::is_same<A, B>::value>::type>
inline typename std::common_type<A, B>::type min(A a, B b) {
  typedef typename std::common_type<A, B>::type C;
  return min((C)a, (C)b);
}
template <class A, class B,
          class = typename std::enable_if<std::is_arithmetic<A>::value && std::is_arithmetic<B>::value && !std::is_same<A, B>::value>::type>
inline typename std::common_type<A, B>::type max(A a, B b) {
  typedef typename std::common_type<A, B>::type C;
  return max((C)a, (C)b);
}
inline unsigned int umin(unsigned int a, unsigned int b) { return b < a ? b : a; }
inline unsigned int umax(unsigned int a, unsigned int b) { return a < b ? b : a; }
inline long long llmin(long long a, long long b) { return b < a ? b : a; }
inline long long llmax(long long a, long long b) { return a < b ? b : a; }
inline float pow(float a, int b) { return powf(a, (float)b); }
inline double pow(double a, int b) { return ::pow(a, (double)b); }

#define CUPOOL_BOTH(name, param, float_expr, double_expr)         \
  inline float name##f(float param) { return float_expr; }        \
  inline double name(double param) { return double_expr; }        \
  inline float name(float param) { return name##f(param); }       \
  template <class I, class = typename std::enable_if<std::is_integral<I>::value>::type> \
  inline double name(I param) { return name((double)param); }

namespace cupool {
template <class T>
inline T sin_pi(T x) {  // exact at multiples of one half
  if (!(std::fabs(x) < std::numeric_limits<T>::infinity())) return std::numeric_limits<T>::quiet_NaN();
  T r = std::fmod(x, (T)2), s = r < 0 ? (T)-1 : (T)1;
  r = std::fabs(r);
  if (r > 1) { r -= 1; s = -s; }
  if (r > (T)0.5) r = 1 - r;
  T y = r > (T)0.25 ? std::cos((T)M_PI * ((T)0.5 - r)) : std::sin((T)M_PI * r);
  return s < 0 ? -y : y;
}
template <class T>
inline T cos_pi(T x) {
  if (!(std::fabs(x) < std::numeric_limits<T>::infinity())) return std::numeric_limits<T>::quiet_NaN();
  T r = std::fabs(std::fmod(x, (T)2)), s = 1;
  if (r > 1) r = 2 - r;
  if (r > (T)0.5) { r = 1 - r; s = -1; }
  T y = r > (T)0.25 ? std::sin((T)M_PI * ((T)0.5 - r)) : std::cos((T)M_PI * r);
  return s * y;
}
// Inverse of the normal distribution function: a rational first guess, then Halley steps on erfc, to full precision.
inline double normal_quantile(double p) {
  if (!(p >= 0 && p <= 1)) return CUDART_NAN;
  if (p == 0) return -CUDART_INF;
  if (p == 1) return CUDART_INF;
  bool upper = p > 0.5;
  double q = upper ? 1 - p : p, t = std::sqrt(-2 * std::log(q));
  double x = -(t - ((0.010328 * t + 0.802853) * t + 2.515517) / (((0.001308 * t + 0.189269) * t + 1.432788) * t + 1.0));
  for (int i = 0; i < 4; i++) {
    double e = 0.5 * std::erfc(-x * 0.70710678118654752440) - q;
    double u = e * 2.50662827463100050242 * std::exp(x * x / 2);
    double step = u / (1 + x * u / 2);
    x -= step;
    if (std::fabs(step) <= 1e-17 * std::fabs(x)) break;
  }
  return upper ? -x : x;
}
// erfc(x) = y.
inline double erfc_inverse(double y) {
  if (!(y >= 0 && y <= 2)) return CUDART_NAN;
  if (y == 0) return CUDART_INF;
  if (y == 2) return -CUDART_INF;
  return -normal_quantile(y / 2) * 0.70710678118654752440;
}
inline double erf_inverse(double y) {
  if (!(y >= -1 && y <= 1)) return CUDART_NAN;
  if (y == 1 || y == -1) return y * CUDART_INF;
  if (std::fabs(y) > 0.5) return y > 0 ? erfc_inverse(1 - y) : -erfc_inverse(1 + y);
  double x = y * 0.88622692545275801365;  // near 0 erfc would cancel: Newton on erf itself
  for (int i = 0; i < 6; i++) {
    double e = std::erf(x) - y, slope = 1.12837916709551257390 * std::exp(-x * x);
    double u = e / slope, step = u / (1 + x * u);
    x -= step;
    if (std::fabs(step) <= 1e-17 * std::fabs(x)) break;
  }
  return x;
}
inline double erf_cx(double x) {  // exp(x*x) * erfc(x)
  if (x < 8) return std::exp(x * x) * std::erfc(x);
  double term = 1, sum = 1, q = 0.5 / (x * x);
  for (int k = 1; k < 40 && std::fabs(term) > 1e-17; k++) sum += term *= -(2 * k - 1) * q;
  return 0.56418958354775628695 / x * sum;
}
// Modified Bessel functions of the first kind, of order 0 and 1: the power series, or beyond it the asymptotic one.
inline double bessel_i(int order, double x) {
  double a = std::fabs(x);
  if (a < 30) {
    double term = order ? a / 2 : 1, sum = term, q = a * a / 4;
    for (int k = 1; k < 200 && term > sum * 1e-18; k++) sum += term *= q / (k * (double)(k + order));
    return order && x < 0 ? -sum : sum;
  }
  double mu = order ? 4 : 0, term = 1, sum = 1;
  for (int k = 1; k < 30; k++) {
    double next = -term * (mu - (2.0 * k - 1) * (2.0 * k - 1)) / (k * 8 * a);
    if (std::fabs(next) > std::fabs(term)) break;
    sum += term = next;
  }
  double result = std::exp(a) / std::sqrt(2 * M_PI * a) * sum;
  return order && x < 0 ? -result : result;
}
}  // namespace cupool

CUPOOL_BOTH(rsqrt, x, 1.0f / sqrtf(x), 1.0 / ::sqrt(x))
CUPOOL_BOTH(rcbrt, x, 1.0f / cbrtf(x), 1.0 / ::cbrt(x))
CUPOOL_BOTH(sinpi, x, cupool::sin_pi(x), cupool::sin_pi(x))
CUPOOL_BOTH(cospi, x, cupool::cos_pi(x), cupool::cos_pi(x))
CUPOOL_BOTH(normcdf, x, (float)(0.5 * ::erfc(-(double)x * 0.70710678118654752440)), 0.5 * ::erfc(-x * 0.70710678118654752440))
CUPOOL_BOTH(normcdfinv, x, (float)cupool::normal_quantile(x), cupool::normal_quantile(x))
CUPOOL_BOTH(erfcinv, x, (float)cupool::erfc_inverse(x), cupool::erfc_inverse(x))
CUPOOL_BOTH(erfinv, x, (float)cupool::erf_inverse(x), cupool::erf_inverse(x))
CUPOOL_BOTH(erfcx, x, (float)cupool::erf_cx(x), cupool::erf_cx(x))
CUPOOL_BOTH(cyl_bessel_i0, x, (float)cupool::bessel_i(0, x), cupool::bessel_i(0, x))
CUPOOL_BOTH(cyl_bessel_i1, x, (float)cupool::bessel_i(1, x), cupool::bessel_i(1, x))
#undef CUPOOL_BOTH

#if !defined(_GNU_SOURCE)
inline void sincos(double x, double* s, double* c) { *s = ::sin(x); *c = ::cos(x); }
inline void sincosf(float x, float* s, float* c) { *s = sinf(x); *c = cosf(x); }
#endif
inline void sincos(float x, float* s, float* c) { *s = sinf(x); *c = cosf(x); }
inline void sincospi(double x, double* s, double* c) { *s = sinpi(x); *c = cospi(x); }
inline void sincospif(float x, float* s, float* c) { *s = sinpif(x); *c = cospif(x); }
inline float rhypotf(float a, float b) { return 1.0f / hypotf(a, b); }
inline double rhypot(double a, double b) { return 1.0 / ::hypot(a, b); }
inline double norm3d(double a, double b, double c) { return ::sqrt(a * a + b * b + c * c); }
inline float norm3df(float a, float b, float c) { return (float)norm3d(a, b, c); }
inline double rnorm3d(double a, double b, double c) { return 1.0 / norm3d(a, b, c); }
inline float rnorm3df(float a, float b, float c) { return (float)rnorm3d(a, b, c); }
inline double norm4d(double a, double b, double c, double d) { return ::sqrt(a * a + b * b + c * c + d * d); }
inline float norm4df(float a, float b, float c, float d) { return (float)norm4d(a, b, c, d); }
inline float saturate(float x) { return x != x ? 0.0f : x < 0 ? 0.0f : x > 1 ? 1.0f : x; }

// The fast functions: here the exact ones.
inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return (float)::pow(10.0, (double)x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __log10f(float x) { return log10f(x); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __tanf(float x) { return tanf(x); }
inline float __tanhf(float x) { return tanhf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline void __sincosf(float x, float* s, float* c) { *s = sinf(x); *c = cosf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float fdividef(float x, float y) { return x / y; }
inline double fdivide(double x, double y) { return x / y; }
inline float __saturatef(float x) { return saturate(x); }
inline float __frsqrt_rn(float x) { return (float)(1.0 / ::sqrt((double)x)); }
#if !defined(_GNU_SOURCE)
inline double exp10(double x) { return ::pow(10.0, x); }
inline float exp10f(float x) { return (float)::pow(10.0, (double)x); }
#endif
inline float exp10(float x) { return exp10f(x); }

// Rounding to nearest is what the host does.
#define CUPOOL_ROUNDED(op, expr_f, expr_d)                             \
  inline float __f##op##_rn(float a, float b) { return expr_f; }       \
  inline double __d##op##_rn(double a, double b) { return expr_d; }
CUPOOL_ROUNDED(add, a + b, a + b)
CUPOOL_ROUNDED(sub, a - b, a - b)
CUPOOL_ROUNDED(mul, a* b, a* b)
CUPOOL_ROUNDED(div, a / b, a / b)
#undef CUPOOL_ROUNDED
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return ::fma(a, b, c); }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline double __dsqrt_rn(double a) { return ::sqrt(a); }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline double __drcp_rn(double a) { return 1.0 / a; }
