"""Parameters as one vector and back: order, gradient, memory, refusals."""

import pytest
from models import net
from parity import same

import gpunn
from gpunn.nn.utils import parameters_to_vector, vector_to_parameters


def test_there_and_back():
    def scenario(lib):
        m = net(lib)
        vector = lib.nn.utils.parameters_to_vector(m.parameters())
        lib.nn.utils.vector_to_parameters(vector.detach() * 2, m.parameters())
        return vector, m.state_dict()

    same(scenario)


def test_gradients_flow_through_the_vector():
    m = net(gpunn)
    (parameters_to_vector(m.parameters()) * 3).sum().backward()
    assert all(p.grad is not None and p.grad.tolist() == [3.0, 3.0] for p in m.parameters())


def test_parameters_without_gaps_are_not_needed():
    turned = gpunn.nn.Parameter(gpunn.tensor([[1.0, 2.0], [3.0, 4.0]]).t())
    assert parameters_to_vector([turned]).tolist() == [1.0, 3.0, 2.0, 4.0]


def test_parameters_keep_identity_and_share_the_vectors_memory():
    m = net(gpunn)
    weight, vector = m.first.weight, gpunn.arange(8, dtype=gpunn.float32)
    vector_to_parameters(vector, m.parameters())
    assert m.first.weight is weight
    assert weight.requires_grad
    vector.zero_()
    assert all(p.tolist() == [0.0, 0.0] for p in m.parameters())


def test_a_vector_too_short_changes_nothing():
    m = net(gpunn)
    before = {k: v.tolist() for k, v in m.state_dict().items()}
    with pytest.raises(RuntimeError, match="have 8 elements, the vector only 5"):
        vector_to_parameters(gpunn.zeros(5), m.parameters())
    assert {k: v.tolist() for k, v in m.state_dict().items()} == before


def test_what_is_no_vector_is_refused():
    with pytest.raises(TypeError, match=r"expected gpunn.Tensor, but got: list"):
        vector_to_parameters([1.0], net(gpunn).parameters())  # type: ignore[arg-type]


def test_a_change_between_forward_and_backward_is_noticed():
    m = net(gpunn)
    y = m(gpunn.ones(2, requires_grad=True)).sum()
    vector_to_parameters(gpunn.zeros(8), m.parameters())
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
