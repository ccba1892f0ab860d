"""Update rules on the CPU: large weights in pieces that stay in the cache, by several threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpunn.backends.host.threads import tiled
from gpunn.backends.reference.optimizer import OptimizerPrimitives

_PIECE = 65536  # elements: a rule goes over four arrays a dozen times


class HostOptimizer(OptimizerPrimitives):
    """The reference, piece by piece."""

    def sgd_step(self, w: Any, dw: Any, buffer: Any | None, **rule: Any) -> None:
        _by_pieces(super().sgd_step, (w, dw, buffer), rule)

    def adam_step(self, w: Any, dw: Any, m: Any, v: Any, v_max: Any | None, **rule: Any) -> None:
        _by_pieces(super().adam_step, (w, dw, m, v, v_max), rule)

    def rmsprop_step(
        self, w: Any, dw: Any, v: Any, buffer: Any | None, mean: Any | None, **rule: Any
    ) -> None:
        _by_pieces(super().rmsprop_step, (w, dw, v, buffer, mean), rule)


def _by_pieces(step: Callable[..., None], arrays: tuple[Any, ...], rule: dict[str, Any]) -> None:
    size = arrays[0].size
    if size <= _PIECE or not all(a is None or a.flags.c_contiguous for a in arrays):
        step(*arrays, **rule)
        return
    flat = [None if a is None else a.reshape(-1) for a in arrays]

    def work(start: int, stop: int) -> None:
        step(*[None if a is None else a[start:stop] for a in flat], **rule)

    tiled(work, size, _PIECE)
