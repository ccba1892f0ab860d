"""Softmax over very many classes, the rare ones in clusters of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gpunn import functional as F
from gpunn.nn.container import ModuleList, Sequential
from gpunn.nn.linear import Linear
from gpunn.nn.module import Module, Where
from gpunn.ops.joining import cat
from gpunn.tensor import Tensor


class _ASMoutput(NamedTuple):
    """The log-probability of each target, and minus their mean."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """log P(target) for classes sorted by frequency, the frequent ones first: ``(N, in), (N,)``.

    The classes before ``cutoffs[0]`` and one stand-in for each cluster of rarer ones share a
    softmax, ``head``; cluster i, from ``cutoffs[i]`` on, has its own in ``tail[i]``, over a
    projection to ``in_features / div_value**(i + 1)``. So most inputs meet few weights. Also
    ``(in,)`` with a 0-d target. Raises RuntimeError for targets outside [0, n_classes).
    E. Grave et al., "Efficient softmax approximation for GPUs", 2017.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Where = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cuts = list(cutoffs)
        if not cuts:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        rising = all(a < b for a, b in zip([0, *cuts], [*cuts, n_classes], strict=True))
        if not rising or any(int(c) != c for c in cuts):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing "
                f"order, where each value is between 1 and n_classes-1: got {cuts}"
            )
        self.in_features, self.n_classes = in_features, n_classes
        self.cutoffs, self.div_value, self.head_bias = [*cuts, n_classes], div_value, head_bias
        self.shortlist_size, self.n_clusters = cuts[0], len(cuts)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, head_bias, device, dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden = int(in_features // div_value ** (i + 1))
            classes = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, hidden, False, device, dtype),
                    Linear(hidden, classes, False, device, dtype),
                )
            )

    def reset_parameters(self) -> None:
        """Draw new values."""
        for layer in self.modules():
            if isinstance(layer, Linear):
                layer.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        ndim = target_.dim()
        if ndim > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if ndim and input_.shape[:1] != target_.shape:
            raise RuntimeError("Input and target should have the same size in the batch dimension.")
        if input_.dim() != ndim + 1:
            raise RuntimeError(
                f"{ndim}D target tensor expects {ndim + 1}D input tensors, but found inputs with "
                f"size {input_.shape}"
            )
        single = not ndim
        x, target = (input_.unsqueeze(0), target_.unsqueeze(0)) if single else (input_, target_)
        if target.numel() and not 0 <= int(target.min()) <= int(target.max()) < self.n_classes:
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{int(target.min())}, {int(target.max())}] were found. "
            )
        place = target.long()
        rest: list[tuple[Tensor, Tensor]] = []
        for i, (low, high) in enumerate(zip(self.cutoffs, self.cutoffs[1:], strict=False)):
            inside = (target >= low) & (target < high)
            place = place.masked_fill(inside, self.shortlist_size + i)
            rows = inside.nonzero().squeeze(1)
            if rows.numel():
                within = self._cluster(i, x[rows]).gather(1, target[rows, None].long() - low)
                rest.append((rows, within.squeeze(1)))
        output = F.log_softmax(self.head(x), 1).gather(1, place.unsqueeze(1)).squeeze(1)
        for rows, within in rest:
            output = output.index_add(0, rows, within)
        loss = (-output).mean()
        return _ASMoutput(output.squeeze(0) if single else output, loss)

    def _cluster(self, i: int, x: Tensor) -> Tensor:
        return F.log_softmax(self.tail[i](x), 1)

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes: ``(N, in_features) -> (N, n_classes)``."""
        head = F.log_softmax(self.head(input), 1)
        n = self.shortlist_size
        parts = [self._cluster(i, input) + head[:, n + i, None] for i in range(self.n_clusters)]
        return cat([head[:, :n], *parts], 1)

    def predict(self, input: Tensor) -> Tensor:
        """The class that is most likely, as the head sees it first: ``(N, in) -> (N,)``."""
        output = self.head(input).argmax(1)
        rows = (output >= self.shortlist_size).nonzero().squeeze(1)
        if rows.numel():
            output[rows] = self.log_prob(input[rows]).argmax(1)
        return output
