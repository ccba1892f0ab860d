"""Calls for the optimizers of ``torch.optim``: a few weights, trained with each option."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.calls import Call, call
from conformance.inputs import F16, F32, I64, Table, array, strided

CALLS = Table()


def trainer(lib: Any, name: str) -> Callable[..., list[Any]]:
    """The optimizer of that name as a function: from weights and options to what it made of them.

    ``groups`` are the options of one group for each weight, ``idle`` weights at the end get no
    gradient, and with ``resume`` another optimizer takes over half way, by the ``state_dict``.
    """

    def train(
        *weights: Any,
        steps: int = 4,
        groups: Any = None,
        idle: int = 0,
        resume: bool = False,
        **options: Any,
    ) -> list[Any]:
        leaves = [w.detach().requires_grad_(w.is_floating_point()) for w in weights]
        given: Any = leaves
        if groups is not None:
            given = [{"params": w, **group} for w, group in zip(leaves, groups, strict=True)]
        optimizer = getattr(lib.optim, name)(given, **options)

        def closure() -> Any:
            optimizer.zero_grad()
            used = leaves[: len(leaves) - idle]
            loss = sum(((w * w - w).sin() * (i + 1)).sum() for i, w in enumerate(used))
            loss.backward()
            return loss

        losses: list[Any] = []
        for step in range(steps):
            if resume and step == steps // 2:
                state = optimizer.state_dict()
                optimizer = getattr(lib.optim, name)(given)
                optimizer.load_state_dict(state)
            losses.append(optimizer.step(closure).detach())
        kept = optimizer.state_dict()
        for values in kept["state"].values():
            values.pop("al", None)  # PyTorch's scratch space for LBFGS
        shown = [sorted(kept["param_groups"][0])] if groups is None else []
        ends = [w.detach() for w in leaves]
        return [*ends, losses, *_leaves_of(lib, kept["state"]), str(shown)]

    return train


def _leaves_of(lib: Any, value: Any) -> list[Any]:
    """What a nested state holds, in the order of its keys."""
    if isinstance(value, dict):
        return [v for key in sorted(value) for v in [str(key), *_leaves_of(lib, value[key])]]
    if isinstance(value, list):
        return [v for each in value for v in _leaves_of(lib, each)]
    if isinstance(value, float) or (hasattr(value, "numel") and value.numel() == 1):
        return [lib.tensor(float(value), dtype=lib.float64)]  # numbers may be kept as either
    return [value]


def _weights(*shapes: tuple[int, ...], dtype: str = "float64") -> list[Any]:
    return [array(*shape, dtype=dtype, seed=i) for i, shape in enumerate(shapes)]


NAN = float("nan")
RATE = array(dtype=F32, low=0.1, high=0.2)
TWO = _weights((4, 3), (3,))
ODD = [
    call(*_weights((4, 3), (), (5,))),
    call(strided(3, 4), array(2)),
    call(array(2, 3, 4), array(2), idle=1),
    call(*_weights((4, 3), (3,), dtype=F32), steps=8),
    call(*_weights((2, 2), (2,), dtype=F16), steps=2, lr=2**-6),
    call(array(3), array(2, dtype=I64)),
]
SHARED = [
    call(*TWO),
    call(*TWO, lr=0.25),
    call(*TWO, lr=0),
    call(*TWO, lr=-1),
    call(*TWO, lr=RATE),
    call(*TWO, lr=array(2, dtype=F32, low=0.1, high=0.2)),
    call(*TWO, groups=[{"lr": 0.5}, {}]),
    call(*TWO, groups=[{"lr": 0.5}, {"lr": -0.125}]),
    call(*TWO, resume=True),
    call(),
]
MOST = [
    *SHARED,
    *ODD,
    call(array(0, 3), array(2)),
    call(*TWO, lr=0.1, weight_decay=0.25),
    call(*TWO, weight_decay=-1),
    call(*TWO, maximize=True, lr=0.1),
    call(*TWO, foreach=True),
    call(*TWO, foreach=False),
    call(*TWO, groups=[{"maximize": True}, {"weight_decay": 0.5}], resume=True),
]
CAPTURABLE = [call(*TWO, capturable=True), call(array(0, dtype=F32), capturable=True)]
BETAS = [
    call(*TWO, betas=(0.5, 0.75), eps=1e-3),
    call(*TWO, betas=(0, 0)),
    call(*TWO, betas=(1.0, 0.9)),
    call(*TWO, betas=(0.9, -0.1)),
    call(*TWO, eps=-1),
    call(*TWO, betas=(0.3, 0.6), weight_decay=0.1, maximize=True, resume=True, steps=7),
]
FUSED = [
    call(*TWO, lr=RATE, foreach=True),
    call(*TWO, fused=True),
    call(*TWO, fused=False),
    call(*TWO, fused=True, foreach=True),
]


def _each(**options: Any) -> list[Call]:
    return [call(*TWO, **options), call(*TWO, **options, resume=True, maximize=True, steps=7)]


CALLS.add("SGD Adam AdamW NAdam RAdam Adamax Adagrad Adadelta RMSprop ASGD", MOST)
CALLS.add("Adam AdamW NAdam RAdam Adamax Adagrad Adadelta RMSprop ASGD", [call(*TWO, lr=NAN)])
CALLS.add("Adam AdamW NAdam RAdam Adamax", BETAS)
CALLS.add("Adam AdamW NAdam RAdam Adamax Adadelta RMSprop ASGD", CAPTURABLE)
CALLS.add("SGD Adam AdamW Adagrad", FUSED)
CALLS.add("Adam AdamW", _each(amsgrad=True) + _each(amsgrad=True, weight_decay=0.1))
CALLS.add("Adam NAdam RAdam", _each(decoupled_weight_decay=True, weight_decay=0.25, lr=0.1))
CALLS.add(
    "SGD",
    [
        *_each(momentum=0.9),
        *_each(momentum=0.9, dampening=0.5, weight_decay=0.1),
        *_each(momentum=0.9, nesterov=True, lr=0.1),
        call(*TWO, nesterov=True),
        call(*TWO, nesterov=True, momentum=0.9, dampening=0.1),
        call(*TWO, momentum=-1),
        call(*TWO, momentum=0.9, fused=True, resume=True),
    ],
)
CALLS.add(
    "NAdam", [*_each(momentum_decay=0.1), call(*TWO, momentum_decay=-1), *_each(momentum_decay=0)]
)
CALLS.add("RAdam", [*_each(betas=(0.2, 0.3)), *_each(betas=(0.9, 0.99), lr=0.5)])
CALLS.add(
    "Adagrad",
    [
        *_each(lr_decay=0.25),
        *_each(initial_accumulator_value=0.5, eps=1e-3),
        call(*TWO, lr_decay=-1),
        call(*TWO, initial_accumulator_value=-1),
        call(*TWO, eps=-1),
    ],
)
CALLS.add(
    "Adadelta",
    [*_each(rho=0.5, eps=1e-3), call(*TWO, rho=1.5), call(*TWO, rho=-0.5), call(*TWO, eps=-1)],
)
CALLS.add(
    "RMSprop",
    [
        *_each(momentum=0.9),
        *_each(centered=True),
        *_each(momentum=0.5, centered=True, alpha=0.5, eps=1e-3, weight_decay=0.1),
        call(*TWO, alpha=-1),
        call(*TWO, eps=-1),
        call(*TWO, momentum=-1),
    ],
)
CALLS.add("ASGD", [*_each(lambd=0.1, alpha=0.5, t0=2), *_each(lr=0.1, t0=0)])
CALLS.add(
    "Rprop",
    [
        *SHARED,
        *ODD,
        *CAPTURABLE,
        call(*TWO, maximize=True, foreach=True),
        *_each(etas=(0.3, 1.5)),
        *_each(step_sizes=(0.05, 0.1), lr=0.07),
        call(*TWO, etas=(1.5, 1.2)),
        call(*TWO, etas=(0.5, 0.9)),
    ],
)
CALLS.add(
    "LBFGS",
    [
        *SHARED,
        call(array(4, 3), array(), array(5)),
        call(array(2, 3, 2), steps=2),
        call(array(4, 3), array(2), idle=1),
        call(array(5, dtype=F32), lr=0.1, steps=1),
        call(*TWO, line_search_fn="strong_wolfe"),
        call(*TWO, line_search_fn="strong_wolfe", max_iter=3, resume=True),
        call(*TWO, line_search_fn="strong_wolfe", max_eval=5),
        call(*TWO, line_search_fn="strong_wolfe", lr=20.0, max_iter=5),
        call(*TWO, line_search_fn="strong_wolfe", history_size=2, max_iter=5, steps=1),
        call(*TWO, line_search_fn="weak"),
        call(*TWO, max_iter=1),
        call(*TWO, max_iter=3, history_size=1, lr=0.2),
        call(*TWO, max_eval=4),
        call(*TWO, tolerance_grad=10.0),
        call(*TWO, tolerance_change=0.5, lr=0.1),
        call(*TWO, max_iter=4, lr=0.1, resume=True),
    ],
)
CALLS.add(
    "Adafactor",
    [
        *SHARED,
        *ODD,
        *_each(weight_decay=0.25, lr=0.1),
        *_each(beta2_decay=-0.5, d=2.0),
        *_each(eps=(1e-4, 0.5)),
        call(*TWO, foreach=True),
        call(*TWO, beta2_decay=0.5),
        call(*TWO, eps=(-1, 1e-3)),
        call(*TWO, eps=(None, -1)),
        call(*TWO, d=0.5),
        call(*TWO, weight_decay=-1),
    ],
)
WIDE = [array(4, 3), array(2, 5, seed=1)]
CALLS.add(
    "Muon",
    [
        call(*WIDE),
        call(*WIDE, lr=0.25),
        call(*WIDE, lr=-1),
        call(*WIDE, resume=True),
        call(*WIDE, groups=[{"lr": 0.1}, {"momentum": 0.5}]),
        call(*WIDE, weight_decay=0.5, lr=0.1),
        call(*WIDE, weight_decay=-1),
        call(*WIDE, momentum=0.5, nesterov=False),
        call(*WIDE, momentum=-1),
        call(*WIDE, ns_steps=3, ns_coefficients=(2.0, -1.5, 0.5)),
        call(*WIDE, ns_coefficients=(2.0, -1.5)),
        call(*WIDE, ns_steps=100),
        call(*WIDE, adjust_lr_fn="original"),
        call(*WIDE, adjust_lr_fn="match_rms_adamw"),
        call(*WIDE, adjust_lr_fn="other"),
        call(strided(3, 4), idle=0),
        call(strided(4, 3), array(3, 3), idle=1),
        call(array(3, 4, dtype=F32)),
        call(*TWO),
        call(),
    ],
)
