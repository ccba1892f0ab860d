"""Uses of the losses among the modules of ``torch.nn``."""

from __future__ import annotations

import numpy as np
from conformance.calls import Call, call
from conformance.inputs import F32, I64, array, strided
from conformance.modules import Of, Uses

MODULES = Uses()
X, Y, Z = (array(4, 3, seed=i) for i in range(3))
REDUCED = [call(reduction=r) for r in ("none", "mean", "sum")]
ALL = [call(), *REDUCED, call(reduction="odd"), call(size_average=False), call(reduce=False)]
PAIRS = [
    call(X, Y),
    call(strided(4, 3), Y),
    call(X.astype(F32), Y.astype(F32)),
    call(array(), array(seed=1)),
    call(array(0, 3), array(0, 3)),
]
MODULES.add("L1Loss MSELoss SmoothL1Loss HuberLoss", [call()], [call(X, array(5))])
MODULES.add("L1Loss MSELoss SmoothL1Loss", ALL, PAIRS)
MODULES.add("SmoothL1Loss", [call(beta=0.3), call(beta=0.0), call(beta=-1.0)], PAIRS[:3])
MODULES.add("HuberLoss", [call(), *REDUCED, call("sum", 0.5), call(delta=0.0)], PAIRS)


def _and(given: list[Call], *more: object) -> list[Call]:
    return [call(*g.args, *more) for g in given]


SIGNS = np.sign(Z)
MODULES.add("SoftMarginLoss HingeEmbeddingLoss", ALL, _and([call(X), call(strided(4, 3))], SIGNS))
MODULES.add("HingeEmbeddingLoss", [call(0.3), call(margin=2.0, reduction="sum")], [call(X, SIGNS)])
MODULES.add("MarginRankingLoss", [*ALL, call(0.5), call(margin=-1.0)], _and(PAIRS[:2], SIGNS))
MODULES.add("CosineEmbeddingLoss", [*ALL, call(0.5), call(margin=-1)], _and(PAIRS[:2], SIGNS[:, 0]))
TRIPLES = [call(X, Y, Z), call(strided(4, 3), Y, Z), call(X[0], Y[0], Z[0]), call(X, Y, array(5))]
MODULES.add(
    "TripletMarginLoss", [*ALL, call(2.0, 1.0), call(swap=True, eps=0.1), call(margin=0)], TRIPLES
)
MODULES.add(
    "TripletMarginWithDistanceLoss",
    [
        call(),
        *REDUCED,
        call(margin=2.0, swap=True),
        call(margin=-1),
        call(distance_function=Of("l1", lambda lib: lambda a, b: (a - b).abs().sum(-1))),
    ],
    TRIPLES,
)
T = np.array([2, 0, 1, 2])
WEIGHT = Of("weight", lambda lib: lib.tensor([0.5, 2.0, 1.0]))
CLASSES = [
    call(X, T),
    call(array(2, 3, 4), np.array([[0, 2, 1, 1], [2, 2, 0, -100]])),
    call(X.astype(F32), T),
    call(array(3), np.array(1)),
    call(array(0, 3), np.zeros(0, I64)),
    call(X, T + 1),
    call(X, T[:2]),
]
MODULES.add("CrossEntropyLoss NLLLoss", [*ALL, call(WEIGHT), call(ignore_index=2)], CLASSES)
MODULES.add(
    "CrossEntropyLoss",
    [call(label_smoothing=0.2), call(WEIGHT, label_smoothing=0.1), call(label_smoothing=1.5)],
    [*CLASSES[:3], call(X, np.abs(Y))],
)
MODULES.add("MultiMarginLoss", [*ALL, call(2, 0.5), call(weight=WEIGHT), call(3)], CLASSES[:1])
MODULES.add("MultiMarginLoss", [call(), call(2), call(weight=WEIGHT)], CLASSES[1:4])
LABELS = np.array([[1, 2, -1], [-1, 0, 0], [0, 1, 2], [2, -1, 1]])
MODULES.add("MultiLabelMarginLoss", ALL, [call(X, LABELS), call(X[0], LABELS[0])])
SAID = (Y > 0).astype("float64")
SURE = np.clip(array(4, 3, low=0, high=1), 0.01, 0.99)
MODULES.add("MultiLabelSoftMarginLoss", [*ALL, call(WEIGHT)], [call(X, SAID), call(X[0], SAID[0])])
MODULES.add("BCELoss", [*ALL, call(WEIGHT)], [call(SURE, SAID), call(SURE, SAID[0]), call(X, SAID)])
MODULES.add(
    "BCEWithLogitsLoss",
    [*ALL, call(WEIGHT), call(pos_weight=WEIGHT), call(WEIGHT, reduction="sum", pos_weight=WEIGHT)],
    [call(X, SAID), call(X.astype(F32), SAID.astype(F32)), call(X, SAID[0])],
)
LOGS = np.log(SURE)
MODULES.add(
    "KLDivLoss",
    [
        *ALL,
        call(reduction="batchmean"),
        call(log_target=True),
        call(reduction="sum", log_target=True),
    ],
    [call(LOGS, SURE[::-1].copy()), call(LOGS, LOGS[0]), call(array(0, 3), array(0, 3))],
)
COUNTS = np.floor(abs(Y) * 3) + 1
MODULES.add(
    "PoissonNLLLoss",
    [*ALL, call(False), call(full=True), call(log_input=False, eps=0.1)],
    [call(abs(X), COUNTS), call(abs(X).astype(F32), COUNTS.astype(F32)), call(X, array(5))],
)
MODULES.add(
    "GaussianNLLLoss",
    [call(), *REDUCED, call(full=True), call(eps=0.5), call(reduction="odd")],
    [
        call(X, Y, abs(Z)),
        call(X, Y, abs(Z[:, :1]).copy()),
        call(X, Y, -abs(Z)),
        call(X, Y, array(5)),
    ],
)
LONG = array(6, 2, 4, low=-3, high=0)
LONG = LONG - np.log(np.exp(LONG).sum(-1, keepdims=True))
MODULES.add(
    "CTCLoss",
    [call(), call(1), *REDUCED, call(zero_infinity=True), call(reduction="odd")],
    [
        call(LONG, np.array([[0, 2, 3], [2, 3, 2]]), (6, 5), (3, 2)),
        call(LONG, np.array([[2, 3, 3], [2, 3, 2]]), (3, 5), (3, 2)),
        call(LONG, np.array([[2, 3, 3]]), (3, 5), (3, 2)),
    ],
)
ROWS, CLASS = array(6, 5), np.array([0, 1, 3, 7, 9, 4])
MODULES.add(
    "AdaptiveLogSoftmaxWithLoss",
    [
        call(5, 10, [2, 5]),
        call(5, 10, (4,), div_value=2.0, head_bias=True),
        call(5, 8, [2, 5]),
        call(5, 10, [5, 2]),
        call(5, 10, [2, 10]),
        call(5, 10, []),
    ],
    [
        call(ROWS, CLASS),
        call(ROWS.astype(F32), CLASS),
        call(ROWS[0], np.array(3)),
        call(ROWS, CLASS[:4]),
        call(array(4, 4), CLASS[:4] % 8),
    ],
)
