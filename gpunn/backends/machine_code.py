"""Reads CUDA machine code back: NVRTC makes it, nvdisasm takes it apart; neither needs a GPU.

Knows instructions, loops, registers and spills; not what a kernel should have of them.
"""

# pyright: reportMissingImports=false, reportMissingTypeStubs=false, reportUnknownMemberType=false
# CuPy has no types, and need not be there.

from __future__ import annotations

import functools
import importlib.metadata
import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
# What multiplies and adds. Not HFMA2: the compiler loads constants with it.
MATH = ("FFMA", "FFMA2", "DFMA", "HMMA", "DMMA", "IMMA")

_SIZE = 16  # bytes of an instruction
_KERNEL = re.compile(r"Compiling entry function '(\w+)'(.*?)(?=Compiling entry function|\Z)", re.S)
_FIGURES = {
    "registers": re.compile(r"Used (\d+) registers"),
    "shared": re.compile(r"(\d+) bytes smem"),
    "stack": re.compile(r"(\d+) bytes stack frame"),
    "stored": re.compile(r"(\d+) bytes spill stores"),
    "loaded": re.compile(r"(\d+) bytes spill loads"),
}


class Instruction(NamedTuple):
    """One instruction: ``@!P0 LDG.E.128 R4,[R2.64]``."""

    opcode: str
    operands: str = ""
    predicate: str = ""

    def target(self) -> int | None:
        """The index of the instruction that a branch goes to; None for any other."""
        place = self.operands.rpartition(",")[2]
        is_branch = _is_a(self.opcode, "BRA") and place.startswith("0x")
        return int(place, 16) // _SIZE if is_branch else None


class Section:
    """Instructions in a row."""

    instructions: tuple[Instruction, ...]

    def __len__(self) -> int:
        return len(self.instructions)

    def count(self, *names: str) -> int:
        """How many do one of these; ``"LDS"`` is any load, ``"LDS.128"`` one of 16 bytes."""
        return sum(
            n for opcode, n in self.opcodes.items() if any(_is_a(opcode, name) for name in names)
        )

    @functools.cached_property
    def math(self) -> int:
        """How many instructions multiply and add."""
        return self.count(*MATH)

    @property
    def density(self) -> float:
        """Which part of the instructions multiplies and adds."""
        return self.math / len(self)

    @functools.cached_property
    def opcodes(self) -> Counter[str]:
        """How often each instruction occurs, its modifiers included; but not what never runs."""
        return Counter(i.opcode for i in self.instructions if i.predicate != "@!PT")


@dataclass(frozen=True)
class Loop(Section):
    """What a branch back repeats; an inner loop holds no other one."""

    instructions: tuple[Instruction, ...] = field(repr=False)
    inner: bool


@dataclass(frozen=True)
class Code(Section):
    """The machine code of one kernel; ``stack``, ``spills`` and ``shared`` count bytes."""

    name: str
    arch: int
    registers: int
    stack: int
    spills: int
    shared: int
    cubin: bytes = field(repr=False)

    @functools.cached_property
    def instructions(self) -> tuple[Instruction, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return _disassembled(self.cubin)[self.name]

    @functools.cached_property
    def loops(self) -> tuple[Loop, ...]:
        """Every loop, in the order of the code."""
        branches = [(i.target(), end) for end, i in enumerate(self.instructions)]
        ranges = sorted(
            {(start, end) for start, end in branches if start is not None and start < end}
        )

        def inner(start: int, end: int) -> bool:
            return not any((i, j) != (start, end) and start <= i and j <= end for i, j in ranges)

        return tuple(Loop(self.instructions[i : j + 1], inner(i, j)) for i, j in ranges)

    @functools.cached_property
    def hot(self) -> Loop | None:
        """The shortest loop that holds nearly all the math of any; None where no loop has any."""
        most = max((loop.math for loop in self.loops), default=0)
        worthy = [loop for loop in self.loops if most and loop.math >= 0.9 * most]
        return min(worthy, key=len, default=None)

    def __str__(self) -> str:
        lines = [
            f"{self.name} on sm_{self.arch}: {len(self)} instructions, {self.registers} registers, "
            f"{self.spills} bytes spilled, {self.stack} bytes of stack, {self.shared} shared"
        ]
        if self.hot is not None:
            most = ", ".join(f"{n} {opcode}" for opcode, n in self.hot.opcodes.most_common(8))
            lines.append(
                f"  hot loop: {len(self.hot)} instructions, {self.hot.density:.3f} math: {most}"
            )
        return "\n".join(lines)


def problem() -> str | None:
    """Why machine code cannot be had here; None where it can."""
    try:
        _compiler()
        _nvdisasm()
    except RuntimeError as error:
        return str(error)
    return None


def machine_code(
    source: str, arch: int, options: Iterable[str] = (), name: str = "kernel.cu"
) -> dict[str, Code]:
    """The machine code of each kernel in a CUDA source, for sm_``arch``.

    ``options`` are NVRTC's (``-D``, ``-I``). Raises RuntimeError with the compiler's words where
    the source does not compile, and where CuPy, NVRTC or nvdisasm is missing.
    """
    cubin, log = _compile(source, name, [f"-arch=sm_{arch}", *_FLAGS, *options])
    codes: dict[str, Code] = {}
    for kernel, text in _KERNEL.findall(log):
        found = {key: pattern.search(text) for key, pattern in _FIGURES.items()}
        figures = {key: int(match[1]) if match else 0 for key, match in found.items()}
        spills = figures.pop("stored") + figures.pop("loaded")
        codes[kernel] = Code(kernel, arch, spills=spills, cubin=cubin, **figures)
    return codes


# As CuPy compiles; and with the assembler's word on registers and spills.
_FLAGS = ("-ftz=true", "-default-device", "--ptxas-options=-v")


@functools.cache
def _compiler() -> tuple[Any, str]:
    """NVRTC, and the folder of CUDA's headers."""
    try:
        import cupy.cuda
        from cupy_backends.cuda.libs import nvrtc

        nvrtc.getVersion()
    except Exception as error:  # CuPy is missing, or finds no NVRTC, and says so in its own way
        raise RuntimeError(f"machine code needs CuPy and NVRTC: {error}") from None
    return nvrtc, f"{cupy.cuda.get_cuda_path()}/include"


def _compile(source: str, name: str, options: Sequence[str]) -> tuple[bytes, str]:
    """The cubin and the compiler's log."""
    nvrtc, headers = _compiler()
    program = nvrtc.createProgram(source, name, (), ())
    try:
        nvrtc.compileProgram(program, (*options, f"-I{headers}"))
        # CuPy takes a last byte off, as if the cubin were text: it is a zero, and belongs there.
        cubin = nvrtc.getCUBIN(program)
        return cubin.ljust(-(-len(cubin) // 8) * 8, b"\0"), nvrtc.getProgramLog(program)
    except nvrtc.NVRTCError:
        raise RuntimeError(f"{name} does not compile:\n{nvrtc.getProgramLog(program)}") from None
    finally:
        nvrtc.destroyProgram(program)


@functools.lru_cache(maxsize=8)
def _disassembled(cubin: bytes) -> dict[str, tuple[Instruction, ...]]:
    """The instructions of each function, without the idle ones at its end."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.cubin")
        path.write_bytes(cubin)
        command = [_nvdisasm(), "-json", str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"nvdisasm failed: {done.stderr.strip()}")
    functions: list[dict[str, Any]] = json.loads(done.stdout)[1]
    bodies: dict[str, tuple[Instruction, ...]] = {}
    for function in functions:
        body = [
            Instruction(i["opcode"], i.get("operands", ""), i.get("predicate", ""))
            for i in function["sass-instructions"]
        ]
        while body[-1].opcode == "NOP":
            body.pop()
        bodies[function["function-name"]] = tuple(body)
    return bodies


@functools.cache
def _nvdisasm() -> str:
    """NVIDIA's disassembler: from its wheel, or from a CUDA toolkit on the PATH."""
    try:
        files = importlib.metadata.files("nvidia-cuda-nvdisasm") or ()
        return next(str(f.locate()) for f in files if f.stem == "nvdisasm")
    except (importlib.metadata.PackageNotFoundError, StopIteration):
        found = shutil.which("nvdisasm")
    if found is None:
        raise RuntimeError("machine code needs nvdisasm: pip install 'nvidia-cuda-nvdisasm>=13.2'")
    return found


def _is_a(opcode: str, name: str) -> bool:
    """Whether an opcode is that instruction, with at least those modifiers."""
    if not opcode.startswith(name.partition(".")[0]):
        return False
    base, *modifiers = name.split(".")
    own, *has = opcode.split(".")
    return own == base and set(modifiers) <= set(has)
