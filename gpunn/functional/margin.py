"""Losses that ask for a margin: between classes, between pairs, between distances."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.dtype import in_use
from gpunn.functional.activation import logsigmoid
from gpunn.functional.distance import pairwise_distance
from gpunn.functional.linear import one_hot
from gpunn.functional.loss import need_tensors, reduced, reduction_of, refuse_gradient
from gpunn.ops.choice import clamp_min, minimum, where
from gpunn.ops.common import check_all, dtype_of
from gpunn.ops.gathering import gather
from gpunn.ops.pointwise import Masked, exp, log1p, sqrt
from gpunn.ops.precision import cast_for

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """x where the target is 1, max(0, margin - x) where it is -1."""
    if in_use:
        input, target = cast_for("hinge_embedding_loss", input, target)
    need_tensors("hinge_embedding_loss", input, target)
    far = where(target != 1, clamp_min(margin - input, 0), 0.0)
    near = where(target != -1, input, 0.0)
    return reduced(far + near, reduction_of(size_average, reduce, reduction))


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + exp(-target x)), targets being 1 or -1."""
    if in_use:
        input, target = cast_for("soft_margin_loss", input, target)
    need_tensors("soft_margin_loss", input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    refuse_gradient("soft_margin_loss", "target", target)
    return reduced(log1p(exp(-target * input)), reduction)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -target (x1 - x2) + margin): the target 1 ranks x1 higher, -1 x2."""
    if in_use:
        input1, input2, target = cast_for("margin_ranking_loss", input1, input2, target)
    if not input1.data.ndim == input2.data.ndim == target.data.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    loss = clamp_min(-target * (input1 - input2) + margin, 0)
    return reduced(loss, reduction_of(size_average, reduce, reduction))


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos(x1, x2) where the target is 1, max(0, cos(x1, x2) - margin) where it is -1.

    Vectors ``(D)`` with a 0-d target, or ``(N, D)`` with ``(N)``.
    """
    if in_use:
        input1, input2, target = cast_for("cosine_embedding_loss", input1, input2, target)
    if target.data.ndim not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if target.data.ndim + 1 != input1.data.ndim or input2.data.ndim != input1.data.ndim:
        kind, wanted = ("1D", "2D") if target.data.ndim else ("0D", "1D")
        raise RuntimeError(
            f"{kind} target tensor expects {wanted} input tensors, but found inputs with sizes "
            f"{list(input1.data.shape)} and {list(input2.data.shape)}."
        )
    tiny = 1e-12  # as PyTorch has it here
    square1, square2 = ((x * x).sum(-1) + tiny for x in (input1, input2))
    cosine = (input1 * input2).sum(-1) / sqrt(square1 * square2)
    near = where(target == 1, 1 - cosine, cosine * 0)
    far = where(target == -1, clamp_min(cosine - margin, 0), cosine * 0)
    return reduced(near + far, reduction_of(size_average, reduce, reduction))


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Σ_j≠t weight[t] max(0, margin - x[t] + x[j])^p / C of scores (N, C) or (C), classes t."""
    if in_use:
        input, target, weight = cast_for("multi_margin_loss", input, target, weight)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None:
        if weight.data.ndim != 1:
            raise ValueError("weight must be one-dimensional")
        refuse_gradient("multi_margin_loss", "weight", weight)
    if input.data.ndim not in (1, 2) or (input.data.ndim == 2 and not input.data.shape[1]):
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(input.data.shape)}"
        )
    scores = input.reshape(-1, input.data.shape[-1])
    rows, classes = scores.data.shape
    t = target.reshape(-1)
    if t.data.size != rows:
        raise RuntimeError(
            f"inconsistent target size, expected {rows} but got {list(target.data.shape)}"
        )
    right = gather(scores, 1, t.reshape(-1, 1))
    missing = clamp_min(margin - right + scores, 0)
    missing = missing if p == 1 else missing * missing
    if weight is not None:
        missing = missing * weight[t].reshape(-1, 1)
    others = Masked.apply(missing, one_hot(t, classes) == 0)
    loss = others.sum(1) / classes
    if not target.data.ndim:
        loss = loss.reshape(())
    return reduced(loss, reduction_of(size_average, reduce, reduction))


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Σ max(0, 1 - (x[t] - x[j])) / C over a row's classes t (up to its first -1) and the rest j.

    Scores and targets (int64) ``(N, C)`` or ``(C)``.
    """
    if in_use:
        input, target = cast_for("multilabel_margin_loss", input, target)
    if input.data.shape != target.data.shape:
        raise RuntimeError(
            f"inconsistent target size: {list(target.data.shape)} for input of size: "
            f"{list(input.data.shape)}"
        )
    if target.data.dtype != numpy.int64:
        raise RuntimeError(f"expected scalar type Long but found {dtype_of(target).title}")
    classes = input.data.shape[-1] if input.data.ndim else 1
    check_all(
        "multilabel_margin_loss",
        target,
        lambda t: (t >= -1) & (t < classes),
        "argument #2 'target' is out of range",
    )
    x, t = input.reshape(-1, classes), target.reshape(-1, classes)
    listed = (t < 0).long().cumsum(1) == 0
    places = where(listed, t, 0)
    wanted = (one_hot(places, classes) * listed.long().unsqueeze(2)).sum(1) > 0
    chosen = gather(x, 1, places)
    gap = clamp_min(1 - chosen.unsqueeze(2) + x.unsqueeze(1), 0)  # (N, t, j)
    counted = listed.unsqueeze(2) & ~wanted.unsqueeze(1)
    loss = Masked.apply(gap, counted).sum((1, 2)) / classes
    if input.data.ndim < 2:
        loss = loss.reshape(())
    return reduced(loss, reduction_of(size_average, reduce, reduction))


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over the last dimension of -w (t log σ(x) + (1 - t) log σ(-x))."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    reduction = reduction_of(size_average, reduce, reduction)
    if not input.data.ndim:
        raise IndexError("Dimension specified as -1 but tensor has no dimensions")
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    return reduced((loss if weight is None else loss * weight).mean(-1), reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-06,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d the p-norm's distance.

    ``swap``: the negative's distance is the lesser of those from anchor and from positive.
    """
    if in_use:
        anchor, positive, negative = cast_for("triplet_margin_loss", anchor, positive, negative)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=distance,
        margin=margin,
        swap=swap,
        reduction=reduction_of(size_average, reduce, reduction),
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """``triplet_margin_loss`` with a distance of one's own (``pairwise_distance`` unless given)."""
    reduction = reduction_of(None, None, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    dims = [x.data.ndim for x in (anchor, positive, negative)]
    if len(set(dims)) > 1:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {dims[0]}D, positive {dims[1]}D, and negative {dims[2]}D "
            "inputs"
        )
    distance = distance_function or pairwise_distance
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced(clamp_min(near - far + margin, 0), reduction)
