"""Convolution: checks its arguments, and is differentiable to any order; one op for all ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array
from gpunn.backends import type2backend
from gpunn.backends.reference.window import output_size
from gpunn.dtype import in_use
from gpunn.functional.arguments import Ints, by_shapes, per_dimension, plain_ints
from gpunn.functional.pad import pad
from gpunn.ops.common import Op, c_name, dtype_of, need_tensor
from gpunn.ops.precision import cast_for

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Padding = int | Ints | str


class Conv(Op, widens=False):
    """y of x and w; ``geometry`` is (stride, padding, dilation, groups) in all three ops."""

    name = "ConvolutionBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor | None, *geometry: Any) -> Array:
        need_x, need_w, *_ = ctx.needs_input_grad
        ctx.save_for_backward(x if need_w else None, w if need_x else None)
        ctx.size, ctx.kernel, ctx.geometry = x.data.shape[2:], w.data.shape[2:], geometry
        bias = None if b is None else b.data
        return type2backend[type(x.data)].conv(x.data, w.data, bias, *geometry)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        dx = None if w is None else ConvInput.apply(dy, w, ctx.size, *ctx.geometry)
        dw = None if x is None else ConvWeight.apply(x, dy, ctx.kernel, *ctx.geometry)
        db = ConvBias.apply(dy) if ctx.needs_input_grad[2] else None
        return dx, dw, db, None, None, None, None


class ConvInput(Op, widens=False):
    """dx of dy and w, for an input of spatial shape ``size``."""

    name = "ConvolutionBackward0"

    @staticmethod
    def forward(ctx: Any, dy: Tensor, w: Tensor, size: Ints, *geometry: Any) -> Array:
        need_dy, need_w, *_ = ctx.needs_input_grad
        ctx.save_for_backward(dy if need_w else None, w if need_dy else None)
        ctx.kernel, ctx.geometry = w.data.shape[2:], geometry
        return type2backend[type(dy.data)].conv_input(dy.data, w.data, size, *geometry)

    @staticmethod
    def backward(ctx: Any, ddx: Tensor) -> tuple[Tensor | None, ...]:
        dy, w = ctx.saved_tensors
        ddy = None if w is None else Conv.apply(ddx, w, None, *ctx.geometry)
        dw = None if dy is None else ConvWeight.apply(ddx, dy, ctx.kernel, *ctx.geometry)
        return ddy, dw, None, None, None, None, None


class ConvWeight(Op, widens=False):
    """dw of x and dy, for a weight of spatial shape ``kernel``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dy: Tensor, kernel: Ints, *geometry: Any) -> Array:
        need_x, need_dy, *_ = ctx.needs_input_grad
        ctx.save_for_backward(x if need_dy else None, dy if need_x else None)
        ctx.size, ctx.geometry = x.data.shape[2:], geometry
        return type2backend[type(x.data)].conv_weight(x.data, dy.data, kernel, *geometry)

    @staticmethod
    def backward(ctx: Any, ddw: Tensor) -> tuple[Tensor | None, ...]:
        x, dy = ctx.saved_tensors
        dx = None if dy is None else ConvInput.apply(dy, ddw, ctx.size, *ctx.geometry)
        ddy = None if x is None else Conv.apply(x, ddw, None, *ctx.geometry)
        return dx, ddy, None, None, None, None, None


class ConvBias(Op, widens=False):
    """db of dy."""

    @staticmethod
    def forward(ctx: Any, dy: Tensor) -> Array:
        ctx.shape = dy.data.shape
        return type2backend[type(dy.data)].conv_bias(dy.data)

    @staticmethod
    def backward(ctx: Any, ddb: Tensor) -> Tensor:
        return ddb.reshape(-1, *(1 for _ in ctx.shape[2:])).expand(*ctx.shape)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Ints = 1,
    padding: Padding = 0,
    dilation: int | Ints = 1,
    groups: int = 1,
) -> Tensor:
    """``conv2d`` in one dimension: ``(N, C, L), (O, C / groups, kL) -> (N, O, Lo)``."""
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Ints = 1,
    padding: Padding = 0,
    dilation: int | Ints = 1,
    groups: int = 1,
) -> Tensor:
    """y[n, o, q] = bias[o] + Σ_{c, t} weight[o, c, t] x[n, c, q stride - padding + t dilation].

    ``(N, C, H, W), (O, C / groups, kH, kW), (O,) -> (N, O, Ho, Wo)`` with
    ``Ho = (H + 2 padding - dilation (kH - 1) - 1) // stride + 1``; ``input`` may be one image
    ``(C, H, W)``. With ``groups``, an output channel sees the input channels of its own group.
    ``padding`` is an int, one for each dimension, ``"valid"`` (none) or ``"same"`` (Ho = H, for
    stride 1; an odd cell goes to the right and bottom). float16 is added in float32. Raises
    RuntimeError for shapes and dtypes that do not fit. As ``torch.nn.functional.conv2d``.
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Ints = 1,
    padding: Padding = 0,
    dilation: int | Ints = 1,
    groups: int = 1,
) -> Tensor:
    """``conv2d`` in three dimensions: ``(N, C, D, H, W) -> (N, O, Do, Ho, Wo)``."""
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


def _conv(
    n: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: int | Ints,
    padding: Padding,
    dilation: int | Ints,
    groups: int,
) -> Tensor:
    name = f"conv{n}d"
    need_tensor(name, x)
    need_tensor(name, weight, "weight", 2)
    if in_use:
        x, weight, bias = cast_for(name, x, weight, bias)
    shape, kernel = x.data.shape, weight.data.shape[2:]
    if len(shape) not in (n + 1, n + 2):
        raise RuntimeError(
            f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {name}, but got input "
            f"of size: {list(shape)}"
        )
    stride = by_dimension(n, name, "stride", stride)
    check_rank(n, name, weight, stride, "out_channels, in_channels / groups")
    dilation = by_dimension(n, name, "dilation", dilation)
    if isinstance(padding, str):
        x, padding = _named_padding(padding, x, kernel, stride, dilation)
    else:
        padding = by_dimension(n, name, "padding", padding)
    check_fit(n, x, weight, bias, stride, padding, dilation, groups)
    if len(shape) == n + 1:
        y = Conv.apply(x.unsqueeze(0), weight, bias, stride, padding, dilation, groups)
        return y.squeeze(0)
    return Conv.apply(x, weight, bias, stride, padding, dilation, groups)


def by_dimension(n: int, function: str, name: str, value: Any) -> Ints:
    """``value`` for each of ``n`` dimensions: one number serves all."""
    found = plain_ints(value, n)
    if found is not None:
        return found
    problem = (
        f"expected {name} to be a single integer value or a list of {n} values to match the "
        f"convolution dimensions, but got {name}={value}"
    )
    return per_dimension(value, n, function, name, problem.replace("(", "[").replace(")", "]"))


def by_axis(between: str, **values: Ints) -> str:
    """``kernel_height: 1 kernel_width: 3``: to PyTorch, what has one dimension has height 1."""
    parts: list[str] = []
    for what, given in values.items():
        if len(given) == 1:
            given = (int(what != "output_padding"), *given)
        axes = ("depth", "height", "width")[-len(given) :]
        parts += [f"{what}_{axis}: {v}" for axis, v in zip(axes, given, strict=True)]
    return between.join(parts)


def check_rank(n: int, name: str, weight: Tensor, stride: Ints, channels: str) -> None:
    """Refuse a weight of another rank; PyTorch takes the rank from it, and blames the stride."""
    sizes = list(weight.data.shape)
    if len(sizes) == n + 2:
        return
    k = len(sizes) - 2
    problem = "weight should have at least three dimensions"
    if k > 0:
        problem = (
            f"expected stride to be a single integer value or a list of {k} values to match the "
            f"convolution dimensions, but got stride={list(stride)}"
        )
    raise RuntimeError(
        f"{problem} ({name}: expected a weight ({channels}, *kernel) of {n + 2} dimensions, but "
        f"got {sizes})"
    )


def _named_padding(
    padding: str, x: Tensor, kernel: Ints, stride: Ints, dilation: Ints
) -> tuple[Tensor, Ints]:
    """The numbers that "valid" and "same" mean, and the input with what is not symmetric added."""
    if padding == "valid":
        return x, (0,) * len(kernel)
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: {padding!r}")
    if any(s != 1 for s in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    total = tuple(d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
    if any(t % 2 for t in total):
        x = pad(x, [w for t in reversed(total) for w in (0, t % 2)])
    return x, tuple(t // 2 for t in total)


@by_shapes
def check_fit(
    n: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    transposed: bool = False,
) -> None:
    """Refuse what does not fit, in PyTorch's words."""
    shape, sizes = list(x.data.shape), list(weight.data.shape)
    channels, size, kernel = shape[-n - 1], shape[-n:], sizes[2:]
    shape = shape if len(shape) == n + 2 else [1, *shape]
    name, expected, made = f"conv{n}d", sizes[1] * groups, sizes[0]
    if transposed:
        name, expected, made = f"conv_transpose{n}d", made, expected
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    if min(stride) <= 0:
        raise RuntimeError("non-positive stride is not supported")
    if min(padding) < 0:
        raise RuntimeError("negative padding is not supported")
    if min(dilation) <= 0:
        spread = list(dilation)
        got = by_axis(", ", dilation=dilation) if transposed else [1, *spread] if n == 1 else spread
        raise RuntimeError(f"dilation should be greater than zero, but got {got}")
    given = f"Given groups={groups}, "
    if sizes[0] < groups:
        raise RuntimeError(
            f"{given}expected weight to be at least {groups} at dimension 0, but got weight of "
            f"size {sizes} instead"
        )
    if sizes[0] % groups:
        raise RuntimeError(
            f"{given}expected weight to be divisible by {groups} at dimension 0, but got weight of "
            f"size [{sizes}] instead"
        )
    given = "Given transposed=1, " if transposed else f"Given groups={groups}, "
    if channels != expected:
        raise RuntimeError(
            f"{given}weight of size {sizes}, expected input{shape} to have {expected} "
            f"channels, but got {channels} channels instead"
        )
    if bias is not None and bias.data.shape != (made,):
        raise RuntimeError(
            f"Given {'transposed=1, ' * transposed}weight of size {sizes}, expected bias to be "
            f"1-dimensional with {made} elements, but got bias of size {list(bias.data.shape)} "
            "instead"
        )
    if 0 in kernel:
        sizes = " x ".join(map(str, kernel))
        got = f": {sizes} (TxHxW)" if n == 3 else f" {by_axis(' ', kernel=tuple(kernel))}"
        raise RuntimeError(f"kernel size should be greater than zero, but got{got}")
    outs = () if transposed else map(output_size, size, kernel, (1,) * n, padding, dilation)
    if any(o <= 0 for o in outs):
        padded = " x ".join(str(s + 2 * p) for s, p in zip(size, padding, strict=True))
        spread = " x ".join(str(d * (k - 1) + 1) for k, d in zip(kernel, dilation, strict=True))
        raise RuntimeError(
            f"Calculated padded input size per channel: ({padded}). Kernel size: ({spread}). "
            "Kernel size can't be greater than actual input size"
        )
    if 0 in size:
        raise RuntimeError(
            f"Only zero batch or zero channel inputs are supported, but got input shape: {shape}"
        )
    if x.data.dtype.kind == "b":
        raise NotImplementedError(f"\"{name}\" not implemented for 'Bool'")
    if weight.data.dtype != x.data.dtype:
        raise RuntimeError(
            f"expected scalar type {dtype_of(x).title} but found "
            f"{dtype_of(weight).title} ({name}: the dtypes of input and weight)"
        )
    if bias is not None and bias.data.dtype != x.data.dtype:
        raise RuntimeError(
            f"Input type ({c_name(x)}) and bias type ({c_name(bias)}) should be the same"
        )
