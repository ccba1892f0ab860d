"""Normalization by mean and variance: over the batch, a layer, groups of channels, an instance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.grad_mode import no_grad
from gpunn.autograd.variable import Array
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING, in_use
from gpunn.ops.common import Op, dtype_of, need_tensor, not_implemented
from gpunn.ops.pointwise import rsqrt
from gpunn.ops.precision import cast_for

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class BatchNorm(Op, widens=False):
    """y by the batch's statistics, which also move the running ones, if given, in place."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        momentum: float,
        eps: float,
    ) -> Array:
        ctx.eps = eps
        vectors = _data(weight), _data(bias), eps, _data(running_mean), _data(running_var)
        y, mean, var = type2backend[type(x.data)].batch_norm(x.data, *vectors, momentum)
        ctx.save_for_backward(x, weight, mean, var)
        for running in (running_mean, running_var):
            if running is not None and x.data.size:
                running._version_box[0] += 1
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return *BatchNormInput.apply(dy, *ctx.saved_tensors, ctx.eps), None, None, None, None


class BatchNormInput(Op, widens=False):
    """dx, dw and db of ``BatchNorm``."""

    @staticmethod
    def forward(
        ctx: Any,
        dy: Tensor,
        x: Tensor,
        weight: Tensor | None,
        mean: Tensor,
        var: Tensor,
        eps: float,
    ) -> tuple[Array, ...]:
        ctx.eps = eps
        ctx.save_for_backward(dy, x, weight)
        backend = type2backend[type(x.data)]
        return backend.batch_norm_input(dy.data, x.data, _data(weight), mean.data, var.data, eps)

    @staticmethod
    def backward(ctx: Any, *gs: Tensor) -> tuple[Tensor | None, ...]:
        dy, x, weight = ctx.saved_tensors
        shape = (1, -1) + (1,) * (x.data.ndim - 2)
        axes = (0, *range(2, x.data.ndim))
        g, gw, gb = gs[0], gs[1].reshape(shape), gs[2].reshape(shape)
        w = None if weight is None else weight.reshape(shape)
        ddy, dx, dw = _second(dy, x, w, axes, ctx.eps, g, gw, gb)
        return ddy, dx, None if dw is None else dw.sum(axes), None, None, None


class LayerNorm(Op, widens=False):
    """y alone, over the last ``dims`` dimensions; weight and bias broadcast to x."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, dims: int, eps: float
    ) -> Array:
        affine = weight if weight is not None else bias
        ctx.args = dims, eps, None if affine is None else affine.data.shape
        backend = type2backend[type(x.data)]
        y, mean, var = backend.layer_norm(x.data, _data(weight), _data(bias), dims, eps)
        ctx.save_for_backward(x, weight, mean, var)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        dx, *sums = LayerNormInput.apply(dy, *ctx.saved_tensors, *ctx.args)
        dw, db = sums or (None, None)
        return dx, dw, db, None, None


class LayerNormInput(Op, widens=False):
    """dx, and where there is a weight or a bias dw and db, of ``LayerNorm``."""

    @staticmethod
    def forward(
        ctx: Any,
        dy: Tensor,
        x: Tensor,
        weight: Tensor | None,
        mean: Tensor,
        var: Tensor,
        dims: int,
        eps: float,
        affine: tuple[int, ...] | None,
    ) -> tuple[Array, ...]:
        ctx.args = dims, eps
        ctx.save_for_backward(dy, x, weight)
        backend = type2backend[type(x.data)]
        arrays = dy.data, x.data, _data(weight), mean.data, var.data
        dx, *sums = backend.layer_norm_input(*arrays, dims, eps, affine)
        return (dx,) if affine is None else (dx, *sums)

    @staticmethod
    def backward(
        ctx: Any, g: Tensor, gw: Tensor | None = None, gb: Tensor | None = None
    ) -> tuple[Tensor | None, ...]:
        dy, x, weight = ctx.saved_tensors
        dims, eps = ctx.args
        axes = tuple(range(x.data.ndim - dims, x.data.ndim))
        ddy, dx, dw = _second(dy, x, weight, axes, eps, g, gw, gb)
        return ddy, dx, dw, None, None, None, None, None


class BatchNormEval(Op, widens=False):
    """y with a mean and variance given, which get no gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        var: Tensor,
        eps: float,
    ) -> Array:
        ctx.eps = eps
        ctx.save_for_backward(x, weight, mean, var)
        return type2backend[type(x.data)].batch_norm_eval(
            x.data, _data(weight), _data(bias), mean.data, var.data, eps
        )

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, var = ctx.saved_tensors
        need_x, need_weight, need_bias, *_ = ctx.needs_input_grad
        shape = (1, -1) + (1,) * (x.data.ndim - 2)
        axes = (0, *range(2, x.data.ndim))
        rstd = rsqrt(var + ctx.eps)
        scale = rstd if weight is None else weight * rstd
        dx = dy * scale.reshape(shape) if need_x else None
        dw = None
        if need_weight:
            dw = (dy * (x - mean.reshape(shape))).sum(axes) * rstd
        db = dy.sum(axes) if need_bias else None
        return dx, dw, db, None, None, None


def _data(x: Tensor | None) -> Array | None:
    return None if x is None else x.data


def _second(
    dy: Tensor,
    x: Tensor,
    w: Tensor | None,
    axes: tuple[int, ...],
    eps: float,
    g: Tensor,
    gw: Tensor | None,
    gb: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients of ⟨g, dx⟩ + ⟨gw, dw⟩ + ⟨gb, db⟩ in dy, x and w, all broadcast to ``x``.

    Without ``gw`` and ``gb`` of ⟨g, dx⟩ alone.

    With x̂ = (x - mean) r, v = w dy and P(v) = v - mean(v) - x̂ mean(v x̂):
    dx = r P(v), dw = Σ dy x̂, db = Σ dy, where dr = -r² mean(x̂ dx) and dx̂ = r P(dx).
    """
    apart = x - x.mean(axes, True)
    r = rsqrt((apart * apart).mean(axes, True) + eps)
    xhat = apart * r

    def project(v: Tensor) -> Tensor:
        return v - v.mean(axes, True) - xhat * (v * xhat).mean(axes, True)

    v = dy if w is None else dy * w
    from_g = project(g) * r
    ddy = from_g if w is None else from_g * w
    slope = (g * (v * xhat).mean(axes, True) + v * (g * xhat).mean(axes, True)) * -r
    if gw is not None and gb is not None:
        ddy = ddy + gw * xhat + gb
        slope = slope + gw * dy
    # ⟨g, P(v)⟩ = ⟨P(g), v⟩, for P is symmetric.
    dx = project(slope) * r - xhat * (from_g * v).mean(axes, True) * r
    return ddy, dx, None if w is None else dy * from_g


def _check(name: str, x: Tensor, channels: int, *vectors: Tensor | None) -> None:
    """Raise unless ``x`` is a float and each vector has one element per channel."""
    if x.data.dtype.kind not in FLOATING:
        raise not_implemented(name, x.data)
    names = "running_mean", "running_var", "weight", "bias"
    for argument, vector in zip(names, vectors, strict=True):
        if vector is None:
            continue
        if vector.data.size != channels:
            raise RuntimeError(
                f"{argument} should contain {channels} elements not {vector.data.size}"
            )
        if vector.data.dtype not in (x.data.dtype, numpy.promote_types(x.data.dtype, "f4")):
            raise RuntimeError(
                f"mixed dtype (CPU): all inputs must share same datatype. ({name}: input is "
                f"{dtype_of(x).name}, {argument} {dtype_of(vector).name})"
            )


def _check_pair(running_mean: Tensor | None, running_var: Tensor | None) -> None:
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean and running_var must either both be None or neither be None")


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """(x - mean) / √(var + eps) w + b per channel: ``(N, C, ...) -> (N, C, ...)``.

    In training, mean and biased variance are the batch's, and the running ones move on, in place:
    running = (1 - momentum) running + momentum batch, the variance there unbiased. Otherwise they
    are the running ones. Raises ValueError for one value per channel in training, RuntimeError
    for vectors that are not ``(C,)``.
    S. Ioffe and C. Szegedy, "Batch normalization", 2015.
    """
    need_tensor("batch_norm", input)
    shape = input.data.shape
    if len(shape) < 2 and training:
        limits = f"[-{len(shape)}, {len(shape) - 1}]"
        raise IndexError(
            f"Dimension out of range (expected to be in range of {limits}, but got 1): batch_norm "
            f"expected input (N, C, ...) of at least 2 dimensions, got {list(shape)}"
        )
    if len(shape) < 2 and running_mean is not None:
        raise RuntimeError(
            f"running_mean should contain 0 elements not {running_mean.numel()}: batch_norm "
            f"expected input (N, C, ...) of at least 2 dimensions, got {list(shape)}"
        )
    count = math.prod(shape) // shape[1] if shape[1] else 0
    if training and count == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {input.shape!r}"
        )
    if eps < 0 or (training and eps == 0):
        wanted = "positive during training" if training else "non-negative"
        raise ValueError(f"batch_norm eps must be {wanted}, but got {eps}")
    _check("batch_norm", input, shape[1], running_mean, running_var, weight, bias)
    if not training:
        if running_mean is None or running_var is None:
            missing = "running_mean" if running_mean is None else "running_var"
            raise RuntimeError(f"{missing} must be defined in evaluation mode")
        return BatchNormEval.apply(input, weight, bias, running_mean, running_var, eps)
    _check_pair(running_mean, running_var)
    return BatchNorm.apply(input, weight, bias, running_mean, running_var, momentum, eps)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """Batch norm of every image by itself: ``(N, C, ...) -> (N, C, ...)``.

    Running statistics, if given, move by the mean of the images' own; without ``use_input_stats``
    they are what is normalized by. Raises ValueError for one value per channel.
    D. Ulyanov, A. Vedaldi and V. Lempitsky, "Instance normalization", 2016.
    """
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "Expected running_mean and running_var to be defined when use_input_stats is false"
            )
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    need_tensor("instance_norm", input)
    n, c, *spatial = input.data.shape
    if math.prod(spatial) == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {input.shape!r}"
        )
    with no_grad():
        mean, var = _repeated(running_mean, n), _repeated(running_var, n)
    w, b = _repeated(weight, n), _repeated(bias, n)
    _check("instance_norm", input, n * c, mean, var, w, b)
    _check_pair(running_mean, running_var)
    images = input.reshape(1, n * c, *spatial)
    y = BatchNorm.apply(images, w, b, mean, var, momentum, eps)
    with no_grad():
        for running, moved in ((running_mean, mean), (running_var, var)):
            if running is not None and moved is not None and n:
                running.copy_(moved.reshape(n, c).mean(0))
    return y.reshape(*input.data.shape)


def _repeated(vector: Tensor | None, n: int) -> Tensor | None:
    return None if vector is None else vector.repeat(n)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
) -> Tensor:
    """(x - mean) / √(var + eps) w + b over the last dimensions, which are ``normalized_shape``.

    The variance is biased; ``weight`` and ``bias`` have ``normalized_shape``. Raises RuntimeError
    where shapes do not fit. J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer normalization", 2016.
    """
    need_tensor("layer_norm", input)
    if in_use:
        input, weight, bias = cast_for("layer_norm", input, weight, bias)
    if not isinstance(normalized_shape, Sequence):
        raise TypeError(
            "layer_norm(): argument 'normalized_shape' (position 2) must be tuple of ints, not "
            f"{type(normalized_shape).__name__}"
        )
    wanted, shape = tuple(normalized_shape), input.data.shape
    if not wanted:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            "element, but got normalized_shape = []"
        )
    for name, vector in (("weight", weight), ("bias", bias)):
        if vector is not None and vector.data.shape != wanted:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(vector.data.shape)} and normalized_shape = {list(wanted)}"
            )
    if shape[-len(wanted) :] != wanted:
        sizes = "".join(f", {n}" for n in wanted)
        raise RuntimeError(
            f"Given normalized_shape={list(wanted)}, expected input with shape [*{sizes}], "
            f"but got input of size{list(shape)}"
        )
    _check("layer_norm", input, math.prod(wanted), None, None, weight, bias)
    return LayerNorm.apply(input, weight, bias, len(wanted), eps)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
) -> Tensor:
    """(x - mean) / √(var + eps) w + b, mean and biased variance over each group of channels.

    ``(N, C, ...) -> (N, C, ...)``, weight and bias ``(C,)``. Raises RuntimeError where shapes do
    not fit. Y. Wu and K. He, "Group normalization", 2018.
    """
    need_tensor("group_norm", input)
    if in_use:
        input, weight, bias = cast_for("group_norm", input, weight, bias)
    shape = input.data.shape
    if len(shape) < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {len(shape)}"
        )
    if num_groups == 0:
        raise ZeroDivisionError("integer division or modulo by zero: group_norm got num_groups=0")
    if shape[0] * shape[1] // num_groups * math.prod(shape[2:]) == 1:
        size = [1, num_groups, *shape[2:]]
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {size}"
        )
    if num_groups < 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    if shape[1] % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(shape)} and num_groups={num_groups}"
        )
    for name, vector in (("weight", weight), ("bias", bias)):
        if vector is not None and vector.data.shape != (shape[1],):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, "
                f"but got {name} of shape {list(vector.data.shape)} and input of shape "
                f"{list(shape)}"
            )
    _check("group_norm", input, shape[1], None, None, weight, bias)
    groups = input.reshape(shape[0], num_groups, shape[1] // num_groups, math.prod(shape[2:]))
    vectors = [None if v is None else v.reshape(num_groups, -1, 1) for v in (weight, bias)]
    return LayerNorm.apply(groups, *vectors, 2, eps).reshape(*shape)
