"""Recurrent cells, and a layer of one: the same cell over every step of a sequence.

Gates are computed for all steps at once where they depend on the input alone; only what needs the
state goes step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gpunn.functional.linear import linear
from gpunn.ops.joining import cat, chunk
from gpunn.ops.pointwise import relu, sigmoid, tanh

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

State = tuple["Tensor", ...]  # h, and for an LSTM c
# The next state from the input's gates, the state, and the weights (w_hh, b_hh[, w_hr]).
Cell = Callable[..., State]


def _simple(activation: Callable[[Tensor], Tensor]) -> Cell:
    def cell(gates: Tensor, state: State, w_hh: Tensor, b_hh: Tensor | None) -> State:
        return (activation(gates + linear(state[0], w_hh, b_hh)),)

    return cell


def _lstm(
    gates: Tensor, state: State, w_hh: Tensor, b_hh: Tensor | None, w_hr: Tensor | None = None
) -> State:
    """S. Hochreiter and J. Schmidhuber, 1997; ``w_hr`` projects h (H. Sak et al., 2014)."""
    h, c = state
    i, f, g, o = chunk(gates + linear(h, w_hh, b_hh), 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    return (h if w_hr is None else linear(h, w_hr)), c


def _gru(gates: Tensor, state: State, w_hh: Tensor, b_hh: Tensor | None) -> State:
    """K. Cho et al., 2014; the reset gate acts on the product, as in cuDNN."""
    (h,) = state
    r, z, n = chunk(gates, 3, -1)
    hr, hz, hn = chunk(linear(h, w_hh, b_hh), 3, -1)
    n = tanh(n + sigmoid(r + hr) * hn)
    return (n + sigmoid(z + hz) * (h - n),)


CELLS: dict[str, Cell] = {
    "RNN_TANH": _simple(tanh),
    "RNN_RELU": _simple(relu),
    "LSTM": _lstm,
    "GRU": _gru,
}


def rnn_layer(
    mode: str,
    x: Tensor,
    sizes: Sequence[int],
    state: State,
    weights: Sequence[Any],
    reverse: bool = False,
) -> tuple[Tensor, State]:
    """One direction of one layer over packed steps.

    ``x`` (Σ sizes, I) holds the rows of step 0, then of step 1, ...; ``sizes`` never grow, so the
    longest sequences stand first. ``state`` (N, H) each; ``weights`` w_ih, w_hh, b_ih, b_hh and,
    for a projection, w_hr. Gives all h (Σ sizes, H) and each sequence's last state.
    """
    w_ih, w_hh, b_ih, b_hh, *more = weights
    cell = CELLS[mode]
    steps = linear(x, w_ih, b_ih).split(list(sizes))
    outputs: list[Tensor] = []
    if reverse:  # sequences join as their last step is met
        now = tuple(s[: sizes[-1]] for s in state)
        for step in reversed(steps):
            n, running = len(step), len(now[0])
            if n > running:
                now = tuple(cat([a, s[running:n]]) for a, s in zip(now, state, strict=True))
            now = cell(step, now, w_hh, b_hh, *more)
            outputs.insert(0, now[0])
        return cat(outputs), now
    now, last = state, list[State]()
    for step in steps:  # and leave after it
        n, running = len(step), len(now[0])
        if n < running:
            last.insert(0, tuple(s[n:] for s in now))
            now = tuple(s[:n] for s in now)
        now = cell(step, now, w_hh, b_hh, *more)
        outputs.append(now[0])
    last.insert(0, now)
    final = tuple(cat(parts) for parts in zip(*last, strict=True))
    return cat(outputs), final
