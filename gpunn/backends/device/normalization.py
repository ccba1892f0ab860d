"""Normalization by CUDA kernels: which build of normalization.cu, and the grid over channels."""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

import math
from typing import Any

from gpunn.backends.launcher import Source, builds, ceil_div, width
from gpunn.backends.reference.normalization import NormalizationPrimitives

_ACCUM = {"float16": "float32", "bfloat16": "float32", "float32": "float32", "float64": "float64"}
NORMALIZATION = Source(
    "normalization.cu",
    *(
        builds(SCALAR=(scalar,), PARAM=sorted({scalar, accum}), WIDTH=(1, 4))
        for scalar, accum in _ACCUM.items()
    ),
)
_THREADS, _COLUMNS = 256, 32
_BLOCKS = 1024  # fill any GPU; a constant, so that sums are the same on all
_ELEMENTS = 16  # the least for a thread to do


class DeviceNormalization(NormalizationPrimitives):
    """Batch norm in two kernels each way."""

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
        vectors = weight, bias, running_mean, running_var
        param = _param(x, *vectors)
        if param is None:
            return super().batch_norm(x, weight, bias, eps, running_mean, running_var, momentum)
        xp, x = self.xp, self.xp.ascontiguousarray(x)
        y = xp.empty_like(x)
        launch = _Channels(param, x, y)
        mean, var = launch.vectors(xp, 2)
        parts = launch.parts(xp, 3)
        launch("batch_norm_moments", x, parts)
        unbiased = launch.total / max(1, launch.total - 1)
        running = running_mean, running_var, momentum, unbiased
        launch("batch_norm_forward", x, parts, weight, bias, y, mean, var, *running, eps)
        return y, mean, var

    def batch_norm_input(
        self, dy: Any, x: Any, weight: Any, mean: Any, var: Any, eps: float
    ) -> tuple[Any, Any, Any]:
        param = _param(x, weight)
        if param is None or dy.dtype != x.dtype or not _wide(x, mean, var):
            return super().batch_norm_input(dy, x, weight, mean, var, eps)
        xp, x, dy = self.xp, self.xp.ascontiguousarray(x), self.xp.ascontiguousarray(dy)
        dx = xp.empty_like(x)
        launch = _Channels(param, x, dy, dx)
        dw, db = launch.vectors(xp, 2)
        parts = launch.parts(xp, 2)
        launch("batch_norm_sums", dy, x, mean, parts)
        launch("batch_norm_backward", dy, x, parts, weight, mean, var, dx, dw, db, eps)
        return dx, dw, db

    def batch_norm_eval(
        self, x: Any, weight: Any, bias: Any, mean: Any, var: Any, eps: float
    ) -> Any:
        param = _param(x, weight, bias, mean, var)
        if param is None:
            return super().batch_norm_eval(x, weight, bias, mean, var, eps)
        x = self.xp.ascontiguousarray(x)
        y = self.xp.empty_like(x)
        _Channels(param, x, y)("batch_norm_eval", x, weight, bias, mean, var, y, eps)
        return y


class _Channels:
    """A grid over the channels of ``x`` (outer, channels, inner); called, it launches."""

    def __init__(self, param: str, x: Any, *others: Any) -> None:
        self.channels = x.shape[1]
        self.total = x.size // self.channels  # elements of a channel
        inner = self.total // x.shape[0]
        wide = width(4, x, *others) if inner % 4 == 0 else 1
        self.build = {"SCALAR": x.dtype, "PARAM": param, "WIDTH": wide}
        columns = _COLUMNS if inner == 1 else 1
        across, threads = ceil_div(self.channels, columns), _THREADS // columns
        # The last: every block reads the parts of all, which shall be little beside its chunk.
        splits = min(
            ceil_div(_BLOCKS, across),
            ceil_div(self.total, threads * _ELEMENTS),
            max(1, math.isqrt(self.total // 64)),
        )
        chunk = ceil_div(ceil_div(self.total, splits), threads * wide) * threads * wide
        self.grid = across, ceil_div(self.total, chunk)
        self.numbers = self.channels, inner, self.total, chunk

    def __call__(self, name: str, *arguments: Any) -> None:
        kernel = NORMALIZATION(name, **self.build)
        kernel(self.grid, (_THREADS,), *arguments, *self.numbers)

    def vectors(self, xp: Any, n: int) -> list[Any]:
        """``n`` vectors for one sum of each channel."""
        return [xp.empty(self.channels, _ACCUM[self.build["SCALAR"].name]) for _ in range(n)]

    def parts(self, xp: Any, n: int) -> Any:
        """Room for ``n`` numbers from every block and channel."""
        return xp.empty((n, self.grid[1], self.channels), _ACCUM[self.build["SCALAR"].name])


def _param(x: Any, *vectors: Any) -> str | None:
    """The one dtype of the vectors given; None where the kernels do not cover ``x`` and them."""
    if x.dtype.name not in _ACCUM or not 0 < x.size < 2**31 * x.shape[1]:
        return None
    given = [v for v in vectors if v is not None]
    names = {v.dtype.name for v in given} or {_ACCUM[x.dtype.name]}
    name = names.pop()
    covered = name in (x.dtype.name, _ACCUM[x.dtype.name])
    if names or not covered or not all(v.flags.c_contiguous for v in given):
        return None
    return name


def _wide(x: Any, *vectors: Any) -> bool:
    """Whether the vectors are of the dtype in which sums over ``x`` are kept."""
    wanted = _ACCUM[x.dtype.name]
    return all(v.dtype.name == wanted and v.flags.c_contiguous for v in vectors)
