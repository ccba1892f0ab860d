"""How many thread-instructions a second the simulator runs, with its checks and without."""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import gpunn.sim

if gpunn.sim.problem() is not None:
    pytest.skip(str(gpunn.sim.problem()), allow_module_level=True)
if gpunn.sim.has_gpu():
    pytest.skip("CuPy uses the GPU here", allow_module_level=True)

SOURCE = r"""
extern "C" __global__ void stencil(const float* x, float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i > 0 && i < n - 1) y[i] = 0.25f * x[i - 1] + 0.5f * x[i] + 0.25f * x[i + 1];
}
#define T 64
#define K 16
extern "C" __global__ void __launch_bounds__(256) gemm(const float* a, const float* b, float* c, int n) {
  __shared__ float s[K][T], t[K][T];
  const int tid = threadIdx.x, u = tid % 16 * 4, v = tid / 16 * 4;
  const int row = blockIdx.y * T, column = blockIdx.x * T;
  float sum[4][4] = {};
  for (int k = 0; k < n; k += K) {
    float4 p = *(const float4*)(a + (row + tid / 4) * n + k + tid % 4 * 4);
    s[tid % 4 * 4][tid / 4] = p.x;
    s[tid % 4 * 4 + 1][tid / 4] = p.y;
    s[tid % 4 * 4 + 2][tid / 4] = p.z;
    s[tid % 4 * 4 + 3][tid / 4] = p.w;
    *(float4*)&t[tid / 16][u] = *(const float4*)(b + (k + tid / 16) * n + column + u);
    __syncthreads();
    for (int q = 0; q < K; q++) {
      float4 x = *(float4*)&s[q][v], y = *(float4*)&t[q][u];
      const float f[4] = {x.x, x.y, x.z, x.w}, g[4] = {y.x, y.y, y.z, y.w};
      for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) sum[i][j] += f[i] * g[j];
    }
    __syncthreads();
  }
  for (int i = 0; i < 4; i++)
    *(float4*)(c + (row + v + i) * n + column + u) = make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
}
"""  # noqa: E501


@pytest.mark.parametrize("check", [True, False], ids=["checked", "unchecked"])
@pytest.mark.parametrize("name", ["stencil", "gemm"])
def test_throughput(benchmark: BenchmarkFixture, name: str, check: bool) -> None:
    device = gpunn.sim.install(check=check)
    import cupy

    kernel = cupy.RawModule(code=SOURCE).get_function(name)
    if name == "stencil":
        n = 1 << 18
        x, y = cupy.ones(n, "f4"), cupy.zeros(n, "f4")
        grid, block, arguments = (n // 256,), (256,), (x, y, np.int32(n))
    else:
        n = 256
        a, b, c = (cupy.ones((n, n), "f4") for _ in range(3))
        grid, block, arguments = (n // 64, n // 64), (256,), (a, b, c, np.int32(n))

    def run() -> None:
        kernel(grid, block, arguments)

    before = device.executed
    run()
    count = device.executed - before
    benchmark(run)
    gpunn.sim.install()
    if benchmark.stats is not None:  # it is, where the benchmarks only run to see that they do
        rate = count / benchmark.stats.stats.median / 1e6
        benchmark.extra_info["million thread-instructions a second"] = round(rate, 1)
