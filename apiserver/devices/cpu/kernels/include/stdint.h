// While the header itself is read: the system's. For kernels everything of it is built in.
#ifndef CUPOOL_READY
#include_next <stdint.h>
#endif
