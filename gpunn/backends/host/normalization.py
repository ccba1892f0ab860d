"""Normalization on the CPU: channels or rows in tiles that stay in the cache, over threads."""

from __future__ import annotations

import math
from typing import Any

import numpy

from gpunn.backends.host.threads import TILE, tiled
from gpunn.backends.reference.normalization import NormalizationPrimitives


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
        if not _large(x):
            return super().batch_norm(x, weight, bias, eps, running_mean, running_var, momentum)
        y = numpy.empty(x.shape, x.dtype)
        mean, var = numpy.empty((2, x.shape[1]), numpy.promote_types(x.dtype, "f4"))

        def work(start: int, stop: int) -> None:
            here = slice(start, stop)
            w, b = _part(weight, here), _part(bias, here)
            rows, m, v = self._norm(_rows(x, here), w, b, (1,), eps)
            mean[here], var[here] = m[:, 0], v[:, 0]
            _put(y, here, rows)

        tiled(work, x.shape[1], _channels(x))
        self._move(running_mean, running_var, mean, var, momentum, x)
        return y, mean, var

    def batch_norm_input(
        self, dy: Any, x: Any, weight: Any, mean: Any, var: Any, eps: float
    ) -> tuple[Any, Any, Any]:
        if not _large(x):
            return super().batch_norm_input(dy, x, weight, mean, var, eps)
        dx = numpy.empty(x.shape, x.dtype)
        dw, db = numpy.empty((2, x.shape[1]), mean.dtype)

        def work(start: int, stop: int) -> None:
            here = slice(start, stop)
            w, m, v = _part(weight, here), _part(mean, here), _part(var, here)
            parts = _rows(dy, here), _rows(x, here)
            rows, dw_here, db_here = self._norm_input(*parts, w, m, v, (1,), (1,), eps)
            dw[here], db[here] = dw_here[:, 0], db_here[:, 0]
            _put(dx, here, rows)

        tiled(work, x.shape[1], _channels(x))
        return dx, dw, db

    def batch_norm_eval(
        self, x: Any, weight: Any, bias: Any, mean: Any, var: Any, eps: float
    ) -> Any:
        if not _large(x):
            return super().batch_norm_eval(x, weight, bias, mean, var, eps)
        y = numpy.empty(x.shape, x.dtype)

        def work(start: int, stop: int) -> None:
            here, evaluate = slice(start, stop), NormalizationPrimitives.batch_norm_eval
            y[here] = evaluate(self, x[here], weight, bias, mean, var, eps)

        tiled(work, len(x), max(1, TILE * len(x) // x.size))
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

        tiled(work, len(xs), max(1, TILE // xs[0].size))
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
        step = max(1, TILE // xs[0].size)
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
    return x.size > TILE and x.flags.c_contiguous


def _channels(x: Any) -> int:
    """How many channels make a tile."""
    return max(1, TILE * x.shape[1] // x.size)


def _part(vector: Any, here: slice) -> Any:
    """Some elements of a vector, one for each row; None stays None."""
    return None if vector is None else vector[here, None]


def _rows(x: Any, here: slice) -> Any:
    """Some channels of (N, C, ...), each as one row."""
    part = x[:, here].swapaxes(0, 1)
    return part.reshape(part.shape[0], -1)


def _put(y: Any, here: slice, rows: Any) -> None:
    """The reverse of ``_rows``: write ``rows`` into channels of ``y``."""
    place = y[:, here].swapaxes(0, 1)
    place[...] = rows.reshape(place.shape)


def _flat(x: Any, dims: int) -> Any:
    """All dimensions before the last ``dims`` as one."""
    lead = x.ndim - dims
    return x.reshape(math.prod(x.shape[:lead]), *x.shape[lead:])
