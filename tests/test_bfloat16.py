"""bfloat16: PyTorch's promotion and rounding, on every device; files; what it costs at import."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from checks import DTYPES, compare, draw, same_as_torch, to_numpy

import gpunn
from gpunn.nn import functional as F

BF = gpunn.bfloat16


def test_ml_dtypes_is_imported_at_first_use_only():
    code = (
        "import sys, gpunn\n"
        "gpunn.bfloat16, repr(gpunn.bfloat16), gpunn.promote_types(gpunn.bfloat16, gpunn.int8)\n"
        "assert 'ml_dtypes' not in sys.modules\n"
        "print(gpunn.zeros(2, dtype=gpunn.bfloat16).dtype)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "gpunn.bfloat16"


def test_an_array_alone_is_enough():
    code = (
        "import ml_dtypes, numpy, gpunn\n"
        "x = gpunn.from_numpy(numpy.ones(2, ml_dtypes.bfloat16))\n"
        "print((x * 1.01).dtype, x.exp().dtype)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "gpunn.bfloat16 gpunn.bfloat16"


def test_the_dtype():
    assert (BF.itemsize, BF.is_floating_point, BF.is_signed) == (2, True, True)
    assert copy.deepcopy(BF) is BF
    assert pickle.loads(pickle.dumps(BF)) is BF
    for name in (BF, "bfloat16", BF.numpy):
        assert gpunn.zeros(1, dtype=name).dtype is BF
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = BF.nothing
    gpunn.set_default_dtype(BF)
    try:
        assert gpunn.tensor(1.5).dtype is BF
        assert repr(gpunn.tensor(1.5)) == "tensor(1.5000)"
    finally:
        gpunn.set_default_dtype(gpunn.float32)


def test_limits():
    torch = pytest.importorskip("torch")
    ours, theirs = gpunn.finfo(BF), torch.finfo(torch.bfloat16)
    for field in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution"):
        assert getattr(ours, field) == getattr(theirs, field)


def test_promotion():
    torch = pytest.importorskip("torch")
    for name in (*DTYPES, "bfloat16"):
        for a, b in (("bfloat16", name), (name, "bfloat16")):
            want = torch.promote_types(getattr(torch, a), getattr(torch, b))
            got = gpunn.promote_types(getattr(gpunn, a), getattr(gpunn, b))
            assert str(want).replace("torch", "gpunn") == str(got)
            for shapes in (((2,), (2,)), ((2,), ()), ((), (2,)), ((), ())):
                results = []
                for t in (torch, gpunn):
                    x, y = (
                        t.ones(s, dtype=getattr(t, d)) for s, d in zip(shapes, (a, b), strict=True)
                    )
                    assert (x + y).dtype == (x * y).dtype == t.result_type(x, y)
                    results.append([str(v.dtype).split(".")[1] for v in (x + y, x / y, x > y)])
                assert results[0] == results[1], (a, b, shapes)


def test_to_python_and_numpy(device: str):
    x = gpunn.tensor([1.0, 2.7, -3.0], dtype=BF, device=device)
    assert x.tolist() == [1.0, 2.703125, -3.0]
    assert x[1].item() == 2.703125
    assert float(x[1]) == 2.703125
    shown = "tensor([ 1.0000,  2.7031, -3.0000]"
    assert repr(x.cpu()) == shown + ", dtype=gpunn.bfloat16)"
    assert x.cpu().numpy().dtype == BF.numpy
    assert (x.element_size(), x.type()) == (2, "gpunn.BFloat16Tensor")
    assert x.to(gpunn.int64).tolist() == [1, 2, -3]
    assert x.float().bfloat16().tolist() == x.tolist()
    assert gpunn.tensor([1, 257], device=device).bfloat16().tolist() == [1.0, 256.0]
    copied = copy.deepcopy(x)
    assert copied.dtype is BF
    assert copied.tolist() == x.tolist()


UNARY = (
    "neg abs sign square exp expm1 log log1p sqrt rsqrt reciprocal sin cos tanh sigmoid erf relu"
)
UNARY += " floor ceil trunc round isnan isfinite logical_not"


@pytest.mark.parametrize("name", UNARY.split())
def test_unary(name: str):
    for shape in ((4, 5), (), (0, 3)):
        same_as_torch(lambda t, x: getattr(t, name)(x), draw(shape, "bfloat16"))


@pytest.mark.parametrize(
    "name", ["add", "sub", "mul", "div", "pow", "maximum", "atan2", "remainder", "eq", "lt"]
)
def test_binary(name: str):
    x, y = draw((3, 4), "bfloat16"), draw((4,), "bfloat16", seed=1)
    same_as_torch(lambda t, x, y: getattr(t, name)(x, y), x, y)
    same_as_torch(lambda t, x, y: getattr(t, name)(x, y), x, draw((4,), "float16", seed=1))
    same_as_torch(lambda t, x, y: getattr(t, name)(x, y), x, draw((), "float32", seed=1))


def test_a_python_number_keeps_its_bits():
    """As in PyTorch: computed in float32, rounded once."""
    x = draw((64,), "bfloat16")
    for function in (
        lambda t, x: x * 1.0123,
        lambda t, x: x / 1.0123,
        lambda t, x: x - 0.0123,
        lambda t, x: t.where(x > 0, x, 0.123),
        lambda t, x: x.clamp(-0.3, 0.777),
    ):
        same_as_torch(function, x, tolerance=1e-12)


def test_sums_are_in_float32():
    x = np.full(4096, 1.0).astype(BF.numpy)  # bfloat16 itself would stop at 256
    assert gpunn.tensor(x).sum().item() == 4096
    assert gpunn.tensor(x).cumsum(0)[-1].item() == 4096
    assert (gpunn.tensor(x) @ gpunn.tensor(x)).item() == 4096
    assert gpunn.tensor(x).mean().item() == 1
    y = draw((6, 50), "bfloat16")
    for function in (
        lambda t, y: y.sum(1),
        lambda t, y: y.mean(0),
        lambda t, y: y.var(1),
        lambda t, y: y.std(),
        lambda t, y: y.amax(1),
        lambda t, y: y.max(1),
        lambda t, y: y.argmin(),
        lambda t, y: y.logsumexp(1),
        lambda t, y: y.norm(),
        lambda t, y: y.sort(dim=1, stable=True),
        lambda t, y: y.topk(3).values,
        lambda t, y: y @ y.mT,
        lambda t, y: t.softmax(y, 1),
        lambda t, y: t.log_softmax(y, 0),
        lambda t, y: t.cat([y, y.float()]),
        lambda t, y: y[y > 0],
        lambda t, y: t.nn.functional.gelu(y),
        lambda t, y: t.nn.functional.layer_norm(y, (50,)),
        lambda t, y: t.nn.functional.linear(y, y, y[:, 0]),
        lambda t, y: t.nn.functional.cross_entropy(y, t.arange(6)),
        lambda t, y: t.nn.functional.mse_loss(y, y * 0.9),
        lambda t, y: t.nn.functional.conv1d(y[:, None], y[:3, None, :5], padding=2),
        lambda t, y: t.nn.functional.max_pool1d(y[None], 3),
        lambda t, y: t.nn.functional.avg_pool1d(y[None], 3),
        lambda t, y: t.nn.functional.pad(y, (1, 2), value=0.3),
    ):
        same_as_torch(function, y)


def test_nan_is_the_largest(device: str):
    x = gpunn.tensor([3.0, float("nan"), -1.0, 7.0], dtype=BF, device=device)
    assert np.isnan(x.max().item())
    assert x.argmax().item() == 1
    assert x.argsort().tolist() == [2, 0, 3, 1]


def _net(t: Any, state: dict[str, Any] | None = None) -> Any:
    model = t.nn.Sequential(
        t.nn.Conv2d(1, 4, 3),
        t.nn.BatchNorm2d(4),
        t.nn.ReLU(),
        t.nn.MaxPool2d(2),
        t.nn.Flatten(),
        t.nn.Linear(36, 5),
    )
    if state is not None:
        model.load_state_dict(state)
    return model.to(t.bfloat16)


def test_gradients_of_a_network_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    state = _net(torch).float().state_dict()
    x, results = draw((6, 1, 8, 8), "float32"), []
    for t in (torch, gpunn):
        model = _net(t, {k: t.tensor(v.numpy()) for k, v in state.items()})
        loss = t.nn.functional.cross_entropy(model(t.tensor(x).bfloat16()), t.arange(6) % 5)
        loss.backward()
        results.append([to_numpy(p.grad) for p in model.parameters()] + [to_numpy(loss)])
    compare(results[1], results[0], "gradients", 5e-2, 2e-2)


def test_gradients_on_every_device(device: str):
    x = gpunn.tensor(draw((3, 4), "bfloat16"), device=device, requires_grad=True)
    w = gpunn.tensor(draw((2, 4), "bfloat16", seed=1), device=device, requires_grad=True)
    y = (F.linear(x, w).tanh() * 1.7).logsumexp(1).sum() + (x[0] * x[1, :1]).sum()
    (dx,) = gpunn.autograd.grad(y, x, create_graph=True)
    assert dx.dtype is BF
    (dx * dx).sum().backward()
    wide = x.detach().cpu().float().requires_grad_()
    wide_w = w.detach().cpu().float()
    z = (F.linear(wide, wide_w).tanh() * 1.7).logsumexp(1).sum() + (wide[0] * wide[1, :1]).sum()
    (expected,) = gpunn.autograd.grad(z, wide, create_graph=True)
    compare(to_numpy(dx), to_numpy(expected), "dx", 3e-2, 2e-2, dtype=False)
    (expected * expected).sum().backward()
    compare(to_numpy(x.grad), to_numpy(wide.grad), "second derivative", 6e-2, 6e-2, dtype=False)


def test_in_place_on_every_device(device: str):
    x = gpunn.zeros(4, dtype=BF, device=device)
    x += 1.001
    x.mul_(3)
    x[1:3] = gpunn.tensor([0.1, 0.2], device=device)
    x.masked_fill_(x == 3, -1)
    assert x.tolist() == [-1, 0.10009765625, 0.2001953125, -1]


def test_random_numbers_are_the_same_on_every_device():
    for make in ("rand", "randn"):
        results = []
        for device in ("cpu", "cuda") if gpunn.cuda.is_available() else ("cpu", "cpu"):
            gpunn.manual_seed(3)
            results.append(getattr(gpunn, make)(1000, dtype=BF, device=device).cpu())
        assert results[0].dtype is BF
        compare(to_numpy(results[1]), to_numpy(results[0]), make, 1e-2)
    numbers = gpunn.rand(5000, dtype=BF).float()
    assert numbers.min().item() >= 0
    assert numbers.max().item() < 1
    assert abs(numbers.mean().item() - 0.5) < 0.02
    assert gpunn.zeros(3, dtype=BF).random_().max().item() <= 256


def test_dropout(device: str):
    x = gpunn.ones(1000, dtype=BF, device=device, requires_grad=True)
    y = F.dropout(x, 0.3)
    y.sum().backward()
    assert set(y.tolist()) == {0, gpunn.tensor(1 / 0.7, dtype=BF).item()}
    assert x.grad is not None
    assert x.grad.tolist() == y.tolist()


def test_optimizers_step_as_in_pytorch():
    torch = pytest.importorskip("torch")
    w, dw = draw((7,), "bfloat16"), draw((7,), "bfloat16", seed=1)
    for make in (
        lambda t, p: t.optim.SGD(p, lr=0.1, momentum=0.9),
        lambda t, p: t.optim.Adam(p, lr=0.1),
        lambda t, p: t.optim.RMSprop(p, lr=0.1, momentum=0.5),
    ):
        results = []
        for t in (torch, gpunn):
            parameter = t.nn.Parameter(t.tensor(w.astype(np.float32)).bfloat16())
            optimizer = make(t, [parameter])
            for _ in range(3):
                parameter.grad = t.tensor(dw.astype(np.float32)).bfloat16()
                optimizer.step()
            results.append(to_numpy(parameter))
        compare(results[1], results[0], "weights", 2e-2, 2e-2)


def test_files(tmp_path: Any):
    torch = pytest.importorskip("torch")
    path = str(tmp_path / "x.pt")
    values = [[1.0, 2.703125], [-3.0, 1e30]]
    for legacy in (False, True):
        torch.save(
            {"x": torch.tensor(values).bfloat16()}, path, _use_new_zipfile_serialization=not legacy
        )
        assert gpunn.equal(gpunn.load(path)["x"], gpunn.tensor(values, dtype=BF))
    gpunn.save({"x": gpunn.tensor(values, dtype=BF), "kind": BF}, path)
    loaded = torch.load(path, weights_only=True)
    assert torch.equal(loaded["x"], torch.tensor(values).bfloat16())
    assert loaded["kind"] is torch.bfloat16
    assert gpunn.load(path)["x"].dtype is BF
    tensors = pytest.importorskip("safetensors.torch")
    gpunn.save_file({"x": gpunn.tensor(values, dtype=BF)}, path)
    assert torch.equal(tensors.load_file(path)["x"], torch.tensor(values).bfloat16())
    assert gpunn.equal(gpunn.load_file(path)["x"], gpunn.tensor(values, dtype=BF))
    again = pickle.loads(pickle.dumps(gpunn.tensor(values, dtype=BF)))
    assert gpunn.equal(again, gpunn.tensor(values, dtype=BF))
