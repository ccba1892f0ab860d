"""Windows in plain loops: an oracle for convolution and pooling that needs no PyTorch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np


def conv(x: Any, w: Any, b: Any = None, stride=1, padding=0, dilation=1, groups=1) -> Any:
    """Convolution by its definition, in float64, one output at a time."""
    n = w.ndim - 2
    s, p, d = (np.broadcast_to(v, n) for v in (stride, padding, dilation))
    x = np.pad(x.astype("f8"), [(0, 0), (0, 0), *((int(v), int(v)) for v in p)])
    out = [
        len([q for q in range(m) if q * s_ + d_ * (k - 1) < m])
        for m, k, s_, d_ in zip(x.shape[2:], w.shape[2:], s, d, strict=True)
    ]
    y = np.zeros((len(x), len(w), *out))
    per_group = len(w) // groups
    for i, o, *q in np.ndindex(y.shape):
        first = o // per_group * w.shape[1]
        seen = x[i, first : first + w.shape[1]]
        for t in np.ndindex(w.shape[2:]):
            place = tuple(int(v) for v in np.asarray(q) * s + np.asarray(t) * d)
            y[(i, o, *q)] += seen[(slice(None), *place)] @ w[(o, slice(None), *t)].astype("f8")
        y[(i, o, *q)] += 0 if b is None else b[o]
    return y


def windows(
    size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any = 1, ceil_mode: bool = False
) -> tuple[tuple[int, ...], Iterator[tuple[tuple[int, ...], list[tuple[int, ...]], int]]]:
    """How many windows there are; and each one's place, its elements within the input in order,
    and how many elements it has with padding, but without what lies beyond that."""
    n = len(size)
    k, s, p, d = (np.broadcast_to(v, n).tolist() for v in (kernel, stride, padding, dilation))
    starts = [_starts(*line, ceil_mode) for line in zip(size, k, s, p, d, strict=True)]

    def each() -> Iterator[tuple[tuple[int, ...], list[tuple[int, ...]], int]]:
        for q in np.ndindex(*(len(v) for v in starts)):
            taps = [[starts[a][q[a]] + t * d[a] for t in range(k[a])] for a in range(n)]
            inside = [[v for v in taps[a] if 0 <= v < size[a]] for a in range(n)]
            counted = [len([v for v in taps[a] if v < size[a] + p[a]]) for a in range(n)]
            yield q, list(itertools.product(*inside)), int(np.prod(counted))

    return tuple(len(v) for v in starts), each()


def _starts(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> list[int]:
    """Where windows begin along one dimension, by trying one start after the other."""
    starts: list[int] = []
    last = n + p - 1 - d * (k - 1)  # from here a window just reaches the end of the padding
    for at in range(-p, n, s):
        # ceil_mode adds one more window if the one before it did not reach the end.
        if at <= last or (ceil_mode and at - s < last):
            starts.append(at)
    return starts


def max_pool(x: Any, n: int, *args: Any) -> tuple[Any, Any]:
    """Maxima and their flat indices over the last ``n`` dimensions, no NaN."""
    size = x.shape[-n:]
    out, each = windows(size, *args)
    y = np.zeros((*x.shape[:-n], *out), x.dtype)
    found = np.zeros(y.shape, "i8")
    for q, inside, _ in each:
        for batch in np.ndindex(*x.shape[:-n]):
            best = max(inside, key=lambda place: x[(*batch, *place)])  # the first of equals
            y[(*batch, *q)] = x[(*batch, *best)]
            found[(*batch, *q)] = np.ravel_multi_index(best, size)
    return y, found


def avg_pool(
    x: Any, n: int, *args: Any, count_include_pad: bool = True, divisor: int | None = None
) -> Any:
    """Means over the last ``n`` dimensions, in float64."""
    out, each = windows(x.shape[-n:], *args)
    y = np.zeros((*x.shape[:-n], *out))
    for q, inside, counted in each:
        total = sum(x[(..., *place)].astype("f8") for place in inside)
        y[(..., *q)] = total / (divisor or (counted if count_include_pad else len(inside)))
    return y


def adaptive(x: Any, out: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Each output's place and the window that it stands for."""
    size = x.shape[-len(out) :]
    for q in np.ndindex(*out):
        yield (
            q,
            tuple(
                slice(i * n // m, -((-(i + 1) * n) // m))
                for i, n, m in zip(q, size, out, strict=True)
            ),
        )
