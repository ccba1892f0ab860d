"""Batch, layer and group norm against NumPy's formulas and PyTorch; running statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import check_op, compare, to_numpy
from parity import same

import gpunn
import gpunn.functional as F
from gpunn.autograd import gradcheck, gradgradcheck

RNG = np.random.default_rng(0)
SHAPES = [(6, 3), (4, 3, 5), (2, 3, 4, 5), (2, 3, 2, 1, 4)]


def draw(*shape: int, dtype: str = "f4") -> Any:
    return (RNG.normal(size=shape) * 2 + 1).astype(dtype)


def _norm(x: Any, axes: tuple[int, ...], w: Any, b: Any, eps: float = 1e-5) -> Any:
    wide = x.astype("f8")
    apart = wide - wide.mean(axes, keepdims=True)
    y = apart / np.sqrt((apart**2).mean(axes, keepdims=True) + eps)
    return (y * w + b).astype(x.dtype)


def _spread(vector: Any, x: Any) -> Any:
    return vector.reshape(1, -1, *(1,) * (x.ndim - 2))


def _batch_oracle(x: Any, w: Any, b: Any) -> Any:
    axes = tuple(d for d in range(x.ndim) if d != 1)
    return _norm(x, axes, _spread(w, x), _spread(b, x))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_norm_in_training(shape: tuple[int, ...]):
    check_op(
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        [draw(*shape), draw(3), draw(3)],
        _batch_oracle,
        atol=1e-5,
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_norm_in_evaluation(shape: tuple[int, ...]):
    mean, var = draw(3), np.abs(draw(3))

    def function(x: Any, w: Any, b: Any) -> Any:
        m, v = (gpunn.tensor(a, dtype=x.dtype, device=x.device) for a in (mean, var))
        return F.batch_norm(x, m, v, w, b)

    def oracle(x: Any, w: Any, b: Any) -> Any:
        rstd = 1 / np.sqrt(var + np.float32(1e-5))
        return (x - _spread(mean, x)) * _spread(rstd * w, x) + _spread(b, x)

    check_op(function, [draw(*shape), draw(3), draw(3)], oracle, atol=1e-5)


def test_batch_norm_with_half_an_affine_part():
    x, v = draw(5, 3, 2), draw(3)
    one, zero = np.ones(3, "f4"), np.zeros(3, "f4")
    check_op(
        lambda x: F.batch_norm(x, None, None, training=True),
        [x], lambda x: _batch_oracle(x, one, zero), atol=1e-5,
    )  # fmt: skip
    check_op(
        lambda x, w: F.batch_norm(x, None, None, w, training=True),
        [x, v], lambda x, w: _batch_oracle(x, w, zero), atol=1e-5,
    )  # fmt: skip
    check_op(
        lambda x, b: F.batch_norm(x, None, None, None, b, training=True),
        [x, v], lambda x, b: _batch_oracle(x, one, b), atol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_as_pytorch_in_every_dtype(dtype: str, training: bool):
    torch = pytest.importorskip("torch")
    arrays = [draw(4, 3, 6, 6, dtype=dtype), draw(3, dtype=dtype), draw(3, dtype=dtype)]
    stats = [draw(3, dtype=dtype), np.abs(draw(3, dtype=dtype))]
    dy = draw(4, 3, 6, 6, dtype=dtype)
    outcomes: list[list[Any]] = []
    for lib in (gpunn, torch):
        x, w, b = (lib.tensor(a.copy()).requires_grad_() for a in arrays)
        mean, var = (lib.tensor(a.copy()) for a in stats)
        y = lib.nn.functional.batch_norm(x, mean, var, w, b, training, 0.3, 1e-3)
        y.backward(lib.tensor(dy))
        outcomes.append([to_numpy(t) for t in (y, mean, var, x.grad, w.grad, b.grad)])
    tolerance = {"float16": 2e-2, "float32": 2e-5, "float64": 1e-11}[dtype]
    names = ["y", "running mean", "running var", "dx", "dw", "db"]
    for name, a, b in zip(names, *outcomes, strict=True):
        compare(a, b, name, tolerance, tolerance)


def test_running_statistics(device: str):
    """running = (1 - momentum) running + momentum batch, by the unbiased variance."""
    x = draw(5, 3, 2)
    mean, var = gpunn.zeros(3, device=device), gpunn.ones(3, device=device)
    F.batch_norm(gpunn.tensor(x, device=device), mean, var, training=True, momentum=0.25)
    rows = x.transpose(0, 2, 1).reshape(-1, 3)
    compare(to_numpy(mean), 0.25 * rows.mean(0), "running mean")
    compare(to_numpy(var), 0.75 + 0.25 * rows.var(0, ddof=1), "running var")
    before = mean.clone(), var.clone()
    F.batch_norm(gpunn.tensor(x, device=device), mean, var)
    assert mean.equal(before[0])
    assert var.equal(before[1])


def test_running_statistics_count_as_changed_in_place():
    mean, var = gpunn.zeros(3), gpunn.ones(3)
    y = (gpunn.ones(3, requires_grad=True) * mean).sum()
    F.batch_norm(gpunn.rand(4, 3), mean, var, training=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_variance_far_from_zero(device: str):
    """E[x²] - E[x]² in float32 would lose every digit here."""
    x = (RNG.normal(size=(64, 2, 8)) + 1e4).astype("f4")
    var = gpunn.ones(2, device=device)
    gx = gpunn.tensor(x, device=device)
    F.batch_norm(gx, gpunn.zeros(2, device=device), var, training=True, momentum=1.0)
    expected = x.transpose(1, 0, 2).reshape(2, -1).astype("f8").var(1, ddof=1)
    compare(to_numpy(var), expected, "variance", 1e-3, dtype=False)
    rows = gpunn.tensor(x.reshape(-1, 8), device=device)
    compare(to_numpy(F.layer_norm(rows, (8,)).std(1, correction=0)), np.ones(128), "std", 1e-3,
            dtype=False)  # fmt: skip


def test_empty_batch(device: str):
    mean, var = gpunn.zeros(3, device=device), gpunn.ones(3, device=device)
    x = gpunn.zeros(0, 3, 2, device=device).requires_grad_()
    for training in (True, False):
        y = F.batch_norm(x, mean, var, training=training)
        y.sum().backward()
        assert y.shape == x.shape
    assert mean.tolist() == [0] * 3
    assert var.tolist() == [1] * 3
    assert F.layer_norm(x, (2,)).shape == x.shape
    assert F.group_norm(x, 3).shape == x.shape


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 3, 0)], ids=str)
@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
def test_gradients_of_no_elements_are_zero(name: str, shape: tuple[int, ...], device: str):
    w = gpunn.ones(3, device=device).requires_grad_()
    x, mean, var = gpunn.zeros(*shape, device=device), w.detach() * 0, w.detach() * 1
    keywords = {"training": True} if name == "batch_norm" else {}
    y = getattr(F, name)(x, mean, var, w, **keywords)
    y.sum().backward()
    assert w.grad.tolist() == [0, 0, 0]
    assert mean.tolist() == [0, 0, 0]
    assert var.tolist() == [1, 1, 1]


@pytest.mark.parametrize("scenario", [
    lambda lib: {"shape": (1, 3), "training": True},
    lambda lib: {"shape": (1, 3, 1, 1), "training": True},
    lambda lib: {"shape": (2, 4), "training": True},
    lambda lib: {"shape": (2, 3), "weight": lib.ones(4), "training": True},
    lambda lib: {"shape": (2, 3), "bias": lib.ones(4)},
    lambda lib: {"shape": (2, 3), "running_mean": None, "running_var": None},
    lambda lib: {"shape": (2, 3), "running_var": None, "training": True},
    lambda lib: {"shape": (2, 3), "running_var": None},
    lambda lib: {"shape": (2, 3), "running_mean": None},
    lambda lib: {"shape": (2, 3), "training": True, "eps": 0},
    lambda lib: {"shape": (2, 3), "eps": -1},
])  # fmt: skip
def test_batch_norm_errors(scenario: Any):
    def run(lib: Any) -> Any:
        keywords = {"running_mean": lib.zeros(3), "running_var": lib.ones(3), **scenario(lib)}
        return lib.nn.functional.batch_norm(lib.ones(keywords.pop("shape")), **keywords)

    same(run)


def test_batch_norm_refuses_integers_and_mixed_dtypes():
    mean, var = gpunn.zeros(3), gpunn.ones(3)
    with pytest.raises(NotImplementedError, match="not implemented for 'Long'"):
        F.batch_norm(gpunn.ones(2, 3).long(), mean, var)
    with pytest.raises(RuntimeError, match="input is float64, running_mean float32"):
        F.batch_norm(gpunn.ones(2, 3).double(), mean, var)
    assert F.batch_norm(gpunn.rand(2, 3).half(), mean, var, training=True).dtype is gpunn.float16


@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_instance_norm(shape: tuple[int, ...]):
    def oracle(x: Any, w: Any, b: Any) -> Any:
        return _norm(x, tuple(range(2, x.ndim)), _spread(w, x), _spread(b, x))

    check_op(
        lambda x, w, b: F.instance_norm(x, None, None, w, b),
        [draw(*shape), draw(3), draw(3)],
        oracle,
        atol=1e-5,
    )


# layer_norm and group_norm ------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "dims"), [((4, 5), 1), ((5,), 1), ((2, 3, 4), 2), ((3, 4), 2)])
@pytest.mark.parametrize("affine", [True, False])
def test_layer_norm(shape: tuple[int, ...], dims: int, affine: bool):
    inner = shape[-dims:]
    inputs = [draw(*shape), *([draw(*inner), draw(*inner)] if affine else [])]
    axes = tuple(range(len(shape) - dims, len(shape)))
    check_op(
        lambda x, w=None, b=None: F.layer_norm(x, inner, w, b),
        inputs,
        lambda x, w=1, b=0: _norm(x, axes, w, b),
        atol=1e-5,
    )


@pytest.mark.parametrize("shape", [(2, 4), (3, 4, 5), (2, 4, 3, 2)], ids=str)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_group_norm(shape: tuple[int, ...], groups: int):
    if shape[1:] == (4,) and groups == 4:
        shape = (*shape, 2)

    def oracle(x: Any, w: Any, b: Any) -> Any:
        y = _norm(x.reshape(x.shape[0], groups, -1), (2,), 1, 0).reshape(x.shape)
        return y * _spread(w, x) + _spread(b, x)

    check_op(
        lambda x, w, b: F.group_norm(x, groups, w, b),
        [draw(*shape), draw(4), draw(4)],
        oracle,
        atol=1e-5,
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_layer_and_group_norm_as_pytorch_in_every_dtype(dtype: str):
    torch = pytest.importorskip("torch")
    x, w, b, dy = (draw(*shape, dtype=dtype) for shape in [(4, 6, 8), (8,), (8,), (4, 6, 8)])
    v = draw(6, dtype=dtype)
    for name, args in [("layer_norm", ((8,), w, b)), ("group_norm", (3, v, v))]:
        outcomes: list[list[Any]] = []
        for lib in (gpunn, torch):
            size, *vectors = args
            leaves = [lib.tensor(a.copy()).requires_grad_() for a in (x, *vectors)]
            y = getattr(lib.nn.functional, name)(leaves[0], size, *leaves[1:])
            y.backward(lib.tensor(dy))
            outcomes.append([to_numpy(t) for t in (y, *(leaf.grad for leaf in leaves))])
        tolerance = {"float16": 2e-2, "float32": 2e-5, "float64": 1e-11}[dtype]
        for i, (p, q) in enumerate(zip(*outcomes, strict=True)):
            compare(p, q, f"{name}, tensor {i}", tolerance, tolerance)


@pytest.mark.parametrize("name", ["layer_norm", "group_norm"])
def test_half_input_with_float32_parameters_gives_half(name: str):
    x, w = gpunn.tensor(draw(2, 4, dtype="float16")), gpunn.ones(4)
    y = getattr(F, name)(x, (4,) if name == "layer_norm" else 2, w, w)
    assert y.dtype is gpunn.float16


@pytest.mark.parametrize("scenario", [
    lambda lib: {"running_mean": lib.zeros(3)},
    lambda lib: {"running_mean": lib.zeros(3), "use_input_stats": False},
    lambda lib: {"use_input_stats": False},
    lambda lib: {"eps": 0.0},
])  # fmt: skip
def test_instance_norm_takes_and_refuses_as_pytorch(scenario: Any):
    x = np.asarray([[[1, 3], [2, 2], [0, 4]]], "f4") + np.asarray([[0], [1]], "f4")[..., None]
    x[:, 1, 0] = 0

    def run(lib: Any) -> Any:
        return lib.nn.functional.instance_norm(lib.tensor(x), **scenario(lib))

    same(run)


@pytest.mark.parametrize("scenario", [
    lambda lib: lib.nn.functional.layer_norm(lib.ones(2, 3), (4,)),
    lambda lib: lib.nn.functional.layer_norm(lib.ones(3), (2, 3)),
    lambda lib: lib.nn.functional.layer_norm(lib.ones(2, 3), ()),
    lambda lib: lib.nn.functional.layer_norm(lib.ones(2, 3), (3,), lib.ones(2)),
    lambda lib: lib.nn.functional.layer_norm(lib.ones(2, 3), (3,), None, lib.ones(2)),
    lambda lib: lib.nn.functional.group_norm(lib.ones(2, 3), 2),
    lambda lib: lib.nn.functional.group_norm(lib.ones(2, 3), -1),
    lambda lib: lib.nn.functional.group_norm(lib.ones(3), 2),
    lambda lib: lib.nn.functional.group_norm(lib.ones(2, 4), 2, lib.ones(3)),
    lambda lib: lib.nn.functional.group_norm(lib.ones(1, 2, 1), 2),
])  # fmt: skip
def test_layer_and_group_norm_errors(scenario: Any):
    same(scenario)


def test_third_derivatives():
    """What backward of backward is made of is differentiable in turn."""
    x = gpunn.tensor(draw(4, 2, dtype="f8"), requires_grad=True)
    w = gpunn.tensor(draw(2, dtype="f8"), requires_grad=True)

    def slope(x: Any, w: Any) -> Any:
        y = F.batch_norm(x, None, None, w, training=True)
        return gpunn.autograd.grad((y * y * y).sum(), (x, w), create_graph=True)

    assert gradcheck(slope, (x, w))
    assert gradgradcheck(slope, (x, w), atol=1e-4)
