"""Softmax and its logarithm along one axis, forward and backward.

Shifted by the maximum, so that no exponential overflows; float16 is computed in float32. A row of
-inf, or one that holds +inf, gives NaN, as in PyTorch.
"""

from __future__ import annotations

from typing import Any, ClassVar

from gpunn.backends.reference.random import RandomPrimitives
from gpunn.dtype import accumulator


class SoftmaxPrimitives(RandomPrimitives):
    """Every method takes and gives arrays of one shape and dtype."""

    def _shifted(self, x: Any, axis: int) -> Any:
        """``x`` minus its maximum along ``axis``, a new array in which there is room to compute."""
        xp = self.xp
        x = x.astype(accumulator(x.dtype), copy=False)
        if not x.size:
            return xp.zeros(x.shape, x.dtype)
        return x - x.max(axis, keepdims=True)

    def softmax(self, x: Any, axis: int) -> Any:
        """exp(x) / Σ exp(x)."""
        y = self._exp(x, axis)
        y /= self.sum_over(y, (axis,))
        return y.astype(x.dtype, copy=False)

    def _exp(self, x: Any, axis: int) -> Any:
        """exp(x) up to a factor of each row."""
        y = self._shifted(x, axis)
        return self.xp.exp(y, out=y)

    def softmax_input(self, dy: Any, y: Any, axis: int) -> Any:
        """dx = y (dy - Σ dy y)."""
        wide = accumulator(y.dtype)
        if wide is not y.dtype:
            return self.softmax_input(dy.astype(wide), y.astype(wide), axis).astype(y.dtype)
        dx = dy - self.dot_over(dy, y, (axis,))
        dx *= y
        return dx

    def log_softmax(self, x: Any, axis: int) -> Any:
        """x - log Σ exp(x)."""
        xp = self.xp
        y = self._shifted(x, axis)
        y -= xp.log(self.sum_over(xp.exp(y), (axis,)))
        return y.astype(x.dtype, copy=False)

    def log_softmax_input(self, dy: Any, y: Any, axis: int) -> Any:
        """dx = dy - exp(y) Σ dy."""
        wide = accumulator(y.dtype)
        if wide is not y.dtype:
            return self.log_softmax_input(dy.astype(wide), y.astype(wide), axis).astype(y.dtype)
        dx = self.xp.exp(y)
        dx *= self.sum_over(dy, (axis,))
        self.xp.subtract(dy, dx, out=dx)
        return dx

    # Whether the sum of losses and its gradient together take less than one after the other.
    has_cross_entropy: ClassVar[bool] = False

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
        """-Σ w Σ q log softmax(x), divided by Σ w for the mean; and, if asked for, its gradient.

        ``classes`` has the shape of ``x`` without ``axis``; w is 0 where it is ``ignore``, else the
        class's ``weight`` (None: 1). q is 1 - ``smoothing`` for the class, and the rest of 1 even.
        """
        xp, size = self.xp, x.shape[axis]
        kept = classes != ignore
        classes = xp.where(kept, classes, 0)
        counts = xp.where(kept, 1 if weight is None else weight[classes], 0).astype(x.dtype)
        total = counts.sum() if mean else x.dtype.type(1)
        wanted = xp.expand_dims(classes, axis)
        places = xp.arange(size).reshape((size,) + (1,) * (x.ndim - 1 - axis))
        q = (places == wanted) * x.dtype.type(1 - smoothing) + x.dtype.type(smoothing / size)
        y = self.log_softmax(x, axis)
        losses = -xp.where(q > 0, y, 0) * q
        losses = xp.where(kept, losses.sum(axis) * counts, 0)
        loss = losses.sum() / total
        if not gradient:
            return loss, None
        shares = xp.where(kept, counts / total, 0)
        return loss, xp.expand_dims(shares, axis) * (xp.exp(y) - q)

    def rescaled(self, dx: Any, dy: Any) -> Any:
        """``dx dy``, for a single number ``dy``, in the memory of ``dx``."""
        dx *= dy
        return dx

    def cross_entropy_input(self, y: Any, places: tuple[Any, ...], shares: Any, axis: int) -> Any:
        """shares (exp(y) - onehot), from log-probabilities and the index of each target's.

        ``shares`` is a single number, or has the shape of ``y`` without ``axis``.
        """
        dx = self.xp.exp(y)
        dx[places] -= 1
        dx *= self.xp.expand_dims(shares, axis) if shares.ndim else shares
        return dx
