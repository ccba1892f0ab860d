"""The windows of pooling: their arguments, what PyTorch refuses of them, and how many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpunn.backends.reference.window import output_size as windows_along
from gpunn.dtype import FLOATING
from gpunn.functional.arguments import Ints, ntuple, per_dimension
from gpunn.ops.common import dtype_of, need_tensor

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Sizes = int | Ints
OutputSize = int | None | tuple[int | None, ...]
_COUNTED = {1: "one int", 2: "two ints", 3: "three ints"}


def window_of(
    n: int, name: str, kernel_size: Sizes, stride: Any, padding: Sizes, dilation: Sizes
) -> tuple[Ints, Ints, Ints, Ints]:
    """kernel, stride, padding and dilation, an int for each dimension."""
    if stride is None or stride == ():
        stride = kernel_size

    def each(argument: str, value: Any, choice: str) -> Ints:
        problem = f"{name}: {argument} must {choice}, or a tuple of {_COUNTED[n]}"
        return per_dimension(value, n, name, argument, problem)

    return (
        each("kernel_size", kernel_size, "either be a single int"),
        each("stride", stride, "either be omitted, a single int"),
        each("padding", padding, "either be a single int"),
        each("dilation", dilation, "be either a single int"),
    )


def window_count(
    n: int,
    name: str,
    x: Tensor,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    ceil_mode: bool,
) -> Ints:
    """The output's spatial shape. Raises RuntimeError, in PyTorch's words, where there is none."""
    need_tensor(name, x)
    axes = "DHW"[-n:]
    if 0 in stride:
        raise RuntimeError("stride should not be zero")
    for k, p, d in zip(kernel, padding, dilation, strict=True):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > (d * (k - 1) + 1) // 2 and k > 0:
            raise RuntimeError(
                "pad should be at most half of effective kernel size, but got "
                f"pad={p}, kernel_size={k} and dilation={d}"
            )
    for what, letter, values in (
        ("kernel size", "k", kernel),
        ("stride", "d", stride),
        ("dilation", "dilation", dilation),
    ):
        if min(values) <= 0:
            got = " ".join(f"{letter}{a}: {v}" for a, v in zip(axes, values, strict=True))
            raise RuntimeError(f"{what} should be greater than zero, but got {got}")
    shape = x.data.shape
    if len(shape) not in (n + 1, n + 2):
        raise RuntimeError(
            f"non-empty {n + 1}D or {n + 2}D (batch mode) tensor expected for input, but {name} "
            f"got {list(shape)}"
        )
    if 0 in shape[-n - 1 :]:
        raise RuntimeError(
            f"Expected {n + 1}D or {n + 2}D (batch mode) tensor with optional 0 dim batch size for "
            f"input, but got:{list(shape)}"
        )
    if any(p > k // 2 for p, k in zip(padding, kernel, strict=True)):
        pads = ", ".join(f"pad{a} = {p}" for a, p in list(zip(axes, padding, strict=True))[::-1])
        sizes = ", ".join(f"k{a} = {k}" for a, k in list(zip(axes, kernel, strict=True))[::-1])
        raise RuntimeError(
            f"pad should be smaller than or equal to half of kernel size, but got {pads}, {sizes}"
        )
    size = shape[-n:]
    out = tuple(
        windows_along(*line, ceil_mode)
        for line in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    if min(out) < 1:
        before, after = ("x".join(map(str, (shape[-n - 1], *s))) for s in (size, out))
        raise RuntimeError(
            f"Given input size: ({before}). Calculated output size: ({after}). "
            "Output size is too small"
        )
    return out


def adaptive_size(n: int, name: str, x: Tensor, output_size: OutputSize) -> Ints:
    """``output_size``, an int for each dimension; None keeps the input's. Raises as PyTorch."""
    need_tensor(name, x)
    shape, kind = x.data.shape, x.data.dtype.kind
    if len(shape) not in (n + 1, n + 2):
        raise RuntimeError(f"{name}(): Expected {n + 1}D or {n + 2}D tensor, but got {list(shape)}")
    wanted = ntuple(output_size, n)
    if len(wanted) != n:
        raise RuntimeError(f"{name}: output_size must be {n}")
    filled = tuple(s if w is None else w for w, s in zip(wanted, shape[-n:], strict=True))
    out = per_dimension(filled, n, name, "output_size", "")
    if min(out) < 0:
        raise RuntimeError(
            f"{name}: elements of output_size must be greater than or equal to 0 but received "
            f"{{{', '.join(map(str, out))}}}"
        )
    empty = next((d for d in range(len(shape) - n, len(shape)) if not shape[d]), None)
    if empty is not None:
        raise RuntimeError(
            f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input "
            f"has sizes {list(shape)} with dimension {empty} being empty"
        )
    if kind not in FLOATING:
        raise refusal(name, x)
    return out


def refusal(name: str, x: Tensor) -> NotImplementedError:
    """The error for an element type that pooling does not take."""
    return NotImplementedError(
        f"\"{name}\" not implemented for '{dtype_of(x).title}'; convert the input, for "
        "example with .float()"
    )
