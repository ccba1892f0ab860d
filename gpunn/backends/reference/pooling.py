"""Pooling and its adjoints over the last dimensions: extrema and means of windows.

Arrays: x (..., *size), y and dy (..., *out); what stands before the window's dimensions is a batch.
"""

from __future__ import annotations

import math
from typing import Any

from gpunn.backends.reference.array import ArrayPrimitives
from gpunn.backends.reference.window import Ints, taps
from gpunn.dtype import FLOATING, accumulator

Window = tuple[Ints, Ints, Ints, Ints]  # kernel, stride, padding, dilation


class PoolingPrimitives(ArrayPrimitives):
    """Windows never see padding: it is lower than every value, and adds nothing to a sum."""

    # Extrema --------------------------------------------------------------------------------

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
        """The largest element of each window, and its index in the plane ``size`` made flat (None
        unless ``indices``): int64, or int32 where a backend has no more.

        The first of several equal ones; a NaN is larger than all, and the last NaN counts.
        """
        xp, size = self.xp, x.shape[-len(kernel) :]
        batch = x.shape[: x.ndim - len(kernel)]
        y = xp.full((*batch, *out), _lowest(xp, x.dtype), x.dtype)
        # Where nothing is above the lowest value, the window's first element stands.
        starts = [
            xp.minimum(_first(xp.arange(m) * s - p, d), n - 1)
            for m, s, p, d, n in zip(out, stride, padding, dilation, size, strict=True)
        ]
        found = xp.empty((*batch, *out), xp.int64)
        found[...] = flat_index(xp, starts, size)
        for _, q, p in taps(size, out, kernel, stride, padding, dilation):
            seen = x[(..., *p)]
            better = seen > y[(..., *q)]
            if x.dtype.kind in FLOATING:
                better |= xp.isnan(seen)
            places = [xp.arange(i.start, i.stop, i.step) for i in p]
            y[(..., *q)] = xp.where(better, seen, y[(..., *q)])
            found[(..., *q)] = xp.where(better, flat_index(xp, places, size), found[(..., *q)])
        return y, found if indices else None

    def max_pool_input(self, dy: Any, indices: Any, size: Ints, window: Window | None) -> Any:
        """dx of ``max_pool``: each dy added where its maximum came from.

        ``window`` (None: ``adaptive_max_pool``'s) tells a backend where indices can be.
        """
        batch = dy.shape[: dy.ndim - len(size)]
        planes, plane = math.prod(batch), math.prod(size)
        dx = self.xp.zeros(planes * plane, accumulator(dy.dtype))
        if dy.size:
            begins = self.xp.arange(0, planes * plane, plane).reshape(-1, 1)
            places = indices.reshape(planes, -1) + begins
            self.index_add(dx, places.reshape(-1), dy.reshape(-1).astype(dx.dtype, copy=False))
        return dx.reshape(*batch, *size).astype(dy.dtype, copy=False)

    def adaptive_max_pool(self, x: Any, out: Ints) -> tuple[Any, Any]:
        """The largest element, and its index, of the windows [⌊i n / m⌋, ⌈(i + 1) n / m⌉)."""
        xp, size = self.xp, x.shape[-len(out) :]
        kernel = tuple(_longest(n, m) for n, m in zip(size, out, strict=True))
        # As many elements from each window's start on: a shorter one repeats its last.
        places = [
            xp.minimum(starts[:, None] + xp.arange(k), ends[:, None] - 1).reshape(-1)
            for (starts, ends), k in zip(
                (_spans(xp, n, m) for n, m in zip(size, out, strict=True)), kernel, strict=True
            )
        ]
        spread = x[(..., *_open_mesh(places))]
        zeros, ones = (0,) * len(out), (1,) * len(out)
        y, found = self.max_pool(spread, out, kernel, kernel, zeros, ones)
        wide = spread.shape[-len(out) :]
        flat = xp.broadcast_to(flat_index(xp, places, size), wide).reshape(-1)
        return y, flat[found]

    # Means ----------------------------------------------------------------------------------

    def avg_pool(
        self,
        x: Any,
        out: Ints,
        kernel: Ints,
        stride: Ints,
        padding: Ints,
        count_include_pad: bool,
        divisor: int | None,
    ) -> Any:
        """The sum of each window over ``divisor``; by default over the number of its elements.

        Padding counts with ``count_include_pad``, but what ceil_mode adds beyond it never does.
        """
        y = x.astype(accumulator(x.dtype), copy=False)
        if kernel == x.shape[-len(out) :] and not any(padding):
            y = self.sum_over(y, tuple(range(x.ndim - len(out), x.ndim)))
        else:
            for d, (m, k, s, p) in enumerate(zip(out, kernel, stride, padding, strict=True)):
                y = self._window_sum(y, d - len(out), m, k, s, p)
        counts = self._counts(
            x.shape[-len(out) :], out, kernel, stride, padding, count_include_pad, divisor
        )
        return self._divided(y, counts, x.dtype)

    def avg_pool_input(
        self,
        dy: Any,
        size: Ints,
        kernel: Ints,
        stride: Ints,
        padding: Ints,
        count_include_pad: bool,
        divisor: int | None,
    ) -> Any:
        """dx of ``avg_pool``: each dy spread evenly over its window."""
        out = dy.shape[-len(size) :]
        counts = self._counts(size, out, kernel, stride, padding, count_include_pad, divisor)
        dx = self._divided(dy.astype(accumulator(dy.dtype), copy=False), counts, None)
        if kernel == size and not any(padding):
            spread = self.xp.broadcast_to(dx, (*dx.shape[: -len(size)], *size))
            return self.xp.array(spread, dy.dtype, order="C")
        for d, (n, k, s, p) in enumerate(zip(size, kernel, stride, padding, strict=True)):
            dx = self._window_spread(dx, d - len(size), n, k, s, p)
        return dx.astype(dy.dtype, copy=False)

    def adaptive_avg_pool(self, x: Any, out: Ints) -> Any:
        """The means of the windows [⌊i n / m⌋, ⌈(i + 1) n / m⌉)."""
        xp, size = self.xp, x.shape[-len(out) :]
        kernel = _even(size, out)
        if kernel:
            return self.avg_pool(x, out, kernel, kernel, (0,) * len(out), True, None)
        y = x.astype(accumulator(x.dtype), copy=False)
        for d, (n, m) in enumerate(zip(size, out, strict=True)):
            y = xp.moveaxis(y, d - len(out), 0)
            starts, ends = _spans(xp, n, m)
            total = xp.zeros((m, *y.shape[1:]), y.dtype)
            for k in range(_longest(n, m)):
                inside = starts + k < ends
                total[inside] += y[(starts + k)[inside]]
            total /= _column(ends - starts, total)
            y = xp.moveaxis(total, 0, d - len(out))
        return xp.ascontiguousarray(y.astype(x.dtype, copy=False))

    def adaptive_avg_pool_input(self, dy: Any, size: Ints) -> Any:
        """dx of ``adaptive_avg_pool``."""
        xp, out = self.xp, dy.shape[-len(size) :]
        kernel = _even(size, out)
        if kernel:
            return self.avg_pool_input(dy, size, kernel, kernel, (0,) * len(out), True, None)
        dx = dy.astype(accumulator(dy.dtype), copy=False)
        for d, (n, m) in enumerate(zip(size, out, strict=True)):
            dx = xp.moveaxis(dx, d - len(size), 0)
            starts, ends = _spans(xp, n, m)
            share = dx / _column(ends - starts, dx)
            total = xp.zeros((n, *share.shape[1:]), dx.dtype)
            for k in range(_longest(n, m)):
                inside = starts + k < ends
                self.index_add(total, (starts + k)[inside], share[inside])
            dx = xp.moveaxis(total, 0, d - len(size))
        return xp.ascontiguousarray(dx.astype(dy.dtype, copy=False))

    def _window_sum(self, x: Any, axis: int, out: int, kernel: int, stride: int, pad: int) -> Any:
        """Along one axis (counted from the end) the sums of all windows."""
        xp, n = self.xp, x.shape[axis]
        before, after = x.shape[: x.ndim + axis], x.shape[x.ndim + axis + 1 :]
        if kernel == stride > 8 and not pad and out * kernel == n:
            return x.reshape(*before, out, kernel, *after).sum(axis, dtype=x.dtype)
        y = xp.zeros((*before, out, *after), x.dtype)
        rest = (slice(None),) * (-axis - 1)
        for _, (q,), (p,) in taps((n,), (out,), (kernel,), (stride,), (pad,), (1,)):
            y[(..., q, *rest)] += x[(..., p, *rest)]
        return y

    def _window_spread(self, y: Any, axis: int, n: int, kernel: int, stride: int, pad: int) -> Any:
        """The adjoint of ``_window_sum`` for ``n`` inputs."""
        before, after = y.shape[: y.ndim + axis], y.shape[y.ndim + axis + 1 :]
        x = self.xp.zeros((*before, n, *after), y.dtype)
        rest = (slice(None),) * (-axis - 1)
        for _, (q,), (p,) in taps((n,), (y.shape[axis],), (kernel,), (stride,), (pad,), (1,)):
            x[(..., p, *rest)] += y[(..., q, *rest)]
        return x

    def _counts(
        self,
        size: Ints,
        out: Ints,
        kernel: Ints,
        stride: Ints,
        padding: Ints,
        count_include_pad: bool,
        divisor: int | None,
    ) -> Any:
        """What the sum of each window is divided by: a number, or an int64 array (*out)."""
        if divisor is not None:
            return divisor
        if not any(padding) and all(
            (m - 1) * s + k <= n for n, m, k, s in zip(size, out, kernel, stride, strict=True)
        ):
            return math.prod(kernel)
        xp = self.xp
        counts = xp.ones((), xp.int64)
        for n, m, k, s, p in zip(size, out, kernel, stride, padding, strict=True):
            starts = xp.arange(m) * s - p
            if count_include_pad:
                length = xp.minimum(starts + k, n + p) - starts
            else:
                length = xp.minimum(starts + k, n) - xp.maximum(starts, 0)
            counts = counts[..., None] * length
        return counts

    def _divided(self, sums: Any, counts: Any, dtype: Any) -> Any:
        """``sums / counts``, integers truncated towards zero as in C."""
        if sums.dtype.kind in FLOATING:
            scale = counts if isinstance(counts, int) else counts.astype(sums.dtype)
            quotient = sums / scale
        else:
            whole = abs(sums) // abs(counts)
            quotient = whole * self.xp.sign(sums) * self.xp.sign(self.xp.asarray(counts))
        return quotient if dtype is None else quotient.astype(dtype, copy=False)


def _lowest(xp: Any, dtype: Any) -> Any:
    return -xp.inf if dtype.kind in FLOATING else int(xp.iinfo(dtype).min)


def _first(starts: Any, dilation: int) -> Any:
    """The first tap of windows that is not on the left padding."""
    return starts + (-(starts // dilation) * dilation) * (starts < 0)


def flat_index(xp: Any, places: list[Any], size: Ints) -> Any:
    """The indices, in the plane ``size`` made flat, of the grid that ``places`` span."""
    flat = xp.zeros((), xp.int64)
    for place, n in zip(places, size, strict=True):
        flat = flat[..., None] * n + place
    return flat


def _open_mesh(places: list[Any]) -> list[Any]:
    """Index arrays that together pick the grid that ``places`` span."""
    return [
        place.reshape(-1, *(1 for _ in range(d + 1, len(places)))) for d, place in enumerate(places)
    ]


def _column(vector: Any, like: Any) -> Any:
    """``vector`` along the first dimension of ``like``, in its dtype."""
    return vector.astype(like.dtype).reshape(-1, *(1 for _ in like.shape[1:]))


def _even(size: Ints, out: Ints) -> Ints | None:
    """The windows' shape where adaptive windows are all alike and do not overlap."""
    if any(m == 0 or n % m for n, m in zip(size, out, strict=True)):
        return None
    return tuple(n // m for n, m in zip(size, out, strict=True))


def _spans(xp: Any, n: int, m: int) -> tuple[Any, Any]:
    """Starts and ends of ``m`` adaptive windows over ``n`` elements."""
    i = xp.arange(m)
    return i * n // m, -((-(i + 1) * n) // m)


def _longest(n: int, m: int) -> int:
    """The length of the longest of ``m`` adaptive windows over ``n`` elements."""
    return max((-(-(i + 1) * n // m) - i * n // m for i in range(m)), default=0)
