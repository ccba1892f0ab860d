"""assert_close raises what PyTorch's does."""

from __future__ import annotations

from typing import Any

import pytest
from parity import same

import gpunn

nan = float("nan")
CALLS: list[Any] = [
    lambda t: ([t.tensor([1.0, 2, 3])] * 2, {}),
    lambda t: ((t.tensor([1.0, 2, 3]), t.tensor([1.0, 2.5, 3])), {}),
    lambda t: ((t.tensor([1.0, 2, 3]), t.tensor([1.0, 2.000001, 3])), {}),
    lambda t: ((t.tensor(1.0), t.tensor(2.0)), {}),
    lambda t: ((t.tensor([1, 2]), t.tensor([1, 3])), {}),
    lambda t: ((t.tensor([1.0, 2]), t.tensor([1.0, 2], dtype=t.float64)), {}),
    lambda t: ((t.tensor([1.0, 2]), t.tensor([1.0, 2], dtype=t.float64)), {"check_dtype": False}),
    lambda t: ((t.tensor([1.0, 2]), t.tensor([1.0, 2, 3])), {}),
    lambda t: ((1.0, 2.0), {}),
    lambda t: ((1, 2), {}),
    lambda t: ((1, 1), {}),
    lambda t: (([t.tensor([1.0]), 2.0], [t.tensor([1.0]), 3.0]), {}),
    lambda t: (({"a": t.tensor([1.0])}, {"a": t.tensor([3.0])}), {}),
    lambda t: (({"a": [1, 2]}, {"a": [1, 3]}), {}),
    lambda t: (({"a": t.tensor([1.0])}, {"b": t.tensor([3.0])}), {}),
    lambda t: (([1.0], [1.0, 3.0]), {}),
    lambda t: ((t.tensor([nan]), t.tensor([nan])), {}),
    lambda t: ((t.tensor([nan]), t.tensor([nan])), {"equal_nan": True}),
    lambda t: ((t.tensor([2.0]), t.tensor([2.5])), {"rtol": 0.1, "atol": 0}),
    lambda t: ((t.tensor([2.0]), t.tensor([2.5])), {"rtol": 0.1, "atol": 1}),
    lambda t: ((t.tensor([2.0]), t.tensor([2.5])), {"rtol": 0.1}),
    lambda t: ((t.tensor([2.0]), t.tensor([2.5])), {"msg": "mine"}),
    lambda t: ((t.tensor([2.0]), t.tensor([2.5])), {"msg": lambda text: "mine: " + text}),
    lambda t: ((None, t.tensor([1.0])), {}),
    lambda t: ((None, None), {}),
    lambda t: (("a", "a"), {}),
    lambda t: ((t.tensor([True]), t.tensor([False])), {}),
    lambda t: ((t.tensor([1.0, 5.0]), t.tensor([1.0, 0.0])), {}),
    lambda t: ((t.tensor([1.0]).bfloat16(), t.tensor([1.0078125]).bfloat16()), {}),
    lambda t: ((t.tensor([1.0]).half(), t.tensor([1.5]).half()), {}),
    lambda t: ((t.tensor([]), t.tensor([])), {}),
    lambda t: ((t.ones(2, 3), t.ones(3, 2).T), {"check_stride": True}),
]


@pytest.mark.parametrize("make", CALLS)
def test_as_pytorch(make: Any):
    def scenario(t: Any) -> Any:
        args, options = make(t)
        return t.testing.assert_close(*args, **options)

    same(scenario)


def test_devices_differ(device: str):
    x = gpunn.ones(2)
    if device == "cpu":
        gpunn.testing.assert_close(x, x.clone())
    else:
        with pytest.raises(AssertionError, match="attribute 'device' do not match: cpu != cuda:0"):
            gpunn.testing.assert_close(x, x.to(device))
        gpunn.testing.assert_close(x, x.to(device), check_device=False)
