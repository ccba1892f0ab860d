"""GradScaler against PyTorch's on the CPU, and on every device."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from parity import same

import gpunn


def _optimizer(t: Any, device: str = "cpu", count: int = 2) -> Any:
    return t.optim.SGD([t.nn.Parameter(t.ones(2, device=device)) for _ in range(count)], lr=0.1)


def _steps(t: Any, gradients: list[float], **options: Any) -> Any:
    """Steps with these gradients; the weights and the scaler's state after each."""
    optimizer = _optimizer(t)
    scaler = t.amp.GradScaler("cpu", **options)
    weights = optimizer.param_groups[0]["params"]
    seen = []
    for gradient in gradients:
        optimizer.zero_grad()
        scaler.scale(sum((w * gradient).sum() for w in weights)).backward()
        scaler.step(optimizer)
        scaler.update()
        seen.append(([w.detach() for w in weights], scaler.get_scale(), scaler.state_dict()))
    return seen


INF = float("inf")


@pytest.mark.parametrize(
    ("gradients", "options"),
    [
        ([1.0, 2.0, 3.0], {}),
        ([1.0, INF, 3.0], {}),
        ([1.0] * 5, {"growth_interval": 2}),
        ([1.0, INF, 1.0, 1.0], {"growth_interval": 2, "init_scale": 8.0}),
        ([float("nan")] * 3, {"backoff_factor": 0.25}),
        ([0.0] * 3, {"growth_interval": 1, "growth_factor": 1e30}),
        ([1.0, INF], {"enabled": False}),
    ],
)
def test_steps(gradients: list[float], options: dict[str, Any]):
    same(lambda t: _steps(t, gradients, **options))


def test_clipping_unscaled_gradients():
    def scenario(t: Any) -> Any:
        optimizer = _optimizer(t)
        scaler = t.amp.GradScaler("cpu")
        w = optimizer.param_groups[0]["params"][0]
        scaler.scale((w * 30).sum()).backward()
        before = w.grad.clone()
        scaler.unscale_(optimizer)
        norm = t.nn.utils.clip_grad_norm_([w], 1.0)
        scaler.step(optimizer)
        scaler.update()
        return before, norm, w.detach()

    same(scenario)


def test_scales_containers():
    def scenario(t: Any) -> Any:
        scaler = t.amp.GradScaler("cpu", init_scale=4.0)
        made = scaler.scale([t.ones(2), (t.ones(1), t.zeros(1))])
        return type(made).__name__, made[0], made[1][0], made[1][1]

    same(scenario)


def _step_twice(t: Any, scaler: Any, optimizer: Any) -> None:
    scaler.step(optimizer)
    scaler.step(optimizer)


def _unscale_twice(t: Any, scaler: Any, optimizer: Any) -> None:
    scaler.unscale_(optimizer)
    scaler.unscale_(optimizer)


def _unscale_late(t: Any, scaler: Any, optimizer: Any) -> None:
    scaler.step(optimizer)
    scaler.unscale_(optimizer)


@pytest.mark.parametrize(
    "misuse",
    [
        _step_twice,
        _unscale_twice,
        _unscale_late,
        lambda t, scaler, optimizer: scaler.step(optimizer, closure=lambda: 0),
        lambda t, scaler, optimizer: scaler.update(),
        lambda t, scaler, optimizer: t.amp.GradScaler("cpu").step(optimizer),
        lambda t, scaler, optimizer: t.amp.GradScaler("cpu", growth_factor=1.0),
        lambda t, scaler, optimizer: t.amp.GradScaler("cpu", backoff_factor=1.0),
        lambda t, scaler, optimizer: scaler.load_state_dict({}),
        lambda t, scaler, optimizer: scaler.scale(3),
        lambda t, scaler, optimizer: scaler.step(_optimizer(t)),
    ],
)
def test_misuse(misuse: Any):
    def scenario(t: Any) -> Any:
        optimizer = _optimizer(t)
        scaler = t.amp.GradScaler("cpu")
        scaler.scale(optimizer.param_groups[0]["params"][0].sum()).backward()
        misuse(t, scaler, optimizer)

    same(scenario)


def test_float16_gradients_are_refused():
    def scenario(t: Any) -> None:
        w = t.nn.Parameter(t.ones(2, dtype=t.float16))
        scaler = t.amp.GradScaler("cpu")
        scaler.scale(w.float().sum()).backward()
        scaler.unscale_(t.optim.SGD([w], lr=0.1))

    same(scenario)


def test_a_new_scale_and_the_settings():
    def scenario(t: Any) -> Any:
        scaler = t.amp.GradScaler("cpu")
        scaler.scale(t.ones(1))
        scaler.update(32.0)
        seen = [scaler.get_scale()]
        scaler.update(t.tensor(64.0))
        scaler.set_growth_factor(3.0)
        scaler.set_backoff_factor(0.1)
        scaler.set_growth_interval(7)
        other = t.amp.GradScaler("cpu")
        other.load_state_dict(scaler.state_dict())
        settings = other.get_growth_factor(), other.get_backoff_factor()
        seen += [*settings, other.get_growth_interval(), other.is_enabled(), other.get_scale()]
        return [*seen, other.scale(t.ones(1)), pickle.loads(pickle.dumps(scaler)).get_scale()]

    same(scenario)


def test_on_every_device(device: str):
    optimizer = _optimizer(gpunn, device)
    w = optimizer.param_groups[0]["params"][0]
    scaler = gpunn.amp.GradScaler(device, growth_interval=1)
    for gradient, scale in ((2.0, 2.0**17), (INF, 2.0**16), (1.0, 2.0**17)):
        optimizer.zero_grad()
        with gpunn.autocast(device):
            loss = (w * gradient).sum()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        assert scaler.get_scale() == scale
    assert w.tolist() == pytest.approx([0.7, 0.7])


def test_without_cuda_it_warns_and_does_nothing(no_driver: None):
    with pytest.warns(UserWarning, match="CUDA is not available"):
        scaler = gpunn.amp.GradScaler()
    assert not scaler.is_enabled()
    assert scaler.scale(3) == 3
    assert scaler.state_dict() == {}
    assert scaler.get_scale() == 1.0
