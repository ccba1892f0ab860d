"""Sequences of several lengths in one tensor: padded, or packed step by step."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from gpunn.creation import arange, tensor, zeros_like
from gpunn.dtype import float16, float32, float64, int8, int16, int32, int64, uint8
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


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Fields):
    """The rows of step 0 of all sequences, longest first, then those of step 1, ...

    ``batch_sizes`` (int64, on the CPU): how many sequences reach each step. ``sorted_indices``:
    where the sequences stood before they were sorted; ``unsorted_indices``: the way back.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if batch_sizes is None:  # then data is a pair
            data, sizes = data
        else:
            sizes = batch_sizes
        if sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be "
                "created manually. They should be instantiated by functions like pack_sequence and "
                f"pack_padded_sequences in nn.utils.rnn. (got {sizes.device})"
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With the data, and the indices, on another device or of another dtype."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        indices = (i if i is None else i.to(data.device) for i in self[2:])
        return PackedSequence(data, self.batch_sizes, *indices)

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With the data on a CUDA device."""
        return self.to(self.data.cuda(*args, **kwargs).device)

    def cpu(self) -> PackedSequence:
        """With the data in host memory."""
        return self.to("cpu")

    def pin_memory(self) -> PackedSequence:
        """With all that it holds in memory that a CUDA device reads by itself."""
        return PackedSequence(*(x if x is None else x.pin_memory() for x in self))

    def double(self) -> PackedSequence:
        """With the data in float64."""
        return self.to(dtype=float64)

    def float(self) -> PackedSequence:
        """With the data in float32."""
        return self.to(dtype=float32)

    def half(self) -> PackedSequence:
        """With the data in float16."""
        return self.to(dtype=float16)

    def long(self) -> PackedSequence:
        """With the data in int64."""
        return self.to(dtype=int64)

    def int(self) -> PackedSequence:
        """With the data in int32."""
        return self.to(dtype=int32)

    def short(self) -> PackedSequence:
        """With the data in int16."""
        return self.to(dtype=int16)

    def char(self) -> PackedSequence:
        """With the data in int8."""
        return self.to(dtype=int8)

    def byte(self) -> PackedSequence:
        """With the data in uint8."""
        return self.to(dtype=uint8)

    @property
    def is_cuda(self) -> bool:
        """Whether the data lie on a CUDA device."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether the data lie in memory that a CUDA device reads by itself."""
        return self.data.is_pinned()


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes it."""
    if permutation is None:
        return None
    places = arange(0, permutation.numel(), dtype=int64, device=permutation.device)
    return zeros_like(places).scatter_(0, permutation, places)


def pack_padded_sequence(
    input: Tensor,
    lengths: Tensor | Sequence[int],
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Pack ``input`` (T, N, ...), or (N, T, ...), of which sequence n has ``lengths[n]`` steps.

    Raises RuntimeError for lengths of 0, and unless they fall where ``enforce_sorted``.
    """
    if isinstance(lengths, Tensor) and (lengths.dim() != 1 or lengths.device.type != "cpu"):
        raise RuntimeError(
            "'lengths' argument should be a 1D CPU int64 tensor, but got "
            f"{lengths.dim()}D {lengths.device} Long tensor"
        )
    given: Any = lengths.tolist() if isinstance(lengths, Tensor) else lengths
    counts: list[int] = [int(n) for n in given]
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
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    parts = list(sequences)
    if not parts:
        raise RuntimeError("received an empty list of sequences")
    longest = max(len(x) for x in parts)
    rest = parts[0].shape[1:]
    padded: list[Tensor] = []
    for part in parts:
        x = part if part.shape[1:] == rest else part.new_empty((len(part), *rest)).copy_(part)
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
