"""Batches in page-locked memory."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import pytest

import gpunn
from gpunn.data import DataLoader, Dataset, TensorDataset
from gpunn.data.pinning import pinned

Pair = namedtuple("Pair", "a b")


class Custom:
    def pin_memory(self) -> str:
        return "pinned"


@pytest.mark.usefixtures("cuda")
def test_what_batches_are_made_of():
    x = gpunn.ones(2)
    batch = pinned({"x": x, "list": [x, "text"], "pair": Pair(x, 1), "own": Custom(), "no": None})
    assert batch["x"].is_pinned()
    assert batch["list"][0].is_pinned()
    assert batch["list"][1] == "text"
    assert type(batch["pair"]) is Pair
    assert batch["pair"].a.is_pinned()
    assert batch["pair"].b == 1
    assert batch["own"] == "pinned"
    assert batch["no"] is None


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.usefixtures("cuda")
def test_a_loader_pins_its_batches(workers: int):
    data = TensorDataset(gpunn.arange(10.0).reshape(5, 2), gpunn.arange(5))
    loader = DataLoader(data, 2, pin_memory=True, num_workers=workers)
    batches = list(loader)
    assert [x.is_pinned() and y.is_pinned() for x, y in batches] == [True] * 3
    there = [x.to("cuda", non_blocking=True) for x, _ in batches]
    assert gpunn.equal(gpunn.cat(there).cpu(), data.tensors[0])
    assert not next(iter(DataLoader(data, 2)))[0].is_pinned()


class Numbers(Dataset[Any]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> float:
        return float(index)


@pytest.mark.usefixtures("no_driver")
def test_without_a_device_a_warning_says_that_nothing_is_pinned():
    loader = DataLoader(Numbers(), pin_memory=True)
    with pytest.warns(UserWarning, match="'pin_memory' argument is set as true but no accelerator"):
        (first, _) = list(loader)
    assert not first.is_pinned()
