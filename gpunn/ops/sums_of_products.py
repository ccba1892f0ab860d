"""``beta * input + alpha * product``, of the products of matrices and vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpunn.dtype import FLOATING, in_use
from gpunn.ops.calling import extended
from gpunn.ops.common import Number, c_name, dtype_of
from gpunn.ops.conversion import in_wide
from gpunn.ops.filling import factor
from gpunn.ops.matmul import bmm, matmul, mm, mv
from gpunn.ops.precision import cast_for
from gpunn.ops.reduction import Sum
from gpunn.ops.shape import expand

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def _plus(input: Tensor, product: Tensor, beta: Number, alpha: Number) -> Tensor:
    """``beta * input + alpha * product``; with ``beta`` 0, whatever ``input`` holds."""
    beta, alpha = factor(product, beta), factor(product, alpha)
    scaled = product if alpha == 1 else product * alpha
    if beta == 0:
        return scaled
    return scaled + (input if beta == 1 else input * beta)


def _one_dtype(input: Tensor, mat1: Tensor, mat2: Tensor) -> None:
    for name, x in (("self", input), ("mat1", mat1)):
        if x.data.dtype != mat2.data.dtype:
            raise RuntimeError(
                f"{name} and mat2 must have the same dtype, but got {dtype_of(x).title} and "
                f"{dtype_of(mat2).title}"
            )


@extended
@in_wide
def addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Number = 1, alpha: Number = 1
) -> Tensor:
    """``beta * input + alpha * (mat1 @ mat2)``."""
    if in_use:
        input, mat1, mat2 = cast_for("addmm", input, mat1, mat2)
    for name, x in (("mat1", mat1), ("mat2", mat2)):
        if x.data.ndim != 2:
            raise RuntimeError(f"{name} must be a matrix, got {x.data.ndim}-D tensor")
    if mat1.data.shape[1] == mat2.data.shape[0]:
        input = expand(input, mat1.data.shape[0], mat2.data.shape[1])
        _one_dtype(input, mat1, mat2)
    return _plus(input, mm(mat1, mat2), beta, alpha)


@extended
@in_wide
def addmv(
    input: Tensor, mat: Tensor, vec: Tensor, *, beta: Number = 1, alpha: Number = 1
) -> Tensor:
    """``beta * input + alpha * (mat @ vec)``."""
    if in_use:
        input, mat, vec = cast_for("addmv", input, mat, vec)
    ndims = input.data.ndim, mat.data.ndim, vec.data.ndim
    if ndims[0] > 1 or ndims[1:] != (2, 1):
        raise RuntimeError(
            f"vector + matrix @ vector expected, got {ndims[0]}, {ndims[1]}, {ndims[2]}"
        )
    (n, m), (k,) = mat.data.shape, vec.data.shape
    if m != k or input.data.size not in (1, n):
        raise RuntimeError(
            f"size mismatch, got input ({input.data.size}), mat ({n}x{m}), vec ({k})"
        )
    _same_for_vectors(input, mat, vec)
    return _plus(expand(input, n), mv(mat, vec), beta, alpha)


def _same_for_vectors(*tensors: Tensor) -> None:
    if len({x.data.dtype for x in tensors}) > 1:
        a, b, c = (dtype_of(x).title for x in tensors)
        raise RuntimeError(
            f"addmv input tensors must have the same dtype, but got {a}, {b}, and {c}"
        )


@extended
@in_wide
def addr(
    input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Number = 1, alpha: Number = 1
) -> Tensor:
    """``beta * input + alpha * outer(vec1, vec2)``, in the dtype to which they promote."""
    if in_use:
        input, vec1, vec2 = cast_for("addr", input, vec1, vec2)
    for name, x in (("vec1", vec1), ("vec2", vec2)):
        if x.data.ndim != 1:
            raise RuntimeError(f"addr: Expected 1-D argument {name}, but got {x.data.ndim}-D")
    input = expand(input, vec1.data.size, vec2.data.size)
    if all(x.data.dtype.kind not in FLOATING for x in (input, vec1, vec2)):
        for name, number in (("beta", beta), ("alpha", alpha)):
            if isinstance(number, float):
                raise RuntimeError(
                    f"For integral input tensors, argument {name} must not be a floating point "
                    "number."
                )
    return _plus(input, vec1.reshape(-1, 1) * vec2.reshape(1, -1), beta, alpha)


@extended
@in_wide
def baddbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1
) -> Tensor:
    """``beta * input + alpha * (batch1 @ batch2)``, matrix by matrix: (b, n, k), (b, k, m)."""
    if in_use:
        input, batch1, batch2 = cast_for("baddbmm", input, batch1, batch2)
    if batch1.data.ndim == batch2.data.ndim == 3:
        input = expand(input, *batch1.data.shape[:2], batch2.data.shape[2])
        if input.data.dtype != batch1.data.dtype:
            names = [c_name(x) for x in (input, batch1, batch2)]
            raise RuntimeError(
                f"Input dtypes must be the same, got: input {names[0]}, batch1: {names[1]}, "
                f"batch2: {names[2]}"
            )
    return _plus(input, bmm(batch1, batch2), beta, alpha)


@extended
@in_wide
def addbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1
) -> Tensor:
    """``beta * input + alpha * Σ batch1 @ batch2``, the sum over the batch."""
    if in_use:
        input, batch1, batch2 = cast_for("addbmm", input, batch1, batch2)
    a, b = batch1.data.shape, batch2.data.shape
    if len(a) == len(b) == 3:
        input = expand(input, a[1], b[2])
        if a[0] != b[0]:
            raise RuntimeError(
                f"batch1 and batch2 must have same number of batches, got {a[0]} and {b[0]}"
            )
        if a[2] != b[1]:
            raise RuntimeError(
                f"Incompatible matrix sizes for bmm ({a[1]}x{a[2]} and {b[1]}x{b[2]})"
            )
        _one_dtype(input, batch1, batch2)
        return _plus(input, Sum.apply(matmul(batch1, batch2), (0,), False), beta, alpha)
    return _plus(input, bmm(batch1, batch2), beta, alpha)  # which refuses them
