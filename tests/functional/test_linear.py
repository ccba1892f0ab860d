"""linear, embedding and one_hot against NumPy and PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import check_op, compare, to_numpy
from parity import same

import gpunn
import gpunn.functional as F

RNG = np.random.default_rng(0)


def draw(*shape: int, dtype: str = "f4") -> Any:
    return RNG.normal(size=shape).astype(dtype)


# linear -------------------------------------------------------------------------------------


@pytest.mark.parametrize("lead", [(), (1,), (4,), (2, 3), (2, 1, 3), (0,), (2, 0)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_linear(lead: tuple[int, ...], bias: bool):
    inputs = [draw(*lead, 5), draw(3, 5), *([draw(3)] if bias else [])]
    check_op(F.linear, inputs, lambda x, w, b=0: (x @ w.T + b).astype("f4"))


def test_linear_with_unusual_operands():
    check_op(F.linear, [draw(2, 3, 5), draw(5)], lambda x, w: x @ w)
    check_op(F.linear, [draw(5), draw(5), draw()], lambda x, w, b: x @ w + b)
    check_op(F.linear, [draw(2, 5), draw(3, 5), draw(1)], lambda x, w, b: x @ w.T + b)
    check_op(F.linear, [draw(2, 5), draw(3, 5), draw(2, 3)], lambda x, w, b: x @ w.T + b)
    check_op(F.linear, [draw(2, 0), draw(3, 0), draw(3)], lambda x, w, b: x @ w.T + b, grad=False)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_linear_as_pytorch_in_every_dtype(dtype: str):
    torch = pytest.importorskip("torch")
    arrays = [draw(6, 40, dtype=dtype), draw(7, 40, dtype=dtype), draw(7, dtype=dtype)]
    a = [gpunn.tensor(x, requires_grad=True) for x in arrays]
    b = [torch.tensor(x, requires_grad=True) for x in arrays]
    y, z = F.linear(*a), torch.nn.functional.linear(*b)
    y.backward(gpunn.ones_like(y))
    z.backward(torch.ones_like(z))
    tolerance = {"float16": 4e-3, "float32": 1e-5, "float64": 1e-12}[dtype]
    compare(to_numpy(y), to_numpy(z), "linear", tolerance, tolerance)
    for name, p, q in zip("xwb", a, b, strict=True):
        compare(to_numpy(p.grad), to_numpy(q.grad), f"d{name}", tolerance, tolerance)


@pytest.mark.parametrize(
    ("x", "w", "b", "text"),
    [
        ((2, 3), (5, 4), (5,), "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
        ((2, 3, 3), (5, 4), (5,), "mat1 and mat2 shapes cannot be multiplied (6x3 and 4x5)"),
        ((3,), (5, 4), (5,), "mat1 and mat2 shapes cannot be multiplied (1x3 and 4x5)"),
        (
            (),
            (5, 4),
            (5,),
            "both arguments to linear need to be at least 1D, but they are 0D and 2D",
        ),
        ((2, 3), (2, 5, 3), (5,), "t() expects a tensor with <= 2 dimensions, but self is 3D"),
        (
            (2, 3),
            (5, 3),
            (4,),
            "The expanded size of the tensor (5) must match the existing size (4)",
        ),
    ],
)
def test_linear_refuses_shapes(x: Any, w: Any, b: Any, text: str):
    with pytest.raises(RuntimeError) as caught:
        F.linear(gpunn.ones(x), gpunn.ones(w), gpunn.ones(b))
    assert str(caught.value).startswith(text)


def test_linear_refuses_two_dtypes():
    x, w, b = gpunn.ones(2, 3), gpunn.ones(5, 3), gpunn.ones(5)
    with pytest.raises(
        RuntimeError, match=r"^expected m1 and m2 .* got: float != double \(linear:"
    ):
        F.linear(x, w.double())
    with pytest.raises(RuntimeError, match=r"^mat1 and mat2 .* got Float and Double \(linear:"):
        F.linear(x, w.double(), b)
    with pytest.raises(RuntimeError, match=r"^self and mat2 .* got Double and Float \(linear:"):
        F.linear(x, w, b.double())


def test_linear_computes_only_what_is_asked_for():
    x = gpunn.ones(2, 3)
    w, b = gpunn.ones(4, 3), gpunn.ones(4, requires_grad=True)
    F.linear(x, w, b).sum().backward()
    assert b.grad is not None
    assert b.grad.tolist() == [2] * 4
    assert x.grad is None
    assert w.grad is None


# embedding ----------------------------------------------------------------------------------

INDEX = np.array([[1, 0, 3], [1, 1, 2]])


def test_embedding():
    check_op(
        lambda w: F.embedding(gpunn.tensor(INDEX, device=w.device), w),
        [draw(4, 3)],
        lambda w: w[INDEX],
    )


@pytest.mark.parametrize("index", [np.array(2), np.zeros((0, 2), "i8"), INDEX.astype("i4")])
def test_embedding_shapes(index: Any, device: str):
    w = draw(4, 3)
    y = F.embedding(gpunn.tensor(index, device=device), gpunn.tensor(w, device=device))
    compare(to_numpy(y), w[index], "embedding")


@pytest.mark.parametrize("keywords", [
    {"padding_idx": 1}, {"padding_idx": -1}, {"scale_grad_by_freq": True},
    {"padding_idx": 1, "scale_grad_by_freq": True}, {"max_norm": 1.0},
    {"max_norm": 0.5, "norm_type": 1.0},
], ids=str)  # fmt: skip
def test_embedding_arguments_as_pytorch(keywords: dict[str, Any]):
    torch = pytest.importorskip("torch")
    w, dy = draw(4, 3), draw(2, 3, 3)
    a, b = gpunn.tensor(w, requires_grad=True), torch.tensor(w, requires_grad=True)
    y = F.embedding(gpunn.tensor(INDEX), a, **keywords)
    z = torch.nn.functional.embedding(torch.tensor(INDEX), b, **keywords)
    y.backward(gpunn.tensor(dy))
    z.backward(torch.tensor(dy))
    compare(to_numpy(y), to_numpy(z), "embedding")
    compare(to_numpy(a), to_numpy(b), "weight afterwards")
    compare(to_numpy(a.grad), to_numpy(b.grad), "gradient")


def test_embedding_gradients_of_padding():
    w = gpunn.tensor(draw(4, 3, dtype="f8"), requires_grad=True)
    y = F.embedding(gpunn.tensor(INDEX), w, padding_idx=1)
    (dw,) = gpunn.autograd.grad(y.square().sum(), w, create_graph=True)
    assert dw[1].tolist() == [0, 0, 0]
    (second,) = gpunn.autograd.grad(dw.sum(), w)
    assert second.tolist() == [[2] * 3, [0] * 3, [2] * 3, [2] * 3]


@pytest.mark.parametrize("wrong", [4, -1])
def test_embedding_names_the_index_that_is_out_of_range(wrong: int, device: str):
    index = gpunn.tensor([0, wrong, 9], device=device)
    with pytest.raises(IndexError, match=f"^index out of range in self: .*{wrong}, expected 0 <="):
        F.embedding(index, gpunn.ones(4, 3, device=device)).cpu()


def test_embedding_refuses():
    index, weight = gpunn.tensor([1]), gpunn.ones(3, 2)
    with pytest.raises(RuntimeError, match=r"got gpunn\.FloatTensor instead"):
        F.embedding(gpunn.tensor([1.0]), weight)
    with pytest.raises(RuntimeError, match="'weight' must be 2-D"):
        F.embedding(index, gpunn.ones(3))
    for padding in (3, -4):
        with pytest.raises(AssertionError, match="Padding_idx must be within num_embeddings"):
            F.embedding(index, weight, padding_idx=padding)
    with pytest.raises(NotImplementedError, match="sparse"):
        F.embedding(index, weight, sparse=True)


# one_hot ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0,)], ids=str)
def test_one_hot(shape: tuple[int, ...], device: str):
    classes = RNG.integers(0, 4, shape)
    y = F.one_hot(gpunn.tensor(classes, device=device), 4)
    assert y.dtype is gpunn.int64
    compare(to_numpy(y), np.eye(4, dtype="i8")[classes], "one_hot")


def test_one_hot_counts_the_classes():
    same(lambda lib: lib.nn.functional.one_hot(lib.tensor([[0, 4], [2, 1]])))


@pytest.mark.parametrize(("classes", "n", "text"), [
    ([-1], -1, "Class values must be non-negative."),
    ([3], 2, "Class values must be smaller than num_classes."),
    ([1], -2, "Class values must be smaller than num_classes."),
    ([1.0], -1, "one_hot is only applicable to index tensor of type LongTensor."),
], ids=str)  # fmt: skip
def test_one_hot_refuses(classes: list[Any], n: int, text: str):
    with pytest.raises(RuntimeError) as caught:
        F.one_hot(gpunn.tensor(classes), n)
    assert str(caught.value).startswith(text)


def test_one_hot_of_nothing():
    with pytest.raises(RuntimeError, match="Can not infer total number of classes from empty"):
        F.one_hot(gpunn.zeros(0, dtype=gpunn.int64))


# All three ----------------------------------------------------------------------------------


def test_refuse_what_is_no_tensor():
    weight = gpunn.ones(2, 3)
    with pytest.raises(TypeError, match=r"linear\(\): argument 'input' .* not numpy.ndarray"):
        F.linear(draw(2, 3), weight)
    with pytest.raises(TypeError, match=r"embedding\(\): argument 'input' .* Tensor, not list"):
        F.embedding([0, 1], weight)
    with pytest.raises(TypeError, match=r"one_hot\(\): argument 'tensor' .* Tensor, not list"):
        F.one_hot([0, 1])
