"""Operands to readers and writers: how an instruction gets at registers, literals and addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpunn.sim.machine import SPECIALS, Batch
from gpunn.sim.memory import LOCAL_WINDOW, PARAM_WINDOW, SHARED_WINDOW
from gpunn.sim.syntax import (
    SIZES,
    Address,
    Immediate,
    Instruction,
    Name,
    Not,
    Operand,
    Pair,
    PtxError,
    Register,
    Special,
    Symbol,
    Vector,
)
from gpunn.sim.values import BITS, PACKED, PLAIN, TINY, Array, flush, lift, lower

Reader = Callable[[Batch], Array]
Writer = Callable[[Batch, Array], None]
WINDOWS = {"shared": SHARED_WINDOW, "local": LOCAL_WINDOW, "param": PARAM_WINDOW}


def unsupported(instruction: Instruction, why: str = "") -> PtxError:
    """The error for an instruction outside the table."""
    reason = f" ({why})" if why else ""
    return PtxError(f"the simulator does not know the instruction {instruction.text!r}{reason}")


def reader(operand: Operand, type: str) -> Reader:
    """A function that gets the operand's values, read as ``type``."""
    if isinstance(operand, Not):
        inner = reader(operand.register, type)
        return lambda b: ~inner(b)
    if isinstance(operand, Register):
        return _register_reader(operand, type)
    if isinstance(operand, Immediate):
        if type == "pred":
            constant = np.array([operand.bits("b32") != 0])
            return lambda _: constant
        bits = np.array([operand.bits(type)], BITS[SIZES[type]])
        return _constant_reader(bits, type)
    if isinstance(operand, Symbol):
        bits = np.array([operand.variable.offset + operand.offset], "u8")
        return _constant_reader(bits.astype(BITS[SIZES[type]]), type)
    if isinstance(operand, Special):
        return _special_reader(operand.name, type)
    raise PtxError(f"cannot read the operand {operand}")


def _constant_reader(bits: Array, type: str) -> Reader:
    values = lift(type)
    if type in PACKED:
        return lambda b: values(np.full(b.count, bits[0]))
    constant = values(bits)
    return lambda _: constant


def _special_reader(name: str, type: str) -> Reader:
    values, bits = lift(type), BITS[SIZES[type]]
    if name in ("%clock", "%clock_hi", "%clock64", "%globaltimer", "%globaltimer_lo"):
        return lambda b: values(np.array([b.device.executed & (2**32 - 1)]).astype(bits))
    if name not in SPECIALS:
        raise ValueError(f"{name} is not simulated")
    return lambda b: values(b.special(name).astype(bits))


def _register_reader(register: Register, type: str) -> Reader:
    slot, have, want = register.slot, SIZES[register.type], SIZES[type]
    if (register.type == "pred") != (type == "pred"):
        raise PtxError(f"a register of type {register.type} is read as {type}")
    if type == "pred":
        return lambda b: b.get(slot)
    values = lift(type)
    if type in PACKED:
        return lambda b: values(np.ascontiguousarray(b.full(b.get(slot))))
    if have == want and type in PLAIN:
        return _plain_reader(slot, PLAIN[type])
    if have == want:
        return lambda b: values(b.get(slot))
    bits = BITS[want]
    return lambda b: values(b.get(slot).astype(bits))


def _plain_reader(slot: int, dtype: np.dtype[Any]) -> Reader:
    """`Batch.get` and a view, without a call for either: simulations spend their time here."""

    def read(b: Batch) -> Array:
        value = b.registers[slot]
        if value is None or not (b.whole or len(value) == 1):
            value = b.get(slot)
        return value.view(dtype)

    return read


def writer(operand: Operand, type: str) -> Writer:
    """A function that sets the operand to values of ``type``, extended to the register's width."""
    if isinstance(operand, Name) and operand.text == "_":
        return lambda b, value: None
    if not isinstance(operand, Register):
        raise PtxError(f"cannot write to the operand {operand}")
    slot = operand.slot
    if operand.type == "pred":
        return lambda b, value: b.put(slot, value)
    have, bits_of = SIZES[operand.type], lower(type)
    if have == SIZES[type]:
        return lambda b, value: b.put(slot, bits_of(value))
    wide, signed = BITS[have], type[0] == "s" and type != "pred"

    def extended(b: Batch, value: Array) -> None:
        bits = bits_of(value)
        if signed:
            narrow = bits.view(f"i{bits.dtype.itemsize}")
            b.put(slot, narrow.astype(f"i{have}").view(wide))
        else:
            b.put(slot, bits.astype(wide))

    return extended


def flushed_reader(operand: Operand, read: Reader) -> Reader:
    """``read`` with denormal numbers as zeros; a register known to have none is not searched."""
    if not isinstance(operand, Register):
        return lambda b: flush(read(b))
    slot = operand.slot

    def flushed(b: Batch) -> Array:
        bits = b.registers[slot]
        value = read(b)
        if bits is None or b.normal[slot] is bits:
            return value
        small = np.abs(value) < TINY
        if np.count_nonzero(small):
            return value * ~small
        if b.whole or len(bits) == 1:
            b.normal[slot] = bits
        return value

    return flushed


def flushed_writer(operand: Operand, write: Writer) -> Writer:
    """``write`` with denormal numbers as zeros; the register is then known to have none."""
    if not isinstance(operand, Register):
        return write
    slot = operand.slot

    def flushed(b: Batch, value: Array) -> None:
        known = b.whole or (b.normal[slot] is b.registers[slot] is not None)
        write(b, flush(value))
        b.normal[slot] = b.registers[slot] if known else None

    return flushed


def items(operand: Operand) -> tuple[Operand, ...]:
    """A vector's elements; a lone operand is a vector of one."""
    return operand.items if isinstance(operand, Vector) else (operand,)


def pair(operand: Operand) -> tuple[Operand, Operand | None]:
    """The two destinations of ``p|q``."""
    return (operand.first, operand.second) if isinstance(operand, Pair) else (operand, None)


def address(operand: Operand) -> tuple[Reader, str]:
    """An address as a reader of 64-bit integers, and the space of the variable it names, if any."""
    if not isinstance(operand, Address):
        raise PtxError(f"{operand} is not an address")
    base, offset = operand.base, operand.offset
    if isinstance(base, Symbol):
        constant = np.array([base.variable.offset + base.offset + offset], "i8")
        return (lambda _: constant), base.variable.space
    wide = isinstance(base, Immediate) or (isinstance(base, Register) and SIZES[base.type] == 8)
    inner = reader(base, "u64" if wide else "u32")
    step = np.int64(offset)
    return (lambda b: inner(b).astype("i8") + step if offset else inner(b).astype("i8")), ""
