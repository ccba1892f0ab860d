"""Collate functions: how the items of a batch become one batch."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any, cast

import numpy

from gpunn.creation import as_tensor, tensor
from gpunn.data.dataset import Gathered
from gpunn.dtype import float64
from gpunn.ops.joining import stack
from gpunn.tensor import Tensor

_NO_NUMBERS = "SUO"  # the kinds of arrays of strings and objects


def default_collate(batch: Sequence[Any]) -> Any:
    """Make one batch of a sequence of items, with a new first dimension.

    Tensors and NumPy arrays are stacked; Python floats become a float64 tensor, ints an int64 one,
    NumPy numbers one of their own dtype; strings and bytes stay as they are; mappings, sequences
    and named tuples are collated by field (a tuple gives a list).

    >>> default_collate([(1, "a"), (2, "b")])
    [tensor([1, 2]), ('a', 'b')]
    """
    if isinstance(batch, Gathered):
        return batch.collated()
    first: Any = batch[0]
    kind = cast("type[Any]", type(first))
    if issubclass(kind, Tensor):
        return stack(list(batch), 0)
    if issubclass(kind, str | bytes):
        return batch
    if issubclass(kind, numpy.ndarray | numpy.generic):
        if first.dtype.kind in _NO_NUMBERS:
            raise _refusal(first.dtype)
        if issubclass(kind, numpy.generic):
            return tensor(numpy.array(batch))
        return stack([as_tensor(item) for item in batch], 0)
    if issubclass(kind, float):
        return tensor(batch, dtype=float64)
    if issubclass(kind, int):
        return tensor(batch)
    if issubclass(kind, Mapping):
        fields = {key: default_collate([item[key] for item in batch]) for key in first}
        return rebuilt(first, fields)
    if issubclass(kind, Sequence):
        if any(len(item) != len(first) for item in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        return rebuilt(first, [default_collate(field) for field in zip(*batch, strict=True)])
    raise _refusal(kind)


def default_convert(data: Any) -> Any:
    """Turn the NumPy arrays and numbers in ``data`` into tensors; leave the rest as it is.

    What `DataLoader` does with each item where batching is off.
    """
    kind = cast("type[Any]", type(data))
    if issubclass(kind, Tensor | str | bytes):
        return data
    if issubclass(kind, numpy.ndarray | numpy.generic):
        return data if data.dtype.kind in _NO_NUMBERS else as_tensor(data)
    if issubclass(kind, Mapping):
        return rebuilt(data, {key: default_convert(data[key]) for key in data})
    if issubclass(kind, Sequence):
        return rebuilt(data, [default_convert(value) for value in data])
    return data


def rebuilt(original: Any, values: Any) -> Any:
    """Return ``values`` in a container like ``original``, or plain where it can't be built anew.

    A mutable container is copied and filled, since it may carry more than its elements.
    """
    kind = cast("type[Any]", type(original))
    if issubclass(kind, tuple):
        return original._make(values) if hasattr(original, "_fields") else values
    try:
        if issubclass(kind, MutableMapping):
            clone: Any = copy.copy(original)
            clone.update(values)
            return clone
        if issubclass(kind, MutableSequence):
            clone = copy.copy(original)
            for i, value in enumerate(values):
                clone[i] = value
            return clone
        return kind(values)
    except TypeError:
        return values


def _refusal(kind: Any) -> TypeError:
    return TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {kind}"
    )
