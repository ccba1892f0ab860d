"""The frameworks' rows: the same names everywhere, and by other ways the same work as gpunn's."""

# pyright: basic

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import numpy
import pytest

import gpunn
from bench import rows
from bench.frameworks import FRAMEWORKS, at_hand, load
from bench.rows import makes


@pytest.fixture(params=["jax", "mlx"])
def adapter(request: pytest.FixtureRequest) -> Any:
    pytest.importorskip(request.param)
    return load(request.param)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_names_of_rows(name: str):
    if name not in at_hand():
        pytest.skip(f"{name} is not installed")
    assert set(load(name).works("cpu")) <= set(makes())


@pytest.mark.parametrize("row", ["MLP, Adam, batch 32", "CNN, SGD, batch 8"])
def test_steps_learn(adapter: Any, row: str):
    step = adapter.works("cpu")[row]()
    losses = [float(step()) for _ in range(10)]
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0]


LINEARS = [256, 256, 256 * 1024, 1024, 1024 * 256, 256]
SIZES: dict[str, tuple[int, list[int]]] = {
    "conv2d 1x1, 64 to 128": (16 * 64 * 32 * 32, [64 * 128, 128]),
    "conv2d 3x3, depthwise": (16 * 64 * 32 * 32, [9 * 64, 64]),
    "max_pool2d 3, stride 2": (16 * 64 * 32 * 32, []),
    "dropout": (16 * 64 * 32 * 32, []),
    "batch_norm": (16 * 64 * 32 * 32, [64, 64]),
    "layer norm, linear, gelu, linear": (32 * 64 * 256, LINEARS),
}


@pytest.mark.parametrize("row", SIZES)
def test_gradients_of_input_and_weights(adapter: Any, row: str):
    dw, dx = adapter.works("cpu")[row]()()
    assert (dx.size, sorted(_sizes(dw))) == (SIZES[row][0], sorted(SIZES[row][1]))
    assert numpy.isfinite(numpy.asarray(dx)).all()


def _sizes(tree: Any) -> list[int]:
    return [n for x in tree for n in _sizes(x)] if isinstance(tree, list | tuple) else [tree.size]


@pytest.mark.parametrize(("network", "optimizer"), [("mlp", "adam"), ("resnet8", "adamw")])
def test_same_steps_as_gpunn(adapter: Any, network: str, optimizer: str):
    """From gpunn's weights, on its numbers: its losses."""
    gpunn.manual_seed(0)
    build = getattr(rows, network)
    model = build(gpunn, "cpu")
    weights = [w.detach().numpy().copy() for w in model.parameters()]
    update = getattr(rows, optimizer)(gpunn, model)
    x, classes = gpunn.rand(4, *rows.SHAPES[build]), gpunn.tensor([1, 0, 7, 9])
    expected: list[float] = []
    for _ in range(3):
        update.zero_grad()
        loss = gpunn.nn.functional.cross_entropy(model(x), classes)
        loss.backward()
        update.step()
        expected.append(loss.item())
    pixels = numpy.moveaxis(x.numpy(), 1, -1) if x.ndim == 4 else x.numpy()
    step = {"bench.jax_rows": _jax_step, "bench.mlx_rows": _mlx_step}[adapter.__name__]
    got = step(adapter, network, optimizer, weights, pixels, classes.numpy())
    numpy.testing.assert_allclose(got, expected, rtol=1e-3)


def _jax_step(adapter: Any, network: str, optimizer: str, weights: Any, x: Any, c: Any) -> Any:
    jax = import_module("jax")
    net, update = getattr(adapter, network), getattr(adapter, optimizer)
    p, s = net.init(jax.random.key(0))
    turned = [
        w.T if w.ndim == 2 else w.transpose(2, 3, 1, 0) if w.ndim == 4 else w for w in weights
    ]
    p = jax.tree.unflatten(jax.tree.structure(p), [jax.numpy.array(w) for w in turned])
    all, step = (p, s, update.init(p)), adapter.step(net, update)
    losses: list[float] = []
    for _ in range(3):
        all, loss = step(all, x, c)
        losses.append(float(loss))
    return losses


def _mlx_step(adapter: Any, network: str, optimizer: str, weights: Any, x: Any, c: Any) -> Any:
    mx, utils = import_module("mlx.core"), import_module("mlx.utils")
    model, update = getattr(adapter, network)(), getattr(adapter, optimizer)()
    names = [name for name, _ in utils.tree_flatten(model.trainable_parameters())]
    turned = [mx.array(numpy.moveaxis(w, 1, -1) if w.ndim == 4 else w) for w in weights]
    model.update(utils.tree_unflatten(list(zip(names, turned, strict=True))))
    step = adapter.step(model, update)
    return [float(step(mx.array(x), mx.array(c))) for _ in range(3)]
