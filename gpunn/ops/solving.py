"""Inverses and solutions of equations, checked, or with an account of what failed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gpunn.autograd.variable import wrap
from gpunn.dtype import float32, float64
from gpunn.ops.calling import extended
from gpunn.ops.choice import where
from gpunn.ops.common import broadcast_shapes, constant, dtype_of, not_implemented
from gpunn.ops.decompositions import (
    Cholesky,
    Inverse,
    LinAlgError,
    Solve,
    SolveTriangular,
    check,
    check_shape,
    places,
)
from gpunn.ops.joining import tril, triu
from gpunn.ops.matmul import transposed
from gpunn.ops.shape import expand, movedim, reshape

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class InverseAndInfo(NamedTuple):
    """What ``inv_ex`` returns."""

    inverse: Tensor
    info: Tensor


class ResultAndInfo(NamedTuple):
    """What ``solve_ex`` returns."""

    result: Tensor
    info: Tensor


class FactorAndInfo(NamedTuple):
    """What ``cholesky_ex`` returns."""

    L: Tensor
    info: Tensor


@extended
def inv(A: Tensor) -> Tensor:
    """The inverse of each matrix of (..., n, n). Raises LinAlgError for a singular one."""
    check("linalg.inv", A)
    return Inverse.apply(A)


@extended
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X of ``A X = B`` (``X A = B`` with ``left=False``); B holds vectors or matrices."""
    check("linalg.solve", A, kernel="lu")
    if A.data.dtype != B.data.dtype:
        raise RuntimeError(
            f"linalg.solve: Expected A and B to have the same dtype, but found A of type "
            f"{dtype_of(A).title} and B of type {dtype_of(B).title} instead"
        )
    vectors = B.data.ndim == 1 or (
        A.data.ndim - 1 == B.data.ndim and B.data.shape == A.data.shape[:-1]
    )
    a, b = _of_one_batch("linalg.solve", A, B.unsqueeze(-1) if vectors else B, left)
    if not left:
        return transposed(Solve.apply(transposed(a), transposed(b)))
    x = Solve.apply(a, b)
    return x.squeeze(-1) if vectors else x


def _of_one_batch(name: str, A: Tensor, B: Tensor, left: bool) -> tuple[Tensor, Tensor]:
    """Both sides of equations, broadcast; refused where their matrices do not fit."""
    if B.data.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor B must have at least 2 dimensions.")
    (n, _), (k, m) = A.data.shape[-2:], B.data.shape[-2:]
    if n != (k if left else m):
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation {'AX' if left else 'XA'} = B "
            f"({n}x{n} and {k}x{m})"
        )
    batch = broadcast_shapes(A.data.shape[:-2], B.data.shape[:-2])
    return expand(A, *batch, n, n), expand(B, *batch, k, m)


@extended
def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """``solve`` of which only one triangle of A is read (and not its diagonal, of ones)."""
    name = "linalg.solve_triangular"
    check_shape(name, A)
    if dtype_of(A) not in (float32, float64):
        raise not_implemented("triangular_solve", A.data)
    a, b = _of_one_batch(name, A, B, left)
    if unitriangular:
        ones = A.new_ones(A.data.shape[-1]).diag()
        a = (triu(a, 1) if upper else tril(a, -1)) + ones
    else:
        a = triu(a) if upper else tril(a)
    if left:
        return SolveTriangular.apply(a, b, upper)
    return transposed(SolveTriangular.apply(transposed(a), transposed(b), not upper))


@extended
def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangular L of ``A = L Lᵀ`` (or its transpose) of positive-definite matrices."""
    check("linalg.cholesky", A, kernel="cholesky")
    factor = Cholesky.apply(A, "linalg.cholesky")
    return transposed(factor) if upper else factor


# With info ------------------------------------------------------------------------------------


def _tried(
    name: str, routine: str, A: Tensor, check_errors: bool, apply: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """``apply(A)``, NaN where a matrix is refused, and where LAPACK stops in each (int32)."""
    try:
        return apply(A), A.new_zeros(A.data.shape[:-2], dtype="int32")
    except LinAlgError as error:
        if check_errors:
            plain = name.removesuffix("_ex")
            raise LinAlgError(str(error).replace(f"{plain}:", f"{name}:")) from None
    info = wrap(constant(A, places(routine, A.data)))
    good = (info == 0)[..., None, None]
    whole = where(good, A, A.new_ones(A.data.shape[-1]).diag())
    return where(good, apply(whole), math.nan), info


@extended
def inv_ex(A: Tensor, *, check_errors: bool = False) -> InverseAndInfo:
    """``inv`` that refuses none: NaN for a singular matrix, whose first zero pivot ``info`` has."""
    check("linalg.inv", A)
    return InverseAndInfo(*_tried("linalg.inv_ex", "getrf", A, check_errors, Inverse.apply))


@extended
def solve_ex(
    A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False
) -> ResultAndInfo:
    """``solve`` that refuses no A: NaN for a singular one, whose first zero pivot ``info`` has."""

    def solved(whole: Tensor) -> Tensor:
        return solve(whole, B, left=left)

    if not A.data.ndim or not B.data.ndim:
        solved(A)  # which refuses them
    return ResultAndInfo(*_tried("linalg.solve_ex", "getrf", A, check_errors, solved))


@extended
def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> FactorAndInfo:
    """``cholesky`` that refuses none: NaN for what is not positive-definite, and ``info``."""
    check("linalg.cholesky", A, kernel="cholesky")

    def factor(whole: Tensor) -> Tensor:
        return cholesky(whole, upper=upper)

    return FactorAndInfo(*_tried("linalg.cholesky_ex", "potrf", A, check_errors, factor))


# Of tensors -----------------------------------------------------------------------------------


@extended
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse for ``tensordot`` over the first ``ind`` dimensions of A."""
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    shape = A.data.shape
    if ind > len(shape):
        raise RuntimeError(f"ArrayRef: invalid slice, N = {ind}; size = {len(shape)}")
    rows, columns = math.prod(shape[:ind]), math.prod(shape[ind:])
    if rows != columns:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {columns} != {rows}"
        )
    return reshape(inv(reshape(A, rows, columns)), *shape[ind:], *shape[:ind])


@extended
def tensorsolve(A: Tensor, B: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """X of ``tensordot(A, X, X.ndim) = B``; ``dims`` of A are moved to its end before."""
    moved = A
    if dims is not None:
        moved = movedim(A, tuple(dims), tuple(d - len(dims) for d in range(len(dims))))
    shape, rows = moved.data.shape, B.data.size
    unknown = shape[B.data.ndim :]
    columns = math.prod(unknown)
    if rows != columns:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {columns} != {rows}"
        )
    return reshape(solve(reshape(moved, rows, columns), reshape(B, -1)), *unknown)
