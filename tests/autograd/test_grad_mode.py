"""Switches for recording, and anomaly mode."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import gpunn
from gpunn.autograd import detect_anomaly, set_detect_anomaly


def records() -> bool:
    x = gpunn.ones(1, requires_grad=True)
    assert (x * 2).requires_grad is gpunn.is_grad_enabled()
    return gpunn.is_grad_enabled()


def test_as_managers():
    with gpunn.no_grad():
        assert not records()
        with gpunn.enable_grad():
            assert records()
            with gpunn.set_grad_enabled(False):
                assert not records()
            assert records()
        assert not records()
    assert records()
    with pytest.raises(KeyError), gpunn.no_grad():
        raise KeyError
    assert records()
    manager = gpunn.no_grad()
    with manager, manager:
        assert not records()
    assert records()


def test_set_grad_enabled_acts_at_once():
    gpunn.set_grad_enabled(False)
    try:
        assert not records()
    finally:
        gpunn.set_grad_enabled(True)
    assert records()


@pytest.mark.parametrize(
    "switch",
    [lambda: gpunn.no_grad(), lambda: gpunn.no_grad, lambda: gpunn.set_grad_enabled(False)],
)
def test_as_decorators(switch: Any):
    @switch()
    def function(x: int, *, y: int = 1) -> tuple[bool, int]:
        """Its text."""
        return records(), x + y

    assert gpunn.is_grad_enabled()
    assert function(1, y=2) == (False, 3)
    assert function.__doc__ == "Its text."
    assert records()
    with gpunn.no_grad():
        assert gpunn.enable_grad()(records)()


def test_generators():
    @gpunn.no_grad()
    def numbers() -> Iterator[Any]:
        assert not records()
        try:
            got = yield 1
        except KeyError:
            got = "error"
        assert not records()
        yield got
        return 7

    generator = numbers()
    assert next(generator) == 1
    assert records()
    assert generator.send("sent") == "sent"
    with pytest.raises(StopIteration, match="7"):
        next(generator)
    generator = numbers()
    next(generator)
    assert generator.throw(KeyError()) == "error"
    generator.close()
    assert records()


def test_inference_mode():
    with gpunn.inference_mode():
        assert not records()
        assert gpunn.is_inference_mode_enabled()
        with gpunn.inference_mode(False):
            assert not gpunn.is_inference_mode_enabled()
    assert records()
    assert not gpunn.is_inference_mode_enabled()
    assert gpunn.inference_mode()(gpunn.is_inference_mode_enabled)()


def test_switches_are_of_one_thread():
    seen: list[bool] = []
    with gpunn.no_grad():
        thread = threading.Thread(target=lambda: seen.append(records()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_in_place_changes_within_no_grad_keep_the_leaf():
    x = gpunn.ones(2, requires_grad=True)
    with gpunn.no_grad():
        x -= 0.5
        x *= 2
    assert x.is_leaf
    assert x.tolist() == [1, 1]


def test_arrays_are_had_of_what_requires_gradients_where_nothing_is_recorded():
    x = gpunn.ones(2, requires_grad=True)
    with gpunn.no_grad():
        assert x.numpy().tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="Can't call numpy"):
        x.numpy()


def test_anomaly_names_the_op():
    with detect_anomaly():
        x = gpunn.tensor([0.0, 1.0], requires_grad=True)
        y = (x.sqrt() * 0).sum()
        with pytest.raises(
            RuntimeError, match=r"Function 'SqrtBackward0' returned nan values in its 0th output\."
        ) as caught:
            y.backward()
    assert "y = (x.sqrt() * 0).sum()" in str(caught.value)
    z = gpunn.zeros(1, requires_grad=True)
    z.log().backward()  # no longer looked at
    with set_detect_anomaly(True), pytest.raises(RuntimeError, match=r"LogBackward0.*infinite"):
        gpunn.zeros(1, requires_grad=True).log().backward()
    with set_detect_anomaly(False):
        gpunn.zeros(1, requires_grad=True).log().backward()
