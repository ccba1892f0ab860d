"""The names that ``interpolate`` had before; each warns, as PyTorch does."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from gpunn.functional.resample import interpolate

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def _warn(name: str) -> None:
    warnings.warn(
        f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=3,
    )


def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """``interpolate``."""
    _warn("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """``interpolate`` by the nearest element."""
    _warn("upsample_nearest")
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """``interpolate`` in straight lines, the corners' centres kept."""
    _warn("upsample_bilinear")
    return interpolate(input, size, scale_factor, "bilinear", True)
