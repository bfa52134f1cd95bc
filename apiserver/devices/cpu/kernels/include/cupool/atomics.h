// Atomic functions. One thread runs at a time, so a read and a write are enough.
#pragma once

namespace cupool {
template <class T, class F>
inline T update(T* address, F change) {
  T old = *address;
  *address = change(old);
  return old;
}
}  // namespace cupool

#define CUPOOL_ATOMIC(name, T, expr)                                                             \
  inline T name(T* address, T value) {                                                           \
    return cupool::update(address, [=](T old) -> T { (void)old; return expr; });                 \
  }                                                                                              \
  inline T name##_block(T* address, T value) { return name(address, value); }                    \
  inline T name##_system(T* address, T value) { return name(address, value); }
#define CUPOOL_ATOMIC_INTEGERS(name, expr)   \
  CUPOOL_ATOMIC(name, int, expr)             \
  CUPOOL_ATOMIC(name, unsigned int, expr)    \
  CUPOOL_ATOMIC(name, long, expr)            \
  CUPOOL_ATOMIC(name, unsigned long, expr)   \
  CUPOOL_ATOMIC(name, long long, expr)       \
  CUPOOL_ATOMIC(name, unsigned long long, expr)
#define CUPOOL_ATOMIC_FLOATS(name, expr)     \
  CUPOOL_ATOMIC(name, float, expr)           \
  CUPOOL_ATOMIC(name, double, expr)
#define CUPOOL_ATOMIC_HALVES(name, expr)     \
  CUPOOL_ATOMIC(name, float16, expr)         \
  CUPOOL_ATOMIC(name, bfloat16, expr)        \
  CUPOOL_ATOMIC(name, __half, expr)          \
  CUPOOL_ATOMIC(name, __nv_bfloat16, expr)

CUPOOL_ATOMIC_INTEGERS(atomicAdd, old + value)
CUPOOL_ATOMIC_FLOATS(atomicAdd, old + value)
CUPOOL_ATOMIC_HALVES(atomicAdd, old + value)
CUPOOL_ATOMIC_INTEGERS(atomicSub, old - value)
CUPOOL_ATOMIC_FLOATS(atomicSub, old - value)
CUPOOL_ATOMIC_INTEGERS(atomicMin, value < old ? value : old)
CUPOOL_ATOMIC_FLOATS(atomicMin, fmin(old, value))
CUPOOL_ATOMIC_INTEGERS(atomicMax, old < value ? value : old)
CUPOOL_ATOMIC_FLOATS(atomicMax, fmax(old, value))
CUPOOL_ATOMIC_INTEGERS(atomicAnd, old & value)
CUPOOL_ATOMIC_INTEGERS(atomicOr, old | value)
CUPOOL_ATOMIC_INTEGERS(atomicXor, old ^ value)
CUPOOL_ATOMIC_INTEGERS(atomicExch, value)
CUPOOL_ATOMIC_FLOATS(atomicExch, value)
CUPOOL_ATOMIC(atomicInc, unsigned int, old >= value ? 0 : old + 1)
CUPOOL_ATOMIC(atomicDec, unsigned int, old == 0 || old > value ? value : old - 1)
#undef CUPOOL_ATOMIC
#undef CUPOOL_ATOMIC_INTEGERS
#undef CUPOOL_ATOMIC_FLOATS
#undef CUPOOL_ATOMIC_HALVES

#define CUPOOL_CAS(T)                                                                                                \
  inline T atomicCAS(T* address, T compare, T value) {                                                               \
    return cupool::update(address, [=](T old) -> T { return old == compare ? value : old; });                        \
  }                                                                                                                  \
  inline T atomicCAS_block(T* address, T compare, T value) { return atomicCAS(address, compare, value); }            \
  inline T atomicCAS_system(T* address, T compare, T value) { return atomicCAS(address, compare, value); }
CUPOOL_CAS(int)
CUPOOL_CAS(unsigned int)
CUPOOL_CAS(long)
CUPOOL_CAS(unsigned long)
CUPOOL_CAS(long long)
CUPOOL_CAS(unsigned long long)
CUPOOL_CAS(unsigned short)
#undef CUPOOL_CAS
