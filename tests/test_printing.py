"""repr: PyTorch's text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import gpunn


def same_text(make: Any) -> None:
    torch = pytest.importorskip("torch")
    assert repr(make(gpunn)) == repr(make(torch)).replace("torch.", "gpunn.")


CASES: dict[str, Any] = {
    "int": lambda t: t.tensor(3),
    "float": lambda t: t.tensor(3.5),
    "bool": lambda t: t.tensor(True),
    "bools": lambda t: t.tensor([[True], [False]]),
    "empty": lambda t: t.tensor([]),
    "empty ints": lambda t: t.zeros(0, dtype=t.int64),
    "empty rows": lambda t: t.zeros(3, 0),
    "whole": lambda t: t.tensor([1.0, -0.0, 300.0]),
    "nan": lambda t: t.tensor([float("nan"), 1.5]),
    "nan whole": lambda t: t.tensor([float("nan"), 1.0]),
    "inf": lambda t: t.tensor([float("inf"), -float("inf"), 0]),
    "all nan": lambda t: t.tensor([float("nan")] * 2),
    "scientific": lambda t: t.tensor([1e-5, 1.0]),
    "large": lambda t: t.tensor([1e10, 1.0]),
    "small": lambda t: t.tensor([1e-10]),
    "tiny": lambda t: t.tensor([1e-45]),
    "mixed": lambda t: t.tensor([123456.0, 0.5]),
    "8": lambda t: t.tensor([1e8]),
    "9": lambda t: t.tensor([1e9]),
    "ints": lambda t: t.tensor([[1, -2], [300, 4]]),
    "int8": lambda t: t.tensor([1, 2], dtype=t.int8),
    "half": lambda t: t.tensor([1.5, 2], dtype=t.float16),
    "double": lambda t: t.tensor([1.0, 2.25], dtype=t.float64),
    "4-d": lambda t: t.zeros(2, 2, 2, 2),
    "wrapped": lambda t: t.arange(100) * 3,
    "wrapped floats": lambda t: t.arange(100.0) / 7,
    "summary": lambda t: t.arange(2000),
    "summary 2-d": lambda t: t.arange(2000.0).reshape(50, 40),
    "summary 3-d": lambda t: t.arange(24000).reshape(20, 30, 40),
    "long": lambda t: t.zeros(1001, 2),
    "leaf": lambda t: t.ones(2, requires_grad=True),
    "long leaf": lambda t: t.ones(30, requires_grad=True),
    "result": lambda t: t.ones(2, dtype=t.float64, requires_grad=True) * 2,
    "view": lambda t: t.ones(12, requires_grad=True).exp(),
    "mean": lambda t: t.tensor([1.0, 2.0, 3.0]).mean(),
    "size": lambda t: (t.Size([1, 2]), t.Size([1, 2]) + t.Size([3]), t.Size([1, 2])[:1], t.Size()),
    "dtypes": lambda t: (t.float32, t.half, t.long, t.bool, t.int),
    "devices": lambda t: (t.device("cpu"), t.device("cuda", 1), str(t.device("cuda:0"))),
}


@pytest.mark.parametrize("name", CASES)
def test_text(name: str):
    same_text(CASES[name])


@settings(max_examples=150, deadline=None)
@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=7),
    )
)
def test_text_of_anything(array: Any):
    same_text(lambda t: t.tensor(array))


def test_formatting():
    assert f"{gpunn.tensor(1.5):.3f}" == "1.500"
    assert f"{gpunn.tensor([1.5])}" == "tensor([1.5000])"
    with pytest.raises(TypeError, match="unsupported format string passed to Tensor"):
        f"{gpunn.tensor([1.5]):.2f}"


@pytest.mark.parametrize(
    "options",
    [
        {"precision": 2},
        {"sci_mode": True},
        {"sci_mode": False, "precision": 3},
        {"threshold": 5, "edgeitems": 1},
        {"linewidth": 30},
        {"profile": "short"},
        {"profile": "short", "precision": 1},
        {"profile": "full"},
    ],
)
def test_options(options: Any):
    torch = pytest.importorskip("torch")
    array = np.random.default_rng(0).normal(size=(40, 30)) * 10.0 ** np.arange(-2, 28)
    values = [array[:3, :4], array[:2, :2] * 0 + 3, array[0, 2:9] > 0.1, np.arange(9.0), array]
    try:
        for library in (gpunn, torch):
            library.set_printoptions(**options)
        for value in values:
            wanted = repr(torch.tensor(value)).replace("torch", "gpunn")
            assert repr(gpunn.tensor(value)) == wanted
    finally:
        for library in (gpunn, torch):
            library.set_printoptions(profile="default")
    assert repr(gpunn.tensor(0.5)) == "tensor(0.5000)"
