"""Normalization over a channel (batch) or over the last dimensions (layer), forward and backward.

The variance is taken in two passes, E[(x - mean)²], never as E[x²] - E[x]²; float16 is computed in
float32. Gradients of y = x̂ w + b with x̂ = (x - mean) rstd, rstd = 1 / √(var + eps), v = w dy:

    dx = rstd (v - mean(v) - x̂ mean(v x̂)),    dw = Σ dy x̂,    db = Σ dy
"""

from __future__ import annotations

import math
from typing import Any

from gpunn.backends.reference.random import RandomPrimitives
from gpunn.dtype import accumulator


class NormalizationPrimitives(RandomPrimitives):
    """``mean`` and ``var`` are of the group: (C,) in batch, the leading shape in layer norm."""

    def batch_norm(
        self,
        x: Any,
        weight: Any,
        bias: Any,
        eps: float,
        running_mean: Any = None,
        running_var: Any = None,
        momentum: float = 0.0,
    ) -> tuple[Any, Any, Any]:
        """y, mean and biased variance over all dimensions but the second.

        The running statistics, if given, move towards them by ``momentum``, in place; their
        variance is the unbiased one. Without elements they stay.
        """
        axes = (0, *range(2, x.ndim))
        y, mean, var = self._norm(x, _spread(weight, x), _spread(bias, x), axes, eps)
        mean, var = mean.reshape(-1), var.reshape(-1)
        self._move(running_mean, running_var, mean, var, momentum, x)
        return y, mean, var

    def _move(
        self, running_mean: Any, running_var: Any, mean: Any, var: Any, momentum: float, x: Any
    ) -> None:
        """running = (1 - momentum) running + momentum (mean or unbiased variance of ``x``)."""
        if running_mean is None or not x.size:
            return
        count = x.size // x.shape[1]
        for running, batch in ((running_mean, mean), (running_var, var * (count / (count - 1)))):
            running *= 1 - momentum
            running += momentum * batch

    def batch_norm_input(
        self, dy: Any, x: Any, weight: Any, mean: Any, var: Any, eps: float
    ) -> tuple[Any, Any, Any]:
        """dx, dw and db; the last two (C,)."""
        axes = (0, *range(2, x.ndim))
        w, mean, var = _spread(weight, x), _spread(mean, x), _spread(var, x)
        dx, dw, db = self._norm_input(dy, x, w, mean, var, axes, axes, eps)
        return dx, dw.reshape(-1), db.reshape(-1)

    def batch_norm_eval(
        self, x: Any, weight: Any, bias: Any, mean: Any, var: Any, eps: float
    ) -> Any:
        """y with the mean and variance given: x scale + shift, one of each per channel."""
        scale, shift = self._scale_and_shift(weight, bias, mean, var, eps)
        y = _wide(self.xp, x) * _spread(scale, x)
        y += _spread(shift, x)
        return y.astype(x.dtype, copy=False)

    def _scale_and_shift(
        self, weight: Any, bias: Any, mean: Any, var: Any, eps: float
    ) -> tuple[Any, Any]:
        """scale and shift of each channel, with the statistics given."""
        scale = 1 / self.xp.sqrt(_wide(self.xp, var) + eps)
        if weight is not None:
            scale = scale * weight
        shift = -mean * scale
        return scale, shift if bias is None else shift + bias

    def layer_norm(
        self, x: Any, weight: Any, bias: Any, dims: int, eps: float
    ) -> tuple[Any, Any, Any]:
        """y, mean and biased variance over the last ``dims`` dimensions (kept, of size 1).

        ``weight`` and ``bias`` have the last dimensions of ``x``, some of them of size 1.
        """
        return self._norm(x, weight, bias, tuple(range(x.ndim - dims, x.ndim)), eps)

    def layer_norm_input(
        self,
        dy: Any,
        x: Any,
        weight: Any,
        mean: Any,
        var: Any,
        dims: int,
        eps: float,
        affine: tuple[int, ...] | None,
    ) -> tuple[Any, Any, Any]:
        """dx, dw and db; ``affine``: the shape of the last two, None where they are not wanted."""
        axes = tuple(range(x.ndim - dims, x.ndim))
        if affine is None:
            return self._norm_input(dy, x, weight, mean, var, axes, None, eps)
        sizes = (1,) * (x.ndim - len(affine)) + affine
        others = tuple(a for a in range(x.ndim) if sizes[a] == 1)
        dx, dw, db = self._norm_input(dy, x, weight, mean, var, axes, others, eps)
        return dx, dw.reshape(affine), db.reshape(affine)

    def _norm(
        self, x: Any, weight: Any, bias: Any, axes: tuple[int, ...], eps: float
    ) -> tuple[Any, Any, Any]:
        xp, dtype = self.xp, x.dtype
        x = _wide(xp, x)
        count = max(1, math.prod(x.shape[a] for a in axes))  # no elements: statistics of 0
        mean = self.sum_over(x, axes) / count
        y = x - mean
        var = self.dot_over(y, y, axes) / count
        _scale(y, 1 / xp.sqrt(var + eps), weight)
        if bias is not None:
            y += bias
        return y.astype(dtype, copy=False), mean, var

    def _norm_input(
        self,
        dy: Any,
        x: Any,
        weight: Any,
        mean: Any,
        var: Any,
        axes: tuple[int, ...],
        others: tuple[int, ...] | None,
        eps: float,
    ) -> tuple[Any, Any, Any]:
        """``axes``: what is normalized over; ``others``: what dw and db sum over, if wanted."""
        xp, dtype = self.xp, x.dtype
        dy, x = _wide(xp, dy), _wide(xp, x)
        rstd = 1 / xp.sqrt(var + eps)
        apart = x - mean  # x̂ rstd⁻¹: the factors rstd go to the small arrays
        v, dw = dy, None
        db: Any = None if others is None else self.sum_over(dy, others)
        if axes == others:  # one weight to a group: it is a factor of all
            sum_v, sum_vx = db, self.dot_over(dy, apart, axes)
            dw = sum_vx * rstd
        else:
            if others is not None:
                product = dy * apart
                product *= rstd
                dw = self.sum_over(product, others)
                v = dy if weight is None else xp.multiply(dy, weight, out=product)
                weight = None
            sum_v, sum_vx = self.sum_over(v, axes), self.dot_over(v, apart, axes)
        count = math.prod(x.shape[a] for a in axes)
        apart *= sum_vx * rstd * rstd / count
        apart += sum_v / count
        dx = xp.subtract(v, apart, out=apart)
        _scale(dx, rstd, weight)
        return dx.astype(dtype, copy=False), dw, db


def _wide(xp: Any, x: Any) -> Any:
    return x.astype(accumulator(x.dtype), copy=False)


def _spread(vector: Any, x: Any) -> Any:
    """A vector over channels, or None, in the shape in which it meets ``x``."""
    return None if vector is None else vector.reshape((1, -1) + (1,) * (x.ndim - 2))


def _scale(y: Any, rstd: Any, weight: Any) -> None:
    """``y *= rstd * weight``, the small factors first where they have one shape."""
    if weight is None:
        y *= rstd
    elif weight.shape == rstd.shape:
        y *= rstd * weight
    else:
        y *= rstd
        y *= weight
