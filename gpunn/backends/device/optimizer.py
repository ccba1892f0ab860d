"""Update rules by CUDA kernels: optim.cu, and the table that lets one launch reach all arrays."""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import cupy
import numpy

from gpunn.backends.device.capturing import capturing
from gpunn.backends.device.graphs import constant, rehearsing, renew, renewable
from gpunn.backends.launcher import Source, builds, ceil_div
from gpunn.backends.reference.optimizer import Arrays, OptimizerPrimitives, in_turn

_WIDTHS = {"float32": 4, "float64": 1, "float16": 4, "bfloat16": 4}  # doubles take registers
OPTIM = Source("optim.cu", *(builds(SCALAR=(s,), WIDTH=(w,)) for s, w in _WIDTHS.items()))
_THREADS, _CHUNK = 256, 4096  # as in optim.cu


class DeviceOptimizer(OptimizerPrimitives):
    """One launch for all arrays of a dtype; the reference for arrays that are not contiguous."""

    def sgd_step(self, ws: Arrays, dws: Arrays, buffers: Arrays | None, **rule: Any) -> None:
        numbers = (
            rule["lr"], rule["momentum"], 1 - rule["dampening"], rule["weight_decay"],
            rule["nesterov"], rule["maximize"], rule["first"], buffers is not None,
        )  # fmt: skip
        rest = _launch("sgd_step", (ws, dws, buffers), numbers)
        super().sgd_step(*rest, **rule)

    def adam_step(
        self, ws: Arrays, dws: Arrays, ms: Arrays, vs: Arrays, v_maxs: Arrays | None, **rule: Any
    ) -> None:
        lr, beta1, beta2, step = rule["lr"], rule["beta1"], rule["beta2"], rule["step"]
        decay, decoupled = rule["weight_decay"], rule["decoupled"]
        correction = math.sqrt(1 - beta2**step)  # of the root of v, moved to the numbers
        numbers = (
            lr * correction / (1 - beta1**step), beta2, 1 - beta1, 1 - beta2,
            rule["eps"] * correction, 0 if decoupled else decay,
            1 - lr * decay if decoupled else 1, rule["maximize"], v_maxs is not None,
        )  # fmt: skip
        rest = _launch("adam_step", (ws, dws, ms, vs, v_maxs), numbers)
        super().adam_step(*rest, **rule)

    def rmsprop_step(
        self,
        ws: Arrays,
        dws: Arrays,
        vs: Arrays,
        buffers: Arrays | None,
        means: Arrays | None,
        **rule: Any,
    ) -> None:
        numbers = (
            rule["lr"], rule["alpha"], 1 - rule["alpha"], rule["eps"], rule["weight_decay"],
            rule["momentum"], rule["maximize"], buffers is not None, means is not None,
        )  # fmt: skip
        rest = _launch("rmsprop_step", (ws, dws, vs, buffers, means), numbers)
        super().rmsprop_step(*rest, **rule)


def _launch(name: str, lists: Sequence[Arrays | None], numbers: tuple[float, ...]) -> list[Any]:
    """Step what the kernels cover; lists of the rest."""
    covered: dict[Any, list[tuple[Any, ...]]] = {}
    rest: list[tuple[Any, ...]] = []
    for arrays in in_turn(lists):
        w, dw, *state = arrays
        if _covered(w, dw, *state):
            if w.size:
                dw = cupy.ascontiguousarray(dw)
                covered.setdefault(w.dtype, []).append((w, dw, *state))
        else:
            rest.append(arrays)
    if rest and (capturing() or rehearsing()):
        raise RuntimeError(
            f"{name} cannot be captured for parameters that are not contiguous, or whose gradients "
            "have another dtype"
        )
    for dtype, group in covered.items():
        if rehearsing():  # the graph will launch it
            renew(numbers)
            continue
        table, live = _table(group), renewable(numbers)
        kernel = OPTIM(name, SCALAR=dtype, WIDTH=_WIDTHS[dtype.name])
        kernel((len(table.owners),), (_THREADS,), table.rows, table.owners, live, *numbers)
    columns = zip(*rest, strict=True) if rest else ([] for _ in lists)
    return [
        None if some is None else list(column) for some, column in zip(lists, columns, strict=True)
    ]


def _covered(w: Any, *others: Any) -> bool:
    dtype, shape = w.dtype, w.shape
    if dtype.name not in _WIDTHS or not w.flags.c_contiguous:
        return False
    return all(
        a is None or (a.dtype == dtype and a.shape == shape and (i == 0 or a.flags.c_contiguous))
        for i, a in enumerate(others)
    )


class _Table(NamedTuple):
    rows: Any  # a parameter's addresses, its size and its first block
    owners: Any  # each block's row


# What a table says depends on addresses and sizes alone, which come again from step to step: CuPy
# gives freed memory out again, so that even new gradients mostly lie where some lay before.
_tables: OrderedDict[Any, _Table] = OrderedDict()
_KEPT = 64


def _table(group: list[tuple[Any, ...]]) -> _Table:
    """The table of the arrays, on the current device; the last ones made are kept."""
    rows = tuple(
        (*(0 if a is None else a.data.ptr for a in arrays), arrays[0].size) for arrays in group
    )
    if capturing():
        return _made(rows)  # the graph keeps it
    key = cupy.cuda.runtime.getDevice(), cupy.cuda.get_current_stream().ptr, rows
    found = _tables.get(key)
    if found is None:
        found = _tables[key] = _made(rows)
        if len(_tables) > _KEPT:
            _tables.popitem(last=False)
    _tables.move_to_end(key)
    return found


def _made(rows: tuple[tuple[int, ...], ...]) -> _Table:
    blocks = [ceil_div(row[-1], _CHUNK) for row in rows]
    first = numpy.cumsum([0, *blocks])[:-1]
    table = numpy.concatenate([numpy.array(rows, "i8"), first[:, None]], 1)
    owners = numpy.repeat(numpy.arange(len(rows), dtype="i4"), blocks)
    return _Table(constant(table), constant(owners))
