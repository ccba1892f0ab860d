"""conv1d, conv2d and conv3d against loops, finite differences and PyTorch."""

from __future__ import annotations

from typing import Any

import loops
import numpy as np
import pytest
from checks import check_op, compare, to_numpy

import gpunn
import gpunn.functional as F

RNG = np.random.default_rng(0)
FUNCTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def draw(*shape: int, dtype: str = "f4") -> Any:
    return RNG.normal(size=shape).astype(dtype)


# x, weight, (stride, padding, dilation, groups)
CASES: list[Any] = [
    ((2, 3, 5, 6), (4, 3, 3, 3), (1, 0, 1, 1)),
    ((2, 3, 5, 6), (4, 3, 3, 3), (1, 1, 1, 1)),
    ((1, 2, 7, 6), (3, 2, 3, 2), (2, (1, 0), 1, 1)),
    ((2, 2, 7, 7), (2, 2, 3, 2), ((2, 3), (2, 1), (1, 2), 1)),
    ((1, 4, 5, 5), (6, 2, 3, 3), (1, 1, 1, 2)),
    ((2, 3, 4, 4), (6, 1, 2, 2), (2, 0, 1, 3)),
    ((2, 3, 4, 5), (4, 3, 1, 1), (1, 0, 1, 1)),
    ((2, 3, 5, 4), (2, 3, 1, 1), (2, 1, 1, 1)),
    ((1, 1, 3, 3), (2, 1, 2, 2), (1, 4, 1, 1)),  # windows that see padding only
    ((1, 2, 6, 5), (2, 2, 2, 2), (3, 0, 2, 1)),  # elements that no window sees
    ((0, 3, 5, 6), (4, 3, 3, 3), (1, 1, 1, 1)),
    ((2, 3, 7), (4, 3, 3), (2, 1, 1, 1)),
    ((2, 4, 6), (2, 2, 2), (1, 2, 3, 2)),
    ((1, 2, 3, 4, 3), (2, 2, 2, 3, 2), (1, (0, 1, 1), 1, 1)),
]


@pytest.mark.parametrize(("x", "w", "geometry"), CASES)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_conv(x: Any, w: Any, geometry: Any, bias: bool):
    inputs = [draw(*x), draw(*w), draw(w[0]) if bias else None, *geometry]
    check_op(FUNCTIONS[len(w) - 2], inputs, lambda *a: loops.conv(*a).astype("f4"), grad=x[0] > 0)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_one_input_without_batch(n: int):
    x, w, b = draw(2, 4, 5, 3)[(..., *(0,) * (3 - n))], draw(3, 2, *(2,) * n), draw(3)
    check_op(FUNCTIONS[n], [x, w, b], lambda x, w, b: loops.conv(x[None], w, b)[0].astype("f4"))


@pytest.mark.parametrize("kernel", [(3, 3), (2, 3), (4, 4), (1, 1)])
@pytest.mark.parametrize("dilation", [1, 2, (1, 3)])
def test_same_keeps_the_size_and_pads_more_on_the_right(kernel: Any, dilation: Any):
    def oracle(x: Any, w: Any, _b: Any, _s: Any, _p: Any, dilation: Any) -> Any:
        total = [
            int(d) * (k - 1) for d, k in zip(np.broadcast_to(dilation, 2), kernel, strict=True)
        ]
        wide = np.pad(x, [(0, 0), (0, 0), *((t // 2, t - t // 2) for t in total)])
        return loops.conv(wide, w, dilation=dilation).astype("f4")

    inputs = [draw(1, 2, 5, 6), draw(2, 2, *kernel), None, 1, "same", dilation]
    check_op(F.conv2d, inputs, oracle)
    assert F.conv2d(*(gpunn.tensor(a) for a in inputs[:2]), padding="same").shape[2:] == (5, 6)


def test_valid_is_no_padding():
    x, w = gpunn.tensor(draw(1, 2, 5, 6)), gpunn.tensor(draw(2, 2, 3, 3))
    assert F.conv2d(x, w, padding="valid", stride=2).equal(F.conv2d(x, w, stride=2))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("x", "w", "geometry"), [
    ((3, 8, 9, 10), (6, 8, 3, 3), (1, 1, 1, 1)),
    ((3, 8, 9, 10), (6, 4, 3, 3), (2, 1, 2, 2)),
    ((3, 8, 11), (6, 8, 3), (1, 1, 1, 1)),
])  # fmt: skip
def test_values_and_gradients_as_pytorch_in_every_dtype(dtype: str, x: Any, w: Any, geometry: Any):
    torch = pytest.importorskip("torch")
    n = len(w) - 2
    arrays = [draw(*x, dtype=dtype), draw(*w, dtype=dtype), draw(w[0], dtype=dtype)]
    a = [gpunn.tensor(v, requires_grad=True) for v in arrays]
    b = [torch.tensor(v, requires_grad=True) for v in arrays]
    y = FUNCTIONS[n](*a, *geometry)
    z = getattr(torch.nn.functional, f"conv{n}d")(*b, *geometry)
    dy = draw(*z.shape, dtype=dtype)
    y.backward(gpunn.tensor(dy))
    z.backward(torch.tensor(dy))
    tolerance = {"float16": 2e-2, "float32": 1e-4, "float64": 1e-11}[dtype]
    compare(to_numpy(y), to_numpy(z), "conv", tolerance, tolerance)
    for name, p, q in zip("xwb", a, b, strict=True):
        compare(to_numpy(p.grad), to_numpy(q.grad), f"d{name}", tolerance, tolerance)


def test_float16_is_added_in_float32(device: str):
    x, w = gpunn.ones(1, 4096, 1, 1, device=device), gpunn.ones(1, 4096, 1, 1, device=device)
    y = F.conv2d(x.half(), w.half())
    assert y.dtype is gpunn.float16
    assert float(y) == 4096  # float16 knows no 2049: added up there, it would end at 2048


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_integers_are_exact(dtype: str):
    x = RNG.integers(0, 5, (2, 3, 5, 5)).astype(dtype)
    w = RNG.integers(0, 5, (2, 3, 3, 3)).astype(dtype)
    check_op(F.conv2d, [x, w], lambda x, w: loops.conv(x, w).astype(dtype), grad=False)


def test_many_images_and_rows_are_computed_in_parts_of_the_same_value():
    # Larger than one tile of the CPU's columns, in both directions.
    for shape in [(1, 16, 130, 80), (40, 16, 30, 30), (200, 16, 6, 6), (2, 16, 9000)]:
        x, w = draw(*shape), draw(4, 16, *(3,) * (len(shape) - 2))
        convolve = FUNCTIONS[len(shape) - 2]
        whole = convolve(gpunn.tensor(x), gpunn.tensor(w), padding=1)
        half = len(x) // 2
        parts = [
            convolve(gpunn.tensor(v), gpunn.tensor(w), padding=1) for v in (x[:half], x[half:])
        ]
        compare(
            to_numpy(whole), np.concatenate([to_numpy(p) for p in parts]), f"{shape}", 1e-4, 1e-4
        )
        at = (-1, 1, *(v // 3 for v in shape[2:]))
        near = x[-1:][(..., *(slice(v - 1, v + 2) for v in at[2:]))]
        assert float(whole[at]) == pytest.approx(loops.conv(near, w)[0, 1].item(), rel=1e-4)


def test_the_same_twice_bit_for_bit(device: str):
    x, w = (gpunn.tensor(draw(*s), device=device) for s in [(8, 8, 9, 9), (8, 8, 3, 3)])
    runs: list[Any] = []
    for _ in range(2):
        a, b = x.clone().requires_grad_(), w.clone().requires_grad_()
        y = F.conv2d(a, b, padding=1)
        (y * y).sum().backward()
        runs.append([y, a.grad, b.grad])
    assert all(p.equal(q) for p, q in zip(*runs, strict=True))


def test_only_what_is_asked_for_is_computed():
    x, w, b = gpunn.ones(1, 2, 4, 4), gpunn.ones(3, 2, 3, 3), gpunn.ones(3, requires_grad=True)
    y = F.conv2d(x, w, b)
    assert y.grad_fn.saved_tensors == (None, None)
    y.sum().backward()
    assert b.grad is not None
    assert b.grad.tolist() == [4, 4, 4]
    assert x.grad is None
    assert w.grad is None


def test_node_has_pytorchs_name():
    x = gpunn.ones(1, 2, 4, 4, requires_grad=True)
    assert F.conv2d(x, gpunn.ones(3, 2, 3, 3)).grad_fn.name == "ConvolutionBackward0"


# Refusals: the beginning of PyTorch's sentence, and the same type of exception --------------

ONE = (1, 3, 5, 5)
KERNEL = (4, 3, 3, 3)


@pytest.mark.parametrize(("x", "w", "options", "text"), [
    ((1, 2, 5, 5), KERNEL, {}, "Given groups=1, weight of size [4, 3, 3, 3], expected "
     "input[1, 2, 5, 5] to have 3 channels, but got 2 channels instead"),
    ((1, 5, 5, 5), KERNEL, {"groups": 2}, "Given groups=2, weight of size [4, 3, 3, 3], expected "
     "input[1, 5, 5, 5] to have 6 channels, but got 5 channels instead"),
    ((1, 6, 5, 5), (3, 3, 3, 3), {"groups": 2}, "Given groups=2, expected weight to be divisible "
     "by 2 at dimension 0, but got weight of size [[3, 3, 3, 3]] instead"),
    ((1, 3, 5, 5), (0, 3, 3, 3), {}, "Given groups=1, expected weight to be at least 1 at "
     "dimension 0, but got weight of size [0, 3, 3, 3] instead"),
    ((5, 5), KERNEL, {}, "Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input "
     "of size: [5, 5]"),
    ((1, 1, 3, 5, 5), KERNEL, {}, "Expected 3D (unbatched) or 4D (batched) input to conv2d, but "
     "got input of size: [1, 1, 3, 5, 5]"),
    (ONE, (4, 3, 7, 7), {}, "Calculated padded input size per channel: (5 x 5). Kernel size: "
     "(7 x 7). Kernel size can't be greater than actual input size"),
    (ONE, (4, 3, 5, 5), {"padding": 1, "dilation": 2}, "Calculated padded input size per channel: "
     "(7 x 7). Kernel size: (9 x 9). Kernel size can't be greater than actual input size"),
    (ONE, KERNEL, {"stride": 0}, "non-positive stride is not supported"),
    (ONE, KERNEL, {"stride": -1}, "non-positive stride is not supported"),
    (ONE, KERNEL, {"dilation": 0}, "dilation should be greater than zero, but got [0, 0]"),
    (ONE, KERNEL, {"padding": -1}, "negative padding is not supported"),
    (ONE, KERNEL, {"groups": 0}, "non-positive groups is not supported"),
    (ONE, KERNEL, {"groups": -1}, "non-positive groups is not supported"),
    (ONE, KERNEL, {"padding": "same", "stride": 2},
     "padding='same' is not supported for strided convolutions"),
    (ONE, KERNEL, {"padding": "some"}, "Invalid padding string: 'some'"),
    (ONE, KERNEL, {"stride": (1, 1, 1)}, "expected stride to be a single integer value or a list "
     "of 2 values to match the convolution dimensions, but got stride=[1, 1, 1]"),
    ((1, 3, 0, 5), KERNEL, {"padding": 2}, "Only zero batch or zero channel inputs are supported, "
     "but got input shape: [1, 3, 0, 5]"),
])  # fmt: skip
def test_refusals(x: Any, w: Any, options: Any, text: str):
    with pytest.raises(RuntimeError) as caught:
        F.conv2d(gpunn.ones(x), gpunn.ones(w), **options)
    assert str(caught.value).startswith(text)
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError) as caught:
        torch.nn.functional.conv2d(torch.ones(x), torch.ones(w), **options)
    assert str(caught.value).startswith(text)


def test_refuses_other_mismatches():
    x, w = gpunn.ones(ONE), gpunn.ones(KERNEL)
    with pytest.raises(RuntimeError, match="expected bias to be 1-dimensional with 4 elements"):
        F.conv2d(x, w, gpunn.ones(5))
    with pytest.raises(RuntimeError, match="expected scalar type Double but found Float"):
        F.conv2d(x.double(), w)
    with pytest.raises(RuntimeError, match=r"bias type .* should be the same"):
        F.conv2d(x, w, gpunn.ones(4).double())
    with pytest.raises(NotImplementedError, match="not implemented for 'Bool'"):
        F.conv2d(x.bool(), w.bool())
    with pytest.raises(
        RuntimeError, match=r"list of 1 values .*conv2d: expected a weight .* of 4 dim"
    ):
        F.conv2d(x, gpunn.ones(4, 3, 3))
    with pytest.raises(TypeError, match="argument 'stride' must be tuple of ints, not float"):
        F.conv2d(x, w, stride=1.5)
    with pytest.raises(RuntimeError, match="kernel size should be greater than zero"):
        F.conv2d(x, gpunn.ones(4, 3, 0, 3))
