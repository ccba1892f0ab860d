"""Calls for the names of ``torch.nn.functional``."""

from __future__ import annotations

from typing import Any

import numpy as np
from conformance.calls import Call, DType, call
from conformance.tensor_calls import F16, F32, F64, I64, array, strided, unary

CALLS: dict[str, list[Call]] = {}


def _add(names: str, calls: list[Call]) -> None:
    for name in names.split():
        CALLS.setdefault(name, []).extend(calls)


def _curve(**options: Any) -> list[Call]:
    """Floats of every kind, wide enough for the bends; an integer tensor for the refusal."""
    floats = [c for c in unary(-4, 7, **options) if c.args[0].dtype.kind == "f"]
    finite = [c for c in floats if not np.isinf(c.args[0]).any()]  # PyTorch's own kernels differ
    return [*finite, call(array(5, dtype=I64), **options)]


_add("relu relu6 hardtanh leaky_relu elu selu celu gelu silu mish softplus logsigmoid", _curve())
_add("hardsigmoid hardswish hardshrink softshrink tanhshrink softsign sigmoid tanh", _curve())
_add("leaky_relu", _curve(negative_slope=0.3))
_add("elu celu", _curve(alpha=0.75) + _curve(alpha=-0.75)[:3] + _curve(alpha=0)[:2])
_add("gelu", _curve(approximate="tanh") + _curve(approximate="odd")[:1])
_add("softplus", _curve(beta=2, threshold=3))
_add("hardtanh", _curve(min_val=-0.5, max_val=2))
_add("hardshrink softshrink", _curve(lambd=1.5) + _curve(lambd=-1)[:2] + _curve(lambd=0)[:2])
_add("threshold", _curve(threshold=0.5, value=2.0))
_add(
    "glu",
    [
        call(array(3, 4)),
        call(array(4, 3), 0),
        call(array(3, 3)),
        call(array()),
        call(strided(2, 6)),
    ],
)
_add("glu", [call(array(0, 4)), call(array(2, 4, dtype=F32), -1), call(array(2, 4, dtype=F16))])
_add(
    "prelu",
    [
        call(array(3, 4), array(1)),
        call(array(3, 4), array(4)),
        call(array(2, 4, 3), array(4)),
        call(array(3), array(1)),
        call(array(), array(1)),
        call(array(3, 4), array()),
        call(array(3, 4), array(3)),
        call(array(0, 4), array(4)),
        call(strided(3, 4), array(4)),
        call(array(3, 4, dtype=F32), array(4, dtype=F32)),
        call(array(3, 4), array(2, 2)),
    ],
)
_add(
    "softmax softmin log_softmax",
    [
        *(call(array(3, 4, dtype=d), dim=1) for d in (F64, F32, F16)),
        *(call(array(2, 3, 4), dim=d) for d in (0, 1, -1, 3)),
        call(strided(3, 4), dim=0),
        call(array(), dim=0),
        call(array(0, 3), dim=1),
        call(array(3, 0), dim=1),
        call(array(3, 4, dtype=F32), dim=1, dtype=DType(F64)),
        call(np.array([[np.inf, 1.0], [-np.inf, -np.inf]], F32), dim=1),
    ],
)
_add(
    "rrelu",
    [
        call(array(3, 4)),
        call(array(3, 4), 0.2, 0.4),
        call(strided(3, 4)),
        call(array(0)),
        call(array()),
    ],
)
_add("rrelu", [call(array(3, 4), 0.5, 0.4), call(array(3, 4, dtype=F32))])
