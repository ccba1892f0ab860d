"""Convolution on the CPU: columns of a tile (im2col), and a matrix product over them; by threads.

K. Chellapilla, S. Puri, P. Simard, "High performance convolutional neural networks for document
processing", 2006. In one and two dimensions; three are left to the reference.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy
from numpy.lib.stride_tricks import as_strided

from gpunn.backends.host.blas import single
from gpunn.backends.host.threads import scratch, tiled
from gpunn.backends.reference.convolution import ConvolutionPrimitives
from gpunn.backends.reference.window import Ints, output_size, reach
from gpunn.dtype import accumulator

_TILE = 5 * 2**18  # elements of a tile's columns: they should still be in the cache for the product
_DEEP = 32  # with fewer channels and taps, products by rows are not worth their calls
_SUMS = 16  # sums over tiles that are made side by side
_FEW = 64  # with fewer outputs per image, one product for many images is faster than one for each

Tile = tuple[slice, slice, slice]  # images, all channels, rows of the output


class HostConvolution(ConvolutionPrimitives):
    """``conv`` and its adjoints over tiles: some images, or some rows of one image."""

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
        if len(kernel) > 2 or not x.size:
            return super().conv(x, weight, bias, stride, padding, dilation, groups)
        out = tuple(map(output_size, x.shape[2:], kernel, stride, padding, dilation))
        join = math.prod(out) < _FEW
        lowering = _Lowering(x.shape, kernel, out, stride, padding, dilation, x.dtype, join)
        by_rows = lowering.by_rows(groups, o)
        kernels = numpy.split(_planes(weight), lowering.kh, 2) if by_rows else [weight]
        ws = [_matrices(kernel, groups, lowering.dtype) for kernel in kernels]
        if bias is not None:  # as the weights of ones
            ones = bias.reshape(groups, -1, 1).astype(lowering.dtype)
            ws[0] = numpy.concatenate([ws[0], ones], 2)
        y = numpy.empty((n, o, *out), x.dtype)
        tiles = lowering.tiles()
        direct = not join and y.dtype == lowering.dtype

        def work(start: int, stop: int) -> None:
            for tile in tiles[start:stop]:
                place = _planes(y)[tile]
                inputs = lowering.inputs(_planes(x), tile, groups, by_rows, bias is not None)
                out = lowering.matrix(place, groups) if direct else None
                product = lowering.product(ws[0], inputs[0], out, "sum")
                for w, rows in zip(ws[1:], inputs[1:], strict=True):
                    product += lowering.product(w, rows)
                if not direct:
                    place[...] = lowering.images(product, place.shape)

        with single:
            tiled(work, len(tiles), 1)
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
        n, (o, c), kernel = dy.shape[0], weight.shape[:2], weight.shape[2:]
        if len(kernel) > 2 or not dy.size or not c:
            return super().conv_input(dy, weight, size, stride, padding, dilation, groups)
        around = tuple(d * (k - 1) - p for d, k, p in zip(dilation, kernel, padding, strict=True))
        if _gathers(size, dy.shape, weight.shape, stride, around, groups):
            backwards = (slice(None, None, -1),) * len(kernel)
            flipped = weight[(..., *backwards)].reshape(groups, o // groups, c, *kernel)
            flipped = flipped.swapaxes(1, 2).reshape(groups * c, o // groups, *kernel)
            return self.conv(dy, flipped, None, stride, around, dilation, groups)
        shape, out = (n, groups * c, *size), dy.shape[2:]
        join = math.prod(out) < _FEW
        lowering = _Lowering(shape, kernel, out, stride, padding, dilation, dy.dtype, join)
        w = _matrices(weight, groups, lowering.dtype).swapaxes(1, 2)
        dx = numpy.zeros(shape, lowering.dtype)
        # Tiles of the same images add to the same memory: one thread takes them all.
        images = [[*t] for _, t in itertools.groupby(lowering.tiles(), lambda tile: tile[0])]

        def work(start: int, stop: int) -> None:
            for tile in itertools.chain.from_iterable(images[start:stop]):
                columns = lowering.product(w, lowering.matrix(_planes(dy)[tile], groups))
                lowering.add_columns(_planes(dx), tile, columns)

        with single:
            tiled(work, len(images), 1)
        return dx.astype(dy.dtype, copy=False)

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
        if len(kernel) > 2 or not x.size or not dy.size:
            return super().conv_weight(x, dy, kernel, stride, padding, dilation, groups)
        o, c, out = dy.shape[1] // groups, x.shape[1] // groups, dy.shape[2:]
        # One product for many images, unless their products are smaller than they are: then a sum.
        join = math.prod(out) < max(_FEW, c * math.prod(kernel))
        lowering = _Lowering(x.shape, kernel, out, stride, padding, dilation, x.dtype, join)
        by_rows = lowering.by_rows(groups, o * groups)
        tiles = lowering.tiles()
        length = -(-len(tiles) // _SUMS)
        sums: dict[int, Any] = {}

        def work(start: int, stop: int) -> None:
            for tile in tiles[start:stop]:
                inputs = lowering.inputs(_planes(x), tile, groups, by_rows)
                rows = lowering.matrix(_planes(dy)[tile], groups).swapaxes(2, 3)
                # The long side in front: faster than the transpose.
                parts = [(columns @ rows).sum(0) for columns in inputs]
                part = numpy.stack(parts) if by_rows else parts[0][None]
                sums[start] = sums[start] + part if start in sums else part

        with single:
            tiled(work, len(tiles), length)
        # In the order of the tiles, whoever was first.
        dw: Any = functools.reduce(numpy.add, (sums[i] for i in range(0, len(tiles), length)))
        dw = dw.reshape(len(dw), groups, c, -1, lowering.kw, o).transpose(1, 5, 2, 0, 3, 4)
        return numpy.ascontiguousarray(dw, x.dtype).reshape(groups * o, c, *kernel)


class _Lowering:
    """The columns of one convolution, tile by tile; one dimension counts as rows of one element.

    They are made in two steps of long copies: ``strip`` holds the input once for each tap along a
    row, and the columns are taken from it for each tap along the other dimension. All arrays have
    the shape (N, channels or taps..., rows, Wo); in memory, with ``join``, the images of a tile lie
    side by side in one matrix.
    """

    def __init__(
        self,
        shape: Ints,
        kernel: Ints,
        out: Ints,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        dtype: Any,
        join: bool,
    ) -> None:
        self.dtype, self.join = accumulator(dtype), join
        self.n, self.c, self.h, self.w = (*shape, 1)[:4]
        (self.ho, self.wo), (self.kh, self.kw) = (*out, 1)[:2], (*kernel, 1)[:2]
        (self.sh, self.sw), (self.ph, self.pw) = (*stride, 1)[:2], (*padding, 0)[:2]
        self.dh, self.dw = (*dilation, 1)[:2]

    def product(self, w: Any, matrix: Any, out: Any = None, name: str = "product") -> Any:
        """``w @ matrix``, in ``out``, or where the next product of that name overwrites it."""
        if out is None:
            shape = (len(matrix), *w.shape[:2], matrix.shape[3])
            out = scratch(name, shape, self.dtype)
        return numpy.matmul(w, matrix, out=out)

    def by_rows(self, groups: int, o: int) -> bool:
        """Whether to multiply by the kernel's rows one after the other: what they see are parts of
        one strip, that of a kernel of one row. Fewer copies, but more products, and their sums."""
        deep = self.c // groups * self.kw
        copies, sums = self.kh * self.c * self.kw, (self.kh - 1) * o
        enough = deep >= _DEEP and self.n * self.ho * self.wo * self.c * self.kw >= _TILE // 20
        return self.sh == 1 < self.kh and not self.join and enough and copies >= 4 * sums

    def tiles(self) -> list[Tile]:
        """Parts of the output whose columns have about ``_TILE`` elements."""
        plane = self.c * self.kh * self.kw * self.wo * self.ho
        lines = -(-plane // _TILE)
        rows = max(1, -(-self.ho // lines))
        total = self.n * plane
        images = self.n
        if total > _TILE // 10:  # an even number of tiles, alike in size
            images = -(-self.n // (2 * -(-total // (2 * _TILE))))
        return [
            (slice(i, min(i + images, self.n)), slice(None), slice(r, min(r + rows, self.ho)))
            for i in range(0, self.n, images)
            for r in range(0, self.ho, rows)
        ]

    def matrix(self, images: Any, groups: int) -> Any:
        """(N or 1, groups, channels and taps of a group, positions); a view where it can be."""
        if self.join:
            images = numpy.moveaxis(images, 0, -3)[None]
        lead = math.prod(images.shape[1 : -3 if self.join else -2])
        return images.reshape(images.shape[0], groups, lead // groups, -1)

    def images(self, matrix: Any, shape: Ints) -> Any:
        """The reverse of ``matrix``: an array of ``shape``."""
        if self.join:
            return numpy.moveaxis(matrix.reshape(*shape[1:-2], shape[0], *shape[-2:]), -3, 0)
        return matrix.reshape(shape)

    def inputs(
        self, x: Any, tile: Tile, groups: int, by_rows: bool = False, ones: bool = False
    ) -> list[Any]:
        """(N or 1, groups, C / groups * kh * kw, rows * Wo): for each tap what it sees, and below
        them, if wanted, a row of ones; or such a matrix for each row of the kernel, of which only
        the first has ones. The next tile overwrites them."""
        seen, rows = self._seen(x, tile), tile[2].stop - tile[2].start
        if not by_rows:
            return [self._columns(seen, self.kh, rows, groups, ones)]
        strip = self._columns(seen, 1, seen.shape[2], groups, ones)
        step, length = self.dh * self.wo, rows * self.wo
        parts = [strip[..., i * step : i * step + length] for i in range(self.kh)]
        return [parts[0], *(part[:, :, : part.shape[2] - ones] for part in parts[1:])]

    def _columns(self, seen: Any, kh: int, rows: int, groups: int, ones: bool) -> Any:
        n, taps = len(seen), self.c * kh * self.kw // groups
        # The rows of the matrix are an odd number of cache lines apart: a power of two would put
        # them all into a few of the cache's sets, and BLAS would take up to twice as long.
        length = (n if self.join else 1) * rows * self.wo
        line = 64 // self.dtype.itemsize
        apart = (-(-length // line) | 1) * line if length > line else length
        lead = (1 if self.join else n), groups, taps + ones
        matrix = scratch("columns", (*lead, apart), self.dtype)[..., :length]
        matrix[:, :, taps:] = 1
        inner = (n, rows, self.wo) if self.join else (rows, self.wo)
        columns = matrix[:, :, :taps].reshape(*lead[:2], self.c // groups, kh, self.kw, *inner)
        if self.join:
            columns = numpy.moveaxis(columns[0], 4, 0)
        columns[...] = self._windows(seen, columns.shape)
        return matrix

    def _windows(self, seen: Any, shape: Ints) -> Any:
        """(N, groups, C / groups, kh, kw, rows, Wo), a view.

        It shows ``strip`` where there are taps both ways: the input once for each tap along a row,
        from which the taps along the other dimension take long pieces.
        """
        image, channel, row, column = seen.strides
        steps = row * self.dh, column * self.dw, row * self.sh, column * self.sw
        if min(shape[3:5]) > 1:
            strip = scratch("strip", (*seen.shape[:2], self.kw, seen.shape[2], self.wo), self.dtype)
            strip[...] = as_strided(seen, strip.shape, (image, channel, steps[1], row, steps[3]))
            image, channel, tap, row, column = strip.strides
            steps, seen = (row * self.dh, tap, row * self.sh, column), strip
        return as_strided(seen, shape, (image, channel * shape[2], channel, *steps))

    def _seen(self, x: Any, tile: Tile) -> Any:
        """The part of the padded input that a tile meets; of ``x`` itself, where that is all."""
        height, top, first, last = self._lines(tile)
        width, left = (self.wo - 1) * self.sw + (self.kw - 1) * self.dw + 1, self.pw
        right = max(left, min(width, left + self.w))
        inner = x[tile[0], :, top + first : top + last, : right - left]
        if inner.shape[2:] == (height, width):
            return inner
        seen = scratch("seen", (*inner.shape[:2], height, width), self.dtype)
        seen[:, :, :first] = 0
        seen[:, :, last:] = 0
        seen[:, :, first:last, :left] = 0
        seen[:, :, first:last, right:] = 0
        seen[:, :, first:last, left:right] = inner
        return seen

    def _lines(self, tile: Tile) -> tuple[int, int, int, int]:
        """How many input rows a tile meets, from which on, and which of these exist."""
        rows = tile[2]
        height = (rows.stop - rows.start - 1) * self.sh + (self.kh - 1) * self.dh + 1
        top = rows.start * self.sh - self.ph
        first = max(0, -top)
        return height, top, first, max(first, min(height, self.h - top))

    def add_columns(self, dx: Any, tile: Tile, columns: Any) -> None:
        """The adjoint of ``inputs``, by columns, of which it gets the matrix, added to ``dx``."""
        height, top, first, last = self._lines(tile)
        n, rows = tile[0].stop - tile[0].start, tile[2].stop - tile[2].start
        columns = self.images(columns, (n, self.c, self.kh, self.kw, rows, self.wo))
        strip = scratch("strip", (n, self.c, self.kw, height, self.wo), self.dtype)
        strip[...] = 0
        for i in range(self.kh):
            start = i * self.dh
            strip[:, :, :, start : start + (rows - 1) * self.sh + 1 : self.sh] += columns[:, :, i]
        for j in range(self.kw):
            q, p = reach(self.w, self.wo, self.sw, j * self.dw - self.pw)
            if q.start < q.stop:
                dx[tile[0], :, top + first : top + last, p] += strip[:, :, j, first:last, q]


def _planes(x: Any) -> Any:
    """``x`` as (N, C, H, W)."""
    return x if x.ndim == 4 else x[..., None]


def _matrices(weight: Any, groups: int, dtype: Any) -> Any:
    """(groups, O / groups, C / groups * taps), contiguous: BLAS takes no flipped kernel."""
    shape = groups, weight.shape[0] // groups, math.prod(weight.shape[1:])
    return numpy.ascontiguousarray(weight, dtype).reshape(shape)


def _gathers(size: Ints, dy: Ints, weight: Ints, stride: Ints, around: Ints, groups: int) -> bool:
    """Whether dx is sooner found as a convolution of dy than by adding up its columns.

    It can be for stride 1. Then it multiplies for every input instead of every output, but copies
    the columns of dy instead of adding those of dx.
    """
    o, c = weight[0] // groups, weight[1]
    if max(stride) > 1 or min(around) < 0:
        return False
    return o * math.prod(size) * (c + 16) <= c * math.prod(dy[2:]) * (o + 64)
