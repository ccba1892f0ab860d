"""Whole kernels, compiled by NVRTC for several architectures: their results."""

import numpy as np
import pytest
from cuda_kernels import MMA_F16, MMA_TF32, PIPELINE, REDUCE, SGEMM, WMMA
from scipy import special
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


# libdevice's functions: what they compute, for which numbers, and to how many ulps. These are 2,
# except where the table of "Mathematical Functions" in the CUDA C++ Programming Guide gives more:
# there libdevice's polynomials are that coarse, on a GPU as here.
LIBDEVICE = {
    "expf": (np.exp, "real", 2),
    "exp2f": (np.exp2, "real", 2),
    "exp10f": (lambda v: 10**v, "unit", 2),
    "expm1f": (np.expm1, "real", 2),
    "logf": (np.log, "positive", 2),
    "log2f": (np.log2, "positive", 2),
    "log10f": (np.log10, "positive", 2),
    "log1pf": (np.log1p, "positive", 2),
    "powf": (lambda v: np.abs(v) ** (v.astype("f4") / np.float32(9)).astype("f8"), "real", 2),
    "sinf": (np.sin, "real", 2),
    "cosf": (np.cos, "real", 2),
    "tanf": (np.tan, "real", 4),
    "sinpif": (lambda v: np.sin(np.pi * np.remainder(v, 2)), "unit", 2),
    "asinf": (np.arcsin, "unit", 2),
    "acosf": (np.arccos, "unit", 2),
    "atanf": (np.arctan, "real", 2),
    "sinhf": (np.sinh, "real", 3),
    "coshf": (np.cosh, "real", 2),
    "tanhf": (np.tanh, "real", 2),
    "asinhf": (np.arcsinh, "real", 3),
    "acoshf": (np.arccosh, "above one", 4),
    "atanhf": (np.arctanh, "unit", 3),
    "sqrtf": (np.sqrt, "positive", 0.5),
    "rsqrtf": (lambda v: 1 / np.sqrt(v), "positive", 2),
    "cbrtf": (np.cbrt, "real", 2),
    "erff": (special.erf, "real", 2),
    "erfcf": (special.erfc, "unit", 4),
    "erfinvf": (special.erfinv, "unit", 2),
    "normcdff": (special.ndtr, "unit", 5),
    "normcdfinvf": (lambda v: special.ndtri(np.abs(v)), "unit", 5),
    "tgammaf": (special.gamma, "above one", 5),
    "lgammaf": (special.gammaln, "positive", 6),
    "floorf": (np.floor, "real", 0),
    "rintf": (np.rint, "real", 0),
}
CALLS = {"powf": "powf(fabsf(v), v / 9)", "normcdfinvf": "normcdfinvf(fabsf(v))"}
INPUTS = {
    "real": (RNG.standard_normal(4000) * 10).astype("f4"),
    "positive": np.exp(RNG.uniform(-20, 20, 4000)).astype("f4"),
    "unit": RNG.uniform(-1, 1, 4000).astype("f4"),
    "above one": RNG.uniform(1.01, 30, 4000).astype("f4"),
}


@pytest.fixture(scope="module")
def libdevice() -> str:
    return compiled(
        "".join(
            f'extern "C" __global__ void k_{n}(const float* x, float* y, int n) {{\n'
            f"  int i = blockIdx.x * blockDim.x + threadIdx.x;\n"
            f"  if (i < n) {{ float v = x[i]; y[i] = {CALLS.get(n, f'{n}(v)')}; }}\n}}\n"
            for n in LIBDEVICE
        ),
        80,
    )


@pytest.mark.parametrize("name", LIBDEVICE)
def test_float_functions(libdevice: str, name: str):
    function, kind, bound = LIBDEVICE[name]
    x, y = INPUTS[kind], np.zeros(4000, "f4")
    Machine().run(libdevice, f"k_{name}", (16,), (256,), x, y, np.int32(4000))
    exact = function(x.astype("f8"))
    ulps = np.abs(y - exact) / np.spacing(np.abs(exact.astype("f4")))
    worst = ulps.argmax()
    assert ulps[worst] <= bound, f"{ulps[worst]:.2f} ulps at {x[worst]!r}"
