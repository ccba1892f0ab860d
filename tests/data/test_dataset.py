"""Datasets, their combinations and splits."""

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpunn
from gpunn.data import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    random_split,
)


class Squares(Dataset[int]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __getitem__(self, index: int) -> int:
        if not -self.count <= index < self.count:
            raise IndexError(index)
        return (index % self.count) ** 2

    def __len__(self) -> int:
        return self.count


class Numbers(IterableDataset[int]):
    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def __iter__(self):
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)


def test_dataset_asks_for_getitem():
    with pytest.raises(NotImplementedError, match="should implement __getitem__"):
        Dataset()[0]


def test_iterable_dataset_asks_for_iter():
    with pytest.raises(NotImplementedError, match="should implement __iter__"):
        iter(IterableDataset())


def test_tensor_dataset_gives_tuples():
    x, y = gpunn.arange(6).reshape(3, 2), gpunn.tensor([7, 8, 9])
    dataset = TensorDataset(x, y)
    assert len(dataset) == 3
    assert [tuple(t.tolist() for t in item) for item in (dataset[0], dataset[-1])] == [
        ([0, 1], 7),
        ([4, 5], 9),
    ]


def test_tensor_dataset_refuses_sizes_that_differ():
    with pytest.raises(AssertionError, match=r"^Size mismatch between tensors.*but got 3, 4$"):
        TensorDataset(gpunn.zeros(3), gpunn.zeros(4))
    with pytest.raises(ValueError, match="at least one tensor"):
        TensorDataset()
    with pytest.raises(TypeError, match="expected tensors, but got list"):
        TensorDataset(gpunn.zeros(3), [1, 2, 3])


def test_subset():
    subset = Subset(Squares(10), [3, 1, 4])
    assert len(subset) == 3
    assert list(subset) == [9, 1, 16]
    assert list(Subset(subset, [2, 0])) == [16, 9]
    pair = Subset(TensorDataset(gpunn.arange(5) * 10), [4, 2, 0])[[0, 2]]
    assert pair[0].tolist() == [40, 0]


def test_concat():
    joined = Squares(2) + Squares(3)
    assert isinstance(joined, ConcatDataset)
    assert len(joined) == 5
    assert [joined[i] for i in range(5)] == [0, 1, 0, 1, 4]
    assert [joined[i] for i in range(-5, 0)] == [0, 1, 0, 1, 4]
    assert list(joined) == [0, 1, 0, 1, 4]
    assert list(ConcatDataset([Squares(0), Squares(2), Squares(0)])) == [0, 1]
    with pytest.raises(ValueError, match="absolute value of index should not exceed"):
        joined[-6]
    with pytest.raises(IndexError):
        joined[5]


def test_concat_refuses_nothing_and_iterables():
    with pytest.raises(AssertionError, match="datasets should not be an empty iterable"):
        ConcatDataset([])
    with pytest.raises(AssertionError, match="does not support IterableDataset"):
        ConcatDataset([Numbers(1)])


def test_chain():
    chain = Numbers(1, 2) + Numbers(3)
    assert isinstance(chain, ChainDataset)
    assert list(chain) == [1, 2, 3]
    assert len(chain) == 3
    with pytest.raises(AssertionError, match="only supports IterableDataset"):
        list(ChainDataset([Numbers(1), Squares(2)]))


# random_split -----------------------------------------------------------------------------


@settings(deadline=None)  # the machine may be busy
@given(
    count=st.integers(0, 50),
    weights=st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any),
)
def test_random_split_rounds_as_pytorch(count: int, weights: list[int]):
    data = pytest.importorskip("torch.utils.data")
    fractions = [weight / sum(weights) for weight in weights]
    if sum(fractions) > 1:  # by rounding: PyTorch too takes these for lengths
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = [len(part) for part in random_split(Squares(count), fractions)]
        expected = [len(part) for part in data.random_split(range(count), fractions)]
    assert got == expected


@settings(deadline=None)  # the machine may be busy
@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_random_split_is_a_partition(sizes: list[int], seed: int):
    generator = gpunn.Generator().manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # [1] is a fraction
        parts = random_split(Squares(sum(sizes)), sizes, generator)
    if sum(sizes) != 1:
        assert [len(part) for part in parts] == sizes
    assert sorted(i for part in parts for i in part.indices) == list(range(sum(sizes)))


def test_random_split_repeats_with_the_generator_and_uses_the_default_one():
    def split(generator: gpunn.Generator | None) -> list[int]:
        return list(random_split(Squares(20), [10, 10], generator)[0].indices)

    first = split(gpunn.Generator().manual_seed(1))
    assert split(gpunn.Generator().manual_seed(1)) == first
    assert split(gpunn.Generator().manual_seed(2)) != first
    gpunn.manual_seed(1)
    assert split(None) == first


def test_random_split_errors():
    for lengths in ([3, 3], [0.5, 0.2], [-1, 11], [3, 3, 3.5]):
        with pytest.raises(ValueError, match="Sum of input lengths does not equal the length"):
            random_split(Squares(10), lengths)
    with pytest.raises(ValueError, match="Fraction at index 0 is not between 0 and 1"):
        random_split(Squares(10), [1.5, -0.5])
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        random_split(Squares(1), [0.5, 0.5])


def test_stacked_datasets():
    torch = pytest.importorskip("torch")

    def scenario(lib):
        data = lib.utils.data
        images, labels = data.TensorDataset(lib.arange(5)), [10, 11, 12, 13, 14]
        several = data.StackDataset(images, labels, data.StackDataset(a=labels, b=labels))
        named = data.StackDataset(image=images, label=labels)
        batch = next(iter(data.DataLoader(named, batch_size=2)))
        refusals = []
        for args, kwargs in (((), {}), ((labels,), {"a": labels}), ((labels, labels[1:]), {})):
            with pytest.raises(ValueError, match=" ") as caught:
                data.StackDataset(*args, **kwargs)
            refusals.append(str(caught.value).replace("or``", "or ``"))
        return (
            repr((several[1], named[-1], len(several), len(named), batch)).replace(
                "torch", "gpunn"
            ),
            repr(named.__getitems__([0, 3])),
            [len(several.datasets), list(named.datasets)],
            refusals,
        )

    assert scenario(gpunn) == scenario(torch)
