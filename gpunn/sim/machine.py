"""Lanes and program counters: which threads run next, where they meet, when they are stuck.

All threads of a batch of blocks are lanes of NumPy arrays. Lanes that share a program counter form
a group, and the group that is furthest behind runs first, so that divergent lanes meet again.
"""

# NumPy's array functions are typed loosely: what is unknown here is the dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpunn.sim.memory import Arena, Memory, scratch
from gpunn.sim.profile import Profile
from gpunn.sim.ptx import Instruction, Kernel, Module
from gpunn.sim.races import GlobalRaces, SharedRaces
from gpunn.sim.report import Defect, defect, launch_defect, source_line
from gpunn.sim.values import BITS, Array

WARP = 32
PATIENCE = 500  # turns of a loop before lanes that wait elsewhere get a turn
MAX_THREADS, MAX_GRID = 1024, (2**31 - 1, 65535, 65535)
STATIC_SHARED = 49152  # bytes; more of it only on request
_TURN = 1 << 32  # a group's key is turn * _TURN + program counter


@dataclass(slots=True)
class Barrier:
    """``bar.sync``, ``bar.red`` or ``bar.arrive``: which, for how many, and what is reduced."""

    number: Callable[[Batch], Array]
    count: Callable[[Batch], Array] | None = None
    arrive: bool = False
    predicate: Callable[[Batch], Array] | None = None
    reduce: str = ""
    result: Callable[[Batch, Array], None] | None = None


@dataclass(slots=True)
class Step:
    """An instruction made ready to run."""

    instruction: Instruction
    run: Callable[[Batch], Any] | None = None
    kind: str = "plain"  # or branch, table, exit, barrier
    guard: Callable[[Batch], Array] | None = None
    members: Callable[[Batch], Array] | None = None  # the lanes of a warp that must be here
    barrier: Barrier | None = None


@dataclass(slots=True)
class Program:
    """A kernel made ready to run, with what launches may set."""

    module: Module
    kernel: Kernel
    steps: list[Step]
    sizes: list[int]  # of each register, in bytes; 0 for a predicate
    grain: int  # the narrowest access to shared memory
    dynamic_limit: int = STATIC_SHARED


@dataclass(slots=True)
class Settings:
    """How to simulate."""

    check: bool = True
    profile: bool = False
    seed: int = 0
    budget: int = 3_000_000  # instructions, each by all lanes at one place, for one batch
    lanes: int = 1 << 14
    exempt: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(slots=True)
class Device:
    """The simulated GPU: its memory, settings and counters."""

    arena: Arena
    settings: Settings
    races: GlobalRaces = field(init=False)
    profile: Profile = field(default_factory=Profile)
    executed: int = 0  # thread-instructions
    launches: int = 0

    def __post_init__(self) -> None:
        self.races = GlobalRaces(*self.arena.owners)

    def launch(
        self,
        program: Program,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        dynamic: int,
        arguments: bytes,
        shared_limit: int = STATIC_SHARED,
    ) -> None:
        """Run a grid to its end. Raises `Defect` at the first thing that is wrong."""
        kernel, threads, blocks = program.kernel, int(np.prod(block)), int(np.prod(grid))
        _check_limits(program, grid, block, dynamic, shared_limit)
        self.launches += 1
        self.races.launch(blocks)
        order = np.arange(blocks)
        if self.settings.seed:
            np.random.default_rng(self.settings.seed + self.launches).shuffle(order)
        per = -(-threads // WARP) * WARP
        share = max(1, self.settings.lanes // per)
        if kernel.shared + dynamic:  # shared memory and its checks stay within bounds
            share = max(1, min(share, (1 << 22) // (kernel.shared + dynamic)))
        with np.errstate(all="ignore"):
            for start in range(0, blocks, share):
                some = order[start : start + share]
                Batch(self, program, grid, block, dynamic, arguments, some).run()


def _check_limits(
    program: Program,
    grid: tuple[int, int, int],
    block: tuple[int, int, int],
    dynamic: int,
    shared_limit: int,
) -> None:
    name, limits = program.kernel.name, program.kernel.limits
    threads = int(np.prod(block))
    most = min(MAX_THREADS, limits.get("maxntid", MAX_THREADS))
    if threads > most or threads < 1 or block[2] > 64:
        why = "its __launch_bounds__" if most < MAX_THREADS else "the device's limit (z: 64)"
        raise launch_defect(
            name, "block over the limits", f"block {block}: {threads} threads; {why} is {most}"
        )
    if threads != limits.get("reqntid", threads):
        raise launch_defect(
            name, "block over the limits", f"{threads} threads; needs {limits['reqntid']}"
        )
    if any(not 1 <= g <= m for g, m in zip(grid, MAX_GRID, strict=True)):
        raise launch_defect(name, "grid over the limits", f"grid {grid}; the limits are {MAX_GRID}")
    static = program.kernel.shared
    if static > STATIC_SHARED or static + dynamic > max(program.dynamic_limit, STATIC_SHARED):
        raise launch_defect(
            name,
            "shared memory over the limits",
            f"{static} bytes static and {dynamic} dynamic; this launch may have "
            f"{max(program.dynamic_limit, STATIC_SHARED)} (the device has {shared_limit})",
        )


Waiting = tuple[int, Array, Step, Array | None]  # program counter, lanes, barrier, predicates


class Batch:
    """Some blocks of a launch, executed together: registers, memories, groups of lanes."""

    def __init__(
        self,
        device: Device,
        program: Program,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        dynamic: int,
        arguments: bytes,
        blocks: Array,
    ) -> None:
        self.device, self.program, self.kernel = device, program, program.kernel
        self.settings = device.settings
        self.grid_shape, self.block_shape, self.dynamic = grid, block, dynamic
        threads = int(np.prod(block))
        self.per = -(-threads // WARP) * WARP
        self.width = len(blocks) * self.per
        self.lane = np.arange(self.width)
        self.thread_of = self.lane % self.per
        self.block_of = blocks[self.lane // self.per]
        self.valid = self.thread_of < threads
        self.alive = self.valid.copy()
        self.registers: list[Array | None] = [None] * self.kernel.slots
        self.carry: Array = np.zeros(1, bool)
        self.specials: dict[str, Array] = {}
        self.arena = device.arena
        self.shared_size = -(-(self.kernel.shared + dynamic) // 16) * 16
        self.shared_limit = self.kernel.shared + dynamic
        self.shared = scratch(len(blocks) * self.shared_size)
        self.local_size = -(-self.kernel.local // 16) * 16
        self.local = scratch(self.width * self.local_size)
        self.arguments = _argument_memory(arguments)
        self.argument_size = len(arguments)
        self.shared_base = self.lane // self.per * self.shared_size
        self.races = SharedRaces(len(self.shared.data), program.grain, self.thread_of)
        self.exempt = exempt = self.settings.exempt.get(self.kernel.name, ())
        self.check = self.settings.check
        self.check_races = self.check and "races" not in exempt
        self.check_written = self.check and "uninitialised" not in exempt
        self.counters = device.profile.kernel(self.kernel.name) if self.settings.profile else None
        self.copies: list[Any] = []  # cp.async on its way
        self.group = np.zeros(self.width, "i8")  # of copies, that each lane has committed
        self.budget = self.settings.budget
        self.random = np.random.default_rng(self.settings.seed)
        self.ready: dict[int, Array] = {}
        self.parked: dict[int, Array] = {}  # waits for the rest of its warps
        self.busy = np.zeros(self.width, bool)  # lanes that ran while others waited so
        self.waiting: list[Waiting] = []  # at barriers
        self.wake(0, self.lane[self.valid])

    # Where the lanes are.

    def thread(self, lane: int) -> tuple[int, int, int]:
        """A lane's threadIdx."""
        t, (x, y, _) = int(self.thread_of[lane]), self.block_shape
        return t % x, t // x % y, t // x // y

    def block(self, lane: int) -> tuple[int, int, int]:
        """A lane's blockIdx."""
        b, (x, y, _) = int(self.block_of[lane]), self.grid_shape
        return b % x, b // x % y, b // x // y

    def special(self, name: str) -> Array:
        """A special register for the current lanes."""
        if name not in self.specials:
            self.specials[name] = self._special(name)
        value = self.specials[name]
        return value if len(value) == 1 else value[self.pick]

    def _special(self, name: str) -> Array:
        base, _, axis = name[1:].partition(".")
        if axis in ("x", "y", "z") and base in ("tid", "ntid", "ctaid", "nctaid"):
            i = "xyz".index(axis)
            shape = self.block_shape if base in ("tid", "ntid") else self.grid_shape
            if base[0] == "n":
                return np.array([shape[i]], "u4")
            index = self.thread_of if base == "tid" else self.block_of
            return (index // int(np.prod(shape[:i])) % shape[i]).astype("u4")
        in_warp = (self.lane % WARP).astype("u8")
        one = np.uint64(1)
        values: dict[str, Callable[[], Array]] = {
            "laneid": lambda: in_warp,
            "warpid": lambda: self.thread_of // WARP,
            "nwarpid": lambda: np.array([self.per // WARP]),
            "WARP_SZ": lambda: np.array([WARP]),
            "ARP_SZ": lambda: np.array([WARP]),
            "smid": lambda: np.array([0]),
            "nsmid": lambda: np.array([1]),
            "gridid": lambda: np.array([self.device.launches]),
            "lanemask_eq": lambda: one << in_warp,
            "lanemask_lt": lambda: (one << in_warp) - one,
            "lanemask_le": lambda: (one << in_warp + one) - one,
            "lanemask_gt": lambda: ~((one << in_warp + one) - one),
            "lanemask_ge": lambda: ~((one << in_warp) - one),
            "dynamic_smem_size": lambda: np.array([self.dynamic]),
            "total_smem_size": lambda: np.array([self.shared_limit]),
        }
        return values[base]().astype("u4")

    def enter(self, lanes: Array) -> None:
        """Make these lanes (sorted, not empty) the ones that instructions work on."""
        self.lanes, self.count = lanes, len(lanes)
        first, last = int(lanes[0]), int(lanes[-1])
        self.whole = len(lanes) == self.width
        contiguous = last - first + 1 == len(lanes)
        self.pick: Any = slice(first, last + 1) if contiguous else lanes

    @contextmanager
    def only(self, lanes: Array) -> Generator[None]:
        """Some of the current lanes, for a while."""
        before = self.lanes
        self.enter(lanes)
        yield
        self.enter(before)

    # Registers: arrays that are never changed in place; one element where all lanes agree.

    def get(self, slot: int) -> Array:
        """A register's bits in the current lanes."""
        value = self.registers[slot]
        if value is None:
            value = self._fresh(slot)
        return value if len(value) == 1 else value[self.pick]

    def everywhere(self, slot: int) -> Array:
        """A register's bits in all lanes."""
        value = self.registers[slot]
        if value is None:
            value = self._fresh(slot)
        return np.broadcast_to(value, self.width) if len(value) == 1 else value

    def put(self, slot: int, bits: Array) -> None:
        """Set a register in the current lanes."""
        if self.whole:
            self.registers[slot] = bits
            return
        old = self.registers[slot]
        if old is None:
            new = np.empty(self.width, bits.dtype)
        elif len(old) == 1:
            new = np.full(self.width, old[0], bits.dtype)
        else:
            new = old.copy()
        new[self.pick] = bits
        self.registers[slot] = new

    def _fresh(self, slot: int) -> Array:
        size = self.program.sizes[slot]
        return np.frombuffer(b"\xcd" * size, BITS[size]) if size else np.zeros(1, bool)

    def full(self, value: Array) -> Array:
        """One value for each current lane."""
        return value if len(value) == self.count else np.broadcast_to(value, self.count)

    def fail(
        self, step: Instruction, kind: str, what: str, lanes: Array, detail: str = ""
    ) -> Defect:
        """The defect, to be raised."""
        return defect(self, step, kind, what, lanes, detail)

    # Scheduling.

    def wake(self, pc: int, lanes: Array) -> None:
        """Make lanes ready, each warp in its turn; the turns follow from the seed."""
        if not self.settings.seed:
            self._join(self.ready, pc, lanes)
            return
        turns = self.random.permutation(self.width // WARP)[lanes // WARP]
        half = self.width // WARP // 2
        for turn in (0, 1):
            some = lanes[(turns >= half) == bool(turn)]
            if len(some):
                self._join(self.ready, turn * _TURN + pc, some)

    @staticmethod
    def _join(groups: dict[int, Array], key: int, lanes: Array) -> None:
        other = groups.get(key)
        if other is not None:
            lanes = np.concatenate([other, lanes])
            lanes.sort()
        groups[key] = lanes

    def run(self) -> None:
        """Run all lanes to their end."""
        self.spins = 0
        while True:
            if self.ready:
                hurry = self.spins >= PATIENCE
                key = max(self.ready) if hurry else min(self.ready)
                self.spins = 0
                self._follow(key, self.ready.pop(key), hurry)
            elif self.parked:
                key = min(self.parked)
                self._follow(key, self.parked.pop(key), True, forced=True)
            elif self.waiting:
                self._release()
            else:
                break

    def _follow(self, key: int, lanes: Array, hurry: bool, forced: bool = False) -> None:
        """Run one group until it splits, waits, ends, or overtakes another."""
        turn, pc = key // _TURN * _TURN, key % _TURN
        nearest = min(self.ready, default=1 << 62)
        steps = self.program.steps
        device = self.device
        self.enter(lanes)
        while True:
            key = turn + pc
            if key >= nearest and (key == nearest or not hurry):
                if key != nearest:
                    self._join(self.ready, key, lanes)
                    return
                self._join(self.ready, key, lanes)
                lanes = self.ready.pop(key)
                self.enter(lanes)
                nearest = min(self.ready, default=1 << 62)
            elif hurry and key in self.ready:
                self._join(self.ready, key, lanes)
                return
            if self.parked and key in self.parked:
                self._join(self.parked, key, lanes)
                lanes = self.parked.pop(key)
                self.enter(lanes)
            step = steps[pc]
            self.budget -= 1
            device.executed += self.count
            if self.budget < 0:
                raise self.fail(
                    step.instruction,
                    "endless",
                    f"still running after {self.settings.budget} instructions",
                    lanes,
                )
            if self.counters is not None:
                self.counters.instruction(source_line(step.instruction.lines), lanes)
            active, rest = None, lanes[:0]  # all, and no others
            if step.guard is not None:
                chosen = step.guard(self)
                if not chosen.any():
                    pc += 1
                    continue
                if len(chosen) > 1 and not chosen.all():
                    active, rest = lanes[chosen], lanes[~chosen]
            if step.kind == "plain":
                if active is not None:
                    self.enter(active)
                if step.members is not None and self._absent(step, ended=forced).any():
                    if not forced and (self.ready or self.parked):
                        self._join(self.parked, key, lanes)
                        self.busy[:] = False
                        return
                    self._refuse(step)
                forced = False
                if step.run is not None:
                    step.run(self)
                    if self.parked:
                        self.busy[self.lanes] = True
                if active is not None:
                    self.enter(lanes)
                pc += 1
                continue
            if step.kind == "branch":
                target = step.instruction.targets[0]
                if active is not None:
                    self._join(self.ready, turn + target, active)
                    self._join(self.ready, turn + pc + 1, rest)
                    return
                if target <= pc:
                    self.spins += 1
                    if self.spins >= PATIENCE and self.ready:
                        self._join(self.ready, turn + target, lanes)
                        return
                pc = target
                continue
            some = lanes if active is None else active
            if step.kind == "exit":
                self.alive[some] = False
            elif step.kind == "table":
                with self.only(some):
                    assert step.run is not None
                    index = self.full(step.run(self)).copy()
                for i, target in enumerate(step.instruction.targets):
                    if (index == i).any():
                        self._join(self.ready, turn + target, some[index == i])
            else:
                assert step.barrier is not None
                with self.only(some):
                    predicate = step.barrier.predicate
                    value = None if predicate is None else self.full(predicate(self)).copy()
                self.waiting.append((pc, some, step, value))
                if step.barrier.arrive:
                    self._join(self.ready, turn + pc + 1, some)
            if active is None:
                return
            lanes = rest
            self.enter(lanes)
            pc += 1
            nearest = min(self.ready, default=1 << 62)

    # Lanes that must be together.

    def warp_bits(self, lanes: Array) -> Array:
        """For each lane of the batch, which lanes of its warp are among ``lanes``."""
        bits = np.zeros(self.width, "u4")
        bits[lanes] = np.uint32(1) << (lanes % WARP).astype("u4")
        return np.repeat(np.bitwise_or.reduce(bits.reshape(-1, WARP), axis=1), WARP)

    def _absent(self, step: Step, ended: bool) -> Array:
        """Which lanes, of all that the masks of the current ones name, are not here.

        A lane that had already ended may be named. One that ended while others waited for it may
        not (``ended``), unless all that it did was to end.
        """
        if self.whole:
            return np.zeros(1, "u4")
        assert step.members is not None
        expected = self.alive | self.busy if ended else self.alive
        bits = self.warp_bits(np.flatnonzero(expected)) & ~self.warp_bits(self.lanes)
        return self.full(step.members(self)) & bits[self.lanes]

    def _refuse(self, step: Step) -> None:
        absent = self._absent(step, ended=True)
        first = int(np.flatnonzero(absent)[0])
        names = [n for n in range(WARP) if int(absent[first]) >> n & 1]
        raise self.fail(
            step.instruction,
            "absent lanes",
            "warp operation with absent lanes",
            self.lanes[absent != 0],
            f"lanes {', '.join(map(str, names))} of the warp are named by the mask but not here",
        )

    # Barriers.

    def _release(self) -> None:
        """Nobody can run: let the barriers that are complete go, or say why none is."""
        pcs = np.full(self.width, -1)
        for pc, lanes, step, _ in self.waiting:
            if step.barrier is not None and not step.barrier.arrive:
                pcs[lanes] = pc
        if any(
            s.barrier is not None and (s.barrier.count or s.barrier.arrive)
            for _, _, s, _ in self.waiting
        ):
            self._release_counted()
            return
        blocks = pcs.reshape(-1, self.per)
        here = blocks >= 0
        lowest = np.where(here, blocks, 1 << 30).min(1)
        mixed = here.any(1) & (lowest != blocks.max(1))
        if mixed.any():
            b = int(np.flatnonzero(mixed)[0])
            first, other = (
                self.program.steps[int(p)].instruction for p in (lowest[b], blocks[b].max())
            )
            raise self.fail(
                other,
                "barrier",
                "barrier in divergent code",
                np.flatnonzero(blocks[b] == blocks[b].max()) + b * self.per,
                f"other threads of the block wait at another barrier, {_place(first)}",
            )
        skipped: Array = here.any(axis=1, keepdims=True) & self.valid.reshape(-1, self.per) & ~here
        if skipped.any() and "barrier" not in self.exempt:
            b, t = (int(i) for i in np.argwhere(skipped)[0])
            raise self.fail(
                self.program.steps[int(lowest[b])].instruction,
                "barrier",
                "barrier skipped by part of the block",
                np.flatnonzero(here[b]) + b * self.per,
                f"{int(skipped[b].sum())} threads of the block, the first {self.thread(t)}, have "
                "ended without it",
            )
        waiting, self.waiting = self.waiting, []
        self._reduce(waiting)
        for pc, lanes, _, _ in waiting:
            self.races.barrier(lanes)
            self.wake(pc + 1, lanes)

    def _reduce(self, waiting: list[Waiting]) -> None:
        """``bar.red``: one value for each block, to all of its lanes."""
        for pc in {pc for pc, _, step, _ in waiting if step.barrier and step.barrier.result}:
            votes, present = np.zeros(self.width, "i8"), np.zeros(self.width, bool)
            for other, lanes, _, value in waiting:
                if other == pc:
                    votes[lanes], present[lanes] = value, True
            lanes = np.flatnonzero(present)
            total, count = (
                np.repeat(x.reshape(-1, self.per).sum(1), self.per)[lanes] for x in (votes, present)
            )
            barrier = self.program.steps[pc].barrier
            assert barrier is not None
            assert barrier.result is not None
            result = {"popc": total, "and": total == count, "or": total > 0}[barrier.reduce]
            self.enter(lanes)
            barrier.result(self, result)

    def _release_counted(self) -> None:
        """Barriers for some warps of a block: each goes when its count is there."""
        there: dict[tuple[int, int], list[Waiting]] = {}
        needed: dict[tuple[int, int], int] = {}
        for pc, lanes, step, value in self.waiting:
            assert step.barrier is not None
            self.enter(lanes)
            numbers = self.full(step.barrier.number(self))
            counts = self.full(step.barrier.count(self)) if step.barrier.count else None
            blocks = lanes // self.per
            for b, n in sorted({(int(b), int(n)) for b, n in zip(blocks, numbers, strict=True)}):
                some = (blocks == b) & (numbers == n)
                part = None if value is None else value[some]
                there.setdefault((b, n), []).append((pc, lanes[some], step, part))
                whole = int(self.valid[b * self.per : (b + 1) * self.per].sum())
                needed[b, n] = int(counts[0]) if counts is not None else whole
        come = {k: sum(len(lanes) for _, lanes, _, _ in entries) for k, entries in there.items()}
        complete = [k for k in there if come[k] >= needed[k]]
        self.waiting = [e for k, entries in there.items() if k not in complete for e in entries]
        for key in complete:
            block = self.lane[self.lane // self.per == key[0]]
            self.races.barrier(block)  # orders more than it should: no false alarm follows
            blocked = [e for e in there[key] if e[2].barrier and not e[2].barrier.arrive]
            self._reduce(blocked)
            for pc, lanes, _, _ in blocked:
                self.wake(pc + 1, lanes)
        stuck = [e for e in self.waiting if e[2].barrier and not e[2].barrier.arrive]
        if not complete and not stuck:
            self.waiting = []
        elif not complete:
            key = next(k for k, entries in there.items() if any(e is stuck[0] for e in entries))
            raise self.fail(
                stuck[0][2].instruction,
                "barrier",
                "barrier that never completes",
                stuck[0][1],
                f"barrier {key[1]} waits for {needed[key]} threads, {come[key]} have come",
            )


def _place(instruction: Instruction) -> str:
    file, line = source_line(instruction.lines)
    return f"at {file}:{line}" if file else f"[{instruction.text}]"


def _argument_memory(arguments: bytes) -> Memory:
    memory = scratch(len(arguments))
    memory.data[: len(arguments)] = np.frombuffer(arguments, "u1")
    memory.state[: len(arguments)] = 3
    return memory
