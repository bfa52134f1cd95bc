// Qualifiers, and CUDA's built-in vector types with CUDA's alignment.
#pragma once

#define __global__ __attribute__((visibility("default")))
#define __device__ __attribute__((visibility("default")))
#define __host__
#define __constant__ __attribute__((visibility("default")))
#define __managed__ __attribute__((visibility("default")))
#define __grid_constant__
// One block runs at a time, so a block's shared memory is a static variable. `extern __shared__` is rewritten in the source.
#define __shared__ static
#define __forceinline__ inline
#define __inline_hint__
#ifndef __noinline__
#define __noinline__ __attribute__((noinline))
#endif
#define __launch_bounds__(...)
#define __maxnreg__(...)
#define __cluster_dims__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __builtin_align__(n) __attribute__((aligned(n)))

#define CUPOOL_VECTORS(T, name, a2, a4)                                                                  \
  struct name##1 { T x; };                                                                               \
  struct __attribute__((aligned(a2))) name##2 { T x, y; };                                               \
  struct name##3 { T x, y, z; };                                                                         \
  struct __attribute__((aligned(a4))) name##4 { T x, y, z, w; };                                         \
  static inline name##1 make_##name##1(T x) { return name##1{x}; }                                       \
  static inline name##2 make_##name##2(T x, T y) { return name##2{x, y}; }                               \
  static inline name##3 make_##name##3(T x, T y, T z) { return name##3{x, y, z}; }                       \
  static inline name##4 make_##name##4(T x, T y, T z, T w) { return name##4{x, y, z, w}; }

CUPOOL_VECTORS(signed char, char, 2, 4)
CUPOOL_VECTORS(unsigned char, uchar, 2, 4)
CUPOOL_VECTORS(short, short, 4, 8)
CUPOOL_VECTORS(unsigned short, ushort, 4, 8)
CUPOOL_VECTORS(int, int, 8, 16)
CUPOOL_VECTORS(unsigned int, uint, 8, 16)
CUPOOL_VECTORS(long, long, 16, 16)
CUPOOL_VECTORS(unsigned long, ulong, 16, 16)
CUPOOL_VECTORS(long long, longlong, 16, 16)
CUPOOL_VECTORS(unsigned long long, ulonglong, 16, 16)
CUPOOL_VECTORS(float, float, 8, 16)
CUPOOL_VECTORS(double, double, 16, 16)
#undef CUPOOL_VECTORS

struct dim3 {
  unsigned int x, y, z;
  constexpr dim3(unsigned int x_ = 1, unsigned int y_ = 1, unsigned int z_ = 1) : x(x_), y(y_), z(z_) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
  operator uint3() const { return uint3{x, y, z}; }
};

typedef unsigned long long cudaTextureObject_t;
typedef unsigned long long cudaSurfaceObject_t;
typedef struct CUstream_st* cudaStream_t;

// Plain data whose address nothing takes: the compiler keeps them in registers across stores through pointers.
static uint3 threadIdx;
static uint3 blockIdx;
static dim3 blockDim;
static dim3 gridDim;
static const int warpSize = 32;
