"""What is no tensor where one is needed: TypeErrors, in PyTorch's words, that name the argument."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import gpunn

Misuse = Callable[[Any, Any], Any]  # of a library and a tensor of its
WRONG: dict[str, Misuse] = {
    "mm(): argument 'mat2' (position": lambda t, x: x.mm(1),
    "dot(): argument": lambda t, x: x[0].dot(2.0),
    "equal(): argument 'other' (position": lambda t, x: x.equal([1]),
    "addmm(): argument 'mat1' (position": lambda t, x: x.addmm(1, x),
    "take(): argument 'index' (position": lambda t, x: x.take(1),
    "type_as(): argument 'other' (position": lambda t, x: x.type_as(1),
    "view_as(): argument 'other' (position": lambda t, x: x.view_as((3, 3)),
    "masked_fill(": lambda t, x: x.masked_fill(1, 2),
    "where(": lambda t, x: t.where(1, x, x),
    "copy_(): argument": lambda t, x: x.copy_("a"),
    "linear(): argument 'bias' (position 3) must be Tensor, not int": lambda t, x: (
        t.nn.functional.linear(x, x, 1)
    ),
    "transpose(": lambda t, x: t.transpose(1, 0, 1),
    "flatten(): argument 'input' (position 1) must be Tensor, not list": lambda t, x: t.flatten(
        [1.0]
    ),
    "diag_embed(): argument 'input' (position 1) must be Tensor, not NoneType": lambda t, x: (
        t.diag_embed(None)
    ),
    "addcmul(): argument 'tensor2' (position 3) must be Tensor, not int": lambda t, x: t.addcmul(
        x, x, 1
    ),
    "expected Tensor as element 1 in argument 0, but got int": lambda t, x: t.cat([x, 1]),
    "meshgrid(": lambda t, x: t.meshgrid(x[0], 1, indexing="ij"),
    "einsum(": lambda t, x: t.einsum("ij->i", 3),
    "repeat_interleave(": lambda t, x: x.repeat_interleave(1.5),
    "softmax(": lambda t, x: x.softmax(0, x),
    "matrix_power(": lambda t, x: x.matrix_power(1.5),
}


@pytest.mark.parametrize("misuse", WRONG.values(), ids=list(WRONG))
def test_kind(misuse: Misuse):
    torch: Any = pytest.importorskip("torch")
    for lib in (gpunn, torch):
        with pytest.raises(TypeError):
            misuse(lib, lib.ones(3, 3))


OURS = [text for text in WRONG if text not in ("meshgrid(", "einsum(", "softmax(", "matrix_power(")]


@pytest.mark.parametrize("text", OURS)
def test_sentence(text: str):
    with pytest.raises(TypeError) as caught:
        WRONG[text](gpunn, gpunn.ones(3, 3))
    assert str(caught.value).startswith(text)


def test_an_attribute_error_of_gpunn_or_of_a_users_own_stays_one():
    class Odd(gpunn.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.nothing_of_the_kind

    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        Odd.apply(gpunn.ones(2))
    with pytest.raises(AttributeError, match="nothing"):
        gpunn.mm(gpunn.ones(2, 2), gpunn.ones(2, 2)).nothing  # noqa: B018


def test_a_number_may_be_copied():
    assert gpunn.zeros(2).copy_(3).tolist() == [3, 3]


def test_functions_are_pickled_by_where_they_are_found():
    for space in (gpunn, gpunn.nn.functional, gpunn.linalg, gpunn.special):
        functions = [getattr(space, name) for name in space.__all__]
        for function in filter(inspect.isfunction, functions):
            assert pickle.loads(pickle.dumps(function)) is function
