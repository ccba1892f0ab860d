"""The activations that write their result where the input was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpunn.functional import activation
from gpunn.functional.activation import elu, hardtanh, leaky_relu, relu
from gpunn.functional.curves import celu, rrelu, selu
from gpunn.ops.common import need_tensor

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """``celu`` in place."""
    return celu(input, alpha, True)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """``elu`` in place."""
    return elu(input, alpha, True)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """``hardtanh`` in place."""
    return hardtanh(input, min_val, max_val, True)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """``leaky_relu`` in place."""
    return leaky_relu(input, negative_slope, True)


def relu_(input: Tensor) -> Tensor:
    """``relu`` in place."""
    need_tensor("relu_", input)
    return relu(input, True)


def rrelu_(
    input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False
) -> Tensor:
    """``rrelu`` in place."""
    return rrelu(input, lower, upper, training, True)


def selu_(input: Tensor) -> Tensor:
    """``selu`` in place."""
    return selu(input, True)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """``threshold`` in place."""
    return activation.threshold(input, threshold, value, True)
