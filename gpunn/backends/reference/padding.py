"""Padding with a constant, over any number of dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpunn.backends.reference.array import ArrayPrimitives


class PaddingPrimitives(ArrayPrimitives):
    """The other modes are joined from pieces of the input, and need no primitive."""

    def pad(self, x: Any, widths: Sequence[tuple[int, int]], value: Any) -> Any:
        """``x`` with ``widths[d] = (before, after)`` elements of ``value`` added; negative: cut."""
        shape = [n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)]
        kept = tuple(
            slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(x.shape, widths, strict=True)
        )
        place = tuple(
            slice(max(0, a), m - max(0, b)) for m, (a, b) in zip(shape, widths, strict=True)
        )
        y = self.xp.full(shape, value, x.dtype)
        y[place] = x[kept]
        return y
