"""The tensors of a batch in page-locked memory, from which copies to a CUDA device overlap work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from gpunn.data.collate import rebuilt
from gpunn.tensor import Tensor


def pinned(batch: Any) -> Any:
    """``batch`` with its tensors pinned, in mappings, sequences and named tuples too.

    An object with a method ``pin_memory`` is asked for it; what else there is stays as it is.
    """
    kind = cast("type[Any]", type(batch))
    if issubclass(kind, Tensor):
        return batch.pin_memory()
    if issubclass(kind, str | bytes):
        return batch
    if issubclass(kind, Mapping):
        return rebuilt(batch, {key: pinned(value) for key, value in batch.items()})
    if issubclass(kind, Sequence):
        return rebuilt(batch, [pinned(value) for value in batch])
    return batch.pin_memory() if hasattr(batch, "pin_memory") else batch
