"""Weight and spectral normalization, as parametrizations and by hooks."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from parity import same

import gpunn
from gpunn import nn
from gpunn.nn.utils import parametrizations

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
LAYERS = [
    lambda nn: nn.Linear(3, 4),
    lambda nn: nn.Conv2d(3, 4, 2),
    lambda nn: nn.ConvTranspose1d(3, 4, 2, bias=False),
]
WAYS = ["parametrizations.weight_norm", "weight_norm", "parametrizations.spectral_norm",
        "spectral_norm"]  # fmt: skip


def find(lib: Any, name: str) -> Any:
    found = lib.nn.utils
    for part in name.split("."):
        found = getattr(found, part)
    return found


def filled(lib: Any, module: Any) -> Any:
    """``module`` with known values; vectors of power iteration of length 1."""
    with lib.no_grad():
        for i, (name, t) in enumerate(sorted(module.state_dict().items())):
            values = np.cos(np.arange(t.numel()) + i).reshape(tuple(t.shape)).astype("f4")
            unit = name.rpartition(".")[2] in ("_u", "_v", "weight_u", "weight_v")
            length = np.linalg.norm(values) if unit else 1
            t.copy_(lib.from_numpy(np.asarray(values / length)))
    return module


def size_of(make: Any) -> tuple[int, ...]:
    layer = make(nn)
    return (2, 3, *(5,) * (layer.weight.ndim - 2))


@pytest.mark.parametrize("make", LAYERS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", [{}, {"dim": 1}, {"dim": -1}, {"dim": None}])
def test_as_pytorch(make: Any, way: str, options: Any):
    if way == "parametrizations.spectral_norm" and not options:
        options = {"n_power_iterations": 3, "eps": 1e-6}
    if way == "spectral_norm" and options == {"dim": -1}:
        options = {"n_power_iterations": 2}

    def scenario(lib: Any) -> Any:
        layer = filled(lib, find(lib, way)(make(lib.nn), **options))
        outputs = []
        for mode in (True, True, False):
            layer.train(mode)
            layer.zero_grad()
            y = layer(lib.ones(*size_of(make)))
            y.square().sum().backward()
            outputs += [y, *(p.grad for p in layer.parameters())]
        state = layer.state_dict()
        text = repr(layer), list(state), [k for k, _ in layer.named_parameters()]
        numbers = [*outputs, *state.values(), layer.weight]
        return text, [t.detach().double().numpy() for t in numbers]

    torch: Any = pytest.importorskip("torch")
    (ours, found), (theirs, expected) = scenario(gpunn), scenario(torch)
    assert ours == theirs
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-5)


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
def test_removal_as_pytorch(name: str):
    def scenario(lib: Any) -> Any:
        layer = filled(lib, find(lib, name)(lib.nn.Linear(3, 4)))
        x = lib.ones(2, 3)
        layer(x)
        find(lib, f"remove_{name}")(layer)
        found = [[round(v, 4) for v in row] for row in layer(x).tolist()]
        return repr(layer), list(layer.state_dict()), found, type(layer.weight).__name__

    same(scenario)


@pytest.mark.parametrize("act", [
    lambda u, nn: u.remove_weight_norm(nn.Linear(2, 3)),
    lambda u, nn: u.remove_spectral_norm(nn.Linear(2, 3)),
    lambda u, nn: u.weight_norm(u.weight_norm(nn.Linear(2, 3))),
    lambda u, nn: u.spectral_norm(u.spectral_norm(nn.Linear(2, 3))),
    lambda u, nn: u.weight_norm(nn.LazyLinear(3)),
    lambda u, nn: u.spectral_norm(nn.LazyLinear(3)),
    lambda u, nn: u.spectral_norm(nn.Linear(2, 3), n_power_iterations=0),
    lambda u, nn: u.spectral_norm(nn.Linear(2, 3, bias=False), "bias"),
    lambda u, nn: u.parametrizations.spectral_norm(nn.Linear(2, 3), n_power_iterations=0),
    lambda u, nn: u.parametrizations.spectral_norm(nn.Linear(2, 3), "odd"),
    lambda u, nn: u.parametrizations.spectral_norm(nn.Linear(2, 3), dim=2),
    lambda u, nn: u.parametrizations.weight_norm(nn.Linear(2, 3), "odd"),
])  # fmt: skip
def test_refusals_as_pytorch(act: Any):
    same(lambda lib: act(lib.nn.utils, lib.nn))


def test_spectral_norm_is_one(device: str):
    for make in LAYERS[::2]:
        layer = parametrizations.spectral_norm(make(nn).to(device))
        dim = int(isinstance(layer, nn.ConvTranspose1d))
        matrix = layer.weight.detach().movedim(dim, 0).flatten(1).cpu().numpy()
        assert np.linalg.svd(matrix)[1][0] == pytest.approx(1, abs=0.02)
        layer.eval()
        assert layer.weight.equal(layer.weight)
        layer.weight.sum().backward()
        assert layer.parametrizations.weight.original.grad is not None


def test_vectors_are_normalized():
    layer = nn.Linear(3, 4)
    parametrizations.spectral_norm(layer, "bias")
    assert float(layer.bias.norm()) == pytest.approx(1)


def test_two_calls_then_backward():
    for norm in (parametrizations.spectral_norm, nn.utils.spectral_norm):
        layer = norm(nn.Linear(3, 4))
        (layer(gpunn.ones(1, 3)) + layer(gpunn.zeros(1, 3))).sum().backward()


def test_loads_the_older_state():
    def scenario(lib: Any) -> Any:
        old = filled(lib, lib.nn.Sequential(lib.nn.utils.weight_norm(lib.nn.Linear(3, 4))))
        new = lib.nn.Sequential(lib.nn.utils.parametrizations.weight_norm(lib.nn.Linear(3, 4)))
        report = repr(new.load_state_dict(old.state_dict()))
        return report, new.state_dict(), new(lib.zeros(1, 3))

    same(scenario)


def test_weight_norm_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FutureWarning, match=r"use|deprecated in favor of"):
            nn.utils.weight_norm(nn.Linear(2, 3))
