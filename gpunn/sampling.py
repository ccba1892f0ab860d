"""Random tensors: uniform, normal, integers, permutations; the same bits on every device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gpunn.autograd.variable import Variable, is_sequence
from gpunn.creation import Where, empty, finished, place_of
from gpunn.dtype import (
    as_dtype,
    get_default_dtype,
    int64,
)
from gpunn.ops.calling import extended
from gpunn.ops.common import (
    also_named,
    broadcast_shapes,
    c_name,
    check_all,
    dtype_of,
    local,
)
from gpunn.ops.factory import factory, filling
from gpunn.ops.filling import bounds, check_held, not_negative
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
    where, backend = place_of(device)
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    if not kind.is_floating_point:
        raise NotImplementedError(f"\"{draw}_{where.type}\" not implemented for '{kind.title}'")
    shape = sizes_of(size, "rand" if draw == "uniform" else "randn", "size")
    not_negative(shape)
    n = math.prod(shape)
    blocks = backend.random_blocks(n + n % 2, kind.numpy)
    seed, offset = (generator or default_generator).reserve(blocks)
    with backend.on(where):
        return finished(getattr(backend, draw)(seed, offset, shape, kind.numpy), requires_grad)


@filling
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


@filling
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


@filling
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
    for name, number in (("low", low), ("high", high)):
        if not hasattr(number, "__index__"):
            raise TypeError(
                f"randint(): argument '{name}' (position 1) must be int, not "
                f"{type(number).__name__}"
            )
    if high <= low:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    shape = sizes_of((size,), "randint", "size")
    not_negative(shape)
    n = math.prod(shape)
    where, backend = place_of(device)
    kind = int64 if dtype is None else as_dtype(dtype)
    least, most = bounds(kind)
    for which, number in (("from", low), ("to - 1", high - 1)):
        if not least <= number <= most:
            raise RuntimeError(f"{which} is out of bounds for {c_name(kind)}")
    seed, offset = (generator or default_generator).reserve(-(-n // 4))
    with backend.on(where):
        array = backend.integers(seed, offset, low, high, n).reshape(shape)
        return finished(array.astype(kind.numpy, copy=False), requires_grad)


@filling
def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """0 to ``n - 1`` in random order (int64)."""
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(
            f"randperm(): argument 'n' (position 1) must be int, not {type(n).__name__}"
        )
    not_negative([n])
    where, backend = place_of(device)
    kind = int64 if dtype is None else as_dtype(dtype)
    if not kind.kind:
        raise NotImplementedError("\"randperm\" not implemented for 'Bool'")
    check_held(max(n - 1, 0), kind)
    seed, offset = (generator or default_generator).reserve(-(-n // 4))
    with backend.on(where):
        array = backend.permutation(seed, offset, n).astype(kind.numpy, copy=False)
        return finished(array, requires_grad)


@extended
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


def _like(input: Tensor, dtype: Any, device: Where) -> dict[str, Any]:
    return {
        "dtype": input.dtype if dtype is None else dtype,
        "device": input.device if device is None else device,
    }


@factory
def rand_like(
    input: Tensor, *, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Uniform in [0, 1), of the shape, dtype and device of ``input``."""
    return rand(*input.shape, **_like(input, dtype, device), requires_grad=requires_grad)


@factory
def randn_like(
    input: Tensor, *, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Standard normal, of the shape, dtype and device of ``input``."""
    return randn(*input.shape, **_like(input, dtype, device), requires_grad=requires_grad)


@factory
def randint_like(
    input: Tensor, low: int, high: int | None = None, *, dtype: Any = None, device: Where = None
) -> Tensor:
    """Integers in [low, high), of the shape, dtype and device of ``input``."""
    if high is None:
        low, high = 0, low
    return randint(low, high, input.shape, **_like(input, dtype, device))
