"""Calls for the names of ``torch.nn.functional``."""

from __future__ import annotations

from typing import Any

import numpy as np
from conformance.calls import Call, DType, call
from conformance.inputs import EDGES, F16, F32, F64, I64, Table, array, strided, unary

CALLS = Table()


def _curve(**options: Any) -> list[Call]:
    """Floats of every kind, wide enough for the bends; what is no float for the refusals."""
    floats = [c for c in unary(-4, 7, **options) if c.args[0].dtype.kind == "f"]
    finite = [c for c in floats if not np.isinf(c.args[0]).any()]  # PyTorch's own kernels differ
    others = array(5, dtype=I64), array(4, dtype="bool")
    return [
        *finite,
        call(array(2, 1, 3, 2, low=-4, high=7), **options),
        call(np.asfortranarray(array(3, 4, dtype=F32, low=-4, high=7)), **options),
        *(call(x, **options) for x in others),
    ]


CALLS.add(
    "relu relu6 hardtanh leaky_relu elu selu celu gelu silu mish softplus logsigmoid", _curve()
)
NONE = [call(None), call(1.5)]
CALLS.add("relu relu6 hardtanh leaky_relu elu selu celu gelu silu mish softplus logsigmoid", NONE)
CALLS.add("hardsigmoid hardswish hardshrink softshrink", NONE)
CALLS.add("hardsigmoid hardswish hardshrink softshrink tanhshrink softsign sigmoid tanh", _curve())
CALLS.add("leaky_relu", _curve(negative_slope=0.3))
CALLS.add("relu leaky_relu rrelu softplus", [call(EDGES)])
CALLS.add("elu selu celu hardswish rrelu", [call(np.array([np.inf, 3.0, -3.0]))])
CALLS.add("elu celu", _curve(alpha=0.75) + _curve(alpha=-0.75)[:3] + _curve(alpha=0)[:2])
CALLS.add("gelu", _curve(approximate="tanh") + _curve(approximate="odd")[:1])
CALLS.add("softplus", _curve(beta=2, threshold=3))
CALLS.add("hardtanh", _curve(min_val=-0.5, max_val=2))
CALLS.add("hardshrink softshrink", _curve(lambd=1.5) + _curve(lambd=-1)[:2] + _curve(lambd=0)[:2])
CALLS.add("threshold", _curve(threshold=0.5, value=2.0))
CALLS.add(
    "glu",
    [
        call(array(3, 4)),
        call(array(4, 3), 0),
        call(array(3, 3)),
        call(array()),
        call(strided(2, 6)),
    ],
)
CALLS.add(
    "glu",
    [
        call(array(0, 4)),
        call(array(2, 4, dtype=F32), -1),
        call(array(2, 4, dtype=F16)),
        call(array(2, 4), 2),
        call(array(2, 4, dtype=I64)),
        call(array(2, 0)),
        call(array(2, 3, 4, 5), 2),
    ],
)
CALLS.add(
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
CALLS.add(
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
CALLS.add(
    "rrelu",
    [
        call(array(3, 4)),
        call(array(3, 4), 0.2, 0.4),
        call(strided(3, 4)),
        call(array(0)),
        call(array()),
    ],
)
CALLS.add(
    "rrelu",
    [
        call(array(3, 4), 0.5, 0.4),
        call(array(3, 4, dtype=F32)),
        call(array(3, 4), 0.3, 0.3, True),
        call(abs(array(3, 4)), 0.1, 0.9, True),
        call(array(3, 4), 0.5, 0.4, True),
        call(array(3, 4, dtype=F16)),
        call(array(3, dtype=I64)),
        call(None),
    ],
)

SIGNS = np.sign(array(3, 4, seed=5))
X, T = array(3, 4), array(3, 4, seed=1)


def _losses(*more: Any, options: tuple[dict[str, Any], ...] = ({},)) -> list[Call]:
    """Each reduction and each of the ``options``; ``more`` are the arguments."""
    kinds = [{"reduction": r} for r in ("none", "mean", "sum")] + list(options)
    calls = [call(*more, **kind) for kind in kinds]
    narrow = [a.astype(F32) if getattr(a, "dtype", None) == F64 else a for a in more]
    return [*calls, call(*narrow), call(*more, reduction="odd")]


_PAIR = ({"size_average": False}, {"reduce": False})
CALLS.add("mse_loss l1_loss smooth_l1_loss", _losses(X, T, options=_PAIR))
CALLS.add(
    "mse_loss l1_loss smooth_l1_loss huber_loss",
    [
        call(strided(3, 4), T),
        call(array(0), array(0)),
        call(array(), array()),
        call(X, array(4)),
    ],
)
CALLS.add("hinge_embedding_loss", _losses(X, SIGNS, options=_PAIR))
CALLS.add("soft_margin_loss", _losses(X, SIGNS, options=_PAIR))
CALLS.add(
    "soft_margin_loss",
    [call(X.astype(F32), SIGNS.astype(F32), reduction=r) for r in ("none", "sum")],
)
CALLS.add("hinge_embedding_loss", _losses(X, SIGNS, options=({"margin": 0.3},)))
_FAR, _ENDLESS = np.array([np.inf, -np.inf, 0.0, -0.0] * 2), np.array([1.0] * 4 + [-1.0] * 4)
CALLS.add("hinge_embedding_loss smooth_l1_loss huber_loss", _losses(_FAR, _ENDLESS))
CALLS.add("margin_ranking_loss", _losses(X, T, SIGNS, options=({"margin": 0.5}, *_PAIR)))
CALLS.add("margin_ranking_loss", [call(X, T, SIGNS[0]), call(array(0), array(0), array(0))])
CALLS.add("cosine_embedding_loss", _losses(X, T, SIGNS[:, 0], options=({"margin": 0.2},)))
CALLS.add(
    "cosine_embedding_loss",
    [
        call(array(4), array(4, seed=1), np.array(1.0)),
        call(X, T, SIGNS),
        call(X, T, np.array(1.0)),
    ],
)
CLASSES = np.array([2, 0, 3])
CALLS.add("multi_margin_loss", _losses(X, CLASSES, options=({"p": 2}, {"margin": 0.4})))
CALLS.add(
    "multi_margin_loss",
    [
        call(X, CLASSES, weight=array(4, low=0.1)),
        call(X.astype(F32), CLASSES, weight=array(4, dtype=F32, low=0.1)),
        call(array(4), np.array(1)),
        call(X, CLASSES, p=3),
    ],
)
LABELS = np.array([[1, 3, -1, 0], [-1, 0, 0, 0], [0, 1, 2, 3]])
CALLS.add("multilabel_margin_loss", _losses(X, LABELS))
CALLS.add("multilabel_margin_loss", [call(array(4), LABELS[0]), call(X, CLASSES)])
CALLS.add("multilabel_soft_margin_loss", _losses(X, (T > 0).astype(F64)))
CALLS.add("multilabel_soft_margin_loss", [call(X, (T > 0).astype(F64), weight=array(4, low=0.1))])
N3 = array(3, 4, seed=2)
CALLS.add(
    "triplet_margin_loss", _losses(X, T, N3, options=({"swap": True}, {"p": 1.0}, {"margin": 3.0}))
)
CALLS.add(
    "triplet_margin_loss",
    [call(X, T, N3, margin=0), call(array(4), array(4, seed=1), array(4, seed=2))],
)
CALLS.add(
    "triplet_margin_with_distance_loss",
    _losses(X, T, N3, options=({"swap": True}, {"margin": 2.0})),
)
CALLS.add("triplet_margin_with_distance_loss", [call(X, T, array(4))])
COUNTS = np.floor(array(3, 4, low=0, high=5))
CALLS.add("poisson_nll_loss", _losses(X, COUNTS + 1, options=({"full": True}, *_PAIR)))
CALLS.add(
    "poisson_nll_loss",
    [call(array(3, 4, low=0.1), COUNTS + 1, log_input=False, full=f) for f in (True, False)],
)
VAR = array(3, 4, low=0.1, seed=3)
CALLS.add("gaussian_nll_loss", _losses(X, T, VAR, options=({"full": True}, {"eps": 0.5})))
CALLS.add(
    "gaussian_nll_loss",
    [
        call(X, T, VAR[:, 0].copy()),
        call(X, T, VAR[:, :1].copy()),
        call(X, T, 0.5),
        call(X, T, -VAR),
        call(X, T, VAR[0].copy()),
    ],
)
LOGS = array(6, 2, 4, low=-3, high=0)
LOGS = LOGS - np.log(np.exp(LOGS).sum(-1, keepdims=True))
SPELT = np.array([[1, 1, 3], [2, 3, 1]])
CALLS.add("ctc_loss", _losses(LOGS, SPELT, np.array([6, 5]), np.array([3, 2])))
CALLS.add(
    "ctc_loss",
    [
        call(LOGS, np.array([1, 1, 3, 2, 3]), np.array([6, 5]), np.array([3, 2])),
        call(LOGS, SPELT, (6, 5), (3, 2)),
        call(LOGS, SPELT, (6, 4), (0, 1), reduction="none"),
        call(LOGS, SPELT, (3, 2), (3, 2), reduction="none", zero_infinity=True),
        call(LOGS, SPELT - 1, (6, 6), (2, 3), blank=3),
        call(LOGS[:, 0].copy(), SPELT[0], np.array(6), np.array(3)),
        call(LOGS, SPELT, (9, 5), (3, 2)),
        call(LOGS, SPELT, (6,), (3, 2)),
        call(LOGS, SPELT, (6, 5), (3, 2), blank=7),
        call(LOGS, SPELT, (3, 5), (3, 2), reduction="none"),
        call(LOGS, SPELT, (6, -5), (3, 2)),
        call(LOGS, SPELT, (6, 5), (3, -2)),
        call(LOGS, SPELT[:1], (6, 5), (3, 2)),
        call(LOGS, SPELT[:, :2], (6, 5), (3, 2)),
        call(LOGS, SPELT[0], (6, 5), (3, 2)),
        call(LOGS, SPELT[None], (6, 5), (3, 2)),
    ],
)
CALLS.add(
    "pairwise_distance",
    [
        call(X, T),
        call(X, T, p=1.0),
        call(X, T, keepdim=True),
        call(X, array(4)),
        call(array(4), array(4, seed=1)),
        call(strided(3, 4), T),
        call(array(0, 4), array(0, 4)),
        call(X, array(3)),
        call(X, T, float("inf")),
        call(X.astype(F32), T.astype(F32)),
    ],
)
CALLS.add(
    "cosine_similarity",
    [
        call(X, T),
        call(X, T, dim=0),
        call(X, T, -1),
        call(X, array(4)),
        call(X.astype(F32), np.zeros((3, 4), F32)),
        call(strided(3, 4), T),
        call(array(0, 4), array(0, 4)),
        call(X, T, 2),
        call(X.astype(F32), T),
        call(array(3, 4, dtype=I64), array(3, 4, dtype=I64)),
    ],
)
CALLS.add(
    "normalize",
    [
        call(X),
        call(X, 1.0),
        call(X, dim=0),
        call(np.zeros((2, 3))),
        call(strided(3, 4)),
        call(array(0, 4)),
        call(array(4), dim=0),
        call(X.astype(F32)),
        call(X, float("inf")),
        call(array(4)),
    ],
)
CALLS.add(
    "pdist",
    [
        call(X),
        call(X, 1.0),
        call(X, float("inf")),
        call(array(1, 4)),
        call(array(4)),
        call(X, -1.0),
    ],
)
CALLS.add(
    "pdist",
    [
        call(strided(5, 3)),
        call(X.astype(F32)),
        call(X, 3.0),
        call(X, 0.0),
        call(X, 0.5),
        call(array(0, 4, dtype=F32)),
        call(array(3, 0)),
        call(array(2, 3, 4)),
        call(array(3, 4, dtype=I64)),
    ],
)
