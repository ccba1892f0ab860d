"""PyTorch's old ways to name types: ``FloatTensor(2, 3)``, ``isinstance(x, LongTensor)``."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from gpunn import cuda
from gpunn.creation import empty, tensor
from gpunn.device import device as Device
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
    set_default_dtype,
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


def set_default_tensor_type(t: Any) -> None:
    """``set_default_dtype`` by the name or type of a CPU tensor: "gpunn.DoubleTensor".

    Raises TypeError for another type; a default device is ``set_default_device``'s business.
    """
    name = t if isinstance(t, str) else getattr(t, "__name__", str(t))
    module, _, name = name.rpartition(".")
    kind = getattr(globals().get(name), "dtype", None)
    if module not in ("", "gpunn", "torch") or kind is None:
        raise TypeError(
            f"invalid type object: {t!r} names no type of CPU tensors; use set_default_dtype() "
            "and set_default_device()"
        )
    if not kind.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    set_default_dtype(kind)


def typename(obj: Any) -> str:
    """The full name of an object's type, or of a type: ``"gpunn.FloatTensor"`` of a tensor."""
    if isinstance(obj, Tensor):
        return obj.type()
    named: Any = obj if hasattr(obj, "__qualname__") else obj.__class__
    module: str = getattr(named, "__module__", None) or "builtins"
    return named.__qualname__ if module == "builtins" else f"{module}.{named.__qualname__}"


def get_device_module(device: Any = None) -> ModuleType:
    """The namespace of a kind of device, ``gpunn.cuda``; the CPU has none here.

    Without ``device``, that of the accelerator. Raises RuntimeError where there is none.
    """
    if device is not None and not isinstance(device, (str, Device)):
        raise RuntimeError(f"Invalid value of device '{device}', expect gpunn.device, str, or None")
    kind = ("cuda" if cuda.is_available() else "cpu") if device is None else Device(device).type
    if kind != "cuda":
        raise RuntimeError(
            f"Device '{kind}' does not have a corresponding module registered as 'gpunn.{kind}'."
        )
    return cuda
