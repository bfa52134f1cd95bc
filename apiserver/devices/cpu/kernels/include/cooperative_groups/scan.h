// Scans of a tile or of converged threads, in the order of their lanes.
#pragma once
#include "reduce.h"

namespace cooperative_groups {
template <class Group, class T, class F>
inline T inclusive_scan(const Group& group, T value, F combine) {
  const unsigned int mask = group.mask(), live = __ballot_sync(mask, 1), self = cupool::lane();
  T result = value;
  bool first = true;
  for (unsigned int i = 0; i < 32; i++)
    if (live >> i & 1) {
      T other = cupool::shuffle(mask, value, (int)i);
      if (i <= self) result = first ? other : combine(result, other);
      first = false;
    }
  return result;
}
template <class Group, class T> inline T inclusive_scan(const Group& group, T value) {
  return inclusive_scan(group, value, plus<T>());
}
template <class Group, class T, class F>
inline T exclusive_scan(const Group& group, T value, F combine) {
  T all = inclusive_scan(group, value, combine);
  T before = group.shfl_up(all, 1);
  return group.thread_rank() ? before : T();
}
template <class Group, class T> inline T exclusive_scan(const Group& group, T value) {
  return exclusive_scan(group, value, plus<T>());
}
}  // namespace cooperative_groups
