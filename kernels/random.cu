// Random numbers: each a function of its place in the stream, so the same on every device.
//
//   random_words     word i of the stream
//   uniform          the top BITS bits of the word, as many as SCALAR holds, / 2^BITS: in [0, 1)
//   normal           from each pair of words a pair of numbers: see box_muller.cuh
//   random_integers  word i modulo range, + low
//
// Numbers of 64 bits take a word each; narrower ones a half.
//
// Layout: y (n). Launch: 256 threads a block, a thread for every block of the stream, which gives
// 4 numbers of 64 bits or 8 narrower ones. Bytes per number: its own, the least possible.
#include "box_muller.cuh"
#include "philox.cuh"
#include "scalar.cuh"

#ifndef BITS
#define BITS 24
#endif

#define THREADS 256

// The numbers from a block of the stream. A thread stores at most 16 bytes at once, some numbers
// in two halves.
template <class T>
struct Numbers {
    static constexpr int COUNT = sizeof(T) == 8 ? 4 : 8;
    static constexpr bool HALVES = COUNT * sizeof(T) == 32;
    T v[COUNT];
};

template <class T, int N>
struct alignas(sizeof(T) * N) Chunk {
    T v[N];
};

// The block that this thread draws. Where numbers are stored in halves, neighbours draw for places
// of the warp's that are 16 blocks apart: see store().
template <class T>
__device__ __forceinline__ long long own_block() {
    const long long thread = (long long)blockIdx.x * THREADS + threadIdx.x;
    const int lane = thread % 32;
    return Numbers<T>::HALVES ? thread - lane + lane % 2 * 16 + lane / 2 : thread;
}

// Stores the numbers of own_block(); none from y[n] on.
template <class T>
__device__ __forceinline__ void store(T* y, long long n, const Numbers<T>& own) {
    constexpr int COUNT = Numbers<T>::COUNT;
    const int lane = threadIdx.x % 32;
    const long long warp = (long long)blockIdx.x * THREADS + threadIdx.x - lane;
    if ((warp + 32) * COUNT > n) {  // the last warp
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            const long long at = own_block<T>() * COUNT + i;
            if (at < n) y[at] = own.v[i];
        }
    } else if constexpr (!Numbers<T>::HALVES) {
        Chunk<T, COUNT> all;
#pragma unroll
        for (int i = 0; i < COUNT; i++) all.v[i] = own.v[i];
        reinterpret_cast<Chunk<T, COUNT>*>(y + warp * COUNT)[lane] = all;
    } else {
        // A warp shall write without gaps: neighbours swap the halves that are not theirs to store.
        Chunk<T, COUNT / 2> low, high;
        const bool odd = lane % 2;
#pragma unroll
        for (int i = 0; i < COUNT / 2; i++) {
            const T first = own.v[i], second = own.v[i + COUNT / 2];
            const T other = __shfl_xor_sync(~0u, odd ? first : second, 1);
            low.v[i] = odd ? other : first;
            high.v[i] = odd ? second : other;
        }
        Chunk<T, COUNT / 2>* to = reinterpret_cast<Chunk<T, COUNT / 2>*>(y + warp * COUNT);
        to[lane] = low;
        to[32 + lane] = high;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
    random_words(unsigned long long* __restrict__ y, long long n, Stream stream) {
    const Words words = philox(stream, own_block<unsigned long long>());
    Numbers<unsigned long long> numbers;
#pragma unroll
    for (int i = 0; i < 4; i++) numbers.v[i] = words.v[i];
    store(y, n, numbers);
}

extern "C" __global__ void __launch_bounds__(THREADS)
    random_integers(long long* __restrict__ y, long long n, Stream stream, unsigned long long range,
                    long long low) {
    const Words words = philox(stream, own_block<long long>());
    Numbers<long long> numbers;
#pragma unroll
    for (int i = 0; i < 4; i++) numbers.v[i] = (long long)(words.v[i] % range + low);
    store(y, n, numbers);
}

extern "C" __global__ void __launch_bounds__(THREADS)
    uniform(SCALAR* __restrict__ y, long long n, Stream stream) {
    constexpr bool WHOLE = sizeof(SCALAR) == 8;
    const Words words = philox(stream, own_block<SCALAR>());
    Numbers<SCALAR> numbers;
#pragma unroll
    for (int i = 0; i < Numbers<SCALAR>::COUNT; i++) {
        const ACCUM kept = WHOLE ? ACCUM(words.v[i % 4] >> (64 - BITS) % 64)
                                 : ACCUM(words.half(i) >> (32 - BITS) % 32);
        numbers.v[i] = SCALAR(kept * (ACCUM(1) / (1ull << BITS)));
    }
    store(y, n, numbers);
}

extern "C" __global__ void __launch_bounds__(THREADS)
    normal(SCALAR* __restrict__ y, long long n, Stream stream) {
    const Words words = philox(stream, own_block<SCALAR>());
    Numbers<SCALAR> numbers;
#pragma unroll
    for (int i = 0; i < Numbers<SCALAR>::COUNT; i += 2) {
        ACCUM z0, z1;
        if constexpr (sizeof(SCALAR) == 8)
            box_muller(words.v[i], words.v[i + 1], z0, z1);
        else
            box_muller(words.half(i), words.half(i + 1), z0, z1);
        numbers.v[i] = SCALAR(z0);
        numbers.v[i + 1] = SCALAR(z1);
    }
    store(y, n, numbers);
}
