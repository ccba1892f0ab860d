"""Sums, means and maxima of bags of embeddings: ``embedding_bag``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpunn.autograd.variable import Array, wrap
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING, promote_types
from gpunn.functional.linear import Embedding, renormalize
from gpunn.ops.common import check_all, dtype_of, local, need_tensor, xp_of
from gpunn.ops.gathering import gather
from gpunn.ops.indexing import IndexAdd
from gpunn.ops.pointwise import Masked

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

_NAME = "embedding_bag"


@local
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The "sum", "mean" or "max" of the rows of ``weight`` ``(n, d)`` in each bag: ``(bags, d)``.

    ``input``: int indices ``(bags, N)``, or ``(N,)`` where bag i begins at ``offsets[i]``; with
    ``include_last_offset`` the last of them is where the last bag ends. An empty bag is 0. Rows of
    ``padding_idx`` do not count. ``per_sample_weights``, of the shape of ``input``, multiply the
    rows of a "sum". ``max_norm``, ``norm_type``, ``scale_grad_by_freq``: as in ``embedding``.
    Raises ValueError for shapes and modes that do not fit, RuntimeError for an index outside
    [0, n), NotImplementedError for ``sparse``. As ``torch.nn.functional.embedding_bag``.
    """
    need_tensor(_NAME, input)
    need_tensor(_NAME, weight, "weight", 2)
    _check(input, weight, offsets, mode, scale_grad_by_freq, sparse, per_sample_weights)
    index, starts = _bags(input, offsets, include_last_offset)
    n = weight.data.shape[0]
    text = f"{_NAME}: Expected idx >= 0 && idx < num_embeddings but found idx to be {{value}}"
    backend = type2backend[type(index)]
    backend.check_indices(_NAME, index, 0, n, text, RuntimeError)
    if padding_idx is not None:
        if not -n <= padding_idx < n:
            raise RuntimeError(
                f"padding_idx must be within the number of embeddings, {-n} through {n - 1}, but "
                f"got {padding_idx}"
            )
        padding_idx %= n
    if max_norm is not None:
        renormalize(weight, index, max_norm, norm_type)
    rows = Embedding.apply(weight, wrap(index), padding_idx, scale_grad_by_freq)
    counts = None if padding_idx is None else index != padding_idx
    if mode == "max" and index.size:
        return _maxima(rows, starts, counts)
    weights = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    return _sums(rows, starts, counts, weights, mode == "mean")


def _check(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None,
    mode: str,
    by_frequency: bool,
    sparse: bool,
    per_sample_weights: Tensor | None,
) -> None:
    """Raise, in PyTorch's words and order, for what does not fit together."""
    weights = per_sample_weights
    if weights is not None and weights.data.shape != input.data.shape:
        raise ValueError(
            f"{_NAME}: If per_sample_weights ({weights.shape}) is not None, then it must have the "
            f"same shape as the input ({input.shape})"
        )
    if weight.data.ndim != 2:
        raise ValueError(
            f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.data.ndim}"
        )
    if input.data.ndim not in (1, 2):
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.data.ndim}"
        )
    if input.data.ndim == 2 and offsets is not None:
        raise ValueError(
            "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of "
            f"fixed length sequences. However, found offsets of type {type(offsets)}"
        )
    if input.data.ndim == 1 and offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    if offsets is not None and offsets.data.ndim != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and by_frequency:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    if sparse:
        raise NotImplementedError(f"{_NAME}: sparse gradients are not supported; use sparse=False")
    if weights is not None and mode != "sum":
        raise NotImplementedError(
            f"{_NAME}: per_sample_weights was not None. per_sample_weights is only supported for "
            f"mode='sum' (got mode='{mode}')."
        )
    if weight.data.dtype.kind not in FLOATING:
        raise _wrong_type("weight", "Half, BFloat16, Float, Double", weight)
    if weights is not None and weights.data.dtype != weight.data.dtype:
        raise RuntimeError(
            "Expected tensor for argument #1 'weight' to have the same type as tensor for argument "
            f"#1 'per_sample_weights'; but type {weight.type()} does not equal {weights.type()} "
            f"(while checking arguments for {_NAME})"
        )


def _bags(input: Tensor, offsets: Tensor | None, include_last_offset: bool) -> tuple[Array, Array]:
    """The indices in a row, and where in it each bag begins."""
    n, xp = input.data.size, xp_of(input)
    for given in (input,) if offsets is None else (input, offsets):
        if given.data.dtype.name not in ("int64", "int32"):
            raise _wrong_type("indices", "Long, Int", given)
    index = input.data.reshape(-1)
    if offsets is None:
        bags, each = input.data.shape
        if not each:
            raise RuntimeError("step must be nonzero: the bags of a 2D input are not empty")
        return index, xp.arange(bags) * each
    common = promote_types(dtype_of(input), dtype_of(offsets)).numpy
    index, starts = index.astype(common, copy=False), offsets.data.astype(common, copy=False)
    if include_last_offset and not starts.size:
        raise RuntimeError("include_last_offset: number of offset should be at least 1")
    backend = type2backend[type(starts)]
    first = (
        "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from "
        "position 0. However, got {value}"
    )
    last = (
        f"offsets[-1] can not be greater than input's length {n} but got offsets[-1] of {{value}}"
    )
    backend.check_indices(_NAME, starts[:1], 0, 1, first, RuntimeError)
    backend.check_indices(_NAME, starts[-1:], -n, n + 1, last, RuntimeError)
    check_all(_NAME, wrap(starts), lambda s: s[1:] >= s[:-1], "offsets has to be in order")
    return index, starts[: starts.size - include_last_offset]


def _wrong_type(name: str, wanted: str, given: Tensor) -> RuntimeError:
    return RuntimeError(
        f"Expected tensor for argument #1 '{name}' to have one of the following scalar types: "
        f"{wanted}; but got {given.type()} instead (while checking arguments for {_NAME})"
    )


def _sums(
    rows: Tensor, starts: Array, counts: Array | None, weights: Tensor | None, mean: bool
) -> Tensor:
    """The sum, or mean, of the ``rows`` (n, d) of each bag, of those only that ``counts``."""
    xp, n, shape = xp_of(rows), rows.data.shape[0], (starts.size, rows.data.shape[1])
    if not starts.size:
        return IndexAdd.apply(rows[:0], shape, (starts[:0],))
    bag = xp.searchsorted(starts, xp.arange(n), side="right") - 1
    if counts is not None:
        rows = Masked.apply(rows, wrap(counts[:, None]))
    if weights is not None:
        rows = rows * weights.unsqueeze(-1)
    total = IndexAdd.apply(rows, shape, (bag,))
    if not mean:
        return total
    size = xp.bincount(bag if counts is None else bag[counts], minlength=starts.size)
    return total / wrap(xp.maximum(size, 1).astype(total.data.dtype)[:, None])


def _maxima(rows: Tensor, starts: Array, counts: Array | None) -> Tensor:
    """The largest of the ``rows`` (n, d) of each bag that ``counts``, column by column."""
    xp, n = xp_of(rows), rows.data.shape[0]
    lengths = xp.append(starts[1:], n) - starts
    longest = int(lengths.max()) if starts.size else 0
    places = xp.minimum(starts[:, None] + xp.arange(max(longest, 1)), n - 1)
    seen = xp.arange(max(longest, 1)) < lengths[:, None]
    if counts is not None:
        seen &= counts[places]
    found = xp.where(seen[..., None], rows.data[places], -xp.inf).argmax(1)
    best = gather(rows, 0, wrap(xp.take_along_axis(places, found, 1)))
    return Masked.apply(best, wrap(seen.any(1)[:, None]))
