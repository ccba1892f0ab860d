"""One access to memory by the current lanes, with every check that memory allows."""

from __future__ import annotations

import numpy as np

from gpunn.sim.machine import Batch
from gpunn.sim.memory import ALLOCATED, FREE, PENDING, Memory
from gpunn.sim.sources import place
from gpunn.sim.syntax import Instruction
from gpunn.sim.values import Array

_SPACES = ("global", "shared", "local", "param", "const")
_WINDOWS = {0: "global", 1: "shared", 2: "local", 3: "param"}
_STRONG = frozenset(("volatile", "relaxed", "acquire", "release", "acq_rel"))
_SHIFT = {1: 0, 2: 1, 4: 2, 8: 3, 16: 4}


def space_of(instruction: Instruction, named: str = "") -> str:
    """The state space of a memory instruction."""
    for part in instruction.opcode[1:]:
        name = part.partition("::")[0]
        if name in _SPACES:
            return "local" if name == "param" and named == "local" else name
    return named or "generic"


def strong(instruction: Instruction) -> bool:
    """Whether accesses by other blocks may come at any time: volatile ones, and C++'s atomics."""
    return not _STRONG.isdisjoint(instruction.opcode)


def access(
    b: Batch,
    i: Instruction,
    space: str,
    where: Array,
    size: int,
    write: bool,
    atomic: bool = False,
    values: Array | None = None,
) -> tuple[Memory, Array]:
    """Check an access by the current lanes; the memory and the elements' numbers in it.

    ``where`` has one address, or one for each lane; ``values`` are the stored rows.
    """
    if space in ("global", "const"):
        memory, index = b.arena, where - b.arena.base
        limit = b.arena.span - size
        outside = (index < 0) | (index > limit)
    elif space == "shared":
        where = where & 0xFFFFFFFF
        memory, index, limit = b.shared, where + b.shared_base[b.pick], b.shared_limit - size
        outside = where > limit
    elif space == "local":
        where = where & 0xFFFFFFFF
        memory, index, limit = b.local, where + b.lanes * b.local_size, b.kernel.local - size
        outside = where > limit
    else:
        memory, index, limit = b.arguments, where, b.argument_size - size
        outside = (where < 0) | (where > limit)
    if size > 1 and (index & (size - 1)).any():
        lost = ((index & (size - 1)) != 0) & ~outside
        if np.count_nonzero(lost):
            _fail(b, i, "misaligned", f"misaligned {size}-byte access", space, where, lost)
    if np.count_nonzero(outside):
        _outside(b, i, space, where, size, write, outside)
    element = index >> _SHIFT[size]
    if space == "const" and not memory.written(element, size):
        _states(b, i, space, where, memory, element, size, True, atomic)
    if space in ("local", "param", "const"):
        if space == "local" and not write and b.check_written and not memory.written(element, size):
            _unwritten(b, i, space, where, memory, element, size)
        return memory, element
    if not write or atomic:
        if not memory.written(element, size):
            _states(b, i, space, where, memory, element, size, True, atomic)
    elif space == "global" or b.copies:
        _states(b, i, space, where, memory, element, size, False, atomic)
    if b.check_races:
        _races(b, i, space, where, index, memory, element, size, write, atomic, values)
    if b.counters is not None:
        line, all_ = place(i.lines), b.full(where if space == "shared" else index)
        count = b.counters.shared_access if space == "shared" else b.counters.global_access
        count(line, all_, size, b.lanes)
    return memory, element


def _fail(
    b: Batch, i: Instruction, kind: str, what: str, space: str, where: Array, bad: Array
) -> None:
    bad = b.full(bad)
    address = int(b.full(where)[bad][0])
    raise b.fail(i, kind, what, b.lanes[bad], _describe(b, space, address))


def _describe(b: Batch, space: str, address: int) -> str:
    if space in ("global", "const"):
        text = b.arena.describe(address)
        allocation = b.arena.find(address)
        if allocation is not None:
            words = b.arguments.view("u8").tolist()
            for parameter in b.kernel.parameters:
                if parameter.size == 8 and words[parameter.offset // 8] == allocation.start:
                    return f"{text}, argument {b.kernel.parameters.index(parameter) + 1}"
        return text
    limit = {"shared": b.shared_limit, "local": b.kernel.local, "param": b.argument_size}[space]
    text = f"offset {address} in {space} memory of {limit} bytes"
    near = max((a for a in b.kernel.arrays if a[0] <= address), default=None)
    if space != "shared" or near is None:
        return text
    return f"byte {address - near[0]} of {near[1]}, {text}"


def _outside(
    b: Batch, i: Instruction, space: str, where: Array, size: int, write: bool, bad: Array
) -> None:
    verb = "store" if write else "load"
    if space == "global":
        address = int(b.full(where)[b.full(bad)][0])
        what = f"access to {{}} memory by a {size}-byte {verb}"
        if b.arena.freed_at(address):
            _fail(b, i, "freed", what.format("freed"), space, where, bad)
        if b.arena.holder(address) not in (None, b.arena):
            _fail(b, i, "device", what.format("another device's"), space, where, bad)
    _fail(b, i, "out of bounds", f"out-of-bounds {size}-byte {verb}", space, where, bad)


def _states(
    b: Batch,
    i: Instruction,
    space: str,
    where: Array,
    memory: Memory,
    element: Array,
    size: int,
    read: bool,
    atomic: bool,
) -> None:
    """Bytes that are not allocated, still on their way, or never written."""
    states = memory.states(element, size)
    free = (states == FREE).any(1)
    if free.any():
        _outside(b, i, space, where, size, atomic or not read, free)
    if not b.check:
        return
    pending = (states == PENDING).any(1)
    if pending.any():
        _fail(b, i, "cp.async", "access before cp.async has completed", space, where, pending)
    if read and b.check_written and (states == ALLOCATED).any():
        _unwritten(b, i, space, where, memory, element, size)


def _unwritten(
    b: Batch, i: Instruction, space: str, where: Array, memory: Memory, element: Array, size: int
) -> None:
    bad = (memory.states(element, size) == ALLOCATED).any(1)
    _fail(b, i, "uninitialised", f"uninitialised {size}-byte load", space, where, bad)


def _races(
    b: Batch,
    i: Instruction,
    space: str,
    where: Array,
    index: Array,
    memory: Memory,
    element: Array,
    size: int,
    write: bool,
    atomic: bool,
    values: Array | None,
) -> None:
    index = b.full(index)
    same = np.zeros(b.count, bool)
    if values is not None:
        same = (memory.load(b.full(element), size) == values).all(1)
    if space == "shared":
        if write:
            found = b.races.write(index, size, b.lanes, atomic, same)
        else:
            found = b.races.read(index, size, b.lanes)
        if found is not None:
            shared_race(b, i, where, found)
        return
    races, blocks = b.device.races, b.block_of[b.pick]
    found = races.access(
        *(index >> 2, max(size // 4, 1), blocks, write, atomic or strong(i), size < 4),
        same if write else None,
    )
    if found is not None:
        _global_race(b, i, where, found)


def shared_race(b: Batch, i: Instruction, where: Array, found: tuple[Array, Array]) -> None:
    """Raise the defect for what `SharedRaces` found."""
    position, other = found
    detail = (
        f"{_describe(b, 'shared', int(b.full(where)[position[0]]) & 0xFFFFFFFF)}, accessed by "
        f"{b.races.name(other[0])} with no barrier in between"
    )
    lanes = b.lanes[np.unique(position)]
    raise b.fail(
        i,
        "shared-memory race",
        "shared-memory race",
        lanes[:1] if len(lanes) == 1 else lanes,
        detail,
    )


def _global_race(b: Batch, i: Instruction, where: Array, found: tuple[Array, Array]) -> None:
    position, other = found
    block = int(other[0])
    x, y, _ = b.grid_shape
    who = f"block {(block % x, block // x % y, block // x // y)}"
    if block >= int(np.prod(b.grid_shape)) or block < 0:
        who = "several blocks"
    detail = f"{_describe(b, 'global', int(b.full(where)[position[0]]))}, also accessed by {who}"
    lanes = b.lanes[position]
    raise b.fail(i, "race between blocks", "race between blocks", lanes, detail)


def by_window(b: Batch, where: Array) -> list[tuple[str, Array | None]]:
    """The spaces of generic addresses: all of one, or which positions belong to which."""
    window = where >> 60
    first = int(window[0])
    if (window == first).all():
        return [(_WINDOWS.get(first, "global"), None)]
    return [(_WINDOWS.get(int(w), "global"), b.full(window) == w) for w in np.unique(window)]


OFFSET = (1 << 60) - 1  # of a generic address in its window


def load_rows(b: Batch, i: Instruction, space: str, where: Array, size: int) -> Array:
    """The bytes at addresses: rows of one word, or of two 8-byte words for 16."""
    if space != "generic":
        memory, element = access(b, i, space, where, size, write=False)
        return memory.load(element, size)
    parts = by_window(b, where)
    if parts[0][1] is None:
        plain = where if parts[0][0] == "global" else where & OFFSET
        return load_rows(b, i, parts[0][0], plain, size)
    out = np.zeros((b.count, max(size // 8, 1)), f"u{min(size, 8)}")
    for name, chosen in parts:
        with b.only(b.lanes[chosen]):
            plain = where[chosen] if name == "global" else where[chosen] & OFFSET
            out[chosen] = load_rows(b, i, name, plain, size)
    return out


def store_rows(b: Batch, i: Instruction, space: str, where: Array, size: int, rows: Array) -> None:
    """The inverse of `load_rows`; ``rows`` has one row for each lane."""
    if space == "generic":
        for name, chosen in by_window(b, where):
            if chosen is None:
                plain = where if name == "global" else where & OFFSET
                store_rows(b, i, name, plain, size, rows)
                continue
            with b.only(b.lanes[chosen]):
                plain = where[chosen] if name == "global" else where[chosen] & OFFSET
                store_rows(b, i, name, plain, size, rows[chosen])
        return
    memory, element = access(b, i, space, where, size, write=True, values=rows)
    element = b.full(element)
    memory.store(element, size, rows)
    if not b.check_races or space not in ("shared", "global"):
        return
    lost = (memory.load(element, size) != rows).any(1)
    if not lost.any():
        return
    if space == "shared":
        found = b.races.collisions(element * size, size, b.lanes, lost)
        if found is not None:
            shared_race(b, i, where, found)
    elif not strong(i):
        found = b.device.races.collisions(element * size >> 2, b.block_of[b.pick], lost)
        if found is not None:
            _global_race(b, i, where, found)
