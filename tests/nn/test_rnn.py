"""Recurrent layers with PyTorch's weights: outputs, states, gradients; packed sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpunn
from gpunn.nn.utils import rnn

OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_layers": 2, "bias": False},
    {"num_layers": 2, "bidirectional": True},
    {"batch_first": True, "bidirectional": True},
]


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
    assert repr(ours) == repr(theirs)
    return ours, theirs


def flat(value: Any) -> list[Any]:
    if isinstance(value, tuple):
        return [x for v in value for x in flat(v)]
    return [] if value is None else [value]


def same(ours: Any, theirs: Any, run: Any) -> None:
    """``run(lib, module)`` gives outputs: they, and all gradients, are compared."""
    import torch

    found: list[list[Any]] = []
    for lib, module in ((gpunn, ours), (torch, theirs)):
        outputs = flat(run(lib, module))
        total = sum((y.double() * y.double().cos()).sum() for y in outputs)
        module.zero_grad()
        if total.requires_grad:
            total.backward()
        gradients = [p.grad for p in module.parameters()]
        found.append(
            [y.detach().numpy() for y in outputs + [g for g in gradients if g is not None]]
        )
    assert len(found[0]) == len(found[1])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("options", OPTIONS)
def test_layers(name: str, options: dict[str, Any]) -> None:
    ours, theirs = pair(name, 3, 4, **options)
    shape = (2, 5, 3) if options.get("batch_first") else (5, 2, 3)
    same(ours, theirs, lambda lib, m: m(lib.from_numpy(draw(*shape))))
    same(ours, theirs, lambda lib, m: m(lib.from_numpy(draw(5, 3))))
    count = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)

    def begun(lib: Any, module: Any) -> Any:
        states = tuple(lib.from_numpy(draw(count, 2, 4, seed=i)) for i in range(2))
        return module(lib.from_numpy(draw(*shape)), states if name == "LSTM" else states[0])

    same(ours, theirs, begun)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("sorted_", [True, False])
def test_packed_sequences(name: str, sorted_: bool) -> None:
    ours, theirs = pair(name, 3, 4, num_layers=2, bidirectional=True)
    lengths = [5, 3, 3, 1] if sorted_ else [3, 1, 5, 3]

    def run(lib: Any, module: Any) -> Any:
        tools = lib.nn.utils.rnn
        x = lib.from_numpy(draw(5, 4, 3))
        packed = tools.pack_padded_sequence(x, lengths, enforce_sorted=sorted_)
        states = tuple(lib.from_numpy(draw(4, 4, 4, seed=i)) for i in range(2))
        y, state = module(packed, states if name == "LSTM" else states[0])
        return (*tools.pad_packed_sequence(y), state)

    same(ours, theirs, run)


def test_projection_and_relu() -> None:
    ours, theirs = pair("LSTM", 3, 4, 2, proj_size=2, bidirectional=True)
    same(ours, theirs, lambda lib, m: m(lib.from_numpy(draw(5, 2, 3))))
    ours, theirs = pair("RNN", 3, 4, nonlinearity="relu")
    same(ours, theirs, lambda lib, m: m(lib.from_numpy(draw(5, 2, 3))))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("RNNCell", {}),
        ("RNNCell", {"nonlinearity": "relu", "bias": False}),
        ("LSTMCell", {}),
        ("GRUCell", {}),
    ],
)
def test_cells(name: str, options: dict[str, Any]) -> None:
    ours, theirs = pair(name, 3, 4, **options)
    for shape in ((2,), ()):

        def run(lib: Any, module: Any, shape: tuple[int, ...] = shape) -> Any:
            h, c = (lib.from_numpy(draw(*shape, 4, seed=i)) for i in range(2))
            return module(lib.from_numpy(draw(*shape, 3)), (h, c) if name == "LSTMCell" else h)

        same(ours, theirs, run)
        same(ours, theirs, lambda lib, m, shape=shape: m(lib.from_numpy(draw(*shape, 3))))


def test_dropout_between_layers() -> None:
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last"):
        gpunn.nn.LSTM(3, 4, dropout=0.5)
    layer = gpunn.nn.GRU(3, 4, 2, dropout=0.5)
    x = gpunn.randn(5, 2, 3)
    assert not layer(x)[0].equal(layer(x)[0])
    layer.eval()
    assert layer(x)[0].equal(layer(x)[0])


REFUSED: dict[str, Any] = {
    "mode": lambda lib: lib.nn.RNNBase("ODD", 3, 4),
    "nonlinearity": lambda lib: lib.nn.RNN(3, 4, nonlinearity="odd"),
    "sizes": lambda lib: lib.nn.LSTM(0, 4),
    "projection": lambda lib: lib.nn.LSTM(3, 4, proj_size=4),
    "dropout": lambda lib: lib.nn.LSTM(3, 4, dropout=2),
    "input": lambda lib: lib.nn.GRU(3, 4)(lib.zeros(5, 2, 2)),
    "dims": lambda lib: lib.nn.GRU(3, 4)(lib.zeros(5)),
    "dtype": lambda lib: lib.nn.GRU(3, 4)(lib.zeros(5, 2, 3).double()),
    "state": lambda lib: lib.nn.GRU(3, 4)(lib.zeros(5, 2, 3), lib.zeros(1, 3, 4)),
    "state's dims": lambda lib: lib.nn.GRU(3, 4)(lib.zeros(5, 2, 3), lib.zeros(2, 4)),
    "no step": lambda lib: lib.nn.GRU(3, 4)(lib.zeros(0, 2, 3)),
    "order": lambda lib: lib.nn.utils.rnn.pack_padded_sequence(lib.zeros(5, 2, 3), [1, 2]),
    "length 0": lambda lib: lib.nn.utils.rnn.pack_padded_sequence(lib.zeros(5, 2, 3), [2, 0]),
    "lengths": lambda lib: lib.nn.utils.rnn.pack_padded_sequence(lib.zeros(5, 2, 3), [2]),
    "cell": lambda lib: lib.nn.GRUCell(3, 4)(lib.zeros(1, 2, 3)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str) -> None:
    torch: Any = pytest.importorskip("torch")
    texts: list[tuple[type, str]] = []
    for lib in (gpunn, torch):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            REFUSED[case](lib)
        texts.append((type(caught.value), str(caught.value).replace("torch", "gpunn")[:60]))
    assert texts[0] == texts[1]


def test_padding_and_packing() -> None:
    torch: Any = pytest.importorskip("torch")
    results: list[list[Any]] = []
    for lib in (gpunn, torch):
        tools = lib.nn.utils.rnn
        parts = [lib.from_numpy(draw(n, 2)) for n in (2, 4, 3)]
        lengths = lib.tensor([2, 4, 3])
        padded = tools.pad_sequence(parts, batch_first=True, padding_value=-1)
        packed = tools.pack_sequence(parts, enforce_sorted=False)
        results.append(
            [
                padded,
                tools.pad_sequence(parts, padding_side="left"),
                *tools.unpad_sequence(padded, lengths, batch_first=True),
                *packed,
                *tools.unpack_sequence(packed),
                *tools.pad_packed_sequence(packed, batch_first=True, total_length=6),
            ]
        )
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    packed = rnn.pack_sequence([gpunn.zeros(2), gpunn.zeros(1)])
    assert packed.double().data.dtype == gpunn.float64
    assert not packed.is_cuda
    with pytest.raises(ValueError, match="Expected total_length to be at least the length"):
        rnn.pad_packed_sequence(packed, total_length=1)
