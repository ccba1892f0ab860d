"""More activations: shrinkage, gates and curves, composed of the others."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from gpunn.dtype import FLOATING, finfo, in_use
from gpunn.functional.activation import (
    elu,
    hardtanh,
    implicit_dim,
    leaky_relu,
    need_float,
    softmax,
    softplus,
)
from gpunn.ops import softmax as along
from gpunn.ops.calling import extended
from gpunn.ops.choice import clamp, where
from gpunn.ops.common import canonical_dim, dtype_of, need_tensor
from gpunn.ops.gathering import scatter
from gpunn.ops.joining import chunk
from gpunn.ops.pointwise import Masked, abs, expm1, log, sigmoid, tanh
from gpunn.ops.precision import cast_for
from gpunn.sampling import rand_like

if TYPE_CHECKING:
    from gpunn.dtype import dtype
    from gpunn.tensor import Tensor

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """scale · elu(x, alpha), with constants that keep mean 0 and variance 1.

    G. Klambauer et al., "Self-normalizing neural networks", 2017.
    """
    need_float("selu", input)
    return input._write(_selu) if inplace else _selu(input)


def _selu(x: Tensor) -> Tensor:
    return elu(x, SELU_ALPHA) * SELU_SCALE


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """max(0, x) + min(0, alpha (exp(x / alpha) - 1)). An ``alpha`` of 0 raises RuntimeError."""
    need_tensor("celu", input)
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    need_float("celu", input)
    return input._write(_celu, alpha) if inplace else _celu(input, alpha)


def _celu(x: Tensor, alpha: float) -> Tensor:
    above = x.detach() > 0
    # The mask keeps the exponential finite where the other branch is taken.
    return where(above, x, expm1(Masked.apply(x, ~above) / alpha) * alpha)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x tanh(softplus(x)). D. Misra, 2019."""
    need_float("mish", input)
    return input._write(_of_copy, mish) if inplace else input * tanh(softplus(input))


def _of_copy(x: Tensor, curve: Callable[[Tensor], Tensor]) -> Tensor:
    return curve(x.clone())  # backward needs the x that is about to be overwritten


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x + 3, 0), 6) / 6; the gradient at the bends is 0."""
    need_float("hardsigmoid", input)
    return input._write(hardsigmoid) if inplace else hardtanh(input, -3, 3) / 6 + 0.5


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · hardsigmoid(x). A. Howard et al., "Searching for MobileNetV3", 2019."""
    need_float("hardswish", input)
    if inplace:
        return input._write(_of_copy, hardswish)
    bent = Masked.apply(input, ~(abs(input.detach()) >= 3))  # the other branch stays finite
    return where(input <= -3, 0.0, where(input >= 3, input, bent * (bent / 6 + 0.5)))


@extended
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0."""
    need_float("hardshrink", input)
    return Masked.apply(input, ~(abs(input.detach()) <= lambd))


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd, and 0 where |x| <= lambd. RuntimeError if lambd < 0."""
    need_float("softshrink", input)
    if lambd < 0:
        given = dtype_of(input)
        raise RuntimeError(
            f"lambda must be in range [0, {finfo(given).max:g}] for input dtype {given.title}, but "
            f"found {lambd:g}"
        )
    return where(input > lambd, input - lambd, where(input < -lambd, input + lambd, input * 0))


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh x."""
    return input - tanh(input)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return input / (abs(input) + 1)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a · sigmoid(b) of the halves a, b of ``dim``. Y. Dauphin et al., 2017."""
    if not input.data.ndim:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    dim = canonical_dim(dim, input.data.ndim)
    if input.data.shape[dim] % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim} is size {input.data.shape[dim]}"
        )
    need_float("glu", input)
    a, b = chunk(input, 2, dim)
    return a * sigmoid(b)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight · x, with one weight, or one for each channel (dimension 1)."""
    if in_use:
        input, weight = cast_for("prelu", input, weight)
    n, ndim = weight.data.size, input.data.ndim
    if weight.data.ndim > 1:
        raise RuntimeError(
            "prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = "
            f"{weight.data.ndim}"
        )
    if n != 1:
        if not ndim:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.data.shape[1] if ndim > 1 else 1
        if n != channels:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{n} and channel size = {channels}."
            )
    if input.data.dtype != weight.data.dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {input.dtype} and {weight.dtype}"
        )
    axis = min(ndim - 1, 1)
    weight = weight.reshape(*(n if d == axis else 1 for d in range(ndim)))
    return where(input > 0, input, weight * input)


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """x where x > 0, else a x: a uniform in [lower, upper) for each element while ``training``,
    else their mean. B. Xu et al., 2015."""
    need_tensor("rrelu", input)
    if not 0 <= lower <= upper:
        raise RuntimeError(
            f"Lower bound should be less than or equal to the upper bound: got {lower}, {upper}"
        )
    need_float("rrelu", input)
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    drawn = rand_like(input) * (upper - lower) + lower
    return input._write(_sloped, drawn) if inplace else _sloped(input, drawn)


def _sloped(x: Tensor, slope: Tensor) -> Tensor:
    return x * where(x.detach() <= 0, slope, 1.0)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: dtype | None = None
) -> Tensor:
    """softmax(-x) along ``dim``."""
    if dim is None:
        dim = implicit_dim("softmin", input, _stacklevel)
    return along.softmax(-input, dim, dtype)


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A sample of a relaxed categorical: softmax((logits + g) / tau), g Gumbel noise.

    ``hard``: one-hot, with the gradient of the soft sample. E. Jang et al., 2016.
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    if logits.data.dtype.kind not in FLOATING:
        raise RuntimeError(
            "Exponential distribution is a continuous probability distribution. dtype must be a "
            f"floating point but you specified {dtype_of(logits).title}"
        )
    noise = -log(-log(clamp(rand_like(logits), min=1e-20)))
    soft = softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    best = soft.detach().max(dim, keepdim=True).indices
    return scatter(soft.detach() * 0, dim, best, 1.0) - soft.detach() + soft
