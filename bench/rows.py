"""The rows of the benchmark: what is measured, in the API that gpunn and PyTorch share.

A row is made for a framework and a device and gives the work to time, already warm of nothing. It
knows neither how often it will run nor who asks: pytest (``test_rows.py``) or ``measure.py``.
The same rows for frameworks with an API of their own are in ``jax_rows.py`` and ``mlx_rows.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Work = Callable[[], Any]
Make = Callable[[Any, str], Work]


class Row(NamedTuple):
    """``make(lib, device)`` gives the work; ``kind`` says in which table it stands."""

    kind: str
    make: Make


# Models -------------------------------------------------------------------------------------


def mlp(lib: Any, device: str) -> Any:
    nn = lib.nn
    return nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    ).to(device)


def cnn(lib: Any, device: str) -> Any:
    """The README's."""
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(1, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 4 * 32, 10),
    ).to(device)


def resnet8(lib: Any, device: str) -> Any:
    """16, 32 and 64 channels, one residual block each (He et al., 2016), with batch norm."""
    nn = lib.nn

    class Block(nn.Module):
        def __init__(self, c: int, o: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(c, o, 3, stride, 1, bias=False)
            self.norm1 = nn.BatchNorm2d(o)
            self.conv2 = nn.Conv2d(o, o, 3, 1, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(o)
            self.short = None if stride == 1 else nn.Conv2d(c, o, 1, stride, bias=False)

        def forward(self, x: Any) -> Any:
            y = nn.functional.relu(self.norm1(self.conv1(x)))
            y = self.norm2(self.conv2(y))
            return nn.functional.relu(y + (x if self.short is None else self.short(x)))

    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        Block(16, 16, 1),
        Block(16, 32, 2),
        Block(32, 64, 2),
        nn.AvgPool2d(8),
        nn.Flatten(),
        nn.Linear(64, 10),
    ).to(device)


SHAPES = {mlp: (784,), cnn: (1, 28, 28), resnet8: (3, 32, 32)}


def adam(lib: Any, model: Any) -> Any:
    return lib.optim.Adam(model.parameters())


def adamw(lib: Any, model: Any) -> Any:
    return lib.optim.AdamW(model.parameters())


def sgd(lib: Any, model: Any) -> Any:
    return lib.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def training(network: Any, optimizer: Any, batch: int) -> Make:
    """One step: forward, loss, backward, update."""

    def make(lib: Any, device: str) -> Work:
        model = network(lib, device)
        update = optimizer(lib, model)
        x = lib.rand(batch, *SHAPES[network], device=device)
        classes = lib.randint(0, 10, (batch,), device=device)

        def step() -> None:
            update.zero_grad()
            lib.nn.functional.cross_entropy(model(x), classes).backward()
            update.step()

        return step

    return make


def inference(network: Any, batch: int) -> Make:
    def make(lib: Any, device: str) -> Work:
        model = network(lib, device).eval()
        x = lib.rand(batch, *SHAPES[network], device=device)

        def predict() -> Any:
            with lib.no_grad():
                return model(x)

        return predict

    return make


# One operation ------------------------------------------------------------------------------

PLANES = (16, 64, 32, 32)


def layer(build: Callable[[Any], Any], *shape: int) -> Make:
    """Forward and backward of one module, gradients of input and parameters included."""

    def make(lib: Any, device: str) -> Work:
        module = build(lib.nn).to(device)
        x = lib.randn(*shape, device=device, requires_grad=True)
        dy = lib.randn_like(module(x).detach())

        def both() -> None:
            x.grad = None
            module.zero_grad()
            module(x).backward(dy)

        return both

    return make


def cross_entropy(lib: Any, device: str) -> Work:
    x = lib.randn(256, 10000, device=device, requires_grad=True)
    classes = lib.randint(0, 10000, (256,), device=device)

    def both() -> None:
        x.grad = None
        lib.nn.functional.cross_entropy(x, classes).backward()

    return both


def transformer_mlp(nn: Any) -> Any:
    return nn.Sequential(nn.LayerNorm(256), nn.Linear(256, 1024), nn.GELU(), nn.Linear(1024, 256))


def tiny_chain(lib: Any, device: str) -> Work:
    """20 operations on 100 elements: nothing but the cost of calling."""
    x = lib.rand(100, device=device, requires_grad=True)

    def both() -> None:
        x.grad = None
        y = x
        for _ in range(5):
            y = ((y * 1.01 + 0.5) - x).tanh()
        y.sum().backward()

    return both


ROWS: dict[str, Row] = {
    "MLP, Adam, batch 32": Row("training", training(mlp, adam, 32)),
    "MLP, Adam, batch 512": Row("training", training(mlp, adam, 512)),
    "CNN, SGD, batch 8": Row("training", training(cnn, sgd, 8)),
    "CNN, SGD, batch 64": Row("training", training(cnn, sgd, 64)),
    "ResNet-8, AdamW, batch 16": Row("training", training(resnet8, adamw, 16)),
    "MLP, batch 1": Row("inference", inference(mlp, 1)),
    "CNN, batch 1": Row("inference", inference(cnn, 1)),
    "CNN, batch 256": Row("inference", inference(cnn, 256)),
    "ResNet-8, batch 32": Row("inference", inference(resnet8, 32)),
    "conv2d 3x3, 64 to 64": Row(
        "convolution", layer(lambda nn: nn.Conv2d(64, 64, 3, padding=1), *PLANES)
    ),
    "conv2d 1x1, 64 to 128": Row("convolution", layer(lambda nn: nn.Conv2d(64, 128, 1), *PLANES)),
    "conv2d 3x3, depthwise": Row(
        "convolution", layer(lambda nn: nn.Conv2d(64, 64, 3, padding=1, groups=64), *PLANES)
    ),
    "max_pool2d 3, stride 2": Row("operation", layer(lambda nn: nn.MaxPool2d(3, 2, 1), *PLANES)),
    "avg_pool2d 2": Row("operation", layer(lambda nn: nn.AvgPool2d(2), *PLANES)),
    "dropout": Row("operation", layer(lambda nn: nn.Dropout(0.5), *PLANES)),
    "batch_norm": Row("operation", layer(lambda nn: nn.BatchNorm2d(64), *PLANES)),
    "relu": Row("operation", layer(lambda nn: nn.ReLU(), *PLANES)),
    "gelu": Row("operation", layer(lambda nn: nn.GELU(), *PLANES)),
    "softmax over 64 channels": Row("operation", layer(lambda nn: nn.Softmax(1), *PLANES)),
    "softmax, rows of 64": Row("operation", layer(lambda nn: nn.Softmax(-1), 16384, 64)),
    "cross_entropy 256x10000": Row("operation", cross_entropy),
    "layer norm, linear, gelu, linear": Row("operation", layer(transformer_mlp, 32, 64, 256)),
    "20 tiny operations": Row("operation", tiny_chain),
}

# Cost against size: name -> sizes. One curve a framework in the report's plots.
SWEEPS = {
    "CNN training step: batch": (1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
    "conv2d 3x3, 16 to 16, batch 4: image": (8, 16, 32, 64, 128, 224),
    "conv2d 3x3, batch 4, 16x16: channels": (1, 4, 16, 64, 256, 512),
}


def points(sweep: str, make: Callable[[int], Any]) -> dict[str, Any]:
    """``make(size)`` for each of its sizes, by the name of that point."""
    return {f"{sweep} {n}": make(n) for n in SWEEPS[sweep]}


def makes() -> dict[str, Make]:
    """Every row and every point of a sweep, by name."""
    image = "conv2d 3x3, 16 to 16, batch 4: image"
    channels = "conv2d 3x3, batch 4, 16x16: channels"
    return {
        **{name: row.make for name, row in ROWS.items()},
        **points("CNN training step: batch", lambda n: training(cnn, sgd, n)),
        **points(image, lambda n: layer(lambda nn: nn.Conv2d(16, 16, 3, padding=1), 4, 16, n, n)),
        **points(channels, lambda n: layer(lambda nn: nn.Conv2d(n, n, 3, padding=1), 4, n, 16, 16)),
    }
