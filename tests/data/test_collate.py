"""default_collate and default_convert, against PyTorch's."""

from collections import OrderedDict, UserDict, UserList, namedtuple
from typing import Any

import numpy
import pytest

import gpunn
from gpunn.data import default_collate, default_convert

Point = namedtuple("Point", ["x", "y"])


def described(value: Any) -> Any:
    """A value of either framework as plain data: its tensors as dtype, shape and elements."""
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return str(value.dtype).rpartition(".")[2], tuple(value.shape), value.tolist()
    if isinstance(value, dict | UserDict):
        return type(value).__name__, {key: described(item) for key, item in value.items()}
    if isinstance(value, list | tuple | UserList):
        return type(value).__name__, [described(item) for item in value]
    return value


ARRAY = numpy.arange(6, dtype=numpy.int16).reshape(2, 3)

BATCHES: dict[str, list[Any]] = {
    "ints": [1, 2, 3],
    "bools": [True, False],
    "floats": [0.5, 1.5],
    "strings": ["a", "b"],
    "bytes": [b"a", b"b"],
    "arrays": [ARRAY, ARRAY + 1],
    "float16 arrays": [numpy.ones(2, numpy.float16)] * 3,
    "0-d arrays": [numpy.array(1.0), numpy.array(2.0)],
    "float32 scalars": [numpy.float32(1), numpy.float32(2)],
    "float64 scalars": [numpy.float64(1), numpy.float64(2)],
    "uint8 scalars": [numpy.uint8(1), numpy.uint8(2)],
    "bool scalars": [numpy.bool_(True), numpy.bool_(False)],
    "tuples": [(1, 2.0), (3, 4.0)],
    "lists": [[1, "a"], [2, "b"]],
    "nested": [{"x": (ARRAY, [1, 2]), "y": "s"}, {"x": (ARRAY, [3, 4]), "y": "t"}],
    "named tuples": [Point(1, 2.0), Point(3, 4.0)],
    "ordered": [OrderedDict(b=1, a=2), OrderedDict(b=3, a=4)],
    "user dicts": [UserDict(a=1), UserDict(a=2)],
    "user lists": [UserList([1, 2]), UserList([3, 4])],
    "ranges": [range(2), range(2)],
    "one": [7],
}


@pytest.mark.parametrize("name", BATCHES)
def test_collate_is_pytorchs(name: str):
    data = pytest.importorskip("torch.utils.data")
    assert described(default_collate(BATCHES[name])) == described(
        data.default_collate(BATCHES[name])
    )


@pytest.mark.parametrize("name", BATCHES)
def test_convert_is_pytorchs(name: str):
    data = pytest.importorskip("torch.utils.data")
    assert described(default_convert(BATCHES[name])) == described(
        data.default_convert(BATCHES[name])
    )


def test_tensors_are_stacked_and_differentiable():
    x = gpunn.tensor([1.0, 2.0], requires_grad=True)
    batch = default_collate([x, x * 3])
    assert batch.tolist() == [[1, 2], [3, 6]]
    batch.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [4, 4]


def test_tensors_and_strings_convert_to_themselves():
    x = gpunn.zeros(2)
    assert default_convert(x) is x
    words = numpy.array(["a"])
    assert default_convert(words) is words


def test_a_collated_container_is_a_new_one():
    class Tagged(dict[str, Any]):
        tag = ""

    first = Tagged(a=1)
    first.tag = "kept"
    batch = default_collate([first, Tagged(a=2)])
    assert (batch["a"].tolist(), batch.tag, first) == ([1, 2], "kept", {"a": 1})


def test_collate_errors():
    with pytest.raises(RuntimeError, match="each element in list of batch should be of equal size"):
        default_collate([[1, 2], [1]])
    with pytest.raises(RuntimeError, match=r"equal size, but got \[2\] at entry 0 and \[3\]"):
        default_collate([gpunn.zeros(2), gpunn.zeros(3)])
    for batch, found in (
        ([None, None], "<class 'NoneType'>"),
        ([{1}, {2}], "<class 'set'>"),
        ([numpy.array(["ab"])], "<U2"),
        ([numpy.array([None])], "object"),
    ):
        with pytest.raises(TypeError, match=r"^default_collate: batch must contain tensors, ") as e:
            default_collate(batch)
        assert str(e.value).endswith(f"found {found}")
