"""Reductions over dimensions: sums, products, variance, norms, running sums."""

from __future__ import annotations

import builtins
import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Array, wrap
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING, accumulator, as_dtype, dtype, get_default_dtype, in_use
from gpunn.ops.calling import extended
from gpunn.ops.choice import where
from gpunn.ops.common import (
    Op,
    Pointwise,
    canonical_dim,
    canonical_dims,
    dtype_of,
    local,
    need_tensor,
    xp_of,
)
from gpunn.ops.conversion import in_wide
from gpunn.ops.joining import flip, stack
from gpunn.ops.pointwise import exp, log
from gpunn.ops.precision import cast_for
from gpunn.ops.shape import Expand, Reshape

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Dims = int | Sequence[int] | None
_FEW = 2**15  # elements, of which a plain call is the fastest sum


class Sum(Op, widens=False):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dims: tuple[int, ...], keepdim: bool, wide: Any = None
    ) -> Array:
        data = x._data
        ctx.shape, ctx.dims = data.shape, dims
        if accumulator(data.dtype) is not data.dtype:  # as PyTorch: rounded once
            return data.astype("f4").sum(dims, keepdims=keepdim).astype(data.dtype)
        narrow = data.dtype.kind in FLOATING and (wide is None or wide == data.dtype)
        if narrow and data.size > _FEW:
            y = type2backend[type(data)].sum_over(data, dims)
            return y if keepdim else y.reshape([n for d, n in enumerate(y.shape) if d not in dims])
        return data.sum(dims, dtype=wide or _wide(data), keepdims=keepdim)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        if dy._data.ndim:  # a number broadcasts as it is
            dy = Reshape.apply(dy, _kept(ctx.shape, ctx.dims))
        return Expand.apply(dy, ctx.shape), None, None, None


class Prod(Op):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dims: tuple[int, ...], keepdim: bool, wide: Any = None
    ) -> Array:
        ctx.dims = dims
        ctx.save_for_backward(x)
        return x.data.prod(dims, dtype=wide or _wide(x.data), keepdims=keepdim)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        # The product of the others: what is left of each element times what is right of it,
        # exact where elements are zero.
        (x,) = ctx.saved_tensors
        kept = _kept(x.data.shape, ctx.dims)
        dy = Reshape.apply(dy, kept)
        order = [d for d in range(x.data.ndim) if d not in ctx.dims] + list(ctx.dims)
        shape = [x.data.shape[d] for d in order]
        kept_dims = shape[: len(order) - len(ctx.dims)]
        count = math.prod(shape[len(kept_dims) :])  # -1 would be ambiguous where it is empty
        flat = x.permute(order).reshape(*kept_dims, count)
        others = _exclusive_product(flat) * flip(_exclusive_product(flip(flat, -1)), -1)
        others = others.reshape(shape)
        inverse = sorted(range(len(order)), key=order.__getitem__)
        return dy * others.permute(inverse), None, None, None


def _exclusive_product(x: Tensor) -> Tensor:
    """Along the last dimension, the product of all elements before each one."""
    columns = x.unbind(-1)
    running = [x.new_ones(x.data.shape[:-1])] if columns else []
    for column in columns[:-1]:
        running.append(running[-1] * column)
    return stack(running, -1) if running else x


class Extremum(Op):
    """amax and amin: elements that tie for it share the gradient evenly."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *args: Any) -> Array:
        dims, keepdim, name = args
        y = getattr(x.data, name)(dims, keepdims=keepdim)
        ctx.kept, ctx.dims = _kept(x.data.shape, dims), dims
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, y = ctx.saved_tensors
        hit = (x == Reshape.apply(y, ctx.kept)).to(dy.dtype)
        share = (hit / hit.sum(ctx.dims, True)).detach()
        return Reshape.apply(dy, ctx.kept) * share, None, None, None


class Std(Pointwise):
    """√x; where that is 0, the gradient is 0, not infinite."""

    @staticmethod
    def forward(ctx: Any, variance: Tensor) -> Array:
        y = xp_of(variance).sqrt(variance.data)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return dy / where(y == 0, math.inf, 2 * y)


class Cumsum(Op):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int, wide: Any = None) -> Array:
        ctx.dim = dim
        wide = wide or _wide(x.data)
        if not x.data.ndim:
            return x.data.astype(wide)
        return x.data.cumsum(dim, dtype=wide)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        if not dy.data.ndim:
            return dy, None, None
        return flip(Cumsum.apply(flip(dy, ctx.dim), ctx.dim), ctx.dim), None, None


def _kept(shape: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if d in dims else n for d, n in enumerate(shape))


def _wide(data: Array) -> Any:
    """The dtype in which ``data`` is added up or multiplied: int64 for integers and bools."""
    return data.dtype if data.dtype.kind in FLOATING else numpy.int64


def _cast(name: str, x: Tensor, to: dtype | None) -> Tensor:
    if to is not None:
        return x.to(as_dtype(to))
    return cast_for(name, x)[0] if in_use else x


def _need_float(name: str, x: Tensor) -> None:
    if x.data.dtype.kind not in FLOATING:
        raise RuntimeError(
            f"{name}(): could not infer output dtype. Input dtype must be either a floating point "
            f"or complex dtype. Got: {dtype_of(x).title}"
        )


@extended
def sum(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dtype | None = None
) -> Tensor:
    """The sum over ``dim`` (None: all). Integers and bools sum to int64."""
    need_tensor("sum", input)
    input = _cast("sum", input, dtype)
    wide = None if dtype is None else input.data.dtype
    return Sum.apply(input, canonical_dims(dim, input.data.ndim), keepdim, wide)


@extended
def mean(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dtype | None = None
) -> Tensor:
    """The mean over ``dim`` (None: all). Integers raise RuntimeError; of nothing it is NaN."""
    need_tensor("mean", input)
    input = _cast("mean", input, dtype)
    _need_float("mean", input)
    dims = canonical_dims(dim, input.data.ndim)
    if accumulator(input.data.dtype) is not input.data.dtype:
        return _wide_mean(input, dims, keepdim)
    count = math.prod(input.data.shape[d] for d in dims)
    return Sum.apply(input, dims, keepdim) / float(count)


@extended
def prod(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: dtype | None = None
) -> Tensor:
    """The product over ``dim`` (None: all). The gradient is exact where factors are zero."""
    need_tensor("prod", input)
    input = _cast("prod", input, dtype)
    wide = None if dtype is None else input.data.dtype
    dims = canonical_dims(None if dim is None else (dim,), input.data.ndim)
    return Prod.apply(input, dims, keepdim, wide)


@extended
def var(
    input: Tensor,
    dim: Dims | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The variance Σ(x - mean)² / (n - correction); correction 1 unless given."""
    need_tensor("var", input)
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if input.data.dtype.kind not in FLOATING:
        raise RuntimeError("std and var only support floating point and complex dtypes")
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    dims = canonical_dims(dim, input.data.ndim)
    count = math.prod(input.data.shape[d] for d in dims)
    if count <= correction and input.data.size:
        warnings.warn(
            "var(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "reduction factor (input numel divided by output numel).",
            stacklevel=3,
        )
    return _var(input, dims, keepdim, float(builtins.max(count - correction, 0)))


# Sums of 16-bit floats may be beyond them, though their mean is not.


@in_wide
def _wide_mean(x: Tensor, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    return mean(x, dims, keepdim) if dims else x


@in_wide
def _var(x: Tensor, dims: tuple[int, ...], keepdim: bool, freedom: float) -> Tensor:
    apart = x - mean(x, dims, True)
    total = Sum.apply(apart * apart, dims if x.data.ndim else (), keepdim)
    return total / freedom


@extended
def std(
    input: Tensor,
    dim: Dims | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The square root of ``var``; where nothing differs, the gradient is 0."""
    need_tensor("std", input)
    wide = input.to(as_dtype(accumulator(input.data.dtype)))
    return Std.apply(var(wide, dim, unbiased, keepdim, correction=correction)).to(input.dtype)


@extended
def amax(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The largest element over ``dim`` (None: all); ties share the gradient evenly."""
    return _extremum(input, dim, keepdim, "amax", "max")


@extended
def amin(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The smallest element over ``dim`` (None: all); ties share the gradient evenly."""
    return _extremum(input, dim, keepdim, "amin", "min")


def _extremum(input: Tensor, dim: Dims, keepdim: bool, name: str, method: str) -> Tensor:
    dims = canonical_dims(dim, input.data.ndim)
    if builtins.any(input.data.shape[d] == 0 for d in dims):
        if dim is None or dim == ():
            raise RuntimeError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. "
                "Specify the reduction dim with the 'dim' argument."
            )
        empty = next(d for d in dims if input.data.shape[d] == 0)
        raise IndexError(f"{name}(): Expected reduction dim {empty} to have non-zero size.")
    return Extremum.apply(input, dims, keepdim, method)


@extended
def all(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether all elements over ``dim`` are not 0 (bool; uint8 of uint8)."""
    return _logical(input, dim, keepdim, "all")


@extended
def any(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether any element over ``dim`` is not 0 (bool; uint8 of uint8)."""
    return _logical(input, dim, keepdim, "any")


@local
def _logical(input: Tensor, dim: Dims, keepdim: bool, name: str) -> Tensor:
    data = input.data
    dims = () if isinstance(dim, (tuple, list)) and not dim else canonical_dims(dim, data.ndim)
    result = getattr(data, name)(dims, keepdims=keepdim)
    kind = numpy.uint8 if data.dtype == numpy.uint8 else numpy.bool_
    return wrap(xp_of(input).asarray(result, kind))


@extended
def count_nonzero(input: Tensor, dim: Dims = None) -> Tensor:
    """How many elements over ``dim`` are not 0 (int64)."""
    return sum(input != 0, dim)


@extended
def cumsum(input: Tensor, dim: int, *, dtype: dtype | None = None) -> Tensor:
    """The running sum along ``dim``."""
    input = _cast("cumsum", input, dtype)
    wide = None if dtype is None else input.data.dtype
    return Cumsum.apply(input, canonical_dim(dim, input.data.ndim), wide)


@extended
def cumprod(input: Tensor, dim: int, *, dtype: dtype | None = None) -> Tensor:
    """The running product along ``dim``; its gradient, exact at zeros, is that of a loop."""
    input = _cast("cumprod", input, dtype)
    dim = canonical_dim(dim, input.data.ndim)
    if not input.data.size:
        return input.clone()
    if input.data.dtype.kind not in FLOATING and dtype is None:
        input = input.to(as_dtype("int64"))
    running: list[Tensor] = []
    input = input.clone()  # of which the pieces are views: `cumprod_` writes into the original
    for x in input.unbind(dim) if input.data.ndim else (input,):
        running.append(running[-1] * x if running else x)
    return stack(running, dim) if input.data.ndim else running[0].clone()


@extended
def logsumexp(input: Tensor, dim: int | Sequence[int], keepdim: bool = False) -> Tensor:
    """log Σ exp(x) over ``dim``, shifted by the maximum so that nothing overflows."""
    if in_use:
        (input,) = cast_for("logsumexp", input)
    dims = canonical_dims(dim, input.data.ndim)
    if input.data.dtype.kind not in FLOATING:
        input = input.to(get_default_dtype())
    if math.prod(input.data.shape[d] for d in dims):
        top = amax(input.detach(), dims, True)
        top = where(top.isfinite(), top, 0.0)
        result = log(sum(exp(input - top), dims, True)) + top
    else:
        result = log(sum(exp(input), dims, True))
    if keepdim:
        return result
    return Reshape.apply(result, tuple(n for d, n in enumerate(result.data.shape) if d not in dims))


@extended
def norm(input: Tensor, p: float | str = "fro", dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The p-norm (Σ|x|ᵖ)^(1/p) over ``dim``; "fro" is 2, inf the largest |x|, 0 counts."""
    need_tensor("norm", input)
    if in_use:
        (input,) = cast_for("norm", input)
    if input.data.dtype.kind not in FLOATING:
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. "
            f"Got {dtype_of(input).title}"
        )
    if p in ("fro", 2, 2.0):
        return _Norm2.apply(input, canonical_dims(dim, input.data.ndim), keepdim)
    size = input.abs()
    if p == math.inf:
        return amax(size, dim, keepdim)
    if p == -math.inf:
        return amin(size, dim, keepdim)
    if p == 0:
        return sum((input != 0).to(input.dtype), dim, keepdim)
    if p == 1:
        return sum(size, dim, keepdim)
    if isinstance(p, str):
        raise RuntimeError(f"norm: expected a number, 'fro' or inf for p, got {p!r}")
    return sum(size**p, dim, keepdim) ** (1 / p)


class _Norm2(Op):
    """The 2-norm, whose gradient at 0 is 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...], keepdim: bool) -> Array:
        ctx.kept = _kept(x.data.shape, dims)
        wide = x.data.astype(accumulator(x.data.dtype), copy=False)  # for squares beyond 16 bits
        y = xp_of(x).sqrt((wide * wide).sum(dims, keepdims=keepdim))
        y = xp_of(x).asarray(y, x.data.dtype)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, y = ctx.saved_tensors
        y = Reshape.apply(y, ctx.kept)
        return (
            Reshape.apply(dy, ctx.kept) * where(y == 0, 0.0, x / where(y == 0, 1.0, y)),
            None,
            None,
        )
