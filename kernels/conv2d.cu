// Convolution in two dimensions, forward and to its input: an implicit matrix product.
//
//   y[n, m, p, q] = bias[m] + sum over c, r, s of w[m, c, r, s] * x[n, c, row(p, r), column(q, s)]
//
// where row(p, r) = p * stride + origin + r * step, and x is 0 outside. A row of the product is an
// output channel m, a column is a pixel (n, p, q), and the sum runs over k = (c, r, s). No columns
// are written to memory (im2col): each thread gathers what its pixel sees into shared memory.
// S. Chetlur et al., "cuDNN: efficient primitives for deep learning", 2014.
//
// To the input it is the same sum: inputs of one remainder modulo the stride see the same taps of
// the filter, a whole number of outputs apart. So dx is stride_h * stride_w convolutions of dy with
// stride 1, which multiply only what is there; c is then an output channel and m an input channel.
//
// Arrays, contiguous: x (N, groups * C, H, W); bias (groups * M) or null; y (N, groups * M, P, Q),
// or those rows and columns of a larger one that y_first, y_row and y_column tell. `packed` holds
// the weights in the order in which blocks take them, `taps` what conv2d.cuh says of each k.
//
// Launch: conv2d_pack, then blocks of THREADS in a grid of (tiles of m * tiles of pixels, groups).
// Tiles of m come first: blocks that read the same x run together. STAGES * STAGE words of shared
// memory.
//
// Bytes: y is written once, in whole sectors (16-bit: halves of them; dx of a stride above 1: by
// phases, whose elements alternate). x is gathered once for each tap and each BM channels of y; the
// least is once, and caches make most of it so. From some ten channels on arithmetic takes longer.
//
// A turn of the loop, one tile of k, in machine code (and as much to the input):
//
//   build: BM, BK, STAGES       multiplies  LDS.128  LDS  LDGSTS  LDG  STS   of all instructions
//   float, 128, 16, 3           2048 FFMA        96    -      20    8    -   0.90 multiply
//   float, 64, 16, 3            1024 FFMA        64    -      18    8    -   0.85
//   float, 32, 16, 3             512 FFMA        48    -      17    8    -   0.77
//   float, 128, 8, 2 (sm_75)    1024 FFMA        48    -       -   14   10   0.88
//   float, 64, 16, 2 (sm_75)    1024 FFMA        64    -       -   26   18   0.84
//   double, 32, 8, 2             256 DFMA        48    -       -   13    9   0.67
//   TF32, 128, 16, 3              64 HMMA         8   32      20    8    -
//   TF32, 64, 16, 3               32 HMMA         8   16      18    8    -
//   3xTF32, 128, 16, 3            96 HMMA         8   16      10    4    -
//   3xTF32, 64, 16, 3             96 HMMA         8   16      18    8    -
//   16-bit, 128, 16, 2            32 HMMA         8   16       -   26   10   (64 on sm_75)
//   16-bit, 64, 16, 2             32 HMMA         8   16       -   50   18   (64 on sm_75)
//
// and one barrier, one branch; no spills, 255 registers at most: two blocks of 128 threads.
//
// Limits: filters of 15 x 16, 2^31 - 128 pixels, 2^31 weights; an image of a group and its padding
// within 4 GiB.
#include "conv2d.cuh"

constexpr int DEPTH = BK * PAIR;                                // k in a tile
constexpr int GATHERED = BK * BN / THREADS;                     // words of b a thread brings
constexpr int VECTORS = BK * BM * sizeof(Word) / 16 / THREADS;  // of a
static_assert(!TRANSPOSED && VECTORS * THREADS * 16 == BK * BM * sizeof(Word), "equal shares");

// packed[group][tile of m][tile of k][as a stage holds it]. STAGES tiles of zeros follow the last,
// as in the table: the loop may fetch without asking whether there is more.
// A block turns 32 x 32 elements: lanes read along k, which is how filters lie (to the input, in
// pieces of one filter), and write along packed. 256 threads; grid (m / 32 * k / 32, groups).
// Bytes: weights read once, packed and taps written once.
extern "C" __global__ void __launch_bounds__(256)
    conv2d_pack(const SCALAR* __restrict__ weight, SCALAR* __restrict__ packed,
                unsigned int* __restrict__ taps, const Conv conv) {
    __shared__ SCALAR filters[32][TENSOR ? 40 : 33];  // lanes meet in no bank
    const int columns = (conv.rows + BM - 1) / BM * BM, depth = (conv.tiles + STAGES) * DEPTH;
    const int first_m = blockIdx.x % (columns / 32) * 32;
    const int first_k = blockIdx.x / (columns / 32) * 32;
    const int area = conv.h.taps * conv.w.taps;
    for (int i = threadIdx.x; i < 1024; i += 256) {
        const int m = first_m + i / 32, k = first_k + i % 32, c = k / area;
        const int r = conv.h.first + k % area / conv.w.taps * conv.h.every;
        const int s = conv.w.first + k % area % conv.w.taps * conv.w.every;
        SCALAR value = 0;
        if (m < conv.rows && c < conv.channels)
            value = weight[(long long)blockIdx.y * conv.weight_group + m * conv.weight_m +
                           c * conv.weight_c + r * conv.weight_h + s];
        if constexpr (TENSOR == 1 && !HALVES) value = __uint_as_float(tf32(value));
        filters[i / 32][i % 32] = value;
    }
    __syncthreads();
    const int tiles_m = columns / BM, tiles_k = conv.tiles + STAGES;
    SCALAR* group = packed + (long long)blockIdx.y * tiles_m * tiles_k * DEPTH * BM;
    for (int i = threadIdx.x; i < 1024; i += 256) {
        const int word = i / PAIR;  // in the order of place_a
        const int m = TENSOR ? word / 16 % 16 * 2 + word % 2 : word % 32;
        const int k = (TENSOR ? word / 256 * 8 + word / 2 % 8 : word / 32) * PAIR + i % PAIR;
        const int tile = (first_m + m) / BM * tiles_k + (first_k + k) / DEPTH;
        const int place = place_a((first_k + k) % DEPTH / PAIR, (first_m + m) % BM);
        if (first_k + k < depth)
            group[(long long)tile * DEPTH * BM + place * PAIR + k % PAIR] = filters[m][k];
    }
    const int k = first_k + threadIdx.x;
    if (threadIdx.x < 32 && k < depth && blockIdx.y == 0 && first_m == 0)
        ((uint2*)taps)[k] = tap(conv, k);
}

// Brings the tiles: of a so many vectors, of b the column of one pixel or a part of it.
struct Loader {
    static constexpr bool ROUNDED = true;  // a is TF32 already
    const Vector* weights;
    const char* pixel;  // its first tap; perhaps outside x, then it is not read
    const uint4* taps;
    uint unseen, at_b;
    uint2 next[GATHERED * PAIR];
    Vector vectors[ASYNC ? 1 : VECTORS];  // on their way through registers
    Element elements[ASYNC ? 1 : GATHERED * PAIR];

    DEVICE Loader(const SCALAR* x, const SCALAR* packed, const uint* table, const Conv& conv,
                  int tile_m, int tile_n) {
        const int word = threadIdx.x / BN * GATHERED, column = threadIdx.x % BN;
        const int plane = conv.h.out * conv.w.out, number = tile_n * BN + column;
        const int n = number / plane, p = number % plane / conv.w.out, q = number % conv.w.out;
        const int h = p * conv.h.stride + conv.h.origin, w = q * conv.w.stride + conv.w.origin;
        const long long image = (long long)n * gridDim.y + blockIdx.y;
        const long long row = image * conv.channels * conv.h.size + h;
        pixel = (const char*)(x + row * conv.w.size + w);
        unseen = n < conv.images ? outside(conv, h, w) : ~0u;
        taps = (const uint4*)table + word * PAIR / 2;
        at_b = place_b(word, column);

        const int columns = (conv.rows + BM - 1) / BM;
        const long long tile = ((long long)blockIdx.y * columns + tile_m) * (conv.tiles + STAGES);
        weights = (const Vector*)(packed + tile * DEPTH * BM) + threadIdx.x;
        keep(pixel);
    }

    DEVICE void look() {
#pragma unroll
        for (int i = 0; i < GATHERED * PAIR; i += 2) *(uint4*)&next[i] = taps[i / 2];
        taps += DEPTH / 2;
    }

    DEVICE void fetch(Word* memory, uint stage) {
#pragma unroll
        for (int i = 0; i < VECTORS; ++i) {
            if constexpr (ASYNC)
                copy_vector((Vector*)(memory + stage) + threadIdx.x + i * THREADS,
                            weights + i * THREADS);
            else
                vectors[i] = weights[i * THREADS];
        }
        weights += BK * BM * sizeof(Word) / 16;
#pragma unroll
        for (int i = 0; i < GATHERED * PAIR; ++i) {
            const char* from = pixel + next[i].x;
            const bool seen = !(unseen & next[i].y);
            if constexpr (ASYNC)
                copy_element(memory + (stage + at_b) + i * LDB, from, seen);
            else
                elements[i] = seen ? __ldg((const Element*)from) : Element(0);
        }
    }

    DEVICE void land(Word* memory, uint stage) {
        if constexpr (!ASYNC) {
#pragma unroll
            for (int i = 0; i < VECTORS; ++i)
                ((Vector*)(memory + stage))[threadIdx.x + i * THREADS] = vectors[i];
#pragma unroll
            for (int i = 0; i < GATHERED; ++i)
                memory[stage + at_b + i * LDB] = word(elements + i * PAIR);
        }
    }
};

// A block's tile of y, with the bias. DENSE: a group of pixels is one piece of memory.
template <bool DENSE>
DEVICE void store(const Tile& tile, const SCALAR* bias, SCALAR* y, const Conv& conv, int first_m,
                  int first_n) {
    constexpr int PIECE = DENSE ? Tile::GROUP : 1;
    struct alignas(PIECE * sizeof(SCALAR)) Piece {
        SCALAR v[PIECE];
    };
    const int plane = conv.h.out * conv.w.out, channel = blockIdx.y * conv.rows + first_m;
    ACCUM add[Tile::LINES];
#pragma unroll
    for (int i = 0; i < Tile::LINES; ++i) {
        const bool has = bias && first_m + tile.row(i) < conv.rows;
        add[i] = has ? ACCUM(bias[channel + tile.row(i)]) : ACCUM(0);
    }
#pragma unroll
    for (int j = 0; j < Tile::GROUPS * Tile::GROUP; j += PIECE) {
        const int number = first_n + tile.column(j / Tile::GROUP) + j % Tile::GROUP;
        const int n = number / plane, p = number % plane / conv.w.out, q = number % conv.w.out;
        if (n >= conv.images) continue;
        SCALAR* to = y + ((long long)n * gridDim.y * conv.rows + channel) * conv.y_channel +
                     conv.y_first + (long long)p * conv.y_row + (long long)q * conv.y_column;
#pragma unroll
        for (int i = 0; i < Tile::LINES; ++i) {
            const int m = tile.row(i);
            if (first_m + m >= conv.rows) continue;
            Piece piece;
#pragma unroll
            for (int e = 0; e < PIECE; ++e)
                piece.v[e] = SCALAR(tile.value(i, j / Tile::GROUP, j % Tile::GROUP + e) + add[i]);
            *(Piece*)(to + uint(m) * conv.y_channel) = piece;
        }
    }
}

DEVICE void convolve(const SCALAR* x, const SCALAR* packed, const uint* taps, const SCALAR* bias,
                     SCALAR* y, const Conv& conv) {
    extern __shared__ Vector memory[];
    const int tiles_m = (conv.rows + BM - 1) / BM;
    const int tile_m = blockIdx.x % tiles_m, tile_n = blockIdx.x / tiles_m;
    Loader loader(x, packed, taps, conv, tile_m, tile_n);
    Tile tile;
    accumulate(tile, loader, (Word*)memory, conv.tiles);
    const bool dense = conv.y_column == 1 && conv.y_row == conv.w.out &&
                       conv.h.out * conv.w.out % Tile::GROUP == 0;
    if (dense)
        store<true>(tile, bias, y, conv, tile_m * BM, tile_n * BN);
    else
        store<false>(tile, bias, y, conv, tile_m * BM, tile_n * BN);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    conv2d_forward(const SCALAR* __restrict__ x, const SCALAR* __restrict__ packed,
                   const unsigned int* __restrict__ taps, const SCALAR* __restrict__ bias,
                   SCALAR* __restrict__ y, const Conv conv) {
    convolve(x, packed, taps, bias, y, conv);
}

// One phase of dx.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    conv2d_backward_data(const SCALAR* __restrict__ dy, const SCALAR* __restrict__ packed,
                         const unsigned int* __restrict__ taps, SCALAR* __restrict__ dx,
                         const Conv conv) {
    convolve(dy, packed, taps, nullptr, dx, conv);
}
