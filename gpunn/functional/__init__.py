"""Layers as functions: PyTorch's ``torch.nn.functional``."""

from gpunn.functional.activation import (
    elu,
    gelu,
    hardtanh,
    leaky_relu,
    log_softmax,
    logsigmoid,
    relu,
    relu6,
    silu,
    softmax,
    softplus,
    threshold,
)
from gpunn.functional.dropout import dropout, dropout1d, dropout2d, dropout3d
from gpunn.functional.linear import embedding, linear, one_hot
from gpunn.functional.normalization import batch_norm, group_norm, layer_norm
from gpunn.ops.pointwise import sigmoid, tanh

__all__ = [
    "batch_norm",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "embedding",
    "gelu",
    "group_norm",
    "hardtanh",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "one_hot",
    "relu",
    "relu6",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
    "threshold",
]
