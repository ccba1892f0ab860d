"""Where windows fall: output sizes, and which elements each tap of a kernel pairs; no arrays."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

Ints = tuple[int, ...]


def output_size(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool = False
) -> int:
    """How many windows fit along one dimension (negative where not even one does).

    floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1; ``ceil_mode`` rounds up, but
    a window never begins beyond the input and its left padding.
    """
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    out = -(-room // stride) + 1
    return out - 1 if (out - 1) * stride >= size + padding else out


def taps(
    size: Sequence[int],
    out: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Iterator[tuple[Ints, tuple[slice, ...], tuple[slice, ...]]]:
    """Every tap of the kernel in row-major order, the outputs that it reaches, and their inputs.

    ``y[..., *outputs]`` pairs with ``x[..., *inputs]`` element by element: what would fall on the
    padding is left out, so nobody needs to pad. Taps that only meet padding do not come.
    """
    lines = [
        [(t, *reach(n, m, s, t * d - p)) for t in range(k)]
        for n, m, k, s, p, d in zip(size, out, kernel, stride, padding, dilation, strict=True)
    ]
    for chosen in itertools.product(*lines):
        if all(outputs.start < outputs.stop for _, outputs, _ in chosen):
            yield (
                tuple(c[0] for c in chosen),
                tuple(c[1] for c in chosen),
                tuple(c[2] for c in chosen),
            )


def reach(size: int, out: int, stride: int, offset: int) -> tuple[slice, slice]:
    """Along one dimension, output q meets input q * stride + offset: the ranges of both."""
    first = max(0, -(offset // stride))
    last = min(out - 1, (size - 1 - offset) // stride)
    start = first * stride + offset
    return slice(first, last + 1), slice(start, last * stride + offset + 1, stride)
