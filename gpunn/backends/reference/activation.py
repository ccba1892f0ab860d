"""Activations for which a backend may have a faster way: relu, and gelu with its derivative."""

from __future__ import annotations

import math
from typing import Any

from gpunn.backends.reference.array import ArrayPrimitives

ROOT_HALF = math.sqrt(0.5)
ONE_OVER_ROOT_TWO_PI = 1 / math.sqrt(2 * math.pi)


class ActivationPrimitives(ArrayPrimitives):
    """Elementwise, so that an array may be taken piece by piece."""

    def relu(self, x: Any) -> Any:
        """max(x, 0); NaN stays."""
        return self.clamp(x, 0, None)

    def relu_input(self, dy: Any, y: Any) -> Any:
        """dx = dy where ``y``, the result of ``relu``, is not 0: NaN hands its gradient on."""
        return self.masked(dy, y != 0)

    def clamp(self, x: Any, low: Any, high: Any) -> Any:
        """min(max(x, low), high); either bound may be None. NaN stays."""
        y = x if low is None else self.xp.maximum(x, low)
        return y if high is None else self.xp.minimum(y, high)

    def gelu(self, x: Any, slope: bool) -> tuple[Any, Any]:
        """x Φ(x), Φ = (1 + erf(x / √2)) / 2; and with ``slope`` Φ(x) + x exp(-x² / 2) / √(2π)."""
        cdf = self.special("erf")(x * ROOT_HALF)
        cdf *= 0.5
        cdf += 0.5
        if not slope:
            return x * cdf, None
        return x * cdf, cdf + x * self.xp.exp(x * x * -0.5) * ONE_OVER_ROOT_TWO_PI
