"""Sums on the CPU by matrix products: BLAS adds several times as fast as NumPy's reductions."""

from __future__ import annotations

import math
from typing import Any

import numpy

from gpunn.backends.host.blas import single
from gpunn.backends.reference.array import ArrayPrimitives

_LONG = 64  # rows of which each is worth a call of BLAS
_PIECE = 4096


# Multiplications of a product: BLAS takes up to so many on one thread; and to so many it should.
_ALONE, _SMALL = 2**18, 2**22


class HostReduction(ArrayPrimitives):
    """A contiguous array is a pile of matrices, whose sums are products with a vector of ones."""

    def matmul(self, x: Any, y: Any) -> Any:
        """BLAS's threads wait for the next product by spinning, for a tenth of a second: after a
        small one they take longer from everybody else than they have saved."""
        if _ALONE < x.size * y.shape[-1] <= _SMALL:
            with single:
                return _product(x, y)
        return _product(x, y)

    def sum_over(self, x: Any, axes: tuple[int, ...]) -> Any:
        """Over the last or the first dimensions, or all but the second."""
        parts = _parts(x, axes)
        if parts is None:
            return super().sum_over(x, axes)
        lead, kept, inner = parts
        if inner >= _LONG:
            rows = dots(x.reshape(-1, inner))
        elif inner > 1:
            rows = x.reshape(-1, inner) @ numpy.ones(inner, x.dtype)
        else:
            rows = x
        rows = self._added(rows, lead, kept)
        return (rows.copy() if rows is x else rows).reshape(_shape(x, axes))

    def dot_over(self, x: Any, y: Any, axes: tuple[int, ...]) -> Any:
        """The products are added as they are made, and never stored."""
        parts = _parts(x, axes)
        if parts is None or parts[2] == 1 or not y.flags.c_contiguous or x.shape != y.shape:
            return super().dot_over(x, y, axes)
        lead, kept, inner = parts
        rows = dots(x.reshape(-1, inner), y.reshape(-1, inner))
        return self._added(rows, lead, kept).reshape(_shape(x, axes))

    def _added(self, rows: Any, lead: int, kept: int) -> Any:
        """The sums of ``(lead, kept)`` over its first dimension; a single row as it is."""
        if lead == 1:
            return rows
        return self.matmul(numpy.ones((1, lead), rows.dtype), rows.reshape(lead, kept))


def dots(x: Any, y: Any = None) -> Any:
    """The product of each row of ``x`` with that of ``y``, or with ones: its sum.

    In pieces too short for BLAS's threads, which would be in the way of our own; their sums of sums
    are also the more exact.
    """
    n, piece = x.shape[-1], x.shape[-1]
    while piece > _PIECE and piece % 2 == 0:
        piece //= 2
    if y is None:
        y = numpy.ones(piece, x.dtype)
    if piece == n:
        return numpy.vecdot(x, y)
    if y.shape[-1] > piece:
        y = y.reshape(*y.shape[:-1], n // piece, piece)
    return numpy.vecdot(x.reshape(*x.shape[:-1], n // piece, piece), y).sum(-1)


def _product(x: Any, y: Any) -> Any:
    """Of two matrices ``dot`` computes the same, and is called in half a microsecond less."""
    return x.dot(y) if x.ndim == 2 and y.ndim == 2 else numpy.matmul(x, y)


def _parts(x: Any, axes: tuple[int, ...]) -> tuple[int, int, int] | None:
    """``x`` as (summed, kept, summed), if the kept dimensions are neighbours in plain memory."""
    if x.dtype.char not in "fd" or not x.size or not x.flags.c_contiguous:
        return None
    kept = [d for d in range(x.ndim) if d not in axes]
    first, last = (kept[0], kept[-1]) if kept else (0, -1)
    if last - first + 1 != len(kept):
        return None
    shape = x.shape
    return (
        math.prod(shape[:first]),
        math.prod(shape[first : last + 1]),
        math.prod(shape[last + 1 :]),
    )


def _shape(x: Any, axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if d in axes else n for d, n in enumerate(x.shape))
