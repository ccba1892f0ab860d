"""Losses over numbers and probabilities, each as one number or one for each element."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array, recording
from gpunn.dtype import FLOATING, accumulator, in_use
from gpunn.functional.activation import logsigmoid
from gpunn.ops.choice import clamp, where
from gpunn.ops.common import (
    Op,
    Pointwise,
    check_all,
    dtype_of,
    need_tensor,
    not_implemented,
    operands,
    xp_of,
)
from gpunn.ops.pointwise import Masked, abs, exp, log, log1p, square
from gpunn.ops.precision import cast_for
from gpunn.ops.rearrange import broadcast_tensors
from gpunn.ranges import broadcast_shapes

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

_REDUCTIONS = ("none", "mean", "sum")


def reduction_of(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction asked for, be it in the old arguments. ValueError if it is none."""
    if size_average is not None or reduce is not None:
        mean_or_sum = "sum" if size_average is False else "mean"
        reduction = "none" if reduce is False else mean_or_sum
        warnings.warn(
            "size_average and reduce args will be deprecated, please use "
            f"reduction='{reduction}' instead.",
            UserWarning,
            stacklevel=3,
        )
    if reduction not in _REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def need_tensors(name: str, input: object, target: object) -> None:
    """Raise TypeError unless both are tensors: a list or a NumPy array has to be made one."""
    need_tensor(name, input)
    need_tensor(name, target, "target", 2)


def refuse_gradient(function: str, argument: str, value: Tensor | None) -> None:
    """Raise RuntimeError where ``value`` would need a gradient that PyTorch does not have."""
    if recording(value):
        raise RuntimeError(
            f"The function '{function}' is not differentiable with respect to argument "
            f"'{argument}'. This input cannot have requires_grad True."
        )


def _need_room(result: Tensor, given: Tensor) -> None:
    """Refuse what PyTorch, writing floats over a tensor of ints, refuses."""
    if result.data.dtype.kind in FLOATING and given.data.dtype.kind not in FLOATING:
        raise RuntimeError(
            f"result type {dtype_of(result).title} can't be cast to the desired output type "
            f"{dtype_of(given).title}"
        )


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """``loss`` itself, its mean or its sum."""
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


def total_of(y: Array) -> Array:
    """The sum of all elements; of float16 in float32."""
    return y.sum(dtype=accumulator(y.dtype))


# Numbers --------------------------------------------------------------------------------------


def _of_one_size(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both broadcast, with a warning where their shapes differ; then each counts for the dtype."""
    if input.data.shape == target.data.shape:
        return input, target
    warnings.warn(
        f"Using a target size ({target.shape}) that is different to the input size "
        f"({input.shape}). This will likely lead to incorrect results due to broadcasting. "
        "Please ensure they have the same size.",
        UserWarning,
        stacklevel=3,
    )
    one, other = broadcast_tensors(input, target)
    return one, other


def _averaged(loss: Tensor, weight: Tensor | None, reduction: str, over_weights: bool) -> Tensor:
    """``loss`` times ``weight``, reduced; the mean may be over the weights' sum."""
    if weight is None:
        return reduced(loss, reduction)
    if weight.data.shape != loss.data.shape:
        raise ValueError("Weights and input must have the same size.")
    if reduction == "mean" and over_weights:
        return (loss * weight).sum() / weight.sum()
    return reduced(loss * weight, reduction)


class MseLoss(Pointwise):
    """(x - target)² and its reduction in one: the commonest of regressions."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, target: Tensor, reduction: str) -> Array:
        ctx.reduction = reduction
        ctx.save_for_backward(x, target)
        (a, b), xp = operands(x, target)
        if a.dtype.kind not in FLOATING:
            raise not_implemented("mse", a)
        y = a - b
        y = y * y
        if reduction == "none":
            return y
        total = total_of(y)
        return xp.asarray(total / y.size if reduction == "mean" else total).astype(y.dtype)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, target = ctx.saved_tensors
        error = x - target
        count = error.data.size if ctx.reduction == "mean" else 1
        dx = error * (dy * (2 / count if count else 0.0))
        return dx, -dx if ctx.needs_input_grad[1] else None, None


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The squared error (input - target)². Shapes that differ broadcast, with a warning.

    ``weight``, of the same shape, multiplies it; the mean then divides by the sum of the weights.
    """
    need_tensors("mse_loss", input, target)
    if in_use:
        input, target, weight = cast_for("mse_loss", input, target, weight)
    reduction = reduction_of(size_average, reduce, reduction)
    input, target = _of_one_size(input, target)
    if weight is None:
        return MseLoss.apply(input, target, reduction)
    return _averaged(square(input - target), weight, reduction, over_weights=True)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The absolute error |input - target|, whose gradient is 0 where they are equal.

    Shapes that differ broadcast, with a warning. ``weight`` as in ``mse_loss``.
    """
    need_tensors("l1_loss", input, target)
    if in_use:
        input, target, weight = cast_for("l1_loss", input, target, weight)
    reduction = reduction_of(size_average, reduce, reduction)
    input, target = _of_one_size(input, target)
    return _averaged(abs(input - target), weight, reduction, over_weights=True)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """With e = |input - target|: e² / (2 beta) below beta, e - beta / 2 above (Girshick, 2015).

    Shapes that differ broadcast, with a warning. RuntimeError for a negative ``beta``; 0 gives
    ``l1_loss``.
    """
    need_tensors("smooth_l1_loss", input, target)
    if in_use:
        input, target = cast_for("smooth_l1_loss", input, target)
    reduction = reduction_of(size_average, reduce, reduction)
    input, target = _of_one_size(input, target)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    error = input - target
    size = abs(error)
    if beta:  # the square of the error itself: that of its size has no second derivative at 0
        far = size.detach() >= beta
        squares = square(Masked.apply(error, ~far))  # finite also where they are not taken
        size = where(far, size - 0.5 * beta, squares * (0.5 / beta))
    return reduced(size, reduction)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """With e = |input - target|: e² / 2 up to delta, delta (e - delta / 2) above (Huber, 1964).

    Shapes that differ broadcast, with a warning. ``weight``, of the same shape, multiplies it; the
    mean is over all elements. RuntimeError unless ``delta`` is positive.
    """
    need_tensors("huber_loss", input, target)
    if in_use:
        input, target, weight = cast_for("huber_loss", input, target, weight)
    reduction = reduction_of(None, None, reduction)
    input, target = _of_one_size(input, target)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    error = input - target
    _need_room(error, input)
    size = abs(error)
    far = size.detach() >= delta
    squares = square(Masked.apply(error, ~far))  # finite also where they are not taken
    loss = where(far, (size - 0.5 * delta) * delta, squares * 0.5).to(input.dtype)
    return _averaged(loss, weight, reduction, over_weights=False)


# Probabilities --------------------------------------------------------------------------------


def _weighted(loss: Tensor, weight: Tensor | None) -> Tensor:
    """``loss`` times ``weight``, which broadcasts to it, but not it to ``weight``."""
    if weight is None:
        return loss
    made = loss * weight
    if made.data.shape != loss.data.shape:
        raise RuntimeError(
            f"output with shape {list(loss.data.shape)} doesn't match the broadcast shape "
            f"{list(made.data.shape)}"
        )
    return made


class BinaryCrossEntropy(Op):
    """-(t log x + (1 - t) log(1 - x)), both logarithms at least -100."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, target: Tensor) -> Array:
        ctx.save_for_backward(x, target)
        xp, p, t = xp_of(x), x.data, target.data
        return (t - 1) * xp.maximum(xp.log1p(-p), -100) - t * xp.maximum(xp.log(p), -100)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, t = ctx.saved_tensors
        need_x, need_t = ctx.needs_input_grad
        return (
            dy * (x - t) / clamp(x * (1 - x), min=1e-12) if need_x else None,
            dy * (log1p(-x) - log(x)) if need_t else None,
        )


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-w (t log p + (1 - t) log(1 - p))`` of probabilities p = ``input`` and t = ``target``.

    The logarithms are cut off at -100, so that no loss is infinite. ``weight`` broadcasts.
    Raises ValueError for shapes that differ, RuntimeError for values outside [0, 1].
    """
    need_tensors("binary_cross_entropy", input, target)
    if in_use:
        input, target, weight = cast_for("binary_cross_entropy", input, target, weight)
    reduction = reduction_of(size_average, reduce, reduction)
    if input.data.shape != target.data.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is deprecated. Please ensure they have the same size."
        )
    if input.data.dtype != target.data.dtype:
        titles = [dtype_of(x).title for x in (target, input)]
        raise RuntimeError(f"Found dtype {titles[0]} but expected {titles[1]}")
    for name, x in (("input", input), ("target", target)):
        text = f"all elements of {name} should be between 0 and 1"
        check_all("binary_cross_entropy", x, lambda x: (x >= 0) & (x <= 1), text)
    refuse_gradient("binary_cross_entropy", "weight", weight)
    loss = BinaryCrossEntropy.apply(input, target)
    if weight is not None:
        weight = weight.expand(broadcast_shapes(target.shape, weight.shape))
    return reduced(_weighted(loss, weight), reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """``binary_cross_entropy`` of p = sigmoid(``input``), computed so that nothing overflows.

    ``-w (pos_weight t log p + (1 - t) log(1 - p))``; both weights broadcast. Raises ValueError for
    shapes that differ.
    """
    need_tensors("binary_cross_entropy_with_logits", input, target)
    if in_use:
        input, target, weight, pos_weight = cast_for(
            "binary_cross_entropy_with_logits", input, target, weight, pos_weight
        )
    reduction = reduction_of(size_average, reduce, reduction)
    if input.data.shape != target.data.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    refuse_gradient("binary_cross_entropy_with_logits", "weight", weight)
    refuse_gradient("binary_cross_entropy_with_logits", "pos_weight", pos_weight)
    log_p, rest = logsigmoid(input), 1 - target
    _need_room(log_p, target)
    if pos_weight is not None:
        log_p = log_p * ((pos_weight - 1) * target + 1)
    loss = (rest * input - log_p).to(target.dtype)
    return reduced(_weighted(loss, weight), reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """The divergence t (log t - input) of log-probabilities ``input`` from probabilities t.

    ``log_target``: ``target`` holds log t. ``reduction``: beside "none", "sum" and "mean" (over
    all elements, with a warning) "batchmean", the divergence of one distribution on average.
    """
    need_tensors("kl_div", input, target)
    if in_use:
        input, target = cast_for("kl_div", input, target)
    batchmean = reduction == "batchmean"
    if not batchmean:
        reduction = reduction_of(size_average, reduce, reduction)
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition.",
            UserWarning,
            stacklevel=2,
        )
    if input.data.dtype.kind not in FLOATING or target.data.dtype.kind not in FLOATING:
        raise RuntimeError("kl_div: Integral inputs not supported.")
    if log_target:
        loss = exp(target) * (target - input)
    else:  # 0 log 0 is 0
        loss = target * log(where(target.eq(0), 1.0, target)) - target * input
    if batchmean:
        return loss.sum() / float(input.data.shape[0]) if input.data.ndim else loss.sum()
    return reduced(loss, reduction)
