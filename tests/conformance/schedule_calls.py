"""Calls for ``torch.optim.lr_scheduler``: the rates that a schedule gives two groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.calls import Call, call
from conformance.inputs import Table

CALLS = Table()
Nested = tuple[str, dict[str, Any]]


def runner(lib: Any, name: str) -> Callable[..., list[Any]]:
    """The schedule of that name as a function: from options to rates and momenta at each step.

    Step by step it gets what ``at`` holds (metrics or epochs), and with ``resume`` another one
    takes over half way, by the ``state_dict``. Schedules among the options are pairs of name and
    options; ``kind`` is the optimizer's, whose rates are tensors if ``tensor``.
    """

    def run(
        *args: Any,
        steps: int = 12,
        at: Any = None,
        resume: bool = False,
        kind: str = "SGD",
        tensor: bool = False,
        **options: Any,
    ) -> list[Any]:
        def begin() -> Any:
            rates: Any = [lib.tensor(lr) for lr in (0.5, 0.0625)] if tensor else [0.5, 0.0625]
            groups = [{"params": lib.zeros(1, requires_grad=True), "lr": lr} for lr in rates]
            return getattr(lib.optim, kind)(groups, **({"momentum": 0.5} if kind == "SGD" else {}))

        def scheduled(optimizer: Any) -> Any:
            if name == "ChainedScheduler":
                return _made(lib, name, None, args, options, optimizer)
            return _made(lib, name, optimizer, args, options, optimizer)

        optimizer = begin()
        schedule = scheduled(optimizer)
        rows: list[list[float]] = []
        for step in range(steps):
            if resume and step == steps // 2:
                states = optimizer.state_dict(), schedule.state_dict()
                optimizer = begin()
                schedule = scheduled(optimizer)
                optimizer.load_state_dict(states[0])
                schedule.load_state_dict(states[1])
            rows.append([float(v) for g in optimizer.param_groups for v in _moving(g)])
            optimizer.step()
            schedule.step(*([] if at is None else [at[step]]))
        last = [float(lr) for lr in schedule.get_last_lr()]
        kept = schedule.state_dict()
        double: Any = {"dtype": lib.float64}
        return [lib.tensor(rows, **double), lib.tensor(last, **double), str(sorted(kept))]

    return run


def _made(lib: Any, name: str, first: Any, args: Any, options: Any, optimizer: Any) -> Any:
    """A schedule, and those among its options."""

    first = None if name == "ChainedScheduler" else first

    def nested(value: Any) -> Any:
        if isinstance(value, list) and value and isinstance(value[0], tuple):
            return [_made(lib, n, optimizer, (), kw, optimizer) for n, kw in value]
        return value

    given = [*([] if first is None else [first]), *map(nested, args)]
    cls = getattr(lib.optim.swa_utils if name == "SWALR" else lib.optim.lr_scheduler, name)
    return cls(*given, **{key: nested(value) for key, value in options.items()})


def _moving(group: dict[str, Any]) -> list[Any]:
    return [group["lr"], group["momentum"] if "momentum" in group else group["betas"][0]]


def _each(*args: Any, **options: Any) -> list[Call]:
    """The schedule, resumed, with rates that are tensors, and by (deprecated) epochs."""
    return [
        call(*args, **options),
        call(*args, **options, resume=True),
        call(*args, **options, tensor=True),
        call(*args, **options, at=[3, 1, 0, 7, 4, 5, 20, 2, 9, 10, 11, 12]),
    ]


def square(step: int) -> float:
    return 1 / (1 + step) ** 2


def half(step: float) -> float:
    return 0.5 if step % 2 else 1.0


REFUSED = [call(last_epoch=3), call(kind="Adam", unknown=1)]
CALLS.add("StepLR", [*_each(3), *_each(2, gamma=0.5), *_each(step_size=1, gamma=2), *REFUSED])
CALLS.add("StepLR", [call(0), call(3, last_epoch=3)])
CALLS.add("MultiStepLR", [*_each([2, 5]), *_each([3, 3, 7], gamma=0.5), *_each([]), *REFUSED])
CALLS.add("ConstantLR", [*_each(), *_each(0.25, total_iters=3), *_each(1.0), *REFUSED])
CALLS.add("ConstantLR", [call(1.5), call(-0.5), call(0.5, 0), call(total_iters=100)])
CALLS.add("LinearLR", [*_each(), *_each(0.25, 0.75, 4), *_each(1.0, 0.0, 20), *REFUSED])
CALLS.add("LinearLR", [call(0), call(1.5), call(0.5, 1.5), call(0.5, -1), call(total_iters=0)])
CALLS.add("ExponentialLR", [*_each(0.5), *_each(gamma=1.25), *_each(1), *REFUSED])
CALLS.add("PolynomialLR", [*_each(), *_each(8, 2.0), *_each(3, power=0.5), *REFUSED])
CALLS.add("CosineAnnealingLR", [*_each(4), *_each(5, 0.125), *_each(100, eta_min=1e-3), *REFUSED])
CALLS.add(
    "CosineAnnealingWarmRestarts",
    [
        *_each(4),
        *_each(2, 2),
        *_each(3, T_mult=2, eta_min=0.01),
        call(3, 2, at=[0.25 * i for i in range(12)]),
        call(2, 3, at=[0.7 * i for i in range(12)], resume=True),
        call(3, at=[1.5, -1, *range(10)]),
        call(0),
        call(2.5),
        call(3, 0),
        call(3, 1.5),
        call(3, 1, "low"),
        *REFUSED,
    ],
)
CALLS.add("LambdaLR MultiplicativeLR", [*_each(square), *_each([square, half])])
CALLS.add("LambdaLR MultiplicativeLR", [*_each((half, square)), call([square])])
CALLS.add("MultiplicativeLR", [call(0.5)])
CALLS.add(
    "OneCycleLR",
    [
        call(0.4, 20),
        call(0.4, 20, resume=True),
        call(0.4, 20, tensor=True),
        call([0.4, 0.1], epochs=3, steps_per_epoch=5),
        call(0.4, 20, pct_start=0.5, anneal_strategy="linear"),
        call(0.4, 20, three_phase=True),
        call(0.4, 20, three_phase=True, anneal_strategy="linear", resume=True),
        call(0.4, 20, cycle_momentum=False, div_factor=5.0, final_div_factor=10.0),
        call(0.4, 20, base_momentum=0.5, max_momentum=0.75),
        call(0.4, 20, base_momentum=[0.5, 0.6], max_momentum=[0.75, 0.8]),
        call(0.4, 20, kind="Adam"),
        call(0.4, 20, kind="Rprop"),
        call(0.4, 5),
        call(0.4),
        call(0.4, -1),
        call(0.4, 2.5),
        call(0.4, epochs=0, steps_per_epoch=3),
        call(0.4, epochs=3, steps_per_epoch=-3),
        call(0.4, 20, pct_start=1.5),
        call(0.4, 20, pct_start=1),
        call(0.4, 20, anneal_strategy="cubic"),
        call([0.4], 20),
        call(0.4, 20, last_epoch=3),
    ],
)
CALLS.add(
    "CyclicLR",
    [
        *_each(0.1, 0.4, 3),
        *_each([0.1, 0.01], [0.4, 0.1], 2, 4, mode="triangular2"),
        *_each(0.1, 0.4, 2, mode="exp_range", gamma=0.9),
        call(0.1, 0.4, 3, scale_fn=half),
        call(0.1, 0.4, 3, scale_fn=half, scale_mode="iterations", mode="none", resume=True),
        call(0.1, 0.4, 3, cycle_momentum=False),
        call(0.1, 0.4, 3, base_momentum=0.5, max_momentum=[0.6, 0.7]),
        call(0.1, 0.4, 3, kind="Adam"),
        call(0.1, 0.4, 3, kind="Adagrad"),
        call(0.1, 0.4, 3, mode="square"),
        call([0.1], 0.4, 3),
        call(0.1, [0.4], 3),
        call(0.1, 0.4, 3, last_epoch=3),
        call(0.1, 0.4),
        call(0.1),
    ],
)
CALLS.add(
    "ReduceLROnPlateau",
    [
        call(at=[1.0] * 15, steps=15),
        call(patience=2, at=[3, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1]),
        call(patience=1, factor=0.5, at=[1.0] * 12, resume=True),
        call(mode="max", patience=1, at=[1, 2, 3, 3, 3, 2, 4, 4, 4, 4, 4, 4]),
        call(patience=0, cooldown=3, at=[1.0] * 12),
        call(patience=0, min_lr=0.02, at=[1.0] * 12),
        call(patience=0, min_lr=[0.1, 0.001], at=[1.0] * 12),
        call(patience=0, threshold=0.5, at=[8, 5, 3, 1, 0.6, 0.3, 0.2, 0.1, 0, 0, 0, 0]),
        call(patience=0, threshold=0.5, threshold_mode="abs", at=[8 - 0.3 * i for i in range(12)]),
        call(patience=0, mode="max", threshold_mode="abs", at=[0.1 * i for i in range(12)]),
        call(patience=0, eps=0.1, at=[1.0] * 12),
        call(patience=0, at=[float("nan")] * 12),
        call(patience=0, tensor=True, at=[1.0] * 12),
        call(factor=1.0),
        call(mode="least"),
        call(threshold_mode="both"),
        call(min_lr=[0.1]),
        call(),
        call(unknown=1),
    ],
)
WARM: Nested = ("LinearLR", {"start_factor": 0.25, "total_iters": 4})
COSINE: Nested = ("CosineAnnealingLR", {"T_max": 5})
DECAY: Nested = ("ExponentialLR", {"gamma": 0.5})
INNER: Nested = ("SequentialLR", {"schedulers": [WARM, DECAY], "milestones": [2]})
CALLS.add(
    "SequentialLR",
    [
        call([WARM, DECAY], [4]),
        call([WARM, DECAY], [4], resume=True),
        call([WARM, DECAY], milestones=[4], tensor=True),
        call([WARM, COSINE, ("StepLR", {"step_size": 2})], [4, 8]),
        call([DECAY], []),
        call([WARM, ("CosineAnnealingWarmRestarts", {"T_0": 3})], [4]),
        call([WARM, ("MultiplicativeLR", {"lr_lambda": half})], [4]),
        call([("ChainedScheduler", {"schedulers": [WARM, DECAY]}), COSINE], [4]),
        call([WARM, ("ReduceLROnPlateau", {})], [4]),
        call([WARM, DECAY], [4, 8]),
        call([WARM], [4]),
        call([], []),
        call([WARM, DECAY], [0]),
    ],
)
CALLS.add(
    "ChainedScheduler",
    [
        call([WARM, DECAY]),
        call([WARM, DECAY], resume=True),
        call([WARM, DECAY], tensor=True),
        call([WARM, COSINE, ("StepLR", {"step_size": 2})]),
        call([DECAY]),
        call([DECAY, DECAY], steps=5),
        call([("MultiplicativeLR", {"lr_lambda": half}), COSINE], resume=True),
        call([("LambdaLR", {"lr_lambda": square}), DECAY]),
        call([INNER, DECAY]),
        call([("ChainedScheduler", {"schedulers": [WARM, DECAY]}), COSINE]),
        call([WARM, ("ReduceLROnPlateau", {})]),
        call([]),
        call(),
        call([WARM, DECAY], at=[1.0] * 12),
    ],
)
