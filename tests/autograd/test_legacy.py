"""``Variable``, as old scripts use it."""

import pytest

import gpunn
from gpunn.autograd import Variable


def test_a_variable_is_a_tensor():
    x = gpunn.tensor([1.0, 2.0])
    v = Variable(x, requires_grad=True)
    assert type(v) is gpunn.Tensor
    assert v.is_leaf
    assert not x.requires_grad
    (v * v).sum().backward()
    assert v.grad.tolist() == [2.0, 4.0]
    x.fill_(5)
    assert v.tolist() == [5.0, 5.0]
    assert isinstance(x, Variable)
    assert isinstance(gpunn.nn.Parameter(x), Variable)
    assert not isinstance([1.0], Variable)


def test_a_variable_of_a_result_is_a_leaf():
    y = gpunn.ones(2, requires_grad=True) * 2
    v = Variable(y)
    assert v.grad_fn is None
    assert not v.requires_grad
    assert Variable(gpunn.LongTensor([3]), volatile=True).tolist() == [3]
    assert Variable().shape == (0,)


def test_refusals():
    with pytest.raises(TypeError, match="Variable data has to be a tensor, but got list"):
        Variable([1.0])
    with pytest.raises(ValueError, match="can't be volatile and require_grad at the same time!"):
        Variable(gpunn.ones(1), requires_grad=True, volatile=True)
