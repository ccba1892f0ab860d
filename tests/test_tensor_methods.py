"""Methods that scripts call: in place, in another shape, questions; against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import to_numpy
from parity import same

import gpunn

IN_PLACE: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(["acos", "asin", "atan", "cos", "cosh", "sin", "sinh", "tan", "erf"], ()),
    **dict.fromkeys(["exp2", "expm1", "log10", "log1p", "log2", "sign", "trunc"], ()),
    "fmod": (0.3,),
    "cumsum": (1,),
    "cumprod": (0,),
    "tril": (),
    "triu": (1,),
    "lerp": (np.ones((2, 3)), 0.25),
    "addcmul": (np.ones((2, 3)), np.full((3,), 2.0)),
    "addcdiv": (np.ones((2, 3)), np.full((3,), 2.0)),
    "addr": (np.ones(2), np.ones(3)),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_is_the_same_value_and_gradient(name: str):
    def scenario(t: Any) -> Any:
        x = t.tensor([[0.5, 0.25, 0.75], [0.1, 0.9, 0.3]], dtype=t.float64, requires_grad=True)
        arguments = [t.tensor(a) if isinstance(a, np.ndarray) else a for a in IN_PLACE[name]]
        y = x * 1
        returned = getattr(y, f"{name}_")(*arguments)
        (y * y).sum().backward()
        return returned is y, (y.detach() * 1e6).round(), (x.grad * 1e6).round()

    same(scenario)


def test_bits_and_flags_in_place():
    same(lambda t: t.tensor([1, 0, 5]).bitwise_not_())
    same(lambda t: t.tensor([1, 0, 5]).logical_not_())
    same(lambda t: t.zeros(2, 3).index_fill_(1, t.tensor([2]), 4.0))
    same(lambda t: t.ones(2, 2).addmm_(t.ones(2, 2), t.ones(2, 2), alpha=2))


@pytest.mark.parametrize(
    "change",
    [
        lambda t, x: x.unsqueeze_(1),
        lambda t, x: x.squeeze_(),
        lambda t, x: x.squeeze_(0),
        lambda t, x: x.transpose_(1, 2),
        lambda t, x: x[0].t_(),
        lambda t, x: x.unsqueeze_(9),
        lambda t, x: x.resize_(2, 2),
        lambda t, x: x.fill_diagonal_(7.0),
        lambda t, x: x[0].clone().fill_diagonal_(7.0),
        lambda t, x: t.zeros(7, 3).fill_diagonal_(7.0, wrap=True),
        lambda t, x: t.zeros(3, 7).fill_diagonal_(7.0, wrap=True),
        lambda t, x: t.zeros(3).fill_diagonal_(7.0),
    ],
)
def test_another_shape_in_place(change: Any):
    def scenario(t: Any) -> Any:
        x = t.arange(6.0).reshape(1, 2, 3)
        y = change(t, x)
        return y, tuple(y.shape)

    same(scenario)


def test_gradients_through_another_shape():
    def scenario(t: Any) -> Any:
        x = t.arange(6.0).requires_grad_()
        y = (x * 2).reshape(2, 3).clone()
        y.t_().unsqueeze_(0)
        y.mul_(t.arange(6.0).reshape(3, 2))
        y.sum().backward()
        return x.grad, tuple(y.shape)

    same(scenario)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        gpunn.zeros(2, requires_grad=True).unsqueeze_(0)


def test_questions():
    def scenario(t: Any) -> Any:
        x = t.arange(12.0).reshape(3, 4)
        return [
            x.is_complex(),
            t.is_complex(x),
            x.is_signed(),
            t.zeros(1, dtype=t.uint8).is_signed(),
            x[0, 1].is_nonzero(),
            t.is_nonzero(t.tensor([0.0])),
            x.is_same_size(x.clone()),
            x.is_same_size(x[0]),
            x.get_device(),
            x.ndimension(),
            x.is_cpu,
            x.storage_offset(),
            x[1:].storage_offset(),
            x[1:, 2].storage_offset(),
            x.T[2, 1:].storage_offset(),
            t.conj(x),
            t.real(x) is x,
            x.real is x,
            x.is_sparse,
            x.is_quantized,
            x.is_meta,
            x.H,
            x.mH,
            x.adjoint(),
            x.new([1.5, 2]),
            tuple(x.new(2, 3).shape),
            tuple(x.new().shape),
            x.share_memory_() is x,
        ]

    same(scenario)
    same(lambda t: t.ones(2).is_nonzero())
    same(lambda t: t.ones(2).H)


def test_exponential(device: str):
    x = gpunn.zeros(20000, device=device)
    values = to_numpy(x.exponential_(2.0))
    assert abs(values.mean() - 0.5) < 0.02
    assert values.min() >= 0
    again = gpunn.zeros(20000).exponential_(2.0, generator=gpunn.Generator().manual_seed(0))
    np.testing.assert_allclose(values, to_numpy(again), 1e-6)
    with pytest.raises(RuntimeError, match="exponential_ expects lambda > 0"):
        x.exponential_(0)
    with pytest.raises(NotImplementedError, match="Exponential distribution is a continuous"):
        gpunn.zeros(2, dtype=gpunn.int64).exponential_()


def test_split_by_the_name_that_the_argument_has_here():
    x = gpunn.arange(5)
    assert [part.tolist() for part in x.split(split_size=2, dim=0)] == [[0, 1], [2, 3], [4]]
    assert [part.tolist() for part in x.split([1, 4])] == [[0], [1, 2, 3, 4]]
