"""conv_transpose1d to 3d against PyTorch, finite differences, and as the adjoint of convolution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import check_op, compare, same_as_torch, to_numpy

import gpunn
import gpunn.functional as F

RNG = np.random.default_rng(0)
FUNCTIONS = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def draw(*shape: int, dtype: str = "f4") -> Any:
    return RNG.normal(size=shape).astype(dtype)


# x, weight, stride, padding, output padding, groups, dilation
CASES: list[Any] = [
    ((2, 3, 4, 5), (3, 4, 3, 3), 1, 0, 0, 1, 1),
    ((2, 3, 4, 3), (3, 2, 3, 2), 2, 1, 1, 1, 1),
    ((1, 4, 3, 4), (4, 3, 2, 3), (2, 3), (0, 1), (1, 2), 2, (2, 1)),
    ((1, 3, 3, 3), (3, 1, 3, 3), 2, 1, 0, 3, 1),
    ((1, 2, 3, 3), (2, 3, 1, 1), 2, 0, 1, 1, 1),  # outputs that no input reaches
    ((1, 2, 4, 4), (2, 2, 2, 2), 1, 1, 2, 1, 3),  # output padding beyond the stride
    ((1, 2, 4, 4), (2, 2, 2, 2), 1, 3, 2, 1, 3),
    ((2, 3, 5), (3, 2, 4), 3, 1, 2, 1, 1),
    ((1, 2, 2, 3, 2), (2, 2, 2, 2, 3), (1, 2, 1), 0, (0, 1, 0), 1, 1),
]


def loops(x: Any, w: Any, b: Any, stride: Any, pad: Any, extra: Any, groups: int, dil: Any) -> Any:
    """Each input times the filter, added where it goes; what is padding is cut off."""
    n = x.ndim - 2
    stride, pad, extra, dil = (np.broadcast_to(v, n) for v in (stride, pad, extra, dil))
    reach = [(q - 1) * s + d * (k - 1) + 1 for q, s, d, k in
             zip(x.shape[2:], stride, dil, w.shape[2:], strict=True)]  # fmt: skip
    room = [r + e for r, e in zip(reach, extra, strict=True)]
    c, o = x.shape[1] // groups, w.shape[1]
    y = np.zeros((x.shape[0], groups * o, *room))
    for place in np.ndindex(*x.shape[2:]):
        for tap in np.ndindex(*w.shape[2:]):
            at = tuple(p * s + t * d for p, s, t, d in zip(place, stride, tap, dil, strict=True))
            for g in range(groups):
                part = x[(slice(None), slice(g * c, g * c + c), *place)].astype("f8")
                y[(slice(None), slice(g * o, g * o + o), *at)] += (
                    part @ w[(slice(g * c, g * c + c), slice(None), *tap)]
                )
    y = y[(..., *(slice(p, r - p) for p, r in zip(pad, room, strict=True)))]
    return y if b is None else y + b.reshape(-1, *(1,) * n)


@pytest.mark.parametrize(("x", "w", "stride", "pad", "extra", "groups", "dilation"), CASES)
def test_conv_transpose(
    x: Any, w: Any, stride: Any, pad: Any, extra: Any, groups: int, dilation: Any
):
    for bias in (True, False):
        b = draw(w[1] * groups) if bias else None
        inputs = [draw(*x), draw(*w), b, stride, pad, extra, groups, dilation]
        check_op(FUNCTIONS[len(w) - 2], inputs, lambda *a: loops(*a).astype("f4"), grad=bias)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_one_input_without_batch(n: int):
    x, w, b = draw(2, 4, 3, 3)[(..., *(0,) * (3 - n))], draw(2, 3, *(2,) * n), draw(3)
    y = FUNCTIONS[n](*(gpunn.tensor(v) for v in (x, w, b)), 2)
    expected = loops(x[None], w, b, 2, 0, 0, 1, 1)[0]
    compare(to_numpy(y), expected.astype("f4"), "one input")


def test_is_the_adjoint_of_convolution():
    x, y, w = (
        gpunn.tensor(draw(*s, dtype="f8")) for s in ((2, 3, 9, 8), (2, 4, 4, 4), (4, 3, 3, 2))
    )
    forward = (F.conv2d(x, w, stride=2, padding=(0, 0)) * y).sum()
    back = (F.conv_transpose2d(y, w, stride=2, output_padding=(0, 0)) * x).sum()
    assert forward.item() == pytest.approx(back.item())


PARITY = [
    ((2, 3, 4, 5), (3, 4, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    ((3, 4, 5), (3, 4, 3, 3), {}),
    ((0, 3, 4, 5), (3, 4, 3, 3), {}),
    ((2, 4, 4, 5), (4, 3, 3, 3), {"groups": 2}),
    ((2, 3, 4, 4), (3, 2, 2, 2), {"output_padding": 2, "dilation": 3, "padding": 3}),
    ((2, 2, 4, 5), (3, 4, 3, 3), {}),
    ((2, 3, 4, 5), (3, 4, 3, 3), {"groups": 2}),
    ((2, 3, 4, 5), (3, 4, 3, 3), {"groups": 0}),
    ((2, 3, 4, 5), (3, 4, 3, 3), {"output_padding": 1}),
    ((2, 3, 4, 5), (3, 4, 3, 3), {"output_padding": -1}),
    ((2, 3, 4, 5), (3, 4, 3, 3), {"padding": -1}),
    ((2, 3, 4, 5), (3, 4, 3, 3), {"padding": "same"}),
    ((2, 3, 4, 5), (3, 4, 3, 3), {"stride": (1, 2, 3)}),
    ((2, 3, 0, 5), (3, 4, 3, 3), {}),
    ((4, 5), (3, 4, 3, 3), {}),
]


@pytest.mark.parametrize(("x", "w", "options"), PARITY)
def test_values_and_refusals_as_pytorch(x: Any, w: Any, options: Any):
    pytest.importorskip("torch")

    def scenario(lib: Any, x: Any, w: Any) -> Any:
        return lib.nn.functional.conv_transpose2d(x, w, **options)

    same_as_torch(scenario, draw(*x), draw(*w))


def test_refuses_other_mismatches():
    x, w = gpunn.ones(2, 3, 4, 5), gpunn.ones(3, 4, 2, 2)
    with pytest.raises(RuntimeError, match=r"transposed=1, .* bias to be 1-dimensional with 4"):
        F.conv_transpose2d(x, w, gpunn.ones(3))
    with pytest.raises(RuntimeError, match="Output size is too small"):
        F.conv_transpose2d(x, w, padding=4)
    with pytest.raises(
        RuntimeError, match=r"list of 1 values .*_transpose2d: expected a weight .* of 4 dim"
    ):
        F.conv_transpose2d(x, gpunn.ones(3, 4, 2))
    with pytest.raises(
        NotImplementedError, match="\"conv_transpose2d\" not implemented for 'Bool'"
    ):
        F.conv_transpose2d(x.bool(), w.bool())


def test_double_gradients():
    x, w = (
        gpunn.tensor(draw(*s, dtype="f8"), requires_grad=True) for s in ((1, 2, 3, 2), (2, 2, 2, 3))
    )
    b = gpunn.tensor(draw(2, dtype="f8"), requires_grad=True)
    assert gpunn.autograd.gradgradcheck(
        lambda *a: F.conv_transpose2d(*a, stride=2, padding=1, output_padding=1), (x, w, b)
    )
