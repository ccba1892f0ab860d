// target[o, rows[i], k] += source[o, order[i], k] for all i in order, deterministic, without
// atomics: rows is sorted, so what goes to one target is a run, and each target is written once.
//
// Layout: target (outer, size, inner), source (outer, n, inner); rows (n), sorted ascending, with
// order (n), the place that each had before (the sort was stable); parts (2, chunks, columns) with
// columns = outer * inner. All contiguous. Sums are kept in ACCUM.
//
// Launch: a thread for every column of each of the `chunks` of `chunk` elements of rows, 256 to a
// block; threads along x take columns, the blocks in a row the same chunks: columns / blockDim.x of
// them. index_add adds the runs that lie in one chunk to target; of a run that crosses from one
// chunk to another each chunk leaves a part, which index_add_parts adds up, chunk by chunk, so that
// a row that everything goes to is no serial work either.
//
// Bytes: source once; each target that something goes to once to and fro; the least possible.
// Beside them rows and order, 16 for each element and warp of columns, which the cache has for the
// next element; and parts, at most twice one of `chunk` elements.
#include "scalar.cuh"

#define THREADS 256
#define BATCH 4                // elements that a thread asks for at a time
#define NOTHING (ACCUM)(-0.f)  // added, it changes no number; 0 would make 0 of -0

// What a thread adds up: a chunk of rows, for one column (o, k).
struct Share {
    int chunk, begin, end, column;
    long long source, target;  // offsets of (o, 0, k)
};

__device__ __forceinline__ Share share(int n, int size, int inner, int columns, int chunk) {
    const int across = (columns + blockDim.x - 1) / blockDim.x;
    Share s;
    s.chunk = blockIdx.x / across * blockDim.y + threadIdx.y;
    s.column = blockIdx.x % across * blockDim.x + threadIdx.x;
    s.begin = s.column < columns ? s.chunk * chunk : n;
    s.end = min(s.begin + chunk, n);
    const long long o = s.column / inner;
    const int k = s.column % inner;
    s.source = o * n * inner + k;
    s.target = o * size * inner + k;
    return s;
}

__device__ __forceinline__ void add(SCALAR& to, ACCUM sum) {
    sum += (ACCUM)to;
    to = sum;
}

// parts[0, c] is of the run that chunk c begins within, parts[1, c] of the one it ends within.
extern "C" __global__ void __launch_bounds__(THREADS)
    index_add(const SCALAR* __restrict__ source, const long long* __restrict__ rows,
              const long long* __restrict__ order, SCALAR* __restrict__ target,
              ACCUM* __restrict__ parts, int n, int size, int inner, int columns, int chunk,
              int chunks) {
    const Share s = share(n, size, inner, columns, chunk);
    if (s.begin >= n) return;
    source += s.source, target += s.target, parts += (long long)s.chunk * columns + s.column;
    long long row = rows[s.begin];
    bool starts = s.begin == 0 || rows[s.begin - 1] != row;  // the run, in this chunk
    ACCUM sum = NOTHING;
    for (int i = s.begin; i < s.end; i += BATCH) {
        long long next[BATCH];
        ACCUM value[BATCH];
#pragma unroll
        for (int b = 0; b < BATCH; ++b) {  // all under way before the first is needed
            const int at = min(i + b, s.end - 1);
            next[b] = rows[at];
            value[b] = source[order[at] * inner];
        }
#pragma unroll
        for (int b = 0; b < BATCH; ++b) {
            if (i + b >= s.end) break;
            if (next[b] != row) {
                if (starts)
                    add(target[row * inner], sum);
                else
                    parts[0] = sum;
                row = next[b], starts = true, sum = NOTHING;
            }
            sum += value[b];
        }
    }
    const bool ends = s.end == n || rows[s.end] != row;
    if (starts && ends)
        add(target[row * inner], sum);
    else
        parts[starts ? (long long)chunks * columns : 0] = sum;
}

extern "C" __global__ void __launch_bounds__(THREADS)
    index_add_parts(const long long* __restrict__ rows, SCALAR* __restrict__ target,
                    const ACCUM* __restrict__ parts, int n, int size, int inner, int columns,
                    int chunk, int chunks) {
    const Share s = share(n, size, inner, columns, chunk);
    if (s.end >= n) return;
    const long long row = rows[s.end];
    if (rows[s.end - 1] != row) return;                   // a run ends with the chunk
    if (s.begin > 0 && rows[s.begin - 1] == row) return;  // it started before the chunk
    int last = s.end, after = n;                          // the run ends in [last, after)
    while (after - last > 1) {
        const int middle = last + (after - last) / 2;
        if (rows[middle] == row)
            last = middle;
        else
            after = middle;
    }
    parts += s.column;
    ACCUM sum = parts[((long long)chunks + s.chunk) * columns];
    const int most = last / chunk;
#pragma unroll 8
    for (int c = s.chunk + 1; c <= most; ++c) sum += parts[(long long)c * columns];
    add(target[s.target + row * inner], sum);
}
