"""Activations: elementwise kinks and curves, and softmax along a dimension."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array, recording
from gpunn.backends import type2backend
from gpunn.backends.reference.activation import ONE_OVER_ROOT_TWO_PI, ROOT_HALF
from gpunn.dtype import FLOATING, dtype, in_use
from gpunn.ops import pointwise
from gpunn.ops import softmax as along
from gpunn.ops.calling import extended
from gpunn.ops.choice import where
from gpunn.ops.common import Op, need_tensor, not_implemented, xp_of
from gpunn.ops.conversion import to
from gpunn.ops.pointwise import Masked, exp, expm1, log1p, sigmoid, tanh
from gpunn.ops.precision import cast_for

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

_ROOT_TWO_OVER_PI = math.sqrt(2 / math.pi)


class LeakyReLU(Op):
    """``x`` where ``keep``, else ``slope x``; the first time, ``keep`` is ``x > 0``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float, keep: Tensor | None) -> Array:
        data, ctx.slope = x.data, slope
        other = data * data.dtype.type(slope)
        if keep is None and not ctx.needs_input_grad[0] and 0 < slope <= 1:
            return xp_of(x).maximum(data, other)
        mask = data > 0 if keep is None else keep.data
        ctx.save_for_backward(mask)
        return type2backend[type(data)].where(mask, data, other)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return LeakyReLU.apply(dy, ctx.slope, *ctx.saved_tensors), None, None


class Hardtanh(Op):
    """``x`` between two bounds; unlike clamp, the gradient at a bound is 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Array:
        data, xp = x.data, xp_of(x)
        ctx.save_for_backward(~((data <= low) | (data >= high)))  # NaN hands its gradient on
        return xp.clip(data, data.dtype.type(low), data.dtype.type(high))

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return Masked.apply(dy, ctx.saved_tensors[0]), None, None


class NormalCdf(Op):
    """Φ(x) = (1 + erf(x / √2)) / 2, whose derivative is exp(-x² / 2) / √(2π)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Array:
        ctx.save_for_backward(x)
        y = type2backend[type(x.data)].special("erf")(x.data * ROOT_HALF)
        y *= 0.5
        y += 0.5
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return dy * (exp(x * x * -0.5) * ONE_OVER_ROOT_TWO_PI)


class Gelu(Op):
    """x Φ(x); its derivative is found beside it, in the same pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Array:
        y, slope = type2backend[type(x.data)].gelu(x.data, ctx.needs_input_grad[0])
        ctx.save_for_backward(x, slope)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        x, slope = ctx.saved_tensors
        if recording(x, dy):  # in steps that can be differentiated
            slope = NormalCdf.apply(x) + x * exp(x * x * -0.5) * ONE_OVER_ROOT_TWO_PI
        return dy * slope


class LogSigmoid(Op):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Array:
        xp = xp_of(x)
        ctx.save_for_backward(x)
        return xp.minimum(x.data, 0) - xp.log1p(xp.exp(-xp.abs(x.data)))

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return dy * sigmoid(-ctx.saved_tensors[0])


def need_float(name: str, x: Tensor) -> None:
    """Refuse integers, as PyTorch does of what has no kernel for them."""
    need_tensor(name, x)
    if x.data.dtype.kind not in FLOATING:
        raise not_implemented(name, x.data)


# Kinks --------------------------------------------------------------------------------------


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0); the gradient at 0 is 0."""
    return input.relu_() if inplace else pointwise.relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope x; the gradient at 0 is ``negative_slope``."""
    need_float("leaky_relu", input)
    if inplace:
        return input._write(LeakyReLU.apply, negative_slope, None)
    return LeakyReLU.apply(input, negative_slope, None)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """min(max(x, min_val), max_val); the gradient at the bounds is 0."""
    if min_val > max_val:
        raise ValueError(f"min_val cannot be greater than max_val: got {min_val} and {max_val}")
    need_tensor("hardtanh", input)
    if input.data.dtype.kind == "b":
        raise RuntimeError("Bool inputs not supported for hardtanh")
    if input.data.dtype.kind == "u" and min_val < 0:
        raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
    if inplace:
        return input._write(Hardtanh.apply, min_val, max_val)
    return Hardtanh.apply(input, min_val, max_val)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6); the gradient at 0 and 6 is 0."""
    need_tensor("relu6", input)
    return hardtanh(input, 0, 6, inplace)


@extended
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else ``value``, in the dtype of x."""
    need_tensor("threshold", input)
    if inplace:
        return input._write(_threshold, threshold, value)
    return _threshold(input, threshold, value)


def _threshold(x: Tensor, threshold: float, value: float) -> Tensor:
    if x.data.dtype.kind == "b":
        raise not_implemented("threshold", x.data)
    number = int if x.data.dtype.kind in "iu" else float
    return where(x <= number(threshold), number(value), x)  # NaN stays


# Curves -------------------------------------------------------------------------------------


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha (eˣ - 1)."""
    need_float("elu", input)
    return input._write(_elu, alpha) if inplace else _elu(input, alpha)


def _elu(x: Tensor, alpha: float) -> Tensor:
    above = x.detach() > 0
    # The mask keeps eˣ finite where the other branch is taken.
    return where(above, x, expm1(Masked.apply(x, ~above)) * alpha)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x Φ(x), Φ the distribution function of the standard normal.

    ``approximate="tanh"``: Φ(x) ≈ (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2.
    D. Hendrycks and K. Gimpel, "Gaussian error linear units", 2016.
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError(
            f"approximate argument must be either none or tanh. (got {approximate!r})"
        )
    need_float("gelu", input)
    x = input.float() if input.data.dtype.itemsize == 2 else input
    if approximate == "none":
        y = Gelu.apply(x)
    else:
        y = x * (tanh(x * (x * x * 0.044715 + 1) * _ROOT_TWO_OVER_PI) * 0.5 + 0.5)
    return y if x is input else to(y, input.dtype)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x / (1 + e⁻ˣ), also called swish."""
    need_float("silu", input)
    return input._write(_silu_of_copy) if inplace else input * sigmoid(input)


def _silu_of_copy(x: Tensor) -> Tensor:
    return silu(x.clone())  # backward needs the x that is about to be overwritten


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta x)) / beta; x itself where beta x > threshold."""
    need_float("softplus", input)
    if in_use:
        (input,) = cast_for("softplus", input)
    scaled = input * beta
    above = scaled.detach() > threshold
    return where(above, input, log1p(exp(Masked.apply(scaled, ~above))) / beta)


def logsigmoid(input: Tensor) -> Tensor:
    """log(1 / (1 + e⁻ˣ)), overflow-safe."""
    need_float("log_sigmoid", input)
    return LogSigmoid.apply(input)


# Along a dimension --------------------------------------------------------------------------


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: dtype | None = None
) -> Tensor:
    """exp(x) / Σ exp(x) along ``dim``, shifted so that nothing overflows.

    ``dtype``: cast to it first. Without ``dim``: 1 for 2-d and 4-d input and above, else 0, with a
    warning.
    """
    if dim is None:
        dim = implicit_dim("softmax", input, _stacklevel)
    return along.softmax(input, dim, dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: dtype | None = None
) -> Tensor:
    """x - log Σ exp(x) along ``dim``; arguments as ``softmax``."""
    if dim is None:
        dim = implicit_dim("log_softmax", input, _stacklevel)
    return along.log_softmax(input, dim, dtype)


def implicit_dim(name: str, x: Tensor, stacklevel: int) -> int:
    """The dimension that PyTorch takes where none is named, and warns of."""
    need_tensor(name, x)
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if x.data.ndim in (0, 1, 3) else 1
