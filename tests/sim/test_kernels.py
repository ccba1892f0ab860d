"""Whole kernels, compiled by NVRTC for several architectures: their results."""

import numpy as np
import pytest
from cuda_kernels import MMA_F16, MMA_TF32, PIPELINE, REDUCE, SGEMM, WMMA
from simulated import Machine, compiled

pytest.importorskip("cupy")
nvrtc = pytest.importorskip("nvidia.cu13")
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("arch", [75, 80, 86, 89, 90, 100, 120])
def test_tiled_gemm(arch: int):
    a, b = (RNG.standard_normal(s).astype("f4") for s in ((128, 40), (40, 64)))
    c = np.zeros((128, 64), "f4")
    n = [np.int32(v) for v in (128, 64, 40)]
    Machine().run(compiled(SGEMM, arch), "sgemm", (1, 2), (256,), *n, a, b, c)
    np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", [75, 90, 120])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shuffle_reduction(arch: int, seed: int):
    x, out = RNG.standard_normal(1000).astype("f4"), np.zeros(1, "f4")
    Machine(seed=seed).run(compiled(REDUCE, arch), "reduce", (3,), (128,), x, out, np.int32(1000))
    np.testing.assert_allclose(out, x.sum(dtype="f8"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("arch", [80, 90, 120])
def test_tf32_mma(arch: int):
    a, b = RNG.standard_normal((16, 24)).astype("f4"), RNG.standard_normal((24, 8)).astype("f4")
    d = np.zeros((16, 8), "f4")
    Machine().run(compiled(MMA_TF32, arch), "mma_tf32", (1,), (32,), a, b, d, np.int32(24))
    np.testing.assert_allclose(d, a @ b, rtol=2e-3, atol=5e-3)
    assert np.abs(d - a @ b).max() > 1e-6, "the inputs should have been rounded to tf32"


@pytest.mark.parametrize("arch", [80, 90, 120])
def test_f16_mma_by_ldmatrix(arch: int):
    a, b = RNG.standard_normal((16, 32)).astype("f2"), RNG.standard_normal((32, 8)).astype("f2")
    d = np.zeros((16, 8), "f4")
    Machine().run(compiled(MMA_F16, arch), "mma_f16", (1,), (32,), a, b, d, np.int32(32))
    np.testing.assert_allclose(d, a.astype("f4") @ b.astype("f4"), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("arch", [75, 80, 100])
def test_wmma(arch: int):
    a, b = (RNG.standard_normal((16, 32)).astype("f2") for _ in range(2))
    d = np.zeros((16, 16), "f4")
    Machine().run(compiled(WMMA, arch), "wide", (1,), (32,), a, b, d, np.int32(32))
    np.testing.assert_allclose(d, a.astype("f4") @ b.astype("f4").T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("arch", [80, 90, 120])
def test_cp_async_pipeline(arch: int):
    x, y = RNG.standard_normal((5, 256)).astype("f4"), np.zeros(256, "f4")
    Machine().run(compiled(PIPELINE, arch), "pipeline", (1,), (64,), x, y, np.int32(5))
    np.testing.assert_allclose(y, x.sum(0)[::-1], rtol=1e-5, atol=1e-5)


LIBDEVICE = {
    "expf": (np.exp, "real"),
    "exp2f": (np.exp2, "real"),
    "expm1f": (np.expm1, "real"),
    "logf": (np.log, "positive"),
    "log2f": (np.log2, "positive"),
    "log10f": (np.log10, "positive"),
    "log1pf": (np.log1p, "positive"),
    "sinf": (np.sin, "real"),
    "cosf": (np.cos, "real"),
    "tanhf": (np.tanh, "real"),
    "sinhf": (np.sinh, "real"),
    "coshf": (np.cosh, "real"),
    "sqrtf": (np.sqrt, "positive"),
    "rsqrtf": (lambda v: 1 / np.sqrt(v), "positive"),
    "cbrtf": (np.cbrt, "real"),
    "asinf": (np.arcsin, "unit"),
    "acosf": (np.arccos, "unit"),
    "atanf": (np.arctan, "real"),
    "floorf": (np.floor, "real"),
    "rintf": (np.rint, "real"),
    "powf": (lambda v: np.power(np.abs(v), v / 9), "real"),
    "erff": (None, "real"),
}
INPUTS = {
    "real": (RNG.standard_normal(4000) * 10).astype("f4"),
    "positive": np.exp(RNG.uniform(-20, 20, 4000)).astype("f4"),
    "unit": RNG.uniform(-1, 1, 4000).astype("f4"),
}


def test_float_functions_within_two_ulps():
    from scipy.special import erf

    calls = {n: f"{n}(v)" for n in LIBDEVICE} | {"powf": "powf(fabsf(v), v / 9)"}
    source = "".join(
        f'extern "C" __global__ void k_{n}(const float* x, float* y, int n) {{\n'
        f"  int i = blockIdx.x * blockDim.x + threadIdx.x;\n"
        f"  if (i < n) {{ float v = x[i]; y[i] = {call}; }}\n}}\n"
        for n, call in calls.items()
    )
    text, machine = compiled(source, 80), Machine()
    for name, (function, kind) in LIBDEVICE.items():
        x, y = INPUTS[kind], np.zeros(4000, "f4")
        machine.run(text, f"k_{name}", (16,), (256,), x, y, np.int32(4000))
        wide = x.astype("f8")
        if name == "powf":
            exact = np.power(np.abs(wide), (x / np.float32(9)).astype("f8"))
        else:
            exact = (function or erf)(wide)
        ulps = np.abs(y - exact) / np.spacing(np.abs(exact.astype("f4")))
        assert ulps.max() <= 2, f"{name}: {ulps.max():.2f} ulps at {x[ulps.argmax()]!r}"
