"""Clipping: factors, norms and refusals; parity with PyTorch's."""

import math

import pytest
from parity import same

import gpunn
from gpunn.nn.utils import clip_grad_norm_, clip_grad_value_, get_total_norm

GRADIENTS = [[3.0, -4.0], [[1.0], [2.0], [-6.0]], None, 0.5]


def _parameters(lib, gradients=GRADIENTS):
    made = []
    for gradient in gradients:
        values = lib.tensor(0.0 if gradient is None else gradient)
        parameter = lib.nn.Parameter(lib.zeros_like(values))
        if gradient is not None:
            parameter.grad = values
        made.append(parameter)
    return made


@pytest.mark.parametrize("max_norm", [0.5, 8.0, 100.0, 0, math.inf])
@pytest.mark.parametrize("norm_type", [2.0, 1, 3.0, math.inf, "inf"])
def test_clip_by_norm(max_norm, norm_type):
    def scenario(lib):
        parameters = _parameters(lib)
        total = lib.nn.utils.clip_grad_norm_(parameters, max_norm, norm_type)
        return round(total.item(), 5), [
            None if p.grad is None else (p.grad * 1e4).round() for p in parameters
        ]

    same(scenario)


def test_at_the_bound_the_gradient_still_shrinks():
    parameter = _parameters(gpunn, [[3.0, 4.0]])[0]
    assert clip_grad_norm_(parameter, 5.0).item() == 5.0
    assert parameter.grad.norm().item() == pytest.approx(5 * 0.9999998)
    assert parameter.grad.norm().item() < 5.0


def test_nothing_to_clip():
    same(lambda lib: lib.nn.utils.clip_grad_norm_([], 1.0))
    same(lambda lib: lib.nn.utils.clip_grad_norm_(_parameters(lib, [None]), 1.0))
    same(lambda lib: lib.nn.utils.get_total_norm([]))
    with pytest.warns(UserWarning, match="is an empty generator, no gradient clipping will occur"):
        clip_grad_norm_((p for p in []), 1.0)


def test_generators_are_read_once():
    parameters = _parameters(gpunn)
    clip_grad_norm_((p for p in parameters), 1.0)
    held = [p.grad for p in parameters if p.grad is not None]
    assert get_total_norm(held).item() == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("strict", [True, False])
def test_norms_that_are_not_finite(bad, strict):
    def scenario(lib):
        parameters = _parameters(lib, [[bad, 1.0]])
        total = lib.nn.utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=strict)
        return str(total.item()), str(parameters[0].grad.tolist())

    outcome = same(scenario)
    assert isinstance(outcome, tuple) == strict


def test_gradients_of_two_dtypes():
    def scenario(lib):
        parameters = _parameters(lib, [[3.0], [4.0]])
        parameters[1] = parameters[1].double().detach()
        parameters[1].grad = lib.tensor([4.0], dtype=lib.float64)
        total = lib.nn.utils.clip_grad_norm_(parameters, 1.0)
        return total.item(), [str(p.grad.dtype) for p in parameters]

    same(scenario)


def test_clip_by_value():
    def scenario(lib):
        parameters = _parameters(lib)
        lib.nn.utils.clip_grad_value_(parameters, 2)
        return [p.grad for p in parameters]

    same(scenario)
    parameter = _parameters(gpunn, [[3.0, -4.0]])[0]
    clip_grad_value_(parameter, 1.0)
    assert parameter.grad.tolist() == [1.0, -1.0]


def test_on_every_device(device: str):
    weight = gpunn.nn.Parameter(gpunn.zeros(2, device=device))
    weight.grad = gpunn.tensor([3.0, 4.0], device=device)
    total = clip_grad_norm_([weight], 1.0)
    assert total.device == weight.device
    assert total.item() == 5.0
    assert weight.grad.cpu().tolist() == pytest.approx([0.6, 0.8])
