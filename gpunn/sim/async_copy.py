"""``cp.async``: copies from global to shared memory that arrive when they are waited for."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.sim.access import access, load_rows, shared_race
from gpunn.sim.machine import Batch
from gpunn.sim.memory import PENDING
from gpunn.sim.operands import address, reader, unsupported
from gpunn.sim.program import Step
from gpunn.sim.syntax import Immediate, Instruction
from gpunn.sim.values import Array


def copy_async(i: Instruction) -> Step:
    """``cp.async``: the bytes arrive at the wait; until then they are nobody's to touch."""
    if i.opcode[2] in ("commit_group", "wait_group", "wait_all"):
        return _copy_control(i)
    if i.opcode[2] not in ("ca", "cg"):
        raise unsupported(i)
    to, _ = address(i.operands[0])
    source, _ = address(i.operands[1])
    if not isinstance(i.operands[2], Immediate):
        raise unsupported(i)
    size = i.operands[2].bits("u32")
    rest = i.operands[3:4]
    given = reader(rest[0], "u32") if rest else None

    def run(b: Batch) -> None:
        target, start = b.full(to(b)), b.full(source(b))
        length = np.full(b.count, size) if given is None else b.full(given(b)).astype("i8")
        memory, element = access(b, i, "shared", target, size, write=True)
        data = np.zeros((b.count, size), "u1")
        moved = np.flatnonzero(length > 0)
        if len(moved):
            with b.only(b.lanes[moved]):
                rows = _partial(b, i, start[moved], length[moved], size)
            data[moved] = rows
        data[np.arange(size) >= length[:, None]] = 0
        if b.check:
            memory.state.reshape(-1, size)[element] = PENDING
        b.copies.append((i, b.lanes, element, data, b.group[b.lanes]))

    return Step(i, run)


def _partial(b: Batch, i: Instruction, start: Array, length: Array, size: int) -> Array:
    """The source bytes; where fewer than ``size`` are wanted, only those are touched."""
    out = np.zeros((b.count, size), "u1")
    for n in np.unique(length):
        chosen = length == n
        with b.only(b.lanes[chosen]):
            width = next((w for w in (16, 8, 4, 2, 1) if n % w == 0), 1)
            for k in range(0, int(n), width):
                rows = load_rows(b, i, "global", start[chosen] + k, width)
                out[chosen, k : k + width] = rows.view("u1").reshape(-1, width)
    return out


def _copy_control(i: Instruction) -> Step:
    def commit(b: Batch) -> None:
        b.group[b.lanes] += 1

    if i.opcode[2] == "commit_group":
        return Step(i, commit)
    keep = None
    if i.opcode[2] == "wait_group":
        if not isinstance(i.operands[0], Immediate):
            raise unsupported(i)
        keep = i.operands[0].bits("u32")

    def wait(b: Batch) -> None:
        last = np.full(b.width, -1)
        last[b.lanes] = 1 << 40 if keep is None else b.group[b.lanes] - 1 - keep
        remaining: list[Any] = []
        for instruction, lanes, element, data, group in b.copies:
            done = group <= last[lanes]
            if done.any():
                with b.only(lanes[done]):
                    _arrive(b, instruction, element[done], data[done])
            if not done.all():
                left = ~done
                remaining.append((instruction, lanes[left], element[left], data[left], group[left]))
        b.copies = remaining

    return Step(i, wait)


def _arrive(b: Batch, i: Instruction, element: Array, data: Array) -> None:
    size = data.shape[1]
    b.shared.store(element, size, np.ascontiguousarray(data).view(f"u{min(size, 8)}"))
    if b.check_races:
        found = b.races.write(element * size, size, b.lanes, False, np.zeros(b.count, bool))
        if found is not None:
            shared_race(b, i, element * size - b.shared_base[b.lanes], found)
