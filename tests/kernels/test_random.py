"""random.cu: the CPU's numbers on the device, and what drawing them moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpunn
import gpunn.sim
from gpunn.backends import machine_code, sources, type2backend
from gpunn.backends.reference.random import KEPT_BITS

launcher = pytest.importorskip("gpunn.backends.launcher")
CPU = type2backend[np.ndarray]
SIZES = [0, 1, 3, 8, 255, 256, 1025, 2048, 4099]
# Keys and counters of more than 64 bits, and a counter that is carried on the way.
STREAMS = [(5, 0), (2**65 + 7, 2**64 - 3), (2**128 - 1, 2**192 - 9)]


def element(dtype: str) -> Any:
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype)


def same_bits(got: Any, expected: Any) -> None:
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    bits = f"u{got.dtype.itemsize}"
    assert (np.asarray(got).view(bits) == np.asarray(expected).view(bits)).all()


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(("seed", "offset"), STREAMS)
def test_words_are_numpys(cuda: Any, seed: int, offset: int, n: int):
    with launcher.recorded() as names:
        got = cuda.to_numpy(cuda.random_words(seed, offset, n))
    assert names == ["random_words"] * (n > 0)
    same_bits(got, np.random.Philox(key=seed, counter=offset).random_raw(n))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", KEPT_BITS)
def test_uniform(cuda: Any, dtype: str, n: int):
    with launcher.recorded() as names:
        got = cuda.to_numpy(cuda.uniform(3, 2**64 - 5, (n,), element(dtype)))
    assert names == ["uniform"] * (n > 0)
    same_bits(got, CPU.uniform(3, 2**64 - 5, (n,), element(dtype)))
    assert ((got >= 0) & (got < 1)).all()


@pytest.mark.parametrize(("low", "high"), [(0, 10), (-7, -6), (-(2**63), 2**63 - 1), (5, 2**40)])
def test_integers(cuda: Any, low: int, high: int):
    for n in SIZES:
        same_bits(
            cuda.to_numpy(cuda.integers(9, 1, low, high, n)), CPU.integers(9, 1, low, high, n)
        )


@pytest.mark.parametrize("p", [0.0, 1e-9, 0.3, 1 - 1e-12])
def test_keep_mask(cuda: Any, p: float):
    for n in SIZES:
        same_bits(cuda.to_numpy(cuda.keep_mask(9, 1, (1, n), p)), CPU.keep_mask(9, 1, (1, n), p))


def test_permutation(cuda: Any):
    with launcher.recorded() as names:
        got = cuda.to_numpy(cuda.permutation(9, 1, 1001))
    assert "random_words" in names
    same_bits(got, CPU.permutation(9, 1, 1001))


def ordered(x: Any) -> Any:
    """Numbers as integers in the same order, neighbours 1 apart."""
    bits = np.asarray(x).view(f"i{x.dtype.itemsize}").astype(np.int64)
    lowest = np.int64(-(2 ** (8 * x.dtype.itemsize - 1)))
    return np.where(bits < 0, lowest - bits, bits)


@pytest.mark.parametrize("dtype", KEPT_BITS)
def test_normal_is_the_cpus_to_the_last_places(cuda: Any, dtype: str):
    most = {"float64": 4, "float32": 1, "float16": 1, "bfloat16": 1}[dtype]
    for n in (1, 7, 20001):
        with launcher.recorded() as names:
            got = cuda.to_numpy(cuda.normal(3, 2**64 - 5, (n,), element(dtype)))
        assert names == ["normal"]
        expected = CPU.normal(3, 2**64 - 5, (n,), element(dtype))
        assert got.dtype == expected.dtype
        apart = np.abs(ordered(got) - ordered(expected))
        assert apart.max() <= most, f"{apart.max()} units at {apart.argmax()}"


# Each word of a pair at an end, a middle, and beside the places where the formulas change.
WORDS = sorted(
    (w + d) % 2**32
    for w in (0, 2**29, 2**30, 3 * 2**29, 2**31, 3 * 2**30, 2**32 - 0xB504F334)
    for d in (-2, -1, 0, 1, 2)
)
PROBE = """
#include "box_muller.cuh"
extern "C" __global__ void probe(const unsigned* words, float* z, int n) {
    const int i = blockIdx.x * 128 + threadIdx.x;
    if (i < n) box_muller(words[2 * i], words[2 * i + 1], z[2 * i], z[2 * i + 1]);
}
"""


def test_box_muller_of_extreme_words(cuda: Any):
    """Against long double, whose angle is not rounded as the reference's is."""
    words = np.array([(a, b) for a in WORDS for b in WORDS], np.uint32)
    z = cuda.xp.empty(words.shape, "f4")
    flags = ("-std=c++17", f"-I{sources.folder()}")
    module = cuda.xp.RawModule(code=PROBE, options=flags)
    n = len(words)
    module.get_function("probe")((-(-n // 128),), (128,), (cuda.from_numpy(words), z, np.int32(n)))
    wide = words.astype(np.longdouble)
    radius = np.sqrt(-2 * np.log1p(-wide[:, 0] / 2**32))
    quarters = np.rint(wide[:, 1] / 2**30)
    angle = (wide[:, 1] - quarters * 2**30) * (np.longdouble("3.14159265358979323846264") / 2**31)
    sine, cosine = np.sin(angle), np.cos(angle)
    turns = quarters.astype(int) % 4
    x = np.choose(turns, [cosine, -sine, -cosine, sine])
    y = np.choose(turns, [sine, cosine, -sine, -cosine])
    expected = np.stack([radius * x, radius * y], 1)
    error = np.abs(cuda.to_numpy(z) - expected)
    assert (error <= 1.5 * np.spacing(np.abs(expected).astype("f4"))).all()


def test_float32_normal_takes_no_double_arithmetic():
    if problem := machine_code.problem():
        pytest.skip(problem)
    source = sources.files["random.cu"]
    for build in source.builds:
        code = machine_code.machine_code(
            source.text, 86, sources.options(build.macros), source.name
        )["normal"]
        double = code.count("DADD", "DMUL", "DFMA", "F2F", "MUFU.RSQ64H")
        assert (double > 0) == (("SCALAR", "double") in build.macros)


@pytest.mark.parametrize("name", ["rand", "randn", "randperm", "bernoulli"])
def test_public_functions_as_on_the_cpu(name: str):
    results: list[Any] = []
    for device in ("cpu", "cuda"):
        gpunn.manual_seed(11)
        if name == "bernoulli":
            result = gpunn.bernoulli(gpunn.full((33, 5), 0.3, device=device))
        elif name == "randperm":
            result = gpunn.randperm(100, device=device)
        else:
            result = getattr(gpunn, name)(33, 5, device=device)
        results.append(result.cpu().numpy())
    np.testing.assert_allclose(*results, rtol=2e-7)


# Bytes ------------------------------------------------------------------------------------------


def test_bytes_per_number(cuda: Any, moved: Callable[[str], int]):
    n = 20480
    drawn = {
        "random_words": cuda.random_words(1, 2, n),
        "random_integers": cuda.integers(1, 2, 0, 9, n),
        "uniform": cuda.uniform(1, 2, (n,), np.dtype("f4")),
        "normal": cuda.normal(1, 2, (n,), np.dtype("f2")),
    }
    for name, y in drawn.items():
        assert y.nbytes <= moved(name) <= 1.01 * y.nbytes, name
