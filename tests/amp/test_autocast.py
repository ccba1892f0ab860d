"""autocast: PyTorch's lists on the CPU and on CUDA, nesting, the weights' cache, Functions."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np
import pytest
from checks import compare, draw, to_numpy

import gpunn
from gpunn.dtype import in_use
from gpunn.nn import functional as F

HALF = {"cpu": gpunn.bfloat16, "cuda": gpunn.float16}

# name, what is done with m (4, 4), v (4,), b (2, 4, 4), i (1, 2, 8, 8): all of one dtype
CALLS: dict[str, Any] = {
    "matmul": lambda t, x: x.m @ x.m,
    "mm": lambda t, x: t.mm(x.m, x.m),
    "bmm": lambda t, x: t.bmm(x.b, x.b),
    "mv": lambda t, x: t.mv(x.m, x.v),
    "dot": lambda t, x: t.dot(x.v, x.v),
    "addmm": lambda t, x: t.addmm(x.m, x.m, x.m),
    "addmv": lambda t, x: t.addmv(x.v, x.m, x.v),
    "addr": lambda t, x: t.addr(x.m, x.v, x.v),
    "baddbmm": lambda t, x: t.baddbmm(x.b, x.b, x.b),
    "addbmm": lambda t, x: t.addbmm(x.m, x.b, x.b),
    "einsum": lambda t, x: t.einsum("ij,jk->ik", x.m, x.m),
    "conv_transpose2d": lambda t, x: t.nn.functional.conv_transpose2d(x.i, x.i[0, :, None]),
    "prelu": lambda t, x: t.nn.functional.prelu(x.m, x.v),
    "attention": lambda t, x: t.nn.functional.scaled_dot_product_attention(x.b, x.b, x.b),
    "addcmul": lambda t, x: t.addcmul(x.m, x.m, x.m),
    "cdist": lambda t, x: t.cdist(x.m, x.m),
    "dist": lambda t, x: t.dist(x.m, x.m),
    "renorm": lambda t, x: t.renorm(x.m, 2, 0, 1.0),
    "cosine_similarity": lambda t, x: t.nn.functional.cosine_similarity(x.m, x.m),
    "poisson_nll_loss": lambda t, x: t.nn.functional.poisson_nll_loss(x.m, x.m),
    "hinge_embedding_loss": lambda t, x: t.nn.functional.hinge_embedding_loss(
        x.m, t.ones_like(x.m)
    ),
    "soft_margin_loss": lambda t, x: t.nn.functional.soft_margin_loss(x.m, t.ones_like(x.m)),
    "margin_ranking_loss": lambda t, x: t.nn.functional.margin_ranking_loss(
        x.m, x.m, t.ones_like(x.m)
    ),
    "cosine_embedding_loss": lambda t, x: t.nn.functional.cosine_embedding_loss(
        x.m, x.m, t.ones_like(x.v)
    ),
    "multi_margin_loss": lambda t, x: t.nn.functional.multi_margin_loss(
        x.m, t.zeros_like(x.v, dtype=t.int64)
    ),
    "triplet_margin_loss": lambda t, x: t.nn.functional.triplet_margin_loss(x.m, x.m, x.m),
    "linear": lambda t, x: t.nn.functional.linear(x.m, x.m, x.v),
    "conv2d": lambda t, x: t.nn.functional.conv2d(x.i, x.i[:, :, :3, :3]),
    "outer": lambda t, x: t.outer(x.v, x.v),
    "add": lambda t, x: x.m + x.m,
    "mul": lambda t, x: x.m * 2.5,
    "exp": lambda t, x: x.m.exp(),
    "log": lambda t, x: t.log(x.m),
    "rsqrt": lambda t, x: x.m.rsqrt(),
    "tanh": lambda t, x: x.m.tanh(),
    "relu": lambda t, x: t.relu(x.m),
    "pow": lambda t, x: x.m**2.5,
    "sum": lambda t, x: x.m.sum(),
    "sum(dtype)": lambda t, x: x.m.sum(dtype=t.float64),
    "mean": lambda t, x: x.m.mean(1),
    "var": lambda t, x: x.m.var(),
    "prod": lambda t, x: x.m.prod(),
    "cumsum": lambda t, x: x.m.cumsum(0),
    "cumprod": lambda t, x: x.m.cumprod(0),
    "softmax": lambda t, x: x.m.softmax(0),
    "log_softmax": lambda t, x: t.nn.functional.log_softmax(x.m, 1),
    "norm": lambda t, x: x.m.norm(),
    "logsumexp": lambda t, x: x.m.logsumexp(1),
    "layer_norm": lambda t, x: t.nn.functional.layer_norm(x.m, (4,), x.v, x.v),
    "group_norm": lambda t, x: t.nn.functional.group_norm(x.i, 2),
    "batch_norm": lambda t, x: t.nn.functional.batch_norm(x.i, None, None, training=True),
    "max_pool2d": lambda t, x: t.nn.functional.max_pool2d(x.i, 2),
    "gelu": lambda t, x: t.nn.functional.gelu(x.m),
    "softplus": lambda t, x: t.nn.functional.softplus(x.m),
    "cat": lambda t, x: t.cat([x.m, x.m]),
    "mse_loss": lambda t, x: t.nn.functional.mse_loss(x.m, x.m),
    "l1_loss": lambda t, x: t.nn.functional.l1_loss(x.m, x.m),
    "smooth_l1_loss": lambda t, x: t.nn.functional.smooth_l1_loss(x.m, x.m),
    "huber_loss": lambda t, x: t.nn.functional.huber_loss(x.m, x.m),
    "kl_div": lambda t, x: t.nn.functional.kl_div(x.m, x.m, reduction="sum"),
    "logits": lambda t, x: t.nn.functional.binary_cross_entropy_with_logits(x.m, x.m),
    "nll_loss": lambda t, x: t.nn.functional.nll_loss(x.m, t.zeros_like(x.v, dtype=t.int64)),
    "cross_entropy": lambda t, x: t.nn.functional.cross_entropy(
        x.m, t.zeros_like(x.v, dtype=t.int64)
    ),
}
# Inside a CUDA region, of float32 and of float16: PyTorch's documented lists.
LOWER = {
    *(
        "matmul",
        "mm",
        "bmm",
        "mv",
        "addmm",
        "addmv",
        "addr",
        "baddbmm",
        "addbmm",
        "einsum",
        "linear",
    ),
    *("conv2d", "conv_transpose2d", "prelu", "attention"),
}
FLOAT32 = (
    set(CALLS)
    - LOWER
    - {
        *("dot", "outer", "add", "mul", "tanh", "relu", "sum(dtype)", "mean", "var", "batch_norm"),
        *("max_pool2d", "gelu", "cat", "addcmul"),
    }
)


class Inputs:
    """m, v, b and i in one dtype, on one device."""

    def __init__(self, t: Any, dtype: str, device: str = "cpu") -> None:
        for name, shape in (("m", (4, 4)), ("v", (4,)), ("b", (2, 4, 4)), ("i", (1, 2, 8, 8))):
            values = (np.abs(draw(shape, "float32")) % 0.8 + 0.1).astype(np.float32)
            setattr(self, name, t.tensor(values, device=device).to(getattr(t, dtype)))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_the_cpu_has_pytorchs_lists(name: str, dtype: str):
    torch = pytest.importorskip("torch")
    results = []
    for t in (torch, gpunn):
        with t.autocast("cpu"):
            results.append(CALLS[name](t, Inputs(t, dtype)))
    assert str(results[1].dtype).split(".")[1] == str(results[0].dtype).split(".")[1]
    compare(to_numpy(results[1]), to_numpy(results[0]), name, 2e-2, 1e-2)


@pytest.mark.parametrize("name", CALLS)
def test_cuda_has_pytorchs_lists(name: str):
    if not gpunn.cuda.is_available():
        pytest.skip("no CUDA device")
    for dtype in ("float32", "float16"):
        expected = {**dict.fromkeys(LOWER, "float16"), **dict.fromkeys(FLOAT32, "float32")}
        kind = "float64" if name == "sum(dtype)" else expected.get(name, dtype)
        with gpunn.autocast("cuda"):
            result = CALLS[name](gpunn, Inputs(gpunn, dtype, "cuda"))
        assert result.dtype is getattr(gpunn, kind)


def test_widest_on_cuda():
    if not gpunn.cuda.is_available():
        pytest.skip("no CUDA device")
    x, y = Inputs(gpunn, "float32", "cuda"), Inputs(gpunn, "float16", "cuda")
    with gpunn.autocast("cuda"):
        assert gpunn.dot(x.v, y.v).dtype is gpunn.float32
        assert gpunn.dot(y.v, y.v).dtype is gpunn.float16
        assert gpunn.atan2(y.v, x.v).dtype is gpunn.float32


def test_binary_cross_entropy_is_refused_on_cuda():
    if not gpunn.cuda.is_available():
        pytest.skip("no CUDA device")
    x = Inputs(gpunn, "float32", "cuda")
    with (
        gpunn.autocast("cuda"),
        pytest.raises(RuntimeError, match="are unsafe to autocast"),
    ):
        F.binary_cross_entropy(x.m, x.m)


def test_other_devices_and_float64_are_left_alone(device: str):
    other = "cuda" if device == "cpu" else "cpu"
    if other == "cuda" and not gpunn.cuda.is_available():
        pytest.skip("no CUDA device")
    x = gpunn.ones(2, 2, device=device)
    with gpunn.autocast(other):
        assert (x @ x).dtype is gpunn.float32
    with gpunn.autocast(device):
        assert (x @ x).dtype is HALF[device]
        assert (x.double() @ x.double()).dtype is gpunn.float64


def test_nested_disabled_and_as_decorator(device: str):
    x = gpunn.ones(2, 2, device=device)

    @gpunn.autocast(device)
    def product(y: Any) -> Any:
        return y @ y

    assert not gpunn.is_autocast_enabled(device)
    assert product(x).dtype is HALF[device]
    with gpunn.autocast(device):
        assert gpunn.is_autocast_enabled(device)
        low = x @ x
        with gpunn.autocast(device, enabled=False):
            assert not gpunn.is_autocast_enabled(device)
            assert (x @ low.float()).dtype is gpunn.float32
            with pytest.raises(RuntimeError, match="expected m1 and m2 to have the same dtype"):
                x @ low
        assert (x @ low).dtype is HALF[device]
        with gpunn.autocast(device, dtype=gpunn.bfloat16):
            assert (x @ low).dtype is gpunn.bfloat16
        assert gpunn.get_autocast_dtype(device) is HALF[device]
    assert (x @ x).dtype is gpunn.float32
    assert "autocast" not in in_use
    assert gpunn.amp.autocast is gpunn.autocast


def test_an_error_leaves_the_region():
    with pytest.raises(ValueError, match="of mine"), gpunn.autocast("cpu"):
        raise ValueError("of mine")
    assert not gpunn.is_autocast_enabled("cpu")
    assert "autocast" not in in_use


def test_the_setting_is_the_threads_own():
    found = []
    with gpunn.autocast("cpu"):
        thread = threading.Thread(target=lambda: found.append(gpunn.is_autocast_enabled("cpu")))
        thread.start()
        thread.join()
    assert found == [False]


def test_settings():
    assert gpunn.get_autocast_dtype("cpu") is gpunn.bfloat16
    assert gpunn.get_autocast_dtype("cuda") is gpunn.float16
    gpunn.set_autocast_enabled("cpu", True)
    gpunn.set_autocast_dtype("cpu", gpunn.float16)
    try:
        x = gpunn.ones(2, 2)
        assert (x @ x).dtype is gpunn.float16
    finally:
        gpunn.set_autocast_dtype("cpu", gpunn.bfloat16)
        gpunn.set_autocast_enabled("cpu", False)
    assert (x @ x).dtype is gpunn.float32
    assert gpunn.is_autocast_cache_enabled()
    with gpunn.autocast("cpu", cache_enabled=False):
        assert not gpunn.is_autocast_cache_enabled()
    assert gpunn.is_autocast_cache_enabled()


def test_refusals_and_warnings(no_driver: None):
    with pytest.raises(ValueError, match="Expected `device_type` of type `str`"):
        gpunn.autocast(gpunn.device("cpu"))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="unsupported autocast device_type 'tpu'"):
        gpunn.autocast("tpu")
    with pytest.raises(TypeError, match="requires a callable, but got int"):
        gpunn.autocast("cpu")(3)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="In CPU autocast, but the target dtype is not supported"):
        region = gpunn.autocast("cpu", dtype=gpunn.float32)
    with region:
        assert not gpunn.is_autocast_enabled("cpu")
    with pytest.warns(UserWarning, match="Disabling autocast"):
        gpunn.autocast("cuda")


def test_a_weight_is_cast_once_in_a_region():
    w = gpunn.ones(3, 3, requires_grad=True)
    x = gpunn.ones(2, 3)
    with gpunn.autocast("cpu"):
        first, second = F.linear(x, w), F.linear(x, w)
        casts = {id(y.grad_fn.next_functions[1][0]) for y in (first, second)}
        assert len(casts) == 1
        with gpunn.no_grad():
            w.add_(1)  # the next use must see it
        assert F.linear(x, w)[0, 0].item() == 6
    with gpunn.autocast("cpu", cache_enabled=False):
        third, fourth = F.linear(x, w), F.linear(x, w)
        assert third.grad_fn.next_functions[1][0] is not fourth.grad_fn.next_functions[1][0]
    (first.sum() + second.sum()).backward()
    assert w.grad is not None
    assert w.grad.dtype is gpunn.float32
    assert w.grad.tolist() == [[4.0] * 3] * 3
    with gpunn.autocast("cpu"), gpunn.no_grad():
        F.linear(x, w)
        with gpunn.enable_grad():
            assert F.linear(x, w).requires_grad


def _net(t: Any) -> Any:
    layers = t.nn.Linear(6, 16), t.nn.LayerNorm(16), t.nn.GELU(), t.nn.Linear(16, 3)
    return t.nn.Sequential(*layers)


def test_training_is_as_in_pytorch():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    state = {k: v.numpy() for k, v in _net(torch).state_dict().items()}
    x, results = draw((8, 6), "float32"), []
    for t in (torch, gpunn):
        net = _net(t)
        net.load_state_dict({k: t.tensor(v) for k, v in state.items()})
        optimizer = t.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            with t.autocast("cpu"):
                y = net(t.tensor(x))
                loss = t.nn.functional.cross_entropy(y, t.arange(8) % 3)
            loss.backward()
            optimizer.step()
        assert str(y.dtype).endswith("bfloat16")
        assert str(loss.dtype).endswith("float32")
        results.append([to_numpy(p) for p in net.parameters()] + [to_numpy(loss)])
    compare(results[1], results[0], "weights", 2e-2, 2e-2)


def test_backward_inside_a_region_is_not_cast(device: str):
    x = gpunn.ones(2, 2, device=device, requires_grad=True)
    with gpunn.autocast(device):
        y = (x.double() @ x.double()).sum()
        (dx,) = gpunn.autograd.grad(y, x, create_graph=True)
        assert gpunn.is_autocast_enabled(device)
        dx.sum().backward()
    assert dx.dtype is gpunn.float32
    assert x.grad is not None
    assert x.grad.dtype is gpunn.float32


def test_custom_functions(device: str):
    seen: list[Any] = []

    class Product(gpunn.autograd.Function):
        @staticmethod
        @gpunn.amp.custom_fwd(device_type=device)
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            ctx.save_for_backward(x, y)
            return x @ y

        @staticmethod
        @gpunn.amp.custom_bwd(device_type=device)
        def backward(ctx: Any, dy: Any) -> Any:
            x, y = ctx.saved_tensors
            seen.append(gpunn.is_autocast_enabled(device))
            return dy @ y.mT, x.mT @ dy

    class Wide(gpunn.autograd.Function):
        @staticmethod
        @gpunn.amp.custom_fwd(device_type=device, cast_inputs=gpunn.float32)
        def forward(ctx: Any, x: Any, more: list[Any]) -> Any:
            seen.append((x.dtype, more[0].dtype, gpunn.is_autocast_enabled(device)))
            return x * 2

        @staticmethod
        @gpunn.amp.custom_bwd(device_type=device)
        def backward(ctx: Any, dy: Any) -> Any:
            return dy * 2, None

    x = gpunn.ones(2, 2, device=device, requires_grad=True)
    with gpunn.autocast(device):
        y = Product.apply(x, x)
        z = Wide.apply(y, [y])
    assert y.dtype is HALF[device]
    assert z.dtype is gpunn.float32
    z.sum().backward()
    assert seen == [(gpunn.float32, gpunn.float32, False), True]
    assert x.grad is not None
    assert x.grad.tolist() == [[8.0, 8.0], [8.0, 8.0]]
    with pytest.raises(ValueError, match="Expected `device_type`"):
        gpunn.amp.custom_fwd(device_type=3)  # type: ignore[call-overload]


def test_nothing_warns(device: str):
    with warnings.catch_warnings(), gpunn.autocast(device):
        warnings.simplefilter("error")
        gpunn.ones(2, 2, device=device).softmax(0)
