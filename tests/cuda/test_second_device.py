"""What works on "cuda:0" works on "cuda:1" while the first device is current."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest

import gpunn
from gpunn import Tensor
from gpunn.backends import Backend
from gpunn.nn import functional as F


def _like(x: Tensor, values: object) -> Tensor:
    return gpunn.tensor(values).to(x.device)


def _zeros(x: Tensor) -> Tensor:
    return gpunn.zeros(3, 2, dtype=gpunn.int64, device=x.device)


def _set(x: Tensor) -> Tensor:
    y = x.clone()
    y[0] = 1
    y[:, 1] = y[:, 2]
    y[y > 0.5] = 0
    return y


def _clipped(x: Tensor) -> Tensor:
    weight = x.detach().clone().requires_grad_()
    (weight * 2).sum().backward()
    gpunn.nn.utils.clip_grad_norm_([weight], 1.0)
    assert weight.grad is not None
    return weight.grad


def _twice(x: Tensor) -> Tensor:
    (slope,) = gpunn.autograd.grad((x.abs() + 1).lgamma().sum(), x, create_graph=True)
    return slope.square()


def _image(x: Tensor) -> Tensor:
    return x.reshape(1, 1, 3, 4)


CASES: dict[str, Callable[[Tensor], Tensor]] = {
    "arithmetic": lambda x: (x * 2 + x / 3 - x**2).exp().tanh() + gpunn.tensor(1.0),
    "in place": lambda x: x.clone().add_(1).mul_(x).clamp_(-1, 1),
    "random in place": lambda x: x.clone().uniform_() + x.clone().normal_(),
    "set": _set,
    "index": lambda x: x[:, 1] + x[_like(x, [0, 1]), 0][0],
    "mask": lambda x: x[x > 0].sum(),
    "nonzero": lambda x: (x > 0).nonzero().float(),
    "gather": lambda x: x.gather(1, _zeros(x)),
    "scatter": lambda x: x.scatter_add(1, _zeros(x), x),
    "select": lambda x: x.index_select(0, _like(x, [2, 0])),
    "sort": lambda x: x.sort(1)[0] + x.topk(4)[0],
    "cat": lambda x: gpunn.cat([x, x.t().reshape(3, 4)], 1),
    "unbind": lambda x: x.unbind(0)[1] * 2,
    "reduce": lambda x: x.sum(0) + x.mean() + x.max() + x.std() + x.prod() + x.median(),
    "norm": lambda x: x.norm() + x.argmax(),
    "softmax": lambda x: F.softmax(x, 1) + F.log_softmax(x, 1),
    "layer norm": lambda x: F.layer_norm(x, (4,)),
    "batch norm": lambda x: F.batch_norm(x, None, None, training=True),
    "group norm": lambda x: F.group_norm(x.reshape(1, 3, 4), 3),
    "dropout": lambda x: F.dropout(x, 0.5),
    "cross-entropy": lambda x: F.cross_entropy(x, _like(x, [0, 1, 3])),
    "ignored targets": lambda x: F.nll_loss(x, _like(x, [0, 1, -100])),
    "embedding": lambda x: F.embedding(_like(x, [0, 2]), x),
    "one-hot": lambda x: F.one_hot(_like(x, [0, 2]), 3).float(),
    "pooling": lambda x: F.max_pool2d(_image(x), 2, 1) + F.avg_pool2d(_image(x), 2, 1),
    "convolution": lambda x: F.conv2d(_image(x), x[:2, :2].reshape(1, 1, 2, 2)),
    "losses": lambda x: F.mse_loss(x, x * 2) + F.smooth_l1_loss(x, x * 2),
    "pad": lambda x: F.pad(x, (1, 1)),
    "triangles": lambda x: x.tril() + x.triu() * 2,
    "where": lambda x: gpunn.where(x > 0, x, 0.0).masked_fill(x > 1, 3.0),
    "product": lambda x: x @ x.t() + x.cumsum(1).sum(),
    "bernoulli": lambda x: gpunn.bernoulli(x.sigmoid()),
    "made alike": lambda x: gpunn.ones_like(x) + gpunn.full_like(x, 2) + gpunn.rand_like(x),
    "made": lambda x: gpunn.arange(3.0, device=x.device) + gpunn.linspace(0, 1, 3, device=x.device),
    "numbers": lambda x: gpunn.tensor(x[0, 0].item() + float(x[1, 1]) + x.tolist()[0][0]),
    "questions": lambda x: gpunn.tensor(
        gpunn.equal(x, x) and gpunn.allclose(x, x) and bool(x.any())
    ),
    "copies": lambda x: gpunn.empty(3, 4, device=x.device).copy_(x) + copy.deepcopy(x.detach()),
    "clipped gradient": _clipped,
    "running": lambda x: x.cummax(1)[0] + x.cummin(0)[0],
    "where it is": lambda x: x[gpunn.where(x > 0)],
    "quantile": lambda x: x.quantile(0.3) + x.quantile(_like(x, [0.1, 0.5]), 1).sum(),
    "search": lambda x: gpunn.searchsorted(x.detach()[0].sort()[0], x.detach()),
    "grid": lambda x: F.grid_sample(
        _image(x), gpunn.zeros(1, 2, 2, 2, device=x.device), align_corners=False
    ),
    "diagonal": lambda x: x.clone().fill_diagonal_(3.0) + x.t().clone().fill_diagonal_(2, True).t(),
    "truncated": lambda x: gpunn.nn.init.trunc_normal_(gpunn.empty_like(x).detach()),
    "new": lambda x: x.new_tensor([1.0]) + x.new([2.0]) + x.new_tensor(x.detach()),
    "gradcheck": lambda x: gpunn.tensor(
        gpunn.autograd.gradcheck(gpunn.sin, x.detach().double().requires_grad_())
        and gpunn.autograd.gradgradcheck(gpunn.sin, x.detach().double().requires_grad_())
    ),
    "log-gamma twice": _twice,
    "ctc": lambda x: F.ctc_loss(
        x[:, None].log_softmax(-1), _like(x, [[1, 2]]), gpunn.tensor([3]), gpunn.tensor([2])
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_as_on_the_cpu(cuda: Backend, name: str):
    if gpunn.cuda.device_count() < 2:
        pytest.skip("this machine has one CUDA device")
    values = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    found: list[np.ndarray] = []
    for device in ("cpu", "cuda:1"):
        gpunn.manual_seed(0)
        x = gpunn.tensor(values, device=device, requires_grad=True)
        y = CASES[name](x)
        if y.requires_grad:
            y.sum().backward()
            assert x.grad is not None
            assert x.grad.device == x.device
        assert repr(y)
        found.append(y.detach().cpu().numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=2e-3, atol=1e-5)
    assert gpunn.cuda.current_device() == 0


def test_indices_on_another_device(cuda: Backend):
    index = gpunn.tensor([0], device="cuda")
    with pytest.raises(RuntimeError, match="indices should be either on cpu or on the same device"):
        gpunn.ones(3)[index]
    assert gpunn.arange(3.0, device="cuda")[gpunn.tensor([2])].tolist() == [2.0]
