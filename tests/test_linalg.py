"""gpunn.linalg beyond PyTorch: the refused one of a batch, singular determinants, NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import draw

import gpunn


@pytest.mark.parametrize("name", ["inv", "solve", "cholesky"])
def test_of_a_batch_the_refused_one_is_named(name: str):
    good, bad = [[2.0, 1.0], [1.0, 3.0]], [[1.0, 2.0], [2.0, 4.0]]
    x = gpunn.tensor([good, bad, bad])
    function: Any = getattr(gpunn.linalg, name)
    with pytest.raises(gpunn.linalg.LinAlgError, match=r"\(Batch element 1\): The "):
        function(x, gpunn.eye(2)) if name == "solve" else function(x)


def test_gradient_of_a_singular_determinant():
    """The cofactors, also of a matrix of which LU finds no inverse."""
    singular = [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]]
    x = gpunn.tensor(singular, dtype=gpunn.float64, requires_grad=True)
    assert gpunn.autograd.gradcheck(gpunn.linalg.det, [x])


def test_least_squares():
    tall = draw((4, 3), seed=3)
    a, b = gpunn.tensor(tall), gpunn.tensor(draw((4, 2), seed=7))
    found = gpunn.linalg.lstsq(a, b, driver="gelsd")
    solution, residuals, rank, sizes = np.linalg.lstsq(tall, b.numpy(), rcond=None)
    np.testing.assert_allclose(found.solution.numpy(), solution, 1e-9)
    np.testing.assert_allclose(found.residuals.numpy(), residuals, 1e-9)
    np.testing.assert_allclose(found.singular_values.numpy(), sizes, 1e-9)
    assert found.rank.item() == rank


@pytest.mark.parametrize("shape", [(3, 3), (2, 4, 3), (3, 4)])
def test_lu_on_every_device(device: str, shape: tuple[int, ...]):
    a = draw(shape)
    x = gpunn.tensor(a, device=device)
    p, low, up = gpunn.linalg.lu(x)
    np.testing.assert_allclose((p @ low @ up).cpu().numpy(), a, 1e-12)
    if shape == (3, 3):
        factors, pivots = gpunn.linalg.lu_factor(x)
        b = gpunn.tensor(draw((3, 2), seed=1), device=device)
        solved = gpunn.lu_unpack(factors, pivots).P.mT @ b
        half = gpunn.linalg.solve(low.cpu(), solved.cpu())
        found = gpunn.linalg.lu_solve(factors.cpu(), pivots.cpu(), b.cpu())
        np.testing.assert_allclose(gpunn.linalg.solve(up.cpu(), half).numpy(), found.numpy(), 1e-9)
