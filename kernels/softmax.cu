// Softmax and its logarithm along the middle dimension, both ways; cross-entropy and its gradient.
//
//   softmax        y_k = exp(x_k - top) / sum        dx_k = y_k (dy_k - sum over j of dy_j y_j)
//   log_softmax    y_k = x_k - top - log sum         dx_k = dy_k - exp(y_k) (sum over j of dy_j)
//   cross_entropy  loss = -w sum over k of q_k y_k   dx_k = w scale (exp(y_k) - q_k)
//
// Cross-entropy's y is the log-softmax; q_k is smoothing / size, and 1 - smoothing more for k ==
// target; w is 0 where the target is to be ignored, else its weight, or 1.
// top is the maximum of a line x, and sum that of exp(x_k - top). A line of -inf, or one that holds
// +inf or NaN, gives NaN.
//
// Layout: x, y, dx, dy (outer, size, inner), contiguous; a line is what lies along the middle.
// target, loss (outer, inner); weight (size) and scale, a number: where null, 1. Sums are kept in
// ACCUM, in an order that depends on nothing but size and inner.
//
// Launch: each kernel has the two forms of lines.cuh, 32 to 512 threads a block. A _far one has a
// flag `keep`: whether it keeps its lines in shared memory meanwhile; else it reads them twice.
//
// Bytes per element in float32, the least possible: forward 4 + 4, backward 8 + 4, cross-entropy
// 4 + 4 for both ways together. Without `keep`: forward 8 + 4, backward at most 16 + 4.
#include "lines.cuh"

extern __shared__ __align__(16) unsigned char shared[];

// No number is less. Unlike -inf it can be subtracted from -inf.
#define LOWEST ACCUM(sizeof(ACCUM) == 8 ? -1.7976931348623157e308 : -3.4028234663852886e38)

// What becomes of element k of a line, given x_k - top, or, if EXPONENTIAL, exp(x_k - top). It is
// made from the sum of the line's exponentials, the sum of its x_k - top (where it is even()), and
// the line's number.

struct Softmax {
    ACCUM factor;

    __device__ ACCUM operator()(ACCUM e, int) const { return e * factor; }
};

struct MakeSoftmax {
    static constexpr bool EXPONENTIAL = true;
    static constexpr int TURNS = MOST_TURNS;

    __device__ static constexpr bool even() { return false; }
    __device__ Softmax operator()(ACCUM sum, ACCUM, long long) const { return {1 / sum}; }
};

struct LogSoftmax {
    ACCUM shift;

    __device__ ACCUM operator()(ACCUM below, int) const { return below - shift; }
};

struct MakeLogSoftmax {
    static constexpr bool EXPONENTIAL = false;
    static constexpr int TURNS = MOST_TURNS;

    __device__ static constexpr bool even() { return false; }
    __device__ LogSoftmax operator()(ACCUM sum, ACCUM, long long) const { return {log(sum)}; }
};

struct CrossEntropy {
    ACCUM shift, share, even, hard;  // q_k = even + hard (k == target)
    ACCUM rest, slope;               // the loss is rest - slope y_target
    int target;
    SCALAR* loss;

    __device__ ACCUM operator()(ACCUM below, int k) const {
        const ACCUM y = below - shift, p = exp(y) - even;
        if (k != target) return share * p;
        *loss = SCALAR(rest - slope * y);
        return share * (p - hard);
    }
};

struct MakeCrossEntropy {
    static constexpr bool EXPONENTIAL = false;
    static constexpr int TURNS = 1;
    const long long* target;
    const SCALAR *weight, *scale;
    SCALAR* loss;  // all 0: those of ignored targets, and of classes that are not there, stay so
    long long ignore;
    ACCUM smoothing, each;  // each = smoothing / size
    int size;

    __device__ bool even() const { return smoothing != 0; }

    __device__ CrossEntropy operator()(ACCUM sum, ACCUM flat, long long line) const {
        const long long k = target[line];
        const bool there = k != ignore && k >= 0 && k < size;
        const ACCUM w = !there ? 0 : weight ? ACCUM(weight[k]) : ACCUM(1);
        const ACCUM shift = log(sum), share = there && scale ? w * ACCUM(*scale) : w;
        const ACCUM rest = even() ? w * (smoothing * shift - each * flat) : ACCUM(0);
        const ACCUM hard = 1 - smoothing;
        return {shift, share, each, hard, rest, w * hard, there ? int(k) : -1, loss + line};
    }
};

// Tiles -------------------------------------------------------------------------------------------

template <class Make>
__device__ void forward_tile(const SCALAR* x, SCALAR* y, long long outer, int size, int inner,
                             int planes, int team, Make make) {
    const Lines lines(outer, size, inner, planes, team);
    const Tile tile = lines.tile();
    ACCUM* all = reinterpret_cast<ACCUM*>(shared);
    tile.fetch(x, all);
    __syncthreads();
    lines.each([&](long long line, int at, int length) {
        ACCUM* own = all + (tile.begin - tile.start) + at;
        const int lane = threadIdx.x % team;
        ACCUM top = LOWEST, sum = 0, flat = 0;
#pragma unroll MOST_TURNS
        for (int k = lane; k < length; k += team) top = fmax(top, own[k * inner]);
        top = Team{1, team}.reduced(top, Max());
#pragma unroll MOST_TURNS
        for (int k = lane; k < length; k += team) {
            const ACCUM below = own[k * inner] - top, e = exp(below);
            sum += e;
            if (make.even()) flat += below;
            own[k * inner] = Make::EXPONENTIAL ? e : below;
        }
        sum = Team{1, team}.reduced(sum, Add());
        if (make.even()) flat = Team{1, team}.reduced(flat, Add());
        const auto result = make(sum, flat, line);
#pragma unroll Make::TURNS
        for (int k = lane; k < length; k += team) own[k * inner] = result(own[k * inner], k);
    });
    __syncthreads();
    if (y) tile.write(y, all);
}

template <bool LOG>
__device__ __forceinline__ ACCUM weighed(ACCUM dy, ACCUM y) {
    return LOG ? dy : dy * y;
}

template <bool LOG>
__device__ __forceinline__ ACCUM slope(ACCUM dy, ACCUM y, ACCUM total) {
    return LOG ? dy - exp(y) * total : y * (dy - total);
}

template <bool LOG>
__device__ void backward_tile(const SCALAR* dy, const SCALAR* y, SCALAR* dx, long long outer,
                              int size, int inner, int planes, int team) {
    const Lines lines(outer, size, inner, planes, team);
    const Tile tile = lines.tile();
    const int room = (planes * size * inner + 2 * SECTOR) / SECTOR * SECTOR;
    ACCUM *all_dy = reinterpret_cast<ACCUM*>(shared), *all_y = all_dy + room;
    tile.fetch(dy, all_dy);
    tile.fetch(y, all_y);
    __syncthreads();
    lines.each([&](long long, int at, int length) {
        at += tile.begin - tile.start;
        ACCUM *own_dy = all_dy + at, *own_y = all_y + at;
        const int lane = threadIdx.x % team;
        ACCUM total = 0;
        for (int k = lane; k < length; k += team)
            total += weighed<LOG>(own_dy[k * inner], own_y[k * inner]);
        total = Team{1, team}.reduced(total, Add());
        for (int k = lane; k < length; k += team)
            own_dy[k * inner] = slope<LOG>(own_dy[k * inner], own_y[k * inner], total);
    });
    __syncthreads();
    tile.write(dx, all_dy);
}

// Far lines ---------------------------------------------------------------------------------------

template <class Make>
__device__ void forward_far(const SCALAR* __restrict__ x, SCALAR* __restrict__ y, int size,
                            int inner, int width, bool keep, Make make) {
    const Far far(size, inner, width);
    ACCUM* kept = reinterpret_cast<ACCUM*>(shared);
    // Maximum and sum at once: a new maximum scales the sum so far down.
    ACCUM own_top = LOWEST, sum = 0;
    far.each([&](int, long long i, int slot) {
        const ACCUM value = ACCUM(x[i]);
        if (keep) kept[slot] = value;
        const ACCUM above = value - own_top, e = exp(-fabs(above));
        sum = above > 0 ? sum * e + 1 : sum + e;
        own_top = fmax(own_top, value);
    });
    const ACCUM top = far.team().reduced(own_top, Max());
    sum = far.team().reduced(sum * exp(own_top - top), Add());
    ACCUM flat = 0;
    if (make.even()) {
        far.each(
            [&](int, long long i, int slot) { flat += (keep ? kept[slot] : ACCUM(x[i])) - top; });
        flat = far.team().reduced(flat, Add());
    }
    const auto result = make(sum, flat, far.line());
    far.each<Make::TURNS>([&](int k, long long i, int slot) {
        const ACCUM below = (keep ? kept[slot] : ACCUM(x[i])) - top;
        const ACCUM value = result(Make::EXPONENTIAL ? exp(below) : below, k);
        if (y) y[i] = SCALAR(value);
    });
}

template <bool LOG>
__device__ void backward_far(const SCALAR* __restrict__ dy, const SCALAR* __restrict__ y,
                             SCALAR* __restrict__ dx, int size, int inner, int width, bool keep) {
    const Far far(size, inner, width);
    ACCUM* kept_dy = reinterpret_cast<ACCUM*>(shared);
    ACCUM* kept_y = kept_dy + (size * width + blockDim.x - 1) / blockDim.x * blockDim.x;
    ACCUM total = 0;
    far.each([&](int, long long i, int slot) {
        const ACCUM g = ACCUM(dy[i]), p = LOG && !keep ? ACCUM(0) : ACCUM(y[i]);
        if (keep) kept_dy[slot] = g, kept_y[slot] = p;
        total += weighed<LOG>(g, p);
    });
    total = far.team().reduced(total, Add());
    far.each([&](int, long long i, int slot) {
        const ACCUM g = keep ? kept_dy[slot] : ACCUM(dy[i]);
        const ACCUM p = keep ? kept_y[slot] : ACCUM(y[i]);
        dx[i] = SCALAR(slope<LOG>(g, p, total));
    });
}

// The kernels -------------------------------------------------------------------------------------

extern "C" __global__ void __launch_bounds__(MOST_THREADS, 2)
    softmax_forward_tile(const SCALAR* __restrict__ x, SCALAR* __restrict__ y, long long outer,
                         int size, int inner, int planes, int team) {
    forward_tile(x, y, outer, size, inner, planes, team, MakeSoftmax());
}

extern "C" __global__ void __launch_bounds__(MOST_THREADS, 2)
    log_softmax_forward_tile(const SCALAR* __restrict__ x, SCALAR* __restrict__ y, long long outer,
                             int size, int inner, int planes, int team) {
    forward_tile(x, y, outer, size, inner, planes, team, MakeLogSoftmax());
}

extern "C" __global__ void __launch_bounds__(MOST_THREADS, 2)
    softmax_backward_tile(const SCALAR* __restrict__ dy, const SCALAR* __restrict__ y,
                          SCALAR* __restrict__ dx, long long outer, int size, int inner, int planes,
                          int team) {
    backward_tile<false>(dy, y, dx, outer, size, inner, planes, team);
}

extern "C" __global__ void __launch_bounds__(MOST_THREADS, 2)
    log_softmax_backward_tile(const SCALAR* __restrict__ dy, const SCALAR* __restrict__ y,
                              SCALAR* __restrict__ dx, long long outer, int size, int inner,
                              int planes, int team) {
    backward_tile<true>(dy, y, dx, outer, size, inner, planes, team);
}

extern "C" __global__ void __launch_bounds__(MOST_THREADS, 2)
    softmax_forward_far(const SCALAR* __restrict__ x, SCALAR* __restrict__ y, int size, int inner,
                        int width, bool keep) {
    forward_far(x, y, size, inner, width, keep, MakeSoftmax());
}

extern "C" __global__ void __launch_bounds__(MOST_THREADS, 2)
    log_softmax_forward_far(const SCALAR* __restrict__ x, SCALAR* __restrict__ y, int size,
                            int inner, int width, bool keep) {
    forward_far(x, y, size, inner, width, keep, MakeLogSoftmax());
}

extern "C" __global__ void __launch_bounds__(MOST_THREADS, 2)
    softmax_backward_far(const SCALAR* __restrict__ dy, const SCALAR* __restrict__ y,
                         SCALAR* __restrict__ dx, int size, int inner, int width, bool keep) {
    backward_far<false>(dy, y, dx, size, inner, width, keep);
}

extern "C" __global__ void __launch_bounds__(MOST_THREADS, 2)
    log_softmax_backward_far(const SCALAR* __restrict__ dy, const SCALAR* __restrict__ y,
                             SCALAR* __restrict__ dx, int size, int inner, int width, bool keep) {
    backward_far<true>(dy, y, dx, size, inner, width, keep);
}

// dx may be null.
extern "C" __global__ void __launch_bounds__(MOST_THREADS, 2)
    cross_entropy_tile(const SCALAR* __restrict__ x, const long long* __restrict__ target,
                       const SCALAR* __restrict__ weight, const SCALAR* __restrict__ scale,
                       SCALAR* __restrict__ loss, SCALAR* __restrict__ dx, long long ignore,
                       ACCUM smoothing, ACCUM each, long long outer, int size, int inner,
                       int planes, int team) {
    forward_tile(x, dx, outer, size, inner, planes, team,
                 MakeCrossEntropy{target, weight, scale, loss, ignore, smoothing, each, size});
}

extern "C" __global__ void __launch_bounds__(MOST_THREADS, 2)
    cross_entropy_far(const SCALAR* __restrict__ x, const long long* __restrict__ target,
                      const SCALAR* __restrict__ weight, const SCALAR* __restrict__ scale,
                      SCALAR* __restrict__ loss, SCALAR* __restrict__ dx, long long ignore,
                      ACCUM smoothing, ACCUM each, int size, int inner, int width, bool keep) {
    forward_far(x, dx, size, inner, width, keep,
                MakeCrossEntropy{target, weight, scale, loss, ignore, smoothing, each, size});
}

// dx *= dy, a single number; most often 1, and then nothing is read or written but that number.
extern "C" __global__ void __launch_bounds__(256)
    cross_entropy_backward(SCALAR* __restrict__ dx, long long n, const SCALAR* __restrict__ dy) {
    const ACCUM factor = ACCUM(*dy);
    if (factor == 1) return;
    const long long step = (long long)gridDim.x * 256 * WIDTH;
    for (long long i = (blockIdx.x * 256ll + threadIdx.x) * WIDTH; i < n; i += step) {
        Pack pack = load(dx, i, 0ll, n);
#pragma unroll
        for (int j = 0; j < WIDTH; j++) pack.v[j] = SCALAR(ACCUM(pack.v[j]) * factor);
        store(dx, i, 0ll, n, pack);
    }
}
