"""Samplers: which indices, in which order, from which randomness."""

from collections import Counter

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpunn
from gpunn.data import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)


def seeded(seed: int) -> gpunn.Generator:
    return gpunn.Generator().manual_seed(seed)


def test_sampler_asks_for_iter():
    with pytest.raises(NotImplementedError, match="should implement __iter__"):
        iter(Sampler())


def test_sequential():
    sampler = SequentialSampler(range(5))
    assert (list(sampler), len(sampler)) == ([0, 1, 2, 3, 4], 5)


# Random -----------------------------------------------------------------------------------


@settings(deadline=None)  # the machine may be busy
@given(count=st.integers(1, 60), seed=st.integers(0, 2**63 - 1))
def test_random_is_a_permutation(count: int, seed: int):
    assert sorted(RandomSampler(range(count), generator=seeded(seed))) == list(range(count))


@settings(deadline=None)  # the machine may be busy
@given(count=st.integers(1, 20), samples=st.integers(1, 70), seed=st.integers(0, 99))
def test_num_samples_takes_whole_permutations_and_a_part(count: int, samples: int, seed: int):
    sampler = RandomSampler(range(count), num_samples=samples, generator=seeded(seed))
    drawn = list(sampler)
    assert len(drawn) == len(sampler) == samples
    for start in range(0, samples, count):
        part = drawn[start : start + count]
        assert len(set(part)) == len(part)
        assert set(part) <= set(range(count))


def test_replacement_draws_independently():
    sampler = RandomSampler(range(10), replacement=True, num_samples=5000, generator=seeded(0))
    counts = Counter(sampler)
    assert len(sampler) == 5000
    assert sorted(counts) == list(range(10))
    assert all(400 < count < 600 for count in counts.values())


def test_endless_draws_with_replacement_are_lazy():
    indices = iter(RandomSampler(range(10), replacement=True, num_samples=10**15))
    assert all(0 <= next(indices) < 10 for _ in range(3000))


@pytest.mark.parametrize("replacement", [False, True])
def test_the_state_of_the_generator_is_the_order(replacement: bool):
    generator = seeded(3)
    sampler = RandomSampler(range(50), replacement, generator=generator)
    state = generator.get_state()
    first, second = list(sampler), list(sampler)
    assert first != second
    generator.set_state(state)
    assert [list(sampler), list(sampler)] == [first, second]


def test_without_a_generator_the_default_one_decides():
    sampler = RandomSampler(range(50))
    gpunn.manual_seed(7)
    first, second = list(sampler), list(sampler)
    assert first != second
    gpunn.manual_seed(7)
    assert [list(sampler), list(sampler)] == [first, second]


def test_the_length_follows_the_data():
    data = [1, 2, 3]
    sampler = RandomSampler(data)
    data.append(4)
    assert (len(sampler), sorted(sampler)) == (4, [0, 1, 2, 3])


def test_random_errors():
    with pytest.raises(TypeError, match="replacement should be a boolean value, but got repl"):
        RandomSampler(range(3), replacement=1)
    for wrong in (0, -1, 2.5):
        with pytest.raises(
            ValueError, match=rf"positive integer value, but got num_samples={wrong}"
        ):
            RandomSampler(range(3), num_samples=wrong)
    with pytest.raises(ValueError, match="but got num_samples=0"):
        RandomSampler([])


def test_subset_random():
    sampler = SubsetRandomSampler([10, 20, 30, 40], seeded(0))
    assert (sorted(sampler), len(sampler)) == ([10, 20, 30, 40], 4)
    orders = {tuple(sampler) for _ in range(50)}
    assert len(orders) > 10


# Weighted ---------------------------------------------------------------------------------


def test_weighted_with_replacement_has_the_frequencies():
    weights = [0.0, 1.0, 3.0, 0.0, 4.0, 0.0]
    sampler = WeightedRandomSampler(weights, 8000, generator=seeded(0))
    counts = numpy.bincount(list(sampler), minlength=6)
    assert len(sampler) == 8000
    assert numpy.abs(counts - 1000 * numpy.array(weights)).max() < 150
    assert (counts[[0, 3, 5]] == 0).all()


def test_weighted_without_replacement_has_the_first_and_second_draws_probabilities():
    weights = gpunn.tensor([1.0, 2.0, 0.0, 5.0])
    generator = seeded(0)
    draws = Counter(
        tuple(WeightedRandomSampler(weights, 2, replacement=False, generator=generator))
        for _ in range(4000)
    )
    expected = {(i, j) for i in (0, 1, 3) for j in (0, 1, 3) if i != j}
    assert set(draws) == expected
    w = weights.tolist()
    for i, j in expected:
        probability = w[i] / 8 * w[j] / (8 - w[i])
        assert draws[i, j] / 4000 == pytest.approx(probability, abs=0.03)


@settings(deadline=None)  # the machine may be busy
@given(
    weights=st.lists(st.sampled_from([0.0, 0.1, 1.0, 7.0]), min_size=1, max_size=9).filter(any),
    seed=st.integers(0, 99),
)
def test_weighted_without_replacement_can_take_all(weights: list[float], seed: int):
    possible = [i for i, weight in enumerate(weights) if weight]
    sampler = WeightedRandomSampler(weights, len(possible), False, seeded(seed))
    assert sorted(sampler) == possible


def test_weighted_errors():
    for wrong in (0, -1, True, 2.0):
        with pytest.raises(ValueError, match=f"but got num_samples={wrong}"):
            WeightedRandomSampler([1.0], wrong)
    with pytest.raises(ValueError, match="replacement should be a boolean value"):
        WeightedRandomSampler([1.0], 1, replacement=0)
    with pytest.raises(ValueError, match=r"1d sequence but given weights have shape \(1, 2\)"):
        WeightedRandomSampler([[1.0, 2.0]], 1)
    for weights in ([1.0, -1.0], [1.0, float("nan")], [float("inf")]):
        with pytest.raises(RuntimeError, match="contains either `inf`, `nan` or element < 0"):
            list(WeightedRandomSampler(weights, 1))
    with pytest.raises(RuntimeError, match="sum of probabilities <= 0"):
        list(WeightedRandomSampler([0.0, 0.0], 1))
    with pytest.raises(RuntimeError, match="without replacement"):
        list(WeightedRandomSampler([1.0, 0.0], 2, replacement=False))


# Batches ----------------------------------------------------------------------------------


@settings(deadline=None)  # the machine may be busy
@given(count=st.integers(0, 40), batch_size=st.integers(1, 12), drop_last=st.booleans())
def test_batches_are_pytorchs(count: int, batch_size: int, drop_last: bool):
    data = pytest.importorskip("torch.utils.data")
    sampler = BatchSampler(SequentialSampler(range(count)), batch_size, drop_last)
    expected = data.BatchSampler(data.SequentialSampler(range(count)), batch_size, drop_last)
    assert list(sampler) == list(expected)
    assert len(sampler) == len(expected) == len(list(sampler))


def test_batches_of_any_iterable():
    assert list(BatchSampler(iter("abcde"), 2, True)) == [["a", "b"], ["c", "d"]]


def test_batch_errors():
    for wrong in (0, -2, True, 1.5, None):
        with pytest.raises(ValueError, match=f"positive integer value, but got batch_size={wrong}"):
            BatchSampler(range(3), wrong, False)
    with pytest.raises(
        ValueError, match="drop_last should be a boolean value, but got drop_last=1"
    ):
        BatchSampler(range(3), 1, 1)
