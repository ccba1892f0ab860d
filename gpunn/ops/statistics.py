"""Spread, middles and counts: what reductions say of a sample, some of them without its NaN."""

from __future__ import annotations

import builtins
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from gpunn.autograd.variable import Array
from gpunn.dtype import FLOATING, dtype, in_use
from gpunn.ops.calling import extended
from gpunn.ops.choice import clamp, where
from gpunn.ops.common import (
    canonical_dim,
    check_all,
    dtype_of,
    local,
    need_tensor,
    xp_of,
)
from gpunn.ops.conversion import in_wide
from gpunn.ops.gathering import gather
from gpunn.ops.matmul import matmul
from gpunn.ops.order import Median, ValuesAndIndices, argsort
from gpunn.ops.pointwise import Masked, isnan, logical_not, sqrt
from gpunn.ops.precision import cast_for
from gpunn.ops.ranks import need_size, taken
from gpunn.ops.reduction import Dims, amax, amin, mean, norm, std, sum, var
from gpunn.ops.shape import reshape, squeeze, t, unsqueeze

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class MinAndMax(NamedTuple):
    """What ``aminmax`` returns."""

    min: Tensor
    max: Tensor


# Spread -------------------------------------------------------------------------------------


@extended
def var_mean(
    input: Tensor,
    dim: Dims | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """``var`` and ``mean`` over ``dim``."""
    need_tensor("var_mean", input)
    _need_float("var_mean", input)
    spread = var(input, dim, unbiased, keepdim, correction=correction)
    return spread, mean(input, None if isinstance(dim, bool) else dim, keepdim)


@extended
def std_mean(
    input: Tensor,
    dim: Dims | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """``std`` and ``mean`` over ``dim``."""
    need_tensor("std_mean", input)
    _need_float("std_mean", input)
    spread = std(input, dim, unbiased, keepdim, correction=correction)
    return spread, mean(input, None if isinstance(dim, bool) else dim, keepdim)


def _need_float(name: str, x: Tensor) -> None:
    if x.data.dtype.kind not in FLOATING:
        raise RuntimeError(f"{name} only support floating point and complex dtypes")


@extended
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> MinAndMax:
    """``amin`` and ``amax``, over ``dim`` or all."""
    need_tensor("aminmax", input)
    if dim is None and not input.data.size:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no "
            "identity."
        )
    dims = None if dim is None else (dim,)
    return MinAndMax(amin(input, dims, keepdim), amax(input, dims, keepdim))


@in_wide
def cov(
    input: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """Covariances of variables, a row each, from observations, a column each.

    ``fweights`` counts how often each observation was made, ``aweights`` how much it matters.
    """
    if input.data.ndim > 2:
        raise RuntimeError(
            "cov(): expected input to have two or fewer dimensions but got an input with "
            f"{input.data.ndim} dimensions"
        )
    if input.data.dtype.kind == "b":
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = reshape(input, 1, -1) if input.data.ndim < 2 else input
    count = x.data.shape[1]
    _check_weights("fweights", fweights, "iu", "integral", count)
    _check_weights("aweights", aweights, FLOATING, "floating point", count)
    weight: Any = None
    for given in (fweights, aweights):
        if given is not None:
            weight = given if weight is None else weight * given
    if weight is None:
        total: Any = count
        centre = sum(x, 1, True) / float(count)
    else:
        total = sum(weight)
        check_all("cov", total, lambda t: t != 0, "cov(): weights sum to zero, can't be normalized")
        centre = sum(x * weight, 1, True) / total
    if weight is not None and aweights is not None and correction:
        freedom: Any = total - correction * sum(weight * aweights) / total
    else:
        freedom = total - correction
    apart = x - centre
    weighted = apart if weight is None else apart * weight
    result = matmul(weighted, t(apart.to(weighted.dtype)))
    if hasattr(freedom, "data"):
        result = result / clamp(freedom, min=0)
    else:
        result = result / float(builtins.max(freedom, 0))
    return squeeze(result)


def _check_weights(name: str, given: Tensor | None, kinds: str, kind: str, count: int) -> None:
    if given is None:
        return
    if given.data.ndim > 1:
        raise RuntimeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {name} with "
            f"{given.data.ndim} dimensions"
        )
    if given.data.dtype.kind not in kinds:
        raise RuntimeError(
            f"cov(): expected {name} to have {kind} dtype but got {name} with "
            f"{dtype_of(given).title} dtype"
        )
    if given.data.size != count:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations in the input "
            f"but got {given.data.size} != {count}"
        )
    check_all("cov", given, lambda w: w >= 0, f"cov(): {name} cannot be negative")


@in_wide
def corrcoef(input: Tensor) -> Tensor:
    """Pearson's correlations of variables, a row each: covariances over both deviations."""
    if input.data.ndim > 2:
        raise RuntimeError(
            "corrcoef(): expected input to have two or fewer dimensions but got an input with "
            f"{input.data.ndim} dimensions"
        )
    c = cov(input)
    if not c.data.ndim:
        return c / c
    deviation = sqrt(c.diagonal())
    return clamp(c / unsqueeze(deviation, 1) / unsqueeze(deviation, 0), -1, 1)


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of the difference."""
    need_tensor("dist", input)
    need_tensor("dist", other, "other", 2)
    if in_use:
        input, other = cast_for("dist", input, other)
    apart = input - other
    if apart.data.dtype.kind not in FLOATING:
        raise RuntimeError(
            "norm(): input dtype should be either floating point or complex. Got "
            f"{dtype_of(apart).title} instead."
        )
    return norm(apart, p)


@extended
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Each slice of ``dim`` scaled down to a p-norm of at most ``maxnorm``."""
    if in_use:
        (input,) = cast_for("renorm", input)
    ndim = input.data.ndim
    if ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {ndim} dimensions")
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm:g}")
    return _renorm(input, p, canonical_dim(dim, ndim), maxnorm)


@in_wide
def _renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    size = norm(input, p, [d for d in range(input.data.ndim) if d != dim], True)
    return input * where(size > maxnorm, maxnorm / (size + 1e-7), 1.0)


# Without NaN --------------------------------------------------------------------------------


@extended
def nansum(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dtype | None = None
) -> Tensor:
    """``sum`` with NaN as 0."""
    need_tensor("nansum", input)
    if input.data.dtype.kind in FLOATING:
        input = Masked.apply(input, logical_not(isnan(input)))
    return sum(input, dim, keepdim, dtype=dtype)


@extended
def nanmean(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dtype | None = None
) -> Tensor:
    """The ``mean`` of what is not NaN."""
    need_tensor("nanmean", input)
    if input.data.dtype.kind not in FLOATING:
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{dtype_of(input).title}"
        )
    count = sum(logical_not(isnan(input)), dim, keepdim)
    return nansum(input, dim, keepdim, dtype=dtype) / count


class NanMedian(Median):
    """The lower middle element of those that are not NaN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *args: Any) -> Array:
        xp, flat = xp_of(x), x.data.reshape(-1)
        ordered = xp.sort(flat)  # NaN comes last
        count = (~xp.isnan(flat)).sum() if flat.dtype.kind == "f" else xp.asarray(flat.size)
        y = ordered[xp.maximum(count - 1, 0) // 2]
        ctx.dims, ctx.kept = tuple(range(x.data.ndim)), (1,) * x.data.ndim
        ctx.save_for_backward(x, y)
        return y


@extended
@local
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """``median`` of what is not NaN: of all, or along ``dim`` with its index."""
    need_tensor("nanmedian", input)
    if dim is None:
        return NanMedian.apply(input) if input.data.size else input.new_full((), math.nan)
    dim = canonical_dim(dim, input.data.ndim)
    need_size("median", input, dim)
    order = argsort(input, dim)
    if not order.data.ndim:
        return ValuesAndIndices(gather(input, dim, order), order)
    middle = clamp(sum(logical_not(isnan(input)), dim, True) - 1, min=0) // 2
    return taken(input, dim, gather(order, dim, middle), keepdim)
