"""check_op: one operation against an oracle, finite differences, odd layouts and every device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import gpunn
from gpunn.autograd import gradcheck, gradgradcheck


def devices() -> list[str]:
    """The devices of this machine: the CPU, and each kind that can be used."""
    return ["cpu", "cuda"] if gpunn.cuda.is_available() else ["cpu"]


def to_numpy(value: Any) -> Any:
    """Host arrays of a result: a tensor (ours or PyTorch's), an array, or a sequence of them."""
    if isinstance(value, gpunn.Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, (tuple, list)):
        return [to_numpy(v) for v in value]
    if hasattr(value, "detach"):
        return value.detach().cpu().numpy()
    return np.asarray(value)


def check_op(
    function: Callable[..., Any],
    inputs: Sequence[Any],
    oracle: Callable[..., Any],
    *,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    grad: bool = True,
    double_grad: bool = True,
    dtype: bool = True,
) -> None:
    """Check ``function(*inputs)``; ``inputs`` are arrays (tensors to be) or plain values.

    ``oracle`` gets the same inputs as arrays and returns arrays (or PyTorch tensors). Value (and
    dtype) are compared for the inputs as they are, for a non-contiguous layout, and on every
    device; gradients and double gradients of the float64 inputs by finite differences.
    """
    name = getattr(function, "__name__", repr(function))
    expected = to_numpy(oracle(*inputs))
    for device in devices():
        for layout in ("contiguous", "strided"):
            args = [_tensor(x, device, layout) for x in inputs]
            got = to_numpy(function(*args))
            compare(got, expected, f"{name} on {device}, {layout}", rtol, atol, dtype)
    if not grad:
        return
    for layout in ("contiguous", "strided"):
        args = [_tensor(x, "cpu", layout, wide=True) for x in inputs]
        for a in args:
            if isinstance(a, gpunn.Tensor) and a.is_floating_point():
                a.requires_grad_()
        gradcheck(function, args)
        if double_grad and layout == "contiguous":
            gradgradcheck(function, args)
    reference = _gradients(function, inputs, "cpu")
    for device in devices()[1:]:
        for i, (a, b) in enumerate(
            zip(_gradients(function, inputs, device), reference, strict=True)
        ):
            compare(a, b, f"gradient {i} of {name} on {device}", rtol, atol)


def compare(
    got: Any, expected: Any, what: str, rtol: float = 1e-5, atol: float = 1e-6, dtype: bool = True
) -> None:
    """Fail, naming the first element that differs, unless shapes, dtypes and values agree."""
    if isinstance(expected, list):
        assert len(got) == len(expected), f"{what}: {len(got)} outputs, expected {len(expected)}"
        for i, (g, e) in enumerate(zip(got, expected, strict=True)):
            compare(g, e, f"{what}, output {i}", rtol, atol, dtype)
        return
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    if dtype:
        assert got.dtype == expected.dtype, f"{what}: {got.dtype}, expected {expected.dtype}"
    bad = ~np.isclose(
        got.astype(np.float64), expected.astype(np.float64), rtol=rtol, atol=atol, equal_nan=True
    )
    if bad.any():
        index = tuple(int(k) for k in np.argwhere(bad)[0])
        raise AssertionError(
            f"{what}: {int(bad.sum())} of {bad.size} elements differ, first at {index}: "
            f"got {got[index]!r}, expected {expected[index]!r}"
        )


def _tensor(x: Any, device: str, layout: str, wide: bool = False) -> Any:
    if not isinstance(x, np.ndarray):
        return x
    if wide and x.dtype.kind == "f":
        x = x.astype(np.float64)
    if layout == "strided" and x.ndim:
        spread = np.zeros((*x.shape, 2), x.dtype)
        spread[..., 0] = x
        return gpunn.tensor(spread, device=device)[..., 0].detach()
    return gpunn.tensor(x, device=device)


def _gradients(function: Callable[..., Any], inputs: Sequence[Any], device: str) -> list[Any]:
    args = [_tensor(x, device, "contiguous", wide=True) for x in inputs]
    leaves = [a for a in args if isinstance(a, gpunn.Tensor) and a.is_floating_point()]
    for leaf in leaves:
        leaf.requires_grad_()
    results = function(*args)
    outputs = results if isinstance(results, (tuple, list)) else [results]
    total = sum((o * o).sum() for o in outputs if o.requires_grad)
    total.backward()
    return [to_numpy(leaf.grad) for leaf in leaves if leaf.grad is not None]
