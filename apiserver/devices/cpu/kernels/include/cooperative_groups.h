// Blocks, tiles of a warp, and grids that were launched cooperatively.
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

struct grid_group {
  static bool is_valid() { return cupool::launch_->cooperative; }
  static void sync() { cupool::grid_barrier(); }
  static unsigned long long block_rank() { return blockIdx.x + (unsigned long long)gridDim.x * (blockIdx.y + (unsigned long long)gridDim.y * blockIdx.z); }
  static unsigned long long num_blocks() { return (unsigned long long)gridDim.x * gridDim.y * gridDim.z; }
  static unsigned long long thread_rank() { return block_rank() * thread_block::size() + thread_block::thread_rank(); }
  static unsigned long long num_threads() { return num_blocks() * thread_block::size(); }
  static unsigned long long size() { return num_threads(); }
  static dim3 dim_blocks() { return gridDim; }
  static dim3 group_dim() { return gridDim; }
  static dim3 block_index() { return dim3(blockIdx); }
};
inline grid_group this_grid() { return grid_group(); }
template <class Group> inline void sync(const Group& group) { group.sync(); }

// Copies that the threads of a group make together: done at once, complete when all have waited.
template <class Group, class T, class Size>
inline void memcpy_async(const Group& group, T* to, const T* from, const Size& bytes) {
  const size_t n = (size_t)bytes, rank = group.thread_rank(), size = group.size();
  for (size_t i = rank; i < n; i += size) reinterpret_cast<char*>(to)[i] = reinterpret_cast<const char*>(from)[i];
}
template <class Group> inline void wait(const Group& group) { group.sync(); }
template <unsigned int left, class Group> inline void wait_prior(const Group& group) { group.sync(); }
}  // namespace cooperative_groups
