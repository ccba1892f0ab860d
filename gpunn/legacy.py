"""Types of tensors by PyTorch's old names: ``FloatTensor(2, 3)``, ``isinstance(x, LongTensor)``."""

from __future__ import annotations

from typing import Any

from gpunn.creation import empty, tensor
from gpunn.dtype import (
    bfloat16,
    bool_,
    dtype,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from gpunn.tensor import Tensor


class _TensorType(type):
    """A class whose instances are the CPU tensors of one dtype."""

    dtype: Any  # one of gpunn's

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype and instance.is_cpu

    def __call__(cls, *args: Any) -> Any:
        """Uninitialised, of sizes given as ints; or a tensor of data given as a sequence."""
        if all(isinstance(a, int) for a in args):
            return empty(*args, dtype=cls.dtype) if args else empty(0, dtype=cls.dtype)
        (data,) = args
        return tensor(data, dtype=cls.dtype)

    def __repr__(cls) -> str:
        return f"<class 'gpunn.{cls.__name__}'>"


def _named(kind: dtype) -> Any:
    name = f"{kind.title}Tensor"
    return _TensorType(name, (), {"dtype": kind, "__doc__": f"CPU tensors of {kind.name}."})


BFloat16Tensor = _named(bfloat16)
BoolTensor = _named(bool_)
ByteTensor = _named(uint8)
CharTensor = _named(int8)
DoubleTensor = _named(float64)
FloatTensor = _named(float32)
HalfTensor = _named(float16)
IntTensor = _named(int32)
LongTensor = _named(int64)
ShortTensor = _named(int16)
