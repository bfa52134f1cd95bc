// cuComplex: pairs of numbers with functions; with CUPOOL_TRANSLATE_CUCOMPLEX the types are complex<T>.
#pragma once

#ifdef CUPOOL_TRANSLATE_CUCOMPLEX
typedef thrust::complex<float> cuFloatComplex;
typedef thrust::complex<double> cuDoubleComplex;
#define CUPOOL_PART_RE(z) (z).real()
#define CUPOOL_PART_IM(z) (z).imag()
#define CUPOOL_MAKE(C, a, b) C(a, b)
#else
typedef float2 cuFloatComplex;
typedef double2 cuDoubleComplex;
#define CUPOOL_PART_RE(z) (z).x
#define CUPOOL_PART_IM(z) (z).y
#define CUPOOL_MAKE(C, a, b) C{a, b}
#endif
typedef cuFloatComplex cuComplex;

#define CUPOOL_CUCOMPLEX(C, T, s)                                                                                          \
  inline T cuCreal##s(C z) { return CUPOOL_PART_RE(z); }                                                                   \
  inline T cuCimag##s(C z) { return CUPOOL_PART_IM(z); }                                                                   \
  inline C cuConj##s(C z) { return CUPOOL_MAKE(C, cuCreal##s(z), -cuCimag##s(z)); }                                        \
  inline C cuCadd##s(C a, C b) { return CUPOOL_MAKE(C, cuCreal##s(a) + cuCreal##s(b), cuCimag##s(a) + cuCimag##s(b)); }    \
  inline C cuCsub##s(C a, C b) { return CUPOOL_MAKE(C, cuCreal##s(a) - cuCreal##s(b), cuCimag##s(a) - cuCimag##s(b)); }    \
  inline C cuCmul##s(C a, C b) {                                                                                           \
    return CUPOOL_MAKE(C, cuCreal##s(a) * cuCreal##s(b) - cuCimag##s(a) * cuCimag##s(b),                                   \
                       cuCreal##s(a) * cuCimag##s(b) + cuCimag##s(a) * cuCreal##s(b));                                     \
  }                                                                                                                        \
  inline C cuCdiv##s(C a, C b) {                                                                                           \
    thrust::complex<T> q = thrust::complex<T>(cuCreal##s(a), cuCimag##s(a)) / thrust::complex<T>(cuCreal##s(b), cuCimag##s(b));                    \
    return CUPOOL_MAKE(C, q.real(), q.imag());                                                                             \
  }                                                                                                                        \
  inline T cuCabs##s(C z) { return std::hypot(cuCreal##s(z), cuCimag##s(z)); }                                             \
  inline C cuCfma##s(C a, C b, C c) { return cuCadd##s(cuCmul##s(a, b), c); }
CUPOOL_CUCOMPLEX(cuFloatComplex, float, f)
CUPOOL_CUCOMPLEX(cuDoubleComplex, double, )
#undef CUPOOL_CUCOMPLEX
inline cuFloatComplex make_cuFloatComplex(float a, float b) { return CUPOOL_MAKE(cuFloatComplex, a, b); }
inline cuDoubleComplex make_cuDoubleComplex(double a, double b) { return CUPOOL_MAKE(cuDoubleComplex, a, b); }
inline cuComplex make_cuComplex(float a, float b) { return make_cuFloatComplex(a, b); }
inline cuFloatComplex cuComplexDoubleToFloat(cuDoubleComplex z) { return make_cuFloatComplex((float)cuCreal(z), (float)cuCimag(z)); }
inline cuDoubleComplex cuComplexFloatToDouble(cuFloatComplex z) { return make_cuDoubleComplex(cuCrealf(z), cuCimagf(z)); }
