#pragma once
#include <cupool/cub.h>
