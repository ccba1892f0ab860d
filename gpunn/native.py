"""Functions of ``nn.functional`` as ``torch`` itself has them: other orders, numbers for words.

``torch``'s own are what PyTorch computes with; they have few defaults, and a reduction is 0 (none,
the default), 1 (the mean) or 2 (the sum). Scripts written by hand use ``nn.functional``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpunn import functional as F
from gpunn.functional.recurrent import CELLS

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

_REDUCTIONS = {0: "none", 1: "mean", 2: "sum"}


def _reduction(name: str, value: int) -> str:
    if value not in _REDUCTIONS:
        kind = type(value).__name__
        raise TypeError(f"{name}(): argument 'reduction' must be int 0, 1 or 2, not {kind} {value}")
    return _REDUCTIONS[value]


# Normalization --------------------------------------------------------------------------------


def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """``functional.batch_norm``; ``cudnn_enabled`` changes nothing."""
    for name, given in (("running_mean", running_mean), ("running_var", running_var)):
        if given is None and not training:
            raise RuntimeError(f"{name} must be defined in evaluation mode")
    return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """``functional.instance_norm``; ``cudnn_enabled`` changes nothing."""
    return F.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
    cudnn_enable: bool = True,
) -> Tensor:
    """``functional.layer_norm``; ``cudnn_enable`` changes nothing."""
    return F.layer_norm(input, normalized_shape, weight, bias, eps)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
    cudnn_enabled: bool = True,
) -> Tensor:
    """``functional.group_norm``; ``cudnn_enabled`` changes nothing."""
    return F.group_norm(input, num_groups, weight, bias, eps)


# Dropout --------------------------------------------------------------------------------------


def _check(p: float) -> None:
    if not 0 <= p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p:g}")


def dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """``functional.dropout``."""
    _check(p)
    return F.dropout(input, p, train)


def dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """``functional.dropout`` in place."""
    _check(p)
    return F.dropout(input, p, train, True)


def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """``functional.alpha_dropout``."""
    _check(p)
    return F.alpha_dropout(input, p, train)


def alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """``functional.alpha_dropout`` in place."""
    _check(p)
    return F.alpha_dropout(input, p, train, True)


def feature_alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """``functional.feature_alpha_dropout``."""
    _check(p)
    return F.feature_alpha_dropout(input, p, train)


def feature_alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """``functional.feature_alpha_dropout`` in place."""
    _check(p)
    return F.feature_alpha_dropout(input, p, train, True)


def feature_dropout(input: Tensor, p: float, train: bool, inplace: bool = False) -> Tensor:
    """Whole channels of (N, C, ...) dropped: ``functional.dropout2d`` of any dimensions."""
    _check(p)
    ndim = input.data.ndim
    if train and p and ndim < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    shape = input.shape
    mask = F.dropout(input.new_ones((*shape[:2], *(1,) * (ndim - 2))), p, train)
    return input.mul_(mask) if inplace else input * mask


def feature_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """``feature_dropout`` in place."""
    return feature_dropout(input, p, train, True)


# Losses ---------------------------------------------------------------------------------------


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: int = 0,
) -> Tensor:
    """``functional.binary_cross_entropy_with_logits``."""
    way = _reduction("binary_cross_entropy_with_logits", reduction)
    return F.binary_cross_entropy_with_logits(
        input, target, weight, reduction=way, pos_weight=pos_weight
    )


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """``functional.cosine_embedding_loss``."""
    way = _reduction("cosine_embedding_loss", reduction)
    return F.cosine_embedding_loss(input1, input2, target, margin, reduction=way)


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: int = 0,
    zero_infinity: bool = False,
) -> Tensor:
    """``functional.ctc_loss``."""
    way = _reduction("ctc_loss", reduction)
    return F.ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, way, zero_infinity)


def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, reduction: int = 0
) -> Tensor:
    """``functional.hinge_embedding_loss``."""
    way = _reduction("hinge_embedding_loss", reduction)
    return F.hinge_embedding_loss(input, target, margin, reduction=way)


def kl_div(
    input: Tensor, target: Tensor, reduction: int = 0, *, log_target: bool = False
) -> Tensor:
    """``functional.kl_div``."""
    way = _reduction("kl_div", reduction)
    if way != "mean":
        return F.kl_div(input, target, reduction=way, log_target=log_target)
    # The mean over all elements is meant here: no warning.
    return F.kl_div(input, target, reduction="none", log_target=log_target).mean()


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """``functional.margin_ranking_loss``."""
    way = _reduction("margin_ranking_loss", reduction)
    return F.margin_ranking_loss(input1, input2, target, margin, reduction=way)


def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int
) -> Tensor:
    """``functional.poisson_nll_loss``."""
    way = _reduction("poisson_nll_loss", reduction)
    return F.poisson_nll_loss(input, target, log_input, full, eps=eps, reduction=way)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-06,
    swap: bool = False,
    reduction: int = 0,
) -> Tensor:
    """``functional.triplet_margin_loss``."""
    way = _reduction("triplet_margin_loss", reduction)
    return F.triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, reduction=way)


# Look-ups, images, convolutions ---------------------------------------------------------------


def embedding(
    weight: Tensor,
    indices: Tensor,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """``functional.embedding``, the weight first; ``padding_idx`` -1 means none."""
    row = None if padding_idx < 0 else padding_idx
    return F.embedding(indices, weight, row, None, 2.0, scale_grad_by_freq, sparse)


def adaptive_max_pool1d(input: Tensor, output_size: int | Sequence[int]) -> tuple[Tensor, Tensor]:
    """``functional.adaptive_max_pool1d`` and the indices."""
    return F.adaptive_max_pool1d(input, output_size, return_indices=True)  # pyright: ignore[reportArgumentType]


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: int | tuple[int, ...],
    stride: int | tuple[int, ...] = (),
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    """``functional.max_pool1d`` and the indices."""
    steps: Any = stride or None
    made: Any = F.max_pool1d(
        input, kernel_size, steps, padding, dilation, ceil_mode, return_indices=True
    )
    return made


def constant_pad_nd(input: Tensor, pad: Sequence[int], value: float = 0) -> Tensor:
    """``functional.pad`` with a constant."""
    if len(pad) % 2:
        raise RuntimeError(f"Length of pad must be even but instead it equals {len(pad)}")
    return F.pad(input, pad, "constant", value)


_INTERPOLATIONS = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """``functional.grid_sample``: 0 bilinear, 1 nearest, 2 bicubic; 0 zeros, 1 border,
    2 reflection."""
    ways = _INTERPOLATIONS[interpolation_mode], _PADDINGS[padding_mode]
    return F.grid_sample(input, grid, *ways, align_corners)


def affine_grid_generator(theta: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """``functional.affine_grid``."""
    return F.affine_grid(theta, size, align_corners)


_PLAIN: tuple[Any, ...] = (F.conv1d, F.conv2d, F.conv3d)
_TRANSPOSED: tuple[Any, ...] = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    """A convolution of 1 to 3 dimensions, or with ``transposed`` its transpose."""
    ndim = weight.data.ndim - 2
    if not 1 <= ndim <= 3:
        raise RuntimeError(f"Expected 3D, 4D or 5D weight for convolution, got {weight.data.ndim}D")
    if transposed:
        function = _TRANSPOSED[ndim - 1]
        return function(input, weight, bias, stride, padding, output_padding, groups, dilation)
    return _PLAIN[ndim - 1](input, weight, bias, stride, padding, dilation, groups)


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """``conv1d`` of time, batch, channels: (T, N, C), (K, C, O) -> (T', N, O)."""
    y = F.conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return y.permute(2, 0, 1)


# One step of a recurrent net ------------------------------------------------------------------


def _step(mode: str, input: Tensor, state: Any, weights: tuple[Any, ...]) -> Any:
    w_ih, w_hh, b_ih, b_hh = weights
    return CELLS[mode](F.linear(input, w_ih, b_ih), state, w_hh, b_hh)


def rnn_tanh_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """tanh(W_ih x + b_ih + W_hh h + b_hh)."""
    return _step("RNN_TANH", input, (hx,), (w_ih, w_hh, b_ih, b_hh))[0]


def rnn_relu_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """relu(W_ih x + b_ih + W_hh h + b_hh)."""
    return _step("RNN_RELU", input, (hx,), (w_ih, w_hh, b_ih, b_hh))[0]


def gru_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """One step of a GRU: the next h."""
    return _step("GRU", input, (hx,), (w_ih, w_hh, b_ih, b_hh))[0]


def lstm_cell(
    input: Tensor,
    hx: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One step of an LSTM: the next h and c from ``hx = (h, c)``."""
    return _step("LSTM", input, tuple(hx), (w_ih, w_hh, b_ih, b_hh))
