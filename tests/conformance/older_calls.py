"""Calls for ``torch``'s older names: factorizations, norms, parts of numbers, pieces, windows."""

from __future__ import annotations

import numpy as np
from conformance.calls import Call, DType, call
from conformance.inputs import (
    F16,
    F32,
    F64,
    I64,
    Table,
    array,
    shaped,
    square,
    strided,
    symmetric,
    unary,
)

CALLS = Table()
TALL = [
    array(4, 3),
    strided(4, 3),
    array(2, 4, 3),
    array(3, 3),
    array(4, 3, dtype=F32),
    array(1, 1),
    array(4),
    array(4, 3, dtype=I64),
]
CALLS.add("cholesky", symmetric())
CALLS.add("cholesky", [call(symmetric()[0].args[0], upper=True), *square()[7:8]])
CALLS.add("cholesky", [call(array(4)), call(array(0, 3, 3))])
CALLS.add("qr", [call(x) for x in TALL] + [call(x, some=True) for x in TALL[:2]])
CALLS.add("qr", [call(x.astype(F32), False) for x in TALL[:3]])
CALLS.add("svd", [call(x) for x in TALL] + [call(x, compute_uv=False) for x in TALL[:4]])
CALLS.add("svd", [call(x.astype(F32), some=False) for x in (array(3, 3), array(2, 2))])
# In float32, without gradients: PyTorch's are not 0 for the triangle that is not read.
LOW = [np.tril(c.args[0]).astype(F32) for c in square()[:7]]
B = array(4, 2, dtype=F32)
CALLS.add("cholesky_inverse", [call(x) for x in LOW] + [call(LOW[0].T.copy(), True)])
CALLS.add("cholesky_inverse", [call(array(4, 3)), call(array(4))])
CALLS.add(
    "cholesky_solve",
    [
        *(call(B, x) for x in LOW[:4]),
        call(array(0, 4, 2, dtype=F32), LOW[5]),
        call(B, LOW[0].T.copy(), upper=True),
        call(strided(4, 2, dtype=F32), LOW[1]),
        call(array(4, dtype=F32), LOW[0]),
        call(B, array(4, dtype=F32)),
        call(B, array(4, 3, dtype=F32)),
        call(array(3, 2, dtype=F32), LOW[0]),
        call(B, LOW[4].astype(F64)),
    ],
)
CALLS.add(
    "triangular_solve",
    [
        *(call(B, x, upper=False) for x in LOW[:4]),
        call(B, LOW[0].T.copy()),
        call(B, LOW[0], False, True),
        call(B, LOW[0].T.copy(), True, True, True),
        call(B.astype(F64), LOW[0].astype(F64), upper=False),
        call(array(4, dtype=F32), LOW[0]),
        call(B, array(4, 3, dtype=F32)),
        call(array(3, 2, dtype=F32), LOW[0]),
        call(B, LOW[4].astype(F64)),
    ],
)
CALLS.add("matrix_exp linalg.matrix_exp", square())
CALLS.add(
    "matrix_exp linalg.matrix_exp",
    [call(array(3, 3) * 20), call(np.zeros((3, 3)))],
)
M = array(3, 4)
CALLS.add(
    "chain_matmul",
    [
        call(M, array(4, 2), array(2, 5)),
        call(M, array(4, 2)),
        call(M),
        call(),
        call(M, M.T.copy(), M, M.T.copy()),
        call(strided(3, 4), strided(4, 2)),
        call(M.astype(F32), array(4, 2, dtype=F32)),
        call(array(0, 4), array(4, 2)),
        call(M, array(4)),
        call(array(2, 3, 4), M),
        call(M, M),
    ],
)
CALLS.add(
    "nuclear_norm",
    [
        call(M),
        call(M, keepdim=True),
        call(M, dim=(0, 1)),
        call(array(2, 3, 4)),
        call(array(2, 3, 4), (0, 2), True),
        call(strided(3, 4)),
        call(M.astype(F32)),
        call(array(4)),
        call(M.astype(I64)),
        call(M, dim=(0, 0)),
    ],
)
CALLS.add(
    "frobenius_norm",
    [
        call(M, (0, 1)),
        call(M, 1),
        call(M, (-1,), True),
        call(M, ()),
        call(array(2, 3, 4), (0, 2), keepdim=True),
        call(strided(3, 4), 0),
        call(M.astype(F16), 0),
        call(M * 0, (0, 1)),
        call(array(2, 3, 4), (0, 1, 2)),
        call(M.astype(I64), 0),
        call(M, 2),
    ],
)
CALLS.add(
    "norm_except_dim",
    [
        call(M),
        call(M, 2, 1),
        call(M, 2, -1),
        call(M, 1, 0),
        call(array(2, 3, 4), 2, 1),
        call(array(2, 3, 4), 3, 2),
        call(strided(3, 4), 2, 0),
        call(M.astype(F32), 2, 1),
        call(M.astype(F16), 2, 0),
        call(array(4)),
    ],
)
# Parts ----------------------------------------------------------------------------------------

CALLS.add("frexp angle", unary(-9, 9))
CALLS.add("imag", [Call(c.args[:1], {}) for c in shaped(())])
CALLS.add("adjoint", shaped(()))
# Pieces ---------------------------------------------------------------------------------------

CALLS.add("fill", shaped((2.5,), (np.array(3.0, F32),)))
CALLS.add("fill", [call(M, array(2)), call(M, array(0)), call(array(3, dtype="uint8"), 2.5)])
CALLS.add("split_with_sizes unsafe_split_with_sizes", shaped(([1, 3],), ([2, 2, 2], -1)))
CALLS.add("split_with_sizes", [call(M, [-1, 4]), call(M, [3, 0]), call(M, 2), call(M, [1], 2)])
CALLS.add("unsafe_split", shaped((2,), (4, -1)))
CALLS.add("unsafe_chunk", shaped((2,), (4, -1), (0,)))
COUNTED = np.array([[1, 0, 2], [0, 3, 0]])
CALLS.add(
    "nonzero_static",
    [
        *(call(COUNTED.astype(d), size=2) for d in (I64, F32, F64, "bool", "uint8")),
        call(COUNTED, size=5),
        call(COUNTED, size=4, fill_value=7),
        call(COUNTED, size=0),
        call(COUNTED[0], size=2),
        call(np.zeros((0, 3)), size=2),
        call(np.array(1.0), size=1),
        call(COUNTED, size=-1),
    ],
)
CALLS.add(
    "kaiser_window",
    [
        *(call(n) for n in (0, 1, 2, 5, 12)),
        call(7, False),
        call(7, periodic=False),
        call(8, True, 3.0),
        call(8, False, 30.0),
        call(6, dtype=DType(F64)),
        call(6, dtype=DType(F16)),
        call(-1),
        call(6, dtype=DType(I64)),
    ],
)
# Random counts, and memory --------------------------------------------------------------------

RATE = array(3, 4, low=0, high=9)
CALLS.add(
    "poisson",
    [
        *(call(RATE.astype(d)) for d in (F32, F16)),
        call(array(dtype=F32, low=0)),
        call(array(0, 3, dtype=F32)),
        call(strided(3, 4, dtype=F32, low=0)),
        call(RATE.astype(I64)),
        call(-RATE.astype(F32)),
        call(np.array([np.nan], F32)),
        call(2.0),
        call(np.array([0, 1e6, 3], F32)),
    ],
)
TRIALS, CHANCE = array(3, 4, dtype=F32, low=0, high=20), array(3, 4, dtype=F32, low=0, high=1)
CALLS.add(
    "binomial",
    [
        call(TRIALS, CHANCE),
        call(TRIALS, CHANCE[0]),
        call(TRIALS.astype(F16), CHANCE.astype(F16)),
        call(array(dtype=F32, low=0), CHANCE),
        call(TRIALS[:0], CHANCE[0]),
        call(strided(3, 4, dtype=F32, low=0), CHANCE),
        call(TRIALS.astype(I64), CHANCE),
        call(TRIALS, CHANCE.astype(I64)),
        call(TRIALS, CHANCE.astype(F64)),
        call(TRIALS, 0.5),
        call(TRIALS, CHANCE[:2]),
    ],
)
CALLS.add(
    "empty_permuted",
    [
        call((2, 3, 4), (1, 0, 2)),
        call((2, 3), (0, 1), dtype=DType(I64)),
        call((), ()),
        call((2, 3), (0,)),
        call((0, 3), (1, 0)),
        call([4], [0]),
        call((2, 3), (0, 1), dtype=DType(F16)),
        call((2, 3), physical_layout=(1, 0)),
        call((1, 1), (1, 0), requires_grad=False),
        call((2, 3, 4), (0, 1)),
    ],
)
BYTES = bytearray(range(1, 17))
CALLS.add(
    "frombuffer",
    [
        *(call(BYTES, dtype=DType(d)) for d in (I64, "int32", "uint8", "int16")),
        call(BYTES, dtype=DType("int32"), offset=4),
        call(BYTES, dtype=DType("int16"), count=3, offset=3),
        call(BYTES, dtype=DType("uint8"), count=0),
        call(BYTES, dtype=DType("int32"), offset=3),
        call(BYTES, dtype=DType("int32"), count=9),
        call(BYTES, dtype=DType("int32"), offset=99),
        call(bytearray(), dtype=DType("int32")),
        call(3, dtype=DType("int32")),
        call(b"1234", dtype=DType("uint8")),
    ],
)
