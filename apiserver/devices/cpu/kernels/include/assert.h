// While the header itself is read: the system's. In kernels a failed assertion ends the kernel, not the process.
#ifndef CUPOOL_READY
#include_next <assert.h>
#else
#undef assert
#define assert(condition) \
  ((condition) ? (void)0 : cupool::trap("device-side assert failed: " #condition, __FILE__, __LINE__))
#endif
