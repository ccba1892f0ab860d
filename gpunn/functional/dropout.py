"""Dropout: elements or whole channels set to zero at random, the others scaled up."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array
from gpunn.backends import type2backend
from gpunn.backends.reference.dropout import alpha_scale
from gpunn.dtype import FLOATING
from gpunn.ops.common import Op, need_tensor
from gpunn.random import default_generator

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class Dropout(Op, widens=False):
    """The mask is drawn anew from ``seed`` and ``offset`` in backward: nothing is saved."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, seed: int, offset: int, p: float, dims: int, scale: float
    ) -> Array:
        ctx.args = seed, offset, p, dims, scale
        return type2backend[type(x.data)].dropout(x.data, *ctx.args)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return Dropout.apply(dy, *ctx.args), None, None, None, None, None


class AlphaDropout(Op, widens=False):
    """``Dropout`` and a shift: its gradient is a dropout."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, seed: int, offset: int, p: float, dims: int) -> Array:
        ctx.args = seed, offset, p, dims
        return type2backend[type(x.data)].alpha_dropout(x.data, *ctx.args)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        dx = Dropout.apply(dy, *ctx.args, alpha_scale(ctx.args[2]))
        return dx, None, None, None, None


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each element 0 with probability ``p``, else x / (1 - p).

    Unless ``training``, or with ``p=0``: ``input`` itself. ``p=1`` gives zeros. The mask comes from
    gpunn's one random stream, so the same seed drops the same elements on every device. Raises
    ValueError unless 0 <= p <= 1.

    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.
    """
    need_tensor("dropout", input)
    return _dropout(input, p, training, inplace, input.data.ndim)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of ``(N, C, L)`` or ``(C, L)`` dropped."""
    return _channels("dropout1d", 1, input, p, training, inplace)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of ``(N, C, H, W)`` or ``(C, H, W)`` dropped."""
    return _channels("dropout2d", 2, input, p, training, inplace)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of ``(N, C, D, H, W)`` or ``(C, D, H, W)`` dropped."""
    return _channels("dropout3d", 3, input, p, training, inplace)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout that keeps mean 0 and variance 1, for networks of ``selu``.

    Each element ``-1.758...``, selu's lower limit, with probability ``p``; then all are scaled and
    shifted. The rest is as ``dropout``, but not ``training`` unless told.

    G. Klambauer et al., "Self-normalizing neural networks", 2017.
    """
    need_tensor("alpha_dropout", input)
    return _dropout(input, p, training, inplace, input.data.ndim, alpha=True)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """``alpha_dropout`` of whole channels of ``(N, C, ...)``."""
    need_tensor("feature_alpha_dropout", input)
    return _dropout(input, p, training, inplace, 2, alpha=True)


def _channels(
    name: str, spatial: int, input: Tensor, p: float, training: bool, inplace: bool
) -> Tensor:
    need_tensor(name, input)
    ndim = input.data.ndim
    if ndim not in (spatial + 1, spatial + 2):
        note = (
            f"Note that {name} exists to provide channel-wise dropout on inputs with "
            f"{spatial} spatial dimension{'s' if spatial > 1 else ''}, a channel dimension, and an "
            f"optional batch dimension (i.e. {spatial + 1}D or {spatial + 2}D inputs)."
        )
        if spatial == 1:
            raise RuntimeError(
                f"{name}: Expected 2D or 3D input, but received a {ndim}D input. {note}"
            )
        warnings.warn(
            f"{name}: Received a {ndim}-D input to {name}, which is deprecated and will result in "
            "an error in a future release. To retain the behavior and silence this warning, please "
            f"use dropout instead. {note}",
            UserWarning,
            stacklevel=3,
        )
        return _dropout(input, p, training, inplace, 2 if spatial == 2 else 1)
    return _dropout(input, p, training, inplace, ndim - spatial)


def _dropout(
    input: Tensor, p: float, training: bool, inplace: bool, dims: int, alpha: bool = False
) -> Tensor:
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0 or not input.data.size:
        return input
    if dims > input.data.ndim:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    if input.data.dtype.kind not in FLOATING and p < 1:
        raise RuntimeError(
            "result type Float can't be cast to the desired output type "
            f"{input.type()[6:-6]}: dropout expects a floating-point tensor"
        )
    # Two 32-bit draws to a 64-bit word, four words to a block of the stream.
    draws = math.prod(input.data.shape[:dims]) if p < 1 else 0
    args: tuple[Any, ...] = (*default_generator.reserve(-(-draws // 8)), p, dims)
    op = AlphaDropout if alpha and p < 1 else Dropout
    if op is Dropout:
        args = (*args, 1 / (1 - p) if p < 1 else 0.0)
    return input._write(op.apply, *args) if inplace else op.apply(input, *args)
