"""Normalization by CUDA kernels: their builds, and the grids over channels and over rows."""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

import math
from typing import Any

from gpunn.backends.launcher import Source, builds, ceil_div, width
from gpunn.backends.reference.normalization import NormalizationPrimitives

_ACCUM = {"float16": "float32", "bfloat16": "float32", "float32": "float32", "float64": "float64"}
_WIDTHS = {"float16": 4, "bfloat16": 4, "float32": 4, "float64": 2}
_BUILDS = [
    build
    for scalar, accum in _ACCUM.items()
    for build in builds(SCALAR=(scalar,), PARAM=sorted({scalar, accum}), WIDTH=(1, _WIDTHS[scalar]))
]
NORMALIZATION = Source("normalization.cu", _BUILDS)
ROWS = Source("normalization_rows.cu", _BUILDS)
_THREADS, _LANES = 256, 32
_BLOCKS = 1024  # fill any GPU; a constant, so that sums are the same on all
_ELEMENTS = 16  # the least for a thread to do
_SHORT = 2048  # bytes of a row that 32 threads share
_SHARED = 40 * 1024  # bytes of a block; with what the kernels declare, below what any GPU has


class DeviceNormalization(NormalizationPrimitives):
    """Batch norm in two kernels each way; layer norm in one, and more for its weight's gradient."""

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
        vectors = weight, bias, *launch.shares
        launch("batch_norm_forward", x, parts, *vectors, y, mean, var, *running, eps)
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
        launch("batch_norm_sums", dy, x, weight, *launch.shares, mean, parts)
        vectors = weight, *launch.shares, mean, var
        launch("batch_norm_backward", dy, x, parts, *vectors, dx, dw, db, eps)
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
        lead = x.ndim - dims
        param = _param(x, math.prod(x.shape[:lead]), weight, bias)
        given = [v.shape for v in (weight, bias) if v is not None]
        shares = _shares(x, dims, *given) if param else None
        if param is None or shares is None:
            return super().layer_norm(x, weight, bias, dims, eps)
        xp, x = self.xp, self.xp.ascontiguousarray(x)
        y = xp.empty_like(x)
        launch = _Rows(param, dims, shares, x, y, weight, bias)
        shape = (*x.shape[:lead], *(1,) * dims)
        mean, var = (xp.empty(shape, _ACCUM[x.dtype.name]) for _ in range(2))
        if not launch.long:
            launch("layer_norm_forward", 1, x, weight, bias, y, mean, var, eps)
            return y, mean, var
        channels = launch.as_channels(x, y, weight, bias)
        parts = channels.parts(xp, 3)
        channels("batch_norm_moments", x, parts)
        vectors, running = (weight, bias, *shares), (None, None, 0, 1)
        channels("batch_norm_forward", x, parts, *vectors, y, mean, var, *running, eps)
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
        param = _param(x, math.prod(x.shape[: x.ndim - dims]), weight)
        shares = _shares(x, dims, *([] if affine is None else [affine])) if param else None
        if param is None or shares is None or dy.dtype != x.dtype or not _summed(x, mean, var):
            return super().layer_norm_input(dy, x, weight, mean, var, dims, eps, affine)
        xp, x, dy = self.xp, self.xp.ascontiguousarray(x), self.xp.ascontiguousarray(dy)
        dx = xp.empty_like(x)
        launch = _Rows(param, dims, shares, x, dy, dx, weight)
        if launch.long:
            channels = launch.as_channels(x, dy, dx, weight)
            parts = channels.parts(xp, 2)
            channels("batch_norm_sums", dy, x, weight, *shares, mean, parts)
            vectors = weight, *shares, mean, var
            channels("batch_norm_backward", dy, x, parts, *vectors, dx, None, None, eps)
        else:
            launch("layer_norm_backward", 2, dy, x, weight, mean, var, dx, eps)
        if affine is None:
            return dx, None, None
        dw, db = launch.sums(xp, affine, (dy, x, mean, var), eps)
        return dx, dw, db


class _Channels:
    """A grid over the channels of ``x`` (outer, channels, inner); called, it launches."""

    def __init__(
        self, param: str, x: Any, *others: Any, shares: tuple[int, int] | None = None
    ) -> None:
        self.channels = x.shape[1]
        self.total = x.size // self.channels  # elements of a channel
        inner = self.total // x.shape[0]
        self.shares = shares or (self.channels, inner)  # as in _shares
        wide = _wide(inner if self.shares[1] == 1 else self.shares[1], x, *others)
        self.build = {"SCALAR": x.dtype, "PARAM": param, "WIDTH": wide}
        columns = _LANES if inner == 1 else 1
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

    def __init__(
        self, param: str, dims: int, shares: tuple[int, int], x: Any, *others: Any
    ) -> None:
        self.size = math.prod(x.shape[x.ndim - dims :])
        self.rows = x.size // self.size
        self.groups, self.share = shares
        self.plain = self.groups == self.share == 1  # layer norm, whose weight is a row
        self.wide = _wide(self.size if self.plain else self.share, x, *others)
        self.build = {"SCALAR": x.dtype, "PARAM": param, "WIDTH": self.wide}
        self.bytes = x.dtype.itemsize
        self.long = self.size * self.bytes > _SHARED  # rows that no block can keep

    def as_channels(self, x: Any, *others: Any) -> _Channels:
        """The grid over rows that several blocks share."""
        rows = x.reshape(1, self.rows, self.size)
        return _Channels(self.build["PARAM"], rows, *others, shares=(self.groups, self.share))

    def kernel(self, name: str) -> Any:
        return ROWS(name, **self.build)

    def block(self, size: int) -> tuple[int, int]:
        """Threads to share a row, and rows of a block."""
        threads = _LANES if size * self.bytes <= _SHORT else _THREADS
        return threads, _THREADS // threads

    def __call__(self, name: str, arrays: int, *arguments: Any) -> None:
        """Launch; the kernel keeps rows of so many arrays, where there is room for them."""
        block = self.block(self.size)
        shared = arrays * self.size * self.bytes * block[1]
        keep = shared <= _SHARED
        grid = ceil_div(self.rows, block[1])
        numbers = 1 / self.size, self.rows, self.size, self.groups, self.share, keep
        self.kernel(name)((grid,), block, *arguments, *numbers, shared=shared if keep else 0)

    def sums(self, xp: Any, affine: tuple[int, ...], inputs: tuple[Any, ...], eps: float) -> Any:
        """dw and db of that shape; the inputs are dy, x, mean and var."""
        made = self._of_columns if self.plain else self._of_shares
        parts = made(xp, affine, inputs, eps)
        if len(parts) == 1:
            return parts[0]
        sums = xp.empty_like(parts[0])
        blocks = ceil_div(sums.size, _THREADS)
        kernel = self.kernel("normalization_weight_sum")
        kernel((blocks,), (_THREADS,), parts, sums, sums.size, len(parts))
        return sums

    def _of_columns(self, xp: Any, affine: tuple[int, ...], inputs: Any, eps: float) -> Any:
        """The sums of each column, in parts of some rows."""
        down = _THREADS // _LANES
        across = ceil_div(self.size, _LANES * self.wide)
        splits = min(ceil_div(_BLOCKS, across), ceil_div(self.rows, down * _ELEMENTS))
        chunk = ceil_div(ceil_div(self.rows, splits), down) * down
        parts = xp.empty((ceil_div(self.rows, chunk), 2, *affine), inputs[-1].dtype)
        grid, numbers = (across, len(parts)), (self.rows, self.size, chunk)
        self.kernel("layer_norm_weight")(grid, (_LANES, down), *inputs, parts, eps, *numbers)
        return parts

    def _of_shares(self, xp: Any, affine: tuple[int, ...], inputs: Any, eps: float) -> Any:
        """The sums of each share, in parts of an image, after which the weights repeat."""
        block, of_row = self.block(self.share), self.size // self.share
        shares, of_image = self.rows * of_row, self.groups * of_row
        parts = xp.empty((shares // of_image, 2, *affine), inputs[-1].dtype)
        grid, numbers = ceil_div(shares, block[1]), (shares, self.share, of_row, of_image)
        self.kernel("group_norm_weight")((grid,), block, *inputs, parts, eps, *numbers)
        return parts


def _shares(x: Any, dims: int, *shapes: tuple[int, ...]) -> tuple[int, int] | None:
    """How many rows have weights of their own, and how many elements in turn share one of them.

    None for shapes that are not the last dimensions of ``x`` but for a tail of size 1, and for more
    rows, or shares, than the kernels count.
    """
    found = {(1, 1)} if not shapes else set[Any]()
    for shape in shapes:
        tail = x.ndim
        while tail > x.ndim - min(dims, len(shape)) and shape[tail - x.ndim - 1] == 1:
            tail -= 1
        if len(shape) < dims or shape[: len(shape) + tail - x.ndim] != x.shape[-len(shape) : tail]:
            return None
        found.add((math.prod(shape[:-dims]), math.prod(x.shape[tail:])))
    groups, share = found.pop()
    counted = math.prod(x.shape[: x.ndim - dims]) if share == 1 == groups else x.size // share
    return None if found or counted >= 2**31 else (groups, share)


def _param(x: Any, lines: int, *vectors: Any) -> str | None:
    """The one dtype of the vectors given; None where the kernels do not cover ``x`` and them.

    ``lines``: how many channels or rows there are. They and their elements are counted in 32 bits.
    """
    if x.dtype.name not in _ACCUM or not 0 < x.size <= 2**30 * lines or lines >= 2**31:
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
