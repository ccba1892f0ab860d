"""DataLoader: batches of a dataset in a sampler's order, made here or in worker processes."""

from __future__ import annotations

import itertools
import multiprocessing
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.context import BaseContext
from typing import Any, Generic, TypeVar

from gpunn import cuda
from gpunn.data.collate import default_collate, default_convert
from gpunn.data.dataset import Dataset, IterableDataset
from gpunn.data.fetch import End, make_fetch
from gpunn.data.pinning import pinned
from gpunn.data.pool import WorkerPool
from gpunn.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    draw_seed,
)
from gpunn.data.worker import Job, WorkerError
from gpunn.random import Generator

T_co = TypeVar("T_co", covariant=True)

_FIXED = frozenset(
    {"batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"}
)


class DataLoader(Generic[T_co]):
    """Iterates over the batches of ``dataset``; each ``iter`` of it is one epoch.

    The arguments::

        dataset             a Dataset (__getitem__, __len__) or an IterableDataset
        batch_size          items per batch; None: the items themselves, unbatched
        shuffle             a new random order each epoch
        sampler             the order, in place of shuffle: any iterable of indices
        batch_sampler       order and batches in one: an iterable of lists of indices
        num_workers         how many processes make the batches; 0: this one
        collate_fn          makes a batch of a list of items; default_collate unless given
        pin_memory          give batches in page-locked memory, for .to("cuda", non_blocking=True)
        drop_last           leave out a last batch that is shorter than the others
        timeout             seconds to wait for a worker's batch; 0: without end
        worker_init_fn      called in each worker with its number, once, after seeding
        multiprocessing_context  "fork", "spawn", "forkserver" or a context; else Python's own
        generator           where randomness comes from; the default generator unless given
        prefetch_factor     batches under way per worker; 2 unless given
        persistent_workers  keep the processes from epoch to epoch

    Batches come in the sampler's order, whatever the number of workers.

    An epoch takes a base seed from ``generator`` when it begins, and its order after that. Then
    worker ``i`` seeds gpunn's default generator, ``random`` and ``numpy.random`` with
    ``base_seed + i``. So the state of the generator at the start of an epoch determines the whole
    epoch. To resume in the middle of one, keep that state and the number of batches done, and let
    the loader have a generator of its own, from which nothing else draws:

    >>> import itertools
    >>> from gpunn import Generator, arange
    >>> from gpunn.data import TensorDataset
    >>> dataset = TensorDataset(arange(6))
    >>> loader = DataLoader(dataset, 2, shuffle=True, generator=Generator().manual_seed(0))
    >>> epoch_start, done = loader.generator.get_state(), 2
    >>> whole_epoch = list(loader)
    >>> _ = loader.generator.set_state(epoch_start)
    >>> rest = list(itertools.islice(loader, done, None))
    >>> (rest[0][0] == whole_epoch[2][0]).all()
    tensor(True)

    Over a `TensorDataset`, a `Subset` of one, or the digits of `gpunn.data.datasets`, the default
    collate function makes each batch by one indexing operation per tensor.

    Workers must leave CUDA alone: give them tensors on the CPU, and move the batches. An error in a
    worker is raised here with the worker's traceback in its message; a worker that dies raises
    RuntimeError. Where processes are spawned, as on Windows and macOS, the dataset and the
    functions must be picklable, and the script guarded by ``if __name__ == "__main__":``.
    """

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: str | BaseContext | None = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        iterable = isinstance(dataset, IterableDataset)
        if iterable:
            _check_iterable(shuffle, sampler, batch_sampler)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, "
                    "sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with "
                "drop_last"
            )

        if sampler is None:
            if iterable:
                sampler = _Endless()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)  # pyright: ignore[reportArgumentType]
            else:
                sampler = SequentialSampler(dataset)  # pyright: ignore[reportArgumentType]
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)

        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn or (
            default_convert if batch_sampler is None else default_collate
        )
        self.pin_memory = pin_memory
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = _context(multiprocessing_context, num_workers)
        self.generator = generator
        self.prefetch_factor = prefetch_factor or (2 if num_workers else None)
        self.persistent_workers = persistent_workers
        self._pool: WorkerPool | None = None  # the workers that persist
        self._promised: int | None = None  # the batches of an iterable, if anybody has asked
        self._initialised = True

    def __setattr__(self, name: str, value: object) -> None:
        if name in _FIXED and hasattr(self, "_initialised"):
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pool": None}  # processes stay where they are

    def __iter__(self) -> Iterator[Any]:
        return _WorkerIterator(self) if self.num_workers else _LocalIterator(self)

    def __len__(self) -> int:
        """The number of batches. TypeError where the sampler or iterable dataset has no length."""
        if not isinstance(self.dataset, IterableDataset):
            return len(self._index_sampler)
        count = len(self.dataset)  # pyright: ignore[reportArgumentType]
        if self.batch_size is not None:
            count = count // self.batch_size if self.drop_last else -(-count // self.batch_size)
        self._promised = count
        return count

    @property
    def _index_sampler(self) -> Any:
        """What an epoch iterates over: ``batch_sampler``, or ``sampler`` where there is none."""
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def _start_workers(self) -> WorkerPool:
        """Return the workers that persist, or new ones."""
        if self._pool is not None and not self._pool.closed:
            return self._pool
        job = Job(
            self.dataset,
            self.collate_fn,
            self.batch_sampler is not None,
            self.drop_last,
            self.worker_init_fn,
            self.num_workers,
        )
        context = self.multiprocessing_context or multiprocessing.get_context()
        pool = WorkerPool(job, context, self.timeout)
        if self.persistent_workers:
            self._pool = pool
        return pool

    def _check_promise(self, yielded: int) -> None:
        """Warn where an iterable dataset has given more batches than its length promised."""
        if self._promised is None:
            return
        # Each worker may end with a batch that is not full.
        promised = self._promised + max(self.num_workers - 1, 0)
        if yielded == promised + 1:
            warnings.warn(
                f"Length of IterableDataset {self.dataset} was reported to be "
                f"{len(self.dataset)} (when accessing len(dataloader)), but {yielded} batches "  # pyright: ignore[reportArgumentType]
                f"have been fetched where {self._promised} were expected. With num_workers > 0, "
                "__iter__ has to ask get_worker_info() for its part of the items, or each worker "
                "yields all of them.",
                stacklevel=3,
            )


class _Iterator:
    """One epoch of a `DataLoader`; a subclass knows where its batches are made."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._loader = loader
        # Drawn without workers too, so that their number doesn't change the order.
        self._base_seed = draw_seed(loader.generator)
        self._indices = iter(loader._index_sampler)
        self._yielded = 0
        self._pin = loader.pin_memory and cuda.is_available()
        if loader.pin_memory and not self._pin:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device "
                "pinned memory won't be used.",
                stacklevel=4,
            )

    def __iter__(self) -> Iterator[Any]:
        return self

    def __len__(self) -> int:
        return len(self._loader)

    def __next__(self) -> Any:
        batch = self._next_batch()
        self._yielded += 1
        self._loader._check_promise(self._yielded)
        return pinned(batch) if self._pin else batch

    def _next_batch(self) -> Any:
        raise NotImplementedError


class _LocalIterator(_Iterator):
    """Batches made in this process, each when it is asked for."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        batched = loader.batch_sampler is not None
        self._fetch = make_fetch(loader.dataset, loader.collate_fn, batched, loader.drop_last)

    def _next_batch(self) -> Any:
        batch = self._fetch(next(self._indices))
        if isinstance(batch, End):
            raise StopIteration
        return batch


class _WorkerIterator(_Iterator):
    """Batches made by workers in turn, asked for ``prefetch_factor * num_workers`` ahead."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        self._pool = loader._start_workers()
        self._epoch = self._pool.begin(self._base_seed)
        self._turns = deque(range(loader.num_workers))
        self._asked: deque[int] = deque()  # the workers that owe a batch, first the next one's
        for _ in range((loader.prefetch_factor or 1) * loader.num_workers):
            self._ask()

    def _ask(self) -> None:
        if not self._turns:
            return
        try:
            task = next(self._indices)
        except StopIteration:
            return
        self._pool.ask(self._turns[0], task)
        self._asked.append(self._turns[0])
        self._turns.rotate(-1)

    def _next_batch(self) -> Any:
        if self._pool.epoch != self._epoch:
            raise RuntimeError(
                "a newer iterator of this DataLoader has taken its persistent workers"
            )
        while self._asked:
            worker = self._asked[0]
            answer = self._pool.hear(worker)
            if isinstance(answer, End):  # what else this worker owes won't come
                self._turns.remove(worker)
                self._asked = deque(other for other in self._asked if other != worker)
                self._ask()
                continue
            self._asked.popleft()
            self._ask()
            if isinstance(answer, WorkerError):
                answer.reraise()
            return answer
        if not self._loader.persistent_workers:
            self._pool.close()
        raise StopIteration


class _Endless(Sampler[None]):
    """What an iterable dataset is asked with: there is no index."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


def _check_workers(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool
) -> None:
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable "
            "multiprocessing."
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if prefetch_factor is not None and num_workers == 0:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing."
            "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
        )
    if prefetch_factor is not None and prefetch_factor < 1:
        raise ValueError(
            f"prefetch_factor option should be non-negative, and at least 1 for a batch to be "
            f"asked for, but got {prefetch_factor}"
        )
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_iterable(shuffle: bool | None, sampler: object, batch_sampler: object) -> None:
    given = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"DataLoader with IterableDataset: expected unspecified {name} option, but got "
                f"{name}={value}"
            )


def _context(choice: str | BaseContext | None, num_workers: int) -> BaseContext | None:
    if choice is None:
        return None
    if num_workers == 0:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading "
            "(num_workers > 0), but got num_workers=0"
        )
    if isinstance(choice, str):
        methods = multiprocessing.get_all_start_methods()
        if choice not in methods:
            raise ValueError(
                "multiprocessing_context option should specify a valid start method in "
                f"{methods!r}, but got multiprocessing_context={choice!r}"
            )
        return multiprocessing.get_context(choice)
    if not isinstance(choice, BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string "
            f"specifying the start method, but got multiprocessing_context={choice}"
        )
    return choice
