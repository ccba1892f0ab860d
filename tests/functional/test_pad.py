"""pad against NumPy's, finite differences and PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import check_op, compare, to_numpy
from parity import same

import gpunn
import gpunn.functional as F

RNG = np.random.default_rng(0)
NUMPY = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def draw(*shape: int) -> Any:
    return RNG.normal(size=shape).astype("f4")


def pairs(pad: Any, ndim: int) -> list[tuple[int, int]]:
    """NumPy's order: the first dimension first."""
    widths = list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    return [(0, 0)] * (ndim - len(widths)) + widths


@pytest.mark.parametrize(("shape", "widths"), [
    ((4,), (1, 2)),
    ((2, 3), (0, 2, 1, 0)),
    ((2, 3, 4), (1, 1)),
    ((2, 1, 3), (1, 0, 2, 2, 0, 1)),
    ((2, 3), ()),
])  # fmt: skip
@pytest.mark.parametrize("value", [None, 2.5])
def test_constant(shape: Any, widths: Any, value: float | None):
    def oracle(x: Any, pad: Any, mode: str, value: Any) -> Any:
        return np.pad(x, pairs(pad, x.ndim), constant_values=value or 0)

    check_op(F.pad, [draw(*shape), widths, "constant", value], oracle)


@pytest.mark.parametrize("widths", [(-1, 2), (2, -1), (-1, -2), (-2, 0, 1, -1), (-4, 3), (-4, -1)])
def test_negative_widths_crop(widths: Any):
    def oracle(x: Any, pad: Any) -> Any:
        for d, (a, b) in enumerate(pairs(pad, x.ndim)):
            kept = [slice(None)] * x.ndim
            kept[d] = slice(max(0, -a), x.shape[d] - max(0, -b))
            x = np.pad(
                x[tuple(kept)], [(max(a, 0), max(b, 0)) if i == d else (0, 0) for i in range(2)]
            )
        return x

    check_op(F.pad, [draw(3, 5), widths], oracle, grad=sum(widths) > -5)


@pytest.mark.parametrize("mode", NUMPY)
@pytest.mark.parametrize(("shape", "widths"), [
    ((2, 3, 4), (2, 1)),
    ((3, 4), (0, 3)),
    ((1, 2, 3, 4), (1, 2, 2, 0)),
    ((2, 3, 4), (1, 0, 0, 2)),
    ((1, 1, 3, 2, 3), (1, 1, 0, 1, 2, 1)),
    ((0, 2, 4), (1, 1)),
])  # fmt: skip
def test_modes(mode: str, shape: Any, widths: Any):
    def oracle(x: Any, pad: Any, mode: str) -> Any:
        return np.pad(x, pairs(pad, x.ndim), mode=NUMPY[mode])  # type: ignore[call-overload]

    check_op(F.pad, [draw(*shape), widths, mode], oracle, grad=0 not in shape)


@pytest.mark.parametrize("mode", NUMPY)
@pytest.mark.parametrize("widths", [(-1, 2), (2, -1), (-2, -1), (3, -3)])
def test_modes_crop_as_pytorch(mode: str, widths: Any):
    torch = pytest.importorskip("torch")
    x = draw(1, 2, 7)
    expected = torch.nn.functional.pad(torch.tensor(x), widths, mode)
    compare(to_numpy(F.pad(gpunn.tensor(x), widths, mode)), expected.numpy(), f"{mode} {widths}")


def test_dtypes(device: str):
    x = gpunn.arange(3, device=device)
    assert F.pad(x, (1, 1), value=7.5).tolist() == [7, 0, 1, 2, 7]
    assert F.pad(x.bool(), (1, 0)).tolist() == [False, False, True, True]
    assert F.pad(x.half(), (1, 0)).dtype is gpunn.float16
    assert F.pad(x.reshape(1, 3), [1, 1], "reflect").tolist() == [[1, 0, 1, 2, 1]]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "bool"])
@pytest.mark.parametrize("value", [3.7, -1, 300, float("inf"), float("nan"), True, None])
def test_the_value_in_other_dtypes_as_pytorch(dtype: str, value: float | None):
    same(
        lambda lib: lib.nn.functional.pad(
            lib.zeros(1, dtype=getattr(lib, dtype)), (1, 0), value=value
        )
    )


def test_the_result_never_shares_memory():
    x = gpunn.zeros(2, 3)
    for widths in ((), (0, 0)):
        y = F.pad(x, widths)
        y += 1
        assert x.sum() == 0


@pytest.mark.parametrize(("shape", "args", "kind", "text"), [
    ((3,), ((1,),), RuntimeError, "Padding length must be divisible by 2"),
    ((3,), ((1, 1, 1, 1),), RuntimeError, "Padding length should be less than or equal to two "
     "times the input dimension but got padding length 4 and input of dimension 1"),
    ((3,), ((-2, -2),), RuntimeError, "narrow(): length must be non-negative"),
    ((3,), (1,), TypeError, "pad(): argument 'pad' (position 2) must be tuple of ints, not int"),
    ((1, 1, 4, 4), ((1, 1), "some"), NotImplementedError, "Unrecognised padding mode some"),
    ((1, 1, 4, 4), ((1, 1, 1, 1), "reflect", 1.0), RuntimeError,
     'Padding mode "reflect" doesn\'t take in value argument'),
    ((1, 1, 4, 4), ((4, 4, 1, 1), "reflect"), RuntimeError, "Argument #4: Padding size should be "
     "less than the corresponding input dimension, but got: padding (4, 4) at dimension 3 of input "
     "[1, 1, 4, 4]"),
    ((1, 1, 4, 4), ((5, 4, 1, 1), "circular"), RuntimeError,
     "Padding value causes wrapping around more than once"),
    ((1, 1, 4, 4), ((1, 1), "reflect"), NotImplementedError,
     "Padding size 2 is not supported for 4D input tensor"),
    ((4,), ((1, 1), "replicate"), NotImplementedError,
     "Padding size 2 is not supported for 1D input tensor"),
    ((1, 1, 0), ((1, 1), "replicate"), RuntimeError, "Expected 2D or 3D (batch mode) tensor with "
     "possibly 0 batch size and other non-zero dimensions for input, but got: [1, 1, 0]"),
])  # fmt: skip
def test_refusals(shape: Any, args: Any, kind: type[Exception], text: str):
    with pytest.raises(kind) as caught:
        F.pad(gpunn.ones(shape), *args)
    assert str(caught.value).startswith(text)
    torch = pytest.importorskip("torch")
    with pytest.raises(kind) as caught:
        torch.nn.functional.pad(torch.ones(shape), *args)
    assert str(caught.value).startswith(text)
