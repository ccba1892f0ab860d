"""Softmax on the CPU: rows in tiles that stay in the cache, by several threads."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy

from gpunn.backends.host.threads import scratch, share, tiled
from gpunn.backends.reference.softmax import SoftmaxPrimitives
from gpunn.dtype import accumulator

_SAFE = 60  # exp(±60), and sums of as many as there may be, are normal numbers in float32


class HostSoftmax(SoftmaxPrimitives):
    """The reference, applied to some lines at a time."""

    def _by_lines(self, compute: Callable[..., None], axis: int, *arrays: Any) -> Any:
        """Some indices of the dimensions before ``axis`` at a time."""
        x = arrays[0]
        lead, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis:])
        rows, wide = share(lead, inner), accumulator(x.dtype)
        if rows >= lead or wide is not x.dtype or not all(a.flags.c_contiguous for a in arrays):
            return super()._by_lines(compute, axis, *arrays)
        y = numpy.empty(x.shape, x.dtype)
        flat = [a.reshape(lead, *x.shape[axis:]) for a in (y, *arrays)]

        def work(start: int, stop: int) -> None:
            compute(*[a[start:stop] for a in flat], 1)

        tiled(work, lead, rows)
        return y

    def _exp(self, y: Any, x: Any, axis: int) -> None:
        """Without the shift where nothing can overflow or vanish: the quotient is the same."""
        if x.min() > -_SAFE and x.max() < _SAFE:  # false for NaN
            numpy.exp(x, out=y)
        else:
            super()._exp(y, x, axis)

    def fuses_cross_entropy(self, x: Any) -> bool:
        return x.ndim == 2

    def cross_entropy(
        self,
        x: Any,
        classes: Any,
        weight: Any,
        ignore: int,
        mean: bool,
        smoothing: float,
        axis: int,
        gradient: bool,
    ) -> tuple[Any, Any]:
        """exp(x - max) is computed once: its sums give the losses, and it becomes the gradient."""
        if x.ndim != 2 or not x.flags.c_contiguous:
            rest = weight, ignore, mean, smoothing, axis, gradient
            return super().cross_entropy(x, classes, *rest)
        (n, size), one = x.shape, x.dtype.type(1)
        kept = classes != ignore
        classes = numpy.where(kept, classes, 0)
        counts = (kept if weight is None else numpy.where(kept, weight[classes], 0)).astype(x.dtype)
        total = counts.sum() if mean else one
        shares, losses = numpy.where(kept, counts / total, 0), numpy.empty(n, x.dtype)
        dx = numpy.empty(x.shape, x.dtype) if gradient else None

        def work(start: int, stop: int) -> None:
            here, wanted = slice(start, stop), (numpy.arange(stop - start), classes[start:stop])
            part = scratch("exp", (stop - start, size), x.dtype) if dx is None else dx[here]
            numpy.subtract(x[here], x[here].max(1, keepdims=True), out=part)
            loss = part[wanted] * -(one - smoothing)
            if smoothing:
                loss -= self.sum_over(part, (1,))[:, 0] * (smoothing / size)
            numpy.exp(part, out=part)
            sums = self.sum_over(part, (1,))
            loss += numpy.log(sums[:, 0])
            losses[here] = numpy.where(kept[here], loss * counts[here], 0)
            if dx is not None:
                part *= shares[here, None] / sums
                if smoothing:
                    part -= shares[here, None] * (smoothing / size)
                part[wanted] -= shares[here] * (one - smoothing)

        tiled(work, n, share(n, size))
        return losses.sum() / total, dx

    def rescaled(self, dx: Any, dy: Any) -> Any:
        return dx if dy == 1 else super().rescaled(dx, dy)
