"""Pooling as layers: they hold arguments and call ``functional``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from gpunn import functional as F
from gpunn.functional.arguments import ntuple
from gpunn.nn.module import Module
from gpunn.tensor import Tensor

Sizes = int | tuple[int, ...]
OutputSize = int | None | tuple[int | None, ...]


class _MaxPool(Module):
    _pool: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        return type(self)._pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """``functional.max_pool1d``: ``(N, C, L) -> (N, C, Lo)``."""

    _pool = staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPool):
    """``functional.max_pool2d``: ``(N, C, H, W) -> (N, C, Ho, Wo)``, and indices if wanted."""

    _pool = staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPool):
    """``functional.max_pool3d``: ``(N, C, D, H, W) -> (N, C, Do, Ho, Wo)``."""

    _pool = staticmethod(F.max_pool3d)


class _MaxUnpool(Module):
    _ndim: ClassVar[int]
    _unpool: ClassVar[Callable[..., Tensor]]

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        super().__init__()
        n = self._ndim
        self.kernel_size = ntuple(kernel_size, n)
        self.stride = self.kernel_size if stride is None else ntuple(stride, n)
        self.padding = ntuple(padding, n)

    def forward(
        self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        return type(self)._unpool(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """``functional.max_unpool1d``: ``(N, C, L) -> (N, C, Lo)``."""

    _ndim = 1
    _unpool = staticmethod(F.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    """``functional.max_unpool2d``: values and indices ``(N, C, H, W) -> (N, C, Ho, Wo)``."""

    _ndim = 2
    _unpool = staticmethod(F.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """``functional.max_unpool3d``: ``(N, C, D, H, W) -> (N, C, Do, Ho, Wo)``."""

    _ndim = 3
    _unpool = staticmethod(F.max_unpool3d)


class _FractionalMaxPool(Module):
    _ndim: ClassVar[int]
    _pool: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        kernel_size: Sizes,
        output_size: Sizes | None = None,
        output_ratio: float | tuple[float, ...] | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        n, name = self._ndim, type(self).__name__
        if output_size is None and output_ratio is None:
            raise ValueError(
                f"{name} requires specifying either an output size, or a pooling ratio"
            )
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        self.kernel_size, self.return_indices = ntuple(kernel_size, n), return_indices
        self.output_size = None if output_size is None else ntuple(output_size, n)
        self.output_ratio = None if output_ratio is None else ntuple(output_ratio, n)
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")
        self.register_buffer("_random_samples", _random_samples)

    def forward(self, input: Tensor) -> Any:
        return type(self)._pool(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            self._random_samples,
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    """``functional.fractional_max_pool2d``: ``(N, C, H, W) -> (N, C, Ho, Wo)``."""

    _ndim = 2
    _pool = staticmethod(F.fractional_max_pool2d)


class FractionalMaxPool3d(_FractionalMaxPool):
    """``functional.fractional_max_pool3d``: ``(N, C, D, H, W) -> (N, C, Do, Ho, Wo)``."""

    _ndim = 3
    _pool = staticmethod(F.fractional_max_pool3d)


class _AvgPool(Module):
    _pool: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return type(self)._pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """``functional.avg_pool1d``: ``(N, C, L) -> (N, C, Lo)``."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(ntuple(kernel_size, 1), None, ntuple(padding, 1))
        self.stride = self.kernel_size if stride is None else ntuple(stride, 1)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )


class AvgPool2d(_AvgPool):
    """``functional.avg_pool2d``: ``(N, C, H, W) -> (N, C, Ho, Wo)``."""

    _pool = staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPool):
    """``functional.avg_pool3d``: ``(N, C, D, H, W) -> (N, C, Do, Ho, Wo)``."""

    _pool = staticmethod(F.avg_pool3d)


class _AdaptiveAvgPool(Module):
    _pool: ClassVar[Callable[..., Tensor]]

    def __init__(self, output_size: OutputSize) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return type(self)._pool(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """``functional.adaptive_avg_pool1d``: ``(N, C, L) -> (N, C, output_size)``."""

    _pool = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """``functional.adaptive_avg_pool2d``: ``(N, C, H, W) -> (N, C, *output_size)``."""

    _pool = staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """``functional.adaptive_avg_pool3d``: ``(N, C, D, H, W) -> (N, C, *output_size)``."""

    _pool = staticmethod(F.adaptive_avg_pool3d)


class _AdaptiveMaxPool(Module):
    _pool: ClassVar[Callable[..., Any]]

    def __init__(self, output_size: OutputSize, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Tensor) -> Any:
        return type(self)._pool(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """``functional.adaptive_max_pool1d``: ``(N, C, L) -> (N, C, output_size)``."""

    _pool = staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """``functional.adaptive_max_pool2d``: ``(N, C, H, W) -> (N, C, *output_size)``."""

    _pool = staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """``functional.adaptive_max_pool3d``: ``(N, C, D, H, W) -> (N, C, *output_size)``."""

    _pool = staticmethod(F.adaptive_max_pool3d)
