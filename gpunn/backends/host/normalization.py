"""Normalization on the CPU: channels or rows in tiles that stay in the cache, over threads."""

from __future__ import annotations

import math
from typing import Any

import numpy

from gpunn.backends.host.reduction import dots
from gpunn.backends.host.threads import scratch, share, tiled
from gpunn.backends.reference.normalization import NormalizationPrimitives

_FEW = 2**17  # elements, with fewer of which gathering the channels is not worth it
_LITTLE = 2**13  # elements: below, one plain call is as fast


class HostNormalization(NormalizationPrimitives):
    """The reference, applied to some channels or some rows at a time."""

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
        if x.size <= _FEW or x.dtype.char not in "fd":
            return super().batch_norm(x, weight, bias, eps, running_mean, running_var, momentum)
        count = x.size // x.shape[1]
        y = numpy.empty(x.shape, x.dtype)
        mean, var = numpy.empty((2, x.shape[1], 1), x.dtype)

        def work(start: int, stop: int) -> None:
            here = slice(start, stop)
            rows = _rows("x", x, here)
            numpy.divide(dots(rows), count, out=mean[here, 0])
            rows -= mean[here]
            numpy.divide(dots(rows, rows), count, out=var[here, 0])
            scale = 1 / numpy.sqrt(var[here] + eps)
            rows *= scale if weight is None else scale * weight[here, None]
            if bias is not None:
                rows += bias[here, None]
            _put(y, here, rows)

        tiled(work, x.shape[1], share(x.shape[1], count))
        mean, var = mean[:, 0], var[:, 0]
        self._move(running_mean, running_var, mean, var, momentum, x)
        return y, mean, var

    def batch_norm_input(
        self, dy: Any, x: Any, weight: Any, mean: Any, var: Any, eps: float
    ) -> tuple[Any, Any, Any]:
        if x.size <= _FEW or x.dtype.char not in "fd":
            return super().batch_norm_input(dy, x, weight, mean, var, eps)
        count = x.size // x.shape[1]
        dx = numpy.empty(x.shape, x.dtype)
        dw, db = numpy.empty((2, x.shape[1], 1), x.dtype)
        rstd = 1 / numpy.sqrt(var + eps)[:, None]
        scale = rstd if weight is None else rstd * weight[:, None]

        def work(start: int, stop: int) -> None:
            here = slice(start, stop)
            apart, v = _rows("x", x, here), _rows("dy", dy, here)
            apart -= mean[here, None]  # x̂ rstd⁻¹: the factors rstd go to the small arrays
            numpy.multiply(dots(v, apart), rstd[here, 0], out=dw[here, 0])
            db[here, 0] = dots(v)
            apart *= dw[here] * rstd[here] / count
            v -= apart
            v -= db[here] / count
            v *= scale[here]
            _put(dx, here, v)

        tiled(work, x.shape[1], share(x.shape[1], count))
        return dx, dw[:, 0], db[:, 0]

    def batch_norm_eval(
        self, x: Any, weight: Any, bias: Any, mean: Any, var: Any, eps: float
    ) -> Any:
        if x.size <= _LITTLE or x.dtype.char not in "fd" or not x.flags.c_contiguous:
            return super().batch_norm_eval(x, weight, bias, mean, var, eps)
        # One number for each element of an image: NumPy is fast along long rows.
        each = x.size // (len(x) * x.shape[1])
        affine = self._scale_and_shift(weight, bias, mean, var, eps)
        scale, shift = (numpy.repeat(v, each) for v in affine)
        y = numpy.empty(x.shape, x.dtype)
        xs, ys = x.reshape(len(x), -1), y.reshape(len(x), -1)

        def work(start: int, stop: int) -> None:
            numpy.multiply(xs[start:stop], scale, out=ys[start:stop])
            ys[start:stop] += shift

        tiled(work, len(x), share(len(x), xs.shape[1], 2))
        return y

    def layer_norm(
        self, x: Any, weight: Any, bias: Any, dims: int, eps: float
    ) -> tuple[Any, Any, Any]:
        wide = max(dims, *(v.ndim for v in (weight, bias) if v is not None), 0)
        if not _large(x) or x.ndim == wide:
            return super().layer_norm(x, weight, bias, dims, eps)
        y = numpy.empty(x.shape, x.dtype)
        lead = (*x.shape[: x.ndim - dims], *(1,) * dims)
        mean, var = numpy.empty((2, *lead), numpy.promote_types(x.dtype, "f4"))
        xs, ys, means, variances = (_flat(a, wide) for a in (x, y, mean, var))

        def work(start: int, stop: int) -> None:
            here, layer = slice(start, stop), NormalizationPrimitives.layer_norm
            ys[here], means[here], variances[here] = layer(self, xs[here], weight, bias, dims, eps)

        tiled(work, len(xs), share(len(xs), xs[0].size))
        return y, mean, var

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
        wide = max(dims, len(affine or ()))
        if not _large(x) or x.ndim == wide:
            return super().layer_norm_input(dy, x, weight, mean, var, dims, eps, affine)
        dx = numpy.empty(x.shape, x.dtype)
        dys, xs, means, variances, dxs = (_flat(a, wide) for a in (dy, x, mean, var, dx))
        step = share(len(xs), xs[0].size)
        sums = numpy.empty((2, -(-len(xs) // step), *(affine or ())), mean.dtype)

        def work(start: int, stop: int) -> None:
            here, layer = slice(start, stop), NormalizationPrimitives.layer_norm_input
            parts = dys[here], xs[here], weight, means[here], variances[here]
            dxs[here], dw, db = layer(self, *parts, dims, eps, affine)
            if affine is not None:
                sums[0, start // step], sums[1, start // step] = dw, db

        tiled(work, len(xs), step)
        dw, db = (None, None) if affine is None else sums.sum(1)
        return dx, dw, db


def _large(x: Any) -> bool:
    """Whether there is more than one tile of ``x``."""
    return share(x.size) < x.size and x.flags.c_contiguous


def _rows(name: str, x: Any, here: slice) -> Any:
    """Some channels of (N, C, ...), each as one row, in scratch."""
    part = x[:, here].swapaxes(0, 1)
    rows = scratch(name, part.shape, x.dtype)
    rows[...] = part
    return rows.reshape(len(rows), -1)


def _put(y: Any, here: slice, rows: Any) -> None:
    """The reverse of ``_rows``: write ``rows`` into channels of ``y``."""
    place = y[:, here].swapaxes(0, 1)
    place[...] = rows.reshape(place.shape)


def _flat(x: Any, dims: int) -> Any:
    """All dimensions before the last ``dims`` as one."""
    lead = x.ndim - dims
    return x.reshape(math.prod(x.shape[:lead]), *x.shape[lead:])
