// Threads of a block as fibers of one host thread: barriers, warp votes and shuffles.
//
// A fiber runs until it waits or returns. When every fiber waits, the scheduler (on the host thread's own stack) completes
// what is complete: a block barrier once all threads that have not returned wait at it, a warp operation once all such lanes of its
// mask wait at it. When nothing is complete the kernel can never go on; that is reported, not waited for.
#pragma once

namespace cupool {

struct Launch {
  unsigned int grid[3];
  unsigned int block[3];
  unsigned long long shared_bytes;
  void** args;               // one pointer per parameter
  char* stacks;              // for fibers: block size times stack_bytes
  unsigned long long stack_bytes;
  char* message;             // what went wrong, when the result is not 0
  unsigned long long message_bytes;
  char* printed;             // what the kernel prints; what does not fit is dropped, as on a GPU
  unsigned long long printed_bytes, printed_used;
  unsigned int cooperative;  // all threads of the grid are fibers at once, with stacks for all
};

enum Outcome { OK = 0, TRAPPED = 1, DIVERGED = 2 };

struct Trap {};
static Launch* launch_;

[[noreturn]] inline __attribute__((noinline)) void trap(const char* what, const char* file, int line) {
  if (launch_) snprintf(launch_->message, launch_->message_bytes, "%s (%s:%d, block %u,%u,%u thread %u,%u,%u)", what, file, line,
                        blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
  throw Trap();
}

template <class... A>
inline __attribute__((noinline)) int print(const char* format, A... a) {
  Launch* l = launch_;
  if (!l || !l->printed || l->printed_used >= l->printed_bytes) return -1;
  char* to = l->printed + l->printed_used;
  unsigned long long room = l->printed_bytes - l->printed_used;
  int n;
  if constexpr (sizeof...(A) == 0) n = snprintf(to, room, "%s", format);
  else n = snprintf(to, room, format, a...);
  if (n < 0 || (unsigned long long)n >= room) {
    *to = 0;  // not half a line
    l->printed_bytes = l->printed_used;
    return -1;
  }
  l->printed_used += n;
  return (int)sizeof...(A);
}

enum State : unsigned char { READY, AT_BARRIER, AT_WARP, AT_ACTIVE, AT_GRID, DONE };
enum Vote : unsigned char { SYNC, SHUFFLE, BALLOT, MATCH_ANY, MATCH_ALL };

struct Fiber {
  void* context;             // saved stack pointer (or ucontext_t) while it does not run
  unsigned int index;
  int stack;
  State state;
  Vote vote;
  unsigned int mask;
  int source;                // lane that a shuffle reads
  int value;                 // predicate, posted; for barriers and ballots
  unsigned int answer;
  unsigned int bytes;
  unsigned char post[16], got[16];
};

static const unsigned int MAX_THREADS = 1024;
static Fiber block_fibers_[MAX_THREADS];
static Fiber* fibers_ = block_fibers_;  // of the block that the scheduler looks at
static Fiber* current_;
static void* scheduler_;
static void (*body_)(void**);
static bool trapped_;

#if defined(__x86_64__) && !defined(CUPOOL_UCONTEXT)
// noipa: the compiler must not conclude from the body which registers survive.
__attribute__((naked, noipa, unused)) static void switch_to(void**, void*) {
  asm volatile(
      "pushq %%rbp\n\tpushq %%rbx\n\tpushq %%r12\n\tpushq %%r13\n\tpushq %%r14\n\tpushq %%r15\n\t"
      "movq %%rsp, (%%rdi)\n\tmovq %%rsi, %%rsp\n\t"
      "popq %%r15\n\tpopq %%r14\n\tpopq %%r13\n\tpopq %%r12\n\tpopq %%rbx\n\tpopq %%rbp\n\tret\n\t" ::: "memory");
}

inline void* new_context(char* stack, unsigned long long bytes, void (*entry)()) {
  void** top = reinterpret_cast<void**>((reinterpret_cast<unsigned long>(stack) + bytes) & ~63ul);
  *--top = nullptr;  // what would be the caller's frame: keeps the stack aligned at entry
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; i++) *--top = nullptr;
  return top;
}
#else
static ucontext_t contexts_[MAX_THREADS + 1];
static int contexts_used_;

__attribute__((noinline, unused)) static void switch_to(void** save, void* to) {
  if (!*save) *save = &contexts_[MAX_THREADS];
  swapcontext(static_cast<ucontext_t*>(*save), static_cast<ucontext_t*>(to));
}

inline void* new_context(char* stack, unsigned long long bytes, void (*entry)()) {
  ucontext_t* context = &contexts_[contexts_used_++ % MAX_THREADS];
  getcontext(context);
  context->uc_stack.ss_sp = stack;
  context->uc_stack.ss_size = bytes;
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
  return context;
}
#endif

__attribute__((unused)) static void fiber_main() {
  for (;;) {
    try {
      body_(launch_->args);
    } catch (const Trap&) {
      trapped_ = true;
    }
    current_->state = DONE;
    switch_to(&current_->context, scheduler_);
  }
}

inline void wait_as(State state) {
  Fiber* self = current_;
  if (!self) trap("a barrier or warp operation was reached that the source does not name", "cupool", 0);
  self->state = state;
  switch_to(&self->context, scheduler_);
}

inline void resume(Fiber* f) {
  unsigned int i = f->index;
  threadIdx.x = i % blockDim.x;
  threadIdx.y = i / blockDim.x % blockDim.y;
  threadIdx.z = i / blockDim.x / blockDim.y;
  current_ = f;
  switch_to(&scheduler_, f->context);
}

inline bool finish_barrier(unsigned int n) {
  int count = 0, all = 1;
  for (unsigned int t = 0; t < n; t++) {
    if (fibers_[t].state == DONE) continue;
    if (fibers_[t].state != AT_BARRIER) return false;
    count += fibers_[t].value != 0;
    all &= fibers_[t].value != 0;
  }
  for (unsigned int t = 0; t < n; t++) {
    if (fibers_[t].state == DONE) continue;
    fibers_[t].answer = count;
    fibers_[t].value = all;
    fibers_[t].state = READY;
  }
  return true;
}

inline void answer(Fiber* lanes, unsigned int group, unsigned int lane) {
  Fiber& f = lanes[lane];
  memcpy(f.got, f.post, sizeof(f.got));
  if (f.vote == SHUFFLE) {
    if (f.source >= 0 && f.source < 32 && (group >> f.source & 1)) memcpy(f.got, lanes[f.source].post, sizeof(f.got));
    return;
  }
  unsigned int bits = 0;
  for (unsigned int other = 0; other < 32; other++)
    if (group >> other & 1) {
      bool yes = f.vote == BALLOT ? lanes[other].value != 0 : memcmp(lanes[other].post, f.post, f.bytes) == 0;
      bits |= (unsigned int)yes << other;
    }
  f.answer = f.vote == MATCH_ALL ? (bits == group ? group : 0) : bits;
}

// Completes warp operations of the warp that starts at thread `first`; says whether there was one.
inline bool finish_warp(unsigned int first, unsigned int n) {
  Fiber* lanes = fibers_ + first;
  unsigned int width = n - first < 32 ? n - first : 32, live = 0, seen = 0;
  bool any = false;
  for (unsigned int i = 0; i < width; i++)
    if (lanes[i].state != DONE) live |= 1u << i;
  for (unsigned int i = 0; i < width; i++) {
    if (lanes[i].state != AT_WARP || (seen >> i & 1)) continue;
    unsigned int mask = lanes[i].mask | 1u << i, group = mask & live;
    bool complete = true;
    for (unsigned int j = 0; j < width && complete; j++)
      if (group >> j & 1)
        complete = lanes[j].state == AT_WARP && (lanes[j].mask | 1u << j) == mask && lanes[j].vote == lanes[i].vote;
    if (!complete) continue;  // lanes of this group may be at an operation among fewer, which is looked at in its turn
    seen |= group;
    for (unsigned int j = 0; j < width; j++)
      if (group >> j & 1) answer(lanes, group, j);
    for (unsigned int j = 0; j < width; j++)
      if (group >> j & 1) lanes[j].state = READY;
    any = true;
  }
  return any;
}

// __activemask: the lanes that ask together, once no lane of the warp can run.
inline bool finish_active(unsigned int first, unsigned int n) {
  unsigned int end = n - first < 32 ? n : first + 32, bits = 0;
  for (unsigned int t = first; t < end; t++)
    if (fibers_[t].state == AT_ACTIVE) bits |= 1u << (t - first);
  for (unsigned int t = first; t < end; t++)
    if (fibers_[t].state == AT_ACTIVE) {
      fibers_[t].answer = bits;
      fibers_[t].state = READY;
    }
  return bits != 0;
}

inline bool release(unsigned int n) {
  if (finish_barrier(n)) return true;
  bool any = false;
  for (unsigned int first = 0; first < n; first += 32) any |= finish_warp(first, n);
  if (!any)
    for (unsigned int first = 0; first < n; first += 32) any |= finish_active(first, n);
  return any;
}

inline int diverged(unsigned int n) {
  unsigned int barrier = 0, warp = 0, done = 0, example = 0;
  for (unsigned int t = 0; t < n; t++) {
    done += fibers_[t].state == DONE;
    barrier += fibers_[t].state == AT_BARRIER;
    if (fibers_[t].state == AT_WARP) {
      if (!warp) example = t;
      warp++;
    }
  }
  snprintf(launch_->message, launch_->message_bytes,
           "barrier divergence in block %u,%u,%u: %u threads wait at __syncthreads, %u at a warp operation (the first is thread %u, "
           "mask 0x%08x), %u have returned%s; none can go on",
           blockIdx.x, blockIdx.y, blockIdx.z, barrier, warp, example, fibers_[example].mask, done,
           launch_->cooperative ? ", the others wait for the grid" : "");
  return DIVERGED;
}

// One block of `n` threads.
inline int run_fibers(unsigned int n) {
  static void* idle[MAX_THREADS];
  unsigned int free_stacks = 0, live = n;
  static unsigned int made;
  if (blockIdx.x == 0 && blockIdx.y == 0 && blockIdx.z == 0) made = 0;
  // Stacks made by earlier blocks of this launch rest in fiber_main, ready for another thread.
  static void* rested[MAX_THREADS];
  static unsigned int resting;
  if (made == 0) resting = 0;
  for (unsigned int i = 0; i < resting; i++) idle[free_stacks++] = rested[i];
  for (unsigned int t = 0; t < n; t++) {
    Fiber& f = fibers_[t];
    f.index = t;
    f.state = READY;
    if (free_stacks) {
      f.context = idle[--free_stacks];
    } else {
      f.context = new_context(launch_->stacks + launch_->stack_bytes * made, launch_->stack_bytes, fiber_main);
      made++;
    }
    resume(&f);
    if (f.state == DONE) {
      idle[free_stacks++] = f.context;
      live--;
    }
    if (trapped_) return TRAPPED;
  }
  while (live) {
    if (!release(n)) return diverged(n);
    for (unsigned int t = 0; t < n; t++) {
      Fiber& f = fibers_[t];
      if (f.state != READY) continue;
      resume(&f);
      if (f.state == DONE) {
        idle[free_stacks++] = f.context;
        live--;
      }
      if (trapped_) return TRAPPED;
    }
  }
  for (resting = 0; resting < free_stacks; resting++) rested[resting] = idle[resting];
  return OK;
}

// Shared variables of a cooperative kernel lie in a section of their own: each block has a copy, swapped in while it runs.
extern char shared_begin[] __asm__("__start_cupool_shared") __attribute__((weak, visibility("hidden")));
extern char shared_end[] __asm__("__stop_cupool_shared") __attribute__((weak, visibility("hidden")));
extern char dynamic_shared_[];

struct GridShared {
  char* copies;
  unsigned long long fixed, dynamic, current;
  bool any;

  void swap(unsigned long long block) {
    if (!any || block == current) {
      current = block;
      return;
    }
    char* old = copies + current * (fixed + dynamic);
    memcpy(old, shared_begin, fixed);
    memcpy(old + fixed, dynamic_shared_, dynamic);
    char* now = copies + block * (fixed + dynamic);
    memcpy(shared_begin, now, fixed);
    memcpy(dynamic_shared_, now + fixed, dynamic);
    current = block;
  }
};

// All blocks of a grid, `n` threads each.
inline int run_grid(unsigned int n) {
  Launch* l = launch_;
  const unsigned long long blocks = (unsigned long long)l->grid[0] * l->grid[1] * l->grid[2], total = blocks * n;
  Fiber* all = static_cast<Fiber*>(__builtin_calloc(total, sizeof(Fiber)));
  GridShared shared = {nullptr, (unsigned long long)(shared_end - shared_begin), l->shared_bytes, 0, false};
  shared.any = shared.fixed + shared.dynamic != 0;
  shared.copies = static_cast<char*>(__builtin_calloc(shared.any ? blocks : 1, shared.any ? shared.fixed + shared.dynamic : 1));
  int outcome = OK;
  unsigned long long live = total;
  if (!all || !shared.copies) trap("no memory for the threads of a cooperative grid", "cupool", 0);
  for (bool started = false; live && outcome == OK; started = true) {
    bool any = !started;
    if (started) {
      unsigned long long at_grid = 0;
      for (unsigned long long b = 0; b < blocks; b++) {
        fibers_ = all + b * n;
        any |= release(n);
      }
      for (unsigned long long t = 0; t < total; t++) at_grid += all[t].state == AT_GRID;
      if (!any && at_grid == live) {
        for (unsigned long long t = 0; t < total; t++)
          if (all[t].state == AT_GRID) all[t].state = READY;
        any = true;
      }
    }
    if (!any) {
      for (unsigned long long b = 0; b < blocks && outcome == OK; b++) {
        fibers_ = all + b * n;
        blockIdx.x = b % l->grid[0], blockIdx.y = b / l->grid[0] % l->grid[1], blockIdx.z = b / l->grid[0] / l->grid[1];
        for (unsigned int t = 0; t < n; t++)
          if (fibers_[t].state != DONE && fibers_[t].state != AT_GRID) outcome = DIVERGED;
      }
      outcome = diverged(n);
      break;
    }
    for (unsigned long long b = 0; b < blocks && outcome == OK; b++) {
      fibers_ = all + b * n;
      blockIdx.x = b % l->grid[0], blockIdx.y = b / l->grid[0] % l->grid[1], blockIdx.z = b / l->grid[0] / l->grid[1];
      for (unsigned int t = 0; t < n && outcome == OK; t++) {
        Fiber& f = fibers_[t];
        if (!started) {
          f.index = t;
          f.context = new_context(l->stacks + l->stack_bytes * (b * n + t), l->stack_bytes, fiber_main);
        }
        if (f.state != READY) continue;
        shared.swap(b);
        resume(&f);
        live -= f.state == DONE;
        if (trapped_) outcome = TRAPPED;
      }
    }
  }
  fibers_ = block_fibers_;
  __builtin_free(all);
  __builtin_free(shared.copies);
  return outcome;
}

inline void grid_barrier() {
  if (!launch_->cooperative)
    trap("the grid waits for all its blocks, and the kernel was not launched with enable_cooperative_groups=True", "cupool", 0);
  wait_as(AT_GRID);
}

inline unsigned int lane() { return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) & 31; }

inline void vote(Vote kind, unsigned int mask) {
  if (!current_) trap("a warp operation was reached that the source does not name", "cupool", 0);
  current_->vote = kind;
  current_->mask = mask;
  wait_as(AT_WARP);
}

template <class T>
inline T shuffle(unsigned int mask, T value, int source) {
  static_assert(sizeof(T) <= 16, "shuffles take values of up to 16 bytes");
  if (!current_) trap("a warp operation was reached that the source does not name", "cupool", 0);
  memcpy(current_->post, &value, sizeof(T));
  current_->source = source;
  vote(SHUFFLE, mask);
  T result;
  memcpy((void*)&result, current_->got, sizeof(T));
  return result;
}

inline int barrier(int value) {
  if (!current_) trap("a barrier was reached that the source does not name", "cupool", 0);
  current_->value = value;
  wait_as(AT_BARRIER);
  return (int)current_->answer;
}
}  // namespace cupool

inline void __syncthreads() { cupool::barrier(0); }
inline int __syncthreads_count(int predicate) { return cupool::barrier(predicate); }
inline int __syncthreads_or(int predicate) { return cupool::barrier(predicate) != 0; }
inline int __syncthreads_and(int predicate) {
  cupool::barrier(predicate);
  return cupool::current_->value;
}
inline void __syncwarp(unsigned int mask = 0xffffffffu) { cupool::vote(cupool::SYNC, mask); }
inline unsigned int __activemask() {
  cupool::wait_as(cupool::AT_ACTIVE);
  return cupool::current_->answer;
}
inline unsigned int __ballot_sync(unsigned int mask, int predicate) {
  if (cupool::current_) cupool::current_->value = predicate;
  cupool::vote(cupool::BALLOT, mask);
  return cupool::current_->answer;
}
inline int __any_sync(unsigned int mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned int mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

// `width` splits the warp into sections; a source outside the section gives the lane its own value.
template <class T>
inline T __shfl_sync(unsigned int mask, T value, int source, int width = 32) {
  int self = (int)cupool::lane();
  return cupool::shuffle(mask, value, (self & ~(width - 1)) | (source & (width - 1)));
}
template <class T>
inline T __shfl_up_sync(unsigned int mask, T value, unsigned int delta, int width = 32) {
  int self = (int)cupool::lane(), source = self - (int)delta;
  return cupool::shuffle(mask, value, source < (self & ~(width - 1)) ? self : source);
}
template <class T>
inline T __shfl_down_sync(unsigned int mask, T value, unsigned int delta, int width = 32) {
  int self = (int)cupool::lane(), source = self + (int)delta;
  return cupool::shuffle(mask, value, source > (self | (width - 1)) ? self : source);
}
template <class T>
inline T __shfl_xor_sync(unsigned int mask, T value, int bits, int width = 32) {
  int self = (int)cupool::lane(), source = self ^ bits;
  return cupool::shuffle(mask, value, source > (self | (width - 1)) ? self : source);
}
template <class T>
inline unsigned int __match_any_sync(unsigned int mask, T value) {
  if (cupool::current_) memcpy(cupool::current_->post, &value, cupool::current_->bytes = sizeof(T));
  cupool::vote(cupool::MATCH_ANY, mask);
  return cupool::current_->answer;
}
template <class T>
inline unsigned int __match_all_sync(unsigned int mask, T value, int* predicate) {
  if (cupool::current_) memcpy(cupool::current_->post, &value, cupool::current_->bytes = sizeof(T));
  cupool::vote(cupool::MATCH_ALL, mask);
  *predicate = cupool::current_->answer != 0;
  return cupool::current_->answer;
}

namespace cupool {
template <class T, class F>
inline T reduce_lanes(unsigned int mask, T value, F combine) {
  unsigned int live = __ballot_sync(mask, 1);
  T result = value;
  bool first = true;
  for (int i = 0; i < 32; i++)
    if (live >> i & 1) {
      T other = shuffle(mask, value, i);
      result = first ? other : combine(result, other);
      first = false;
    }
  return result;
}
}  // namespace cupool
#define CUPOOL_REDUCE(name, T, expr) \
  inline T name(unsigned int mask, T value) { return cupool::reduce_lanes(mask, value, [](T a, T b) -> T { return expr; }); }
CUPOOL_REDUCE(__reduce_add_sync, int, a + b)
CUPOOL_REDUCE(__reduce_add_sync, unsigned int, a + b)
CUPOOL_REDUCE(__reduce_min_sync, int, a < b ? a : b)
CUPOOL_REDUCE(__reduce_min_sync, unsigned int, a < b ? a : b)
CUPOOL_REDUCE(__reduce_max_sync, int, a > b ? a : b)
CUPOOL_REDUCE(__reduce_max_sync, unsigned int, a > b ? a : b)
CUPOOL_REDUCE(__reduce_and_sync, unsigned int, a & b)
CUPOOL_REDUCE(__reduce_or_sync, unsigned int, a | b)
CUPOOL_REDUCE(__reduce_xor_sync, unsigned int, a ^ b)
#undef CUPOOL_REDUCE

inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __nanosleep(unsigned int) {}
[[noreturn]] inline void __trap() { cupool::trap("__trap() was called", "kernel", 0); }
inline void __brkpt() {}
#if defined(__x86_64__)
inline long long clock64() { return (long long)__builtin_ia32_rdtsc(); }
#else
inline long long clock64() {
  unsigned long long ticks;
  asm volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return (long long)ticks;
}
#endif
