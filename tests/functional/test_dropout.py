"""Dropout: what is dropped, that the mask comes again, and that it is the same everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import compare, to_numpy
from parity import same

import gpunn
import gpunn.functional as F
from gpunn.autograd import gradcheck, gradgradcheck
from gpunn.backends import type2backend
from gpunn.backends.base import Backend
from gpunn.random import default_generator


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_drops_with_probability_p_and_scales(p: float, device: str):
    y = to_numpy(F.dropout(gpunn.ones(100_000, device=device), p))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / (1 - p))}
    assert abs((y == 0).mean() - p) < 0.01


def test_default_is_training_with_one_half():
    y = F.dropout(gpunn.ones(1000))
    assert set(y.tolist()) == {0.0, 2.0}


def test_identity_is_the_same_object(device: str):
    x = gpunn.ones(3, device=device)
    for drop in (F.dropout, F.dropout1d):
        z = x if drop is F.dropout else x.reshape(1, 3)
        assert drop(z, 0.5, training=False) is z
        assert drop(z, 0.0) is z
        assert drop(z, 0.5, False, True) is z


def test_p_of_one_gives_zeros(device: str):
    x = gpunn.tensor([1.0, float("inf"), float("nan")], device=device).requires_grad_()
    y = F.dropout(x, 1)
    assert y.tolist() == [0, 0, 0]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 0, 0]
    assert F.dropout(gpunn.tensor([1, 2]), 1.0).tolist() == [0, 0]


@pytest.mark.parametrize("p", [1.5, -0.1])
def test_p_out_of_range(p: float):
    same(lambda lib: lib.nn.functional.dropout(lib.ones(2), p))
    same(lambda lib: lib.nn.functional.dropout2d(lib.ones(2, 2, 2, 2), p))
    same(lambda lib: lib.nn.functional.alpha_dropout(lib.ones(2), p))
    same(lambda lib: lib.nn.Dropout(p))


def test_integers_are_refused():
    with pytest.raises(RuntimeError, match="can't be cast to the desired output type Long"):
        F.dropout(gpunn.tensor([1, 2]), 0.5)


def test_empty_draws_nothing():
    before = default_generator.get_state()
    x = gpunn.ones(0, 3)
    assert F.dropout(x) is x
    assert default_generator.get_state().equal(before)


def test_the_seed_reproduces(device: str):
    x = gpunn.ones(50, 7, device=device)
    gpunn.manual_seed(3)
    first, second = F.dropout(x), F.dropout(x)
    gpunn.manual_seed(3)
    assert F.dropout(x).equal(first)
    assert F.dropout(x).equal(second)
    assert not first.equal(second)


def test_the_words_of_the_stream_decide(device: str):
    """Element i is kept where 32-bit word i of Philox is not below p 2³²."""
    gpunn.manual_seed(5)
    x = gpunn.ones(3, 11, device=device)
    y = to_numpy(F.dropout(x, 0.3))
    z = to_numpy(F.dropout(x, 0.3))  # begins at the next block
    words = np.random.Philox(key=5, counter=0).random_raw(40).view("u4") >= round(0.3 * 2**32)
    assert ((y != 0) == words[:33].reshape(3, 11)).all()
    assert ((z != 0) == words[40:73].reshape(3, 11)).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (65536,), (3, 65537)], ids=str)
def test_tiles_give_the_reference(shape: tuple[int, ...], dtype: str):
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    for layout in (x, x.T):
        got = type2backend[np.ndarray].dropout(layout, 7, 2, 0.3, layout.ndim, 1.25)
        expected = np.asarray(Backend(np).dropout(layout, 7, 2, 0.3, layout.ndim, 1.25))
        compare(got, expected, "dropout by tiles", 0, 0)


def test_gradient_has_the_same_mask(device: str):
    x = gpunn.rand(40, 50, device=device).requires_grad_()
    y = F.dropout(x, 0.3)
    y.backward(x.detach())
    assert x.grad is not None
    assert x.grad.equal(y)


def test_nothing_is_stored():
    y = F.dropout(gpunn.ones(10, requires_grad=True))
    assert y.grad_fn is not None
    assert y.grad_fn.saved_tensors == ()


@pytest.mark.parametrize("name", ["dropout", "dropout2d", "alpha_dropout", "feature_alpha_dropout"])
def test_gradients(name: str):
    def function(x: Any) -> Any:
        gpunn.manual_seed(1)
        return getattr(F, name)(x * x, 0.4, True)

    x = gpunn.rand(2, 3, 2, 2, dtype=gpunn.float64).requires_grad_()
    assert gradcheck(function, x)
    assert gradgradcheck(function, x)


def test_in_place():
    x = gpunn.ones(4, 30, requires_grad=True)
    y = x * 1
    assert F.dropout(y, 0.5, inplace=True) is y
    assert set(np.unique(to_numpy(y))) == {0, 2}
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.equal(y)


@pytest.mark.parametrize(("name", "batched", "single"), [
    ("dropout1d", (9, 8, 5), (72, 5)),
    ("dropout2d", (9, 8, 5, 3), (72, 5, 3)),
    ("dropout3d", (9, 8, 5, 3, 2), (72, 5, 3, 2)),
])  # fmt: skip
def test_channels_are_dropped_whole(name: str, batched: Any, single: Any, device: str):
    for shape in (batched, single):  # the latter is (C, ...), without a batch
        y = to_numpy(getattr(F, name)(gpunn.ones(shape, device=device), 0.5))
        rows = y.reshape(72, -1)
        assert (rows == rows[:, :1]).all()
        assert set(np.unique(rows)) == {0, 2}


def test_dropout1d_refuses_other_ranks():
    for ndim in (1, 4):
        with pytest.raises(RuntimeError, match=f"dropout1d: Expected .* received a {ndim}D input"):
            F.dropout1d(gpunn.ones((2,) * ndim))
    same(lambda lib: lib.nn.functional.dropout1d(lib.ones(2, 2, 2, 2)))


@pytest.mark.parametrize(
    ("name", "shape", "dims"), [("dropout2d", (6, 8), 2), ("dropout3d", (48, 3), 1)]
)
def test_channel_dropout_of_other_ranks_warns(name: str, shape: tuple[int, int], dims: int):
    x = gpunn.ones(shape)
    with pytest.warns(UserWarning, match=f"{name}: Received a 2-D input to {name}, which is depr"):
        y = getattr(F, name)(x).numpy().reshape(48, -1)
    assert set(np.unique(y)) == {0, 2}
    assert (y == y[:, :1]).all(), f"{name} of {dims} leading dimensions"


# Alpha dropout ------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_alpha_dropout_gives_pytorchs_numbers(p: float, device: str):
    """The masks differ; what becomes of kept and dropped elements does not."""
    torch = pytest.importorskip("torch")
    x = np.full(1000, 0.75, "f4")
    expected = np.unique(torch.nn.functional.alpha_dropout(torch.tensor(x), p, True).numpy())
    got = np.unique(to_numpy(F.alpha_dropout(gpunn.tensor(x, device=device), p, True)))
    compare(got, expected, "alpha_dropout", 1e-6, 1e-6)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_alpha_dropout_keeps_mean_and_variance(p: float):
    x = gpunn.randn(400_000, dtype=gpunn.float64)
    y = F.alpha_dropout(x, p, training=True)
    assert abs(y.mean().item()) < 0.01
    assert abs(y.var().item() - 1) < 0.02


def test_alpha_dropout_drops_what_dropout_drops(device: str):
    x = gpunn.full((40, 50), 3.0, device=device)
    gpunn.manual_seed(3)
    dropped = to_numpy(F.dropout(x, 0.3)) == 0
    gpunn.manual_seed(3)
    y = to_numpy(F.alpha_dropout(x, 0.3, training=True))
    assert ((y < 0) == dropped).all()


def test_alpha_dropout_backward_has_the_same_mask(device: str):
    x = gpunn.full((40, 50), 3.0, device=device).requires_grad_()
    y = F.alpha_dropout(x, 0.3, training=True)
    y.sum().backward()
    assert x.grad is not None
    slopes = to_numpy(x.grad)
    assert ((slopes == 0) == (to_numpy(y) < 0)).all()
    assert len(np.unique(slopes)) == 2


def test_feature_alpha_dropout_drops_whole_channels(device: str):
    for shape in ((9, 8, 5), (9, 8, 5, 3), (9, 8)):
        x = gpunn.ones(shape, device=device)
        rows = to_numpy(F.feature_alpha_dropout(x, 0.5, True)).reshape(72, -1)
        assert (rows == rows[:, :1]).all()
        assert len(np.unique(rows)) == 2


@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout"])
def test_alpha_dropout_does_nothing_unless_told(name: str):
    drop, x = getattr(F, name), gpunn.ones(3, 4)
    assert drop(x) is x
    assert drop(x, 0.0, training=True) is x
    assert drop(x, 1.0, training=True).tolist() == [[0.0] * 4] * 3
    assert drop(x, 0.5, training=True, inplace=True) is x
    assert (to_numpy(x) != 1).all()


def test_alpha_dropout_refuses_what_pytorch_refuses():
    same(lambda lib: lib.nn.functional.feature_alpha_dropout(lib.ones(3), 0.5, True))
    same(lambda lib: lib.nn.functional.feature_alpha_dropout(lib.ones(3), 0.5, False))
    with pytest.raises(RuntimeError, match="can't be cast to the desired output type Long"):
        F.alpha_dropout(gpunn.tensor([1, 2]), 0.5, training=True)
