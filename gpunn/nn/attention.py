"""Attention of many heads as a layer."""

from __future__ import annotations

from typing import Any

from gpunn import functional as F
from gpunn.creation import empty
from gpunn.nn import init
from gpunn.nn.linear import Linear
from gpunn.nn.module import Module
from gpunn.nn.parameter import Parameter
from gpunn.tensor import Tensor


class NonDynamicallyQuantizableLinear(Linear):
    """``Linear``, by the name that PyTorch's printed models have here."""


class MultiheadAttention(Module):
    """``functional.multi_head_attention_forward`` with weights of its own.

    ``embed_dim`` is split among ``num_heads``; ``kdim`` and ``vdim`` are the sizes of keys and
    values where they differ. Inputs (L, N, E), with ``batch_first`` (N, L, E), or (L, E).
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0, "
                f"got embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        super().__init__()
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.batch_first, self.add_zero_attn = batch_first, add_zero_attn
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError("embed_dim must be divisible by num_heads")
        self._same = self.kdim == embed_dim == self.vdim

        def made(*size: int, when: bool = True) -> Parameter | None:
            return Parameter(empty(*size, device=device, dtype=dtype)) if when else None

        e = embed_dim
        self.register_parameter("q_proj_weight", made(e, e, when=not self._same))
        self.register_parameter("k_proj_weight", made(e, self.kdim, when=not self._same))
        self.register_parameter("v_proj_weight", made(e, self.vdim, when=not self._same))
        self.register_parameter("in_proj_weight", made(3 * e, e, when=self._same))
        self.register_parameter("in_proj_bias", made(3 * e, when=bias))
        self.out_proj = NonDynamicallyQuantizableLinear(e, e, bias, device, dtype)
        self.register_parameter("bias_k", made(1, 1, e, when=add_bias_kv))
        self.register_parameter("bias_v", made(1, 1, e, when=add_bias_kv))
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            weight: Parameter | None = getattr(self, name)
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None and self.out_proj.bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The attended values, of the query's shape, and the weights if they are asked for."""
        turned = self.batch_first and query.dim() == 3
        if turned:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        out, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._same,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (out.transpose(0, 1) if turned else out), weights
