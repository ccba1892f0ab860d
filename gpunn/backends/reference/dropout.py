"""Dropout: a random mask, never stored, that is a function of seed and offset alone."""

from __future__ import annotations

from typing import Any

from gpunn.backends.reference.random import RandomPrimitives

# What the activation selu tends to for x -> -∞ is -ALPHA.
ALPHA = 1.7580993408473766


def alpha_scale(p: float) -> float:
    """By what alpha dropout multiplies what it keeps, so that a variance of 1 stays 1."""
    return ((1 - p) * (1 + p * ALPHA**2)) ** -0.5


def alpha_shifts(p: float) -> tuple[float, float]:
    """What alpha dropout adds to what it keeps, and what it puts where it drops."""
    shift = ALPHA * alpha_scale(p) * p  # the mean stays 0
    return shift, shift - ALPHA * alpha_scale(p)


class DropoutPrimitives(RandomPrimitives):
    """The mask is ``keep_mask``'s, so the same bits everywhere, forward and backward.

    One draw for each element of the first ``dims`` dimensions: ``x.ndim`` drops elements, fewer
    drop whole channels.
    """

    def dropout(self, x: Any, seed: int, offset: int, p: float, dims: int, scale: float) -> Any:
        """``scale x`` where kept, else 0."""
        if p == 1:
            return self.zeros_like(x)
        factor = self._kept(x, seed, offset, p, dims) * x.dtype.type(scale)
        return (x * factor).astype(x.dtype, copy=False)

    def alpha_dropout(self, x: Any, seed: int, offset: int, p: float, dims: int) -> Any:
        """Dropout to the lower limit of selu instead of 0; mean 0 and variance 1 stay."""
        kept, dropped = map(x.dtype.type, alpha_shifts(p))
        shift = self.xp.where(self._kept(x, seed, offset, p, dims), kept, dropped)
        return self.dropout(x, seed, offset, p, dims, alpha_scale(p)) + shift

    def _kept(self, x: Any, seed: int, offset: int, p: float, dims: int) -> Any:
        """The mask, as it broadcasts to ``x``."""
        return self.keep_mask(seed, offset, x.shape[:dims] + (1,) * (x.ndim - dims), p)
