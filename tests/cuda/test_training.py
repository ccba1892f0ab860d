"""A whole network trained on a CUDA device: the CPU's weights, and its very dropout masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpunn
from gpunn import nn
from gpunn.backends import cuda as switches


class Kept(nn.Module):
    """Hands its input on, and keeps where it is 0."""

    def __init__(self) -> None:
        super().__init__()
        self.masks: list[Any] = []

    def forward(self, x: Any) -> Any:
        self.masks.append(x.detach().cpu().numpy() == 0)
        return x


def lenet() -> nn.Sequential:
    """LeCun et al., 1998, with dropout of elements and of channels."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Dropout2d(0.2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Dropout(0.5),
        Kept(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )


def trained(device: str) -> tuple[list[Any], list[Any]]:
    """The weights after three steps, and the dropout masks of each."""
    gpunn.manual_seed(3)
    model = lenet().to(device)
    optimizer = gpunn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(3):
        x, y = gpunn.randn(4, 1, 28, 28, device=device), gpunn.randint(10, (4,), device=device)
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    kept = next(m for m in model if isinstance(m, Kept))
    return [p.detach().cpu().numpy() for p in model.parameters()], kept.masks


def test_lenet_ends_with_the_weights_of_the_cpu(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpunn.backends.launcher import recorded

    monkeypatch.setattr(switches.conv, "fp32_precision", "ieee")
    weights, masks = trained("cpu")
    with recorded() as names:
        device_weights, device_masks = trained("cuda")
    for ours, theirs in zip(device_weights, weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    for ours, theirs in zip(device_masks, masks, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert {
        *("conv2d_forward", "conv2d_backward_data", "conv2d_backward_weight"),
        *("avg_pool2d_forward", "avg_pool2d_backward", "max_pool2d_forward"),
        *("max_pool2d_backward", "dropout", "dropout_channels", "cross_entropy_tile", "sgd_step"),
    } <= set(names)
