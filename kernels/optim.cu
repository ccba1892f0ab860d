// Optimizers: one step of all parameters of one dtype, in one launch. The formulas stand above the
// rules; all is elementwise, in place.
//
// table: a row for each parameter: the addresses of its arrays (weight w, gradient dw, then those
// of its state; 0 for one that the rule goes without), their size, and the number of the first
// block that works on it. owners: the row of each block. Grid: (blocks), 256 threads; a block takes
// CHUNK elements. Arrays are contiguous; those that are not aligned to a Pack go element by
// element.
//
// live: null, or the numbers that follow it, in their order and in device memory, which stand for
// them: a launch that is replayed in a CUDA graph takes those of its step.
//
// Bytes per parameter of 4, the least possible: SGD 12, with momentum 20; Adam 28, with amsgrad 36;
// RMSprop 20, with momentum or centered 28. Reading the table adds 2%.
#include "scalar.cuh"

constexpr int THREADS = 256;
constexpr int CHUNK = 4096;

// W elements at a time.
template <int W>
struct alignas(sizeof(SCALAR) * W) Some {
    SCALAR v[W];
};

// Applies the rule to W elements of each of the N arrays, from element i on.
template <int W, int N, typename Rule>
__device__ void step(SCALAR* const (&arrays)[N], long long i, const Rule& rule) {
    Some<W> some[N];
#pragma unroll
    for (int k = 0; k < N; ++k)
        if (arrays[k]) some[k] = *reinterpret_cast<const Some<W>*>(arrays[k] + i);
#pragma unroll
    for (int j = 0; j < W; ++j) {
        ACCUM values[N];
#pragma unroll
        for (int k = 0; k < N; ++k) values[k] = arrays[k] ? ACCUM(some[k].v[j]) : ACCUM(0);
        rule(values);
#pragma unroll
        for (int k = 0; k < N; ++k) some[k].v[j] = SCALAR(values[k]);
    }
#pragma unroll
    for (int k = 0; k < N; ++k)
        if (arrays[k] && k != 1)  // the gradient is only read
            *reinterpret_cast<Some<W>*>(arrays[k] + i) = some[k];
}

// Applies the rule to this block's elements of the N arrays in its row of the table.
template <int N, typename Rule>
__device__ void step_all(const long long* __restrict__ table, const int* __restrict__ owners,
                         const Rule& rule) {
    const long long* row = table + owners[blockIdx.x] * (N + 2);
    SCALAR* arrays[N];
    long long addresses = 0;
#pragma unroll
    for (int k = 0; k < N; ++k) {
        arrays[k] = reinterpret_cast<SCALAR*>(row[k]);
        addresses |= row[k];
    }
    long long start = (blockIdx.x - row[N + 1]) * CHUNK;
    int count = min(row[N] - start, (long long)CHUNK);
    int wide = 0;
    if constexpr (WIDTH > 1) {
        if (addresses % sizeof(Some<WIDTH>) == 0) wide = count / WIDTH * WIDTH;
        for (int i = threadIdx.x * WIDTH; i < wide; i += THREADS * WIDTH)
            step<WIDTH>(arrays, start + i, rule);
    }
    for (int i = wide + threadIdx.x; i < count; i += THREADS) step<1>(arrays, start + i, rule);
}

// What is done to the gradient first: its sign is turned to maximize, the L2 term's is added.
__device__ ACCUM decayed(ACCUM w, ACCUM dw, ACCUM weight_decay, bool maximize) {
    if (maximize) dw = -dw;
    return weight_decay != 0 ? dw + w * weight_decay : dw;
}

// b = momentum b + kept dw (at first dw), w -= lr b; with nesterov w -= lr (dw + momentum b).
struct Sgd {
    ACCUM lr, momentum, kept, weight_decay;
    bool nesterov, maximize, first, gathers;

    __device__ void operator()(ACCUM (&values)[3]) const {
        ACCUM &w = values[0], dw = decayed(w, values[1], weight_decay, maximize), &b = values[2];
        if (gathers) {
            b = first ? dw : momentum * b + kept * dw;
            dw = nesterov ? dw + momentum * b : b;
        }
        w -= lr * dw;
    }
};

// m += (dw - m) (1 - beta1), v = beta2 v + (1 - beta2) dw^2, w -= rate m / (sqrt(v) + eps), where
// rate and eps hold the corrections of m and v. Where v_max is kept, it stands for v.
struct Adam {
    ACCUM rate, beta2, new1, new2, eps, weight_decay, shrink;  // new = 1 - beta
    bool maximize, keeps_max;

    __device__ void operator()(ACCUM (&values)[5]) const {
        ACCUM &w = values[0], &m = values[2], &v = values[3], &v_max = values[4];
        w *= shrink;  // the decay that is decoupled, or 1
        ACCUM dw = decayed(w, values[1], weight_decay, maximize), root = v;
        m += (dw - m) * new1;
        root = v = beta2 * v + new2 * dw * dw;
        if (keeps_max) root = v_max = v > v_max || v != v ? v : v_max;
        w -= rate * (m / (sqrt(root) + eps));
    }
};

// v = alpha v + (1 - alpha) dw^2, q = dw / (sqrt(v) + eps), w -= lr q. Where a mean of dw is kept,
// v - mean^2 stands for v; where q is gathered, b = momentum b + q for q.
struct Rmsprop {
    ACCUM lr, alpha, fresh, eps, weight_decay, momentum;  // fresh = 1 - alpha
    bool maximize, gathers, centered;

    __device__ void operator()(ACCUM (&values)[5]) const {
        ACCUM &w = values[0], &v = values[2], &b = values[3], &mean = values[4];
        ACCUM dw = decayed(w, values[1], weight_decay, maximize);
        v = alpha * v + fresh * dw * dw;
        ACCUM spread = v;
        if (centered) {
            mean += (dw - mean) * fresh;
            spread = v - mean * mean;
            if (spread < 0) spread = 0;  // of 16-bit moments, rounded apart
        }
        ACCUM q = dw / (sqrt(spread) + eps);
        if (gathers) q = b = momentum * b + q;
        w -= lr * q;
    }
};

// arrays: w, dw, b
extern "C" __global__ void __launch_bounds__(THREADS)
    sgd_step(const long long* __restrict__ table, const int* __restrict__ owners,
             const double* __restrict__ live, ACCUM lr, ACCUM momentum, ACCUM kept,
             ACCUM weight_decay, bool nesterov, bool maximize, bool first, bool gathers) {
    Sgd rule{lr, momentum, kept, weight_decay, nesterov, maximize, first, gathers};
    if (live) {
        rule.lr = live[0], rule.momentum = live[1], rule.kept = live[2];
        rule.weight_decay = live[3], rule.first = live[6] != 0;
    }
    step_all<3>(table, owners, rule);
}

// arrays: w, dw, m, v, v_max
extern "C" __global__ void __launch_bounds__(THREADS)
    adam_step(const long long* __restrict__ table, const int* __restrict__ owners,
              const double* __restrict__ live, ACCUM rate, ACCUM beta2, ACCUM new1, ACCUM new2,
              ACCUM eps, ACCUM weight_decay, ACCUM shrink, bool maximize, bool keeps_max) {
    Adam rule{rate, beta2, new1, new2, eps, weight_decay, shrink, maximize, keeps_max};
    if (live) {
        rule.rate = live[0], rule.beta2 = live[1], rule.new1 = live[2], rule.new2 = live[3];
        rule.eps = live[4], rule.weight_decay = live[5], rule.shrink = live[6];
    }
    step_all<5>(table, owners, rule);
}

// arrays: w, dw, v, b, mean
extern "C" __global__ void __launch_bounds__(THREADS)
    rmsprop_step(const long long* __restrict__ table, const int* __restrict__ owners,
                 const double* __restrict__ live, ACCUM lr, ACCUM alpha, ACCUM fresh, ACCUM eps,
                 ACCUM weight_decay, ACCUM momentum, bool maximize, bool gathers, bool centered) {
    Rmsprop rule{lr, alpha, fresh, eps, weight_decay, momentum, maximize, gathers, centered};
    if (live) {
        rule.lr = live[0], rule.alpha = live[1], rule.fresh = live[2], rule.eps = live[3];
        rule.weight_decay = live[4], rule.momentum = live[5];
    }
    step_all<5>(table, owners, rule);
}
