"""Softmax on the CPU: rows in tiles that stay in the cache, by several threads."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy

from gpunn.backends.host.threads import share, tiled
from gpunn.backends.reference.softmax import SoftmaxPrimitives

_SAFE = 60  # exp(±60), and sums of as many as there may be, are normal numbers in float32
_SHORT = 512  # NumPy's maximum over rows shorter than this is slower than those of the whole


class HostSoftmax(SoftmaxPrimitives):
    """The reference, applied to some rows at a time."""

    def softmax(self, x: Any, axis: int) -> Any:
        return _by_rows(super().softmax, axis, x)

    def softmax_input(self, dy: Any, y: Any, axis: int) -> Any:
        return _by_rows(super().softmax_input, axis, dy, y)

    def log_softmax(self, x: Any, axis: int) -> Any:
        return _by_rows(super().log_softmax, axis, x)

    def log_softmax_input(self, dy: Any, y: Any, axis: int) -> Any:
        return _by_rows(super().log_softmax_input, axis, dy, y)

    def cross_entropy_input(self, y: Any, places: tuple[Any, ...], shares: Any, axis: int) -> Any:
        if y.ndim != 2 or share(y.size) >= y.size:
            return super().cross_entropy_input(y, places, shares, axis)
        n, classes = y.shape
        dx, targets = numpy.empty(y.shape, y.dtype), places[1]
        shares = numpy.broadcast_to(shares, n)[:, None]

        def work(start: int, stop: int) -> None:
            here, part = slice(start, stop), dx[start:stop]
            numpy.exp(y[here], out=part)
            part[numpy.arange(stop - start), targets[here]] -= 1
            part *= shares[here]

        tiled(work, n, share(n, classes))
        return dx

    def _exp(self, x: Any, axis: int) -> Any:
        """Without the shift where nothing can overflow or vanish: the quotient is the same."""
        short = x.dtype.itemsize > 2 and x.size and x.shape[axis] < _SHORT and axis == x.ndim - 1
        if short and x.min() > -_SAFE and x.max() < _SAFE:  # false for NaN
            return numpy.exp(x)
        return super()._exp(x, axis)


def _by_rows(primitive: Callable[..., Any], axis: int, *arrays: Any) -> Any:
    """``primitive(*arrays, axis)``, some indices of the dimensions before ``axis`` at a time."""
    x = arrays[0]
    lead, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis:])
    rows = share(lead, inner)
    if rows >= lead or not all(a.flags.c_contiguous for a in arrays):
        return primitive(*arrays, axis)
    flat = [a.reshape(lead, *x.shape[axis:]) for a in arrays]
    y = numpy.empty_like(flat[0])

    def work(start: int, stop: int) -> None:
        y[start:stop] = primitive(*[a[start:stop] for a in flat], 1)

    tiled(work, lead, rows)
    return y.reshape(x.shape)
