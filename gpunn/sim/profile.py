"""Counters per kernel and source line: instructions, sectors of global memory, bank conflicts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from gpunn.sim.sources import quote
from gpunn.sim.values import Array

SECTOR = 32  # bytes
_WIDTHS = 10, 9, 9, 9, 9, 9  # of the table's columns


@dataclass(slots=True)
class Line:
    """What a source line cost: an instruction counts once for each warp that runs it."""

    instructions: int = 0
    thread_instructions: int = 0
    requests: int = 0
    sectors: int = 0
    least_sectors: int = 0
    wavefronts: int = 0
    least_wavefronts: int = 0


@dataclass(slots=True)
class KernelProfile:
    """The lines of a kernel."""

    name: str
    lines: dict[tuple[str, int], Line] = field(default_factory=dict[tuple[str, int], Line])

    def line(self, where: tuple[str, int]) -> Line:
        """The counters of a source line."""
        return self.lines.setdefault(where, Line())

    def instruction(self, where: tuple[str, int], lanes: Array) -> None:
        """One instruction by these lanes."""
        line = self.line(where)
        line.instructions += len(np.unique(lanes >> 5))
        line.thread_instructions += len(lanes)

    def global_access(self, where: tuple[str, int], index: Array, size: int, lanes: Array) -> None:
        """A request for each warp; its sectors against those that its distinct bytes fill."""
        line, warp = self.line(where), lanes >> 5
        warps = np.unique(warp)
        line.requests += len(warps)
        sectors = warp * (1 << 40) + index // SECTOR
        line.sectors += len(np.unique(sectors))
        elements = np.unique(warp * (1 << 40) + index // size)
        each = np.searchsorted(warps, elements >> 40)
        line.least_sectors += int(-(-np.bincount(each) * size // SECTOR).sum())

    def shared_access(self, where: tuple[str, int], index: Array, size: int, lanes: Array) -> None:
        """Wavefronts: the most distinct words in a bank, for each 128 bytes that lanes ask for."""
        line = self.line(where)
        part = (lanes & 31) // max(1, min(32, 128 // max(size, 4)))
        phase = (lanes >> 5) * 32 + part
        count = max(size // 4, 1)
        words = (index[:, None] // 4 + np.arange(count)).ravel()
        distinct = np.unique(np.repeat(phase, count) * (1 << 34) + words)
        banks, conflicts = np.unique(distinct >> 34 << 5 | (distinct & 31), return_counts=True)
        starts = np.flatnonzero(np.r_[True, banks[1:] >> 5 != banks[:-1] >> 5])
        line.wavefronts += int(np.maximum.reduceat(conflicts, starts).sum())
        line.least_wavefronts += len(starts)


class Profile:
    """All kernels of a run."""

    def __init__(self) -> None:
        self.kernels: dict[str, KernelProfile] = {}

    def kernel(self, name: str) -> KernelProfile:
        """The counters of a kernel."""
        return self.kernels.setdefault(name, KernelProfile(name))

    def as_dict(self) -> dict[str, Any]:
        """For JSON: kernel -> "file:line" -> counters."""
        return {
            k.name: {f"{file}:{line}": asdict(c) for (file, line), c in sorted(k.lines.items())}
            for k in self.kernels.values()
        }

    def write(self, path: str) -> None:
        """As a JSON file."""
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.as_dict(), file, indent=1)

    def table(self) -> str:
        """For people."""
        out: list[str] = []
        for kernel in self.kernels.values():
            out.append(f"{kernel.name}")
            out.append(
                f"  {'line':>24} {'instr.':>10} {'requests':>9} {'sectors':>9} {'least':>9}"
                f" {'wavefr.':>9} {'least':>9}"
            )
            for (file, number), c in sorted(kernel.lines.items()):
                counts = (
                    c.instructions,
                    *(c.requests, c.sectors, c.least_sectors, c.wavefronts, c.least_wavefronts),
                )
                columns = " ".join(f"{n:>{w}}" for n, w in zip(counts, _WIDTHS, strict=True))
                place = f"{file}:{number}"
                out.append(f"  {place:>24} {columns}  {quote(file, number)[:60]}")
        return "\n".join(out)
