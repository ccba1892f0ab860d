// Layer and group normalization: y = (x - mean) / sqrt(var + eps) * weight + bias, mean and var of
// a row.
//
// x, y, dy, dx: (rows, size); mean, var: (rows). A row has its own of `groups` rows of weight and
// bias, where `share` elements in turn have one: (groups, size / share). So layer norm has one
// group and shares of 1, and group norm, whose rows are (image, group), as many groups as there are
// and a share for each channel. dw and db have the shape of weight and bias.
//
// A row has the threads of one y of the block: 32 for a short one, or the block's 256. With `keep`
// they hold it in shared memory, each thread the elements that it will want again, so that no
// barrier is needed; without, they read it again. (Rows longer than that go to normalization.cu.)
// Grid: (rows / rows of a block).
//
// dw and db are sums over rows, and have kernels of their own. Where these give several parts,
// another one adds them up, in order: no atomics, same input, same bits.
//
// Bytes per element of 4 (the least possible): forward 8 (8), backward 20 (12): 12 for dx, 8 for dw
// and db. Without `keep`: forward 16, backward 28. weight and bias, which every row wants, are not
// counted: they come from a cache.
#include "normalization.cuh"

extern __shared__ __align__(32) unsigned char memory[];

// Room in shared memory for this row of an array: of x alone, or of dy and x.
__device__ SCALAR* keep_of(int array, int size) {
    return reinterpret_cast<SCALAR*>(memory) + (array * blockDim.y + threadIdx.y) * (long long)size;
}

// The sum over the threads of a row, the same bits for each of them.
__device__ ACCUM sum_of_row(ACCUM part) {
#pragma unroll
    for (int lanes = LANES / 2; lanes > 0; lanes /= 2) part += __shfl_xor_sync(~0u, part, lanes);
    if (blockDim.x == LANES) return part;
    __shared__ ACCUM warps[THREADS / LANES];
    __syncthreads();  // an earlier sum's have been read
    warps[threadIdx.x / LANES] = part;
    __syncthreads();
    part = 0;
    for (int i = 0; i < blockDim.x / LANES; ++i) part += warps[i];
    return part;
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    layer_norm_forward(const SCALAR* __restrict__ x, const PARAM* __restrict__ weight,
                       const PARAM* __restrict__ bias, SCALAR* __restrict__ y,
                       ACCUM* __restrict__ mean, ACCUM* __restrict__ var, ACCUM eps, ACCUM each,
                       int rows, int size, int groups, int share, bool keep) {
    unsigned row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;  // a whole warp: the barriers are those of a block with one row
    x += (long long)row * size;
    y += (long long)row * size;
    weight = of_row(weight, row, size, groups, share);
    bias = of_row(bias, row, size, groups, share);
    SCALAR* held = keep_of(0, size);
    int first = threadIdx.x * WIDTH, step = blockDim.x * WIDTH;
    ACCUM sum = 0;
    for (int j = first; j < size; j += step) {
        Pack in = pack(x + j);
        if (keep) pack(held + j) = in;
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) sum += ACCUM(in.v[i]);
    }
    ACCUM center = sum_of_row(sum) * each, squares = 0;
    for (int j = first; j < size; j += step) {
        Pack in = keep ? pack(held + j) : pack(x + j);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) {
            ACCUM apart = ACCUM(in.v[i]) - center;
            squares += apart * apart;
        }
    }
    ACCUM variance = sum_of_row(squares) * each, r = rsqrt(variance + eps);
    if (threadIdx.x == 0) {
        mean[row] = center;
        var[row] = variance;
    }
    for (int j = first; j < size; j += step) {
        Pack in = keep ? pack(held + j) : pack(x + j);
        Vector scale(weight, j, share, 1), shift(bias, j, share, 0);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i)
            in.v[i] = SCALAR((ACCUM(in.v[i]) - center) * r * scale.v[i] + shift.v[i]);
        pack(y + j) = in;
    }
}

// With r = 1 / sqrt(var + eps), v = weight dy and sums over the row:
// dx = r (v - sum(v) / size - (x - mean) r^2 sum(v (x - mean)) / size)
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    layer_norm_backward(const SCALAR* __restrict__ dy, const SCALAR* __restrict__ x,
                        const PARAM* __restrict__ weight, const ACCUM* __restrict__ mean,
                        const ACCUM* __restrict__ var, SCALAR* __restrict__ dx, ACCUM eps,
                        ACCUM each, int rows, int size, int groups, int share, bool keep) {
    unsigned row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    dy += (long long)row * size;
    x += (long long)row * size;
    dx += (long long)row * size;
    weight = of_row(weight, row, size, groups, share);
    SCALAR *held_dy = keep_of(0, size), *held_x = keep_of(1, size);
    int first = threadIdx.x * WIDTH, step = blockDim.x * WIDTH;
    ACCUM center = mean[row], r = rsqrt(var[row] + eps);
    Sums own = {};
    for (int j = first; j < size; j += step) {
        Pack slope = pack(dy + j), in = pack(x + j);
        if (keep) {
            pack(held_dy + j) = slope;
            pack(held_x + j) = in;
        }
        Vector scale(weight, j, share, 1);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) {
            ACCUM v = ACCUM(slope.v[i]) * scale.v[i];
            own.add({v, v * (ACCUM(in.v[i]) - center)});
        }
    }
    ACCUM shift = sum_of_row(own.dy) * each;
    ACCUM turn = sum_of_row(own.product) * r * r * each;
    for (int j = first; j < size; j += step) {
        Pack slope = keep ? pack(held_dy + j) : pack(dy + j);
        Pack in = keep ? pack(held_x + j) : pack(x + j);
        Vector scale(weight, j, share, 1);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) {
            ACCUM v = ACCUM(slope.v[i]) * scale.v[i];
            slope.v[i] = SCALAR(r * (v - shift - (ACCUM(in.v[i]) - center) * turn));
        }
        pack(dx + j) = slope;
    }
}

// parts (splits, 2, size) for one group and shares of 1: over a chunk of rows, of each column
// sum(dy (x - mean) r) and sum(dy). Grid: (size / (LANES * WIDTH), splits), 32 times 8 threads.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    layer_norm_weight(const SCALAR* __restrict__ dy, const SCALAR* __restrict__ x,
                      const ACCUM* __restrict__ mean, const ACCUM* __restrict__ var,
                      ACCUM* __restrict__ parts, ACCUM eps, long long rows, int size,
                      long long chunk) {
    constexpr int COUNT = LANES * WIDTH;  // columns of the block
    __shared__ ACCUM shared[THREADS / LANES][2 * COUNT];
    int column = (blockIdx.x * LANES + threadIdx.x) * WIDTH;
    ACCUM dw[WIDTH] = {}, db[WIDTH] = {};
    long long end = min((blockIdx.y + 1) * chunk, rows);
    if (column < size)
        for (long long row = blockIdx.y * chunk + threadIdx.y; row < end; row += blockDim.y) {
            ACCUM center = mean[row], r = rsqrt(var[row] + eps);
            Pack slope = pack(dy + row * size + column), in = pack(x + row * size + column);
#pragma unroll
            for (int i = 0; i < WIDTH; ++i) {
                dw[i] += ACCUM(slope.v[i]) * (ACCUM(in.v[i]) - center) * r;
                db[i] += ACCUM(slope.v[i]);
            }
        }
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) {
        shared[threadIdx.y][threadIdx.x * WIDTH + i] = dw[i];
        shared[threadIdx.y][threadIdx.x * WIDTH + i + COUNT] = db[i];
    }
    __syncthreads();
    for (int i = threadIdx.y * LANES + threadIdx.x; i < 2 * COUNT; i += THREADS) {
        ACCUM sum = 0;
        for (int y = 0; y < blockDim.y; ++y) sum += shared[y][i];
        column = blockIdx.x * COUNT + i % COUNT;
        if (column < size) parts[(blockIdx.y * 2LL + i / COUNT) * size + column] = sum;
    }
}

// parts (rows / groups, 2, groups, size / share): the same sums over each share of each row, which
// has the threads of one y of the block. Grid: (shares / shares of a block).
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    group_norm_weight(const SCALAR* __restrict__ dy, const SCALAR* __restrict__ x,
                      const ACCUM* __restrict__ mean, const ACCUM* __restrict__ var,
                      ACCUM* __restrict__ parts, ACCUM eps, int shares, int share, int row_shares,
                      int image_shares) {
    unsigned at = blockIdx.x * blockDim.y + threadIdx.y;
    if (at >= shares) return;
    dy += (long long)at * share;
    x += (long long)at * share;
    ACCUM center = mean[at / row_shares], r = rsqrt(var[at / row_shares] + eps);
    Sums own = {};
    for (int j = threadIdx.x * WIDTH; j < share; j += blockDim.x * WIDTH) {
        Pack slope = pack(dy + j), in = pack(x + j);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i)
            own.add({ACCUM(slope.v[i]), ACCUM(slope.v[i]) * (ACCUM(in.v[i]) - center)});
    }
    own = {sum_of_row(own.dy), sum_of_row(own.product)};
    if (threadIdx.x > 0) return;
    parts += at / image_shares * 2 * image_shares + at % image_shares;
    parts[0] = own.product * r;
    parts[image_shares] = own.dy;
}

// sums = the sum over splits of parts (splits, count)
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    normalization_weight_sum(const ACCUM* __restrict__ parts, ACCUM* __restrict__ sums,
                             long long count, int splits) {
    long long i = blockIdx.x * (long long)THREADS + threadIdx.x;
    if (i >= count) return;
    ACCUM sum = 0;
    for (int split = 0; split < splits; ++split) sum += parts[split * count + i];
    sums[i] = sum;
}
