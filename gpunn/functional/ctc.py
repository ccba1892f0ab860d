"""Connectionist temporal classification: the likelihood of a label sequence over all alignments.

A. Graves et al., "Connectionist temporal classification", ICML 2006.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Array, Variable
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING, in_use
from gpunn.functional.loss import reduced, reduction_of
from gpunn.ops.common import Op, not_implemented
from gpunn.ops.pointwise import Masked
from gpunn.ops.precision import cast_for

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Lengths = Sequence[int]


class Ctc(Op):
    """-log p of each sequence. The forward and backward variables of the paper are kept as the
    probability that frame t shows label c: the gradient is the difference from that.

    As PyTorch's, the gradient is the one of the logits before ``log_softmax``.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, labels: Array, frames: Array, lengths: Array, finite: bool
    ) -> Array:
        xp, data = type2backend[type(x.data)].xp, x.data
        steps, batch, _ = data.shape
        width = labels.shape[1]
        minus_inf = xp.asarray(-numpy.inf, data.dtype)
        place, rows = xp.arange(width), xp.arange(batch)[:, None]
        shown = data[:, rows, labels]  # (T, N, S): log p of each label at each frame
        skips = xp.zeros((batch, width), bool)  # a path may leave out a blank between two labels
        skips[:, 3::2] = labels[:, 3::2] != labels[:, 1:-2:2]

        def step(before: Array, skips: Array) -> Array:
            one, two = xp.full_like(before, minus_inf), xp.full_like(before, minus_inf)
            one[:, 1:], two[:, 2:] = before[:, :-1], before[:, :-2]
            two[~skips] = minus_inf
            return xp.logaddexp(xp.logaddexp(before, one), two)

        alpha = xp.full((steps, batch, width), minus_inf)
        alpha[0, :, :2] = shown[0, :, :2]
        alpha[0][place[None] > 2 * lengths[:, None]] = minus_inf
        for t in range(1, steps):
            alpha[t] = step(alpha[t - 1], skips) + shown[t]
        # Backwards in time, and from each sequence's own end.
        beta = xp.full((steps, batch, width), minus_inf)
        ends = (place >= 2 * lengths[:, None] - 1) & (place <= 2 * lengths[:, None])
        leaps = xp.zeros_like(skips)
        leaps[:, 2:] = skips[:, ::-1][:, :-2]
        after = xp.full((batch, width), minus_inf)
        for t in range(steps - 1, -1, -1):
            last, running = (frames == t + 1)[:, None], (frames > t + 1)[:, None]
            moved = step(after[:, ::-1], leaps)[:, ::-1]
            start = xp.where(ends, xp.asarray(0, data.dtype), minus_inf)
            after = xp.where(last, start, xp.where(running, moved, minus_inf)) + shown[t]
            beta[t] = after
        both = alpha + beta - shown
        first = xp.where(frames[:, None] > 0, both[0], xp.where(place == 0, 0.0, minus_inf))
        likelihood = first[:, 0]
        for s in range(1, width):  # CuPy's logaddexp has no reduce
            likelihood = xp.logaddexp(likelihood, first[:, s])
        likelihood = xp.where((frames == 0) & (lengths > 0), minus_inf, likelihood)
        if ctx.needs_input_grad[0]:
            posterior = xp.zeros(data.shape, data.dtype)
            weights = xp.exp(both - likelihood[None, :, None])
            for s in range(width):  # in order: several places may bear one label
                posterior[:, xp.arange(batch), labels[:, s]] += weights[:, :, s]
            dx = xp.exp(data) - posterior
            dx[:, xp.isinf(likelihood)] = 0 if finite else numpy.nan
            dx[xp.arange(steps)[:, None] >= frames[None]] = 0
            ctx.save_for_backward(dx)
        return (-likelihood).astype(data.dtype)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (dx,) = ctx.saved_tensors
        return dx * dy.reshape(1, -1, 1), None, None, None, None


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Lengths,
    target_lengths: Tensor | Lengths,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-log of the probability that the frames ``log_probs`` spell the labels ``targets``.

    ``log_probs`` (T, N, C), or (T, C) for one sequence; ``targets`` (N, S) padded, or all label
    sequences one after the other; lengths of both. "mean" divides each loss by its target's length
    before the mean over the batch. ``zero_infinity``: a loss that is infinite (a target longer than
    its frames) and its gradient are 0.
    """
    if in_use:
        (log_probs,) = cast_for("ctc_loss", log_probs)
    reduction = reduction_of(None, None, reduction)
    if log_probs.data.dtype.kind not in FLOATING:
        raise not_implemented("ctc_loss", log_probs.data)
    single = log_probs.data.ndim == 2
    x = log_probs.unsqueeze(1) if single else log_probs
    steps, batch, classes = x.data.shape
    frames, lengths = _lengths(input_lengths, "input"), _lengths(target_lengths, "target")
    for name, given in (("input_lengths", frames), ("target_lengths", lengths)):
        if given.size != batch:
            raise RuntimeError(f"{name} must be of size batch_size")
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    limits = (("input_lengths", frames, steps), ("target_lengths", lengths, None))
    for name, given, most in limits:
        for value in given:
            if value < 0 or (most is not None and value > most):
                limit = "least 0" if value < 0 else f"most {most}"
                raise RuntimeError(
                    f"Expected {name} to have value at {limit}, but got value {value} {_CHECKING}"
                )
    labels = _labels(type2backend[type(targets.data)].to_numpy(targets.data), lengths, blank)
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        wrong = int(labels.min() if labels.min() < 0 else labels.max())
        raise IndexError(f"ctc_loss: label {wrong} is out of bounds for {classes} classes")
    backend = type2backend[type(x.data)]
    with backend.on(x.device):
        plan = [backend.from_numpy(a) for a in (labels, frames, lengths)]
        divisors = backend.from_numpy(numpy.maximum(lengths, 1))
        loss = Ctc.apply(x, *plan, zero_infinity)
    if zero_infinity:
        loss = Masked.apply(loss, loss.isfinite())
    if reduction == "mean":
        loss = loss / type(log_probs)(divisors)
    return reduced(loss.squeeze(0) if single and reduction == "none" else loss, reduction)


_CHECKING = "(while checking arguments for ctc_loss_allocate_outputs)"


def _labels(targets: Array, lengths: Array, blank: int) -> Array:
    """Each row's labels between blanks, padded with blanks: (N, 2 S + 1)."""
    batch, longest, total = lengths.size, int(lengths.max(initial=0)), int(lengths.sum())
    flat = targets.ndim == 1
    if targets.ndim not in (1, 2):
        raise RuntimeError(
            f"Expected 1 to 2 dimensions, but got {targets.ndim}-dimensional tensor for argument "
            f"#2 'targets' {_CHECKING}"
        )
    sizes = [("", 0, total)] if flat else [("", 0, batch), ("at least ", 1, longest)]
    for least, d, wanted in sizes:
        size = targets.shape[d]
        if size < wanted if least else size != wanted:
            raise RuntimeError(
                f"Expected tensor to have size {least}{wanted} at dimension {d}, but got size "
                f"{size} for argument #2 'targets' {_CHECKING}"
            )
    labels = numpy.full((batch, 2 * longest + 1), blank, numpy.int64)
    starts = numpy.cumsum(lengths) - lengths
    for n in range(batch):
        row = targets[starts[n] :] if flat else targets[n]
        labels[n, 1 : 2 * lengths[n] : 2] = row[: lengths[n]]
    return labels


def _lengths(given: Tensor | Lengths, what: str) -> numpy.ndarray[Any, Any]:
    if isinstance(given, Variable):
        array = type2backend[type(given.data)].to_numpy(given.data).reshape(-1)
    else:
        array = numpy.atleast_1d(numpy.asarray(given))
    if array.dtype.kind not in "iu":
        raise RuntimeError(f"{what}_lengths must be integral")
    return array.astype(numpy.int64)
