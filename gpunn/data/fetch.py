"""How one batch is made: from the sampler's indices, or from the next items of an iterable."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from gpunn.data.collate import default_collate
from gpunn.data.dataset import Dataset, IterableDataset, items

Fetch = Callable[[Any], Any]


class End:
    """What a fetch returns in place of a batch where an iterable dataset has no more items."""


def make_fetch(
    dataset: Dataset[Any], collate_fn: Callable[[Any], Any], batched: bool, drop_last: bool
) -> Fetch:
    """Return the function from what the sampler yields to what the `DataLoader` yields.

    Every call of `make_fetch` begins an iterable dataset anew.
    """
    if isinstance(dataset, IterableDataset):
        fetch = _fetch_next(iter(dataset), collate_fn, batched, drop_last)
    elif not batched:
        fetch = _fetch_item(dataset, collate_fn)
    else:
        fetch = _fetch_batch(dataset, collate_fn)

    def guarded(index: Any) -> Any:
        try:
            return fetch(index)
        except StopIteration as error:  # would end the epoch without a word
            raise RuntimeError("the dataset or collate_fn raised StopIteration") from error

    return guarded


def _fetch_item(dataset: Dataset[Any], collate_fn: Callable[[Any], Any]) -> Fetch:
    return lambda index: collate_fn(dataset[index])


def _fetch_batch(dataset: Dataset[Any], collate_fn: Callable[[Any], Any]) -> Fetch:
    if collate_fn is default_collate:
        return lambda indices: default_collate(items(dataset, indices))
    # A function of the user's gets a list, whatever `__getitems__` returns.
    return lambda indices: collate_fn(list(items(dataset, indices)))


def _fetch_next(
    source: Iterator[Any], collate_fn: Callable[[Any], Any], batched: bool, drop_last: bool
) -> Fetch:
    def fetch(indices: Any) -> Any:
        count = len(indices) if batched else 1
        batch = list(itertools.islice(source, count))
        if not batch or (drop_last and len(batch) < count):
            return End()
        return collate_fn(batch if batched else batch[0])

    return fetch
