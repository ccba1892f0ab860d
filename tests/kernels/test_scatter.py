"""scatter.cu against numpy.add.at, which adds one by one; runs, chunks, what is inherited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from checks import compare, to_numpy

import gpunn
import gpunn.functional as F
import gpunn.sim
from gpunn.backends import type2backend
from gpunn.backends.base import Backend
from gpunn.sim.profile import Profile

scatter = pytest.importorskip("gpunn.backends.device.scatter")
recorded = pytest.importorskip("gpunn.backends.launcher").recorded
CPU, RNG = type2backend[np.ndarray], np.random.default_rng(0)

TOLERANCE = {"float32": 1e-5, "float64": 1e-12, "float16": 2e-3, "bfloat16": 1e-2, "int64": 0.0}
ONE, TWO = ["index_add"], ["index_add", "index_add_parts"]


def dtype_of(name: str) -> Any:
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def draw(*shape: int, dtype: str = "float32") -> Any:
    array = RNG.integers(-9, 9, shape)
    return array.astype(dtype) if dtype == "int64" else (array / 8).astype(dtype_of(dtype))


def added(cuda: Any, kernels: list[str], target: Any, index: Any, source: Any) -> None:
    """Add on the device, and as NumPy does, half numbers in float32; these kernels ran."""
    items = index if isinstance(index, tuple) else (index,)
    there = tuple(cuda.from_numpy(i) if isinstance(i, np.ndarray) else i for i in items)
    got = cuda.from_numpy(target)
    with recorded() as ran:
        cuda.index_add(
            got, there if isinstance(index, tuple) else there[0], cuda.from_numpy(source)
        )
    assert ran == kernels
    wide = np.float32 if target.dtype.itemsize == 2 else target.dtype
    expected = target.astype(wide)
    np.add.at(expected, index, source.astype(wide))
    tolerance = TOLERANCE[target.dtype.name]
    compare(to_host(cuda, got), expected.astype(target.dtype), "index_add", tolerance, tolerance)


def to_host(cuda: Any, array: Any) -> Any:
    return cuda.to_numpy(array)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("columns", [1, 3, 33, 300])
@pytest.mark.parametrize("n", [1, 5, 32, 100, 333])
def test_rows(n: int, columns: int, dtype: str, cuda: Any) -> None:
    target = draw(17, columns, dtype=dtype)
    index = RNG.integers(-17, 17, n) ** 3 % 17 - 8
    kernels = ONE if n <= 32 else TWO
    added(cuda, kernels, target, index, draw(n, columns, dtype=dtype))


@pytest.mark.parametrize(
    "index",
    [
        np.zeros(2000, "i8"),  # one run over all chunks
        np.arange(2000),  # each index once
        np.repeat([3, 1, 7], [31, 1, 800]),  # runs that end with a chunk, and fill some
        np.repeat(np.arange(60), 16)[::-1].copy(),
        np.repeat([5, 2], [64, 64]),
        np.repeat(np.arange(20), 33),
    ],
)
def test_runs(index: Any, cuda: Any) -> None:
    added(cuda, TWO, draw(2000, 2), index, draw(len(index), 2))


@pytest.mark.parametrize("n", [1, 100])
def test_the_sign_of_zero_stays(n: int, cuda: Any) -> None:
    got = cuda.from_numpy(np.full(2, -0.0))
    cuda.index_add(got, cuda.from_numpy(np.ones(n, "i8")), cuda.from_numpy(np.full(n, -0.0)))
    assert np.signbit(to_host(cuda, got)).all()


# target, index, source
PLACES: dict[str, Callable[[], Any]] = {
    "a matrix of rows": lambda: (draw(9, 4), RNG.integers(0, 9, (3, 5)), draw(3, 5, 4)),
    "the last dimension": lambda: (
        draw(3, 4, 6),
        (slice(None), slice(None), RNG.integers(0, 6, 50)),
        draw(3, 4, 50),
    ),
    "in the middle": lambda: (
        draw(3, 6, 4),
        (slice(None), RNG.integers(-6, 6, 50)),
        draw(3, 50, 4),
    ),
    "two arrays": lambda: (
        draw(5, 6, 4),
        (RNG.integers(-5, 5, (7, 1)), RNG.integers(0, 6, 9)),
        draw(7, 9, 4),
    ),
    "every element": lambda: (
        draw(5, 6),
        (RNG.integers(0, 5, (8, 6)), np.arange(6)[None]),
        draw(8, 6),
    ),
    "one value": lambda: (draw(9, 4), RNG.integers(0, 9, 50), draw(1)),
    "int32": lambda: (draw(9, 4), RNG.integers(-9, 9, 50).astype("i4"), draw(50, 4)),
}


@pytest.mark.parametrize("name", PLACES)
def test_places(name: str, cuda: Any) -> None:
    target, index, source = PLACES[name]()
    with recorded() as ran:
        cuda.index_add(*(on_device(cuda, v) for v in (target.copy(), index, source)))
    added(cuda, ran, target, index, source)
    assert ran[0] == "index_add"


def on_device(cuda: Any, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(on_device(cuda, v) for v in value)
    return cuda.from_numpy(value) if isinstance(value, np.ndarray) else value


OTHERS: dict[str, Callable[[], Any]] = {
    "arrays apart": lambda: (
        draw(5, 2, 6),
        (np.array([0, 1, 0]), slice(None), np.array([1, 1, 1])),
        draw(3, 2),
    ),
    "a mask": lambda: (draw(4), np.array([True, False, True, True]), draw(3)),
    "a part": lambda: (draw(5, 6), (slice(1, 3), np.array([1, 1])), draw(2, 2)),
    "slices": lambda: (draw(5, 6), (slice(None), slice(1, 3)), draw(5, 2)),
    "another dtype": lambda: (draw(5), np.array([1, 1]), draw(2, dtype="float64")),
    "int32 elements": lambda: (draw(5).astype("i4"), np.array([1, 1]), draw(2).astype("i4")),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_the_kernels_do_not_cover_is_the_reference(name: str, cuda: Any) -> None:
    target, index, source = OTHERS[name]()
    got = cuda.from_numpy(target)
    with recorded() as ran:
        cuda.index_add(got, on_device(cuda, index), cuda.from_numpy(source))
    assert ran == []
    np.add.at(target, index, source.astype(target.dtype))
    compare(to_host(cuda, got), target, name)


def test_strided_targets_and_sources(cuda: Any) -> None:
    target, source, index = draw(6, 9), draw(50, 9), RNG.integers(0, 9, 50)
    expected = target.T.copy()
    np.add.at(expected, index, source[:, :6])
    transposed = cuda.from_numpy(target).T
    with recorded() as ran:
        cuda.index_add(transposed, cuda.from_numpy(index), cuda.from_numpy(source)[:, :6])
    assert ran == []
    compare(to_host(cuda, transposed), expected, "strided target")
    whole = cuda.from_numpy(target.T.copy())
    with recorded() as ran:
        cuda.index_add(whole, cuda.from_numpy(index), cuda.from_numpy(source)[:, :6])
    assert ran == TWO
    compare(to_host(cuda, whole), expected, "strided source")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_reference_sums_half_numbers_in_float32_too(dtype: str, cuda: Any) -> None:
    target, index, source = draw(4, dtype=dtype), np.zeros(300, "i8"), draw(300, dtype=dtype)
    for backend in (CPU, cuda):
        got = backend.from_numpy(target.copy())
        Backend.index_add(backend, got, backend.from_numpy(index), backend.from_numpy(source))
        expected = target.astype("f4")
        expected[0] += source.astype("f4").sum()
        compare(backend.to_numpy(got), expected.astype(target.dtype), "half numbers", 0, 0)


def test_nothing_to_add(cuda: Any) -> None:
    nothing = np.zeros(0, "i8")
    added(cuda, [], draw(5, 3), nothing, draw(0, 3))
    added(cuda, [], draw(5, 0), np.array([1, 1]), draw(2, 0))


def test_same_bits_every_time(cuda: Any) -> None:
    source = cuda.from_numpy(RNG.normal(size=(3000, 5)).astype("f4"))
    index = cuda.from_numpy(RNG.integers(0, 3, 3000))
    results: list[bytes] = []
    for _ in range(3):
        target = cuda.xp.zeros((3, 5), "f4")
        cuda.index_add(target, index, source)
        results.append(target.tobytes())
    assert results[0] == results[1] == results[2]


def test_half_numbers_are_summed_in_float32(cuda: Any) -> None:
    target = cuda.xp.zeros(1, "f2")
    cuda.index_add(target, cuda.xp.zeros(5000, "i8"), cuda.xp.full(5000, 0.5, "f2"))
    assert float(target[0]) == 2500  # one by one in float16, 1024 is the end


def test_embedding(cuda: Any) -> None:
    index, results = RNG.integers(0, 11, (6, 20)), []
    for device in ("cpu", "cuda"):
        weight = gpunn.tensor(np.arange(33.0).reshape(11, 3), device=device, requires_grad=True)
        with recorded() as ran:
            y = F.embedding(gpunn.tensor(index, device=device), weight, padding_idx=4)
            (dw,) = gpunn.autograd.grad((y * y).sum(), weight, create_graph=True)
            (dw * dw).sum().backward()
        assert weight.grad is not None
        results.append([to_numpy(v) for v in (dw, weight.grad)])
    assert [name for name in ran if name in TWO] == TWO * 2  # backward, twice
    compare(results[1], results[0], "embedding", 1e-12, 1e-12)


@pytest.mark.parametrize("dim", [0, 1])
def test_through_the_api(dim: int, cuda: Any) -> None:
    x, source = draw(7, 8), draw(7, 8)
    index, places = RNG.integers(0, 7, 7 + dim), RNG.integers(0, 7, (7, 8))
    results: list[Any] = []
    for device in ("cpu", "cuda"):
        x_, source_, index_, places_ = (
            gpunn.tensor(v, device=device) for v in (x, source, index, places)
        )
        with recorded() as ran:
            a = x_.index_add(dim, index_, source_, alpha=2)
            b = x_.scatter_add(dim, places_, source_)
            c = x_.index_put((places_[0], places_[1]), source_[0], accumulate=True)
        results.append([to_numpy(v) for v in (a, b, c)])
    assert set(TWO) <= set(ran)
    compare(results[1], results[0], "index_add, scatter_add, index_put")


def test_whole_sectors_are_moved(cuda: Any) -> None:
    if not gpunn.sim.installed():
        pytest.skip("the simulator counts, a GPU does not")
    index, source = cuda.from_numpy(RNG.integers(0, 90, 300)), cuda.from_numpy(draw(300, 64))
    target = cuda.xp.zeros((90, 64), "f4")
    device = gpunn.sim.install(profile=True)
    device.profile = Profile()
    cuda.index_add(target, index, source)
    gpunn.sim.install()
    for name in TWO:
        lines = device.profile.kernel(name).lines.values()
        assert sum(line.sectors for line in lines) <= 1.1 * sum(
            line.least_sectors for line in lines
        )
