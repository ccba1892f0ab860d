"""Rows added at indices on the CPU: SciPy's sparse product adds them several times as fast."""

from __future__ import annotations

from typing import Any, cast

import numpy

from gpunn.backends.reference.array import ArrayPrimitives
from gpunn.dtype import accumulator

_WORTH = 1 << 14  # elements for which SciPy is worth its import


class HostScatter(ArrayPrimitives):
    def index_add(self, target: Any, index: Any, source: Any) -> None:
        """``numpy.add.at``, which adds duplicates in order; 16-bit floats in float32."""
        wide = accumulator(target.dtype)
        if wide is not target.dtype:
            total = target.astype(wide)
            self.index_add(total, index, source.astype(wide))
            target[...] = total
        elif not _add_rows(target, index, source):
            numpy.add.at(target, index, source)


def _add_rows(target: Any, index: Any, source: Any) -> bool:
    """Add the sums, in order, of whole rows, as the product with a matrix of one 1 in each column;
    False, and nothing done, where these are not such rows or hardly any."""
    parts = cast("tuple[Any, ...]", index) if isinstance(index, tuple) else (index,)
    places = parts[0]
    if not (
        len(parts) == 1
        and type(places) is numpy.ndarray
        and places.dtype.kind == "i"
        and type(source) is numpy.ndarray
        and source.size >= max(_WORTH, 2 * places.size)  # NumPy is fast with single elements
        and target.dtype.char in "fd"
        and source.dtype == target.dtype
        and source.shape == places.shape + target.shape[1:]
        and target.flags.c_contiguous
    ):
        return False
    n, m = len(target), places.size
    places = places.reshape(-1).astype(numpy.int64, copy=False)
    low = places.min()
    if low < -n or places.max() >= n:
        return False  # NumPy says so
    if low < 0:
        places = numpy.where(places < 0, places + n, places)
    from scipy import sparse  # pyright: ignore[reportMissingTypeStubs]  (SciPy has none)

    entries = numpy.ones(m, target.dtype), places, numpy.arange(m + 1)
    adding: Any = sparse.csc_array(entries, shape=(n, m))
    target += (adding @ source.reshape(m, -1)).reshape(target.shape)
    return True
