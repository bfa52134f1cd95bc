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

// Threads of a warp by their lanes: what the groups below are made of.
struct lanes {
  static unsigned int rank(unsigned int mask) { return (unsigned int)__popc(mask & ((1u << cupool::lane()) - 1)); }
  // The lane of the thread of that rank; this thread's own where there is none.
  static int at(unsigned int mask, int rank) {
    if (rank >= 0)
      for (int i = 0; i < 32; i++)
        if ((mask >> i & 1) && rank-- == 0) return i;
    return (int)cupool::lane();
  }
  static unsigned int packed(unsigned int mask, unsigned int bits) {
    unsigned int result = 0;
    for (int i = 0, k = 0; i < 32; i++)
      if (mask >> i & 1) result |= (bits >> i & 1) << k++;
    return result;
  }
};

// What a tile and a group of converged threads share. `Group` has mask().
template <class Group>
struct warp_part {
  unsigned int lanes_() const { return static_cast<const Group*>(this)->mask(); }
  void sync() const { __syncwarp(lanes_()); }
  int any(int p) const { return __any_sync(lanes_(), p); }
  int all(int p) const { return __all_sync(lanes_(), p); }
  unsigned int ballot(int p) const { return lanes::packed(lanes_(), __ballot_sync(lanes_(), p)); }
  template <class T> unsigned int match_any(T v) const { return lanes::packed(lanes_(), __match_any_sync(lanes_(), v)); }
  template <class T> unsigned int match_all(T v, int& same) const {
    return lanes::packed(lanes_(), __match_all_sync(lanes_(), v, &same));
  }
};

template <unsigned int n, class Parent = void>
struct thread_block_tile : warp_part<thread_block_tile<n, Parent>> {
  static_assert(n <= 32 && (n & (n - 1)) == 0, "a tile has 1, 2, 4, 8, 16 or 32 threads");
  thread_block_tile() {}
  // A tile of a named parent is a tile.
  template <class Other> thread_block_tile(const thread_block_tile<n, Other>&) {}
  static unsigned int mask() { return (n == 32 ? 0xffffffffu : (1u << n) - 1) << (cupool::lane() & ~(n - 1)); }
  static unsigned int thread_rank() { return thread_block::thread_rank() % n; }
  static constexpr unsigned int size() { return n; }
  static constexpr unsigned int num_threads() { return n; }
  static unsigned int meta_group_size() { return (parent_size_() + n - 1) / n; }
  static unsigned int meta_group_rank() { return thread_block::thread_rank() % parent_size_() / n; }
  template <class T> T shfl(T v, int source) const { return __shfl_sync(mask(), v, source, n); }
  template <class T> T shfl_up(T v, unsigned int d) const { return __shfl_up_sync(mask(), v, d, n); }
  template <class T> T shfl_down(T v, unsigned int d) const { return __shfl_down_sync(mask(), v, d, n); }
  template <class T> T shfl_xor(T v, int bits) const { return __shfl_xor_sync(mask(), v, bits, n); }

 private:
  template <class P> struct size_of { static unsigned int get() { return thread_block::size(); } };
  template <unsigned int m, class Other> struct size_of<thread_block_tile<m, Other>> { static unsigned int get() { return m; } };
  static unsigned int parent_size_() { return size_of<Parent>::get(); }
};
template <unsigned int n, class Parent>
inline thread_block_tile<n, Parent> tiled_partition(const Parent&) { return thread_block_tile<n, Parent>(); }

// The threads of a warp that came here together.
struct coalesced_group : warp_part<coalesced_group> {
  explicit coalesced_group(unsigned int bits) : bits_(bits) {}
  unsigned int mask() const { return bits_; }
  unsigned int size() const { return (unsigned int)__popc(bits_); }
  unsigned int num_threads() const { return size(); }
  unsigned int thread_rank() const { return lanes::rank(bits_); }
  static unsigned int meta_group_rank() { return 0; }
  static unsigned int meta_group_size() { return 1; }
  template <class T> T shfl(T v, int source) const { return __shfl_sync(bits_, v, lanes::at(bits_, source)); }
  template <class T> T shfl_up(T v, unsigned int d) const { return __shfl_sync(bits_, v, lanes::at(bits_, (int)thread_rank() - (int)d)); }
  template <class T> T shfl_down(T v, unsigned int d) const { return __shfl_sync(bits_, v, lanes::at(bits_, (int)(thread_rank() + d))); }

 private:
  unsigned int bits_;
};
inline coalesced_group coalesced_threads() { return coalesced_group(__activemask()); }
template <class Group> inline coalesced_group binary_partition(const Group& group, bool p) {
  const unsigned int yes = __ballot_sync(group.mask(), p) & group.mask();
  return coalesced_group(p ? yes : group.mask() & ~yes);
}
template <class Group, class Label> inline coalesced_group labeled_partition(const Group& group, Label label) {
  return coalesced_group(__match_any_sync(group.mask(), label) & group.mask());
}

// A block, a tile or a group of converged threads: which one is known when it runs.
struct thread_group {
  thread_group(const thread_block&) : tile_(0), bits_(0) {}
  template <unsigned int n, class Parent> thread_group(const thread_block_tile<n, Parent>&) : tile_(n), bits_(0) {}
  thread_group(const coalesced_group& group) : tile_(0), bits_(group.mask()) {}
  thread_group(unsigned int tile, unsigned int bits) : tile_(tile), bits_(bits) {}
  unsigned int mask() const { return bits_ ? bits_ : (tile_ == 32 ? 0xffffffffu : (1u << tile_) - 1) << (cupool::lane() & ~(tile_ - 1)); }
  void sync() const {
    if (bits_ || tile_) __syncwarp(mask());
    else __syncthreads();
  }
  unsigned int size() const { return bits_ ? (unsigned int)__popc(bits_) : tile_ ? tile_ : thread_block::size(); }
  unsigned int num_threads() const { return size(); }
  unsigned int thread_rank() const {
    return bits_ ? lanes::rank(bits_) : tile_ ? thread_block::thread_rank() % tile_ : thread_block::thread_rank();
  }

 private:
  unsigned int tile_, bits_;
};
inline thread_group tiled_partition(const thread_group&, unsigned int n) { return thread_group(n, 0); }

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
template <class Group> inline unsigned int thread_rank(const Group& group) { return group.thread_rank(); }
template <class Group> inline unsigned int group_size(const Group& group) { return group.size(); }

// Copies that the threads of a group make together: done at once, complete when all have waited.
template <class Group, class T, class Size>
inline void memcpy_async(const Group& group, T* to, const T* from, const Size& bytes) {
  const size_t n = (size_t)bytes, rank = group.thread_rank(), size = group.size();
  for (size_t i = rank; i < n; i += size) reinterpret_cast<char*>(to)[i] = reinterpret_cast<const char*>(from)[i];
}
template <class Group> inline void wait(const Group& group) { group.sync(); }
template <unsigned int left, class Group> inline void wait_prior(const Group& group) { group.sync(); }
}  // namespace cooperative_groups
