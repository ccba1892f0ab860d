"""Padding as layers: they hold widths and call ``functional.pad``."""

from __future__ import annotations

from typing import ClassVar

from gpunn import functional as F
from gpunn.functional.arguments import ntuple
from gpunn.nn.module import Module
from gpunn.tensor import Tensor

Widths = int | tuple[int, ...]


class _Pad(Module):
    """``padding``: one width for all sides, or (left, right, top, bottom, ...)."""

    _ndim: ClassVar[int]
    _mode: ClassVar[str]

    def __init__(self, padding: Widths) -> None:
        super().__init__()
        self.padding = ntuple(padding, 2 * self._ndim)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    _mode = "constant"

    def __init__(self, padding: Widths, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self._mode, self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """``value`` on both sides of the last dimension; a negative width crops."""

    _ndim = 1


class ConstantPad2d(_ConstantPad):
    """``value`` around the last two dimensions; a negative width crops."""

    _ndim = 2


class ConstantPad3d(_ConstantPad):
    """``value`` around the last three dimensions; a negative width crops."""

    _ndim = 3


class ZeroPad1d(_Pad):
    """Zeros on both sides of the last dimension; a negative width crops."""

    _ndim, _mode = 1, "constant"


class ZeroPad2d(_Pad):
    """Zeros around the last two dimensions; a negative width crops."""

    _ndim, _mode = 2, "constant"


class ZeroPad3d(_Pad):
    """Zeros around the last three dimensions; a negative width crops."""

    _ndim, _mode = 3, "constant"


class ReflectionPad1d(_Pad):
    """The last dimension mirrored at its ends."""

    _ndim, _mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """The last two dimensions mirrored at their ends."""

    _ndim, _mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """The last three dimensions mirrored at their ends."""

    _ndim, _mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """The end elements of the last dimension repeated."""

    _ndim, _mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """The end elements of the last two dimensions repeated."""

    _ndim, _mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """The end elements of the last three dimensions repeated."""

    _ndim, _mode = 3, "replicate"


class _CircularPad(_Pad):
    _mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        n = self._ndim
        if input.dim() not in (n + 1, n + 2):
            raise ValueError(f"expected {n + 1}D or {n + 2}D input (got {input.dim()}D input)")
        return super().forward(input)


class CircularPad1d(_CircularPad):
    """The last dimension continued at its other end."""

    _ndim = 1


class CircularPad2d(_CircularPad):
    """The last two dimensions continued at their other ends."""

    _ndim = 2


class CircularPad3d(_CircularPad):
    """The last three dimensions continued at their other ends."""

    _ndim = 3
