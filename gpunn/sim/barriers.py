"""Barriers: who waits at one, whether it is complete, and why it never will be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpunn.sim.program import Step
from gpunn.sim.sources import place
from gpunn.sim.syntax import Instruction
from gpunn.sim.values import Array

if TYPE_CHECKING:
    from gpunn.sim.machine import Batch

Waiting = tuple[int, Array, Step, Array | None]  # program counter, lanes, barrier, predicates


def release(b: Batch) -> None:
    """Nobody can run: let the barriers that are complete go, or say why none is."""
    pcs = np.full(b.width, -1)
    for pc, lanes, step, _ in b.waiting:
        if step.barrier is not None and not step.barrier.arrive:
            pcs[lanes] = pc
    if any(
        s.barrier is not None and (s.barrier.count or s.barrier.arrive) for _, _, s, _ in b.waiting
    ):
        _release_counted(b)
        return
    blocks = pcs.reshape(-1, b.per)
    here = blocks >= 0
    lowest = np.where(here, blocks, 1 << 30).min(1)
    mixed = here.any(1) & (lowest != blocks.max(1))
    if mixed.any():
        block = int(np.flatnonzero(mixed)[0])
        first, other = (
            b.program.steps[int(p)].instruction for p in (lowest[block], blocks[block].max())
        )
        raise b.fail(
            other,
            "barrier",
            "barrier in divergent code",
            np.flatnonzero(blocks[block] == blocks[block].max()) + block * b.per,
            f"other threads of the block wait at another barrier, {_place(first)}",
        )
    skipped: Array = here.any(axis=1, keepdims=True) & b.valid.reshape(-1, b.per) & ~here
    if skipped.any() and "barrier" not in b.exempt:
        block, t = (int(i) for i in np.argwhere(skipped)[0])
        raise b.fail(
            b.program.steps[int(lowest[block])].instruction,
            "barrier",
            "barrier skipped by part of the block",
            np.flatnonzero(here[block]) + block * b.per,
            f"{int(skipped[block].sum())} threads of the block, the first {b.thread(t)}, have "
            "ended without it",
        )
    waiting, b.waiting = b.waiting, []
    _reduce(b, waiting)
    for pc, lanes, _, _ in waiting:
        b.races.barrier(lanes)
        b.wake(pc + 1, lanes)


def _reduce(b: Batch, waiting: list[Waiting]) -> None:
    """``bar.red``: one value for each block, to all of its lanes."""
    for pc in {pc for pc, _, step, _ in waiting if step.barrier and step.barrier.result}:
        votes, present = np.zeros(b.width, "i8"), np.zeros(b.width, bool)
        for other, lanes, _, value in waiting:
            if other == pc:
                votes[lanes], present[lanes] = value, True
        lanes = np.flatnonzero(present)
        total, count = (
            np.repeat(x.reshape(-1, b.per).sum(1), b.per)[lanes] for x in (votes, present)
        )
        barrier = b.program.steps[pc].barrier
        assert barrier is not None
        assert barrier.result is not None
        result = {"popc": total, "and": total == count, "or": total > 0}[barrier.reduce]
        b.enter(lanes)
        barrier.result(b, result)


def _release_counted(b: Batch) -> None:
    """Barriers for some warps of a block: each goes when its count is there."""
    there: dict[tuple[int, int], list[Waiting]] = {}
    needed: dict[tuple[int, int], int] = {}
    for pc, lanes, step, value in b.waiting:
        assert step.barrier is not None
        b.enter(lanes)
        numbers = b.full(step.barrier.number(b))
        counts = b.full(step.barrier.count(b)) if step.barrier.count else None
        blocks = lanes // b.per
        for block, n in sorted({(int(k), int(n)) for k, n in zip(blocks, numbers, strict=True)}):
            some = (blocks == block) & (numbers == n)
            part = None if value is None else value[some]
            there.setdefault((block, n), []).append((pc, lanes[some], step, part))
            whole = int(b.valid[block * b.per : (block + 1) * b.per].sum())
            count = int(counts[some][0]) if counts is not None else whole
            if needed.setdefault((block, n), count) != count:
                raise b.fail(
                    step.instruction,
                    "barrier",
                    "barrier with two counts",
                    lanes[some],
                    f"barrier {n} is to wait for {count} threads here, and for "
                    f"{needed[block, n]} elsewhere",
                )
    come = {k: sum(len(lanes) for _, lanes, _, _ in entries) for k, entries in there.items()}
    complete = [k for k in there if come[k] >= needed[k]]
    b.waiting = [e for k, entries in there.items() if k not in complete for e in entries]
    for key in complete:
        block = b.lane[b.lane // b.per == key[0]]
        b.races.barrier(block)  # orders more than it should: no false alarm follows
        blocked = [e for e in there[key] if e[2].barrier and not e[2].barrier.arrive]
        _reduce(b, blocked)
        for pc, lanes, _, _ in blocked:
            b.wake(pc + 1, lanes)
    stuck = [e for e in b.waiting if e[2].barrier and not e[2].barrier.arrive]
    if not complete and not stuck:
        b.waiting = []
    elif not complete:
        key = next(k for k, entries in there.items() if any(e is stuck[0] for e in entries))
        raise b.fail(
            stuck[0][2].instruction,
            "barrier",
            "barrier that never completes",
            stuck[0][1],
            f"barrier {key[1]} waits for {needed[key]} threads, {come[key]} have come",
        )


def _place(instruction: Instruction) -> str:
    file, line = place(instruction.lines)
    return f"at {file}:{line}" if file else f"[{instruction.text}]"
