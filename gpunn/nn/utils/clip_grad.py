"""Gradients clipped, in place, by their common norm or by value."""

from __future__ import annotations

import math
import types
import warnings
from collections.abc import Iterable
from typing import TypeAlias

from gpunn.autograd.grad_mode import no_grad
from gpunn.creation import tensor
from gpunn.ops.joining import stack
from gpunn.ops.reduction import norm
from gpunn.tensor import Tensor

Tensors: TypeAlias = Tensor | Iterable[Tensor]


@no_grad()
def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The ``norm_type``-norm of all ``tensors`` taken as one vector, on the first one's device.

    ``norm_type`` may be ``inf``. ``foreach`` is there for PyTorch's signature only. Raises
    RuntimeError with ``error_if_nonfinite`` where the norm is nan or infinite.
    """
    vectors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    order = float(norm_type)
    if not vectors:
        return tensor(0.0)
    where = vectors[0].device
    total = norm(stack([norm(v, order).to(where) for v in vectors]), order)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"The total norm of order {order} for gradients from `parameters` is non-finite, so it "
            "cannot be clipped. To disable this error and scale the gradients by the non-finite "
            "norm anyway, set `error_if_nonfinite=False`"
        )
    return total


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Multiply every gradient by min(1, max_norm / (total_norm + 1e-6))."""
    factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
    for gradient in _gradients(parameters):
        gradient.mul_(factor.to(gradient.device))


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients down so that their norm, taken as one vector, is at most ``max_norm``.

    Returns the norm before; the arguments are those of ``get_total_norm``.
    """
    held = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if not held and isinstance(parameters, types.GeneratorType):
        warnings.warn(
            "`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2
        )
    total = get_total_norm(_gradients(held), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(held, max_norm, total)
    return total


@no_grad()
def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Clamp every gradient to [-clip_value, clip_value]."""
    bound = float(clip_value)
    for gradient in _gradients(parameters):
        gradient.clamp_(-bound, bound)


def _gradients(parameters: Tensors) -> list[Tensor]:
    held = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad for p in held if p.grad is not None]
