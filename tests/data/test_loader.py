"""DataLoader in one process: batches, order, whole-batch indexing, lengths, errors."""

import itertools
import math
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpunn
from gpunn.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    SequentialSampler,
    Subset,
    TensorDataset,
    default_collate,
)


class Items(Dataset[Any]):
    """Without a fast path: item by item."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]

    def __len__(self) -> int:
        return len(self.dataset)


class Numbers(IterableDataset[int]):
    def __init__(self, count: int, promised: int | None = None) -> None:
        self.count = count
        self.promised = promised

    def __iter__(self):
        return iter(range(self.count))

    def __len__(self) -> int:
        if self.promised is None:
            raise TypeError("no length")
        return self.promised


def plain(value: Any) -> Any:
    """Tensors as lists, so that batches can be compared."""
    if isinstance(value, gpunn.Tensor):
        return value.tolist()
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def seeded(seed: int) -> gpunn.Generator:
    return gpunn.Generator().manual_seed(seed)


DATA = TensorDataset(gpunn.arange(20).reshape(10, 2), gpunn.arange(10) * 0.5)


@settings(deadline=None)
@given(count=st.integers(0, 30), batch_size=st.integers(1, 11), drop_last=st.booleans())
def test_batches_and_length_are_pytorchs(count: int, batch_size: int, drop_last: bool):
    data = pytest.importorskip("torch.utils.data")
    loader = DataLoader(range(count), batch_size, drop_last=drop_last)
    expected = data.DataLoader(range(count), batch_size, drop_last=drop_last)
    assert plain(list(loader)) == [batch.tolist() for batch in expected]
    assert len(loader) == len(expected) == len(list(loader))


def test_default_is_batches_of_one():
    assert plain(list(DataLoader(range(2)))) == [[0], [1]]


def test_items_unbatched():
    loader = DataLoader(DATA, batch_size=None)
    assert len(loader) == 10
    items = list(loader)
    assert plain(items[3]) == [[6, 7], 1.5]


def test_custom_sampler_and_batch_sampler():
    assert plain(list(DataLoader(range(9), 2, sampler=[8, 0, 4]))) == [[8, 0], [4]]
    batches = [[1], [2, 3], []]
    loader = DataLoader([10, 20, 30, 40], batch_sampler=batches[:2])
    assert (plain(list(loader)), len(loader)) == ([[20], [30, 40]], 2)
    assert (loader.batch_size, loader.drop_last) == (None, False)


def test_collate_fn_gets_a_list():
    for dataset in (DATA, Subset(DATA, range(10)), Items(DATA)):
        (first, *_) = DataLoader(dataset, 3, collate_fn=lambda items: items)
        assert type(first) is list
        assert plain(first) == [[[0, 1], 0.0], [[2, 3], 0.5], [[4, 5], 1.0]]


# Whole batches at once --------------------------------------------------------------------


@settings(deadline=None)
@given(
    indices=st.lists(st.integers(-10, 9), min_size=1, max_size=25),
    batch_size=st.integers(1, 6),
    of_subset=st.booleans(),
)
def test_whole_batches_are_the_batches_of_the_items(
    indices: list[int], batch_size: int, of_subset: bool
):
    if of_subset:
        fast: Any = Subset(Subset(DATA, list(range(9, -1, -1))), indices)
        slow: Any = Subset(Subset(Items(DATA), list(range(9, -1, -1))), indices)
        got, expected = DataLoader(fast, batch_size), DataLoader(slow, batch_size)
    else:
        got = DataLoader(DATA, batch_size, sampler=indices)
        expected = DataLoader(Items(DATA), batch_size, sampler=indices)
    for ours, theirs in zip(got, expected, strict=True):
        assert type(ours) is type(theirs) is list
        for x, y in zip(ours, theirs, strict=True):
            assert (x.dtype, x.shape, x.tolist()) == (y.dtype, y.shape, y.tolist())


def test_whole_batches_are_copies_and_keep_the_gradient():
    x = gpunn.arange(4.0).requires_grad_()
    ((batch,),) = DataLoader(TensorDataset(x), batch_size=4, sampler=[0, 1, 1, 3])
    batch.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 2, 0, 1]
    with gpunn.no_grad():
        ((batch,),) = DataLoader(TensorDataset(x), batch_size=4)
        batch.zero_()
    assert x.tolist() == [0, 1, 2, 3]


def test_whole_batches_take_one_indexing_per_tensor():
    class Counted(TensorDataset):
        looked_at = 0

        def __getitem__(self, index: Any) -> Any:
            type(self).looked_at += 1
            return super().__getitem__(index)

    list(DataLoader(Counted(gpunn.zeros(6)), 3))
    assert Counted.looked_at == 6  # its own items: each is asked for

    batch = DATA.__getitems__([1, 2])
    assert len(batch) == 2
    assert plain(list(batch)) == plain([DATA[1], DATA[2]])
    assert plain(batch[1:]) == plain([DATA[2]])
    assert plain(default_collate(batch)) == plain(default_collate(list(batch)))


def test_own_items_of_a_subclass_are_respected():
    class Doubled(TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            return tuple(2 * field for field in super().__getitem__(index))

    class Shifted(Subset[Any]):
        def __getitem__(self, index: Any) -> Any:
            return tuple(field + 1 for field in super().__getitem__(index))

    (batch,) = DataLoader(Doubled(gpunn.arange(3)), 3)
    assert plain(batch) == [[0, 2, 4]]
    (batch,) = DataLoader(Shifted(TensorDataset(gpunn.arange(3)), [2, 0]), 2)
    assert plain(batch) == [[3, 1]]


def test_getitems_of_the_user_is_called():
    class Batched(Dataset[int]):
        def __getitems__(self, indices: list[int]) -> list[int]:
            return [index * 10 for index in indices]

        def __len__(self) -> int:
            return 4

    assert plain(list(DataLoader(Batched(), 3))) == [[0, 10, 20], [30]]
    assert plain(list(DataLoader(Subset(Batched(), [3, 1]), 3))) == [[30, 10]]


def test_indices_may_be_tensors():
    order = gpunn.tensor([3, 1, 2])
    assert plain(list(DataLoader(DATA, 2, sampler=order))) == plain(
        list(DataLoader(DATA, 2, sampler=[3, 1, 2]))
    )
    assert plain(list(DataLoader(Subset(DATA, order), 3))) == plain(
        list(DataLoader(DATA, 3, sampler=[3, 1, 2]))
    )


# Order ------------------------------------------------------------------------------------


def test_shuffle_is_a_new_permutation_each_epoch():
    loader = DataLoader(range(40), 8, shuffle=True, generator=seeded(0))
    first, second = ([i for batch in loader for i in plain(batch)] for _ in range(2))
    assert first != second
    assert sorted(first) == sorted(second) == list(range(40))


def test_the_state_at_the_start_determines_the_epoch():
    loader = DataLoader(DATA, 3, shuffle=True, generator=seeded(5))
    list(loader)
    state = loader.generator.get_state()
    epoch = plain(list(loader))
    loader.generator.set_state(state)
    assert plain(list(loader)) == epoch


@pytest.mark.parametrize("done", [0, 1, 2, 4])
def test_an_epoch_is_resumed_in_its_middle(done: int):
    """With a new loader, as after a restart; and what follows is the same too."""
    loader = DataLoader(DATA, 3, shuffle=True, generator=seeded(5))
    start = loader.generator.get_state()
    epoch, following = plain(list(loader)), plain(list(loader))

    resumed = DataLoader(DATA, 3, shuffle=True, generator=gpunn.Generator())
    resumed.generator.set_state(start)
    assert plain(list(itertools.islice(resumed, done, None))) == epoch[done:]
    assert plain(list(resumed)) == following


def test_the_default_generator_decides_without_another():
    gpunn.manual_seed(3)
    first = plain(list(DataLoader(DATA, 3, shuffle=True)))
    gpunn.manual_seed(3)
    assert plain(list(DataLoader(DATA, 3, shuffle=True))) == first


def test_two_iterators_are_independent():
    loader = DataLoader(range(4))
    a, b = iter(loader), iter(loader)
    next(a)
    assert (plain(next(a)), plain(next(b))) == ([1], [0])
    assert iter(a) is a
    assert len(a) == 4


# Iterable datasets ------------------------------------------------------------------------


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("count", [0, 1, 6, 7])
def test_iterable_batches(count: int, drop_last: bool):
    data = pytest.importorskip("torch.utils.data")

    class Theirs(data.IterableDataset):
        def __iter__(self):
            return iter(range(count))

    loader = DataLoader(Numbers(count), 3, drop_last=drop_last)
    expected = [batch.tolist() for batch in data.DataLoader(Theirs(), 3, drop_last=drop_last)]
    assert plain(list(loader)) == expected
    assert plain(list(loader)) == expected  # each epoch begins anew


def test_iterable_unbatched_and_its_length():
    assert list(DataLoader(Numbers(3), batch_size=None)) == [0, 1, 2]
    assert len(DataLoader(Numbers(7, 7), 3)) == 3
    assert len(DataLoader(Numbers(7, 7), 3, drop_last=True)) == 2
    assert len(DataLoader(Numbers(7, 7), None)) == 7
    with pytest.raises(TypeError, match="no length"):
        len(DataLoader(Numbers(7), 3))


def test_more_than_the_promised_length_warns():
    loader = DataLoader(Numbers(9, promised=5), 2)
    assert sum(1 for _ in loader) == 5  # nobody has asked for the length
    assert len(loader) == 3
    with pytest.warns(UserWarning, match="was reported to be 5 .* 4 batches have been f") as seen:
        assert sum(1 for _ in loader) == 5
    assert [warning.filename for warning in seen] == [__file__]


# Errors -----------------------------------------------------------------------------------


def test_an_error_in_the_dataset_arrives_as_it_is_and_can_be_passed_over():
    class Broken(Items):
        def __getitem__(self, index: int) -> Any:
            if index == 1:
                raise KeyError("item 1")
            return super().__getitem__(index)

    batches = iter(DataLoader(Broken(range(3))))
    assert plain(next(batches)) == [0]
    with pytest.raises(KeyError, match=r"^'item 1'$"):
        next(batches)
    assert plain(next(batches)) == [2]


def test_a_stop_iteration_in_the_dataset_does_not_end_the_epoch():
    class Stops(Items):
        def __getitem__(self, index: int) -> Any:
            return next(iter(()))

    with pytest.raises(RuntimeError, match="raised StopIteration"):
        list(DataLoader(Stops(range(3))))


REFUSALS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"num_workers": -1}, ValueError, "num_workers option should be non-negative; use num_w"),
    ({"timeout": -1}, ValueError, "timeout option should be non-negative"),
    ({"prefetch_factor": 2}, ValueError, "prefetch_factor option could only be specified in"),
    ({"num_workers": 1, "prefetch_factor": -1}, ValueError, "should be non-negative"),
    ({"num_workers": 1, "prefetch_factor": 0}, ValueError, "at least 1"),
    ({"persistent_workers": True}, ValueError, "persistent_workers option needs num_workers > 0"),
    ({"sampler": [1], "shuffle": True}, ValueError, "sampler option is mutually exclusive with sh"),
    (
        {"batch_sampler": [[1]], "shuffle": True},
        ValueError,
        "batch_sampler option is mutually excl",
    ),
    (
        {"batch_sampler": [[1]], "batch_size": 2},
        ValueError,
        "batch_sampler option is mutually excl",
    ),
    ({"batch_sampler": [[1]], "drop_last": True}, ValueError, "batch_sampler option is mutually"),
    ({"batch_sampler": [[1]], "sampler": [1]}, ValueError, "batch_sampler option is mutually excl"),
    ({"batch_size": None, "drop_last": True}, ValueError, "batch_size=None option disables auto-b"),
    ({"batch_size": 0}, ValueError, "batch_size should be a positive integer value, but got b"),
    ({"multiprocessing_context": "fork"}, ValueError, "multiprocessing_context can only be used"),
    (
        {"num_workers": 1, "multiprocessing_context": "thread"},
        ValueError,
        "multiprocessing_context option should specify a valid start method in",
    ),
    (
        {"num_workers": 1, "multiprocessing_context": 3},
        TypeError,
        "multiprocessing_context option should be a valid context object or a string",
    ),
]


@pytest.mark.parametrize(("options", "error", "text"), REFUSALS)
def test_refusals(options: dict[str, Any], error: type[Exception], text: str):
    with pytest.raises(error, match=text):
        DataLoader(range(3), **options)


def test_refusals_are_pytorchs():
    data = pytest.importorskip("torch.utils.data")
    for options, error, text in REFUSALS:
        if options.get("prefetch_factor") != 0:  # which PyTorch accepts, and then asks no worker
            with pytest.raises(error, match=text):
                data.DataLoader(range(3), **options)


def test_iterable_refusals():
    for name, value in (("shuffle", True), ("sampler", [1]), ("batch_sampler", [[1]])):
        with pytest.raises(
            ValueError, match=f"IterableDataset: expected unspecified {name} option"
        ):
            DataLoader(Numbers(3), **{name: value})
    assert len(list(DataLoader(Numbers(3), shuffle=False))) == 3


def test_shuffling_nothing_is_refused_as_by_pytorch():
    with pytest.raises(ValueError, match="positive integer value, but got num_samples=0"):
        DataLoader([], shuffle=True)


def test_what_defines_the_batches_is_fixed():
    loader = DataLoader(range(3))
    for name in ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset"):
        with pytest.raises(ValueError, match=f"{name} attribute should not be set after DataL"):
            setattr(loader, name, None)
    loader.collate_fn = len
    assert list(loader) == [1, 1, 1]


def test_a_loader_is_pickled_with_its_generator():
    loader = DataLoader(DATA, 4, shuffle=True, generator=seeded(2))
    twin = pickle.loads(pickle.dumps(loader))
    assert plain(list(twin)) == plain(list(loader))


def test_batch_sampler_of_gpunn():
    sampler = BatchSampler(SequentialSampler(range(7)), 3, drop_last=True)
    loader = DataLoader(range(7), batch_sampler=sampler)
    assert len(loader) == math.floor(7 / 3) == len(list(loader))


def test_pytorchs_module_name():
    import gpunn.utils.data
    from gpunn.utils.data import DataLoader as Same

    assert Same is DataLoader
    assert gpunn.utils.data.__all__ == gpunn.data.__all__
