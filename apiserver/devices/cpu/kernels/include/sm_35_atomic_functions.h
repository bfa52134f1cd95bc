// Everything of this header is built in: cupool_cuda.h.
