"""check_op: one operation against an oracle, finite differences, odd layouts and every device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import gpunn
from gpunn.autograd import gradcheck, gradgradcheck
from gpunn.sim.testing import ensure_cuda


def devices() -> list[str]:
    """The devices of this machine: the CPU, and a GPU, which is a simulated one if need be."""
    return ["cpu"] if ensure_cuda(devices=2) else ["cpu", "cuda"]


def to_numpy(value: Any) -> Any:
    """Host arrays of a result: a tensor (ours or PyTorch's), an array, or a sequence of them."""
    if isinstance(value, gpunn.Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, (tuple, list)):
        return [to_numpy(v) for v in value]
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            return value.float().numpy().astype(gpunn.bfloat16.numpy)
        return value.numpy()
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


_ROUNDING = {"float16": 4e-3, "bfloat16": 8e-3, "float32": 1e-5, "float64": 1e-10}


def same_as_torch(
    function: Callable[..., Any], *args: Any, tolerance: float | None = None, text: bool = True
) -> None:
    """Check that ``function(gpunn, *args)`` is ``function(torch, *args)``; arrays become tensors.

    Same values and dtypes, or the same exception, whose sentences begin alike (unless not
    ``text``). Needs PyTorch.
    """
    import torch

    outcomes: list[tuple[Any, Exception | None]] = []
    for module in (torch, gpunn):
        tensors = [_of(module, a) if isinstance(a, np.ndarray) else a for a in args]
        try:
            outcomes.append((_arrays(function(module, *tensors)), None))
        except Exception as error:
            outcomes.append((None, error))
    (expected, refusal), (got, error) = outcomes
    shown = [f"{a.dtype}{list(a.shape)}" if isinstance(a, np.ndarray) else repr(a) for a in args]
    what = f"{', '.join(shown)}: "
    if refusal is not None or error is not None:
        assert refusal is not None, f"{what}{error!r}, while PyTorch computes"
        assert error is not None, f"{what}PyTorch raises {refusal!r}"
        assert isinstance(error, type(refusal)), f"{what}{error!r}, PyTorch: {refusal!r}"
        sentence = str(refusal).replace("torch.", "gpunn.")[:40]
        assert not text or str(error).startswith(sentence), f"{what}{error}, PyTorch: {refusal}"
        return
    assert len(got) == len(expected), what
    for g, e in zip(got, expected, strict=True):
        if not isinstance(e, np.ndarray):
            assert g == e, f"{what}{g!r}, expected {e!r}"
            continue
        small = _ROUNDING.get(e.dtype.name, 0.0)
        compare(g, e, what, tolerance or small, tolerance or small)


def _of(module: Any, array: Any) -> Any:
    if array.dtype.name == "bfloat16":  # which PyTorch does not take from NumPy
        return module.tensor(array.astype(np.float32)).bfloat16()
    return module.tensor(array)


def _arrays(result: Any) -> list[Any]:
    results = result if isinstance(result, (tuple, list)) else [result]
    return [to_numpy(r) if hasattr(r, "detach") else r for r in results]


DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")


def draw(
    shape: tuple[int, ...], dtype: str = "float64", *, zeros: bool = True, seed: int = 0
) -> Any:
    """An array of small numbers of ``dtype``, the same each time; without ``zeros`` if asked."""
    random = np.random.default_rng(seed)
    if dtype == "bool":
        array = random.random(shape) > 0.4
    elif dtype.startswith(("int", "uint")):
        array = random.integers(0 if dtype == "uint8" else -5, 9, shape)
    else:
        array = random.standard_normal(shape) * 2
    array = np.asarray(array).astype(getattr(gpunn, dtype).numpy)
    return array if zeros else np.asarray(np.where(array == 0, np.ones((), array.dtype), array))
