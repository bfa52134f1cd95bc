// A failed assertion ends the kernel, not the process.
#undef assert
#define assert(condition) \
  ((condition) ? (void)0 : cupool::trap("device-side assert failed: " #condition, __FILE__, __LINE__))
