"""Graphs that go back beyond an optimizer step: the warning, what errors say, and who is spared."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import gpunn
from gpunn import nn
from gpunn.autograd import detect_anomaly, steps
from gpunn.autograd.grad_mode import thread
from gpunn.optim import SGD, Adam


@pytest.fixture(autouse=True)
def _looking_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "looking", steps._Looking())
    monkeypatch.setattr(thread.mode, "tracing", False)


def carry(times: int, detach: bool = False) -> list[str]:
    """A state carried from step to step, as far as nothing refuses; the warnings."""
    w = nn.Parameter(gpunn.ones(3))
    optimizer = SGD([w], lr=0.1)
    h = gpunn.zeros(3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(times):
            h = h + w  # carried
            optimizer.zero_grad()
            h.sum().backward(retain_graph=True)
            optimizer.step()
            h = h.detach() if detach else h
    assert all(c.filename == __file__ for c in caught)
    return [str(c.message) for c in caught]


def test_two_warnings_of_which_the_second_names_the_line():
    first, second = carry(6)
    assert "beyond the optimizer step at" in first
    assert "test_steps.py" in first
    assert "a tensor of size [3] that AddBackward0 made before it is used after it" in first
    assert "the next such backward will name the line" in first
    assert "h = h + w  # carried) is used after it. Call detach()" in second


def test_who_detaches_hears_nothing():
    assert carry(6, detach=True) == []


def test_lines_are_noted_for_a_few_steps_only():
    carry(2)
    assert thread.mode.tracing
    p = nn.Parameter(gpunn.ones(1))
    optimizer = SGD([p], lr=0.1)
    for _ in range(3):
        (p * 2).backward()
        optimizer.step()
    assert not thread.mode.tracing
    assert (p * 2).grad_fn.trace is None


def test_in_anomaly_mode_the_first_warning_names_the_line():
    with detect_anomaly():
        (only,) = carry(6)
    assert "h = h + w  # carried" in only


def recurrent(**options: Any) -> None:
    cell = nn.RNNCell(3, 4)
    optimizer = SGD(cell.parameters(), lr=0.1)
    h = gpunn.zeros(2, 4)
    for _ in range(4):
        h = cell(gpunn.randn(2, 3), h)
        optimizer.zero_grad()
        (h * h).sum().backward(**options)
        optimizer.step()


def test_an_error_says_so_too():
    with pytest.raises(RuntimeError, match="second time") as caught:
        recurrent()
    (note,) = caught.value.__notes__
    assert "a tensor of size [2, 4] that TanhBackward0 made before it is used after it" in note
    assert note.endswith("autograd.detect_anomaly() finds its line")


@pytest.mark.filterwarnings("ignore:backward goes back")
def test_an_error_under_anomaly_mode_has_the_lines():
    with detect_anomaly(), pytest.raises(RuntimeError, match="modified by an inplace") as caught:
        recurrent(retain_graph=True)
    call, carried = caught.value.__notes__
    assert "h = cell(gpunn.randn(2, 3), h)" in call
    assert "h = cell(gpunn.randn(2, 3), h)) is used after it" in carried


def test_adversaries_are_spared_and_left_alone_after_a_while():
    generator, critic = nn.Linear(2, 2), nn.Linear(2, 1)
    ours, theirs = Adam(generator.parameters()), Adam(critic.parameters())
    for _ in range(20):
        fake = generator(gpunn.randn(4, 2))
        theirs.zero_grad()
        critic(fake.detach()).sum().backward()
        theirs.step()
        ours.zero_grad()
        critic(fake).sum().backward()  # the generator has not changed since
        ours.step()
    assert steps.looking.over


def test_a_loss_kept_over_a_step_is_carried():
    w = nn.Parameter(gpunn.ones(3))
    optimizer = SGD([w], lr=0.1)
    one, two = (w + 1).sum(), (w + 2).sum()
    one.backward()
    optimizer.step()
    with pytest.warns(UserWarning, match=r"a tensor of size \[\] that SumBackward0 made"):
        two.backward()


def test_gradients_added_up_over_several_batches_are_no_mistake():
    w = nn.Parameter(gpunn.ones(3))
    optimizer = SGD([w], lr=0.1)
    for i in range(6):
        (w * i).sum().backward()
        if i % 2:
            optimizer.step()
            optimizer.zero_grad()
    assert steps.looking.fruitless == 0
