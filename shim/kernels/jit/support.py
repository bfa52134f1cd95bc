"""The C++ in front of every translated kernel: arrays as CuPy passes them, and tuples."""

from __future__ import annotations

#: The layout is that of CuPy's CArray: a launch passes an array to a parameter of this type as to a pointer.
ARRAYS = """template <int N> struct cupool_extent { long long shape[N], strides[N]; };
template <> struct cupool_extent<0> {};
template <class T, int N, bool C> struct cupool_array {
  T* data;
  long long size;
  cupool_extent<N> extent;
  template <class I> __device__ inline void reduce(cupool_array<T, N - 1, C>& out, I i) const {
    out.data = (T*)((char*)data + (long long)i * extent.strides[0]);
    out.size = 1;
    for (int d = 1; d < N; d++) {
      out.extent.shape[d - 1] = extent.shape[d];
      out.extent.strides[d - 1] = extent.strides[d];
      out.size *= extent.shape[d];
    }
  }
  template <class I> __device__ inline cupool_array<T, N - 1, C> part(I i) const {
    cupool_array<T, N - 1, C> out;
    reduce(out, i);
    return out;
  }
  template <class I, class J, class... K> __device__ inline auto part(I i, J j, K... k) const { return part(i).part(j, k...); }
  template <class... I> __device__ inline T& at(I... i) const {
    if (C && N == 1) {
      long long only[] = {(long long)i...};
      return data[only[0]];
    }
    const long long index[] = {(long long)i...};
    long long offset = 0;
    for (int d = 0; d < N; d++) offset += index[d] * extent.strides[d];
    return *(T*)((char*)data + offset);
  }
};
template <class T, bool C> struct cupool_array<T, 0, C> {
  T* data;
  long long size;
  __device__ inline T& at() const { return *data; }
};
"""


def tuple_text(length: int) -> str:
    """The struct of tuples of this length, and how an array is indexed by one."""
    if length == 0:
        return "struct cupool_tuple_0 {};\n"
    names = [f"T{i}" for i in range(length)]
    fields = " ".join(f"{name} _{i};" for i, name in enumerate(names))
    head = ", ".join(f"class {name}" for name in names)
    items = ", ".join(f"t._{i}" for i in range(length))
    kind = f"cupool_tuple_{length}<{', '.join(names)}>"
    return (
        f"template <{head}> struct cupool_tuple_{length} {{ {fields} }};\n"
        f"template <class A, {head}> __device__ inline auto& cupool_at(const A& a, const {kind}& t) {{ return a.at({items}); }}\n"
        f"template <class A, {head}> __device__ inline auto cupool_part(const A& a, const {kind}& t) {{ return a.part({items}); }}\n"
    )
