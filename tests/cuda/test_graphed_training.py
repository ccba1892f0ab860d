"""A training step in a CUDA graph: replayed, it trains as calls on the CPU do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpunn
from gpunn import Tensor, nn, optim
from gpunn.cuda import CUDAGraph, graph
from gpunn.nn import functional as F

pytestmark = pytest.mark.usefixtures("cuda")
BATCHES = 5


def network(device: str) -> nn.Module:
    gpunn.manual_seed(0)
    layers = (
        nn.Conv2d(1, 3, 3, bias=False),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(27, 4),
    )
    return nn.Sequential(*layers).to(device)


def data() -> list[tuple[Tensor, Tensor]]:
    random = np.random.default_rng(1)
    return [
        (
            gpunn.from_numpy(random.standard_normal((6, 1, 8, 8)).astype(np.float32)),
            gpunn.from_numpy(random.integers(0, 4, 6)),
        )
        for _ in range(BATCHES)
    ]


OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda p: optim.Adam(p, lr=0.01, weight_decay=0.01),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01, amsgrad=True),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_replays_train_as_steps_on_the_cpu(name: str):
    """Dropout masks, running means, counts of steps and learning rates included."""
    losses: dict[str, list[float]] = {}
    weights: dict[str, list[np.ndarray]] = {}
    for device in ("cpu", "cuda"):
        model = network(device)
        optimizer = OPTIMIZERS[name](model.parameters())
        schedule = optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
        x, target = (t.to(device) for t in data()[0])

        def step(
            x: Tensor = x,
            target: Tensor = target,
            model: nn.Module = model,
            optimizer: optim.Optimizer = optimizer,
        ) -> Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), target)
            loss.backward()
            optimizer.step()
            return loss

        gpunn.manual_seed(3)
        found = [step().item()]  # the warm-up, which is a step like all
        schedule.step()
        g, loss = CUDAGraph(), gpunn.zeros(())
        if device == "cuda":
            with graph(g):
                loss = step()
        for a, b in data()[1:]:
            x.copy_(a)
            target.copy_(b)
            if device == "cuda":
                g.replay()
            else:
                loss = step()
            found.append(loss.item())
            schedule.step()
        losses[device] = found
        weights[device] = [v.detach().cpu().numpy() for v in model.state_dict().values()]
        steps = [state["step"] for state in optimizer.state.values() if "step" in state]
        assert [count.item() for count in steps] == [BATCHES] * len(steps)
    np.testing.assert_allclose(losses["cuda"], losses["cpu"], rtol=1e-3)
    for ours, theirs in zip(weights["cuda"], weights["cpu"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=1e-4)


def test_gradients_are_where_the_graph_writes_them():
    weight = gpunn.ones(3, device="cuda", requires_grad=True)
    x = gpunn.arange(3.0, device="cuda")
    optimizer, g = optim.SGD([weight], lr=1.0), CUDAGraph()

    def step() -> None:
        optimizer.zero_grad()
        (weight * x).sum().backward()
        optimizer.step()

    step()
    with graph(g):
        step()
    optimizer.zero_grad()
    assert weight.grad is None
    with gpunn.cuda.transfers() as found:
        g.replay()
    assert not found  # nothing has changed, so nothing is copied
    assert weight.grad is not None
    assert weight.grad.tolist() == [0.0, 1.0, 2.0]
    assert weight.tolist() == [1.0, -1.0, -3.0]


def test_a_learning_rate_may_change_between_replays():
    weight = gpunn.ones(2, device="cuda", requires_grad=True)
    optimizer, g = optim.SGD([weight], lr=1.0), CUDAGraph()
    weight.grad = gpunn.ones(2, device="cuda")
    optimizer.step()
    with graph(g):
        optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.25
    g.replay()
    assert weight.tolist() == [-0.25] * 2
    g.replay()
    assert weight.tolist() == [-0.5] * 2


@pytest.mark.parametrize(
    ("make", "state"),
    [
        (lambda p: optim.SGD(p, momentum=0.9), "momentum_buffer"),
        (lambda p: optim.Adam(p), "exp_avg"),
    ],
)
def test_the_first_step_cannot_be_captured(make: Any, state: str):
    weight = gpunn.ones(2, device="cuda", requires_grad=True)
    weight.grad = gpunn.ones(2, device="cuda")
    optimizer = make([weight])
    with (
        pytest.raises(RuntimeError, match=f"the optimizer's {state} is made in its first step"),
        graph(CUDAGraph()),
    ):
        optimizer.step()
    optimizer.step()
    assert weight[0].item() < 1


def test_parameters_that_no_kernel_steps_cannot_be_captured():
    weight = gpunn.ones(2, 3, device="cuda").t().detach().requires_grad_()
    weight.grad = gpunn.ones(3, 2, device="cuda")
    optimizer = optim.SGD([weight])
    optimizer.step()
    with (
        pytest.raises(
            RuntimeError, match="sgd_step cannot be captured for parameters that are not"
        ),
        graph(CUDAGraph()),
    ):
        optimizer.step()


@pytest.mark.parametrize("name", ["Adagrad", "Adamax", "NAdam", "RAdam", "Adadelta", "ASGD"])
def test_other_optimizers_are_refused(name: str):
    """Their steps would be captured with the numbers of one step, and be wrong in silence."""
    weight = gpunn.ones(2, device="cuda", requires_grad=True)
    weight.grad = gpunn.ones(2, device="cuda")
    optimizer = getattr(optim, name)([weight])
    optimizer.step()
    steps = [s["step"].item() for s in optimizer.state.values()]
    with (
        pytest.raises(RuntimeError, match="this optimizer's step cannot be captured in a CUDA gra"),
        graph(CUDAGraph()),
    ):
        optimizer.step()
    assert [s["step"].item() for s in optimizer.state.values()] == steps
