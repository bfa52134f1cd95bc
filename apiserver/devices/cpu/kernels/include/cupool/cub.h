// CUB's collectives of a block and of a warp, in the order of their threads: reductions as CUB's warp reductions add, scans from left to right.
// Results of a reduction are thread 0's, as in CUB. Storage may be used again after a barrier, as in CUB.
#pragma once

namespace cub {

enum BlockReduceAlgorithm { BLOCK_REDUCE_RAKING_COMMUTATIVE_ONLY, BLOCK_REDUCE_RAKING, BLOCK_REDUCE_WARP_REDUCTIONS };
enum BlockScanAlgorithm { BLOCK_SCAN_RAKING, BLOCK_SCAN_RAKING_MEMOIZE, BLOCK_SCAN_WARP_SCANS };
enum BlockLoadAlgorithm {
  BLOCK_LOAD_DIRECT, BLOCK_LOAD_STRIPED, BLOCK_LOAD_VECTORIZE, BLOCK_LOAD_TRANSPOSE, BLOCK_LOAD_WARP_TRANSPOSE,
  BLOCK_LOAD_WARP_TRANSPOSE_TIMESLICED
};
enum BlockStoreAlgorithm {
  BLOCK_STORE_DIRECT, BLOCK_STORE_STRIPED, BLOCK_STORE_VECTORIZE, BLOCK_STORE_TRANSPOSE, BLOCK_STORE_WARP_TRANSPOSE,
  BLOCK_STORE_WARP_TRANSPOSE_TIMESLICED
};

struct Sum { template <class A, class B> auto operator()(const A& a, const B& b) const { return a + b; } };
struct Max { template <class T> T operator()(const T& a, const T& b) const { return a < b ? b : a; } };
struct Min { template <class T> T operator()(const T& a, const T& b) const { return b < a ? b : a; } };
template <class K, class V> struct KeyValuePair { typedef K Key; typedef V Value; K key; V value; };
struct ArgMax {
  template <class K, class V> KeyValuePair<K, V> operator()(const KeyValuePair<K, V>& a, const KeyValuePair<K, V>& b) const {
    return b.value > a.value || (b.value == a.value && b.key < a.key) ? b : a;
  }
};
struct ArgMin {
  template <class K, class V> KeyValuePair<K, V> operator()(const KeyValuePair<K, V>& a, const KeyValuePair<K, V>& b) const {
    return b.value < a.value || (b.value == a.value && b.key < a.key) ? b : a;
  }
};

namespace detail {
inline int rank() { return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z); }
template <class T, int n> struct Storage {
  alignas(T) unsigned char bytes[sizeof(T) * n];
  T& at(int i) { return reinterpret_cast<T*>(bytes)[i]; }
};
// One of its own for each type and place, for collectives that are made without storage.
template <class Storage> Storage& own() { static Storage storage; return storage; }
// In the order of a warp's shuffles. Overwrites the values.
template <class T, class Op> T warp_fold(T* values, int n, Op op) {
  for (int step = 1; step < 32; step *= 2)
    for (int i = 0; i + step < n; i++) values[i] = op(values[i], values[i + step]);
  return values[0];
}
template <class T, int items, class Op> T thread_fold(T (&values)[items], Op op) {
  T result = values[0];
  for (int i = 1; i < items; i++) result = op(result, values[i]);
  return result;
}
}  // namespace detail

template <class T, int X, BlockReduceAlgorithm algorithm = BLOCK_REDUCE_WARP_REDUCTIONS, int Y = 1, int Z = 1, int arch = 0>
class BlockReduce {
  static constexpr int N = X * Y * Z;

 public:
  typedef detail::Storage<T, N> TempStorage;
  BlockReduce() : temp(detail::own<TempStorage>()) {}
  BlockReduce(TempStorage& storage) : temp(storage) {}
  template <class Op> T Reduce(T value, Op op, int valid) {
    temp.at(detail::rank()) = value;
    __syncthreads();
    if (detail::rank() != 0) return value;
    const int n = valid < N ? valid : N;
    T result = value;
    for (int first = 0; first < n; first += 32) {
      T part = detail::warp_fold(&temp.at(first), n - first < 32 ? n - first : 32, op);
      result = first ? T(op(result, part)) : part;
    }
    return result;
  }
  template <class Op> T Reduce(T value, Op op) { return Reduce(value, op, N); }
  template <int items, class Op> T Reduce(T (&values)[items], Op op) { return Reduce(detail::thread_fold(values, op), op, N); }
  T Sum(T value) { return Reduce(value, cub::Sum(), N); }
  T Sum(T value, int valid) { return Reduce(value, cub::Sum(), valid); }
  template <int items> T Sum(T (&values)[items]) { return Reduce(values, cub::Sum()); }

 private:
  TempStorage& temp;
};

template <class T, int X, BlockScanAlgorithm algorithm = BLOCK_SCAN_RAKING, int Y = 1, int Z = 1, int arch = 0>
class BlockScan {
  static constexpr int N = X * Y * Z;

 public:
  typedef detail::Storage<T, N> TempStorage;
  BlockScan() : temp(detail::own<TempStorage>()) {}
  BlockScan(TempStorage& storage) : temp(storage) {}

  void InclusiveSum(T in, T& out) { T all; InclusiveScan(in, out, cub::Sum(), all); }
  void InclusiveSum(T in, T& out, T& all) { InclusiveScan(in, out, cub::Sum(), all); }
  template <int items> void InclusiveSum(T (&in)[items], T (&out)[items]) { T all; InclusiveScan(in, out, cub::Sum(), all); }
  template <int items> void InclusiveSum(T (&in)[items], T (&out)[items], T& all) { InclusiveScan(in, out, cub::Sum(), all); }
  void ExclusiveSum(T in, T& out) { T all; ExclusiveScan(in, out, T(), cub::Sum(), all); }
  void ExclusiveSum(T in, T& out, T& all) { ExclusiveScan(in, out, T(), cub::Sum(), all); }
  template <int items> void ExclusiveSum(T (&in)[items], T (&out)[items]) { T all; ExclusiveScan(in, out, T(), cub::Sum(), all); }
  template <int items> void ExclusiveSum(T (&in)[items], T (&out)[items], T& all) { ExclusiveScan(in, out, T(), cub::Sum(), all); }

  template <class Op> void InclusiveScan(T in, T& out, Op op) { T all; InclusiveScan(in, out, op, all); }
  template <class Op> void InclusiveScan(T in, T& out, Op op, T& all) {
    T before;
    out = before_me(in, op, before, all) ? T(op(before, in)) : in;
  }
  template <int items, class Op> void InclusiveScan(T (&in)[items], T (&out)[items], Op op) { T all; InclusiveScan(in, out, op, all); }
  template <int items, class Op> void InclusiveScan(T (&in)[items], T (&out)[items], Op op, T& all) {
    T before;
    bool has = before_me(detail::thread_fold(in, op), op, before, all);
    for (int i = 0; i < items; i++) {
      before = has ? T(op(before, in[i])) : in[i];
      out[i] = before;
      has = true;
    }
  }
  template <class Op> void ExclusiveScan(T in, T& out, T initial, Op op) { T all; ExclusiveScan(in, out, initial, op, all); }
  template <class Op> void ExclusiveScan(T in, T& out, T initial, Op op, T& all) {
    T before;
    out = before_me(in, op, before, all) ? T(op(initial, before)) : initial;
  }
  template <int items, class Op> void ExclusiveScan(T (&in)[items], T (&out)[items], T initial, Op op) {
    T all;
    ExclusiveScan(in, out, initial, op, all);
  }
  template <int items, class Op> void ExclusiveScan(T (&in)[items], T (&out)[items], T initial, Op op, T& all) {
    T before;
    before = before_me(detail::thread_fold(in, op), op, before, all) ? T(op(initial, before)) : initial;
    for (int i = 0; i < items; i++) {
      const T value = in[i];
      out[i] = before;
      before = op(before, value);
    }
  }

 private:
  // Whether threads are in front of this one, what they hold together, and what all hold.
  template <class Op> bool before_me(T value, Op op, T& before, T& all) {
    const int rank = detail::rank();
    temp.at(rank) = value;
    __syncthreads();
    T sum = temp.at(0);
    for (int i = 1; i < N; i++) {
      if (i == rank) before = sum;
      sum = op(sum, temp.at(i));
    }
    all = sum;
    return rank > 0;
  }
  TempStorage& temp;
};

template <class T, int X, int items, BlockLoadAlgorithm algorithm = BLOCK_LOAD_DIRECT, int Y = 1, int Z = 1, int arch = 0>
class BlockLoad {
  static constexpr int N = X * Y * Z;
  static int place(int i) { return algorithm == BLOCK_LOAD_STRIPED ? i * N + detail::rank() : detail::rank() * items + i; }

 public:
  struct TempStorage {};
  BlockLoad() {}
  BlockLoad(TempStorage&) {}
  template <class From> void Load(From from, T (&out)[items]) {
    for (int i = 0; i < items; i++) out[i] = from[place(i)];
  }
  template <class From> void Load(From from, T (&out)[items], int valid) {
    for (int i = 0; i < items; i++)
      if (place(i) < valid) out[i] = from[place(i)];
  }
  template <class From, class Default> void Load(From from, T (&out)[items], int valid, Default other) {
    for (int i = 0; i < items; i++) out[i] = place(i) < valid ? T(from[place(i)]) : T(other);
  }
};

template <class T, int X, int items, BlockStoreAlgorithm algorithm = BLOCK_STORE_DIRECT, int Y = 1, int Z = 1, int arch = 0>
class BlockStore {
  static constexpr int N = X * Y * Z;
  static int place(int i) { return algorithm == BLOCK_STORE_STRIPED ? i * N + detail::rank() : detail::rank() * items + i; }

 public:
  struct TempStorage {};
  BlockStore() {}
  BlockStore(TempStorage&) {}
  template <class To> void Store(To to, T (&in)[items]) {
    for (int i = 0; i < items; i++) to[place(i)] = in[i];
  }
  template <class To> void Store(To to, T (&in)[items], int valid) {
    for (int i = 0; i < items; i++)
      if (place(i) < valid) to[place(i)] = in[i];
  }
};

template <class T, int X, int Y = 1, int Z = 1, int arch = 0>
class BlockShuffle {
  static constexpr int N = X * Y * Z;

 public:
  struct TempStorage { detail::Storage<T, N> first, last; };
  BlockShuffle() : temp(detail::own<TempStorage>()) {}
  BlockShuffle(TempStorage& storage) : temp(storage) {}
  void Offset(T in, T& out, int distance = 1) {
    const int from = put(in, in) + distance;
    if (from >= 0 && from < N) out = temp.first.at(from);
  }
  void Rotate(T in, T& out, unsigned int distance = 1) { out = temp.first.at((put(in, in) + distance) % N); }
  template <int items> void Up(T (&in)[items], T (&out)[items]) {
    const int rank = put(in[0], in[items - 1]);
    for (int i = items - 1; i > 0; i--) out[i] = in[i - 1];
    if (rank > 0) out[0] = temp.last.at(rank - 1);
  }
  template <int items> void Up(T (&in)[items], T (&out)[items], T& suffix) {
    Up(in, out);
    suffix = temp.last.at(N - 1);
  }
  template <int items> void Down(T (&in)[items], T (&out)[items]) {
    const int rank = put(in[0], in[items - 1]);
    for (int i = 0; i + 1 < items; i++) out[i] = in[i + 1];
    if (rank + 1 < N) out[items - 1] = temp.first.at(rank + 1);
  }
  template <int items> void Down(T (&in)[items], T (&out)[items], T& prefix) {
    Down(in, out);
    prefix = temp.first.at(0);
  }

 private:
  int put(T first, T last) {
    const int rank = detail::rank();
    temp.first.at(rank) = first;
    temp.last.at(rank) = last;
    __syncthreads();
    return rank;
  }
  TempStorage& temp;
};

template <class T, int X, int items, bool time_slicing = false, int Y = 1, int Z = 1, int arch = 0>
class BlockExchange {
  static constexpr int N = X * Y * Z;

 public:
  typedef detail::Storage<T, N * items> TempStorage;
  BlockExchange() : temp(detail::own<TempStorage>()) {}
  BlockExchange(TempStorage& storage) : temp(storage) {}
  void StripedToBlocked(T (&in)[items], T (&out)[items]) { move(in, out, N, 1, 1, items); }
  void BlockedToStriped(T (&in)[items], T (&out)[items]) { move(in, out, 1, items, N, 1); }
  void StripedToBlocked(T (&values)[items]) { StripedToBlocked(values, values); }
  void BlockedToStriped(T (&values)[items]) { BlockedToStriped(values, values); }

 private:
  // An item's place is its number times a step and the thread's times another.
  void move(T (&in)[items], T (&out)[items], int put, int put_rank, int take, int take_rank) {
    const int rank = detail::rank();
    for (int i = 0; i < items; i++) temp.at(i * put + rank * put_rank) = in[i];
    __syncthreads();
    for (int i = 0; i < items; i++) out[i] = temp.at(i * take + rank * take_rank);
  }
  TempStorage& temp;
};

template <class T, int width = 32, int arch = 0>
class WarpReduce {
  static_assert(width >= 1 && width <= 32, "a warp has 32 threads");

 public:
  typedef detail::Storage<T, width> TempStorage;
  WarpReduce(TempStorage& storage) : temp(storage) {}
  template <class Op> T Reduce(T value, Op op, int valid) {
    const int lane = detail::rank() % 32 % width, first = detail::rank() - lane;
    const int threads = blockDim.x * blockDim.y * blockDim.z - first, there = threads < width ? threads : width;
    temp.at(lane) = value;
    __syncwarp();
    const T result = lane == 0 ? detail::warp_fold(&temp.at(0), valid < there ? valid : there, op) : value;
    __syncwarp();
    return result;
  }
  template <class Op> T Reduce(T value, Op op) { return Reduce(value, op, width); }
  T Sum(T value) { return Reduce(value, cub::Sum(), width); }
  T Sum(T value, int valid) { return Reduce(value, cub::Sum(), valid); }

 private:
  TempStorage& temp;
};

template <class T, int width = 32, int arch = 0>
class WarpScan {
  static_assert(width >= 1 && width <= 32, "a warp has 32 threads");

 public:
  typedef detail::Storage<T, width> TempStorage;
  WarpScan(TempStorage& storage) : temp(storage) {}
  void InclusiveSum(T in, T& out) { InclusiveScan(in, out, cub::Sum()); }
  void InclusiveSum(T in, T& out, T& all) { InclusiveScan(in, out, cub::Sum(), all); }
  void ExclusiveSum(T in, T& out) { ExclusiveScan(in, out, T(), cub::Sum()); }
  void ExclusiveSum(T in, T& out, T& all) { ExclusiveScan(in, out, T(), cub::Sum(), all); }
  template <class Op> void InclusiveScan(T in, T& out, Op op) { T all; InclusiveScan(in, out, op, all); }
  template <class Op> void InclusiveScan(T in, T& out, Op op, T& all) {
    T before;
    out = before_me(in, op, before, all) ? T(op(before, in)) : in;
  }
  template <class Op> void ExclusiveScan(T in, T& out, T initial, Op op) { T all; ExclusiveScan(in, out, initial, op, all); }
  template <class Op> void ExclusiveScan(T in, T& out, T initial, Op op, T& all) {
    T before;
    out = before_me(in, op, before, all) ? T(op(initial, before)) : initial;
  }

 private:
  template <class Op> bool before_me(T value, Op op, T& before, T& all) {
    const int lane = detail::rank() % 32 % width, first = detail::rank() - lane;
    const int threads = blockDim.x * blockDim.y * blockDim.z - first, there = threads < width ? threads : width;
    temp.at(lane) = value;
    __syncwarp();
    T sum = temp.at(0);
    for (int i = 1; i < there; i++) {
      if (i == lane) before = sum;
      sum = op(sum, temp.at(i));
    }
    all = sum;
    __syncwarp();
    return lane > 0;
  }
  TempStorage& temp;
};
}  // namespace cub
