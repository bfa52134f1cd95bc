// What the server calls: a description of a kernel's parameters, and its launch.
#pragma once

namespace cupool {

struct Parameter {
  unsigned int bytes, alignment, kind;  // kind: 'p' pointer, 'i' integer, 'f' real, 's' anything else
};

template <class T>
constexpr unsigned int kind_of() {
  return std::is_pointer<T>::value ? 'p' : std::is_integral<T>::value || std::is_enum<T>::value ? 'i'
       : std::is_floating_point<T>::value ? 'f' : 's';
}

template <class T>
using Plain = typename std::remove_cv<typename std::remove_reference<T>::type>::type;

template <class... P>
inline int describe(void (*)(P...), Parameter* out, int room) {
  Parameter all[] = {{sizeof(Plain<P>), alignof(Plain<P>), kind_of<Plain<P>>()}..., {0, 0, 0}};
  for (int i = 0; i < (int)sizeof...(P) && i < room; i++) out[i] = all[i];
  return (int)sizeof...(P);
}

template <auto kernel, class... P, std::size_t... I>
inline __attribute__((always_inline)) void call(void (*)(P...), void** args, std::index_sequence<I...>) {
  (void)args;
  kernel(*static_cast<Plain<P>*>(args[I])...);
}

// The threads of one row of a block. The arguments are read once: a store of the kernel's could change them where they lie.
template <auto kernel, class... P, std::size_t... I>
inline __attribute__((flatten)) void run_row(void (*)(P...), void** args, unsigned int n, std::index_sequence<I...>) {
  (void)args;
  [n](Plain<P>... values) {
    for (unsigned int x = 0; x < n; x++) {
      threadIdx.x = x;
      kernel(values...);
    }
  }(*static_cast<Plain<P>*>(args[I])...);
}

template <auto kernel, class... P>
void body(void** args) {
  call<kernel>(static_cast<void (*)(P...)>(kernel), args, std::index_sequence_for<P...>());
}

// Blocks in order, x fastest; threads of a block in order or, with barriers, as fibers.
template <auto kernel, bool fibers, class... P>
inline int launch(void (*function)(P...), Launch* l) {
  launch_ = l;
  gridDim = dim3(l->grid[0], l->grid[1], l->grid[2]);
  blockDim = dim3(l->block[0], l->block[1], l->block[2]);
  current_ = nullptr;
  trapped_ = false;
  int outcome = OK;
  if constexpr (fibers) {
    if (l->cooperative) {
      body_ = body<kernel, P...>;
      try {
        outcome = run_grid(l->block[0] * l->block[1] * l->block[2]);
      } catch (const Trap&) {
        outcome = TRAPPED;
      }
      goto out;
    }
  }
  try {
    for (unsigned int z = 0; z < l->grid[2]; z++)
      for (unsigned int y = 0; y < l->grid[1]; y++)
        for (unsigned int x = 0; x < l->grid[0]; x++) {
          blockIdx.x = x;
          blockIdx.y = y;
          blockIdx.z = z;
          if (fibers) {
            body_ = body<kernel, P...>;
            outcome = run_fibers(l->block[0] * l->block[1] * l->block[2]);
            if (outcome != OK) goto out;
            continue;
          }
          for (unsigned int tz = 0; tz < l->block[2]; tz++)
            for (unsigned int ty = 0; ty < l->block[1]; ty++) {
              threadIdx.y = ty;
              threadIdx.z = tz;
              run_row<kernel>(function, l->args, l->block[0], std::index_sequence_for<P...>());
            }
        }
  } catch (const Trap&) {
    outcome = TRAPPED;
  }
out:
  launch_ = nullptr;
  current_ = nullptr;
  return outcome;
}

__attribute__((aligned(1024), used, visibility("hidden"))) char dynamic_shared_[232448];
}  // namespace cupool

// One pair of entry points per kernel; `index` numbers them.
#define CUPOOL_KERNEL(index, fibers, ...)                                                                             \
  extern "C" __attribute__((visibility("default"))) int cupool_describe_##index(cupool::Parameter* out, int room) {  \
    return cupool::describe(static_cast<decltype(&__VA_ARGS__)>(&__VA_ARGS__), out, room);                            \
  }                                                                                                                   \
  extern "C" __attribute__((visibility("default"))) int cupool_launch_##index(cupool::Launch* l) {                   \
    return cupool::launch<&__VA_ARGS__, fibers>(&__VA_ARGS__, l);                                                     \
  }
