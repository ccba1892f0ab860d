"""Normalization by CUDA kernels: which build of normalization.cu, and the grid over channels."""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

import math
from typing import Any

from gpunn.backends.launcher import Source, builds, ceil_div, width
from gpunn.backends.reference.normalization import NormalizationPrimitives

_ACCUM = {"float16": "float32", "bfloat16": "float32", "float32": "float32", "float64": "float64"}
_WIDTHS = {"float16": 4, "bfloat16": 4, "float32": 4, "float64": 2}
NORMALIZATION = Source(
    "normalization.cu",
    *(
        builds(SCALAR=(scalar,), PARAM=sorted({scalar, accum}), WIDTH=(1, _WIDTHS[scalar]))
        for scalar, accum in _ACCUM.items()
    ),
)
_THREADS, _COLUMNS = 256, 32
_BLOCKS = 1024  # fill any GPU; a constant, so that sums are the same on all
_ELEMENTS = 16  # the least for a thread to do
_SHORT = 2048  # bytes of a row that 32 threads share
_SHARED = 40 * 1024  # bytes of a block; with what the kernels declare, below what any GPU has


class DeviceNormalization(NormalizationPrimitives):
    """Batch norm in two kernels each way, layer norm in one forward and two or three backward."""

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
        param = _param(x, x.shape[1], weight, bias, running_mean, running_var)
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
        param = _param(x, x.shape[1], weight)
        if param is None or dy.dtype != x.dtype or not _summed(x, mean, var):
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
        param = _param(x, x.shape[1], weight, bias, mean, var)
        if param is None:
            return super().batch_norm_eval(x, weight, bias, mean, var, eps)
        x = self.xp.ascontiguousarray(x)
        y = self.xp.empty_like(x)
        _Channels(param, x, y)("batch_norm_eval", x, weight, bias, mean, var, y, eps)
        return y

    def layer_norm(
        self, x: Any, weight: Any, bias: Any, dims: int, eps: float
    ) -> tuple[Any, Any, Any]:
        param = _param(x, math.prod(x.shape[: x.ndim - dims]), weight, bias)
        if param is None:
            return super().layer_norm(x, weight, bias, dims, eps)
        xp, x = self.xp, self.xp.ascontiguousarray(x)
        y = xp.empty_like(x)
        launch = _Rows(param, dims, x, y, weight, bias)
        mean, var = (xp.empty(launch.lead, launch.accum) for _ in range(2))
        launch("layer_norm_forward", 1, x, weight, bias, y, mean, var, eps)
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
        affine: bool = True,
    ) -> tuple[Any, Any, Any]:
        param = _param(x, math.prod(x.shape[: x.ndim - dims]), weight)
        if param is None or dy.dtype != x.dtype or not _summed(x, mean, var):
            return super().layer_norm_input(dy, x, weight, mean, var, dims, eps, affine)
        xp, x, dy = self.xp, self.xp.ascontiguousarray(x), self.xp.ascontiguousarray(dy)
        dx = xp.empty_like(x)
        launch = _Rows(param, dims, x, dy, dx, weight)
        launch("layer_norm_backward", 2, dy, x, weight, mean, var, dx, eps)
        dw, db = launch.over_rows(xp, dy, x, mean, var, eps) if affine else (None, None)
        return dx, dw, db


class _Channels:
    """A grid over the channels of ``x`` (outer, channels, inner); called, it launches."""

    def __init__(self, param: str, x: Any, *others: Any) -> None:
        self.channels = x.shape[1]
        self.total = x.size // self.channels  # elements of a channel
        inner = self.total // x.shape[0]
        wide = _wide(inner, x, *others)
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


class _Rows:
    """A grid over the rows of ``x``, its last ``dims`` dimensions; called, it launches."""

    def __init__(self, param: str, dims: int, x: Any, *others: Any) -> None:
        lead = x.ndim - dims
        self.lead, self.shape = x.shape[:lead] + (1,) * dims, x.shape[lead:]
        self.size = math.prod(self.shape)
        self.rows = x.size // self.size
        self.accum = _ACCUM[x.dtype.name]
        self.wide = _wide(self.size, x, *others)
        self.build = {"SCALAR": x.dtype, "PARAM": param, "WIDTH": self.wide}
        threads = _COLUMNS if self.size * x.dtype.itemsize <= _SHORT else _THREADS
        self.block = threads, _THREADS // threads
        self.bytes = self.size * x.dtype.itemsize * self.block[1]

    def __call__(self, name: str, arrays: int, *arguments: Any) -> None:
        """Launch; the kernel keeps rows of so many arrays, where there is room for them."""
        shared = arrays * self.bytes
        keep = shared <= _SHARED
        grid = (ceil_div(self.rows, self.block[1]),)
        kernel = NORMALIZATION(name, **self.build)
        numbers = self.rows, self.size, keep
        kernel(grid, self.block, *arguments, *numbers, shared=shared if keep else 0)

    def over_rows(self, xp: Any, dy: Any, x: Any, mean: Any, var: Any, eps: float) -> Any:
        """dw and db."""
        down = _THREADS // _COLUMNS
        across = ceil_div(self.size, _COLUMNS * self.wide)
        splits = min(ceil_div(_BLOCKS, across), ceil_div(self.rows, down * _ELEMENTS))
        chunk = ceil_div(ceil_div(self.rows, splits), down) * down
        splits = ceil_div(self.rows, chunk)
        parts = xp.empty((splits, 2, *self.shape), self.accum)
        kernel, numbers = NORMALIZATION("layer_norm_weight", **self.build), (self.rows, self.size)
        kernel((across, splits), (_COLUMNS, down), dy, x, mean, var, parts, eps, *numbers, chunk)
        if splits == 1:
            return parts[0]
        sums = xp.empty((2, *self.shape), self.accum)
        kernel = NORMALIZATION("layer_norm_weight_sum", **self.build)
        kernel((ceil_div(sums.size, _THREADS),), (_THREADS,), parts, sums, sums.size, splits)
        return sums


def _param(x: Any, lines: int, *vectors: Any) -> str | None:
    """The one dtype of the vectors given; None where the kernels do not cover ``x`` and them.

    ``lines``: how many channels or rows there are, whose elements they count in 32 bits.
    """
    if x.dtype.name not in _ACCUM or not 0 < x.size <= 2**30 * lines:
        return None
    given = [v for v in vectors if v is not None]
    names = {v.dtype.name for v in given} or {_ACCUM[x.dtype.name]}
    name = names.pop()
    covered = name in (x.dtype.name, _ACCUM[x.dtype.name])
    if names or not covered or not all(v.flags.c_contiguous for v in given):
        return None
    return name


def _summed(x: Any, *vectors: Any) -> bool:
    """Whether the vectors are of the dtype in which sums over ``x`` are kept."""
    wanted = _ACCUM[x.dtype.name]
    return all(v.dtype.name == wanted and v.flags.c_contiguous for v in vectors)


def _wide(count: int, x: Any, *others: Any) -> int:
    """How many elements to access at a time, where lines have ``count``."""
    most = _WIDTHS[x.dtype.name]
    return width(most, x, *(a for a in others if a is not None)) if count % most == 0 else 1
