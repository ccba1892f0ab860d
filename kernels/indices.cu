// Indices out of range: found on the device, told at the next synchronisation.
//
//   record <- the first i with not (low <= index[i] < high) and index[i] != ignored
//
// Layout: index (n), contiguous. record: 7 words, one record for each stream; FIRST is ~0 and
// TICKET 0 between launches. What stands in CHECK to HIGH is the first failed check since the host
// set CHECK to 0, and stays.
//
// Launch: 256 threads a block, up to 256 blocks, each of which strides over the indices. The last
// block to finish writes the record, so that position and value belong together.
//
// Bytes per index: its own, the least possible.
#ifndef INDEX
#define INDEX long long
#endif

#define THREADS 256

enum { FIRST, TICKET, CHECK, VALUE, POSITION, LOW, HIGH };  // words of a record

extern "C" __global__ void __launch_bounds__(THREADS)
    index_check(const INDEX* __restrict__ index, long long n, long long low, long long high,
                long long ignored, int check, unsigned long long* record) {
    const unsigned long long none = ~0ull;
    __shared__ unsigned long long first;
    if (threadIdx.x == 0) first = none;
    __syncthreads();

    const long long step = (long long)gridDim.x * THREADS;
    for (long long i = (long long)blockIdx.x * THREADS + threadIdx.x; i < n; i += step) {
        const long long value = index[i];
        if ((value < low || value >= high) && value != ignored) {
            atomicMin(&first, (unsigned long long)i);
            break;
        }
    }
    __syncthreads();
    if (threadIdx.x != 0) return;

    if (first != none) atomicMin(record + FIRST, first);
    __threadfence();
    if (atomicAdd(record + TICKET, 1ull) != gridDim.x - 1) return;  // not the last block
    __threadfence();
    const unsigned long long found = atomicExch(record + FIRST, none);
    atomicExch(record + TICKET, 0ull);
    if (found == none || record[CHECK] != 0) return;
    record[CHECK] = check;
    record[VALUE] = (long long)index[found];
    record[POSITION] = found;
    record[LOW] = low;
    record[HIGH] = high;
}
