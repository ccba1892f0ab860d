"""What a tensor is, asked as a function; complex numbers, which gpunn has not, included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpunn.ops.common import dtype_of, need_tensor

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex: never."""
    return False


def is_conj(input: Tensor) -> bool:
    """Whether the tensor is a lazy conjugate: never."""
    return False


def is_neg(input: Tensor) -> bool:
    """Whether the tensor is a lazy negation: never."""
    return False


def is_inference(input: Tensor) -> bool:
    """Whether autograd may not use the tensor: never, also of those made in ``inference_mode``."""
    need_tensor("is_inference", input)
    return False


def is_distributed(input: Tensor) -> bool:
    """Whether the tensor is spread over processes: never."""
    need_tensor("is_distributed", input)
    return False


def is_signed(input: Tensor) -> bool:
    """Whether the dtype has negative numbers."""
    return dtype_of(input).is_signed


def is_nonzero(input: Tensor) -> bool:
    """Whether the one element is not 0. Raises RuntimeError for more or fewer elements."""
    return bool(input)


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether both have one shape."""
    return input.data.shape == other.data.shape


def real(input: Tensor) -> Tensor:
    """The real part: ``input`` itself."""
    return input


def conj(input: Tensor) -> Tensor:
    """The complex conjugate: ``input`` itself."""
    return input


resolve_conj = resolve_neg = conj_physical = conj
