"""``Variable(x)``, from when only variables had gradients; now every tensor is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd import variable
from gpunn.autograd.variable import wrap

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class _Kind(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, variable.Variable)

    def __call__(
        cls, data: Any = None, requires_grad: bool = False, volatile: bool = False
    ) -> Tensor:
        if volatile and requires_grad:
            raise ValueError("Variable can't be volatile and require_grad at the same time!")
        if data is None:
            return wrap(numpy.empty(0, numpy.float32))
        if not isinstance(data, variable.Variable):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        tensor: Any = data
        return tensor.detach().requires_grad_(requires_grad)


class Variable(metaclass=_Kind):
    """``Variable(x, requires_grad)``: a leaf over the memory of ``x``. Every tensor is one."""
