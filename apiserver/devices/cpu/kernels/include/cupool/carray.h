// The array classes of elementwise and reduction kernels, laid out as the server packs them: 64-bit words, no padding.
#pragma once

#define CUPY_FOR(i, n)                                                                                 \
  for (ptrdiff_t i = static_cast<ptrdiff_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < (n);           \
       i += static_cast<ptrdiff_t>(blockDim.x) * gridDim.x)

template <typename T, int _ndim, bool _c_contiguous = false, bool _use_32bit_indexing = false>
class CArray {
 public:
  static const int ndim = _ndim;
  static const bool c_contiguous = _c_contiguous;
  typedef ptrdiff_t index_t;

 private:
  T* data_;
  ptrdiff_t size_;
  ptrdiff_t shape_[_ndim];
  ptrdiff_t strides_[_ndim];

 public:
  CArray() : data_(nullptr), size_(1) {
    for (int d = 0; d < _ndim; d++) shape_[d] = strides_[d] = 0;
  }
  template <typename I, typename J>
  CArray(T* data, const I* shape, const J* strides) : data_(data), size_(1) {
    for (int d = 0; d < _ndim; d++) {
      size_ *= shape[d];
      shape_[d] = shape[d];
      strides_[d] = strides[d];
    }
  }
  template <typename I>
  CArray(T* data, const I* shape) : data_(data), size_(1) {
    ptrdiff_t step = sizeof(T);
    for (int d = _ndim; d-- > 0;) {
      size_ *= shape[d];
      shape_[d] = shape[d];
      strides_[d] = step;
      step *= shape[d];
    }
  }
  ptrdiff_t size() const { return size_; }
  const ptrdiff_t* shape() const { return shape_; }
  const ptrdiff_t* strides() const { return strides_; }

  // By index tuple. Constness is not deep, as in CuPy: a `const CArray<T>` parameter may still be written through a cast only.
  template <typename I>
  const T& operator[](const I (&index)[_ndim ? _ndim : 1]) const {
    return *at(index);
  }
  template <typename I>
  T& operator[](const I (&index)[_ndim ? _ndim : 1]) {
    return *at(index);
  }
  template <typename I>
  const T& operator[](const std::initializer_list<I> index) const {
    return *at(index.begin());
  }
  template <typename I>
  T& operator[](const std::initializer_list<I> index) {
    return *at(index.begin());
  }
  // By position in C order.
  const T& operator[](ptrdiff_t i) const { return *nth(i); }
  T& operator[](ptrdiff_t i) { return *nth(i); }

 private:
  template <typename I>
  T* at(const I* index) const {
    ptrdiff_t offset = 0;
    for (int d = 0; d < _ndim; d++) offset += strides_[d] * static_cast<ptrdiff_t>(index[d]);
    return reinterpret_cast<T*>(reinterpret_cast<char*>(const_cast<typename std::remove_const<T>::type*>(data_)) + offset);
  }
  T* nth(ptrdiff_t i) const {
    if (_c_contiguous || _ndim == 0) return const_cast<T*>(data_) + (_ndim ? i : 0);
    ptrdiff_t offset = 0;
    for (int d = _ndim; --d > 0;) {
      offset += strides_[d] * (i % shape_[d]);
      i /= shape_[d];
    }
    offset += strides_[0] * i;
    return reinterpret_cast<T*>(reinterpret_cast<char*>(const_cast<typename std::remove_const<T>::type*>(data_)) + offset);
  }
};

template <int _ndim, bool _use_32bit_indexing = false>
class CIndexer {
 public:
  static const int ndim = _ndim;
  typedef ptrdiff_t index_t[_ndim ? _ndim : 1];

 private:
  ptrdiff_t size_;
  ptrdiff_t shape_[_ndim];
  ptrdiff_t index_[_ndim ? _ndim : 1];

 public:
  ptrdiff_t size() const { return size_; }
  void set(ptrdiff_t i) {
    if (_ndim == 0) return;
    if (_ndim == 1) {
      index_[0] = i;
      return;
    }
    for (int d = _ndim; --d > 0;) {
      ptrdiff_t n = shape_[d], q = i / n;
      index_[d] = i - q * n;
      i = q;
    }
    index_[0] = i;
  }
  // To the next element in C order.
  void advance() {
    if (_ndim == 0) return;
    for (int d = _ndim; --d > 0;) {
      if (++index_[d] < shape_[d]) return;
      index_[d] = 0;
    }
    ++index_[0];
  }
  // The first `head` dimensions to their beginning, the others to position `i` among themselves.
  void begin(int head, ptrdiff_t i) {
    for (int d = _ndim; d-- > head;) {
      ptrdiff_t n = shape_[d], q = i / n;
      index_[d] = i - q * n;
      i = q;
    }
    for (int d = 0; d < head; d++) index_[d] = 0;
  }
  // On to the next position of the first `head` dimensions.
  void advance_head(int head) {
    for (int d = head; d-- > 0;) {
      if (++index_[d] < shape_[d]) return;
      index_[d] = 0;
    }
  }
  const index_t& get() const { return index_; }
};

namespace cupool {
// An element of a structured array: copied, not looked into.
template <int n, int align>
struct alignas(align) Bytes {
  char data[n];
};

// One with fields, which have numbers: `x.at<0>()`.
template <long at, class T>
struct Field {
  typedef T type;
  static constexpr long offset = at;
};
template <int i, class F, class... Rest>
struct nth : nth<i - 1, Rest...> {};
template <class F, class... Rest>
struct nth<0, F, Rest...> {
  typedef F field;
};
template <int n, int align, class... F>
struct alignas(align) Record {
  char data[n];
  static constexpr int field_count = sizeof...(F);
  template <int i>
  typename nth<i, F...>::field::type& at() {
    return *reinterpret_cast<typename nth<i, F...>::field::type*>(data + nth<i, F...>::field::offset);
  }
  template <int i>
  const typename nth<i, F...>::field::type& at() const {
    return *reinterpret_cast<const typename nth<i, F...>::field::type*>(data + nth<i, F...>::field::offset);
  }
};
}  // namespace cupool

template <class T>
inline T _floor_divide(T x, T y) {
  if (std::is_floating_point<T>::value) return (T)std::floor((double)x / (double)y);
  if (y == 0) return 0;
  T q = x / y;
  return q - (((x < 0) != (y < 0)) && q * y != x);
}
inline float _floor_divide(float x, float y) { return floorf(x / y); }
inline double _floor_divide(double x, double y) { return ::floor(x / y); }
