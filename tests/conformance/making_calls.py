"""Calls for what functions that make tensors take besides: ``out=``, ``layout``, ``pin_memory``."""

from __future__ import annotations

import numpy as np
from conformance.calls import Call, DType, call
from conformance.inputs import F16, F32, F64, I32, I64, Table, array, strided

CALLS = Table()


def outs(*shape: int) -> list[np.ndarray]:
    """What may be written to, of several dtypes and layouts."""
    made = [np.full(shape, 9, d) for d in (F32, F16, I64, I32, "uint8", "bool")]
    wide = strided(*shape, dtype=F32) if shape else made[0]
    return [*made, wide]


def into(*args: object, shape: tuple[int, ...], **options: object) -> list[Call]:
    given = [call(*args, out=x, **options) for x in outs(*shape)]
    return [
        *given,
        call(*args, out=outs(*shape)[0], dtype=DType(F32), **options),
        call(*args, out=outs(*shape)[0], dtype=DType(F64), **options),
        call(*args, out=3, **options),
        call(*args, layout=3, **options),
        call(*args, pin_memory=False, **options),
    ]


CALLS.add("zeros ones", into(2, 3, shape=(2, 3)) + into((), shape=()) + into(0, shape=(0,))[:3])
CALLS.add("full", into((2, 3), 3, shape=(2, 3)) + into((2,), 2.5, shape=(2,))[:2])
CALLS.add("eye", into(3, shape=(3, 3)) + into(2, 3, shape=(2, 3)))
CALLS.add("arange", [c for c in into(5, shape=(5,)) if "bool" not in str(c)])
CALLS.add("arange", into(1.5, 4, 0.5, shape=(5,))[:2])
CALLS.add("linspace", into(0, 2, 5, shape=(5,))[:2] + into(0, 2, 5, shape=(5,))[6:])
CALLS.add("logspace", into(0, 1, 5, shape=(5,))[:2] + into(0, 1, 5, shape=(5,))[6:])
LIKE = array(2, 3, dtype=F32)
CALLS.add(
    "zeros_like ones_like",
    [
        call(LIKE, pin_memory=False),
        call(LIKE, dtype=DType(I64), pin_memory=False),
        call(strided(2, 3, dtype=F32), pin_memory=False),
        call(LIKE, layout=3),
        call(LIKE, out=LIKE),
        call(LIKE, names=3),
    ],
)
CALLS.add("Tensor.new_zeros Tensor.new_ones", [call(LIKE, 2, 3, pin_memory=False)])
CALLS.add("Tensor.new_full", [call(LIKE, (2,), 3, pin_memory=False), call(LIKE, (2,), 3, layout=3)])
