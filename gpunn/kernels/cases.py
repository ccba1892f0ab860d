"""What proves a kernel: for each family, operations that launch all of its kernels.

The inputs are odd on purpose: tails, more than one tile, groups, strides that skip, empty batches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gpunn
import gpunn.nn.functional as F
from gpunn import optim
from gpunn.tensor import Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """``run(*inputs)``, on inputs of these shapes, gives a tensor that depends on all of them."""

    name: str
    run: Callable[..., Tensor]
    shapes: tuple[Shape, ...]
    gradient: bool = True


def _conv(name: str, x: Shape, weight: Shape, **options: Any) -> Case:
    def run(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv2d(x, weight, bias, **options)

    return Case(f"conv2d, {name}", run, (x, weight, weight[:1]))


def _of_one(name: str, run: Callable[[Tensor], Tensor], *shape: int) -> Case:
    return Case(name, run, (shape,))


def _affine(
    name: str, run: Callable[[Tensor, Tensor, Tensor], Tensor], x: Shape, scale: Shape
) -> Case:
    return Case(name, run, (x, scale, scale))


def _drawn(name: str, draw: Callable[[Tensor], Tensor], *shape: int) -> Case:
    return Case(name, draw, (shape,), gradient=False)


def _stepped(name: str, make: Callable[[list[Tensor]], Any]) -> Case:
    return Case(name, _steps(make), ((3, 5), (1,), (300, 7), (0, 4), (1025,)), gradient=False)


def _steps(make: Callable[[list[Tensor]], Any]) -> Callable[..., Tensor]:
    """Three steps of an optimizer, whose gradients are the parameters' own sines."""

    def run(*inputs: Tensor) -> Tensor:
        parameters = [x.detach().clone().requires_grad_() for x in inputs]
        optimizer = make(parameters)
        for _ in range(3):
            for p in parameters:
                p.grad = p.detach().sin()
            optimizer.step()
        return gpunn.cat([p.detach().reshape(-1) for p in parameters])

    return run


def _classes(x: Tensor, classes: int, ignored: bool = False) -> Tensor:
    target = gpunn.arange(x.shape[0], device=x.device) * 7 % classes
    return target - (target == 3).long() * 103 if ignored else target


def _columns(x: Tensor, n: int) -> Tensor:
    return gpunn.arange(x.shape[0] * n, device=x.device).reshape(x.shape[0], n) * 5 % x.shape[0]


def _rounded(x: Tensor) -> Tensor:
    """Whole numbers, many of them equal, with the gradient of ``x``."""
    return x + (x.detach().round() - x.detach())


def family(file: str) -> str:
    """The family of a file's kernels: ``conv2d_weight.cu`` belongs to conv2d."""
    return file.removesuffix(".cu").partition("_")[0]


CASES: dict[str, tuple[Case, ...]] = {
    "conv2d": (
        _conv("3x3 padded", (2, 5, 9, 11), (7, 5, 3, 3), padding=1),
        _conv("5x3, stride 2, dilation 2", (2, 4, 15, 14), (6, 4, 5, 3), stride=2, dilation=2),
        _conv("more than a tile", (1, 33, 13, 13), (130, 33, 3, 3), padding=1),
        _conv("stride over the kernel", (2, 3, 11, 11), (4, 3, 2, 2), stride=3),
        _conv("groups of 16", (2, 32, 6, 7), (32, 16, 3, 3), padding=1, groups=2),
        _conv("1x1", (2, 9, 6, 7), (8, 9, 1, 1)),
        _conv("no images", (0, 3, 6, 6), (4, 3, 3, 3)),
    ),
    "depthwise": (
        _conv("depthwise 3x3", (2, 6, 19, 37), (6, 1, 3, 3), padding=1, groups=6),
        _conv(
            "depthwise 5x5, stride 2", (2, 4, 21, 18), (4, 1, 5, 5), padding=2, stride=2, groups=4
        ),
        _conv("depthwise 3x2, twice", (1, 3, 9, 9), (6, 1, 3, 2), dilation=2, groups=3),
    ),
    "pooling": (
        _of_one("max_pool2d 2", lambda x: F.max_pool2d(x, 2), 2, 3, 8, 10),
        _of_one("max_pool2d 3, stride 2", lambda x: F.max_pool2d(x, 3, 2, 1), 2, 3, 11, 9),
        _of_one(
            "max_pool2d, dilated, ceil_mode",
            lambda x: F.max_pool2d(x, (3, 2), 2, 1, dilation=(2, 1), ceil_mode=True),
            *(2, 3, 12, 13),
        ),
        _of_one("max_pool2d of equals", lambda x: F.max_pool2d(_rounded(x), 3), 2, 9, 9),
        _of_one("max_pool1d", lambda x: F.max_pool1d(x, 3, 2), 2, 3, 17),
        _of_one("avg_pool2d 2", lambda x: F.avg_pool2d(x, 2), 2, 3, 8, 10),
        _of_one(
            "avg_pool2d, padded",
            lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
            *(2, 3, 10, 9),
        ),
        _of_one("adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, (3, 4)), 2, 3, 7, 10),
        _of_one("adaptive_max_pool2d", lambda x: F.adaptive_max_pool2d(x, (3, 4)), 2, 3, 7, 10),
    ),
    "dropout": (
        _of_one("dropout", lambda x: F.dropout(x, 0.3), 5, 403),
        _of_one("dropout2d", lambda x: F.dropout2d(x, 0.3), 3, 70, 5, 5),
        _of_one("alpha_dropout", lambda x: F.alpha_dropout(x, 0.3, training=True), 5, 403),
    ),
    "random": (
        _drawn("rand", lambda x: gpunn.rand(*x.shape, dtype=x.dtype, device=x.device), 7, 301),
        _drawn("randn", lambda x: gpunn.randn(*x.shape, dtype=x.dtype, device=x.device), 7, 301),
        _drawn("randint", lambda x: gpunn.randint(0, 1000, x.shape, device=x.device), 1001),
        _drawn("randperm", lambda x: gpunn.randperm(len(x), device=x.device), 1001),
    ),
    "softmax": (
        _of_one("softmax, rows", lambda x: F.softmax(x, -1), 9, 77),
        _of_one("softmax, columns", lambda x: F.softmax(x, 1), 3, 40, 11),
        _of_one("softmax, far columns", lambda x: F.softmax(x, 1), 1, 301, 37),
        _of_one("log_softmax, long rows", lambda x: F.log_softmax(x, -1), 2, 11001),
        _of_one(
            "cross_entropy, long rows", lambda x: F.cross_entropy(x, _classes(x, 50)), 2, 11001
        ),
        _of_one("cross_entropy", lambda x: F.cross_entropy(x, _classes(x, 50)), 33, 50),
        _of_one(
            "cross_entropy, ignored, smoothed",
            lambda x: F.cross_entropy(
                x, _classes(x, 50, ignored=True), ignore_index=-100, label_smoothing=0.1
            ),
            *(33, 50),
        ),
    ),
    "indices": (
        _of_one("gather", lambda x: x.gather(1, _columns(x, 300)), 5, 300),
        _of_one("gather nothing", lambda x: x.gather(1, _columns(x, 0)), 5, 3),
        _of_one("many rows", lambda x: x[_columns(x, 7).reshape(-1)], 7, 3),
    ),
    "normalization": (
        _affine(
            "batch_norm, training",
            lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
            *((4, 5, 7, 9), (5,)),
        ),
        _affine(
            "batch_norm, running statistics",
            lambda x, w, b: F.batch_norm(x, w * 0, w * 0 + 1, w, b),
            *((4, 5, 7, 9), (5,)),
        ),
        _affine("layer_norm", lambda x, w, b: F.layer_norm(x, (77,), w, b), (9, 77), (77,)),
        _affine(
            "layer_norm, many rows", lambda x, w, b: F.layer_norm(x, (8,), w, b), (301, 8), (8,)
        ),
        _affine("group_norm", lambda x, w, b: F.group_norm(x, 3, w, b), (4, 6, 5, 7), (6,)),
    ),
    "optim": (
        _stepped("SGD, Nesterov", lambda p: optim.SGD(p, 0.1, 0.9, 0, 0.01, nesterov=True)),
        _stepped("Adam", lambda p: optim.Adam(p, 0.01, eps=0.01, weight_decay=0.01)),
        _stepped("RMSprop, centered", lambda p: optim.RMSprop(p, 0.01, eps=0.01, centered=True)),
        _stepped("AdamW, amsgrad", lambda p: optim.AdamW(p, 0.01, eps=0.01, amsgrad=True)),
    ),
    "scatter": (
        _of_one(
            "embedding",
            lambda w: F.embedding(gpunn.arange(400, device=w.device).reshape(20, 20) ** 2 % 13, w),
            *(13, 37),
        ),
        _of_one(
            "index_add, one hot row",
            lambda x: gpunn.zeros(5, 9, dtype=x.dtype, device=x.device).index_add(
                0, gpunn.arange(700, device=x.device) // 600, x
            ),
            *(700, 9),
        ),
    ),
}
