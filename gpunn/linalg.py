"""``gpunn.linalg``: linear algebra under ``torch.linalg``'s names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from gpunn.dtype import FLOATING, dtype, finfo
from gpunn.missing import refuse_others as _refuse_others
from gpunn.ops import reduction
from gpunn.ops.arithmetic import where
from gpunn.ops.calling import check_arguments as _check_arguments
from gpunn.ops.calling import extended
from gpunn.ops.common import broadcast_shapes, canonical_dim, dtype_of
from gpunn.ops.contraction import cross
from gpunn.ops.decompositions import (
    QR,
    SVD,
    Cholesky,
    Determinant,
    Eigh,
    Inverse,
    LinAlgError,
    SlogDeterminant,
    Solve,
    check,
)
from gpunn.ops.joining import tril, triu
from gpunn.ops.matmul import matmul, transposed
from gpunn.ops.matrix_exp import matrix_exp
from gpunn.ops.shape import diagonal, expand, movedim

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

__all__ = [
    "LinAlgError",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "vecdot",
    "vector_norm",
]

Order = float | str | None


class SignAndLog(NamedTuple):
    """What ``slogdet`` returns."""

    sign: Tensor
    logabsdet: Tensor


class Factors(NamedTuple):
    """What ``qr`` returns."""

    Q: Tensor
    R: Tensor


class Eigen(NamedTuple):
    """What ``eigh`` returns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class SingularValues(NamedTuple):
    """What ``svd`` returns."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class LeastSquares(NamedTuple):
    """What ``lstsq`` returns."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


@extended
def det(A: Tensor) -> Tensor:
    """The determinant of each matrix of (..., n, n)."""
    check("linalg.det", A)
    return Determinant.apply(A)


def slogdet(A: Tensor) -> SignAndLog:
    """The sign of the determinant and the logarithm of its size: no overflow."""
    check("linalg.slogdet", A)
    return SignAndLog(*SlogDeterminant.apply(A))


def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant: NaN where that is negative, -inf where it is 0."""
    check("logdet", input)
    sign, size = SlogDeterminant.apply(input)
    return where(sign < 0, math.nan, size)


@extended
def inv(A: Tensor) -> Tensor:
    """The inverse of each matrix of (..., n, n). Raises LinAlgError for a singular one."""
    check("linalg.inv", A)
    return Inverse.apply(A)


@extended
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X of ``A X = B`` (``X A = B`` with ``left=False``); B holds vectors or matrices."""
    check("linalg.solve", A)
    if A.data.dtype != B.data.dtype:
        raise RuntimeError(
            f"linalg.solve: Expected A and B to have the same dtype, but found A of type "
            f"{dtype_of(A).title} and B of type {dtype_of(B).title} instead"
        )
    vectors = B.data.ndim == 1 or (
        A.data.ndim - 1 == B.data.ndim and B.data.shape == A.data.shape[:-1]
    )
    b = B.unsqueeze(-1) if vectors else B
    if not left:
        if vectors:
            raise RuntimeError(
                "linalg.solve: Vector broadcasting of the left hand side is not supported for "
                "left=False."
            )
        return transposed(solve(transposed(A), transposed(b)))
    if A.data.shape[-1] != b.data.shape[-2]:
        n, (k, m) = A.data.shape[-1], b.data.shape[-2:]
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation AX = B ({n}x{n} and "
            f"{k}x{m})"
        )
    batch = broadcast_shapes(A.data.shape[:-2], b.data.shape[:-2])
    x = Solve.apply(expand(A, *batch, *A.data.shape[-2:]), expand(b, *batch, *b.data.shape[-2:]))
    return x.squeeze(-1) if vectors else x


def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """``solve`` of which only one triangle of A is read (and not its diagonal, of ones)."""
    check("linalg.solve_triangular", A)
    if unitriangular:
        ones = A.new_ones(A.data.shape[-1]).diag()
        return solve((triu(A, 1) if upper else tril(A, -1)) + ones, B, left=left)
    return solve(triu(A) if upper else tril(A), B, left=left)


@extended
def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangular L of ``A = L Lᵀ`` (or its transpose) of positive-definite matrices."""
    check("linalg.cholesky", A)
    factor = Cholesky.apply(A, "linalg.cholesky")
    return transposed(factor) if upper else factor


def qr(A: Tensor, mode: str = "reduced") -> Factors:
    """``A = Q R``: orthonormal columns, an upper triangle. ``mode``: "reduced", "complete"."""
    check("linalg.qr", A, square=False)
    if mode not in ("reduced", "complete"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), "
            "'r', or 'complete'"
        )
    return Factors(*QR.apply(A, mode))


def eigh(A: Tensor, UPLO: str = "L") -> Eigen:
    """Eigenvalues, ascending, and eigenvectors of symmetric matrices; one triangle is read."""
    check("linalg.eigh", A)
    return Eigen(*Eigh.apply(A, UPLO.upper()))


def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric matrices, ascending."""
    return eigh(A, UPLO).eigenvalues


def svd(A: Tensor, full_matrices: bool = True) -> SingularValues:
    """``A = U diag(S) Vh``, S descending; with ``full_matrices`` U and Vh are square."""
    check("linalg.svd", A, square=False)
    return SingularValues(*SVD.apply(A, full_matrices))


def svdvals(A: Tensor) -> Tensor:
    """The singular values, descending."""
    return svd(A, False).S


def _tolerance(A: Tensor, s: Tensor, atol: Any, rtol: Any) -> Any:
    if rtol is None:
        known = atol is not None and (not isinstance(atol, float) or atol > 0)
        rtol = 0.0 if known else finfo(dtype_of(A)).eps * max(A.data.shape[-2:])
    largest = reduction.amax(s, -1, True) * rtol
    return largest if atol is None else where(largest > atol, largest, atol)


def pinv(A: Tensor, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Tensor:
    """Moore and Penrose's inverse; singular values up to max(atol, rtol σ₁) count as 0."""
    check("linalg.pinv", A, square=hermitian)
    if not A.data.size:
        return A.new_empty((*A.data.shape[:-2], A.data.shape[-1], A.data.shape[-2]))
    u, s, vh = svd(A, False)
    kept = s > _tolerance(A, s.detach(), atol, rtol)
    inverse = where(kept, 1 / where(kept, s, 1.0), 0.0)
    return matmul(transposed(vh) * inverse.unsqueeze(-2), transposed(u))


def matrix_rank(
    A: Tensor, *, atol: Any = None, rtol: Any = None, hermitian: bool = False
) -> Tensor:
    """How many singular values are larger than max(atol, rtol σ₁) (int64)."""
    check("linalg.matrix_rank", A, square=hermitian)
    s = svdvals(A.detach())
    return (s > _tolerance(A, s, atol, rtol)).sum(-1)


def lstsq(A: Tensor, B: Tensor, rcond: float | None = None) -> LeastSquares:
    """The X for which ``|A X - B|`` is least, and of these the smallest."""
    check("linalg.lstsq", A, square=False)
    solution = matmul(pinv(A, rtol=rcond), B)
    rank = matrix_rank(A, rtol=rcond)
    m, n = A.data.shape[-2:]
    residuals = A.new_empty(0)
    if m > n and bool((rank.data == n).all()):
        error = matmul(A, solution) - B
        residuals = (error * error).sum(-2)
    return LeastSquares(solution, residuals, rank, A.new_empty(0))


def cond(A: Tensor, p: Order = None) -> Tensor:
    """The condition number: the largest singular value over the least, or |A| |A⁻¹|."""
    if p in (None, 2, -2):
        s = svdvals(A)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return matrix_norm(A, p or "fro") * matrix_norm(inv(A), p or "fro")


def matrix_power(A: Tensor, n: int) -> Tensor:
    """``A`` n times multiplied; for n < 0 its inverse."""
    if not isinstance(n, int):  # type: ignore[redundant-expr]
        kind = type(n).__name__
        raise TypeError(f"linalg_matrix_power(): argument 'n' (position 2) must be int, not {kind}")
    check("linalg.matrix_power", A)
    if n < 0:
        return matrix_power(inv(A), -n)
    if n == 0:
        eye = A.new_ones(A.data.shape[-1]).diag()
        return expand(eye, *A.data.shape).clone()
    result, square = None, A
    while n:
        if n % 2:
            result = square if result is None else matmul(result, square)
        n //= 2
        square = matmul(square, square) if n else square
    return A.clone() if result is A else result  # type: ignore[return-value]


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of matrices in the cheapest order; the first and last may be vectors."""
    if len(tensors) < 2:
        raise RuntimeError("multi_dot(): expected at least 2 tensors but got " + str(len(tensors)))
    chain = list(tensors)
    row, column = chain[0].data.ndim == 1, chain[-1].data.ndim == 1
    if row:
        chain[0] = chain[0].unsqueeze(0)
    if column:
        chain[-1] = chain[-1].unsqueeze(1)
    sizes = [x.data.shape[0] for x in chain] + [chain[-1].data.shape[1]]
    for i, (x, y) in enumerate(pairwise(chain)):
        if x.data.shape[1] != y.data.shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {i} and {i + 1} with shapes {list(tensors[i].data.shape)} "
                f"and {list(tensors[i + 1].data.shape)} cannot be multiplied"
            )
    best: dict[tuple[int, int], tuple[int, int]] = {(i, i): (0, i) for i in range(len(chain))}
    for width in range(1, len(chain)):
        for i in range(len(chain) - width):
            j = i + width
            best[i, j] = min(
                (best[i, k][0] + best[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            )

    def product(i: int, j: int) -> Tensor:
        if i == j:
            return chain[i]
        k = best[i, j][1]
        return matmul(product(i, k), product(k + 1, j))

    result = product(0, len(chain) - 1)
    result = result.squeeze(-1) if column else result
    return result.squeeze(0) if row else result


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Σ x y along ``dim``; both broadcast."""
    return reduction.sum(x * y, dim)


inverse, pinverse = inv, pinv  # as `torch` itself calls them


# Norms --------------------------------------------------------------------------------------


@extended
def vector_norm(
    x: Tensor,
    ord: float = 2,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: dtype | None = None,
) -> Tensor:
    """(Σ|x|ᵖ)^(1/p) over ``dim`` (None: all); inf and -inf the extremes of |x|, 0 a count."""
    if isinstance(ord, str):
        raise TypeError("linalg.vector_norm(): argument 'ord' must be Number, not str")
    if dtype is not None:
        x = x.to(dtype)
    return reduction.norm(x, ord, dim, keepdim)


@extended
def matrix_norm(
    A: Tensor,
    ord: float | str = "fro",
    dim: tuple[int, int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: dtype | None = None,
) -> Tensor:
    """Of each matrix in ``dim``: "fro", "nuc" (Σ σ), ±inf (rows), ±1 (columns), ±2 (σ)."""
    if A.data.dtype.kind not in FLOATING:
        raise RuntimeError(
            "linalg.matrix_norm: Expected a floating point or complex tensor as input. Got "
            f"{dtype_of(A).title}"
        )
    if A.data.ndim < 2:
        raise RuntimeError(
            "linalg.matrix_norm: The input tensor A must have at least 2 dimensions."
        )
    x = A if dtype is None else A.to(dtype)
    rows, columns = (canonical_dim(d, A.data.ndim) for d in dim)
    if rows == columns:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    if ord == "fro":
        return reduction.norm(x, 2, (rows, columns), keepdim)
    x = movedim(x, (rows, columns), (-2, -1))
    if ord in (1, -1, math.inf, -math.inf):
        sums = reduction.sum(x.abs(), -2 if abs(ord) == 1 else -1)
        y = (reduction.amax if ord > 0 else reduction.amin)(sums, -1)
    elif ord in (2, -2):
        y = svdvals(x)[..., 0 if ord == 2 else -1]
    elif ord == "nuc":
        y = reduction.sum(svdvals(x), -1)
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if keepdim:
        for d in sorted((rows, columns)):
            y = y.unsqueeze(d)
    return y


@extended
def norm(
    A: Tensor,
    ord: Order = None,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: dtype | None = None,
) -> Tensor:
    """``matrix_norm`` for two dims or a named ``ord``, else ``vector_norm``, of order 2."""
    pair = isinstance(dim, (tuple, list)) and len(dim) == 2
    if ord is not None and (isinstance(ord, str) or pair or (dim is None and A.data.ndim == 2)):
        chosen: Any = dim if pair else (-2, -1)
        return matrix_norm(A, ord, tuple(chosen), keepdim, dtype=dtype)
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)  # type: ignore[arg-type]


_check_arguments(globals())
_refuse_others(globals())
