"""The orthogonal parametrization: its maps against PyTorch's, and that it stays orthogonal."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from parity import same

import gpunn
from gpunn import nn
from gpunn.nn.utils.parametrizations import orthogonal

MAPS = ["matrix_exp", "cayley", "householder"]
SHAPES = [(4, 4), (5, 3), (3, 5), (2, 4, 3)]


def held(lib: Any, shape: Any, how: str, trivial: bool) -> Any:
    """A module with one parameter, of that shape, made orthogonal."""
    module = lib.nn.Module()
    values = np.random.default_rng(0).standard_normal(shape)
    module.weight = lib.nn.Parameter(lib.from_numpy(values))
    return lib.nn.utils.parametrizations.orthogonal(
        module, "weight", how, use_trivialization=trivial
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("how", MAPS)
@pytest.mark.parametrize("trivial", [True, False])
def test_as_pytorch(shape: Any, how: str, trivial: bool):
    def scenario(lib: Any) -> Any:
        module = held(lib, shape, how, trivial)
        parts = module.parametrizations.weight
        base = getattr(parts[0], "base", None)
        n, k = sorted(shape[-2:], reverse=True)
        with lib.no_grad():
            if base is not None and n != k:  # completed at random
                base.copy_(lib.eye(n).double())
            before = parts.original.detach().clone()
            draws = np.sin(np.arange(int(np.prod(shape))) * 0.9).reshape(shape)
            step = lib.from_numpy(draws)
            wide = shape[-2] < shape[-1]
            parts.original.copy_(before + (step.triu(1) if wide else step.tril(-1)))
        weight = module.weight
        weights = lib.from_numpy(np.arange(float(np.prod(shape))).reshape(shape))
        (weight * weights).sum().backward()
        names = list(module.state_dict()), repr(module)
        before = before.triu() if wide else before.tril()  # the rest is of no account
        return names, [t.detach().numpy() for t in (before, weight, parts.original.grad)]

    torch: Any = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (ours, found), (theirs, expected) = scenario(gpunn), scenario(torch)
    assert ours == theirs
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, 1e-6, 1e-8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("how", [*MAPS, None])
def test_stays_orthogonal(shape: Any, how: Any, device: str):
    layer = nn.Module()
    layer.weight = nn.Parameter(gpunn.randn(*shape, device=device))
    orthogonal(layer, orthogonal_map=how)
    optimizer = gpunn.optim.SGD(layer.parameters(), lr=0.5)
    for _ in range(2):
        layer.weight.pow(3).sum().backward()
        optimizer.step()
    q = layer.weight.detach()
    q = q.mT if shape[-2] < shape[-1] else q
    error = q.mT @ q - gpunn.eye(q.shape[-1], device=device)
    assert error.abs().max().item() < 1e-4


def test_assignment():
    layer = nn.Linear(3, 3, bias=False)
    orthogonal(layer)
    turn = gpunn.tensor([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    layer.weight = turn
    gpunn.testing.assert_close(layer.weight.detach(), turn)
    layer = orthogonal(nn.Linear(3, 3, bias=False), "weight", "householder")
    layer.weight = turn
    gpunn.testing.assert_close(layer.weight.detach(), turn)
    layer = nn.Linear(3, 3, bias=False)
    orthogonal(layer, "weight", "householder", use_trivialization=False)
    layer.weight = turn
    gpunn.testing.assert_close(layer.weight.detach(), turn)


@pytest.mark.parametrize("act", [
    lambda nn, of: of.orthogonal(nn.Linear(2, 3), "bias"),
    lambda nn, of: of.orthogonal(nn.Linear(2, 3), "odd"),
    lambda nn, of: of.orthogonal(nn.Linear(2, 3), "weight", "odd"),
    lambda nn, of: setattr(
        of.orthogonal(nn.Linear(2, 3)), "weight", nn.Linear(3, 2).weight.detach()),
    lambda nn, of: setattr(
        of.orthogonal(nn.Linear(2, 2), "weight", "cayley", use_trivialization=False),
        "weight", nn.Linear(2, 2).weight.detach()),
])  # fmt: skip
def test_refusals_as_pytorch(act: Any):
    same(lambda lib: act(lib.nn, lib.nn.utils.parametrizations))
