"""``gpunn.linalg``: linear algebra under ``torch.linalg``'s names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from gpunn.autograd.variable import wrap
from gpunn.dtype import FLOATING, float32, float64, int64
from gpunn.missing import refuse_others as _refuse_others
from gpunn.ops import contraction, reduction
from gpunn.ops import shape as shapes
from gpunn.ops.calling import check_arguments as _check_arguments
from gpunn.ops.calling import extended
from gpunn.ops.choice import where
from gpunn.ops.common import c_name, dtype_of, not_implemented, xp_of
from gpunn.ops.decompositions import (
    QR,
    SVD,
    Determinant,
    Eigh,
    LinAlgError,
    SlogDeterminant,
    check,
    check_shape,
)
from gpunn.ops.joining import stack
from gpunn.ops.lu import lu, lu_factor, lu_factor_ex, lu_solve
from gpunn.ops.matmul import dot, matmul
from gpunn.ops.matrix_exp import matrix_exp
from gpunn.ops.norms import matrix_norm, norm, vector_norm
from gpunn.ops.pseudoinverse import lstsq, matrix_rank, pinv
from gpunn.ops.solving import (
    cholesky,
    cholesky_ex,
    inv,
    inv_ex,
    solve,
    solve_ex,
    solve_triangular,
    tensorinv,
    tensorsolve,
)

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "inv_ex",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
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
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]


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


@extended
def det(A: Tensor) -> Tensor:
    """The determinant of each matrix of (..., n, n)."""
    check("linalg.det", A, kernel="lu")
    return Determinant.apply(A)


@extended
def slogdet(A: Tensor) -> SignAndLog:
    """The sign of the determinant and the logarithm of its size: no overflow."""
    check("linalg.slogdet", A)
    return SignAndLog(*SlogDeterminant.apply(A))


@extended
def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant: NaN where that is negative, -inf where it is 0."""
    check("logdet", input)
    sign, size = SlogDeterminant.apply(input)
    return where(sign < 0, math.nan, size)


@extended
def qr(A: Tensor, mode: str = "reduced") -> Factors:
    """``A = Q R``: orthonormal columns, an upper triangle. ``mode``: "reduced", "complete", "r"."""
    check("linalg.qr", A, square=False, kernel="geqrf")
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), "
            "'r', or 'complete'"
        )
    return Factors(*QR.apply(A, mode))


@extended
def eigh(A: Tensor, UPLO: str = "L") -> Eigen:
    """Eigenvalues, ascending, and eigenvectors of symmetric matrices; one triangle is read."""
    check_shape("linalg.eigh", A)
    if dtype_of(A) not in (float32, float64):
        raise not_implemented("linalg_eigh", A.data)
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return Eigen(*Eigh.apply(A, UPLO.upper()))


@extended
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric matrices, ascending."""
    return eigh(A, UPLO).eigenvalues


@extended
def svd(A: Tensor, full_matrices: bool = True) -> SingularValues:
    """``A = U diag(S) Vh``, S descending; with ``full_matrices`` U and Vh are square."""
    check("linalg.svd", A, square=False, kernel="linalg_svd")
    return SingularValues(*SVD.apply(A, full_matrices))


@extended
def svdvals(A: Tensor) -> Tensor:
    """The singular values, descending."""
    return svd(A, False).S


@extended
def cond(A: Tensor, p: float | str | None = None) -> Tensor:
    """The condition number: the largest singular value over the least, or |A| |A⁻¹|.

    Infinite for a singular matrix, 0 for an empty one.
    """
    named = isinstance(p, str)
    if A.data.ndim < 2 and not named:
        raise RuntimeError("linalg.cond: The input tensor must have at least 2 dimensions.")
    if p in (None, 2, -2):
        if not A.data.size:
            return A.new_zeros(A.data.shape[:-2])
        s = svdvals(A)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    if named or A.data.size:
        check_shape(f"linalg.cond(ord={p})", A)
    if p not in ("fro", "nuc", 1, -1, math.inf, -math.inf):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    if not A.data.size:
        return A.new_zeros(A.data.shape[:-2])
    if p == "nuc":
        check("linalg.svd", A, kernel="linalg_svd")
    check("linalg.inv", A)
    regular = wrap(xp_of(A).asarray(xp_of(A).linalg.det(A.data) != 0))
    whole = where(regular[..., None, None], A, A.new_ones(A.data.shape[-1]).diag())
    size = matrix_norm(A, p) * matrix_norm(inv(whole), p)
    return where(regular, size, math.inf)


@extended
def matrix_power(A: Tensor, n: int) -> Tensor:
    """``A`` n times multiplied; for n < 0 its inverse."""
    if not isinstance(n, int):
        kind = type(n).__name__
        raise TypeError(f"linalg_matrix_power(): argument 'n' (position 2) must be int, not {kind}")
    check_shape("linalg.matrix_power", A)
    if n < 0:
        return matrix_power(inv(A), -n)
    if n == 0:
        eye = A.new_ones(A.data.shape[-1]).diag()
        return shapes.expand(eye, *A.data.shape).clone()
    result, square = None, A
    while n:
        if n % 2:
            result = square if result is None else matmul(result, square)
        n //= 2
        square = matmul(square, square) if n else square
    return A.clone() if result is A else result  # pyright: ignore[reportReturnType]


@extended
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of matrices in the cheapest order; the first and last may be vectors."""
    if len(tensors) < 2:
        raise RuntimeError("multi_dot(): expected at least 2 tensors but got " + str(len(tensors)))
    chain = list(tensors)
    for i, x in enumerate(chain):
        ends = "first" if not i else "last" if i == len(chain) - 1 else ""
        if ends and x.data.ndim not in (1, 2):
            raise RuntimeError(
                f"multi_dot(): the {ends} tensor must be 1D or 2D but got {x.data.ndim}D"
            )
        if not ends and x.data.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {x.data.ndim}D")
        if x.data.dtype != chain[0].data.dtype:
            raise RuntimeError(
                "multi_dot(): all tensors must have be the same dtype but tensor 0 is "
                f"{c_name(chain[0])} and tensor {i} {c_name(x)}"
            )
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


@extended
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Σ x y along ``dim``; both broadcast."""
    if x.data.dtype.kind not in FLOATING:
        raise RuntimeError(
            "linalg.vecdot: Expected a floating point or complex tensor as input. Got "
            f"{dtype_of(x).title}"
        )
    if x.data.dtype != y.data.dtype:
        raise RuntimeError(
            "linalg.vecdot: Expected x and y to have the same dtype, but found x of type "
            f"{dtype_of(x).title} and y of type {dtype_of(y).title} instead"
        )
    if x.data.ndim == y.data.ndim == 1:
        return dot(x, y)
    return reduction.sum(x * y, dim)


@extended
def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The vector product along ``dim``, of size 3; the other dimensions broadcast."""
    return contraction.cross(input, other, dim)


@extended
def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """The powers 0 to N - 1 (the last size of ``x``) of each vector of (..., n), (..., n, N)."""
    if x.data.ndim == 0 or (x.data.shape[-1] if N is None else N) <= 1:
        raise RuntimeError("N must be greater than 1.")
    kind = dtype_of(x)
    if not kind.kind or (kind.is_floating_point and kind.itemsize == 2):
        raise RuntimeError(
            "linalg.vander supports floating point, complex, and integer tensors, but got "
            f"{kind.title}"
        )
    if kind.kind == 1:
        x = x.to(int64)
    powers = [x * 0 + 1]
    for _ in range(1, x.data.shape[-1] if N is None else N):
        powers.append(powers[-1] * x)
    return stack(powers, -1)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonal of dimensions ``dim1`` and ``dim2``, as the last dimension; a view."""
    return shapes.diagonal(A, offset, dim1, dim2)


inverse, pinverse = inv, pinv  # as `torch` itself calls them


_check_arguments(globals())
_refuse_others(globals())
