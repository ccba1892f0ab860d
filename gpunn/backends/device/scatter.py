"""Adding at indices by the kernels of ``scatter.cu``: sort the indices, then add up their runs."""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cupy
import numpy

from gpunn.backends.launcher import Source, builds, ceil_div
from gpunn.backends.reference.array import ArrayPrimitives
from gpunn.dtype import accumulator

_COVERED = ("float32", "float64", "float16", "bfloat16", "int64")
SCATTER = Source("scatter.cu", builds(SCALAR=_COVERED))

_THREADS = 256
_LEAST_CHUNK = 32
_MOST = 2**30  # indices, rows and columns: the kernels count them in 32 bits


class DeviceScatter(ArrayPrimitives):
    """Where index arrays stand side by side among full slices; the rest is inherited."""

    def index_add(self, target: Any, index: Any, source: Any) -> None:
        place = _place(target, index)
        kind = target.dtype.name
        if place is None or kind not in _COVERED or source.dtype != kind or place.rows.size > _MOST:
            super().index_add(target, index, source)
            return
        rows, n, columns = place.rows, place.rows.size, place.outer * place.inner
        if not n or not columns:
            return
        xp = self.xp
        order = xp.argsort(rows, kind="stable")
        rows = rows[order]
        source = xp.ascontiguousarray(xp.broadcast_to(source, place.shape))
        chunk = max(_LEAST_CHUNK, 1 << math.isqrt(n).bit_length() - 1)  # near √n: as many as long
        chunks = ceil_div(n, chunk)
        parts = xp.empty((2, chunks, columns), accumulator(target.dtype))
        across = min(1 << (columns - 1).bit_length(), _THREADS)
        block = across, _THREADS // across
        grid = (ceil_div(chunks, block[1]) * ceil_div(columns, across),)
        sizes = n, place.size, place.inner, columns, chunk, chunks
        kernel = SCATTER("index_add", SCALAR=kind)
        kernel(grid, block, source, rows, order, target, parts, *sizes)
        if chunks > 1:
            kernel = SCATTER("index_add_parts", SCALAR=kind)
            kernel(grid, block, rows, target, parts, *sizes)


class _Place(NamedTuple):
    """The target as (outer, size, inner), the rows that the indices mean, and source's shape."""

    outer: int
    size: int
    inner: int
    rows: Any
    shape: tuple[int, ...]


def _place(target: Any, index: Any) -> _Place | None:
    """What ``target[index]`` means to the kernels; None where it is something else."""
    items = index if type(index) is tuple else (index,)
    where = [d for d, item in enumerate(items) if type(item) is cupy.ndarray]
    arrays = [items[d] for d in where]
    others = [item for item in items if type(item) is not cupy.ndarray]
    if not where or any(type(i) is not slice or i != slice(None) for i in others):
        return None
    first, last = where[0], where[-1] + 1
    shape, size = target.shape, math.prod(target.shape[first:last])
    outer, inner = math.prod(shape[:first]), math.prod(shape[last:])
    if (
        last - first > len(where)
        or last > len(shape)
        or any(a.dtype.kind != "i" for a in arrays)
        or not target.flags.c_contiguous
        or not size
        or max(size, outer * inner) > _MOST
    ):
        return None
    rows: Any = 0
    for array, n in zip(arrays, shape[first:last], strict=True):
        rows = rows * n + array.astype(numpy.int64, copy=False) % n  # negative ones from the end
    return _Place(
        outer, size, inner, rows.reshape(-1), (*shape[:first], *rows.shape, *shape[last:])
    )
