"""Instructions that mix the lanes of a warp: shuffles, votes, matches, reductions."""

from __future__ import annotations

import numpy as np

from gpunn.sim.machine import WARP, Batch
from gpunn.sim.operands import Reader, pair, reader, unsupported, writer
from gpunn.sim.program import Step
from gpunn.sim.syntax import SIZES, Instruction
from gpunn.sim.values import Array

ALL_LANES = np.array([0xFFFFFFFF], "u4")


def _everywhere(b: Batch, read: Reader) -> Array:
    """A value of the current lanes, spread over the whole batch."""
    value = b.full(read(b))
    if b.whole:
        return value
    out = np.zeros(b.width, value.dtype)
    out[b.lanes] = value
    return out


def _ballot(b: Batch, chosen: Array) -> Array:
    """For each current lane, the lanes of its warp where ``chosen`` holds."""
    return b.warp_bits(b.lanes[b.full(chosen)])[b.pick]


def shuffle(i: Instruction) -> Step:
    """``shfl.sync``: up, down, bfly or idx within segments of a warp."""
    first, second = pair(i.operands[0])
    result = writer(first, "b32")
    inside = writer(second, "pred") if second is not None else None
    value, by, limits, mask = (reader(o, "b32") for o in i.operands[1:5])
    mode = i.opcode[2]

    def run(b: Batch) -> None:
        lane = (b.lanes % WARP).astype("i8")
        distance = by(b).astype("i8") & 31
        c = limits(b).astype("i8")
        segment, clamp = c >> 8 & 31, c & 31
        last, base = (lane & segment) | (clamp & ~segment), lane & segment
        source = {
            "up": lambda: lane - distance,
            "down": lambda: lane + distance,
            "bfly": lambda: lane ^ distance,
            "idx": lambda: base | (distance & ~segment),
        }[mode]()
        good = source >= last if mode == "up" else source <= last
        source = np.where(good, source, lane) + (b.lanes - lane)
        here = np.zeros(b.width, bool)
        here[b.lanes] = True
        gone = ~here[source]
        if gone.any() and b.check:
            raise b.fail(
                i,
                "absent lanes",
                "shuffle from an absent lane",
                b.lanes[gone],
                f"lane {int(source[gone][0]) % WARP} of the warp does not take part",
            )
        result(b, _everywhere(b, value)[source])
        if inside is not None:
            inside(b, good)

    return Step(i, run, members=mask)


def vote(i: Instruction) -> Step:
    """``vote.sync``: all, any, uni or ballot of a predicate."""
    mode = i.opcode[2]
    result = writer(i.operands[0], "b32" if mode == "ballot" else "pred")
    predicate, mask = reader(i.operands[1], "pred"), reader(i.operands[2], "b32")

    def run(b: Batch) -> None:
        yes, here = _ballot(b, predicate(b)), b.warp_bits(b.lanes)[b.pick]
        if mode == "ballot":
            result(b, yes)
        else:
            every, none = yes == here, yes == 0
            result(b, {"all": every, "any": ~none, "uni": every | none}[mode])

    return Step(i, run, members=mask)


def active_mask(i: Instruction) -> Step:
    """``activemask``: the lanes that happen to be here."""
    result = writer(i.operands[0], "b32")
    return Step(i, lambda b: result(b, b.warp_bits(b.lanes)[b.pick]))


def elect(i: Instruction) -> Step:
    """``elect.sync``: the lowest lane of the mask."""
    first, second = pair(i.operands[0])
    lane, chosen = writer(first, "b32"), writer(second or first, "pred")
    mask = reader(i.operands[1], "b32")

    def run(b: Batch) -> None:
        bits = b.warp_bits(b.lanes)[b.pick]
        lowest = np.bitwise_count((bits & (~bits + np.uint32(1))) - np.uint32(1)).astype("u4")
        lane(b, lowest)
        chosen(b, lowest == b.lanes % WARP)

    return Step(i, run, members=mask)


def match(i: Instruction) -> Step:
    """``match.sync``: the lanes that hold the same value."""
    type = i.opcode[-1]
    first, second = pair(i.operands[0])
    result = writer(first, "b32")
    every = writer(second, "pred") if second is not None else None
    value, mask = reader(i.operands[1], type), reader(i.operands[2], "b32")

    def run(b: Batch) -> None:
        here = np.zeros(b.width, bool)
        here[b.lanes] = True
        values = _everywhere(b, value).reshape(-1, WARP)
        equal = values[:, :, None] == values[:, None, :]
        equal &= here.reshape(-1, 1, WARP)
        weights = np.uint64(1) << np.arange(WARP, dtype="u8")
        bits = (equal * weights).sum(2).astype("u4").ravel()[b.pick]
        if i.opcode[1] == "all":
            same = bits == b.warp_bits(b.lanes)[b.pick]
            result(b, np.where(same, bits, np.uint32(0)))
            if every is not None:
                every(b, same)
        else:
            result(b, bits)

    return Step(i, run, members=mask)


_REDUCE = {
    "add": np.add,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}


def reduce(i: Instruction) -> Step:
    """``redux.sync``: one value for the lanes of the mask."""
    type = i.opcode[-1]
    if i.opcode[2] not in _REDUCE or SIZES.get(type) != 4:
        raise unsupported(i)
    result, value = writer(i.operands[0], type), reader(i.operands[1], type)
    mask, function = reader(i.operands[2], "b32"), _REDUCE[i.opcode[2]]

    def run(b: Batch) -> None:
        values, warps = b.full(value(b)), b.lanes // WARP
        starts = np.flatnonzero(np.r_[True, warps[1:] != warps[:-1]])
        totals = function.reduceat(values, starts, dtype=values.dtype)
        result(b, np.repeat(totals, np.diff(np.r_[starts, len(warps)])))

    return Step(i, run, members=mask)


def warp_barrier(i: Instruction) -> Step:
    """``bar.warp.sync``: orders the memory accesses of a warp."""
    mask = reader(i.operands[0], "b32")
    return Step(i, lambda b: b.races.warp_barrier(b.lanes), members=mask)
