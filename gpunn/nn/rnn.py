"""Recurrent layers: RNN, LSTM and GRU over whole sequences."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

from gpunn import functional as F
from gpunn.creation import empty
from gpunn.dtype import in_use
from gpunn.functional.recurrent import State, rnn_layer
from gpunn.nn import init
from gpunn.nn.module import Module
from gpunn.nn.parameter import Parameter
from gpunn.nn.utils.rnn import PackedSequence
from gpunn.ops.joining import cat, stack
from gpunn.tensor import Tensor

GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


class RNNBase(Module):
    """``num_layers`` recurrent layers of ``mode``, in one direction or both.

    Parameters of layer k: ``weight_ih_lk`` (gates · H, I), ``weight_hh_lk`` (gates · H, H),
    ``bias_ih_lk``, ``bias_hh_lk`` and, with ``proj_size``, ``weight_hr_lk``; those of the way back
    end in ``_reverse``. All begin uniform within ±1/√hidden_size.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        number = isinstance(dropout, numbers.Number) and not isinstance(dropout, bool)
        if not number or not 0 <= dropout <= 1:
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an "
                "element being zeroed"
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                f"dropout expects num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={num_layers}",
                stacklevel=3,
            )
        for name, value, kind in (
            ("bias", bias, bool),
            ("batch_first", batch_first, bool),
            ("input_size", input_size, int),
            ("hidden_size", hidden_size, int),
        ):
            if not isinstance(value, kind):
                raise TypeError(
                    f"{name} should be of type {kind.__name__}, got: {type(value).__name__}"
                )
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
        for name, value in sizes.items():
            if value <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if mode not in GATES:
            raise ValueError("Unrecognized RNN mode: " + mode)
        self.mode, self.input_size, self.hidden_size = mode, input_size, hidden_size
        self.num_layers, self.bias, self.batch_first = num_layers, bias, batch_first
        self.dropout, self.bidirectional, self.proj_size = float(dropout), bidirectional, proj_size
        out, gates = proj_size or hidden_size, GATES[mode] * hidden_size
        directions = 2 if bidirectional else 1
        for layer in range(num_layers):
            size = out * directions if layer else input_size
            shapes = {
                "weight_ih": (gates, size),
                "weight_hh": (gates, out),
                **({"bias_ih": (gates,), "bias_hh": (gates,)} if bias else {}),
                **({"weight_hr": (proj_size, hidden_size)} if proj_size else {}),
            }
            for end in ("", "_reverse")[:directions]:
                for name, shape in shapes.items():
                    made = Parameter(empty(*shape, device=device, dtype=dtype))
                    self.register_parameter(f"{name}_l{layer}{end}", made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values."""
        bound = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing: PyTorch lays weights out for cuDNN here."""

    def extra_repr(self) -> str:
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        shown = (f"{k}={getattr(self, k)}" for k, v in defaults.items() if getattr(self, k) != v)
        return ", ".join([str(self.input_size), str(self.hidden_size), *shown])

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer, and of its way back after it."""
        ends = ("", "_reverse") if self.bidirectional else ("",)
        found = [self._weights(layer, end) for layer in range(self.num_layers) for end in ends]
        return [[w for w in weights if w is not None] for weights in found]

    def _weights(self, layer: int, end: str) -> list[Any]:
        names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
        found = [getattr(self, f"{name}_l{layer}{end}", None) for name in names]
        return found + ([getattr(self, f"weight_hr_l{layer}{end}")] if self.proj_size else [])

    def forward(self, input: Any, hx: Any = None) -> Any:
        """All outputs of the last layer, and the last state of every layer.

        ``input`` (T, N, I), with ``batch_first`` (N, T, I), (T, I), or a ``PackedSequence``; state
        (layers · directions, N, H), zeros unless given.
        """
        packed = isinstance(input, PackedSequence)
        x: Tensor = input.data if packed else input
        flat = not packed and x.dim() == 2
        if not packed and x.dim() not in (2, 3):
            what = "D tensor" if self.mode.startswith("RNN") else "D"  # as PyTorch has it
            raise ValueError(
                f"{type(self).__name__}: Expected input to be 2D or 3D, got {x.dim()}{what} instead"
            )
        if packed:
            sizes: list[int] = input.batch_sizes.tolist()
        else:
            x = x.unsqueeze(1) if flat else x.transpose(0, 1) if self.batch_first else x
            sizes = [x.size(1)] * x.size(0)
        self._check(x)
        if not sizes:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        state = self._state(x, sizes[0], hx, flat)
        if packed and hx is not None and input.sorted_indices is not None:
            state = tuple(s.index_select(1, input.sorted_indices) for s in state)
        rows = x if packed else x.reshape(-1, x.size(2))
        y, last = self._run(rows, sizes, state)
        if packed:
            if input.unsorted_indices is not None:
                last = tuple(s.index_select(1, input.unsorted_indices) for s in last)
            return PackedSequence(y, *input[1:]), self._given(last)
        y = y.reshape(len(sizes), sizes[0], y.size(1))
        if flat:
            return y.squeeze(1), self._given(tuple(s.squeeze(1) for s in last))
        return (y.transpose(0, 1) if self.batch_first else y), self._given(last)

    def _run(self, x: Tensor, sizes: list[int], state: State) -> tuple[Tensor, State]:
        """All layers over packed rows."""
        ends = ("", "_reverse") if self.bidirectional else ("",)
        finals: list[State] = []
        for layer in range(self.num_layers):
            outputs: list[Tensor] = []
            for end in ends:
                begin = tuple(s[len(finals)] for s in state)
                y, last = rnn_layer(
                    self.mode, x, sizes, begin, self._weights(layer, end), reverse=bool(end)
                )
                outputs.append(y)
                finals.append(last)
            x = cat(outputs, 1) if len(outputs) > 1 else outputs[0]
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, tuple(stack(list(parts)) for parts in zip(*finals, strict=True))

    def _given(self, state: State) -> Any:
        return state if self.mode == "LSTM" else state[0]

    def _check(self, x: Tensor) -> None:
        weight: Parameter = self.weight_ih_l0
        if x.dtype != weight.dtype and "autocast" not in in_use:
            raise ValueError(
                f"RNN input dtype ({x.dtype}) does not match weight dtype ({weight.dtype}). "
                f"Convert input: input.to({weight.dtype}), or convert model: model.to({x.dtype})"
            )
        if x.size(-1) != self.input_size:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. Expected "
                f"{self.input_size}, got {x.size(-1)}"
            )

    def _state(self, x: Tensor, batch: int, hx: Any, flat: bool) -> State:
        """The state to begin with: (layers · directions, N, H) each."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        out = self.proj_size or self.hidden_size
        shapes = [(count, batch, out)]
        if self.mode == "LSTM":
            shapes.append((count, batch, self.hidden_size))
        if hx is None:
            return tuple(x.new_zeros(shape) for shape in shapes)
        given: State = tuple(hx) if self.mode == "LSTM" else (hx,)
        rank = 2 if flat else 3
        for s in given:
            if s.dim() != rank:
                what = "hx and cx" if self.mode == "LSTM" else "hx"
                kind = "unbatched 2-D" if flat else "batched 3-D"
                raise RuntimeError(
                    f"For {kind} input, {what} should also be {rank}-D but got {s.dim()}-D tensor"
                )
        given = tuple(s.unsqueeze(1) if flat else s for s in given)
        for i, (s, shape) in enumerate(zip(given, shapes, strict=True)):
            if tuple(s.shape) != shape:
                label = f"hidden[{i}]" if self.mode == "LSTM" else "hidden"
                raise RuntimeError(f"Expected {label} size {shape}, got {list(s.shape)}")
        return given


def _refuse_projection(proj_size: int | None) -> None:
    if proj_size is not None:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")


class RNN(RNNBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or ``nonlinearity="relu"``.

    >>> import gpunn
    >>> y, h = RNN(3, 4)(gpunn.zeros(5, 2, 3))
    >>> y.shape, h.shape
    (gpunn.Size([5, 2, 4]), gpunn.Size([1, 2, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        proj_size: int | None = None,
    ) -> None:
        _refuse_projection(proj_size)
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        self.nonlinearity = nonlinearity
        super().__init__(
            *(f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias),
            *(batch_first, dropout, bidirectional, 0, device, dtype),
        )


class LSTM(RNNBase):
    """i, f, o = σ(...), g = tanh(...), c' = f c + i g, h' = o tanh(c'); state (h, c).

    ``proj_size``: h is projected to so many numbers.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            *("LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout),
            *(bidirectional, proj_size, device, dtype),
        )


class GRU(RNNBase):
    """r, z = σ(...), n = tanh(W x + b + r (W h + b)), h' = (1 - z) n + z h."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        proj_size: int | None = None,
    ) -> None:
        _refuse_projection(proj_size)
        super().__init__(
            *("GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout),
            *(bidirectional, 0, device, dtype),
        )
