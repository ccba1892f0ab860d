"""Samplers: in which order the items of a dataset are visited, and in which batches.

All randomness is drawn from a `gpunn.Generator`: the same state gives the same order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy

from gpunn.creation import as_tensor
from gpunn.dtype import float64
from gpunn.random import Generator
from gpunn.sampling import rand, randint, randperm
from gpunn.tensor import Tensor

T_co = TypeVar("T_co", covariant=True)

_DRAWN_AT_ONCE = 1024


class Sampler(Generic[T_co]):
    """Indices, or lists of indices, to visit: a subclass defines ``__iter__``.

    It should define ``__len__`` too; the length of a `DataLoader` comes from there.
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError("Subclasses of Sampler should implement __iter__.")


class SequentialSampler(Sampler[int]):
    """The indices ``0, 1, ..., len(data_source) - 1``."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """Random indices: a new permutation each epoch, or independent draws with ``replacement``.

    ``num_samples`` (default: the length of ``data_source``) says how many; without replacement,
    more than the length takes further permutations. Without a ``generator`` each epoch gets one
    of its own, seeded by one draw from the default generator.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise TypeError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        _check_positive("num_samples", self.num_samples)

    @property
    def num_samples(self) -> int:
        """How many indices an epoch has."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        size, count = len(self.data_source), self.num_samples
        generator = self.generator
        if generator is None:
            generator = Generator().manual_seed(draw_seed(None))
        while count > 0:
            if self.replacement:
                drawn = randint(size, (min(count, _DRAWN_AT_ONCE),), generator=generator).tolist()
            else:
                drawn = draw_permutation(size, generator)[:count]
            yield from drawn
            count -= len(drawn)

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in a new random order each epoch."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in draw_permutation(len(self.indices), self.generator):
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """``num_samples`` indices ``i`` drawn with probability ``weights[i] / sum(weights)``.

    Without ``replacement`` an index that was drawn is out, and the others share its weight.
    """

    def __init__(
        self,
        weights: Sequence[float] | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        _check_positive("num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise ValueError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        self.weights = as_tensor(weights, dtype=float64)
        if self.weights.dim() != 1:
            raise ValueError(
                "weights should be a 1d sequence but given weights have shape "
                f"{tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        weights = self.weights.numpy()
        if not (numpy.isfinite(weights) & (weights >= 0)).all():
            raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
        if not weights.any():
            raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
        drawn = self._with_replacement if self.replacement else self._without_replacement
        yield from drawn(weights).tolist()

    def _with_replacement(self, weights: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
        ends: numpy.ndarray[Any, Any] = weights.cumsum()
        points: Any = self._uniform(self.num_samples) * ends[-1]
        return numpy.searchsorted(ends, points, side="right")  # pyright: ignore[reportUnknownVariableType]

    def _without_replacement(self, weights: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
        """Exponential clocks of rate ``weights``: the order in which they ring is such a sample.

        P. Efraimidis, P. Spirakis: Weighted random sampling with a reservoir, 2006.
        """
        possible = numpy.count_nonzero(weights)
        if self.num_samples > possible:
            raise RuntimeError(
                "cannot sample n_sample > prob_dist.size(-1) samples without replacement "
                f"(asked for {self.num_samples}, {possible} of {len(weights)} weights are not zero)"
            )
        ring: numpy.ndarray[Any, Any] = numpy.full(len(weights), numpy.inf)
        clocks = -numpy.log1p(-self._uniform(len(weights)))
        numpy.divide(clocks, weights, out=ring, where=weights > 0)
        return numpy.argsort(ring, kind="stable")[: self.num_samples]

    def _uniform(self, count: int) -> numpy.ndarray[Any, Any]:
        return rand(count, dtype=float64, generator=self.generator).numpy()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """The indices of ``sampler`` in lists of ``batch_size``; the last may be shorter or dropped.

    >>> list(BatchSampler(SequentialSampler(range(5)), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self, sampler: Sampler[int] | Iterable[int], batch_size: int, drop_last: bool
    ) -> None:
        _check_positive("batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # pyright: ignore[reportArgumentType]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)


def draw_permutation(count: int, generator: Generator | None) -> list[int]:
    """Return ``0, ..., count - 1`` in random order."""
    return randperm(count, generator=generator).tolist()


def draw_seed(generator: Generator | None) -> int:
    """Return a random seed: one draw from ``generator``, or from the default one."""
    return int(randint(2**63 - 1, (), generator=generator).item())


def _check_positive(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name} should be a positive integer value, but got {name}={value}")
