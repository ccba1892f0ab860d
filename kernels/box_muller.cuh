// Two random words to two standard normal numbers: Box and Muller (1958).
//
//   z = sqrt(-2 ln(1 - u)) * (cos(2 pi v), sin(2 pi v)),   u, v in [0, 1) from a word each
//
// The float pair is as good as double arithmetic rounded at the end, and has none of it: consumer
// GPUs do one double operation in the time of 64. Arguments are reduced as integers, exactly, and
// the factors are kept as sums of two floats. Over all 2^32 words the radius is within 2^-25.2 of
// its true value, the sine within 2^-25.3 and the cosine within 2^-26.3 of theirs; so z is within
// 0.5 + 2^24 (2^-25.2 + 2^-25.3) < 1.4 units in its last place, and within 1 of the rounded double.
#pragma once

// high + low, where low is less than a unit in the last place of high.
struct Sum {
    float high, low;
};

__device__ __forceinline__ Sum normalised(float large, float small) {
    const float high = large + small;
    return {high, small - (high - large)};
}

// The factor of both: u = word / 2^32.
__device__ __forceinline__ Sum radius(unsigned word) {
    if (word == 0) return {0.f, 0.f};
    // 1 - u = (1 + g) / 2^k, with 1 + g from sqrt(1/2) to sqrt(2); g = number / 2^32.
    const unsigned rest = 0u - word;
    int k = __clz(rest);
    int number = rest << k;                             // 2^32 (1 + g) - 2^32, if g < 0
    if (rest << k < 0xB504F334u) number = rest << ++k;  // the same, if g > 0
    const float rounded = number;
    const float g = rounded * 0x1p-32f, left = float(number - int(rounded)) * 0x1p-32f;

    float p = -0.0763449669f;
    p = fmaf(p, g, 0.127615765f);
    p = fmaf(p, g, -0.131601825f);
    p = fmaf(p, g, 0.142017573f);
    p = fmaf(p, g, -0.166233569f);
    p = fmaf(p, g, 0.200012267f);
    p = fmaf(p, g, -0.250008196f);
    p = fmaf(p, g, 0.333333313f);
    const float bend = g * g * fmaf(p, g, -0.5f) + fmaf(-left, g, left);  // ln(1 + g) - g

    // -ln(1 - u) = k ln 2 - g - bend; the first product is exact.
    const float whole = k * 0.693145751953125f;
    const float line = whole - g;
    const float lost = whole - line - g;
    const Sum x = normalised(line, lost + fmaf(float(k), 1.42860677e-6f, -bend));
    // sqrt(2 x): Newton's correction of an approximate root, by the exact rest.
    const float inverse = rsqrtf(2.f * x.high), root = 2.f * x.high * inverse;
    const float error = fmaf(-root, root, 2.f * x.high) + 2.f * x.low;
    return {root, 0.5f * inverse * error};
}

// cos and sin of 2 pi v, v = word / 2^32.
__device__ __forceinline__ void turn(unsigned word, Sum& cosine, Sum& sine) {
    // The angle is that of the nearest quarter turn, and a = pi * number / 2^31, |a| <= pi / 4.
    const int number = int(word << 2) >> 2;
    const unsigned quarters = (word - unsigned(number)) >> 30;
    const float rounded = number, left = number - int(rounded);
    const float unit = 1.46291812e-9f, unit_low = -4.07094027e-17f;  // pi / 2^31
    const float a = rounded * unit;
    const float a_low = fmaf(rounded, unit, -a) + fmaf(rounded, unit_low, left * unit);
    const float square = a * a, square_low = fmaf(a, a, -square);

    float s = -0.000195172674f;
    s = fmaf(s, square, 0.008332178f);
    s = fmaf(s, square, -0.166666552f);
    const Sum small = normalised(a, fmaf(a * square, s, fmaf(-0.5f * square, a_low, a_low)));
    float c = 2.44384155e-05f;
    c = fmaf(c, square, -0.00138873677f);
    c = fmaf(c, square, 0.0416666456f);
    const float fall = fmaf(square * square, c, -fmaf(a, a_low, 0.5f * square_low));
    const Sum half = normalised(1.f, -0.5f * square);
    const Sum large = normalised(half.high, half.low + fall);

    const bool swap = quarters & 1;
    cosine = swap ? small : large;
    sine = swap ? large : small;
    if (quarters + 1 & 2) cosine = {-cosine.high, -cosine.low};
    if (quarters & 2) sine = {-sine.high, -sine.low};
}

__device__ __forceinline__ float product(Sum a, Sum b) {
    return fmaf(a.high, b.high, fmaf(a.high, b.low, a.low * b.high));
}

__device__ __forceinline__ void box_muller(unsigned first, unsigned second, float& z0, float& z1) {
    const Sum r = radius(first);
    Sum cosine, sine;
    turn(second, cosine, sine);
    z0 = product(r, cosine);
    z1 = product(r, sine);
}

// The same in double precision, of the top 53 bits of each word. The reference rounds the angle
// 2 pi v, and so does this: `late` is how far, and sin and cos are moved as far.
__device__ __forceinline__ void box_muller(unsigned long long first, unsigned long long second,
                                           double& z0, double& z1) {
    const double u = (first >> 11) * 0x1p-53, v = (second >> 11) * 0x1p-53;
    const double r = sqrt(-2. * log1p(-u));
    const double angle = v * 6.283185307179586;
    const double late = fma(v, -6.283185307179586, angle) - v * 2.4492935982947064e-16;
    double sine, cosine;
    sincospi(2. * v, &sine, &cosine);
    z0 = r * fma(-sine, late, cosine);
    z1 = r * fma(cosine, late, sine);
}
