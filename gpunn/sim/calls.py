"""What a driver offers to kernels: a failed ``assert``, and ``printf``."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from gpunn.sim.machine import Batch
from gpunn.sim.memory import SHARED_WINDOW, WRITTEN
from gpunn.sim.operands import reader
from gpunn.sim.program import Step
from gpunn.sim.syntax import Instruction, Symbol


def call(i: Instruction) -> Step:
    """What a driver offers to kernels: a failed ``assert``, and ``printf``."""
    readers = [
        reader(Symbol(o.variable), "u64") if isinstance(o, Symbol) else reader(o, "u64")
        for o in i.operands
    ]

    def arguments(b: Batch, lane: int) -> list[int]:
        row = int(b.lanes[lane]) * b.local_size
        starts = [row + int(r(b)[0]) for r in readers]
        return [int.from_bytes(b.local.data[s : s + 8].tobytes(), "little") for s in starts]

    def assertion(b: Batch) -> None:
        message, file, line = arguments(b, 0)[:3]
        where = f"{_string(b, file)}:{line & 0xFFFFFFFF}"
        text = f"assertion `{_string(b, message)}` failed ({where})"
        raise b.fail(i, "trap", text, b.lanes)

    def say(b: Batch) -> None:
        for lane in range(b.count):
            text, values = arguments(b, lane)[:2]
            result = int(b.lanes[lane]) * b.local_size + int(readers[-1](b)[0])
            b.local.state[result : result + 4] = WRITTEN
            print(_formatted(b, _string(b, text), values, int(b.lanes[lane])), end="")

    return Step(i, assertion if i.opcode[1] == "__assertfail" else say)


def _string(b: Batch, address: int) -> str:
    start = address - b.arena.base
    data = b.arena.data[start : start + 4096].tobytes()
    return data.partition(b"\0")[0].decode(errors="replace")


def _formatted(b: Batch, text: str, address: int, lane: int) -> str:
    """``printf``'s arguments lie one after the other, each at a multiple of its size."""
    at = (address & (SHARED_WINDOW - 1)) + lane * b.local_size
    start = at
    out: list[Any] = []
    for found in re.finditer(r"%[-+ #0]*\d*(?:\.\d+)?(hh|h|ll|l)?([diouxXcsfeEgGp%])", text):
        length, kind = found.groups()
        if kind == "%":
            continue
        size = 8 if kind in "feEgGsp" or length in ("l", "ll") else 4
        at = start + -(-(at - start) // size) * size
        raw = b.local.data[at : at + size].tobytes()
        at += size
        if kind in "feEgG":
            out.append(float(np.frombuffer(raw, "f8")[0]))
        elif kind == "s":
            out.append(_string(b, int.from_bytes(raw, "little")))
        else:
            out.append(int.from_bytes(raw, "little", signed=kind in "di"))
    clean = re.sub(r"(%[-+ #0]*\d*(?:\.\d+)?)(?:hh|h|ll|l)?([diouxXcsfeEgGp%])", r"\1\2", text)
    return clean.replace("%p", "%x") % tuple(out)
