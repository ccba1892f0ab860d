// Block tile of a matrix product: out[m][n] += sum over k of a[k][m] * b[k][n].
//
// Shared memory holds STAGES stages, each with BK rows of a (BM words) and of b (BN words). A word
// is one element, or two 16-bit elements of adjacent k: what a tensor core's register takes.
// Whoever brings the rows is a Loader (conv2d.cu: the pixels that a filter sees; conv2d_weight.cu:
// its gradient's); `accumulate` is the loop that all share.
//
//   TENSOR 0  FFMA or DFMA       a thread: 8 x 16, 8 x 8 or 4 x 8 elements, from 16-byte loads
//   TENSOR 1  tensor cores       a warp: 64 x 64, 64 x 32 or 32 x 32; float is rounded to TF32
//   TENSOR 3  3xTF32             as 1; float = high + low, three products: as exact as float
//   STAGES 2  global -> registers -> shared: any architecture, any element
//   STAGES 3+ cp.async, STAGES - 1 tiles under way: sm_80 and later, elements of 4 and 8 bytes
#pragma once
#include "scalar.cuh"

#ifndef BM
#define BM 128
#endif
#ifndef BK
#define BK 16
#endif
#ifndef STAGES
#define STAGES 2
#endif
#ifndef TENSOR
#define TENSOR 0
#endif
#ifndef TRANSPOSED  // threads write shared memory by columns: rows then end with 16 idle bytes
#define TRANSPOSED 0
#endif
#define BN 128

using uint = unsigned int;
#define DEVICE __device__ __forceinline__

template <int BYTES>
struct Moved;  // elements and words as they are moved
template <>
struct Moved<2> {
    using Element = unsigned short;
    using Word = uint;
};
template <>
struct Moved<4> {
    using Element = float;
    using Word = float;
};
template <>
struct Moved<8> {
    using Element = double;
    using Word = double;
};
using Element = Moved<sizeof(SCALAR)>::Element;
using Word = Moved<sizeof(SCALAR)>::Word;

constexpr bool ASYNC = STAGES > 2;
constexpr bool HALVES = sizeof(SCALAR) == 2;
constexpr int PAIR = HALVES ? 2 : 1;  // elements in a word
constexpr int WM = BM < 64 ? BM : 64;
// 64 x 64 a warp where the registers suffice, else twice the warps.
constexpr bool WIDE = BM == 128 && (TENSOR == 0 || (TENSOR == 1 && !HALVES && !TRANSPOSED));
constexpr int WN = WIDE ? 64 : 32;
constexpr int THREADS = BM / WM * (BN / WN) * 32;
constexpr int BLOCKS = THREADS > 128 ? 1 : 2;  // on a multiprocessor, at least
static_assert(!HALVES || (TENSOR == 1 && !ASYNC), "16-bit elements: tensor cores, by registers");
static_assert(THREADS % BN == 0, "one column for each thread that gathers");

constexpr int PAD = 16 / sizeof(Word);
constexpr int LDA = BM + (TRANSPOSED ? PAD : 0);
constexpr int LDB = BN + (TRANSPOSED || TENSOR ? PAD : 0);
constexpr int A_WORDS = TENSOR ? BK * BM : BK * LDA;
constexpr uint STAGE = A_WORDS + BK * LDB;

struct alignas(16) Vector {  // what the widest access moves
    Word v[16 / sizeof(Word)];
};
struct alignas(16) Four {
    Word v[4];
};

// Where word (k, m) of a and (k, n) of b lie in a stage. Tensor cores take a in the order of their
// registers: 16 bytes a lane.
DEVICE int place_a(int k, int m) {
    if constexpr (TENSOR)
        return k / 8 * 8 * BM + m / 2 * 16 + k % 8 * 2 + m % 2;
    else
        return k * LDA + m;
}
DEVICE int place_b(int k, int n) {
    return A_WORDS + k * LDB + n;
}

// Keeps v in a register: the compiler would rather compute it again in every turn of the loop.
DEVICE void keep(uint& v) {
    asm("" : "+r"(v));
}
template <class T>
DEVICE void keep(T*& v) {
    asm("" : "+l"(v));
}

// A word of PAIR elements.
template <class T>
DEVICE Word word(const T* elements) {
    if constexpr (HALVES)
        return elements[0] | elements[1] << 16;
    else
        return elements[0];
}

// ---- cp.async: global memory to shared memory, without a register

// One element, or zeros: then nothing is read, and the address may be anything.
DEVICE void copy_element(Word* to, const void* from, bool read) {
    const uint address = (uint)__cvta_generic_to_shared(to);
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(address), "l"(from),
                 "n"((int)sizeof(Word)), "r"(read ? (int)sizeof(Word) : 0));
}

DEVICE void copy_vector(Vector* to, const Vector* from) {
    const uint address = (uint)__cvta_generic_to_shared(to);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(from));
}

DEVICE void close_group() {
    if constexpr (ASYNC) asm volatile("cp.async.commit_group;");
}

// Until all groups but the last N have landed.
template <int N>
DEVICE void await_groups() {
    if constexpr (ASYNC) asm volatile("cp.async.wait_group %0;" ::"n"(N));
}

// ---- Tensor cores

DEVICE uint tf32(float value) {
    uint rounded;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(value));
    return rounded;
}

// What a tensor core takes for a word: of a float as TF32, and what is left of it; of two 16-bit
// elements themselves.
DEVICE void split(float value, uint& high, uint& low) {
    high = tf32(value);
    if constexpr (TENSOR == 3) low = __float_as_uint(value - __uint_as_float(high));
}
DEVICE void split(uint pair, uint& high, uint&) {
    high = pair;
}

template <class T>
constexpr bool IS_BFLOAT16 = false;
#ifdef __CUDA_BF16_TYPES_EXIST__
template <>
constexpr bool IS_BFLOAT16<__nv_bfloat16> = true;
#endif

// c += a * b, of 16 x 8 words by 8 x 8.
DEVICE void mma(float (&c)[4], const uint (&a)[4], const uint (&b)[2]) {
#define MMA(SHAPE, TYPE, A, B)                                                                    \
    asm volatile("mma.sync.aligned." SHAPE ".row.col.f32." TYPE "." TYPE ".f32 {%0,%1,%2,%3}, " A \
                 ", " B ", {%0,%1,%2,%3};"                                                        \
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                 \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
#if __CUDA_ARCH__ >= 800
    if constexpr (!HALVES)
        MMA("m16n8k8", "tf32", "{%4,%5,%6,%7}", "{%8,%9}");
    else if constexpr (IS_BFLOAT16<SCALAR>)
        MMA("m16n8k16", "bf16", "{%4,%5,%6,%7}", "{%8,%9}");
    else
        MMA("m16n8k16", "f16", "{%4,%5,%6,%7}", "{%8,%9}");
#else  // sm_75 has float16 only, and half of k at a time
    MMA("m16n8k8", "f16", "{%4,%5}", "{%8}");
    MMA("m16n8k8", "f16", "{%6,%7}", "{%9}");
#endif
#undef MMA
}

// ---- The part of a block's tile that a thread computes

// Element e of group j of columns, in line i of rows, is out[row(i)][column(j) + e].
#if TENSOR == 0
struct Tile {
    static constexpr int LINES = WM / 8, GROUP = 4, GROUPS = WN / 4 / GROUP;
    static constexpr int STEPS = BK, SLOTS = 2;  // while one a and b multiply, the next load

    ACCUM sum[LINES][GROUPS * GROUP];
    Word a[SLOTS][LINES], b[SLOTS][GROUPS * GROUP];
    uint at_a, at_b, m, n;

    // 8 lanes along m, 4 along n, laid so that no two words of a load meet in a bank.
    DEVICE Tile() {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        m = warp / (BN / WN) * WM + (lane / 2 % 8) * 4;
        n = warp % (BN / WN) * WN + (lane % 2 + lane / 16 * 2) * 4;
        at_a = place_a(0, m), at_b = place_b(0, n);
        keep(at_a), keep(at_b);
#pragma unroll
        for (int i = 0; i < LINES; ++i)
#pragma unroll
            for (int j = 0; j < GROUPS * GROUP; ++j) sum[i][j] = 0;
    }
    DEVICE int row(int i) const { return m + i / 4 * 32 + i % 4; }
    DEVICE int column(int j) const { return n + j * 16; }
    DEVICE ACCUM value(int i, int j, int e) const { return sum[i][j * GROUP + e]; }

    // What step k takes, from the stage that begins at word `stage`.
    DEVICE void load(const Word* memory, uint stage, int k, int slot) {
        const Word* from_a = memory + (stage + at_a) + k * LDA;
        const Word* from_b = memory + (stage + at_b) + k * LDB;
#pragma unroll
        for (int i = 0; i < LINES; i += 4) *(Four*)&a[slot][i] = *(const Four*)(from_a + i * 8);
#pragma unroll
        for (int j = 0; j < GROUPS; ++j) *(Four*)&b[slot][j * 4] = *(const Four*)(from_b + j * 16);
    }
    template <bool ROUNDED>
    DEVICE void multiply(int slot) {
#pragma unroll
        for (int i = 0; i < LINES; ++i)
#pragma unroll
            for (int j = 0; j < GROUPS * GROUP; ++j)
                sum[i][j] = fma(a[slot][i], b[slot][j], sum[i][j]);
    }
};
#else
struct Tile {
    // A warp multiplies 16 x 8 x 8 words at a time. Lane 4 p + q holds rows 2 p and 2 p + 1 of a
    // and out, column p of b, columns 2 q and 2 q + 1 of out, and k = 2 q and 2 q + 1. The hardware
    // says p and p + 8, q and q + 4 for rows and k, but any order will do that a and b (or a and
    // out) keep; in this one a warp's words lie in 32 banks.
    static constexpr int LINES = WM / 8, GROUP = 2, GROUPS = WN / 8;
    static constexpr int STEPS = BK / 8, SLOTS = 1;

    float sum[LINES / 2][GROUPS][4];
    Word a[SLOTS][LINES / 2][4], b[SLOTS][GROUPS][2];
    uint at_a, at_b, m, n;

    DEVICE Tile() {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        m = warp / (BN / WN) * WM + lane / 4 * 2;
        n = warp % (BN / WN) * WN + lane % 4 * 2;
        at_a = place_a(lane % 4 * 2, m);
        at_b = place_b(lane % 4 * 2, warp % (BN / WN) * WN + lane / 4);
        keep(at_a), keep(at_b);
#pragma unroll
        for (int i = 0; i < LINES / 2; ++i)
#pragma unroll
            for (int j = 0; j < GROUPS; ++j)
#pragma unroll
                for (int e = 0; e < 4; ++e) sum[i][j][e] = 0;
    }
    DEVICE int row(int i) const { return m + i / 2 * 16 + i % 2; }
    DEVICE int column(int j) const { return n + j * 8; }
    DEVICE float value(int i, int j, int e) const { return sum[i / 2][j][i % 2 * 2 + e]; }

    DEVICE void load(const Word* memory, uint stage, int k, int slot) {
        const Word* from_a = memory + (stage + at_a) + k * 8 * BM;
        const Word* from_b = memory + (stage + at_b) + k * 8 * LDB;
#pragma unroll
        for (int i = 0; i < LINES / 2; ++i) *(Four*)a[slot][i] = *(const Four*)(from_a + i * 128);
#pragma unroll
        for (int j = 0; j < GROUPS; ++j)
#pragma unroll
            for (int e = 0; e < 2; ++e) b[slot][j][e] = from_b[j * 8 + e * LDB];
    }

    // ROUNDED: a needs no rounding any more.
    template <bool ROUNDED>
    DEVICE void multiply(int slot) {
        uint high[GROUPS][2], low[GROUPS][2];
#pragma unroll
        for (int j = 0; j < GROUPS; ++j)
#pragma unroll
            for (int e = 0; e < 2; ++e) split(b[slot][j][e], high[j][e], low[j][e]);
#pragma unroll
        for (int i = 0; i < LINES / 2; ++i) {
            uint a_high[4], a_low[4];
#pragma unroll
            for (int e = 0; e < 4; ++e)
                if constexpr (ROUNDED && TENSOR == 1)
                    a_high[e] = *(uint*)&a[slot][i][e];
                else
                    split(a[slot][i][e], a_high[e], a_low[e]);
#pragma unroll
            for (int j = 0; j < GROUPS; ++j) {
                if constexpr (TENSOR == 3) {  // the small products first
                    mma(sum[i][j], a_low, high[j]);
                    mma(sum[i][j], a_high, low[j]);
                }
                mma(sum[i][j], a_high, high[j]);
            }
        }
    }
};
#endif

// ---- The loop

// sum over `tiles` tiles of k, one barrier a tile.
//
//   Loader::look()          reads from a table what the next fetch has to know
//   Loader::fetch(stage)    begins to bring the next tile; past the last one, zeros
//   Loader::land(stage)     ends it, where cp.async does not
template <class Loader>
DEVICE void accumulate(Tile& tile, Loader& loader, Word* memory, int tiles) {
    constexpr int STEPS = Tile::STEPS, SLOTS = Tile::SLOTS;
    constexpr uint LAST = (STAGES - 1) * STAGE;
    static_assert(STEPS % SLOTS == 0, "slots alternate across tiles");
    if (tiles <= 0) return;
    loader.look();
#pragma unroll
    for (int s = 0; s < STAGES - 1; ++s) {
        loader.fetch(memory, s * STAGE);
        close_group();
        loader.look();
    }
    loader.land(memory, 0);
    await_groups<STAGES - 2>();
    __syncthreads();

    uint reading = 0, writing = LAST;
    if (SLOTS == 2) tile.load(memory, 0, 0, 0);
#pragma unroll 1
    for (int left = tiles; left > 0; --left) {
#pragma unroll
        for (int k = 0; k < STEPS; ++k) {
            if (SLOTS == 1) tile.load(memory, reading, k, 0);
            if (k == STEPS - 1) {
                reading = reading == LAST ? 0 : reading + STAGE;
                loader.land(memory, reading);
                await_groups<STAGES - 2>();
                __syncthreads();  // the next tile is there, and nobody reads the oldest any more
            }
            if (SLOTS == 2) tile.load(memory, reading, (k + 1) % STEPS, (k + 1) % 2);
            if (k == 0) {
                loader.fetch(memory, writing);
                close_group();
                writing = writing == LAST ? 0 : writing + STAGE;
            }
            if (k == (STEPS > 3 ? STEPS - 3 : STEPS - 1)) loader.look();
            tile.multiply<Loader::ROUNDED>(k % SLOTS);
        }
    }
    await_groups<0>();
}
