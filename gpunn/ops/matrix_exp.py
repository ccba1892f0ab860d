"""The exponential of matrices, by scaling, Padé's approximant and squaring.

N. Higham, "The scaling and squaring method for the matrix exponential revisited", 2005.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array
from gpunn.ops.common import Op, xp_of
from gpunn.ops.decompositions import check
from gpunn.ops.joining import cat, narrow
from gpunn.ops.matmul import transposed

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

# The coefficients of the numerator of degree 13, and the norm up to which it is exact.
_PADE = (
    64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000,
    10559470521600, 670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
)  # fmt: skip
_LIMIT = 5.37


class MatrixExp(Op):
    """e^A = Σ Aᵏ / k!, computed in float64."""

    name = "LinalgMatrixExpBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Array:
        ctx.save_for_backward(x)
        a, xp = x.data.astype("float64"), xp_of(x)
        if not a.size:
            return x.data.copy()
        norm = float(xp.abs(a).sum(-2).max())
        halvings = 0
        if _LIMIT < norm < math.inf:
            halvings = math.ceil(math.log2(norm / _LIMIT))
        a = a / 2.0**halvings
        b, eye = _PADE, xp.eye(a.shape[-1])
        a2 = a @ a
        a4 = a2 @ a2
        a6 = a4 @ a2
        odd = a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2
        odd = a @ (odd + b[1] * eye)
        even = a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2
        even = even + b[0] * eye
        y = xp.linalg.solve(even - odd, even + odd)
        for _ in range(halvings):
            y = y @ y
        return y.astype(x.data.dtype)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        # e of [[Aᵀ, dy], [0, Aᵀ]] has the derivative, applied to dy, in its upper right corner.
        at = transposed(ctx.saved_tensors[0])
        n = at.data.shape[-1]
        block = cat([cat([at, dy], -1), cat([at * 0, at], -1)], -2)
        return narrow(narrow(MatrixExp.apply(block), -2, 0, n), -1, n, n)


def matrix_exp(A: Tensor) -> Tensor:
    """The exponential Σ Aᵏ / k! of each matrix of (..., n, n)."""
    check("linalg.matrix_exp", A)
    return MatrixExp.apply(A)
