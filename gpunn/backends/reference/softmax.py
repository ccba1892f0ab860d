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

    def cross_entropy(
        self, x: Any, places: tuple[Any, ...], shares: Callable[[], Any] | None, axis: int
    ) -> tuple[Any, Any, Any]:
        """The log-softmax at ``places``, and for backward either all of it or the gradient.

        ``places`` index one element of each line along ``axis``. The gradient may be given where
        ``shares`` can say how much of it falls to each line; what is not given is None.
        """
        y = self.log_softmax(x, axis)
        return y[places], y, None

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
