"""Depthwise convolution by CUDA kernels: which build of depthwise.cu, and how it is launched."""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple, TypeGuard

import numpy

from gpunn.backends.launcher import Source, builds, ceil_div
from gpunn.backends.reference.convolution import ConvolutionPrimitives
from gpunn.backends.reference.window import Ints, output_size
from gpunn.dtype import accumulator

_FLOATS = ("float32", "float64", "float16", "bfloat16")
DEPTHWISE = Source(
    "depthwise.cu",
    builds(SCALAR=_FLOATS, KERNEL=(3, 5), STRIDE=(1, 2)),
    builds(SCALAR=_FLOATS, KERNEL=(0,)),
)
_THREADS = 256
_BLOCKS = 1024  # fill any GPU; a constant, so that sums are the same on all
_LIMIT = 2**30  # of what the kernels count in an int


class DeviceDepthwise(ConvolutionPrimitives):
    """``conv`` and its adjoints for one group per channel of x, in one or two dimensions."""

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
        n, o, kernel = x.shape[0], weight.shape[0], weight.shape[2:]
        plan = _plan(x.dtype, x.shape[2:], kernel, stride, padding, dilation)
        if not _suits(plan, x.shape[1], groups) or n * o >= _LIMIT:
            return super().conv(x, weight, bias, stride, padding, dilation, groups)
        dense = self.xp.ascontiguousarray
        y = self.xp.empty((n, o, *plan.shape), x.dtype)
        arrays = dense(x), dense(weight), None if bias is None else dense(bias), y
        grid, block, chunks = _strips(n * o, plan.out, plan.rows)
        launch = DEPTHWISE("depthwise2d_forward", **plan.macros)
        launch(grid, block, *arrays, n * o, o, o // groups, chunks, plan.geometry)
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
        n, o = dy.shape[:2]
        plan = _plan(dy.dtype, size, weight.shape[2:], stride, padding, dilation)
        if weight.shape[1] != 1 or plan is None or n * o >= _LIMIT:
            return super().conv_input(dy, weight, size, stride, padding, dilation, groups)
        dense = self.xp.ascontiguousarray
        dx = self.xp.empty((n, groups, *size), dy.dtype)
        grid, block, chunks = _strips(n * groups, plan.reached, plan.rows)
        launch = DEPTHWISE("depthwise2d_backward_data", **plan.macros)
        arrays = dense(dy), dense(weight), dx
        launch(grid, block, *arrays, n * groups, groups, o // groups, chunks, plan.geometry)
        return dx

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
        n, o = dy.shape[:2]
        plan = _plan(x.dtype, x.shape[2:], kernel, stride, padding, dilation)
        if not _suits(plan, x.shape[1], groups) or n * math.prod(plan.out) >= _LIMIT:
            return super().conv_weight(x, dy, kernel, stride, padding, dilation, groups)
        dense = self.xp.ascontiguousarray
        taps = math.prod(kernel)
        blocks = o if plan.rows > 1 else o * taps  # for each split
        strips = n * ceil_div(plan.out[0], plan.rows) * plan.out[1]
        splits = max(1, min(_BLOCKS // max(1, blocks), strips // (4 * _THREADS)))
        parts = self.xp.empty((splits, o, taps), accumulator(x.dtype))
        launch = DEPTHWISE("depthwise2d_backward_weight", **plan.macros)
        arguments = n, o, o // groups, ceil_div(strips, splits), plan.geometry
        launch((splits * blocks,), (_THREADS,), dense(x), dense(dy), parts, *arguments)
        dw = self.xp.empty((o, 1, *kernel), x.dtype)
        launch = DEPTHWISE("depthwise2d_sum_splits", **plan.macros)
        launch((ceil_div(dw.size, _THREADS),), (_THREADS,), parts, dw, dw.size, splits)
        return dw


class _Plan(NamedTuple):
    """What follows from the geometry alone."""

    macros: dict[str, Any]
    rows: int  # results of a strip, which is what a thread makes
    shape: Ints  # of a plane of y
    out: Ints  # its two extents
    reached: Ints  # the extents of x in strips: they begin at a row that tap 0 reaches
    geometry: Any  # the struct Geometry


@functools.lru_cache(maxsize=1024)
def _plan(
    dtype: Any, size: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints
) -> _Plan | None:
    """None where the kernels do not cover it."""
    if dtype.name not in _FLOATS or len(size) > 2:
        return None
    shape = tuple(map(output_size, size, kernel, stride, padding, dilation))
    if len(size) == 1:  # a row
        row = ((1, *v) for v in (size, kernel, stride, dilation))
        (size, kernel, stride, dilation), padding = row, (0, *padding)
    h, w, p, q = extents = (*size, *(1, *shape)[-2:])
    geometry = numpy.array((*extents, *kernel, *stride, *padding, *dilation))
    largest = max(h * w, p * q, math.prod(kernel), *geometry)
    if min(extents) <= 0 or largest >= _LIMIT:
        return None
    known = kernel in ((3, 3), (5, 5)) and stride in ((1, 1), (2, 2)) and dilation == (1, 1)
    special = {"KERNEL": kernel[0], "STRIDE": stride[0]} if known else {"KERNEL": 0}
    struct = geometry.astype(numpy.int32).view("V48")[0]
    above = padding[0] % stride[0] if known else 0
    return _Plan(
        {"SCALAR": dtype, **special}, 8 if known else 1, shape, (p, q), (h + above, w), struct
    )


def _suits(plan: _Plan | None, channels: int, groups: int) -> TypeGuard[_Plan]:
    """Whether the kernels cover it, and are the fastest way to y and dw.

    A single channel gives all outputs; unless its taps stay in registers, a matrix product is
    faster.
    """
    return plan is not None and channels == groups and (groups > 1 or plan.rows > 1)


def _strips(planes: int, extent: Ints, rows: int) -> tuple[tuple[int], tuple[int, int], int]:
    """Grid and block over strips of so many rows, and how many blocks share a plane."""
    strips = ceil_div(extent[0], rows) * extent[1]
    chunks = ceil_div(strips, _THREADS)
    wide = ceil_div(strips, chunks)
    high = _THREADS // wide
    return (chunks * ceil_div(planes, high),), (wide, high), chunks
