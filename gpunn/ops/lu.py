"""LU with partial pivoting: the factors, their gradients, and equations solved by them.

A matrix (m, n) is P L U: P a permutation, L (m, k) a lower triangle with ones on its diagonal, U
(k, n) an upper one, k = min(m, n). Both lie in one matrix; ``pivots`` says with which row, counted
from 1, each row changed places. k steps of array code, for all matrices of a batch at once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from gpunn.autograd.variable import Array, wrap
from gpunn.backends import type2backend
from gpunn.dtype import float32, float64, int32
from gpunn.ops.calling import extended
from gpunn.ops.common import Op, broadcast_shapes, dtype_of, not_implemented, xp_of
from gpunn.ops.decompositions import Inverse, SolveTriangular, check_shape
from gpunn.ops.joining import cat, tril, triu
from gpunn.ops.matmul import MatMul, transposed
from gpunn.ops.shape import expand

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class LUFactors(NamedTuple):
    """What ``lu_factor`` returns."""

    LU: Tensor
    pivots: Tensor


class LUFactorsAndInfo(NamedTuple):
    """What ``lu_factor_ex`` returns."""

    LU: Tensor
    pivots: Tensor
    info: Tensor


class PLU(NamedTuple):
    """What ``lu`` and ``lu_unpack`` return."""

    P: Tensor
    L: Tensor
    U: Tensor


def factored(a: Array, xp: Any) -> tuple[Array, Array, Array]:
    """Both factors in one array, the pivots, and the first that is zero (from 1; 0: none is)."""
    (m, n), batch = a.shape[-2:], a.shape[:-2]
    k = min(m, n)
    number = math.prod(batch)
    lu = a.reshape(number, m, n).copy()
    pivots, info = xp.zeros((number, k), "int32"), xp.zeros(number, "int32")
    every = xp.arange(number)
    for j in range(k):
        row = xp.abs(lu[:, j:, j]).argmax(1) + j
        pivots[:, j] = row + 1
        lu[every, j], lu[every, row] = lu[every, row], lu[every, j].copy()
        pivot = lu[:, j, j]
        info = xp.where((info == 0) & (pivot == 0), j + 1, info)
        column = lu[:, j + 1 :, j] / xp.where(pivot == 0, 1, pivot)[:, None]
        lu[:, j + 1 :, j] = column
        lu[:, j + 1 :, j + 1 :] -= column[:, :, None] * lu[:, j, None, j + 1 :]
    return lu.reshape(a.shape), pivots.reshape(*batch, k), info.reshape(batch).astype("int32")


def _permutation(pivots: Array, m: int, kind: Any, xp: Any) -> Array:
    """The matrices P (..., m, m) of ``pivots``."""
    flat = pivots.reshape(math.prod(pivots.shape[:-1]), pivots.shape[-1])
    order = xp.tile(xp.arange(m), (len(flat), 1))
    every = xp.arange(len(flat))
    for j in range(flat.shape[-1]):
        row = flat[:, j] - 1
        order[every, j], order[every, row] = order[every, row], order[every, j].copy()
    p = (xp.arange(m)[:, None] == order[:, None, :]).astype(kind)
    return p.reshape(*pivots.shape[:-1], m, m)


class Factored(Op):
    """LU, pivots and info of ``factored``."""

    name = "LinalgLuFactorExBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Array, ...]:
        lu, pivots, info = factored(x.data, xp_of(x))
        ctx.save_for_backward(lu)
        ctx.pivots = pivots
        ctx.mark_non_differentiable(pivots, info)
        return lu, pivots, info

    @staticmethod
    def backward(ctx: Any, dlu: Tensor, *_: Any) -> Tensor:
        (lu,) = ctx.saved_tensors
        xp, (m, n) = xp_of(lu), lu.data.shape[-2:]
        k = min(m, n)
        p = wrap(_permutation(ctx.pivots, m, lu.data.dtype, xp))
        low, up = tril(lu[..., :, :k], -1), triu(lu[..., :k, :])
        dlow, dup = tril(dlu[..., :, :k], -1), triu(dlu[..., :k, :])
        square = low[..., :k, :] + wrap(xp.eye(k, dtype=lu.data.dtype))
        inner, dinner = up[..., :k], dup[..., :k]
        parts: list[Tensor] = []
        if m > k:  # L₂ = A₂ U⁻¹
            below, dbelow = low[..., k:, :], dlow[..., k:, :]
            da = MatMul.apply(dbelow, transposed(Inverse.apply(inner)))
            dinner = dinner - triu(MatMul.apply(transposed(below), da))
            parts.append(da)
        dsquare = dlow[..., :k, :]
        right: Tensor | None = None
        if n > k:  # U₂ = L⁻¹ A₂
            right = SolveTriangular.apply(transposed(square), dup[..., k:], True)
            dsquare = dsquare - tril(MatMul.apply(right, transposed(up[..., k:])), -1)
        core = tril(MatMul.apply(transposed(square), dsquare), -1)
        core = core + triu(MatMul.apply(dinner, transposed(inner)))
        core = SolveTriangular.apply(transposed(square), core, True)
        core = MatMul.apply(core, transposed(Inverse.apply(inner)))
        dx = cat([core, *parts], -2)
        dx = dx if right is None else cat([dx, right], -1)
        return MatMul.apply(p, dx)


def _check(name: str, A: Tensor, pivot: bool) -> None:
    if A.data.ndim < 2:
        raise RuntimeError(
            f"{name}: Expected tensor with 2 or more dimensions. Got size: {list(A.data.shape)} "
            "instead"
        )
    if dtype_of(A) not in (float32, float64):
        raise not_implemented("lu", A.data)
    if not pivot:
        where = type2backend[type(A.data)].name.upper()
        raise RuntimeError(
            f"linalg.lu_factor: LU without pivoting is not implemented on the {where}"
        )


def _check_info(name: str, info: Tensor) -> None:
    """Refuse a factorization with a zero pivot."""
    places = type2backend[type(info.data)].to_numpy(info.data)
    if places.any():
        at = int(places.reshape(-1).nonzero()[0][0])
        place = places.reshape(-1)[at]
        raise RuntimeError(
            f"gpunn.linalg.{name}: {f'(Batch element {at}): ' if places.ndim else ''}U[{place},"
            f"{place}] is zero and using it on lu_solve would result in a division by zero. If you "
            "still want to perform the factorization, consider calling linalg.lu(A, pivot) or "
            "linalg.lu_factor_ex(A, pivot)"
        )


@extended
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> LUFactorsAndInfo:
    """As ``lu_factor``, and where the first zero on U's diagonal is: 1, 2, ...; 0 if nowhere."""
    _check("gpunn.lu_factor", A, pivot)
    found = LUFactorsAndInfo(*Factored.apply(A))
    if check_errors:
        _check_info("lu_factor_ex", found.info)
    return found


@extended
def lu_factor(A: Tensor, *, pivot: bool = True) -> LUFactors:
    """L (below the diagonal) and U in one matrix, and the pivots (int32), for ``lu_solve``."""
    _check("gpunn.lu_factor", A, pivot)
    factors, pivots, info = Factored.apply(A)
    _check_info("lu_factor", info)
    return LUFactors(factors, pivots)


@extended
def lu(A: Tensor, *, pivot: bool = True) -> PLU:
    """``A = P L U``."""
    _check("linalg.lu", A, pivot)
    factors, pivots, _ = Factored.apply(A)
    return lu_unpack(factors, pivots)


@extended
def lu_unpack(
    LU_data: Tensor,
    LU_pivots: Tensor,
    unpack_data: bool = True,
    unpack_pivots: bool = True,
) -> PLU:
    """P, L and U of what ``lu_factor`` returns; what is not asked for is empty."""
    if dtype_of(LU_pivots) is not int32:
        raise RuntimeError(
            "gpunn.lu_unpack: LU_pivots is expected to be a contiguous tensor of gpunn.int32 dtype."
            "\nNote: this function is intended to be used with the output produced by "
            "gpunn.linalg.lu_factor"
        )
    xp, (m, n) = xp_of(LU_data), LU_data.data.shape[-2:]
    k, kind = min(m, n), LU_data.data.dtype
    text = (
        "pivots passed to lu_unpack must be between 1 and LU.size(-2) inclusive.Did you properly "
        "pass the result of lu_factor?"
    )
    backend = type2backend[type(LU_pivots.data)]
    backend.check_indices("lu_unpack", LU_pivots.data, 1, m + 1, text, RuntimeError)
    p = low = up = LU_data.new_empty(0)
    if unpack_pivots:
        p = wrap(_permutation(LU_pivots.data, m, kind, xp))
    if unpack_data:
        low = tril(LU_data[..., :, :k], -1) + wrap(xp.eye(m, k, dtype=kind))
        up = triu(LU_data[..., :k, :])
    return PLU(p, low, up)


@extended
def lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False
) -> Tensor:
    """X of ``A X = B`` (``X A = B`` unless ``left``; Aᵀ with ``adjoint``) by what ``lu_factor``
    has made of A."""
    check_shape("gpunn.linalg.lu_solve", LU)
    name, n = "linalg.lu_solve", LU.data.shape[-1]
    if B.data.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor B must have at least 2 dimensions.")
    k, m = B.data.shape[-2:]
    if dtype_of(pivots) is not int32:
        raise RuntimeError(f"{name}: pivots should be a Tensor of scalar type gpunn.int32")
    if n != (k if left else m):
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation {'AX' if left else 'XA'} = B "
            f"({n}x{n} and {k}x{m})"
        )
    if LU.data.dtype != B.data.dtype:
        raise RuntimeError(
            f"{name}: Expected LU and B to have the same dtype, but found LU of type "
            f"{dtype_of(LU).title} and B of type {dtype_of(B).title} instead"
        )
    if pivots.data.shape[-1] != n:
        raise RuntimeError(
            f"{name}: Number of pivots per batch should be same as the dimension of the matrix"
        )
    p, low, up = lu_unpack(LU, pivots)
    batch = broadcast_shapes(LU.data.shape[:-2], B.data.shape[:-2])
    p, low, up = (expand(t, *batch, n, n) for t in (p, low, up))
    b = expand(B, *batch, k, m)
    right = b if left else transposed(b)
    if adjoint == left:  # Aᵀ X = Uᵀ Lᵀ Pᵀ X
        half = SolveTriangular.apply(transposed(up), right, False)
        x = MatMul.apply(p, SolveTriangular.apply(transposed(low), half, True))
    else:
        half = SolveTriangular.apply(low, MatMul.apply(transposed(p), right), False)
        x = SolveTriangular.apply(up, half, True)
    return x if left else transposed(x)
