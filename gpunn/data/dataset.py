"""Datasets: items by index or one after another, and how to combine, cut and split them."""

from __future__ import annotations

import bisect
import itertools
import math
import operator
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, cast

from gpunn.data.sampler import draw_permutation
from gpunn.random import Generator
from gpunn.tensor import Tensor

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Items by index: a subclass defines ``__getitem__`` and, for most uses, ``__len__``.

    It may also define ``__getitems__(indices)``, which returns the items of a whole batch and which
    `DataLoader` prefers.
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset[Any]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """Items one after another: a subclass defines ``__iter__``.

    With ``num_workers > 0`` each worker iterates over its own copy of the dataset: ``__iter__`` has
    to ask `get_worker_info` which part is its own, or each item is loaded once per worker.
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError("Subclasses of IterableDataset should implement __iter__.")

    def __add__(self, other: Dataset[Any]) -> ChainDataset[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return ChainDataset([self, other])


class Gathered(Sequence[T_co]):
    """The items of a batch, and a faster way to their batch than through each of them.

    What ``__getitems__`` may return: a sequence of items as the protocol asks, each made only when
    it is looked at; `default_collate` looks at none and calls ``collated``, which returns exactly
    what it would have made of them.
    """

    def __init__(
        self, dataset: Dataset[T_co], indices: Sequence[int], collated: Callable[[], Any]
    ) -> None:
        self._dataset = dataset
        self._indices = indices
        self.collated = collated

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._dataset[i] for i in self._indices[index]]
        return self._dataset[self._indices[index]]

    def __len__(self) -> int:
        return len(self._indices)


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Tensors of the same first dimension; item ``i`` is the tuple of their ``tensor[i]``.

    A `DataLoader` with the default collate function indexes each tensor once per batch.

    >>> from gpunn import arange
    >>> TensorDataset(arange(3), arange(3) * 10)[1]
    (tensor(1), tensor(10))
    """

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ValueError("TensorDataset needs at least one tensor, but got none")
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                raise TypeError(f"TensorDataset expected tensors, but got {type(tensor).__name__}")
        sizes = [len(tensor) for tensor in tensors]
        if any(size != sizes[0] for size in sizes):
            raise AssertionError(
                "Size mismatch between tensors: expected the same first dimension, "
                f"but got {', '.join(map(str, sizes))}"
            )
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __getitems__(self, indices: Sequence[Any]) -> Sequence[tuple[Tensor, ...]]:
        positions = whole_numbers(indices)
        if positions is None or has_own_items(self, TensorDataset):
            return [self[index] for index in indices]
        return Gathered(self, positions, lambda: [tensor[positions] for tensor in self.tensors])

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset(Dataset[T_co]):
    """The items of ``dataset`` at ``indices``, in that order."""

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> T_co:
        if isinstance(index, list):
            several = cast("list[Any]", index)
            return self.dataset[[self.indices[i] for i in several]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: Sequence[int]) -> Sequence[T_co]:
        if has_own_items(self, Subset):
            return [self[index] for index in indices]
        return items(self.dataset, [self.indices[index] for index in indices])

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[T_co]):
    """The items of several datasets, one dataset after another."""

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = list(itertools.accumulate(map(_length, self.datasets)))

    def __getitem__(self, index: Any) -> T_co:
        if index < 0:
            if -index > len(self):
                raise ValueError("absolute value of index should not exceed dataset length")
            index += len(self)
        which = bisect.bisect_right(self.cumulative_sizes, index)
        if which == len(self.datasets):
            raise IndexError(f"index {index} is out of range for {len(self)} items")
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


class StackDataset(Dataset[Any]):
    """Datasets of one length side by side: item ``i`` is the tuple of their items ``i``.

    With names, ``StackDataset(image=..., label=...)``, it is a dict.
    """

    def __init__(self, *args: Dataset[Any], **kwargs: Dataset[Any]) -> None:
        if args and kwargs:
            raise ValueError(
                "Supported either ``tuple``- (via ``args``) or ``dict``- (via ``kwargs``) like "
                "input/output, but both types are given."
            )
        self.datasets = args or kwargs
        self._names, self._parts = tuple(kwargs), args or tuple(kwargs.values())
        if not self._parts:
            raise ValueError("At least one dataset should be passed")
        if len(set(map(_length, self._parts))) > 1:
            raise ValueError("Size mismatch between datasets")

    def __getitem__(self, index: Any) -> Any:
        return self._row([dataset[index] for dataset in self._parts])

    def __getitems__(self, indices: Sequence[int]) -> Sequence[Any]:
        if has_own_items(self, StackDataset):
            return [self[index] for index in indices]
        columns = [items(dataset, indices) for dataset in self._parts]
        return [self._row(row) for row in zip(*columns, strict=True)]

    def _row(self, values: Iterable[Any]) -> Any:
        return dict(zip(self._names, values, strict=True)) if self._names else tuple(values)

    def __len__(self) -> int:
        return _length(self._parts[0])


class ChainDataset(IterableDataset[T_co]):
    """The items of several iterable datasets, one dataset after another."""

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[T_co]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise AssertionError("ChainDataset only supports IterableDataset")
            yield from dataset

    def __len__(self) -> int:
        return sum(map(_length, self.datasets))


def random_split(
    dataset: Dataset[T_co],
    lengths: Sequence[int | float],
    generator: Generator | None = None,
) -> list[Subset[T_co]]:
    """Split ``dataset`` at random into disjoint subsets of the given lengths or fractions.

    Fractions that sum to 1 become ``floor(fraction * len(dataset))`` items each; of the items that
    are left, one each goes to the first subsets.

    >>> from gpunn import arange
    >>> [len(part) for part in random_split(TensorDataset(arange(10)), [0.5, 0.25, 0.25])]
    [6, 2, 2]
    """
    count = _length(dataset)
    sizes = _split_sizes(lengths, count)
    if sum(sizes) != count or min(sizes) < 0:
        raise ValueError(
            "Sum of input lengths does not equal the length of the input dataset! "
            f"(received lengths {list(lengths)} for {count} items)"
        )
    order = draw_permutation(count, generator)
    ends = itertools.accumulate(sizes)
    return [Subset(dataset, order[end - size : end]) for end, size in zip(ends, sizes, strict=True)]


def _split_sizes(lengths: Sequence[int | float], count: int) -> list[Any]:
    if not (math.isclose(sum(lengths), 1) and sum(lengths) <= 1):
        return list(lengths)
    for i, fraction in enumerate(lengths):
        if not 0 <= fraction <= 1:
            raise ValueError(f"Fraction at index {i} is not between 0 and 1")
    sizes = [math.floor(count * fraction) for fraction in lengths]
    for i in range(count - sum(sizes)):
        sizes[i % len(sizes)] += 1
    for i, size in enumerate(sizes):
        if size == 0:
            warnings.warn(
                f"Length of split at index {i} is 0. This might result in an empty dataset.",
                stacklevel=3,
            )
    return sizes


def items(dataset: Dataset[T_co], indices: Sequence[Any]) -> Sequence[T_co]:
    """Return the items at ``indices``, by ``__getitems__`` where the dataset has it."""
    getitems = getattr(dataset, "__getitems__", None)
    return getitems(indices) if getitems else [dataset[index] for index in indices]


def has_own_items(dataset: object, base: Any) -> bool:
    """Say whether a subclass of ``base`` has its own ``__getitem__``, as batches must respect."""
    return type(dataset).__getitem__ is not base.__getitem__  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def whole_numbers(indices: Sequence[Any]) -> list[int] | None:
    """Return ``indices`` as a list of ints, or None if one of them is something else."""
    try:
        return [operator.index(index) for index in indices]
    except TypeError:
        return None


def _length(dataset: Any) -> int:
    return len(dataset)
