"""Norms of vectors and matrices, under ``torch.linalg``'s names and rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from gpunn.dtype import FLOATING, as_dtype, dtype, promote_types
from gpunn.ops import reduction
from gpunn.ops.calling import extended
from gpunn.ops.common import canonical_dim, canonical_dims, dtype_of
from gpunn.ops.decompositions import SVD
from gpunn.ops.shape import movedim

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Order = float | str | None


def _converted(name: str, x: Tensor, kind: dtype | None) -> Tensor:
    """``x`` in the wider dtype that was asked for."""
    have = dtype_of(x)
    if not have.is_floating_point:
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {have.title}"
        )
    if kind is None:
        return x
    kind = as_dtype(kind)
    if not kind.is_floating_point:
        raise RuntimeError(
            f"{name}: dtype should be floating point or complex, but got {kind.title}"
        )
    if promote_types(have, kind) is not kind:
        raise RuntimeError(
            f"{name}: the dtype of the input ({have.title}) should be convertible without "
            f"narrowing to the specified dtype ({kind.title})"
        )
    return x.to(kind)


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
        raise TypeError("linalg_vector_norm(): argument 'ord' (position 2) must be Number, not str")
    x = _converted("linalg.vector_norm", x, dtype)
    if ord < 0 or ord == math.inf:  # which have no value of nothing
        empty = next((d for d in canonical_dims(dim, x.data.ndim) if not x.data.shape[d]), None)
        if empty is not None:
            where = "an empty tensor because"
            if dim not in (None, ()):
                where = f"the dimension {empty}because this dimension is empty and"
            raise RuntimeError(
                f"linalg.vector_norm cannot compute the {ord:g} norm on {where} the operation does "
                "not have an identity"
            )
    return reduction.norm(x, ord, dim, keepdim)


@extended
def matrix_norm(
    A: Tensor,
    ord: float | str = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: dtype | None = None,
) -> Tensor:
    """Of each matrix in ``dim``: "fro", "nuc" (Σ σ), ±inf (rows), ±1 (columns), ±2 (σ)."""
    name = "linalg.matrix_norm"
    if ord not in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    ndim = A.data.ndim
    if ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if ord in ("nuc", 2, -2) and A.data.dtype.kind in FLOATING and A.dtype.itemsize == 2:
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {A.dtype.title}")
    if len(dim) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {' '.join(map(str, dim))}")
    x = _converted(name, A, dtype)
    rows, columns = (canonical_dim(d, ndim) for d in dim)
    if rows == columns:
        raise RuntimeError(f"{name}: dims must be different. Got ({dim[0]}, {dim[1]})")
    if ord == "fro":
        return reduction.norm(x, 2, (rows, columns), keepdim)
    x = movedim(x, (rows, columns), (-2, -1))
    if ord in ("nuc", 2, -2):
        sizes = SVD.apply(x, False)[1]
    else:
        sizes = reduction.sum(x.abs(), -2 if ord in (1, -1) else -1)
    if ord == "nuc" or (cast("float", ord) > 0 and not sizes.data.shape[-1]):
        y = reduction.sum(sizes, -1)  # the largest of nothing is 0, too
    else:
        y = (reduction.amax if cast("float", ord) > 0 else reduction.amin)(sizes, -1)
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
    dims = (dim,) if isinstance(dim, int) else None if dim is None else tuple(dim)
    if dims is not None and len(dims) not in (1, 2):
        raise RuntimeError(
            f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}"
        )
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dims is None and A.data.ndim not in (1, 2):
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
            f"{A.data.ndim}D."
        )
    if isinstance(ord, str) or len(dims or A.data.shape) == 2:
        return matrix_norm(A, ord, dims or (-2, -1), keepdim, dtype=dtype)
    return vector_norm(A, ord, dim, keepdim, dtype=dtype)
