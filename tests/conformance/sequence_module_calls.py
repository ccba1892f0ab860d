"""Uses of recurrent layers, attention and transformers among the modules of ``torch.nn``."""

from __future__ import annotations

from typing import Any

import numpy as np
from conformance.calls import call
from conformance.inputs import F32, I64, array, strided
from conformance.modules import Of, Uses

MODULES = Uses()


def packed(*lengths: int, batch_first: bool = False, of: str = "float64", **options: Any) -> Of:
    """Sequences of 4 features, of these lengths."""
    shape = (len(lengths), max(lengths)) if batch_first else (max(lengths), len(lengths))
    x = array(*shape, 4, dtype=of)
    options = {"batch_first": batch_first, **options}
    return Of(
        f"packed{lengths}{options}",
        lambda lib: lib.nn.utils.rnn.pack_padded_sequence(lib.from_numpy(x), lengths, **options),
    )


SEQUENCES = [
    call(array(5, 2, 4)),
    call(array(5, 4)),
    call(strided(5, 2, 4)),
    call(array(1, 1, 4, dtype=F32)),
    call(packed(5, 3, 1)),
    call(packed(2, 4, 3, enforce_sorted=False)),
    call(array(5, 2, 3)),
    call(array(4)),
    call(array(5, 2, 4, dtype=I64)),
    call(array(5, 0, 4)),
]
OPTIONS = [
    call(4, 3),
    call(4, 3, 2),
    call(4, 3, bidirectional=True),
    call(4, 3, num_layers=2, bias=False, bidirectional=True, dropout=0.0),
    call(4, 3, batch_first=True),
    call(input_size=4, hidden_size=3, num_layers=3),
]
MODULES.add("RNN LSTM GRU", OPTIONS, SEQUENCES)
MODULES.add("RNN LSTM GRU", [call(4, 3, 2, dropout=0.5)], SEQUENCES[:5], False)
MODULES.add(
    "RNN LSTM GRU",
    [
        call(4, 0),
        call(0, 3),
        call(4, 3, 0),
        call(4, 3, dropout=1.5),
        call(4, 3, 2, dropout=True),
        call(4, 3.0),
        call(4),
        call(4, 3, bias=1),
        call(4, 3, proj_size=3),
        call(4, 3, proj_size=-1),
        call(4, 3, odd=1),
    ],
    SEQUENCES[:1],
)
MODULES.add(
    "RNN",
    [call(4, 3, nonlinearity="relu"), call(4, 3, 1, "relu"), call(4, 3, nonlinearity="odd")],
    SEQUENCES[:5],
)
MODULES.add("GRU RNN", [call(4, 3, proj_size=2)], SEQUENCES[:1])
MODULES.add(
    "LSTM",
    [call(4, 3, proj_size=2), call(4, 3, 2, bidirectional=True, proj_size=1, batch_first=True)],
    SEQUENCES[:6],
)


def _states(n: int, size: int = 3) -> list[Any]:
    """For a batch of 2 and ``n`` layers or directions: two right ones, then wrong ones."""
    return [
        array(n, 2, size),
        strided(n, 2, size),
        array(n, size),
        array(n + 1, 2, size),
        array(n, 3, size),
        array(n, 2, size + 1),
        array(n, 2, size, dtype=F32),
    ]


for n, options in ((1, call(4, 3)), (4, call(4, 3, 2, bidirectional=True))):
    x = array(5, 2, 4)
    MODULES.add("RNN GRU", [options], [call(x, h) for h in _states(n)])
    MODULES.add("RNN GRU", [options], [call(array(5, 4), array(n, 3))])
    MODULES.add("RNN GRU LSTM", [options], [call(x, None)])
    pairs = [call(x, (h, h[..., ::-1].copy())) for h in _states(n)]
    MODULES.add("LSTM", [options], [*pairs, call(x, (array(n, 2, 3), array(n, 2, 2)))])
    MODULES.add("LSTM", [options], [call(array(5, 4), (array(n, 3), array(n, 3)))])
    MODULES.add("LSTM", [options], [call(x, (array(n, 3), array(n, 3)))])
MODULES.add(
    "LSTM",
    [call(4, 3, proj_size=2)],
    [
        call(array(5, 2, 4), (array(1, 2, 2), array(1, 2, 3))),
        call(array(5, 2, 4), (array(1, 2, 3),) * 2),
    ],
)
CELLS = [call(4, 3), call(4, 3, False), call(4, 3, bias=True), call(4, 0)]
ROWS = [
    call(array(2, 4)),
    call(array(4)),
    call(strided(2, 4)),
    call(array(2, 4, dtype=F32)),
    call(array(0, 4)),
    call(array(2, 5)),
    call(array(1, 2, 4)),
]
STATES = [array(2, 3), array(3), array(1, 3), array(2, 4), array(3, 3)]
MODULES.add("RNNCell GRUCell LSTMCell", CELLS, ROWS)
MODULES.add("RNNCell GRUCell", CELLS[:1], [call(array(2, 4), h) for h in STATES])
MODULES.add("RNNCell GRUCell", CELLS[:1], [call(array(4), h) for h in STATES[:2]])
MODULES.add("LSTMCell", CELLS[:1], [call(array(2, 4), (h, h)) for h in STATES])
MODULES.add("LSTMCell", CELLS[:1], [call(array(4), (h, h)) for h in STATES[:2]])
MODULES.add("RNNCell", [call(4, 3, nonlinearity="relu"), call(4, 3, True, "odd")], ROWS[:3])

# Attention ---------------------------------------------------------------------------------------
Q, K, V = array(3, 2, 4), array(5, 2, 4, seed=1), array(5, 2, 4, seed=2)
HIDDEN = np.array([[False, True, False, False, True], [False] * 5])
SEEN = ~(array(3, 5, dtype="bool") | np.eye(3, 5, dtype=bool))
ATTENDED = [
    call(Q, K, V),
    call(Q, Q, Q),
    call(Q, K, V, need_weights=False),
    call(Q, K, V, HIDDEN),
    call(Q, K, V, attn_mask=SEEN, average_attn_weights=False),
    call(Q, K, V, attn_mask=array(4, 3, 5), key_padding_mask=array(2, 5)),
    call(Q[:, 0], K[:, 0], V[:, 0], HIDDEN[0]),
    call(*(a.astype(F32) for a in (Q, K, V))),
    call(Q, K, V[:4]),
    call(Q, K[:, 0], V),
    call(Q, K, V, HIDDEN[0]),
    call(Q, K, V, attn_mask=SEEN.T),
    call(array(3, 2, 5), K, V),
]
MODULES.add(
    "MultiheadAttention",
    [
        call(4, 2),
        call(4, 1, bias=False),
        call(4, 2, add_bias_kv=True),
        call(4, 4, add_zero_attn=True),
    ],
    ATTENDED,
)
MODULES.add("MultiheadAttention", [call(4, 2), call(4, 2, dropout=0.5)], ATTENDED[:7], False)
MODULES.add(
    "MultiheadAttention",
    [call(4, 2, batch_first=True)],
    [
        call(*(a.swapaxes(0, 1).copy() for a in (Q, K, V))),
        call(Q[:, 0], K[:, 0], V[:, 0]),
        call(Q, K, V),
    ],
)
MODULES.add(
    "MultiheadAttention",
    [call(4, 2, kdim=3, vdim=5), call(4, 2, kdim=3, vdim=5, bias=False)],
    [call(Q, array(5, 2, 3), array(5, 2, 5)), call(Q, K, V)],
)
MODULES.add("MultiheadAttention", [call(5, 2), call(0, 1), call(4, 0)], ATTENDED[:1])
LAYER: dict[str, Any] = {"d_model": 4, "nhead": 2, "dim_feedforward": 6, "dropout": 0.0}
S = array(3, 2, 4)
CAUSAL = np.triu(np.ones((3, 3), bool), 1)
PADDED = np.array([[False, False, True], [False] * 3])
VARIANTS: list[dict[str, Any]] = [
    {},
    {"activation": "gelu"},
    {"activation": Of("silu", lambda lib: lib.nn.functional.silu)},
    {"norm_first": True},
    {"bias": False},
    {"layer_norm_eps": 0.1},
]
ENCODED = [
    call(S),
    call(S, CAUSAL),
    call(S, src_key_padding_mask=PADDED),
    call(S[:, 0]),
    call(strided(3, 2, 4)),
    call(S.astype(F32)),
]
MODULES.add("TransformerEncoderLayer", [call(**LAYER, **v) for v in VARIANTS], ENCODED)
MODULES.add("TransformerEncoderLayer", [call(4, 2, 6)], ENCODED, False)
MODULES.add("TransformerEncoderLayer", [call(**LAYER, batch_first=True)], ENCODED[:4], True, False)
MODULES.add(
    "TransformerEncoderLayer",
    [call(4, 3), call(4, 2, activation="odd")],
    [call(S)],
)
MODULES.add(
    "TransformerEncoderLayer",
    [call(**LAYER)],
    [call(array(3, 2, 5)), call(array(4)), call(S, array(2, 2))],
)
MEMORY = array(5, 2, 4, seed=1)
DECODED = [
    call(S, MEMORY),
    call(S, MEMORY, CAUSAL),
    call(S, MEMORY, memory_key_padding_mask=HIDDEN, tgt_key_padding_mask=PADDED),
    call(S, MEMORY, memory_mask=SEEN),
    call(S[:, 0], MEMORY[:, 0]),
    call(S.astype(F32), MEMORY.astype(F32)),
]
MODULES.add("TransformerDecoderLayer", [call(**LAYER, **v) for v in VARIANTS], DECODED)
MODULES.add("TransformerDecoderLayer", [call(4, 2, 6)], DECODED, False)
MODULES.add("TransformerDecoderLayer", [call(**LAYER, batch_first=True)], DECODED[:1], True, False)
MODULES.add("TransformerDecoderLayer", [call(4, 3), call(4, 2, activation="odd")], DECODED[:1])


def _layers(kind: str, norm: bool, **options: Any) -> list[Any]:
    """A stack's layer, how many, and a norm at the end."""
    of = {**LAYER, **options}
    layer = Of(kind, lambda lib: getattr(lib.nn, kind)(**of))
    return [layer, 2, *([Of("LayerNorm", lambda lib: lib.nn.LayerNorm(4))] if norm else [])]


for stack, kind, given in (
    ("TransformerEncoder", "TransformerEncoderLayer", ENCODED),
    ("TransformerDecoder", "TransformerDecoderLayer", DECODED),
):
    MODULES.add(stack, [call(*_layers(kind, False)), call(*_layers(kind, True))], given)
    MODULES.add(stack, [call(*_layers(kind, True, norm_first=True))], given[:3], True, False)
MODULES.add(
    "TransformerEncoder",
    [call(*_layers("TransformerEncoderLayer", False), enable_nested_tensor=False)],
    [call(S, is_causal=True), call(S, CAUSAL, is_causal=True), call(S, mask=CAUSAL)],
)
TRANSLATED = [
    call(MEMORY, S),
    call(MEMORY, S, tgt_mask=CAUSAL),
    call(MEMORY, S, src_key_padding_mask=HIDDEN, memory_key_padding_mask=HIDDEN),
    call(MEMORY[:, 0], S[:, 0]),
    call(MEMORY, array(3, 3, 4)),
    call(MEMORY, array(3, 2, 5)),
]
MODULES.add(
    "Transformer",
    [
        call(4, 2, 1, 1, 6, 0.0),
        call(4, 2, 2, 1, 6, 0.0, "gelu"),
        call(4, 2, 1, 1, 6, 0.0, norm_first=True, bias=False),
    ],
    TRANSLATED,
)
MODULES.add(
    "Transformer", [call(4, 2, 1, 1, 6, batch_first=True)], [call(MEMORY, MEMORY[:3])], False
)
