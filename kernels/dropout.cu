// Dropout: a random mask, never stored, that is a function of the stream alone.
//
//   y = scale * x + kept     where the half of the stream that belongs to x is >= threshold,
//   y = 0 * x + dropped      elsewhere (so that NaN and infinity stay seen)
//
// Plain dropout has kept = dropped = -0, which changes no number; alpha dropout shifts by them. The
// gradient of both is the same kernel, of dy and without shifts, which draws the mask anew.
//
// Layout: x, y (n), contiguous.
//   dropout           half i of the stream belongs to element i
//   dropout_channels  half r belongs to all elements of row r of (n / inner, inner)
//
// Launch: 256 threads a block, block b makes elements 2048 b and following; a warp 256 of them.
// Each lane draws one block of the stream and keeps a byte of it, one bit for each half; what it
// needs of the other lanes' bytes it gets by shuffles, so that all accesses to memory coalesce.
//
// Bytes per element in float32: 4 + 4, the least possible.
#include "pack.cuh"
#include "philox.cuh"

#define TILE 256           // elements of a warp
#define PARTS (8 / WIDTH)  // Packs of a lane

struct Affine {
    ACCUM scale, kept, dropped;

    __device__ __forceinline__ SCALAR operator()(SCALAR x, bool keep) const {
        return SCALAR(fma(ACCUM(x), keep ? scale : ACCUM(0), keep ? kept : dropped));
    }
};

// Bit i tells whether half i of a block of the stream is kept.
__device__ __forceinline__ unsigned kept_halves(const Stream& stream, unsigned long long block,
                                                unsigned threshold) {
    const Words words = philox(stream, block);
    unsigned bits = 0;
#pragma unroll
    for (int i = 0; i < 8; i++) bits |= unsigned(words.half(i) >= threshold) << i;
    return bits;
}

extern "C" __global__ void __launch_bounds__(256)
    dropout(const SCALAR* __restrict__ x, SCALAR* __restrict__ y, long long n, Stream stream,
            unsigned threshold, ACCUM scale, ACCUM kept, ACCUM dropped) {
    const int lane = threadIdx.x % 32;
    const long long tile = (blockIdx.x * 256ll + threadIdx.x) / 32 * TILE;
    if (tile >= n) return;
    const int end = min(n - tile, (long long)TILE);
    x += tile;
    y += tile;

    Pack packs[PARTS];
#pragma unroll
    for (int p = 0; p < PARTS; p++) packs[p] = load(x, (p * 32 + lane) * WIDTH, 0, end);

    const Affine affine{scale, kept, dropped};
    const unsigned bits = kept_halves(stream, tile / 8 + lane, threshold);
#pragma unroll
    for (int p = 0; p < PARTS; p++) {
        const int at = (p * 32 + lane) * WIDTH;  // in the tile
        const unsigned mine = __shfl_sync(~0u, bits, at / 8) >> at % 8;
#pragma unroll
        for (int j = 0; j < WIDTH; j++) packs[p].v[j] = affine(packs[p].v[j], mine >> j & 1);
        store(y, at, 0, end, packs[p]);
    }
}

extern "C" __global__ void __launch_bounds__(256)
    dropout_channels(const SCALAR* __restrict__ x, SCALAR* __restrict__ y, long long n,
                     long long inner, Stream stream, unsigned threshold, ACCUM scale, ACCUM kept,
                     ACCUM dropped) {
    const int lane = threadIdx.x % 32;
    const long long tile = (blockIdx.x * 256ll + threadIdx.x) / 32 * TILE;
    if (tile >= n) return;
    const int end = min(n - tile, (long long)TILE);
    x += tile;
    y += tile;

    Pack packs[PARTS];
#pragma unroll
    for (int p = 0; p < PARTS; p++) packs[p] = load(x, (p * 32 + lane) * WIDTH, 0, end);

    // The tile begins `left` elements before the end of row `first`; it ends in one of the 256 rows
    // from there on, and the lanes together draw for as many.
    const long long first = tile / inner;
    const int left = min(inner - (tile - first * inner), (long long)TILE);
    const int length = min(inner, (long long)TILE);
    const Affine affine{scale, kept, dropped};
    const unsigned bits = kept_halves(stream, first / 8 + lane, threshold);
#pragma unroll
    for (int p = 0; p < PARTS; p++) {
        const int at = (p * 32 + lane) * WIDTH;  // in the tile
        const int past = max(at - left, 0);      // the end of row `first`
        int half = first % 8 + (at >= left ? 1 + past / length : 0);
        int rest = at >= left ? length - past % length : left - at;  // of the row
#pragma unroll
        for (int j = 0; j < WIDTH; j++) {
            const bool keep = __shfl_sync(~0u, bits, half / 8) >> half % 8 & 1;
            packs[p].v[j] = affine(packs[p].v[j], keep);
            if (--rest == 0) half++, rest = length;
        }
        store(y, at, 0, end, packs[p]);
    }
}
