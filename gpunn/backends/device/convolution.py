"""Convolution on CUDA devices: which build of kernels/conv2d*.cu, and how it is launched.

In one and two dimensions; one is a row of the other. 1 x 1 filters are a matrix product. What the
kernels do not cover (three dimensions, filters over 15 x 16, huge images) is left to the reference.
"""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import cupy
import numpy

from gpunn.backends import cuda
from gpunn.backends.device.geometry import COLUMNS, Axes, Tile, axes_of, struct
from gpunn.backends.launcher import Source, builds, ceil_div
from gpunn.backends.reference.convolution import ConvolutionPrimitives
from gpunn.backends.reference.window import Ints, output_size
from gpunn.dtype import accumulator

_FLOATS = ("float16", "bfloat16", "float32", "float64")
_HALVES = [
    *builds(SCALAR=("float16",), TENSOR=(1,), BM=(64, 128), BK=(16,), STAGES=(2,)),
    *builds(SCALAR=("bfloat16",), TENSOR=(1,), BM=(64, 128), BK=(16,), STAGES=(2,), since=80),
]
_TENSOR = builds(SCALAR=("float32",), TENSOR=(1, 3), BM=(64, 128), BK=(16,), STAGES=(3,), since=80)
_DOUBLE = builds(SCALAR=("float64",), TENSOR=(0,), BM=(32,), BK=(8,), STAGES=(2,))
CONV2D = Source(
    "conv2d.cu",
    builds(SCALAR=("float32",), TENSOR=(0,), BM=(32, 64, 128), BK=(16,), STAGES=(3,), since=80),
    builds(SCALAR=("float32",), TENSOR=(0,), BM=(64,), BK=(16,), STAGES=(2,)),
    builds(SCALAR=("float32",), TENSOR=(0,), BM=(128,), BK=(8,), STAGES=(2,)),
    _TENSOR,
    _DOUBLE,
    _HALVES,
)
CONV2D_WEIGHT = Source(
    "conv2d_weight.cu",
    builds(SCALAR=("float32",), TENSOR=(0,), BM=(32, 64, 128), BK=(8,), STAGES=(4,), since=80),
    builds(SCALAR=("float32",), TENSOR=(0,), BM=(64, 128), BK=(8,), STAGES=(2,)),
    _TENSOR,
    _DOUBLE,
    _HALVES,
)
CONV2D_BIAS = Source("conv2d_bias.cu", builds(SCALAR=_FLOATS))
_PRECISIONS = {"ieee": 0, "tf32": 1, "tf32x3": 3}
_BLOCKS = 256  # that fill a GPU; a constant, so that sums are the same on all
_SHARE = 4096  # elements that a block of the bias' gradient should at least add
_LEAST = 32  # tiles that a block of the weight's gradient should at least add


class DeviceConvolution(ConvolutionPrimitives):
    """``conv`` and its adjoints by an implicit matrix product."""

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
        xp, kernel = self.xp, weight.shape[2:]
        out = tuple(map(output_size, x.shape[2:], kernel, stride, padding, dilation))
        axes = axes_of(x.shape[2:], out, kernel, stride, padding, dilation)
        n, c, m = x.shape[0], weight.shape[1], weight.shape[0] // groups
        if _is_product(x, weight, axes):
            y = xp.matmul(weight.reshape(groups, m, c), x.reshape(n, groups, c, -1))
            y = y.reshape(n, groups * m, *out)
            return y if bias is None else xp.add(y, bias.reshape(-1, *(1 for _ in out)), out=y)
        tile = _tile(x, axes, n, groups, c, m, m)
        if tile is None or axes is None:
            return super().conv(x, weight, bias, stride, padding, dilation, groups)
        y = xp.empty((n, groups * m, *out), x.dtype)
        bias = None if bias is None else xp.ascontiguousarray(bias)
        work = _forward(axes, n, c, m, kernel, tile)
        self._convolve("conv2d_forward", work, groups, x, weight, bias, y)
        return y

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
        xp, kernel = self.xp, weight.shape[2:]
        axes = axes_of(size, dy.shape[2:], kernel, stride, padding, dilation)
        n, c, m = dy.shape[0], weight.shape[1], weight.shape[0] // groups
        if _is_product(dy, weight, axes):
            w = xp.swapaxes(weight.reshape(groups, m, c), 1, 2)
            return xp.matmul(w, dy.reshape(n, groups, m, -1)).reshape(n, groups * c, *size)
        tile = _tile(dy, axes, n, groups, c, m, c)
        if tile is None or axes is None:
            return super().conv_input(dy, weight, size, stride, padding, dilation, groups)
        dx = xp.empty((n, groups * c, *size), dy.dtype)
        for work in _backward(axes, n, c, m, kernel, tile):
            self._convolve("conv2d_backward_data", work, groups, dy, weight, dx)
        return dx

    def _convolve(self, name: str, work: _Work, groups: int, x: Any, weight: Any, *rest: Any):
        xp, tile, packed, taps = self.xp, work.tile, None, None
        if work.tiles:
            depth = (work.tiles + tile.stages) * tile.k
            packed = xp.empty(groups * work.rows * depth, x.dtype)
            taps = xp.empty(2 * depth, numpy.uint32)
            pack = CONV2D("conv2d_pack", **tile.macros)
            grid = (work.rows // 32 * ceil_div(depth, 32), groups)
            pack(grid, (256,), xp.ascontiguousarray(weight), packed, taps, work.geometry)
        launch = CONV2D(name, **tile.macros)
        grid, arrays = (work.blocks, groups), (xp.ascontiguousarray(x), packed, taps, *rest)
        launch(grid, (tile.threads,), *arrays, work.geometry, shared=tile.shared)

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
        xp = self.xp
        axes = axes_of(x.shape[2:], dy.shape[2:], kernel, stride, padding, dilation)
        n, c, m = x.shape[0], x.shape[1] // groups, dy.shape[1] // groups
        tile = _tile(x, axes, n, groups, c, m, m, weight=True)
        if tile is None or axes is None:
            return super().conv_weight(x, dy, kernel, stride, padding, dilation, groups)
        geometry = struct(axes, n, c, m, 0, (0, 0, 0, 0), (0, 0, 0, 0))
        dw = xp.empty((groups * m, c, *kernel), x.dtype)
        columns, blocks, splits, count = _split(axes, n, c, m, groups, tile)
        pixels = xp.empty(2 * axes.out, numpy.int32)
        parts = xp.empty((splits, groups * m, columns), accumulator(x.dtype))

        look = CONV2D_WEIGHT("conv2d_pixels", **tile.macros)
        look((ceil_div(axes.out, 256),), (256,), pixels, geometry)
        launch = CONV2D_WEIGHT("conv2d_backward_weight", **tile.macros)
        arrays = xp.ascontiguousarray(x), xp.ascontiguousarray(dy), pixels, parts
        grid, block = (blocks, groups, splits), (tile.threads,)
        launch(grid, block, *arrays, columns, count, geometry, shared=tile.shared)
        add = CONV2D_WEIGHT("conv2d_sum", **tile.macros)
        grid, real = (ceil_div(dw.size, 256),), c * axes.taps
        add(grid, (256,), parts, dw, splits, columns, real, dw.size)
        return dw

    def conv_bias(self, dy: Any) -> Any:
        n, channels, *size = dy.shape
        plane = math.prod(size)
        if dy.dtype.name not in _FLOATS or not dy.size or n * plane >= 2**31 - _SHARE:
            return super().conv_bias(dy)
        splits = min(ceil_div(2 * _BLOCKS, channels), ceil_div(n * plane, _SHARE))
        share = ceil_div(n * plane, splits)
        parts = self.xp.empty((splits, channels), accumulator(dy.dtype))
        launch = CONV2D_BIAS("conv2d_backward_bias", SCALAR=dy.dtype)
        dense = self.xp.ascontiguousarray(dy)
        launch((channels, splits), (256,), dense, parts, n, plane, share)
        return parts.sum(0).astype(dy.dtype, copy=False)


def _is_product(x: Any, weight: Any, axes: Axes | None) -> bool:
    """Whether to leave it to CuPy's matmul: it broadcasts in float32 or better, and is told of TF32
    by another switch."""
    if axes is None or not (axes.pointwise and x.size and weight.size):
        return False
    exact = cuda.conv.fp32_precision == cuda.matmul.fp32_precision == "ieee"
    return x.dtype == numpy.float64 or (x.dtype == numpy.float32 and exact)


def _tile(
    x: Any, axes: Axes | None, n: int, groups: int, c: int, m: int, rows: int, weight: bool = False
) -> Tile | None:
    """The tile for a product with so many rows; None where the kernels do not cover it.

    Groups of few channels leave most rows of a tile idle. That is still less work than the
    reference, which goes through memory some three times for each tap.
    """
    scalar = x.dtype.name
    if axes is None or scalar not in _FLOATS:
        return None
    h, w = axes
    plane, filters = max(axes.size, axes.out), groups * c * m * axes.taps
    rows_of_all = max(c, m) * max(h.size, h.out) + h.span
    if (
        not 0 < n * plane < 2**31 - COLUMNS
        or not 0 < filters < 2**31
        or rows_of_all * w.span * x.itemsize >= 2**32
        or h.span * w.span * x.itemsize >= 2**31
        or h.taps > 15
        or w.taps > 16
        or groups > 65535
    ):
        return None
    capability = _capability()
    if scalar == "float64":
        return Tile(scalar, 0, 32, 8, 2, weight)
    most = 64 if rows <= 64 else 128
    if scalar == "bfloat16" and capability < 80:
        return None
    if scalar != "float32":
        return Tile(scalar, 1, most, 16, 2, weight)
    if capability < 80:
        return Tile(scalar, 0, most, 8 if weight or most == 128 else 16, 2, weight)
    tensor = _PRECISIONS[cuda.conv.fp32_precision]
    if tensor:
        return Tile(scalar, tensor, most, 16, 3, weight)
    most = 32 if rows <= 32 else most
    return Tile(scalar, 0, most, 8, 4, weight) if weight else Tile(scalar, 0, most, 16, 3, weight)


def _capability() -> int:
    return _capability_of(cupy.cuda.runtime.getDevice())


@functools.cache
def _capability_of(device: int) -> int:
    return int(cupy.cuda.Device(device).compute_capability)


class _Work(NamedTuple):
    """One launch of ``conv2d_forward`` or ``conv2d_backward_data``."""

    geometry: Any  # the struct
    tile: Tile
    tiles: int  # of k
    rows: int  # of all tiles
    blocks: int


def _work(
    axes: Axes, n: int, channels: int, rows: int, filters: Ints, place: Ints, tile: Tile
) -> _Work:
    tiles, abreast = ceil_div(channels * axes.taps, tile.k), ceil_div(rows, tile.rows)
    geometry = struct(axes, n, channels, rows, tiles, filters, place)
    blocks = abreast * ceil_div(n * axes.out, COLUMNS)
    return _Work(geometry, tile, tiles, abreast * tile.rows, blocks)


@functools.lru_cache(maxsize=1024)
def _forward(axes: Axes, n: int, c: int, m: int, kernel: Ints, tile: Tile) -> _Work:
    area = math.prod(kernel)
    filters = m * c * area, c * area, area, kernel[-1]
    return _work(axes, n, c, m, filters, (axes.out, axes.w.out, 1, 0), tile)


@functools.lru_cache(maxsize=1024)
def _backward(axes: Axes, n: int, c: int, m: int, kernel: Ints, tile: Tile) -> list[_Work]:
    """One for each phase: rows are then the channels of x."""
    area = math.prod(kernel)
    filters = m * c * area, area, c * area, kernel[-1]
    return [_work(phase, n, m, c, filters, place, tile) for phase, place in axes.phases()]


def _split(axes: Axes, n: int, c: int, m: int, groups: int, tile: Tile) -> Ints:
    """Columns of the parts, blocks for one split, splits, and pixels of each."""
    columns, pixels = ceil_div(c * axes.taps, 8) * 8, n * axes.out  # whole sectors
    blocks = ceil_div(m, tile.rows) * ceil_div(columns, COLUMNS)
    splits = min(ceil_div(_BLOCKS, blocks * groups), ceil_div(pixels, _LEAST * tile.k))
    count = ceil_div(ceil_div(pixels, splits), tile.k) * tile.k
    return columns, blocks, ceil_div(pixels, count), count
