"""Sequences of several lengths in one tensor: padded, or packed step by step."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from gpunn.creation import tensor
from gpunn.dtype import int64
from gpunn.ops.joining import cat, stack
from gpunn.tensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence(NamedTuple):
    """The rows of step 0 of all sequences, longest first, then those of step 1, ...

    ``batch_sizes`` (int64, on the CPU): how many sequences reach each step. ``sorted_indices``:
    where the sequences stood before they were sorted; ``unsorted_indices``: the way back.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With the data, and the indices, on another device or of another dtype."""
        data = self.data.to(*args, **kwargs)
        indices = (i if i is None else i.to(data.device) for i in self[2:])
        return PackedSequence(data, self.batch_sizes, *indices)

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With the data on a CUDA device."""
        return self.to(self.data.cuda(*args, **kwargs).device)

    def cpu(self) -> PackedSequence:
        """With the data in host memory."""
        return self.to("cpu")

    def double(self) -> PackedSequence:
        """With the data in float64."""
        return self._replace(data=self.data.double())

    def float(self) -> PackedSequence:
        """With the data in float32."""
        return self._replace(data=self.data.float())

    def half(self) -> PackedSequence:
        """With the data in float16."""
        return self._replace(data=self.data.half())

    @property
    def is_cuda(self) -> bool:
        """Whether the data lie on a CUDA device."""
        return self.data.is_cuda


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes it."""
    return None if permutation is None else permutation.argsort()


def pack_padded_sequence(
    input: Tensor,
    lengths: Tensor | Sequence[int],
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Pack ``input`` (T, N, ...), or (N, T, ...), of which sequence n has ``lengths[n]`` steps.

    Raises RuntimeError for lengths of 0, and unless they fall where ``enforce_sorted``.
    """
    counts: list[int] = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    if batch_first:
        input = input.transpose(0, 1)
    order = None
    if not enforce_sorted:
        order = tensor(sorted(range(len(counts)), key=lambda n: -counts[n]), dtype=int64)
        counts = [counts[n] for n in order.tolist()]
        order = order.to(input.device)
        input = input.index_select(1, order)
    if len(counts) != input.size(1):
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(counts)} (batch_size="
            f"{input.size(1)})"
        )
    if not counts:
        raise RuntimeError("Cannot pack empty tensors.")
    if min(counts) <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if any(a < b for a, b in itertools.pairwise(counts)):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You "
            "can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )
    if counts[0] > input.size(0):
        raise RuntimeError(
            f"Expected lengths of at most {input.size(0)} steps, but got {counts[0]}"
        )
    sizes = [sum(n > t for n in counts) for t in range(counts[0])]
    data = cat([input[t, :n] for t, n in enumerate(sizes)])
    return PackedSequence(data, tensor(sizes, dtype=int64), order, invert_permutation(order))


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The padded tensor (T, N, ...), or (N, T, ...), and the lengths, in their first order."""
    sizes: list[int] = sequence.batch_sizes.tolist()
    steps = len(sizes)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, "
                f"but got total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    rest = tuple(sequence.data.shape[1:])
    rows: list[Tensor] = []
    for part in sequence.data.split(sizes):
        fill = part.new_full((sizes[0] - len(part), *rest), padding_value)
        rows.append(cat([part, fill]))
    rows += [sequence.data.new_full((sizes[0], *rest), padding_value)] * (steps - len(sizes))
    padded = stack(rows)
    lengths = tensor([sum(n > i for n in sizes) for i in range(sizes[0])], dtype=int64)
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(1, sequence.unsorted_indices)
        lengths = lengths[sequence.unsorted_indices.cpu()]
    return (padded.transpose(0, 1) if batch_first else padded), lengths


def pad_sequence(
    sequences: Sequence[Tensor] | Tensor,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (T_n, ...) padded to the longest: (T, N, ...), or (N, T, ...)."""
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    parts = list(sequences)
    if not parts:
        raise RuntimeError("received an empty list of sequences")
    longest = max(len(x) for x in parts)
    padded: list[Tensor] = []
    for x in parts:
        fill = x.new_full((longest - len(x), *x.shape[1:]), padding_value)
        padded.append(cat([fill, x] if padding_side == "left" else [x, fill]))
    return stack(padded, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """The sequences of a padded tensor, without their padding."""
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [x[:n] for x, n in zip(rows, lengths.tolist(), strict=True)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (T_n, ...)."""
    lengths = [len(x) for x in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences that were packed."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences))
