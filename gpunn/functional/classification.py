"""Cross-entropy: the losses of classifiers, over class indices or class probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy

from gpunn.autograd.variable import Array, recording, wrap
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING, in_use
from gpunn.functional.loss import need_tensors, reduced, reduction_of, refuse_gradient, total_of
from gpunn.ops.common import Op, dtype_of, not_implemented, xp_of
from gpunn.ops.pointwise import Masked
from gpunn.ops.precision import cast_for
from gpunn.ops.reduction import sum
from gpunn.ops.softmax import LogSoftmax, LogSoftmaxInput, log_softmax

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class _Choice(NamedTuple):
    """Which elements of the input the targets stand for, and what each counts."""

    places: tuple[Array, ...]
    kept: Array | None  # a mask; None if no target is ignored
    weight: Array | None  # None: each counts 1
    total: Any  # the sum of the weights of the targets kept


def _classes(x: Tensor, target: Tensor, ignore_index: int) -> Array:
    """The targets, int64, in the shape of ``x`` without its classes.

    Raises IndexError for a class that is not there, on a device where the host waits for it.
    """
    data, dim = x.data, _class_dim(x)
    classes = xp_of(x).asarray(target.data, numpy.int64)
    classes = classes.reshape(data.shape[:dim] + data.shape[dim + 1 :])
    type2backend[type(data)].check_indices(
        "cross_entropy",
        classes,
        0,
        data.shape[dim],
        "Target {value} is out of bounds.",
        ignored=ignore_index,
    )
    return classes


def _choose(x: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int) -> _Choice:
    """The choice of checked shapes; raises as ``_classes``."""
    xp, data, dim = xp_of(x), x.data, _class_dim(x)
    classes = _classes(x, target, ignore_index)
    kept = classes != ignore_index
    # On a device, to ask would be to wait for it.
    whole = type(kept) is numpy.ndarray and bool(kept.all())
    if not whole:
        classes = xp.where(kept, classes, 0)
    counts = None if weight is None else weight.data[classes]
    if not whole:
        counts = kept.astype(data.dtype) if counts is None else xp.where(kept, counts, 0)
    grid = [
        xp.arange(n).reshape((n,) + (1,) * (classes.ndim - 1 - d))
        for d, n in enumerate(classes.shape)
    ]
    return _Choice(
        places=(*grid[:dim], classes, *grid[dim:]),
        kept=None if whole else kept,
        weight=counts,
        total=float(classes.size) if counts is None else total_of(counts),
    )


def _class_dim(x: Tensor) -> int:
    return 1 if x.data.ndim > 1 else 0


def _forward(y: Array, choice: _Choice, reduction: str, xp: Any) -> Array:
    """-Σ w y[target], divided by Σ w for the mean."""
    loss = -y[choice.places]
    if choice.weight is not None:
        loss = loss * choice.weight
    if choice.kept is not None:  # also where y is infinite
        loss = xp.where(choice.kept, loss, 0)
    if reduction == "none":
        return loss.astype(y.dtype)
    total = total_of(loss)
    return xp.asarray(total / choice.total if reduction == "mean" else total).astype(y.dtype)


def _shares(dy: Array, choice: _Choice, reduction: str, xp: Any) -> Array:
    """What of ``dy`` comes to each target; a single number where that is the same for all."""
    shares = dy / choice.total if reduction == "mean" else dy
    if choice.weight is not None:
        shares = shares * choice.weight
    return xp.asarray(shares if choice.kept is None else xp.where(choice.kept, shares, 0))


class Nll(Op):
    """-Σ w x[target], linear in x."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, target: Tensor, weight: Tensor | None, ignore: int, reduction: str
    ) -> Array:
        ctx.args = target, weight, ignore, reduction
        ctx.shape, ctx.choice = x.data.shape, _choose(x, target, weight, ignore)
        return _forward(x.data, ctx.choice, reduction, xp_of(x))

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        dx = NllInput.apply(dy, ctx.shape, ctx.choice, ctx.args)
        return dx, None, None, None, None


class NllInput(Op):
    """The adjoint of ``Nll``; its own adjoint is ``Nll`` again."""

    @staticmethod
    def forward(
        ctx: Any, dy: Tensor, shape: tuple[int, ...], choice: _Choice, args: tuple[Any, ...]
    ) -> Array:
        ctx.args, xp = args, xp_of(dy)
        dx = xp.zeros(shape, dy.data.dtype)
        dx[choice.places] = _shares(-dy.data, choice, args[-1], xp)
        return dx

    @staticmethod
    def backward(ctx: Any, ddx: Tensor) -> tuple[Tensor | None, ...]:
        return Nll.apply(ddx, *ctx.args), None, None, None


class CrossEntropy(Op):
    """``Nll`` of the log-softmax, whose gradient w (softmax - onehot) needs no pass of its own."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, target: Tensor, weight: Tensor | None, ignore: int, reduction: str
    ) -> Array:
        y = type2backend[type(x.data)].log_softmax(x.data, _class_dim(x))
        ctx.args = target, weight, ignore, reduction
        ctx.choice = _choose(x, target, weight, ignore)
        ctx.save_for_backward(x, y)
        return _forward(y, ctx.choice, reduction, xp_of(x))

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, y = ctx.saved_tensors
        if recording(x, dy):  # in steps that can be differentiated
            dim = _class_dim(x)
            dlog = NllInput.apply(dy, x.data.shape, ctx.choice, ctx.args)
            dx = LogSoftmaxInput.apply(dlog, LogSoftmax.apply(x, dim), dim)
        else:
            dx = CrossEntropyInput.apply(dy, y, ctx.choice, ctx.args[-1])
        return dx, None, None, None, None


class CrossEntropyInput(Op):
    """dx = dy w (softmax - onehot), where nothing is recorded."""

    @staticmethod
    def forward(ctx: Any, dy: Tensor, y: Tensor, choice: _Choice, reduction: str) -> Array:
        shares = _shares(dy.data, choice, reduction, xp_of(y))
        backend = type2backend[type(y.data)]
        return backend.cross_entropy_input(y.data, choice.places, shares, _class_dim(y))


class TotalCrossEntropy(Op):
    """The sum or mean, on backends that find its gradient in the same pass, but for the factor dy.

    With ``smoothing``, but then without weights.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        target: Tensor,
        weight: Tensor | None,
        ignore: int,
        reduction: str,
        smoothing: float,
    ) -> Array:
        ctx.args, ctx.smoothing = (target, weight, ignore, reduction), smoothing
        ctx.save_for_backward(x)
        loss, ctx.gradient = _total(x, ctx.args, smoothing, ctx.needs_input_grad[0])
        return loss

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        if recording(x, dy):  # in steps that can be differentiated
            dx = _total_input(dy, x, ctx.args, ctx.smoothing)
        else:
            gradient, ctx.gradient = ctx.gradient, None  # handed out once, as its memory is reused
            if gradient is None:
                gradient = _total(x, ctx.args, ctx.smoothing, True)[1]
            dx = Rescaled.apply(dy, gradient)
        return dx, None, None, None, None, None


class Rescaled(Op):
    """A gradient that forward found times dy, where nothing is recorded."""

    @staticmethod
    def forward(ctx: Any, dy: Tensor, gradient: Array) -> Array:
        return type2backend[type(gradient)].rescaled(gradient, dy.data)


def _total(
    x: Tensor, args: tuple[Any, ...], smoothing: float, gradient: bool
) -> tuple[Array, Array | None]:
    """The sum or mean, and its gradient if asked for."""
    target, weight, ignore, reduction = args
    return type2backend[type(x.data)].cross_entropy(
        x.data,
        _classes(x, target, ignore),
        None if weight is None else weight.data,
        ignore,
        reduction == "mean",
        smoothing,
        _class_dim(x),
        gradient,
    )


def _total_input(dy: Tensor, x: Tensor, args: tuple[Any, ...], smoothing: float) -> Tensor:
    """The gradient times dy, in steps that can be differentiated."""
    dim, choice, xp = _class_dim(x), _choose(x, *args[:3]), xp_of(x)
    dlog = NllInput.apply(dy, x.data.shape, choice, args)
    if smoothing:
        shares = _shares(xp.ones((), x.data.dtype), choice, args[-1], xp)
        even = xp.expand_dims(shares, dim) if shares.ndim else shares
        even = xp.broadcast_to(even * (smoothing / x.data.shape[dim]), x.data.shape)
        dlog = dlog * (1 - smoothing) - dy * wrap(even)
    return LogSoftmaxInput.apply(dlog, LogSoftmax.apply(x, dim), dim)


def _check_classes(input: Tensor, target: Tensor, weight: Tensor | None) -> None:
    """Refuse targets that are no classes of ``input``, in PyTorch's words."""
    shape, wanted = input.data.shape, target.data.shape
    if not shape:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if len(shape) == 1 and target.data.size != 1:
        raise ValueError(
            f"For 1D input, 1D target must have size 1, but got target size: {target.data.size}"
        )
    if len(shape) > 1 and wanted[:1] != shape[:1]:
        batch = wanted[0] if wanted else 0
        raise ValueError(
            f"Expected input batch_size ({shape[0]}) to match target batch_size ({batch})."
        )
    if len(shape) < 3 and len(wanted) > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if len(shape) == 4 and len(wanted) != 3:
        raise RuntimeError(
            "only batches of spatial targets supported (3D tensors) but got targets of dimension: "
            f"{len(wanted)}"
        )
    expected = shape[:1] + shape[2:]
    if len(shape) == 4 and wanted != expected:
        raise RuntimeError(f"size mismatch (got input: {list(shape)} , target: {list(wanted)}")
    if len(shape) > 2 and wanted != expected:
        raise RuntimeError(f"Expected target size {list(expected)}, got {list(wanted)}")
    if input.data.dtype.kind not in FLOATING:
        raise not_implemented("nll_loss", input.data)
    if target.data.dtype not in (numpy.int64, numpy.uint8):
        title = dtype_of(target).title
        raise RuntimeError(f"expected target dtype to be Long or Byte, but got {title}")
    _check_weight("", input, weight)
    if weight is not None and weight.data.dtype != input.data.dtype:
        titles = [dtype_of(x).title for x in (input, weight)]
        raise RuntimeError(f"expected scalar type {titles[0]} but found {titles[1]}")
    refuse_gradient("nll_loss_forward", "weight", weight)


def _check_weight(prefix: str, input: Tensor, weight: Tensor | None) -> None:
    classes = input.data.shape[_class_dim(input)]
    if weight is not None and weight.data.shape != (classes,):
        raise RuntimeError(
            f"{prefix}weight tensor should be defined either for all {classes} classes or no "
            f"classes but got weight tensor of shape: {list(weight.data.shape)}"
        )


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood ``-w[t] input[t]`` of the classes ``target``.

    ``input`` holds log-probabilities, (C,), (N, C) or (N, C, d1, ...); ``target`` classes in
    [0, C), int64 or uint8, (), (N,) or (N, d1, ...). Targets of ``ignore_index`` count nothing.
    ``reduction``: "none" gives the shape of target, "sum", or "mean": the sum divided by the
    weights of the targets kept, NaN if there are none.

    Raises IndexError for a class out of bounds, ValueError or RuntimeError for shapes and dtypes
    that do not fit.
    """
    need_tensors("nll_loss", input, target)
    if in_use:
        input, target, weight = cast_for("nll_loss", input, target, weight)
    reduction = reduction_of(size_average, reduce, reduction)
    _check_classes(input, target, weight)
    return Nll.apply(input, target, weight, ignore_index, reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """``nll_loss`` of the log-softmax of ``input``, the logits of C classes.

    ``input`` is (C,), (N, C) or (N, C, d1, ...). ``target`` holds classes, as in ``nll_loss``, or
    in the shape of ``input`` probabilities p: ``-Σ p w log softmax``, whose mean divides by their
    number, N d1 ..., whatever the weights. ``label_smoothing`` e mixes e / C into each
    probability (Szegedy et al., 2016).

    Raises as ``nll_loss``, and RuntimeError for ``label_smoothing`` outside [0, 1] or
    ``ignore_index`` with probabilities.
    """
    need_tensors("cross_entropy", input, target)
    if in_use:
        input, target, weight = cast_for("cross_entropy", input, target, weight)
    reduction = reduction_of(size_average, reduce, reduction)
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if input.data.shape == target.data.shape:
        return _soft_cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)
    _check_classes(input, target, weight)
    if (
        type2backend[type(input.data)].fuses_cross_entropy(input.data)
        and reduction != "none"
        and (weight is None or not label_smoothing)
        and input.data.dtype.itemsize > 2  # narrower gradients could vanish before they meet dy
    ):
        args = target, weight, ignore_index, reduction, label_smoothing
        return TotalCrossEntropy.apply(input, *args)
    if not label_smoothing:
        return CrossEntropy.apply(input, target, weight, ignore_index, reduction)
    dim = _class_dim(input)
    log_p = log_softmax(input, dim)
    hard = Nll.apply(log_p, target, weight, ignore_index, "none")
    even = -_weighted(log_p, weight).mean(dim)
    choice = _choose(input, target, weight, ignore_index)
    if choice.kept is not None:
        even = Masked.apply(even, wrap(choice.kept))
    loss = hard * (1 - label_smoothing) + even * label_smoothing
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    return loss.sum() / wrap(xp_of(input).asarray(choice.total, loss.data.dtype))


def _weighted(log_p: Tensor, weight: Tensor | None) -> Tensor:
    """Log-probabilities times the weights of their classes."""
    if weight is None:
        return log_p
    return log_p * weight.reshape(-1, *(1,) * (log_p.data.ndim - 1 - _class_dim(log_p)))


def _soft_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    """Cross-entropy with class probabilities."""
    if target.data.dtype.kind not in FLOATING:
        raise RuntimeError(
            "Expected floating point type for target with class probabilities, got "
            f"{dtype_of(target).title}"
        )
    if ignore_index >= 0:
        raise RuntimeError("ignore_index is not supported for floating point target")
    dim = _class_dim(input)
    _check_weight("cross_entropy: ", input, weight)
    classes = input.data.shape[dim]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    loss = -sum(_weighted(log_softmax(input, dim), weight) * target, dim)
    return reduced(loss, reduction)
