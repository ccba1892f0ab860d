// Philox-4x64-10: 256 random bits from a key and a counter, the same bits as numpy.random.Philox's.
//
// J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. A stream is an endless
// row of blocks of four 64-bit words, or of eight 32-bit halves, the low half of each word first;
// any block can be had without the ones before it. About 250 instructions a block, 80 of which
// multiply: less than what moving the 8 floats that it serves takes of a GPU's time.
#pragma once

struct Stream {
    unsigned long long key[2];
    unsigned long long counter[4];  // of block 0, the least significant word first
    // Where not null: a key and a counter in device memory, to which these are added. So a launch
    // that is replayed in a CUDA graph draws new numbers.
    const unsigned long long* base;
};

struct Words {
    unsigned long long v[4];

    __device__ __forceinline__ unsigned half(int i) const {
        return unsigned(v[i / 2] >> (i % 2 * 32));
    }
};

__device__ __forceinline__ Words philox(const Stream& stream, unsigned long long block) {
    unsigned long long c[4], carry = block;  // the counter, a number of 256 bits
#pragma unroll
    for (int i = 0; i < 4; i++) {
        c[i] = stream.counter[i] + carry;
        carry = c[i] < carry;
    }
    unsigned long long k0 = stream.key[0], k1 = stream.key[1];
    if (stream.base) {
        k0 += stream.base[0];
        k1 += stream.base[1];
        carry = 0;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const unsigned long long word = stream.base[2 + i], sum = c[i] + word;
            c[i] = sum + carry;
            carry = (sum < word) + (c[i] < sum);
        }
    }
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const unsigned long long high0 = __umul64hi(c[0], 0xD2E7470EE14C6C93ull);
        const unsigned long long high1 = __umul64hi(c[2], 0xCA5A826395121157ull);
        const unsigned long long low0 = c[0] * 0xD2E7470EE14C6C93ull;
        const unsigned long long low1 = c[2] * 0xCA5A826395121157ull;
        c[0] = high1 ^ c[1] ^ k0;
        c[1] = low1;
        c[2] = high0 ^ c[3] ^ k1;
        c[3] = low0;
        k0 += 0x9E3779B97F4A7C15ull;
        k1 += 0xBB67AE8584CAA73Bull;
    }
    return {c[0], c[1], c[2], c[3]};
}
