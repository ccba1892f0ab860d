"""Embedding and EmbeddingBag: their state, text, first values, and that each is its function."""

from __future__ import annotations

from typing import Any

import pytest
from parity import same

import gpunn
from gpunn import nn


@pytest.mark.parametrize("make", [
    lambda nn: nn.Embedding(5, 3),
    lambda nn: nn.Embedding(5, 3, padding_idx=-1, max_norm=1.0, norm_type=1.0),
    lambda nn: nn.Embedding(5, 3, scale_grad_by_freq=True, sparse=True),
    lambda nn: nn.EmbeddingBag(5, 3),
    lambda nn: nn.EmbeddingBag(5, 3, 1.0, 3, True, "sum", True, include_last_offset=True),
    lambda nn: nn.EmbeddingBag(5, 3, padding_idx=-2),
])  # fmt: skip
def test_text_and_state_as_pytorch(make: Any):
    def scenario(lib: Any) -> Any:
        layer = make(lib.nn)
        return repr(layer), [(k, list(v.shape)) for k, v in layer.state_dict().items()]

    same(scenario)


def test_embedding_begins_standard_normal_but_for_padding():
    layer = nn.Embedding(1000, 20, padding_idx=-1)
    rows = layer.weight.detach()[:-1]
    assert abs(float(rows.mean())) < 0.03
    assert abs(float(rows.std()) - 1) < 0.03
    assert layer.weight[-1].tolist() == [0] * 20
    layer(gpunn.tensor([999, 0])).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad[[0, -1]].sum(1).tolist() == [20, 0]


def test_embedding_from_pretrained():
    table = gpunn.tensor([[1.0, 2.0], [3.0, 4.0]])
    layer = nn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad
    assert layer(gpunn.tensor([1, 0])).tolist() == [[3, 4], [1, 2]]
    table[1] = 0
    assert layer.weight[1].tolist() == [0, 0]
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad
    with pytest.raises(AssertionError, match="Embeddings parameter is expected to be 2-dim"):
        nn.Embedding.from_pretrained(gpunn.ones(3))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bag_is_the_function(mode: str, device: str):
    table = gpunn.rand(6, 3, device=device)
    bag = nn.EmbeddingBag.from_pretrained(
        table, False, mode=mode, include_last_offset=True, padding_idx=1
    )
    index = gpunn.tensor([4, 1, 2, 5, 1, 0, 1], device=device)
    ends = gpunn.tensor([0, 2, 2, 5, 7], device=device)
    y = bag(index, ends)
    host = table.cpu()
    parts = [host[[4]], host[[2, 5]], host[[0]]]
    want = [{"sum": p.sum(0), "mean": p.mean(0), "max": p.amax(0)}[mode] for p in parts]
    want.insert(1, gpunn.zeros(3))
    gpunn.testing.assert_close(y.cpu().detach(), gpunn.stack(want))
    y.sum().backward()
    assert bag.weight.grad is not None
    assert bag.weight.grad[1].tolist() == [0, 0, 0]
    assert bag.weight.grad.sum().item() == pytest.approx({"sum": 12, "mean": 9, "max": 9}[mode])
    with pytest.raises(RuntimeError if device == "cpu" else IndexError, match="found idx to be 8"):
        bag(index + 4, ends).tolist()
    with pytest.raises(RuntimeError, match="offsets has to be in order"):
        bag(index, gpunn.tensor([0, 5, 2, 7], device=device)).tolist()


def test_bag_from_pretrained():
    table = gpunn.ones(4, 2)
    bag = nn.EmbeddingBag.from_pretrained(table, padding_idx=0)
    assert not bag.weight.requires_grad
    table[1] = 0
    assert bag.weight[0].tolist() == [1, 1]
    assert bag(gpunn.tensor([[1, 2]])).tolist() == [[0.5, 0.5]]
    assert nn.EmbeddingBag.from_pretrained(table, freeze=False).weight.requires_grad
    assert nn.EmbeddingBag(4, 2, padding_idx=1).weight[1].tolist() == [0, 0]


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
def test_refuses(make: Any):
    with pytest.raises(AssertionError, match="Padding_idx must be within num_embeddings"):
        make(3, 2, padding_idx=3)
    with pytest.raises(AssertionError, match="Shape of weight does not match num_embeddings"):
        make(3, 2, _weight=gpunn.ones(2, 3))
