"""Three tensors at once: ``addcmul``, ``addcdiv``, ``lerp``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpunn.autograd.variable import Variable
from gpunn.dtype import FLOATING, in_use
from gpunn.ops.calling import extended
from gpunn.ops.common import Number, c_name, dtype_of, need_tensor, not_implemented
from gpunn.ops.conversion import in_wide
from gpunn.ops.filling import factor
from gpunn.ops.precision import cast_for

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


_ARGUMENTS = ("input", "tensor1", "tensor2")


def _need_tensors(name: str, *given: Tensor) -> None:
    for position, (argument, x) in enumerate(zip(_ARGUMENTS, given, strict=True), 1):
        if not isinstance(x, Variable):
            need_tensor(name, x, argument, position)


@extended
@in_wide
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Tensor:
    """``input + value * tensor1 * tensor2``, broadcasting."""
    _need_tensors("addcmul", input, tensor1, tensor2)
    if in_use:
        input, tensor1, tensor2 = cast_for("addcmul", input, tensor1, tensor2)
    if all(x.data.dtype.kind == "b" for x in (input, tensor1, tensor2)):
        raise not_implemented("addcmul_out", input.data)
    product = tensor1 * tensor2
    value = factor(product, value)
    return input + (product if value == 1 else product * value)


@extended
@in_wide
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Tensor:
    """``input + value * tensor1 / tensor2``, broadcasting; two integers are refused."""
    _need_tensors("addcdiv", input, tensor1, tensor2)
    if in_use:
        input, tensor1, tensor2 = cast_for("addcdiv", input, tensor1, tensor2)
    if all(x.data.dtype.kind not in FLOATING for x in (tensor1, tensor2)):
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future  release "
            "addcdiv will perform a true division of tensor1 and tensor2. The historic addcdiv "
            "behavior can be implemented as (input + value * gpunn.trunc(tensor1 / tensor2))"
            ".to(input.dtype) for integer inputs and as (input + value * tensor1 / tensor2) for "
            "float inputs."
        )
    quotient = tensor1 / tensor2
    return input + (quotient if value == 1 else quotient * value)


@extended
@in_wide
def lerp(input: Tensor, end: Tensor, weight: Tensor | float) -> Tensor:
    """``input + weight * (end - input)``, broadcasting."""
    need_tensor("lerp", input)
    need_tensor("lerp", end, "end", 2)
    if end.data.dtype != input.data.dtype:
        raise RuntimeError(f"expected dtype {c_name(input)} for `end` but got dtype {c_name(end)}")
    if isinstance(weight, Variable) and weight.data.dtype != input.data.dtype:
        raise RuntimeError(
            f"expected dtype {c_name(input)} for `weight` but got dtype {c_name(weight)}"
        )
    if input.data.dtype.kind not in FLOATING:
        raise NotImplementedError(
            f"\"lerp_kernel_scalar\" not implemented for '{dtype_of(input).title}'"
        )
    return input + (end - input) * weight
