"""Normalization layers against PyTorch's: outputs, running statistics, state, text, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import compare, to_numpy
from parity import same

import gpunn
from gpunn import nn

MAKES: list[Any] = [
    lambda nn: nn.BatchNorm1d(3),
    lambda nn: nn.BatchNorm2d(3, eps=0.1, momentum=0.3),
    lambda nn: nn.BatchNorm2d(3, momentum=None),
    lambda nn: nn.BatchNorm2d(3, affine=False),
    lambda nn: nn.BatchNorm2d(3, bias=False),
    lambda nn: nn.BatchNorm2d(3, track_running_stats=False),
    lambda nn: nn.BatchNorm3d(3),
    lambda nn: nn.InstanceNorm2d(3),
    lambda nn: nn.InstanceNorm1d(3, affine=True, momentum=None),
    lambda nn: nn.InstanceNorm3d(3, affine=True, track_running_stats=True, momentum=0.3),
    lambda nn: nn.LayerNorm(4),
    lambda nn: nn.LayerNorm((2, 4), eps=0.1, bias=False),
    lambda nn: nn.LayerNorm((2, 4), elementwise_affine=False),
    lambda nn: nn.GroupNorm(1, 3),
    lambda nn: nn.GroupNorm(3, 3, affine=False),
    lambda nn: nn.GroupNorm(3, 3, bias=False),
]
SHAPES = {
    "BatchNorm1d": (5, 3, 4),
    "BatchNorm3d": (5, 3, 2, 2, 4),
    "InstanceNorm1d": (5, 3, 4),
    "InstanceNorm3d": (5, 3, 2, 2, 4),
}


@pytest.mark.parametrize("make", MAKES)
def test_text_and_state_as_pytorch(make: Any):
    def scenario(lib: Any) -> Any:
        layer = make(lib.nn)
        state = layer.state_dict()
        names = [name for name, _ in layer.named_parameters()]
        return repr(layer), names, state, dict(state._metadata)

    same(scenario)


@pytest.mark.parametrize("make", MAKES)
def test_training_then_evaluation_as_pytorch(make: Any):
    torch = pytest.importorskip("torch")
    name = type(make(nn)).__name__
    rng = np.random.default_rng(0)
    batches = rng.normal(size=(3, *SHAPES.get(name, (5, 3, 2, 4)))).astype("f4") * 2 + 1
    outcomes: list[list[Any]] = []
    for lib in (gpunn, torch):
        layer = make(lib.nn)
        for p in layer.parameters():
            with lib.no_grad():
                p.copy_(lib.linspace(0.5, 2, p.numel()).reshape(p.shape))
        seen: list[Any] = []
        for batch in batches:
            x = lib.tensor(batch).requires_grad_()
            y = layer(x)
            (y * y * y).sum().backward()
            seen += [y, x.grad]
        seen += [p.grad for p in layer.parameters()]
        seen += list(layer.buffers())
        seen.append(layer.eval()(lib.tensor(batches[0])))
        seen += list(layer.buffers())
        outcomes.append([to_numpy(t) for t in seen])
    for i, (a, b) in enumerate(zip(*outcomes, strict=True)):
        compare(a, b, f"{name}, tensor {i}", 1e-3, 1e-4)


def test_momentum_none_averages_all_batches(device: str):
    layer = nn.BatchNorm1d(2, momentum=None).to(device)
    means: list[Any] = []
    for i in range(4):
        x = gpunn.rand(6, 2, device=device) + i
        means.append(to_numpy(x).mean(0))
        layer(x)
    compare(to_numpy(layer.running_mean), np.mean(means, 0), "running mean")
    assert layer.num_batches_tracked.item() == 4


def test_batches_are_counted_in_int64_whatever_the_dtype():
    layer = nn.BatchNorm2d(3).double()
    assert layer.running_mean.dtype is gpunn.float64
    assert layer.num_batches_tracked.dtype is gpunn.int64
    assert layer.num_batches_tracked.shape == ()
    layer(gpunn.rand(2, 3, 2, 2, dtype=gpunn.float64))
    layer.eval()(gpunn.rand(2, 3, 2, 2, dtype=gpunn.float64))
    assert layer.num_batches_tracked.item() == 1


def test_reset():
    layer = nn.BatchNorm1d(2)
    layer(gpunn.rand(4, 2))
    with gpunn.no_grad():
        layer.weight.fill_(3)
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0, 0]
    assert layer.running_var.tolist() == [1, 1]
    assert layer.num_batches_tracked.item() == 0
    assert layer.weight.tolist() == [3, 3]
    layer.reset_parameters()
    assert layer.weight.tolist() == [1, 1]


def test_without_running_statistics_evaluation_uses_the_batch():
    layer = nn.BatchNorm1d(2, track_running_stats=False)
    assert layer.running_mean is None
    x = gpunn.rand(5, 2)
    assert layer.eval()(x).equal(layer.train()(x))


@pytest.mark.parametrize(("name", "shape", "training"), [
    ("BatchNorm1d", (2, 3, 4, 5), True),
    ("BatchNorm1d", (3,), True),
    ("BatchNorm2d", (2, 3), True),
    ("BatchNorm3d", (2, 3, 1, 1), True),
    ("BatchNorm1d", (1, 3), True),
    ("BatchNorm2d", (1, 3, 1, 1), True),
    ("BatchNorm1d", (1, 3), False),
    ("BatchNorm2d", (2, 4, 2, 2), True),
    ("InstanceNorm1d", (3, 4), True),
    ("InstanceNorm2d", (3, 4, 2), True),
    ("InstanceNorm2d", (3, 4), True),
    ("InstanceNorm1d", (2, 3, 1), True),
])  # fmt: skip
def test_errors_as_pytorch(name: str, shape: tuple[int, ...], training: bool):
    def scenario(lib: Any) -> Any:
        return list(getattr(lib.nn, name)(3).train(training)(lib.ones(shape)).shape)

    same(scenario)


def test_instance_norm_and_a_number_of_channels_it_was_not_made_for():
    for shape in [(2, 4, 5), (4, 5)]:
        same(lambda lib, shape=shape: lib.nn.InstanceNorm1d(3, affine=True)(lib.ones(shape)))
        with pytest.warns(UserWarning, match="does not match num_features"):
            nn.InstanceNorm1d(3)(gpunn.rand(*shape))


def test_group_norm_refuses_groups_that_do_not_divide():
    same(lambda lib: lib.nn.GroupNorm(3, 4))


def test_a_state_of_version_1_does_not_count_batches():
    layer = nn.BatchNorm1d(2)
    state = layer.state_dict()
    del state["num_batches_tracked"]
    with pytest.raises(
        RuntimeError, match=r'Missing key\(s\) in state_dict: "num_batches_tracked"'
    ):
        layer.load_state_dict(state)
    state._metadata[""]["version"] = 1
    layer.load_state_dict(state)
    layer.load_state_dict(dict(state))
