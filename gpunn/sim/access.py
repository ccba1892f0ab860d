"""Loads, stores, atomics and asynchronous copies, with every check that memory allows."""

# NumPy's array functions are typed loosely: what is unknown here is the dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpunn.sim.machine import Batch, Step
from gpunn.sim.memory import ALLOCATED, FREE, PENDING, Memory
from gpunn.sim.operands import Reader, Writer, address, items, reader, unsupported, writer
from gpunn.sim.ptx import SIZES, Immediate, Instruction
from gpunn.sim.report import source_line
from gpunn.sim.values import PLAIN, Array, from_bfloat, to_bfloat

_SPACES = ("global", "shared", "local", "param", "const")
_WINDOWS = {0: "global", 1: "shared", 2: "local", 3: "param"}
_SHIFT = {1: 0, 2: 1, 4: 2, 8: 3, 16: 4}


def space_of(instruction: Instruction, named: str = "") -> str:
    """The state space of a memory instruction."""
    for part in instruction.opcode[1:]:
        name = part.partition("::")[0]
        if name in _SPACES:
            return "local" if name == "param" and named == "local" else name
    return named or "generic"


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
        limit = b.arena.size - size
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
        lost = b.full((index & (size - 1)) != 0)
        _fail(b, i, "misaligned", f"misaligned {size}-byte access", space, where, lost)
    if outside.any():
        _outside(b, i, space, where, size, write, outside)
    element = index >> _SHIFT[size]
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
        line, all_ = source_line(i.lines), b.full(where if space == "shared" else index)
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
    return f"offset {address} in {space} memory of {limit} bytes"


def _outside(
    b: Batch, i: Instruction, space: str, where: Array, size: int, write: bool, bad: Array
) -> None:
    verb = "store" if write else "load"
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
            _shared_race(b, i, where, found)
        return
    races, blocks = b.device.races, b.block_of[b.pick]
    found = races.access(
        index >> 2, max(size // 4, 1), blocks, write, atomic, size < 4, same if write else None
    )
    if found is not None:
        _global_race(b, i, where, found)


def _shared_race(b: Batch, i: Instruction, where: Array, found: tuple[Array, Array]) -> None:
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


def _by_window(b: Batch, where: Array) -> list[tuple[str, Array | None]]:
    """The spaces of generic addresses: all of one, or which positions belong to which."""
    window = where >> 60
    first = int(window[0])
    if (window == first).all():
        return [(_WINDOWS.get(first, "global"), None)]
    return [(_WINDOWS.get(int(w), "global"), b.full(window) == w) for w in np.unique(window)]


_OFFSET = (1 << 60) - 1


def load_rows(b: Batch, i: Instruction, space: str, where: Array, size: int) -> Array:
    """The bytes at addresses: rows of one word, or of two 8-byte words for 16."""
    if space != "generic":
        memory, element = access(b, i, space, where, size, write=False)
        return memory.load(element, size)
    parts = _by_window(b, where)
    if parts[0][1] is None:
        plain = where if parts[0][0] == "global" else where & _OFFSET
        return load_rows(b, i, parts[0][0], plain, size)
    out = np.zeros((b.count, max(size // 8, 1)), f"u{min(size, 8)}")
    for name, chosen in parts:
        with b.only(b.lanes[chosen]):
            plain = where[chosen] if name == "global" else where[chosen] & _OFFSET
            out[chosen] = load_rows(b, i, name, plain, size)
    return out


def store_rows(b: Batch, i: Instruction, space: str, where: Array, size: int, rows: Array) -> None:
    """The inverse of `load_rows`; ``rows`` has one row for each lane."""
    if space == "generic":
        for name, chosen in _by_window(b, where):
            if chosen is None:
                plain = where if name == "global" else where & _OFFSET
                store_rows(b, i, name, plain, size, rows)
                continue
            with b.only(b.lanes[chosen]):
                plain = where[chosen] if name == "global" else where[chosen] & _OFFSET
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
            _shared_race(b, i, where, found)
    else:
        found = b.device.races.collisions(element * size >> 2, b.block_of[b.pick], lost)
        if found is not None:
            _global_race(b, i, where, found)


def _element_type(i: Instruction) -> str:
    return next(p for p in reversed(i.opcode) if p in SIZES)


def load(i: Instruction) -> Step:
    """``ld``: from one address, one to eight elements."""
    type, registers = _element_type(i), items(i.operands[0])
    at, named = address(i.operands[1])
    size, space = SIZES[type], space_of(i, named)
    writers = [writer(r, type) for r in registers]
    dtype, total = PLAIN[type], SIZES[type] * len(registers)
    acquire = "acquire" in i.opcode or "volatile" in i.opcode

    def run(b: Batch) -> None:
        where = at(b)
        if acquire and b.check_races and space in ("global", "generic"):
            b.device.races.synchronise(np.unique(b.block_of[b.pick]))
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
    total = size * len(registers)

    def run(b: Batch) -> None:
        where = at(b)
        for start in range(0, total, 16):
            part = min(total - start, 16)
            mine = readers[start // size : (start + part) // size]
            values = np.empty((b.count, len(mine)), f"u{size}")
            for q, read in enumerate(mine):
                values[:, q] = read(b)
            rows = values.view(f"u{min(part, 8)}")
            store_rows(b, i, space, where + start if start else where, part, rows)

    return Step(i, run)


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
        parts = _by_window(b, where) if space == "generic" else [(space, None)]
        out = np.zeros(b.count, f"u{size}")
        for part, chosen in parts:
            lanes = b.lanes if chosen is None else b.lanes[chosen]
            with b.only(lanes):
                plain = where if chosen is None or len(where) == 1 else where[chosen]
                old = _atomic(b, i, part, plain & _OFFSET if part != "global" else plain, readers)
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
            b.device.races.synchronise(np.unique(b.block_of[b.pick]))
        return old

    return Step(i, run)


# Asynchronous copies from global to shared memory.


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
            _shared_race(b, i, element * size - b.shared_base[b.lanes], found)


def fence(i: Instruction) -> Step:
    """``membar`` and ``fence``: what the block wrote is out, for `GlobalRaces`."""
    if "cta" in i.opcode:
        return Step(i)
    return Step(i, lambda b: b.device.races.fence(np.unique(b.block_of[b.pick])))


Binder = Callable[[Instruction], Step]
