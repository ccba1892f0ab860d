"""Elementwise operations: values, dtypes, gradients, errors."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from checks import DTYPES, check_op, draw, same_as_torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import gpunn

UNARY = [
    "neg",
    "abs",
    "sign",
    "square",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "sigmoid",
    "erf",
    "relu",
    "floor",
    "ceil",
    "trunc",
    "round",
    "isnan",
    "isinf",
    "isfinite",
    "logical_not",
    "bitwise_not",
]
BINARY = [
    "add",
    "sub",
    "mul",
    "div",
    "floor_divide",
    "remainder",
    "fmod",
    "pow",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "logical_and",
    "logical_or",
    "logical_xor",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "maximum",
    "minimum",
]
OPERATORS = [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "and_",
    "or_",
    "xor",
]
SHAPES = [((2, 3), (3,)), ((2, 3), ()), ((), ()), ((), (3,)), ((0,), (1,))]


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str):
    pytest.importorskip("torch")
    for dtype in DTYPES:
        for shape in ((2, 3), (), (0,), (2, 0)):
            x = draw(shape, dtype)
            same_as_torch(lambda t, x: getattr(t, name)(x), x, text=dtype != "bool")
            same_as_torch(lambda t, x: getattr(x, name)(), x, text=dtype != "bool")
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 1.5, 2.5, -0.5], "f4")
    if name != "bitwise_not":
        same_as_torch(lambda t, x: getattr(t, name)(x), odd)
    same_as_torch(lambda t: getattr(t, name)(2.0))


@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str):
    pytest.importorskip("torch")

    def function(t: Any, x: Any, y: Any) -> Any:
        return getattr(t, name)(x, y)

    for left in DTYPES:
        for right in DTYPES:
            for a, b in SHAPES:
                x = draw(a, left, zeros=False)
                x = np.abs(x) if name == "pow" and left != "bool" else x
                same_as_torch(function, x, draw(b, right, zeros=False, seed=1))
        if name in ("maximum", "minimum", "logical_and", "logical_or", "logical_xor"):
            continue
        for number in (True, 3, 2.5, -2):
            same_as_torch(function, draw((2, 3), left), number)
            same_as_torch(function, draw((), left), number)
    if not name.startswith("bitwise"):
        same_as_torch(function, draw((2, 3), "float32"), draw((2, 4), "float32"))
        same_as_torch(function, draw((3, 1), "int64"), draw((2, 4, 1), "float32"))


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str):
    pytest.importorskip("torch")
    apply = getattr(operator, name)
    for dtype in DTYPES:
        x = draw((2, 3), dtype, zeros=False)
        positive = x if dtype == "bool" else np.abs(x)
        for number in (True, 2, 2.5, -1):
            same_as_torch(lambda t, x, y: apply(x, y), x, number)
            same_as_torch(lambda t, x, y: apply(y, x), positive, number)
        same_as_torch(lambda t, x: apply(x, None), x, text=False)
        same_as_torch(lambda t, x: apply(x, "a"), x, text=False)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow", "lt", "eq"])
def test_numpy_operands_make_tensors(name: str):
    apply = getattr(operator, name)
    x, y = draw((2, 3), "float32") ** 2 + 0.5, draw((3,), "float64", seed=1)
    expected = apply(x, y)
    for got in (apply(gpunn.tensor(x), y), apply(x, gpunn.tensor(y))):
        assert isinstance(got, gpunn.Tensor)
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5)
    for scalar in (np.float64(2.5), np.float32(2.5), np.int64(2)):
        for got in (apply(gpunn.tensor(x), scalar), apply(scalar, gpunn.tensor(x))):
            assert isinstance(got, gpunn.Tensor)
            assert got.dtype in (gpunn.float32, gpunn.bool)  # numbers do not promote


def test_shifts_and_atan2():
    pytest.importorskip("torch")
    x, y = draw((2, 3), "int32"), np.abs(draw((3,), "int64", seed=1))
    for function in (operator.lshift, operator.rshift):
        same_as_torch(lambda t, x, y, f=function: f(x, y), x, y)
        same_as_torch(lambda t, x, f=function: f(x, 2), x)
        same_as_torch(lambda t, x, f=function: f(1, x), y)
    same_as_torch(lambda t, x, y: t.atan2(x, y), draw((2, 3), "float32"), draw((3,), "float32"))
    check_op(gpunn.atan2, [draw((2, 3)), draw((3,), seed=1)], np.arctan2)


def test_integers_divided_by_zero():
    pytest.importorskip("torch")
    x, zero = draw((3,), "int32"), np.zeros(3, "int32")
    for name in ("floor_divide", "remainder", "fmod"):
        same_as_torch(lambda t, x, y, name=name: getattr(t, name)(x, y), x, zero)
        same_as_torch(lambda t, x, name=name: getattr(t, name)(x, 0), x)


def test_alpha_rounding_mode_decimals():
    pytest.importorskip("torch")
    x = draw((2, 3), "float32") * 10
    same_as_torch(lambda t, x: t.add(x, x, alpha=2), x)
    same_as_torch(lambda t, x: t.sub(x, 1, alpha=2.5), x)
    same_as_torch(lambda t, x: t.sub(x, x, alpha=2.5), draw((3,), "int64"))
    same_as_torch(lambda t, x: t.round(x, decimals=2), x)
    for mode in ("floor", "trunc", None, "up"):
        for dtype in ("int64", "float32"):
            a, b = draw((9,), dtype), draw((9,), "int32", zeros=False, seed=1)
            same_as_torch(lambda t, a, b, mode=mode: t.div(a, b, rounding_mode=mode), a, b)


def test_where():
    pytest.importorskip("torch")
    for left in ("float32", "int64", "bool", "float16"):
        x = draw((2, 3), left)
        for right in ("float32", "int64", "float64"):
            same_as_torch(lambda t, x, y: t.where(x > 0, x, y), x, draw((3,), right))
        for number in (0, 1.5, True):
            same_as_torch(lambda t, x, n: t.where(x > 0, x, n), x, number)
            same_as_torch(lambda t, x, n: x.where(x > 0, n), x, number)
            same_as_torch(lambda t, x, n: t.where(x > 0, n, 1), x, number)
        same_as_torch(lambda t, x: t.where(x > 0), x)
        same_as_torch(lambda t, x: t.where(x, x, x), x)
    same_as_torch(lambda t, x, y: t.where(x > 0, x, y), draw((2, 3)), draw((2,)))


def test_clamp():
    pytest.importorskip("torch")
    for dtype in ("float32", "int64", "float16"):
        x = draw((4, 3), dtype)
        for low, high in ((0, 1), (None, 2), (1, None), (None, None), (2, 1), (0.5, 1.5)):
            same_as_torch(lambda t, x, low, high: t.clamp(x, low, high), x, low, high)
            same_as_torch(lambda t, x, low, high: x.clip(min=low, max=high), x, low, high)
        same_as_torch(lambda t, x, y: t.clamp(x, min=y), x, draw((3,), "float32"))
        same_as_torch(lambda t, x, y: t.clamp(x, y, y + 1), x, draw((3,), "int32"))
    same_as_torch(lambda t, x: t.clamp(x, 0, 1), np.array([np.nan, 2, -1], "f4"))


def test_closeness():
    pytest.importorskip("torch")
    x = np.array([1, 2, np.nan, np.inf, -np.inf, 0], "f4")
    y = np.array([1.1, 2, np.nan, np.inf, np.inf, 1e-9], "f4")
    for options in ({}, {"rtol": 0.5}, {"atol": 3.0}, {"equal_nan": True}):
        same_as_torch(lambda t, x, y, k=options: t.isclose(x, y, **k), x, y)
        same_as_torch(lambda t, x, y, k=options: t.allclose(x[:3], y[:3], **k), x, y)
    same_as_torch(lambda t, x, y: (t.equal(x, x), t.equal(x, y), t.equal(x, x[:2])), x, y)


# Gradients ----------------------------------------------------------------------------------

SMOOTH = {
    **dict.fromkeys(
        [
            "neg",
            "abs",
            "square",
            "exp",
            "exp2",
            "expm1",
            "sin",
            "cos",
            "tanh",
            "sigmoid",
            "erf",
            "relu",
            "sinh",
            "cosh",
        ],
        0,
    ),
    **dict.fromkeys(["log", "log2", "log10", "log1p", "sqrt", "rsqrt", "reciprocal"], 1),
    **dict.fromkeys(["asin", "acos", "atan", "tan"], 2),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_unary_gradients(name: str):
    x = draw((2, 3))
    x = [x, np.abs(x) + 0.3, np.tanh(x) * 0.9][SMOOTH[name]]
    oracle = {
        "neg": np.negative, "relu": lambda v: np.maximum(v, 0), "asin": np.arcsin,
        "sigmoid": lambda v: 1 / (1 + np.exp(-v)), "rsqrt": lambda v: v**-0.5,
        "acos": np.arccos, "atan": np.arctan, "reciprocal": lambda v: 1 / v,
        "erf": lambda v: __import__("scipy.special").special.erf(v),
    }.get(name) or getattr(np, name)  # fmt: skip
    check_op(getattr(gpunn, name), [x], oracle)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "maximum", "minimum", "pow"])
@pytest.mark.parametrize("shapes", [((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2,)), ((2, 2), ())])
def test_binary_gradients(name: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]):
    oracle = {"div": np.divide, "sub": np.subtract, "mul": np.multiply, "pow": np.power}
    x, y = (draw(s, seed=i) for i, s in enumerate(shapes))
    x = np.abs(x) + 0.5 if name == "pow" else x
    y = np.where(np.abs(y) < 0.3, 0.7, y)
    check_op(getattr(gpunn, name), [x, y], oracle.get(name) or getattr(np, name))


def test_other_gradients():
    x, y = draw((2, 3)), draw((3,), seed=1) + 0.05
    mask = draw((2, 3), "bool")
    check_op(
        lambda x, y: gpunn.where(gpunn.tensor(mask, device=x.device), x, y),
        [x, y],
        lambda x, y: np.where(mask, x, y),
    )
    check_op(
        lambda x: gpunn.where(gpunn.tensor(mask, device=x.device), x, 2.0),
        [x],
        lambda x: np.where(mask, x, 2.0),
    )
    check_op(lambda x, y: x.clamp(y, y + 0.5), [x, y], lambda x, y: np.clip(x, y, y + 0.5))
    check_op(lambda x: x.clamp(-0.4, 0.6), [x], lambda x: np.clip(x, -0.4, 0.6))
    check_op(lambda x: x**3, [x], lambda x: x**3)
    check_op(lambda x: 2.5**x, [x], lambda x: 2.5**x)
    check_op(lambda x: 3 - x, [x], lambda x: 3 - x)
    check_op(lambda x: 3 / x, [x], lambda x: 3 / x)
    check_op(lambda x: x % 0.7, [x], lambda x: x % 0.7)
    check_op(lambda x, y: x.fmod(y), [x, y], np.fmod)
    check_op(lambda x, y: x.remainder(y), [x, y], np.remainder)


def test_kinks_are_pytorchs():
    torch = pytest.importorskip("torch")
    points = np.array([-1.0, 0.0, 1.0, 0.5, np.inf])
    cases: dict[str, Any] = {
        "relu": lambda t, x: t.relu(x),
        "abs": lambda t, x: t.abs(x),
        "sqrt": lambda t, x: t.sqrt(x),
        "clamp": lambda t, x: t.clamp(x, 0, 1),
        "norm": lambda t, x: (x * 0).norm(),
        "maximum": lambda t, x: t.maximum(x, t.tensor(points)),
        "pow0": lambda t, x: x**0,
        "pow2": lambda t, x: x**2,
        "half": lambda t, x: x**0.5,
        "power": lambda t, x: x ** t.tensor([0.0, 0.0, 1.0, 2.0, 0.0]),
        "sign": lambda t, x: t.sign(x),
        "floor": lambda t, x: t.floor(x),
        "log": lambda t, x: t.log(x),
        "where": lambda t, x: t.where(x > 0, x.log(), x),
    }
    for name, function in cases.items():
        grads = []
        for t in (torch, gpunn):
            x = t.tensor(points, requires_grad=True)
            function(t, x).sum().backward()
            grads.append(x.grad.numpy())
        np.testing.assert_allclose(grads[1], grads[0], err_msg=name)
    for base in (0.0, 2.0, -1.0):
        grads = []
        for t in (torch, gpunn):
            x = t.tensor([0.0, 1.0, 2.0, -1.0], requires_grad=True)
            (base**x).sum().backward()
            grads.append(x.grad.numpy())
        np.testing.assert_allclose(grads[1], grads[0], err_msg=f"{base}**x")


@given(st.data())
def test_broadcasting_of_any_shapes(data: Any):
    shapes = data.draw(arrays.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3))
    a, b = (draw(s, seed=i) for i, s in enumerate(shapes.input_shapes))
    x, y = gpunn.tensor(a, requires_grad=True), gpunn.tensor(b, requires_grad=True)
    z = x * y + x
    assert z.shape == shapes.result_shape
    np.testing.assert_allclose(z.detach().numpy(), a * b + a)
    z.sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    full_a, full_b = np.broadcast_arrays(a, b)
    np.testing.assert_allclose(x.grad.numpy(), fold(full_b + 1, a.shape), atol=1e-12)
    np.testing.assert_allclose(y.grad.numpy(), fold(full_a, b.shape), atol=1e-12)


def fold(array: Any, shape: tuple[int, ...]) -> Any:
    """``array`` summed down to ``shape``, which broadcasts to it."""
    array = array.sum(tuple(range(array.ndim - len(shape))))
    axes = tuple(i for i, n in enumerate(shape) if n == 1)
    return array.sum(axes, keepdims=True)


def test_where_takes_masks_of_bytes_with_a_warning():
    x = gpunn.tensor([1.0, 2.0, 3.0], requires_grad=True)
    mask = gpunn.tensor([0, 1, 5], dtype=gpunn.uint8)
    with pytest.warns(UserWarning, match="where received a uint8 condition tensor") as caught:
        y = gpunn.where(mask, x, -x)
    assert caught[0].filename == __file__
    assert y.tolist() == [-1.0, 2.0, 3.0]
    y.sum().backward()
    assert x.grad.tolist() == [-1.0, 1.0, 1.0]
