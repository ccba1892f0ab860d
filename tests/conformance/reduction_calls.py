"""Calls for the reductions of ``torch``, and for what orders, counts and searches."""

from __future__ import annotations

import numpy as np
from conformance.calls import Call, DType, call
from conformance.inputs import (
    F16,
    F32,
    F64,
    I32,
    I64,
    SPECIAL,
    Table,
    X,
    array,
    distinct,
    reduced,
    shaped,
    strided,
)

CALLS = Table()
# Reductions and order
CALLS.add("sum mean nansum nanmean amax amin all any count_nonzero logsumexp", reduced())
CALLS.add("sum", [call(X, dtype=DType(F32)), call(array(3, dtype=I32), dtype=DType(F64))])
CALLS.add("prod argmax argmin", reduced(several=False))
CALLS.add("prod", [call(X, (0,)), call(X, 1.5)])
CALLS.add("std var std_mean var_mean", reduced()[:19])
_MANY, _WIDE = np.ones(70_000, F16), array(50, dtype=F16) * 500  # of sums beyond 16 bits
CALLS.add(
    "mean var std std_mean var_mean",
    [call(_MANY), call(_MANY[:300] * 300), call(_WIDE)],
)
CALLS.add("norm linalg.norm linalg.vector_norm", [call(_WIDE)])
CALLS.add("std std_mean", [call(np.ones((2, 3)), *d) for d in ((), (0,), (1,))])  # nothing differs
CALLS.add("std var", [*reduced(correction=0)[:10], call(X, 0, unbiased=False), call(array(1))])
CALLS.add("max min median nanmedian", [call(x) for x in (X, array(), array(3, 0), SPECIAL)])
CALLS.add(
    "max min median nanmedian mode",
    [c for c in reduced(several=False) if len(c.args) + len(c.kwargs) > 1],
)
CALLS.add("max min", [call(X, array(5)), call(array(4, dtype=I64), array(4))])
CALLS.add(
    "aminmax",
    [call(X), call(X, dim=0), call(X, dim=1, keepdim=True), call(array()), call(array(0))],
)
CALLS.add(
    "aminmax", [call(distinct(3, 4, dtype=d)) for d in (F32, F16, I64, "uint8")] + [call(SPECIAL)]
)
CALLS.add("kthvalue", [Call((c.args[0], 1, *c.args[1:]), c.kwargs) for c in reduced(several=False)])
CALLS.add(
    "kthvalue", [call(distinct(3, 4), 3), call(distinct(3, 4), 5), call(distinct(3, 4), 2, 0)]
)
CALLS.add(
    "cumsum cumprod cummax cummin logcumsumexp",
    [
        *(call(distinct(3, 4, dtype=d), 1) for d in (F64, F32, F16, I64, "uint8")),
        *(call(array(3, 4), d) for d in (0, -2, 2)),
        call(strided(3, 4), 0),
        call(array(), 0),
        call(array(0, 3), 0),
        call(array(3, 4, dtype="bool"), 0),
        call(SPECIAL, 0),
    ],
)
CALLS.add(
    "sort argsort msort",
    [
        *(call(distinct(3, 4, dtype=d)) for d in (F64, F32, F16, I64, "uint8")),
        call(strided(3, 4)),
        call(array()),
        call(array(0, 3)),
        call(SPECIAL),
    ],
)
CALLS.add(
    "sort argsort", [call(distinct(3, 4), d) for d in (0, -1, 2)] + [call(X, 0, descending=True)]
)
CALLS.add("sort argsort", [call(array(9, dtype=I64), stable=True, descending=True)])
CALLS.add("topk", [call(distinct(3, 6, dtype=d), 2) for d in (F64, F32, F16, I64)])
CALLS.add(
    "topk", [call(distinct(3, 6), 2, 0), call(X, 2, largest=False), call(X, 9), call(array(), 1)]
)
CALLS.add("topk", [call(strided(3, 6), 3, -1, sorted=True), call(array(0, 4), 2)])
CALLS.add("norm", reduced()[:5] + reduced(p=1)[:5] + reduced(p=float("inf"))[:3] + reduced(p=3)[:3])
CALLS.add("dist", [call(X, array(5)), call(X, X, 1), call(X, X + 1, 3), call(array(), array())])
CALLS.add(
    "quantile nanquantile",
    [
        call(distinct(3, 4), 0.4),
        call(distinct(3, 4), 0.4, 1),
        call(distinct(3, 4), np.array([0.1, 0.9]), 0),
        call(distinct(3, 4), 0.3, dim=-1, keepdim=True),
        *(
            call(distinct(3, 4), 0.3, 1, interpolation=i)
            for i in ("lower", "higher", "nearest", "midpoint")
        ),
        call(SPECIAL[:2], 0.5),
        call(array(3, dtype=I64), 0.5),
    ],
)
CALLS.add("diff", [*shaped((), (1, 0), (2,))[:24], call(X, prepend=array(4, 1)), call(X, 0)])
CALLS.add(
    "trapezoid trapz cumulative_trapezoid",
    [
        call(X),
        call(X, array(5)),
        call(X, dx=0.5),
        call(X, dim=0),
        call(array(1)),
        call(array(0)),
        call(array(4, dtype=F32)),
        call(strided(3, 4)),
        call(X, array(4, 5, seed=1)),
        call(array(4, dtype=I64)),
    ],
)
CALLS.add("msort", [call(array(4, 3, dtype=d)) for d in (I32, "bool")] + [call(strided(2, 3, 2))])
CALLS.add("msort", [call(array(2, 0))])
CALLS.add(
    "dist",
    [
        call(X, X),
        call(array(4, 5, dtype=F32), array(5, dtype=F32), 0),
        call(X, array(5), float("inf")),
        call(X, array(5), -1),
        call(array(0), array(0)),
        call(strided(4, 5), array(4, 1), 1.5),
        call(X, array(5, dtype=F32)),
        call(X, array(4)),
        call(array(3, dtype=I64), array(3, dtype=I64)),
        call(array(3, dtype=F16), array(3, dtype=F16)),
        call(SPECIAL, SPECIAL),
    ],
)
CALLS.add(
    "renorm",
    [
        call(array(3, 4, dtype=F32), 2, 0, 0.1),
        call(strided(3, 4), 3, 1, 0.2),
        call(array(3, 4), float("inf"), 0, 0.5),
        call(array(3, 4), 2, 2, 1),
        call(array(3), 2, 0, 1),
        call(array(3, 4), 2, 0, -1),
        call(array(3, 4), -1, 0, 1),
        call(array(0, 4), 2, 0, 1),
        call(array(3, 4, dtype=I64), 2, 0, 1),
        call(array(3, 4, dtype=F16), 2, 0, 1),
        call(np.zeros((2, 2)), 2, 0, 1),
    ],
)
