"""Lazy layers: what they are before and after the first input, their state, and refusals."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest
from parity import same

import gpunn
from gpunn import nn
from gpunn.backends import type2backend
from gpunn.nn.lazy import LazyModuleMixin
from gpunn.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy

# How each is made, and the shape of what it is called with.
LAYERS: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("LazyLinear", {"out_features": 3}, (2, 5)),
    ("LazyLinear", {"out_features": 3, "bias": False}, (5,)),
    *((f"LazyConv{n}d", {"out_channels": 8, "kernel_size": 3, "groups": 2}, (2, 4, *(5,) * n))
      for n in (1, 2, 3)),
    ("LazyConv2d", {"out_channels": 2, "kernel_size": (1, 2), "bias": False}, (3, 4, 5)),
    *((f"LazyConvTranspose{n}d", {"out_channels": 6, "kernel_size": 2, "groups": 2, "stride": 2},
       (2, 4, *(3,) * n)) for n in (1, 2, 3)),
    ("LazyConvTranspose1d", {"out_channels": 2, "kernel_size": 3, "bias": False}, (4, 5)),
    *((f"Lazy{kind}Norm{n}d", {}, (2, 4, *(3,) * n))
      for kind in ("Batch", "Instance") for n in (1, 2, 3)),
    ("LazyBatchNorm1d", {"affine": False}, (2, 4)),
    ("LazyBatchNorm2d", {"track_running_stats": False, "bias": False}, (2, 4, 3, 3)),
    ("LazyInstanceNorm1d", {"affine": False, "track_running_stats": False}, (2, 4, 3)),
]  # fmt: skip


def state(module: Any) -> Any:
    """Text, class names and shapes of everything that the module holds."""
    held = [
        (k, repr(v) if "<" in repr(v) else list(v.shape)) for k, v in module.state_dict().items()
    ]
    lazy = module.has_uninitialized_params() if hasattr(module, "cls_to_become") else None
    kinds = [type(v).__name__ for v in (*module.parameters(), *module.buffers())]
    return repr(module), type(module).__name__, held, lazy, kinds


@pytest.mark.parametrize(("name", "options", "shape"), LAYERS)
def test_as_pytorch(name: str, options: Any, shape: Any):
    def scenario(lib: Any) -> Any:
        layer = getattr(lib.nn, name)(**options)
        before = state(layer)
        y = layer(lib.ones(*shape))
        return before, list(y.shape), state(layer), len(layer._forward_pre_hooks)

    same(scenario)


@pytest.mark.parametrize(
    ("name", "options", "shape"), [c for c in LAYERS if "Instance" not in c[0]]
)
def test_loads_what_the_layer_saved(name: str, options: Any, shape: Any):
    def scenario(lib: Any) -> Any:
        full = getattr(lib.nn, name)(**options)
        full(lib.ones(*shape))
        layer = getattr(lib.nn, name)(**options)
        report = repr(layer.load_state_dict(full.state_dict()))
        loaded = [(k, list(v.shape)) for k, v in layer.state_dict().items()]
        full.eval(), layer.eval()
        x = lib.arange(1.0, 1 + lib.ones(*shape).numel()).reshape(*shape)
        return report, loaded, bool((layer(x) == full(x)).all()), type(layer).__name__

    same(scenario)


@pytest.mark.parametrize("name", dict.fromkeys(name for name, _, _ in LAYERS))
def test_signature(name: str):
    torch: Any = pytest.importorskip("torch")
    ours, theirs = (inspect.signature(getattr(lib.nn, name)) for lib in (gpunn, torch))
    assert list(ours.parameters) == list(theirs.parameters)


@pytest.mark.parametrize("attempt", [
    lambda lib, p: p.shape,
    lambda lib, p: p + 1,
    lambda lib, p: lib.ones(3) * p,
    lambda lib, p: p.sum(),
    lambda lib, p: lib.relu(p),
    lambda lib, p: p.numel(),
    lambda lib, p: p.zero_(),
    lambda lib, p: p.clone(),
    lambda lib, p: p[0],
    lambda lib, p: p.tolist(),
    lambda lib, p: lib.cat([p, p]),
    lambda lib, p: lib.nn.init.ones_(p),
    lambda lib, p: (p.dtype, p.requires_grad, p.is_leaf, p.grad, str(p.device), repr(p)),
    lambda lib, p: (p.double().dtype, p.to("cpu", lib.float16).dtype),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["Parameter", "Buffer"])
def test_uninitialized_tensors_refuse(attempt: Any, kind: str):
    def scenario(lib: Any) -> Any:
        try:
            return repr(attempt(lib, getattr(lib.nn, f"Uninitialized{kind}")()))
        except Exception as error:
            return type(error).__name__, str(error)[:40]

    same(scenario)


@pytest.mark.parametrize("make", [
    lambda nn: (nn.LazyConv2d(2, 3), (4,)),
    lambda nn: (nn.LazyConvTranspose1d(2, 3), (4,)),
    lambda nn: (nn.LazyBatchNorm2d(), (4,)),
    lambda nn: (nn.LazyInstanceNorm1d(), (3, 4, 5, 6)),
])  # fmt: skip
def test_inputs_refused(make: Any):
    def scenario(lib: Any) -> Any:
        layer, shape = make(lib.nn)
        return layer(lib.ones(*shape))

    same(scenario)


def test_groups_that_do_not_divide():
    with pytest.raises(ValueError, match="in_channels must be divisible by groups"):
        nn.LazyConv1d(9, 3, groups=3)(gpunn.ones(2, 4, 5))
    with pytest.raises(ValueError, match="out_channels must be divisible by groups"):
        nn.LazyConv1d(8, 3, groups=3)


@pytest.mark.parametrize("load", [
    lambda nn: nn.LazyLinear(3).load_state_dict(nn.LazyLinear(3).state_dict()),
    lambda nn: nn.Linear(4, 3).load_state_dict(nn.LazyLinear(3).state_dict()),
    lambda nn: nn.LazyLinear(3, bias=False).load_state_dict(nn.Linear(4, 3).state_dict()),
    lambda nn: nn.LazyLinear(3).load_state_dict(nn.Linear(4, 3, bias=False).state_dict()),
    lambda nn: nn.LazyLinear(3).load_state_dict(nn.Linear(4, 3).state_dict(), assign=True),
])  # fmt: skip
def test_loading(load: Any):
    same(lambda lib: repr(load(lib.nn)))


def test_a_refused_state_leaves_it_lazy():
    layer = nn.LazyLinear(3)
    with pytest.raises(RuntimeError, match="Missing key"):
        layer.load_state_dict({"weight": gpunn.ones(3, 4)})
    assert layer.has_uninitialized_params()


def test_loaded_layer_knows_its_size():
    norm = nn.LazyInstanceNorm1d()
    norm.load_state_dict(nn.InstanceNorm1d(4, affine=True, track_running_stats=True).state_dict())
    assert norm(gpunn.ones(2, 4, 3)).shape == (2, 4, 3)  # which PyTorch refuses
    assert norm.num_features == 4
    layer = nn.LazyConvTranspose1d(6, 2, groups=2)
    layer.load_state_dict(nn.ConvTranspose1d(4, 6, 2, groups=2).state_dict())
    layer(gpunn.ones(1, 4, 3))
    assert type(layer) is nn.ConvTranspose1d
    assert layer.in_channels == 4


def test_optimizer_holds_the_parameters_through(device: str):
    layer = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(2)).to(device, gpunn.float64)
    optimizer = gpunn.optim.SGD(layer.parameters(), lr=0.1)
    x = gpunn.ones(3, 5, device=device, dtype=gpunn.float64)
    loss = layer(x).square().sum()
    loss.backward()
    optimizer.step()
    assert layer[0].weight.dtype is gpunn.float64
    assert layer[0].weight.device.type == device
    assert layer(x).square().sum() < loss


def test_copies_and_pickles_stay_lazy():
    layer = nn.LazyLinear(3, dtype=gpunn.float64)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert twin(gpunn.ones(1, 4, dtype=gpunn.float64)).shape == (1, 3)
        assert type(twin) is nn.Linear
        assert twin.weight.dtype is gpunn.float64
    assert type(layer) is nn.LazyLinear
    assert is_lazy(layer.weight)
    assert type(layer.weight._data) not in type2backend  # which is asked for its length often
    assert not is_lazy(nn.Linear(2, 3).weight)


class _Own(LazyModuleMixin):
    def __init__(self) -> None:
        super().__init__()
        self.scale = UninitializedParameter()
        self.mean = UninitializedBuffer()

    def forward(self, x: Any) -> Any:
        return x * self.scale - self.mean


def test_own_lazy_module():
    class Sized(_Own):
        def initialize_parameters(self, x: Any) -> None:
            if self.has_uninitialized_params():
                self.scale.materialize(x.shape, dtype=gpunn.float64)
                self.mean.materialize((1,))
                nn.init.ones_(self.scale)
                self.mean.zero_()

    class Forgetful(_Own):
        def initialize_parameters(self, x: Any) -> None:
            self.scale.materialize(x.shape)

    module, x = Sized(), gpunn.arange(3.0)
    assert [name for name, _ in module.named_buffers()] == ["mean"]
    assert module(x).tolist() == [0, 1, 2]
    assert (type(module), type(module.scale)) == (Sized, nn.Parameter)
    assert type(module.mean) is gpunn.Tensor
    assert module.scale.dtype is gpunn.float64
    assert not module._forward_pre_hooks
    with pytest.raises(NotImplementedError, match="initialize_parameters is not implemented for"):
        _Own()(x)
    with pytest.raises(RuntimeError, match="module Forgetful has not been fully initialized"):
        Forgetful()(x)
