// thrust::complex, which CuPy's kernels call complex: products and quotients by the plain formulas, functions by the C++ library.
#pragma once

namespace thrust {
template <typename T>
struct complex {
  typedef T value_type;

 private:
  T re_, im_;

 public:
  complex() = default;
  complex(const T& re) : re_(re), im_(T()) {}
  complex(const T& re, const T& im) : re_(re), im_(im) {}
  template <typename A, class = typename std::enable_if<std::is_arithmetic<A>::value && !std::is_same<A, T>::value>::type>
  complex(const A& re) : re_((T)re), im_(T()) {}
  template <typename A, typename B>
  complex(const A& re, const B& im) : re_((T)re), im_((T)im) {}
  template <typename U>
  complex(const complex<U>& z) : re_((T)z.real()), im_((T)z.imag()) {}
  complex(const std::complex<T>& z) : re_(z.real()), im_(z.imag()) {}
  complex(const float16& z) : re_((T)(float)z), im_(T()) {}
  complex(const bfloat16& z) : re_((T)(float)z), im_(T()) {}

  T real() const volatile { return re_; }
  T imag() const volatile { return im_; }
  T real() const { return re_; }
  T imag() const { return im_; }
  void real(T re) { re_ = re; }
  void imag(T im) { im_ = im; }
  operator std::complex<T>() const { return std::complex<T>(re_, im_); }

  complex& operator=(const complex&) = default;
  complex(const complex&) = default;
  complex& operator=(const T& re) {
    re_ = re;
    im_ = T();
    return *this;
  }
  template <typename U> complex& operator+=(const U& z) { return *this = *this + complex(z); }
  template <typename U> complex& operator-=(const U& z) { return *this = *this - complex(z); }
  template <typename U> complex& operator*=(const U& z) { return *this = *this * complex(z); }
  template <typename U> complex& operator/=(const U& z) { return *this = *this / complex(z); }
};

template <typename T> inline complex<T> operator+(const complex<T>& a, const complex<T>& b) {
  return complex<T>(a.real() + b.real(), a.imag() + b.imag());
}
template <typename T> inline complex<T> operator-(const complex<T>& a, const complex<T>& b) {
  return complex<T>(a.real() - b.real(), a.imag() - b.imag());
}
template <typename T> inline complex<T> operator*(const complex<T>& a, const complex<T>& b) {
  return complex<T>(a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real());
}
template <typename T> inline complex<T> operator/(const complex<T>& a, const complex<T>& b) {
  // Smith's method, in NumPy's order of operations: a kernel's quotient is that of this device's arrays, to the last bit.
  T re = b.real(), im = b.imag(), x = std::abs(re), y = std::abs(im);
  if (x >= y) {
    if (x == 0 && y == 0) return complex<T>(a.real() / x, a.imag() / x);
    T ratio = im / re, scale = T(1) / (re + im * ratio);
    return complex<T>((a.real() + a.imag() * ratio) * scale, (a.imag() - a.real() * ratio) * scale);
  }
  T ratio = re / im, scale = T(1) / (im + re * ratio);
  return complex<T>((a.real() * ratio + a.imag()) * scale, (a.imag() * ratio - a.real()) * scale);
}

// With a complex of the other precision, or a number.
#define CUPOOL_COMPLEX_OP(op)                                                                                         \
  template <typename T, typename U, class = typename std::enable_if<!std::is_same<T, U>::value>::type>                \
  inline complex<typename std::common_type<T, U>::type> operator op(const complex<T>& a, const complex<U>& b) {       \
    typedef complex<typename std::common_type<T, U>::type> C;                                                         \
    return C(a) op C(b);                                                                                              \
  }
CUPOOL_COMPLEX_OP(+)
CUPOOL_COMPLEX_OP(-)
CUPOOL_COMPLEX_OP(*)
CUPOOL_COMPLEX_OP(/)
#undef CUPOOL_COMPLEX_OP
template <typename A> using if_number = typename std::enable_if<std::is_arithmetic<A>::value>::type;
template <typename T, typename A, class = if_number<A>> inline complex<T> operator+(const complex<T>& a, const A& b) {
  return complex<T>(a.real() + (T)b, a.imag());
}
template <typename T, typename A, class = if_number<A>> inline complex<T> operator+(const A& a, const complex<T>& b) {
  return complex<T>((T)a + b.real(), b.imag());
}
template <typename T, typename A, class = if_number<A>> inline complex<T> operator-(const complex<T>& a, const A& b) {
  return complex<T>(a.real() - (T)b, a.imag());
}
template <typename T, typename A, class = if_number<A>> inline complex<T> operator-(const A& a, const complex<T>& b) {
  return complex<T>((T)a - b.real(), -b.imag());
}
template <typename T, typename A, class = if_number<A>> inline complex<T> operator*(const complex<T>& a, const A& b) {
  return complex<T>(a.real() * (T)b, a.imag() * (T)b);
}
template <typename T, typename A, class = if_number<A>> inline complex<T> operator*(const A& a, const complex<T>& b) {
  return complex<T>((T)a * b.real(), (T)a * b.imag());
}
template <typename T, typename A, class = if_number<A>> inline complex<T> operator/(const complex<T>& a, const A& b) {
  return complex<T>(a.real() / (T)b, a.imag() / (T)b);
}
template <typename T, typename A, class = if_number<A>> inline complex<T> operator/(const A& a, const complex<T>& b) {
  return complex<T>((T)a) / b;
}
template <typename T> inline complex<T> operator+(const complex<T>& a) { return a; }
template <typename T> inline complex<T> operator-(const complex<T>& a) { return complex<T>(-a.real(), -a.imag()); }
template <typename T, typename U> inline bool operator==(const complex<T>& a, const complex<U>& b) {
  return a.real() == b.real() && a.imag() == b.imag();
}
template <typename T, typename A, class = if_number<A>> inline bool operator==(const complex<T>& a, const A& b) {
  return a.real() == b && a.imag() == 0;
}
template <typename T, typename A, class = if_number<A>> inline bool operator==(const A& a, const complex<T>& b) { return b == a; }
template <typename T, typename U> inline bool operator!=(const complex<T>& a, const U& b) { return !(a == b); }
template <typename T, typename A, class = if_number<A>> inline bool operator!=(const A& a, const complex<T>& b) { return !(b == a); }
// The order that CuPy sorts by: real part, then imaginary part; NaN last is the caller's business.
template <typename T> inline bool operator<(const complex<T>& a, const complex<T>& b) {
  return a.real() < b.real() || (a.real() == b.real() && a.imag() < b.imag());
}
template <typename T> inline bool operator>(const complex<T>& a, const complex<T>& b) { return b < a; }
template <typename T> inline bool operator<=(const complex<T>& a, const complex<T>& b) {
  return a.real() < b.real() || (a.real() == b.real() && a.imag() <= b.imag());
}
template <typename T> inline bool operator>=(const complex<T>& a, const complex<T>& b) { return b <= a; }

template <typename T> inline T abs(const complex<T>& z) { return std::hypot(z.real(), z.imag()); }
template <typename T> inline T arg(const complex<T>& z) { return std::atan2(z.imag(), z.real()); }
template <typename T> inline T norm(const complex<T>& z) { return z.real() * z.real() + z.imag() * z.imag(); }
template <typename T> inline T real(const complex<T>& z) { return z.real(); }
template <typename T> inline T imag(const complex<T>& z) { return z.imag(); }
template <typename T> inline complex<T> conj(const complex<T>& z) { return complex<T>(z.real(), -z.imag()); }
template <typename T> inline complex<T> polar(const T& r, const T& angle = T()) {
  return complex<T>(r * std::cos(angle), r * std::sin(angle));
}
template <typename T> inline complex<T> proj(const complex<T>& z) { return std::proj((std::complex<T>)z); }
#define CUPOOL_COMPLEX_FUNCTION(name) \
  template <typename T> inline complex<T> name(const complex<T>& z) { return std::name((std::complex<T>)z); }
CUPOOL_COMPLEX_FUNCTION(exp)
CUPOOL_COMPLEX_FUNCTION(log)
CUPOOL_COMPLEX_FUNCTION(log10)
CUPOOL_COMPLEX_FUNCTION(sqrt)
CUPOOL_COMPLEX_FUNCTION(sin)
CUPOOL_COMPLEX_FUNCTION(cos)
CUPOOL_COMPLEX_FUNCTION(tan)
CUPOOL_COMPLEX_FUNCTION(sinh)
CUPOOL_COMPLEX_FUNCTION(cosh)
CUPOOL_COMPLEX_FUNCTION(tanh)
CUPOOL_COMPLEX_FUNCTION(asin)
CUPOOL_COMPLEX_FUNCTION(acos)
CUPOOL_COMPLEX_FUNCTION(atan)
CUPOOL_COMPLEX_FUNCTION(asinh)
CUPOOL_COMPLEX_FUNCTION(acosh)
CUPOOL_COMPLEX_FUNCTION(atanh)
#undef CUPOOL_COMPLEX_FUNCTION
template <typename T> inline complex<T> pow(const complex<T>& a, const complex<T>& b) {
  return std::pow((std::complex<T>)a, (std::complex<T>)b);
}
template <typename T, typename A, class = if_number<A>> inline complex<T> pow(const complex<T>& a, const A& b) {
  return std::pow((std::complex<T>)a, (T)b);
}
template <typename T, typename A, class = if_number<A>> inline complex<T> pow(const A& a, const complex<T>& b) {
  return std::pow((T)a, (std::complex<T>)b);
}
template <typename T> inline complex<T> log1p(const complex<T>& z) { return log(z + T(1)); }
template <typename T> inline complex<T> expm1(const complex<T>& z) { return exp(z) - T(1); }
template <typename T> inline complex<T> log2(const complex<T>& z) { return log(z) / std::log(T(2)); }
template <typename T> inline complex<T> rint(const complex<T>& z) { return complex<T>(std::rint(z.real()), std::rint(z.imag())); }
template <typename T> inline bool isnan(const complex<T>& z) { return std::isnan(z.real()) || std::isnan(z.imag()); }
template <typename T> inline bool isinf(const complex<T>& z) { return std::isinf(z.real()) || std::isinf(z.imag()); }
template <typename T> inline bool isfinite(const complex<T>& z) { return std::isfinite(z.real()) && std::isfinite(z.imag()); }
template <typename T> inline complex<T> min(const complex<T>& a, const complex<T>& b) {
  return isnan(a) ? b : isnan(b) ? a : b < a ? b : a;
}
template <typename T> inline complex<T> max(const complex<T>& a, const complex<T>& b) {
  return isnan(a) ? b : isnan(b) ? a : a < b ? b : a;
}
}  // namespace thrust
