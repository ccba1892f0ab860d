"""Batch normalization in evaluation folded into the weights of the layer before it."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from gpunn.autograd.grad_mode import no_grad
from gpunn.nn.module import Module
from gpunn.nn.parameter import Parameter
from gpunn.tensor import Tensor

M = TypeVar("M", bound=Module)


def fuse_conv_bn_eval(conv: M, bn: Any, transpose: bool = False) -> M:
    """A copy of the convolution ``conv`` that computes ``bn(conv(x))``, both in evaluation.

    ``transpose`` for a transposed convolution. Raises AssertionError in training, and for a ``bn``
    without running statistics.
    """
    return _fused(conv, bn, int(transpose))


def fuse_linear_bn_eval(linear: M, bn: Any) -> M:
    """A copy of ``linear`` that computes ``bn(linear(x))``, both in evaluation."""
    layer: Any = linear
    if not (layer.training or bn.training) and bn.num_features not in (1, layer.out_features):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"linear.out_features={layer.out_features} and bn.num_features={bn.num_features}"
        )
    return _fused(linear, bn, 0)


def _fused(layer: M, bn: Any, dim: int) -> M:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    fused: Any = copy.deepcopy(layer)
    fused.weight, fused.bias = _scaled(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, dim
    )
    return fused


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """W γ / √(var + eps) and (b - mean) γ / √(var + eps) + β, of ``conv_w``'s dtype.

    γ and β (``bn_w``, ``bn_b``) may be None for 1 and 0, ``conv_b`` for 0.
    """
    return _scaled(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, int(transpose))


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """As ``fuse_conv_bn_weights``, of a linear layer."""
    return _scaled(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


@no_grad()
def _scaled(
    w: Tensor,
    b: Tensor | None,
    mean: Tensor,
    var: Tensor,
    eps: float,
    gamma: Tensor | None,
    beta: Tensor | None,
    dim: int,
) -> tuple[Parameter, Parameter]:
    """Weight and bias, ``dim`` of the weight being that of the outputs."""
    scale = (var + eps).rsqrt()
    if gamma is not None:
        scale = scale * gamma
    shift = -mean * scale if b is None else (b - mean) * scale
    if beta is not None:
        shift = shift + beta
    spread = scale.reshape([-1 if d == dim else 1 for d in range(w.ndim)])
    dtype, trained = (w.dtype, False) if b is None else (b.dtype, b.requires_grad)
    return (
        Parameter((w * spread).to(w.dtype), w.requires_grad),
        Parameter(shift.to(dtype), trained),
    )
