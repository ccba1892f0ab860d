"""Random values of a tensor, or in its place, from the one stream of ``random``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy

from gpunn import random
from gpunn.autograd.variable import Array, Variable, wrap
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING, finfo
from gpunn.methods import Methods
from gpunn.ops import conversion
from gpunn.ops.calling import extended
from gpunn.ops.common import Op, c_name, check_all, dtype_of, local, need_tensor, not_implemented

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class Drawn(Op, widens=False):
    """What was drawn for ``x``: its gradient is 0."""

    name = "BernoulliBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor, drawn: Array) -> Array:
        return drawn

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return dy * 0, None


@extended
@local
def bernoulli(
    input: Tensor, p: float | None = None, *, generator: random.Generator | None = None
) -> Tensor:
    """1 with the probability that stands in ``input`` (or ``p``), else 0, like ``input``."""
    need_tensor("bernoulli", input)
    x = input.detach()
    drawn = x.new_empty(x.shape).bernoulli_(x if p is None else p, generator=generator)
    return Drawn.apply(input, drawn.data)


@extended
@local
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: random.Generator | None = None,
) -> Tensor:
    """``num_samples`` indices (int64) of each row, drawn in proportion to its elements.

    ``(m,) -> (num_samples,)`` or ``(n, m) -> (n, num_samples)``. Without ``replacement`` no index
    comes twice: the first to arrive of exponential waiting times, each of the rate of its weight.
    """
    need_tensor("multinomial", input)
    weights = input.data
    if weights.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if weights.dtype.kind not in FLOATING:
        raise RuntimeError(
            "multinomial only supports floating-point dtypes for input, got: "
            f"{dtype_of(input).title}"
        )
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > weights.shape[-1]:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    backend = type2backend[type(weights)]
    xp = backend.xp
    rows = weights.reshape(-1, weights.shape[-1]).astype("float64")
    if not bool((xp.isfinite(rows) & (rows >= 0)).all()):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if not bool((rows.sum(1) > 0).all()):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    if not replacement and bool(((rows > 0).sum(1) < num_samples).any()):
        raise RuntimeError(
            "invalid multinomial distribution (with replacement=False, not enough non-negative "
            "category to sample)"
        )
    shape = (len(rows), num_samples if replacement else rows.shape[1])
    wide = numpy.dtype("float64")
    seed, offset = (generator or random.default_generator).reserve(
        backend.random_blocks(math.prod(shape), wide)
    )
    u = backend.uniform(seed, offset, shape, wide)
    if replacement:
        ends = rows.cumsum(1)
        found = xp.empty(shape, "int64")
        for i, row in enumerate(u):  # u < 1, so that the last end is never passed
            found[i] = xp.searchsorted(ends[i], row * ends[i, -1], "right")
    else:
        with numpy.errstate(divide="ignore", invalid="ignore"):
            waits = -xp.log1p(-u) / rows  # infinite for weight 0
        found = xp.argsort(waits, axis=1)[:, :num_samples].astype("int64")
    return wrap(found.reshape(*weights.shape[:-1], num_samples))


class Draws(Methods):
    """What fills a tensor with random numbers, or draws some for it."""

    bernoulli = bernoulli
    multinomial = multinomial

    def _draw(self, draw: Callable[..., Array], blocks: int, generator: Any, *args: Any) -> Tensor:
        seed, offset = (generator or random.default_generator).reserve(blocks)
        backend = type2backend[type(self._data)]
        with backend.on(self.device):
            return self._write(conversion.Overwrite.apply, wrap(draw(seed, offset, *args)))

    def _from_uniform(self, form: Callable[[Any, Array], Array], generator: Any) -> Tensor:
        """Filled with ``form(xp, u)`` of u that are uniform in [0, 1), in float64."""
        backend, shape = type2backend[type(self._data)], self._data.shape
        wide = numpy.dtype("float64")

        def draw(seed: int, offset: int) -> Array:
            return form(backend.xp, backend.uniform(seed, offset, shape, wide))

        return self._draw(draw, backend.random_blocks(self._data.size, wide), generator)

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
        if self._data.dtype.kind not in FLOATING:
            raise not_implemented("check_uniform_bounds", self._data)
        if low > to:
            raise RuntimeError(
                f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={to:g}"
            )
        backend, (size, kind) = type2backend[type(self._data)], (self._data.shape, self._data.dtype)

        def draw(seed: int, offset: int) -> Array:
            return backend.uniform(seed, offset, size, kind) * (to - low) + low

        return self._draw(draw, backend.random_blocks(self._data.size, kind), generator)

    def normal_(
        self, mean: float = 0, std: float = 1, *, generator: random.Generator | None = None
    ) -> Tensor:
        """Normal with ``mean`` and standard deviation ``std``."""
        for place, (name, value) in enumerate((("mean", mean), ("std", std)), 1):
            if isinstance(value, Variable):
                raise TypeError(
                    f"normal_(): argument '{name}' (position {place}) must be float, not Tensor"
                )
        if std < 0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
        if self._data.dtype.kind not in FLOATING:
            raise not_implemented("normal_kernel", self._data)
        backend, (size, kind) = type2backend[type(self._data)], (self._data.shape, self._data.dtype)

        def draw(seed: int, offset: int) -> Array:
            return backend.normal(seed, offset, size, kind) * std + mean

        blocks = backend.random_blocks(self._data.size + self._data.size % 2, kind)
        return self._draw(draw, blocks, generator)

    def bernoulli_(
        self, p: float | Tensor = 0.5, *, generator: random.Generator | None = None
    ) -> Tensor:
        """1 with probability ``p``, a number or a tensor that broadcasts, else 0."""
        if isinstance(p, Variable):
            if p.data.dtype.kind not in FLOATING:
                raise not_implemented("bernoulli_tensor", p.data)
            text = "Expected p_in >= 0 && p_in <= 1 to be true, but got false."
            check_all("bernoulli", p, lambda p: (p >= 0) & (p <= 1), text)
            p = p.data
        elif not 0 <= p <= 1:
            raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
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

        def waits(xp: Any, u: Array) -> Array:
            return -xp.log1p(-u) / lambd

        return self._from_uniform(waits, generator)

    def cauchy_(
        self, median: float = 0, sigma: float = 1, *, generator: random.Generator | None = None
    ) -> Tensor:
        """Cauchy's distribution around ``median``: half of it lies within ``sigma``."""
        if self._data.dtype.kind not in FLOATING:
            raise RuntimeError(
                "Cauchy distribution is a continuous probability distribution. dtype must be a "
                f"floating point but you specified {c_name(self)}"
            )
        if sigma <= 0:
            raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")

        def slopes(xp: Any, u: Array) -> Array:
            return median + sigma * xp.tan(math.pi * (u - 0.5))

        return self._from_uniform(slopes, generator)

    def geometric_(self, p: float, *, generator: random.Generator | None = None) -> Tensor:
        """How many trials until the first succeeds, 1 or more, each with probability ``p``."""
        if not 0 < p < 1:
            raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
        if self._data.dtype.kind == "b":
            raise not_implemented("geometric", self._data)

        def trials(xp: Any, u: Array) -> Array:
            return xp.maximum(xp.ceil(xp.log1p(-u) / math.log1p(-p)), 1)

        return self._from_uniform(trials, generator)

    def log_normal_(
        self, mean: float = 1, std: float = 2, *, generator: random.Generator | None = None
    ) -> Tensor:
        """Numbers whose logarithms are normal with ``mean`` and deviation ``std``."""
        if std <= 0:
            raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
        if self._data.dtype.kind not in FLOATING:
            raise not_implemented("log_normal", self._data)
        backend, shape = type2backend[type(self._data)], self._data.shape
        wide = numpy.dtype("float64")

        def draw(seed: int, offset: int) -> Array:
            return backend.xp.exp(backend.normal(seed, offset, shape, wide) * std + mean)

        blocks = backend.random_blocks(self._data.size + self._data.size % 2, wide)
        return self._draw(draw, blocks, generator)

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
