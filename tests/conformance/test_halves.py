"""The table's calls in 16-bit floats: PyTorch's dtypes, and its numbers within one unit.

A unit in the last place of PyTorch's result; or no farther than that result from the one computed
in float64 of the same 16-bit numbers, where PyTorch itself rounds on the way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conformance import (
    counting_calls,
    index_calls,
    joining_calls,
    pointwise_calls,
    product_calls,
    reduction_calls,
    shape_calls,
)
from conformance.calls import Call, DType, flat, unwarned
from conformance.compared import COMPARED

import gpunn

CALLS: dict[str, list[Call]] = {}
for family in (
    pointwise_calls,
    reduction_calls,
    counting_calls,
    product_calls,
    shape_calls,
    joining_calls,
    index_calls,
):
    CALLS |= family.CALLS
# Bits of the mantissa, and the least number above 0.
KINDS = {"float16": (10, 2.0**-24), "bfloat16": (7, 2.0**-133)}
# PyTorch computes these in 32 or 64 bits alone, or makes of NaN's sign another one.
OTHERWISE = ("cdist", "det", "slogdet", "logdet", "inverse", "signbit")


def narrowed(lib: Any, value: Any, kind: str, wide: bool) -> Any:
    """``value`` with its float arrays as tensors of ``kind``, or what they hold as float64."""
    if isinstance(value, np.ndarray):
        tensor = lib.from_numpy(value.copy("K"))
        if value.dtype.kind == "f":
            tensor = tensor.to(getattr(lib, kind))
        return tensor.double() if wide and value.dtype.kind == "f" else tensor
    if isinstance(value, DType):
        return getattr(lib, value.name)
    if isinstance(value, (list, tuple)):
        return type(value)(narrowed(lib, v, kind, wide) for v in value)
    return value


def results(lib: Any, name: str, given: Call, kind: str, wide: bool = False) -> Any:
    """The names of the results' dtypes and their values as float64; None where it refuses."""
    args = [narrowed(lib, a, kind, wide) for a in given.args]
    options = {k: narrowed(lib, v, kind, wide) for k, v in given.kwargs.items()}
    try:
        found = list(flat(getattr(lib, name)(*args, **options)))
    except (RuntimeError, IndexError, ValueError, TypeError):
        return None
    return [
        (str(x.dtype).partition(".")[2], x.double().numpy()) if hasattr(x, "dtype") else (x, None)
        for x in found
    ]


def difference(name: str, given: Call, kind: str, torch: Any) -> str | None:
    """What differs; None where all agrees."""
    ours, theirs = (results(lib, name, given, kind) for lib in (gpunn, torch))
    if ours is None or theirs is None:
        return None if ours is theirs else f"{ours} where PyTorch gives {theirs}"
    exact: Any = None
    for i, ((have, x), (want, y)) in enumerate(zip(ours, theirs, strict=True)):
        if have != want or np.shape(x) != np.shape(y):
            return f"result {i} is {have}{np.shape(x)}, PyTorch's {want}{np.shape(y)}"
        if have not in KINDS:
            if not (x is None or np.allclose(x, y, 1e-5, 1e-7, equal_nan=True)):
                return f"result {i} is\n{x}\nPyTorch's\n{y}"
            continue
        bits, least = KINDS[have]
        unit = np.maximum(np.exp2(np.floor(np.log2(np.abs(y)))) * 2.0**-bits, least)
        right = (x == y) | (np.isnan(x) & np.isnan(y)) | (np.abs(x - y) <= 1.01 * unit)
        if not np.all(right):
            exact = exact or results(torch, name, given, kind, wide=True)
            z = exact[i][1]
            near = np.abs(x - z) <= np.abs(y - z) + 0.51 * unit
            near |= np.isnan(y) & np.isclose(x, z, 2.0**-bits)  # of infinity times 0
            if not np.all(right | near):
                return f"result {i} is\n{x}\nPyTorch's\n{y}\nin float64\n{z}"
    return None


def _takes_floats(given: Call) -> bool:
    """Whether there are floats among the arguments, all of one dtype that is none of 16 bits."""
    arrays = [a for a in flat([*given.args, *given.kwargs.values()]) if isinstance(a, np.ndarray)]
    kinds = {a.dtype for a in arrays if a.dtype.kind == "f"}
    return len(kinds) == 1 and kinds.pop().itemsize > 2


@pytest.mark.parametrize(
    "name", [n for n in CALLS if hasattr(gpunn, n) and n not in (*COMPARED, *OTHERWISE)]
)
def test_in_16_bits(name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    wrong: list[str] = []
    with unwarned():
        for given in filter(_takes_floats, CALLS[name]):
            for kind in KINDS:
                text = difference(name, given, kind, torch)
                if text is not None:
                    wrong.append(f"{name}({given}) in {kind}: {text}")
    assert not wrong, "\n".join(wrong)
