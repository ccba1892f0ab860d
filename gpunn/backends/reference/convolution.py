"""Convolution and its two adjoints, over any number of dimensions: one matrix product a tap.

Arrays: x (N, C, *size), weight (O, C / groups, *kernel), y and dy (N, O, *out). float16 is added in
float32 and rounded once.
"""

from __future__ import annotations

import math
from typing import Any

from gpunn.backends.reference.array import ArrayPrimitives
from gpunn.backends.reference.window import Ints, output_size, taps
from gpunn.dtype import accumulator


class ConvolutionPrimitives(ArrayPrimitives):
    """Cross-correlation, as deep learning understands convolution."""

    def conv(
        self,
        x: Any,
        weight: Any,
        bias: Any,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        groups: int,
    ) -> Any:
        """y[n, o, q] = bias[o] + Σ_{c, t} weight[o, c, t] x[n, c, q stride - padding + t dilation].

        With groups, output channel o sees the input channels of its own group only.
        """
        xp, wide = self.xp, accumulator(x.dtype)
        size, kernel = x.shape[2:], weight.shape[2:]
        out = tuple(map(output_size, size, kernel, stride, padding, dilation))
        x_, w = _grouped(x, 1, groups, wide), _grouped(weight, 0, groups, wide)
        y = xp.zeros((x.shape[0], groups, weight.shape[0] // groups, *out), wide)
        for tap, q, p in taps(size, out, kernel, stride, padding, dilation):
            seen, reached = x_[(..., *p)], y[(..., *q)]
            reached += xp.matmul(w[(..., *tap)], _flat(seen)).reshape(reached.shape)
        y = y.reshape(x.shape[0], weight.shape[0], *out)
        if bias is not None:
            y += bias.reshape(-1, *(1 for _ in out))
        return y.astype(x.dtype, copy=False)

    def conv_input(
        self,
        dy: Any,
        weight: Any,
        size: Ints,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        groups: int,
    ) -> Any:
        """dx of ``conv`` for an input whose spatial shape is ``size``."""
        xp, wide = self.xp, accumulator(dy.dtype)
        dy_, w = _grouped(dy, 1, groups, wide), _grouped(weight, 0, groups, wide)
        w = xp.swapaxes(w, 1, 2)
        channels = weight.shape[1]
        dx = xp.zeros((dy.shape[0], groups, channels, *size), wide)
        for tap, q, p in taps(size, dy.shape[2:], weight.shape[2:], stride, padding, dilation):
            reached = dx[(..., *p)]
            reached += xp.matmul(w[(..., *tap)], _flat(dy_[(..., *q)])).reshape(reached.shape)
        return dx.reshape(dy.shape[0], groups * channels, *size).astype(dy.dtype, copy=False)

    def conv_weight(
        self,
        x: Any,
        dy: Any,
        kernel: Ints,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        groups: int,
    ) -> Any:
        """dw of ``conv`` for a weight whose spatial shape is ``kernel``."""
        xp, wide = self.xp, accumulator(x.dtype)
        x_, dy_ = _grouped(x, 1, groups, wide), _grouped(dy, 1, groups, wide)
        dw = xp.zeros((groups, dy_.shape[2], x_.shape[2], *kernel), wide)
        for tap, q, p in taps(x.shape[2:], dy.shape[2:], kernel, stride, padding, dilation):
            rows, columns = _flat(dy_[(..., *q)]), _flat(x_[(..., *p)])
            dw[(..., *tap)] = xp.matmul(rows, xp.swapaxes(columns, 2, 3)).sum(0)
        return dw.reshape(dy.shape[1], x_.shape[2], *kernel).astype(x.dtype, copy=False)

    def conv_bias(self, dy: Any) -> Any:
        """db of ``conv``: the sum over images and positions."""
        axes = (0, *range(2, dy.ndim))
        wide = dy.astype(accumulator(dy.dtype), copy=False)
        return self.sum_over(wide, axes).reshape(-1).astype(dy.dtype, copy=False)


def _grouped(array: Any, axis: int, groups: int, dtype: Any) -> Any:
    """``array`` in ``dtype`` with the channels of ``axis`` split into (groups, channels)."""
    shape = array.shape
    split = (groups, shape[axis] // groups)
    return array.astype(dtype, copy=False).reshape(*shape[:axis], *split, *shape[axis + 1 :])


def _flat(array: Any) -> Any:
    """(N, groups, channels, *spatial) with the spatial dimensions made one."""
    return array.reshape(*array.shape[:3], math.prod(array.shape[3:]))
