"""Each loss module is its function, with PyTorch's defaults, repr and state."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import gpunn
import gpunn.functional as F
from gpunn import nn

X = gpunn.tensor([[0.3, -1.0, 2.0], [1.5, 0.2, -0.7]])
CLASSES = gpunn.tensor([2, 0])
WEIGHT = gpunn.tensor([0.5, 2.0, 1.0])
P = X.sigmoid()

CASES: list[tuple[nn.Module, tuple[Any, Any], Callable[..., Any], dict[str, Any]]] = [
    (nn.CrossEntropyLoss(), (X, CLASSES), F.cross_entropy, {}),
    (
        nn.CrossEntropyLoss(WEIGHT, ignore_index=0, reduction="sum", label_smoothing=0.1),
        (X, CLASSES),
        F.cross_entropy,
        {"weight": WEIGHT, "ignore_index": 0, "reduction": "sum", "label_smoothing": 0.1},
    ),
    (nn.NLLLoss(), (X, CLASSES), F.nll_loss, {}),
    (
        nn.NLLLoss(WEIGHT, ignore_index=2, reduction="none"),
        (X, CLASSES),
        F.nll_loss,
        {"weight": WEIGHT, "ignore_index": 2, "reduction": "none"},
    ),
    (nn.MSELoss(), (X, P), F.mse_loss, {}),
    (nn.MSELoss(reduction="sum"), (X, P), F.mse_loss, {"reduction": "sum"}),
    (nn.L1Loss(reduction="none"), (X, P), F.l1_loss, {"reduction": "none"}),
    (nn.SmoothL1Loss(beta=0.4), (X, P), F.smooth_l1_loss, {"beta": 0.4}),
    (nn.HuberLoss("sum", delta=0.4), (X, P), F.huber_loss, {"reduction": "sum", "delta": 0.4}),
    (nn.BCELoss(), (P, P), F.binary_cross_entropy, {}),
    (nn.BCELoss(WEIGHT), (P, P), F.binary_cross_entropy, {"weight": WEIGHT}),
    (
        nn.BCEWithLogitsLoss(WEIGHT, pos_weight=WEIGHT + 1),
        (X, P),
        F.binary_cross_entropy_with_logits,
        {"weight": WEIGHT, "pos_weight": WEIGHT + 1},
    ),
    (
        nn.KLDivLoss(reduction="batchmean", log_target=True),
        (X, X + 1),
        F.kl_div,
        {"reduction": "batchmean", "log_target": True},
    ),
]


@pytest.mark.parametrize(("module", "inputs", "function", "options"), CASES)
def test_is_the_function(
    module: nn.Module,
    inputs: tuple[Any, Any],
    function: Callable[..., Any],
    options: dict[str, Any],
):
    assert module(*inputs).tolist() == function(*inputs, **options).tolist()
    assert repr(module) == f"{type(module).__name__}()"


@pytest.mark.parametrize("name", sorted({type(case[0]).__name__ for case in CASES}))
def test_has_pytorchs_arguments(name: str):
    torch = pytest.importorskip("torch")
    ours = inspect.signature(getattr(nn, name)).parameters
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    assert [(p.name, p.default) for p in ours.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]


def test_weights_are_buffers():
    loss = nn.BCEWithLogitsLoss(WEIGHT, pos_weight=WEIGHT + 1).double()
    assert list(loss.state_dict()) == ["weight", "pos_weight"]
    assert loss.pos_weight is not None
    assert loss.pos_weight.dtype is gpunn.float64
    assert list(nn.CrossEntropyLoss().state_dict()) == []


def test_old_arguments_warn_once():
    with pytest.warns(UserWarning, match="please use reduction='sum' instead"):
        loss = nn.MSELoss(size_average=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loss(X, P).item() == F.mse_loss(X, P, reduction="sum").item()


def test_an_unknown_reduction_is_refused_when_called():
    loss = nn.L1Loss(reduction="average")
    with pytest.raises(ValueError, match="average is not a valid value for reduction"):
        loss(X, P)
