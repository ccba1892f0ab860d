"""dropout.cu: the CPU's masks bit for bit, in every build, and what it moves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checks import compare

import gpunn
import gpunn.functional as F
import gpunn.sim
from gpunn.backends import type2backend
from gpunn.backends.reference.dropout import DropoutPrimitives as Reference

launcher = pytest.importorskip("gpunn.backends.launcher")
CPU = type2backend[np.ndarray]
DTYPES = ("float32", "float64", "float16", "bfloat16")
# Shapes, and how many dimensions draw for themselves.
CASES = [
    ((1,), 1),
    ((), 0),
    ((3, 257), 2),
    ((2, 1024), 2),  # whole tiles
    ((300, 1, 1), 2),  # channels of one element
    ((70, 9, 2), 2),  # many channels in a tile
    ((5, 7, 7, 7), 2),
    ((5, 256), 1),  # a tile each
    ((3, 1001), 1),  # some tiles each
]


def element(dtype: str) -> Any:
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype)


def normal(shape: tuple[int, ...], dtype: str, offset: int = 0) -> Any:
    """Random numbers, ``offset`` elements into their memory."""
    numbers = np.random.default_rng(0).standard_normal(math.prod(shape) + offset)
    return numbers.astype(element(dtype))


@pytest.mark.parametrize("offset", [0, 1], ids=["aligned", "misaligned"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "dims"), CASES)
def test_bits_of_the_cpu(cuda: Any, shape: Any, dims: int, dtype: str, offset: int):
    flat = normal(shape, dtype, offset)
    on_device = cuda.from_numpy(flat)[offset:].reshape(shape)
    for seed, block in ((5, 0), (2**65 + 7, 2**64 - 3)):  # the counter is carried
        args = seed, block, 0.3, dims
        with launcher.recorded() as names:
            got = cuda.dropout(on_device, *args, 1 / 0.7)
        whole = math.prod(shape[dims:]) == 1
        assert names == ["dropout" if whole else "dropout_channels"]
        expected = CPU.dropout(flat[offset:].reshape(shape), *args, 1 / 0.7)
        assert got.dtype == expected.dtype
        bits = f"u{got.dtype.itemsize}"
        assert (cuda.to_numpy(got).view(bits) == np.asarray(expected).view(bits)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "dims"), [((3, 257), 2), ((70, 9, 2), 2)])
def test_alpha_dropout(cuda: Any, shape: Any, dims: int, dtype: str):
    x = cuda.from_numpy(normal(shape, dtype).reshape(shape))
    args = 5, 3, 0.3, dims
    with launcher.recorded() as names:
        got = cuda.alpha_dropout(x, *args)
    assert len(names) == 1
    # The kernel rounds once, the reference twice.
    tolerance = {2: 2e-2 if dtype == "bfloat16" else 2e-3, 4: 1e-6, 8: 1e-14}[x.dtype.itemsize]
    wide = np.promote_types(x.dtype, "f4")
    expected = cuda.to_numpy(Reference.alpha_dropout(cuda, x, *args)).astype(wide)
    compare(cuda.to_numpy(got).astype(wide), expected, "alpha_dropout", tolerance, tolerance)


@pytest.mark.parametrize("p", [1e-12, 0.999, 1 - 1e-12])
def test_extreme_probabilities(cuda: Any, p: float):
    x = normal((1000,), "float32")
    got = cuda.to_numpy(cuda.dropout(cuda.from_numpy(x), 5, 0, p, 1, 1.0))
    assert (got == CPU.dropout(x, 5, 0, p, 1, 1.0)).all()


def test_strided_empty_and_other_dtypes(cuda: Any):
    x = cuda.from_numpy(normal((40, 30), "float32").reshape(40, 30))
    expected = CPU.dropout(cuda.to_numpy(x).T, 1, 2, 0.4, 2, 2.0)
    assert (cuda.to_numpy(cuda.dropout(x.T, 1, 2, 0.4, 2, 2.0)) == expected).all()
    with launcher.recorded() as names:
        assert cuda.dropout(x[:0], 1, 2, 0.4, 2, 2.0).shape == (0, 30)
        assert (cuda.to_numpy(cuda.dropout(x, 1, 2, 1, 2, 0.0)) == 0).all()
    assert names == []


def test_what_is_not_finite_stays_seen(cuda: Any):
    x = np.full(64, np.inf, "f4")
    x[::2] = np.nan
    got = cuda.to_numpy(cuda.dropout(cuda.from_numpy(x), 5, 0, 0.5, 1, 2.0))
    with np.errstate(invalid="ignore"):
        expected = CPU.dropout(x, 5, 0, 0.5, 1, 2.0)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", ["dropout", "dropout2d", "alpha_dropout", "feature_alpha_dropout"])
def test_forward_and_backward_as_on_the_cpu(name: str):
    results: list[Any] = []
    for device in ("cpu", "cuda"):
        gpunn.manual_seed(3)
        x = gpunn.tensor(normal((9, 8, 5, 3), "float32").reshape(9, 8, 5, 3), device=device)
        x.requires_grad_()
        with launcher.recorded() as names:
            y = getattr(F, name)(x, 0.4, training=True)
            y.backward(x.detach())
        assert x.grad is not None
        results.append([t.detach().cpu().numpy() for t in (y, x.grad)])
        kernel = "dropout" if name in ("dropout", "alpha_dropout") else "dropout_channels"
        assert names == ([kernel] * 2 if device == "cuda" else [])
    compare(*results, name, 1e-6, 1e-6)
    dropped = results[0][1] == 0
    assert (dropped == (results[1][1] == 0)).all()
    assert 0.3 < dropped.mean() < 0.5


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("shape", [(33, 1000), (8, 10, 14, 14)])
def test_bytes_per_element(
    cuda: Any, moved: Callable[[str], int], shape: tuple[int, ...], dtype: str
):
    x = cuda.from_numpy(normal(shape, dtype).reshape(shape))
    cuda.dropout(x, 1, 2, 0.4, 2, 2.0)
    bytes = moved("dropout" if len(shape) == 2 else "dropout_channels")
    assert 1 <= bytes / (2 * x.nbytes) <= 1.02
