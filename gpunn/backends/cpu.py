"""NumPy on the CPU: what it does faster than the reference."""

from __future__ import annotations

from typing import Any

import numpy

from gpunn.backends.base import Backend
from gpunn.backends.host.convolution import HostConvolution
from gpunn.backends.host.pooling import HostPooling
from gpunn.backends.host.reduction import HostReduction

_TILE = 65536  # elements


class CpuBackend(HostConvolution, HostPooling, HostReduction, Backend):
    """The reference, with NumPy's own compiled forms where it has them."""

    def random_words(self, seed: int, offset: int, n: int) -> Any:
        """NumPy's own Philox, in C."""
        return numpy.random.Philox(key=seed, counter=offset).random_raw(n)

    def masked(self, x: Any, mask: Any) -> Any:
        """The bits times 0 or 1: without a branch, twenty times as fast on a random mask."""
        if x.dtype.kind != "f":
            return x * mask
        return (x.view(f"u{x.dtype.itemsize}") * mask).view(x.dtype)

    def dropout(self, x: Any, seed: int, offset: int, p: float, dims: int) -> Any:
        """By tiles that stay in the cache, so that neither words nor mask are ever whole."""
        if p == 1 or dims < x.ndim:
            return super().dropout(x, seed, offset, p, dims)
        threshold, scale = self.keep_threshold(p), x.dtype.type(1 / (1 - p))
        y = numpy.empty(x.shape, x.dtype)
        source, target = numpy.ascontiguousarray(x).reshape(-1), y.reshape(-1)
        stream = numpy.random.Philox(key=seed, counter=offset)
        factor = numpy.empty(min(x.size, _TILE), x.dtype)
        for start in range(0, x.size, _TILE):
            n = min(_TILE, x.size - start)
            here, tile = slice(start, start + n), factor[:n]
            halves = stream.random_raw(-(-n // 2)).view(numpy.uint32)[:n]
            numpy.multiply(halves >= threshold, scale, out=tile)
            numpy.multiply(source[here], tile, out=target[here])
        return y

    def view_of(self, array: Any, view: Any) -> Any:
        """NumPy makes broadcast views and diagonals read-only; PyTorch writes to both."""
        view.flags.writeable = array.flags.writeable
        return view

    def index_add(self, target: Any, index: Any, source: Any) -> None:
        """``numpy.add.at``, which adds duplicates in order."""
        numpy.add.at(target, index, source)
