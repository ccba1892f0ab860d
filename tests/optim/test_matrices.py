"""LBFGS, Adafactor and Muon: what they are for, and their state in PyTorch's layout."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checks import to_numpy

import gpunn
from gpunn.optim import LBFGS, Adafactor, Muon


def rosenbrock(x: Any) -> Any:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def closure(optimizer: Any, weights: list[Any], loss: Callable[..., Any]) -> Callable[[], Any]:
    def evaluate() -> Any:
        optimizer.zero_grad()
        value = loss(*weights)
        value.backward()
        return value

    return evaluate


def test_lbfgs_finds_the_end_of_the_valley(device: str):
    x = gpunn.zeros(4, dtype=gpunn.float64, device=device, requires_grad=True)
    optimizer = LBFGS([x], max_iter=100, line_search_fn="strong_wolfe")
    optimizer.step(closure(optimizer, [x], rosenbrock))
    np.testing.assert_allclose(to_numpy(x), 1, atol=1e-5)


def test_lbfgs_solves_a_quadratic_in_about_as_many_steps_as_there_are_directions():
    a = gpunn.tensor([[5.0, 1, 0], [1, 3, 1], [0, 1, 2]], dtype=gpunn.float64)
    b = gpunn.tensor([1.0, 2, 3], dtype=gpunn.float64)
    x = gpunn.zeros(3, dtype=gpunn.float64, requires_grad=True)
    optimizer = LBFGS([x], line_search_fn="strong_wolfe")
    optimizer.step(closure(optimizer, [x], lambda x: x @ a @ x / 2 - b @ x))
    np.testing.assert_allclose(to_numpy(a @ x), to_numpy(b), atol=1e-5)
    assert optimizer.state[x]["n_iter"] < 15


def test_lbfgs_counts_its_evaluations_and_stops_at_the_most():
    x = gpunn.zeros(4, requires_grad=True)
    optimizer = LBFGS([x], lr=1e-3, max_iter=50, max_eval=7)
    calls = 0

    def counted() -> Any:
        nonlocal calls
        calls += 1
        return closure(optimizer, [x], rosenbrock)()

    first = optimizer.step(counted)
    assert first.item() == 3  # the loss at the start
    assert calls == optimizer.state[x]["func_evals"] == 7


def test_lbfgs_wants_a_closure_and_one_group():
    a, b = gpunn.zeros(2, requires_grad=True), gpunn.zeros(2, requires_grad=True)
    with pytest.raises(TypeError, match="closure"):
        LBFGS([a]).step()  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="LBFGS doesn't support per-parameter options"):
        LBFGS([{"params": a}, {"params": b}])


def test_adafactor_by_hand():
    w, total = 2.0, 0.0
    p = gpunn.tensor([w], dtype=gpunn.float64, requires_grad=True)
    optimizer = Adafactor([p], lr=0.5, weight_decay=0.1, eps=(1e-3, 1e-2), d=2.0)
    for t, dw in enumerate([0.5, -2.0, 3.0], 1):
        p.grad = gpunn.tensor([dw], dtype=gpunn.float64)
        optimizer.step()
        size = max(1e-2, abs(w)) * min(0.5, 1 / math.sqrt(t))
        total += (dw * dw - total) * t**-0.8
        u = dw / max(math.sqrt(total), 1e-3)
        w = w * (1 - 0.5 * 0.1) - size * u / max(1, abs(u) / 2)
    assert p.item() == pytest.approx(w, rel=1e-14)


def test_adafactor_on_every_device(device: str):
    found: list[list[Any]] = []
    for place in ("cpu", device):
        weights = [
            gpunn.tensor(array, device=place, requires_grad=True)
            for array in (np.ones((3, 4), "float32"), np.ones(5, "float32"))
        ]
        optimizer = Adafactor(weights, lr=0.1, weight_decay=0.1)
        rng = np.random.default_rng(0)
        for _ in range(3):
            for w in weights:
                w.grad = gpunn.tensor(rng.standard_normal(w.shape).astype("float32"), device=place)
            optimizer.step()
        found.append([to_numpy(w) for w in weights])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_adafactor_leaves_the_rest_alone_where_one_gradient_is_no_number():
    w = gpunn.ones(3)
    w.grad = gpunn.tensor([math.nan, 1.0, 1.0])
    Adafactor([w], lr=0.1).step()
    assert w.isnan().tolist() == [True, False, False]


def test_adafactor_keeps_a_row_and_a_column():
    p = gpunn.zeros(2, 30, 40, requires_grad=True)
    p.grad = gpunn.ones(2, 30, 40)
    optimizer = Adafactor([p])
    optimizer.step()
    assert {k: tuple(v.shape) for k, v in optimizer.state[p].items()} == {
        "step": (),
        "row_var": (2, 30, 1),
        "col_var": (2, 1, 40),
    }


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4)])
def test_muon_turns_by_a_rotation(shape: tuple[int, int], device: str):
    rng = np.random.default_rng(0)
    p = gpunn.zeros(shape, device=device, requires_grad=True)
    p.grad = gpunn.tensor(rng.standard_normal(shape), dtype=gpunn.float32, device=device)
    Muon([p], lr=1.0).step()
    scale = math.sqrt(max(1, shape[0] / shape[1]))
    singular = np.linalg.svd(to_numpy(p) / scale, compute_uv=False)
    assert (singular > 0.5).all()
    assert (singular < 1.3).all()


def test_muon_takes_matrices_only():
    with pytest.raises(ValueError, match=r"Muon only supports 2D parameters .*Size\(\[3\]\)"):
        Muon([gpunn.zeros(3, requires_grad=True)])


CASES: list[tuple[str, dict[str, Any]]] = [
    ("LBFGS", {"max_iter": 3, "lr": 0.1}),
    ("LBFGS", {"max_iter": 3, "line_search_fn": "strong_wolfe", "history_size": 2}),
    ("Adafactor", {"lr": 0.1, "weight_decay": 0.1}),
    ("Muon", {"lr": 0.1}),
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_state_goes_to_pytorch_and_back(name: str, options: dict[str, Any]):
    torch: Any = pytest.importorskip("torch")
    start = np.random.default_rng(0).standard_normal((4, 3))

    def made(lib: Any, at: Any, state: Any = None) -> tuple[Any, Callable[[], Any]]:
        w = lib.tensor(at).requires_grad_()
        optimizer = getattr(lib.optim, name)([w], **({} if state else options))
        if state:
            optimizer.load_state_dict(state)
        loss = closure(optimizer, [w], lambda w: (w**4).sum() + rosenbrock(w.reshape(-1)))
        return w, lambda: [optimizer.step(loss) for _ in range(3)] and optimizer.state_dict()

    def to(lib: Any, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: to(lib, v) for key, v in value.items()}
        if isinstance(value, list):
            return [to(lib, v) for v in value]
        return lib.tensor(value.detach().numpy()) if hasattr(value, "detach") else value

    there, run_there = made(torch, start)
    state = run_there()
    here, run_here = made(gpunn, there.detach().numpy(), to(gpunn, state))
    back, run_back = made(torch, there.detach().numpy(), state)
    state = run_here()
    run_back()
    np.testing.assert_allclose(to_numpy(here), back.detach().numpy(), rtol=1e-9, atol=1e-12)
    again, run_again = made(torch, to_numpy(here), to(torch, state))
    run_again()
    run_here()
    np.testing.assert_allclose(to_numpy(here), again.detach().numpy(), rtol=1e-9, atol=1e-12)
