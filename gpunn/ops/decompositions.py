"""Inverses, determinants and factorizations of (batches of) matrices, with their gradients.

Gradients as in M. Giles, "An extended collection of matrix derivative results for forward and
reverse mode algorithmic differentiation", 2008. LAPACK computes on the CPU, cuSOLVER on CUDA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Array, wrap
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING, float32, float64
from gpunn.ops.choice import where
from gpunn.ops.common import Op, dtype_of, not_implemented, xp_of
from gpunn.ops.joining import cat, tril
from gpunn.ops.matmul import MatMul, transposed
from gpunn.ops.reduction import prod
from gpunn.ops.shape import diagonal
from gpunn.ops.stacking import diag_embed

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class LinAlgError(RuntimeError):
    """A matrix is singular, or not positive-definite, or no convergence was reached."""


def check(name: str, x: Tensor, square: bool = True, kernel: str = "") -> None:
    """Refuse what is no matrix (no square one) of float32 or float64, in PyTorch's words.

    Where PyTorch has a ``kernel`` refuse 16-bit floats, the error names that.
    """
    check_shape(name, x, square)
    kind = dtype_of(x)
    if x.data.dtype.kind not in FLOATING:
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {kind.title}"
        )
    if kind not in (float32, float64):
        if kernel:
            raise not_implemented(kernel, x.data)
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {kind.title}")


def check_shape(name: str, x: Tensor, square: bool = True) -> None:
    """Refuse what is no matrix (no square one)."""
    if x.data.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if square and x.data.shape[-1] != x.data.shape[-2]:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {x.data.shape[-2]} by "
            f"{x.data.shape[-1]} matrices"
        )


def _computed(text: str, routine: str, function: Any, x: Array, *args: Any) -> Any:
    """``function(x, ...)`` of an array module's linalg; its LinAlgError told as PyTorch does.

    ``text`` names the ``{batch}`` element and its ``{place}``, for which LAPACK is asked again.
    """
    try:
        return function(x, *args)
    except numpy.linalg.LinAlgError:
        found = places(routine, x).reshape(-1)
        first = int((found > 0).argmax())
        batch = f"(Batch element {first}): " if x.ndim > 2 else ""
        raise LinAlgError(text.format(batch=batch, place=found[first])) from None


def places(routine: str, x: Array) -> numpy.ndarray[Any, Any]:
    """Where LAPACK's ``routine`` stops in each matrix of ``x``, counted from 1; 0: it does not."""
    from scipy.linalg import lapack  # pyright: ignore[reportMissingTypeStubs]  (SciPy has none)

    once, options = getattr(lapack, f"d{routine}"), {"lower": True} if routine == "potrf" else {}
    host = type2backend[type(x)].to_numpy(x).astype("float64")
    stops = [once(matrix, **options)[-1] for matrix in host.reshape(-1, *x.shape[-2:])]
    return numpy.asarray(stops, "int32").reshape(x.shape[:-2])


class Inverse(Op):
    name = "LinalgInvExBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Array:
        text = (
            "linalg.inv: {batch}The diagonal element {place} is zero, the inversion could not be "
            "completed because the input matrix is singular."
        )
        y = _computed(text, "getrf", xp_of(x).linalg.inv, x.data)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        yt = transposed(ctx.saved_tensors[0])
        return -MatMul.apply(MatMul.apply(yt, dy), yt)


class Determinant(Op):
    name = "LinalgDetBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Array:
        y = xp_of(x).asarray(xp_of(x).linalg.det(x.data)).astype(x.data.dtype, copy=False)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        x, y = ctx.saved_tensors
        factor = dy[..., None, None]
        if x.data.size and not bool((y.data == 0).any()):
            return factor * y[..., None, None] * transposed(Inverse.apply(x))
        return factor * _cofactors(x)


def _cofactors(x: Tensor) -> Tensor:
    """The derivatives of the determinant, also of a singular matrix, by the singular values."""
    xp = xp_of(x)
    u, s, vh = SVD.apply(x, False)
    diagonal = wrap(xp.eye(s.data.shape[-1], dtype=bool))
    others = prod(where(diagonal, 1.0, s[..., None, :]), -1)
    sign = wrap(xp.asarray(xp.linalg.det(u.data) * xp.linalg.det(vh.data)))
    return sign[..., None, None] * MatMul.apply(u * others[..., None, :], vh)


class SlogDeterminant(Op):
    name = "LinalgSlogdetBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Array, ...]:
        sign, size = xp_of(x).linalg.slogdet(x.data)
        xp, kind = xp_of(x), x.data.dtype
        sign, size = (xp.asarray(a).astype(kind, copy=False) for a in (sign, size))
        ctx.save_for_backward(x)
        ctx.mark_non_differentiable(sign)
        return sign, size

    @staticmethod
    def backward(ctx: Any, _: Tensor, dy: Tensor) -> Tensor:
        return dy[..., None, None] * transposed(Inverse.apply(ctx.saved_tensors[0]))


class Solve(Op):
    """X of A X = B, for matrices B."""

    name = "LinalgSolveExBackward0"

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Array:
        text = "gpunn.linalg.solve: {batch}The solver failed because the input matrix is singular."
        x = _computed(text, "getrf", xp_of(a).linalg.solve, a.data, b.data)
        ctx.save_for_backward(a, x)
        return x

    @staticmethod
    def backward(ctx: Any, dx: Tensor) -> tuple[Tensor | None, ...]:
        a, x = ctx.saved_tensors
        db = Solve.apply(transposed(a), dx)
        da = -MatMul.apply(db, transposed(x)) if ctx.needs_input_grad[0] else None
        return da, db


class SolveTriangular(Op):
    """X of A X = B for a triangular A; where that has a zero on its diagonal, infinite or NaN."""

    name = "LinalgSolveTriangularBackward0"

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, upper: bool) -> Array:
        ctx.upper = upper
        try:
            x = xp_of(a).linalg.solve(a.data, b.data)
        except numpy.linalg.LinAlgError:
            x = _substituted(a.data, b.data, upper)
        ctx.save_for_backward(a, x)
        return x

    @staticmethod
    def backward(ctx: Any, dx: Tensor) -> tuple[Tensor | None, ...]:
        a, x = ctx.saved_tensors
        db = SolveTriangular.apply(transposed(a), dx, not ctx.upper)
        da = -MatMul.apply(db, transposed(x)) if ctx.needs_input_grad[0] else None
        return da, db, None


def _substituted(a: Array, b: Array, upper: bool) -> Array:
    """The solution row by row, each from those that are known."""
    x = b.copy()
    n = a.shape[-1]
    for i in reversed(range(n)) if upper else range(n):
        known = slice(i + 1, n) if upper else slice(i)
        row = x[..., i, :] - (a[..., i, None, known] @ x[..., known, :])[..., 0, :]
        x[..., i, :] = row / a[..., i, i, None]
    return x


class Cholesky(Op):
    """The lower triangle L of A = L Lᵀ."""

    name = "LinalgCholeskyExBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor, caller: str) -> Array:
        text = caller + (
            ": {batch}The factorization could not be completed because the input is not "
            "positive-definite (the leading minor of order {place} is not positive-definite)."
        )
        y = _computed(text, "potrf", xp_of(x).linalg.cholesky, x.data)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (factor,) = ctx.saved_tensors
        inverse = Inverse.apply(factor)
        inner = tril(MatMul.apply(transposed(factor), tril(dy)))
        inner = inner - diag_embed(diagonal(inner, 0, -2, -1)) * 0.5
        dx = MatMul.apply(MatMul.apply(transposed(inverse), inner), inverse)
        return (dx + transposed(dx)) * 0.5, None


class QR(Op):
    """Q with orthonormal columns and upper triangular R of A = Q R; no Q of mode "r"."""

    name = "LinalgQrBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor, mode: str) -> tuple[Array, ...]:
        xp, ctx.mode = xp_of(x), mode
        if mode == "r":
            q, r = xp.empty(0, x.data.dtype), xp.linalg.qr(x.data, mode)
        else:
            q, r = xp.linalg.qr(x.data, mode)
        ctx.save_for_backward(q, r)
        return q, r

    @staticmethod
    def backward(ctx: Any, dq: Tensor, dr: Tensor) -> tuple[Tensor | None, ...]:
        q, r = ctx.saved_tensors
        if ctx.mode == "r":
            raise RuntimeError(
                "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. "
                "Please use linalg.qr(A, mode='reduced') if you are going to require backward."
            )
        n, k = r.data.shape[-1], q.data.shape[-1]
        if k > n:
            raise RuntimeError(
                "The QR decomposition is not differentiable when mode='complete' and nrows > ncols."
            )
        # Of [X Y] = Q [U V], Q and U are those of X, and Y = Q V.
        u, v, du, dv = r[..., :k], r[..., k:], dr[..., :k], dr[..., k:]
        if k == n:
            return QR._of_tall(q, r, dq, dr), None
        dx = QR._of_tall(q, u, dq + MatMul.apply(MatMul.apply(q, v), transposed(dv)), du)
        return cat([dx, MatMul.apply(q, dv)], -1), None

    @staticmethod
    def _of_tall(q: Tensor, r: Tensor, dq: Tensor, dr: Tensor) -> Tensor:
        m = MatMul.apply(r, transposed(dr)) - MatMul.apply(transposed(dq), q)
        low = tril(m, -1)
        inner = low + transposed(low) + diag_embed(diagonal(m, 0, -2, -1))
        return MatMul.apply(dq + MatMul.apply(q, inner), transposed(Inverse.apply(r)))


class Eigh(Op):
    """Eigenvalues in ascending order and eigenvectors of symmetric matrices."""

    name = "LinalgEighBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor, uplo: str) -> tuple[Array, ...]:
        w, v = xp_of(x).linalg.eigh(x.data, uplo)
        ctx.save_for_backward(w, v)
        return w, v

    @staticmethod
    def backward(ctx: Any, dw: Tensor, dv: Tensor) -> tuple[Tensor | None, ...]:
        w, v = ctx.saved_tensors
        gaps = w[..., None, :] - w[..., :, None]
        inner = _over(MatMul.apply(transposed(v), dv), gaps) + diag_embed(dw)
        dx = MatMul.apply(MatMul.apply(v, inner), transposed(v))
        return (dx + transposed(dx)) * 0.5, None


def _over(x: Tensor, gaps: Tensor) -> Tensor:
    """``x / gaps`` off the diagonal, 0 on it."""
    n = gaps.data.shape[-1]
    same = wrap(xp_of(gaps).eye(n, dtype=bool))
    return where(same, 0.0, x / where(same, 1.0, gaps))


class SVD(Op):
    """U, S and Vᵀ of A = U diag(S) Vᵀ, S in descending order."""

    name = "LinalgSvdBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor, full: bool) -> tuple[Array, ...]:
        u, s, vh = xp_of(x).linalg.svd(x.data, full)
        ctx.full = full and x.data.shape[-1] != x.data.shape[-2]
        ctx.save_for_backward(u, s, vh)
        return u, s, vh

    @staticmethod
    def backward(ctx: Any, du: Tensor, ds: Tensor, dvh: Tensor) -> tuple[Tensor | None, ...]:
        u, s, vh = ctx.saved_tensors
        k = s.data.shape[-1]
        if ctx.full:  # the gradient of what completes the bases must be 0, as in PyTorch
            u, du, vh, dvh = u[..., :k], du[..., :k], vh[..., :k, :], dvh[..., :k, :]
        v, dv, ut = transposed(vh), transposed(dvh), transposed(u)
        gaps = s[..., None, :] * s[..., None, :] - s[..., :, None] * s[..., :, None]

        def turned(z: Tensor, dz: Tensor) -> Tensor:
            product = MatMul.apply(transposed(z), dz)
            return _over(product - transposed(product), gaps)

        inner = turned(u, du) * s[..., None, :] + s[..., :, None] * turned(v, dv) + diag_embed(ds)
        dx = MatMul.apply(MatMul.apply(u, inner), vh)
        if u.data.shape[-2] > k:
            apart = du - MatMul.apply(u, MatMul.apply(ut, du))
            dx = dx + MatMul.apply(apart / s[..., None, :], vh)
        if v.data.shape[-2] > k:
            apart = dv - MatMul.apply(v, MatMul.apply(vh, dv))
            dx = dx + MatMul.apply(u / s[..., None, :], transposed(apart))
        return dx, None
