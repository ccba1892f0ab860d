"""Linear maps and look-ups: ``linear``, ``embedding``, ``one_hot``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gpunn.autograd.grad_mode import no_grad
from gpunn.autograd.variable import Array, wrap
from gpunn.backends import type2backend
from gpunn.dtype import accumulator, in_use
from gpunn.ops.common import Op, c_name, dtype_of, need_tensor, xp_of
from gpunn.ops.indexing import IndexAdd
from gpunn.ops.matmul import MatMul, transposed
from gpunn.ops.pointwise import Masked
from gpunn.ops.precision import cast_for

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class Linear(Op, widens=False):
    """``(..., in) -> (..., out)``: rows x wᵀ + b; the leading dimensions count as one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor | None) -> Array:
        need_x, need_w, _ = ctx.needs_input_grad
        ctx.save_for_backward(x if need_w else None, w if need_x else None)
        data, weight = x._data, w._data
        rows = data
        if data.ndim != 2:
            rows = data.reshape(math.prod(data.shape[:-1]), data.shape[-1])
        wide = accumulator(data.dtype)
        half = wide is not data.dtype
        if half:  # added in float32, rounded once
            rows, weight = rows.astype(wide), weight.astype(wide)
        y = type2backend[type(rows)].matmul(rows, weight.T)
        if b is not None:
            y += b._data
        if half:
            y = y.astype(data.dtype)
        return y if data.ndim == 2 else y.reshape(*data.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        dx = dw = None
        if w is not None:
            plain = dy._data.ndim == 2
            dx = MatMul.apply(dy, w) if plain else Linear.apply(dy, transposed(w), None)
        if x is not None:
            dw = MatMul.apply(transposed(_flat(dy)), _flat(x))
        return dx, dw, dy if ctx.needs_input_grad[2] else None


def _flat(x: Tensor) -> Tensor:
    shape = x.data.shape
    return x if len(shape) == 2 else x.reshape(math.prod(shape[:-1]), shape[-1])


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x wᵀ + b: ``(..., in), (out, in), (out,) -> (..., out)``.

    A 1-d ``weight`` ``(in,)`` gives ``(...)``. Raises RuntimeError where sizes or dtypes differ.
    As ``torch.nn.functional.linear``.
    """
    if in_use:
        input, weight, bias = cast_for("linear", input, weight, bias)
    x, w, b = input._data, weight._data, None if bias is None else bias._data
    fits = w.ndim == 2 and x.ndim and x.shape[-1] == w.shape[1] and x.dtype == w.dtype
    if fits and (b is None or (b.shape == w.shape[:1] and b.dtype == x.dtype)):
        return Linear.apply(input, weight, bias)
    return _unusual_linear(input, weight, bias)


def _unusual_linear(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """With a vector of weights or a bias that broadcasts; or the error for what does not fit."""
    x, w = input.data, weight.data
    if not x.ndim or not w.ndim:
        raise RuntimeError(
            f"both arguments to linear need to be at least 1D, but they are {x.ndim}D and {w.ndim}D"
        )
    if w.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {w.ndim}D")
    outputs = w.shape[0] if w.ndim == 2 else 1
    mine, its = dtype_of(input).title, dtype_of(weight).title
    if mine != its and bias is not None:
        raise RuntimeError(
            f"mat1 and mat2 must have the same dtype, but got {mine} and {its} (linear: the dtypes "
            "of input and weight)"
        )
    if mine != its:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {c_name(input)} != "
            f"{c_name(weight)} (linear: the dtypes of input and weight)"
        )
    if x.shape[-1] != w.shape[-1]:
        raise RuntimeError(
            "mat1 and mat2 shapes cannot be multiplied "
            f"({math.prod(x.shape[:-1])}x{x.shape[-1]} and {w.shape[-1]}x{outputs}): "
            f"linear expected input[..., {w.shape[-1]}] for weight {list(w.shape)}, "
            f"got input of shape {list(x.shape)}"
        )
    if bias is not None and dtype_of(bias).title != mine:
        raise RuntimeError(
            f"self and mat2 must have the same dtype, but got {dtype_of(bias).title} and {mine} "
            "(linear: the dtypes of bias and of input and weight)"
        )
    if w.ndim == 1:
        y = Linear.apply(input, weight.reshape(1, -1), None).squeeze(-1)
        return y if bias is None else y + bias
    y = Linear.apply(input, weight, None)
    return y if bias is None else y + bias.expand(*y.data.shape)


class Embedding(Op, widens=False):
    """Rows of ``weight``; the row ``padding_idx`` gets no gradient."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, index: Tensor, padding_idx: int | None, by_frequency: bool
    ) -> Array:
        ctx.shape, ctx.padding_idx, ctx.by_frequency = weight.data.shape, padding_idx, by_frequency
        ctx.save_for_backward(index)
        return weight.data[index.data]

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (index,) = ctx.saved_tensors
        if ctx.padding_idx is not None:
            dy = Masked.apply(dy, (index != ctx.padding_idx).unsqueeze(-1))
        if ctx.by_frequency:
            places, xp = index.data.reshape(-1), xp_of(index)
            count = xp.zeros(ctx.shape[0], xp.float32)
            type2backend[type(places)].index_add(count, (places,), xp.ones_like(places, xp.float32))
            dy = dy / wrap(count[index.data]).unsqueeze(-1)
        return IndexAdd.apply(dy, ctx.shape, (index.data,)), None, None, None


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """``weight[input]``: int indices ``(*)``, weight ``(n, d)`` -> ``(*, d)``.

    ``padding_idx``: this row gets no gradient. ``max_norm``: rows looked up are first scaled down
    in place to at most this ``norm_type`` norm. ``scale_grad_by_freq``: a row's gradient is divided
    by how often it occurs. Raises IndexError for an index outside [0, n), NotImplementedError for
    ``sparse``. As ``torch.nn.functional.embedding``.
    """
    if sparse:
        raise NotImplementedError("embedding: sparse gradients are not supported; use sparse=False")
    need_tensor("embedding", input)
    index, n = input.data, weight.data.shape[0] if weight.data.ndim else 0
    if index.dtype.name not in ("int64", "int32"):
        raise RuntimeError(
            f"Expected tensor for argument #{1 if max_norm is None else 2} 'indices' to have one "
            f"of the following scalar types: Long, Int; but got {input.type()} instead (while "
            "checking arguments for embedding)"
        )
    if weight.data.ndim != 2:
        raise RuntimeError(f"'weight' must be 2-D, got shape {list(weight.data.shape)}")
    padding_idx = padding_row(padding_idx, n)
    backend = type2backend[type(index)]
    text = "index out of range in self: embedding got {value}, expected 0 <= index < {high}"
    backend.check_indices("embedding", index, 0, n, text)
    if max_norm is not None:
        renormalize(weight, index, max_norm, norm_type)
    return Embedding.apply(weight, input, padding_idx, scale_grad_by_freq)


def padding_row(padding_idx: int | None, n: int) -> int | None:
    """``padding_idx`` counted from the front. Raises AssertionError, as PyTorch, outside ``n``."""
    if padding_idx is None:
        return None
    if not -n <= padding_idx < n:
        raise AssertionError(
            f"Padding_idx must be within num_embeddings: got {padding_idx} for {n}"
        )
    return padding_idx % n


def renormalize(weight: Tensor, index: Array, max_norm: float, norm_type: float) -> None:
    """Scale the rows at ``index`` down to ``max_norm``, in place and unrecorded."""
    rows = wrap(xp_of(weight).unique(index))
    with no_grad():
        chosen = weight[rows]
        norm = chosen.norm(norm_type, 1, True)
        scale = (max_norm / (norm + 1e-7)).clamp(max=1)
        weight[rows] = (chosen * scale).where(norm > max_norm, chosen)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """int64 ``(*) -> (*, num_classes)``: 1 at the class, 0 elsewhere.

    ``num_classes=-1`` takes one more than the largest class. Raises RuntimeError for a class
    outside [0, num_classes).
    """
    need_tensor("one_hot", tensor, "tensor")
    data = tensor.data
    if data.dtype.name != "int64":
        raise RuntimeError(
            "one_hot is only applicable to index tensor of type LongTensor. "
            f"(got {tensor.type()}; convert it with .long())"
        )
    backend = type2backend[type(data)]
    with backend.on(backend.device(data)):
        if data.size:
            low, high = int(data.min()), int(data.max())
            if low < 0:
                raise RuntimeError(f"Class values must be non-negative. (got {low})")
            if num_classes == -1:
                num_classes = high + 1
            elif high >= num_classes:
                raise RuntimeError(
                    f"Class values must be smaller than num_classes. (got {high} >= {num_classes})"
                )
        elif num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        classes = backend.xp.arange(num_classes)
        return wrap((data[..., None] == classes).astype(data.dtype))
