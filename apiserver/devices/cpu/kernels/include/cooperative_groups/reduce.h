// Reductions of a tile or of converged threads, in the order of their lanes.
#pragma once
#include "../cooperative_groups.h"

namespace cooperative_groups {
#define CUPOOL_OPERATOR(name, expr) \
  template <class T = void> struct name { T operator()(T a, T b) const { return expr; } };
CUPOOL_OPERATOR(plus, a + b)
CUPOOL_OPERATOR(less, a < b ? a : b)
CUPOOL_OPERATOR(greater, a > b ? a : b)
CUPOOL_OPERATOR(bit_and, a & b)
CUPOOL_OPERATOR(bit_or, a | b)
CUPOOL_OPERATOR(bit_xor, a ^ b)
#undef CUPOOL_OPERATOR
template <class Group, class T, class F>
inline T reduce(const Group& group, T value, F combine) { return cupool::reduce_lanes(group.mask(), value, combine); }
}  // namespace cooperative_groups
