"""Attention: softmax(Q Kᵀ / √d) V, with one head or many.

A. Vaswani et al., "Attention is all you need", 2017.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import wrap
from gpunn.dtype import FLOATING, in_use
from gpunn.functional.dropout import dropout
from gpunn.functional.linear import linear
from gpunn.functional.pad import pad
from gpunn.ops.choice import where
from gpunn.ops.common import c_name, dtype_of, need_tensor, xp_of
from gpunn.ops.gathering import masked_fill
from gpunn.ops.joining import cat, chunk
from gpunn.ops.matmul import matmul, transposed
from gpunn.ops.precision import cast_for
from gpunn.ops.softmax import softmax

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(Q Kᵀ · scale + mask) V: (..., L, E), (..., S, E), (..., S, V) -> (..., L, V).

    ``scale``: 1/√E unless given. ``attn_mask`` broadcasts to (..., L, S): True (bool) lets a key
    through, a float is added. A query that sees no key gets 0. ``is_causal``: query i sees the keys
    up to i. ``dropout_p`` applies always. ``enable_gqa``: each key head serves several query heads.
    """
    name = "scaled_dot_product_attention"
    for position, x in enumerate((query, key, value), 1):
        need_tensor(name, x, ("query", "key", "value")[position - 1], position)
    if in_use:
        query, key, value, attn_mask = cast_for(name, query, key, value, attn_mask)
    _check_heads(query, key, value, attn_mask, enable_gqa)
    if is_causal and attn_mask is not None:
        raise RuntimeError(
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when "
            "is_causal=True"
        )
    if not 0 <= dropout_p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {dropout_p}")
    if enable_gqa:
        heads = query.data.shape[-3]
        key, value = (x.repeat_interleave(heads // x.data.shape[-3], -3) for x in (key, value))
    scale = 1 / math.sqrt(query.data.shape[-1]) if scale is None else scale
    scores = matmul(query * scale, transposed(key))
    if is_causal:
        attn_mask = wrap(xp_of(query).tri(*scores.data.shape[-2:], dtype=bool))
    weights = _weights(scores, attn_mask)
    if dropout_p:
        weights = dropout(weights, dropout_p)
    return matmul(weights, value)


def _check_heads(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, enable_gqa: bool
) -> None:
    """Refuse what attention cannot multiply, in PyTorch's words."""
    given = (query, key, value)
    if min(x.data.ndim for x in given) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{query.data.ndim} key.dim: {key.data.ndim} and value.dim: {value.data.ndim} instead."
        )
    if not query.data.dtype == key.data.dtype == value.data.dtype:
        raise RuntimeError(
            f"Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{c_name(query)} key.dtype: {c_name(key)} and value.dtype: {c_name(value)} instead."
        )
    if query.data.dtype.kind not in FLOATING:
        raise RuntimeError(f"expected scalar type Float but found {dtype_of(query).title}")
    if mask is not None and mask.data.dtype.name not in ("bool", "float32", query.dtype.name):
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
            f"attn_mask.dtype: {c_name(mask)} and  query.dtype: {c_name(query)} instead."
        )
    if enable_gqa and any(query.data.shape[-3] % x.data.shape[-3] for x in (key, value)):
        heads = [x.data.shape[-3] for x in given]
        raise RuntimeError(
            "Number of heads in key and value must divide the number of heads in query: got "
            f"{heads[0]} in query, {heads[1]} in key and {heads[2]} in value"
        )
    rows = math.prod(query.data.shape[:-2])
    for x, d, wanted in ((key, -1, query.data.shape[-1]), (value, -2, key.data.shape[-2])):
        if x.data.shape[d] != wanted:
            raise RuntimeError(
                f"Expected size for first two dimensions of batch2 tensor to be: [{rows}, "
                f"{wanted}] but got: [{rows}, {x.data.shape[d]}]. (query, key and value are "
                f"{', '.join(str(list(y.data.shape)) for y in given)})"
            )


def _weights(scores: Tensor, mask: Tensor | None) -> Tensor:
    """The softmax of masked scores; 0 where all keys are masked."""
    if mask is None:
        return softmax(scores, -1)
    is_bool = mask.data.dtype.kind == "b"
    scores = masked_fill(scores, ~mask, -math.inf) if is_bool else scores + mask
    blind = wrap((scores.data == -math.inf).all(-1, keepdims=True))
    return where(blind, 0.0, softmax(where(blind, 0.0, scores), -1))


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of ``num_heads`` heads over projections of the inputs, projected once more.

    ``query`` (L, N, E), ``key`` (S, N, Ek), ``value`` (S, N, Ev), or without N. Gives (L, N, E)
    and, if asked for, the weights (N, L, S), or (N, heads, L, S) unless averaged.
    ``key_padding_mask`` (N, S) and ``attn_mask`` (L, S) or (N heads, L, S): True, or -inf, hides a
    key. ``static_k`` and ``static_v`` (N heads, S, E / heads) stand in for projected keys, values.
    """
    batched = query.data.ndim == 3
    _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    if not batched:
        query, key, value = (x.unsqueeze(1) for x in (query, key, value))
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    length, batch, embed = query.data.shape
    if embed != embed_dim_to_check:
        raise AssertionError(
            f"was expecting embedding dimension of {embed_dim_to_check}, but got {embed}"
        )
    head = embed // num_heads
    if head * num_heads != embed:
        raise AssertionError(f"embed_dim {embed} not divisible by num_heads {num_heads}")
    if use_separate_proj_weight:
        weights: Any = (q_proj_weight, k_proj_weight, v_proj_weight)
        _check_projections(weights, (query, key, value), embed)
    else:
        if key.data.shape != value.data.shape:
            raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")
        if in_proj_weight is None:
            raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
        weights = chunk(in_proj_weight, 3)
    biases: Any = (None,) * 3 if in_proj_bias is None else chunk(in_proj_bias, 3)
    q, k, v = (
        linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)
    )
    attn_mask = _additive(attn_mask, query, "attn_mask")
    padding = _additive(key_padding_mask, query, "key_padding_mask")
    if attn_mask is not None and attn_mask.data.ndim == 2:
        attn_mask = attn_mask.unsqueeze(0)
    more = 0
    if bias_k is not None and bias_v is not None:
        k, v = (cat([x, b.expand(1, batch, embed)]) for x, b in ((k, bias_k), (v, bias_v)))
        more += 1

    def split(x: Tensor) -> Tensor:
        return x.reshape(x.data.shape[0], batch * num_heads, head).transpose(0, 1)

    q, k, v = split(q), split(k), split(v)
    k, v = (new if new is not None else old for new, old in ((static_k, k), (static_v, v)))
    if add_zero_attn:
        k, v = (cat([x, x.new_zeros(batch * num_heads, 1, head)], 1) for x in (k, v))
        more += 1
    attn_mask, padding = (
        m if m is None or not more else pad(m, (0, more)) for m in (attn_mask, padding)
    )
    source = k.data.shape[1]
    mask = attn_mask
    if padding is not None:
        for d, wanted in enumerate((batch, source)):
            if padding.data.shape[d] != wanted:
                raise AssertionError(
                    f"Expected key_padded_mask.shape[{d}] to be {wanted}, but got "
                    f"{padding.data.shape[d]}"
                )
        spread = padding.reshape(batch, 1, 1, source).expand(batch, num_heads, 1, source)
        spread = spread.reshape(batch * num_heads, 1, source)
        mask = spread if mask is None else mask + spread
    scores = matmul(q * (1 / math.sqrt(head)), transposed(k))
    if need_weights:
        shares = softmax(scores if mask is None else scores + mask, -1)
    else:  # as PyTorch's fused way: a query that sees nothing gets nothing
        shares = _weights(scores, mask)
    dropped = dropout(shares, dropout_p) if training and dropout_p else shares
    out = matmul(dropped, v).transpose(0, 1).reshape(length * batch, embed)
    out = linear(out, out_proj_weight, out_proj_bias).reshape(length, batch, embed)
    found = None
    if need_weights:
        found = dropped.reshape(batch, num_heads, length, source)
        found = found.mean(1) if average_attn_weights else found
        found = found if batched else found.squeeze(0)
    return out if batched else out.squeeze(1), found


def _check_projections(
    weights: Sequence[Tensor | None], inputs: Sequence[Tensor], embed: int
) -> None:
    """Refuse inputs that the weights are not for, in PyTorch's words."""
    for name, weight in zip("qkv", weights, strict=True):
        if weight is None:
            raise AssertionError(f"use_separate_proj_weight is True but {name}_proj_weight is None")
    key, value = inputs[1].shape, inputs[2].shape
    if key[:2] != value[:2]:
        raise AssertionError(
            f"key's sequence and batch dims {key[:2]} do not match value's {value[:2]}"
        )
    for name, weight, x in zip(("query", "key", "value"), weights, inputs, strict=True):
        wanted = (embed, x.data.shape[-1])
        if weight is not None and weight.data.shape != wanted:
            raise AssertionError(
                f"expecting {name} weights shape of {wanted}, but got {weight.shape}"
            )


def _additive(mask: Tensor | None, like: Tensor, name: str) -> Tensor | None:
    """A mask of floats to be added: bools hide where they are True."""
    if mask is None:
        return None
    if mask.data.dtype.kind == "b":
        return where(mask, -math.inf, 0.0).to(like.dtype)
    if not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {name} are supported")
    return mask


def _check_shapes(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    padding: Tensor | None,
    mask: Tensor | None,
    heads: int,
) -> None:
    dims, rank = [x.data.ndim for x in (query, key, value)], query.data.ndim
    if rank not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {rank}-D query tensor"
        )
    kind = "batched (3-D)" if rank == 3 else "unbatched (2-D)"
    if dims[1:] != [rank, rank]:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {rank}-D but found "
            f"{dims[1]}-D and {dims[2]}-D tensors respectively"
        )
    if padding is not None and padding.data.ndim != rank - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {rank - 1}-D but "
            f"found {padding.data.ndim}-D tensor instead"
        )
    if mask is None:
        return
    if mask.data.ndim not in (2, 3):
        raise AssertionError(
            f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found "
            f"{mask.data.ndim}-D tensor instead"
        )
    length, source = query.data.shape[0], key.data.shape[0]
    batch = query.data.shape[1] if rank == 3 else 1
    wanted = (length, source) if mask.data.ndim == 2 else (batch * heads, length, source)
    if mask.data.shape != wanted and rank == 2 and mask.data.ndim == 3:
        raise AssertionError(f"Expected `attn_mask` shape to be {wanted} but got {mask.shape}")
    if mask.data.shape != wanted:
        raise RuntimeError(
            f"The shape of the {mask.data.ndim}D attn_mask is {mask.shape}, but should be {wanted}."
        )
