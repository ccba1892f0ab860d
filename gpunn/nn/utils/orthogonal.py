"""Matrices with orthonormal columns (or rows, if there are fewer of them), as a parametrization."""

from __future__ import annotations

from typing import Any

from gpunn import linalg
from gpunn.autograd.grad_mode import no_grad
from gpunn.creation import eye, zeros_like
from gpunn.dtype import finfo
from gpunn.functional.pad import pad
from gpunn.nn.module import Module
from gpunn.nn.utils.parametrize import register_parametrization
from gpunn.ops.joining import cat
from gpunn.tensor import Tensor

__all__ = ["orthogonal"]

MAPS = ("matrix_exp", "cayley", "householder")


class _Orthogonal(Module):
    """An orthogonal matrix of what is below the diagonal of X; ``base`` times it, if there is one.

    X may be batches of matrices (..., n, k); where n < k all is done to its transpose.
    """

    base: Tensor | None

    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        self.shape, self.orthogonal_map = weight.shape, orthogonal_map
        self.use_trivialization = use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:  # noqa: N803
        wide = X.shape[-2] < X.shape[-1]
        x = X.mT if wide else X
        q = _reflected(x) if self.orthogonal_map == "householder" else self._rotated(x)
        if self.use_trivialization and self.base is not None:
            q = self.base @ q
        return q.mT if wide else q

    def _rotated(self, x: Tensor) -> Tensor:
        n, k = x.shape[-2:]
        lower = pad(x.tril(), (0, n - k))
        skew = lower - lower.mT
        if self.orthogonal_map == "matrix_exp":
            return linalg.matrix_exp(skew)[..., :k]
        one = eye(n, dtype=x.dtype, device=x.device)
        return linalg.solve(one - skew / 2, one + skew / 2)[..., :k]

    @no_grad()
    def right_inverse(self, Q: Tensor) -> Tensor:  # noqa: N803
        """What ``forward`` makes Q of, or the orthogonal matrix nearest by a QR decomposition."""
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. "
                f"Got a tensor of shape {Q.shape}."
            )
        wide = Q.shape[-2] < Q.shape[-1]
        q = Q.mT if wide else Q
        if not self.use_trivialization:
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    "It is not possible to assign to the matrix exponential or the Cayley "
                    "parametrizations when use_trivialization=False."
                )
            x = _reflectors(q)
            return x.mT if wide else x
        n, k = q.shape[-2:]
        if n > k:
            q = cat([q, q.new_empty(*q.shape[:-1], n - k).normal_()], -1)
        self.base = q.clone() if n == k and _is_orthogonal(q) else _orthonormalized(q)
        # The base is all of Q; a diagonal of -1 makes the Householder map of zeros the identity.
        x = zeros_like(Q)
        x.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return x


def _reflected(x: Tensor) -> Tensor:
    """The first columns of Householder reflections, one for each column of ``x``, with signs.

    Column i holds below the diagonal the vector of reflection i, which has a 1 on it; the diagonal
    itself says by its sign which way the column of the result points.
    """
    n, k = x.shape[-2:]
    below = x.tril(-1)
    tau = 2 / (1 + (below * below).sum(-2))
    one = eye(n, k, dtype=x.dtype, device=x.device)
    vectors, q = below + one, one.expand(x.shape)
    for i in reversed(range(k)):
        v = vectors[..., i, None]
        q = q - tau[..., i, None, None] * (v @ (v.mT @ q))
    return q * x.detach().diagonal(dim1=-2, dim2=-1).trunc().unsqueeze(-2)


def _reflectors(q: Tensor) -> Tensor:
    """The vectors of ``_reflected`` that give the QR decomposition of ``q`` with diag(R) > 0."""
    rest, x = q.clone(), zeros_like(q)
    for i in range(q.shape[-1]):
        column = rest[..., i:, i]
        head, size = column[..., 0], column.norm(dim=-1)
        to = (head < 0).to(q.dtype) * 2 - 1  # away from the column, so that nothing cancels
        v = column / (head - to * size).unsqueeze(-1)
        idle = (column[..., 1:] == 0).all(-1)
        v = v.masked_fill(idle.unsqueeze(-1), 0)
        v[..., 0] = 1
        tau = (2 / (v * v).sum(-1))[..., None, None]
        rest[..., i:, i:] -= tau * (v.unsqueeze(-1) @ (v.unsqueeze(-2) @ rest[..., i:, i:]))
        x[..., i:, i] = v
        x[..., i, i] = rest[..., i, i].sign()
    return x


def _orthonormalized(x: Tensor) -> Tensor:
    q, r = linalg.qr(x)
    return q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)


def _is_orthogonal(q: Tensor) -> bool:
    n = q.shape[-1]
    error = (q.mT @ q - eye(n, dtype=q.dtype, device=q.device)).abs()
    return bool((error < 10 * n * finfo(q.dtype).eps).all())


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keep a matrix (or batch of them) orthogonal: QᵀQ = 1, or QQᵀ = 1 if it has fewer rows.

    ``orthogonal_map``: "matrix_exp" (of a skew-symmetric matrix; the default for squares), "cayley"
    or "householder" (a product of reflections; the default for others). ``use_trivialization``: all
    is done around the present value, which is made orthogonal first (M. Lezcano-Casado, 2019); only
    so can the first two be assigned to.
    """
    weight: Any = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.ndim < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions."
        )
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square else "householder"
    if orthogonal_map not in MAPS:
        raise ValueError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". '
            f"Got: {orthogonal_map}"
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization)
    return register_parametrization(module, name, made, unsafe=True)
