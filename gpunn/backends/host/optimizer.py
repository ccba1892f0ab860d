"""Update rules on the CPU: large weights in pieces by several threads, small ones side by side."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from gpunn.backends.host.threads import elementwise, share
from gpunn.backends.reference.optimizer import Arrays, OptimizerPrimitives, in_turn

_PASSES = 12  # of a rule over its arrays, about
_SMALL = 4096  # elements that are copied sooner than a dozen calls are made
_JOINED = 32768  # of them side by side: the arrays stay in the cache


class HostOptimizer(OptimizerPrimitives):
    """The reference on pieces that stay in the cache, neither long nor short."""

    def _apply(
        self, update: Callable[..., None], lists: Sequence[Arrays | None], rule: dict[str, Any]
    ) -> None:
        small: list[tuple[Any, ...]] = []
        size = 0
        for arrays in in_turn(lists):
            w = arrays[0]
            if w.size > _SMALL:
                _by_pieces(update, arrays, rule)
                continue
            if small and (w.dtype != small[0][0].dtype or size + w.size > _JOINED):
                _side_by_side(update, small, rule)
                small, size = [], 0
            small.append(arrays)
            size += w.size
        if small:
            _side_by_side(update, small, rule)


def _side_by_side(
    update: Callable[..., None], group: list[tuple[Any, ...]], rule: dict[str, Any]
) -> None:
    """Copy small arrays together, update them as one, and copy back what has changed."""
    if len(group) == 1:
        update(*group[0], **rule)
        return
    columns = list(zip(*group, strict=True))
    joined = [
        None if some[0] is None else numpy.concatenate([a.reshape(-1) for a in some])
        for some in columns
    ]
    update(*joined, **rule)
    for i, (some, flat) in enumerate(zip(columns, joined, strict=True)):
        if flat is None or i == 1:  # gradients are only read
            continue
        start = 0
        for a in some:
            a[...] = flat[start : start + a.size].reshape(a.shape)
            start += a.size


def _by_pieces(update: Callable[..., None], arrays: tuple[Any, ...], rule: dict[str, Any]) -> None:
    size = arrays[0].size
    contiguous = all(a is None or a.flags.c_contiguous for a in arrays)
    if share(size, 1, _PASSES) >= size or not contiguous:
        update(*arrays, **rule)
    else:
        elementwise(functools.partial(update, **rule), _PASSES, *arrays)
