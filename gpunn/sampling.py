"""Random tensors: uniform, normal, integers, permutations; the same bits on every device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from gpunn.autograd.variable import Variable, is_sequence, wrap
from gpunn.backends import type2backend
from gpunn.creation import Where, _finish, _not_negative, _place, empty
from gpunn.dtype import (
    FLOATING,
    as_dtype,
    get_default_dtype,
    int64,
)
from gpunn.ops.common import (
    also_named,
    broadcast_shapes,
    check_all,
    dtype_of,
    local,
    need_tensor,
)
from gpunn.ops.shape import sizes_of
from gpunn.random import Generator, default_generator
from gpunn.tensor import Tensor


def _random(
    draw: str,
    size: tuple[Any, ...],
    generator: Generator | None,
    dtype: Any,
    device: Where,
    requires_grad: bool,
) -> Tensor:
    where, backend = _place(device)
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    if not kind.is_floating_point:
        raise NotImplementedError(f"\"{draw}_{where.type}\" not implemented for '{kind.title}'")
    shape = sizes_of(size, "size")
    _not_negative(shape)
    n = math.prod(shape)
    blocks = backend.random_blocks(n + n % 2, kind.numpy)
    seed, offset = (generator or default_generator).reserve(blocks)
    with backend.on(where):
        return _finish(getattr(backend, draw)(seed, offset, shape, kind.numpy), requires_grad)


@also_named("size")
def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform in [0, 1); the same bits on every device."""
    return _random("uniform", size, generator, dtype, device, requires_grad)


@also_named("size")
def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal, by Box and Muller."""
    return _random("normal", size, generator, dtype, device, requires_grad)


def randint(
    low: int = 0,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers in [low, high), or ``randint(high, size)`` in [0, high); int64."""
    if size is None or is_sequence(high):
        high, size = None, high
    if high is None:
        low, high = 0, low
    if not is_sequence(size):
        raise TypeError("randint(): argument 'size' must be a tuple of ints")
    if high <= low:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    shape = sizes_of((size,), "size")
    n = math.prod(shape)
    where, backend = _place(device)
    seed, offset = (generator or default_generator).reserve(-(-n // 4))
    kind = int64 if dtype is None else as_dtype(dtype)
    with backend.on(where):
        array = backend.integers(seed, offset, low, high, n).reshape(shape)
        return _finish(array.astype(kind.numpy, copy=False), requires_grad)


def randperm(
    n: int, *, generator: Generator | None = None, dtype: Any = None, device: Where = None
) -> Tensor:
    """0 to ``n - 1`` in random order (int64)."""
    _not_negative([n])
    where, backend = _place(device)
    seed, offset = (generator or default_generator).reserve(-(-n // 4))
    kind = int64 if dtype is None else as_dtype(dtype)
    with backend.on(where):
        return wrap(backend.permutation(seed, offset, n).astype(kind.numpy, copy=False))


@local
def normal(
    mean: Tensor | float,
    std: Tensor | float = 1.0,
    size: Sequence[int] | None = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal with ``mean`` and standard deviation ``std``: numbers with a ``size``, or tensors that
    broadcast."""
    given = [x for x in (mean, std) if isinstance(x, Variable)]
    if not isinstance(mean, Variable) and not isinstance(std, Variable):
        if size is None:
            raise TypeError("normal() of two numbers needs a size, as normal(0.0, 1.0, (2, 3))")
        drawn = empty(*size, dtype=dtype, device=device).normal_(mean, std, generator=generator)
        return drawn.requires_grad_(requires_grad)
    shape = broadcast_shapes(*[x.data.shape for x in given])
    if isinstance(std, Variable):
        check_all("normal", std, lambda s: s >= 0, "normal expects all elements of std >= 0.0")
    like = given[0]
    drawn = randn(*shape, generator=generator, dtype=dtype_of(like), device=like.device)
    return (drawn * std + mean).detach()


@local
def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that stands in ``input``, else 0."""
    text = "Expected p_in >= 0 && p_in <= 1 to be true, but got false."
    check_all("bernoulli", input, lambda p: (p >= 0) & (p <= 1), text)
    draw = rand(*input.shape, generator=generator, device=input.device)
    return (draw < input.detach()).to(input.dtype)


def _like(input: Tensor, dtype: Any, device: Where) -> dict[str, Any]:
    return {
        "dtype": input.dtype if dtype is None else dtype,
        "device": input.device if device is None else device,
    }


def rand_like(
    input: Tensor, *, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Uniform in [0, 1), of the shape, dtype and device of ``input``."""
    return rand(*input.shape, **_like(input, dtype, device), requires_grad=requires_grad)


def randn_like(
    input: Tensor, *, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Standard normal, of the shape, dtype and device of ``input``."""
    return randn(*input.shape, **_like(input, dtype, device), requires_grad=requires_grad)


def randint_like(
    input: Tensor, low: int, high: int | None = None, *, dtype: Any = None, device: Where = None
) -> Tensor:
    """Integers in [low, high), of the shape, dtype and device of ``input``."""
    if high is None:
        low, high = 0, low
    return randint(low, high, input.shape, **_like(input, dtype, device))


@local
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
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
    seed, offset = (generator or default_generator).reserve(
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
