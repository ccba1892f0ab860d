"""Tensors made of one: new ones like it, and casts and copies of it to another dtype or device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import wrap
from gpunn.backends import backend_of
from gpunn.device import device as Device
from gpunn.draws import Draws
from gpunn.dtype import (
    as_dtype,
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from gpunn.ops import conversion, windows
from gpunn.ops.calling import checked
from gpunn.ops.common import also_named, is_tensor
from gpunn.ops.factory import factory
from gpunn.ops.filling import filled
from gpunn.ops.from_data import host_array

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class Likes(Draws):
    """``x.new_zeros(3)``, ``x.cpu()``, ``x.float()``; ``self`` is a Tensor, the one subclass."""

    # New tensors like this one --------------------------------------------------------------

    def _new(
        self: Any,
        name: str,
        size: tuple[Any, ...],
        *fill: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:
        kind = self.dtype if dtype is None else as_dtype(dtype)
        where = self.device if device is None else Device(device)
        backend = backend_of(where)
        with backend.on(where):
            tensor = wrap(filled(backend.xp, name, size, kind, *fill))
        return tensor.requires_grad_() if requires_grad else tensor

    @factory
    @also_named("size")
    def new_zeros(self: Any, *size: Any, **options: Any) -> Tensor:
        """Zeros of ``size`` with this tensor's dtype and device.

        Options, as of all that follow: ``dtype``, ``device``, ``requires_grad``.
        """
        return self._new("new_zeros", size, **options)

    @factory
    @also_named("size")
    def new_ones(self: Any, *size: Any, **options: Any) -> Tensor:
        """Ones of ``size`` with this tensor's dtype and device."""
        return self._new("new_ones", size, **options)

    @factory
    @also_named("size")
    def new_empty(self: Any, *size: Any, **options: Any) -> Tensor:
        """Uninitialised, of ``size``, with this tensor's dtype and device."""
        return self._new("new_empty", size, **options)

    @factory
    def new_empty_strided(
        self: Any, size: Sequence[int], stride: Sequence[int], **options: Any
    ) -> Tensor:
        """Uninitialised, of ``size`` and ``stride``, with this tensor's dtype and device."""
        if len(size) != len(stride):
            raise RuntimeError(
                f"dimensionality of sizes ({len(size)}) must match dimensionality of strides "
                f"({len(stride)})"
            )
        steps = [(n - 1) * s for n, s in zip(size, stride, strict=True)]
        memory = self.new_empty(0 if 0 in size else sum(steps) + 1, **options)
        return windows.laid_out(memory, size, stride)

    @factory
    def new_full(self: Any, size: Sequence[int], fill_value: float, **options: Any) -> Tensor:
        """``fill_value`` everywhere, with this tensor's dtype and device."""
        return self._new("new_full", (tuple(size),), fill_value, **options)

    @factory
    def new_tensor(
        self: Any,
        data: Any,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:
        """A tensor of ``data`` (numbers, sequences, arrays) with this one's dtype and device."""
        kind = self.dtype if dtype is None else as_dtype(dtype)
        where = self.device if device is None else Device(device)
        if is_tensor(data):
            return data.detach().to(where, kind, copy=True).requires_grad_(requires_grad)
        backend = backend_of(where)
        with backend.on(where):
            made = wrap(backend.from_numpy(host_array(data, kind)))
        return made.requires_grad_(requires_grad)

    # Copies and casts -----------------------------------------------------------------------

    def contiguous(self: Any, memory_format: Any = None) -> Tensor:
        """This tensor if contiguous, else a contiguous copy, row by row."""
        return self if self._data.flags.c_contiguous else conversion.clone(self)

    def cpu(self: Any) -> Tensor:
        """This tensor in host memory."""
        return self.to("cpu")

    def cuda(
        self: Any, device: Device | str | int | None = None, non_blocking: bool = False
    ) -> Tensor:
        """This tensor on a CUDA device (the current one unless named)."""
        return self.to(Device("cuda" if device is None else device), non_blocking=non_blocking)

    def type(self: Any, dtype: Any = None) -> Any:
        """Cast to ``dtype``; without one, the name of the type."""
        if dtype is None:
            return f"gpunn.{self.dtype.title}Tensor"
        return self.to(as_dtype(getattr(dtype, "dtype", dtype)))

    @checked
    def type_as(self: Any, other: Tensor) -> Tensor:
        """Cast to the dtype of ``other``."""
        return self.to(other.dtype)

    def bool(self: Any) -> Tensor:
        """Cast to bool."""
        return self.to(bool_)

    def byte(self: Any) -> Tensor:
        """Cast to uint8."""
        return self.to(uint8)

    def int(self: Any) -> Tensor:
        """Cast to int32."""
        return self.to(int32)

    def long(self: Any) -> Tensor:
        """Cast to int64."""
        return self.to(int64)

    def char(self: Any) -> Tensor:
        """Cast to int8."""
        return self.to(int8)

    def short(self: Any) -> Tensor:
        """Cast to int16."""
        return self.to(int16)

    def half(self: Any) -> Tensor:
        """Cast to float16."""
        return self.to(float16)

    def bfloat16(self: Any) -> Tensor:
        """Cast to bfloat16."""
        return self.to(bfloat16)

    def float(self: Any) -> Tensor:
        """Cast to float32."""
        return self.to(float32)

    def double(self: Any) -> Tensor:
        """Cast to float64."""
        return self.to(float64)
