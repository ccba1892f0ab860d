"""Special functions of statistics and physics, elementwise: a table, with their derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array, wrap
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING, accumulator
from gpunn.ops.binary import binary
from gpunn.ops.calling import extended
from gpunn.ops.choice import clamp, where
from gpunn.ops.common import float_array, local, need_tensor, not_implemented, xp_of
from gpunn.ops.pointwise import (
    Masked,
    Unary,
    absolute,
    by_scipy,
    exp,
    lgamma,
    log,
    log1p,
    sign,
    unary,
)

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

_ROOT_HALF, _ROOT_TWO_PI = math.sqrt(0.5), math.sqrt(2 * math.pi)


def _wide(name: str, function: str | None = None) -> Callable[..., Array]:
    """SciPy's ``function`` of one or two arrays, refused for 16-bit floats as PyTorch does."""

    def compute(xp: Any, x: Array, *others: Array) -> Array:
        if x.dtype.itemsize < 4:
            raise not_implemented(name, x)
        y = type2backend[type(x)].special(function or name)(x, *others)
        return y.astype(x.dtype, copy=False)

    return compute


def _of_two(function: str) -> Callable[[Any, Array, Array], Array]:
    """SciPy's ``function`` of two arrays, 16-bit floats computed in float32."""

    def compute(xp: Any, a: Array, b: Array) -> Array:
        wide = accumulator(a.dtype)
        y = type2backend[type(a)].special(function)(a.astype(wide), b.astype(wide))
        return y.astype(a.dtype, copy=False)

    return compute


def _lacking(what: str) -> Callable[..., Tensor]:
    """The derivative that PyTorch has not, nor has gpunn."""

    def derivative(*args: Any) -> Tensor:
        raise NotImplementedError(f"the derivative for '{what}' is not implemented.")

    return derivative


def _over(y: Tensor, x: Tensor, limit: float) -> Tensor:
    """``y / x``, and ``limit`` where x is 0."""
    tiny = ~(absolute(x) > 1e-15)
    return where(tiny, limit, y / where(tiny, 1.0, x))


def _slope_i1(dy: Tensor, x: Tensor) -> Tensor:
    return dy * (i0(x) - _over(i1(x), x, 0.5))


def _slope_i1e(dy: Tensor, x: Tensor) -> Tensor:
    y = i1e(x)
    return dy * (i0e(x) - y * sign(x) - _over(y, x, 0.5))


# name, formula, how it is computed, dx from dy and x or y
entr = unary("entr", "-x ln x", by_scipy("entr"), lambda dy, x: dy * -(log(x) + 1))
erfcx = unary(
    "erfcx", "exp(x²) erfc x", _wide("erfcx"),
    lambda dy, x: dy * (2 * x * erfcx(x) - 2 / math.sqrt(math.pi)),
)  # fmt: skip
ndtr = unary(
    "ndtr", "The share of the standard normal below x", by_scipy("ndtr"),
    lambda dy, x: dy * exp(x * x * -0.5) / _ROOT_TWO_PI,
)  # fmt: skip
log_ndtr = unary(
    "log_ndtr", "ln ndtr x, also far below 0", _wide("log_ndtr"),
    lambda dy, x: dy / erfcx(x * -_ROOT_HALF) * (2 / _ROOT_TWO_PI),
)  # fmt: skip
ndtri = unary(
    "ndtri", "The x whose ndtr it is", _wide("ndtri"),
    lambda dy, y: dy * exp(y * y * 0.5) * _ROOT_TWO_PI,
)  # fmt: skip
i0: Unary = unary("i0", "The modified Bessel function I₀", by_scipy("i0"), lambda dy, x: dy * i1(x))
i0e: Unary = unary(
    "i0e", "exp(-|x|) I₀(x)", by_scipy("i0e"), lambda dy, x: dy * (i1e(x) - sign(x) * i0e(x))
)
i1: Unary = unary("i1", "The modified Bessel function I₁", by_scipy("i1"), _slope_i1)
i1e: Unary = unary("i1e", "exp(-|x|) I₁(x)", by_scipy("i1e"), _slope_i1e)

igamma = binary(
    "igamma", "The share of the integral Γ(input) below other", _of_two("gammainc"),
    _lacking("igamma: input"),
    lambda dy, a, x, r: dy * exp((a - 1) * log(x) - x - lgamma(a)),
)  # fmt: skip
igammac = binary(
    "igammac", "The share of the integral Γ(input) above other", _of_two("gammaincc"),
    _lacking("igammac: input"),
    lambda dy, a, x, r: dy * -exp((a - 1) * log(x) - x - lgamma(a)),
)  # fmt: skip
zeta: Callable[..., Tensor] = binary(
    "zeta", "Hurwitz's Σ 1 / (k + other)^input over k >= 0", _wide("zeta"),
    _lacking("zeta"), lambda dy, x, q, r: dy * -x * zeta(x + 1, q),
    to_float=True, numbers="first second",
)  # fmt: skip
xlog1py = binary(
    "xlog1py", "input ln(1 + other), and 0 where input is 0", _of_two("xlog1py"),
    lambda dy, x, y, r: Masked.apply(dy * log1p(y.to(dy.dtype)), ~((x == 0) & (y <= -1))),
    lambda dy, x, y, r: dy * x / (y + 1), to_float=True, numbers="first second",
)  # fmt: skip


@extended
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), elementwise; with ``eps``, of ``input`` clamped to [eps, 1 - eps]."""
    need_tensor("logit", input)
    if input._data.dtype.kind not in FLOATING:
        input = wrap(float_array(input))
    x = input if eps is None else clamp(input, eps, 1 - eps)
    return log(x / (1 - x))


@extended
def multigammaln(input: Tensor, p: int) -> Tensor:
    """The logarithm of the gamma function of ``p`` dimensions, elementwise.

    ln π p (p - 1) / 4 + Σ lgamma(x - i / 2) over i < p. Raises RuntimeError for p < 1.
    """
    need_tensor("mvlgamma", input)
    if not isinstance(p, int):
        kind = type(p).__name__
        raise TypeError(f"mvlgamma(): argument 'p' (position 2) must be int, not {kind}")
    if input.data.dtype.kind == "b":
        raise RuntimeError("The input tensor may not be a boolean tensor.")
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    shifted = (lgamma(input - i / 2) for i in range(p))
    return sum(shifted, next(shifted) + math.log(math.pi) * p * (p - 1) / 4)


# Without derivatives, as in PyTorch ----------------------------------------------------------


def _inert(name: str, doc: str, compute: Callable[..., Array]) -> Unary:
    def function(input: Tensor) -> Tensor:
        need_tensor(name, input)
        return wrap(compute(xp_of(input), float_array(input)))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{doc}, elementwise; no gradient."
    return extended(local(function))


def _spherical(xp: Any, x: Array) -> Array:
    if x.dtype.itemsize < 4:
        raise not_implemented("spherical_bessel_j0", x)
    y = xp.sinc(x / math.pi).astype(x.dtype, copy=False)
    return xp.where(xp.isinf(x), x.dtype.type(0), y)


bessel_j0 = _inert("bessel_j0", "The Bessel function J₀", _wide("bessel_j0", "j0"))
bessel_j1 = _inert("bessel_j1", "The Bessel function J₁", _wide("bessel_j1", "j1"))
bessel_y0 = _inert("bessel_y0", "The Bessel function Y₀", _wide("bessel_y0", "y0"))
bessel_y1 = _inert("bessel_y1", "The Bessel function Y₁", _wide("bessel_y1", "y1"))
modified_bessel_i0 = _inert(
    "modified_bessel_i0", "The modified Bessel function I₀", _wide("modified_bessel_i0", "i0")
)
modified_bessel_i1 = _inert(
    "modified_bessel_i1", "The modified Bessel function I₁", _wide("modified_bessel_i1", "i1")
)
modified_bessel_k0 = _inert(
    "modified_bessel_k0", "The modified Bessel function K₀", _wide("modified_bessel_k0", "k0")
)
modified_bessel_k1 = _inert(
    "modified_bessel_k1", "The modified Bessel function K₁", _wide("modified_bessel_k1", "k1")
)
scaled_modified_bessel_k0 = _inert(
    "scaled_modified_bessel_k0", "eˣ K₀(x)", _wide("scaled_modified_bessel_k0", "k0e")
)
scaled_modified_bessel_k1 = _inert(
    "scaled_modified_bessel_k1", "eˣ K₁(x)", _wide("scaled_modified_bessel_k1", "k1e")
)
spherical_bessel_j0 = _inert("spherical_bessel_j0", "sin x / x", _spherical)
