"""Defects in words: kernel, source line, thread and block, where, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpunn.sim.sources import place, places, quote
from gpunn.sim.values import Array

if TYPE_CHECKING:
    from gpunn.sim.machine import Batch
    from gpunn.sim.syntax import Instruction

FIXES = {
    "out of bounds": "guard the access with the array's size, or launch as many threads as there "
    "are elements",
    "freed": "hold a reference to the array for as long as kernels or graphs use its memory",
    "device": "launch the kernel on the array's device, or copy the array: cupy.asarray(x) within "
    "cupy.cuda.Device(n)",
    "misaligned": "a vector access needs an address that is a multiple of its size: check the "
    "offset and the row length, or use narrower accesses",
    "uninitialised": "write the memory first: cupy.zeros for cupy.empty, an initial value, or the "
    "store that was skipped",
    "shared-memory race": "put __syncthreads() between the two accesses (__syncwarp() within a "
    "warp), on every path and in every turn of a loop",
    "race between blocks": "blocks run in any order: give each its own output, use atomics, or "
    "split the work into two kernels",
    "barrier": "every thread of the block must reach the same __syncthreads(): move it out of the "
    "branch or loop, and guard the work instead of returning early",
    "absent lanes": "all lanes that the mask names must run the instruction together: move it out "
    "of the branch, or build the mask with __ballot_sync before the branch",
    "cp.async": "wait for the copy (cp.async.wait_group, __pipeline_wait_prior), then "
    "__syncthreads(), before the data is read",
    "limit": "use smaller blocks, less memory, or opt in (max_dynamic_shared_size_bytes)",
    "endless": "check the loop's condition; if the kernel is only long, raise "
    "gpunn.sim.install(budget=...)",
    "trap": "the kernel stopped itself",
}


class Defect(Exception):  # noqa: N818  # what it is, not what went wrong in Python
    """What is wrong with a kernel or its launch."""


def launch_defect(kernel: str, what: str, detail: str) -> Defect:
    """A launch that a GPU would refuse."""
    return Defect(f"{kernel}: {what}\n  {detail}\n  fix: {FIXES['limit']}")


def defect(
    batch: Batch, instruction: Instruction, kind: str, what: str, lanes: Array, detail: str
) -> Defect:
    """A defect at an instruction, found in ``lanes`` (numbers in the batch; the first is named)."""
    file, line = place(instruction.lines)
    lane = int(lanes[0])
    where = f" at {file}:{line}" if file else ""
    others = f" and {len(lanes) - 1} more" if len(lanes) > 1 else ""
    text = [
        f"{batch.kernel.name}: {what}{where}, thread {batch.thread(lane)} of block "
        f"{batch.block(lane)}{others}"
    ]
    for file, line in places(instruction.lines):
        if quote(file, line):
            text.append(f"{file}:{line}: {quote(file, line)}")
    text.append(f"PTX: {instruction.text}")
    if detail:
        text.append(detail)
    text.append(f"fix: {FIXES[kind]}")
    return Defect("\n  ".join(text))
