"""Attention and transformers with PyTorch's weights: the same outputs, weights and gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import gpunn


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng((seed, *shape)).standard_normal(shape)


def pair(name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    """A module of gpunn and one of PyTorch with the same weights, in float64."""
    torch: Any = pytest.importorskip("torch")
    theirs = getattr(torch.nn, name)(*args, **options).double()
    ours = getattr(gpunn.nn, name)(*args, **options).double()
    state = {k: gpunn.from_numpy(v.numpy().copy()) for k, v in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state)
    return ours, theirs


def same(ours: Any, theirs: Any, *args: Any, **options: Any) -> None:
    """Outputs, and the gradients of the arrays among ``args`` and of all parameters."""
    import torch

    found: list[list[Any]] = []
    for lib, module in ((gpunn, ours), (torch, theirs)):
        given: list[Any] = [lib.from_numpy(a.copy()) for a in args]
        for x in given:
            x.requires_grad_()
        kept = {
            k: lib.from_numpy(v.copy()) if isinstance(v, np.ndarray) else v
            for k, v in options.items()
        }
        result = module(*given, **kept)
        outputs = [r for r in (result if isinstance(result, tuple) else (result,)) if r is not None]
        total = sum(
            (r * lib.from_numpy(draw(*r.shape, seed=7).reshape(tuple(r.shape)))).sum()
            for r in outputs
        )
        module.zero_grad()
        total.backward()
        gradients = [x.grad for x in given] + [p.grad for p in module.parameters()]
        found.append(
            [r.detach().numpy() for r in outputs + [g for g in gradients if g is not None]]
        )
    assert len(found[0]) == len(found[1])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


HIDE = np.array([[False, True, False], [False, False, True]])
AHEAD = np.triu(np.full((4, 3), -np.inf), 1)


@pytest.mark.parametrize(
    ("options", "call"),
    [
        ({}, {}),
        ({"bias": False}, {}),
        ({"batch_first": True}, {}),
        ({"add_bias_kv": True}, {"key_padding_mask": HIDE}),
        ({"add_zero_attn": True}, {"attn_mask": AHEAD}),
        ({}, {"key_padding_mask": HIDE, "attn_mask": AHEAD}),
        ({}, {"attn_mask": -np.inf == AHEAD, "average_attn_weights": False}),
        ({}, {"need_weights": False, "key_padding_mask": HIDE}),
        ({}, {"attn_mask": np.zeros((4, 4, 3))}),
    ],
)
@pytest.mark.filterwarnings("ignore:Support for mismatched")  # PyTorch's own
def test_multihead_attention(options: dict[str, Any], call: dict[str, Any]) -> None:
    ours, theirs = pair("MultiheadAttention", 6, 2, **options)
    q, k = draw(4, 2, 6), draw(3, 2, 6)
    if options.get("batch_first"):
        q, k = q.swapaxes(0, 1), k.swapaxes(0, 1)
    same(ours, theirs, q, k, k + 1, **call)


def test_keys_and_values_of_other_sizes_and_no_batch() -> None:
    ours, theirs = pair("MultiheadAttention", 6, 3, kdim=5, vdim=4)
    same(ours, theirs, draw(4, 2, 6), draw(3, 2, 5), draw(3, 2, 4))
    same(ours, theirs, draw(4, 6), draw(3, 5), draw(3, 4))


@pytest.mark.parametrize(
    "options", [{}, {"norm_first": True}, {"activation": "gelu"}, {"bias": False}]
)
def test_layers(options: dict[str, Any]) -> None:
    common: dict[str, Any] = {"dropout": 0.0, "dim_feedforward": 8, **options}
    ours, theirs = pair("TransformerEncoderLayer", 6, 2, **common)
    same(ours, theirs, draw(4, 2, 6), src_mask=np.triu(np.ones((4, 4), bool), 1))
    ours, theirs = pair("TransformerDecoderLayer", 6, 2, batch_first=True, **common)
    same(ours, theirs, draw(2, 4, 6), draw(2, 3, 6), memory_key_padding_mask=HIDE)


@pytest.mark.filterwarnings("ignore")
def test_stacks_and_the_whole() -> None:
    torch: Any = pytest.importorskip("torch")
    options: dict[str, Any] = {"dim_feedforward": 8, "dropout": 0.0}
    ours, theirs = pair("Transformer", 6, 2, 2, 2, **options)
    mask = gpunn.nn.Transformer.generate_square_subsequent_mask(4)
    assert mask.tolist() == torch.nn.Transformer.generate_square_subsequent_mask(4).tolist()
    same(ours, theirs, draw(3, 2, 6), draw(4, 2, 6), tgt_mask=mask.double().numpy())
    with pytest.raises(RuntimeError, match="the batch number of src and tgt must be equal"):
        ours(gpunn.zeros(3, 2, 6), gpunn.zeros(4, 1, 6))


@pytest.mark.parametrize("case", ["plain", "causal", "bool", "float", "blind", "scale", "grouped"])
def test_scaled_dot_product_attention(case: str) -> None:
    torch: Any = pytest.importorskip("torch")
    seen = np.array([[True, False, True]] * 4)
    seen[2] = case != "blind"
    options: dict[str, Any] = {
        "plain": {},
        "causal": {"is_causal": True},
        "bool": {"attn_mask": seen},
        "blind": {"attn_mask": seen & (np.arange(4) != 2)[:, None]},
        "float": {"attn_mask": draw(2, 1, 4, 3)},
        "scale": {"scale": 0.3},
        "grouped": {"enable_gqa": True},
    }[case]
    heads = 1 if case == "grouped" else 2
    results: list[list[Any]] = []
    for lib in (gpunn, torch):
        arrays = draw(2, 2, 4, 5), draw(2, heads, 3, 5, seed=1), draw(2, heads, 3, 6, seed=2)
        q, k, v = (lib.from_numpy(a).requires_grad_() for a in arrays)
        kept = {
            n: lib.from_numpy(a) if isinstance(a, np.ndarray) else a for n, a in options.items()
        }
        y = lib.nn.functional.scaled_dot_product_attention(q, k, v, **kept)
        (y * y).sum().backward()
        results.append([t.detach().numpy() for t in (y, q.grad, k.grad, v.grad)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_refusals() -> None:
    with pytest.raises(AssertionError, match="embed_dim must be divisible by num_heads"):
        gpunn.nn.MultiheadAttention(5, 2)
    layer = gpunn.nn.MultiheadAttention(4, 2)
    with pytest.raises(AssertionError, match="query should be unbatched 2D or batched 3D tensor"):
        layer(gpunn.zeros(4), gpunn.zeros(4), gpunn.zeros(4))
    x = gpunn.zeros(3, 1, 4)
    with pytest.raises(RuntimeError, match=r"The shape of the 2D attn_mask is .* but should be"):
        layer(x, x, x, attn_mask=gpunn.zeros(2, 3))
    with pytest.raises(RuntimeError, match="activation should be relu/gelu, not odd"):
        gpunn.nn.TransformerEncoderLayer(4, 2, activation="odd")
    attention = gpunn.nn.functional.scaled_dot_product_attention
    with pytest.raises(RuntimeError, match="Explicit attn_mask should not be set"):
        attention(x, x, x, attn_mask=gpunn.zeros(1, 1), is_causal=True)


def test_dropout_is_the_layers() -> None:
    layer = gpunn.nn.MultiheadAttention(4, 2, dropout=0.5)
    x = gpunn.randn(3, 1, 4)
    assert not layer(x, x, x)[0].equal(layer(x, x, x)[0])
    layer.eval()
    assert layer(x, x, x)[0].equal(layer(x, x, x)[0])
    assert math.isfinite(float(layer(x, x, x)[0].sum()))
