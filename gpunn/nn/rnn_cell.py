"""One step of a recurrent layer: the cells."""

from __future__ import annotations

import math
from typing import Any

from gpunn import functional as F
from gpunn.creation import empty
from gpunn.functional.recurrent import CELLS, State
from gpunn.nn import init
from gpunn.nn.module import Module
from gpunn.nn.parameter import Parameter
from gpunn.tensor import Tensor


class RNNCellBase(Module):
    """``weight_ih`` and ``bias_ih`` of the input, ``weight_hh`` and ``bias_hh`` of the state.

    Each holds ``num_chunks`` gates of ``hidden_size`` rows. All begin uniform within
    ±1/√hidden_size.
    """

    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        gates = num_chunks * hidden_size
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self.weight_ih = Parameter(empty(gates, input_size, **place))
        self.weight_hh = Parameter(empty(gates, hidden_size, **place))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(empty(gates, **place)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size else 0.0
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def extra_repr(self) -> str:
        parts = [str(self.input_size), str(self.hidden_size)]
        return ", ".join(parts if self.bias else [*parts, f"bias={self.bias}"])

    def _step(self, mode: str, x: Tensor, hx: Any, states: int) -> State:
        name = type(self).__name__
        if x.dim() not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {x.dim()}D instead")
        given: Any = (hx if states > 1 else (hx,)) if hx is not None else None
        for i, s in enumerate(given or ()):
            if s.dim() not in (1, 2):
                what = f"hx[{i}]" if states > 1 else "hidden"
                raise ValueError(f"{name}: Expected {what} to be 1D or 2D, got {s.dim()}D instead")
        rows = x if x.dim() == 2 else x.unsqueeze(0)
        if given is None:
            state: State = tuple(rows.new_zeros(len(rows), self.hidden_size) for _ in range(states))
        else:
            state = tuple(s if x.dim() == 2 else s.unsqueeze(0) for s in given)
        self._check(rows, state)
        gates = F.linear(rows, self.weight_ih, self.bias_ih)
        new = CELLS[mode](gates, state, self.weight_hh, self.bias_hh)
        return new if x.dim() == 2 else tuple(s.squeeze(0) for s in new)

    def _check(self, rows: Tensor, state: State) -> None:
        """Refuse sizes that do not fit, in PyTorch's words."""
        if rows.size(1) != self.input_size:
            raise RuntimeError(
                f"input has inconsistent input_size: got {rows.size(1)} expected {self.input_size}"
            )
        for i, s in enumerate(state):
            if s.size(0) != len(rows):
                raise RuntimeError(
                    f"Input batch size {len(rows)} doesn't match hidden{i} batch size {s.size(0)}"
                )
            if s.size(1) != self.hidden_size:
                raise RuntimeError(
                    f"hidden{i} has inconsistent hidden_size: got {s.size(1)}, expected "
                    f"{self.hidden_size}"
                )


class RNNCell(RNNCellBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or ``nonlinearity="relu"``."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """(N, I) and (N, H) -> (N, H)."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._step(f"RNN_{self.nonlinearity.upper()}", input, hx, 1)[0]

    def extra_repr(self) -> str:
        text = super().extra_repr()
        odd = self.nonlinearity != "tanh"
        return f"{text}, nonlinearity={self.nonlinearity}" if odd else text


class LSTMCell(RNNCellBase):
    """One step of ``LSTM``."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> Any:
        """(N, I) and ((N, H), (N, H)) -> ((N, H), (N, H))."""
        return self._step("LSTM", input, hx, 2)


class GRUCell(RNNCellBase):
    """One step of ``GRU``."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """(N, I) and (N, H) -> (N, H)."""
        return self._step("GRU", input, hx, 1)[0]
