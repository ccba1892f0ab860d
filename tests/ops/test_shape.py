"""Shapes: views and copies against PyTorch, their gradients, their errors."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from checks import check_op, draw, same_as_torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from parity import same

import gpunn

INPUTS = [
    draw((2, 3, 4), "float32"), draw((), "float32"), draw((0, 3)), draw((3,), "int64"),
    draw((2, 1, 3), "bool"), draw((3, 3)),
]  # fmt: skip
SIZES = [
    (-1,), (6, -1), (2, 12), (24,), (5, -1), (-1, -1), (3,), (0,), (1,), (-2,), (0, -1), (3, 0),
    (2, 2, 2, 3), (3, 3, 1),
]  # fmt: skip
CALLS: dict[str, list[Any]] = {
    "reshape": [*SIZES, *((s,) for s in SIZES), ((),)],
    "view": [*SIZES, *((s,) for s in SIZES)],
    "permute": [(0, 1, 2), (2, 0, 1), (-1, 0, 1), (0, 0, 1), (0, 1), (3, 0, 1), (0,), ((1, 0),)],
    "transpose": list(itertools.product((0, 1, -1, 2, 3, -3), (0, -2, 1))),
    "squeeze": [(), (0,), (1,), (-1,), (2,), (3,), ((0, 1),), ((1, 2),), ((),)],
    "unsqueeze": [(0,), (1,), (-1,), (3,), (-4,), (4,), (-5,)],
    "flatten": [(), (0, -1), (1, 2), (0, 1), (1, 1), (2, 1), (-3, -2), (0, 5)],
    "t": [()],
    "ravel": [()],
    "split": list(itertools.product((1, 2, 5, 0, -1, (1, 1), (2, 1), (0, 3), (3,)), (0, -1))),
    "chunk": list(itertools.product((1, 2, 3, 5, 0, -1), (0, 1, -1, 3))),
    "unbind": [(0,), (1,), (-1,), (3,)],
    "flip": [((0,),), ((-1,),), ((0, 1),), ((0, 0),), ((3,),), ((),)],
    "repeat": [(2,), (2, 3), (1, 2, 3), (0, 1, 1), (2, 1, 1, 2)],
    "tile": [((2,),), ((2, 3),), ((1, 2, 3),), ((2, 1, 1, 2),)],
    "tril": [(-1,), (0,), (1,), (3,)],
    "triu": [(-1,), (0,), (1,), (3,)],
    "diagonal": [(0,), (1,), (-1,), (5,), (1, 0, -1), (1, 1, 1)],
    "narrow": [(0, 0, 1), (0, 1, 1), (1, -2, 2), (1, 2, 2), (0, 0, -1), (0, -5, 1), (3, 0, 1)],
    "select": [(0, 0), (0, -1), (1, 5), (3, 0), (-1, 2), (0, -4)],
    "movedim": [(0, 1), (0, -1), ((0, 1), (1, 0)), ((0, 1), (2,)), (3, 0), ((0, 0), (0, 1))],
    "sum_to_size": [(1, 3, 1), (3, 4), (4, 4), (2, 3, 4)],
    "broadcast_to": [((4, 2, 3, 4),), ((4, 3),)],
    "size": [(), (0,), (-1,), (3,)],
    "stride": [(), (0,), (3,)],
    "numel": [()],
    "dim": [()],
    "contiguous": [()],
    "is_contiguous": [()],
}


@pytest.mark.parametrize("name", CALLS)
def test_methods(name: str):
    pytest.importorskip("torch")
    for x in INPUTS:
        if not x.ndim and name in ("permute", "movedim", "unbind", "diagonal"):
            continue  # named otherwise, or differently from case to case
        for args in CALLS[name]:
            text = x.ndim > 1 and name != "permute" and x.dtype != bool
            same_as_torch(lambda t, x, a=args: getattr(x, name)(*a), x, text=text)


@pytest.mark.parametrize(
    "size",
    [(2, 3, 4), (5, 2, 3, 4), (-1, 3, 4), (2, -1, -1), (3,), (7, 3), (2, 2, 3), (1,), (4,), (0,)],
)
def test_expand(size: Any):
    pytest.importorskip("torch")
    for x in INPUTS:
        text = x.ndim > 0 and x.dtype != bool
        same_as_torch(lambda t, x: x.expand(*size), x, text=text)
        same_as_torch(lambda t, x, text=text: x.expand(size), x, text=text)


def test_roll():
    pytest.importorskip("torch")
    for shifts, dims in ((1, None), (1, 0), (-5, 1), ((1, 2), (0, 1)), ((1, 2), 0), (1, 7)):
        same_as_torch(lambda t, x, s=shifts, d=dims: x.roll(s, d), INPUTS[0])
        same_as_torch(lambda t, x, s=shifts, d=dims: t.roll(x, s, d), INPUTS[5])


def test_views_of_other_layouts():
    pytest.importorskip("torch")
    for size in SIZES:
        for a, b in ((0, 1), (1, 2), (0, 2)):
            same_as_torch(lambda t, x, a=a, b=b, s=size: x.transpose(a, b).view(s), INPUTS[0])
            same_as_torch(lambda t, x, a=a, b=b, s=size: x.transpose(a, b).reshape(s), INPUTS[0])


@pytest.mark.parametrize("dim", [0, 1, -1, 2, -3])
def test_joining(dim: int):
    pytest.importorskip("torch")
    shapes: list[Any] = [
        ((2, 3), (2, 3)), ((2, 3), (1, 3)), ((2, 3), (2, 1)), ((2, 3), (3,)), ((2, 3), (0,)),
        ((0,), (0,)), ((), ()), ((2, 3), ()), ((0, 3), (2, 3)), ((), (2,)), ((2,), ()),
    ]  # fmt: skip
    for a, b in shapes:
        for left, right in (("float32", "float32"), ("int32", "float16"), ("bool", "uint8")):
            x, y = draw(a, left), draw(b, right)
            same_as_torch(lambda t, x, y: t.cat([x, y], dim), x, y)
            same_as_torch(lambda t, x, y: t.stack((x, y), dim), x, y)


def test_joining_what_cannot_be_joined():
    pytest.importorskip("torch")
    same_as_torch(lambda t: t.cat([]))
    same_as_torch(lambda t: t.stack([]))
    same_as_torch(lambda t, x: t.cat([x, 1]), INPUTS[0])
    same_as_torch(lambda t, x: t.cat(x), INPUTS[0])


VIEWS: dict[str, Any] = {
    "reshape": (lambda x: x.reshape(6, 2), lambda a: a.reshape(6, 2)),
    "permute": (lambda x: x.permute(2, 0, 1), lambda a: a.transpose(2, 0, 1)),
    "expand": (lambda x: x.unsqueeze(1).expand(2, 3, 3, 2), None),
    "diagonal": (lambda x: x.diagonal(1, 1, 2), lambda a: a.diagonal(1, 1, 2)),
    "narrow": (lambda x: x.narrow(1, 1, 2), lambda a: a[:, 1:]),
    "select": (lambda x: x.select(-1, 1), lambda a: a[..., 1]),
    "squeeze": (lambda x: x[:1].squeeze(0), lambda a: a[0]),
    "T": (lambda x: x[0].T, lambda a: a[0].T),
    "mT": (lambda x: x.mT, lambda a: a.swapaxes(1, 2)),
    "unflatten": (lambda x: x.unflatten(1, (3, 1)), lambda a: a[:, :, None]),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_share_memory(name: str):
    view, _ = VIEWS[name]
    x = gpunn.zeros(2, 3, 2)
    with gpunn.no_grad():
        (view(x) if name != "expand" else view(x)[:, 0]).fill_(1)
    assert x.sum().item() > 0
    assert np.shares_memory(x.numpy(), view(x).numpy())


@pytest.mark.parametrize("name", VIEWS)
def test_view_gradients(name: str):
    function, oracle = VIEWS[name]
    if oracle is None:
        oracle = lambda a: np.broadcast_to(a[:, None], (2, 3, 3, 2))  # noqa: E731
    check_op(function, [draw((2, 3, 2))], oracle)


def test_copy_gradients():
    x, y = draw((2, 3)), draw((1, 3), seed=1)
    check_op(lambda x, y: gpunn.cat([x, y]), [x, y], lambda a, b: np.concatenate([a, b]))
    check_op(lambda x, y: gpunn.stack([x, y[0]], 1), [x[0], y], lambda a, b: np.stack([a, b[0]], 1))
    check_op(lambda x: x.flip((0, 1)), [x], lambda a: a[::-1, ::-1])
    check_op(lambda x: x.roll(2, 1), [x], lambda a: np.roll(a, 2, 1))
    check_op(lambda x: x.roll(1), [x], lambda a: np.roll(a, 1))
    check_op(lambda x: x.repeat(2, 1, 2), [x], lambda a: np.tile(a, (2, 1, 2)))
    check_op(lambda x: x.tril(-1), [x], lambda a: np.tril(a, -1))
    check_op(lambda x: x.triu(1), [x], lambda a: np.triu(a, 1))
    check_op(lambda x: x.split([1, 2], 1), [x], lambda a: [a[:, :1], a[:, 1:]])
    check_op(lambda x: x.chunk(2, 1), [x], lambda a: [a[:, :2], a[:, 2:]])
    check_op(lambda x: x.unbind(1), [x], lambda a: [a[:, 0], a[:, 1], a[:, 2]])
    check_op(lambda x: x.sum_to_size(1, 3), [x], lambda a: a.sum(0, keepdims=True))


@given(st.data())
def test_chains_of_views(data: Any):
    shape = data.draw(arrays.array_shapes(min_dims=1, max_dims=4, max_side=4))
    array = draw(shape)
    x = gpunn.tensor(array, requires_grad=True)
    y, expected = x, array
    for _ in range(data.draw(st.integers(1, 4))):
        step = data.draw(st.sampled_from(["permute", "reshape", "unsqueeze", "slice", "flip"]))
        if step == "permute":
            order = data.draw(st.permutations(range(expected.ndim)))
            y, expected = y.permute(order), expected.transpose(order)
        elif step == "reshape":
            y, expected = (
                y.reshape(-1, expected.shape[-1]),
                expected.reshape(-1, expected.shape[-1]),
            )
        elif step == "unsqueeze":
            y, expected = y.unsqueeze(0), expected[None]
        elif step == "slice":
            y, expected = y[..., :1], expected[..., :1]
        else:
            y, expected = y.flip(0), expected[::-1]
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    (y * y).sum().backward()
    assert x.grad is not None
    kept = x.grad.numpy() != 0
    np.testing.assert_allclose(x.grad.numpy()[kept], 2 * array[kept])
    assert kept.sum() == expected.size


@pytest.mark.parametrize("scenario", [
    lambda lib, x: lib.flip(x, dims=[0]),
    lambda lib, x: x.flip(dims=(0, 1)),
    lambda lib, x: lib.permute(x, dims=(1, 0)),
    lambda lib, x: x.permute(dims=(1, 0)),
    lambda lib, x: lib.reshape(x, shape=(3, 2)),
    lambda lib, x: x.reshape(shape=(6,)),
    lambda lib, x: x.view(size=(6,)),
    lambda lib, x: x.expand(size=(2, 2, 3)),
    lambda lib, x: x.repeat(repeats=(2, 1)),
    lambda lib, x: lib.tile(x, dims=(2,)),
    lambda lib, x: lib.zeros(size=(2, 3)),
    lambda lib, x: lib.ones(size=[2]),
    lambda lib, x: lib.empty(size=(2, 0)),
    lambda lib, x: lib.rand(size=(2, 3)).shape,
    lambda lib, x: lib.randn(size=(2, 3)).shape,
    lambda lib, x: lib.randint(5, size=(3,)).shape,
    lambda lib, x: lib.randint(high=5, size=(3,)).shape,
    lambda lib, x: lib.randint(5, (3,)).shape,
    lambda lib, x: lib.randint(2, 3, (3,)),
])  # fmt: skip
def test_sizes_and_dims_by_name(scenario: Any):
    same(lambda lib: scenario(lib, lib.arange(6).reshape(2, 3)))


def test_a_wrong_name_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'dim'"):
        gpunn.flip(gpunn.ones(2), dim=0)
