"""Casts around a Function's forward: bfloat16 is computed in float32 and rounded once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array, Variable, wrap
from gpunn.dtype import FLOATING, bfloat16, float32

if TYPE_CHECKING:
    from gpunn.autograd.function import Function


def widened(args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """``args`` with bfloat16 tensors as float32; None if there are none."""
    found = False
    wide: list[Any] = []
    for a in args:
        if isinstance(a, Variable) and a._data.dtype.kind == "V":
            a, found = wrap(a._data.astype(float32.numpy)), True
        wide.append(a)
    return tuple(wide) if found else None


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
