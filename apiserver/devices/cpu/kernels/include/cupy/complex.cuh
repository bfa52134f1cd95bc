// thrust::complex and its functions under the names that CuPy's kernels use.
#pragma once

using thrust::complex;
#define CUPOOL_USING(name) using thrust::name;
CUPOOL_USING(abs) CUPOOL_USING(arg) CUPOOL_USING(norm) CUPOOL_USING(real) CUPOOL_USING(imag) CUPOOL_USING(conj) CUPOOL_USING(polar)
CUPOOL_USING(exp) CUPOOL_USING(log) CUPOOL_USING(log10) CUPOOL_USING(sqrt) CUPOOL_USING(sin) CUPOOL_USING(cos) CUPOOL_USING(tan)
CUPOOL_USING(sinh) CUPOOL_USING(cosh) CUPOOL_USING(tanh) CUPOOL_USING(asin) CUPOOL_USING(acos) CUPOOL_USING(atan)
CUPOOL_USING(asinh) CUPOOL_USING(acosh) CUPOOL_USING(atanh) CUPOOL_USING(pow) CUPOOL_USING(log1p) CUPOOL_USING(expm1)
CUPOOL_USING(log2) CUPOOL_USING(rint) CUPOOL_USING(isnan) CUPOOL_USING(isinf) CUPOOL_USING(isfinite) CUPOOL_USING(min)
CUPOOL_USING(max)
#undef CUPOOL_USING
