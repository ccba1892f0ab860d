"""Random values in place: ``x.normal_()``; the numbers come from the one stream of ``random``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy

from gpunn import random
from gpunn.autograd.variable import Array, wrap
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING, finfo
from gpunn.methods import Methods
from gpunn.ops import conversion

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class Draws(Methods):
    """What fills a tensor with random numbers."""

    def _draw(self, draw: Callable[..., Array], blocks: int, generator: Any, *args: Any) -> Tensor:
        seed, offset = (generator or random.default_generator).reserve(blocks)
        backend = type2backend[type(self._data)]
        with backend.on(self.device):
            return self._write(conversion.Overwrite.apply, wrap(draw(seed, offset, *args)))

    def uniform_(
        self,
        from_: float = 0,
        to: float = 1,
        *,
        generator: random.Generator | None = None,
        **kwargs: float,
    ) -> Tensor:
        """Uniform in [from, to)."""
        low = kwargs.pop("from", from_)
        if low > to:
            raise RuntimeError(
                f"uniform_ expects to return a [from, to) range, but found from={low} > to={to}"
            )
        backend, (size, kind) = type2backend[type(self._data)], (self._data.shape, self._data.dtype)

        def draw(seed: int, offset: int) -> Array:
            return backend.uniform(seed, offset, size, kind) * (to - low) + low

        return self._draw(draw, backend.random_blocks(self._data.size, kind), generator)

    def normal_(
        self, mean: float = 0, std: float = 1, *, generator: random.Generator | None = None
    ) -> Tensor:
        """Normal with ``mean`` and standard deviation ``std``."""
        if std < 0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
        backend, (size, kind) = type2backend[type(self._data)], (self._data.shape, self._data.dtype)

        def draw(seed: int, offset: int) -> Array:
            return backend.normal(seed, offset, size, kind) * std + mean

        blocks = backend.random_blocks(self._data.size + self._data.size % 2, kind)
        return self._draw(draw, blocks, generator)

    def bernoulli_(self, p: float = 0.5, *, generator: random.Generator | None = None) -> Tensor:
        """1 with probability ``p``, else 0."""
        if not 0 <= p <= 1:
            raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
        backend, size = type2backend[type(self._data)], self._data.shape

        def draw(seed: int, offset: int) -> Array:
            return backend.uniform(seed, offset, size, numpy.dtype("float32")) < p

        return self._draw(
            draw, backend.random_blocks(self._data.size, numpy.dtype("float32")), generator
        )

    def exponential_(
        self, lambd: float = 1, *, generator: random.Generator | None = None
    ) -> Tensor:
        """Exponentially distributed waiting times of rate ``lambd``."""
        if lambd <= 0:
            raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
        if self._data.dtype.kind not in FLOATING:
            raise NotImplementedError(
                "Exponential distribution is a continuous probability distribution. dtype must be "
                f"a floating point but you specified {self.dtype.name}"
            )
        backend, size = type2backend[type(self._data)], self._data.shape
        wide = numpy.dtype("float64")

        def draw(seed: int, offset: int) -> Array:
            return -backend.xp.log1p(-backend.uniform(seed, offset, size, wide)) / lambd

        return self._draw(draw, backend.random_blocks(self._data.size, wide), generator)

    def random_(self, *bounds: int, generator: random.Generator | None = None) -> Tensor:
        """Integers: ``random_()`` below the largest the dtype counts to, ``random_(to)`` in
        [0, to), ``random_(from, to)`` in [from, to)."""
        kind = self._data.dtype
        # Floats count exactly to 2 ** (digits of the mantissa).
        limit = int(2 / finfo(self.dtype).eps) + 1 if kind.kind in FLOATING else None
        if limit is None:
            limit = 2 if kind.kind == "b" else min(numpy.iinfo(kind).max, 2**63 - 2) + 1
        low, high = (0, *bounds, limit)[:2] if len(bounds) < 2 else bounds
        if high <= low:
            raise RuntimeError(
                f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
            )
        backend, size = type2backend[type(self._data)], self._data.size
        shape = self._data.shape

        def draw(seed: int, offset: int) -> Array:
            return backend.integers(seed, offset, low, high, size).reshape(shape)

        return self._draw(draw, -(-size // 4), generator)
