"""Softmax and its logarithm along one axis, forward and backward.

Shifted by the maximum, so that no exponential overflows; float16 is computed in float32. A row of
-inf, or one that holds +inf, gives NaN, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpunn.backends.reference.random import RandomPrimitives
from gpunn.dtype import accumulator


class SoftmaxPrimitives(RandomPrimitives):
    """Every method takes and gives arrays of one shape and dtype."""

    def softmax(self, x: Any, axis: int) -> Any:
        """exp(x) / Σ exp(x)."""
        return self._by_lines(self._softmax, axis, x)

    def softmax_input(self, dy: Any, y: Any, axis: int) -> Any:
        """dx = y (dy - Σ dy y)."""
        return self._by_lines(self._softmax_input, axis, dy, y)

    def log_softmax(self, x: Any, axis: int) -> Any:
        """x - log Σ exp(x)."""
        return self._by_lines(self._log_softmax, axis, x)

    def log_softmax_input(self, dy: Any, y: Any, axis: int) -> Any:
        """dx = dy - exp(y) Σ dy."""
        return self._by_lines(self._log_softmax_input, axis, dy, y)

    def _by_lines(self, compute: Callable[..., None], axis: int, *arrays: Any) -> Any:
        """What ``compute(result, *arrays, axis)`` writes, in the accumulator's dtype."""
        dtype = arrays[0].dtype
        wide = accumulator(dtype)
        result = self.xp.empty(arrays[0].shape, wide)
        if result.size:
            compute(result, *(a.astype(wide, copy=False) for a in arrays), axis)
        return result.astype(dtype, copy=False)

    def _softmax(self, y: Any, x: Any, axis: int) -> None:
        self._exp(y, x, axis)
        y /= self.sum_over(y, (axis,))

    def _exp(self, y: Any, x: Any, axis: int) -> None:
        """exp(x) up to a factor of each line."""
        self.xp.subtract(x, x.max(axis, keepdims=True), out=y)
        self.xp.exp(y, out=y)

    def _softmax_input(self, dx: Any, dy: Any, y: Any, axis: int) -> None:
        self.xp.subtract(dy, self.dot_over(dy, y, (axis,)), out=dx)
        dx *= y

    def _log_softmax(self, y: Any, x: Any, axis: int) -> None:
        xp = self.xp
        xp.subtract(x, x.max(axis, keepdims=True), out=y)
        y -= xp.log(self.sum_over(xp.exp(y), (axis,)))

    def _log_softmax_input(self, dx: Any, dy: Any, y: Any, axis: int) -> None:
        self.xp.exp(y, out=dx)
        dx *= self.sum_over(dy, (axis,))
        self.xp.subtract(dy, dx, out=dx)

    def fuses_cross_entropy(self, x: Any) -> bool:
        """Whether the sum of losses and its gradient are sooner found together than in turn."""
        return False

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
