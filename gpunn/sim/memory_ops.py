"""Loads, stores, atomics and fences."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.sim.access import OFFSET, access, by_window, load_rows, space_of, store_rows, strong
from gpunn.sim.machine import Batch
from gpunn.sim.operands import Reader, Writer, address, items, reader, unsupported, writer
from gpunn.sim.program import Step
from gpunn.sim.syntax import SIZES, Instruction
from gpunn.sim.values import PLAIN, Array, from_bfloat, to_bfloat


def _element_type(i: Instruction) -> str:
    return next(p for p in reversed(i.opcode) if p in SIZES)


def load(i: Instruction) -> Step:
    """``ld``: from one address, one to eight elements."""
    type, registers = _element_type(i), items(i.operands[0])
    at, named = address(i.operands[1])
    size, space = SIZES[type], space_of(i, named)
    writers = [writer(r, type) for r in registers]
    dtype, total = PLAIN[type], SIZES[type] * len(registers)
    acquires = strong(i)

    def run(b: Batch) -> None:
        where = at(b)
        if acquires and b.check_races and space in ("global", "generic"):
            b.device.races.synchronise(b.blocks())
        for start in range(0, total, 16):
            part = min(total - start, 16)
            rows = load_rows(b, i, space, where + start if start else where, part)
            if part == size:
                writers[start // size](b, rows.reshape(-1).view(dtype))
                continue
            columns = rows.view(dtype)
            for q in range(part // size):
                column = np.ascontiguousarray(columns[:, q])
                writers[start // size + q](b, column)

    return Step(i, run)


def store(i: Instruction) -> Step:
    """``st``: the inverse of ``ld``."""
    type, registers = _element_type(i), items(i.operands[1])
    at, named = address(i.operands[0])
    size, space = SIZES[type], space_of(i, named)
    readers = [reader(r, f"b{8 * SIZES[type]}") for r in registers]
    total, releases = size * len(registers), strong(i)

    def run(b: Batch) -> None:
        where = at(b)
        _release(b, i)
        for start in range(0, total, 16):
            part = min(total - start, 16)
            mine = readers[start // size : (start + part) // size]
            values = np.empty((b.count, len(mine)), f"u{size}")
            for q, read in enumerate(mine):
                values[:, q] = read(b)
            rows = values.view(f"u{min(part, 8)}")
            store_rows(b, i, space, where + start if start else where, part, rows)
        if releases and b.check_races and space in ("global", "generic"):
            b.device.races.synchronise(b.blocks())

    return Step(i, run)


def _release(b: Batch, i: Instruction) -> None:
    """A release is a fence and an access."""
    if "release" in i.opcode or "acq_rel" in i.opcode:
        b.device.races.fence(b.blocks())


# Atomics.

_FOLD: dict[str, Any] = {
    "add": np.add,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}


def _exchange(name: str, old: Array, x: Array, y: Array) -> Array:
    """What an atomic that is not a fold leaves in memory."""
    if name == "exch":
        return x
    if name == "cas":
        return np.where(old == x, y, old)
    one, zero = old.dtype.type(1), old.dtype.type(0)
    if name == "inc":
        return np.where(old >= x, zero, old + one)
    return np.where((old == zero) | (old > x), x, old - one)


def _apply(name: str, old: Array, x: Array, y: Array, type: str) -> Array:
    if name not in _FOLD:
        return _exchange(name, old, x, y)
    if type in ("bf16", "bf16x2"):
        a, b = (from_bfloat(v.view("u2")) for v in (old, x))
        return to_bfloat(_FOLD[name](a, b)).view(old.dtype)
    if type in ("f16", "f16x2"):
        return _FOLD[name](old.view("f2"), x.view("f2")).view(old.dtype)
    dtype = PLAIN[type]
    return _FOLD[name](old.view(dtype), x.view(dtype)).view(old.dtype)


def atomic(i: Instruction) -> Step:
    """``atom`` and ``red``: one lane after the other where they meet at an address."""
    type, returns = _element_type(i), i.opcode[0] == "atom"
    name = next((p for p in i.opcode[1:] if p in _FOLD or p in ("exch", "cas", "inc", "dec")), "")
    if not name or SIZES[type] not in (2, 4, 8) or any(p in ("v2", "v4") for p in i.opcode):
        raise unsupported(i)
    operands = list(i.operands)
    result: Writer | None = writer(operands.pop(0), f"b{8 * SIZES[type]}") if returns else None
    at, named = address(operands[0])
    space, size = space_of(i, named), SIZES[type]
    readers = [reader(o, f"b{8 * size}") for o in operands[1:]]

    def run(b: Batch) -> None:
        where = at(b)
        _release(b, i)
        parts = by_window(b, where) if space == "generic" else [(space, None)]
        out = np.zeros(b.count, f"u{size}")
        for part, chosen in parts:
            lanes = b.lanes if chosen is None else b.lanes[chosen]
            with b.only(lanes):
                plain = where if chosen is None or len(where) == 1 else where[chosen]
                old = _atomic(b, i, part, plain & OFFSET if part != "global" else plain, readers)
            if chosen is None:
                out = old
            else:
                out[chosen] = old
        if result is not None:
            result(b, out)

    def _atomic(b: Batch, i: Instruction, part: str, where: Array, readers: list[Reader]) -> Array:
        memory, element = access(b, i, part, where, size, write=True, atomic=True)
        element = b.full(element)
        x = np.ascontiguousarray(b.full(readers[0](b)))
        y = np.ascontiguousarray(b.full(readers[1](b))) if len(readers) > 1 else x
        data = memory.view(f"u{size}")
        old = data.take(element)
        order = np.argsort(element, kind="stable")
        first = np.r_[True, np.diff(element[order]) != 0]
        if first.all():
            data[element] = _apply(name, old, x, y, type)
        elif not returns and name in _FOLD and type in PLAIN and type != "f16":
            _FOLD[name].at(memory.view(PLAIN[type]), element, x.view(PLAIN[type]))
        else:
            # Lanes that meet take their turns, the n-th of each address together.
            starts = np.flatnonzero(first)
            rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
            for turn in range(int(rank.max()) + 1):
                lane = order[rank == turn]
                old[lane] = data.take(element[lane])
                data[element[lane]] = _apply(name, old[lane], x[lane], y[lane], type)
        if part == "global" and b.check_races:
            b.device.races.synchronise(b.blocks())
        return old

    return Step(i, run)


def fence(i: Instruction) -> Step:
    """``membar`` and ``fence``: what the block wrote is out, for `GlobalRaces`."""
    if "cta" in i.opcode:
        return Step(i)
    return Step(i, lambda b: b.device.races.fence(b.blocks()))
