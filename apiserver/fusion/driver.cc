// Runs the blocks of a segment on several cores, without the interpreter: NumPy's own loops, called by their addresses.
//
// A segment comes as tables of 64-bit words, made by lowering.py, which proves that no step leaves its memory: here nothing is checked.
// A team of threads lives as long as a window runs. Each has scratch of its own, and takes pieces of the segment that is there, one after
// another; whoever calls works too, and waits for nobody who has not begun: a core that is busy costs nothing but itself. Pieces are
// blocks; of a segment with a late write (see Note [Late writes] in segments.py) they are runs of blocks, and what a run's neighbours
// read of its first and its last block may not be written before they have read it, so those two are written at the end.
// Segments may run as the stages of a wave, see waves.py: a stage runs a block as soon as the stage before it is some blocks further.
#pragma GCC optimize("O3")
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

namespace driver {

// The headers of kernels, which come before, have integers of their own; <signal.h> cannot be read with them.
using int8_t = signed char;
using uint8_t = unsigned char;
using int16_t = short;
using uint16_t = unsigned short;
using int32_t = int;
using uint32_t = unsigned;
using int64_t = long;
using uint64_t = unsigned long;
using intptr_t = long;
static_assert(sizeof(int64_t) == 8 && sizeof(void *) == 8, "tables are of 64-bit words");

struct Signals {
    unsigned long words[128 / sizeof(unsigned long)];
};
extern "C" int pthread_sigmask(int how, const Signals *wanted, Signals *before);
constexpr int SET_MASK = 2;

typedef int (*Loop)(void *context, char *const *data, const intptr_t *dimensions, const intptr_t *strides, void *auxiliary);

constexpr int OPERANDS = 4, DIMENSIONS = 8, MOST_THREADS = 256, MOST_STAGES = 16, STACK_BYTES = 512 << 10;
// A multiple of every vector's elements, as in proof.py.
constexpr long UNIT = 64;

// Kinds of slots, in the order of lowering.py: memory moves on by `step` bytes a row; scratch begins at `base` of a thread's own; turning
// scratch is three pieces of `step` bytes for each run: one for its first block, two that take turns.
enum { MEMORY, SCRATCH, TURNING };
enum { LOOP, CAST, COPY, WHERE, ROWS, TOTAL, COUNT, CHUNKS, PACKED };

struct Slot {
    int64_t kind, base, step;
};

// Dimension 0 is rows: as many as the block has, times `factor` where inner ones are one with it. `strides` are in bytes.
struct Step {
    int64_t op, operands, dimensions, factor;
    int64_t loop, context, auxiliary;  // of LOOP, CHUNKS, PACKED, ROWS and TOTAL
    int64_t detail;                    // CAST: which; COPY and WHERE: bytes of an element; CHUNKS: rows of a chunk; ROWS: 1 a mean, 2 its root
    int64_t first;                     // ROWS and TOTAL begin with: 1 the first element, 0 what `begin` holds; CHUNKS, PACKED: all rows
    int64_t begin;                     // and where in scratch CHUNKS and PACKED have room
    int64_t bytes;                     // of an element of the result
    int64_t parts;                     // TOTAL and COUNT: where the blocks' results go
    int64_t slots[OPERANDS];           // operands, then the result
    int64_t sizes[DIMENSIONS];
    int64_t strides[OPERANDS][DIMENSIONS];
};

struct Block {
    int64_t low, high, first, last;
};

struct Waiting {
    char *from;
    int64_t block;  // -1: none
};

// A run of blocks of a segment that writes late.
struct Run {
    Waiting first, last;
};

struct Segment {
    const Slot *slots;
    const Step *steps;
    int64_t step_count;
    const Block *blocks;
    int64_t block_count;
    const Step *late;
    char *scratch;
    int64_t scratch_bytes;
    char *turning;
    Run *runs;
    int64_t pieces, next, failed;
    int64_t threads;  // that there is scratch for
};

// -- casts, as C has them and so NumPy ----------------------------------------------------------------------------------

template <class To, class From> struct As {
    static To of(From x) { return static_cast<To>(x); }
};
struct Bool {
    unsigned char value;
};
template <class From> struct As<Bool, From> {
    static Bool of(From x) { return Bool{static_cast<unsigned char>(x != 0)}; }
};
template <class To> struct As<To, Bool> {
    static To of(Bool x) { return static_cast<To>(x.value != 0); }
};
template <> struct As<Bool, Bool> {
    static Bool of(Bool x) { return Bool{static_cast<unsigned char>(x.value != 0)}; }
};

typedef void (*Cast)(char *from, intptr_t step_from, char *to, intptr_t step_to, intptr_t n);

template <class To, class From> void cast(char *from, intptr_t step_from, char *to, intptr_t step_to, intptr_t n) {
    if (step_from == sizeof(From) && step_to == sizeof(To)) {
        const From *a = reinterpret_cast<const From *>(from);
        To *b = reinterpret_cast<To *>(to);
        for (intptr_t i = 0; i < n; i++) b[i] = As<To, From>::of(a[i]);
    } else {
        for (intptr_t i = 0; i < n; i++, from += step_from, to += step_to)
            *reinterpret_cast<To *>(to) = As<To, From>::of(*reinterpret_cast<const From *>(from));
    }
}

// In the order of lowering.py's KINDS.
#define CASTS_TO(To)                                                                                                         \
    {cast<To, Bool>, cast<To, int8_t>, cast<To, uint8_t>, cast<To, int16_t>, cast<To, uint16_t>, cast<To, int32_t>,          \
     cast<To, uint32_t>, cast<To, int64_t>, cast<To, uint64_t>, cast<To, float>, cast<To, double>}
const Cast casts[11][11] = {CASTS_TO(Bool),     CASTS_TO(int8_t),   CASTS_TO(uint8_t), CASTS_TO(int16_t),
                            CASTS_TO(uint16_t), CASTS_TO(int32_t),  CASTS_TO(uint32_t), CASTS_TO(int64_t),
                            CASTS_TO(uint64_t), CASTS_TO(float),    CASTS_TO(double)};

// -- copies -------------------------------------------------------------------------------------------------------------

template <class T> void copy_strided(char *from, intptr_t step_from, char *to, intptr_t step_to, intptr_t n) {
    for (intptr_t i = 0; i < n; i++, from += step_from, to += step_to) memcpy(to, from, sizeof(T));
}

void copy(int64_t bytes, char *from, intptr_t step_from, char *to, intptr_t step_to, intptr_t n) {
    if (step_from == bytes && step_to == bytes) memmove(to, from, n * bytes);
    else if (bytes == 8) copy_strided<int64_t>(from, step_from, to, step_to, n);
    else if (bytes == 4) copy_strided<int32_t>(from, step_from, to, step_to, n);
    else if (bytes == 2) copy_strided<int16_t>(from, step_from, to, step_to, n);
    else copy_strided<char>(from, step_from, to, step_to, n);
}

template <class T> void choose_packed(const unsigned char *mask, const T *x, const T *y, intptr_t is_array, T *to, intptr_t n) {
    if (is_array) {
        for (intptr_t i = 0; i < n; i++) {
            T a = x[i], b = y[i];
            to[i] = mask[i] ? a : b;
        }
    } else {
        T b = y[0];
        for (intptr_t i = 0; i < n; i++) {
            T a = x[i];
            to[i] = mask[i] ? a : b;
        }
    }
}

template <class T> void choose_of(char *const *p, const intptr_t *s, intptr_t n) {
    if (s[0] == 1 && s[1] == sizeof(T) && (s[2] == sizeof(T) || !s[2]) && s[3] == sizeof(T)) {
        choose_packed(reinterpret_cast<const unsigned char *>(p[0]), reinterpret_cast<const T *>(p[1]),
                      reinterpret_cast<const T *>(p[2]), s[2], reinterpret_cast<T *>(p[3]), n);
        return;
    }
    for (intptr_t i = 0; i < n; i++)
        memcpy(p[3] + i * s[3], p[0][i * s[0]] ? p[1] + i * s[1] : p[2] + i * s[2], sizeof(T));
}

void choose(int64_t bytes, char *const *p, const intptr_t *s, intptr_t n) {
    if (bytes == 8) choose_of<int64_t>(p, s, n);
    else if (bytes == 4) choose_of<int32_t>(p, s, n);
    else if (bytes == 2) choose_of<int16_t>(p, s, n);
    else choose_of<char>(p, s, n);
}

// -- one step of one block ----------------------------------------------------------------------------------------------

// ROWS and TOTAL: as NumPy reduces, the result being both the first operand and the result of the loop.
int reduce(const Step &step, char *from, intptr_t stride, char *result, intptr_t n) {
    if (step.first) {
        memcpy(result, from, step.bytes);
        from += stride;
        n--;
    } else {
        memcpy(result, reinterpret_cast<const char *>(step.begin), step.bytes);
    }
    if (!n) return 0;
    char *data[3] = {result, from, result};
    const intptr_t strides[3] = {0, stride, 0};
    return reinterpret_cast<Loop>(step.loop)(reinterpret_cast<void *>(step.context), data, &n, strides,
                                             reinterpret_cast<void *>(step.auxiliary));
}

template <class T> void over_count_of(char *sum, intptr_t n, bool root) {
    T *at = reinterpret_cast<T *>(sum);
    *at /= static_cast<T>(n);
    if (root) *at = sizeof(T) == 4 ? __builtin_sqrtf(*at) : __builtin_sqrt(*at);
}

// A sum of floating point numbers, as a mean, or the root of it.
void over_count(int64_t bytes, char *sum, intptr_t n, bool root) {
    if (bytes == 4) over_count_of<float>(sum, n, root);
    else over_count_of<double>(sum, n, root);
}

int inner(const Step &step, char *const *p, const intptr_t *s, intptr_t n) {
    switch (step.op) {
    case LOOP: {
        char *data[OPERANDS] = {p[0], p[1], p[2], p[3]};
        return reinterpret_cast<Loop>(step.loop)(reinterpret_cast<void *>(step.context), data, &n, s,
                                                 reinterpret_cast<void *>(step.auxiliary));
    }
    case CAST: casts[step.detail / 16][step.detail % 16](p[0], s[0], p[1], s[1], n); return 0;
    case COPY: copy(step.detail, p[0], s[0], p[1], s[1], n); return 0;
    case WHERE: choose(step.detail, p, s, n); return 0;
    default: {
        const int failed = reduce(step, p[0], s[0], p[1], n);
        if (step.detail) over_count(step.bytes, p[1], n, step.detail == 2);
        return failed;
    }
    }
}

int run_step(const Step &step, char *const *bases, int64_t rows) {
    const int k = static_cast<int>(step.dimensions) - 1;  // the innermost
    int64_t sizes[DIMENSIONS], at[DIMENSIONS] = {};
    for (int d = 0; d <= k; d++) sizes[d] = step.sizes[d];
    sizes[0] = rows * step.factor;
    char *p[OPERANDS] = {};
    intptr_t s[OPERANDS] = {};
    for (int o = 0; o < step.operands; o++) {
        p[o] = bases[o];
        s[o] = step.strides[o][k];
    }
    for (;;) {
        if (int failed = inner(step, p, s, sizes[k])) return failed;
        int d = k - 1;
        for (; d >= 0; d--) {
            if (++at[d] < sizes[d]) {
                for (int o = 0; o < step.operands; o++) p[o] += step.strides[o][d];
                break;
            }
            at[d] = 0;
            for (int o = 0; o < step.operands; o++) p[o] -= (sizes[d] - 1) * step.strides[o][d];
        }
        if (d < 0) return 0;
    }
}

// CHUNKS: rows of `n` elements, which NumPy joins to chunks of `detail` rows in its buffers before it calls the loop: then only the last
// elements of a chunk are a loop's tail. So the end of a row is computed as a part of whole vectors, beside the row, and put in its place.
int run_chunks(const Step &step, char *const *bases, const Block &block, char *room) {
    const int64_t n = step.sizes[1], results = step.operands - 1, width = step.strides[results][1];
    char *const side = room + (OPERANDS - 1) * n * 8;
    const Loop loop = reinterpret_cast<Loop>(step.loop);
    void *const context = reinterpret_cast<void *>(step.context), *const auxiliary = reinterpret_cast<void *>(step.auxiliary);
    intptr_t strides[OPERANDS] = {};
    for (int64_t row = block.low; row < block.high; row++) {
        char *data[OPERANDS] = {};
        for (int o = 0; o <= results; o++) {
            data[o] = bases[o] + (row - block.low) * step.strides[o][0];
            strides[o] = step.strides[o][1];
            const int64_t bytes = step.sizes[2 + o];  // of an element
            if (o < results && strides[o] != bytes && (strides[o] || step.strides[o][0])) {
                char *to = room + o * n * 8;
                copy(bytes, data[o], strides[o], to, bytes, n);
                data[o] = to;
                strides[o] = bytes;
            }
        }
        const int64_t at = row % step.detail;
        const int64_t tail = at == step.detail - 1 || row == step.first - 1 ? (at + 1) * n % UNIT : 0;
        const int64_t body = n - tail, rest = body % UNIT, whole = body - rest;
        int failed = 0;
        auto run = [&](int64_t from, int64_t length, char *result) {
            char *part[OPERANDS] = {};
            for (int o = 0; o < results; o++) part[o] = data[o] + from * strides[o];
            part[results] = result;
            const intptr_t count = length;
            failed |= loop(context, part, &count, strides, auxiliary);
        };
        // The end first: the result may lie over an operand.
        if (rest) run(body - UNIT, UNIT, side);
        run(0, whole, data[results]);
        if (rest) memcpy(data[results] + whole * width, side + (UNIT - rest) * width, rest * width);
        if (tail) run(body, tail, data[results] + body * width);
        if (failed) return failed;
    }
    return 0;
}

// PACKED: a loop over packed operands, of a block that may end within a vector: there the last elements are computed as a part of a whole one,
// beside, for only the last elements of all rows are the loop's tail.
int run_packed(const Step &step, char *const *bases, const Block &block, char *side) {
    const int64_t results = step.operands - 1, n = (block.high - block.low) * step.factor, width = step.strides[results][0];
    const int64_t tail = block.high == step.first ? step.first * step.factor % UNIT : 0;
    const int64_t body = n - tail, rest = body % UNIT, whole = body - rest;
    int failed = 0;
    auto run = [&](int64_t from, int64_t length, char *result) {
        char *part[OPERANDS] = {};
        intptr_t strides[OPERANDS] = {};
        for (int o = 0; o <= results; o++) {
            strides[o] = step.strides[o][0];
            part[o] = bases[o] + from * strides[o];
        }
        part[results] = result;
        const intptr_t some = length;
        failed |= reinterpret_cast<Loop>(step.loop)(reinterpret_cast<void *>(step.context), part, &some, strides,
                                                    reinterpret_cast<void *>(step.auxiliary));
    };
    // The end first: the result may lie over an operand.
    if (rest) run(body - UNIT, UNIT, side);
    run(0, whole, bases[results]);
    if (rest) memcpy(bases[results] + whole * width, side + (UNIT - rest) * width, rest * width);
    if (tail) run(body, tail, bases[results] + body * width);
    return failed;
}

int64_t count(const char *from, int64_t n) {
    const unsigned char *x = reinterpret_cast<const unsigned char *>(from);
    int64_t total = 0;
    while (n > 0) {
        int64_t some = n < 1 << 14 ? n : 1 << 14;
        uint32_t part = 0;
        for (int64_t i = 0; i < some; i++) part += x[i] != 0;
        total += part, x += some, n -= some;
    }
    return total;
}

// -- blocks -------------------------------------------------------------------------------------------------------------

char *where(const Segment &segment, const Slot &slot, char *scratch, const Block &block, int64_t run, int64_t turn) {
    switch (slot.kind) {
    case MEMORY: return reinterpret_cast<char *>(slot.base) + block.low * slot.step;
    case SCRATCH: return scratch + slot.base;
    default: return segment.turning + (3 * run + turn) * slot.step;
    }
}

void write_late(const Segment &segment, const Waiting &waiting) {
    if (waiting.block < 0) return;
    const Block &block = segment.blocks[waiting.block];
    char *to = where(segment, segment.slots[segment.late->slots[1]], nullptr, block, 0, 0);
    char *bases[OPERANDS] = {waiting.from, to};
    run_step(*segment.late, bases, block.high - block.low);
}

void run_block(Segment &segment, char *scratch, int64_t number, int64_t run, int64_t turn) {
    const Block &block = segment.blocks[number];
    for (int64_t k = 0; k < segment.step_count; k++) {
        const Step &step = segment.steps[k];
        char *bases[OPERANDS] = {};
        for (int o = 0; o < step.operands; o++)
            bases[o] = where(segment, segment.slots[step.slots[o]], scratch, block, run, turn);
        int failed = 0;
        if (step.op == TOTAL || step.op == COUNT) {
            const int64_t n = (block.last - block.first) * step.factor;
            char *from = bases[0] + (block.first - block.low) * step.factor * step.strides[0][0];
            char *part = reinterpret_cast<char *>(step.parts) + number * step.bytes;
            if (step.op == COUNT) {
                int64_t found = count(from, n);
                memcpy(part, &found, sizeof found);
            } else {
                failed = reduce(step, from, step.strides[0][0], part, n);
            }
        } else if (step.op == CHUNKS) {
            failed = run_chunks(step, bases, block, scratch + step.begin);
        } else if (step.op == PACKED) {
            failed = run_packed(step, bases, block, scratch + step.begin);
        } else {
            failed = run_step(step, bases, block.high - block.low);
        }
        if (failed) __atomic_store_n(&segment.failed, 1, __ATOMIC_RELAXED);
    }
}

void run_late(Segment &segment, char *scratch, int64_t run) {
    const int64_t low = segment.block_count * run / segment.pieces, high = segment.block_count * (run + 1) / segment.pieces;
    const Slot &slot = segment.slots[segment.late->slots[0]];
    Waiting waiting = {nullptr, -1};
    for (int64_t number = low; number < high; number++) {
        const int64_t turn = number == low ? 0 : 1 + (number & 1);
        run_block(segment, scratch, number, run, turn);
        if (waiting.block == low) segment.runs[run].first = waiting;
        else write_late(segment, waiting);
        waiting = {where(segment, slot, scratch, segment.blocks[number], run, turn), number};
    }
    segment.runs[run].last = waiting;
}

void take_pieces(Segment &segment, int64_t worker) {
    char *scratch = segment.scratch + worker * segment.scratch_bytes;
    int64_t piece;
    while ((piece = __atomic_fetch_add(&segment.next, 1, __ATOMIC_RELAXED)) < segment.pieces) {
        if (segment.late) run_late(segment, scratch, piece);
        else run_block(segment, scratch, piece, 0, 0);
    }
}

// -- waves --------------------------------------------------------------------------------------------------------------

struct Stage {
    Segment segment;
    int64_t next, done, busy;  // done: so many blocks are computed and written
    Waiting waiting;
};

struct Wave {
    Stage *stages;
    int64_t count, lag, threads, scratch_bytes;
    char *scratch;
};

// Run a stage's next block, where the stage before has come far enough. The caller holds `busy`.
bool advance(Wave &wave, int64_t number, char *scratch) {
    Stage &stage = wave.stages[number];
    Segment &segment = stage.segment;
    const int64_t block = stage.next, all = segment.block_count;
    if (block >= all) return false;
    const int64_t needed = block + wave.lag < all ? block + wave.lag : all;
    if (number && __atomic_load_n(&wave.stages[number - 1].done, __ATOMIC_ACQUIRE) < needed) return false;
    int64_t done = block + 1;
    const int64_t turn = block & 1;
    run_block(segment, scratch, block, 0, turn);
    if (segment.late) {
        write_late(segment, stage.waiting);
        stage.waiting = {where(segment, segment.slots[segment.late->slots[0]], scratch, segment.blocks[block], 0, turn), block};
        if (done == all) write_late(segment, stage.waiting);
        else done = block;
    }
    stage.next = block + 1;
    __atomic_store_n(&stage.done, done, __ATOMIC_RELEASE);
    return true;
}

inline void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

// Looks before a thread sleeps or gives way: some tens of microseconds, about what is between two segments.
constexpr int LOOKS = 4000;

// A thread prefers its own share of the stages, of those the last one that can go on: what it reads has just been written.
void take_wave(Wave &wave, int64_t worker) {
    char *scratch = wave.scratch + worker * wave.scratch_bytes;
    const Stage &last = wave.stages[wave.count - 1];
    const int64_t from = wave.count * (worker + 1) / wave.threads - 1;
    int idle = 0;
    while (__atomic_load_n(&last.done, __ATOMIC_ACQUIRE) < last.segment.block_count) {
        bool has_run = false;
        for (int64_t k = 0; k < wave.count && !has_run; k++) {
            const int64_t number = (from - k + wave.count) % wave.count;
            Stage &stage = wave.stages[number];
            if (__atomic_load_n(&stage.busy, __ATOMIC_RELAXED) || __atomic_exchange_n(&stage.busy, 1, __ATOMIC_ACQUIRE)) continue;
            while (advance(wave, number, scratch)) {
                has_run = true;
                if (stage.next & 1) break;
            }
            __atomic_store_n(&stage.busy, 0, __ATOMIC_RELEASE);
        }
        if (has_run) idle = 0;
        else if (++idle < LOOKS) pause();
        else sched_yield();
    }
}

// -- the team -----------------------------------------------------------------------------------------------------------

struct Team {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    // How many segments there were, times 65536, and how many workers are at the last of them; OPEN while they may begin.
    int64_t state;
    int64_t ending, holders, threads;
    Segment segment;
    Run runs[2 * MOST_THREADS];
    Stage stages[MOST_STAGES];
    Wave wave;  // of no stages: `segment` is what runs
    fenv_t environment;
};

struct Worker {
    Team *team;
    int64_t number;
};

constexpr int64_t ONE = 1 << 16, OPEN = 1 << 15;

void let_go(Team *team) {
    if (__atomic_sub_fetch(&team->holders, 1, __ATOMIC_ACQ_REL)) return;
    pthread_mutex_destroy(&team->lock);
    pthread_cond_destroy(&team->changed);
    free(team);
}

int64_t state_of(Team *team) { return __atomic_load_n(&team->state, __ATOMIC_ACQUIRE); }
bool ends(Team *team) { return __atomic_load_n(&team->ending, __ATOMIC_ACQUIRE); }

void *work(void *given) {
    const Worker worker = *static_cast<Worker *>(given);
    free(given);
    Team *team = worker.team;
    fesetenv(&team->environment);
    int64_t seen = 0;
    while (!ends(team)) {
        int64_t state = state_of(team);
        for (int k = 0; k < LOOKS && state / ONE == seen && !ends(team); k++) {
            pause();
            state = state_of(team);
        }
        if (state / ONE == seen) {
            pthread_mutex_lock(&team->lock);
            while (state_of(team) / ONE == seen && !ends(team)) pthread_cond_wait(&team->changed, &team->lock);
            pthread_mutex_unlock(&team->lock);
            continue;
        }
        if (!(state & OPEN)) {
            seen = state / ONE;
            continue;
        }
        if (!__atomic_compare_exchange_n(&team->state, &state, state + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) continue;
        seen = state / ONE;
        if (team->wave.count) {
            if (worker.number < team->wave.threads) take_wave(team->wave, worker.number);
        } else if (worker.number < team->segment.threads) {
            take_pieces(team->segment, worker.number);
        }
        __atomic_sub_fetch(&team->state, 1, __ATOMIC_ACQ_REL);
    }
    let_go(team);
    return nullptr;
}

}  // namespace driver

#define EXPORTED extern "C" __attribute__((visibility("default")))

// A team of so many threads, the caller among them; null where there is no memory. Fewer where the system gives no more.
EXPORTED void *cupool_fusion_open(long threads) {
    using namespace driver;
    Team *team = static_cast<Team *>(calloc(1, sizeof(Team)));
    if (!team) return nullptr;
    team->threads = threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : threads;
    team->holders = 1;
    pthread_mutex_init(&team->lock, nullptr);
    pthread_cond_init(&team->changed, nullptr);
    fegetenv(&team->environment);
    if (team->threads == 1) return team;
    Signals all, before;
    memset(&all, 0xff, sizeof all);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    // Signals are the interpreter's: no thread of ours takes one.
    pthread_sigmask(SET_MASK, &all, &before);
    for (int64_t k = 1; k < team->threads; k++) {
        Worker *worker = static_cast<Worker *>(malloc(sizeof(Worker)));
        if (!worker) break;
        *worker = {team, k};
        __atomic_add_fetch(&team->holders, 1, __ATOMIC_ACQ_REL);
        pthread_t thread;
        if (pthread_create(&thread, &attributes, work, worker)) {
            free(worker);
            __atomic_sub_fetch(&team->holders, 1, __ATOMIC_ACQ_REL);
            break;
        }
    }
    pthread_sigmask(SET_MASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    return team;
}

// No thread touches anything of a segment's after this, nor after `run`; one that has not begun ends when it does.
EXPORTED void cupool_fusion_close(void *given) {
    using namespace driver;
    Team *team = static_cast<Team *>(given);
    pthread_mutex_lock(&team->lock);
    __atomic_store_n(&team->ending, 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&team->changed);
    pthread_mutex_unlock(&team->lock);
    let_go(team);
}

namespace driver {

void read(Segment &segment, const long *words) {
    segment = {};
    segment.slots = reinterpret_cast<const Slot *>(words[0]);
    segment.steps = reinterpret_cast<const Step *>(words[1]);
    segment.step_count = words[2];
    segment.blocks = reinterpret_cast<const Block *>(words[3]);
    segment.block_count = words[4];
    segment.late = reinterpret_cast<const Step *>(words[5]);
    segment.scratch_bytes = words[6];
}

// The others may begin at what the team has.
void begin(Team *team) {
    pthread_mutex_lock(&team->lock);
    __atomic_store_n(&team->state, (state_of(team) / ONE + 1) * ONE + OPEN, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&team->changed);
    pthread_mutex_unlock(&team->lock);
}

// Nobody begins any more; those who have are waited for.
void end(Team *team) {
    __atomic_and_fetch(&team->state, ~OPEN, __ATOMIC_ACQ_REL);
    for (int k = 0; state_of(team) % ONE; k++) {
        if (k < LOOKS) pause();
        else sched_yield();
    }
}

}  // namespace driver

// Run a segment. `words`: as lowering.py writes them; `scratch` is for all threads that they name. 0, or 1 where a loop failed.
EXPORTED long cupool_fusion_run(void *given, const long *words, char *scratch) {
    using namespace driver;
    Team *team = static_cast<Team *>(given);
    Segment &segment = team->segment;
    team->wave.count = 0;
    read(segment, words);
    segment.scratch = scratch;
    segment.turning = scratch + words[7];
    segment.pieces = segment.late ? words[8] : segment.block_count;
    segment.runs = team->runs;
    for (int64_t k = 0; segment.late && k < segment.pieces; k++) team->runs[k] = {{nullptr, -1}, {nullptr, -1}};
    segment.threads = words[9];
    const bool shared = segment.threads > 1 && team->threads > 1;
    if (shared) begin(team);
    take_pieces(segment, 0);
    if (shared) end(team);
    if (segment.late)
        for (int64_t k = 0; k < segment.pieces; k++) {
            write_late(segment, segment.runs[k].first);
            write_late(segment, segment.runs[k].last);
        }
    feclearexcept(FE_ALL_EXCEPT);
    return segment.failed;
}

// Run segments as stages of a wave. `words`: how many, the lag, bytes of scratch of a thread, threads; then of each the address of its words, and
// where behind the threads' scratch its turning scratch begins. 0, or 1 where a loop failed.
EXPORTED long cupool_fusion_wave(void *given, const long *words, char *scratch) {
    using namespace driver;
    Team *team = static_cast<Team *>(given);
    Wave &wave = team->wave;
    wave = {team->stages, words[0] < MOST_STAGES ? words[0] : MOST_STAGES, words[1], words[3], words[2], scratch};
    for (int64_t k = 0; k < wave.count; k++) {
        Stage &stage = wave.stages[k];
        stage.next = stage.done = stage.busy = 0;
        stage.waiting = {nullptr, -1};
        read(stage.segment, reinterpret_cast<const long *>(words[4 + 2 * k]));
        stage.segment.turning = scratch + words[5 + 2 * k];
    }
    const bool shared = wave.threads > 1 && team->threads > 1;
    if (shared) begin(team);
    take_wave(wave, 0);
    if (shared) end(team);
    feclearexcept(FE_ALL_EXCEPT);
    long failed = 0;
    for (int64_t k = 0; k < wave.count; k++) failed |= wave.stages[k].segment.failed;
    return failed;
}

namespace driver {

// See Note [Sums in blocks] in programs.py.
template <class T> T added(const T *&parts, int64_t n, int64_t most) {
    if (n <= most) return *parts++;
    const int64_t half = n / 2 - n / 2 % 8;
    const T left = added(parts, half, most);
    return left + added(parts, n - half, most);
}

}  // namespace driver

// The sum of blocks' sums, of numbers of 4 or 8 bytes, into `sum`.
EXPORTED void cupool_fusion_added(const char *parts, long bytes, long n, long most, char *sum) {
    using namespace driver;
    if (bytes == 4) {
        const float *at = reinterpret_cast<const float *>(parts);
        *reinterpret_cast<float *>(sum) = added(at, n, most);
    } else {
        const double *at = reinterpret_cast<const double *>(parts);
        *reinterpret_cast<double *>(sum) = added(at, n, most);
    }
}

// Bytes of a step and of a slot: driver.py compares them with its own.
EXPORTED long cupool_fusion_layout(void) {
    return static_cast<long>(sizeof(driver::Step)) << 32 | sizeof(driver::Slot);
}
