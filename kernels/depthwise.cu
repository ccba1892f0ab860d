// Depthwise convolution: every input channel by itself gives `multiplier` output channels.
//
//   y[n, o, p, q] = bias[o] + sum_{r, s} weight[o, r, s] x[n, o / multiplier,
//                                                         p sh - ph + r dh, q sw - pw + s dw]
//
// where x counts as 0 outside its plane (and times an infinite weight as NaN). Dense arrays:
//
//   x, dx (N, C, H, W)    y, dy (N, O, P, Q)    weight, dw (O, KH, KW)    bias (O)
//
// with O = C multiplier.
//
// A thread makes a strip: ROWS results one below the other. It walks once down the rows that they
// need, and adds each element to every result that it touches, so that an element is loaded KW
// times instead of KH KW times. Neighbouring threads make neighbouring columns: those repeated
// loads, and the (KH - 1) rows that a strip shares with the next, hit the caches. What is left is
// what has to move at least: each element of x and y once.
#include "scalar.cuh"

#ifndef KERNEL  // 3 or 5: the side of a kernel without dilation; 0: kernels of any geometry
#define KERNEL 3
#endif

#ifndef STRIDE  // of a build for one KERNEL, in both directions
#define STRIDE 1
#endif

constexpr int ROWS = KERNEL ? 8 : 1;
constexpr int TAPS = KERNEL ? KERNEL * KERNEL : 1;  // of the weight's gradient, for one block
constexpr int THREADS = 256;

struct Geometry {
    int h, w, p, q;  // extents of the planes of x and y
    int kh, kw, sh, sw, ph, pw, dh, dw;
};

// The geometry with all that this build knows before it runs.
__device__ __forceinline__ Geometry known(Geometry g) {
#if KERNEL
    g.kh = g.kw = KERNEL, g.sh = g.sw = STRIDE, g.dh = g.dw = 1;
#endif
    return g;
}

// The strip of a thread. The block's y counts planes, for planes with less work than a block has
// threads; `chunks` blocks share a larger plane.
struct Strip {
    int plane, row, column;

    __device__ __forceinline__ Strip(int chunks, int columns) {
        const int strip = blockIdx.x % chunks * blockDim.x + threadIdx.x;
        plane = blockIdx.x / chunks * blockDim.y + threadIdx.y;
        row = strip / columns * ROWS;
        column = strip % columns;
    }
};

__device__ __forceinline__ bool inside(int i, int extent) {
    return (unsigned)i < (unsigned)extent;
}

// Grid: chunks x ceil(planes / blockDim.y). planes = N O.
// Bytes per result: 1 / multiplier element read and 1 written, which is the least.
extern "C" __global__ void __launch_bounds__(THREADS)
    depthwise2d_forward(const SCALAR* __restrict__ x, const SCALAR* __restrict__ weight,
                        const SCALAR* __restrict__ bias, SCALAR* __restrict__ y, int planes,
                        int outputs, int multiplier, int chunks, Geometry geometry) {
    const Geometry g = known(geometry);
    const Strip at(chunks, g.q);
    if (at.plane >= planes || at.row >= g.p) return;
    const int o = at.plane % outputs;
    const SCALAR* in = x + (long long)(at.plane / multiplier) * (g.h * g.w);
    const SCALAR* w = weight + (long long)o * (g.kh * g.kw);
    ACCUM sums[ROWS];
#pragma unroll
    for (int i = 0; i < ROWS; i++) sums[i] = bias ? ACCUM(bias[o]) : ACCUM(0);
#pragma unroll
    for (int t = 0; t < (ROWS - 1) * g.sh + g.kh; t++) {
        const int row = at.row * g.sh - g.ph + t * g.dh;
#pragma unroll
        for (int s = 0; s < g.kw; s++) {
            const int column = at.column * g.sw - g.pw + s * g.dw;
            const bool there = inside(row, g.h) && inside(column, g.w);
            const ACCUM v = there ? ACCUM(in[row * g.w + column]) : ACCUM(0);
#pragma unroll
            for (int i = 0; i < ROWS; i++) {
                const int r = t - i * g.sh;
                if (inside(r, g.kh)) sums[i] += ACCUM(w[r * g.kw + s]) * v;
            }
        }
    }
    SCALAR* out = y + (long long)at.plane * (g.p * g.q) + (at.row * g.q + at.column);
#pragma unroll
    for (int i = 0; i < ROWS; i++)
        if (at.row + i < g.p) out[i * g.q] = SCALAR(sums[i]);
}

// dx[n, c, h, w] = sum over m, r, s with h + ph = p sh + r dh and w + pw = q sw + s dw of
//                  weight[c multiplier + m, r, s] dy[n, c multiplier + m, p, q]
//
// Grid: as above, with planes = N C. A strip begins at a row that tap 0 reaches, so that which taps
// reach a row is known when this is compiled.
// Bytes per result: multiplier elements read (for stride 1) and 1 written, which is the least.
// Bound to two blocks at a time: for none the compiler aims at more, and spills registers.
extern "C" __global__ void __launch_bounds__(THREADS, 2)
    depthwise2d_backward_data(const SCALAR* __restrict__ dy, const SCALAR* __restrict__ weight,
                              SCALAR* __restrict__ dx, int planes, int channels, int multiplier,
                              int chunks, Geometry geometry) {
    const Geometry g = known(geometry);
    const Strip at(chunks, g.w);
    int top = at.row - (KERNEL ? g.ph % g.sh : 0), left = at.column;
    if (at.plane >= planes || top >= g.h) return;
    ACCUM sums[ROWS] = {};
    for (int m = 0; m < multiplier; m++) {
        // Seems to change both: else addresses and tests of every element are kept for the next m,
        // in twice the registers.
        asm volatile("" : "+r"(top), "+r"(left));
        const SCALAR* in = dy + ((long long)at.plane * multiplier + m) * (g.p * g.q);
        const SCALAR* w =
            weight + ((long long)(at.plane % channels) * multiplier + m) * (g.kh * g.kw);
#if KERNEL
        constexpr int REACH = (KERNEL - 1) / STRIDE;  // rows of dy above the first one's
#pragma unroll
        for (int t = 0; t <= REACH + (ROWS - 1) / STRIDE; t++) {
            const int row = (top + g.ph) / g.sh - REACH + t;
            const int first = (REACH - t) * STRIDE;  // the tap from this row to the first result
#else
        for (int first = 0; first < g.kh; first++) {
            const int reached = top + g.ph - first * g.dh, row = reached / g.sh;
            if (row * g.sh != reached) continue;
#endif
#pragma unroll
            for (int s = 0; s < g.kw; s++) {
                const int reached = left + g.pw - s * g.dw, column = reached / g.sw;
                const bool there =
                    inside(row, g.p) && inside(column, g.q) && column * g.sw == reached;
                const ACCUM v = there ? ACCUM(in[row * g.q + column]) : ACCUM(0);
#pragma unroll
                for (int i = 0; i < ROWS; i++) {
                    const int r = first + i;
                    if (inside(r, g.kh)) sums[i] += ACCUM(w[r * g.kw + s]) * v;
                }
            }
        }
    }
    SCALAR* out = dx + (long long)at.plane * (g.h * g.w) + left;
#pragma unroll
    for (int i = 0; i < ROWS; i++)
        if (inside(top + i, g.h)) out[(top + i) * g.w] = SCALAR(sums[i]);
}

// parts[split, o, r, s] = sum over this split's n, p, q of
//                         dy[n, o, p, q] x[n, o / multiplier, p sh - ph + r dh, q sw - pw + s dw]
//
// Grid: splits x O x KH KW / TAPS; a split is `share` strips of dy. A block adds up all the taps of
// an output channel, or a single one where KERNEL is 0: a tree over fixed shares, no atomics.
// Bytes per element of dy: it and 1 / multiplier element of x are read, which is the least.
extern "C" __global__ void __launch_bounds__(THREADS)
    depthwise2d_backward_weight(const SCALAR* __restrict__ x, const SCALAR* __restrict__ dy,
                                ACCUM* __restrict__ parts, int images, int outputs, int multiplier,
                                int share, Geometry geometry) {
    Geometry g = known(geometry);
    const int taps = g.kh * g.kw, tap = blockIdx.x % (taps / TAPS);
    const int o = blockIdx.x / (taps / TAPS) % outputs,
              split = blockIdx.x / (taps / TAPS) / outputs;
#if KERNEL == 0  // one tap is a kernel of its own, which lies so much lower and to the right
    g.ph -= tap / g.kw * g.dh, g.pw -= tap % g.kw * g.dw, g.kh = g.kw = 1;
#endif
    const int strips = (g.p + ROWS - 1) / ROWS * g.q;
    const int end = min(images * strips, (split + 1) * share);
    ACCUM sums[TAPS] = {};
    for (int strip = split * share + threadIdx.x; strip < end; strip += THREADS) {
        const int n = strip / strips, p = strip % strips / g.q * ROWS, q = strip % g.q;
        const SCALAR* in =
            x + ((long long)n * (outputs / multiplier) + o / multiplier) * (g.h * g.w);
        const SCALAR* out = dy + ((long long)n * outputs + o) * (g.p * g.q) + (p * g.q + q);
        ACCUM d[ROWS];
#pragma unroll
        for (int i = 0; i < ROWS; i++) d[i] = p + i < g.p ? ACCUM(out[i * g.q]) : ACCUM(0);
#pragma unroll
        for (int t = 0; t < (ROWS - 1) * g.sh + g.kh; t++) {
            const int row = p * g.sh - g.ph + t;
#pragma unroll
            for (int s = 0; s < g.kw; s++) {
                const int column = q * g.sw - g.pw + s;
                const bool there = inside(row, g.h) && inside(column, g.w);
                const ACCUM v = there ? ACCUM(in[row * g.w + column]) : ACCUM(0);
#pragma unroll
                for (int i = 0; i < ROWS; i++) {
                    const int r = t - i * g.sh;
                    if (inside(r, g.kh)) sums[r * g.kw + s] += d[i] * v;
                }
            }
        }
    }
    __shared__ ACCUM of_warps[THREADS / 32][TAPS];
#pragma unroll
    for (int k = 0; k < TAPS; k++) {
        for (int lanes = 16; lanes; lanes /= 2) sums[k] += __shfl_xor_sync(~0u, sums[k], lanes);
        if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32][k] = sums[k];
    }
    __syncthreads();
    if (threadIdx.x >= TAPS) return;
    ACCUM sum = 0;
    for (int warp = 0; warp < THREADS / 32; warp++) sum += of_warps[warp][threadIdx.x];
    parts[((long long)split * outputs + o) * taps + tap + threadIdx.x] = sum;
}

// dw[i] = sum_split parts[split, i], in the order of the splits. A thread for each of `count`.
extern "C" __global__ void __launch_bounds__(THREADS)
    depthwise2d_sum_splits(const ACCUM* __restrict__ parts, SCALAR* __restrict__ dw, int count,
                           int splits) {
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= count) return;
    ACCUM sum = 0;
    for (int split = 0; split < splits; split++) sum += parts[(long long)split * count + i];
    dw[i] = SCALAR(sum);
}
