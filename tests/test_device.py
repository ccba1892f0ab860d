"""Devices: names, what is missing, and tensors on two of them."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import gpunn
from gpunn.backends import type2backend
from gpunn.backends.cpu import CpuBackend


def test_names():
    assert gpunn.device("cuda", 1) == gpunn.device("cuda:1") == gpunn.device(1)
    assert gpunn.device("cuda") != gpunn.device("cuda:0")
    assert gpunn.device(gpunn.device("cpu")) == gpunn.device("cpu")
    assert str(gpunn.device("cuda", 3)) == "cuda:3"
    assert len({gpunn.device("cpu"), gpunn.device("cpu")}) == 1
    where = gpunn.device("cuda:2")
    assert pickle.loads(pickle.dumps(where)) == copy.deepcopy(where) == where
    assert gpunn.device("cpu") != "cpu"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cuda:-1", "Invalid device string: 'cuda:-1'"),
        ("cuda:01", "Invalid device string: 'cuda:01'"),
        ("cuda:x", "Invalid device string"),
        ("gpu", "Expected one of cpu, cuda device type at start of device string: gpu"),
        ("cpu:1", "CPU device index must be 0 or left out, got 1"),
    ],
)
def test_names_of_no_device(name: str, text: str):
    with pytest.raises(RuntimeError, match=text):
        gpunn.device(name)


def test_what_is_no_name():
    with pytest.raises(TypeError, match="expected a string such as 'cuda:0'"):
        gpunn.device(1.5)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="must not include an index because index was passed"):
        gpunn.device("cuda:0", 1)


class OtherArray(np.ndarray):
    """The arrays of a second device, in this test alone."""


class OtherBackend(CpuBackend):
    name = "other"

    def device(self, array: Any) -> Any:
        return gpunn.device("cuda:7")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(type2backend, OtherArray, OtherBackend(np))

    def move(x: gpunn.Tensor) -> gpunn.Tensor:
        y = gpunn.zeros(1)
        y.data = x.numpy().copy().view(OtherArray)
        return y

    return move


def test_two_devices_in_one_operation(elsewhere: Any):
    here, there = gpunn.ones(2, 3), elsewhere(gpunn.ones(2, 3))
    for function in (
        lambda: here + there,
        lambda: there @ here.t(),
        lambda: gpunn.cat([here, there]),
        lambda: gpunn.where(here > 0, here, there),
    ):
        with pytest.raises(
            RuntimeError,
            match=r"Expected all tensors to be on the same device, but found at least two devices, "
            r"(cpu and cuda:7|cuda:7 and cpu)! \(.*move one with \.to\('",
        ):
            function()
    assert (there * gpunn.tensor(2.0)).tolist() == [[2.0] * 3] * 2  # a 0-d CPU tensor is a number


def test_arrays_of_no_backend():
    with pytest.raises(TypeError, match=r"no backend computes on .*NoArray: a tensor's data is a"):
        gpunn.zeros(1).data = np.zeros(1).view(type("NoArray", (np.ndarray,), {}))
    assert gpunn.from_numpy(np.zeros(1).view(np.recarray) * 1).dtype is gpunn.float64


def test_nothing_moves_on_the_cpu():
    x = gpunn.ones(2)
    assert x.cpu() is x
    assert x.to("cpu") is x
    assert x.to(gpunn.device("cpu"), gpunn.float32) is x
    assert not x.is_cuda
    assert x.device == gpunn.device("cpu")
