"""Casts that operations imply: bfloat16 is computed in float32; what autocast is set to."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array, Variable, wrap
from gpunn.dtype import FLOATING, bfloat16, dtype, float16, float32, in_use

if TYPE_CHECKING:
    from gpunn.autograd.function import Function


class _Autocast(threading.local):
    """The settings of this thread, per type of device; ``cache`` holds weights that were cast."""

    def __init__(self) -> None:
        self.enabled: dict[str, dtype] = {}  # the dtype of the devices on which it is on
        self.dtypes: dict[str, dtype] = {"cpu": bfloat16, "cuda": float16}
        self.caching = True
        self.depth = 0
        self.cache: dict[tuple[int, dtype], tuple[Variable, int, Any]] = {}

    def set(self, where: str, enabled: bool, kind: dtype) -> None:
        """Switch it on or off for one type of device, with ``kind`` as its dtype."""
        self.dtypes[where] = kind
        self.switch({k: v for k, v in self.enabled.items() if k != where}, enabled, where)

    def switch(self, others: dict[str, dtype], enabled: bool = False, where: str = "") -> None:
        """Have it on for ``others``, and for ``where`` if ``enabled``."""
        before = bool(self.enabled)
        self.enabled = {**others, where: self.dtypes[where]} if enabled else others
        if self.enabled and not before:
            in_use.append("autocast")
        elif before and not self.enabled:
            in_use.remove("autocast")


autocast_state = _Autocast()


def widened(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """``args`` with bfloat16 tensors as float32; ``args`` itself if there are none."""
    found = False
    wide: list[Any] = []
    for a in args:
        if isinstance(a, Variable) and a._data.dtype.kind == "V":
            a, found = wrap(a._data.astype(float32.numpy)), True
        wide.append(a)
    return tuple(wide) if found else args


def rounded(
    ctx: Function, results: tuple[Any, ...], args: tuple[Any, ...], wide: tuple[Any, ...]
) -> tuple[Any, ...]:
    """What forward made of ``wide``, as it would be of ``args``; what it saved likewise."""
    outputs = tuple([_round(y) for y in results]) if _stays_bfloat16(args) else results
    before, after = (*wide, *results), (*args, *outputs)
    own = {id(b): a for b, a in zip(before, after, strict=True) if b is not a}
    if ctx._saved:
        ctx._saved = tuple([own.get(id(s), s) for s in ctx._saved])
    if ctx._inert:
        ctx._inert = tuple([own.get(id(s), s) for s in ctx._inert])
    return outputs


def _stays_bfloat16(args: tuple[Any, ...]) -> bool:
    """Whether promotion ends in bfloat16: of the tensors with dimensions, else of the others."""
    floats = [a._data for a in args if isinstance(a, Variable) and a._data.dtype.kind in FLOATING]
    deciding = [x for x in floats if x.ndim] or floats
    return all(x.dtype.kind == "V" for x in deciding)


def _round(result: Any) -> Array:
    data = result._data if isinstance(result, Variable) else result
    if data is not None and data.dtype == float32.numpy:
        return data.astype(bfloat16.numpy)
    return result
