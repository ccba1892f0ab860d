"""Tensor cores: ``ldmatrix``, ``mma.sync`` and ``wmma``, by the layouts of the PTX manual.

A fragment is described by where its elements lie: lane ``4 g + q`` holds, in register ``r``, half
``h``, the element at (row, column) that the functions below give. Products are summed exactly (in
double precision) and rounded once, where the hardware rounds in its own ways.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gpunn.sim.access import load_rows, space_of, store_rows
from gpunn.sim.machine import WARP, Batch
from gpunn.sim.operands import address, items, reader, unsupported, writer
from gpunn.sim.program import Step
from gpunn.sim.syntax import SIZES, Instruction, Operand
from gpunn.sim.values import Array, from_bfloat
from gpunn.sim.warp import ALL_LANES

_LANE = np.arange(WARP)
_G, _Q = _LANE >> 2, _LANE & 3

Place = tuple[Array, Array]  # rows and columns of one element of each lane


def _step(i: Instruction, run: Callable[[Batch], None]) -> Step:
    """A step for whole warps: a lane that has ended, or that the block lacks, is missed."""

    def together(b: Batch) -> None:
        part = b.lanes[:0] if b.whole else b.lanes[b.warp_bits(b.lanes)[b.pick] != ALL_LANES]
        if len(part):
            detail = "all 32 lanes must run it: some have ended, or the block ends within the warp"
            raise b.fail(i, "absent lanes", "matrix operation with absent lanes", part, detail)
        run(b)

    return Step(i, together, members=lambda _: ALL_LANES)


def _a(r: int, h: int, wide: bool) -> Place:
    """Matrix A, 16 rows: 32-bit elements one a register, 16-bit elements two."""
    row = _G + 8 * (r & 1)
    return (row, _Q + 4 * (r >> 1)) if wide else (row, 2 * _Q + h + 8 * (r >> 1))


def _b(r: int, h: int, wide: bool) -> Place:
    """Matrix B, 8 columns."""
    return (_Q + 4 * r, _G) if wide else (2 * _Q + h + 8 * r, _G)


def _c(r: int, h: int, wide: bool) -> Place:
    """The accumulators, 16 rows by 8 columns."""
    return (_G + 8 * (r >> 1), 2 * _Q + (r & 1)) if wide else (_G + 8 * r, 2 * _Q + h)


def _decode(bits: Array, type: str, half: int) -> Array:
    """The numbers in 32-bit registers; tensor cores ignore the low bits of tf32."""
    if type == "tf32":
        return (bits & np.uint32(0xFFFFE000)).view("f4")
    if type == "f32":
        return bits.view("f4")
    part = (bits >> np.uint32(16 * half)).astype("u2")
    return part.view("f2") if type == "f16" else from_bfloat(part)


class _Fragment(NamedTuple):
    operands: tuple[Operand, ...]
    place: Callable[[int, int, bool], Place]
    type: str

    def places(self) -> list[tuple[int, int, Place]]:
        """(register, half, place) of every element."""
        wide = self.type in ("tf32", "f32")
        return [
            (r, h, self.place(r, h, wide))
            for r in range(len(self.operands))
            for h in range(1 if wide else 2)
        ]

    def gather(self, shape: tuple[int, int]) -> Callable[[Batch], Array]:
        """A function that makes the warps' matrices, (warps, rows, columns) in double."""
        readers = [reader(o, "b32") for o in self.operands]
        places = self.places()

        def read(b: Batch) -> Array:
            bits = [np.ascontiguousarray(b.full(r(b))).reshape(-1, WARP) for r in readers]
            out = np.zeros((b.count // WARP, *shape))
            for r, h, (row, column) in places:
                out[:, row, column] = _decode(bits[r], self.type, h)
            return out

        return read

    def scatter(self) -> Callable[[Batch, Array], None]:
        """A function that puts matrices into the registers."""
        writers = [writer(o, "b32") for o in self.operands]
        places = self.places()

        def write(b: Batch, matrices: Array) -> None:
            halves: dict[int, Array] = {}
            for r, h, (row, column) in places:
                value = np.ascontiguousarray(matrices[:, row, column]).ravel()
                if self.type == "f32":
                    halves[r] = value.astype("f4").view("u4")
                else:
                    bits = value.astype("f2").view("u2").astype("u4")
                    halves[r] = bits if h == 0 else halves[r] | bits << np.uint32(16)
            for r, write_one in enumerate(writers):
                write_one(b, halves[r])

        return write


def multiply(i: Instruction) -> Step:
    """``mma.sync``: D = A B + C for 16 x 8 tiles, A by rows and B by columns."""
    shape = next((p for p in i.opcode if re.fullmatch(r"m\d+n\d+k\d+", p)), "")
    types = [p for p in i.opcode if p in SIZES]
    match = re.fullmatch(r"m16n8k(4|8|16)", shape)
    if match is None or len(types) != 4 or types[0] not in ("f16", "f32") or types[1] != types[2]:
        raise unsupported(i)
    if types[1] not in ("f16", "bf16", "tf32"):
        raise unsupported(i)
    depth, (d, a, b_, c) = int(match[1]), (items(o) for o in i.operands)
    read_a = _Fragment(a, _a, types[1]).gather((16, depth))
    read_b = _Fragment(b_, _b, types[2]).gather((depth, 8))
    read_c = _Fragment(c, _c, types[3]).gather((16, 8))
    write_d = _Fragment(d, _c, types[0]).scatter()

    def run(b: Batch) -> None:
        write_d(b, read_a(b) @ read_b(b) + read_c(b))

    return _step(i, run)


def load_matrix(i: Instruction) -> Step:
    """``ldmatrix``: one to four 8 x 8 matrices of 16-bit elements, a row from each address."""
    if "m8n8" not in i.opcode or "b16" not in i.opcode:
        raise unsupported(i)
    writers = [writer(o, "b32") for o in items(i.operands[0])]
    at, named = address(i.operands[1])
    space, count, transposed = space_of(i, named or "shared"), len(writers), "trans" in i.opcode

    def run(b: Batch) -> None:
        where = np.ascontiguousarray(b.full(at(b))).reshape(-1, WARP)[:, : 8 * count].ravel()
        senders = b.lanes.reshape(-1, WARP)[:, : 8 * count].ravel()
        warps = b.count // WARP
        with b.only(senders):
            rows = load_rows(b, i, space, where, 16)
        tiles = rows.view("u2").reshape(warps, count, 8, 8)
        for k, write in enumerate(writers):
            tile = tiles[:, k].transpose(0, 2, 1) if transposed else tiles[:, k]
            low, high = tile[:, :, ::2].astype("u4"), tile[:, :, 1::2].astype("u4")
            write(b, np.ascontiguousarray(low | high << np.uint32(16)).ravel())

    return _step(i, run)


# wmma: the layout of a fragment is the hardware's own; here 16 x 16 tiles are halves of mma's.


def _wide_b(r: int, h: int, wide: bool) -> Place:
    """Matrix B of 16 columns: first the registers of columns 0 to 7, then those of 8 to 15."""
    per = 2
    row, column = _b(r % per, h, wide)
    return row, column + 8 * (r // per)


def _wide_b_twice(r: int, h: int, wide: bool) -> Place:
    """As `_wide_b`, where each register is kept twice (m16n16k16 has eight)."""
    return _wide_b(r % 4, h, wide)


def _wide_a_twice(r: int, h: int, wide: bool) -> Place:
    return _a(r % 4, h, wide)


def _wide_c(r: int, h: int, wide: bool) -> Place:
    per = 4 if wide else 2
    row, column = _c(r % per, h, wide)
    return row, column + 8 * (r // per)


_PLACES = {"a": _a, "b": _wide_b, "c": _wide_c, "d": _wide_c}
_TWICE = {"a": _wide_a_twice, "b": _wide_b_twice, "c": _wide_c, "d": _wide_c}


def _wide_fragment(
    i: Instruction, what: str, operands: tuple[Operand, ...], type: str
) -> _Fragment:
    if not any(s in i.opcode for s in ("m16n16k16", "m16n16k8")):
        raise unsupported(i)
    if type not in ("f16", "bf16", "tf32", "f32"):
        raise unsupported(i)
    places = _TWICE if len(operands) == 8 and type in ("f16", "bf16") else _PLACES
    return _Fragment(operands, places[what], type)


def matrix(i: Instruction) -> Step:
    """``wmma.load``, ``wmma.mma`` and ``wmma.store`` for 16 x 16 tiles."""
    if i.opcode[1] == "mma":
        return _wide_multiply(i)
    storing = i.opcode[1] == "store"
    what, type = i.opcode[2], i.opcode[-1]
    registers = items(i.operands[1] if storing else i.operands[0])
    at, named = address(i.operands[0] if storing else i.operands[1])
    space, stride = space_of(i, named), reader(i.operands[2], "u32")
    fragment = _wide_fragment(i, what, registers, "f32" if type == "tf32" else type)
    size, by_column = SIZES[type], "col" in i.opcode
    readers = [reader(o, "b32") for o in registers] if storing else []
    writers = [] if storing else [writer(o, "b32") for o in registers]

    def run(b: Batch) -> None:
        warps, start = b.count // WARP, b.full(at(b))
        step = b.full(stride(b)).astype("i8")
        halves: dict[int, Array] = {}
        for r, h, (row, column) in fragment.places():
            major, minor = (column, row) if by_column else (row, column)
            where = start + (np.tile(major, warps) * step + np.tile(minor, warps)) * size
            if storing:
                bits = (b.full(readers[r](b)) >> np.uint32(16 * h)).astype(f"u{size}")
                store_rows(b, i, space, where, size, bits[:, None])
            else:
                bits = load_rows(b, i, space, where, size).ravel().astype("u4")
                halves[r] = bits if h == 0 else halves[r] | bits << np.uint32(16)
        for r, write in enumerate(writers):
            write(b, halves[r])

    return _step(i, run)


def _wide_multiply(i: Instruction) -> Step:
    types = [p for p in i.opcode if p in SIZES]
    d, a, b_, c = (items(o) for o in i.operands)
    # wmma.mma.f32.f32 multiplies f16 and names only d and c; others name all four types.
    inner = types[1] if len(types) == 4 else "f16"
    depth = 8 if inner == "tf32" else 16
    read_a = _wide_fragment(i, "a", a, inner).gather((16, depth))
    read_b = _wide_fragment(i, "b", b_, inner).gather((depth, 16))
    read_c = _wide_fragment(i, "c", c, types[-1]).gather((16, 16))
    write_d = _wide_fragment(i, "d", d, types[0]).scatter()

    def run(b: Batch) -> None:
        write_d(b, read_a(b) @ read_b(b) + read_c(b))

    return _step(i, run)
