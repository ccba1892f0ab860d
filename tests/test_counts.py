"""Random counts: their distributions, and the same numbers on every device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import to_numpy
from scipy import stats

import gpunn

N = 4000


def unlikely(drawn: Any, law: Any) -> float:
    """The p-value of chi-squared of the counts that are expected five times or more."""
    values, counts = np.unique(drawn, return_counts=True)
    found = dict(zip(values.astype(int), counts, strict=True))
    expected = {k: N * law.pmf(k) for k in range(int(law.ppf(0.9999)) + 1)}
    kept = [k for k, e in expected.items() if e >= 5]
    observed = np.array([found.get(k, 0) for k in kept] + [0.0])
    wanted = np.array([expected[k] for k in kept] + [0.0])
    observed[-1], wanted[-1] = N - observed.sum(), N - wanted.sum()
    return stats.chisquare(observed, wanted).pvalue


@pytest.mark.parametrize("rate", [0.3, 4.0, 75.5])
def test_poisson(rate: float):
    drawn = gpunn.poisson(gpunn.full((N,), rate))
    assert unlikely(to_numpy(drawn), stats.poisson(rate)) > 1e-3


@pytest.mark.parametrize(("count", "prob"), [(3, 0.2), (20, 0.5), (1000, 0.01)])
def test_binomial(count: int, prob: float):
    drawn = gpunn.binomial(gpunn.full((N,), float(count)), gpunn.tensor(prob))
    assert unlikely(to_numpy(drawn), stats.binom(count, prob)) > 1e-3


def test_far_out():
    rates = gpunn.tensor([0.0, 1e6, 1e9], dtype=gpunn.float64)
    drawn = to_numpy(gpunn.poisson(rates))
    assert drawn[0] == 0
    assert (abs(drawn[1:] - to_numpy(rates)[1:]) < 8 * np.sqrt(to_numpy(rates)[1:])).all()
    count, prob = gpunn.tensor([5.0, 5.0, 0.0, -2.0]), gpunn.tensor([0.0, 1.0, 0.5, 0.5])
    assert gpunn.binomial(count, prob).tolist() == [0, 5, 0, 0]


def test_same_on_every_device(device: str):
    rate, prob = gpunn.full((50,), 3.5), gpunn.full((50,), 0.3)
    generators = [gpunn.Generator().manual_seed(7) for _ in range(4)]
    here = gpunn.poisson(rate, generators[0]), gpunn.binomial(rate + 6, prob, generators[1])
    rate, prob = rate.to(device), prob.to(device)
    there = gpunn.poisson(rate, generators[2]), gpunn.binomial(rate + 6, prob, generators[3])
    for a, b in zip(here, there, strict=True):
        np.testing.assert_array_equal(to_numpy(a), to_numpy(b))
