"""Sound CUDA kernels for the tests: what their broken variants are made from."""

# ruff: noqa: E501

SGEMM = """
#define BM 64
#define BN 64
#define BK 8
extern "C" __global__ void __launch_bounds__(256)
sgemm(int M, int N, int K, const float* A, const float* B, float* C) {
  __shared__ float As[BK][BM];
  __shared__ float Bs[BK][BN];
  const int t = threadIdx.x, tx = t % 16, ty = t / 16;
  const int m0 = blockIdx.y * BM, n0 = blockIdx.x * BN;
  float acc[4][4] = {};
  for (int k0 = 0; k0 < K; k0 += BK) {
    const int r = t / 2, c = t % 2 * 4;
    if (t < 128) {
      float4 a = *(const float4*)(A + (m0 + r) * K + k0 + c);
      As[c][r] = a.x;
      As[c + 1][r] = a.y;
      As[c + 2][r] = a.z;
      As[c + 3][r] = a.w;
    } else {
      const int q = t - 128;
      *(float4*)&Bs[q / 16][q % 16 * 4] = *(const float4*)(B + (k0 + q / 16) * N + n0 + q % 16 * 4);
    }
    __syncthreads();  // loaded
    for (int k = 0; k < BK; k++) {
      float4 a = *(float4*)&As[k][ty * 4];
      float4 b = *(float4*)&Bs[k][tx * 4];
      float x[4] = {a.x, a.y, a.z, a.w}, y[4] = {b.x, b.y, b.z, b.w};
      for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) acc[i][j] += x[i] * y[j];
    }
    __syncthreads();  // used
  }
  for (int i = 0; i < 4; i++)
    *(float4*)(C + (m0 + ty * 4 + i) * N + n0 + tx * 4) =
        make_float4(acc[i][0], acc[i][1], acc[i][2], acc[i][3]);
}
"""

REDUCE = """
extern "C" __global__ void reduce(const float* x, float* out, int n) {
  __shared__ float part[32];
  float s = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    s += x[i];
  for (int o = 16; o > 0; o >>= 1) s += __shfl_down_sync(0xffffffffu, s, o);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  if (lane == 0) part[warp] = s;
  __syncthreads();
  if (warp == 0) {
    s = lane < blockDim.x / 32 ? part[lane] : 0.f;
    for (int o = 16; o > 0; o >>= 1) s += __shfl_xor_sync(0xffffffffu, s, o);
    if (lane == 0) atomicAdd(out, s);
  }
}
"""

# One warp: D[16][8] = A[16][K] B[K][8], both in the layout that mma wants.
MMA_TF32 = """
extern "C" __global__ void mma_tf32(const float* A, const float* B, float* D, int K) {
  const int g = threadIdx.x / 4, q = threadIdx.x % 4;
  float d[4] = {};
  for (int k = 0; k < K; k += 8) {
    unsigned a[4], b[2];
    const float *p = A + k, *r = B + k * 8;
    float v[4] = {p[g * K + q], p[(g + 8) * K + q], p[g * K + q + 4], p[(g + 8) * K + q + 4]};
    float w[2] = {r[q * 8 + g], r[(q + 4) * 8 + g]};
    for (int i = 0; i < 4; i++) asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(a[i]) : "f"(v[i]));
    for (int i = 0; i < 2; i++) asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(b[i]) : "f"(w[i]));
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
  D[g * 8 + 2 * q] = d[0];
  D[g * 8 + 2 * q + 1] = d[1];
  D[(g + 8) * 8 + 2 * q] = d[2];
  D[(g + 8) * 8 + 2 * q + 1] = d[3];
}
"""

MMA_F16 = """
#include <cuda_fp16.h>
extern "C" __global__ void mma_f16(const __half* A, const __half* B, float* D, int K) {
  __shared__ __align__(16) __half a[16][16];
  __shared__ __align__(16) __half b[16][8];
  const int lane = threadIdx.x, g = lane / 4, q = lane % 4;
  float d[4] = {};
  for (int k = 0; k < K; k += 16) {
    *(int4*)&a[lane / 2][lane % 2 * 8] = *(const int4*)(A + lane / 2 * K + k + lane % 2 * 8);
    *(int2*)&b[lane / 2][lane % 2 * 4] = *(const int2*)(B + (k + lane / 2) * 8 + lane % 2 * 4);
    __syncwarp();
    unsigned x[4], y[2];
    unsigned pa = __cvta_generic_to_shared(&a[lane % 16][lane / 16 * 8]);
    unsigned pb = __cvta_generic_to_shared(&b[lane % 16][0]);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
        : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(pa));
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
        : "=r"(y[0]), "=r"(y[1]) : "r"(pb));
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
    __syncwarp();
  }
  D[g * 8 + 2 * q] = d[0];
  D[g * 8 + 2 * q + 1] = d[1];
  D[(g + 8) * 8 + 2 * q] = d[2];
  D[(g + 8) * 8 + 2 * q + 1] = d[3];
}
"""

# The instructions of mma.h, by hand.
WMMA = """
#define REGS8(v) "r"(v[0]), "r"(v[1]), "r"(v[2]), "r"(v[3]), "r"(v[4]), "r"(v[5]), "r"(v[6]), "r"(v[7])
#define OUTS8(k, v) k(v[0]), k(v[1]), k(v[2]), k(v[3]), k(v[4]), k(v[5]), k(v[6]), k(v[7])
extern "C" __global__ void wide(const unsigned short* A, const unsigned short* B, float* D, int K) {
  unsigned a[8], b[8];
  float d[8] = {};
  for (int k = 0; k < K; k += 16) {
    asm("wmma.load.a.sync.aligned.row.m16n16k16.f16 {%0,%1,%2,%3,%4,%5,%6,%7}, [%8], %9;"
        : OUTS8("=r", a) : "l"(A + k), "r"(K));
    asm("wmma.load.b.sync.aligned.col.m16n16k16.f16 {%0,%1,%2,%3,%4,%5,%6,%7}, [%8], %9;"
        : OUTS8("=r", b) : "l"(B + k), "r"(K));
    asm("wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32 {%0,%1,%2,%3,%4,%5,%6,%7}, "
        "{%8,%9,%10,%11,%12,%13,%14,%15}, {%16,%17,%18,%19,%20,%21,%22,%23}, {%0,%1,%2,%3,%4,%5,%6,%7};"
        : OUTS8("+f", d) : REGS8(a), REGS8(b));
  }
  asm volatile("wmma.store.d.sync.aligned.row.m16n16k16.f32 [%0], {%1,%2,%3,%4,%5,%6,%7,%8}, %9;"
      ::"l"(D), OUTS8("f", d), "r"(16) : "memory");
}
"""

# y[i] = the sum over tiles of x, where each tile is fetched two turns ahead.
PIPELINE = """
#define STAGES 3
extern "C" __global__ void pipeline(const float* x, float* y, int tiles) {
  __shared__ __align__(16) float buffer[STAGES][256];
  const int t = threadIdx.x;
  auto fetch = [&](int tile) {
    if (tile < tiles) {
      unsigned to = __cvta_generic_to_shared(&buffer[tile % STAGES][t * 4]);
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(x + tile * 256 + t * 4));
    }
    asm volatile("cp.async.commit_group;");
  };
  fetch(0);
  fetch(1);
  float s[4] = {};
  for (int tile = 0; tile < tiles; tile++) {
    asm volatile("cp.async.wait_group 1;" ::: "memory");
    __syncthreads();  // arrived
    for (int i = 0; i < 4; i++) s[i] += buffer[tile % STAGES][255 - (t * 4 + i)];
    fetch(tile + 2);
  }
  for (int i = 0; i < 4; i++) y[t * 4 + i] = s[i];
}
"""
