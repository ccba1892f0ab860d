"""Making tensors: values, dtypes, errors against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpunn


def same(make: Any, text: int = 30) -> None:
    """``make(gpunn)`` prints as ``make(torch)`` does, or both raise alike."""
    torch = pytest.importorskip("torch")
    outcomes: list[Any] = []
    for t in (torch, gpunn):
        try:
            outcomes.append(repr(make(t)).replace("torch.", "gpunn."))
        except Exception as error:
            outcomes.append(error)
    expected, got = outcomes
    if isinstance(expected, Exception):
        assert isinstance(got, type(expected)), (got, expected)
        assert str(got)[:text] == str(expected).replace("torch.", "gpunn.")[:text]
    else:
        assert got == expected


DATA: dict[str, Any] = {
    "int": lambda t: t.tensor(3),
    "float": lambda t: t.tensor(2.5),
    "bool": lambda t: t.tensor(True),
    "empty": lambda t: t.tensor([]),
    "nested": lambda t: t.tensor([[1, 2], [3, 4.0]]),
    "mixed": lambda t: t.tensor([True, 2]),
    "tuple": lambda t: t.tensor((1, 2)),
    "range": lambda t: t.tensor(range(3)),
    "dtype": lambda t: t.tensor([1.5, -1.5], dtype=t.int32),
    "all bits": lambda t: t.tensor([0.1], dtype=t.float64).item(),
    "float type": lambda t: t.tensor([1, 2], dtype=t.float16),
    "to bool": lambda t: t.tensor([0, 2], dtype=t.bool),
    "numpy scalar": lambda t: t.tensor(np.float64(2)),
    "numpy array": lambda t: t.tensor(np.array([1, 2], "uint8")),
    "numpy floats": lambda t: t.tensor(np.zeros(2, "float32")),
    "list of numpy": lambda t: t.tensor([np.float32(1), np.float32(2)]),
    "list of float64": lambda t: t.tensor([np.float64(1)]),
    "list of int32": lambda t: t.tensor([np.int32(1)]),
    "tensors": lambda t: t.tensor([t.tensor(1), t.tensor(2)]),
    "leaf": lambda t: t.tensor([1.0], requires_grad=True),
    "integer leaf": lambda t: t.tensor([1], requires_grad=True),
    "ragged": lambda t: t.tensor([[1], [1, 2]]),
    "ragged deep": lambda t: t.tensor([[[1, 2]], [[1]]]),
    "string": lambda t: t.tensor("a"),
    "strings": lambda t: t.tensor(["a"]),
    "none": lambda t: t.tensor(None),
    "nones": lambda t: t.tensor([1, None]),
    "dict": lambda t: t.tensor({}),
    "big": lambda t: t.tensor(2**63),
    "bigger": lambda t: t.tensor([2**70]),
    "overflow": lambda t: t.tensor([300], dtype=t.uint8),
    "as list": lambda t: t.as_tensor([1, 2]),
    "as array": lambda t: t.as_tensor(np.arange(3)),
    "as float": lambda t: t.as_tensor(3.0),
    "from numpy": lambda t: t.from_numpy(np.arange(3)),
    "from list": lambda t: t.from_numpy([1]),
    "from strings": lambda t: t.from_numpy(np.array(["a"])),
    "negative strides": lambda t: t.from_numpy(np.arange(3)[::-1]),
    "Tensor": lambda t: t.Tensor([1, 2, 3]),
    "Tensor sizes": lambda t: t.Tensor(2, 3).shape,
    "no Tensor": lambda t: t.Tensor(),
}
FILLED: dict[str, Any] = {
    "zeros": lambda t: (t.zeros(2, 3), t.zeros((2, 3)), t.zeros([2]), t.zeros(())),
    "numpy size": lambda t: t.zeros(np.int64(3)),
    "tensor size": lambda t: t.zeros(t.tensor(3)),
    "ones": lambda t: t.ones(2, dtype=t.int32),
    "full": lambda t: (t.full((3,), 7), t.full((2,), 1.5), t.full((2,), True), t.full((), 3)),
    "full dtype": lambda t: t.full((2,), 3, dtype=t.float32),
    "full nan": lambda t: t.full((2, 2), float("nan")),
    "full tensor": lambda t: t.full([2], t.tensor(3)),
    "eye": lambda t: (t.eye(2, 3), t.eye(0), t.eye(2, dtype=t.int64)),
    "eye of less": lambda t: t.eye(-1),
    "like": lambda t: (
        t.zeros_like(t.ones(2, dtype=t.int8)),
        t.ones_like(t.zeros(2), dtype=t.float64),
        t.full_like(t.zeros(2, 2), 5),
        t.empty_like(t.zeros(2, 3)).shape,
        t.rand_like(t.zeros(2, dtype=t.float16)).dtype,
        t.randint_like(t.zeros(2), 5).dtype,
    ),
    "arange": lambda t: (t.arange(5), t.arange(1, 5, 2), t.arange(5.0), t.arange(0, 1, 0.1)),
    "arange back": lambda t: (t.arange(5, 1, -2), t.arange(0), t.arange(1.5, 4)),
    "arange dtype": lambda t: (t.arange(5, dtype=t.float16), t.arange(3, dtype=t.uint8)),
    "arange wrong": lambda t: t.arange(5, 1),
    "arange never": lambda t: t.arange(1, 5, 0),
    "linspace": lambda t: (t.linspace(0, 1, 5), t.linspace(0, 10, 1), t.linspace(0, 1, 0)),
    "linspace dtype": lambda t: t.linspace(0, 10, 5, dtype=t.int64),
    "linspace wrong": lambda t: t.linspace(0, 1, -1),
    "new": lambda t: (
        t.zeros(2).new_zeros(3),
        t.zeros(2, dtype=t.int8).new_ones((2, 2)),
        t.zeros(2).new_full((2,), 7),
        t.zeros(2).new_tensor([1, 2]),
        t.zeros(2).new_empty(2, 3).shape,
    ),
    "rand of ints": lambda t: t.randperm(-1),
    "randint of none": lambda t: t.randint(3, 3, (1,)),
}


@pytest.mark.parametrize("name", DATA)
def test_from_data(name: str):
    same(DATA[name])


@pytest.mark.parametrize("name", FILLED)
def test_filled(name: str):
    same(FILLED[name])


def test_negative_sizes_and_wrong_dtypes():
    with pytest.raises(RuntimeError, match=r"zeros: Dimension size must be non-negative\."):
        gpunn.zeros(2, -3)
    for make in (gpunn.ones, gpunn.rand, gpunn.randn, gpunn.empty):
        with pytest.raises(
            RuntimeError, match="Trying to create tensor with negative dimension -3"
        ):
            make(2, -3)
    for make in (gpunn.rand, gpunn.randn):
        with pytest.raises(NotImplementedError, match="_cpu\" not implemented for 'Long'"):
            make(2, dtype=gpunn.int64)
    with pytest.raises(
        TypeError, match=r"argument 'size' \(position 1\) must be tuple of ints, not float"
    ):
        gpunn.zeros(2.5)


def test_what_shares_memory():
    array = np.zeros(3)
    gpunn.from_numpy(array)[0] = 1
    gpunn.as_tensor(array)[1] = 2
    gpunn.from_dlpack(array)[2] = 3
    gpunn.tensor(array)[0] = 9
    assert array.tolist() == [1, 2, 3]
    x = gpunn.ones(2)
    assert gpunn.as_tensor(x) is x
    assert gpunn.as_tensor(x, dtype=gpunn.float64).dtype is gpunn.float64


def test_dlpack_both_ways():
    x = gpunn.arange(4.0)
    np.from_dlpack(x)
    assert np.shares_memory(np.from_dlpack(x), x.numpy())
    assert gpunn.from_dlpack(x).tolist() == [0, 1, 2, 3]
    with pytest.raises(BufferError, match="Can't export tensors that require gradient"):
        gpunn.ones(1, requires_grad=True).__dlpack__()
    torch = pytest.importorskip("torch")
    there = torch.from_dlpack(x)
    there[0] = 7
    assert x[0].item() == 7
    back = gpunn.from_dlpack(torch.arange(3))
    assert (back.dtype, back.tolist()) == (gpunn.int64, [0, 1, 2])
