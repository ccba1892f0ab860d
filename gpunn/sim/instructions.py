"""Every PTX instruction that the simulator runs, in one table; and kernels made ready to run.

Lane-wise instructions are described in `gpunn.sim.ops`; the others are functions from an
instruction to a `Step`, found here by opcode.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gpunn.sim import ops
from gpunn.sim.async_copy import copy_async
from gpunn.sim.calls import call
from gpunn.sim.decoder import decoded
from gpunn.sim.lanewise import lane_wise
from gpunn.sim.machine import Batch
from gpunn.sim.matrix import load_matrix, matrix, multiply
from gpunn.sim.memory_ops import atomic, fence, load, store
from gpunn.sim.operands import (
    WINDOWS,
    items,
    pair,
    reader,
    unsupported,
    writer,
)
from gpunn.sim.program import Barrier, Program, Step
from gpunn.sim.ptx import Module
from gpunn.sim.syntax import SIZES, Immediate, Instruction, Kernel, Register, Vector
from gpunn.sim.values import (
    PACKED,
    PLAIN,
    Array,
    convert,
    flush,
)
from gpunn.sim.warp import active_mask, elect, match, reduce, shuffle, vote, warp_barrier


def _move(i: Instruction) -> Step:
    """``mov``: also packs and unpacks vectors."""
    target, source = i.operands
    type = i.opcode[-1]
    if isinstance(target, Vector) and not isinstance(source, Vector):
        part = SIZES[type] // len(target.items)
        read = reader(source, f"b{8 * SIZES[type]}")
        writers = [writer(t, f"b{8 * part}") for t in target.items]

        def unpack(b: Batch) -> None:
            parts = np.ascontiguousarray(read(b)).view(f"u{part}").reshape(-1, len(writers))
            for k, write in enumerate(writers):
                write(b, np.ascontiguousarray(parts[:, k]))

        return Step(i, unpack)
    if isinstance(source, Vector) and not isinstance(target, Vector):
        part = SIZES[type] // len(source.items)
        readers = [reader(s, f"b{8 * part}") for s in source.items]
        write = writer(target, f"b{8 * SIZES[type]}")

        def pack(b: Batch) -> None:
            columns = [r(b) for r in readers]
            out = np.empty((max(len(c) for c in columns), len(columns)), f"u{part}")
            for k, column in enumerate(columns):
                out[:, k] = column
            write(b, out.view(f"u{SIZES[type]}").ravel())

        return Step(i, pack)
    return lane_wise(i)


def _compare(i: Instruction) -> Step:
    """``setp`` and ``set``: a comparison, combined with a predicate if one is given."""
    test = next((ops.COMPARE[p] for p in i.opcode[1:] if p in ops.COMPARE), None)
    combine = next((ops.COMBINE[p] for p in i.opcode[1:] if p in ops.COMBINE), None)
    type, ftz = i.opcode[-1], "ftz" in i.opcode
    if test is None or type not in SIZES:
        raise unsupported(i)
    first, second = pair(i.operands[0])
    to = "pred" if i.opcode[0] == "setp" else i.opcode[-2]
    result = writer(first, to)
    inverse = writer(second, "pred") if second is not None else None
    x, y = reader(i.operands[1], type), reader(i.operands[2], type)
    with_ = reader(i.operands[3], "pred") if combine is not None else None
    packed = type in PACKED

    def run(b: Batch) -> None:
        a, c = x(b), y(b)
        if ftz:
            a, c = flush(a), flush(c)
        holds = test(a, c)
        # Of a pair of halves, the second predicate is the second half's; else it is the inverse.
        both = (holds[::2], holds[1::2]) if packed and to == "pred" else (holds, ~holds)
        if combine is not None and with_ is not None:
            other = with_(b)
            both = combine(both[0], other), combine(both[1], other)
        result(b, both[0] if to == "pred" else _mask(both[0], to, packed))
        if inverse is not None:
            inverse(b, both[1])

    return Step(i, run)


def _mask(holds: Array, to: str, packed: bool) -> Array:
    """What ``set`` leaves: 1.0, or ones in every bit."""
    if to[0] == "f" or to[:2] == "bf":
        return holds.astype("f2" if to in ("f16", "f16x2") else "f4")
    ones = -holds.astype("i2" if packed else f"i{SIZES[to]}")
    return ones.view(PLAIN[to])


def _convert(i: Instruction) -> Step:
    """``cvt``: between all types; two sources make a pair of halves."""
    types = [p for p in i.opcode[1:] if p in SIZES]
    if len(types) != 2 or "e4m3x2" in i.opcode or "e5m2x2" in i.opcode:
        raise unsupported(i)
    to, source = types
    function = convert("f16" if to == "f16x2" else to, i.opcode)
    write = writer(i.operands[0], to)
    if len(i.operands) == 2:
        read = reader(i.operands[1], source)
        return Step(i, lambda b: write(b, function(read(b))))
    high, low = (reader(o, source) for o in i.operands[1:3])

    def both(b: Batch) -> None:
        parts = function(low(b)), function(high(b))
        out = np.empty((max(map(len, parts)), 2), parts[0].dtype)
        out[:, 0], out[:, 1] = parts
        write(b, out.ravel())

    return Step(i, both)


def _address_space(i: Instruction) -> Step:
    """``cvta``: generic addresses have a window for each space but global."""
    space = next((p for p in i.opcode if p in WINDOWS), "")
    base = WINDOWS.get(space, 0)
    window = np.uint64(2**64 - base if base and "to" in i.opcode else base)
    source = i.operands[1]
    wide = not isinstance(source, Register) or SIZES[source.type] == 8
    read, write = reader(source, "u64" if wide else "u32"), writer(i.operands[0], "u64")
    return Step(i, lambda b: write(b, read(b).astype("u8") + window))


def _is_space(i: Instruction) -> Step:
    """``isspacep``: which window an address is in."""
    space = i.opcode[1].partition("::")[0]
    window = np.uint64(WINDOWS.get(space, 0) >> 60)
    read, write = reader(i.operands[1], "u64"), writer(i.operands[0], "pred")
    return Step(i, lambda b: write(b, read(b) >> np.uint64(60) == window))


def _barrier(i: Instruction) -> Step:
    """``bar`` and ``barrier``: for the block, or for a warp."""
    if "warp" in i.opcode:
        return warp_barrier(i)
    operands = list(i.operands)
    reduce_ = next((p for p in i.opcode if p in ("popc", "and", "or")), "")
    result = None
    predicate = None
    if "red" in i.opcode:
        result = writer(operands.pop(0), "u32" if reduce_ == "popc" else "pred")
        predicate = reader(operands.pop(), "pred")
    number = reader(operands[0], "u32")
    count = reader(operands[1], "u32") if len(operands) > 1 else None
    barrier = Barrier(number, count, "arrive" in i.opcode, predicate, reduce_, result)
    return Step(i, kind="barrier", barrier=barrier)


def _branch_table(i: Instruction) -> Step:
    """``brx.idx``: a jump by a table."""
    return Step(i, reader(i.operands[0], "u32"), kind="table")


def _stop(i: Instruction) -> Step:
    """``trap``: the kernel gives up."""

    def run(b: Batch) -> None:
        raise b.fail(i, "trap", "trap", b.lanes)

    return Step(i, run)


def _nothing(i: Instruction) -> Step:
    """Hints and waits that change no result."""
    return Step(i)


def _kind(kind: str) -> Callable[[Instruction], Step]:
    return lambda i: Step(i, kind=kind)


TABLE: dict[str, Callable[[Instruction], Step]] = {
    **{name.partition(".")[0]: lane_wise for name in ops.TABLE},
    "mov": _move,
    "set": _compare,
    "setp": _compare,
    "cvt": _convert,
    "cvta": _address_space,
    "isspacep": _is_space,
    # memory
    "ld": load,
    "ldu": load,
    "st": store,
    "atom": atomic,
    "red": atomic,
    "cp": copy_async,
    "membar": fence,
    "fence": fence,
    # warps and matrices
    "shfl": shuffle,
    "vote": vote,
    "activemask": active_mask,
    "elect": elect,
    "match": match,
    "redux": reduce,
    "ldmatrix": load_matrix,
    "mma": multiply,
    "wmma": matrix,
    # control
    "bra": _kind("branch"),
    "brx": _branch_table,
    "exit": _kind("exit"),
    "ret": _kind("exit"),
    "bar": _barrier,
    "barrier": _barrier,
    "trap": _stop,
    "brkpt": _stop,
    "call": call,
    **dict.fromkeys(("prefetch", "prefetchu", "nanosleep", "discard", "applypriority"), _nothing),
    **dict.fromkeys(("griddepcontrol", "pmevent"), _nothing),
}


def prepare(module: Module, name: str) -> Program:
    """A kernel made ready. Raises PtxError, quoting the instruction, for one not in the table."""
    kernel = decoded(module, name)
    steps: list[Step] = []
    for i in kernel.code:
        bind = TABLE.get(i.opcode[0])
        if bind is None:
            raise unsupported(i)
        try:
            step = bind(i)
        except (KeyError, IndexError, ValueError, StopIteration) as error:
            raise unsupported(i, f"{type(error).__name__}: {error}") from error
        if i.guard is not None:
            step.guard = reader(i.guard, "pred")
        steps.append(step)
    sizes, straight = _register_sizes(kernel), _straight(steps)
    return Program(module, kernel, steps, sizes, _grain(kernel), straight)


def _straight(steps: list[Step]) -> list[int]:
    """For each step, the end of the plain ones from there: no guard, nobody to wait for."""
    ends, end = [0] * len(steps), len(steps)
    for pc in reversed(range(len(steps))):
        step = steps[pc]
        if step.kind != "plain" or step.guard is not None or step.members is not None:
            end = pc
        ends[pc] = end
    return ends


def _register_sizes(kernel: Kernel) -> list[int]:
    sizes = [4] * kernel.slots
    for slot, type in kernel.types.items():
        sizes[slot] = 0 if type == "pred" else SIZES[type]
    return sizes


def _grain(kernel: Kernel) -> int:
    """The narrowest access that may be to shared memory."""
    narrowest = 16
    for i in kernel.code:
        if i.opcode[0] in ("ld", "st", "atom", "red"):
            spaces = [p.partition("::")[0] for p in i.opcode]
            if "shared" in spaces or not any(
                s in spaces for s in ("global", "local", "const", "param")
            ):
                vector = max(len(items(o)) for o in i.operands)
                size = next(SIZES[p] for p in reversed(i.opcode) if p in SIZES)
                narrowest = min(narrowest, size * vector)
        elif i.opcode[:2] == ("cp", "async") and isinstance(
            i.operands[2:3] and i.operands[2], Immediate
        ):
            narrowest = min(narrowest, int(i.operands[2].text))  # pyright: ignore[reportAttributeAccessIssue]
        elif i.opcode[0] == "wmma" and i.opcode[1] in ("load", "store"):
            narrowest = min(narrowest, SIZES[i.opcode[-1]])
    return narrowest
