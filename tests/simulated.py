"""Run kernels on a simulated device of one's own, from PTX or CUDA text, without CuPy's arrays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpunn.sim.device import Device
from gpunn.sim.instructions import prepare
from gpunn.sim.memory import WRITTEN, Arena
from gpunn.sim.program import Settings
from gpunn.sim.ptx import Module
from gpunn.sim.sources import add

HEADER = ".version 8.0\n.target sm_80\n.address_size 64\n"


class Machine:
    """A device; `run` takes NumPy arrays and scalars, and writes the arrays back."""

    def __init__(self, **settings: Any) -> None:
        self.device = Device(Arena(1 << 28), Settings(**settings))
        self.limit: int | None = None  # of dynamic shared memory, where a kernel opts in

    def run(
        self,
        text: str,
        name: str,
        grid: Sequence[int],
        block: Sequence[int],
        *arguments: Any,
        dynamic: int = 0,
    ) -> None:
        arena, module = self.device.arena, Module(text)
        self.device.load(module)
        program = prepare(module, name)
        if self.limit is not None:
            program.dynamic_limit = self.limit
        raw, placed = bytearray(), []
        for parameter, value in zip(program.kernel.parameters, arguments, strict=True):
            raw += bytes(parameter.offset - len(raw))
            if isinstance(value, np.ndarray):
                address = arena.allocate(value.nbytes, f"array {len(placed) + 1}")
                start = address - arena.base
                arena.data[start : start + value.nbytes] = value.reshape(-1).view("u1")
                arena.state[start : start + value.nbytes] = WRITTEN
                placed.append((value, address))
                value = np.uint64(address)
            raw += value.tobytes()
        full = [*grid, 1, 1][:3], [*block, 1, 1][:3]
        self.device.launch(program, tuple(full[0]), tuple(full[1]), dynamic, bytes(raw))  # type: ignore[arg-type]
        for value, address in placed:
            start = address - arena.base
            value.reshape(-1).view("u1")[:] = arena.data[start : start + value.nbytes]
            arena.free(address)


def compiled(source: str, arch: int, name: str = "test.cu") -> str:
    """CUDA text to PTX, by NVRTC, with line numbers that reports can quote."""
    import cupy.cuda  # noqa: F401  # finds NVRTC's wheel
    from cupy_backends.cuda.libs import nvrtc

    add(source, name)
    program = nvrtc.createProgram(source, name, (), ())
    try:
        flags = ("-lineinfo", "-ftz=true", "-default-device", *include_flags())
        nvrtc.compileProgram(program, (f"-arch=compute_{arch}", *flags))
        return nvrtc.getPTX(program).decode()
    finally:
        nvrtc.destroyProgram(program)


def include_flags() -> tuple[str, ...]:
    """Where the CUDA headers (cuda_fp16.h, mma.h) are."""
    import importlib.util

    spec = importlib.util.find_spec("nvidia.cu13")
    if spec is None or spec.submodule_search_locations is None:
        return ()
    return (f"-I{next(iter(spec.submodule_search_locations))}/include",)


def line_of(source: str, mark: str) -> int:
    """The number of the line that contains ``mark``."""
    return next(i for i, text in enumerate(source.split("\n"), 1) if mark in text)


def one_instruction(line: str, inputs: Sequence[str], output: str, declarations: str = "") -> str:
    """PTX of a kernel ``k(in1, in2, ..., out, n)`` that does ``line`` in each of 64 threads.

    ``%a``, ``%b``, ``%c`` are inputs and ``%d`` is the result, of the PTX types given.
    """
    size = {t: int(re.sub(r"\D", "", t.split("x")[0])) // 8 for t in (*inputs, output)}
    size |= {t: 4 for t in (*inputs, output) if t.endswith("x2")}
    registers, loads = "", ""
    for name, type, i in zip("abc", inputs, range(3), strict=False):
        bits = 8 * size[type]
        registers += f".reg .b{max(bits, 16)} %{name}; .reg .b64 %p{name};\n"
        loads += f"ld.param.u64 %p{name}, [k_param_{i}];\n"
        loads += f"mad.wide.u32 %p{name}, %t, {size[type]}, %p{name};\n"
        loads += f"ld.global.b{bits} %{name}, [%p{name}];\n"
    n, bits = len(inputs), 8 * size[output]
    parameters = ", ".join(f".param .u64 k_param_{i}" for i in range(n + 1))
    return (
        f"{HEADER}.visible .entry k({parameters})\n{{\n.reg .b32 %t; .reg .b64 %po;\n"
        f".reg .pred %q, %q2;\n.reg .b{max(bits, 16)} %d;\n{registers}{declarations}\n"
        f"mov.u32 %t, %tid.x;\n{loads}{line}\nld.param.u64 %po, [k_param_{n}];\n"
        f"mad.wide.u32 %po, %t, {size[output]}, %po;\nst.global.b{bits} [%po], %d;\nret;\n}}\n"
    )
