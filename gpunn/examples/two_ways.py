"""One CNN twice, from layers and from functions: ``python -m gpunn.examples.two_ways``.

A layer such as ``nn.Conv2d`` holds its parameters and calls the function ``F.conv2d`` with them;
whoever holds the parameters himself gets the same network, the same gradients, the same training.
"""

from __future__ import annotations

import gpunn
import gpunn.nn.functional as F
from gpunn import nn
from gpunn.data.datasets import MNIST10k


class LayerCNN(nn.Module):
    """Layers hold the parameters: (N, 1, 28, 28) -> (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(16, 32, 5)
        self.fc = nn.Linear(4 * 4 * 32, 10)

    def forward(self, x: gpunn.Tensor) -> gpunn.Tensor:
        """The scores of the ten classes."""
        out = self.pool(self.relu(self.conv1(x)))
        out = self.pool(self.relu(self.conv2(out)))
        return self.fc(out.reshape(out.size(0), -1))


class FunctionalCNN(nn.Module):
    """The module itself holds the parameters, in the layers' shapes: (N, 1, 28, 28) -> (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight1 = nn.Parameter(gpunn.rand(16, 1, 5, 5))
        self.bias1 = nn.Parameter(gpunn.rand(16))
        self.weight2 = nn.Parameter(gpunn.rand(32, 16, 5, 5))
        self.bias2 = nn.Parameter(gpunn.rand(32))
        self.weight3 = nn.Parameter(gpunn.rand(10, 4 * 4 * 32))
        self.bias3 = nn.Parameter(gpunn.rand(10))

    def forward(self, x: gpunn.Tensor) -> gpunn.Tensor:
        """The scores of the ten classes."""
        out = F.max_pool2d(F.relu(F.conv2d(x, self.weight1, self.bias1)), 2)
        out = F.max_pool2d(F.relu(F.conv2d(out, self.weight2, self.bias2)), 2)
        return F.linear(out.reshape(out.size(0), -1), self.weight3, self.bias3)


def copy_parameters(source: nn.Module, target: nn.Module) -> None:
    """Give ``target`` the values of ``source``'s parameters, one after the other."""
    with gpunn.no_grad():
        for a, b in zip(target.parameters(), source.parameters(), strict=True):
            a.copy_(b)


def train(model: nn.Module, images: gpunn.Tensor, labels: gpunn.Tensor, steps: int) -> list[float]:
    """The loss before each of ``steps`` steps of SGD on one batch."""
    optimizer = gpunn.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses: list[float] = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def main() -> None:
    """Train both on the same digits and print the losses side by side."""
    gpunn.manual_seed(0)
    layers, functions = LayerCNN(), FunctionalCNN()
    copy_parameters(layers, functions)
    images, labels = (t[:64] for t in MNIST10k().tensors())
    print("step  layers  functions")
    both = zip(train(layers, images, labels, 10), train(functions, images, labels, 10), strict=True)
    for step, (a, b) in enumerate(both):
        print(f"{step:4}  {a:.4f}  {b:.4f}")


if __name__ == "__main__":
    main()
