// Convolution in two dimensions, to its weight: a matrix product over pixels.
//
//   dw[m, c, r, s] = sum over n, p, q of dy[n, m, p, q] * x[n, c, row(p, r), column(q, s)]
//
// with row and column as in conv2d.cu. A row of the product is an output channel m, a column is
// (c, r, s), and the sum runs over k = (n, p, q). There are many k and few results, so blocks share
// the sum: each adds up `count` pixels, and conv2d_sum adds their parts, in order.
//
// Arrays, contiguous: x (N, groups * C, H, W); dy (N, groups * M, P, Q); parts (splits, groups * M,
// columns), columns = C * R * S rounded up to 8. `pixels` holds, for each (p, q), where in a
// channel of x it begins, in bytes, and which taps it does not see.
//
// Launch: conv2d_pixels; blocks of THREADS in a grid of (tiles of m * tiles of columns, groups,
// splits) with STAGES * STAGE words of shared memory; conv2d_sum.
//
// Bytes: both x and dy are read by threads of which 8 in a row take neighbouring pixels: a sector.
// dy is read once for each 128 columns; x once for each tap and each BM channels of y, mostly from
// the cache. Least would be once each.
//
// A turn of the loop, one tile of k, in machine code:
//
//   build: BM, BK, STAGES       multiplies  LDS.128  LDS  LDGSTS  LDG  STS   of all instructions
//   float, 128, 8, 4            1024 FFMA        48    -      16    1    -   0.87 multiply
//   float, 64, 8, 4              512 FFMA        32    -      12    1    -   0.80
//   float, 128, 8, 2 (sm_75)    1024 FFMA        48    -       -   17   16   0.85
//   double, 32, 8, 2             256 DFMA        48    -       -   11   10   0.63
//   TF32, 128, 16, 3              32 HMMA         8   16      16    1    -
//   TF32, 64, 16, 3               32 HMMA         8   16      24    1    -
//   3xTF32, 128, 16, 3            96 HMMA         8   16      16    1    -
//   3xTF32, 64, 16, 3             96 HMMA         8   16      24    1    -
//   16-bit, 128, 16, 2            32 HMMA         8   16       -   34   16   (64 on sm_75)
//   16-bit, 64, 16, 2             32 HMMA         8   16       -   50   24   (64 on sm_75)
//
// and one barrier; no spills, 255 registers at most: two blocks of 128 threads.
//
// Limits: as conv2d.cu's; a channel of x and its padding within 2 GiB.
#define TRANSPOSED 1
#include "conv2d.cuh"

constexpr int DEPTH = BK * PAIR;      // k in a tile
constexpr int STRIDE = THREADS / BK;  // rows that the threads bring at a time
constexpr int ROWS = BM / STRIDE;     // that one thread brings: of a
constexpr int COLUMNS = BN / STRIDE;  // of b

// One thread for each (p, q); 256 in a block.
extern "C" __global__ void __launch_bounds__(256)
    conv2d_pixels(int* __restrict__ pixels, const Conv conv) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= conv.h.out * conv.w.out) return;
    const int h = i / conv.w.out * conv.h.stride + conv.h.origin;
    const int w = i % conv.w.out * conv.w.stride + conv.w.origin;
    const int begin = (h * conv.w.size + w) * (int)sizeof(SCALAR);
    ((int2*)pixels)[i] = make_int2(begin, outside(conv, h, w));
}

// Brings the tiles: each thread a word of k, of every STRIDE-th row of a and b.
struct Loader {
    static constexpr bool ROUNDED = false;
    struct Pixel {
        const char *dy, *x;  // in channel m0, in channel 0
        int at;              // p * Q + q
        int2 seen;
    };
    Pixel pixel[PAIR];
    const int2* pixels;
    uint row[ROWS];  // bytes from Pixel::dy; rows past the last are not stored, and read any
    uint2 column[COLUMNS];
    uint to_a, to_b;
    int left;                   // pixels of this block still to fetch
    int plane;                  // P * Q
    long long next_dy, next_x;  // bytes from a plane's end in dy, from an image in x, to the next
    Element of_a[ASYNC ? 1 : ROWS * PAIR], of_b[ASYNC ? 1 : COLUMNS * PAIR];

    DEVICE Loader(const SCALAR* x, const SCALAR* dy, const int2* table, const Conv& conv,
                  int first_m, int first_column, int begin, int count)
        : pixels(table) {
        // 8 lanes along k, 4 along the rows: their words lie in 32 banks.
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        const int k = lane % 8 + warp % (BK / 8) * 8, line = lane / 8 + warp / (BK / 8) * 4;
        plane = conv.h.out * conv.w.out;
        next_dy = (long long)(gridDim.y * conv.rows - 1) * plane * sizeof(SCALAR);
        next_x = (long long)gridDim.y * conv.channels * conv.h.size * conv.w.size * sizeof(SCALAR);
        left = count - k * PAIR;
        for (int e = 0; e < PAIR; ++e) {
            const int number = begin + k * PAIR + e;
            const long long image = (long long)(number / plane) * gridDim.y + blockIdx.y;
            pixel[e].at = number % plane;
            pixel[e].dy = (const char*)(dy + image * conv.rows * plane + pixel[e].at);
            pixel[e].x = (const char*)(x + image * conv.channels * conv.h.size * conv.w.size);
        }
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
            row[i] = (uint)min(first_m + line + i * STRIDE, conv.rows - 1) * plane * sizeof(SCALAR);
#pragma unroll
        for (int i = 0; i < COLUMNS; ++i) column[i] = tap(conv, first_column + line + i * STRIDE);
        to_a = place_a(k, line), to_b = place_b(k, line);
    }

    DEVICE void look() {
#pragma unroll
        for (int e = 0; e < PAIR; ++e) pixel[e].seen = pixels[pixel[e].at];
    }

    DEVICE void fetch(Word* memory, uint stage) {
#pragma unroll
        for (int e = 0; e < PAIR; ++e) {
            const bool live = left > e;
            const uint unseen = live ? pixel[e].seen.y : ~0u;
#pragma unroll
            for (int i = 0; i < ROWS; ++i) {
                Word* to = memory + (stage + to_a) + place_a(0, i * STRIDE);
                bring(to, &of_a[ASYNC ? 0 : i * PAIR + e], pixel[e].dy + row[i], live);
            }
            const char* x = pixel[e].x + pixel[e].seen.x;
#pragma unroll
            for (int i = 0; i < COLUMNS; ++i) {
                Word* to = memory + (stage + to_b) + i * STRIDE;
                bring(to, &of_b[ASYNC ? 0 : i * PAIR + e], x + column[i].x,
                      !(unseen & column[i].y));
            }
            advance(pixel[e]);
        }
        left -= DEPTH;
    }
    // By cp.async to shared memory, else to a register.
    DEVICE static void bring(Word* to, Element* element, const char* from, bool read) {
        if constexpr (ASYNC)
            copy_element(to, from, read);
        else
            *element = read ? __ldg((const Element*)from) : Element(0);
    }
    DEVICE void advance(Pixel& p) const {
        p.at += DEPTH;
        p.dy += DEPTH * sizeof(SCALAR);
        while (p.at >= plane) {
            p.at -= plane;
            p.dy += next_dy;
            p.x += next_x;
        }
    }

    DEVICE void land(Word* memory, uint stage) {
        if constexpr (!ASYNC) {
#pragma unroll
            for (int i = 0; i < ROWS; ++i)
                memory[stage + to_a + place_a(0, i * STRIDE)] = word(of_a + i * PAIR);
#pragma unroll
            for (int i = 0; i < COLUMNS; ++i)
                memory[stage + to_b + i * STRIDE] = word(of_b + i * PAIR);
        }
    }
};

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    conv2d_backward_weight(const SCALAR* __restrict__ x, const SCALAR* __restrict__ dy,
                           const int* __restrict__ pixels, ACCUM* __restrict__ parts, int columns,
                           int count, const Conv conv) {
    extern __shared__ Vector memory[];
    const int tiles_m = (conv.rows + BM - 1) / BM;
    const int first_m = blockIdx.x % tiles_m * BM, first_column = blockIdx.x / tiles_m * BN;
    const int begin = blockIdx.z * count;
    count = min(count, conv.images * conv.h.out * conv.w.out - begin);

    Loader loader(x, dy, (const int2*)pixels, conv, first_m, first_column, begin, count);
    Tile tile;
    accumulate(tile, loader, (Word*)memory, (count + DEPTH - 1) / DEPTH);

    struct alignas(Tile::GROUP * sizeof(ACCUM)) Piece {
        ACCUM v[Tile::GROUP];
    };
    const long long rows = (long long)gridDim.y * conv.rows;
    ACCUM* part = parts + (blockIdx.z * rows + blockIdx.y * conv.rows + first_m) * columns;
#pragma unroll
    for (int i = 0; i < Tile::LINES; ++i)
#pragma unroll
        for (int j = 0; j < Tile::GROUPS; ++j) {
            const int m = tile.row(i), column = first_column + tile.column(j);
            if (first_m + m >= conv.rows || column >= columns) continue;
            Piece piece;
#pragma unroll
            for (int e = 0; e < Tile::GROUP; ++e) piece.v[e] = tile.value(i, j, e);
            *(Piece*)(part + (long long)m * columns + column) = piece;
        }
}

// dw[row][column] = sum over splits of parts[split][row][column]: in order, so always the same
// bits. One thread for each of `count` elements of dw, of which a row has `real`; 256 in a block.
// Bytes: parts once, dw once.
extern "C" __global__ void __launch_bounds__(256)
    conv2d_sum(const ACCUM* __restrict__ parts, SCALAR* __restrict__ dw, int splits, int columns,
               int real, int count) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= count) return;
    const ACCUM* part = parts + (long long)(i / real) * columns + i % real;
    const long long step = (long long)(count / real) * columns;
    ACCUM sum = 0;
#pragma unroll 8
    for (int s = 0; s < splits; ++s) sum += part[s * step];
    dw[i] = SCALAR(sum);
}
