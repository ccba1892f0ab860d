// Convolution, to its bias: sums over images and pixels, in any number of dimensions.
//
//   db[c] = sum over n, p of dy[n, c, p]
//
// Array dy (images, channels, plane), contiguous; parts (splits, channels), whose sum over splits
// is db. Each block adds `share` of the images * plane elements of a channel: thread t those that
// are t modulo 256, then the threads in pairs, at distances 128, 64, ..., 1. Always that order.
//
// Launch: blocks of 256, grid (channels, splits). Bytes: dy is read once, which is the least.
#include "scalar.cuh"

extern "C" __global__ void __launch_bounds__(256)
    conv2d_backward_bias(const SCALAR* __restrict__ dy, ACCUM* __restrict__ parts, int images,
                         int plane, int share) {
    __shared__ ACCUM sums[256];
    const int channels = gridDim.x, channel = blockIdx.x, thread = threadIdx.x;
    const int begin = blockIdx.y * share, count = min(share, images * plane - begin);
    int n = (begin + thread) / plane, p = (begin + thread) % plane;
    ACCUM sum = 0;
#pragma unroll 4
    for (int i = thread; i < count; i += 256) {
        sum += ACCUM(dy[((long long)n * channels + channel) * plane + p]);
        n += 256 / plane, p += 256 % plane;
        if (p >= plane) ++n, p -= plane;
    }
    sums[thread] = sum;
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if (thread < half) sums[thread] += sums[thread + half];
    }
    if (thread == 0) parts[(long long)blockIdx.y * channels + channel] = sums[0];
}
