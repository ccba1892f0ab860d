"""Calls for attention, dropout and Gumbel's softmax of ``torch.nn.functional``."""

from __future__ import annotations

from typing import Any

import numpy as np
from conformance.calls import Call, call
from conformance.inputs import F16, F32, I64, Table, array, strided

CALLS = Table()
Q, K, V = array(2, 3, 4, 8), array(2, 3, 5, 8, seed=1), array(2, 3, 5, 6, seed=2)
MASK = array(4, 5, dtype="bool") | np.eye(4, 5, dtype=bool)
CALLS.add(
    "scaled_dot_product_attention",
    [
        call(Q, K, V),
        call(Q, K, V, is_causal=True),
        call(Q, K, V, scale=0.3),
        call(Q, K, V, MASK),
        call(Q, K, V, array(4, 5)),
        call(Q, K, V, array(2, 1, 4, 5)),
        call(Q, K, V, np.where(MASK, 0, -np.inf).astype(F32)),
        call(Q.astype(F32), K.astype(F32), V.astype(F32), np.zeros((4, 5), bool)),
        call(Q.astype(F32), K.astype(F32), V.astype(F32), np.full((4, 5), -np.inf, F32)),
        call(Q.astype(F16), K.astype(F16), V.astype(F16)),
        call(strided(2, 3, 4, 8), K, V),
        call(Q[0], K[0], V[0]),
        call(Q[0, 0], K[0, 0], V[0, 0]),
        call(Q, K[:1], V[:1]),
        call(array(2, 6, 4, 8), K, V, enable_gqa=True),
        call(array(2, 6, 4, 8), K, V, is_causal=True, enable_gqa=True, scale=1.0),
        call(array(0, 3, 4, 8), array(0, 3, 5, 8), array(0, 3, 5, 6)),
        call(array(2, 3, 0, 8), K, V),
        call(Q, array(2, 3, 0, 8), array(2, 3, 0, 6)),
        call(Q, K, V, MASK, is_causal=True),
        call(Q, K, V, array(4, 4)),
        call(Q, K, V, array(4, 5, dtype=I64)),
        call(Q, array(2, 3, 5, 7), V),
        call(Q, K, array(2, 3, 6, 6)),
        call(array(2, 6, 4, 8), K, V),
        call(array(2, 4, 4, 8), K, V, enable_gqa=True),
        call(Q, K.astype(F32), V),
        call(array(8), K, V),
        call(*(array(2, 3, 4, 8, dtype=I64) for _ in range(3))),
        call(Q, K, V, dropout_p=1.5),
        call(None, K, V),
        call(Q, None, V),
    ],
)


def _attention(
    *more: Any, of: str = F32, bias: bool = True, lengths: tuple[int, int] = (3, 5), **options: Any
) -> Call:
    """Two heads over 4 features, two examples; what is not named is PyTorch's usual."""
    length, source = lengths
    q = array(length, 2, 4, dtype=of)
    k, v = array(source, 2, 4, seed=1, dtype=of), array(source, 2, 4, seed=2, dtype=of)
    weights = array(12, 4, dtype=of), array(12, dtype=of) if bias else None
    given = {
        "query": q,
        "key": k,
        "value": v,
        "embed_dim_to_check": 4,
        "num_heads": 2,
        "in_proj_weight": weights[0],
        "in_proj_bias": weights[1],
        "bias_k": None,
        "bias_v": None,
        "add_zero_attn": False,
        "dropout_p": 0.0,
        "out_proj_weight": array(4, 4, dtype=of),
        "out_proj_bias": array(4, dtype=of) if bias else None,
        **options,
    }
    return call(*given.values()) if more else call(**given)


HIDDEN = np.array([[False, True, False, False, True], [False] * 5])
SEEN = ~(array(3, 5, dtype="bool") | np.eye(3, 5, dtype=bool))
Y = array(3, 2, 4, seed=5)
CALLS.add(
    "multi_head_attention_forward",
    [
        _attention(of="float64"),
        _attention(of="float64", need_weights=False),
        _attention(of="float64", average_attn_weights=False),
        _attention(of="float64", attn_mask=SEEN),
        _attention(of="float64", key_padding_mask=HIDDEN),
        _attention(attn_mask=array(3, 5, dtype=F32), key_padding_mask=array(2, 5, dtype=F32)),
        _attention(attn_mask=array(4, 3, 5, dtype=F32), need_weights=False),
        _attention(key_padding_mask=HIDDEN, need_weights=False),
        _attention(lengths=(5, 5), attn_mask=np.triu(np.ones((5, 5), bool), 1), is_causal=True),
        _attention(
            lengths=(5, 5),
            attn_mask=np.triu(np.ones((5, 5), bool), 1),
            is_causal=True,
            need_weights=False,
        ),
        _attention(of="float64", bias=False),
        _attention(of="float64", bias_k=array(1, 1, 4), bias_v=array(1, 1, 4, seed=1)),
        _attention(of="float64", add_zero_attn=True, key_padding_mask=HIDDEN, attn_mask=SEEN),
        _attention(dropout_p=0.5, training=False),
        _attention(key=Y.astype(F32), value=Y.astype(F32)),
        _attention(
            of="float64",
            use_separate_proj_weight=True,
            q_proj_weight=array(4, 4, seed=6),
            k_proj_weight=array(4, 4, seed=7),
            v_proj_weight=array(4, 4, seed=8),
        ),
        _attention(of="float64", static_k=array(4, 6, 2), static_v=array(4, 6, 2, seed=1)),
        _attention(
            query=array(3, 4, dtype=F32),
            key=array(5, 4, dtype=F32),
            value=array(5, 4, dtype=F32),
            key_padding_mask=HIDDEN[0],
        ),
        _attention(use_separate_proj_weight=True),
        _attention(in_proj_weight=None),
        _attention(
            use_separate_proj_weight=True,
            q_proj_weight=array(4, 4, dtype=F32),
            k_proj_weight=array(4, 3, dtype=F32),
            v_proj_weight=array(4, 4, dtype=F32),
        ),
        _attention(embed_dim_to_check=5),
        _attention(num_heads=3),
        _attention(attn_mask=array(3, 4, dtype=F32)),
        _attention(attn_mask=array(3, 3, 5, dtype=F32)),
        _attention(attn_mask=array(5, dtype=F32)),
        _attention(key_padding_mask=HIDDEN[0]),
        _attention(key_padding_mask=HIDDEN[:, :4]),
        _attention(value=array(4, 2, 4, dtype=F32)),
        _attention(key=array(5, 4, dtype=F32)),
        _attention(query=array(4, dtype=F32)),
        _attention(lengths=(5, 5), is_causal=True),
        _attention(attn_mask=array(3, 5, dtype=I64)),
    ],
)
X = array(2, 3, 4, 5)


def _sure(x: Any, empty: Any, odd: Any) -> list[Call]:
    """Dropout in which nothing is left to chance."""
    return [
        call(x, training=False),
        call(x, 0.0),
        call(x, 0.0, True),
        call(x.astype(F32), 1.0, True),
        call(x, 1.0, False),
        call(odd, 0.3, False),
        call(empty, 0.5, True),
        call(x, -0.1),
        call(x, 1.5, False),
        call(x, 1.1, True),
    ]


CALLS.add(
    "dropout alpha_dropout feature_alpha_dropout dropout2d dropout3d",
    _sure(X, array(0, 3, 4, 5), strided(2, 3, 4, 5)),
)
CALLS.add(
    "dropout alpha_dropout",
    [
        call(array(), 1.0, True),
        call(array(3, dtype=I64), training=False),
        call(array(3, dtype=I64), 1.0),
    ],
)
CALLS.add(
    "dropout", [call(X, 1.0), call(array(3, dtype=I64)), call(None), call(X, 0.5, False, True)]
)
CALLS.add("alpha_dropout feature_alpha_dropout", [call(array(2, 3, dtype=I64), 0.5, True)])
CALLS.add("feature_alpha_dropout", [call(array(3), 0.5, True), call(array(3), 0.5)])
CALLS.add("dropout1d", _sure(X[0], array(0, 4, 5), strided(3, 4, 5)))
CALLS.add("dropout1d", [call(X, 0.5), call(array(3), 0.5), call(array(3, 4), 0.0)])
CALLS.add(
    "dropout3d",
    [call(X[None], 0.0), call(array(3, 4), 0.5, False), call(X[None, None], 0.5, False)],
)
CALLS.add("dropout2d", [call(array(3), 0.5, False), call(array(3, 4, 5), 1.0, True)])
CALLS.add(
    "gumbel_softmax",
    [
        call(array(3, 1)),
        call(array(3, 1), hard=True),
        call(array(3, 1, dtype=F32), tau=0.5, dim=1),
        call(array(1, 4), dim=0),
        call(array(1, 4), hard=True, dim=0),
        call(array(0, 4)),
        call(array(3, 0)),
        call(array()),
        call(strided(3, 1)),
        call(array(1, dtype=F16)),
        call(array(3, 4), dim=2),
        call(array(3, 4, dtype=I64)),
    ],
)
