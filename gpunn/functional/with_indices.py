"""The pools that always give the indices of their maxima too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gpunn.functional.fractional import Ratios, fractional_max_pool2d, fractional_max_pool3d
from gpunn.functional.pooling import (
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from gpunn.functional.windows import OutputSize, Sizes

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def _named(function: Callable[..., Any], pool: Callable[..., Any]) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = f"{pool.__name__}_with_indices"
    function.__doc__ = f"``{pool.__name__}``, and the indices."
    return function


def _windowed(pool: Callable[..., Any]) -> Callable[..., Any]:
    def pooled(
        input: Tensor,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> tuple[Tensor, Tensor]:
        return pool(input, kernel_size, stride, padding, dilation, ceil_mode, True)

    return _named(pooled, pool)


def _adaptive(pool: Callable[..., Any]) -> Callable[..., Any]:
    def pooled(
        input: Tensor, output_size: OutputSize, return_indices: bool = False
    ) -> tuple[Tensor, Tensor]:
        return pool(input, output_size, True)

    return _named(pooled, pool)


def _fractional(pool: Callable[..., Any]) -> Callable[..., Any]:
    def pooled(
        input: Tensor,
        kernel_size: Sizes,
        output_size: Sizes | None = None,
        output_ratio: Ratios | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        return pool(input, kernel_size, output_size, output_ratio, True, _random_samples)

    return _named(pooled, pool)


max_pool1d_with_indices = _windowed(max_pool1d)
max_pool2d_with_indices = _windowed(max_pool2d)
max_pool3d_with_indices = _windowed(max_pool3d)
adaptive_max_pool1d_with_indices = _adaptive(adaptive_max_pool1d)
adaptive_max_pool2d_with_indices = _adaptive(adaptive_max_pool2d)
adaptive_max_pool3d_with_indices = _adaptive(adaptive_max_pool3d)
fractional_max_pool2d_with_indices = _fractional(fractional_max_pool2d)
fractional_max_pool3d_with_indices = _fractional(fractional_max_pool3d)
