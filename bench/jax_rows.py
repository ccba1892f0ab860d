"""The rows in JAX: pure functions of weights and inputs, each compiled whole by ``jax.jit``.

Names, sizes and arithmetic are those of ``rows.py``, which explains them. Images have their
channels last, as XLA likes them; a work returns when its results are there.
"""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jaxlib
from jax import lax

from bench.rows import Work, points

# Other frameworks share the GPU; and float32 means float32 there too, as it does in theirs.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
jax.config.update("jax_default_matmul_precision", "highest")

PACKAGES = (jax, jaxlib)
Make = Callable[[Any], Work]  # of a key, whose device is everything's


# Layers -------------------------------------------------------------------------------------


class Layer(NamedTuple):
    """``init(key)`` gives weights and state; ``apply(weights, state, x, train)``, y and state."""

    init: Callable[[Any], tuple[Any, Any]]
    apply: Callable[[Any, Any, Any, bool], tuple[Any, Any]]


def pure(f: Callable[[Any], Any]) -> Layer:
    return Layer(lambda key: ((), ()), lambda p, s, x, train: (f(x), ()))


def _weights(key: Any, fan: int, *shapes: tuple[int, ...]) -> tuple[Any, ...]:
    keys = jax.random.split(key, len(shapes))
    bound = fan**-0.5
    return tuple(
        jax.random.uniform(k, shape, minval=-bound, maxval=bound)
        for k, shape in zip(keys, shapes, strict=True)
    )


def linear(n: int, m: int) -> Layer:
    return Layer(
        lambda key: (_weights(key, n, (n, m), (m,)), ()),
        lambda p, s, x, train: (x @ p[0] + p[1], ()),
    )


def conv(
    c: int, o: int, k: int, stride: int = 1, padding: int = 0, groups: int = 1, bias: bool = True
) -> Layer:
    shape, fan = (k, k, c // groups, o), k * k * c // groups

    def apply(p: Any, s: Any, x: Any, train: bool) -> Any:
        y = lax.conv_general_dilated(
            x,
            p[0],
            (stride, stride),
            [(padding, padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )
        return (y + p[1] if bias else y), ()

    return Layer(lambda key: (_weights(key, fan, shape, *([(o,)] if bias else [])), ()), apply)


def batch_norm(c: int) -> Layer:
    def init(key: Any) -> Any:
        return (jnp.ones(c), jnp.zeros(c)), (jnp.zeros(c), jnp.ones(c))

    def apply(p: Any, s: Any, x: Any, train: bool) -> Any:
        mean, var = s
        if train:
            axes, n = tuple(range(x.ndim - 1)), x.size // c
            mean, var = x.mean(axes), x.var(axes)
            s = 0.9 * s[0] + 0.1 * mean, 0.9 * s[1] + 0.1 * var * (n / (n - 1))
        return (x - mean) * (lax.rsqrt(var + 1e-5) * p[0]) + p[1], s

    return Layer(init, apply)


def layer_norm(n: int) -> Layer:
    def apply(p: Any, s: Any, x: Any, train: bool) -> Any:
        mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) * lax.rsqrt(var + 1e-5) * p[0] + p[1], ()

    return Layer(lambda key: ((jnp.ones(n), jnp.zeros(n)), ()), apply)


def dropout(p: float) -> Layer:
    """Its state is its key."""

    def apply(_: Any, key: Any, x: Any, train: bool) -> Any:
        key, draw = jax.random.split(key)
        return jnp.where(jax.random.bernoulli(draw, 1 - p, x.shape), x / (1 - p), 0), key

    return Layer(lambda key: ((), key), apply)


def _pool(x: Any, initial: float, f: Any, k: int, stride: int, padding: int) -> Any:
    pads = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    return lax.reduce_window(x, initial, f, (1, k, k, 1), (1, stride, stride, 1), pads)


def max_pool(k: int, stride: int, padding: int = 0) -> Layer:
    return pure(lambda x: _pool(x, -jnp.inf, lax.max, k, stride, padding))


def avg_pool(k: int) -> Layer:
    return pure(lambda x: _pool(x, 0.0, lax.add, k, k, 0) / k**2)


def chain(*layers: Layer) -> Layer:
    def init(key: Any) -> Any:
        keys = jax.random.split(key, len(layers))
        return tuple(zip(*(f.init(k) for f, k in zip(layers, keys, strict=True)), strict=True))

    def apply(p: Any, s: Any, x: Any, train: bool) -> Any:
        after: list[Any] = []
        for f, weights, state in zip(layers, p, s, strict=True):
            x, state = f.apply(weights, state, x, train)
            after.append(state)
        return x, tuple(after)

    return Layer(init, apply)


def residual(f: Layer, short: Layer) -> Layer:
    """relu(f(x) + short(x))."""

    def apply(p: Any, s: Any, x: Any, train: bool) -> Any:
        y, first = f.apply(p[0], s[0], x, train)
        z, second = short.apply(p[1], s[1], x, train)
        return jax.nn.relu(y + z), (first, second)

    return Layer(chain(f, short).init, apply)


relu = pure(jax.nn.relu)
gelu = pure(partial(jax.nn.gelu, approximate=False))
flatten = pure(lambda x: x.reshape(len(x), -1))


# Models -------------------------------------------------------------------------------------


def _block(c: int, o: int, stride: int) -> Layer:
    return residual(
        chain(
            conv(c, o, 3, stride, 1, bias=False),
            batch_norm(o),
            relu,
            conv(o, o, 3, 1, 1, bias=False),
            batch_norm(o),
        ),
        pure(lambda x: x) if stride == 1 else conv(c, o, 1, stride, bias=False),
    )


mlp = chain(linear(784, 256), relu, linear(256, 128), relu, linear(128, 10))
cnn = chain(
    conv(1, 16, 5),
    relu,
    max_pool(2, 2),
    conv(16, 32, 5),
    relu,
    max_pool(2, 2),
    flatten,
    linear(4 * 4 * 32, 10),
)
resnet8 = chain(
    conv(3, 16, 3, padding=1, bias=False),
    batch_norm(16),
    relu,
    _block(16, 16, 1),
    _block(16, 32, 2),
    _block(32, 64, 2),
    avg_pool(8),
    flatten,
    linear(64, 10),
)
SHAPES = {mlp: (784,), cnn: (28, 28, 1), resnet8: (32, 32, 3)}


# Optimizers: ``init(weights)`` gives the state, ``update(weights, gradients, state)`` both ------


class Optimizer(NamedTuple):
    """Two pure functions, as in PyTorch's formulas."""

    init: Callable[[Any], Any]
    update: Callable[[Any, Any, Any], tuple[Any, Any]]


_zeros = partial(jax.tree.map, jnp.zeros_like)


def _adam(decay: float) -> Optimizer:
    def init(p: Any) -> Any:
        return jnp.zeros((), int), _zeros(p), _zeros(p)

    def update(p: Any, g: Any, state: Any) -> Any:
        t, m, v = state
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        rate, root = 1e-3 / (1 - 0.9**t), jnp.sqrt(1 - 0.999**t)

        def moved(p: Any, m: Any, v: Any) -> Any:
            return p * (1 - 1e-3 * decay) - rate * m / (jnp.sqrt(v) / root + 1e-8)

        return jax.tree.map(moved, p, m, v), (t, m, v)

    return Optimizer(init, update)


def _momentum(p: Any, g: Any, v: Any) -> Any:
    v = jax.tree.map(lambda v, g: 0.9 * v + g, v, g)
    return jax.tree.map(lambda p, v: p - 0.01 * v, p, v), v


adam, adamw = _adam(0.0), _adam(0.01)
sgd = Optimizer(_zeros, _momentum)


# Works --------------------------------------------------------------------------------------


def cross_entropy(x: Any, classes: Any) -> Any:
    own = jnp.take_along_axis(x, classes[:, None], 1)[:, 0]
    return (jax.nn.logsumexp(x, 1) - own).mean()


def step(network: Layer, optimizer: Optimizer) -> Callable[..., tuple[Any, Any]]:
    """``((weights, state, optimizer's), x, classes) -> ((weights, state, optimizer's), loss)``."""

    @partial(jax.jit, donate_argnums=0)
    def run(all: Any, x: Any, classes: Any) -> Any:
        p, s, o = all

        def loss(p: Any) -> Any:
            y, after = network.apply(p, s, x, True)
            return cross_entropy(y, classes), after

        (value, s), g = jax.value_and_grad(loss, has_aux=True)(p)
        p, o = optimizer.update(p, g, o)
        return (p, s, o), value

    return run


def training(network: Layer, optimizer: Optimizer, batch: int) -> Make:
    def make(key: Any) -> Work:
        p, s = network.init(key)
        # Committed to the key's device, as what a step gives is: or the second one compiles again.
        all = jax.device_put((p, s, optimizer.init(p)), key.device)
        x = jax.random.uniform(key, (batch, *SHAPES[network]))
        classes = jax.random.randint(key, (batch,), 0, 10)
        run = step(network, optimizer)

        def train() -> Any:
            nonlocal all
            all, loss = jax.block_until_ready(run(all, x, classes))
            return loss

        return train

    return make


def inference(network: Layer, batch: int) -> Make:
    def make(key: Any) -> Work:
        p, s = network.init(key)
        x = jax.random.uniform(key, (batch, *SHAPES[network]))
        run = jax.jit(lambda p, s, x: network.apply(p, s, x, False)[0])
        return lambda: jax.block_until_ready(run(p, s, x))

    return make


def layer(f: Layer, *shape: int) -> Make:
    """The work gives the gradients: of the weights, and of the input."""

    def make(key: Any) -> Work:
        p, s = jax.device_put(f.init(key), key.device)
        x = jax.random.normal(key, shape)
        y = jax.eval_shape(lambda: f.apply(p, s, x, True)[0])
        dy = jax.random.normal(key, y.shape)

        @jax.jit
        def both(p: Any, s: Any, x: Any, dy: Any) -> Any:
            y, pull, after = jax.vjp(lambda p, x: f.apply(p, s, x, True), p, x, has_aux=True)
            return y, after, pull(dy)  # y too: what is not returned is not computed

        def run() -> Any:
            nonlocal s
            _, s, gradients = jax.block_until_ready(both(p, s, x, dy))
            return gradients

        return run

    return make


def wide_cross_entropy(key: Any) -> Work:
    x = jax.random.normal(key, (256, 10000))
    classes = jax.random.randint(key, (256,), 0, 10000)
    both = jax.jit(jax.value_and_grad(cross_entropy))
    return lambda: jax.block_until_ready(both(x, classes))


def tiny_chain(key: Any) -> Work:
    def total(x: Any) -> Any:
        y = x
        for _ in range(5):
            y = jnp.tanh((y * 1.01 + 0.5) - x)
        return y.sum()

    x = jax.random.uniform(key, (100,))
    both = jax.jit(jax.value_and_grad(total))
    return lambda: jax.block_until_ready(both(x))


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
    "conv2d 3x3, 64 to 64": layer(conv(64, 64, 3, padding=1), *_PLANES),
    "conv2d 1x1, 64 to 128": layer(conv(64, 128, 1), *_PLANES),
    "conv2d 3x3, depthwise": layer(conv(64, 64, 3, padding=1, groups=64), *_PLANES),
    "max_pool2d 3, stride 2": layer(max_pool(3, 2, 1), *_PLANES),
    "avg_pool2d 2": layer(avg_pool(2), *_PLANES),
    "dropout": layer(dropout(0.5), *_PLANES),
    "batch_norm": layer(batch_norm(64), *_PLANES),
    "relu": layer(relu, *_PLANES),
    "gelu": layer(gelu, *_PLANES),
    "softmax over 64 channels": layer(pure(partial(jax.nn.softmax, axis=1)), 16, 64, 32, 32),
    "softmax, rows of 64": layer(pure(jax.nn.softmax), 16384, 64),
    "cross_entropy 256x10000": wide_cross_entropy,
    "layer norm, linear, gelu, linear": layer(
        chain(layer_norm(256), linear(256, 1024), gelu, linear(1024, 256)), 32, 64, 256
    ),
    "20 tiny operations": tiny_chain,
    **points("CNN training step: batch", lambda n: training(cnn, sgd, n)),
    **points(
        "conv2d 3x3, 16 to 16, batch 4: image",
        lambda n: layer(conv(16, 16, 3, padding=1), 4, n, n, 16),
    ),
    **points(
        "conv2d 3x3, batch 4, 16x16: channels",
        lambda n: layer(conv(n, n, 3, padding=1), 4, 16, 16, n),
    ),
}


def devices() -> tuple[str, ...]:
    return ("cpu", "cuda") if jax.default_backend() == "gpu" else ("cpu",)


def works(device: str) -> dict[str, Callable[[], Work]]:
    def on(make: Make) -> Work:
        with jax.default_device(jax.devices(device)[0]):
            return make(jax.device_put(jax.random.key(0), jax.devices(device)[0]))

    return {name: partial(on, make) for name, make in _MAKES.items()}
