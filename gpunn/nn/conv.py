"""Convolution and transposed convolution as layers: a weight and a bias, and the arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from gpunn import functional as F
from gpunn.creation import empty
from gpunn.functional.arguments import ntuple
from gpunn.nn import init
from gpunn.nn.module import Module, Where
from gpunn.nn.parameter import Parameter
from gpunn.tensor import Tensor

Sizes = int | tuple[int, ...]
_PADDING_MODES = ("zeros", "circular", "replicate", "reflect")


class _Conv(Module):
    """The arguments, in tuples of ``_ndim``; ``_convolve`` is the function of that rank."""

    _ndim: ClassVar[int]
    _convolve: ClassVar[Callable[..., Tensor]]
    _transposed: ClassVar[bool] = False
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Where = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        n = self._ndim
        if groups <= 0:
            raise ValueError(f"groups must be a positive integer, got {groups}")
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(
                    f"{name} must be divisible by groups: got {name}={channels} and groups={groups}"
                )
        if padding_mode not in _PADDING_MODES:
            raise ValueError(
                f"padding_mode must be one of {_PADDING_MODES}, but got padding_mode="
                f"{padding_mode!r}"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride = ntuple(kernel_size, n), ntuple(stride, n)
        self.padding = padding if isinstance(padding, str) else ntuple(padding, n)
        self.dilation, self.groups = ntuple(dilation, n), groups
        self.output_padding, self.padding_mode = (0,) * n, padding_mode
        if isinstance(padding, str):
            if padding not in ("valid", "same"):
                raise ValueError(
                    f"Invalid padding string {padding!r}, should be one of 'valid', 'same'"
                )
            if padding == "same" and any(s != 1 for s in self.stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
        size = self._weight_size(in_channels)
        self.weight = Parameter(empty(*size, device=device, dtype=dtype))
        made = Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None
        self.register_parameter("bias", made)
        self.reset_parameters()

    def _weight_size(self, in_channels: int) -> tuple[int, ...]:
        if self._transposed:
            return in_channels, self.out_channels // self.groups, *self.kernel_size
        return self.out_channels, in_channels // self.groups, *self.kernel_size

    def reset_parameters(self) -> None:
        """Draw new values."""
        fan_in = math.prod(self.weight.shape[1:])
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._widths(), mode=self.padding_mode), 0
        return type(self)._convolve(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )

    def _widths(self) -> list[int]:
        """What ``F.pad`` is to add: (before, after) of the last dimension first."""
        if self.padding == "valid":
            pairs = [(0, 0)] * self._ndim
        elif self.padding == "same":
            total = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            pairs = [(t // 2, t - t // 2) for t in total]
        else:
            pairs = [(int(p), int(p)) for p in self.padding]
        return [width for pair in reversed(pairs) for width in pair]

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        if self.padding != (0,) * self._ndim:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self._ndim:
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * self._ndim:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class Conv1d(_Conv):
    """``Conv2d`` in one dimension: ``(N, C, L) -> (N, O, Lo)``."""

    _ndim = 1
    _convolve = staticmethod(F.conv1d)


class Conv2d(_Conv):
    """``functional.conv2d`` with a weight and a bias: ``(N, C, H, W) -> (N, O, Ho, Wo)``.

    ``weight`` is ``(out_channels, in_channels / groups, kH, kW)``, ``bias`` ``(out_channels,)`` or
    None; both begin uniform within ±1/√fan_in, fan_in = in_channels / groups * kH * kW.
    ``padding_mode`` "zeros", "reflect", "replicate" or "circular" says what the padding holds.
    Raises ValueError where ``groups`` does not divide the channels. As ``torch.nn.Conv2d``.
    """

    _ndim = 2
    _convolve = staticmethod(F.conv2d)


class Conv3d(_Conv):
    """``Conv2d`` in three dimensions: ``(N, C, D, H, W) -> (N, O, Do, Ho, Wo)``."""

    _ndim = 3
    _convolve = staticmethod(F.conv3d)


class _ConvTranspose(_Conv):
    """The arguments in PyTorch's order, and what ``output_size`` asks of ``output_padding``."""

    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        device: Where = None,
        dtype: Any = None,
    ) -> None:
        name = type(self).__name__
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {name}')
        if isinstance(padding, str):
            raise TypeError(f"{name}: padding must be an int or a tuple of ints, not {padding!r}")
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )
        self.output_padding = ntuple(output_padding, self._ndim)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self.output_padding
        if output_size is not None:
            extra = self._padding_for(input, tuple(output_size))
        return type(self)._convolve(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
        )

    def _padding_for(self, input: Tensor, asked: tuple[int, ...]) -> tuple[int, ...]:
        """The output padding that gives the size asked for, with or without its first ones."""
        n = self._ndim
        ndim = n + 2 if input.ndim == n + 2 else n + 1
        if len(asked) not in (n, ndim):
            raise ValueError(
                f"ConvTranspose{n}D: for {input.ndim}D input, output_size must have {n} or {ndim} "
                f"elements (got {len(asked)})"
            )
        asked, padding = asked[-n:], (int(p) for p in self.padding)
        each = zip(
            input.shape[-n:], self.stride, padding, self.dilation, self.kernel_size, strict=True
        )
        least = [(q - 1) * s - 2 * p + d * (k - 1) + 1 for q, s, p, d, k in each]
        most = [m + s - 1 for m, s in zip(least, self.stride, strict=True)]
        if any(not a <= b <= c for a, b, c in zip(least, asked, most, strict=True)):
            raise ValueError(
                f"requested an output size of {asked}, but valid sizes range from {least} to "
                f"{most} (for an input of {input.shape[-n:]})"
            )
        return tuple(b - a for a, b in zip(least, asked, strict=True))


class ConvTranspose1d(_ConvTranspose):
    """``ConvTranspose2d`` in one dimension: ``(N, C, L) -> (N, O, Lo)``."""

    _ndim = 1
    _convolve = staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """``functional.conv_transpose2d`` with a weight and a bias: ``(N, C, H, W) -> (N, O, Ho, Wo)``.

    ``weight`` is ``(in_channels, out_channels / groups, kH, kW)``, ``bias`` ``(out_channels,)`` or
    None; both begin uniform within ±1/√fan_in, fan_in = out_channels / groups * kH * kW. Called
    with ``output_size``, it chooses the output padding for it; ValueError where none does. Raises
    ValueError where ``groups`` does not divide the channels. As ``torch.nn.ConvTranspose2d``.
    """

    _ndim = 2
    _convolve = staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """``ConvTranspose2d`` in three dimensions: ``(N, C, D, H, W) -> (N, O, Do, Ho, Wo)``."""

    _ndim = 3
    _convolve = staticmethod(F.conv_transpose3d)
