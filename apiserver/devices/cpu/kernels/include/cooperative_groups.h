// Blocks and tiles of a warp. Whole grids cannot wait here: blocks run one after the other.
#pragma once

namespace cooperative_groups {
struct thread_block {
  static void sync() { __syncthreads(); }
  static unsigned int thread_rank() { return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z); }
  static unsigned int size() { return blockDim.x * blockDim.y * blockDim.z; }
  static unsigned int num_threads() { return size(); }
  static dim3 group_index() { return dim3(blockIdx); }
  static dim3 thread_index() { return dim3(threadIdx); }
  static dim3 group_dim() { return blockDim; }
  static dim3 dim_threads() { return blockDim; }
};
inline thread_block this_thread_block() { return thread_block(); }

template <unsigned int n, class Parent = void>
struct thread_block_tile {
  static_assert(n <= 32 && (n & (n - 1)) == 0, "a tile has 1, 2, 4, 8, 16 or 32 threads");
  static unsigned int mask() { return (n == 32 ? 0xffffffffu : (1u << n) - 1) << (cupool::lane() & ~(n - 1)); }
  static void sync() { __syncwarp(mask()); }
  static unsigned int thread_rank() { return thread_block::thread_rank() % n; }
  static constexpr unsigned int size() { return n; }
  static constexpr unsigned int num_threads() { return n; }
  static unsigned int meta_group_rank() { return thread_block::thread_rank() / n; }
  static unsigned int meta_group_size() { return (thread_block::size() + n - 1) / n; }
  template <class T> T shfl(T v, int source) const { return __shfl_sync(mask(), v, source, n); }
  template <class T> T shfl_up(T v, unsigned int d) const { return __shfl_up_sync(mask(), v, d, n); }
  template <class T> T shfl_down(T v, unsigned int d) const { return __shfl_down_sync(mask(), v, d, n); }
  template <class T> T shfl_xor(T v, int bits) const { return __shfl_xor_sync(mask(), v, bits, n); }
  int any(int p) const { return __any_sync(mask(), p); }
  int all(int p) const { return __all_sync(mask(), p); }
  unsigned int ballot(int p) const { return (__ballot_sync(mask(), p) & mask()) >> (cupool::lane() & ~(n - 1)); }
};
template <unsigned int n, class Parent>
inline thread_block_tile<n, Parent> tiled_partition(const Parent&) { return thread_block_tile<n, Parent>(); }
template <class Group> inline void sync(const Group& group) { group.sync(); }
}  // namespace cooperative_groups
