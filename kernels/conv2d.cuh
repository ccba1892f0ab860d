// The geometry of a convolution, as conv2d.cu and conv2d_weight.cu are told it, and its taps.
//
// A pixel (n, p, q) of y begins at row p * stride + origin of x; whether tap (r, s) is outside x is
// a question to r and to s alone. So what a pixel does not see is 32 bits, a tap is two of them,
// and the loop asks with one `and`. A filter has 15 rows and 16 columns at most.
#pragma once
#include "gemm.cuh"

struct Axis {
    int size;    // of x
    int out;     // of y
    int taps;    // filter elements that these outputs see
    int stride;  // output p sees with tap t
    int origin;  //   input p * stride + origin + t * step,
    int step;    //   times
    int first;   //   the filter's element
    int every;   //   first + t * every
};

struct Conv {
    Axis h, w;
    int images;
    int channels;      // of x, in a group: C
    int rows;          // channels of y, in a group: M
    int tiles;         // of BK words of k
    int weight_group;  // strides of the weight, in elements: of a group,
    int weight_m;      //   of a channel of y,
    int weight_c;      //   of a channel of x,
    int weight_h;      //   of a row
    int y_channel;     // strides of y, in elements: of a channel,
    int y_row;         //   of a row,
    int y_column;      //   of a column;
    int y_first;       //   and where it begins
};

constexpr uint NEVER = 1u << 15;  // the tap that every pixel has outside

// (bytes from the first element that a pixel sees, the bits of its row and column)
DEVICE uint2 tap(const Conv& conv, int k) {
    const int area = conv.h.taps * conv.w.taps, c = k / area;
    const int r = k % area / conv.w.taps, s = k % area % conv.w.taps;
    if (c >= conv.channels) return make_uint2(0, NEVER);
    const long long row = (long long)c * conv.h.size + r * conv.h.step;
    return make_uint2((row * conv.w.size + s * conv.w.step) * sizeof(SCALAR),
                      1u << r | 1u << (16 + s));
}

// What a pixel that begins at (h, w) does not see.
DEVICE uint outside(const Conv& conv, int h, int w) {
    uint bits = NEVER;
    for (int r = 0; r < conv.h.taps; ++r)
        bits |= uint(uint(h + r * conv.h.step) >= uint(conv.h.size)) << r;
    for (int s = 0; s < conv.w.taps; ++s)
        bits |= uint(uint(w + s * conv.w.step) >= uint(conv.w.size)) << (16 + s);
    return bits;
}
