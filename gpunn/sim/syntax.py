"""What PTX is made of: types, variables, operands, instructions, kernels."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from gpunn.sim.sources import Line

SIZES = {
    **dict.fromkeys(("b8", "u8", "s8"), 1),
    **dict.fromkeys(("b16", "u16", "s16", "f16", "bf16"), 2),
    **dict.fromkeys(("b32", "u32", "s32", "f32", "tf32", "f16x2", "bf16x2"), 4),
    **dict.fromkeys(("b64", "u64", "s64", "f64"), 8),
    "b128": 16,
    "pred": 1,
}


class PtxError(Exception):
    """PTX that the simulator cannot read or run."""


Link = tuple[int, str, int]  # in an initial value: where, and the address of what plus how much


@dataclass(slots=True)
class Variable:
    """A named piece of memory; its offset is known once its module or kernel is laid out."""

    name: str
    space: str
    align: int
    size: int
    data: bytes = b""
    dynamic: bool = False
    offset: int = 0
    type: str = ""
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Register:
    """A virtual register: its number in the kernel and its declared type."""

    slot: int
    type: str


@dataclass(frozen=True, slots=True)
class Immediate:
    """A literal; how it reads depends on the instruction's type."""

    text: str

    def bits(self, type: str) -> int:
        """The literal's bits as a value of ``type``."""
        text = self.text.rstrip("U")
        size, kind = SIZES[type], text[:2].lower()
        if kind in ("0f", "0d"):
            code = "<f" if kind == "0f" else "<d"
            value = struct.unpack(
                code, int(text[2:], 16).to_bytes(4 if kind == "0f" else 8, "little")
            )
            if size == (4 if kind == "0f" else 8):
                return int(text[2:], 16)
            return int.from_bytes(struct.pack("<d" if size == 8 else "<f", value[0]), "little")
        if "." in text:
            code = "<d" if size == 8 else "<f"
            return int.from_bytes(struct.pack(code, float(text)), "little")
        return int(text, 0) & ((1 << 8 * size) - 1)


@dataclass(frozen=True, slots=True)
class Special:
    """A read-only register such as ``%tid.x``."""

    name: str


@dataclass(frozen=True, slots=True)
class Symbol:
    """The address of a variable plus an offset."""

    variable: Variable
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Address:
    """``[base+offset]``."""

    base: Operand
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Vector:
    """``{a, b, ...}``."""

    items: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """``p|q``, two destinations; the second may be the sink ``_``."""

    first: Operand
    second: Operand


@dataclass(frozen=True, slots=True)
class Not:
    """``!p``."""

    register: Register


@dataclass(frozen=True, slots=True)
class Name:
    """A word that no declaration knows: a label, a function, a target list, the sink ``_``."""

    text: str


Operand = Register | Immediate | Special | Symbol | Address | Vector | Pair | Not | Name


@dataclass(slots=True)
class Instruction:
    """One instruction: ``lines`` is its source line and the lines it was inlined at, inside out."""

    text: str
    opcode: tuple[str, ...]
    operands: tuple[Operand, ...]
    guard: Register | Not | None
    lines: tuple[Line, ...]
    targets: tuple[int, ...] = ()


@dataclass(slots=True)
class Kernel:
    """An entry function: parameters at once, instructions when it is first asked for."""

    name: str
    parameters: list[Variable]
    limits: dict[str, int]
    body: str
    slots: int = 0
    types: dict[int, str] = field(default_factory=dict[int, str])  # of each register
    shared: int = 0
    local: int = 0
    dynamic: Variable | None = None
    arrays: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])  # shared: where
    code: list[Instruction] = field(default_factory=list[Instruction])
