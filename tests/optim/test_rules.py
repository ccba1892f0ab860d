"""The update rules: by hand for one weight, and against PyTorch's for every option."""

from __future__ import annotations

import copy
import itertools
import math
from typing import Any

import numpy as np
import pytest
from checks import compare, to_numpy
from numpy.typing import NDArray

import gpunn
from gpunn import optim

Array = NDArray[Any]
SHAPES = [(4, 3), (3,), (), (2, 0), (5,)]  # the last never gets a gradient
STEPS = 20


def combinations(**options: tuple[Any, ...]) -> list[dict[str, Any]]:
    return [
        dict(zip(options, values, strict=True)) for values in itertools.product(*options.values())
    ]


CASES: list[tuple[str, dict[str, Any]]] = [
    *(
        ("SGD", {"lr": 0.1, **options})
        for options in combinations(
            momentum=(0, 0.9), dampening=(0, 0.3), weight_decay=(0, 0.2), nesterov=(False, True),
            maximize=(False, True),
        )
        if not options["nesterov"] or (options["momentum"] and not options["dampening"])
    ),
    *(
        (name, {"lr": 0.03, **options})
        for name in ("Adam", "AdamW")
        for options in combinations(
            weight_decay=(0, 0.2), amsgrad=(False, True), maximize=(False, True)
        )
    ),
    ("Adam", {"betas": (0.3, 0.6), "eps": 1e-3}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.3, "decoupled_weight_decay": True}),
    *(
        ("RMSprop", {"lr": 0.02, **options})
        for options in combinations(
            momentum=(0, 0.9), centered=(False, True), weight_decay=(0, 0.2), maximize=(False, True)
        )
    ),
    ("RMSprop", {"alpha": 0.4, "eps": 1e-2}),
    *(
        (name, options)
        for name in ("Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "ASGD")
        for options in combinations(weight_decay=(0, 0.2), maximize=(False, True))
    ),
    ("Adagrad", {"lr_decay": 0.3, "initial_accumulator_value": 0.5}),
    ("Adadelta", {"lr": 0.5, "rho": 0.6, "eps": 1e-3}),
    ("Adamax", {"betas": (0.3, 0.6), "eps": 1e-3}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.3, "decoupled_weight_decay": True}),
    ("NAdam", {"momentum_decay": 0.1, "betas": (0.3, 0.6)}),
    ("RAdam", {"lr": 0.1, "weight_decay": 0.3, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.1, "betas": (0.3, 0.6), "eps": 1e-3}),
    ("ASGD", {"lr": 0.1, "lambd": 0.1, "alpha": 0.5, "t0": 3}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (1e-3, 0.2), "maximize": True}),
    ("SGD", {}),
    ("Adam", {}),
    ("AdamW", {}),
    ("RMSprop", {}),
]  # fmt: skip


def label(value: Any) -> str:
    return value if isinstance(value, str) else ", ".join(f"{k}={v}" for k, v in value.items())


def weights(dtype: str) -> list[Array]:
    rng = np.random.default_rng(3)
    return [
        rng.standard_normal(shape).astype(dtype) if shape else np.array(0.7, dtype)
        for shape in SHAPES
    ]


def gradients(step: int, dtype: str) -> list[Array]:
    rng = np.random.default_rng(100 + step)
    return [np.asarray(rng.standard_normal(shape) * 3, dtype) for shape in SHAPES]


def parameters(module: Any, dtype: str, device: str = "cpu") -> list[Any]:
    make = module.tensor
    return [make(w, device=device).requires_grad_() for w in weights(dtype)]


def train(module: Any, optimizer: Any, params: list[Any], steps: range) -> None:
    dtype = str(params[0].dtype).split(".")[-1]
    for step in steps:
        for p, dw in list(zip(params, gradients(step, dtype), strict=True))[:-1]:
            p.grad = module.tensor(dw, device=p.device)
        optimizer.step()


def to_gpunn(value: Any) -> Any:
    """A state_dict of PyTorch's with gpunn's tensors."""
    if isinstance(value, dict):
        return {key: to_gpunn(v) for key, v in value.items()}
    if isinstance(value, list):
        return [to_gpunn(v) for v in value]
    return gpunn.tensor(value.numpy()) if hasattr(value, "numpy") else value


def to_torch(torch: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: to_torch(torch, v) for key, v in value.items()}
    if isinstance(value, list):
        return [to_torch(torch, v) for v in value]
    return torch.tensor(value.cpu().numpy()) if isinstance(value, gpunn.Tensor) else value


def check_params(ours: list[Any], theirs: list[Any], rtol: float) -> None:
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        compare(to_numpy(a), to_numpy(b), f"parameter {i}", rtol=rtol, atol=rtol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=label)
def test_trains_as_pytorch(name: str, options: dict[str, Any], dtype: str, device: str):
    torch = pytest.importorskip("torch")
    a, b = parameters(gpunn, dtype, device), parameters(torch, dtype)
    ours = getattr(optim, name)(a, **options)
    theirs = getattr(torch.optim, name)(b, **options, foreach=False)
    train(gpunn, ours, a, range(STEPS))
    train(torch, theirs, b, range(STEPS))
    check_params(a, b, 1e-12 if dtype == "float64" else 2e-5)
    x, y = ours.state_dict(), theirs.state_dict()
    assert [list(g) for g in x["param_groups"]] == [list(g) for g in y["param_groups"]]
    assert x["state"].keys() == y["state"].keys()
    for i in y["state"]:
        assert list(x["state"][i]) == list(y["state"][i])
        for key, value in y["state"][i].items():
            got = x["state"][i][key]
            assert str(got.dtype).split(".")[-1] == str(value.dtype).split(".")[-1]
            compare(to_numpy(got), to_numpy(value), f"{key} of {i}", rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "options"), CASES, ids=label)
def test_state_goes_to_pytorch_and_back(name: str, options: dict[str, Any]):
    torch = pytest.importorskip("torch")
    # PyTorch keeps ASGD's and NAdam's numbers in float32, and in the parameters' dtype once loaded.
    tolerance = 1e-7 if name in ("ASGD", "NAdam") else 1e-12
    a, b = parameters(gpunn, "float64"), parameters(torch, "float64")
    ours = getattr(optim, name)(a, **options)
    theirs = getattr(torch.optim, name)(b, **options)
    train(torch, theirs, b, range(7))
    ours.load_state_dict(to_gpunn(theirs.state_dict()))
    for p, q in zip(a, b, strict=True):
        p.data[...] = q.detach().numpy()
    train(gpunn, ours, a, range(7, 13))
    train(torch, theirs, b, range(7, 13))
    check_params(a, b, tolerance)
    fresh = getattr(torch.optim, name)(b)
    fresh.load_state_dict(to_torch(torch, ours.state_dict()))
    train(gpunn, ours, a, range(13, 20))
    train(torch, fresh, b, range(13, 20))
    check_params(a, b, tolerance)


@pytest.mark.parametrize(("name", "options"), CASES, ids=label)
def test_resumes_bit_for_bit(name: str, options: dict[str, Any]):
    a = parameters(gpunn, "float32")
    whole = getattr(optim, name)(a, **options)
    train(gpunn, whole, a, range(9))
    b = [p.detach().clone().requires_grad_() for p in a]
    resumed = getattr(optim, name)(b)  # the options come with the state
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    train(gpunn, whole, a, range(9, STEPS))
    train(gpunn, resumed, b, range(9, STEPS))
    for p, q in zip(a, b, strict=True):
        assert p.data.tobytes() == q.data.tobytes()


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_half_precision_follows_pytorch(name: str):
    torch = pytest.importorskip("torch")
    a, b = parameters(gpunn, "float16"), parameters(torch, "float16")
    options: dict[str, Any] = {"momentum": 0.9} if name == "SGD" else {"eps": 1e-3}
    train(gpunn, getattr(optim, name)(a, lr=0.01, **options), a, range(5))
    train(torch, getattr(torch.optim, name)(b, lr=0.01, foreach=False, **options), b, range(5))
    check_params(a, b, 1e-2)


# By hand ------------------------------------------------------------------------------------

DW = [0.5, -2.0, 3.0, 0.1]


def one_weight(name: str, sign: int = 1, **options: Any) -> float:
    p = gpunn.tensor(1.0, dtype=gpunn.float64, requires_grad=True)
    optimizer = getattr(optim, name)([p], **options)
    for dw in (sign * dw for dw in DW):
        p.grad = gpunn.tensor(dw, dtype=gpunn.float64)
        optimizer.step()
    return p.item()


def test_sgd_by_hand():
    w, b = 1.0, None
    for dw in DW:
        dw += 0.1 * w
        b = dw if b is None else 0.9 * b + (1 - 0.3) * dw  # the first has no dampening
        w -= 0.5 * b
    got = one_weight("SGD", lr=0.5, momentum=0.9, dampening=0.3, weight_decay=0.1)
    assert got == pytest.approx(w, rel=1e-14)


def test_nesterov_by_hand():
    w, b = 1.0, 0.0
    for dw in DW:
        b = 0.9 * b + dw
        w -= 0.5 * (dw + 0.9 * b)
    assert one_weight("SGD", lr=0.5, momentum=0.9, nesterov=True) == pytest.approx(w, rel=1e-14)


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam_by_hand(amsgrad: bool, decoupled: bool):
    w, m, v, top = 1.0, 0.0, 0.0, 0.0
    for t, dw in enumerate(DW, 1):
        if decoupled:
            w *= 1 - 0.5 * 0.1
        else:
            dw += 0.1 * w
        m = 0.9 * m + 0.1 * dw
        v = 0.99 * v + 0.01 * dw * dw
        top = max(top, v)
        v_hat = (top if amsgrad else v) / (1 - 0.99**t)  # the largest of the raw v, then corrected
        w -= 0.5 * m / (1 - 0.9**t) / (math.sqrt(v_hat) + 0.1)  # eps outside the root
    name = "AdamW" if decoupled else "Adam"
    options = {"betas": (0.9, 0.99), "eps": 0.1, "weight_decay": 0.1, "amsgrad": amsgrad}
    assert one_weight(name, lr=0.5, **options) == pytest.approx(w, rel=1e-13)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_to_maximize_is_to_minimize_the_negative(name: str):
    up = one_weight(name, maximize=True, weight_decay=0.1)
    assert up == one_weight(name, sign=-1, weight_decay=0.1)
    assert up != one_weight(name, weight_decay=0.1)


def test_adamw_decays_by_a_hundredth_unless_told():
    assert optim.AdamW([gpunn.zeros(1)]).defaults["weight_decay"] == 1e-2
    assert optim.Adam([gpunn.zeros(1)]).defaults["weight_decay"] == 0


@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop_by_hand(centered: bool):
    w, v, mean, b = 1.0, 0.0, 0.0, 0.0
    for dw in DW:
        v = 0.9 * v + 0.1 * dw * dw
        mean = 0.9 * mean + 0.1 * dw
        spread = v - mean * mean if centered else v
        b = 0.8 * b + dw / (math.sqrt(spread) + 0.1)  # eps outside the root
        w -= 0.5 * b
    options = {"alpha": 0.9, "eps": 0.1, "momentum": 0.8, "centered": centered}
    assert one_weight("RMSprop", lr=0.5, **options) == pytest.approx(w, rel=1e-13)


# Options that change in training ------------------------------------------------------------


def test_momentum_and_amsgrad_may_be_turned_on_later():
    for name, key, value, slot in (
        ("SGD", "momentum", 0.9, "momentum_buffer"),
        ("RMSprop", "momentum", 0.9, "momentum_buffer"),
        ("Adam", "amsgrad", True, "max_exp_avg_sq"),
    ):
        p = gpunn.ones(2, requires_grad=True)
        optimizer = getattr(optim, name)([p])
        p.grad = gpunn.ones(2)
        optimizer.step()
        optimizer.param_groups[0][key] = value
        optimizer.step()
        assert slot in optimizer.state[p]


def test_a_tensor_is_a_rate_too():
    ours = gpunn.ones(2, requires_grad=True)
    ours.grad = gpunn.ones(2)
    optim.SGD([ours], lr=gpunn.tensor(0.25)).step()
    assert ours.tolist() == [0.75, 0.75]


def test_a_strided_parameter_is_changed_where_it_lies():
    memory = gpunn.zeros(3, 4)
    p = memory.t().detach().requires_grad_()
    p.grad = gpunn.ones(4, 3)
    for name in ("SGD", "Adam", "AdamW", "RMSprop"):
        before = memory.clone()
        getattr(optim, name)([p], lr=0.1).step()
        assert (memory < before).all()


INVALID: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("SGD", {"lr": -1}, ValueError, "Invalid learning rate: -1"),
    ("SGD", {"momentum": -1}, ValueError, "Invalid momentum value: -1"),
    ("SGD", {"weight_decay": -1}, ValueError, "Invalid weight_decay value: -1"),
    ("SGD", {"nesterov": True}, ValueError, "Nesterov momentum requires a momentum and zero dampe"),
    ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, ValueError, "Nesterov momentum"),
    ("SGD", {"lr": gpunn.ones(2)}, ValueError, "Tensor lr must be 1-element"),
    ("SGD", {"lr": math.nan}, ValueError, "Invalid learning rate: nan"),
    ("Adam", {"lr": -1}, ValueError, "Invalid learning rate: -1"),
    ("Adam", {"eps": -1}, ValueError, "Invalid epsilon value: -1"),
    ("Adam", {"betas": (1, 0.9)}, ValueError, "Invalid beta parameter at index 0: 1"),
    ("AdamW", {"betas": (0.9, 1.0)}, ValueError, "Invalid beta parameter at index 1: 1.0"),
    ("AdamW", {"weight_decay": -1}, ValueError, "Invalid weight_decay value: -1"),
    (
        "Adam",
        {"foreach": True, "fused": True},
        RuntimeError,
        "`fused` and `foreach` cannot be `Tru",
    ),
    ("Adam", {"differentiable": True}, ValueError, "differentiable=True is not supported"),
    ("RMSprop", {"lr": -1}, ValueError, "Invalid learning rate: -1"),
    ("RMSprop", {"eps": -1}, ValueError, "Invalid epsilon value: -1"),
    ("RMSprop", {"alpha": -1}, ValueError, "Invalid alpha value: -1"),
    ("RMSprop", {"momentum": -1}, ValueError, "Invalid momentum value: -1"),
]


@pytest.mark.parametrize(("name", "options", "kind", "text"), INVALID)
def test_refuses(name: str, options: dict[str, Any], kind: type[Exception], text: str):
    with pytest.raises(kind) as error:
        getattr(optim, name)([gpunn.zeros(1, requires_grad=True)], **options)
    assert str(error.value).startswith(text)
