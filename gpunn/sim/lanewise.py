"""Instructions of `gpunn.sim.ops.TABLE` made ready: operands, rounding, saturation, flushing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gpunn.sim import ops
from gpunn.sim.machine import Batch
from gpunn.sim.operands import (
    Reader,
    Writer,
    flushed_reader,
    flushed_writer,
    reader,
    unsupported,
    writer,
)
from gpunn.sim.program import Step
from gpunn.sim.syntax import SIZES, Instruction, Operand
from gpunn.sim.values import (
    Array,
    exact_fma,
    exact_product,
    fma32,
    fma64,
    narrow,
    two_product,
    two_sum,
)

_ROUNDING = ("rn", "rz", "rm", "rp", "rna")
_IGNORED = frozenset((*_ROUNDING, "ftz", "approx", "full", "uni", "to"))
_WIDER = {"u16": "u32", "s16": "s32", "u32": "u64", "s32": "s64"}


def lane_wise(i: Instruction) -> Step:
    """An instruction of `ops.TABLE`: readers, the function, rounding and flushing, writers."""
    type = i.opcode[-1]
    if type not in SIZES:
        raise unsupported(i)
    floating = type[0] == "f" or type[:2] == "bf"
    words = [m for m in i.opcode[1:-1] if m not in _IGNORED and not (m == "sat" and floating)]
    words = [m for m in words if m not in SIZES]
    name = next(
        (n for k in (2, 1, 0) if (n := ".".join((i.opcode[0], *words[:k]))) in ops.TABLE), ""
    )
    if not name or name.count(".") != len(words):
        raise unsupported(i)
    signature, function = ops.TABLE[name]
    function = _rounded(i, name.partition(".")[0], type, function)
    results, operands = signature.split("=")
    types = {
        "t": type,
        "f": i.opcode[-2] if i.opcode[-2] in SIZES else type,
        "w": _WIDER.get(type, type),
        "u": "u32",
        "p": "pred",
    }
    flushing = "ftz" in i.opcode and type == "f32"
    given = iter(i.operands)
    writers = [_writer(given, types[c], flushing) if c != "c" else _carry_writer for c in results]
    readers = [_reader(given, types[c], flushing) if c != "c" else _carry_reader for c in operands]
    if next(given, None) is not None:
        raise unsupported(i, "too many operands")
    if len(writers) == 1:
        return Step(i, _one_result(writers[0], readers, function))

    def run(b: Batch) -> None:
        for write, value in zip(writers, function(*(r(b) for r in readers)), strict=True):
            write(b, value)

    return Step(i, run)


def _writer(given: Iterator[Operand], type: str, flushing: bool) -> Writer:
    operand = next(given)
    write = writer(operand, type)
    return flushed_writer(operand, write) if flushing and type == "f32" else write


def _reader(given: Iterator[Operand], type: str, flushing: bool) -> Reader:
    operand = next(given)
    read = reader(operand, type)
    return flushed_reader(operand, read) if flushing and type == "f32" else read


def _one_result(
    write: Writer, readers: list[Reader], function: Callable[..., Array]
) -> Callable[[Batch], None]:
    """Without a loop for the common numbers of operands: this is what a simulation spends on."""
    if len(readers) == 1:
        (x,) = readers
        return lambda b: write(b, function(x(b)))
    if len(readers) == 2:
        x, y = readers
        return lambda b: write(b, function(x(b), y(b)))
    if len(readers) == 3:
        x, y, z = readers
        return lambda b: write(b, function(x(b), y(b), z(b)))
    return lambda b: write(b, function(*(r(b) for r in readers)))


def _carry_reader(b: Batch) -> Array:
    return b.carry if len(b.carry) == 1 else b.carry[b.pick]


def _carry_writer(b: Batch, value: Array) -> None:
    carry = np.zeros(b.width, bool)
    carry[:] = b.carry
    carry[b.pick] = value
    b.carry = carry


_EXACT: dict[str, Callable[..., tuple[Array, Array]]] = {
    "add": two_sum,
    "sub": lambda a, b: two_sum(a, -b),
    "mul": exact_product,
    "fma": exact_fma,
    "mad": exact_fma,
    "div": lambda a, b: (a / b, np.zeros(1)),
    "rcp": lambda a: (1 / a, np.zeros(1)),
    "sqrt": lambda a: (np.sqrt(a), np.zeros(1)),
}
_EXACT64 = _EXACT | {"mul": two_product, "fma": fma64, "mad": fma64}


def _rounded(
    i: Instruction, base: str, type: str, function: Callable[..., Any]
) -> Callable[..., Any]:
    """The function with the instruction's rounding mode and saturation."""
    mode = next((m for m in i.opcode if m in ("rz", "rm", "rp")), "rn")
    fused = base in ("fma", "mad")
    if fused and type == "f32" and mode == "rn":
        function = fma32
    elif base in _EXACT and type == "f32" and mode != "rn":
        function = _exactly(_EXACT[base], mode, np.dtype("f4"))
    elif base in _EXACT and type == "f64" and (mode != "rn" or fused):
        if base in ("div", "rcp", "sqrt"):
            raise unsupported(i, "directed rounding of a double")
        function = _exactly(_EXACT64[base], mode, np.dtype("f8"))
    elif mode != "rn" and base in _EXACT and type in _NARROW:
        raise unsupported(i, "rounding mode")
    saturate, relu = "sat" in i.opcode, "relu" in i.opcode
    if (saturate and (type[0] == "f" or type[:2] == "bf")) or relu:
        return _saturated(function)
    return function


_NARROW = ("f16", "bf16", "f16x2", "bf16x2")


def _exactly(
    exact: Callable[..., tuple[Array, Array]], mode: str, dtype: Any
) -> Callable[..., Array]:
    def rounded(*values: Array) -> Array:
        return narrow(exact(*(v.astype("f8", copy=False) for v in values)), mode, dtype)

    return rounded


def _saturated(function: Callable[..., Array]) -> Callable[..., Array]:
    def clipped(*values: Array) -> Array:
        result = function(*values)
        return np.where(np.isnan(result), 0, np.clip(result, 0, 1) + 0).astype(result.dtype)

    return clipped
