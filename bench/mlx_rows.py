"""The rows in MLX: modules and optimizers of its own, each step compiled by ``mx.compile``.

Names, sizes and arithmetic are those of ``rows.py``, which explains them. Images have their
channels last, as MLX wants them; a work returns when its results are there.
"""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_unflatten

from bench.rows import Work, points

PACKAGES = (mx,)
Make = Callable[[], Work]


# Models -------------------------------------------------------------------------------------


class Flatten(nn.Module):
    """(N, ...) -> (N, n)."""

    def __call__(self, x: Any) -> Any:
        return x.reshape(len(x), -1)


class Block(nn.Module):
    """Two convolutions with batch norm, and the way past them."""

    def __init__(self, c: int, o: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c, o, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm(o)
        self.conv2 = nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm(o)
        self.short = nn.Identity() if stride == 1 else nn.Conv2d(c, o, 1, stride, bias=False)

    def __call__(self, x: Any) -> Any:
        y = nn.relu(self.norm1(self.conv1(x)))
        return nn.relu(self.norm2(self.conv2(y)) + self.short(x))


def mlp() -> Any:
    return nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def cnn() -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        Flatten(),
        nn.Linear(4 * 4 * 32, 10),
    )


def resnet8() -> Any:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm(16),
        nn.ReLU(),
        Block(16, 16, 1),
        Block(16, 32, 2),
        Block(32, 64, 2),
        nn.AvgPool2d(8),
        Flatten(),
        nn.Linear(64, 10),
    )


SHAPES = {mlp: (784,), cnn: (28, 28, 1), resnet8: (32, 32, 3)}


def adam() -> Any:
    return optim.Adam(1e-3, bias_correction=True)


def adamw() -> Any:
    return optim.AdamW(1e-3, weight_decay=0.01, bias_correction=True)


def sgd() -> Any:
    return optim.SGD(0.01, momentum=0.9)


# Works --------------------------------------------------------------------------------------


def loss(model: Any, x: Any, classes: Any) -> Any:
    return nn.losses.cross_entropy(model(x), classes, reduction="mean")


def step(model: Any, optimizer: Any) -> Callable[[Any, Any], Any]:
    """``(x, classes) -> loss``; model and optimizer move on."""
    optimizer.init(model.trainable_parameters())
    state = [model.state, optimizer.state]
    both = nn.value_and_grad(model, partial(loss, model))

    @partial(mx.compile, inputs=state, outputs=state)
    def run(x: Any, classes: Any) -> Any:
        value, gradients = both(x, classes)
        optimizer.update(model, gradients)
        return value

    def train(x: Any, classes: Any) -> Any:
        value = run(x, classes)
        mx.eval(value, state)
        return value

    return train


def training(network: Callable[[], Any], optimizer: Callable[[], Any], batch: int) -> Make:
    def make() -> Work:
        run = step(network(), optimizer())
        x = mx.random.uniform(shape=(batch, *SHAPES[network]))
        classes = mx.random.randint(0, 10, (batch,))
        return lambda: run(x, classes)

    return make


def inference(network: Callable[[], Any], batch: int) -> Make:
    def make() -> Work:
        model = network().eval()
        x = mx.random.uniform(shape=(batch, *SHAPES[network]))
        return _evaluated(mx.compile(model, inputs=model.state), x)

    return make


def _evaluated(f: Callable[..., Any], *args: Any) -> Work:
    def run() -> Any:
        y = f(*args)
        mx.eval(y)
        return y

    return run


def layer(build: Callable[[], Any], *shape: int) -> Make:
    """The work gives the gradients: of the weights, and of the input."""

    def make() -> Work:
        module = build()
        names = [name for name, _ in tree_flatten(module.trainable_parameters())]
        weights = [w for _, w in tree_flatten(module.trainable_parameters())]
        x = mx.random.normal(shape)
        dy = mx.random.normal(module(x).shape)
        state = [module.state, mx.random.state]  # running statistics; the bits of a dropout

        def forward(x: Any, *weights: Any) -> Any:
            module.update(tree_unflatten(list(zip(names, weights, strict=True))))
            return module(x)

        @partial(mx.compile, inputs=state, outputs=state)
        def both(x: Any, dy: Any, *weights: Any) -> Any:
            y, gradients = mx.vjp(forward, [x, *weights], [dy])
            module.update(tree_unflatten(list(zip(names, weights, strict=True))))
            return y, gradients  # y too: what is not returned is not computed

        def run() -> Any:
            y, (dx, *dw) = both(x, dy, *weights)
            mx.eval(y, dx, dw, state)
            return dw, dx

        return run

    return make


def wide_cross_entropy() -> Work:
    x = mx.random.normal((256, 10000))
    classes = mx.random.randint(0, 10000, (256,))
    both = mx.value_and_grad(partial(nn.losses.cross_entropy, reduction="mean"))
    return _evaluated(mx.compile(both), x, classes)


def transformer_mlp() -> Any:
    return nn.Sequential(nn.LayerNorm(256), nn.Linear(256, 1024), nn.GELU(), nn.Linear(1024, 256))


class ChannelSoftmax(nn.Module):
    """Over dim 1."""

    def __call__(self, x: Any) -> Any:
        return mx.softmax(x, axis=1)


def tiny_chain() -> Work:
    def total(x: Any) -> Any:
        y = x
        for _ in range(5):
            y = mx.tanh((y * 1.01 + 0.5) - x)
        return y.sum()

    return _evaluated(mx.compile(mx.value_and_grad(total)), mx.random.uniform(shape=(100,)))


_PLANES = (16, 32, 32, 64)
_MAKES: dict[str, Make] = {
    "MLP, Adam, batch 32": training(mlp, adam, 32),
    "MLP, Adam, batch 512": training(mlp, adam, 512),
    "CNN, SGD, batch 8": training(cnn, sgd, 8),
    "CNN, SGD, batch 64": training(cnn, sgd, 64),
    "ResNet-8, AdamW, batch 16": training(resnet8, adamw, 16),
    "MLP, batch 1": inference(mlp, 1),
    "CNN, batch 1": inference(cnn, 1),
    "CNN, batch 256": inference(cnn, 256),
    "ResNet-8, batch 32": inference(resnet8, 32),
    "conv2d 3x3, 64 to 64": layer(lambda: nn.Conv2d(64, 64, 3, padding=1), *_PLANES),
    "conv2d 1x1, 64 to 128": layer(lambda: nn.Conv2d(64, 128, 1), *_PLANES),
    "conv2d 3x3, depthwise": layer(lambda: nn.Conv2d(64, 64, 3, padding=1, groups=64), *_PLANES),
    "max_pool2d 3, stride 2": layer(lambda: nn.MaxPool2d(3, 2, 1), *_PLANES),
    "avg_pool2d 2": layer(lambda: nn.AvgPool2d(2), *_PLANES),
    "dropout": layer(lambda: nn.Dropout(0.5), *_PLANES),
    "batch_norm": layer(lambda: nn.BatchNorm(64), *_PLANES),
    "relu": layer(nn.ReLU, *_PLANES),
    "gelu": layer(nn.GELU, *_PLANES),
    "softmax over 64 channels": layer(ChannelSoftmax, 16, 64, 32, 32),
    "softmax, rows of 64": layer(nn.Softmax, 16384, 64),
    "cross_entropy 256x10000": wide_cross_entropy,
    "layer norm, linear, gelu, linear": layer(transformer_mlp, 32, 64, 256),
    "20 tiny operations": tiny_chain,
    **points("CNN training step: batch", lambda n: training(cnn, sgd, n)),
    **points(
        "conv2d 3x3, 16 to 16, batch 4: image",
        lambda n: layer(lambda: nn.Conv2d(16, 16, 3, padding=1), 4, n, n, 16),
    ),
    **points(
        "conv2d 3x3, batch 4, 16x16: channels",
        lambda n: layer(lambda: nn.Conv2d(n, n, 3, padding=1), 4, 16, 16, n),
    ),
}


def devices() -> tuple[str, ...]:
    return ("cpu", "cuda") if mx.cuda.is_available() else ("cpu",)


def works(device: str) -> dict[str, Callable[[], Work]]:
    def on(make: Make) -> Work:
        mx.set_default_device(mx.gpu if device == "cuda" else mx.cpu)
        mx.random.seed(0)
        return make()

    return {name: partial(on, make) for name, make in _MAKES.items()}
