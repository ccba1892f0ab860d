"""A kernel made ready to run, and how to run it: what the machine is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpunn.sim.ptx import Module
from gpunn.sim.syntax import Instruction, Kernel
from gpunn.sim.values import Array

if TYPE_CHECKING:
    from gpunn.sim.machine import Batch

STATIC_SHARED = 49152  # bytes of shared memory; more of it only on request


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
    straight: list[int]  # from each step, the end of what runs without a look around
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
