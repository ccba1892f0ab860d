"""Schedules against PyTorch's: every step, every option, and resumed half-way."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import pytest

import gpunn
from gpunn.optim import SGD, Adam, RMSprop, lr_scheduler
from gpunn.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)


class Halving:
    """A callable object, whose attributes a LambdaLR's state keeps."""

    def __init__(self, every: int) -> None:
        self.every, self.calls = every, 0

    def __call__(self, epoch: int) -> float:
        self.calls += 1
        return 0.5 ** (epoch // self.every)


def params(module: Any) -> list[Any]:
    return [module.zeros(2, requires_grad=True) for _ in range(2)]


def sgd(module: Any, **options: Any) -> Any:
    a, b = params(module)
    return module.optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=0.1, **options)


SCHEDULES: dict[str, Callable[[Any, Any], Any]] = {
    "step": lambda s, o: s.StepLR(o, 7),
    "step gamma": lambda s, o: s.StepLR(o, step_size=1, gamma=0.9),
    "multistep": lambda s, o: s.MultiStepLR(o, [3, 17, 17, 40]),
    "multistep gamma": lambda s, o: s.MultiStepLR(o, milestones=[0, 1, 58], gamma=1.5),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.93),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 60),
    "cosine beyond": lambda s, o: s.CosineAnnealingLR(o, T_max=7, eta_min=0.02),
    "cosine of one": lambda s, o: s.CosineAnnealingLR(o, 1),
    "lambda": lambda s, o: s.LambdaLR(o, lambda e: 1 / (1 + e)),
    "lambdas": lambda s, o: s.LambdaLR(o, [lambda e: 0.9**e, Halving(5)]),
    "constant": lambda s, o: s.ConstantLR(o, factor=0.25, total_iters=13),
    "linear": lambda s, o: s.LinearLR(o),
    "linear down": lambda s, o: s.LinearLR(o, 0.9, 0.1, total_iters=33),
    "polynomial": lambda s, o: s.PolynomialLR(o, total_iters=41, power=1.7),
    "one cycle": lambda s, o: s.OneCycleLR(o, 0.4, total_steps=60),
    "one cycle linear": lambda s, o: s.OneCycleLR(
        o, [0.4, 0.1], epochs=5, steps_per_epoch=13, pct_start=0.11, anneal_strategy="linear",
        base_momentum=[0.5, 0.7], max_momentum=0.99, div_factor=3, final_div_factor=7,
    ),
    "one cycle in three": lambda s, o: s.OneCycleLR(o, 0.4, 61, three_phase=True, pct_start=0.37),
    "one cycle, all rise": lambda s, o: s.OneCycleLR(o, 1.0, 62, pct_start=1.0),
    "one cycle, momentum kept": lambda s, o: s.OneCycleLR(o, 0.4, 60, cycle_momentum=False),
    "sequence": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, total_iters=10), s.CosineAnnealingLR(o, 20), s.StepLR(o, 4)],
        milestones=[10, 33],
    ),
    "sequence of closed forms": lambda s, o: s.SequentialLR(
        o,
        [s.PolynomialLR(o, 5), s.MultiStepLR(o, [4]), s.ConstantLR(o, total_iters=3),
         s.ExponentialLR(o, 0.7), s.LambdaLR(o, lambda e: 1 + e), s.LinearLR(o)],
        milestones=[6, 12, 20, 30, 40],
    ),
}  # fmt: skip


def record(optimizer: Any, scheduler: Any, steps: int) -> list[tuple[float, ...]]:
    """Rates and momenta at each step."""
    rows: list[tuple[float, ...]] = []
    for _ in range(steps):
        rows.append(
            (
                *(float(group["lr"]) for group in optimizer.param_groups),
                *(float(group["momentum"]) for group in optimizer.param_groups),
                *scheduler.get_last_lr(),
            )
        )
        optimizer.step()
        scheduler.step()
    return rows


@pytest.mark.parametrize("name", SCHEDULES)
def test_follows_pytorch(name: str):
    torch = pytest.importorskip("torch")
    ours, theirs = sgd(gpunn, momentum=0.9), sgd(torch, momentum=0.9)
    a = SCHEDULES[name](lr_scheduler, ours)
    b = SCHEDULES[name](torch.optim.lr_scheduler, theirs)
    for got, expected in zip(record(ours, a, 60), record(theirs, b, 60), strict=True):
        assert got == pytest.approx(expected, rel=1e-12, abs=1e-15)
    assert a.state_dict().keys() == b.state_dict().keys()


@pytest.mark.parametrize("name", SCHEDULES)
def test_resumes_from_state_dicts(name: str):
    whole = sgd(gpunn, momentum=0.9)
    expected = record(whole, SCHEDULES[name](lr_scheduler, whole), 60)
    first = sgd(gpunn, momentum=0.9)
    scheduler = SCHEDULES[name](lr_scheduler, first)
    rows = record(first, scheduler, 23)
    file = io.BytesIO()
    gpunn.save([first.state_dict(), scheduler.state_dict()], file)
    file.seek(0)
    state = gpunn.load(file)
    second = sgd(gpunn, momentum=0.9)
    resumed = SCHEDULES[name](lr_scheduler, second)
    second.load_state_dict(state[0])
    resumed.load_state_dict(state[1])
    assert rows + record(second, resumed, 37) == expected


@pytest.mark.parametrize("name", SCHEDULES)
def test_takes_over_pytorchs_state(name: str):
    torch = pytest.importorskip("torch")
    theirs, ours = sgd(torch, momentum=0.9), sgd(gpunn, momentum=0.9)
    b = SCHEDULES[name](torch.optim.lr_scheduler, theirs)
    record(theirs, b, 23)
    a = SCHEDULES[name](lr_scheduler, ours)
    ours.load_state_dict(theirs.state_dict())
    a.load_state_dict(b.state_dict())
    for got, expected in zip(record(ours, a, 30), record(theirs, b, 30), strict=True):
        assert got == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("epoch", [0, 1, 9, 50])
@pytest.mark.parametrize("name", [n for n in SCHEDULES if not n.startswith("sequence")])
def test_jumps_to_an_epoch_as_pytorch(name: str, epoch: int):
    torch = pytest.importorskip("torch")
    ours, theirs = sgd(gpunn, momentum=0.9), sgd(torch, momentum=0.9)
    a = SCHEDULES[name](lr_scheduler, ours)
    b = SCHEDULES[name](torch.optim.lr_scheduler, theirs)
    record(ours, a, 3)
    record(theirs, b, 3)
    with pytest.warns(UserWarning, match="The epoch parameter"):
        a.step(epoch)
    with pytest.warns(UserWarning, match="The epoch parameter"):
        b.step(epoch)
    assert a.get_last_lr() == pytest.approx(b.get_last_lr(), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("name", ["step", "exponential", "cosine beyond", "linear", "polynomial"])
def test_resumes_with_last_epoch_as_pytorch(name: str):
    torch = pytest.importorskip("torch")
    make: dict[str, Callable[[Any, Any], Any]] = {
        "step": lambda s, o: s.StepLR(o, 4, last_epoch=11),
        "exponential": lambda s, o: s.ExponentialLR(o, 0.9, last_epoch=11),
        "cosine beyond": lambda s, o: s.CosineAnnealingLR(o, 5, last_epoch=11),
        "linear": lambda s, o: s.LinearLR(o, total_iters=20, last_epoch=11),
        "polynomial": lambda s, o: s.PolynomialLR(o, 20, last_epoch=11),
    }
    rows = []
    for module, schedules in ((gpunn, lr_scheduler), (torch, torch.optim.lr_scheduler)):
        optimizer = sgd(module, momentum=0.9)
        for group in optimizer.param_groups:
            group["initial_lr"] = 2 * group["lr"]
        rows.append(record(optimizer, make[name](schedules, optimizer), 25))
    for got, expected in zip(*rows, strict=True):
        assert got == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "max", "patience": 0, "factor": 0.5},
        {"threshold": 0.1, "threshold_mode": "abs", "patience": 1, "cooldown": 2},
        {"mode": "max", "threshold": 0.2, "threshold_mode": "abs", "patience": 2},
        {"threshold": 0.3, "patience": 1, "min_lr": [0.01, 0.2], "factor": 0.7},
        {"patience": 0, "eps": 1e-3, "cooldown": 1},
    ],
)
def test_plateau_follows_pytorch(options: dict[str, Any]):
    torch = pytest.importorskip("torch")
    ours, theirs = sgd(gpunn), sgd(torch)
    a = ReduceLROnPlateau(ours, **options)
    b = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    for i in range(60):
        if i == 30:
            fresh = ReduceLROnPlateau(ours, **options)
            fresh.load_state_dict(a.state_dict())
            a = fresh
        metric = math.sin(i * i) / (1 + i / 10) + (1 if i > 40 else 0)
        a.step(metric)
        b.step(metric)
        assert a.get_last_lr() == pytest.approx(b.get_last_lr(), rel=1e-12)
        assert a.state_dict() == b.state_dict()


def test_plateau_cuts_on_the_fourth_flat_step():
    optimizer = SGD(params(gpunn), lr=1.0)
    scheduler = ReduceLROnPlateau(optimizer, patience=2)
    rates = []
    for _ in range(4):
        scheduler.step(gpunn.tensor(3.0))
        rates += scheduler.get_last_lr()
    assert rates == [1.0, 1.0, 1.0, 0.1]


def test_plateau_meets_a_group_added_later():
    optimizer = SGD(params(gpunn), lr=1.0)
    one, listed = (
        ReduceLROnPlateau(optimizer, patience=0),
        ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.0]),
    )
    optimizer.add_param_group({"params": params(gpunn), "lr": 2.0})
    one.step(1)
    one.step(1)
    assert one.get_last_lr() == [0.1, 0.2]
    listed.step(1)
    with pytest.raises(RuntimeError, match=r"The number of param groups in the `optimizer` \(2\)"):
        listed.step(1)


def test_writes_initial_lr_and_acts_at_construction():
    optimizer = sgd(gpunn)
    LinearLR(optimizer, start_factor=0.5)
    assert [g["initial_lr"] for g in optimizer.param_groups] == [0.1, 0.5]
    assert [g["lr"] for g in optimizer.param_groups] == [0.05, 0.25]


def test_cosine_climbs_again_past_t_max():
    optimizer = SGD(params(gpunn), lr=1.0)
    scheduler = CosineAnnealingLR(optimizer, 5)
    rates = []
    for _ in range(10):
        optimizer.step()
        scheduler.step()
        rates += scheduler.get_last_lr()
    assert rates[4] == pytest.approx(0)
    assert rates[9] == pytest.approx(1)


def test_schedules_of_one_optimizer_multiply():
    optimizer = SGD(params(gpunn), lr=1.0)
    a, b = ExponentialLR(optimizer, 0.9), StepLR(optimizer, 2)
    for _ in range(4):
        optimizer.step()
        a.step()
        b.step()
    assert b.get_last_lr() == pytest.approx([0.9**4 * 0.01])


@pytest.mark.parametrize("kind", [Adam, RMSprop])
def test_one_cycle_moves_momentum_or_beta1(kind: Any):
    optimizer = kind(params(gpunn), lr=1.0)
    scheduler = OneCycleLR(optimizer, 0.1, 10)
    seen = []
    for _ in range(9):
        group = optimizer.param_groups[0]
        seen.append(group["betas"][0] if kind is Adam else group["momentum"])
        optimizer.step()
        scheduler.step()
    assert seen[0] == 0.95
    assert seen[2] == pytest.approx(0.85)
    assert optimizer.param_groups[0].get("betas", (0, 0.999))[1] == 0.999


def test_one_cycle_with_a_rise_of_one_step():
    """PyTorch divides by zero here."""
    optimizer = SGD(params(gpunn), lr=1.0)
    scheduler = OneCycleLR(optimizer, 0.1, 10, pct_start=0.1, cycle_momentum=False)
    assert scheduler.get_last_lr() == [pytest.approx(0.1)]


def test_one_cycle_refuses_a_step_too_many():
    optimizer = SGD(params(gpunn), lr=1.0, momentum=0.9)
    scheduler = OneCycleLR(optimizer, 0.1, 3)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    with pytest.raises(
        ValueError, match=r"Tried to step 4 times. The specified number of total steps is 3"
    ):
        scheduler.step()


def test_a_tensor_rate_keeps_its_identity():
    lr = gpunn.tensor(0.5, dtype=gpunn.float64)
    optimizer = SGD(params(gpunn), lr=lr)
    scheduler = StepLR(optimizer, 1)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == pytest.approx(0.05)
    assert scheduler.get_last_lr() == pytest.approx([0.05])


def test_warns_of_a_step_before_the_optimizers():
    scheduler = StepLR(SGD(params(gpunn)), 3)
    with pytest.warns(UserWarning, match=r"lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        scheduler.step()


def test_a_users_optimizer_counts_as_stepped():
    class Mine(gpunn.optim.Optimizer):
        def step(self, closure: Any = None) -> None:
            pass

    optimizer = Mine(params(gpunn), {"lr": 1.0})
    scheduler = ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.5]


def test_get_lr_outside_a_step_warns():
    scheduler = ExponentialLR(SGD(params(gpunn), lr=1.0), 0.5)
    with pytest.warns(UserWarning, match=r"please use `get_last_lr\(\)`"):
        assert scheduler.get_lr() == [0.5]


def test_a_users_schedule():
    class Root(LRScheduler):
        def get_lr(self) -> list[float]:
            return [base / math.sqrt(self.last_epoch + 1) for base in self.base_lrs]

    optimizer = sgd(gpunn)
    scheduler = Root(optimizer)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    assert scheduler.get_last_lr() == [0.05, 0.25]


def test_sequences_nest():
    def flat(o: Any) -> LRScheduler:
        return SequentialLR(
            o, [ConstantLR(o, 0.5, 4), StepLR(o, 2), ExponentialLR(o, 0.8)], [5, 14]
        )

    def early(o: Any) -> LRScheduler:
        inner = SequentialLR(o, [ConstantLR(o, 0.5, 4), StepLR(o, 2)], [5])
        return SequentialLR(o, [inner, ExponentialLR(o, 0.8)], [14])

    def late(o: Any) -> LRScheduler:
        inner = SequentialLR(o, [StepLR(o, 2), ExponentialLR(o, 0.8)], [9])
        return SequentialLR(o, [ConstantLR(o, 0.5, 4), inner], [5])

    rows = []
    for make in (flat, early, late):
        optimizer = sgd(gpunn, momentum=0.9)
        rows.append(record(optimizer, make(optimizer), 30))
    assert rows[0] == rows[1] == rows[2]


def test_lambda_state_keeps_objects_not_functions():
    optimizer = sgd(gpunn)
    counter = Halving(2)
    state = LambdaLR(optimizer, [lambda e: 1.0, counter]).state_dict()
    assert state["lr_lambdas"] == [None, {"every": 2, "calls": 1}]
    other = LambdaLR(optimizer, [lambda e: 1.0, Halving(9)])
    other.load_state_dict(state)
    assert vars(other.lr_lambdas[1]) == {"every": 2, "calls": 1}


ERRORS: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (lambda o: StepLR(3, 3), TypeError, "int is not an Optimizer"),
    (lambda o: LambdaLR(3, abs), TypeError, "int is not an Optimizer"),
    (
        lambda o: StepLR(o, 3, last_epoch=4),
        KeyError,
        "param 'initial_lr' is not specified in param",
    ),
    (lambda o: LambdaLR(o, [abs]), ValueError, "Expected 2 lr_lambdas, but got 1"),
    (lambda o: ReduceLROnPlateau(o, factor=1.5), ValueError, "Factor should be < 1.0."),
    (lambda o: ReduceLROnPlateau(o, mode="x"), ValueError, "mode x is unknown!"),
    (lambda o: ReduceLROnPlateau(o, threshold_mode="x"), ValueError, "threshold mode x is unknown"),
    (lambda o: ReduceLROnPlateau(o, min_lr=[1]), ValueError, "expected 2 min_lrs, got 1"),
    (lambda o: OneCycleLR(o, 1), ValueError, "You must define either total_steps OR"),
    (lambda o: OneCycleLR(o, 1, epochs=3), ValueError, "You must define either total_steps OR"),
    (
        lambda o: OneCycleLR(o, 1, -1),
        ValueError,
        "Expected positive integer total_steps, but got -1",
    ),
    (lambda o: OneCycleLR(o, 1, 1.5), ValueError, "positive integer total_steps, but got 1.5"),
    (
        lambda o: OneCycleLR(o, 1, epochs=-1, steps_per_epoch=3),
        ValueError,
        "integer epochs, but got",
    ),
    (
        lambda o: OneCycleLR(o, 1, epochs=1, steps_per_epoch=0),
        ValueError,
        "integer steps_per_epoch",
    ),
    (lambda o: OneCycleLR(o, 1, 9, pct_start=3), ValueError, "Expected float between 0 and 1 pct_"),
    (lambda o: OneCycleLR(o, 1, 9, anneal_strategy="x"), ValueError, "must be one of 'cos' or"),
    (
        lambda o: OneCycleLR(o, [1], 9),
        ValueError,
        "max_lr must have the same length as optimizer.p",
    ),
    (lambda o: LinearLR(o, 0), ValueError, "Starting multiplicative factor expected to be greater"),
    (
        lambda o: LinearLR(o, end_factor=2),
        ValueError,
        "Ending multiplicative factor expected to be",
    ),
    (
        lambda o: ConstantLR(o, factor=2),
        ValueError,
        "Constant multiplicative factor expected to be",
    ),
    (lambda o: SequentialLR(o, [], []), ValueError, "SequentialLR expects at least one scheduler"),
    (
        lambda o: SequentialLR(o, [StepLR(o, 3)], [3]),
        ValueError,
        "number of milestones to be equal",
    ),
    (
        lambda o: SequentialLR(o, [StepLR(sgd(gpunn), 3)], []),
        ValueError,
        "SequentialLR expects all schedulers to belong to the same optimizer",
    ),
    (
        lambda o: SequentialLR(o, [StepLR(o, 3), ReduceLROnPlateau(o)], [3]),
        ValueError,
        "SequentialLR does not support `ReduceLROnPlateau` scheduler",
    ),
]


@pytest.mark.parametrize(("make", "kind", "text"), ERRORS)
def test_refuses(make: Callable[[Any], Any], kind: type[Exception], text: str):
    with pytest.raises(kind) as error:
        make(sgd(gpunn, momentum=0.9))
    assert text in str(error.value)


def test_one_cycle_needs_a_momentum():
    class Plain(gpunn.optim.Optimizer):
        pass

    with pytest.raises(ValueError, match="optimizer must support momentum or beta1"):
        OneCycleLR(Plain(params(gpunn), {"lr": 1.0}), 1, 9)


def test_multistep_keeps_milestones():
    assert MultiStepLR(sgd(gpunn), [3, 3, 5]).state_dict()["milestones"] == {3: 2, 5: 1}
