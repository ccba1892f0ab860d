"""Padding with a constant, or with what the input itself holds."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Array
from gpunn.backends import type2backend
from gpunn.dtype import dtype
from gpunn.ops.common import Op, dtype_of, need_tensor
from gpunn.ops.joining import cat, flip, narrow
from gpunn.ops.shape import expand

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Widths = tuple[tuple[int, int], ...]


class Pad(Op, widens=False):
    """Adds a constant, or crops where a width is negative; the adjoint does the reverse."""

    name = "ConstantPadNdBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor, widths: Widths, value: Any) -> Array:
        ctx.back = tuple((-a, -b) for a, b in widths)
        return type2backend[type(x.data)].pad(x.data, widths, value)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return Pad.apply(dy, ctx.back, 0), None, None


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """``input`` made wider: ``pad`` holds (before, after) of the last dimension, then of the one
    before it, and so on; a negative width crops.

    ``mode`` "constant" adds ``value`` (0) in any number of dimensions. "reflect" mirrors at the
    edge element, "replicate" repeats it, "circular" goes on at the other end: these pad the last 1,
    2 or 3 dimensions of input with one channel dimension before them, and maybe a batch. Raises
    RuntimeError where a width is larger than the input provides for.
    As ``torch.nn.functional.pad``.
    """
    need_tensor("pad", input)
    shape = input.data.shape
    widths = _widths(pad, len(shape))
    if mode == "constant":
        _check_crops(shape, widths, "narrow(): length must be non-negative.")
        if not any(a or b for a, b in widths):
            return input.clone()
        return Pad.apply(input, widths, _fill(value, dtype_of(input)))
    if mode not in _PIECES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    n = len(pad) // 2
    if len(shape) not in (n + 1, n + 2) or not 1 <= n <= 3:
        raise NotImplementedError(
            f"Padding size {len(pad)} is not supported for {len(shape)}D input tensor."
        )
    return _pad_from_input(input, widths, n, mode)


def _fill(value: float | None, of: dtype) -> float:
    """The number to pad with. Raises RuntimeError where an integer dtype cannot hold it."""
    if not value:
        return 0
    if of.numpy.kind in "iu":
        limits = numpy.iinfo(of.name)
        if not limits.min <= value <= limits.max:
            kind = "int" if of.name == "int32" else f"{of.name}_t"
            raise RuntimeError(f"value cannot be converted to type {kind} without overflow")
        return int(value)
    return value


def _widths(pad: Sequence[int], ndim: int) -> Widths:
    """(before, after) of every dimension, the first one first."""
    if not isinstance(pad, (tuple, list)):
        raise TypeError(
            f"pad(): argument 'pad' (position 2) must be tuple of ints, not {type(pad).__name__}"
        )
    if len(pad) % 2:
        raise RuntimeError(f"Padding length must be divisible by 2, got {len(pad)}: {list(pad)}")
    if len(pad) > 2 * ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(pad)} and input of dimension {ndim}"
        )
    for i, p in enumerate(pad):
        if not hasattr(p, "__index__"):
            raise TypeError(
                "pad(): argument 'pad' (position 2) must be tuple of ints, but found element of "
                f"type {type(p).__name__} at pos {i}"
            )
    ints = [operator.index(p) for p in pad]
    pairs = list(zip(ints[::2], ints[1::2], strict=True))[::-1]
    return ((0, 0),) * (ndim - len(pairs)) + tuple(pairs)


def _pad_from_input(x: Tensor, widths: Widths, n: int, mode: str) -> Tensor:
    """One dimension after the other: what goes before, the input, what follows, joined."""
    crop = _crops(widths)
    if mode == "circular":
        problem = "Negative padding value is resulting in an empty dimension"
        _check_crops(x.data.shape, widths, problem)
    else:
        _check_made(x.data.shape, widths, n)
    cropped = any(a or b for a, b in crop)
    if cropped and mode == "circular":  # the others mirror and repeat what they then cut off
        x, cropped = Pad.apply(x, crop, 0), False
    shape = x.data.shape
    for d in range(len(shape) - 1, len(shape) - n - 1, -1):  # the last first, as PyTorch
        _check_provision(mode, shape, d, *(max(w, 0) for w in widths[d]))
    for d in range(len(shape) - n, len(shape)):
        before, after = (max(w, 0) for w in widths[d])
        left, right = _PIECES[mode](x, d, before, after)
        pieces = [*([left] if before else []), x, *([right] if after else [])]
        x = cat(pieces, d) if len(pieces) > 1 else x
    return Pad.apply(x, crop, 0) if cropped else x


def _crops(widths: Widths) -> Widths:
    return tuple((min(a, 0), min(b, 0)) for a, b in widths)


def _check_crops(shape: tuple[int, ...], widths: Widths, problem: str) -> None:
    for d, (n, (a, b)) in enumerate(zip(shape, _crops(widths), strict=True)):
        if n + a + b < 0:
            a, b = widths[d]
            raise RuntimeError(f"{problem} (padding ({a}, {b}) at dimension {d} of {list(shape)})")


def _check_made(shape: tuple[int, ...], widths: Widths, n: int) -> None:
    """Refuse an input of nothing, and a result of less."""
    if 0 in shape[-n - 1 :]:
        raise RuntimeError(
            f"Expected {n + 1}D or {n + 2}D (batch mode) tensor with possibly 0 batch size and "
            f"other non-zero dimensions for input, but got: {list(shape)}"
        )
    made = [s + a + b for s, (a, b) in zip(shape, widths, strict=True)]
    if n == 1 and made[-1] < 1:
        raise RuntimeError(f"input (W: {shape[-1]}) is too small. Calculated output W: {made[-1]}")
    if min(made) < 0:
        first = next(size for size in made if size < 0)
        raise RuntimeError(f"Trying to create tensor with negative dimension {first}: {made}")


def _check_provision(mode: str, shape: tuple[int, ...], d: int, before: int, after: int) -> None:
    size = shape[d]
    if mode == "reflect" and max(before, after) >= size:
        raise RuntimeError(
            f"Argument #{2 * (len(shape) - d) + 2}: Padding size should be less than the "
            f"corresponding input dimension, but got: padding ({before}, {after}) "
            f"at dimension {d} of input {list(shape)}"
        )
    if mode == "circular" and max(before, after) > size:
        raise RuntimeError(
            "Padding value causes wrapping around more than once. Got padding "
            f"({before}, {after}) at dimension {d} of input {list(shape)}"
        )


def _reflected(x: Tensor, d: int, before: int, after: int) -> tuple[Tensor, Tensor]:
    n = x.data.shape[d]
    return flip(narrow(x, d, 1, before), d), flip(narrow(x, d, n - 1 - after, after), d)


def _replicated(x: Tensor, d: int, before: int, after: int) -> tuple[Tensor, Tensor]:
    shape = x.data.shape

    def repeated(edge: int, times: int) -> Tensor:
        return expand(narrow(x, d, edge, 1), *shape[:d], times, *shape[d + 1 :])

    return repeated(0, before), repeated(shape[d] - 1, after)


def _wrapped(x: Tensor, d: int, before: int, after: int) -> tuple[Tensor, Tensor]:
    n = x.data.shape[d]
    return narrow(x, d, n - before, before), narrow(x, d, 0, after)


_PIECES = {"reflect": _reflected, "replicate": _replicated, "circular": _wrapped}
