"""Activations against NumPy's formulas, PyTorch and finite differences; their kinks."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from checks import check_op, compare, to_numpy
from parity import same
from scipy import special

import gpunn
import gpunn.functional as F

X = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("f4") * 3


def _softmax(x: Any, axis: int) -> Any:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def _tanh_gelu(x: Any) -> Any:
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


# name, arguments, formula
CASES: list[tuple[str, tuple[Any, ...], Any]] = [
    ("relu", (), lambda x: np.maximum(x, 0)),
    ("relu6", (), lambda x: np.clip(x, 0, 6)),
    ("hardtanh", (), lambda x: np.clip(x, -1, 1)),
    ("hardtanh", (-0.5, 2.0), lambda x: np.clip(x, -0.5, 2)),
    ("leaky_relu", (), lambda x: np.where(x > 0, x, 0.01 * x)),
    ("leaky_relu", (1.5,), lambda x: np.where(x > 0, x, 1.5 * x)),
    ("leaky_relu", (-0.5,), lambda x: np.where(x > 0, x, -0.5 * x)),
    ("threshold", (0.5, -7.0), lambda x: np.where(x > 0.5, x, -7)),
    ("elu", (), lambda x: np.where(x > 0, x, np.exp(x) - 1)),
    ("elu", (0.3,), lambda x: np.where(x > 0, x, 0.3 * (np.exp(x) - 1))),
    ("sigmoid", (), lambda x: 1 / (1 + np.exp(-x))),
    ("tanh", (), np.tanh),
    ("silu", (), lambda x: x / (1 + np.exp(-x))),
    ("logsigmoid", (), lambda x: -np.log1p(np.exp(-x))),
    ("softplus", (), lambda x: np.log1p(np.exp(x))),
    ("softplus", (2.0, 1.0), lambda x: np.where(2 * x > 1, x, np.log1p(np.exp(2 * x)) / 2)),
    ("gelu", (), lambda x: x / 2 * (1 + special.erf(x / np.sqrt(2)))),
    ("gelu", ("tanh",), _tanh_gelu),
    ("softmax", (1,), lambda x: _softmax(x, 1)),
    ("softmax", (-1,), lambda x: _softmax(x, -1)),
    ("log_softmax", (0,), lambda x: np.log(_softmax(x, 0))),
    ("log_softmax", (2,), lambda x: np.log(_softmax(x, 2))),
]
IDS = [f"{name}{args or ''}" for name, args, _ in CASES]
SHAPES = [(), (0,), (7,), (2, 3)]


@pytest.mark.parametrize(("name", "args", "formula"), CASES, ids=IDS)
def test_value_and_gradients(name: str, args: tuple[Any, ...], formula: Any):
    function = getattr(F, name)

    def oracle(x: Any) -> Any:
        return formula(x.astype("f8")).astype("f4")

    check_op(lambda x: function(x, *args), [X], oracle)


@pytest.mark.parametrize(("name", "args", "formula"), CASES, ids=IDS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_as_pytorch_in_every_dtype(name: str, args: tuple[Any, ...], formula: Any, dtype: str):
    torch = pytest.importorskip("torch")
    x = X.astype(dtype)
    dy = np.random.default_rng(1).normal(size=X.shape).astype(dtype)
    keywords = dict(zip(["approximate"], args, strict=True)) if name == "gelu" and args else {}
    args = () if keywords else args
    a, b = gpunn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y = getattr(F, name)(a, *args, **keywords)
    z = getattr(torch.nn.functional, name)(b, *args, **keywords)
    y.backward(gpunn.tensor(dy))
    z.backward(torch.tensor(dy))
    tolerance = {"float16": 4e-3, "float32": 2e-6, "float64": 1e-12}[dtype]
    compare(to_numpy(y), to_numpy(z), name, tolerance, tolerance)
    compare(to_numpy(a.grad), to_numpy(b.grad), f"gradient of {name}", 2 * tolerance, 2 * tolerance)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "args", "formula"), CASES, ids=IDS)
def test_empty_and_small_shapes(
    name: str, args: tuple[Any, ...], formula: Any, shape: tuple[int, ...], device: str
):
    if "softmax" in name:
        args = (-1,)
    x = gpunn.ones(shape, device=device).requires_grad_()
    y = getattr(F, name)(x, *args)
    y.sum().backward()
    assert y.shape == shape
    assert x.grad is not None
    assert x.grad.shape == shape


def _slope(function: Any, at: float) -> float:
    x = gpunn.tensor([float(at)], requires_grad=True)
    function(x).sum().backward()
    return x.grad.item()


def test_gradients_at_kinks():
    assert _slope(F.relu, 0) == 0
    assert _slope(F.leaky_relu, 0) == np.float32(0.01)
    assert _slope(lambda x: F.leaky_relu(x, 3.0), 0) == 3
    assert _slope(F.relu6, 0) == _slope(F.relu6, 6) == 0
    assert _slope(F.hardtanh, -1) == _slope(F.hardtanh, 1) == 0
    assert _slope(lambda x: F.threshold(x, 2, 0), 2) == 0
    assert _slope(lambda x: F.elu(x, 0.3), 0) == np.float32(0.3)
    assert _slope(F.logsigmoid, 0) == 0.5


@pytest.mark.parametrize("name", ["relu", "relu6", "hardtanh", "leaky_relu", "elu", "silu"])
def test_in_place(name: str):
    function = getattr(F, name)
    x = gpunn.tensor(X, requires_grad=True)
    function(x).square().sum().backward()
    z = gpunn.tensor(X, requires_grad=True)
    y = z * 1
    assert function(y, inplace=True) is y
    compare(to_numpy(y), to_numpy(function(x)), name)
    y.square().sum().backward()
    compare(to_numpy(z.grad), to_numpy(x.grad), f"gradient of {name} in place")


def test_threshold_in_place():
    x = gpunn.tensor([1.0, 3.0])
    assert F.threshold(x, 2, -1, inplace=True) is x
    assert x.tolist() == [-1, 3]


def test_nan_stays():
    nan = gpunn.tensor([float("nan")])
    for name in ["relu", "relu6", "leaky_relu", "elu", "sigmoid", "silu", "gelu", "softplus"]:
        assert np.isnan(getattr(F, name)(nan).item()), name
    assert np.isnan(F.threshold(nan, 1.0, 2.0).item())


def test_nothing_overflows():
    far = gpunn.tensor([-1e4, 1e4])
    assert F.sigmoid(far).tolist() == [0, 1]
    assert F.logsigmoid(far).tolist() == [-1e4, 0]
    assert F.softplus(far).tolist() == [0, 1e4]
    assert F.elu(far).tolist() == [-1, 1e4]
    assert F.silu(far).tolist() == [0, 1e4]
    assert F.softmax(far, 0).tolist() == [0, 1]
    assert F.log_softmax(far, 0).tolist() == [-2e4, 0]
    x = gpunn.tensor([-1e4, 1e4], requires_grad=True)
    (F.softplus(x) + F.elu(x)).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 2]


def test_sigmoid_is_exact_far_out_in_half():
    x = gpunn.tensor([-12.0, -14.0], dtype=gpunn.float16)
    expected = 1 / (1 + np.exp([12.0, 14.0]))
    compare(to_numpy(F.sigmoid(x)), expected, "sigmoid", 5e-2, 0, dtype=False)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_of_infinities(name: str, device: str):
    inf = float("inf")
    x = gpunn.tensor([[-inf, -inf], [inf, 1.0], [-inf, 1.0]], device=device)
    y = getattr(F, name)(x, 1).tolist()
    assert np.isnan(y[:2]).all()
    assert y[2] == ([0, 1] if name == "softmax" else [-inf, 0])


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_implicit_dim_warns(name: str):
    for shape, dim in [((3,), 0), ((2, 3), 1), ((2, 3, 4), 0), ((2, 3, 4, 5), 1)]:
        x = gpunn.rand(*shape)
        with pytest.warns(UserWarning, match=f"Implicit dimension choice for {name} has been"):
            y = getattr(F, name)(x)
        assert y.equal(getattr(F, name)(x, dim))


def test_softmax_casts_first():
    x = gpunn.tensor([1, 2, 3])
    assert F.softmax(x, 0, dtype=gpunn.float64).dtype is gpunn.float64
    assert F.log_softmax(gpunn.tensor([70000.0, 1.0]), 0, dtype=gpunn.float64).tolist()[0] == 0


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "gelu", "leaky_relu", "elu", "silu"])
def test_integers_are_refused(name: str):
    args = (0,) if "softmax" in name else ()
    with pytest.raises(NotImplementedError, match=f"\"{name}_cpu\" not implemented for 'Long'"):
        getattr(F, name)(gpunn.tensor([1, 2]), *args)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool", "float16"])
def test_hardtanh_and_threshold_keep_the_dtype(dtype: str):
    def outcome(lib: Any, name: str, *bounds: float) -> Any:
        x = lib.tensor([0, 1, 2, 7]).to(getattr(lib, dtype))
        return getattr(lib.nn.functional, name)(x, *bounds)

    same(lambda lib: outcome(lib, "threshold", 1.5, 2.0))
    same(lambda lib: outcome(lib, "relu6"))
    if dtype != "bool":
        same(lambda lib: outcome(lib, "hardtanh"))
    else:
        with pytest.raises(RuntimeError, match="Bool inputs not supported for hardtanh"):
            F.hardtanh(gpunn.tensor([True]))


@pytest.mark.parametrize("name", ["relu", "relu6", "hardtanh", "leaky_relu"])
def test_nan_hands_its_gradient_on(name: str):
    def slope(lib: Any) -> Any:
        x = lib.tensor([float("nan"), 0.5], requires_grad=True)
        getattr(lib.nn.functional, name)(x).backward(lib.ones(2))
        return x.grad

    same(slope)


def test_softmax_as_method_and_top_level_name():
    x = gpunn.tensor(X)
    for name in ("softmax", "log_softmax"):
        expected = getattr(F, name)(x, -1)
        assert getattr(x, name)(-1).equal(expected)
        assert getattr(gpunn, name)(x, dim=-1).equal(expected)
    assert gpunn.softmax(gpunn.tensor([1, 2]), 0, gpunn.float64).dtype is gpunn.float64


def test_errors():
    same(lambda lib: lib.nn.functional.softmax(lib.ones(3), 2))
    with pytest.raises(RuntimeError, match="approximate argument must be either none or tanh"):
        F.gelu(gpunn.ones(1), approximate="relu")
    with pytest.raises(ValueError, match="min_val cannot be greater than max_val"):
        F.hardtanh(gpunn.ones(1), 2, 1)


def test_no_warning_from_numpy():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = gpunn.tensor([-1e30, 1e30, float("inf")], requires_grad=True)
        for name in ["sigmoid", "silu", "softplus", "elu", "gelu", "logsigmoid"]:
            getattr(F, name)(x).sum().backward()
