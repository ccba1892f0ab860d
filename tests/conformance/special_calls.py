"""Calls for ``torch.special``, and for what of it ``torch`` itself has."""

from __future__ import annotations

import numpy as np
from conformance.calls import Call, call
from conformance.inputs import F16, F32, F64, I64, SPECIAL, Table, array, shaped, strided, unary

CALLS = Table()
FINITE = SPECIAL[~np.isinf(SPECIAL)]


def finite(low: float, high: float) -> list[Call]:
    """`unary`, without infinities: there PyTorch's Bessel functions are NaN, ours the limits."""
    return [call(FINITE) if c.args[0] is SPECIAL else c for c in unary(low, high)]


CALLS.add("i0 special.i0 special.i1", finite(-3, 3))
CALLS.add("special.i0 special.i1 special.i0e special.i1e", [call(array(9, low=-20, high=20))])
CALLS.add("special.i0e special.i1e special.entr special.erfcx special.ndtr", unary(-3, 3))
CALLS.add("special.log_ndtr special.log1p special.expm1 special.exp2 special.sinc", unary(-3, 3))
CALLS.add("special.log_ndtr special.ndtr", [call(array(7, low=-30, high=30))])
CALLS.add("special.ndtri special.logit", unary(0.05, 0.95))
CALLS.add("special.erf special.erfc special.expit", unary())
CALLS.add("special.round", [*unary()[:9], *unary(decimals=1)[:4]])
CALLS.add("special.erfinv", unary(-0.9, 0.9))
CALLS.add("special.gammaln special.digamma special.psi", unary(0.1, 4))
for kind in ("bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "spherical_bessel_j0"):
    CALLS.add(f"special.{kind}", [*finite(-4, 4), call(array(9, low=1, high=40))])
for kind in ("i0", "i1", "k0", "k1"):
    CALLS.add(f"special.modified_bessel_{kind}", finite(-4, 4))
CALLS.add("special.scaled_modified_bessel_k0 special.scaled_modified_bessel_k1", finite(0.1, 9))
POSITIVE = {"low": 0.2, "high": 4}
X, Y = array(3, 4, **POSITIVE), array(3, 4, seed=1, **POSITIVE)
CALLS.add(
    "igamma igammac",
    [call(X.astype(F32), 2.0), call(2.0, Y), call(X)],
)
CALLS.add(
    "igamma igammac special.gammainc special.gammaincc",
    [
        *(call(X.astype(d), Y) for d in (F32, I64)),
        call(X.astype(F32), array(4, dtype=F32, **POSITIVE)),
        call(X.astype(F16), Y.astype(F16)),
        call(X.astype(I64), Y.astype(I64)),
        call(X, Y),  # no derivative of the first
        call(array(dtype=F32, **POSITIVE), Y),
        call(array(0, 4, dtype=F32), array(1, **POSITIVE)),
        call(SPECIAL[:1], Y),
        call(strided(3, 4, dtype=F32, **POSITIVE), strided(3, 4, **POSITIVE)),
        call(np.array([0.0, 1.0, 0.0, 2.0], F32), np.array([0.0, 0.0, 1.0, np.inf], F32)),
        call(np.array([-1.0, 1.0], F32), np.array([1.0, -1.0], F32)),
        call(X, array(7)),
    ],
)
WHOLE = np.array([0, 1, 3, -2], F32)
CALLS.add(
    "special.zeta",
    [
        call((X + 1).astype(F32), Y),
        call(array(4, dtype=F32, low=1.5, high=3), WHOLE + 0.5),
        call(2, Y),
        call(X.astype(F32), 2.5),
        call(X, Y),
        call(array(4, dtype=I64, low=2, high=4), array(4, dtype=I64, low=1, high=3)),
        call(X.astype(F16), Y.astype(F16)),
        call(array(0, 4, dtype=F32), array(1, **POSITIVE)),
        call(strided(3, 4, dtype=F32, low=2, high=4), Y),
        call(np.array([1, 2, 2, 0.5, 3], F32), np.array([1, 0, -1, 1, -0.5], F32)),
        call(2, 3),
    ],
)
CALLS.add(
    "special.xlog1py special.xlogy",
    [
        call(X, Y),
        call(X, array(4, **POSITIVE)),
        call(0.0, Y),
        call(X, 2),
        call(np.array([0.0, 0.0, 1.0, np.nan, 0.0]), np.array([-1.0, 0.0, np.nan, 1.0, np.nan])),
        call(array(4, dtype=I64, low=0, high=3), array(4, dtype=I64, low=1, high=3)),
        call(X.astype(F16), Y.astype(F16)),
        call(array(4, dtype="bool"), array(4, dtype=F32, **POSITIVE)),
        call(array(0, 4), array(1, **POSITIVE)),
        call(strided(3, 4), strided(3, 4, **POSITIVE)),
        call(1, 2),
        call(X, array(7)),
    ],
)
CALLS.add(
    "mvlgamma special.multigammaln",
    [
        *(call(array(3, 4, dtype=d, low=2, high=5), 3) for d in (F64, F32, I64)),
        call(array(3, 4, low=2, high=5), p=1),
        call(array(3, dtype=F16, low=2, high=5), 1),
        call(array(low=2, high=5), 2),
        call(array(0, 3), 2),
        call(strided(3, 4, low=2, high=5), 4),
        call(np.array([0.2, -3.0, 0.0], F32), 2),
        call(array(3), 0),
        call(array(3, dtype="bool"), 2),
    ],
)
CALLS.add("mvlgamma", [call(array(3), 1.5)])
CALLS.add("special.polygamma", [call(n, array(3, low=0.5, high=3)) for n in (0, 1, 2)])
CALLS.add(
    "polygamma special.polygamma",
    [
        *(call(1, array(*shape, low=0.5, high=3)) for shape in ((3, 4), (), (0, 3))),
        *(call(2, array(5, dtype=d, low=1, high=3)) for d in (F32, F16, I64)),
        call(3, strided(3, 4, low=0.5, high=3)),
        call(0, np.array([-0.5, 1.0, 2.5])),
        call(-1, array(3)),
    ],
)
CALLS.add("polygamma", [call(1, 2.0), call(1.5, array(3))])
CALLS.add("special.logsumexp", shaped((0,), (-1, True)))
CALLS.add("special.softmax special.log_softmax", shaped((0,), (-1,)))
POLYNOMIALS = " ".join(
    [
        *(f"special.{s}chebyshev_polynomial_{k}" for s in ("", "shifted_") for k in "tuvw"),
        *(f"special.hermite_polynomial_{k}" for k in ("h", "he")),
        "special.laguerre_polynomial_l special.legendre_polynomial_p",
    ]
)
CALLS.add(
    POLYNOMIALS,
    [
        call(X, 3),
        call(array(3, 4), array(4, dtype=I64, low=0, high=3)),
        call(X - 2, array(4, dtype=I64, low=-1, high=2)),
        call(2, array(4, dtype=I64, low=0, high=3)),
        call(0.5, np.array([0.0, 2.0, 5.0])),
        call(array(3, dtype=F32), 4),
        call(array(3, dtype=F16), 2),
        call(array(3, dtype=I64), array(3, dtype=I64, low=0, high=2)),
        call(array(), 5),
        call(array(0, 3), 2),
        call(strided(3, 4), 2),
        call(np.array([1.0, -1.0, 0.0]), 4),
        call(1, 2),
    ],
)
