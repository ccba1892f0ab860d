"""Distances and similarities of vectors, and vectors made of length one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy

from gpunn.dtype import FLOATING, in_use
from gpunn.ops.choice import clamp_min
from gpunn.ops.common import canonical_dim, need_tensor, result_type
from gpunn.ops.precision import cast_for
from gpunn.ops.reduction import norm
from gpunn.ops.shape import expand_as

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-06, keepdim: bool = False
) -> Tensor:
    """``|x1 - x2 + eps|_p`` over the last dimension, the others broadcasting."""
    for name, x, position in (("x1", x1, 1), ("x2", x2, 2)):
        need_tensor("pairwise_distance", x, name, position)
    return norm(x1 - x2 + eps, p, -1, keepdim)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-08) -> Tensor:
    """x1 · x2 / (max(|x1|, eps) max(|x2|, eps)) along ``dim``; both broadcast."""
    if in_use:
        x1, x2 = cast_for("cosine_similarity", x1, x2)
    for name, x, position in (("x1", x1, 1), ("x2", x2, 2)):
        need_tensor("cosine_similarity", x, name, position)
    kind = result_type(x1, x2)
    if not kind.is_floating_point:
        raise RuntimeError(
            f"expected common dtype to be floating point, yet common dtype is {kind.title}"
        )
    x1, x2 = x1.to(kind), x2.to(kind)
    product = x1 * x2
    dim = canonical_dim(dim, product.data.ndim)
    units = [x / clamp_min(norm(expand_as(x, product), 2, dim, True), eps) for x in (x1, x2)]
    return (units[0] * units[1]).sum(dim)


def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """``x / max(|x|_p, eps)`` along ``dim``."""
    if in_use:
        (input,) = cast_for("normalize", input)
    y = input / expand_as(clamp_min(norm(input, p, dim, True), eps), input)
    return y if out is None else out.copy_(y)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The distances between the rows of a matrix: (0, 1), (0, 2), ..., (1, 2), ..."""
    if in_use:
        (input,) = cast_for("pdist", input)
    if input.data.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.data.ndim}D")
    if input.data.dtype.kind not in FLOATING:
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    rows, columns = numpy.triu_indices(input.data.shape[0], 1)
    return norm(input[rows] - input[columns], p, -1)
