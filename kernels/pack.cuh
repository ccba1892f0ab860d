// Access to whole Packs of an array, whose ends need not be the ends of a Pack.
#pragma once
#include "scalar.cuh"

// x[i], ..., x[i + WIDTH - 1], where WIDTH divides i; what is not in [begin, end) is 0, and not
// read.
template <class Index>
__device__ __forceinline__ Pack load(const SCALAR* x, Index i, Index begin, Index end) {
    if (i >= begin && i + WIDTH <= end) return *reinterpret_cast<const Pack*>(x + i);
    Pack pack;
#pragma unroll
    for (int j = 0; j < WIDTH; j++)
        pack.v[j] = i + j >= begin && i + j < end ? x[i + j] : SCALAR(0.f);
    return pack;
}

// The same way back; what is not in [begin, end) is not written.
template <class Index>
__device__ __forceinline__ void store(SCALAR* y, Index i, Index begin, Index end, Pack pack) {
    if (i >= begin && i + WIDTH <= end) {
        // As one access: the compiler would share the elements' stores with those below.
        if constexpr (sizeof(Pack) == 16)
            __stwb(reinterpret_cast<uint4*>(y + i), *reinterpret_cast<uint4*>(&pack));
        else
            *reinterpret_cast<Pack*>(y + i) = pack;
        return;
    }
#pragma unroll
    for (int j = 0; j < WIDTH; j++)
        if (i + j >= begin && i + j < end) y[i + j] = pack.v[j];
}
