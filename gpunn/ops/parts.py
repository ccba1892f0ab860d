"""The parts that a number is made of: mantissa and exponent, size and angle."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from gpunn.autograd.variable import Array
from gpunn.dtype import FLOATING, accumulator
from gpunn.ops.calling import extended
from gpunn.ops.common import Op, need_tensor, xp_of
from gpunn.ops.matmul import transposed
from gpunn.ops.pointwise import exp2, unary

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class MantissaAndExponent(NamedTuple):
    """What ``frexp`` returns."""

    mantissa: Tensor
    exponent: Tensor


class Frexp(Op):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Array, Array]:
        wide = x.data.astype(accumulator(x.data.dtype), copy=False)
        mantissa, exponent = xp_of(x).frexp(wide)
        exponent = exponent.astype("int32")
        ctx.save_for_backward(exponent)
        return mantissa.astype(x.data.dtype), exponent

    @staticmethod
    def backward(ctx: Any, dy: Tensor, _: Tensor) -> Tensor:
        (exponent,) = ctx.saved_tensors
        return dy / exp2(exponent.to(dy.dtype))


@extended
def frexp(input: Tensor) -> MantissaAndExponent:
    """``input`` as mantissa · 2^exponent, |mantissa| in [½, 1), elementwise; exponents int32."""
    need_tensor("frexp", input)
    if input.data.dtype.kind not in FLOATING:
        raise RuntimeError("gpunn.frexp() only supports floating-point dtypes")
    return MantissaAndExponent(*Frexp.apply(input))


def _angle(xp: Any, x: Array) -> Array:
    return xp.where(x < 0, x.dtype.type(math.pi), xp.where(x == x, x.dtype.type(0), x))


angle = unary("angle", "The angle of a complex number: π where x < 0, else 0", _angle)


def imag(input: Tensor) -> Tensor:
    """The imaginary part, which only complex numbers have. Raises RuntimeError."""
    raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")


def adjoint(input: Tensor) -> Tensor:
    """The last two dimensions exchanged, a view: of real numbers, no more. 0-d: itself."""
    need_tensor("adjoint", input)
    if input.data.ndim == 1:
        raise RuntimeError(
            "tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor."
        )
    return transposed(input) if input.data.ndim else input
