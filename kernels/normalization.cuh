// What the two kinds of normalization share: the type of their vectors, and access by Packs.
#pragma once
#include "scalar.cuh"

#ifndef PARAM  // of weight, bias and running statistics
#define PARAM ACCUM
#endif

constexpr int THREADS = 256;  // of a block
constexpr int LANES = 32;     // of a warp
constexpr int BLOCKS = 4;     // on a multiprocessor; for 8 the compiler would spill registers

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

// What weight or bias has for a row; null where there is none.
__device__ const PARAM* of_row(const PARAM* vector, int row, int size, int groups, int share) {
    return vector ? vector + row % groups * (size / share) : nullptr;
}

// WIDTH elements of it, for those from j on of the row; without it, all the same.
struct Vector {
    ACCUM v[WIDTH];

    __device__ Vector(const PARAM* vector, int j, int share, ACCUM otherwise) {
        struct alignas(sizeof(PARAM) * WIDTH) Params {
            PARAM v[WIDTH];
        } params;
        if (vector && share == 1) {
            params = *reinterpret_cast<const Params*>(vector + j);
        } else if (vector) {  // WIDTH divides share
            PARAM one = vector[j / share];
#pragma unroll
            for (int i = 0; i < WIDTH; ++i) params.v[i] = one;
        }
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) v[i] = vector ? ACCUM(params.v[i]) : otherwise;
    }
};
