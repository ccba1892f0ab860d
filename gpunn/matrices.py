"""Linear algebra by ``torch``'s older names, whose arguments differ from ``linalg``'s."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from gpunn import linalg
from gpunn.dtype import FLOATING
from gpunn.ops import reduction
from gpunn.ops.calling import extended
from gpunn.ops.common import broadcast_shapes, dtype_of, not_implemented
from gpunn.ops.decompositions import Cholesky, check
from gpunn.ops.matmul import transposed
from gpunn.ops.shape import expand

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class Triangular(NamedTuple):
    """What ``triangular_solve`` returns."""

    solution: Tensor
    cloned_coefficient: Tensor


class SingularVectors(NamedTuple):
    """What ``svd`` returns: V, where ``linalg.svd`` has its transpose."""

    U: Tensor
    S: Tensor
    V: Tensor


@extended
def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """``linalg.cholesky``."""
    if input.data.dtype.kind not in FLOATING:
        raise not_implemented("cholesky", input.data)
    check("cholesky", input)
    factor = Cholesky.apply(input, "cholesky")
    return transposed(factor) if upper else factor


@extended
def qr(input: Tensor, some: bool = True) -> linalg.Factors:
    """``linalg.qr``, reduced with ``some``, else complete."""
    return linalg.qr(input, "reduced" if some else "complete")


@extended
def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> SingularVectors:
    """``input = U diag(S) Vᵀ``; without ``some`` U and V are square, without ``compute_uv`` 0."""
    if input.data.ndim < 2:
        raise RuntimeError(
            "linalg.svd: input should have at least 2 dimensions, but has "
            f"{input.data.ndim} dimensions instead"
        )
    u, s, vh = linalg.svd(input, not some or not compute_uv)
    if not compute_uv:
        u, vh = u.detach() * 0, vh.detach() * 0
    return SingularVectors(u, s, transposed(vh))


@extended
def triangular_solve(
    b: Tensor,
    A: Tensor,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
) -> Triangular:
    """X of ``A X = b`` (``Aᵀ X = b`` with ``transpose``) for a triangular A, and A."""
    right, whole = _equations("triangular_solve", b, A)
    x = linalg.solve_triangular(
        transposed(whole) if transpose else whole,
        right,
        upper=upper != transpose,
        unitriangular=unitriangular,
    )
    return Triangular(x, whole.clone())


@extended
def cholesky_solve(input: Tensor, input2: Tensor, upper: bool = False) -> Tensor:
    """X of ``A X = input``, where ``input2`` is the factor L of ``A = L Lᵀ`` (Lᵀ if ``upper``)."""
    b, factor = _equations("cholesky_solve", input, input2)
    low = transposed(factor) if upper else factor
    half = linalg.solve_triangular(low, b, upper=False)
    return linalg.solve_triangular(transposed(low), half, upper=True)


@extended
def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """``linalg.lu_solve``."""
    return linalg.lu_solve(LU_data, LU_pivots, b)


@extended
def cholesky_inverse(input: Tensor, upper: bool = False) -> Tensor:
    """A⁻¹, where ``input`` is the factor L of ``A = L Lᵀ`` (Lᵀ if ``upper``)."""
    check("cholesky_inverse", input)
    eye = input.new_ones(input.data.shape[-1]).diag()
    return cholesky_solve(eye, input, upper)


def _equations(name: str, b: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
    """Both broadcast to one batch, or PyTorch's sentence why they do not fit."""
    own = name == "triangular_solve"
    for label, x in (("b", b), ("A" if own else "u", A)):
        if x.data.ndim < 2:
            text = (
                f"gpunn.{name}: Expected {label} to have at least 2 dimensions, but it has"
                if own
                else f"{label} should have at least 2 dimensions, but has"
            )
            raise RuntimeError(f"{text} {x.data.ndim} dimensions instead")
    if A.data.dtype != b.data.dtype:
        raise RuntimeError(
            f"Expected b and A to have the same dtype, but found b of type {dtype_of(b).title} and "
            f"A of type {dtype_of(A).title} instead."
        )
    (m, n), (k, columns) = A.data.shape[-2:], b.data.shape[-2:]
    if m != n:
        raise RuntimeError(
            f"A must be batches of square matrices, but they are {m} by {n} matrices"
        )
    if n != k:
        raise RuntimeError(
            f"Incompatible matrix sizes for {name}: each A matrix is {n} by {n} but each b matrix "
            f"is {k} by {columns}"
        )
    batch = broadcast_shapes(A.data.shape[:-2], b.data.shape[:-2])
    return expand(b, *batch, k, columns), expand(A, *batch, n, n)


@extended
def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of matrices in the cheapest order: ``linalg.multi_dot``."""
    if not matrices:
        raise RuntimeError("chain_matmul(): Expected one or more matrices")
    for x in matrices:
        if x.data.ndim != 2:
            raise RuntimeError(f"Tensor dimension is {x.data.ndim}, expected 2 instead.")
    return matrices[0] if len(matrices) == 1 else linalg.multi_dot(matrices)


@extended
def nuclear_norm(
    input: Tensor, dim: tuple[int, int] | None = None, keepdim: bool = False
) -> Tensor:
    """The sum of the singular values of the matrices in ``dim`` (the last two)."""
    return linalg.matrix_norm(input, "nuc", (-2, -1) if dim is None else dim, keepdim)


@extended
def frobenius_norm(input: Tensor, dim: int | Sequence[int], keepdim: bool = False) -> Tensor:
    """The root of the sum of squares over ``dim``, one or two, or all with ``()``."""
    if not isinstance(dim, int) and len(dim) > 2:
        raise RuntimeError(f"Expected at most 2 dimensions, but got {len(dim)} dimensions instead.")
    if input.data.dtype.kind not in FLOATING:
        raise RuntimeError(
            "norm(): input dtype should be either floating point or complex. Got "
            f"{dtype_of(input).title} instead."
        )
    return reduction.norm(input, 2, dim, keepdim)


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """The ``pow``-norm over all dimensions but ``dim``, which alone keeps its size; -1: of all."""
    if dim == -1:
        return reduction.norm(v, pow)
    if v.data.ndim < 2:
        return v.abs()
    others = [d for d in range(v.data.ndim) if d != dim]
    return reduction.norm(v, pow, others, True)
