"""Lazy layers: their parameters get shapes from the first input, then they become the layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from gpunn.autograd.grad_mode import no_grad
from gpunn.nn.conv import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    Sizes,
    _Conv,
)
from gpunn.nn.linear import Linear
from gpunn.nn.module import Module, Where
from gpunn.nn.normalization import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    Tracking,
)
from gpunn.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy
from gpunn.tensor import Tensor


class LazyModuleMixin(Module):
    """A module that calls ``initialize_parameters`` with its first input, before forward.

    That method gives every parameter and buffer without a shape one (``materialize``). Afterwards
    the module is of the class ``cls_to_become``, if there is one. Make the optimizer before or
    after: parameters stay the same objects.
    """

    cls_to_become: ClassVar[type[Module] | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register_forward_pre_hook(_initialize, with_kwargs=True)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give shapes to what has none, according to the input; a subclass says how."""
        raise NotImplementedError(
            f"initialize_parameters is not implemented for {type(self).__name__}"
        )

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer has no shape yet."""
        return any(is_lazy(t) for t in (*self._parameters.values(), *self._buffers.values()))


def _initialize(module: LazyModuleMixin, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    module.initialize_parameters(*args, **kwargs)
    if module.has_uninitialized_params():
        raise RuntimeError(f"module {module._get_name()} has not been fully initialized")
    hooks = module._forward_pre_hooks
    for key in [k for k, hook in hooks.items() if hook.call is _initialize]:
        del hooks[key]
    if module.cls_to_become is not None:
        module.__class__ = module.cls_to_become  # pyright: ignore[reportAttributeAccessIssue]


class _Lazy(LazyModuleMixin):
    """A layer made for inputs of size 0; ``_size`` is the attribute that tells their size."""

    _size: ClassVar[str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, tensor in list(self._tensors()):
            made = UninitializedBuffer if name in self._buffers else UninitializedParameter
            setattr(self, name, made(tensor.requires_grad, tensor.device, tensor.dtype))

    def _tensors(self) -> Iterator[tuple[str, Any]]:
        """The parameters and buffers whose shapes the input decides."""
        for name, tensor in (*self._parameters.items(), *self._buffers.items()):
            if tensor is not None and name != "num_batches_tracked":
                yield name, tensor

    def _input_size(self, input: Tensor) -> int:
        return input.shape[1]

    def _shape(self, name: str, inputs: int) -> tuple[int, ...]:
        """The shape of that parameter or buffer, for inputs of that size."""
        raise NotImplementedError

    def _known_size(self) -> int:
        """The size of the inputs that tensors which were loaded are for; 0 without any."""
        return next((t.shape[0] for _, t in self._tensors()), 0)

    def reset_parameters(self) -> None:
        if getattr(self, self._size) and not self.has_uninitialized_params():
            super().reset_parameters()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

    def initialize_parameters(self, input: Tensor) -> None:
        if not self.has_uninitialized_params():
            setattr(self, self._size, self._known_size())
            return
        inputs = self._input_size(input)
        with no_grad():
            for name, tensor in self._tensors():
                if is_lazy(tensor):
                    tensor.materialize(self._shape(name, inputs))
            setattr(self, self._size, inputs)
            super().reset_parameters()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


class LazyLinear(_Lazy, Linear):
    """A ``Linear`` whose ``in_features`` is the first input's last dimension."""

    cls_to_become, _size = Linear, "in_features"

    def __init__(
        self, out_features: int, bias: bool = True, device: Where = None, dtype: Any = None
    ) -> None:
        super().__init__(0, out_features, bias, device, dtype)

    def _input_size(self, input: Tensor) -> int:
        return input.shape[-1]

    def _shape(self, name: str, inputs: int) -> tuple[int, ...]:
        return (self.out_features, inputs) if name == "weight" else (self.out_features,)

    def _known_size(self) -> int:
        return self.weight.shape[-1]


class _LazyConv(_Lazy, _Conv):
    _size = "in_channels"

    def _input_size(self, input: Tensor) -> int:
        n = self._ndim
        if input.dim() not in (n + 1, n + 2):
            raise RuntimeError(
                f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to "
                f"{type(self).__name__}, but got input of size: {input.shape}"
            )
        channels = input.shape[-n - 1]
        if channels % self.groups:
            raise ValueError(
                f"in_channels must be divisible by groups: got in_channels={channels} and "
                f"groups={self.groups}"
            )
        return channels

    def _shape(self, name: str, inputs: int) -> tuple[int, ...]:
        return self._weight_size(inputs) if name == "weight" else (self.out_channels,)

    def _known_size(self) -> int:
        first, second = self.weight.shape[:2]
        return first if self._transposed else second * self.groups


class _LazyPlainConv(_LazyConv):
    def __init__(
        self,
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
        super().__init__(
            0,
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


class LazyConv1d(_LazyPlainConv, Conv1d):
    """A ``Conv1d`` whose ``in_channels`` is the first input's number of channels."""

    cls_to_become = Conv1d


class LazyConv2d(_LazyPlainConv, Conv2d):
    """A ``Conv2d`` whose ``in_channels`` is the first input's number of channels."""

    cls_to_become = Conv2d


class LazyConv3d(_LazyPlainConv, Conv3d):
    """A ``Conv3d`` whose ``in_channels`` is the first input's number of channels."""

    cls_to_become = Conv3d


class _LazyConvTranspose(_LazyConv):
    def __init__(
        self,
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
        super().__init__(
            0,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            bias,
            dilation,
            padding_mode,
            device,
            dtype,
        )


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """A ``ConvTranspose1d`` whose ``in_channels`` is the first input's number of channels."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """A ``ConvTranspose2d`` whose ``in_channels`` is the first input's number of channels."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTranspose, ConvTranspose3d):
    """A ``ConvTranspose3d`` whose ``in_channels`` is the first input's number of channels."""

    cls_to_become = ConvTranspose3d


class _LazyNorm(_Lazy, Tracking):
    _size = "num_features"

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Where = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(0, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def _shape(self, name: str, inputs: int) -> tuple[int, ...]:
        return (inputs,)


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """A ``BatchNorm1d`` whose ``num_features`` is the first input's ``shape[1]``."""

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """A ``BatchNorm2d`` whose ``num_features`` is the first input's ``shape[1]``."""

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """A ``BatchNorm3d`` whose ``num_features`` is the first input's ``shape[1]``."""

    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """An ``InstanceNorm1d`` whose ``num_features`` is the first input's ``shape[1]``."""

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """An ``InstanceNorm2d`` whose ``num_features`` is the first input's ``shape[1]``."""

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """An ``InstanceNorm3d`` whose ``num_features`` is the first input's ``shape[1]``."""

    cls_to_become = InstanceNorm3d
