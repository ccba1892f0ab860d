"""The simulated GPU: its memory, its settings, its counters; launches, and their limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import numpy as np

from gpunn.sim.machine import WARP, Batch
from gpunn.sim.memory import Arena
from gpunn.sim.profile import Profile
from gpunn.sim.program import STATIC_SHARED, Program, Settings
from gpunn.sim.ptx import Module
from gpunn.sim.races import GlobalRaces
from gpunn.sim.report import launch_defect
from gpunn.sim.syntax import PtxError

MAX_THREADS, MAX_GRID = 1024, (2**31 - 1, 65535, 65535)
# Compute capability -> shared memory that a block may opt in to, in bytes.
SHARED_LIMITS = {
    75: 65536,
    80: 166912,
    86: 101376,
    89: 101376,
    90: 232448,
    100: 232448,
    120: 101376,
}


_MAX_BLOCKS = 1 << 26  # more would be hours


@dataclass(slots=True)
class Device:
    """The simulated GPU: its memory, settings and counters."""

    arena: Arena
    settings: Settings
    arch: int = 80
    races: GlobalRaces = field(init=False)
    profile: Profile = field(default_factory=Profile)
    executed: int = 0  # thread-instructions
    launches: int = 0

    def __post_init__(self) -> None:
        self.races = GlobalRaces(self.arena)

    @property
    def shared_limit(self) -> int:
        """Bytes of shared memory that a block may opt in to."""
        return SHARED_LIMITS[self.arch]

    def load(self, module: Module) -> None:
        """Give a module's variables their places and their initial values."""
        variables = {n: v for n, v in module.variables.items() if v.space != "shared"}
        for v in variables.values():
            v.offset = self.arena.allocate(v.size, f"the {v.space} variable {v.name}")
        for v in variables.values():
            data = bytearray(v.data or bytes(v.size))
            for at, name, plus in v.links:
                if name not in variables:
                    raise PtxError(
                        f"{v.name} holds the address of {name}: pointers to functions are not "
                        "simulated"
                    )
                data[at : at + 8] = (variables[name].offset + plus).to_bytes(8, "little")
            self.arena.fill(v.offset, bytes(data))

    def launch(
        self,
        program: Program,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        dynamic: int,
        arguments: bytes,
    ) -> None:
        """Run a grid to its end. Raises `Defect` at the first thing that is wrong."""
        kernel, threads, blocks = program.kernel, prod(block), prod(grid)
        _check_limits(program, grid, block, dynamic, self.shared_limit)
        self.launches += 1
        self.races.launch(blocks)
        order = None
        if self.settings.seed:
            order = np.random.default_rng(self.settings.seed + self.launches).permutation(blocks)
        per = -(-threads // WARP) * WARP
        share = max(1, self.settings.lanes // per)
        if kernel.shared + dynamic:  # shared memory and its checks stay within bounds
            share = max(1, min(share, (1 << 22) // (kernel.shared + dynamic)))
        with np.errstate(all="ignore"):
            for start in range(0, blocks, share):
                some = np.arange(start, min(start + share, blocks))
                some = some if order is None else order[some]
                Batch(self, program, grid, block, dynamic, arguments, some).run()


def _check_limits(
    program: Program,
    grid: tuple[int, int, int],
    block: tuple[int, int, int],
    dynamic: int,
    shared_limit: int,
) -> None:
    name, limits = program.kernel.name, program.kernel.limits
    threads = prod(block)
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
    if prod(grid) > _MAX_BLOCKS:
        raise NotImplementedError(
            f"{name}: {prod(grid)} blocks; the simulator takes {_MAX_BLOCKS}, in many minutes: let "
            "each thread do more, in a loop with a stride of the grid"
        )
    static = program.kernel.shared
    if static > STATIC_SHARED or static + dynamic > max(program.dynamic_limit, STATIC_SHARED):
        raise launch_defect(
            name,
            "shared memory over the limits",
            f"{static} bytes static and {dynamic} dynamic; this launch may have "
            f"{max(program.dynamic_limit, STATIC_SHARED)} (the device has {shared_limit})",
        )
