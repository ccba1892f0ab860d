"""Losses that are negative log-likelihoods: of counts, of normal variables, of label sequences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gpunn.dtype import in_use
from gpunn.functional.loss import need_tensors, reduced, reduction_of
from gpunn.ops.choice import clamp_min, where
from gpunn.ops.common import check_all
from gpunn.ops.pointwise import exp, log, square
from gpunn.ops.precision import cast_for

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-08,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """eˣ - t x, or without ``log_input`` x - t log(x + eps), of counts t.

    ``full`` adds Stirling's t log t - t + log(2πt) / 2 where t > 1.
    """
    if in_use:
        input, target = cast_for("poisson_nll_loss", input, target)
    need_tensors("poisson_nll_loss", input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        t = where(target > 1, target, 1.0)  # where it counts: no logarithm of less
        stirling = t * log(t) - t + log(t * (2 * math.pi)) * 0.5
        loss = loss + where(target > 1, stirling, 0.0)
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-06,
    reduction: str = "mean",
) -> Tensor:
    """(log v + (x - t)² / v) / 2 with v = max(var, eps), v's gradient that of ``var``.

    ``var`` has the input's shape, lacks its last dimension, or has size 1 in one dimension.
    ``full`` adds log(2π) / 2.
    """
    need_tensors("gaussian_nll_loss", input, target)
    if isinstance(var, float):
        variance: Any = input.detach() * 0 + var
    else:
        variance = var
    text = "var has negative entry/entries"
    check_all("gaussian_nll_loss", variance, lambda v: v >= 0, text, ValueError)
    shape, given = tuple(input.data.shape), tuple(variance.data.shape)
    if given != shape:
        if given == shape[:-1]:
            variance = variance.unsqueeze(-1)
        elif len(given) != len(shape) or [
            m for n, m in zip(shape, given, strict=True) if n != m
        ] != [1]:
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    # The clamp bounds the value only: PyTorch lets the gradient through.
    variance = variance + (clamp_min(variance.detach(), eps) - variance.detach())
    loss = (log(variance) + square(input - target) / variance) * 0.5
    return reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)
