"""Parameter and Buffer: classes that survive copies and pickling, memory that is shared."""

import copy
import pickle

import pytest
from parity import same

import gpunn
from gpunn import nn


def test_shares_the_memory_of_its_data():
    data = gpunn.zeros(3)
    parameter = nn.Parameter(data)
    data[1] = 5.0
    assert parameter.tolist() == [0.0, 5.0, 0.0]
    assert parameter.requires_grad
    assert not data.requires_grad
    assert isinstance(parameter, gpunn.Tensor)


def test_an_in_place_change_of_the_data_is_noticed():
    data = gpunn.ones(2)
    parameter = nn.Parameter(data)
    y = (parameter * parameter).sum()
    data.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_results_are_plain_tensors():
    parameter = nn.Parameter(gpunn.ones(2))
    assert type(parameter * 2) is gpunn.Tensor
    assert type(parameter.detach()) is gpunn.Tensor


def test_repr_is_pytorchs():
    same(lambda lib: repr(lib.nn.Parameter(lib.ones(2, 3))))
    same(lambda lib: repr(lib.nn.Parameter(lib.ones(2), requires_grad=False)))
    same(lambda lib: repr(lib.nn.Parameter()))
    same(lambda lib: repr(lib.nn.Buffer(lib.ones(2))))


def test_without_data_is_empty():
    assert nn.Parameter().shape == (0,)
    assert nn.Buffer().shape == (0,)


def test_refuses_what_is_no_tensor():
    with pytest.raises(TypeError, match=r"Parameter\(\) expected a Tensor, got list"):
        nn.Parameter([1.0])  # type: ignore[arg-type]


def test_integers_need_requires_grad_false():
    with pytest.raises(RuntimeError, match="Only Tensors of floating point and complex dtype can"):
        nn.Parameter(gpunn.arange(3))
    assert nn.Parameter(gpunn.arange(3), requires_grad=False).tolist() == [0, 1, 2]


@pytest.mark.parametrize("requires_grad", [True, False])
def test_deep_copy_is_a_parameter_with_memory_of_its_own(requires_grad: bool):
    parameter = nn.Parameter(gpunn.ones(2), requires_grad)
    if requires_grad:
        (parameter * 3).sum().backward()
    twin = copy.deepcopy(parameter)
    assert type(twin) is nn.Parameter
    assert twin.requires_grad is requires_grad
    assert twin.grad is None  # as PyTorch's
    with gpunn.no_grad():
        twin.zero_()
    assert parameter.tolist() == [1.0, 1.0]


def test_deep_copy_keeps_sharing():
    parameter = nn.Parameter(gpunn.ones(2))
    a, b = copy.deepcopy([parameter, parameter])
    assert a is b


@pytest.mark.parametrize("make", [nn.Parameter, nn.Buffer])
def test_pickle_keeps_the_class(make):
    value = make(gpunn.tensor([1.0, 2.0]))
    again = pickle.loads(pickle.dumps(value))
    assert type(again) is make
    assert again.requires_grad == value.requires_grad
    assert again.tolist() == [1.0, 2.0]


def test_copies_of_a_buffer_know_whether_it_is_persistent():
    buffer = nn.Buffer(gpunn.ones(1), persistent=False)
    assert pickle.loads(pickle.dumps(buffer)).persistent is False
    assert copy.deepcopy(buffer).persistent is False


def test_on_every_device(device: str):
    parameter = nn.Parameter(gpunn.ones(2, device=device))
    (parameter * 2).sum().backward()
    assert parameter.grad is not None
    assert parameter.grad.cpu().tolist() == [2.0, 2.0]
    assert copy.deepcopy(parameter).device == parameter.device
