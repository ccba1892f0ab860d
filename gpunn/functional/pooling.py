"""Pooling: checks its arguments, and is differentiable to any order; one op for all ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array
from gpunn.backends import type2backend
from gpunn.backends.reference.window import output_size as windows_along
from gpunn.functional.arguments import Ints, ntuple, per_dimension
from gpunn.ops.common import Op, dtype_of
from gpunn.ops.indexing import gather

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Sizes = int | Ints
OutputSize = int | None | tuple[int | None, ...]


class MaxPool(Op):
    """Values and, if wanted, indices; ``window`` is (out, kernel, stride, padding, dilation)."""

    name = "MaxPool2DWithIndicesBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor, want_indices: bool, *window: Ints) -> Any:
        keep = ctx.needs_input_grad[0] or want_indices
        y, indices = type2backend[type(x.data)].max_pool(x.data, *window, indices=keep)
        if not keep:
            return y
        ctx.size = x.data.shape[-len(window[0]) :]
        ctx.save_for_backward(indices)
        ctx.mark_non_differentiable(indices)
        return (y, indices) if want_indices else y

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        dx = MaxPoolInput.apply(dy, *ctx.saved_tensors, ctx.size)
        return dx, None, None, None, None, None, None


class AdaptiveMaxPool(Op):
    """Values and indices."""

    name = "AdaptiveMaxPool2DBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor, out: Ints) -> tuple[Array, Array]:
        y, indices = type2backend[type(x.data)].adaptive_max_pool(x.data, out)
        ctx.size = x.data.shape[-len(out) :]
        ctx.save_for_backward(indices)
        ctx.mark_non_differentiable(indices)
        return y, indices

    @staticmethod
    def backward(ctx: Any, dy: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return MaxPoolInput.apply(dy, *ctx.saved_tensors, ctx.size), None


class MaxPoolInput(Op):
    """dx of dy, each added where its maximum came from; linear: its adjoint looks them up."""

    @staticmethod
    def forward(ctx: Any, dy: Tensor, indices: Tensor, size: Ints) -> Array:
        ctx.save_for_backward(indices)
        ctx.ndim = len(size)
        return type2backend[type(dy.data)].max_pool_input(dy.data, indices.data, size)

    @staticmethod
    def backward(ctx: Any, ddx: Tensor) -> tuple[Tensor | None, ...]:
        (indices,) = ctx.saved_tensors
        found = gather(ddx.flatten(-ctx.ndim), -1, indices.flatten(-ctx.ndim))
        return found.reshape(indices.data.shape), None, None


class AvgPool(Op):
    """``window`` is (kernel, stride, padding, count_include_pad, divisor_override)."""

    name = "AvgPool2DBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor, out: Ints, *window: Any) -> Array:
        ctx.size, ctx.window = x.data.shape[-len(out) :], window
        return type2backend[type(x.data)].avg_pool(x.data, out, *window)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        dx = AvgPoolInput.apply(dy, ctx.size, *ctx.window)
        return dx, None, None, None, None, None, None


class AvgPoolInput(Op):
    """dx of dy, for an input of spatial shape ``size``."""

    @staticmethod
    def forward(ctx: Any, dy: Tensor, size: Ints, *window: Any) -> Array:
        ctx.out, ctx.window = dy.data.shape[-len(size) :], window
        return type2backend[type(dy.data)].avg_pool_input(dy.data, size, *window)

    @staticmethod
    def backward(ctx: Any, ddx: Tensor) -> tuple[Tensor | None, ...]:
        ddy = AvgPool.apply(ddx, ctx.out, *ctx.window)
        return ddy, None, None, None, None, None, None


class AdaptiveAvgPool(Op):
    name = "AdaptiveAvgPool2DBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor, out: Ints) -> Array:
        ctx.size = x.data.shape[-len(out) :]
        return type2backend[type(x.data)].adaptive_avg_pool(x.data, out)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return AdaptiveAvgPoolInput.apply(dy, ctx.size), None


class AdaptiveAvgPoolInput(Op):
    """dx of dy, for an input of spatial shape ``size``."""

    @staticmethod
    def forward(ctx: Any, dy: Tensor, size: Ints) -> Array:
        ctx.out = dy.data.shape[-len(size) :]
        return type2backend[type(dy.data)].adaptive_avg_pool_input(dy.data, size)

    @staticmethod
    def backward(ctx: Any, ddx: Tensor) -> tuple[Tensor | None, ...]:
        return AdaptiveAvgPool.apply(ddx, ctx.out), None


# Maxima -------------------------------------------------------------------------------------


def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """``max_pool2d`` in one dimension: ``(N, C, L) -> (N, C, Lo)``."""
    return _max_pool(
        1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )  # fmt: skip


def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window: ``(N, C, H, W) -> (N, C, Ho, Wo)``; also ``(C, H, W)``.

    ``Ho = (H + 2 padding - dilation (kernel - 1) - 1) // stride + 1``; ``ceil_mode`` rounds up, but
    no window begins beyond the input and its left padding. ``stride=None`` means ``kernel_size``.
    Padding is lower than every element; NaN is larger. ``return_indices``: also the int64 index of
    each maximum in its plane of H * W elements, the first of equal ones. Raises RuntimeError for
    sizes that do not fit. As ``torch.nn.functional.max_pool2d``.
    """
    return _max_pool(
        2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )  # fmt: skip


def max_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """``max_pool2d`` in three dimensions: ``(N, C, D, H, W) -> (N, C, Do, Ho, Wo)``."""
    return _max_pool(
        3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )  # fmt: skip


def _max_pool(
    n: int,
    x: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    name = f"max_pool{n}d"
    window = _window(n, name, kernel_size, stride, padding, dilation)
    out = _check(n, name, x, *window, ceil_mode)
    if x.data.dtype.kind == "b":
        raise _not_implemented(name, x)
    return MaxPool.apply(x, return_indices, out, *window)


def adaptive_max_pool1d(input: Tensor, output_size: Sizes, return_indices: bool = False) -> Any:
    """``adaptive_max_pool2d`` in one dimension: ``(N, C, L) -> (N, C, output_size)``."""
    return _adaptive_max_pool(1, input, output_size, return_indices)


def adaptive_max_pool2d(
    input: Tensor, output_size: OutputSize, return_indices: bool = False
) -> Any:
    """The largest elements (and indices) of the windows of ``adaptive_avg_pool2d``."""
    return _adaptive_max_pool(2, input, output_size, return_indices)


def _adaptive_max_pool(n: int, x: Tensor, output_size: OutputSize, return_indices: bool) -> Any:
    out = _adaptive_size(n, f"adaptive_max_pool{n}d", x, output_size)
    y, indices = AdaptiveMaxPool.apply(x, out)
    return (y, indices) if return_indices else y


# Means --------------------------------------------------------------------------------------


def avg_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """``avg_pool2d`` in one dimension: ``(N, C, L) -> (N, C, Lo)``."""
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window: ``(N, C, H, W) -> (N, C, Ho, Wo)``; also ``(C, H, W)``.

    Sizes as in ``max_pool2d``. The sum is divided by the number of elements, where padding counts
    with ``count_include_pad``, but never what ``ceil_mode`` adds beyond it; or by
    ``divisor_override``. int64 is divided as in C. Raises RuntimeError for sizes that do not fit.
    As ``torch.nn.functional.avg_pool2d``.
    """
    return _avg_pool(
        2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """``avg_pool2d`` in three dimensions: ``(N, C, D, H, W) -> (N, C, Do, Ho, Wo)``."""
    return _avg_pool(
        3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def _avg_pool(
    n: int,
    x: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    name = f"avg_pool{n}d"
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    kernel, stride, padding, ones = _window(n, name, kernel_size, stride, padding, 1)
    out = _check(n, name, x, kernel, stride, padding, ones, ceil_mode)
    if x.data.dtype.kind != "f" and x.data.dtype.name != "int64":
        raise _not_implemented(name, x)
    return AvgPool.apply(x, out, kernel, stride, padding, count_include_pad, divisor_override)


def adaptive_avg_pool1d(input: Tensor, output_size: Sizes) -> Tensor:
    """``adaptive_avg_pool2d`` in one dimension: ``(N, C, L) -> (N, C, output_size)``."""
    return _adaptive_avg_pool(1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: OutputSize) -> Tensor:
    """The means of windows that part H x W as evenly as whole elements allow.

    ``(N, C, H, W) -> (N, C, *output_size)``; window i of m over H reaches from ⌊i H / m⌋ to before
    ⌈(i + 1) H / m⌉. None in ``output_size`` keeps a dimension; also ``(C, H, W)``. Raises
    NotImplementedError for integers. As ``torch.nn.functional.adaptive_avg_pool2d``.
    """
    return _adaptive_avg_pool(2, input, output_size)


def _adaptive_avg_pool(n: int, x: Tensor, output_size: OutputSize) -> Tensor:
    return AdaptiveAvgPool.apply(x, _adaptive_size(n, f"adaptive_avg_pool{n}d", x, output_size))


# Checks -------------------------------------------------------------------------------------

_COUNTED = {1: "one int", 2: "two ints", 3: "three ints"}


def _window(
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


def _check(
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


def _adaptive_size(n: int, name: str, x: Tensor, output_size: OutputSize) -> Ints:
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
    if kind != "f":
        raise _not_implemented(name, x)
    return out


def _not_implemented(name: str, x: Tensor) -> NotImplementedError:
    return NotImplementedError(
        f"\"{name}\" not implemented for '{dtype_of(x).title}'; convert the input, for "
        "example with .float()"
    )
