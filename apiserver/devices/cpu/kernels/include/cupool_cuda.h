// What CUDA C++ gives without an include, for g++: one thread of the host runs the blocks of a grid one after the other.
// Included before every kernel source (and precompiled), so it holds nothing that depends on a source.
#pragma once

// The C library's fixed-width names stay out of the way of sources that declare their own, as sources for NVRTC do.
#define int8_t cupool_sys_int8_t
#define int16_t cupool_sys_int16_t
#define int32_t cupool_sys_int32_t
#define int64_t cupool_sys_int64_t
#define uint8_t cupool_sys_uint8_t
#define uint16_t cupool_sys_uint16_t
#define uint32_t cupool_sys_uint32_t
#define uint64_t cupool_sys_uint64_t
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmath>
#include <complex>
#include <initializer_list>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>
#if !defined(__x86_64__) || defined(CUPOOL_UCONTEXT)
#include <ucontext.h>
#endif
#undef int8_t
#undef int16_t
#undef int32_t
#undef int64_t
#undef uint8_t
#undef uint16_t
#undef uint32_t
#undef uint64_t

#include "cupool/types.h"
#include "cupool/half.h"
#include "cupool/threads.h"
#include "cupool/math.h"
#include "cupool/bits.h"
#include "cupool/complex.h"
#include "cupool/atomics.h"
#include "cupool/carray.h"
#include "cupool/launch.h"

// Last, so that no system header above sees them.
#define __CUDACC__ 1
#define __CUDACC_RTC__ 1
#define __CUDA_ARCH__ 900
#define __CUDACC_VER_MAJOR__ 12
#define __CUDACC_VER_MINOR__ 0
#define CUPOOL_CPU 1
#define assert(condition) \
  ((condition) ? (void)0 : cupool::trap("device-side assert failed: " #condition, __FILE__, __LINE__))
#define printf cupool::print
#define clock() ((int)clock64())
#define CUPOOL_READY 1
