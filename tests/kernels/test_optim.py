"""optim.cu: every rule against the reference on the same device, in one launch, and its bytes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checks import compare

import gpunn
import gpunn.sim
from gpunn import optim
from gpunn.backends.reference.optimizer import OptimizerPrimitives as Reference

launcher = pytest.importorskip("gpunn.backends.launcher")
TOLERANCE = {"float64": 1e-13, "float32": 2e-6, "float16": 4e-3, "bfloat16": 4e-2}
SHAPES = [(), (3,), (0, 4), (64, 65), (4096,), (9001,), (7, 11)]

SGD: dict[str, Any] = {
    "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.2, "nesterov": False, "first": False
}  # fmt: skip
ADAM: dict[str, Any] = {
    "beta1": 0.9, "beta2": 0.99, "eps": 1e-3, "weight_decay": 0.2, "decoupled": False, "step": 3.0
}  # fmt: skip
RMSPROP: dict[str, Any] = {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.2, "momentum": 0.8}
# The rule, which of the arrays of its state there are, and its numbers.
RULES: list[tuple[str, tuple[bool, ...], dict[str, Any]]] = [
    ("sgd_step", (True,), SGD),
    ("sgd_step", (True,), {**SGD, "nesterov": True, "dampening": 0, "weight_decay": 0}),
    ("sgd_step", (True,), {**SGD, "first": True}),
    ("sgd_step", (False,), SGD),
    ("adam_step", (True, True, False), ADAM),
    ("adam_step", (True, True, True), {**ADAM, "step": 1.0}),
    ("adam_step", (True, True, False), {**ADAM, "decoupled": True}),
    ("rmsprop_step", (True, False, False), RMSPROP),
    ("rmsprop_step", (True, True, False), RMSPROP),
    ("rmsprop_step", (True, False, True), RMSPROP),
    ("rmsprop_step", (True, True, True), {**RMSPROP, "weight_decay": 0}),
]


def element(dtype: str) -> Any:
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype)


SQUARES = {"sgd_step": (), "adam_step": (3, 4), "rmsprop_step": (2,)}  # which lists are positive


def arrays(
    cuda: Any, name: str, dtype: str, shapes: list[tuple[int, ...]], states: tuple[bool, ...]
) -> list[Any]:
    """Lists of weights, gradients and states: numbers below 1, and squares above 2."""
    rng = np.random.default_rng(5)
    lists: list[Any] = []
    for k, present in enumerate((True, True, *states)):
        drawn = [np.asarray(np.tanh(rng.standard_normal(s)), "f4") for s in shapes]
        drawn = [np.abs(a) + 2 if k in SQUARES[name] else a for a in drawn]
        made = [cuda.from_numpy(a.astype(element(dtype))) for a in drawn]
        lists.append(made if present else None)
    return lists


def copies(lists: list[Any]) -> list[Any]:
    return [None if some is None else [a.copy() for a in some] for some in lists]


def check(cuda: Any, name: str, lists: list[Any], rule: dict[str, Any], tolerance: float) -> None:
    """The kernel's step against the reference's; both start from copies of the lists."""
    theirs = copies(lists)
    rule = {"lr": 0.1, "maximize": False, **rule}
    getattr(cuda, name)(*lists, **rule)
    getattr(Reference, name)(cuda, *theirs, **rule)
    for k, (some, others) in enumerate(zip(lists, theirs, strict=True)):
        for i, (got, expected) in enumerate(zip(some or [], others or [], strict=True)):
            wide = np.promote_types(got.dtype, "f4")
            a, b = (cuda.to_numpy(v).astype(wide) for v in (got, expected))
            compare(a, b, f"list {k} of {name}, array {i}", tolerance, tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("name", "states", "rule"), RULES)
def test_rules(cuda: Any, name: str, states: tuple[bool, ...], rule: dict[str, Any], dtype: str):
    shapes = SHAPES if dtype == "float32" else [(), (3,), (0, 4), (70, 61)]
    lists = arrays(cuda, name, dtype, shapes, states)
    with launcher.recorded() as names:
        check(cuda, name, lists, {**rule, "maximize": dtype == "float64"}, TOLERANCE[dtype])
    assert names == [name], "all in one launch"


def test_two_dtypes_are_two_launches(cuda: Any):
    lists = [
        a + b
        for a, b in zip(
            arrays(cuda, "sgd_step", "float32", [(5,), (7,)], (True,)),
            arrays(cuda, "sgd_step", "float64", [(6,)], (True,)),
            strict=True,
        )
    ]
    with launcher.recorded() as names:
        check(cuda, "sgd_step", lists, SGD, 2e-6)
    assert names == ["sgd_step"] * 2


def test_misaligned_arrays_among_aligned_ones(cuda: Any):
    lists = arrays(cuda, "adam_step", "float32", [(500,), (501,), (502,)], (True, True, False))
    for k, some in enumerate(lists[:4]):
        some[0] = some[0][:400]
        some[1] = some[1][1:401] if k == 2 else some[1][:400]
        some[2] = some[2][1:402]
    with launcher.recorded() as names:
        check(cuda, "adam_step", lists, ADAM, 2e-6)
    assert names == ["adam_step"]


def test_strided_arrays_are_changed_where_they_lie(cuda: Any):
    lists = arrays(cuda, "sgd_step", "float32", [(6, 8), (5,)], (True,))
    memory = lists[0][0]
    before = memory.copy()
    lists[0][0], lists[2][0] = memory[:, ::2], lists[2][0][:, 1::2]  # the reference takes them
    lists[1][0] = lists[1][0].T[:4].T  # a gradient is only read: a copy will do
    check(cuda, "sgd_step", lists, SGD, 2e-6)
    changed = cuda.to_numpy(memory != before)
    assert changed[:, ::2].all()
    assert not changed[:, 1::2].any()
    lists = arrays(cuda, "sgd_step", "float32", [(6, 8)], (True,))
    lists[1] = [lists[1][0].reshape(8, 6).T]
    with launcher.recorded() as names:
        check(cuda, "sgd_step", lists, SGD, 2e-6)
    assert names == ["sgd_step"]


def test_gradients_of_another_dtype_take_the_reference(cuda: Any):
    lists = arrays(cuda, "sgd_step", "float32", [(5,)], (False,))
    lists[1] = [lists[1][0].astype("f8")]
    with launcher.recorded() as names:
        check(cuda, "sgd_step", lists, SGD, 2e-6)
    assert names == []


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite(cuda: Any, bad: float):
    lists = arrays(cuda, "adam_step", "float32", [(40,)], (True, True, True))
    for some, at in zip(lists, (3, 7, 11, 13, 17), strict=True):
        some[0][at] = bad
    check(cuda, "adam_step", lists, ADAM, 2e-6)


# Through the optimizers -------------------------------------------------------------------------


def trained(name: str, device: str, steps: int = 3, **options: Any) -> list[Any]:
    gpunn.manual_seed(1)
    params = [gpunn.randn(*s).to(device).requires_grad_() for s in [(33, 5), (7,), (4,), (2, 2)]]
    optimizer = getattr(optim, name)(params, **options)
    for step in range(steps):
        for p in params[: 3 + (step > 0)]:  # the last one comes later: its steps are its own
            p.grad = p.detach().sin() * (step + 1)
        optimizer.step()
    return [p.detach().cpu().numpy() for p in params]


CASES = [
    ("SGD", {"momentum": 0.9, "dampening": 0.2}, "sgd_step", 4),
    ("SGD", {}, "sgd_step", 3),
    ("Adam", {"eps": 1e-3}, "adam_step", 5),
    ("AdamW", {"amsgrad": True}, "adam_step", 5),
    ("RMSprop", {"centered": True, "momentum": 0.5}, "rmsprop_step", 3),
]


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize(("name", "options", "kernel", "launches"), CASES)
def test_as_on_the_cpu(name: str, options: dict[str, Any], kernel: str, launches: int):
    with launcher.recorded() as names:
        ours = trained(name, "cuda", lr=0.05, **options)
    assert names.count(kernel) == launches, "one for all that are at the same step"
    for i, (got, expected) in enumerate(
        zip(ours, trained(name, "cpu", lr=0.05, **options), strict=True)
    ):
        compare(got, expected, f"parameter {i}", 1e-5, 1e-6)


@pytest.mark.usefixtures("cuda")
def test_a_parameter_given_twice_is_updated_twice():
    p = gpunn.ones(3, device="cuda").requires_grad_()
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optimizer = optim.SGD([p, p], lr=0.25)
    p.grad = gpunn.ones(3, device="cuda")
    optimizer.step()
    assert p.tolist() == [0.5] * 3


def test_the_table_is_made_once(cuda: Any, monkeypatch: pytest.MonkeyPatch):
    params = [gpunn.ones(3, device="cuda").requires_grad_() for _ in range(2)]
    optimizer = optim.SGD(params, lr=0.25)
    for p in params:
        p.grad = gpunn.ones(3, device="cuda")
    optimizer.step()
    copied: list[Any] = []
    monkeypatch.setattr(cuda.xp, "asarray", lambda *a: copied.append(a))
    optimizer.step()
    assert copied == []
    assert params[1].tolist() == [0.5] * 3


# Bytes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "states", "rule", "least"),
    [
        ("sgd_step", (True,), SGD, 20),
        ("sgd_step", (False,), SGD, 12),
        ("adam_step", (True, True, False), ADAM, 28),
        ("adam_step", (True, True, True), ADAM, 36),
        ("rmsprop_step", (True, False, False), RMSPROP, 20),
        ("rmsprop_step", (True, True, True), RMSPROP, 36),
    ],
)
def test_bytes_per_parameter(
    cuda: Any,
    moved: Callable[[str], int],
    name: str,
    states: tuple[bool, ...],
    rule: dict[str, Any],
    least: int,
):
    shapes = [(64, 64), (100,), (50, 300)]
    lists = arrays(cuda, name, "float32", shapes, states)
    getattr(cuda, name)(*lists, **{"lr": 0.1, "maximize": False, **rule})
    each = moved(name) / sum(math.prod(s) for s in shapes)
    assert least <= each <= 1.05 * least, f"{name} moves {each:.2f} bytes for each parameter"
