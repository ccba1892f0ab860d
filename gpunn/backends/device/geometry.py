"""What kernels/conv2d*.cu are told of a convolution: its dimensions, the tile of a block.

Knows numbers only; arrays and launches are convolution.py's.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy

from gpunn.backends.launcher import ceil_div
from gpunn.backends.reference.window import Ints

COLUMNS = 128  # of a tile: pixels, or elements of a filter


class Tile(NamedTuple):
    """A build of the kernels, and what follows from it; kernels/gemm.cuh has the reasons."""

    scalar: str
    tensor: int  # 0: FFMA, 1: tensor cores, 3: 3xTF32
    rows: int
    depth: int  # words
    stages: int
    transposed: bool = False  # shared memory is written by columns

    @property
    def macros(self) -> dict[str, Any]:
        """What the source is compiled with."""
        return {
            "SCALAR": self.scalar,
            "TENSOR": self.tensor,
            "BM": self.rows,
            "BK": self.depth,
            "STAGES": self.stages,
        }

    @property
    def k(self) -> int:
        """k in a tile: a word holds one element, or two of 16 bits."""
        return self.depth * (2 if self.scalar.endswith("float16") else 1)

    @property
    def threads(self) -> int:
        """In a block."""
        wide = not self.tensor or (
            self.tensor == 1 and self.k == self.depth and not self.transposed
        )
        return 128 if wide or self.rows < 128 else 256

    @property
    def shared(self) -> int:
        """Bytes of shared memory."""
        word = 8 if self.scalar == "float64" else 4
        idle = 16 * (self.transposed and not self.tensor) + 16 * bool(
            self.transposed or self.tensor
        )
        return self.stages * self.depth * ((self.rows + COLUMNS) * word + idle)


class Axis(NamedTuple):
    """One dimension: output p sees, with tap t, input p * stride + origin + t * step."""

    size: int  # of the input
    out: int
    taps: int
    stride: int
    origin: int
    step: int
    first: int = 0  # tap t is the filter's element first + t * every
    every: int = 1

    @property
    def span(self) -> int:
        """More than any distance between two places that an output sees, or misses in padding."""
        return self.size + self.out * self.stride + self.taps * self.step

    def phase(self, start: int) -> Axis:
        """Inputs start, start + stride, ... as outputs of a convolution of this one's outputs.

        Input i met output p at tap t where p * stride = i - origin - t * step. The taps for which
        that can be divided lie ``every`` apart, and their outputs in descending order.
        """
        stride, ahead = self.stride, start - self.origin
        every = stride // math.gcd(stride, self.step)
        taps = [t for t in range(self.taps) if (ahead - t * self.step) % stride == 0]
        last = taps[-1] if taps else 0
        return Axis(
            size=self.out,
            out=ceil_div(self.size - start, stride),
            taps=len(taps),
            stride=1,
            origin=(ahead - last * self.step) // stride,
            step=every * self.step // stride,
            first=last,
            every=-every,
        )


class Axes(NamedTuple):
    """Both dimensions."""

    h: Axis
    w: Axis

    @property
    def taps(self) -> int:
        """Of the filter that any output sees."""
        return self.h.taps * self.w.taps

    @property
    def size(self) -> int:
        """Elements of a channel of the input."""
        return self.h.size * self.w.size

    @property
    def out(self) -> int:
        """Elements of a channel of the output."""
        return self.h.out * self.w.out

    @property
    def pointwise(self) -> bool:
        """Whether each output sees just the input of its own place."""
        return all(a.taps == a.stride == 1 and not a.origin and a.out == a.size for a in self)

    def phases(self) -> list[tuple[Axes, Ints]]:
        """The convolutions that together are the one to the input; and for each, where its outputs
        lie in a channel: strides of a channel, a row, a column; the first."""
        h, w = self
        return [
            (Axes(h.phase(i), w.phase(j)), (self.size, h.stride * w.size, w.stride, i * w.size + j))
            for i in range(min(h.stride, h.size))
            for j in range(min(w.stride, w.size))
        ]


def axes_of(
    size: Ints, out: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints
) -> Axes | None:
    """Two dimensions, of which the first may be missing; None for three."""
    if len(kernel) > 2:
        return None
    each = zip(size, out, kernel, stride, padding, dilation, strict=True)
    axes = [Axis(n, o, k, s, -p, d) for n, o, k, s, p, d in each]
    return Axes(*axes) if len(axes) == 2 else Axes(Axis(1, 1, 1, 1, 0, 1), axes[0])


def struct(
    axes: Axes, images: int, channels: int, rows: int, tiles: int, filters: Ints, place: Ints
) -> Any:
    """``Conv`` of kernels/conv2d.cuh, by value.

    ``filters`` are the strides of the weight: of a group, along the rows, along the channels, of a
    row of a filter; ``place`` says where the outputs lie, as ``Axes.phases`` does.
    """
    values = (*axes.h, *axes.w, images, channels, rows, tiles, *filters, *place)
    array = numpy.array(values, numpy.int32)
    return array.view(f"V{array.nbytes}")[0]
