"""Losses over numbers and probabilities against PyTorch's, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checks import check_op
from numpy.typing import NDArray
from parity import same

import gpunn
import gpunn.functional as F

Array = NDArray[Any]
rng = np.random.default_rng(11)


def numbers(*shape: int) -> Array:
    return np.asarray(2 * rng.standard_normal(shape), "f4")


def probabilities(*shape: int) -> Array:
    """Away from 0 and 1, so that differences stay inside."""
    return (0.1 + 0.8 * rng.random(shape)).astype("f4")


def log_probabilities(*shape: int) -> Array:
    x = rng.standard_normal(shape).astype("f4")
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def named(name: str, options: dict[str, Any], *keywords: str) -> Callable[..., Any]:
    """Our function of the name, its arguments beyond the second by keyword."""

    def function(x: Any, target: Any, *rest: Any) -> Any:
        return getattr(F, name)(x, target, **options, **dict(zip(keywords, rest, strict=True)))

    function.__name__ = name
    return function


def oracle(name: str, options: dict[str, Any], *keywords: str) -> Callable[..., Any]:
    """PyTorch's, in double precision, rounded."""
    torch = pytest.importorskip("torch")

    def function(x: Array, target: Array, *rest: Array) -> Any:
        a, b, *more = (torch.tensor(v.astype("f8")) for v in (x, target, *rest))
        loss = getattr(torch.nn.functional, name)(
            a, b, **options, **dict(zip(keywords, more, strict=True))
        )
        return loss.numpy().astype("f4")

    return function


def check(name: str, options: dict[str, Any], inputs: list[Array], *keywords: str, **k: Any):
    function, expected = named(name, options, *keywords), oracle(name, options, *keywords)
    check_op(function, inputs, expected, **k)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("shape", [(), (4, 3), (2, 1, 3)], ids=str)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mse_loss", {}),
        ("l1_loss", {}),
        ("smooth_l1_loss", {}),
        ("smooth_l1_loss", {"beta": 0.3}),
        ("smooth_l1_loss", {"beta": 0.0}),
        ("huber_loss", {}),
        ("huber_loss", {"delta": 0.3}),
    ],
)
def test_numbers(name: str, options: dict[str, Any], shape: tuple[int, ...], reduction: str):
    check(name, {**options, "reduction": reduction}, [numbers(*shape), numbers(*shape)])


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weighted_numbers(name: str, reduction: str):
    inputs = [numbers(4, 3), numbers(4, 3), probabilities(4, 3)]
    check(name, {"reduction": reduction}, inputs, "weight", double_grad=False)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_numbers_broadcast_with_a_warning(name: str):
    torch = pytest.importorskip("torch")
    x, target = numbers(4, 3), numbers(4, 1)
    with pytest.warns(
        UserWarning, match=r"Using a target size \(gpunn.Size\(\[4, 1\]\)\) that is "
    ):
        loss = getattr(F, name)(gpunn.tensor(x), gpunn.tensor(target))
    with pytest.warns(
        UserWarning, match=r"Using a target size \(torch.Size\(\[4, 1\]\)\) that is "
    ):
        expected = getattr(torch.nn.functional, name)(torch.tensor(x), torch.tensor(target))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_gradients_of_broadcast_numbers(name: str):
    a = gpunn.tensor(numbers(4, 3).astype("f8"), requires_grad=True)
    b = gpunn.tensor(numbers(4, 1).astype("f8"), requires_grad=True)
    with pytest.warns(UserWarning, match="Using a target size"):
        gpunn.autograd.gradcheck(getattr(F, name), (a, b))


def test_mse_of_nothing_is_nan():
    x = gpunn.zeros(0, 3, requires_grad=True)
    loss = F.mse_loss(x, gpunn.zeros(0, 3))
    assert math.isnan(loss.item())
    loss.backward()
    assert x.grad is not None
    assert x.grad.shape == (0, 3)
    assert F.mse_loss(x, gpunn.zeros(0, 3), reduction="sum").item() == 0


def test_mse_of_two_precisions_promotes():
    x = gpunn.tensor(numbers(4), requires_grad=True)
    loss = F.mse_loss(x, gpunn.tensor(numbers(4)).double())
    assert loss.dtype is gpunn.float64
    loss.backward()
    assert x.grad is not None
    assert x.grad.dtype is gpunn.float32


def test_mse_adds_half_precision_in_single():
    x = gpunn.full((5000,), 2.0, dtype=gpunn.float16)
    assert F.mse_loss(x, x * 0).item() == 4
    assert F.mse_loss(x, x * 0, reduction="sum").item() == 20000


def test_equal_numbers_have_no_gradient():
    x = gpunn.tensor([1.0, -2.0], requires_grad=True)
    for name in ("l1_loss", "smooth_l1_loss", "huber_loss", "mse_loss"):
        x.grad = None
        getattr(F, name)(x, x.detach()).backward()
        assert x.grad.tolist() == [0, 0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["smooth_l1_loss", "huber_loss"])
def test_the_second_derivative_is_one_within_the_bound_also_at_zero(name: str):
    def second(lib: Any) -> Any:
        x = lib.tensor([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0], requires_grad=True)
        loss = getattr(lib.nn.functional, name)(x, lib.zeros(7), reduction="sum")
        (dx,) = lib.autograd.grad(loss, x, create_graph=True)
        return lib.autograd.grad(dx.sum(), x)

    same(second)


def test_kl_div_over_the_batch_of_a_single_number_is_a_sum():
    x, target = np.asarray(0.5, "f4"), probabilities(4)
    same(
        lambda lib: (
            lib.nn.functional.kl_div(lib.tensor(x), lib.tensor(target), reduction="batchmean").shape
        )
    )


def test_smooth_l1_and_huber_differ_by_the_factor():
    x, target = gpunn.tensor(numbers(40)), gpunn.tensor(numbers(40))
    smooth = F.smooth_l1_loss(x, target, reduction="none", beta=0.7)
    huber = F.huber_loss(x, target, reduction="none", delta=0.7)
    assert gpunn.allclose(smooth * 0.7, huber)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_binary_cross_entropy(reduction: str):
    options, inputs = {"reduction": reduction}, [probabilities(4, 3), probabilities(4, 3)]
    check("binary_cross_entropy", options, inputs)
    check("binary_cross_entropy", options, [*inputs, probabilities(3)], "weight", grad=False)


def test_binary_cross_entropy_is_finite_at_the_ends():
    """The logarithms are cut at -100; the gradient divides by 1e-12 at least."""
    torch = pytest.importorskip("torch")
    x, target = np.array([0, 1, 0.5, 0, 1], "f4"), np.array([1, 0, 1, 0, 1], "f4")
    a, b = gpunn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    loss = F.binary_cross_entropy(a, gpunn.tensor(target), reduction="none")
    assert loss.tolist() == pytest.approx([100, 100, math.log(2), 0, 0])
    loss.sum().backward()
    torch.nn.functional.binary_cross_entropy(b, torch.tensor(target), reduction="sum").backward()
    assert a.grad is not None
    assert a.grad.tolist() == pytest.approx(b.grad.tolist())


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_binary_cross_entropy_with_logits(reduction: str):
    name, options = "binary_cross_entropy_with_logits", {"reduction": reduction}
    inputs = [numbers(4, 3), probabilities(4, 3)]
    check(name, options, inputs)
    check(name, options, [*inputs, probabilities(3)], "pos_weight", grad=False)
    check(name, options, [*inputs, probabilities(4, 1)], "weight", grad=False)
    more = [*inputs, probabilities(3), 2 + probabilities(3)]
    check(name, options, more, "weight", "pos_weight", grad=False)


def test_logits_do_not_overflow():
    x = gpunn.tensor([1e4, -1e4, 1e4, -1e4], requires_grad=True)
    target = gpunn.tensor([1.0, 0.0, 0.0, 1.0])
    loss = F.binary_cross_entropy_with_logits(x, target, reduction="none")
    assert loss.tolist() == [0, 0, 1e4, 1e4]
    loss.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 0, 1, -1]


@pytest.mark.parametrize("reduction", ["none", "sum", "batchmean"])
def test_kl_div(reduction: str):
    x, y = log_probabilities(4, 3), log_probabilities(4, 3)
    check("kl_div", {"reduction": reduction}, [x, np.exp(y)])
    check("kl_div", {"reduction": reduction, "log_target": True}, [x, y])


def test_kl_div_mean_divides_by_all_elements():
    x, y = gpunn.tensor(log_probabilities(4, 3)), gpunn.tensor(log_probabilities(4, 3))
    with pytest.warns(UserWarning, match="'batchmean' divides only by the batch size"):
        mean = F.kl_div(x, y.exp())
    total = F.kl_div(x, y.exp(), reduction="sum").item()
    assert mean.item() == pytest.approx(total / 12)
    assert F.kl_div(x, y.exp(), reduction="batchmean").item() == pytest.approx(total / 4)


def test_kl_div_of_probability_zero_is_zero():
    x, target = gpunn.tensor([-1.0, -2.0], requires_grad=True), gpunn.tensor([0.0, 1.0])
    loss = F.kl_div(x, target, reduction="none")
    assert loss.tolist() == [0, 2]
    loss.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, -1]


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "binary_cross_entropy_with_logits"])
def test_old_arguments(name: str):
    x, target = gpunn.tensor(numbers(4, 3)), gpunn.tensor(probabilities(4, 3))
    with pytest.warns(UserWarning, match="please use reduction='sum' instead"):
        loss = getattr(F, name)(x, target, size_average=False)
    assert loss.item() == getattr(F, name)(x, target, reduction="sum").item()


X, P = gpunn.zeros(4, 3), gpunn.full((4, 3), 0.5)
ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: F.binary_cross_entropy_with_logits(X, gpunn.zeros(3)), ValueError,
     "Target size (gpunn.Size([3])) must be the same as input size (gpunn.Size([4, 3]))"),
    (lambda: F.binary_cross_entropy(P, gpunn.zeros(3)), ValueError,
     "Using a target size (gpunn.Size([3])) that is different to the input size"),
    (lambda: F.binary_cross_entropy(P + 1, P), RuntimeError,
     "all elements of input should be between 0 and 1"),
    (lambda: F.binary_cross_entropy(P * math.nan, P), RuntimeError,
     "all elements of input should be between 0 and 1"),
    (lambda: F.binary_cross_entropy(P, P - 1), RuntimeError,
     "all elements of target should be between 0 and 1"),
    (lambda: F.binary_cross_entropy(P, P.double()), RuntimeError,
     "Found dtype Double but expected Float"),
    (lambda: F.smooth_l1_loss(X, X, beta=-1), RuntimeError,
     "smooth_l1_loss does not support negative values for beta."),
    (lambda: F.huber_loss(X, X, delta=0), RuntimeError,
     "huber_loss does not support non-positive values for delta."),
    (lambda: F.mse_loss(X, X, weight=gpunn.ones(3)), ValueError,
     "Weights and input must have the same size."),
    (lambda: F.mse_loss(X, X, reduction="batchmean"), ValueError,
     "batchmean is not a valid value for reduction"),
    (lambda: F.kl_div(X, X, reduction="average"), ValueError,
     "average is not a valid value for reduction"),
    (lambda: F.mse_loss(X.long(), X.long()), NotImplementedError,
     "\"mse_cpu\" not implemented for 'Long'"),
    (lambda: F.mse_loss(X.bool(), X.bool()), NotImplementedError,
     "\"mse_cpu\" not implemented for 'Bool'"),
    (lambda: F.l1_loss(X.long(), X.long()), RuntimeError,
     "mean(): could not infer output dtype."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS)
def test_refuses(call: Callable[[], Any], kind: type[Exception], text: str):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value).startswith(text)


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_refuses_shapes_that_do_not_broadcast(name: str):
    with pytest.raises(RuntimeError, match=r"The size of tensor a \(3\) must match .* b \(2\)"):
        getattr(F, name)(gpunn.zeros(3), gpunn.zeros(2))


NAMES = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "huber_loss",
    "kl_div", "l1_loss", "mse_loss", "nll_loss", "smooth_l1_loss",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_refuses_what_is_no_tensor(name: str):
    loss = getattr(F, name)
    with pytest.raises(
        TypeError, match=r"argument 'input' .* must be Tensor, not numpy.ndarray; gpunn.as_tensor"
    ):
        loss(np.zeros((2, 3)), gpunn.zeros(2, 3))
    with pytest.raises(TypeError, match=r"argument 'target' .* must be Tensor, not list"):
        loss(gpunn.zeros(2, 3), [0, 1])
