"""Lanes and program counters: which threads run next, where they meet, when they are stuck.

All threads of a batch of blocks are lanes of NumPy arrays. Lanes that share a program counter form
a group, and the group that is furthest behind runs first, so that divergent lanes meet again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunn.sim.barriers import Waiting, release
from gpunn.sim.memory import WRITTEN, Memory, scratch
from gpunn.sim.program import Program, Step
from gpunn.sim.races import SharedRaces
from gpunn.sim.report import Defect, defect
from gpunn.sim.sources import place
from gpunn.sim.syntax import Instruction
from gpunn.sim.values import BITS, Array

if TYPE_CHECKING:
    from gpunn.sim.device import Device

WARP = 32
PATIENCE = 500  # turns of a loop before lanes that wait elsewhere get a turn
_TURN = 1 << 32  # a group's key is turn * _TURN + program counter


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
        self.normal: list[Array | None] = [None] * self.kernel.slots  # float32 without denormals
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
            self.specials[name] = SPECIALS[name](self).astype("u4")
        value = self.specials[name]
        return value if len(value) == 1 else value[self.pick]

    def enter(self, lanes: Array) -> None:
        """Make these lanes (sorted, not empty) the ones that instructions work on."""
        self.lanes, self.count = lanes, len(lanes)
        first, last = int(lanes[0]), int(lanes[-1])
        self.whole = len(lanes) == self.width
        contiguous = last - first + 1 == len(lanes)
        self.pick: Any = slice(first, last + 1) if contiguous else lanes

    def blocks(self) -> Array:
        """The blocks of the current lanes."""
        blocks = self.block_of[self.pick]
        return blocks[np.flatnonzero(np.diff(blocks, prepend=-1))]  # lanes are sorted

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
        self.spins, last = 0, -1
        while True:
            if self.ready:
                hurry = self.spins >= PATIENCE
                key = min(self.ready)
                if hurry:  # each of the others in its turn: one of them is waited for
                    key = last = min((k for k in self.ready if k > last), default=key)
                self.spins = 0
                self._follow(key, self.ready.pop(key), hurry)
            elif self.parked:
                key = min(self.parked)
                self._follow(key, self.parked.pop(key), True, forced=True)
            elif self.waiting:
                release(self)
            else:
                break

    def _follow(self, key: int, lanes: Array, hurry: bool, forced: bool = False) -> None:
        """Run one group until it splits, waits, ends, or overtakes another."""
        turn, pc = key // _TURN * _TURN, key % _TURN
        nearest = min(self.ready, default=1 << 62)
        steps, straight = self.program.steps, self.program.straight
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
            if not (hurry or self.parked or self.counters):
                stop = min(straight[pc], nearest - turn)
                if stop > pc:
                    for step in steps[pc:stop]:
                        if step.run is not None:
                            step.run(self)
                    self.budget -= stop - pc
                    device.executed += self.count * (stop - pc)
                    pc = stop
                    continue
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
                self.counters.instruction(place(step.instruction.lines), lanes)
            active, rest = None, lanes[:0]  # all, and no others
            if step.guard is not None:
                chosen = step.guard(self)
                taken = np.count_nonzero(chosen)
                if not taken:
                    pc += 1
                    continue
                if taken < len(chosen):
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


def _index(name: str, axis: int) -> Callable[[Batch], Array]:
    """``threadIdx``, ``blockIdx``, ``blockDim`` or ``gridDim`` along an axis."""

    def value(b: Batch) -> Array:
        shape = b.block_shape if name in ("tid", "ntid") else b.grid_shape
        if name[0] == "n":
            return np.array([shape[axis]])
        index = b.thread_of if name == "tid" else b.block_of
        return index // int(np.prod(shape[:axis])) % shape[axis]

    return value


def _bit(b: Batch) -> Array:
    return np.uint64(1) << (b.lane % WARP).astype("u8")


SPECIALS: dict[str, Callable[[Batch], Array]] = {
    **{
        f"%{name}.{'xyz'[axis]}": _index(name, axis)
        for name in ("tid", "ntid", "ctaid", "nctaid")
        for axis in range(3)
    },
    "%laneid": lambda b: b.lane % WARP,
    "%warpid": lambda b: b.thread_of // WARP,
    "%nwarpid": lambda b: np.array([b.per // WARP]),
    "WARP_SZ": lambda b: np.array([WARP]),
    "%smid": lambda b: np.array([0]),
    "%nsmid": lambda b: np.array([1]),
    "%gridid": lambda b: np.array([b.device.launches]),
    "%lanemask_eq": _bit,
    "%lanemask_lt": lambda b: _bit(b) - np.uint64(1),
    "%lanemask_le": lambda b: (_bit(b) << np.uint64(1)) - np.uint64(1),
    "%lanemask_gt": lambda b: ~((_bit(b) << np.uint64(1)) - np.uint64(1)),
    "%lanemask_ge": lambda b: ~(_bit(b) - np.uint64(1)),
    "%dynamic_smem_size": lambda b: np.array([b.dynamic]),
    "%total_smem_size": lambda b: np.array([b.shared_limit]),
}


def _argument_memory(arguments: bytes) -> Memory:
    memory = scratch(len(arguments))
    memory.data[: len(arguments)] = np.frombuffer(arguments, "u1")
    memory.state[: len(arguments)] = WRITTEN
    return memory
