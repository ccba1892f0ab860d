"""Six programs written for PyTorch that must run as they stand after these imports."""

from __future__ import annotations

import numpy as np
import pytest

import gpunn as torch
import gpunn.nn as nn
import gpunn.nn.functional as F
from gpunn.autograd import Function, gradcheck, gradgradcheck
from gpunn.backends import type2backend
from gpunn.examples import own_function, two_ways
from gpunn.examples.own_function import Sine
from gpunn.examples.two_ways import FunctionalCNN, LayerCNN, copy_parameters

# 1 ------------------------------------------------------------------------------------------


class ConvRelu(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 64, 3, padding=1)

    def forward(self, x):
        return F.relu(self.conv(x))


class ConvReluPool(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1)
        self.conv2 = nn.Conv2d(64, 3, 3, padding=1)
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)

    def forward(self, x):
        return self.pool(F.relu(self.conv2(F.relu(self.conv1(x)))))


def test_a_module_with_convolutions_and_pooling(device):
    model = ConvReluPool().to(device)
    x = torch.rand(2, 3, 16, 15, device=device)
    assert ConvRelu().to(device)(x).shape == (2, 64, 16, 15)
    y = model(x)
    assert y.shape == (2, 3, 8, 8)
    assert (y >= 0).all()
    y.sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in model.parameters())


def test_the_module_matches_pytorch():
    peer = pytest.importorskip("torch")
    model = ConvReluPool()
    twin = peer.nn.ModuleDict(
        {"conv1": peer.nn.Conv2d(3, 64, 3, padding=1), "conv2": peer.nn.Conv2d(64, 3, 3, padding=1)}
    )
    twin.load_state_dict({k: peer.tensor(v.numpy()) for k, v in model.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((2, 3, 16, 15)).astype("f4")
    relu, pool = peer.relu, peer.nn.MaxPool2d(3, 2, 1)
    z = pool(relu(twin["conv2"](relu(twin["conv1"](peer.tensor(x))))))
    y = model(torch.tensor(x))
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-4, atol=1e-5)
    (y * y).sum().backward()
    (z * z).sum().backward()
    for name, p in model.named_parameters():
        expected = dict(twin.named_parameters())[name].grad.numpy()
        np.testing.assert_allclose(p.grad.numpy(), expected, rtol=2e-3, atol=1e-4, err_msg=name)


# 2 ------------------------------------------------------------------------------------------


def test_layer_and_function_are_one_computation_on_large_images():
    inputs = torch.rand(64, 3, 244, 244)
    weight = torch.rand(64, 3, 3, 3)
    bias = torch.rand(64)
    layer = nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3, padding=1)
    layer.load_state_dict({"weight": weight, "bias": bias})
    with torch.no_grad():
        a = layer(inputs)
        b = F.conv2d(inputs, weight, bias, padding=1)
    assert a.shape == (64, 64, 244, 244)
    assert torch.equal(a, b)
    # One pixel by hand, at a corner, where the padding counts.
    window = inputs[5, :, :2, :2].numpy().astype("f8")
    by_hand = (window * weight[7, :, 1:, 1:].numpy()).sum() + bias[7].item()
    assert a[5, 7, 0, 0].item() == pytest.approx(by_hand, rel=1e-5)


# 3 ------------------------------------------------------------------------------------------


def test_a_sequential_is_trained_and_evaluated(device):
    model = nn.Sequential(
        nn.Conv2d(3, 64, kernel_size=3, padding=1),
        nn.BatchNorm2d(num_features=64),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=2),
        nn.Dropout(0.2),
    ).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x = torch.rand(8, 3, 8, 8, device=device)
    target = torch.rand(8, 64, 4, 4, device=device)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert model[1].num_batches_tracked.item() == 10
    model.eval()
    before = model[1].running_mean.clone()
    first, second = model(x), model(x)
    assert torch.equal(first, second)
    assert torch.equal(model[1].running_mean, before)
    model.train()
    assert not torch.equal(model(x), model(x))


# 4 ------------------------------------------------------------------------------------------


def test_layers_and_functions_train_alike(device):
    layers, functions = LayerCNN().to(device), FunctionalCNN().to(device)
    assert [p.shape for p in layers.parameters()] == [p.shape for p in functions.parameters()]
    copy_parameters(layers, functions)
    x = torch.rand(16, 1, 28, 28, device=device)
    y = torch.randint(0, 10, (16,), device=device)
    runs = []
    for model in (layers, functions):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        outputs = []
        for _ in range(5):
            scores = model(x)
            optimizer.zero_grad()
            F.cross_entropy(scores, y).backward()
            outputs.append((scores.detach(), [p.grad.clone() for p in model.parameters()]))
            optimizer.step()
        runs.append(outputs)
    for (scores_a, grads_a), (scores_b, grads_b) in zip(*runs, strict=True):
        assert torch.equal(scores_a, scores_b)
        assert all(torch.equal(a, b) for a, b in zip(grads_a, grads_b, strict=True))
    for a, b in zip(functions.parameters(), layers.parameters(), strict=True):
        assert torch.equal(a, b)


# 5 ------------------------------------------------------------------------------------------


class DropoutLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(x)


class DropoutAlways(nn.Module):
    def forward(self, x):
        return F.dropout(x)


class DropoutInTraining(nn.Module):
    def forward(self, x):
        return F.dropout(x, training=self.training)


@pytest.mark.parametrize("kind", [DropoutLayer, DropoutAlways, DropoutInTraining])
def test_three_ways_to_drop(kind, device):
    x = torch.ones(1000, device=device) + torch.arange(1000, device=device)
    model = kind()
    y = model(x)
    doubled = y == 2 * x
    assert (doubled | (y == 0)).all()
    assert 400 < doubled.sum().item() < 600
    model.eval()
    z = model(x)
    if kind is DropoutAlways:
        assert ((z == 0) | (z == 2 * x)).all()
        assert not torch.equal(z, x)
    else:
        assert z is x


# 6 ------------------------------------------------------------------------------------------


class Correlate(Function):
    """A user's convolution over the backend's own primitives."""

    @staticmethod
    def forward(ctx, x, weight):
        backend = type2backend[type(x.data)]
        ctx.save_for_backward(x, weight)
        return backend.conv(x.data, weight.data, None, (1, 1), (0, 0), (1, 1), 1)

    @staticmethod
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        full = F.pad(dy, (2, 2, 2, 2))
        dx = Correlate.apply(full, weight.flip(2, 3).transpose(0, 1).contiguous())
        dw = Correlate.apply(x.transpose(0, 1), dy.transpose(0, 1)).transpose(0, 1)
        return dx, dw


def test_a_users_function_over_the_backend(device):
    x = torch.randn(3, 4, dtype=torch.float64, device=device, requires_grad=True)
    y = Sine.apply(x)
    assert y.grad_fn.name == "SineBackward"
    assert torch.allclose(y, x.sin())
    assert gradcheck(Sine.apply, x)
    assert gradgradcheck(Sine.apply, x)


def test_a_users_convolution_over_the_backend():
    x = torch.randn(2, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    w = torch.randn(4, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.allclose(Correlate.apply(x, w), F.conv2d(x, w))
    assert gradcheck(Correlate.apply, (x, w))


def test_the_examples_print_what_they_teach(capsys):
    two_ways.main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert len(rows) == 10
    assert all(a == b for _, a, b in rows)
    assert float(rows[-1][1]) < float(rows[0][1])
    own_function.main()
    assert "gradcheck True gradgradcheck True" in capsys.readouterr().out
