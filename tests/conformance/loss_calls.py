"""Calls for the losses of classes and probabilities, and what most losses share."""

from __future__ import annotations

from typing import Any

import numpy as np
from conformance.calls import Call, call
from conformance.inputs import F16, F32, I32, I64, Table, array, strided

CALLS = Table()
X = array(4, 3)
T = np.array([2, 0, 1, 2])
PIXELS, MAP = array(2, 3, 4, 5), np.random.default_rng(0).integers(0, 3, (2, 4, 5))
WEIGHT = array(3, low=0.1, seed=4).astype(F32)
REDUCTIONS = ("none", "mean", "sum")


def _classified(x: Any) -> list[Call]:
    """What both class losses take and refuse; a weight has no gradient, so it is narrow."""
    narrow = x.astype(F32)
    return [
        *(call(x, T, reduction=r) for r in REDUCTIONS),
        *(call(narrow, T, WEIGHT, reduction=r) for r in REDUCTIONS),
        *(call(x, np.where(T == 2, -100, T), reduction=r) for r in REDUCTIONS),
        *(call(x, T, ignore_index=2, reduction=r) for r in REDUCTIONS),
        call(narrow, T, WEIGHT, ignore_index=2),
        call(x, np.full(4, -100)),
        call(x, np.full(4, -100), reduction="sum"),
        call(PIXELS, MAP),
        call(PIXELS, MAP, reduction="none"),
        call(PIXELS, MAP, ignore_index=1, reduction="sum"),
        call(PIXELS.astype(F32), MAP, WEIGHT),
        call(array(2, 3, 5), MAP[:, 0]),
        call(array(1, 3, 2, 2, 2), MAP[:1, :2, :4].reshape(1, 2, 2, 2)),
        call(array(3), np.array(1)),
        call(array(3), np.array(1), reduction="none"),
        call(array(3, dtype=F32), np.array(2), WEIGHT),
        call(strided(4, 3), T),
        call(x.astype(F16), T),
        call(x, T.astype("uint8")),
        call(array(0, 3), np.zeros(0, I64)),
        call(array(0, 3), np.zeros(0, I64), reduction="sum"),
        call(array(0, 3), np.zeros(0, I64), reduction="none"),
        call(x, T, size_average=False),
        call(x, T, reduce=False),
        call(x, T + 1),
        call(x, T - 1),
        call(PIXELS, MAP + 5),
        call(array(3), np.array(3)),
        call(x, T[:3]),
        call(x, np.array(1)),
        call(PIXELS, MAP[:, :3]),
        call(PIXELS, MAP[:, 0]),
        call(array(2, 3, 5), MAP),
        call(array(3), np.array([1, 2])),
        call(array(), np.array(0)),
        call(x, T.astype(I32)),
        call(x, T.astype(F32)),
        call(narrow, T, WEIGHT[:2]),
        call(x, T, WEIGHT),
        call(array(4, 3, dtype=I64), T),
        call(x, T, reduction="odd"),
    ]


CALLS.add("nll_loss", _classified(X - 2))
CALLS.add("cross_entropy", _classified(X))
CALLS.add("nll_loss", [call(X, X), call(np.full((2, 3), -np.inf), T[:2])])
P = np.abs(array(4, 3, seed=3))
P /= P.sum(1, keepdims=True)
MAPS = np.abs(array(2, 3, 4, 5, seed=3))
CALLS.add(
    "cross_entropy",
    [
        *(call(X, P, reduction=r) for r in REDUCTIONS),
        *(call(X, P, label_smoothing=0.2, reduction=r) for r in REDUCTIONS),
        *(call(X, T, label_smoothing=0.2, reduction=r) for r in REDUCTIONS),
        *(
            call(X.astype(F32), T, WEIGHT, ignore_index=1, label_smoothing=e, reduction=r)
            for r in REDUCTIONS
            for e in (0.3, 1.0)
        ),
        call(X.astype(F32), P.astype(F32), WEIGHT),
        call(X.astype(F32), P.astype(F32), WEIGHT, label_smoothing=0.1),
        call(PIXELS, MAPS),
        call(PIXELS, MAPS, label_smoothing=0.5, reduction="none"),
        call(PIXELS, MAP, label_smoothing=0.5),
        call(array(3), P[0]),
        call(array(0, 3), array(0, 3)),
        call(np.array([[1e4, 0, -1e4], [np.inf, 0, 0]], F32), T[:2]),
        call(X, P, ignore_index=1),
        call(X, T, label_smoothing=1.5),
        call(X, T[:, None] * np.ones((1, 3), I64)),
        call(X, P.astype(F32)),
        call(X, array(4, 2)),
        call(array(1, 3), np.array([[1]])),
    ],
)
LOGS, MASS = np.log(P[::-1]), P


def _all(name: str, *more: Any, **options: Any) -> None:
    kinds = ("none", "mean", "sum", *(("batchmean",) if name == "kl_div" else ()))
    CALLS.add(name, [call(*more, reduction=r, **options) for r in kinds])


_all("kl_div", LOGS, MASS)
_all("kl_div", LOGS, np.log(MASS), log_target=True)
CALLS.add(
    "kl_div",
    [
        call(LOGS.astype(F32), np.array([[0.0, 0.5, 0.5]] * 4, F32), reduction="sum"),
        call(LOGS, MASS[0]),
        call(strided(4, 3), MASS, reduction="sum"),
        call(array(), np.array(0.5)),
        call(array(0, 3), array(0, 3)),
        call(array(0, 3), array(0, 3), reduction="sum"),
        call(LOGS, MASS, size_average=False),
        call(LOGS, MASS, reduce=False),
        call(LOGS, array(5)),
        call(LOGS, MASS, reduction="odd"),
    ],
)
SURE = np.clip(array(4, 3, low=0, high=1), 0.01, 0.99)
SAID = (array(4, 3, seed=6) > 0).astype("float64")
for name, x in (("binary_cross_entropy", SURE), ("binary_cross_entropy_with_logits", X)):
    narrow = x.astype(F32)
    _all(name, x, SAID)
    _all(name, x, SURE[::-1].copy())
    _all(name, narrow, SAID.astype(F32), array(4, 3, dtype=F32, low=0.1))
    CALLS.add(
        name,
        [
            call(narrow, SAID.astype(F32), WEIGHT),
            call(narrow, SAID.astype(F32), np.float32(0.5) * np.ones((4, 1), F32)),
            call(np.asfortranarray(x), SAID),
            call(np.array(0.3), np.array(1.0)),
            call(array(0, 3, low=0, high=1), array(0, 3)),
            call(x, SAID, size_average=False),
            call(x, SAID, reduce=False),
            call(x, SAID[0]),
            call(x, SAID[:, :2]),
            call(x, SAID.astype(I64)),
            call(narrow, SAID.astype(F16)),
            call(narrow, SAID.astype(F32), np.ones((5, 4, 3), F32)),
            call(x, SAID, array(4, 3, low=0.1)),
            call(narrow, SAID.astype(F32), WEIGHT[:2]),
            call(x, SAID, reduction="odd"),
        ],
    )
CALLS.add(
    "binary_cross_entropy",
    [
        call(np.array([0.0, 1.0, 1.0, 0.0], F32), np.array([0.0, 1.0, 0.0, 1.0], F32)),
        call(
            np.array([0.0, 1.0, 1.0, 0.0], F32),
            np.array([0.0, 1.0, 0.0, 1.0], F32),
            reduction="none",
        ),
        call(X, SAID),
        call(-SURE, SAID),
    ],
)
CALLS.add(
    "binary_cross_entropy_with_logits",
    [
        call(X, SAID, pos_weight=WEIGHT),
        call(X, SAID, array(4, 3, dtype=F32, low=0.1), pos_weight=WEIGHT, reduction="sum"),
        call(X, SAID, pos_weight=np.array([2.0], F32), reduction="none"),
        call(X, SAID, pos_weight=WEIGHT[:2]),
        call(X, SAID, pos_weight=array(3, low=0.1)),
        call(np.array([100.0, -100.0, 1e4, -1e4], F32), np.array([0.0, 1.0, 1.0, 0.0], F32)),
        call(strided(4, 3), SAID),
    ],
)
Y = array(4, 3, seed=1)
for d in (0.3, 1.0, 2.5):
    _all("huber_loss", X, Y, delta=d)
CALLS.add(
    "huber_loss",
    [
        call(X.astype(F32), Y.astype(F32)),
        call(X.astype(F32), Y.astype(F16)),
        call(X.astype(F16), Y.astype(F32)),
        call(array(4, 3, dtype=I64), Y.astype(F32)),
        call(X, X),
        call(X, Y, weight=abs(Y)),
        call(X, Y, delta=0),
        call(X, Y, delta=-1.0),
        call(X, array(5)),
        call(X, Y, reduction="odd"),
    ],
)
for b in (0.0, 0.3, 2.5):
    _all("smooth_l1_loss", X, Y, beta=b)
CALLS.add("smooth_l1_loss", [call(X, Y, beta=-1.0), call(X, X, beta=0.0)])
CALLS.add("kl_div", [call(X.astype(F32), SAID.astype(I64))])
CALLS.add(
    "mse_loss l1_loss smooth_l1_loss huber_loss",
    [
        call(array(0, 3), array(0, 3), reduction="sum"),
        call(X, Y[0]),
        call(array(2, dtype=F32), array(2, dtype=I64)),
    ],
)
CALLS.add(
    "mse_loss l1_loss smooth_l1_loss",
    [call(X.astype(F32), array()), call(X.astype(F16), array(dtype=F32)), call(array(), X)],
)
CALLS.add("mse_loss", [call(X, Y, weight=abs(Y)), call(X, Y, weight=abs(Y), reduction="sum")])
LABELS = np.array([[1, 2, -1], [-1, 0, 0], [0, 1, 2], [2, -1, 1]])
CALLS.add(
    "multilabel_margin_loss",
    [
        call(strided(4, 3), LABELS),
        call(X.astype(F32), LABELS),
        call(X, LABELS + 1),
        call(X, LABELS - 2),
        call(X, LABELS[:2]),
        call(array(0, 3), np.zeros((0, 3), I64), reduction="none"),
        call(X, LABELS.astype(I32)),
    ],
)
CALLS.add(
    "multilabel_soft_margin_loss",
    [
        call(strided(4, 3), SAID),
        call(array(3), SAID[0]),
        call(X, SAID[:2]),
        call(array(0, 3), array(0, 3)),
        call(X, SAID, reduction="sum", weight=array(3, low=0.1)),
        call(array(), array(seed=1)),
    ],
)
CALLS.add(
    "soft_margin_loss",
    [
        call(strided(4, 3), np.sign(Y)),
        call(array(0), array(0)),
        call(X, np.sign(Y[0])),
        call(X, array(5)),
    ],
)
CALLS.add(
    "cosine_embedding_loss",
    [
        call(strided(4, 3), Y, np.sign(Y[:, 0])),
        call(X, Y, np.sign(Y[:3, 0])),
        call(X, array(4, 2), np.sign(Y[:, 0])),
        call(array(0, 3), array(0, 3), array(0)),
        call(array(2, 3, 4), array(2, 3, 4), array(2)),
    ],
)
Z = array(4, 3, seed=2)
CALLS.add(
    "triplet_margin_with_distance_loss triplet_margin_loss",
    [
        call(strided(4, 3), Y, Z),
        call(X, Y[0], Z[:1]),
        call(array(0, 3), array(0, 3), array(0, 3)),
        call(X, Y, Z[:, :2]),
        call(X, Y, Z, margin=-1),
        call(X, array(), Z),
    ],
)
CALLS.add(
    "margin_ranking_loss",
    [call(X, Y[0], np.sign(Z)), call(X, array(5), np.sign(Z)), call(strided(4, 3), Y, np.sign(Z))],
)
CALLS.add(
    "poisson_nll_loss",
    [call(strided(4, 3), abs(Y)), call(array(0), array(0)), call(X, array(5)), call(X, abs(Y[0]))],
)
