// The collectives of a block and of a warp. What CUB does to a whole device is called from the host, by cupy itself.
#pragma once
#include <cupool/cub.h>
