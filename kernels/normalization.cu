// Batch normalization: y = (x - mean) / sqrt(var + eps) * weight + bias, mean and var of a channel.
//
// x, y, dy, dx: (outer, channels, inner), the inner dimension being a whole image. mean, var, dw
// and db: (channels). weight and bias: (groups, inner / share), as normalization_rows.cu has them;
// that is (channels) here, where `groups` is channels and `share` inner. The rows of layer and
// group norm that are too long for one block come as channels, too, with outer 1; their weight
// differs within a channel.
//
// Grid: (channels, splits), 256 threads; every block takes `chunk` of the `total` elements of a
// channel. Where inner is 1, a channel is a column: a block takes 32 side by side, 8 threads each,
// and the grid is (channels / 32, splits).
//
// A statistic needs all of a channel. So the first kernel leaves, for each block, a part of it in
// `parts`, (numbers of a part, splits, channels); every block of the second one combines the parts
// of its channel, in a fixed order, the same in all of them, and goes on with its own elements. No
// atomics: same input, same bits.
//
// Bytes per element of 4 (the least possible): forward 12 (12, or 8 where x stays in the L2
// cache), by given statistics 8 (8), backward 20 (20, or 12).
#include "normalization.cuh"

// A channel, and which of its elements are this thread's.
struct Place {
    long long channels, channel;
    unsigned inner, lanes, first, step;  // thread `first` of `step`; a block has `lanes` channels

    __device__ Place(long long channels, unsigned inner) : channels(channels), inner(inner) {
        lanes = inner == 1 ? LANES : 1;
        channel = blockIdx.x * (long long)lanes + (threadIdx.x & (lanes - 1));
        first = inner == 1 ? threadIdx.x / LANES : threadIdx.x;
        step = inner == 1 ? THREADS / LANES : THREADS;
    }

    __device__ bool exists() const { return channel < channels; }

    // Whether this thread writes what there is once for each channel.
    __device__ bool speaks() const { return exists() && first == 0 && blockIdx.y == 0; }

    // Calls visit(offset of WIDTH elements, their place in the image) for those of the block's
    // chunk that are this thread's.
    template <typename Visit>
    __device__ void each(unsigned total, unsigned chunk, Visit visit) const {
        unsigned j = blockIdx.y * chunk + first * WIDTH;
        unsigned end = min((blockIdx.y + 1) * chunk, total);
        if (!exists() || j >= end) return;
        unsigned stride = step * WIDTH, over = stride % inner, within = j % inner;
        long long rows = stride / inner * channels * inner + over;
        long long at = (j / inner * channels + channel) * inner + within;
        for (; j < end; j += stride) {
            visit(at, within);
            at += rows;
            within += over;
            if (within >= inner) {  // into the next image
                within -= inner;
                at += (channels - 1) * inner;
            }
        }
    }

    // The sum of the parts that this block's threads have; all threads of a channel get the same.
    template <typename Part>
    __device__ Part sum_of_threads(Part part) const {
        __shared__ Part shared[THREADS];
        shared[threadIdx.x] = part;
        for (unsigned half = THREADS / 2; half >= lanes; half /= 2) {
            __syncthreads();
            if (threadIdx.x < half) shared[threadIdx.x].add(shared[threadIdx.x + half]);
        }
        __syncthreads();
        return shared[threadIdx.x & (lanes - 1)];
    }

    // The sum of the parts that the blocks of an earlier kernel kept.
    template <typename Part>
    __device__ Part sum_of_blocks(const ACCUM* __restrict__ parts) const {
        Part sum = {};
        if (exists())
            for (unsigned split = first; split < gridDim.y; split += step) {
                Part part;
                for_each_number(part, split,
                                [&](ACCUM& number, long long at) { number = parts[at]; });
                sum.add(part);
            }
        return sum_of_threads(sum);
    }

    // Keeps this block's part.
    template <typename Part>
    __device__ void keep(Part part, ACCUM* parts) const {
        if (exists() && first == 0)
            for_each_number(part, blockIdx.y,
                            [&](ACCUM& number, long long at) { parts[at] = number; });
    }

  private:
    template <typename Part, typename Visit>
    __device__ void for_each_number(Part& part, unsigned split, Visit visit) const {
        ACCUM* numbers = reinterpret_cast<ACCUM*>(&part);
#pragma unroll
        for (int i = 0; i < sizeof(Part) / sizeof(ACCUM); ++i)
            visit(numbers[i], ((long long)i * gridDim.y + split) * channels + channel);
    }
};

// Of some elements: how many, their mean, and the sum of (x - mean)^2. Parts are merged by Chan,
// Golub and LeVeque, 1979: nothing is lost where the mean is large beside the deviations.
struct Moments {
    ACCUM count, mean, squares;

    __device__ void add(Moments other) {
        if (other.count == 0) return;
        ACCUM apart = other.mean - mean, share = other.count / (count + other.count);
        mean += apart * share;
        squares += other.squares + apart * apart * count * share;
        count += other.count;
    }
};

// y = (x - mean) r weight + bias over this block's chunk; weight and bias are those of its channel.
__device__ void normalize(const Place& place, const SCALAR* __restrict__ x, SCALAR* __restrict__ y,
                          ACCUM mean, ACCUM r, const PARAM* weight, const PARAM* bias,
                          unsigned share, unsigned total, unsigned chunk) {
    Vector scale(weight, 0, share, 1), shift(bias, 0, share, 0);
    place.each(total, chunk, [&](long long at, unsigned j) {
        Pack in = pack(x + at);
        if (share != place.inner) {
            scale = Vector(weight, j, share, 1);
            shift = Vector(bias, j, share, 0);
        }
#pragma unroll
        for (int i = 0; i < WIDTH; ++i)
            in.v[i] = SCALAR((ACCUM(in.v[i]) - mean) * (scale.v[i] * r) + shift.v[i]);
        pack(y + at) = in;
    });
}

// parts = moments of the chunks
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    batch_norm_moments(const SCALAR* __restrict__ x, ACCUM* __restrict__ parts, long long channels,
                       unsigned inner, unsigned total, unsigned chunk) {
    Place place(channels, inner);
    // Sums of what a thread's elements have over its first one: that is as near to their mean as
    // any, and one of them, so that squares - sum^2 / count cancels little.
    ACCUM count = 0, origin = 0, sum = 0, squares = 0;
    place.each(total, chunk, [&](long long at, unsigned) {
        Pack in = pack(x + at);
        if (count == 0) origin = ACCUM(in.v[0]);
        count += WIDTH;
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) {
            ACCUM over = ACCUM(in.v[i]) - origin;
            sum += over;
            squares += over * over;
        }
    });
    Moments own = {};
    if (count > 0) own = {count, origin + sum / count, squares - sum * (sum / count)};
    place.keep(place.sum_of_threads(own), parts);
}

// y by the statistics of the batch, which are written to mean and var, and move the running ones,
// where given: running = (1 - momentum) running + momentum batch, the variance times `unbiased`.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    batch_norm_forward(const SCALAR* __restrict__ x, const ACCUM* __restrict__ parts,
                       const PARAM* __restrict__ weight, const PARAM* __restrict__ bias, int groups,
                       int share, SCALAR* __restrict__ y, ACCUM* __restrict__ mean,
                       ACCUM* __restrict__ var, PARAM* running_mean, PARAM* running_var,
                       ACCUM momentum, ACCUM unbiased, ACCUM eps, long long channels,
                       unsigned inner, unsigned total, unsigned chunk) {
    Place place(channels, inner);
    Moments all = place.sum_of_blocks<Moments>(parts);
    if (!place.exists()) return;
    long long c = place.channel;
    ACCUM variance = all.squares / all.count;
    if (place.speaks()) {
        mean[c] = all.mean;
        var[c] = variance;
        if (running_mean) {
            ACCUM kept = 1 - momentum;
            running_mean[c] = PARAM(kept * ACCUM(running_mean[c]) + momentum * all.mean);
            running_var[c] = PARAM(kept * ACCUM(running_var[c]) + momentum * unbiased * variance);
        }
    }
    normalize(place, x, y, all.mean, rsqrt(variance + eps), of_row(weight, c, inner, groups, share),
              of_row(bias, c, inner, groups, share), share, total, chunk);
}

// y by given statistics
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    batch_norm_eval(const SCALAR* __restrict__ x, const PARAM* __restrict__ weight,
                    const PARAM* __restrict__ bias, const PARAM* __restrict__ mean,
                    const PARAM* __restrict__ var, SCALAR* __restrict__ y, ACCUM eps,
                    long long channels, unsigned inner, unsigned total, unsigned chunk) {
    Place place(channels, inner);
    if (!place.exists()) return;
    long long c = place.channel;
    normalize(place, x, y, ACCUM(mean[c]), rsqrt(ACCUM(var[c]) + eps), weight ? weight + c : weight,
              bias ? bias + c : bias, inner, total, chunk);
}

// parts = sums of the chunks, of v = weight dy where the weight differs within a channel, else of
// dy
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    batch_norm_sums(const SCALAR* __restrict__ dy, const SCALAR* __restrict__ x,
                    const PARAM* __restrict__ weight, int groups, int share,
                    const ACCUM* __restrict__ mean, ACCUM* __restrict__ parts, long long channels,
                    unsigned inner, unsigned total, unsigned chunk) {
    Place place(channels, inner);
    Sums own = {};
    bool differs = weight && share != inner;
    ACCUM center = 0;
    if (place.exists()) {
        center = mean[place.channel];
        weight = of_row(weight, place.channel, inner, groups, share);
    }
    place.each(total, chunk, [&](long long at, unsigned j) {
        Pack slope = pack(dy + at), in = pack(x + at);
        Vector scale(differs ? weight : nullptr, j, share, 1);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) {
            ACCUM v = ACCUM(slope.v[i]) * scale.v[i];
            own.add({v, v * (ACCUM(in.v[i]) - center)});
        }
    });
    place.keep(place.sum_of_threads(own), parts);
}

// With r = 1 / sqrt(var + eps) and all sums over the channel, n of them:
// dx = r (v - sum(v) / n - (x - mean) r^2 sum(v (x - mean)) / n); where the weight is the
// channel's, it is a factor of all, and dw = r sum(dy (x - mean)), db = sum(dy).
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    batch_norm_backward(const SCALAR* __restrict__ dy, const SCALAR* __restrict__ x,
                        const ACCUM* __restrict__ parts, const PARAM* __restrict__ weight,
                        int groups, int share, const ACCUM* __restrict__ mean,
                        const ACCUM* __restrict__ var, SCALAR* __restrict__ dx,
                        ACCUM* __restrict__ dw, ACCUM* __restrict__ db, ACCUM eps,
                        long long channels, unsigned inner, unsigned total, unsigned chunk) {
    Place place(channels, inner);
    Sums all = place.sum_of_blocks<Sums>(parts);
    if (!place.exists()) return;
    long long c = place.channel;
    ACCUM r = rsqrt(var[c] + eps), center = mean[c], factor = r;
    bool differs = weight && share != inner;
    if (dw && place.speaks()) {
        dw[c] = all.product * r;
        db[c] = all.dy;
    }
    weight = of_row(weight, c, inner, groups, share);
    if (weight && !differs) factor *= ACCUM(*weight);
    ACCUM shift = all.dy / total, slope = all.product * r * r / total;
    place.each(total, chunk, [&](long long at, unsigned j) {
        Pack in = pack(x + at), out = pack(dy + at);
        Vector scale(differs ? weight : nullptr, j, share, 1);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) {
            ACCUM v = ACCUM(out.v[i]) * scale.v[i], apart = ACCUM(in.v[i]) - center;
            out.v[i] = SCALAR((v - shift - apart * slope) * factor);
        }
        pack(dx + at) = out;
    });
}
