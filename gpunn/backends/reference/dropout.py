"""Dropout: a random mask, never stored, that is a function of seed and offset alone."""

from __future__ import annotations

from typing import Any

from gpunn.backends.reference.random import RandomPrimitives


class DropoutPrimitives(RandomPrimitives):
    """The mask is ``keep_mask``'s, so the same bits everywhere, forward and backward."""

    def dropout(self, x: Any, seed: int, offset: int, p: float, dims: int) -> Any:
        """``x / (1 - p)`` where kept, else 0.

        One draw for each element of the first ``dims`` dimensions: ``x.ndim`` drops elements,
        fewer drop whole channels.
        """
        if p == 1:
            return self.zeros_like(x)
        shape = x.shape[:dims] + (1,) * (x.ndim - dims)
        return x * (self.keep_mask(seed, offset, shape, p) * x.dtype.type(1 / (1 - p)))
