// What the two kinds of normalization share: the type of their vectors, and access by Packs.
#pragma once
#include "scalar.cuh"

#ifndef PARAM  // of weight, bias and running statistics
#define PARAM ACCUM
#endif

constexpr int THREADS = 256;  // of a block
constexpr int LANES = 32;     // of a warp

__device__ const Pack& pack(const SCALAR* x) {
    return *reinterpret_cast<const Pack*>(x);
}
__device__ Pack& pack(SCALAR* x) {
    return *reinterpret_cast<Pack*>(x);
}

// Of a gradient dy: its sum, and that of dy (x - mean).
struct Sums {
    ACCUM dy, product;

    __device__ void add(Sums other) {
        dy += other.dy;
        product += other.product;
    }
};
