"""Matrix products of all ranks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array
from gpunn.backends import type2backend
from gpunn.dtype import accumulator, in_use
from gpunn.ops.calling import extended
from gpunn.ops.common import Op, broadcast_shapes, dtype_of, need_tensor, not_implemented
from gpunn.ops.precision import cast_for
from gpunn.ops.shape import Permute

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class MatMul(Op, widens=False):
    """``(..., n, k) @ (..., k, m) -> (..., n, m)``, batch dimensions broadcast."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Array:
        need_x, need_y = ctx.needs_input_grad
        ctx.save_for_backward(x if need_y else None, y if need_x else None)
        a, b, backend = x._data, y._data, type2backend[type(x._data)]
        wide = accumulator(a.dtype)  # added in float32, rounded once
        if wide is not a.dtype:
            return backend.matmul(a.astype(wide), b.astype(wide)).astype(a.dtype)
        return backend.matmul(a, b)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, y = ctx.saved_tensors
        dx = MatMul.apply(dy, transposed(y)) if y is not None else None
        dw = MatMul.apply(transposed(x), dy) if x is not None else None
        return dx, dw


def transposed(x: Tensor) -> Tensor:
    """``x`` with its last two dimensions exchanged, a view."""
    n = x.data.ndim
    return Permute.apply(x, (*range(n - 2), n - 1, n - 2))


@extended
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """``input @ other``, as NumPy and PyTorch have it.

    1-d @ 1-d is the dot product; a 1-d operand counts as a row on the left, a column on the right,
    and that dimension goes again; more dimensions are batches and broadcast. Raises RuntimeError
    for sizes or dtypes that do not fit.
    """
    need_tensor("matmul", input)
    need_tensor("matmul", other, "other", 2)
    if in_use:
        input, other = cast_for("matmul", input, other)
    return _matmul(input, other)


def _matmul(input: Tensor, other: Tensor) -> Tensor:
    a, b = input.data, other.data
    if not a.ndim or not b.ndim:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D"
        )
    if a.dtype != b.dtype:
        raise RuntimeError(
            "expected m1 and m2 to have the same dtype, but got: "
            f"{dtype_of(input).name} != {dtype_of(other).name}"
        )
    inner = b.shape[0] if b.ndim == 1 else b.shape[-2]
    if a.shape[-1] != inner:
        raise RuntimeError(_mismatch(a, b))
    if a.dtype.kind == "b":
        raise not_implemented("addmm_impl", a)
    if a.ndim == 1 and b.ndim == 1:
        return MatMul.apply(input.reshape(1, -1), other.reshape(-1, 1)).reshape(())
    if b.ndim == 1:
        return _matmul(input, other.reshape(-1, 1)).squeeze(-1)
    if a.ndim == 1:
        return _matmul(input.reshape(1, -1), other).squeeze(-2)
    if a.ndim > 2 and b.ndim == 2:  # one large product instead of many small ones
        rows = MatMul.apply(input.reshape(-1, inner), other) if a.size else None
        if rows is not None:
            return rows.reshape(*a.shape[:-1], b.shape[-1])
    broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return MatMul.apply(input, other)


def _mismatch(a: Array, b: Array) -> str:
    if a.ndim == 1 and b.ndim == 1:
        return (
            "inconsistent tensor size, expected tensor "
            f"[{a.shape[0]}] and src [{b.shape[0]}] to have the same number of elements, but got "
            f"{a.shape[0]} and {b.shape[0]} elements respectively"
        )
    rows = math.prod(a.shape[:-1])
    if b.ndim == 1:
        return f"size mismatch, got input ({rows}), mat ({rows}x{a.shape[-1]}), vec ({b.shape[0]})"
    if b.ndim == 2:
        rows = f"{rows}x{a.shape[-1]}"
        columns = "x".join(map(str, b.shape))
        return f"mat1 and mat2 shapes cannot be multiplied ({rows} and {columns})"
    return f"matmul: cannot multiply shapes {list(a.shape)} and {list(b.shape)}"


@extended
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices."""
    if input.data.ndim != 2 or mat2.data.ndim != 2:
        which = "self" if input.data.ndim != 2 else "mat2"
        raise RuntimeError(f"{which} must be a matrix")
    if in_use:
        input, mat2 = cast_for("mm", input, mat2)
    return _matmul(input, mat2)


@extended
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """``(b, n, k) @ (b, k, m)``."""
    if input.data.ndim != 3 or mat2.data.ndim != 3:
        which = "batch1" if input.data.ndim != 3 else "batch2"
        raise RuntimeError(f"{which} must be a 3D tensor")
    if input.data.shape[0] != mat2.data.shape[0]:
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{input.data.shape[0]}, {input.data.shape[2]}] but got: "
            f"[{mat2.data.shape[0]}, {mat2.data.shape[1]}]."
        )
    if in_use:
        input, mat2 = cast_for("bmm", input, mat2)
    if input.data.dtype != mat2.data.dtype:
        titles = dtype_of(input).title, dtype_of(mat2).title
        raise RuntimeError(f"expected scalar type {titles[0]} but found {titles[1]}")
    return _matmul(input, mat2)


@extended
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """Σ input * tensor of two vectors."""
    if input.data.ndim != 1 or tensor.data.ndim != 1:
        raise RuntimeError(
            f"1D tensors expected, but got {input.data.ndim}D and {tensor.data.ndim}D tensors"
        )
    if in_use:
        input, tensor = cast_for("dot", input, tensor)
    if input.data.dtype != tensor.data.dtype:
        raise RuntimeError(
            "dot : expected both vectors to have same dtype, but found "
            f"{dtype_of(input).title} and {dtype_of(tensor).title}"
        )
    return _matmul(input, tensor)


@extended
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """A matrix times a vector."""
    if input.data.ndim != 2 or vec.data.ndim != 1:
        raise RuntimeError(
            f"vector + matrix @ vector expected, got 1, {input.data.ndim}, {vec.data.ndim}"
        )
    if in_use:
        input, vec = cast_for("mv", input, vec)
    if input.data.dtype != vec.data.dtype:
        titles = dtype_of(vec).title, dtype_of(input).title
        raise RuntimeError(
            "addmv input tensors must have the same dtype, but got "
            f"{titles[0]}, {titles[1]}, and {titles[0]}"
        )
    return _matmul(input, vec)


@extended
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """``input[i] * vec2[j]`` of two vectors."""
    for name, x in (("self", input), ("vec2", vec2)):
        if x.data.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {x.data.ndim}-D")
    return input.reshape(-1, 1) * vec2.reshape(1, -1)
