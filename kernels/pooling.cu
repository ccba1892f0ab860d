// Extrema and means of windows, and their gradients, over planes (N, C, H, W); deterministic,
// without atomics.
//
//   max  y[p, q] = max of x[h, w] over window (p, q); found[p, q] = h * W + w, where it is
//        dx[h, w] = sum of dy[p, q] over the windows with found[p, q] = h * W + w
//   avg  y[p, q] = sum of x[h, w] over window (p, q) / divisor of (p, q)
//        dx[h, w] = sum of dy[p, q] / divisor of (p, q) over the windows that hold (h, w)
//
// Layout: x, dx (planes, H, W); y, dy, found (planes, P, Q); contiguous, fewer than 2^30 elements
// each. Window (p, q) is the product of two lines' windows: see Line. Sums are kept in ACCUM.
//
// Launch: 256 threads to a block; block b makes the `band` elements of its output from b * band on.
//   WIDTH > 1   A band is some whole rows. What they need of the input is one piece of memory, even
//               across planes: the block copies it to shared memory, 16 bytes at a time.
//   WIDTH = 1   Threads read what they need where it is: long rows, views that begin anywhere.
//   LANES = 32  A warp makes an output, for forward windows that share little; else a thread.
//   Backward, a band's rows and columns are looked up first, once each: which windows hold them.
//
// Bytes per element of x, for windows of 2 x 2 with stride 2 in float32: max 4 + (4 + 4) / 4 = 6
// forward and 6 backward, avg 5 and 5, which is the least possible. With WIDTH > 1 windows that
// overlap cost no more than the rows that neighbouring bands have in common.
#include "scalar.cuh"

#ifndef LANES  // threads that share an output
#define LANES 1
#endif

#define THREADS 256
#define BLOCKS 4  // on a multiprocessor: asked for no number, the compiler spills for more
#define OUTPUTS (THREADS / LANES)  // that a block makes at a time, from a multiple of it on

// An integer >= 1 that many numbers are divided by.
struct Divisor {
    int value;
    unsigned multiplier;  // floor(2^(31 + shift) / value) + 1
    int shift;            // log2(value), rounded up
};

// n / d for 0 <= n < 2^31.
__device__ __forceinline__ int quotient(int n, Divisor d) {
    return __umulhi(2u * n, d.multiplier) >> d.shift;
}

// The windows along one dimension: out of them over size elements.
// kernel = 0: adaptive ones, window i from floor(i * size / out) to before ceil((i + 1) * size /
// out).
struct Line {
    Divisor size, out, stride;
    int kernel, padding, dilation;

    // Where window i starts; before 0 on the padding.
    __device__ int start(int i) const {
        return kernel ? i * stride.value - padding : quotient(i * size.value, out);
    }

    // The first element of window i. The following ones are `dilation` apart.
    __device__ int begin(int i) const {
        const int at = start(i);
        return at >= 0 ? at : at + (dilation - 1 - at) / dilation * dilation;
    }

    // All elements of window i are before this one.
    __device__ int end(int i) const {
        return kernel ? min(start(i) + (kernel - 1) * dilation + 1, size.value)
                      : quotient((i + 1) * size.value + out.value - 1, out);
    }

    // No window before this one holds element h,
    __device__ int first(int h) const {
        if (!kernel) return quotient(h * out.value, size);
        const int past = h + padding - (kernel - 1) * dilation;
        return past > 0 ? quotient(past + stride.value - 1, stride) : 0;
    }

    // and none from this one on.
    __device__ int last(int h) const {
        return kernel ? min(quotient(h + padding, stride) + 1, out.value)
                      : quotient((h + 1) * out.value + size.value - 1, size);
    }

    // How many elements of window i a mean counts; what lies beyond the padding never counts.
    __device__ int count(int i, bool padded) const {
        return padded ? min(start(i) + kernel, size.value + padding) - start(i) : end(i) - begin(i);
    }
};

// Where an element is: its plane, and its place there.
struct Place {
    int plane, row, column;
};

__device__ __forceinline__ Place place(int i, Divisor rows, Divisor columns) {
    const int line = quotient(i, columns), plane = quotient(line, rows);
    return {plane, line - plane * rows.value, i - line * columns.value};
}

// What all elements of a row of x have in common: h * W, the windows (rows of y) that may hold
// them, and where the plane of y begins.
struct Row {
    int own, first, last, plane;
};

// The row of x that is the line-th of all planes.
__device__ __forceinline__ Row row_of(int line, const Line& h, const Line& w) {
    const int plane = quotient(line, h.size), row = line - plane * h.size.value;
    return {row * w.size.value, h.first(row), h.last(row), plane * h.out.value * w.out.value};
}

// Call visit(place in the plane) for this thread's elements of window (p, q), in row-major order.
template <typename Visit>
__device__ __forceinline__ void each(int p, int q, const Line& h, const Line& w, Visit visit) {
    const int above = h.begin(p), below = h.end(p), left = w.begin(q), right = w.end(q);
    const int pitch = w.size.value;
#if LANES == 1
#pragma unroll 1  // most windows are small: what an unrolled loop does before and after costs more
    for (int row = above; row < below; row += h.dilation)
#pragma unroll 1
        for (int column = left; column < right; column += w.dilation) visit(row * pitch + column);
#else
    // Lane l takes elements l, l + LANES, ...: neighbours read neighbours.
    const int columns = (right - left + w.dilation - 1) / w.dilation, lane = threadIdx.x % LANES;
    if (columns <= 0) return;
    int row = above + lane / columns * h.dilation, column = lane % columns;
    const int down = LANES / columns * h.dilation, along = LANES % columns;
    while (row < below) {
        visit(row * pitch + left + column * w.dilation);
        row += down, column += along;
        if (column >= columns) column -= columns, row += h.dilation;
    }
#endif
}

#if WIDTH > 1
extern __shared__ uint4 memory[];

// Copy elements from begin to before end, of n, to shared memory. Returns where element 0 would
// be.
template <typename T>
__device__ __forceinline__ int fetch(const T* __restrict__ x, int begin, int end, int n, T* tile) {
    constexpr int SIZE = 16 / sizeof(T);
    begin &= -SIZE;
#pragma unroll 4
    for (int i = begin + threadIdx.x * SIZE; i < end; i += THREADS * SIZE) {
        if (i + SIZE <= n)
            *(uint4*)(tile + i - begin) = *(const uint4*)(x + i);
        else
#pragma unroll 1
            for (int k = i; k < n; ++k) tile[k - begin] = x[k];
    }
    return -begin;
}

// Fetch the rows of x that windows from begin to before end, whole rows of them, look at.
__device__ __forceinline__ int fetch_seen(const SCALAR* __restrict__ x, int begin, int end, int n,
                                          const Line& h, const Line& w, SCALAR* tile) {
    const Place top = place(begin, h.out, w.out), bottom = place(end - 1, h.out, w.out);
    const int first = top.plane * h.size.value + max(h.start(top.row), 0);
    const int last = bottom.plane * h.size.value + h.end(bottom.row);
    return fetch(x, first * w.size.value, last * w.size.value, n, tile);
}

// Fetch the rows of y that may hold elements from begin to before end, whole rows of them, of x.
template <typename T>
__device__ __forceinline__ int fetch_holders(const T* __restrict__ y, int begin, int end, int n,
                                             const Line& h, const Line& w, T* tile) {
    const Place top = place(begin, h.size, w.size), bottom = place(end - 1, h.size, w.size);
    const int first = top.plane * h.out.value + h.first(top.row);
    const int last = bottom.plane * h.out.value + h.last(bottom.row);
    return fetch(y, first * w.out.value, last * w.out.value, n, tile);
}

// Rows and columns (their windows: from x to before y) of a band.
__device__ __forceinline__ void tabulate(int begin, int end, const Line& h, const Line& w,
                                         Row* rows, int2* columns) {
    const int top = quotient(begin, w.size), bottom = quotient(end - 1, w.size);
    for (int r = top + threadIdx.x; r <= bottom; r += THREADS) rows[r - top] = row_of(r, h, w);
    for (int c = threadIdx.x; c < w.size.value; c += THREADS)
        columns[c] = make_int2(w.first(c), w.last(c));
}
#endif

// n elements of x; found may be null. The first of equal maxima; a NaN is larger than all, and the
// last NaN counts. Where nothing is above -infinity, the window's first element is found.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    max_pool2d_forward(const SCALAR* __restrict__ x, SCALAR* __restrict__ y,
                       int* __restrict__ found, int n, int outputs, int band, Line h, Line w) {
    const int begin = blockIdx.x * band, end = min(begin + band, outputs);
#if WIDTH > 1
    SCALAR* seen = (SCALAR*)memory;
    const int origin = fetch_seen(x, begin, end, n, h, w, seen);
    __syncthreads();
#else
    const SCALAR* __restrict__ seen = x;
    const int origin = 0;
#endif
    for (int i = (begin & -OUTPUTS) + threadIdx.x / LANES; i < end; i += OUTPUTS) {
        if (i < begin) continue;
        const Place o = place(i, h.out, w.out);
        const int plane = origin + o.plane * h.size.value * w.size.value;
        // A dilated window may jump from the padding over the whole input.
        int at = min(h.begin(o.row), h.size.value - 1) * w.size.value +
                 min(w.begin(o.column), w.size.value - 1);
        ACCUM best = -__int_as_float(0x7f800000);
        each(o.row, o.column, h, w, [&](int place) {
            const ACCUM value = seen[plane + place];
            if (value > best || value != value) best = value, at = place;
        });
#if LANES > 1
        for (int step = LANES / 2; step > 0; step /= 2) {
            const ACCUM other = __shfl_xor_sync(~0u, best, step);
            const int there = __shfl_xor_sync(~0u, at, step);
            const bool larger = other > best || (other == best && there < at);
            if (other != other ? best == best || there > at : larger) best = other, at = there;
        }
        if (threadIdx.x % LANES) continue;
#endif
        y[i] = SCALAR(best);
        if (found) found[i] = at;
    }
}

// n elements of dy and found. `room`: elements of dy's tile, which found's follows; then come as
// many Rows as the band has, and a pair for each column.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    max_pool2d_backward(const SCALAR* __restrict__ dy, const int* __restrict__ found,
                        SCALAR* __restrict__ dx, int n, int inputs, int band, int room, Line h,
                        Line w) {
    const int begin = blockIdx.x * band, end = min(begin + band, inputs);
#if WIDTH > 1
    SCALAR* gradient = (SCALAR*)memory;
    int* winner = (int*)(gradient + room);
    Row* rows = (Row*)(winner + room);
    int2* columns = (int2*)(rows + quotient(band, w.size));
    const int origin = fetch_holders(dy, begin, end, n, h, w, gradient);
    const int winners = fetch_holders(found, begin, end, n, h, w, winner) - origin;
    tabulate(begin, end, h, w, rows, columns);
    __syncthreads();
    const int top = quotient(begin, w.size);
#else
    const SCALAR* __restrict__ gradient = dy;
    const int* __restrict__ winner = found;
    const int origin = 0, winners = 0;
#endif
    for (int i = (begin & -THREADS) + threadIdx.x; i < end; i += THREADS) {
        if (i < begin) continue;
        const int line = quotient(i, w.size), column = i - line * w.size.value;
#if WIDTH > 1
        const Row row = rows[line - top];
        const int2 reach = columns[column];
#else
        const Row row = row_of(line, h, w);
        const int2 reach = make_int2(w.first(column), w.last(column));
#endif
        const int own = row.own + column;
        ACCUM sum = 0;
#pragma unroll 1
        for (int p = row.first; p < row.last; ++p)
#pragma unroll 1
            for (int q = reach.x; q < reach.y; ++q) {
                const int k = origin + row.plane + p * w.out.value + q;
                if (winner[k + winners] == own) sum += ACCUM(gradient[k]);
            }
        dx[i] = SCALAR(sum);
    }
}

// n elements of x. divisor = 0: how many elements each window has, on the padding too if `padded`.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    avg_pool2d_forward(const SCALAR* __restrict__ x, SCALAR* __restrict__ y, int n, int outputs,
                       int band, int divisor, bool padded, Line h, Line w) {
    const int begin = blockIdx.x * band, end = min(begin + band, outputs);
#if WIDTH > 1
    SCALAR* seen = (SCALAR*)memory;
    const int origin = fetch_seen(x, begin, end, n, h, w, seen);
    __syncthreads();
#else
    const SCALAR* __restrict__ seen = x;
    const int origin = 0;
#endif
    for (int i = (begin & -OUTPUTS) + threadIdx.x / LANES; i < end; i += OUTPUTS) {
        if (i < begin) continue;
        const Place o = place(i, h.out, w.out);
        const int plane = origin + o.plane * h.size.value * w.size.value;
        ACCUM sum = 0;
        each(o.row, o.column, h, w, [&](int place) { sum += ACCUM(seen[plane + place]); });
#if LANES > 1
        for (int step = LANES / 2; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
        if (threadIdx.x % LANES) continue;
#endif
        y[i] =
            SCALAR(sum / (divisor ? divisor : h.count(o.row, padded) * w.count(o.column, padded)));
    }
}

// n elements of dy; `room` as above.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    avg_pool2d_backward(const SCALAR* __restrict__ dy, SCALAR* __restrict__ dx, int n, int inputs,
                        int band, int room, int divisor, bool padded, Line h, Line w) {
    const int begin = blockIdx.x * band, end = min(begin + band, inputs);
#if WIDTH > 1
    SCALAR* gradient = (SCALAR*)memory;
    Row* rows = (Row*)(gradient + room);
    int2* columns = (int2*)(rows + quotient(band, w.size));
    const int origin = fetch_holders(dy, begin, end, n, h, w, gradient);
    tabulate(begin, end, h, w, rows, columns);
    __syncthreads();
    const int top = quotient(begin, w.size);
#else
    const SCALAR* __restrict__ gradient = dy;
    const int origin = 0;
#endif
    for (int i = (begin & -THREADS) + threadIdx.x; i < end; i += THREADS) {
        if (i < begin) continue;
        const int line = quotient(i, w.size), column = i - line * w.size.value;
#if WIDTH > 1
        const Row row = rows[line - top];
        const int2 reach = columns[column];
#else
        const Row row = row_of(line, h, w);
        const int2 reach = make_int2(w.first(column), w.last(column));
#endif
        ACCUM sum = 0;
#pragma unroll 1
        for (int p = row.first; p < row.last; ++p) {
            const int count = h.count(p, padded), k = origin + row.plane + p * w.out.value;
#pragma unroll 1
            for (int q = reach.x; q < reach.y; ++q) {
                const ACCUM share = gradient[k + q];
                sum += divisor ? share : share / (count * w.count(q, padded));
            }
        }
        dx[i] = SCALAR(divisor ? sum / divisor : sum);
    }
}
