"""The random stream: NumPy's Philox bit for bit, distributions, states."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpunn
from gpunn.backends import Backend
from gpunn.backends.cpu import CpuBackend

reference, cpu = Backend(np), CpuBackend(np)


@given(
    st.integers(0, 2**64 - 1),
    st.one_of(st.integers(0, 2**64 - 1), st.integers(2**64 - 9, 2**64 + 9), st.integers(0, 2**128)),
    st.integers(0, 40),
)
def test_words_are_numpys_philox(seed: int, offset: int, n: int):
    expected = np.random.Philox(key=seed, counter=offset).random_raw(n)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(reference.random_words(seed, offset, n), expected)
    np.testing.assert_array_equal(cpu.random_words(seed, offset, n), expected)


def test_draws_are_functions_of_the_words():
    seed, offset = 5, 9
    words = np.random.Philox(key=seed, counter=offset).random_raw(6)
    halves = words.view(np.uint32)
    expected = (halves[:10] >> 8).astype("f4") * np.float32(2**-24)
    got = cpu.uniform(seed, offset, (10,), np.dtype("f4"))
    np.testing.assert_array_equal(got, expected)
    got = cpu.uniform(seed, offset, (2, 3), np.dtype("f8"))
    np.testing.assert_array_equal(got.ravel(), (words >> 11) * 2.0**-53)
    mask = cpu.keep_mask(seed, offset, (3, 4), 0.25)
    np.testing.assert_array_equal(mask.ravel(), halves >= 2**30)
    assert cpu.keep_mask(seed, offset, (8,), 0.0).all()
    np.testing.assert_array_equal(
        cpu.integers(seed, offset, -3, 5, 6), (words % 8).astype("i8") - 3
    )


@pytest.mark.parametrize("dtype", [gpunn.float16, gpunn.float32, gpunn.float64])
def test_uniform_and_normal(dtype: Any, device: str):
    x = gpunn.rand(100, 500, dtype=dtype, device=device)
    assert (x.dtype, x.shape, x.device.type) == (dtype, (100, 500), device)
    values = x.cpu().numpy().astype("f8")
    assert values.min() >= 0
    assert values.max() < 1
    assert abs(values.mean() - 0.5) < 0.01
    assert abs(values.var() - 1 / 12) < 0.002
    z = gpunn.randn(100, 500, dtype=dtype, device=device).cpu().numpy().astype("f8")
    assert np.isfinite(z).all()
    assert abs(z.mean()) < 0.02
    assert abs(z.std() - 1) < 0.02
    assert abs((z**3).mean()) < 0.06
    assert abs((np.abs(z) < 1).mean() - 0.6827) < 0.01


def test_integers_and_permutations():
    x = gpunn.randint(-3, 4, (7000,))
    assert x.dtype is gpunn.int64
    counts = np.bincount(x.numpy() + 3)
    assert len(counts) == 7
    assert counts.min() > 850
    assert gpunn.randint(2, (3, 2), dtype=gpunn.float32).dtype is gpunn.float32
    p = gpunn.randperm(1000)
    assert sorted(p.tolist()) == list(range(1000))
    assert p.tolist() != list(range(1000))
    assert gpunn.randperm(0).shape == (0,)
    for call in (lambda: gpunn.randint(3, 3, (1,)), lambda: gpunn.zeros(1).random_(2, 1)):
        with pytest.raises(RuntimeError, match="expects 'from' to be less than 'to'"):
            call()


def test_in_place_draws():
    x = gpunn.empty(20000)
    assert abs(x.uniform_(2, 4).mean().item() - 3) < 0.02
    assert abs(x.normal_(5, 2).std().item() - 2) < 0.05
    assert set(x.bernoulli_(0.3).tolist()) == {0, 1}
    assert abs(x.mean().item() - 0.3) < 0.02
    assert set(gpunn.zeros(100, dtype=gpunn.int64).random_(3).tolist()) == {0, 1, 2}
    assert gpunn.zeros(9, dtype=gpunn.int8).random_().min().item() >= 0
    with pytest.raises(RuntimeError, match="uniform_ expects to return a"):
        x.uniform_(2, 1)
    with pytest.raises(RuntimeError, match=r"normal expects std >= 0\.0"):
        x.normal_(0, -1)
    with pytest.raises(RuntimeError, match="bernoulli_ expects p to be in"):
        x.bernoulli_(2)


def test_normal_of_tensors_and_bernoulli():
    assert gpunn.normal(gpunn.zeros(2, 1), gpunn.ones(3)).shape == (2, 3)
    assert gpunn.normal(0.0, 1.0, (4,)).shape == (4,)
    assert gpunn.normal(gpunn.arange(3.0), 0.0).tolist() == [0, 1, 2]
    with pytest.raises(RuntimeError, match="normal expects all elements of std >= 0"):
        gpunn.normal(0.0, gpunn.tensor([-1.0]))
    with pytest.raises(TypeError, match="needs a size"):
        gpunn.normal(0.0, 1.0)
    assert gpunn.bernoulli(gpunn.tensor([0.0, 1.0], dtype=gpunn.float64)).tolist() == [0, 1]
    with pytest.raises(RuntimeError, match="Expected p_in >= 0 && p_in <= 1"):
        gpunn.bernoulli(gpunn.tensor([2.0]))


DRAWS: list[Any] = [
    lambda g: gpunn.rand(3, generator=g),
    lambda g: gpunn.randn(5, dtype=gpunn.float64, generator=g),
    lambda g: gpunn.randint(9, (2, 2), generator=g),
    lambda g: gpunn.randperm(7, generator=g),
    lambda g: gpunn.empty(3).normal_(generator=g),
    lambda g: gpunn.empty(3).uniform_(generator=g),
    lambda g: gpunn.bernoulli(gpunn.full((9,), 0.5), generator=g),
]


def test_a_seed_gives_the_same_draws_again():
    gpunn.manual_seed(3)
    first = [draw(None).tolist() for draw in DRAWS]
    gpunn.manual_seed(3)
    assert [draw(None).tolist() for draw in DRAWS] == first
    generator = gpunn.Generator().manual_seed(3)
    assert [draw(generator).tolist() for draw in DRAWS] == first
    gpunn.manual_seed(4)
    assert [draw(None).tolist() for draw in DRAWS] != first


def test_draws_do_not_repeat():
    gpunn.manual_seed(0)
    x, y = gpunn.rand(1000), gpunn.rand(1000)
    assert not set(x.tolist()) & set(y.tolist()[:10])
    assert gpunn.rand(1001).shape == (1001,)


def test_states_go_back():
    gpunn.rand(5)
    state = gpunn.get_rng_state()
    first = [draw(None).tolist() for draw in DRAWS]
    gpunn.set_rng_state(state)
    assert [draw(None).tolist() for draw in DRAWS] == first
    assert state.dtype is gpunn.uint8
    with pytest.raises(TypeError, match="expected a gpunn uint8 tensor"):
        gpunn.set_rng_state(gpunn.zeros(16))
    with pytest.raises(RuntimeError, match="RNG state is wrong size"):
        gpunn.set_rng_state(state[:8])


def test_seeds():
    assert gpunn.manual_seed(-1).initial_seed() == 2**64 - 1
    assert gpunn.initial_seed() == 2**64 - 1
    assert gpunn.Generator().initial_seed() == gpunn.Generator().initial_seed()
    assert gpunn.seed() == gpunn.initial_seed()
    for seed in (2**64, -(2**63) - 1):
        with pytest.raises(ValueError, match="Overflow when unpacking long"):
            gpunn.manual_seed(seed)


def test_fork_rng_leaves_the_stream_as_it_was():
    before = gpunn.get_rng_state()
    with gpunn.random.fork_rng():
        gpunn.manual_seed(5)
        inside = gpunn.rand(3)
    assert gpunn.get_rng_state().tolist() == before.tolist()
    with contextlib.suppress(KeyError), gpunn.random.fork_rng(devices=[]):
        gpunn.rand(3)
        raise KeyError
    assert gpunn.get_rng_state().tolist() == before.tolist()
    with gpunn.random.fork_rng(enabled=False):
        gpunn.manual_seed(5)
    assert gpunn.rand(3).tolist() == inside.tolist()


def test_a_generators_clone_and_offset():
    first = gpunn.Generator().manual_seed(4)
    gpunn.rand(9, generator=first)
    second = first.clone_state()
    assert second is not first
    assert gpunn.rand(3, generator=first).equal(gpunn.rand(3, generator=second))
    offset = first.get_offset()
    assert offset > 0
    drawn = gpunn.rand(5, generator=first)
    first.set_offset(offset)
    assert gpunn.rand(5, generator=first).equal(drawn)
    with pytest.raises(ValueError, match="offset must be in"):
        first.set_offset(-1)
