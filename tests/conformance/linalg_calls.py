"""Calls for ``torch.linalg``."""

from __future__ import annotations

import numpy as np
from conformance.calls import Call, DType, call
from conformance.inputs import (
    F16,
    F32,
    F64,
    I64,
    Table,
    X,
    array,
    products,
    square,
    strided,
    symmetric,
)

CALLS = Table()
INF = float("inf")
A, TALL, WIDE = array(3, 3) + 3 * np.eye(3), array(4, 3, seed=1), array(3, 4, seed=2)
STACK = array(2, 3, 3, seed=3) + 3 * np.eye(3)
B = array(3, 2, seed=4)
RANKS = np.array([[1.0, 2], [2, 4]])
POSITIVE = STACK @ np.swapaxes(STACK, -1, -2)


def single(x: np.ndarray) -> np.ndarray:
    return x.astype(F32)


def linalg(names: str, calls: list[Call]) -> None:
    CALLS.add(" ".join(f"linalg.{name}" for name in names.split()), calls)


linalg("det slogdet inv", [*square(), call(np.zeros((0, 0))), call(single(RANKS)), call(array())])
linalg("det inv", [call(RANKS), call(np.zeros((3, 3))), call(A.astype(F16))])
linalg("matrix_power", [call(A, n) for n in (0, 1, 2, 3, 5, -1, -2)])
linalg(
    "matrix_power",
    [*square(2)[1:], call(RANKS, -1), call(A[0], 2), call(A, 2.5), call(A.astype(F16), 2)],
)
linalg("cholesky", symmetric() + [Call(c.args, {"upper": True}) for c in symmetric()])
linalg("cholesky", [call(-A @ A.T), call(WIDE), call(A[0]), call(np.zeros((0, 0)))])
RECTANGLES = [A, TALL, STACK, strided(4, 3), array(2, 2, 4, 3), array(1, 1), single(TALL)]
EMPTY = [np.zeros(s) for s in ((0, 3), (3, 0), (0, 3, 3))]
ODD = [A[0], A.astype(I64), A.astype(F16), array()]
linalg("qr", [call(x) for x in RECTANGLES + EMPTY[:1] + ODD])
linalg("qr", [call(single(x)) for x in (WIDE, EMPTY[1], EMPTY[2])])
linalg("qr", [call(A, mode="complete"), call(single(TALL), "complete"), call(A, "all")])
linalg("qr", [call(TALL, mode="complete"), call(WIDE), call(single(A), mode="r")])
linalg("svd", [call(x, False) for x in [*RECTANGLES, WIDE, *EMPTY, *ODD]])
linalg("svd", [call(single(x)) for x in (TALL, WIDE, STACK)])
linalg("svdvals", [call(x) for x in [*RECTANGLES, WIDE, *EMPTY, *ODD]])
linalg("eigh", [call(x) for x in (POSITIVE, POSITIVE[0], A, single(A), *EMPTY[1:], *ODD)])
linalg("eigh", [call(A, u) for u in ("L", "U", "l", "u", "X")] + [call(strided(3, 3)), call(WIDE)])
linalg("eigvalsh", [call(x) for x in (POSITIVE, A, strided(3, 3), single(A), WIDE, *EMPTY, *ODD)])
linalg("eigvalsh", [call(A, UPLO=u) for u in ("U", "u", "X")])
linalg("pinv", [call(x) for x in [*RECTANGLES, WIDE, *EMPTY, *ODD]])
linalg(
    "pinv matrix_rank",
    [
        call(single(RANKS)),
        call(single(TALL), rtol=0.5),
        call(single(TALL), atol=0.5),
        call(single(TALL), atol=1.0, rtol=0.9),
        call(single(TALL), hermitian=True),
        call(single(POSITIVE), hermitian=True),
        call(single(POSITIVE - 4 * np.eye(3)), hermitian=True),
        call(single(STACK), atol=np.array([0.1, 3.0], F32)),
        call(single(STACK), rtol=np.array([[0.1], [0.5]], F32)),
        call(single(TALL), 0.5),
    ],
)
linalg("matrix_rank", [call(x) for x in (A, TALL, RANKS, STACK, *EMPTY, *ODD)])
linalg("cond", [call(A, p) for p in (None, 2, -2, "nuc")])
linalg("cond", [call(single(A), p) for p in (1, -1, INF, -INF, "fro")])
linalg(
    "cond",
    [
        *(call(x) for x in (TALL, WIDE, STACK, strided(3, 3), single(A), *EMPTY, *ODD)),
        *(call(single(RANKS), p) for p in (1, "fro")),
        call(TALL, 1),
        call(A, 3),
        call(A, "l2"),
    ],
)
linalg(
    "solve",
    [
        *(call(x, B) for x in (A, STACK, strided(3, 3) + A, single(A), STACK[:0])),
        *(call(A, b) for b in (B[:, 0], array(2, 3, 4), single(B), array(4, 2), array(), array(0))),
        *(call(STACK, b) for b in (array(2, 3), array(3), array(5, 1, 3, 2))),
        *(call(A, b, left=False) for b in (array(2, 3), array(4, 2, 3), B, B[:, 0])),
        call(WIDE, B),
        call(RANKS, B[:2]),
        call(A.astype(F16), B.astype(F16)),
        call(A.astype(I64), B.astype(I64)),
        call(A[0], B),
        call(np.zeros((0, 0)), np.zeros((0, 2))),
        call(A, np.zeros((3, 0))),
    ],
)
linalg(
    "solve_triangular",
    [
        *(call(A, B, upper=u, unitriangular=d) for u in (True, False) for d in (True, False)),
        *(call(STACK, b, upper=True) for b in (B, array(2, 3, 2), array(5, 1, 3, 2))),
        call(A, array(2, 3), upper=True, left=False),
        call(A, array(4, 2, 3), upper=False, left=False, unitriangular=True),
        call(strided(3, 3) + A, strided(3, 2), upper=True),
        call(A, B[:, 0], upper=True),
        call(single(A), single(B), upper=False),
        call(A, array(4, 2), upper=True),
        call(WIDE, B, upper=True),
        call(A, B),
        call(np.zeros((0, 0)), np.zeros((0, 2)), upper=True),
        call(single(RANKS * [[1, 1], [0, 0]]), single(B[:2]), upper=True),
    ],
)
linalg(
    "lstsq",
    [
        *(call(single(TALL), b) for b in (array(4, 2, dtype=F32), array(4, dtype=F32))),
        call(single(A), single(B)),
        call(single(WIDE), single(B)),
        call(single(STACK), array(2, 3, 2, dtype=F32)),
        call(single(STACK), array(3, 2, dtype=F32)),
        call(single(TALL), array(3, 2, dtype=F32)),
        call(single(TALL), array(4, 2)),
        call(single(RANKS), array(2, 1, dtype=F32), driver="gelsd"),
        call(single(TALL), array(4, 2, dtype=F32), driver="gels"),
        call(single(TALL), array(4, 2, dtype=F32), driver="gelss"),
        call(single(TALL), array(4, 2, dtype=F32), driver="all"),
        call(single(A[0]), single(B)),
        call(A.astype(I64), B.astype(I64)),
        call(strided(4, 3, dtype=F32), strided(4, 2, dtype=F32)),
    ],
)
linalg(
    "multi_dot",
    [
        call((A, B)),
        call((TALL, A, B)),
        call((A[0], A, B[:, 0])),
        call((A[0], B)),
        call((A, A[0])),
        call((A[0], A[1])),
        call((TALL, A, STACK[0], WIDE, TALL)),
        call((strided(2, 3), strided(3, 4))),
        call((single(A), single(B))),
        call((A, single(B))),
        call((A.astype(I64), B.astype(I64))),
        call((np.zeros((0, 3)), A)),
        call((np.zeros((2, 0)), np.zeros((0, 3)), A)),
        call((WIDE, A)),
        call((A,)),
        call(()),
        call((A, STACK)),
        call((A, A[0], A)),
    ],
)
linalg("vecdot", [*products(((3, 4), (3, 4)), ((4,), (3, 4)), ((0, 4), (4,)), ((3,), (4,)))])
linalg("vecdot", [call(A, A, dim=0), call(A, A, dim=-2), call(A, A, dim=2), call(A, array())])
linalg(
    "cross",
    [
        *products(((2, 3), (2, 3)), ((3,), (2, 3)), ((0, 3), (1, 3)), ((2, 4), (2, 4))),
        call(A, A, dim=0),
        call(A, TALL, dim=1),
        call(A, A, dim=2),
        call(STACK, A[None], dim=-2),
    ],
)
linalg("matmul", products(((3, 4), (4, 2)), ((4,), (4,)), ((2, 3, 4), (4,)), ((3, 4), (3, 4))))
linalg(
    "diagonal",
    [
        *(call(x) for x in (A, STACK, TALL, EMPTY[1], array(3), A.astype(I64))),
        *(call(STACK, offset=o) for o in (1, -1, 9)),
        call(STACK, dim1=0, dim2=1),
        call(STACK, dim1=0, dim2=0),
    ],
)
ORDERS = (2, 1, 3, 0.5, 0, -1, INF, -INF)
linalg("vector_norm norm", [call(X[:, 0], p) for p in ORDERS])
linalg(
    "vector_norm",
    [
        *(call(X, p, 1) for p in ORDERS),
        *(call(STACK, 2, d) for d in ((0, 2), -1, (), None)),
        call(STACK, 3, (1, 2), True),
        call(X, dim=0, keepdim=True),
    ],
)
linalg(
    "vector_norm norm",
    [
        call(strided(3, 4), 2, 0),
        call(array()),
        call(array(0)),
        call(array(0), INF),
        call(array(0, 3), INF, 1),
        call(array(2, 0), -INF, 1),
        call(array(2, 0), 0, 1),
        call(X, 2, 2),
        call(X, 2, (0, 0)),
        call(X.astype(I64)),
        call(single(X), 2, dtype=DType(F64)),
        call(X, 2, dtype=DType(F32)),
        call(X.astype(F16), 2, 0),
        call(np.zeros(3)),
        call(np.zeros(3), 3),
        call(X, "fro"),
        call(np.array([1.0, np.nan, 2]), INF),
        call(np.array([1.0, -INF]), 2),
    ],
)
MATRIX_ORDERS = ("fro", "nuc", 1, -1, INF, -INF, 2, -2)
linalg("matrix_norm norm", [call(x, p) for x in (A, WIDE) for p in MATRIX_ORDERS])
linalg(
    "matrix_norm",
    [
        *(call(STACK, p, (0, 2), True) for p in MATRIX_ORDERS),
        *(call(x) for x in (strided(3, 4), single(A), *EMPTY, *ODD)),
        *(call(EMPTY[0], p) for p in (1, INF, 2, "nuc")),
        call(A, 3),
        call(A, "f"),
        call(A, "fro", (0, 0)),
        call(A, "fro", (0, 2)),
        call(A, "fro", (0,)),
        call(single(A), 2, dtype=DType(F64)),
    ],
)
linalg("norm", [call(STACK, p, (1, 2)) for p in MATRIX_ORDERS])
linalg(
    "norm",
    [call(STACK), call(STACK, 2), call(STACK, 1, (0, 1, 2)), call(STACK, None, (0, 1), True)],
)
RATHER = [A, STACK, TALL, WIDE, strided(3, 3), array(2, 1, 3, 3), single(A), *EMPTY]
linalg("lu lu_factor lu_factor_ex", [call(x) for x in [*RATHER, *ODD]])
linalg("lu lu_factor", [call(A, pivot=False), call(single(RANKS)), call(single(STACK * 0))])
linalg("lu_factor_ex", [call(single(RANKS)), call(single(RANKS), check_errors=True)])
LU = np.array([[4.0, 1, 0], [0.25, 3, 1], [0.5, -0.3, 2]])
ORDER = np.array([2, 3, 3], "int32")
linalg(
    "lu_solve",
    [
        *(call(LU, ORDER, b) for b in (B, strided(3, 2), array(2, 3, 4), B[:, 0], single(B))),
        *(call(LU, ORDER, array(2, 3), left=False, adjoint=t) for t in (True, False)),
        call(LU, ORDER, B, adjoint=True),
        call(np.stack([LU, LU]), np.stack([ORDER, ORDER]), B),
        call(single(LU), ORDER, single(B)),
        call(LU, ORDER.astype(I64), B),
        call(LU, ORDER[:2], B),
        call(LU, ORDER, array(4, 2)),
        call(LU[:2], ORDER, B),
        call(np.zeros((0, 0)), np.zeros(0, "int32"), np.zeros((0, 2))),
    ],
)
CALLS.add(
    "lu_unpack",
    [
        call(LU, ORDER),
        call(np.stack([LU, LU]), np.stack([ORDER, ORDER])),
        call(single(LU), ORDER, unpack_data=False),
        call(LU, ORDER, unpack_pivots=False),
        call(single(LU), ORDER, False, False),
        call(LU[:2], ORDER[:2]),
        call(LU[:, :2].copy(), ORDER[:2]),
        call(LU, ORDER.astype(I64)),
        call(single(LU), ORDER),
        call(np.zeros((0, 0)), np.zeros(0, "int32")),
    ],
)
CALLS.add(
    "lu_solve",
    [
        *(call(b, LU, ORDER) for b in (B, strided(3, 2), array(2, 3, 4), B[:, 0], single(B))),
        call(B, np.stack([LU, LU]), np.stack([ORDER, ORDER])),
        call(single(B), single(LU), ORDER),
        call(B, LU, ORDER.astype(I64)),
        call(B, LU, ORDER[:2]),
        call(array(4, 2), LU, ORDER),
    ],
)
POSITIVES = [POSITIVE, POSITIVE[0], single(POSITIVE), EMPTY[2], WIDE, *ODD]
linalg("inv_ex", [*(call(x) for x in (A, *POSITIVES)), call(RANKS, check_errors=True)])
linalg("cholesky_ex", [call(x) for x in POSITIVES] + [call(POSITIVE, upper=True)])
linalg("cholesky_ex", [call(-A @ A.T, check_errors=True), call(POSITIVE, check_errors=True)])
linalg(
    "solve_ex",
    [
        *(call(x, B) for x in (A, STACK, strided(3, 3) + A, STACK[:0], WIDE, A[0])),
        *(call(A, b) for b in (B[:, 0], array(2, 3, 4), single(B), array(4, 2), array())),
        call(A, array(2, 3), left=False),
        call(RANKS, B[:2], check_errors=True),
        call(single(A), single(B), check_errors=True),
    ],
)
SQUARE = array(6, 6) + 4 * np.eye(6)
linalg(
    "tensorinv",
    [
        call(SQUARE.reshape(2, 3, 6)),
        call(SQUARE.reshape(2, 3, 2, 3)),
        *(call(SQUARE.reshape(6, 2, 3), i) for i in (1, 2, 0, -1, 5)),
        call(SQUARE.reshape(2, 3, 3, 2), ind=2),
        call(single(SQUARE).reshape(3, 2, 6)),
        call(SQUARE, ind=1),
        call(np.zeros((0, 0)), ind=1),
    ],
)
linalg(
    "tensorsolve",
    [
        call(SQUARE.reshape(2, 3, 6), array(2, 3)),
        call(SQUARE.reshape(2, 3, 3, 2), array(2, 3)),
        call(SQUARE.reshape(6, 2, 3), array(6)),
        call(SQUARE.reshape(2, 6, 3), array(2, 3), dims=(1,)),
        call(SQUARE.reshape(2, 6, 3), array(2, 3), (-2,)),
        call(SQUARE.reshape(2, 3, 6), array(3)),
        call(SQUARE.reshape(2, 3, 6), array(2, 3, dtype=F32)),
        call(single(SQUARE), array(6, dtype=F32)),
        call(SQUARE, strided(1, 6)[0]),
        call(np.zeros((2, 2)), array(2)),
    ],
)
linalg(
    "vander",
    [
        *(call(x) for x in (array(4), array(2, 3), strided(2, 3), array(3, dtype=I64), array(0))),
        *(call(array(3), N=n) for n in (2, 5, 1, 0, -1)),
        *(call(array(3, dtype=d)) for d in (F32, F16, "bool", "uint8")),
        call(array()),
        call(array(0, 3)),
    ],
)
