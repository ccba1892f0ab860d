"""Dropout by CUDA kernels, which draw the mask where they need it."""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

import math
from typing import Any

from gpunn.backends.device.random import stream
from gpunn.backends.launcher import WIDTHS, Source, builds, ceil_div, width
from gpunn.backends.reference.dropout import DropoutPrimitives, alpha_scale, alpha_shifts

_NOTHING = -0.0  # added, it changes no number
DROPOUT = Source(
    "dropout.cu", *(builds(SCALAR=(scalar,), WIDTH=(1, w)) for scalar, w in WIDTHS.items())
)


class DeviceDropout(DropoutPrimitives):
    """One kernel for each: it reads x, and writes y."""

    def dropout(self, x: Any, seed: int, offset: int, p: float, dims: int, scale: float) -> Any:
        if p == 1 or x.dtype.name not in WIDTHS:
            return super().dropout(x, seed, offset, p, dims, scale)
        return self._affine(x, seed, offset, p, dims, scale, _NOTHING, _NOTHING)

    def alpha_dropout(self, x: Any, seed: int, offset: int, p: float, dims: int) -> Any:
        if x.dtype.name not in WIDTHS:
            return super().alpha_dropout(x, seed, offset, p, dims)
        return self._affine(x, seed, offset, p, dims, alpha_scale(p), *alpha_shifts(p))

    def _affine(
        self,
        x: Any,
        seed: int,
        offset: int,
        p: float,
        dims: int,
        scale: float,
        kept: float,
        dropped: float,
    ) -> Any:
        x = self.xp.ascontiguousarray(x)
        y = self.xp.empty_like(x)
        inner = math.prod(x.shape[dims:])
        build = {"SCALAR": x.dtype, "WIDTH": width(WIDTHS[x.dtype.name], x, y)}
        # The reference multiplies by a number of x's dtype.
        scale = float(x.dtype.type(scale))
        rest = stream(seed, offset), self.keep_threshold(p), scale, kept, dropped
        grid = (ceil_div(x.size, 2048),)
        if inner == 1:
            DROPOUT("dropout", **build)(grid, (256,), x, y, x.size, *rest)
        else:
            DROPOUT("dropout_channels", **build)(grid, (256,), x, y, x.size, inner, *rest)
        return y
