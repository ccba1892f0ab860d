"""Layers fused with batch normalization, made without first values, called with other tensors."""

from __future__ import annotations

from typing import Any

import pytest
from parity import same

import gpunn
from gpunn import nn
from gpunn.nn.utils import fuse_conv_bn_eval, fuse_linear_bn_eval, skip_init
from gpunn.nn.utils.stateless import functional_call


def normalized(layer: Any, norm: Any) -> Any:
    """Both in evaluation, ``norm`` with statistics that are no 0 and 1."""
    if norm.running_mean is not None:
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    if norm.affine:
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.uniform_(norm.bias)
    return layer.eval(), norm.eval()


@pytest.mark.parametrize(("layer", "norm", "shape"), [
    (nn.Conv1d(4, 6, 3, groups=2), nn.BatchNorm1d(6), (2, 4, 5)),
    (nn.Conv2d(3, 4, 2, bias=False), nn.BatchNorm2d(4), (2, 3, 5, 5)),
    (nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4, affine=False), (2, 3, 5, 5)),
    (nn.Conv3d(1, 2, 2), nn.BatchNorm3d(2), (2, 1, 3, 3, 3)),
    (nn.ConvTranspose2d(3, 4, 2, 2), nn.BatchNorm2d(4), (2, 3, 5, 5)),
    (nn.Linear(3, 4), nn.BatchNorm1d(4), (2, 3)),
    (nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), (5, 3)),
])  # fmt: skip
def test_fused_computes_both(layer: Any, norm: Any, shape: Any, device: str):
    layer, norm = normalized(layer.to(device), norm.to(device))
    x = gpunn.rand(*shape, device=device)
    before = layer.weight.clone()
    if isinstance(layer, nn.Linear):
        fused = fuse_linear_bn_eval(layer, norm)
    else:
        fused = fuse_conv_bn_eval(layer, norm, isinstance(layer, nn.ConvTranspose2d))
    gpunn.testing.assert_close(fused(x), norm(layer(x)), rtol=1e-4, atol=1e-5)
    assert layer.weight.equal(before)
    assert type(fused) is type(layer)


@pytest.mark.parametrize("act", [
    lambda u, nn: u.fuse_conv_bn_eval(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)),
    lambda u, nn: u.fuse_linear_bn_eval(nn.Linear(2, 3), nn.BatchNorm1d(3)),
    lambda u, nn: u.fuse_linear_bn_eval(nn.Linear(2, 3).eval(), nn.BatchNorm1d(2).eval()),
    lambda u, nn: u.fuse_conv_bn_eval(
        nn.Conv2d(2, 3, 1).eval(), nn.BatchNorm2d(3, track_running_stats=False).eval()),
    lambda u, nn: u.skip_init(int),
    lambda u, nn: u.skip_init(nn.ReLU),
    lambda u, nn: repr(u.skip_init(nn.Linear, 2, 3, bias=False)),
    lambda u, nn: [
        (list(p.shape), p.requires_grad, str(p.dtype)) for p in u.fuse_conv_bn_eval(
            nn.Conv2d(2, 3, 1, bias=False).eval(), nn.BatchNorm2d(3).double().eval()).parameters()],
])  # fmt: skip
def test_as_pytorch(act: Any):
    same(lambda lib: act(lib.nn.utils, lib.nn))


def test_skip_init_draws_nothing():
    state = gpunn.get_rng_state()
    layer = skip_init(nn.Linear, 2, 3)
    assert type(layer) is nn.Linear
    assert gpunn.get_rng_state().equal(state)
    assert type(skip_init(nn.Embedding, 5, 2, dtype=gpunn.float64).weight) is nn.Parameter


# functional_call ----------------------------------------------------------------------------


def tied(lib: Any) -> Any:
    model = lib.nn.Sequential(lib.nn.Linear(2, 2), lib.nn.Linear(2, 2), lib.nn.BatchNorm1d(2))
    model[1].weight = model[0].weight
    with lib.no_grad():
        for p in model.parameters():
            p.fill_(0.5)
    return model


def called(lib: Any, *dicts: Any, **options: Any) -> Any:
    functional_call = getattr(lib, "func", lib.nn.utils.stateless).functional_call
    model, x = tied(lib), lib.tensor([[1.0, 2.0], [0.0, -1.0]])
    given = [{k: lib.full((2, 2), v) if "weight" in k else lib.full((2,), v) for k, v in d.items()}
             for d in dicts]  # fmt: skip
    y = functional_call(model.eval(), given[0] if len(given) == 1 else tuple(given), x, **options)
    return [round(float(v), 3) for v in y.detach().reshape(-1)], model.state_dict()


@pytest.mark.parametrize(("dicts", "options"), [
    ([{"0.bias": 3.0}], {}),
    ([{}], {}),
    ([{"0.weight": 2.0}], {}),
    ([{"1.weight": 2.0}], {}),
    ([{"1.weight": 2.0}], {"tie_weights": False}),
    ([{"1.weight": 2.0, "0.weight": 3.0}], {}),
    ([{"1.weight": 2.0, "0.weight": 3.0}], {"tie_weights": False}),
    ([{"0.bias": 1.0}, {"1.bias": 2.0}], {}),
    ([{"0.bias": 1.0}, {"0.bias": 2.0}], {}),
    ([{"2.running_mean": 1.0}], {}),
    ([{"7.bias": 1.0}], {}),
    ([{"0.bias": 1.0, "odd": 2.0}], {"strict": True}),
])  # fmt: skip
def test_functional_call_as_pytorch(dicts: Any, options: Any):
    same(lambda lib: called(lib, *dicts, **options))


def test_functional_call_keeps_gradients_and_buffers():
    model = tied(gpunn)
    given = {k: v.detach().clone() for k, v in model.state_dict().items()}
    weight = gpunn.full((2, 2), 0.1, requires_grad=True)
    functional_call(model, {**given, "0.weight": weight, "1.weight": weight}, gpunn.rand(3, 2))
    assert model[2].num_batches_tracked.item() == 0
    assert given["2.num_batches_tracked"].item() == 1
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        functional_call(model, {"0.bias": weight[0]}, gpunn.ones(2, 3))
    assert isinstance(model[0].bias, nn.Parameter)
    with pytest.raises(ValueError, match="to be a dict, or a list/tuple of dicts"):
        functional_call(model, 3, gpunn.ones(2, 2))
    with pytest.raises(ValueError, match="Expected all elements"):
        functional_call(model, [3], gpunn.ones(2, 2))
    functional_call(model.eval(), {"0.weight": weight}, gpunn.ones(1, 2)).sum().backward()
    assert weight.grad is not None
