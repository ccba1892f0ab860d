"""gpunn.linalg against PyTorch: values, gradients and second gradients, refusals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from checks import draw
from conformance.calls import Call, call, disagreement

import gpunn

A, B = draw((3, 3)), draw((3, 2), seed=1)
STACK = draw((2, 3, 3), seed=2)
TALL, WIDE = draw((4, 3), seed=3), draw((3, 4), seed=4)
POSITIVE = STACK @ STACK.swapaxes(-1, -2) + 3 * np.eye(3)
SINGLE = A.astype("float32")

# Signs of singular and eigenvectors are LAPACK's choice, gradients through them too: functions of
# them that do not depend on the choice.
CASES: dict[str, tuple[Any, list[Call]]] = {
    "det": (None, [call(x) for x in (A, STACK, SINGLE, A[:1, :1], STACK[:0], A * 0, WIDE, A[0])]),
    "slogdet": (None, [call(x) for x in (A, STACK, SINGLE, WIDE, A.astype("int64"))]),
    "inv": (
        None,
        [call(x) for x in (A, STACK, STACK.swapaxes(1, 2), SINGLE, WIDE, A.astype("float16"))],
    ),
    "solve": (
        None,
        [
            *(call(A, b) for b in (B, B[:, 0], SINGLE, WIDE.T)),
            *(call(STACK, b) for b in (B, draw((2, 3)), draw((2, 3, 2)))),
            call(A, B.T.copy(), left=False),
        ],
    ),
    "solve_triangular": (
        None,
        [
            call(A, B, upper=True),
            call(A, B, upper=False),
            call(A, B, upper=False, unitriangular=True),
            call(A, B.T.copy(), upper=True, left=False),
        ],
    ),
    "cholesky": (None, [call(POSITIVE), call(POSITIVE[0], upper=True), call(WIDE)]),
    "qr": (None, [call(TALL), call(A), call(STACK), call(TALL.astype("float32"), mode="complete")]),
    "eigh": (
        lambda t, *a, **k: (lambda w, v: (w, v * v))(*t.linalg.eigh(*a, **k)),
        [call(POSITIVE), call(POSITIVE[0], UPLO="U"), call(WIDE)],
    ),
    "eigvalsh": (None, [call(POSITIVE), call(SINGLE)]),
    "svd": (
        lambda t, *a, **k: (lambda u, s, vh: (u * u, s, vh * vh))(*t.linalg.svd(*a, **k)),
        [call(x, full_matrices=False) for x in (A, TALL, WIDE, STACK)] + [call(SINGLE)],
    ),
    "svdvals": (None, [call(x) for x in (A, TALL, WIDE, STACK)]),
    "pinv": (None, [call(x) for x in (A, TALL, WIDE, STACK)] + [call(SINGLE, rtol=0.3)]),
    "matrix_rank": (
        None,
        [call(x) for x in (SINGLE, SINGLE * 0, TALL.astype("float32"))]
        + [call(np.ones((3, 3), "float32")), call(SINGLE, atol=2.0)],
    ),
    "matrix_power": (None, [call(A, n) for n in (0, 1, 2, 5, -1, -2)] + [call(WIDE, 2)]),
    "multi_dot": (
        None,
        [
            call([A, B]),
            call([TALL, A, B]),
            call([A[0], A, B[:, 0]]),
            call([WIDE, TALL, A]),
            call([A]),
        ],
    ),
    "vecdot": (None, [call(A, A), call(A, A[0]), call(STACK, STACK, dim=1)]),
    "vector_norm": (
        None,
        [call(A, p) for p in (2, 1, 3, math.inf, -math.inf, 0.5)]
        + [call(STACK, 2, (0, 2)), call(STACK, 1, 1, True), call(A, dim=0, keepdim=True)],
    ),
    "matrix_norm": (
        None,
        [call(STACK, p) for p in ("fro", "nuc", 1, -1, math.inf, -math.inf, 2, -2)]
        + [call(STACK, "fro", (0, 2), True), call(STACK, 2, (0, 1), True), call(A[0]), call(A, 3)],
    ),
    "norm": (
        None,
        [
            *(call(A), call(A, "nuc"), call(A, 1), call(A[0], 1), call(STACK, dim=(0, 1))),
            *(call(STACK, 2, dim=(1, 2)), call(A, 3, dim=0), call(A, math.inf, 1, True)),
        ],
    ),
    "cond": (None, [call(A), call(SINGLE, 1), call(SINGLE, "fro"), call(A, -2)]),
    "cross": (None, [call(A, STACK), call(A, A, dim=0)]),
}


@pytest.mark.parametrize("name", CASES)
def test_as_in_pytorch(name: str):
    torch = pytest.importorskip("torch")
    special, calls = CASES[name]

    def function(t: Any) -> Any:
        if special is None:
            return getattr(t.linalg, name)
        return lambda *args, **kwargs: special(t, *args, **kwargs)

    found = [disagreement(name, function(gpunn), function(torch), c) for c in calls]
    wrong = [text for text in found if text is not None]
    assert not wrong, "\n".join(wrong)


def test_a_singular_matrix_is_refused():
    for function in (gpunn.linalg.inv, lambda x: gpunn.linalg.solve(x, x), gpunn.linalg.cholesky):
        with pytest.raises(
            gpunn.linalg.LinAlgError, match="could not be completed because the inp"
        ):
            function(gpunn.zeros(2, 2))


def test_gradient_of_a_singular_determinant():
    """The cofactors, where PyTorch gives 0."""
    singular = [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]]
    x = gpunn.tensor(singular, dtype=gpunn.float64, requires_grad=True)
    assert gpunn.autograd.gradcheck(gpunn.linalg.det, [x])


def test_least_squares():
    a, b = gpunn.tensor(TALL), gpunn.tensor(draw((4, 2), seed=7))
    found = gpunn.linalg.lstsq(a, b)
    solution, residuals, rank, _ = np.linalg.lstsq(TALL, b.numpy(), rcond=None)
    np.testing.assert_allclose(found.solution.numpy(), solution, 1e-9)
    np.testing.assert_allclose(found.residuals.numpy(), residuals, 1e-9)
    assert found.rank.item() == rank
