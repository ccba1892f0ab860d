"""Random counts, by inverting the distribution: a uniform number of the stream makes a count."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy

from gpunn.autograd.variable import Array, wrap
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING
from gpunn.ops.common import (
    broadcast_shapes,
    check_all,
    dtype_of,
    local,
    need_tensor,
    not_implemented,
)
from gpunn.random import Generator, default_generator
from gpunn.tensor import Tensor

# How much of each distribution lies up to a count.
Share: TypeAlias = Callable[[Array], Array]
_WIDE = numpy.dtype("float64")


def _invert(most: Array, share: Share, generator: Generator | None) -> Array:
    """For a uniform u of each element the least count, at most ``most``, whose share is u."""
    backend, shape = type2backend[type(most)], most.shape
    xp = backend.xp
    blocks = backend.random_blocks(math.prod(shape), _WIDE)
    u = backend.uniform(*(generator or default_generator).reserve(blocks), shape, _WIDE)
    low, high = xp.full(shape, -1.0), most
    for _ in range(int(most.max()).bit_length() + 1 if most.size else 0):
        middle = xp.floor((low + high + 1) / 2)
        enough = share(middle) >= u
        low, high = xp.where(enough, low, middle), xp.where(enough, middle, high)
    return high


@local
def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """How often what happens ``input`` times on average happens, elementwise. No gradient."""
    need_tensor("poisson", input)
    if input.data.dtype.kind not in FLOATING:
        raise not_implemented("poisson", input.data)
    text = "invalid Poisson rate, expected rate to be non-negative"
    check_all("poisson", input, lambda rate: rate >= 0, text)
    backend = type2backend[type(input.data)]
    rate, above = input.data.astype(_WIDE), backend.special("gammaincc")
    # Twelve standard deviations above: less than a uniform number's last bit is beyond.
    most = backend.xp.asarray(backend.xp.ceil(rate + 12 * backend.xp.sqrt(rate) + 40))

    def share(k: Array) -> Array:
        return above(k + 1, rate)

    counts = _invert(most, share, generator)
    return wrap(counts.astype(input.data.dtype))


@local
def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """How many of ``count`` trials succeed, each with ``prob``; both broadcast. No gradient."""
    for name, x in (("count", count), ("prob", prob)):
        need_tensor("binomial", x, name, 1 if x is count else 2)
        if x.data.dtype.kind not in FLOATING:
            raise ValueError(
                f"binomial only supports floating-point dtypes for {name}, got: {dtype_of(x).title}"
            )
    if count.data.dtype != prob.data.dtype:
        titles = dtype_of(prob).title, dtype_of(count).title
        raise RuntimeError(f"Found dtype {titles[0]} but expected {titles[1]}")
    if count.data.dtype.itemsize < 4:
        raise not_implemented("binomial", count.data)
    backend, host = type2backend[type(count.data)], type2backend[numpy.ndarray]
    # On the host: CuPy's incomplete beta function is recursive, which devices do badly.
    shape = broadcast_shapes(count.data.shape, prob.data.shape)
    n, p = (numpy.broadcast_to(backend.to_numpy(x.data), shape) for x in (count, prob))
    n, p, below = n.astype(_WIDE), p.astype(_WIDE), host.special("betainc")
    most = numpy.asarray(numpy.floor(numpy.where(n > 0, n, 0)))

    def share(k: Array) -> Array:
        inside = numpy.maximum(most - k, 1)
        return numpy.where(k >= most, 1.0, below(inside, k + 1, numpy.clip(1 - p, 0, 1)))

    found = _invert(most, share, generator)
    found = numpy.where((p >= 1) | numpy.isnan(n), numpy.maximum(n, 0), found)
    return wrap(backend.from_numpy(found.astype(count.data.dtype)))
