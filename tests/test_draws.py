"""Random numbers in place and into ``out``: their laws, their refusals, and every device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checks import to_numpy
from parity import same
from scipy import stats

import gpunn

N = 5000
LAWS: dict[str, tuple[tuple[float, ...], Any]] = {
    "cauchy_": ((1.0, 0.5), stats.cauchy(1.0, 0.5)),
    "log_normal_": ((0.5, 0.75), stats.lognorm(0.75, scale=np.exp(0.5))),
    "exponential_": ((2.0,), stats.expon(scale=0.5)),
    "uniform_": ((-1.0, 3.0), stats.uniform(-1, 4)),
    "normal_": ((2.0, 0.5), stats.norm(2.0, 0.5)),
}


@pytest.mark.parametrize("name", LAWS)
def test_law(name: str):
    given, law = LAWS[name]
    drawn = getattr(gpunn.empty(N, dtype=gpunn.float64), name)(*given)
    assert stats.kstest(to_numpy(drawn), law.cdf).pvalue > 1e-3


def test_geometric():
    drawn = to_numpy(gpunn.empty(N, dtype=gpunn.int64).geometric_(0.3))
    observed = np.bincount(drawn, minlength=11)[1:11]
    expected = N * stats.geom(0.3).pmf(np.arange(1, 11))
    observed[-1], expected[-1] = N - observed[:-1].sum(), N - expected[:-1].sum()
    assert stats.chisquare(observed, expected).pvalue > 1e-3
    assert drawn.min() == 1


@pytest.mark.parametrize("name", [*LAWS, "geometric_"])
def test_same_on_every_device(name: str, device: str):
    given = LAWS[name][0] if name in LAWS else (0.3,)
    generators = [gpunn.Generator().manual_seed(3) for _ in range(2)]
    here, there = (
        getattr(gpunn.empty(9, device=place), name)(*given, generator=generator)
        for place, generator in zip(("cpu", device), generators, strict=True)
    )
    np.testing.assert_allclose(to_numpy(there), to_numpy(here), 1e-6)


REFUSED: list[Callable[[Any], Any]] = [
    lambda t: t.zeros(2).cauchy_(0, 0),
    lambda t: t.zeros(2).cauchy_(0, -1.5),
    lambda t: t.zeros(2, dtype=t.int64).cauchy_(),
    lambda t: t.zeros(2).log_normal_(0, -1),
    lambda t: t.zeros(2).geometric_(0.0),
    lambda t: t.zeros(2).geometric_(1.0),
    lambda t: t.zeros(2).geometric_(1.5),
]


@pytest.mark.parametrize("call", REFUSED)
def test_refused(call: Callable[[Any], Any]):
    same(call)


def test_dtypes_that_are_refused():
    for name in ("log_normal_", "geometric_"):
        kind = gpunn.bool if name == "geometric_" else gpunn.int64
        with pytest.raises(NotImplementedError, match=f'"{name[:-1]}_cpu" not implemented for'):
            getattr(gpunn.zeros(2, dtype=kind), name)(0.5)


@pytest.mark.parametrize("name", ["rand", "randn", "randint", "randperm"])
def test_drawn_into_out(name: str):
    def draw(**options: Any) -> gpunn.Tensor:
        gpunn.manual_seed(5)
        given: tuple[Any, ...] = {"randint": (7, (6,)), "randperm": (6,)}.get(name, (6,))
        return getattr(gpunn, name)(*given, **options)

    out = gpunn.zeros(6, dtype=gpunn.float64)
    assert draw(out=out) is out
    assert out.equal(draw(dtype=gpunn.float64))
    with pytest.raises(RuntimeError, match="dtype Float does not match dtype of out parameter"):
        draw(out=out, dtype=gpunn.float32)


def test_laws_into_out():
    weights, out = gpunn.tensor([0.0, 1.0, 0.0]), gpunn.zeros(4, dtype=gpunn.int64)
    assert gpunn.multinomial(weights, 4, True, out=out) is out
    assert out.tolist() == [1, 1, 1, 1]
    assert gpunn.bernoulli(weights, out=gpunn.ones(3)).tolist() == [0, 1, 0]
    assert gpunn.normal(weights, gpunn.zeros(3), out=gpunn.ones(3)).tolist() == [0, 1, 0]


def test_out_takes_another_shape_and_a_gradient():
    out = gpunn.empty(0)
    assert gpunn.ones(2, 3, out=out) is out
    assert out.shape == (2, 3)
    with pytest.warns(UserWarning, match="An output with one or more elements was resized"):
        gpunn.zeros(4, out=out)
    assert out.tolist() == [0, 0, 0, 0]
    assert gpunn.ones(2, out=gpunn.empty(2), requires_grad=True).requires_grad


def test_words_for_memory():
    def scenario(t: Any) -> Any:
        options: dict[str, Any] = {"layout": t.strided, "pin_memory": False}
        x = t.ones(2)
        return [
            t.zeros(2, **options),
            t.full((2,), 3, **options),
            t.arange(3, **options),
            t.zeros_like(x, memory_format=t.preserve_format, **options),
            t.empty(1, 2, 3, 4, memory_format=t.contiguous_format).shape[1],
            t.hann_window(2, **options),
            t.eye(2, **options),
            x.new_zeros(2, **options),
            x.new_full((2,), 3, **options),
            t.tensor(1.0, pin_memory=False),
            t.rand(2, **options).shape[0],
        ]

    same(scenario)
    same(lambda t: t.zeros(2, layout=3))
    with pytest.raises(RuntimeError, match="gpunn has only strided tensors"):
        gpunn.zeros(2, layout=gpunn.layout("sparse_coo"))
