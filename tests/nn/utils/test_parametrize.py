"""Parametrizations: what a module is with them, what it refuses, and how they go again."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from parity import same

import gpunn
from gpunn import nn
from gpunn.nn.utils import parametrize


class Kit:
    """Parametrizations of a library, and a layer with known weights."""

    def __init__(self, lib: Any) -> None:
        class Doubled(lib.nn.Module):
            def forward(self, x: Any) -> Any:
                return 2 * x

            def right_inverse(self, y: Any) -> Any:
                return y / 2

        class Square(lib.nn.Module):
            def forward(self, x: Any) -> Any:
                return x * x

        class Sum(lib.nn.Module):
            def forward(self, a: Any, b: Any) -> Any:
                return a + b

            def right_inverse(self, y: Any) -> Any:
                return y / 4, y * 3 / 4

        class Odd(lib.nn.Module):
            def __init__(self, forward: Any, inverse: Any = None) -> None:
                super().__init__()
                self.does, self.undoes = forward, inverse

            def forward(self, x: Any) -> Any:
                return self.does(x)

            def right_inverse(self, y: Any) -> Any:
                if self.undoes is None:
                    raise NotImplementedError
                return self.undoes(y)

        self.lib, self.Doubled, self.Square, self.Sum, self.Odd = lib, Doubled, Square, Sum, Odd
        self.P = lib.nn.utils.parametrize

    def layer(self) -> Any:
        layer = self.lib.nn.Linear(2, 2)
        with self.lib.no_grad():
            layer.weight.copy_(self.lib.tensor([[1.0, 2.0], [3.0, 4.0]]))
            layer.bias.copy_(self.lib.tensor([0.5, -1.0]))
        return layer


def shown(layer: Any) -> Any:
    """All that a parametrized layer shows."""
    return (
        type(layer).__name__,
        repr(layer),
        layer.state_dict(),
        [k for k, _ in layer.named_parameters()],
        [k for k, _ in layer.named_buffers()],
        layer.weight,
        "weight" in dir(layer),
    )


def register(kit: Kit, *names: str, on: str = "weight", unsafe: bool = False) -> Any:
    layer = kit.layer()
    for name in names:
        kit.P.register_parametrization(layer, on, getattr(kit, name)(), unsafe=unsafe)
    return layer


SETS = [("Doubled",), ("Square",), ("Sum",), ("Doubled", "Square"), ("Doubled", "Doubled"),
        ("Sum", "Doubled")]  # fmt: skip


@pytest.mark.parametrize("names", SETS)
def test_as_pytorch(names: Any):
    def scenario(lib: Any) -> Any:
        kit = Kit(lib)
        layer = register(kit, *names)
        x = lib.tensor([[1.0, -1.0], [0.5, 2.0]])
        y = layer(x)
        y.square().sum().backward()
        grads = [(k, p.grad) for k, p in layer.named_parameters()]
        return shown(layer), y, grads, kit.P.is_parametrized(layer), repr(layer.parametrizations)

    same(scenario)


@pytest.mark.parametrize("names", SETS)
@pytest.mark.parametrize("leave", [True, False])
def test_removal_as_pytorch(names: Any, leave: bool):
    def scenario(lib: Any) -> Any:
        kit = Kit(lib)
        layer = register(kit, *names)
        kit.P.register_parametrization(layer, "bias", kit.Square())
        kit.P.remove_parametrizations(layer, "bias", leave)
        before = dict(layer.named_parameters())
        kit.P.remove_parametrizations(layer, "weight", leave)
        kept = [k for k, p in layer.named_parameters() if any(p is q for q in before.values())]
        requires = [p.requires_grad for p in layer.parameters()]
        return shown(layer), kept, requires, kit.P.is_parametrized(layer)

    same(scenario)


@pytest.mark.parametrize("names", SETS)
def test_assignment_as_pytorch(names: Any):
    def scenario(lib: Any) -> Any:
        layer = register(Kit(lib), *names)
        held = [id(p) for p in layer.parameters()]
        layer.weight = lib.tensor([[8.0, 4.0], [0.0, 2.0]])
        return layer.weight, layer.state_dict(), held == [id(p) for p in layer.parameters()]

    same(scenario)


@pytest.mark.parametrize("act", [
    lambda k: k.P.register_parametrization(k.layer(), "odd", k.Square()),
    lambda k: k.P.remove_parametrizations(k.layer(), "weight"),
    lambda k: k.P.remove_parametrizations(register(k, "Square"), "bias"),
    lambda k: setattr(register(k, "Doubled"), "weight", k.lib.nn.Parameter(k.lib.ones(2, 2))),
    lambda k: k.P.ParametrizationList([], k.lib.ones(2)),
    lambda k: k.P.register_parametrization(k.layer(), "weight", k.Odd(lambda x: 3)),
    lambda k: k.P.register_parametrization(k.layer(), "weight", k.Odd(lambda x: x[0])),
    lambda k: k.P.register_parametrization(k.layer(), "weight", k.Odd(lambda x: x.double())),
    lambda k: k.P.register_parametrization(k.layer(), "weight", k.Odd(lambda x: x, lambda y: 3)),
    lambda k: k.P.register_parametrization(
        k.layer(), "weight", k.Odd(lambda x: x, lambda y: y.double())),
    lambda k: k.P.register_parametrization(
        k.layer(), "weight", k.Odd(lambda x: x, lambda y: (y, 3))),
    lambda k: k.P.register_parametrization(
        register(k, "Square"), "weight", k.Odd(lambda x: x[0])),
    lambda k: k.P.register_parametrization(
        register(k, "Square"), "weight", k.Odd(lambda x: x.double())),
    lambda k: k.P.register_parametrization(register(k, "Square"), "weight", k.Odd(lambda x: 3)),
    lambda k: k.P.register_parametrization(
        register(k, "Square"), "weight", k.Odd(lambda x: x, lambda y: 3)),
    lambda k: k.P.register_parametrization(
        register(k, "Square"), "weight", k.Odd(lambda x: x, lambda y: y[0])),
    lambda k: k.P.register_parametrization(
        register(k, "Square"), "weight", k.Odd(lambda x: x, lambda y: y.double())),
    lambda k: k.layer().load_state_dict(register(k, "Sum").state_dict()),
    lambda k: repr(register(k, "Sum").load_state_dict(register(k, "Sum").state_dict())),
])  # fmt: skip
def test_refusals_as_pytorch(act: Any):
    same(lambda lib: act(Kit(lib)))


@pytest.mark.parametrize("values", [lambda y: 3, lambda y: (y,), lambda y: (y, y.double())])
def test_inverses_that_change_their_mind(values: Any):
    def scenario(lib: Any) -> Any:
        kit = Kit(lib)
        layer = register(kit, "Sum")
        layer.parametrizations.weight[0].right_inverse = values
        layer.weight = lib.ones(2, 2)

    same(scenario)


def test_unsafe_may_change_shape_and_dtype():
    def scenario(lib: Any) -> Any:
        kit = Kit(lib)
        layer = kit.layer()
        kit.P.register_parametrization(
            layer, "weight", kit.Odd(lambda x: x[:1].double()), unsafe=True
        )
        return layer.weight, layer.parametrizations.weight.unsafe, layer.state_dict()

    same(scenario)


def test_buffers_modes_and_several_tensors():
    def scenario(lib: Any) -> Any:
        kit = Kit(lib)
        layer = lib.nn.BatchNorm1d(2).eval()
        for name in ("running_mean", "weight"):
            kit.P.register_parametrization(layer, name, kit.Doubled())
        square = kit.Square()
        kit.P.register_parametrization(layer, "running_var", square)
        found = shown(layer), layer(lib.ones(3, 2)), square.training
        layer.double()
        return found, layer.weight.dtype == lib.float64, len(layer.parametrizations)

    same(scenario)


def test_cached_computes_once():
    calls: list[int] = []

    class Counting(nn.Module):
        def forward(self, x: Any) -> Any:
            calls.append(1)
            return x * 1

    layer = nn.Linear(2, 2)
    parametrize.register_parametrization(layer, "weight", Counting())
    calls.clear()
    with parametrize.cached():
        with parametrize.cached():
            assert layer.weight is layer.weight
        assert layer.weight is layer.weight
        assert len(calls) == 1
    assert layer.weight is not layer.weight
    assert len(calls) == 3


def test_copies_but_no_pickles():
    layer = register(Kit(gpunn), "Doubled")
    twin = copy.deepcopy(layer)
    assert type(twin) is type(layer)
    assert twin.weight.equal(layer.weight)
    assert twin.parametrizations.weight.original is not layer.parametrizations.weight.original
    parametrize.remove_parametrizations(twin, "weight")
    assert type(twin) is nn.Linear
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    assert parametrize.type_before_parametrizations(twin) is nn.Linear
    assert type(layer).__name__ == "ParametrizedLinear"
    with pytest.raises(RuntimeError, match="Serialization of parametrized modules is only"):
        pickle.dumps(layer)


def test_optimizer_goes_on(device: str):
    layer = nn.Linear(2, 2, device=device)
    optimizer = gpunn.optim.SGD(layer.parameters(), lr=0.1)
    parametrize.register_parametrization(layer, "weight", Kit(gpunn).Doubled())
    before = layer.weight.clone()
    layer(gpunn.ones(1, 2, device=device)).sum().backward()
    optimizer.step()
    assert (before - layer.weight).sub(0.4).abs().max().item() < 1e-6  # twice 0.1 twice
    assert layer.weight.device.type == device


@pytest.mark.parametrize("names", SETS)
@pytest.mark.parametrize("only", [None, "weight"])
def test_transfer_as_pytorch(names: Any, only: Any):
    def scenario(lib: Any) -> Any:
        kit = Kit(lib)
        source, target = register(kit, *names), kit.layer()
        kit.P.register_parametrization(source, "bias", kit.Doubled())
        if only is None:
            del target.bias
        found = kit.P.transfer_parametrizations_and_params(source, target, only)
        own = dict(source.named_parameters())
        shared = [k for k, p in target.named_parameters() if p is own.get(k)]
        plain = kit.P.transfer_parametrizations_and_params(kit.layer(), kit.layer())
        return found is target, shown(target), shared, type(plain).__name__

    same(scenario)
