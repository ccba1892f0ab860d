"""Max pooling on the CPU: one dimension after the other, and indices by counting; by threads."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy

from gpunn.backends.host.threads import share, tiled
from gpunn.backends.reference.pooling import PoolingPrimitives, Window, flat_index
from gpunn.backends.reference.window import Ints, taps
from gpunn.dtype import FLOATING


class HostPooling(PoolingPrimitives):
    """The maximum of a plane's window is that of the maxima of its rows."""

    def max_pool(
        self,
        x: Any,
        out: Ints,
        kernel: Ints,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        indices: bool = True,
    ) -> tuple[Any, Any]:
        size, batch = x.shape[-len(out) :], x.shape[: x.ndim - len(out)]
        window = out, kernel, stride, padding, dilation
        planes, plane = math.prod(batch), math.prod(size)
        if share(planes, plane) >= planes:
            return self._max_pool(x, *window, indices)
        x = x.reshape(planes, *size)
        y = numpy.empty((planes, *out), x.dtype)
        found = numpy.empty((planes, *out), numpy.int64) if indices else None

        def work(start: int, stop: int) -> None:
            part, places = self._max_pool(x[start:stop], *window, indices)
            y[start:stop] = part
            if found is not None:
                found[start:stop] = places

        tiled(work, planes, share(planes, plane))
        return y.reshape(*batch, *out), None if found is None else found.reshape(*batch, *out)

    def max_pool_input(self, dy: Any, indices: Any, size: Ints, window: Window | None) -> Any:
        batch = dy.shape[: dy.ndim - len(size)]
        planes, plane = math.prod(batch), math.prod(size)
        if share(planes, plane) >= planes or not dy.size:
            return super().max_pool_input(dy, indices, size, window)
        dy, indices = (a.reshape(planes, *a.shape[len(batch) :]) for a in (dy, indices))
        dx = numpy.empty((planes, *size), dy.dtype)
        part = super().max_pool_input

        def work(start: int, stop: int) -> None:
            dx[start:stop] = part(dy[start:stop], indices[start:stop], size, window)

        tiled(work, planes, share(planes, plane))
        return dx.reshape(*batch, *size)

    def _max_pool(
        self,
        x: Any,
        out: Ints,
        kernel: Ints,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        indices: bool,
    ) -> tuple[Any, Any]:
        y, n, size = x, len(out), x.shape[-len(out) :]
        for d in range(n):
            line = (v[d] for v in (size, out, kernel, stride, padding, dilation))
            y = _line_maximum(y, d - n, *line)
        if not indices:
            return y, None
        sparse = any(p and d > 1 for p, d in zip(padding, dilation, strict=True))
        if sparse or (y.dtype.kind in FLOATING and bool(numpy.isnan(y).any())):
            # A window may be empty, or its last NaN is wanted.
            return super().max_pool(x, out, kernel, stride, padding, dilation)
        reached, steps, starts = _places(size, out, kernel, stride, padding, dilation)
        # The tap that is equal comes after as many as differ: no branch, and bytes only.
        differs = numpy.ones(y.shape, bool)
        number = numpy.zeros(y.shape, numpy.min_scalar_type(len(reached)))
        for q, p in reached[:-1]:
            differs[q] &= x[p] != y[q]
            number += differs
        # A window's start lies in the padded plane; from there the step to the tap leads back.
        found = steps.take(number)  # twice as fast as steps[number]
        found += starts
        return y, found


def _line_maximum(x: Any, axis: int, *line: int) -> Any:
    """The maxima of all windows along one axis, which is counted from the end."""
    lines, full = _lines(axis, *line)
    if full > 1:
        y = numpy.maximum(x[lines[0][1]], x[lines[1][1]])
    elif full:
        y = numpy.array(x[lines[0][1]], order="C")
    else:
        lowest = -math.inf if x.dtype.kind in FLOATING else numpy.iinfo(x.dtype).min
        y = numpy.full((*x.shape[:axis], line[1], *x.shape[x.ndim + axis + 1 :]), lowest, x.dtype)
    for q, p in lines[min(full, 2) :]:
        numpy.maximum(y[q], x[p], out=y[q])
    return y


@functools.lru_cache(256)
def _lines(
    axis: int, size: int, out: int, kernel: int, stride: int, padding: int, dilation: int
) -> tuple[list[Any], int]:
    """Where each tap stands in the result and in the input, and how many reach every output: these
    come first, so that two of them make the new array."""
    rest = (slice(None),) * (-axis - 1)
    lines = [
        ((..., q, *rest), (..., p, *rest))
        for _, (q,), (p,) in taps((size,), (out,), (kernel,), (stride,), (padding,), (dilation,))
    ]
    lines.sort(key=lambda line: line[0][1] != slice(0, out))
    return lines, sum(q[1] == slice(0, out) for q, _ in lines)


@functools.lru_cache(256)
def _places(
    size: Ints, out: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints
) -> tuple[list[Any], Any, Any]:
    """The taps, the steps from a window's start to them in a flat plane, and those starts."""
    reached = list(taps(size, out, kernel, stride, padding, dilation))
    pitch = [d * math.prod(size[i + 1 :]) for i, d in enumerate(dilation)]
    steps = numpy.array([numpy.dot(tap, pitch) for tap, _, _ in reached], numpy.int64)
    starts = [numpy.arange(m) * s - p for m, s, p in zip(out, stride, padding, strict=True)]
    return [((..., *q), (..., *p)) for _, q, p in reached], steps, flat_index(numpy, starts, size)
