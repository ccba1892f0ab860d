"""Convolution on CUDA devices: chooses the kernel and describes the geometry to it.

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

from gpunn.backends.cuda import conv as switches
from gpunn.backends.launcher import Source, builds, ceil_div
from gpunn.backends.reference.convolution import ConvolutionPrimitives
from gpunn.backends.reference.window import Ints, output_size

_FLOATS: dict[str, Any] = {"STAGES": (3,), "BK": (16,), "since": 80}
CONV2D = Source(
    "conv2d.cu",
    builds(SCALAR=("float32",), TENSOR=(0,), BM=(32, 64, 128), **_FLOATS),
    builds(SCALAR=("float32",), TENSOR=(1, 3), BM=(64, 128), **_FLOATS),
    builds(SCALAR=("float32",), TENSOR=(0,), BM=(64,), STAGES=(2,), BK=(16,)),
    builds(SCALAR=("float32",), TENSOR=(0,), BM=(128,), STAGES=(2,), BK=(8,)),
    builds(SCALAR=("float64",), TENSOR=(0,), BM=(32,), STAGES=(2,), BK=(8,)),
    builds(SCALAR=("float16",), TENSOR=(1,), BM=(64, 128), STAGES=(2,), BK=(16,)),
    builds(SCALAR=("bfloat16",), TENSOR=(1,), BM=(64, 128), STAGES=(2,), BK=(16,), since=80),
)

_TENSOR = {"ieee": 0, "tf32": 1, "tf32x3": 3}
_COLUMNS = 128  # pixels of a tile
_MOST = 2**31 - _COLUMNS


class _Tile(NamedTuple):
    """A build, and what follows from it; kernels/gemm.cuh has the reasons."""

    scalar: str
    tensor: int
    rows: int  # BM
    depth: int  # BK
    stages: int
    pad: int = 0

    @property
    def macros(self) -> dict[str, Any]:
        return {
            "SCALAR": self.scalar,
            "TENSOR": self.tensor,
            "BM": self.rows,
            "STAGES": self.stages,
            "BK": self.depth,
        }

    @property
    def k(self) -> int:
        """k in a tile: its words hold one element, or two of 16 bits."""
        return self.depth * (2 if self.scalar in ("float16", "bfloat16") else 1)

    @property
    def threads(self) -> int:
        return 256 if self.rows == 128 and (self.tensor == 3 or self.k > self.depth) else 128

    @property
    def shared(self) -> int:
        """Bytes of shared memory."""
        word = 8 if self.scalar == "float64" else 4
        a = self.rows + (0 if self.tensor else self.pad)
        b = _COLUMNS + (4 if self.tensor else self.pad)
        return self.stages * self.depth * (a + b) * word


def _tile(scalar: str, rows: int, capability: int) -> _Tile | None:
    """The tile for so many channels of the result."""
    if scalar == "float64":
        return _Tile(scalar, 0, 32, 8, 2)
    most = 64 if rows <= 64 else 128
    if scalar != "float32":
        return _Tile(scalar, 1, most, 16, 2) if scalar == "float16" or capability >= 80 else None
    if capability < 80:
        return _Tile(scalar, 0, most, 8 if most == 128 else 16, 2)
    tensor = _TENSOR[switches.fp32_precision]
    return _Tile(scalar, tensor, 32 if rows <= 32 and not tensor else most, 16, 3)


class _Axis(NamedTuple):
    """One dimension: output p sees, with tap t, input p * stride + origin + t * step."""

    size: int  # of the input
    out: int
    taps: int
    stride: int
    origin: int
    step: int
    first: int = 0  # tap t is the filter's element first + t * every
    every: int = 1


def _phase(axis: _Axis, padding: int, dilation: int, start: int) -> _Axis:
    """The inputs start, start + stride, ... of ``axis`` as outputs of a convolution of its outputs.

    Output p reached input i with tap t where p * stride = i + padding - t * dilation. The taps for
    which that can be divided lie ``every`` apart; their outputs, in descending order.
    """
    stride = axis.stride
    every = stride // math.gcd(stride, dilation)
    taps = [t for t in range(axis.taps) if (start + padding - t * dilation) % stride == 0]
    last = taps[-1] if taps else 0
    origin, out = (start + padding - last * dilation) // stride, ceil_div(axis.size - start, stride)
    step = every * dilation // stride
    return _Axis(axis.out, out, len(taps), 1, origin, step, last, -every)


class _Work(NamedTuple):
    """One launch of ``conv2d_forward`` or ``conv2d_backward_data``."""

    geometry: Any  # the struct Conv
    tile: _Tile
    tiles: int  # of k
    packed: int  # elements
    blocks: int


def _work(
    axes: tuple[_Axis, _Axis],
    images: int,
    groups: int,
    channels: int,
    rows: int,
    filters: Ints,  # strides of the weight: of a group, along rows, along channels, of a row
    place: Ints,  # of y: strides of a channel, a row, a column; its first element
    tile: _Tile,
) -> _Work:
    h, w = axes
    tiles = ceil_div(channels * h.taps * w.taps, tile.k)
    rows_of_tiles = ceil_div(rows, tile.rows)
    values = (*h, *w, images, channels, rows, tiles, *filters, *place)
    geometry = numpy.array(values, numpy.int32)
    return _Work(
        geometry.view(f"V{geometry.nbytes}")[0],
        tile,
        tiles,
        groups * rows_of_tiles * tile.rows * (tiles + tile.stages) * tile.k,
        rows_of_tiles * ceil_div(images * h.out * w.out, _COLUMNS),
    )


@functools.lru_cache(maxsize=1024)
def _forward(
    n: int, groups: int, c: int, m: int, axes: tuple[_Axis, _Axis], kernel: Ints, tile: _Tile
) -> _Work:
    h, w = axes
    area = math.prod(kernel)
    filters = m * c * area, c * area, area, kernel[1]
    return _work(axes, n, groups, c, m, filters, (h.out * w.out, w.out, 1, 0), tile)


@functools.lru_cache(maxsize=1024)
def _backward(
    n: int,
    groups: int,
    c: int,
    m: int,
    axes: tuple[_Axis, _Axis],
    kernel: Ints,
    padding: Ints,
    dilation: Ints,
    tile: _Tile,
) -> list[_Work]:
    """The phases of dx: one for each remainder of a row and of a column modulo the stride."""
    h, w = axes
    area = math.prod(kernel)
    filters = m * c * area, area, c * area, kernel[1]
    return [
        _work(
            (_phase(h, padding[0], dilation[0], i), _phase(w, padding[1], dilation[1], j)),
            n,
            groups,
            m,
            c,
            filters,
            (h.size * w.size, h.stride * w.size, w.stride, i * w.size + j),
            tile,
        )
        for i in range(min(h.stride, h.size))
        for j in range(min(w.stride, w.size))
    ]


class DeviceConvolution(ConvolutionPrimitives):
    """``conv`` and its adjoints by kernels/conv2d.cu."""

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
        shape = (x.shape[0], weight.shape[0], *out)
        m, c = weight.shape[0] // groups, weight.shape[1]
        axes = _axes(x.shape[2:], out, kernel, stride, padding, dilation)
        tile = self._covering(x, weight, shape, axes, m, groups)
        if tile is None:
            return super().conv(x, weight, bias, stride, padding, dilation, groups)
        x, weight = xp.ascontiguousarray(x), xp.ascontiguousarray(weight)
        y = xp.empty(shape, x.dtype)
        work = _forward(shape[0], groups, c, m, axes, _pair(kernel, 1), tile)
        bias = None if bias is None else xp.ascontiguousarray(bias)
        self._launch("conv2d_forward", work, groups, x, weight, bias, y)
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
        m, c = weight.shape[0] // groups, weight.shape[1]
        shape = (dy.shape[0], groups * c, *size)
        axes = _axes(size, dy.shape[2:], kernel, stride, padding, dilation)
        tile = self._covering(dy, weight, shape, axes, c, groups)
        if tile is None:
            return super().conv_input(dy, weight, size, stride, padding, dilation, groups)
        dy, weight = xp.ascontiguousarray(dy), xp.ascontiguousarray(weight)
        dx = xp.empty(shape, dy.dtype)
        around, spread = _pair(padding, 0), _pair(dilation, 1)
        for work in _backward(shape[0], groups, c, m, axes, _pair(kernel, 1), around, spread, tile):
            self._launch("conv2d_backward_data", work, groups, dy, weight, dx)
        return dx

    def _launch(self, name: str, work: _Work, groups: int, x: Any, weight: Any, *rest: Any) -> None:
        xp, tile = self.xp, work.tile
        packed = taps = None
        if work.tiles:
            packed = xp.empty(work.packed, x.dtype)
            taps = xp.empty(2 * (work.tiles + tile.stages) * tile.k, numpy.uint32)
            pack = CONV2D("conv2d_pack", **tile.macros)
            grid = (ceil_div(work.packed, 256),)
            pack(grid, (256,), weight, packed, taps, work.packed, work.geometry)
        kernel = CONV2D(name, **tile.macros)
        block, grid = (tile.threads,), (work.blocks, groups)
        kernel(grid, block, x, packed, taps, *rest, work.geometry, shared=tile.shared)

    def _covering(
        self, x: Any, weight: Any, result: Ints, axes: Any, rows: int, groups: int
    ) -> _Tile | None:
        """The tile for these arrays; None where there is no kernel for them."""
        if axes is None or not (x.size and weight.size and math.prod(result)):
            return None
        (h, w), scalar = axes, x.dtype.name
        if (
            scalar not in ("float32", "float64", "float16", "bfloat16")
            or h.taps > 15
            or w.taps > 16
        ):
            return None
        image = x.dtype.itemsize * max(x.shape[1], result[1]) * max(h.size * w.size, h.out * w.out)
        pixels = result[0] * max(h.size * w.size, h.out * w.out)
        if image >= 2**32 or max(pixels, weight.size) > _MOST or groups > 65535:
            return None
        return _tile(scalar, rows, int(cupy.cuda.Device().compute_capability))


def _axes(
    size: Ints, out: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints
) -> tuple[_Axis, _Axis] | None:
    """Both dimensions, of which the first may be missing; None for three."""
    if len(kernel) > 2:
        return None
    axes = [
        _Axis(n, o, k, s, -p, d)
        for n, o, k, s, p, d in zip(size, out, kernel, stride, padding, dilation, strict=True)
    ]
    return (axes[0], axes[1]) if len(axes) == 2 else (_Axis(1, 1, 1, 1, 0, 1), axes[0])


def _pair(values: Ints, missing: int) -> Ints:
    return (missing, *values)[-2:]
