"""cross_entropy and nll_loss against PyTorch's, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checks import check_op, compare, to_numpy
from numpy.typing import NDArray

import gpunn
import gpunn.functional as F

Array = NDArray[Any]
SHAPES = [(3,), (4, 3), (2, 3, 5), (2, 3, 2, 4), (2, 3, 2, 1, 3)]
rng = np.random.default_rng(7)


def logits(shape: tuple[int, ...], dtype: str = "f4") -> Array:
    return (2 * rng.standard_normal(shape)).astype(dtype)


def classes(shape: tuple[int, ...], ignore: int | None = None) -> Array:
    """Targets for logits of ``shape``; the second and the last are ignored."""
    target = np.asarray(rng.integers(0, 3, shape[:1] + shape[2:] if len(shape) > 1 else ()))
    if ignore is not None and target.size > 1:
        target.flat[1] = target.flat[-1] = ignore
    return target


def probabilities(shape: tuple[int, ...]) -> Array:
    p = rng.random(shape).astype("f4")
    return p / p.sum(1 if len(shape) > 1 else 0, keepdims=True)


def constant(weight: Array | None, like: Any) -> Any:
    """Weights as an argument that has no gradient, as in PyTorch."""
    return None if weight is None else gpunn.tensor(weight, dtype=like.dtype, device=like.device)


def oracle(name: str, **options: Any) -> Callable[..., Any]:
    """PyTorch's function of arrays, in double precision, rounded to the first one's dtype."""
    torch = pytest.importorskip("torch")

    def function(x: Array, target: Array, weight: Array | None = None) -> Any:
        wide = [
            torch.tensor(a.astype("f8") if a.dtype.kind == "f" else a)
            for a in (x, target, weight)
            if a is not None
        ]
        loss = getattr(torch.nn.functional, name)(*wide, **options)
        return loss.numpy().astype(x.dtype)

    return function


def named(name: str, **options: Any) -> Callable[..., Any]:
    def function(*args: Any) -> Any:
        return getattr(F, name)(*args, **options)

    function.__name__ = name
    return function


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignore", [None, -100, 1])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_classes(
    name: str, shape: tuple[int, ...], reduction: str, ignore: int | None, weighted: bool
):
    weight = np.array([0.5, 2, 1], "f4") if weighted else None
    options: dict[str, Any] = {"reduction": reduction}
    if ignore is not None:
        options["ignore_index"] = ignore
    target = classes(shape, ignore) if len(shape) > 1 else np.array(2)

    def function(x: Any, target: Any) -> Any:
        return getattr(F, name)(x, target, constant(weight, x), **options)

    def expected(x: Array, target: Array) -> Any:
        return oracle(name, **options)(x, target, weight)

    check_op(function, [logits(shape), target], expected, double_grad=len(shape) < 4)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("shape", SHAPES[:4], ids=str)
def test_label_smoothing(shape: tuple[int, ...], reduction: str, weighted: bool):
    weight = np.array([0.5, 2, 1], "f4") if weighted else None
    options: dict[str, Any] = {"reduction": reduction, "label_smoothing": 0.3}

    def function(x: Any, target: Any) -> Any:
        return F.cross_entropy(x, target, constant(weight, x), **options)

    def expected(x: Array, target: Array) -> Any:
        return oracle("cross_entropy", **options)(x, target, weight)

    for ignore in (None, -100):
        check_op(function, [logits(shape), classes(shape, ignore)], expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("shape", SHAPES[:4], ids=str)
def test_probabilities(shape: tuple[int, ...], reduction: str, smoothing: float):
    options: dict[str, Any] = {"reduction": reduction, "label_smoothing": smoothing}
    inputs = [logits(shape), probabilities(shape)]
    function, expected = named("cross_entropy", **options), oracle("cross_entropy", **options)
    check_op(function, inputs, expected)  # the gradient of the target, too
    weight = np.array([0.5, 2, 1], "f4")
    check_op(function, [*inputs, weight], expected, double_grad=False)


def test_a_weighted_mean_divides_by_the_weights_of_the_kept_targets():
    x, weight = logits((4, 3)), np.array([0.5, 2, 1], "f4")
    target = np.array([0, 1, -100, 2])
    log_p = x - np.log(np.exp(x).sum(1, keepdims=True))
    expected = -(0.5 * log_p[0, 0] + 2 * log_p[1, 1] + log_p[3, 2]) / 3.5
    got = F.cross_entropy(gpunn.tensor(x), gpunn.tensor(target), gpunn.tensor(weight))
    assert got.item() == pytest.approx(expected, rel=1e-6)


def test_the_mean_over_probabilities_ignores_the_weights():
    x, p, weight = logits((4, 3)), probabilities((4, 3)), np.array([0.5, 2, 1], "f4")
    log_p = x - np.log(np.exp(x).sum(1, keepdims=True))
    got = F.cross_entropy(*(gpunn.tensor(a) for a in (x, p, weight)))
    assert got.item() == pytest.approx(-(p * log_p * weight).sum() / 4, rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("size", [0, 4])
def test_no_target_kept(size: int, smoothing: float):
    """The mean of nothing is NaN, its sum 0, its gradient 0."""
    x = gpunn.zeros(size, 3, requires_grad=True)
    target = gpunn.full((size,), -100, dtype=gpunn.int64)
    options = {"label_smoothing": smoothing}
    assert math.isnan(F.cross_entropy(x, target, **options).item())
    assert F.cross_entropy(x, target, reduction="sum", **options).item() == 0
    assert F.cross_entropy(x, target, reduction="none", **options).tolist() == [0.0] * size
    if not smoothing:
        F.cross_entropy(x, target).backward()
        assert x.grad is not None
        assert x.grad.tolist() == [[0.0] * 3] * size


@pytest.mark.parametrize("shape", [(4, 3, 0), (0, 3, 2)])
def test_no_positions(shape: tuple[int, ...]):
    target = gpunn.zeros(shape[0], shape[2], dtype=gpunn.int64)
    assert math.isnan(F.cross_entropy(gpunn.zeros(*shape), target).item())
    assert F.cross_entropy(gpunn.zeros(*shape), target, reduction="sum").item() == 0
    assert math.isnan(F.cross_entropy(gpunn.zeros(0, 3), gpunn.zeros(0, 3)).item())


def test_bytes_are_classes_too():
    x = gpunn.tensor(logits((4, 3)))
    target = gpunn.tensor([0, 2, 1, 1])
    assert F.cross_entropy(x, target.byte()).item() == F.cross_entropy(x, target).item()


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_one_sample_with_a_target_of_one_dimension(name: str):
    x = gpunn.tensor(logits((3,)), requires_grad=True)
    loss = getattr(F, name)(x, gpunn.tensor([1]), reduction="none")
    assert loss.shape == ()
    loss.backward()
    assert loss.item() == getattr(F, name)(x, gpunn.tensor(1)).item()


def test_huge_and_infinite_logits():
    x = gpunn.tensor([[1e4, -1e4, 0.0], [-math.inf, 3.0, 1e30]])
    loss = F.cross_entropy(x, gpunn.tensor([1, 2]), reduction="none")
    assert loss.tolist() == [2e4, 0.0]
    assert F.cross_entropy(x, gpunn.tensor([0, 0]), reduction="none").tolist() == [0.0, math.inf]
    # An ignored sample counts nothing, be it infinite.
    assert F.cross_entropy(x, gpunn.tensor([1, -100])).item() == 2e4
    assert F.nll_loss(gpunn.tensor([[-math.inf, 0.0]]), gpunn.tensor([-100]), reduction="sum") == 0


def test_ignored_infinite_logits_have_no_gradient():
    x = gpunn.tensor([[-math.inf, 0.0], [1.0, 1.0]], requires_grad=True)
    F.nll_loss(x, gpunn.tensor([-100, 0])).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.0, 0.0], [-1.0, 0.0]]


def test_half_precision_adds_in_single():
    torch = pytest.importorskip("torch")
    x, target = logits((3000, 3), "f2"), rng.integers(0, 3, 3000)
    for reduction in ("sum", "mean"):
        a, b = gpunn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        got = F.cross_entropy(a, gpunn.tensor(target), reduction=reduction)
        expected = torch.nn.functional.cross_entropy(b, torch.tensor(target), reduction=reduction)
        compare(to_numpy(got), to_numpy(expected), reduction, rtol=2e-3)
        got.backward()
        expected.backward()
        compare(to_numpy(a.grad), to_numpy(b.grad), f"dx of {reduction}", rtol=1e-2, atol=1e-3)


def test_probabilities_in_another_precision_promote():
    x, p = gpunn.tensor(logits((4, 3))), gpunn.tensor(probabilities((4, 3)))
    assert F.cross_entropy(x, p.double()).dtype is gpunn.float64


def test_the_gradient_is_the_same_recorded_and_not():
    x = gpunn.tensor(logits((6, 4)), requires_grad=True)
    target = gpunn.tensor([0, 3, -100, 2, 1, 1])
    weight = gpunn.tensor([1.0, 0.0, 3.0, 0.5])
    loss = F.cross_entropy(x, target, weight)
    (plain,) = gpunn.autograd.grad(loss, x, retain_graph=True)
    (recorded,) = gpunn.autograd.grad(loss, x, create_graph=True)
    assert recorded.requires_grad
    assert not plain.requires_grad
    compare(to_numpy(plain), to_numpy(recorded), "dx", rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("old", "new"), [
    ({"size_average": False}, "sum"), ({"reduce": False}, "none"), ({"reduce": True}, "mean"),
    ({"size_average": True, "reduce": False}, "none"),
])  # fmt: skip
def test_old_arguments(old: dict[str, bool], new: str):
    x, target = gpunn.tensor(logits((4, 3))), gpunn.tensor([0, 1, 2, 0])
    with pytest.warns(UserWarning, match=f"please use reduction='{new}' instead"):
        loss = F.cross_entropy(x, target, **old)
    assert loss.tolist() == F.cross_entropy(x, target, reduction=new).tolist()


long, zeros = gpunn.int64, gpunn.zeros
X = zeros(4, 3)
ERRORS: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    ((X, gpunn.tensor([0, 1, 2])), {}, ValueError,
     "Expected input batch_size (4) to match target batch_size (3)."),
    ((X, gpunn.tensor(1)), {}, ValueError,
     "Expected input batch_size (4) to match target batch_size (0)."),
    ((X, gpunn.tensor([0, 1, 2, 3])), {}, IndexError, "Target 3 is out of bounds."),
    ((X, gpunn.tensor([0, 1, 2, -1])), {}, IndexError, "Target -1 is out of bounds."),
    ((zeros(3), gpunn.tensor(3)), {}, IndexError, "Target 3 is out of bounds."),
    ((zeros(2, 0), gpunn.tensor([0, 0])), {}, IndexError, "Target 0 is out of bounds."),
    ((X, gpunn.tensor([0, 1, 2, 0]).int()), {}, RuntimeError,
     "expected target dtype to be Long or Byte, but got Int"),
    ((X, gpunn.tensor([0.0, 1, 2, 0])), {}, RuntimeError,
     "expected target dtype to be Long or Byte, but got Float"),
    ((X, gpunn.tensor([True, False, True, True])), {}, RuntimeError,
     "expected target dtype to be Long or Byte, but got Bool"),
    ((X, zeros(4, 2)), {}, RuntimeError,
     "0D or 1D target tensor expected, multi-target not supported"),
    ((zeros(3), gpunn.tensor([1, 2])), {}, ValueError,
     "For 1D input, 1D target must have size 1, but got target size: 2"),
    ((zeros(2, 3, 4), zeros(2, 3, dtype=long)), {}, RuntimeError,
     "Expected target size [2, 4], got [2, 3]"),
    ((zeros(2, 3, 4), zeros(2, dtype=long)), {}, RuntimeError,
     "Expected target size [2, 4], got [2]"),
    ((zeros(2, 3, 4, 5, 6), zeros(2, 4, 5, 7, dtype=long)), {}, RuntimeError,
     "Expected target size [2, 4, 5, 6], got [2, 4, 5, 7]"),
    ((zeros(2, 3, 4, 5), zeros(2, 1, 4, 5, dtype=long)), {}, RuntimeError,
     "only batches of spatial targets supported (3D tensors) but got targets of dimension: 4"),
    ((zeros(2, 3, 4, 5), zeros(2, 4, 6, dtype=long)), {}, RuntimeError,
     "size mismatch (got input: [2, 3, 4, 5] , target: [2, 4, 6]"),
    ((X, gpunn.tensor([0, 1, 2, 0]), gpunn.ones(2)), {}, RuntimeError,
     "weight tensor should be defined either for all 3 classes or no classes but got weight tensor "
     "of shape: [2]"),
    ((X, gpunn.tensor([0, 1, 2, 0]), gpunn.ones(3).double()), {}, RuntimeError,
     "expected scalar type Float but found Double"),
    ((X, gpunn.tensor([0, 1, 2, 0]), gpunn.ones(3, requires_grad=True)), {}, RuntimeError,
     "The function 'nll_loss_forward' is not differentiable with respect to argument 'weight'."),
    ((X.long(), gpunn.tensor([0, 1, 2, 0])), {}, NotImplementedError,
     "\"nll_loss_cpu\" not implemented for 'Long'"),
    ((X, X, gpunn.ones(2)), {}, RuntimeError,
     "cross_entropy: weight tensor should be defined either for all 3 classes or no classes"),
    ((X, X), {"ignore_index": 0}, RuntimeError,
     "ignore_index is not supported for floating point target"),
    ((X, X.long()), {}, RuntimeError,
     "Expected floating point type for target with class probabilities, got Long"),
    ((X, X), {"reduction": "average"}, ValueError,
     "average is not a valid value for reduction"),
    ((X, X), {"label_smoothing": 1.5}, RuntimeError,
     "label_smoothing must be between 0.0 and 1.0. Got: 1.5"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "options", "kind", "text"), ERRORS)
def test_refuses(args: tuple[Any, ...], options: dict[str, Any], kind: type[Exception], text: str):
    with pytest.raises(kind) as error:
        F.cross_entropy(*args, **options)
    assert str(error.value).startswith(text)


def test_nll_loss_refuses_a_number():
    with pytest.raises(ValueError, match=r"Expected 1 or more dimensions \(got 0\)"):
        F.nll_loss(gpunn.tensor(1.0), gpunn.tensor(0))
