"""Averages of weights: by hand, on every device, in training."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from checks import to_numpy

import gpunn
from gpunn import nn
from gpunn.optim import SGD
from gpunn.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn


def with_weight(model: nn.Module, value: float) -> nn.Module:
    with gpunn.no_grad():
        for p in model.parameters():
            p.fill_(value)
    return model


def test_the_mean_of_all(device: str):
    model = nn.Linear(2, 1).to(device)
    average = AveragedModel(model)
    for value in (1.0, 2.0, 6.0):
        average.update_parameters(with_weight(model, value))
    np.testing.assert_allclose(to_numpy(average.module.weight), 3, rtol=1e-6)
    assert average.n_averaged.item() == 3
    assert model.weight.tolist() == [[6, 6]]  # the model itself goes on


def test_a_moving_average(device: str):
    model = nn.Linear(2, 1).to(device)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.75))
    for value in (4.0, 8.0):
        average.update_parameters(with_weight(model, value))
    np.testing.assert_allclose(to_numpy(average.module.weight), 5)


def test_a_function_of_ones_own():
    model = nn.Linear(2, 1)
    average = AveragedModel(model, avg_fn=lambda a, w, n: a + w * n)
    for value in (1.0, 2.0, 3.0):
        average.update_parameters(with_weight(model, value))
    assert average.module.weight.tolist() == [[1 + 2 * 1 + 3 * 2] * 2]


def test_its_state_goes_on():
    model = nn.Linear(2, 1)
    average = AveragedModel(model)
    average.update_parameters(with_weight(model, 1))
    again = AveragedModel(nn.Linear(2, 1))
    again.load_state_dict(copy.deepcopy(average.state_dict()))
    for each in (average, again):
        each.update_parameters(with_weight(model, 2))
    assert again.module.weight.tolist() == average.module.weight.tolist() == [[1.5, 1.5]]


def test_batch_norms_get_the_statistics_of_the_data():
    x = gpunn.randn(40, 3) * 2 + 5
    model = nn.Sequential(nn.BatchNorm1d(3, momentum=0.3)).eval()
    update_bn([(x[:20], 0), (x[20:], 1)], model)
    np.testing.assert_allclose(to_numpy(model[0].running_mean), to_numpy(x.mean(0)), rtol=1e-5)
    assert model[0].momentum == 0.3
    assert not model.training
    assert not model[0].training


def test_the_rate_goes_to_that_of_the_average():
    p = gpunn.zeros(1, requires_grad=True)
    optimizer = SGD([p], lr=1.0)
    schedule = SWALR(optimizer, 0.5, anneal_epochs=2, anneal_strategy="linear")
    rates = [1.0]
    for _ in range(4):
        optimizer.step()
        schedule.step()
        rates.append(schedule.get_last_lr()[0])
    assert rates == [1.0, 0.75, 0.5, 0.5, 0.5]


def test_one_average_only():
    with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn"):
        AveragedModel(nn.Linear(1, 1), avg_fn=max, multi_avg_fn=max)  # type: ignore[arg-type]
