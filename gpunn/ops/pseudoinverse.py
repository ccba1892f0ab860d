"""What singular values tell: the pseudoinverse, the rank, and least squares by them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gpunn.dtype import finfo, float32, float64, int64
from gpunn.ops import reduction
from gpunn.ops.calling import extended
from gpunn.ops.choice import where
from gpunn.ops.common import broadcast_shapes, dtype_of, is_tensor
from gpunn.ops.decompositions import SVD, Eigh, LinAlgError, check
from gpunn.ops.matmul import matmul, transposed

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class LeastSquares(NamedTuple):
    """What ``lstsq`` returns."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


def _limit(A: Tensor, sizes: Tensor, atol: Any, rtol: Any) -> Any:
    """Up to which size singular values count as 0: max(atol, rtol σ₁), beside ``sizes``."""
    absolute: Any = atol.unsqueeze(-1) if is_tensor(atol) else atol
    relative: Any = rtol.unsqueeze(-1) if is_tensor(rtol) else rtol
    if rtol is None:
        relative = finfo(dtype_of(A)).eps * max(A.data.shape[-2:])
        if is_tensor(atol):
            relative = where(absolute > 0, 0.0, relative)
        elif atol:
            relative = 0.0
    largest = reduction.amax(sizes, -1, True) * relative
    return largest if atol is None else where(largest > absolute, largest, absolute)


@extended
def pinv(
    A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Tensor:
    """Moore and Penrose's inverse; singular values up to max(atol, rtol σ₁) count as 0.

    ``rcond`` is ``rtol`` by its older name. Of a ``hermitian`` A one triangle is read.
    """
    kind = dtype_of(A)
    if A.data.ndim < 2 or kind not in (float32, float64):
        raise RuntimeError(
            f"linalg.pinv({kind.title}{{{list(A.data.shape)}}}): expected a tensor with 2 or more "
            "dimensions of float, double, cfloat or cdouble types"
        )
    if hermitian:
        check("linalg.eigh", A)
    if not A.data.size:
        return A.new_empty((*A.data.shape[:-2], A.data.shape[-1], A.data.shape[-2]))
    rtol = rcond if rtol is None else rtol
    if hermitian:
        values, vectors = Eigh.apply(A, "L")
        left, right, sizes = vectors, transposed(vectors), values.abs()
    else:
        u, values, vh = SVD.apply(A, False)
        left, right, sizes = transposed(vh), transposed(u), values
    kept = sizes > _limit(A, sizes.detach(), atol, rtol)
    inverse = where(kept, 1 / where(kept, values, 1.0), 0.0)
    return matmul(left * inverse.unsqueeze(-2), right)


@extended
def matrix_rank(
    A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Tensor:
    """How many singular values are larger than max(atol, rtol σ₁) (int64).

    ``tol`` is an ``atol`` by its older name, and the only limit.
    """
    if A.data.ndim < 2:
        raise RuntimeError(
            "gpunn.linalg.matrix_rank: The input tensor input must have at least 2 dimensions."
        )
    _need_real(A)
    if hermitian:
        check("linalg.eigh", A)
    if not A.data.size:
        return A.new_zeros(A.data.shape[:-2], dtype=int64)
    x = A.detach()
    sizes = Eigh.apply(x, "L")[0].abs() if hermitian else SVD.apply(x, False)[1]
    if tol is not None:
        atol, rtol = tol, 0.0
    return (sizes > _limit(A, sizes, atol, rtol)).sum(-1)


def _need_real(x: Tensor) -> None:
    if dtype_of(x) not in (float32, float64):
        raise RuntimeError("This function doesn't handle types other than float and double")


_DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


@extended
def lstsq(
    A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None
) -> LeastSquares:
    """The X for which ``|A X - B|`` is least, and of these the smallest.

    By the pseudoinverse, whatever ``driver``; as in PyTorch that says what comes beside: "gelsy"
    (the default) the ranks; "gelsd" and "gelss" the singular values, too, and the residuals, which
    there are of more equations than unknowns of full rank; "gels" those alone, of full rank only.
    """
    driver = "gelsy" if driver is None else driver
    if A.data.ndim < 2:
        raise RuntimeError("gpunn.linalg.lstsq: input must have at least 2 dimensions.")
    if not B.data.ndim:
        raise RuntimeError("gpunn.linalg.lstsq: other must have at least 1 dimension.")
    apart = A.data.ndim - B.data.ndim
    if apart not in (0, 1):
        raise RuntimeError(
            "gpunn.linalg.lstsq: input.dim() must be greater or equal to other.dim() and "
            "(input.dim() - other.dim()) <= 1"
        )
    m, n = A.data.shape[-2:]
    vectors = apart == 1 and (B.data.ndim == 1 or B.data.shape == A.data.shape[:-1])
    if B.data.shape[-1 if vectors else -2] != m:
        raise RuntimeError(
            f"gpunn.linalg.lstsq: input.size(-2) should match other.size({-1 if vectors else -2})"
        )
    if A.data.dtype != B.data.dtype:
        raise RuntimeError(
            "gpunn.linalg.lstsq: Expected input and other to have the same dtype, but got input's "
            f"dtype {dtype_of(A).title} and other's dtype {dtype_of(B).title}"
        )
    if driver not in _DRIVERS:
        raise RuntimeError(
            "gpunn.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)"
        )
    _need_real(A)
    broadcast_shapes(A.data.shape[:-2], B.data.shape[: -2 + apart])
    right = B.unsqueeze(-1) if apart else B
    solution = matmul(pinv(A, rtol=rcond), right)
    rank = matrix_rank(A, rtol=rcond)
    full = bool((rank.data == min(m, n)).all())
    if driver == "gels" and not full:
        raise LinAlgError(
            "gpunn.linalg.lstsq: The least squares solution could not be computed because the "
            "input matrix does not have full rank."
        )
    residuals = values = A.new_empty(0)
    if driver != "gelsy" and m > n and full:
        error = matmul(A, solution) - right
        residuals = (error * error).sum(-2)
    if driver in ("gelsd", "gelss"):
        values = SVD.apply(A.detach(), False)[1]
    return LeastSquares(
        solution.squeeze(-1) if apart else solution,
        residuals,
        rank.new_empty(0) if driver == "gels" else rank,
        values,
    )
