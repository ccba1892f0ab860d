"""Every function refuses what is no tensor, an array above all, with PyTorch's kind of error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpunn
import gpunn.functional as F

ROWS, IMAGES = np.ones((2, 3), "f4"), np.ones((1, 3, 5, 5), "f4")


@pytest.mark.parametrize(("call", "name"), [
    (lambda: gpunn.nn.Conv2d(3, 2, 3)(IMAGES), "conv2d"),
    (lambda: F.conv2d(gpunn.tensor(IMAGES), IMAGES), "conv2d"),
    (lambda: gpunn.nn.Linear(3, 2)(ROWS), "linear"),
    (lambda: F.max_pool2d(IMAGES, 2), "max_pool2d"),
    (lambda: F.avg_pool2d(IMAGES, 2), "avg_pool2d"),
    (lambda: F.adaptive_avg_pool2d(IMAGES, 2), "adaptive_avg_pool2d"),
    (lambda: F.adaptive_max_pool2d(IMAGES, 2), "adaptive_max_pool2d"),
    (lambda: F.batch_norm(IMAGES, None, None, training=True), "batch_norm"),
    (lambda: F.instance_norm(IMAGES), "instance_norm"),
    (lambda: F.layer_norm(ROWS, (3,)), "layer_norm"),
    (lambda: F.group_norm(ROWS, 1), "group_norm"),
    (lambda: F.dropout(ROWS), "dropout"),
    (lambda: F.dropout2d(IMAGES), "dropout2d"),
    (lambda: F.softmax(ROWS, 1), "softmax"),
    (lambda: F.log_softmax(ROWS), "log_softmax"),
    (lambda: F.relu(ROWS), "relu"),
    (lambda: F.leaky_relu(ROWS), "leaky_relu"),
    (lambda: F.hardtanh(ROWS), "hardtanh"),
    (lambda: F.threshold(ROWS, 0, 0), "threshold"),
    (lambda: F.gelu(ROWS), "gelu"),
    (lambda: F.sigmoid(ROWS), "sigmoid"),
    (lambda: F.pad(ROWS, (1, 1)), "pad"),
    (lambda: gpunn.max(ROWS, 1), "max"),
    (lambda: gpunn.argmax(ROWS), "argmax"),
    (lambda: gpunn.sum(ROWS), "sum"),
    (lambda: gpunn.mean(ROWS), "mean"),
    (lambda: gpunn.std(ROWS), "std"),
    (lambda: gpunn.norm(ROWS), "norm"),
    (lambda: gpunn.topk(ROWS, 1), "topk"),
    (lambda: gpunn.matmul(gpunn.tensor(ROWS), ROWS.T), "matmul"),
    (lambda: F.embedding([1], gpunn.ones(2, 2)), "embedding"),
    (lambda: F.cross_entropy(gpunn.tensor(ROWS), [0, 1]), "cross_entropy"),
])  # fmt: skip
def test_an_array_is_no_tensor(call: Callable[[], Any], name: str):
    with pytest.raises(TypeError, match=rf"{name}\(\): argument '\w+' \(position \d\) must be T"):
        call()


def test_of_an_array_the_error_names_the_fix():
    with pytest.raises(
        TypeError, match=r"not numpy\.ndarray; gpunn\.as_tensor\(...\) makes it one"
    ):
        gpunn.max(gpunn.tensor(ROWS).data, 1)
