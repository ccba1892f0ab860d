// Lines along the middle dimension of arrays (outer, size, inner): which threads work on which, and
// what those of a line make of their values together. Two forms:
//
//   tile   A block has some whole planes (size, inner), which are one piece of memory, in shared
//          memory: copied there and back by Packs, whatever the shape. `team` neighbouring threads
//          work on a line: a power of 2 up to 32, or the block.
//   far    For larger planes. A block has `width` neighbouring lines, a power of 2 up to 32: thread
//          t works on line t % width, from element t / width on, on every (threads / width)-th.
#pragma once
#include "pack.cuh"

#define MOST_THREADS 512
#define SECTOR int(32 / sizeof(SCALAR))          // elements in the unit in which memory is moved
#define MOST_TURNS (sizeof(ACCUM) == 8 ? 1 : 4)  // of a loop interleaved; more would spill

// Sums over lines ---------------------------------------------------------------------------------

struct Add {
    __device__ ACCUM operator()(ACCUM a, ACCUM b) const { return a + b; }
};

struct Max {
    __device__ ACCUM operator()(ACCUM a, ACCUM b) const { return fmax(a, b); }
};

// Room for a number of each thread.
__device__ __forceinline__ ACCUM* scratch() {
    __shared__ ACCUM parts[MOST_THREADS];
    return parts;
}

// The threads of a line: `count` of them, whose numbers are `step` apart.
struct Team {
    int step, count;

    // What op makes of all their values, for each of them: within each warp by a butterfly, then of
    // the warps in order.
    template <class Op>
    __device__ ACCUM reduced(ACCUM value, Op op) const {
        const int span = step * count;
        for (int lanes = min(span, 32) / 2; lanes >= step; lanes /= 2)
            value = op(value, __shfl_xor_sync(~0u, value, lanes));
        if (span <= 32) return value;
        ACCUM* parts = scratch();
        __syncthreads();  // those of the reduction before are read
        parts[threadIdx.x] = value;
        __syncthreads();
        value = parts[threadIdx.x % 32];
#pragma unroll 1
        for (int i = threadIdx.x % 32 + 32; i < blockDim.x; i += 32) value = op(value, parts[i]);
        return value;
    }
};

// Tiles -------------------------------------------------------------------------------------------

struct alignas(sizeof(ACCUM) * WIDTH < 16 ? sizeof(ACCUM) * WIDTH : 16) Wide {
    ACCUM v[WIDTH];
};

// The planes of a block, as they lie in memory. In shared memory element i stands at i - start, so
// that whole Packs stay whole.
struct Tile {
    long long begin, end, start;

    __device__ Tile(long long begin, long long end)
        : begin(begin), end(end), start(begin - begin % SECTOR) {}

    __device__ void fetch(const SCALAR* __restrict__ x, ACCUM* tile) const {
        const int first = begin - start, last = end - start;
#pragma unroll 4
        for (int i = threadIdx.x * WIDTH; i < last; i += blockDim.x * WIDTH) {
            const Pack pack = load(x + start, i, first, last);
            Wide wide;
#pragma unroll
            for (int j = 0; j < WIDTH; j++) wide.v[j] = ACCUM(pack.v[j]);
            *reinterpret_cast<Wide*>(tile + i) = wide;
        }
    }

    __device__ void write(SCALAR* __restrict__ y, const ACCUM* tile) const {
        const int first = begin - start, last = end - start;
#pragma unroll 4
        for (int i = threadIdx.x * WIDTH; i < last; i += blockDim.x * WIDTH) {
            const Wide wide = *reinterpret_cast<const Wide*>(tile + i);
            Pack pack;
#pragma unroll
            for (int j = 0; j < WIDTH; j++) pack.v[j] = SCALAR(wide.v[j]);
            store(y + start, i, first, last, pack);
        }
    }
};

// The lines of a block's planes, and the threads that work on each.
struct Lines {
    long long first;  // of the planes
    int planes, size, inner, team;

    __device__ Lines(long long outer, int size, int inner, int planes, int team)
        : first((long long)blockIdx.x * planes),
          planes(min((long long)planes, outer - first)),
          size(size),
          inner(inner),
          team(team) {}

    __device__ Tile tile() const {
        const long long plane = size * inner;
        return {first * plane, (first + planes) * plane};
    }

    // work(line, at, length), where element k of the line stands at + k * inner elements into the
    // tile. All threads take as many turns; in idle ones length is 0.
    template <class Work>
    __device__ void each(Work work) const {
        const int count = planes * inner, own = threadIdx.x / team;
        for (int turn = 0; turn < count; turn += blockDim.x / team) {
            const int line = min(turn + own, count - 1);
            const int at = inner == 1 ? line * size : line / inner * size * inner + line % inner;
            work(first * inner + line, at, turn + own < count ? size : 0);
        }
    }
};

// Far lines ---------------------------------------------------------------------------------------

// The line of this thread, and which of its elements are this thread's.
struct Far {
    int width, size, inner, column;
    long long plane;

    __device__ Far(int size, int inner, int width) : width(width), size(size), inner(inner) {
        const int groups = (inner + width - 1) / width;
        plane = blockIdx.x / groups;
        column = blockIdx.x % groups * width + threadIdx.x % width;
    }

    __device__ Team team() const { return {width, int(blockDim.x) / width}; }
    __device__ long long line() const { return plane * inner + min(column, inner - 1); }

    // work(k, i, slot): x[i] is element k of the line; the slot in shared memory is this thread's.
    template <int TURNS = MOST_TURNS, class Work>
    __device__ void each(Work work) const {
        const int step = blockDim.x / width, length = column < inner ? size : 0;
        int slot = threadIdx.x;
#pragma unroll TURNS
        for (int k = threadIdx.x / width; k < length; k += step, slot += blockDim.x)
            work(k, (plane * size + k) * inner + column, slot);
    }
};
